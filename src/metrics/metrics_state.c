/* SPDX-License-Identifier: Apache-2.0
 *
 * The exact state of a set of metrics as bytes and back: for a checkpoint in the middle of an
 * interval. Little-endian words; doubles as their bits. The first words say which sums there are,
 * so that a state is never loaded into another set. */
#include <string.h>

#include "metrics_internal.h"

static const uint64_t state_magic = UINT64_C(0x31305353544d5442); /* "BTMTSS01" */

enum { N_MOMENTS = sizeof(metric_moments) / sizeof(double) };

/* ---- save ------------------------------------------------------------------------------------ */

static bt_status put_word(bt_str *bytes, uint64_t word, bt_error *err) {
    uint8_t buffer[8];
    bt_store_u64le(buffer, word);
    return bt_str_append_n(bytes, buffer, sizeof buffer, err);
}

static bt_status put_counts(bt_str *bytes, const int64_t *counts, int64_t n, bt_error *err) {
    for (int64_t i = 0; i < n; i++) {
        BT_TRY(put_word(bytes, (uint64_t)counts[i], err));
    }
    return BT_OK;
}

static bt_status put_moments(bt_str *bytes, const metric_moments *moments, bt_error *err) {
    uint64_t words[N_MOMENTS];
    memcpy(words, moments, sizeof words);
    for (size_t i = 0; i < N_MOMENTS; i++) {
        BT_TRY(put_word(bytes, words[i], err));
    }
    return BT_OK;
}

static bt_status put_pairs(bt_str *bytes, const float *pairs, int64_t n, bt_error *err) {
    for (int64_t i = 0; i < n; i++) {
        uint32_t words[2];
        memcpy(words, pairs + 2 * i, sizeof words);
        BT_TRY(put_word(bytes, words[0] | (uint64_t)words[1] << 32, err));
    }
    return BT_OK;
}

bt_status bt_metrics_save(const bt_metrics *metrics, bt_str *bytes, bt_error *err) {
    const int64_t head[] = {(int64_t)metrics->needs, metrics->n_classes, metrics->n_examples,
                            metrics->n_correct, metrics->n_true_positive};
    BT_TRY(put_word(bytes, state_magic, err));
    BT_TRY(put_counts(bytes, head, (int64_t)BT_ARRAY_LEN(head), err));
    BT_TRY(put_counts(bytes, metrics->predicted, metrics->n_classes, err));
    BT_TRY(put_counts(bytes, metrics->labelled, metrics->n_classes, err));
    BT_TRY(put_moments(bytes, &metrics->moments, err));
    if ((metrics->needs & NEED_AUC) != 0) {
        BT_TRY(put_counts(bytes, metrics->auc_positive, AUC_THRESHOLDS, err));
        BT_TRY(put_counts(bytes, metrics->auc_negative, AUC_THRESHOLDS, err));
    }
    if ((metrics->needs & NEED_PAIRS) != 0) {
        BT_TRY(put_pairs(bytes, metrics->pairs, metrics->n_examples, err));
    }
    return BT_OK;
}

/* ---- load ------------------------------------------------------------------------------------ */

static bt_status get_word(bt_reader *bytes, uint64_t *word, bt_error *err) {
    if (!bt_read_u64le(bytes, word)) {
        return BT_FAIL(err, BT_E_FORMAT, "metrics state: %zu bytes left where 8 are needed",
                       bt_reader_left(bytes));
    }
    return BT_OK;
}

static bt_status get_counts(bt_reader *bytes, int64_t *counts, int64_t n, bt_error *err) {
    for (int64_t i = 0; i < n; i++) {
        uint64_t word = 0;
        BT_TRY(get_word(bytes, &word, err));
        if (word > (uint64_t)INT64_MAX) {
            return BT_FAIL(err, BT_E_FORMAT, "metrics state: a count is negative");
        }
        counts[i] = (int64_t)word;
    }
    return BT_OK;
}

static bt_status get_moments(bt_reader *bytes, metric_moments *moments, bt_error *err) {
    uint64_t words[N_MOMENTS];
    for (size_t i = 0; i < N_MOMENTS; i++) {
        BT_TRY(get_word(bytes, &words[i], err));
    }
    memcpy(moments, words, sizeof words);
    return BT_OK;
}

static bt_status get_pairs(bt_reader *bytes, bt_metrics *metrics, bt_error *err) {
    const size_t n = (size_t)metrics->n_examples;
    if (n > bt_reader_left(bytes) / 8) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "metrics state: %zu bytes left, but %zu examples of 8 bytes are announced",
                       bt_reader_left(bytes), n);
    }
    BT_TRY(bt_grow(&metrics->pairs, &metrics->cap_pairs, 2 * n, sizeof *metrics->pairs, SIZE_MAX,
                   err));
    for (size_t i = 0; i < n; i++) {
        uint64_t word = 0;
        BT_TRY(get_word(bytes, &word, err));
        const uint32_t words[2] = {(uint32_t)word, (uint32_t)(word >> 32)};
        memcpy(metrics->pairs + 2 * i, words, sizeof words);
    }
    return BT_OK;
}

static bt_status load_sums(bt_metrics *metrics, bt_reader *bytes, bt_error *err) {
    BT_TRY(get_counts(bytes, metrics->predicted, metrics->n_classes, err));
    BT_TRY(get_counts(bytes, metrics->labelled, metrics->n_classes, err));
    BT_TRY(get_moments(bytes, &metrics->moments, err));
    if ((metrics->needs & NEED_AUC) != 0) {
        BT_TRY(get_counts(bytes, metrics->auc_positive, AUC_THRESHOLDS, err));
        BT_TRY(get_counts(bytes, metrics->auc_negative, AUC_THRESHOLDS, err));
    }
    if ((metrics->needs & NEED_PAIRS) != 0) {
        BT_TRY(get_pairs(bytes, metrics, err));
    }
    return BT_OK;
}

bt_status bt_metrics_load(bt_metrics *metrics, bt_reader *bytes, bt_error *err) {
    uint64_t magic = 0;
    int64_t  head[5] = {0};
    BT_TRY(get_word(bytes, &magic, err));
    if (magic != state_magic) {
        return BT_FAIL(err, BT_E_FORMAT, "metrics state: these bytes are not one");
    }
    BT_TRY(get_counts(bytes, head, (int64_t)BT_ARRAY_LEN(head), err));
    if (head[0] != (int64_t)metrics->needs || head[1] != metrics->n_classes) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "metrics state: it is of other metrics or of %" PRId64
                       " classes, not %" PRId64,
                       head[1], metrics->n_classes);
    }
    metrics->n_examples = head[2];
    metrics->n_correct = head[3];
    metrics->n_true_positive = head[4];
    const bt_status status = load_sums(metrics, bytes, err);
    if (status != BT_OK) {
        bt_metrics_reset(metrics); /* never half a state */
    }
    return status;
}
