/* SPDX-License-Identifier: Apache-2.0
 *
 * Dense layers that read the same rows, as one product each way, give the bits of each by itself:
 * in float32 and bfloat16, one to three of them, with gradients that are added to or nobody wants,
 * and on another number of threads. */
#include <string.h>

#include "bt/base/bf16.h"
#include "bt/nn.h"
#include "test_random.h"
#include "test_support.h"

enum { R = 61, K = 72, N = 40, MOST = BT_NN_MOST_PRODUCTS, PANEL_BYTES = 1 << 23 };

typedef struct results {
    float    out[MOST][R * N], d_in[R * K], d_kernel[MOST][K * N], d_bias[MOST][N];
    uint16_t out16[MOST][R * N];
} results;

static results       together, apart, start;
static float         in[R * K], kernel[MOST][K * N], bias[MOST][N], d_out[MOST][R * N];
static float         partials[1 << 16], rounded[R * K];
static uint16_t      in16[R * K], d_out16[MOST][R * N];
static unsigned char panels[3][PANEL_BYTES];

static void fill(float *x, size_t n, uint64_t seed) {
    const bt_rng_key key = bt_rng_key_make(seed, 6, 0, BT_SITE_INIT);
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)test_normal(key, i);
    }
}

static void fill_all(void) {
    fill(in, R * K, 1);
    fill(kernel[0], sizeof kernel / sizeof(float), 2);
    fill(bias[0], sizeof bias / sizeof(float), 3);
    fill(d_out[0], sizeof d_out / sizeof(float), 4);
    fill(start.d_in, R * K, 5);
    fill(start.d_kernel[0], sizeof start.d_kernel / sizeof(float), 6);
    fill(start.d_bias[0], sizeof start.d_bias / sizeof(float), 7);
    for (int i = 0; i < R * K; i++) {
        in16[i] = bt_bf16_round(in[i]);
    }
    for (int i = 0; i < MOST * R * N; i++) {
        d_out16[i / (R * N)][i % (R * N)] = bt_bf16_round(d_out[i / (R * N)][i % (R * N)]);
    }
}

typedef struct how {
    int32_t n;
    bool    is_16, adds, frozen; /* frozen: the second one's kernel and bias */
} how;

static bt_nn_beside layer(const how *h, results *to, int32_t i) {
    const bool is_frozen = h->frozen && i == 1;
    return (bt_nn_beside){.kernel = kernel[i],
                          .bias = bias[i],
                          .out = h->is_16 ? NULL : to->out[i],
                          .out16 = h->is_16 ? to->out16[i] : NULL,
                          .d_out = h->is_16 ? NULL : d_out[i],
                          .d_out16 = h->is_16 ? d_out16[i] : NULL,
                          .d_kernel = is_frozen ? NULL : to->d_kernel[i],
                          .d_bias = h->is_16 || is_frozen ? NULL : to->d_bias[i],
                          .add_to_d_kernel = h->adds};
}

static void run_together(bt_nn *nn, const how *h) {
    const bt_nn_beside_in x = {
        .in = h->is_16 ? NULL : in, .in16 = h->is_16 ? in16 : NULL, .R = R, .K = K, .N = N};
    bt_nn_beside d[MOST];
    for (int32_t i = 0; i < h->n; i++) {
        d[i] = layer(h, &together, i);
    }
    const int64_t n_calls = nn->products.n_calls;
    bt_nn_beside_forward(nn, d, h->n, &x);
    assert_int_equal(nn->products.n_calls, n_calls + 1);
    bt_nn_beside_backward(nn, d, h->n, &x, together.d_in, h->adds);
    assert_int_equal(nn->products.n_calls, n_calls + 3);
}

static void forward16(bt_nn *nn, const bt_nn_beside *d) {
    static float        sums[R * N];
    const bt_nn_product p = {.c = sums,
                             .ld_c = N,
                             .a16 = in16,
                             .ld_a = K,
                             .b = d->kernel,
                             .ld_b = N,
                             .M = R,
                             .N = N,
                             .K = K,
                             .alpha = 1};
    bt_nn_product_run(nn, &p);
    for (int i = 0; i < R * N; i++) {
        d->out16[i] = bt_bf16_round(sums[i] + d->bias[i % N]);
    }
}

static void run_apart(bt_nn *nn, const how *h) {
    for (int32_t i = 0; i < h->n; i++) {
        const bt_nn_beside d = layer(h, &apart, i);
        const bool         adds = h->adds || i > 0;
        if (!h->is_16) {
            bt_nn_dense_forward(nn, d.out, in, d.kernel, d.bias, R, K, N);
            bt_nn_dense_backward(nn, apart.d_in, d.d_kernel, d.d_bias, d.d_out, in, d.kernel, R, K,
                                 N, adds, h->adds);
            continue;
        }
        const bt_nn_dense16 one = {.kernel = d.kernel, .R = R, .K = K, .N = N};
        forward16(nn, &d);
        if (d.d_kernel != NULL) {
            bt_nn_dense16_backward_kernel(nn, d.d_kernel, d.d_out16, in16, &one, h->adds);
        }
        bt_nn_dense16_backward_input(nn, apart.d_in, NULL, d.d_out16, &one, adds);
    }
}

static void check(bt_nn *nn, bt_pool *pool, how h) {
    for (h.n = 1; h.n <= MOST; h.n++) {
        together = start;
        apart = start;
        nn->pool = pool;
        run_together(nn, &h);
        nn->pool = NULL;
        run_apart(nn, &h);
        assert_memory_equal(&together, &apart, sizeof together);
        assert_memory_not_equal(&together, &start, sizeof together);
    }
}

static void test_bits_of_each_by_itself(void **state) {
    (void)state;
    bt_pool *pool = NULL;
    assert_ok(bt_pool_create(&pool, 3, err));
    fill_all();
    for (int i = 0; bt_kern_isa(i) != NULL; i++) {
        bt_kern kern;
        if (!bt_kern_has(bt_kern_isa(i))) {
            continue;
        }
        assert_ok(bt_kern_select(bt_kern_isa(i), &kern, err));
        bt_nn nn = {.kern = &kern,
                    .panels = panels[0],
                    .panel_bytes = PANEL_BYTES,
                    .partials = partials,
                    .n_partials = BT_ARRAY_LEN(partials)};
        for (int p = 0; p < 2 && kern.products[p].rows > 0; p++) {
            nn.product = &kern.products[p == 0 ? BT_PRECISION_F32 : BT_PRECISION_BF16];
            for (int variant = 0; variant < 4; variant++) {
                const how h = {
                    .is_16 = p == 1, .adds = variant % 2 == 1, .frozen = variant / 2 == 1};
                check(&nn, pool, h);
            }
        }
        nn.product = &kern.products[BT_PRECISION_F32];
        nn.rounded = rounded; /* to 8 bits */
        if (nn.product->rows > 0) {
            check(&nn, pool, (how){.adds = false});
        }
    }
    bt_pool_free(pool);
}

static void test_in_blas(void **state) {
    (void)state;
    bt_kern   kern;
    const how h = {.n = MOST};
    assert_ok(bt_kern_blas_load(err));
    assert_ok(bt_kern_select("ref", &kern, err));
    bt_nn nn = {.kern = &kern, .partials = partials, .n_partials = BT_ARRAY_LEN(partials)};
    fill_all();
    together = start;
    apart = start;
    run_together(&nn, &h);
    run_apart(&nn, &h);
    test_close_f32((float *)&together, (float *)&apart, offsetof(results, out16) / sizeof(float),
                   1e-5, 1e-5, "in BLAS");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bits_of_each_by_itself),
                                       cmocka_unit_test(test_in_blas)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
