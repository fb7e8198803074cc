/* SPDX-License-Identifier: Apache-2.0
 *
 * The thread pool. Workers sleep on a condition variable after a short spin. The tasks of a job are
 * divided into as many ranges as there are threads: a thread takes those of its own range, then
 * what others have left of theirs. So a thread meets the same part of a buffer in each job, which
 * is then in its caches and in the memory beside it, and no thread waits for another one's tasks.
 * The caller works too, so a pool of one thread starts no thread at all. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/fp.h"
#include "bt/base/pool.h"
#include "bt/base/time.h"

enum { MAX_THREADS = 1024, SPINS = 2000, CACHE_LINE = 64 };

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
    atomic_int      n_busy; /* workers still inside the job */
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

static void wait_for_job(bt_pool *pool, unsigned seen) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load(&pool->generation) != seen) {
            return;
        }
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
    pthread_mutex_lock(&pool->lock);
    while (atomic_load(&pool->generation) == seen) {
        pthread_cond_wait(&pool->wake, &pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
}

static void *worker_main(void *arg) {
    worker *const  self = arg;
    bt_pool *const pool = self->pool;
    unsigned       seen = 0;
    for (;;) {
        wait_for_job(pool, seen);
        seen++;
        if (atomic_load(&pool->quit)) {
            return NULL;
        }
        bt_fp_set(pool->fp);
        run_tasks(pool, self->index);
        atomic_fetch_sub(&pool->n_busy, 1);
    }
}

static void start_job(bt_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->generation, 1);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
}

bt_status bt_pool_create(bt_pool **out, int32_t n_threads, bt_error *err) {
    bt_status rc = BT_OK;
    if (n_threads < 1 || n_threads > MAX_THREADS) {
        return BT_FAIL(err, BT_E_CONFIG, "%" PRId32 " threads: expected 1 to %d", n_threads,
                       (int)MAX_THREADS);
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
    atomic_store(&pool->n_busy, n - 1);
    start_job(pool);
    run_tasks(pool, 0);
    /* The last tasks are short by design (fixed-size chunks): spin, then let others run. */
    for (int spins = 0; atomic_load(&pool->n_busy) > 0; spins++) {
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

bt_pool_spent bt_pool_get_spent(const bt_pool *pool) {
    return pool == NULL ? (bt_pool_spent){.n_jobs = 0} : pool->spent;
}

/* The number that the file begins with, or cpu. No stream: that would ask for memory. */
static int first_sibling(const char *path, int cpu) {
    char      text[32] = "";
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        const ssize_t n = read(fd, text, sizeof text - 1);
        text[n > 0 ? n : 0] = '\0';
        (void)close(fd);
    }
    char      *end = NULL;
    const long first = strtol(text, &end, 10);
    return end != text ? (int)first : cpu;
}

static int32_t count_cores(const cpu_set_t *mask) {
    /* A logical processor counts unless an earlier one of its core is in the mask as well. */
    int32_t n_cores = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET((size_t)cpu, mask)) {
            continue;
        }
        char path[128];
        (void)snprintf(path, sizeof path,
                       "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
        const int first = first_sibling(path, cpu);
        if (first == cpu || !CPU_ISSET((size_t)first, mask)) {
            n_cores++;
        }
    }
    return n_cores > 0 ? n_cores : 1;
}

int32_t bt_n_physical_cores(void) {
    cpu_set_t affinity;
    return sched_getaffinity(0, sizeof affinity, &affinity) == 0 ? count_cores(&affinity) : 1;
}

int32_t bt_n_machine_cores(void) {
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
    cpu_set_t  all;
    CPU_ZERO(&all);
    for (int cpu = 0; cpu < CPU_SETSIZE && cpu < n; cpu++) {
        CPU_SET((size_t)cpu, &all);
    }
    return count_cores(&all);
}
