/* SPDX-License-Identifier: Apache-2.0
 *
 * A product with a residual and a norm in its epilogue gives the bits of the same one after
 * another: where its rows stay whole, and where they are cut, as they are too wide for a block of
 * columns; on one thread and on three. */
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/bf16.h"
#include "bt/nn.h"
#include "test_random.h"
#include "test_support.h"

enum { R = 70, K = 24, NARROW = 48, WIDE = 8192, N_ALL = R * WIDE };

typedef struct results {
    float    sum[N_ALL], out[N_ALL], mean[R], rstd[R];
    uint16_t out16[N_ALL], kept[R * (WIDE / 16)];
} results;

static results  fused, apart;
static float    kernel[K * WIDE], residual[N_ALL], vectors[3][WIDE];
static uint16_t in[R * K];
static bt_kern  kern;

static void fill(float *x, int64_t n, uint64_t seed) {
    const bt_rng_key key = bt_rng_key_make(seed, 5, 0, BT_SITE_INIT);
    for (int64_t i = 0; i < n; i++) {
        x[i] = (float)test_normal(key, (uint64_t)i);
    }
}

static void run(bt_nn *nn, results *to, int64_t N, bool is_fused) {
    const bt_nn_dropout dropout = {.key = bt_rng_key_make(9, 1, 2, BT_SITE_FFN_OUTPUT_DROPOUT),
                                   .rate = bt_kern_dropout_make(0.2F),
                                   .first_row = 7};
    const bt_nn_norm    norm = {
           .gain = vectors[0], .bias = vectors[1], .mean = to->mean, .rstd = to->rstd, .eps = 1e-6F};
    const bt_nn_dense16       d = {.kernel = kernel, .R = R, .K = K, .N = N};
    const bt_nn_residual_norm r = {.sum = to->sum,
                                   .bias = vectors[2],
                                   .residual = residual,
                                   .norm = &norm,
                                   .dropout = &dropout,
                                   .out16 = to->out16,
                                   .kept = to->kept,
                                   .R = R,
                                   .H = N};
    memset(to, 0, sizeof *to);
    if (is_fused) {
        bt_nn_dense16_residual_forward(nn, &r, to->out, in, &d);
    } else {
        const bt_nn_beside    one = {.kernel = kernel, .out = to->sum};
        const bt_nn_beside_in x = {.in16 = in, .R = R, .K = K, .N = N};
        bt_nn_beside_forward(nn, &one, 1, &x);
        bt_nn_residual_norm_forward(nn, &r, to->out);
    }
}

static void check_width(int64_t N, int32_t n_threads) {
    bt_pool *pool = NULL;
    assert_ok(bt_pool_create(&pool, n_threads, err));
    bt_nn nn = {.kern = &kern,
                .pool = pool,
                .product = &kern.products[BT_PRECISION_BF16],
                .panel_bytes = bt_nn_product_scratch_bytes(&kern.products[BT_PRECISION_BF16]),
                .n_thread_scratch = bt_nn_thread_scratch_size(1, 1, N)};
    nn.panels = bt_alloc_array((size_t)n_threads, nn.panel_bytes);
    nn.thread_scratch =
        bt_alloc_array((size_t)n_threads * (size_t)nn.n_thread_scratch, sizeof(float));
    assert_non_null(nn.panels);
    assert_non_null(nn.thread_scratch);
    run(&nn, &fused, N, true);
    run(&nn, &apart, N, false);
    assert_memory_equal(&fused, &apart, sizeof fused);
    assert_true(fused.out16[R * N - 1] == bt_bf16_round(fused.out[R * N - 1]));
    bt_free(nn.panels);
    bt_free(nn.thread_scratch);
    bt_pool_free(pool);
}

static void test_epilogue_changes_no_bit(void **state) {
    (void)state;
    for (int i = 0; bt_kern_isa(i) != NULL; i++) {
        if (!bt_kern_has(bt_kern_isa(i))) {
            continue;
        }
        assert_ok(bt_kern_select(bt_kern_isa(i), &kern, err));
        check_width(NARROW, 1);
        check_width(NARROW, 3);
        check_width(WIDE, 1);
        check_width(WIDE, 3);
    }
}

static int setup(void **state) {
    static float wide[R * K];
    (void)state;
    fill(kernel, (int64_t)K * WIDE, 1);
    fill(residual, N_ALL, 2);
    fill(wide, (int64_t)R * K, 3);
    for (int i = 0; i < 3; i++) {
        fill(vectors[i], WIDE, 4 + (uint64_t)i);
    }
    for (int i = 0; i < R * K; i++) {
        in[i] = bt_bf16_round(wide[i]);
    }
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_epilogue_changes_no_bit),
    };
    return cmocka_run_group_tests_name("nn dense16", tests, setup, NULL);
}
