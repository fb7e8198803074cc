/* SPDX-License-Identifier: Apache-2.0
 *
 * Products of bfloat16 factors with AVX512_BF16's dot products of pairs, and the panels that these
 * and AMX's (kern_amx.c) read. Sums are float32. Built with its own flags: nothing here may run
 * before bt_kern_select has looked at the processor. */
#include "kern_bf16.h"

enum {
    DOT_ROWS = 14, /* of a tile of C in vector registers */
    COLS = BF16_COLS,
    WORDS = BF16_WORDS,
    DEPTH = 512,
    PREFETCH_PAIRS = 12,
};

/* Words (row[2p], row[2p+1]) of one row, p < 16, from n floats. */
static inline __m512i pairs_along(const float *row, int64_t n) {
    const __m512 low = _mm512_maskz_loadu_ps(bf16_first_lanes(n), row);
    const __m512 high = _mm512_maskz_loadu_ps(bf16_first_lanes(n - WORDS), row + WORDS);
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/* Words (row_0[w], row_1[w]), w < 16. row_1 NULL: 0. */
static inline __m512i pairs_across(const float *row_0, const float *row_1, __mmask16 mask) {
    const __m512i low =
        _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, row_0)));
    if (row_1 == NULL) {
        return low;
    }
    const __m512i high =
        _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, row_1)));
    return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

/* r[w] = words of the pairs d/2.., of w = first..first+15; consecutive d in memory. is_16 is a
 * constant after inlining, here and below. */
static ALWAYS_INLINE void load_along(const bool is_16, __m512i r[WORDS], const kern_pack_source *s,
                                     int64_t first, int64_t d) {
    UNROLL for (int i = 0; i < WORDS; i++) {
        const int64_t at = (first + i) * s->wide_step + d;
        r[i] = first + i >= s->n_there ? _mm512_setzero_si512()
               : is_16                 ? pairs_along16(s->x16 + at, s->depth - d)
                                       : pairs_along(s->x + at, s->depth - d);
    }
}

/* r[p] = words of the pair d/2 + p, of w = first..first+15; consecutive w in memory. */
static ALWAYS_INLINE void load_across(const bool is_16, __m512i r[WORDS], const kern_pack_source *s,
                                      int64_t first, int64_t d) {
    const __mmask16 mask = bf16_first_lanes(s->n_there - first);
    UNROLL for (int i = 0; i < WORDS; i++) {
        const int64_t pair = d + 2 * i;
        const int64_t at = pair * s->deep_step + first;
        const bool    has_two = pair + 1 < s->depth;
        if (pair >= s->depth) {
            r[i] = _mm512_setzero_si512();
        } else if (is_16) {
            r[i] = pairs_across16(s->x16 + at, has_two ? s->x16 + at + s->deep_step : NULL, mask);
        } else {
            r[i] = pairs_across(s->x + at, has_two ? s->x + at + s->deep_step : NULL, mask);
        }
    }
}

/* [width][padded / 2] words */
static ALWAYS_INLINE void pack_rows(const bool is_16, uint32_t *panel, int64_t width,
                                    const kern_pack_source *s) {
    const int64_t words = bf16_padded(s->depth) / 2;
    __m512i       r[WORDS];
    for (int64_t first = 0; first < width; first += WORDS) {
        for (int64_t d = 0; d < s->depth; d += 2 * WORDS) {
            if (s->deep_step == 1) {
                load_along(is_16, r, s, first, d);
            } else {
                load_across(is_16, r, s, first, d);
                transpose_words(r);
            }
            UNROLL for (int i = 0; i < WORDS; i++) {
                if (first + i < width) {
                    _mm512_storeu_si512(panel + (first + i) * words + d / 2, r[i]);
                }
            }
        }
    }
}

/* [padded / 2][COLS] words */
static ALWAYS_INLINE void pack_cols(const bool is_16, uint32_t *panel, const kern_pack_source *s) {
    __m512i r[WORDS];
    for (int64_t d = 0; d < s->depth; d += 2 * WORDS) {
        for (int64_t first = 0; first < COLS; first += WORDS) {
            if (s->wide_step == 1) {
                load_across(is_16, r, s, first, d);
            } else {
                load_along(is_16, r, s, first, d);
                transpose_words(r);
            }
            UNROLL for (int i = 0; i < WORDS; i++) {
                _mm512_storeu_si512(panel + (d / 2 + i) * COLS + first, r[i]);
            }
        }
    }
}

/* Panels one after another; s is the first one's source. */
static void pack_panels(uint32_t *panels, bool is_of_a, int64_t width, kern_pack_source s,
                        int64_t n_wide) {
    for (int64_t w = 0; w < n_wide; w += width) {
        uint32_t *const panel = panels + w * (bf16_padded(s.depth) / 2);
        if (is_of_a && s.x != NULL) {
            pack_rows(false, panel, width, &s);
        } else if (is_of_a) {
            pack_rows(true, panel, width, &s);
        } else if (s.x != NULL) {
            pack_cols(false, panel, &s);
        } else {
            pack_cols(true, panel, &s);
        }
        s.x = s.x == NULL ? NULL : s.x + width * s.wide_step;
        s.x16 = s.x16 == NULL ? NULL : s.x16 + width * s.wide_step;
        s.n_there -= width;
    }
}

/* The entries of the tables. */
#define DEFINE_PACKS(linkage, prefix, which, is_of_a, width)                                       \
    linkage void prefix##pack_##which(void *panels, const float *x, int64_t wide_step,             \
                                      int64_t deep_step, int64_t n_wide, int64_t n_there,          \
                                      int64_t depth) {                                             \
        const kern_pack_source s = {x, NULL, wide_step, deep_step, n_there, depth};                \
        pack_panels(panels, is_of_a, width, s, n_wide);                                            \
    }                                                                                              \
    linkage void prefix##pack16_##which(void *panels, const uint16_t *x, int64_t wide_step,        \
                                        int64_t deep_step, int64_t n_wide, int64_t n_there,        \
                                        int64_t depth) {                                           \
        const kern_pack_source s = {NULL, x, wide_step, deep_step, n_there, depth};                \
        pack_panels(panels, is_of_a, width, s, n_wide);                                            \
    }
DEFINE_PACKS(static, , a, true, DOT_ROWS)
DEFINE_PACKS(extern, bf16_, a_amx, true, BF16_AMX_ROWS)
DEFINE_PACKS(extern, bf16_, b, false, COLS)

/* Row i of A is at a + i * row_bytes. Three rows an address leave registers for the rest. */
enum { ADDRESS_ROWS = 3, N_ADDRESSES = (DOT_ROWS + ADDRESS_ROWS - 1) / ADDRESS_ROWS };

static ALWAYS_INLINE void multiply_dot(float *c, int64_t ld_c, const unsigned char *a,
                                       int64_t row_bytes, const uint32_t *b, int64_t words,
                                       int64_t n_rows, int64_t n_cols, float alpha,
                                       bool accumulate) {
    const unsigned char *rows[N_ADDRESSES];
    __m512               sum[DOT_ROWS][2];
    volatile float       later = alpha; /* in memory: every register is needed until then */
    UNROLL for (int i = 0; i < N_ADDRESSES; i++) {
        rows[i] = a + i * ADDRESS_ROWS * row_bytes;
    }
    UNROLL for (int i = 0; i < DOT_ROWS; i++) {
        if (i < n_rows) { /* C's rows lie pages apart: ask for them now */
            __builtin_prefetch(c + i * ld_c, 1);
            __builtin_prefetch(c + i * ld_c + WORDS, 1);
        }
        sum[i][0] = _mm512_setzero_ps();
        sum[i][1] = _mm512_setzero_ps();
    }
    for (int64_t p = 0; p < words; p++) {
        const __m512bh b_0 = (__m512bh)_mm512_loadu_si512(b + p * COLS);
        const __m512bh b_1 = (__m512bh)_mm512_loadu_si512(b + p * COLS + WORDS);
        __builtin_prefetch(b + (p + PREFETCH_PAIRS) * COLS);
        __builtin_prefetch(b + (p + PREFETCH_PAIRS) * COLS + WORDS);
        UNROLL for (int i = 0; i < DOT_ROWS; i++) {
            int32_t word;
            memcpy(&word,
                   rows[i / ADDRESS_ROWS] + i % ADDRESS_ROWS * row_bytes + p * (int64_t)sizeof word,
                   sizeof word);
            const __m512bh a_i = (__m512bh)_mm512_set1_epi32(word);
            sum[i][0] = _mm512_dpbf16_ps(sum[i][0], a_i, b_0);
            sum[i][1] = _mm512_dpbf16_ps(sum[i][1], a_i, b_1);
        }
    }
    const __m512 alpha_v = _mm512_set1_ps(later);
    UNROLL for (int i = 0; i < DOT_ROWS; i++) {
        if (i < n_rows) {
            bf16_store_row(c + i * ld_c, sum[i][0], sum[i][1], n_cols, alpha_v, accumulate);
        }
    }
}

static void tile_dot(float *c, int64_t ld_c, const void *a_panel, const void *b_panel,
                     int64_t n_rows, int64_t n_cols, int64_t depth, float alpha, bool accumulate) {
    const int64_t words = bf16_padded(depth) / 2;
    multiply_dot(c, ld_c, a_panel, words * (int64_t)sizeof(uint32_t), b_panel, words, n_rows,
                 n_cols, alpha, accumulate);
}

static void tile_dot_in_place(float *c, int64_t ld_c, const uint16_t *a, int64_t ld_a,
                              const void *b_panel, int64_t n_cols, int64_t depth, float alpha,
                              bool accumulate) {
    BT_ASSERT(depth % BF16_DEPTH_STEP == 0);
    multiply_dot(c, ld_c, (const unsigned char *)a, ld_a * (int64_t)sizeof *a, b_panel, depth / 2,
                 DOT_ROWS, n_cols, alpha, accumulate);
}

static void to_bf16(uint16_t *out, const float *in, int64_t n) {
    for (int64_t i = 0; i < n; i += WORDS) {
        const __mmask16 mask = bf16_first_lanes(n - i);
        const __m256i   x = (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, in + i));
        _mm256_mask_storeu_epi16(out + i, mask, x);
    }
}

void kern_override_bf16(bt_kern *kern) {
    kern_tiles16_bf16(&kern->tiles16);
    kern->to_bf16 = to_bf16;
    kern->products[BT_PRECISION_BF16] = (bt_kern_product){.name = "bfloat16 (AVX512_BF16)",
                                                          .rows = DOT_ROWS,
                                                          .cols = COLS,
                                                          .depth = DEPTH,
                                                          .depth_step = BF16_DEPTH_STEP,
                                                          .element_bytes = sizeof(uint16_t),
                                                          .pack_a = pack_a,
                                                          .pack_b = bf16_pack_b,
                                                          .pack_a16 = pack16_a,
                                                          .pack_b16 = bf16_pack16_b,
                                                          .tile = tile_dot,
                                                          .tile_in_place16 = tile_dot_in_place};
}
