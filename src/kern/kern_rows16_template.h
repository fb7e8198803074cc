/* SPDX-License-Identifier: Apache-2.0
 *
 * The vector kernels of attention in bfloat16, in terms of the primitives of kern_simd_template.h
 * and of some more: v_round16, v_store16 (the first lanes, rounded), v_kept (0 where a bit of
 * dropout is 0), v_low and v_high (of words, the bfloat16 numbers in either half). Included after
 * kern_simd_template.h; portable twins: kern_ref16.c. */

/* Scaled and masked scores; lanes outside of m have the row's first one. */
static inline vf scores_at(const bt_kern_probs16 *x, const float *s, int64_t at, vm m, vf first) {
    const vf scaled = v_mul(v_load_or(s + at, m, first), v_set(x->scale));
    return x->mask == NULL ? scaled : v_add(scaled, v_load_or(x->mask + at, m, v_set(x->mask[0])));
}

static inline vf kept_at(const bt_kern_probs16 *x, int64_t r, int64_t at, vf p) {
    return x->kept == NULL ? p
                           : v_kept(x->kept + r * x->kept_step, at, v_mul(p, v_set(x->kept_scale)));
}

/* A left factor's row from n, rounded up to whole vectors, to its end; whole rows after the last.
 */
static void clear_row_end(uint16_t *left, int64_t n, int64_t row) {
    const int64_t first = (n + LANES - 1) / LANES * LANES;
    memset(left + first, 0, (size_t)(row - first) * sizeof *left);
}

static void clear_last_rows(uint16_t *left, int64_t n_rows, int64_t row) {
    const int64_t more = (n_rows + 15) / 16 * 16 - n_rows;
    memset(left + n_rows * row, 0, (size_t)(more * row) * sizeof *left);
}

static void SIMD(probs16_forward)(const bt_kern_probs16 *x) {
    const int64_t row = bt_kern_tiles16_row(x->n);
    const int64_t n = x->n;
    for (int64_t r = 0; r < x->n_rows; r++) {
        float *const    s = x->scores + r * row;
        uint16_t *const p = x->p + r * row;
        const vf        first = v_set(s[0]);
        vf              largest_v = scores_at(x, s, 0, v_mask(1), first);
        FOR_VECTORS(n, largest_v = v_max(largest_v, scores_at(x, s, at, m, first)););
        const float largest = v_largest(largest_v);
        const vf    max_v = v_set(largest);
        vf          sum = v_set(0.0f);
        FOR_VECTORS(n, const vf y = scores_at(x, s, at, m, first);
                    const vf e = v_keep(m, exp_of(v_sub(y, max_v))); sum = v_add(sum, e);
                    v_store(s + at, v_whole(), e););
        const float inv_sum = 1 / v_sum(sum);
        x->max[r * x->stat_step] = largest;
        x->inv_sum[r * x->stat_step] = inv_sum;
        for (int64_t at = 0; at < n; at += LANES) {
            const vf y = v_mul(v_load(s + at, v_whole()), v_set(inv_sum));
            v_store16(p + at, LANES, kept_at(x, r, at, y));
        }
        clear_row_end(p, n, row);
    }
    clear_last_rows(x->p, x->n_rows, row);
}

static void SIMD(probs16_backward)(const bt_kern_probs16 *x) {
    const int64_t row = bt_kern_tiles16_row(x->n);
    const int64_t n = x->n;
    for (int64_t r = 0; r < x->n_rows; r++) {
        float *const    s = x->scores + r * row;
        float *const    d_p = x->d_p + r * row;
        uint16_t *const p = x->p + r * row;
        uint16_t *const d_s = x->d_s + r * row;
        const vf        first = v_set(s[0]);
        const vf        max_v = v_set(x->max[r * x->stat_step]);
        const vf        inv_v = v_set(x->inv_sum[r * x->stat_step]);
        vf              dot = v_set(0.0f);
        FOR_VECTORS(n, const vf y = scores_at(x, s, at, m, first);
                    const vf p_at = v_mul(v_keep(m, exp_of(v_sub(y, max_v))), inv_v);
                    const vf d = kept_at(x, r, at, v_load(d_p + at, m));
                    v_store16(p + at, LANES, kept_at(x, r, at, p_at)); dot = v_fma(d, p_at, dot);
                    v_store(s + at, v_whole(), p_at); v_store(d_p + at, v_whole(), d););
        const vf dot_v = v_set(v_sum(dot));
        for (int64_t at = 0; at < n; at += LANES) {
            const vf d = v_sub(v_load(d_p + at, v_whole()), dot_v);
            v_store16(d_s + at, LANES, v_mul(v_load(s + at, v_whole()), d));
        }
        clear_row_end(p, n, row);
        clear_row_end(d_s, n, row);
    }
    clear_last_rows(x->p, x->n_rows, row);
    clear_last_rows(x->d_s, x->n_rows, row);
}

static void SIMD(store16)(uint16_t *out, int64_t ld_out, const float *in, int64_t ld_in,
                          int64_t n_rows, int64_t n_cols, float alpha) {
    const vf factor = v_set(alpha);
    for (int64_t r = 0; r < n_rows; r++) {
        for (int64_t at = 0; at < n_cols; at += LANES) {
            const bool whole = at + LANES <= n_cols;
            const vm   m = whole ? v_whole() : v_mask(n_cols - at);
            v_store16(out + r * ld_out + at, whole ? LANES : n_cols - at,
                      v_mul(v_load(in + r * ld_in + at, m), factor));
        }
    }
}

static void SIMD(bias_round16)(float *x, const float *bias, int64_t n) {
    FOR_VECTORS(n, const vf y = v_add(v_load(x + at, m), v_load(bias + at, m));
                v_store(x + at, m, v_round16(y)););
}

static void SIMD(to_bf16)(uint16_t *out, const float *in, int64_t n) {
    FOR_VECTORS(n, v_store16(out + at, n - at, v_load(in + at, m)););
}

static void SIMD(mask_of_bits)(float *mult, const uint16_t *bits, int64_t n, float scale) {
    FOR_VECTORS(n, v_store(mult + at, m, v_kept(bits, at, v_set(scale))););
}

/* WIDE_ROWS x 2 vectors of C. */
static void widened_block(float *c, const uint16_t *left, int64_t left_row, const uint32_t *right,
                          int64_t width, int64_t K, bool accumulate) {
    vf sum_0[WIDE_ROWS];
    vf sum_1[WIDE_ROWS];
    UNROLL for (int r = 0; r < WIDE_ROWS; r++) {
        sum_0[r] = accumulate ? v_load(c + r * width, v_whole()) : v_set(0.0f);
        sum_1[r] = accumulate ? v_load(c + r * width + LANES, v_whole()) : v_set(0.0f);
    }
    for (int64_t k = 0; k < K; k += 2) {
        const uint32_t *const b = right + k / 2 * width;
        const vf              low_0 = v_low(b), low_1 = v_low(b + LANES);
        const vf              high_0 = v_high(b), high_1 = v_high(b + LANES);
        UNROLL for (int r = 0; r < WIDE_ROWS; r++) {
            const vf a_low = v_set(bt_bf16_widen(left[r * left_row + k]));
            const vf a_high = v_set(bt_bf16_widen(left[r * left_row + k + 1]));
            sum_0[r] = v_fma(a_low, low_0, sum_0[r]);
            sum_1[r] = v_fma(a_low, low_1, sum_1[r]);
            sum_0[r] = v_fma(a_high, high_0, sum_0[r]);
            sum_1[r] = v_fma(a_high, high_1, sum_1[r]);
        }
    }
    UNROLL for (int r = 0; r < WIDE_ROWS; r++) {
        v_store(c + r * width, v_whole(), sum_0[r]);
        v_store(c + r * width + LANES, v_whole(), sum_1[r]);
    }
}

static void SIMD(tiles16_product)(float *c, const uint16_t *left, const uint32_t *right, int64_t M,
                                  int64_t N, int64_t K, bool accumulate) {
    const int64_t row = bt_kern_tiles16_row(K);
    const int64_t width = bt_kern_tiles16_row(N);
    for (int64_t j = 0; j < width; j += 2 * LANES) {
        for (int64_t i = 0; i < M; i += WIDE_ROWS) {
            widened_block(c + i * width + j, left + i * row, row, right + j, width, K, accumulate);
        }
    }
}

static void override_rows16(bt_kern *kern) {
    kern->to_bf16 = SIMD(to_bf16);
    kern->dropout_bits = SIMD(dropout_bits);
    kern->mask_of_bits = SIMD(mask_of_bits);
    kern->probs16_forward = SIMD(probs16_forward);
    kern->probs16_backward = SIMD(probs16_backward);
    kern->bias_round16 = SIMD(bias_round16);
    kern->store16 = SIMD(store16);
    kern->tiles16.product = SIMD(tiles16_product);
}
