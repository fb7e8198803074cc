/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON configuration that stands beside a checkpoint: what cannot be seen in the shapes of its
 * tensors, as the number of heads. Google's and Hugging Face's keys; keys that are not there say
 * nothing. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "bt/fs.h"
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

static bt_status read_file(const char *path, bt_ckpt_facts *out, bt_error *err) {
    json_t *root = NULL;
    (void)snprintf(out->path, sizeof out->path, "%s", path);
    if (bt_fs_read_json(path, FACTS_MAX_BYTES, 0, &root, err) != BT_OK) {
        return bt_error_prefix(err, "the configuration beside the checkpoint");
    }
    const json_t *const act = json_object_get(root, "hidden_act");
    const json_t *const eps = json_object_get(root, "layer_norm_eps");
    copy_word(out->model_type, json_object_get(root, "model_type"));
    copy_word(out->activation, act != NULL ? act : json_object_get(root, "activation"));
    out->n_layers = find_count(root, "num_hidden_layers", "n_layers");
    out->n_heads = find_count(root, "num_attention_heads", "n_heads");
    out->norm_eps = json_is_number(eps) ? json_number_value(eps) : 0;
    json_decref(root);
    return BT_OK;
}

bt_status bt_ckpt_read_facts(const bt_ckpt *ckpt, bt_ckpt_facts *out, bt_error *err) {
    static const struct {
        bt_ckpt_layout layout;
        const char    *name;
    } rows[] = {{BT_CKPT_SAFETENSORS, "config.json"},
                {BT_CKPT_TF1, "bert_config.json"},
                {BT_CKPT_TF1, "albert_config.json"}};
    bt_status rc = BT_OK;
    char     *folder = NULL;
    char     *path = NULL;
    *out = (bt_ckpt_facts){0};
    BT_CHECK(bt_fs_parent(ckpt->path, &folder, err));
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        if (rows[i].layout != ckpt->layout) {
            continue;
        }
        bt_free(path);
        path = NULL;
        BT_CHECK(bt_fs_join(folder, rows[i].name, &path, err));
        if (bt_fs_exists(path)) {
            BT_CHECK(read_file(path, out, err));
            break;
        }
    }
done:
    bt_free(path);
    bt_free(folder);
    return rc;
}
