/* SPDX-License-Identifier: Apache-2.0
 *
 * The columns of CoNLL files: which holds the word and which the label. As the user says, by number
 * or by name; else as CoNLL-U has them, as the line # global.columns of CoNLL-U Plus names them, or
 * the first and the last. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/log.h"
#include "word_file.h"

enum { CONLLU_COLUMNS = 10, CONLLU_FORM = 1, CONLLU_UPOS = 3 };
enum { NAME_MAX_BYTES = 64, SHOWN_NAMES_BYTES = 200 };

/* Python's str.strip(). */
word_column word_strip(const char *text, size_t n) {
    if (n == 0) { /* text may be NULL */
        return (word_column){text, 0};
    }
    const char       *at = text;
    const char *const end = text + n;
    const char       *first = end; /* of what stays */
    const char       *last = end;
    while (at < end) {
        const char *const start = at;
        uint32_t          c = 0;
        if (bt_text_read_utf8(&at, end, &c) && bt_text_is_space(c)) {
            continue;
        }
        first = first == end ? start : first;
        last = at;
    }
    return (word_column){first, (size_t)(last - first)};
}

bt_status word_split_columns(const bt_text_word_file *r, const char *text, size_t n,
                             word_column columns[WORD_MAX_COLUMNS], size_t *n_columns,
                             bt_error *err) {
    *n_columns = 0;
    if (n == 0) { /* text may be NULL */
        return BT_OK;
    }
    const char *const end = text + n;
    const bool        has_tab = memchr(text, '\t', n) != NULL;
    while (text < end) {
        const char *const separator = memchr(text, has_tab ? '\t' : ' ', (size_t)(end - text));
        const char *const stop = separator == NULL ? end : separator;
        if ((has_tab || stop > text) && *n_columns == WORD_MAX_COLUMNS) {
            return BT_FAIL(err, BT_E_FORMAT, "%s:%" PRId64 ": more than %d columns",
                           bt_text_word_file_path(r), r->line, WORD_MAX_COLUMNS);
        }
        if (has_tab || stop > text) {
            columns[(*n_columns)++] = word_strip(text, (size_t)(stop - text));
        }
        text = separator == NULL ? end : separator + 1;
    }
    return BT_OK;
}

static const char *name_at(const bt_text_word_file *r, size_t i) {
    const char *at = bt_str_text(&r->names);
    for (; i > 0; i--) {
        at += strlen(at) + 1;
    }
    return at;
}

static size_t find_name(const bt_text_word_file *r, const char *name) {
    size_t i = 0;
    while (i < r->n_names && !bt_str_equal(name_at(r, i), name)) {
        i++;
    }
    return i;
}

bt_status word_read_names(bt_text_word_file *r, const char *text, size_t n, bt_error *err) {
    static const char key[] = "global.columns";
    word_column       columns[WORD_MAX_COLUMNS];
    size_t            n_columns = 0;
    const word_column rest = word_strip(text + 1, n - 1);
    const char *const sign = memchr(rest.text, '=', rest.n);
    if (sign == NULL || rest.n < sizeof key - 1 || memcmp(rest.text, key, sizeof key - 1) != 0 ||
        word_strip(rest.text, (size_t)(sign - rest.text)).n != sizeof key - 1) {
        return BT_OK;
    }
    BT_TRY(word_split_columns(r, sign + 1, (size_t)(rest.text + rest.n - sign - 1), columns,
                              &n_columns, err));
    for (size_t i = 0; i < n_columns; i++) {
        char name[NAME_MAX_BYTES] = "";
        memcpy(name, columns[i].text, columns[i].n < sizeof name ? columns[i].n : 0);
        if (name[0] == '\0' || find_name(r, name) < r->n_names) {
            return BT_FAIL(err, BT_E_FORMAT, "%s:%" PRId64 ": global.columns: '%.*s' %s",
                           bt_text_word_file_path(r), r->line,
                           (int)(columns[i].n < 80 ? columns[i].n : 80), columns[i].text,
                           name[0] == '\0' ? "is not a name of a column" : "appears twice");
        }
        BT_TRY(bt_str_append_n(&r->names, name, strlen(name) + 1, err));
        r->n_names++;
    }
    return BT_OK;
}

static const char *list_names(const bt_text_word_file *r, char out[SHOWN_NAMES_BYTES]) {
    out[0] = '\0';
    for (size_t i = 0; i < r->n_names && bt_list_add(out, SHOWN_NAMES_BYTES, name_at(r, i)); i++) {
    }
    return out;
}

/* Of the ten that every CoNLL-U file has? */
static bool is_standard(const char *name) {
    static const char *const names[CONLLU_COLUMNS] = {"ID",    "FORM", "LEMMA",  "UPOS", "XPOS",
                                                      "FEATS", "HEAD", "DEPREL", "DEPS", "MISC"};
    for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
        if (bt_str_equal(name, names[i])) {
            return true;
        }
    }
    return false;
}

static bt_status choose_name(const bt_text_word_file *r, const char *name, size_t *out,
                             bt_error *err) {
    char list[SHOWN_NAMES_BYTES];
    *out = find_name(r, name);
    if (*out < r->n_names) {
        return BT_OK;
    }
    return r->n_names == 0
               ? BT_FAIL(
                     err, BT_E_FORMAT,
                     "%s: no line '# global.columns = ...' before its first word, which would say "
                     "which column is %s: give its number (%s)",
                     bt_text_word_file_path(r), name, r->form->columns_advice)
               : BT_FAIL(err, BT_E_FORMAT, "%s: no column is called %s; the columns are %s",
                         bt_text_word_file_path(r), name, list_names(r, list));
}

/* Nothing was told: FORM, and the one column that is not CoNLL-U's own; without one UPOS. */
static bt_status choose_plus(bt_text_word_file *r, word_choice *out, bt_error *err) {
    char   list[SHOWN_NAMES_BYTES];
    size_t n_others = 0;
    size_t other = 0;
    for (size_t i = 0; i < r->n_names; i++) {
        const bool is_other = !is_standard(name_at(r, i));
        n_others += is_other ? 1 : 0;
        other = is_other ? i : other;
    }
    out->word = find_name(r, "FORM");
    out->label = n_others == 1 ? other : find_name(r, "UPOS");
    if (n_others > 1 || out->word == r->n_names || out->label == r->n_names) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: which of its columns hold the word and the label? They are %s (%s "
                       "says it)",
                       bt_text_word_file_path(r), list_names(r, list), r->form->columns_advice);
    }
    r->own_column = n_others == 1 ? other + 1 : 0;
    return BT_OK;
}

void word_tell_columns(const bt_text_word_file *r) {
    if (r->own_column > 0) {
        bt_log(BT_LOG_INFO, "%s: the labels are those of the column %s (%s chooses another)",
               bt_text_word_file_path(r), name_at(r, r->own_column - 1), r->form->columns_advice);
    }
}

/* "1", "1-2" or "1.1": CoNLL-U's first column; the last two are not words of their own. */
static bool is_node_id(word_column id, bool *is_plain) {
    const char *const end = id.text + id.n;
    const char       *at = id.text;
    *is_plain = true;
    while (at < end && *at >= '0' && *at <= '9') {
        at++;
    }
    if (at == id.text || (at < end && *at != '-' && *at != '.')) {
        return false;
    }
    if (at == end) {
        return true;
    }
    *is_plain = false;
    const char *const second = ++at;
    while (at < end && *at >= '0' && *at <= '9') {
        at++;
    }
    return at == end && at > second;
}

/* CoNLL-U, or CoNLL-U Plus with the column ID; *skip: none that is a word. */
static bool is_conllu(bt_text_word_file *r, bool has_tab, const word_column *columns,
                      size_t n_columns, bool *skip) {
    const size_t id = find_name(r, "ID");
    bool         is_plain = true;
    const bool   is_plus = r->n_names > 0 && id < n_columns;
    const bool   is_plain_u = r->n_names == 0 && n_columns == CONLLU_COLUMNS && has_tab;
    const bool   is = (is_plus || is_plain_u) && is_node_id(columns[is_plus ? id : 0], &is_plain);
    *skip = is && !is_plain;
    r->n_nodes += *skip ? 1 : 0;
    return is;
}

/* A line that lost a column, or a space in a word, would be read with the columns of others. */
static bt_status check_width(bt_text_word_file *r, size_t n_columns, bt_error *err) {
    r->is_one_width = r->n_names > 0 || r->form->label_column == BT_TEXT_LAST_COLUMN;
    if (r->n_names > 0 && n_columns != r->n_names) {
        return BT_FAIL(
            err, BT_E_FORMAT, "%s:%" PRId64 ": %zu column%s, but global.columns names %zu",
            bt_text_word_file_path(r), r->line, n_columns, n_columns == 1 ? "" : "s", r->n_names);
    }
    if (n_columns > 1 && r->n_columns > 0 && n_columns != r->n_columns) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s:%" PRId64 ": %zu columns, but the words before it have %zu",
                       bt_text_word_file_path(r), r->line, n_columns, r->n_columns);
    }
    r->n_columns = n_columns > 1 ? n_columns : r->n_columns;
    return BT_OK;
}

bt_status word_choose_columns(bt_text_word_file *r, bool has_tab, const word_column *columns,
                              size_t n_columns, word_choice *out, bool *skip, bt_error *err) {
    const bt_text_word_form *const form = r->form;
    const bool                     is_last = form->label_column == BT_TEXT_LAST_COLUMN;
    const bool                     is_untold =
        form->word_column == 0 && is_last && form->word_name == NULL && form->label_name == NULL;
    *out = (word_choice){.word = (size_t)form->word_column,
                         .label = is_last ? n_columns - 1 : (size_t)form->label_column,
                         .has_label = true};
    BT_TRY(check_width(r, n_columns, err));
    const bool is_of_conllu = is_conllu(r, has_tab, columns, n_columns, skip);
    if (is_untold && r->n_names > 0) {
        BT_TRY(choose_plus(r, out, err));
    } else if (is_untold && is_of_conllu) {
        *out = (word_choice){CONLLU_FORM, CONLLU_UPOS, true};
    }
    BT_TRY(form->word_name != NULL ? choose_name(r, form->word_name, &out->word, err) : BT_OK);
    BT_TRY(form->label_name != NULL ? choose_name(r, form->label_name, &out->label, err) : BT_OK);
    if (n_columns == 1 && out->word == 0) {
        out->has_label = false;
        return BT_OK;
    }
    if (out->word >= n_columns || out->label >= n_columns || out->word == out->label) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s:%" PRId64 ": %zu column%s, but the word is in column %zu and the label "
                       "in column %zu (%s)",
                       bt_text_word_file_path(r), r->line, n_columns, n_columns == 1 ? "" : "s",
                       out->word + 1, out->label + 1, form->columns_advice);
    }
    return BT_OK;
}
