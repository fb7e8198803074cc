/* SPDX-License-Identifier: Apache-2.0
 *
 * Folders: making them, listing, globbing (both sorted bytewise, so that nothing depends on the
 * file system's order), removing. */
#define _XOPEN_SOURCE 700 /* nftw */
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "fs_internal.h"
#include "remote.h"

static const size_t names_max = (size_t)1 << 28;

void bt_fs_names_deinit(bt_fs_names *names) {
    for (size_t i = 0; i < names->n; i++) {
        bt_free(names->items[i]);
    }
    bt_free(names->items);
    *names = (bt_fs_names)BT_FS_NAMES_INIT;
}

bt_status fs_names_add(bt_fs_names *names, const char *name, bt_error *err) {
    BT_TRY(
        bt_grow(&names->items, &names->cap, names->n + 1, sizeof names->items[0], names_max, err));
    char *const copy = bt_strdup(name);
    if (copy == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the name %s", name);
    }
    names->items[names->n++] = copy;
    return BT_OK;
}

static int compare_names(const void *a, const void *b) {
    const char *const *left = a;
    const char *const *right = b;
    return strcmp(*left, *right);
}

void fs_names_sort(bt_fs_names *names) {
    if (names->n > 1) {
        qsort(names->items, names->n, sizeof names->items[0], compare_names);
    }
}

bt_status bt_fs_list_unsorted(const char *folder, bt_fs_names *out, bt_error *err) {
    bt_fs_names names = BT_FS_NAMES_INIT;
    if (fs_is_served(folder)) {
        return remote_list(folder, out, err);
    }
    BT_TRY(bt_fs_require_folder(folder, err));
    DIR *const dir = opendir(folder);
    if (dir == NULL) {
        return fs_fail_read(folder, errno, err);
    }
    bt_status rc = BT_OK;
    for (;;) {
        errno = 0;
        const struct dirent *const entry = readdir(dir);
        if (entry == NULL) {
            if (errno != 0) {
                rc = fs_fail_read(folder, errno, err);
            }
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            BT_CHECK(fs_names_add(&names, entry->d_name, err));
        }
    }
done:
    (void)closedir(dir);
    if (rc != BT_OK) {
        bt_fs_names_deinit(&names);
        return rc;
    }
    *out = names;
    return BT_OK;
}

bt_status bt_fs_list(const char *folder, bt_fs_names *out, bt_error *err) {
    BT_TRY(bt_fs_list_unsorted(folder, out, err));
    fs_names_sort(out);
    return BT_OK;
}

/* glob() passes over a folder that it cannot open. That is right for one that may not be read, and
 * wrong when there is no memory or descriptor for it: the files in it would count as absent. */
static int glob_must_stop(const char *folder, int code) {
    (void)folder;
    return code == ENOMEM || code == EMFILE || code == ENFILE || code == EIO ? 1 : 0;
}

bt_status bt_fs_glob(const char *pattern, bt_fs_names *out, bt_error *err) {
    bt_fs_names names = BT_FS_NAMES_INIT;
    bt_status   rc = BT_OK;
    glob_t      found = {0};
    if (fs_is_served(pattern)) {
        return remote_glob(pattern, out, err);
    }
    BT_TRY(fs_check_local(pattern, err));
    errno = 0;
    const int result = glob(pattern, GLOB_NOSORT, glob_must_stop, &found);
    if (result != 0 && result != GLOB_NOMATCH) {
        rc = result == GLOB_NOSPACE || errno == ENOMEM
                 ? BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot expand %s", pattern)
                 : BT_FAIL(err, errno == EIO ? BT_E_IO : BT_E_RESOURCE,
                           "cannot read the folders of %s: %s", pattern,
                           errno != 0 ? strerror(errno) : "unknown reason");
        goto done;
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        BT_CHECK(fs_names_add(&names, found.gl_pathv[i], err));
    }
done:
    globfree(&found);
    if (rc != BT_OK) {
        bt_fs_names_deinit(&names);
        return rc;
    }
    fs_names_sort(&names);
    *out = names;
    return BT_OK;
}

/* A new one is kept only once the folder that it is in was synced: without it a checkpoint in it is
 * lost with it in a power cut. */
static bt_status make_one(const char *path, bt_error *err) {
    if (mkdir(path, 0777) == 0) {
        return fs_sync_folder_of(path, err);
    }
    if (errno == EEXIST) {
        struct stat st;
        if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
            return BT_FAIL(err, BT_E_RESOURCE,
                           "cannot create the folder %s: a file of that name is in the way", path);
        }
        return BT_OK;
    }
    return fs_fail_write(path, "make the folder", errno, err);
}

bt_status bt_fs_make_folders(const char *path, bt_error *err) {
    if (fs_is_served(path)) {
        return remote_check_writable(path, err); /* a store has none to make */
    }
    BT_TRY(fs_check_local(path, err));
    char *const copy = bt_strdup(path);
    if (copy == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot make the folder %s", path);
    }
    bt_status rc = BT_OK;
    for (char *p = copy + 1; *p != '\0'; p++) {
        if (*p == '/' && p[-1] != '/') {
            *p = '\0';
            BT_CHECK(make_one(copy, err));
            *p = '/';
        }
    }
    BT_CHECK(make_one(copy, err));
done:
    bt_free(copy);
    return rc;
}

bt_status bt_fs_remove(const char *path, bt_error *err) {
    if (fs_is_served(path)) {
        return remote_remove(path, err);
    }
    BT_TRY(fs_check_local(path, err));
    if (fs_sys_remove(path) != 0 && errno != ENOENT) {
        return fs_fail_write(path, "remove", errno, err);
    }
    return BT_OK;
}

bt_status bt_fs_replace_link(const char *path, const char *target, bt_error *err) {
    struct stat st;
    bt_status   rc = BT_OK;
    bt_str      temporary = BT_STR_INIT;
    BT_TRY(fs_check_local(path, err));
    if (lstat(path, &st) == 0 && !S_ISLNK(st.st_mode)) {
        return BT_FAIL(err, BT_E_RESOURCE,
                       "cannot make the link %s: something of that name is in the way", path);
    }
    BT_CHECK(fs_temporary_name(path, &temporary, err));
    if (symlink(target, bt_str_text(&temporary)) != 0) {
        rc = fs_fail_write(path, "make the link", errno, err);
        goto done;
    }
    if (fs_sys_rename(bt_str_text(&temporary), path) != 0) {
        rc = fs_fail_write(path, "replace", errno, err);
        fs_discard(bt_str_text(&temporary));
        goto done;
    }
    rc = fs_sync_folder_of(path, err);
done:
    bt_str_deinit(&temporary);
    return rc;
}

static int remove_visited(const char *path, const struct stat *st, int type, struct FTW *place) {
    (void)st, (void)type, (void)place;
    return fs_sys_remove(path);
}

bt_status bt_fs_remove_tree(const char *folder, bt_error *err) {
    enum { OPEN_FOLDERS = 16 };
    BT_TRY(fs_check_local(folder, err));
    if (nftw(folder, remove_visited, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT) {
        return fs_fail_write(folder, "remove", errno, err);
    }
    return BT_OK;
}
