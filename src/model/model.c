/* SPDX-License-Identifier: Apache-2.0
 *
 * The encoder and its head as a parameter table: names, shapes, init rules and which parameters a
 * loss reaches. Order of the table = Model Garden's order of variables. Formulas and names:
 * docs/model_garden/numerics.md sections 1, 2 and 7. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/model.h"

enum {
    MAX_LAYERS = 10000, /* each costs some table rows: a bound far beyond any model */
    PARAMS_PER_LAYER = 16 + 2 * BT_N_LORA_TARGETS,
    PARAMS_BESIDE_LAYERS = 13,
    NAME_MAX_BYTES = 160,
};

typedef struct builder {
    bt_model   *model;
    const char *tf_prefix; /* before encoder names: "bert_encoder_v2/" or "" */
    bool        is_encoder, is_adapter;
    bool        has_gradient;
    int32_t     depth;
    float       stddev;
} builder;

typedef struct dim_check {
    const char *key;
    int64_t     value;
    int64_t     max;
} dim_check;

static bt_status check_encoder(const bt_encoder_config *e, bt_error *err) {
    const dim_check checks[] = {
        {"vocab_size", e->vocab_size, INT32_MAX},
        {"hidden_size", e->hidden_size, INT32_MAX},
        {"embedding_size", e->embedding_size, INT32_MAX},
        {"num_layers", e->num_layers, MAX_LAYERS},
        {"num_attention_heads", e->num_attention_heads, INT32_MAX},
        {"intermediate_size", e->intermediate_size, INT32_MAX},
        {"max_position_embeddings", e->max_position_embeddings, INT32_MAX},
        {"type_vocab_size", e->type_vocab_size, INT32_MAX},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(checks); i++) {
        if (checks[i].value < 1 || checks[i].value > checks[i].max) {
            return BT_FAIL(err, BT_E_CONFIG,
                           "encoder %s: expected a number from 1 to %" PRId64 ", got %" PRId64,
                           checks[i].key, checks[i].max, checks[i].value);
        }
    }
    BT_ASSERT(e->hidden_size % e->num_attention_heads == 0 && e->output_range >= 0);
    BT_ASSERT(e->lora.rank == 0 || e->type != BT_ENCODER_ALBERT);
    if (!(e->norm_eps >= 0 && e->norm_eps < 1)) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "encoder layer_norm_eps: expected a number above 0 and below 1, got %g",
                       (double)e->norm_eps);
    }
    return BT_OK;
}

/* NaN fails too */
static bt_status check_rate(const char *key, float rate, bt_error *err) {
    if (!(rate >= 0.0F && rate < 1.0F)) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s: expected a number from 0 up to but not 1 (1 drops everything), got %g",
                       key, (double)rate);
    }
    return BT_OK;
}

static bt_status check_model(const bt_encoder_config *e, const bt_head_config *h, bt_error *err) {
    BT_TRY(check_encoder(e, err));
    BT_TRY(check_rate("encoder dropout_rate", e->dropout_rate, err));
    BT_TRY(check_rate("encoder attention_dropout_rate", e->attention_dropout_rate, err));
    BT_TRY(check_rate("head_dropout", h->dropout_rate, err));
    if (!(e->initializer_range >= 0.0F && h->initializer_range >= 0.0F)) {
        return BT_FAIL(
            err, BT_E_CONFIG, "initializer_range: expected a number >= 0, got %g",
            (double)(e->initializer_range >= 0.0F ? h->initializer_range : e->initializer_range));
    }
    if (h->loss == BT_LOSS_RANKING && !(isfinite(h->logit_scale) && isfinite(h->logit_margin))) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "logit_scale and logit_margin: expected finite numbers, got %g and %g",
                       (double)h->logit_scale, (double)h->logit_margin);
    }
    if (h->kind != BT_HEAD_POOLED_OUTPUT && (h->num_classes < 1 || h->num_classes > INT32_MAX)) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "num_classes: expected a number >= 1 (1 = regression), got %" PRId64,
                       h->num_classes);
    }
    return BT_OK;
}

typedef struct shape {
    int32_t rank;
    int64_t dim[BT_MAX_RANK];
} shape;

static shape shape_1(int64_t a) {
    return (shape){.rank = 1, .dim = {a}};
}
static shape shape_2(int64_t a, int64_t b) {
    return (shape){.rank = 2, .dim = {a, b}};
}
static shape shape_3(int64_t a, int64_t b, int64_t c) {
    return (shape){.rank = 3, .dim = {a, b, c}};
}

static bt_status add_param(const builder *b, const char *layer, const char *leaf, shape s,
                           bt_init_rule init, int64_t *index, bt_error *err) {
    char      name[NAME_MAX_BYTES];
    char      tf_name[NAME_MAX_BYTES];
    const int n = snprintf(name, sizeof name, "%s/%s", layer, leaf);
    const int n_tf = snprintf(tf_name, sizeof tf_name, "%s%s", b->tf_prefix, name);
    BT_ASSERT(n > 0 && n_tf > 0 && n_tf < NAME_MAX_BYTES);
    (void)n;
    (void)n_tf;
    bt_param param = {
        .name = name,
        .tf_name = tf_name,
        .rank = s.rank,
        .init = init,
        .init_stddev =
            init == BT_INIT_TRUNCATED_NORMAL || init == BT_INIT_UNIFORM ? b->stddev : 0.0F,
        .has_gradient = b->has_gradient,
        .depth = b->depth,
        .is_encoder = b->is_encoder,
        .is_adapter = b->is_adapter,
        .is_word_embedding = strcmp(layer, "word_embeddings") == 0,
    };
    memcpy(param.dim, s.dim, sizeof param.dim);
    return bt_param_table_add(&b->model->table, &param, index, err);
}

static bt_status add_table(const builder *b, const char *layer, int64_t n_rows, int64_t width,
                           int64_t *index, bt_error *err) {
    return add_param(b, layer, "embeddings", shape_2(n_rows, width), BT_INIT_TRUNCATED_NORMAL,
                     index, err);
}

static bt_status add_dense(const builder *b, const char *layer, shape kernel, shape bias,
                           bt_dense_index *index, bt_error *err) {
    index->lora_a = index->lora_b = -1;
    BT_TRY(add_param(b, layer, "kernel", kernel, BT_INIT_TRUNCATED_NORMAL, &index->kernel, err));
    return add_param(b, layer, "bias", bias, BT_INIT_ZERO, &index->bias, err);
}

/* A dense layer [in,out] of the encoder, with its adapter where the target has one. The first
 * factor is drawn as PEFT's: kaiming_uniform with a = sqrt(5), which is +-1 / sqrt(in). */
static bt_status add_adapted(const builder *b, const char *layer, shape kernel, shape bias,
                             int64_t n_in, int64_t n_out, bt_lora_target target,
                             bt_dense_index *index, bt_error *err) {
    const bt_lora_config *const lora = &b->model->encoder.lora;
    BT_TRY(add_dense(b, layer, kernel, bias, index, err));
    if (lora->rank == 0 || !lora->has[target]) {
        return BT_OK;
    }
    builder adapters = *b;
    adapters.is_encoder = false;
    adapters.is_adapter = true;
    adapters.has_gradient = true;
    adapters.stddev = (float)(1 / sqrt((double)n_in));
    BT_TRY(add_param(&adapters, layer, "lora_a", shape_2(n_in, lora->rank), BT_INIT_UNIFORM,
                     &index->lora_a, err));
    return add_param(&adapters, layer, "lora_b", shape_2(lora->rank, n_out), BT_INIT_ZERO,
                     &index->lora_b, err);
}

static bt_status add_norm(const builder *b, const char *layer, int64_t width, bt_norm_index *index,
                          bt_error *err) {
    BT_TRY(add_param(b, layer, "gamma", shape_1(width), BT_INIT_ONE, &index->gamma, err));
    return add_param(b, layer, "beta", shape_1(width), BT_INIT_ZERO, &index->beta, err);
}

static bt_status add_embeddings(const builder *b, bt_error *err) {
    bt_model *const                m = b->model;
    const bt_encoder_config *const e = &m->encoder;
    const int64_t                  E = e->embedding_size;
    BT_TRY(add_table(b, "word_embeddings", e->vocab_size, E, &m->word_embeddings, err));
    BT_TRY(add_table(b, "position_embedding", e->max_position_embeddings, E, &m->position_embedding,
                     err));
    BT_TRY(add_table(b, "type_embeddings", e->type_vocab_size, E, &m->type_embeddings, err));
    BT_TRY(add_norm(b, "embeddings/layer_norm", E, &m->embedding_norm, err));
    if (E != e->hidden_size) {
        BT_TRY(add_dense(b, "embedding_projection", shape_2(E, e->hidden_size),
                         shape_1(e->hidden_size), &m->embedding_projection, err));
    }
    return BT_OK;
}

/* base: "transformer/layer_0", or of shared layers "transformer" */
static bt_status add_layer(const builder *b, const char *base, bt_layer_index *layer,
                           bt_error *err) {
    const bt_encoder_config *const e = &b->model->encoder;
    const int64_t                  H = e->hidden_size;
    const int64_t                  I = e->intermediate_size;
    const int64_t                  NH = e->num_attention_heads;
    const int64_t                  D = H / NH;
    char                           name[NAME_MAX_BYTES];
    const int                      n = snprintf(name, sizeof name, "%s", base);
    BT_ASSERT(n > 0);
    char *const  leaf = name + n;
    const size_t left = sizeof name - (size_t)n;

    const struct {
        const char     *name;
        bt_lora_target  target;
        bt_dense_index *index;
    } projections[] = {
        {"query", BT_LORA_QUERY, &layer->query},
        {"key", BT_LORA_KEY, &layer->key},
        {"value", BT_LORA_VALUE, &layer->value},
    };
    for (size_t p = 0; p < BT_ARRAY_LEN(projections); p++) {
        (void)snprintf(leaf, left, "/self_attention/%s", projections[p].name);
        BT_TRY(add_adapted(b, name, shape_3(H, NH, D), shape_2(NH, D), H, H, projections[p].target,
                           projections[p].index, err));
    }
    (void)snprintf(leaf, left, "/self_attention/attention_output");
    BT_TRY(add_adapted(b, name, shape_3(NH, D, H), shape_1(H), H, H, BT_LORA_ATTENTION_OUTPUT,
                       &layer->attention_output, err));
    (void)snprintf(leaf, left, "/self_attention_layer_norm");
    BT_TRY(add_norm(b, name, H, &layer->attention_norm, err));
    (void)snprintf(leaf, left, "/intermediate");
    BT_TRY(add_adapted(b, name, shape_2(H, I), shape_1(I), H, I, BT_LORA_INTERMEDIATE,
                       &layer->intermediate, err));
    (void)snprintf(leaf, left, "/output");
    BT_TRY(
        add_adapted(b, name, shape_2(I, H), shape_1(H), I, H, BT_LORA_OUTPUT, &layer->output, err));
    (void)snprintf(leaf, left, "/output_layer_norm");
    return add_norm(b, name, H, &layer->output_norm, err);
}

/* Without a reader it has no gradient, hence no slots, no decay and no part in the norm
 * (docs/model_garden/numerics.md section 2). */
bool bt_model_reads_first_rows(const bt_head_config *head) {
    switch (head->kind) {
    case BT_HEAD_POOLER_DENSE:
    case BT_HEAD_ENCODER_POOLER:
        return true;
    case BT_HEAD_POOLED_OUTPUT:
        return head->pooling == BT_POOLING_POOLER || head->pooling == BT_POOLING_CLS;
    case BT_HEAD_TOKENS:
        return false;
    }
    return false;
}

bool bt_model_reads_pooler(const bt_head_config *head) {
    switch (head->kind) {
    case BT_HEAD_ENCODER_POOLER:
        return true;
    case BT_HEAD_POOLED_OUTPUT:
        return head->pooling == BT_POOLING_POOLER;
    case BT_HEAD_POOLER_DENSE:
    case BT_HEAD_TOKENS:
        return false;
    }
    return false;
}

static bt_status add_layers(builder *b, bt_error *err) {
    bt_model *const m = b->model;
    const bool      is_shared = m->encoder.type == BT_ENCODER_ALBERT;
    for (int64_t i = 0; i < m->encoder.num_layers; i++) {
        char base[NAME_MAX_BYTES / 2] = "transformer";
        if (is_shared && i > 0) {
            m->layers[i] = m->layers[0];
            continue;
        }
        if (!is_shared) {
            (void)snprintf(base, sizeof base, "transformer/layer_%" PRId64, i);
        }
        b->depth = (int32_t)i + 1;
        BT_TRY(add_layer(b, base, &m->layers[i], err));
    }
    b->depth = (int32_t)m->encoder.num_layers + 1;
    return BT_OK;
}

static bt_status add_encoder(builder *b, bt_error *err) {
    const bt_encoder_config *const e = &b->model->encoder;
    b->is_encoder = true;
    b->has_gradient = e->lora.rank == 0; /* else adapters are trained in its place */
    b->stddev = e->initializer_range;
    b->tf_prefix = e->type == BT_ENCODER_BERT_V2 ? "bert_encoder_v2/" : "";
    BT_TRY(add_embeddings(b, err));
    BT_TRY(add_layers(b, err));
    b->has_gradient = bt_model_reads_pooler(&b->model->head);
    return add_dense(b, "pooler_transform", shape_2(e->hidden_size, e->hidden_size),
                     shape_1(e->hidden_size), &b->model->pooler_transform, err);
}

static bt_status add_head(builder *b, bt_error *err) {
    bt_model *const             m = b->model;
    const bt_head_config *const h = &m->head;
    const int64_t               H = m->encoder.hidden_size;
    const shape                 kernel = shape_2(H, h->num_classes);
    const shape                 bias = shape_1(h->num_classes);
    b->is_encoder = false;
    b->has_gradient = true;
    b->stddev = h->initializer_range;
    b->tf_prefix = "";
    switch (h->kind) {
    case BT_HEAD_POOLER_DENSE:
        BT_TRY(add_dense(b, "sentence_prediction/pooler_dense", shape_2(H, H), shape_1(H),
                         &m->head_pooler, err));
        return add_dense(b, "sentence_prediction/logits", kernel, bias, &m->head_logits, err);
    case BT_HEAD_ENCODER_POOLER:
        return add_dense(b, "sentence_prediction/logits", kernel, bias, &m->head_logits, err);
    case BT_HEAD_TOKENS:
        return add_dense(b, "predictions/transform/logits", kernel, bias, &m->head_logits, err);
    case BT_HEAD_POOLED_OUTPUT:
        return BT_OK;
    }
    return BT_OK;
}

static bt_keras_model keras_model(const bt_head_config *head) {
    switch (head->kind) {
    case BT_HEAD_POOLER_DENSE:
        return BT_KERAS_CLASSIFIER;
    case BT_HEAD_ENCODER_POOLER:
        return BT_KERAS_POOLED_CLASSIFIER;
    case BT_HEAD_TOKENS:
        return head->loss == BT_LOSS_SPAN ? BT_KERAS_SPAN_LABELER : BT_KERAS_TOKEN_CLASSIFIER;
    case BT_HEAD_POOLED_OUTPUT:
        return head->normalize ? BT_KERAS_DUAL_ENCODER : BT_KERAS_RAW_DUAL_ENCODER;
    }
    return BT_KERAS_CLASSIFIER;
}

bt_status bt_model_create(const bt_encoder_config *encoder, const bt_head_config *head,
                          bt_model **out, bt_error *err) {
    BT_TRY(check_model(encoder, head, err));
    bt_status            rc = BT_OK;
    bt_model            *model = bt_calloc_array(1, sizeof *model);
    const bt_dense_index no_dense = {-1, -1, -1, -1};
    if (model == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a model description");
    }
    model->encoder = *encoder;
    if (encoder->norm_eps == 0) {
        model->encoder.norm_eps = 1e-12F;
    }
    model->head = *head;
    model->embedding_projection = no_dense;
    model->head_pooler = no_dense;
    model->head_logits = no_dense;
    builder b = {.model = model};
    BT_CHECK(bt_param_table_init(
        &model->table, PARAMS_BESIDE_LAYERS + PARAMS_PER_LAYER * encoder->num_layers, err));
    model->layers = bt_calloc_array((size_t)encoder->num_layers, sizeof *model->layers);
    if (model->layers == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for %" PRId64 " layers", encoder->num_layers);
        goto done;
    }
    model->table.keras = (bt_keras_classes){.encoder = encoder->type, .model = keras_model(head)};
    BT_CHECK(add_encoder(&b, err));
    BT_CHECK(add_head(&b, err));
    *out = model;
    model = NULL;
done:
    bt_model_free(model);
    return rc;
}

bt_status bt_model_set_class_rule(bt_model *model, double label_smoothing, const double *weights,
                                  bt_error *err) {
    const size_t n = (size_t)model->head.num_classes;
    double      *copy = NULL;
    BT_ASSERT(label_smoothing >= 0 && label_smoothing < 1);
    if (weights != NULL) {
        copy = bt_alloc_array(n, sizeof *copy);
        if (copy == NULL) {
            return BT_FAIL(err, BT_E_NOMEM, "out of memory for the weights of %zu classes", n);
        }
        memcpy(copy, weights, n * sizeof *copy);
    }
    bt_free(model->class_rule.weights);
    model->class_rule = (bt_class_rule){.label_smoothing = label_smoothing, .weights = copy};
    return BT_OK;
}

void bt_model_free(bt_model *model) {
    if (model != NULL) {
        bt_free(model->class_rule.weights);
        bt_free(model->layers);
        bt_param_table_deinit(&model->table);
        bt_free(model);
    }
}

int64_t bt_model_n_logits(const bt_model *model, const bt_batch *batch) {
    if (model->head.loss == BT_LOSS_RANKING) {
        return (batch->n_seqs / 2) * (batch->n_seqs / 2);
    }
    switch (model->head.kind) {
    case BT_HEAD_POOLER_DENSE:
    case BT_HEAD_ENCODER_POOLER:
        return model->head.num_classes * batch->n_seqs;
    case BT_HEAD_TOKENS:
        return model->head.num_classes * batch->n_tokens;
    case BT_HEAD_POOLED_OUTPUT:
        return model->encoder.hidden_size * batch->n_seqs;
    }
    return 0;
}
