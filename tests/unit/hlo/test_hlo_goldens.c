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

#include "hlo_fixture.h"
#include "task_goldens.h"

static task_case  the_case; /* of the running test */
static hlo_layout layout;

static bt_hlo_config config_for(const task_case *c, bt_hlo_what what) {
    return (bt_hlo_config){.what = what,
                           .n_rows = layout.R,
                           .n_slots = layout.S,
                           .n_seqs = layout.B,
                           .precision = BT_PRECISION_F32,
                           .has_key_mask = c->batch.batch.key_mask != NULL,
                           .has_labels = true,
                           .n_replicas = 1};
}

static void lay_batch(task_case *c, int64_t step) {
    task_case_pack(c, step);
    hlo_lay_out(&layout, c->f.model, &c->batch.batch, true);
}

/* Logits as the engine's: of the batch's own sequences, pairs or tokens. */
static void compare_logits(const task_case *c, const hlo_run *run) {
    static float       own[HLO_TEST_MAX_SLOTS * 8];
    const float *const logits = hlo_run_result(run, 0, BT_HLO_LOGITS, NULL);
    const int64_t      n_pairs = c->batch.batch.n_seqs / 2;
    const int64_t      C = c->row->head.num_classes;
    if (c->row->head.loss == BT_LOSS_RANKING) {
        for (int64_t i = 0; i < n_pairs * n_pairs; i++) {
            own[i] = logits[i / n_pairs * (layout.B / 2) + i % n_pairs];
        }
    } else if (c->row->head.kind == BT_HEAD_TOKENS) {
        for (int64_t t = 0; t < c->batch.batch.n_tokens; t++) {
            memcpy(own + t * C, logits + layout.slots[t] * C, (size_t)C * sizeof *own);
        }
    } else {
        memcpy(own, logits, (size_t)(c->batch.batch.n_seqs * C) * sizeof *own);
    }
    if (!c->row->own) {
        task_compare_logits(c, own);
    }
}

static void gradients_match(void **state) {
    (void)state;
    task_case *const c = &the_case;
    hlo_run          run;
    lay_batch(c, 0);
    const bt_hlo_config config = config_for(c, BT_HLO_GRADIENTS);
    hlo_run_open(&run, c->f.model, NULL, &config);
    hlo_run_set_state(&run, c->f.model, BT_HLO_PARAM, 0,
                      settled(c->f.exec, bt_exec_params(c->f.exec)));
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

static void set_numbers(const task_case *c, int64_t step) {
    const bt_optim_numbers n = bt_optim_get_numbers(c->f.optim, step);
    layout.numbers[BT_HLO_LR] = n.lr;
    layout.numbers[BT_HLO_ALPHA] = n.alpha;
    layout.numbers[BT_HLO_CORRECTION_1] = n.correction_1;
    layout.numbers[BT_HLO_CORRECTION_2] = n.correction_2;
    layout.numbers[BT_HLO_ONE_MINUS_AVERAGE_DECAY] = n.one_minus_average_decay;
}

static void compare_snapshot(const task_case *c, const hlo_run *run, int64_t n_steps) {
    const struct {
        const char *kind;
        bt_hlo_role role;
        int32_t     slot;
    } states[] = {{"var", BT_HLO_PARAM, 0},
                  {"m", BT_HLO_SLOT, 0},
                  {"v", BT_HLO_SLOT, 1},
                  {"average", BT_HLO_AVERAGE, 0}};
    const bt_param_table *const table = &c->f.model->table;
    float *const                flat = bt_alloc_array((size_t)table->n_elements, sizeof *flat);
    assert_non_null(flat);
    for (size_t i = 0; i < (bt_optim_has_average(c->f.optim) ? 4 : 3); i++) {
        /* what no loss reads is no variable of the program, and stays as it was */
        memcpy(flat, settled(c->f.exec, bt_exec_params(c->f.exec)),
               (size_t)table->n_elements * sizeof *flat);
        hlo_run_get_state(run, c->f.model, states[i].role, states[i].slot, flat);
        task_compare_state(c, flat, n_steps, states[i].kind);
    }
    bt_free(flat);
}

static void trajectory_matches(void **state) {
    (void)state;
    task_case *const c = &the_case;
    hlo_run          run;
    lay_batch(c, 0);
    const bt_hlo_config config = config_for(c, BT_HLO_TRAIN);
    hlo_run_open(&run, c->f.model, c->f.optim, &config);
    hlo_run_set_state(&run, c->f.model, BT_HLO_PARAM, 0,
                      settled(c->f.exec, bt_exec_params(c->f.exec)));
    for (int64_t step = 0; step < task_fact(c, "steps", 0); step++) {
        lay_batch(c, step);
        set_numbers(c, step);
        hlo_run_set_layout(&run, 0, &layout);
        hlo_run_step(&run);
        const float *const outcome = hlo_run_result(&run, 0, BT_HLO_OUTCOME, NULL);
        assert_true(outcome[2] == 0);
        task_compare_update(c, step, (double)outcome[0], (double)outcome[1]);
        if (task_has_snapshot(c, step + 1)) {
            compare_snapshot(c, &run, step + 1);
        }
    }
    hlo_run_close(&run);
}

static const task_row *find_row(const char *name) {
    const bool own = strncmp(name, "own_", 4) == 0;
    for (size_t i = 0; i < (own ? n_own_rows : n_task_rows); i++) {
        const task_row *const row = own ? &own_rows[i] : &task_rows[i];
        if (strcmp(row->name, own ? name + 4 : name) == 0) {
            return row;
        }
    }
    return NULL;
}

static int run_case(const char *name) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_match),
        cmocka_unit_test(trajectory_matches),
    };
    const task_row *const row = find_row(name);
    if (row == NULL) {
        (void)fprintf(stderr, "no case %s\n", name);
        return 1;
    }
    if (!task_is_here(row)) {
        (void)printf("SKIPPED: the folder of Model Garden's goldens is absent\n");
        return 0;
    }
    task_case_open(&the_case, row, "ref", true, 0);
    const int rc = cmocka_run_group_tests_name(name, tests, NULL, NULL);
    task_case_close(&the_case);
    return rc;
}

int main(int argc, char **argv) {
    int rc = 0;
    if (test_pjrt_client() == NULL) { /* which has said why */
        return TEST_SKIP_EXIT;
    }
    for (int i = 1; i < argc; i++) {
        rc |= run_case(argv[i]);
    }
    (void)fflush(NULL);
    _Exit(rc != 0); /* the plug-in keeps threads: no destructors */
}
