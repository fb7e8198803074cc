/* SPDX-License-Identifier: Apache-2.0
 *
 * Dtypes, dims and the parameter table. */
#include "bt/tensor.h"
#include "bt/base/alloc.h"
#include "bt/base/size.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct dtype_row {
    bt_dtype    dtype;
    size_t      size;
    const char *name;
} dtype_row;

static const dtype_row dtypes[] = {
    {BT_DTYPE_F32, 4, "float32"},      {BT_DTYPE_F64, 8, "float64"},   {BT_DTYPE_I32, 4, "int32"},
    {BT_DTYPE_U8, 1, "uint8"},         {BT_DTYPE_I16, 2, "int16"},     {BT_DTYPE_I8, 1, "int8"},
    {BT_DTYPE_STRING, 0, "string"},    {BT_DTYPE_C64, 8, "complex64"}, {BT_DTYPE_I64, 8, "int64"},
    {BT_DTYPE_BOOL, 1, "bool"},        {BT_DTYPE_BF16, 2, "bfloat16"}, {BT_DTYPE_U16, 2, "uint16"},
    {BT_DTYPE_F16, 2, "float16"},      {BT_DTYPE_U32, 4, "uint32"},    {BT_DTYPE_U64, 8, "uint64"},
    {BT_DTYPE_C128, 16, "complex128"},
};

static const dtype_row *find_dtype(int64_t number) {
    for (size_t i = 0; i < BT_ARRAY_LEN(dtypes); i++) {
        if ((int64_t)dtypes[i].dtype == number) {
            return &dtypes[i];
        }
    }
    return NULL;
}

bool bt_dtype_is_known(int64_t number) {
    return find_dtype(number) != NULL;
}

size_t bt_dtype_size(bt_dtype dtype) {
    const dtype_row *const row = find_dtype((int64_t)dtype);
    return row != NULL ? row->size : 0;
}

const char *bt_dtype_name(bt_dtype dtype) {
    const dtype_row *const row = find_dtype((int64_t)dtype);
    return row != NULL ? row->name : "unknown";
}

bool bt_dims_count(const int64_t *dims, int32_t rank, int64_t *n_elements) {
    int64_t n = 1;
    for (int32_t i = 0; i < rank; i++) {
        if (!bt_i64_mul(n, dims[i], &n)) {
            return false;
        }
    }
    *n_elements = n;
    return true;
}

char *bt_dims_text(const int64_t *dims, int32_t rank, char buffer[BT_DIMS_TEXT_MAX]) {
    size_t n = 0;
    buffer[n++] = '[';
    for (int32_t i = 0; i < rank && n + 24 < BT_DIMS_TEXT_MAX; i++) {
        const int wrote =
            snprintf(buffer + n, BT_DIMS_TEXT_MAX - n, "%s%" PRId64, i > 0 ? ", " : "", dims[i]);
        n += wrote > 0 ? (size_t)wrote : 0;
    }
    buffer[n++] = ']';
    buffer[n] = '\0';
    return buffer;
}

enum { NAMES_BYTES = 16384, OFFSET_ALIGN = 16 };

bt_status bt_param_table_init(bt_param_table *table, int64_t max_params, bt_error *err) {
    *table = (bt_param_table){0};
    BT_TRY(bt_arena_init(&table->names, NAMES_BYTES, err));
    table->params =
        max_params < 0 ? NULL : bt_calloc_array((size_t)max_params, sizeof *table->params);
    if (table->params == NULL) {
        bt_param_table_deinit(table);
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a table of %" PRId64 " parameters",
                       max_params);
    }
    return BT_OK;
}

void bt_param_table_deinit(bt_param_table *table) {
    if (table != NULL) {
        bt_free(table->params);
        bt_arena_deinit(&table->names);
        *table = (bt_param_table){0};
    }
}

bt_status bt_param_table_add(bt_param_table *table, const bt_param *param, int64_t *index,
                             bt_error *err) {
    bt_param *const slot = &table->params[table->n_params];
    char            dims[BT_DIMS_TEXT_MAX];
    *slot = *param;
    if (!bt_dims_count(param->dim, param->rank, &slot->n_elements) ||
        slot->n_elements > INT64_MAX / 16 - table->n_elements) {
        return BT_FAIL(err, BT_E_SHAPE, "%s: a shape of %s is larger than memory can be",
                       param->name, bt_dims_text(param->dim, param->rank, dims));
    }
    slot->offset = table->n_elements;
    slot->name = bt_arena_strdup(&table->names, param->name);
    slot->tf_name =
        bt_arena_strdup(&table->names, param->tf_name != NULL ? param->tf_name : param->name);
    if (slot->name == NULL || slot->tf_name == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the name of %s", param->name);
    }
    *index = table->n_params;
    table->n_params++;
    table->n_elements += (slot->n_elements + OFFSET_ALIGN - 1) / OFFSET_ALIGN * OFFSET_ALIGN;
    return BT_OK;
}

int64_t bt_param_table_n_trained(const bt_param_table *table) {
    int64_t n = 0;
    for (int64_t i = 0; i < table->n_params; i++) {
        n += table->params[i].has_gradient ? table->params[i].n_elements : 0;
    }
    return n;
}

int64_t bt_param_table_find(const bt_param_table *table, const char *name) {
    for (int64_t i = 0; i < table->n_params; i++) {
        if (strcmp(table->params[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}
