/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole gzip files. Unlike record files, which end where TensorFlow lets them end, a cut one is an
 * error: there is nothing else that says where its text should stop. */
#include "bt/base/alloc.h"
#include "bt/fs.h"
#include "bt/wire/gzip.h"
#include "inflate_stream.h"

enum { BLOCK_BYTES = 1 << 16 };

static bt_status read_blocks(inflate_stream *stream, char *block, bt_fs_scratch *out,
                             bt_error *err) {
    size_t got = BLOCK_BYTES;
    while (got == BLOCK_BYTES) {
        BT_TRY(inflate_stream_read(stream, block, BLOCK_BYTES, &got, err));
        BT_TRY(bt_fs_scratch_append(out, block, got, err));
    }
    if (inflate_stream_is_cut(stream)) {
        return BT_FAIL(err, BT_E_FORMAT, "%s ends within its gzip stream: was it copied whole?",
                       inflate_stream_path(stream));
    }
    return bt_fs_scratch_flush(out, err);
}

bt_status bt_gzip_unpack(const char *path, bt_fs_scratch *out, bt_error *err) {
    bt_status       rc = BT_OK;
    inflate_stream *stream = NULL;
    char           *block = NULL;
    BT_CHECK(inflate_stream_open(path, BT_COMPRESSION_GZIP, &stream, err));
    block = bt_alloc(BLOCK_BYTES);
    if (block == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot read %s", path);
        goto done;
    }
    BT_CHECK(read_blocks(stream, block, out, err));
done:
    bt_free(block);
    inflate_stream_close(stream);
    return rc;
}

bool bt_gzip_is_magic(const char *path) {
    static const uint8_t magic[3] = {0x1f, 0x8b, 0x08}; /* RFC 1952; 8: deflate, the only method */
    bt_file             *file = NULL;
    uint8_t              bytes[3] = {0};
    size_t               got = 0;
    if (bt_fs_open(path, &file, NULL) != BT_OK) {
        return false;
    }
    const bt_status rc = bt_fs_read_upto(file, 0, bytes, sizeof bytes, &got, NULL);
    bt_fs_close(file);
    return rc == BT_OK && got == 3 && bytes[0] == magic[0] && bytes[1] == magic[1] &&
           bytes[2] == magic[2];
}
