/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the variants of kern_int8 for 64-bit ARM: rows to bytes, and sums to floats. */
#ifndef BT_KERN_INT8_NEON_H
#define BT_KERN_INT8_NEON_H

#include <arm_neon.h>
#include <string.h>

#include "kern_int8_row.h"

enum { KERN_INT8_LANES = 4 };

/* The range of a row, as kern_int8_row_of takes it. */
typedef struct kern_int8_range {
    float32x4_t low, high; /* NaN is left out */
    uint32x4_t  largest;
} kern_int8_range;

static inline void kern_int8_widen(kern_int8_range *r, float32x4_t x) {
    const uint32x4_t bits = vandq_u32(vreinterpretq_u32_f32(x), vdupq_n_u32(INT32_MAX));
    r->low = vbslq_f32(vcltq_f32(x, r->low), x, r->low);
    r->high = vbslq_f32(vcgtq_f32(x, r->high), x, r->high);
    r->largest = vmaxq_u32(r->largest, bits);
}

static inline void kern_int8_quantize_neon(uint8_t *q, bt_kern_int8_row *row, const float *in,
                                           int64_t n) {
    enum { AT_ONCE = 2 * KERN_INT8_LANES };
    const int64_t   whole = n / AT_ONCE * AT_ONCE;
    float           rest[AT_ONCE] = {0};
    kern_int8_range range = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_u32(0)};
    memcpy(rest, in + whole, (size_t)(n - whole) * sizeof *rest);
    for (int64_t i = 0; i < n; i += AT_ONCE) {
        const float *const x = i < whole ? in + i : rest;
        kern_int8_widen(&range, vld1q_f32(x));
        kern_int8_widen(&range, vld1q_f32(x + KERN_INT8_LANES));
    }
    const float inverse = kern_int8_row_of(row, vminvq_f32(range.low), vmaxvq_f32(range.high),
                                           vmaxvq_u32(range.largest));
    memset(q, 0, (size_t)bt_kern_int8_depth(n));
    if (!(inverse > 0)) {
        return;
    }
    for (int64_t i = 0; i < whole; i += AT_ONCE) {
        const int32x4_t zero = vdupq_n_s32(row->zero);
        const int32x4_t low = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(in + i), inverse));
        const int32x4_t high =
            vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(in + i + KERN_INT8_LANES), inverse));
        const uint16x4_t words_low = vqmovun_s32(vaddq_s32(low, zero));
        const uint16x4_t words_high = vqmovun_s32(vaddq_s32(high, zero));
        vst1_u8(q + i, vqmovn_u16(vcombine_u16(words_low, words_high)));
    }
    for (int64_t i = whole; i < n; i++) {
        q[i] = kern_int8_byte(in[i], inverse, row->zero);
    }
}

/* Four sums of row i, of the columns from j on. */
static inline void kern_int8_store_neon(const bt_kern_int8_tile *t, int64_t i, int64_t j,
                                        int32x4_t sums) {
    const bt_kern_int8_panel *const p = &t->panel;
    const bt_kern_int8_row          row = t->rows[i];
    float *const                    c = t->c + i * t->ld_c + j;
    float                           there[KERN_INT8_LANES];
    const int32x4_t                 n = vmlsq_n_s32(sums, vld1q_s32(p->sums + j), row.zero);
    const float32x4_t               scaled =
        vmulq_f32(vmulq_n_f32(vcvtq_f32_s32(n), row.step), vld1q_f32(p->steps + j));
    const float32x4_t x = vaddq_f32(scaled, vld1q_f32(p->bias + j));
    if (t->n_cols - j >= KERN_INT8_LANES) {
        vst1q_f32(c, t->accumulate ? vaddq_f32(vld1q_f32(c), x) : x);
        return;
    }
    vst1q_f32(there, x);
    for (int64_t k = 0; k < t->n_cols - j; k++) {
        c[k] = t->accumulate ? c[k] + there[k] : there[k];
    }
}

#endif
