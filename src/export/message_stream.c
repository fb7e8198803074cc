/* SPDX-License-Identifier: Apache-2.0
 *
 * See message_stream.h. */
#include "message_stream.h"

#include "bt/base/bytes.h"
#include "bt/base/stop.h"

enum { WIRE_BYTES = 2, LENGTH_MAX = 20 };

const int64_t message_limit = INT32_MAX;

/* A tag of wire type 2 and the length of what follows. */
static size_t put_length(uint8_t out[LENGTH_MAX], uint32_t field, int64_t n_bytes) {
    const size_t n = bt_store_varint(out, field << 3 | WIRE_BYTES);
    return n + bt_store_varint(out + n, (uint64_t)n_bytes);
}

int64_t message_length_size(uint32_t field, int64_t n_bytes) {
    uint8_t bytes[LENGTH_MAX];
    return (int64_t)put_length(bytes, field, n_bytes);
}

bt_status message_write_length(bt_fs_writer *out, uint32_t field, int64_t n_bytes, bt_error *err) {
    uint8_t bytes[LENGTH_MAX];
    return bt_fs_writer_write(out, bytes, put_length(bytes, field, n_bytes), err);
}

bt_status message_write_text(bt_fs_writer *out, const bt_str *text, bt_error *err) {
    return bt_fs_writer_write(out, text->data, text->len, err);
}

bt_status message_write_values(bt_fs_writer *out, const onnx_tensor *tensor, uint8_t *piece,
                               bt_error *err) {
    const int64_t size = onnx_type_size(tensor->type);
    for (int64_t first = 0; first < tensor->n_elements; first += MESSAGE_PIECE) {
        const int64_t left = tensor->n_elements - first;
        const int64_t n = left < MESSAGE_PIECE ? left : MESSAGE_PIECE;
        BT_TRY(bt_stop_check(err));
        onnx_make_bytes(tensor, first, n, piece);
        BT_TRY(bt_fs_writer_write(out, piece, (size_t)(n * size), err));
    }
    return BT_OK;
}
