/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics: streaming metrics of every task. Formulas: docs/model_garden/numerics.md section 11. A
 * set holds several metrics over the same stream of batches; its state can be saved. */
#ifndef BT_METRICS_H
#define BT_METRICS_H

#include "bt/base/bytes.h"
#include "bt/base/str.h"
#include "bt/tensor.h"

enum { BT_METRIC_MAX = 16, BT_METRIC_NAME_MAX = 48 };

typedef struct bt_metric_value {
    char   name[BT_METRIC_NAME_MAX]; /* Model Garden's: cls_accuracy, auc, f1, ... */
    double value;
} bt_metric_value;

typedef struct bt_metrics bt_metrics;

/* What a row of the logits is about. f1 of classes and f1 of entities are two metrics. */
typedef enum bt_metric_unit { BT_METRIC_OF_SEQUENCES, BT_METRIC_OF_TOKENS } bt_metric_unit;

/* What a set is made for; nothing of it is kept but where it says so. */
typedef struct bt_metrics_config {
    const char *const *names; /* rows of the table in src/metrics/metrics_rows.c */
    size_t             n_names;
    int64_t            n_classes;      /* columns of the logits; 0: they are the scores of pairs */
    bool               bug_compatible; /* runtime.bug_compatible: with Model Garden's defects */
    bt_metric_unit     unit;
    double             threshold;   /* several labels: a class applies from this probability on */
    const char *const *class_names; /* entities only: the tags, [n_classes], none empty */
} bt_metrics_config;

/* Errors: BT_E_CONFIG for a name that is not known (with those that are) or that does not fit the
 * number of classes. */
BT_MUST_USE bt_status bt_metrics_create(const bt_metrics_config *config, bt_metrics **out,
                                        bt_error *err);
void                  bt_metrics_free(bt_metrics *metrics);
void                  bt_metrics_reset(bt_metrics *metrics);
/* The logits of a batch, as the task's head orders them: [B,C] of sentences, [T,C] of tokens,
 * [B/2,B/2] of pairs. The batch must have the labels that the metrics read. */
BT_MUST_USE bt_status bt_metrics_update(bt_metrics *metrics, const bt_batch *batch,
                                        const float *logits, bt_error *err);
/* Values in the order of the names; returns how many. NaN where a metric has none (MCC of one class
 * is 0). */
size_t bt_metrics_compute(const bt_metrics *metrics, bt_metric_value values[BT_METRIC_MAX]);
/* How many things (sentences, or labelled tokens of a tagger) were predicted as each class:
 * [n_classes], and their sum into *n; for the "all one class" notice. NULL where no metric counts
 * classes. */
const int64_t *bt_metrics_prediction_counts(const bt_metrics *metrics, int64_t *n);
/* Exact state for the checkpoint: bytes appended to / read from a string. A state that cannot be
 * loaded leaves the set as bt_metrics_reset does. */
BT_MUST_USE bt_status bt_metrics_save(const bt_metrics *metrics, bt_str *bytes, bt_error *err);
BT_MUST_USE bt_status bt_metrics_load(bt_metrics *metrics, bt_reader *bytes, bt_error *err);

#endif
