/* SPDX-License-Identifier: Apache-2.0
 *
 * SGD, RMSprop, Adagrad and LARS as TensorFlow's kernels compute them. Rarely used for BERT, so
 * only SGD has a kernel of its own. Where TensorFlow's sparse kernel leaves rows alone that are not
 * in the batch (sgd and rmsprop with momentum), rows whose gradient is 0 are left alone here. */
#include <math.h>

#include "optim_internal.h"

static float rate_of(const optim_step *step, const optim_span *span) {
    return step->lr * span->state->multiplier;
}

static bool is_zero_row(const float *grad, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (grad[i] != 0.0F) {
            return false;
        }
    }
    return true;
}

typedef void (*row_fn)(const optim_step *step, const optim_span *span, int64_t first, int64_t n);

static void for_rows(const optim_step *step, const optim_span *span, row_fn fn) {
    if (span->row == 0) {
        fn(step, span, 0, span->n);
        return;
    }
    for (int64_t first = 0; first < span->n; first += span->row) {
        if (!is_zero_row(span->grad + first, span->row)) {
            fn(step, span, first, span->row);
        }
    }
}

static void sgd_row(const optim_step *step, const optim_span *span, int64_t first, int64_t n) {
    const optim_options *const o = &step->optim->options;
    float *const               accum = step->optim->n_slots > 0 ? span->slots[0] + first : NULL;
    step->optim->kern.optim.sgd(span->param + first, accum, span->grad + first, n,
                                rate_of(step, span), (float)o->momentum, o->nesterov,
                                span->state->grad_scale);
}

void optim_update_sgd(const optim_step *step, const optim_span *span) {
    for_rows(step, span, sgd_row);
}

/* With momentum epsilon is inside the root, without it outside: two kernels of TensorFlow. */
static void rmsprop_momentum_row(const optim_step *step, const optim_span *span, int64_t first,
                                 int64_t n) {
    const optim_options *const o = &step->optim->options;
    const float                one_minus_rho = 1.0F - (float)o->rho;
    const float                momentum = (float)o->momentum;
    const float                rate = rate_of(step, span);
    float *const               param = span->param + first;
    const float *const         grad = span->grad + first;
    float *const               rms = span->slots[0] + first;
    float *const               velocity = span->slots[1] + first;
    float *const               mean = o->centered ? span->slots[2] + first : NULL;
    for (int64_t i = 0; i < n; i++) {
        const float g = grad[i] * span->state->grad_scale;
        rms[i] += (g * g - rms[i]) * one_minus_rho;
        float denominator = rms[i];
        if (mean != NULL) {
            mean[i] += (g - mean[i]) * one_minus_rho;
            denominator -= mean[i] * mean[i];
        }
        velocity[i] = velocity[i] * momentum + g * rate / sqrtf(denominator + step->epsilon);
        param[i] -= velocity[i];
    }
}

static void rmsprop_row(const optim_step *step, const optim_span *span, int64_t first, int64_t n) {
    const optim_options *const o = &step->optim->options;
    const float                rho = (float)o->rho;
    const float                rate = rate_of(step, span);
    float *const               param = span->param + first;
    const float *const         grad = span->grad + first;
    float *const               rms = span->slots[0] + first;
    float *const               mean = o->centered ? span->slots[1] + first : NULL;
    for (int64_t i = 0; i < n; i++) {
        const float g = grad[i] * span->state->grad_scale;
        rms[i] = rho * rms[i] + (1.0F - rho) * (g * g);
        float denominator = rms[i];
        if (mean != NULL) {
            mean[i] = rho * mean[i] + (1.0F - rho) * g;
            denominator -= mean[i] * mean[i];
        }
        param[i] -= rate * g / (sqrtf(denominator) + step->epsilon);
    }
}

void optim_update_rmsprop(const optim_step *step, const optim_span *span) {
    for_rows(step, span, step->optim->options.momentum > 0.0 ? rmsprop_momentum_row : rmsprop_row);
}

void optim_update_adagrad(const optim_step *step, const optim_span *span) {
    float *const accumulator = span->slots[0];
    const float  rate = rate_of(step, span);
    for (int64_t i = 0; i < span->n; i++) {
        const float g = span->grad[i] * span->state->grad_scale;
        accumulator[i] += g * g;
        span->param[i] -= rate * g / (sqrtf(accumulator[i]) + step->epsilon);
    }
}

/* Leaves in grad what the trust ratio is taken of: the gradient with decay (classic momentum), or
 * the whole update. */
void optim_update_lars(const optim_step *step, const optim_span *span) {
    const optim_options *const o = &step->optim->options;
    const float                decay = span->state->decays ? (float)o->weight_decay : 0.0F;
    const float                momentum = (float)o->momentum;
    float *const               velocity = span->slots[0];
    for (int64_t i = 0; i < span->n; i++) {
        const float g = span->grad[i] * span->state->grad_scale + decay * span->param[i];
        span->grad[i] = g;
        if (!o->classic_momentum) {
            velocity[i] = momentum * velocity[i] + g;
            span->grad[i] = o->nesterov ? momentum * velocity[i] + g : velocity[i];
        }
    }
}

void optim_finish_lars(const optim_step *step, const optim_span *span) {
    const optim_options *const o = &step->optim->options;
    const float                scaled_lr = rate_of(step, span) * span->state->ratio;
    const float                momentum = (float)o->momentum;
    float *const               velocity = span->slots[0];
    for (int64_t i = 0; i < span->n; i++) {
        const float move = scaled_lr * span->grad[i];
        if (o->classic_momentum) {
            velocity[i] = momentum * velocity[i] + move;
            span->param[i] -= o->nesterov ? momentum * velocity[i] + move : velocity[i];
        } else {
            span->param[i] -= move;
        }
    }
}
