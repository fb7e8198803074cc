/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the rows of a table begin. A row is a line; of CSV it goes on while a quoted field is open.
 * What is inside a row is checked where it is taken apart (data_table_fields.c). */
#include <string.h>

#include "data_table.h"

enum { WINDOW_BYTES = 1 << 18 };

bt_status table_scan_open(table_scan *scan, const table_form *form, const char *path,
                          bt_error *err) {
    *scan = (table_scan){.form = *form, .path = path, .is_whole = true};
    BT_TRY(bt_fs_refuse_stranger_file(path, err));
    return bt_fs_stream_open(path, &scan->file, err);
}

void table_scan_memory(table_scan *scan, const table_form *form, const char *path,
                       const char *bytes, size_t n_bytes, bool is_whole) {
    *scan = (table_scan){.form = *form,
                         .path = path,
                         .is_whole = is_whole,
                         .memory = bytes,
                         .n_memory = n_bytes,
                         .joined = scan->joined};
}

void table_scan_unpacked(table_scan *scan, const table_form *form, const char *path,
                         const bt_fs_scratch *unpacked, int64_t begin, int64_t end) {
    *scan = (table_scan){.form = *form,
                         .path = path,
                         .is_whole = true,
                         .unpacked = unpacked,
                         .window_begin = begin,
                         .first = begin,
                         .unpacked_end = end};
}

void table_scan_close(table_scan *scan) {
    bt_fs_stream_close(scan->file);
    bt_str_deinit(&scan->window);
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

/* Of the file, or of what was unpacked. */
static bt_status read_more(table_scan *scan, char *dst, int64_t from, size_t *n, bt_error *err) {
    if (scan->file != NULL) {
        return bt_fs_stream_read(scan->file, dst, WINDOW_BYTES, n, err);
    }
    const int64_t left = scan->unpacked_end - from;
    *n = left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES;
    return bt_fs_scratch_read(scan->unpacked, from, dst, *n, err);
}

bt_status table_scan_widen(table_scan *scan, bool *any, bt_error *err) {
    bt_str *const window = &scan->window;
    size_t        n = 0;
    *any = false;
    if (scan->file == NULL && scan->unpacked == NULL) {
        return BT_OK; /* memory has no more */
    }
    if (scan->at > 0) {
        window->len -= scan->at;
        memmove(window->data, window->data + scan->at, window->len);
        scan->window_begin += (int64_t)scan->at;
        scan->at = 0;
    }
    BT_TRY(bt_grow(&window->data, &window->cap, window->len + WINDOW_BYTES, 1,
                   2 * (size_t)TABLE_ROW_MAX_BYTES + 2 * WINDOW_BYTES, err));
    BT_TRY(read_more(scan, window->data + window->len, scan->window_begin + (int64_t)window->len,
                     &n, err));
    window->len += n;
    *any = n > 0;
    scan->memory = window->data;
    scan->n_memory = window->len;
    return BT_OK;
}

/* A whole line is in the window, or the rest of the table, or more than a row may have. */
static bt_status prepare_window(table_scan *scan, bt_error *err) {
    bool any = scan->unpacked != NULL;
    while (any && scan->n_memory - scan->at <= TABLE_ROW_MAX_BYTES &&
           (scan->n_memory == scan->at ||
            memchr(scan->memory + scan->at, '\n', scan->n_memory - scan->at) == NULL)) {
        BT_TRY(table_scan_widen(scan, &any, err));
    }
    return BT_OK;
}

static bt_status next_memory_line(table_scan *scan, const char **line, size_t *n, bool *end,
                                  bt_error *err) {
    BT_TRY(prepare_window(scan, err));
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
    return scan->file != NULL ? bt_fs_stream_offset(scan->file)
                              : scan->window_begin - scan->first + (int64_t)scan->at;
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

/* ---- CSV --------------------------------------------------------------------------------------
 */

/* CSV_QUOTED: a quote is open behind these bytes; else any of the others. */
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

/* ---- rows -------------------------------------------------------------------------------------
 */

/* Of JSON a line of blanks, too: elsewhere they are a field. */
static bool is_empty_line(const table_form *form, const char *line, size_t n) {
    if (form->table == BT_TABLE_JSONL) {
        while (n > 0 && (*line == ' ' || *line == '\t')) {
            line++;
            n--;
        }
    }
    return n == 0 || (n == 1 && line[0] == '\r');
}

bt_status table_scan_next(table_scan *scan, const char **row, size_t *n, bool *end, bt_error *err) {
    static const char mark[] = "\xef\xbb\xbf"; /* byte order */
    if (scan->form.is_values) {
        return table_scan_next_value(scan, row, n, end, err);
    }
    bool has_sep_line = scan->is_whole && scan->form.has_sep_line && scan->row_line == 0;
    bool skip = false;
    do {
        BT_TRY(bt_stop_check(err));
        scan->begin = offset_of_next(scan);
        BT_TRY(next_line(scan, row, n, end, err));
        if (*end) {
            return BT_OK;
        }
        if (scan->is_whole && scan->begin == 0 && *n >= 3 && memcmp(*row, mark, 3) == 0) {
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
    if (is_quoted(&scan->form)) {
        const csv_state state = csv_walk(&scan->form, CSV_FIELD_START, *row, *n);
        if (state == CSV_QUOTED) {
            BT_TRY(join_lines(scan, row, n, state, err));
        }
    }
    *n -= *n > 0 && (*row)[*n - 1] == '\r' ? 1 : 0;
    return BT_OK;
}
