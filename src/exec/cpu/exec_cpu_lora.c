/* SPDX-License-Identifier: Apache-2.0
 *
 * Adapters beside a dense layer: out += scale * (dropout(in) A) B. Thin products of their own, so
 * that the kernel is never changed, its gradient is never made, and there is nothing merged that
 * could be stale. */
#include "exec_cpu_internal.h"

enum { ADD_CHUNK = 1 << 16 };

/* c [M,N] (+)= alpha * op(a) op(b) */
typedef struct thin {
    const float *a, *b;
    bool         trans_a, trans_b;
    int64_t      M, N, K;
    float        alpha;
    bool         adds;
} thin;

static void multiply(exec_cpu *exec, float *c, thin t) {
    const bt_nn_product product = {.c = c,
                                   .ld_c = t.N,
                                   .a = t.a,
                                   .ld_a = t.trans_a ? t.M : t.K,
                                   .trans_a = t.trans_a ? BT_KERN_T : BT_KERN_N,
                                   .b = t.b,
                                   .ld_b = t.trans_b ? t.K : t.N,
                                   .trans_b = t.trans_b ? BT_KERN_T : BT_KERN_N,
                                   .M = t.M,
                                   .N = t.N,
                                   .K = t.K,
                                   .alpha = t.alpha,
                                   .accumulate = t.adds};
    bt_nn_product_run(&exec->nn, &product);
}

static bt_nn_dropout dropout_of(const exec_cpu *exec, const exec_lora *l) {
    return exec_dropout(l->pass, (uint32_t)l->layer,
                        (bt_rng_site)(BT_SITE_LORA_DROPOUT + (int)l->target),
                        exec->model->encoder.lora.dropout_rate, l->row_ids);
}

/* What the first factor reads: in, or what dropout leaves of it. */
static const float *dropped(exec_cpu *exec, const exec_lora *l, const float *in, int64_t R,
                            int64_t K) {
    const bt_nn_dropout dropout = dropout_of(exec, l);
    if (!dropout.rate.on) {
        return in;
    }
    bt_nn_dropout_apply(&exec->nn, exec->acts.lora_in, in, &dropout, R, K);
    return exec->acts.lora_in;
}

void exec_lora_forward(exec_cpu *exec, bt_dense_index dense, const exec_lora *l,
                       const exec_lora_rows *x) {
    const bt_lora_config *const lora = &exec->model->encoder.lora;
    float *const                mid = exec->acts.lora_mid;
    if (dense.lora_a < 0) {
        return;
    }
    multiply(exec, mid,
             (thin){.a = dropped(exec, l, x->in, x->R, x->K),
                    .b = exec_param(exec, dense.lora_a),
                    .M = x->R,
                    .N = lora->rank,
                    .K = x->K,
                    .alpha = 1});
    multiply(exec, x->out,
             (thin){.a = mid,
                    .b = exec_param(exec, dense.lora_b),
                    .M = x->R,
                    .N = x->N,
                    .K = lora->rank,
                    .alpha = lora->scale,
                    .adds = true});
}

void exec_lora_backward(exec_cpu *exec, bt_dense_index dense, const exec_dense *d) {
    const int64_t rank = exec->model->encoder.lora.rank;
    const float   scale = exec->model->encoder.lora.scale;
    float *const  mid = exec->acts.lora_mid;
    float *const  d_mid = exec->acts.lora_d_mid;
    if (dense.lora_a < 0) {
        return;
    }
    const float *const in = dropped(exec, &d->lora, d->in.f, d->R, d->K);
    const float *const a = exec_param(exec, dense.lora_a);
    const float *const b = exec_param(exec, dense.lora_b);
    multiply(exec, mid, (thin){.a = in, .b = a, .M = d->R, .N = rank, .K = d->K, .alpha = 1});
    multiply(exec, exec_grad(exec, dense.lora_b),
             (thin){.a = mid,
                    .trans_a = true,
                    .b = d->d_out.f,
                    .M = rank,
                    .N = d->N,
                    .K = d->R,
                    .alpha = scale,
                    .adds = true});
    multiply(exec, d_mid,
             (thin){.a = d->d_out.f,
                    .b = b,
                    .trans_b = true,
                    .M = d->R,
                    .N = rank,
                    .K = d->N,
                    .alpha = scale});
    multiply(exec, exec_grad(exec, dense.lora_a),
             (thin){.a = in,
                    .trans_a = true,
                    .b = d_mid,
                    .M = d->K,
                    .N = rank,
                    .K = d->R,
                    .alpha = 1,
                    .adds = true});
}

typedef struct add_job {
    const exec_cpu *exec;
    float          *to;
    const float    *more;
    int64_t         n;
} add_job;

static void add_task(void *context, int64_t task, int32_t thread) {
    const add_job *const job = context;
    const bt_pool_piece  piece = bt_pool_piece_of(job->n, ADD_CHUNK, task);
    float *const         to = job->to + piece.first;
    (void)thread;
    job->exec->kern.add(to, to, job->more + piece.first, piece.n);
}

void exec_lora_backward_input(exec_cpu *exec, bt_dense_index dense, const exec_dense *d) {
    if (dense.lora_a < 0 || d->d_in.f == NULL) {
        return;
    }
    const bt_nn_dropout dropout = dropout_of(exec, &d->lora);
    const bool          drops = dropout.rate.on;
    float *const        d_in = drops ? exec->acts.lora_in : d->d_in.f;
    multiply(exec, d_in,
             (thin){.a = exec->acts.lora_d_mid,
                    .b = exec_param(exec, dense.lora_a),
                    .trans_b = true,
                    .M = d->R,
                    .N = d->K,
                    .K = exec->model->encoder.lora.rank,
                    .alpha = 1,
                    .adds = !drops});
    if (drops) {
        add_job job = {.exec = exec, .to = d->d_in.f, .more = d_in, .n = d->R * d->K};
        bt_nn_dropout_apply(&exec->nn, d_in, d_in, &dropout, d->R, d->K);
        bt_pool_run(exec->pool, bt_pool_n_pieces(job.n, ADD_CHUNK), add_task, &job);
    }
}
