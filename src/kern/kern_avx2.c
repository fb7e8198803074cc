/* SPDX-License-Identifier: Apache-2.0
 *
 * AVX2, FMA, F16C: the primitives for kern_simd_template.h. Built with their flags for this file
 * only; nothing here may run before bt_kern_select has looked at the processor. */
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "bt/base/bf16.h"
#include "kern_internal.h"
#include "kern_ref_decl.h"
#include "kern_transpose_x86.h"

#define SIMD(name) bt_kern_##name##_f32__avx2
enum { LANES = 8, TILE_ROWS = 6, WIDE_ROWS = 4, PRODUCT_ROWS = 6, PRODUCT_DEPTH = 384 };

typedef __m256 vf;
/* A mask; `whole` is a constant after inlining, as AVX2's masked stores are slow. */
typedef struct vm {
    __m256i bits;
    bool    whole;
} vm;

static const int32_t mask_source[2 * LANES] = {-1, -1, -1, -1, -1, -1, -1, -1};

static inline vm v_mask(int64_t n) { /* the first n lanes, 0 <= n <= LANES */
    const void *const from = mask_source + LANES - n;
    return (vm){_mm256_loadu_si256((const __m256i *)from), false};
}
static inline vm v_whole(void) {
    return (vm){_mm256_setzero_si256(), true};
}
static inline vf v_set(float x) {
    return _mm256_set1_ps(x);
}
static inline vf v_load(const float *p, vm m) { /* 0 outside the mask */
    return m.whole ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, m.bits);
}
static inline vf v_load_or(const float *p, vm m, vf other) {
    if (m.whole) {
        return _mm256_loadu_ps(p);
    }
    return _mm256_blendv_ps(other, _mm256_maskload_ps(p, m.bits), _mm256_castsi256_ps(m.bits));
}
static inline void v_store(float *p, vm m, vf x) {
    if (m.whole) {
        _mm256_storeu_ps(p, x);
    } else {
        _mm256_maskstore_ps(p, m.bits, x);
    }
}
static inline vf v_keep(vm m, vf x) {
    return m.whole ? x : _mm256_and_ps(_mm256_castsi256_ps(m.bits), x);
}
static inline bool v_is_all_zero_bits(vf a, vf b) {
    const __m256i bits = _mm256_or_si256(_mm256_castps_si256(a), _mm256_castps_si256(b));
    return _mm256_testz_si256(bits, bits) != 0;
}
static inline vf v_round_to_f16(vf x) {
    return _mm256_cvtph_ps(_mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
static inline vf v_add(vf a, vf b) {
    return _mm256_add_ps(a, b);
}
static inline vf v_sub(vf a, vf b) {
    return _mm256_sub_ps(a, b);
}
static inline vf v_mul(vf a, vf b) {
    return _mm256_mul_ps(a, b);
}
static inline vf v_div(vf a, vf b) {
    return _mm256_div_ps(a, b);
}
static inline vf v_sqrt(vf a) {
    return _mm256_sqrt_ps(a);
}
static inline vf v_fma(vf a, vf b, vf c) {
    return _mm256_fmadd_ps(a, b, c);
}
static inline vf v_fnma(vf a, vf b, vf c) { /* c - a * b */
    return _mm256_fnmadd_ps(a, b, c);
}
static inline vf v_neg(vf a) {
    return _mm256_xor_ps(a, _mm256_set1_ps(-0.0f));
}
static inline vf v_max(vf a, vf b) {
    return _mm256_max_ps(a, b);
}
static inline vf v_min(vf a, vf b) {
    return _mm256_min_ps(a, b);
}
static inline vf v_round(vf a) {
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline vf v_exp2_int(vf k) { /* 2^k for whole k in [-126, 127] */
    const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(k), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}
static inline vf v_zero_where_less(vf a, vf b, vf x) { /* a < b ? 0 : x */
    return _mm256_andnot_ps(_mm256_cmp_ps(a, b, _CMP_LT_OQ), x);
}
static inline vf v_where_less(vf a, vf b, vf x) { /* a < b ? x : 0 */
    return _mm256_and_ps(_mm256_cmp_ps(a, b, _CMP_LT_OQ), x);
}
static inline float v_sum(vf a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
static inline float v_largest(vf a) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

/* Sixteen double lanes as four vectors, added in the tree of the portable twin. */
static double SIMD(sum_sq)(const float *x, int64_t n) {
    __m256d sum[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(),
                      _mm256_setzero_pd()};
    for (int64_t i = 0; i < n; i += 2 * LANES) {
        const int64_t left = n - i < 2 * LANES ? n - i : 2 * LANES;
        const vf      a = v_load(x + i, v_mask(left < LANES ? left : LANES));
        const vf      b = left > LANES ? v_load(x + i + LANES, v_mask(left - LANES)) : v_set(0.0f);
        const __m128  quarter[4] = {_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1),
                                    _mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1)};
        UNROLL for (int q = 0; q < 4; q++) {
            const __m256d d = _mm256_cvtps_pd(quarter[q]);
            sum[q] = _mm256_add_pd(sum[q], _mm256_mul_pd(d, d));
        }
    }
    const __m256d low = _mm256_add_pd(sum[0], sum[2]);
    const __m256d high = _mm256_add_pd(sum[1], sum[3]);
    const __m256d four = _mm256_add_pd(low, high);
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

static inline void mul_hi_lo(__m256i a, __m256i mul, __m256i *hi, __m256i *lo) {
    const __m256i even = _mm256_mul_epu32(a, mul);
    const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), mul);
    *lo = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
    *hi = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
}

static inline __m256i word(uint32_t x) {
    return _mm256_set1_epi32((int32_t)x);
}

/* 32 multipliers from 8 counters. The counters are dealt to the lanes so that a transpose within
 * 128 bits leaves the words in the order of the elements. */
static inline void philox_multipliers(float *mult, bt_rng_key key, uint64_t first_block,
                                      uint32_t limit, float scale) {
    const __m256i deal = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
    __m256i       c0 = _mm256_add_epi32(word((uint32_t)first_block), deal);
    __m256i       c1 = word((uint32_t)(first_block >> 32));
    __m256i       c2 = word(key.stream[0]);
    __m256i       c3 = word(key.stream[1]);
    uint32_t      k0 = key.key[0];
    uint32_t      k1 = key.key[1];
    for (int round = 0; round < 10; round++) {
        __m256i hi_0, lo_0, hi_1, lo_1;
        mul_hi_lo(c0, word(UINT32_C(0xD2511F53)), &hi_0, &lo_0);
        mul_hi_lo(c2, word(UINT32_C(0xCD9E8D57)), &hi_1, &lo_1);
        c0 = _mm256_xor_si256(_mm256_xor_si256(hi_1, c1), word(k0));
        c2 = _mm256_xor_si256(_mm256_xor_si256(hi_0, c3), word(k1));
        c1 = lo_1;
        c3 = lo_0;
        k0 += UINT32_C(0x9E3779B9);
        k1 += UINT32_C(0xBB67AE85);
    }
    const __m256i pair_0 = _mm256_unpacklo_epi32(c0, c1);
    const __m256i pair_1 = _mm256_unpackhi_epi32(c0, c1);
    const __m256i pair_2 = _mm256_unpacklo_epi32(c2, c3);
    const __m256i pair_3 = _mm256_unpackhi_epi32(c2, c3);
    const __m256i words[4] = {
        _mm256_unpacklo_epi64(pair_0, pair_2), _mm256_unpackhi_epi64(pair_0, pair_2),
        _mm256_unpacklo_epi64(pair_1, pair_3), _mm256_unpackhi_epi64(pair_1, pair_3)};
    UNROLL for (int j = 0; j < 4; j++) {
        const __m256i at_limit = _mm256_max_epu32(words[j], word(limit));
        const __m256i dropped = _mm256_cmpeq_epi32(at_limit, word(limit));
        _mm256_storeu_ps(mult + j * LANES,
                         _mm256_andnot_ps(_mm256_castsi256_ps(dropped), v_set(scale)));
    }
}

static inline __m256i rounded_bits(__m256 x) { /* in the upper half of each word */
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), word(1));
    const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, word(0x7FFF)));
    const __m256i quiet = _mm256_or_si256(bits, word(0x400000)); /* NaN */
    const __m256  is_nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
    return _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(is_nan));
}

static inline __m128i round_to_bf16(__m256 x) {
    const __m256i all = _mm256_srli_epi32(rounded_bits(x), 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
}

static inline vf v_round16(vf x) {
    return _mm256_castsi256_ps(_mm256_and_si256(rounded_bits(x), word(0xFFFF0000)));
}

static void SIMD(from_bf16)(float *out, const uint16_t *in, int64_t n) {
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const __m128i half = _mm_loadu_si128((const __m128i *)(const void *)(in + i));
        const __m256i wide = _mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16);
        _mm256_storeu_si256((__m256i *)(void *)(out + i), wide);
    }
    kern_from_bf16__ref(out + i, in + i, n - i);
}

static inline void v_store16(uint16_t *p, int64_t n_lanes, vf x) { /* the first ones, rounded */
    if (n_lanes >= LANES) {
        _mm_storeu_si128((__m128i *)(void *)p, round_to_bf16(x));
    } else {
        uint16_t all[LANES];
        _mm_storeu_si128((__m128i *)(void *)all, round_to_bf16(x));
        memcpy(p, all, (size_t)n_lanes * sizeof *p);
    }
}
static inline vf v_kept(const uint16_t *bits, int64_t at, vf x) { /* 0 where a bit is 0 */
    const __m256i each = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i eight = _mm256_set1_epi32(bits[at / 16] >> (at % 16));
    const __m256i kept = _mm256_cmpeq_epi32(_mm256_and_si256(eight, each), each);
    return _mm256_and_ps(_mm256_castsi256_ps(kept), x);
}
static inline vf v_low(const uint32_t *words) {
    const __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)words);
    return _mm256_castsi256_ps(_mm256_slli_epi32(x, 16));
}
static inline vf v_high(const uint32_t *words) {
    const __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)words);
    return _mm256_castsi256_ps(_mm256_and_si256(x, word(0xFFFF0000)));
}

#include "kern_simd_template.h"

/* Multipliers first, 32 at a time, then their bits. */
static void SIMD(dropout_bits)(uint16_t *bits, int64_t bits_step, int64_t n_rows, int64_t n,
                               bt_rng_key key, uint64_t first_block, uint64_t block_step,
                               uint32_t limit) {
    enum { AT_ONCE = 4 * LANES };
    for (int64_t r = 0; r < n_rows; r++) {
        const uint64_t  block = first_block + (uint64_t)r * block_step;
        uint16_t *const row = bits + r * bits_step;
        for (int64_t i = 0; i < n; i += AT_ONCE) {
            float mult[AT_ONCE];
            SIMD(dropout_mask)(mult, AT_ONCE, key, block + (uint64_t)i / 4, limit, 1);
            for (int64_t j = 0; j < AT_ONCE && i + j < n; j += 2 * LANES) {
                const vm     whole = v_whole();
                const vf     zero = v_set(0.0f);
                const __m256 low = _mm256_cmp_ps(v_load(mult + j, whole), zero, _CMP_GT_OQ);
                const __m256 high =
                    _mm256_cmp_ps(v_load(mult + j + LANES, whole), zero, _CMP_GT_OQ);
                row[(i + j) / 16] =
                    (uint16_t)(_mm256_movemask_ps(low) | _mm256_movemask_ps(high) << LANES);
            }
        }
    }
}

#include "kern_product_template.h"
#include "kern_rows16_template.h"

void kern_override_avx2(bt_kern *kern) {
    kern->isa = "avx2";
    override_table(kern);
    kern->from_bf16 = SIMD(from_bf16);
    override_products(kern);
    override_rows16(kern);
}
