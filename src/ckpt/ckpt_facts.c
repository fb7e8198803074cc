/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON configuration that is beside a checkpoint: what cannot be seen in the shapes of its
 * tensors, as the number of heads. Google's and Hugging Face's keys; keys that are not there say
 * nothing. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "bt/base/alloc.h"
#include "bt/fs.h"
#include "ckpt_facts_keys.h"
#include "ckpt_internal.h"

enum { FACTS_MAX_BYTES = 1 << 20 };

/* The first of these keys that holds an integer >= 1; 0: none. */
static int64_t find_count(const json_t *root, const char *key, const char *other) {
    const char *const keys[] = {key, other};
    for (size_t i = 0; i < BT_ARRAY_LEN(keys); i++) {
        const json_int_t value = json_integer_value(json_object_get(root, keys[i]));
        if (value >= 1) {
            return value;
        }
    }
    return 0;
}

static void copy_word(char out[BT_CKPT_WORD_MAX], const json_t *value) {
    const char *const text = json_string_value(value);
    (void)snprintf(out, BT_CKPT_WORD_MAX, "%s", text != NULL ? text : "");
}

/* The first of these keys that holds a number; NaN: none. */
static double find_number(const json_t *root, const char *key, const char *other) {
    const char *const keys[] = {key, other};
    for (size_t i = 0; i < BT_ARRAY_LEN(keys); i++) {
        const json_t *const value = json_object_get(root, keys[i]);
        if (json_is_number(value)) {
            return json_number_value(value);
        }
    }
    return NAN;
}

/* Code that the repository brings along computes the model. */
static bool has_own_code(const json_t *root) {
    const char *name = NULL;
    json_t     *value = NULL;
    json_object_foreach(json_object_get(root, "auto_map"), name, value) {
        if (bt_str_starts_with(name, "AutoModel")) {
            return true;
        }
    }
    return false;
}

static void read_sizes(const json_t *root, bt_ckpt_facts *out) {
    out->n_layers = find_count(root, "num_hidden_layers", "n_layers");
    out->n_heads = find_count(root, "num_attention_heads", "n_heads");
    out->hidden_size = find_count(root, "hidden_size", "dim");
    out->vocab_size = find_count(root, "vocab_size", "vocab_size");
    out->intermediate_size = find_count(root, "intermediate_size", "hidden_dim");
    out->max_positions = find_count(root, "max_position_embeddings", "max_position_embeddings");
    out->n_types = find_count(root, "type_vocab_size", "type_vocab_size");
    out->n_groups = find_count(root, "num_hidden_groups", "num_hidden_groups");
    out->n_inner_groups = find_count(root, "inner_group_num", "inner_group_num");
}

static void read_architecture(const json_t *root, bt_ckpt_facts *out) {
    const json_t *const act = json_object_get(root, "hidden_act");
    const double        eps = find_number(root, "layer_norm_eps", "layer_norm_eps");
    copy_word(out->model_type, json_object_get(root, "model_type"));
    copy_word(out->activation, act != NULL ? act : json_object_get(root, "activation"));
    copy_word(out->positions, json_object_get(root, "position_embedding_type"));
    const char *const architecture =
        json_string_value(json_array_get(json_object_get(root, "architectures"), 0));
    (void)snprintf(out->architecture, sizeof out->architecture, "%s",
                   architecture != NULL ? architecture : "");
    out->norm_eps = isnan(eps) ? 0 : eps;
    out->dropout = find_number(root, "hidden_dropout_prob", "dropout");
    out->attention_dropout = find_number(root, "attention_probs_dropout_prob", "attention_dropout");
    out->is_decoder = json_is_true(json_object_get(root, "is_decoder"));
    out->has_cross_attention = json_is_true(json_object_get(root, "add_cross_attention"));
    out->has_pruned_heads = json_object_size(json_object_get(root, "pruned_heads")) > 0;
    out->has_own_code = has_own_code(root);
    out->is_quantized = json_is_object(json_object_get(root, "quantization_config"));
    out->classifier_dropout = find_number(root, "classifier_dropout", "classifier_dropout_prob");
    out->initializer_range = find_number(root, "initializer_range", "initializer_range");
}

/* Hugging Face's defaults where the key is not there: those of Model Garden are others. */
static void complete(bt_ckpt_facts *facts) {
    if (facts->activation[0] == '\0' && facts->model_type[0] != '\0') {
        const bool is_albert = strcmp(facts->model_type, "albert") == 0;
        (void)snprintf(facts->activation, sizeof facts->activation, "%s",
                       is_albert ? "gelu_new" : "gelu");
    }
}

static bt_status read_file(const char *path, bt_ckpt_facts *out, bt_error *err) {
    json_t *root = NULL;
    (void)snprintf(out->path, sizeof out->path, "%s", path);
    if (bt_fs_read_json(path, FACTS_MAX_BYTES, 0, &root, err) != BT_OK) {
        return bt_error_prefix(err, "the configuration beside the checkpoint");
    }
    const bt_status rc =
        ckpt_facts_check_keys(root, path, out->unknown_keys, sizeof out->unknown_keys, err);
    if (rc == BT_OK) {
        read_sizes(root, out);
        read_architecture(root, out);
    }
    json_decref(root);
    return rc;
}

bt_status bt_ckpt_read_facts(const bt_ckpt *ckpt, bt_ckpt_facts *out, bt_error *err) {
    static const struct {
        bt_ckpt_layout layout;
        const char    *name;
    } rows[] = {{BT_CKPT_SAFETENSORS, "config.json"},
                {BT_CKPT_TF1, "bert_config.json"},
                {BT_CKPT_TF1, "albert_config.json"},
                {BT_CKPT_TF2, "bert_config.json"},
                {BT_CKPT_TF2, "albert_config.json"}};
    bt_status rc = BT_OK;
    char     *folder = NULL;
    char     *path = NULL;
    bool      is_there = false;
    *out = (bt_ckpt_facts){.dropout = NAN,
                           .attention_dropout = NAN,
                           .classifier_dropout = NAN,
                           .initializer_range = NAN};
    BT_CHECK(bt_fs_parent(ckpt->path, &folder, err));
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        if (rows[i].layout != ckpt->layout) {
            continue;
        }
        bt_free(path);
        path = NULL;
        BT_CHECK(bt_fs_join(folder, rows[i].name, &path, err));
        BT_CHECK(bt_fs_look(path, &is_there, err));
        if (is_there) {
            BT_CHECK(read_file(path, out, err));
            if (ckpt->layout == BT_CKPT_SAFETENSORS) {
                complete(out);
            }
            break;
        }
    }
done:
    bt_free(path);
    bt_free(folder);
    return rc;
}
