/* SPDX-License-Identifier: Apache-2.0
 *
 * Folders that only their user may write to. What lies in a cache is used as if it had just been
 * fetched: one that another user made beforehand in a folder that all share (/tmp), or may still
 * write to, would decide what is trained. */
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "fs_internal.h"

static bool is_shared_by_wish(void) {
    return bt_str_equal(getenv("BERT_TRAIN_SHARED_CACHE"), "1");
}

/* The user, or the one who may change everything anyway. */
static bool is_trusted(uid_t owner) {
    return owner == geteuid() || owner == 0;
}

static bt_status fail_foreign(const char *path, const char *what, uid_t owner, bt_error *err) {
    return BT_FAIL(err, BT_E_RESOURCE,
                   "%s: this cache %s user %ld, not to the user %ld that runs this: what is in it "
                   "is not used. Name another folder, or, if that user is to be trusted, set "
                   "BERT_TRAIN_SHARED_CACHE=1",
                   path, what, (long)owner, (long)geteuid());
}

bt_status bt_fs_check_private_folder(const char *path, bt_error *err) {
    struct stat itself;
    struct stat st;
    BT_TRY(fs_check_local(path, err));
    if (lstat(path, &itself) != 0) {
        return errno == ENOENT ? BT_OK : fs_fail_read(path, errno, err);
    }
    if (stat(path, &st) != 0) {
        return fs_fail_read(path, errno, err);
    }
    if (!S_ISDIR(st.st_mode)) {
        return BT_FAIL(err, BT_E_RESOURCE, "%s: a file is where the folder of a cache must be",
                       path);
    }
    if (is_shared_by_wish()) {
        return BT_OK;
    }
    if (S_ISLNK(itself.st_mode) && !is_trusted(itself.st_uid)) {
        return fail_foreign(path, "is a link that belongs to", itself.st_uid, err);
    }
    if (!is_trusted(st.st_uid)) {
        return fail_foreign(path, "belongs to", st.st_uid, err);
    }
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return BT_FAIL(err, BT_E_RESOURCE,
                       "%s: others may write to this cache (mode %03o): what is in it is not used. "
                       "Say 'chmod go-w' to it once you know what is there, name another folder, "
                       "or set BERT_TRAIN_SHARED_CACHE=1 if all who may write are to be trusted",
                       path, (unsigned)(st.st_mode & 0777));
    }
    return BT_OK;
}

bt_status bt_fs_make_private_folder(const char *path, bt_error *err) {
    char     *parent = NULL;
    bt_status rc = BT_OK;
    BT_TRY(fs_check_local(path, err));
    BT_TRY(bt_fs_parent(path, &parent, err));
    BT_CHECK(bt_fs_make_folders(parent, err));
    if (mkdir(path, is_shared_by_wish() ? 0777 : 0700) != 0 && errno != EEXIST) {
        rc = fs_fail_write(path, "make the folder", errno, err);
        goto done;
    }
    BT_CHECK(bt_fs_check_private_folder(path, err));
done:
    bt_free(parent);
    return rc;
}
