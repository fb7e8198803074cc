/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine against the real Model Garden (goldens/numerics): encoder outputs, logits, loss, every
 * gradient, and 20 updates with every variable and slot, through the code that training runs, under
 * every instruction set of this machine. Tolerances:
 * tests/goldens/model_garden/numerics/MANIFEST.md. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "task_goldens.h"

/* An emulated processor leaves the portable kernels (the first ones) to others. Where all is slow a
 * batch is worked on in one of the ways that are tried, each row in its own, and what is outside
 * the repository, of the same models with other weights, is left out. */
static const char *const *isas(void) {
    return fixture_isas() + (test_is_emulated() ? 1 : 0);
}

static bool is_left_out(size_t row, int way, int n_ways) {
    return test_is_slow() && row % (size_t)n_ways != (size_t)way;
}

static void run_encoder(encoder_case *c) {
    encoder_case_run(c, false);
    encoder_case_run(c, true);
    encoder_case_close(c);
}

static void test_encoder_outputs_match(void **state) {
    (void)state;
    for (const char *const *isa = isas(); *isa != NULL; isa++) {
        for (size_t i = 0; i < n_encoder_rows; i++) {
            encoder_case c;
            encoder_case_open(&c, &encoder_rows[i], *isa);
            run_encoder(&c);
            if (!test_is_slow() && encoder_case_open_outside(&c, &encoder_rows[i], *isa)) {
                run_encoder(&c);
            }
        }
    }
}

static void run_task(const task_row *row, const char *isa, bool trajectory, int64_t part_seqs) {
    static task_case c;
    task_case_open(&c, row, isa, trajectory, part_seqs);
    if (trajectory) {
        task_run_trajectory(&c);
    } else {
        task_run_layers(&c);
        task_run_gradients(&c);
    }
    task_case_close(&c);
}

/* May the batch be worked on in parts? Then Model Garden's numbers for the whole batch come out. */
static bool adds_up(const task_row *row) {
    return row->head.loss != BT_LOSS_RANKING;
}

static void run_shared_task(size_t i, const task_row *row, const char *isa, bool trajectory) {
    if (!adds_up(row) || !is_left_out(i, 0, 2)) {
        run_task(row, isa, trajectory, 0);
    }
    if (adds_up(row) && !is_left_out(i, 1, 2)) {
        run_task(row, isa, trajectory, 2);
    }
}

static void run_shared_tasks(bool trajectory) {
    for (const char *const *isa = isas(); *isa != NULL; isa++) {
        for (size_t i = 0; i < n_task_rows; i++) {
            const task_row outside = task_outside(&task_rows[i]);
            run_shared_task(i, &task_rows[i], *isa, trajectory);
            if (!test_is_slow() && task_is_here(&outside)) {
                run_shared_task(i, &outside, *isa, trajectory);
            }
        }
    }
}

static void test_gradients_match(void **state) {
    (void)state;
    run_shared_tasks(false);
}

static void test_trajectories_match(void **state) {
    (void)state;
    run_shared_tasks(true);
}

static void test_own_goldens_match(void **state) {
    (void)state;
    for (const char *const *isa = isas(); *isa != NULL; isa++) {
        for (size_t i = 0; i < n_own_rows; i++) {
            const int n_ways = adds_up(&own_rows[i]) ? 3 : 1;
            for (int part_seqs = 0; part_seqs < n_ways; part_seqs++) {
                if (!is_left_out(i, part_seqs, n_ways)) {
                    run_task(&own_rows[i], *isa, false, part_seqs);
                    run_task(&own_rows[i], *isa, true, part_seqs);
                }
            }
        }
    }
}

static void test_tuned_goldens_match(void **state) {
    (void)state;
    for (const char *const *isa = isas(); *isa != NULL; isa++) {
        for (size_t i = 0; i < n_tuned_rows; i++) {
            run_task(&tuned_rows[i], *isa, false, 0);
            run_task(&tuned_rows[i], *isa, true, 0);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_goldens_match),     cmocka_unit_test(test_tuned_goldens_match),
        cmocka_unit_test(test_encoder_outputs_match), cmocka_unit_test(test_gradients_match),
        cmocka_unit_test(test_trajectories_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
