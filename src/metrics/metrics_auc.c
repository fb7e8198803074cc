/* SPDX-License-Identifier: Apache-2.0
 *
 * Area under the precision-recall curve as Keras computes it: 200 thresholds, interpolated between
 * them in true positives (Davis and Goadrich, ICML 2006). Keras works in float32 on counts; here
 * the counts are exact and the arithmetic double. */
#include <math.h>

#include "metrics_internal.h"

static double divide_no_nan(double a, double b) {
    return b == 0.0 ? 0.0 : a / b;
}

double metric_pr_auc(const int64_t positive[AUC_THRESHOLDS],
                     const int64_t negative[AUC_THRESHOLDS]) {
    double n_positive = 0.0;
    for (int i = 0; i < AUC_THRESHOLDS; i++) {
        n_positive += (double)positive[i];
    }
    double area = 0.0;
    double true_above = (double)positive[AUC_THRESHOLDS - 1]; /* at the higher threshold */
    double all_above = true_above + (double)negative[AUC_THRESHOLDS - 1];
    for (int i = AUC_THRESHOLDS - 2; i >= 0; i--) {
        const double d_true = (double)positive[i];
        const double d_all = d_true + (double)negative[i];
        const double slope = divide_no_nan(d_true, d_all);
        const double intercept = true_above - slope * all_above;
        const double all_below = all_above + d_all;
        const double ratio = all_below > 0.0 && all_above > 0.0 ? all_below / all_above : 1.0;
        area += divide_no_nan(slope * (d_true + intercept * log(ratio)), n_positive);
        true_above += d_true;
        all_above = all_below;
    }
    return area;
}
