/* SPDX-License-Identifier: Apache-2.0
 *
 * A library to preload: every request for memory of the whole process, whichever library makes it,
 * is counted, and one of them (or all from one on) is refused. It is between everything and
 * libc's heap. The environment says what to do:
 *   BT_HEAP_AT      the number of the request (from 1) that is refused; 0 or unset: none
 *   BT_HEAP_ONWARD  1: so are all later ones
 *   BT_HEAP_LOG     a file that gets "count N" at the end, and "refused N" with the places in the
 *                   code (MODULE+OFFSET, innermost first) of the first request that was refused
 *   BT_HEAP_TRACE   a file that gets such a line of every request: who asks from one place in the
 *                   code need not be tried a thousand times */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* glibc's own, after the names that are taken here */
void *__libc_malloc(size_t n_bytes);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *ptr, size_t n_bytes);
void *__libc_memalign(size_t align, size_t n_bytes);

enum { MAX_FRAMES = 24 };

static bool            ready;
static long            at, n_requests;
static bool            onward, has_refused;
static int             log_fd = -1, trace_fd = -1;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
/* what backtrace() and snprintf() ask for is not a request of the program's */
static __thread bool inside;

static long number(const char *name) {
    const char *const text = getenv(name);
    return text != NULL ? strtol(text, NULL, 10) : 0;
}

static int open_append(const char *name) {
    const char *const path = getenv(name);
    return path == NULL || path[0] == '\0'
               ? -1
               : (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
                              0644);
}

__attribute__((constructor)) static void begin(void) {
    void *frames[MAX_FRAMES];
    inside = true;
    (void)backtrace(frames, MAX_FRAMES); /* loads what it needs now */
    at = number("BT_HEAP_AT");
    onward = number("BT_HEAP_ONWARD") != 0;
    log_fd = open_append("BT_HEAP_LOG");
    trace_fd = open_append("BT_HEAP_TRACE");
    inside = false;
    ready = true;
}

static void put(int fd, const char *fmt, ...) {
    char    line[256];
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    (void)!syscall(SYS_write, fd, line, (size_t)n);
}

__attribute__((destructor)) static void end(void) {
    inside = true;
    if (log_fd >= 0) {
        put(log_fd, "count %ld\n", n_requests);
    }
}

/* "WHAT NUMBER MODULE+OFFSET ..." */
static void put_places(int fd, const char *what, long k) {
    void     *frames[MAX_FRAMES];
    char      line[MAX_FRAMES * 80];
    size_t    used = (size_t)snprintf(line, sizeof line, "%s %ld", what, k);
    const int n = backtrace(frames, MAX_FRAMES);
    for (int i = 3; i < n && used + 80 < sizeof line; i++) { /* not those of this file */
        Dl_info info;
        if (dladdr(frames[i], &info) != 0 && info.dli_fname != NULL) {
            const char *const slash = strrchr(info.dli_fname, '/');
            used += (size_t)snprintf(line + used, sizeof line - used, " %.40s+%#jx",
                                     slash != NULL ? slash + 1 : info.dli_fname,
                                     (uintmax_t)((char *)frames[i] - (char *)info.dli_fbase));
        }
    }
    line[used++] = '\n';
    (void)!syscall(SYS_write, fd, line, used);
}

/* Counts; true: this one is refused. */
static __attribute__((noinline)) bool refuses(void) {
    if (!ready || inside) {
        return false;
    }
    const int kept = errno;
    inside = true;
    (void)pthread_mutex_lock(&mutex);
    const long k = ++n_requests;
    const bool refused = at > 0 && (k == at || (onward && k > at));
    if (trace_fd >= 0) {
        put_places(trace_fd, "request", k);
    }
    if (refused && !has_refused && log_fd >= 0) {
        put_places(log_fd, "refused", k);
    }
    has_refused = has_refused || refused;
    (void)pthread_mutex_unlock(&mutex);
    inside = false;
    errno = refused ? ENOMEM : kept;
    return refused;
}

void *malloc(size_t n_bytes) {
    return refuses() ? NULL : __libc_malloc(n_bytes);
}

void *calloc(size_t n, size_t size) {
    return refuses() ? NULL : __libc_calloc(n, size);
}

/* To give a block back never fails. */
void *realloc(void *ptr, size_t n_bytes) {
    return n_bytes > 0 && refuses() ? NULL : __libc_realloc(ptr, n_bytes);
}

void *reallocarray(void *ptr, size_t n, size_t size) {
    size_t n_bytes = 0;
    if (__builtin_mul_overflow(n, size, &n_bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(ptr, n_bytes);
}

void *memalign(size_t align, size_t n_bytes) {
    return refuses() ? NULL : __libc_memalign(align, n_bytes);
}

void *aligned_alloc(size_t align, size_t n_bytes) {
    return refuses() ? NULL : __libc_memalign(align, n_bytes);
}

int posix_memalign(void **out, size_t align, size_t n_bytes) {
    const int   kept = errno;
    void *const ptr = refuses() ? NULL : __libc_memalign(align, n_bytes);
    errno = kept;
    if (ptr == NULL) {
        return ENOMEM;
    }
    *out = ptr;
    return 0;
}

/* Memory that is not a file. */
void *mmap(void *where, size_t n_bytes, int protection, int flags, int fd, off_t offset) {
    if ((flags & MAP_ANONYMOUS) != 0 && refuses()) {
        return MAP_FAILED;
    }
    const long got = syscall(SYS_mmap, where, n_bytes, protection, flags, fd, offset);
    return (void *)got; /* NOLINT(performance-no-int-to-ptr): -1 is MAP_FAILED */
}

void *mmap64(void *where, size_t n_bytes, int protection, int flags, int fd, off64_t offset) {
    return mmap(where, n_bytes, protection, flags, fd, offset);
}
