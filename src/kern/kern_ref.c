/* SPDX-License-Identifier: Apache-2.0
 *
 * The portable kernels: plain C, sums over sixteen fixed lanes and a fixed tree, so the bits do
 * not depend on the compiler (built with -ffp-contract=off). Compiled a second time with `double`
 * for the tests. Formulas: docs/model_garden/numerics.md sections 1, 4, 5. */
#include <string.h>
#include <tgmath.h>

#include "kern_ref_decl.h"

enum { SUM_LANES = 16 };

/* Adds the lanes as a tree: 0+8, 1+9, ...; then 0+4, ... */
static REAL sum_lanes(REAL lanes[SUM_LANES]) {
    for (int width = SUM_LANES / 2; width > 0; width /= 2) {
        for (int i = 0; i < width; i++) {
            lanes[i] += lanes[i + width];
        }
    }
    return lanes[0];
}

void REF(add)(REAL *out, const REAL *a, const REAL *b, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = a[i] + b[i];
    }
}

void REF(add3)(REAL *out, const REAL *a, const REAL *b, const REAL *c, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = a[i] + b[i] + c[i];
    }
}

void REF(mul)(REAL *out, const REAL *a, const REAL *b, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = a[i] * b[i];
    }
}

void REF(scale)(REAL *x, REAL alpha, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        x[i] *= alpha;
    }
}

void REF(axpy)(REAL *y, const REAL *x, REAL alpha, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        y[i] += alpha * x[i];
    }
}

double REF(sum_sq)(const REAL *x, int64_t n) {
    double lanes[SUM_LANES] = {0};
    for (int64_t i = 0; i < n; i++) {
        lanes[i % SUM_LANES] += (double)x[i] * (double)x[i];
    }
    for (int width = SUM_LANES / 2; width > 0; width /= 2) {
        for (int i = 0; i < width; i++) {
            lanes[i] += lanes[i + width];
        }
    }
    return lanes[0];
}

void REF(dropout_mask)(REAL *mult, int64_t n, bt_rng_key key, uint64_t first_block, uint32_t limit,
                       REAL scale) {
    for (int64_t i = 0; i < n; i += 4) {
        uint32_t words[4];
        bt_rng_block(key, first_block + (uint64_t)i / 4, words);
        for (int64_t j = 0; j < 4 && i + j < n; j++) {
            mult[i + j] = words[j] <= limit ? 0 : scale;
        }
    }
}

/* gelu(x) = 0.5 x (1 + tanh(c (x + k x^3))) = x sigmoid(2 c (x + k x^3)): the second form keeps its
 * relative accuracy where tanh comes near -1. */
static const double gelu_2c = 2 * 0.7978845608028654;
static const double gelu_k = 0.044715;

/* The exponent of the sigmoid. */
static REAL gelu_exponent(REAL x) {
    const REAL c1 = (REAL)gelu_2c;
    const REAL c3 = (REAL)(gelu_2c * gelu_k);
    return -(x * (c1 + c3 * (x * x)));
}

static REAL gelu_slope_at(REAL x, REAL z) {
    const REAL c1 = (REAL)gelu_2c;
    const REAL c3 = (REAL)(gelu_2c * gelu_k);
    const REAL e = exp(z > 88 ? 88 : z); /* e * s must not become inf * 0; NaN passes */
    const REAL s = 1 / (1 + e);
    return s + x * s * (e * s) * (c1 + 3 * c3 * (x * x));
}

void REF(gelu)(REAL *out, const REAL *in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = in[i] / (1 + exp(gelu_exponent(in[i])));
    }
}

void REF(gelu_backward)(REAL *d_in, const REAL *d_out, const REAL *in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        d_in[i] = d_out[i] * gelu_slope_at(in[i], gelu_exponent(in[i]));
    }
}

void REF(gelu_slope)(REAL *out, REAL *slope, const REAL *in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const REAL x = in[i];
        const REAL z = gelu_exponent(x);
        out[i] = x / (1 + exp(z));
        slope[i] = gelu_slope_at(x, z);
    }
}

/* x Phi(x), the distribution function of the normal distribution by its complement: no cancelling
 * in the left tail. */
static const double sqrt_half = 0.70710678118654752;
static const double inv_sqrt_2pi = 0.39894228040143268;

static REAL normal_at(REAL x) {
    return erfc(-x * (REAL)sqrt_half) / 2;
}

static REAL gelu_erf_slope_at(REAL x, REAL phi) {
    const REAL density = (REAL)inv_sqrt_2pi * exp(-x * x / 2);
    return phi + x * density;
}

void REF(gelu_erf)(REAL *out, const REAL *in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = in[i] * normal_at(in[i]);
    }
}

void REF(gelu_erf_backward)(REAL *d_in, const REAL *d_out, const REAL *in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        d_in[i] = d_out[i] * gelu_erf_slope_at(in[i], normal_at(in[i]));
    }
}

void REF(gelu_erf_slope)(REAL *out, REAL *slope, const REAL *in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const REAL x = in[i];
        const REAL phi = normal_at(x);
        out[i] = x * phi;
        slope[i] = gelu_erf_slope_at(x, phi);
    }
}

void REF(relu)(REAL *out, const REAL *in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = in[i] < 0 ? 0 : in[i]; /* NaN stays NaN */
    }
}

void REF(relu_backward)(REAL *d_in, const REAL *d_out, const REAL *in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        d_in[i] = in[i] > 0 ? d_out[i] : 0;
    }
}

void REF(relu6)(REAL *out, const REAL *in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const REAL x = in[i] < 0 ? 0 : in[i];
        out[i] = x > 6 ? 6 : x;
    }
}

void REF(relu6_backward)(REAL *d_in, const REAL *d_out, const REAL *in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        d_in[i] = in[i] > 0 && in[i] < 6 ? d_out[i] : 0;
    }
}

void REF(tanh)(REAL *out, const REAL *in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = tanh(in[i]);
    }
}

void REF(tanh_backward)(REAL *d_in, const REAL *d_out, const REAL *in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const REAL y = tanh(in[i]);
        d_in[i] = d_out[i] * (1 - y * y);
    }
}

static REAL sigmoid_of(REAL x) {
    return 1 / (1 + exp(-x));
}

void REF(sigmoid)(REAL *out, const REAL *in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = sigmoid_of(in[i]);
    }
}

void REF(sigmoid_backward)(REAL *d_in, const REAL *d_out, const REAL *in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        d_in[i] = d_out[i] * (sigmoid_of(in[i]) * sigmoid_of(-in[i]));
    }
}

void REF(swish)(REAL *out, const REAL *in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = in[i] * sigmoid_of(in[i]);
    }
}

void REF(swish_backward)(REAL *d_in, const REAL *d_out, const REAL *in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const REAL x = in[i];
        const REAL s = sigmoid_of(x);
        d_in[i] = d_out[i] * (s + x * (s * sigmoid_of(-x)));
    }
}

void REF(hard_swish)(REAL *out, const REAL *in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const REAL x = in[i];
        const REAL ramp = x < -3 ? 0 : x + 3;
        out[i] = x * ((ramp > 6 ? 6 : ramp) / 6);
    }
}

void REF(hard_swish_backward)(REAL *d_in, const REAL *d_out, const REAL *in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const REAL x = in[i];
        REAL       slope = (2 * x + 3) / 6;
        if (x <= -3) {
            slope = 0;
        } else if (x >= 3) {
            slope = 1;
        }
        d_in[i] = d_out[i] * slope;
    }
}

/* log(1 + e^x) without overflow */
static REAL softplus_of(REAL x) {
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

void REF(mish)(REAL *out, const REAL *in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = in[i] * tanh(softplus_of(in[i]));
    }
}

void REF(mish_backward)(REAL *d_in, const REAL *d_out, const REAL *in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const REAL x = in[i];
        const REAL t = tanh(softplus_of(x));
        d_in[i] = d_out[i] * (t + x * ((1 - t * t) * sigmoid_of(x)));
    }
}

void REF(identity)(REAL *out, const REAL *in, int64_t n) {
    if (n > 0 && out != in) {
        memmove(out, in, (size_t)n * sizeof *out);
    }
}

void REF(identity_backward)(REAL *d_in, const REAL *d_out, const REAL *in, int64_t n) {
    (void)in;
    REF(identity)(d_in, d_out, n);
}

void REF(bias_residual)(REAL *out, const REAL *in, const REAL *bias, const REAL *mult,
                        const REAL *residual, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        REAL y = in[i] + bias[i];
        if (mult != NULL) {
            y *= mult[i];
        }
        out[i] = residual != NULL ? residual[i] + y : y;
    }
}

void REF(add_bias)(REAL *x, const REAL *bias, int64_t n_rows, int64_t n_cols) {
    for (int64_t r = 0; r < n_rows; r++) {
        REF(add)(x + r * n_cols, x + r * n_cols, bias, n_cols);
    }
}

void REF(column_sums)(REAL *sums, const REAL *x, int64_t n_rows, int64_t n_cols) {
    for (int64_t r = 0; r < n_rows; r++) {
        REF(add)(sums, sums, x + r * n_cols, n_cols);
    }
}

void REF(norm_forward)(REAL *out, REAL *mean, REAL *rstd, const REAL *in, const REAL *gain,
                       const REAL *bias, int64_t n_rows, int64_t n_cols, REAL eps) {
    for (int64_t r = 0; r < n_rows; r++) {
        const REAL *const x = in + r * n_cols;
        REAL              sums[SUM_LANES] = {0};
        for (int64_t i = 0; i < n_cols; i++) {
            sums[i % SUM_LANES] += x[i];
        }
        const REAL mu = sum_lanes(sums) / (REAL)n_cols;
        REAL       squares[SUM_LANES] = {0};
        for (int64_t i = 0; i < n_cols; i++) {
            squares[i % SUM_LANES] += (x[i] - mu) * (x[i] - mu);
        }
        const REAL inv = 1 / sqrt(sum_lanes(squares) / (REAL)n_cols + eps);
        mean[r] = mu;
        rstd[r] = inv;
        for (int64_t i = 0; i < n_cols; i++) {
            out[r * n_cols + i] = (x[i] - mu) * inv * gain[i] + bias[i];
        }
    }
}

void REF(norm_backward)(REAL *d_in, REAL *d_gain, REAL *d_bias, const REAL *d_out, const REAL *in,
                        const REAL *gain, const REAL *mean, const REAL *rstd, int64_t n_rows,
                        int64_t n_cols) {
    for (int64_t r = 0; r < n_rows; r++) {
        const REAL *const x = in + r * n_cols;
        const REAL *const dy = d_out + r * n_cols;
        REAL              sums[SUM_LANES] = {0};
        REAL              dots[SUM_LANES] = {0};
        for (int64_t i = 0; i < n_cols; i++) {
            const REAL x_hat = (x[i] - mean[r]) * rstd[r];
            const REAL dx_hat = dy[i] * gain[i];
            sums[i % SUM_LANES] += dx_hat;
            dots[i % SUM_LANES] += dx_hat * x_hat;
        }
        const REAL mean_d = sum_lanes(sums) / (REAL)n_cols;
        const REAL mean_dot = sum_lanes(dots) / (REAL)n_cols;
        for (int64_t i = 0; i < n_cols; i++) {
            const REAL x_hat = (x[i] - mean[r]) * rstd[r];
            const REAL dy_i = dy[i]; /* d_in may be d_out */
            d_gain[i] += dy_i * x_hat;
            d_bias[i] += dy_i;
            d_in[r * n_cols + i] = rstd[r] * (dy_i * gain[i] - mean_d - x_hat * mean_dot);
        }
    }
}

void REF(softmax_again)(REAL *p, const REAL *s, REAL max, REAL inv_sum, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        p[i] = exp(s[i] - max) * inv_sum;
    }
}

void REF(softmax_forward)(REAL *p, REAL *max, REAL *inv_sum, const REAL *s, int64_t n) {
    REAL largest = s[0];
    for (int64_t i = 1; i < n; i++) {
        largest = s[i] > largest ? s[i] : largest;
    }
    REAL sums[SUM_LANES] = {0};
    for (int64_t i = 0; i < n; i++) {
        sums[i % SUM_LANES] += exp(s[i] - largest);
    }
    *max = largest;
    *inv_sum = 1 / sum_lanes(sums);
    REF(softmax_again)(p, s, *max, *inv_sum, n);
}

void REF(softmax_backward)(REAL *d_s, const REAL *d_p, const REAL *p, int64_t n) {
    REAL dots[SUM_LANES] = {0};
    for (int64_t i = 0; i < n; i++) {
        dots[i % SUM_LANES] += d_p[i] * p[i];
    }
    const REAL dot = sum_lanes(dots);
    for (int64_t i = 0; i < n; i++) {
        d_s[i] = p[i] * (d_p[i] - dot);
    }
}

void REF(tile_product)(REAL *c, int64_t ld_c, const REAL *a, int64_t a_row, int64_t a_col,
                       const REAL *b, int64_t ld_b, int64_t M, int64_t N, int64_t K, REAL alpha,
                       bool accumulate) {
    enum { BLOCK = 64 };
    for (int64_t i = 0; i < M; i++) {
        for (int64_t j0 = 0; j0 < N; j0 += BLOCK) {
            const int64_t n = N - j0 < BLOCK ? N - j0 : BLOCK;
            REAL          sums[BLOCK] = {0};
            for (int64_t k = 0; k < K; k++) {
                const REAL        a_ik = a[i * a_row + k * a_col];
                const REAL *const b_row = b + k * ld_b + j0;
                for (int64_t j = 0; j < n; j++) {
                    sums[j] += a_ik * b_row[j];
                }
            }
            REAL *const c_row = c + i * ld_c + j0;
            for (int64_t j = 0; j < n; j++) {
                c_row[j] = accumulate ? c_row[j] + alpha * sums[j] : alpha * sums[j];
            }
        }
    }
}

void REF(transpose)(REAL *out, int64_t ld_out, const REAL *in, int64_t ld_in, int64_t n_rows,
                    int64_t n_cols) {
    for (int64_t r = 0; r < n_rows; r++) {
        for (int64_t c = 0; c < n_cols; c++) {
            out[c * ld_out + r] = in[r * ld_in + c];
        }
    }
}
