/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables of text (TSV, CSV, JSON lines) as rows. At open every file is read through once
 * (data_table_pass.c). Then a row is read at its place and tokenized, in the thread that reads
 * ahead; nothing of the text is kept.
 *
 * Memory per row: some 10 bits for its place, and of the last million rows 8 bytes that name its
 * texts; those of the rows before lie in a file without a name in TMPDIR. A gzip stream cannot be
 * entered in the middle, so those files are unpacked into such a file as well. */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "data_table_index.h"

bt_status table_put_place(const char *path, row_place place, const char *row, size_t at,
                          bt_error *err) {
    for (size_t i = 0; i < at; i++) {
        place.column = row[i] == '\n' ? 1 : place.column + 1;
        place.line += row[i] == '\n' ? 1 : 0;
    }
    return bt_error_prefix(err, "%s:%" PRId64 ":%" PRId64, path, place.line, place.column);
}

/* Of a row that begins at a byte; counted only when something is wrong there. */
static row_place place_of(const table_rows *rows, size_t part, int64_t offset) {
    const table_source  *source = &rows->files[part].source;
    const bt_text_source text = {
        .is_unpacked = source->is_unpacked, .begin = source->begin, .end = source->end};
    bt_fs_stream *stream = NULL;
    char          block[4096];
    row_place     place = {1, 1};
    if (bt_text_source_stream(&text, rows->base.parts[part].path, rows->unpacked, &stream, NULL) !=
        BT_OK) {
        return (row_place){0};
    }
    for (int64_t at = 0; at < offset;) {
        const int64_t left = offset - at;
        const size_t  n = left < (int64_t)sizeof block ? (size_t)left : sizeof block;
        size_t        got = 0;
        if (bt_fs_stream_read(stream, block, n, &got, NULL) != BT_OK || got == 0) {
            break;
        }
        for (size_t i = 0; i < got; i++) {
            place.line += block[i] == '\n' ? 1 : 0;
            place.column = block[i] == '\n' ? 1 : place.column + 1;
        }
        at += (int64_t)got;
    }
    bt_fs_stream_close(stream);
    return place;
}

bt_status table_check_bytes(const table_rows *rows, const char *row, size_t n, size_t *at,
                            bt_error *err) {
    const char *const nul = memchr(row, '\0', n);
    *at = bt_text_utf8_valid_prefix(row, n);
    if (nul != NULL && (size_t)(nul - row) < *at) {
        *at = (size_t)(nul - row);
        return BT_FAIL(err, BT_E_FORMAT, "a NUL byte: is this a text file?");
    }
    if (*at < n) {
        char advice[BT_TEXT_ADVICE_MAX];
        return BT_FAIL(err, BT_E_FORMAT, "byte 0x%02x is not valid UTF-8%s",
                       (unsigned)(unsigned char)row[*at],
                       bt_text_encoding_advice(rows->wish.encoding.key, row, n, *at, advice));
    }
    return BT_OK;
}

static bt_status pick_columns(table_rows *rows, const table_file *file, const char *row, size_t n,
                              bt_text_span *values, size_t *at, bt_error *err) {
    BT_TRY(table_split(&rows->fields, &file->source.form, row, n, at, err));
    if (rows->fields.n != file->n_columns) {
        return BT_FAIL(err, BT_E_FORMAT, "the row has %zu column%s, the %s has %zu%s",
                       rows->fields.n, rows->fields.n == 1 ? "" : "s",
                       rows->wish.has_header ? "header" : "first row", file->n_columns,
                       file->source.form.delimiter == '\t' && rows->fields.n == 1
                           ? " (separated by tabs)"
                           : "");
    }
    for (size_t k = 0; k < rows->wish.n_keys; k++) {
        const int32_t column = file->columns[k];
        values[k] = column >= 0 ? rows->fields.spans[column] : (bt_text_span){0};
    }
    return BT_OK;
}

static bt_status pick_members(table_rows *rows, const char *row, size_t n, bt_text_span *values,
                              size_t *at, bt_error *err) {
    BT_TRY(table_pick_json(&rows->fields, row, n, rows->wish.keys, rows->wish.may_be_number,
                           rows->wish.n_keys, at, err));
    for (size_t k = 0; k < rows->wish.n_keys; k++) {
        values[k] = rows->fields.spans[k];
        if (values[k].text == NULL && k != rows->wish.id_key) {
            return BT_FAIL(err, BT_E_FORMAT, "\"%s\" is missing or null", rows->wish.keys[k]);
        }
    }
    return BT_OK;
}

bt_status table_take_apart(table_rows *rows, const table_file *file, const char *row, size_t n,
                           bt_text_span *values, size_t *at, bt_error *err) {
    BT_TRY(table_check_bytes(rows, row, n, at, err));
    return rows->wish.table == BT_TABLE_JSONL ? pick_members(rows, row, n, values, at, err)
                                              : pick_columns(rows, file, row, n, values, at, err);
}

static bt_status read_number(bt_text_span text, bool is_integer, int64_t *integer, double *number,
                             bt_error *err) {
    char copy[64] = "";
    text = data_trim(text);
    if (text.n_bytes > 0 && text.n_bytes < sizeof copy) {
        memcpy(copy, text.text, text.n_bytes);
        if (is_integer ? bt_parse_i64(copy, integer) : bt_parse_f64(copy, number)) {
            return BT_OK;
        }
    }
    return BT_FAIL(err, BT_E_FORMAT, "'%.*s' is not %s", text.n_bytes < 40 ? (int)text.n_bytes : 40,
                   text.text, is_integer ? "an integer" : "a number");
}

bt_status table_read_score(const table_rows *rows, size_t key, bt_text_span text, float *score,
                           bt_error *err) {
    double number = 0;
    if (read_number(text, false, NULL, &number, err) != BT_OK) {
        return bt_error_prefix(err, "field %s", rows->wish.keys[key]);
    }
    if (!isfinite(number) || fabs(number) > (double)FLT_MAX) {
        return BT_FAIL(err, BT_E_FORMAT, "field %s: '%.*s' is not a score: is it missing?",
                       rows->wish.keys[key], text.n_bytes < 40 ? (int)text.n_bytes : 40, text.text);
    }
    *score = (float)number;
    return BT_OK;
}

static bt_status read_values(table_rows *rows, const bt_text_span *values, int64_t number,
                             data_row *row, bt_error *err) {
    *row = (data_row){.example_id = number};
    if (rows->wish.id_key != TABLE_NO_KEY && values[rows->wish.id_key].text != NULL) {
        if (read_number(values[rows->wish.id_key], true, &row->example_id, NULL, err) != BT_OK) {
            return bt_error_prefix(err, "field %s", rows->wish.keys[rows->wish.id_key]);
        }
    }
    if (rows->wish.weight_key != TABLE_NO_KEY) {
        BT_TRY(table_read_score(rows, rows->wish.weight_key, values[rows->wish.weight_key],
                                &row->weight, err));
    }
    if (rows->wish.label_key == TABLE_NO_KEY) {
        return BT_OK;
    }
    const bt_text_span *const label = &values[rows->wish.label_key];
    if (rows->schema->label_kind == BT_LABEL_MULTI) {
        row->targets = rows->targets;
        return rows->n_label_keys > 0
                   ? table_read_targets(&rows->wish, label, rows->n_label_keys, rows->targets, err)
                   : table_find_targets(&rows->labels, *label, rows->targets, err);
    }
    return rows->schema->label_kind == BT_LABEL_FLOAT
               ? table_read_score(rows, rows->wish.label_key, *label, &row->score, err)
               : data_labels_find(&rows->labels, *label, &row->label, err);
}

/* Where row number `number` begins in its file, and the next one, or the end of the file. */
static bt_status find_place(table_rows *rows, size_t part, int64_t number, int64_t *begin,
                            int64_t *end, bt_error *err) {
    const table_file *const file = &rows->files[part];
    BT_TRY(data_places_get(&rows->places, number, begin, end, err));
    *begin -= file->base;
    *end -= file->base;
    *end = *end > file->n_bytes ? file->n_bytes : *end; /* the next row is of another file */
    return BT_OK;
}

/* The bytes from the row's first on, at least as many as it has. */
static bt_status read_bytes(table_rows *rows, size_t part, int64_t number, const char **bytes,
                            size_t *n, bt_error *err) {
    const table_file *const file = &rows->files[part];
    int64_t                 begin = 0;
    int64_t                 end = 0;
    bt_file                *source = NULL;
    BT_TRY(find_place(rows, part, number, &begin, &end, err));
    *n = (size_t)(end - begin);
    /* the rest can only be empty lines, or rows that are held out */
    *n = *n > TABLE_ROW_MAX_BYTES + 2 ? TABLE_ROW_MAX_BYTES + 2 : *n;
    if (!file->source.is_unpacked) {
        BT_TRY(data_open_files_get(&rows->open, &rows->base, part, &source, err));
    }
    BT_TRY(bt_grow(&rows->buffer.data, &rows->buffer.cap, *n, 1, 2 * (size_t)TABLE_ROW_MAX_BYTES,
                   err));
    *bytes = rows->buffer.data;
    return file->source.is_unpacked ? bt_fs_scratch_read(rows->unpacked, file->source.begin + begin,
                                                         rows->buffer.data, *n, err)
                                    : bt_fs_read_at(source, begin, rows->buffer.data, *n, err);
}

/* The bytes of one row, without its line end; borrowed until the next call. */
static bt_status find_row(table_rows *rows, size_t part, int64_t number, const char **row,
                          size_t *n, bt_error *err) {
    const data_part *const file = &rows->base.parts[part];
    const char            *bytes = NULL;
    size_t                 n_bytes = 0;
    bool                   end = false;
    BT_TRY(read_bytes(rows, part, number, &bytes, &n_bytes, err));
    BT_TRY(table_scan_memory(&rows->scan, &rows->files[part].source.form, file->path, bytes,
                             n_bytes, err));
    BT_TRY(table_scan_next(&rows->scan, row, n, &end, err));
    return end ? BT_FAIL(err, BT_E_FORMAT, "%s changed while it was in use", file->path) : BT_OK;
}

/* Are these the texts that the index knows of the row, if there is one? */
static bt_status check_texts(const table_rows *rows, int64_t number, const bt_text_span *values,
                             bt_error *err) {
    return data_names_check(&rows->census.names, number,
                            data_census_name(values, rows->schema->text.n_fields), err);
}

static bt_status append_row(data_rows *base, int64_t number, data_slot *slot, bool *is_damaged,
                            bt_error *err) {
    table_rows *const rows = (table_rows *)base;
    const size_t      part = data_rows_part_of(base, number);
    bt_text_span      values[TABLE_MAX_KEYS];
    data_row          row;
    const char       *bytes = NULL;
    size_t            n = 0;
    size_t            at = 0;
    *is_damaged = false;
    BT_TRY(find_row(rows, part, number, &bytes, &n, err));
    bt_status rc = table_take_apart(rows, &rows->files[part], bytes, n, values, &at, err);
    *is_damaged = rc == BT_E_FORMAT;
    if (rc == BT_OK) {
        rc = check_texts(rows, number, values, err);
    }
    if (rc == BT_OK) {
        rc = read_values(rows, values, number, &row, err);
    }
    if (rc == BT_OK) {
        rc = data_encode(&rows->encoder, values, &row, err);
    }
    if (rc == BT_OK) {
        rc = data_slot_append(slot, rows->schema, &row, err);
    }
    if (rc != BT_OK) {
        int64_t begin = 0;
        int64_t end = 0;
        BT_TRY(find_place(rows, part, number, &begin, &end, err));
        return table_put_place(base->parts[part].path, place_of(rows, part, begin), bytes, at, err);
    }
    return BT_OK;
}

static bt_status where_is_row(data_rows *base, int64_t number, bt_str *out, bt_error *err) {
    table_rows *const rows = (table_rows *)base;
    const size_t      part = data_rows_part_of(base, number);
    int64_t           begin = 0;
    int64_t           end = 0;
    BT_TRY(find_place(rows, part, number, &begin, &end, err));
    return bt_str_appendf(out, err, "%s:%" PRId64, base->parts[part].path,
                          place_of(rows, part, begin).line);
}

static bt_status texts_of_row(data_rows *base, int64_t number, const bt_text_span **texts,
                              size_t *n_texts, bt_error *err) {
    table_rows *const rows = (table_rows *)base;
    const size_t      part = data_rows_part_of(base, number);
    const char       *bytes = NULL;
    size_t            n = 0;
    size_t            at = 0;
    BT_TRY(find_row(rows, part, number, &bytes, &n, err));
    BT_TRY(table_take_apart(rows, &rows->files[part], bytes, n, rows->values, &at, err));
    BT_TRY(check_texts(rows, number, rows->values, err));
    *texts = rows->values;
    *n_texts = rows->schema->text.n_fields;
    return BT_OK;
}

static bt_status label_of_row(data_rows *base, int64_t number, int64_t *label, float *score,
                              bt_error *err) {
    table_rows *const   rows = (table_rows *)base;
    const bt_text_span *texts = NULL;
    size_t              n_texts = 0;
    data_row            row;
    BT_TRY(texts_of_row(base, number, &texts, &n_texts, err));
    BT_TRY(read_values(rows, rows->values, number, &row, err));
    *label = row.label;
    *score = row.score;
    return BT_OK;
}

static void want(table_rows *rows, const char *key, bool may_be_number) {
    int64_t number = 0;
    rows->wish.may_be_number[rows->wish.n_keys] = may_be_number;
    rows->wish.keys[rows->wish.n_keys++] = key;
    rows->wish.has_header = rows->wish.has_header || !bt_parse_i64(key, &number);
}

static bt_status check_kind(const table_rows *rows, bt_error *err) {
    const bt_data_schema *const schema = rows->schema;
    const char *const           key = schema->text.key;
    if (schema->text.n_fields == 0) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s.%s is empty: a table of text needs it, the names (or numbers from 1) of "
                       "the columns that hold the texts",
                       rows->wish.section, key != NULL ? key : "text_fields");
    }
    if (schema->label_kind == BT_LABEL_TOKENS || schema->label_kind == BT_LABEL_SPAN) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "%s: tables hold sentences with one label each; records are made with "
                       "create-finetuning-data",
                       rows->wish.section);
    }
    return BT_OK;
}

static void choose_keys(table_rows *rows) {
    const bt_data_schema *const schema = rows->schema;
    for (size_t i = 0; i < schema->text.n_fields; i++) {
        want(rows, schema->text.fields[i], false);
    }
    rows->wish.label_key = TABLE_NO_KEY;
    rows->wish.id_key = TABLE_NO_KEY;
    rows->wish.weight_key = TABLE_NO_KEY;
    if (schema->label_kind != BT_LABEL_NONE) {
        rows->wish.label_key = rows->wish.n_keys;
        rows->n_label_keys = schema->label_kind == BT_LABEL_MULTI ? schema->n_label_fields : 0;
        for (size_t i = 0; i < rows->n_label_keys; i++) {
            want(rows, schema->label_fields[i], true);
        }
    }
    if (schema->label_kind != BT_LABEL_NONE && rows->n_label_keys == 0) {
        want(rows, schema->label_field, true);
        rows->fields.list_key = schema->label_kind == BT_LABEL_MULTI ? rows->wish.n_keys : 0;
    }
    if (schema->weight_field != NULL) {
        rows->wish.weight_key = rows->wish.n_keys;
        want(rows, schema->weight_field, true);
    }
    if (schema->include_example_id &&
        (rows->wish.has_header || rows->wish.table == BT_TABLE_JSONL)) {
        rows->wish.id_key = rows->wish.n_keys;
        want(rows, "example_id", true);
    }
}

static bt_status make_targets(table_rows *rows, bt_error *err) {
    if (rows->schema->label_kind != BT_LABEL_MULTI) {
        return BT_OK;
    }
    rows->targets = bt_alloc_array((size_t)rows->schema->n_classes, sizeof *rows->targets);
    return rows->targets != NULL ? BT_OK
                                 : BT_FAIL(err, BT_E_NOMEM, "out of memory for %" PRId64 " labels",
                                           rows->schema->n_classes);
}

static bt_status settle_labels(table_rows *rows, bt_error *err) {
    const data_labels *const    labels = &rows->labels;
    const bt_data_schema *const schema = rows->schema;
    data_label_place            place = {0};
    bt_status                   rc = table_settle_targets(&rows->labels, &place, err);
    if (rc == BT_OK) {
        rc = data_labels_settle(&rows->labels, rows->wish.section, &place, err);
    }
    if (rc != BT_OK && place.line > 0) {
        return table_put_place(rows->base.parts[place.part].path,
                               (row_place){place.line, place.column}, NULL, 0, err);
    }
    rows->base.census[0] = &rows->census.facts;
    rows->base.names = &rows->census.names;
    rows->base.labels = labels->n_seen > 0 ? labels : NULL;
    if (labels->is_by_name) {
        const bool learned = labels->names != NULL;
        rows->base.label_names = learned ? (const char *const *)labels->names : schema->label_names;
        rows->base.n_label_names = learned ? labels->n_names : schema->n_label_names;
    }
    return rc;
}

static bt_status make_files(table_rows *rows, bt_error *err) {
    const size_t n = rows->base.n_parts;
    rows->files = bt_calloc_array(n, sizeof *rows->files);
    if (rows->files == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for %zu files", n);
    }
    return data_open_files_init(&rows->open, n, err);
}

static bt_status read_through(table_rows *rows, const bt_data_config *config, bt_error *err) {
    bt_str    facts = BT_STR_INIT; /* for the next start */
    bt_status rc = BT_OK;
    BT_CHECK(table_pass(rows, err));
    BT_CHECK(table_index_note(rows, &facts, err));
    BT_CHECK(settle_labels(rows, err));
    BT_CHECK(table_split_rows(rows, config, err));
    BT_CHECK(table_index_keep(rows, &facts, err));
done:
    bt_str_deinit(&facts);
    return rc;
}

/* By an index where there is one, else by reading all files. */
static bt_status find_rows(table_rows *rows, const bt_data_config *config, bt_error *err) {
    bool is_restored = false;
    BT_TRY(table_index_begin(rows, config, err));
    BT_TRY(table_index_restore(rows, &is_restored, err));
    if (is_restored) {
        BT_TRY(settle_labels(rows, err));
        BT_TRY(table_index_settle(rows, &is_restored, err));
    }
    return is_restored ? BT_OK : read_through(rows, config, err);
}

static void close_table(data_rows *base) {
    table_rows *const rows = (table_rows *)base;
    data_index_deinit(&rows->index);
    data_index_file_deinit(&rows->index_file);
    bt_str_deinit(&rows->told);
    bt_fs_scratch_close(rows->unpacked);
    bt_free(rows->files);
    data_open_files_deinit(&rows->open);
    data_places_deinit(&rows->places);
    data_encoder_deinit(&rows->encoder);
    data_labels_deinit(&rows->labels);
    data_census_deinit(&rows->census);
    bt_free(rows->targets);
    table_fields_deinit(&rows->fields);
    table_scan_close(&rows->scan);
    bt_str_deinit(&rows->buffer);
    data_rows_deinit(base);
    bt_free(rows);
}

static const data_rows_ops table_ops = {.append = append_row,
                                        .texts = texts_of_row,
                                        .label = label_of_row,
                                        .where = where_is_row,
                                        .close = close_table};

bt_status data_table_open(const bt_data_config *config, const bt_data_schema *schema,
                          bt_data_table table, data_rows **out, bt_error *err) {
    bt_status   rc = BT_OK;
    table_rows *rows = bt_calloc_array(1, sizeof *rows);
    *out = NULL;
    if (rows == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a table");
    }
    rows->base.ops = &table_ops;
    rows->schema = schema;
    rows->wish = (table_wish){.table = table,
                              .delimiter = config->delimiter,
                              .quote = config->quote,
                              .encoding = data_encoding(config),
                              .section = config->section != NULL ? config->section : "the data"};
    rows->max_damaged = config->skip_bad_records;
    BT_CHECK(check_kind(rows, err));
    BT_CHECK(data_encoder_init(&rows->encoder, schema, config->section, err));
    choose_keys(rows); /* no more than the encoder takes */
    BT_CHECK(data_labels_init(&rows->labels, schema, err));
    rows->labels.keeps_rows = config->held_out != BT_HELD_OUT_ALL;
    BT_CHECK(make_targets(rows, err));
    BT_CHECK(data_rows_expand(&rows->base, config, err));
    BT_CHECK(make_files(rows, err));
    BT_CHECK(find_rows(rows, config, err));
    *out = &rows->base;
    rows = NULL;
done:
    if (rows != NULL) {
        close_table(&rows->base);
    }
    return rc;
}
