/* SPDX-License-Identifier: Apache-2.0
 *
 * Temporary files: made beside the file that they will become, under names that nobody can know
 * before, and never through something that was there. */
#define _GNU_SOURCE /* getrandom */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs_internal.h"

enum { RANDOM_HEX = 16, MAX_TRIES = 16 };

bt_status fs_random_hex(char *hex, size_t n, bt_error *err) {
    static const char digits[] = "0123456789abcdef";
    uint8_t           bytes[32];
    BT_ASSERT(n <= 2 * sizeof bytes);
    ssize_t got = -1;
    do {
        got = getrandom(bytes, (n + 1) / 2, 0);
    } while (got < 0 && errno == EINTR);
    if (got != (ssize_t)((n + 1) / 2)) {
        return BT_FAIL(err, BT_E_RESOURCE, "the system provides no random numbers: %s",
                       strerror(errno));
    }
    for (size_t i = 0; i < n; i++) {
        hex[i] = digits[(bytes[i / 2] >> (i % 2 == 0 ? 4 : 0)) & 15];
    }
    hex[n] = '\0';
    return BT_OK;
}

bt_status fs_temporary_name(const char *path, bt_str *out, bt_error *err) {
    char hex[RANDOM_HEX + 1];
    bt_str_clear(out);
    BT_TRY(fs_random_hex(hex, RANDOM_HEX, err));
    /* a name may have 255 bytes */
    const size_t n_name = strlen(bt_fs_basename(path));
    const size_t n_cut = n_name > 255 - FS_TEMPORARY_TAIL ? n_name - (255 - FS_TEMPORARY_TAIL) : 0;
    BT_TRY(bt_str_append_n(out, path, strlen(path) - n_cut, err));
    return bt_str_appendf(out, err, ".tmp-%s", hex);
}

/* Locked, so that a sweep sees that it is being written. false: a sweep came between the open and
 * the lock; it removes it, or, where another kernel may write it, leaves what is young. */
static bool keep_from_sweeps(int fd) {
    struct stat st;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        return false;
    }
    return fstat(fd, &st) != 0 || st.st_nlink > 0;
}

bt_status fs_temporary_open(const char *path, mode_t mode, char **temporary, int *fd,
                            bt_error *err) {
    bt_str    name = BT_STR_INIT;
    bt_status rc = BT_OK;
    *fd = -1;
    for (int i = 0; i < MAX_TRIES && *fd < 0; i++) {
        BT_CHECK(fs_temporary_name(path, &name, err));
        *fd = fs_sys_create(bt_str_text(&name), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
        if (*fd < 0 && errno != EEXIST) {
            break;
        }
        if (*fd >= 0 && !keep_from_sweeps(*fd)) {
            fs_discard(bt_str_text(&name));
            (void)close(*fd);
            *fd = -1;
            errno = EEXIST;
        }
    }
    if (*fd < 0) {
        rc = fs_fail_write(path, "create", errno, err);
        goto done;
    }
    *temporary = bt_str_take(&name);
done:
    bt_str_deinit(&name);
    return rc;
}
