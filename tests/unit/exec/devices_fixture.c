/* SPDX-License-Identifier: Apache-2.0
 *
 * See devices_fixture.h. */
#include "devices_fixture.h"

bt_exec_devices devices_of_test(int32_t n_replicas) {
    static const bt_pjrt_option flags[] = {
        {.name = "xla_backend_optimization_level", .type = BT_PJRT_OPTION_INT, .number = 0},
        {.name = "xla_llvm_disable_expensive_passes", .type = BT_PJRT_OPTION_BOOL, .number = 1},
    };
    return (bt_exec_devices){.n_replicas = n_replicas,
                             .flags = flags,
                             .n_flags = BT_ARRAY_LEN(flags),
                             .client = test_pjrt_client()};
}

static void move(fixture *f, const bt_exec_devices *devices, const bt_exec_config *config) {
    bt_exec *const before = f->exec;
    assert_ok(bt_exec_settle(before, err));
    assert_ok(bt_exec_create_pjrt(f->model, f->optim, config, devices, &f->exec, err));
    bt_exec_copy(f->exec, bt_exec_params(f->exec), bt_exec_params(before));
    for (int32_t i = 0; bt_exec_slot(before, i) != NULL && i < BT_OPTIM_MAX_SLOTS; i++) {
        bt_exec_copy(f->exec, bt_exec_slot(f->exec, i), bt_exec_slot(before, i));
    }
    if (bt_exec_average(before) != NULL) {
        bt_exec_copy(f->exec, bt_exec_average(f->exec), bt_exec_average(before));
    }
    assert_ok(bt_exec_changed(f->exec, err));
    bt_exec_free(before);
}

void fixture_to_devices(fixture *f, int32_t n_replicas, const bt_exec_config *config) {
    const bt_exec_devices devices = devices_of_test(n_replicas);
    move(f, &devices, config);
}

void fixture_to_replicas(fixture *f, int32_t n_replicas, const bt_exec_config *config) {
    const bt_exec_devices devices = devices_of_test(n_replicas);
    bt_exec_config        shared = *config;
    shared.shares = BT_EXEC_SHARES_SEQUENCES;
    move(f, &devices, &shared);
}
