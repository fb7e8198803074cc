/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the rows of a table begin. A row is a line; of CSV it goes on while a quoted field is open.
 * What is inside a row is checked where it is parsed (data_table_fields.c). */
#include <inttypes.h>
#include <string.h>

#include "bt/base/stop.h"
#include "data_table.h"

bt_status table_scan_stream(table_scan *scan, const table_form *form, const char *path,
                            bt_fs_stream *stream, bt_error *err) {
    *scan = (table_scan){.form = *form, .path = path, .file = stream};
    BT_TRY(bt_text_values_of_stream(&scan->values, path, stream, TABLE_ROW_MAX_BYTES, err));
    return form->list_at > 0 ? bt_text_values_enter(scan->values, form->list_at, err) : BT_OK;
}

bt_status table_scan_memory(table_scan *scan, const table_form *form, const char *path,
                            const char *bytes, size_t n_bytes, bt_error *err) {
    *scan = (table_scan){.form = *form,
                         .path = path,
                         .memory = bytes,
                         .n_memory = n_bytes,
                         .values = scan->values,
                         .joined = scan->joined};
    return bt_text_values_of_bytes(&scan->values, path, bytes, n_bytes, false, TABLE_ROW_MAX_BYTES,
                                   err);
}

void table_scan_close(table_scan *scan) {
    bt_fs_stream_close(scan->file);
    bt_text_values_free(scan->values);
    bt_str_deinit(&scan->joined);
    *scan = (table_scan){0};
}

static bool is_quoted(const table_form *form) {
    return (form->table == BT_TABLE_CSV || form->table == BT_TABLE_TSV) &&
           form->quote != BT_DATA_NO_QUOTE;
}

static bt_status refuse_long(const table_scan *scan, int64_t line, bt_error *err) {
    return BT_FAIL(err, BT_E_FORMAT, "%s:%" PRId64 ": the row has more than %d bytes%s", scan->path,
                   line, TABLE_ROW_MAX_BYTES,
                   is_quoted(&scan->form) ? "; is a quote not closed?" : "");
}

static bt_status next_memory_line(table_scan *scan, const char **line, size_t *n, bool *end,
                                  bt_error *err) {
    if (scan->n_memory == scan->at) {
        *end = true;
        return BT_OK;
    }
    const char *const from = scan->memory + scan->at;
    const size_t      left = scan->n_memory - scan->at;
    *end = false;
    const char *const lf = memchr(from, '\n', left);
    *line = from;
    *n = lf != NULL ? (size_t)(lf - from) : left;
    scan->at += *n + (lf != NULL ? 1 : 0);
    return *n <= TABLE_ROW_MAX_BYTES ? BT_OK : refuse_long(scan, scan->line + 1, err);
}

static int64_t offset_of_next(const table_scan *scan) {
    return scan->file != NULL ? bt_fs_stream_offset(scan->file) : (int64_t)scan->at;
}

static bt_status next_line(table_scan *scan, const char **line, size_t *n, bool *end,
                           bt_error *err) {
    if (scan->file == NULL) {
        BT_TRY(next_memory_line(scan, line, n, end, err));
    } else {
        bt_error problem = BT_ERROR_INIT;
        if (bt_fs_stream_line(scan->file, TABLE_ROW_MAX_BYTES, line, n, end, &problem) != BT_OK) {
            if (problem.code == BT_E_FORMAT) {
                return refuse_long(scan, scan->line + 1, err);
            }
            if (err != NULL) {
                *err = problem;
            }
            return problem.code;
        }
    }
    scan->line += *end ? 0 : 1;
    return BT_OK;
}

/* CSV_QUOTED: a quote is open after these bytes; else any of the others. */
static csv_state csv_walk(const table_form *form, csv_state state, const char *bytes, size_t n) {
    if (state != CSV_QUOTED && memchr(bytes, form->quote, n) == NULL) {
        return state; /* most lines, and whatever is not quoted */
    }
    for (size_t i = 0; i < n; i++) {
        if (state == CSV_QUOTED) {
            const char *const quote = memchr(bytes + i, form->quote, n - i);
            if (quote == NULL) {
                return CSV_QUOTED;
            }
            i = (size_t)(quote - bytes);
        }
        state = csv_next(form, state, bytes[i]);
    }
    return state;
}

/* Gathers lines in scan->joined until no quote is open. */
static bt_status join_lines(table_scan *scan, const char **row, size_t *n, csv_state state,
                            bt_error *err) {
    bt_str_clear(&scan->joined);
    BT_TRY(bt_str_append_n(&scan->joined, *row, *n, err));
    while (state == CSV_QUOTED) {
        const char *line = NULL;
        size_t      n_line = 0;
        bool        end = false;
        BT_TRY(next_line(scan, &line, &n_line, &end, err));
        if (end) {
            return BT_FAIL(err, BT_E_FORMAT,
                           "%s:%" PRId64
                           ": a quote that is opened in this row is never closed; a quote inside a "
                           "quoted field is written twice",
                           scan->path, scan->row_line);
        }
        if (scan->joined.len + n_line >= TABLE_ROW_MAX_BYTES) {
            return refuse_long(scan, scan->row_line, err);
        }
        BT_TRY(bt_str_append_char(&scan->joined, '\n', err));
        BT_TRY(bt_str_append_n(&scan->joined, line, n_line, err));
        state = csv_walk(&scan->form, state, line, n_line);
    }
    *row = bt_str_text(&scan->joined);
    *n = scan->joined.len;
    return BT_OK;
}

/* Of JSON a line of spaces, too: elsewhere they are a field. */
static bool is_empty_line(const table_form *form, const char *line, size_t n) {
    if (form->table == BT_TABLE_JSONL) {
        while (n > 0 && (*line == ' ' || *line == '\t')) {
            line++;
            n--;
        }
    }
    return n == 0 || (n == 1 && line[0] == '\r');
}

static bt_status next_value(table_scan *scan, const char **row, size_t *n, bool *end,
                            bt_error *err) {
    BT_TRY(bt_text_values_next(scan->values, row, n, end, err));
    const bt_text_place place = bt_text_values_place(scan->values);
    scan->begin = place.byte;
    scan->row_line = place.line;
    scan->row_column = place.column;
    return BT_OK;
}

bt_status table_scan_next(table_scan *scan, const char **row, size_t *n, bool *end, bt_error *err) {
    static const char mark[] = "\xef\xbb\xbf"; /* byte order */
    if (scan->form.is_values) {
        return next_value(scan, row, n, end, err);
    }
    bool has_sep_line = scan->file != NULL && scan->form.has_sep_line && scan->row_line == 0;
    bool skip = false;
    do {
        BT_TRY(bt_stop_check(err));
        scan->begin = offset_of_next(scan);
        BT_TRY(next_line(scan, row, n, end, err));
        if (*end) {
            return BT_OK;
        }
        if (scan->file != NULL && scan->begin == 0 && *n >= 3 && memcmp(*row, mark, 3) == 0) {
            *row += 3;
            *n -= 3;
            scan->begin = 3;
        }
        skip = scan->form.table != BT_TABLE_LINES && is_empty_line(&scan->form, *row, *n);
        if (has_sep_line && !skip) {
            has_sep_line = false;
            skip = true;
        }
    } while (skip);
    scan->row_line = scan->line;
    scan->row_column = 1;
    if (is_quoted(&scan->form)) {
        const csv_state state = csv_walk(&scan->form, CSV_FIELD_START, *row, *n);
        if (state == CSV_QUOTED) {
            BT_TRY(join_lines(scan, row, n, state, err));
        }
    }
    *n -= *n > 0 && (*row)[*n - 1] == '\r' ? 1 : 0;
    return BT_OK;
}
