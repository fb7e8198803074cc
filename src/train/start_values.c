/* SPDX-License-Identifier: Apache-2.0
 *
 * What a best checkpoint holds of an evaluation by itself, whose engine has weights alone: it is
 * read from the checkpoint that was evaluated while it is written, a variable at a time, so that
 * slots and averages are never there together. */
#include "run.h"

static const char average_slot[] = "average";

/* What an engine that was made for training would have there. */
static void fill_slot(const bt_optim *optim, const char *slot, float *to, int64_t n) {
    float value = 0;
    for (int32_t i = 0; i < bt_optim_n_slots(optim); i++) {
        if (bt_str_equal(bt_optim_slot_name(optim, i), slot)) {
            value = bt_optim_slot_init(optim, i);
        }
    }
    for (int64_t i = 0; i < n; i++) {
        to[i] = value;
    }
}

/* What was evaluated is what the variables of the best checkpoint are: weights and averages change
 * places. An average that is not there begins as the weight. */
bt_status start_read_value(void *context, int64_t param, const char *slot, float *to,
                           bt_error *err) {
    const train_run *const run = context;
    bt_ckpt *const         ckpt = run->start_ckpt;
    const bt_param *const  p = &run->model->table.params[param];
    const bool             is_average = bt_str_equal(slot, average_slot);
    const bool             wants_average = slot == NULL && bt_optim_has_average(run->optim);
    const bool             has_average = bt_ckpt_find_variable(ckpt, p->name, average_slot) >= 0;
    if (slot == NULL || is_average) {
        return bt_ckpt_read_weight(ckpt, p, wants_average && has_average ? average_slot : NULL, to,
                                   err);
    }
    if (bt_ckpt_find_variable(ckpt, p->name, slot) >= 0) {
        return bt_ckpt_read_variable(ckpt, p, slot, to, err);
    }
    fill_slot(run->optim, slot, to, p->n_elements);
    return BT_OK;
}
