/* SPDX-License-Identifier: Apache-2.0
 *
 * Record files as rows. A plain TFRecord file is indexed by its headers (length checksums
 * verified) and read at the place of the record, data checksum verified then; a gzip stream cannot
 * be entered in the middle, so its records are unpacked at open.
 *
 * Memory per record: 8 bytes of offset, 8 that name it (length and checksum), and 4 more where
 * files are interleaved (order). A million records are 16 to 20 MB; MNLI's 392,702 are 6 MB. Of
 * gzip the records themselves lie in a file without a name in TMPDIR. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/crc32c.h"
#include "bt/base/log.h"
#include "bt/base/str.h"
#include "bt/wire/example.h"
#include "bt/wire/gzip.h"
#include "bt/wire/tfrecord.h"
#include "data_names.h"

typedef struct record_file {
    bt_tfrecord_index index; /* of gzip: where the data of each record starts in unpacked */
} record_file;

typedef struct record_rows {
    data_rows       base;
    record_file    *files; /* owned; [base.n_parts] */
    data_open_files open;
    bool            gzip;
    bt_fs_scratch  *unpacked; /* gzip: the data of all records, one after the other */
    const char     *section;  /* borrowed */
    bt_str          buffer;
    data_decoder    decoder;
    data_names      names; /* of the records' bytes */
} record_rows;

static bt_status name_record(record_rows *rows, size_t length, uint32_t masked_crc, bt_error *err) {
    const uint64_t name[] = {length, masked_crc};
    return data_names_put(&rows->names, data_name_add(0, name, sizeof name), err);
}

static bt_status keep_record(record_rows *rows, record_file *file, size_t *cap,
                             const bt_record *record, bt_error *err) {
    bt_fs_scratch *const     unpacked = rows->unpacked;
    bt_tfrecord_index *const index = &file->index;
    const size_t             n = (size_t)index->n_records;
    BT_TRY(name_record(rows, record->data.n_bytes,
                       bt_crc32c_mask(bt_crc32c(0, record->data.data, record->data.n_bytes)), err));
    BT_TRY(bt_grow(&index->offsets, cap, n + 2, sizeof *index->offsets, SIZE_MAX / 16, err));
    BT_TRY(bt_fs_scratch_append(unpacked, record->data.data, record->data.n_bytes, err));
    index->content = bt_crc32c(index->content, record->data.data, record->data.n_bytes);
    index->n_records++;
    index->offsets[n + 1] = bt_fs_scratch_size(unpacked);
    return BT_OK;
}

static bt_status unpack_file(record_rows *rows, record_file *file, const char *path,
                             bt_error *err) {
    bt_status           rc = BT_OK;
    bt_tfrecord_reader *reader = NULL;
    size_t              cap = 0;
    BT_CHECK(bt_grow(&file->index.offsets, &cap, 1, sizeof *file->index.offsets, 8, err));
    if (rows->unpacked == NULL) {
        BT_CHECK(bt_fs_scratch_create(path, &rows->unpacked, err));
    }
    file->index.offsets[0] = bt_fs_scratch_size(rows->unpacked);
    BT_CHECK(bt_tfrecord_open(path, BT_COMPRESSION_GZIP, &reader, err));
    for (;;) {
        bt_record record;
        bool      end = false;
        BT_CHECK(bt_tfrecord_next(reader, &record, &end, err));
        if (end) {
            break;
        }
        BT_CHECK(keep_record(rows, file, &cap, &record, err));
    }
    BT_CHECK(bt_tfrecord_check_end(reader, err));
    file->index.n_trailing_bytes = bt_tfrecord_trailing_bytes(reader);
    BT_CHECK(bt_fs_scratch_flush(rows->unpacked, err));
done:
    bt_tfrecord_close(reader);
    return rc;
}

/* out->index is the number within its file; bytes are borrowed until the next call. */
static bt_status read_record(record_rows *rows, size_t part, int64_t i, bt_record *out,
                             bt_error *err) {
    record_file *const file = &rows->files[part];
    if (rows->gzip) {
        const int64_t begin = file->index.offsets[i];
        const int64_t end = file->index.offsets[i + 1];
        const size_t  n = (size_t)(end - begin);
        BT_TRY(bt_grow(&rows->buffer.data, &rows->buffer.cap, n + 1, 1, BT_STR_MAX_BYTES, err));
        *out = (bt_record){.data = {(const uint8_t *)rows->buffer.data, n},
                           .index = i,
                           /* 16 bytes of framing a record */
                           .offset = begin - file->index.offsets[0] + 16 * i};
        return bt_fs_scratch_read(rows->unpacked, begin, rows->buffer.data, n, err);
    }
    bt_file *bytes = NULL;
    BT_TRY(data_open_files_get(&rows->open, &rows->base, part, &bytes, err));
    return bt_tfrecord_read_at(bytes, &file->index, i, &rows->buffer, out, err);
}

static bt_status append_example(record_rows *rows, const bt_record *record, data_slot *slot,
                                bool *is_damaged, bt_error *err) {
    data_row        row;
    const bt_status rc = data_decoder_parse(&rows->decoder, record->data, err);
    *is_damaged = rc == BT_E_FORMAT;
    if (rc != BT_OK) {
        return rc;
    }
    BT_TRY(data_decoder_read(&rows->decoder, &row, err));
    return data_slot_append(slot, rows->decoder.schema, &row, err);
}

static bt_status append_record(data_rows *base, int64_t row, data_slot *slot, bool *is_damaged,
                               bt_error *err) {
    record_rows *const     rows = (record_rows *)base;
    const size_t           part = data_rows_part_of(base, row);
    const data_part *const file = &base->parts[part];
    bt_record              record = {0};
    bt_status              rc = read_record(rows, part, row - file->first, &record, err);
    *is_damaged = rc == BT_E_FORMAT; /* a checksum is wrong */
    if (rc != BT_OK) {
        return rc;
    }
    rc = append_example(rows, &record, slot, is_damaged, err);
    if (rc != BT_OK) {
        return bt_error_prefix(err, "%s: record %" PRId64 " at byte %" PRId64, file->path,
                               record.index, record.offset);
    }
    return BT_OK;
}

/* Lengths of records have many NULs. */
bool bt_data_is_text_file(const char *path) {
    bt_file *file = NULL;
    char     bytes[256];
    size_t   got = 0;
    if (bt_fs_open(path, &file, NULL) != BT_OK) {
        return false;
    }
    const bt_status rc = bt_fs_read_upto(file, 0, bytes, sizeof bytes, &got, NULL);
    bt_fs_close(file);
    for (size_t i = 0; i < got; i++) {
        const unsigned char c = (unsigned char)bytes[i];
        if (c == 0x7f || (c < ' ' && c != '\t' && c != '\n' && c != '\r')) {
            return false;
        }
    }
    return rc == BT_OK && got > 0;
}

static bt_status look_for_columns(const char *path, bt_error *problem) {
    bt_file *file = NULL;
    char     head[8] = "";
    size_t   n = 0;
    if (bt_fs_open(path, &file, NULL) != BT_OK) {
        return BT_OK;
    }
    const bt_status rc = bt_fs_read_upto(file, 0, head, sizeof head, &n, NULL);
    bt_fs_close(file);
    return rc == BT_OK ? bt_text_refuse_columns(path, head, n, problem) : BT_OK;
}

/* A file that is none of the kind that it was taken for: says what it is and what to set. */
static bt_status explain_format(const char *section, bool gzip, const char *path,
                                bt_error *problem) {
    const bool      is_gzip = bt_gzip_is_magic(path);
    const bt_status stranger = bt_fs_refuse_stranger_file(path, problem);
    if (stranger != BT_OK) {
        return stranger;
    }
    if (is_gzip && !gzip) {
        return BT_FAIL(problem, BT_E_FORMAT,
                       "%s is compressed with gzip: set %s.file_type=tfrecord_compressed", path,
                       section);
    }
    BT_TRY(look_for_columns(path, problem));
    BT_TRY(bt_text_refuse_packed(path, problem));
    if (bt_data_is_text_file(path)) {
        return BT_FAIL(problem, BT_E_FORMAT,
                       "%s is text, not a record file: call it .tsv, .csv or .jsonl, or say so in "
                       "%s.file_type",
                       path, section);
    }
    if (!is_gzip && gzip) {
        return BT_FAIL(problem, BT_E_FORMAT,
                       "%s is not compressed with gzip: set %s.file_type=tfrecord", path, section);
    }
    return problem->code;
}

/* Those of gzip have their names from the data. */
static bt_status name_records(record_rows *rows, bt_tfrecord_index *index, bt_error *err) {
    for (int64_t i = 0; index->checksums != NULL && i < index->n_records; i++) {
        const size_t length =
            (size_t)(index->offsets[i + 1] - index->offsets[i]) - 16; /* framing */
        BT_TRY(name_record(rows, length, index->checksums[i], err));
    }
    bt_free(index->checksums);
    index->checksums = NULL;
    return BT_OK;
}

static bt_status index_file(record_rows *rows, data_part *part, record_file *file, bt_error *err) {
    bt_error problem = BT_ERROR_INIT;
    BT_TRY(bt_fs_require_file(part->path, NULL, err));
    bt_status rc = rows->gzip ? unpack_file(rows, file, part->path, &problem)
                              : bt_tfrecord_index_build(part->path, &file->index, &problem);
    if (rc == BT_E_FORMAT) {
        rc = explain_format(rows->section, rows->gzip, part->path, &problem);
    }
    if (rc != BT_OK) {
        if (err != NULL) {
            *err = problem;
        }
        return rc;
    }
    if (file->index.n_trailing_bytes > 0) {
        bt_log(BT_LOG_WARNING,
               "%s: %" PRId64 " bytes after record %" PRId64
               " are not a record and were ignored: is the file complete?",
               part->path, file->index.n_trailing_bytes, file->index.n_records);
    }
    BT_TRY(name_records(rows, &file->index, err));
    part->first = rows->base.n_rows;
    part->n_rows = file->index.n_records;
    rows->base.n_rows += part->n_rows;
    data_rows_add_content(&rows->base, &file->index.content, sizeof file->index.content);
    return BT_OK;
}

static bt_status index_files(record_rows *rows, bt_error *err) {
    const size_t n = rows->base.n_parts;
    rows->files = bt_calloc_array(n, sizeof *rows->files);
    if (rows->files == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for %zu files", n);
    }
    BT_TRY(data_open_files_init(&rows->open, n, err));
    for (size_t i = 0; i < n; i++) {
        BT_TRY(index_file(rows, &rows->base.parts[i], &rows->files[i], err));
    }
    if (rows->base.n_rows == 0) {
        return BT_FAIL(err, BT_E_FORMAT, "%s: no records%s", rows->base.parts[0].path,
                       n > 1 ? ", nor in the other files of input_path" : "");
    }
    return BT_OK;
}

static void close_records(data_rows *base) {
    record_rows *const rows = (record_rows *)base;
    for (size_t i = 0; rows->files != NULL && i < base->n_parts; i++) {
        bt_tfrecord_index_deinit(&rows->files[i].index);
    }
    bt_fs_scratch_close(rows->unpacked);
    bt_free(rows->files);
    data_open_files_deinit(&rows->open);
    data_decoder_deinit(&rows->decoder);
    data_names_deinit(&rows->names);
    bt_str_deinit(&rows->buffer);
    data_rows_deinit(base);
    bt_free(rows);
}

static const data_rows_ops record_ops = {.append = append_record, .close = close_records};

bt_status data_records_open(const bt_data_config *config, const bt_data_schema *schema,
                            data_rows **out, bt_error *err) {
    bt_status    rc = BT_OK;
    record_rows *rows = bt_calloc_array(1, sizeof *rows);
    *out = NULL;
    if (rows == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for record files");
    }
    rows->base.ops = &record_ops;
    rows->gzip = config->gzip;
    rows->section = config->section;
    BT_CHECK(data_rows_expand(&rows->base, config, err));
    BT_CHECK(index_files(rows, err));
    BT_CHECK(data_decoder_init(&rows->decoder, schema, config->section, err));
    rows->base.names = &rows->names;
    *out = &rows->base;
    rows = NULL;
done:
    if (rows != NULL) {
        close_records(&rows->base);
    }
    return rc;
}

/* Looks at the first record of a file, if it has one. */
static bt_status look_at_file(const char *path, bool gzip, const char *key, bool *is_there,
                              bool *out, bt_error *err) {
    bt_status           rc = BT_OK;
    bt_tfrecord_reader *reader = NULL;
    bt_example          example = BT_EXAMPLE_INIT;
    bt_record           record;
    bool                end = false;
    BT_CHECK(bt_fs_require_file(path, NULL, err));
    BT_CHECK(
        bt_tfrecord_open(path, gzip ? BT_COMPRESSION_GZIP : BT_COMPRESSION_NONE, &reader, err));
    BT_CHECK(bt_tfrecord_next(reader, &record, &end, err));
    *is_there = !end;
    if (end) {
        BT_CHECK(bt_tfrecord_check_end(reader, err));
    } else {
        BT_CHECK(bt_example_parse(&example, record.data, err));
        *out = bt_example_find(&example, key) != NULL;
    }
done:
    bt_tfrecord_close(reader);
    bt_example_deinit(&example);
    return rc;
}

bt_status data_records_have(const bt_data_config *config, const char *key, bool *out,
                            bt_error *err) {
    data_rows rows = {0};
    bool      is_there = false;
    bt_status rc = data_rows_expand(&rows, config, err);
    *out = false;
    for (size_t i = 0; rc == BT_OK && !is_there && i < rows.n_parts; i++) {
        rc = look_at_file(rows.parts[i].path, config->gzip, key, &is_there, out, err);
        rc = rc == BT_E_FORMAT
                 ? explain_format(config->section, config->gzip, rows.parts[i].path, err)
                 : rc;
    }
    data_rows_deinit(&rows);
    return rc;
}
