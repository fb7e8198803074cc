/* SPDX-License-Identifier: Apache-2.0
 *
 * Portable kernels of attention in bfloat16: its small products, and softmax and dropout between
 * them. Meanings: bt/kern.h. */
#include <math.h>
#include <string.h>

#include "bt/base/bf16.h"
#include "kern_internal.h"
#include "kern_ref_decl.h"

enum { ROW_STEP = 16 };

static int64_t padded(int64_t n) {
    return (n + ROW_STEP - 1) / ROW_STEP * ROW_STEP;
}

/* [M,K], element (i,k) = x[i * i_step + k * k_step] */
static void fill_left(uint16_t *left, const uint16_t *x, int64_t i_step, int64_t k_step, int64_t M,
                      int64_t K) {
    const int64_t row = bt_kern_tiles16_row(K);
    memset(left, 0, (size_t)(padded(M) * row) * sizeof *left);
    for (int64_t i = 0; i < M; i++) {
        for (int64_t k = 0; k < K; k++) {
            left[i * row + k] = x[i * i_step + k * k_step];
        }
    }
}

/* [K,N], element (k,j) = x[k * k_step + j * j_step] */
static void fill_right(uint32_t *right, const uint16_t *x, int64_t k_step, int64_t j_step,
                       int64_t K, int64_t N) {
    const int64_t row = bt_kern_tiles16_row(N);
    memset(right, 0, (size_t)(bt_kern_tiles16_row(K) / 2 * row) * sizeof *right);
    for (int64_t k = 0; k < K; k++) {
        for (int64_t j = 0; j < N; j++) {
            right[k / 2 * row + j] |= (uint32_t)x[k * k_step + j * j_step] << (k % 2 * 16);
        }
    }
}

static void left16(uint16_t *left, const uint16_t *x, int64_t ld, int64_t n_rows, int64_t n_cols) {
    fill_left(left, x, ld, 1, n_rows, n_cols);
}

static void left16_transposed(uint16_t *left, const uint16_t *x, int64_t ld, int64_t n_rows,
                              int64_t n_cols) {
    fill_left(left, x, 1, ld, n_cols, n_rows);
}

static void right16(uint32_t *right, const uint16_t *x, int64_t ld, int64_t n_rows,
                    int64_t n_cols) {
    fill_right(right, x, ld, 1, n_rows, n_cols);
}

static void right16_transposed(uint32_t *right, const uint16_t *x, int64_t ld, int64_t n_rows,
                               int64_t n_cols) {
    fill_right(right, x, 1, ld, n_cols, n_rows);
}

static void product(float *c, const uint16_t *left, const uint32_t *right, int64_t M, int64_t N,
                    int64_t K, bool accumulate) {
    const int64_t row = bt_kern_tiles16_row(K);
    const int64_t width = bt_kern_tiles16_row(N);
    for (int64_t i = 0; i < M; i++) {
        float *const c_i = c + i * width;
        if (!accumulate) {
            memset(c_i, 0, (size_t)width * sizeof *c_i);
        }
        for (int64_t k = 0; k < K; k++) {
            const float           a = bt_bf16_widen(left[i * row + k]);
            const uint32_t *const b = right + k / 2 * width;
            const int             shift = k % 2 == 0 ? 0 : 16;
            for (int64_t j = 0; j < N; j++) {
                c_i[j] += a * bt_bf16_widen((uint16_t)(b[j] >> shift));
            }
        }
    }
}

const bt_kern_tiles16 kern_tiles16__ref = {.name = "bfloat16 by rounding",
                                           .deep = 2,
                                           .left = left16,
                                           .left_transposed = left16_transposed,
                                           .right = right16,
                                           .right_transposed = right16_transposed,
                                           .product = product};

static bool is_kept(const uint16_t *bits, int64_t i) {
    return (bits[i / ROW_STEP] >> (i % ROW_STEP) & 1) != 0;
}

void kern_dropout_bits__ref(uint16_t *bits, int64_t bits_step, int64_t n_rows, int64_t n,
                            bt_rng_key key, uint64_t first_block, uint64_t block_step,
                            uint32_t limit) {
    for (int64_t r = 0; r < n_rows; r++) {
        uint16_t *const row = bits + r * bits_step;
        memset(row, 0, (size_t)padded(n) / ROW_STEP * sizeof *row);
        for (int64_t i = 0; i < n; i += 4) {
            uint32_t words[4];
            bt_rng_block(key, first_block + (uint64_t)r * block_step + (uint64_t)i / 4, words);
            for (int64_t j = 0; j < 4; j++) {
                const uint32_t bit = words[j] > limit ? 1 : 0;
                row[i / ROW_STEP] = (uint16_t)(row[i / ROW_STEP] | bit << ((i + j) % ROW_STEP));
            }
        }
    }
}

void kern_mask_of_bits__ref(float *mult, const uint16_t *bits, int64_t n, float scale) {
    for (int64_t i = 0; i < n; i++) {
        mult[i] = is_kept(bits, i) ? scale : 0;
    }
}

static void scale_scores(const bt_kern_probs16 *x, float *s) {
    for (int64_t i = 0; i < x->n; i++) {
        s[i] = s[i] * x->scale + (x->mask != NULL ? x->mask[i] : 0);
    }
}

static float multiplier(const bt_kern_probs16 *x, int64_t r, int64_t i) {
    if (x->kept == NULL) {
        return 1;
    }
    return is_kept(x->kept + r * x->kept_step, i) ? x->kept_scale : 0;
}

/* What a left factor of n_rows rows has beyond them. */
static void clear_rest(uint16_t *left, int64_t n_rows, int64_t row) {
    memset(left + n_rows * row, 0, (size_t)((padded(n_rows) - n_rows) * row) * sizeof *left);
}

void kern_probs16_forward__ref(const bt_kern_probs16 *x) {
    const int64_t row = bt_kern_tiles16_row(x->n);
    for (int64_t r = 0; r < x->n_rows; r++) {
        float *const    s = x->scores + r * row;
        uint16_t *const p = x->p + r * row;
        scale_scores(x, s);
        bt_kern_softmax_forward_f32__ref(s, x->max + r * x->stat_step,
                                         x->inv_sum + r * x->stat_step, s, x->n);
        memset(p, 0, (size_t)row * sizeof *p);
        for (int64_t i = 0; i < x->n; i++) {
            p[i] = bt_bf16_round(s[i] * multiplier(x, r, i));
        }
    }
    clear_rest(x->p, x->n_rows, row);
}

void kern_probs16_backward__ref(const bt_kern_probs16 *x) {
    const int64_t row = bt_kern_tiles16_row(x->n);
    for (int64_t r = 0; r < x->n_rows; r++) {
        float *const    s = x->scores + r * row;
        float *const    d = x->d_p + r * row;
        uint16_t *const p = x->p + r * row;
        uint16_t *const d_s = x->d_s + r * row;
        scale_scores(x, s);
        bt_kern_softmax_again_f32__ref(s, s, x->max[r * x->stat_step], x->inv_sum[r * x->stat_step],
                                       x->n);
        memset(p, 0, (size_t)row * sizeof *p);
        memset(d_s, 0, (size_t)row * sizeof *d_s);
        for (int64_t i = 0; i < x->n; i++) {
            p[i] = bt_bf16_round(s[i] * multiplier(x, r, i));
            d[i] *= multiplier(x, r, i);
        }
        bt_kern_softmax_backward_f32__ref(d, d, s, x->n);
        for (int64_t i = 0; i < x->n; i++) {
            d_s[i] = bt_bf16_round(d[i]);
        }
    }
    clear_rest(x->p, x->n_rows, row);
    clear_rest(x->d_s, x->n_rows, row);
}

void kern_store16__ref(uint16_t *out, int64_t ld_out, const float *in, int64_t ld_in,
                       int64_t n_rows, int64_t n_cols, float alpha) {
    for (int64_t r = 0; r < n_rows; r++) {
        for (int64_t c = 0; c < n_cols; c++) {
            out[r * ld_out + c] = bt_bf16_round(alpha * in[r * ld_in + c]);
        }
    }
}

void kern_bias_round16__ref(float *x, const float *bias, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        x[i] = bt_bf16_widen(bt_bf16_round(x[i] + bias[i]));
    }
}
