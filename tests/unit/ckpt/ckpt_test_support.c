/* SPDX-License-Identifier: Apache-2.0
 *
 * See ckpt_test_support.h. */
#include "ckpt_test_support.h"
#include "bt/base/alloc.h"

#include <string.h>

#include "test_support.h"

const test_model_spec test_golden_spec = {.type = BT_ENCODER_BERT,
                                          .n_layers = 2,
                                          .vocab_size = 200,
                                          .hidden_size = 32,
                                          .embedding_size = 32,
                                          .n_heads = 4,
                                          .intermediate_size = 64,
                                          .n_positions = 64,
                                          .n_classes = 3};
const test_model_spec test_small_spec = {.type = BT_ENCODER_BERT,
                                         .n_layers = 2,
                                         .vocab_size = 20,
                                         .hidden_size = 8,
                                         .embedding_size = 8,
                                         .n_heads = 2,
                                         .intermediate_size = 12,
                                         .n_positions = 16,
                                         .n_classes = 3};

#define SENTENCE BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, false
#define POOLED BT_HEAD_ENCODER_POOLER, BT_LOSS_SOFTMAX, false
#define SPAN BT_HEAD_TOKENS, BT_LOSS_SPAN, false
#define TAGGING BT_HEAD_TOKENS, BT_LOSS_TOKENS, false
#define DUAL BT_HEAD_POOLED_OUTPUT, BT_LOSS_RANKING, true
#define DUAL_RAW BT_HEAD_POOLED_OUTPUT, BT_LOSS_RANKING, false

const test_graph_case test_graph_cases[] = {
    {"bert_dense", BT_ENCODER_BERT, 8, SENTENCE, false},
    {"bert_dense_ema", BT_ENCODER_BERT, 8, SENTENCE, true},
    {"bert_e4_pooler", BT_ENCODER_BERT, 4, POOLED, false},
    {"bert_v2_e4_dense", BT_ENCODER_BERT_V2, 4, SENTENCE, false},
    {"bert_v2_pooler", BT_ENCODER_BERT_V2, 8, POOLED, false},
    {"bert_span", BT_ENCODER_BERT, 8, SPAN, false},
    {"bert_span_ema", BT_ENCODER_BERT, 8, SPAN, true},
    {"bert_v2_span", BT_ENCODER_BERT_V2, 8, SPAN, false},
    {"bert_tagging", BT_ENCODER_BERT, 8, TAGGING, false},
    {"bert_v2_tagging_ema", BT_ENCODER_BERT_V2, 8, TAGGING, true},
    {"bert_dual", BT_ENCODER_BERT, 8, DUAL, false},
    {"bert_dual_ema", BT_ENCODER_BERT, 8, DUAL, true},
    {"bert_dual_raw", BT_ENCODER_BERT, 8, DUAL_RAW, false},
    {"albert_dense", BT_ENCODER_ALBERT, 4, SENTENCE, false},
    {"albert_pooler_ema", BT_ENCODER_ALBERT, 8, POOLED, true},
    {"albert_span", BT_ENCODER_ALBERT, 4, SPAN, false},
    {"albert_tagging", BT_ENCODER_ALBERT, 4, TAGGING, false},
    {"albert_dual", BT_ENCODER_ALBERT, 4, DUAL, false},
};
const size_t test_n_graph_cases = BT_ARRAY_LEN(test_graph_cases);

bt_model *test_make_case_model(const test_graph_case *c) {
    test_model_spec spec = test_small_spec;
    spec.type = c->type;
    spec.embedding_size = c->embedding_size;
    spec.head = c->head;
    spec.loss = c->loss;
    spec.normalize = c->normalize;
    spec.n_classes = c->loss == BT_LOSS_SPAN ? 2 : spec.n_classes;
    return test_make_model(&spec);
}

bt_model *test_make_model(const test_model_spec *spec) {
    const bt_encoder_config encoder = {.type = spec->type,
                                       .vocab_size = spec->vocab_size,
                                       .hidden_size = spec->hidden_size,
                                       .embedding_size = spec->embedding_size,
                                       .num_layers = spec->n_layers,
                                       .num_attention_heads = spec->n_heads,
                                       .intermediate_size = spec->intermediate_size,
                                       .max_position_embeddings = spec->n_positions,
                                       .type_vocab_size = 2,
                                       .hidden_activation = BT_ACT_GELU,
                                       .initializer_range = 0.02F};
    const bt_head_config    head = {.kind = spec->head,
                                    .loss = spec->loss != BT_LOSS_NONE ? spec->loss : BT_LOSS_SOFTMAX,
                                    .num_classes = spec->n_classes,
                                    .initializer_range = 0.02F,
                                    .normalize = spec->normalize};
    bt_model               *model = NULL;
    assert_ok(bt_model_create(&encoder, &head, &model, err));
    return model;
}

float test_value(int64_t seed, int64_t p, int64_t i) {
    return (float)((seed * 7919 + p * 101 + i) % 65536) / 32768.0F;
}

float *test_fill_flat(const bt_model *model, int64_t seed) {
    float *const flat = bt_calloc_array((size_t)model->table.n_elements, sizeof flat[0]);
    assert_non_null(flat);
    for (int64_t p = 0; p < model->table.n_params; p++) {
        const bt_param *const param = &model->table.params[p];
        for (int64_t i = 0; i < param->n_elements; i++) {
            flat[param->offset + i] = test_value(seed, p, i);
        }
    }
    return flat;
}

bt_ckpt_train test_make_train(const bt_model *model, const float *params, const float *m,
                              const float *v, const float *average) {
    return (bt_ckpt_train){.table = &model->table,
                           .params = params,
                           .n_slots = 2,
                           .slot_names = {"m", "v"},
                           .slots = {m, v},
                           .average = average,
                           .n_hypers = 3,
                           .hyper_names = {"beta_1", "beta_2", "decay"},
                           .hypers = {0.9F, 0.999F, 0.0F},
                           .iterations = 4,
                           .global_step = 4,
                           .save_counter = 0,
                           .state = "cursor 17",
                           .n_state_bytes = 9};
}
