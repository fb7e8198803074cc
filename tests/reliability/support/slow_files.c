/* SPDX-License-Identifier: Apache-2.0
 *
 * Preloaded into a program: a disk that is slow for files whose path holds BT_SLOW_PATH. Each read,
 * pread, write or fsync of them (BT_SLOW_OP says which; without it all but writes) takes BT_SLOW_MS
 * milliseconds, whatever signals come, as calls on a disk do. The first one makes the file
 * BT_SLOW_MARK, so that a test knows that the program is there; BT_SLOW_SKIP calls before it are
 * fast. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static long number(const char *name) {
    const char *const text = getenv(name);
    return text != NULL ? strtol(text, NULL, 10) : 0;
}

static int is_slow(int fd, const char *op) {
    const char *const wanted = getenv("BT_SLOW_PATH");
    const char *const ops = getenv("BT_SLOW_OP");
    char              link[64];
    char              path[4096];
    if (wanted == NULL || (ops != NULL ? strcmp(ops, op) != 0 : strcmp(op, "write") == 0)) {
        return 0;
    }
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    return strstr(path, wanted) != NULL;
}

static void wait_if_slow(int fd, const char *op) {
    static atomic_long n_calls;
    const int          saved_errno = errno;
    if (is_slow(fd, op) && atomic_fetch_add(&n_calls, 1) >= number("BT_SLOW_SKIP")) {
        const char *const mark = getenv("BT_SLOW_MARK");
        const long        ms = number("BT_SLOW_MS");
        struct timespec   t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
        if (mark != NULL) {
            (void)close(open(mark, O_CREAT | O_WRONLY, 0666));
        }
        while (nanosleep(&t, &t) != 0 && errno == EINTR) {
        }
    }
    errno = saved_errno;
}

ssize_t read(int fd, void *dst, size_t n) {
    static ssize_t (*real)(int, void *, size_t);
    if (real == NULL) {
        *(void **)&real = dlsym(RTLD_NEXT, "read");
    }
    wait_if_slow(fd, "read");
    return real(fd, dst, n);
}

static ssize_t slow_pread(const char *name, int fd, void *dst, size_t n, off_t offset) {
    ssize_t (*real)(int, void *, size_t, off_t);
    *(void **)&real = dlsym(RTLD_NEXT, name);
    wait_if_slow(fd, "pread");
    return real(fd, dst, n, offset);
}

ssize_t pread(int fd, void *dst, size_t n, off_t offset) {
    return slow_pread("pread", fd, dst, n, offset);
}

ssize_t pread64(int fd, void *dst, size_t n, off_t offset) {
    return slow_pread("pread64", fd, dst, n, offset);
}

ssize_t write(int fd, const void *src, size_t n) {
    static ssize_t (*real)(int, const void *, size_t);
    if (real == NULL) {
        *(void **)&real = dlsym(RTLD_NEXT, "write");
    }
    wait_if_slow(fd, "write");
    return real(fd, src, n);
}

int fsync(int fd) {
    int (*real)(int);
    *(void **)&real = dlsym(RTLD_NEXT, "fsync");
    wait_if_slow(fd, "fsync");
    return real(fd);
}
