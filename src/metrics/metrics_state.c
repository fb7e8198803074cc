/* SPDX-License-Identifier: Apache-2.0
 *
 * The exact state of a set of metrics goes into a checkpoint in the middle of an interval. Here are
 * the words that all parts are saved in: little-endian, doubles as their bits. */
#include <inttypes.h>

#include "metrics_internal.h"

bt_status metric_put_words(bt_str *bytes, const uint64_t *words, size_t n, bt_error *err) {
    for (size_t i = 0; i < n; i++) {
        uint8_t buffer[8];
        bt_store_u64le(buffer, words[i]);
        BT_TRY(bt_str_append_n(bytes, buffer, sizeof buffer, err));
    }
    return BT_OK;
}

bt_status metric_put_counts(bt_str *bytes, const int64_t *counts, int64_t n, bt_error *err) {
    for (int64_t i = 0; i < n; i++) {
        const uint64_t word = (uint64_t)counts[i];
        BT_TRY(metric_put_words(bytes, &word, 1, err));
    }
    return BT_OK;
}

bt_status metric_get_words(bt_reader *bytes, uint64_t *words, size_t n, bt_error *err) {
    for (size_t i = 0; i < n; i++) {
        if (!bt_read_u64le(bytes, &words[i])) {
            return BT_FAIL(err, BT_E_FORMAT, "metrics state: %zu bytes left where 8 are needed",
                           bt_reader_left(bytes));
        }
    }
    return BT_OK;
}

bt_status metric_get_counts(bt_reader *bytes, int64_t *counts, int64_t n, bt_error *err) {
    for (int64_t i = 0; i < n; i++) {
        uint64_t word = 0;
        BT_TRY(metric_get_words(bytes, &word, 1, err));
        BT_TRY(metric_check_count((int64_t)word, err));
        counts[i] = (int64_t)word;
    }
    return BT_OK;
}

bt_status metric_check_count(int64_t count, bt_error *err) {
    if (count < 0 || count > METRIC_MAX_COUNT) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "metrics state: %" PRId64 " is where a count from 0 to %" PRId64
                       " is expected",
                       count, METRIC_MAX_COUNT);
    }
    return BT_OK;
}
