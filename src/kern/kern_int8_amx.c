/* SPDX-License-Identifier: Apache-2.0
 *
 * Products in 8 bits with AMX tiles: sixteen rows by sixteen columns by 64 bytes an instruction.
 * Built with its own flags: nothing here may run before kern_has_amx_int8 has looked at the
 * processor. Tests build this file a second time, with a model in place of the instructions
 * (kern_amx_tiles.h). */
#include "kern_amx_tiles.h"
#include "kern_int8_avx512.h"
#include "kern_internal.h"

enum {
    HALF = 16, /* rows, and columns, of a tile */
    ROWS = 2 * HALF,
    COLS = BT_KERN_INT8_COLS,
    DEPTH = TILE_BYTES_MAX,
};

static void start(void) {
    static const tile_config config = {.palette = 1,
                                       .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
                                       .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
    tile_configure(&config);
}

static void stop(void) {
    tile_release();
}

/* Tiles 0 to 3: sums of the four quarters; 4, 5: rows of A; 6, 7: columns of B, of which a row is
 * four bytes of depth in sixteen columns. Each is loaded for the next step as soon as its last
 * product of this one is under way. */
static void multiply_32(int32_t sums[ROWS][COLS], const bt_kern_int8_tile *t) {
    const size_t         ld_a = (size_t)t->ld_a;
    const size_t         ld_b = COLS * 4;
    const uint8_t *const a = t->a;
    const uint8_t *const lower = a + HALF * t->ld_a;
    const int8_t *const  b = t->panel.weights;
    tile_zero(0);
    tile_zero(1);
    tile_zero(2);
    tile_zero(3);
    tile_load(4, a, ld_a);
    tile_load(6, b, ld_b);
    tile_load(7, b + DEPTH, ld_b);
    tile_load(5, lower, ld_a);
    for (int64_t d = DEPTH; d < t->depth; d += DEPTH) {
        const int8_t *const next_b = b + d * COLS;
        tile_dot_int8(0, 4, 6);
        tile_dot_int8(1, 4, 7);
        tile_load(4, a + d, ld_a);
        tile_dot_int8(2, 5, 6);
        tile_load(6, next_b, ld_b);
        tile_dot_int8(3, 5, 7);
        tile_load(7, next_b + DEPTH, ld_b);
        tile_load(5, lower + d, ld_a);
    }
    tile_dot_int8(0, 4, 6);
    tile_dot_int8(1, 4, 7);
    tile_dot_int8(2, 5, 6);
    tile_dot_int8(3, 5, 7);
    tile_store(0, &sums[0][0], sizeof sums[0]);
    tile_store(1, &sums[0][HALF], sizeof sums[0]);
    tile_store(2, &sums[HALF][0], sizeof sums[0]);
    tile_store(3, &sums[HALF][HALF], sizeof sums[0]);
}

/* The upper half alone. */
static void multiply_16(int32_t sums[ROWS][COLS], const bt_kern_int8_tile *t) {
    const size_t ld_b = COLS * 4;
    tile_zero(0);
    tile_zero(1);
    for (int64_t d = 0; d < t->depth; d += DEPTH) {
        tile_load(4, t->a + d, (size_t)t->ld_a);
        tile_load(6, t->panel.weights + d * COLS, ld_b);
        tile_load(7, t->panel.weights + d * COLS + DEPTH, ld_b);
        tile_dot_int8(0, 4, 6);
        tile_dot_int8(1, 4, 7);
    }
    tile_store(0, &sums[0][0], sizeof sums[0]);
    tile_store(1, &sums[0][HALF], sizeof sums[0]);
}

static void multiply(const bt_kern_int8_tile *t) {
    _Alignas(64) int32_t    sums[ROWS][COLS];
    const kern_int8_columns columns = kern_int8_columns_of(t);
    if (t->n_rows > HALF) {
        multiply_32(sums, t);
    } else {
        multiply_16(sums, t);
    }
    for (int64_t i = 0; i < t->n_rows; i++) {
        kern_int8_store_512(t, &columns, i, _mm512_load_si512(&sums[i][0]),
                            _mm512_load_si512(&sums[i][HALF]));
    }
}

#ifdef BT_KERN_AMX_MODEL
#define kern_int8_amx kern_int8_amx_model
#define NAME "int8 (model of AMX)"
extern const bt_kern_int8 kern_int8_amx_model;
#else
#define NAME "int8 (AMX)"
#endif
const bt_kern_int8 kern_int8_amx = {.name = NAME,
                                    .rows = ROWS,
                                    .panels = 1,
                                    .start = start,
                                    .stop = stop,
                                    .quantize = kern_int8_quantize_512,
                                    .multiply = multiply};
