/* SPDX-License-Identifier: Apache-2.0
 *
 * AVX-512 (F, DQ, BW, VL): the primitives for kern_simd_template.h. Built with those flags for this
 * file only; nothing here may run before bt_kern_select has looked at the processor. */
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "bt/base/bf16.h"
#include "kern_internal.h"
#include "kern_ref_decl.h"
#include "kern_transpose_x86.h"

#define SIMD(name) bt_kern_##name##_f32__avx512
enum { LANES = 16, TILE_ROWS = 8, WIDE_ROWS = 8, PRODUCT_ROWS = 14, PRODUCT_DEPTH = 384 };

typedef __m512 vf;
/* A mask; `whole` is a constant after inlining and saves the mask register. */
typedef struct vm {
    __mmask16 bits;
    bool      whole;
} vm;

static inline vm v_mask(int64_t n) { /* the first n lanes, 0 <= n <= LANES */
    return (vm){(__mmask16)((UINT32_C(1) << n) - 1), false};
}
static inline vm v_whole(void) {
    return (vm){0, true};
}
static inline vf v_set(float x) {
    return _mm512_set1_ps(x);
}
static inline vf v_load(const float *p, vm m) { /* 0 outside the mask */
    return m.whole ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(m.bits, p);
}
static inline vf v_load_or(const float *p, vm m, vf other) {
    return m.whole ? _mm512_loadu_ps(p) : _mm512_mask_loadu_ps(other, m.bits, p);
}
static inline void v_store(float *p, vm m, vf x) {
    if (m.whole) {
        _mm512_storeu_ps(p, x);
    } else {
        _mm512_mask_storeu_ps(p, m.bits, x);
    }
}
static inline vf v_keep(vm m, vf x) {
    return m.whole ? x : _mm512_maskz_mov_ps(m.bits, x);
}
static inline bool v_is_all_zero_bits(vf a, vf b) {
    const __m512i bits = _mm512_or_si512(_mm512_castps_si512(a), _mm512_castps_si512(b));
    return _mm512_test_epi32_mask(bits, bits) == 0;
}
static inline vf v_round_to_f16(vf x) {
    return _mm512_cvtph_ps(_mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
static inline vf v_add(vf a, vf b) {
    return _mm512_add_ps(a, b);
}
static inline vf v_sub(vf a, vf b) {
    return _mm512_sub_ps(a, b);
}
static inline vf v_mul(vf a, vf b) {
    return _mm512_mul_ps(a, b);
}
static inline vf v_div(vf a, vf b) {
    return _mm512_div_ps(a, b);
}
static inline vf v_sqrt(vf a) {
    return _mm512_sqrt_ps(a);
}
static inline vf v_fma(vf a, vf b, vf c) {
    return _mm512_fmadd_ps(a, b, c);
}
static inline vf v_fnma(vf a, vf b, vf c) { /* c - a * b */
    return _mm512_fnmadd_ps(a, b, c);
}
static inline vf v_neg(vf a) {
    return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f));
}
static inline vf v_max(vf a, vf b) {
    return _mm512_max_ps(a, b);
}
static inline vf v_min(vf a, vf b) {
    return _mm512_min_ps(a, b);
}
static inline vf v_round(vf a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline vf v_exp2_int(vf k) { /* 2^k for whole k */
    return _mm512_scalef_ps(_mm512_set1_ps(1.0f), k);
}
static inline vf v_zero_where_less(vf a, vf b, vf x) { /* a < b ? 0 : x */
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ), x);
}
static inline vf v_where_less(vf a, vf b, vf x) { /* a < b ? x : 0 */
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), x);
}
static inline float v_sum(vf a) {
    return _mm512_reduce_add_ps(a);
}
static inline float v_largest(vf a) {
    return _mm512_reduce_max_ps(a);
}

/* Sixteen double lanes as two vectors, added in the tree of the portable twin. */
static double SIMD(sum_sq)(const float *x, int64_t n) {
    __m512d low = _mm512_setzero_pd();
    __m512d high = _mm512_setzero_pd();
    for (int64_t i = 0; i < n; i += LANES) {
        const vf      a = v_load(x + i, v_mask(n - i < LANES ? n - i : LANES));
        const __m512d a_low = _mm512_cvtps_pd(_mm512_castps512_ps256(a));
        const __m512d a_high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1));
        low = _mm512_add_pd(low, _mm512_mul_pd(a_low, a_low));
        high = _mm512_add_pd(high, _mm512_mul_pd(a_high, a_high));
    }
    const __m512d eight = _mm512_add_pd(low, high);
    const __m256d four =
        _mm256_add_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd(eight, 1));
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

static inline void mul_hi_lo(__m512i a, __m512i mul, __m512i *hi, __m512i *lo) {
    const __m512i even = _mm512_mul_epu32(a, mul);
    const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), mul);
    *lo = _mm512_mask_mov_epi32(even, 0xAAAA, _mm512_slli_epi64(odd, 32));
    *hi = _mm512_mask_mov_epi32(_mm512_srli_epi64(even, 32), 0xAAAA, odd);
}

static inline __m512i word(uint32_t x) {
    return _mm512_set1_epi32((int32_t)x);
}

typedef struct philox_state {
    __m512i low, high; /* of the blocks' numbers */
} philox_state;

/* 64 random words from 16 blocks. The blocks are dealt to the lanes so that a transpose within 128
 * bits leaves the words in the order of the elements. */
static inline void philox_words(__m512i words[4], bt_rng_key key, philox_state blocks) {
    __m512i  c0 = blocks.low;
    __m512i  c1 = blocks.high;
    __m512i  c2 = word(key.stream[0]);
    __m512i  c3 = word(key.stream[1]);
    uint32_t k0 = key.key[0];
    uint32_t k1 = key.key[1];
    for (int round = 0; round < 10; round++) {
        __m512i hi_0, lo_0, hi_1, lo_1;
        mul_hi_lo(c0, word(UINT32_C(0xD2511F53)), &hi_0, &lo_0);
        mul_hi_lo(c2, word(UINT32_C(0xCD9E8D57)), &hi_1, &lo_1);
        c0 = _mm512_ternarylogic_epi32(hi_1, c1, word(k0), 0x96); /* a ^ b ^ c */
        c2 = _mm512_ternarylogic_epi32(hi_0, c3, word(k1), 0x96);
        c1 = lo_1;
        c3 = lo_0;
        k0 += UINT32_C(0x9E3779B9);
        k1 += UINT32_C(0xBB67AE85);
    }
    const __m512i pair_0 = _mm512_unpacklo_epi32(c0, c1);
    const __m512i pair_1 = _mm512_unpackhi_epi32(c0, c1);
    const __m512i pair_2 = _mm512_unpacklo_epi32(c2, c3);
    const __m512i pair_3 = _mm512_unpackhi_epi32(c2, c3);
    words[0] = _mm512_unpacklo_epi64(pair_0, pair_2);
    words[1] = _mm512_unpackhi_epi64(pair_0, pair_2);
    words[2] = _mm512_unpacklo_epi64(pair_1, pair_3);
    words[3] = _mm512_unpackhi_epi64(pair_1, pair_3);
}

/* 64 multipliers from 16 blocks after one another. */
static inline void philox_multipliers(float *mult, bt_rng_key key, uint64_t first_block,
                                      uint32_t limit, float scale) {
    const __m512i deal = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i       words[4];
    philox_words(words, key,
                 (philox_state){_mm512_add_epi32(word((uint32_t)first_block), deal),
                                word((uint32_t)(first_block >> 32))});
    UNROLL for (int j = 0; j < 4; j++) {
        const __mmask16 kept = _mm512_cmpgt_epu32_mask(words[j], word(limit));
        _mm512_storeu_ps(mult + j * LANES, _mm512_maskz_mov_ps(kept, v_set(scale)));
    }
}

static inline __m512i rounded_bits(__m512 x) { /* in the upper half of each word */
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), word(1));
    const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, word(0x7FFF)));
    return _mm512_mask_or_epi32(rounded, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), bits,
                                word(0x400000)); /* NaN */
}

static inline __m256i round_to_bf16(__m512 x) {
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded_bits(x), 16));
}

static inline vf v_round16(vf x) {
    return _mm512_castsi512_ps(_mm512_and_si512(rounded_bits(x), word(0xFFFF0000)));
}

static void SIMD(from_bf16)(float *out, const uint16_t *in, int64_t n) {
    for (int64_t i = 0; i < n; i += LANES) {
        const __mmask16 mask = n - i >= LANES ? 0xFFFF : v_mask(n - i).bits;
        const __m512i   wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, in + i));
        _mm512_mask_storeu_epi32(out + i, mask, _mm512_slli_epi32(wide, 16));
    }
}

static inline void v_store16(uint16_t *p, int64_t n_lanes, vf x) { /* the first ones, rounded */
    if (n_lanes >= LANES) {
        _mm256_storeu_si256((__m256i *)(void *)p, round_to_bf16(x));
    } else {
        _mm256_mask_storeu_epi16(p, v_mask(n_lanes).bits, round_to_bf16(x));
    }
}
static inline vf v_kept(const uint16_t *bits, int64_t at, vf x) { /* 0 where a bit is 0 */
    return _mm512_maskz_mov_ps((__mmask16)bits[at / LANES], x);
}
static inline vf v_low(const uint32_t *words) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(words), 16));
}
static inline vf v_high(const uint32_t *words) {
    return _mm512_castsi512_ps(_mm512_and_si512(_mm512_loadu_si512(words), word(0xFFFF0000)));
}

#include "kern_simd_template.h"

/* The first blocks of four groups of 16 words, each four blocks; lane i has block i / 4 of group
 * i % 4, so that the words come out in the order of the elements. */
static inline philox_state four_groups(const uint64_t first[4]) {
    const __m128i low =
        _mm_setr_epi32((int32_t)first[0], (int32_t)first[1], (int32_t)first[2], (int32_t)first[3]);
    const __m128i high = _mm_setr_epi32((int32_t)(first[0] >> 32), (int32_t)(first[1] >> 32),
                                        (int32_t)(first[2] >> 32), (int32_t)(first[3] >> 32));
    const __m512i block = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    return (philox_state){_mm512_add_epi32(_mm512_broadcast_i32x4(low), block),
                          _mm512_broadcast_i32x4(high)};
}

/* The vectors have none within a group. */
static inline bool has_carry(const uint64_t first[4]) {
    const uint64_t last = UINT32_MAX - 3;
    return (uint32_t)first[0] > last || (uint32_t)first[1] > last || (uint32_t)first[2] > last ||
           (uint32_t)first[3] > last;
}

/* Groups of all rows after one another, four at a time: short rows cost no more than long ones. */
static void SIMD(dropout_bits)(uint16_t *bits, int64_t bits_step, int64_t n_rows, int64_t n,
                               bt_rng_key key, uint64_t first_block, uint64_t block_step,
                               uint32_t limit) {
    const int64_t n_groups = (n + LANES - 1) / LANES;
    int64_t       r = 0;
    int64_t       g = 0;
    for (int64_t left = n_rows * n_groups; left > 0; left -= 4) {
        uint64_t  first[4] = {0};
        uint16_t *to[4];
        for (int64_t i = 0; i < 4 && i < left; i++) {
            first[i] = first_block + (uint64_t)r * block_step + 4 * (uint64_t)g;
            to[i] = bits + r * bits_step + g;
            g++;
            if (g == n_groups) {
                g = 0;
                r++;
            }
        }
        if (has_carry(first)) {
            kern_dropout_bits__ref(bits, bits_step, n_rows, n, key, first_block, block_step, limit);
            return;
        }
        __m512i words[4];
        philox_words(words, key, four_groups(first));
        for (int64_t i = 0; i < 4 && i < left; i++) {
            *to[i] = (uint16_t)_mm512_cmpgt_epu32_mask(words[i], word(limit));
        }
    }
}

#include "kern_product_template.h"
#include "kern_rows16_template.h"

void kern_override_avx512(bt_kern *kern) {
    kern->isa = "avx512";
    override_table(kern);
    kern->from_bf16 = SIMD(from_bf16);
    override_products(kern);
    override_rows16(kern);
    kern->tiles16.left = kern_left16__avx512;
    kern->tiles16.left_transposed = kern_left16_transposed__avx512;
    kern->tiles16.right = kern_right16__avx512;
    kern->tiles16.right_transposed = kern_right16_transposed__avx512;
}
