/* SPDX-License-Identifier: Apache-2.0
 *
 * Adam and its relatives: adam, adamw, their experimental twins, and LAMB. The loops are kernels
 * (bt/kern.h); here is which numbers they get. docs/model_garden/numerics.md sections 4 and 5. */
#include "optim_internal.h"

bt_kern_adamw_args optim_adam_args(const optim_step *step, const optim_param_state *state) {
    return (bt_kern_adamw_args){
        .grad_scale = state->grad_scale,
        .decay_lr = step->lr * state->multiplier,
        .weight_decay = state->decays ? (float)step->optim->options.weight_decay : 0.0F,
        .one_minus_beta_1 = step->one_minus_beta_1,
        .one_minus_beta_2 = step->one_minus_beta_2,
        .alpha = step->alpha * state->multiplier,
        .epsilon = step->epsilon,
    };
}

void optim_update_adam(const optim_step *step, const optim_span *span) {
    const bt_optim *const    optim = step->optim;
    const bt_kern_adamw_args args = optim_adam_args(step, span->state);
    float *const             v_max = optim->options.amsgrad ? span->slots[2] : NULL;
    optim->kern.optim.adamw(span->param, span->slots[0], span->slots[1], v_max, span->grad, span->n,
                            &args);
}

void optim_update_lamb(const optim_step *step, const optim_span *span) {
    const bt_optim *const   optim = step->optim;
    const bt_kern_lamb_args args = {
        .grad_scale = span->state->grad_scale,
        .beta_1 = step->beta_1,
        .one_minus_beta_1 = step->one_minus_beta_1,
        .beta_2 = step->beta_2,
        .one_minus_beta_2 = step->one_minus_beta_2,
        .correction_1 = step->correction_1,
        .correction_2 = step->correction_2,
        .epsilon = step->epsilon,
        .weight_decay = span->state->decays ? (float)optim->options.weight_decay : 0.0F,
    };
    optim->kern.optim.lamb(span->grad, span->slots[0], span->slots[1], span->param, span->grad,
                           span->n, &args);
}

void optim_finish_lamb(const optim_step *step, const optim_span *span) {
    step->optim->kern.axpy(span->param, span->grad,
                           -(span->state->ratio * (step->lr * span->state->multiplier)), span->n);
}
