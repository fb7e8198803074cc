/* SPDX-License-Identifier: Apache-2.0
 *
 * Heads and losses (docs/model_garden/numerics.md section 2). A sentence head reads one row a
 * sequence; the encoder hands it [B,H] already, unless a mean or a maximum is taken over all
 * tokens. */
#include <string.h>

#include "exec_cpu_internal.h"

static bt_dense_index pooler_of(const bt_model *m) {
    return m->head.kind == BT_HEAD_POOLER_DENSE ? m->head_pooler : m->pooler_transform;
}

/* A sentence head's rows are sequences. */
static bt_nn_dropout head_dropout(const exec_cpu *exec, const exec_pass *pass, bt_rng_site site) {
    const bt_head_config *const head = &exec->model->head;
    bt_nn_dropout               dropout = exec_dropout(pass, 0, site, head->dropout_rate, NULL);
    dropout.first_row = head->kind == BT_HEAD_TOKENS ? pass->first_token : pass->first_seq;
    return dropout;
}

/* What the last product reads is never rounded to 8 bits. */
static void logits_forward(exec_cpu *exec, const float *in, int64_t R) {
    const bt_model *const m = exec->model;
    float *const          rounded = exec->nn.rounded;
    exec->nn.rounded = NULL;
    bt_nn_dense_forward(&exec->nn, exec->acts.logits, in, exec_param(exec, m->head_logits.kernel),
                        exec_param(exec, m->head_logits.bias), R, m->encoder.hidden_size,
                        m->head.num_classes);
    exec->nn.rounded = rounded;
}

/* One row [H] a sequence by the head's pooling. encoded [B,H], or [T,H] of all tokens. */
static void pooling_forward(exec_cpu *exec, const exec_pass *pass, float *out,
                            const float *encoded) {
    const bt_model *const m = exec->model;
    bt_nn *const          nn = &exec->nn;
    const int64_t         H = m->encoder.hidden_size;
    const int64_t         B = pass->batch->n_seqs;
    switch (m->head.pooling) {
    case BT_POOLING_POOLER:
        bt_nn_dense_forward(nn, exec->acts.pooled_pre, encoded,
                            exec_param(exec, m->pooler_transform.kernel),
                            exec_param(exec, m->pooler_transform.bias), B, H, H);
        bt_nn_act_forward(nn, out, exec->acts.pooled_pre, BT_ACT_TANH, B * H);
        return;
    case BT_POOLING_CLS:
        memcpy(out, encoded, (size_t)(B * H) * sizeof *out);
        return;
    case BT_POOLING_MEAN:
        bt_nn_mean_rows_forward(nn, out, encoded, pass->batch->offsets, B, H);
        return;
    case BT_POOLING_MAX:
        bt_nn_max_rows_forward(nn, out, encoded, pass->batch->offsets, B, H);
        return;
    }
}

/* The pooled output, of unit length or as it is; for a ranking loss the scores of all pairs. */
static void pooled_output_forward(exec_cpu *exec, const exec_pass *pass, const float *encoded) {
    const int64_t               B = pass->batch->n_seqs;
    const bt_head_config *const head = &exec->model->head;
    exec_acts *const            acts = &exec->acts;
    bt_nn *const                nn = &exec->nn;
    const int64_t               H = exec->model->encoder.hidden_size;
    const bool                  ranks = head->loss == BT_LOSS_RANKING;
    float *const                vectors = ranks ? acts->vectors : acts->logits;
    float *const                pooled = head->normalize ? acts->pooled : vectors;
    pooling_forward(exec, pass, pooled, encoded);
    if (head->normalize) {
        bt_nn_unit_rows_forward(nn, vectors, pooled, B, H);
    }
    if (ranks && !pass->without_pairs) {
        bt_nn_pair_scores_forward(nn, acts->logits, vectors, B / 2, H, head->logit_scale,
                                  head->logit_margin);
    }
}

void exec_head_forward(exec_cpu *exec, const exec_pass *pass, const float *encoded) {
    const bt_model *const m = exec->model;
    exec_acts *const      acts = &exec->acts;
    bt_nn *const          nn = &exec->nn;
    const int64_t         H = m->encoder.hidden_size;
    const int64_t         B = pass->batch->n_seqs;
    const bt_nn_dropout   dropout = head_dropout(exec, pass, BT_SITE_HEAD_DROPOUT);
    if (m->head.kind == BT_HEAD_TOKENS) {
        const int64_t T = pass->batch->n_tokens;
        bt_nn_dropout_apply(nn, acts->dropped, encoded, &dropout, T, H);
        logits_forward(exec, acts->dropped, T);
        return;
    }
    if (m->head.kind == BT_HEAD_POOLED_OUTPUT) {
        pooled_output_forward(exec, pass, encoded);
        return;
    }
    const bt_dense_index pooler = pooler_of(m);
    bt_nn_dense_forward(nn, acts->pooled_pre, encoded, exec_param(exec, pooler.kernel),
                        exec_param(exec, pooler.bias), B, H, H);
    bt_nn_act_forward(nn, acts->pooled, acts->pooled_pre, BT_ACT_TANH, B * H);
    bt_nn_dropout_apply(nn, acts->dropped, acts->pooled, &dropout, B, H);
    if (m->head.kind == BT_HEAD_ENCODER_POOLER) {
        const bt_nn_dropout second = head_dropout(exec, pass, BT_SITE_HEAD_INPUT_DROPOUT);
        bt_nn_dropout_apply(nn, acts->dropped, acts->dropped, &second, B, H);
    }
    logits_forward(exec, acts->dropped, B);
}

/* Weights are for training only: an evaluation says how the model does on the data as they are. */
static double class_loss(const exec_cpu *exec, const exec_pass *pass, float *d_logits,
                         int64_t first, int64_t R, int64_t R_all) {
    const bt_class_rule *const given = &exec->model->class_rule;
    const int32_t *const       labels = pass->whole->int_labels;
    bt_nn_class_rule           rule = {.smoothing = given->label_smoothing,
                                       .weights = d_logits != NULL ? given->weights : NULL,
                                       .rows = d_logits != NULL ? pass->whole->row_weights : NULL};
    rule.all = bt_nn_class_weight(labels, &rule, R_all);
    rule.rows = rule.rows != NULL ? rule.rows + first : NULL;
    return bt_nn_class_loss(d_logits, exec->acts.logits, labels + first, &rule, R,
                            exec->model->head.num_classes);
}

/* Likewise, of rows that have no class. */
static bt_nn_row_rule row_rule(const exec_pass *pass, const float *d_logits) {
    const float *const weights = d_logits != NULL ? pass->whole->row_weights : NULL;
    return (bt_nn_row_rule){.rows = weights != NULL ? weights + pass->first_seq : NULL,
                            .all = bt_nn_rows_weight(weights, pass->whole->n_seqs)};
}

double exec_loss(exec_cpu *exec, const exec_pass *pass, float *d_logits) {
    const bt_head_config *const head = &exec->model->head;
    const bt_batch *const       batch = pass->batch;
    const bt_batch *const       whole = pass->whole;
    const int32_t *const        ints = whole->int_labels;
    const float *const          floats = whole->float_labels;
    const float *const          logits = exec->acts.logits;
    const int64_t               B = batch->n_seqs;
    const int64_t               B_all = whole->n_seqs;
    const int64_t               first = pass->first_seq;
    const bt_nn_row_rule        rule = row_rule(pass, d_logits);
    switch (head->loss) {
    case BT_LOSS_NONE:
        return 0;
    case BT_LOSS_SOFTMAX:
        return ints == NULL ? 0 : class_loss(exec, pass, d_logits, first, B, B_all);
    case BT_LOSS_MSE:
        return floats == NULL ? 0 : bt_nn_mse_loss(d_logits, logits, floats + first, B, &rule);
    case BT_LOSS_MSE_ALL_PAIRS:
        return floats == NULL ? 0 : bt_nn_mse_all_pairs_loss(d_logits, logits, floats, B, B_all);
    case BT_LOSS_SPAN:
        return ints == NULL ? 0
                            : bt_nn_span_loss(d_logits, logits, ints + first, ints + B_all + first,
                                              batch->offsets, B, B_all);
    case BT_LOSS_TOKENS:
        return ints == NULL ? 0
                            : class_loss(exec, pass, d_logits, pass->first_token, batch->n_tokens,
                                         whole->n_tokens);
    case BT_LOSS_RANKING:
        return bt_nn_ranking_loss(d_logits, logits, B / 2, head->bidirectional);
    case BT_LOSS_SIGMOID:
        return floats == NULL
                   ? 0
                   : bt_nn_sigmoid_loss(d_logits, logits, floats + first * head->num_classes, B,
                                        head->num_classes, &rule);
    }
    return 0;
}

/* From the gradient of the scores to that of the pooled output, d [B,H]. */
static void ranking_backward(exec_cpu *exec, float *d, int64_t B) {
    const bt_head_config *const head = &exec->model->head;
    const int64_t               H = exec->model->encoder.hidden_size;
    bt_nn_pair_scores_backward(&exec->nn, d, exec->acts.d_logits, exec->acts.vectors, B / 2, H,
                               head->logit_scale);
    if (head->normalize) {
        bt_nn_unit_rows_backward(&exec->nn, d, d, exec->acts.pooled, B, H);
    }
}

static bool trains_layers(const exec_cpu *exec) {
    return exec->lowest < exec->model->encoder.num_layers;
}

/* From the gradient of the pooled rows, d [B,H], to that of the encoder's output. */
static void pooler_backward(exec_cpu *exec, float *d, const float *encoded, int64_t B) {
    const bt_dense_index pooler = pooler_of(exec->model);
    const int64_t        H = exec->model->encoder.hidden_size;
    bt_nn_act_backward(&exec->nn, d, d, exec->acts.pooled_pre, BT_ACT_TANH, B * H);
    exec_dense_backward(exec, pooler,
                        &(exec_dense){.d_in = {.f = trains_layers(exec) ? exec->acts.grad_a : NULL},
                                      .d_out = {.f = d},
                                      .in = {.f = (float *)encoded},
                                      .R = B,
                                      .K = H,
                                      .N = H});
}

/* The same where the head pools by itself: d [B,H] is not needed afterwards. */
static void pooling_backward(exec_cpu *exec, const exec_pass *pass, float *d,
                             const float *encoded) {
    const int64_t        H = exec->model->encoder.hidden_size;
    const int64_t        B = pass->batch->n_seqs;
    float *const         d_in = exec->acts.grad_a;
    const int64_t *const offsets = pass->batch->offsets;
    switch (exec->model->head.pooling) {
    case BT_POOLING_POOLER:
        pooler_backward(exec, d, encoded, B);
        return;
    case BT_POOLING_CLS:
        memcpy(d_in, d, (size_t)(B * H) * sizeof *d_in);
        return;
    case BT_POOLING_MEAN:
        bt_nn_mean_rows_backward(&exec->nn, d_in, d, offsets, B, H);
        return;
    case BT_POOLING_MAX:
        bt_nn_max_rows_backward(&exec->nn, d_in, d, encoded, offsets, B, H);
        return;
    }
}

void exec_head_backward(exec_cpu *exec, const exec_pass *pass, const float *encoded) {
    const bt_model *const m = exec->model;
    exec_acts *const      acts = &exec->acts;
    bt_nn *const          nn = &exec->nn;
    const int64_t         H = m->encoder.hidden_size;
    const int64_t         C = m->head.num_classes;
    const bool            tokens = m->head.kind == BT_HEAD_TOKENS;
    const int64_t         R = tokens ? pass->batch->n_tokens : pass->batch->n_seqs;
    float *const          d = tokens ? acts->grad_a : acts->grad_b;
    if (m->head.loss == BT_LOSS_RANKING) {
        ranking_backward(exec, d, R);
        pooling_backward(exec, pass, d, encoded);
        return;
    }
    const bt_nn_dropout dropout = head_dropout(exec, pass, BT_SITE_HEAD_DROPOUT);
    exec_dense_backward(exec, m->head_logits,
                        &(exec_dense){.d_in = {.f = tokens && !trains_layers(exec) ? NULL : d},
                                      .d_out = {.f = acts->d_logits},
                                      .in = {.f = acts->dropped},
                                      .R = R,
                                      .K = H,
                                      .N = C});
    if (tokens && !trains_layers(exec)) {
        return;
    }
    if (m->head.kind == BT_HEAD_ENCODER_POOLER) {
        const bt_nn_dropout second = head_dropout(exec, pass, BT_SITE_HEAD_INPUT_DROPOUT);
        bt_nn_dropout_apply(nn, d, d, &second, R, H);
    }
    bt_nn_dropout_apply(nn, d, d, &dropout, R, H);
    if (tokens) {
        return;
    }
    pooler_backward(exec, d, encoded, R);
}
