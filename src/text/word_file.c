/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of one word a line with its label, sentences apart by empty lines. Two forms: PAN-X's and
 * UDPOS's, exactly as Model Garden's data tool reads them (one or two columns, tab between; a line
 * of blanks is a word), and what CoNLL files look like in the wild (columns apart by tabs or
 * blanks, lines of blanks between sentences, -DOCSTART- lines left out). Strict UTF-8; every CR is
 * dropped.
 */
#include <string.h>

#include "bt/fs.h"
#include "bt/text.h"

enum { LINE_MAX_BYTES = 1 << 28, MAX_COLUMNS = 64 };

struct bt_text_word_file {
    bt_fs_stream            *stream;
    const bt_text_word_form *form;
    int64_t                  line;
    bt_str                   text; /* of a line that lost its CRs */
};

typedef struct column {
    const char *text;
    size_t      n;
} column;

bt_status bt_text_word_file_open(bt_text_word_file **out, const char *path,
                                 const bt_text_word_form *form, bt_error *err) {
    bt_text_word_file *const r = bt_calloc_array(1, sizeof *r);
    if (r == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "%s: out of memory", path);
    }
    r->form = form;
    const bt_status rc = bt_fs_stream_open(path, &r->stream, err);
    if (rc != BT_OK) {
        bt_text_word_file_close(r);
        return rc;
    }
    *out = r;
    return BT_OK;
}

void bt_text_word_file_close(bt_text_word_file *file) {
    if (file != NULL) {
        bt_fs_stream_close(file->stream);
        bt_str_deinit(&file->text);
        bt_free(file);
    }
}

const char *bt_text_word_file_path(const bt_text_word_file *file) {
    return bt_fs_stream_path(file->stream);
}

int64_t bt_text_word_file_line(const bt_text_word_file *file) {
    return file->line;
}

/* ---- lines
 * ------------------------------------------------------------------------------------------ */

/* Python's str.strip(). */
static column strip(const char *text, size_t n) {
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
    return (column){first, (size_t)(last - first)};
}

static bt_status drop_carriage_returns(bt_text_word_file *r, const char **text, size_t *n,
                                       bt_error *err) {
    if (*n == 0 || memchr(*text, '\r', *n) == NULL) {
        return BT_OK;
    }
    bt_str_clear(&r->text);
    for (size_t i = 0; i < *n; i++) {
        if ((*text)[i] != '\r') {
            BT_TRY(bt_str_append_char(&r->text, (*text)[i], err));
        }
    }
    *text = bt_str_text(&r->text);
    *n = r->text.len;
    return BT_OK;
}

static bt_status read_line(bt_text_word_file *r, const char **text, size_t *n, bool *end,
                           bt_error *err) {
    BT_TRY(bt_fs_stream_line(r->stream, LINE_MAX_BYTES, text, n, end, err));
    if (*end) {
        return BT_OK;
    }
    r->line++;
    BT_TRY(drop_carriage_returns(r, text, n, err));
    const size_t n_valid = bt_text_utf8_valid_prefix(*text, *n);
    if (n_valid < *n) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s:%" PRId64 ": byte %zu of the line (0x%02x) is not valid UTF-8",
                       bt_text_word_file_path(r), r->line, n_valid + 1,
                       (unsigned)(unsigned char)(*text)[n_valid]);
    }
    return BT_OK;
}

/* ---- the real tool's form
 * ------------------------------------------------------------------------------ */

static bt_status parse_plain(const bt_text_word_file *r, const char *text, size_t n,
                             bt_text_word_line *word, bt_error *err) {
    const char *const end = text + n;
    const char *const tab = memchr(text, '\t', n);
    const column      token = strip(text, (size_t)((tab == NULL ? end : tab) - text));
    *word = (bt_text_word_line){.word = token.text, .n_word = token.n};
    if (tab == NULL) {
        return BT_OK;
    }
    const size_t n_label = (size_t)(end - tab - 1);
    if (memchr(tab + 1, '\t', n_label) != NULL) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s:%" PRId64 ": more than two columns; expected 'word TAB label'; files of "
                       "more columns are read with %s",
                       bt_text_word_file_path(r), r->line, r->form->conll_advice);
    }
    const column label = strip(tab + 1, n_label);
    word->label = label.text;
    word->n_label = label.n;
    return BT_OK;
}

/* ---- CoNLL
 * ------------------------------------------------------------------------------------------ */

/* Columns between tabs where there is one, else between blanks; at most MAX_COLUMNS. */
static size_t split_columns(const char *text, size_t n, column columns[MAX_COLUMNS]) {
    const char *const end = text + n;
    const bool        has_tab = memchr(text, '\t', n) != NULL;
    size_t            n_columns = 0;
    while (text < end && n_columns < MAX_COLUMNS) {
        const char *const separator = memchr(text, has_tab ? '\t' : ' ', (size_t)(end - text));
        const char *const stop = separator == NULL ? end : separator;
        if (has_tab || stop > text) {
            columns[n_columns++] = strip(text, (size_t)(stop - text));
        }
        text = separator == NULL ? end : separator + 1;
    }
    return n_columns;
}

static bt_status parse_conll(const bt_text_word_file *r, const char *text, size_t n,
                             bt_text_word_line *word, bt_error *err) {
    const bt_text_word_form *const form = r->form;
    column                         columns[MAX_COLUMNS];
    const size_t                   n_columns = split_columns(text, n, columns);
    const size_t                   word_column = (size_t)form->word_column;
    const size_t                   label_column =
        form->label_column == BT_TEXT_LAST_COLUMN ? n_columns - 1 : (size_t)form->label_column;
    if (n_columns == 1 && word_column == 0) {
        *word = (bt_text_word_line){.word = columns[0].text, .n_word = columns[0].n};
        return BT_OK;
    }
    if (word_column >= n_columns || label_column >= n_columns || word_column == label_column) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s:%" PRId64 ": %zu column%s, but the word is in column %zu and the label "
                       "in column %zu (%s)",
                       bt_text_word_file_path(r), r->line, n_columns, n_columns == 1 ? "" : "s",
                       word_column + 1, label_column + 1, form->columns_advice);
    }
    *word = (bt_text_word_line){.word = columns[word_column].text,
                                .n_word = columns[word_column].n,
                                .label = columns[label_column].text,
                                .n_label = columns[label_column].n};
    return BT_OK;
}

static bool is_document_start(const char *text, size_t n) {
    static const char mark[] = "-DOCSTART-";
    return n >= sizeof mark - 1 && memcmp(text, mark, sizeof mark - 1) == 0;
}

bt_status bt_text_word_file_next(bt_text_word_file *file, bt_text_word_line *word, bool *is_break,
                                 bool *end, bt_error *err) {
    const char *text = NULL;
    size_t      n = 0;
    BT_TRY(read_line(file, &text, &n, end, err));
    if (*end) {
        return BT_OK;
    }
    if (!file->form->is_conll) {
        *is_break = n == 0;
        return n == 0 ? BT_OK : parse_plain(file, text, n, word, err);
    }
    const column line = strip(text, n);
    *is_break = line.n == 0 || is_document_start(line.text, line.n);
    return *is_break ? BT_OK : parse_conll(file, text, n, word, err);
}
