/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention's small products of bfloat16 pairs with AMX tiles, two by two where there are as many.
 * Sums are float32. Built with its own flags: nothing here may run before bt_kern_select has looked
 * at the processor. Tests build this file a second time, with a model in place of the instructions
 * (kern_amx_tiles.h). */
#include "kern_amx_tiles.h"
#include "kern_bf16.h"

enum { TILE = 16, DEPTH = BF16_DEPTH_STEP };

/* One to four tiles of C; two_rows and two_cols are constants after inlining. */
typedef struct block {
    float          *c;
    const uint16_t *left;
    const uint32_t *right;
    int64_t         row, width; /* numbers of a left row, words of a right one and floats of C's */
} block;

static ALWAYS_INLINE void start_sums(const bool two_rows, const bool two_cols, const block *b,
                                     bool accumulate) {
    const size_t bytes = (size_t)b->width * sizeof *b->c;
    float *const lower = b->c + TILE * b->width;
    if (!accumulate) {
        tile_zero(0);
        tile_zero(1);
        tile_zero(2);
        tile_zero(3);
        return;
    }
    tile_load(0, b->c, bytes);
    if (two_cols) {
        tile_load(1, b->c + TILE, bytes);
    }
    if (two_rows) {
        tile_load(2, lower, bytes);
    }
    if (two_rows && two_cols) {
        tile_load(3, lower + TILE, bytes);
    }
}

static ALWAYS_INLINE void store_sums(const bool two_rows, const bool two_cols, const block *b) {
    const size_t bytes = (size_t)b->width * sizeof *b->c;
    float *const lower = b->c + TILE * b->width;
    tile_store(0, b->c, bytes);
    if (two_cols) {
        tile_store(1, b->c + TILE, bytes);
    }
    if (two_rows) {
        tile_store(2, lower, bytes);
    }
    if (two_rows && two_cols) {
        tile_store(3, lower + TILE, bytes);
    }
}

static ALWAYS_INLINE void multiply(const bool two_rows, const bool two_cols, const block *b,
                                   bool accumulate) {
    const size_t left_bytes = (size_t)b->row * sizeof *b->left;
    const size_t right_bytes = (size_t)b->width * sizeof *b->right;
    start_sums(two_rows, two_cols, b, accumulate);
    for (int64_t k = 0; k < b->row; k += DEPTH) {
        const uint32_t *const right = b->right + k / 2 * b->width;
        tile_load(4, b->left + k, left_bytes);
        tile_load(6, right, right_bytes);
        tile_dot_bf16(0, 4, 6);
        if (two_cols) {
            tile_load(7, right + TILE, right_bytes);
            tile_dot_bf16(1, 4, 7);
        }
        if (two_rows) {
            tile_load(5, b->left + TILE * b->row + k, left_bytes);
            tile_dot_bf16(2, 5, 6);
        }
        if (two_rows && two_cols) {
            tile_dot_bf16(3, 5, 7);
        }
    }
    store_sums(two_rows, two_cols, b);
}

static void product_amx(float *c, const uint16_t *left, const uint32_t *right, int64_t M, int64_t N,
                        int64_t K, bool accumulate) {
    const int64_t row = bt_kern_tiles16_row(K);
    const int64_t width = bt_kern_tiles16_row(N);
    for (int64_t j = 0; j < N; j += 2 * TILE) {
        for (int64_t i = 0; i < M; i += 2 * TILE) {
            const block b = {c + i * width + j, left + i * row, right + j, row, width};
            const bool  two_rows = i + TILE < M;
            const bool  two_cols = j + TILE < N;
            if (two_rows && two_cols) {
                multiply(true, true, &b, accumulate);
            } else if (two_rows) {
                multiply(true, false, &b, accumulate);
            } else if (two_cols) {
                multiply(false, true, &b, accumulate);
            } else {
                multiply(false, false, &b, accumulate);
            }
        }
    }
}

static void start_amx(void) {
    tile_configure(&tile_config_whole);
}

static void stop_amx(void) {
    tile_release();
}

#ifdef BT_KERN_AMX_MODEL
void kern_tiles16_amx_model(bt_kern_tiles16 *out)
#else
void kern_tiles16_amx(bt_kern_tiles16 *out)
#endif
{
    out->name = "bfloat16 (AMX)";
    out->product = product_amx;
    out->start = start_amx;
    out->stop = stop_amx;
}
