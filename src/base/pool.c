/* SPDX-License-Identifier: Apache-2.0
 *
 * The thread pool. Workers sleep on a condition variable after a short spin. The tasks of a job are
 * divided into as many ranges as there are threads: a thread takes those of its own range, then
 * what others have left of theirs. So a thread meets the same part of a buffer in each job, which
 * is then in its caches and in the memory beside it, and no thread waits for another one's tasks.
 * Nor is one waited for that has not come: where other programs have the processor it would run on,
 * its tasks are done before it wakes, and it finds the job closed. The caller works too, so a pool
 * of one thread starts no thread at all. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/cores.h"
#include "bt/base/fp.h"
#include "bt/base/pool.h"
#include "bt/base/time.h"

enum { SPINS = 2000, CACHE_LINE = 64, JOB_OPEN = 1 << 30 };

typedef struct worker {
    bt_pool  *pool;
    pthread_t thread;
    int32_t   index;
} worker;

/* Tasks of a job; each on cache lines of its own, since one thread takes most of them. */
typedef struct task_range {
    _Alignas(CACHE_LINE) atomic_int_fast64_t next;
    int64_t end;
} task_range;

struct bt_pool {
    int32_t         n_threads;
    int32_t         n_started;
    worker         *workers; /* owned; [n_threads], 0 is the caller and has no thread */
    pthread_mutex_t lock;
    pthread_cond_t  wake;
    atomic_uint     generation; /* a new job: +1 */
    atomic_bool     quit;
    bt_pool_fn      fn;
    void           *context;
    bt_fp_state     fp;     /* the caller's */
    task_range     *ranges; /* owned; [n_threads] */
    atomic_int      gate;   /* of the job: workers inside it, and JOB_OPEN while more may enter */
    bool            is_pinned;
    bt_pool_spent   spent;
};

static void run_range(bt_pool *pool, task_range *range, int32_t thread) {
    while (atomic_load_explicit(&range->next, memory_order_relaxed) < range->end) {
        const int64_t task = atomic_fetch_add(&range->next, 1);
        if (task < range->end) {
            pool->fn(pool->context, task, thread);
        }
    }
}

static void run_tasks(bt_pool *pool, int32_t thread) {
    for (int32_t i = thread; i < pool->n_threads; i++) {
        run_range(pool, &pool->ranges[i], thread);
    }
    for (int32_t i = 0; i < thread; i++) {
        run_range(pool, &pool->ranges[i], thread);
    }
}

/* Returns the generation of the last job that was started, which is not `seen`. */
static unsigned wait_for_job(bt_pool *pool, unsigned seen) {
    for (int i = 0; i < SPINS; i++) {
        const unsigned now = atomic_load(&pool->generation);
        if (now != seen) {
            return now;
        }
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
    pthread_mutex_lock(&pool->lock);
    while (atomic_load(&pool->generation) == seen) {
        pthread_cond_wait(&pool->wake, &pool->lock);
    }
    const unsigned now = atomic_load(&pool->generation);
    pthread_mutex_unlock(&pool->lock);
    return now;
}

/* false: the job has been closed. */
static bool enter_job(bt_pool *pool) {
    int seen = atomic_load(&pool->gate);
    while ((seen & JOB_OPEN) != 0) {
        if (atomic_compare_exchange_weak(&pool->gate, &seen, seen + 1)) {
            return true;
        }
    }
    return false;
}

static void *worker_main(void *arg) {
    worker *const  self = arg;
    bt_pool *const pool = self->pool;
    unsigned       seen = 0;
    for (;;) {
        seen = wait_for_job(pool, seen);
        if (atomic_load(&pool->quit)) {
            return NULL;
        }
        if (enter_job(pool)) { /* the last one, or a later one: it does no harm to come twice */
            bt_fp_set(pool->fp);
            run_tasks(pool, self->index);
            atomic_fetch_sub(&pool->gate, 1);
        }
    }
}

static void start_job(bt_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->generation, 1);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
}

static bool bind_worker(const worker *w, const bt_cpus *cpus) {
    cpu_set_t mask;
    memcpy(&mask, cpus, sizeof mask);
    const int failure = pthread_setaffinity_np(w->thread, sizeof mask, &mask);
    errno = failure;
    return failure == 0;
}

bt_status bt_pool_create(bt_pool **out, int32_t n_threads, bt_error *err) {
    bt_status rc = BT_OK;
    if (n_threads < 1 || n_threads > BT_POOL_MAX_THREADS) {
        return BT_FAIL(err, BT_E_CONFIG, "%" PRId32 " threads: expected 1 to %d", n_threads,
                       (int)BT_POOL_MAX_THREADS);
    }
    bt_pool *pool = bt_calloc_array(1, sizeof *pool);
    if (pool == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a thread pool");
    }
    pool->n_threads = n_threads;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pool->workers = bt_calloc_array((size_t)n_threads, sizeof *pool->workers);
    pool->ranges = bt_calloc_array((size_t)n_threads, sizeof *pool->ranges);
    if (pool->workers == NULL || pool->ranges == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for %" PRId32 " threads", n_threads);
        goto done;
    }
    bt_cpus    allowed;
    const bool is_known = bt_cpus_allowed(&allowed);
    for (int32_t i = 1; i < n_threads; i++) {
        pool->workers[i] = (worker){.pool = pool, .index = i};
        const int failure =
            pthread_create(&pool->workers[i].thread, NULL, worker_main, &pool->workers[i]);
        if (failure != 0) {
            rc = BT_FAIL(err, BT_E_RESOURCE, "cannot start thread %" PRId32 " of %" PRId32 ": %s",
                         i, n_threads, strerror(failure));
            goto done;
        }
        pool->n_started = i;
        if (is_known) { /* not by the worker itself, which may begin after it was pinned */
            (void)bind_worker(&pool->workers[i], &allowed);
        }
    }
    *out = pool;
    pool = NULL;
done:
    bt_pool_free(pool);
    return rc;
}

void bt_pool_free(bt_pool *pool) {
    if (pool == NULL) {
        return;
    }
    bt_pool_unpin(pool);
    atomic_store(&pool->quit, true);
    start_job(pool);
    for (int32_t i = 1; i <= pool->n_started; i++) {
        pthread_join(pool->workers[i].thread, NULL);
    }
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    bt_free(pool->workers);
    bt_free(pool->ranges);
    bt_free(pool);
}

/* Owned by the caller. */
static bt_status plan_pins(int32_t n_threads, bt_pin_how how, bt_cpus **out, bt_error *err) {
    bt_cpus allowed;
    if (!bt_cpus_allowed(&allowed)) {
        return BT_FAIL(err, BT_E_RESOURCE,
                       "runtime.pin: this system does not say which processors the process may "
                       "use: %s; set runtime.pin to none",
                       strerror(errno));
    }
    bt_cpus *const plan = bt_alloc_array((size_t)n_threads, sizeof *plan);
    if (plan == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a plan of threads");
    }
    const bt_status rc = bt_pin_plan(BT_CORES_ROOT, &allowed, how, n_threads, plan, err);
    if (rc != BT_OK) {
        bt_free(plan);
        return rc;
    }
    *out = plan;
    return BT_OK;
}

static bt_status fail_bind(int32_t i, int32_t n_threads, bt_error *err) {
    return BT_FAIL(err, BT_E_RESOURCE,
                   "runtime.pin: thread %" PRId32 " of %" PRId32
                   " cannot be bound to processors: %s; set runtime.pin to none",
                   i, n_threads, strerror(errno));
}

bt_status bt_pool_check_pin(int32_t n_threads, bt_pin_how how, bt_error *err) {
    bt_cpus *plan = NULL;
    BT_TRY(plan_pins(n_threads, how, &plan, err));
    const bool      can = bt_cpus_bind(&plan[0]); /* some sandboxes refuse it */
    const bt_status rc = can ? BT_OK : fail_bind(0, n_threads, err);
    if (can) {
        bt_cpus_release();
    }
    bt_free(plan);
    return rc;
}

bt_status bt_pool_pin(bt_pool *pool, bt_pin_how how, bt_error *err) {
    bt_cpus *plan = NULL;
    BT_TRY(plan_pins(pool->n_threads, how, &plan, err));
    bt_status rc = BT_OK;
    for (int32_t i = 0; rc == BT_OK && i < pool->n_threads; i++) {
        if (!(i == 0 ? bt_cpus_bind(&plan[0]) : bind_worker(&pool->workers[i], &plan[i]))) {
            rc = fail_bind(i, pool->n_threads, err);
        }
        pool->is_pinned = pool->is_pinned || (rc == BT_OK && i == 0);
    }
    bt_free(plan);
    return rc;
}

void bt_pool_unpin(bt_pool *pool) {
    bt_cpus allowed;
    if (!pool->is_pinned) {
        return;
    }
    pool->is_pinned = false;
    bt_cpus_release();
    for (int32_t i = 1; bt_cpus_allowed(&allowed) && i <= pool->n_started; i++) {
        (void)bind_worker(&pool->workers[i], &allowed);
    }
}

int32_t bt_pool_n_threads(const bt_pool *pool) {
    return pool == NULL ? 1 : pool->n_threads;
}

static void run_undivided(int64_t n_tasks, bt_pool_fn fn, void *context) {
    for (int64_t task = 0; task < n_tasks; task++) {
        fn(context, task, 0);
    }
}

static void run_divided(bt_pool *pool, int64_t n_tasks, bt_pool_fn fn, void *context) {
    const int32_t n = pool->n_threads;
    pool->fn = fn;
    pool->context = context;
    pool->fp = bt_fp_get();
    for (int32_t i = 0; i < n; i++) {
        atomic_store_explicit(&pool->ranges[i].next, n_tasks * i / n, memory_order_relaxed);
        pool->ranges[i].end = n_tasks * (i + 1) / n;
    }
    atomic_store(&pool->gate, JOB_OPEN);
    start_job(pool);
    run_tasks(pool, 0);
    atomic_fetch_and(&pool->gate, ~JOB_OPEN);
    /* The last tasks are short by design (fixed-size chunks): spin, then let others run. */
    for (int spins = 0; atomic_load(&pool->gate) > 0; spins++) {
        if (spins > SPINS) {
            sched_yield();
        }
    }
}

/* A function of its own in a profile, too: what is not below it is serial (tests/budget). */
__attribute__((noinline)) static void run_counted(bt_pool *pool, int64_t n_tasks, bt_pool_fn fn,
                                                  void *context) {
    const double start = bt_time_monotonic();
    if (pool->n_threads == 1) {
        for (int64_t task = 0; task < n_tasks; task++) {
            fn(context, task, 0);
        }
    } else {
        run_divided(pool, n_tasks, fn, context);
    }
    pool->spent.seconds += bt_time_monotonic() - start;
    pool->spent.n_jobs++;
}

void bt_pool_run(bt_pool *pool, int64_t n_tasks, bt_pool_fn fn, void *context) {
    if (pool == NULL || n_tasks <= 1) {
        run_undivided(n_tasks, fn, context);
    } else {
        run_counted(pool, n_tasks, fn, context);
    }
}

void bt_pool_run_cut(bt_pool *pool, int64_t n_tasks, bt_pool_fn fn, void *context) {
    if (pool != NULL && pool->n_threads == 1) {
        run_counted(pool, n_tasks, fn, context);
    } else {
        bt_pool_run(pool, n_tasks, fn, context);
    }
}

enum { ZERO_BYTES = 1 << 21 }; /* a large page */

typedef struct zero_job {
    unsigned char *at;
    int64_t        n_bytes;
} zero_job;

static void zero_task(void *context, int64_t task, int32_t thread) {
    const zero_job *const job = context;
    const bt_pool_piece   piece = bt_pool_piece_of(job->n_bytes, ZERO_BYTES, task);
    (void)thread;
    memset(job->at + piece.first, 0, (size_t)piece.n);
}

void *bt_pool_calloc(bt_pool *pool, size_t n, size_t size) {
    zero_job job = {.at = bt_alloc_array(n, size), .n_bytes = (int64_t)(n * size)};
    if (job.at != NULL) {
        bt_pool_run(pool, bt_pool_n_pieces(job.n_bytes, ZERO_BYTES), zero_task, &job);
    }
    return job.at;
}

bt_pool_spent bt_pool_get_spent(const bt_pool *pool) {
    return pool == NULL ? (bt_pool_spent){.n_jobs = 0} : pool->spent;
}
