/* SPDX-License-Identifier: Apache-2.0
 *
 * May something be written there, and how much: asked before the work whose result it is. Nothing
 * is changed. */
#include <errno.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "fs_internal.h"
#include "remote.h"

/* The first folder on the way up that is there, and the last one that is not (NULL: path is). Both
 * are the caller's. */
static bt_status find_existing(const char *path, char **there, char **missing, bt_error *err) {
    bt_status rc = BT_OK;
    char     *at = bt_strdup(path);
    *there = *missing = NULL;
    while (at != NULL && !bt_fs_exists(at)) {
        char *outer = NULL;
        BT_CHECK(bt_fs_parent(at, &outer, err));
        bt_free(*missing);
        *missing = at;
        at = outer;
    }
    *there = at;
    at = NULL;
    rc = *there != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
done:
    bt_free(at);
    if (rc != BT_OK) {
        bt_free(*missing);
        *missing = NULL;
    }
    return rc;
}

/* path is there: the folder itself, or the one that the first missing one would be made in. */
static bt_status check_existing(const char *path, const char *missing, bt_error *err) {
    struct stat       st;
    const char *const made = missing != NULL ? missing : path;
    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
        return BT_FAIL(err, BT_E_RESOURCE,
                       "cannot create the folder %s: a file of that name is in the way", path);
    }
    if (missing != NULL && lstat(missing, &st) == 0 && S_ISLNK(st.st_mode)) {
        return BT_FAIL(err, BT_E_RESOURCE,
                       "cannot make the folder %s: a link of that name leads nowhere", missing);
    }
    if (access(path, W_OK | X_OK) != 0) {
        return fs_fail_write(made, missing != NULL ? "make the folder" : "write in the folder",
                             errno, err);
    }
    return BT_OK;
}

bt_status bt_fs_check_writable(const char *folder, bt_error *err) {
    char *there = NULL;
    char *missing = NULL;
    if (fs_is_served(folder)) {
        return remote_check_writable(folder, err);
    }
    BT_TRY(fs_check_local(folder, err));
    BT_TRY(find_existing(folder, &there, &missing, err));
    const bt_status rc = check_existing(there, missing, err);
    bt_free(there);
    bt_free(missing);
    return rc;
}

/* What a writer of path makes is made beside the file that a link leads to. */
static bt_status check_folder_of(const char *path, bt_error *err) {
    bt_status rc = BT_OK;
    char     *file = NULL;
    char     *folder = NULL;
    BT_CHECK(bt_fs_canonical(path, &file, err));
    BT_CHECK(bt_fs_parent(file, &folder, err));
    BT_CHECK(bt_fs_check_writable(folder, err));
done:
    bt_free(file);
    bt_free(folder);
    return rc;
}

bt_status bt_fs_check_output(const char *path, bool appends, bt_error *err) {
    struct stat st;
    if (fs_is_served(path)) {
        return BT_OK;
    }
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode)) {
            return BT_FAIL(err, BT_E_RESOURCE, "cannot write %s: it is a folder", path);
        }
        if (!S_ISREG(st.st_mode)) {
            return BT_OK;
        }
        if (appends) {
            return access(path, W_OK) == 0 ? BT_OK : fs_fail_write(path, "append to", errno, err);
        }
    }
    return check_folder_of(path, err);
}

bt_status bt_fs_free_bytes(const char *path, uint64_t *n_bytes, bt_error *err) {
    struct statvfs st;
    char          *there = NULL;
    char          *missing = NULL;
    *n_bytes = UINT64_MAX;
    if (fs_is_served(path)) {
        return BT_OK;
    }
    BT_TRY(find_existing(path, &there, &missing, err));
    if (statvfs(there, &st) == 0 && st.f_blocks > 0 && st.f_frsize > 0) { /* 0: it does not count */
        const uint64_t n_blocks = geteuid() == 0 ? st.f_bfree : st.f_bavail;
        *n_bytes = n_blocks < UINT64_MAX / st.f_frsize ? n_blocks * st.f_frsize : UINT64_MAX;
    }
    bt_free(there);
    bt_free(missing);
    return BT_OK;
}
