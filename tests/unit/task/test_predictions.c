/* SPDX-License-Identifier: Apache-2.0
 *
 * task: the names of classes, and what is written of predictions, byte for byte; every allocation
 * and every file operation may fail, and then no file is there. */
#include "test_support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "bt/task.h"

typedef struct fixture {
    bt_conf           *conf;
    const bt_task     *task;
    bt_task_plan       plan;
    const char        *folder;
    bt_prediction_args args;
} fixture;

static void open_fixture(fixture *f, const char *experiment, const char *text) {
    const char *const  files[] = {text};
    const bt_conf_args args = {
        .experiment = experiment, .config_files = files, .n_config_files = 1};
    bt_conf_errors errors = BT_CONF_ERRORS_INIT;
    *f = (fixture){.folder = test_temp_dir()};
    assert_ok(bt_conf_build(&args, &f->conf, &errors, err));
    bt_conf_errors_deinit(&errors);
    assert_ok(bt_task_find(experiment, &f->task, err));
    assert_ok(f->task->plan(f->conf, &f->plan, err));
}

static void close_fixture(fixture *f) {
    bt_task_plan_deinit(&f->plan);
    bt_conf_free(f->conf);
}

static const char *path_in(const fixture *f, const char *name) {
    static char path[2 * TEST_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", f->folder, name);
    return path;
}

static bt_status run_pass(const fixture *f, void *state, const bt_batch *batches,
                          const float *const *logits, size_t n, bt_error *err) {
    const bt_task_output *const output = f->task->prediction;
    BT_TRY(output->reset(state, err));
    for (size_t i = 0; i < n; i++) {
        BT_TRY(output->add(state, &batches[i], logits[i], err));
    }
    return output->write(state, err);
}

static bt_status predict(const fixture *f, const bt_batch *batches, const float *const *logits,
                         size_t n, bt_error *err) {
    const bt_output_request request = {
        .conf = f->conf, .plan = &f->plan, .model_dir = f->folder, .prediction = &f->args};
    void *state = NULL;
    BT_TRY(f->task->prediction->create(&request, &state, err));
    const bt_status rc = run_pass(f, state, batches, logits, n, err);
    f->task->prediction->destroy(state);
    return rc;
}

static void check_file(const fixture *f, const char *name, const char *want) {
    char *const got = test_read_file(path_in(f, name), NULL);
    assert_string_equal(got, want);
    bt_free(got);
}

static const float        two_rows[] = {0, 0, 1.0986123F, 0};
static const float        one_row[] = {-200, 200};
static const bt_batch     sentences[] = {{.n_seqs = 2}, {.n_seqs = 1}};
static const float *const sentence_logits[] = {two_rows, one_row};

static void test_classes_by_name(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f, "bert/sentence_prediction",
                 "{task: {model: {num_classes: 2}, label_names: [\"n\\to\", \"y\\\"es\"]}}");
    assert_ok(predict(&f, sentences, sentence_logits, 2, err));
    check_file(&f, "predictions.tsv",
               "id\tlabel\tprobability_n\\to\tprobability_y\"es\n"
               "0\tn\\to\t0.5\t0.5\n"
               "1\tn\\to\t0.75\t0.25\n"
               "2\ty\"es\t0.0\t1.0\n");
    f.args.format = "jsonl";
    assert_ok(predict(&f, sentences, sentence_logits, 2, err));
    check_file(&f, "predictions.jsonl",
               "{\"id\": 0, \"label\": \"n\\u0009o\", \"probabilities\": "
               "{\"n\\u0009o\": 0.5, \"y\\\"es\": 0.5}}\n"
               "{\"id\": 1, \"label\": \"n\\u0009o\", \"probabilities\": "
               "{\"n\\u0009o\": 0.75, \"y\\\"es\": 0.25}}\n"
               "{\"id\": 2, \"label\": \"y\\\"es\", \"probabilities\": "
               "{\"n\\u0009o\": 0.0, \"y\\\"es\": 1.0}}\n");
    close_fixture(&f);
}

static void test_scores_and_their_submission(void **state) {
    (void)state;
    static const float        values[] = {-0.5F, 2.71828F, 5.25F};
    static const int64_t      ids[] = {7, -3, 12345678901};
    static const bt_batch     batch = {.n_seqs = 3, .example_ids = ids};
    static const float *const logits[] = {values};
    fixture                   f;
    open_fixture(&f, "bert/sentence_prediction", "{task: {model: {num_classes: 1}}}");
    f.args.glue_folder = f.folder;
    f.args.glue_task = "STS-B";
    assert_ok(predict(&f, &batch, logits, 1, err));
    check_file(&f, "predictions.tsv", "id\tscore\n7\t-0.5\n-3\t2.71828\n12345678901\t5.25\n");
    check_file(&f, "STS-B.tsv", "index\tprediction\n0\t0.000\n1\t2.718\n2\t5.000\n");
    close_fixture(&f);
}

static void test_numbers_that_are_none_are_told(void **state) {
    (void)state;
    const float        bad[] = {0, 1, NAN, 0};
    const float *const logits[] = {bad};
    fixture            f;
    open_fixture(&f, "bert/sentence_prediction", "{task: {model: {num_classes: 2}}}");
    assert_fails(predict(&f, sentences, logits, 1, err), BT_E_FORMAT, "row 1: ");
    assert_false(bt_fs_exists(path_in(&f, "predictions.tsv")));
    close_fixture(&f);
}

static size_t n_files(const fixture *f) {
    bt_fs_names names = BT_FS_NAMES_INIT;
    assert_ok(bt_fs_list(f->folder, &names, err));
    const size_t n = names.n;
    bt_fs_names_deinit(&names);
    return n;
}

static void open_submission(fixture *f) {
    open_fixture(f, "bert/sentence_prediction", "{task: {model: {num_classes: 2}}}");
    f->args.glue_folder = f->folder;
    f->args.glue_task = "RTE";
}

/* The first file may be there when the second fails; nothing half-written ever is. */
static void check_whole(const fixture *f) {
    size_t n = 0;
    if (bt_fs_exists(path_in(f, "predictions.tsv"))) {
        check_file(f, "predictions.tsv",
                   "id\tlabel\tprobability_0\tprobability_1\n"
                   "0\t0\t0.5\t0.5\n1\t0\t0.75\t0.25\n2\t1\t0.0\t1.0\n");
        n++;
    }
    if (bt_fs_exists(path_in(f, "RTE.tsv"))) {
        check_file(f, "RTE.tsv",
                   "index\tprediction\n0\tentailment\n1\tentailment\n2\tnot_entailment\n");
        n++;
    }
    assert_int_equal(n_files(f), n);
}

static void test_memory_may_run_out(void **state) {
    (void)state;
    fixture f;
    open_submission(&f);
    bool done = false;
    for (uint64_t k = 1; !done; k++) {
        bt_error error = BT_ERROR_INIT;
        assert_true(k < 200);
        bt_alloc_fail_at(k, true);
        const bt_status rc = predict(&f, sentences, sentence_logits, 2, &error);
        bt_alloc_fail_at(0, false);
        done = rc == BT_OK;
        assert_true(done || rc == BT_E_NOMEM);
        check_whole(&f);
    }
    close_fixture(&f);
}

static void test_disks_may_fail(void **state) {
    (void)state;
    static const bt_fs_op ops[] = {BT_FS_OP_WRITE, BT_FS_OP_FSYNC, BT_FS_OP_RENAME};
    fixture               f;
    open_submission(&f);
    for (size_t i = 0; i < BT_ARRAY_LEN(ops); i++) {
        bool done = false;
        for (uint64_t k = 1; !done; k++) {
            bt_error error = BT_ERROR_INIT;
            assert_true(k < 50);
            assert_ok(bt_fs_remove(path_in(&f, "predictions.tsv"), err));
            assert_ok(bt_fs_remove(path_in(&f, "RTE.tsv"), err));
            bt_fs_fail_at(ops[i], k, true);
            const bt_status rc = predict(&f, sentences, sentence_logits, 2, &error);
            bt_fs_fail_at(ops[i], 0, false);
            done = rc == BT_OK;
            assert_true(done || rc == BT_E_RESOURCE);
            check_whole(&f);
        }
    }
    close_fixture(&f);
}

static void test_names_of_processors(void **state) {
    (void)state;
    static const struct {
        const char *processor;
        const char *names;
        int         n;
    } rows[] = {
        {"COLA", "0 1 ", 2},
        {"MNLI", "entailment neutral contradiction ", 3},
        {"AX", "entailment neutral contradiction ", 3},
        {"XNLI", "contradiction entailment neutral ", 3},
        {"CB", "entailment contradiction neutral ", 3},
        {"BoolQ", "False True ", 2},
        {"IMDB", "neg pos ", 2},
        {"QNLI", "entailment not_entailment ", 2},
        {"TFDS_glue/mnli", "", 3},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        char meta[128];
        char path[TEST_PATH_MAX + 16];
        char text[2 * TEST_PATH_MAX];
        (void)snprintf(path, sizeof path, "%s/meta", test_temp_dir());
        (void)snprintf(meta, sizeof meta, "{\"processor_type\": \"%s\", \"num_labels\": %d}",
                       rows[i].processor, rows[i].n);
        test_write_file(path, meta, strlen(meta));
        (void)snprintf(text, sizeof text,
                       "{task: {model: {num_classes: %d}, meta_data_path: '%s'}}", rows[i].n, path);
        fixture f;
        bt_str  names = BT_STR_INIT;
        open_fixture(&f, "bert/sentence_prediction", text);
        for (int64_t c = 0; f.plan.labels.names != NULL && c < f.plan.labels.n; c++) {
            assert_ok(bt_str_appendf(&names, err, "%s ", f.plan.labels.names[c]));
        }
        assert_string_equal(bt_str_text(&names), rows[i].names);
        assert_string_equal(f.plan.labels.processor, rows[i].processor);
        bt_str_deinit(&names);
        close_fixture(&f);
    }
}

static void test_a_class_is_named_or_numbered(void **state) {
    (void)state;
    static const char *const names[] = {"a", "b"};
    bt_task_labels           labels = {.n = 2};
    char                     text[BT_TASK_LABEL_TEXT_MAX];
    assert_string_equal(bt_task_label_text(&labels, 1, text), "1");
    assert_ok(bt_task_labels_set(&labels, names, 2, "here", err));
    assert_string_equal(bt_task_label_text(&labels, 1, text), "b");
    assert_ok(bt_task_labels_agree(&labels, names, 2, "there", err));
    static const char *const others[] = {"a", "c"};
    assert_fails(bt_task_labels_agree(&labels, others, 2, "there", err), BT_E_CONFIG,
                 "class 1 is 'c' in there, but 'b' in here");
    assert_fails(bt_task_labels_agree(&labels, others, 1, "there", err), BT_E_CONFIG,
                 "there has 1 classes, but the model has 2");
    bt_task_labels_deinit(&labels);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes_by_name),
        cmocka_unit_test(test_scores_and_their_submission),
        cmocka_unit_test(test_numbers_that_are_none_are_told),
        cmocka_unit_test(test_memory_may_run_out),
        cmocka_unit_test(test_disks_may_fail),
        cmocka_unit_test(test_names_of_processors),
        cmocka_unit_test(test_a_class_is_named_or_numbered),
    };
    return cmocka_run_group_tests_name("task predictions", tests, NULL, NULL);
}
