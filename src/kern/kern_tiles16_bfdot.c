/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention's small products of bfloat16 pairs, with BFDOT, whose pairs lie as the factors do.
 * Built with its own flags: nothing here may run before bt_kern_select has looked at the processor.
 */
#include <arm_neon.h>

#include "kern_internal.h"

enum { ROWS = 8, COLS = 8, DEEP = 8 };

/* A pair of each row's numbers with a pair of each of eight columns. */
#define ADD_PAIRS(pair)                                                                            \
    do {                                                                                           \
        const bfloat16x8_t b_0 = load_pairs(b + (pair)*width);                                     \
        const bfloat16x8_t b_1 = load_pairs(b + (pair)*width + 4);                                 \
        UNROLL for (int i = 0; i < ROWS; i++) {                                                    \
            sum[i][0] = vbfdotq_laneq_f32(sum[i][0], b_0, rows[i], pair);                          \
            sum[i][1] = vbfdotq_laneq_f32(sum[i][1], b_1, rows[i], pair);                          \
        }                                                                                          \
    } while (0)

static inline bfloat16x8_t load_pairs(const uint32_t *words) {
    return vreinterpretq_bf16_u32(vld1q_u32(words));
}

static void multiply_block(float *c, const uint16_t *left, int64_t row, const uint32_t *right,
                           int64_t width, int64_t K, bool accumulate) {
    float32x4_t sum[ROWS][2];
    UNROLL for (int i = 0; i < ROWS; i++) {
        sum[i][0] = accumulate ? vld1q_f32(c + i * width) : vdupq_n_f32(0);
        sum[i][1] = accumulate ? vld1q_f32(c + i * width + 4) : vdupq_n_f32(0);
    }
    for (int64_t k = 0; k < K; k += DEEP) {
        const uint32_t *const b = right + k / 2 * width;
        bfloat16x8_t          rows[ROWS];
        UNROLL for (int i = 0; i < ROWS; i++) {
            rows[i] = vreinterpretq_bf16_u16(vld1q_u16(left + i * row + k));
        }
        ADD_PAIRS(0);
        ADD_PAIRS(1);
        ADD_PAIRS(2);
        ADD_PAIRS(3);
    }
    UNROLL for (int i = 0; i < ROWS; i++) {
        vst1q_f32(c + i * width, sum[i][0]);
        vst1q_f32(c + i * width + 4, sum[i][1]);
    }
}

static void product(float *c, const uint16_t *left, const uint32_t *right, int64_t M, int64_t N,
                    int64_t K, bool accumulate) {
    const int64_t row = bt_kern_tiles16_row(K);
    const int64_t width = bt_kern_tiles16_row(N);
    for (int64_t j = 0; j < N; j += COLS) {
        for (int64_t i = 0; i < M; i += ROWS) {
            multiply_block(c + i * width + j, left + i * row, row, right + j, width, K, accumulate);
        }
    }
}

void kern_tiles16_bfdot(bt_kern_tiles16 *tiles) {
    tiles->name = "bfloat16 (BFDOT)";
    tiles->deep = DEEP;
    tiles->product = product;
}
