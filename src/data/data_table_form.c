/* SPDX-License-Identifier: Apache-2.0
 *
 * How the columns of a table are apart: as the section's keys say, as a first line "sep=;" says
 * (Excel's), or as the row of names shows. Nothing is guessed: another character than the usual one
 * is taken only when the wanted columns are there with it, are not there without it, and with no
 * third one. */
#include <string.h>

#include "bt/base/log.h"
#include "bt/base/number.h"
#include "data_table.h"

/* The next line that is not empty; *at moves after it. false: there is none. */
static bool next_line(bt_text_span head, size_t *at, bt_text_span *line) {
    while (*at < head.n_bytes) {
        const char *const from = head.text + *at;
        const size_t      left = head.n_bytes - *at;
        const char *const lf = memchr(from, '\n', left);
        size_t            n = lf != NULL ? (size_t)(lf - from) : left;
        *at += n + (lf != NULL ? 1 : 0);
        n -= n > 0 && from[n - 1] == '\r' ? 1 : 0;
        if (n > 0) {
            *line = (bt_text_span){from, n};
            return true;
        }
    }
    return false;
}

/* Does the first row, parsed so, have the columns? */
static bt_status has_columns(const table_wish *wish, const table_form *form, bt_text_span line,
                             bool *out, bt_error *err) {
    table_fields fields = {0};
    size_t       at = 0;
    bt_error     problem = BT_ERROR_INIT;
    bt_status    rc = table_split(&fields, form, line.text, line.n_bytes, &at, &problem);
    *out = rc == BT_OK;
    for (size_t k = 0; *out && k < wish->n_keys; k++) {
        int32_t         column = 0;
        bt_error        ignored = BT_ERROR_INIT;
        const bt_status found = table_find_column(wish, &fields, k, &column, &ignored);
        *out = found == BT_OK;
    }
    /* one row without names says little: a second column is the least */
    *out = *out && (wish->has_header || fields.n > 1);
    table_fields_deinit(&fields);
    rc = rc == BT_E_NOMEM ? BT_FAIL(err, rc, "%s", problem.msg) : BT_OK;
    return rc;
}

static bt_status try_others(const table_wish *wish, bt_text_span line, table_form *form,
                            const char *path, bt_error *err) {
    static const char candidates[] = {',', ';', '\t'};
    char              found = 0;
    for (size_t i = 0; i < sizeof candidates; i++) {
        const table_form other = {.table = form->table,
                                  .delimiter = candidates[i],
                                  .quote = wish->quote != 0 ? wish->quote : '"'};
        bool             fits = false;
        if (candidates[i] != form->delimiter && candidates[i] != form->quote) {
            BT_TRY(has_columns(wish, &other, line, &fits, err));
        }
        if (fits && found != 0) {
            return BT_OK; /* two would do: neither is meant for certain */
        }
        found = fits ? candidates[i] : found;
    }
    if (found != 0) {
        form->delimiter = found;
        form->quote = wish->quote != 0 ? wish->quote : '"';
        bt_log(BT_LOG_INFO, "%s: the columns are separated by %s", path,
               found == '\t' ? "tabs" : (found == ';' ? "semicolons" : "commas"));
    }
    return BT_OK;
}

/* A list that is a member is meant where its objects have a wanted key and the object itself has
 * none. */
static void find_json(const table_wish *wish, bt_text_span head, table_form *form) {
    const size_t list = bt_text_find_items(head.text, head.n_bytes, wish->keys, wish->n_keys);
    form->list_at = list != SIZE_MAX ? list : 0;
    form->is_values = form->list_at > 0 || bt_text_is_values(head.text, head.n_bytes);
}

bt_status table_form_find(const table_wish *wish, const char *path, bt_text_span head,
                          table_form *form, bt_error *err) {
    static const char mark[] = "\xef\xbb\xbf"; /* byte order */
    const bool        is_tsv = wish->table == BT_TABLE_TSV;
    size_t            at = head.n_bytes >= 3 && memcmp(head.text, mark, 3) == 0 ? 3 : 0;
    bt_text_span      line = {0};
    bool              fits = false;
    *form = (table_form){.table = wish->table,
                         .delimiter = is_tsv ? '\t' : ',',
                         .quote = is_tsv ? BT_DATA_NO_QUOTE : '"'};
    if (wish->table == BT_TABLE_JSONL) {
        find_json(wish, head, form);
        return BT_OK;
    }
    if (wish->table != BT_TABLE_TSV && wish->table != BT_TABLE_CSV) {
        return BT_OK;
    }
    form->delimiter = wish->delimiter != 0 ? wish->delimiter : form->delimiter;
    form->quote = wish->quote != 0 ? wish->quote : form->quote;
    if (!next_line(head, &at, &line)) {
        return BT_OK;
    }
    if (line.n_bytes == 5 && memcmp(line.text, "sep=", 4) == 0) {
        form->has_sep_line = true;
        form->delimiter = wish->delimiter != 0 ? wish->delimiter : line.text[4];
        return BT_OK;
    }
    if (wish->delimiter != 0 || memchr(line.text, '\0', line.n_bytes) != NULL) {
        return BT_OK;
    }
    if (!wish->has_header && memchr(line.text, form->delimiter, line.n_bytes) != NULL) {
        return BT_OK; /* no names that could speak against the usual one */
    }
    BT_TRY(has_columns(wish, form, line, &fits, err));
    return fits ? BT_OK : try_others(wish, line, form, path, err);
}

enum { LIST_MAX_BYTES = 256 };

/* "3" -> 2; -1: no number of a column */
static int32_t column_number(const char *key, size_t n_columns) {
    int64_t number = 0;
    return bt_parse_i64(key, &number) && number >= 1 && number <= (int64_t)n_columns
               ? (int32_t)(number - 1)
               : -1;
}

static bt_status refuse_column(const table_wish *wish, const table_fields *fields, const char *key,
                               bt_error *err) {
    char   known[LIST_MAX_BYTES] = "";
    size_t at = 0;
    if (!wish->has_header) {
        return BT_FAIL(err, BT_E_FORMAT, "there is no column %s: the first row has %zu column%s",
                       key, fields->n, fields->n == 1 ? "" : "s");
    }
    for (size_t i = 0; i < fields->n; i++) {
        const bt_text_span name = fields->spans[i];
        if (at + name.n_bytes + 10 > sizeof known) {
            memcpy(known + at, ", ...", 6);
            break;
        }
        memcpy(known + at, ", ", 2);
        memcpy(known + at + (i > 0 ? 2 : 0), name.text, name.n_bytes);
        at += name.n_bytes + (i > 0 ? 2 : 0);
        known[at] = '\0';
    }
    return BT_FAIL(err, BT_E_FORMAT,
                   "no column is called '%s'; the columns are: %s (when text_fields and "
                   "label_field are all numbers, the first row is not a header)",
                   key, known);
}

/* *column: of that name, spaces around it left out where is_trimmed; -1: none. */
static bt_status find_name(const table_fields *fields, const char *key, bool is_trimmed,
                           int32_t *column, bt_error *err) {
    *column = -1;
    for (size_t i = 0; i < fields->n; i++) {
        const bt_text_span name = is_trimmed ? data_trim(fields->spans[i]) : fields->spans[i];
        if (name.n_bytes != strlen(key) || memcmp(name.text, key, name.n_bytes) != 0) {
            continue;
        }
        if (*column >= 0) {
            return BT_FAIL(err, BT_E_FORMAT, "two columns are called '%s'; use their numbers", key);
        }
        *column = (int32_t)i;
    }
    return BT_OK;
}

bt_status table_find_column(const table_wish *wish, const table_fields *fields, size_t k,
                            int32_t *column, bt_error *err) {
    const char *const key = wish->keys[k];
    *column = -1;
    if (wish->has_header) {
        BT_TRY(find_name(fields, key, false, column, err));
    }
    if (wish->has_header && *column < 0) {
        BT_TRY(find_name(fields, key, true, column, err));
    }
    if (*column < 0) {
        *column = column_number(key, fields->n);
    }
    return *column >= 0 || k == wish->id_key ? BT_OK : refuse_column(wish, fields, key, err);
}
