/* SPDX-License-Identifier: Apache-2.0
 *
 * Parameters, slots and averages between the flat buffers of the host and the devices' arrays. An
 * array goes up when a program first reads it; it comes down when the caller settles. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "exec_pjrt_internal.h"

bt_status exec_need_floats(float **array, size_t *cap, int64_t n, bt_error *err) {
    if ((size_t)n <= *cap) {
        return BT_OK;
    }
    bt_free(*array);
    *array = bt_alloc_array((size_t)n, sizeof **array);
    *cap = *array != NULL ? (size_t)n : 0;
    return *array != NULL
               ? BT_OK
               : BT_FAIL(err, BT_E_NOMEM, "out of memory for an array of %" PRId64 " numbers", n);
}

bt_status exec_need_state(const exec_pjrt *exec, bt_error *err) {
    return !exec->is_lost
               ? BT_OK
               : BT_FAIL(err, BT_E_BACKEND,
                         "%s: what the steps made was on the device, which failed: start again to "
                         "go on from the last checkpoint",
                         exec->description);
}

bt_pjrt_shape exec_shape_of(const bt_hlo_tensor *tensor) {
    bt_pjrt_shape shape = {.dtype = tensor->dtype, .rank = tensor->rank};
    memcpy(shape.dim, tensor->dim, sizeof tensor->dim);
    return shape;
}

static float *flat_of(exec_pjrt *exec, bt_hlo_role role, int32_t slot) {
    switch ((int)role) {
    case BT_HLO_PARAM:
        return exec->base.param;
    case BT_HLO_SLOT:
        return exec->base.slots[slot];
    case BT_HLO_AVERAGE:
        return exec->base.average;
    default:
        return NULL;
    }
}

static void drop_buffers(exec_pjrt *exec, exec_array *array) {
    for (int32_t r = 0; r < exec->n_replicas; r++) {
        bt_pjrt_buffer_free(exec->client, array->buffers[r]);
        array->buffers[r] = NULL;
    }
}

/* Adds up what parts of a batch give: 0 at first, and again after an update (bt_hlo). */
static bool is_of_parts(const exec_array *array) {
    return array->role == BT_HLO_GRADIENT || array->role == BT_HLO_SUMS;
}

void exec_parts_drop(exec_pjrt *exec) {
    size_t n_kept = 0;
    for (size_t i = 0; i < exec->n_arrays; i++) {
        if (is_of_parts(&exec->arrays[i])) {
            drop_buffers(exec, &exec->arrays[i]);
        } else {
            exec->arrays[n_kept++] = exec->arrays[i];
        }
    }
    exec->n_arrays = n_kept;
}

void exec_arrays_drop(exec_pjrt *exec) {
    for (size_t i = 0; i < exec->n_arrays; i++) {
        drop_buffers(exec, &exec->arrays[i]);
    }
    exec->n_arrays = 0;
}

static bt_status upload(exec_pjrt *exec, const bt_hlo_tensor *tensor, exec_array *array,
                        bt_error *err) {
    const bt_pjrt_shape shape = exec_shape_of(tensor);
    const float *const  flat = flat_of(exec, array->role, array->slot);
    int64_t             n = 0;
    if ((flat == NULL && !is_of_parts(array)) || tensor->dtype != BT_DTYPE_F32 ||
        !bt_dims_count(tensor->dim, tensor->rank, &n)) {
        return BT_FAIL(err, BT_E_INTERNAL, "a program wants %s of role %d, which no engine keeps",
                       bt_dtype_name(tensor->dtype), (int)array->role);
    }
    BT_TRY(exec_need_floats(&exec->scratch, &exec->scratch_cap, n, err));
    if (flat != NULL) {
        bt_hlo_stack(array->variable, &exec->model->table, flat, exec->scratch);
    } else {
        memset(exec->scratch, 0, (size_t)n * sizeof *exec->scratch);
    }
    for (int32_t r = 0; r < exec->n_replicas; r++) {
        BT_TRY(bt_pjrt_upload(exec->client, r, &shape, exec->scratch, &array->buffers[r], err));
    }
    return BT_OK;
}

/* Programs have the same variables, each in a list of its own. */
static bool is_same_variable(const bt_hlo_variable *a, const bt_hlo_variable *b) {
    return a == b || (a != NULL && b != NULL && a->params[0] == b->params[0]);
}

bt_status exec_array_need(exec_pjrt *exec, const bt_hlo_program *hlo, const bt_hlo_tensor *tensor,
                          exec_array **out, bt_error *err) {
    const bt_hlo_variable *const variable =
        tensor->variable >= 0 ? &hlo->variables[tensor->variable] : NULL;
    for (size_t i = 0; i < exec->n_arrays; i++) {
        exec_array *const array = &exec->arrays[i];
        if (array->role == tensor->role && array->slot == tensor->slot &&
            is_same_variable(array->variable, variable)) {
            *out = array;
            return BT_OK;
        }
    }
    if (exec->n_arrays >= EXEC_PJRT_MAX_ARRAYS) {
        return BT_FAIL(err, BT_E_INTERNAL, "more than %d arrays of variables",
                       (int)EXEC_PJRT_MAX_ARRAYS);
    }
    exec_array *const array = &exec->arrays[exec->n_arrays];
    *array = (exec_array){.role = tensor->role, .slot = tensor->slot, .variable = variable};
    const bt_status rc = upload(exec, tensor, array, err);
    if (rc != BT_OK) {
        drop_buffers(exec, array);
        return rc;
    }
    exec->n_arrays++;
    *out = array;
    return BT_OK;
}

bt_status exec_array_download(exec_pjrt *exec, const bt_hlo_variable *variable,
                              bt_pjrt_buffer *buffer, float *flat, bt_error *err) {
    BT_TRY(exec_need_floats(&exec->scratch, &exec->scratch_cap, variable->n_elements, err));
    BT_TRY(bt_pjrt_download(exec->client, buffer, exec->scratch,
                            (size_t)variable->n_elements * sizeof *exec->scratch, err));
    bt_hlo_unstack(variable, &exec->model->table, exec->scratch, flat);
    return BT_OK;
}

/* All replicas have the same. */
bt_status exec_pjrt_settle(bt_exec *base, bt_error *err) {
    exec_pjrt *const exec = exec_pjrt_of(base);
    BT_TRY(exec_need_state(exec, err));
    for (size_t i = 0; exec->is_ahead && i < exec->n_arrays; i++) {
        const exec_array *const array = &exec->arrays[i];
        float *const            flat = flat_of(exec, array->role, array->slot);
        if (flat == NULL) {
            continue;
        }
        const bt_status rc =
            exec_array_download(exec, array->variable, array->buffers[0], flat, err);
        if (rc != BT_OK) {
            exec->is_lost = exec->is_lost || rc == BT_E_BACKEND;
            return rc;
        }
    }
    exec->is_ahead = false;
    return BT_OK;
}

/* What was lost is lost no more: all of the state is the caller's. */
bt_status exec_pjrt_changed(bt_exec *base, bt_error *err) {
    exec_pjrt *const exec = exec_pjrt_of(base);
    (void)err;
    exec_arrays_drop(exec);
    exec->is_ahead = false;
    exec->is_lost = false;
    return BT_OK;
}

bt_status exec_pjrt_swap_averages(bt_exec *base, bt_error *err) {
    exec_pjrt *const exec = exec_pjrt_of(base);
    if (exec->base.average == NULL) {
        return BT_FAIL(err, BT_E_INTERNAL, "this optimizer keeps no moving average to swap");
    }
    BT_TRY(exec_pjrt_settle(base, err));
    exec_swap(exec->base.param, exec->base.average, exec->model->table.n_elements);
    exec_arrays_drop(exec);
    return BT_OK;
}
