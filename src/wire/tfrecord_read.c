/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading TFRecord files from front to back (docs/model_garden/data.md section 5): u64 length,
 * masked crc32c of it, the data, masked crc32c of the data. Messages say file, record, byte and
 * both checksums. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "bt/base/crc32c.h"
#include "inflate_stream.h"
#include "tfrecord_frame.h"

/* An unknown end (compressed stream, pipe): data is taken in steps of this size, so that a lying
 * length allocates no more than twice what the stream really holds. */
static const size_t step_bytes = (size_t)1 << 24;
static const size_t record_max_bytes = (size_t)1 << 40;

struct bt_tfrecord_reader {
    inflate_stream *stream;
    int64_t         index;
    int64_t         offset; /* of the next record */
    int64_t         n_trailing;
    uint8_t        *data;
    size_t          cap;
    bt_status       failed; /* sticky */
    bt_error        error;
};

static bt_status fail_cut(const char *path, int64_t index, int64_t offset, uint64_t n_bytes,
                          uint64_t got, bt_error *err) {
    return BT_FAIL(err, BT_E_FORMAT,
                   "%s: record %" PRId64 " at byte %" PRId64 " is truncated: %" PRIu64
                   " bytes must follow its header, only %" PRIu64 " do",
                   path, index, offset, n_bytes + TFRECORD_FOOTER_BYTES, got);
}

bt_status tfrecord_check_header(const uint8_t header[TFRECORD_HEADER_BYTES], const char *path,
                                int64_t index, int64_t offset, int64_t n_left, uint64_t *n_bytes,
                                bt_error *err) {
    const uint32_t stored = bt_load_u32le(header + 8);
    const uint32_t real = bt_crc32c_mask(bt_crc32c(0, header, 8));
    if (stored != real) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: record %" PRId64 " at byte %" PRId64
                       ": the crc of the length is 0x%08" PRIx32 ", the file says 0x%08" PRIx32
                       "%s",
                       path, index, offset, real, stored,
                       index == 0 ? " (is this a TFRecord file, and of this compression?)" : "");
    }
    const uint64_t length = bt_load_u64le(header);
    if (length > record_max_bytes) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: record %" PRId64 " at byte %" PRId64 ": it claims %" PRIu64
                       " bytes, more than any record has",
                       path, index, offset, length);
    }
    if (n_left >= 0 && length + TFRECORD_FOOTER_BYTES > (uint64_t)n_left) {
        return fail_cut(path, index, offset, length, (uint64_t)n_left, err);
    }
    *n_bytes = length;
    return BT_OK;
}

bt_status tfrecord_fail_cut_header(const char *path, int64_t index, int64_t offset, int64_t got,
                                   bt_error *err) {
    return BT_FAIL(err, BT_E_FORMAT,
                   "%s: record %" PRId64 " at byte %" PRId64
                   " is truncated: its header has %d bytes, only %" PRId64
                   " are there: is the file complete?",
                   path, index, offset, (int)TFRECORD_HEADER_BYTES, got);
}

bt_status tfrecord_check_data(const uint8_t *data, size_t n_bytes, const char *path, int64_t index,
                              int64_t offset, bt_error *err) {
    const uint32_t stored = bt_load_u32le(data + n_bytes);
    const uint32_t real = bt_crc32c_mask(bt_crc32c(0, data, n_bytes));
    if (stored != real) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: record %" PRId64 " at byte %" PRId64
                       ": the crc of the data is 0x%08" PRIx32 ", the file says 0x%08" PRIx32,
                       path, index, offset, real, stored);
    }
    return BT_OK;
}

bt_status bt_tfrecord_open(const char *path, bt_compression compression, bt_tfrecord_reader **out,
                           bt_error *err) {
    bt_tfrecord_reader *const reader = bt_calloc_array(1, sizeof *reader);
    if (reader == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot open %s", path);
    }
    const bt_status rc = inflate_stream_open(path, compression, &reader->stream, err);
    if (rc != BT_OK) {
        bt_free(reader);
        return rc;
    }
    *out = reader;
    return BT_OK;
}

void bt_tfrecord_close(bt_tfrecord_reader *reader) {
    if (reader != NULL) {
        inflate_stream_close(reader->stream);
        bt_free(reader->data);
        bt_free(reader);
    }
}

int64_t bt_tfrecord_trailing_bytes(const bt_tfrecord_reader *reader) {
    return reader->n_trailing;
}

bt_status bt_tfrecord_check_end(const bt_tfrecord_reader *reader, bt_error *err) {
    const char *const path = inflate_stream_path(reader->stream);
    if (reader->index == 0 && reader->n_trailing > 0) {
        return tfrecord_fail_cut_header(path, 0, 0, reader->n_trailing, err);
    }
    if (inflate_stream_is_cut(reader->stream)) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: it is truncated: what is compressed must end by itself, but the file "
                       "ends within it, after record %" PRId64 " (byte %" PRId64
                       " of what is unpacked): copy it again",
                       path, reader->index, reader->offset);
    }
    return BT_OK;
}

/* Data and footer into reader->data. */
static bt_status read_data(bt_tfrecord_reader *reader, uint64_t length, bt_error *err) {
    const size_t need = (size_t)length + TFRECORD_FOOTER_BYTES;
    size_t       have = 0;
    while (have < need) {
        const size_t want = need - have < step_bytes ? need - have : step_bytes;
        size_t       got = 0;
        BT_TRY(bt_grow(&reader->data, &reader->cap, have + want, 1, SIZE_MAX / 2, err));
        BT_TRY(inflate_stream_read(reader->stream, reader->data + have, want, &got, err));
        have += got;
        if (got < want) {
            return fail_cut(inflate_stream_path(reader->stream), reader->index, reader->offset,
                            length, have, err);
        }
    }
    return BT_OK;
}

static bt_status read_record(bt_tfrecord_reader *reader, bt_record *record, bool *end,
                             bt_error *err) {
    uint8_t           header[TFRECORD_HEADER_BYTES];
    size_t            got = 0;
    uint64_t          length = 0;
    const char *const path = inflate_stream_path(reader->stream);
    BT_TRY(inflate_stream_read(reader->stream, header, sizeof header, &got, err));
    if (got < sizeof header) {
        reader->n_trailing = (int64_t)got;
        *end = true;
        return BT_OK;
    }
    BT_TRY(tfrecord_check_header(header, path, reader->index, reader->offset,
                                 inflate_stream_left(reader->stream), &length, err));
    BT_TRY(read_data(reader, length, err));
    BT_TRY(tfrecord_check_data(reader->data, (size_t)length, path, reader->index, reader->offset,
                               err));
    *record = (bt_record){{reader->data, (size_t)length}, reader->index, reader->offset};
    reader->index++;
    reader->offset += (int64_t)length + TFRECORD_HEADER_BYTES + TFRECORD_FOOTER_BYTES;
    *end = false;
    return BT_OK;
}

bt_status bt_tfrecord_next(bt_tfrecord_reader *reader, bt_record *record, bool *end,
                           bt_error *err) {
    if (reader->failed == BT_OK) {
        reader->failed = read_record(reader, record, end, &reader->error);
    }
    if (reader->failed != BT_OK && err != NULL) {
        *err = reader->error; /* nothing after a fault can be trusted: it stays one */
    }
    return reader->failed;
}
