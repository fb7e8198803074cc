/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs on the CPU plug-in against the real Model Garden (goldens/numerics) and the project's
 * own goldens: logits, loss, every gradient, and updates with every variable and slot, in the
 * tolerances that the CPU engine is held to. Sequences share rows, one row and two places of
 * sequences stay empty. A program takes a second to compile, so each case is a run of this program
 * of its own: test_hlo_goldens CASE... */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "hlo_task.h"

static task_case  the_case; /* of the running test */
static hlo_layout layout;

static void compare_logits(const task_case *c, const hlo_run *run) {
    static float own[HLO_TEST_MAX_SLOTS * 8];
    if (c->row->place != TASK_OWN) {
        hlo_own_logits(own, hlo_run_result(run, 0, BT_HLO_LOGITS, NULL), &layout, c->f.model,
                       &c->batch.batch);
        task_compare_logits(c, own);
    }
}

static void test_gradients_match(void **state) {
    (void)state;
    task_case *const c = &the_case;
    hlo_run          run;
    hlo_task_lay_out(&layout, c, 0);
    const bt_hlo_config config = hlo_task_config(c, &layout, BT_HLO_GRADIENTS);
    hlo_run_open(&run, c->f.model, NULL, &config);
    hlo_task_load(&run, c);
    hlo_run_set_layout(&run, 0, &layout);
    hlo_run_step(&run);
    const float *const outcome = hlo_run_result(&run, 0, BT_HLO_OUTCOME, NULL);
    float *const       flat = bt_calloc_array((size_t)c->f.model->table.n_elements, sizeof *flat);
    assert_non_null(flat);
    hlo_run_get_state(&run, c->f.model, BT_HLO_GRADIENT, 0, flat);
    compare_logits(c, &run);
    task_compare_gradients(c, (double)outcome[0], (double)outcome[1], flat);
    assert_true(outcome[2] == 0);
    bt_free(flat);
    hlo_run_close(&run);
}

static void test_trajectory_matches(void **state) {
    (void)state;
    task_case *const c = &the_case;
    hlo_run          run;
    hlo_task_lay_out(&layout, c, 0);
    const bt_hlo_config config = hlo_task_config(c, &layout, BT_HLO_TRAIN);
    hlo_run_open(&run, c->f.model, c->f.optim, &config);
    hlo_task_load(&run, c);
    for (int64_t step = 0; step < task_fact(c, "steps", 0); step++) {
        hlo_task_lay_out(&layout, c, step);
        hlo_task_set_numbers(&layout, c, step);
        hlo_run_set_layout(&run, 0, &layout);
        hlo_run_step(&run);
        const float *const outcome = hlo_run_result(&run, 0, BT_HLO_OUTCOME, NULL);
        assert_true(outcome[2] == 0);
        task_compare_update(c, step, (double)outcome[0], (double)outcome[1]);
        if (task_has_snapshot(c, step + 1)) {
            hlo_task_compare(&run, c, step + 1);
        }
    }
    hlo_run_close(&run);
}

static int run_case(const char *name) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients_match),
        cmocka_unit_test(test_trajectory_matches),
    };
    const task_row *const row = task_find(name);
    if (row == NULL) {
        (void)fprintf(stderr, "no case %s\n", name);
        return 1;
    }
    const task_row outside = row->place != TASK_GARDEN ? *row : task_outside(row);
    const bool     has_other = row->place == TASK_GARDEN && task_is_here(&outside);
    int            rc = 0;
    for (int i = 0; i < (has_other ? 2 : 1); i++) {
        task_case_open(&the_case, i == 0 ? row : &outside, "ref", true, 0);
        rc |= cmocka_run_group_tests_name(name, tests, NULL, NULL);
        task_case_close(&the_case);
    }
    return rc;
}

int main(int argc, char **argv) {
    return test_pjrt_cases(argc, argv, run_case);
}
