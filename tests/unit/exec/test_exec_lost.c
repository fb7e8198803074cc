/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine on a plug-in that fails: what was donated is lost and every later call says so, until
 * the caller brings a state; what fails before that costs nothing; no object is kept. */
#include <dlfcn.h>
#include <string.h>

#include "bt/hlo.h"
#include "exec_fixture.h"
#include "fake_plugin.h"

enum { INTERNAL = 13, RESOURCE_EXHAUSTED = 8 }; /* of PJRT_Error_Code */

static const char *fake_path(void) {
    return test_build_path("tests/support/bt_fake_plugin.so");
}

static fake_plugin *fake(void) {
    void *const library = dlopen(fake_path(), RTLD_NOW | RTLD_LOCAL);
    assert_non_null(library);
    void *const          object = dlsym(library, "fake_plugin_state");
    fake_plugin_state_fn get = NULL;
    memcpy(&get, &object, sizeof get);
    return get();
}

static const int32_t  ids[] = {1, 2, 3, 4, 5, 6, 7, 8};
static const int32_t  mask[] = {1, 1, 1, 1, 1, 1, 1, 1};
static const int32_t  types[8];
static fixture        f;
static fixture_batch  batch;
static bt_step_result result;

/* The engine with a state, on the fake's device; programs give as many results as that kind's. */
static void open_on_fake(fake_plugin *plugin, bt_hlo_what what, int64_t part_seqs) {
    const bt_head_config head = {
        .kind = BT_HEAD_POOLER_DENSE, .loss = BT_LOSS_SOFTMAX, .num_classes = 2};
    const bt_encoder_config encoder = fixture_encoder();
    json_t *const adam = json_loads("{\"optimizer\": {\"type\": \"adam\", \"adam\": {}}}", 0, NULL);
    const bt_hlo_config config = {
        .what = what, .n_rows = 1, .n_slots = 8, .n_seqs = 2, .n_replicas = 1};
    const bt_exec_config  plain = {.n_threads = 1, .part_seqs = part_seqs};
    const bt_exec_devices devices = {.plugin = fake_path(), .n_replicas = 1};
    bt_hlo_program       *program = NULL;
    fixture_open(&f, &encoder, &head, adam, "ref", 1);
    json_decref(adam);
    fixture_pack(&batch, ids, mask, types, 2, 4, true);
    batch.batch.int_labels = batch.int_labels;
    assert_ok(bt_hlo_program_create(f.model, f.optim, &config, &program, err));
    plugin->n_devices = 1;
    plugin->n_results = (int)program->n_results;
    bt_hlo_program_free(program);
    bt_exec_free(f.exec);
    f.exec = NULL;
    assert_ok(bt_exec_create_pjrt(f.model, f.optim, &plain, &devices, &f.exec, err));
    bt_exec_params(f.exec)[0] = 42;
    assert_ok(bt_exec_changed(f.exec, err));
}

static bt_status train(bt_error *problem) {
    return bt_exec_train_step(f.exec, &batch.batch, 0, 1, &result, problem);
}

static void fail_at(fake_plugin *plugin, const char *function, int after, int code) {
    plugin->fail = function;
    plugin->fail_after = after;
    plugin->fail_code = code;
}

static void check_lost(void) {
    assert_fails(train(err), BT_E_BACKEND, "last checkpoint");
    assert_fails(bt_exec_settle(f.exec, err), BT_E_BACKEND, "last checkpoint");
    assert_fails(bt_exec_evaluate(f.exec, &batch.batch, &result, err), BT_E_BACKEND,
                 "last checkpoint");
    assert_ok(bt_exec_changed(f.exec, err));
    assert_ok(bt_exec_settle(f.exec, err));
}

static void test_what_was_donated_is_lost(void **state) {
    (void)state;
    fake_plugin *const plugin = fake();
    open_on_fake(plugin, BT_HLO_TRAIN, 0);
    fail_at(plugin, "PJRT_LoadedExecutable_Execute", 0, INTERNAL);
    assert_fails(train(err), BT_E_BACKEND, "a program failed");
    check_lost();
    fail_at(plugin, "PJRT_LoadedExecutable_Execute", 0, RESOURCE_EXHAUSTED);
    assert_fails(train(err), BT_E_NOMEM, "a program failed");
    check_lost();
    fail_at(plugin, "PJRT_Buffer_ToHostBuffer", 0, INTERNAL); /* of the step's outcome */
    assert_fails(train(err), BT_E_BACKEND, "cannot be read");
    check_lost();
    assert_true(bt_exec_params(f.exec)[0] == 42);
    fixture_close(&f);
    assert_int_equal(plugin->live, 0);
}

static void test_what_fails_before_costs_nothing(void **state) {
    (void)state;
    fake_plugin *const plugin = fake();
    open_on_fake(plugin, BT_HLO_TRAIN, 0);
    fail_at(plugin, "PJRT_Client_Compile", 0, INTERNAL);
    assert_fails(train(err), BT_E_BACKEND, "bt_fake_plugin.so");
    assert_ok(bt_exec_settle(f.exec, err));
    for (int after = 0; after < 60; after += 7) { /* the state's arrays, then the batch's */
        fail_at(plugin, "PJRT_Client_BufferFromHostBuffer", after, INTERNAL);
        const bt_status rc = train(NULL);
        const bool      was_reached = plugin->fail_after < 0;
        if (was_reached) {
            assert_int_equal(rc, BT_E_BACKEND);
            assert_ok(bt_exec_settle(f.exec, err));
        }
        assert_ok(bt_exec_changed(f.exec, err));
    }
    fail_at(plugin, NULL, 0, 0);
    fixture_close(&f);
    assert_int_equal(plugin->live, 0);
}

/* What was added up before a part failed must not be in the next batch's sum. */
static void test_no_part_is_left_behind(void **state) {
    (void)state;
    enum { MAX_UPLOADS = 200 };
    fake_plugin *const plugin = fake();
    int                n_params = 0;
    int                n_failed = 0;
    open_on_fake(plugin, BT_HLO_ACCUMULATE, 1);
    for (int64_t i = 0; i < f.model->table.n_params; i++) {
        n_params += f.model->table.params[i].has_gradient;
    }
    assert_fails(train(err), BT_E_INTERNAL, "results"); /* of the update's program, after both */
    const int n_kept = plugin->live;
    assert_true(n_kept > 0 && n_kept < n_params); /* layers are stacked */
    for (int after = 0; after < MAX_UPLOADS; after++) {
        fail_at(plugin, "PJRT_Client_BufferFromHostBuffer", after, INTERNAL);
        const bt_status rc = train(NULL);
        n_failed += rc == BT_E_BACKEND;
        assert_int_equal(plugin->live, n_kept);
    }
    assert_in_range(n_failed, 20, MAX_UPLOADS - 1); /* gradients, and inputs of two parts */
    assert_ok(bt_exec_settle(f.exec, err));
    fail_at(plugin, NULL, 0, 0);
    fixture_close(&f);
    assert_int_equal(plugin->live, 0);
}

/* Steps under way when one fails on the device: that one tells, the others' objects go back. */
static void test_steps_under_way_are_given_back(void **state) {
    (void)state;
    const bt_batch    *its_own = NULL;
    fake_plugin *const plugin = fake();
    open_on_fake(plugin, BT_HLO_TRAIN, 0);
    for (int64_t step = 0; step < bt_exec_train_depth(f.exec); step++) {
        assert_ok(bt_exec_train_begin(f.exec, &batch.batch, step, 1, err));
    }
    fail_at(plugin, "PJRT_Buffer_ToHostBuffer", 0, INTERNAL);
    assert_fails(bt_exec_train_end(f.exec, &result, &its_own, err), BT_E_BACKEND, "cannot be read");
    assert_fails(bt_exec_train_begin(f.exec, &batch.batch, 9, 1, err), BT_E_BACKEND,
                 "last checkpoint");
    fixture_close(&f);
    assert_int_equal(plugin->live, 0);
}

/* Whether a step fits is known before it is made; a plan that is clearly below compiles nothing. */
static void test_what_does_not_fit_is_known_before(void **state) {
    (void)state;
    fake_plugin *const plugin = fake();
    open_on_fake(plugin, BT_HLO_TRAIN, 0);
    plugin->limit_bytes = INT64_C(1) << 40;
    plugin->temporary_bytes = 12345;
    bt_exec_memory plan = bt_exec_plan_memory(f.exec, 8, 4);
    const int64_t  kept = (int64_t)(plan.variables + plan.slots);
    assert_true(plan.is_of_device && plan.available == UINT64_C(1) << 40);
    fail_at(plugin, "PJRT_Client_Compile", 0, INTERNAL);
    assert_ok(bt_exec_measure_memory(f.exec, &plan, err));
    assert_false(plan.is_measured);
    /* the same is too near for an estimate */
    plugin->limit_bytes = kept + 12345;
    plan = bt_exec_plan_memory(f.exec, 8, 4);
    assert_true(plan.left_here > (uint64_t)plugin->limit_bytes); /* which is of the device alone */
    assert_fails(bt_exec_measure_memory(f.exec, &plan, err), BT_E_BACKEND, "bt_fake_plugin.so");
    plan = bt_exec_plan_memory(f.exec, 8, 4);
    assert_ok(bt_exec_measure_memory(f.exec, &plan, err));
    assert_true(plan.is_measured && plan.largest_seqs == 8);
    /* the compiler has no room for 8, and 4 fit */
    plan = bt_exec_plan_memory(f.exec, 16, 4);
    fail_at(plugin, "PJRT_Client_Compile", 0, RESOURCE_EXHAUSTED);
    assert_ok(bt_exec_measure_memory(f.exec, &plan, err));
    assert_true(plan.is_measured && plan.largest_seqs == 8 && plan.n_seqs == 16);
    /* nothing does: programs of this plug-in take the same whatever they are */
    plugin->limit_bytes = 12344;
    plan = bt_exec_plan_memory(f.exec, 8, 4);
    assert_ok(bt_exec_measure_memory(f.exec, &plan, err));
    assert_true(plan.is_measured && plan.largest_seqs == 0);
    assert_int_equal(plan.activations + plan.variables + plan.slots > UINT64_C(12344), 1);
    /* an evaluation, beside the slots that stay */
    plugin->n_results = 2;
    plugin->limit_bytes = kept + 12345;
    assert_ok(bt_exec_measure_evaluation(f.exec, 4096, 4, &plan, err));
    assert_true(plan.is_measured && plan.largest_seqs == 4096);
    plugin->limit_bytes = (int64_t)plan.slots + 12344;
    assert_ok(bt_exec_measure_evaluation(f.exec, 4096, 4, &plan, err));
    assert_true(plan.is_measured && plan.largest_seqs == 0);
    plugin->limit_bytes = INT64_C(1) << 40;
    assert_ok(bt_exec_measure_evaluation(f.exec, 4096, 4, &plan, err));
    assert_false(plan.is_measured);
    plugin->limit_bytes = plugin->temporary_bytes = 0;
    fail_at(plugin, NULL, 0, 0);
    fixture_close(&f);
    assert_int_equal(plugin->live, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_donated_is_lost),
        cmocka_unit_test(test_what_fails_before_costs_nothing),
        cmocka_unit_test(test_what_does_not_fit_is_known_before),
        cmocka_unit_test(test_no_part_is_left_behind),
        cmocka_unit_test(test_steps_under_way_are_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
