/* SPDX-License-Identifier: Apache-2.0
 *
 * See output_set.h. */
#include "output_set.h"
#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/str.h"

#include <string.h>
#include <sys/stat.h>

/* Notes which folders of path are missing, outermost first, and makes them. */
static bt_status make_folders(output_set *set, const char *folder, bt_error *err) {
    bt_status    rc = BT_OK;
    const size_t n_before = set->made_folders.n;
    if (bt_fs_is_remote(folder)) {
        return bt_fs_make_folders(folder, err); /* a store has none that could stay behind */
    }
    char *at = bt_strdup(folder);
    if (at == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "%s: out of memory", folder);
    }
    while (!bt_fs_exists(at)) {
        char *outer = NULL;
        BT_CHECK(bt_fs_parent(at, &outer, err));
        rc = bt_grow(&set->made_folders.items, &set->made_folders.cap, set->made_folders.n + 1,
                     sizeof *set->made_folders.items, SIZE_MAX / 64, err);
        if (rc != BT_OK) {
            bt_free(outer);
            goto done;
        }
        set->made_folders.items[set->made_folders.n++] = at;
        at = outer;
    }
    /* they were met from the inside out */
    for (size_t i = n_before, j = set->made_folders.n; i + 1 < j; i++) {
        char *const swapped = set->made_folders.items[i];
        set->made_folders.items[i] = set->made_folders.items[--j];
        set->made_folders.items[j] = swapped;
    }
    rc = bt_fs_make_folders(folder, err);
done:
    bt_free(at);
    return rc;
}

/* A device or a pipe that was named as an output was there before and stays. */
static bool is_regular_file(const char *path) {
    struct stat info;
    return bt_fs_is_remote(path) || (stat(path, &info) == 0 && S_ISREG(info.st_mode));
}

/* One run a file: the lock is beside it while the run lasts. In a store each upload has a
 * condition instead. */
static bt_status take_lock(output_file *file, const char *folder, bt_error *err) {
    enum { NAME_BYTES = 240 };
    bt_str      name = BT_STR_INIT;
    struct stat info;
    const bool  is_special = stat(file->path, &info) == 0 && !S_ISREG(info.st_mode);
    if (bt_fs_is_remote(file->path) || is_special ||
        strlen(bt_fs_basename(file->path)) > NAME_BYTES) {
        return BT_OK;
    }
    bt_status rc = bt_str_appendf(&name, err, ".%s.lock", bt_fs_basename(file->path));
    if (rc == BT_OK) {
        rc =
            bt_fs_lock_take(folder, bt_str_text(&name), "create-finetuning-data", &file->lock, err);
    }
    bt_str_deinit(&name);
    return rc;
}

bt_status output_set_add(output_set *set, const char *path, bt_fs_writer **writer, bt_error *err) {
    bt_status         rc = BT_OK;
    char             *folder = NULL;
    output_file       file = {.path = path};
    const char *const name = bt_fs_basename(path);
    if (set->n == OUTPUT_SET_MAX) {
        return BT_FAIL(err, BT_E_INTERNAL, "more than %d output files", OUTPUT_SET_MAX);
    }
    if (*path == '\0' || *name == '\0') {
        return BT_FAIL(err, BT_E_CONFIG, "output path '%s' names no file", path);
    }
    BT_CHECK(bt_fs_parent(path, &folder, err));
    BT_CHECK(make_folders(set, folder, err));
    BT_CHECK(bt_fs_canonical(path, &file.canonical, err));
    for (size_t i = 0; i < set->n; i++) {
        if (bt_str_equal(set->files[i].canonical, file.canonical)) {
            rc = BT_FAIL(err, BT_E_CONFIG,
                         "two outputs have the same path: %s; give each a path of its own", path);
            goto done;
        }
    }
    BT_CHECK(bt_fs_finish_commits(folder, err));
    BT_CHECK(bt_fs_writer_create(path, &file.writer, err));
    BT_CHECK(take_lock(&file, folder, err));
    *writer = file.writer;
    set->files[set->n++] = file;
    file = (output_file){0};
done:
    bt_fs_writer_abort(file.writer);
    bt_free(file.canonical);
    bt_free(folder);
    return rc;
}

/* Only when what killed runs had begun is finished in the folders of all outputs: a journal in one
 * of them may name temporary files in the others. Those of this run are in use, and stay. */
static bt_status sweep(const output_set *set, bt_error *err) {
    for (size_t i = 0; i < set->n; i++) {
        char *folder = NULL;
        BT_TRY(bt_fs_parent(set->files[i].path, &folder, err));
        const bt_status rc = bt_fs_sweep(folder, bt_fs_basename(set->files[i].path), err);
        bt_free(folder);
        BT_TRY(rc);
    }
    return BT_OK;
}

bt_status output_set_commit(output_set *set, bt_error *err) {
    bt_fs_writer *writers[OUTPUT_SET_MAX];
    BT_TRY(sweep(set, err));
    for (size_t i = 0; i < set->n; i++) {
        writers[i] = set->files[i].writer;
    }
    const bt_status rc = bt_fs_writers_commit(writers, set->n, err);
    for (size_t i = 0; i < set->n; i++) {
        set->files[i].writer = writers[i];
        set->files[i].is_in_place = writers[i] == NULL;
    }
    return rc;
}

void output_set_deinit(output_set *set, bool failed) {
    for (size_t i = 0; i < set->n; i++) {
        output_file *const file = &set->files[i];
        bt_error           ignored = BT_ERROR_INIT; /* the failure that led here is what counts */
        bt_fs_writer_abort(file->writer);
        if (failed && file->is_in_place && is_regular_file(file->path) &&
            bt_fs_remove(file->path, &ignored) != BT_OK) {
            bt_log(BT_LOG_WARNING, "%s", ignored.msg);
        }
        bt_fs_lock_release(file->lock);
        bt_free(file->canonical);
    }
    for (size_t i = set->made_folders.n; failed && i > 0; i--) {
        bt_error ignored = BT_ERROR_INIT;
        if (bt_fs_remove(set->made_folders.items[i - 1], &ignored) != BT_OK) {
            break; /* somebody else has put something there */
        }
    }
    bt_fs_names_deinit(&set->made_folders);
    *set = (output_set){0};
}
