/* SPDX-License-Identifier: Apache-2.0
 *
 * The sums that metrics stream into. One struct for all of them: most are a few numbers, and the
 * selected metrics only decide which parts are kept. */
#ifndef BT_METRICS_INTERNAL_H
#define BT_METRICS_INTERNAL_H

#include "bt/metrics.h"

enum { AUC_THRESHOLDS = 200 };

typedef enum metric_need {
    NEED_CLASSES = 1 << 0, /* counts of classes */
    NEED_AUC = 1 << 1,     /* buckets of probabilities */
    NEED_MOMENTS = 1 << 2, /* means and co-moments of prediction and label */
    NEED_PAIRS = 1 << 3,   /* every prediction and label: rank correlation has no streaming form */
} metric_need;

/* Welford's running moments: no cancellation, and exactly 0 for constant values. */
typedef struct metric_moments {
    double mean_x, mean_y;
    double sum_xx, sum_yy, sum_xy; /* of deviations from the means */
    double sum_error_sq;           /* (x - y)^2 */
} metric_moments;

typedef struct metric_row metric_row;

struct bt_metrics {
    const metric_row *rows[BT_METRIC_MAX];
    size_t            n_rows;
    uint32_t          needs; /* of metric_need */
    int64_t           n_classes;
    int64_t           n_examples;
    int64_t           n_correct;
    int64_t           n_true_positive; /* predicted 1, label 1 */
    int64_t          *predicted;       /* [n_classes] owned */
    int64_t          *labelled;        /* [n_classes] owned */
    int64_t           auc_positive[AUC_THRESHOLDS];
    int64_t           auc_negative[AUC_THRESHOLDS];
    metric_moments    moments;
    float            *pairs; /* owned: prediction, label, prediction, label ... */
    size_t            cap_pairs;
};

struct metric_row {
    const char *name;
    uint32_t    needs;
    int64_t     min_classes;
    int64_t     max_classes;
    const char *wants; /* the same in words, for messages */
    double (*compute)(const bt_metrics *metrics);
};

extern const metric_row metric_rows[];
extern const size_t     n_metric_rows;

/* Average rank of ties; NaN for constant values, for NaN among them, and for fewer than 2. NaN and
 * a warning when memory is gone. */
double metric_spearman(const float *pairs, int64_t n);
/* Keras AUC(curve="PR", summation_method="interpolation") from the buckets. */
double metric_pr_auc(const int64_t positive[AUC_THRESHOLDS],
                     const int64_t negative[AUC_THRESHOLDS]);

#endif
