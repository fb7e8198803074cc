/* SPDX-License-Identifier: Apache-2.0
 *
 * Mixed precision on devices (the CPU plug-in's), through bt/exec.h: the goldens of float16 and
 * bfloat16 (tests/goldens/engine/classes_*), with the tolerances of the CPU engine
 * (test_exec_mixed); updates that overflow and the loss scale. A case is a run of this program:
 * test_devices_mixed CASE
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "devices_fixture.h"
#include "task_goldens.h"

typedef struct mixed_row {
    const char  *name;
    bt_precision precision;
    double       losses, variables;
} mixed_row;

static const mixed_row rows[] = {
    {"bfloat16", BT_PRECISION_BF16, 2e-2, 4e-3},
    {"float16", BT_PRECISION_F16, 2e-3, 4e-3},
    {"float16_fixed", BT_PRECISION_F16, 2e-3, 4e-3},
    {"float16_overflow", BT_PRECISION_F16, 1e-2, 4e-3}, /* a head so steep that gradients do */
};
static const mixed_row *row;
static task_case        the_case;

/* The golden's model, weights and optimizer on a device. */
static void open_case(const char *name) {
    static char     path[64];
    static task_row its;
    (void)snprintf(path, sizeof path, "classes_%s", name);
    its = (task_row){
        .name = path,
        .head = {.kind = BT_HEAD_POOLER_DENSE, .loss = BT_LOSS_SOFTMAX, .num_classes = 3},
        .place = TASK_OWN,
        .drop = true};
    task_case_open(&the_case, &its, "ref", true, 0);
    json_t *const        optimizer = json_object_get(the_case.config, "optimizer");
    json_t *const        scale = json_object_get(the_case.config, "loss_scale");
    const double         fixed = json_is_number(scale) ? json_number_value(scale) : 0;
    const bt_exec_config config = {.precision = row->precision, .loss_scale = fixed};
    fixture_in_precision(&the_case.f, optimizer, "ref", row->precision, fixed);
    fixture_load(&the_case.f, the_case.golden, "w/");
    fixture_to_devices(&the_case.f, 1, &config);
}

static void compare_variables(int64_t n_steps) {
    const fixture *const f = &the_case.f;
    const float *const   flat = settled(f->exec, bt_exec_params(f->exec));
    for (int64_t i = 0; i < f->model->table.n_params; i++) {
        const bt_param *const param = &f->model->table.params[i];
        const bool            is_noise = strstr(param->name, "self_attention/key/bias") != NULL;
        char                  name[512];
        (void)snprintf(name, sizeof name, "step%" PRId64 "/var/%s", n_steps, param->tf_name);
        if (param->has_gradient) {
            test_close_f32(flat + param->offset, test_tensors_f32(the_case.golden, name, NULL),
                           (size_t)param->n_elements,
                           is_noise ? 2 * row->variables : row->variables, 0, name);
        }
    }
}

static void test_golden_matches(void **state) {
    (void)state;
    open_case(row->name);
    const float *const losses = test_tensors_f32(the_case.golden, "losses", NULL);
    const float *const scales = test_tensors_f32(the_case.golden, "loss_scales", NULL);
    const int64_t      n_steps = task_fact(&the_case, "steps", 0);
    double             before = bt_exec_get_loss_scale(the_case.f.exec).factor;
    int64_t            n_skipped = 0;
    for (int64_t step = 0; step < n_steps; step++) {
        bt_step_result result;
        task_case_pack(&the_case, step);
        assert_ok(
            bt_exec_train_step(the_case.f.exec, &the_case.batch.batch, step, 1, &result, err));
        const double scale = bt_exec_get_loss_scale(the_case.f.exec).factor;
        const double want = (double)losses[step];
        test_close_f64(&result.loss, &want, 1, row->losses, 0, "loss");
        assert_true(scale == (double)scales[step]);
        assert_int_equal(result.is_skipped, scale < before);
        assert_int_equal(result.n_nonfinite > 0, scale < before);
        n_skipped += result.is_skipped;
        before = scale;
    }
    assert_true((n_skipped > 0) == (strcmp(row->name, "float16_overflow") == 0));
    compare_variables(n_steps);
    task_case_close(&the_case);
}

/* An update that overflows leaves everything but the scale; 2000 good ones in a row double it. */
static void test_scale_goes_down_and_up(void **state) {
    (void)state;
    bt_step_result result;
    open_case("float16");
    bt_exec *const exec = the_case.f.exec;
    const size_t   n_bytes = (size_t)the_case.f.model->table.n_elements * sizeof(float);
    float *const   before = bt_alloc(n_bytes);
    assert_non_null(before);
    memcpy(before, settled(exec, bt_exec_params(exec)), n_bytes);
    bt_exec_set_loss_scale(exec, (bt_loss_scale){.factor = 0x1p40, .n_good = 7});
    assert_ok(bt_exec_train_step(exec, &the_case.batch.batch, 0, 1, &result, err));
    assert_true(result.is_skipped && result.n_nonfinite > 0 && isfinite(result.loss));
    assert_memory_equal(settled(exec, bt_exec_params(exec)), before, n_bytes);
    assert_true(bt_exec_get_loss_scale(exec).factor == 0x1p39);
    assert_int_equal(bt_exec_get_loss_scale(exec).n_good, 0);
    bt_exec_set_loss_scale(exec, (bt_loss_scale){.factor = 0x1p15, .n_good = 1998});
    for (int64_t step = 1; step < 3; step++) {
        assert_ok(bt_exec_train_step(exec, &the_case.batch.batch, step, 1, &result, err));
        assert_true(!result.is_skipped && result.n_nonfinite == 0);
    }
    assert_true(bt_exec_get_loss_scale(exec).factor == 0x1p16);
    assert_int_equal(bt_exec_get_loss_scale(exec).n_good, 0);
    assert_int_equal(bt_exec_train_depth(exec), 1); /* each step's scale follows from the last's */
    bt_free(before);
    task_case_close(&the_case);
}

static int run_case(const char *name) {
    static const struct CMUnitTest golden[] = {cmocka_unit_test(test_golden_matches)};
    static const struct CMUnitTest scale[] = {cmocka_unit_test(test_scale_goes_down_and_up)};
    row = &rows[1];
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].name, name) == 0) {
            row = &rows[i];
            return cmocka_run_group_tests_name(name, golden, NULL, NULL);
        }
    }
    return cmocka_run_group_tests_name(name, scale, NULL, NULL);
}

int main(int argc, char **argv) {
    return test_pjrt_cases(argc, argv, run_case);
}
