/* SPDX-License-Identifier: Apache-2.0
 *
 * Products of bfloat16 factors where the processor has them: with AVX512_BF16's dot products of
 * pairs, and with AMX tiles. Both read the same panels of pairs (d, d+1), as 32-bit words: of A
 * [row][pair], of B [pair][column]. Sums are float32. Built with its own flags: nothing here may
 * run before bt_kern_select has looked at the processor. */
#define _GNU_SOURCE
#include <immintrin.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kern_internal.h"

enum {
    DOT_ROWS = 14,  /* of a tile of C in vector registers */
    AMX_ROWS = 32,  /* of one in two by two AMX tiles */
    COLS = 32,      /* of both */
    WORDS = 16,     /* of a vector */
    DEPTH = 512,    /* a multiple of what an AMX tile is deep */
    AMX_DEPTH = 32, /* numbers, 16 words */
};

static inline __mmask16 first_lanes(int64_t n) {
    return (__mmask16)(n >= WORDS ? 0xFFFF : n <= 0 ? 0 : (UINT32_C(1) << n) - 1);
}

/* Words (row[2p], row[2p+1]) of one row, p < 16, from n floats. */
static inline __m512i pairs_along(const float *row, int64_t n) {
    const __m512 low = _mm512_maskz_loadu_ps(first_lanes(n), row);
    const __m512 high = _mm512_maskz_loadu_ps(first_lanes(n - WORDS), row + WORDS);
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

/* 16 x 16 words in place: pairs, fours, then 128-bit lanes. */
static inline void transpose_words(__m512i r[WORDS]) {
    __m512i t[WORDS];
    UNROLL for (int i = 0; i < WORDS; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    UNROLL for (int i = 0; i < WORDS; i += 4) {
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

/* Where the numbers of a panel come from. */
typedef struct source {
    const float *x; /* the panel's first element */
    int64_t      wide_step, deep_step;
    int64_t      n_there; /* in the wide direction, from here */
    int64_t      depth;
} source;

static int64_t padded(int64_t depth) {
    return (depth + AMX_DEPTH - 1) / AMX_DEPTH * AMX_DEPTH;
}

/* r[w] = words of the pairs d/2.., of w = first..first+15; consecutive d in memory. */
static inline void load_along(__m512i r[WORDS], const source *s, int64_t first, int64_t d) {
    UNROLL for (int i = 0; i < WORDS; i++) {
        const int64_t w = first + i;
        r[i] = w < s->n_there ? pairs_along(s->x + w * s->wide_step + d, s->depth - d)
                              : _mm512_setzero_si512();
    }
}

/* r[p] = words of the pair d/2 + p, of w = first..first+15; consecutive w in memory. */
static inline void load_across(__m512i r[WORDS], const source *s, int64_t first, int64_t d) {
    const __mmask16 mask = first_lanes(s->n_there - first);
    UNROLL for (int i = 0; i < WORDS; i++) {
        const int64_t at = d + 2 * i;
        const float  *row = s->x + at * s->deep_step + first;
        r[i] = at < s->depth
                   ? pairs_across(row, at + 1 < s->depth ? row + s->deep_step : NULL, mask)
                   : _mm512_setzero_si512();
    }
}

/* [width][padded / 2] words */
static void pack_rows(uint32_t *panel, int64_t width, const source *s) {
    const int64_t words = padded(s->depth) / 2;
    __m512i       r[WORDS];
    for (int64_t first = 0; first < width; first += WORDS) {
        for (int64_t d = 0; d < s->depth; d += 2 * WORDS) {
            if (s->deep_step == 1) {
                load_along(r, s, first, d);
            } else {
                load_across(r, s, first, d);
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
static void pack_cols(uint32_t *panel, const source *s) {
    __m512i r[WORDS];
    for (int64_t d = 0; d < s->depth; d += 2 * WORDS) {
        for (int64_t first = 0; first < COLS; first += WORDS) {
            if (s->wide_step == 1) {
                load_across(r, s, first, d);
            } else {
                load_along(r, s, first, d);
                transpose_words(r);
            }
            UNROLL for (int i = 0; i < WORDS; i++) {
                _mm512_storeu_si512(panel + (d / 2 + i) * COLS + first, r[i]);
            }
        }
    }
}

static source source_at(const float *x, int64_t wide_step, int64_t deep_step, int64_t first,
                        int64_t n_there, int64_t depth) {
    return (source){.x = x + first * wide_step,
                    .wide_step = wide_step,
                    .deep_step = deep_step,
                    .n_there = n_there - first,
                    .depth = depth};
}

static void pack_row_panels(uint32_t *panels, int64_t width, const float *x, int64_t wide_step,
                            int64_t deep_step, int64_t n_wide, int64_t n_there, int64_t depth) {
    for (int64_t w = 0; w < n_wide; w += width) {
        const source s = source_at(x, wide_step, deep_step, w, n_there, depth);
        pack_rows(panels + w * (padded(depth) / 2), width, &s);
    }
}

static void pack_a_dot(void *panels, const float *x, int64_t wide_step, int64_t deep_step,
                       int64_t n_wide, int64_t n_there, int64_t depth) {
    pack_row_panels(panels, DOT_ROWS, x, wide_step, deep_step, n_wide, n_there, depth);
}

static void pack_a_amx(void *panels, const float *x, int64_t wide_step, int64_t deep_step,
                       int64_t n_wide, int64_t n_there, int64_t depth) {
    pack_row_panels(panels, AMX_ROWS, x, wide_step, deep_step, n_wide, n_there, depth);
}

static void pack_b(void *panels, const float *x, int64_t wide_step, int64_t deep_step,
                   int64_t n_wide, int64_t n_there, int64_t depth) {
    uint32_t *const words = panels;
    for (int64_t w = 0; w < n_wide; w += COLS) {
        const source s = source_at(x, wide_step, deep_step, w, n_there, depth);
        pack_cols(words + w * (padded(depth) / 2), &s);
    }
}

static inline void store_row(float *c, __m512 sum_0, __m512 sum_1, int64_t n_cols, __m512 alpha,
                             bool accumulate) {
    const __mmask16 mask_0 = first_lanes(n_cols);
    const __mmask16 mask_1 = first_lanes(n_cols - WORDS);
    __m512          x_0 = _mm512_mul_ps(sum_0, alpha);
    __m512          x_1 = _mm512_mul_ps(sum_1, alpha);
    if (accumulate) {
        x_0 = _mm512_add_ps(_mm512_maskz_loadu_ps(mask_0, c), x_0);
        x_1 = _mm512_add_ps(_mm512_maskz_loadu_ps(mask_1, c + WORDS), x_1);
    }
    _mm512_mask_storeu_ps(c, mask_0, x_0);
    _mm512_mask_storeu_ps(c + WORDS, mask_1, x_1);
}

static void tile_dot(float *c, int64_t ld_c, const void *a_panel, const void *b_panel,
                     int64_t n_rows, int64_t n_cols, int64_t depth, float alpha, bool accumulate) {
    const int64_t         words = padded(depth) / 2;
    const uint32_t *const a = a_panel;
    const uint32_t *const b = b_panel;
    __m512                sum[DOT_ROWS][2];
    UNROLL for (int i = 0; i < DOT_ROWS; i++) {
        sum[i][0] = _mm512_setzero_ps();
        sum[i][1] = _mm512_setzero_ps();
    }
    for (int64_t p = 0; p < words; p++) {
        const __m512bh b_0 = (__m512bh)_mm512_loadu_si512(b + p * COLS);
        const __m512bh b_1 = (__m512bh)_mm512_loadu_si512(b + p * COLS + WORDS);
        UNROLL for (int i = 0; i < DOT_ROWS; i++) {
            const __m512bh a_i = (__m512bh)_mm512_set1_epi32((int32_t)a[i * words + p]);
            sum[i][0] = _mm512_dpbf16_ps(sum[i][0], a_i, b_0);
            sum[i][1] = _mm512_dpbf16_ps(sum[i][1], a_i, b_1);
        }
    }
    UNROLL for (int i = 0; i < DOT_ROWS; i++) {
        if (i < n_rows) {
            store_row(c + i * ld_c, sum[i][0], sum[i][1], n_cols, _mm512_set1_ps(alpha),
                      accumulate);
        }
    }
}

/* What LDTILECFG reads: all eight tiles have 16 rows of 64 bytes. */
typedef struct tile_config {
    uint8_t  palette;
    uint8_t  start_row;
    uint8_t  reserved[14];
    uint16_t row_bytes[16];
    uint8_t  rows[16];
} tile_config;

static void start_amx(void) {
    /* static: gcc's intrinsic does not say that it reads all 64 bytes */
    static const tile_config config = {.palette = 1,
                                       .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
                                       .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
    _tile_loadconfig(&config);
}

static void stop_amx(void) {
    _tile_release();
}

/* Tiles 0 to 3: sums of the four quarters; 4, 5: rows of A; 6, 7: columns of B. */
static void tile_amx(float *c, int64_t ld_c, const void *a_panel, const void *b_panel,
                     int64_t n_rows, int64_t n_cols, int64_t depth, float alpha, bool accumulate) {
    const size_t          words = (size_t)padded(depth) / 2;
    const uint32_t *const a = a_panel;
    const uint32_t *const b = b_panel;
    _Alignas(64) float    sum[AMX_ROWS][COLS];
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (size_t p = 0; p < words; p += WORDS) {
        _tile_loadd(4, a + p, words * sizeof *a);
        _tile_loadd(5, a + WORDS * words + p, words * sizeof *a);
        _tile_loadd(6, b + p * COLS, COLS * sizeof *b);
        _tile_loadd(7, b + p * COLS + WORDS, COLS * sizeof *b);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, &sum[0][0], sizeof sum[0]);
    _tile_stored(1, &sum[0][WORDS], sizeof sum[0]);
    _tile_stored(2, &sum[WORDS][0], sizeof sum[0]);
    _tile_stored(3, &sum[WORDS][WORDS], sizeof sum[0]);
    const __m512 alpha_v = _mm512_set1_ps(alpha);
    for (int64_t i = 0; i < AMX_ROWS && i < n_rows; i++) {
        store_row(c + i * ld_c, _mm512_load_ps(&sum[i][0]), _mm512_load_ps(&sum[i][WORDS]), n_cols,
                  alpha_v, accumulate);
    }
}

void kern_override_bf16(bt_kern *kern) {
    kern->products[BT_PRECISION_BF16] = (bt_kern_product){.name = "bfloat16 (AVX512_BF16)",
                                                          .rows = DOT_ROWS,
                                                          .cols = COLS,
                                                          .depth = DEPTH,
                                                          .depth_step = AMX_DEPTH,
                                                          .element_bytes = sizeof(uint16_t),
                                                          .pack_a = pack_a_dot,
                                                          .pack_b = pack_b,
                                                          .tile = tile_dot};
}

void kern_override_amx(bt_kern *kern) {
    kern->products[BT_PRECISION_BF16] = (bt_kern_product){.name = "bfloat16 (AMX)",
                                                          .rows = AMX_ROWS,
                                                          .cols = COLS,
                                                          .depth = DEPTH,
                                                          .depth_step = AMX_DEPTH,
                                                          .element_bytes = sizeof(uint16_t),
                                                          .pack_a = pack_a_amx,
                                                          .pack_b = pack_b,
                                                          .start = start_amx,
                                                          .stop = stop_amx,
                                                          .tile = tile_amx};
}

/* The kernel gives a process its tiles on request (Linux, Documentation/arch/x86/xstate.rst). */
bool kern_request_amx(void) {
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}
