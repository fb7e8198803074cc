/* SPDX-License-Identifier: Apache-2.0
 *
 * The format saved_model: what TensorFlow Serving loads, as version 1 below the folder that it is
 * given (--model_base_path), and beside it what the hf export writes for people and tokenizers. */
#include "bt/base/alloc.h"
#include "export_internal.h"
#include "serving_internal.h"

static const char load[] =
    "import tensorflow as tf\n"
    "from tokenizers import Tokenizer\n\n"
    "tokenizer = Tokenizer.from_file(\"FOLDER/tokenizer.json\")\n"
    "tokenizer.enable_padding()\n"
    "serve = tf.saved_model.load(\"FOLDER/1\").signatures[\"serving_default\"]\n"
    "tokens = tokenizer.encode_batch([\"a text\", \"another, longer text\"])\n"
    "outputs = serve(input_ids=tf.constant([t.ids for t in tokens], tf.int64),\n"
    "                attention_mask=tf.constant([t.attention_mask for t in tokens], tf.int64),\n"
    "                token_type_ids=tf.constant([t.type_ids for t in tokens], tf.int64))";

static bt_status check(const bt_export_source *source, bt_error *err) {
    const onnx_source from = export_onnx_source(source);
    return serving_check(&from, err);
}

static bt_status write(const bt_export_source *source, bt_export_folder *folder, bt_error *err) {
    const onnx_source from = export_onnx_source(source);
    char             *path = NULL;
    bt_fs_writer     *file = NULL;
    BT_TRY(export_folder_place(folder, "1/saved_model.pb", &path, err));
    const bt_status rc = serving_write(&from, path, &file, err);
    bt_free(path);
    BT_TRY(rc);
    export_folder_take(folder, &file);
    BT_TRY(export_put_tokenizer(source, folder, err));
    BT_TRY(export_put_card(source, "tf", load, folder, err));
    return export_put_config_if_any(source, folder, err);
}

const bt_export_format export_saved_model = {
    .name = "saved_model",
    .summary = "a SavedModel for TensorFlow Serving, with tokenizer, config.json and model card",
    .check = check,
    .write = write,
};
