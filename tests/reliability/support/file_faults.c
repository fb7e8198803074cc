/* SPDX-License-Identifier: Apache-2.0
 *
 * A library to preload: what a program does to files below one folder is counted, written down, and
 * made to fail or to be the program's last act. It is between the program and libc, so it knows
 * nothing of the program. The environment says what to do:
 *   BT_FAULT_ROOT   only paths that hold this text count
 *   BT_FAULT_LOG    each operation adds a line "NUMBER OPERATION PATH"; the last one is the count
 *   BT_FAULT_AT     the number of the operation (from 1) to which something happens; 0 or unset:
 * none BT_FAULT_ACTION kill (before it), kill_after, tear (half of a write, then kill), errno,
 * short (half of a read or write), zero (a read or write of nothing), term (SIGTERM) BT_FAULT_ERRNO
 * the number that errno gets; BT_FAULT_ONWARD=1: so do all later ones BT_FAULT_READS  =1: reading
 * counts as well (open to read, read, pread) BT_FAULT_RECORD a file that gets every change in full,
 * for power_loss.py BT_FAULT_NOSYNC =1: fsync does nothing (a kill loses nothing that was written)
 *   BT_FAULT_DELAY  milliseconds that each fsync takes longer: a slow disk; BT_FAULT_UNTIL: and
 * then until that file is there
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* glibc's checked twins, which no header of its declares for others */
int     __open_2(const char *path, int flags);
int     __open64_2(const char *path, int flags);
ssize_t __read_chk(int fd, void *bytes, size_t n, size_t n_room);
ssize_t __pread_chk(int fd, void *bytes, size_t n, off_t offset, size_t n_room);
ssize_t __pread64_chk(int fd, void *bytes, size_t n, off64_t offset, size_t n_room);

typedef enum action { GO_ON, FAIL, SHORT, ZERO, KILL_AFTER, TEAR } action;

static const char     *root = "";
static const char     *what = "";
static long            at;
static bool            onward, reads, no_sync;
static int             error_number;
static long            delay_ms;
static int             log_fd = -1;
static int             record_fd = -1;
static const char     *until = "";
static long            n_operations;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static const char *setting(const char *name) {
    const char *const text = getenv(name);
    return text != NULL ? text : "";
}

static long number(const char *name) {
    return strtol(setting(name), NULL, 10);
}

static int open_append(const char *path) {
    return path[0] == '\0' ? -1
                           : (int)syscall(SYS_openat, AT_FDCWD, path,
                                          O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

__attribute__((constructor)) static void begin(void) {
    root = setting("BT_FAULT_ROOT");
    what = setting("BT_FAULT_ACTION");
    at = number("BT_FAULT_AT");
    onward = number("BT_FAULT_ONWARD") != 0;
    reads = number("BT_FAULT_READS") != 0;
    no_sync = number("BT_FAULT_NOSYNC") != 0;
    error_number = (int)number("BT_FAULT_ERRNO");
    delay_ms = number("BT_FAULT_DELAY");
    until = setting("BT_FAULT_UNTIL");
    log_fd = open_append(setting("BT_FAULT_LOG"));
    record_fd = open_append(setting("BT_FAULT_RECORD"));
}

static void die(void) {
    (void)kill(getpid(), SIGKILL);
    for (;;) {
        (void)pause();
    }
}

static bool path_counts(const char *path) {
    char full[PATH_MAX + 1];
    char where[PATH_MAX + 1];
    if (root[0] == '\0' || strstr(path, root) != NULL) {
        return root[0] != '\0';
    }
    if (path[0] == '/' || getcwd(where, sizeof where) == NULL) {
        return false;
    }
    (void)snprintf(full, sizeof full, "%.2000s/%.2000s", where, path);
    return strstr(full, root) != NULL;
}

static bool fd_path(int fd, char path[PATH_MAX + 1]) {
    char link[64];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link, path, PATH_MAX);
    path[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static action act_on(long k) {
    if (at == 0 || (k != at && !(onward && k > at))) {
        return GO_ON;
    }
    if (strcmp(what, "kill") == 0) {
        die();
    }
    if (strcmp(what, "term") == 0 && k == at) {
        (void)kill(getpid(), SIGTERM);
        return GO_ON;
    }
    static const struct {
        const char *name;
        action      action;
    } names[] = {{"errno", FAIL},
                 {"short", SHORT},
                 {"zero", ZERO},
                 {"kill_after", KILL_AFTER},
                 {"tear", TEAR}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(what, names[i].name) == 0) {
            return names[i].action;
        }
    }
    return GO_ON;
}

static action count(const char *operation, const char *path) {
    const int kept = errno;
    (void)pthread_mutex_lock(&mutex);
    const long k = ++n_operations;
    if (log_fd >= 0) {
        char      line[PATH_MAX + 64];
        const int n = snprintf(line, sizeof line, "%ld %s %s\n", k, operation, path);
        (void)!syscall(SYS_write, log_fd, line, (size_t)n);
    }
    (void)pthread_mutex_unlock(&mutex);
    const action found = act_on(k);
    errno = found == FAIL ? error_number : kept;
    return found;
}

static action count_path(const char *operation, const char *path) {
    return path_counts(path) ? count(operation, path) : GO_ON;
}

static action count_fd(const char *operation, int fd) {
    char       path[PATH_MAX + 1];
    const int  kept = errno;
    const bool counts = fd_path(fd, path) && path_counts(path);
    errno = kept;
    return counts ? count(operation, path) : GO_ON;
}

/* Recording: lines "OPERATION FIELDS"; a write's bytes follow its line. */

static void record(const char *line, const void *bytes, size_t n_bytes) {
    const struct iovec parts[] = {{(void *)(uintptr_t)line, strlen(line)},
                                  {(void *)(uintptr_t)bytes, n_bytes}};
    (void)pthread_mutex_lock(&mutex);
    (void)!syscall(SYS_writev, record_fd, parts, n_bytes > 0 ? 2 : 1);
    (void)pthread_mutex_unlock(&mutex);
}

static void record_fd_operation(const char *operation, int fd, int64_t value, const void *bytes,
                                size_t n_bytes) {
    struct stat st;
    char        path[PATH_MAX + 1];
    char        line[PATH_MAX + 128];
    const int   kept = errno;
    if (record_fd >= 0 && fstat(fd, &st) == 0 && fd_path(fd, path) &&
        (path_counts(path) || fd == STDERR_FILENO)) {
        (void)snprintf(line, sizeof line, "%s\t%s\t%ju\t%jd\t%zu\n", operation,
                       fd == STDERR_FILENO ? "<stderr>" : path, (uintmax_t)st.st_ino,
                       (intmax_t)value, n_bytes);
        record(line, bytes, n_bytes);
    }
    errno = kept;
}

static void record_path(const char *operation, const char *path, const char *other) {
    char        line[3 * PATH_MAX];
    char        where[PATH_MAX + 1];
    struct stat st;
    const int   kept = errno;
    if (record_fd >= 0 && (path_counts(path) || path_counts(other)) &&
        getcwd(where, sizeof where) != NULL) {
        const char *const at_end = other[0] != '\0' ? other : path;
        const uintmax_t   inode = lstat(at_end, &st) == 0 ? (uintmax_t)st.st_ino : 0;
        (void)snprintf(line, sizeof line, "%s\t%s\t%ju\t%s\t%s\n", operation, path, inode, other,
                       where);
        record(line, NULL, 0);
    }
    errno = kept;
}

/* A function pointer out of dlsym, without a cast that ISO C forbids. */
#define REAL(type, name, ...)                                                                      \
    static type (*real)(__VA_ARGS__);                                                              \
    if (real == NULL) {                                                                            \
        void *const symbol = dlsym(RTLD_NEXT, name);                                               \
        memcpy(&real, &symbol, sizeof symbol);                                                     \
    }

static bool is_change(int flags) {
    return (flags & (O_CREAT | O_TRUNC)) != 0;
}

static int open_counted(int (*real)(const char *, int, ...), const char *path, int flags,
                        mode_t mode) {
    const bool   counts = is_change(flags) || reads;
    const action found = counts ? count_path(is_change(flags) ? "create" : "open", path) : GO_ON;
    struct stat  st;
    if (found == FAIL) {
        return -1;
    }
    const int  kept = errno;
    const bool was_there = lstat(path, &st) == 0;
    errno = kept;
    const int fd = real(path, flags, mode);
    if (found == KILL_AFTER || found == TEAR) {
        die();
    }
    if (fd >= 0 && is_change(flags)) {
        record_path(was_there ? "open" : "create", path, "");
        if (was_there && (flags & O_TRUNC) != 0) {
            record_fd_operation("truncate", fd, 0, NULL, 0);
        }
    }
    return fd;
}

static mode_t mode_of(int flags, va_list arguments) {
    return (flags & (O_CREAT | O_TMPFILE)) != 0 ? (mode_t)va_arg(arguments, unsigned) : 0;
}

#define OPEN(name, symbol)                                                                         \
    int name(const char *path, int flags, ...) {                                                   \
        REAL(int, symbol, const char *, int, ...)                                                  \
        va_list arguments;                                                                         \
        va_start(arguments, flags);                                                                \
        const mode_t mode = mode_of(flags, arguments);                                             \
        va_end(arguments);                                                                         \
        return open_counted(real, path, flags, mode);                                              \
    }
OPEN(open, "open")
OPEN(open64, "open64")

int __open_2(const char *path, int flags) {
    return open(path, flags);
}

int __open64_2(const char *path, int flags) {
    return open64(path, flags);
}

#define OPENAT(name, symbol)                                                                       \
    int name(int folder, const char *path, int flags, ...) {                                       \
        REAL(int, symbol, int, const char *, int, ...)                                             \
        va_list arguments;                                                                         \
        va_start(arguments, flags);                                                                \
        const mode_t mode = mode_of(flags, arguments);                                             \
        va_end(arguments);                                                                         \
        return folder == AT_FDCWD || path[0] == '/' ? open(path, flags, mode)                      \
                                                    : real(folder, path, flags, mode);             \
    }
OPENAT(openat, "openat")
OPENAT(openat64, "openat64")

/* How many of n bytes go through, or -1: none and an error, as libc says it. */
static ssize_t allowed(action found, size_t n) {
    switch (found) {
    case FAIL:
        return -1;
    case ZERO:
        return 0;
    case SHORT:
    case TEAR:
        return (ssize_t)(n > 1 ? n / 2 : n);
    case GO_ON:
    case KILL_AFTER:
        break;
    }
    return (ssize_t)n;
}

ssize_t write(int fd, const void *bytes, size_t n) {
    REAL(ssize_t, "write", int, const void *, size_t)
    const action  found = count_fd("write", fd);
    const ssize_t n_allowed = allowed(found, n);
    if (n_allowed < 0 || found == ZERO) {
        return n_allowed;
    }
    const ssize_t done = real(fd, bytes, (size_t)n_allowed);
    if (found == KILL_AFTER || found == TEAR) {
        die();
    }
    if (done > 0) {
        const off_t end = record_fd >= 0 ? lseek(fd, 0, SEEK_CUR) : 0;
        record_fd_operation("write", fd, end < 0 ? 0 : (int64_t)end - done, bytes, (size_t)done);
    }
    return done;
}

#define PWRITE(name, symbol, type)                                                                 \
    ssize_t name(int fd, const void *bytes, size_t n, type offset) {                               \
        REAL(ssize_t, symbol, int, const void *, size_t, type)                                     \
        const action  found = count_fd("write", fd);                                               \
        const ssize_t n_allowed = allowed(found, n);                                               \
        if (n_allowed < 0 || found == ZERO) {                                                      \
            return n_allowed;                                                                      \
        }                                                                                          \
        const ssize_t done = real(fd, bytes, (size_t)n_allowed, offset);                           \
        if (found == KILL_AFTER || found == TEAR) {                                                \
            die();                                                                                 \
        }                                                                                          \
        if (done > 0) {                                                                            \
            record_fd_operation("write", fd, (int64_t)offset, bytes, (size_t)done);                \
        }                                                                                          \
        return done;                                                                               \
    }
PWRITE(pwrite, "pwrite", off_t)
PWRITE(pwrite64, "pwrite64", off64_t)

ssize_t read(int fd, void *bytes, size_t n) {
    REAL(ssize_t, "read", int, void *, size_t)
    const ssize_t n_allowed = allowed(reads ? count_fd("read", fd) : GO_ON, n);
    return n_allowed > 0 ? real(fd, bytes, (size_t)n_allowed) : n_allowed;
}

ssize_t __read_chk(int fd, void *bytes, size_t n, size_t n_room) {
    (void)n_room;
    return read(fd, bytes, n);
}

#define PREAD(name, symbol, type)                                                                  \
    ssize_t name(int fd, void *bytes, size_t n, type offset) {                                     \
        REAL(ssize_t, symbol, int, void *, size_t, type)                                           \
        const ssize_t n_allowed = allowed(reads ? count_fd("read", fd) : GO_ON, n);                \
        return n_allowed > 0 ? real(fd, bytes, (size_t)n_allowed, offset) : n_allowed;             \
    }
PREAD(pread, "pread", off_t)
PREAD(pread64, "pread64", off64_t)

ssize_t __pread_chk(int fd, void *bytes, size_t n, off_t offset, size_t n_room) {
    (void)n_room;
    return pread(fd, bytes, n, offset);
}

ssize_t __pread64_chk(int fd, void *bytes, size_t n, off64_t offset, size_t n_room) {
    (void)n_room;
    return pread64(fd, bytes, n, offset);
}

static void delay(int fd) {
    char path[PATH_MAX + 1];
    if (delay_ms > 0 && fd_path(fd, path) && path_counts(path)) {
        const struct timespec time = {.tv_sec = delay_ms / 1000,
                                      .tv_nsec = delay_ms % 1000 * 1000000};
        (void)nanosleep(&time, NULL);
        while (until[0] != '\0' && syscall(SYS_faccessat, AT_FDCWD, until, F_OK) != 0) {
            const struct timespec soon = {.tv_nsec = 2000000};
            (void)nanosleep(&soon, NULL);
        }
    }
}

/* fsync and its kin. A sync that fails has put nothing on the disk. */
static int sync_counted(int (*real)(int), int fd) {
    const action found = count_fd("sync", fd);
    delay(fd);
    if (found == FAIL) {
        return -1;
    }
    const int rc = no_sync ? 0 : real(fd);
    if (found == KILL_AFTER || found == TEAR) {
        die();
    }
    if (rc == 0) {
        record_fd_operation("sync", fd, 0, NULL, 0);
    }
    return rc;
}

int fsync(int fd) {
    REAL(int, "fsync", int)
    return sync_counted(real, fd);
}

int fdatasync(int fd) {
    REAL(int, "fdatasync", int)
    return sync_counted(real, fd);
}

int close(int fd) {
    REAL(int, "close", int)
    char         path[PATH_MAX + 1];
    const int    flags = fcntl(fd, F_GETFL);
    const bool   is_written = flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
    const action found = is_written && fd_path(fd, path) ? count_fd("close", fd) : GO_ON;
    const int    rc = real(fd);
    if (found == KILL_AFTER || found == TEAR) {
        die();
    }
    if (found == FAIL) {
        errno = error_number;
        return -1;
    }
    return rc;
}

#define TRUNCATE(name, symbol, type)                                                               \
    int name(int fd, type n_bytes) {                                                               \
        REAL(int, symbol, int, type)                                                               \
        const action found = count_fd("truncate", fd);                                             \
        if (found == FAIL) {                                                                       \
            return -1;                                                                             \
        }                                                                                          \
        const int rc = real(fd, n_bytes);                                                          \
        if (found == KILL_AFTER || found == TEAR) {                                                \
            die();                                                                                 \
        }                                                                                          \
        if (rc == 0) {                                                                             \
            record_fd_operation("truncate", fd, (int64_t)n_bytes, NULL, 0);                        \
        }                                                                                          \
        return rc;                                                                                 \
    }
TRUNCATE(ftruncate, "ftruncate", off_t)
TRUNCATE(ftruncate64, "ftruncate64", off64_t)

/* Names: rename, link, symlink take two paths, the others one. */
static int name_counted(action found, int rc, const char *operation, const char *path,
                        const char *other) {
    if (found == KILL_AFTER || found == TEAR) {
        die();
    }
    if (rc == 0) {
        record_path(operation, path, other);
    }
    return rc;
}

#define TWO_PATHS(name)                                                                            \
    int name(const char *from, const char *to) {                                                   \
        REAL(int, #name, const char *, const char *)                                               \
        const action found = count_path(#name, to);                                                \
        return found == FAIL ? -1 : name_counted(found, real(from, to), #name, from, to);          \
    }
TWO_PATHS(rename)
TWO_PATHS(link)
TWO_PATHS(symlink)

#define ONE_PATH(name, operation)                                                                  \
    int name(const char *path) {                                                                   \
        REAL(int, #name, const char *)                                                             \
        const action found = count_path(operation, path);                                          \
        return found == FAIL ? -1 : name_counted(found, real(path), operation, path, "");          \
    }
ONE_PATH(unlink, "unlink")
ONE_PATH(remove, "unlink")
ONE_PATH(rmdir, "rmdir")

int mkdir(const char *path, mode_t mode) {
    REAL(int, "mkdir", const char *, mode_t)
    const action found = count_path("mkdir", path);
    return found == FAIL ? -1 : name_counted(found, real(path, mode), "mkdir", path, "");
}
