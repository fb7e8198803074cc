/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights that stay packed for the products between steps, where the processor multiplies in
 * bfloat16: half the bytes of a float32 each way, in the order in which a product reads them. Each
 * is packed before the first pass and after somebody wrote it; what the optimizer writes is packed
 * in its own pass, a group of rows at a time, by the thread that wrote the last of the group, while
 * it is in the cache. Products find them by the place of the weight (bt_nn_weight) and give the
 * same bits as when they pack it themselves. */
#include <stdatomic.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/size.h"
#include "exec_cpu_weights.h"

/* Layers below exec->lowest have no backward; nor has an engine without optimizer, whose gradients
 * are for tests. */
static bool is_read_backward(const exec_cpu *exec, const exec_weight *weight) {
    if (exec->optim == NULL || weight->layer < exec->lowest) {
        return false;
    }
    return !weight->reads_layer_input || weight->layer > exec->lowest ||
           exec->model->encoder.norm_first;
}

/* In the order of their places; layers that share their weights (ALBERT's) have them once. */
static void add_weight(exec_cpu *exec, const exec_weight *weight) {
    exec_packs *const            packs = &exec->packs;
    const bt_kern_product *const kern = exec->nn.product;
    if (weight->dense.kernel < 0) {
        return;
    }
    const float *const b = exec_param(exec, weight->dense.kernel);
    const bool         backward = is_read_backward(exec, weight);
    const int64_t      K = weight->K;
    const int64_t      N = weight->N;
    int32_t            i = packs->n;
    while (i > 0 && packs->weights[i - 1].b > b) {
        i--;
    }
    bt_nn_weight *const at = &packs->weights[i];
    if (i > 0 && at[-1].b == b) {
        at[-1].transposed.kern = backward ? kern : at[-1].transposed.kern;
        return;
    }
    memmove(at + 1, at, (size_t)(packs->n - i) * sizeof *at);
    *at = (bt_nn_weight){.b = b,
                         .as_is = {.kern = kern, .K = K, .N = N},
                         .transposed = {.kern = backward ? kern : NULL, .K = N, .N = K}};
    packs->n++;
}

/* base NULL: counts. */
static size_t place_panels(exec_packs *packs, unsigned char *base) {
    size_t used = 0;
    for (int32_t i = 0; i < packs->n; i++) {
        bt_nn_packed *const both[] = {&packs->weights[i].as_is, &packs->weights[i].transposed};
        for (size_t j = 0; j < BT_ARRAY_LEN(both); j++) {
            if (both[j]->kern != NULL) {
                both[j]->panels = base == NULL ? NULL : base + used;
                used += exec_panels_room(bt_nn_packed_bytes(both[j]->kern, both[j]->K, both[j]->N));
            }
        }
    }
    return used;
}

static int64_t n_groups_of(const bt_nn_weight *weight) {
    const int64_t rows = bt_nn_rows_together(weight->as_is.kern);
    return (weight->as_is.K + rows - 1) / rows;
}

static int32_t find_weight(const exec_packs *packs, const float *b) {
    int32_t i = packs->n - 1;
    while (i >= 0 && packs->weights[i].b != b) {
        i--;
    }
    return i;
}

/* Who finds them by what. */
static bt_status index_weights(exec_cpu *exec, bt_error *err) {
    exec_packs *const packs = &exec->packs;
    const int64_t     n_params = exec->model->table.n_params;
    int64_t           n_groups = 0;
    packs->of_param = bt_calloc_array((size_t)n_params, sizeof *packs->of_param);
    packs->is_packed = bt_calloc_array((size_t)packs->n, sizeof *packs->is_packed);
    packs->groups = bt_calloc_array((size_t)packs->n, sizeof *packs->groups);
    if (packs->of_param == NULL || packs->is_packed == NULL || packs->groups == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the list of packed weights");
    }
    for (int64_t p = 0; p < n_params; p++) {
        packs->of_param[p] = find_weight(packs, exec_param(exec, p));
    }
    for (int32_t i = 0; i < packs->n; i++) {
        packs->groups[i] = n_groups;
        n_groups += n_groups_of(&packs->weights[i]);
    }
    packs->n_written = bt_calloc_array((size_t)n_groups, sizeof *packs->n_written);
    return packs->n_written != NULL
               ? BT_OK
               : BT_FAIL(err, BT_E_NOMEM, "out of memory for the rows of packed weights");
}

/* Where the memory for them is not there, products pack as they go. */
bt_status exec_packs_create(exec_cpu *exec, bt_error *err) {
    exec_packs *const packs = &exec->packs;
    const int64_t     n_weights = exec_n_weights(exec->model);
    packs->weights = bt_calloc_array((size_t)n_weights, sizeof *packs->weights);
    if (packs->weights == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the list of packed weights");
    }
    for (int64_t i = 0; i < n_weights; i++) {
        const exec_weight weight = exec_weight_at(exec->model, i);
        add_weight(exec, &weight);
    }
    BT_TRY(index_weights(exec, err));
    const size_t n_bytes = place_panels(packs, NULL);
    if (n_bytes > exec_memory_left(exec)) {
        return BT_OK;
    }
    packs->block = bt_alloc_array(1, n_bytes);
    if (packs->block == NULL) {
        return BT_OK;
    }
    packs->n_bytes = n_bytes;
    (void)place_panels(packs, packs->block);
    exec->nn.weights = packs->weights;
    exec->nn.n_weights = packs->n;
    return BT_OK;
}

void exec_packs_deinit(exec_packs *packs) {
    bt_free(packs->weights);
    bt_free(packs->of_param);
    bt_free(packs->is_packed);
    bt_free(packs->groups);
    bt_free(packs->n_written);
    bt_free(packs->block);
    memset(packs, 0, sizeof *packs);
}

void exec_packs_drop(exec_cpu *exec) {
    exec_packs_deinit(&exec->packs);
    exec->nn.weights = NULL;
    exec->nn.n_weights = 0;
}

void exec_packs_forget(exec_cpu *exec) {
    for (int32_t i = 0; i < exec->packs.n; i++) {
        exec->packs.is_packed[i] = false;
    }
}

static void pack_group(const bt_nn_weight *weight, int64_t group) {
    const bt_nn_packed *const as_is = &weight->as_is;
    const bt_nn_packed *const transposed = &weight->transposed;
    const int64_t             rows = bt_nn_rows_together(as_is->kern);
    const int64_t             first = group * rows;
    const int64_t             end = first + rows < as_is->K ? first + rows : as_is->K;
    bt_nn_pack_rows(as_is, weight->b, as_is->N, BT_KERN_N, first, end);
    if (transposed->panels != NULL) {
        bt_nn_pack_rows(transposed, weight->b, as_is->N, BT_KERN_T, first, end);
    }
}

static void pack_task(void *context, int64_t task, int32_t thread) {
    (void)thread;
    pack_group(context, task);
}

void exec_packs_renew(exec_cpu *exec) {
    exec_packs *const packs = &exec->packs;
    for (int32_t i = 0; i < packs->n && packs->block != NULL; i++) {
        if (!packs->is_packed[i]) {
            bt_pool_run(exec->pool, n_groups_of(&packs->weights[i]), pack_task, &packs->weights[i]);
            packs->is_packed[i] = true;
        }
    }
}

/* The chunks of an optimizer end within rows: whoever completes a group packs it, and leaves its
 * count as it is to begin in the next update. */
void exec_packs_written(void *context, int64_t param, int64_t first, int64_t n) {
    const exec_cpu *const   exec = context;
    const exec_packs *const packs = &exec->packs;
    const int32_t           i = packs->of_param[param];
    if (i < 0) {
        return;
    }
    const bt_nn_weight *const weight = &packs->weights[i];
    const int64_t             all = weight->as_is.K * weight->as_is.N;
    const int64_t             size = bt_nn_rows_together(weight->as_is.kern) * weight->as_is.N;
    for (int64_t at = first; at < first + n;) {
        const int64_t           group = at / size;
        const int64_t           end = bt_i64_min(first + n, (group + 1) * size);
        _Atomic(int64_t) *const n_written = &packs->n_written[packs->groups[i] + group];
        const int64_t           before = atomic_fetch_add(n_written, end - at);
        if (before + end - at == bt_i64_min(size, all - group * size)) {
            atomic_store(n_written, 0);
            pack_group(weight, group);
        }
        at = end;
    }
}
