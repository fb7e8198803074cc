/* SPDX-License-Identifier: Apache-2.0
 *
 * What a folder of Hugging Face's says of its tokenizer: which file is the vocabulary, and how text
 * is treated. tokenizer_config.json is asked first, as the library transformers does, then the
 * normalizer of tokenizer.json. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/fs.h"

#include "tokenizer_json.h"

enum { CONFIG_MAX_BYTES = 64 << 20, SHOWN_CLASS = 64 };
/* transformers writes 1e30 where there is no limit. */
static const double longest_length = 1e6;

/* BERT's tokenizers, and words for "as tokenizer.json says". */
static bool is_bert_class(const char *name) {
    static const char *const names[] = {"BertTokenizer",       "DistilBertTokenizer",
                                        "ElectraTokenizer",    "RetriBertTokenizer",
                                        "PreTrainedTokenizer", "TokenizersBackend"};
    for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
        const size_t n = strlen(names[i]);
        if (strncmp(name, names[i], n) == 0 &&
            (name[n] == '\0' || bt_str_equal(name + n, "Fast"))) {
            return true;
        }
    }
    return false;
}

static bt_status find_file(const char *folder, const char *name, char **out, bt_error *err) {
    bool is_there = false;
    BT_TRY(bt_fs_join(folder, name, out, err));
    const bt_status rc = bt_fs_look(*out, &is_there, err);
    if (!is_there) {
        bt_free(*out);
        *out = NULL;
    }
    return rc;
}

/* There is neither tokenizer.json nor vocab.txt: what there is instead is said. */
static bt_status refuse_others(const char *folder, bt_error *err) {
    static const struct {
        const char *name;
        const char *kind;
    } rows[] = {{"spiece.model", "Unigram (SentencePiece)"},
                {"sentencepiece.bpe.model", "BPE (SentencePiece)"},
                {"tokenizer.model", "SentencePiece"},
                {"merges.txt", "BPE"}};
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        char *path = NULL;
        BT_TRY(find_file(folder, rows[i].name, &path, err));
        if (path != NULL) {
            const bt_status rc =
                BT_FAIL(err, BT_E_UNSUPPORTED,
                        "%s: its tokenizer is of kind %s, which this program cannot read: only "
                        "WordPiece (BERT's) is supported; use weights with such a vocabulary",
                        path, rows[i].kind);
            bt_free(path);
            return rc;
        }
    }
    return BT_OK;
}

static void put_bool(const json_t *root, const char *key, int8_t *out) {
    const json_t *const value = json_object_get(root, key);
    if (json_is_boolean(value)) {
        *out = (int8_t)json_is_true(value);
    }
}

static bt_status check_class(const json_t *root, const char *path, bool has_json, bt_error *err) {
    const char *const name = json_string_value(json_object_get(root, "tokenizer_class"));
    const bool        is_basic = !json_is_false(json_object_get(root, "do_basic_tokenize"));
    if (name != NULL && !is_bert_class(name) && !has_json) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "%s: tokenizer_class is '%.*s', which this program cannot read: only "
                       "WordPiece (BERT's) is supported",
                       path, SHOWN_CLASS, name);
    }
    if (name != NULL && bt_str_starts_with(name, "BertJapanese")) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "%s: tokenizer_class is '%.*s': it finds words with a Japanese dictionary, "
                       "which is not supported",
                       path, SHOWN_CLASS, name);
    }
    return is_basic
               ? BT_OK
               : BT_FAIL(err, BT_E_UNSUPPORTED,
                         "%s: do_basic_tokenize is false: text must be split into words before, "
                         "which nothing here takes",
                         path);
}

static bool is_usual(const char *token) {
    static const char *const usual[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    bool                     found = false;
    for (size_t i = 0; i < BT_ARRAY_LEN(usual); i++) {
        found = found || bt_str_equal(token, usual[i]);
    }
    return found;
}

/* true: the token is none of BERT's own, and was told. */
static bool note_token(const char *token, const char *path) {
    if (token == NULL || is_usual(token)) {
        return false;
    }
    bt_log(BT_LOG_WARNING,
           "%s: the added token '%.60s' is treated as ordinary text: only a tokenizer.json beside "
           "it says where such tokens are (transformers writes one with save_pretrained)",
           path, token);
    return true;
}

/* A token is written as a text, or as an object with its content. */
static const char *content_of(const json_t *value) {
    return json_is_string(value) ? json_string_value(value)
                                 : json_string_value(json_object_get(value, "content"));
}

/* Tokens that only these keys know: a vocabulary of lines does not hold them. */
static bool note_added(const json_t *root, const char *path) {
    const json_t *const more = json_object_get(root, "additional_special_tokens");
    const char         *id = NULL;
    json_t             *value = NULL;
    size_t              i = 0;
    json_object_foreach(json_object_get(root, "added_tokens_decoder"), id, value) {
        if (note_token(content_of(value), path)) {
            return true;
        }
    }
    json_array_foreach(more, i, value) {
        if (note_token(content_of(value), path)) {
            return true;
        }
    }
    return false;
}

/* The files in which older versions of transformers keep them. */
static bt_status note_older(const char *folder, bt_error *err) {
    static const char *const names[] = {"added_tokens.json", "special_tokens_map.json"};
    bool                     is_told = false;
    for (size_t i = 0; i < BT_ARRAY_LEN(names) && !is_told; i++) {
        char       *path = NULL;
        json_t     *root = NULL;
        const char *token = NULL;
        json_t     *value = NULL;
        BT_TRY(find_file(folder, names[i], &path, err));
        if (path == NULL) {
            continue;
        }
        const bt_status rc = bt_fs_read_json(path, CONFIG_MAX_BYTES, 0, &root, err);
        is_told = rc == BT_OK && note_added(root, path);
        json_object_foreach(i == 0 ? root : NULL, token, value) { /* {"token": number} */
            is_told = is_told || note_token(token, path);
        }
        json_decref(root);
        bt_free(path);
        BT_TRY(rc);
    }
    return BT_OK;
}

static bt_status read_config(const char *path, bool has_json, bt_text_facts *out, bool *is_told,
                             bt_error *err) {
    json_t *root = NULL;
    BT_TRY(bt_fs_read_json(path, CONFIG_MAX_BYTES, JSON_DECODE_INT_AS_REAL, &root, err));
    const bt_status     rc = check_class(root, path, has_json, err);
    const json_t *const length = json_object_get(root, "model_max_length");
    const double        n = json_is_number(length) ? json_number_value(length) : 0;
    put_bool(root, "do_lower_case", &out->lower_case);
    put_bool(root, "strip_accents", &out->strip_accents);
    put_bool(root, "tokenize_chinese_chars", &out->chinese_chars);
    out->max_length = n >= 1 && n < longest_length ? (int64_t)n : 0;
    *is_told = rc == BT_OK && !has_json && note_added(root, path);
    json_decref(root);
    return rc;
}

static void take_fact(const char *key, const char *path, const char *config, int8_t theirs,
                      int8_t *out) {
    if (*out >= 0 && theirs >= 0 && *out != theirs) {
        bt_log(BT_LOG_WARNING,
               "%s says %s %s, %s says %s: the first is taken, as transformers does", config, key,
               *out != 0 ? "true" : "false", path, theirs != 0 ? "true" : "false");
    }
    if (*out < 0) {
        *out = theirs;
    }
}

/* The line at *text, without a carriage return; *text is moved after it. */
static bt_text_span take_line(const char **text, const char *end) {
    const char *const begin = *text;
    const char *const newline = memchr(begin, '\n', (size_t)(end - begin));
    const char       *stop = newline != NULL ? newline : end;
    *text = newline != NULL ? newline + 1 : end;
    if (stop > begin && stop[-1] == '\r') {
        stop--;
    }
    return (bt_text_span){begin, (size_t)(stop - begin)};
}

/* The first line, from 1, of which vocab.txt says another piece than tokenizer.json; 0: none.
 * Added tokens may be after the pieces of tokenizer.json alone. */
static size_t find_other_piece(const char *text, size_t n, const bt_str *lines) {
    const char       *there = bt_str_text(lines);
    const char *const there_end = there + lines->len;
    const char *const end = text + n;
    for (size_t line = 1; text < end; line++) {
        const bt_text_span ours = take_line(&text, end);
        if (there == there_end) {
            return ours.n_bytes > 0 ? line : 0;
        }
        const bt_text_span theirs = take_line(&there, there_end);
        if (ours.n_bytes != theirs.n_bytes || memcmp(ours.text, theirs.text, ours.n_bytes) != 0) {
            return line;
        }
    }
    return 0;
}

static bt_status compare_words(const char *folder, const char *path, const bt_str *lines,
                               bt_error *err) {
    bt_status rc = BT_OK;
    char     *other = NULL;
    char     *bytes = NULL;
    size_t    n = 0;
    BT_CHECK(find_file(folder, "vocab.txt", &other, err));
    if (other != NULL) {
        BT_CHECK(bt_fs_read_all(other, BT_TEXT_VOCAB_MAX_BYTES, &bytes, &n, err));
        const size_t line = find_other_piece(bytes, n, lines);
        if (line > 0) {
            bt_log(
                BT_LOG_WARNING,
                "%s and %s number the pieces differently, from line %zu on: the second is taken, "
                "as transformers does; were the weights trained with it?",
                other, path, line);
        }
    }
done:
    bt_free(bytes);
    bt_free(other);
    return rc;
}

static bt_status read_normalizer(const char *folder, const char *path, const char *config,
                                 bt_text_facts *out, bt_error *err) {
    char               *bytes = NULL;
    size_t              n = 0;
    text_tokenizer_json json;
    BT_TRY(bt_fs_read_all(path, BT_TEXT_VOCAB_MAX_BYTES, &bytes, &n, err));
    bt_status rc = bt_fs_refuse_stranger(path, bytes, n, err);
    if (rc == BT_OK) {
        rc = text_tokenizer_json_read(bytes, n, path, &json, err);
    }
    bt_free(bytes);
    BT_TRY(rc);
    take_fact("do_lower_case", path, config, json.lower_case, &out->lower_case);
    take_fact("strip_accents", path, config, json.strip_accents, &out->strip_accents);
    take_fact("tokenize_chinese_chars", path, config, json.chinese_chars, &out->chinese_chars);
    rc = compare_words(folder, path, &json.lines, err);
    text_tokenizer_json_deinit(&json);
    return rc;
}

bt_status bt_text_read_facts(const char *folder, bt_text_facts *out, bt_error *err) {
    bt_status rc = BT_OK;
    char     *config = NULL;
    char     *json = NULL;
    bool      is_told = false;
    *out = (bt_text_facts){.lower_case = -1, .strip_accents = -1, .chinese_chars = -1};
    BT_CHECK(find_file(folder, "tokenizer_config.json", &config, err));
    BT_CHECK(find_file(folder, "tokenizer.json", &json, err));
    if (config != NULL) {
        BT_CHECK(read_config(config, json != NULL, out, &is_told, err));
    }
    if (json != NULL) {
        BT_CHECK(read_normalizer(folder, json, config, out, err));
        out->vocab_file = bt_strdup(json);
        if (out->vocab_file == NULL) {
            rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
            goto done;
        }
    } else {
        BT_CHECK(find_file(folder, "vocab.txt", &out->vocab_file, err));
    }
    if (json == NULL && !is_told) {
        BT_CHECK(note_older(folder, err));
    }
    if (out->vocab_file == NULL) {
        BT_CHECK(refuse_others(folder, err));
    }
    out->said_by = config != NULL ? config : json;
    config = config == NULL ? NULL : json; /* the one that is not handed over */
    json = NULL;
done:
    bt_free(config);
    bt_free(json);
    if (rc != BT_OK) {
        bt_text_facts_deinit(out);
    }
    return rc;
}

void bt_text_facts_deinit(bt_text_facts *facts) {
    bt_free(facts->vocab_file);
    bt_free(facts->said_by);
    *facts = (bt_text_facts){.lower_case = -1, .strip_accents = -1, .chinese_chars = -1};
}
