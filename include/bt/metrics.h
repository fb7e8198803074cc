/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics: streaming metrics of every task. Formulas: docs/model_garden/numerics.md section 11. A
 * set holds several metrics over the same stream of batches; its state can be saved. */
#ifndef BT_METRICS_H
#define BT_METRICS_H

#include "bt/base/bytes.h"
#include "bt/base/str.h"
#include "bt/tensor.h"

enum { BT_METRIC_MAX = 160, BT_METRIC_NAME_MAX = 80 };

typedef struct bt_metric_value {
    char   name[BT_METRIC_NAME_MAX]; /* Model Garden's: cls_accuracy, auc; scikit-learn's: f1 ... */
    double value;
} bt_metric_value;

typedef struct bt_metrics bt_metrics;

/* What a row of the logits is about, and what is asked of it. f1 of classes, of label sets and of
 * entities are three metrics. */
typedef enum bt_metric_unit {
    BT_METRIC_OF_SEQUENCES, /* one class, or a score */
    BT_METRIC_OF_TOKENS,
    BT_METRIC_OF_LABEL_SETS, /* of a sequence, any number of classes */
} bt_metric_unit;

/* What a set is made for; nothing of it is kept but where it says so. */
typedef struct bt_metrics_config {
    /* Rows of the table in src/metrics/metrics_rows.c. "f1/NAME" is the f1 of the class (of tags:
     * of the type) that is called so, "f1/" and a star that of each, if they are not more than
     * BT_METRIC_CLASSES_MAX. */
    const char *const *names;
    size_t             n_names;
    int64_t            n_classes;      /* columns of the logits; 0: they are the scores of pairs */
    bool               bug_compatible; /* runtime.bug_compatible: with Model Garden's defects */
    bt_metric_unit     unit;
    double             threshold;    /* several labels: a class applies from this probability on */
    bool               decides;      /* rows are kept for what is chosen on them (below) */
    bool               draws_curves; /* counts for bt_metrics_get_pr_curve, of classes of sequences,
                                      * if they are not more than BT_METRIC_CURVES_MAX */
    int64_t n_bootstrap; /* samples for intervals: NAME_ci_low and NAME_ci_high of the metrics of a
                          * class a row that have them; 0: none */
    uint64_t           bootstrap_seed;
    const char *const *class_names; /* [n_classes], none empty; NULL (not of tags): numbers */
} bt_metrics_config;

/* Classes of which "f1/" and a star gives values; of more, those that are asked for by name. */
enum { BT_METRIC_CLASSES_MAX = 20 };

/* Appends to names[0..*n), which have room for BT_METRIC_MAX, the names of the table that fit and
 * are not there yet: all, or only those that are computed unless somebody says otherwise. */
void bt_metrics_list(bt_metric_unit unit, int64_t n_classes, bool all, const char **names,
                     size_t *n);
/* Whether a set of that kind can compute it, as far as the name tells: classes are not looked up.
 */
bool bt_metrics_can(bt_metric_unit unit, int64_t n_classes, const char *name);

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
/* Intervals take as long as n_bootstrap says: once the process is asked to stop they are left out
 * (NaN), so whoever goes on to write values asks for a stop afterwards. */
size_t bt_metrics_compute(const bt_metrics *metrics, bt_metric_value values[BT_METRIC_MAX]);
/* How many things (sentences, or labelled tokens of a tagger) were predicted as each class:
 * [n_classes], and their sum into *n; for the "all one class" notice. NULL where no metric counts
 * classes. */
const int64_t *bt_metrics_prediction_counts(const bt_metrics *metrics, int64_t *n);

/* What figures are drawn from. */

/* Labels against predictions. Pointers are borrowed until the next call on the set. */
typedef struct bt_metrics_confusion {
    int64_t        n_classes;
    int64_t        n;         /* rows (of a tagger: labelled tokens) */
    const int64_t *labelled;  /* [n_classes] how often a class is the label */
    const int64_t *predicted; /* [n_classes] how often it was predicted */
    const int64_t *correct;   /* [n_classes] how often both */
    const int64_t *cells;     /* [n_classes,n_classes] row: label, column: prediction; NULL: there
                               * are more than BT_METRIC_CONFUSION_MAX classes */
} bt_metrics_confusion;
enum { BT_METRIC_CONFUSION_MAX = 1000 };
/* false: no metric of the set counts them (a regression, several labels a row). */
bool bt_metrics_get_confusion(const bt_metrics *metrics, bt_metrics_confusion *out);

/* Rows by the probability of the class that was predicted: bin i holds those with
 * i/BT_METRIC_BINS < probability <= (i+1)/BT_METRIC_BINS. */
enum { BT_METRIC_BINS = 15 };
typedef struct bt_metrics_calibration {
    int64_t n;                             /* rows */
    int64_t counts[BT_METRIC_BINS];        /* rows of a bin */
    int64_t correct[BT_METRIC_BINS];       /* of which the prediction is right */
    double  probabilities[BT_METRIC_BINS]; /* mean of the bin; NaN where it is empty */
    double  expected_error;                /* the expected calibration error; NaN without rows */
} bt_metrics_calibration;
/* false: no metric of the set keeps probabilities. */
bool bt_metrics_get_calibration(const bt_metrics *metrics, bt_metrics_calibration *out);

/* True positives, false positives, true negatives, false negatives, precision and recall of class c
 * against all others, where it is found from probability i/(BT_METRIC_THRESHOLDS-1) on: the numbers
 * that TensorBoard's pr_curve summary computes of the same float32 probabilities. false: the set
 * was not made to count for it (draws_curves), there are no rows, or there is NaN among them. */
enum { BT_METRIC_THRESHOLDS = 101, BT_METRIC_CURVE_FIGURES = 6, BT_METRIC_CURVES_MAX = 10 };
bool bt_metrics_get_pr_curve(const bt_metrics *metrics, int64_t c,
                             float out[BT_METRIC_CURVE_FIGURES * BT_METRIC_THRESHOLDS]);

/* Whether any number of classes applies to a row, so that the second of two is not all but the
 * first.
 */
bool bt_metrics_has_label_sets(const bt_metrics *metrics);

/* How class c is called within names of metrics: "f1/" and this. names: [n], or NULL: numbers. */
void bt_metrics_call_class(const char *const *names, int64_t n, int64_t c,
                           char out[BT_METRIC_NAME_MAX]);

/* The value that is meant by name, a metric's name with a class in it as the user writes that or as
 * we do: *out is how bt_metrics_compute calls it. config: that of the set. BT_E_CONFIG: there is
 * none, with those that there are. */
BT_MUST_USE bt_status bt_metrics_find_name(const bt_metrics        *metrics,
                                           const bt_metrics_config *config, const char *name,
                                           char out[BT_METRIC_NAME_MAX], bt_error *err);
/* Bytes of name before a class ("f1/" of "f1/spam"); 0: it is none of a single class. */
size_t bt_metrics_class_stem(bt_metric_unit unit, int64_t n_classes, const char *name);

/* What is chosen on the rows of an evaluation. The set decides (bt_metrics_config). */

/* Softmax of n logits over temperature, in double; sigmoid as a float32. */
void  bt_metrics_softmax(double *p, const float *logits, int64_t n, double temperature);
float bt_metrics_sigmoid(float logit);
/* The temperature of all classes' logits with the least log loss, from 0.01 to 100; NaN without
 * rows or with a logit that is not finite. A class a row. */
double bt_metrics_fit_temperature(const bt_metrics *metrics);
/* The values that log_loss and ece have under it. */
BT_MUST_USE bt_status bt_metrics_calibrated(const bt_metrics *metrics, double temperature,
                                            double *log_loss, double *calibration_error,
                                            bt_error *err);
/* Whether a threshold can be chosen by the metric: of two classes, or of label sets. */
bool bt_metrics_can_choose(bt_metric_unit unit, int64_t n_classes, const char *name);
/* The probability of class 1 (of each class of a set) from which on it applies, so that the metric
 * is highest; of equal ones the nearest to 0.5. NaN without rows or with NaN among the logits. */
BT_MUST_USE bt_status bt_metrics_choose_threshold(const bt_metrics *metrics, const char *metric,
                                                  double temperature, double *threshold,
                                                  bt_error *err);
/* Until the next reset the rows that came count as a threshold (not NaN) decides them. */
void bt_metrics_apply_threshold(bt_metrics *metrics, double threshold, double temperature);

/* Exact state for the checkpoint: bytes appended to / read from a string. A state that cannot be
 * loaded leaves the set as bt_metrics_reset does. */
BT_MUST_USE bt_status bt_metrics_save(const bt_metrics *metrics, bt_str *bytes, bt_error *err);
BT_MUST_USE bt_status bt_metrics_load(bt_metrics *metrics, bt_reader *bytes, bt_error *err);

#endif
