/* SPDX-License-Identifier: Apache-2.0
 *
 * What an index says, as numbers and texts one after the other; and the part of it that all kinds
 * of input share: of which states of which files it is. */
#include <string.h>

#include "bt/base/alloc.h"
#include "data_index.h"

static const int64_t largest = (int64_t)1 << 60;

bt_status data_index_put(bt_str *facts, int64_t value, bt_error *err) {
    uint8_t bytes[8];
    bt_store_u64le(bytes, (uint64_t)value);
    return bt_str_append_n(facts, bytes, sizeof bytes, err);
}

bt_status data_index_put_all(bt_str *facts, const int64_t *values, size_t n, bt_error *err) {
    for (size_t i = 0; i < n; i++) {
        BT_TRY(data_index_put(facts, values[i], err));
    }
    return BT_OK;
}

bt_status data_index_put_text(bt_str *facts, const char *text, size_t n, bt_error *err) {
    BT_TRY(data_index_put(facts, (int64_t)n, err));
    return bt_str_append_n(facts, text, n, err);
}

bool data_index_take(bt_reader *facts, int64_t least, int64_t most, int64_t *value) {
    uint64_t word = 0;
    if (!bt_read_u64le(facts, &word)) {
        return false;
    }
    *value = (int64_t)word;
    return least <= *value && *value <= most;
}

bool data_index_take_all(bt_reader *facts, int64_t *values, size_t n) {
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        ok = data_index_take(facts, 0, largest, &values[i]);
    }
    return ok;
}

bool data_index_take_text(bt_reader *facts, bt_text_span *text) {
    const uint8_t *bytes = NULL;
    int64_t        n = 0;
    if (!data_index_take(facts, 0, INT64_MAX, &n) || (uint64_t)n > bt_reader_left(facts) ||
        !bt_read_bytes(facts, (size_t)n, &bytes)) {
        return false;
    }
    *text = (bt_text_span){(const char *)bytes, (size_t)n};
    return true;
}

/* Files. */

bt_status data_index_ask_paths(const data_rows *rows, bt_str *question, bt_error *err) {
    for (size_t i = 0; i < rows->n_parts; i++) {
        const char *const path = rows->parts[i].path;
        char             *canonical = NULL;
        BT_TRY(bt_fs_is_remote(path) ? BT_OK : bt_fs_canonical(path, &canonical, err));
        const bt_status rc =
            bt_str_appendf(question, err, "%s\n", canonical != NULL ? canonical : path);
        bt_free(canonical);
        BT_TRY(rc);
    }
    return BT_OK;
}

bt_status data_index_take_states(const data_rows *rows, data_index_state *states, size_t stride,
                                 int64_t *n_bytes, bool *ok, bt_error *err) {
    *ok = true;
    *n_bytes = 0;
    for (size_t i = 0; *ok && i < rows->n_parts; i++) {
        data_index_state *const state = (data_index_state *)(void *)((char *)states + i * stride);
        BT_TRY(bt_fs_stamp_take(rows->parts[i].path, &state->stamp, err));
        *ok = state->stamp.text[0] != '\0' && *n_bytes < largest;
        *n_bytes += state->stamp.n_bytes;
    }
    return BT_OK;
}

bt_status data_index_put_state(bt_str *facts, const data_index_state *state, bt_error *err) {
    const int64_t values[] = {state->stamp.n_bytes, state->stamp.is_settled, state->has_crc,
                              state->crc};
    BT_TRY(data_index_put_text(facts, state->stamp.text, strlen(state->stamp.text), err));
    return data_index_put_all(facts, values, BT_ARRAY_LEN(values), err);
}

static bt_status sum_file(const char *path, uint32_t *crc, bool *is_whole, bt_error *err) {
    enum { BLOCK_BYTES = 1 << 18 };
    bt_fs_stream *stream = NULL;
    bt_status     rc = BT_OK;
    size_t        got = BLOCK_BYTES;
    char *const   block = bt_alloc(BLOCK_BYTES);
    if (block == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot read %s", path);
    }
    BT_CHECK(bt_fs_stream_open(path, &stream, err));
    bt_fs_stream_sum(stream);
    while (got == BLOCK_BYTES) {
        BT_CHECK(bt_fs_stream_read(stream, block, BLOCK_BYTES, &got, err));
    }
    *is_whole = bt_fs_stream_crc(stream, crc);
done:
    bt_fs_stream_close(stream);
    bt_free(block);
    return rc;
}

bt_status data_index_check_state(bt_reader *facts, const char *path, data_index_state *state,
                                 bool *ok, bool *is_new, bt_error *err) {
    const char *const now = state->stamp.text;
    bt_text_span      then = {0};
    int64_t           v[4] = {0};
    uint32_t          crc = 0;
    bool              is_whole = false;
    *ok = false;
    if (!data_index_take_text(facts, &then) || !data_index_take_all(facts, v, BT_ARRAY_LEN(v))) {
        return BT_OK;
    }
    state->has_crc = v[2] != 0;
    state->crc = (uint32_t)v[3];
    *ok = v[1] != 0 && then.n_bytes == strlen(now) && memcmp(then.text, now, then.n_bytes) == 0;
    if (*ok || !state->has_crc || state->stamp.n_bytes != v[0] || bt_fs_is_remote(path)) {
        return BT_OK;
    }
    BT_TRY(sum_file(path, &crc, &is_whole, err));
    *ok = is_whole && crc == state->crc;
    *is_new = *is_new || *ok;
    return BT_OK;
}
