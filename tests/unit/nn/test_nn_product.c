/* SPDX-License-Identifier: Apache-2.0
 *
 * Large matrix products against the plain triple loop: every instruction set, precision and BLAS,
 * transposes, sizes around the tiles and the blocks, gaps between rows that must stay as they are,
 * C added to or not; the epilogue sees each element once, and what it makes of it is what C gets.
 * Factors and results of bfloat16 give the bits that rounding them gives; the bits are the same for
 * one and three threads, and for products one after another and as one job. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/bf16.h"
#include "bt/base/pool.h"
#include "bt/nn.h"
#include "test_random.h"
#include "test_support.h"

enum { MAX_FLOATS = 1 << 22, MAX_C = 1 << 17, GAP = 3, SEED_A = 1, SEED_B = 2, SEED_C = 3 };

static float         a[MAX_FLOATS], b[MAX_FLOATS], factor_a[MAX_FLOATS], factor_b[MAX_FLOATS];
static float         c[MAX_FLOATS], want[MAX_FLOATS], again[MAX_FLOATS];
static uint16_t      a16[MAX_FLOATS], b16[MAX_FLOATS], c16[MAX_C], again16[MAX_C];
static unsigned char panels[3][1 << 23], packed_panels[1 << 22], packed_by_rows[1 << 22];
static int           seen[MAX_FLOATS];

typedef struct shape {
    int64_t     M, N, K;
    const char *why;
    int64_t     gap_a; /* between rows of A; 0: 1 */
} shape;

static const shape shapes[] = {
    {1, 1, 1, "one element", 0},
    {14, 32, 8, "one tile of AVX-512", 0},
    {6, 16, 9, "one tile of AVX2, odd depth", 0},
    {13, 31, 7, "just below a tile", 0},
    {15, 33, 17, "just above a tile", 0},
    {29, 2, 65, "two classes", 0},
    {2, 61, 255, "two rows, just below a block", 0},
    {31, 47, 256, "a block of AVX2", 0},
    {31, 47, 385, "just above a block of AVX-512", 0},
    {97, 1031, 23, "several pieces of columns", 0},
    {2017, 33, 3, "one row more than a piece has", 0},
    {31, 47, 1024 - GAP, "rows a page apart, which are packed", GAP},
    {31, 47, 2048 - 32, "rows of bfloat16 a page apart", 32},
    {45, 70, 544, "whole depths, of which each block is filled up", 0},
    {67, 65, 64, "whole depths, read in place", 0},
    {3, 5, 20001, "too deep for panels of all of it", 0},
    {121, 101, 801, "several blocks and pieces", 0},
};

static void fill(float *x, int64_t n, uint64_t seed) {
    const bt_rng_key key = bt_rng_key_make(seed, 0, 0, BT_SITE_INIT);
    for (int64_t i = 0; i < n; i++) {
        x[i] = (float)test_normal(key, (uint64_t)i);
    }
}

/* Doubles, which is exact. */
static void see(void *context, int32_t thread, float *out, int64_t ld_out, int64_t row,
                int64_t n_rows, int64_t col, int64_t n_cols) {
    (void)thread;
    const bt_nn_product *const p = context;
    for (int64_t i = 0; i < n_rows; i++) {
        for (int64_t j = 0; j < n_cols; j++) {
            out[i * ld_out + j] *= 2;
            seen[(row + i) * p->N + col + j]++;
        }
    }
}

static void check_seen(const bt_nn_product *p) {
    for (int64_t i = 0; i < p->M * p->N; i++) {
        assert_int_equal(seen[i], 1);
    }
    memset(seen, 0, (size_t)(p->M * p->N) * sizeof *seen);
}

static int64_t gap_of(const shape *s) {
    return s->gap_a > 0 ? s->gap_a : 1;
}

/* The same numbers each time. */
static void fill_c(float *x, int64_t n) {
    static float numbers[MAX_C];
    if (numbers[0] == 0) {
        fill(numbers, MAX_C, SEED_C);
    }
    assert_true(n <= MAX_C);
    memcpy(x, numbers, (size_t)n * sizeof *x);
}

static bt_nn_product make_product(const shape *s, int variant) {
    const bool ta = (variant & 1) != 0;
    const bool tb = (variant & 2) != 0;
    return (bt_nn_product){.c = c,
                           .a = a,
                           .b = b,
                           .ld_c = s->N + GAP,
                           .ld_a = (ta ? s->M : s->K) + gap_of(s),
                           .ld_b = (tb ? s->K : s->N) + 2,
                           .trans_a = ta ? BT_KERN_T : BT_KERN_N,
                           .trans_b = tb ? BT_KERN_T : BT_KERN_N,
                           .M = s->M,
                           .N = s->N,
                           .K = s->K,
                           .alpha = tb ? 1 : 0.5F,
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

/* The same panels, row by row of B as it is stored. */
static void check_rows(const bt_nn_packed *packed, const bt_nn_product *p) {
    const int64_t      n_rows = p->trans_b == BT_KERN_T ? p->N : p->K;
    const int64_t      rows = bt_nn_rows_together(packed->kern);
    const bt_nn_packed by_rows = {
        .kern = packed->kern, .K = p->K, .N = p->N, .panels = packed_by_rows};
    memset(packed_by_rows, 0xA5, sizeof packed_by_rows);
    for (int64_t i = (n_rows - 1) / rows * rows; i >= 0; i -= rows) {
        bt_nn_pack_rows(&by_rows, p->b, p->ld_b, p->trans_b, i,
                        i + rows < n_rows ? i + rows : n_rows);
    }
    assert_memory_equal(packed_by_rows, packed_panels,
                        bt_nn_packed_bytes(packed->kern, p->K, p->N));
}

/* p, which gave c, with B packed before: told of, or found by its address; C as it is or rounded.
 */
static void check_packed(bt_nn *nn, bt_nn_product p, const char *what) {
    const int64_t      n_c = p.M * p.ld_c;
    const float *const b_before = p.b;
    bt_nn_weight       weights[3] = {{.b = NULL}, {.b = b}, {.b = b + 1}};
    const bt_nn_packed packed = {.kern = nn->product, .K = p.K, .N = p.N, .panels = packed_panels};
    assert_true(bt_nn_packed_bytes(nn->product, p.K, p.N) <= sizeof packed_panels);
    memset(packed_panels, 0xA5, sizeof packed_panels);
    for (int64_t i = bt_nn_packed_n_panels(&packed) - 1; i >= 0; i--) {
        bt_nn_pack(&packed, p.b, p.ld_b, p.trans_b, i, i + 1);
    }
    check_rows(&packed, &p);
    p.c = again;
    p.b = NULL;
    p.b_packed = &packed;
    fill_c(again, n_c);
    bt_nn_product_run(nn, &p);
    assert_memory_equal(again, c, (size_t)n_c * sizeof *c);
    p.b = b_before;
    p.b_packed = NULL;
    p.ld_b = p.trans_b == BT_KERN_T ? p.K : p.N; /* not as b lies: only the panels can be right */
    *(p.trans_b == BT_KERN_T ? &weights[1].transposed : &weights[1].as_is) = packed;
    nn->weights = weights;
    nn->n_weights = 3;
    fill_c(again, n_c);
    bt_nn_product_run(nn, &p);
    assert_memory_equal(again, c, (size_t)n_c * sizeof *c);
    if (!p.accumulate && nn->product->pack_a16 != NULL) {
        p.a16 = a16;
        p.c16 = c16;
        bt_nn_product_run(nn, &p);
        for (int64_t i = 0; i < n_c; i++) {
            if (i % p.ld_c < p.N && c16[i] != bt_bf16_round(c[i])) {
                fail_msg("%s, packed: element %d", what, (int)i);
            }
        }
    }
    nn->n_weights = 0;
    memset(seen, 0, (size_t)(p.M * p.N) * sizeof *seen);
}

/* The same where each number of the panels is kept as its 16 bits; all of C is in one piece of the
 * sums, and in several. */
static void check_halved(bt_nn *nn, bt_nn_product p) {
    static float       scratch[1 << 14];
    const int64_t      n_c = p.M * p.ld_c;
    const bt_nn_packed packed = {
        .kern = nn->product, .K = p.K, .N = p.N, .panels = packed_panels, .is_halved = true};
    if (!bt_nn_can_halve(nn->product) || p.trans_b == BT_KERN_T) {
        return;
    }
    assert_true(bt_nn_halving_bytes(nn->product) <= sizeof scratch);
    memset(packed_panels, 0xA5, sizeof packed_panels);
    for (int64_t i = bt_nn_packed_n_panels(&packed) - 1; i >= 0; i--) {
        memset(scratch, 0xA5, sizeof scratch);
        bt_nn_pack_halved(&packed, nn->kern, p.b, p.ld_b, i, i + 1, scratch);
    }
    p.c = again;
    p.b = NULL;
    p.b_packed = &packed;
    fill_c(again, n_c);
    bt_nn_product_run(nn, &p);
    assert_memory_equal(again, c, (size_t)n_c * sizeof *c);
    if (!p.accumulate) {
        p.a16 = a16;
        p.c16 = c16;
        bt_nn_product_run(nn, &p);
        for (int64_t i = 0; i < n_c; i++) {
            assert_true(i % p.ld_c >= p.N || c16[i] == bt_bf16_round(c[i]));
        }
    }
    memset(seen, 0, (size_t)(p.M * p.N) * sizeof *seen);
}

/* p, which gave c, with the factors and the result in bfloat16, each by itself and all of them. */
static void check_typed(bt_nn *nn, bt_nn_product p, const char *what) {
    const int64_t  n_c = p.M * p.ld_c;
    bt_pool *const pool = nn->pool;
    nn->pool = NULL;
    for (int typed = 1; typed < 8; typed++) {
        p.a16 = (typed & 1) != 0 ? a16 : NULL;
        p.b16 = (typed & 2) != 0 ? b16 : NULL;
        p.a = p.a16 == NULL ? a : NULL;
        p.b = p.b16 == NULL ? b : NULL;
        if ((typed & 4) == 0) {
            p.c = again;
            fill_c(again, n_c);
            bt_nn_product_run(nn, &p);
            assert_memory_equal(again, c, (size_t)n_c * sizeof *c);
        } else if (!p.accumulate) {
            p.c = NULL;
            p.c16 = c16;
            memset(c16, 0xFF, (size_t)n_c * sizeof *c16);
            bt_nn_product_run(nn, &p);
            for (int64_t i = 0; i < n_c; i++) {
                const bool there = i % p.ld_c < p.N;
                if (c16[i] != (there ? bt_bf16_round(c[i]) : 0xFFFF)) {
                    fail_msg("%s, typed %d: element %d is %g, not %g", what, typed, (int)i,
                             (double)bt_bf16_widen(c16[i]), (double)c[i]);
                }
            }
        } else {
            continue;
        }
        check_seen(&p);
    }
    nn->pool = pool;
}

typedef struct group {
    bt_nn_product p[BT_NN_MOST_PRODUCTS];
    size_t        n_c; /* of one result; they follow one another in want and again */
    bt_nn_packed  packed;
} group;

/* packed: the last one's B, as the products of a step have some. */
static group make_group(const bt_nn *nn, const bt_nn_product *p) {
    enum { LAST = BT_NN_MOST_PRODUCTS - 1 };
    group g = {.n_c = (size_t)(p->M * p->ld_c),
               .packed = {.kern = nn->product, .K = p->K, .N = p->N, .panels = packed_panels}};
    bt_nn_pack(&g.packed, b + LAST, p->ld_b, p->trans_b, 0, bt_nn_packed_n_panels(&g.packed));
    for (int i = 0; i < BT_NN_MOST_PRODUCTS; i++) {
        g.p[i] = *p;
    }
    return g;
}

/* The same A; of the second product fewer columns. */
static void check_beside(bt_nn *nn, const bt_nn_product *p, const char *what) {
    group g = make_group(nn, p);
    g.p[1].N = (p->N + 1) / 2;
    for (int i = 0; i < BT_NN_MOST_PRODUCTS; i++) {
        g.p[i].b = b + i;
        g.p[i].context = &g.p[i];
        g.p[i].c = want + (size_t)i * g.n_c;
        fill_c(want + (size_t)i * g.n_c, (int64_t)g.n_c);
        fill_c(again + (size_t)i * g.n_c, (int64_t)g.n_c);
        bt_nn_product_run(nn, &g.p[i]);
    }
    const int64_t n_calls = nn->products.n_calls;
    for (int i = 0; i < BT_NN_MOST_PRODUCTS; i++) {
        g.p[i].c = again + (size_t)i * g.n_c;
    }
    g.p[BT_NN_MOST_PRODUCTS - 1].b_packed = &g.packed;
    bt_nn_products_beside(nn, g.p, BT_NN_MOST_PRODUCTS);
    assert_int_equal(nn->products.n_calls, n_calls + 1);
    if (memcmp(again, want, BT_NN_MOST_PRODUCTS * g.n_c * sizeof *want) != 0) {
        fail_msg("%s: products beside each other give other bits", what);
    }
    if (nn->product->pack_a16 == NULL || p->accumulate) {
        return;
    }
    memset(c16, 0xFF, sizeof c16);
    for (int i = 0; i < BT_NN_MOST_PRODUCTS && BT_NN_MOST_PRODUCTS * g.n_c <= MAX_C; i++) {
        g.p[i].c = NULL;
        g.p[i].c16 = c16 + (size_t)i * g.n_c;
    }
    bt_nn_products_beside(nn, g.p, g.p->c16 == NULL ? 0 : BT_NN_MOST_PRODUCTS);
    for (size_t i = 0; g.p->c16 != NULL && i < BT_NN_MOST_PRODUCTS * g.n_c; i++) {
        const bool there = (int64_t)i % p->ld_c < g.p[i / g.n_c].N;
        if (c16[i] != (there ? bt_bf16_round(want[i]) : 0xFFFF)) {
            fail_msg("%s: rounded beside each other, element %d", what, (int)i);
        }
    }
}

/* Other numbers of A and B in each; one C. */
static void check_summed(bt_nn *nn, const bt_nn_product *p, const char *what) {
    group g = make_group(nn, p);
    fill_c(want, (int64_t)g.n_c);
    fill_c(again, (int64_t)g.n_c);
    for (int i = 0; i < BT_NN_MOST_PRODUCTS; i++) {
        g.p[i].a = a + 2 * (ptrdiff_t)i;
        g.p[i].b = b + i;
        g.p[i].context = &g.p[i];
        bt_nn_product each = g.p[i];
        each.c = want;
        each.accumulate = p->accumulate || i > 0;
        each.epilogue = i < BT_NN_MOST_PRODUCTS - 1 ? NULL : p->epilogue;
        bt_nn_product_run(nn, &each);
        g.p[i].c = again;
    }
    g.p[BT_NN_MOST_PRODUCTS - 1].b_packed = &g.packed;
    bt_nn_products_summed(nn, g.p, BT_NN_MOST_PRODUCTS);
    if (memcmp(again, want, g.n_c * sizeof *want) != 0) {
        fail_msg("%s: products that are added up give other bits", what);
    }
    if (nn->product->pack_a16 == NULL || p->accumulate) {
        return;
    }
    for (int i = 0; i < BT_NN_MOST_PRODUCTS; i++) {
        g.p[i].c = NULL;
        g.p[i].c16 = c16;
    }
    bt_nn_products_summed(nn, g.p, BT_NN_MOST_PRODUCTS);
    for (size_t i = 0; i < g.n_c; i++) {
        if ((int64_t)i % p->ld_c < p->N && c16[i] != bt_bf16_round(want[i])) {
            fail_msg("%s: rounded when added up, element %d", what, (int)i);
        }
    }
}

static void check_product(bt_nn *nn, const shape *s, int variant) {
    bt_nn_product p = make_product(s, variant);
    const int64_t n_c = s->M * p.ld_c;
    char          what[128];
    (void)snprintf(what, sizeof what, "%s: %s, variant %d, %s", nn->kern->isa, s->why, variant,
                   nn->product == NULL ? "BLAS" : nn->product->name);
    p.epilogue = see;
    p.context = &p;
    fill_c(c, n_c);
    memcpy(want, c, (size_t)n_c * sizeof *c);
    memset(seen, 0, (size_t)(s->M * s->N) * sizeof *seen);
    bt_nn_product_run(nn, &p);
    bt_kern_gemm__ref(want, p.ld_c, p.trans_a, factor_a, p.ld_a, p.trans_b, factor_b, p.ld_b, p.M,
                      p.N, p.K, p.alpha, p.accumulate ? 1 : 0);
    for (int64_t i = 0; i < s->M; i++) {
        for (int64_t j = 0; j < s->N; j++) {
            want[i * p.ld_c + j] *= 2;
        }
    }
    test_close_f32(c, want, (size_t)n_c, 16e-6 * sqrt((double)s->K), 1e-6, what);
    check_seen(&p);
    if (nn->product != NULL && nn->product->pack_a16 != NULL) {
        check_typed(nn, p, what);
    }
    if (nn->product != NULL) {
        check_packed(nn, p, what);
        check_halved(nn, p);
        check_beside(nn, &p, what);
        check_summed(nn, &p, what);
        memset(seen, 0, (size_t)(s->M * s->N) * sizeof *seen);
    }
}

static void fill_factors(const shape *s, bt_precision precision) {
    const int64_t gap_a = gap_of(s);
    const int64_t n_a = (s->M + gap_a) * (s->K + gap_a);
    const int64_t n_b = (s->N + 2) * (s->K + 2);
    assert_true(n_a <= MAX_FLOATS && n_b <= MAX_FLOATS);
    fill(a, n_a, SEED_A);
    fill(b, n_b, SEED_B);
    for (int64_t i = 0; i < n_a; i++) {
        factor_a[i] = rounded(a[i], precision);
        a16[i] = bt_bf16_round(a[i]);
    }
    for (int64_t i = 0; i < n_b; i++) {
        factor_b[i] = rounded(b[i], precision);
        b16[i] = bt_bf16_round(b[i]);
    }
}

/* Where all is slow a large shape has one of the eight variants, each its own, and on an emulated
 * processor a very deep one none. */
static bool is_left_out(const shape *s, int variant) {
    enum { LARGE = 200000, EPILOGUE = 16 };
    const int64_t place = s - shapes;
    const int64_t cost = s->M * s->N * (s->K + EPILOGUE);
    return test_is_slow() && cost > LARGE && variant != place % 8;
}

static void check_shapes(bt_nn *nn, bt_precision precision) {
    enum { VERY_DEEP = 600 };
    for (size_t i = 0; i < BT_ARRAY_LEN(shapes); i++) {
        if (test_is_emulated() && shapes[i].K > VERY_DEEP) {
            continue;
        }
        fill_factors(&shapes[i], precision);
        nn->panel_bytes = bt_nn_product_scratch_bytes(nn->product);
        assert_true(nn->panel_bytes <= sizeof panels[0]);
        for (int variant = 0; variant < 8; variant++) {
            if (!is_left_out(&shapes[i], variant)) {
                check_product(nn, &shapes[i], variant);
            }
        }
    }
}

static void check_bits16(bt_nn *nn, bt_pool *pool, bt_nn_product p) {
    const size_t n_bytes = (size_t)(p.M * p.ld_c) * sizeof *c16;
    p.a16 = a16;
    p.b16 = b16;
    p.c16 = c16;
    memset(c16, 0, n_bytes);
    nn->pool = NULL;
    bt_nn_product_run(nn, &p);
    memcpy(again16, c16, n_bytes);
    nn->pool = pool;
    bt_nn_product_run(nn, &p);
    assert_memory_equal(c16, again16, n_bytes);
}

static void check_bits(bt_nn *nn, bt_pool *pool, const shape *s, int variant) {
    const bt_nn_product p = make_product(s, variant);
    const size_t        n_bytes = (size_t)(s->M * p.ld_c) * sizeof *c;
    fill_c(c, s->M * p.ld_c);
    nn->pool = NULL;
    bt_nn_product_run(nn, &p);
    memcpy(again, c, n_bytes);
    fill_c(c, s->M * p.ld_c);
    nn->pool = pool;
    bt_nn_product_run(nn, &p);
    assert_memory_equal(c, again, n_bytes);
    if (nn->product->pack_a16 != NULL) {
        check_bits16(nn, pool, p);
    }
}

#ifndef BT_KERN_AMX_MODEL
static void test_products_match(void **state) {
    (void)state;
    assert_ok(bt_kern_blas_load(err));
    for (int i = 0; bt_kern_isa(i) != NULL; i++) {
        if (!bt_kern_has(bt_kern_isa(i))) {
            continue;
        }
        bt_kern  kern;
        bt_pool *pool = NULL;
        assert_ok(bt_kern_select(bt_kern_isa(i), &kern, err));
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
        assert_true(test_is_slow() || nn.products.n_calls >= 2 * 8 * (int64_t)BT_ARRAY_LEN(shapes));
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
    for (int i = 0; bt_kern_isa(i) != NULL; i++) {
        bt_kern kern;
        if (!bt_kern_has(bt_kern_isa(i))) {
            continue;
        }
        assert_ok(bt_kern_select(bt_kern_isa(i), &kern, err));
        bt_nn nn = {
            .kern = &kern, .panels = panels[0], .product = &kern.products[BT_PRECISION_F16]};
        nn.panel_bytes = bt_nn_product_scratch_bytes(nn.product);
        for (size_t v = 0; v < BT_ARRAY_LEN(values); v++) {
            assert_true(times_one(&nn, values[v]) == rounded(values[v], BT_PRECISION_F16));
        }
        assert_true(isnan(times_one(&nn, NAN)));
    }
}

/* BLAS promises nothing of the kind. */
static void test_bits_do_not_depend_on_threads(void **state) {
    (void)state;
    const shape several = {37, 59, 801, "several blocks and pieces", 0};
    const shape s = test_is_slow() ? several : shapes[BT_ARRAY_LEN(shapes) - 1];
    fill_factors(&s, BT_PRECISION_F32);
    for (int i = 0; bt_kern_isa(i) != NULL; i++) {
        bt_kern  kern;
        bt_pool *pool = NULL;
        if (!bt_kern_has(bt_kern_isa(i))) {
            continue;
        }
        assert_ok(bt_kern_select(bt_kern_isa(i), &kern, err));
        assert_ok(bt_pool_create(&pool, 3, err));
        for (int p = 0; p < (int)BT_N_PRECISIONS; p++) {
            bt_nn nn = {.kern = &kern,
                        .product = &kern.products[p],
                        .panels = panels[0],
                        .panel_bytes = sizeof panels[0]};
            for (int variant = 0; variant < 4 && nn.product->rows > 0; variant++) {
                check_bits(&nn, pool, &s, variant);
            }
        }
        bt_kern_product bf16;
        for (int v = 0; bt_kern_bf16_variant(&kern, v, &bf16); v++) {
            bt_nn nn = {.kern = &kern,
                        .product = &bf16,
                        .panels = panels[0],
                        .panel_bytes = sizeof panels[0]};
            for (int variant = 0; variant < 4; variant++) {
                check_bits(&nn, pool, &s, variant);
            }
        }
        bt_pool_free(pool);
    }
}

/* An activation in the product gives the bits of one after it, in whatever pieces. */
static void test_activations_in_products(void **state) {
    enum { R = 70, K = 300, N = 131 };
    bt_pool *pool = NULL;
    (void)state;
    assert_ok(bt_kern_blas_load(err));
    assert_ok(bt_pool_create(&pool, 3, err));
    fill(a, R * K, SEED_A);
    fill(b, (K + 1) * N, SEED_B);
    for (int i = 0; bt_kern_isa(i) != NULL; i++) {
        bt_kern kern;
        if (!bt_kern_has(bt_kern_isa(i))) {
            continue;
        }
        assert_ok(bt_kern_select(bt_kern_isa(i), &kern, err));
        for (int act = 0; act < 2 * (int)BT_N_ACTIVATIONS; act++) {
            bt_nn               nn = {.kern = &kern,
                                      .pool = act % 2 == 0 ? pool : NULL,
                                      .panels = panels[0],
                                      .panel_bytes = sizeof panels[0],
                                      .product = kern.products[BT_PRECISION_F32].rows == 0
                                                     ? NULL
                                                     : &kern.products[BT_PRECISION_F32]};
            const bt_activation which = (bt_activation)(act / 2);
            bt_nn_dense_forward(&nn, c, a, b, NULL, R, K, N);
            bt_nn_bias_act_forward(&nn, c, want, b + K * N, which, R, N);
            bt_nn_dense_act_forward(&nn, again, a, b, b + K * N, which, R, K, N);
            assert_memory_equal(again, want, sizeof *want * R * N);
        }
    }
    bt_pool_free(pool);
}

#else
#include "../../../src/kern/kern_amx_tiles.h"
#include "../../../src/kern/kern_internal.h"

/* What the tiles of AMX hold after a product of tiles of one row, two pairs deep. */
static float dot_of_pairs(float c_0, const float a_pairs[4], const float b_pairs[4]) {
    const tile_config config = {.palette = 1, .rows = {1, 1, 2}, .row_bytes = {4, 8, 4}};
    uint16_t          halves_a[4], halves_b[4];
    for (int i = 0; i < 4; i++) {
        halves_a[i] = bt_bf16_round(a_pairs[i]);
        halves_b[i] = bt_bf16_round(b_pairs[i]);
    }
    tile_configure(&config);
    tile_load(0, &c_0, sizeof c_0);
    tile_load(1, halves_a, sizeof halves_a);
    tile_load(2, halves_b, 2 * sizeof *halves_b);
    tile_dot_bf16(0, 1, 2);
    tile_store(0, &c_0, sizeof c_0);
    tile_release();
    return c_0;
}

static void test_model_is_as_described(void **state) {
    (void)state;
    static const float ones[] = {1, 1, 1, 1};
    static const float mixed[] = {1, 2, 3, 4};
    static const float tens[] = {1, 10, 100, 1000};
    static const float sums[] = {0x1p24F, 1, 1, 1}; /* even: 2^24 + 1, odd: 2 */
    static const float tiny[] = {0x1p-130F, 0, 0, 0};
    static const float less[] = {0x1p-100F, 0, 0, 0};
    assert_true(dot_of_pairs(7, mixed, tens) == 4328);
    assert_true(dot_of_pairs(0, sums, ones) == 0x1p24F + 2);
    assert_true(dot_of_pairs(0, tiny, ones) == 0); /* subnormal, coming in */
    assert_true(dot_of_pairs(0x1p-130F, ones, (float[4]){0}) == 0);
    assert_true(dot_of_pairs(0, less, less) == 0); /* going out */
    assert_true(isnan(dot_of_pairs(0, (float[4]){INFINITY}, (float[4]){0})));
}

static void test_model_matches(void **state) {
    (void)state;
    bt_kern kern;
    if (!bt_kern_has("avx512")) {
        test_skip("the rest of AMX's kernels needs AVX-512, which this machine lacks");
    }
    assert_ok(bt_kern_select("avx512", &kern, err));
    bt_kern_product bf16;
    if (!bt_kern_bf16_variant(&kern, 1, &bf16)) {
        test_skip("the rest of AMX's kernels needs AVX512_BF16, which this machine lacks");
    }
    kern_override_amx_model(&kern);
    bt_nn nn = {.kern = &kern, .panels = panels[0], .product = &kern.products[BT_PRECISION_BF16]};
    check_shapes(&nn, BT_PRECISION_BF16);
    bt_pool *pool = NULL;
    assert_ok(bt_pool_create(&pool, 3, err));
    nn.panel_bytes = sizeof panels[0];
    for (int variant = 0; variant < 4; variant++) {
        check_bits(&nn, pool, &shapes[BT_ARRAY_LEN(shapes) - 1], variant);
    }
    bt_pool_free(pool);
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
#ifdef BT_KERN_AMX_MODEL
        cmocka_unit_test(test_model_is_as_described),
        cmocka_unit_test(test_model_matches),
#else
        cmocka_unit_test(test_products_match),
        cmocka_unit_test(test_float16_at_its_edges),
        cmocka_unit_test(test_bits_do_not_depend_on_threads),
        cmocka_unit_test(test_activations_in_products),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
