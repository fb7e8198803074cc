/* SPDX-License-Identifier: Apache-2.0
 *
 * Products of bfloat16 factors by BFMMLA, which multiplies two rows of A with two columns of B,
 * four numbers deep. Panels of both lie as it reads them: [depth / 4][width][4]. Sums are float32,
 * each rounded to odd, subnormal numbers count as 0 (docs/numerics.md). A processor with BFMMLA has
 * BFDOT too, and none has BFDOT alone: so that is used for attention only. Built with its own
 * flags: nothing here may run before bt_kern_select has looked at the processor. */
#include <arm_neon.h>

#include "kern_internal.h"

enum {
    ROWS = 8,
    COLS = 12,
    STEP = 4,    /* numbers that a block is deep */
    BLOCK = 8,   /* numbers of a vector: two rows or columns */
    DEPTH = 512, /* a multiple of STEP */
};

static int64_t padded(int64_t depth) {
    return (depth + STEP - 1) / STEP * STEP;
}

static inline uint16x4_t round_4(float32x4_t x) {
    return vreinterpret_u16_bf16(vcvt_bf16_f32(x));
}

/* Four numbers that lie one after another, of which n are there; beyond them 0. is_16 is a constant
 * after inlining, here and below. */
static ALWAYS_INLINE uint16x4_t load_4(const bool is_16, const kern_pack_source *s, int64_t at,
                                       int64_t n) {
    if (n >= 4) {
        return is_16 ? vld1_u16(s->x16 + at) : round_4(vld1q_f32(s->x + at));
    }
    float    rest[4] = {0};
    uint16_t rest_16[4] = {0};
    for (int64_t i = 0; i < n; i++) {
        if (is_16) {
            rest_16[i] = s->x16[at + i];
        } else {
            rest[i] = s->x[at + i];
        }
    }
    return is_16 ? vld1_u16(rest_16) : round_4(vld1q_f32(rest));
}

/* Consecutive d in memory. */
static ALWAYS_INLINE void pack_along(const bool is_16, uint16_t *panel, int64_t width,
                                     const kern_pack_source *s) {
    for (int64_t w = 0; w < width; w++) {
        for (int64_t d = 0; d < s->depth; d += STEP) {
            const uint16x4_t x = w < s->n_there
                                     ? load_4(is_16, s, w * s->wide_step + d, s->depth - d)
                                     : vdup_n_u16(0);
            vst1_u16(panel + d * width + w * STEP, x);
        }
    }
}

/* Consecutive w in memory: four of them, four deep, are stored turned round. */
static ALWAYS_INLINE void pack_across(const bool is_16, uint16_t *panel, int64_t width,
                                      const kern_pack_source *s) {
    for (int64_t d = 0; d < s->depth; d += STEP) {
        for (int64_t w = 0; w < width; w += 4) {
            uint16x4x4_t x;
            UNROLL for (int i = 0; i < STEP; i++) {
                const int64_t n = d + i < s->depth ? s->n_there - w : 0;
                x.val[i] = load_4(is_16, s, (d + i) * s->deep_step + w, n);
            }
            vst4_u16(panel + d * width + w * STEP, x);
        }
    }
}

/* Panels one after another; s is the first one's source. */
static ALWAYS_INLINE void pack_panels(const bool is_16, uint16_t *panels, int64_t width,
                                      kern_pack_source s, int64_t n_wide) {
    for (int64_t w = 0; w < n_wide; w += width) {
        if (s.deep_step == 1) {
            pack_along(is_16, panels + w * padded(s.depth), width, &s);
        } else {
            pack_across(is_16, panels + w * padded(s.depth), width, &s);
        }
        if (is_16) {
            s.x16 += width * s.wide_step;
        } else {
            s.x += width * s.wide_step;
        }
        s.n_there -= width;
    }
}

static void pack_a(void *panels, const float *x, int64_t wide_step, int64_t deep_step,
                   int64_t n_wide, int64_t n_there, int64_t depth) {
    const kern_pack_source s = {x, NULL, wide_step, deep_step, n_there, depth};
    pack_panels(false, panels, ROWS, s, n_wide);
}

static void pack_b(void *panels, const float *x, int64_t wide_step, int64_t deep_step,
                   int64_t n_wide, int64_t n_there, int64_t depth) {
    const kern_pack_source s = {x, NULL, wide_step, deep_step, n_there, depth};
    pack_panels(false, panels, COLS, s, n_wide);
}

static void pack_a16(void *panels, const uint16_t *x, int64_t wide_step, int64_t deep_step,
                     int64_t n_wide, int64_t n_there, int64_t depth) {
    const kern_pack_source s = {NULL, x, wide_step, deep_step, n_there, depth};
    pack_panels(true, panels, ROWS, s, n_wide);
}

static void pack_b16(void *panels, const uint16_t *x, int64_t wide_step, int64_t deep_step,
                     int64_t n_wide, int64_t n_there, int64_t depth) {
    const kern_pack_source s = {NULL, x, wide_step, deep_step, n_there, depth};
    pack_panels(true, panels, COLS, s, n_wide);
}

static inline void store_4(float *c, float32x4_t x, bool accumulate) {
    vst1q_f32(c, accumulate ? vaddq_f32(vld1q_f32(c), x) : x);
}

/* A row of sums to C, at most n_cols of them. */
static inline void store_row(float *c, const float32x4_t x[COLS / 4], int64_t n_cols,
                             bool accumulate) {
    float rest[4];
    UNROLL for (int j = 0; j < COLS / 4; j++) {
        if (n_cols >= 4 * j + 4) {
            store_4(c + 4 * j, x[j], accumulate);
        } else {
            vst1q_f32(rest, x[j]);
            for (int64_t k = 4 * j; k < n_cols; k++) {
                c[k] = accumulate ? c[k] + rest[k - 4 * j] : rest[k - 4 * j];
            }
        }
    }
}

/* A block of sums has two rows of two: in each vector the first row's halves, or the second's. */
static inline void store_tile(float *c, int64_t ld_c, float32x4_t sum[ROWS / 2][COLS / 2],
                              int64_t n_rows, int64_t n_cols, float alpha, bool accumulate) {
    for (int i = 0; i < ROWS && i < n_rows; i++) {
        float32x4_t row[COLS / 4];
        UNROLL for (int j = 0; j < COLS / 4; j++) {
            const float64x2_t left = vreinterpretq_f64_f32(sum[i / 2][2 * j]);
            const float64x2_t right = vreinterpretq_f64_f32(sum[i / 2][2 * j + 1]);
            const float64x2_t both = i % 2 == 0 ? vzip1q_f64(left, right) : vzip2q_f64(left, right);
            row[j] = vmulq_n_f32(vreinterpretq_f32_f64(both), alpha);
        }
        store_row(c + i * ld_c, row, n_cols, accumulate);
    }
}

/* Two rows of A, four deep: from a panel, or where they lie. */
static ALWAYS_INLINE bfloat16x8_t load_rows(const bool in_place, const uint16_t *a, int64_t ld_a,
                                            int64_t d, int block) {
    if (!in_place) {
        return vreinterpretq_bf16_u16(vld1q_u16(a + d * ROWS + block * BLOCK));
    }
    const uint16_t *const row = a + 2 * block * ld_a + d;
    return vreinterpretq_bf16_u16(vcombine_u16(vld1_u16(row), vld1_u16(row + ld_a)));
}

/* in_place is a constant after inlining. */
static ALWAYS_INLINE void multiply_tile(const bool in_place, float *c, int64_t ld_c,
                                        const uint16_t *a, int64_t ld_a, const uint16_t *b,
                                        int64_t n_rows, int64_t n_cols, int64_t depth, float alpha,
                                        bool accumulate) {
    float32x4_t sum[ROWS / 2][COLS / 2];
    UNROLL for (int i = 0; i < ROWS / 2; i++) {
        UNROLL for (int j = 0; j < COLS / 2; j++) {
            sum[i][j] = vdupq_n_f32(0);
        }
    }
    for (int64_t d = 0; d < depth; d += STEP) {
        bfloat16x8_t rows[ROWS / 2];
        UNROLL for (int i = 0; i < ROWS / 2; i++) {
            rows[i] = load_rows(in_place, a, ld_a, d, i);
        }
        UNROLL for (int j = 0; j < COLS / 2; j++) {
            const bfloat16x8_t cols = vreinterpretq_bf16_u16(vld1q_u16(b + d * COLS + j * BLOCK));
            UNROLL for (int i = 0; i < ROWS / 2; i++) {
                sum[i][j] = vbfmmlaq_f32(sum[i][j], rows[i], cols);
            }
        }
    }
    store_tile(c, ld_c, sum, n_rows, n_cols, alpha, accumulate);
}

static void tile(float *c, int64_t ld_c, const void *a_panel, const void *b_panel, int64_t n_rows,
                 int64_t n_cols, int64_t depth, float alpha, bool accumulate) {
    multiply_tile(false, c, ld_c, a_panel, 0, b_panel, n_rows, n_cols, depth, alpha, accumulate);
}

static void tile_in_place(float *c, int64_t ld_c, const uint16_t *a, int64_t ld_a,
                          const void *b_panel, int64_t n_cols, int64_t depth, float alpha,
                          bool accumulate) {
    BT_ASSERT(depth % STEP == 0);
    multiply_tile(true, c, ld_c, a, ld_a, b_panel, ROWS, n_cols, depth, alpha, accumulate);
}

static void to_bf16(uint16_t *out, const float *in, int64_t n) {
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        vst1_u16(out + i, round_4(vld1q_f32(in + i)));
    }
    kern_to_bf16__ref(out + i, in + i, n - i);
}

void kern_override_bfmmla(bt_kern *kern) {
    kern->to_bf16 = to_bf16;
    kern_tiles16_bfdot(&kern->tiles16);
    kern->products[BT_PRECISION_BF16] = (bt_kern_product){.name = "bfloat16 (BFMMLA)",
                                                          .rows = ROWS,
                                                          .cols = COLS,
                                                          .depth = DEPTH,
                                                          .depth_step = STEP,
                                                          .element_bytes = sizeof(uint16_t),
                                                          .pack_a = pack_a,
                                                          .pack_b = pack_b,
                                                          .pack_a16 = pack_a16,
                                                          .pack_b16 = pack_b16,
                                                          .tile = tile,
                                                          .tile_in_place16 = tile_in_place};
}
