/* SPDX-License-Identifier: Apache-2.0
 *
 * The part that counts spans whose start or end has the highest score of its sequence: Model
 * Garden's start_position_accuracy and end_position_accuracy, padding included where the batch
 * keeps it. */
#include "bt/base/alloc.h"
#include "metrics_internal.h"

typedef struct span_counts {
    int64_t n; /* spans */
    int64_t n_starts_right;
    int64_t n_ends_right;
} span_counts;

enum { N_WORDS = 3 };

static void free_spans(void *state) {
    bt_free(state);
}

static bt_status create_spans(const bt_metrics_config *config, void **state, bt_error *err) {
    (void)config;
    *state = bt_calloc_array(1, sizeof(span_counts));
    return *state != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for counts of spans");
}

static void reset_spans(void *state) {
    *(span_counts *)state = (span_counts){0};
}

/* The first of the largest of n scores that stand 2 apart. */
static int64_t best_place(const float *scores, int64_t n) {
    int64_t best = 0;
    for (int64_t t = 1; t < n; t++) {
        if (scores[2 * t] > scores[2 * best]) {
            best = t;
        }
    }
    return best;
}

static bt_status update_spans(void *state, const bt_batch *batch, const float *logits,
                              bt_error *err) {
    span_counts *const   c = state;
    const int32_t *const starts = batch->int_labels;
    const int32_t *const ends = batch->int_labels + batch->n_seqs;
    for (int64_t b = 0; b < batch->n_seqs; b++) {
        const float *const scores = logits + 2 * batch->offsets[b];
        const int64_t      n = batch->offsets[b + 1] - batch->offsets[b];
        BT_TRY(metric_check_label(starts[b], n, c->n, err));
        BT_TRY(metric_check_label(ends[b], n, c->n, err));
        c->n_starts_right += best_place(scores, n) == starts[b] ? 1 : 0;
        c->n_ends_right += best_place(scores + 1, n) == ends[b] ? 1 : 0;
        c->n++;
    }
    return BT_OK;
}

static bt_status save_spans(const void *state, bt_str *bytes, bt_error *err) {
    const span_counts *const c = state;
    const int64_t            counts[N_WORDS] = {c->n, c->n_starts_right, c->n_ends_right};
    return metric_put_counts(bytes, counts, N_WORDS, err);
}

static bt_status load_spans(void *state, bt_reader *bytes, bt_error *err) {
    int64_t counts[N_WORDS] = {0};
    BT_TRY(metric_get_counts(bytes, counts, N_WORDS, err));
    *(span_counts *)state = (span_counts){counts[0], counts[1], counts[2]};
    return BT_OK;
}

const metric_part metric_part_spans = {.wants_labels = "class",
                                       .create = create_spans,
                                       .destroy = free_spans,
                                       .reset = reset_spans,
                                       .update = update_spans,
                                       .save = save_spans,
                                       .load = load_spans};

static double share_of(const bt_metrics *metrics, bool of_starts) {
    const span_counts *const c = metrics->states[PART_SPANS];
    const int64_t            n_right = of_starts ? c->n_starts_right : c->n_ends_right;
    return c->n > 0 ? (double)n_right / (double)c->n : 0.0;
}

double metric_start_accuracy(const bt_metrics *metrics) {
    return share_of(metrics, true);
}

double metric_end_accuracy(const bt_metrics *metrics) {
    return share_of(metrics, false);
}
