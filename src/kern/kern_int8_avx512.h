/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the variants of kern_int8 in vectors of 512 bits: rows to bytes, and sums to floats. */
#ifndef BT_KERN_INT8_AVX512_H
#define BT_KERN_INT8_AVX512_H

#include <immintrin.h>
#include <string.h>

#include "kern_int8_row.h"

enum { KERN_INT8_LANES = 16 };

static inline __mmask16 kern_int8_lanes(int64_t n) {
    return (__mmask16)(n >= KERN_INT8_LANES ? 0xFFFF : n <= 0 ? 0 : (UINT32_C(1) << n) - 1);
}

static inline int32_t kern_int8_word(const uint8_t *a) {
    int32_t word = 0;
    memcpy(&word, a, sizeof word);
    return word;
}

static inline void kern_int8_quantize_512(uint8_t *q, bt_kern_int8_row *row, const float *in,
                                          int64_t n) {
    __m512  low = _mm512_setzero_ps();
    __m512  high = _mm512_setzero_ps();
    __m512i largest = _mm512_setzero_si512();
    for (int64_t i = 0; i < n; i += KERN_INT8_LANES) {
        const __m512 x = _mm512_maskz_loadu_ps(kern_int8_lanes(n - i), in + i);
        low = _mm512_min_ps(x, low); /* of NaN: low */
        high = _mm512_max_ps(x, high);
        largest = _mm512_max_epu32(
            largest, _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(INT32_MAX)));
    }
    const float inverse =
        kern_int8_row_of(row, _mm512_reduce_min_ps(low), _mm512_reduce_max_ps(high),
                         _mm512_reduce_max_epu32(largest));
    const __mmask16 is_any = inverse > 0 ? 0xFFFF : 0;
    const __m512    by = _mm512_set1_ps(inverse);
    const __m512i   zero = _mm512_set1_epi32(row->zero);
    const int64_t   end = bt_kern_int8_depth(n);
    for (int64_t i = 0; i < end; i += KERN_INT8_LANES) {
        const __mmask16 there = kern_int8_lanes(n - i) & is_any;
        const __m512    x = _mm512_maskz_loadu_ps(there, in + i);
        const __m512i   steps = _mm512_maskz_add_epi32(
              there,
              _mm512_cvt_roundps_epi32(_mm512_mul_ps(x, by),
                                       _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
              zero);
        _mm_storeu_si128((__m128i *)(void *)(q + i), _mm512_cvtusepi32_epi8(steps));
    }
}

/* What a panel's sums become floats with. */
typedef struct kern_int8_columns {
    __m512i   sums[2];
    __m512    steps[2], bias[2];
    __mmask16 there[2];
} kern_int8_columns;

static inline kern_int8_columns kern_int8_columns_of(const bt_kern_int8_tile *t) {
    kern_int8_columns c;
    for (int h = 0; h < 2; h++) {
        const int64_t first = h * KERN_INT8_LANES;
        c.sums[h] = _mm512_loadu_si512(t->panel.sums + first);
        c.steps[h] = _mm512_loadu_ps(t->panel.steps + first);
        c.bias[h] = _mm512_loadu_ps(t->panel.bias + first);
        c.there[h] = kern_int8_lanes(t->n_cols - first);
    }
    return c;
}

/* 16 columns of row i from their sums. */
static inline void kern_int8_store_half(const bt_kern_int8_tile *t, const kern_int8_columns *c,
                                        int64_t i, int h, __m512i sums) {
    float *const  at = t->c + i * t->ld_c + h * (int64_t)KERN_INT8_LANES;
    const __m512i zeros = _mm512_mullo_epi32(_mm512_set1_epi32(t->rows[i].zero), c->sums[h]);
    const __m512  n = _mm512_cvtepi32_ps(_mm512_sub_epi32(sums, zeros));
    const __m512  steps =
        _mm512_mul_ps(_mm512_mul_ps(n, _mm512_set1_ps(t->rows[i].step)), c->steps[h]);
    __m512 x = _mm512_add_ps(steps, c->bias[h]);
    if (t->accumulate) {
        x = _mm512_add_ps(_mm512_maskz_loadu_ps(c->there[h], at), x);
    }
    _mm512_mask_storeu_ps(at, c->there[h], x);
}

static inline void kern_int8_store_512(const bt_kern_int8_tile *t, const kern_int8_columns *c,
                                       int64_t i, __m512i sums_0, __m512i sums_1) {
    kern_int8_store_half(t, c, i, 0, sums_0);
    if (t->n_cols > KERN_INT8_LANES) {
        kern_int8_store_half(t, c, i, 1, sums_1);
    }
}

#endif
