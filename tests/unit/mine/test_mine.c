/* SPDX-License-Identifier: Apache-2.0
 *
 * mine: pairs, thresholds and neighbours against plain NumPy (make_goldens/make_mining.py), sides
 * of more than one block against a search without blocks, equal and missing scores, failing memory.
 */
#include "test_tensors.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/stop.h"
#include "bt/mine.h"
#include "test_random.h"

static float *read_unit_rows(const json_t *c, const char *key, int64_t H, int64_t *n_rows) {
    const json_t *const values = json_object_get(c, key);
    const size_t        n = json_array_size(values);
    float *const        rows = bt_alloc_array(n, sizeof *rows);
    assert_non_null(rows);
    for (size_t i = 0; i < n; i++) {
        rows[i] = (float)json_number_value(json_array_get(values, i));
    }
    *n_rows = (int64_t)n / H;
    bt_mine_unit_rows(rows, *n_rows, H);
    return rows;
}

static int64_t int_at(const json_t *list, size_t i) {
    return json_integer_value(json_array_get(list, i));
}

static void check_best(const bt_neighbour *best, int64_t n, const json_t *want, const char *what) {
    assert_int_equal(json_array_size(want), n);
    for (int64_t i = 0; i < n; i++) {
        if (best[i].row != int_at(want, (size_t)i)) {
            fail_msg("%s: the best of row %" PRId64 " is %" PRId64 ", expected %" PRId64, what, i,
                     best[i].row, int_at(want, (size_t)i));
        }
    }
}

static void check_pairs(const bt_mined *mined, const json_t *want, const char *what) {
    assert_int_equal(mined->n_pairs, json_array_size(want));
    for (size_t i = 0; i < json_array_size(want); i++) {
        const json_t *const row = json_array_get(want, i);
        const double        score = json_number_value(json_array_get(row, 0));
        const double        got = (double)mined->pairs[i].score;
        test_close_f64(&got, &score, 1, 0, 2e-6, what);
        assert_int_equal(mined->pairs[i].left, int_at(row, 1));
        assert_int_equal(mined->pairs[i].right, int_at(row, 2));
    }
}

static bool is_gold_pair(const json_t *gold, const bt_mined_pair *pair) {
    for (size_t i = 0; i < json_array_size(gold); i++) {
        const json_t *const row = json_array_get(gold, i);
        if (int_at(row, 0) == pair->left && int_at(row, 1) == pair->right) {
            return true;
        }
    }
    return false;
}

static void check_quality(const bt_mined *mined, const json_t *gold, const json_t *want,
                          const char *what) {
    bool is_gold[64] = {0};
    assert_true(mined->n_pairs <= (int64_t)BT_ARRAY_LEN(is_gold));
    for (int64_t i = 0; i < mined->n_pairs; i++) {
        is_gold[i] = is_gold_pair(gold, &mined->pairs[i]);
    }
    const bt_mine_quality got =
        bt_mine_best_f1(mined->pairs, is_gold, mined->n_pairs, (int64_t)json_array_size(gold));
    const double      values[4] = {got.f1, got.precision, got.recall, got.threshold};
    const char *const keys[4] = {"f1", "precision", "recall", "threshold"};
    for (int i = 0; i < 4; i++) {
        const double number = json_number_value(json_object_get(want, keys[i]));
        test_close_f64(&values[i], &number, 1, 0, 2e-6, what);
    }
    assert_int_equal(got.n_kept, json_integer_value(json_object_get(want, "n_kept")));
}

static void check_case(const char *name, const json_t *c) {
    const int64_t H = json_integer_value(json_object_get(c, "width"));
    const int64_t k = json_integer_value(json_object_get(c, "k"));
    bt_mine_side  left;
    bt_mine_side  right;
    float *const  left_rows = read_unit_rows(c, "left", H, &left.n_rows);
    float *const  right_rows = read_unit_rows(c, "right", H, &right.n_rows);
    left.vectors = left_rows;
    right.vectors = right_rows;
    for (int s = 0; s < 2; s++) {
        const json_t *const want = json_object_get(c, s == 0 ? "ratio" : "cosine");
        char                what[64];
        bt_mined            mined;
        (void)snprintf(what, sizeof what, "%s %s", name, s == 0 ? "ratio" : "cosine");
        assert_ok(
            bt_mine_pairs(&mined, left, right, H, s == 0 ? BT_MINE_RATIO : BT_MINE_COSINE, k, err));
        check_best(mined.best_of_left, left.n_rows, json_object_get(want, "best_of_left"), what);
        check_best(mined.best_of_right, right.n_rows, json_object_get(want, "best_of_right"), what);
        check_pairs(&mined, json_object_get(want, "pairs"), what);
        check_quality(&mined, json_object_get(c, "gold"), json_object_get(want, "quality"), what);
        assert_int_equal(bt_mine_n_same_row(mined.best_of_left, left.n_rows),
                         json_integer_value(json_object_get(want, "n_same_row")));
        bt_mined_deinit(&mined);
    }
    bt_free(left_rows);
    bt_free(right_rows);
}

static void test_pairs_match_numpy(void **state) {
    (void)state;
    json_t *const cases = test_read_json(test_source_path("tests/goldens/mine/cases.json"));
    const char   *name = NULL;
    json_t       *c = NULL;
    json_object_foreach(cases, name, c) {
        check_case(name, c);
    }
    assert_int_equal(json_object_size(cases), 3);
    json_decref(cases);
}

enum { N_LEFT = 1100, N_RIGHT = 2051, H = 5, K = 3 };

static float        left_rows[N_LEFT * H], right_rows[N_RIGHT * H];
static bt_neighbour of_left[N_LEFT * K], of_right[N_RIGHT * K];

static void fill(float *x, int64_t n, uint64_t seed) {
    const bt_rng_key key = bt_rng_key_make(seed, 0, 0, 1);
    for (int64_t i = 0; i < n; i++) {
        x[i] = (float)test_normal(key, (uint64_t)i);
    }
}

static double cosine(const float *x, const float *y) {
    double sum = 0;
    for (int i = 0; i < H; i++) {
        sum += (double)x[i] * (double)y[i];
    }
    return sum;
}

/* A row's list against all rows of the other side: none that is left out may be clearly better. */
static void check_list(const bt_neighbour *list, const float *row, const float *others,
                       int64_t n_others) {
    double  worst = INFINITY;
    int64_t n_better = 0;
    for (int i = 0; i < K; i++) {
        const double want = cosine(row, others + list[i].row * H);
        const double got = (double)list[i].score;
        test_close_f64(&got, &want, 1, 1e-6, 0, "score of a neighbour");
        assert_true(got <= worst);
        worst = got;
    }
    for (int64_t j = 0; j < n_others; j++) {
        n_better += cosine(row, others + j * H) > worst + 1e-6;
    }
    assert_true(n_better < K);
}

static void test_blocks_do_not_show(void **state) {
    (void)state;
    fill(left_rows, N_LEFT * H, 1);
    fill(right_rows, N_RIGHT * H, 2);
    bt_mine_unit_rows(left_rows, N_LEFT, H);
    bt_mine_unit_rows(right_rows, N_RIGHT, H);
    const bt_mine_side left = {left_rows, N_LEFT};
    const bt_mine_side right = {right_rows, N_RIGHT};
    assert_ok(bt_mine_neighbours(of_left, of_right, left, right, H, K, err));
    for (int64_t i = 0; i < N_LEFT; i++) {
        check_list(of_left + i * K, left_rows + i * H, right_rows, N_RIGHT);
    }
    for (int64_t j = 0; j < N_RIGHT; j++) {
        check_list(of_right + j * K, right_rows + j * H, left_rows, N_LEFT);
    }
}

/* Equal vectors in different blocks: the lower row is first. */
static void test_equal_scores_go_to_the_lower_row(void **state) {
    (void)state;
    for (int64_t j = 0; j < N_RIGHT; j++) {
        memcpy(right_rows + j * H, (const float[H]){1, 0, 0, 0, 0}, sizeof(float[H]));
    }
    memcpy(left_rows, (const float[2 * H]){1, 0, 0, 0, 0, 1}, sizeof(float[2 * H]));
    const bt_mine_side left = {left_rows, 2};
    const bt_mine_side right = {right_rows, N_RIGHT};
    assert_ok(bt_mine_neighbours(of_left, of_right, left, right, H, K, err));
    for (int64_t i = 0; i < 2; i++) {
        for (int64_t n = 0; n < K; n++) {
            assert_int_equal(of_left[i * K + n].row, n);
        }
    }
    assert_int_equal(of_right[1700 * K].row, 0);
    assert_int_equal(of_right[1700 * K + 1].row, 1);
    assert_int_equal(of_right[1700 * K + 2].row, -1); /* there are two left rows only */
}

static void test_odd_vectors_pair_with_nothing(void **state) {
    (void)state;
    float              rows[3 * 2] = {0, 0, NAN, 1, 3, 4};
    float              others[2] = {5, 0};
    bt_mined           mined;
    const bt_mine_side left = {rows, 3};
    const bt_mine_side right = {others, 1};
    bt_mine_unit_rows(rows, 3, 2);
    bt_mine_unit_rows(others, 1, 2);
    test_close_f32(rows + 4, (const float[]){0.6F, 0.8F}, 2, 0, 1e-7, "a unit row");
    assert_ok(bt_mine_pairs(&mined, left, right, 2, BT_MINE_RATIO, 1, err));
    assert_int_equal(mined.best_of_left[1].row, -1);
    assert_int_equal(mined.n_pairs, 1);
    assert_int_equal(mined.pairs[0].left, 2);
    bt_mined_deinit(&mined);
    const bt_mine_side none = {others, 0};
    assert_ok(bt_mine_pairs(&mined, left, none, 2, BT_MINE_RATIO, 4, err));
    assert_int_equal(mined.n_pairs, 0);
    const bt_mine_quality nothing = bt_mine_best_f1(mined.pairs, NULL, 0, 5);
    assert_true(nothing.f1 == 0 && isnan(nothing.threshold));
    bt_mined_deinit(&mined);
}

/* Pairs of one score cannot be told apart by a threshold. */
static void test_equal_scores_are_kept_together(void **state) {
    (void)state;
    const bt_mined_pair   pairs[] = {{2, 0, 0}, {1, 1, 1}, {1, 2, 2}, {0, 3, 3}};
    const bool            is_gold[] = {false, true, false, false};
    const bt_mine_quality got = bt_mine_best_f1(pairs, is_gold, 4, 1);
    assert_int_equal(got.n_kept, 3);
    assert_true(got.threshold == 0.5 && got.recall == 1);
}

static void test_failing_allocations(void **state) {
    (void)state;
    float              rows[4] = {1, 0, 0, 1};
    const bt_mine_side side = {rows, 2};
    bt_mined           mined;
    uint64_t           k = 1;
    for (;; k++) {
        bt_error err = BT_ERROR_INIT;
        bt_alloc_fail_at(k, false);
        const bt_status rc = bt_mine_pairs(&mined, side, side, 2, BT_MINE_RATIO, 2, &err);
        bt_alloc_fail_at(0, false);
        if (rc == BT_OK) {
            break;
        }
        assert_int_equal(rc, BT_E_NOMEM);
        assert_null(mined.pairs);
    }
    assert_true(k > 5);
    bt_mined_deinit(&mined);
}

/* Hours of products among millions of sentences must not outlast a signal. */
static void test_stops_when_asked(void **state) {
    (void)state;
    const float        vectors[2] = {1, 0};
    const bt_mine_side side = {.vectors = vectors, .n_rows = 1};
    bt_mined           mined = {0};
    bt_stop_set(SIGTERM);
    assert_fails(bt_mine_pairs(&mined, side, side, 2, BT_MINE_COSINE, 1, err), BT_E_INTERRUPTED,
                 "stopped by SIGTERM");
    bt_stop_set(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs_match_numpy),
        cmocka_unit_test(test_blocks_do_not_show),
        cmocka_unit_test(test_equal_scores_go_to_the_lower_row),
        cmocka_unit_test(test_odd_vectors_pair_with_nothing),
        cmocka_unit_test(test_equal_scores_are_kept_together),
        cmocka_unit_test(test_failing_allocations),
        cmocka_unit_test(test_stops_when_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
