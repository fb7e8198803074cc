/* SPDX-License-Identifier: Apache-2.0
 *
 * What tests share: cmocka with its headers in order, our own float comparer (cmocka 1.1.5's
 * accepts NaN), statuses with their messages, paths of goldens, files and temporary folders. */
#ifndef BT_TEST_SUPPORT_H
#define BT_TEST_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bt/base/status.h"

enum { TEST_SKIP_EXIT = 77, TEST_PATH_MAX = 4096 };

/* |got - want| <= abs + rel * |want| for every element; both must be finite, or the same infinity.
 * On failure prints the worst index and fails the test. */
void test_close_f32(const float *got, const float *want, size_t n, double abs_tol, double rel_tol,
                    const char *what);
void test_close_f64(const double *got, const double *want, size_t n, double abs_tol, double rel_tol,
                    const char *what);
/* Variables after LAMB updates. It divides each gradient by its own size plus 1e-6, so an element
 * whose gradient (of the golden's first step; NULL: not there) is not 0 but lies below the
 * tolerance of gradients, 1e-6, moves by rounding noise as other BLAS kernels sum it: it gets
 * faint_tol. */
void test_close_lamb(const float *got, const float *want, const float *grad, size_t n,
                     double abs_tol, double faint_tol, const char *what);
/* The same without failing: largest excess over the tolerance (<= 0: all close; +inf: non-finite).
 */
double test_worst_excess_f32(const float *got, const float *want, size_t n, double abs_tol,
                             double rel_tol, size_t *worst);

/* Fails with the error's own message. */
#define assert_ok(call)                                                                            \
    do {                                                                                           \
        bt_error        test_err = BT_ERROR_INIT;                                                  \
        bt_error       *err = &test_err;                                                           \
        const bt_status test_status = (call);                                                      \
        if (test_status != BT_OK) {                                                                \
            fail_msg("%s: %s: %s", #call, bt_status_name(test_status), err->msg);                  \
        }                                                                                          \
    } while (0)
/* The call (which uses `err`) must fail with this status and a message that contains text. */
#define assert_fails(call, status, text)                                                           \
    do {                                                                                           \
        bt_error        test_err = BT_ERROR_INIT;                                                  \
        bt_error       *err = &test_err;                                                           \
        const bt_status test_status = (call);                                                      \
        test_check_failure(test_status, (status), err, (text), #call, __FILE__, __LINE__);         \
    } while (0)
void test_check_failure(bt_status got, bt_status want, const bt_error *err, const char *text,
                        const char *call, const char *file, int line);

/* Is the processor one that qemu-user emulates (tests/unit/kern/CMakeLists.txt)? A test that would
 * take minutes there takes fewer cases, each kind among them. */
bool test_is_emulated(void);
/* That, or under a sanitizer, which looks at memory and threads: numbers are what the release is
 * for. Whatever computes takes several times as long there, and takes fewer cases likewise. */
bool test_is_slow(void);

/* Path of Model Garden's goldens ("goldens/numerics/..."): the repository's own where it has them
 * (tests/goldens/model_garden), else below the folder of the others; NULL when that one is absent:
 * then the test prints why and skips: if (p == NULL) { test_skip(...); }. Static storage. */
const char *test_shared_path(const char *relative);
/* While this holds, test_shared_path looks outside the repository first. */
void test_prefer_outside(bool yes);
/* Of goldens that both have, in different sizes: the one outside the repository, or NULL. */
const char *test_outside_path(const char *relative);
const char *test_source_path(const char *relative); /* below the repository */
const char *test_build_path(const char *relative);  /* below the build folder */
/* A TCP port at which something will listen later: given once on this machine while this test runs,
 * and below those that the system hands out (tests/e2e/support/ranks.py claims by the same names).
 */
int test_free_port(void);
/* A fresh folder below $TMPDIR that is removed at exit. Static storage per call (up to 64). */
const char *test_temp_dir(void);

/* Prints "SKIPPED: why" and marks the running cmocka test as skipped. */
#define test_skip(why)                                                                             \
    do {                                                                                           \
        print_message("SKIPPED: %s\n", why);                                                       \
        skip();                                                                                    \
    } while (0)

/* Whole files; fail the test when they cannot be read or written. Free with bt_free. */
char *test_read_file(const char *path, size_t *n_bytes);
/* A text at root/path; makes the folders on the way as well. */
void test_write_below(const char *root, const char *path, const char *text);
void test_write_file(const char *path, const void *bytes, size_t n_bytes);

#endif
