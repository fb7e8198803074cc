/* SPDX-License-Identifier: Apache-2.0
 *
 * Products in 8 bits with AVX2. Its product of bytes (VPMADDUBSW) saturates at 16 bits, so bytes
 * are widened: rows once for a tile, weights as they are loaded, and pairs of products added up in
 * 32 bits are exact. */
#include <immintrin.h>
#include <string.h>

#include "kern_int8_row.h"
#include "kern_internal.h"

enum {
    ROWS = 6,
    COLS = BT_KERN_INT8_COLS,
    LANES = 8,
    PANELS = 4,  /* of a tile: its rows are widened once for all of them */
    BLOCK = 512, /* how deep a tile goes at a time: its widened rows stay in the first cache */
};

static float least_of(__m256 x) {
    __m128 half = _mm_min_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_min_ps(half, _mm_movehl_ps(half, half));
    half = _mm_min_ss(half, _mm_shuffle_ps(half, half, 1));
    return _mm_cvtss_f32(half);
}

static float most_of(__m256 x) {
    return -least_of(_mm256_xor_ps(x, _mm256_set1_ps(-0.0F)));
}

static uint32_t most_bits(__m256i x) {
    uint32_t lanes[LANES];
    uint32_t most = 0;
    memcpy(lanes, &x, sizeof lanes);
    for (int i = 0; i < LANES; i++) {
        most = lanes[i] > most ? lanes[i] : most;
    }
    return most;
}

/* 8 bytes of steps within 0 to 256 */
static void store_bytes(uint8_t *q, __m256i steps) {
    const __m128i words =
        _mm_packus_epi32(_mm256_castsi256_si128(steps), _mm256_extracti128_si256(steps, 1));
    _mm_storel_epi64((__m128i *)(void *)q, _mm_packus_epi16(words, words));
}

static void quantize(uint8_t *q, bt_kern_int8_row *row, const float *in, int64_t n) {
    const int64_t whole = n / LANES * LANES;
    float         rest[LANES] = {0};
    __m256        low = _mm256_setzero_ps();
    __m256        high = _mm256_setzero_ps();
    __m256i       largest = _mm256_setzero_si256();
    memcpy(rest, in + whole, (size_t)(n - whole) * sizeof *rest);
    for (int64_t i = 0; i < n; i += LANES) {
        const __m256 x = _mm256_loadu_ps(i < whole ? in + i : rest);
        low = _mm256_min_ps(x, low); /* of NaN: low */
        high = _mm256_max_ps(x, high);
        largest = _mm256_max_epu32(
            largest, _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(INT32_MAX)));
    }
    const float   inverse = kern_int8_row_of(row, least_of(low), most_of(high), most_bits(largest));
    const int64_t end = bt_kern_int8_depth(n);
    memset(q + whole, 0, (size_t)(end - whole));
    if (!(inverse > 0)) {
        memset(q, 0, (size_t)whole);
        return;
    }
    for (int64_t i = 0; i < whole; i += LANES) {
        const __m256 x = _mm256_mul_ps(_mm256_loadu_ps(in + i), _mm256_set1_ps(inverse));
        store_bytes(q + i, _mm256_add_epi32(_mm256_cvtps_epi32(x), _mm256_set1_epi32(row->zero)));
    }
    for (int64_t i = whole; i < n; i++) {
        q[i] = kern_int8_byte(in[i], inverse, row->zero);
    }
}

/* depth bytes of each row, as words. */
static void widen_rows(int16_t words[ROWS][BLOCK], const bt_kern_int8_tile *t, int64_t first,
                       int64_t depth) {
    for (int64_t i = 0; i < t->n_rows; i++) {
        const uint8_t *const a = t->a + i * t->ld_a + first;
        for (int64_t d = 0; d < depth; d += 16) {
            const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(a + d));
            _mm256_storeu_si256((__m256i *)(void *)&words[i][d], _mm256_cvtepu8_epi16(bytes));
        }
    }
}

static inline __m256i weights_at(const int8_t *b) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)b));
}

/* gcc 12 makes one variable of the sums of two turns of a loop and runs out of registers for the
 * copies (not with -fno-tree-coalesce-vars); a third of the speed was lost to them. */
static ALWAYS_INLINE void stay_in_registers(__m256i *x, __m256i *y) {
    __asm__("" : "+x"(*x), "+x"(*y));
}

/* Eight sums of each row, PANELS * COLS apart, are rows of words times eight columns of weights at
 * b, added to what is there unless they are the first. */
static void multiply_block(int32_t *sums, const int16_t words[ROWS][BLOCK], const int8_t *b,
                           int64_t depth, bool are_first) {
    __m256i pairs[ROWS][2]; /* four columns each, two sums a column */
    UNROLL for (int i = 0; i < ROWS; i++) {
        pairs[i][0] = _mm256_setzero_si256();
        pairs[i][1] = _mm256_setzero_si256();
    }
    for (int64_t d = 0; d < depth; d += 4) {
        const __m256i b_0 = weights_at(b + d * COLS);
        const __m256i b_1 = weights_at(b + d * COLS + 16);
        UNROLL for (int i = 0; i < ROWS; i++) {
            int64_t four = 0;
            memcpy(&four, &words[i][d], sizeof four);
            const __m256i a = _mm256_set1_epi64x(four);
            pairs[i][0] = _mm256_add_epi32(pairs[i][0], _mm256_madd_epi16(a, b_0));
            pairs[i][1] = _mm256_add_epi32(pairs[i][1], _mm256_madd_epi16(a, b_1));
            stay_in_registers(&pairs[i][0], &pairs[i][1]);
        }
    }
    UNROLL for (int i = 0; i < ROWS; i++) {
        __m256i *const at = (__m256i *)(void *)(sums + i * PANELS * COLS);
        const __m256i  mixed = _mm256_hadd_epi32(pairs[i][0], pairs[i][1]);
        const __m256i  eight = _mm256_permute4x64_epi64(mixed, 0xD8);
        _mm256_storeu_si256(at,
                            are_first ? eight : _mm256_add_epi32(_mm256_loadu_si256(at), eight));
    }
}

static void multiply(const bt_kern_int8_tile *t) {
    int32_t sums[ROWS][PANELS * COLS];
    int16_t words[ROWS][BLOCK];
    if (t->n_rows < ROWS) {
        memset(words, 0, sizeof words); /* rows that are not there */
    }
    for (int64_t first = 0; first < t->depth; first += BLOCK) {
        const int64_t depth = t->depth - first < BLOCK ? t->depth - first : BLOCK;
        widen_rows(words, t, first, depth);
        for (int64_t j = 0; j < t->n_cols; j += LANES) {
            const int8_t *const panel = t->panel.weights + j / COLS * COLS * t->depth;
            multiply_block(&sums[0][j], (const int16_t(*)[BLOCK])words,
                           panel + first * COLS + j % COLS * 4, depth, first == 0);
        }
    }
    for (int64_t i = 0; i < t->n_rows; i++) {
        kern_int8_store(t, i, sums[i]);
    }
}

const bt_kern_int8 kern_int8_avx2 = {.name = "int8 (AVX2)",
                                     .rows = ROWS,
                                     .panels = PANELS,
                                     .quantize = quantize,
                                     .multiply = multiply};
