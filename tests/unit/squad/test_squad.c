/* SPDX-License-Identifier: Apache-2.0
 *
 * The squad room against the project's own goldens: windows as records, answers, files of
 * predictions byte for byte, scores and functions; memory of the gathered scores; failing
 * allocations and files. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "squad_fixture.h"
#include "squad_score.h"

#include "bt/base/alloc.h"
#include "bt/base/stop.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "bt/wire/example.h"

enum { LENGTH = 24, STRIDE = 7, QUERY = 5 };

static const char *own(const char *name, char path[TEST_PATH_MAX]) {
    char relative[256];
    (void)snprintf(relative, sizeof relative, "tests/goldens/squad/%s", name);
    (void)snprintf(path, TEST_PATH_MAX, "%s", test_source_path(relative));
    return path;
}

static void own_fixture(squad_fixture *f, const char *name, bt_squad_use use, bool version_2) {
    char json[TEST_PATH_MAX];
    char vocab[TEST_PATH_MAX];
    (void)snprintf(vocab, sizeof vocab, "%s", test_source_path("tests/goldens/text/vocab.txt"));
    squad_fixture_init(f, &(squad_case){.json = own(name, json),
                                        .vocab = vocab,
                                        .do_lower_case = true,
                                        .use = use,
                                        .version_2 = version_2,
                                        .options = {LENGTH, STRIDE, QUERY, false}});
}

static void check_same_file(const char *got_path, const char *want_path) {
    size_t      n_got = 0;
    size_t      n_want = 0;
    char *const got = test_read_file(got_path, &n_got);
    char *const want = test_read_file(want_path, &n_want);
    if (n_got != n_want || memcmp(got, want, n_want) != 0) {
        fail_msg("%s differs from %s:\n%s", got_path, want_path, got);
    }
    bt_free(got);
    bt_free(want);
}

static void test_training_records(void **state) {
    (void)state;
    static const char *const names[] = {"train", "train_v2"};
    for (size_t k = 0; k < BT_ARRAY_LEN(names); k++) {
        char                   name[64];
        char                   path[TEST_PATH_MAX];
        squad_fixture          f;
        bt_example_builder     builder = BT_EXAMPLE_BUILDER_INIT;
        int32_t                memory[4 * LENGTH];
        const bt_squad_columns columns = {memory, memory + LENGTH, memory + 2 * LENGTH,
                                          memory + 3 * LENGTH};
        bt_str                 got = BT_STR_INIT;
        size_t                 n_want = 0;
        (void)snprintf(name, sizeof name, "%s.json", names[k]);
        own_fixture(&f, name, BT_SQUAD_TRAIN, k == 1);
        assert_int_equal(f.set.n_skipped, k == 0 ? 3 : 1);
        for (int64_t i = 0; i < bt_squad_n_windows(f.windows); i++) {
            assert_ok(bt_squad_record_append(f.windows, i, true, &builder, &columns, &got, err));
        }
        (void)snprintf(name, sizeof name, "expected/%s.tf_record", names[k]);
        char *const want = test_read_file(own(name, path), &n_want);
        assert_int_equal(got.len, n_want);
        assert_memory_equal(got.data, want, n_want);
        bt_free(want);
        bt_str_deinit(&got);
        bt_example_builder_deinit(&builder);
        squad_fixture_deinit(&f);
    }
}

/* Scores of one window side by side, as a head's output has them: [n][2]. */
static void add_window(bt_squad_answers *answers, int64_t i, const json_t *row) {
    float         logits[2 * LENGTH];
    const int64_t n = (int64_t)json_array_size(json_array_get(row, 0));
    for (int64_t t = 0; t < n; t++) {
        for (int64_t side = 0; side < 2; side++) {
            logits[2 * t + side] = (float)json_real_value(
                json_array_get(json_array_get(row, (size_t)side), (size_t)t));
        }
    }
    bt_squad_answers_add(answers, i, logits, logits + 1, 2, n);
}

static bt_squad_answers *answers_of(const squad_fixture *f, const char *name, bool version_2,
                                    const json_t *options) {
    char                          file[64];
    char                          path[TEST_PATH_MAX];
    bt_squad_answers             *answers = NULL;
    const bt_squad_answer_options wanted = {
        .n_best_size = json_integer_value(json_object_get(options, "n_best_size")),
        .max_answer_length = json_integer_value(json_object_get(options, "max_answer_length")),
        .null_score_diff_threshold = json_number_value(json_object_get(options, "threshold")),
        .version_2 = version_2,
        .do_lower_case = true};
    (void)snprintf(file, sizeof file, "expected/%s.logits.json", name);
    json_t *const logits = test_read_json(own(file, path));
    assert_ok(bt_squad_answers_create(&answers, f->windows, &wanted, err));
    assert_int_equal(json_array_size(logits), bt_squad_n_windows(f->windows));
    for (size_t i = 0; i < json_array_size(logits); i++) {
        add_window(answers, (int64_t)i, json_array_get(logits, i));
    }
    json_decref(logits);
    return answers;
}

static void check_files(const bt_squad_answers *answers, const char *name, int k, bool version_2) {
    static const char *const files[] = {"predictions.json", "nbest_predictions.json",
                                        "null_odds.json"};
    const char *const        folder = test_temp_dir();
    assert_ok(bt_squad_answers_write(answers, folder, err));
    for (size_t i = 0; i < BT_ARRAY_LEN(files); i++) {
        char got[TEST_PATH_MAX];
        char want[TEST_PATH_MAX];
        char relative[128];
        (void)snprintf(got, sizeof got, "%s/%s", folder, files[i]);
        (void)snprintf(relative, sizeof relative, "expected/%s.%d.%s", name, k, files[i]);
        if (i < 2 || version_2) {
            check_same_file(got, own(relative, want));
        } else {
            assert_false(bt_fs_exists(got));
        }
    }
}

static void check_scores(const bt_squad_answers *answers, const bt_squad_set *set, bool version_2,
                         const json_t *want) {
    bt_squad_prediction *const predictions =
        bt_alloc_array((size_t)set->n_questions, sizeof *predictions);
    bt_squad_scores_v1 v1 = {0};
    bt_squad_scores_v2 v2 = {0};
    for (int64_t q = 0; q < set->n_questions; q++) {
        predictions[q] = bt_squad_answers_prediction(answers, q);
    }
    if (version_2) {
        assert_ok(bt_squad_score_v2(set, predictions, &v2, err));
        check_squad_number(v2.best_exact, json_object_get(want, "exact_match"), "exact");
        check_squad_number(v2.best_f1 / 100.0, json_object_get(want, "final_f1"), "f1");
        check_squad_number(v2.best_exact_threshold, json_object_get(want, "exact_match_threshold"),
                           "threshold");
        check_squad_number(v2.best_f1_threshold, json_object_get(want, "f1_threshold"), "f1");
        check_squad_number(v2.has_answer_exact, json_object_get(want, "has_answer_exact_match"),
                           "has exact");
        check_squad_number(v2.has_answer_f1, json_object_get(want, "has_answer_f1"), "has f1");
    } else {
        assert_ok(bt_squad_score_v1(set, predictions, &v1, err));
        check_squad_number(v1.exact_match, json_object_get(want, "exact_match"), "exact");
        check_squad_number(v1.f1, json_object_get(want, "final_f1"), "f1");
        assert_int_equal(v1.n_missing, 0);
    }
    bt_free(predictions);
}

static void test_answers(void **state) {
    (void)state;
    for (int version = 1; version <= 2; version++) {
        const bool        version_2 = version == 2;
        const char *const name = version_2 ? "dev_v2" : "dev";
        char              file[64];
        squad_fixture     f;
        (void)snprintf(file, sizeof file, "%s.json", name);
        own_fixture(&f, file, BT_SQUAD_EVALUATE, version_2);
        for (int k = 0; k < 2; k++) {
            char path[TEST_PATH_MAX];
            (void)snprintf(file, sizeof file, "expected/%s.%d.scores.json", name, k);
            json_t *const           want = test_read_json(own(file, path));
            bt_squad_answers *const answers = answers_of(&f, name, version_2, want);
            for (int again = 0; again < 2; again++) { /* finish changes nothing of what was added */
                assert_ok(bt_squad_answers_finish(answers, err));
                check_files(answers, name, k, version_2);
                check_scores(answers, &f.set, version_2, want);
            }
            bt_squad_answers_free(answers);
            json_decref(want);
        }
        squad_fixture_deinit(&f);
    }
}

/* Without scores there is no answer; a later reset forgets those that came. */
static void test_no_scores(void **state) {
    (void)state;
    for (int version = 1; version <= 2; version++) {
        squad_fixture                 f;
        bt_squad_answers             *answers = NULL;
        const float                   zeros[2 * LENGTH] = {0};
        const bt_squad_answer_options options = {3, 30, 0.0, version == 2, true};
        own_fixture(&f, "dev_v2.json", BT_SQUAD_EVALUATE, true);
        assert_ok(bt_squad_answers_create(&answers, f.windows, &options, err));
        bt_squad_answers_add(answers, 0, zeros, zeros, 1, 10);
        assert_int_equal(bt_squad_answers_n_windows(answers), 1);
        bt_squad_answers_reset(answers);
        assert_int_equal(bt_squad_answers_n_windows(answers), 0);
        assert_ok(bt_squad_answers_finish(answers, err));
        const bt_squad_prediction got = bt_squad_answers_prediction(answers, 0);
        assert_int_equal(got.text.n_bytes, version == 2 ? 0 : 5);
        assert_memory_equal(got.text.bytes, "empty", got.text.n_bytes);
        bt_squad_answers_free(answers);
        squad_fixture_deinit(&f);
    }
}

/* What is not a number is the lowest score, and every order stays one. */
static void test_scores_that_are_no_numbers(void **state) {
    (void)state;
    squad_fixture                 f;
    bt_squad_answers             *answers = NULL;
    float                         logits[LENGTH];
    const bt_squad_answer_options options = {20, 30, 0.0, true, true};
    own_fixture(&f, "dev_v2.json", BT_SQUAD_EVALUATE, true);
    assert_ok(bt_squad_answers_create(&answers, f.windows, &options, err));
    for (int64_t i = 0; i < bt_squad_n_windows(f.windows); i++) {
        for (int t = 0; t < LENGTH; t++) {
            static const float odd[] = {0.0F, 1e38F, -1e38F, 3.4e38F};
            logits[t] =
                t % 5 == 4 ? (float)((t + i) % 2 == 0 ? 0.0 / 0.0 : -1.0 / 0.0) : odd[(t + i) % 4];
        }
        bt_squad_answers_add(answers, i, logits, logits, 1, bt_squad_window_length(f.windows, i));
    }
    bt_stop_set(SIGINT);
    assert_fails(bt_squad_answers_finish(answers, err), BT_E_INTERRUPTED, "stopped by SIGINT");
    bt_stop_set(0);
    assert_ok(bt_squad_answers_finish(answers, err));
    for (int64_t q = 0; q < f.set.n_questions; q++) {
        assert_true(bt_squad_answers_n_candidates(answers, q) >= 1);
    }
    bt_squad_answers_free(answers);
    squad_fixture_deinit(&f);
}

/* Memory is that of the n best places, whatever the length of the sequences. */
static void test_memory_is_bounded(void **state) {
    (void)state;
    squad_fixture                 f;
    bt_squad_answers             *answers = NULL;
    float                         logits[LENGTH];
    const bt_squad_answer_options options = {3, 30, 0.0, false, true};
    own_fixture(&f, "dev.json", BT_SQUAD_EVALUATE, false);
    assert_ok(bt_squad_answers_create(&answers, f.windows, &options, err));
    const size_t   before = bt_squad_answers_memory_bytes(answers);
    const uint64_t n_calls = bt_alloc_count();
    const size_t   n = (size_t)bt_squad_n_windows(f.windows);
    assert_true(before <= n * (2 * 3 * 8 + 16));
    for (size_t i = 0; i < n; i++) {
        for (int t = 0; t < LENGTH; t++) {
            logits[t] = (float)((t * 7) % 11);
        }
        bt_squad_answers_add(answers, (int64_t)i, logits, logits, 1, LENGTH);
    }
    assert_int_equal(bt_alloc_count(), n_calls); /* gathering calls no heap at all */
    assert_int_equal(bt_squad_answers_memory_bytes(answers), before);
    bt_squad_answers_free(answers);
    squad_fixture_deinit(&f);
}

static void check_functions(const json_t *all, bt_text_scratch *scratch) {
    size_t  k = 0;
    json_t *row = NULL;
    json_array_foreach(json_object_get(all, "normalize"), k, row) {
        bt_str got = BT_STR_INIT;
        assert_ok(squad_normalize(scratch, squad_text_of(json_array_get(row, 0)), &got, err));
        check_squad_text((bt_squad_text){bt_str_text(&got), got.len}, json_array_get(row, 1),
                         "normalize");
        bt_str_deinit(&got);
    }
    json_array_foreach(json_object_get(all, "f1"), k, row) {
        for (size_t version = 1; version <= 2; version++) {
            bool   exact = false;
            double f1 = -1;
            assert_ok(squad_compare(scratch, squad_text_of(json_array_get(row, 0)),
                                    squad_text_of(json_array_get(row, 1)), version == 2, &exact,
                                    &f1, err));
            check_squad_number(f1, json_array_get(row, version + 1), "f1");
        }
    }
    json_array_foreach(json_object_get(all, "final_text"), k, row) {
        bt_str got = BT_STR_INIT;
        assert_ok(bt_squad_final_text(scratch, squad_text_of(json_array_get(row, 0)),
                                      squad_text_of(json_array_get(row, 1)), true, &got, err));
        check_squad_text((bt_squad_text){bt_str_text(&got), got.len}, json_array_get(row, 2),
                         "final text");
        bt_str_deinit(&got);
    }
}

static void test_functions(void **state) {
    (void)state;
    char             path[TEST_PATH_MAX];
    bt_text_scratch *scratch = NULL;
    json_t *const    all = test_read_json(own("expected/functions.json", path));
    assert_true(json_array_size(json_object_get(all, "final_text")) > 10);
    assert_ok(bt_text_scratch_create(&scratch, err));
    check_functions(all, scratch);
    bt_text_scratch_free(scratch);
    json_decref(all);
}

/* Everything once, from file to file. */
static bt_status run_all(const char *json, const char *vocab_path, const char *folder,
                         bt_error *err) {
    const bt_squad_window_options window_options = {LENGTH, STRIDE, QUERY, false};
    const bt_squad_answer_options options = {20, 30, 0.0, true, true};
    const float                   scores[LENGTH] = {0, 1, 2, 3, 4, 5, 6, 7, 6, 5};
    bt_status                     rc = BT_OK;
    bt_text_vocab                *vocab = NULL;
    bt_text_tokenizer            *tokenizer = NULL;
    bt_squad_set                  set = {0};
    bt_squad_windows             *windows = NULL;
    bt_squad_answers             *answers = NULL;
    bt_squad_prediction           predictions[64] = {{.text = {"", 0}}};
    bt_squad_scores_v1            v1;
    bt_squad_scores_v2            v2;
    BT_CHECK(bt_text_vocab_load(&vocab, vocab_path, err));
    BT_CHECK(bt_text_tokenizer_create(&tokenizer, vocab, true, err));
    BT_CHECK(bt_squad_read(&set, json, &(bt_text_encoding){0}, BT_SQUAD_EVALUATE, true, err));
    BT_CHECK(bt_squad_windows_create(&windows, &set, tokenizer, &window_options, err));
    BT_CHECK(bt_squad_write_eval_records(windows, 4, folder, err));
    BT_CHECK(bt_squad_answers_create(&answers, windows, &options, err));
    for (int64_t i = 0; i < bt_squad_n_windows(windows); i++) {
        bt_squad_answers_add(answers, i, scores, scores, 1, LENGTH);
    }
    BT_CHECK(bt_squad_answers_finish(answers, err));
    BT_CHECK(bt_squad_answers_write(answers, folder, err));
    for (int64_t q = 0; q < set.n_questions; q++) {
        predictions[q] = bt_squad_answers_prediction(answers, q);
        predictions[q].is_missing = set.questions[q].n_answers == 0;
    }
    BT_CHECK(bt_squad_score_v1(&set, predictions, &v1, err));
    BT_CHECK(bt_squad_score_v2(&set, predictions, &v2, err));
done:
    bt_squad_answers_free(answers);
    bt_squad_windows_free(windows);
    bt_squad_set_deinit(&set);
    bt_text_tokenizer_free(tokenizer);
    bt_text_vocab_free(vocab);
    return rc;
}

static void test_out_of_memory(void **state) {
    (void)state;
    char              json[TEST_PATH_MAX];
    char              vocab[TEST_PATH_MAX];
    const char *const folder = test_temp_dir();
    (void)own("dev_v2.json", json);
    (void)snprintf(vocab, sizeof vocab, "%s", test_source_path("tests/goldens/text/vocab.txt"));
    for (int persistent = 0; persistent < 2; persistent++) {
        uint64_t k = 1;
        for (; k < 3000; k += 1 + k / 40) { /* later calls only grow what is there */
            bt_error err = BT_ERROR_INIT;
            bt_alloc_fail_at(k, persistent == 1);
            const bt_status rc = run_all(json, vocab, folder, &err);
            bt_alloc_fail_at(0, false);
            if (rc == BT_OK) {
                break;
            }
            assert_int_equal(rc, BT_E_NOMEM);
            assert_true(err.msg[0] != '\0');
        }
        assert_true(k > 30 && k < 3000);
    }
}

static void test_failing_files(void **state) {
    (void)state;
    char              json[TEST_PATH_MAX];
    char              vocab[TEST_PATH_MAX];
    const char *const folder = test_temp_dir();
    (void)own("dev_v2.json", json);
    (void)snprintf(vocab, sizeof vocab, "%s", test_source_path("tests/goldens/text/vocab.txt"));
    for (int op = 0; op < BT_FS_N_OPS; op++) {
        uint64_t k = 1;
        for (; k < 100; k++) {
            bt_error err = BT_ERROR_INIT;
            bt_fs_fail_at((bt_fs_op)op, k, false);
            const bt_status rc = run_all(json, vocab, folder, &err);
            bt_fs_fail_at((bt_fs_op)op, 0, false);
            if (rc == BT_OK) {
                break;
            }
            assert_true(rc == BT_E_IO || rc == BT_E_RESOURCE);
            assert_true(err.msg[0] != '\0');
        }
        assert_true(k < 100);
    }
    bt_fs_names names = BT_FS_NAMES_INIT;
    assert_ok(bt_fs_list(folder, &names, err)); /* the four files, and no temporary one */
    assert_int_equal(names.n, 4);
    bt_fs_names_deinit(&names);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_training_records),  cmocka_unit_test(test_answers),
        cmocka_unit_test(test_no_scores),         cmocka_unit_test(test_scores_that_are_no_numbers),
        cmocka_unit_test(test_memory_is_bounded), cmocka_unit_test(test_functions),
        cmocka_unit_test(test_out_of_memory),     cmocka_unit_test(test_failing_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
