/* SPDX-License-Identifier: Apache-2.0
 *
 * The bytes of a SQuAD file, in memory: mapped, or what was unpacked or converted. */
#include "bt/base/alloc.h"
#include "squad_internal.h"

/* What was unpacked or converted, in memory as a file's own bytes would be. */
static bt_status load_unpacked(const bt_text_source *source, const bt_fs_scratch *scratch,
                               const char *path, char **out, bt_error *err) {
    const size_t n = (size_t)(source->end - source->begin);
    char *const  bytes = bt_alloc(n + 1);
    if (bytes == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "%s: out of memory for its %zu bytes", path, n);
    }
    *out = bytes;
    return bt_fs_scratch_read(scratch, source->begin, bytes, n, err);
}

bt_status squad_bytes_open(squad_bytes *file, const char *path, const bt_text_encoding *encoding,
                           bt_error *err) {
    *file = (squad_bytes){0};
    BT_TRY(bt_text_source_open(path, encoding, true, &file->scratch, &file->source, err));
    if (file->source.is_unpacked) {
        BT_TRY(load_unpacked(&file->source, file->scratch, path, &file->unpacked, err));
        file->bytes = file->unpacked;
        file->n = (size_t)(file->source.end - file->source.begin);
        return BT_OK;
    }
    BT_TRY(bt_fs_view_open(path, &file->view, err));
    file->bytes = (const char *)file->view.data;
    file->n = file->view.n_bytes;
    return BT_OK;
}

void squad_bytes_close(squad_bytes *file) {
    bt_fs_view_close(&file->view);
    bt_text_source_deinit(&file->source);
    bt_fs_scratch_close(file->scratch);
    bt_free(file->unpacked);
}
