/* SPDX-License-Identifier: Apache-2.0
 *
 * The files that sentence-transformers puts beside the weights: which modules follow the encoder
 * (modules.json), how the tokens become one vector (1_Pooling/config.json, of versions up to 5 by
 * one key a mode, since then by pooling_mode), and where sentences are cut. What is not computed
 * here is refused by its name. */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "bt/base/alloc.h"
#include "bt/fs.h"
#include "bt/wire/safetensors.h"
#include "ckpt_internal.h"

enum { SENTENCE_MAX_BYTES = 1 << 20 };

static const struct {
    const char *key;  /* up to version 5 */
    const char *word; /* pooling_mode of later ones */
    bool        is_known;
} modes[] = {
    {"pooling_mode_cls_token", "cls", true},
    {"pooling_mode_mean_tokens", "mean", true},
    {"pooling_mode_max_tokens", "max", true},
    {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", false},
    {"pooling_mode_weightedmean_tokens", "weightedmean", false},
    {"pooling_mode_lasttoken", "lasttoken", false},
};

#define CHOICE "supported are cls, mean and max, one at a time"

/* *root NULL: there is no such file. One that cannot be asked for may be there. */
static bt_status read_beside(const char *folder, const char *name, json_t **root, char **path,
                             bt_error *err) {
    bool is_there = false;
    bt_free(*path);
    *path = NULL;
    *root = NULL;
    BT_TRY(bt_fs_join(folder, name, path, err));
    BT_TRY(bt_fs_look(*path, &is_there, err));
    return is_there ? bt_fs_read_json(*path, SENTENCE_MAX_BYTES, 0, root, err) : BT_OK;
}

static bt_status take_mode(const char *path, const char *word, bt_ckpt_sentence *out,
                           bt_error *err) {
    bool is_known = false;
    for (size_t i = 0; i < BT_ARRAY_LEN(modes); i++) {
        is_known = is_known || (modes[i].is_known && strcmp(modes[i].word, word) == 0);
    }
    if (!is_known) {
        return BT_FAIL(err, BT_E_UNSUPPORTED, "%s: the pooling '%.64s' is not supported: " CHOICE,
                       path, word);
    }
    if (out->pooling[0] != '\0') {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "%s: several poolings at once ('%s' and '%s') are not supported: " CHOICE,
                       path, out->pooling, word);
    }
    (void)snprintf(out->pooling, sizeof out->pooling, "%s", word);
    return BT_OK;
}

static bt_status read_modes(const json_t *root, const char *path, bt_ckpt_sentence *out,
                            bt_error *err) {
    const json_t *const mode = json_object_get(root, "pooling_mode");
    for (size_t i = 0; json_is_array(mode) && i < json_array_size(mode); i++) {
        const char *const word = json_string_value(json_array_get(mode, i));
        BT_TRY(take_mode(path, word != NULL ? word : "", out, err));
    }
    if (json_is_string(mode)) {
        BT_TRY(take_mode(path, json_string_value(mode), out, err));
    }
    for (size_t i = 0; mode == NULL && i < BT_ARRAY_LEN(modes); i++) {
        if (json_is_true(json_object_get(root, modes[i].key))) {
            BT_TRY(take_mode(path, modes[i].word, out, err));
        }
    }
    if (out->pooling[0] == '\0') {
        return BT_FAIL(err, BT_E_FORMAT, "%s names no pooling: " CHOICE, path);
    }
    return BT_OK;
}

static bt_status read_pooling(const char *folder, bt_ckpt_sentence *out, bt_error *err) {
    json_t   *root = NULL;
    char     *path = NULL;
    bt_status rc = read_beside(folder, "config.json", &root, &path, err);
    if (rc == BT_OK && root != NULL) {
        (void)snprintf(out->path, sizeof out->path, "%s", path);
        rc = read_modes(root, path, out, err);
    }
    json_decref(root);
    bt_free(path);
    return rc;
}

/* "sentence_transformers.models.Pooling", and in later versions longer: the last word is the class.
 */
static const char *class_of(const json_t *module) {
    const char *const type = json_string_value(json_object_get(module, "type"));
    const char *const dot = type != NULL ? strrchr(type, '.') : NULL;
    return dot != NULL ? dot + 1 : type != NULL ? type : "";
}

/* Are the values of a tensor there those of the encoder's own pooler? */
static bt_status compare_with_pooler(bt_ckpt *ckpt, const bt_safetensors *dense, const char *name,
                                     const char *variable, bool *same, bt_error *err) {
    const bt_st_entry *const entry = bt_safetensors_find(dense, name);
    const int64_t            tensor = bt_ckpt_find_variable(ckpt, variable, NULL);
    bt_status                rc = BT_OK;
    *same = entry != NULL && tensor >= 0;
    if (!*same) {
        return BT_OK;
    }
    const bt_ckpt_tensor ours = bt_ckpt_tensor_at(ckpt, (size_t)tensor);
    const size_t         n = (size_t)entry->n_bytes;
    *same = entry->dtype == ours.dtype && entry->n_elements == ours.n_elements;
    char *const a = *same ? bt_alloc(n) : NULL;
    char *const b = *same ? bt_alloc(n) : NULL;
    if (*same && (a == NULL || b == NULL)) {
        rc = BT_FAIL(err, BT_E_NOMEM, "%s: out of memory for %s", ckpt->path, name);
        goto done;
    }
    if (*same) {
        BT_CHECK(bt_safetensors_read(dense, entry, a, n, err));
        BT_CHECK(bt_ckpt_read_tensor(ckpt, (size_t)tensor, b, n, err));
        *same = memcmp(a, b, n) == 0;
    }
done:
    bt_free(a);
    bt_free(b);
    return rc;
}

/* A dense layer with tanh after the first token is the encoder's pooler once more, where the values
 * are the same: Model Garden's pooling. *same is false where it is anything else. */
static bt_status read_dense(bt_ckpt *ckpt, const char *folder, bool *same, bt_error *err) {
    static const char tanh_name[] = "torch.nn.modules.activation.Tanh";
    bt_status         rc = BT_OK;
    json_t           *root = NULL;
    char             *path = NULL;
    bt_safetensors   *dense = NULL;
    *same = false;
    BT_CHECK(read_beside(folder, "config.json", &root, &path, err));
    const char *const activation = json_string_value(json_object_get(root, "activation_function"));
    if (activation == NULL || strcmp(activation, tanh_name) != 0) {
        goto done;
    }
    bt_free(path);
    path = NULL;
    BT_CHECK(bt_fs_join(folder, "model.safetensors", &path, err));
    if (!bt_fs_exists(path)) {
        goto done;
    }
    BT_CHECK(bt_safetensors_open(path, &dense, err));
    BT_CHECK(
        compare_with_pooler(ckpt, dense, "linear.weight", "pooler_transform/kernel", same, err));
    if (*same) {
        BT_CHECK(
            compare_with_pooler(ckpt, dense, "linear.bias", "pooler_transform/bias", same, err));
    }
done:
    bt_safetensors_close(dense);
    json_decref(root);
    bt_free(path);
    return rc;
}

/* The folder of a module; the caller bt_free()s it. */
static bt_status join_module(const json_t *module, const char *folder, const char *usual,
                             char **out, bt_error *err) {
    const char *const where = json_string_value(json_object_get(module, "path"));
    return bt_fs_join(folder, where != NULL ? where : usual, out, err);
}

static bt_status take_dense(bt_ckpt *ckpt, const json_t *module, const char *folder,
                            bt_ckpt_sentence *out, bool *taken, bt_error *err) {
    char *sub = NULL;
    *taken = false;
    if (strcmp(out->pooling, "cls") != 0) {
        return BT_OK;
    }
    BT_TRY(join_module(module, folder, "2_Dense", &sub, err));
    const bt_status rc = read_dense(ckpt, sub, taken, err);
    bt_free(sub);
    if (rc == BT_OK && *taken) {
        (void)snprintf(out->pooling, sizeof out->pooling, "pooler");
    }
    return rc;
}

static bt_status take_module(bt_ckpt *ckpt, const json_t *module, size_t i, const char *folder,
                             const char *path, bt_ckpt_sentence *out, bt_error *err) {
    const char *const name = class_of(module);
    bool              taken = i == 0 && strcmp(name, "Transformer") == 0;
    if (i == 1 && strcmp(name, "Pooling") == 0) {
        char *sub = NULL;
        BT_TRY(join_module(module, folder, "1_Pooling", &sub, err));
        const bt_status rc = read_pooling(sub, out, err);
        bt_free(sub);
        return rc;
    }
    if (i == 2 && strcmp(name, "Dense") == 0) {
        BT_TRY(take_dense(ckpt, module, folder, out, &taken, err));
    }
    const bool is_last = i == 2 || (i == 3 && strcmp(out->pooling, "pooler") == 0);
    if (is_last && strcmp(name, "Normalize") == 0) {
        out->normalize = 1;
        taken = true;
    }
    if (taken) {
        return BT_OK;
    }
    return BT_FAIL(err, BT_E_UNSUPPORTED,
                   "%s: module %zu is '%.64s', which is not supported here: a "
                   "Transformer, a Pooling and perhaps a Normalize are (and a Dense with tanh that "
                   "is the encoder's own pooler)",
                   path, i, name);
}

static bt_status take_modules(bt_ckpt *ckpt, const json_t *list, const char *folder,
                              const char *path, bt_ckpt_sentence *out, bt_error *err) {
    if (!json_is_array(list)) {
        return BT_FAIL(err, BT_E_FORMAT, "%s: expected a list of modules", path);
    }
    out->normalize = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        BT_TRY(take_module(ckpt, json_array_get(list, i), i, folder, path, out, err));
    }
    if (out->pooling[0] == '\0') {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: no module of it says how tokens become a vector (a Pooling with its "
                       "config.json is expected)",
                       path);
    }
    return BT_OK;
}

static bt_status read_length(const char *folder, bt_ckpt_sentence *out, bt_error *err) {
    static const struct {
        const char *file;
        const char *key;
    } rows[] = {{"sentence_bert_config.json", "max_seq_length"},
                {"tokenizer_config.json", "model_max_length"}};
    char     *path = NULL;
    bt_status rc = BT_OK;
    for (size_t i = 0; rc == BT_OK && out->max_seq_length == 0 && i < BT_ARRAY_LEN(rows); i++) {
        json_t *root = NULL;
        rc = read_beside(folder, rows[i].file, &root, &path, err);
        const json_int_t value = json_integer_value(json_object_get(root, rows[i].key));
        /* without a limit a tokenizer writes 1e30 */
        out->max_seq_length = value >= 1 && value <= INT32_MAX ? value : 0;
        out->lowers_case =
            out->lowers_case || (i == 0 && json_is_true(json_object_get(root, "do_lower_case")));
        json_decref(root);
    }
    bt_free(path);
    return rc;
}

/* A text that sentence-transformers puts before every sentence. */
static bt_status check_prompt(const char *folder, bt_error *err) {
    json_t   *root = NULL;
    char     *path = NULL;
    bt_status rc = read_beside(folder, "config_sentence_transformers.json", &root, &path, err);
    const char *const name = json_string_value(json_object_get(root, "default_prompt_name"));
    const char *const text =
        name != NULL ? json_string_value(json_object_get(json_object_get(root, "prompts"), name))
                     : NULL;
    if (rc == BT_OK && text != NULL && text[0] != '\0') {
        rc = BT_FAIL(err, BT_E_UNSUPPORTED,
                     "%s: default_prompt_name '%.64s' puts '%.64s' before every sentence, which is "
                     "not supported: take default_prompt_name out, and write the text before the "
                     "sentences where it is meant",
                     path, name, text);
    }
    json_decref(root);
    bt_free(path);
    return rc;
}

/* The folder of the modules: that of the weights, or the one above "0_Transformer". */
static bt_status find_modules(const char *weights, char **folder, bt_error *err) {
    if (bt_str_starts_with(bt_fs_basename(weights), "0_")) {
        return bt_fs_parent(weights, folder, err);
    }
    *folder = bt_strdup(weights);
    return *folder != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
}

bt_status bt_ckpt_read_sentence(bt_ckpt *ckpt, bt_ckpt_sentence *out, bt_error *err) {
    bt_status rc = BT_OK;
    json_t   *modules = NULL;
    char     *weights = NULL;
    char     *folder = NULL;
    char     *path = NULL;
    *out = (bt_ckpt_sentence){.normalize = -1};
    if (ckpt->layout != BT_CKPT_SAFETENSORS) {
        return BT_OK;
    }
    BT_CHECK(bt_fs_parent(ckpt->path, &weights, err));
    BT_CHECK(find_modules(weights, &folder, err));
    BT_CHECK(read_beside(folder, "modules.json", &modules, &path, err));
    if (modules != NULL) {
        BT_CHECK(take_modules(ckpt, modules, folder, path, out, err));
    } else {
        bt_free(path);
        path = NULL;
        BT_CHECK(bt_fs_join(folder, "1_Pooling", &path, err));
        BT_CHECK(read_pooling(path, out, err));
    }
    if (out->pooling[0] != '\0') {
        BT_CHECK(read_length(weights, out, err));
        BT_CHECK(check_prompt(folder, err));
    }
done:
    json_decref(modules);
    bt_free(path);
    bt_free(folder);
    bt_free(weights);
    return rc;
}
