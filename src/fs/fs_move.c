/* SPDX-License-Identifier: Apache-2.0
 *
 * Giving a file another name beside it, never over something that is there. */
#define _GNU_SOURCE /* renameat2 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "fs_internal.h"

enum { COPY_BYTES = 1 << 20 };

#ifndef RENAME_NOREPLACE /* musl has the call from 1.2.6 on */
enum { RENAME_NOREPLACE = 1 };
static int renameat2(int from_folder, const char *from, int to_folder, const char *to,
                     unsigned flags) {
    return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
}
#endif

/* A store has no names to change: the bytes go there and the old name goes. */
static bt_status copy_bytes(const char *from, const char *to, bt_error *err) {
    bt_status     rc = BT_OK;
    bt_file      *file = NULL;
    bt_fs_writer *writer = NULL;
    char *const   piece = bt_alloc(COPY_BYTES);
    size_t        got = 0;
    if (piece == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory to copy %s", from);
    }
    BT_CHECK(bt_fs_open(from, &file, err));
    BT_CHECK(bt_fs_writer_create(to, &writer, err));
    for (int64_t at = 0; at < bt_fs_size(file); at += (int64_t)got) {
        BT_CHECK(bt_fs_read_upto(file, at, piece, COPY_BYTES, &got, err));
        BT_CHECK(bt_fs_writer_write(writer, piece, got, err));
    }
    BT_CHECK(bt_fs_writer_commit(&writer, err));
done:
    bt_fs_writer_abort(writer);
    bt_fs_close(file);
    bt_free(piece);
    return rc;
}

/* Where a file system knows no renaming without replacing (NFS), a second link does the same. */
static int rename_new(const char *from, const char *to) {
    if (fs_must_fail(BT_FS_OP_RENAME)) {
        return -1;
    }
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) {
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return -1;
    }
    return fs_sys_link(from, to) == 0 ? fs_sys_unlink(from) : -1;
}

static bt_status sync_folder(const char *path, bt_error *err) {
    char *folder = NULL;
    BT_TRY(bt_fs_parent(path, &folder, err));
    const int fd = fs_sys_open(folder, O_RDONLY | O_DIRECTORY);
    bt_status rc = BT_OK;
    if (fd < 0 || fs_sys_fsync(fd) != 0) {
        rc = fs_fail_write(folder, "sync", errno, err);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    bt_free(folder);
    return rc;
}

bt_status bt_fs_move(const char *from, const char *to, bt_error *err) {
    if (fs_is_served(from) || fs_is_served(to)) {
        if (bt_fs_exists(to)) {
            return BT_FAIL(err, BT_E_RESOURCE, "cannot name %s %s: that is there already", from,
                           to);
        }
        BT_TRY(copy_bytes(from, to, err));
        return bt_fs_remove(from, err);
    }
    BT_TRY(fs_check_local(from, err));
    BT_TRY(fs_check_local(to, err));
    if (rename_new(from, to) != 0) {
        return fs_fail_write(from, "rename", errno, err);
    }
    return sync_folder(to, err);
}
