/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of regression that streams: means and co-moments of score and label, for Pearson's
 * correlation and the mean squared error. */
#include <math.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "metrics_internal.h"

/* Welford's running moments: no cancellation, and exactly 0 for constant values. */
typedef struct score_moments {
    int64_t n;
    double  mean_x, mean_y;         /* of the scores, of the labels */
    double  sum_xx, sum_yy, sum_xy; /* of deviations from the means */
    double  sum_error_sq;           /* (x - y)^2 */
} score_moments;

enum { N_SUMS = 6 };

static bt_status create_moments(const bt_metrics_config *config, void **state, bt_error *err) {
    (void)config;
    *state = bt_calloc_array(1, sizeof(score_moments));
    return *state != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for moments");
}

static void reset_moments(void *state) {
    *(score_moments *)state = (score_moments){0};
}

static void add_score(score_moments *s, double x, double y) {
    const double dx = x - s->mean_x;
    const double dy = y - s->mean_y;
    s->n++;
    s->mean_x += dx / (double)s->n;
    s->mean_y += dy / (double)s->n;
    s->sum_xx += dx * (x - s->mean_x);
    s->sum_yy += dy * (y - s->mean_y);
    s->sum_xy += dx * (y - s->mean_y);
    s->sum_error_sq += (x - y) * (x - y);
}

static bt_status update_moments(void *state, const bt_batch *batch, const float *logits,
                                bt_error *err) {
    (void)err;
    for (int64_t i = 0; i < batch->n_seqs; i++) {
        add_score(state, (double)logits[i], (double)batch->float_labels[i]);
    }
    return BT_OK;
}

static bt_status save_moments(const void *state, bt_str *bytes, bt_error *err) {
    const score_moments *const s = state;
    const double               sums[N_SUMS] = {s->mean_x, s->mean_y, s->sum_xx,
                                               s->sum_yy, s->sum_xy, s->sum_error_sq};
    uint64_t                   words[N_SUMS];
    memcpy(words, sums, sizeof words);
    BT_TRY(metric_put_counts(bytes, &s->n, 1, err));
    return metric_put_words(bytes, words, N_SUMS, err);
}

static bt_status load_moments(void *state, bt_reader *bytes, bt_error *err) {
    score_moments *const s = state;
    uint64_t             words[N_SUMS];
    double               sums[N_SUMS];
    BT_TRY(metric_get_counts(bytes, &s->n, 1, err));
    BT_TRY(metric_get_words(bytes, words, N_SUMS, err));
    memcpy(sums, words, sizeof sums);
    s->mean_x = sums[0];
    s->mean_y = sums[1];
    s->sum_xx = sums[2];
    s->sum_yy = sums[3];
    s->sum_xy = sums[4];
    s->sum_error_sq = sums[5];
    return BT_OK;
}

const metric_part metric_part_moments = {
    .wants_labels = "float",
    .create = create_moments,
    .destroy = bt_free,
    .reset = reset_moments,
    .update = update_moments,
    .save = save_moments,
    .load = load_moments,
};

double metric_pearson(const bt_metrics *metrics) {
    const score_moments *const s = metrics->states[PART_MOMENTS];
    const double               spread = sqrt(s->sum_xx) * sqrt(s->sum_yy);
    if (s->n < 2 || !(spread > 0.0)) {
        return (double)NAN;
    }
    return fmax(-1.0, fmin(1.0, s->sum_xy / spread));
}

/* As scikit-learn: labels that are all alike leave nothing to explain. */
double metric_r2(const bt_metrics *metrics) {
    const score_moments *const s = metrics->states[PART_MOMENTS];
    if (s->n < 2 || isnan(s->sum_error_sq)) {
        return (double)NAN;
    }
    return s->sum_yy > 0 ? 1.0 - s->sum_error_sq / s->sum_yy : s->sum_error_sq > 0.0 ? 0.0 : 1.0;
}

double metric_root_mean_squared_error(const bt_metrics *metrics) {
    const score_moments *const s = metrics->states[PART_MOMENTS];
    return s->n > 0 ? sqrt(s->sum_error_sq / (double)s->n) : (double)NAN;
}

/* Model Garden makes the metric and never updates it. */
double metric_mean_squared_error(const bt_metrics *metrics) {
    const score_moments *const s = metrics->states[PART_MOMENTS];
    if (metrics->bug_compatible) {
        return 0.0;
    }
    return s->n > 0 ? s->sum_error_sq / (double)s->n : 0.0;
}
