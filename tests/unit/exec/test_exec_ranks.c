/* SPDX-License-Identifier: Apache-2.0
 *
 * Several processes that train together: two of them against Model
 * Garden's two replicas (goldens/numerics/tasks/two_replicas), and, where no share is clipped,
 * against its one. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/crc32c.h"
#include "exec_cpu_internal.h"
#include "task_goldens.h"

static task_case the_case;
static char      addresses[2][32];

static void choose_addresses(void) {
    for (int i = 0; i < 2; i++) {
        (void)snprintf(addresses[i], sizeof addresses[i], "127.0.0.1:%d", test_free_port());
    }
}

static bt_comm *join(int32_t rank) {
    char                *both[2] = {addresses[0], addresses[1]};
    const bt_comm_job    job = {.launch = BT_COMM_TF_CONFIG,
                                .rank = rank,
                                .size = 2,
                                .addresses = both,
                                .n_addresses = 2,
                                .name = addresses[0]};
    const bt_comm_config config = {.version = "1", .facts = "", .start_seconds = 200};
    bt_comm             *comm = NULL;
    assert_ok(bt_comm_open(&job, &config, &comm, err));
    return comm;
}

/* The weights of both have the same bits. */
static void check_same_bits(bt_comm *comm) {
    char               facts[64];
    const size_t       n = (size_t)the_case.f.model->table.n_elements * sizeof(float);
    const float *const flat = settled(the_case.f.exec, bt_exec_params(the_case.f.exec));
    (void)snprintf(facts, sizeof facts, "weights=%08x\n", bt_crc32c(0, flat, n));
    assert_ok(bt_comm_agree(comm, facts, err));
}

static void open_case(const char *name, bt_comm *comm) {
    task_case_open(&the_case, task_find(name), "ref", true, 0);
    fixture_with_others(&the_case.f, "ref", comm);
    fixture_load(&the_case.f, the_case.golden, "w/");
}

static void step(int64_t n_done, bt_step_result *result) {
    task_case_pack(&the_case, n_done);
    assert_ok(bt_exec_train_step(the_case.f.exec, &the_case.batch.batch, n_done, 1, result, err));
    assert_int_equal(result->n_nonfinite, 0);
}

/* The other one: the same steps, and nothing is compared. Not a test that goes on: it ends. */
static pid_t start_other(const char *name, int64_t n_steps, bool is_one_batch) {
    choose_addresses();
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child > 0) {
        return child;
    }
    (void)alarm(400); /* should something fail here, the parent must not wait for ever */
    bt_comm *const comm = join(1);
    open_case(name, comm);
    for (int64_t i = 0; i < n_steps; i++) {
        bt_step_result result;
        step(is_one_batch ? 0 : i, &result);
    }
    check_same_bits(comm);
    _exit(bt_comm_close(comm, NULL) == BT_OK ? 0 : 1);
}

static void end(bt_comm *comm, pid_t child) {
    int status = -1;
    check_same_bits(comm);
    assert_ok(bt_comm_close(comm, err));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    task_case_close(&the_case);
}

static void test_two_replicas_match(void **state) {
    (void)state;
    const pid_t         child = start_other("sentence_prediction_3class", 5, false);
    bt_comm *const      comm = join(0);
    test_tensors *const golden =
        test_tensors_open(test_shared_path("goldens/numerics/tasks/two_replicas.safetensors"));
    const float *const losses = test_tensors_f32(golden, "replica_losses", NULL);
    open_case("sentence_prediction_3class", comm);
    for (int64_t i = 0; i < 5; i++) {
        bt_step_result result;
        const double   want = (double)(losses[2 * i] + losses[2 * i + 1]) / 2;
        step(i, &result);
        test_close_f64(&result.loss, &want, 1, 1e-5, 1e-5, "mean of the replicas' losses");
        assert_true(result.times.exchange > 0);
        if (i == 0 || i == 4) {
            task_compare_replicas(&the_case, golden, i + 1);
        }
    }
    test_tensors_close(golden);
    end(comm, child);
}

/* The same batch again and again: once its buffers are there, a step asks for no memory. */
static void test_steps_ask_for_no_memory(void **state) {
    (void)state;
    enum { WARM = 3, STEPS = 8 };
    bt_step_result result;
    uint64_t       before = 0;
    const pid_t    child = start_other("sentence_prediction_3class", STEPS, true);
    bt_comm *const comm = join(0);
    open_case("sentence_prediction_3class", comm);
    for (int64_t i = 0; i < STEPS; i++) {
        before = i == WARM ? bt_alloc_count() : before;
        step(0, &result);
    }
    assert_int_equal(bt_alloc_count() - before, 0);
    end(comm, child);
}

/* Without a clip before the sum: the steps of one process. */
static void test_two_are_as_one(void **state) {
    (void)state;
    static const char name[] = "sentence_prediction_lamb";
    task_case_open(&the_case, task_find(name), "ref", true, 0);
    const int64_t n_steps = task_fact(&the_case, "steps", 10);
    task_case_close(&the_case);
    const pid_t    child = start_other(name, n_steps, false);
    bt_comm *const comm = join(0);
    open_case(name, comm);
    task_run_trajectory(&the_case);
    end(comm, child);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_replicas_match),
        cmocka_unit_test(test_two_are_as_one),
        cmocka_unit_test(test_steps_ask_for_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
