/* SPDX-License-Identifier: Apache-2.0
 *
 * A dual encoder as sentence-transformers loads it: the encoder, and modules that make a vector of
 * its tokens. The pooling that is Model Garden's own, the encoder's pooler, is a module there too:
 * the first token and a dense layer with tanh. */
#include <inttypes.h>
#include <stdio.h>

#include "export_internal.h"

static const struct {
    const char *word;
    const char *key;
} modes[] = {
    [BT_POOLING_POOLER] = {"cls", "pooling_mode_cls_token"}, /* and the dense layer */
    [BT_POOLING_CLS] = {"cls", "pooling_mode_cls_token"},
    [BT_POOLING_MEAN] = {"mean", "pooling_mode_mean_tokens"},
    [BT_POOLING_MAX] = {"max", "pooling_mode_max_tokens"},
};

static bt_status check(const bt_export_source *source, bt_error *err) {
    if (source->kind != BT_EXPORT_VECTORS) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "--export_format=sentence_transformers is for models that turn texts into "
                       "vectors (bert/dual_encoder), not for %s: take --export_format=hf",
                       source->experiment);
    }
    if (source->text.vocab == NULL) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--export_format=sentence_transformers: nothing says which vocabulary the "
                       "model was trained with: name it in task.train_data.vocab_file");
    }
    return export_check_hf(source, err);
}

static bt_status put_text(const char *name, bt_export_folder *folder, bt_error *err,
                          const char *text) {
    bt_str    out = BT_STR_INIT;
    bt_status rc = bt_str_append(&out, text, err);
    if (rc == BT_OK) {
        rc = export_folder_put(folder, name, &out, err);
    }
    bt_str_deinit(&out);
    return rc;
}

static bt_status put_pooling(const bt_export_source *source, bt_export_folder *folder,
                             bt_error *err) {
    const char *const key = modes[source->model->head.pooling].key;
    bt_status         rc = BT_OK;
    bt_str            out = BT_STR_INIT;
    BT_CHECK(bt_str_appendf(&out, err, "{\n  \"word_embedding_dimension\": %" PRId64,
                            source->model->encoder.hidden_size));
    for (size_t i = BT_POOLING_CLS; i < BT_ARRAY_LEN(modes); i++) {
        BT_CHECK(bt_str_appendf(&out, err, ",\n  \"%s\": %s", modes[i].key,
                                bt_str_equal(modes[i].key, key) ? "true" : "false"));
    }
    BT_CHECK(bt_str_append(&out, "\n}\n", err));
    BT_CHECK(export_folder_put(folder, "1_Pooling/config.json", &out, err));
done:
    bt_str_deinit(&out);
    return rc;
}

/* A module of modules.json; the folder of a later one begins with its number. */
static bt_status put_module(bt_str *out, int number, const char *name, bt_error *err) {
    BT_TRY(bt_str_appendf(out, err, "%s\n  {\"idx\": %d, \"name\": \"%d\", \"path\": \"",
                          number > 0 ? "," : "", number, number));
    if (number > 0) {
        BT_TRY(bt_str_appendf(out, err, "%d_%s", number, name));
    }
    return bt_str_appendf(out, err, "\", \"type\": \"sentence_transformers.models.%s\"}", name);
}

static bool has_dense(const bt_export_source *source) {
    return source->model->head.pooling == BT_POOLING_POOLER;
}

static bt_status put_modules(const bt_export_source *source, bt_export_folder *folder,
                             bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    out = BT_STR_INIT;
    int       n = 0;
    BT_CHECK(bt_str_append(&out, "[", err));
    BT_CHECK(put_module(&out, n++, "Transformer", err));
    BT_CHECK(put_module(&out, n++, "Pooling", err));
    if (has_dense(source)) {
        BT_CHECK(put_module(&out, n++, "Dense", err));
    }
    if (source->model->head.normalize) {
        BT_CHECK(put_module(&out, n++, "Normalize", err));
    }
    BT_CHECK(bt_str_append(&out, "\n]\n", err));
    BT_CHECK(export_folder_put(folder, "modules.json", &out, err));
done:
    bt_str_deinit(&out);
    return rc;
}

/* The encoder's pooler once more, where it is a module. */
static bt_status put_dense(const bt_export_source *source, bt_export_folder *folder,
                           bt_error *err) {
    const bt_model *const model = source->model;
    const int64_t indices[] = {model->pooler_transform.kernel, model->pooler_transform.bias};
    static const char *const names[] = {"linear.weight", "linear.bias"};
    char                     text[256];
    (void)snprintf(text, sizeof text,
                   "{\n  \"in_features\": %" PRId64 ",\n  \"out_features\": %" PRId64
                   ",\n  \"bias\": true,\n"
                   "  \"activation_function\": \"torch.nn.modules.activation.Tanh\"\n}\n",
                   model->encoder.hidden_size, model->encoder.hidden_size);
    BT_TRY(export_put_some(source, "2_Dense/model.safetensors", indices, names, BT_ARRAY_LEN(names),
                           folder, err));
    return put_text("2_Dense/config.json", folder, err, text);
}

static bt_status put_lengths(const bt_export_source *source, bt_export_folder *folder,
                             bt_error *err) {
    char text[256];
    (void)snprintf(text, sizeof text,
                   "{\n  \"max_seq_length\": %" PRId64 ",\n  \"do_lower_case\": false\n}\n",
                   source->text.max_length); /* the tokenizer lowers the case */
    BT_TRY(put_text("sentence_bert_config.json", folder, err, text));
    (void)snprintf(text, sizeof text,
                   "{\n  \"prompts\": {},\n  \"default_prompt_name\": null,\n"
                   "  \"similarity_fn_name\": \"%s\"\n}\n",
                   source->model->head.normalize ? "cosine" : "dot");
    return put_text("config_sentence_transformers.json", folder, err, text);
}

static bt_status write(const bt_export_source *source, bt_export_folder *folder, bt_error *err) {
    BT_TRY(export_put_weights(source, folder, err));
    BT_TRY(export_put_tokenizer(source, folder, err));
    if (has_dense(source)) {
        BT_TRY(put_dense(source, folder, err));
    }
    BT_TRY(put_pooling(source, folder, err));
    BT_TRY(put_lengths(source, folder, err));
    BT_TRY(export_put_card(source, "sentence-transformers",
                           "from sentence_transformers import SentenceTransformer\n\n"
                           "model = SentenceTransformer(\"FOLDER\")\n"
                           "vectors = model.encode([\"a text\", \"another text\"])",
                           folder, err));
    BT_TRY(export_put_config(source, folder, err));
    return put_modules(source, folder, err);
}

const bt_export_format export_sentence_transformers = {
    .name = "sentence_transformers",
    .summary = "a folder for sentence-transformers: hf's files and the modules that make vectors",
    .check = check,
    .write = write,
};
