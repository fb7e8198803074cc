/* SPDX-License-Identifier: Apache-2.0
 *
 * Products in 8 bits with SDOT, whose dot products of four bytes add up in 32 bits. Both factors
 * are signed: 128 is subtracted from a row's bytes, and 128 times the sum of a column is where its
 * sum begins. Built with its own flags: nothing here may run before bt_kern_int8_choose has looked
 * at the processor. */
#include "kern_int8_neon.h"
#include "kern_internal.h"

enum {
    ROWS = 6,
    COLS = 16, /* in registers: half a panel */
    VECTORS = COLS / 4,
    DEPTH = 16, /* bytes of a row in a vector: four times four */
};

/* Four deep: each row's bytes `lane` with the weights of COLS columns. */
#define ADD_PRODUCTS(lane)                                                                         \
    UNROLL for (int j = 0; j < VECTORS; j++) {                                                     \
        const int8x16_t w = vld1q_s8(b + (lane)*4 * BT_KERN_INT8_COLS + 16 * j);                   \
        UNROLL for (int i = 0; i < ROWS; i++) {                                                    \
            sum[i][j] = vdotq_laneq_s32(sum[i][j], w, rows[i], lane);                              \
        }                                                                                          \
    }

static void multiply_half(const bt_kern_int8_tile *t, int64_t first) {
    int32x4_t sum[ROWS][VECTORS];
    int8x16_t rows[ROWS];
    UNROLL for (int j = 0; j < VECTORS; j++) {
        const int32x4_t begin = vshlq_n_s32(vld1q_s32(t->panel.sums + first + 4 * j), 7);
        UNROLL for (int i = 0; i < ROWS; i++) {
            sum[i][j] = begin;
        }
    }
    for (int64_t d = 0; d < t->depth; d += DEPTH) {
        const int8_t *const b = t->panel.weights + d * BT_KERN_INT8_COLS + 4 * first;
        UNROLL for (int i = 0; i < ROWS; i++) {
            const uint8x16_t bytes = vld1q_u8(t->a + i * t->ld_a + d);
            rows[i] = vreinterpretq_s8_u8(veorq_u8(bytes, vdupq_n_u8(0x80)));
        }
        ADD_PRODUCTS(0)
        ADD_PRODUCTS(1)
        ADD_PRODUCTS(2)
        ADD_PRODUCTS(3)
    }
    UNROLL for (int i = 0; i < ROWS; i++) {
        for (int j = 0; i < t->n_rows && j < VECTORS && first + 4 * j < t->n_cols; j++) {
            kern_int8_store_neon(t, i, first + 4 * j, sum[i][j]);
        }
    }
}

static void multiply(const bt_kern_int8_tile *t) {
    for (int64_t first = 0; first < t->n_cols; first += COLS) {
        multiply_half(t, first);
    }
}

const bt_kern_int8 kern_int8_dot = {.name = "int8 (SDOT)",
                                    .rows = ROWS,
                                    .panels = 1,
                                    .quantize = kern_int8_quantize_neon,
                                    .multiply = multiply};
