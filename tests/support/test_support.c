/* SPDX-License-Identifier: Apache-2.0
 *
 * See test_support.h. */
#define _XOPEN_SOURCE 700
#include "test_support.h"
#include "bt/base/alloc.h"

#include <errno.h>
#include <ftw.h>
#include <glob.h>
#include <math.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { MAX_TEMP_DIRS = 64, N_PATHS = 32 };

static double excess(double got, double want, double abs_tol, double rel_tol) {
    if (got == want) {
        return -(abs_tol + rel_tol * fabs(want));
    }
    if (!isfinite(got) || !isfinite(want)) {
        return INFINITY;
    }
    return fabs(got - want) - (abs_tol + rel_tol * fabs(want));
}

double test_worst_excess_f32(const float *got, const float *want, size_t n, double abs_tol,
                             double rel_tol, size_t *worst) {
    double largest = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        const double e = excess((double)got[i], (double)want[i], abs_tol, rel_tol);
        if (e > largest) {
            largest = e;
            *worst = i;
        }
    }
    return largest;
}

void test_close_f32(const float *got, const float *want, size_t n, double abs_tol, double rel_tol,
                    const char *what) {
    size_t       worst = 0;
    const double e = test_worst_excess_f32(got, want, n, abs_tol, rel_tol, &worst);
    if (e > 0) {
        fail_msg("%s: at %zu of %zu: got %.9g, expected %.9g (tolerance %g abs + %g rel)", what,
                 worst, n, (double)got[worst], (double)want[worst], abs_tol, rel_tol);
    }
}

void test_close_lamb(const float *got, const float *want, const float *grad, size_t n,
                     double abs_tol, double faint_tol, const char *what) {
    size_t n_faint = 0;
    for (size_t i = 0; i < n; i++) {
        const bool is_faint = grad != NULL && grad[i] != 0.0F && fabsf(grad[i]) < 1e-6F;
        test_close_f32(got + i, want + i, 1, is_faint ? faint_tol : abs_tol, 0, what);
        n_faint += is_faint;
    }
    assert_true(n_faint < n / 20 + 32); /* the exception stays one */
}

void test_close_f64(const double *got, const double *want, size_t n, double abs_tol, double rel_tol,
                    const char *what) {
    for (size_t i = 0; i < n; i++) {
        if (excess(got[i], want[i], abs_tol, rel_tol) > 0) {
            fail_msg("%s: at %zu of %zu: got %.17g, expected %.17g (tolerance %g abs + %g rel)",
                     what, i, n, got[i], want[i], abs_tol, rel_tol);
        }
    }
}

void test_check_failure(bt_status got, bt_status want, const bt_error *err, const char *text,
                        const char *call, const char *file, int line) {
    if (got != want) {
        print_error("%s:%d: %s: expected '%s', got '%s' %s\n", file, line, call,
                    bt_status_name(want), bt_status_name(got), got == BT_OK ? "" : err->msg);
        _fail(file, line);
    }
    if (strstr(err->msg, text) == NULL) {
        print_error("%s:%d: %s: message lacks '%s': %s\n", file, line, call, text, err->msg);
        _fail(file, line);
    }
}

static const char *join(const char *variable, const char *relative) {
    static char       paths[N_PATHS][TEST_PATH_MAX];
    static int        next = 0;
    const char *const folder = getenv(variable);
    if (folder == NULL) {
        return NULL;
    }
    char *const path = paths[next++ % N_PATHS];
    (void)snprintf(path, TEST_PATH_MAX, "%s/%s", folder, relative);
    return path;
}

/* A file, a folder, or the prefix of a checkpoint's files. */
static bool is_there(const char *path) {
    char   pattern[TEST_PATH_MAX + 1];
    glob_t found = {0};
    (void)snprintf(pattern, sizeof pattern, "%s*", path);
    const bool any = glob(pattern, GLOB_NOSORT, NULL, &found) == 0;
    globfree(&found);
    return any;
}

const char *test_outside_path(const char *relative) {
    const char *const path = join("BT_SHARED_DIR", relative);
    return path != NULL && is_there(path) ? path : NULL;
}

static bool prefers_outside = false;

void test_prefer_outside(bool yes) {
    prefers_outside = yes;
}

/* In the sources, or what the build has unpacked of them; NULL: not in the repository. */
static const char *inside_path(const char *relative) {
    char              own[TEST_PATH_MAX];
    const char *const unpacked = join("BT_BUILD_DIR", relative);
    if (strncmp(relative, "goldens/", 8) != 0) {
        return NULL;
    }
    (void)snprintf(own, sizeof own, "tests/goldens/model_garden/%s", relative + 8);
    const char *const path = join("BT_SOURCE_DIR", own);
    return path != NULL && is_there(path)           ? path
           : unpacked != NULL && is_there(unpacked) ? unpacked
                                                    : NULL;
}

bool test_is_emulated(void) {
    return getenv("QEMU_CPU") != NULL;
}

bool test_is_slow(void) {
    return BT_TEST_SANITIZED || test_is_emulated();
}

const char *test_shared_path(const char *relative) {
    struct stat       st;
    const char *const inside = inside_path(relative);
    const char *const folder = getenv("BT_SHARED_DIR");
    if (inside != NULL && !(prefers_outside && test_outside_path(relative) != NULL)) {
        return inside;
    }
    return folder != NULL && stat(folder, &st) == 0 ? join("BT_SHARED_DIR", relative) : NULL;
}

const char *test_source_path(const char *relative) {
    const char *const path = join("BT_SOURCE_DIR", relative);
    assert_non_null(path);
    return path;
}

const char *test_build_path(const char *relative) {
    const char *const path = join("BT_BUILD_DIR", relative);
    assert_non_null(path);
    return path;
}

static char temp_dirs[MAX_TEMP_DIRS][TEST_PATH_MAX];
static int  n_temp_dirs;

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void remove_temp_dirs(void) {
    for (int i = 0; i < n_temp_dirs; i++) {
        (void)nftw(temp_dirs[i], remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    }
}

/* A name of this machine, not of a file; it ends with this process. */
static bool claim_port(int port) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const int          fd = socket(AF_UNIX, SOCK_STREAM, 0);
    const int          n =
        snprintf(at.sun_path + 1, sizeof at.sun_path - 1, "bert-train-test-port-%d", port);
    assert_true(fd >= 0);
    if (bind(fd, (const struct sockaddr *)&at,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) == 0) {
        return true; /* and stays open */
    }
    assert_int_equal(errno, EADDRINUSE);
    (void)close(fd);
    return false;
}

/* Does nobody listen there who claims no ports? */
static bool is_free_port(int port) {
    const struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    const int                fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    const bool is_free = bind(fd, (const struct sockaddr *)&at, sizeof at) == 0;
    (void)close(fd);
    return is_free;
}

int test_free_port(void) {
    enum { FIRST = 10000, N_PORTS = 10000 };
    static int n_tried;
    const int  start = (int)getpid() * 37;
    while (n_tried < N_PORTS) {
        const int port = FIRST + (start + n_tried++) % N_PORTS;
        if (claim_port(port) && is_free_port(port)) {
            return port;
        }
    }
    fail_msg("no port is free");
    return -1;
}

const char *test_temp_dir(void) {
    assert_true(n_temp_dirs < MAX_TEMP_DIRS);
    if (n_temp_dirs == 0) {
        (void)atexit(remove_temp_dirs);
    }
    const char *const base = getenv("TMPDIR");
    char *const       path = temp_dirs[n_temp_dirs];
    (void)snprintf(path, TEST_PATH_MAX, "%s/bt_test_XXXXXX", base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(path));
    n_temp_dirs++;
    return path;
}

char *test_read_file(const char *path, size_t *n_bytes) {
    FILE *const file = fopen(path, "rb");
    if (file == NULL) {
        fail_msg("cannot open %s", path);
    }
    assert_int_equal(fseeko(file, 0, SEEK_END), 0);
    const off_t size = ftello(file);
    assert_true(size >= 0);
    rewind(file);
    char *const bytes = bt_alloc((size_t)size + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, (size_t)size, file), (size_t)size);
    bytes[size] = '\0';
    (void)fclose(file);
    if (n_bytes != NULL) {
        *n_bytes = (size_t)size;
    }
    return bytes;
}

void test_write_file(const char *path, const void *bytes, size_t n_bytes) {
    FILE *const file = fopen(path, "wb");
    if (file == NULL) {
        fail_msg("cannot create %s", path);
    }
    assert_int_equal(fwrite(bytes, 1, n_bytes, file), n_bytes);
    assert_int_equal(fclose(file), 0);
}

void test_write_below(const char *root, const char *path, const char *text) {
    char all[512];
    (void)snprintf(all, sizeof all, "%s/%s", root, path);
    for (char *slash = strchr(all + strlen(root) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(all, 0700);
        *slash = '/';
    }
    test_write_file(all, text, strlen(text));
}
