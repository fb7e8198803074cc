/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes in files: reading what came from outside, little-endian words, varints. Every read checks
 * the bytes left first. false: not enough bytes (or a varint over 10 bytes); the cursor then stays
 * where it was. */
#ifndef BT_BASE_BYTES_H
#define BT_BASE_BYTES_H

#include "bt/base/compiler.h"

/* Borrowed bytes. */
typedef struct bt_bytes {
    const uint8_t *data;
    size_t         n_bytes;
} bt_bytes;

typedef struct bt_reader {
    const uint8_t *pos;
    const uint8_t *end;
} bt_reader;

static inline bt_reader bt_reader_make(const void *data, size_t n) {
    return (bt_reader){(const uint8_t *)data, (const uint8_t *)data + n};
}
static inline size_t bt_reader_left(const bt_reader *r) {
    return (size_t)(r->end - r->pos);
}
BT_MUST_USE bool bt_read_u32le(bt_reader *r, uint32_t *out);
BT_MUST_USE bool bt_read_u64le(bt_reader *r, uint64_t *out);
BT_MUST_USE bool bt_read_varint(bt_reader *r, uint64_t *out); /* protobuf / LevelDB varint64 */
BT_MUST_USE bool bt_read_bytes(bt_reader *r, size_t n, const uint8_t **out); /* borrowed */
void             bt_store_u32le(uint8_t *dst, uint32_t v);
void             bt_store_u64le(uint8_t *dst, uint64_t v);
uint32_t         bt_load_u32le(const uint8_t *src);
uint64_t         bt_load_u64le(const uint8_t *src);
size_t           bt_store_varint(uint8_t dst[10], uint64_t v); /* bytes written */

#endif
