/* SPDX-License-Identifier: Apache-2.0
 *
 * The loss scale of float16 (docs/model_garden/numerics.md section 10): the gradient of the loss is
 * multiplied so that what comes of it on its way back is large enough for float16, and divided out
 * of the gradients at the end. A dynamic scale doubles after 2000 good updates in a row; where
 * something overflowed, it is halved and there is no update. In the other precisions the scale is 1
 * and nothing here does anything. */
#include <math.h>

#include "bt/base/str.h"
#include "exec_cpu_internal.h"

enum { UNSCALE_CHUNK = 1 << 18 };

static const float first_infinite = 65520; /* rounds up to beyond float16's range */

void exec_scale_logits(exec_cpu *exec, const exec_pass *pass) {
    if (exec->scale.is_on) {
        exec->kern.scale(exec->acts.d_logits, (float)exec->scale.now.factor,
                         bt_model_n_logits(exec->model, pass->batch));
    }
}

typedef struct unscale_job {
    const exec_cpu *exec;
    float          *first;
    int64_t         n;
    float           factor;
    bool            is_f16;
} unscale_job;

static void unscale_task(void *context, int64_t task, int32_t thread) {
    (void)thread;
    const unscale_job *const job = context;
    const bt_pool_piece      piece = bt_pool_piece_of(job->n, UNSCALE_CHUNK, task);
    float *const             x = job->first + piece.first;
    for (int64_t i = 0; job->is_f16 && i < piece.n; i++) {
        x[i] = fabsf(x[i]) < first_infinite ? x[i] : x[i] * INFINITY;
    }
    job->exec->kern.scale(x, job->factor, piece.n);
}

static void unscale(exec_cpu *exec, float *first, int64_t n, bool is_f16) {
    unscale_job job = {.exec = exec, .first = first, .n = n, .is_f16 = is_f16};
    job.factor = (float)(1 / exec->scale.now.factor);
    bt_pool_run(exec->pool, bt_pool_n_pieces(n, UNSCALE_CHUNK), unscale_task, &job);
}

/* Model Garden's gradients of these are float16, and infinite beyond its range: so they are here,
 * which makes the same updates overflow. */
static bool is_f16_there(const char *name) {
    return bt_str_ends_with(name, "/kernel") || bt_str_ends_with(name, "/bias");
}

/* Where rows of the word table wait, all but those of the batch are 0. */
static void unscale_batch_rows(exec_cpu *exec, const bt_param *word) {
    int64_t              n = 0;
    const int32_t *const ids = bt_optim_rows_batch(exec->rows, &n);
    for (int64_t i = 0; i < n; i++) {
        unscale(exec, exec->base.grad + word->offset + ids[i] * word->dim[1], word->dim[1], false);
    }
}

void exec_unscale_gradients(exec_cpu *exec, int64_t n_tokens, double *word_rows_sum_sq) {
    const bt_param_table *const table = &exec->model->table;
    if (!exec->scale.is_on) {
        return;
    }
    for (int64_t i = 0; i < table->n_params; i++) {
        const bt_param *const param = &table->params[i];
        if (exec->grad_kinds[i] == EXEC_GRAD_WAITING_ROWS) {
            unscale_batch_rows(exec, param);
        } else if (param->has_gradient) {
            unscale(exec, exec->base.grad + param->offset, param->n_elements,
                    is_f16_there(param->name));
        }
    }
    if (exec->optim != NULL && bt_optim_needs_word_rows(exec->optim)) {
        unscale(exec, exec->acts.grad_embedding, n_tokens * exec->model->encoder.embedding_size,
                false);
    }
    *word_rows_sum_sq /= exec->scale.now.factor * exec->scale.now.factor;
}

bt_loss_scale exec_cpu_get_loss_scale(const bt_exec *base) {
    return exec_cpu_seen(base)->scale.now;
}

void exec_cpu_set_loss_scale(bt_exec *base, bt_loss_scale scale) {
    exec_cpu *const exec = exec_cpu_of(base);
    if (exec->scale.is_dynamic) {
        exec->scale.now = scale;
    }
}
