/* SPDX-License-Identifier: Apache-2.0
 *
 * export, private: what the formats share. */
#ifndef BT_EXPORT_INTERNAL_H
#define BT_EXPORT_INTERNAL_H

#include "bt/base/str.h"
#include "bt/ckpt.h"
#include "bt/export.h"

/* export_folder.c: the files of one export, which appear together. */
enum { EXPORT_MAX_FILES = 32 };
struct bt_export_folder {
    const char   *path;
    bt_fs_writer *files[EXPORT_MAX_FILES];
    size_t        n;
    bt_fs_names   made; /* folders that this export made */
};
/* Nothing may be there. Deinit also after a failure. */
BT_MUST_USE bt_status export_folder_open(bt_export_folder *folder, const char *path, bt_error *err);
/* name: "config.json", "1_Pooling/config.json". Where it goes, its folder made; the caller
 * bt_free()s *path. */
BT_MUST_USE bt_status export_folder_place(bt_export_folder *folder, const char *name, char **path,
                                          bt_error *err);
/* Whole; *file is NULL afterwards. */
void                  export_folder_take(bt_export_folder *folder, bt_fs_writer **file);
BT_MUST_USE bt_status export_folder_put(bt_export_folder *folder, const char *name,
                                        const bt_str *text, bt_error *err);
BT_MUST_USE bt_status export_folder_commit(bt_export_folder *folder, bt_error *err);
void                  export_folder_deinit(bt_export_folder *folder);

/* The tensors as transformers names them (export_tensors.c). */
typedef struct export_tensor {
    char            name[BT_CKPT_HF_NAME_MAX];
    const bt_param *param; /* NULL: the identity [dim[0],dim[1]], or zeros [dim[0]] */
    int32_t         rank;
    int64_t         dim[2]; /* there */
    int64_t         n_elements;
    bool            transpose;
} export_tensor;
typedef struct export_tensors {
    export_tensor *items; /* owned */
    size_t         n;
    size_t         cap;
} export_tensors;
BT_MUST_USE bt_status export_tensors_make(const bt_export_source *source, export_tensors *out,
                                          bt_error *err);
/* One variable more, by its index in the model's table. */
BT_MUST_USE bt_status export_tensors_add(const bt_export_source *source, int64_t index,
                                         export_tensors *tensors, bt_error *err);
void                  export_tensors_deinit(export_tensors *tensors);
/* Its values, row-major in its own shape, into dst [n_elements]. */
void export_tensor_fill(const export_tensor *tensor, const float *params, float *dst);

/* What kind of model of transformers it is. */
bt_ckpt_encoder export_encoder(const bt_export_source *source);
/* BT_E_UNSUPPORTED where transformers has no such model. */
BT_MUST_USE bt_status export_check_hf(const bt_export_source *source, bt_error *err);

BT_MUST_USE bt_status export_put_weights(const bt_export_source *source, bt_export_folder *folder,
                                         bt_error *err);
/* A file of these variables alone, under other names. */
BT_MUST_USE bt_status export_put_some(const bt_export_source *source, const char *name,
                                      const int64_t *indices, const char *const *names, size_t n,
                                      bt_export_folder *folder, bt_error *err);
BT_MUST_USE bt_status export_put_config(const bt_export_source *source, bt_export_folder *folder,
                                        bt_error *err);
/* tokenizer.json and those beside it; nothing where no vocabulary is known, which is told. */
BT_MUST_USE bt_status export_put_tokenizer(const bt_export_source *source, bt_export_folder *folder,
                                           bt_error *err);
/* README.md; load: the lines of Python that load what is there. */
BT_MUST_USE bt_status export_put_card(const bt_export_source *source, const char *library,
                                      const char *load, bt_export_folder *folder, bt_error *err);

/* What the Hub calls such a task: "text-classification". */
const char *export_pipeline(const bt_export_source *source);
/* config.json where transformers has such a model; where not, that it is left out is told. */
BT_MUST_USE bt_status export_put_config_if_any(const bt_export_source *source,
                                               bt_export_folder *folder, bt_error *err);

extern const bt_export_format export_sentence_transformers;
extern const bt_export_format export_onnx;
extern const bt_export_format export_peft;
extern const bt_export_format export_saved_model;

#endif
