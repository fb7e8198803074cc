/* SPDX-License-Identifier: Apache-2.0
 *
 * See text_json.h. */
#include "text_json.h"
#include "bt/base/alloc.h"

#include <string.h>

size_t json_each_line(const char *path, void (*use)(void *context, json_t *line), void *context) {
    size_t      n_bytes = 0;
    size_t      n_lines = 0;
    char *const text = test_read_file(path, &n_bytes);
    const char *at = text;
    while (at < text + n_bytes) {
        const char *const lf = memchr(at, '\n', (size_t)(text + n_bytes - at));
        const size_t      n = (size_t)((lf == NULL ? text + n_bytes : lf) - at);
        json_error_t      error;
        /* a word may hold U+0000 and lone surrogates only in inputs, which are not read by this */
        json_t *const line = json_loadb(at, n, JSON_ALLOW_NUL, &error);
        n_lines++;
        if (line == NULL) {
            fail_msg("%s:%zu: %s", path, n_lines, error.text);
        }
        use(context, line);
        json_decref(line);
        at += n + 1;
    }
    bt_free(text);
    return n_lines;
}

void check_words(const bt_text_word *words, size_t n, const json_t *want, const char *name) {
    if (n != json_array_size(want)) {
        fail_msg("%s: %zu words, expected %zu", name, n, json_array_size(want));
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *const word = json_array_get(want, i);
        if (words[i].n_bytes != json_string_length(word) ||
            memcmp(words[i].bytes, json_string_value(word), words[i].n_bytes) != 0) {
            fail_msg("%s: word %zu is '%.*s', expected '%s'", name, i, (int)words[i].n_bytes,
                     words[i].bytes, json_string_value(word));
        }
    }
}

void check_ids(const int32_t *ids, size_t n, const json_t *want, const char *name) {
    if (n != json_array_size(want)) {
        fail_msg("%s: %zu ids, expected %zu", name, n, json_array_size(want));
    }
    for (size_t i = 0; i < n; i++) {
        const json_int_t id = json_integer_value(json_array_get(want, i));
        if (ids[i] != id) {
            fail_msg("%s: id %zu is %d, expected %d", name, i, (int)ids[i], (int)id);
        }
    }
}

size_t read_hex(const char *hex, char *bytes, size_t cap) {
    const size_t n = strlen(hex) / 2;
    assert_true(n <= cap);
    for (size_t i = 0; i < n; i++) {
        unsigned value = 0;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &value), 1);
        bytes[i] = (char)value;
    }
    return n;
}

bt_text_vocab *load_vocab(const char *path) {
    return load_vocab_as(path, BT_TEXT_PYTHON);
}

bt_text_vocab *load_vocab_as(const char *path, bt_text_rules rules) {
    bt_text_vocab *vocab = NULL;
    assert_ok(bt_text_vocab_load_as(&vocab, path, rules, err));
    return vocab;
}

bt_text_tokenizer *make_tokenizer(const bt_text_vocab *vocab, bool do_lower_case) {
    bt_text_tokenizer *tokenizer = NULL;
    assert_ok(bt_text_tokenizer_create(&tokenizer, vocab, do_lower_case, err));
    return tokenizer;
}

bt_text_scratch *make_scratch(void) {
    bt_text_scratch *scratch = NULL;
    assert_ok(bt_text_scratch_create(&scratch, err));
    return scratch;
}
