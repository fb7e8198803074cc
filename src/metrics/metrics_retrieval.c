/* SPDX-License-Identifier: Apache-2.0
 *
 * The part that counts ranks: where, among the right sides of its batch, each left side finds its
 * own, and the other way round. The logits are a matrix of scores, one row a left side, the right
 * answers on the diagonal. Counts of ranks give recall at any k and the mean reciprocal rank. */
#include <inttypes.h>
#include <math.h>

#include "bt/base/alloc.h"
#include "metrics_internal.h"

typedef struct rank_counts {
    int64_t  n_batches;
    int64_t  n_pairs;
    int64_t  n_ranks; /* counts holds ranks 0 .. n_ranks-1 of both sides */
    int64_t *counts;  /* owned; [n_ranks][2] left, right; rank 0: some score is not finite */
    size_t   cap;
} rank_counts;

enum { MAX_BATCH = 1 << 24 }; /* far more pairs than have scores in memory */

static bt_status create_ranks(const bt_metrics_config *config, void **state, bt_error *err) {
    (void)config;
    *state = bt_calloc_array(1, sizeof(rank_counts));
    return *state != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for counts of ranks");
}

static void free_ranks(void *state) {
    rank_counts *const r = state;
    if (r != NULL) {
        bt_free(r->counts);
        bt_free(r);
    }
}

static void reset_ranks(void *state) {
    rank_counts *const r = state;
    r->n_batches = 0;
    r->n_pairs = 0;
    r->n_ranks = 0;
}

static bt_status make_room(rank_counts *r, int64_t n_ranks, bt_error *err) {
    if (n_ranks > r->n_ranks) {
        BT_TRY(bt_grow(&r->counts, &r->cap, 2 * (size_t)n_ranks, sizeof *r->counts,
                       2 * (size_t)MAX_BATCH, err));
        for (int64_t i = 2 * r->n_ranks; i < 2 * n_ranks; i++) {
            r->counts[i] = 0;
        }
        r->n_ranks = n_ranks;
    }
    return BT_OK;
}

/* One more than how many of the n scores, `stride` apart, are above the i-th: the better rank of
 * equal ones, as tf.math.in_top_k. */
static int64_t rank_of(const float *scores, int64_t n, int64_t stride, int64_t i) {
    const float own = scores[i * stride];
    int64_t     rank = 1;
    for (int64_t j = 0; j < n; j++) {
        if (!isfinite(scores[j * stride])) {
            return 0;
        }
        rank += scores[j * stride] > own;
    }
    return rank;
}

static bt_status update_ranks(void *state, const bt_batch *batch, const float *logits,
                              bt_error *err) {
    rank_counts *const r = state;
    const int64_t      n = batch->n_seqs / 2;
    BT_TRY(make_room(r, n + 1, err));
    for (int64_t i = 0; i < n; i++) {
        r->counts[2 * rank_of(logits + i * n, n, 1, i)]++;
        r->counts[2 * rank_of(logits + i, n, n, i) + 1]++;
    }
    r->n_pairs += n;
    r->n_batches++;
    return BT_OK;
}

static bt_status save_ranks(const void *state, bt_str *bytes, bt_error *err) {
    const rank_counts *const r = state;
    const int64_t            head[] = {r->n_batches, r->n_pairs, r->n_ranks};
    BT_TRY(metric_put_counts(bytes, head, (int64_t)BT_ARRAY_LEN(head), err));
    return metric_put_counts(bytes, r->counts, 2 * r->n_ranks, err);
}

/* Each pair is counted once a side. */
static bt_status check_ranks(const rank_counts *r, bt_error *err) {
    for (int side = 0; side < 2; side++) {
        int64_t n = 0; /* at most n_pairs and one count: no overflow */
        for (int64_t rank = 0; rank < r->n_ranks && n <= r->n_pairs; rank++) {
            n += r->counts[2 * rank + side];
        }
        if (n != r->n_pairs) {
            return BT_FAIL(err, BT_E_FORMAT,
                           "metrics state: ranks of %" PRId64 " pairs are not those of %" PRId64, n,
                           r->n_pairs);
        }
    }
    return BT_OK;
}

static bt_status load_ranks(void *state, bt_reader *bytes, bt_error *err) {
    rank_counts *const r = state;
    int64_t            head[3] = {0};
    BT_TRY(metric_get_counts(bytes, head, (int64_t)BT_ARRAY_LEN(head), err));
    if ((size_t)head[2] > bt_reader_left(bytes) / (2 * sizeof *r->counts)) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "metrics state: %zu bytes left, but counts of %" PRId64
                       " ranks are announced",
                       bt_reader_left(bytes), head[2]);
    }
    BT_TRY(make_room(r, head[2], err));
    r->n_batches = head[0];
    r->n_pairs = head[1];
    r->n_ranks = head[2];
    BT_TRY(metric_get_counts(bytes, r->counts, 2 * r->n_ranks, err));
    return check_ranks(r, err);
}

const metric_part metric_part_ranks = {
    .wants_labels = NULL,
    .create = create_ranks,
    .destroy = free_ranks,
    .reset = reset_ranks,
    .update = update_ranks,
    .save = save_ranks,
    .load = load_ranks,
};

static const rank_counts *ranks_of(const bt_metrics *metrics) {
    return metrics->states[PART_RANKS];
}

static double divide(double a, int64_t n) {
    return n > 0 ? a / (double)n : 0.0;
}

static double recall_at(const rank_counts *r, int64_t k, int side) {
    int64_t n = 0;
    for (int64_t rank = 1; rank < r->n_ranks && rank <= k; rank++) {
        n += r->counts[2 * rank + side];
    }
    return divide((double)n, r->n_pairs);
}

static double reciprocal_rank(const rank_counts *r, int side) {
    double sum = 0.0;
    for (int64_t rank = 1; rank < r->n_ranks; rank++) {
        sum += (double)r->counts[2 * rank + side] / (double)rank;
    }
    return divide(sum, r->n_pairs);
}

double metric_left_recall(const bt_metrics *metrics, int64_t k) {
    return recall_at(ranks_of(metrics), k, 0);
}

double metric_right_recall(const bt_metrics *metrics, int64_t k) {
    return recall_at(ranks_of(metrics), k, 1);
}

double metric_left_mrr(const bt_metrics *metrics) {
    return reciprocal_rank(ranks_of(metrics), 0);
}

double metric_right_mrr(const bt_metrics *metrics) {
    return reciprocal_rank(ranks_of(metrics), 1);
}

/* Mean over batches, as Keras's Mean gives it. */
double metric_batch_size(const bt_metrics *metrics) {
    const rank_counts *const r = ranks_of(metrics);
    return divide((double)r->n_pairs, r->n_batches);
}
