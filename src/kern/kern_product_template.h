/* SPDX-License-Identifier: Apache-2.0
 *
 * Large matrix products in packed panels, for one instruction set; included after
 * kern_simd_template.h by a file that defines PRODUCT_ROWS and PRODUCT_DEPTH. A tile of C,
 * PRODUCT_ROWS x 2 vectors, stays in registers while a panel of A (broadcast) and one of B
 * (vectors) stream past: K. Goto, R. van de Geijn, "Anatomy of high-performance matrix
 * multiplication", ACM TOMS 34(3), 2008. */

enum { PRODUCT_COLS = 2 * LANES, PREFETCH_ROWS = 12, LINE_FLOATS = 16, PACK_ROWS = 32 };

/* Consecutive d in memory: panel[d][w] = x(w,d), in eights. Rows beyond n_wide repeat the last one:
 * no tile stores what comes of them. Stores of eight run over into the next row of the panel, which
 * is written later: so w descends, d ascends, and the last rows are stored one by one. */
static void pack_across(float *panel, int64_t width, const float *x, int64_t wide_step,
                        int64_t n_wide, int64_t depth) {
    const int64_t last = n_wide - 1;
    int64_t       d = 0;
    for (; d + 8 < depth; d += 8) {
        for (int64_t w = (width - 1) / 8 * 8; w >= 0; w -= 8) {
            const float *rows[8];
            UNROLL for (int64_t i = 0; i < 8; i++) {
                rows[i] = x + (w + i < last ? w + i : last) * wide_step + d;
            }
            transpose_8_rows(panel + d * width + w, width, rows);
        }
    }
    for (; d < depth; d++) {
        for (int64_t w = 0; w < width; w++) {
            panel[d * width + w] = x[(w < last ? w : last) * wide_step + d];
        }
    }
}

/* Consecutive w in memory: one row of the panel. */
static inline void pack_row(float *panel, int64_t width, const float *x, int64_t n_wide,
                            bool may_run_over) {
    for (int64_t w = 0; w < width; w += LANES) {
        const int64_t there = n_wide - w < 0 ? 0 : n_wide - w;
        const int64_t room = width - w;
        const vm      from = there >= LANES ? v_whole() : v_mask(there);
        const vm      to = room >= LANES || may_run_over ? v_whole() : v_mask(room);
        v_store(panel + w, to, v_load(x + w, from));
    }
}

/* Whole vectors as long as the next row repairs what they run over. */
static void pack_along(float *panel, int64_t width, const float *x, int64_t deep_step,
                       int64_t n_there, int64_t first, int64_t end, int64_t depth) {
    const bool whole = (width + LANES - 1) / LANES * LANES <= n_there;
    for (int64_t d = first; d < end; d++) {
        if (whole && d + 1 < depth) {
            for (int64_t w = 0; w < width; w += LANES) {
                v_store(panel + d * width + w, v_whole(), v_load(x + d * deep_step + w, v_whole()));
            }
        } else {
            pack_row(panel + d * width, width, x + d * deep_step, n_there, d + 1 < depth);
        }
    }
}

/* Where rows are copied, some rows of all panels come before the next rows: memory likes a few
 * long streams better than many short pieces. */
static void pack_panels(float *panels, int64_t width, const float *x, int64_t wide_step,
                        int64_t deep_step, int64_t n_wide, int64_t n_there, int64_t depth) {
    BT_ASSERT(wide_step == 1 || deep_step == 1);
    const int64_t rows = wide_step == 1 ? PACK_ROWS : depth;
    for (int64_t d = 0; d < depth; d += rows) {
        const int64_t end = d + rows < depth ? d + rows : depth;
        for (int64_t w = 0; w < n_wide; w += width) {
            if (wide_step == 1) {
                pack_along(panels + w * depth, width, x + w, deep_step, n_there - w, d, end, depth);
            } else {
                pack_across(panels + w * depth, width, x + w * wide_step, wide_step, n_there - w,
                            depth);
            }
        }
    }
}

static void SIMD(product_pack_a)(void *panels, const float *x, int64_t wide_step, int64_t deep_step,
                                 int64_t n_wide, int64_t n_there, int64_t depth) {
    pack_panels(panels, PRODUCT_ROWS, x, wide_step, deep_step, n_wide, n_there, depth);
}

static void SIMD(product_pack_b)(void *panels, const float *x, int64_t wide_step, int64_t deep_step,
                                 int64_t n_wide, int64_t n_there, int64_t depth) {
    pack_panels(panels, PRODUCT_COLS, x, wide_step, deep_step, n_wide, n_there, depth);
}

/* bfloat16 where the processor has no such products: the same numbers in float32. */
static void SIMD(product_pack_a_bf16)(void *panels, const float *x, int64_t wide_step,
                                      int64_t deep_step, int64_t n_wide, int64_t n_there,
                                      int64_t depth) {
    SIMD(product_pack_a)(panels, x, wide_step, deep_step, n_wide, n_there, depth);
    kern_round_to_bf16(panels, (n_wide + PRODUCT_ROWS - 1) / PRODUCT_ROWS * PRODUCT_ROWS * depth);
}

static void SIMD(product_pack_b_bf16)(void *panels, const float *x, int64_t wide_step,
                                      int64_t deep_step, int64_t n_wide, int64_t n_there,
                                      int64_t depth) {
    SIMD(product_pack_b)(panels, x, wide_step, deep_step, n_wide, n_there, depth);
    kern_round_to_bf16(panels, (n_wide + PRODUCT_COLS - 1) / PRODUCT_COLS * PRODUCT_COLS * depth);
}

static void SIMD(product_pack_a16)(void *panels, const uint16_t *x, int64_t wide_step,
                                   int64_t deep_step, int64_t n_wide, int64_t n_there,
                                   int64_t depth) {
    kern_pack_widened(SIMD(product_pack_a), PRODUCT_ROWS, panels, x, wide_step, deep_step, n_wide,
                      n_there, depth);
}

static void SIMD(product_pack_b16)(void *panels, const uint16_t *x, int64_t wide_step,
                                   int64_t deep_step, int64_t n_wide, int64_t n_there,
                                   int64_t depth) {
    kern_pack_widened(SIMD(product_pack_b), PRODUCT_COLS, panels, x, wide_step, deep_step, n_wide,
                      n_there, depth);
}

/* float16: the processor rounds, and multiplies in float32. */
static void SIMD(round_to_f16)(float *x, int64_t n) {
    for (int64_t i = 0; i < n; i += LANES) {
        const vm there = n - i >= LANES ? v_whole() : v_mask(n - i);
        v_store(x + i, there, v_round_to_f16(v_load(x + i, there)));
    }
}

static void SIMD(product_pack_a_f16)(void *panels, const float *x, int64_t wide_step,
                                     int64_t deep_step, int64_t n_wide, int64_t n_there,
                                     int64_t depth) {
    SIMD(product_pack_a)(panels, x, wide_step, deep_step, n_wide, n_there, depth);
    SIMD(round_to_f16)(panels, (n_wide + PRODUCT_ROWS - 1) / PRODUCT_ROWS * PRODUCT_ROWS * depth);
}

static void SIMD(product_pack_b_f16)(void *panels, const float *x, int64_t wide_step,
                                     int64_t deep_step, int64_t n_wide, int64_t n_there,
                                     int64_t depth) {
    SIMD(product_pack_b)(panels, x, wide_step, deep_step, n_wide, n_there, depth);
    SIMD(round_to_f16)(panels, (n_wide + PRODUCT_COLS - 1) / PRODUCT_COLS * PRODUCT_COLS * depth);
}

/* One row of the tile in registers to C. */
static inline void store_tile_row(float *c, vf sum_0, vf sum_1, vm mask_0, vm mask_1, vf alpha,
                                  bool accumulate) {
    vf x_0 = v_mul(sum_0, alpha);
    vf x_1 = v_mul(sum_1, alpha);
    if (accumulate) {
        x_0 = v_add(v_load(c, mask_0), x_0);
        x_1 = v_add(v_load(c + LANES, mask_1), x_1);
    }
    v_store(c, mask_0, x_0);
    v_store(c + LANES, mask_1, x_1);
}

/* A tile of A as it is read: element (i,d) at rows[i / 3][(i % 3) * row_step + d * deep_step]. From
 * a panel row_step is 1; in place deep_step is. Three rows an address leave registers for the rest.
 */
enum {
    ADDRESS_ROWS = 3,
    N_ADDRESSES = (PRODUCT_ROWS + ADDRESS_ROWS - 1) / ADDRESS_ROWS,
    FEW_ADDRESSES = 2,
};

/* The sums of a tile to C, at most n_rows x n_cols of them. */
static inline void store_tile(float *c, int64_t ld_c, vf sum[PRODUCT_ROWS][2], int64_t n_rows,
                              int64_t n_cols, float alpha, bool accumulate) {
    const vf alpha_v = v_set(alpha);
    if (n_rows >= PRODUCT_ROWS && n_cols >= PRODUCT_COLS) {
        UNROLL for (int i = 0; i < PRODUCT_ROWS; i++) {
            store_tile_row(c + i * ld_c, sum[i][0], sum[i][1], v_whole(), v_whole(), alpha_v,
                           accumulate);
        }
        return;
    }
    const vm mask_0 = v_mask(n_cols < LANES ? n_cols : LANES);
    const vm mask_1 = v_mask(n_cols <= LANES ? 0 : n_cols < PRODUCT_COLS ? n_cols - LANES : LANES);
    UNROLL for (int i = 0; i < PRODUCT_ROWS; i++) {
        if (i < n_rows) {
            store_tile_row(c + i * ld_c, sum[i][0], sum[i][1], mask_0, mask_1, alpha_v, accumulate);
        }
    }
}

#ifndef PRODUCT_BY_LANE
/* sum += a column of A times a row of B. */
static inline __attribute__((always_inline)) void
multiply_column(vf sum[PRODUCT_ROWS][2], const float *const rows[N_ADDRESSES], int64_t row_step,
                int64_t at, vf b_0, vf b_1) {
    UNROLL for (int i = 0; i < PRODUCT_ROWS; i++) {
        const vf a_i = v_set(rows[i / ADDRESS_ROWS][i % ADDRESS_ROWS * row_step + at]);
        sum[i][0] = v_fma(a_i, b_0, sum[i][0]);
        sum[i][1] = v_fma(a_i, b_1, sum[i][1]);
    }
}
#endif

/* in_place is a constant after inlining. */
static inline __attribute__((always_inline)) void
multiply_tile(const bool in_place, float *c, int64_t ld_c, const float *a, int64_t ld_a,
              const float *b, int64_t n_rows, int64_t n_cols, int64_t depth, float alpha,
              bool accumulate) {
    const int64_t  row_step = in_place ? ld_a : 1;
    const int64_t  deep_step = in_place ? 1 : PRODUCT_ROWS;
    const float   *rows[N_ADDRESSES];
    vf             sum[PRODUCT_ROWS][2];
    volatile float later = alpha; /* in memory: every register is needed until then */
    UNROLL for (int i = 0; i < N_ADDRESSES; i++) {
        rows[i] = a + i * ADDRESS_ROWS * row_step;
        if (N_ADDRESSES <= FEW_ADDRESSES) { /* clang would add its way to each from the first */
            __asm__("" : "+r"(rows[i]));
        }
    }
    UNROLL for (int i = 0; i < PRODUCT_ROWS; i++) {
        if (i < n_rows) { /* C's rows lie pages apart: ask for them now */
            __builtin_prefetch(c + i * ld_c, 1);
            __builtin_prefetch(c + i * ld_c + LANES, 1);
        }
        sum[i][0] = v_set(0);
        sum[i][1] = v_set(0);
    }
    for (int64_t line = 0; line < depth; line += LINE_FLOATS) {
        const int64_t end = line + LINE_FLOATS < depth ? line + LINE_FLOATS : depth;
        const float  *ahead = a + PRODUCT_ROWS * ld_a + line;
        for (int64_t d = line; d < end; d++) {
            const vf b_0 = v_load(b, v_whole());
            const vf b_1 = v_load(b + LANES, v_whole());
            UNROLL for (int at = 0; at < PRODUCT_COLS; at += LINE_FLOATS) {
                __builtin_prefetch(b + PREFETCH_ROWS * PRODUCT_COLS + at);
            }
            if (in_place) { /* the next tile's rows, a line of each in turn */
                __builtin_prefetch(ahead, 0, 2);
                ahead += ld_a;
            }
            multiply_column(sum, rows, row_step, d * deep_step, b_0, b_1);
            b += PRODUCT_COLS;
        }
    }
    store_tile(c, ld_c, sum, n_rows, n_cols, later, accumulate);
}

static void SIMD(product_tile)(float *c, int64_t ld_c, const void *a_panel, const void *b_panel,
                               int64_t n_rows, int64_t n_cols, int64_t depth, float alpha,
                               bool accumulate) {
    multiply_tile(false, c, ld_c, a_panel, 0, b_panel, n_rows, n_cols, depth, alpha, accumulate);
}

static void SIMD(product_tile_in_place)(float *c, int64_t ld_c, const float *a, int64_t ld_a,
                                        const void *b_panel, int64_t n_cols, int64_t depth,
                                        float alpha, bool accumulate) {
    multiply_tile(true, c, ld_c, a, ld_a, b_panel, PRODUCT_ROWS, n_cols, depth, alpha, accumulate);
}

static void override_products(bt_kern *kern) {
    const bt_kern_product f32 = {.name = "float32",
                                 .rows = PRODUCT_ROWS,
                                 .cols = PRODUCT_COLS,
                                 .depth = PRODUCT_DEPTH,
                                 .depth_step = 1,
                                 .element_bytes = sizeof(float),
                                 .pack_a = SIMD(product_pack_a),
                                 .pack_b = SIMD(product_pack_b),
                                 .tile = SIMD(product_tile)};
    kern->products[BT_PRECISION_F32] = f32;
    kern->products[BT_PRECISION_F32].tile_in_place = SIMD(product_tile_in_place);
    kern->products[BT_PRECISION_BF16] = f32;
    kern->products[BT_PRECISION_BF16].name = "bfloat16 by rounding";
    kern->products[BT_PRECISION_BF16].pack_a = SIMD(product_pack_a_bf16);
    kern->products[BT_PRECISION_BF16].pack_b = SIMD(product_pack_b_bf16);
    kern->products[BT_PRECISION_BF16].pack_a16 = SIMD(product_pack_a16);
    kern->products[BT_PRECISION_BF16].pack_b16 = SIMD(product_pack_b16);
    kern->products[BT_PRECISION_F16] = f32;
    kern->products[BT_PRECISION_F16].name = "float16 by rounding";
    kern->products[BT_PRECISION_F16].pack_a = SIMD(product_pack_a_f16);
    kern->products[BT_PRECISION_F16].pack_b = SIMD(product_pack_b_f16);
}
