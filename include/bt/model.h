/* SPDX-License-Identifier: Apache-2.0
 *
 * model: encoder and head as a description: dims, parameter table, names, init rules. What it
 * computes is in docs/model_garden/numerics.md sections 1, 2 and 7; no arithmetic here. An engine
 * (exec/) runs it. */
#ifndef BT_MODEL_H
#define BT_MODEL_H

#include "bt/base/status.h"
#include "bt/tensor.h"

/* BT_E_UNSUPPORTED with the list of known names. */
const char           *bt_activation_name(bt_activation activation); /* its first name */
BT_MUST_USE bt_status bt_activation_from_name(const char *name, bt_activation *out, bt_error *err);

/* The kernels of a layer, in the order of its products: which of them have adapters. */
typedef enum bt_lora_target {
    BT_LORA_QUERY,
    BT_LORA_KEY,
    BT_LORA_VALUE,
    BT_LORA_ATTENTION_OUTPUT,
    BT_LORA_INTERMEDIATE,
    BT_LORA_OUTPUT,
    BT_N_LORA_TARGETS
} bt_lora_target;
/* BT_E_CONFIG with the list of names, as task.model.lora.targets has them. */
BT_MUST_USE bt_status bt_lora_target_from_name(const char *name, bt_lora_target *out,
                                               bt_error *err);

/* Adapters (Hu et al., LoRA, 2021): x W + b becomes x W + b + scale * (dropout(x) A) B, with A
 * [in,rank] and B [rank,out] trained in place of the encoder. */
typedef struct bt_lora_config {
    int64_t rank; /* 0: none */
    float   scale;
    float   dropout_rate;
    bool    has[BT_N_LORA_TARGETS];
} bt_lora_config;

/* Keys of model.encoder.bert (docs/model_garden/config.md appendix B, BertEncoderConfig) and of its
 * kin. */
typedef struct bt_encoder_config {
    bt_encoder_type type;
    int64_t         vocab_size;     /* V */
    int64_t         hidden_size;    /* H */
    int64_t         embedding_size; /* E; = H: no projection */
    int64_t         num_layers;     /* L */
    int64_t         num_attention_heads;
    int64_t         intermediate_size;
    int64_t         max_position_embeddings; /* P */
    int64_t         type_vocab_size;
    int64_t output_range; /* 0: all positions; else only that many first ones in the last layer */
    bt_activation  hidden_activation;
    float          dropout_rate;
    float          attention_dropout_rate; /* on probabilities AND on the attention output */
    float          initializer_range;
    float          norm_eps; /* of every layer normalisation; 0: BERT's, 1e-12 */
    bool           norm_first;
    bt_lora_config lora; /* task.model.lora */
} bt_encoder_config;

typedef enum bt_head_kind {
    /* tanh(x[:,0] Wp + bp), dropout, logits: sentence_prediction, use_encoder_pooler false */
    BT_HEAD_POOLER_DENSE,
    /* dropout(dropout(tanh(pooler))), logits: use_encoder_pooler true */
    BT_HEAD_ENCODER_POOLER,
    /* Dense on every token: predictions/transform/logits; squad C=2 without dropout, tagging with
     */
    BT_HEAD_TOKENS,
    /* one vector a sequence by head.pooling, of unit length when head.normalize (dual encoder) */
    BT_HEAD_POOLED_OUTPUT,
} bt_head_kind;

/* How BT_HEAD_POOLED_OUTPUT makes a vector of a sequence's tokens x. */
typedef enum bt_pooling {
    BT_POOLING_POOLER, /* the encoder's own pooler, tanh(x[0] Wp + bp): Model Garden's */
    BT_POOLING_CLS,    /* x[0] */
    BT_POOLING_MEAN,   /* over all tokens, the special ones too */
    BT_POOLING_MAX,    /* of each number over all tokens */
} bt_pooling;

typedef enum bt_loss_kind {
    BT_LOSS_NONE,
    BT_LOSS_SOFTMAX,       /* mean cross entropy over the batch */
    BT_LOSS_MSE,           /* mean (pred - label)^2 */
    BT_LOSS_MSE_ALL_PAIRS, /* Model Garden's defect: mean over all pairs (runtime.bug_compatible) */
    BT_LOSS_SPAN,          /* (CE(start) + CE(end)) / 2 over a sequence's tokens */
    BT_LOSS_TOKENS,        /* labels < 0 ignored: sum(CE)/count over the batch */
    /* dual encoder: sequences 2i and 2i+1 are the two sides of pair i; each left side must find its
     * right side among those of the batch (and the other way round when head.bidirectional) */
    BT_LOSS_RANKING,
    BT_LOSS_SIGMOID, /* several labels a row: mean binary cross entropy over the batch's logits */
} bt_loss_kind;

typedef struct bt_head_config {
    bt_head_kind kind;
    bt_loss_kind loss;
    int64_t      num_classes; /* C: columns of the logits */
    float        dropout_rate;
    float        initializer_range;
    /* BT_HEAD_POOLED_OUTPUT, and the last three for BT_LOSS_RANKING only */
    bt_pooling pooling;
    bool       normalize;
    bool       bidirectional;
    float      logit_scale;
    float      logit_margin; /* taken off the score of the right pair */
} bt_head_config;

/* Of BT_LOSS_SOFTMAX and BT_LOSS_TOKENS: what the rows are to be, and how they weigh. */
typedef struct bt_class_rule {
    double  label_smoothing; /* share of the target spread over all classes; evaluation too */
    double *weights;         /* owned; [C] of a row by its label, training only; NULL: all 1 */
} bt_class_rule;

/* Where each parameter is in model->table; -1 where the model has none. */
typedef struct bt_dense_index {
    int64_t kernel;
    int64_t bias;
    int64_t lora_a, lora_b;
} bt_dense_index;
typedef struct bt_norm_index {
    int64_t gamma;
    int64_t beta;
} bt_norm_index;
typedef struct bt_layer_index {
    bt_dense_index query, key, value, attention_output; /* [H,NH,D] x3, [NH,D,H] */
    bt_norm_index  attention_norm;
    bt_dense_index intermediate, output; /* [H,I], [I,H] */
    bt_norm_index  output_norm;
} bt_layer_index;

typedef struct bt_model {
    bt_encoder_config encoder;
    bt_head_config    head;
    bt_class_rule     class_rule;
    bt_param_table    table;
    int64_t           word_embeddings, position_embedding, type_embeddings;
    bt_norm_index     embedding_norm;
    bt_dense_index    embedding_projection; /* -1 unless E != H */
    /* owned; [L]; of ALBERT all the same: gradients of the layers add up in one place */
    bt_layer_index *layers;
    bt_dense_index  pooler_transform; /* the encoder's own pooler: there even if no head reads it */
    bt_dense_index  head_pooler;      /* sentence_prediction/pooler_dense or -1 */
    bt_dense_index  head_logits; /* sentence_prediction/logits or predictions/transform/logits */
} bt_model;

/* Checks the dims (positive, no overflow: BT_E_SHAPE / BT_E_CONFIG) and makes the table in Model
 * Garden's order of variables. That the heads divide the hidden size is taken for granted
 * (bt_task_check). */
BT_MUST_USE bt_status bt_model_create(const bt_encoder_config *encoder, const bt_head_config *head,
                                      bt_model **out, bt_error *err);
/* Does the head read the encoder's own pooler? Where not, that has no gradient. */
bool bt_model_reads_pooler(const bt_head_config *head);
/* Does the head read the first token of each sequence alone? Then the last layer computes no more.
 */
bool           bt_model_reads_first_rows(const bt_head_config *head);
void           bt_model_free(bt_model *model);
bt_dense_index bt_model_dense(const bt_model *model, int64_t layer, bt_lora_target which);
/* Adds what the adapters of flat have learned to the kernels that they belong to, and sets their
 * second factors to 0, so that it computes the same but for rounding. Sums are made in double. */
void bt_model_merge_lora(const bt_model *model, float *flat);
/* task.model.freeze: what is named has no gradient. Texts of words with commas between them:
 * embeddings, layers, layers.N, layers.A-B, pooler, encoder (all of these), head. BT_E_CONFIG: a
 * word that is none of them, a layer that the model does not have, and all that is trained. */
BT_MUST_USE bt_status bt_model_freeze(bt_model *model, const char *const *texts, size_t n_texts,
                                      bt_error *err);
/* task.label_smoothing, in [0,1), and task.class_weights [C] (copied; NULL: all 1): finite, none
 * negative, one above 0. */
BT_MUST_USE bt_status bt_model_set_class_rule(bt_model *model, double label_smoothing,
                                              const double *weights, bt_error *err);
/* Fresh weights by the init rules into flat [table.n_elements]; a pure function of the seed. */
void bt_model_init_params(const bt_model *model, uint64_t seed, float *flat);
/* The same for one parameter into its own [n_elements]: the variables that a checkpoint lacks. */
void bt_model_init_param(const bt_model *model, uint64_t seed, int64_t index, float *out);
/* logits of a batch: C * B for sentence heads, C * T for token heads, H * B for pooled output; for
 * BT_LOSS_RANKING (B/2)^2, the scores of each left side (a row) with each right side */
int64_t bt_model_n_logits(const bt_model *model, const bt_batch *batch);

#endif
