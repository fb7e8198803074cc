/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of element types behind bundles and safetensors. */
#ifndef BT_DTYPE_TABLE_H
#define BT_DTYPE_TABLE_H

#include "bt/wire.h"

typedef struct dtype_row {
    bt_tf_dtype dtype;
    const char *name;
    size_t      n_bytes;     /* of an element; 0: strings */
    const char *safetensors; /* NULL: that format has no such type */
} dtype_row;

const dtype_row *dtype_find(uint64_t number); /* NULL: unknown */
const dtype_row *dtype_find_safetensors(const char *name);

#endif
