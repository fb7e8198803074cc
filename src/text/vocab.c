/* SPDX-License-Identifier: Apache-2.0
 *
 * The vocabulary file, by the rules of Model Garden's load_vocab (docs/model_garden/data.md section
 * 2): lines end at LF only, every CR is dropped, Unicode white space is stripped, the last of equal
 * lines counts; or by those of tensorflow-text's lookup table: lines are not stripped, empty and
 * equal ones are refused. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/stop.h"
#include "bt/fs.h"

#include "tokenizer_json.h"
#include "unicode.h"

struct bt_text_vocab {
    char         *text;   /* all pieces, NUL-terminated, one after the other */
    text_piece   *lines;  /* [n_lines] by id */
    text_piece   *sorted; /* [n_sorted] by bytes, without repeats */
    size_t        n_lines;
    size_t        n_sorted;
    text_trie     trie;
    bt_text_rules rules;
    bool          keeps_blanks; /* lines are not stripped */
    text_added   *added;        /* [n_added] of a tokenizer.json */
    size_t        n_added;
    uint32_t      longest_word; /* in code points; a longer one is [UNK] */
};

enum { MAX_LINES = 1 << 26 };

static int compare_bytes(const text_piece *a, const char *bytes, size_t n_bytes) {
    const size_t n = a->n_bytes < n_bytes ? a->n_bytes : n_bytes;
    const int    order = n == 0 ? 0 : memcmp(a->bytes, bytes, n);
    return order != 0 ? order : (a->n_bytes > n_bytes) - (a->n_bytes < n_bytes);
}

/* Equal pieces: the largest id first, so that the first of them is the one that counts. */
static int compare_pieces(const void *a, const void *b) {
    const text_piece *const p = a;
    const text_piece *const q = b;
    const int               order = compare_bytes(p, q->bytes, q->n_bytes);
    return order != 0 ? order : (p->id < q->id) - (p->id > q->id);
}

static bt_status sort_pieces(bt_text_vocab *vocab, bt_error *err) {
    vocab->sorted = bt_alloc_array(vocab->n_lines, sizeof *vocab->sorted);
    if (vocab->sorted == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for %zu pieces", vocab->n_lines);
    }
    memcpy(vocab->sorted, vocab->lines, vocab->n_lines * sizeof *vocab->lines);
    qsort(vocab->sorted, vocab->n_lines, sizeof *vocab->sorted, compare_pieces);
    size_t n = 0;
    for (size_t i = 0; i < vocab->n_lines; i++) {
        const text_piece piece = vocab->sorted[i];
        if (n == 0 || compare_bytes(&vocab->sorted[n - 1], piece.bytes, piece.n_bytes) != 0) {
            vocab->sorted[n++] = piece;
        }
    }
    vocab->n_sorted = n;
    return BT_OK;
}

/* tensorflow-text's table refuses a key that comes twice. */
static bt_status refuse_repeats(const bt_text_vocab *vocab, const char *name, bt_error *err) {
    for (size_t i = 0; i < vocab->n_lines && vocab->n_sorted < vocab->n_lines; i++) {
        const text_piece *const piece = &vocab->lines[i];
        int32_t                 last = 0;
        if (bt_text_vocab_find(vocab, piece->bytes, piece->n_bytes, &last) && last != piece->id) {
            return BT_FAIL(err, BT_E_FORMAT,
                           "%s:%" PRId32 ": '%.100s' again (first in line %" PRId32
                           "): a vocabulary for raw text must not repeat a line",
                           name, last + 1, piece->bytes, piece->id + 1);
        }
    }
    return BT_OK;
}

/* Moves the line's text without CRs and (Python) surrounding white space to `to`; returns its
 * length. */
static size_t copy_line(char *to, const unsigned char *line, size_t n, bool keeps_blanks) {
    size_t n_kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (line[i] != '\r') {
            to[n_kept++] = (char)line[i];
        }
    }
    if (keeps_blanks) {
        return n_kept;
    }
    const unsigned char       *at = (const unsigned char *)to;
    const unsigned char *const end = at + n_kept;
    const unsigned char       *first = end; /* of the text that stays */
    const unsigned char       *last = end;
    while (at < end) {
        const unsigned char *const start = at;
        uint32_t                   c = 0;
        if (text_read_utf8(&at, end, &c) && text_is_python_space(c)) {
            continue;
        }
        first = first == end ? start : first;
        last = at;
    }
    const size_t n_text = (size_t)(last - first);
    memmove(to, first, n_text);
    return n_text;
}

static bool is_only(const char *bytes, const unsigned char *text, size_t n) {
    size_t i = 0;
    while (i < n && text[i] != '\0' && strchr(bytes, text[i]) != NULL) {
        i++;
    }
    return i == n;
}

static bt_status parse_lines(bt_text_vocab *vocab, const unsigned char *bytes, size_t n_bytes,
                             const char *name, bt_error *err) {
    const unsigned char       *at = bytes;
    const unsigned char *const end = bytes + n_bytes;
    size_t                     cap = 0;
    char                      *to = vocab->text;
    while (at < end) {
        const unsigned char *const lf = memchr(at, '\n', (size_t)(end - at));
        const size_t               n = (size_t)((lf == NULL ? end : lf) - at);
        BT_TRY(bt_stop_check(err));
        const size_t n_valid = bt_text_utf8_valid_prefix((const char *)at, n);
        if (n_valid != n) {
            return BT_FAIL(err, BT_E_FORMAT,
                           "%s:%zu: byte %zu of the line (0x%02x) is not valid UTF-8; a vocabulary "
                           "is UTF-8 text with one piece a line",
                           name, vocab->n_lines + 1, n_valid + 1, at[n_valid]);
        }
        const size_t n_text = copy_line(to, at, n, vocab->keeps_blanks);
        if (lf == NULL && is_only("\r", at, n)) {
            break; /* the reader drops CRs, so for it the file ends here */
        }
        if (vocab->rules == BT_TEXT_TF && n_text == 0) {
            if (is_only("\r\n", at, (size_t)(end - at))) {
                break;
            }
            return BT_FAIL(err, BT_E_FORMAT,
                           "%s:%zu: an empty line; a vocabulary for raw text has a piece in each",
                           name, vocab->n_lines + 1);
        }
        BT_TRY(
            bt_grow(&vocab->lines, &cap, vocab->n_lines + 1, sizeof *vocab->lines, MAX_LINES, err));
        vocab->lines[vocab->n_lines] =
            (text_piece){.bytes = to, .n_bytes = (uint32_t)n_text, .id = (int32_t)vocab->n_lines};
        vocab->n_lines++;
        to[n_text] = '\0';
        to += n_text + 1;
        at = lf == NULL ? end : lf + 1;
    }
    if (vocab->n_lines == 0) {
        return BT_FAIL(err, BT_E_FORMAT, "%s: the vocabulary is empty; expected one piece a line",
                       name);
    }
    return BT_OK;
}

static bt_status parse_as(bt_text_vocab **out, const void *bytes, size_t n_bytes, const char *name,
                          bt_text_rules rules, bool keeps_blanks, bt_error *err) {
    bt_status      rc = BT_OK;
    bt_text_vocab *vocab = NULL;
    if (n_bytes > BT_TEXT_VOCAB_MAX_BYTES) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: %zu bytes are too many for a vocabulary (at most %zu)", name, n_bytes,
                       BT_TEXT_VOCAB_MAX_BYTES);
    }
    const char *const cr = memchr(bytes, '\r', n_bytes);
    if (cr != NULL && (size_t)(cr - (const char *)bytes) + 1 < n_bytes &&
        memchr(bytes, '\n', n_bytes) == NULL) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: its lines end with CR alone, as on old Macs: save it with LF", name);
    }
    vocab = bt_calloc_array(1, sizeof *vocab);
    if (vocab == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "%s: out of memory", name);
    }
    vocab->rules = rules;
    vocab->keeps_blanks = keeps_blanks;
    vocab->longest_word = TEXT_WORD_MAX_CODEPOINTS;
    vocab->text = bt_alloc(n_bytes + 1); /* a line's LF makes room for its NUL */
    if (vocab->text == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "%s: out of memory for %zu bytes", name, n_bytes);
        goto done;
    }
    BT_CHECK(parse_lines(vocab, bytes, n_bytes, name, err));
    BT_CHECK(sort_pieces(vocab, err));
    if (rules == BT_TEXT_TF) {
        BT_CHECK(refuse_repeats(vocab, name, err));
    }
    BT_CHECK(text_trie_build(&vocab->trie, vocab->sorted, vocab->n_sorted, err));
    *out = vocab;
    vocab = NULL;
done:
    bt_text_vocab_free(vocab);
    return rc;
}

bt_status bt_text_vocab_parse_as(bt_text_vocab **out, const void *bytes, size_t n_bytes,
                                 const char *name, bt_text_rules rules, bt_error *err) {
    return parse_as(out, bytes, n_bytes, name, rules, rules == BT_TEXT_TF, err);
}

bt_status bt_text_vocab_parse(bt_text_vocab **out, const void *bytes, size_t n_bytes,
                              const char *name, bt_error *err) {
    return bt_text_vocab_parse_as(out, bytes, n_bytes, name, BT_TEXT_PYTHON, err);
}

bt_status bt_text_vocab_load(bt_text_vocab **out, const char *path, bt_error *err) {
    return bt_text_vocab_load_as(out, path, BT_TEXT_PYTHON, err);
}

/* An added token is the piece of its number: one that lies in the vocabulary under another number,
 * or with another text, is of another vocabulary. */
static bt_status check_added(const bt_text_vocab *vocab, const char *path, bt_error *err) {
    for (size_t i = 0; i < vocab->n_added; i++) {
        const text_added *const added = &vocab->added[i];
        size_t                  n = 0;
        const char *const       piece = bt_text_vocab_piece(vocab, added->id, &n);
        if (n != added->n || memcmp(piece, added->text, n) != 0) {
            return BT_FAIL(err, BT_E_FORMAT,
                           "%s: the added token '%.100s' has the number %" PRId32
                           ", which is that of the piece '%.*s'",
                           path, added->text, added->id, (int)(n < 100 ? n : 100), piece);
        }
    }
    return BT_OK;
}

static bt_status load_json(bt_text_vocab **out, const char *bytes, size_t n, const char *path,
                           bt_text_rules rules, bt_error *err) {
    text_tokenizer_json json;
    BT_TRY(text_tokenizer_json_read(bytes, n, path, &json, err));
    bt_status rc = parse_as(out, bt_str_text(&json.lines), json.lines.len, path, rules, true, err);
    if (rc == BT_OK) {
        (*out)->longest_word = json.max_word_codepoints;
        (*out)->added = json.added;
        (*out)->n_added = json.n_added;
        json.added = NULL;
        json.n_added = 0;
        rc = check_added(*out, path, err);
    }
    text_tokenizer_json_deinit(&json);
    if (rc != BT_OK) {
        bt_text_vocab_free(*out);
        *out = NULL;
    }
    return rc;
}

bt_status bt_text_vocab_read_lines(const char *path, char **lines, size_t *n_bytes, bt_error *err) {
    char               *bytes = NULL;
    size_t              n = 0;
    text_tokenizer_json json;
    BT_TRY(bt_fs_read_all(path, BT_TEXT_VOCAB_MAX_BYTES, &bytes, &n, err));
    if (!text_is_tokenizer_json(path, bytes, n)) {
        *lines = bytes;
        *n_bytes = n;
        return BT_OK;
    }
    const bt_status rc = text_tokenizer_json_read(bytes, n, path, &json, err);
    bt_free(bytes);
    BT_TRY(rc);
    *n_bytes = json.lines.len;
    *lines = bt_str_take(&json.lines);
    text_tokenizer_json_deinit(&json);
    return BT_OK;
}

bt_status bt_text_vocab_load_as(bt_text_vocab **out, const char *path, bt_text_rules rules,
                                bt_error *err) {
    char  *bytes = NULL;
    size_t n = 0;
    BT_TRY(bt_fs_require_file(path, NULL, err));
    BT_TRY(bt_fs_read_all(path, BT_TEXT_VOCAB_MAX_BYTES, &bytes, &n, err));
    bt_status rc = bt_fs_refuse_stranger(path, bytes, n, err);
    if (rc == BT_OK) {
        rc = text_is_tokenizer_json(path, bytes, n)
                 ? load_json(out, bytes, n, path, rules, err)
                 : bt_text_vocab_parse_as(out, bytes, n, path, rules, err);
    }
    bt_free(bytes);
    return rc;
}

void bt_text_vocab_free(bt_text_vocab *vocab) {
    if (vocab != NULL) {
        text_trie_deinit(&vocab->trie);
        bt_free(vocab->sorted);
        bt_free(vocab->lines);
        bt_free(vocab->text);
        for (size_t i = 0; i < vocab->n_added; i++) {
            bt_free(vocab->added[i].text);
        }
        bt_free(vocab->added);
        bt_free(vocab);
    }
}

int32_t bt_text_vocab_size(const bt_text_vocab *vocab) {
    return (int32_t)vocab->n_lines;
}

const char *bt_text_vocab_piece(const bt_text_vocab *vocab, int32_t id, size_t *n) {
    BT_ASSERT(id >= 0 && (size_t)id < vocab->n_lines);
    if (n != NULL) {
        *n = vocab->lines[id].n_bytes;
    }
    return vocab->lines[id].bytes;
}

bool bt_text_vocab_find(const bt_text_vocab *vocab, const char *piece, size_t n, int32_t *id) {
    size_t low = 0;
    size_t high = vocab->n_sorted;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int    order = compare_bytes(&vocab->sorted[middle], piece, n);
        if (order == 0) {
            *id = vocab->sorted[middle].id;
            return true;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}

bt_text_rules text_vocab_rules(const bt_text_vocab *vocab) {
    return vocab->rules;
}

const text_trie *text_vocab_trie(const bt_text_vocab *vocab) {
    return &vocab->trie;
}

const text_added *text_vocab_added(const bt_text_vocab *vocab, size_t *n) {
    *n = vocab->n_added;
    return vocab->added;
}

uint32_t text_vocab_longest_word(const bt_text_vocab *vocab) {
    return vocab->longest_word;
}
