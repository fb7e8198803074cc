/* SPDX-License-Identifier: Apache-2.0
 *
 * Spearman's rank correlation, as scipy.stats.spearmanr: Pearson's of the average ranks. */
#include <math.h>
#include <stdlib.h>

#include "metrics_internal.h"

typedef struct ranked {
    float   value;
    int64_t index;
} ranked;

static int compare_ranked(const void *a, const void *b) {
    const float x = ((const ranked *)a)->value;
    const float y = ((const ranked *)b)->value;
    return (x > y) - (x < y);
}

/* side 0: predictions, 1: labels. ranks[i] minus the mean rank, so that sums need no correction. */
static void centred_ranks(double *ranks, ranked *scratch, const float *pairs, int64_t n, int side) {
    for (int64_t i = 0; i < n; i++) {
        scratch[i] = (ranked){.value = pairs[2 * i + side], .index = i};
    }
    qsort(scratch, (size_t)n, sizeof *scratch, compare_ranked);
    const double mean = ((double)n + 1.0) / 2.0;
    for (int64_t first = 0; first < n;) {
        int64_t end = first + 1;
        while (end < n && scratch[end].value == scratch[first].value) {
            end++;
        }
        /* places first+1 .. end share their average */
        const double rank = ((double)first + 1.0 + (double)end) / 2.0;
        for (; first < end; first++) {
            ranks[scratch[first].index] = rank - mean;
        }
    }
}

static bool has_nan(const float *pairs, int64_t n) {
    for (int64_t i = 0; i < 2 * n; i++) {
        if (isnan(pairs[i])) {
            return true;
        }
    }
    return false;
}

static double correlate(const double *x, const double *y, int64_t n) {
    double xx = 0.0;
    double yy = 0.0;
    double xy = 0.0;
    for (int64_t i = 0; i < n; i++) {
        xx += x[i] * x[i];
        yy += y[i] * y[i];
        xy += x[i] * y[i];
    }
    return xx > 0.0 && yy > 0.0 ? xy / sqrt(xx * yy) : (double)NAN;
}

double metric_spearman(const float *pairs, int64_t n) {
    if (n < 2 || has_nan(pairs, n)) {
        return (double)NAN;
    }
    double        result = (double)NAN;
    ranked *const scratch = bt_alloc_array((size_t)n, sizeof *scratch);
    double *const x = bt_alloc_array((size_t)n, sizeof *x);
    double *const y = bt_alloc_array((size_t)n, sizeof *y);
    if (scratch == NULL || x == NULL || y == NULL) {
        bt_log(BT_LOG_WARNING, "no memory to rank %" PRId64 " predictions: no rank correlation", n);
    } else {
        centred_ranks(x, scratch, pairs, n, 0);
        centred_ranks(y, scratch, pairs, n, 1);
        result = correlate(x, y, n);
    }
    bt_free(scratch);
    bt_free(x);
    bt_free(y);
    return result;
}
