/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of JSON that are no line each: the objects of a list, [{...}, {...}], or objects one after
 * the other over any number of lines, as pretty printers write them. What is inside of an object is
 * checked where it is taken apart; here only its end is looked for. */
#include <string.h>

#include "data_table.h"

bool table_is_values(bt_text_span head) {
    static const char mark[] = "\xef\xbb\xbf";
    size_t            at = head.n_bytes >= 3 && memcmp(head.text, mark, 3) == 0 ? 3 : 0;
    while (at < head.n_bytes && memchr(" \t\r\n", head.text[at], 4) != NULL) {
        at++;
    }
    if (at == head.n_bytes || head.text[at] != '{') {
        return at < head.n_bytes && head.text[at] == '[';
    }
    /* an object that is open at its first line's end; a text is never over two lines */
    json_walk walk = {0};
    for (; at < head.n_bytes && head.text[at] != '\n'; at++) {
        if (json_walk_on(&walk, head.text[at])) {
            return false;
        }
    }
    return at < head.n_bytes && !walk.is_text;
}

bool json_walk_on(json_walk *walk, char c) {
    if (walk->is_text) {
        walk->is_text = walk->is_escape || c != '"';
        walk->is_escape = !walk->is_escape && c == '\\';
        return false;
    }
    walk->is_text = c == '"';
    walk->depth += c == '{' || c == '[' ? 1 : 0;
    walk->depth -= c == '}' || c == ']' ? 1 : 0;
    return walk->depth <= 0 && (c == '}' || c == ']');
}

static bt_status fail_at(const table_scan *scan, const char *what, bt_error *err) {
    return BT_FAIL(err, BT_E_FORMAT, "%s:%" PRId64 ": %s", scan->path, scan->line + 1, what);
}

/* The next byte that is no blank stands at scan->at; *c is 0 at the end. */
static bt_status find_byte(table_scan *scan, char *c, bt_error *err) {
    for (;;) {
        bool any = true;
        if (scan->at == scan->n_memory) {
            BT_TRY(table_scan_widen(scan, &any, err));
        }
        if (!any) {
            *c = '\0';
            return BT_OK;
        }
        *c = scan->memory[scan->at];
        if (memchr(" \t\r\n", *c, 4) == NULL) {
            return BT_OK;
        }
        scan->line += *c == '\n' ? 1 : 0;
        scan->at++;
    }
}

static void skip_mark(table_scan *scan) {
    static const char mark[] = "\xef\xbb\xbf";
    if (scan->is_whole && scan->row_line == 0 && scan->n_memory >= 3 &&
        memcmp(scan->memory, mark, 3) == 0) {
        scan->at = 3;
    }
}

/* From the { at scan->at to its }. */
static bt_status take_object(table_scan *scan, const char **row, size_t *n, bt_error *err) {
    json_walk walk = {0};
    size_t    i = 0;
    for (bool is_over = false; !is_over; i++) {
        bool any = true;
        if (scan->at + i == scan->n_memory) {
            BT_TRY(table_scan_widen(scan, &any, err));
        }
        if (!any) {
            return fail_at(scan, "the object that begins here is never closed", err);
        }
        if (i > TABLE_ROW_MAX_BYTES) {
            return BT_FAIL(err, BT_E_FORMAT, "%s:%" PRId64 ": the row has more than %d bytes",
                           scan->path, scan->row_line, TABLE_ROW_MAX_BYTES);
        }
        is_over = json_walk_on(&walk, scan->memory[scan->at + i]);
    }
    *row = scan->memory + scan->at;
    *n = i;
    for (size_t k = 0; k < i; k++) {
        scan->line += (*row)[k] == '\n' ? 1 : 0;
    }
    scan->at += i;
    return BT_OK;
}

/* The signs of a list before its next object; *end: there is none. */
static bt_status find_object(table_scan *scan, bool *end, bt_error *err) {
    char c = '\0';
    BT_TRY(find_byte(scan, &c, err));
    if (scan->list == LIST_UNKNOWN && scan->is_whole) {
        scan->list = c == '[' ? LIST_OPEN : LIST_NONE;
        if (c == '[') {
            scan->at++;
            BT_TRY(find_byte(scan, &c, err));
        }
    }
    if (scan->list == LIST_ITEM && c == ',') {
        scan->at++;
        BT_TRY(find_byte(scan, &c, err));
    } else if (scan->list == LIST_ITEM && c != ']' && c != '\0') {
        return fail_at(scan, "expected a comma or ] behind an object of the list", err);
    } else if ((scan->list == LIST_ITEM || scan->list == LIST_OPEN) && c == ']') {
        scan->at++;
        scan->list = LIST_OVER;
        BT_TRY(find_byte(scan, &c, err));
    }
    *end = c == '\0' && scan->at == scan->n_memory;
    if (*end && (scan->list == LIST_OPEN || scan->list == LIST_ITEM)) {
        return fail_at(
            scan, "the list that the file begins with is not closed: was it copied whole?", err);
    }
    if (!*end && (c != '{' || scan->list == LIST_OVER)) {
        return fail_at(scan,
                       scan->list == LIST_OVER ? "something stands behind the list"
                                               : "expected an object {\"field\": ...}",
                       err);
    }
    return BT_OK;
}

bt_status table_scan_next_value(table_scan *scan, const char **row, size_t *n, bool *end,
                                bt_error *err) {
    BT_TRY(bt_stop_check(err));
    if (scan->n_memory == 0) {
        bool any = false;
        BT_TRY(table_scan_widen(scan, &any, err));
        skip_mark(scan);
    }
    BT_TRY(find_object(scan, end, err));
    if (*end) {
        return BT_OK;
    }
    scan->begin = scan->window_begin - scan->first + (int64_t)scan->at;
    scan->row_line = scan->line + 1;
    scan->list = scan->list == LIST_OPEN ? LIST_ITEM : scan->list;
    return take_object(scan, row, n, err);
}
