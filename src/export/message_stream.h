/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages of protobuf that are too large to be packed in memory: each begins with its length, so
 * that all lengths are computed first, and the values of tensors are made as they are written. */
#ifndef BT_MESSAGE_STREAM_H
#define BT_MESSAGE_STREAM_H

#include "onnx_internal.h"

enum { MESSAGE_PIECE = 1 << 16, MESSAGE_PIECE_BYTES = MESSAGE_PIECE * 8 }; /* elements, bytes */

/* protobuf's own limit, for all of it. */
extern const int64_t message_limit;
/* Bytes of the tag and the length of a field that is n_bytes long. */
int64_t               message_length_size(uint32_t field, int64_t n_bytes);
BT_MUST_USE bt_status message_write_length(bt_fs_writer *out, uint32_t field, int64_t n_bytes,
                                           bt_error *err);
BT_MUST_USE bt_status message_write_text(bt_fs_writer *out, const bt_str *text, bt_error *err);
/* piece: MESSAGE_PIECE_BYTES to work in. */
BT_MUST_USE bt_status message_write_values(bt_fs_writer *out, const onnx_tensor *tensor,
                                           uint8_t *piece, bt_error *err);

#endif
