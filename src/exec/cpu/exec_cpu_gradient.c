/* SPDX-License-Identifier: Apache-2.0
 *
 * The gradients' buffer within a step. Everything in it is added to. What is not 0 from the last
 * step is cleared, but for two kinds that need no pass over memory: the kernel of a dense layer is
 * overwritten by its first product, and the word table's gradient is 0 but for the rows of the last
 * batch where the other rows wait. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "exec_cpu_weights.h"

enum { ZERO_CHUNK = 1 << 18 };

static void mark_dense(exec_cpu *exec, bt_dense_index dense) {
    if (dense.kernel >= 0 && exec->model->table.params[dense.kernel].has_gradient) {
        exec->grad_kinds[dense.kernel] = EXEC_GRAD_KERNEL;
    }
}

/* What no trained parameter lies below needs no gradient. */
static int64_t find_lowest(const bt_model *m) {
    int64_t lowest = m->encoder.num_layers;
    for (int64_t i = 0; i < m->table.n_params; i++) {
        const bt_param *const param = &m->table.params[i];
        if (param->has_gradient && param->depth - 1 < lowest) {
            lowest = param->depth - 1;
        }
    }
    return lowest;
}

bt_status exec_gradients_plan(exec_cpu *exec, bt_error *err) {
    const bt_model *const m = exec->model;
    exec->grad_kinds = bt_calloc_array((size_t)m->table.n_params + 1, sizeof *exec->grad_kinds);
    if (exec->grad_kinds == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the kinds of %" PRId64 " gradients",
                       m->table.n_params);
    }
    exec->lowest = find_lowest(m);
    for (int64_t i = 0; i < exec_n_weights(m); i++) {
        mark_dense(exec, exec_weight_at(m, i).dense);
    }
    mark_dense(exec, m->head_pooler);
    mark_dense(exec, m->head_logits);
    if (exec->rows != NULL) {
        exec->grad_kinds[m->word_embeddings] = EXEC_GRAD_WAITING_ROWS;
    }
    return BT_OK;
}

typedef struct zero_job {
    float  *first;
    int64_t n;
} zero_job;

static void zero_task(void *context, int64_t task, int32_t thread) {
    (void)thread;
    const zero_job *const job = context;
    const bt_pool_piece   piece = bt_pool_piece_of(job->n, ZERO_CHUNK, task);
    memset(job->first + piece.first, 0, (size_t)piece.n * sizeof *job->first);
}

static void zero_batch_rows(exec_cpu *exec, const bt_param *word) {
    int64_t              n = 0;
    const int32_t *const ids = bt_optim_rows_batch(exec->rows, &n);
    for (int64_t i = 0; i < n; i++) {
        memset(exec->base.grad + word->offset + ids[i] * word->dim[1], 0,
               (size_t)word->dim[1] * sizeof *exec->base.grad);
    }
}

void exec_zero_gradients(exec_cpu *exec) {
    for (int64_t i = 0; i < exec->model->table.n_params; i++) {
        const bt_param *const param = &exec->model->table.params[i];
        zero_job job = {.first = exec->base.grad + param->offset, .n = param->n_elements};
        switch (exec->grad_kinds[i]) {
        case EXEC_GRAD_SUM:
            if (param->has_gradient) {
                bt_pool_run(exec->pool, bt_pool_n_pieces(job.n, ZERO_CHUNK), zero_task, &job);
            }
            break;
        case EXEC_GRAD_KERNEL:
        case EXEC_GRAD_KERNEL_WRITTEN:
            exec->grad_kinds[i] = EXEC_GRAD_KERNEL;
            break;
        case EXEC_GRAD_WAITING_ROWS:
            zero_batch_rows(exec, param);
            break;
        }
    }
}

static void dense16_backward(exec_cpu *exec, bt_dense_index dense, const exec_dense *d,
                             bool add_to_kernel) {
    const bt_nn_dense16 layer = {
        .kernel = exec_param(exec, dense.kernel), .R = d->R, .K = d->K, .N = d->N};
    float *const d_kernel = exec_grad(exec, dense.kernel);
    BT_ASSERT(d->without_bias && dense.lora_a < 0);
    if (d_kernel != NULL) {
        bt_nn_dense16_backward_kernel(&exec->nn, d_kernel, d->d_out.h, d->in.h, &layer,
                                      add_to_kernel);
    }
    if (d->d_in.f != NULL || d->d_in.h != NULL) {
        bt_nn_dense16_backward_input(&exec->nn, d->d_in.f, d->d_in.h, d->d_out.h, &layer,
                                     d->add_to_d_in);
    }
}

void exec_dense_backward(exec_cpu *exec, bt_dense_index dense, const exec_dense *d) {
    const bool is_written = exec->grad_kinds[dense.kernel] != EXEC_GRAD_KERNEL;
    if (d->in.h != NULL) {
        dense16_backward(exec, dense, d, is_written);
    } else {
        exec_lora_backward(exec, dense, d);
        bt_nn_dense_backward(&exec->nn, d->d_in.f, exec_grad(exec, dense.kernel),
                             d->without_bias ? NULL : exec_grad(exec, dense.bias), d->d_out.f,
                             d->in.f, exec_param(exec, dense.kernel), d->R, d->K, d->N,
                             d->add_to_d_in, is_written);
        exec_lora_backward_input(exec, dense, d);
    }
    if (!is_written) {
        exec->grad_kinds[dense.kernel] = EXEC_GRAD_KERNEL_WRITTEN;
    }
}

static void each_backward(exec_cpu *exec, const bt_dense_index *dense, const exec_dense *d,
                          int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        exec_dense each = d[i];
        each.d_in = d->d_in;
        each.add_to_d_in = d->add_to_d_in || i > 0;
        exec_dense_backward(exec, dense[i], &each);
    }
}

void exec_denses_backward(exec_cpu *exec, const bt_dense_index *dense, const exec_dense *d,
                          int32_t n) {
    const bt_nn_beside_in x = {.in = d->in.f, .in16 = d->in.h, .R = d->R, .K = d->K, .N = d->N};
    bt_nn_beside          all[BT_NN_MOST_PRODUCTS] = {{.kernel = NULL}};
    for (int32_t i = 0; i < n; i++) {
        if (dense[i].lora_a >= 0) { /* an adapter's part comes between the layers' */
            each_backward(exec, dense, d, n);
            return;
        }
        all[i] = (bt_nn_beside){.kernel = exec_param(exec, dense[i].kernel),
                                .d_out = d[i].d_out.f,
                                .d_out16 = d[i].d_out.h,
                                .d_kernel = exec_grad(exec, dense[i].kernel),
                                .d_bias = d[i].without_bias ? NULL : exec_grad(exec, dense[i].bias),
                                .add_to_d_kernel =
                                    exec->grad_kinds[dense[i].kernel] != EXEC_GRAD_KERNEL};
    }
    bt_nn_beside_backward(&exec->nn, all, n, &x, d->d_in.f, d->add_to_d_in);
    for (int32_t i = 0; i < n; i++) {
        if (exec->grad_kinds[dense[i].kernel] == EXEC_GRAD_KERNEL) {
            exec->grad_kinds[dense[i].kernel] = EXEC_GRAD_KERNEL_WRITTEN;
        }
    }
}
