/* SPDX-License-Identifier: Apache-2.0
 *
 * config.json of transformers; and which models it has. What a key means there is what BertConfig
 * and AlbertConfig say. */
#include <inttypes.h>
#include <stdio.h>

#include "bt/base/json_text.h"
#include "bt/base/number.h"
#include "export_internal.h"

/* gelu there is the exact one. NULL: it has no such activation. */
static const char *const activation_words[BT_N_ACTIVATIONS] = {
    [BT_ACT_GELU] = "gelu_new", [BT_ACT_GELU_ERF] = "gelu",   [BT_ACT_RELU] = "relu",
    [BT_ACT_RELU6] = "relu6",   [BT_ACT_TANH] = "tanh",       [BT_ACT_SWISH] = "silu",
    [BT_ACT_MISH] = "mish",     [BT_ACT_SIGMOID] = "sigmoid", [BT_ACT_IDENTITY] = "linear",
};

/* Model Garden's, where the configuration says nothing. */
static const float default_eps = 1e-12F;

typedef struct kind_row {
    const char *bert, *albert;
    const char *problem; /* problem_type, or NULL */
    bool        has_labels;
} kind_row;

static const kind_row kinds[] = {
    [BT_EXPORT_CLASSES] = {"BertForSequenceClassification", "AlbertForSequenceClassification",
                           "single_label_classification", true},
    [BT_EXPORT_LABELS] = {"BertForSequenceClassification", "AlbertForSequenceClassification",
                          "multi_label_classification", true},
    [BT_EXPORT_SCORE] = {"BertForSequenceClassification", "AlbertForSequenceClassification",
                         "regression", true},
    [BT_EXPORT_TAGS] = {"BertForTokenClassification", "AlbertForTokenClassification", NULL, true},
    [BT_EXPORT_ANSWERS] = {"BertForQuestionAnswering", "AlbertForQuestionAnswering", NULL, false},
    [BT_EXPORT_VECTORS] = {"BertModel", "AlbertModel", NULL, false},
};

bt_status export_check_hf(const bt_export_source *source, bt_error *err) {
    const bt_encoder_config *const encoder = &source->model->encoder;
    if (encoder->norm_first) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "task.model.encoder.*.norm_first is true: transformers' BERT normalises "
                       "after each part of a layer, so it cannot compute this model");
    }
    if (activation_words[encoder->hidden_activation] == NULL) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "task.model.encoder.*.hidden_activation is '%s', which transformers does "
                       "not have: it cannot compute this model",
                       bt_activation_name(encoder->hidden_activation));
    }
    if (encoder->type != BT_ENCODER_ALBERT && encoder->embedding_size != encoder->hidden_size) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "the embeddings have %" PRId64 " numbers and the layers %" PRId64
                       " (embedding_size): transformers' BERT has no layer between them, so it "
                       "cannot compute this model",
                       encoder->embedding_size, encoder->hidden_size);
    }
    return BT_OK;
}

static bt_status put_count(bt_str *out, const char *key, int64_t value, bt_error *err) {
    return bt_str_appendf(out, err, "  \"%s\": %" PRId64 ",\n", key, value);
}

static bt_status put_number(bt_str *out, const char *key, float value, bt_error *err) {
    char text[BT_F64_TEXT_MAX];
    return bt_str_appendf(out, err, "  \"%s\": %s,\n", key, bt_f32_repr(value, text));
}

/* Without names transformers' own: LABEL_0, ... They also say how many there are. */
static bt_status put_label(const bt_export_source *source, int64_t i, bt_str *out, bt_error *err) {
    char number[32];
    (void)snprintf(number, sizeof number, "LABEL_%" PRId64, i);
    return bt_str_append_json(out, source->labels != NULL ? source->labels[i] : number, err);
}

static bt_status put_labels(const bt_export_source *source, bt_str *out, bt_error *err) {
    const int64_t n = source->model->head.num_classes;
    BT_TRY(bt_str_append(out, "  \"id2label\": {", err));
    for (int64_t i = 0; i < n; i++) {
        BT_TRY(bt_str_appendf(out, err, "%s\n    \"%" PRId64 "\": ", i > 0 ? "," : "", i));
        BT_TRY(put_label(source, i, out, err));
    }
    BT_TRY(bt_str_append(out, "\n  },\n  \"label2id\": {", err));
    for (int64_t i = 0; i < n; i++) {
        BT_TRY(bt_str_append(out, i > 0 ? ",\n    " : "\n    ", err));
        BT_TRY(put_label(source, i, out, err));
        BT_TRY(bt_str_appendf(out, err, ": %" PRId64, i));
    }
    return bt_str_append(out, "\n  },\n", err);
}

static bt_status put_encoder(const bt_export_source *source, bt_str *out, bt_error *err) {
    const bt_encoder_config *const e = &source->model->encoder;
    BT_TRY(put_count(out, "vocab_size", e->vocab_size, err));
    BT_TRY(put_count(out, "hidden_size", e->hidden_size, err));
    BT_TRY(put_count(out, "num_hidden_layers", e->num_layers, err));
    BT_TRY(put_count(out, "num_attention_heads", e->num_attention_heads, err));
    BT_TRY(put_count(out, "intermediate_size", e->intermediate_size, err));
    BT_TRY(put_count(out, "max_position_embeddings", e->max_position_embeddings, err));
    BT_TRY(put_count(out, "type_vocab_size", e->type_vocab_size, err));
    BT_TRY(put_number(out, "layer_norm_eps", e->norm_eps > 0 ? e->norm_eps : default_eps, err));
    BT_TRY(put_number(out, "initializer_range", e->initializer_range, err));
    BT_TRY(put_number(out, "hidden_dropout_prob", e->dropout_rate, err));
    BT_TRY(put_number(out, "attention_probs_dropout_prob", e->attention_dropout_rate, err));
    if (e->type == BT_ENCODER_ALBERT) {
        BT_TRY(put_count(out, "embedding_size", e->embedding_size, err));
        BT_TRY(put_count(out, "num_hidden_groups", 1, err));
        BT_TRY(put_count(out, "inner_group_num", 1, err));
    }
    return bt_str_appendf(out, err,
                          "  \"hidden_act\": \"%s\",\n"
                          "  \"position_embedding_type\": \"absolute\",\n",
                          activation_words[e->hidden_activation]);
}

static int32_t pad_of(const bt_export_text *text) {
    int32_t id = 0;
    return text->vocab != NULL && bt_text_vocab_find(text->vocab, "[PAD]", 5, &id) ? id : 0;
}

static bt_status make_config(const bt_export_source *source, bt_str *out, bt_error *err) {
    const kind_row *const row = &kinds[source->kind];
    const bool            is_albert = export_encoder(source) == BT_CKPT_ALBERT;
    BT_TRY(bt_str_appendf(out, err,
                          "{\n  \"architectures\": [\"%s\"],\n  \"model_type\": \"%s\",\n",
                          is_albert ? row->albert : row->bert, is_albert ? "albert" : "bert"));
    BT_TRY(put_encoder(source, out, err));
    if (source->kind != BT_EXPORT_VECTORS) {
        BT_TRY(put_number(out, is_albert ? "classifier_dropout_prob" : "classifier_dropout",
                          source->model->head.dropout_rate, err));
    }
    if (row->has_labels) {
        BT_TRY(put_labels(source, out, err));
    }
    if (row->problem != NULL) {
        BT_TRY(bt_str_appendf(out, err, "  \"problem_type\": \"%s\",\n", row->problem));
    }
    BT_TRY(put_count(out, "pad_token_id", pad_of(&source->text), err));
    return bt_str_append(out, "  \"torch_dtype\": \"float32\"\n}\n", err);
}

bt_status export_put_config(const bt_export_source *source, bt_export_folder *folder,
                            bt_error *err) {
    bt_str    text = BT_STR_INIT;
    bt_status rc = make_config(source, &text, err);
    if (rc == BT_OK) {
        rc = export_folder_put(folder, "config.json", &text, err);
    }
    bt_str_deinit(&text);
    return rc;
}
