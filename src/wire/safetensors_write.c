/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing safetensors: the header first, then the tensors as they come, in the declared order;
 * the file appears whole at commit. */
#include <inttypes.h>
#include <string.h>

#include <jansson.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "bt/base/size.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "bt/wire/safetensors.h"
#include "safetensors_dtype.h"

enum { DATA_ALIGN = 8 };

struct bt_safetensors_writer {
    bt_fs_writer *file;
    size_t       *sizes; /* bytes that each tensor must have */
    size_t        n_tensors;
    size_t        next;
};

static bt_status put_json_text(bt_str *out, const char *text, bt_error *err) {
    bt_json_watch();
    json_t *const value = json_string(text);
    if (value == NULL && !bt_json_was_refused()) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "the name '%s' is not UTF-8 and cannot be in a safetensors file", text);
    }
    const bt_status rc = bt_json_append(out, value, JSON_ENCODE_ANY, err);
    json_decref(value);
    return rc;
}

static bt_status put_tensor(bt_safetensors_writer *writer, bt_str *out, const bt_st_tensor *tensor,
                            int64_t *offset, bt_error *err) {
    const char *const type = safetensors_dtype_name(tensor->dtype);
    int64_t           n_bytes = (int64_t)bt_dtype_size(tensor->dtype);
    if (type == NULL) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "tensor '%s' is of type %s, which a safetensors file cannot hold",
                       tensor->name, bt_dtype_name(tensor->dtype));
    }
    BT_TRY(put_json_text(out, tensor->name, err));
    BT_TRY(bt_str_appendf(out, err, ":{\"dtype\":\"%s\",\"shape\":[", type));
    for (int32_t i = 0; i < tensor->rank; i++) {
        BT_TRY(bt_str_appendf(out, err, "%s%" PRId64, i == 0 ? "" : ",", tensor->dim[i]));
        if (!bt_i64_mul(n_bytes, tensor->dim[i], &n_bytes)) {
            return BT_FAIL(err, BT_E_SHAPE, "tensor '%s': negative or too large dims",
                           tensor->name);
        }
    }
    if (n_bytes > INT64_MAX / 2 - *offset) {
        return BT_FAIL(err, BT_E_SHAPE, "tensor '%s' is too large", tensor->name);
    }
    BT_TRY(bt_str_appendf(out, err, "],\"data_offsets\":[%" PRId64 ",%" PRId64 "]}", *offset,
                          *offset + n_bytes));
    *offset += n_bytes;
    writer->sizes[writer->n_tensors++] = (size_t)n_bytes;
    return BT_OK;
}

static bt_status put_header(bt_safetensors_writer *writer, bt_str *out, const bt_st_tensor *tensors,
                            size_t n_tensors, const char *const *metadata, size_t n_metadata,
                            bt_error *err) {
    int64_t offset = 0;
    BT_TRY(bt_str_append(out, "{", err));
    for (size_t i = 0; i < n_metadata; i++) {
        BT_TRY(bt_str_append(out, i == 0 ? "\"__metadata__\":{" : ",", err));
        BT_TRY(put_json_text(out, metadata[2 * i], err));
        BT_TRY(bt_str_append(out, ":", err));
        BT_TRY(put_json_text(out, metadata[2 * i + 1], err));
    }
    BT_TRY(bt_str_append(out, n_metadata > 0 ? (n_tensors > 0 ? "}," : "}") : "", err));
    for (size_t i = 0; i < n_tensors; i++) {
        BT_TRY(bt_str_append(out, i == 0 ? "" : ",", err));
        BT_TRY(put_tensor(writer, out, &tensors[i], &offset, err));
    }
    BT_TRY(bt_str_append(out, "}", err));
    while (out->len % DATA_ALIGN != 0) { /* so that the data can be mapped */
        BT_TRY(bt_str_append_char(out, ' ', err));
    }
    return BT_OK;
}

bt_status bt_safetensors_writer_create(const char *path, const bt_st_tensor *tensors,
                                       size_t n_tensors, const char *const *metadata,
                                       size_t n_metadata, bt_safetensors_writer **out,
                                       bt_error *err) {
    uint8_t                      prefix[8];
    bt_str                       header = BT_STR_INIT;
    bt_status                    rc = BT_OK;
    bt_safetensors_writer *const writer = bt_calloc_array(1, sizeof *writer);
    if (writer == NULL ||
        (writer->sizes = bt_calloc_array(n_tensors, sizeof writer->sizes[0])) == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot write %s", path);
        goto done;
    }
    BT_CHECK(put_header(writer, &header, tensors, n_tensors, metadata, n_metadata, err));
    bt_store_u64le(prefix, header.len);
    BT_CHECK(bt_fs_writer_create(path, &writer->file, err));
    BT_CHECK(bt_fs_writer_write(writer->file, prefix, sizeof prefix, err));
    BT_CHECK(bt_fs_writer_write(writer->file, header.data, header.len, err));
    *out = writer;
    bt_str_deinit(&header);
    return BT_OK;
done:
    bt_str_deinit(&header);
    bt_safetensors_writer_abort(writer);
    return rc;
}

bt_status bt_safetensors_put(bt_safetensors_writer *writer, const void *data, size_t n_bytes,
                             bt_error *err) {
    if (writer->next >= writer->n_tensors || writer->sizes[writer->next] != n_bytes) {
        return BT_FAIL(err, BT_E_INTERNAL, "%s: tensor %zu of %zu does not have %zu bytes",
                       bt_fs_writer_path(writer->file), writer->next, writer->n_tensors, n_bytes);
    }
    writer->next++;
    return bt_fs_writer_write(writer->file, data, n_bytes, err);
}

static bt_status check_whole(const bt_safetensors_writer *writer, bt_error *err) {
    return writer->next == writer->n_tensors
               ? BT_OK
               : BT_FAIL(err, BT_E_INTERNAL, "%s: %zu of %zu tensors were written",
                         bt_fs_writer_path(writer->file), writer->next, writer->n_tensors);
}

bt_status bt_safetensors_writer_finish(bt_safetensors_writer **writer_ptr, bt_fs_writer **file,
                                       bt_error *err) {
    bt_safetensors_writer *const writer = *writer_ptr;
    BT_TRY(check_whole(writer, err));
    *file = writer->file;
    writer->file = NULL;
    bt_safetensors_writer_abort(writer);
    *writer_ptr = NULL;
    return BT_OK;
}

bt_status bt_safetensors_writer_commit(bt_safetensors_writer **writer_ptr, bt_error *err) {
    bt_safetensors_writer *const writer = *writer_ptr;
    BT_TRY(check_whole(writer, err));
    BT_TRY(bt_fs_writer_commit(&writer->file, err));
    bt_safetensors_writer_abort(writer);
    *writer_ptr = NULL;
    return BT_OK;
}

void bt_safetensors_writer_abort(bt_safetensors_writer *writer) {
    if (writer != NULL) {
        bt_fs_writer_abort(writer->file);
        bt_free(writer->sizes);
        bt_free(writer);
    }
}
