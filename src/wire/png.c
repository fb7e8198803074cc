/* SPDX-License-Identifier: Apache-2.0
 *
 * PNG: a header, one chunk of compressed rows without a filter, an end. */
#include "bt/wire/png.h"

#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "z_memory.h"

enum { BIT_DEPTH = 8, BLOCK_BYTES = 1 << 14 };

static bt_status put_u32(bt_str *out, uint32_t value, bt_error *err) {
    const uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                              (uint8_t)value};
    return bt_str_append_n(out, bytes, sizeof bytes, err);
}

/* Length, type, data, and the CRC of the last two. */
static bt_status put_chunk(bt_str *out, const char *type, const bt_str *data, bt_error *err) {
    BT_TRY(put_u32(out, (uint32_t)data->len, err));
    const size_t start = out->len;
    BT_TRY(bt_str_append_n(out, type, 4, err));
    BT_TRY(bt_str_append_n(out, bt_str_text(data), data->len, err));
    return put_u32(
        out, (uint32_t)crc32(0, (const Bytef *)out->data + start, (uInt)(out->len - start)), err);
}

static bt_status put_header(bt_str *out, uint32_t width, uint32_t height, bt_error *err) {
    static const uint8_t magic[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    /* gray; the one method of compression and of filters; not interlaced */
    static const uint8_t rest[] = {BIT_DEPTH, 0, 0, 0, 0};
    bt_status            rc = BT_OK;
    bt_str               data = BT_STR_INIT;
    BT_CHECK(bt_str_append_n(out, magic, sizeof magic, err));
    BT_CHECK(put_u32(&data, width, err));
    BT_CHECK(put_u32(&data, height, err));
    BT_CHECK(bt_str_append_n(&data, rest, sizeof rest, err));
    BT_CHECK(put_chunk(out, "IHDR", &data, err));
done:
    bt_str_deinit(&data);
    return rc;
}

/* All of bytes; flush: Z_FINISH ends the stream. */
static bt_status deflate_bytes(z_stream *z, const uint8_t *bytes, size_t n, int flush, bt_str *out,
                               bt_error *err) {
    uint8_t block[BLOCK_BYTES];
    z->next_in = (Bytef *)(uintptr_t)bytes;
    z->avail_in = (uInt)n;
    do {
        z->next_out = block;
        z->avail_out = sizeof block;
        (void)deflate(z, flush);
        BT_TRY(bt_str_append_n(out, block, sizeof block - z->avail_out, err));
    } while (z->avail_out == 0);
    return BT_OK;
}

static bt_status put_rows(bt_str *out, const uint8_t *pixels, uint32_t width, uint32_t height,
                          bt_error *err) {
    static const uint8_t no_filter = 0;
    bt_status            rc = BT_OK;
    z_stream             z = {0};
    bt_str               data = BT_STR_INIT;
    z_memory_set(&z);
    if (deflateInit(&z, Z_BEST_COMPRESSION) != Z_OK) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot compress a picture");
    }
    for (uint32_t y = 0; y < height; y++) {
        BT_CHECK(deflate_bytes(&z, &no_filter, 1, Z_NO_FLUSH, &data, err));
        BT_CHECK(deflate_bytes(&z, pixels + (size_t)y * width, width, Z_NO_FLUSH, &data, err));
    }
    BT_CHECK(deflate_bytes(&z, &no_filter, 0, Z_FINISH, &data, err));
    BT_CHECK(put_chunk(out, "IDAT", &data, err));
done:
    (void)deflateEnd(&z);
    bt_str_deinit(&data);
    return rc;
}

bt_status bt_png_append(bt_str *out, const uint8_t *pixels, uint32_t width, uint32_t height,
                        bt_error *err) {
    const bt_str nothing = BT_STR_INIT;
    BT_TRY(put_header(out, width, height, err));
    BT_TRY(put_rows(out, pixels, width, height, err));
    return put_chunk(out, "IEND", &nothing, err);
}
