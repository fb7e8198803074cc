/* SPDX-License-Identifier: Apache-2.0
 *
 * Running StableHLO text on the CPU plug-in, for tests: compile once, run with arrays of this side.
 * Compiling takes seconds: few programs a test, and each used for all its cases. */
#ifndef BT_TEST_PJRT_RUN_H
#define BT_TEST_PJRT_RUN_H

#include "bt/pjrt.h"
#include "test_support.h"

/* The CPU plug-in with TEST_PJRT_N_DEVICES devices; the same at each call. NULL: it is not here, or
 * the build is without plug-ins, and the reason was printed as "SKIPPED: ...": the caller skips. */
bt_pjrt_client *test_pjrt_client(void);
enum { TEST_PJRT_N_DEVICES = 4 };

/* The end of a program that has used it: without destructors, since the plug-in keeps threads. */
_Noreturn void test_pjrt_exit(int rc);
/* All of a main() whose arguments name cases: runs each. "long" before them: with BT_LONG_TESTS=1
 * only. Returns TEST_SKIP_EXIT where there is no plug-in, else does not return. */
int test_pjrt_cases(int argc, char **argv, int (*run_case)(const char *name));

typedef struct test_pjrt_array {
    bt_pjrt_shape shape;
    void         *data; /* an argument is read, a result written */
} test_pjrt_array;

/* A dense array of a rank (up to 8) and its dims: TEST_PJRT_F32(x, 2, 5, 3) is x[5][3], and a
 * scalar is TEST_PJRT_F32(&x, 0, 0). */
#define TEST_PJRT_ARRAY(dtype, data, rank, ...)                                                    \
    { {(dtype), (rank), {__VA_ARGS__}}, (data) }
#define TEST_PJRT_F32(data, rank, ...) TEST_PJRT_ARRAY(BT_DTYPE_F32, data, rank, __VA_ARGS__)
#define TEST_PJRT_I32(data, rank, ...) TEST_PJRT_ARRAY(BT_DTYPE_I32, data, rank, __VA_ARGS__)
#define TEST_PJRT_U32(data, rank, ...) TEST_PJRT_ARRAY(BT_DTYPE_U32, data, rank, __VA_ARGS__)

/* Compiles text, or fails the test with what the compiler says. */
bt_pjrt_program *test_pjrt_compile(const char *text, int32_t n_replicas);
/* One run on one device: args up, run, results down. Fails the test on any error, and where the
 * program has another number of results or one of another size. */
void test_pjrt_run_program(bt_pjrt_program *program, const test_pjrt_array *args, size_t n_args,
                           const test_pjrt_array *results, size_t n_results);
/* compile, run, free */
void test_pjrt_run(const char *text, const test_pjrt_array *args, size_t n_args,
                   const test_pjrt_array *results, size_t n_results);

#endif
