/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules of tensorflow-text on the project's own goldens, which the real layers made
 * (tests/make_goldens/make_text_tf_goldens.py): words, ids, packing; what its vocabulary table
 * refuses; memory that runs out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "text_json.h"

typedef struct goldens {
    bt_text_vocab     *vocab;
    bt_text_tokenizer *tokenizers[2]; /* cased, lower */
    bt_text_scratch   *scratch;
    size_t             n;
} goldens;

static goldens open_goldens(void) {
    goldens g = {.vocab =
                     load_vocab_as(test_source_path("tests/goldens/text/vocab_tf.txt"), BT_TEXT_TF),
                 .scratch = make_scratch()};
    for (int lower = 0; lower < 2; lower++) {
        g.tokenizers[lower] = make_tokenizer(g.vocab, lower == 1);
    }
    return g;
}

static void close_goldens(goldens *g) {
    bt_text_tokenizer_free(g->tokenizers[0]);
    bt_text_tokenizer_free(g->tokenizers[1]);
    bt_text_vocab_free(g->vocab);
    bt_text_scratch_free(g->scratch);
}

static void check_hex_words(const bt_text_word *words, size_t n, const json_t *want,
                            const char *name) {
    if (n != json_array_size(want)) {
        fail_msg("%s: %zu words, expected %zu", name, n, json_array_size(want));
    }
    for (size_t i = 0; i < n; i++) {
        char         bytes[2048];
        const size_t n_want =
            read_hex(json_string_value(json_array_get(want, i)), bytes, sizeof bytes);
        if (words[i].n_bytes != n_want || memcmp(words[i].bytes, bytes, n_want) != 0) {
            fail_msg("%s: word %zu is '%.*s', expected '%.*s'", name, i, (int)words[i].n_bytes,
                     words[i].bytes, (int)n_want, bytes);
        }
    }
}

static void check_line(void *context, json_t *line) {
    goldens *const g = context;
    char           text[2048];
    char           name[64];
    const size_t   n_bytes =
        read_hex(json_string_value(json_object_get(line, "hex")), text, sizeof text);
    for (int lower = 0; lower < 2; lower++) {
        const json_t *const want = json_object_get(line, lower == 1 ? "lower" : "cased");
        const bt_text_word *words = NULL;
        const int32_t      *ids = NULL;
        size_t              n = 0;
        (void)snprintf(name, sizeof name, "line %zu, %s", g->n, lower == 1 ? "lower" : "cased");
        assert_ok(bt_text_split_words_tf(g->scratch, text, n_bytes, lower == 1, &words, &n, err));
        check_hex_words(words, n, json_object_get(want, "words"), name);
        assert_ok(bt_text_encode(g->tokenizers[lower], g->scratch, text, n_bytes, &ids, &n, err));
        check_ids(ids, n, json_object_get(want, "ids"), name);
    }
    g->n++;
}

static void test_lines(void **state) {
    (void)state;
    goldens           g = open_goldens();
    const char *const random = getenv("BT_TEXT_TF_RANDOM"); /* lines of --random, by hand */
    const char *const path =
        random != NULL ? random : test_source_path("tests/goldens/text/tokens_tf.jsonl");
    assert_true(json_each_line(path, check_line, &g) > 100);
    close_goldens(&g);
}

static void check_pack(void *context, json_t *line) {
    goldens *const      g = context;
    const json_t *const texts = json_object_get(line, "texts");
    const json_t *const types = json_object_get(line, "types");
    const json_t *const ids = json_object_get(line, "ids");
    const json_t *const mask = json_object_get(line, "mask");
    bt_text_span        spans[4];
    const size_t        n_texts = json_array_size(texts);
    const size_t        S = (size_t)json_integer_value(json_object_get(line, "seq_length"));
    bt_text_pair        pair;
    for (size_t i = 0; i < n_texts; i++) {
        const json_t *const text = json_array_get(texts, i);
        spans[i] = (bt_text_span){json_string_value(text), json_string_length(text)};
    }
    assert_ok(bt_text_pack(g->tokenizers[1], g->scratch, spans, n_texts, (int64_t)S, &pair, err));
    for (size_t t = 0; t < S; t++) {
        const bool is_real = t < pair.n;
        assert_int_equal(json_integer_value(json_array_get(mask, t)), is_real ? 1 : 0);
        assert_int_equal(json_integer_value(json_array_get(ids, t)),
                         is_real ? pair.ids[t] : bt_text_tokenizer_pad_id(g->tokenizers[1]));
        assert_int_equal(json_integer_value(json_array_get(types, t)),
                         is_real ? pair.segments[t] : 0);
    }
    g->n++;
}

static void test_packs(void **state) {
    (void)state;
    goldens g = open_goldens();
    assert_true(json_each_line(test_source_path("tests/goldens/text/packs_tf.jsonl"), check_pack,
                               &g) >= 13);
    const bt_text_span texts[2] = {{"the", 3}, {"cat", 3}};
    bt_text_pair       pair;
    assert_fails(bt_text_pack(g.tokenizers[1], g.scratch, texts, 2, 2, &pair, err), BT_E_CONFIG,
                 "max_seq_length 2 is too small: 2 texts with [CLS] and a [SEP] each need at "
                 "least 3");
    close_goldens(&g);
}

#define BASE "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n##b\n"

static void test_vocabularies(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int32_t     n;     /* pieces, or */
        const char *error; /* why not */
    } rows[] = {
        {BASE, 6, NULL},
        {BASE "a \nz", 8, NULL}, /* not stripped: another piece than a */
        {BASE "\n", 6, NULL},
        {BASE "\r\n\n", 6, NULL},
        {BASE "a\n", 0, "v:7: 'a' again (first in line 5)"},
        {BASE "x\na\r\n", 0, "v:8: 'a' again (first in line 5)"},
        {BASE "\nc\n", 0, "v:7: an empty line"},
        {BASE "\xff\n", 0, "v:7: byte 1 of the line (0xff) is not valid UTF-8"},
        {"\n", 0, "v: the vocabulary is empty"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_text_vocab *vocab = NULL;
        const size_t   n = strlen(rows[i].text);
        if (rows[i].error != NULL) {
            assert_fails(bt_text_vocab_parse_as(&vocab, rows[i].text, n, "v", BT_TEXT_TF, err),
                         BT_E_FORMAT, rows[i].error);
            assert_null(vocab);
            continue;
        }
        assert_ok(bt_text_vocab_parse_as(&vocab, rows[i].text, n, "v", BT_TEXT_TF, err));
        assert_int_equal(bt_text_vocab_size(vocab), rows[i].n);
        bt_text_vocab_free(vocab);
    }
    bt_text_vocab     *vocab = NULL;
    bt_text_tokenizer *tokenizer = NULL;
    static const char  no_pad[] = "[UNK]\n[CLS]\n[SEP]\n";
    assert_ok(bt_text_vocab_parse_as(&vocab, no_pad, sizeof no_pad - 1, "v", BT_TEXT_TF, err));
    assert_fails(bt_text_tokenizer_create(&tokenizer, vocab, true, err), BT_E_FORMAT,
                 "has no [PAD]");
    bt_text_vocab_free(vocab);
}

static bt_status load_and_pack(bt_error *err) {
    static const char  text[] = "the cats\xcc\x81 a\xe3\x80\xae, run un the cat a b c d e 1 2";
    bt_status          rc = BT_OK;
    bt_text_vocab     *vocab = NULL;
    bt_text_tokenizer *tokenizer = NULL;
    bt_text_scratch   *scratch = NULL;
    bt_text_pair       pair;
    const bt_text_span texts[2] = {{text, sizeof text - 1}, {text, sizeof text - 1}};
    BT_CHECK(bt_text_vocab_load_as(&vocab, test_source_path("tests/goldens/text/vocab_tf.txt"),
                                   BT_TEXT_TF, err));
    BT_CHECK(bt_text_tokenizer_create(&tokenizer, vocab, true, err));
    BT_CHECK(bt_text_scratch_create(&scratch, err));
    BT_CHECK(bt_text_pack(tokenizer, scratch, texts, 2, 16, &pair, err));
    assert_int_equal(pair.n, 16);
done:
    bt_text_scratch_free(scratch);
    bt_text_tokenizer_free(tokenizer);
    bt_text_vocab_free(vocab);
    return rc;
}

static void test_out_of_memory(void **state) {
    (void)state;
    for (uint64_t k = 1;; k++) {
        bt_error err = BT_ERROR_INIT;
        bt_alloc_fail_at(k, true);
        const bt_status rc = load_and_pack(&err);
        bt_alloc_fail_at(0, false);
        if (rc == BT_OK) {
            assert_true(k > 5);
            return;
        }
        assert_int_equal(rc, BT_E_NOMEM);
        assert_true(err.msg[0] != '\0');
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_packs),
        cmocka_unit_test(test_vocabularies),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
