/* SPDX-License-Identifier: Apache-2.0
 *
 * tokenizer.json, as Hugging Face's library tokenizers writes it: the vocabulary of a WordPiece
 * model, tokens that were added to it, and how characters are treated. A tokenizer of another kind
 * is refused by its name.
 *
 * Nearly all of the file is the vocabulary, one object of 30,000 numbers: it is read here by hand,
 * and the rest of the file, without it, as JSON: twenty times as fast, and a run reads it several
 * times. */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/fs.h"

#include "tokenizer_json.h"
#include "unicode.h"

enum { MAX_HOLES = 1000, MAX_PIECES = 1 << 26 };

typedef struct scan {
    const char *at;
    const char *end;
} scan;

static void skip_blanks(scan *s) {
    while (s->at < s->end &&
           (*s->at == ' ' || *s->at == '\n' || *s->at == '\t' || *s->at == '\r')) {
        s->at++;
    }
}

static bool take(scan *s, char c) {
    skip_blanks(s);
    const bool is_there = s->at < s->end && *s->at == c;
    s->at += is_there;
    return is_there;
}

/* After the opening quote: to after the closing one. *n: bytes between, escapes as they are. */
static bool skip_string(scan *s, const char **text, size_t *n) {
    *text = s->at;
    for (; s->at < s->end; s->at++) {
        if (*s->at == '\\') {
            s->at++;
        } else if (*s->at == '"') {
            *n = (size_t)(s->at - *text);
            s->at++;
            return true;
        }
    }
    return false;
}

static bool is_text(const char *text, size_t n, const char *word) {
    return n == strlen(word) && memcmp(text, word, n) == 0;
}

/* model.vocab of the file, where that is an object: from its brace to after the last one. */
static bool find_vocab(const char *bytes, size_t n_bytes, const char **begin, const char **end) {
    scan s = {bytes, bytes + n_bytes};
    int  depth = 0;
    bool in_model = false;
    *begin = NULL;
    while (s.at < s.end) {
        const char  c = *s.at++;
        const char *text = NULL;
        size_t      n = 0;
        if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            depth--;
            if (*begin != NULL && depth == 2) {
                *end = s.at;
                return true;
            }
        } else if (c == '"') {
            if (!skip_string(&s, &text, &n)) {
                return false;
            }
            if (*begin != NULL || depth > 2 || !take(&s, ':')) {
                continue;
            }
            in_model = depth == 1 ? is_text(text, n, "model") : in_model;
            skip_blanks(&s);
            if (depth == 2 && in_model && is_text(text, n, "vocab") && s.at < s.end &&
                *s.at == '{') {
                *begin = s.at;
            }
        }
    }
    return false;
}

static bool read_hex(const char *text, const char *end, uint32_t *out) {
    *out = 0;
    for (int i = 0; i < 4; i++) {
        const char c = text + i < end ? text[i] : '\0';
        const int  digit = c >= '0' && c <= '9'   ? c - '0'
                           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                  : -1;
        if (digit < 0) {
            return false;
        }
        *out = *out * 16 + (uint32_t)digit;
    }
    return true;
}

/* \uXXXX, or two of them that are one character; *at after the first u. */
static bool read_escaped_codepoint(const char **at, const char *end, uint32_t *c) {
    uint32_t low = 0;
    if (!read_hex(*at, end, c)) {
        return false;
    }
    *at += 4;
    if (*c >= 0xD800 && *c < 0xDC00) {
        if (end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u' || !read_hex(*at + 2, end, &low) ||
            low < 0xDC00 || low > 0xDFFF) {
            return false;
        }
        *at += 6;
        *c = 0x10000 + ((*c - 0xD800) << 10) + (low - 0xDC00);
    }
    return *c < 0xDC00 || *c > 0xDFFF;
}

/* The characters of a JSON string into out, which has room for n; false: it is none. */
static bool decode(const char *text, size_t n, char *out, size_t *n_out) {
    static const char escapes[] = "\"\\/bfnrt";
    static const char meant[] = "\"\\/\b\f\n\r\t";
    const char *const end = text + n;
    char             *to = out;
    while (text < end) {
        uint32_t c = 0;
        if (*text != '\\') {
            *to++ = *text++;
            continue;
        }
        text++;
        const char        which = text < end ? *text++ : '\0';
        const char *const known = which != '\0' ? strchr(escapes, which) : NULL;
        if (known != NULL) {
            *to++ = meant[known - escapes];
        } else if (which == 'u' && read_escaped_codepoint(&text, end, &c)) {
            to += text_write_utf8(to, c);
        } else {
            return false;
        }
    }
    *n_out = (size_t)(to - out);
    return true;
}

typedef struct pieces {
    char     *text; /* of all pieces, one after the other */
    size_t    n_text;
    uint32_t *start; /* [n] by the order of the file */
    uint32_t *length;
    int32_t  *id;
    size_t    n;
    int32_t   max_id;
} pieces;

static bt_status fail_vocab(const char *name, const char *what, bt_error *err) {
    return BT_FAIL(err, BT_E_FORMAT, "%s: model.vocab is damaged: %s", name, what);
}

static bool read_id(scan *s, int32_t *id) {
    int64_t     value = 0;
    const char *first = NULL;
    skip_blanks(s);
    first = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9' && value < MAX_PIECES) {
        value = value * 10 + (*s->at++ - '0');
    }
    *id = (int32_t)value;
    return s->at > first && value < MAX_PIECES;
}

static bt_status read_pieces(pieces *p, scan s, const char *name, bt_error *err) {
    const size_t most = (size_t)(s.end - s.at) / 5 + 1; /* "a":0, is the shortest */
    p->text = bt_alloc((size_t)(s.end - s.at) + 1);
    p->start = bt_alloc_array(most, sizeof *p->start);
    p->length = bt_alloc_array(most, sizeof *p->length);
    p->id = bt_alloc_array(most, sizeof *p->id);
    if (p->text == NULL || p->start == NULL || p->length == NULL || p->id == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "%s: out of memory for its vocabulary", name);
    }
    bool more = take(&s, '{') && !take(&s, '}');
    while (more) {
        const char *text = NULL;
        size_t      n = 0;
        size_t      n_piece = 0;
        if (!take(&s, '"') || !skip_string(&s, &text, &n) ||
            !decode(text, n, p->text + p->n_text, &n_piece) || !take(&s, ':') ||
            !read_id(&s, &p->id[p->n])) {
            return fail_vocab(name, "expected \"piece\": number", err);
        }
        p->start[p->n] = (uint32_t)p->n_text;
        p->length[p->n] = (uint32_t)n_piece;
        p->max_id = p->id[p->n] > p->max_id ? p->id[p->n] : p->max_id;
        p->n_text += n_piece;
        p->n++;
        more = take(&s, ',');
    }
    return p->n > 0 ? BT_OK : fail_vocab(name, "there is no piece in it", err);
}

/* A piece a line, in the order of their ids. */
static bt_status append_lines(const pieces *p, const int64_t *place, const char *name, bt_str *out,
                              bt_error *err) {
    for (int32_t id = 0; id <= p->max_id; id++) {
        if (place[id] < 0) { /* an id that nothing has: no text ever becomes it */
            BT_TRY(bt_str_appendf(out, err, "[no piece %" PRId32 "]\n", id));
            continue;
        }
        const char *const piece = p->text + p->start[place[id]];
        const size_t      n = p->length[place[id]];
        if (n == 0 || memchr(piece, '\n', n) != NULL || memchr(piece, '\r', n) != NULL ||
            bt_text_utf8_valid_prefix(piece, n) != n) {
            return BT_FAIL(err, BT_E_FORMAT,
                           "%s: piece %" PRId32 " of model.vocab is empty, no UTF-8, or has an end "
                           "of line in it",
                           name, id);
        }
        BT_TRY(bt_str_append_n(out, piece, n, err));
        BT_TRY(bt_str_append_char(out, '\n', err));
    }
    return BT_OK;
}

static bt_status order_pieces(const pieces *p, const char *name, bt_str *out, bt_error *err) {
    const size_t n_ids = (size_t)p->max_id + 1;
    bt_status    rc = BT_OK;
    int64_t     *place = NULL;
    if (n_ids > p->n + MAX_HOLES) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: model.vocab has %zu pieces, but one has the number %" PRId32, name,
                       p->n, p->max_id);
    }
    place = bt_alloc_array(n_ids, sizeof *place);
    if (place == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "%s: out of memory for its vocabulary", name);
    }
    for (size_t i = 0; i < n_ids; i++) {
        place[i] = -1;
    }
    for (size_t i = 0; i < p->n; i++) {
        if (place[p->id[i]] >= 0) {
            rc = BT_FAIL(err, BT_E_FORMAT, "%s: two pieces of model.vocab have the number %" PRId32,
                         name, p->id[i]);
            goto done;
        }
        place[p->id[i]] = (int64_t)i;
    }
    BT_CHECK(append_lines(p, place, name, out, err));
done:
    bt_free(place);
    return rc;
}

static bt_status read_vocab(const char *begin, const char *end, const char *name, bt_str *lines,
                            size_t *n_lines, bt_error *err) {
    pieces    p = {0};
    bt_status rc = read_pieces(&p, (scan){begin, end}, name, err);
    if (rc == BT_OK) {
        rc = order_pieces(&p, name, lines, err);
        *n_lines = (size_t)p.max_id + 1;
    }
    bt_free(p.text);
    bt_free(p.start);
    bt_free(p.length);
    bt_free(p.id);
    return rc;
}

static const char *type_of(const json_t *value) {
    const char *const type = json_string_value(json_object_get(value, "type"));
    return type != NULL ? type : "none";
}

static bt_status refuse_part(const char *name, const char *part, const char *type,
                             const char *wanted, bt_error *err) {
    return BT_FAIL(err, BT_E_UNSUPPORTED,
                   "%s: its %s is '%s', which is not supported: only that of BERT, '%s', is", name,
                   part, type, wanted);
}

static bt_status check_model(const json_t *model, const char *name, bt_error *err) {
    const char *const type = type_of(model);
    const char *const unknown = json_string_value(json_object_get(model, "unk_token"));
    const char *const prefix =
        json_string_value(json_object_get(model, "continuing_subword_prefix"));
    if (!bt_str_equal(type, "WordPiece")) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "%s: its tokenizer is of kind '%s', which this program cannot read: only "
                       "WordPiece (BERT's) is supported; use weights with such a vocabulary",
                       name, type);
    }
    if (prefix != NULL && !bt_str_equal(prefix, "##")) {
        return refuse_part(name, "continuing_subword_prefix", prefix, "##", err);
    }
    return unknown == NULL || bt_str_equal(unknown, "[UNK]")
               ? BT_OK
               : refuse_part(name, "unk_token", unknown, "[UNK]", err);
}

/* A Sequence of one part is that part. */
static const json_t *unwrap(const json_t *value, const char *list) {
    const json_t *const items = json_object_get(value, list);
    return bt_str_equal(type_of(value), "Sequence") && json_array_size(items) == 1
               ? json_array_get(items, 0)
               : value;
}

static int8_t tri_state(const json_t *value) {
    return json_is_boolean(value) ? (int8_t)json_is_true(value) : (int8_t)-1;
}

/* The last of a Sequence, where all before it only lower the case (sentence-transformers puts one
 * there); else the value itself. */
static const json_t *skip_lowercase(const json_t *value, bool *lowers) {
    const json_t *const items = json_object_get(value, "normalizers");
    const size_t        n = json_array_size(items);
    *lowers = n > 1 && bt_str_equal(type_of(value), "Sequence");
    for (size_t i = 0; *lowers && i + 1 < n; i++) {
        *lowers = bt_str_equal(type_of(json_array_get(items, i)), "Lowercase");
    }
    return *lowers ? json_array_get(items, n - 1) : unwrap(value, "normalizers");
}

static bt_status read_normalizer(const json_t *root, const char *name, text_tokenizer_json *out,
                                 bt_error *err) {
    bool                lowers = false;
    const json_t *const normalizer = skip_lowercase(json_object_get(root, "normalizer"), &lowers);
    const json_t *const splitter = unwrap(json_object_get(root, "pre_tokenizer"), "pretokenizers");
    if (!bt_str_equal(type_of(normalizer), "BertNormalizer")) {
        return refuse_part(name, "normalizer", type_of(normalizer), "BertNormalizer", err);
    }
    if (!bt_str_equal(type_of(splitter), "BertPreTokenizer")) {
        return refuse_part(name, "pre_tokenizer", type_of(splitter), "BertPreTokenizer", err);
    }
    if (json_is_false(json_object_get(normalizer, "clean_text"))) {
        return refuse_part(name, "clean_text", "false", "true", err);
    }
    out->lower_case = tri_state(json_object_get(normalizer, "lowercase"));
    out->strip_accents = tri_state(json_object_get(normalizer, "strip_accents"));
    out->chinese_chars = tri_state(json_object_get(normalizer, "handle_chinese_chars"));
    if (lowers &&
        out->lower_case == 0) { /* before BERT's part, which leaves accents in cased text */
        out->lower_case = 1;
        out->strip_accents = out->strip_accents > 0;
    }
    return BT_OK;
}

static bt_status add_token(text_tokenizer_json *out, const json_t *value, const char *name,
                           bt_error *err) {
    const char *const content = json_string_value(json_object_get(value, "content"));
    const json_int_t  id = json_integer_value(json_object_get(value, "id"));
    if (content == NULL || content[0] == '\0' || strchr(content, '\n') != NULL || id < 0 ||
        id >= MAX_PIECES || !json_is_integer(json_object_get(value, "id"))) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: added_tokens: expected {\"id\": number, \"content\": text}", name);
    }
    BT_TRY(
        bt_grow(&out->added, &out->cap_added, out->n_added + 1, sizeof *out->added, 1 << 20, err));
    char *const copy = bt_strdup(content);
    if (copy == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "%s: out of memory for added tokens", name);
    }
    out->added[out->n_added++] =
        (text_added){.text = copy,
                     .n = strlen(content),
                     .id = (int32_t)id,
                     .is_raw = !json_is_true(json_object_get(value, "normalized")),
                     .single_word = json_is_true(json_object_get(value, "single_word"))};
    return BT_OK;
}

/* Those after the vocabulary become lines of it: they must follow it without a hole. */
static bt_status append_added(text_tokenizer_json *out, size_t *n_lines, const char *name,
                              bt_error *err) {
    for (bool any = true; any;) {
        any = false;
        for (size_t i = 0; i < out->n_added; i++) {
            if ((size_t)out->added[i].id == *n_lines) {
                BT_TRY(bt_str_appendf(&out->lines, err, "%s\n", out->added[i].text));
                (*n_lines)++;
                any = true;
            }
        }
    }
    for (size_t i = 0; i < out->n_added; i++) {
        if ((size_t)out->added[i].id >= *n_lines) {
            return BT_FAIL(err, BT_E_FORMAT,
                           "%s: added token '%.100s' has the number %" PRId32
                           ", but the vocabulary ends at %zu",
                           name, out->added[i].text, out->added[i].id, *n_lines - 1);
        }
    }
    return BT_OK;
}

static bt_status read_rest(const json_t *root, const char *name, text_tokenizer_json *out,
                           bt_error *err) {
    const json_t *const model = json_object_get(root, "model");
    const json_t *const added = json_object_get(root, "added_tokens");
    const json_int_t    longest =
        json_integer_value(json_object_get(model, "max_input_chars_per_word"));
    size_t  i = 0;
    json_t *value = NULL;
    if (!json_is_object(model)) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: the vocabulary is JSON, but no tokenizer.json: there is no model in it",
                       name);
    }
    BT_TRY(check_model(model, name, err));
    BT_TRY(read_normalizer(root, name, out, err));
    out->max_word_codepoints = longest > 0 && longest < TEXT_WORD_MAX_CODEPOINTS
                                   ? (uint32_t)longest
                                   : TEXT_WORD_MAX_CODEPOINTS;
    json_array_foreach(added, i, value) {
        BT_TRY(add_token(out, value, name, err));
    }
    return BT_OK;
}

/* The file with {} in place of its vocabulary. */
static bt_status load_rest(const char *bytes, size_t n_bytes, const char *begin, const char *end,
                           const char *name, json_t **root, bt_error *err) {
    bt_status    rc = BT_OK;
    bt_str       rest = BT_STR_INIT;
    json_error_t problem;
    BT_CHECK(bt_str_append_n(&rest, bytes, (size_t)(begin - bytes), err));
    BT_CHECK(bt_str_append(&rest, begin < end ? "{}" : "", err));
    BT_CHECK(bt_str_append_n(&rest, end, (size_t)(bytes + n_bytes - end), err));
    BT_CHECK(bt_json_load(bt_str_text(&rest), rest.len, 0, root, &problem, err));
    if (!json_is_object(*root)) {
        rc = BT_FAIL(err, BT_E_FORMAT, "%s: not JSON (%s)", name,
                     *root == NULL ? problem.text : "no object");
    }
done:
    bt_str_deinit(&rest);
    return rc;
}

bool text_is_tokenizer_json(const char *path, const char *bytes, size_t n_bytes) {
    return bt_str_ends_with(path, ".json") && n_bytes > 0 && bytes[0] == '{';
}

bt_status text_tokenizer_json_read(const char *bytes, size_t n_bytes, const char *name,
                                   text_tokenizer_json *out, bt_error *err) {
    const char *begin = NULL;
    const char *end = NULL;
    json_t     *root = NULL;
    size_t      n_lines = 0;
    bt_status   rc = BT_OK;
    *out = (text_tokenizer_json){.lines = BT_STR_INIT};
    const bool has_vocab = find_vocab(bytes, n_bytes, &begin, &end);
    if (!has_vocab) {
        begin = bytes;
        end = bytes;
    }
    BT_CHECK(load_rest(bytes, n_bytes, begin, end, name, &root, err));
    BT_CHECK(read_rest(root, name, out, err));
    if (!has_vocab) {
        rc = fail_vocab(name, "it is missing", err);
        goto done;
    }
    BT_CHECK(read_vocab(begin, end, name, &out->lines, &n_lines, err));
    BT_CHECK(append_added(out, &n_lines, name, err));
done:
    json_decref(root);
    if (rc != BT_OK) {
        text_tokenizer_json_deinit(out);
    }
    return rc;
}

void text_tokenizer_json_deinit(text_tokenizer_json *json) {
    for (size_t i = 0; i < json->n_added; i++) {
        bt_free(json->added[i].text);
    }
    bt_free(json->added);
    bt_str_deinit(&json->lines);
    *json = (text_tokenizer_json){.lines = BT_STR_INIT};
}
