/* SPDX-License-Identifier: Apache-2.0
 *
 * NEON (64-bit ARM's Advanced SIMD, as of ARMv8.0): the primitives for kern_simd_template.h. Where
 * one operand is NaN, minimum and maximum are NaN. */
#include <arm_neon.h>
#include <math.h>
#include <string.h>

#include "bt/base/bf16.h"
#include "kern_internal.h"
#include "kern_ref_decl.h"

#define SIMD(name) bt_kern_##name##_f32__neon
enum { LANES = 4, TILE_ROWS = 12, WIDE_ROWS = 8, PRODUCT_ROWS = 12, PRODUCT_DEPTH = 384 };

typedef float32x4_t vf;
/* A mask of the first `n` lanes; `whole` is a constant after inlining. */
typedef struct vm {
    int64_t n;
    bool    whole;
} vm;

static inline vm v_mask(int64_t n) { /* the first n lanes, 0 <= n <= LANES */
    return (vm){n, false};
}
static inline vm v_whole(void) {
    return (vm){LANES, true};
}
static inline uint32x4_t v_bits(vm m) {
    static const uint32_t mask_source[2 * LANES] = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
    return vld1q_u32(mask_source + LANES - m.n);
}
static inline vf v_set(float x) {
    return vdupq_n_f32(x);
}
/* There are no masked loads and stores: the rest goes through an array. */
static inline vf v_load(const float *p, vm m) { /* 0 outside the mask */
    if (m.whole) {
        return vld1q_f32(p);
    }
    float lanes[LANES] = {0};
    for (int64_t i = 0; i < m.n; i++) {
        lanes[i] = p[i];
    }
    return vld1q_f32(lanes);
}
static inline vf v_load_or(const float *p, vm m, vf other) {
    return m.whole ? vld1q_f32(p) : vbslq_f32(v_bits(m), v_load(p, m), other);
}
static inline void v_store(float *p, vm m, vf x) {
    if (m.whole) {
        vst1q_f32(p, x);
        return;
    }
    float lanes[LANES];
    vst1q_f32(lanes, x);
    for (int64_t i = 0; i < m.n; i++) {
        p[i] = lanes[i];
    }
}
static inline vf v_keep(vm m, vf x) {
    return m.whole ? x : vreinterpretq_f32_u32(vandq_u32(v_bits(m), vreinterpretq_u32_f32(x)));
}
static inline bool v_is_all_zero_bits(vf a, vf b) {
    return vmaxvq_u32(vorrq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b))) == 0;
}
static inline vf v_round_to_f16(vf x) {
    return vcvt_f32_f16(vcvt_f16_f32(x));
}
static inline vf v_add(vf a, vf b) {
    return vaddq_f32(a, b);
}
static inline vf v_sub(vf a, vf b) {
    return vsubq_f32(a, b);
}
static inline vf v_mul(vf a, vf b) {
    return vmulq_f32(a, b);
}
static inline vf v_div(vf a, vf b) {
    return vdivq_f32(a, b);
}
static inline vf v_sqrt(vf a) {
    return vsqrtq_f32(a);
}
static inline vf v_fma(vf a, vf b, vf c) {
    return vfmaq_f32(c, a, b);
}
static inline vf v_fnma(vf a, vf b, vf c) { /* c - a * b */
    return vfmsq_f32(c, a, b);
}
static inline vf v_neg(vf a) {
    return vnegq_f32(a);
}
static inline vf v_max(vf a, vf b) {
    return vmaxq_f32(a, b);
}
static inline vf v_min(vf a, vf b) {
    return vminq_f32(a, b);
}
static inline vf v_round(vf a) {
    return vrndnq_f32(a);
}
static inline vf v_exp2_int(vf k) { /* 2^k for whole k in [-126, 127] */
    const int32x4_t biased = vaddq_s32(vcvtq_s32_f32(k), vdupq_n_s32(127));
    return vreinterpretq_f32_s32(vshlq_n_s32(biased, 23));
}
static inline vf v_zero_where_less(vf a, vf b, vf x) { /* a < b ? 0 : x */
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(x), vcltq_f32(a, b)));
}
static inline vf v_where_less(vf a, vf b, vf x) { /* a < b ? x : 0 */
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(x), vcltq_f32(a, b)));
}
static inline float v_sum(vf a) {
    return vaddvq_f32(a);
}
static inline float v_largest(vf a) {
    return vmaxvq_f32(a);
}

/* Sixteen double lanes as eight vectors, added in the tree of the portable twin. */
static double SIMD(sum_sq)(const float *x, int64_t n) {
    enum { SUM_LANES = 16, N_SUMS = 8 };
    float64x2_t sum[N_SUMS];
    UNROLL for (int i = 0; i < N_SUMS; i++) {
        sum[i] = vdupq_n_f64(0);
    }
    for (int64_t i = 0; i < n; i += SUM_LANES) {
        float        rest[SUM_LANES] = {0};
        const float *from = x + i;
        if (n - i < SUM_LANES) {
            memcpy(rest, from, (size_t)(n - i) * sizeof *rest);
            from = rest;
        }
        UNROLL for (int q = 0; q < N_SUMS; q++) {
            const float64x2_t d = vcvt_f64_f32(vld1_f32(from + 2 * q));
            sum[q] = vaddq_f64(sum[q], vmulq_f64(d, d));
        }
    }
    for (int width = N_SUMS / 2; width > 0; width /= 2) {
        for (int i = 0; i < width; i++) {
            sum[i] = vaddq_f64(sum[i], sum[i + width]);
        }
    }
    return vaddvq_f64(sum[0]);
}

static inline void mul_hi_lo(uint32x4_t a, uint32_t mul, uint32x4_t *hi, uint32x4_t *lo) {
    const uint64x2_t low = vmull_n_u32(vget_low_u32(a), mul);
    const uint64x2_t high = vmull_high_n_u32(a, mul);
    *lo = vuzp1q_u32(vreinterpretq_u32_u64(low), vreinterpretq_u32_u64(high));
    *hi = vuzp2q_u32(vreinterpretq_u32_u64(low), vreinterpretq_u32_u64(high));
}

/* 16 multipliers from 4 counters: the four words of a counter lie one after another. */
static inline void philox_multipliers(float *mult, bt_rng_key key, uint64_t first_block,
                                      uint32_t limit, float scale) {
    static const uint32_t deal[LANES] = {0, 1, 2, 3};
    uint32x4_t            c0 = vaddq_u32(vdupq_n_u32((uint32_t)first_block), vld1q_u32(deal));
    uint32x4_t            c1 = vdupq_n_u32((uint32_t)(first_block >> 32));
    uint32x4_t            c2 = vdupq_n_u32(key.stream[0]);
    uint32x4_t            c3 = vdupq_n_u32(key.stream[1]);
    uint32_t              k0 = key.key[0];
    uint32_t              k1 = key.key[1];
    for (int round = 0; round < 10; round++) {
        uint32x4_t hi_0, lo_0, hi_1, lo_1;
        mul_hi_lo(c0, UINT32_C(0xD2511F53), &hi_0, &lo_0);
        mul_hi_lo(c2, UINT32_C(0xCD9E8D57), &hi_1, &lo_1);
        c0 = veorq_u32(veorq_u32(hi_1, c1), vdupq_n_u32(k0));
        c2 = veorq_u32(veorq_u32(hi_0, c3), vdupq_n_u32(k1));
        c1 = lo_1;
        c3 = lo_0;
        k0 += UINT32_C(0x9E3779B9);
        k1 += UINT32_C(0xBB67AE85);
    }
    const uint32x4_t words[4] = {c0, c1, c2, c3};
    const uint32x4_t kept_bits = vreinterpretq_u32_f32(v_set(scale));
    uint32x4x4_t     out;
    UNROLL for (int j = 0; j < 4; j++) {
        out.val[j] = vandq_u32(kept_bits, vcgtq_u32(words[j], vdupq_n_u32(limit)));
    }
    const float32x4x4_t multipliers = {
        {vreinterpretq_f32_u32(out.val[0]), vreinterpretq_f32_u32(out.val[1]),
         vreinterpretq_f32_u32(out.val[2]), vreinterpretq_f32_u32(out.val[3])}};
    vst4q_f32(mult, multipliers);
}

/* 4 x 4 floats, in place: pairs, then halves. */
static inline void transpose_4(vf row[4]) {
    const float64x2_t a = vreinterpretq_f64_f32(vtrn1q_f32(row[0], row[1]));
    const float64x2_t b = vreinterpretq_f64_f32(vtrn2q_f32(row[0], row[1]));
    const float64x2_t c = vreinterpretq_f64_f32(vtrn1q_f32(row[2], row[3]));
    const float64x2_t d = vreinterpretq_f64_f32(vtrn2q_f32(row[2], row[3]));
    row[0] = vreinterpretq_f32_f64(vzip1q_f64(a, c));
    row[1] = vreinterpretq_f32_f64(vzip1q_f64(b, d));
    row[2] = vreinterpretq_f32_f64(vzip2q_f64(a, c));
    row[3] = vreinterpretq_f32_f64(vzip2q_f64(b, d));
}

/* 8 x 8 floats, as four quarters. Stored from the first row to the last. */
static inline void transpose_8_rows(float *out, int64_t ld_out, const float *const rows[8]) {
    for (int first = 0; first < 8; first += 4) {
        vf left[4];
        vf right[4];
        UNROLL for (int i = 0; i < 4; i++) {
            left[i] = vld1q_f32(rows[i] + first);
            right[i] = vld1q_f32(rows[i + 4] + first);
        }
        transpose_4(left);
        transpose_4(right);
        UNROLL for (int i = 0; i < 4; i++) {
            vst1q_f32(out + (first + i) * ld_out, left[i]);
            vst1q_f32(out + (first + i) * ld_out + 4, right[i]);
        }
    }
}

static inline uint32x4_t rounded_bits(vf x) { /* in the upper half of each word */
    const uint32x4_t bits = vreinterpretq_u32_f32(x);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7FFF)));
    const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000)); /* NaN */
    return vbslq_u32(vceqq_f32(x, x), rounded, quiet);
}

static inline vf v_round16(vf x) {
    return vreinterpretq_f32_u32(vandq_u32(rounded_bits(x), vdupq_n_u32(0xFFFF0000)));
}

static inline void v_store16(uint16_t *p, int64_t n_lanes, vf x) { /* the first ones, rounded */
    const uint16x4_t rounded = vshrn_n_u32(rounded_bits(x), 16);
    uint16_t         all[LANES];
    if (n_lanes >= LANES) {
        vst1_u16(p, rounded);
    } else {
        vst1_u16(all, rounded);
        memcpy(p, all, (size_t)n_lanes * sizeof *p);
    }
}
static inline vf v_kept(const uint16_t *bits, int64_t at, vf x) { /* 0 where a bit is 0 */
    static const uint32_t each[LANES] = {1, 2, 4, 8};
    const uint32x4_t      four = vdupq_n_u32((uint32_t)bits[at / 16] >> (at % 16));
    const uint32x4_t      kept = vtstq_u32(four, vld1q_u32(each));
    return vreinterpretq_f32_u32(vandq_u32(kept, vreinterpretq_u32_f32(x)));
}
static inline vf v_low(const uint32_t *words) {
    return vreinterpretq_f32_u32(vshlq_n_u32(vld1q_u32(words), 16));
}
static inline vf v_high(const uint32_t *words) {
    return vreinterpretq_f32_u32(vandq_u32(vld1q_u32(words), vdupq_n_u32(0xFFFF0000)));
}

static void SIMD(from_bf16)(float *out, const uint16_t *in, int64_t n) {
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vst1q_f32(out + i, vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(in + i), 16)));
    }
    kern_from_bf16__ref(out + i, in + i, n - i);
}

#include "kern_simd_template.h"

/* Multipliers first, 16 at a time, then their bits. */
static void SIMD(dropout_bits)(uint16_t *bits, int64_t bits_step, int64_t n_rows, int64_t n,
                               bt_rng_key key, uint64_t first_block, uint64_t block_step,
                               uint32_t limit) {
    enum { AT_ONCE = 4 * LANES };
    static const uint32_t each[LANES] = {1, 2, 4, 8};
    for (int64_t r = 0; r < n_rows; r++) {
        const uint64_t  block = first_block + (uint64_t)r * block_step;
        uint16_t *const row = bits + r * bits_step;
        for (int64_t i = 0; i < n; i += AT_ONCE) {
            float    mult[AT_ONCE];
            uint32_t word = 0;
            SIMD(dropout_mask)(mult, AT_ONCE, key, block + (uint64_t)i / 4, limit, 1);
            for (int j = 0; j < AT_ONCE; j += LANES) {
                const uint32x4_t kept = vcgtq_f32(vld1q_f32(mult + j), v_set(0));
                word |= vaddvq_u32(vandq_u32(kept, vld1q_u32(each))) << j;
            }
            row[i / AT_ONCE] = (uint16_t)word;
        }
    }
}

/* A multiply-add takes one of its factors from a lane: a column of A is three loads. Of rows that
 * are read in place each lies elsewhere. */
#define PRODUCT_BY_LANE
#define MULTIPLY_LANE(i, a, lane)                                                                  \
    do {                                                                                           \
        sum[i][0] = vfmaq_laneq_f32(sum[i][0], b_0, a, lane);                                      \
        sum[i][1] = vfmaq_laneq_f32(sum[i][1], b_1, a, lane);                                      \
    } while (0)
#define MULTIPLY_LANES(i, a)                                                                       \
    do {                                                                                           \
        MULTIPLY_LANE((i) + 0, a, 0);                                                              \
        MULTIPLY_LANE((i) + 1, a, 1);                                                              \
        MULTIPLY_LANE((i) + 2, a, 2);                                                              \
        MULTIPLY_LANE((i) + 3, a, 3);                                                              \
    } while (0)

static inline __attribute__((always_inline)) void multiply_column(vf sum[PRODUCT_ROWS][2],
                                                                  const float *const rows[],
                                                                  int64_t row_step, int64_t at,
                                                                  vf b_0, vf b_1) {
    if (row_step == 1) {
        const float *const a = rows[0] + at;
        const vf           a_0 = vld1q_f32(a);
        const vf           a_1 = vld1q_f32(a + 4);
        const vf           a_2 = vld1q_f32(a + 8);
        MULTIPLY_LANES(0, a_0);
        MULTIPLY_LANES(4, a_1);
        MULTIPLY_LANES(8, a_2);
        return;
    }
    UNROLL for (int i = 0; i < PRODUCT_ROWS; i++) {
        const vf a_i = vdupq_n_f32(rows[i / 3][i % 3 * row_step + at]);
        sum[i][0] = vfmaq_f32(sum[i][0], b_0, a_i);
        sum[i][1] = vfmaq_f32(sum[i][1], b_1, a_i);
    }
}

#include "kern_product_template.h"
#include "kern_rows16_template.h"

void kern_override_neon(bt_kern *kern) {
    kern->isa = "neon";
    override_table(kern);
    kern->from_bf16 = SIMD(from_bf16);
    override_products(kern);
    override_rows16(kern);
}
