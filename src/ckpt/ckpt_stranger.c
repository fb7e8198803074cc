/* SPDX-License-Identifier: Apache-2.0
 *
 * What is not a checkpoint that is read here, by name: weights in the formats of other libraries,
 * and files that lie beside weights. */
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/fs.h"
#include "ckpt_internal.h"

typedef struct stranger_row {
    const char
        *name; /* of the file, whole or its extension; of a folder the first row that matches */
    bt_status (*refuse)(const char *path, bt_error *err);
} stranger_row;

static bt_status refuse_flax(const char *path, bt_error *err) {
    return BT_FAIL(err, BT_E_FORMAT,
                   "%s: these are weights of Flax (msgpack), which this program cannot read; this "
                   "command converts their folder (transformers below 5, flax, torch): python3 "
                   "-c \"from transformers import AutoModel as A; A.from_pretrained('FOLDER', "
                   "from_flax=True).save_pretrained('FOLDER')\"",
                   path);
}

static bt_status refuse_adapter(const char *path, bt_error *err) {
    return BT_FAIL(err, BT_E_FORMAT,
                   "%s: this is an adapter of PEFT (LoRA), which changes the weights of another "
                   "model and is not a model itself: merge both first (merge_and_unload(), then "
                   "save_pretrained())",
                   path);
}

static bt_status refuse_other(const char *path, bt_error *err) {
    return BT_FAIL(
        err, BT_E_FORMAT,
        "%s: a model in the format of another program (%s), which this program cannot read: take "
        "the model.safetensors or the TensorFlow checkpoint that it was made of",
        path, strrchr(path, '.'));
}

static const stranger_row strangers[] = {
    {"pytorch_model.bin", bt_fs_refuse_torch},
    {"pytorch_model.bin.index.json", bt_fs_refuse_torch},
    {"tf_model.h5", bt_fs_refuse_keras},
    {"flax_model.msgpack", refuse_flax},
    {"adapter_model.safetensors", refuse_adapter},
    {"adapter_config.json", refuse_adapter},
    {".bin", bt_fs_refuse_torch},
    {".pt", bt_fs_refuse_torch},
    {".pth", bt_fs_refuse_torch},
    {".th", bt_fs_refuse_torch},
    {".h5", bt_fs_refuse_keras},
    {".hdf5", bt_fs_refuse_keras},
    {".keras", bt_fs_refuse_keras},
    {".msgpack", refuse_flax},
    {".onnx", refuse_other},
    {".gguf", refuse_other},
    {".tflite", refuse_other},
    {".ot", refuse_other},
};

bt_status ckpt_refuse_file(const char *path, bt_error *err) {
    BT_TRY(bt_fs_refuse_stranger_file(path, err));
    for (size_t i = 0; i < BT_ARRAY_LEN(strangers); i++) {
        if (bt_str_ends_with(path, strangers[i].name)) {
            return strangers[i].refuse(path, err);
        }
    }
    if (bt_str_ends_with(path, ".json") || bt_str_ends_with(path, ".txt")) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s is beside weights, but holds none: name its folder, if a checkpoint is "
                       "there, or the checkpoint",
                       path);
    }
    return BT_FAIL(err, BT_E_FORMAT,
                   "%s is not a checkpoint: expected a folder of weights, X.safetensors, or X for "
                   "TensorFlow's X.index and X.data-00000-of-00001",
                   path);
}

/* The first name of the folder that a row of the table knows. */
static const char *find_stranger(const bt_fs_names *names, const stranger_row **row) {
    for (size_t i = 0; i < BT_ARRAY_LEN(strangers); i++) {
        for (size_t k = 0; k < names->n; k++) {
            if (bt_str_ends_with(names->items[k], strangers[i].name)) {
                *row = &strangers[i];
                return names->items[k];
            }
        }
    }
    return NULL;
}

bt_status ckpt_refuse_folder(const char *folder, bt_error *err) {
    bt_fs_names         names = BT_FS_NAMES_INIT;
    bt_error            unread = BT_ERROR_INIT; /* the caller reports what cannot be listed */
    const stranger_row *row = NULL;
    char               *path = NULL;
    bt_status           rc = BT_OK;
    if (bt_fs_list(folder, &names, &unread) != BT_OK) {
        return BT_OK;
    }
    const char *const name = find_stranger(&names, &row);
    if (name != NULL) {
        BT_CHECK(bt_fs_join(folder, bt_fs_basename(name), &path, err));
        rc = row->refuse(path, err);
    }
done:
    bt_free(path);
    bt_fs_names_deinit(&names);
    return rc;
}
