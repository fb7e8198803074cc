/* SPDX-License-Identifier: Apache-2.0
 *
 * base: which cores a process has and where threads are bound. Machines of other shapes are trees
 * of files as the kernel has them below /sys/devices/system. */
#define _GNU_SOURCE
#include "bt/base/cores.h"
#include "bt/base/pool.h"
#include "test_support.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

static void put_siblings(const char *root, int cpu, const char *text) {
    char path[64];
    (void)snprintf(path, sizeof path, "cpu/cpu%d/topology/thread_siblings_list", cpu);
    test_write_below(root, path, text);
}

/* Two sockets with four cores of two threads each, numbered as Linux does: the second threads
 * come last. Nodes 0 and 2: there may be gaps. */
static const char *two_sockets(void) {
    const char *const root = test_temp_dir();
    for (int cpu = 0; cpu < 16; cpu++) {
        char text[32];
        (void)snprintf(text, sizeof text, "%d,%d\n", cpu % 8, cpu % 8 + 8);
        put_siblings(root, cpu, text);
    }
    test_write_below(root, "node/online", "0,2\n");
    test_write_below(root, "node/node0/cpulist", "0-3,8-11\n");
    test_write_below(root, "node/node2/cpulist", "4-7,12-15\n");
    return root;
}

static bt_cpus first_cpus(int n) {
    bt_cpus set = {{0}};
    for (int cpu = 0; cpu < n; cpu++) {
        bt_cpus_add(&set, cpu);
    }
    return set;
}

static void expect_only(const bt_cpus *set, const char *expected) {
    char   text[256] = "";
    size_t n = 0;
    for (int cpu = 0; cpu < BT_MAX_CPUS; cpu++) {
        if (bt_cpus_has(set, cpu)) {
            n += (size_t)snprintf(text + n, sizeof text - n, n > 0 ? ",%d" : "%d", cpu);
        }
    }
    assert_string_equal(text, expected);
}

static void test_cores_stand_node_by_node(void **state) {
    (void)state;
    const char *const root = two_sockets();
    bt_cpus           allowed = first_cpus(16);
    bt_core           cores[BT_MAX_CPUS];
    assert_int_equal(bt_cores_find(root, &allowed, cores), 8);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(cores[i].cpu, i);
        assert_int_equal(cores[i].node, i < 4 ? 0 : 2);
    }
    /* a mask with second threads only: each is its core's first */
    allowed = (bt_cpus){{0}};
    bt_cpus_add(&allowed, 13);
    bt_cpus_add(&allowed, 9);
    bt_cpus_add(&allowed, 5);
    assert_int_equal(bt_cores_find(root, &allowed, cores), 2);
    assert_int_equal(cores[0].cpu, 9);
    assert_int_equal(cores[1].cpu, 5);
    assert_int_equal(cores[1].node, 2);
}

/* Containers and odd systems have no such files. */
static void test_without_a_tree_each_processor_is_a_core(void **state) {
    (void)state;
    bt_core           cores[BT_MAX_CPUS];
    const char *const root = test_temp_dir();
    const bt_cpus     allowed = first_cpus(3);
    assert_int_equal(bt_cores_find(root, &allowed, cores), 3);
    assert_int_equal(cores[2].cpu, 2);
    assert_int_equal(cores[2].node, 0);
    test_write_below(root, "node/online", "0\n");
    test_write_below(root, "node/node0/cpulist", "1\n");
    put_siblings(root, 2, "\n");
    assert_int_equal(bt_cores_find(root, &allowed, cores), 3);
    assert_int_equal(cores[0].cpu, 1);
    assert_int_equal(cores[1].cpu, 0);
}

static void test_threads_get_a_core_each(void **state) {
    (void)state;
    const char *const root = two_sockets();
    const bt_cpus     allowed = first_cpus(16);
    bt_cpus           plan[8];
    bt_pin_how        how = {.pin = BT_PIN_CORES, .n_parts = 1};
    assert_ok(bt_pin_plan(root, &allowed, how, 8, plan, err));
    expect_only(&plan[0], "0");
    expect_only(&plan[7], "7");
    assert_ok(bt_pin_plan(root, &allowed, how, 3, plan, err));
    expect_only(&plan[2], "2");
    how = (bt_pin_how){.pin = BT_PIN_CORES, .part = 1, .n_parts = 2};
    assert_ok(bt_pin_plan(root, &allowed, how, 4, plan, err));
    expect_only(&plan[0], "4");
    expect_only(&plan[3], "7");
}

static void test_threads_are_spread_over_nodes(void **state) {
    (void)state;
    const char *const root = two_sockets();
    bt_cpus           allowed = first_cpus(16);
    bt_cpus           plan[8];
    const bt_pin_how  how = {.pin = BT_PIN_NODES, .n_parts = 1};
    assert_ok(bt_pin_plan(root, &allowed, how, 2, plan, err));
    expect_only(&plan[0], "0,1,2,3,8,9,10,11");
    expect_only(&plan[1], "4,5,6,7,12,13,14,15");
    allowed.words[0] &= ~(uint64_t)0x7; /* without processors 0 to 2: a core of node 0 is left, and
                                           the second threads of three */
    assert_ok(bt_pin_plan(root, &allowed, how, 8, plan, err));
    expect_only(&plan[0], "3,8,9,10,11");
    expect_only(&plan[3], "3,8,9,10,11");
    expect_only(&plan[4], "4,5,6,7,12,13,14,15");
}

static void test_more_threads_than_cores_are_refused(void **state) {
    (void)state;
    const char *const root = two_sockets();
    const bt_cpus     allowed = first_cpus(16);
    bt_cpus           plan[16];
    bt_pin_how        how = {.pin = BT_PIN_CORES, .n_parts = 1};
    assert_fails(bt_pin_plan(root, &allowed, how, 9, plan, err), BT_E_CONFIG,
                 "runtime.pin: cores: 9 threads cannot have a core each, this process may use 8: "
                 "set runtime.threads to 8 or fewer");
    how = (bt_pin_how){.pin = BT_PIN_NODES, .part = 2, .n_parts = 3};
    assert_fails(bt_pin_plan(root, &allowed, how, 4, plan, err), BT_E_CONFIG,
                 "may use 3 (3 processes on this host divide what all of them may use)");
}

/* Of the thread that asks. */
static bool has_mask(const bt_cpus *expected) {
    cpu_set_t mask;
    return sched_getaffinity(0, sizeof mask, &mask) == 0 &&
           memcmp(&mask, expected, sizeof *expected) == 0;
}

typedef struct pin_look {
    const bt_cpus *plan;
    bool           elsewhere[BT_MAX_CPUS]; /* threads whose mask is not the plan's */
} pin_look;

static void look_at_mask(void *context, int64_t task, int32_t thread) {
    pin_look *const look = context;
    (void)task;
    look->elsewhere[thread] = look->elsewhere[thread] || !has_mask(&look->plan[thread]);
}

static void *unbound_thread(void *context) {
    bt_cpus_unbind();
    return has_mask(context) ? context : NULL;
}

/* The real system, as many threads as this process has cores. */
static void test_a_pinned_pool_stays_where_it_is(void **state) {
    (void)state;
    bt_cpus          whole;
    bt_cpus          plan[BT_MAX_CPUS];
    bt_pool         *pool = NULL;
    pthread_t        other;
    void            *freed = NULL;
    const bt_pin_how how = {.pin = BT_PIN_CORES, .n_parts = 1};
    const int32_t    n = bt_n_physical_cores();
    assert_true(bt_cpus_allowed(&whole));
    assert_ok(bt_pin_plan(BT_CORES_ROOT, &whole, how, n, plan, err));
    assert_ok(bt_pool_create(&pool, n, err));
    assert_ok(bt_pool_pin(pool, how, err));
    pin_look look = {.plan = plan};
    for (int i = 0; i < 200; i++) {
        bt_pool_run(pool, 4 * (int64_t)n, look_at_mask, &look);
    }
    for (int32_t i = 0; i < n; i++) {
        assert_false(look.elsewhere[i]);
    }
    assert_true(has_mask(&plan[0]));
    assert_int_equal(bt_n_physical_cores(), n); /* the process's, not the thread's */
    assert_int_equal(pthread_create(&other, NULL, unbound_thread, &whole), 0);
    assert_int_equal(pthread_join(other, &freed), 0);
    assert_ptr_equal(freed, &whole);
    bt_pool_free(pool);
    assert_true(has_mask(&whole));
    assert_ok(bt_pool_create(&pool, n + 1, err));
    assert_fails(bt_pool_pin(pool, how, err), BT_E_CONFIG, "cannot have a core each");
    bt_pool_free(pool);
    assert_true(has_mask(&whole));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cores_stand_node_by_node),
        cmocka_unit_test(test_without_a_tree_each_processor_is_a_core),
        cmocka_unit_test(test_threads_get_a_core_each),
        cmocka_unit_test(test_threads_are_spread_over_nodes),
        cmocka_unit_test(test_more_threads_than_cores_are_refused),
        cmocka_unit_test(test_a_pinned_pool_stays_where_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
