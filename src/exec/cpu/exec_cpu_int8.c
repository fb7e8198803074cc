/* SPDX-License-Identifier: Apache-2.0
 *
 * The encoder in 8 bits (bt/nn/dense_int8.h). Its dense layers keep their weights in panels of
 * bytes; the floats of each are given back before the next one is rounded. Everything else is
 * computed as in float32: norms, activations, attention, and what the head makes of the encoder's
 * output.
 *
 * Between two attentions, rows know nothing of each other: one pass takes a block of them from the
 * context of a layer to query, key and value of the next one while it stays in a core's caches.
 * That pass works in place, on acts.embedded (or, where the last layer has first tokens only, on
 * acts.residual). */
#include "exec_cpu_int8.h"

#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/size.h"
#include "bt/base/time.h"
#include "bt/nn/dense_int8.h"
#include "exec_cpu_panels.h"
#include "exec_cpu_weights.h"

enum { TASKS_A_THREAD = 4 };

struct exec_int8 {
    const bt_kern_int8 *kern;
    bt_nn_int8_dense  **dense; /* owned; [n] by the index of its kernel in the model's table; NULL:
                                * not in 8 bits */
    int64_t n;
    size_t  n_bytes, n_bytes_before;
    bool    is_whole;  /* else some weights are floats yet */
    bool    is_broken; /* or neither here nor floats */
    bool    is_told;   /* somebody knows what became of them */
};

void exec_int8_free(exec_int8 *int8) {
    if (int8 == NULL) {
        return;
    }
    for (int64_t i = 0; int8->dense != NULL && i < int8->n; i++) {
        bt_nn_int8_dense_free(int8->dense[i]);
    }
    bt_free(int8->dense);
    bt_free(int8);
}

size_t exec_int8_bytes(const exec_int8 *int8) {
    return int8 == NULL ? 0 : int8->n_bytes;
}

/* A thread's scratch, and how it is cut. */
typedef struct block {
    void  *rounded; /* what products read */
    float *normed;  /* [rows, H] */
    float *ffn;     /* [rows, I] */
    float *mean, *rstd;
} block;

static size_t rounded_bytes(const exec_int8 *int8, const bt_encoder_config *e) {
    const int64_t widest =
        bt_i64_max(e->embedding_size, bt_i64_max(e->hidden_size, e->intermediate_size));
    return bt_nn_int8_rows_bytes(int8->kern, widest);
}

size_t exec_int8_scratch_bytes(const exec_int8 *int8, const bt_model *model) {
    if (int8 == NULL) {
        return 0;
    }
    const bt_encoder_config *const e = &model->encoder;
    const size_t                   rows = (size_t)bt_nn_int8_max_rows(int8->kern);
    const size_t floats = rows * (size_t)(e->hidden_size + e->intermediate_size + 2);
    return rounded_bytes(int8, e) + floats * sizeof(float) + BT_KERN_INT8_DEPTH_STEP;
}

static block block_of(const exec_cpu *exec, int32_t thread) {
    const bt_encoder_config *const e = &exec->model->encoder;
    unsigned char *const           at = exec->nn.panels + (size_t)thread * exec->nn.panel_bytes;
    const int64_t                  rows = bt_nn_int8_max_rows(exec->int8->kern);
    float *const                   floats = (float *)(void *)(at + rounded_bytes(exec->int8, e));
    float *const                   ffn = floats + rows * e->hidden_size;
    float *const                   mean = ffn + rows * e->intermediate_size;
    return (block){.rounded = at, .normed = floats, .ffn = ffn, .mean = mean, .rstd = mean + rows};
}

/* What a pass over rows does: first what follows a layer's attention, then what the next one's
 * needs. */
typedef struct rows_job {
    exec_cpu *exec;
    float    *x;     /* [R,H] */
    int64_t   after; /* the layer whose attention was made; -1: the embedding was */
    int64_t   next;  /* the layer whose attention comes; -1: none */
    bool      asks;  /* that has queries of all these rows; else keys and values only */
    bool      only_asks;
    int64_t   R, rows; /* of a task */
} rows_job;

static void norm_rows(const rows_job *job, const block *b, bt_norm_index norm, float *out,
                      const float *in, int64_t n_rows) {
    const exec_cpu *const exec = job->exec;
    const bt_nn_norm      n = exec_norm(exec, norm, b->mean, b->rstd);
    exec->kern.norm_forward(out, n.mean, n.rstd, in, n.gain, n.bias, n_rows,
                            exec->model->encoder.hidden_size, n.eps);
}

static void dense_rows(const rows_job *job, float *out, const bt_nn_int8_rows *in,
                       bt_dense_index dense, bool accumulate) {
    const exec_int8 *const int8 = job->exec->int8;
    bt_nn_int8_dense_forward(int8->kern, out, in, int8->dense[dense.kernel], accumulate);
}

static bt_nn_int8_rows round_rows(const rows_job *job, const block *b, const float *in,
                                  int64_t n_rows, int64_t K) {
    return bt_nn_int8_round(job->exec->int8->kern, b->rounded, in, n_rows, K);
}

/* x [n,H], the layer's input, becomes its output. */
static void finish_layer(const rows_job *job, const block *b, float *x, int64_t row, int64_t n) {
    const exec_cpu *const          exec = job->exec;
    const bt_encoder_config *const e = &exec->model->encoder;
    const bt_layer_index *const    p = &exec->model->layers[job->after];
    const int64_t                  H = e->hidden_size;
    const int64_t                  I = e->intermediate_size;
    const float *const             context = exec->acts.layers[job->after].context.f + row * H;
    bt_nn_int8_rows                rounded = round_rows(job, b, context, n, H);
    float *const                   ffn_in = e->norm_first ? b->normed : x;
    dense_rows(job, x, &rounded, p->attention_output, true);
    norm_rows(job, b, e->norm_first ? p->output_norm : p->attention_norm, ffn_in, x, n);
    rounded = round_rows(job, b, ffn_in, n, H);
    dense_rows(job, b->ffn, &rounded, p->intermediate, false);
    exec->kern.act_forward[e->hidden_activation](b->ffn, b->ffn, n * I);
    rounded = round_rows(job, b, b->ffn, n, I);
    dense_rows(job, x, &rounded, p->output, true);
    if (!e->norm_first) {
        norm_rows(job, b, p->output_norm, x, x, n);
    }
}

static void begin_layer(const rows_job *job, const block *b, float *x, int64_t row, int64_t n) {
    const exec_cpu *const       exec = job->exec;
    const bt_layer_index *const p = &exec->model->layers[job->next];
    const exec_layer *const     l = &exec->acts.layers[job->next];
    const int64_t               H = exec->model->encoder.hidden_size;
    const float                *in = x;
    if (exec->model->encoder.norm_first) {
        norm_rows(job, b, p->attention_norm, b->normed, x, n);
        in = b->normed;
    }
    const bt_nn_int8_rows rounded = round_rows(job, b, in, n, H);
    if (job->asks) {
        dense_rows(job, l->q.f + row * H, &rounded, p->query, false);
    }
    if (!job->only_asks) {
        dense_rows(job, l->k.f + row * H, &rounded, p->key, false);
        dense_rows(job, l->v.f + row * H, &rounded, p->value, false);
    }
}

static void project(const rows_job *job, const block *b, float *x, int64_t row, int64_t n) {
    const exec_cpu *const exec = job->exec;
    const int64_t         E = exec->model->encoder.embedding_size;
    if (exec->acts.embedded != exec->acts.embedding_out) {
        const bt_nn_int8_rows rounded =
            round_rows(job, b, exec->acts.embedding_out + row * E, n, E);
        dense_rows(job, x, &rounded, exec->model->embedding_projection, false);
    }
}

static void rows_task(void *context, int64_t task, int32_t thread) {
    const rows_job *const job = context;
    const bt_kern_int8   *kern = job->exec->int8->kern;
    const int64_t         row = task * job->rows;
    const int64_t         n = job->R - row < job->rows ? job->R - row : job->rows;
    float *const          x = job->x + row * job->exec->model->encoder.hidden_size;
    const block           b = block_of(job->exec, thread);
    if (kern->start != NULL) {
        kern->start();
    }
    if (job->after >= 0) {
        finish_layer(job, &b, x, row, n);
    } else if (!job->only_asks) {
        project(job, &b, x, row, n);
    }
    if (job->next >= 0) {
        begin_layer(job, &b, x, row, n);
    }
    if (kern->stop != NULL) {
        kern->stop();
    }
}

/* Multiply-adds of a row. */
static int64_t work_of(const rows_job *job) {
    const bt_encoder_config *const e = &job->exec->model->encoder;
    const int64_t                  H = e->hidden_size;
    const int64_t after = job->after >= 0 ? H * H + 2 * H * e->intermediate_size : 0;
    const int64_t n_next = job->next < 0 ? 0 : (job->asks ? 1 : 0) + (job->only_asks ? 0 : 2);
    return after + n_next * H * H;
}

static void run_rows(rows_job *job) {
    bt_nn *const  nn = &job->exec->nn;
    const double  start = bt_time_monotonic();
    const int64_t tile = job->exec->int8->kern->rows;
    const int64_t most = bt_nn_int8_max_rows(job->exec->int8->kern);
    const int64_t n_tasks = (int64_t)bt_pool_n_threads(nn->pool) * TASKS_A_THREAD;
    const int64_t share = (job->R + n_tasks - 1) / n_tasks;
    const int64_t tiles = (share + tile - 1) / tile * tile;
    job->rows = tiles < most ? tiles : most;
    bt_pool_run(nn->pool, (job->R + job->rows - 1) / job->rows, rows_task, job);
    nn->products.seconds += bt_time_monotonic() - start;
    nn->products.flops += 2 * (double)work_of(job) * (double)job->R;
    nn->products.n_calls++;
}

/* Queries of first tokens alone: x becomes their rows. */
static void ask_first(rows_job *job, const exec_pass *pass, int64_t layer) {
    exec_cpu *const exec = job->exec;
    const int64_t   B = pass->batch->n_seqs;
    bt_nn_rows_gather(&exec->nn, exec->acts.residual, job->x, exec->acts.first_ids, B,
                      exec->model->encoder.hidden_size);
    *job = (rows_job){.exec = exec,
                      .x = exec->acts.residual,
                      .after = -1,
                      .next = layer,
                      .asks = true,
                      .only_asks = true,
                      .R = B};
    run_rows(job);
    job->only_asks = false;
}

const float *exec_int8_encoder_forward(exec_cpu *exec, const exec_pass *pass) {
    bt_nn *const          nn = &exec->nn;
    const bt_nn_embedding embedding = exec_embedding(exec, pass, NULL);
    rows_job              job = {.exec = exec,
                                 .x = exec->acts.embedded,
                                 .after = -1,
                                 .next = pass->n_layers > 0 ? 0 : -1,
                                 .R = pass->batch->n_tokens};
    BT_ASSERT(!pass->dropout);
    bt_nn_embedding_forward(nn, &embedding, exec->acts.embedding_out);
    job.asks = !exec_is_first_only(exec, pass, 0);
    run_rows(&job);
    for (int64_t layer = 0; layer < pass->n_layers; layer++) {
        const exec_layer *const l = &exec->acts.layers[layer];
        if (exec_is_first_only(exec, pass, layer)) {
            ask_first(&job, pass, layer);
        }
        const bt_nn_attention attention = exec_attention(exec, pass, layer);
        bt_nn_attention_forward(nn, l->context.f, l->max, l->inv_sum, l->q.f, l->k.f, l->v.f,
                                &attention);
        job.after = layer;
        job.next = layer + 1 < pass->n_layers ? layer + 1 : -1;
        job.asks = job.next >= 0 && !exec_is_first_only(exec, pass, job.next);
        run_rows(&job);
    }
    return job.x;
}

bool exec_int8_is_whole(const exec_cpu *exec) {
    return exec->int8 != NULL && exec->int8->is_whole;
}

bt_status exec_int8_check(const exec_cpu *exec, bt_error *err) {
    return exec->int8 != NULL && !exec->int8->is_whole
               ? BT_FAIL(err, BT_E_INTERNAL, "not all of this engine's weights were rounded")
               : BT_OK;
}

bt_status exec_int8_begin(exec_cpu *exec, bt_error *err) {
    exec_int8 *const int8 = bt_calloc_array(1, sizeof *int8);
    if (int8 == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the weights in 8 bits");
    }
    exec->int8 = int8;
    exec->is_16 = false; /* what is rounded is float32 */
    int8->kern = bt_kern_int8_choose(exec->kern.isa);
    int8->n = exec->model->table.n_params;
    int8->dense = bt_calloc_array((size_t)int8->n, sizeof(bt_nn_int8_dense *));
    return int8->dense != NULL
               ? BT_OK
               : BT_FAIL(err, BT_E_NOMEM, "out of memory for the weights in 8 bits");
}

/* After a failure there is nothing to go on with. */
bt_status exec_int8_round(exec_cpu *exec, const exec_weight *weight, const float *kernel,
                          bt_error *err) {
    exec_int8 *const  int8 = exec->int8;
    const int64_t     param = weight->dense.kernel;
    const char *const name = exec->model->table.params[param].name;
    bt_nn_int8_dense *dense = NULL;
    if (int8->is_broken) {
        return exec_int8_check(exec, err);
    }
    int8->is_broken = true;
    BT_TRY(
        bt_nn_int8_dense_create(exec->pool, kernel, NULL, weight->K, weight->N, name, &dense, err));
    int8->is_broken = false;
    if (int8->dense[param] == NULL) {
        int8->n_bytes += bt_nn_int8_dense_bytes(dense);
        int8->n_bytes_before += (size_t)(weight->K * weight->N) * sizeof *kernel;
    }
    bt_nn_int8_dense_free(int8->dense[param]);
    int8->dense[param] = dense;
    return BT_OK;
}

/* The pooler is the head's, and stays. */
bool exec_int8_has(const exec_cpu *exec, const exec_weight *weight) {
    return exec->int8 != NULL && weight->dense.kernel >= 0 &&
           weight->layer < exec->model->encoder.num_layers;
}

/* Of those that are floats yet; of ALBERT several layers have the same one. Nobody reads the floats
 * any more, and where they lie stays the buffer's. */
static bt_status round_floats(exec_cpu *exec, bt_error *err) {
    for (int64_t i = 0; i < exec_n_weights(exec->model); i++) {
        const exec_weight weight = exec_weight_at(exec->model, i);
        const int64_t     param = weight.dense.kernel;
        const size_t      n_bytes = (size_t)(weight.K * weight.N) * sizeof(float);
        if (exec_int8_has(exec, &weight) && exec->int8->dense[param] == NULL) {
            BT_TRY(exec_int8_round(exec, &weight, exec_param(exec, param), err));
            bt_alloc_release(exec->base.param + exec->model->table.params[param].offset, n_bytes);
            exec->released_bytes += n_bytes;
        }
    }
    return BT_OK;
}

static void set_biases(exec_cpu *exec) {
    for (int64_t i = 0; i < exec_n_weights(exec->model); i++) {
        const exec_weight weight = exec_weight_at(exec->model, i);
        if (exec_int8_has(exec, &weight)) {
            bt_nn_int8_dense_set_bias(exec->int8->dense[weight.dense.kernel],
                                      exec_param(exec, weight.dense.bias));
        }
    }
}

/* Kernels that have adapters were not rounded yet: exec_panels_list. */
bt_status exec_int8_finish(exec_cpu *exec, bt_error *err) {
    if (exec->int8 == NULL || exec->int8->is_whole) {
        return BT_OK;
    }
    bt_model_merge_lora(exec->model, exec->base.param);
    BT_TRY(round_floats(exec, err));
    set_biases(exec);
    exec->int8->is_whole = true;
    exec_cpu_note_products(exec, exec->int8->kern->name);
    return BT_OK;
}

static bt_exec_rounded rounded_of(exec_int8 *int8) {
    int8->is_told = true;
    return (bt_exec_rounded){.kernels = int8->kern->name,
                             .n_bytes = int8->n_bytes,
                             .n_bytes_before = int8->n_bytes_before};
}

bt_status exec_cpu_round_weights(bt_exec *base, bt_exec_rounded *out, bt_error *err) {
    exec_cpu *const exec = exec_cpu_of(base);
    if (exec->int8 != NULL && exec->int8->is_whole && !exec->int8->is_told) {
        *out = rounded_of(exec->int8);
        return BT_OK;
    }
    if (exec->int8 != NULL) {
        return BT_FAIL(err, BT_E_INTERNAL, "the weights are in 8 bits already");
    }
    BT_TRY(exec_panels_check_none(exec, err));
    BT_TRY(bt_exec_settle(base, err));
    BT_TRY(exec_int8_begin(exec, err));
    exec_packs_drop(exec);
    BT_TRY(exec_int8_finish(exec, err));
    *out = rounded_of(exec->int8);
    return BT_OK;
}
