/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files of the products of bfloat16: panels of pairs (d, d+1) as 32-bit words, of A
 * [row][pair], of B [pair][column]; filled up with 0 to a multiple of BF16_DEPTH_STEP numbers. */
#ifndef BT_KERN_BF16_H
#define BT_KERN_BF16_H

#include <immintrin.h>
#include <string.h>

#include "kern_internal.h"

enum {
    BF16_COLS = 32,       /* of a tile of C */
    BF16_AMX_ROWS = 32,   /* of one in two by two AMX tiles */
    BF16_WORDS = 16,      /* of a vector, and of a row of an AMX tile */
    BF16_DEPTH_STEP = 32, /* numbers that an AMX tile is deep */
};

static inline int64_t bf16_padded(int64_t depth) {
    return (depth + BF16_DEPTH_STEP - 1) / BF16_DEPTH_STEP * BF16_DEPTH_STEP;
}

static inline __mmask16 bf16_first_lanes(int64_t n) {
    return (__mmask16)(n >= BF16_WORDS ? 0xFFFF : n <= 0 ? 0 : (UINT32_C(1) << n) - 1);
}

/* 16 x 16 words in place: pairs, fours, then 128-bit lanes. */
static inline void transpose_words(__m512i r[BF16_WORDS]) {
    __m512i t[BF16_WORDS];
    UNROLL for (int i = 0; i < BF16_WORDS; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    UNROLL for (int i = 0; i < BF16_WORDS; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    UNROLL for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xDD);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xDD);
    }
    UNROLL for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xDD);
        r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
        r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xDD);
    }
}

/* Words (row[2p], row[2p+1]) of one row, p < 16, from n numbers. */
static inline __m512i pairs_along16(const uint16_t *row, int64_t n) {
    const __mmask32 mask = n >= 2 * BF16_WORDS ? UINT32_MAX : n <= 0 ? 0 : (UINT32_C(1) << n) - 1;
    return _mm512_maskz_loadu_epi16(mask, row);
}

/* Words (row_0[w], row_1[w]), w < 16. row_1 NULL: 0. */
static inline __m512i pairs_across16(const uint16_t *row_0, const uint16_t *row_1, __mmask16 mask) {
    const __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, row_0));
    if (row_1 == NULL) {
        return low;
    }
    const __m512i high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, row_1));
    return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

/* A row of a tile from its sums to C, at most n_cols of it. */
static inline void bf16_store_row(float *c, __m512 sum_0, __m512 sum_1, int64_t n_cols,
                                  __m512 alpha, bool accumulate) {
    const __mmask16 mask_0 = bf16_first_lanes(n_cols);
    const __mmask16 mask_1 = bf16_first_lanes(n_cols - BF16_WORDS);
    __m512          x_0 = _mm512_mul_ps(sum_0, alpha);
    __m512          x_1 = _mm512_mul_ps(sum_1, alpha);
    if (accumulate) {
        x_0 = _mm512_add_ps(_mm512_maskz_loadu_ps(mask_0, c), x_0);
        x_1 = _mm512_add_ps(_mm512_maskz_loadu_ps(mask_1, c + BF16_WORDS), x_1);
    }
    _mm512_mask_storeu_ps(c, mask_0, x_0);
    _mm512_mask_storeu_ps(c + BF16_WORDS, mask_1, x_1);
}

/* kern_bf16.c */
kern_pack_fn   bf16_pack_a_amx, bf16_pack_b;
kern_pack16_fn bf16_pack16_a_amx, bf16_pack16_b;

#endif
