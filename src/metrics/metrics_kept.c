/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts that keep every row, its logits and its label or labels: what is about the order of all
 * scores has no streaming form. 4 bytes for each logit, and 4 a row for its label or 1 for each of
 * several. */
#include "metrics_kept.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "bt/base/alloc.h"

static const size_t max_items = (size_t)1 << 40;

static void free_kept(void *state) {
    kept_rows *const k = state;
    if (k != NULL) {
        bt_free(k->logits);
        bt_free(k->labels);
        bt_free(k->applies);
        bt_free(k);
    }
}

static bt_status create_kept(const bt_metrics_config *config, void **state, bt_error *err) {
    kept_rows *const k = bt_calloc_array(1, sizeof *k);
    if (k == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for scores");
    }
    k->n_classes = config->n_classes;
    *state = k;
    return BT_OK;
}

static void reset_kept(void *state) {
    kept_rows *const k = state;
    k->n = 0;
    k->has_nan = false;
}

static bt_status add_logits(kept_rows *k, const float *logits, int64_t n_rows, bt_error *err) {
    const size_t before = (size_t)(k->n * k->n_classes);
    const size_t n = (size_t)(n_rows * k->n_classes);
    if (bt_grow(&k->logits, &k->logits_cap, before + n, sizeof *k->logits, max_items, err) !=
        BT_OK) {
        return BT_FAIL(err, BT_E_NOMEM,
                       "out of memory for the scores of %" PRId64 " rows and %" PRId64
                       " classes, which metrics like roc_auc are computed of: task.metrics=[none] "
                       "leaves them out",
                       k->n + n_rows, k->n_classes);
    }
    memcpy(k->logits + before, logits, n * sizeof *logits);
    for (size_t i = 0; i < n; i++) {
        k->has_nan = k->has_nan || isnan(logits[i]);
    }
    return BT_OK;
}

static bt_status update_classes(void *state, const bt_batch *batch, const float *logits,
                                bt_error *err) {
    kept_rows *const k = state;
    BT_TRY(add_logits(k, logits, batch->n_seqs, err));
    BT_TRY(bt_grow(&k->labels, &k->labels_cap, (size_t)(k->n + batch->n_seqs), sizeof *k->labels,
                   max_items, err));
    for (int64_t i = 0; i < batch->n_seqs; i++) {
        BT_TRY(metric_check_label(batch->int_labels[i], k->n_classes, k->n, err));
        k->labels[k->n++] = batch->int_labels[i];
    }
    return BT_OK;
}

static bt_status update_sets(void *state, const bt_batch *batch, const float *logits,
                             bt_error *err) {
    kept_rows *const k = state;
    const size_t     before = (size_t)(k->n * k->n_classes);
    const size_t     n = (size_t)(batch->n_seqs * k->n_classes);
    BT_TRY(add_logits(k, logits, batch->n_seqs, err));
    BT_TRY(bt_grow(&k->applies, &k->applies_cap, before + n, sizeof *k->applies, max_items, err));
    for (size_t i = 0; i < n; i++) {
        k->applies[before + i] = batch->float_labels[i] >= 0.5F ? 1 : 0;
    }
    k->n += batch->n_seqs;
    return BT_OK;
}

static bt_status save_head(const kept_rows *k, bt_str *bytes, bt_error *err) {
    const int64_t head[] = {k->n, k->has_nan ? 1 : 0};
    BT_TRY(metric_put_counts(bytes, head, (int64_t)BT_ARRAY_LEN(head), err));
    for (int64_t i = 0; i < k->n * k->n_classes; i++) {
        uint32_t bits = 0;
        memcpy(&bits, &k->logits[i], sizeof bits);
        const uint64_t word = bits;
        BT_TRY(metric_put_words(bytes, &word, 1, err));
    }
    return BT_OK;
}

static bt_status save_classes(const void *state, bt_str *bytes, bt_error *err) {
    const kept_rows *const k = state;
    BT_TRY(save_head(k, bytes, err));
    for (int64_t i = 0; i < k->n; i++) {
        const int64_t label = k->labels[i];
        BT_TRY(metric_put_counts(bytes, &label, 1, err));
    }
    return BT_OK;
}

static bt_status save_sets(const void *state, bt_str *bytes, bt_error *err) {
    const kept_rows *const k = state;
    BT_TRY(save_head(k, bytes, err));
    for (int64_t i = 0; i < k->n * k->n_classes; i++) {
        const int64_t applies = k->applies[i];
        BT_TRY(metric_put_counts(bytes, &applies, 1, err));
    }
    return BT_OK;
}

/* k->n is set last: then everything is there. */
static bt_status load_head(kept_rows *k, bt_reader *bytes, int64_t *n, bt_error *err) {
    int64_t head[2] = {0};
    BT_TRY(metric_get_counts(bytes, head, (int64_t)BT_ARRAY_LEN(head), err));
    *n = head[0];
    if ((uint64_t)*n > bt_reader_left(bytes) / 8 / (uint64_t)k->n_classes) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "metrics state: %zu bytes left, but %" PRId64 " rows are announced",
                       bt_reader_left(bytes), *n);
    }
    const int64_t n_logits = *n * k->n_classes;
    BT_TRY(
        bt_grow(&k->logits, &k->logits_cap, (size_t)n_logits, sizeof *k->logits, max_items, err));
    for (int64_t i = 0; i < n_logits; i++) {
        uint64_t word = 0;
        BT_TRY(metric_get_words(bytes, &word, 1, err));
        const uint32_t bits = (uint32_t)word;
        memcpy(&k->logits[i], &bits, sizeof bits);
    }
    k->has_nan = head[1] != 0;
    return BT_OK;
}

static bt_status load_classes(void *state, bt_reader *bytes, bt_error *err) {
    kept_rows *const k = state;
    int64_t          n = 0;
    BT_TRY(load_head(k, bytes, &n, err));
    BT_TRY(bt_grow(&k->labels, &k->labels_cap, (size_t)n, sizeof *k->labels, max_items, err));
    for (int64_t i = 0; i < n; i++) {
        int64_t label = 0;
        BT_TRY(metric_get_counts(bytes, &label, 1, err));
        BT_TRY(metric_check_label(label < INT32_MAX ? (int32_t)label : -1, k->n_classes, i, err));
        k->labels[i] = (int32_t)label;
    }
    k->n = n;
    return BT_OK;
}

static bt_status load_sets(void *state, bt_reader *bytes, bt_error *err) {
    kept_rows *const k = state;
    int64_t          n = 0;
    BT_TRY(load_head(k, bytes, &n, err));
    BT_TRY(bt_grow(&k->applies, &k->applies_cap, (size_t)(n * k->n_classes), sizeof *k->applies,
                   max_items, err));
    for (int64_t i = 0; i < n * k->n_classes; i++) {
        int64_t applies = 0;
        BT_TRY(metric_get_counts(bytes, &applies, 1, err));
        k->applies[i] = applies != 0 ? 1 : 0;
    }
    k->n = n;
    return BT_OK;
}

const metric_part metric_part_kept = {
    .wants_labels = "class",
    .create = create_kept,
    .destroy = free_kept,
    .reset = reset_kept,
    .update = update_classes,
    .save = save_classes,
    .load = load_classes,
};

const metric_part metric_part_kept_sets = {
    .wants_labels = "float",
    .create = create_kept,
    .destroy = free_kept,
    .reset = reset_kept,
    .update = update_sets,
    .save = save_sets,
    .load = load_sets,
};
