/* SPDX-License-Identifier: Apache-2.0
 *
 * Running StableHLO text on the CPU plug-in: arrays up, one run, arrays down. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "test_pjrt_run.h"

enum { MAX_RESULTS = 256, MAX_ARGS = 256 };

static bt_status open_client(const char *path, bt_pjrt_client **out, bt_error *err) {
    static const bt_pjrt_option n_devices = {
        .name = "cpu_device_count", .type = BT_PJRT_OPTION_INT, .number = TEST_PJRT_N_DEVICES};
    bt_pjrt_plugin *plugin = NULL;
    BT_TRY(bt_pjrt_plugin_open(path, BT_PJRT_TO_RUN, &plugin, err));
    return bt_pjrt_client_create(plugin, &n_devices, 1, out, err);
}

bt_pjrt_client *test_pjrt_client(void) {
    static bt_pjrt_client *client;
    static bool            was_tried;
    if (was_tried) {
        return client;
    }
    was_tried = true;
    char    *path = NULL;
    bt_error why = BT_ERROR_INIT;
    if (!bt_pjrt_is_built_in() || bt_pjrt_plugin_find(BT_PJRT_CPU, &path, &why) != BT_OK) {
        print_message("SKIPPED: %s\n",
                      bt_pjrt_is_built_in() ? why.msg : "built without PJRT plug-ins");
        return NULL;
    }
    assert_ok(open_client(path, &client, err));
    bt_free(path);
    return client;
}

_Noreturn void test_pjrt_exit(int rc) {
    (void)fflush(NULL);
    _Exit(rc != 0);
}

int test_pjrt_cases(int argc, char **argv, int (*run_case)(const char *name)) {
    const bool        is_long = argc > 1 && strcmp(argv[1], "long") == 0;
    const char *const asked = getenv("BT_LONG_TESTS");
    int               rc = argc > 1 ? 0 : 1;
    if (is_long && (asked == NULL || strcmp(asked, "1") != 0)) {
        print_message("SKIPPED: only with BT_LONG_TESTS=1\n");
        return TEST_SKIP_EXIT;
    }
    if (test_pjrt_client() == NULL) { /* which has said why */
        return TEST_SKIP_EXIT;
    }
    for (int i = is_long ? 2 : 1; i < argc; i++) {
        rc |= run_case(argv[i]);
    }
    test_pjrt_exit(rc);
}

bt_pjrt_program *test_pjrt_compile(const char *text, int32_t n_replicas) {
    const bt_pjrt_compile_options options = {.n_replicas = n_replicas};
    bt_pjrt_program              *program = NULL;
    assert_ok(bt_pjrt_compile(test_pjrt_client(), text, strlen(text), &options, &program, err));
    return program;
}

void test_pjrt_run_program(bt_pjrt_program *program, const test_pjrt_array *args, size_t n_args,
                           const test_pjrt_array *results, size_t n_results) {
    bt_pjrt_client *const client = test_pjrt_client();
    bt_pjrt_buffer       *in[MAX_ARGS] = {NULL};
    bt_pjrt_buffer       *out[MAX_RESULTS] = {NULL};
    assert_true(n_args <= MAX_ARGS && n_results <= MAX_RESULTS);
    assert_int_equal(bt_pjrt_program_n_results(program), n_results);
    for (size_t i = 0; i < n_args; i++) {
        assert_ok(bt_pjrt_upload(client, 0, &args[i].shape, args[i].data, &in[i], err));
    }
    bt_pjrt_buffer *const *const in_lists[] = {in};
    bt_pjrt_buffer **const       out_lists[] = {out};
    const bt_pjrt_run            run = {in_lists, n_args, out_lists, .wait = true};
    assert_ok(bt_pjrt_execute(program, &run, err));
    for (size_t i = 0; i < n_results; i++) {
        size_t n_bytes = 0;
        assert_true(bt_pjrt_shape_bytes(&results[i].shape, &n_bytes));
        assert_ok(bt_pjrt_download(client, out[i], results[i].data, n_bytes, err));
        bt_pjrt_buffer_free(client, out[i]);
    }
    for (size_t i = 0; i < n_args; i++) {
        bt_pjrt_buffer_free(client, in[i]);
    }
}

void test_pjrt_run(const char *text, const test_pjrt_array *args, size_t n_args,
                   const test_pjrt_array *results, size_t n_results) {
    bt_pjrt_program *const program = test_pjrt_compile(text, 1);
    test_pjrt_run_program(program, args, n_args, results, n_results);
    bt_pjrt_program_free(program);
}
