/* SPDX-License-Identifier: Apache-2.0
 *
 * What is not a regular file. A pipe, a socket or a device where a file is expected would be waited
 * for without end, so it is refused; but one that was handed to this process as a descriptor
 * (/dev/stdin, /dev/fd/63 of a shell's "<(...)") is meant, and is read: whoever waits for its bytes
 * says so, and can be stopped. /dev/null is an empty file to read and a place to write to. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "bt/base/log.h"
#include "bt/base/number.h"
#include "bt/base/stop.h"
#include "fs_internal.h"

enum { POLL_MILLISECONDS = 100, POLLS_BEFORE_A_LINE = 50, READER_POLLS = 600 };

bool fs_is_descriptor(const char *path) {
    return strcmp(path, "/dev/stdin") == 0 || strcmp(path, "/dev/stdout") == 0 ||
           strcmp(path, "/dev/stderr") == 0 || bt_str_starts_with(path, "/dev/fd/") ||
           bt_str_starts_with(path, "/proc/");
}

/* N of /dev/stdin and its kin, /dev/fd/N and /proc/self/fd/N; else -1. */
static int descriptor_number(const char *path) {
    static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/"};
    static const char *const names[] = {"/dev/stdin", "/dev/stdout", "/dev/stderr"};
    int64_t                  number = -1;
    for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
        if (strcmp(path, names[i]) == 0) {
            return (int)i;
        }
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(folders); i++) {
        if (bt_str_starts_with(path, folders[i]) &&
            bt_parse_i64(path + strlen(folders[i]), &number) && number >= 0 && number < 1 << 20) {
            return (int)number;
        }
    }
    return -1;
}

/* A socket has no name that could be opened, but the descriptor is there. */
static int open_descriptor(const char *path, int flags) {
    const int fd = fs_sys_open(path, flags | O_NONBLOCK | O_NOCTTY);
    const int number = fd < 0 && errno == ENXIO ? descriptor_number(path) : -1;
    return number >= 0 ? fcntl(number, F_DUPFD_CLOEXEC, STDERR_FILENO + 1) : fd;
}

static bool is_null_device(const struct stat *st) {
    return S_ISCHR(st->st_mode) && major(st->st_rdev) == 1 && minor(st->st_rdev) == 3;
}

static const char *kind_name(mode_t mode) {
    return S_ISFIFO(mode)   ? "a named pipe"
           : S_ISSOCK(mode) ? "a socket"
           : S_ISCHR(mode)  ? "a character device"
           : S_ISBLK(mode)  ? "a block device"
                            : "not a regular file";
}

static bool is_refused(const char *path, const struct stat *st) {
    return !S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode) && !is_null_device(st) &&
           !fs_is_descriptor(path);
}

static bt_status fail_special(const char *path, const struct stat *st, bt_error *err) {
    return BT_FAIL(err, BT_E_IO,
                   "%s is %s, but a file is expected (to read a pipe, name /dev/stdin or use a "
                   "shell's <(...))",
                   path, kind_name(st->st_mode));
}

bt_status bt_fs_refuse_special(const char *path, bt_error *err) {
    struct stat st;
    return !fs_is_served(path) && stat(path, &st) == 0 && is_refused(path, &st)
               ? fail_special(path, &st, err)
               : BT_OK;
}

bool bt_fs_is_pipe(const char *path) {
    struct stat st;
    return !fs_is_served(path) && stat(path, &st) == 0 && !S_ISREG(st.st_mode) &&
           !S_ISDIR(st.st_mode) && !is_null_device(&st);
}

/* There is something that path leads to. */
static bt_status check_kind(const char *path, const struct stat *st, bt_fs_kind wanted,
                            bt_error *err) {
    const bool wants_folder = wanted == BT_FS_FOLDER;
    if (wants_folder ? S_ISDIR(st->st_mode) : S_ISREG(st->st_mode)) {
        return BT_OK;
    }
    const char *const what = S_ISREG(st->st_mode)   ? "a file"
                             : S_ISDIR(st->st_mode) ? "a folder"
                                                    : kind_name(st->st_mode);
    return BT_FAIL(err, BT_E_IO,
                   "%s is %s, but a %s of that name is kept there: move it away, or use another "
                   "folder",
                   path, what, wants_folder ? "folder" : "file");
}

bt_status bt_fs_check_place(const char *path, bt_fs_kind wanted, bt_error *err) {
    struct stat st;
    char        reason[FS_REASON_MAX];
    if (fs_is_served(path)) {
        return BT_OK;
    }
    if (stat(path, &st) == 0) {
        return check_kind(path, &st, wanted, err);
    }
    const int why = errno;
    if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode)) {
        return BT_FAIL(err, BT_E_IO,
                       "%s is a link that leads nowhere (%s): remove it, or make what it names",
                       path, fs_reason(why, reason));
    }
    return why == ENOENT || why == ENOTDIR ? BT_OK : fs_fail_read(path, why, err);
}

bt_status fs_open_read(const char *path, int *fd, int64_t *n_bytes, bt_error *err) {
    struct stat st;
    BT_TRY(fs_check_local(path, err));
    BT_TRY(bt_fs_refuse_special(path, err)); /* opening alone may move a tape */
    const int opened = open_descriptor(path, O_RDONLY);
    if (opened < 0) {
        return fs_fail_read(path, errno, err);
    }
    if (fstat(opened, &st) != 0 || S_ISDIR(st.st_mode)) {
        const int why = S_ISDIR(st.st_mode) ? EISDIR : errno;
        (void)close(opened);
        return fs_fail_read(path, why, err);
    }
    if (is_refused(path, &st)) {
        (void)close(opened);
        return fail_special(path, &st, err);
    }
    if (!S_ISREG(st.st_mode) && !S_ISSOCK(st.st_mode)) {
        (void)fcntl(opened, F_SETFL, 0); /* it was only not to wait for a writer here */
    }
    *n_bytes = S_ISREG(st.st_mode) ? (int64_t)st.st_size : -1;
    const bt_status rc = fs_refuse_pointer(opened, path, *n_bytes, err);
    if (rc != BT_OK) {
        (void)close(opened);
        return rc;
    }
    *fd = opened;
    return BT_OK;
}

static bt_status await(int fd, short events, const char *words, const char *path, bt_error *err) {
    struct pollfd wanted = {.fd = fd, .events = events};
    for (int i = 0;; i++) {
        const int n = poll(&wanted, 1, POLL_MILLISECONDS);
        if (n > 0 || (n < 0 && errno != EINTR)) {
            return BT_OK; /* ready, the end, or an error that the call itself tells */
        }
        BT_TRY(bt_stop_check_now(err));
        if (i == POLLS_BEFORE_A_LINE) {
            bt_log(BT_LOG_INFO, "waiting for %s %s", words, path);
        }
    }
}

bt_status fs_await_bytes(int fd, const char *path, bt_error *err) {
    return await(fd, POLLIN, "bytes from", path, err);
}

bt_status fs_await_room(int fd, const char *path, bt_error *err) {
    return await(fd, POLLOUT, "the reader of", path, err);
}

bt_status fs_open_special(const char *path, int flags, int *fd, bt_error *err) {
    for (int i = 0;; i++) {
        *fd = open_descriptor(path, O_WRONLY | flags);
        if (*fd >= 0) {
            (void)fcntl(*fd, F_SETFL, flags & O_APPEND);
            return BT_OK;
        }
        if (errno != ENXIO || fs_is_descriptor(path) || i == READER_POLLS) {
            return errno == ENXIO
                       ? BT_FAIL(err, BT_E_RESOURCE, "cannot write %s: nobody reads it", path)
                       : fs_fail_write(path, "write", errno, err);
        }
        if (i == 0) {
            bt_log(BT_LOG_INFO, "waiting for a reader of %s, for a minute at most", path);
        }
        (void)bt_stop_sleep(1e-3 * (double)POLL_MILLISECONDS);
        BT_TRY(bt_stop_check_now(err));
    }
}
