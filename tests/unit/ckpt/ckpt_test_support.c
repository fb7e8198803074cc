/* SPDX-License-Identifier: Apache-2.0
 *
 * See ckpt_test_support.h. */
#include "ckpt_test_support.h"

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
    const bt_head_config    head = {.kind = spec->use_encoder_pooler ? BT_HEAD_ENCODER_POOLER
                                                                     : BT_HEAD_POOLER_DENSE,
                                    .loss = BT_LOSS_SOFTMAX,
                                    .num_classes = spec->n_classes,
                                    .initializer_range = 0.02F};
    bt_model               *model = NULL;
    assert_ok(bt_model_create(&encoder, &head, &model, err));
    return model;
}

float test_value(int64_t seed, int64_t p, int64_t i) {
    return (float)((seed * 7919 + p * 101 + i) % 65536) / 1024.0F - 32.0F;
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
                           .is_bert_v2 = model->encoder.type == BT_ENCODER_BERT_V2,
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
