/* SPDX-License-Identifier: Apache-2.0
 *
 * Layouts that are known by their names: Google's TF1 checkpoints of BERT and ALBERT, and Hugging
 * Face's of BERT, ALBERT and DistilBERT (docs/model_garden/numerics.md section 7). A name is that
 * of a layer and a leaf; # stands for the number of a layer. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "ckpt_internal.h"

typedef enum naming_id {
    TF1_BERT,
    TF1_ALBERT,
    HF_BERT,
    HF_ALBERT,
    HF_DISTILBERT,
    N_NAMINGS,
} naming_id;

typedef struct naming {
    bt_ckpt_layout layout;
    const char    *prefix;    /* may be before every name, or not */
    const char    *layer;     /* before the names of a transformer layer */
    const char    *canonical; /* the same here */
} naming;

static const naming namings[N_NAMINGS] = {
    [TF1_BERT] = {BT_CKPT_TF1, "bert/", "encoder/layer_#/", "transformer/layer_#"},
    [TF1_ALBERT] = {BT_CKPT_TF1, "bert/", "encoder/transformer/group_0/inner_group_0/",
                    "transformer"},
    [HF_BERT] = {BT_CKPT_SAFETENSORS, "bert.", "encoder.layer.#.", "transformer/layer_#"},
    [HF_ALBERT] = {BT_CKPT_SAFETENSORS, "albert.", "encoder.albert_layer_groups.0.albert_layers.0.",
                   "transformer"},
    [HF_DISTILBERT] = {BT_CKPT_SAFETENSORS, "distilbert.", "transformer.layer.#.",
                       "transformer/layer_#"},
};

typedef enum layer_kind { KIND_TABLE, KIND_DENSE, KIND_NORM, KIND_LOGITS } layer_kind;

/* Inside a transformer layer. */
static const struct {
    layer_kind  kind;
    const char *canonical;
    const char *names[N_NAMINGS];
} layer_rows[] = {
    {KIND_DENSE,
     "self_attention/query",
     {"attention/self/query", "attention_1/self/query", "attention.self.query", "attention.query",
      "attention.q_lin"}},
    {KIND_DENSE,
     "self_attention/key",
     {"attention/self/key", "attention_1/self/key", "attention.self.key", "attention.key",
      "attention.k_lin"}},
    {KIND_DENSE,
     "self_attention/value",
     {"attention/self/value", "attention_1/self/value", "attention.self.value", "attention.value",
      "attention.v_lin"}},
    {KIND_DENSE,
     "self_attention/attention_output",
     {"attention/output/dense", "attention_1/output/dense", "attention.output.dense",
      "attention.dense", "attention.out_lin"}},
    {KIND_NORM,
     "self_attention_layer_norm",
     {"attention/output/LayerNorm", "LayerNorm", "attention.output.LayerNorm",
      "attention.LayerNorm", "sa_layer_norm"}},
    {KIND_DENSE,
     "intermediate",
     {"intermediate/dense", "ffn_1/intermediate/dense", "intermediate.dense", "ffn", "ffn.lin1"}},
    {KIND_DENSE,
     "output",
     {"output/dense", "ffn_1/intermediate/output/dense", "output.dense", "ffn_output", "ffn.lin2"}},
    {KIND_NORM,
     "output_layer_norm",
     {"output/LayerNorm", "LayerNorm_1", "output.LayerNorm", "full_layer_layer_norm",
      "output_layer_norm"}},
};

#define IN(naming) (1u << (naming))
#define IN_TF1 (IN(TF1_BERT) | IN(TF1_ALBERT))
#define IN_HF (IN(HF_BERT) | IN(HF_ALBERT) | IN(HF_DISTILBERT))

/* Outside the layers. */
static const struct {
    unsigned    namings;
    layer_kind  kind;
    const char *name;
    const char *canonical;
} other_rows[] = {
    {IN_TF1, KIND_TABLE, "embeddings/word_embeddings", "word_embeddings"},
    {IN_TF1, KIND_TABLE, "embeddings/position_embeddings", "position_embedding"},
    {IN_TF1, KIND_TABLE, "embeddings/token_type_embeddings", "type_embeddings"},
    {IN_TF1, KIND_NORM, "embeddings/LayerNorm", "embeddings/layer_norm"},
    {IN_TF1, KIND_DENSE, "encoder/embedding_hidden_mapping_in", "embedding_projection"},
    {IN_HF, KIND_TABLE, "embeddings.word_embeddings", "word_embeddings"},
    {IN_HF, KIND_TABLE, "embeddings.position_embeddings", "position_embedding"},
    {IN_HF, KIND_TABLE, "embeddings.token_type_embeddings", "type_embeddings"},
    {IN_HF, KIND_NORM, "embeddings.LayerNorm", "embeddings/layer_norm"},
    {IN_HF, KIND_DENSE, "encoder.embedding_hidden_mapping_in", "embedding_projection"},
    /* the one pooler is also what the next-sentence head was trained with, and what a fine-tuned
     * classifier reads; ours may have one of its own */
    {IN_TF1, KIND_DENSE, "pooler/dense", "pooler_transform"},
    {IN_TF1, KIND_DENSE, "pooler/dense", "next_sentence/pooler_dense"},
    {IN_TF1, KIND_DENSE, "pooler/dense", "sentence_prediction/pooler_dense"},
    {IN(HF_BERT), KIND_DENSE, "pooler.dense", "pooler_transform"},
    {IN(HF_BERT), KIND_DENSE, "pooler.dense", "next_sentence/pooler_dense"},
    {IN(HF_BERT), KIND_DENSE, "pooler.dense", "sentence_prediction/pooler_dense"},
    {IN(HF_ALBERT), KIND_DENSE, "pooler", "pooler_transform"},
    {IN(HF_ALBERT), KIND_DENSE, "pooler", "next_sentence/pooler_dense"},
    {IN(HF_ALBERT), KIND_DENSE, "pooler", "sentence_prediction/pooler_dense"},
    /* not DistilBERT's: another activation is before its sentence classifier */
    {IN(HF_BERT) | IN(HF_ALBERT), KIND_LOGITS, "classifier", "sentence_prediction/logits"},
    {IN_TF1, KIND_LOGITS, "output", "sentence_prediction/logits"},
    {IN_TF1, KIND_LOGITS, "cls/squad/output", "predictions/transform/logits"},
    {IN_HF, KIND_LOGITS, "classifier", "predictions/transform/logits"},
    {IN_HF, KIND_LOGITS, "qa_outputs", "predictions/transform/logits"},
};

/* What is after a layer's name. */
static const struct {
    bt_ckpt_layout layout;
    layer_kind     kind;
    const char    *name;
    const char    *canonical;
    bool           transpose; /* the file keeps [out,in] */
} leaf_rows[] = {
    {BT_CKPT_TF1, KIND_TABLE, "", "embeddings", false},
    {BT_CKPT_TF1, KIND_DENSE, "/kernel", "kernel", false},
    {BT_CKPT_TF1, KIND_DENSE, "/bias", "bias", false},
    {BT_CKPT_TF1, KIND_NORM, "/gamma", "gamma", false},
    {BT_CKPT_TF1, KIND_NORM, "/beta", "beta", false},
    {BT_CKPT_TF1, KIND_LOGITS, "_weights", "kernel", true},
    {BT_CKPT_TF1, KIND_LOGITS, "_bias", "bias", false},
    {BT_CKPT_SAFETENSORS, KIND_TABLE, ".weight", "embeddings", false},
    {BT_CKPT_SAFETENSORS, KIND_DENSE, ".weight", "kernel", true},
    {BT_CKPT_SAFETENSORS, KIND_DENSE, ".bias", "bias", false},
    {BT_CKPT_SAFETENSORS, KIND_DENSE, ".lora_A.weight", "lora_a", true}, /* PEFT's */
    {BT_CKPT_SAFETENSORS, KIND_DENSE, ".lora_B.weight", "lora_b", true},
    {BT_CKPT_SAFETENSORS, KIND_NORM, ".weight", "gamma", false},
    {BT_CKPT_SAFETENSORS, KIND_NORM, ".bias", "beta", false},
    {BT_CKPT_SAFETENSORS, KIND_NORM, ".gamma", "gamma", false}, /* of old files */
    {BT_CKPT_SAFETENSORS, KIND_NORM, ".beta", "beta", false},
    {BT_CKPT_SAFETENSORS, KIND_LOGITS, ".weight", "kernel", true},
    {BT_CKPT_SAFETENSORS, KIND_LOGITS, ".bias", "bias", false},
};

static const char *skip_text(const char *at, const char *text) {
    const size_t n = strlen(text);
    return strncmp(at, text, n) == 0 ? at + n : NULL;
}

/* After pattern, or NULL; # in it is the number of a layer. */
static const char *skip_pattern(const char *at, const char *pattern, int64_t *layer) {
    enum { MOST_LAYERS = 100000 }; /* no network has that many: not one of ours */
    for (; *pattern != '\0'; pattern++) {
        if (*pattern != '#') {
            if (*at++ != *pattern) {
                return NULL;
            }
            continue;
        }
        if (!isdigit((unsigned char)*at)) {
            return NULL;
        }
        for (*layer = 0; isdigit((unsigned char)*at); at++) {
            *layer = *layer * 10 + (*at - '0');
            if (*layer > MOST_LAYERS) {
                return NULL;
            }
        }
    }
    return at;
}

static const char *skip_prefix(const bt_ckpt *ckpt, const char *name, const naming *n) {
    if (ckpt->wrapper != NULL) {
        name = skip_text(name, ckpt->wrapper);
        if (name == NULL) {
            return NULL;
        }
    }
    const char *const bare = skip_text(name, n->prefix);
    return bare != NULL ? bare : name;
}

/* rest: what is behind the layer's name. */
static bt_status add_leaf(bt_ckpt *ckpt, const naming *n, int64_t tensor, layer_kind kind,
                          const char *canonical, const char *rest, bt_error *err) {
    for (size_t i = 0; i < BT_ARRAY_LEN(leaf_rows); i++) {
        if (leaf_rows[i].layout == n->layout && leaf_rows[i].kind == kind &&
            strcmp(leaf_rows[i].name, rest) == 0) {
            char name[CKPT_NAME_MAX];
            (void)snprintf(name, sizeof name, "%s/%s", canonical, leaf_rows[i].canonical);
            return ckpt_add_place(ckpt, name, NULL, tensor, leaf_rows[i].transpose, err);
        }
    }
    return BT_OK;
}

/* "transformer/layer_#" of layer 3 -> "transformer/layer_3/..." */
static void put_layer(const naming *n, int64_t layer, const char *canonical,
                      char out[CKPT_NAME_MAX]) {
    const char *const mark = strchr(n->canonical, '#');
    if (mark == NULL) {
        (void)snprintf(out, CKPT_NAME_MAX, "%s/%s", n->canonical, canonical);
    } else {
        (void)snprintf(out, CKPT_NAME_MAX, "%.*s%" PRId64 "/%s", (int)(mark - n->canonical),
                       n->canonical, layer, canonical);
    }
}

static bt_status map_in_layer(bt_ckpt *ckpt, naming_id id, int64_t tensor, int64_t layer,
                              const char *name, bt_error *err) {
    for (size_t i = 0; i < BT_ARRAY_LEN(layer_rows); i++) {
        const char *const rest = skip_text(name, layer_rows[i].names[id]);
        if (rest != NULL) {
            char canonical[CKPT_NAME_MAX];
            put_layer(&namings[id], layer, layer_rows[i].canonical, canonical);
            BT_TRY(add_leaf(ckpt, &namings[id], tensor, layer_rows[i].kind, canonical, rest, err));
        }
    }
    return BT_OK;
}

/* A tensor that is part of the encoder there and of nothing here: its model computes more. */
static void note_foreign(bt_ckpt *ckpt, int64_t tensor, size_t n_places_before) {
    if (ckpt->layout == BT_CKPT_SAFETENSORS && ckpt->n_places == n_places_before &&
        ckpt->foreign < 0) {
        ckpt->foreign = tensor;
    }
}

static bt_status map_name(bt_ckpt *ckpt, naming_id id, int64_t tensor, bt_error *err) {
    int64_t           layer = -1;
    const size_t      n_before = ckpt->n_places;
    const char *const name = skip_prefix(ckpt, ckpt->tensors[tensor].name, &namings[id]);
    if (name == NULL) {
        return BT_OK;
    }
    const char *const in_layer = skip_pattern(name, namings[id].layer, &layer);
    if (in_layer != NULL) {
        BT_TRY(map_in_layer(ckpt, id, tensor, layer, in_layer, err));
        note_foreign(ckpt, tensor, n_before);
        return BT_OK;
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(other_rows); i++) {
        const char *const rest = skip_text(name, other_rows[i].name);
        if (rest != NULL && (other_rows[i].namings & IN(id)) != 0) {
            BT_TRY(add_leaf(ckpt, &namings[id], tensor, other_rows[i].kind, other_rows[i].canonical,
                            rest, err));
        }
    }
    /* not the numbers 0, 1, 2, ... that some versions keep as tensors */
    if (bt_str_starts_with(name, "embeddings.") && !bt_str_ends_with(name, "_ids")) {
        note_foreign(ckpt, tensor, n_before);
    }
    return BT_OK;
}

static bool is_query(const char *name, naming_id id) {
    int64_t           layer = -1;
    const char *const bare = skip_text(name, namings[id].prefix);
    const char *const in_layer =
        skip_pattern(bare != NULL ? bare : name, namings[id].layer, &layer);
    return in_layer != NULL && skip_text(in_layer, layer_rows[0].names[id]) != NULL;
}

/* How many bytes stand before the name of a layer's query, whole words ("module."); SIZE_MAX: the
 * tensor is none. */
static size_t wrapper_length(const char *name, naming_id id) {
    const char *at = name;
    while (!is_query(at, id)) {
        at = strchr(at, '.');
        if (at == NULL) {
            return SIZE_MAX;
        }
        at++;
    }
    return (size_t)(at - name);
}

static const char peft_wrapper[] = "base_model.model.";

/* Sets ckpt->wrapper to what is before every query of that naming, and other_wrapper where it
 * is not the same before all of them. *found: there is a query. A file that has some without any is
 * as it should be. */
static bt_status find_wrapper(bt_ckpt *ckpt, naming_id id, bool *found, bt_error *err) {
    const char *shortest = NULL;
    const char *other = NULL;
    size_t      n_shortest = SIZE_MAX;
    size_t      n_other = 0;
    for (size_t t = 0; t < ckpt->n_tensors; t++) {
        const char *const name = ckpt->tensors[t].name;
        const size_t      n = wrapper_length(name, id);
        if (n == SIZE_MAX) {
            continue;
        }
        const bool differs =
            shortest != NULL && (n != n_shortest || strncmp(shortest, name, n) != 0);
        if (differs) {
            other = n < n_shortest ? shortest : name;
            n_other = n < n_shortest ? n_shortest : n;
        }
        if (n < n_shortest) {
            shortest = name;
            n_shortest = n;
        }
    }
    *found = shortest != NULL;
    if (shortest == NULL && ckpt->n_tensors > 0 &&
        bt_str_starts_with(ckpt->tensors[0].name, peft_wrapper)) {
        shortest = peft_wrapper; /* adapters of other kernels */
        n_shortest = strlen(peft_wrapper);
    }
    if (shortest == NULL || n_shortest == 0) {
        return BT_OK;
    }
    ckpt->wrapper = bt_strndup(shortest, n_shortest);
    ckpt->other_wrapper = other != NULL ? bt_strndup(other, n_other) : NULL;
    return ckpt->wrapper != NULL && (other == NULL || ckpt->other_wrapper != NULL)
               ? BT_OK
               : BT_FAIL(err, BT_E_NOMEM, "out of memory for the names of %s", ckpt->path);
}

/* The naming in which some tensor is a layer's query; BERT's where there is no layer. */
static bt_status find_naming(bt_ckpt *ckpt, naming_id *out, bt_error *err) {
    for (size_t id = 0; id < N_NAMINGS; id++) {
        bool found = false;
        if (namings[id].layout != ckpt->layout) {
            continue;
        }
        if (ckpt->layout == BT_CKPT_SAFETENSORS) {
            BT_TRY(find_wrapper(ckpt, (naming_id)id, &found, err));
        }
        for (size_t t = 0; t < ckpt->n_tensors && !found && ckpt->layout == BT_CKPT_TF1; t++) {
            found = is_query(ckpt->tensors[t].name, (naming_id)id);
        }
        if (found) {
            *out = (naming_id)id;
            return BT_OK;
        }
    }
    *out = ckpt->layout == BT_CKPT_TF1 ? TF1_BERT : HF_BERT;
    return BT_OK;
}

bt_status ckpt_map_names(bt_ckpt *ckpt, bt_error *err) {
    naming_id id = HF_BERT;
    ckpt->foreign = -1;
    BT_TRY(find_naming(ckpt, &id, err));
    for (size_t t = 0; t < ckpt->n_tensors && ckpt->other_wrapper == NULL; t++) {
        BT_TRY(map_name(ckpt, id, (int64_t)t, err));
    }
    ckpt->is_distilbert = id == HF_DISTILBERT;
    return BT_OK;
}

const char *bt_ckpt_wrapper(const bt_ckpt *ckpt, size_t *n_without) {
    const char *const wrapper = ckpt->wrapper != NULL ? ckpt->wrapper : "";
    *n_without = 0;
    for (size_t t = 0; t < ckpt->n_tensors; t++) {
        *n_without += skip_text(ckpt->tensors[t].name, wrapper) == NULL;
    }
    return wrapper;
}

/* The way back: from a variable to its name there. */

/* Of what is behind the layer's own name ("/kernel"): the first row is how it is written. */
static const char *find_leaf(bt_ckpt_layout layout, layer_kind kind, const char *canonical,
                             bool *transpose) {
    for (size_t i = 0; i < BT_ARRAY_LEN(leaf_rows); i++) {
        if (leaf_rows[i].layout == layout && leaf_rows[i].kind == kind && canonical[0] == '/' &&
            strcmp(leaf_rows[i].canonical, canonical + 1) == 0) {
            *transpose = leaf_rows[i].transpose;
            return leaf_rows[i].name;
        }
    }
    return NULL;
}

static bool name_in_layer(naming_id id, const char *prefix, int64_t layer, const char *canonical,
                          char out[BT_CKPT_HF_NAME_MAX], bool *transpose) {
    const naming *const n = &namings[id];
    const char *const   mark = strchr(n->layer, '#');
    char                place[BT_CKPT_HF_NAME_MAX];
    if (mark == NULL) {
        (void)snprintf(place, sizeof place, "%s%s", prefix, n->layer);
    } else {
        (void)snprintf(place, sizeof place, "%s%.*s%" PRId64 "%s", prefix, (int)(mark - n->layer),
                       n->layer, layer, mark + 1);
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(layer_rows); i++) {
        const char *const rest = skip_text(canonical, layer_rows[i].canonical);
        const char *const leaf =
            rest != NULL ? find_leaf(n->layout, layer_rows[i].kind, rest, transpose) : NULL;
        if (leaf != NULL) {
            const int length =
                snprintf(out, BT_CKPT_HF_NAME_MAX, "%s%s%s", place, layer_rows[i].names[id], leaf);
            return length > 0 && length < BT_CKPT_HF_NAME_MAX;
        }
    }
    return false;
}

bool bt_ckpt_hf_name(bt_ckpt_encoder encoder, const char *name, const char *head,
                     char out[BT_CKPT_HF_NAME_MAX], bool *transpose) {
    const naming_id   id = encoder == BT_CKPT_ALBERT ? HF_ALBERT : HF_BERT;
    const char *const prefix = head != NULL ? namings[id].prefix : "";
    int64_t           layer = -1;
    const char *const in_layer = skip_pattern(name, namings[id].canonical, &layer);
    if (in_layer != NULL && in_layer[0] == '/') {
        return name_in_layer(id, prefix, layer, in_layer + 1, out, transpose);
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(other_rows); i++) {
        const bool        is_head = other_rows[i].kind == KIND_LOGITS;
        const char *const rest = skip_text(name, other_rows[i].canonical);
        const char       *leaf = NULL;
        if (rest != NULL && (other_rows[i].namings & IN(id)) != 0 &&
            (!is_head || (head != NULL && strcmp(head, other_rows[i].name) == 0))) {
            leaf = find_leaf(namings[id].layout, other_rows[i].kind, rest, transpose);
        }
        if (leaf != NULL) {
            (void)snprintf(out, BT_CKPT_HF_NAME_MAX, "%s%s%s", is_head ? "" : prefix,
                           other_rows[i].name, leaf);
            return true;
        }
    }
    return false;
}
