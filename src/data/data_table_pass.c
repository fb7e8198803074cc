/* SPDX-License-Identifier: Apache-2.0
 *
 * The first reading of tables: where each row begins, whether it can be parsed, what its label is.
 * What is wrong is said before anything is computed. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "data_table_rows.h"

/* Learns the columns from the first row of a file; *is_row: it is a row like the others. */
static bt_status read_header(table_rows *rows, table_file *file, const char *row, size_t n,
                             bool *is_row, size_t *at, bt_error *err) {
    *is_row = !rows->wish.has_header;
    BT_TRY(table_check_bytes(rows, row, n, at, err));
    BT_TRY(table_split(&rows->fields, &file->source.form, row, n, at, err));
    file->n_columns = rows->fields.n;
    for (size_t k = 0; k < rows->wish.n_keys; k++) {
        BT_TRY(table_find_column(&rows->wish, &rows->fields, k, &file->columns[k], err));
    }
    return BT_OK;
}

static bt_status learn_label(table_rows *rows, const bt_text_span *values, data_label_place place,
                             bt_error *err) {
    float score = 0;
    if (rows->wish.label_key == TABLE_NO_KEY) {
        return BT_OK;
    }
    const bt_text_span *const label = &values[rows->wish.label_key];
    if (rows->schema->label_kind == BT_LABEL_MULTI) {
        return rows->n_label_keys > 0
                   ? table_read_targets(&rows->wish, label, rows->n_label_keys, rows->targets, err)
                   : table_learn_targets(&rows->labels, *label, place, err);
    }
    return rows->schema->label_kind == BT_LABEL_FLOAT
               ? table_read_score(rows, rows->wish.label_key, *label, &score, err)
               : data_labels_learn(&rows->labels, *label, place, err);
}

static bt_status check_weight(const table_rows *rows, const bt_text_span *values, bt_error *err) {
    const size_t key = rows->wish.weight_key;
    float        weight = 0;
    if (key == TABLE_NO_KEY) {
        return BT_OK;
    }
    BT_TRY(table_read_score(rows, key, values[key], &weight, err));
    return weight >= 0
               ? BT_OK
               : BT_FAIL(err, BT_E_FORMAT, "field %s is %g: the weight of a row is 0 or more",
                         rows->wish.keys[key], (double)weight);
}

/* A row that is damaged, yet may be skipped, keeps its number. */
static bt_status check_row(table_rows *rows, const table_file *file, const char *row, size_t n,
                           row_place begin, size_t *at, bt_error *err) {
    bt_text_span values[TABLE_MAX_KEYS];
    bt_error     damage = BT_ERROR_INIT;
    if (table_take_apart(rows, file, row, n, values, at, &damage) == BT_OK) {
        const data_label_place place = {(size_t)(file - rows->files), begin.line, begin.column};
        BT_TRY(check_weight(rows, values, err));
        BT_TRY(data_census_add(&rows->census, &rows->encoder, values,
                               rows->base.parts[place.part].path, place.part, begin.line, err));
        return learn_label(rows, values, place, err);
    }
    if (damage.code == BT_E_FORMAT && rows->n_damaged < rows->max_damaged) {
        rows->n_damaged++;
        return data_names_put_damaged(&rows->census.names, err);
    }
    if (err != NULL) {
        *err = damage;
    }
    return damage.code;
}

static bt_status add_row(table_rows *rows, const table_file *file, data_part *part, int64_t begin,
                         bt_error *err) {
    BT_TRY(data_places_add(&rows->places, file->base + begin, err));
    part->n_rows++;
    rows->base.n_rows++;
    return BT_OK;
}

/* Tables that somebody put after each other have the row of names again, and a class of its name.
 */
static bt_status check_names_again(const table_file *file, const bt_str *names, const char *row,
                                   size_t n, bt_error *err) {
    static const char mark[] = "\xef\xbb\xbf";
    const size_t      n_mark = n > 3 && memcmp(row, mark, 3) == 0 ? 3 : 0;
    if (names->len == 0 || file->n_columns < 2 || n - n_mark != names->len ||
        memcmp(row + n_mark, names->data, names->len) != 0) {
        return BT_OK;
    }
    return BT_FAIL(err, BT_E_FORMAT,
                   "the row of names again: were tables put together in this file? Take it out, or "
                   "name the tables one by one");
}

static bt_status scan_rows(table_rows *rows, data_part *part, table_file *file, table_scan *scan,
                           bt_str *names, bt_error *err) {
    bool is_first = rows->wish.table != BT_TABLE_JSONL;
    for (;;) {
        const char *row = NULL;
        size_t      n = 0;
        size_t      at = 0;
        bool        end = false;
        bool        is_row = true;
        BT_TRY(table_scan_next(scan, &row, &n, &end, err));
        if (end) {
            return BT_OK;
        }
        const row_place place = {scan->row_line, scan->row_column};
        bt_status       rc = is_first ? read_header(rows, file, row, n, &is_row, &at, err) : BT_OK;
        if (rc == BT_OK && !is_row) {
            rc = bt_str_append_n(names, row, n, err);
        }
        if (rc == BT_OK && is_row) {
            rc = check_names_again(file, names, row, n, err);
        }
        if (rc == BT_OK && is_row) {
            rc = check_row(rows, file, row, n, place, &at, err);
        }
        if (rc != BT_OK) {
            return table_put_place(part->path, place, row, at, err);
        }
        data_rows_add_content(&rows->base, row, n);
        if (is_row) {
            BT_TRY(add_row(rows, file, part, scan->begin, err));
        }
        is_first = false;
    }
}

static bt_status scan_file(table_rows *rows, data_part *part, table_file *file, table_scan *scan,
                           bt_error *err) {
    bt_str          names = BT_STR_INIT;
    const bt_status rc = scan_rows(rows, part, file, scan, &names, err);
    bt_str_deinit(&names);
    return rc;
}

/* *base: where the files before it end, then this one. */
static bt_status index_file(table_rows *rows, data_part *part, table_file *file, int64_t *base,
                            bt_error *err) {
    bt_status  rc = BT_OK;
    table_scan scan = {0};
    part->first = rows->base.n_rows;
    file->base = *base;
    BT_CHECK(
        table_source_scan(&rows->wish, part->path, &rows->unpacked, &file->source, &scan, err));
    if (data_index_is_used(&rows->index)) {
        bt_fs_stream_sum(scan.file);
    }
    BT_CHECK(scan_file(rows, part, file, &scan, err));
    file->state.has_crc = bt_fs_stream_crc(scan.file, &file->state.crc);
    file->n_bytes = file->source.is_unpacked ? file->source.end - file->source.begin
                                             : bt_fs_stream_offset(scan.file);
    *base += file->n_bytes;
done:
    table_scan_close(&scan);
    return rc;
}

bt_status table_pass(table_rows *rows, bt_error *err) {
    const size_t n = rows->base.n_parts;
    int64_t      base = 0;
    for (size_t i = 0; i < n; i++) {
        BT_TRY(index_file(rows, &rows->base.parts[i], &rows->files[i], &base, err));
    }
    BT_TRY(data_places_finish(&rows->places, base, err));
    if (rows->base.n_rows == 0) {
        return BT_FAIL(err, BT_E_FORMAT, "%s: no rows%s", rows->base.parts[0].path,
                       n > 1 ? ", nor in the other files of input_path" : "");
    }
    return BT_OK;
}

static bt_status sample_rows(table_rows *rows, table_file *file, table_scan *scan, bt_error *err) {
    bool is_first = rows->wish.table != BT_TABLE_JSONL;
    while (data_census_wants(&rows->census)) {
        const char  *row = NULL;
        size_t       n = 0;
        size_t       at = 0;
        bool         end = false;
        bool         is_row = true;
        bt_error     damage = BT_ERROR_INIT;
        bt_text_span values[TABLE_MAX_KEYS];
        BT_TRY(table_scan_next(scan, &row, &n, &end, err));
        if (end) {
            return BT_OK;
        }
        if (is_first) {
            BT_TRY(read_header(rows, file, row, n, &is_row, &at, err));
        }
        is_first = false;
        if (is_row && table_take_apart(rows, file, row, n, values, &at, &damage) == BT_OK) {
            BT_TRY(data_census_sample(&rows->census, &rows->encoder, values, err));
        }
    }
    return BT_OK;
}

bt_status table_sample(table_rows *rows, bt_error *err) {
    for (size_t i = 0; i < rows->base.n_parts && data_census_wants(&rows->census); i++) {
        const char *const path = rows->base.parts[i].path;
        table_file *const file = &rows->files[i];
        table_scan        scan = {0};
        bt_status         rc =
            table_source_scan(&rows->wish, path, &rows->unpacked, &file->source, &scan, err);
        rc = rc == BT_OK ? sample_rows(rows, file, &scan, err) : rc;
        table_scan_close(&scan);
        BT_TRY(rc);
    }
    return BT_OK;
}
