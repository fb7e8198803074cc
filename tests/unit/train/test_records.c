/* SPDX-License-Identifier: Apache-2.0
 *
 * train: metrics.jsonl is read as it was written, whatever the order of its extra values, and a run
 * that goes back finds what lies before it. */
#include "test_support.h"

#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/str.h"
#include "model_dir.h"
#include "records.h"

static run_records *open_records(const char *folder, const char *mode, int64_t last_step,
                                 int64_t n_cut_wanted) {
    run_records *r = NULL;
    int64_t      n_cut = 0;
    assert_ok(records_create(folder, mode, -1, &r, err));
    if (mode == NULL) {
        assert_ok(records_rewind(r, last_step, &n_cut, err));
    }
    assert_int_equal(n_cut, n_cut_wanted);
    return r;
}

static bt_train_values values_of(double f1) {
    bt_train_values values = {.n = 0};
    record_add(&values, "f1", f1);
    record_add(&values, "steps_per_second", 3);
    return values;
}

static void add(run_records *r, record_kind kind, int64_t step, double f1) {
    const bt_train_values values = values_of(f1);
    bt_train_values       extra = {.n = 0};
    record_add_extra(&extra, EXTRA_SECONDS, 1);
    assert_ok(records_add(r, kind, step, &values, &extra, err));
}

static bool recall(const char *folder, record_kind kind, int64_t step, bt_train_values *out) {
    bool found = false;
    assert_ok(records_recall(folder, -1, kind, step, out, &found, err));
    return found;
}

/* Every extra value may be the first one. */
static void test_values_end_at_any_extra_one(void **state) {
    (void)state;
    for (int first = 0; first < N_RECORD_EXTRAS; first++) {
        const char *const     folder = test_temp_dir();
        run_records *const    r = open_records(folder, NULL, 0, 0);
        const bt_train_values values = values_of(0.5);
        bt_train_values       extra = {.n = 0};
        bt_train_values       got = {.n = 0};
        for (int i = 0; i < N_RECORD_EXTRAS; i++) {
            record_add_extra(&extra, (record_extra)((first + i) % N_RECORD_EXTRAS), i);
        }
        assert_ok(records_add(r, RECORD_VALIDATION, 7, &values, &extra, err));
        assert_ok(records_close(r, err));
        assert_true(recall(folder, RECORD_VALIDATION, 7, &got));
        assert_int_equal(got.n, values.n);
        assert_string_equal(got.items[0].name, "f1");
        assert_true(got.items[0].value == 0.5);
        assert_false(recall(folder, RECORD_TRAIN, 7, &got));
    }
}

static void test_a_run_that_goes_back_finds_what_lies_before(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    run_records      *r = open_records(folder, NULL, 0, 0);
    bt_train_values   got = {.n = 0};
    char             *path = NULL;
    for (int64_t step = 1; step <= 4; step++) {
        add(r, RECORD_TRAIN, step, (double)step);
    }
    assert_ok(records_close(r, err));
    r = open_records(folder, NULL, 2, 2);
    add(r, RECORD_TRAIN, 3, 30);
    assert_ok(records_close(r, err));
    assert_true(recall(folder, RECORD_TRAIN, 2, &got));
    assert_true(recall(folder, RECORD_TRAIN, 3, &got));
    assert_true(got.items[0].value == 30);
    assert_false(recall(folder, RECORD_TRAIN, 4, &got));
    assert_ok(model_dir_file(folder, MODEL_RECORDS, &path, err));
    size_t      n = 0;
    char *const text = test_read_file(path, &n);
    test_write_file(path, text, n - 5); /* torn */
    assert_ok(records_close(open_records(folder, NULL, 9, 0), err));
    assert_false(recall(folder, RECORD_TRAIN, 3, &got));
    assert_true(recall(folder, RECORD_TRAIN, 2, &got));
    bt_free(text);
    bt_free(path);
}

static void end(run_records *r, int64_t step) {
    const bt_train_summary summary = {.step = step, .values = values_of(1), .seconds = 2};
    assert_ok(records_end(r, &summary, "train_steps", err));
    assert_ok(records_close(r, err));
}

static size_t n_lines(const char *folder, const char *what) {
    char  *path = NULL;
    size_t n_bytes = 0;
    size_t n = 0;
    assert_ok(model_dir_file(folder, MODEL_RECORDS, &path, err));
    char *const text = test_read_file(path, &n_bytes);
    for (const char *at = strstr(text, what); at != NULL; at = strstr(at + 1, what)) {
        n++;
    }
    bt_free(text);
    bt_free(path);
    return n;
}

static void test_the_end_is_said_once(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    run_records      *r = open_records(folder, NULL, 0, 0);
    add(r, RECORD_TRAIN, 1, 0);
    end(r, 1);
    end(open_records(folder, NULL, 1, 0), 1); /* added nothing */
    assert_int_equal(n_lines(folder, "\"final\""), 1);
    r = open_records(folder, NULL, 1, 0);
    add(r, RECORD_VALIDATION, 1, 0);
    end(r, 1);
    assert_int_equal(n_lines(folder, "\"final\""), 1);
    assert_int_equal(n_lines(folder, "\"stopped\": \"train_steps\""), 1);
}

/* With the same numbers, but for times. */
static void test_an_evaluation_made_again_is_known(void **state) {
    (void)state;
    const char *const     folder = test_temp_dir();
    run_records *const    r = open_records(folder, "eval", 0, 0);
    bt_train_values       same = values_of(0.25);
    const bt_train_values other = values_of(0.75);
    bool                  have = true;
    assert_ok(records_have(r, RECORD_VALIDATION, 5, &same, &have, err));
    assert_false(have);
    add(r, RECORD_VALIDATION, 5, 0.25);
    same.items[1].value = 99;
    assert_ok(records_have(r, RECORD_VALIDATION, 5, &same, &have, err));
    assert_true(have);
    assert_ok(records_have(r, RECORD_VALIDATION, 5, &other, &have, err));
    assert_false(have);
    assert_ok(records_close(r, err));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_end_at_any_extra_one),
        cmocka_unit_test(test_a_run_that_goes_back_finds_what_lies_before),
        cmocka_unit_test(test_the_end_is_said_once),
        cmocka_unit_test(test_an_evaluation_made_again_is_known),
    };
    return cmocka_run_group_tests_name("records", tests, NULL, NULL);
}
