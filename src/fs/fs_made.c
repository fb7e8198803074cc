/* SPDX-License-Identifier: Apache-2.0
 *
 * A run that ends before it has written anything leaves no empty folder behind, nor the folders
 * that were made for it. What somebody has put there meanwhile stays. */
#include "bt/base/alloc.h"
#include "bt/fs.h"

/* The folders of path that are missing, from the inside out. */
static bt_status note_missing(const char *path, bt_fs_names *made, bt_error *err) {
    bt_status rc = BT_OK;
    char     *at = bt_strdup(path);
    if (at == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "%s: out of memory", path);
    }
    while (!bt_fs_exists(at)) {
        char *outer = NULL;
        BT_CHECK(bt_fs_parent(at, &outer, err));
        rc =
            bt_grow(&made->items, &made->cap, made->n + 1, sizeof *made->items, SIZE_MAX / 64, err);
        if (rc != BT_OK) {
            bt_free(outer);
            goto done;
        }
        made->items[made->n++] = at;
        at = outer;
    }
done:
    bt_free(at);
    return rc;
}

bt_status bt_fs_make_folders_noting(const char *path, bt_fs_names *made, bt_error *err) {
    if (!bt_fs_is_remote(path)) { /* a store has no folders that could stay behind */
        BT_TRY(note_missing(path, made, err));
    }
    return bt_fs_make_folders(path, err);
}

void bt_fs_undo_folders(const bt_fs_names *made) {
    for (size_t i = 0; i < made->n; i++) {
        bt_error ignored = BT_ERROR_INIT;
        if (bt_fs_remove(made->items[i], &ignored) != BT_OK) {
            return; /* not empty: it is used */
        }
    }
}
