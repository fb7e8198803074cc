/* SPDX-License-Identifier: Apache-2.0
 *
 * The encoder's forward pass (spec/numerics.md section 1), both orders of norm. */
#include <string.h>

#include "exec_cpu_internal.h"

bt_activation exec_act(const exec_cpu *exec) {
    return exec->model->encoder.hidden_activation;
}

bool exec_reads_first_rows(const bt_model *model) {
    switch (model->head.kind) {
    case BT_HEAD_POOLER_DENSE:
    case BT_HEAD_ENCODER_POOLER:
        return true;
    case BT_HEAD_POOLED_OUTPUT:
        return model->head.pooling == BT_POOLING_POOLER || model->head.pooling == BT_POOLING_CLS;
    case BT_HEAD_TOKENS:
        return false;
    }
    return false;
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
           exec_reads_first_rows(exec->model);
}

static void embedding_forward(exec_cpu *exec, const exec_pass *pass) {
    const bt_model *const          m = exec->model;
    const bt_encoder_config *const e = &m->encoder;
    const bt_batch *const          batch = pass->batch;
    exec_acts *const               acts = &exec->acts;
    const bt_nn_dropout            dropout =
        exec_dropout(pass, 0, BT_SITE_EMBEDDING_DROPOUT, e->dropout_rate, NULL);
    bt_nn_embedding_forward(
        &exec->nn, acts->embedding_sum, acts->embedding_out, acts->embedding_mean,
        acts->embedding_rstd, exec_param(exec, m->word_embeddings),
        exec_param(exec, m->position_embedding), exec_param(exec, m->type_embeddings),
        exec_param(exec, m->embedding_norm.gamma), exec_param(exec, m->embedding_norm.beta),
        batch->ids, batch->positions, batch->types, &dropout, batch->n_tokens, e->embedding_size,
        e->norm_eps);
    if (acts->embedded != acts->embedding_out) {
        bt_nn_dense_forward(&exec->nn, acts->embedded, acts->embedding_out,
                            exec_param(exec, m->embedding_projection.kernel),
                            exec_param(exec, m->embedding_projection.bias), batch->n_tokens,
                            e->embedding_size, e->hidden_size);
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
    bt_nn_norm_forward(&exec->nn, acts->hidden, acts->embedding_mean, acts->embedding_rstd,
                       acts->embedding_sum, exec_param(exec, m->embedding_norm.gamma),
                       exec_param(exec, m->embedding_norm.beta), T, H, m->encoder.norm_eps);
    bt_nn_dropout_apply(&exec->nn, acts->hidden, acts->hidden, &dropout, T, H);
}

const float *exec_layer_input(const exec_cpu *exec, int64_t layer) {
    const exec_acts *const acts = &exec->acts;
    if (layer == 0) {
        return acts->embedded;
    }
    return exec->model->encoder.norm_first ? acts->layers[layer - 1].sum_2 : acts->hidden;
}

const float *exec_layer_keys_input(const exec_cpu *exec, int64_t layer) {
    return exec->model->encoder.norm_first ? exec->acts.hidden : exec_layer_input(exec, layer);
}

exec_query_input exec_layer_query_input(const exec_cpu *exec, const exec_pass *pass,
                                        int64_t layer) {
    if (exec_is_first_only(exec, pass, layer)) {
        return (exec_query_input){exec->acts.q_in, exec->acts.residual};
    }
    return (exec_query_input){exec_layer_keys_input(exec, layer), exec_layer_input(exec, layer)};
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

/* One of the layer's norms, from what was added up to what the next product reads. */
static void norm_forward(exec_cpu *exec, bt_norm_index norm, float *mean, float *rstd,
                         const float *sum, int64_t R) {
    bt_nn_norm_forward(&exec->nn, exec->acts.hidden, mean, rstd, sum, exec_param(exec, norm.gamma),
                       exec_param(exec, norm.beta), R, exec->model->encoder.hidden_size,
                       exec->model->encoder.norm_eps);
}

static void attention_norm_forward(exec_cpu *exec, const exec_pass *pass, int64_t layer) {
    const exec_layer *const l = &exec->acts.layers[layer];
    norm_forward(exec, exec->model->layers[layer].attention_norm, l->mean_1, l->rstd_1,
                 exec_layer_input(exec, layer), pass->batch->n_tokens);
}

void exec_layer_keys_input_again(exec_cpu *exec, const exec_pass *pass, int64_t layer) {
    if (exec->model->encoder.norm_first) {
        attention_norm_forward(exec, pass, layer);
    } else if (layer > 0) {
        const exec_layer *const before = &exec->acts.layers[layer - 1];
        norm_forward(exec, exec->model->layers[layer - 1].output_norm, before->mean_2,
                     before->rstd_2, before->sum_2, pass->batch->n_tokens);
    } else if (exec->acts.embedded == exec->acts.hidden) {
        embedding_out_again(exec, pass);
    }
}

/* The norm behind the first residual: the attention's, or with norm_first the output's. */
static bt_norm_index ffn_norm(const exec_cpu *exec, int64_t layer, float **mean, float **rstd) {
    const bool              norm_first = exec->model->encoder.norm_first;
    const exec_layer *const l = &exec->acts.layers[layer];
    *mean = norm_first ? l->mean_2 : l->mean_1;
    *rstd = norm_first ? l->rstd_2 : l->rstd_1;
    return norm_first ? exec->model->layers[layer].output_norm
                      : exec->model->layers[layer].attention_norm;
}

void exec_ffn_input_again(exec_cpu *exec, const exec_pass *pass, int64_t layer) {
    const bool          first_only = exec_is_first_only(exec, pass, layer);
    float              *mean = NULL;
    float              *rstd = NULL;
    const bt_norm_index norm = ffn_norm(exec, layer, &mean, &rstd);
    norm_forward(exec, norm, mean, rstd, exec->acts.layers[layer].sum_1,
                 first_only ? pass->batch->n_seqs : pass->batch->n_tokens);
}

/* acts.hidden (norm_first: the layer's input) -> context of the attention. */
static void attention_forward(exec_cpu *exec, const exec_pass *pass, int64_t layer, int64_t R) {
    const bt_layer_index *const p = &exec->model->layers[layer];
    const exec_layer *const     l = &exec->acts.layers[layer];
    const exec_acts *const      acts = &exec->acts;
    const int64_t               H = exec->model->encoder.hidden_size;
    const int64_t               T = pass->batch->n_tokens;
    bt_nn *const                nn = &exec->nn;
    if (exec->model->encoder.norm_first) {
        attention_norm_forward(exec, pass, layer);
    }
    const float *const kv_in = exec_layer_keys_input(exec, layer);
    if (exec_is_first_only(exec, pass, layer)) {
        bt_nn_rows_gather(nn, acts->q_in, kv_in, acts->first_ids, R, H);
        if (acts->residual != acts->q_in) {
            bt_nn_rows_gather(nn, acts->residual, exec_layer_input(exec, layer), acts->first_ids, R,
                              H);
        }
    }
    const float *const q_in = exec_layer_query_input(exec, pass, layer).q_in;
    bt_nn_dense_forward(nn, l->q, q_in, exec_param(exec, p->query.kernel),
                        exec_param(exec, p->query.bias), R, H, H);
    bt_nn_dense_forward(nn, l->k, kv_in, exec_param(exec, p->key.kernel),
                        exec_param(exec, p->key.bias), T, H, H);
    bt_nn_dense_forward(nn, l->v, kv_in, exec_param(exec, p->value.kernel),
                        exec_param(exec, p->value.bias), T, H, H);
    const bt_nn_attention attention = exec_attention(exec, pass, layer);
    bt_nn_attention_forward(nn, l->context, l->max, l->inv_sum, l->q, l->k, l->v, &attention);
}

/* Rows of a layer's queries, and which tokens they are; NULL: all. */
static int64_t query_rows(const exec_cpu *exec, const exec_pass *pass, int64_t layer,
                          const int64_t **row_ids) {
    const bool first_only = exec_is_first_only(exec, pass, layer);
    *row_ids = first_only ? exec->acts.first_ids : NULL;
    return first_only ? pass->batch->n_seqs : pass->batch->n_tokens;
}

void exec_layer_begin(exec_cpu *exec, const exec_pass *pass, int64_t layer) {
    const bt_encoder_config *const e = &exec->model->encoder;
    const bt_layer_index *const    p = &exec->model->layers[layer];
    const exec_layer *const        l = &exec->acts.layers[layer];
    const exec_acts *const         acts = &exec->acts;
    const int64_t                  H = e->hidden_size;
    const int64_t                  I = e->intermediate_size;
    bt_nn *const                   nn = &exec->nn;
    const int64_t                 *row_ids = NULL;
    const int64_t                  R = query_rows(exec, pass, layer, &row_ids);
    const bt_nn_dropout            dropout =
        exec_dropout(pass, (uint32_t)layer, BT_SITE_ATTENTION_OUTPUT_DROPOUT,
                     e->attention_dropout_rate, row_ids);
    float              *mean = NULL;
    float              *rstd = NULL;
    const bt_norm_index norm = ffn_norm(exec, layer, &mean, &rstd);
    attention_forward(exec, pass, layer, R);
    bt_nn_dense_forward(nn, l->sum_1, l->context, exec_param(exec, p->attention_output.kernel),
                        NULL, R, H, H);
    bt_nn_residual_norm_forward(
        nn, l->sum_1, acts->hidden, mean, rstd, exec_param(exec, p->attention_output.bias),
        exec_layer_query_input(exec, pass, layer).residual, exec_param(exec, norm.gamma),
        exec_param(exec, norm.beta), &dropout, R, H, e->norm_eps);
    bt_nn_dense_forward(nn, l->pre_act, acts->hidden, exec_param(exec, p->intermediate.kernel),
                        NULL, R, H, I);
    bt_nn_bias_act_forward(nn, l->pre_act, acts->ffn, exec_param(exec, p->intermediate.bias),
                           exec_act(exec), R, I);
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
    exec_layer_begin(exec, pass, layer);
    bt_nn_dense_forward(&exec->nn, l->sum_2, acts->ffn, exec_param(exec, p->output.kernel), NULL, R,
                        e->intermediate_size, e->hidden_size);
    bt_nn_residual_norm_forward(
        &exec->nn, l->sum_2, e->norm_first ? NULL : acts->hidden, l->mean_2, l->rstd_2,
        exec_param(exec, p->output.bias), e->norm_first ? l->sum_1 : acts->hidden,
        exec_param(exec, p->output_norm.gamma), exec_param(exec, p->output_norm.beta), &dropout, R,
        e->hidden_size, e->norm_eps);
}

const float *exec_encoder_forward(exec_cpu *exec, const exec_pass *pass) {
    const bt_batch *const batch = pass->batch;
    exec_acts *const      acts = &exec->acts;
    for (int64_t b = 0; b < batch->n_seqs; b++) {
        acts->first_ids[b] = batch->offsets[b];
        acts->first_offsets[b] = b;
    }
    acts->first_offsets[batch->n_seqs] = batch->n_seqs;
    embedding_forward(exec, pass);
    for (int64_t layer = 0; layer < pass->n_layers; layer++) {
        layer_forward(exec, pass, layer);
    }
    return exec_layer_input(exec, pass->n_layers);
}
