/* SPDX-License-Identifier: Apache-2.0
 *
 * The formats, and an export from check to commit. */
#include <stdio.h>

#include "export_internal.h"

static bt_status write_hf(const bt_export_source *source, bt_export_folder *folder, bt_error *err) {
    BT_TRY(export_put_weights(source, folder, err));
    BT_TRY(export_put_tokenizer(source, folder, err));
    BT_TRY(export_put_card(source, "transformers", NULL, folder, err));
    return export_put_config(source, folder, err);
}

static bt_status write_safetensors(const bt_export_source *source, bt_export_folder *folder,
                                   bt_error *err) {
    BT_TRY(export_put_weights(source, folder, err));
    return export_put_config(source, folder, err);
}

static const bt_export_format hf = {
    .name = "hf",
    .summary = "a folder for transformers: model.safetensors, config.json, tokenizer, model card",
    .check = export_check_hf,
    .write = write_hf,
};

static const bt_export_format safetensors = {
    .name = "safetensors",
    .summary = "model.safetensors and config.json alone, as in hf",
    .check = export_check_hf,
    .write = write_safetensors,
};

static const bt_export_format *const formats[] = {
    &hf,          &safetensors,        &export_sentence_transformers,
    &export_onnx, &export_saved_model, &export_peft};

static const char *const precisions[] = {
    [BT_EXPORT_FLOAT32] = "float32", [BT_EXPORT_FLOAT16] = "float16", [BT_EXPORT_INT8] = "int8"};

const char *bt_export_precision_name(bt_export_precision precision) {
    return precisions[precision];
}

bt_status bt_export_find_precision(const char *name, bt_export_precision *out, bt_error *err) {
    char list[BT_LIST_MAX];
    *out = BT_EXPORT_FLOAT32;
    if (name == NULL || name[0] == '\0') {
        return BT_OK;
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(precisions); i++) {
        if (bt_str_equal(name, precisions[i])) {
            *out = (bt_export_precision)i;
            return BT_OK;
        }
    }
    bt_list_all(list, sizeof list, precisions, BT_ARRAY_LEN(precisions));
    return BT_FAIL(err, BT_E_CONFIG, "--export_precision=%s: expected one of %s", name, list);
}

bt_status bt_export_check_precision(const bt_export_format *format, bt_export_precision precision,
                                    bt_error *err) {
    return precision == BT_EXPORT_FLOAT32 || format->has_precisions
               ? BT_OK
               : BT_FAIL(err, BT_E_CONFIG,
                         "--export_precision=%s: --export_format=%s keeps float32; onnx has other "
                         "precisions",
                         precisions[precision], format->name);
}

size_t bt_export_n_formats(void) {
    return BT_ARRAY_LEN(formats);
}

const bt_export_format *bt_export_format_at(size_t i) {
    return formats[i];
}

bt_status bt_export_find(const char *name, const bt_export_format **out, bt_error *err) {
    const char *names[BT_ARRAY_LEN(formats)];
    char        list[BT_LIST_MAX];
    for (size_t i = 0; i < BT_ARRAY_LEN(formats); i++) {
        names[i] = formats[i]->name;
        if (bt_str_equal(name, names[i])) {
            *out = formats[i];
            return BT_OK;
        }
    }
    bt_list_all(list, sizeof list, names, BT_ARRAY_LEN(names));
    return BT_FAIL(err, BT_E_CONFIG, "--export_format=%s: expected one of %s", name, list);
}

bt_status bt_export_write(const bt_export_format *format, const bt_export_source *source,
                          const char *path, bt_error *err) {
    bt_status        rc = BT_OK;
    bt_export_folder folder;
    BT_TRY(bt_export_check_precision(format, source->precision, err));
    BT_TRY(format->check(source, err));
    BT_CHECK(export_folder_open(&folder, path, err));
    BT_CHECK(format->write(source, &folder, err));
    BT_CHECK(export_folder_commit(&folder, err));
done:
    export_folder_deinit(&folder);
    return rc;
}
