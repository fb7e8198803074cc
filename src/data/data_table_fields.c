/* SPDX-License-Identifier: Apache-2.0
 *
 * A row of TSV or CSV -> its fields. TSV as GLUE has it: tabs, nothing is quoted. CSV as RFC 4180:
 * a field in quotes may hold commas, line ends and doubled quotes. In a field that does not begin
 * with one a quote is text (5" pipe), as Python's csv has it; text after a closing quote is an
 * error, because what was meant cannot be known. */
#include <string.h>

#include "bt/base/alloc.h"
#include "data_table.h"

enum { MAX_COLUMNS = 1 << 16 };

void table_fields_deinit(table_fields *fields) {
    table_free_json(fields);
    bt_free(fields->spans);
    bt_free(fields->numbers);
    bt_str_deinit(&fields->unquoted);
    bt_str_deinit(&fields->list);
    *fields = (table_fields){0};
}

static bt_status add_field(table_fields *fields, const char *text, size_t n, bt_error *err) {
    if (fields->n == MAX_COLUMNS) {
        return BT_FAIL(err, BT_E_FORMAT, "the row has more than %d columns", MAX_COLUMNS);
    }
    BT_TRY(bt_grow(&fields->spans, &fields->cap, fields->n + 1, sizeof *fields->spans, MAX_COLUMNS,
                   err));
    fields->spans[fields->n++] = (bt_text_span){text, n};
    return BT_OK;
}

static bt_status split_plain(table_fields *fields, char delimiter, const char *row, size_t n,
                             bt_error *err) {
    const char *const end = row + n;
    for (;;) {
        const char *const next = memchr(row, delimiter, (size_t)(end - row));
        BT_TRY(add_field(fields, row, (size_t)((next != NULL ? next : end) - row), err));
        if (next == NULL) {
            return BT_OK;
        }
        row = next + 1;
    }
}

csv_state csv_next(const table_form *form, csv_state state, char c) {
    switch (state) {
    case CSV_FIELD_START:
        return c == form->quote ? CSV_QUOTED : c == form->delimiter ? CSV_FIELD_START : CSV_PLAIN;
    case CSV_PLAIN:
        return c == form->delimiter ? CSV_FIELD_START : CSV_PLAIN;
    case CSV_QUOTED:
        return c == form->quote ? CSV_QUOTE : CSV_QUOTED;
    case CSV_QUOTE:
        return c == form->quote ? CSV_QUOTED : c == form->delimiter ? CSV_FIELD_START : CSV_WRONG;
    case CSV_WRONG:
        break;
    }
    return CSV_WRONG;
}

static bt_status split_quoted(table_fields *fields, const table_form *form, const char *row,
                              size_t n, size_t *at, bt_error *err) {
    bt_str *const text = &fields->unquoted;
    csv_state     state = CSV_FIELD_START;
    size_t        begin = 0; /* of the field in row (plain), or in text (quoted) */
    bool          is_quoted = false;
    bt_str_clear(text);
    /* the text of all quoted fields fits the row: spans into it stay where they are */
    BT_TRY(bt_grow(&text->data, &text->cap, n + 1, 1, TABLE_ROW_MAX_BYTES + 2, err));
    for (size_t i = 0; i <= n; i++) {
        const csv_state before = state;
        const char      c = i < n ? row[i] : form->delimiter;
        state = csv_next(form, state, c);
        if (state == CSV_WRONG) {
            *at = i;
            return BT_FAIL(err, BT_E_FORMAT,
                           "text after a closing quote; CSV writes a quote inside a quoted "
                           "field twice (the key quote=none: quotes are text)");
        }
        if (before == CSV_FIELD_START && state == CSV_QUOTED) {
            is_quoted = true;
            begin = text->len;
        } else if (state == CSV_QUOTED) {
            text->data[text->len++] = c; /* also the second of two quotes */
        } else if (state == CSV_FIELD_START) {
            BT_TRY(is_quoted ? add_field(fields, text->data + begin, text->len - begin, err)
                             : add_field(fields, row + begin, i - begin, err));
            is_quoted = false;
            begin = i + 1;
        }
    }
    if (state == CSV_QUOTED) {
        *at = n;
        return BT_FAIL(err, BT_E_FORMAT, "a quote is opened and never closed");
    }
    return BT_OK;
}

bt_status table_split(table_fields *fields, const table_form *form, const char *row, size_t n,
                      size_t *at, bt_error *err) {
    fields->n = 0;
    *at = 0;
    if (form->table == BT_TABLE_LINES) {
        return add_field(fields, row, n, err); /* the whole line */
    }
    return form->quote == BT_DATA_NO_QUOTE || memchr(row, form->quote, n) == NULL
               ? split_plain(fields, form->delimiter, row, n, err)
               : split_quoted(fields, form, row, n, at, err);
}
