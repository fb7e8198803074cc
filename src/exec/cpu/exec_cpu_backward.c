/* SPDX-License-Identifier: Apache-2.0
 *
 * The encoder's backward pass. The running gradient lives in acts.grad_a: of a layer's output when
 * the layer starts, of its input when it ends; grad_b, grad_c and grad_d are passed around. */
#include <string.h>

#include "exec_cpu_internal.h"

static void swap(float **a, float **b) {
    float *const t = *a;
    *a = *b;
    *b = t;
}

/* grad_c changes places with others. */
static exec_array product_gradient(const exec_cpu *exec) {
    return exec->is_16 ? (exec_array){.h = exec->acts.grad_product16}
                       : (exec_array){.f = exec->acts.grad_c};
}

/* What the feed-forward's backward reads, as it was: its input in acts.hidden, its activation.
 * Returns whether pre_act became the activation's slopes on the way. */
static bool ffn_again(exec_cpu *exec, const exec_pass *pass, int64_t layer, int64_t R) {
    const bool is_last = layer == pass->n_layers - 1; /* nothing went over its activation yet */
    if (exec->recompute && !is_last) {
        exec_layer_keys_input_again(exec, pass, layer);
        exec_layer_begin(exec, pass, layer);
        return false;
    }
    exec_ffn_input_again(exec, pass, layer);
    if (is_last || exec->is_16) { /* in bfloat16 with its gradient */
        return false;
    }
    return bt_nn_act_again(&exec->nn, exec->acts.ffn.f, exec->acts.layers[layer].pre_act.f,
                           exec_act(exec), R * exec->model->encoder.intermediate_size);
}

/* grad_a, grad_c as below; d_ffn_in: the gradient of what the feed-forward read. */
static void attention_residual_backward(exec_cpu *exec, const exec_pass *pass, int64_t layer,
                                        int64_t R, const float *d_ffn_in) {
    const bt_encoder_config *const e = &exec->model->encoder;
    const bt_layer_index *const    p = &exec->model->layers[layer];
    const exec_layer *const        l = &exec->acts.layers[layer];
    exec_acts *const               acts = &exec->acts;
    bt_nn *const                   nn = &exec->nn;
    const int64_t                  H = e->hidden_size;
    const int64_t *const           row_ids = R == pass->batch->n_tokens ? NULL : acts->first_ids;
    const uint32_t                 place = (uint32_t)layer;
    const bt_nn_dropout            attention_dropout = exec_dropout(
                   pass, place, BT_SITE_ATTENTION_OUTPUT_DROPOUT, e->attention_dropout_rate, row_ids);
    const bt_nn_norm          norm_1 = exec_ffn_norm(exec, layer);
    const bt_nn_residual_norm first = {.sum = l->sum_1,
                                       .norm = &norm_1,
                                       .dropout = &attention_dropout,
                                       .kept = l->kept_1,
                                       .R = R,
                                       .H = H};
    bt_nn_residual_norm_backward(
        nn, &first,
        &(bt_nn_residual_norm_grads){.d_sum = acts->grad_a,
                                     .d_product = exec->is_16 ? NULL : acts->grad_c,
                                     .d_product16 = acts->grad_product16,
                                     .bias = exec_grad(exec, p->attention_output.bias),
                                     .norm =
                                         exec_norm_grads(exec, exec_ffn_norm_index(exec, layer))},
        d_ffn_in, e->norm_first ? acts->grad_a : NULL);
}

/* From grad_product, the gradient of the feed-forward's output product, through that product and
 * the activation to d_ffn. */
static void activation_backward(exec_cpu *exec, const exec_pass *pass, int64_t layer, int64_t R,
                                bool has_slopes) {
    const bt_layer_index *const p = &exec->model->layers[layer];
    const exec_layer *const     l = &exec->acts.layers[layer];
    exec_acts *const            acts = &exec->acts;
    const int64_t               I = exec->model->encoder.intermediate_size;
    const exec_dense            output = {.d_in = exec->is_16 ? (exec_array){.f = NULL}
                                                              : acts->d_ffn, /* over acts.ffn */
                                          .d_out = product_gradient(exec),
                                          .in = acts->ffn,
                                          .R = R,
                                          .K = I,
                                          .N = exec->model->encoder.hidden_size,
                                          .without_bias = true,
                                          .lora = exec_lora_of(exec, pass, layer, BT_LORA_OUTPUT)};
    float *const                d_bias = exec_grad(exec, p->intermediate.bias);
    if (exec->is_16) {
        const bool          is_there = exec->recompute || layer == pass->n_layers - 1;
        const bt_nn_dense16 above = {
            .kernel = exec_param(exec, p->output.kernel), .R = R, .K = output.K, .N = output.N};
        bt_nn_dense16_act_backward(&exec->nn, acts->d_ffn.h, d_bias, is_there ? NULL : acts->ffn.h,
                                   l->pre_act.h, exec_act(exec), acts->grad_product16, &above);
    }
    exec_dense_backward(exec, p->output, &output);
    if (!exec->is_16) {
        bt_nn_bias_act_backward(&exec->nn, acts->d_ffn.f, d_bias, l->pre_act.f, has_slopes,
                                exec_act(exec), R, I);
    }
}

/* grad_a = gradient of the output -> grad_a = gradient of sum_1, grad_product = of the
 * attention's output product. */
static void ffn_backward(exec_cpu *exec, const exec_pass *pass, int64_t layer, int64_t R,
                         bool has_slopes) {
    const bt_encoder_config *const e = &exec->model->encoder;
    const bt_layer_index *const    p = &exec->model->layers[layer];
    const exec_layer *const        l = &exec->acts.layers[layer];
    exec_acts *const               acts = &exec->acts;
    bt_nn *const                   nn = &exec->nn;
    const int64_t                  H = e->hidden_size;
    const bool                     norm_first = e->norm_first;
    const int64_t *const           row_ids = R == pass->batch->n_tokens ? NULL : acts->first_ids;
    const uint32_t                 place = (uint32_t)layer;
    const bt_nn_dropout            ffn_dropout =
        exec_dropout(pass, place, BT_SITE_FFN_OUTPUT_DROPOUT, e->dropout_rate, row_ids);
    /* norm_first: no norm here, and grad_a goes on as the residual's gradient */
    float *const              d_ffn_in = acts->grad_b;
    const bt_nn_norm          norm_2 = exec_norm(exec, p->output_norm, l->mean_2, l->rstd_2);
    const bt_nn_residual_norm second = {.sum = l->sum_2,
                                        .norm = norm_first ? NULL : &norm_2,
                                        .dropout = &ffn_dropout,
                                        .kept = l->kept_2,
                                        .R = R,
                                        .H = H};
    bt_nn_residual_norm_backward(
        nn, &second,
        &(bt_nn_residual_norm_grads){.d_sum = norm_first ? acts->grad_a : d_ffn_in,
                                     .d_product = exec->is_16 ? NULL : acts->grad_c,
                                     .d_product16 = acts->grad_product16,
                                     .bias = exec_grad(exec, p->output.bias),
                                     .norm = exec_norm_grads(exec, p->output_norm)},
        acts->grad_a, NULL);
    activation_backward(exec, pass, layer, R, has_slopes);
    exec_dense_backward(
        exec, p->intermediate,
        &(exec_dense){.d_in = {.f = d_ffn_in},
                      .d_out = acts->d_ffn,
                      .in = exec->is_16 ? (exec_array){.h = acts->hidden16}
                                        : (exec_array){.f = acts->hidden},
                      .R = R,
                      .K = H,
                      .N = e->intermediate_size,
                      .add_to_d_in = !norm_first,
                      .without_bias = true,
                      .lora = exec_lora_of(exec, pass, layer, BT_LORA_INTERMEDIATE)});
    attention_residual_backward(exec, pass, layer, R, d_ffn_in);
}

/* One of query, key and value, whose gradient is d_out. */
static exec_dense projection(const exec_cpu *exec, const exec_pass *pass, int64_t layer,
                             bt_lora_target target, exec_array d_out, exec_array in, int64_t R) {
    const int64_t H = exec->model->encoder.hidden_size;
    return (exec_dense){.without_bias = exec->is_16, /* the attention made its gradient */
                        .d_out = d_out,
                        .in = in,
                        .R = R,
                        .K = H,
                        .N = H,
                        .lora = exec_lora_of(exec, pass, layer, target)};
}

/* Query, key and value of all tokens: into d_in [T,H]; NULL: nothing below is trained. */
static void qkv_backward(exec_cpu *exec, const exec_pass *pass, int64_t layer, float *d_in,
                         bool add_to_d_in) {
    const bt_layer_index *const p = &exec->model->layers[layer];
    const exec_acts *const      acts = &exec->acts;
    const int64_t               T = pass->batch->n_tokens;
    exec_layer_keys_input_again(exec, pass, layer);
    const exec_array     in = exec_layer_keys_input(exec, layer);
    const bt_dense_index dense[] = {p->query, p->key, p->value};
    exec_dense           d[] = {projection(exec, pass, layer, BT_LORA_QUERY, acts->grad_q, in, T),
                                projection(exec, pass, layer, BT_LORA_KEY, acts->grad_k, in, T),
                                projection(exec, pass, layer, BT_LORA_VALUE, acts->grad_v, in, T)};
    d[0].d_in.f = d_in;
    d[0].add_to_d_in = add_to_d_in;
    exec_denses_backward(exec, dense, d, BT_ARRAY_LEN(d));
}

/* The query of first tokens alone: into d_q_in [B,H], and into d_kv_in [T,H], which is overwritten.
 * Both NULL: nothing below is trained. */
static void q_kv_backward(exec_cpu *exec, const exec_pass *pass, int64_t layer, float *d_q_in,
                          bool add_to_q, float *d_kv_in) {
    const bt_layer_index *const p = &exec->model->layers[layer];
    const exec_acts *const      acts = &exec->acts;
    const int64_t               T = pass->batch->n_tokens;
    exec_layer_keys_input_again(exec, pass, layer);
    const exec_array     in = exec_layer_keys_input(exec, layer);
    const bt_dense_index dense[] = {p->key, p->value};
    exec_dense           kv[] = {projection(exec, pass, layer, BT_LORA_KEY, acts->grad_k, in, T),
                                 projection(exec, pass, layer, BT_LORA_VALUE, acts->grad_v, in, T)};
    exec_dense           q =
        projection(exec, pass, layer, BT_LORA_QUERY, acts->grad_q, acts->q_in, pass->batch->n_seqs);
    q.d_in.f = d_q_in;
    q.add_to_d_in = add_to_q;
    exec_dense_backward(exec, p->query, &q);
    kv[0].d_in.f = d_kv_in;
    exec_denses_backward(exec, dense, kv, BT_ARRAY_LEN(kv));
}

/* norm_first: the norm of the layer's input. */
static void attention_norm_backward(exec_cpu *exec, int64_t layer, float *d_in, float *d_out,
                                    int64_t T) {
    const bt_norm_index     index = exec->model->layers[layer].attention_norm;
    const exec_layer *const l = &exec->acts.layers[layer];
    const bt_nn_norm        norm = exec_norm(exec, index, l->mean_1, l->rstd_1);
    const bt_nn_norm_grads  grads = exec_norm_grads(exec, index);
    bt_nn_norm_backward(&exec->nn, &norm, &grads, d_in, d_out, exec_layer_input(exec, layer), T,
                        exec->model->encoder.hidden_size);
}

/* Every token asks: grad_a is the residual's gradient [T,H] and becomes the input's. */
static void input_backward_all(exec_cpu *exec, const exec_pass *pass, int64_t layer, int64_t T) {
    exec_acts *const acts = &exec->acts;
    if (!exec->model->encoder.norm_first) {
        float *const d_in = layer > exec->lowest ? acts->grad_a : NULL;
        qkv_backward(exec, pass, layer, d_in, true);
        return;
    }
    qkv_backward(exec, pass, layer, acts->grad_b, false);
    attention_norm_backward(exec, layer, acts->grad_a, acts->grad_b, T);
}

/* Only first tokens ask: grad_a [B,H] is the residual's gradient; the input's is [T,H]. */
static void input_backward_first(exec_cpu *exec, const exec_pass *pass, int64_t layer, int64_t B) {
    exec_acts *const acts = &exec->acts;
    bt_nn *const     nn = &exec->nn;
    const int64_t    T = pass->batch->n_tokens;
    const int64_t    H = exec->model->encoder.hidden_size;
    if (!exec->model->encoder.norm_first && layer == exec->lowest) {
        q_kv_backward(exec, pass, layer, NULL, false, NULL);
        return;
    }
    if (!exec->model->encoder.norm_first) {
        q_kv_backward(exec, pass, layer, acts->grad_a, true, acts->grad_d);
        bt_nn_rows_scatter_add(nn, acts->grad_d, acts->grad_a, acts->first_ids, B, H);
        swap(&acts->grad_a, &acts->grad_d);
        return;
    }
    q_kv_backward(exec, pass, layer, acts->grad_b, false, acts->grad_d);
    bt_nn_rows_scatter_add(nn, acts->grad_d, acts->grad_b, acts->first_ids, B, H);
    memset(acts->grad_c, 0, (size_t)(T * H) * sizeof *acts->grad_c);
    bt_nn_rows_scatter_add(nn, acts->grad_c, acts->grad_a, acts->first_ids, B, H);
    attention_norm_backward(exec, layer, acts->grad_c, acts->grad_d, T);
    swap(&acts->grad_a, &acts->grad_c);
}

static void attention_backward(exec_cpu *exec, const exec_pass *pass, int64_t layer) {
    const exec_layer *const     l = &exec->acts.layers[layer];
    const bt_layer_index *const p = &exec->model->layers[layer];
    const exec_acts *const      acts = &exec->acts;
    const bt_nn_attention       attention = exec_attention(exec, pass, layer);
    if (!exec->is_16) {
        bt_nn_attention_backward(&exec->nn, acts->grad_q.f, acts->grad_k.f, acts->grad_v.f,
                                 acts->grad_b, l->q.f, l->k.f, l->v.f, l->max, l->inv_sum,
                                 &attention);
        return;
    }
    bt_nn_attention16 x = exec_attention16(exec, layer);
    x.d_context = acts->grad_context16;
    x.d_q = acts->grad_q.h;
    x.d_k = acts->grad_k.h;
    x.d_v = acts->grad_v.h;
    x.d_q_bias = exec_grad(exec, p->query.bias);
    x.d_k_bias = exec_grad(exec, p->key.bias);
    x.d_v_bias = exec_grad(exec, p->value.bias);
    bt_nn_attention16_backward(&exec->nn, &attention, &x);
}

static void layer_backward(exec_cpu *exec, const exec_pass *pass, int64_t layer) {
    const bt_layer_index *const p = &exec->model->layers[layer];
    const exec_layer *const     l = &exec->acts.layers[layer];
    exec_acts *const            acts = &exec->acts;
    const bool                  first_only = exec_is_first_only(exec, pass, layer);
    const int64_t               R = first_only ? pass->batch->n_seqs : pass->batch->n_tokens;
    const int64_t               H = exec->model->encoder.hidden_size;
    const bool                  has_slopes = ffn_again(exec, pass, layer, R);
    ffn_backward(exec, pass, layer, R, has_slopes);
    exec_dense_backward(
        exec, p->attention_output,
        &(exec_dense){.d_in = exec->is_16 ? (exec_array){.h = acts->grad_context16}
                                          : (exec_array){.f = acts->grad_b},
                      .d_out = product_gradient(exec),
                      .in = l->context,
                      .R = R,
                      .K = H,
                      .N = H,
                      .without_bias = true,
                      .lora = exec_lora_of(exec, pass, layer, BT_LORA_ATTENTION_OUTPUT)});
    attention_backward(exec, pass, layer);
    if (first_only) {
        input_backward_first(exec, pass, layer, R);
    } else {
        input_backward_all(exec, pass, layer, R);
    }
}

static double embedding_backward(exec_cpu *exec, const exec_pass *pass) {
    const bt_model *const          m = exec->model;
    const bt_encoder_config *const e = &m->encoder;
    const bt_batch *const          batch = pass->batch;
    exec_acts *const               acts = &exec->acts;
    if (e->embedding_size != e->hidden_size) {
        exec_dense_backward(exec, m->embedding_projection,
                            &(exec_dense){.d_in = {.f = acts->grad_embedding},
                                          .d_out = {.f = acts->grad_a},
                                          .in = {.f = acts->embedding_out},
                                          .R = batch->n_tokens,
                                          .K = e->embedding_size,
                                          .N = e->hidden_size});
    } else {
        acts->grad_embedding = acts->grad_a;
    }
    const bt_nn_dropout dropout =
        exec_dropout(pass, 0, BT_SITE_EMBEDDING_DROPOUT, e->dropout_rate, NULL);
    const bt_nn_embedding       embedding = exec_embedding(exec, pass, &dropout);
    const bt_nn_embedding_grads grads = {.word = exec_grad(exec, m->word_embeddings),
                                         .position = exec_grad(exec, m->position_embedding),
                                         .type = exec_grad(exec, m->type_embeddings),
                                         .norm = exec_norm_grads(exec, m->embedding_norm)};
    return bt_nn_embedding_backward(&exec->nn, &embedding, &grads, acts->grad_embedding);
}

double exec_encoder_backward(exec_cpu *exec, const exec_pass *pass) {
    for (int64_t layer = pass->n_layers - 1; layer >= 0 && layer >= exec->lowest; layer--) {
        layer_backward(exec, pass, layer);
        exec_ranks_layer_done(exec, layer);
    }
    return exec->lowest < 0 ? embedding_backward(exec, pass) : 0;
}
