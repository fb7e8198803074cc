/* SPDX-License-Identifier: Apache-2.0
 *
 * The system calls that touch files, each behind a counter by which a test makes the k-th one
 * fail. Costs two relaxed loads per call in production. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bt/base/log.h"
#include "fs_internal.h"

typedef struct fault {
    atomic_uint_fast64_t n_calls;
    atomic_uint_fast64_t fail_at; /* call number that fails; 0 = none */
    atomic_bool          persistent;
} fault;

static fault faults[BT_FS_N_OPS];

static const int fault_errno[BT_FS_N_OPS] = {
    [BT_FS_OP_OPEN] = EACCES, [BT_FS_OP_READ] = EIO,      [BT_FS_OP_WRITE] = ENOSPC,
    [BT_FS_OP_FSYNC] = EIO,   [BT_FS_OP_RENAME] = EACCES,
};

void bt_fs_fail_at(bt_fs_op op, uint64_t k, bool persistent) {
    fault *const f = &faults[op];
    atomic_store(&f->persistent, persistent);
    atomic_store(&f->fail_at, k == 0 ? 0 : atomic_load(&f->n_calls) + k);
}

uint64_t bt_fs_op_count(bt_fs_op op) {
    return atomic_load(&faults[op].n_calls);
}

bool fs_must_fail(bt_fs_op op) {
    fault *const   f = &faults[op];
    const uint64_t call = atomic_fetch_add_explicit(&f->n_calls, 1, memory_order_relaxed) + 1;
    const uint64_t target = atomic_load_explicit(&f->fail_at, memory_order_relaxed);
    if (target == 0 || call < target || (call > target && !atomic_load(&f->persistent))) {
        return false;
    }
    errno = fault_errno[op];
    return true;
}

int fs_sys_open(const char *path, int flags) {
    return fs_sys_create(path, flags, 0666);
}

int fs_sys_create(const char *path, int flags, mode_t mode) {
    if (fs_must_fail(BT_FS_OP_OPEN)) {
        return -1;
    }
    int fd = -1;
    do {
        fd = open(path, flags | O_CLOEXEC, mode);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

ssize_t fs_sys_read(int fd, void *dst, size_t n) {
    if (fs_must_fail(BT_FS_OP_READ)) {
        return -1;
    }
    ssize_t got = -1;
    do {
        got = read(fd, dst, n);
    } while (got < 0 && errno == EINTR);
    return got;
}

ssize_t fs_sys_pread(int fd, void *dst, size_t n, int64_t offset) {
    if (fs_must_fail(BT_FS_OP_READ)) {
        return -1;
    }
    ssize_t got = -1;
    do {
        got = pread(fd, dst, n, (off_t)offset);
    } while (got < 0 && errno == EINTR);
    return got;
}

ssize_t fs_sys_write(int fd, const void *src, size_t n) {
    if (fs_must_fail(BT_FS_OP_WRITE)) {
        return -1;
    }
    ssize_t done = -1;
    do {
        done = write(fd, src, n);
    } while (done < 0 && errno == EINTR);
    return done;
}

int fs_sys_fsync(int fd) {
    if (fs_must_fail(BT_FS_OP_FSYNC)) {
        return -1;
    }
    int result = -1;
    do {
        result = fsync(fd);
    } while (result != 0 && errno == EINTR);
    return result;
}

/* File servers may say EINTR of what was done all the same, so the repetition finds it done. */

static bool is_there(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0;
}

int fs_sys_rename(const char *from, const char *to) {
    return fs_must_fail(BT_FS_OP_RENAME) ? -1 : fs_sys_rename_back(from, to);
}

int fs_sys_rename_back(const char *from, const char *to) {
    int result = rename(from, to);
    while (result != 0 && errno == EINTR) {
        result = rename(from, to);
        if (result != 0 && errno == ENOENT && !is_there(from) && is_there(to)) {
            return 0;
        }
    }
    return result;
}

static bool is_same(const char *a, const char *b) {
    struct stat st_a, st_b;
    return lstat(a, &st_a) == 0 && lstat(b, &st_b) == 0 && st_a.st_dev == st_b.st_dev &&
           st_a.st_ino == st_b.st_ino;
}

int fs_sys_link(const char *from, const char *to) {
    int result = link(from, to);
    while (result != 0 && errno == EINTR) {
        result = link(from, to);
        if (result != 0 && errno == EEXIST) {
            return is_same(from, to) ? 0 : -1;
        }
    }
    return result;
}

static int take_away(int (*call)(const char *path), const char *path) {
    int result = call(path);
    while (result != 0 && errno == EINTR) {
        result = call(path);
        if (result != 0 && errno == ENOENT) {
            return 0;
        }
    }
    return result;
}

int fs_sys_unlink(const char *path) {
    return take_away(unlink, path);
}

int fs_sys_remove(const char *path) {
    return take_away(remove, path);
}

void fs_discard(const char *path) {
    const int kept = errno;
    if (fs_sys_unlink(path) != 0 && errno != ENOENT && fs_sys_unlink(path) != 0 &&
        errno != ENOENT) {
        char reason[FS_REASON_MAX];
        bt_log(BT_LOG_WARNING,
               "%s cannot be removed: %s; nothing needs it, and the next run that writes there "
               "removes it if it can",
               path, fs_reason(errno, reason));
    }
    errno = kept;
}
