/* SPDX-License-Identifier: Apache-2.0
 *
 * Factors of products that are kept packed: block after block of the summed dimension, in each the
 * panels of all columns. The bits of a product are those of packing each time. */
#include <string.h>

#include "nn_internal.h"

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

size_t nn_panels_bytes(const bt_kern_product *kern, int64_t n, int64_t depth) {
    return (size_t)(n * ceil_div(depth, kern->depth_step) * kern->depth_step) * kern->element_bytes;
}

int64_t nn_block_depth(const bt_kern_product *kern, int64_t K) {
    const int64_t even = ceil_div(K, ceil_div(K, kern->depth));
    return ceil_div(even, kern->depth_step) * kern->depth_step;
}

static int64_t whole_cols(const bt_nn_packed *packed) {
    return bt_nn_packed_n_panels(packed) * packed->kern->cols;
}

int64_t bt_nn_packed_n_panels(const bt_nn_packed *packed) {
    return ceil_div(packed->N, packed->kern->cols);
}

size_t bt_nn_packed_bytes(const bt_kern_product *kern, int64_t K, int64_t N) {
    const int64_t depth = nn_block_depth(kern, K);
    return nn_panels_bytes(kern, ceil_div(N, kern->cols) * kern->cols, ceil_div(K, depth) * depth);
}

unsigned char *nn_packed_at(const bt_nn_packed *packed, int64_t d, int64_t depth, int64_t col) {
    const size_t at = nn_panels_bytes(packed->kern, whole_cols(packed), d) +
                      nn_panels_bytes(packed->kern, col, depth);
    return packed->panels + (packed->is_halved ? at / 2 : at);
}

void bt_nn_pack(const bt_nn_packed *packed, const float *b, int64_t ld_b, bt_kern_trans trans_b,
                int64_t first, int64_t end) {
    const bt_kern_product *const kern = packed->kern;
    const int64_t                wide_step = trans_b == BT_KERN_T ? ld_b : 1;
    const int64_t                deep_step = trans_b == BT_KERN_T ? 1 : ld_b;
    const int64_t                depth = nn_block_depth(kern, packed->K);
    const int64_t                col = first * kern->cols;
    const int64_t end_col = end * kern->cols < packed->N ? end * kern->cols : packed->N;
    for (int64_t d = 0; d < packed->K && col < end_col; d += depth) {
        const int64_t n_deep = packed->K - d < depth ? packed->K - d : depth;
        kern->pack_b(nn_packed_at(packed, d, n_deep, col), b + col * wide_step + d * deep_step,
                     wide_step, deep_step, end_col - col, packed->N - col, n_deep);
    }
}

/* Whole panels of the transposed matrix, and whole steps into the depth of the one as it is. */
int64_t bt_nn_rows_together(const bt_kern_product *kern) {
    int64_t n = kern->cols;
    while (n % kern->depth_step != 0) {
        n += kern->cols;
    }
    return n;
}

/* Depths [d, d + n_deep) of all panels of a block that begins at `start`. */
static void pack_depths(const bt_nn_packed *packed, const float *b, int64_t ld_b, int64_t start,
                        int64_t depth, int64_t d, int64_t n_deep) {
    const bt_kern_product *const kern = packed->kern;
    const size_t                 above = nn_panels_bytes(kern, kern->cols, d - start);
    for (int64_t col = 0; col < packed->N; col += kern->cols) {
        const int64_t left = packed->N - col;
        kern->pack_b(nn_packed_at(packed, start, depth, col) + above, b + d * ld_b + col, 1, ld_b,
                     left < kern->cols ? left : kern->cols, left, n_deep);
    }
}

void bt_nn_pack_rows(const bt_nn_packed *packed, const float *b, int64_t ld_b,
                     bt_kern_trans trans_b, int64_t first, int64_t end) {
    const bt_kern_product *const kern = packed->kern;
    const int64_t                block = nn_block_depth(kern, packed->K);
    BT_ASSERT(first % bt_nn_rows_together(kern) == 0);
    if (trans_b == BT_KERN_T) {
        bt_nn_pack(packed, b, ld_b, trans_b, first / kern->cols, ceil_div(end, kern->cols));
        return;
    }
    for (int64_t d = first; d < end;) {
        const int64_t start = d / block * block;
        const int64_t depth = packed->K - start < block ? packed->K - start : block;
        const int64_t n_deep = (end < start + depth ? end : start + depth) - d;
        pack_depths(packed, b, ld_b, start, depth, d, n_deep);
        d += n_deep;
    }
}

/* Products in float32 of numbers that were rounded to bfloat16. */
bool bt_nn_can_halve(const bt_kern_product *kern) {
    return kern->pack_b16 != NULL && kern->element_bytes == sizeof(float);
}

size_t bt_nn_halving_bytes(const bt_kern_product *kern) {
    return nn_panels_bytes(kern, kern->cols, kern->depth);
}

void bt_nn_pack_halved(const bt_nn_packed *packed, const bt_kern *kern, const float *b,
                       int64_t ld_b, int64_t first, int64_t end, float *scratch) {
    const int64_t depth = nn_block_depth(packed->kern, packed->K);
    const int64_t cols = packed->kern->cols;
    for (int64_t col = first * cols; col < end * cols && col < packed->N; col += cols) {
        const int64_t there = packed->N - col;
        for (int64_t d = 0; d < packed->K; d += depth) {
            const int64_t n_deep = packed->K - d < depth ? packed->K - d : depth;
            const size_t  n = nn_panels_bytes(packed->kern, cols, n_deep) / sizeof *scratch;
            memset(scratch, 0, n * sizeof *scratch);
            packed->kern->pack_b(scratch, b + d * ld_b + col, 1, ld_b, there < cols ? there : cols,
                                 there, n_deep);
            kern->to_bf16((uint16_t *)(void *)nn_packed_at(packed, d, n_deep, col), scratch,
                          (int64_t)n);
        }
    }
}

static const bt_nn_weight *find_weight(const bt_nn *nn, const float *b) {
    int32_t first = 0;
    int32_t end = nn->n_weights;
    while (first < end) {
        const int32_t middle = first + (end - first) / 2;
        if (nn->weights[middle].b < b) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    return first < nn->n_weights && nn->weights[first].b == b ? &nn->weights[first] : NULL;
}

const bt_nn_packed *nn_find_packed(const bt_nn *nn, const bt_nn_product *p) {
    const bt_nn_weight *const weight = p->b == NULL ? NULL : find_weight(nn, p->b);
    if (weight == NULL) {
        return NULL;
    }
    const bool                is_transposed = p->trans_b == BT_KERN_T;
    const bt_nn_packed *const packed = is_transposed ? &weight->transposed : &weight->as_is;
    const bool                is_whole = packed->panels != NULL && packed->kern == nn->product &&
                          packed->K == p->K && packed->N == p->N &&
                          p->ld_b == (is_transposed ? p->K : p->N);
    BT_ASSERT(is_whole || !nn->only_panels);
    return is_whole ? packed : NULL;
}
