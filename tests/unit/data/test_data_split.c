/* SPDX-License-Identifier: Apache-2.0
 *
 * Folds: no row is in two of them, every row is in one, of each label each has its share, and the
 * training has just the others. */
#include <string.h>

#include "data_internal.h"

#include "test_support.h"

enum { MAX_ROWS = 120, N_LABELS = 3 };

/* The label of row i: a half, a third, a sixth of the rows. */
static int64_t label_of(int64_t row) {
    return row % 6 < 3 ? 0 : row % 6 < 5 ? 1 : 2;
}

static bt_status read_label(data_rows *rows, int64_t row, int64_t *label, float *score,
                            bt_error *err) {
    (void)rows;
    (void)err;
    *label = label_of(row);
    *score = 0;
    return BT_OK;
}

/* How often each row is held out in all folds together; by label how many in each fold. */
static void count_folds(int64_t n, int64_t n_folds, int64_t used[MAX_ROWS],
                        int64_t by_label[][N_LABELS]) {
    static const data_rows_ops ops = {.label = read_label};
    data_rows                  rows = {.ops = &ops, .n_rows = n};
    for (int64_t fold = 0; fold < n_folds; fold++) {
        bool           only[MAX_ROWS];
        bool           without[MAX_ROWS];
        bt_error       err = BT_ERROR_INIT;
        bt_str         told = BT_STR_INIT;
        bt_data_config config = {.held_out = BT_HELD_OUT_ONLY,
                                 .held_out_share = 1.0 / (double)n_folds,
                                 .held_out_fold = fold,
                                 .held_out_seed = 7};
        assert_int_equal(data_split_draw(&rows, &config, only, &told, &err), BT_OK);
        config.held_out = BT_HELD_OUT_WITHOUT;
        assert_int_equal(data_split_draw(&rows, &config, without, &told, &err), BT_OK);
        bt_str_deinit(&told);
        for (int64_t i = 0; i < n; i++) {
            assert_true(only[i] != without[i]);
            used[i] += only[i] ? 1 : 0;
            by_label[fold][label_of(i)] += only[i] ? 1 : 0;
        }
    }
}

static void test_folds(void **state) {
    (void)state;
    for (int64_t n = 40; n <= MAX_ROWS; n++) {
        for (int64_t n_folds = 2; n_folds <= 10; n_folds++) {
            int64_t used[MAX_ROWS] = {0};
            int64_t by_label[10][N_LABELS] = {0};
            count_folds(n, n_folds, used, by_label);
            for (int64_t i = 0; i < n; i++) {
                assert_int_equal(used[i], 1);
            }
            for (int64_t label = 0; label < N_LABELS; label++) {
                int64_t n_label = 0;
                for (int64_t i = 0; i < n; i++) {
                    n_label += label_of(i) == label ? 1 : 0;
                }
                for (int64_t fold = 0; fold < n_folds; fold++) { /* as even as can be */
                    assert_in_range(by_label[fold][label], n_label / n_folds,
                                    (n_label + n_folds - 1) / n_folds);
                }
            }
        }
    }
}

/* Units without labels; the first fold is what a share alone holds out. */
static void test_units(void **state) {
    (void)state;
    bool           first[MAX_ROWS];
    bool           alone[MAX_ROWS];
    int            n_held = 0;
    bt_error       err = BT_ERROR_INIT;
    bt_data_config config = {.held_out = BT_HELD_OUT_ONLY, .held_out_share = 0.1};
    assert_int_equal(data_split_units(100, "sentences", &config, alone, &err), BT_OK);
    for (config.held_out_fold = 0; config.held_out_fold < 10; config.held_out_fold++) {
        assert_int_equal(data_split_units(100, "sentences", &config, first, &err), BT_OK);
        for (size_t i = 0; i < 100; i++) {
            n_held += first[i] ? 1 : 0;
            assert_true(config.held_out_fold == 0 ? first[i] == alone[i] : !(first[i] && alone[i]));
        }
    }
    assert_int_equal(n_held, 100);
    config.held_out_fold = 4; /* two units: one of five parts has none */
    config.held_out_share = 0.2;
    assert_int_equal(data_split_units(2, "articles", &config, first, &err), BT_E_FORMAT);
    assert_non_null(strstr(err.msg, "0 of 2 articles are held out"));
}

/* As docs/formats.md says: of each label those that splitmix64 of seed and row puts first. */
static uint64_t draw_of(uint64_t seed, int64_t number) {
    uint64_t x = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)number;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

enum { N_DRAWN = 5000, N_MANY_LABELS = 900 };

/* Few and many rows a label, small labels and large ones. */
static int64_t uneven_label(int64_t row) {
    return row % 3 == 0 ? 2 : row % 3 == 1 ? row % N_MANY_LABELS : INT32_MAX - row % 7;
}

static bt_status read_uneven(data_rows *rows, int64_t row, int64_t *label, float *score,
                             bt_error *err) {
    (void)rows;
    (void)score;
    (void)err;
    *label = uneven_label(row);
    return BT_OK;
}

/* How many rows of its label are drawn before it, and how many there are. */
static void rank_of(int64_t row, uint64_t seed, int64_t *rank, int64_t *n) {
    const uint64_t own = draw_of(seed, row);
    *rank = *n = 0;
    for (int64_t i = 0; i < N_DRAWN; i++) {
        if (uneven_label(i) == uneven_label(row)) {
            *rank += draw_of(seed, i) < own ? 1 : 0;
            (*n)++;
        }
    }
}

static void test_those_that_are_drawn_first(void **state) {
    (void)state;
    static const data_rows_ops ops = {.label = read_uneven};
    static bool                is_used[N_DRAWN];
    data_rows                  rows = {.ops = &ops, .n_rows = N_DRAWN};
    for (int64_t fold = 0; fold < 4; fold++) {
        bt_error       err = BT_ERROR_INIT;
        bt_str         told = BT_STR_INIT;
        bt_data_config config = {.held_out = BT_HELD_OUT_ONLY,
                                 .held_out_share = 0.25,
                                 .held_out_fold = fold,
                                 .held_out_seed = 5 + (uint64_t)fold};
        assert_int_equal(data_split_draw(&rows, &config, is_used, &told, &err), BT_OK);
        bt_str_deinit(&told);
        for (int64_t row = 0; row < N_DRAWN; row++) {
            int64_t rank = 0;
            int64_t n = 0;
            rank_of(row, config.held_out_seed, &rank, &n);
            const int64_t first =
                fold > 0 && n > 1 && (n * fold + 2) / 4 == 0 ? 1 : (n * fold + 2) / 4;
            const int64_t end =
                n > 1 && (n * (fold + 1) + 2) / 4 == 0 ? 1 : (n * (fold + 1) + 2) / 4;
            assert_int_equal(is_used[row], first <= rank && rank < end);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folds),
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_those_that_are_drawn_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
