/* SPDX-License-Identifier: Apache-2.0
 *
 * safetensors: a JSON header and raw values. */
#ifndef BT_WIRE_SAFETENSORS_H
#define BT_WIRE_SAFETENSORS_H

#include "bt/base/bytes.h"
#include "bt/base/status.h"
#include "bt/tensor.h"

typedef struct bt_st_entry {
    const char *name;
    bt_dtype    dtype;
    int32_t     rank;
    int64_t     dim[BT_WIRE_MAX_RANK];
    int64_t     n_elements;
    int64_t     offset; /* in the file */
    int64_t     n_bytes;
} bt_st_entry;

typedef struct bt_safetensors bt_safetensors;
BT_MUST_USE bt_status bt_safetensors_open(const char *path, bt_safetensors **out, bt_error *err);
void                  bt_safetensors_close(bt_safetensors *st); /* accepts NULL */
size_t                bt_safetensors_n_entries(const bt_safetensors *st);
const bt_st_entry    *bt_safetensors_entry_at(const bt_safetensors *st, size_t i); /* name order */
const bt_st_entry    *bt_safetensors_find(const bt_safetensors *st, const char *name); /* or NULL */
/* A text of __metadata__, or NULL. */
const char           *bt_safetensors_metadata(const bt_safetensors *st, const char *key);
BT_MUST_USE bt_status bt_safetensors_read(const bt_safetensors *st, const bt_st_entry *entry,
                                          void *dst, size_t n_bytes, bt_error *err);

struct bt_fs_writer;

typedef struct bt_st_tensor {
    const char    *name;
    bt_dtype       dtype;
    int32_t        rank;
    const int64_t *dim;
} bt_st_tensor;
/* Streams a file: the declared tensors first, then bt_safetensors_put for each of them in that
 * order, then commit. metadata: n_metadata pairs key, value (may be NULL with 0). */
typedef struct bt_safetensors_writer bt_safetensors_writer;
BT_MUST_USE bt_status bt_safetensors_writer_create(const char *path, const bt_st_tensor *tensors,
                                                   size_t n_tensors, const char *const *metadata,
                                                   size_t n_metadata, bt_safetensors_writer **out,
                                                   bt_error *err);
BT_MUST_USE bt_status bt_safetensors_put(bt_safetensors_writer *writer, const void *data,
                                         size_t n_bytes, bt_error *err);
BT_MUST_USE bt_status bt_safetensors_writer_commit(bt_safetensors_writer **writer, bt_error *err);
/* Instead of commit, where several files appear together: the whole file, for the caller to commit
 * or to abort. */
BT_MUST_USE bt_status bt_safetensors_writer_finish(bt_safetensors_writer **writer,
                                                   struct bt_fs_writer **file, bt_error *err);
void                  bt_safetensors_writer_abort(bt_safetensors_writer *writer);

#endif
