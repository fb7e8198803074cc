/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention's small products of bfloat16 pairs, with AVX512_BF16's dot products. Built with its own
 * flags: nothing here may run before bt_kern_select has looked at the processor. */
#include "kern_bf16.h"

enum { DOT_ROWS = 8 };

/* DOT_ROWS rows x one or two vectors of C; two is a constant after inlining. */
static inline __attribute__((always_inline)) void dot_block(const bool two, float *c,
                                                            const uint16_t *left, int64_t row,
                                                            const uint32_t *right, int64_t width,
                                                            int64_t K, bool accumulate) {
    __m512 sum[DOT_ROWS][2];
    UNROLL for (int i = 0; i < DOT_ROWS; i++) {
        sum[i][0] = accumulate ? _mm512_loadu_ps(c + i * width) : _mm512_setzero_ps();
        if (two) {
            sum[i][1] =
                accumulate ? _mm512_loadu_ps(c + i * width + BF16_WORDS) : _mm512_setzero_ps();
        }
    }
    for (int64_t k = 0; k < K; k += 2) {
        const uint32_t *const b = right + k / 2 * width;
        const __m512bh        b_0 = (__m512bh)_mm512_loadu_si512(b);
        const __m512bh        b_1 = two ? (__m512bh)_mm512_loadu_si512(b + BF16_WORDS) : b_0;
        UNROLL for (int i = 0; i < DOT_ROWS; i++) {
            int32_t pair;
            memcpy(&pair, left + i * row + k, sizeof pair);
            const __m512bh a = (__m512bh)_mm512_set1_epi32(pair);
            sum[i][0] = _mm512_dpbf16_ps(sum[i][0], a, b_0);
            if (two) {
                sum[i][1] = _mm512_dpbf16_ps(sum[i][1], a, b_1);
            }
        }
    }
    UNROLL for (int i = 0; i < DOT_ROWS; i++) {
        _mm512_storeu_ps(c + i * width, sum[i][0]);
        if (two) {
            _mm512_storeu_ps(c + i * width + BF16_WORDS, sum[i][1]);
        }
    }
}

static void product_dot(float *c, const uint16_t *left, const uint32_t *right, int64_t M, int64_t N,
                        int64_t K, bool accumulate) {
    const int64_t row = bt_kern_tiles16_row(K);
    const int64_t width = bt_kern_tiles16_row(N);
    for (int64_t j = 0; j < N; j += 2 * BF16_WORDS) {
        for (int64_t i = 0; i < M; i += DOT_ROWS) {
            if (j + BF16_WORDS < N) {
                dot_block(true, c + i * width + j, left + i * row, row, right + j, width, K,
                          accumulate);
            } else {
                dot_block(false, c + i * width + j, left + i * row, row, right + j, width, K,
                          accumulate);
            }
        }
    }
}

void kern_tiles16_bf16(bt_kern_tiles16 *tiles) {
    tiles->name = "bfloat16 (AVX512_BF16)";
    tiles->product = product_dot;
}
