/* SPDX-License-Identifier: Apache-2.0
 *
 * TensorFlow's DataType numbers: sizes and names. One table. */
#include "dtype_table.h"

static const dtype_row rows[] = {
    {BT_TF_F32, "float32", 4, "F32"},     {BT_TF_F64, "float64", 8, "F64"},
    {BT_TF_I32, "int32", 4, "I32"},       {BT_TF_U8, "uint8", 1, "U8"},
    {BT_TF_I16, "int16", 2, "I16"},       {BT_TF_I8, "int8", 1, "I8"},
    {BT_TF_STRING, "string", 0, NULL},    {BT_TF_C64, "complex64", 8, "C64"},
    {BT_TF_I64, "int64", 8, "I64"},       {BT_TF_BOOL, "bool", 1, "BOOL"},
    {BT_TF_BF16, "bfloat16", 2, "BF16"},  {BT_TF_U16, "uint16", 2, "U16"},
    {BT_TF_C128, "complex128", 16, NULL}, {BT_TF_F16, "float16", 2, "F16"},
    {BT_TF_U32, "uint32", 4, "U32"},      {BT_TF_U64, "uint64", 8, "U64"},
};

const dtype_row *dtype_find(uint64_t number) {
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        if ((uint64_t)rows[i].dtype == number) {
            return &rows[i];
        }
    }
    return NULL;
}

const dtype_row *dtype_find_safetensors(const char *name) {
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        if (rows[i].safetensors != NULL && bt_str_equal(rows[i].safetensors, name)) {
            return &rows[i];
        }
    }
    return NULL;
}

size_t bt_tf_dtype_size(bt_tf_dtype dtype) {
    const dtype_row *const row = dtype_find((uint64_t)dtype);
    return row != NULL ? row->n_bytes : 0;
}

const char *bt_tf_dtype_name(bt_tf_dtype dtype) {
    const dtype_row *const row = dtype_find((uint64_t)dtype);
    return row != NULL ? row->name : "unknown";
}
