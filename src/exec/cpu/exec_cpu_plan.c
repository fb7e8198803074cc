/* SPDX-License-Identifier: Apache-2.0
 *
 * The plan of a step: every activation and gradient buffer, cut from one block whose size is
 * computed first. A batch that fits runs without touching the heap; a larger one gets one new
 * block. */
#include <string.h>

#include "exec_cpu_internal.h"

/* Two passes over the same list of requests: the first counts, the second hands out. */
typedef struct cutter {
    float  *base; /* NULL while counting */
    int64_t used;
    bool    overflow;
} cutter;

static float *cut(cutter *c, int64_t rows, int64_t cols) {
    int64_t n = 0;
    if (!bt_i64_mul(rows, cols, &n) || n > INT64_MAX / 64 - c->used) {
        c->overflow = true;
        return NULL;
    }
    float *const at = c->base == NULL ? NULL : c->base + c->used;
    c->used += (n + 15) / 16 * 16;
    return at;
}

static int64_t *cut_i64(cutter *c, int64_t n) {
    return (int64_t *)(void *)cut(c, 2, n);
}

static void cut_layer(cutter *c, const bt_model *model, const exec_acts *acts, float *act,
                      exec_layer *l) {
    const bt_encoder_config *const e = &model->encoder;
    const int64_t                  T = acts->max_tokens;
    const int64_t                  B = acts->max_seqs;
    const int64_t                  H = e->hidden_size;
    memset(l, 0, sizeof *l);
    if (e->norm_first) {
        l->normed = cut(c, T, H);
    }
    l->q_in = cut(c, B, H);
    l->residual = cut(c, B, H);
    l->q = cut(c, T, H);
    l->k = cut(c, T, H);
    l->v = cut(c, T, H);
    l->context = cut(c, T, H);
    l->max = cut(c, T, e->num_attention_heads);
    l->inv_sum = cut(c, T, e->num_attention_heads);
    l->sum_1 = cut(c, T, H);
    l->mean_1 = cut(c, T, 1);
    l->rstd_1 = cut(c, T, 1);
    l->ffn_in = cut(c, T, H);
    l->pre_act = cut(c, T, e->intermediate_size);
    l->act = act;
    l->sum_2 = cut(c, T, H);
    l->mean_2 = cut(c, T, 1);
    l->rstd_2 = cut(c, T, 1);
    l->out = e->norm_first ? l->sum_2 : cut(c, T, H);
}

/* Recomputation keeps the outputs alone; the rest of a layer is made again before its backward. */
static void cut_output(cutter *c, const bt_model *model, const exec_acts *acts, exec_layer *l) {
    *l = acts->layers[0];
    l->out = cut(c, acts->max_tokens, model->encoder.hidden_size);
    if (model->encoder.norm_first) {
        l->sum_2 = l->out;
    }
}

/* Without training a layer reads its predecessor's output only: two sets of buffers take turns.
 * The feed-forward's activation, the largest of all, is made again from what it was made of. */
static void cut_layers(cutter *c, const bt_model *model, exec_acts *acts) {
    float *const act = cut(c, acts->max_tokens, model->encoder.intermediate_size);
    for (int64_t l = 0; l < model->encoder.num_layers; l++) {
        if (l > 0 && acts->for_training && acts->recompute) {
            cut_output(c, model, acts, &acts->layers[l]);
        } else if (acts->for_training || l < 2) {
            cut_layer(c, model, acts, act, &acts->layers[l]);
        } else {
            acts->layers[l] = acts->layers[l % 2];
        }
    }
}

static void cut_gradients(cutter *c, const bt_model *model, exec_acts *acts) {
    const bt_encoder_config *const e = &model->encoder;
    const int64_t                  T = acts->max_tokens;
    const int64_t                  H = e->hidden_size;
    acts->grad_a = cut(c, T, H);
    acts->grad_b = cut(c, T, H);
    acts->grad_c = cut(c, T, H);
    acts->grad_d = cut(c, T, H);
    acts->grad_q = cut(c, T, H);
    acts->grad_k = cut(c, T, H);
    acts->grad_v = cut(c, T, H);
    acts->grad_ffn = cut(c, T, e->intermediate_size);
    acts->grad_embedding = cut(c, T, e->embedding_size);
}

/* Logits and their gradient, with what stands right before them (spec of the shapes: bt/model.h).
 */
static void cut_head(cutter *c, const bt_model *model, exec_acts *acts) {
    const bt_head_config *const head = &model->head;
    const int64_t               H = model->encoder.hidden_size;
    const int64_t               B = acts->max_seqs;
    int64_t                     rows = head->kind == BT_HEAD_TOKENS ? acts->max_tokens : B;
    int64_t                     cols = head->kind == BT_HEAD_POOLED_OUTPUT ? H : head->num_classes;
    acts->first_rows = cut(c, B, H);
    acts->pooled_pre = cut(c, B, H);
    acts->pooled = cut(c, B, H);
    acts->dropped = cut(c, rows, H);
    if (head->loss == BT_LOSS_RANKING) {
        acts->vectors = cut(c, B, H);
        rows = B / 2;
        cols = B / 2;
    }
    acts->logits = cut(c, rows, cols);
    acts->d_logits = cut(c, rows, cols);
}

static void cut_all(cutter *c, const bt_model *model, exec_acts *acts) {
    const bt_encoder_config *const e = &model->encoder;
    const int64_t                  T = acts->max_tokens;
    const int64_t                  B = acts->max_seqs;
    const int64_t                  H = e->hidden_size;
    acts->embedding_sum = cut(c, T, e->embedding_size);
    acts->embedding_out = cut(c, T, e->embedding_size);
    acts->embedding_mean = cut(c, T, 1);
    acts->embedding_rstd = cut(c, T, 1);
    acts->projected = e->embedding_size != H ? cut(c, T, H) : NULL;
    cut_layers(c, model, acts);
    cut_head(c, model, acts);
    acts->first_ids = cut_i64(c, B);
    acts->first_offsets = cut_i64(c, B + 1);
    if (acts->for_training) {
        cut_gradients(c, model, acts);
    }
}

void exec_acts_deinit(exec_acts *acts) {
    bt_free(acts->block);
    bt_free(acts->layers);
    memset(acts, 0, sizeof *acts);
}

static int64_t largest(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static bt_status plan_scratch(bt_exec *exec, bt_error *err) {
    const bt_encoder_config *const e = &exec->model->encoder;
    const exec_acts *const         acts = &exec->acts;
    bt_nn *const                   nn = &exec->nn;
    int64_t cols = largest(e->hidden_size, largest(e->embedding_size, e->intermediate_size));
    cols = largest(cols, exec->model->head.num_classes);
    const int64_t n_partials = bt_nn_partials_size(largest(acts->max_tokens, acts->max_seqs), cols);
    const int64_t n_thread =
        bt_nn_thread_scratch_size(acts->max_length, e->hidden_size / e->num_attention_heads, cols);
    const size_t n_threads = (size_t)bt_pool_n_threads(exec->pool);
    const size_t panel_bytes = bt_nn_product_scratch_bytes(nn->product);
    bt_free(nn->partials);
    bt_free(nn->thread_scratch);
    bt_free(nn->panels);
    nn->panel_bytes = panel_bytes;
    nn->panels = bt_alloc_array(n_threads, panel_bytes);
    nn->n_partials = n_partials;
    nn->n_thread_scratch = n_thread;
    nn->partials = bt_alloc_array((size_t)n_partials, sizeof(float));
    nn->thread_scratch = bt_alloc_array((size_t)n_thread * n_threads, sizeof(float));
    exec->scratch_bytes = ((size_t)n_partials + (size_t)n_thread * n_threads) * sizeof(float) +
                          panel_bytes * n_threads;
    if (nn->partials == NULL || nn->thread_scratch == NULL || nn->panels == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for %zu bytes of scratch",
                       exec->scratch_bytes);
    }
    return BT_OK;
}

bool exec_has_room(const bt_exec *exec, int64_t n_tokens, int64_t n_seqs, int64_t max_length,
                   bool for_training) {
    const exec_acts *const acts = &exec->acts;
    return acts->block != NULL && n_tokens <= acts->max_tokens && n_seqs <= acts->max_seqs &&
           max_length <= acts->max_length && (acts->for_training || !for_training);
}

bt_status exec_plan(bt_exec *exec, int64_t n_tokens, int64_t n_seqs, int64_t max_length,
                    bool for_training, bt_error *err) {
    exec_acts *const acts = &exec->acts;
    exec_acts        wanted = {.max_tokens = largest(n_tokens, acts->max_tokens),
                               .max_seqs = largest(n_seqs, acts->max_seqs),
                               .max_length = largest(max_length, acts->max_length),
                               .for_training = for_training || acts->for_training,
                               .recompute = exec->recompute};
    exec_acts_deinit(acts); /* first, so that old and new are not held together */
    wanted.layers = bt_calloc_array((size_t)exec->model->encoder.num_layers, sizeof *wanted.layers);
    if (wanted.layers == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the plan of a step");
    }
    cutter count = {.base = NULL};
    cut_all(&count, exec->model, &wanted);
    float *const block =
        count.overflow ? NULL : bt_alloc_array((size_t)count.used, sizeof *wanted.block);
    if (block == NULL) {
        bt_free(wanted.layers);
        return BT_FAIL(err, BT_E_NOMEM,
                       "a step with %" PRId64 " sequences of %" PRId64
                       " tokens together needs %.1f GiB of memory, which this machine does not "
                       "give: choose a smaller batch or seq_length",
                       wanted.max_seqs, wanted.max_tokens,
                       (double)count.used * sizeof(float) / 0x1p30);
    }
    wanted.block = block;
    wanted.block_bytes = (size_t)count.used * sizeof *block;
    cutter hand_out = {.base = block};
    cut_all(&hand_out, exec->model, &wanted);
    *acts = wanted;
    const bt_status rc = plan_scratch(exec, err);
    if (rc != BT_OK) {
        exec_acts_deinit(acts); /* no half plan: the next step starts over */
    }
    return rc;
}
