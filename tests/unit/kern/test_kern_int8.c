/* SPDX-License-Identifier: Apache-2.0
 *
 * Products in 8 bits: every variant that this machine can run gives the bits of the portable one,
 * rows of every kind come back within half a step, and the integers are those of plain sums. */
#include <math.h>
#include <string.h>

#include "bt/kern.h"
#include "bt/kern/int8.h"
#include "kern_test_data.h"

#ifdef BT_KERN_AMX_MODEL
extern const bt_kern_int8 kern_int8_amx_model; /* a build of kern_int8_amx.c for tests */
#endif

enum { MAX_ROWS = 64, MAX_DEPTH = 1600, LD = MAX_DEPTH, COLS = BT_KERN_INT8_COLS };
enum { MOST_PANELS = 8, LD_WIDE = MOST_PANELS * COLS };

static float            in[MAX_ROWS * MAX_DEPTH];
static uint8_t          q[MAX_ROWS * LD], q_ref[MAX_ROWS * LD];
static bt_kern_int8_row rows[MAX_ROWS];
static int8_t           weights[MAX_DEPTH * COLS];
static int32_t          sums[COLS];
static float            w[MAX_DEPTH * COLS], steps[COLS], bias[COLS];
static float            c[MAX_ROWS * (COLS + 3)], c_ref[MAX_ROWS * (COLS + 3)];
static int8_t           panels[MOST_PANELS * MAX_DEPTH * COLS];
static int32_t          panel_sums[MOST_PANELS * COLS];
static float            panel_steps[MOST_PANELS * COLS], panel_bias[MOST_PANELS * COLS];
static float            c_wide[MAX_ROWS * LD_WIDE], c_wide_ref[MAX_ROWS * LD_WIDE];

static void fill(float *x, size_t n, uint64_t site, float size) {
    const bt_rng_key key = bt_rng_key_make(5, site, 0, 0);
    for (size_t i = 0; i < n; i++) {
        x[i] = (bt_rng_uniform(key, i) * 2 - 1) * size;
    }
}

static void check_near(double got, double want, double tolerance) {
    assert_true(fabs(got - want) <= tolerance); /* false of NaN */
}

/* Both ways of a row, and no byte after what was promised. */
static bt_kern_int8_row check_row(const bt_kern_int8 *kern, const float *x, int64_t n) {
    const bt_kern_int8 *const ref = bt_kern_int8_variant(0);
    const size_t              depth = (size_t)bt_kern_int8_depth(n);
    bt_kern_int8_row          row, want;
    memset(q, 0xA5, depth + 1);
    memset(q_ref, 0, depth);
    kern->quantize(q, &row, x, n);
    ref->quantize(q_ref, &want, x, n);
    assert_memory_equal(q, q_ref, depth);
    assert_int_equal(q[depth], 0xA5);
    assert_int_equal(row.zero, want.zero);
    assert_true(memcmp(&row.step, &want.step, sizeof row.step) == 0 ||
                (isnan(row.step) && isnan(want.step)));
    for (size_t i = (size_t)n; i < depth; i++) {
        assert_int_equal(q[i], 0);
    }
    return row;
}

static void check_half_a_step(const float *x, int64_t n, bt_kern_int8_row row) {
    for (int64_t i = 0; i < n; i++) {
        const double back = (double)(q[i] - row.zero) * (double)row.step;
        assert_true(fabs(back - (double)x[i]) <= 0.502 * (double)row.step);
    }
}

static void rows_come_back(const bt_kern_int8 *kern) {
    static const float shifts[] = {0, 3, -3, 0.9F};
    for (int64_t n = 1; n < 150; n++) {
        for (size_t s = 0; s < BT_ARRAY_LEN(shifts); s++) {
            fill(in, (size_t)n, (uint64_t)n, 1);
            for (int64_t i = 0; i < n; i++) {
                in[i] += shifts[s];
            }
            check_half_a_step(in, n, check_row(kern, in, n));
            check_half_a_step(in + 1, n - 1, check_row(kern, in + 1, n - 1));
        }
    }
}

static void odd_rows(const bt_kern_int8 *kern) {
    static const struct {
        float   x[3];
        uint8_t bytes[3];
        int32_t zero;
    } cases[] = {
        {{0, 0, 0}, {0, 0, 0}, 0},                 /* nothing */
        {{-0.0F, 0, -0.0F}, {0, 0, 0}, 0},         /* nor here */
        {{2, 2, 2}, {255, 255, 255}, 0},           /* 0 is a step in every row */
        {{-2, -2, -2}, {0, 0, 0}, 255},            /* of either sign */
        {{-1, 254, 0}, {0, 255, 1}, 1},            /* whole steps */
        {{1e-38F, -1e-38F, 1e-31F}, {0, 0, 0}, 0}, /* too small for a step */
        {{3e38F, 0, 1e30F}, {255, 0, 0}, 0},       /* as large as can be */
        {{1e-29F, 0, 5e-30F}, {255, 0, 128}, 0},   /* as small */
        {{-0.5F, 254.5F, 127}, {0, 254, 127}, 0},  /* half a step below 0, rounded to even */
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(cases); i++) {
        for (int64_t first = 0; first < 20; first += 19) { /* in a vector, and after one */
            memset(in, 0, sizeof in[0] * 32);
            memcpy(in + first, cases[i].x, sizeof cases[i].x);
            const bt_kern_int8_row row = check_row(kern, in, first + 3);
            assert_int_equal(row.zero, cases[i].zero);
            assert_memory_equal(q + first, cases[i].bytes, 3);
            assert_true(isfinite(row.step) && row.step > 0);
        }
    }
}

static void what_is_not_finite_shows(const bt_kern_int8 *kern) {
    static const float odd[] = {NAN, INFINITY, -INFINITY, -NAN};
    for (size_t i = 0; i < BT_ARRAY_LEN(odd); i++) {
        for (int64_t at = 0; at < 37; at++) {
            fill(in, 37, 3, 1);
            in[at] = odd[i];
            assert_true(isnan(check_row(kern, in, 37).step));
        }
    }
    in[0] = 3e38F; /* a range beyond float */
    in[1] = -3e38F;
    assert_true(isnan(check_row(kern, in, 2).step));
}

/* By the portable one, whose tiles have fewer rows. */
static void multiply_in_slices(const bt_kern_int8_tile *whole) {
    const bt_kern_int8 *const ref = bt_kern_int8_variant(0);
    for (int64_t i = 0; i < whole->n_rows; i += ref->rows) {
        bt_kern_int8_tile t = *whole;
        t.c += i * t.ld_c;
        t.a += i * t.ld_a;
        t.rows += i;
        t.n_rows = t.n_rows - i < ref->rows ? t.n_rows - i : ref->rows;
        ref->multiply(&t);
    }
}

static void check_tile(const bt_kern_int8 *kern, int64_t n_rows, int64_t n_cols, int64_t K,
                       bool accumulate) {
    const bt_kern_int8 *const ref = bt_kern_int8_variant(0);
    bt_kern_int8_tile         t = {.c = c,
                                   .ld_c = COLS + 3,
                                   .a = q,
                                   .ld_a = LD,
                                   .rows = rows,
                                   .panel = {weights, sums, steps, bias},
                                   .n_rows = n_rows,
                                   .n_cols = n_cols,
                                   .depth = bt_kern_int8_depth(K),
                                   .accumulate = accumulate};
    assert_true(bt_kern_int8_pack(weights, sums, steps, w, COLS, K, n_cols));
    for (int64_t i = 0; i < kern->rows; i++) {
        ref->quantize(q + i * LD, &rows[i], in + i * K, K);
    }
    fill(c, BT_ARRAY_LEN(c), 9, 1);
    memcpy(c_ref, c, sizeof c);
    if (kern->start != NULL) {
        kern->start();
    }
    kern->multiply(&t);
    if (kern->stop != NULL) {
        kern->stop();
    }
    t.c = c_ref;
    multiply_in_slices(&t);
    assert_memory_equal(c, c_ref, sizeof c);
}

static void tiles_have_the_same_bits(const bt_kern_int8 *kern) {
    static const int64_t depths[] = {1, 3, 4, 63, 64, 65, 511, 513, 1536};
    static const int64_t cols[] = {1, 7, 8, 15, 16, 17, 31, 32};
    fill(w, BT_ARRAY_LEN(w), 1, 0.5F);
    fill(bias, BT_ARRAY_LEN(bias), 2, 1);
    fill(in, BT_ARRAY_LEN(in), 4, 2);
    assert_true(kern->rows <= MAX_ROWS);
    for (size_t d = 0; d < BT_ARRAY_LEN(depths); d++) {
        for (int64_t n_rows = 1; n_rows <= kern->rows; n_rows++) {
            check_tile(kern, n_rows, cols[(size_t)n_rows % BT_ARRAY_LEN(cols)], depths[d],
                       n_rows % 3 == 0);
        }
        for (size_t n = 0; n < BT_ARRAY_LEN(cols); n++) {
            check_tile(kern, kern->rows, cols[n], depths[d], n % 2 == 0);
        }
    }
}

/* A tile of several panels is one of each after another, the last one with n_last columns. */
static void check_panels(const bt_kern_int8 *kern, int64_t n_rows, int64_t K, int64_t n_last,
                         bool accumulate) {
    const bt_kern_int8 *const ref = bt_kern_int8_variant(0);
    const int64_t             n_panels = kern->panels;
    const int64_t             depth = bt_kern_int8_depth(K);
    bt_kern_int8_tile         t = {.c = c_wide,
                                   .ld_c = LD_WIDE,
                                   .a = q,
                                   .ld_a = LD,
                                   .rows = rows,
                                   .panel = {panels, panel_sums, panel_steps, panel_bias},
                                   .n_rows = n_rows,
                                   .n_cols = (n_panels - 1) * COLS + n_last,
                                   .depth = depth,
                                   .accumulate = accumulate};
    assert_true(kern->rows >= n_rows && kern->rows <= MAX_ROWS && n_panels >= 1 &&
                n_panels <= MOST_PANELS);
    fill(panel_bias, BT_ARRAY_LEN(panel_bias), 6, 1);
    fill(c_wide, BT_ARRAY_LEN(c_wide), 7, 1);
    memcpy(c_wide_ref, c_wide, sizeof c_wide);
    for (int64_t i = 0; i < kern->rows; i++) {
        ref->quantize(q + i * LD, &rows[i], in + i * K, K);
    }
    for (int64_t n = 0; n < n_panels; n++) {
        fill(w, BT_ARRAY_LEN(w), 10 + (uint64_t)n, 0.5F);
        assert_true(bt_kern_int8_pack(panels + n * depth * COLS, panel_sums + n * COLS,
                                      panel_steps + n * COLS, w, COLS, K,
                                      n < n_panels - 1 ? COLS : n_last));
    }
    if (kern->start != NULL) {
        kern->start();
    }
    kern->multiply(&t);
    if (kern->stop != NULL) {
        kern->stop();
    }
    for (int64_t n = 0; n < n_panels; n++) {
        t.c = c_wide_ref + n * COLS;
        t.panel = (bt_kern_int8_panel){panels + n * depth * COLS, panel_sums + n * COLS,
                                       panel_steps + n * COLS, panel_bias + n * COLS};
        t.n_cols = n < n_panels - 1 ? COLS : n_last;
        multiply_in_slices(&t);
    }
    assert_memory_equal(c_wide, c_wide_ref, sizeof c_wide);
}

static void panels_are_one_after_another(const bt_kern_int8 *kern) {
    static const int64_t depths[] = {5, 512, 1500};
    fill(in, BT_ARRAY_LEN(in), 4, 2);
    for (size_t d = 0; d < BT_ARRAY_LEN(depths); d++) {
        check_panels(kern, kern->rows, depths[d], COLS, d % 2 == 0);
        check_panels(kern, kern->rows, depths[d], 3, d % 2 != 0);
        check_panels(kern, (kern->rows + 1) / 2, depths[d], 3, d % 2 == 0);
    }
}

/* The largest sums there are: VPMADDUBSW would saturate. */
static void largest_sums_are_exact(const bt_kern_int8 *kern) {
    for (int sign = -1; sign <= 1; sign += 2) {
        for (size_t i = 0; i < BT_ARRAY_LEN(w); i++) {
            w[i] = (float)sign;
        }
        memset(bias, 0, sizeof bias);
        for (size_t i = 0; i < BT_ARRAY_LEN(in); i++) {
            in[i] = 1;
        }
        check_tile(kern, kern->rows, COLS, 1600, false);
        check_near((double)c[0], sign * 1600, 1e-3);
        assert_int_equal(sums[0], sign * 127 * 1600);
    }
}

static void every_variant(void (*check)(const bt_kern_int8 *kern)) {
    for (int i = 0; bt_kern_int8_variant(i) != NULL; i++) {
        check(bt_kern_int8_variant(i));
    }
#ifdef BT_KERN_AMX_MODEL
    if (bt_kern_has("avx512")) {
        check(&kern_int8_amx_model);
    }
#endif
}

static void test_rows_come_back_within_half_a_step(void **state) {
    (void)state;
    every_variant(rows_come_back);
}
static void test_odd_rows(void **state) {
    (void)state;
    every_variant(odd_rows);
}
static void test_what_is_not_finite_shows(void **state) {
    (void)state;
    every_variant(what_is_not_finite_shows);
}
static void test_tiles_have_the_same_bits(void **state) {
    (void)state;
    every_variant(tiles_have_the_same_bits);
}
static void test_panels_of_a_tile_are_one_after_another(void **state) {
    (void)state;
    every_variant(panels_are_one_after_another);
}
static void test_largest_sums_are_exact(void **state) {
    (void)state;
    every_variant(largest_sums_are_exact);
}

/* The portable one itself, in integers and doubles. */
static void test_the_sums_are_plain_sums(void **state) {
    (void)state;
    const bt_kern_int8 *const ref = bt_kern_int8_variant(0);
    const int64_t             K = 101;
    fill(w, BT_ARRAY_LEN(w), 1, 0.5F);
    fill(bias, BT_ARRAY_LEN(bias), 2, 1);
    fill(in, BT_ARRAY_LEN(in), 4, 2);
    check_tile(ref, ref->rows, COLS, K, false);
    for (int64_t i = 0; i < ref->rows; i++) {
        for (int64_t j = 0; j < COLS; j++) {
            int64_t n = 0;
            double  exact = 0;
            for (int64_t k = 0; k < K; k++) {
                const double q_w = rint((double)(w[k * COLS + j] / steps[j]));
                n += (int64_t)q_w * (q[i * LD + k] - rows[i].zero);
                exact += (double)in[i * K + k] * (double)w[k * COLS + j];
            }
            const double got = (double)c[i * (COLS + 3) + j] - (double)bias[j];
            check_near(got, (double)n * (double)rows[i].step * (double)steps[j], 1e-5);
            check_near(got, exact, 0.15);
        }
    }
}

static void test_weights(void **state) {
    (void)state;
    const float four[4 * 2] = {1, 0, -2, 0, 0.5F, 0, 0.0078F, 0};
    float       odd[2] = {1, NAN};
    assert_true(bt_kern_int8_pack(weights, sums, steps, four, 2, 4, 2));
    check_near((double)steps[0], 2.0 / 127, 1e-8);
    assert_int_equal(weights[0], 64); /* 63.5 to even */
    assert_int_equal(weights[1], -127);
    assert_int_equal(weights[2], 32);
    assert_int_equal(weights[3], 0);
    assert_int_equal(sums[0], 64 - 127 + 32);
    check_near((double)steps[1], 1, 0); /* a column of zeros */
    assert_int_equal(sums[1], 0);
    assert_int_equal(sums[2], 0); /* beyond the last one */
    assert_false(bt_kern_int8_pack(weights, sums, steps, odd, 1, 2, 1));
    odd[1] = -INFINITY;
    assert_false(bt_kern_int8_pack(weights, sums, steps, odd, 1, 2, 1));
    odd[0] = NAN;
    odd[1] = 1;
    assert_false(bt_kern_int8_pack(weights, sums, steps, odd, 1, 2, 1));
}

static void test_choice(void **state) {
    (void)state;
    assert_ptr_equal(bt_kern_int8_choose("ref"), bt_kern_int8_variant(0));
    int n = 0;
    while (bt_kern_int8_variant(n) != NULL) {
        n++;
    }
    bt_kern kern;
    assert_ok(bt_kern_select("auto", &kern, err));
    assert_ptr_equal(bt_kern_int8_choose(kern.isa), bt_kern_int8_variant(n - 1));
    if (bt_kern_has("avx2")) {
        assert_string_equal(bt_kern_int8_choose("avx2")->name, "int8 (AVX2)");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_come_back_within_half_a_step),
        cmocka_unit_test(test_odd_rows),
        cmocka_unit_test(test_what_is_not_finite_shows),
        cmocka_unit_test(test_tiles_have_the_same_bits),
        cmocka_unit_test(test_panels_of_a_tile_are_one_after_another),
        cmocka_unit_test(test_largest_sums_are_exact),
        cmocka_unit_test(test_the_sums_are_plain_sums),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
