/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading SQuAD files: what is taken, and every kind of bad file with the sentence that it gives;
 * windows that cannot be. */
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "squad_fixture.h"
#include "squad_internal.h"

/* A file with one question in one paragraph; the question's own keys are given. */
#define FILE_OF(context, qa)                                                                       \
    "{\"data\": [{\"title\": \"T\", \"paragraphs\": [{\"context\": \"" context                     \
    "\", \"qas\": [{\"id\": \"7\", \"question\": \"q\", " qa "}]}]}]}"
#define ANSWER(text, start) "\"answers\": [{\"text\": \"" text "\", \"answer_start\": " #start "}]"

static bt_status parse(bt_squad_set *set, const char *json, bt_squad_use use, bool version_2,
                       bt_error *err) {
    return bt_squad_parse(set, json, strlen(json), "f.json", use, version_2, err);
}

typedef struct refused_row {
    const char  *json;
    const char  *message;
    bt_squad_use use;
    bool         version_2;
} refused_row;

/* Hugging Face's form of a question: an object of its own; answers of one or none. */
#define FLAT_ANSWER(text, start) "\"" text "\"], \"answer_start\": [" #start
#define FLAT(id, context, answer)                                                                  \
    "{\"id\": " #id ", \"title\": \"T\", \"context\": \"" context                                  \
    "\", \"question\": \"q\", \"answers\": {\"text\": [" answer "]}}"

static const refused_row refused[] = {
    {"", "f.json:1:0: not JSON", BT_SQUAD_TRAIN, false},
    {"{\"data\": [", "f.json:1:10: not JSON", BT_SQUAD_TRAIN, false},
    {"{\"data\": []} x", "not JSON: end of file expected", BT_SQUAD_TRAIN, false},
    {"[]", "f.json: not a SQuAD file: expected an object with a list \"data\"", BT_SQUAD_TRAIN,
     false},
    {"{\"version\": 1}", "f.json: not a SQuAD file", BT_SQUAD_TRAIN, false},
    {"{\"data\": {}}", "f.json: not a SQuAD file", BT_SQUAD_TRAIN, false},
    {"{\"data\": [3]}", "f.json: article 1: data: expected objects with paragraphs, got a number",
     BT_SQUAD_TRAIN, false},
    {"{\"data\": [{}]}", "f.json: article 1: paragraphs: expected a list, got nothing",
     BT_SQUAD_TRAIN, false},
    {"{\"data\": [{\"paragraphs\": []}, {\"title\": \"B\", \"paragraphs\": [{\"qas\": []}]}]}",
     "f.json: article 2 ('B'), paragraph 1: context: expected a text, got nothing",
     BT_SQUAD_EVALUATE, false},
    {"{\"data\": [{\"paragraphs\": [{\"context\": 3}]}]}",
     "f.json: article 1, paragraph 1: context: expected a text, got a number", BT_SQUAD_TRAIN,
     false},
    {"{\"data\": [{\"paragraphs\": [\"c\"]}]}",
     "paragraph 1: paragraphs: expected objects with context and qas, got a text", BT_SQUAD_TRAIN,
     false},
    {"{\"data\": [{\"paragraphs\": [{\"context\": \"c\"}]}]}", "paragraph 1: qas: expected a list",
     BT_SQUAD_TRAIN, false},
    {"{\"data\": [{\"paragraphs\": [{\"context\": \"c\", \"qas\": [[]]}]}]}",
     "paragraph 1: qas: expected objects with id, question and answers, got a list", BT_SQUAD_TRAIN,
     false},
    {"{\"data\": [{\"paragraphs\": [{\"context\": \"c\", \"qas\": [{\"id\": 5.0}]}]}]}",
     "paragraph 1: id: expected a text, got a number", BT_SQUAD_TRAIN, false},
    {"{\"data\": [{\"paragraphs\": [{\"context\": \"c\", \"qas\": [{\"id\": 5}]}]}]}",
     "paragraph 1, question '5': question: expected a text, got nothing", BT_SQUAD_TRAIN, false},
    {"{\"data\": [{\"paragraphs\": [{\"context\": \"c\", \"qas\": [{\"id\": \"x\"}]}]}]}",
     "question 'x': question: expected a text, got nothing", BT_SQUAD_TRAIN, false},
    {FILE_OF("a b", "\"x\": 1"),
     "f.json: article 1 ('T'), paragraph 1, question '7': answers: expected a list, got nothing",
     BT_SQUAD_TRAIN, false},
    {FILE_OF("a b", "\"answers\": []"),
     "question '7': answers: expected exactly 1, as training needs, got 0: 1 of its 1 questions "
     "are "
     "so: set version_2_with_negative where they are meant to have none (SQuAD 2.0)",
     BT_SQUAD_TRAIN, false},
    {"[" FLAT(1, "a b", "") ", " FLAT(2, "a b", FLAT_ANSWER("b", 2)) ", " FLAT(3, "c", "") "]",
     "f.json: item 1, question '1': answers: expected exactly 1, as training needs, got 0: 2 of "
     "its "
     "3 questions are so",
     BT_SQUAD_TRAIN, false},
    {"[" FLAT(1, "a b", FLAT_ANSWER("b", 2)) ", 5]",
     "f.json: item 2: data: expected objects with context and question, got a number",
     BT_SQUAD_TRAIN, false},
    {FLAT(1, "a b", FLAT_ANSWER("b", 2)) "\n" FLAT(1, "a b", FLAT_ANSWER("b", 2)) "\n",
     "f.json: item 2, question '1': id: question 1 has the same one", BT_SQUAD_EVALUATE, false},
    {FLAT(1, "a b", FLAT_ANSWER("b", 2)) "\n{\"id\": \n", "f.json:2:", BT_SQUAD_EVALUATE, false},
    {"[{\"id\": 1, \"context\": \"a\", \"question\": \"q\", \"answers\": {\"text\": [\"a\"], "
     "\"answer_start\": []}}]",
     "answers: 1 in text, 0 in answer_start", BT_SQUAD_TRAIN, false},
    {"[]", "f.json: not a SQuAD file", BT_SQUAD_TRAIN, false},
    {FILE_OF("a b", "\"answers\": [], \"is_impossible\": false"),
     "answers: expected exactly 1, as training needs, got 0", BT_SQUAD_TRAIN, true},
    {FILE_OF("a b", ANSWER("a", 0)), "is_impossible: expected true or false", BT_SQUAD_TRAIN, true},
    {FILE_OF("a b", ANSWER("a", 0) ", \"is_impossible\": 2"),
     "is_impossible: expected true or false (version_2_with_negative reads SQuAD 2.0), got a "
     "number",
     BT_SQUAD_TRAIN, true},
    {FILE_OF("a b", "\"answers\": [{\"text\": \"a\"}]"),
     "answer_start: expected an integer, got nothing", BT_SQUAD_TRAIN, false},
    {FILE_OF("a b", "\"answers\": [{\"text\": \"a\", \"answer_start\": 0.0}]"),
     "answer_start: expected an integer, got a number", BT_SQUAD_TRAIN, false},
    {FILE_OF("a b", "\"answers\": [{\"answer_start\": 0}]"), "question '7': text: expected a text",
     BT_SQUAD_TRAIN, false},
    {FILE_OF("a b", "\"answers\": [\"a\"]"), "answers: expected objects with a text, got a text",
     BT_SQUAD_EVALUATE, false},
    {FILE_OF("a b", ANSWER("b", 50)),
     "answer_start: got 50, but an answer of length 1 in a context of length 3 (characters) starts "
     "at 0 to 2",
     BT_SQUAD_TRAIN, false},
    {FILE_OF("a b", ANSWER("b", -1)), "answer_start: got -1", BT_SQUAD_TRAIN, false},
    {FILE_OF("a b", ANSWER("b", 9223372036854775807)), "answer_start: got 9223372036854775807",
     BT_SQUAD_TRAIN, false},
    {FILE_OF("a b", ANSWER("", 0)), "answers: the text is empty: nothing to learn from",
     BT_SQUAD_TRAIN, false},
    {FILE_OF("a \\u3000b", ANSWER("\\u3000", 2)), "answers: the text is empty", BT_SQUAD_TRAIN,
     false},
    {FILE_OF("", ANSWER("a", 0)), "in a context of length 0", BT_SQUAD_TRAIN, false},
    {FILE_OF("a b", "\"answers\": []"),
     "answers: expected at least 1, got none (is this SQuAD 2.0? then set version_2_with_negative)",
     BT_SQUAD_EVALUATE, false},
    {FILE_OF("a b", "\"answers\": 1"), "answers: expected a list, got a number", BT_SQUAD_PREDICT,
     false},
    {FILE_OF("a b", ANSWER("a", 0) "}, {\"id\": \"7\", \"question\": \"r\", " ANSWER("b", 0)),
     "question '7': id: question 1 has the same one", BT_SQUAD_EVALUATE, false},
    {FILE_OF("\\ud800", ANSWER("a", 0)), "not JSON: invalid Unicode", BT_SQUAD_TRAIN, false},
    {FILE_OF("\xff", ANSWER("a", 0)), "not JSON: unable to decode byte 0xff", BT_SQUAD_TRAIN,
     false},
};

static void test_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(refused); i++) {
        const refused_row *const row = &refused[i];
        bt_squad_set             set = {0};
        assert_fails(parse(&set, row->json, row->use, row->version_2, err), BT_E_FORMAT,
                     row->message);
        assert_int_equal(parse(&set, row->json, row->use, row->version_2, NULL), BT_E_FORMAT);
        bt_squad_set_deinit(&set);
    }
}

static void test_files_that_are_none(void **state) {
    (void)state;
    bt_squad_set      set = {0};
    const char *const folder = test_temp_dir();
    char              path[TEST_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/no.json", folder);
    assert_fails(bt_squad_read(&set, path, &(bt_text_encoding){0}, BT_SQUAD_TRAIN, false, err),
                 BT_E_IO, "no.json");
    assert_fails(bt_squad_read(&set, folder, &(bt_text_encoding){0}, BT_SQUAD_TRAIN, false, err),
                 BT_E_IO, folder);
    test_write_file(path, "", 0);
    assert_fails(bt_squad_read(&set, path, &(bt_text_encoding){0}, BT_SQUAD_TRAIN, false, err),
                 BT_E_FORMAT, "not JSON");
    bt_squad_set_deinit(&set);
}

static void test_taken(void **state) {
    (void)state;
    static const struct {
        const char  *json;
        bt_squad_use use;
        bool         version_2;
        int64_t      n_questions;
        int64_t      n_answers;
    } rows[] = {
        {"{\"data\": []}", BT_SQUAD_TRAIN, false, 0, 0},
        {"\xEF\xBB\xBF{\"data\": []}", BT_SQUAD_TRAIN, false, 0, 0},
        {"{\"data\": [{\"paragraphs\": [{\"context\": \"\", \"qas\": []}]}]}", BT_SQUAD_TRAIN,
         false, 0, 0},
        {FILE_OF("a b", ANSWER("a", 0)), BT_SQUAD_TRAIN, false, 1, 1},
        {FILE_OF("a b", ANSWER("a", 0) ", \"is_impossible\": 1"), BT_SQUAD_TRAIN, true, 1, 0},
        {FILE_OF("a b", "\"answers\": [1, 2], \"is_impossible\": true"), BT_SQUAD_TRAIN, true, 1,
         0},
        {FILE_OF("a b", ANSWER("a", 1)), BT_SQUAD_TRAIN, false, 1, 1}, /* the space is of word a */
        {FILE_OF("a b", ANSWER("a", 2)), BT_SQUAD_TRAIN, false, 0, 0}, /* stands elsewhere */
        {FILE_OF("a b", "\"answers\": []"), BT_SQUAD_EVALUATE, true, 1, 0},
        {FILE_OF("a b", "\"answers\": [{\"text\": \"\"}, {\"text\": \"b\"}]"), BT_SQUAD_EVALUATE,
         false, 1, 2},
        {FILE_OF("a b", "\"x\": 0"), BT_SQUAD_PREDICT, false, 1, 0},
        {"[" FLAT(1, "a b", FLAT_ANSWER("b", 2)) "]", BT_SQUAD_TRAIN, false, 1, 1},
        {"{\"version\": 2, \"data\": [" FLAT(1, "a b", FLAT_ANSWER("b", 2)) "," FLAT(2, "a b",
                                                                                     "") "]}",
         BT_SQUAD_TRAIN, true, 2, 1},
        {FLAT(1, "a b", FLAT_ANSWER("b", 2)) "\r\n" FLAT(2, "c", "") "\n \n", BT_SQUAD_EVALUATE,
         true, 2, 1},
        {"[{\"id\": 1, \"context\": \"a\", \"question\": \"q\", \"answers\": [{\"text\": \"a\", "
         "\"answer_start\": 0}]}]",
         BT_SQUAD_TRAIN, false, 1, 1},
        {"[{\"id\": 1, \"context\": \"a\", \"question\": \"q\"}]", BT_SQUAD_PREDICT, false, 1, 0},
        {FLAT(1, "a b", FLAT_ANSWER("b", 2)) "\n", BT_SQUAD_TRAIN, false, 1, 1},
        {FILE_OF("a\\u0000b \\ud83d\\ude00", ANSWER("\\ud83d\\ude00", 4)), BT_SQUAD_TRAIN, false, 1,
         1},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_squad_set set = {0};
        assert_ok(parse(&set, rows[i].json, rows[i].use, rows[i].version_2, err));
        assert_int_equal(set.n_questions, rows[i].n_questions);
        assert_int_equal(set.n_answers, rows[i].n_answers);
        bt_squad_set_deinit(&set);
    }
}

/* A text that several questions ask of is kept once, a number is read as text, and the same
 * questions in SQuAD's own form give the same set. */
static void test_flat(void **state) {
    (void)state;
    static const char json[] = "[" FLAT(17, "a b", FLAT_ANSWER("b", 2)) ", " FLAT(
        18, "a b", FLAT_ANSWER("a", 0)) ", " FLAT(19, "c", "") "]";
    static const char nested[] =
        "{\"data\": [{\"title\": \"T\", \"paragraphs\": [{\"context\": \"a b\", \"qas\": ["
        "{\"id\": \"17\", \"question\": \"q\", \"is_impossible\": false, " ANSWER(
            "b", 2) "}, "
                    "{\"id\": \"18\", \"question\": \"q\", \"is_impossible\": false, " ANSWER(
                        "a",
                        0) "}]}, "
                           "{\"context\": \"c\", \"qas\": [{\"id\": \"19\", \"question\": \"q\", "
                           "\"is_impossible\": true}]}]}]}";
    bt_squad_set flat = {0};
    bt_squad_set plain = {0};
    assert_ok(parse(&flat, json, BT_SQUAD_TRAIN, true, err));
    assert_ok(parse(&plain, nested, BT_SQUAD_TRAIN, true, err));
    assert_int_equal(flat.n_paragraphs, 2);
    assert_int_equal(flat.n_questions, plain.n_questions);
    for (int64_t i = 0; i < flat.n_questions; i++) {
        const bt_squad_question *const a = &flat.questions[i];
        const bt_squad_question *const b = &plain.questions[i];
        assert_string_equal(a->id.bytes, b->id.bytes);
        assert_int_equal(a->paragraph, b->paragraph);
        assert_int_equal(a->first_word, b->first_word);
        assert_int_equal(a->last_word, b->last_word);
        assert_int_equal(a->n_answers, b->n_answers);
    }
    bt_squad_set_deinit(&flat);
    bt_squad_set_deinit(&plain);
}

static void test_several_files(void **state) {
    (void)state;
    static const char first[] = FILE_OF("a b", ANSWER("a", 0));
    static const char second[] = "{\"data\": [{\"paragraphs\": [{\"context\": \"c\", \"qas\": "
                                 "[{\"id\": \"8\", \"question\": \"\", " ANSWER("c", 0) "}]}]}]}";
    bt_squad_set      set = {0};
    assert_ok(
        bt_squad_parse(&set, first, sizeof first - 1, "1.json", BT_SQUAD_EVALUATE, false, err));
    assert_ok(
        bt_squad_parse(&set, second, sizeof second - 1, "2.json", BT_SQUAD_EVALUATE, false, err));
    assert_int_equal(set.n_questions, 2);
    assert_int_equal(set.n_paragraphs, 2);
    assert_string_equal(set.paragraphs[1].file, "2.json");
    assert_fails(
        bt_squad_parse(&set, first, sizeof first - 1, "3.json", BT_SQUAD_EVALUATE, false, err),
        BT_E_FORMAT, "3.json: article 1 ('T'), paragraph 1, question '7': id: question 1");
    bt_squad_set_deinit(&set);
}

static void test_unanswered(void **state) {
    (void)state;
    static const struct {
        const char *json;
        bool        has;
    } rows[] = {
        {"", false},
        {"\"", false},
        {"{\"answers\"", false},
        {"{\"answers\":", false},
        {"{\"answers\": [", false},
        {"\"is_impossible\"", false},
        {"\"a\\", false},
        {"{\"is_impossible\": true}", true},
        {"{\"is_impossible\" :\n\ttrue}", true},
        {"{\"is_impossible\": false, \"answers\": [{\"text\": \"x\"}]}", false},
        {"{\"answers\": []}", true},
        {"{\"answers\": [ \n ]}", true},
        {"{\"answers\": null}", true},
        {"{\"plausible_answers\": []}", false},
        {"{\"answers\": {\"text\": [\"x\"], \"answer_start\": [1]}}", false},
        {"{\"answers\": {\"answer_start\": [], \"text\": []}}", true},
        {"{\"answers\": {\"text\": []}}\n{\"answers\": {\"text\": [\"x\"]}}", true},
        {"{\"text\": []}", false},
        {"{\"question\": \"\\\"is_impossible\\\": true, \\\"answers\\\": []\"}", false},
        {"{\"question\": \"\\\\\", \"answers\": []}", true},
        {FILE_OF("a", ANSWER("a", 0)), false},
        {FILE_OF("a", "\"is_impossible\": true, \"answers\": []"), true},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        const size_t n = strlen(rows[i].json);
        char *const  copy = bt_strndup(rows[i].json, n); /* the sanitizer sees where it ends */
        if (squad_has_unanswered(copy, n) != rows[i].has) {
            fail_msg("%s", rows[i].json);
        }
        bt_free(copy);
    }
}

static void test_windows_that_cannot_be(void **state) {
    (void)state;
    static const char  pieces[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\nq\n";
    static const char  json[] = FILE_OF("a b a b", ANSWER("a", 0));
    bt_text_vocab     *vocab = NULL;
    bt_text_tokenizer *tokenizer = NULL;
    bt_squad_windows  *windows = NULL;
    bt_squad_set       set = {0};
    static const struct {
        bt_squad_window_options options;
        const char             *message; /* NULL: it can be */
        int64_t                 n;
    } rows[] = {
        {{4, 2, 8, false}, "question '7': sequences of 4 tokens have no room for the document", 0},
        {{3, 2, 8, false}, "the question takes 1 and the separators 3", 0},
        {{1, 2, 8, false}, "no room", 0},
        {{6, 0, 8, false},
         "doc_stride is 0, but the document has 4 tokens and a window holds 2",
         0},
        {{6, -1, 8, false}, "doc_stride is -1", 0},
        {{8, 0, 8, false}, NULL, 1},
        {{5, 9, 8, false}, NULL, 4},
        {{6, 1, 8, false}, NULL, 3},
        {{4, 1, 0, false}, NULL, 4},
    };
    assert_ok(bt_text_vocab_parse(&vocab, pieces, sizeof pieces - 1, "v", err));
    assert_ok(bt_text_tokenizer_create(&tokenizer, vocab, true, err));
    assert_ok(parse(&set, json, BT_SQUAD_TRAIN, false, err));
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        if (rows[i].message != NULL) {
            assert_fails(bt_squad_windows_create(&windows, &set, tokenizer, &rows[i].options, err),
                         BT_E_CONFIG, rows[i].message);
            continue;
        }
        assert_ok(bt_squad_windows_create(&windows, &set, tokenizer, &rows[i].options, err));
        assert_int_equal(bt_squad_n_windows(windows), rows[i].n);
        bt_squad_windows_free(windows);
    }
    bt_squad_set_deinit(&set);
    bt_text_tokenizer_free(tokenizer);
    bt_text_vocab_free(vocab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_files_that_are_none),
        cmocka_unit_test(test_unanswered),
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_flat),
        cmocka_unit_test(test_several_files),
        cmocka_unit_test(test_windows_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
