/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics: streaming metrics of sentence prediction. Formulas: spec/numerics.md section 11. A set
 * holds several metrics over the same stream; sums can be all-reduced and saved. */
#ifndef BT_METRICS_H
#define BT_METRICS_H

#include "bt/base.h"

enum { BT_METRIC_MAX = 16, BT_METRIC_NAME_MAX = 48 };

typedef struct bt_metric_value {
    char   name[BT_METRIC_NAME_MAX]; /* Model Garden's: cls_accuracy, auc, f1, ... */
    double value;
} bt_metric_value;

typedef struct bt_metrics bt_metrics;

/* names: "cls_accuracy", "auc", "f1", "matthews_corrcoef", "pearson_spearman_corr", "pearson",
 * "spearman", "mean_squared_error". n_classes: columns of the logits. Errors: BT_E_CONFIG naming
 * the known ones. */
BT_MUST_USE bt_status bt_metrics_create(const char *const *names, size_t n_names, int64_t n_classes,
                                        bt_metrics **out, bt_error *err);
void                  bt_metrics_free(bt_metrics *metrics);
void                  bt_metrics_reset(bt_metrics *metrics);
/* logits [n,C] row-major, labels [n] (one of the two kinds). */
BT_MUST_USE bt_status bt_metrics_update(bt_metrics *metrics, const float *logits,
                                        const int32_t *int_labels, const float *float_labels,
                                        int64_t n, bt_error *err);
/* Values in the order of the names; returns how many. NaN where a metric has none (MCC of one class
 * is 0). */
size_t bt_metrics_compute(const bt_metrics *metrics, bt_metric_value values[BT_METRIC_MAX]);
/* How many examples were predicted as each class: [n_classes]; for the "all one class" notice. */
const int64_t *bt_metrics_prediction_counts(const bt_metrics *metrics);
int64_t        bt_metrics_n_examples(const bt_metrics *metrics);
/* Exact state for the checkpoint: bytes appended to / read from a string. */
BT_MUST_USE bt_status bt_metrics_save(const bt_metrics *metrics, bt_str *bytes, bt_error *err);
BT_MUST_USE bt_status bt_metrics_load(bt_metrics *metrics, bt_reader *bytes, bt_error *err);

#endif
