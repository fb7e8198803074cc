/* SPDX-License-Identifier: Apache-2.0
 *
 * Areas under the ROC curve and average precision, of a class against all others, over every
 * threshold, as scikit-learn: equal scores are one threshold. Scores are probabilities (softmax in
 * double) of one class a row, logits where several may apply. */
#include "metrics_curves.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"

/* The highest first. */
static int compare_scored(const void *a, const void *b) {
    const double x = ((const scored_row *)a)->score;
    const double y = ((const scored_row *)b)->score;
    return (x < y) - (x > y);
}

/* Without rows of both kinds there is no ROC curve; without positive ones precision is 0. */
static double area_under(curve_kind kind, const scored_row *rows, int64_t n) {
    double positive = 0;
    double all = 0;
    double area = 0;
    double hits = 0; /* positive ones so far */
    double seen = 0;
    for (int64_t i = 0; i < n; i++) {
        positive += rows[i].is_positive ? rows[i].weight : 0;
        all += rows[i].weight;
    }
    if (kind == CURVE_ROC && (positive == 0 || positive == all)) {
        return (double)NAN;
    }
    for (int64_t i = 0; i < n;) {
        const double score = rows[i].score;
        const double hits_before = hits;
        const double seen_before = seen;
        for (; i < n && rows[i].score == score; i++) {
            hits += rows[i].is_positive ? rows[i].weight : 0;
            seen += rows[i].weight;
        }
        const double d_hits = hits - hits_before;
        const double d_misses = seen - seen_before - d_hits;
        area += kind == CURVE_ROC ? d_misses * (hits_before + hits) / 2.0
                : seen > 0        ? d_hits * (hits / seen)
                                  : 0.0;
    }
    return kind == CURVE_ROC ? area / (positive * (all - positive))
           : all == 0        ? (double)NAN
           : positive == 0   ? 0.0
                             : area / positive;
}

static double probability_of(const float *x, int64_t n, int64_t c) {
    const double largest = (double)x[metric_argmax(x, n)];
    double       sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += exp((double)x[i] - largest);
    }
    return exp((double)x[c] - largest) / sum;
}

static scored_row row_of(const kept_rows *k, int64_t i, int64_t c) {
    const float *const x = k->logits + i * k->n_classes;
    return (scored_row){.score =
                            k->applies != NULL ? (double)x[c] : probability_of(x, k->n_classes, c),
                        .row = i,
                        .weight = 1,
                        .is_positive = k->applies != NULL ? k->applies[i * k->n_classes + c] != 0
                                                          : k->labels[i] == c};
}

static const kept_rows *rows_of(const bt_metrics *metrics) {
    return metrics->states[metrics->unit == BT_METRIC_OF_LABEL_SETS ? PART_KEPT_SETS : PART_KEPT];
}

bt_status metric_curve_init(metric_curve *curve, const kept_rows *kept, int64_t first, int64_t end,
                            bt_error *err) {
    const int64_t n = kept->n * (end - first);
    if (n == 0 || kept->has_nan) {
        return BT_OK;
    }
    curve->rows = bt_alloc_array((size_t)n, sizeof *curve->rows);
    if (curve->rows == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "not enough memory to sort %" PRId64 " scores", n);
    }
    curve->n = n;
    for (int64_t i = 0; i < n; i++) {
        curve->rows[i] = row_of(kept, i / (end - first), first + i % (end - first));
        if (isnan(curve->rows[i].score)) { /* of infinite logits */
            metric_curve_deinit(curve);
            return BT_OK;
        }
    }
    metric_curve_sort(curve);
    return BT_OK;
}

void metric_curve_sort(metric_curve *curve) {
    qsort(curve->rows, (size_t)curve->n, sizeof *curve->rows, compare_scored);
}

void metric_curve_deinit(metric_curve *curve) {
    bt_free(curve->rows);
    *curve = (metric_curve){.n = 0};
}

void metric_curve_weigh(metric_curve *curve, const int32_t *weights) {
    for (int64_t i = 0; i < curve->n; i++) {
        curve->rows[i].weight = weights[curve->rows[i].row];
    }
}

double metric_curve_area(const metric_curve *curve, curve_kind kind) {
    return curve->rows != NULL ? area_under(kind, curve->rows, curve->n) : (double)NAN;
}

/* NaN and a warning when memory is gone. */
static double area_of(const kept_rows *k, curve_kind kind, int64_t first, int64_t end) {
    metric_curve curve = {.n = 0};
    bt_error     error = BT_ERROR_INIT;
    if (metric_curve_init(&curve, k, first, end, &error) != BT_OK) {
        bt_log(BT_LOG_WARNING, "%s: no area under their curve", error.msg);
        return (double)NAN;
    }
    const double area = metric_curve_area(&curve, kind);
    metric_curve_deinit(&curve);
    return area;
}

static double n_labelled(const kept_rows *k, int64_t c) {
    double n = 0;
    for (int64_t i = 0; i < k->n; i++) {
        n += k->applies != NULL ? k->applies[i * k->n_classes + c] : k->labels[i] == c ? 1 : 0;
    }
    return n;
}

static double averaged(const kept_rows *k, curve_kind kind, metric_average average) {
    double sum = 0;
    double weights = 0;
    if (average == AVERAGE_MICRO) {
        return area_of(k, kind, 0, k->n_classes);
    }
    for (int64_t c = 0; c < k->n_classes; c++) {
        const double weight = average == AVERAGE_MACRO ? 1 : n_labelled(k, c);
        sum += weight > 0 ? weight * area_of(k, kind, c, c + 1) : 0;
        weights += weight;
    }
    return weights > 0 ? sum / weights : k->n > 0 ? 0 : (double)NAN;
}

double metric_roc_auc(const bt_metrics *metrics) {
    return area_of(rows_of(metrics), CURVE_ROC, 1, 2);
}

double metric_average_precision(const bt_metrics *metrics) {
    return area_of(rows_of(metrics), CURVE_PRECISION_RECALL, 1, 2);
}

double metric_roc_auc_averaged(const bt_metrics *metrics, const metric_row *row) {
    return averaged(rows_of(metrics), CURVE_ROC, row->average);
}

double metric_average_precision_averaged(const bt_metrics *metrics, const metric_row *row) {
    return averaged(rows_of(metrics), CURVE_PRECISION_RECALL, row->average);
}

double metric_roc_auc_of_class(const bt_metrics *metrics, const metric_row *row, int64_t c) {
    (void)row;
    return area_of(rows_of(metrics), CURVE_ROC, c, c + 1);
}

double metric_average_precision_of_class(const bt_metrics *metrics, const metric_row *row,
                                         int64_t c) {
    (void)row;
    return area_of(rows_of(metrics), CURVE_PRECISION_RECALL, c, c + 1);
}
