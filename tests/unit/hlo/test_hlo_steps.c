/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps of other kinds against Model Garden's numbers (goldens/numerics): of two replicas with a
 * share of the batch each, accumulated from parts, in mixed precision; and clipping by value
 * against the CPU engine. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "hlo_task.h"

static task_case  the_case;
static hlo_layout layout;

static const task_row classes = {
    .name = "sentence_prediction_3class",
    .head = {.kind = BT_HEAD_POOLER_DENSE, .loss = BT_LOSS_SOFTMAX, .num_classes = 3},
    .drop = true};

static void open_case(void) {
    task_case_open(&the_case, &classes, "ref", true, 0);
}

static void compare_replicas(const hlo_run *run, const test_tensors *golden, int64_t n_steps) {
    const bt_param_table *const table = &the_case.f.model->table;
    float *const                flat = bt_calloc_array((size_t)table->n_elements, sizeof *flat);
    assert_non_null(flat);
    for (int kind = 0; kind < 2; kind++) {
        hlo_run_get_state(run, the_case.f.model, kind == 0 ? BT_HLO_PARAM : BT_HLO_SLOT, 0, flat);
        for (int64_t i = 0; i < table->n_params; i++) {
            const bt_param *const p = &table->params[i];
            char                  name[256];
            (void)snprintf(name, sizeof name, "step%" PRId64 "/%s/%s", n_steps,
                           kind == 0 ? "var" : "m", p->tf_name);
            const bool is_noise = strstr(name, "key/bias") != NULL;
            if (!p->has_gradient || (is_noise && kind == 1)) {
                continue;
            }
            test_close_f32(flat + p->offset, test_tensors_f32(golden, name, NULL),
                           (size_t)p->n_elements,
                           is_noise    ? 2e-4
                           : kind == 0 ? 2e-6
                                       : 1e-6,
                           0, name);
        }
    }
    bt_free(flat);
}

static void test_two_replicas_match(void **state) {
    (void)state;
    open_case();
    test_tensors *const golden =
        test_tensors_open(test_shared_path("goldens/numerics/tasks/two_replicas.safetensors"));
    const float *const losses = test_tensors_f32(golden, "replica_losses", NULL);
    hlo_run            run;
    hlo_task_lay_part(&layout, &the_case, 0, 3);
    bt_hlo_config config = hlo_task_config(&the_case, &layout, BT_HLO_TRAIN);
    config.n_replicas = 2;
    hlo_run_open(&run, the_case.f.model, the_case.f.optim, &config);
    hlo_task_load(&run, &the_case);
    for (int64_t step = 0; step < 5; step++) {
        task_case_pack(&the_case, step);
        for (int32_t r = 0; r < 2; r++) {
            hlo_task_lay_part(&layout, &the_case, 3 * r, 3);
            hlo_task_set_numbers(&layout, &the_case, step);
            hlo_run_set_layout(&run, r, &layout);
        }
        hlo_run_step(&run);
        for (int32_t r = 0; r < 2; r++) {
            const float *const outcome = hlo_run_result(&run, r, BT_HLO_OUTCOME, NULL);
            test_close_f32(outcome, losses + 2 * step + r, 1, 1e-5, 1e-5, "loss of a replica");
            assert_true(outcome[2] == 0);
        }
        if (step == 0 || step == 4) {
            compare_replicas(&run, golden, step + 1);
        }
    }
    hlo_run_close(&run);
    test_tensors_close(golden);
    task_case_close(&the_case);
}

/* What ACCUMULATE leaves in its arguments' places, as UPDATE's arguments; and back. */
static void hand_over(const hlo_run *from, hlo_run *to) {
    for (size_t i = 0; i < from->program->n_args; i++) {
        const bt_hlo_tensor *const a = &from->program->args[i];
        for (size_t k = 0; k < to->program->n_args; k++) {
            const bt_hlo_tensor *const b = &to->program->args[k];
            const bool wanted = a->role == BT_HLO_GRADIENT || a->role == BT_HLO_SUMS;
            if (wanted && a->role == b->role && a->variable == b->variable) {
                size_t n = sizeof(float);
                for (int32_t d = 0; d < a->rank; d++) {
                    n *= (size_t)a->dim[d];
                }
                memcpy(to->args[k], from->args[i], n);
            }
        }
    }
}

static void test_accumulated_parts_are_the_whole(void **state) {
    (void)state;
    open_case();
    hlo_run      add;
    hlo_run      update;
    float *const flat = bt_alloc_array((size_t)the_case.f.model->table.n_elements, sizeof *flat);
    assert_non_null(flat);
    hlo_task_lay_part(&layout, &the_case, 0, 3);
    bt_hlo_config config = hlo_task_config(&the_case, &layout, BT_HLO_ACCUMULATE);
    hlo_run_open(&add, the_case.f.model, NULL, &config);
    config.what = BT_HLO_UPDATE;
    hlo_run_open(&update, the_case.f.model, the_case.f.optim, &config);
    hlo_task_load(&add, &the_case);
    hlo_task_load(&update, &the_case);
    memcpy(flat, bt_exec_params(the_case.f.exec),
           (size_t)the_case.f.model->table.n_elements * sizeof *flat);
    for (int64_t step = 0; step < 2; step++) {
        task_case_pack(&the_case, step);
        for (int64_t part = 0; part < 2; part++) {
            hlo_task_lay_part(&layout, &the_case, 3 * part, 3);
            layout.numbers[BT_HLO_WEIGHT_SUM] = 6; /* the whole batch's */
            hlo_run_set_layout(&add, 0, &layout);
            hlo_run_step(&add);
        }
        hlo_task_set_numbers(&layout, &the_case, step);
        hlo_run_set_layout(&update, 0, &layout);
        hand_over(&add, &update);
        hlo_run_step(&update);
        hand_over(&update, &add); /* which is 0 again */
        const float *const outcome = hlo_run_result(&update, 0, BT_HLO_OUTCOME, NULL);
        task_compare_update(&the_case, step, (double)outcome[0], (double)outcome[1]);
        hlo_task_compare(&update, &the_case, step + 1);
        hlo_run_get_state(&update, the_case.f.model, BT_HLO_PARAM, 0, flat);
        hlo_run_set_state(&add, the_case.f.model, BT_HLO_PARAM, 0, flat);
    }
    hlo_run_close(&add);
    hlo_run_close(&update);
    bt_free(flat);
    task_case_close(&the_case);
}

static void test_values_are_clipped_as_the_engine_does(void **state) {
    (void)state;
    open_case();
    json_t *const  optimizer = json_loads("{\"optimizer\": {\"type\": \"adam\", \"adam\": "
                                           "{\"clipvalue\": 0.01, \"clipnorm\": 0.05}}}",
                                          0, NULL);
    bt_step_result result;
    hlo_run        run;
    assert_non_null(optimizer);
    float *const before =
        bt_alloc_array((size_t)the_case.f.model->table.n_elements, sizeof *before);
    assert_non_null(before);
    bt_exec_copy(the_case.f.exec, before, bt_exec_params(the_case.f.exec));
    fixture_in_precision(&the_case.f, optimizer, "ref", BT_PRECISION_F32, 0);
    fixture_load(&the_case.f, the_case.golden, "w/");
    hlo_task_lay_out(&layout, &the_case, 0);
    const bt_hlo_config config = hlo_task_config(&the_case, &layout, BT_HLO_TRAIN);
    hlo_run_open(&run, the_case.f.model, the_case.f.optim, &config);
    hlo_run_set_state(&run, the_case.f.model, BT_HLO_PARAM, 0, before);
    hlo_task_set_numbers(&layout, &the_case, 0);
    hlo_run_set_layout(&run, 0, &layout);
    hlo_run_step(&run);
    assert_ok(bt_exec_train_step(the_case.f.exec, &the_case.batch.batch, 0, 1, &result, err));
    hlo_run_get_state(&run, the_case.f.model, BT_HLO_SLOT, 0, before);
    const float *const want = settled(the_case.f.exec, bt_exec_slot(the_case.f.exec, 0));
    for (int64_t i = 0; i < the_case.f.model->table.n_params; i++) {
        const bt_param *const p = &the_case.f.model->table.params[i];
        if (p->has_gradient) {
            test_close_f32(before + p->offset, want + p->offset, (size_t)p->n_elements, 1e-7, 1e-4,
                           p->name);
        }
    }
    hlo_run_close(&run);
    bt_free(before);
    json_decref(optimizer);
    task_case_close(&the_case);
}

/* How far Model Garden's mixed policies are from its float32, nearly twice. */
static const struct {
    bt_precision precision;
    double       logits, losses, gradients;
} mixed[] = {{BT_PRECISION_BF16, 8e-2, 1.4e-2, 3e-2}, {BT_PRECISION_F16, 1e-2, 2e-3, 6e-3}};

static void test_mixed_precision_is_near(void **state) {
    (void)state;
    open_case();
    const bt_param_table *const table = &the_case.f.model->table;
    float *const                flat = bt_calloc_array((size_t)table->n_elements, sizeof *flat);
    assert_non_null(flat);
    hlo_task_lay_out(&layout, &the_case, 0);
    for (size_t i = 0; i < BT_ARRAY_LEN(mixed); i++) {
        hlo_run       run;
        bt_hlo_config config = hlo_task_config(&the_case, &layout, BT_HLO_GRADIENTS);
        config.precision = mixed[i].precision;
        layout.numbers[BT_HLO_LOSS_SCALE] = mixed[i].precision == BT_PRECISION_F16 ? 0x1p15F : 1;
        hlo_run_open(&run, the_case.f.model, NULL, &config);
        hlo_task_load(&run, &the_case);
        hlo_run_set_layout(&run, 0, &layout);
        hlo_run_step(&run);
        test_close_f32(hlo_run_result(&run, 0, BT_HLO_LOGITS, NULL),
                       test_tensors_f32(the_case.golden, "out/logits", NULL),
                       (size_t)the_case.batch.batch.n_seqs * 3, mixed[i].logits, 0, "logits");
        test_close_f32(hlo_run_result(&run, 0, BT_HLO_OUTCOME, NULL),
                       test_tensors_f32(the_case.golden, "loss", NULL), 1, mixed[i].losses, 0,
                       "loss");
        hlo_run_get_state(&run, the_case.f.model, BT_HLO_GRADIENT, 0, flat);
        for (int64_t p = 0; p < table->n_params; p++) {
            const bt_param *const param = &table->params[p];
            char                  name[256];
            (void)snprintf(name, sizeof name, "grad/%s", param->tf_name);
            if (param->has_gradient) {
                test_close_f32(flat + param->offset, test_tensors_f32(the_case.golden, name, NULL),
                               (size_t)param->n_elements, mixed[i].gradients, 0, name);
            }
        }
        hlo_run_close(&run);
    }
    bt_free(flat);
    task_case_close(&the_case);
}

/* Five updates; a sign of a gradient may flip, so the variables' tolerance is the sum of the rates.
 */
static void test_bfloat16_trains_as_float32(void **state) {
    (void)state;
    open_case();
    const bt_param_table *const table = &the_case.f.model->table;
    float *const                flat = bt_calloc_array((size_t)table->n_elements, sizeof *flat);
    const float *const          losses = test_tensors_f32(the_case.golden, "losses", NULL);
    hlo_run                     run;
    assert_non_null(flat);
    hlo_task_lay_out(&layout, &the_case, 0);
    bt_hlo_config config = hlo_task_config(&the_case, &layout, BT_HLO_TRAIN);
    config.precision = BT_PRECISION_BF16;
    config.recompute = true;
    hlo_run_open(&run, the_case.f.model, the_case.f.optim, &config);
    hlo_task_load(&run, &the_case);
    for (int64_t step = 0; step < 5; step++) {
        hlo_task_lay_out(&layout, &the_case, step);
        hlo_task_set_numbers(&layout, &the_case, step);
        hlo_run_set_layout(&run, 0, &layout);
        hlo_run_step(&run);
        test_close_f32(hlo_run_result(&run, 0, BT_HLO_OUTCOME, NULL), losses + step, 1, 1.4e-2, 0,
                       "loss");
    }
    hlo_run_get_state(&run, the_case.f.model, BT_HLO_PARAM, 0, flat);
    for (int64_t p = 0; p < table->n_params; p++) {
        const bt_param *const param = &table->params[p];
        char                  name[256];
        (void)snprintf(name, sizeof name, "step5/var/%s", param->tf_name);
        if (param->has_gradient) {
            test_close_f32(flat + param->offset, test_tensors_f32(the_case.golden, name, NULL),
                           (size_t)param->n_elements, 2.1e-3, 0, name);
        }
    }
    hlo_run_close(&run);
    bt_free(flat);
    task_case_close(&the_case);
}

/* An argument of the program chooses one test; each compiles for seconds. */
int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_replicas_match),
        cmocka_unit_test(test_accumulated_parts_are_the_whole),
        cmocka_unit_test(test_values_are_clipped_as_the_engine_does),
        cmocka_unit_test(test_mixed_precision_is_near),
        cmocka_unit_test(test_bfloat16_trains_as_float32),
    };
    if (test_pjrt_client() == NULL) { /* which has said why */
        return TEST_SKIP_EXIT;
    }
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    const int rc = cmocka_run_group_tests(tests, NULL, NULL);
    test_pjrt_exit(rc);
}
