/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that grow at their end: cut off, and made certain with the folder that names them. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "fs_internal.h"

static bt_status cut_local(const char *path, int64_t n_bytes, bt_error *err) {
    const int fd = fs_sys_open(path, O_WRONLY);
    int       failure = 0;
    if (fd < 0) {
        return fs_fail_write(path, "write", errno, err);
    }
    do {
        failure = fs_must_fail(BT_FS_OP_WRITE) ? -1 : ftruncate(fd, (off_t)n_bytes);
    } while (failure != 0 && errno == EINTR);
    if (failure == 0) {
        failure = fs_sys_fsync(fd);
    }
    const int why = errno;
    (void)close(fd);
    return failure == 0 ? BT_OK : fs_fail_write(path, "cut", why, err);
}

bt_status bt_fs_cut(const char *path, int64_t n_bytes, bt_error *err) {
    bt_status  rc = BT_OK;
    bt_fs_view view = {0};
    if (!bt_fs_is_remote(path)) {
        return cut_local(path, n_bytes, err);
    }
    BT_TRY(bt_fs_view_open(path, &view, err));
    if ((size_t)n_bytes < view.n_bytes) {
        rc = bt_fs_replace(path, view.data, (size_t)n_bytes, err);
    }
    bt_fs_view_close(&view);
    return rc;
}

bt_status bt_fs_sync_folder(const char *folder, bt_error *err) {
    if (bt_fs_is_remote(folder)) {
        return BT_OK;
    }
    const int fd = fs_sys_open(folder, O_RDONLY | O_DIRECTORY);
    if (fd < 0) { /* a folder that may be written but not listed cannot be synced */
        return errno == EACCES || errno == ENOENT
                   ? BT_OK
                   : fs_fail_write(folder, "sync folder", errno, err);
    }
    const bool failed = fs_sys_fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP;
    const int  why = errno;
    (void)close(fd);
    return failed ? fs_fail_write(folder, "sync folder", why, err) : BT_OK;
}
