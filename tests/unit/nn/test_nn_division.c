/* SPDX-License-Identifier: Apache-2.0
 *
 * How a large product is divided, seen by what its kernels are called for: what is packed, and in
 * which order tiles come. (Its numbers: test_nn_product.c.) */
#include <stdatomic.h>

#include "bt/base/pool.h"
#include "bt/nn.h"
#include "test_support.h"

enum { MAX_FLOATS = 1 << 21 };

static float         a[MAX_FLOATS], b[MAX_FLOATS], c[MAX_FLOATS];
static unsigned char panels[2][1 << 23];

/* Rows of A and columns of B that were packed, each time they were. */
static bt_kern_product     counted;
static atomic_int_fast64_t n_packed_rows, n_packed_cols;

static void count_a(void *to, const float *x, int64_t wide_step, int64_t deep_step, int64_t n_wide,
                    int64_t n_there, int64_t depth) {
    atomic_fetch_add(&n_packed_rows, n_wide);
    counted.pack_a(to, x, wide_step, deep_step, n_wide, n_there, depth);
}

static void count_b(void *to, const float *x, int64_t wide_step, int64_t deep_step, int64_t n_wide,
                    int64_t n_there, int64_t depth) {
    atomic_fetch_add(&n_packed_cols, n_wide);
    counted.pack_b(to, x, wide_step, deep_step, n_wide, n_there, depth);
}

static void expect_packed(bt_nn *nn, const bt_nn_product *p, int32_t n, int64_t rows,
                          int64_t cols) {
    atomic_store(&n_packed_rows, 0);
    atomic_store(&n_packed_cols, 0);
    bt_nn_products_beside(nn, p, n);
    assert_int_equal(atomic_load(&n_packed_rows), rows);
    assert_int_equal(atomic_load(&n_packed_cols), cols);
}

/* Two threads: B, which has no panels yet, has half of its columns in each where A lies ready; and
 * where both must be packed, three gradients pack the rows that they share once a thread. */
static void test_nothing_is_packed_twice(void **state) {
    (void)state;
    enum { TOKENS = 420, WIDTH = 128 };
    bt_kern  kern;
    bt_pool *pool = NULL;
    assert_ok(bt_kern_select("auto", &kern, err));
    if (kern.products[BT_PRECISION_F32].tile_in_place == NULL) {
        test_skip("these kernels pack both factors");
    }
    assert_ok(bt_pool_create(&pool, 2, err));
    counted = kern.products[BT_PRECISION_F32];
    bt_kern_product product = counted;
    product.pack_a = count_a;
    product.pack_b = count_b;
    bt_nn         nn = {.kern = &kern,
                        .pool = pool,
                        .product = &product,
                        .panels = panels[0],
                        .panel_bytes = sizeof panels[0]};
    bt_nn_product p[BT_NN_MOST_PRODUCTS];
    for (int i = 0; i < BT_NN_MOST_PRODUCTS; i++) {
        p[i] = (bt_nn_product){.c = c + (ptrdiff_t)i * TOKENS * WIDTH,
                               .ld_c = WIDTH,
                               .a = a,
                               .ld_a = WIDTH,
                               .b = b + (ptrdiff_t)i * TOKENS * WIDTH,
                               .ld_b = WIDTH,
                               .M = TOKENS / product.rows * product.rows,
                               .N = WIDTH,
                               .K = WIDTH,
                               .alpha = 1};
    }
    expect_packed(&nn, p, 1, 0, WIDTH);
    expect_packed(&nn, p, BT_NN_MOST_PRODUCTS, 0, BT_NN_MOST_PRODUCTS * WIDTH);
    for (int i = 0; i < BT_NN_MOST_PRODUCTS; i++) {
        p[i].trans_a = BT_KERN_T;
        p[i].M = WIDTH;
        p[i].K = product.depth;
    }
    expect_packed(&nn, p, BT_NN_MOST_PRODUCTS, 2 * WIDTH, BT_NN_MOST_PRODUCTS * WIDTH);
    bt_pool_free(pool);
}

static int64_t n_tiles, n_tiles_of_first_rows;

static void count_tile(float *to, int64_t ld_c, const void *a_panel, const void *b_panel,
                       int64_t n_rows, int64_t n_cols, int64_t depth, float alpha,
                       bool accumulate) {
    n_tiles++;
    counted.tile(to, ld_c, a_panel, b_panel, n_rows, n_cols, depth, alpha, accumulate);
}

static void see_first_rows(void *context, int32_t thread, float *out, int64_t ld_out, int64_t row,
                           int64_t n_rows, int64_t col, int64_t n_cols) {
    (void)context;
    (void)thread;
    (void)out;
    (void)ld_out;
    (void)n_rows;
    (void)n_cols;
    n_tiles_of_first_rows = row == 0 && col == 0 ? n_tiles : n_tiles_of_first_rows;
}

/* Where the columns of all that is added up have room, a tile's rows of C are complete before the
 * next ones begin; else each step goes through all rows. */
static void test_sums_are_completed_at_once(void **state) {
    (void)state;
    enum { DEPTH = 64, ROWS = 70, NARROW = 64, WIDE = 16384 };
    bt_kern kern;
    assert_ok(bt_kern_select("auto", &kern, err));
    counted = kern.products[BT_PRECISION_F32];
    bt_kern_product product = counted;
    product.tile = count_tile;
    product.tile_in_place = NULL;
    bt_nn nn = {
        .kern = &kern, .product = &product, .panels = panels[0], .panel_bytes = sizeof panels[0]};
    if (counted.rows == 0) {
        test_skip("these kernels leave products to BLAS");
    }
    for (int is_wide = 0; is_wide < 2; is_wide++) {
        const int64_t n_cols = is_wide == 1 ? WIDE : NARROW;
        bt_nn_product p[BT_NN_MOST_PRODUCTS];
        for (int i = 0; i < BT_NN_MOST_PRODUCTS; i++) {
            p[i] = (bt_nn_product){.c = c,
                                   .ld_c = n_cols,
                                   .a = a + (ptrdiff_t)i * ROWS * DEPTH,
                                   .ld_a = DEPTH,
                                   .b = b,
                                   .ld_b = n_cols,
                                   .M = ROWS,
                                   .N = n_cols,
                                   .K = DEPTH,
                                   .alpha = 1,
                                   .epilogue = see_first_rows};
        }
        n_tiles = 0;
        bt_nn_products_summed(&nn, p, BT_NN_MOST_PRODUCTS);
        const int64_t of_a_row = BT_NN_MOST_PRODUCTS * ((n_cols + product.cols - 1) / product.cols);
        assert_true(is_wide == 1 ? n_tiles_of_first_rows > of_a_row
                                 : n_tiles_of_first_rows == of_a_row);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nothing_is_packed_twice),
                                       cmocka_unit_test(test_sums_are_completed_at_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
