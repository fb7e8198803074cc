/* SPDX-License-Identifier: Apache-2.0
 *
 * What a safetensors file calls element types: one table. */
#include "safetensors_dtype.h"
#include "bt/base/str.h"

typedef struct dtype_row {
    bt_dtype    dtype;
    const char *name;
} dtype_row;

static const dtype_row rows[] = {
    {BT_DTYPE_F32, "F32"}, {BT_DTYPE_F64, "F64"},   {BT_DTYPE_I32, "I32"},   {BT_DTYPE_U8, "U8"},
    {BT_DTYPE_I16, "I16"}, {BT_DTYPE_I8, "I8"},     {BT_DTYPE_C64, "C64"},   {BT_DTYPE_I64, "I64"},
    {BT_DTYPE_U16, "U16"}, {BT_DTYPE_BOOL, "BOOL"}, {BT_DTYPE_BF16, "BF16"}, {BT_DTYPE_F16, "F16"},
    {BT_DTYPE_U32, "U32"}, {BT_DTYPE_U64, "U64"},
};

bt_dtype safetensors_dtype(const char *name) {
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        if (bt_str_equal(rows[i].name, name)) {
            return rows[i].dtype;
        }
    }
    return BT_DTYPE_INVALID;
}

const char *safetensors_dtype_name(bt_dtype dtype) {
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        if (rows[i].dtype == dtype) {
            return rows[i].name;
        }
    }
    return NULL;
}
