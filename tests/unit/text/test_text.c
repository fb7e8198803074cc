/* SPDX-License-Identifier: Apache-2.0
 *
 * The text room on the project's own goldens (tests/make_goldens/make_text_goldens.py), its
 * vocabulary rules, damaged vocabularies, pairs, and memory that runs out. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/str.h"
#include "text_json.h"

static const char small_vocab[] = "[UNK]\n[CLS]\n[SEP]\na\nb\n##b\n##c\nx\n";
enum { UNK, CLS, SEP, A, B, BB, CC, X };

static bt_text_vocab *parse_vocab(const char *text, size_t n) {
    bt_text_vocab *vocab = NULL;
    assert_ok(bt_text_vocab_parse(&vocab, text, n, "vocab", err));
    return vocab;
}

static void check_pieces(const char *file, size_t n_file, const char *const *pieces, int32_t n) {
    bt_text_vocab *const vocab = parse_vocab(file, n_file);
    assert_int_equal(bt_text_vocab_size(vocab), n);
    for (int32_t i = 0; i < n; i++) {
        size_t length = 0;
        assert_string_equal(bt_text_vocab_piece(vocab, i, &length), pieces[i]);
        assert_int_equal(length, strlen(pieces[i]));
        assert_string_equal(bt_text_vocab_piece(vocab, i, NULL), pieces[i]);
    }
    bt_text_vocab_free(vocab);
}

static void test_vocab_rules(void **state) {
    (void)state;
    static const struct {
        const char *file;
        int32_t     n;
        const char *pieces[4];
    } rows[] = {
        {"a\nb", 2, {"a", "b"}},
        {"a\nb\n", 2, {"a", "b"}},
        {"a\r\nb\r\n", 2, {"a", "b"}},
        {"a\rb\r\r\nc", 2, {"ab", "c"}},
        {"a\n\nb\n", 3, {"a", "", "b"}},
        {"a\n\n", 2, {"a", ""}},
        {"a\n\r", 1, {"a"}},
        {"a\n \r", 2, {"a", ""}},
        {" \t a b \v\n", 1, {"a b"}},
        {"\xc2\xa0\xe2\x80\xa8x\xe3\x80\x80\xc2\x85\n", 1, {"x"}},
        {"\xef\xbb\xbf"
         "a\n",
         1,
         {"\xef\xbb\xbf"
          "a"}}, /* a mark is not white space */
        {"a\n\xe2\x80\x8b\n", 2, {"a", "\xe2\x80\x8b"}},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        check_pieces(rows[i].file, strlen(rows[i].file), rows[i].pieces, rows[i].n);
    }
}

static void test_vocab_find(void **state) {
    (void)state;
    static const char    file[] = "a\nb\na\n\n##a\0z\nab\nb\n";
    bt_text_vocab *const vocab = parse_vocab(file, sizeof file - 1);
    int32_t              id = -1;
    assert_true(bt_text_vocab_find(vocab, "a", 1, &id));
    assert_int_equal(id, 2); /* the last of equal lines */
    assert_true(bt_text_vocab_find(vocab, "b", 1, &id));
    assert_int_equal(id, 6);
    assert_true(bt_text_vocab_find(vocab, "", 0, &id));
    assert_int_equal(id, 3);
    assert_true(bt_text_vocab_find(vocab, "##a\0z", 5, &id));
    assert_int_equal(id, 4);
    assert_false(bt_text_vocab_find(vocab, "##a", 3, &id));
    assert_false(bt_text_vocab_find(vocab, "abc", 3, &id));
    assert_false(bt_text_vocab_find(vocab, "A", 1, &id));
    bt_text_vocab_free(vocab);
}

static void test_vocab_failures(void **state) {
    (void)state;
    bt_text_vocab     *vocab = NULL;
    char               path[TEST_PATH_MAX];
    const char *const  folder = test_temp_dir();
    static const char  bad[] = "a\n\nb\xff\n";
    bt_text_tokenizer *tokenizer = NULL;
    assert_fails(bt_text_vocab_load(&vocab, "/nonexistent/vocab.txt", err), BT_E_IO,
                 "/nonexistent/vocab.txt: no such file");
    assert_fails(bt_text_vocab_load(&vocab, folder, err), BT_E_IO,
                 "is a folder, but a file is expected");
    (void)snprintf(path, sizeof path, "%s/vocab.txt", folder);
    test_write_file(path, "", 0);
    assert_fails(bt_text_vocab_load(&vocab, path, err), BT_E_FORMAT, "the vocabulary is empty");
    test_write_file(path, bad, sizeof bad - 1);
    assert_fails(bt_text_vocab_load(&vocab, path, err), BT_E_FORMAT,
                 "vocab.txt:3: byte 2 of the line (0xff)");
    assert_int_equal(truncate(path, (off_t)BT_TEXT_VOCAB_MAX_BYTES + 100), 0);
    assert_fails(bt_text_vocab_load(&vocab, path, err), BT_E_FORMAT, "that such a file may have");
    assert_null(vocab);

    static const char *const missing[][2] = {{"[UNK]\n[SEP]\n", "has no [CLS]"},
                                             {"[UNK]\n[CLS]\n", "has no [SEP]"},
                                             {"[CLS]\n[SEP]\n", "has no [UNK]"}};
    for (size_t i = 0; i < BT_ARRAY_LEN(missing); i++) {
        vocab = parse_vocab(missing[i][0], strlen(missing[i][0]));
        assert_fails(bt_text_tokenizer_create(&tokenizer, vocab, true, err), BT_E_FORMAT,
                     missing[i][1]);
        assert_null(tokenizer);
        bt_text_vocab_free(vocab);
    }
    static const char nothing[1] = "";
    assert_fails(bt_text_vocab_parse(&vocab, nothing, BT_TEXT_VOCAB_MAX_BYTES + 1, "vocab", err),
                 BT_E_FORMAT, "too many for a vocabulary");
    bt_text_vocab_free(NULL);
    bt_text_tokenizer_free(NULL);
    bt_text_scratch_free(NULL);
}

/* Pieces that can never match (longer than any word) must not hurt, and must still be found. */
static void test_long_pieces(void **state) {
    (void)state;
    enum { LONG = 5000 };
    bt_str file = BT_STR_INIT;
    assert_ok(bt_str_append(&file, "[UNK]\n[CLS]\n[SEP]\n", err));
    for (int i = 0; i < LONG; i++) {
        assert_ok(bt_str_append_char(&file, 'a', err));
    }
    assert_ok(bt_str_append(&file, "\n", err));
    for (int i = 0; i < 1602; i++) {
        assert_ok(bt_str_append_char(&file, 'b', err));
    }
    assert_ok(bt_str_append(&file, "\na\n##a\n", err));
    bt_text_vocab *const     vocab = parse_vocab(file.data, file.len);
    bt_text_tokenizer *const tokenizer = make_tokenizer(vocab, true);
    bt_text_scratch *const   scratch = make_scratch();
    const int32_t           *ids = NULL;
    size_t                   n = 0;
    int32_t                  id = -1;
    assert_true(bt_text_vocab_find(vocab, file.data + 18, LONG, &id));
    assert_int_equal(id, 3);
    assert_ok(bt_text_encode(tokenizer, scratch, file.data + 18, 400, &ids, &n, err));
    assert_int_equal(n, 400);
    assert_int_equal(ids[0], 5);
    assert_int_equal(ids[399], 6);
    assert_ok(bt_text_encode(tokenizer, scratch, file.data + 18, 401, &ids, &n, err));
    assert_int_equal(n, 1);
    assert_int_equal(ids[0], 0);
    bt_text_scratch_free(scratch);
    bt_text_tokenizer_free(tokenizer);
    bt_text_vocab_free(vocab);
    bt_str_deinit(&file);
}

typedef struct own_goldens {
    bt_text_vocab     *vocab;
    bt_text_tokenizer *tokenizers[2]; /* cased, lower */
    bt_text_scratch   *scratch;
    size_t             n;
} own_goldens;

static void check_own_line(void *context, json_t *line) {
    own_goldens *const g = context;
    char               text[2048];
    char               name[64];
    const char *const  hex = json_string_value(json_object_get(line, "hex"));
    const size_t       n_bytes = read_hex(hex, text, sizeof text);
    for (int lower = 0; lower < 2; lower++) {
        const json_t *const want = json_object_get(line, lower == 1 ? "lower" : "cased");
        const bt_text_word *words = NULL;
        const int32_t      *ids = NULL;
        size_t              n = 0;
        (void)snprintf(name, sizeof name, "line %zu, %s", g->n, lower == 1 ? "lower" : "cased");
        assert_ok(
            bt_text_split_words(g->scratch, text, n_bytes, lower == 1, true, &words, &n, err));
        check_words(words, n, json_object_get(want, "words"), name);
        assert_ok(
            bt_text_split_words(g->scratch, text, n_bytes, lower == 1, false, &words, &n, err));
        check_words(words, n, json_object_get(want, "whole"), name);
        assert_ok(bt_text_encode(g->tokenizers[lower], g->scratch, text, n_bytes, &ids, &n, err));
        check_ids(ids, n, json_object_get(want, "ids"), name);
    }
    g->n++;
}

static void test_own_goldens(void **state) {
    (void)state;
    own_goldens g = {.vocab = load_vocab(test_source_path("tests/goldens/text/vocab.txt")),
                     .scratch = make_scratch()};
    for (int lower = 0; lower < 2; lower++) {
        g.tokenizers[lower] = make_tokenizer(g.vocab, lower == 1);
        assert_ptr_equal(bt_text_tokenizer_vocab(g.tokenizers[lower]), g.vocab);
    }
    const char *const random = getenv("BT_TEXT_RANDOM"); /* lines of --random, by hand */
    const char *const path =
        random != NULL ? random : test_source_path("tests/goldens/text/tokens.jsonl");
    assert_true(json_each_line(path, check_own_line, &g) > 90);
    for (int lower = 0; lower < 2; lower++) {
        bt_text_tokenizer_free(g.tokenizers[lower]);
    }
    bt_text_scratch_free(g.scratch);
    bt_text_vocab_free(g.vocab);
}

/* The rule as the data tool has it, one piece at a time. */
static void cut_slowly(size_t *n_a, size_t *n_b, size_t limit) {
    while (*n_a + *n_b > limit) {
        if (*n_a > *n_b) {
            (*n_a)--;
        } else {
            (*n_b)--;
        }
    }
}

static size_t expected_pair(size_t n_a, size_t n_b, int64_t max, int32_t *ids, int32_t *segments) {
    size_t n = 0;
    if (n_b > 0) {
        cut_slowly(&n_a, &n_b, (size_t)max - 3);
    } else if (n_a > (size_t)max - 2) {
        n_a = (size_t)max - 2;
    }
    ids[n++] = CLS;
    for (size_t i = 0; i < n_a; i++) {
        ids[n++] = A;
    }
    ids[n++] = SEP;
    for (size_t i = 0; i < n_b; i++) {
        ids[n++] = B;
    }
    if (n_b > 0) {
        ids[n++] = SEP;
    }
    for (size_t i = 0; i < n; i++) {
        segments[i] = i < n_a + 2 ? 0 : 1;
    }
    return n;
}

static void test_pairs(void **state) {
    (void)state;
    static const char        a[] = "a a a a a a a a a a a a";
    static const char        b[] = "b b b b b b b b b b b b";
    bt_text_vocab *const     vocab = parse_vocab(small_vocab, strlen(small_vocab));
    bt_text_tokenizer *const tokenizer = make_tokenizer(vocab, true);
    bt_text_scratch *const   scratch = make_scratch();
    for (size_t n_a = 0; n_a <= 10; n_a++) {
        for (size_t n_b = 0; n_b <= 10; n_b++) {
            for (int64_t max = n_b == 0 ? 2 : 3; max < 26; max++) {
                bt_text_pair pair = {0};
                int32_t      ids[32];
                int32_t      segments[32];
                const size_t n = expected_pair(n_a, n_b, max, ids, segments);
                assert_ok(bt_text_encode_pair(tokenizer, scratch, a, 2 * n_a, b, 2 * n_b, max,
                                              &pair, err));
                assert_int_equal(pair.n, n);
                assert_memory_equal(pair.ids, ids, n * sizeof *ids);
                assert_memory_equal(pair.segments, segments, n * sizeof *segments);
            }
        }
    }
    bt_text_pair pair = {0};
    assert_ok(bt_text_encode_pair(tokenizer, scratch, "abc", 3, NULL, 0, 9, &pair, err));
    const int32_t want[] = {CLS, A, BB, CC, SEP};
    assert_int_equal(pair.n, 5);
    assert_memory_equal(pair.ids, want, sizeof want);
    assert_ok(bt_text_encode_pair(tokenizer, scratch, "a", 1, " \r", 2, 2, &pair, err));
    assert_int_equal(pair.n, 2); /* a second text without pieces is as if absent */
    assert_fails(bt_text_encode_pair(tokenizer, scratch, "a", 1, "b", 1, 2, &pair, err),
                 BT_E_CONFIG, "max_seq_length 2 is too small");
    assert_fails(bt_text_encode_pair(tokenizer, scratch, "a", 1, NULL, 0, 1, &pair, err),
                 BT_E_CONFIG, "need at least 2");
    assert_fails(bt_text_encode_pair(tokenizer, scratch, "a", 1, NULL, 0, -1, &pair, err),
                 BT_E_CONFIG, "max_seq_length -1");
    bt_text_scratch_free(scratch);
    bt_text_tokenizer_free(tokenizer);
    bt_text_vocab_free(vocab);
}

static void test_utf8_prefix(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t      valid;
    } rows[] = {{"", 0},
                {"abc", 3},
                {"a\xc3\xa9z", 4},
                {"a\xc3", 1},
                {"\xed\xa0\x80", 0},
                {"\xf4\x8f\xbf\xbf", 4},
                {"x\xf4\x90\x80\x80", 1},
                {"\xe4\xb8\xad\xff", 3}};
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        assert_int_equal(bt_text_utf8_valid_prefix(rows[i].text, strlen(rows[i].text)),
                         rows[i].valid);
    }
    for (size_t n = 2; n < 40; n++) { /* at every place of a longer text */
        for (size_t at = 0; at + 1 < n; at++) {
            char text[40];
            memset(text, 'a', sizeof text);
            text[at] = '\xc3';
            assert_int_equal(bt_text_utf8_valid_prefix(text, n), at);
            text[at + 1] = '\xa9';
            assert_int_equal(bt_text_utf8_valid_prefix(text, n), n);
        }
    }
}

/* A vocabulary whose root has no "##", and one whose only pieces are the special ones. */
static void test_without_continuations(void **state) {
    (void)state;
    static const char        file[] = "[UNK]\n[CLS]\n[SEP]\na\n";
    bt_text_vocab *const     vocab = parse_vocab(file, strlen(file));
    bt_text_tokenizer *const tokenizer = make_tokenizer(vocab, false);
    bt_text_scratch *const   scratch = make_scratch();
    const int32_t           *ids = NULL;
    size_t                   n = 0;
    assert_ok(bt_text_encode(tokenizer, scratch, "a aa # ## [SEP]", 15, &ids, &n, err));
    const int32_t want[] = {3, 0, 0, 0, 0, 0, 0, 0};
    assert_int_equal(n, BT_ARRAY_LEN(want));
    assert_memory_equal(ids, want, sizeof want);
    bt_text_scratch_free(scratch);
    bt_text_tokenizer_free(tokenizer);
    bt_text_vocab_free(vocab);
}

/* Every allocation in turn says no: a clean error each time, nothing lost (ASan), and the same
 * scratch works afterwards. */
static bt_status run_all(bt_error *err) {
    static const char  text[] = "abc x \xce\xa3\xc3\xa9\xe4\xb8\xad b";
    bt_status          rc = BT_OK;
    bt_text_vocab     *vocab = NULL;
    bt_text_tokenizer *tokenizer = NULL;
    bt_text_scratch   *scratch = NULL;
    const int32_t     *ids = NULL;
    size_t             n = 0;
    bt_text_pair       pair = {0};
    const uint32_t     codepoints[] = {'a', 0xD800, 0x4E2D};
    BT_CHECK(bt_text_vocab_parse(&vocab, small_vocab, strlen(small_vocab), "vocab", err));
    BT_CHECK(bt_text_tokenizer_create(&tokenizer, vocab, true, err));
    BT_CHECK(bt_text_scratch_create(&scratch, err));
    BT_CHECK(bt_text_encode_pair(tokenizer, scratch, text, strlen(text), text, strlen(text), 64,
                                 &pair, err));
    BT_CHECK(bt_text_encode_codepoints(tokenizer, scratch, codepoints, 3, &ids, &n, err));
    rc = bt_text_encode(tokenizer, scratch, text, strlen(text), &ids, &n, err);
done:
    bt_text_scratch_free(scratch);
    bt_text_tokenizer_free(tokenizer);
    bt_text_vocab_free(vocab);
    return rc;
}

/* Accents go, capitals stay: as BertNormalizer(strip_accents=True, lowercase=False) of tokenizers.
 */
static void test_accents_without_case(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *word;
    } rows[] = {
        {"Éclair", "Eclair"},
        {"ÅNGSTRÖM", "ANGSTROM"},
        {"\xe2\x84\xab", "A"}, /* the sign Angstrom */
        {"\xe2\x84\xa6", "Ω"}, /* the sign Ohm */
        {"\xe2\x84\xaa", "K"}, /* the sign Kelvin */
        {"İĲÑ", "IĲN"},
        {"ΆΣ", "ΑΣ"},
        {"ᾈ", "Α"},
        {"ЙиЁ", "ИиЕ"},
        {"ǄẞØ", "ǄẞØ"}, /* no marks in them */
        {"Cafe\xcc\x81", "Cafe"},
    };
    const bt_text_options options = {.accents = BT_TEXT_ACCENTS_STRIPPED};
    bt_text_scratch      *scratch = NULL;
    assert_ok(bt_text_scratch_create(&scratch, NULL));
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        const bt_text_word *words = NULL;
        size_t              n = 0;
        assert_ok(bt_text_split_words_as(scratch, rows[i].text, strlen(rows[i].text), &options,
                                         &words, &n, NULL));
        assert_int_equal(n, 1);
        assert_int_equal(words[0].n_bytes, strlen(rows[i].word));
        assert_memory_equal(words[0].bytes, rows[i].word, words[0].n_bytes);
    }
    bt_text_scratch_free(scratch);
}

static void test_out_of_memory(void **state) {
    (void)state;
    for (int persistent = 0; persistent < 2; persistent++) {
        uint64_t k = 1;
        for (; k < 200; k++) {
            bt_error err = BT_ERROR_INIT;
            bt_alloc_fail_at(k, persistent == 1);
            const bt_status rc = run_all(&err);
            bt_alloc_fail_at(0, false);
            if (rc == BT_OK) {
                break;
            }
            assert_int_equal(rc, BT_E_NOMEM);
        }
        assert_true(k > 10 && k < 200);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vocab_rules),          cmocka_unit_test(test_vocab_find),
        cmocka_unit_test(test_vocab_failures),       cmocka_unit_test(test_long_pieces),
        cmocka_unit_test(test_own_goldens),          cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_utf8_prefix),          cmocka_unit_test(test_without_continuations),
        cmocka_unit_test(test_accents_without_case), cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
