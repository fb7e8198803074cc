/* SPDX-License-Identifier: Apache-2.0
 *
 * One view of the physical tensors of a checkpoint, be it a bundle or a safetensors file; and the
 * commands of bert-checkpoint. */
#ifndef BT_TENSOR_SOURCE_H
#define BT_TENSOR_SOURCE_H

#include "bt/base/bytes.h"
#include "bt/base/str.h"
#include "bt/ckpt.h"
#include "bt/tensor.h"
#include "bt/wire/bundle.h"
#include "bt/wire/safetensors.h"

typedef struct tensor_source {
    bt_ckpt        *ckpt;
    bt_bundle      *bundle; /* or */
    bt_safetensors *st;
} tensor_source;

typedef struct source_tensor {
    const char    *name;
    bt_dtype       dtype;
    int32_t        rank;
    const int64_t *dim;
    int64_t        n_elements;
    size_t         n_bytes; /* of all elements; 0 for strings */
} source_tensor;

BT_MUST_USE bt_status source_open(tensor_source *source, const char *path, bt_error *err);
void                  source_close(tensor_source *source);
size_t                source_n_tensors(const tensor_source *source);
source_tensor         source_tensor_at(const tensor_source *source, size_t i);
/* A tensor's own name, or a variable's canonical name; -1: neither. */
int64_t source_find(const tensor_source *source, const char *name);
/* Numbers: n_bytes bytes in one block that the caller bt_free()s. */
BT_MUST_USE bt_status source_read(tensor_source *source, size_t i, void **data, bt_error *err);
BT_MUST_USE bt_status source_read_strings(tensor_source *source, size_t i, bt_bytes **values,
                                          bt_error *err);
/* "name<TAB>dtype<TAB>[2,3]" */
BT_MUST_USE bt_status source_describe(const source_tensor *tensor, bt_str *out, bt_error *err);

/* Commands. Results are appended to out; the caller writes it to stdout. */
BT_MUST_USE bt_status command_show(tensor_source *source, const char *name, bt_str *out,
                                   bt_error *err);
/* n_left_out: string tensors, which a safetensors file cannot hold. */
BT_MUST_USE bt_status command_convert(tensor_source *source, const char *dst, size_t *n_written,
                                      size_t *n_left_out, bt_error *err);
BT_MUST_USE bt_status command_diff(tensor_source *a, tensor_source *b, bt_str *out, bool *differ,
                                   bt_error *err);

#endif
