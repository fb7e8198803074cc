/* SPDX-License-Identifier: Apache-2.0
 *
 * The folder of an export: it must be new or empty, so that nothing of somebody else's is replaced
 * and no file of another export stays beside the new ones. All files appear together. */
#include <inttypes.h>

#include "bt/base/alloc.h"
#include "export_internal.h"

/* What a killed export began is ended or removed. */
static bt_status clean(const char *folder, bt_error *err) {
    BT_TRY(bt_fs_finish_commits(folder, err));
    return bt_fs_sweep(folder, NULL, err);
}

/* Names that count: those of temporary files do not, which a killed export left. */
static size_t count_names(const bt_fs_names *names) {
    size_t n = 0;
    for (size_t i = 0; i < names->n; i++) {
        n += !bt_fs_is_temporary(names->items[i]);
    }
    return n;
}

/* Is anything in the folder that counts? An empty folder in it does not. */
static bt_status check_entry(const char *folder, const char *name, bool cleans, bt_error *err) {
    bt_status   rc = BT_OK;
    bt_fs_info  info = {0};
    bt_fs_names names = BT_FS_NAMES_INIT;
    char       *path = NULL;
    if (bt_fs_is_temporary(name)) {
        return BT_OK;
    }
    BT_CHECK(bt_fs_join(folder, name, &path, err));
    BT_CHECK(bt_fs_stat(path, &info, err));
    if (info.kind == BT_FS_FOLDER) {
        BT_CHECK(cleans ? clean(path, err) : BT_OK);
        BT_CHECK(bt_fs_list(path, &names, err));
    }
    if (info.kind != BT_FS_FOLDER || count_names(&names) > 0) {
        rc = BT_FAIL(err, BT_E_CONFIG,
                     "--output_path=%s: the folder is not empty ('%s' is in it): an export "
                     "replaces nothing; name a new folder, or remove what is there",
                     folder, name);
    }
done:
    bt_fs_names_deinit(&names);
    bt_free(path);
    return rc;
}

static bt_status check_folder(const char *path, bool cleans, bt_error *err) {
    bt_status   rc = BT_OK;
    bt_fs_info  info = {0};
    bt_fs_names names = BT_FS_NAMES_INIT;
    BT_CHECK(bt_fs_check_place(path, BT_FS_FOLDER, err));
    BT_CHECK(bt_fs_stat(path, &info, err));
    if (info.kind == BT_FS_FOLDER) {
        BT_CHECK(cleans ? clean(path, err) : BT_OK);
        BT_CHECK(bt_fs_list(path, &names, err));
    }
    for (size_t i = 0; i < names.n; i++) {
        BT_CHECK(check_entry(path, names.items[i], cleans, err));
    }
    BT_CHECK(bt_fs_check_writable(path, err));
done:
    bt_fs_names_deinit(&names);
    return rc;
}

bt_status bt_export_check_folder(const char *path, bool is_dry, bt_error *err) {
    return check_folder(path, !is_dry, err);
}

bt_status export_folder_open(bt_export_folder *folder, const char *path, bt_error *err) {
    *folder = (bt_export_folder){.path = path, .made = BT_FS_NAMES_INIT};
    return check_folder(path, true, err);
}

bt_status export_folder_place(bt_export_folder *folder, const char *name, char **path,
                              bt_error *err) {
    bt_status rc = BT_OK;
    char     *parent = NULL;
    BT_CHECK(bt_fs_join(folder->path, name, path, err));
    BT_CHECK(bt_fs_parent(*path, &parent, err));
    BT_CHECK(bt_fs_make_folders_noting(parent, &folder->made, err));
done:
    bt_free(parent);
    if (rc != BT_OK) {
        bt_free(*path);
        *path = NULL;
    }
    return rc;
}

static bt_status create_file(bt_export_folder *folder, const char *name, bt_fs_writer **file,
                             bt_error *err) {
    char *path = NULL;
    BT_TRY(export_folder_place(folder, name, &path, err));
    const bt_status rc = bt_fs_writer_create(path, file, err);
    bt_free(path);
    return rc;
}

void export_folder_take(bt_export_folder *folder, bt_fs_writer **file) {
    BT_ASSERT(folder->n < EXPORT_MAX_FILES);
    folder->files[folder->n++] = *file;
    *file = NULL;
}

bt_status export_folder_put(bt_export_folder *folder, const char *name, const bt_str *text,
                            bt_error *err) {
    bt_fs_writer *file = NULL;
    BT_TRY(create_file(folder, name, &file, err));
    const bt_status rc = bt_fs_writer_write(file, bt_str_text(text), text->len, err);
    if (rc != BT_OK) {
        bt_fs_writer_abort(file);
        return rc;
    }
    export_folder_take(folder, &file);
    return BT_OK;
}

bt_status export_folder_commit(bt_export_folder *folder, bt_error *err) {
    BT_TRY(bt_fs_writers_commit(folder->files, folder->n, err));
    folder->n = 0;
    bt_fs_names_deinit(&folder->made);
    return BT_OK;
}

void export_folder_deinit(bt_export_folder *folder) {
    for (size_t i = 0; i < folder->n; i++) {
        bt_fs_writer_abort(folder->files[i]);
    }
    folder->n = 0;
    /* from the inside out, whatever the order in which they were made */
    for (size_t pass = 0; pass < folder->made.n; pass++) {
        for (size_t i = 0; i < folder->made.n; i++) {
            bt_error ignored = BT_ERROR_INIT;
            (void)(bt_fs_remove(folder->made.items[i], &ignored) == BT_OK);
        }
    }
    bt_fs_names_deinit(&folder->made);
}
