/* SPDX-License-Identifier: Apache-2.0
 *
 * The update of every variable: the formulas of src/optim (kern_ref_optim.c, optim_sgd.c) as
 * operations. New values are chosen only where loss and norm are finite: the old buffers are given
 * away when the program begins, so that nobody outside could leave them as they were. */
#include "hlo_internal.h"

/* 1 where the optimizer's answer about a parameter is yes, as a factor over the variable's shape;
 * *any: for some parameter; a scalar where all agree. */
static hlo_value parameter_factor(hlo_step *s, const hlo_var                   *var,
                                  bool (*ask)(const bt_optim *, int64_t), bool *any) {
    enum { MAX_PARAMS = 3 * 1024 };
    hlo *const                   h = &s->h;
    const bt_hlo_variable *const v = &s->program->variables[var->number];
    double                       list[MAX_PARAMS];
    int64_t                      n_yes = 0;
    if (v->n_params > MAX_PARAMS) {
        hlo_fail(h, BT_E_UNSUPPORTED, "a program of more than %d layers", MAX_PARAMS / 3);
        return (hlo_value){0};
    }
    for (int64_t i = 0; i < v->n_params; i++) {
        list[i] = ask(s->optim, v->params[i]) ? 1 : 0;
        n_yes += ask(s->optim, v->params[i]);
    }
    *any = n_yes > 0;
    if (n_yes == 0 || n_yes == v->n_params) {
        return hlo_number(h, BT_DTYPE_F32, n_yes > 0 ? 1 : 0);
    }
    return hlo_reshape(h, hlo_list(h, BT_DTYPE_F32, list, v->n_params), var->n_lead, var->dim);
}

/* A rate of the step as the parameters of a variable have it: a scalar, or over its shape. */
static hlo_value rate_of(hlo_step *s, const hlo_var *var, int32_t place) {
    enum { MAX_PARAMS = 3 * 1024 };
    hlo *const                   h = &s->h;
    const bt_hlo_variable *const v = &s->program->variables[var->number];
    const hlo_value              rate = hlo_number_of(s, place);
    double                       list[MAX_PARAMS];
    bool                         differ = false;
    for (int64_t i = 0; i < v->n_params && i < MAX_PARAMS; i++) {
        list[i] = (double)bt_optim_multiplier(s->optim, v->params[i]);
        differ = differ || list[i] != list[0];
    }
    if (!differ) {
        return list[0] == 1 ? rate : hlo_scaled(h, rate, list[0]);
    }
    const hlo_value each =
        hlo_reshape(h, hlo_list(h, BT_DTYPE_F32, list, v->n_params), var->n_lead, var->dim);
    return hlo_over_variable(s, var, hlo_mul(h, each, rate));
}

/* weight decay * value where the patterns say so; *any: somewhere */
static hlo_value decay_of(hlo_step *s, const hlo_var *var, hlo_value value, bool *any) {
    hlo *const      h = &s->h;
    const hlo_value factor = parameter_factor(s, var, bt_optim_decays, any);
    const hlo_value rate = hlo_scaled(h, factor, (double)s->facts.weight_decay);
    return *any ? hlo_mul(h, value, hlo_over_variable(s, var, rate)) : value;
}

/* |param| / |update| of each parameter, LARS's times eeta; 1 where either is 0 or the patterns
 * exclude it. Over the variable's shape. */
static hlo_value trust_ratio(hlo_step *s, const hlo_var *var, hlo_value update) {
    hlo *const      h = &s->h;
    bool            any = false;
    const hlo_value adapts = parameter_factor(s, var, bt_optim_adapts, &any);
    if (!any) {
        return hlo_number(h, BT_DTYPE_F32, 1);
    }
    const hlo_value norm = hlo_unary(h, "sqrt", hlo_parameter_sum_sq(s, var, var->value));
    const hlo_value size = hlo_unary(h, "sqrt", hlo_parameter_sum_sq(s, var, update));
    const hlo_value zero = hlo_fill(h, norm, 0);
    const hlo_value one = hlo_fill(h, norm, 1);
    const hlo_value above =
        s->facts.kind == BT_OPTIM_LARS ? hlo_scaled(h, norm, (double)s->facts.eeta) : norm;
    const hlo_value both =
        hlo_binary(h, "and", hlo_compare(h, "GT", norm, zero), hlo_compare(h, "GT", size, zero));
    const hlo_value counts =
        hlo_binary(h, "and", both, hlo_compare(h, "GT", hlo_add(h, adapts, zero), zero));
    const hlo_value ratio =
        hlo_select(h, counts, hlo_div(h, above, hlo_select(h, both, size, one)), one);
    return hlo_over_variable(s, var, ratio);
}

/* x + (y - x) * share */
static hlo_value moved(hlo *h, hlo_value x, hlo_value y, double share) {
    return hlo_add(h, x, hlo_scaled(h, hlo_sub(h, y, x), share));
}

/* x * a + y * b */
static hlo_value mixed(hlo *h, hlo_value x, double a, hlo_value y, double b) {
    return hlo_add(h, hlo_scaled(h, x, a), hlo_scaled(h, y, b));
}

static hlo_value square(hlo *h, hlo_value x) {
    return hlo_mul(h, x, x);
}

static void update_adam(hlo_step *s, hlo_var *var) {
    hlo *const                  h = &s->h;
    const bt_optim_facts *const f = &s->facts;
    const hlo_value             g = var->gradient;
    bool                        any = false;
    hlo_value                   p = var->value;
    const hlo_value decay = decay_of(s, var, hlo_mul(h, p, rate_of(s, var, BT_HLO_LR)), &any);
    if (any) {
        p = hlo_sub(h, p, decay);
    }
    var->slots[0] = moved(h, var->slots[0], g, (double)f->one_minus_beta_1);
    var->slots[1] = moved(h, var->slots[1], square(h, g), (double)f->one_minus_beta_2);
    hlo_value w = var->slots[1];
    if (f->amsgrad) {
        w = hlo_max(h, var->slots[2], w);
        var->slots[2] = w;
    }
    const hlo_value below = hlo_plus(h, hlo_unary(h, "sqrt", w), (double)f->epsilon);
    var->value =
        hlo_sub(h, p, hlo_div(h, hlo_mul(h, var->slots[0], rate_of(s, var, BT_HLO_ALPHA)), below));
}

static void update_lamb(hlo_step *s, hlo_var *var) {
    hlo *const                  h = &s->h;
    const bt_optim_facts *const f = &s->facts;
    const hlo_value             g = var->gradient;
    bool                        any = false;
    var->slots[0] = mixed(h, var->slots[0], (double)f->beta_1, g, (double)f->one_minus_beta_1);
    var->slots[1] =
        mixed(h, var->slots[1], (double)f->beta_2, square(h, g), (double)f->one_minus_beta_2);
    const hlo_value m = hlo_div(h, var->slots[0], hlo_number_of(s, BT_HLO_CORRECTION_1));
    const hlo_value v = hlo_div(h, var->slots[1], hlo_number_of(s, BT_HLO_CORRECTION_2));
    hlo_value       u = hlo_div(h, m, hlo_plus(h, hlo_unary(h, "sqrt", v), (double)f->epsilon));
    const hlo_value decay = decay_of(s, var, var->value, &any);
    if (any) {
        u = hlo_add(h, u, decay);
    }
    const hlo_value rate = hlo_mul(h, trust_ratio(s, var, u), rate_of(s, var, BT_HLO_LR));
    var->value = hlo_sub(h, var->value, hlo_mul(h, u, rate));
}

static void update_sgd(hlo_step *s, hlo_var *var) {
    hlo *const                  h = &s->h;
    const bt_optim_facts *const f = &s->facts;
    const hlo_value             move = hlo_mul(h, var->gradient, rate_of(s, var, BT_HLO_LR));
    if (bt_optim_n_slots(s->optim) == 0) {
        var->value = hlo_sub(h, var->value, move);
        return;
    }
    var->slots[0] = hlo_sub(h, hlo_scaled(h, var->slots[0], (double)f->momentum), move);
    const hlo_value ahead = hlo_sub(h, hlo_scaled(h, var->slots[0], (double)f->momentum), move);
    var->value = hlo_add(h, var->value, f->nesterov ? ahead : var->slots[0]);
}

/* With momentum epsilon is inside the root, without it outside: two kernels of TensorFlow. */
static void update_rmsprop(hlo_step *s, hlo_var *var) {
    hlo *const                  h = &s->h;
    const bt_optim_facts *const f = &s->facts;
    const hlo_value             g = var->gradient;
    const double                rho = (double)f->rho;
    const double                rest = (double)(1.0F - f->rho);
    const bool                  has_momentum = f->momentum > 0;
    hlo_value *const            mean = &var->slots[has_momentum ? 2 : 1];
    const double                epsilon = (double)f->epsilon;
    var->slots[0] = has_momentum ? moved(h, var->slots[0], square(h, g), rest)
                                 : mixed(h, var->slots[0], rho, square(h, g), rest);
    hlo_value below = var->slots[0];
    if (f->centered) {
        *mean = has_momentum ? moved(h, *mean, g, rest) : mixed(h, *mean, rho, g, rest);
        below = hlo_sub(h, below, square(h, *mean));
    }
    const hlo_value step = hlo_mul(h, g, rate_of(s, var, BT_HLO_LR));
    if (!has_momentum) {
        below = hlo_plus(h, hlo_unary(h, "sqrt", below), epsilon);
        var->value = hlo_sub(h, var->value, hlo_div(h, step, below));
        return;
    }
    below = hlo_unary(h, "sqrt", hlo_plus(h, below, epsilon));
    var->slots[1] =
        hlo_add(h, hlo_scaled(h, var->slots[1], (double)f->momentum), hlo_div(h, step, below));
    var->value = hlo_sub(h, var->value, var->slots[1]);
}

static void update_adagrad(hlo_step *s, hlo_var *var) {
    hlo *const h = &s->h;
    var->slots[0] = hlo_add(h, var->slots[0], square(h, var->gradient));
    const hlo_value below =
        hlo_plus(h, hlo_unary(h, "sqrt", var->slots[0]), (double)s->facts.epsilon);
    const hlo_value step = hlo_mul(h, var->gradient, rate_of(s, var, BT_HLO_LR));
    var->value = hlo_sub(h, var->value, hlo_div(h, step, below));
}

/* The trust ratio is of the gradient with decay (classic momentum), or of the whole update. */
static void update_lars(hlo_step *s, hlo_var *var) {
    hlo *const                  h = &s->h;
    const bt_optim_facts *const f = &s->facts;
    const double                momentum = (double)f->momentum;
    bool                        any = false;
    hlo_value                   g = var->gradient;
    const hlo_value             decay = decay_of(s, var, var->value, &any);
    if (any) {
        g = hlo_add(h, g, decay);
    }
    const hlo_value lr = rate_of(s, var, BT_HLO_LR);
    if (f->classic_momentum) {
        const hlo_value move = hlo_mul(h, g, hlo_mul(h, trust_ratio(s, var, g), lr));
        var->slots[0] = hlo_add(h, hlo_scaled(h, var->slots[0], momentum), move);
        const hlo_value ahead = hlo_add(h, hlo_scaled(h, var->slots[0], momentum), move);
        var->value = hlo_sub(h, var->value, f->nesterov ? ahead : var->slots[0]);
        return;
    }
    var->slots[0] = hlo_add(h, hlo_scaled(h, var->slots[0], momentum), g);
    const hlo_value update =
        f->nesterov ? hlo_add(h, hlo_scaled(h, var->slots[0], momentum), g) : var->slots[0];
    var->value =
        hlo_sub(h, var->value, hlo_mul(h, update, hlo_mul(h, trust_ratio(s, var, update), lr)));
}

static void update_variable(hlo_step *s, hlo_var *var) {
    switch (s->facts.kind) {
    case BT_OPTIM_ADAM:
        update_adam(s, var);
        return;
    case BT_OPTIM_LAMB:
        update_lamb(s, var);
        return;
    case BT_OPTIM_SGD:
        update_sgd(s, var);
        return;
    case BT_OPTIM_RMSPROP:
        update_rmsprop(s, var);
        return;
    case BT_OPTIM_ADAGRAD:
        update_adagrad(s, var);
        return;
    case BT_OPTIM_LARS:
        update_lars(s, var);
        return;
    }
}

/* Takes the new values only where the condition holds (a scalar, or over the variable's shape). */
static void choose(hlo_step *s, hlo_var *var, const hlo_var *old, hlo_value condition) {
    hlo *const    h = &s->h;
    const int32_t n_slots = bt_optim_n_slots(s->optim);
    var->value = hlo_select(h, condition, var->value, old->value);
    for (int32_t i = 0; i < n_slots; i++) {
        var->slots[i] = hlo_select(h, condition, var->slots[i], old->slots[i]);
    }
}

/* TensorFlow's sparse kernels leave rows alone that are not in the batch. */
static hlo_value has_gradient_row(hlo_step *s, const hlo_var *word) {
    hlo *const      h = &s->h;
    const hlo_value is = hlo_compare(h, "NE", word->gradient, hlo_number(h, BT_DTYPE_F32, 0));
    return hlo_spread(h, hlo_reduce(h, "or", is, 2), word->value, 0);
}

static void average_variable(hlo_step *s, hlo_var *var) {
    hlo *const      h = &s->h;
    const hlo_value share = hlo_number_of(s, BT_HLO_ONE_MINUS_AVERAGE_DECAY);
    var->average =
        hlo_sub(h, var->average, hlo_mul(h, hlo_sub(h, var->average, var->value), share));
}

void hlo_update(hlo_step *s, hlo_value is_finite) {
    for (int kind = 0; kind < HLO_N_VARS; kind++) {
        hlo_var *const var = &s->vars[kind];
        const hlo_var  old = *var;
        if (!var->is_used) {
            continue;
        }
        if (var->has_gradient) {
            update_variable(s, var);
            if (s->facts.skips_zero_rows && kind == HLO_VAR_WORD) {
                choose(s, var, &old, has_gradient_row(s, &old));
            }
            choose(s, var, &old, is_finite);
        }
        if (hlo_wants_averages(s)) {
            average_variable(s, var);
            var->average = hlo_select(&s->h, is_finite, var->average, old.average);
        }
    }
}
