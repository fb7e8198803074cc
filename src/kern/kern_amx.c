/* SPDX-License-Identifier: Apache-2.0
 *
 * Products of bfloat16 factors with AMX tiles. Sums are float32: they start as 0 or as what C has,
 * and take in 32 numbers of the summed dimension at a time, so the bits do not depend on where that
 * is cut into blocks. Built with its own flags: nothing here may run before bt_kern_select has
 * looked at the processor. Tests build this file a second time, with a model in place of the
 * instructions (kern_amx_tiles.h). */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>

#include "kern_amx_tiles.h"
#include "kern_bf16.h"

enum {
    ROWS = BF16_AMX_ROWS,
    COLS = BF16_COLS,
    WORDS = BF16_WORDS,
    /* the rows of A that a tile reads (20 KiB) stay in a first cache of 48 KiB while as much of B
     * goes past them */
    DEPTH = 320,
};

static void start_amx(void) {
    tile_configure(&tile_config_whole);
}

static void stop_amx(void) {
    tile_release();
}

/* Tiles 0 to 3: sums of the four quarters; 4, 5: rows of A; 6, 7: columns of B. Each is loaded for
 * the next step as soon as its last product of this one is under way. */
static ALWAYS_INLINE void multiply_steps(const unsigned char *a, size_t row_bytes,
                                         const uint32_t *b, size_t words) {
    const unsigned char *const lower = a + WORDS * row_bytes;
    const size_t               ld_b = COLS * sizeof *b;
    tile_load(4, a, row_bytes);
    tile_load(6, b, ld_b);
    tile_load(7, b + WORDS, ld_b);
    tile_load(5, lower, row_bytes);
    for (size_t p = WORDS; p < words; p += WORDS) {
        const uint32_t *const next_b = b + p * COLS;
        tile_dot_bf16(0, 4, 6);
        tile_dot_bf16(1, 4, 7);
        tile_load(4, a + p * sizeof *b, row_bytes);
        tile_dot_bf16(2, 5, 6);
        tile_load(6, next_b, ld_b);
        tile_dot_bf16(3, 5, 7);
        tile_load(7, next_b + WORDS, ld_b);
        tile_load(5, lower + p * sizeof *b, row_bytes);
    }
    tile_dot_bf16(0, 4, 6);
    tile_dot_bf16(1, 4, 7);
    tile_dot_bf16(2, 5, 6);
    tile_dot_bf16(3, 5, 7);
}

static void zero_sums(void) {
    tile_zero(0);
    tile_zero(1);
    tile_zero(2);
    tile_zero(3);
}

static void load_sums(const float *c, size_t row_bytes) {
    const float *const lower = c + WORDS * (row_bytes / sizeof *c);
    tile_load(0, c, row_bytes);
    tile_load(1, c + WORDS, row_bytes);
    tile_load(2, lower, row_bytes);
    tile_load(3, lower + WORDS, row_bytes);
}

static void store_sums(float *c, size_t row_bytes) {
    float *const lower = c + WORDS * (row_bytes / sizeof *c);
    tile_store(0, c, row_bytes);
    tile_store(1, c + WORDS, row_bytes);
    tile_store(2, lower, row_bytes);
    tile_store(3, lower + WORDS, row_bytes);
}

/* The n_rows x n_cols of a tile of C that exist, to or from a whole one. */
static void copy_sums(float *to, int64_t ld_to, const float *from, int64_t ld_from, int64_t n_rows,
                      int64_t n_cols) {
    for (int64_t i = 0; i < n_rows; i++) {
        for (int64_t j = 0; j < n_cols; j += WORDS) {
            const __mmask16 mask = bf16_first_lanes(n_cols - j);
            const __m512    x = _mm512_maskz_loadu_ps(mask, from + i * ld_from + j);
            _mm512_mask_storeu_ps(to + i * ld_to + j, mask, x);
        }
    }
}

/* C's own memory holds the sums where the tile lies in it as a whole, else memory beside it. */
static ALWAYS_INLINE void multiply(float *c, int64_t ld_c, const unsigned char *a, size_t row_bytes,
                                   const uint32_t *b, size_t words, int64_t n_rows, int64_t n_cols,
                                   float alpha, bool accumulate) {
    _Alignas(64) float sums[ROWS][COLS];
    const bool         is_whole = n_rows >= ROWS && n_cols >= COLS && alpha == 1;
    float *const       at = is_whole ? c : &sums[0][0];
    const size_t       at_bytes = is_whole ? (size_t)ld_c * sizeof *c : sizeof sums[0];
    const bool         goes_on = accumulate && alpha == 1;
    n_rows = n_rows < ROWS ? n_rows : ROWS;
    n_cols = n_cols < COLS ? n_cols : COLS;
    if (goes_on && !is_whole) {
        memset(sums, 0, sizeof sums);
        copy_sums(at, COLS, c, ld_c, n_rows, n_cols);
    }
    if (goes_on) {
        load_sums(at, at_bytes);
    } else {
        zero_sums();
    }
    multiply_steps(a, row_bytes, b, words);
    store_sums(at, at_bytes);
    if (goes_on && !is_whole) {
        copy_sums(c, ld_c, at, COLS, n_rows, n_cols);
        return;
    }
    const __m512 alpha_v = _mm512_set1_ps(alpha);
    for (int64_t i = 0; i < n_rows && !is_whole; i++) {
        bf16_store_row(c + i * ld_c, _mm512_load_ps(&sums[i][0]), _mm512_load_ps(&sums[i][WORDS]),
                       n_cols, alpha_v, accumulate);
    }
}

static void tile_amx(float *c, int64_t ld_c, const void *a_panel, const void *b_panel,
                     int64_t n_rows, int64_t n_cols, int64_t depth, float alpha, bool accumulate) {
    const size_t words = (size_t)bf16_padded(depth) / 2;
    multiply(c, ld_c, a_panel, words * sizeof(uint32_t), b_panel, words, n_rows, n_cols, alpha,
             accumulate);
}

static void tile_amx_in_place(float *c, int64_t ld_c, const uint16_t *a, int64_t ld_a,
                              const void *b_panel, int64_t n_cols, int64_t depth, float alpha,
                              bool accumulate) {
    BT_ASSERT(depth % BF16_DEPTH_STEP == 0);
    multiply(c, ld_c, (const unsigned char *)a, (size_t)ld_a * sizeof *a, b_panel,
             (size_t)depth / 2, ROWS, n_cols, alpha, accumulate);
}

static const bt_kern_product product = {.name = "bfloat16 (AMX)",
                                        .rows = ROWS,
                                        .cols = COLS,
                                        .depth = DEPTH,
                                        .depth_step = BF16_DEPTH_STEP,
                                        .element_bytes = sizeof(uint16_t),
                                        .pack_a = bf16_pack_a_amx,
                                        .pack_b = bf16_pack_b,
                                        .pack_a16 = bf16_pack16_a_amx,
                                        .pack_b16 = bf16_pack16_b,
                                        .start = start_amx,
                                        .stop = stop_amx,
                                        .tile = tile_amx,
                                        .tile_in_place16 = tile_amx_in_place};

#ifdef BT_KERN_AMX_MODEL
void kern_override_amx_model(bt_kern *kern) {
    kern_tiles16_amx_model(&kern->tiles16);
    kern->products[BT_PRECISION_BF16] = product;
    kern->products[BT_PRECISION_BF16].name = "bfloat16 (model of AMX)";
}
#else
void kern_override_amx(bt_kern *kern) {
    kern_tiles16_amx(&kern->tiles16);
    kern->products[BT_PRECISION_BF16] = product;
}

/* The kernel gives a process its tiles on request (Linux, Documentation/arch/x86/xstate.rst). */
bool kern_request_amx(void) {
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}
#endif
