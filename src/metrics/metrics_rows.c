/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of metrics: what each keeps, what models it is for, and its value from the sums.
 * spec/numerics.md section 11. Adding one is one row and one function. */
#include <math.h>

#include "metrics_internal.h"

static double ratio_or_zero(double a, double b) {
    return b > 0.0 ? a / b : 0.0;
}

static double compute_accuracy(const bt_metrics *m) {
    return ratio_or_zero((double)m->n_correct, (double)m->n_examples);
}

static double compute_auc(const bt_metrics *m) {
    return metric_pr_auc(m->auc_positive, m->auc_negative);
}

/* Of class 1; 0 when it is neither predicted nor there, as scikit-learn. */
static double compute_f1(const bt_metrics *m) {
    return ratio_or_zero(2.0 * (double)m->n_true_positive,
                         (double)m->predicted[1] + (double)m->labelled[1]);
}

/* The multi-class form of scikit-learn, which needs only the margins of the confusion matrix. */
static double compute_matthews(const bt_metrics *m) {
    const double n = (double)m->n_examples;
    double       cross = (double)m->n_correct * n;
    double       predicted = n * n;
    double       labelled = n * n;
    for (int64_t c = 0; c < m->n_classes; c++) {
        const double p = (double)m->predicted[c];
        const double l = (double)m->labelled[c];
        cross -= p * l;
        predicted -= p * p;
        labelled -= l * l;
    }
    const double product = predicted * labelled;
    return product > 0.0 ? cross / sqrt(product) : 0.0;
}

static double compute_pearson(const bt_metrics *m) {
    const metric_moments *const s = &m->moments;
    const double                spread = sqrt(s->sum_xx) * sqrt(s->sum_yy);
    if (m->n_examples < 2 || !(spread > 0.0)) {
        return (double)NAN;
    }
    return fmax(-1.0, fmin(1.0, s->sum_xy / spread));
}

static double compute_spearman(const bt_metrics *m) {
    return metric_spearman(m->pairs, m->n_examples);
}

static double compute_pearson_spearman(const bt_metrics *m) {
    return (compute_pearson(m) + compute_spearman(m)) / 2.0;
}

static double compute_mean_squared_error(const bt_metrics *m) {
    return ratio_or_zero(m->moments.sum_error_sq, (double)m->n_examples);
}

#define FOR_CLASSES .min_classes = 2, .max_classes = INT64_MAX, .wants = "num_classes of 2 or more"
#define FOR_TWO .min_classes = 2, .max_classes = 2, .wants = "num_classes 2"
#define FOR_SCORES .min_classes = 1, .max_classes = 1, .wants = "num_classes 1 (regression)"

const metric_row metric_rows[] = {
    {.name = "cls_accuracy", .needs = NEED_CLASSES, FOR_CLASSES, .compute = compute_accuracy},
    {.name = "auc", .needs = NEED_AUC, FOR_TWO, .compute = compute_auc},
    {.name = "f1", .needs = NEED_CLASSES, FOR_TWO, .compute = compute_f1},
    {.name = "matthews_corrcoef", .needs = NEED_CLASSES, FOR_CLASSES, .compute = compute_matthews},
    {.name = "pearson_spearman_corr",
     .needs = NEED_MOMENTS | NEED_PAIRS,
     FOR_SCORES,
     .compute = compute_pearson_spearman},
    {.name = "pearson", .needs = NEED_MOMENTS, FOR_SCORES, .compute = compute_pearson},
    {.name = "spearman", .needs = NEED_PAIRS, FOR_SCORES, .compute = compute_spearman},
    {.name = "mean_squared_error",
     .needs = NEED_MOMENTS,
     FOR_SCORES,
     .compute = compute_mean_squared_error},
};
const size_t n_metric_rows = BT_ARRAY_LEN(metric_rows);
