/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads: a pool runs tasks 0..n_tasks-1 of one job on n_threads threads, the caller's included.
 * Thread i begins with the i-th of n_threads equal parts of them and helps others with theirs in
 * the end, so which thread runs which task is not defined: results must not depend on it. One that
 * comes when all tasks are taken (its processor was busy) is not waited for. All run under the
 * caller's floating-point control. Not reentrant: one caller at a time, no bt_pool_run from inside
 * a task. */
#ifndef BT_BASE_POOL_H
#define BT_BASE_POOL_H

#include "bt/base/cores.h"

typedef struct bt_pool bt_pool;
typedef void (*bt_pool_fn)(void *context, int64_t task, int32_t thread);

enum { BT_POOL_MAX_THREADS = 1024 }; /* runtime.threads says so, too */
BT_MUST_USE bt_status bt_pool_create(bt_pool **out, int32_t n_threads, bt_error *err);
void                  bt_pool_free(bt_pool *pool);
int32_t               bt_pool_n_threads(const bt_pool *pool); /* 1 for NULL */
void                  bt_pool_run(bt_pool *pool, int64_t n_tasks, bt_pool_fn fn,
                                  void *context); /* NULL pool: runs here */
/* The same for a job that was cut for this number of threads: one task of one thread would have
 * been more of more. */
void bt_pool_run_cut(bt_pool *pool, int64_t n_tasks, bt_pool_fn fn, void *context);

/* A job over n things, cut into pieces of `size` of them, the last one of what is left: how many
 * tasks that is, and the things [first, end) of one of them. */
typedef struct bt_pool_piece {
    int64_t first, n, end;
} bt_pool_piece;
static inline int64_t bt_pool_n_pieces(int64_t n, int64_t size) {
    return (n + size - 1) / size;
}
static inline bt_pool_piece bt_pool_piece_of(int64_t n, int64_t size, int64_t task) {
    const int64_t first = task * size;
    const int64_t end = n - first < size ? n : first + size;
    return (bt_pool_piece){.first = first, .n = end - first, .end = end};
}

/* Binds the threads, the caller's included, to cores or nodes of those that the process may use,
 * until the pool is freed. Errors speak of runtime.pin. */
BT_MUST_USE bt_status bt_pool_pin(bt_pool *pool, bt_pin_how how, bt_error *err);
void                  bt_pool_unpin(bt_pool *pool);
/* Could a pool of n_threads be bound so? The same errors. */
BT_MUST_USE bt_status bt_pool_check_pin(int32_t n_threads, bt_pin_how how, bt_error *err);

/* bt_calloc_array, with each part zeroed by the thread that begins with it in a job: memory is
 * where it was touched first. */
void *bt_pool_calloc(bt_pool *pool, size_t n, size_t size);

/* The caller's time inside of jobs that can be divided (of two tasks or more, or cut for the pool)
 * since the pool began; what it does besides is serial, however many threads there are. */
typedef struct bt_pool_spent {
    double  seconds;
    int64_t n_jobs;
} bt_pool_spent;
bt_pool_spent bt_pool_get_spent(const bt_pool *pool); /* zeros for NULL */

#endif
