/* SPDX-License-Identifier: Apache-2.0
 *
 * Temporary files of runs that were killed. A name of ours (NAME.tmp- and 16 hexadecimal digits) is
 * not enough: whoever writes one keeps it locked, so the kernel knows whether it is being written.
 * Where another kernel may write it, only what nobody touched for a day is taken for left over. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/time.h"
#include "fs_internal.h"

static const double old_seconds = 86400.0;
static const double old_link_seconds = 60.0; /* a link is made and renamed at once */

bool bt_fs_is_temporary(const char *name) {
    const size_t n = strlen(name);
    if (n < FS_TEMPORARY_TAIL) {
        return false;
    }
    const char *const tail = name + n - FS_TEMPORARY_TAIL;
    return strncmp(tail, ".tmp-", 5) == 0 &&
           strspn(tail + 5, "0123456789abcdef") == n - 5 - (size_t)(tail - name);
}

/* Removes the file where it is certain that nobody writes it: still under its lock, so that who
 * made it in this very moment and locks it then sees that it is gone. */
static bool remove_left_file(const char *path, bool is_shared, double age) {
    const int fd = fs_sys_open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        return false;
    }
    const bool is_free = flock(fd, LOCK_EX | LOCK_NB) == 0;
    const bool has_no_locks = !is_free && errno != EWOULDBLOCK;
    const bool is_left =
        is_shared || has_no_locks ? age > old_seconds && (is_free || has_no_locks) : is_free;
    const bool is_removed = is_left && fs_sys_unlink(path) == 0;
    (void)close(fd);
    return is_removed;
}

static bool remove_left(const char *path, bool is_shared) {
    struct stat  st;
    const double now = bt_time_unix();
    if (lstat(path, &st) != 0) {
        return false;
    }
    const double age = now - (double)st.st_mtim.tv_sec;
    if (S_ISLNK(st.st_mode)) {
        return age > (is_shared ? old_seconds : old_link_seconds) && fs_sys_unlink(path) == 0;
    }
    return S_ISREG(st.st_mode) && remove_left_file(path, is_shared, age);
}

bt_status bt_fs_sweep(const char *folder, const char *start, bt_error *err) {
    bt_status   rc = BT_OK;
    bt_fs_names names = BT_FS_NAMES_INIT;
    char       *path = NULL;
    bt_fs_info  info = {0};
    if (fs_is_served(folder)) {
        return BT_OK; /* what is not finished there has no name */
    }
    BT_TRY(bt_fs_stat(folder, &info, err));
    if (info.kind != BT_FS_FOLDER) {
        return BT_OK;
    }
    const bool is_shared = fs_is_shared_folder(folder);
    BT_CHECK(bt_fs_list_unsorted(folder, &names, err));
    for (size_t i = 0; i < names.n; i++) {
        const char *const name = names.items[i];
        if (!bt_fs_is_temporary(name) ||
            (start != NULL && (!bt_str_starts_with(name, start) ||
                               strlen(name) != strlen(start) + FS_TEMPORARY_TAIL))) {
            continue;
        }
        BT_CHECK(bt_fs_join(folder, name, &path, err));
        if (remove_left(path, is_shared)) {
            bt_log(BT_LOG_DEBUG, "%s: left by a run that was killed; removed", path);
        }
        bt_free(path);
        path = NULL;
    }
done:
    bt_free(path);
    bt_fs_names_deinit(&names);
    return rc;
}
