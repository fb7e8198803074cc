/* SPDX-License-Identifier: Apache-2.0
 *
 * bert-checkpoint convert: every tensor of a checkpoint into a safetensors file or a bundle, with
 * its name, type, shape and bits. One tensor is in memory at a time; what is written appears whole
 * or not at all. */
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/fs.h"
#include "tensor_source.h"

static bool fits_safetensors(const source_tensor *tensor) {
    return tensor->dtype != BT_DTYPE_STRING;
}

static bt_status put_tensors(tensor_source *source, bt_safetensors_writer *writer, bt_error *err) {
    for (size_t i = 0; i < source_n_tensors(source); i++) {
        const source_tensor tensor = source_tensor_at(source, i);
        void               *data = NULL;
        if (!fits_safetensors(&tensor)) {
            continue;
        }
        BT_TRY(source_read(source, i, &data, err));
        const bt_status rc = bt_safetensors_put(writer, data, tensor.n_bytes, err);
        bt_free(data);
        BT_TRY(rc);
    }
    return BT_OK;
}

static bt_status to_safetensors(tensor_source *source, const char *dst, size_t *n_written,
                                size_t *n_left_out, bt_error *err) {
    static const char *const metadata[2] = {"format",
                                            "pt"}; /* what readers of such files ask for */
    const size_t             n_tensors = source_n_tensors(source);
    bt_safetensors_writer   *writer = NULL;
    bt_status                rc = BT_OK;
    size_t                   n = 0;
    bt_st_tensor *const      tensors = bt_calloc_array(n_tensors, sizeof tensors[0]);
    if (tensors == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot convert to %s", dst);
    }
    for (size_t i = 0; i < n_tensors; i++) {
        const source_tensor tensor = source_tensor_at(source, i);
        if (fits_safetensors(&tensor)) {
            tensors[n++] = (bt_st_tensor){tensor.name, tensor.dtype, tensor.rank, tensor.dim};
        }
    }
    BT_CHECK(bt_safetensors_writer_create(dst, tensors, n, metadata, 1, &writer, err));
    BT_CHECK(put_tensors(source, writer, err));
    BT_CHECK(bt_safetensors_writer_commit(&writer, err));
    *n_written = n;
    *n_left_out = n_tensors - n;
done:
    bt_safetensors_writer_abort(writer);
    bt_free(tensors);
    return rc;
}

static bt_status add_one(tensor_source *source, size_t i, bt_bundle_writer *writer, bt_error *err) {
    const source_tensor tensor = source_tensor_at(source, i);
    bt_status           rc = BT_OK;
    if (tensor.dtype == BT_DTYPE_STRING) {
        bt_bytes *values = NULL;
        BT_TRY(source_read_strings(source, i, &values, err));
        rc = bt_bundle_add_strings(writer, tensor.name, tensor.rank, tensor.dim, values, err);
        bt_free(values);
        return rc;
    }
    void *data = NULL;
    BT_TRY(source_read(source, i, &data, err));
    rc = bt_bundle_add(writer, tensor.name, tensor.dtype, tensor.rank, tensor.dim, data, err);
    bt_free(data);
    return rc;
}

static bt_status to_bundle(tensor_source *source, const char *dst, size_t *n_written,
                           bt_error *err) {
    bt_bundle_writer *writer = NULL;
    bt_status         rc = BT_OK;
    BT_CHECK(bt_bundle_writer_create(dst, &writer, err));
    for (size_t i = 0; i < source_n_tensors(source); i++) {
        BT_CHECK(add_one(source, i, writer, err));
    }
    BT_CHECK(bt_bundle_writer_commit(&writer, err));
    *n_written = source_n_tensors(source);
done:
    bt_bundle_writer_abort(writer);
    return rc;
}

/* Beside a configuration of transformers, that would take the file for the weights of its model,
 * know none of the names of other layouts, begin with random numbers and only warn. */
static bt_status check_reader(const tensor_source *source, const char *dst, bt_error *err) {
    bt_status rc = BT_OK;
    char     *folder = NULL;
    char     *config = NULL;
    bool      is_there = false;
    if (bt_ckpt_get_layout(source->ckpt) == BT_CKPT_SAFETENSORS) {
        return BT_OK;
    }
    BT_CHECK(bt_fs_parent(dst, &folder, err));
    BT_CHECK(bt_fs_join(folder, "config.json", &config, err));
    BT_CHECK(bt_fs_look(config, &is_there, err));
    if (is_there) {
        rc = BT_FAIL(err, BT_E_CONFIG,
                     "%s: transformers would take it for the weights of %s, but knows none of the "
                     "names in %s: it would begin with random numbers and only warn; bert-train "
                     "--mode=export --export_format=hf --model_dir=... writes a run's model by its "
                     "names, or convert into another folder",
                     dst, config, bt_ckpt_path(source->ckpt));
    }
done:
    bt_free(folder);
    bt_free(config);
    return rc;
}

bt_status command_convert(tensor_source *source, const char *dst, size_t *n_written,
                          size_t *n_left_out, bt_error *err) {
    *n_left_out = 0;
    if (bt_str_ends_with(dst, "/") || bt_str_ends_with(dst, ".index")) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s: a file that ends in .safetensors, or a checkpoint's prefix (without "
                       ".index) is expected",
                       dst);
    }
    if (bt_str_ends_with(dst, ".safetensors")) {
        BT_TRY(check_reader(source, dst, err));
    }
    return bt_str_ends_with(dst, ".safetensors")
               ? to_safetensors(source, dst, n_written, n_left_out, err)
               : to_bundle(source, dst, n_written, err);
}
