/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics, private: the rows of a curve, sorted once, under several weights. */
#ifndef BT_METRICS_CURVES_H
#define BT_METRICS_CURVES_H

#include "metrics_kept.h"

typedef enum curve_kind { CURVE_ROC, CURVE_PRECISION_RECALL } curve_kind;

typedef struct scored_row {
    double  score;
    int64_t row;
    int32_t weight; /* how often it counts: 1 */
    bool    is_positive;
} scored_row;

typedef struct metric_curve {
    scored_row *rows; /* [n] owned: the highest score first; NULL: some is NaN, or there are none */
    int64_t     n;
} metric_curve;

/* Of the classes first <= c < end together. Deinit also after a failure. */
BT_MUST_USE bt_status metric_curve_init(metric_curve *curve, const kept_rows *kept, int64_t first,
                                        int64_t end, bt_error *err);
void                  metric_curve_deinit(metric_curve *curve);
void                  metric_curve_sort(metric_curve *curve);
/* weights: of the rows of kept. */
void metric_curve_weigh(metric_curve *curve, const int32_t *weights);
/* NaN where it is not defined. */
double metric_curve_area(const metric_curve *curve, curve_kind kind);

#endif
