/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts that curves of precision and recall are drawn from: rows in buckets of their float32
 * probability, a class at a time, as TensorBoard's plugins/pr_curve/summary.py counts them. The
 * thresholds are the same for every evaluation, so that no row has to be kept. */
#include <math.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "metrics_internal.h"

enum { N = BT_METRIC_THRESHOLDS };
static const double least_count = 1e-7; /* _MINIMUM_COUNT there */

typedef struct buckets {
    int64_t  n_classes;
    int64_t  n;       /* rows */
    bool     is_lost; /* there was a NaN among the logits: there is no curve */
    int64_t *hits;    /* [n_classes,N] owned: rows of the class, by probability of being one */
    int64_t *misses;  /* [n_classes,N] owned: the others */
} buckets;

static void free_buckets(void *state) {
    buckets *const b = state;
    if (b != NULL) {
        bt_free(b->hits);
        bt_free(b->misses);
        bt_free(b);
    }
}

static bt_status create_buckets(const bt_metrics_config *config, void **state, bt_error *err) {
    const size_t   n = (size_t)config->n_classes * N;
    buckets *const b = bt_calloc_array(1, sizeof *b);
    if (b != NULL) {
        b->n_classes = config->n_classes;
        b->hits = bt_calloc_array(n, sizeof *b->hits);
        b->misses = bt_calloc_array(n, sizeof *b->misses);
    }
    if (b == NULL || b->hits == NULL || b->misses == NULL) {
        free_buckets(b);
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for curves of precision and recall");
    }
    *state = b;
    return BT_OK;
}

static void reset_buckets(void *state) {
    buckets *const b = state;
    const size_t   n_bytes = (size_t)b->n_classes * N * sizeof *b->hits;
    b->n = 0;
    b->is_lost = false;
    memset(b->hits, 0, n_bytes);
    memset(b->misses, 0, n_bytes);
}

static void count(buckets *b, int64_t c, float probability, bool applies) {
    if (isnan(probability)) {
        b->is_lost = true;
        return;
    }
    const int64_t bucket = (int64_t)floorf(probability * (float)(N - 1));
    (applies ? b->hits : b->misses)[c * N + bucket]++;
}

static bt_status update_classes(void *state, const bt_batch *batch, const float *logits,
                                bt_error *err) {
    buckets *const b = state;
    double         p[BT_METRIC_CURVES_MAX];
    for (int64_t i = 0; i < batch->n_seqs; i++, b->n++) {
        BT_TRY(metric_check_label(batch->int_labels[i], b->n_classes, b->n, err));
        bt_metrics_softmax(p, logits + i * b->n_classes, b->n_classes, 1.0);
        for (int64_t c = 0; c < b->n_classes; c++) {
            count(b, c, (float)p[c], batch->int_labels[i] == c);
        }
    }
    return BT_OK;
}

static bt_status update_sets(void *state, const bt_batch *batch, const float *logits,
                             bt_error *err) {
    buckets *const b = state;
    (void)err;
    for (int64_t i = 0; i < batch->n_seqs * b->n_classes; i++) {
        count(b, i % b->n_classes, bt_metrics_sigmoid(logits[i]), batch->float_labels[i] >= 0.5F);
    }
    b->n += batch->n_seqs;
    return BT_OK;
}

static bt_status save_buckets(const void *state, bt_str *bytes, bt_error *err) {
    const buckets *const b = state;
    const int64_t        head[] = {b->n, b->is_lost ? 1 : 0};
    BT_TRY(metric_put_counts(bytes, head, (int64_t)BT_ARRAY_LEN(head), err));
    BT_TRY(metric_put_counts(bytes, b->hits, b->n_classes * N, err));
    return metric_put_counts(bytes, b->misses, b->n_classes * N, err);
}

static bt_status load_buckets(void *state, bt_reader *bytes, bt_error *err) {
    buckets *const b = state;
    int64_t        head[2] = {0};
    BT_TRY(metric_get_counts(bytes, head, (int64_t)BT_ARRAY_LEN(head), err));
    b->n = head[0];
    b->is_lost = head[1] != 0;
    BT_TRY(metric_get_counts(bytes, b->hits, b->n_classes * N, err));
    return metric_get_counts(bytes, b->misses, b->n_classes * N, err);
}

const metric_part metric_part_buckets = {
    .wants_labels = "class",
    .create = create_buckets,
    .destroy = free_buckets,
    .reset = reset_buckets,
    .update = update_classes,
    .save = save_buckets,
    .load = load_buckets,
};

const metric_part metric_part_set_buckets = {
    .wants_labels = "float",
    .create = create_buckets,
    .destroy = free_buckets,
    .reset = reset_buckets,
    .update = update_sets,
    .save = save_buckets,
    .load = load_buckets,
};

uint32_t metric_curve_parts(const bt_metrics_config *config) {
    const bool are_sets = config->unit == BT_METRIC_OF_LABEL_SETS;
    const bool can = config->unit == BT_METRIC_OF_SEQUENCES ? config->n_classes >= 2 : are_sets;
    return !can || config->n_classes > BT_METRIC_CURVES_MAX ? 0
           : are_sets                                       ? PART_BIT(PART_SET_BUCKETS)
                                                            : PART_BIT(PART_BUCKETS);
}

bool bt_metrics_has_label_sets(const bt_metrics *metrics) {
    return metrics->unit == BT_METRIC_OF_LABEL_SETS;
}

bool bt_metrics_get_pr_curve(const bt_metrics *metrics, int64_t c,
                             float out[BT_METRIC_CURVE_FIGURES * BT_METRIC_THRESHOLDS]) {
    const bool           are_sets = bt_metrics_has_label_sets(metrics);
    const buckets *const b = metrics->states[are_sets ? PART_SET_BUCKETS : PART_BUCKETS];
    if (b == NULL || b->n == 0 || b->is_lost) {
        return false;
    }
    int64_t tp[N];
    int64_t fp[N];
    memcpy(tp, b->hits + c * N, sizeof tp);
    memcpy(fp, b->misses + c * N, sizeof fp);
    for (int i = N - 2; i >= 0; i--) {
        tp[i] += tp[i + 1];
        fp[i] += fp[i + 1];
    }
    for (int i = 0; i < N; i++) {
        const double fn = (double)(tp[0] - tp[i]);
        const double hits = (double)tp[i];
        const double found = hits + (double)fp[i];
        const double figures[BT_METRIC_CURVE_FIGURES] = {hits,
                                                         (double)fp[i],
                                                         (double)(fp[0] - fp[i]),
                                                         fn,
                                                         hits / fmax(least_count, found),
                                                         hits / fmax(least_count, hits + fn)};
        for (int figure = 0; figure < BT_METRIC_CURVE_FIGURES; figure++) {
            out[figure * N + i] = (float)figures[figure];
        }
    }
    return true;
}
