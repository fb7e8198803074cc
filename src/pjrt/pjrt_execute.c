/* SPDX-License-Identifier: Apache-2.0
 *
 * Running a program on its devices. */
#include "bt/base/alloc.h"
#include "pjrt_internal.h"

static void forget_results(const bt_pjrt_program *program, const bt_pjrt_run *run) {
    for (size_t r = 0; r < program->n_replicas; r++) {
        for (size_t i = 0; i < program->n_results; i++) {
            run->results[r][i] = NULL;
        }
    }
}

static void free_results(const bt_pjrt_program *program, const bt_pjrt_run *run) {
    for (size_t r = 0; r < program->n_replicas; r++) {
        for (size_t i = 0; i < program->n_results; i++) {
            PJRT_ARGS(PJRT_Buffer_Destroy, destroy, .buffer = run->results[r][i]);
            pjrt_drop_error(program->plugin, program->plugin->api->PJRT_Buffer_Destroy(&destroy));
        }
    }
    forget_results(program, run);
}

/* All are awaited, also after the first that failed: none may be left. */
static bt_status await_all(const bt_pjrt_program *program, PJRT_Event **events, bt_error *err) {
    bt_status rc = BT_OK;
    for (size_t r = 0; r < program->n_replicas; r++) {
        bt_error        later = BT_ERROR_INIT;
        const bt_status one =
            pjrt_await(program->plugin, events[r], "a program failed", rc == BT_OK ? err : &later);
        rc = rc == BT_OK ? one : rc;
    }
    return rc;
}

bt_status bt_pjrt_execute(bt_pjrt_program *program, const bt_pjrt_run *run, bt_error *err) {
    BT_ASSERT(program->loaded != NULL);
    const bt_pjrt_plugin *const plugin = program->plugin;
    forget_results(program, run);
    PJRT_Event **events = NULL;
    if (run->wait) {
        events = bt_calloc_array(program->n_replicas, sizeof *events);
        if (events == NULL) {
            return BT_FAIL(err, BT_E_NOMEM, "no memory to wait for %zu devices",
                           program->n_replicas);
        }
    }
    PJRT_ExecuteOptions options = {.struct_size = PJRT_ExecuteOptions_STRUCT_SIZE};
    PJRT_ARGS(PJRT_LoadedExecutable_Execute, execute, .executable = program->loaded,
              .options = &options, .argument_lists = run->args, .num_devices = program->n_replicas,
              .num_args = run->n_args, .output_lists = run->results,
              .device_complete_events = events);
    bt_status rc = pjrt_take_error(plugin, plugin->api->PJRT_LoadedExecutable_Execute(&execute),
                                   "a program failed", err);
    if (rc != BT_OK) {
        forget_results(program, run); /* what a plug-in that failed left there is nothing */
    } else if (events != NULL) {
        rc = await_all(program, events, err);
        if (rc != BT_OK) {
            free_results(program, run);
        }
    }
    bt_free(events);
    return rc;
}
