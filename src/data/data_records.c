/* SPDX-License-Identifier: Apache-2.0
 *
 * Record files as rows. A plain TFRecord file is indexed by its headers (length checksums
 * verified) and read at the place of the record, data checksum verified then; a gzip stream cannot
 * be entered in the middle, so its records are unpacked at open.
 *
 * Memory per record: some 10 bits for its place, 8 bytes that name it (length and checksum) as far
 * as there are no more than a million, and 4 more where files are interleaved (order); nothing of
 * the first two where a large input has an index. Of gzip the records themselves lie in a file
 * without a name in TMPDIR, as the names of many records do. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/crc32c.h"
#include "bt/base/log.h"
#include "bt/base/str.h"
#include "bt/wire/example.h"
#include "bt/wire/gzip.h"
#include "bt/wire/tfrecord.h"
#include "data_index.h"

typedef struct record_file {
    int64_t          base; /* where its bytes begin among those of all files: rows->places */
    int64_t          n_bytes;
    int64_t          unpacked_at; /* gzip: where the data of its records begin in unpacked */
    int64_t          n_trailing;
    data_index_state state; /* where an index is kept */
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
    data_names      names;  /* of the records' bytes */
    data_places     places; /* of the records of all files; gzip: of their data */
    data_index      index;
    data_index_file index_file; /* from which places and names are read; or none */
} record_rows;

static uint64_t name_of(size_t length, uint32_t masked_crc) {
    const uint64_t name[] = {length, masked_crc};
    return data_name_add(0, name, sizeof name);
}

static bt_status name_record(record_rows *rows, size_t length, uint32_t masked_crc, bt_error *err) {
    return data_names_put(&rows->names, name_of(length, masked_crc), err);
}

static bt_status keep_record(record_rows *rows, record_file *file, const bt_record *record,
                             uint32_t *content, int64_t *n_records, bt_error *err) {
    bt_fs_scratch *const unpacked = rows->unpacked;
    BT_TRY(name_record(rows, record->data.n_bytes,
                       bt_crc32c_mask(bt_crc32c(0, record->data.data, record->data.n_bytes)), err));
    BT_TRY(data_places_add(&rows->places,
                           file->base + bt_fs_scratch_size(unpacked) - file->unpacked_at, err));
    BT_TRY(bt_fs_scratch_append(unpacked, record->data.data, record->data.n_bytes, err));
    *content = bt_crc32c(*content, record->data.data, record->data.n_bytes);
    (*n_records)++;
    return BT_OK;
}

static bt_status unpack_file(record_rows *rows, record_file *file, const char *path,
                             uint32_t *content, int64_t *n_records, bt_error *err) {
    bt_status           rc = BT_OK;
    bt_tfrecord_reader *reader = NULL;
    if (rows->unpacked == NULL) {
        BT_CHECK(bt_fs_scratch_create(path, &rows->unpacked, err));
    }
    file->unpacked_at = bt_fs_scratch_size(rows->unpacked);
    BT_CHECK(bt_tfrecord_open(path, BT_COMPRESSION_GZIP, &reader, err));
    for (;;) {
        bt_record record;
        bool      end = false;
        BT_CHECK(bt_tfrecord_next(reader, &record, &end, err));
        if (end) {
            break;
        }
        BT_CHECK(keep_record(rows, file, &record, content, n_records, err));
    }
    BT_CHECK(bt_tfrecord_check_end(reader, err));
    file->n_trailing = bt_tfrecord_trailing_bytes(reader);
    file->n_bytes = bt_fs_scratch_size(rows->unpacked) - file->unpacked_at;
    BT_CHECK(bt_fs_scratch_flush(rows->unpacked, err));
done:
    bt_tfrecord_close(reader);
    return rc;
}

/* out->index is the number within its file; bytes are borrowed until the next call. */
static bt_status read_record(record_rows *rows, size_t part, int64_t row, bt_record *out,
                             bt_error *err) {
    const record_file *const file = &rows->files[part];
    const int64_t            i = row - rows->base.parts[part].first;
    int64_t                  begin = 0;
    int64_t                  end = 0;
    bt_file                 *bytes = NULL;
    BT_TRY(data_places_get(&rows->places, row, &begin, &end, err));
    begin -= file->base;
    end = end - file->base < file->n_bytes ? end - file->base : file->n_bytes;
    if (rows->gzip) {
        const size_t n = (size_t)(end - begin);
        BT_TRY(bt_grow(&rows->buffer.data, &rows->buffer.cap, n + 1, 1, BT_STR_MAX_BYTES, err));
        *out = (bt_record){.data = {(const uint8_t *)rows->buffer.data, n},
                           .index = i,
                           .offset = begin + 16 * i}; /* 16 bytes of framing a record */
        return bt_fs_scratch_read(rows->unpacked, file->unpacked_at + begin, rows->buffer.data, n,
                                  err);
    }
    BT_TRY(data_open_files_get(&rows->open, &rows->base, part, &bytes, err));
    return bt_tfrecord_read_frame(bytes, begin, end, i, &rows->buffer, out, err);
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
    bt_status              rc = read_record(rows, part, row, &record, err);
    *is_damaged = rc == BT_E_FORMAT; /* a checksum is wrong */
    if (rc != BT_OK) {
        return rc;
    }
    if (!rows->gzip) { /* its checksum, which was just found right, is behind it */
        const uint8_t *const checksum = record.data.data + record.data.n_bytes;
        rc = data_names_check(&rows->names, row,
                              name_of(record.data.n_bytes, bt_load_u32le(checksum)), err);
    }
    rc = rc == BT_OK ? append_example(rows, &record, slot, is_damaged, err) : rc;
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

/* A record of the file that is indexed. */
typedef struct record_visit {
    record_rows *rows;
    int64_t      base;
} record_visit;

static bt_status take_record(void *context, int64_t begin, int64_t end, uint32_t checksum,
                             bt_error *err) {
    record_visit *const visit = context;
    BT_TRY(name_record(visit->rows, (size_t)(end - begin) - 16, checksum, err)); /* framing */
    return data_places_add(&visit->rows->places, visit->base + begin, err);
}

static bt_status read_headers(record_rows *rows, record_file *file, const char *path,
                              uint32_t *content, int64_t *n_records, bt_error *err) {
    bt_tfrecord_index index = {0};
    record_visit      visit = {.rows = rows, .base = file->base};
    BT_TRY(bt_tfrecord_index_visit(path, take_record, &visit, &index, err));
    file->n_bytes = index.n_bytes;
    file->n_trailing = index.n_trailing_bytes;
    *content = index.content;
    *n_records = index.n_records;
    return BT_OK;
}

static void tell_trailing(const data_part *part, const record_file *file) {
    if (file->n_trailing > 0) {
        bt_log(BT_LOG_WARNING,
               "%s: %" PRId64 " bytes after record %" PRId64
               " are not a record and were ignored: is the file complete?",
               part->path, file->n_trailing, part->n_rows);
    }
}

static bt_status index_file(record_rows *rows, data_part *part, record_file *file, bt_error *err) {
    bt_error problem = BT_ERROR_INIT;
    uint32_t content = 0;
    BT_TRY(bt_fs_require_file(part->path, NULL, err));
    bt_status rc = rows->gzip
                       ? unpack_file(rows, file, part->path, &content, &part->n_rows, &problem)
                       : read_headers(rows, file, part->path, &content, &part->n_rows, &problem);
    if (rc == BT_E_FORMAT) {
        rc = explain_format(rows->section, rows->gzip, part->path, &problem);
    }
    if (rc != BT_OK) {
        if (err != NULL) {
            *err = problem;
        }
        return rc;
    }
    tell_trailing(part, file);
    part->first = rows->base.n_rows;
    rows->base.n_rows += part->n_rows;
    data_rows_add_content(&rows->base, &content, sizeof content);
    return BT_OK;
}

static bt_status index_files(record_rows *rows, bt_error *err) {
    const size_t n = rows->base.n_parts;
    int64_t      base = 0;
    for (size_t i = 0; i < n; i++) {
        rows->files[i].base = base;
        BT_TRY(index_file(rows, &rows->base.parts[i], &rows->files[i], err));
        base += rows->files[i].n_bytes;
    }
    BT_TRY(data_places_finish(&rows->places, base, err));
    if (rows->base.n_rows == 0) {
        return BT_FAIL(err, BT_E_FORMAT, "%s: no records%s", rows->base.parts[0].path,
                       n > 1 ? ", nor in the other files of input_path" : "");
    }
    return BT_OK;
}

/* The index: states of the files, how many records each has, what names them all. */

static bt_status begin_index(record_rows *rows, const bt_data_config *config, bt_error *err) {
    bt_str    question = BT_STR_INIT;
    int64_t   n_bytes = 0;
    bool      ok = false;
    bt_status rc = BT_OK;
    if (config->index == NULL || rows->gzip) {
        return BT_OK;
    }
    BT_CHECK(data_index_take_states(&rows->base, &rows->files[0].state, sizeof rows->files[0],
                                    &n_bytes, &ok, err));
    if (ok) {
        BT_CHECK(bt_str_append(&question, "records 1\n", err));
        BT_CHECK(data_index_ask_paths(&rows->base, &question, err));
        BT_CHECK(data_index_init(&rows->index, config, &rows->base, n_bytes, &question, err));
    }
done:
    bt_str_deinit(&question);
    return rc;
}

static bt_status keep_index(record_rows *rows, bt_error *err) {
    bt_str    facts = BT_STR_INIT;
    bt_status rc = BT_OK;
    if (!data_index_is_used(&rows->index) || !rows->index.may_write) {
        return BT_OK;
    }
    BT_CHECK(data_index_put_text(&facts, bt_str_text(&rows->index.question),
                                 rows->index.question.len, err));
    BT_CHECK(data_index_put(&facts, rows->base.content, err));
    for (size_t i = 0; i < rows->base.n_parts; i++) {
        const record_file *const file = &rows->files[i];
        const int64_t values[] = {rows->base.parts[i].n_rows, file->n_bytes, file->n_trailing};
        BT_CHECK(data_index_put_state(&facts, &file->state, err));
        BT_CHECK(data_index_put_all(&facts, values, BT_ARRAY_LEN(values), err));
    }
    BT_CHECK(data_index_keep(&rows->index, &facts, &rows->places, &rows->names, err));
    rc = data_index_use_kept(&rows->index, &facts, &rows->index_file, &rows->places, &rows->names,
                             err);
done:
    bt_str_deinit(&facts);
    return rc;
}

static bt_status take_files(record_rows *rows, bt_reader *r, bool *ok, bt_error *err) {
    int64_t base = 0;
    bool    is_new = false;
    *ok = true;
    for (size_t i = 0; *ok && i < rows->base.n_parts; i++) {
        data_part *const   part = &rows->base.parts[i];
        record_file *const file = &rows->files[i];
        int64_t            v[3] = {0};
        BT_TRY(data_index_check_state(r, part->path, &file->state, ok, &is_new, err));
        *ok = *ok && data_index_take_all(r, v, BT_ARRAY_LEN(v)) &&
              v[0] <= rows->index_file.n_rows - rows->base.n_rows &&
              v[1] <= file->state.stamp.n_bytes;
        part->first = rows->base.n_rows;
        part->n_rows = v[0];
        file->base = base;
        file->n_bytes = v[1];
        file->n_trailing = v[2];
        rows->base.n_rows += part->n_rows;
        base += file->n_bytes;
    }
    *ok = *ok && base == rows->index_file.end && rows->base.n_rows == rows->index_file.n_rows;
    return BT_OK;
}

static bt_status restore(record_rows *rows, bool *is_restored, bt_error *err) {
    bt_text_span question = {0};
    int64_t      content = 0;
    *is_restored = false;
    if (!data_index_is_used(&rows->index)) {
        return BT_OK;
    }
    BT_TRY(data_index_find(&rows->index, &rows->index_file, err));
    if (rows->index_file.file == NULL) {
        return BT_OK;
    }
    bt_reader r = bt_reader_make(rows->index_file.facts.data, rows->index_file.facts.len);
    if (data_index_take_text(&r, &question) && data_index_take(&r, 0, UINT32_MAX, &content)) {
        BT_TRY(take_files(rows, &r, is_restored, err));
    }
    if (!*is_restored) {
        rows->base.n_rows = 0;
        for (size_t i = 0; i < rows->base.n_parts; i++) {
            rows->base.parts[i].n_rows = 0;
        }
        data_index_file_deinit(&rows->index_file);
        return BT_OK;
    }
    rows->base.has_content = true;
    rows->base.content = (uint32_t)content;
    rows->base.is_known = bt_fs_is_remote(rows->base.parts[0].path);
    for (size_t i = 0; i < rows->base.n_parts; i++) {
        tell_trailing(&rows->base.parts[i], &rows->files[i]);
    }
    data_index_use(&rows->index_file, &rows->places, &rows->names);
    data_index_tell_known(&rows->index, &rows->index_file);
    return BT_OK;
}

static bt_status find_records(record_rows *rows, const bt_data_config *config, bt_error *err) {
    const size_t n = rows->base.n_parts;
    bool         is_restored = false;
    rows->files = bt_calloc_array(n, sizeof *rows->files);
    if (rows->files == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for %zu files", n);
    }
    BT_TRY(data_open_files_init(&rows->open, n, err));
    BT_TRY(begin_index(rows, config, err));
    BT_TRY(restore(rows, &is_restored, err));
    if (is_restored) {
        return BT_OK;
    }
    BT_TRY(index_files(rows, err));
    return keep_index(rows, err);
}

static void close_records(data_rows *base) {
    record_rows *const rows = (record_rows *)base;
    data_places_deinit(&rows->places);
    data_index_deinit(&rows->index);
    data_index_file_deinit(&rows->index_file);
    bt_fs_scratch_close(rows->unpacked);
    bt_free(rows->files);
    data_open_files_deinit(&rows->open);
    data_decoder_deinit(&rows->decoder);
    data_names_deinit(&rows->names);
    bt_str_deinit(&rows->buffer);
    data_rows_deinit(base);
    bt_free(rows);
}

static bt_status where_is_record(data_rows *base, int64_t row, bt_str *out, bt_error *err) {
    const size_t part = data_rows_part_of(base, row);
    bt_record    record = {0};
    BT_TRY(read_record((record_rows *)base, part, row, &record, err));
    return bt_str_appendf(out, err, "%s: record %" PRId64 " at byte %" PRId64,
                          base->parts[part].path, record.index, record.offset);
}

static const data_rows_ops record_ops = {
    .append = append_record, .where = where_is_record, .close = close_records};

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
    BT_CHECK(find_records(rows, config, err));
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
