/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of rows with several labels: of each class, how often it applies, was found, and both. A
 * class is found from a probability (the sigmoid of its logit) on; a soft label applies from 0.5
 * on. F1 as scikit-learn's with zero_division=0. */
#include <math.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "metrics_kept.h"

typedef struct multi_counts {
    int64_t  n_classes;
    double   cut; /* logit of the threshold */
    int64_t  n;   /* rows */
    int64_t  n_exact;
    int64_t *counts; /* [3,n_classes] owned: applies, found, both */
} multi_counts;

static void free_counts(void *state) {
    multi_counts *const c = state;
    if (c != NULL) {
        bt_free(c->counts);
        bt_free(c);
    }
}

static bt_status create_counts(const bt_metrics_config *config, void **state, bt_error *err) {
    const size_t        n = (size_t)config->n_classes;
    multi_counts *const c = bt_calloc_array(1, sizeof *c);
    if (c != NULL) {
        c->n_classes = config->n_classes;
        c->cut = log(config->threshold / (1 - config->threshold));
        c->counts = bt_calloc_array(3 * n, sizeof *c->counts);
    }
    if (c == NULL || c->counts == NULL) {
        free_counts(c);
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for counts of %zu classes", n);
    }
    *state = c;
    return BT_OK;
}

static void reset_counts(void *state) {
    multi_counts *const c = state;
    c->n = 0;
    c->n_exact = 0;
    memset(c->counts, 0, 3 * (size_t)c->n_classes * sizeof *c->counts);
}

void metric_multi_count(void *state, int64_t i, bool applies, bool found, int64_t weight) {
    multi_counts *const c = state;
    const int64_t       C = c->n_classes;
    c->counts[i] += applies ? weight : 0;
    c->counts[C + i] += found ? weight : 0;
    c->counts[2 * C + i] += applies && found ? weight : 0;
}

static bt_status update(void *state, const bt_batch *batch, const float *logits, bt_error *err) {
    multi_counts *const c = state;
    const int64_t       C = c->n_classes;
    (void)err;
    for (int64_t b = 0; b < batch->n_seqs; b++) {
        bool is_exact = true;
        for (int64_t i = 0; i < C; i++) {
            const bool applies = batch->float_labels[b * C + i] >= 0.5F;
            const bool found = (double)logits[b * C + i] >= c->cut;
            metric_multi_count(c, i, applies, found, 1);
            is_exact = is_exact && applies == found;
        }
        c->n_exact += is_exact ? 1 : 0;
        c->n++;
    }
    return BT_OK;
}

void metric_multi_recount(void *state, const kept_rows *k, double threshold) {
    multi_counts *const c = state;
    reset_counts(c);
    for (int64_t b = 0; b < k->n; b++) {
        bool is_exact = true;
        for (int64_t i = 0; i < c->n_classes; i++) {
            const int64_t at = b * c->n_classes + i;
            const bool    applies = k->applies[at] != 0;
            const bool    found = (double)bt_metrics_sigmoid(k->logits[at]) >= threshold;
            metric_multi_count(c, i, applies, found, 1);
            is_exact = is_exact && applies == found;
        }
        c->n_exact += is_exact ? 1 : 0;
        c->n++;
    }
}

static bt_status save_counts(const void *state, bt_str *bytes, bt_error *err) {
    const multi_counts *const c = state;
    const int64_t             head[] = {c->n, c->n_exact};
    BT_TRY(metric_put_counts(bytes, head, (int64_t)BT_ARRAY_LEN(head), err));
    return metric_put_counts(bytes, c->counts, 3 * c->n_classes, err);
}

static bt_status load_counts(void *state, bt_reader *bytes, bt_error *err) {
    multi_counts *const c = state;
    int64_t             head[2] = {0};
    BT_TRY(metric_get_counts(bytes, head, (int64_t)BT_ARRAY_LEN(head), err));
    c->n = head[0];
    c->n_exact = head[1];
    return metric_get_counts(bytes, c->counts, 3 * c->n_classes, err);
}

const metric_part metric_part_multi = {
    .wants_labels = "float",
    .create = create_counts,
    .destroy = free_counts,
    .reset = reset_counts,
    .update = update,
    .save = save_counts,
    .load = load_counts,
};

static double f1(int64_t applies, int64_t found, int64_t both) {
    return applies + found > 0 ? 2.0 * (double)both / (double)(applies + found) : 0;
}

metric_counts metric_multi_counts(const bt_metrics *metrics) {
    const multi_counts *const c = metrics->states[PART_MULTI];
    const int64_t             C = c->n_classes;
    return (metric_counts){C, c->counts, c->counts + C, c->counts + 2 * C};
}

double metric_multi_f1_micro(const bt_metrics *metrics) {
    const multi_counts *const c = metrics->states[PART_MULTI];
    int64_t                   sums[3] = {0};
    for (int64_t i = 0; i < 3 * c->n_classes; i++) {
        sums[i / c->n_classes] += c->counts[i];
    }
    return f1(sums[0], sums[1], sums[2]);
}

double metric_multi_f1_macro(const bt_metrics *metrics) {
    const multi_counts *const c = metrics->states[PART_MULTI];
    const int64_t             C = c->n_classes;
    double                    sum = 0;
    for (int64_t i = 0; i < C; i++) {
        sum += f1(c->counts[i], c->counts[C + i], c->counts[2 * C + i]);
    }
    return sum / (double)C;
}

double metric_multi_exact(const bt_metrics *metrics) {
    const multi_counts *const c = metrics->states[PART_MULTI];
    return c->n > 0 ? (double)c->n_exact / (double)c->n : 0;
}
