/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention over packed rows as two kernels for GPUs, in Triton's IR: a tile of queries walks over
 * the keys of its own sequences only, and keeps maximum and sum of each row, never the
 * probabilities. */
#ifndef BT_HLO_FLASH_H
#define BT_HLO_FLASH_H

#include "bt/base/str.h"
#include "bt/tensor.h"

typedef struct hlo_flash_shape {
    int64_t  n_rows, n_slots, n_heads, head_size;
    bt_dtype dtype; /* of query, key, value: F32, BF16, F16 */
    bool     has_bias;
    bool     has_dropout;
    int64_t  n_words; /* of dropout's bits for one query and head */
    double   scale;   /* of what dropout keeps: 1 / (1 - rate) */
} hlo_flash_shape;

typedef struct hlo_kernel {
    const char *name;
    bt_str      text; /* owned */
    int64_t     grid[3];
    int32_t     n_warps, n_stages;
} hlo_kernel;

enum { HLO_FLASH_MAX_HEAD_SIZE = 256, HLO_FLASH_MAX_HEAD_SIZE_F32 = 64 };

/* Places within arrays are 32-bit numbers there, and tiles of longer heads do not fit into a
 * multiprocessor's memory: else false. Of the shape's dtype, sizes and words. */
bool hlo_flash_fits(const hlo_flash_shape *shape);

/* Memory of the kernels, in this order; T = rows * slots, H = heads * head size:
 * forward: qkv [T,3,H], segments [T] int32, first and past-the-end slot of each slot's sequence in
 *   its row [T] int32, bias [T] float32 (added to the scores of that key) where there is one,
 *   bits [T,heads,words] int32 where there is dropout
 *   -> context [T,H], max and 1 / sum [rows,heads,slots] float32
 * backward: qkv, segments, first, behind, bias, bits as above, d_context [T,H], max, 1 / sum,
 *   along [rows,heads,slots] float32 (the sum of context * d_context over each head)
 *   -> d_qkv [T,3,H]
 * The caller frees kernel->text. */
BT_MUST_USE bt_status hlo_flash_forward(const hlo_flash_shape *shape, hlo_kernel *kernel,
                                        bt_error *err);
BT_MUST_USE bt_status hlo_flash_backward(const hlo_flash_shape *shape, hlo_kernel *kernel,
                                         bt_error *err);

#endif
