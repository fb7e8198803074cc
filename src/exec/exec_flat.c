/* SPDX-License-Identifier: Apache-2.0
 *
 * Flat buffers: one number for each element of the parameter table. */
#include "bt/base/alloc.h"
#include "exec_shared.h"

static bt_status fail_memory(size_t n, bt_error *err) {
    return BT_FAIL(err, BT_E_NOMEM,
                   "out of memory: the model has %zu parameters, and each of its flat buffers "
                   "takes %.1f MiB",
                   n, (double)n * sizeof(float) / 0x1p20);
}

bt_status exec_flat_reserve(const bt_param_table *table, float **out, bt_error *err) {
    const size_t n = (size_t)table->n_elements;
    *out = bt_calloc_untouched(n, sizeof **out);
    return *out != NULL ? BT_OK : fail_memory(n, err);
}

bt_status exec_flat_create(bt_pool *pool, const bt_param_table *table, float start, float **out,
                           bt_error *err) {
    const size_t n = (size_t)table->n_elements;
    float *const flat = bt_pool_calloc(pool, n, sizeof *flat);
    if (flat == NULL) {
        return fail_memory(n, err);
    }
    for (int64_t i = 0; start != 0 && i < table->n_params; i++) { /* adagrad's do not start at 0 */
        const bt_param *const param = &table->params[i];
        for (int64_t k = 0; param->has_gradient && k < param->n_elements; k++) {
            flat[param->offset + k] = start;
        }
    }
    *out = flat;
    return BT_OK;
}

void exec_swap(float *a, float *b, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const float was = a[i];
        a[i] = b[i];
        b[i] = was;
    }
}
