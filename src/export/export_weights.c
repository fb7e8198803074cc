/* SPDX-License-Identifier: Apache-2.0
 *
 * model.safetensors by the names of transformers. One tensor is in memory beside the parameters. */
#include <stdio.h>

#include "bt/base/alloc.h"
#include "bt/base/stop.h"
#include "bt/wire/safetensors.h"
#include "export_internal.h"

static int64_t largest(const export_tensors *tensors) {
    int64_t n = 1;
    for (size_t i = 0; i < tensors->n; i++) {
        n = tensors->items[i].n_elements > n ? tensors->items[i].n_elements : n;
    }
    return n;
}

static bt_status put_values(const bt_export_source *source, const export_tensors *tensors,
                            bt_safetensors_writer *writer, bt_error *err) {
    bt_status    rc = BT_OK;
    float *const values = bt_alloc_array((size_t)largest(tensors), sizeof *values);
    if (values == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a tensor of the export");
    }
    for (size_t i = 0; i < tensors->n; i++) {
        const export_tensor *const tensor = &tensors->items[i];
        BT_CHECK(bt_stop_check(err));
        export_tensor_fill(tensor, source->params, values);
        BT_CHECK(
            bt_safetensors_put(writer, values, (size_t)tensor->n_elements * sizeof *values, err));
    }
done:
    bt_free(values);
    return rc;
}

static bt_status write_file(const bt_export_source *source, const export_tensors *tensors,
                            const char *path, bt_fs_writer **file, bt_error *err) {
    static const char *const metadata[2] = {"format", "pt"}; /* which readers ask for */
    bt_status                rc = BT_OK;
    bt_safetensors_writer   *writer = NULL;
    bt_st_tensor *const      list = bt_calloc_array(tensors->n, sizeof *list);
    if (list == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the names of %zu tensors", tensors->n);
    }
    for (size_t i = 0; i < tensors->n; i++) {
        const export_tensor *const t = &tensors->items[i];
        list[i] = (bt_st_tensor){t->name, BT_DTYPE_F32, t->rank, t->dim};
    }
    BT_CHECK(bt_safetensors_writer_create(path, list, tensors->n, metadata, 1, &writer, err));
    BT_CHECK(put_values(source, tensors, writer, err));
    BT_CHECK(bt_safetensors_writer_finish(&writer, file, err));
done:
    bt_safetensors_writer_abort(writer);
    bt_free(list);
    return rc;
}

static bt_status put_file(const bt_export_source *source, const export_tensors *tensors,
                          const char *name, bt_export_folder *folder, bt_error *err) {
    bt_status     rc = BT_OK;
    char         *path = NULL;
    bt_fs_writer *file = NULL;
    BT_CHECK(export_folder_place(folder, name, &path, err));
    BT_CHECK(write_file(source, tensors, path, &file, err));
    export_folder_take(folder, &file);
done:
    bt_fs_writer_abort(file);
    bt_free(path);
    return rc;
}

bt_status export_put_weights(const bt_export_source *source, bt_export_folder *folder,
                             bt_error *err) {
    export_tensors tensors = {.n = 0};
    BT_TRY(export_tensors_make(source, &tensors, err));
    const bt_status rc = put_file(source, &tensors, "model.safetensors", folder, err);
    export_tensors_deinit(&tensors);
    return rc;
}

bt_status export_put_some(const bt_export_source *source, const char *name, const int64_t *indices,
                          const char *const *names, size_t n, bt_export_folder *folder,
                          bt_error *err) {
    bt_status      rc = BT_OK;
    export_tensors tensors = {.n = 0};
    for (size_t i = 0; i < n; i++) {
        BT_CHECK(export_tensors_add(source, indices[i], &tensors, err));
        (void)snprintf(tensors.items[i].name, sizeof tensors.items[i].name, "%s", names[i]);
    }
    BT_CHECK(put_file(source, &tensors, name, folder, err));
done:
    export_tensors_deinit(&tensors);
    return rc;
}
