/* SPDX-License-Identifier: Apache-2.0
 *
 * See tensor_source.h. The ckpt room finds the files and the canonical names; the wire room gives
 * the tensors as they lie there, strings included. */
#include "tensor_source.h"
#include "bt/base/alloc.h"

#include <inttypes.h>
#include <string.h>

bt_status source_open(tensor_source *source, const char *path, bt_error *err) {
    *source = (tensor_source){0};
    bt_status rc = bt_ckpt_open(path, &source->ckpt, err);
    if (rc == BT_OK && bt_str_ends_with(bt_ckpt_path(source->ckpt), ".index.json")) {
        rc = BT_FAIL(err, BT_E_UNSUPPORTED,
                     "%s: an index of several files: bert-checkpoint takes one at a time, name one "
                     "of the files",
                     bt_ckpt_path(source->ckpt));
    } else if (rc == BT_OK) {
        const char *const file = bt_ckpt_path(source->ckpt);
        rc = bt_ckpt_get_layout(source->ckpt) == BT_CKPT_SAFETENSORS
                 ? bt_safetensors_open(file, &source->st, err)
                 : bt_bundle_open(file, &source->bundle, err);
    }
    if (rc != BT_OK) {
        source_close(source);
    }
    return rc;
}

void source_close(tensor_source *source) {
    bt_ckpt_close(source->ckpt);
    bt_bundle_close(source->bundle);
    bt_safetensors_close(source->st);
    *source = (tensor_source){0};
}

size_t source_n_tensors(const tensor_source *source) {
    return source->st != NULL ? bt_safetensors_n_entries(source->st)
                              : bt_bundle_n_entries(source->bundle);
}

source_tensor source_tensor_at(const tensor_source *source, size_t i) {
    if (source->st != NULL) {
        const bt_st_entry *const e = bt_safetensors_entry_at(source->st, i);
        return (source_tensor){e->name, e->dtype,      e->rank,
                               e->dim,  e->n_elements, (size_t)e->n_bytes};
    }
    const bt_bundle_entry *const e = bt_bundle_entry_at(source->bundle, i);
    /* the index was checked: no overflow */
    return (source_tensor){e->name, e->dtype,      e->rank,
                           e->dim,  e->n_elements, (size_t)e->n_elements * bt_dtype_size(e->dtype)};
}

int64_t source_find(const tensor_source *source, const char *name) {
    const int64_t i = bt_ckpt_find_tensor(source->ckpt, name);
    return i >= 0 ? i : bt_ckpt_find_variable(source->ckpt, name, NULL);
}

bt_status source_read(tensor_source *source, size_t i, void **data, bt_error *err) {
    const source_tensor tensor = source_tensor_at(source, i);
    if (bt_dtype_size(tensor.dtype) == 0) {
        return BT_FAIL(err, BT_E_UNSUPPORTED, "%s: tensor '%s' is of a type that cannot be read",
                       bt_ckpt_path(source->ckpt), tensor.name);
    }
    void *const block = bt_alloc(tensor.n_bytes);
    if (block == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for tensor '%s' (%zu bytes)", tensor.name,
                       tensor.n_bytes);
    }
    const bt_status rc =
        source->st != NULL ? bt_safetensors_read(source->st, bt_safetensors_entry_at(source->st, i),
                                                 block, tensor.n_bytes, err)
                           : bt_bundle_read(source->bundle, bt_bundle_entry_at(source->bundle, i),
                                            block, tensor.n_bytes, err);
    if (rc != BT_OK) {
        bt_free(block);
        return rc;
    }
    *data = block;
    return BT_OK;
}

bt_status source_read_strings(tensor_source *source, size_t i, bt_bytes **values, bt_error *err) {
    BT_ASSERT(source->bundle != NULL); /* safetensors has no strings */
    return bt_bundle_read_strings(source->bundle, bt_bundle_entry_at(source->bundle, i), values,
                                  err);
}

bt_status source_describe(const source_tensor *tensor, bt_str *out, bt_error *err) {
    BT_TRY(bt_str_appendf(out, err, "%s\t%s\t[", tensor->name, bt_dtype_name(tensor->dtype)));
    for (int32_t i = 0; i < tensor->rank; i++) {
        BT_TRY(bt_str_appendf(out, err, "%s%" PRId64, i == 0 ? "" : ",", tensor->dim[i]));
    }
    return bt_str_append(out, "]\n", err);
}
