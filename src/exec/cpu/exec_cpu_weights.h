/* SPDX-License-Identifier: Apache-2.0
 *
 * The encoder's dense layers one after the other: for whatever keeps their weights in another form
 * (packs, panels, 8 bits) or their gradients apart. */
#ifndef BT_EXEC_CPU_WEIGHTS_H
#define BT_EXEC_CPU_WEIGHTS_H

#include "exec_cpu_internal.h"

/* [K,N], whatever rank the table says: the kernels of attention have three. */
typedef struct exec_weight {
    bt_dense_index dense; /* of ALBERT several layers have the same one */
    int64_t        K, N;
    int64_t        layer;             /* -1: the embeddings' projection; L: the pooler */
    bool           reads_layer_input; /* query, key, value: nothing of the layer lies below */
} exec_weight;

/* How many places there are; of one where the model has nothing, the kernel is -1. */
int64_t     exec_n_weights(const bt_model *model);
exec_weight exec_weight_at(const bt_model *model, int64_t place);

/* Panels of a weight begin where a line of the caches does. */
static inline size_t exec_panels_room(size_t n_bytes) {
    const size_t line = 64;
    return (n_bytes + line - 1) / line * line;
}

#endif
