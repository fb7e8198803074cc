/* SPDX-License-Identifier: Apache-2.0
 *
 * Products in 8 bits with USMMLA, which multiplies two rows of unsigned bytes with two columns of
 * signed ones, eight deep: SMMLA's form for rows as they are. Built with its own flags: nothing
 * here may run before bt_kern_int8_choose has looked at the processor. */
#include "kern_int8_neon.h"
#include "kern_internal.h"

enum {
    ROWS = 8,
    COLS = 8,   /* in registers: a quarter of a panel */
    DEPTH = 16, /* bytes of a row in a vector: two blocks */
    PAIRS = ROWS / 2,
    BLOCKS = COLS / 2, /* of two columns */
};

/* Of two vectors their first halves, or their second ones. */
static inline uint8x16_t first_halves(uint8x16_t a, uint8x16_t b) {
    return vreinterpretq_u8_u64(vzip1q_u64(vreinterpretq_u64_u8(a), vreinterpretq_u64_u8(b)));
}
static inline uint8x16_t second_halves(uint8x16_t a, uint8x16_t b) {
    return vreinterpretq_u8_u64(vzip2q_u64(vreinterpretq_u64_u8(a), vreinterpretq_u64_u8(b)));
}

/* Eight deep of COLS columns. A panel has four columns four deep a vector; here a column's eight
 * bytes come together, two columns a vector. */
static inline void load_columns(int8x16_t cols[BLOCKS], const int8_t *b) {
    UNROLL for (int j = 0; j < BLOCKS; j += 2) {
        const int32x4_t low = vreinterpretq_s32_s8(vld1q_s8(b + 8 * j));
        const int32x4_t high = vreinterpretq_s32_s8(vld1q_s8(b + 8 * j + 4 * BT_KERN_INT8_COLS));
        cols[j] = vreinterpretq_s8_s32(vzip1q_s32(low, high));
        cols[j + 1] = vreinterpretq_s8_s32(vzip2q_s32(low, high));
    }
}

static inline void add_products(int32x4_t sum[BLOCKS], uint8x16_t rows,
                                const int8x16_t cols[BLOCKS]) {
    UNROLL for (int j = 0; j < BLOCKS; j++) {
        sum[j] = vusmmlaq_s32(sum[j], rows, cols[j]);
    }
}

/* A block of sums has two rows of two columns. */
static inline void store_sums(const bt_kern_int8_tile *t, int64_t first,
                              int32x4_t sum[PAIRS][BLOCKS]) {
    for (int64_t i = 0; i < t->n_rows; i++) {
        for (int64_t j = 0; j < BLOCKS && first + 2 * j < t->n_cols; j += 2) {
            const int64x2_t left = vreinterpretq_s64_s32(sum[i / 2][j]);
            const int64x2_t right = vreinterpretq_s64_s32(sum[i / 2][j + 1]);
            const int64x2_t row = i % 2 == 0 ? vzip1q_s64(left, right) : vzip2q_s64(left, right);
            kern_int8_store_neon(t, i, first + 2 * j, vreinterpretq_s32_s64(row));
        }
    }
}

static void multiply_quarter(const bt_kern_int8_tile *t, int64_t first) {
    int32x4_t sum[PAIRS][BLOCKS];
    UNROLL for (int i = 0; i < PAIRS; i++) {
        UNROLL for (int j = 0; j < BLOCKS; j++) {
            sum[i][j] = vdupq_n_s32(0);
        }
    }
    for (int64_t d = 0; d < t->depth; d += DEPTH) {
        const int8_t *const b = t->panel.weights + d * BT_KERN_INT8_COLS + 4 * first;
        int8x16_t           now[BLOCKS];
        int8x16_t           next[BLOCKS];
        load_columns(now, b);
        load_columns(next, b + 8 * BT_KERN_INT8_COLS);
        UNROLL for (int i = 0; i < PAIRS; i++) {
            const uint8x16_t upper = vld1q_u8(t->a + 2 * i * t->ld_a + d);
            const uint8x16_t lower = vld1q_u8(t->a + (2 * i + 1) * t->ld_a + d);
            add_products(sum[i], first_halves(upper, lower), now);
            add_products(sum[i], second_halves(upper, lower), next);
        }
    }
    store_sums(t, first, sum);
}

static void multiply(const bt_kern_int8_tile *t) {
    for (int64_t first = 0; first < t->n_cols; first += COLS) {
        multiply_quarter(t, first);
    }
}

const bt_kern_int8 kern_int8_mmla = {.name = "int8 (USMMLA)",
                                     .rows = ROWS,
                                     .panels = 1,
                                     .quantize = kern_int8_quantize_neon,
                                     .multiply = multiply};
