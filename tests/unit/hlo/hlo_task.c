/* SPDX-License-Identifier: Apache-2.0
 *
 * See hlo_task.h. */
#include "hlo_task.h"
#include "bt/base/alloc.h"

#include <string.h>

bt_hlo_config hlo_task_config(const task_case *c, const hlo_layout *l, bt_hlo_what what) {
    return (bt_hlo_config){.what = what,
                           .n_rows = l->R,
                           .n_slots = l->S,
                           .n_seqs = l->B,
                           .precision = BT_PRECISION_F32,
                           .has_key_mask = c->batch.batch.key_mask != NULL,
                           .has_labels = true,
                           .n_replicas = 1};
}

void hlo_task_lay_out(hlo_layout *l, task_case *c, int64_t step) {
    task_case_pack(c, step);
    hlo_lay_out(l, c->f.model, &c->batch.batch, true);
}

void hlo_task_lay_part(hlo_layout *l, const task_case *c, int64_t first, int64_t n) {
    static int64_t        offsets[FIXTURE_MAX_SEQS + 1];
    const bt_batch *const whole = &c->batch.batch;
    const int64_t         token = whole->offsets[first];
    bt_batch              part = *whole;
    for (int64_t b = 0; b <= n; b++) {
        offsets[b] = whole->offsets[first + b] - token;
    }
    part.n_seqs = n;
    part.n_tokens = offsets[n];
    part.offsets = offsets;
    part.ids += token;
    part.types += token;
    part.positions += token;
    part.key_mask = whole->key_mask != NULL ? whole->key_mask + token : NULL;
    part.int_labels += first;
    hlo_lay_out(l, c->f.model, &part, true);
    for (int64_t i = 0; i < l->R * l->S; i++) {
        l->tokens[i] += (int32_t)token;
    }
    for (int64_t b = 0; b < l->B; b++) {
        l->sequences[b] += (int32_t)first;
    }
}

void hlo_task_set_numbers(hlo_layout *l, const task_case *c, int64_t step) {
    const bt_optim_numbers n = bt_optim_get_numbers(c->f.optim, step);
    l->numbers[BT_HLO_LR] = n.lr;
    l->numbers[BT_HLO_ALPHA] = n.alpha;
    l->numbers[BT_HLO_CORRECTION_1] = n.correction_1;
    l->numbers[BT_HLO_CORRECTION_2] = n.correction_2;
    l->numbers[BT_HLO_ONE_MINUS_AVERAGE_DECAY] = n.one_minus_average_decay;
}

void hlo_task_load(hlo_run *run, const task_case *c) {
    hlo_run_set_state(run, c->f.model, BT_HLO_PARAM, 0,
                      settled(c->f.exec, bt_exec_params(c->f.exec)));
}

void hlo_task_compare(const hlo_run *run, const task_case *c, int64_t n_steps) {
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
        /* what no loss reads is not a variable of the program, and stays as it was */
        memcpy(flat, settled(c->f.exec, bt_exec_params(c->f.exec)),
               (size_t)table->n_elements * sizeof *flat);
        hlo_run_get_state(run, c->f.model, states[i].role, states[i].slot, flat);
        task_compare_state(c, flat, n_steps, states[i].kind);
    }
    bt_free(flat);
}
