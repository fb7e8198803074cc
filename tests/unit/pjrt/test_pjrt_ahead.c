/* SPDX-License-Identifier: Apache-2.0
 *
 * Compiling for devices that are not here, with the plug-ins for GPUs and TPUs that
 * tools/get_pjrt.sh fetches (some 140 MB each): run when they are there, and with BT_LONG_TESTS=1
 * fetched first. Proves that such a program compiles, and what it would take; nothing about its
 * results or speed. usage: test_pjrt_ahead cuda|tpu */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/str.h"
#include "bt/base/time.h"
#include "bt/pjrt.h"
#include "read_gz.h"
#include "test_support.h"

/* A product in bfloat16 and a sum over two replicas. */
static const char text[] =
    "module @two attributes {mhlo.num_replicas = 2 : i32} {\n"
    "  func.func public @main(%x: tensor<256x512xbf16>) -> tensor<256x256xf32> {\n"
    "  %0 = stablehlo.dot_general %x, %x, contracting_dims = [1] x [1]\n"
    "      : (tensor<256x512xbf16>, tensor<256x512xbf16>) -> tensor<256x256xf32>\n"
    "  %1 = \"stablehlo.all_reduce\"(%0) ({ ^bb0(%a: tensor<f32>, %b: tensor<f32>):\n"
    "      %s = stablehlo.add %a, %b : tensor<f32>\n"
    "      stablehlo.return %s : tensor<f32> })\n"
    "    {replica_groups = dense<[[0, 1]]> : tensor<1x2xi64>}\n"
    "    : (tensor<256x256xf32>) -> tensor<256x256xf32>\n"
    "  return %1 : tensor<256x256xf32> } }\n";
enum { ARGUMENT_BYTES = 256 * 512 * 2, RESULT_BYTES = 256 * 256 * 4 };

static bt_pjrt_plugin *plugin;

typedef struct device_row {
    const char *target;
    int32_t     n_devices;
    int64_t     memory_bytes; /* -1: told, and not compared */
    const char *kind;
} device_row;

static const device_row gpus[] = {
    {"h100:2", 2, 84942979072, "NVIDIA H100 80GB HBM3"},
    {"a100:2", 2, 85100068864, "NVIDIA A100-SXM4-80GB"},
    {"h200:8", 8, 151397597184, "NVIDIA H200 141GB HBM3e"},
};
static const device_row tpus[] = {
    {"v5e:2x2", 4, -1, "TPU v5 lite"},
    {"v6e:2x2", 4, -1, "TPU v6 lite"},
    {"v5p:2x2x1", 4, -1, "TPU v5"},
};

static void check_program(bt_pjrt_program *program, const device_row *row) {
    bt_pjrt_memory memory;
    bt_str         bytes = BT_STR_INIT;
    assert_int_equal(bt_pjrt_program_n_results(program), 1);
    assert_ok(bt_pjrt_program_memory(program, &memory, err));
    assert_int_equal(memory.argument_bytes, ARGUMENT_BYTES);
    assert_int_equal(memory.result_bytes, RESULT_BYTES);
    assert_true(memory.peak_bytes >= ARGUMENT_BYTES + RESULT_BYTES);
    assert_ok(bt_pjrt_program_serialize(program, &bytes, err));
    assert_true(bytes.len > 1000);
    print_message("%s: %zu bytes, temporary %lld, peak %lld, compiled in %.2f s\n", row->target,
                  bytes.len, (long long)memory.temporary_bytes, (long long)memory.peak_bytes,
                  bt_pjrt_program_seconds(program));
    bt_str_deinit(&bytes);
}

static void check_row(const device_row *row) {
    const bt_pjrt_compile_options options = {.n_replicas = 2}, many = {.n_replicas = 1000};
    bt_pjrt_target                target;
    bt_pjrt_topology             *topology = NULL;
    bt_pjrt_program              *program = NULL;
    assert_ok(bt_pjrt_target_parse(row->target, &target, err));
    assert_ok(bt_pjrt_topology_create(plugin, &target, &topology, err));
    assert_int_equal(bt_pjrt_topology_n_devices(topology), row->n_devices);
    assert_string_equal(bt_pjrt_topology_kind(topology), row->kind);
    assert_true(bt_pjrt_topology_memory_bytes(topology) > (int64_t)15e9);
    if (row->memory_bytes > 0) {
        assert_int_equal(bt_pjrt_topology_memory_bytes(topology), row->memory_bytes);
    }
    assert_ok(bt_pjrt_compile_ahead(topology, text, strlen(text), &options, &program, err));
    check_program(program, row);
    bt_pjrt_program_free(program);
    assert_fails(bt_pjrt_compile_ahead(topology, "module { x }", 12, &options, &program, err),
                 BT_E_BACKEND, "the program cannot be compiled");
    assert_fails(bt_pjrt_compile_ahead(topology, text, strlen(text), &many, &program, err),
                 BT_E_BACKEND, "1000 devices are wanted");
    bt_pjrt_topology_free(topology);
    bt_pjrt_target_deinit(&target);
}

static void check_refused(const char *name, const char *words) {
    bt_pjrt_target    target;
    bt_pjrt_topology *topology = NULL;
    assert_ok(bt_pjrt_target_parse(name, &target, err));
    assert_fails(bt_pjrt_topology_create(plugin, &target, &topology, err), BT_E_BACKEND, words);
    assert_null(topology);
    bt_pjrt_target_deinit(&target);
}

static bool is_long(void) {
    const char *const value = getenv("BT_LONG_TESTS");
    return value != NULL && strcmp(value, "1") == 0;
}

/* Training steps that JAX wrote, with what only one kind of device has: cuDNN's attention, a kernel
 * of Triton. */
typedef struct step_row {
    const char *file;
    const char *target;
    int32_t     n_replicas;
} step_row;

static void compile_step(const step_row *row) {
    const bt_pjrt_compile_options options = {.n_replicas = row->n_replicas};
    bt_pjrt_target                target;
    bt_pjrt_topology             *topology = NULL;
    bt_pjrt_program              *program = NULL;
    bt_pjrt_memory                memory;
    size_t                        n = 0;
    char *const                   step = read_gz(test_shared_path(row->file), &n);
    if (!is_long() || step == NULL) {
        bt_free(step);
        test_skip("only with BT_LONG_TESTS=1 and the folder of goldens");
    }
    assert_ok(bt_pjrt_target_parse(row->target, &target, err));
    assert_ok(bt_pjrt_topology_create(plugin, &target, &topology, err));
    assert_ok(bt_pjrt_compile_ahead(topology, step, n, &options, &program, err));
    assert_ok(bt_pjrt_program_memory(program, &memory, err));
    print_message("%s for %s: compiled in %.1f s; %lld bytes of arguments, %lld donated, %lld "
                  "temporary\n",
                  row->file, row->target, bt_pjrt_program_seconds(program),
                  (long long)memory.argument_bytes, (long long)memory.donated_bytes,
                  (long long)memory.temporary_bytes);
    assert_true(memory.argument_bytes > 0);
    bt_pjrt_program_free(program);
    bt_pjrt_topology_free(topology);
    bt_pjrt_target_deinit(&target);
    bt_free(step);
}

static void test_compiles_steps_for_gpus(void **state) {
    (void)state;
    static const step_row rows[] = {
        {"pjrt/export/tiny_cls_f32_2replicas.mlir.gz", "h100:2", 2},
        {"pjrt/export/tiny_cls_bf16_cudnn_packed.mlir.gz", "h100", 1},
        {"pjrt/export/triton_fwd.mlir.gz", "a100", 1},
        {"pjrt/export/triton_fwd.mlir.gz", "h200", 1},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        compile_step(&rows[i]);
    }
}

static void test_compiles_steps_for_tpus(void **state) {
    (void)state;
    static const step_row rows[] = {
        {"pjrt/export/tiny_cls_f32_2replicas.mlir.gz", "v5e:2x2", 2},
        {"pjrt/export/tiny_cls_bf16.mlir.gz", "v6e:1x1", 1},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        compile_step(&rows[i]);
    }
}

static void test_compiles_for_gpus(void **state) {
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(gpus); i++) {
        check_row(&gpus[i]);
    }
}

static void test_compiles_for_tpus(void **state) {
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(tpus); i++) {
        check_row(&tpus[i]);
    }
    check_refused("v5e:9x9x9", "the plug-in cannot compile for these devices: ");
    check_refused("v9z:2x2", "the plug-in cannot compile for these devices: ");
}

/* libtpu lets one process a machine have it, unless it is told otherwise: a second one, now. */
static void test_another_process_compiles_at_the_same_time(void **state) {
    (void)state;
    assert_int_equal(setenv("BT_TEST_PJRT_ONLY", "1", 1), 0);
    const int rc = system("exec /proc/$PPID/exe tpu");
    assert_int_equal(unsetenv("BT_TEST_PJRT_ONLY"), 0);
    assert_int_equal(rc, 0);
}

/* Without a device: soon (a metadata server that is not there would be waited for 25 s). */
static void test_says_soon_that_there_is_no_device(void **state) {
    (void)state;
    const double    start = bt_time_monotonic();
    bt_pjrt_client *client = NULL;
    bt_error        why = BT_ERROR_INIT;
    const bt_status rc = bt_pjrt_client_create(plugin, NULL, 0, &client, &why);
    const double    seconds = bt_time_monotonic() - start;
    if (rc == BT_OK) {
        bt_pjrt_client_free(client);
        test_skip("there is such a device here");
    }
    print_message("%.2f s: %s\n", seconds, why.msg);
    assert_int_equal(rc, BT_E_BACKEND);
    assert_non_null(strstr(why.msg, ": no device can be used: "));
    assert_true(seconds < 20);
}

/* false: there is none, which was told. */
static bool find_plugin(bt_pjrt_kind kind) {
    bt_error why = BT_ERROR_INIT;
    char    *path = NULL;
    char     command[TEST_PATH_MAX];
    if (is_long()) {
        snprintf(command, sizeof command, "exec '%s' %s", test_source_path("tools/get_pjrt.sh"),
                 kind == BT_PJRT_TPU ? "tpu" : "cuda13");
        if (system(command) != 0) {
            print_message("%s failed\n", command);
        }
    }
    if (bt_pjrt_plugin_find(kind, &path, &why) != BT_OK) {
        print_message("SKIPPED: %s (BT_LONG_TESTS=1 fetches it)\n", why.msg);
        return false;
    }
    assert_ok(bt_pjrt_plugin_open(path, BT_PJRT_TO_COMPILE, &plugin, err));
    bt_free(path);
    return true;
}

int main(int argc, char **argv) {
    const struct CMUnitTest cuda[] = {
        cmocka_unit_test(test_compiles_for_gpus),
        cmocka_unit_test(test_compiles_steps_for_gpus),
        cmocka_unit_test(test_says_soon_that_there_is_no_device),
    };
    const struct CMUnitTest tpu[] = {
        cmocka_unit_test(test_compiles_for_tpus),
        cmocka_unit_test(test_compiles_steps_for_tpus),
        cmocka_unit_test(test_another_process_compiles_at_the_same_time),
        cmocka_unit_test(test_says_soon_that_there_is_no_device),
    };
    const struct CMUnitTest second[] = {cmocka_unit_test(test_compiles_for_tpus)};
    const bool              is_tpu = argc > 1 && strcmp(argv[1], "tpu") == 0;
    if (!find_plugin(is_tpu ? BT_PJRT_TPU : BT_PJRT_CUDA)) {
        return TEST_SKIP_EXIT;
    }
    if (!is_tpu) {
        return cmocka_run_group_tests(cuda, NULL, NULL);
    }
    return getenv("BT_TEST_PJRT_ONLY") != NULL ? cmocka_run_group_tests(second, NULL, NULL)
                                               : cmocka_run_group_tests(tpu, NULL, NULL);
}
