/* SPDX-License-Identifier: Apache-2.0
 *
 * Layouts that are known by their names: Google's TF1 bert_model.ckpt and Hugging Face's BERT
 * (spec/numerics.md section 7). One table; # stands for the number of a layer. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "ckpt_internal.h"

typedef struct name_row {
    const char *tf1; /* NULL: that layout has none */
    const char *hf;
    bool        transpose; /* in Hugging Face's layout: Linear keeps [out,in] */
    const char *canonical;
} name_row;

#define TF1_LAYER "bert/encoder/layer_#/"
#define HF_LAYER "encoder.layer.#."
#define LAYER "transformer/layer_#/"

static const name_row rows[] = {
    {"bert/embeddings/word_embeddings", "embeddings.word_embeddings.weight", false,
     "word_embeddings/embeddings"},
    {"bert/embeddings/position_embeddings", "embeddings.position_embeddings.weight", false,
     "position_embedding/embeddings"},
    {"bert/embeddings/token_type_embeddings", "embeddings.token_type_embeddings.weight", false,
     "type_embeddings/embeddings"},
    {"bert/embeddings/LayerNorm/gamma", "embeddings.LayerNorm.weight", false,
     "embeddings/layer_norm/gamma"},
    {"bert/embeddings/LayerNorm/beta", "embeddings.LayerNorm.bias", false,
     "embeddings/layer_norm/beta"},
    {TF1_LAYER "attention/self/query/kernel", HF_LAYER "attention.self.query.weight", true,
     LAYER "self_attention/query/kernel"},
    {TF1_LAYER "attention/self/query/bias", HF_LAYER "attention.self.query.bias", false,
     LAYER "self_attention/query/bias"},
    {TF1_LAYER "attention/self/key/kernel", HF_LAYER "attention.self.key.weight", true,
     LAYER "self_attention/key/kernel"},
    {TF1_LAYER "attention/self/key/bias", HF_LAYER "attention.self.key.bias", false,
     LAYER "self_attention/key/bias"},
    {TF1_LAYER "attention/self/value/kernel", HF_LAYER "attention.self.value.weight", true,
     LAYER "self_attention/value/kernel"},
    {TF1_LAYER "attention/self/value/bias", HF_LAYER "attention.self.value.bias", false,
     LAYER "self_attention/value/bias"},
    {TF1_LAYER "attention/output/dense/kernel", HF_LAYER "attention.output.dense.weight", true,
     LAYER "self_attention/attention_output/kernel"},
    {TF1_LAYER "attention/output/dense/bias", HF_LAYER "attention.output.dense.bias", false,
     LAYER "self_attention/attention_output/bias"},
    {TF1_LAYER "attention/output/LayerNorm/gamma", HF_LAYER "attention.output.LayerNorm.weight",
     false, LAYER "self_attention_layer_norm/gamma"},
    {TF1_LAYER "attention/output/LayerNorm/beta", HF_LAYER "attention.output.LayerNorm.bias", false,
     LAYER "self_attention_layer_norm/beta"},
    {TF1_LAYER "intermediate/dense/kernel", HF_LAYER "intermediate.dense.weight", true,
     LAYER "intermediate/kernel"},
    {TF1_LAYER "intermediate/dense/bias", HF_LAYER "intermediate.dense.bias", false,
     LAYER "intermediate/bias"},
    {TF1_LAYER "output/dense/kernel", HF_LAYER "output.dense.weight", true, LAYER "output/kernel"},
    {TF1_LAYER "output/dense/bias", HF_LAYER "output.dense.bias", false, LAYER "output/bias"},
    {TF1_LAYER "output/LayerNorm/gamma", HF_LAYER "output.LayerNorm.weight", false,
     LAYER "output_layer_norm/gamma"},
    {TF1_LAYER "output/LayerNorm/beta", HF_LAYER "output.LayerNorm.bias", false,
     LAYER "output_layer_norm/beta"},
    {"bert/pooler/dense/kernel", "pooler.dense.weight", true, "pooler_transform/kernel"},
    {"bert/pooler/dense/bias", "pooler.dense.bias", false, "pooler_transform/bias"},
    /* the same pooler is the one that the next-sentence head was trained with */
    {"bert/pooler/dense/kernel", "pooler.dense.weight", true, "next_sentence/pooler_dense/kernel"},
    {"bert/pooler/dense/bias", "pooler.dense.bias", false, "next_sentence/pooler_dense/bias"},
    /* a classifier of Hugging Face reads the encoder's pooler, ours may have one of its own */
    {NULL, "pooler.dense.weight", true, "sentence_prediction/pooler_dense/kernel"},
    {NULL, "pooler.dense.bias", false, "sentence_prediction/pooler_dense/bias"},
    {NULL, "classifier.weight", true, "sentence_prediction/logits/kernel"},
    {NULL, "classifier.bias", false, "sentence_prediction/logits/bias"},
};

/* Does name match pattern, and which layer is #? (-1: the pattern has none) */
static bool match_pattern(const char *name, const char *pattern, int64_t *layer) {
    *layer = -1;
    const char *const mark = strchr(pattern, '#');
    if (mark == NULL) {
        return strcmp(name, pattern) == 0;
    }
    const size_t n_before = (size_t)(mark - pattern);
    if (strncmp(name, pattern, n_before) != 0 || !isdigit((unsigned char)name[n_before])) {
        return false;
    }
    int64_t     number = 0;
    const char *at = name + n_before;
    for (; isdigit((unsigned char)*at); at++) {
        if (number > 100000) {
            return false; /* no network has that many layers: not one of ours */
        }
        number = number * 10 + (*at - '0');
    }
    *layer = number;
    return strcmp(at, mark + 1) == 0;
}

static void put_layer(const char *pattern, int64_t layer, char out[CKPT_NAME_MAX]) {
    const char *const mark = strchr(pattern, '#');
    if (mark == NULL) {
        (void)snprintf(out, CKPT_NAME_MAX, "%s", pattern);
    } else {
        (void)snprintf(out, CKPT_NAME_MAX, "%.*s%" PRId64 "%s", (int)(mark - pattern), pattern,
                       layer, mark + 1);
    }
}

/* Without "bert." in front, and with weight and bias for the gamma and beta of old files. */
static void normalize_hf(const char *name, char out[CKPT_NAME_MAX]) {
    const char *const bare = bt_str_starts_with(name, "bert.") ? name + strlen("bert.") : name;
    (void)snprintf(out, CKPT_NAME_MAX, "%s", bare);
    static const char *const old[][2] = {{".LayerNorm.gamma", "weight"},
                                         {".LayerNorm.beta", "bias"}};
    for (size_t i = 0; i < BT_ARRAY_LEN(old); i++) {
        if (bt_str_ends_with(out, old[i][0])) {
            char *const last = strrchr(out, '.') + 1;
            (void)snprintf(last, CKPT_NAME_MAX - (size_t)(last - out), "%s", old[i][1]);
        }
    }
}

static bt_status map_name(bt_ckpt *ckpt, int64_t tensor, const char *name, bt_error *err) {
    const bool is_hf = ckpt->layout == BT_CKPT_SAFETENSORS;
    for (size_t r = 0; r < BT_ARRAY_LEN(rows); r++) {
        const char *const pattern = is_hf ? rows[r].hf : rows[r].tf1;
        int64_t           layer = -1;
        if (pattern == NULL || !match_pattern(name, pattern, &layer)) {
            continue;
        }
        char canonical[CKPT_NAME_MAX];
        put_layer(rows[r].canonical, layer, canonical);
        BT_TRY(ckpt_add_place(ckpt, canonical, NULL, tensor, is_hf && rows[r].transpose, err));
    }
    return BT_OK;
}

bt_status ckpt_map_names(bt_ckpt *ckpt, bt_error *err) {
    for (size_t i = 0; i < ckpt->n_tensors; i++) {
        char name[CKPT_NAME_MAX];
        if (ckpt->layout == BT_CKPT_SAFETENSORS) {
            normalize_hf(ckpt->tensors[i].name, name);
        } else {
            (void)snprintf(name, sizeof name, "%s", ckpt->tensors[i].name);
        }
        BT_TRY(map_name(ckpt, (int64_t)i, name, err));
    }
    return BT_OK;
}
