/* SPDX-License-Identifier: Apache-2.0
 *
 * A compiled program: what it says of itself, its bytes, its end. */
#include "bt/base/alloc.h"
#include "pjrt_internal.h"

void pjrt_program_clear(bt_pjrt_program *program) {
    const bt_pjrt_plugin *const plugin = program->plugin;
    if (program->executable != NULL) {
        PJRT_ARGS(PJRT_Executable_Destroy, destroy, .executable = program->executable);
        pjrt_drop_error(plugin, plugin->api->PJRT_Executable_Destroy(&destroy));
        program->executable = NULL;
    }
    if (program->loaded != NULL) {
        PJRT_ARGS(PJRT_LoadedExecutable_Destroy, destroy, .executable = program->loaded);
        pjrt_drop_error(plugin, plugin->api->PJRT_LoadedExecutable_Destroy(&destroy));
        program->loaded = NULL;
    }
}

void bt_pjrt_program_free(bt_pjrt_program *program) {
    if (program != NULL) {
        pjrt_program_clear(program);
        bt_free(program);
    }
}

int32_t bt_pjrt_program_n_results(const bt_pjrt_program *program) {
    return (int32_t)program->n_results;
}

bool bt_pjrt_program_is_from_cache(const bt_pjrt_program *program) {
    return program->from_cache;
}

double bt_pjrt_program_seconds(const bt_pjrt_program *program) {
    return program->seconds;
}

bt_status bt_pjrt_program_memory(bt_pjrt_program *program, bt_pjrt_memory *out, bt_error *err) {
    PJRT_ARGS(PJRT_Executable_GetCompiledMemoryStats, stats, .executable = program->executable,
              .peak_memory_in_bytes = -1);
    BT_TRY(pjrt_take_error(program->plugin,
                           program->plugin->api->PJRT_Executable_GetCompiledMemoryStats(&stats),
                           "asking how much memory a program takes", err));
    *out = (bt_pjrt_memory){.argument_bytes = stats.argument_size_in_bytes,
                            .result_bytes = stats.output_size_in_bytes,
                            .donated_bytes = stats.alias_size_in_bytes,
                            .temporary_bytes = stats.temp_size_in_bytes,
                            .code_bytes = stats.generated_code_size_in_bytes,
                            .peak_bytes = stats.peak_memory_in_bytes};
    return BT_OK;
}

bt_status bt_pjrt_program_serialize(bt_pjrt_program *program, bt_str *out, bt_error *err) {
    PJRT_ARGS(PJRT_Executable_Serialize, call, .executable = program->executable);
    BT_TRY(pjrt_take_error(program->plugin, program->plugin->api->PJRT_Executable_Serialize(&call),
                           "a program cannot be written down", err));
    const bt_status rc =
        bt_str_append_n(out, call.serialized_bytes, call.serialized_bytes_size, err);
    if (call.serialized_executable_deleter != NULL) {
        call.serialized_executable_deleter(call.serialized_executable);
    }
    return rc;
}
