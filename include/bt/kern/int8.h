/* SPDX-License-Identifier: Apache-2.0
 *
 * kern, int8: products of rows rounded to 8 bits as they come with weights rounded to 8 bits
 * beforehand. What is multiplied are integers, and their sums are exact; what makes floats of them
 * is a fixed sequence of single operations. So every variant gives the same bits, on every machine.
 *
 * A row: low = min(0, its numbers), high = max(0, its numbers), step = (high - low) / 255,
 *   zero = rint(-low * (255 / (high - low))), q = min(255, rint(x * (255 / (high - low))) + zero):
 *   uint8, 0 among the steps. A row whose numbers are all smaller than 1e-30 is 0. A row with a
 *   number that is not finite, or whose range is none, has NaN for its step: so is what comes out.
 * A column of weights: step = largest |w| / 127 (1 where all are 0), q = rint(w / step): int8 from
 *   -127 to 127, as the export in 8 bits has them (docs/guide/export.md).
 * A result: n = sum of q_row * q_column - zero * (sum of q_column), exact in 32 bits up to
 *   BT_KERN_INT8_MAX_DEPTH; ((float)n * row step) * column step + bias, or added to what is there.
 *
 * To add a variant (another instruction set): fill a bt_kern_int8 in a file of its own with its own
 * flags (src/kern/CMakeLists.txt), declare it in kern_internal.h and give it a row in `variants` of
 * kern_int8.c, the better ones last: tests/unit/kern/test_kern_int8.c takes each row of that table
 * that the machine can run through everything, against the portable one. Panels are the same for
 * all variants: BT_KERN_INT8_COLS columns of four consecutive depths each, filled up with 0 to a
 * multiple of BT_KERN_INT8_DEPTH_STEP: what SDOT, USDOT, VPDPBUSD and an AMX tile read as it lies.
 * One that multiplies signed by signed numbers (SDOT, SMMLA) subtracts 128 from a row's bytes and
 * adds 128 * (sum of q_column) to the sum: the integers stay the same. */
#ifndef BT_KERN_INT8_H
#define BT_KERN_INT8_H

#include "bt/base/status.h"

enum {
    BT_KERN_INT8_COLS = 32,       /* of a panel */
    BT_KERN_INT8_DEPTH_STEP = 64, /* of panels and rows */
    BT_KERN_INT8_MAX_DEPTH = 1 << 16,
};

/* What a row's bytes mean: (q - zero) * step. */
typedef struct bt_kern_int8_row {
    float   step;
    int32_t zero;
} bt_kern_int8_row;

/* A panel: the weights of 32 columns, those beyond the last one 0; or several, one after another.
 */
typedef struct bt_kern_int8_panel {
    const int8_t  *weights; /* [panels][depth / 4][32][4] */
    const int32_t *sums;    /* [panels][32] of a column's weights */
    const float   *steps;   /* [panels][32] */
    const float   *bias;    /* [panels][32] */
} bt_kern_int8_panel;

/* Rows and a panel, or as many as the kernel takes. */
typedef struct bt_kern_int8_tile {
    float                  *c; /* [n_rows, n_cols], written or added to */
    int64_t                 ld_c;
    const uint8_t          *a; /* [the kernel's rows, ld_a]: all of them are read */
    int64_t                 ld_a;
    const bt_kern_int8_row *rows;
    bt_kern_int8_panel      panel;
    int64_t n_rows, n_cols; /* 1 to the kernel's rows, to 32 of each of its panels */
    int64_t depth;          /* a multiple of BT_KERN_INT8_DEPTH_STEP */
    bool    accumulate;
} bt_kern_int8_tile;

typedef struct bt_kern_int8 {
    const char *name;         /* "int8 (AVX512_VNNI)" */
    int64_t     rows, panels; /* of a tile at most */
    /* Called by a thread before its first tile and after its last one; or NULL. */
    void (*start)(void);
    void (*stop)(void);
    /* n numbers into q [n], and 0 after them up to a multiple of BT_KERN_INT8_DEPTH_STEP. */
    void (*quantize)(uint8_t *q, bt_kern_int8_row *row, const float *in, int64_t n);
    void (*multiply)(const bt_kern_int8_tile *tile);
} bt_kern_int8;

/* The best one of an instruction set ("ref", "avx2", "avx512", "neon") that this machine runs.
 * Static. */
const bt_kern_int8 *bt_kern_int8_choose(const char *isa);
/* The i-th (0, 1, ...) that this machine can run, whatever the instruction set; NULL: there is no
 * such i. For tests. */
const bt_kern_int8 *bt_kern_int8_variant(int i);

static inline int64_t bt_kern_int8_depth(int64_t n) {
    return (n + BT_KERN_INT8_DEPTH_STEP - 1) / BT_KERN_INT8_DEPTH_STEP * BT_KERN_INT8_DEPTH_STEP;
}

/* The columns [0, n_cols) of w [K, ld], n_cols <= 32, as a panel: weights [depth * 32], sums, steps
 * [32]. false: one of the numbers is not finite, and nothing is promised of the panel. */
BT_MUST_USE bool bt_kern_int8_pack(int8_t *weights, int32_t *sums, float *steps, const float *w,
                                   int64_t ld, int64_t K, int64_t n_cols);

#endif
