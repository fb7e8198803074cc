/* SPDX-License-Identifier: Apache-2.0
 *
 * See onnx_cases.h. */
#include "onnx_cases.h"

#include "bt/base/alloc.h"
#include "bt/base/rng.h"
#include "test_support.h"

enum { H = 16, NH = 4, I = 24, L = 3, P = 16, V = 160 };

#define SENTENCE BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3, BT_POOLING_POOLER, false
#define POOLED BT_HEAD_ENCODER_POOLER, BT_LOSS_SOFTMAX, 2, BT_POOLING_POOLER, false
#define REGRESSION BT_HEAD_POOLER_DENSE, BT_LOSS_MSE, 1, BT_POOLING_POOLER, false
#define LABELS BT_HEAD_ENCODER_POOLER, BT_LOSS_SIGMOID, 4, BT_POOLING_POOLER, false
#define SPAN BT_HEAD_TOKENS, BT_LOSS_SPAN, 2, BT_POOLING_POOLER, false
#define TAGS BT_HEAD_TOKENS, BT_LOSS_TOKENS, 5, BT_POOLING_POOLER, false
#define VECTORS(pooling, normalize) BT_HEAD_POOLED_OUTPUT, BT_LOSS_NONE, 0, pooling, normalize

const onnx_case onnx_cases[] = {
    {"sentence", BT_ENCODER_BERT, H, BT_ACT_GELU, false, SENTENCE},
    {"pooled", BT_ENCODER_BERT_V2, H, BT_ACT_GELU_ERF, false, POOLED},
    {"regression", BT_ENCODER_BERT, H, BT_ACT_GELU_ERF, false, REGRESSION},
    {"labels", BT_ENCODER_BERT, H, BT_ACT_RELU, false, LABELS},
    {"span", BT_ENCODER_BERT, H, BT_ACT_GELU, false, SPAN},
    {"tags", BT_ENCODER_BERT, H, BT_ACT_GELU, false, TAGS},
    {"factored", BT_ENCODER_BERT, 8, BT_ACT_GELU, false, SENTENCE},
    {"norm_first", BT_ENCODER_BERT_V2, H, BT_ACT_GELU, true, TAGS},
    {"albert", BT_ENCODER_ALBERT, 8, BT_ACT_GELU, false, POOLED},
    {"norm_first_pooled", BT_ENCODER_BERT, 8, BT_ACT_GELU, true, POOLED},
    {"albert_span", BT_ENCODER_ALBERT, H, BT_ACT_GELU, false, SPAN},
    {"vector_pooler", BT_ENCODER_BERT, H, BT_ACT_GELU, false, VECTORS(BT_POOLING_POOLER, true)},
    {"vector_raw", BT_ENCODER_BERT, H, BT_ACT_GELU, false, VECTORS(BT_POOLING_POOLER, false)},
    {"vector_cls", BT_ENCODER_BERT, H, BT_ACT_GELU_ERF, false, VECTORS(BT_POOLING_CLS, false)},
    {"vector_mean", BT_ENCODER_BERT, H, BT_ACT_GELU_ERF, false, VECTORS(BT_POOLING_MEAN, true)},
    {"vector_max", BT_ENCODER_ALBERT, 8, BT_ACT_GELU, false, VECTORS(BT_POOLING_MAX, false)},
    {"relu6", BT_ENCODER_BERT, H, BT_ACT_RELU6, false, SENTENCE},
    {"tanh", BT_ENCODER_BERT, H, BT_ACT_TANH, false, SENTENCE},
    {"swish", BT_ENCODER_BERT, H, BT_ACT_SWISH, false, SENTENCE},
    {"hard_swish", BT_ENCODER_BERT, H, BT_ACT_HARD_SWISH, false, SENTENCE},
    {"mish", BT_ENCODER_BERT, H, BT_ACT_MISH, false, SENTENCE},
    {"sigmoid", BT_ENCODER_BERT, H, BT_ACT_SIGMOID, false, SENTENCE},
    {"identity", BT_ENCODER_BERT, H, BT_ACT_IDENTITY, false, SENTENCE},
};
const size_t onnx_n_cases = BT_ARRAY_LEN(onnx_cases);

bt_model *onnx_case_model(const onnx_case *c) {
    const bt_encoder_config encoder = {.type = c->type,
                                       .vocab_size = V,
                                       .hidden_size = H,
                                       .embedding_size = c->embedding_size,
                                       .num_layers = L,
                                       .num_attention_heads = NH,
                                       .intermediate_size = I,
                                       .max_position_embeddings = P,
                                       .type_vocab_size = 2,
                                       .hidden_activation = c->activation,
                                       .dropout_rate = 0.1F,
                                       .attention_dropout_rate = 0.1F,
                                       .initializer_range = 0.02F,
                                       .norm_first = c->norm_first};
    const bt_head_config    head = {.kind = c->head,
                                    .loss = c->loss,
                                    .num_classes = c->n_classes,
                                    .initializer_range = 0.02F,
                                    .pooling = c->pooling,
                                    .normalize = c->normalize};
    bt_model               *model = NULL;
    assert_ok(bt_model_create(&encoder, &head, &model, err));
    return model;
}

float *onnx_case_params(const bt_model *model) {
    float *const     flat = bt_calloc_array((size_t)model->table.n_elements, sizeof *flat);
    const bt_rng_key key = bt_rng_key_make(7, 0, 0, BT_SITE_INIT);
    assert_non_null(flat);
    for (int64_t p = 0; p < model->table.n_params; p++) {
        const bt_param *const param = &model->table.params[p];
        const float           mean = param->init == BT_INIT_ONE ? 1 : 0;
        for (int64_t i = param->offset; i < param->offset + param->n_elements; i++) {
            flat[i] = mean + 0.7F * (bt_rng_uniform(key, (uint64_t)i) -
                                     0.5F); /* the same bits everywhere */
        }
    }
    return flat;
}

static const int64_t offsets[] = {0, 7, 8, 20, 24};
static const int32_t ids[] = {1, 5,  9,  33, 39, 2,  17, 4, 1, 8, 30, 31,
                              2, 11, 12, 13, 14, 15, 16, 2, 1, 0, 7,  2};
static const int32_t types[] = {0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0,
                                0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1};
static const int32_t positions[] = {0, 1, 2, 3, 4, 5, 6,  0,  0, 1, 2, 3,
                                    4, 5, 6, 7, 8, 9, 10, 11, 0, 1, 2, 3};

const bt_batch onnx_case_batch = {.n_seqs = 4,
                                  .n_rows = 4,
                                  .n_tokens = 24,
                                  .max_tokens = 12,
                                  .seq_length = P,
                                  .offsets = offsets,
                                  .ids = ids,
                                  .types = types,
                                  .positions = positions};
