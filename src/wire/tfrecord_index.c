/* SPDX-License-Identifier: Apache-2.0
 *
 * TFRecord files in any order: an index of where records start, and reading one of them. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "bt/base/crc32c.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "bt/wire/tfrecord.h"
#include "tfrecord_frame.h"

/* The checksum after the record before, which the header's bytes begin with. */
static bt_status keep_checksum(bt_tfrecord_index *index, const uint8_t *bytes, size_t *cap,
                               bt_error *err) {
    const size_t n = (size_t)index->n_records;
    BT_TRY(bt_grow(&index->checksums, cap, n, sizeof *index->checksums, SIZE_MAX / 16, err));
    index->checksums[n - 1] = bt_load_u32le(bytes);
    return BT_OK;
}

static bt_status index_stream(bt_fs_stream *stream, bt_tfrecord_index *index, size_t *cap,
                              bt_error *err) {
    const char *const path = bt_fs_stream_path(stream);
    const int64_t     size = bt_fs_stream_size(stream);
    int64_t           offset = 0;
    size_t            cap_checksums = 0;
    size_t            n_before = 0; /* of the checksum at the end of the record before */
    for (;;) {
        uint8_t        bytes[TFRECORD_FOOTER_BYTES + TFRECORD_HEADER_BYTES];
        uint8_t *const header = bytes + n_before;
        size_t         got = 0;
        uint64_t       length = 0;
        BT_TRY(bt_grow(&index->offsets, cap, (size_t)index->n_records + 1, sizeof(int64_t),
                       SIZE_MAX / 16, err));
        index->offsets[index->n_records] = offset;
        BT_TRY(bt_fs_stream_read(stream, bytes, n_before + TFRECORD_HEADER_BYTES, &got, err));
        index->content = bt_crc32c(index->content, bytes, got);
        if (n_before > 0) { /* the header has said that the file is as long */
            BT_TRY(keep_checksum(index, bytes, &cap_checksums, err));
        }
        if (got < n_before + TFRECORD_HEADER_BYTES) {
            index->n_trailing_bytes = (int64_t)(got > n_before ? got - n_before : 0);
            return BT_OK;
        }
        BT_TRY(tfrecord_check_header(header, path, index->n_records, offset,
                                     size - offset - TFRECORD_HEADER_BYTES, &length, err));
        offset += (int64_t)length + TFRECORD_HEADER_BYTES + TFRECORD_FOOTER_BYTES;
        n_before = TFRECORD_FOOTER_BYTES;
        BT_TRY(bt_fs_stream_seek(stream, offset - TFRECORD_FOOTER_BYTES, err));
        index->n_records++;
    }
}

bt_status bt_tfrecord_index_build(const char *path, bt_tfrecord_index *out, bt_error *err) {
    bt_fs_stream     *stream = NULL;
    bt_tfrecord_index index = {0};
    size_t            cap = 0;
    BT_TRY(bt_fs_stream_open(path, &stream, err));
    bt_status rc = index_stream(stream, &index, &cap, err);
    if (rc == BT_OK && index.n_records == 0 && index.n_trailing_bytes > 0) {
        rc = tfrecord_fail_cut_header(path, 0, 0, index.n_trailing_bytes, err);
    }
    bt_fs_stream_close(stream);
    if (rc != BT_OK) {
        bt_tfrecord_index_deinit(&index);
        return rc;
    }
    *out = index;
    return BT_OK;
}

void bt_tfrecord_index_deinit(bt_tfrecord_index *index) {
    bt_free(index->offsets);
    bt_free(index->checksums);
    *index = (bt_tfrecord_index){0};
}

/* The buffer is bytes only: its length and NUL are of no use here. */
static bt_status reserve(bt_str *buffer, size_t n_bytes, bt_error *err) {
    return bt_grow(&buffer->data, &buffer->cap, n_bytes, 1, SIZE_MAX / 2, err);
}

bt_status bt_tfrecord_read_frame(const bt_file *file, int64_t begin, int64_t end, int64_t i,
                                 bt_str *buffer, bt_record *record, bt_error *err) {
    const char *const path = bt_fs_path(file);
    const size_t      n_frame = end > begin ? (size_t)(end - begin) : 0;
    uint64_t          length = 0;
    if (n_frame < TFRECORD_HEADER_BYTES + TFRECORD_FOOTER_BYTES) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: record %" PRId64 " at byte %" PRId64 " has fewer than 16 bytes", path,
                       i, begin);
    }
    BT_TRY(reserve(buffer, n_frame, err));
    BT_TRY(bt_fs_read_at(file, begin, buffer->data, n_frame, err));
    const uint8_t *const frame = (const uint8_t *)buffer->data;
    BT_TRY(tfrecord_check_header(frame, path, i, begin, (int64_t)n_frame - TFRECORD_HEADER_BYTES,
                                 &length, err));
    if (length + TFRECORD_HEADER_BYTES + TFRECORD_FOOTER_BYTES != n_frame) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: record %" PRId64 " at byte %" PRId64
                       " changed its length while it was in use",
                       path, i, begin);
    }
    BT_TRY(tfrecord_check_data(frame + TFRECORD_HEADER_BYTES, (size_t)length, path, i, begin, err));
    *record = (bt_record){{frame + TFRECORD_HEADER_BYTES, (size_t)length}, i, begin};
    return BT_OK;
}

bt_status bt_tfrecord_read_offset(const bt_file *file, int64_t offset, int64_t i, bt_str *buffer,
                                  bt_record *record, int64_t *next_offset, bt_error *err) {
    uint8_t       header[TFRECORD_HEADER_BYTES];
    uint64_t      length = 0;
    const int64_t end = bt_fs_size(file);
    BT_TRY(bt_fs_read_at(file, offset, header, sizeof header, err));
    BT_TRY(tfrecord_check_header(header, bt_fs_path(file), i, offset,
                                 end - offset - TFRECORD_HEADER_BYTES, &length, err));
    const int64_t next = offset + (int64_t)length + TFRECORD_HEADER_BYTES + TFRECORD_FOOTER_BYTES;
    BT_TRY(bt_tfrecord_read_frame(file, offset, next, i, buffer, record, err));
    if (next_offset != NULL) {
        *next_offset = next;
    }
    return BT_OK;
}
