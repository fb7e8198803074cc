/* SPDX-License-Identifier: Apache-2.0
 *
 * train: our own state in a checkpoint: its bytes, those of older versions, and what is none. */
#include "test_support.h"

#include <string.h>

#include "bt/base/bytes.h"
#include "bt/base/str.h"
#include "run_state.h"

enum { N_WORDS = 21, N_NUMBERS = 5, N_BYTES = 4 + 8 * (N_WORDS + N_NUMBERS) };

/* No two members alike. */
static const run_state example = {
    .course = {.chunk = {.start_step = 6,
                         .n_steps = 7,
                         .n_examples = 8,
                         .n_tokens = 9,
                         .n_padded = 10,
                         .n_skipped = 11,
                         .loss = 23,
                         .grad_norm = 24,
                         .seconds = 25},
               .recovery_trials = 20,
               .evaluation_due = true,
               .early_stop = {.has_best = true, .best = 26, .n_worse = 15},
               .save_base = 16},
    .seed = 1,
    .cursor = {.epoch = 2, .index = 3, .n_skipped = 4},
    .precision = 2,
    .scale = {.factor = 22, .n_good = 13},
    .best_rule = 17,
    .vocabulary = 18,
    .n_rows = 19,
    .content = 21};

/* In the order of docs/formats.md. */
static const uint64_t words[N_WORDS] = {1, 2,  3, 4,  1,  6,  7,  8,  9,  10, 11,
                                        2, 13, 1, 15, 16, 17, 18, 19, 20, 21};
static const double   numbers[N_NUMBERS] = {22, 23, 24, 25, 26};

/* n_lacking: of the newest words. */
static size_t put(uint8_t out[N_BYTES], char version, const uint64_t w[N_WORDS], int n_lacking) {
    const uint8_t magic[4] = {(uint8_t)version, 'S', 'T', 'B'};
    size_t        at = sizeof magic;
    memcpy(out, magic, sizeof magic);
    for (int i = 0; i < N_WORDS - n_lacking; i++, at += 8) {
        bt_store_u64le(out + at, w[i]);
    }
    for (int i = 0; i < N_NUMBERS; i++, at += 8) {
        uint64_t bits = 0;
        memcpy(&bits, &numbers[i], sizeof bits);
        bt_store_u64le(out + at, bits);
    }
    return at;
}

static bool get(const uint8_t *bytes, size_t n, run_state *state) {
    bt_reader reader = bt_reader_make(bytes, n);
    return run_state_read(&reader, state) && bt_reader_left(&reader) == 0;
}

static void check_same_bytes(const run_state *state, const uint8_t *want, size_t n) {
    bt_str bytes = BT_STR_INIT;
    assert_ok(run_state_write(state, &bytes, err));
    assert_int_equal(bytes.len, n);
    assert_memory_equal(bytes.data, want, n);
    bt_str_deinit(&bytes);
}

static void test_the_bytes_are_those_of_the_page(void **state) {
    (void)state;
    uint8_t      want[N_BYTES];
    const size_t n = put(want, '5', words, 0);
    run_state    got;
    check_same_bytes(&example, want, n);
    assert_true(get(want, n, &got));
    check_same_bytes(&got, want, n);
    for (size_t i = 0; i < n; i++) {
        assert_false(get(want, i, &got));
    }
}

static void test_older_versions_lack_the_newest_words(void **state) {
    (void)state;
    uint8_t   bytes[N_BYTES];
    run_state got;
    assert_true(get(bytes, put(bytes, '4', words, 2), &got));
    assert_int_equal(got.course.save_base, 16);
    assert_int_equal(got.n_rows, 19);
    assert_int_equal(got.course.recovery_trials, 0);
    assert_int_equal(got.content, 0);
    assert_true(got.course.early_stop.best == 26);
    assert_true(get(bytes, put(bytes, '3', words, 6), &got));
    assert_int_equal(got.course.save_base, -1);
    assert_int_equal(got.best_rule, 0);
    assert_int_equal(got.course.early_stop.n_worse, 15);
    assert_true(got.scale.factor == 22);
    assert_false(get(bytes, put(bytes, '6', words, 0), &got));
    assert_false(get(bytes, put(bytes, '2', words, 6), &got));
}

/* What a run adds to must not overflow; -1 is a step for the last save that was due alone. */
static void test_impossible_words_are_refused(void **state) {
    (void)state;
    static const struct {
        int      place;
        uint64_t word;
        bool     is_right;
    } rows[] = {{0, UINT64_MAX, true},
                {4, 77, true},
                {5, UINT64_MAX, false},
                {6, UINT64_C(1) << 53, true},
                {6, (UINT64_C(1) << 53) + 1, false},
                {11, 3, false},
                {12, UINT64_MAX, false},
                {15, UINT64_MAX, true},
                {15, UINT64_MAX - 1, false},
                {18, UINT64_MAX, false},
                {19, UINT64_MAX, false},
                {20, UINT64_MAX, true}};
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        uint8_t   bytes[N_BYTES];
        uint64_t  changed[N_WORDS];
        run_state got;
        memcpy(changed, words, sizeof words);
        changed[rows[i].place] = rows[i].word;
        assert_int_equal(get(bytes, put(bytes, '5', changed, 0), &got), rows[i].is_right);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_bytes_are_those_of_the_page),
        cmocka_unit_test(test_older_versions_lack_the_newest_words),
        cmocka_unit_test(test_impossible_words_are_refused),
    };
    return cmocka_run_group_tests_name("run_state", tests, NULL, NULL);
}
