/* SPDX-License-Identifier: Apache-2.0
 *
 * Every kernel under every instruction set of this machine against the portable code in double:
 * sizes around the vector widths, odd ones, shifted pointers, in place; and where the header
 * promises equal bits, equal bits. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/bf16.h"
#include "bt/base/rng.h"
#include "bt/kern/int8.h"
#include "kern_test_data.h"

#define BT_KERN_REF_F64
#include "../../../src/kern/kern_ref_decl.h"

static data a, b, c, out, more, sums_1, sums_2;

static void check_vectors(const bt_kern *kern, size_t n, size_t offset) {
    const int64_t len = (int64_t)n;
    data_fill(&a, n, offset, 1, 2);
    data_fill(&b, n, 0, 2, 2);
    data_fill(&c, n, offset, 3, 2);
    data_constant(&out, n, offset, 0);
    kern->add(out.f, a.f, b.f, len);
    bt_kern_add_f64__ref(out.d, a.d, b.d, len);
    data_check(&out, 1e-30, 1e-7, kern->isa, "add");
    kern->add3(out.f, a.f, b.f, c.f, len);
    bt_kern_add3_f64__ref(out.d, a.d, b.d, c.d, len);
    data_check(&out, 5e-7, 1e-7, kern->isa, "add3");
    kern->mul(out.f, a.f, b.f, len);
    bt_kern_mul_f64__ref(out.d, a.d, b.d, len);
    data_check(&out, 1e-30, 1e-7, kern->isa, "mul");
    kern->axpy(out.f, c.f, 1.5F, len);
    bt_kern_axpy_f64__ref(out.d, c.d, 1.5, len);
    data_check(&out, 1e-6, 1e-7, kern->isa, "axpy");
    kern->scale(a.f, -0.75F, len);
    bt_kern_scale_f64__ref(a.d, -0.75, len);
    data_check(&a, 1e-30, 1e-7, kern->isa, "scale");
    const double got = kern->sum_sq(b.f, len);
    const double want = bt_kern_sum_sq_f64__ref(b.d, len);
    assert_true(memcmp(&got, &want, sizeof got) == 0); /* squares of floats are exact in double */
}

static void vectors_match(const bt_kern *kern) {
    for (size_t i = 0; i < data_n_sizes; i++) {
        check_vectors(kern, data_sizes[i], 0);
        check_vectors(kern, data_sizes[i], 3);
    }
}

static void bf16_is_the_upper_half(const bt_kern *kern) {
    static const float edges[] = {0,           -0.0F,           1,         0x1.01p0F, 0x1.03p0F,
                                  -0x1.01p0F,  0x1.010002p0F,   NAN,       INFINITY,  -INFINITY,
                                  0x1.fffep9F, 0x1.fffffep127F, 0x1p-126F, 3.3e38F,   -7};
    uint16_t           got[80];
    float              wide[80];
    for (size_t n = 0; n < 70; n++) {
        data_fill(&a, n, 1, 5, 2);
        for (size_t i = 0; i < n && i < BT_ARRAY_LEN(edges); i++) {
            a.f[n - 1 - i] = edges[i];
        }
        memset(got, 0x5A, sizeof got);
        kern->to_bf16(got, a.f, (int64_t)n);
        kern->from_bf16(wide, got, (int64_t)n);
        assert_int_equal(got[n], 0x5A5A);
        for (size_t i = 0; i < n; i++) {
            const float back = bt_bf16_widen(got[i]);
            assert_int_equal(got[i], bt_bf16_round(a.f[i]));
            assert_memory_equal(&back, wide + i, sizeof back);
            assert_true(isnan(a.f[i]) ? isnan(back)
                                      : fabsf(a.f[i]) > 0x1.ff0p127F ||
                                            fabsf(back - a.f[i]) <= fabsf(a.f[i]) * 0x1p-8F);
        }
    }
    assert_int_equal(bt_bf16_round(0x1.01p0F), 0x3F80); /* ties to even */
    assert_int_equal(bt_bf16_round(0x1.03p0F), 0x3F82);
}

static void sum_sq_shows_nonfinite(const bt_kern *kern) {
    data_fill(&a, 37, 1, 1, 1);
    a.f[36] = NAN;
    assert_true(isnan(kern->sum_sq(a.f, 37)));
    a.f[36] = INFINITY;
    assert_true(isinf(kern->sum_sq(a.f, 37)));
    a.f[36] = 3e38F; /* its square is beyond float, not beyond double */
    assert_true(isfinite(kern->sum_sq(a.f, 37)));
}

static void check_mask(const bt_kern *kern, size_t n, uint64_t first_block, float rate) {
    const bt_rng_key      key = bt_rng_key_make(42, 7, 3, BT_SITE_FFN_OUTPUT_DROPOUT);
    const bt_kern_dropout drop = bt_kern_dropout_make(rate);
    data_constant(&out, n, 1, 0);
    kern->dropout_mask(out.f, (int64_t)n, key, first_block, drop.limit, drop.scale);
    for (size_t i = 0; i < n; i++) {
        const float u = bt_rng_uniform(key, 4 * first_block + i);
        out.d[i] = u < rate ? 0 : (double)drop.scale;
    }
    data_check(&out, 0, 0, kern->isa, "dropout_mask");
}

static void masks_are_equal_bits(const bt_kern *kern) {
    static const float rates[] = {1e-9F, 0.1F, 0.5F, 0.9F, 1.0F};
    for (size_t r = 0; r < BT_ARRAY_LEN(rates); r++) {
        for (size_t i = 0; i < data_n_sizes; i++) {
            check_mask(kern, data_sizes[i], 0, rates[r]);
            check_mask(kern, data_sizes[i], (UINT64_C(5) << 32) - 9, rates[r]); /* carry */
        }
    }
    assert_false(bt_kern_dropout_make(0).on);
}

typedef void (*act_f64)(double *out, const double *in, int64_t n);
typedef void (*act_back_f64)(double *d_in, const double *d_out, const double *in, int64_t n);

static const act_f64 forwards[BT_N_ACTIVATIONS] = {
    bt_kern_gelu_f64__ref,       bt_kern_gelu_erf_f64__ref, bt_kern_relu_f64__ref,
    bt_kern_relu6_f64__ref,      bt_kern_tanh_f64__ref,     bt_kern_swish_f64__ref,
    bt_kern_hard_swish_f64__ref, bt_kern_mish_f64__ref,     bt_kern_sigmoid_f64__ref,
    bt_kern_identity_f64__ref};
static const act_back_f64 backwards[BT_N_ACTIVATIONS] = {
    bt_kern_gelu_backward_f64__ref,       bt_kern_gelu_erf_backward_f64__ref,
    bt_kern_relu_backward_f64__ref,       bt_kern_relu6_backward_f64__ref,
    bt_kern_tanh_backward_f64__ref,       bt_kern_swish_backward_f64__ref,
    bt_kern_hard_swish_backward_f64__ref, bt_kern_mish_backward_f64__ref,
    bt_kern_sigmoid_backward_f64__ref,    bt_kern_identity_backward_f64__ref};

static void check_act(const bt_kern *kern, size_t act, size_t n, double size) {
    const int64_t len = (int64_t)n;
    data_fill(&a, n, 1, 11, size);
    data_fill(&b, n, 0, 12, 1);
    data_constant(&out, n, 2, 0);
    kern->act_forward[act](out.f, a.f, len);
    forwards[act](out.d, a.d, len);
    data_check(&out, 2e-7, 1e-6, kern->isa, "activation");
    kern->act_backward[act](out.f, b.f, a.f, len);
    backwards[act](out.d, b.d, a.d, len);
    data_check(&out, 1e-6, 1e-6, kern->isa, "activation backward");
    kern->act_backward[act](b.f, b.f, a.f, len); /* in place */
    backwards[act](b.d, b.d, a.d, len);
    data_check(&b, 1e-6, 1e-6, kern->isa, "activation backward in place");
    kern->act_forward[act](a.f, a.f, len);
    forwards[act](a.d, a.d, len);
    data_check(&a, 2e-7, 1e-6, kern->isa, "activation in place");
}

/* The bits of the two passes that it is instead of; the slope in place of the input. */
static void check_slope(const bt_kern *kern, size_t act, size_t n, double size) {
    static float want[DATA_MAX], want_d[DATA_MAX], got_d[DATA_MAX];
    data_fill(&a, n, 1, 11, size);
    data_fill(&b, n, 0, 12, 1);
    data_constant(&out, n, 2, 0);
    const int64_t len = (int64_t)n;
    kern->act_forward[act](want, a.f, len);
    kern->act_backward[act](want_d, b.f, a.f, len);
    kern->act_slope[act](out.f, a.f, a.f, len);
    kern->mul(got_d, b.f, a.f, len);
    assert_memory_equal(out.f, want, n * sizeof(float));
    assert_memory_equal(got_d, want_d, n * sizeof(float));
    forwards[act](out.d, a.d, len);
    data_check(&out, 2e-7, 1e-6, kern->isa, "activation with its slope");
}

static void activations_match(const bt_kern *kern) {
    for (size_t act = 0; act < BT_N_ACTIVATIONS; act++) {
        for (size_t i = 0; i < data_n_sizes; i++) {
            check_act(kern, act, data_sizes[i], 2);
            check_act(kern, act, data_sizes[i], 60);
            if (kern->act_slope[act] != NULL) {
                check_slope(kern, act, data_sizes[i], 2);
                check_slope(kern, act, data_sizes[i], 60);
            }
        }
    }
}

/* gelu keeps its relative accuracy in the left tail, and the literal formula agrees. */
static void gelu_is_the_tanh_formula(const bt_kern *kern) {
    for (double x = -7; x < 7; x += 0.0371) {
        const float  in = (float)x;
        float        got = 0;
        const double v = (double)in;
        const double want = 0.5 * v * (1 + tanh(0.7978845608028654 * (v + 0.044715 * v * v * v)));
        kern->act_forward[BT_ACT_GELU](&got, &in, 1);
        /* rounding of the exponent z is a relative error of z * 2^-24 or so in the result; the
         * formula itself cancels to steps of 1e-16 in the tail */
        const double z = 1.6 * fabs(v + 0.044715 * v * v * v);
        const double rel = 6e-7 + 2e-7 * z;
        assert_true(fabs((double)got - want) <= rel * fabs(want) + 3e-15);
    }
    float nan_in = NAN;
    float got = 0;
    kern->act_forward[BT_ACT_GELU](&got, &nan_in, 1);
    assert_true(isnan(got));
}

/* In the left tail too, where 1 + erf(x) would cancel; NaN stays NaN. */
static void gelu_erf_is_the_normal_distribution(const bt_kern *kern) {
    for (double x = -9; x < 9; x += 0.0271) {
        const float  in = (float)x;
        float        got = 0;
        const double v = (double)in;
        const double want = v * erfc(-v * 0.70710678118654752) / 2;
        kern->act_forward[BT_ACT_GELU_ERF](&got, &in, 1);
        /* rounding of z^2 in the exponent is a relative error of that size in the result */
        const double rel = 6e-7 + 3e-7 * v * v / 2;
        assert_true(fabs((double)got - want) <= rel * fabs(want) + 1e-37);
    }
    float nan_in = NAN;
    float got = 0;
    kern->act_forward[BT_ACT_GELU_ERF](&got, &nan_in, 1);
    assert_true(isnan(got));
}

static void check_bias_residual(const bt_kern *kern, size_t n, bool with_mult, bool with_residual) {
    const int64_t len = (int64_t)n;
    data_fill(&a, n, 1, 21, 1);
    data_fill(&b, n, 2, 22, 1);
    data_fill(&c, n, 0, 23, 1);
    data_fill(&more, n, 3, 24, 1);
    kern->bias_residual(a.f, a.f, b.f, with_mult ? c.f : NULL, with_residual ? more.f : NULL, len);
    bt_kern_bias_residual_f64__ref(a.d, a.d, b.d, with_mult ? c.d : NULL,
                                   with_residual ? more.d : NULL, len);
    data_check(&a, 1e-6, 2e-7, kern->isa, "bias_residual");
}

static void check_norm(const bt_kern *kern, size_t rows, size_t cols) {
    const int64_t R = (int64_t)rows;
    const int64_t C = (int64_t)cols;
    static data   mean, rstd, d_out;
    data_fill(&a, rows * cols, 1, 31, 3);
    data_fill(&b, cols, 3, 32, 1);
    data_fill(&c, cols, 0, 33, 1);
    data_constant(&out, rows * cols, 2, 0);
    data_constant(&mean, rows, 0, 0);
    data_constant(&rstd, rows, 1, 0);
    kern->norm_forward(out.f, mean.f, rstd.f, a.f, b.f, c.f, R, C, 1e-12F);
    bt_kern_norm_forward_f64__ref(out.d, mean.d, rstd.d, a.d, b.d, c.d, R, C, 1e-12);
    data_check(&mean, 1e-6, 1e-6, kern->isa, "norm mean");
    if (cols > 2) { /* with fewer columns the variance is nearly nothing, and its root all error */
        data_check(&rstd, 1e-6, 2e-6, kern->isa, "norm rstd");
        data_check(&out, 4e-6, 4e-6, kern->isa, "norm");
    }
    data_fill(&d_out, rows * cols, 1, 34, 1);
    data_fill(&sums_1, cols, 1, 35, 1);
    data_fill(&sums_2, cols, 2, 36, 1);
    for (size_t r = 0; r < rows; r++) { /* the same saved values for both, so errors do not add */
        mean.d[r] = (double)mean.f[r];
        rstd.d[r] = (double)rstd.f[r];
    }
    const double size = rows > 0 && cols < 3 ? 1e6 : 1;
    kern->norm_backward(d_out.f, sums_1.f, sums_2.f, d_out.f, a.f, b.f, mean.f, rstd.f, R, C);
    bt_kern_norm_backward_f64__ref(d_out.d, sums_1.d, sums_2.d, d_out.d, a.d, b.d, mean.d, rstd.d,
                                   R, C);
    if (cols > 2) {
        data_check(&d_out, 1e-5 * size, 1e-5, kern->isa, "norm backward");
        data_check(&sums_1, 1e-5 * size, 1e-5, kern->isa, "norm backward gain");
        data_check(&sums_2, 1e-5 * size, 1e-5, kern->isa, "norm backward bias");
    }
}

static void check_softmax(const bt_kern *kern, size_t n, double size) {
    const int64_t len = (int64_t)n;
    float         max = 0;
    float         inv_sum = 0;
    double        max_d = 0;
    double        inv_sum_d = 0;
    data_fill(&a, n, 1, 41, size);
    data_fill(&b, n, 2, 42, 1);
    data_constant(&out, n, 0, 0);
    data_constant(&c, n, 3, 0);
    kern->softmax_forward(out.f, &max, &inv_sum, a.f, len);
    bt_kern_softmax_forward_f64__ref(out.d, &max_d, &inv_sum_d, a.d, len);
    data_check(&out, 1e-9, 2e-6, kern->isa, "softmax");
    kern->softmax_again(c.f, a.f, max, inv_sum, len);
    assert_memory_equal(c.f, out.f, n * sizeof *c.f); /* the backward's p is the forward's */
    for (size_t i = 0; i < n; i++) {
        out.d[i] = (double)out.f[i];
    }
    kern->softmax_backward(b.f, b.f, out.f, len);
    bt_kern_softmax_backward_f64__ref(b.d, b.d, out.d, len);
    data_check(&b, 5e-7, 2e-6, kern->isa, "softmax backward");
}

static void rows_match(const bt_kern *kern) {
    for (size_t i = 0; i < data_n_sizes; i++) {
        const size_t n = data_sizes[i];
        for (int variant = 0; variant < 4; variant++) {
            check_bias_residual(kern, n, (variant & 1) != 0, (variant & 2) != 0);
        }
        if (n > 0) {
            check_norm(kern, 0, n);
            check_norm(kern, 1, n);
            check_norm(kern, 7, n);
            check_softmax(kern, n, 1);
            check_softmax(kern, n, 40);
        }
    }
}

static void column_sums_match(const bt_kern *kern) {
    for (size_t i = 0; i < data_n_sizes; i++) {
        const size_t n = data_sizes[i];
        data_fill(&a, 5 * n, 1, 51, 1);
        data_fill(&b, n, 2, 52, 1);
        kern->add_bias(a.f, b.f, 5, (int64_t)n);
        bt_kern_add_bias_f64__ref(a.d, b.d, 5, (int64_t)n);
        data_check(&a, 3e-7, 1e-7, kern->isa, "add_bias");
        kern->column_sums(b.f, a.f, 5, (int64_t)n);
        bt_kern_column_sums_f64__ref(b.d, a.d, 5, (int64_t)n);
        data_check(&b, 2e-6, 1e-7, kern->isa, "column_sums");
    }
}

/* What Model Garden's -1e9 does in float32: masked keys weigh exactly 0, all masked is uniform. */
static void masked_scores(const bt_kern *kern) {
    float scores[19];
    float p[19];
    float max = 0;
    float inv_sum = 0;
    for (int i = 0; i < 19; i++) {
        scores[i] = (float)i * 0.3F + (i % 3 == 0 ? -1.0e9F : 0);
    }
    kern->softmax_forward(p, &max, &inv_sum, scores, 19);
    for (int i = 0; i < 19; i++) {
        assert_true(i % 3 == 0 ? p[i] == 0 : p[i] > 0);
    }
    for (int i = 0; i < 19; i++) {
        scores[i] = (float)i * 0.3F + -1.0e9F;
    }
    kern->softmax_forward(p, &max, &inv_sum, scores, 19);
    for (int i = 0; i < 19; i++) {
        assert_true(fabs((double)p[i] - 1.0 / 19) < 1e-7);
    }
}

static void check_tile(const bt_kern *kern, int64_t M, int64_t N, int64_t K, bool transposed,
                       bool accumulate) {
    const int64_t ld_a = (transposed ? M : K) + 2;
    const int64_t ld_b = N + 1;
    const int64_t ld_c = N + 3;
    data_fill(&a, (size_t)((transposed ? K : M) * ld_a), 1, 61, 1);
    data_fill(&b, (size_t)(K * ld_b), 2, 62, 1);
    data_fill(&c, (size_t)(M * ld_c), 0, 63, 1);
    const int64_t row = transposed ? 1 : ld_a;
    const int64_t col = transposed ? ld_a : 1;
    kern->tile_product(c.f, ld_c, a.f, row, col, b.f, ld_b, M, N, K, 0.5F, accumulate);
    bt_kern_tile_product_f64__ref(c.d, ld_c, a.d, row, col, b.d, ld_b, M, N, K, 0.5, accumulate);
    data_check(&c, 2e-6 * sqrt((double)K + 1), 1e-6, kern->isa, "tile_product");
}

static void tiles_match(const bt_kern *kern) {
    static const int64_t sizes[][3] = {{0, 5, 5},   {1, 1, 1},    {1, 16, 3},  {3, 17, 5},
                                       {6, 32, 32}, {7, 33, 13},  {8, 31, 64}, {11, 47, 1},
                                       {13, 8, 29}, {53, 53, 32}, {64, 7, 7},  {5, 9, 0}};
    for (size_t i = 0; i < BT_ARRAY_LEN(sizes); i++) {
        for (int variant = 0; variant < 4; variant++) {
            check_tile(kern, sizes[i][0], sizes[i][1], sizes[i][2], (variant & 1) != 0,
                       (variant & 2) != 0);
        }
    }
}

static void transposes_match(const bt_kern *kern) {
    static const int64_t sizes[][2] = {{0, 3},   {1, 1},   {8, 8},  {7, 9},
                                       {16, 24}, {53, 32}, {33, 17}};
    for (size_t i = 0; i < BT_ARRAY_LEN(sizes); i++) {
        const int64_t R = sizes[i][0];
        const int64_t C = sizes[i][1];
        data_fill(&a, (size_t)(R * (C + 1)), 1, 71, 1);
        data_constant(&out, (size_t)(C * (R + 2)), 2, 0);
        kern->transpose(out.f, R + 2, a.f, C + 1, R, C);
        bt_kern_transpose_f64__ref(out.d, R + 2, a.d, C + 1, R, C);
        data_check(&out, 0, 0, kern->isa, "transpose");
    }
}

static void test_gemm_matches(void **state) {
    (void)state;
    bt_kern_blas_choose(NULL, 2);
    assert_ok(bt_kern_blas_load(err));
    assert_true(bt_kern_blas_is_loaded());
    assert_non_null(strstr(bt_kern_blas_describe(), "("));
    for (int variant = 0; variant < 8; variant++) {
        const bt_kern_trans ta = (variant & 1) != 0 ? BT_KERN_T : BT_KERN_N;
        const bt_kern_trans tb = (variant & 2) != 0 ? BT_KERN_T : BT_KERN_N;
        const float         beta = (variant & 4) != 0 ? 0.5F : 0;
        const int64_t       M = 13;
        const int64_t       N = 29;
        const int64_t       K = 31;
        const int64_t       ld_a = (ta == BT_KERN_T ? M : K) + 3;
        const int64_t       ld_b = (tb == BT_KERN_T ? K : N) + 1;
        data_fill(&a, (size_t)((ta == BT_KERN_T ? K : M) * ld_a), 1, 81, 1);
        data_fill(&b, (size_t)((tb == BT_KERN_T ? N : K) * ld_b), 0, 82, 1);
        data_fill(&c, (size_t)(M * (N + 2)), 3, 83, 1);
        static float want[DATA_MAX];
        memcpy(want, c.f, c.n * sizeof *want);
        bt_kern_gemm(c.f, N + 2, ta, a.f, ld_a, tb, b.f, ld_b, M, N, K, 2, beta);
        bt_kern_gemm__ref(want, N + 2, ta, a.f, ld_a, tb, b.f, ld_b, M, N, K, 2, beta);
        test_close_f32(c.f, want, c.n, 2e-5, 1e-6, "gemm");
    }
    assert_non_null(strstr(bt_kern_build_info(), "ref"));
}

/* Optimizer: the same bits under every isa, and near the double. */

static const bt_kern_adamw_args adamw_args = {0.75F,          1e-3F, 0.01F, 0.1F,
                                              0.00099998713F, 3e-4F, 1e-7F};
static const bt_kern_lamb_args  lamb_args = {0.5F,  0.9F,    0.1F,  0.999F, 0.001F,
                                             0.19F, 0.0019F, 1e-6F, 0.01F};

static void check_same_bits(const float *got, const float *want, size_t n, const char *isa,
                            const char *op) {
    if (memcmp(got, want, n * sizeof *got) != 0) {
        fail_msg("%s %s n=%zu: other bits than ref", isa, op, n);
    }
}

static void check_optim(const bt_kern *kern, const bt_kern *ref, size_t n, float decay,
                        bool amsgrad) {
    static data        p[2], m[2], v[2], w[2], g;
    const int64_t      len = (int64_t)n;
    bt_kern_adamw_args adamw = adamw_args;
    bt_kern_lamb_args  lamb = lamb_args;
    adamw.weight_decay = decay;
    lamb.weight_decay = decay;
    data_fill(&g, n, 1, 91, 1);
    for (size_t i = 0; i < 2; i++) {
        const bt_kern *const k = i == 0 ? kern : ref;
        data_fill(&p[i], n, 0, 92, 1);
        data_fill(&m[i], n, 1, 93, 1);
        data_fill(&v[i], n, 2, 94, 1);
        data_fill(&w[i], n, 3, 95, 1);
        k->optim.ema(v[i].f, v[i].f, len, 0.5F); /* changes nothing: v - v is 0 */
        k->mul(v[i].f, v[i].f, v[i].f, len);
        k->mul(w[i].f, w[i].f, w[i].f, len);
        k->optim.adamw(p[i].f, m[i].f, v[i].f, amsgrad ? w[i].f : NULL, g.f, len, &adamw);
        k->optim.lamb(w[i].f, m[i].f, v[i].f, p[i].f, g.f, len, &lamb);
        k->axpy(p[i].f, w[i].f, -1e-3F, len);
        k->optim.sgd(p[i].f, m[i].f, g.f, len, 0.1F, 0.9F, amsgrad, 0.5F);
        k->optim.sgd(p[i].f, NULL, g.f, len, 0.1F, 0.9F, false, 0.5F);
        k->optim.ema(m[i].f, p[i].f, len, 0.01F);
    }
    check_same_bits(p[0].f, p[1].f, n, kern->isa, "param");
    check_same_bits(m[0].f, m[1].f, n, kern->isa, "m");
    check_same_bits(v[0].f, v[1].f, n, kern->isa, "v");
    check_same_bits(w[0].f, w[1].f, n, kern->isa, "u");
}

/* Steps without gradient in one pass are the same steps one by one. */
static void check_idle(const bt_kern *kern, size_t n, float decay, float size_of_state) {
    enum { N_IDLE = 7 };
    static data        p[2], m[2], v[2], g;
    const int64_t      len = (int64_t)n;
    bt_kern_adamw_args steps[N_IDLE];
    data_fill(&g, n, 1, 91, 0);
    for (size_t i = 0; i < 2; i++) {
        data_fill(&p[i], n, 0, 92, 1);
        data_fill(&m[i], n, 1, 93, size_of_state);
        data_fill(&v[i], n, 2, 94, size_of_state);
        kern->mul(v[i].f, v[i].f, v[i].f, len);
    }
    for (int s = 0; s < N_IDLE; s++) {
        steps[s] = adamw_args;
        steps[s].weight_decay = decay;
        steps[s].decay_lr *= (float)(s + 1);
        steps[s].alpha *= (float)(N_IDLE - s);
        kern->optim.adamw(p[0].f, m[0].f, v[0].f, NULL, g.f, len, &steps[s]);
    }
    kern->optim.adamw_idle(p[1].f, m[1].f, v[1].f, len, steps, N_IDLE);
    check_same_bits(p[1].f, p[0].f, n, kern->isa, "param of idle steps");
    check_same_bits(m[1].f, m[0].f, n, kern->isa, "m of idle steps");
    check_same_bits(v[1].f, v[0].f, n, kern->isa, "v of idle steps");
}

static void idle_steps_are_steps(const bt_kern *kern) {
    for (size_t i = 0; i < data_n_sizes; i++) {
        check_idle(kern, data_sizes[i], 0.01F, 1);
        check_idle(kern, data_sizes[i], 0.01F, 0);
        check_idle(kern, data_sizes[i], 0, 1);
    }
}

static void optim_is_equal_bits(const bt_kern *kern) {
    bt_kern ref;
    assert_ok(bt_kern_select("ref", &ref, err));
    for (size_t i = 0; i < data_n_sizes; i++) {
        check_optim(kern, &ref, data_sizes[i], 0.01F, false);
        check_optim(kern, &ref, data_sizes[i], 0, true);
    }
}

static void optim_is_near_double(const bt_kern *kern) {
    static data p, m, v, g;
    data_fill(&p, 1009, 0, 101, 1);
    data_fill(&m, 1009, 1, 102, 0.1);
    data_constant(&v, 1009, 2, 0.01);
    data_fill(&g, 1009, 3, 103, 1);
    v.d[0] = (double)v.f[0];
    for (size_t i = 0; i < v.n; i++) {
        v.d[i] = v.d[0];
    }
    kern->optim.adamw(p.f, m.f, v.f, NULL, g.f, 1009, &adamw_args);
    bt_kern_adamw_f64__ref(p.d, m.d, v.d, NULL, g.d, 1009, &adamw_args);
    data_check(&p, 3e-7, 2e-7, kern->isa, "adamw param");
    data_check(&m, 1e-7, 2e-7, kern->isa, "adamw m");
    data_check(&v, 1e-9, 2e-7, kern->isa, "adamw v");
    data_constant(&out, 1009, 1, 0);
    kern->optim.lamb(out.f, m.f, v.f, p.f, g.f, 1009, &lamb_args);
    bt_kern_lamb_f64__ref(out.d, m.d, v.d, p.d, g.d, 1009, &lamb_args);
    data_check(&out, 2e-5, 1e-5, kern->isa, "lamb u");
}

static void test_selection(void **state) {
    (void)state;
    bt_kern           kern;
    const char *const expected = getenv("BT_TEST_KERNELS"); /* of an emulated processor */
    assert_ok(bt_kern_select("auto", &kern, err));
    if (expected != NULL) {
        char chosen[128];
        (void)snprintf(chosen, sizeof chosen, "%s, %s, %s", kern.isa,
                       kern.products[BT_PRECISION_BF16].name, bt_kern_int8_choose(kern.isa)->name);
        assert_string_equal(chosen, expected);
    }
    assert_ok(bt_kern_select(NULL, &kern, err));
    assert_fails(bt_kern_select("sse9", &kern, err), BT_E_CONFIG,
                 "auto, ref, avx2, avx512 or neon");
    static const char *const names[] = {"ref", "avx2", "avx512", "neon"};
    for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
        if (!bt_kern_has(names[i])) { /* a processor has not both avx512 and neon */
            assert_fails(bt_kern_select(names[i], &kern, err), BT_E_BACKEND,
                         "choose auto, or of ref");
        }
    }
    /* no slot may be empty under any isa: up to `products` the table is pointers */
    for (int i = 0; bt_kern_isa(i) != NULL; i++) {
        if (bt_kern_has(bt_kern_isa(i))) {
            assert_ok(bt_kern_select(bt_kern_isa(i), &kern, err));
            void *slots[offsetof(bt_kern, products) / sizeof(void *)];
            memcpy(slots, &kern, sizeof slots);
            for (size_t s = 0; s < BT_ARRAY_LEN(slots); s++) {
                assert_non_null(slots[s]);
            }
            for (int p = 0; p < (int)BT_N_PRECISIONS; p++) {
                assert_non_null(kern.products[p].name);
                assert_true((kern.products[p].rows > 0) == (kern.products[p].tile != NULL));
            }
        }
    }
}

#define ISA_TEST(name)                                                                             \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        for_each_isa(name);                                                                        \
    }
ISA_TEST(vectors_match)
ISA_TEST(bf16_is_the_upper_half)
ISA_TEST(sum_sq_shows_nonfinite)
ISA_TEST(masks_are_equal_bits)
ISA_TEST(activations_match)
ISA_TEST(gelu_is_the_tanh_formula)
ISA_TEST(gelu_erf_is_the_normal_distribution)
ISA_TEST(rows_match)
ISA_TEST(column_sums_match)
ISA_TEST(masked_scores)
ISA_TEST(tiles_match)
ISA_TEST(transposes_match)
ISA_TEST(optim_is_equal_bits)
ISA_TEST(idle_steps_are_steps)
ISA_TEST(optim_is_near_double)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_selection),
        cmocka_unit_test(test_vectors_match),
        cmocka_unit_test(test_bf16_is_the_upper_half),
        cmocka_unit_test(test_sum_sq_shows_nonfinite),
        cmocka_unit_test(test_masks_are_equal_bits),
        cmocka_unit_test(test_activations_match),
        cmocka_unit_test(test_gelu_is_the_tanh_formula),
        cmocka_unit_test(test_gelu_erf_is_the_normal_distribution),
        cmocka_unit_test(test_rows_match),
        cmocka_unit_test(test_column_sums_match),
        cmocka_unit_test(test_masked_scores),
        cmocka_unit_test(test_tiles_match),
        cmocka_unit_test(test_transposes_match),
        cmocka_unit_test(test_gemm_matches),
        cmocka_unit_test(test_optim_is_equal_bits),
        cmocka_unit_test(test_idle_steps_are_steps),
        cmocka_unit_test(test_optim_is_near_double),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
