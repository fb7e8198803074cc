/* SPDX-License-Identifier: Apache-2.0
 *
 * TFRecord: records in frames with checksums, in a file that may be compressed. docs/formats.md. */
#ifndef BT_WIRE_TFRECORD_H
#define BT_WIRE_TFRECORD_H

#include "bt/base/bytes.h"
#include "bt/base/str.h"
#include "bt/fs.h"

typedef enum bt_compression {
    BT_COMPRESSION_NONE,
    BT_COMPRESSION_GZIP,
    BT_COMPRESSION_ZLIB
} bt_compression;

typedef struct bt_record {
    bt_bytes data;   /* borrowed until the next read from where it came */
    int64_t  index;  /* 0-based number in the file */
    int64_t  offset; /* byte of its header in the (uncompressed) stream */
} bt_record;

typedef struct bt_tfrecord_reader bt_tfrecord_reader;
BT_MUST_USE bt_status             bt_tfrecord_open(const char *path, bt_compression compression,
                                                   bt_tfrecord_reader **out, bt_error *err);
void                              bt_tfrecord_close(bt_tfrecord_reader *reader); /* accepts NULL */
/* The next record, both checksums verified; *end is true after the last. An empty file is an empty
 * set. Fewer than 12 bytes at the end of the file are neither a record nor an error (as in
 * TensorFlow): see bt_tfrecord_trailing_bytes. After an error every further call gives the same
 * kind of error.
 */
BT_MUST_USE bt_status bt_tfrecord_next(bt_tfrecord_reader *reader, bt_record *record, bool *end,
                                       bt_error *err);
/* After the end: 1..11 bytes that TensorFlow ignores silently (warn the user), else 0. */
int64_t bt_tfrecord_trailing_bytes(const bt_tfrecord_reader *reader);
/* After the end: BT_E_FORMAT for a file that is cut, though TensorFlow reads it: 1..11 bytes and no
 * record, or a compressed stream that lacks its own end. */
BT_MUST_USE bt_status bt_tfrecord_check_end(const bt_tfrecord_reader *reader, bt_error *err);

/* Where the records of an uncompressed file start: reads the headers only (length checksums
 * verified, data checksums not). For access in any order. 1..11 bytes and no record: BT_E_FORMAT.
 */
typedef struct bt_tfrecord_index {
    int64_t  *offsets;   /* n_records + 1: the last one is where the records end */
    uint32_t *checksums; /* n_records: of their data, as the file has them; NULL: it has none */
    int64_t   n_records;
    int64_t   n_trailing_bytes; /* 1..11 ignored bytes, else 0 */
    uint32_t  content; /* crc32c of the records' lengths and checksums: names what is in them */
    int64_t   n_bytes; /* where the records end */
} bt_tfrecord_index;
BT_MUST_USE bt_status bt_tfrecord_index_build(const char *path, bt_tfrecord_index *out,
                                              bt_error *err);
void                  bt_tfrecord_index_deinit(bt_tfrecord_index *index);
/* The same in memory that does not grow with the records: each is shown to visit in turn, from the
 * byte of its header to that of the next one, with the masked checksum of its data. *out is without
 * offsets and checksums. */
typedef bt_status (*bt_tfrecord_visit)(void *context, int64_t begin, int64_t end, uint32_t checksum,
                                       bt_error *err);
BT_MUST_USE bt_status bt_tfrecord_index_visit(const char *path, bt_tfrecord_visit visit,
                                              void *context, bt_tfrecord_index *out, bt_error *err);
/* Record number i, the bytes [begin, end) of the file as an index says, both checksums verified.
 * buffer grows when needed and holds the bytes: the record is borrowed until buffer changes.
 * Threads may share the file, not buffer. */
BT_MUST_USE bt_status bt_tfrecord_read_frame(const bt_file *file, int64_t begin, int64_t end,
                                             int64_t i, bt_str *buffer, bt_record *record,
                                             bt_error *err);
/* Record number i at byte offset of a file of which no index was built. *next_offset may be NULL.
 */
BT_MUST_USE bt_status bt_tfrecord_read_offset(const bt_file *file, int64_t offset, int64_t i,
                                              bt_str *buffer, bt_record *record,
                                              int64_t *next_offset, bt_error *err);

typedef struct bt_tfrecord_writer bt_tfrecord_writer;
/* Atomic: the file appears at commit. */
BT_MUST_USE bt_status bt_tfrecord_writer_create(const char *path, bt_compression compression,
                                                bt_tfrecord_writer **out, bt_error *err);
BT_MUST_USE bt_status bt_tfrecord_write(bt_tfrecord_writer *writer, const void *data,
                                        size_t n_bytes, bt_error *err);
int64_t               bt_tfrecord_writer_count(const bt_tfrecord_writer *writer); /* records */
/* Frees *writer and sets it to NULL; on failure it stays and the caller aborts it. */
BT_MUST_USE bt_status bt_tfrecord_writer_commit(bt_tfrecord_writer **writer, bt_error *err);
void                  bt_tfrecord_writer_abort(bt_tfrecord_writer *writer); /* NULL ok */
/* One framed record appended to a string (16 bytes more than the data). */
BT_MUST_USE bt_status bt_tfrecord_frame(bt_str *out, const void *data, size_t n_bytes,
                                        bt_error *err);

#endif
