/* SPDX-License-Identifier: Apache-2.0
 *
 * Spearman's rank correlation, as scipy.stats.spearmanr: Pearson's of the average ranks. Its part
 * keeps every score and label, 8 bytes an example: ranks have no streaming form. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "metrics_internal.h"

static const size_t max_floats = (size_t)1 << 40;

typedef struct score_pairs {
    int64_t n;
    float  *pairs; /* owned: score, label, score, label ... */
    size_t  cap;
} score_pairs;

static bt_status create_pairs(const bt_metrics_config *config, void **state, bt_error *err) {
    (void)config;
    *state = bt_calloc_array(1, sizeof(score_pairs));
    return *state != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for ranks");
}

static void free_pairs(void *state) {
    score_pairs *const s = state;
    if (s != NULL) {
        bt_free(s->pairs);
        bt_free(s);
    }
}

static void reset_pairs(void *state) {
    ((score_pairs *)state)->n = 0;
}

static bt_status update_pairs(void *state, const bt_batch *batch, const float *logits,
                              bt_error *err) {
    score_pairs *const s = state;
    const size_t       n_floats = 2 * (size_t)(s->n + batch->n_seqs);
    BT_TRY(bt_grow(&s->pairs, &s->cap, n_floats, sizeof *s->pairs, max_floats, err));
    for (int64_t i = 0; i < batch->n_seqs; i++) {
        s->pairs[2 * s->n] = logits[i];
        s->pairs[2 * s->n + 1] = batch->float_labels[i];
        s->n++;
    }
    return BT_OK;
}

static bt_status save_pairs(const void *state, bt_str *bytes, bt_error *err) {
    const score_pairs *const s = state;
    BT_TRY(metric_put_counts(bytes, &s->n, 1, err));
    for (int64_t i = 0; i < s->n; i++) {
        uint32_t halves[2];
        memcpy(halves, s->pairs + 2 * i, sizeof halves);
        const uint64_t word = halves[0] | (uint64_t)halves[1] << 32;
        BT_TRY(metric_put_words(bytes, &word, 1, err));
    }
    return BT_OK;
}

static bt_status load_pairs(void *state, bt_reader *bytes, bt_error *err) {
    score_pairs *const s = state;
    int64_t            n = 0;
    BT_TRY(metric_get_counts(bytes, &n, 1, err));
    if ((uint64_t)n > bt_reader_left(bytes) / 8) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "metrics state: %zu bytes left, but %" PRId64
                       " examples of 8 bytes are announced",
                       bt_reader_left(bytes), n);
    }
    BT_TRY(bt_grow(&s->pairs, &s->cap, 2 * (size_t)n, sizeof *s->pairs, max_floats, err));
    for (int64_t i = 0; i < n; i++) {
        uint64_t word = 0;
        BT_TRY(metric_get_words(bytes, &word, 1, err));
        const uint32_t halves[2] = {(uint32_t)word, (uint32_t)(word >> 32)};
        memcpy(s->pairs + 2 * i, halves, sizeof halves);
    }
    s->n = n;
    return BT_OK;
}

const metric_part metric_part_pairs = {
    .wants_labels = "float",
    .create = create_pairs,
    .destroy = free_pairs,
    .reset = reset_pairs,
    .update = update_pairs,
    .save = save_pairs,
    .load = load_pairs,
};

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

/* NaN for constant values, for NaN among them, and for fewer than 2; NaN and a warning when memory
 * is gone. */
double metric_spearman(const bt_metrics *metrics) {
    const score_pairs *const s = metrics->states[PART_PAIRS];
    const float *const       pairs = s->pairs;
    const int64_t            n = s->n;
    if (n < 2 || has_nan(pairs, n)) {
        return (double)NAN;
    }
    double        result = (double)NAN;
    ranked *const scratch = bt_alloc_array((size_t)n, sizeof *scratch);
    double *const x = bt_alloc_array((size_t)n, sizeof *x);
    double *const y = bt_alloc_array((size_t)n, sizeof *y);
    if (scratch == NULL || x == NULL || y == NULL) {
        bt_log(BT_LOG_WARNING,
               "not enough memory to rank %" PRId64 " predictions: no rank correlation", n);
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
