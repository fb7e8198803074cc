/* SPDX-License-Identifier: Apache-2.0
 *
 * Lower case of texts and the classes of characters, against what Python says: every code point by
 * checksum, and texts whose sigmas depend on their neighbours. */
#include <string.h>

#include "bt/base/crc32c.h"
#include "text_json.h"

enum { MAX_CODEPOINT = 0x10FFFF, SURROGATES_FIRST = 0xD800, SURROGATES_END = 0xE000 };

static size_t put_utf8(char out[4], uint32_t c) {
    static const uint32_t heads[] = {0, 0xC0, 0xE0, 0xF0};
    const size_t          n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (c & 0x3F));
        c >>= 6;
    }
    out[0] = (char)(heads[n - 1] | c);
    return n;
}

/* The sigma alone is not a final one, so code point by code point is Python's per-character lower.
 */
static void test_every_character(void **state) {
    (void)state;
    bt_text_scratch *const scratch = make_scratch();
    uint32_t               lower = 0;
    uint32_t               space = 0;
    uint32_t               word = 0;
    for (uint32_t c = 0; c <= MAX_CODEPOINT; c++) {
        char        text[4];
        const char *out = NULL;
        size_t      n = 0;
        if (c >= SURROGATES_FIRST && c < SURROGATES_END) {
            continue;
        }
        const uint8_t is_space = bt_text_is_space(c) ? 1 : 0;
        const uint8_t is_word = bt_text_is_word(c) ? 1 : 0;
        assert_ok(bt_text_lower(scratch, text, put_utf8(text, c), &out, &n, err));
        lower = bt_crc32c(lower, out, n);
        space = bt_crc32c(space, &is_space, 1);
        word = bt_crc32c(word, &is_word, 1);
    }
    json_t *const want =
        json_load_file(test_source_path("tests/goldens/text/characters.json"), 0, NULL);
    assert_non_null(want);
    assert_int_equal(lower, json_integer_value(json_object_get(want, "lower")));
    assert_int_equal(space, json_integer_value(json_object_get(want, "space")));
    assert_int_equal(word, json_integer_value(json_object_get(want, "word")));
    json_decref(want);
    bt_text_scratch_free(scratch);
}

static void check_line(void *context, json_t *line) {
    const json_t *const text = json_array_get(line, 0);
    const json_t *const want = json_array_get(line, 1);
    const char         *out = NULL;
    size_t              n = 0;
    assert_ok(
        bt_text_lower(context, json_string_value(text), json_string_length(text), &out, &n, err));
    if (n != json_string_length(want) || memcmp(out, json_string_value(want), n) != 0) {
        fail_msg("lower of '%s' is '%.*s', expected '%s'", json_string_value(text), (int)n, out,
                 json_string_value(want));
    }
}

static void test_texts(void **state) {
    (void)state;
    bt_text_scratch *const scratch = make_scratch();
    assert_true(json_each_line(test_source_path("tests/goldens/text/lower.jsonl"), check_line,
                               scratch) > 50);
    bt_text_scratch_free(scratch);
}

static void test_invalid_bytes_are_dropped(void **state) {
    (void)state;
    bt_text_scratch *const scratch = make_scratch();
    const char            *out = NULL;
    size_t                 n = 0;
    assert_ok(bt_text_lower(scratch,
                            "A\xff"
                            "B\xc3",
                            4, &out, &n, err));
    assert_int_equal(n, 2);
    assert_memory_equal(out, "ab", 2);
    const char       *at = "\xc3\xa9\xc3";
    const char *const end = at + 3;
    uint32_t          c = 0;
    assert_true(bt_text_read_utf8(&at, end, &c));
    assert_int_equal(c, 0xE9);
    assert_false(bt_text_read_utf8(&at, end, &c));
    assert_ptr_equal(at, end);
    bt_text_scratch_free(scratch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_character),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_invalid_bytes_are_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
