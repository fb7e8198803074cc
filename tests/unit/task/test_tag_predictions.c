/* SPDX-License-Identifier: Apache-2.0
 *
 * task: files of predicted tags, byte for byte, with and without the words; text that is not that
 * of the records; every allocation and file operation may fail. */
#include "test_support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/fs.h"
#include "bt/task.h"

/* Records.
 * Three sentences in four records: "a b" | "c" + "d" | "e f". Of every record the first and the
 * last token are none of words; "b" has a second piece. Predicted: B-X I-X | O + B-X | I-X O. */

enum { N_CLASSES = 3 };

static const int64_t offsets[] = {0, 5, 8, 11, 15};
static const int32_t labels[] = {-1, 1, 2, -1, -1, -1, 0, -1, -1, 1, -1, -1, 0, 0, -1};
static const int32_t best[] = {0, 1, 2, 0, 0, 0, 0, 0, 1, 1, 2, 0, 2, 0, 0};
static const int64_t sentences[] = {0, 1, 1, 2};
static const int64_t pieces[] = {0, 0, 1, 0};

static float logits[15 * N_CLASSES];

static bt_batch all_records(bool with_ids) {
    for (size_t t = 0; t < BT_ARRAY_LEN(best); t++) { /* probabilities 1/2, 1/4, 1/4 */
        for (int c = 0; c < N_CLASSES; c++) {
            logits[t * N_CLASSES + (size_t)c] = c == best[t] ? 0.6931472F : 0.0F;
        }
    }
    return (bt_batch){.n_seqs = 4,
                      .n_tokens = 15,
                      .offsets = offsets,
                      .int_labels = labels,
                      .sentence_ids = with_ids ? sentences : NULL,
                      .sub_sentence_ids = with_ids ? pieces : NULL};
}

typedef struct fixture {
    bt_conf           *conf;
    const bt_task     *task;
    bt_task_plan       plan;
    const char        *folder;
    bt_prediction_args args;
} fixture;

static const char *path_in(const fixture *f, const char *name) {
    static char path[2 * TEST_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", f->folder, name);
    return path;
}

/* more: further keys of task.validation_data; words: the text of a file, or NULL. */
static void open_fixture(fixture *f, const char *words, const char *more) {
    char text[3 * TEST_PATH_MAX];
    *f = (fixture){.folder = test_temp_dir()};
    if (words != NULL) {
        test_write_file(path_in(f, "words"), words, strlen(words));
    }
    (void)snprintf(text, sizeof text,
                   "{task: {class_names: [O, B-X, I-X], validation_data: {words_path: '%s'%s}}}",
                   words != NULL ? path_in(f, "words") : "", more);
    const char *const  files[] = {text};
    const bt_conf_args args = {
        .experiment = "bert/tagging", .config_files = files, .n_config_files = 1};
    bt_conf_errors errors = BT_CONF_ERRORS_INIT;
    assert_ok(bt_conf_build(&args, &f->conf, &errors, err));
    bt_conf_errors_deinit(&errors);
    assert_ok(bt_task_find("bert/tagging", &f->task, err));
    assert_ok(f->task->plan(f->conf, &f->plan, err));
}

static void close_fixture(fixture *f) {
    bt_task_plan_deinit(&f->plan);
    bt_conf_free(f->conf);
}

static bt_status run_pass(const fixture *f, void *state, const bt_batch *batch, bt_error *err) {
    BT_TRY(f->task->prediction->reset(state, err));
    BT_TRY(f->task->prediction->add(state, batch, logits, err));
    return f->task->prediction->write(state, err);
}

static bt_status predict(const fixture *f, const bt_batch *batch, bt_error *err) {
    const bt_output_request request = {
        .conf = f->conf, .plan = &f->plan, .model_dir = f->folder, .prediction = &f->args};
    void *state = NULL;
    BT_TRY(f->task->prediction->create(&request, &state, err));
    bt_status rc = run_pass(f, state, batch, err);
    if (rc == BT_OK) {
        rc = run_pass(f, state, batch, err); /* a second pass is as the first */
    }
    f->task->prediction->destroy(state);
    return rc;
}

static void check_file(const fixture *f, const char *name, const char *want) {
    char *const got = test_read_file(path_in(f, name), NULL);
    assert_string_equal(got, want);
    bt_free(got);
}

static const char plain_words[] = "a\tO\nb\tB-X\n\n\nc\n\tO\nd\tO\n\ne\tO\nf\tO";

static void test_rows_of_words(void **state) {
    (void)state;
    fixture        f;
    const bt_batch batch = all_records(true);
    open_fixture(&f, plain_words, "");
    assert_ok(predict(&f, &batch, err));
    check_file(&f, "predictions.tsv",
               "sentence\tword\ttext\tlabel\tprobability\n"
               "0\t0\ta\tB-X\t0.5\n0\t1\tb\tI-X\t0.5\n"
               "1\t0\tc\tO\t0.5\n1\t1\td\tB-X\t0.5\n"
               "2\t0\te\tI-X\t0.5\n2\t1\tf\tO\t0.5\n");
    close_fixture(&f);
}

static void test_sentences_are_those_of_the_records(void **state) {
    (void)state;
    fixture  f;
    bt_batch batch = all_records(true);
    open_fixture(&f, NULL, "");
    f.args.format = "jsonl";
    assert_ok(predict(&f, &batch, err));
    check_file(&f, "predictions.jsonl",
               "{\"sentence\": 0, \"labels\": [\"B-X\", \"I-X\"], \"probabilities\": [0.5, 0.5]}\n"
               "{\"sentence\": 1, \"labels\": [\"O\", \"B-X\"], \"probabilities\": [0.5, 0.5]}\n"
               "{\"sentence\": 2, \"labels\": [\"I-X\", \"O\"], \"probabilities\": [0.5, 0.5]}\n");
    batch = all_records(false); /* without numbers every record is one */
    f.args.format = "tsv";
    assert_ok(predict(&f, &batch, err));
    check_file(&f, "predictions.tsv",
               "sentence\tword\tlabel\tprobability\n"
               "0\t0\tB-X\t0.5\n0\t1\tI-X\t0.5\n1\t0\tO\t0.5\n"
               "2\t0\tB-X\t0.5\n3\t0\tI-X\t0.5\n3\t1\tO\t0.5\n");
    close_fixture(&f);
}

static void test_words_in_json(void **state) {
    (void)state;
    fixture        f;
    const bt_batch batch = all_records(false); /* the text tells the sentences */
    char           path[2 * TEST_PATH_MAX];
    open_fixture(&f, "a\nb\n\n\"c\" \xc3\xa9\nd\n\ne\nf\n\n\n", "");
    (void)snprintf(path, sizeof path, "%s", path_in(&f, "deep/p.jsonl"));
    f.args.output_path = path;
    assert_ok(predict(&f, &batch, err));
    check_file(&f, "deep/p.jsonl",
               "{\"sentence\": 0, \"words\": [\"a\", \"b\"], \"labels\": [\"B-X\", \"I-X\"], "
               "\"probabilities\": [0.5, 0.5]}\n"
               "{\"sentence\": 1, \"words\": [\"\\\"c\\\" \xc3\xa9\", \"d\"], \"labels\": [\"O\", "
               "\"B-X\"], \"probabilities\": [0.5, 0.5]}\n"
               "{\"sentence\": 2, \"words\": [\"e\", \"f\"], \"labels\": [\"I-X\", \"O\"], "
               "\"probabilities\": [0.5, 0.5]}\n");
    close_fixture(&f);
}

/* Word, true tag, predicted tag; CoNLL's words are in any column. */
static void test_columns_that_can_be_scored(void **state) {
    (void)state;
    fixture        f;
    const bt_batch batch = all_records(true);
    open_fixture(&f, "-DOCSTART- -X- O\n\nNN a O\nNN b O\n\nNN c B\nNN d O\n  \nNN e O\nNN f O\n",
                 ", words_format: conll, words_column: 2");
    f.args.format = "conll";
    assert_ok(predict(&f, &batch, err));
    check_file(&f, "predictions.conll",
               "a B-X B-X\nb I-X I-X\n\nc O O\nd B-X B-X\n\ne O I-X\nf O O\n\n");
    close_fixture(&f);
    open_fixture(&f, "a b\tO\nb\tO\n\nc\nd\n\ne\nf\n", "");
    f.args.format = "conll";
    assert_ok(predict(&f, &batch, err));
    check_file(&f, "predictions.conll",
               "a_b B-X B-X\nb I-X I-X\n\nc O O\nd B-X B-X\n\ne O I-X\nf O O\n\n");
    close_fixture(&f);
    open_fixture(&f, NULL, "");
    f.args.format = "conll";
    assert_ok(predict(&f, &batch, err));
    check_file(&f, "predictions.conll", "B-X B-X\nI-X I-X\n\nO O\nB-X B-X\n\nO I-X\nO O\n\n");
    close_fixture(&f);
}

static void test_several_files(void **state) {
    (void)state;
    fixture        f;
    const bt_batch batch = all_records(true);
    const char    *folder = test_temp_dir();
    char           second[TEST_PATH_MAX + 16];
    (void)snprintf(second, sizeof second, "%s/second", folder);
    test_write_file(second, "e\nf\n", 4);
    open_fixture(&f, "a\nb\n\nc\nd", "");
    close_fixture(&f); /* its file stays */
    char text[4 * TEST_PATH_MAX];
    (void)snprintf(text, sizeof text,
                   "{task: {class_names: [O, B-X, I-X], validation_data: {words_path: ['%s', "
                   "'%s']}}}",
                   path_in(&f, "words"), second);
    const char *const  files[] = {text};
    const bt_conf_args args = {
        .experiment = "bert/tagging", .config_files = files, .n_config_files = 1};
    bt_conf_errors errors = BT_CONF_ERRORS_INIT;
    assert_ok(bt_conf_build(&args, &f.conf, &errors, err));
    bt_conf_errors_deinit(&errors);
    assert_ok(f.task->plan(f.conf, &f.plan, err));
    f.args.format = "conll";
    assert_ok(predict(&f, &batch, err));
    check_file(&f, "predictions.conll",
               "a B-X B-X\nb I-X I-X\n\nc O O\nd B-X B-X\n\ne O I-X\nf O O\n\n");
    close_fixture(&f);
}

static void test_other_texts_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *words;
        bool        with_ids;
        const char *message;
    } rows[] = {
        {"a\nb\n\nc\nd\n\ne\n", true, "words:7: the words end there, but record 3"},
        {"a\nb\n\nc\nd\n\ne\nf\n\ng\n", true,
         "words:10: the 4 records of task.validation_data.input_path end before this word"},
        {"a\n\nb\nc\nd\n\ne\nf\n", true, "words:3: a sentence begins here, but record 0"},
        {"a\nb\nc\nd\n\ne\nf\n", true, "words:3: a sentence does not begin here, but record 1"},
        {"a\nb\n\nc\n\nd\n\ne\nf\n", true, "words:6: a sentence begins here, but record 2"},
        {"a\n\nb\nc\nd\n\ne\nf\n", false, "words:3: a sentence begins here, but record 0"},
        {"", true, "words:0: the words end there, but record 0"},
        {"a\tb\tc\n", true,
         "words:1: more than two columns; expected 'word TAB label'; files of more columns are "
         "read with task.validation_data.words_format=conll"},
        {"a\xff\n", true, "words:1: byte 2 of the line (0xff) is not valid UTF-8"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        fixture        f;
        const bt_batch batch = all_records(rows[i].with_ids);
        open_fixture(&f, rows[i].words, "");
        assert_fails(predict(&f, &batch, err), BT_E_FORMAT, rows[i].message);
        assert_false(bt_fs_exists(path_in(&f, "predictions.tsv")));
        close_fixture(&f);
    }
    fixture  f;
    bt_batch batch = all_records(true);
    open_fixture(&f, "a b c\n", ", words_format: conll, words_column: 4");
    assert_fails(predict(&f, &batch, err), BT_E_FORMAT, "(task.validation_data.words_column)");
    close_fixture(&f);
    open_fixture(&f, "a\n", "");
    assert_ok(bt_fs_remove(path_in(&f, "words"), err));
    assert_fails(predict(&f, &batch, err), BT_E_IO, "words");
    close_fixture(&f);
    open_fixture(&f, NULL, "");
    f.args.glue_folder = "x";
    assert_fails(predict(&f, &batch, err), BT_E_CONFIG, "GLUE has no task of tags");
    f.args.glue_folder = NULL;
    f.args.format = "xml";
    assert_fails(predict(&f, &batch, err), BT_E_CONFIG, "written as tsv, jsonl, conll");
    f.args.format = NULL;
    logits[4] = NAN;
    assert_fails(predict(&f, &batch, err), BT_E_FORMAT, "row 0: the model's output is");
    close_fixture(&f);
}

static void test_memory_may_run_out(void **state) {
    (void)state;
    fixture        f;
    const bt_batch batch = all_records(true);
    open_fixture(&f, plain_words, "");
    f.args.format = "jsonl";
    bool done = false;
    for (uint64_t k = 1; !done; k++) {
        bt_error error = BT_ERROR_INIT;
        assert_true(k < 400);
        bt_alloc_fail_at(k, true);
        const bt_status rc = predict(&f, &batch, &error);
        bt_alloc_fail_at(0, false);
        done = rc == BT_OK;
        assert_true(done || rc == BT_E_NOMEM);
    }
    check_file(&f, "predictions.jsonl",
               "{\"sentence\": 0, \"words\": [\"a\", \"b\"], \"labels\": [\"B-X\", \"I-X\"], "
               "\"probabilities\": [0.5, 0.5]}\n"
               "{\"sentence\": 1, \"words\": [\"c\", \"d\"], \"labels\": [\"O\", \"B-X\"], "
               "\"probabilities\": [0.5, 0.5]}\n"
               "{\"sentence\": 2, \"words\": [\"e\", \"f\"], \"labels\": [\"I-X\", \"O\"], "
               "\"probabilities\": [0.5, 0.5]}\n");
    close_fixture(&f);
}

static void test_disks_may_fail(void **state) {
    (void)state;
    static const bt_fs_op ops[] = {BT_FS_OP_READ, BT_FS_OP_WRITE, BT_FS_OP_FSYNC, BT_FS_OP_RENAME};
    fixture               f;
    const bt_batch        batch = all_records(true);
    open_fixture(&f, plain_words, "");
    for (size_t i = 0; i < BT_ARRAY_LEN(ops); i++) {
        bool done = false;
        for (uint64_t k = 1; !done; k++) {
            bt_error error = BT_ERROR_INIT;
            assert_true(k < 50);
            bt_fs_fail_at(ops[i], k, true);
            const bt_status rc = predict(&f, &batch, &error);
            bt_fs_fail_at(ops[i], 0, false);
            done = rc == BT_OK;
            assert_true(done || rc == (ops[i] == BT_FS_OP_READ ? BT_E_IO : BT_E_RESOURCE));
        }
    }
    close_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_of_words),
        cmocka_unit_test(test_sentences_are_those_of_the_records),
        cmocka_unit_test(test_words_in_json),
        cmocka_unit_test(test_columns_that_can_be_scored),
        cmocka_unit_test(test_several_files),
        cmocka_unit_test(test_other_texts_are_refused),
        cmocka_unit_test(test_memory_may_run_out),
        cmocka_unit_test(test_disks_may_fail),
    };
    return cmocka_run_group_tests_name("task tag predictions", tests, NULL, NULL);
}
