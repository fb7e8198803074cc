/* SPDX-License-Identifier: Apache-2.0
 *
 * The portable product kernel for factors rounded to bfloat16 or float16, and the rounding itself.
 * In float32 the portable kernels leave large matrix products to BLAS. */
#include <math.h>
#include <string.h>

#include "bt/base/bf16.h"
#include "kern_internal.h"

enum { ROWS = 4, COLS = 8, DEPTH = 256, WIDENED_DEPTH = 64 };

void kern_round_to_bf16(float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        x[i] = bt_bf16_widen(bt_bf16_round(x[i]));
    }
}

void kern_to_bf16__ref(uint16_t *out, const float *in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = bt_bf16_round(in[i]);
    }
}

void kern_from_bf16__ref(float *out, const uint16_t *in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = bt_bf16_widen(in[i]);
    }
}

/* The rows or columns of one panel, some steps of the summed dimension at a time. */
static void pack_panel_widened(kern_pack_fn *pack, int64_t width, float *panel, const uint16_t *x,
                               int64_t wide_step, int64_t deep_step, int64_t n_there,
                               int64_t depth) {
    float         wide[KERN_MAX_WIDTH * WIDENED_DEPTH];
    const int64_t n_wide = n_there < width ? n_there : width;
    for (int64_t first = 0; first < depth; first += WIDENED_DEPTH) {
        const int64_t n_deep = depth - first < WIDENED_DEPTH ? depth - first : WIDENED_DEPTH;
        const bool    is_deep = deep_step == 1; /* consecutive in memory */
        const int64_t n_rows = is_deep ? n_wide : n_deep;
        const int64_t ld = is_deep ? WIDENED_DEPTH : KERN_MAX_WIDTH;
        for (int64_t i = 0; i < n_rows; i++) {
            const uint16_t *const row =
                x + first * deep_step + i * (is_deep ? wide_step : deep_step);
            kern_from_bf16__ref(wide + i * ld, row, is_deep ? n_deep : n_wide);
        }
        pack(panel + first * width, wide, is_deep ? ld : 1, is_deep ? 1 : ld, n_wide, n_wide,
             n_deep);
    }
}

void kern_pack_widened(kern_pack_fn *pack, int64_t width, void *panels, const uint16_t *x,
                       int64_t wide_step, int64_t deep_step, int64_t n_wide, int64_t n_there,
                       int64_t depth) {
    BT_ASSERT(width <= KERN_MAX_WIDTH);
    for (int64_t w = 0; w < n_wide; w += width) {
        pack_panel_widened(pack, width, (float *)panels + w * depth, x + w * wide_step, wide_step,
                           deep_step, n_there - w, depth);
    }
}

/* To the nearest, ties to even. A float16 has 11 digits, the last of them worth 2^-24 at least;
 * from 65520 on it is infinite. */
static float round_to_f16(float x) {
    static const float first_infinite = 65520.0F;
    static const float smallest_normal = 0x1p-14F;
    const float        size = fabsf(x);
    if (size >= first_infinite || isnan(x)) {
        return x * INFINITY;
    }
    if (size < smallest_normal) { /* in [0.5,1) a float's last digit is worth 2^-24 */
        return copysignf((size + 0.5F) - 0.5F, x);
    }
    uint32_t bits;
    memcpy(&bits, &size, sizeof bits);
    bits = (bits + UINT32_C(0xFFF) + ((bits >> 13) & 1)) & UINT32_C(0xFFFFE000);
    float rounded;
    memcpy(&rounded, &bits, sizeof rounded);
    return copysignf(rounded, x);
}

static void round_all_to_f16(float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        x[i] = round_to_f16(x[i]);
    }
}

typedef void (*round_fn)(float *x, int64_t n);

static void pack(float *panels, int64_t width, const float *x, int64_t wide_step, int64_t deep_step,
                 int64_t n_wide, int64_t n_there, int64_t depth, round_fn round) {
    for (int64_t first = 0; first < n_wide; first += width) {
        float *const panel = panels + first * depth;
        for (int64_t d = 0; d < depth; d++) {
            for (int64_t w = 0; w < width; w++) {
                panel[d * width + w] =
                    first + w < n_there ? x[(first + w) * wide_step + d * deep_step] : 0;
            }
        }
        round(panel, width * depth);
    }
}

static void pack_a_bf16(void *panels, const float *x, int64_t wide_step, int64_t deep_step,
                        int64_t n_wide, int64_t n_there, int64_t depth) {
    pack(panels, ROWS, x, wide_step, deep_step, n_wide, n_there, depth, kern_round_to_bf16);
}

static void pack_b_bf16(void *panels, const float *x, int64_t wide_step, int64_t deep_step,
                        int64_t n_wide, int64_t n_there, int64_t depth) {
    pack(panels, COLS, x, wide_step, deep_step, n_wide, n_there, depth, kern_round_to_bf16);
}

static void pack_a16(void *panels, const uint16_t *x, int64_t wide_step, int64_t deep_step,
                     int64_t n_wide, int64_t n_there, int64_t depth) {
    kern_pack_widened(pack_a_bf16, ROWS, panels, x, wide_step, deep_step, n_wide, n_there, depth);
}

static void pack_b16(void *panels, const uint16_t *x, int64_t wide_step, int64_t deep_step,
                     int64_t n_wide, int64_t n_there, int64_t depth) {
    kern_pack_widened(pack_b_bf16, COLS, panels, x, wide_step, deep_step, n_wide, n_there, depth);
}

static void pack_a_f16(void *panels, const float *x, int64_t wide_step, int64_t deep_step,
                       int64_t n_wide, int64_t n_there, int64_t depth) {
    pack(panels, ROWS, x, wide_step, deep_step, n_wide, n_there, depth, round_all_to_f16);
}

static void pack_b_f16(void *panels, const float *x, int64_t wide_step, int64_t deep_step,
                       int64_t n_wide, int64_t n_there, int64_t depth) {
    pack(panels, COLS, x, wide_step, deep_step, n_wide, n_there, depth, round_all_to_f16);
}

static void tile(float *c, int64_t ld_c, const void *a_panel, const void *b_panel, int64_t n_rows,
                 int64_t n_cols, int64_t depth, float alpha, bool accumulate) {
    const float *const a = a_panel;
    const float *const b = b_panel;
    float              sum[ROWS][COLS] = {{0}};
    for (int64_t d = 0; d < depth; d++) {
        for (int i = 0; i < ROWS; i++) {
            for (int j = 0; j < COLS; j++) {
                sum[i][j] += a[d * ROWS + i] * b[d * COLS + j];
            }
        }
    }
    for (int i = 0; i < ROWS && i < n_rows; i++) {
        for (int j = 0; j < COLS && j < n_cols; j++) {
            float *const c_ij = c + i * ld_c + j;
            *c_ij = alpha * sum[i][j] + (accumulate ? *c_ij : 0);
        }
    }
}

const bt_kern_product bt_kern_product_bf16__ref = {.name = "bfloat16 by rounding",
                                                   .rows = ROWS,
                                                   .cols = COLS,
                                                   .depth = DEPTH,
                                                   .depth_step = 1,
                                                   .element_bytes = sizeof(float),
                                                   .pack_a = pack_a_bf16,
                                                   .pack_b = pack_b_bf16,
                                                   .pack_a16 = pack_a16,
                                                   .pack_b16 = pack_b16,
                                                   .tile = tile};

const bt_kern_product bt_kern_product_f16__ref = {.name = "float16 by rounding",
                                                  .rows = ROWS,
                                                  .cols = COLS,
                                                  .depth = DEPTH,
                                                  .depth_step = 1,
                                                  .element_bytes = sizeof(float),
                                                  .pack_a = pack_a_f16,
                                                  .pack_b = pack_b_f16,
                                                  .tile = tile};
