/* SPDX-License-Identifier: Apache-2.0
 *
 * Large matrix products against the plain triple loop: every instruction set, precision and BLAS,
 * transposes, sizes around the tiles and the blocks, gaps between rows that must stay as they are,
 * C added to or not; the epilogue sees each element once; the bits are the same for one and three
 * threads. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/pool.h"
#include "bt/nn.h"
#include "test_random.h"
#include "test_support.h"

enum { MAX_FLOATS = 1 << 22, GAP = 3, SEED_A = 1, SEED_B = 2, SEED_C = 3 };

static float         a[MAX_FLOATS], b[MAX_FLOATS], factor_a[MAX_FLOATS], factor_b[MAX_FLOATS];
static float         c[MAX_FLOATS], want[MAX_FLOATS], again[MAX_FLOATS];
static unsigned char panels[3][1 << 23];
static int           seen[MAX_FLOATS];

static const char *const isas[] = {"ref", "avx2", "avx512"};

typedef struct shape {
    int64_t     M, N, K;
    const char *why;
} shape;

static const shape shapes[] = {
    {1, 1, 1, "one element"},
    {14, 32, 8, "one tile of AVX-512"},
    {6, 16, 9, "one tile of AVX2, odd depth"},
    {13, 31, 7, "just below a tile"},
    {15, 33, 17, "just above a tile"},
    {29, 2, 65, "two classes"},
    {2, 61, 255, "two rows, just below a block"},
    {31, 47, 256, "a block of AVX2"},
    {31, 47, 385, "just above a block of AVX-512"},
    {97, 1031, 23, "several pieces of columns"},
    {2017, 33, 3, "one row more than a piece has"},
    {121, 101, 801, "several blocks and pieces"},
    {31, 47, 1024 - GAP, "rows a page apart, which are packed"},
};

static void fill(float *x, int64_t n, uint64_t seed) {
    const bt_rng_key key = bt_rng_key_make(seed, 0, 0, BT_SITE_INIT);
    for (int64_t i = 0; i < n; i++) {
        x[i] = (float)test_normal(key, (uint64_t)i);
    }
}

static void see(void *context, int32_t thread, int64_t row, int64_t n_rows, int64_t col,
                int64_t n_cols) {
    (void)thread;
    const bt_nn_product *const p = context;
    for (int64_t i = row; i < row + n_rows; i++) {
        for (int64_t j = col; j < col + n_cols; j++) {
            seen[i * p->N + j]++;
        }
    }
}

static bt_nn_product make_product(const shape *s, int variant) {
    const bool ta = (variant & 1) != 0;
    const bool tb = (variant & 2) != 0;
    return (bt_nn_product){.c = c,
                           .a = a,
                           .b = b,
                           .ld_c = s->N + GAP,
                           .ld_a = (ta ? s->M : s->K) + 1,
                           .ld_b = (tb ? s->K : s->N) + 2,
                           .trans_a = ta ? BT_KERN_T : BT_KERN_N,
                           .trans_b = tb ? BT_KERN_T : BT_KERN_N,
                           .M = s->M,
                           .N = s->N,
                           .K = s->K,
                           .alpha = 0.5F,
                           .accumulate = (variant & 4) != 0};
}

/* To the nearest number of the precision, ties to even: by the definition, in double. */
static float rounded(float x, bt_precision precision) {
    int          exponent = 0;
    const double fraction = frexp((double)x, &exponent); /* 0.5 <= |fraction| < 1 */
    int          digits = precision == BT_PRECISION_BF16 ? 8 : 11;
    if (precision == BT_PRECISION_F32 || !isfinite(x)) {
        return x;
    }
    if (precision == BT_PRECISION_F16 &&
        exponent < -13) { /* the last one is worth 2^-24 at least */
        digits = 24 + exponent;
    }
    const double near = ldexp(nearbyint(ldexp(fraction, digits)), exponent - digits);
    const bool   is_infinite = precision == BT_PRECISION_F16 && fabs(near) > 65504;
    return is_infinite ? copysignf(INFINITY, x) : (float)near;
}

static void check_product(bt_nn *nn, const shape *s, int variant) {
    bt_nn_product p = make_product(s, variant);
    const int64_t n_c = s->M * p.ld_c;
    char          what[128];
    (void)snprintf(what, sizeof what, "%s: %s, variant %d, %s", nn->kern->isa, s->why, variant,
                   nn->product == NULL ? "BLAS" : nn->product->name);
    p.epilogue = see;
    p.context = &p;
    fill(c, n_c, SEED_C);
    memcpy(want, c, (size_t)n_c * sizeof *c);
    memset(seen, 0, (size_t)(s->M * s->N) * sizeof *seen);
    bt_nn_product_run(nn, &p);
    bt_kern_gemm__ref(want, p.ld_c, p.trans_a, factor_a, p.ld_a, p.trans_b, factor_b, p.ld_b, p.M,
                      p.N, p.K, p.alpha, p.accumulate ? 1 : 0);
    test_close_f32(c, want, (size_t)n_c, 4e-6 * sqrt((double)s->K), 1e-6, what);
    for (int64_t i = 0; i < s->M * s->N; i++) {
        assert_int_equal(seen[i], 1);
    }
}

static void fill_factors(const shape *s, bt_precision precision) {
    const int64_t n_a = (s->M + 2) * (s->K + 2);
    const int64_t n_b = (s->N + 2) * (s->K + 2);
    fill(a, n_a, SEED_A);
    fill(b, n_b, SEED_B);
    for (int64_t i = 0; i < n_a; i++) {
        factor_a[i] = rounded(a[i], precision);
    }
    for (int64_t i = 0; i < n_b; i++) {
        factor_b[i] = rounded(b[i], precision);
    }
}

static void check_shapes(bt_nn *nn, bt_precision precision) {
    for (size_t i = 0; i < BT_ARRAY_LEN(shapes); i++) {
        fill_factors(&shapes[i], precision);
        nn->panel_bytes = bt_nn_product_scratch_bytes(nn->product);
        assert_true(nn->panel_bytes <= sizeof panels[0]);
        for (int variant = 0; variant < 8; variant++) {
            check_product(nn, &shapes[i], variant);
        }
    }
}

static void test_products_match(void **state) {
    (void)state;
    assert_ok(bt_kern_blas_load(err));
    for (size_t i = 0; i < BT_ARRAY_LEN(isas); i++) {
        if (!bt_kern_has(isas[i])) {
            continue;
        }
        bt_kern  kern;
        bt_pool *pool = NULL;
        assert_ok(bt_kern_select(isas[i], &kern, err));
        assert_ok(bt_pool_create(&pool, 3, err));
        bt_nn nn = {.kern = &kern, .pool = pool, .panels = panels[0]};
        check_shapes(&nn, BT_PRECISION_F32);
        if (kern.products[BT_PRECISION_F32].rows > 0) {
            nn.product = &kern.products[BT_PRECISION_F32];
            check_shapes(&nn, BT_PRECISION_F32);
        }
        bt_kern_product bf16;
        for (int v = 0; bt_kern_bf16_variant(&kern, v, &bf16); v++) {
            nn.product = &bf16;
            check_shapes(&nn, BT_PRECISION_BF16);
            assert_true(v > 0 || strstr(bf16.name, "rounding") != NULL);
        }
        assert_string_equal(bf16.name, kern.products[BT_PRECISION_BF16].name);
        nn.product = &kern.products[BT_PRECISION_F16];
        check_shapes(&nn, BT_PRECISION_F16);
        assert_true(nn.products.n_calls >= 2 * 8 * (int64_t)BT_ARRAY_LEN(shapes));
        bt_pool_free(pool);
    }
}

/* x times 1: the product is the rounded x. */
static float times_one(bt_nn *nn, float x) {
    const bt_nn_product p = {.c = c,
                             .a = a,
                             .b = b,
                             .ld_c = 1,
                             .ld_a = 1,
                             .ld_b = 1,
                             .M = 1,
                             .N = 1,
                             .K = 1,
                             .alpha = 1};
    a[0] = x;
    b[0] = 1;
    bt_nn_product_run(nn, &p);
    return c[0];
}

static void test_float16_at_its_edges(void **state) {
    (void)state;
    static const float values[] = {
        0,          0x1p-24F,     0x1p-25F,     0x1.8p-25F,   -0x1.8p-24F,
        0x1p-14F,   0x1.ffcp-15F, 0x1.ffep-15F, 0x1.fffp-15F, 0x1.002p0F,
        0x1.006p0F, 65504,        65519,        65520,        -1e6F,
        INFINITY,   1e-38F,       0x1p-149F};
    for (size_t i = 0; i < BT_ARRAY_LEN(isas); i++) {
        bt_kern kern;
        if (!bt_kern_has(isas[i])) {
            continue;
        }
        assert_ok(bt_kern_select(isas[i], &kern, err));
        bt_nn nn = {
            .kern = &kern, .panels = panels[0], .product = &kern.products[BT_PRECISION_F16]};
        nn.panel_bytes = bt_nn_product_scratch_bytes(nn.product);
        for (size_t v = 0; v < BT_ARRAY_LEN(values); v++) {
            assert_true(times_one(&nn, values[v]) == rounded(values[v], BT_PRECISION_F16));
        }
        assert_true(isnan(times_one(&nn, NAN)));
    }
}

static void check_bits(bt_nn *nn, bt_pool *pool, const shape *s) {
    const bt_nn_product p = make_product(s, 0);
    const size_t        n_bytes = (size_t)(s->M * p.ld_c) * sizeof *c;
    fill(c, s->M * p.ld_c, SEED_C);
    nn->pool = NULL;
    bt_nn_product_run(nn, &p);
    memcpy(again, c, n_bytes);
    fill(c, s->M * p.ld_c, SEED_C);
    nn->pool = pool;
    bt_nn_product_run(nn, &p);
    assert_memory_equal(c, again, n_bytes);
}

/* BLAS promises nothing of the kind. */
static void test_bits_do_not_depend_on_threads(void **state) {
    (void)state;
    const shape s = shapes[BT_ARRAY_LEN(shapes) - 1];
    fill_factors(&s, BT_PRECISION_F32);
    for (size_t i = 0; i < BT_ARRAY_LEN(isas); i++) {
        bt_kern  kern;
        bt_pool *pool = NULL;
        if (!bt_kern_has(isas[i])) {
            continue;
        }
        assert_ok(bt_kern_select(isas[i], &kern, err));
        assert_ok(bt_pool_create(&pool, 3, err));
        for (int p = 0; p < (int)BT_N_PRECISIONS; p++) {
            bt_nn nn = {.kern = &kern,
                        .product = &kern.products[p],
                        .panels = panels[0],
                        .panel_bytes = sizeof panels[0]};
            if (nn.product->rows > 0) {
                check_bits(&nn, pool, &s);
            }
        }
        bt_pool_free(pool);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products_match),
        cmocka_unit_test(test_float16_at_its_edges),
        cmocka_unit_test(test_bits_do_not_depend_on_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
