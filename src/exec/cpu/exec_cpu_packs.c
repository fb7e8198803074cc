/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights that stay packed for the products between steps, where the processor multiplies in
 * bfloat16: half the bytes of a float32 each way, in the order in which a product reads them. Each
 * is packed before the first pass and again before the first pass after it changed; what is frozen
 * is packed once. Products find them by the place of the weight (bt_nn_weight) and give the same
 * bits as when they pack it themselves. */
#include <string.h>

#include "bt/base/alloc.h"
#include "exec_cpu_internal.h"

enum { DENSE_OF_LAYER = 6, DENSE_BESIDE = 2, PANELS_A_TASK = 4, ALIGNMENT = 64 };

static size_t aligned(size_t n_bytes) {
    return (n_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Beside, and in the order of their places. */
static void add_weight(exec_cpu *exec, bt_dense_index dense, bool is_read_backward) {
    exec_packs *const            packs = &exec->packs;
    const bt_kern_product *const kern = exec->nn.product;
    if (dense.kernel < 0) {
        return;
    }
    const bt_param *const param = &exec->model->table.params[dense.kernel];
    const int64_t         K = param->dim[0];
    const int64_t         N = param->dim[1];
    int32_t               i = packs->n++;
    for (; i > 0 && packs->weights[i - 1].b > exec_param(exec, dense.kernel); i--) {
        packs->weights[i] = packs->weights[i - 1];
        packs->params[i] = packs->params[i - 1];
    }
    packs->params[i] = dense.kernel;
    packs->weights[i] =
        (bt_nn_weight){.b = exec_param(exec, dense.kernel),
                       .as_is = {.kern = kern, .K = K, .N = N},
                       .transposed = {.kern = is_read_backward ? kern : NULL, .K = N, .N = K}};
}

/* Layers below exec->lowest have no backward; nor has an engine without optimizer, whose gradients
 * are for tests. */
static void add_weights(exec_cpu *exec) {
    const bt_model *const m = exec->model;
    for (int64_t l = 0; l < m->encoder.num_layers; l++) {
        const bt_layer_index *const layer = &m->layers[l];
        const bool                  trains = exec->optim != NULL && l >= exec->lowest;
        const bool has_input = trains && (l > exec->lowest || m->encoder.norm_first);
        add_weight(exec, layer->query, has_input);
        add_weight(exec, layer->key, has_input);
        add_weight(exec, layer->value, has_input);
        add_weight(exec, layer->attention_output, trains);
        add_weight(exec, layer->intermediate, trains);
        add_weight(exec, layer->output, trains);
    }
    add_weight(exec, m->embedding_projection, exec->optim != NULL && exec->lowest < 0);
    add_weight(exec, m->pooler_transform, exec->optim != NULL);
}

/* base NULL: counts. */
static size_t place_panels(exec_packs *packs, unsigned char *base) {
    size_t used = 0;
    for (int32_t i = 0; i < packs->n; i++) {
        bt_nn_packed *const both[] = {&packs->weights[i].as_is, &packs->weights[i].transposed};
        for (size_t j = 0; j < BT_ARRAY_LEN(both); j++) {
            if (both[j]->kern != NULL) {
                both[j]->panels = base == NULL ? NULL : base + used;
                used += aligned(bt_nn_packed_bytes(both[j]->kern, both[j]->K, both[j]->N));
            }
        }
    }
    return used;
}

/* Where the memory for them is not there, products pack as they go. */
bt_status exec_packs_create(exec_cpu *exec, bt_error *err) {
    exec_packs *const            packs = &exec->packs;
    const bt_kern_product *const kern = exec->nn.product;
    const size_t most = (size_t)exec->model->encoder.num_layers * DENSE_OF_LAYER + DENSE_BESIDE;
    if (kern == NULL || kern->pack_a16 == NULL || kern->element_bytes != sizeof(uint16_t)) {
        return BT_OK;
    }
    packs->weights = bt_calloc_array(most, sizeof *packs->weights);
    packs->params = bt_calloc_array(most, sizeof *packs->params);
    packs->is_packed = bt_calloc_array(most, sizeof *packs->is_packed);
    if (packs->weights == NULL || packs->params == NULL || packs->is_packed == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the list of packed weights");
    }
    add_weights(exec);
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
    bt_free(packs->params);
    bt_free(packs->is_packed);
    bt_free(packs->block);
    memset(packs, 0, sizeof *packs);
}

void exec_packs_drop(exec_cpu *exec) {
    exec_packs_deinit(&exec->packs);
    exec->nn.weights = NULL;
    exec->nn.n_weights = 0;
}

void exec_packs_forget(exec_cpu *exec, bool only_trained) {
    exec_packs *const packs = &exec->packs;
    for (int32_t i = 0; i < packs->n; i++) {
        const bt_param *const param = &exec->model->table.params[packs->params[i]];
        packs->is_packed[i] = packs->is_packed[i] && only_trained && !param->has_gradient;
    }
}

/* Of one weight: the tasks of the one way, then of the other. */
typedef struct pack_job {
    const bt_nn_weight *weight;
    int64_t             n_as_is; /* tasks */
} pack_job;

static int64_t n_tasks_of(const bt_nn_packed *packed) {
    return packed->panels == NULL
               ? 0
               : (bt_nn_packed_n_panels(packed) + PANELS_A_TASK - 1) / PANELS_A_TASK;
}

static void pack_task(void *context, int64_t task, int32_t thread) {
    const pack_job *const     job = context;
    const bool                is_back = task >= job->n_as_is;
    const bt_nn_packed *const packed = is_back ? &job->weight->transposed : &job->weight->as_is;
    const int64_t             first = (is_back ? task - job->n_as_is : task) * PANELS_A_TASK;
    const int64_t             left = bt_nn_packed_n_panels(packed) - first;
    (void)thread;
    bt_nn_pack(packed, job->weight->b, job->weight->as_is.N, is_back ? BT_KERN_T : BT_KERN_N, first,
               first + (left < PANELS_A_TASK ? left : PANELS_A_TASK));
}

void exec_packs_renew(exec_cpu *exec) {
    exec_packs *const packs = &exec->packs;
    for (int32_t i = 0; i < packs->n && packs->block != NULL; i++) {
        const bt_nn_weight *const weight = &packs->weights[i];
        pack_job                  job = {.weight = weight, .n_as_is = n_tasks_of(&weight->as_is)};
        if (!packs->is_packed[i]) {
            bt_pool_run(exec->pool, job.n_as_is + n_tasks_of(&weight->transposed), pack_task, &job);
            packs->is_packed[i] = true;
        }
    }
}
