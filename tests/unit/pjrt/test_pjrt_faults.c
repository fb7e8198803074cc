/* SPDX-License-Identifier: Apache-2.0
 *
 * Plug-ins that are none, are of another interface or fail in the middle: one sentence each that
 * names the plug-in, nothing left behind, nothing of a donated argument mistaken for whole. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "fake_plugin.h"
#include "test_faults.h"
#include "test_pjrt_run.h"

static const char *fake_path(void) {
    return test_build_path("tests/support/bt_fake_plugin.so");
}

/* The state of the one fake that this process has loaded. */
static fake_plugin *fake(void) {
    static fake_plugin *state;
    if (state == NULL) {
        void *const library = dlopen(fake_path(), RTLD_NOW | RTLD_LOCAL);
        assert_non_null(library);
        void *const          object = dlsym(library, "fake_plugin_state");
        fake_plugin_state_fn get = NULL;
        memcpy(&get, &object, sizeof get);
        state = get();
    }
    return state;
}

enum { N_REPLICAS = 2, N_ARGS = 2 };
enum { RESOURCE_EXHAUSTED = 8, INTERNAL = 13 }; /* of PJRT_Error_Code */

typedef struct work {
    bt_pjrt_plugin  *plugin;
    bt_pjrt_client  *client;
    bt_pjrt_program *program;
    bt_pjrt_buffer  *args[N_REPLICAS][N_ARGS];
    bt_pjrt_buffer  *results[N_REPLICAS][N_ARGS];
} work;

static bt_status run_once(work *w, bt_error *err) {
    const bt_pjrt_shape shape = {BT_DTYPE_F32, 2, {1, 3}};
    const float         data[N_ARGS][3] = {{1, 2, 3}, {4, 5, 6}};
    float               got[3] = {0};
    for (int r = 0; r < N_REPLICAS; r++) {
        for (int i = 0; i < N_ARGS; i++) {
            BT_TRY(bt_pjrt_upload(w->client, r, &shape, data[i], &w->args[r][i], err));
        }
    }
    bt_pjrt_buffer *const *const args[] = {w->args[0], w->args[1]};
    bt_pjrt_buffer **const       results[] = {w->results[0], w->results[1]};
    const bt_pjrt_run            run = {args, N_ARGS, results, .wait = true};
    const bt_status              rc = bt_pjrt_execute(w->program, &run, err);
    if (rc != BT_OK) {
        assert_null(w->results[0][0]);
        assert_null(w->results[1][1]);
        return rc;
    }
    bool is_gone = false;
    BT_TRY(bt_pjrt_is_gone(w->client, w->args[1][0], &is_gone, err));
    assert_true(is_gone);
    for (int r = 0; r < N_REPLICAS; r++) {
        for (int i = 0; i < N_ARGS; i++) {
            BT_TRY(bt_pjrt_download(w->client, w->results[r][i], got, sizeof got, err));
            assert_memory_equal(got, data[i], sizeof got);
        }
    }
    return BT_OK;
}

static void free_work(work *w) {
    for (int r = 0; r < N_REPLICAS; r++) {
        for (int i = 0; i < N_ARGS; i++) {
            bt_pjrt_buffer_free(w->client, w->args[r][i]);
            bt_pjrt_buffer_free(w->client, w->results[r][i]);
        }
    }
    bt_pjrt_program_free(w->program);
    bt_pjrt_client_free(w->client);
    bt_pjrt_plugin_close(w->plugin);
}

/* All that a training does with devices, in small. */
static bt_status use_devices(void *context, bt_error *err) {
    const char *const             cache = context;
    const bt_pjrt_compile_options options = {.n_replicas = N_REPLICAS, .cache_folder = cache};
    bt_pjrt_memory                memory;
    bt_pjrt_device                device;
    bt_status                     rc = BT_OK;
    work                          w = {.plugin = NULL};
    bt_str                        bytes = BT_STR_INIT;
    BT_CHECK(bt_pjrt_plugin_open(fake_path(), BT_PJRT_TO_RUN, &w.plugin, err));
    BT_CHECK(bt_pjrt_client_create(w.plugin, NULL, 0, &w.client, err));
    assert_string_equal(bt_pjrt_client_platform(w.client), "fake");
    BT_CHECK(bt_pjrt_client_device(w.client, 0, &device, err));
    assert_string_equal(device.kind, "fake device");
    BT_CHECK(bt_pjrt_compile(w.client, "text", 4, &options, &w.program, err));
    BT_CHECK(bt_pjrt_program_memory(w.program, &memory, err));
    assert_int_equal(memory.temporary_bytes, 77);
    BT_CHECK(bt_pjrt_program_serialize(w.program, &bytes, err));
    BT_CHECK(run_once(&w, err));
done:
    bt_str_deinit(&bytes);
    free_work(&w);
    return rc;
}

/* The same for devices that are not here. */
static bt_status compile_ahead(void *context, bt_error *err) {
    (void)context;
    const bt_pjrt_compile_options options = {.n_replicas = 2};
    bt_pjrt_target                target = {.description = BT_STR_INIT};
    bt_pjrt_plugin               *plugin = NULL;
    bt_pjrt_topology             *topology = NULL;
    bt_pjrt_program              *program = NULL;
    bt_status                     rc = BT_OK;
    BT_CHECK(bt_pjrt_target_parse("h100:2", &target, err));
    BT_CHECK(bt_pjrt_plugin_open(fake_path(), BT_PJRT_TO_COMPILE, &plugin, err));
    BT_CHECK(bt_pjrt_topology_create(plugin, &target, &topology, err));
    assert_int_equal(bt_pjrt_topology_n_devices(topology), fake()->n_devices);
    assert_int_equal(bt_pjrt_topology_memory_bytes(topology), 1000);
    BT_CHECK(bt_pjrt_compile_ahead(topology, "text", 4, &options, &program, err));
    assert_int_equal(bt_pjrt_program_n_results(program), 2);
done:
    bt_pjrt_program_free(program);
    bt_pjrt_topology_free(topology);
    bt_pjrt_plugin_close(plugin);
    bt_pjrt_target_deinit(&target);
    return rc;
}

typedef bt_status (*use_fn)(void *context, bt_error *err);

/* Each function of the plug-in fails at its 1st, 2nd ... call until all of them went well. */
static int fail_each_call(const char *name, use_fn use, int code, bt_status want) {
    int n_failed = 0;
    for (int after = 0;; after++) {
        bt_error err = BT_ERROR_INIT;
        fake()->fail = name;
        fake()->fail_after = after;
        fake()->fail_code = code;
        const bt_status rc = use(NULL, &err);
        fake()->fail = NULL;
        fake()->fail_code = INTERNAL;
        assert_int_equal(fake()->live, 0);
        if (rc == BT_OK) {
            return n_failed;
        }
        n_failed++;
        if (rc != want || strstr(err.msg, ": the fake fails on purpose") == NULL ||
            strstr(err.msg, "bt_fake_plugin.so: ") == NULL) {
            fail_msg("%s, call %d: %s: %s", name, after, bt_status_name(rc), err.msg);
        }
        assert_true(n_failed < 20);
    }
}

static void test_tells_of_each_function_that_fails(void **state) {
    (void)state;
    static const char *const running[] = {"PJRT_Plugin_Initialize",
                                          "PJRT_Client_Create",
                                          "PJRT_Client_PlatformName",
                                          "PJRT_Client_PlatformVersion",
                                          "PJRT_Client_AddressableDevices",
                                          "PJRT_Device_GetDescription",
                                          "PJRT_DeviceDescription_Kind",
                                          "PJRT_Client_Compile",
                                          "PJRT_LoadedExecutable_GetExecutable",
                                          "PJRT_Executable_NumOutputs",
                                          "PJRT_Executable_GetCompiledMemoryStats",
                                          "PJRT_Executable_Serialize",
                                          "PJRT_Client_BufferFromHostBuffer",
                                          "upload event",
                                          "PJRT_LoadedExecutable_Execute",
                                          "execute event",
                                          "PJRT_Buffer_IsDeleted",
                                          "PJRT_Buffer_Dimensions",
                                          "PJRT_Buffer_ToHostBuffer",
                                          "download event"};
    static const char *const ahead[] = {"PJRT_Plugin_Initialize",
                                        "PJRT_TopologyDescription_Create",
                                        "PJRT_TopologyDescription_PlatformVersion",
                                        "PJRT_TopologyDescription_GetDeviceDescriptions",
                                        "PJRT_DeviceDescription_Kind",
                                        "PJRT_DeviceDescription_Attributes",
                                        "PJRT_Compile",
                                        "PJRT_Executable_NumOutputs"};
    int                      n = 0;
    for (size_t i = 0; i < BT_ARRAY_LEN(running); i++) {
        const int one = fail_each_call(running[i], use_devices, INTERNAL, BT_E_BACKEND);
        if (one == 0) {
            fail_msg("%s was never called", running[i]);
        }
        n += one;
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(ahead); i++) {
        const int one = fail_each_call(ahead[i], compile_ahead, INTERNAL, BT_E_BACKEND);
        if (one == 0) {
            fail_msg("%s was never called", ahead[i]);
        }
        n += one;
    }
    print_message("%d failures of the plug-in\n", n);
}

static void test_too_little_memory_is_a_resource(void **state) {
    (void)state;
    assert_true(fail_each_call("PJRT_Client_Compile", use_devices, RESOURCE_EXHAUSTED, BT_E_NOMEM) >
                0);
    assert_true(fail_each_call("execute event", use_devices, RESOURCE_EXHAUSTED, BT_E_NOMEM) > 0);
    assert_int_equal(bt_status_exit_code(BT_E_NOMEM), 4);
    assert_int_equal(bt_status_exit_code(BT_E_BACKEND), 5);
}

static void test_devices_need_not_count_their_memory(void **state) {
    (void)state;
    bt_pjrt_plugin *plugin = NULL;
    bt_pjrt_client *client = NULL;
    bt_pjrt_device  device;
    assert_ok(bt_pjrt_plugin_open(fake_path(), BT_PJRT_TO_RUN, &plugin, err));
    assert_ok(bt_pjrt_client_create(plugin, NULL, 0, &client, err));
    assert_ok(bt_pjrt_client_device(client, 0, &device, err));
    assert_int_equal(device.limit_bytes, 1000);
    assert_int_equal(device.in_use_bytes, 10);
    assert_int_equal(device.peak_bytes, -1);
    fake()->fail = "PJRT_Device_MemoryStats";
    fake()->fail_after = 0;
    assert_ok(bt_pjrt_client_device(client, 0, &device, err));
    fake()->fail = NULL;
    assert_int_equal(device.limit_bytes, -1);
    assert_int_equal(device.in_use_bytes, -1);
    bt_pjrt_client_free(client);
    bt_pjrt_plugin_close(plugin);
    assert_int_equal(fake()->live, 0);
}

static void test_refuses_too_many_replicas_and_no_device(void **state) {
    (void)state;
    fake()->n_devices = 1;
    assert_fails(use_devices(NULL, err), BT_E_BACKEND, "2 devices are wanted, and there is 1");
    assert_fails(compile_ahead(NULL, err), BT_E_BACKEND, "2 devices are wanted, and there is 1");
    fake()->n_devices = 0;
    assert_fails(use_devices(NULL, err), BT_E_BACKEND, "finds no device here");
    fake()->n_devices = 2;
    assert_int_equal(fake()->live, 0);
}

/* Files that are not plug-ins, or of another interface. */

static bt_status open_only(const char *path, bt_error *err) {
    bt_pjrt_plugin *plugin = NULL;
    const bt_status rc = bt_pjrt_plugin_open(path, BT_PJRT_TO_RUN, &plugin, err);
    bt_pjrt_plugin_close(plugin);
    return rc;
}

static void test_refuses_what_is_no_plugin(void **state) {
    (void)state;
    char path[TEST_PATH_MAX];
    snprintf(path, sizeof path, "%s/x.so", test_temp_dir());
    assert_fails(open_only(path, err), BT_E_BACKEND, "there is no plug-in");
    test_write_file(path, "not a library", 13);
    assert_fails(open_only(path, err), BT_E_BACKEND, "not a plug-in that can be loaded");
    test_write_file(path, "", 0);
    assert_fails(open_only(path, err), BT_E_BACKEND, "not a plug-in that can be loaded");
    assert_fails(open_only(test_temp_dir(), err), BT_E_BACKEND, "there is no plug-in");
    assert_fails(open_only(test_build_path("tests/support/bt_no_plugin.so"), err), BT_E_BACKEND,
                 "without the function GetPjrtApi");
    size_t      n_bytes = 0;
    char *const library =
        test_read_file(test_build_path("tests/support/bt_no_plugin.so"), &n_bytes);
    test_write_file(path, library, n_bytes / 2); /* dlopen would end with SIGBUS */
    bt_free(library);
    assert_fails(open_only(path, err), BT_E_BACKEND, "it was not copied whole");
    assert_int_equal(mkfifo(path, 0600), -1); /* the file is there */
    snprintf(path, sizeof path, "%s/pipe.so", test_temp_dir());
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_fails(open_only(path, err), BT_E_BACKEND, "there is no plug-in");
}

static void test_refuses_other_interfaces(void **state) {
    (void)state;
    const int minor = fake()->minor;
    fake()->major = 1;
    assert_fails(open_only(fake_path(), err), BT_E_BACKEND, "a plug-in of PJRT interface 1.");
    fake()->major = 0;
    fake()->minor = 11;
    fake()->n_missing = 60; /* as old as that */
    assert_fails(open_only(fake_path(), err), BT_E_BACKEND, "take a newer plug-in");
    fake()->n_missing = 0;
    fake()->minor = 4000; /* later ones only have more */
    assert_ok(open_only(fake_path(), err));
    fake()->minor = minor;
    fake()->gives_nothing = 1;
    assert_fails(open_only(fake_path(), err), BT_E_BACKEND, "gives no table of functions");
    fake()->gives_nothing = 0;
    assert_ok(open_only(fake_path(), err));
}

static void check_nothing_is_left(void *context, bt_status rc) {
    (void)context;
    (void)rc;
    assert_int_equal(fake()->live, 0);
}

static void test_survives_memory_that_is_refused(void **state) {
    (void)state;
    const test_work running = {
        .what = "use of devices", .work = use_devices, .check = check_nothing_is_left};
    const test_work ahead = {
        .what = "compiling ahead", .work = compile_ahead, .check = check_nothing_is_left};
    assert_true(test_every_fault(&running) > 10);
    assert_true(test_every_fault(&ahead) > 10);
}

static void remove_files(void *folder) {
    bt_fs_names names = BT_FS_NAMES_INIT;
    assert_ok(bt_fs_list(folder, &names, err));
    for (size_t i = 0; i < names.n; i++) {
        char *path = NULL;
        assert_ok(bt_fs_join(folder, names.items[i], &path, err));
        assert_ok(bt_fs_remove(path, err));
        bt_free(path);
    }
    bt_fs_names_deinit(&names);
}

/* The cache may be gone or damaged, the disk full: the run goes on all the same. */
static bt_status use_devices_and_disk(void *context, bt_error *err) {
    const bt_status rc = use_devices(context, err);
    assert_true(rc == BT_OK || rc == BT_E_NOMEM);
    return rc;
}

static void test_keeps_programs_without_compiling_again(void **state) {
    bt_error      problem = BT_ERROR_INIT;
    bt_fs_hasher *hasher = NULL;
    (void)state;
    if (bt_fs_hasher_create(BT_FS_SHA256, &hasher, &problem) == BT_E_UNSUPPORTED) {
        test_skip("built without OpenSSL");
    }
    bt_fs_hasher_free(hasher);
    char *const folder = bt_strdup(test_temp_dir());
    assert_ok(use_devices(folder, err));
    fake()->fail = "PJRT_Client_Compile";
    fake()->fail_after = 0;
    assert_ok(use_devices(folder, err)); /* it was not called */
    assert_fails(use_devices(NULL, err), BT_E_BACKEND, "the program cannot be compiled");
    fake()->fail = "PJRT_Executable_DeserializeAndLoad";
    fake()->fail_after = 0;
    assert_ok(use_devices(folder, err)); /* compiled, since it could not be loaded */
    assert_true(fake()->fail_after < 0);
    fake()->fail = "PJRT_Executable_NumOutputs"; /* loaded, and then of no use */
    fake()->fail_after = 0;
    assert_ok(use_devices(folder, err));
    assert_true(fake()->fail_after < 0);
    fake()->fail = NULL;
    assert_int_equal(fake()->live, 0);
    bt_free(folder);
}

static void test_a_cache_never_makes_a_run_fail(void **state) {
    (void)state;
    char *const     empty = bt_strdup(test_temp_dir());
    char *const     full = bt_strdup(test_temp_dir());
    const test_work read = {.what = "use of devices with a cache",
                            .work = use_devices_and_disk,
                            .check = check_nothing_is_left,
                            .context = full};
    const test_work write = {.what = "use of devices with a new cache",
                             .work = use_devices_and_disk,
                             .prepare = remove_files,
                             .check = check_nothing_is_left,
                             .context = empty};
    bt_log_setup("test", BT_LOG_TEXT, -2); /* a line for each fault is too many */
    assert_ok(use_devices(full, err));
    assert_true(test_every_fault(&read) > 10);
    assert_true(test_every_fault(&write) > 10);
    bt_log_setup("test", BT_LOG_TEXT, 0);
    bt_free(empty);
    bt_free(full);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tells_of_each_function_that_fails),
        cmocka_unit_test(test_too_little_memory_is_a_resource),
        cmocka_unit_test(test_devices_need_not_count_their_memory),
        cmocka_unit_test(test_refuses_too_many_replicas_and_no_device),
        cmocka_unit_test(test_refuses_what_is_no_plugin),
        cmocka_unit_test(test_refuses_other_interfaces),
        cmocka_unit_test(test_survives_memory_that_is_refused),
        cmocka_unit_test(test_keeps_programs_without_compiling_again),
        cmocka_unit_test(test_a_cache_never_makes_a_run_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
