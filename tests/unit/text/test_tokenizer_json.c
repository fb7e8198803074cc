/* SPDX-License-Identifier: Apache-2.0
 *
 * A folder with tokenizer.json and tokenizer_config.json: what is taken from which, the ids that
 * follow, everything that is refused, and every fault on the way. (That the ids are transformers'
 * is e2e_folder_facts.) */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bt/base/log.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "bt/text.h"
#include "test_faults.h"
#include "test_support.h"

#define MODEL(vocab)                                                                               \
    "\"model\": {\"type\": \"WordPiece\", \"unk_token\": \"[UNK]\", "                              \
    "\"continuing_subword_prefix\": \"##\", \"max_input_chars_per_word\": 100, \"vocab\": " vocab  \
    "}"
#define VOCAB                                                                                      \
    "{\"[PAD]\": 0, \"[UNK]\": 1, \"[CLS]\": 2, \"[SEP]\": 3, \"[MASK]\": 4, \"a\": 5, \"B\": 6, " \
    "\"##b\": 7}"
#define SPLIT "\"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}"
#define NORMALIZER(lower, accents)                                                                 \
    "\"normalizer\": {\"type\": \"BertNormalizer\", \"clean_text\": true, "                        \
    "\"handle_chinese_chars\": true, \"strip_accents\": " accents ", \"lowercase\": " lower        \
    "}, " SPLIT
#define BERT(vocab) "{" NORMALIZER("true", "null") ", " MODEL(vocab) "}"
#define WHOLE(lower) "{" NORMALIZER(lower, "null") ", " MODEL(VOCAB) "}"

static const char *folder;

static const char *path_of(const char *name, char path[TEST_PATH_MAX]) {
    (void)snprintf(path, TEST_PATH_MAX, "%s/%s", folder, name);
    return path;
}

/* text NULL: it is not there. */
static void put(const char *name, const char *text) {
    char path[TEST_PATH_MAX];
    (void)unlink(path_of(name, path));
    if (text != NULL) {
        test_write_file(path, text, strlen(text));
    }
}

static bt_status encode(const bt_text_facts *facts, const char *text, bt_str *out, bt_error *err) {
    bt_status             rc = BT_OK;
    bt_text_vocab        *vocab = NULL;
    bt_text_tokenizer    *tokenizer = NULL;
    bt_text_scratch      *scratch = NULL;
    const int32_t        *ids = NULL;
    size_t                n = 0;
    const bt_text_options options = {.do_lower_case = facts->lower_case != 0};
    BT_CHECK(bt_text_vocab_load(&vocab, facts->vocab_file, err));
    BT_CHECK(bt_text_tokenizer_create_as(&tokenizer, vocab, &options, err));
    BT_CHECK(bt_text_scratch_create(&scratch, err));
    BT_CHECK(bt_text_encode(tokenizer, scratch, text, strlen(text), &ids, &n, err));
    for (size_t i = 0; i < n; i++) {
        BT_CHECK(bt_str_appendf(out, err, "%s%d", i > 0 ? " " : "", (int)ids[i]));
    }
done:
    bt_text_scratch_free(scratch);
    bt_text_tokenizer_free(tokenizer);
    bt_text_vocab_free(vocab);
    return rc;
}

typedef struct taken_case {
    const char *json;
    const char *config;
    int         lower_case;
    int         strip_accents;
    const char *ids; /* of "B ab" */
} taken_case;

static void test_taken(void **state) {
    (void)state;
    static const taken_case cases[] = {
        {WHOLE("false"), NULL, 0, -1, "6 5 7"},
        {WHOLE("true"), NULL, 1, -1, "1 5 7"},
        {WHOLE("true"), "{\"do_lower_case\": false}", 0, -1, "6 5 7"}, /* as transformers */
        {WHOLE("false"), "{\"strip_accents\": true}", 0, 1, "6 5 7"},
        {"{" NORMALIZER("true", "false") ", " MODEL(VOCAB) "}", NULL, 1, 0, "1 5 7"},
        {"{\"added_tokens\": [{\"id\": 8, \"content\": \"[NEW]\", \"special\": true}], " NORMALIZER(
             "false", "null") ", " MODEL(VOCAB) "}",
         NULL, 0, -1, "6 5 7"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(cases); i++) {
        const taken_case *const c = &cases[i];
        bt_text_facts           facts;
        bt_str                  ids = BT_STR_INIT;
        put("tokenizer.json", c->json);
        put("tokenizer_config.json", c->config);
        assert_ok(bt_text_read_facts(folder, &facts, err));
        assert_non_null(strstr(facts.vocab_file, "tokenizer.json"));
        assert_int_equal(facts.lower_case, c->lower_case);
        assert_int_equal(facts.strip_accents, c->strip_accents);
        assert_ok(encode(&facts, "B ab", &ids, err));
        assert_string_equal(bt_str_text(&ids), c->ids);
        bt_str_deinit(&ids);
        bt_text_facts_deinit(&facts);
    }
}

typedef struct refused_case {
    const char *json;
    bt_status   rc;
    const char *words;
} refused_case;

static void test_refused(void **state) {
    (void)state;
    static const refused_case cases[] = {
        {"{\"model\": {\"type\": \"BPE\", \"vocab\": {}, \"merges\": []}}", BT_E_UNSUPPORTED,
         "BPE"},
        {"{\"model\": {\"type\": \"Unigram\", \"vocab\": []}}", BT_E_UNSUPPORTED, "Unigram"},
        {"{" MODEL(VOCAB), BT_E_FORMAT, "not JSON"},
        {"", BT_E_FORMAT, "tokenizer.json"},
        {BERT("{\"a\": 0, \"b\": 9999}"), BT_E_FORMAT, "one has the number 9999"},
        {BERT("{\"a\": 0, \"b\": 0}"), BT_E_FORMAT, "two pieces of model.vocab have the number 0"},
        {BERT("{\"a\": \"x\"}"), BT_E_FORMAT, "model.vocab is damaged"},
        {"<!DOCTYPE html><html></html>", BT_E_FORMAT, "HTML"},
        {"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", BT_E_FORMAT, "LFS"},
    };
    put("tokenizer_config.json", NULL);
    for (size_t i = 0; i < BT_ARRAY_LEN(cases); i++) {
        bt_text_facts facts;
        put("tokenizer.json", cases[i].json);
        assert_fails(bt_text_read_facts(folder, &facts, err), cases[i].rc, cases[i].words);
        assert_null(facts.vocab_file);
        assert_null(facts.said_by);
    }
}

/* One that no run could take for its words. */
static void test_added_tokens_of_other_pieces(void **state) {
    (void)state;
    static const char        two[] = "{\"id\": 8, \"content\": \"x\"}, "
                                     "{\"id\": 8, \"content\": \"y\"}";
    static const char *const texts[] = {"{\"id\": 6, \"content\": \"[NEW]\"}",
                                        "{\"id\": 7, \"content\": \"B\"}", two};
    static const char *const words[] = {
        "tokenizer.json: the added token '[NEW]' has the number 6, which is that of the piece 'B'",
        "the added token 'B' has the number 7, which is that of the piece '##b'",
        "the added token 'y' has the number 8, which is that of the piece 'x'"};
    for (size_t i = 0; i < BT_ARRAY_LEN(texts); i++) {
        char           json[2048];
        char           path[TEST_PATH_MAX];
        bt_text_vocab *vocab = NULL;
        (void)snprintf(
            json, sizeof json,
            "{\"added_tokens\": [%s], " NORMALIZER("false", "null") ", " MODEL(VOCAB) "}",
            texts[i]);
        put("tokenizer.json", json);
        assert_fails(bt_text_vocab_load(&vocab, path_of("tokenizer.json", path), err), BT_E_FORMAT,
                     words[i]);
        assert_null(vocab);
    }
}

static bt_status read_and_encode(void *context, bt_error *err) {
    bt_text_facts facts;
    bt_str        ids = BT_STR_INIT;
    (void)context;
    BT_TRY(bt_text_read_facts(folder, &facts, err));
    const bt_status rc = encode(&facts, "B ab [NEW]", &ids, err);
    if (rc == BT_OK) {
        assert_string_equal(bt_str_text(&ids), "6 5 7 8");
    }
    bt_str_deinit(&ids);
    bt_text_facts_deinit(&facts);
    return rc;
}

static void test_faults(void **state) {
    (void)state;
    put("tokenizer.json",
        "{\"added_tokens\": [{\"id\": 8, \"content\": \"[NEW]\", \"special\": true, \"lstrip\": "
        "false, \"rstrip\": false, \"single_word\": false, \"normalized\": false}], " NORMALIZER(
            "false", "null") ", " MODEL(VOCAB) "}");
    put("tokenizer_config.json", "{\"do_lower_case\": false, \"model_max_length\": 512}");
    assert_true(test_every_fault(
                    &(test_work){.what = "a folder's tokenizer", .work = read_and_encode}) > 30);
}

int main(void) {
    folder = test_temp_dir();
    bt_log_setup("test", BT_LOG_TEXT, BT_LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_added_tokens_of_other_pieces),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
