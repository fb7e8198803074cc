/* SPDX-License-Identifier: Apache-2.0
 *
 * From text to a program on devices. */
#include "pjrt_internal.h"

/* What the plug-in says of a program that it has. */
static bt_status read_program(bt_pjrt_program *program, bt_error *err) {
    const bt_pjrt_plugin *const plugin = program->plugin;
    if (program->loaded != NULL) {
        PJRT_ARGS(PJRT_LoadedExecutable_GetExecutable, get, .loaded_executable = program->loaded);
        BT_TRY(bt_pjrt_take_error(plugin, plugin->api->PJRT_LoadedExecutable_GetExecutable(&get),
                                  "asking for the compiled program", err));
        program->executable = get.executable;
    }
    PJRT_ARGS(PJRT_Executable_NumOutputs, outputs, .executable = program->executable);
    BT_TRY(bt_pjrt_take_error(plugin, plugin->api->PJRT_Executable_NumOutputs(&outputs),
                              "asking for the number of results", err));
    program->n_results = outputs.num_outputs;
    return BT_OK;
}

bt_status bt_pjrt_compile(bt_pjrt_client *client, const char *text, size_t n_bytes,
                          const bt_pjrt_compile_options *options, bt_pjrt_program **out,
                          bt_error *err) {
    BT_ASSERT(options->n_replicas >= 1);
    if ((size_t)options->n_replicas > client->n_devices) {
        return BT_FAIL(err, BT_E_BACKEND, "%s: %" PRId32 " devices are wanted, and %zu are here",
                       client->plugin->path, options->n_replicas, client->n_devices);
    }
    bt_status        rc = BT_OK;
    bt_str           bytes = BT_STR_INIT;
    bt_pjrt_program *program = bt_calloc_array(1, sizeof *program);
    if (program == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "no memory for a program");
    }
    program->plugin = client->plugin;
    program->n_replicas = (size_t)options->n_replicas;
    BT_CHECK(bt_pjrt_append_compile_options(&bytes, options, err));
    const PJRT_Program source = {.struct_size = PJRT_Program_STRUCT_SIZE,
                                 .code = (char *)(uintptr_t)text, /* only read */
                                 .code_size = n_bytes,
                                 .format = "mlir",
                                 .format_size = 4};
    PJRT_ARGS(PJRT_Client_Compile, compile, .client = client->client, .program = &source,
              .compile_options = bytes.data, .compile_options_size = bytes.len);
    BT_CHECK(bt_pjrt_take_error(client->plugin, client->plugin->api->PJRT_Client_Compile(&compile),
                                "the program cannot be compiled", err));
    program->loaded = compile.executable;
    BT_CHECK(read_program(program, err));
    *out = program;
    program = NULL;
done:
    bt_str_deinit(&bytes);
    bt_pjrt_program_free(program);
    return rc;
}

void bt_pjrt_program_free(bt_pjrt_program *program) {
    if (program == NULL) {
        return;
    }
    const bt_pjrt_plugin *const plugin = program->plugin;
    if (program->executable != NULL) {
        PJRT_ARGS(PJRT_Executable_Destroy, destroy, .executable = program->executable);
        bt_pjrt_drop_error(plugin, plugin->api->PJRT_Executable_Destroy(&destroy));
    }
    if (program->loaded != NULL) {
        PJRT_ARGS(PJRT_LoadedExecutable_Destroy, destroy, .executable = program->loaded);
        bt_pjrt_drop_error(plugin, plugin->api->PJRT_LoadedExecutable_Destroy(&destroy));
    }
    bt_free(program);
}

int32_t bt_pjrt_program_n_results(const bt_pjrt_program *program) {
    return (int32_t)program->n_results;
}
