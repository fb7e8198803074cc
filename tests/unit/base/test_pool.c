/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads: which task runs where and how often, the pieces of a job, the floating-point control. */
#include "bt/base/pool.h"

#include <float.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "bt/base/fp.h"
#include "test_random.h"
#include "test_support.h"

typedef struct counts {
    atomic_int visits[1000];
} counts;

static void visit(void *context, int64_t task, int32_t thread) {
    counts *const c = context;
    assert_true(thread >= 0 && thread < 4);
    atomic_fetch_add(&c->visits[task], 1);
}

static void test_pool_runs_each_task_once(void **state) {
    (void)state;
    bt_pool *pool = NULL;
    assert_ok(bt_pool_create(&pool, 4, err));
    for (int round = 0; round < 50; round++) {
        static counts c;
        memset(&c, 0, sizeof c);
        bt_pool_run(pool, 1000, visit, &c);
        for (int i = 0; i < 1000; i++) {
            assert_int_equal(atomic_load(&c.visits[i]), 1);
        }
    }
    assert_int_equal(bt_pool_get_spent(pool).n_jobs, 50);
    assert_true(bt_pool_get_spent(pool).seconds > 0);
    bt_pool_free(pool);
    assert_int_equal(bt_pool_get_spent(NULL).n_jobs, 0);
    assert_fails(bt_pool_create(&pool, 0, err), BT_E_CONFIG, "0 threads");
    assert_true(bt_n_physical_cores() >= 1);
}

/* One after another they are all of it, none of them empty. */
static void test_pieces_are_the_whole(void **state) {
    (void)state;
    assert_int_equal(bt_pool_n_pieces(0, 8), 0);
    for (int64_t n = 1; n < 40; n++) {
        int64_t       done = 0;
        const int64_t n_pieces = bt_pool_n_pieces(n, 8);
        for (int64_t task = 0; task < n_pieces; task++) {
            const bt_pool_piece piece = bt_pool_piece_of(n, 8, task);
            assert_int_equal(piece.first, done);
            assert_in_range(piece.n, 1, 8);
            assert_true(piece.n == 8 || task == n_pieces - 1);
            done += piece.n;
            assert_int_equal(piece.end, done);
        }
        assert_int_equal(done, n);
    }
}

enum { HOME_THREADS = 4, HOME_TASKS = 16, HOME_PART = HOME_TASKS / HOME_THREADS };

typedef struct home_look {
    atomic_int n_begun;
    int32_t    by[HOME_TASKS];
} home_look;

/* The first task of a thread waits until all have one. */
static void look_at_home(void *context, int64_t task, int32_t thread) {
    home_look *const look = context;
    atomic_fetch_add(&look->n_begun, 1);
    while (atomic_load(&look->n_begun) < HOME_THREADS) {
        sched_yield();
    }
    look->by[task] = thread;
}

/* So that a buffer's part stays with the caches and the memory of one thread. A job of one task is
 * the caller's, and not counted among those that are divided. */
static void test_pool_threads_begin_with_their_own_part(void **state) {
    (void)state;
    bt_pool *pool = NULL;
    assert_ok(bt_pool_create(&pool, HOME_THREADS, err));
    for (int round = 0; round < 20; round++) {
        home_look look = {.n_begun = 0};
        bt_pool_run(pool, HOME_TASKS, look_at_home, &look);
        for (int32_t i = 0; i < HOME_THREADS; i++) {
            assert_int_equal(look.by[(int64_t)i * HOME_PART], i);
        }
    }
    home_look alone = {.n_begun = HOME_THREADS, .by = {-1}};
    bt_pool_run(pool, 1, look_at_home, &alone);
    assert_int_equal(alone.by[0], 0);
    assert_int_equal(bt_pool_get_spent(pool).n_jobs, 20);
    bt_pool_free(pool);
}

enum { FP_THREADS = 4, TOO_LONG = 100 /* seconds */ };

/* Each thread of the pool takes one task, because no task ends before all have begun. */
typedef struct fp_look {
    atomic_int  n_begun;
    bt_fp_state seen[FP_THREADS];
    float       made[FP_THREADS], read[FP_THREADS];
} fp_look;

static void look_at_fp(void *context, int64_t task, int32_t thread) {
    fp_look *const look = context;
    (void)task;
    atomic_fetch_add(&look->n_begun, 1);
    while (atomic_load(&look->n_begun) < FP_THREADS) {
        sched_yield();
    }
    volatile float smallest = FLT_MIN;
    volatile float denormal = FLT_TRUE_MIN;
    look->seen[thread] = bt_fp_get();
    look->made[thread] = smallest * 0.5F;
    look->read[thread] = denormal * 0x1p100F;
}

/* Not by ==, which would flush as well. */
static bool has_bits(float value) {
    uint32_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    return bits != 0;
}

static void expect_fp(bt_pool *pool, bool is_flushing) {
    fp_look look = {.n_begun = 0};
    bt_pool_run(pool, FP_THREADS, look_at_fp, &look);
    for (int i = 0; i < FP_THREADS; i++) {
        assert_true(test_is_flushing(look.seen[i]) == is_flushing);
        assert_true(has_bits(look.made[i]) != is_flushing);
        assert_true(has_bits(look.read[i]) != is_flushing);
    }
}

static void test_pool_flushes_denormals_with_its_caller(void **state) {
    (void)state;
    const bt_fp_state plain = bt_fp_get();
    bt_pool          *pool = NULL;
    if (test_is_flushing(plain)) {
        print_message("SKIPPED: this processor's control word is not known\n");
        skip();
    }
    assert_ok(bt_pool_create(&pool, FP_THREADS, err));
    for (int round = 0; round < 3; round++) {
        expect_fp(pool, false);
        const bt_fp_state before = bt_fp_flush();
        assert_false(test_is_flushing(before));
        assert_true(test_is_flushing(bt_fp_get()));
        expect_fp(pool, true);
        const bt_fp_state again = bt_fp_flush();
        assert_true(test_is_flushing(again));
        bt_fp_set(before);
        assert_false(test_is_flushing(bt_fp_get()));
    }
    bt_pool_free(pool);
}

/* A worker that does not run, as where other programs have its processor: it is held inside a
 * handler of a signal. */
static struct held {
    pthread_t  worker;
    atomic_int n_begun, is_held, may_go, n_done;
} held;

static void hold(int signal_number) {
    (void)signal_number;
    atomic_store(&held.is_held, 1);
    while (atomic_load(&held.may_go) == 0) {
    }
}

/* Both threads have one. */
static void find_worker(void *context, int64_t task, int32_t thread) {
    (void)context;
    (void)task;
    if (thread == 1) {
        held.worker = pthread_self();
    }
    atomic_fetch_add(&held.n_begun, 1);
    while (atomic_load(&held.n_begun) < 2) {
        sched_yield();
    }
}

static void count_done(void *context, int64_t task, int32_t thread) {
    atomic_int *const n_by_caller = context;
    (void)task;
    atomic_fetch_add(n_by_caller, thread == 0);
    atomic_fetch_add(&held.n_done, 1);
}

static void test_pool_waits_for_no_thread_that_has_not_come(void **state) {
    (void)state;
    const struct sigaction act = {.sa_handler = hold};
    struct sigaction       before;
    bt_pool               *pool = NULL;
    atomic_int             n_by_caller = 0;
    assert_int_equal(sigaction(SIGUSR1, &act, &before), 0);
    assert_ok(bt_pool_create(&pool, 2, err));
    bt_pool_run(pool, 2, find_worker, NULL);
    assert_int_equal(pthread_kill(held.worker, SIGUSR1), 0);
    while (atomic_load(&held.is_held) == 0) {
        sched_yield();
    }
    (void)alarm(TOO_LONG); /* ends the test where the job waits for ever */
    for (int round = 1; round <= 50; round++) {
        bt_pool_run(pool, 8, count_done, &n_by_caller);
        assert_int_equal(atomic_load(&held.n_done), 8 * round);
        assert_int_equal(atomic_load(&n_by_caller), 8 * round);
    }
    (void)alarm(0);
    atomic_store(&held.may_go, 1);
    atomic_store(&held.n_begun, 0);
    bt_pool_run(pool, 2, find_worker, NULL); /* it is back, and takes part */
    bt_pool_free(pool);
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool_runs_each_task_once),
        cmocka_unit_test(test_pieces_are_the_whole),
        cmocka_unit_test(test_pool_threads_begin_with_their_own_part),
        cmocka_unit_test(test_pool_flushes_denormals_with_its_caller),
        cmocka_unit_test(test_pool_waits_for_no_thread_that_has_not_come),
    };
    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
