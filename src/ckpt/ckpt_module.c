/* SPDX-License-Identifier: Apache-2.0
 *
 * What a SavedModel says of its encoder beside its variables: the shapes tell the sizes, Keras's
 * saved configuration the rest, the assets the vocabulary. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "bt/fs.h"
#include "bt/wire/saved_model.h"
#include "ckpt_internal.h"

enum { METADATA_MAX_BYTES = 1 << 30, MAX_NESTING = 64 };

/* The names that one setting has had. */
typedef const char *const name_list[4];
static name_list activation_names = {"inner_activation", "hidden_activation", "activation"};
static name_list dropout_names = {"output_dropout", "dropout_rate", "hidden_dropout_prob"};
static name_list attention_dropout_names = {"attention_dropout", "attention_dropout_rate",
                                            "attention_probs_dropout_prob"};

static const json_t *find_any(const json_t *config, const char *const names[4]) {
    for (size_t i = 0; i < 4 && names[i] != NULL; i++) {
        const json_t *const value = json_object_get(config, names[i]);
        if (value != NULL) {
            return value;
        }
    }
    return NULL;
}

/* "Text>gelu", {"class_name": "Text>gelu"}: the bare name. */
static void copy_activation(const json_t *value, char out[32]) {
    const char *text = json_string_value(value);
    if (text == NULL) {
        const json_t *const config = json_object_get(value, "config");
        text = json_string_value(json_is_string(config) ? config
                                                        : json_object_get(value, "class_name"));
    }
    const char *const tail = text != NULL ? strrchr(text, '>') : NULL;
    text = tail != NULL ? tail + 1 : text;
    if (text != NULL && strlen(text) < 32) {
        memcpy(out, text, strlen(text) + 1);
    }
}

static void read_config(const json_t *config, bt_ckpt_module *module) {
    const json_t *const dropout = find_any(config, dropout_names);
    const json_t *const attention = find_any(config, attention_dropout_names);
    const json_t *const norm_first = json_object_get(config, "norm_first");
    copy_activation(find_any(config, activation_names), module->activation);
    module->dropout_rate = json_is_number(dropout) ? json_number_value(dropout) : NAN;
    module->attention_dropout_rate = json_is_number(attention) ? json_number_value(attention) : NAN;
    module->norm_first = json_is_boolean(norm_first) ? (int32_t)json_is_true(norm_first) : -1;
    module->has_config = true;
}

static bool is_encoder_class(const json_t *value) {
    const char *const name = json_string_value(value);
    return name != NULL && strstr(name, "BertEncoder") != NULL;
}

/* {"class_name": "Text>BertEncoder...", "config": {...}}, at any depth. */
static bool find_encoder(const json_t *value, int depth, bt_ckpt_module *module) {
    size_t      i = 0;
    const char *key = NULL;
    json_t     *item = NULL;
    if (depth > MAX_NESTING || module->has_config) {
        return module->has_config;
    }
    if (json_is_object(value) && is_encoder_class(json_object_get(value, "class_name"))) {
        const json_t *const config = json_object_get(value, "config");
        if (json_is_object(config) && json_object_get(config, "num_attention_heads") != NULL) {
            read_config(config, module);
            return true;
        }
    }
    if (json_is_object(value)) {
        json_object_foreach((json_t *)(uintptr_t)value, key, item) {
            if (find_encoder(item, depth + 1, module)) {
                return true;
            }
        }
    }
    json_array_foreach(value, i, item) {
        if (find_encoder(item, depth + 1, module)) {
            return true;
        }
    }
    return false;
}

static bt_status visit_text(void *context, bt_bytes text, bt_error *err) {
    bt_ckpt_module *const module = context;
    if (!module->has_config && text.n_bytes > 0 && text.data[0] == '{') {
        json_t *root = NULL;
        BT_TRY(bt_json_load((const char *)text.data, text.n_bytes, 0, &root, NULL, err));
        (void)find_encoder(root, 0, module); /* what is not JSON tells nothing */
        json_decref(root);
    }
    return BT_OK;
}

static bt_status read_texts(const char *folder, const char *name, bool is_keras,
                            bt_ckpt_module *module, bt_error *err) {
    bt_status rc = BT_OK;
    char     *path = NULL;
    char     *bytes = NULL;
    size_t    n = 0;
    bool      is_there = false;
    BT_CHECK(bt_fs_join(folder, name, &path, err));
    if (!module->has_config) {
        BT_CHECK(bt_fs_look(path, &is_there, err));
    }
    if (is_there) {
        BT_CHECK(bt_fs_read_all(path, METADATA_MAX_BYTES, &bytes, &n, err));
        rc = bt_saved_model_texts((bt_bytes){(const uint8_t *)bytes, n}, is_keras, visit_text,
                                  module, err);
        if (rc != BT_OK) {
            rc = bt_error_prefix(err, "%s", path);
        }
    }
    bt_free(bytes);
done:
    bt_free(path);
    return rc;
}

static bt_status read_do_lower_case(bt_ckpt *ckpt, bt_ckpt_module *module, bt_error *err) {
    static const char key[] = "do_lower_case/.ATTRIBUTES/VARIABLE_VALUE";
    const int64_t     i = bt_ckpt_find_tensor(ckpt, key);
    uint8_t           value = 0;
    module->do_lower_case = -1;
    if (i < 0 || bt_ckpt_tensor_at(ckpt, (size_t)i).n_elements != 1 ||
        bt_dtype_size(bt_ckpt_tensor_at(ckpt, (size_t)i).dtype) != 1) {
        return BT_OK;
    }
    BT_TRY(bt_ckpt_read_tensor(ckpt, (size_t)i, &value, 1, err));
    module->do_lower_case = value != 0;
    return BT_OK;
}

/* Exporters keep the name that the file had: vocab.txt, or the only text file there is. */
static bt_status find_vocab(const char *folder, bt_ckpt_module *module, bt_error *err) {
    char       *path = NULL;
    char       *pattern = NULL;
    bt_fs_names names = BT_FS_NAMES_INIT;
    bool        is_there = false;
    bt_status   rc = BT_OK;
    BT_CHECK(bt_fs_join(folder, "assets/vocab.txt", &path, err));
    BT_CHECK(bt_fs_look(path, &is_there, err));
    if (!is_there) {
        bt_free(path);
        path = NULL;
        BT_CHECK(bt_fs_join(folder, "assets/*.txt", &pattern, err));
        BT_CHECK(bt_fs_glob(pattern, &names, err));
        if (names.n == 1) {
            path = names.items[0];
            names.items[0] = NULL;
        }
    }
    module->vocab_file = path;
    path = NULL;
done:
    bt_free(path);
    bt_free(pattern);
    bt_fs_names_deinit(&names);
    return rc;
}

bt_status bt_ckpt_module_read(const char *folder, bt_ckpt *ckpt, bt_ckpt_module *module,
                              bt_error *err) {
    bt_status rc = BT_OK;
    *module = (bt_ckpt_module){
        .dropout_rate = NAN, .attention_dropout_rate = NAN, .norm_first = -1, .do_lower_case = -1};
    bt_ckpt_read_sizes(ckpt, &module->sizes);
    BT_CHECK(read_texts(folder, "keras_metadata.pb", true, module, err));
    BT_CHECK(read_texts(folder, "saved_model.pb", false, module, err));
    BT_CHECK(read_do_lower_case(ckpt, module, err));
    BT_CHECK(find_vocab(folder, module, err));
done:
    if (rc != BT_OK) {
        bt_ckpt_module_deinit(module);
    }
    return rc;
}

void bt_ckpt_module_deinit(bt_ckpt_module *module) {
    bt_free(module->vocab_file);
    module->vocab_file = NULL;
}
