/* SPDX-License-Identifier: Apache-2.0
 *
 * train: what things in model_dir are called, and that what stands there instead of them is refused
 * by the runs that use it. */
#include "test_support.h"

#include <string.h>
#include <sys/stat.h>

#include "bt/base/alloc.h"
#include "model_dir.h"

static void check_path(const model_dir *dir, model_file file, const char *want) {
    char *path = NULL;
    assert_ok(model_dir_join(dir, file, &path, err));
    assert_string_equal(path, want);
    bt_free(path);
}

static void test_names(void **state) {
    (void)state;
    const model_dir plain = {.path = "a"};
    const model_dir named = {.path = "a", .best_subdir = "b", .events_subdir = "e/f"};
    char            name[MODEL_NAME_MAX];
    check_path(&plain, MODEL_PARAMS, "a/params.yaml");
    check_path(&plain, MODEL_PARAMS_OURS, "a/params_ours.yaml");
    check_path(&plain, MODEL_RECORDS, "a/metrics.jsonl");
    check_path(&plain, MODEL_TRAIN_EVENTS, "a/train");
    check_path(&plain, MODEL_EVENTS, "a/validation");
    check_path(&plain, MODEL_BEST_INFO, "a/best_ckpt/info.json");
    check_path(&named, MODEL_EVENTS, "a/e/f");
    check_path(&named, MODEL_BEST, "a/b");
    check_path(&named, MODEL_BEST_STATE, "a/b/checkpoint");
    assert_string_equal(model_series_name(SERIES_CKPT, 20, name), "ckpt-20");
    assert_string_equal(model_series_name(SERIES_BEST_CKPT, 3, name), "best_ckpt-3");
    assert_string_equal(model_series_name(SERIES_ROUND_METRICS, 5, name), "metrics-5.json");
    assert_string_equal(model_series_name(SERIES_SEED, -7, name), "seed_-7");
    assert_string_equal(model_series_stem(SERIES_BEST_CKPT), "best_ckpt");
}

/* Where a run uses the name, the folder under it is refused. */
static void check_taken(const model_dir *dir, model_file file, bool trains, bool evaluates,
                        bool predicts) {
    static const bt_conf_mode modes[] = {BT_CONF_MODE_TRAIN, BT_CONF_MODE_EVAL,
                                         BT_CONF_MODE_PREDICT};
    const bool                uses[] = {trains, evaluates, predicts};
    char                     *path = NULL;
    assert_ok(model_dir_join(dir, file, &path, err));
    assert_int_equal(mkdir(path, 0777), 0);
    for (size_t i = 0; i < BT_ARRAY_LEN(modes); i++) {
        if (uses[i]) {
            assert_fails(model_dir_check(dir, modes[i], err), BT_E_IO, path);
        } else {
            assert_ok(model_dir_check(dir, modes[i], err));
        }
    }
    assert_int_equal(bt_fs_remove(path, NULL), BT_OK);
    bt_free(path);
}

static void test_what_is_not_a_file_is_refused_by_whom_it_concerns(void **state) {
    (void)state;
    const model_dir dir = {.path = test_temp_dir(), .best_subdir = "."};
    check_taken(&dir, MODEL_PARAMS, true, true, true);
    check_taken(&dir, MODEL_VOCAB, true, false, false);
    check_taken(&dir, MODEL_RECORDS, true, true, false);
    check_taken(&dir, MODEL_RECORDS_BESIDE, false, true, false);
    check_taken(&dir, MODEL_BEST_INFO, false, true, false);
    check_taken(&dir, MODEL_SEEDS, false, false, false); /* looked at by --seeds */
}

/* Of folders that keys name: "validation" and "best_ckpt" are the usual ones. */
static void test_names_that_a_run_needs_are_taken(void **state) {
    (void)state;
    static const char *const taken[] = {"train",
                                        "eval",
                                        "checkpoint",
                                        "params.yaml",
                                        "labels.json",
                                        "seeds.json",
                                        "best_seed",
                                        "vocab.txt",
                                        "tokenizer.json",
                                        "ckpt-3",
                                        "seed_1",
                                        "events.out.tfevents.1.x",
                                        "metrics.jsonl",
                                        "metrics-eval.jsonl",
                                        "checkpoint.journal",
                                        "checkpoint.old",
                                        BT_FS_LOCK_NAME};
    static const char *const free_ones[] = {"validation", "best_ckpt", "best_ckpt-2", "trains",
                                            "metric",     "b",         "checkpoints", "ckpt"};
    for (size_t i = 0; i < BT_ARRAY_LEN(taken); i++) {
        assert_true(model_dir_is_taken(taken[i], strlen(taken[i])));
        assert_false(model_dir_is_taken(taken[i], 1));
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(free_ones); i++) {
        assert_false(model_dir_is_taken(free_ones[i], strlen(free_ones[i])));
    }
}

static void test_without_a_folder_nothing_is_looked_at(void **state) {
    (void)state;
    const model_dir none = {.path = NULL};
    assert_ok(model_dir_check(&none, BT_CONF_MODE_TRAIN, err));
}

static void test_own_names_are_of_the_table(void **state) {
    (void)state;
    static const char *const wanted[] = {
        "checkpoint",         "checkpoint.journal", "params.yaml",    "params_ours.yaml",
        "labels.json",        "vocab.txt",          "tokenizer.json", "metrics.jsonl",
        "metrics-eval.jsonl", "info.json",          "seeds.json",     "ckpt-*",
        "best_ckpt-*"};
    const char *names[MODEL_OWN_NAMES_MAX];
    model_dir_own_names(names);
    for (size_t i = 0; i < BT_ARRAY_LEN(wanted); i++) {
        size_t at = 0;
        while (names[at] != NULL && strcmp(names[at], wanted[i]) != 0) {
            at++;
        }
        if (names[at] == NULL) {
            fail_msg("%s is not among them", wanted[i]);
        }
    }
    for (size_t i = 0; names[i] != NULL; i++) { /* a folder of events would fit any of its files */
        assert_string_not_equal(names[i], "");
        assert_string_not_equal(names[i], "train");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_what_is_not_a_file_is_refused_by_whom_it_concerns),
        cmocka_unit_test(test_names_that_a_run_needs_are_taken),
        cmocka_unit_test(test_own_names_are_of_the_table),
        cmocka_unit_test(test_without_a_folder_nothing_is_looked_at),
    };
    return cmocka_run_group_tests_name("model_dir", tests, NULL, NULL);
}
