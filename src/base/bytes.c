/* SPDX-License-Identifier: Apache-2.0
 *
 * The checked byte reader and little-endian stores: lengths from files are checked here, once. */
#include <string.h>

#include "bt/base/bytes.h"

enum { VARINT_MAX_BYTES = 10 };

uint32_t bt_load_u32le(const uint8_t *src) {
    return (uint32_t)src[0] | (uint32_t)src[1] << 8 | (uint32_t)src[2] << 16 |
           (uint32_t)src[3] << 24;
}

uint64_t bt_load_u64le(const uint8_t *src) {
    return (uint64_t)bt_load_u32le(src) | (uint64_t)bt_load_u32le(src + 4) << 32;
}

void bt_store_u32le(uint8_t *dst, uint32_t v) {
    for (int i = 0; i < 4; i++) {
        dst[i] = (uint8_t)(v >> (8 * i));
    }
}

void bt_store_u64le(uint8_t *dst, uint64_t v) {
    for (int i = 0; i < 8; i++) {
        dst[i] = (uint8_t)(v >> (8 * i));
    }
}

size_t bt_store_varint(uint8_t dst[10], uint64_t v) {
    size_t n = 0;
    while (v >= 0x80) {
        dst[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    dst[n++] = (uint8_t)v;
    return n;
}

bool bt_read_bytes(bt_reader *r, size_t n, const uint8_t **out) {
    if (n > bt_reader_left(r)) {
        return false;
    }
    *out = r->pos;
    r->pos += n;
    return true;
}

bool bt_read_u32le(bt_reader *r, uint32_t *out) {
    const uint8_t *p = NULL;
    if (!bt_read_bytes(r, 4, &p)) {
        return false;
    }
    *out = bt_load_u32le(p);
    return true;
}

bool bt_read_u64le(bt_reader *r, uint64_t *out) {
    const uint8_t *p = NULL;
    if (!bt_read_bytes(r, 8, &p)) {
        return false;
    }
    *out = bt_load_u64le(p);
    return true;
}

bool bt_read_varint(bt_reader *r, uint64_t *out) {
    uint64_t value = 0;
    for (size_t i = 0; i < VARINT_MAX_BYTES && i < bt_reader_left(r); i++) {
        const uint8_t byte = r->pos[i];
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if ((byte & 0x80) == 0) {
            r->pos += i + 1;
            *out = value;
            return true;
        }
    }
    return false;
}
