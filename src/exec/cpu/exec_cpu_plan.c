/* SPDX-License-Identifier: Apache-2.0
 *
 * The plan of a pass: every activation and gradient buffer, cut from one block. The block is made
 * for the largest pass so far, with some room; the buffers are laid out anew for each pass, close
 * together, so that only the largest pass that really came decides how much memory is touched. A
 * pass that fits runs without touching the heap. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/size.h"
#include "exec_cpu_int8.h"

static int64_t largest(int64_t a, int64_t b) {
    return a > b ? a : b;
}

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

static uint16_t *cut_16(cutter *c, int64_t rows, int64_t cols) {
    return (uint16_t *)(void *)cut(c, rows, cols / 2 + cols % 2);
}

/* In bfloat16 where is_16. */
static exec_array cut_array(cutter *c, bool is_16, int64_t rows, int64_t cols) {
    return is_16 ? (exec_array){.h = cut_16(c, rows, cols)} : (exec_array){.f = cut(c, rows, cols)};
}

static int64_t *cut_i64(cutter *c, int64_t n) {
    return (int64_t *)(void *)cut(c, 2, n);
}

/* Do bits of dropout stay from the forward for the backward? */
static bool keeps_dropout(const exec_cpu *exec, const exec_shape *shape) {
    return exec->is_16 && shape->for_training;
}

/* Without a backward pass an array ends where its last reader is done: what comes after takes its
 * place. (In bfloat16 they differ in size.) */
static bool reuses_arrays(const exec_cpu *exec, const exec_shape *shape) {
    return !shape->for_training && !exec->is_16;
}

/* Does the embedding's sum lie where the feed-forward's activation will be? */
static bool sums_in_ffn(const exec_cpu *exec, const exec_shape *shape) {
    const bt_encoder_config *const e = &exec->model->encoder;
    return reuses_arrays(exec, shape) && e->embedding_size <= e->intermediate_size;
}

/* What a layer with R rows of queries leaves behind as its output, and what recomputation does not
 * make again. */
static void cut_output(cutter *c, const exec_cpu *exec, const exec_shape *shape, int64_t R,
                       exec_layer *l) {
    const int64_t H = exec->model->encoder.hidden_size;
    /* norm_first: the next layer reads it while it has values of its own */
    const bool in_values = reuses_arrays(exec, shape) && !exec->model->encoder.norm_first;
    l->sum_2 = in_values ? l->v.f : cut(c, R, H);
    l->mean_2 = cut(c, R, 1);
    l->rstd_2 = cut(c, R, 1);
    l->kept_2 = keeps_dropout(exec, shape) ? cut_16(c, R, bt_nn_kept_step(H)) : NULL;
}

/* Bits of dropout that belong to the attention. */
static void cut_kept(cutter *c, const exec_cpu *exec, const exec_shape *shape, int64_t R,
                     exec_layer *l) {
    const bt_encoder_config *const e = &exec->model->encoder;
    const bool                     keeps = keeps_dropout(exec, shape);
    const int64_t                  step = bt_nn_kept_step(shape->max_length);
    l->kept = keeps ? cut_16(c, R, e->num_attention_heads * step) : NULL;
    l->kept_1 = keeps ? cut_16(c, R, bt_nn_kept_step(e->hidden_size)) : NULL;
}

static void cut_layer(cutter *c, const exec_cpu *exec, const exec_shape *shape, int64_t R,
                      exec_layer *l) {
    const bt_encoder_config *const e = &exec->model->encoder;
    const int64_t                  T = shape->n_tokens;
    const bool                     is_16 = exec->is_16;
    const bool                     reuses = reuses_arrays(exec, shape);
    const int64_t                  H = e->hidden_size;
    const int64_t                  normed_rows = e->norm_first ? T : R;
    l->q = cut_array(c, is_16, R, H);
    l->k = cut_array(c, is_16, T, H);
    l->v = cut_array(c, is_16, T, H);
    l->context = reuses ? l->q : cut_array(c, is_16, R, H); /* row by row, head by head */
    l->max = cut(c, R, e->num_attention_heads);
    l->inv_sum = cut(c, R, e->num_attention_heads);
    l->sum_1 = reuses ? l->k.f : cut(c, R, H);
    l->mean_1 = cut(c, normed_rows, 1);
    l->rstd_1 = cut(c, normed_rows, 1);
    l->pre_act = shape->for_training ? cut_array(c, is_16, R, e->intermediate_size)
                                     : (exec_array){.f = NULL}; /* see cut_all */
    cut_kept(c, exec, shape, R, l);
    cut_output(c, exec, shape, R, l);
}

/* Without training a layer's output is all that the next one needs, and it takes it from
 * acts.hidden (norm_first: from sum_2, before it writes its own there): one set of buffers serves
 * all. So it does below the layer at which the backward ends, which needs the output of the one
 * before. Recomputation keeps each layer's output beside. */
static void cut_layers(cutter *c, const exec_cpu *exec, const exec_shape *shape,
                       exec_layer *layers) {
    const bt_model *const model = exec->model;
    const int64_t         T = shape->n_tokens;
    for (int64_t l = 0; l < model->encoder.num_layers; l++) {
        const bool is_last = l == model->encoder.num_layers - 1;
        const bool first_only =
            is_last && !shape->all_rows && bt_model_reads_first_rows(&model->head);
        const int64_t R = first_only ? shape->n_seqs : T;
        if (l == 0 || (shape->for_training && !exec->recompute && l >= exec->lowest)) {
            cut_layer(c, exec, shape, R, &layers[l]);
            continue;
        }
        layers[l] = layers[0];
        if (shape->for_training && l >= exec->lowest - 1) {
            cut_output(c, exec, shape, R, &layers[l]);
        }
    }
}

/* Where no layer is trained, the head needs [B,H] of them. */
static void cut_gradients(cutter *c, const exec_cpu *exec, const exec_shape *shape,
                          exec_acts *acts) {
    const bt_model *const          model = exec->model;
    const bt_encoder_config *const e = &model->encoder;
    const int64_t                  H = e->hidden_size;
    const bool                     is_16 = exec->is_16;
    const int64_t T = exec->lowest < e->num_layers ? shape->n_tokens : shape->n_seqs;
    acts->grad_a = cut(c, T, H);
    acts->grad_b = cut(c, T, H);
    acts->grad_c = is_16 && !e->norm_first ? NULL : cut(c, T, H);
    acts->grad_d = bt_model_reads_first_rows(&model->head) ? cut(c, T, H) : NULL;
    acts->grad_product16 = is_16 ? cut_16(c, T, H) : NULL;
    acts->grad_context16 = is_16 ? cut_16(c, T, H) : NULL;
    acts->grad_q = cut_array(c, is_16, T, H);
    acts->grad_k = cut_array(c, is_16, T, H);
    acts->grad_v = cut_array(c, is_16, T, H);
    acts->d_ffn = is_16 ? cut_array(c, true, T, e->intermediate_size) : acts->ffn;
    acts->grad_embedding = e->embedding_size != H ? cut(c, T, e->embedding_size) : NULL;
}

/* Logits and their gradient, with what stands right before them (spec of the shapes: bt/model.h).
 */
static void cut_head(cutter *c, const bt_model *model, const exec_shape *shape, exec_acts *acts) {
    const bt_head_config *const head = &model->head;
    const int64_t               H = model->encoder.hidden_size;
    const int64_t               B = shape->n_seqs;
    int64_t                     rows = head->kind == BT_HEAD_TOKENS ? shape->n_tokens : B;
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

static void cut_embedding(cutter *c, const exec_cpu *exec, const exec_shape *shape,
                          exec_acts *acts) {
    const bt_encoder_config *const e = &exec->model->encoder;
    const int64_t                  T = shape->n_tokens;
    const bool                     is_projected = e->embedding_size != e->hidden_size;
    acts->embedding_sum = cut(c, sums_in_ffn(exec, shape) ? 0 : T, e->embedding_size);
    acts->embedding_mean = cut(c, T, 1);
    acts->embedding_rstd = cut(c, T, 1);
    acts->hidden = cut(c, T, e->hidden_size);
    acts->hidden16 = exec->is_16 ? cut_16(c, T, e->hidden_size) : NULL;
    acts->embedded = is_projected || e->norm_first ? cut(c, T, e->hidden_size) : acts->hidden;
    acts->embedding_out = is_projected ? cut(c, T, e->embedding_size) : acts->embedded;
}

static void cut_lora(cutter *c, const exec_cpu *exec, int64_t T, exec_acts *acts) {
    const bt_encoder_config *const e = &exec->model->encoder;
    const int64_t                  widest = e->lora.has[BT_LORA_OUTPUT]
                                                ? largest(e->hidden_size, e->intermediate_size)
                                                : e->hidden_size;
    acts->lora_mid = cut(c, T, e->lora.rank);
    acts->lora_d_mid = cut(c, T, e->lora.rank);
    acts->lora_in = cut(c, e->lora.dropout_rate > 0 ? T : 0, widest);
}

static void cut_all(cutter *c, const exec_cpu *exec, const exec_shape *shape, exec_acts *acts) {
    const bt_encoder_config *const e = &exec->model->encoder;
    const int64_t                  T = shape->n_tokens;
    const int64_t                  B = shape->n_seqs;
    cut_embedding(c, exec, shape, acts);
    cut_layers(c, exec, shape, acts->layers);
    acts->kept_step = bt_nn_kept_step(shape->max_length);
    acts->ffn = cut_array(c, exec->is_16, T, e->intermediate_size);
    for (int64_t l = 0; reuses_arrays(exec, shape) && l < e->num_layers; l++) {
        acts->layers[l].pre_act = acts->ffn;
    }
    acts->embedding_sum = sums_in_ffn(exec, shape) ? acts->ffn.f : acts->embedding_sum;
    acts->q_in = cut_array(c, exec->is_16, B, e->hidden_size);
    acts->residual = e->norm_first || exec->is_16 ? cut(c, B, e->hidden_size) : acts->q_in.f;
    cut_head(c, exec->model, shape, acts);
    acts->rounded =
        exec->rounds_to_8_bits
            ? cut(c, T, largest(e->embedding_size, largest(e->hidden_size, e->intermediate_size)))
            : NULL;
    cut_lora(c, exec, T, acts);
    acts->first_ids = cut_i64(c, B);
    acts->first_offsets = cut_i64(c, B + 1);
    if (shape->for_training) {
        cut_gradients(c, exec, shape, acts);
    }
}

/* Floats of such a pass; -1: beyond counting. Afterwards the layers must be laid out again. */
static int64_t count_floats(const exec_cpu *exec, const exec_shape *shape) {
    exec_acts acts = exec->acts;
    cutter    count = {.base = NULL};
    cut_all(&count, exec, shape, &acts);
    return count.overflow ? -1 : count.used;
}

size_t exec_acts_bytes(const exec_cpu *exec, const exec_shape *shape) {
    const int64_t n = count_floats(exec, shape);
    return n < 0 ? SIZE_MAX : (size_t)n * sizeof(float);
}

void exec_acts_deinit(exec_acts *acts) {
    bt_free(acts->block);
    bt_free(acts->layers);
    memset(acts, 0, sizeof *acts);
}

/* Floats of scratch for a pass. */
typedef struct scratch_size {
    int64_t n_partials, n_thread;
    size_t  panel_bytes, all_bytes;
} scratch_size;

/* Products in 8 bits and in floats come one after the other. */
static size_t panel_bytes(const exec_cpu *exec) {
    const size_t of_floats = bt_nn_product_scratch_bytes(exec->nn.product);
    const size_t of_bytes = exec_int8_scratch_bytes(exec->int8, exec->model);
    return of_floats > of_bytes ? of_floats : of_bytes;
}

static scratch_size scratch_for(const exec_cpu *exec, int64_t rows, int64_t seqs, int64_t length) {
    const bt_encoder_config *const e = &exec->model->encoder;
    const int64_t                  D = e->hidden_size / e->num_attention_heads;
    const size_t                   n_threads = (size_t)bt_pool_n_threads(exec->pool);
    int64_t cols = largest(e->hidden_size, largest(e->embedding_size, e->intermediate_size));
    cols = largest(cols, exec->model->head.num_classes);
    scratch_size s = {.n_partials = bt_nn_partials_size(rows, cols),
                      .n_thread = bt_nn_thread_scratch_size(exec->is_16 ? 0 : length, D, cols),
                      .panel_bytes = panel_bytes(exec)};
    if (exec->is_16) {
        s.n_partials =
            largest(s.n_partials, largest(bt_nn_dense16_partials_size(exec->nn.product, rows, cols),
                                          bt_nn_attention16_partials_size(seqs, e->hidden_size)));
        s.n_thread = largest(s.n_thread, bt_nn_attention16_scratch_size(length, D));
    }
    s.all_bytes = ((size_t)s.n_partials + (size_t)s.n_thread * n_threads) * sizeof(float) +
                  s.panel_bytes * n_threads;
    return s;
}

size_t exec_scratch_bytes(const exec_cpu *exec, const exec_shape *shape) {
    return scratch_for(exec, largest(shape->n_tokens, shape->n_seqs), shape->n_seqs,
                       shape->max_length)
        .all_bytes;
}

static bt_status plan_scratch(exec_cpu *exec, int64_t rows, int64_t seqs, int64_t length,
                              bt_error *err) {
    bt_nn *const       nn = &exec->nn;
    exec_acts *const   acts = &exec->acts;
    const size_t       n_threads = (size_t)bt_pool_n_threads(exec->pool);
    const scratch_size size = scratch_for(exec, rows, seqs, length);
    bt_free(nn->partials);
    bt_free(nn->thread_scratch);
    bt_free(nn->panels);
    acts->scratch_rows = 0; /* no half plan: after a failure the next pass starts over */
    acts->scratch_length = 0;
    nn->panel_bytes = size.panel_bytes;
    nn->n_partials = size.n_partials;
    nn->n_thread_scratch = size.n_thread;
    nn->panels = bt_alloc_array(n_threads, size.panel_bytes);
    nn->partials = bt_alloc_array((size_t)size.n_partials, sizeof(float));
    nn->thread_scratch = bt_alloc_array((size_t)size.n_thread * n_threads, sizeof(float));
    exec->scratch_bytes = size.all_bytes;
    if (nn->partials == NULL || nn->thread_scratch == NULL || nn->panels == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for %zu bytes of scratch", size.all_bytes);
    }
    acts->scratch_rows = rows;
    acts->scratch_seqs = seqs;
    acts->scratch_length = length;
    return BT_OK;
}

static bt_status refuse(const exec_cpu *exec, const exec_shape *shape, int64_t n_floats,
                        uint64_t left, bt_error *err) {
    const double needed = (double)n_floats * sizeof(float);
    char         why[64] = "the system does not give them (vm.overcommit_memory?)";
    if (needed > (double)left) {
        (void)snprintf(why, sizeof why, "%.2f GiB are left", (double)left / 0x1p30);
    }
    return BT_FAIL(err, BT_E_NOMEM,
                   "out of memory: a step with %" PRId64 " sequences of %" PRId64
                   " tokens together needs %.2f GiB for what it keeps of them, and %s: choose a "
                   "smaller global_batch_size%s or seq_length%s",
                   shape->n_seqs, shape->n_tokens, needed / 0x1p30, why,
                   shape->for_training ? " (trainer.gradient_accumulation_steps makes one update "
                                         "of several batches)"
                                       : "",
                   shape->for_training && !exec->recompute ? ", or set runtime.recompute: true"
                                                           : "");
}

/* A new block takes the old one's place; first the old one goes, so that they are not held
 * together. Beyond what the pass needs it has room for `reserve`, if there is any. */
static bt_status grow_block(exec_cpu *exec, const exec_shape *shape, int64_t n_floats,
                            int64_t reserve, bt_error *err) {
    exec_acts *const acts = &exec->acts;
    bt_free(acts->block);
    acts->block = NULL;
    acts->n_floats = 0;
    const uint64_t left = exec_memory_left(exec);
    if (n_floats < 0 || (uint64_t)n_floats > left / sizeof *acts->block) {
        return refuse(exec, shape, n_floats < 0 ? INT64_MAX : n_floats, left, err);
    }
    if (reserve > n_floats && (uint64_t)reserve <= left / sizeof *acts->block) {
        n_floats = reserve;
    }
    acts->block = bt_alloc_array((size_t)n_floats, sizeof *acts->block);
    if (acts->block == NULL) {
        return refuse(exec, shape, n_floats, left, err);
    }
    acts->n_floats = n_floats;
    return BT_OK;
}

/* What a pass needs may change with the engine, too: when its weights are rounded to 8 bits. */
static bool has_scratch(const exec_cpu *exec, int64_t rows, const exec_shape *shape) {
    const bt_nn *const nn = &exec->nn;
    const scratch_size s = scratch_for(exec, rows, shape->n_seqs, shape->max_length);
    return exec->acts.scratch_rows > 0 && s.n_partials <= nn->n_partials &&
           s.n_thread <= nn->n_thread_scratch && s.panel_bytes <= nn->panel_bytes;
}

bt_status exec_plan(exec_cpu *exec, const exec_shape *shape, const exec_shape *reserve,
                    bt_error *err) {
    exec_acts *const acts = &exec->acts;
    const int64_t    n_floats = count_floats(exec, shape);
    if (n_floats < 0 || n_floats > acts->n_floats) {
        BT_TRY(grow_block(exec, shape, n_floats, count_floats(exec, reserve), err));
    }
    const int64_t rows = largest(shape->n_tokens, shape->n_seqs);
    if (!has_scratch(exec, rows, shape)) {
        const int64_t most_rows = largest(reserve->n_tokens, reserve->n_seqs);
        BT_TRY(plan_scratch(
            exec, largest(acts->scratch_rows, largest(rows, most_rows)),
            largest(acts->scratch_seqs, largest(shape->n_seqs, reserve->n_seqs)),
            largest(acts->scratch_length, largest(shape->max_length, reserve->max_length)), err));
    }
    cutter hand_out = {.base = acts->block};
    cut_all(&hand_out, exec, shape, acts);
    exec->nn.rounded = acts->rounded;
    return BT_OK;
}
