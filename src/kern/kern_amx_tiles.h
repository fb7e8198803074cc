/* SPDX-License-Identifier: Apache-2.0
 *
 * The instructions of AMX that our kernels use: tiles of up to 16 rows of up to 64 bytes. Tile
 * numbers are literals 0 to 7.
 *
 * With BT_KERN_AMX_MODEL they are a model in plain C instead, so that tests run the kernels on
 * processors without AMX (test_kern_amx_model). It follows Intel's description of each instruction
 * (Software Developer's Manual, volume 2) and checks what the processor would fault on. It is as
 * exact as that description: TDPBF16PS adds the products of even and of odd elements of a row's
 * pairs in two sums, by fused multiply-adds, adds those two, then adds that to the destination;
 * each step is rounded to the nearest, ties to even, and subnormal numbers are 0 on the way in and
 * out, whatever MXCSR says. */
#ifndef BT_KERN_AMX_TILES_H
#define BT_KERN_AMX_TILES_H

#include <stdint.h>

enum { TILE_ROWS_MAX = 16, TILE_BYTES_MAX = 64 };

/* What LDTILECFG reads. */
typedef struct tile_config {
    uint8_t  palette; /* 1 */
    uint8_t  start_row;
    uint8_t  reserved[14];
    uint16_t row_bytes[16]; /* of tiles 0 to 7; the rest is 0 */
    uint8_t  rows[16];
} tile_config;

/* All eight tiles as large as they can be. */
static const tile_config tile_config_whole = {.palette = 1,
                                              .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
                                              .rows = {16, 16, 16, 16, 16, 16, 16, 16}};

#ifndef BT_KERN_AMX_MODEL
#include <immintrin.h>

/* gcc's intrinsics do not say that they read memory: what is written there must be there before. */
#define TILE_READS(call)                                                                           \
    do {                                                                                           \
        __asm__ volatile("" ::: "memory");                                                         \
        call;                                                                                      \
    } while (0)
#define tile_configure(config) TILE_READS(_tile_loadconfig(config))
#define tile_release() _tile_release()
#define tile_zero(t) _tile_zero(t)
#define tile_load(t, from, row_bytes) TILE_READS(_tile_loadd(t, from, row_bytes))
#define tile_store(t, to, row_bytes) _tile_stored(t, to, row_bytes)
#define tile_dot_bf16(c, a, b) _tile_dpbf16ps(c, a, b)
#define tile_dot_int8(c, a, b) _tile_dpbusd(c, a, b) /* a: without sign, b: with one */

#else
#include <float.h>
#include <math.h>
#include <string.h>

#include "bt/base/bf16.h"
#include "bt/base/status.h"

static _Thread_local struct {
    tile_config config;
    uint8_t     bytes[8][TILE_ROWS_MAX][TILE_BYTES_MAX];
} tiles;

static inline void tile_configure(const tile_config *config) {
    BT_ASSERT(config->palette == 1 && config->start_row == 0);
    for (int t = 0; t < 16; t++) {
        BT_ASSERT(t < 8 || (config->rows[t] == 0 && config->row_bytes[t] == 0));
        BT_ASSERT(config->rows[t] <= TILE_ROWS_MAX && config->row_bytes[t] <= TILE_BYTES_MAX);
        BT_ASSERT(config->row_bytes[t] % 4 == 0);
    }
    memset(&tiles, 0, sizeof tiles);
    tiles.config = *config;
}

static inline void tile_release(void) {
    memset(&tiles, 0, sizeof tiles);
}

static inline void tile_zero(int t) {
    BT_ASSERT(tiles.config.palette == 1 && tiles.config.rows[t] > 0);
    memset(tiles.bytes[t], 0, sizeof tiles.bytes[t]);
}

static inline void tile_load(int t, const void *from, size_t row_bytes) {
    tile_zero(t);
    for (size_t r = 0; r < tiles.config.rows[t]; r++) {
        memcpy(tiles.bytes[t][r], (const uint8_t *)from + r * row_bytes, tiles.config.row_bytes[t]);
    }
}

static inline void tile_store(int t, void *to, size_t row_bytes) {
    BT_ASSERT(tiles.config.palette == 1 && tiles.config.rows[t] > 0);
    for (size_t r = 0; r < tiles.config.rows[t]; r++) {
        memcpy((uint8_t *)to + r * row_bytes, tiles.bytes[t][r], tiles.config.row_bytes[t]);
    }
}

static inline float tile_flush(float x) {
    return fabsf(x) < FLT_MIN ? copysignf(0, x) : x;
}

/* Of one row of A, [k][2], and B, [k][n][2]. */
static inline void tile_dot_row(float *sums, const uint16_t *row,
                                const uint8_t cols[][TILE_BYTES_MAX], int n_k, int n_cols) {
    float even[TILE_BYTES_MAX / 4] = {0};
    float odd[TILE_BYTES_MAX / 4] = {0};
    for (int k = 0; k < n_k; k++) {
        uint16_t    pairs[TILE_BYTES_MAX / 2];
        const float a_0 = tile_flush(bt_bf16_widen(row[2 * k]));
        const float a_1 = tile_flush(bt_bf16_widen(row[2 * k + 1]));
        memcpy(pairs, cols[k], sizeof pairs);
        for (int n = 0; n < n_cols; n++) {
            even[n] = tile_flush(fmaf(a_0, tile_flush(bt_bf16_widen(pairs[2 * n])), even[n]));
            odd[n] = tile_flush(fmaf(a_1, tile_flush(bt_bf16_widen(pairs[2 * n + 1])), odd[n]));
        }
    }
    for (int n = 0; n < n_cols; n++) {
        sums[n] = tile_flush(tile_flush(sums[n]) + tile_flush(even[n] + odd[n]));
    }
}

/* What the processor wants of three tiles. */
static inline const tile_config *tile_check_dot(int to, int rows, int cols) {
    const tile_config *const config = &tiles.config;
    BT_ASSERT(config->palette == 1 && to != rows && to != cols && rows != cols);
    BT_ASSERT(config->rows[to] == config->rows[rows] &&
              config->row_bytes[to] == config->row_bytes[cols]);
    BT_ASSERT(config->row_bytes[rows] / 4 == config->rows[cols]);
    return config;
}

static inline void tile_dot_bf16(int to, int rows, int cols) {
    const tile_config *const config = tile_check_dot(to, rows, cols);
    for (int m = 0; m < config->rows[to]; m++) {
        uint16_t row[TILE_BYTES_MAX / 2];
        float    sums[TILE_BYTES_MAX / 4];
        memcpy(row, tiles.bytes[rows][m], sizeof row);
        memcpy(sums, tiles.bytes[to][m], sizeof sums);
        tile_dot_row(sums, row, (const uint8_t(*)[TILE_BYTES_MAX])tiles.bytes[cols],
                     config->row_bytes[rows] / 4, config->row_bytes[to] / 4);
        memcpy(tiles.bytes[to][m], sums, sizeof sums);
    }
}

/* TDPBUSD: four bytes without sign times four with one, added up in 32 bits. */
static inline void tile_dot_int8(int to, int rows, int cols) {
    const tile_config *const config = tile_check_dot(to, rows, cols);
    for (int m = 0; m < config->rows[to]; m++) {
        int32_t sums[TILE_BYTES_MAX / 4];
        memcpy(sums, tiles.bytes[to][m], sizeof sums);
        for (int d = 0; d < config->row_bytes[rows]; d++) {
            const uint8_t *const col = tiles.bytes[cols][d / 4];
            for (int n = 0; n < config->row_bytes[to] / 4; n++) {
                sums[n] += tiles.bytes[rows][m][d] * (int8_t)col[4 * n + d % 4];
            }
        }
        memcpy(tiles.bytes[to][m], sums, sizeof sums);
    }
}
#endif

#endif
