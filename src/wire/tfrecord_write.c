/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing TFRecord files, plain or compressed; the file appears whole at commit. */
#include <string.h>
#include <zlib.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "bt/base/crc32c.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "bt/wire/tfrecord.h"
#include "tfrecord_frame.h"
#include "z_memory.h"

enum { DEFLATE_BUFFER_BYTES = 1 << 16, GZIP_BITS = 15 + 16, ZLIB_BITS = 15, ZLIB_MEM_LEVEL = 9 };

struct bt_tfrecord_writer {
    bt_fs_writer  *file;
    bt_compression compression;
    bool           has_z;
    z_stream       z;
    uint8_t       *out;
    int64_t        n_records;
};

static void frame_header(uint8_t header[TFRECORD_HEADER_BYTES], size_t n_bytes) {
    bt_store_u64le(header, n_bytes);
    bt_store_u32le(header + 8, bt_crc32c_mask(bt_crc32c(0, header, 8)));
}

bt_status bt_tfrecord_frame(bt_str *out, const void *data, size_t n_bytes, bt_error *err) {
    uint8_t header[TFRECORD_HEADER_BYTES];
    uint8_t footer[TFRECORD_FOOTER_BYTES];
    frame_header(header, n_bytes);
    bt_store_u32le(footer, bt_crc32c_mask(bt_crc32c(0, data, n_bytes)));
    BT_TRY(bt_str_append_n(out, header, sizeof header, err));
    BT_TRY(bt_str_append_n(out, data, n_bytes, err));
    return bt_str_append_n(out, footer, sizeof footer, err);
}

static bt_status start_deflate(bt_tfrecord_writer *writer, const char *path, bt_error *err) {
    writer->out = bt_alloc(DEFLATE_BUFFER_BYTES);
    z_memory_set(&writer->z);
    const int bits = writer->compression == BT_COMPRESSION_GZIP ? GZIP_BITS : ZLIB_BITS;
    if (writer->out == NULL || deflateInit2(&writer->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, bits,
                                            ZLIB_MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot compress %s", path);
    }
    writer->has_z = true;
    return BT_OK;
}

bt_status bt_tfrecord_writer_create(const char *path, bt_compression compression,
                                    bt_tfrecord_writer **out, bt_error *err) {
    bt_status                 rc = BT_OK;
    bt_tfrecord_writer *const writer = bt_calloc_array(1, sizeof *writer);
    if (writer == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot open %s for writing", path);
    }
    writer->compression = compression;
    BT_CHECK(bt_fs_writer_create(path, &writer->file, err));
    if (compression != BT_COMPRESSION_NONE) {
        BT_CHECK(start_deflate(writer, path, err));
    }
    *out = writer;
    return BT_OK;
done:
    bt_tfrecord_writer_abort(writer);
    return rc;
}

static bt_status deflate_part(bt_tfrecord_writer *writer, const void *bytes, size_t n_bytes,
                              int flush, bt_error *err) {
    z_stream *const z = &writer->z;
    /* zlib counts in 32 bits; its interface is not const */
    z->next_in = (Bytef *)(uintptr_t)bytes;
    z->avail_in = (uInt)n_bytes;
    int result = Z_OK;
    do {
        z->next_out = writer->out;
        z->avail_out = DEFLATE_BUFFER_BYTES;
        result = deflate(z, flush);
        BT_TRY(bt_fs_writer_write(writer->file, writer->out, DEFLATE_BUFFER_BYTES - z->avail_out,
                                  err));
    } while (z->avail_out == 0 || (flush == Z_FINISH && result == Z_OK));
    return BT_OK;
}

static bt_status put(bt_tfrecord_writer *writer, const void *bytes, size_t n_bytes, bt_error *err) {
    if (!writer->has_z) {
        return bt_fs_writer_write(writer->file, bytes, n_bytes, err);
    }
    const uint8_t *from = bytes;
    while (n_bytes > 0) {
        const size_t n = n_bytes < UINT32_MAX / 2 ? n_bytes : UINT32_MAX / 2;
        BT_TRY(deflate_part(writer, from, n, Z_NO_FLUSH, err));
        from += n;
        n_bytes -= n;
    }
    return BT_OK;
}

bt_status bt_tfrecord_write(bt_tfrecord_writer *writer, const void *data, size_t n_bytes,
                            bt_error *err) {
    uint8_t header[TFRECORD_HEADER_BYTES];
    uint8_t footer[TFRECORD_FOOTER_BYTES];
    frame_header(header, n_bytes);
    bt_store_u32le(footer, bt_crc32c_mask(bt_crc32c(0, data, n_bytes)));
    BT_TRY(put(writer, header, sizeof header, err));
    BT_TRY(put(writer, data, n_bytes, err));
    BT_TRY(put(writer, footer, sizeof footer, err));
    writer->n_records++;
    return BT_OK;
}

int64_t bt_tfrecord_writer_count(const bt_tfrecord_writer *writer) {
    return writer->n_records;
}

bt_status bt_tfrecord_writer_commit(bt_tfrecord_writer **writer_ptr, bt_error *err) {
    bt_tfrecord_writer *const writer = *writer_ptr;
    if (writer->has_z) {
        BT_TRY(deflate_part(writer, "", 0, Z_FINISH, err));
        (void)deflateEnd(&writer->z);
        writer->has_z = false;
    }
    BT_TRY(bt_fs_writer_commit(&writer->file, err));
    bt_tfrecord_writer_abort(writer);
    *writer_ptr = NULL;
    return BT_OK;
}

void bt_tfrecord_writer_abort(bt_tfrecord_writer *writer) {
    if (writer != NULL) {
        if (writer->has_z) {
            (void)deflateEnd(&writer->z);
        }
        bt_fs_writer_abort(writer->file);
        bt_free(writer->out);
        bt_free(writer);
    }
}
