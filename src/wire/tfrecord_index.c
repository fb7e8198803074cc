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

typedef struct index_walk {
    bt_tfrecord_index index;
    bt_tfrecord_visit visit;
    void             *context;
} index_walk;

static bt_status walk_stream(bt_fs_stream *stream, index_walk *walk, bt_error *err) {
    bt_tfrecord_index *const index = &walk->index;
    const char *const        path = bt_fs_stream_path(stream);
    const int64_t            size = bt_fs_stream_size(stream);
    int64_t                  begin = 0;    /* of the record before */
    size_t                   n_before = 0; /* of the checksum at its end */
    for (;;) {
        uint8_t        bytes[TFRECORD_FOOTER_BYTES + TFRECORD_HEADER_BYTES];
        uint8_t *const header = bytes + n_before;
        size_t         got = 0;
        uint64_t       length = 0;
        const int64_t  offset = index->n_bytes;
        BT_TRY(bt_fs_stream_read(stream, bytes, n_before + TFRECORD_HEADER_BYTES, &got, err));
        index->content = bt_crc32c(index->content, bytes, got);
        if (n_before > 0) { /* the header has said that the file is as long */
            BT_TRY(walk->visit(walk->context, begin, offset, bt_load_u32le(bytes), err));
        }
        if (got < n_before + TFRECORD_HEADER_BYTES) {
            index->n_trailing_bytes = (int64_t)(got > n_before ? got - n_before : 0);
            return BT_OK;
        }
        BT_TRY(tfrecord_check_header(header, path, index->n_records, offset,
                                     size - offset - TFRECORD_HEADER_BYTES, &length, err));
        begin = offset;
        index->n_bytes += (int64_t)length + TFRECORD_HEADER_BYTES + TFRECORD_FOOTER_BYTES;
        n_before = TFRECORD_FOOTER_BYTES;
        BT_TRY(bt_fs_stream_seek(stream, index->n_bytes - TFRECORD_FOOTER_BYTES, err));
        index->n_records++;
    }
}

bt_status bt_tfrecord_index_visit(const char *path, bt_tfrecord_visit visit, void *context,
                                  bt_tfrecord_index *out, bt_error *err) {
    bt_fs_stream *stream = NULL;
    index_walk    walk = {.visit = visit, .context = context};
    BT_TRY(bt_fs_stream_open(path, &stream, err));
    bt_status rc = walk_stream(stream, &walk, err);
    if (rc == BT_OK && walk.index.n_records == 0 && walk.index.n_trailing_bytes > 0) {
        rc = tfrecord_fail_cut_header(path, 0, 0, walk.index.n_trailing_bytes, err);
    }
    bt_fs_stream_close(stream);
    if (rc == BT_OK) {
        *out = walk.index;
    }
    return rc;
}

/* What is gathered of all records. */
typedef struct index_lists {
    int64_t  *offsets; /* n + 1 */
    uint32_t *checksums;
    size_t    cap_offsets;
    size_t    cap_checksums;
    size_t    n;
} index_lists;

static bt_status list_record(void *context, int64_t begin, int64_t end, uint32_t checksum,
                             bt_error *err) {
    index_lists *const lists = context;
    const size_t       n = lists->n;
    BT_TRY(bt_grow(&lists->offsets, &lists->cap_offsets, n + 2, sizeof *lists->offsets,
                   SIZE_MAX / 16, err));
    BT_TRY(bt_grow(&lists->checksums, &lists->cap_checksums, n + 1, sizeof *lists->checksums,
                   SIZE_MAX / 16, err));
    lists->offsets[n] = begin;
    lists->offsets[n + 1] = end;
    lists->checksums[n] = checksum;
    lists->n++;
    return BT_OK;
}

bt_status bt_tfrecord_index_build(const char *path, bt_tfrecord_index *out, bt_error *err) {
    bt_tfrecord_index index = {0};
    index_lists       lists = {0};
    bt_status         rc = BT_OK;
    BT_CHECK(
        bt_grow(&lists.offsets, &lists.cap_offsets, 1, sizeof *lists.offsets, SIZE_MAX / 16, err));
    lists.offsets[0] = 0;
    BT_CHECK(bt_tfrecord_index_visit(path, list_record, &lists, &index, err));
    *out = index;
    out->offsets = lists.offsets;
    out->checksums = lists.checksums;
    return BT_OK;
done:
    bt_free(lists.offsets);
    bt_free(lists.checksums);
    return rc;
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
