/* SPDX-License-Identifier: Apache-2.0
 *
 * How a job was started, from the environment: what TensorFlow, Open MPI and Slurm set, and what
 * does not fit together. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "comm_internal.h"
#include "test_support.h"

enum { MAX_SETTINGS = 8 };

static const char *const names[] = {"TF_CONFIG",
                                    "OMPI_COMM_WORLD_RANK",
                                    "OMPI_COMM_WORLD_SIZE",
                                    "SLURM_PROCID",
                                    "SLURM_STEP_NUM_TASKS",
                                    "SLURM_STEP_NODELIST",
                                    "SLURM_NODELIST",
                                    "SLURM_JOB_ID",
                                    "SLURM_STEP_ID",
                                    "SLURM_CLUSTER_NAME",
                                    "PMI_RANK",
                                    "PMI_SIZE"};

/* "NAME=VALUE", and nothing else that counts. */
static void set_world(const char *const *settings) {
    for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
        (void)unsetenv(names[i]);
    }
    for (size_t i = 0; i < MAX_SETTINGS && settings[i] != NULL; i++) {
        char *const setting = bt_strdup(settings[i]);
        assert_non_null(setting);
        char *const equals = strchr(setting, '=');
        *equals = '\0';
        assert_int_equal(setenv(setting, equals + 1, 1), 0);
        bt_free(setting);
    }
}

#define CLUSTER3 "\"cluster\":{\"worker\":[\"a:1\",\"b.c:2\",\"[::1]:3\"]}"
#define TASK1 "\"task\":{\"type\":\"worker\",\"index\":1}"
#define SLURM "SLURM_JOB_ID=77", "SLURM_STEP_ID=0"

static const struct {
    const char    *settings[MAX_SETTINGS];
    bt_comm_launch launch;
    int32_t        rank, size, n_addresses;
    const char    *first, *name;
} good[] = {
    {{NULL}, BT_COMM_ALONE, 0, 1, 0, NULL, NULL},
    {{"TF_CONFIG= "}, BT_COMM_ALONE, 0, 1, 0, NULL, NULL},
    {{"TF_CONFIG={" CLUSTER3 "," TASK1 "}"},
     BT_COMM_TF_CONFIG,
     1,
     3,
     3,
     "a:1",
     "TF_CONFIG a:1,b.c:2,[::1]:3"},
    /* keys of other programs; an index in quotes */
    {{"TF_CONFIG={" CLUSTER3 ",\"rpc_layer\":\"grpc\",\"task\":{\"type\":\"worker\",\"index\":"
      "\"2\"}}"},
     BT_COMM_TF_CONFIG,
     2,
     3,
     3,
     "a:1",
     "TF_CONFIG a:1,b.c:2,[::1]:3"},
    {{"TF_CONFIG={\"cluster\":{\"worker\":[\"b:1\"],\"chief\":[\"a:1\"]},"
      "\"task\":{\"type\":"
      "\"worker\",\"index\":0}}"},
     BT_COMM_TF_CONFIG,
     1,
     2,
     2,
     "a:1",
     "TF_CONFIG a:1,b:1"},
    {{"TF_CONFIG={\"cluster\":{\"worker\":[\"b:1\"],\"chief\":[\"a:1\"]},"
      "\"task\":{\"type\":"
      "\"chief\",\"index\":0}}"},
     BT_COMM_TF_CONFIG,
     0,
     2,
     2,
     "a:1",
     "TF_CONFIG a:1,b:1"},
    {{"TF_CONFIG={\"cluster\":{\"worker\":[\"a:1\"]},"
      "\"task\":{\"type\":\"worker\",\"index\":0}"
      "}"},
     BT_COMM_ALONE,
     0,
     1,
     0,
     NULL,
     NULL},
    {{"OMPI_COMM_WORLD_RANK=2", "OMPI_COMM_WORLD_SIZE=4"}, BT_COMM_OPENMPI, 2, 4, 0, NULL, NULL},
    {{"OMPI_COMM_WORLD_RANK=0", "OMPI_COMM_WORLD_SIZE=1"}, BT_COMM_ALONE, 0, 1, 0, NULL, NULL},
    /* mpirun whose daemons srun started */
    {{"OMPI_COMM_WORLD_RANK=2", "OMPI_COMM_WORLD_SIZE=4", "SLURM_PROCID=0",
      "SLURM_STEP_NUM_TASKS=2", "SLURM_STEP_NODELIST=n[1-2]", SLURM},
     BT_COMM_OPENMPI,
     2,
     4,
     0,
     NULL,
     NULL},
    {{"SLURM_PROCID=1", "SLURM_STEP_NUM_TASKS=2", "SLURM_STEP_NODELIST=n[08-09]", SLURM},
     BT_COMM_SLURM,
     1,
     2,
     1,
     "n08",
     "Slurm  77.0"},
    {{"SLURM_PROCID=1", "SLURM_STEP_NUM_TASKS=2", "SLURM_NODELIST=x", SLURM,
      "SLURM_CLUSTER_NAME=big"},
     BT_COMM_SLURM,
     1,
     2,
     1,
     "x",
     "Slurm big 77.0"},
    /* a script of sbatch, an srun of one task, PMI beside srun */
    {{"SLURM_PROCID=0", "SLURM_JOB_ID=77", "SLURM_NODELIST=x"}, BT_COMM_ALONE, 0, 1, 0, NULL, NULL},
    {{"SLURM_PROCID=0", "SLURM_STEP_NUM_TASKS=1"}, BT_COMM_ALONE, 0, 1, 0, NULL, NULL},
    {{"PMI_RANK=0", "PMI_SIZE=1"}, BT_COMM_ALONE, 0, 1, 0, NULL, NULL},
    {{"SLURM_PROCID=1", "SLURM_STEP_NUM_TASKS=2", "SLURM_STEP_NODELIST=x", SLURM, "PMI_RANK=1",
      "PMI_SIZE=2"},
     BT_COMM_SLURM,
     1,
     2,
     1,
     "x",
     "Slurm  77.0"},
    /* two that agree: TF_CONFIG has the addresses */
    {{"OMPI_COMM_WORLD_RANK=1", "OMPI_COMM_WORLD_SIZE=3", "TF_CONFIG={" CLUSTER3 "," TASK1 "}"},
     BT_COMM_TF_CONFIG,
     1,
     3,
     3,
     "a:1",
     "TF_CONFIG a:1,b.c:2,[::1]:3"},
};

static void test_read(void **state) {
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(good); i++) {
        bt_comm_job job;
        set_world(good[i].settings);
        assert_ok(bt_comm_job_read(&job, err));
        assert_int_equal(job.launch, good[i].launch);
        assert_int_equal(job.rank, good[i].rank);
        assert_int_equal(job.size, good[i].size);
        assert_int_equal(job.n_addresses, good[i].n_addresses);
        assert_true(bt_str_equal(job.name, good[i].name));
        assert_true(good[i].first == NULL || bt_str_equal(job.addresses[0], good[i].first));
        bt_comm_job_deinit(&job);
    }
}

static const struct {
    const char *settings[MAX_SETTINGS];
    bt_status   status;
    const char *text;
} bad[] = {
    {{"TF_CONFIG=x"}, BT_E_CONFIG, "TF_CONFIG is not a JSON object"},
    {{"TF_CONFIG=[1]"}, BT_E_CONFIG, "TF_CONFIG is not a JSON object; expected {"},
    {{"TF_CONFIG={}"}, BT_E_CONFIG, "no object \"cluster\""},
    {{"TF_CONFIG={\"cluster\":{}," TASK1 "}"}, BT_E_CONFIG, "cluster names no worker"},
    {{"TF_CONFIG={\"cluster\":{\"worker\":\"a:1\"}," TASK1 "}"},
     BT_E_CONFIG,
     "cluster.worker is not a list"},
    {{"TF_CONFIG={\"cluster\":{\"worker\":[\"a\"]}," TASK1 "}"},
     BT_E_CONFIG,
     "'a' is not an address"},
    {{"TF_CONFIG={\"cluster\":{\"worker\":[\"::1:3\"]}," TASK1 "}"},
     BT_E_CONFIG,
     "'::1:3' is not an address"},
    {{"TF_CONFIG={\"cluster\":{\"worker\":[\"a:65536\"]}," TASK1 "}"},
     BT_E_CONFIG,
     "'a:65536' is not an address"},
    {{"TF_CONFIG={\"cluster\":{\"worker\":[1]}," TASK1 "}"}, BT_E_CONFIG, "(no string)"},
    {{"TF_CONFIG={\"cluster\":{\"worker\":[\"a:1\",\"a:1\"]}," TASK1 "}"},
     BT_E_CONFIG,
     "names a:1 twice"},
    {{"TF_CONFIG={\"cluster\":{\"worker\":[\"a:1\"],\"ps\":[]}," TASK1 "}"},
     BT_E_UNSUPPORTED,
     "parameter servers are not supported"},
    {{"TF_CONFIG={\"cluster\":{\"worker\":[\"a:1\"],\"evaluator\":[]}," TASK1 "}"},
     BT_E_UNSUPPORTED,
     "cluster.evaluator"},
    {{"TF_CONFIG={\"cluster\":{\"worker\":[\"a:1\"],\"chief\":[\"b:1\",\"c:1\"]}," TASK1 "}"},
     BT_E_CONFIG,
     "cluster.chief has 2 addresses"},
    {{"TF_CONFIG={" CLUSTER3 "}"}, BT_E_CONFIG, "task has no type and index"},
    {{"TF_CONFIG={" CLUSTER3 ",\"task\":{\"type\":\"worker\",\"index\":1.5}}"},
     BT_E_CONFIG,
     "task has no type and index"},
    {{"TF_CONFIG={" CLUSTER3 ",\"task\":{\"type\":\"worker\",\"index\":3}}"},
     BT_E_CONFIG,
     "task.index is 3, but cluster.worker names 3 processes (0 to 2)"},
    {{"TF_CONFIG={" CLUSTER3 ",\"task\":{\"type\":\"worker\",\"index\":-1}}"},
     BT_E_CONFIG,
     "task.index is -1"},
    {{"TF_CONFIG={" CLUSTER3 ",\"task\":{\"type\":\"chief\",\"index\":0}}"},
     BT_E_CONFIG,
     "cluster.chief names 0"},
    {{"TF_CONFIG={" CLUSTER3 ",\"task\":{\"type\":\"evaluator\",\"index\":0}}"},
     BT_E_UNSUPPORTED,
     "task.type is 'evaluator'"},
    {{"TF_CONFIG={" CLUSTER3 "," TASK1 "," TASK1 "}"}, BT_E_CONFIG, "duplicate"},
    {{"OMPI_COMM_WORLD_RANK=1"}, BT_E_CONFIG, "OMPI_COMM_WORLD_SIZE is '(not set)'"},
    {{"OMPI_COMM_WORLD_SIZE=2"}, BT_E_CONFIG, "OMPI_COMM_WORLD_RANK is '(not set)'"},
    {{"OMPI_COMM_WORLD_RANK=2", "OMPI_COMM_WORLD_SIZE=2"}, BT_E_CONFIG, "a rank below a number"},
    {{"OMPI_COMM_WORLD_RANK=0", "OMPI_COMM_WORLD_SIZE=2000"}, BT_E_CONFIG, "at most 1024"},
    {{"OMPI_COMM_WORLD_RANK=1", "OMPI_COMM_WORLD_SIZE=2", "TF_CONFIG={" CLUSTER3 "," TASK1 "}"},
     BT_E_CONFIG,
     "TF_CONFIG says rank 1 of 3, mpirun says 1 of 2"},
    {{"SLURM_STEP_NUM_TASKS=2"}, BT_E_CONFIG, "SLURM_PROCID is '(not set)'"},
    {{"SLURM_PROCID=1", "SLURM_STEP_NUM_TASKS=2"},
     BT_E_CONFIG,
     "SLURM_STEP_NODELIST is '(not set)'"},
    {{"SLURM_PROCID=1", "SLURM_STEP_NUM_TASKS=2", "SLURM_STEP_NODELIST=n[1-2"},
     BT_E_CONFIG,
     "SLURM_STEP_NODELIST is 'n[1-2'"},
    {{"SLURM_PROCID=1", "SLURM_STEP_NUM_TASKS=2", "SLURM_STEP_NODELIST=n"},
     BT_E_CONFIG,
     "not SLURM_JOB_ID"},
    {{"PMI_RANK=0", "PMI_SIZE=2"}, BT_E_UNSUPPORTED, "MPICH's or Intel's mpiexec"},
};

static void test_refuse(void **state) {
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(bad); i++) {
        bt_comm_job job;
        set_world(bad[i].settings);
        assert_fails(bt_comm_job_read(&job, err), bad[i].status, bad[i].text);
        assert_null(job.addresses);
    }
}

static void test_no_memory(void **state) {
    (void)state;
    bool is_through = false;
    set_world((const char *const[MAX_SETTINGS]){"TF_CONFIG={" CLUSTER3 "," TASK1 "}"});
    for (uint64_t k = 1; !is_through; k++) {
        bt_comm_job job;
        bt_error    err = BT_ERROR_INIT;
        bt_alloc_fail_at(k, false);
        const bt_status rc = bt_comm_job_read(&job, &err);
        bt_alloc_fail_at(0, false);
        assert_true(rc == BT_OK || rc == BT_E_NOMEM);
        is_through = rc == BT_OK;
        assert_true(k < 1000);
        bt_comm_job_deinit(&job);
    }
}

static void test_first_host(void **state) {
    (void)state;
    static const struct {
        const char *list, *first;
    } rows[] = {{"a", "a"},
                {"a,b", "a"},
                {"node[01-04,07],x", "node01"},
                {"node[7]", "node7"},
                {"r[1-2]n[03,5-6].x,y", "r1n03.x"},
                {"", NULL},
                {",a", NULL},
                {"a[", NULL},
                {"a[]", NULL},
                {"a b", NULL}};
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        char host[COMM_HOST_MAX];
        assert_int_equal(comm_first_host(rows[i].list, host), rows[i].first != NULL);
        assert_true(rows[i].first == NULL || bt_str_equal(host, rows[i].first));
    }
    char long_list[1000];
    char host[COMM_HOST_MAX];
    memset(long_list, 'a', sizeof long_list);
    long_list[sizeof long_list - 1] = '\0';
    assert_false(comm_first_host(long_list, host));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_refuse),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_first_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
