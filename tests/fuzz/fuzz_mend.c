/* SPDX-License-Identifier: Apache-2.0
 *
 * See fuzz_mend.h. */
#include "fuzz_mend.h"
#include "bt/base/bytes.h"
#include "bt/base/crc32c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static uint32_t masked(const uint8_t *data, size_t n) {
    return bt_crc32c_mask(bt_crc32c(0, data, n));
}

/* TFRecord: u64 length, its crc, data, their crc. */

void fuzz_mend_records(uint8_t *data, size_t n) {
    for (size_t at = 0; n - at >= 12;) {
        const uint64_t length = bt_load_u64le(data + at);
        bt_store_u32le(data + at + 8, masked(data + at, 8));
        if (length > n - at - 12 || n - at - 12 - length < 4) {
            return; /* cut, or a length that is too large */
        }
        uint8_t *const record = data + at + 12;
        bt_store_u32le(record + length, masked(record, (size_t)length));
        at += 16 + (size_t)length;
    }
}

/* Sorted-string table: blocks, each with a type and a crc after it. */

enum { FOOTER_BYTES = 48, HANDLES_BYTES = 40 };

/* The handle is read; false: it does not fit. Its block's crc is mended. */
static bool mend_block(uint8_t *data, size_t n, bt_reader *handle, size_t *at, size_t *n_block) {
    uint64_t offset = 0;
    uint64_t length = 0;
    if (!bt_read_varint(handle, &offset) || !bt_read_varint(handle, &length) || offset > n ||
        length > n - offset || n - offset - length < 5) {
        return false;
    }
    *at = (size_t)offset;
    *n_block = (size_t)length;
    bt_store_u32le(data + offset + length + 1, masked(data + offset, (size_t)length + 1));
    return true;
}

static void mend_blocks_of(uint8_t *data, size_t n, size_t at, size_t n_index) {
    const uint64_t n_restarts = n_index >= 4 ? bt_load_u32le(data + at + n_index - 4) : 0;
    if (n_index < 4 || n_restarts > (n_index - 4) / 4) {
        return;
    }
    bt_reader entries = bt_reader_make(data + at, n_index - 4 - 4 * (size_t)n_restarts);
    while (bt_reader_left(&entries) > 0) {
        uint64_t       shared = 0;
        uint64_t       n_suffix = 0;
        uint64_t       n_value = 0;
        size_t         block = 0;
        size_t         n_block = 0;
        const uint8_t *skipped = NULL;
        const uint8_t *value = NULL;
        if (!bt_read_varint(&entries, &shared) || !bt_read_varint(&entries, &n_suffix) ||
            !bt_read_varint(&entries, &n_value) || n_suffix > bt_reader_left(&entries) ||
            !bt_read_bytes(&entries, (size_t)n_suffix, &skipped) ||
            n_value > bt_reader_left(&entries) ||
            !bt_read_bytes(&entries, (size_t)n_value, &value)) {
            return;
        }
        bt_reader handle = bt_reader_make(value, (size_t)n_value);
        (void)mend_block(data, n, &handle, &block, &n_block);
    }
}

void fuzz_mend_table(uint8_t *data, size_t n) {
    size_t at = 0;
    size_t n_index = 0;
    if (n < FOOTER_BYTES) {
        return;
    }
    bt_reader footer = bt_reader_make(data + n - FOOTER_BYTES, HANDLES_BYTES);
    if (!mend_block(data, n, &footer, &at, &n_index)) { /* the metaindex */
        return;
    }
    bt_reader index = footer;
    if (mend_block(data, n, &footer, &at, &n_index)) {
        mend_blocks_of(data, n, at, n_index);
        (void)mend_block(data, n, &index, &at, &n_index); /* a block in it may have changed it */
    }
}

/* Tar: blocks of 512 bytes; the sum of a header's bytes, in octal digits, is part of it. */

enum { TAR_BLOCK = 512, TAR_SUM = 148, TAR_SUM_BYTES = 8, TAR_SIZE = 124, TAR_SIZE_BYTES = 12 };

static void mend_header(uint8_t *header) {
    char     digits[TAR_SUM_BYTES + 1];
    unsigned sum = 0;
    memset(header + TAR_SUM, ' ', TAR_SUM_BYTES);
    for (int i = 0; i < TAR_BLOCK; i++) {
        sum += header[i];
    }
    (void)snprintf(digits, sizeof digits, "%06o", sum);
    memcpy(header + TAR_SUM, digits, TAR_SUM_BYTES - 1); /* with its NUL; a space stays */
}

void fuzz_mend_tar(uint8_t *data, size_t n) {
    static const uint8_t end[TAR_BLOCK];
    size_t               at = 0;
    while (n - at >= TAR_BLOCK && memcmp(data + at, end, TAR_BLOCK) != 0) {
        char     octal[TAR_SIZE_BYTES + 1] = "";
        uint64_t size = 0;
        mend_header(data + at);
        memcpy(octal, data + at + TAR_SIZE, TAR_SIZE_BYTES);
        size = strtoull(octal, NULL, 8);
        at += TAR_BLOCK;
        if (size > n - at) {
            return;
        }
        size = (size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
        at = size > n - at ? n : at + (size_t)size;
    }
}

void fuzz_pack(fuzz_packing packing, const uint8_t *data, size_t n, bt_str *out) {
    static const int window_bits[] = {[FUZZ_GZIP] = 15 + 16, [FUZZ_ZLIB] = 15};
    uint8_t          piece[4096];
    z_stream         z = {0};
    bt_str_clear(out);
    if (packing == FUZZ_PLAIN) {
        if (bt_str_append_n(out, data, n, NULL) != BT_OK) {
            abort();
        }
        return;
    }
    if (n > UINT32_MAX ||
        deflateInit2(&z, 1, Z_DEFLATED, window_bits[packing], 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        abort();
    }
    z.next_in = (uint8_t *)(uintptr_t)data; /* zlib only reads it */
    z.avail_in = (uInt)n;
    int rc = Z_OK;
    while (rc == Z_OK) {
        z.next_out = piece;
        z.avail_out = sizeof piece;
        rc = deflate(&z, Z_FINISH);
        if (bt_str_append_n(out, piece, sizeof piece - z.avail_out, NULL) != BT_OK) {
            abort();
        }
    }
    (void)deflateEnd(&z);
}
