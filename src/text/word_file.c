/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of one word a line with its label, sentences apart by empty lines: the forms and their
 * rules are told in bt/text.h. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/stop.h"
#include "word_file.h"

bool bt_text_is_word_json(const char *path) {
    static const char *const extensions[] = {".jsonl", ".ndjson", ".json"};
    const size_t             n = strlen(path) - bt_text_packed_suffix(path, strlen(path));
    for (size_t i = 0; i < BT_ARRAY_LEN(extensions); i++) {
        if (bt_str_ends_with_nocase(path, n, extensions[i])) {
            return true;
        }
    }
    return false;
}

bt_status bt_text_word_file_open(bt_text_word_file **out, const char *path,
                                 const bt_text_word_form *form, bt_error *err) {
    bt_status                rc = BT_OK;
    bt_text_source           source = {0};
    bt_text_word_file *const r = bt_calloc_array(1, sizeof *r);
    if (r == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "%s: out of memory", path);
    }
    r->form = form;
    r->is_json = bt_text_is_word_json(path);
    BT_CHECK(bt_text_source_open(path, &form->encoding, true, &r->scratch, &source, err));
    BT_CHECK(bt_text_source_stream(&source, path, r->scratch, &r->stream, err));
    if (r->is_json) {
        BT_CHECK(word_json_open(r, bt_str_text(&source.head), source.head.len, err));
    } else if (source.head.len >= 3 && memcmp(source.head.data, "\xef\xbb\xbf", 3) == 0 &&
               (form->is_conll || source.is_unpacked)) {
        BT_CHECK(bt_fs_stream_seek(r->stream, 3, err)); /* a byte order mark is not a word */
    }
done:
    bt_text_source_deinit(&source);
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
        bt_fs_scratch_close(file->scratch);
        bt_str_deinit(&file->text);
        bt_str_deinit(&file->label);
        bt_str_deinit(&file->before);
        bt_str_deinit(&file->names);
        word_json_deinit(file);
        bt_text_values_free(file->values);
        bt_str_deinit(&file->blanked);
        bt_free(file);
    }
}

const char *bt_text_word_file_path(const bt_text_word_file *file) {
    return bt_fs_stream_path(file->stream);
}

const bt_text_word_form *bt_text_word_file_form(const bt_text_word_file *file) {
    return file->form;
}

int64_t bt_text_word_file_line(const bt_text_word_file *file) {
    return file->line;
}

void bt_text_word_file_tell(const bt_text_word_file *file, const char *repair_advice) {
    const char *const path = bt_text_word_file_path(file);
    word_tell_columns(file);
    if (file->n_comments > 0) {
        bt_log(BT_LOG_INFO, "%s: comment lines left out: %" PRId64 ", the first is line %" PRId64,
               path, file->n_comments, file->first_comment);
    }
    if (file->n_nodes > 0) {
        bt_log(BT_LOG_INFO, "%s: CoNLL-U; ranges (1-2) and empty nodes (1.1) left out: %" PRId64,
               path, file->n_nodes);
    }
    if (file->n_bilou > 0) {
        bt_log(BT_LOG_WARNING,
               "%s: labels that begin with U- or L- (BILOU): %" PRId64
               "; F1 counts entities as seqeval does, which takes U-X beside U-X for one: write S- "
               "and E- in their place (IOBES)",
               path, file->n_bilou);
    } else if (file->n_single > 0) {
        bt_log(BT_LOG_INFO, "%s: labels that begin with S- or E- (IOBES): %" PRId64, path,
               file->n_single);
    }
    if (file->n_broken > 0 && file->form->repair_bio) {
        bt_log(BT_LOG_INFO,
               "%s: entities that began with I- and begin with B- now: %" PRId64
               ", the first at line %" PRId64,
               path, file->n_broken, file->first_broken);
    } else if (file->n_broken > 0) {
        bt_log(BT_LOG_WARNING,
               "%s: entities that begin with I- instead of B-: %" PRId64
               ", the first at line %" PRId64 " (IOB1, or a mistake); %s makes them begin with B-",
               path, file->n_broken, file->first_broken, repair_advice);
    }
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

bt_status word_file_refuse_byte(const bt_text_word_file *r, const char *text, size_t n, size_t at,
                                bt_error *err) {
    char advice[BT_TEXT_ADVICE_MAX];
    return BT_FAIL(err, BT_E_FORMAT,
                   "%s:%" PRId64 ": byte %zu of the line (0x%02x) is not valid UTF-8%s",
                   bt_text_word_file_path(r), r->line, at + 1, (unsigned)(unsigned char)text[at],
                   bt_text_encoding_advice(r->form->encoding.key, text, n, at, advice));
}

bt_status word_file_read_line(bt_text_word_file *r, const char **text, size_t *n, bool *end,
                              bt_error *err) {
    BT_TRY(bt_fs_stream_line(r->stream, WORD_LINE_MAX_BYTES, text, n, end, err));
    if (*end) {
        return BT_OK;
    }
    r->line++;
    BT_TRY(drop_carriage_returns(r, text, n, err));
    if (r->form->is_conll && *n > 0 && memchr(*text, '\0', *n) != NULL) {
        return BT_FAIL(err, BT_E_FORMAT, "%s:%" PRId64 ": a NUL byte: is this a text file?",
                       bt_text_word_file_path(r), r->line);
    }
    const size_t n_valid = bt_text_utf8_valid_prefix(*text, *n);
    return n_valid == *n ? BT_OK : word_file_refuse_byte(r, *text, *n, n_valid, err);
}

static bt_status parse_plain(const bt_text_word_file *r, const char *text, size_t n,
                             bt_text_word_line *word, bt_error *err) {
    const char *const end = text + n;
    const char *const tab = memchr(text, '\t', n);
    const word_column token = word_strip(text, (size_t)((tab == NULL ? end : tab) - text));
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
    const word_column label = word_strip(tab + 1, n_label);
    word->label = label.text;
    word->n_label = label.n;
    return BT_OK;
}

static bt_status parse_conll(bt_text_word_file *r, const char *text, size_t n,
                             bt_text_word_line *word, bool *skip, bt_error *err) {
    word_column columns[WORD_MAX_COLUMNS];
    size_t      n_columns = 0;
    word_choice choice = {0};
    BT_TRY(word_split_columns(r, text, n, columns, &n_columns, err));
    const bool has_tab = memchr(text, '\t', n) != NULL;
    BT_TRY(word_choose_columns(r, has_tab, columns, n_columns, &choice, skip, err));
    if (*skip) {
        return BT_OK;
    }
    const word_column form = columns[choice.word];
    *word = (bt_text_word_line){.word = form.text, .n_word = form.n};
    if (choice.has_label) {
        word->label = columns[choice.label].text;
        word->n_label = columns[choice.label].n;
    }
    return BT_OK;
}

static bool is_document_start(const char *text, size_t n) {
    static const char mark[] = "-DOCSTART-";
    return n >= sizeof mark - 1 && memcmp(text, mark, sizeof mark - 1) == 0;
}

static bool begins_with(const char *text, size_t n, const char *start) {
    const size_t n_start = strlen(start);
    return n >= n_start && memcmp(text, start, n_start) == 0;
}

/* Columns of the file's first word: looked for beyond the comments that may be before it. */
static bt_status find_width(bt_text_word_file *r, bt_error *err) {
    const int64_t back = bt_fs_stream_offset(r->stream);
    bool          end = false;
    while (r->width == 0 && !end) {
        const char *text = NULL;
        size_t      n = 0;
        word_column columns[WORD_MAX_COLUMNS];
        BT_TRY(bt_stop_check(err));
        BT_TRY(bt_fs_stream_line(r->stream, WORD_LINE_MAX_BYTES, &text, &n, &end, err));
        const word_column line = word_strip(text, end ? 0 : n);
        if (line.n > 0 && line.text[0] != '#' && !is_document_start(line.text, line.n)) {
            if (word_split_columns(r, line.text, line.n, columns, &r->width, NULL) != BT_OK) {
                r->width = SIZE_MAX;
            }
            r->has_tabs = memchr(line.text, '\t', line.n) != NULL;
        }
    }
    r->width = r->width == 0 ? 1 : r->width; /* nothing but # and empty lines */
    return bt_fs_stream_seek(r->stream, back, err);
}

/* text begins with #. It is r->text or the stream's own, which find_width overwrites. */
static bt_status is_comment(bt_text_word_file *r, const char *text, size_t n, bool *out,
                            bt_error *err) {
    word_column columns[WORD_MAX_COLUMNS];
    size_t      n_columns = 0;
    const bool  has_blank = n > 1 && text[1] == ' ';
    const bool  has_tab = memchr(text, '\t', n) != NULL;
    if (word_split_columns(r, text, n, columns, &n_columns, NULL) != BT_OK) {
        n_columns = SIZE_MAX; /* more than any word has */
    }
    *out = begins_with(text, n, "#begin document") || begins_with(text, n, "#end document") ||
           (has_blank && has_tab && columns[0].n > 1) ||
           (has_blank && !has_tab && n_columns > 2 && columns[2].n == 1 && *columns[2].text == '=');
    if (*out || !has_blank || has_tab || r->is_inside) {
        return BT_OK;
    }
    if (r->width == 0) {
        BT_TRY(find_width(r, err));
    }
    *out = n_columns != r->width || r->has_tabs; /* "# newdoc id = x" where words have tabs */
    return BT_OK;
}

/* Is this I-X after neither B-X nor I-X of the same sentence? */
static bool begins_wrongly(const bt_str *before, const char *label, size_t n) {
    if (n <= 2 || label[0] != 'I' || label[1] != '-') {
        return false;
    }
    return before->len != n || (before->data[0] != 'B' && before->data[0] != 'I') ||
           memcmp(before->data + 1, label + 1, n - 1) != 0;
}

static bt_status follow_label(bt_text_word_file *r, bt_text_word_line *word, bt_error *err) {
    if (word->label == NULL || word->label_is_id) {
        bt_str_clear(&r->before);
        return BT_OK;
    }
    if (word->n_label > 2 && word->label[1] == '-') {
        r->n_single += word->label[0] == 'S' || word->label[0] == 'E' ? 1 : 0;
        r->n_bilou += word->label[0] == 'U' || word->label[0] == 'L' ? 1 : 0;
    }
    if (begins_wrongly(&r->before, word->label, word->n_label)) {
        r->first_broken = r->n_broken++ == 0 ? r->line : r->first_broken;
        if (r->form->repair_bio) {
            bt_str_clear(&r->label);
            BT_TRY(bt_str_append_n(&r->label, word->label, word->n_label, err));
            r->label.data[0] = 'B';
            word->label = r->label.data;
        }
    }
    bt_str_clear(&r->before);
    return bt_str_append_n(&r->before, word->label, word->n_label, err);
}

/* *skip: the line is neither a word nor a break. */
static bt_status next_conll(bt_text_word_file *r, const char *text, size_t n,
                            bt_text_word_line *word, bool *is_break, bool *skip, bt_error *err) {
    word_column line = word_strip(text, n);
    *is_break = line.n == 0 || is_document_start(line.text, line.n);
    if (!*is_break && line.text[0] == '#') {
        /* a copy: the line may be read over for the file's width */
        const size_t before = (size_t)(line.text - text);
        if (text != bt_str_text(&r->text)) {
            bt_str_clear(&r->text);
            BT_TRY(bt_str_append_n(&r->text, text, n, err));
            text = bt_str_text(&r->text);
            line.text = text + before;
        }
        BT_TRY(is_comment(r, line.text, line.n, skip, err));
        BT_TRY(*skip && r->n_columns == 0 && r->n_names == 0
                   ? word_read_names(r, line.text, line.n, err)
                   : BT_OK);
        r->first_comment = *skip && r->n_comments++ == 0 ? r->line : r->first_comment;
    }
    return *is_break || *skip ? BT_OK : parse_conll(r, text, n, word, skip, err);
}

bt_status bt_text_word_file_next(bt_text_word_file *file, bt_text_word_line *word, bool *is_break,
                                 bool *end, bt_error *err) {
    bool skip = true;
    *is_break = false;
    while (skip) {
        const char *text = NULL;
        size_t      n = 0;
        skip = false;
        if (file->is_json) {
            BT_TRY(word_json_next(file, word, is_break, end, err));
        } else {
            BT_TRY(word_file_read_line(file, &text, &n, end, err));
        }
        if (*end) {
            return BT_OK;
        }
        if (!file->is_json && !file->form->is_conll) {
            *is_break = n == 0;
            return n == 0 ? BT_OK : parse_plain(file, text, n, word, err);
        }
        if (!file->is_json) {
            BT_TRY(next_conll(file, text, n, word, is_break, &skip, err));
        }
    }
    file->is_inside = !*is_break;
    if (*is_break) {
        file->n_columns = file->is_one_width ? file->n_columns : 0;
        bt_str_clear(&file->before);
        return BT_OK;
    }
    return follow_label(file, word, err);
}
