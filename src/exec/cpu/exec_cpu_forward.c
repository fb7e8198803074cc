/* SPDX-License-Identifier: Apache-2.0
 *
 * The encoder's forward pass (docs/model_garden/numerics.md section 1), both orders of norm. */
#include <string.h>

#include "exec_cpu_int8.h"

bt_activation exec_act(const exec_cpu *exec) {
    return exec->model->encoder.hidden_activation;
}

bt_nn_dropout exec_dropout(const exec_pass *pass, uint32_t layer, bt_rng_site site, float rate,
                           const int64_t *row_ids) {
    return (bt_nn_dropout){
        .key = bt_rng_key_make(pass->seed, (uint64_t)pass->step, layer, site),
        .rate = bt_kern_dropout_make(pass->dropout ? rate : 0),
        .row_ids = row_ids,
        .first_row = pass->first_token,
    };
}

bool exec_is_first_only(const exec_cpu *exec, const exec_pass *pass, int64_t layer) {
    return !pass->all_rows && layer == exec->model->encoder.num_layers - 1 &&
           bt_model_reads_first_rows(&exec->model->head);
}

bt_nn_embedding exec_embedding(const exec_cpu *exec, const exec_pass *pass,
                               const bt_nn_dropout *dropout) {
    const bt_model *const  m = exec->model;
    const bt_batch *const  batch = pass->batch;
    const exec_acts *const acts = &exec->acts;
    return (bt_nn_embedding){
        .word = exec_param(exec, m->word_embeddings),
        .position = exec_param(exec, m->position_embedding),
        .type = exec_param(exec, m->type_embeddings),
        .norm = exec_norm(exec, m->embedding_norm, acts->embedding_mean, acts->embedding_rstd),
        .ids = batch->ids,
        .positions = batch->positions,
        .types = batch->types,
        .dropout = dropout,
        .sum = acts->embedding_sum,
        .T = batch->n_tokens,
        .E = m->encoder.embedding_size};
}

static void embedding_forward(exec_cpu *exec, const exec_pass *pass) {
    const bt_model *const          m = exec->model;
    const bt_encoder_config *const e = &m->encoder;
    const bt_batch *const          batch = pass->batch;
    exec_acts *const               acts = &exec->acts;
    const bt_nn_dropout            dropout =
        exec_dropout(pass, 0, BT_SITE_EMBEDDING_DROPOUT, e->dropout_rate, NULL);
    const bt_nn_embedding embedding = exec_embedding(exec, pass, &dropout);
    bt_nn_embedding_forward(&exec->nn, &embedding, acts->embedding_out);
    if (acts->embedded != acts->embedding_out) {
        bt_nn_dense_forward(&exec->nn, acts->embedded, acts->embedding_out,
                            exec_param(exec, m->embedding_projection.kernel),
                            exec_param(exec, m->embedding_projection.bias), batch->n_tokens,
                            e->embedding_size, e->hidden_size);
    }
    if (exec->is_16 && !e->norm_first) {
        bt_nn_to_bf16(&exec->nn, acts->hidden16, acts->embedded, batch->n_tokens * e->hidden_size);
    }
}

/* Into acts.hidden, from the sum that was kept. */
static void embedding_out_again(exec_cpu *exec, const exec_pass *pass) {
    const bt_model *const m = exec->model;
    exec_acts *const      acts = &exec->acts;
    const int64_t         T = pass->batch->n_tokens;
    const int64_t         H = m->encoder.hidden_size;
    const bt_nn_dropout   dropout =
        exec_dropout(pass, 0, BT_SITE_EMBEDDING_DROPOUT, m->encoder.dropout_rate, NULL);
    const bt_nn_norm norm =
        exec_norm(exec, m->embedding_norm, acts->embedding_mean, acts->embedding_rstd);
    bt_nn_norm_forward(&exec->nn, &norm, acts->hidden, acts->embedding_sum, T, H);
    bt_nn_dropout_apply(&exec->nn, acts->hidden, acts->hidden, &dropout, T, H);
}

const float *exec_layer_input(const exec_cpu *exec, int64_t layer) {
    const exec_acts *const acts = &exec->acts;
    if (layer == 0) {
        return acts->embedded;
    }
    return exec->model->encoder.norm_first ? acts->layers[layer - 1].sum_2 : acts->hidden;
}

exec_array exec_layer_keys_input(const exec_cpu *exec, int64_t layer) {
    const exec_acts *const acts = &exec->acts;
    if (exec->is_16) {
        return (exec_array){.h = acts->hidden16};
    }
    return (exec_array){.f = layer == 0 && !exec->model->encoder.norm_first ? acts->embedded
                                                                            : acts->hidden};
}

/* The input [R,H] of a layer's first residual. */
static const float *residual_input(const exec_cpu *exec, const exec_pass *pass, int64_t layer) {
    return exec_is_first_only(exec, pass, layer) ? exec->acts.residual
                                                 : exec_layer_input(exec, layer);
}

bt_nn_attention exec_attention(const exec_cpu *exec, const exec_pass *pass, int64_t layer) {
    const bt_encoder_config *const e = &exec->model->encoder;
    const bool                     first_only = exec_is_first_only(exec, pass, layer);
    const exec_acts *const         acts = &exec->acts;
    return (bt_nn_attention){
        .offsets = pass->batch->offsets,
        .q_offsets = first_only ? acts->first_offsets : pass->batch->offsets,
        .key_mask = pass->batch->key_mask,
        .dropout = exec_dropout(pass, (uint32_t)layer, BT_SITE_ATTENTION_PROBS_DROPOUT,
                                e->attention_dropout_rate, first_only ? acts->first_ids : NULL),
        .B = pass->batch->n_seqs,
        .NH = e->num_attention_heads,
        .D = e->hidden_size / e->num_attention_heads,
    };
}

bt_nn_attention16 exec_attention16(const exec_cpu *exec, int64_t layer) {
    const exec_layer *const l = &exec->acts.layers[layer];
    const int64_t           H = exec->model->encoder.hidden_size;
    return (bt_nn_attention16){.q = l->q.h,
                               .k = l->k.h,
                               .v = l->v.h,
                               .context = l->context.h,
                               .max = l->max,
                               .inv_sum = l->inv_sum,
                               .kept = l->kept,
                               .kept_step = exec->acts.kept_step,
                               .ld_q = H,
                               .ld_kv = H,
                               .ld_context = H,
                               .ld_d_q = H,
                               .ld_d_kv = H};
}

/* One of the layer's norms, from what was added up to what the next product reads. In bfloat16 only
 * a recomputation reads it as a residual, too. */
static void norm_forward(exec_cpu *exec, const bt_nn_norm *norm, const float *sum, int64_t R) {
    const int64_t    H = exec->model->encoder.hidden_size;
    exec_acts *const acts = &exec->acts;
    if (exec->is_16) {
        bt_nn_norm_forward16(&exec->nn, norm, exec->recompute ? acts->hidden : NULL, acts->hidden16,
                             sum, R, H);
    } else {
        bt_nn_norm_forward(&exec->nn, norm, acts->hidden, sum, R, H);
    }
}

static void attention_norm_forward(exec_cpu *exec, const exec_pass *pass, int64_t layer) {
    const exec_layer *const l = &exec->acts.layers[layer];
    const bt_nn_norm        norm =
        exec_norm(exec, exec->model->layers[layer].attention_norm, l->mean_1, l->rstd_1);
    norm_forward(exec, &norm, exec_layer_input(exec, layer), pass->batch->n_tokens);
}

void exec_layer_keys_input_again(exec_cpu *exec, const exec_pass *pass, int64_t layer) {
    if (exec->model->encoder.norm_first) {
        attention_norm_forward(exec, pass, layer);
    } else if (layer > 0) {
        const exec_layer *const before = &exec->acts.layers[layer - 1];
        const bt_nn_norm        norm = exec_norm(exec, exec->model->layers[layer - 1].output_norm,
                                                 before->mean_2, before->rstd_2);
        norm_forward(exec, &norm, before->sum_2, pass->batch->n_tokens);
    } else {
        if (exec->acts.embedded == exec->acts.hidden) {
            embedding_out_again(exec, pass);
        }
        if (exec->is_16) {
            bt_nn_to_bf16(&exec->nn, exec->acts.hidden16, exec->acts.embedded,
                          pass->batch->n_tokens * exec->model->encoder.hidden_size);
        }
    }
}

bt_norm_index exec_ffn_norm_index(const exec_cpu *exec, int64_t layer) {
    const bt_layer_index *const p = &exec->model->layers[layer];
    return exec->model->encoder.norm_first ? p->output_norm : p->attention_norm;
}

bt_nn_norm exec_ffn_norm(const exec_cpu *exec, int64_t layer) {
    const bool              norm_first = exec->model->encoder.norm_first;
    const exec_layer *const l = &exec->acts.layers[layer];
    return exec_norm(exec, exec_ffn_norm_index(exec, layer), norm_first ? l->mean_2 : l->mean_1,
                     norm_first ? l->rstd_2 : l->rstd_1);
}

void exec_ffn_input_again(exec_cpu *exec, const exec_pass *pass, int64_t layer) {
    const bool       first_only = exec_is_first_only(exec, pass, layer);
    const bt_nn_norm norm = exec_ffn_norm(exec, layer);
    norm_forward(exec, &norm, exec->acts.layers[layer].sum_1,
                 first_only ? pass->batch->n_seqs : pass->batch->n_tokens);
}

exec_lora exec_lora_of(const exec_cpu *exec, const exec_pass *pass, int64_t layer,
                       bt_lora_target target) {
    const bool all_tokens = target == BT_LORA_KEY || target == BT_LORA_VALUE;
    return (exec_lora){.pass = pass,
                       .layer = layer,
                       .target = target,
                       .row_ids = !all_tokens && exec_is_first_only(exec, pass, layer)
                                      ? exec->acts.first_ids
                                      : NULL};
}

static void add_lora(exec_cpu *exec, const exec_pass *pass, int64_t layer, bt_lora_target target,
                     const exec_lora_rows *x) {
    const exec_lora lora = exec_lora_of(exec, pass, layer, target);
    exec_lora_forward(exec, bt_model_dense(exec->model, layer, target), &lora, x);
}

/* The rows of first tokens: what the queries are made of, and the residual. */
static void gather_first(exec_cpu *exec, int64_t layer, int64_t R) {
    const exec_acts *const acts = &exec->acts;
    const exec_array       in = exec_layer_keys_input(exec, layer);
    const int64_t          H = exec->model->encoder.hidden_size;
    if (in.h != NULL) {
        bt_nn_rows_gather16(&exec->nn, acts->q_in.h, in.h, acts->first_ids, R, H);
    } else {
        bt_nn_rows_gather(&exec->nn, acts->q_in.f, in.f, acts->first_ids, R, H);
    }
    if (acts->residual != acts->q_in.f) {
        bt_nn_rows_gather(&exec->nn, acts->residual, exec_layer_input(exec, layer), acts->first_ids,
                          R, H);
    }
}

/* Those of query, key and value from the first to the last one, which read the same rows. */
static void project(exec_cpu *exec, const exec_pass *pass, int64_t layer, bt_lora_target first,
                    bt_lora_target last, exec_array in, int64_t R) {
    const exec_layer *const l = &exec->acts.layers[layer];
    const exec_array        out[BT_N_LORA_TARGETS] = {
               [BT_LORA_QUERY] = l->q, [BT_LORA_KEY] = l->k, [BT_LORA_VALUE] = l->v};
    const int64_t         H = exec->model->encoder.hidden_size;
    const bt_nn_beside_in x = {.in = in.f, .in16 = in.h, .R = R, .K = H, .N = H};
    bt_nn_beside          d[BT_NN_MOST_PRODUCTS] = {{.kernel = NULL}};
    int32_t               n = 0;
    for (bt_lora_target t = first; t <= last; t++) {
        const bt_dense_index p = bt_model_dense(exec->model, layer, t);
        d[n++] = (bt_nn_beside){.kernel = exec_param(exec, p.kernel),
                                .bias = exec_param(exec, p.bias),
                                .out = out[t].f,
                                .out16 = out[t].h};
    }
    bt_nn_beside_forward(&exec->nn, d, n, &x);
    for (bt_lora_target t = first; t <= last; t++) {
        add_lora(exec, pass, layer, t, &(exec_lora_rows){out[t].f, in.f, R, H, H});
    }
}

/* acts.hidden (norm_first: the layer's input) -> context of the attention. */
static void attention_forward(exec_cpu *exec, const exec_pass *pass, int64_t layer, int64_t R) {
    const exec_layer *const l = &exec->acts.layers[layer];
    const int64_t           T = pass->batch->n_tokens;
    if (exec->model->encoder.norm_first) {
        attention_norm_forward(exec, pass, layer);
    }
    const exec_array in = exec_layer_keys_input(exec, layer);
    if (exec_is_first_only(exec, pass, layer)) {
        gather_first(exec, layer, R);
        project(exec, pass, layer, BT_LORA_QUERY, BT_LORA_QUERY, exec->acts.q_in, R);
        project(exec, pass, layer, BT_LORA_KEY, BT_LORA_VALUE, in, T);
    } else {
        project(exec, pass, layer, BT_LORA_QUERY, BT_LORA_VALUE, in, T);
    }
    const bt_nn_attention attention = exec_attention(exec, pass, layer);
    if (exec->is_16) {
        const bt_nn_attention16 x = exec_attention16(exec, layer);
        bt_nn_attention16_forward(&exec->nn, &attention, &x);
    } else {
        bt_nn_attention_forward(&exec->nn, l->context.f, l->max, l->inv_sum, l->q.f, l->k.f, l->v.f,
                                &attention);
    }
}

/* What the feed-forward reads -> its activation. */
static void ffn_forward(exec_cpu *exec, const exec_pass *pass, int64_t layer, int64_t R) {
    const bt_layer_index *const p = &exec->model->layers[layer];
    const exec_layer *const     l = &exec->acts.layers[layer];
    const exec_acts *const      acts = &exec->acts;
    const int64_t               H = exec->model->encoder.hidden_size;
    const int64_t               I = exec->model->encoder.intermediate_size;
    const float *const          kernel = exec_param(exec, p->intermediate.kernel);
    const float *const          bias = exec_param(exec, p->intermediate.bias);
    if (exec->is_16) {
        const bt_nn_dense16 d = {.kernel = kernel, .bias = bias, .R = R, .K = H, .N = I};
        bt_nn_dense16_act_forward(&exec->nn, acts->ffn.h, pass->dropout ? l->pre_act.h : NULL,
                                  acts->hidden16, exec_act(exec), &d);
        return;
    }
    if (l->pre_act.f == acts->ffn.f && p->intermediate.lora_a < 0) { /* nothing is kept */
        bt_nn_dense_act_forward(&exec->nn, acts->ffn.f, acts->hidden, kernel, bias, exec_act(exec),
                                R, H, I);
        return;
    }
    bt_nn_dense_forward(&exec->nn, l->pre_act.f, acts->hidden, kernel, NULL, R, H, I);
    add_lora(exec, pass, layer, BT_LORA_INTERMEDIATE,
             &(exec_lora_rows){l->pre_act.f, acts->hidden, R, H, I});
    bt_nn_bias_act_forward(&exec->nn, l->pre_act.f, acts->ffn.f, bias, exec_act(exec), R, I);
}

/* Rows of a layer's queries, and which tokens they are; NULL: all. */
static int64_t query_rows(const exec_cpu *exec, const exec_pass *pass, int64_t layer,
                          const int64_t **row_ids) {
    const bool first_only = exec_is_first_only(exec, pass, layer);
    *row_ids = first_only ? exec->acts.first_ids : NULL;
    return first_only ? pass->batch->n_seqs : pass->batch->n_tokens;
}

/* A product [R,K] -> [R,H] and what follows it, into r->sum and acts.hidden. */
static void add_residual(exec_cpu *exec, const exec_pass *pass, int64_t layer,
                         bt_lora_target target, exec_array in, const bt_nn_residual_norm *r,
                         int64_t K) {
    const bt_dense_index p = bt_model_dense(exec->model, layer, target);
    float *const         hidden = exec->acts.hidden;
    const float *const   kernel = exec_param(exec, p.kernel);
    if (exec->is_16) { /* norm_first: only the next product reads what a norm put out */
        const bt_nn_dense16 d = {.kernel = kernel, .R = r->R, .K = K, .N = r->H};
        bt_nn_dense16_residual_forward(&exec->nn, r,
                                       exec->model->encoder.norm_first ? NULL : hidden, in.h, &d);
        return;
    }
    bt_nn_dense_forward(&exec->nn, r->sum, in.f, kernel, NULL, r->R, K, r->H);
    add_lora(exec, pass, layer, target, &(exec_lora_rows){r->sum, in.f, r->R, K, r->H});
    bt_nn_residual_norm_forward(&exec->nn, r, hidden);
}

void exec_layer_begin(exec_cpu *exec, const exec_pass *pass, int64_t layer) {
    const bt_encoder_config *const e = &exec->model->encoder;
    const bt_layer_index *const    p = &exec->model->layers[layer];
    const exec_layer *const        l = &exec->acts.layers[layer];
    const exec_acts *const         acts = &exec->acts;
    const int64_t                  H = e->hidden_size;
    const int64_t                 *row_ids = NULL;
    const int64_t                  R = query_rows(exec, pass, layer, &row_ids);
    const bt_nn_dropout            dropout =
        exec_dropout(pass, (uint32_t)layer, BT_SITE_ATTENTION_OUTPUT_DROPOUT,
                     e->attention_dropout_rate, row_ids);
    const bt_nn_norm          norm = exec_ffn_norm(exec, layer);
    const bt_nn_residual_norm residual = {.sum = l->sum_1,
                                          .bias = exec_param(exec, p->attention_output.bias),
                                          .residual = residual_input(exec, pass, layer),
                                          .norm = &norm,
                                          .dropout = &dropout,
                                          .out16 = acts->hidden16,
                                          .kept = l->kept_1,
                                          .R = R,
                                          .H = H};
    attention_forward(exec, pass, layer, R);
    add_residual(exec, pass, layer, BT_LORA_ATTENTION_OUTPUT, l->context, &residual, H);
    ffn_forward(exec, pass, layer, R);
}

static void layer_forward(exec_cpu *exec, const exec_pass *pass, int64_t layer) {
    const bt_encoder_config *const e = &exec->model->encoder;
    const bt_layer_index *const    p = &exec->model->layers[layer];
    const exec_layer *const        l = &exec->acts.layers[layer];
    const exec_acts *const         acts = &exec->acts;
    const int64_t                 *row_ids = NULL;
    const int64_t                  R = query_rows(exec, pass, layer, &row_ids);
    const bt_nn_dropout            dropout =
        exec_dropout(pass, (uint32_t)layer, BT_SITE_FFN_OUTPUT_DROPOUT, e->dropout_rate, row_ids);
    const bool is_last = layer == pass->n_layers - 1; /* no product of a layer reads its output */
    exec_layer_begin(exec, pass, layer);
    const bt_nn_norm norm = exec_norm(exec, p->output_norm, l->mean_2, l->rstd_2);
    add_residual(exec, pass, layer, BT_LORA_OUTPUT, acts->ffn,
                 &(bt_nn_residual_norm){.sum = l->sum_2,
                                        .bias = exec_param(exec, p->output.bias),
                                        .residual = e->norm_first ? l->sum_1 : acts->hidden,
                                        .norm = e->norm_first ? NULL : &norm,
                                        .dropout = &dropout,
                                        .out16 = e->norm_first || is_last ? NULL : acts->hidden16,
                                        .kept = l->kept_2,
                                        .R = R,
                                        .H = e->hidden_size},
                 e->intermediate_size);
}

const float *exec_encoder_forward(exec_cpu *exec, const exec_pass *pass) {
    const bt_batch *const batch = pass->batch;
    exec_acts *const      acts = &exec->acts;
    for (int64_t b = 0; b < batch->n_seqs; b++) {
        acts->first_ids[b] = batch->offsets[b];
        acts->first_offsets[b] = b;
    }
    acts->first_offsets[batch->n_seqs] = batch->n_seqs;
    if (exec->int8 != NULL) {
        return exec_int8_encoder_forward(exec, pass);
    }
    embedding_forward(exec, pass);
    for (int64_t layer = 0; layer < pass->n_layers; layer++) {
        layer_forward(exec, pass, layer);
    }
    return exec_layer_input(exec, pass->n_layers);
}
