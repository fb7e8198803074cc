/* SPDX-License-Identifier: Apache-2.0
 *
 * The objects of a training checkpoint and their children, in the order in which Keras tracks them:
 * seen in checkpoints of the real trainer (tests/goldens/ckpt holds them, node for node). A Keras
 * model is a row of the tables below: its layers, which a functional model numbers (those that hold
 * variables a second time), then its attributes. */
#include <inttypes.h>
#include <stdio.h>

#include "ckpt_objects.h"

enum { NAME_MAX_BYTES = 512, MAX_LAYERS = 16, MAX_ATTRIBUTES = 12 };

/* What a layer of a kind tracks, in order: its variables, and objects without any. */
typedef const char *const member_list[5];
static member_list        dense_members = {"kernel", "bias"};
static member_list einsum_members = {"partial_output_shape", "full_output_shape", "kernel", "bias"};
static member_list norm_members = {"axis", "gamma", "beta"};
static member_list table_members = {"embeddings"};
static member_list no_members = {NULL};

static bool has_variable(const ckpt_objects *b, const char *name) {
    return bt_param_table_find(b->train->table, name) >= 0;
}

/* Our own, beside Keras' variables, which a reader that does not know them passes by. */
static void track_adapter(ckpt_objects *b, ckpt_object *layer, const char *canonical) {
    static const char *const factors[] = {"lora_a", "lora_b"};
    for (size_t i = 0; i < BT_ARRAY_LEN(factors); i++) {
        char name[NAME_MAX_BYTES];
        (void)snprintf(name, sizeof name, "%s/%s", canonical, factors[i]);
        if (has_variable(b, name)) {
            (void)ckpt_track(b, layer, factors[i], ckpt_object_variable(b, name));
        }
    }
}

static ckpt_object *make_layer(ckpt_objects *b, const char *canonical, member_list members) {
    ckpt_object *const o = ckpt_object_new(b);
    for (size_t i = 0; members[i] != NULL; i++) {
        char name[NAME_MAX_BYTES];
        (void)snprintf(name, sizeof name, "%s/%s", canonical, members[i]);
        (void)ckpt_track(b, o, members[i], ckpt_object_variable(b, name));
    }
    track_adapter(b, o, canonical);
    return o;
}

static ckpt_object *make_position_layer(ckpt_objects *b) {
    ckpt_object *const o = make_layer(b, "position_embedding", table_members);
    if (o->first != NULL) {
        (void)ckpt_track(b, o, "_position_embeddings", o->first->child);
    }
    return o;
}

typedef struct child_row {
    const char        *name;
    const char        *canonical; /* below the transformer layer; NULL: the object before, again */
    const char *const *members;
} child_row;

static const child_row attention_rows[] = {
    {"_query_dense", "self_attention/query", einsum_members},
    {"_key_dense", "self_attention/key", einsum_members},
    {"_value_dense", "self_attention/value", einsum_members},
    {"_softmax", "", no_members},
    {"_dropout_layer", "", no_members},
    {"_output_dense", "self_attention/attention_output", einsum_members},
};
static const child_row transformer_rows[] = {
    {"_attention_dropout", "", no_members},
    {"_attention_layer_norm", "self_attention_layer_norm", norm_members},
    {"_attention_layer_norm_kv", NULL, NULL},
    {"_intermediate_dense", "intermediate", einsum_members},
    {"_intermediate_activation_layer", "", no_members},
    {"_inner_dropout_layer", "", no_members},
    {"_output_dense", "output", einsum_members},
    {"_output_dropout", "", no_members},
    {"_output_layer_norm", "output_layer_norm", norm_members},
};

static void track_rows(ckpt_objects *b, ckpt_object *parent, const char *base,
                       const child_row *rows, size_t n_rows) {
    ckpt_object *child = NULL;
    for (size_t i = 0; i < n_rows; i++) {
        if (rows[i].canonical != NULL) {
            char name[NAME_MAX_BYTES];
            (void)snprintf(name, sizeof name, "%s/%s", base, rows[i].canonical);
            child = make_layer(b, name, rows[i].members);
        }
        (void)ckpt_track(b, parent, rows[i].name, child);
    }
}

static ckpt_object *make_transformer_layer(ckpt_objects *b, const char *base) {
    ckpt_object *const layer = ckpt_object_new(b);
    ckpt_object *const attention = ckpt_track_new(b, layer, "_attention_layer");
    track_rows(b, attention, base, attention_rows, BT_ARRAY_LEN(attention_rows));
    track_rows(b, layer, base, transformer_rows, BT_ARRAY_LEN(transformer_rows));
    return layer;
}

typedef enum part {
    PART_END, /* of a list */
    PART_NEW, /* an object without variables that nobody else refers to */
    PART_INPUT_IDS,
    PART_INPUT_MASK,
    PART_INPUT_TYPES,
    PART_WORD,
    PART_POSITION,
    PART_TYPE,
    PART_NORM,
    PART_PROJECTION, /* absent unless the embedding is factorised */
    PART_LAYERS,     /* the list of transformer layers; among layers: each of them */
    PART_POOLER,
    PART_ENCODER_CONFIG,
    PART_ENCODER,
    PART_CONFIG, /* of the model around the encoder */
    PART_LOGITS,
    PART_HEAD,
    N_PARTS,
} part;

typedef struct attribute_row {
    const char *name;
    part        part;
} attribute_row;

typedef struct network {
    part          layers[MAX_LAYERS];
    attribute_row attributes[MAX_ATTRIBUTES];
} network;

#define FUNCTIONAL_ENCODER                                                                         \
    {                                                                                              \
        PART_INPUT_IDS, PART_WORD, PART_INPUT_TYPES, PART_POSITION, PART_TYPE,                     \
            PART_NEW,                                   /* the sum */                              \
            PART_NORM, PART_NEW,                        /* dropout */                              \
            PART_PROJECTION, PART_INPUT_MASK, PART_NEW, /* the attention mask */                   \
            PART_LAYERS, PART_NEW,                      /* the first token */                      \
            PART_POOLER                                                                            \
    }

static const network encoders[] = {
    [BT_ENCODER_BERT] = {.layers = FUNCTIONAL_ENCODER,
                         .attributes = {{"_pooler_layer", PART_POOLER},
                                        {"_transformer_layers", PART_LAYERS},
                                        {"_embedding_norm_layer", PART_NORM},
                                        {"_embedding_layer", PART_WORD},
                                        {"_position_embedding_layer", PART_POSITION},
                                        {"_type_embedding_layer", PART_TYPE},
                                        {"_embedding_projection", PART_PROJECTION}}},
    [BT_ENCODER_BERT_V2] = {.attributes = {{"_embedding_layer", PART_WORD},
                                           {"_position_embedding_layer", PART_POSITION},
                                           {"_type_embedding_layer", PART_TYPE},
                                           {"_embedding_norm_layer", PART_NORM},
                                           {"_embedding_dropout", PART_NEW},
                                           {"_embedding_projection", PART_PROJECTION},
                                           {"_transformer_layers", PART_LAYERS},
                                           {"_attention_mask_layer", PART_NEW},
                                           {"_pooler_layer", PART_POOLER},
                                           {"_config", PART_ENCODER_CONFIG},
                                           {"inputs", PART_NEW}}},
    [BT_ENCODER_ALBERT] = {.layers = FUNCTIONAL_ENCODER,
                           .attributes = {{"_config", PART_ENCODER_CONFIG},
                                          {"_embedding_layer", PART_WORD},
                                          {"_position_embedding_layer", PART_POSITION}}},
};

#define SHARED_INPUTS PART_INPUT_IDS, PART_INPUT_MASK, PART_INPUT_TYPES
#define PAIR_INPUTS PART_NEW, PART_NEW, PART_NEW, PART_NEW, PART_NEW, PART_NEW

static const network models[] = {
    [BT_KERAS_CLASSIFIER] = {.layers = {SHARED_INPUTS, PART_ENCODER, PART_HEAD},
                             .attributes = {{"_network", PART_ENCODER},
                                            {"_config", PART_CONFIG},
                                            {"classifier", PART_HEAD}}},
    [BT_KERAS_POOLED_CLASSIFIER] = {.layers = {SHARED_INPUTS, PART_ENCODER, PART_NEW, /* dropout */
                                               PART_HEAD},
                                    .attributes = {{"_network", PART_ENCODER},
                                                   {"_config", PART_CONFIG},
                                                   {"classifier", PART_HEAD}}},
    [BT_KERAS_SPAN_LABELER] = {.layers = {SHARED_INPUTS, PART_ENCODER, PART_HEAD,
                                          PART_NEW, /* starts */
                                          PART_NEW /* ends */},
                               .attributes = {{"_network", PART_ENCODER},
                                              {"_config", PART_CONFIG},
                                              {"span_labeling", PART_HEAD}}},
    [BT_KERAS_TOKEN_CLASSIFIER] = {.layers = {SHARED_INPUTS, PART_ENCODER, PART_NEW, /* dropout */
                                              PART_HEAD},
                                   .attributes = {{"_network", PART_ENCODER},
                                                  {"_config", PART_CONFIG},
                                                  {"classifier", PART_HEAD}}},
    [BT_KERAS_DUAL_ENCODER] = {.layers = {PAIR_INPUTS, PART_ENCODER,
                                          PART_NEW, /* unit length, left */
                                          PART_NEW, /* and right */ PART_NEW /* products */},
                               .attributes = {{"_config", PART_CONFIG}, {"network", PART_ENCODER}}},
    [BT_KERAS_RAW_DUAL_ENCODER] = {.layers = {PAIR_INPUTS, PART_ENCODER, PART_NEW /* products */},
                                   .attributes = {{"_config", PART_CONFIG},
                                                  {"network", PART_ENCODER}}},
};

/* A model of its own inside the span labeler. */
static const network span_labeling = {.layers = {PART_NEW, PART_LOGITS, PART_NEW, /* transposed */
                                                 PART_NEW /* split */}};

static bool holds_variable(const ckpt_object *o) {
    for (const ckpt_edge *e = o->first; e != NULL; e = e->next) {
        if (holds_variable(e->child)) {
            return true;
        }
    }
    return ckpt_is_variable(o);
}

/* A functional model numbers its layers, those with variables twice. */
typedef struct layer_counter {
    ckpt_object *owner;
    int64_t      n_layers;
    int64_t      n_with_weights;
} layer_counter;

static void add_layer(ckpt_objects *b, layer_counter *c, ckpt_object *layer) {
    if (holds_variable(layer)) {
        (void)ckpt_track_numbered(b, c->owner, "layer_with_weights-", c->n_with_weights++, layer);
    }
    (void)ckpt_track_numbered(b, c->owner, "layer-", c->n_layers++, layer);
}

static ckpt_object *make_network(ckpt_objects *b, const network *n,
                                 ckpt_object *const parts[N_PARTS]) {
    layer_counter c = {.owner = ckpt_object_new(b)};
    for (size_t i = 0; i < MAX_LAYERS && n->layers[i] != PART_END; i++) {
        const part p = n->layers[i];
        if (p == PART_LAYERS) {
            for (const ckpt_edge *e = parts[p]->first; e != NULL; e = e->next) {
                add_layer(b, &c, e->child);
            }
        } else if (p == PART_NEW || parts[p] != NULL) {
            add_layer(b, &c, p == PART_NEW ? ckpt_object_new(b) : parts[p]);
        }
    }
    for (size_t i = 0; i < MAX_ATTRIBUTES && n->attributes[i].name != NULL; i++) {
        const part p = n->attributes[i].part;
        if (p == PART_NEW || parts[p] != NULL) {
            (void)ckpt_track(b, c.owner, n->attributes[i].name,
                             p == PART_NEW ? ckpt_object_new(b) : parts[p]);
        }
    }
    return c.owner;
}

/* Shared layers are one object. */
static ckpt_object *make_layers(ckpt_objects *b) {
    ckpt_object *const list = ckpt_object_new(b);
    if (b->train->table->keras.encoder == BT_ENCODER_ALBERT) {
        (void)ckpt_track(b, list, "0", make_transformer_layer(b, "transformer"));
        return list;
    }
    for (int64_t i = 0;; i++) {
        char base[NAME_MAX_BYTES / 2];
        char name[NAME_MAX_BYTES];
        (void)snprintf(base, sizeof base, "transformer/layer_%" PRId64, i);
        (void)snprintf(name, sizeof name, "%s/output/kernel", base);
        if (!has_variable(b, name)) {
            return list;
        }
        (void)ckpt_track_numbered(b, list, "", i, make_transformer_layer(b, base));
    }
}

/* Keras tracks what of a configuration is an object itself: ALBERT keeps its own as a tuple, whose
 * members have a name and a number (activation: of gelu; it has no variables in any case). */
static ckpt_object *make_encoder_config(ckpt_objects *b) {
    const bool         is_tuple = b->train->table->keras.encoder == BT_ENCODER_ALBERT;
    ckpt_object *const config = ckpt_object_new(b);
    ckpt_object *const activation =
        is_tuple ? ckpt_track_new(b, config, "activation") : ckpt_object_new(b);
    ckpt_object *const initializer = ckpt_track_new(b, config, "initializer");
    (void)ckpt_track_new(b, initializer, "config");
    if (is_tuple) {
        (void)ckpt_track(b, config, "8", activation);
        (void)ckpt_track(b, config, "11", initializer);
    }
    return config;
}

static void make_encoder(ckpt_objects *b, ckpt_object *parts[N_PARTS]) {
    parts[PART_INPUT_IDS] = ckpt_object_new(b);
    parts[PART_INPUT_MASK] = ckpt_object_new(b);
    parts[PART_INPUT_TYPES] = ckpt_object_new(b);
    parts[PART_WORD] = make_layer(b, "word_embeddings", table_members);
    parts[PART_POSITION] = make_position_layer(b);
    parts[PART_TYPE] = make_layer(b, "type_embeddings", table_members);
    parts[PART_NORM] = make_layer(b, "embeddings/layer_norm", norm_members);
    if (has_variable(b, "embedding_projection/kernel")) {
        parts[PART_PROJECTION] = make_layer(b, "embedding_projection", einsum_members);
    }
    parts[PART_LAYERS] = make_layers(b);
    parts[PART_POOLER] = make_layer(b, "pooler_transform", dense_members);
    parts[PART_ENCODER_CONFIG] = make_encoder_config(b);
    parts[PART_ENCODER] = make_network(b, &encoders[b->train->table->keras.encoder], parts);
}

/* pooler_dense NULL: the encoder's own pooler is read. */
static ckpt_object *make_sentence_head(ckpt_objects *b, ckpt_object *pooler_dense) {
    ckpt_object *const head = ckpt_object_new(b);
    if (pooler_dense != NULL) {
        (void)ckpt_track(b, head, "dense", pooler_dense);
    }
    (void)ckpt_track_new(b, head, "dropout");
    (void)ckpt_track(b, head, "out_proj",
                     make_layer(b, "sentence_prediction/logits", dense_members));
    return head;
}

static void make_head(ckpt_objects *b, ckpt_object *parts[N_PARTS], ckpt_object *pooler_dense) {
    switch (b->train->table->keras.model) {
    case BT_KERAS_CLASSIFIER:
    case BT_KERAS_POOLED_CLASSIFIER:
        parts[PART_HEAD] = make_sentence_head(b, pooler_dense);
        return;
    case BT_KERAS_SPAN_LABELER:
        parts[PART_LOGITS] = make_layer(b, "predictions/transform/logits", dense_members);
        parts[PART_HEAD] = make_network(b, &span_labeling, parts);
        return;
    case BT_KERAS_TOKEN_CLASSIFIER:
        parts[PART_HEAD] = make_layer(b, "predictions/transform/logits", dense_members);
        return;
    case BT_KERAS_DUAL_ENCODER:
    case BT_KERAS_RAW_DUAL_ENCODER:
        return;
    }
}

static ckpt_object *make_model(ckpt_objects *b, ckpt_object *parts[N_PARTS],
                               ckpt_object *pooler_dense) {
    make_head(b, parts, pooler_dense);
    parts[PART_CONFIG] = ckpt_object_new(b);
    (void)ckpt_track(b, parts[PART_CONFIG], "network", parts[PART_ENCODER]);
    (void)ckpt_track(b, parts[PART_CONFIG], "0", parts[PART_ENCODER]);
    return make_network(b, &models[b->train->table->keras.model], parts);
}

/* Returns the object that keeps the slots of the updates: inside the averaging one with EMA. */
static ckpt_object *make_optimizer(ckpt_objects *b, ckpt_object *outer) {
    const bt_ckpt_train *const train = b->train;
    ckpt_object *const         inner =
        ckpt_has_average(train) ? ckpt_track_new(b, outer, "ema_base_optimizer") : outer;
    if (train->without_optimizer) {
        return inner;
    }
    (void)ckpt_track(b, inner, "iter",
                     ckpt_object_scalar(b, "iter", BT_DTYPE_I64, &train->iterations));
    for (int32_t i = 0; i < train->n_hypers; i++) {
        (void)ckpt_track(
            b, inner, train->hyper_names[i],
            ckpt_object_scalar(b, train->hyper_names[i], BT_DTYPE_F32, &train->hypers[i]));
    }
    return inner;
}

/* The children of the root stand in the order of their names, as tf.train.Checkpoint keeps them. */
ckpt_root ckpt_keras_root(ckpt_objects *b) {
    const bt_ckpt_train *const train = b->train;
    ckpt_object               *parts[N_PARTS] = {NULL};
    ckpt_object *const         root = ckpt_object_new(b);
    make_encoder(b, parts);
    ckpt_object *const pooler_dense =
        train->table->keras.model == BT_KERAS_CLASSIFIER
            ? make_layer(b, "sentence_prediction/pooler_dense", dense_members)
            : NULL;
    (void)ckpt_track(b, root, "encoder", parts[PART_ENCODER]);
    (void)ckpt_track(b, root, "global_step",
                     ckpt_object_scalar(b, "global_step", BT_DTYPE_I64, &train->global_step));
    (void)ckpt_track(b, root, "model", make_model(b, parts, pooler_dense));
    ckpt_object *const outer = ckpt_track_new(b, root, "optimizer");
    if (pooler_dense != NULL) {
        (void)ckpt_track(b, root, "sentence_prediction.pooler_dense", pooler_dense);
    }
    (void)ckpt_track(b, root, "save_counter",
                     ckpt_object_scalar(b, "save_counter", BT_DTYPE_I64, &train->save_counter));
    return (ckpt_root){
        .root = root, .outer_optimizer = outer, .inner_optimizer = make_optimizer(b, outer)};
}
