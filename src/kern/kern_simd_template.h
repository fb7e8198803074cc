/* SPDX-License-Identifier: Apache-2.0
 *
 * The vector kernels, written once in terms of a few primitives (vf, v_load, v_fma, ...) that the
 * including file defines for its instruction set, together with LANES, TILE_ROWS, SIMD(name) and
 * transpose_8_rows. Included by kern_avx2.c, kern_avx512.c and kern_neon.c; the portable twins are
 * in kern_ref.c.
 *
 * exp: range reduction by ln 2 in two parts and a degree-6 polynomial (Cephes expf), relative error
 * below 2e-7; below -87.3 the result is exactly 0, NaN stays NaN. */

/* One loop for whole vectors and a masked rest: `body` sees `at` (the place) and `m` (the mask). */
#define FOR_VECTORS(n, body)                                                                       \
    do {                                                                                           \
        int64_t at = 0;                                                                            \
        for (; at + LANES <= (n); at += LANES) {                                                   \
            const vm m = v_whole();                                                                \
            (void)m;                                                                               \
            body                                                                                   \
        }                                                                                          \
        if (at < (n)) {                                                                            \
            const vm m = v_mask((n)-at);                                                           \
            body                                                                                   \
        }                                                                                          \
    } while (0)

static inline vf exp_of(vf x) {
    const vf low = v_set(-87.336544f);
    vf       y = v_min(v_set(88.376262f), x); /* the second operand is returned for NaN */
    y = v_max(low, y);
    const vf k = v_round(v_mul(y, v_set(1.44269504088896341f)));
    vf       r = v_fnma(k, v_set(0.693359375f), y);
    r = v_fnma(k, v_set(-2.12194440e-4f), r);
    vf p = v_fma(v_set(1.9875691500e-4f), r, v_set(1.3981999507e-3f));
    p = v_fma(p, r, v_set(8.3334519073e-3f));
    p = v_fma(p, r, v_set(4.1665795894e-2f));
    p = v_fma(p, r, v_set(1.6666665459e-1f));
    p = v_fma(p, r, v_set(5.0000001201e-1f));
    p = v_fma(p, v_mul(r, r), v_add(r, v_set(1.0f)));
    return v_zero_where_less(x, low, v_mul(p, v_exp2_int(k)));
}

/* Vectors. */

static void SIMD(add)(float *out, const float *a, const float *b, int64_t n) {
    FOR_VECTORS(n, v_store(out + at, m, v_add(v_load(a + at, m), v_load(b + at, m))););
}

static void SIMD(add3)(float *out, const float *a, const float *b, const float *c, int64_t n) {
    FOR_VECTORS(n, const vf ab = v_add(v_load(a + at, m), v_load(b + at, m));
                v_store(out + at, m, v_add(ab, v_load(c + at, m))););
}

static void SIMD(mul)(float *out, const float *a, const float *b, int64_t n) {
    FOR_VECTORS(n, v_store(out + at, m, v_mul(v_load(a + at, m), v_load(b + at, m))););
}

static void SIMD(scale)(float *x, float alpha, int64_t n) {
    const vf factor = v_set(alpha);
    FOR_VECTORS(n, v_store(x + at, m, v_mul(v_load(x + at, m), factor)););
}

static void SIMD(axpy)(float *y, const float *x, float alpha, int64_t n) {
    const vf factor = v_set(alpha);
    FOR_VECTORS(n, const vf step = v_mul(factor, v_load(x + at, m));
                v_store(y + at, m, v_add(v_load(y + at, m), step)););
}

static void SIMD(dropout_mask)(float *mult, int64_t n, bt_rng_key key, uint64_t first_block,
                               uint32_t limit, float scale) {
    const int64_t n_blocks = (n + 3) / 4;
    if (n_blocks == 0) {
        return;
    }
    const uint64_t low = first_block & UINT32_MAX;
    if (low + (uint64_t)n_blocks + LANES > UINT32_MAX) { /* the vectors have no carry */
        bt_kern_dropout_mask_f32__ref(mult, n, key, first_block, limit, scale);
        return;
    }
    for (int64_t block = 0; block < n_blocks; block += LANES) {
        const int64_t left = n - 4 * block;
        if (left >= 4 * LANES) {
            philox_multipliers(mult + 4 * block, key, first_block + (uint64_t)block, limit, scale);
            continue;
        }
        float rest[4 * LANES];
        philox_multipliers(rest, key, first_block + (uint64_t)block, limit, scale);
        memcpy(mult + 4 * block, rest, (size_t)left * sizeof *mult);
    }
}

/* Activations. */

static const float gelu_c1 = 1.5957691216057308f;   /* 2 sqrt(2/pi) */
static const float gelu_c3 = 0.071354816272600418f; /* c1 * 0.044715 */

/* Of the sigmoid's exponent. */
static inline vf gelu_exp(vf x, vf x2) {
    const vf slope = v_fma(x2, v_set(gelu_c3), v_set(gelu_c1));
    return exp_of(v_neg(v_mul(x, slope)));
}

static inline vf gelu_slope_of(vf x, vf x2, vf e) {
    const vf one = v_set(1.0f);
    const vf s = v_div(one, v_add(one, e)); /* sigmoid; e * s is its complement */
    const vf d_slope = v_fma(x2, v_set(3 * gelu_c3), v_set(gelu_c1));
    return v_fma(v_mul(v_mul(x, s), v_mul(e, s)), d_slope, s);
}

static void SIMD(gelu)(float *out, const float *in, int64_t n) {
    const vf one = v_set(1.0f);
    FOR_VECTORS(n, const vf x = v_load(in + at, m); const vf e = gelu_exp(x, v_mul(x, x));
                v_store(out + at, m, v_div(x, v_add(one, e))););
}

static void SIMD(gelu_backward)(float *d_in, const float *d_out, const float *in, int64_t n) {
    FOR_VECTORS(n, const vf x = v_load(in + at, m); const vf x2 = v_mul(x, x);
                const vf d = gelu_slope_of(x, x2, gelu_exp(x, x2));
                v_store(d_in + at, m, v_mul(v_load(d_out + at, m), d)););
}

static void SIMD(gelu_slope)(float *out, float *slope, const float *in, int64_t n) {
    const vf one = v_set(1.0f);
    FOR_VECTORS(n, const vf x = v_load(in + at, m); const vf x2 = v_mul(x, x);
                const vf e = gelu_exp(x, x2); v_store(out + at, m, v_div(x, v_add(one, e)));
                v_store(slope + at, m, gelu_slope_of(x, x2, e)););
}

/* Phi(x) by erfc(z) = t exp(p(t) - z^2), t = 1 / (1 + z/2), z = |x| / sqrt 2: Chebyshev fit with a
 * relative error below 1.2e-7 everywhere (Press et al., Numerical Recipes, "erfcc"). */
static vf normal_distribution(vf x) {
    static const float p[] = {0.17087277f,  -0.82215223f, 1.48851587f, -1.13520398f, 0.27886807f,
                              -0.18628806f, 0.09678418f,  0.37409196f, 1.00002368f,  -1.26551223f};
    const vf           one = v_set(1.0f);
    const vf           z = v_mul(v_max(v_neg(x), x), v_set(0.70710678f));
    const vf           t = v_div(one, v_fma(z, v_set(0.5f), one));
    vf                 exponent = v_set(p[0]);
    for (size_t i = 1; i < sizeof p / sizeof p[0]; i++) {
        exponent = v_fma(exponent, t, v_set(p[i]));
    }
    exponent = v_fma(v_neg(z), z, exponent);
    const vf tail = v_mul(v_mul(t, v_set(0.5f)), exp_of(exponent)); /* Phi(-|x|) */
    return v_add(tail, v_where_less(v_set(0.0f), x, v_fma(tail, v_set(-2.0f), one)));
}

static void SIMD(gelu_erf)(float *out, const float *in, int64_t n) {
    FOR_VECTORS(n, const vf x = v_load(in + at, m);
                v_store(out + at, m, v_mul(x, normal_distribution(x))););
}

static inline vf gelu_erf_slope_of(vf x, vf phi) {
    const vf e = exp_of(v_mul(v_mul(x, x), v_set(-0.5f)));
    const vf density = v_mul(e, v_set(0.39894228f));
    return v_fma(x, density, phi);
}

static void SIMD(gelu_erf_backward)(float *d_in, const float *d_out, const float *in, int64_t n) {
    FOR_VECTORS(n, const vf x = v_load(in + at, m);
                const vf d = gelu_erf_slope_of(x, normal_distribution(x));
                v_store(d_in + at, m, v_mul(v_load(d_out + at, m), d)););
}

static void SIMD(gelu_erf_slope)(float *out, float *slope, const float *in, int64_t n) {
    FOR_VECTORS(n, const vf x = v_load(in + at, m); const vf phi = normal_distribution(x);
                v_store(out + at, m, v_mul(x, phi));
                v_store(slope + at, m, gelu_erf_slope_of(x, phi)););
}

static void SIMD(relu)(float *out, const float *in, int64_t n) {
    const vf zero = v_set(0.0f);
    FOR_VECTORS(n, v_store(out + at, m, v_max(zero, v_load(in + at, m))););
}

static void SIMD(relu_backward)(float *d_in, const float *d_out, const float *in, int64_t n) {
    const vf zero = v_set(0.0f);
    FOR_VECTORS(n, const vf d = v_load(d_out + at, m);
                v_store(d_in + at, m, v_where_less(zero, v_load(in + at, m), d)););
}

/* Rows. */

static void SIMD(bias_residual)(float *out, const float *in, const float *bias, const float *mult,
                                const float *residual, int64_t n) {
    if (mult == NULL && residual == NULL) {
        SIMD(add)(out, in, bias, n);
    } else if (mult == NULL) {
        FOR_VECTORS(n, const vf y = v_add(v_load(in + at, m), v_load(bias + at, m));
                    v_store(out + at, m, v_add(v_load(residual + at, m), y)););
    } else if (residual == NULL) {
        FOR_VECTORS(n, const vf y = v_add(v_load(in + at, m), v_load(bias + at, m));
                    v_store(out + at, m, v_mul(y, v_load(mult + at, m))););
    } else {
        FOR_VECTORS(n, const vf y = v_add(v_load(in + at, m), v_load(bias + at, m));
                    const vf dropped = v_mul(y, v_load(mult + at, m));
                    v_store(out + at, m, v_add(v_load(residual + at, m), dropped)););
    }
}

static void SIMD(add_bias)(float *x, const float *bias, int64_t n_rows, int64_t n_cols) {
    for (int64_t r = 0; r < n_rows; r++) {
        SIMD(add)(x + r * n_cols, x + r * n_cols, bias, n_cols);
    }
}

static void SIMD(column_sums)(float *sums, const float *x, int64_t n_rows, int64_t n_cols) {
    for (int64_t r = 0; r < n_rows; r++) {
        SIMD(add)(sums, sums, x + r * n_cols, n_cols);
    }
}

static void SIMD(norm_forward)(float *out, float *mean, float *rstd, const float *in,
                               const float *gain, const float *bias, int64_t n_rows, int64_t n_cols,
                               float eps) {
    for (int64_t r = 0; r < n_rows; r++) {
        const float *const x = in + r * n_cols;
        float *const       y = out + r * n_cols;
        vf                 sum = v_set(0.0f);
        FOR_VECTORS(n_cols, sum = v_add(sum, v_load(x + at, m)););
        const float mu = v_sum(sum) / (float)n_cols;
        const vf    mu_v = v_set(mu);
        vf          squares = v_set(0.0f);
        FOR_VECTORS(n_cols, const vf d = v_keep(m, v_sub(v_load(x + at, m), mu_v));
                    squares = v_fma(d, d, squares););
        const float inv = 1 / sqrtf(v_sum(squares) / (float)n_cols + eps);
        const vf    inv_v = v_set(inv);
        mean[r] = mu;
        rstd[r] = inv;
        FOR_VECTORS(n_cols, const vf d = v_mul(v_sub(v_load(x + at, m), mu_v), inv_v);
                    v_store(y + at, m, v_fma(d, v_load(gain + at, m), v_load(bias + at, m))););
    }
}

static void SIMD(norm_backward)(float *d_in, float *d_gain, float *d_bias, const float *d_out,
                                const float *in, const float *gain, const float *mean,
                                const float *rstd, int64_t n_rows, int64_t n_cols) {
    for (int64_t r = 0; r < n_rows; r++) {
        const float *const x = in + r * n_cols;
        const float *const dy = d_out + r * n_cols;
        float *const       dx = d_in + r * n_cols;
        const vf           mu = v_set(mean[r]);
        const vf           inv = v_set(rstd[r]);
        vf                 sum = v_set(0.0f);
        vf                 dot = v_set(0.0f);
        FOR_VECTORS(n_cols, const vf x_hat = v_mul(v_sub(v_load(x + at, m), mu), inv);
                    const vf dx_hat = v_mul(v_load(dy + at, m), v_load(gain + at, m));
                    sum = v_add(sum, dx_hat); dot = v_fma(dx_hat, x_hat, dot););
        const vf mean_d = v_set(v_sum(sum) / (float)n_cols);
        const vf mean_dot = v_set(v_sum(dot) / (float)n_cols);
        FOR_VECTORS(n_cols, const vf x_hat = v_mul(v_sub(v_load(x + at, m), mu), inv);
                    const vf dy_v = v_load(dy + at, m);
                    v_store(d_gain + at, m, v_fma(dy_v, x_hat, v_load(d_gain + at, m)));
                    v_store(d_bias + at, m, v_add(dy_v, v_load(d_bias + at, m)));
                    const vf centred = v_sub(v_mul(dy_v, v_load(gain + at, m)), mean_d);
                    v_store(dx + at, m, v_mul(inv, v_fnma(x_hat, mean_dot, centred))););
    }
}

static void SIMD(softmax_again)(float *p, const float *s, float max, float inv_sum, int64_t n) {
    const vf max_v = v_set(max);
    const vf inv_v = v_set(inv_sum);
    FOR_VECTORS(n, const vf e = exp_of(v_sub(v_load(s + at, m), max_v));
                v_store(p + at, m, v_mul(e, inv_v)););
}

static void SIMD(softmax_forward)(float *p, float *max, float *inv_sum, const float *s, int64_t n) {
    vf largest_v = v_set(s[0]);
    FOR_VECTORS(n, largest_v = v_max(largest_v, v_load_or(s + at, m, largest_v)););
    const float largest = v_largest(largest_v);
    const vf    max_v = v_set(largest);
    vf          sum = v_set(0.0f);
    FOR_VECTORS(n, const vf e = v_keep(m, exp_of(v_sub(v_load(s + at, m), max_v)));
                sum = v_add(sum, e); v_store(p + at, m, e););
    *max = largest;
    *inv_sum = 1 / v_sum(sum);
    SIMD(scale)(p, *inv_sum, n);
}

static void SIMD(softmax_backward)(float *d_s, const float *d_p, const float *p, int64_t n) {
    vf dot = v_set(0.0f);
    FOR_VECTORS(n, dot = v_fma(v_load(d_p + at, m), v_load(p + at, m), dot););
    const vf dot_v = v_set(v_sum(dot));
    FOR_VECTORS(n, const vf d = v_sub(v_load(d_p + at, m), dot_v);
                v_store(d_s + at, m, v_mul(v_load(p + at, m), d)););
}

/* Small products. */

/* R rows times one or two vectors of columns, all sums in registers. R and two are constants after
 * inlining. */
static inline __attribute__((always_inline)) void
tile_block(const int R, const bool two, float *c, int64_t ld_c, const float *a, int64_t a_row,
           int64_t a_col, const float *b, int64_t ld_b, int64_t K, vm m0, vm m1, vf alpha,
           bool accumulate) {
    vf sum_0[TILE_ROWS];
    vf sum_1[TILE_ROWS];
    UNROLL for (int r = 0; r < R; r++) {
        sum_0[r] = v_set(0.0f);
        sum_1[r] = v_set(0.0f);
    }
    for (int64_t k = 0; k < K; k++) {
        const vf b_0 = v_load(b + k * ld_b, m0);
        const vf b_1 = two ? v_load(b + k * ld_b + LANES, m1) : b_0;
        UNROLL for (int r = 0; r < R; r++) {
            const vf a_rk = v_set(a[r * a_row + k * a_col]);
            sum_0[r] = v_fma(a_rk, b_0, sum_0[r]);
            if (two) {
                sum_1[r] = v_fma(a_rk, b_1, sum_1[r]);
            }
        }
    }
    UNROLL for (int r = 0; r < R; r++) {
        float *const c_r = c + r * ld_c;
        const vf     y_0 = v_mul(alpha, sum_0[r]);
        v_store(c_r, m0, accumulate ? v_add(v_load(c_r, m0), y_0) : y_0);
        if (two) {
            const vf y_1 = v_mul(alpha, sum_1[r]);
            v_store(c_r + LANES, m1, accumulate ? v_add(v_load(c_r + LANES, m1), y_1) : y_1);
        }
    }
}

static inline __attribute__((always_inline)) void
tile_column(const bool two, float *c, int64_t ld_c, const float *a, int64_t a_row, int64_t a_col,
            const float *b, int64_t ld_b, int64_t M, int64_t K, vm m0, vm m1, vf alpha,
            bool accumulate) {
    int64_t i = 0;
    for (; i + TILE_ROWS <= M; i += TILE_ROWS) {
        tile_block(TILE_ROWS, two, c + i * ld_c, ld_c, a + i * a_row, a_row, a_col, b, ld_b, K, m0,
                   m1, alpha, accumulate);
    }
    for (; i + 3 <= M; i += 3) {
        tile_block(3, two, c + i * ld_c, ld_c, a + i * a_row, a_row, a_col, b, ld_b, K, m0, m1,
                   alpha, accumulate);
    }
    for (; i < M; i++) {
        tile_block(1, two, c + i * ld_c, ld_c, a + i * a_row, a_row, a_col, b, ld_b, K, m0, m1,
                   alpha, accumulate);
    }
}

static void SIMD(tile_product)(float *c, int64_t ld_c, const float *a, int64_t a_row, int64_t a_col,
                               const float *b, int64_t ld_b, int64_t M, int64_t N, int64_t K,
                               float alpha, bool accumulate) {
    const vf alpha_v = v_set(alpha);
    for (int64_t j = 0; j < N; j += 2 * LANES) {
        const int64_t left = N - j;
        float *const  c_j = c + j;
        /* four times the same, so that the masks are constants where they are whole */
        if (left >= 2 * LANES) {
            tile_column(true, c_j, ld_c, a, a_row, a_col, b + j, ld_b, M, K, v_whole(), v_whole(),
                        alpha_v, accumulate);
        } else if (left > LANES) {
            tile_column(true, c_j, ld_c, a, a_row, a_col, b + j, ld_b, M, K, v_whole(),
                        v_mask(left - LANES), alpha_v, accumulate);
        } else if (left == LANES) {
            tile_column(false, c_j, ld_c, a, a_row, a_col, b + j, ld_b, M, K, v_whole(), v_whole(),
                        alpha_v, accumulate);
        } else {
            tile_column(false, c_j, ld_c, a, a_row, a_col, b + j, ld_b, M, K, v_mask(left),
                        v_whole(), alpha_v, accumulate);
        }
    }
}

static inline void transpose_8x8(float *out, int64_t ld_out, const float *in, int64_t ld_in) {
    const float *rows[8];
    UNROLL for (int i = 0; i < 8; i++) {
        rows[i] = in + i * ld_in;
    }
    transpose_8_rows(out, ld_out, rows);
}

static void SIMD(transpose)(float *out, int64_t ld_out, const float *in, int64_t ld_in,
                            int64_t n_rows, int64_t n_cols) {
    const int64_t whole_rows = n_rows / 8 * 8;
    const int64_t whole_cols = n_cols / 8 * 8;
    for (int64_t r = 0; r < whole_rows; r += 8) {
        for (int64_t c = 0; c < whole_cols; c += 8) {
            transpose_8x8(out + c * ld_out + r, ld_out, in + r * ld_in + c, ld_in);
        }
    }
    bt_kern_transpose_f32__ref(out + whole_cols * ld_out, ld_out, in + whole_cols, ld_in,
                               whole_rows, n_cols - whole_cols);
    bt_kern_transpose_f32__ref(out + whole_rows, ld_out, in + whole_rows * ld_in, ld_in,
                               n_rows - whole_rows, n_cols);
}

/* Optimizer: the same single operations as kern_ref_optim.c, never a fused multiply-add. */

static void SIMD(adamw)(float *param, float *m_state, float *v_state, float *v_max,
                        const float *grad, int64_t n, const bt_kern_adamw_args *a) {
    if (v_max != NULL) { /* amsgrad: rare, and not worth a second vector body */
        bt_kern_adamw_f32__ref(param, m_state, v_state, v_max, grad, n, a);
        return;
    }
    const bool decays = a->weight_decay != 0;
    const vf   clip = v_set(a->grad_scale);
    const vf   rate = v_set(a->decay_lr);
    const vf   decay = v_set(a->weight_decay);
    const vf   b1 = v_set(a->one_minus_beta_1);
    const vf   b2 = v_set(a->one_minus_beta_2);
    const vf   alpha = v_set(a->alpha);
    const vf   eps = v_set(a->epsilon);
    FOR_VECTORS(
        n, const vf g = v_mul(v_load(grad + at, m), clip); vf p = v_load(param + at, m);
        if (decays) { p = v_sub(p, v_mul(v_mul(rate, p), decay)); } vf m1 = v_load(m_state + at, m);
        vf v1 = v_load(v_state + at, m); m1 = v_add(m1, v_mul(v_sub(g, m1), b1));
        v1 = v_add(v1, v_mul(v_sub(v_mul(g, g), v1), b2)); v_store(m_state + at, m, m1);
        v_store(v_state + at, m, v1);
        const vf step = v_div(v_mul(m1, alpha), v_add(v_sqrt(v1), eps));
        v_store(param + at, m, v_sub(p, step)););
}

/* Where m and v are 0, nothing but the decay is left of a step. */
static inline vf idle_decays(vf p, const bt_kern_adamw_args *a, int64_t n_steps) {
    const vf decay = v_set(a->weight_decay);
    for (int64_t s = 0; a->weight_decay != 0 && s < n_steps; s++) {
        p = v_sub(p, v_mul(v_mul(v_set(a[s].decay_lr), p), decay));
    }
    return p;
}

static void SIMD(adamw_idle)(float *param, float *m_state, float *v_state, int64_t n,
                             const bt_kern_adamw_args *a, int64_t n_steps) {
    const bool decays = a->weight_decay != 0;
    const vf   decay = v_set(a->weight_decay);
    const vf   b1 = v_set(a->one_minus_beta_1);
    const vf   b2 = v_set(a->one_minus_beta_2);
    const vf   eps = v_set(a->epsilon);
    const vf   zero = v_set(0);
    for (int64_t at = 0; at < n; at += LANES) {
        const vm m = n - at >= LANES ? v_whole() : v_mask(n - at);
        vf       p = v_load(param + at, m);
        vf       m1 = v_load(m_state + at, m);
        vf       v1 = v_load(v_state + at, m);
        if (v_is_all_zero_bits(m1, v1)) {
            v_store(param + at, m, idle_decays(p, a, n_steps));
            continue;
        }
        for (int64_t s = 0; s < n_steps; s++) {
            if (decays) {
                p = v_sub(p, v_mul(v_mul(v_set(a[s].decay_lr), p), decay));
            }
            m1 = v_add(m1, v_mul(v_sub(zero, m1), b1));
            v1 = v_add(v1, v_mul(v_sub(zero, v1), b2));
            p = v_sub(p, v_div(v_mul(m1, v_set(a[s].alpha)), v_add(v_sqrt(v1), eps)));
        }
        v_store(m_state + at, m, m1);
        v_store(v_state + at, m, v1);
        v_store(param + at, m, p);
    }
}

static void SIMD(lamb)(float *u, float *m_state, float *v_state, const float *param,
                       const float *grad, int64_t n, const bt_kern_lamb_args *a) {
    const bool decays = a->weight_decay != 0;
    const vf   clip = v_set(a->grad_scale);
    const vf   b1 = v_set(a->beta_1);
    const vf   b1_rest = v_set(a->one_minus_beta_1);
    const vf   b2 = v_set(a->beta_2);
    const vf   b2_rest = v_set(a->one_minus_beta_2);
    const vf   c1 = v_set(a->correction_1);
    const vf   c2 = v_set(a->correction_2);
    const vf   eps = v_set(a->epsilon);
    const vf   decay = v_set(a->weight_decay);
    FOR_VECTORS(
        n, const vf g = v_mul(v_load(grad + at, m), clip);
        const vf m1 = v_add(v_mul(b1, v_load(m_state + at, m)), v_mul(b1_rest, g));
        const vf v1 = v_add(v_mul(b2, v_load(v_state + at, m)), v_mul(b2_rest, v_mul(g, g)));
        vf       step = v_div(v_div(m1, c1), v_add(v_sqrt(v_div(v1, c2)), eps)); if (decays) {
                  step = v_add(step, v_mul(decay, v_load(param + at, m)));
        } v_store(m_state + at, m, m1);
        v_store(v_state + at, m, v1); v_store(u + at, m, step););
}

static void SIMD(ema)(float *average, const float *param, int64_t n, float one_minus_decay) {
    const vf rest = v_set(one_minus_decay);
    FOR_VECTORS(n, const vf old = v_load(average + at, m);
                const vf step = v_mul(v_sub(old, v_load(param + at, m)), rest);
                v_store(average + at, m, v_sub(old, step)););
}

/* Into the table. */

static void override_table(bt_kern *kern) {
    kern->add = SIMD(add);
    kern->add3 = SIMD(add3);
    kern->mul = SIMD(mul);
    kern->scale = SIMD(scale);
    kern->axpy = SIMD(axpy);
    kern->sum_sq = SIMD(sum_sq);
    kern->dropout_mask = SIMD(dropout_mask);
    kern->act_forward[BT_ACT_GELU] = SIMD(gelu);
    kern->act_backward[BT_ACT_GELU] = SIMD(gelu_backward);
    kern->act_forward[BT_ACT_GELU_ERF] = SIMD(gelu_erf);
    kern->act_backward[BT_ACT_GELU_ERF] = SIMD(gelu_erf_backward);
    kern->act_slope[BT_ACT_GELU] = SIMD(gelu_slope);
    kern->act_slope[BT_ACT_GELU_ERF] = SIMD(gelu_erf_slope);
    kern->act_forward[BT_ACT_RELU] = SIMD(relu);
    kern->act_backward[BT_ACT_RELU] = SIMD(relu_backward);
    kern->bias_residual = SIMD(bias_residual);
    kern->add_bias = SIMD(add_bias);
    kern->column_sums = SIMD(column_sums);
    kern->norm_forward = SIMD(norm_forward);
    kern->norm_backward = SIMD(norm_backward);
    kern->softmax_forward = SIMD(softmax_forward);
    kern->softmax_again = SIMD(softmax_again);
    kern->softmax_backward = SIMD(softmax_backward);
    kern->tile_product = SIMD(tile_product);
    kern->transpose = SIMD(transpose);
    kern->optim.adamw = SIMD(adamw);
    kern->optim.adamw_idle = SIMD(adamw_idle);
    kern->optim.lamb = SIMD(lamb);
    kern->optim.ema = SIMD(ema);
}
