/* SPDX-License-Identifier: Apache-2.0
 *
 * The text room against Model Garden's own two tokenizers: every golden line (three vocabularies,
 * lower and cased), and every code point. Skips where the goldens are absent. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "bt/base/alloc.h"
#include "bt/base/str.h"
#include "text_json.h"

enum { MAX_INPUTS = 4096 };

/* Inputs: JSON texts with lone surrogates, which no JSON library takes, or base64 bytes. */

typedef struct input {
    uint32_t *codepoints; /* NULL for a byte line */
    size_t    n_codepoints;
    char     *bytes; /* NULL for a text with lone surrogates */
    size_t    n_bytes;
} input;

static input  inputs[MAX_INPUTS];
static size_t n_inputs;

static uint32_t read_hex4(const char *hex) {
    char digits[5] = {hex[0], hex[1], hex[2], hex[3], '\0'};
    return (uint32_t)strtoul(digits, NULL, 16);
}

/* One character of a JSON string that is all ASCII (Python escapes the rest). */
static uint32_t read_json_char(const char **at) {
    static const char names[] = "bfnrt\"\\/";
    static const char values[] = "\b\f\n\r\t\"\\/";
    const char       *s = *at;
    if (s[0] != '\\') {
        *at = s + 1;
        return (unsigned char)s[0];
    }
    if (s[1] != 'u') {
        *at = s + 2;
        return (unsigned char)values[strchr(names, s[1]) - names];
    }
    uint32_t c = read_hex4(s + 2);
    s += 6;
    if (c >= 0xD800 && c < 0xDC00 && s[0] == '\\' && s[1] == 'u') {
        const uint32_t low = read_hex4(s + 2);
        if (low >= 0xDC00 && low < 0xE000) {
            c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
            s += 6;
        }
    }
    *at = s;
    return c;
}

static size_t put_utf8(char *out, uint32_t c) {
    const size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (c & 0x3F));
        c >>= 6;
    }
    static const uint32_t heads[] = {0, 0xC0, 0xE0, 0xF0};
    out[0] = (char)(heads[n - 1] | c);
    return n;
}

static void read_text(input *in, const char *at, const char *end) {
    bool has_surrogate = false;
    in->codepoints = bt_alloc_array((size_t)(end - at), sizeof *in->codepoints);
    in->bytes = bt_alloc((size_t)(end - at) * 4);
    while (*at != '"') {
        const uint32_t c = read_json_char(&at);
        has_surrogate = has_surrogate || (c >= 0xD800 && c < 0xE000);
        in->codepoints[in->n_codepoints++] = c;
        in->n_bytes += put_utf8(in->bytes + in->n_bytes, c);
    }
    if (has_surrogate) {
        bt_free(in->bytes);
        in->bytes = NULL;
    }
}

static void read_base64(input *in, const char *at, const char *end) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t          bits = 0;
    int               n_bits = 0;
    in->bytes = bt_alloc((size_t)(end - at));
    for (; *at != '"' && *at != '='; at++) {
        bits = bits << 6 | (uint32_t)(strchr(digits, *at) - digits);
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            in->bytes[in->n_bytes++] = (char)(bits >> n_bits & 0xFF);
        }
    }
}

static void load_inputs(const char *path) {
    size_t      n = 0;
    char *const text = test_read_file(path, &n);
    const char *at = text;
    while (at < text + n) {
        const char *const end = memchr(at, '\n', (size_t)(text + n - at));
        const char *const key = strstr(at, "\"text\":\"");
        const char *const bytes_key = strstr(at, "\"b64\":\"");
        assert_non_null(end);
        assert_true(n_inputs < MAX_INPUTS);
        input *const in = &inputs[n_inputs++];
        if (key != NULL && key < end) {
            read_text(in, key + 8, end);
        } else {
            assert_non_null(bytes_key);
            read_base64(in, bytes_key + 7, end);
        }
        at = end + 1;
    }
    bt_free(text);
}

static int free_inputs(void **state) {
    (void)state;
    for (size_t i = 0; i < n_inputs; i++) {
        bt_free(inputs[i].codepoints);
        bt_free(inputs[i].bytes);
        inputs[i] = (input){0}; /* others are read into it */
    }
    n_inputs = 0;
    return 0;
}

static bool have_inputs(void) {
    const char *const path = test_shared_path("goldens/data/tokenizer/inputs.jsonl");
    if (path == NULL) {
        return false;
    }
    if (n_inputs == 0) {
        load_inputs(path);
    }
    return true;
}

typedef struct comparison {
    const char        *name;
    bt_text_tokenizer *tokenizer; /* NULL: basic tokenizer */
    bt_text_scratch   *scratch;
    bool               lower;
    bt_text_rules      rules;
} comparison;

static const input *input_of(const json_t *line, const char *file, char *name, size_t name_bytes) {
    const size_t i = (size_t)json_integer_value(json_object_get(line, "i"));
    assert_true(i < n_inputs);
    (void)snprintf(name, name_bytes, "%s, line %zu", file, i);
    return &inputs[i];
}

static void check_full_line(void *context, json_t *line) {
    comparison *const   c = context;
    char                name[128];
    const input *const  in = input_of(line, c->name, name, sizeof name);
    const json_t *const want = json_object_get(line, "ids");
    const int32_t      *ids = NULL;
    size_t              n = 0;
    if (in->bytes != NULL) {
        assert_ok(bt_text_encode(c->tokenizer, c->scratch, in->bytes, in->n_bytes, &ids, &n, err));
        check_ids(ids, n, want, name);
    }
    if (in->codepoints != NULL && c->rules == BT_TEXT_PYTHON) {
        assert_ok(bt_text_encode_codepoints(c->tokenizer, c->scratch, in->codepoints,
                                            in->n_codepoints, &ids, &n, err));
        check_ids(ids, n, want, name);
    }
}

/* Python's answers have a line for every input, tensorflow-text's for those that are bytes. */
static void check_full(bt_text_rules rules, const char *prefix) {
    static const char *const vocabs[] = {"uncased", "cased", "multi_cased"};
    if (!have_inputs()) {
        test_skip("no goldens of Model Garden's tokenizer");
    }
    size_t n_lines = 0;
    for (size_t i = 0; i < 2 * BT_ARRAY_LEN(vocabs); i++) {
        char       path[128];
        comparison c = {.scratch = make_scratch(), .lower = i % 2 == 1, .rules = rules};
        (void)snprintf(path, sizeof path, "goldens/data/vocab/%s.txt", vocabs[i / 2]);
        bt_text_vocab *const vocab = load_vocab_as(test_shared_path(path), rules);
        c.tokenizer = make_tokenizer(vocab, c.lower);
        (void)snprintf(path, sizeof path, "goldens/data/tokenizer/%s.%s.%s.jsonl", prefix,
                       vocabs[i / 2], c.lower ? "lower" : "cased");
        c.name = path + strlen("goldens/data/tokenizer/");
        n_lines += json_each_line(test_shared_path(path), check_full_line, &c);
        bt_text_tokenizer_free(c.tokenizer);
        bt_text_vocab_free(vocab);
        bt_text_scratch_free(c.scratch);
    }
    size_t n_want = 0;
    for (size_t i = 0; i < n_inputs; i++) {
        n_want += rules == BT_TEXT_PYTHON || inputs[i].bytes != NULL ? 1 : 0;
    }
    assert_int_equal(n_lines, 2 * BT_ARRAY_LEN(vocabs) * n_want);
    assert_true(n_want > 400);
}

static void test_full(void **state) {
    (void)state;
    check_full(BT_TEXT_PYTHON, "full_py");
}

static void test_full_tf(void **state) {
    (void)state;
    check_full(BT_TEXT_TF, "tftext");
}

static void check_basic(const comparison *c, const input *in, const json_t *want,
                        bool split_on_punc, const char *name) {
    const bt_text_word *words = NULL;
    size_t              n = 0;
    if (want == NULL) {
        return;
    }
    if (in->bytes != NULL) {
        assert_ok(bt_text_split_words(c->scratch, in->bytes, in->n_bytes, c->lower, split_on_punc,
                                      &words, &n, err));
        check_words(words, n, want, name);
    }
    if (in->bytes != NULL && in->codepoints != NULL) {
        assert_ok(bt_text_split_words_codepoints(c->scratch, in->codepoints, in->n_codepoints,
                                                 c->lower, split_on_punc, &words, &n, err));
        check_words(words, n, want, name);
    }
}

static void check_basic_line(void *context, json_t *line) {
    comparison *const  c = context;
    char               name[128];
    const input *const in = input_of(line, c->name, name, sizeof name);
    check_basic(c, in, json_object_get(line, "tokens"), true, name);
    check_basic(c, in, json_object_get(line, "tokens_no_punc_split"), false, name);
}

/* Lines whose tokens hold lone surrogates are not JSON for jansson: their escapes are made U+FFFD,
 * and check_basic leaves those inputs out. */
static size_t each_basic_line(const char *path, comparison *c) {
    size_t      n_bytes = 0;
    size_t      n_lines = 0;
    char *const text = test_read_file(path, &n_bytes);
    for (char *at = text; at < text + n_bytes; n_lines++) {
        char *const lf = memchr(at, '\n', (size_t)(text + n_bytes - at));
        assert_non_null(lf);
        const size_t i = strtoul(at + strlen("{\"i\":"), NULL, 10);
        if (i < n_inputs && inputs[i].bytes != NULL) {
            json_error_t  error;
            json_t *const line = json_loadb(at, (size_t)(lf - at), JSON_ALLOW_NUL, &error);
            if (line == NULL) {
                fail_msg("%s: line %zu: %s", path, n_lines, error.text);
            }
            check_basic_line(c, line);
            json_decref(line);
        }
        at = lf + 1;
    }
    bt_free(text);
    return n_lines;
}

static void test_basic(void **state) {
    (void)state;
    if (!have_inputs()) {
        test_skip("no goldens of Model Garden's tokenizer");
    }
    for (int lower = 0; lower < 2; lower++) {
        comparison        c = {.name = "basic_py", .scratch = make_scratch(), .lower = lower == 1};
        const char *const path = lower == 1 ? "goldens/data/tokenizer/basic_py.lower.jsonl"
                                            : "goldens/data/tokenizer/basic_py.cased.jsonl";
        assert_true(each_basic_line(test_shared_path(path), &c) > 400);
        bt_text_scratch_free(c.scratch);
    }
}

/* Every code point, between "a" and "b". */

static json_t *load_gz(const char *path) {
    gzFile file = gzopen(path, "rb"); /* reads plain files too */
    bt_str text = BT_STR_INIT;
    char   block[1 << 14];
    assert_non_null(file);
    for (;;) {
        const int n = gzread(file, block, sizeof block);
        assert_true(n >= 0);
        if (n == 0) {
            break;
        }
        assert_ok(bt_str_append_n(&text, block, (size_t)n, err));
    }
    (void)gzclose(file);
    json_error_t  error;
    json_t *const root = json_loadb(text.data, text.len, 0, &error);
    if (root == NULL) {
        fail_msg("%s: %s", path, error.text);
    }
    bt_str_deinit(&text);
    return root;
}

static json_t *expected_words(const char *outcome, const char *c, size_t n) {
    char whole[8] = "a";
    memcpy(whole + 1, c, n);
    memcpy(whole + 1 + n, "b", 2);
    if (bt_str_equal(outcome, "removed")) {
        return json_pack("[s]", "ab");
    }
    if (bt_str_equal(outcome, "space")) {
        return json_pack("[s,s]", "a", "b");
    }
    if (bt_str_equal(outcome, "alone")) {
        return json_pack("[s,s%,s]", "a", c, n, "b");
    }
    assert_string_equal(outcome, "keep");
    return json_pack("[s]", whole);
}

/* Of what stands together and is treated alike some are enough where all is slow: the first ones,
 * and each seventeenth, on whichever page it falls. */
static bool is_left_out(uint32_t codepoint, uint32_t first, uint32_t last) {
    return test_is_slow() && codepoint > first + 16 && codepoint < last && codepoint % 17 != 0;
}

static size_t check_range(comparison *c, const json_t *range, const json_t *map) {
    const char *const outcome = json_string_value(json_array_get(range, 2));
    const uint32_t first = (uint32_t)strtoul(json_string_value(json_array_get(range, 0)), NULL, 16);
    const uint32_t last = (uint32_t)strtoul(json_string_value(json_array_get(range, 1)), NULL, 16);
    for (uint32_t codepoint = first; codepoint <= last; codepoint++) {
        if (is_left_out(codepoint, first, last)) {
            continue;
        }
        char                text[8] = "a";
        char                name[32];
        const bt_text_word *words = NULL;
        size_t              n_words = 0;
        const size_t        n = put_utf8(text + 1, codepoint);
        text[1 + n] = 'b';
        (void)snprintf(name, sizeof name, "%X", (unsigned)codepoint);
        json_t *const want = bt_str_equal(outcome, "map") ? json_incref(json_object_get(map, name))
                                                          : expected_words(outcome, text + 1, n);
        assert_non_null(want);
        if (c->rules == BT_TEXT_TF) {
            assert_ok(
                bt_text_split_words_tf(c->scratch, text, n + 2, c->lower, &words, &n_words, err));
        } else {
            assert_ok(bt_text_split_words(c->scratch, text, n + 2, c->lower, true, &words, &n_words,
                                          err));
        }
        check_words(words, n_words, want, name);
        json_decref(want);
    }
    return last - first + 1;
}

static void check_codepoints(bt_text_rules rules, const char *const files[2]) {
    for (int lower = 0; lower < 2; lower++) {
        if (test_shared_path(files[lower]) == NULL) {
            test_skip("no goldens of Model Garden's tokenizer");
        }
        json_t *const root = load_gz(test_shared_path(files[lower]));
        comparison    c = {.scratch = make_scratch(), .lower = lower == 1, .rules = rules};
        size_t        n = 0;
        size_t        i = 0;
        json_t       *range = NULL;
        json_array_foreach(json_object_get(root, "ranges"), i, range) {
            n += check_range(&c, range, json_object_get(root, "map"));
        }
        assert_int_equal(n, 0x110000 - 0x800);
        bt_text_scratch_free(c.scratch);
        json_decref(root);
    }
}

static void test_codepoints(void **state) {
    (void)state;
    static const char *const files[] = {"goldens/data/tokenizer/codepoints_py_cased.json",
                                        "goldens/data/tokenizer/codepoints_py_lower.json.gz"};
    check_codepoints(BT_TEXT_PYTHON, files);
}

static void test_codepoints_tf(void **state) {
    (void)state;
    static const char *const files[] = {"goldens/data/tokenizer/codepoints_tftext_cased.json",
                                        "goldens/data/tokenizer/codepoints_tftext_lower.json.gz"};
    check_codepoints(BT_TEXT_TF, files);
}

static bool is_outside = false; /* the running group reads text outside the repository */

static void test_all_vocabularies_load(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int32_t     n[2]; /* made up; outside the repository */
    } rows[] = {{"uncased", {366, 30522}},
                {"cased", {382, 28996}},
                {"multi_cased", {852, 119547}},
                {"chinese", {0, 21128}}};
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        char          path[128];
        const int32_t n = rows[i].n[is_outside ? 1 : 0];
        if (n == 0) {
            continue;
        }
        (void)snprintf(path, sizeof path, "goldens/data/vocab/%s.txt", rows[i].name);
        bt_text_vocab *const     vocab = load_vocab(test_shared_path(path));
        bt_text_tokenizer *const tokenizer = make_tokenizer(vocab, true);
        assert_int_equal(bt_text_vocab_size(vocab), n);
        bt_text_tokenizer_free(tokenizer);
        bt_text_vocab_free(vocab);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full),          cmocka_unit_test(test_full_tf),
        cmocka_unit_test(test_basic),         cmocka_unit_test(test_codepoints),
        cmocka_unit_test(test_codepoints_tf), cmocka_unit_test(test_all_vocabularies_load),
    };
    int rc = cmocka_run_group_tests_name("made-up text", tests, NULL, free_inputs);
    if (test_outside_path("goldens/data/tokenizer") != NULL) {
        is_outside = true;
        test_prefer_outside(true);
        rc |= cmocka_run_group_tests_name("text outside the repository", tests, NULL, free_inputs);
    }
    return rc;
}
