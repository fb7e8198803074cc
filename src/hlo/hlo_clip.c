/* SPDX-License-Identifier: Apache-2.0
 *
 * The norm of the gradient, and clipping (docs/model_garden/numerics.md section 3, optim_apply.c).
 * The word table's gradient counts slot by slot, before rows of equal ids are added together. Each
 * replica clips its own share; what is added up over replicas afterwards is not clipped again. */
#include <math.h>

#include "hlo_internal.h"

static hlo_value sum_sq(hlo *h, hlo_value x) {
    return hlo_sum_all(h, hlo_mul(h, x, x));
}

static bool has_gradient(const hlo_step *s, int kind) {
    return s->vars[kind].is_used && s->vars[kind].has_gradient;
}

hlo_value hlo_global_norm(hlo_step *s) {
    hlo *const h = &s->h;
    hlo_value  sum = s->word_sum_sq;
    for (int kind = HLO_VAR_WORD + 1; kind < HLO_N_VARS; kind++) {
        if (has_gradient(s, kind)) {
            sum = hlo_add(h, sum, sum_sq(h, s->vars[kind].gradient));
        }
    }
    return hlo_unary(h, "sqrt", sum);
}

static void scale_all(hlo_step *s, hlo_value factor) {
    for (int kind = 0; kind < HLO_N_VARS; kind++) {
        if (has_gradient(s, kind)) {
            s->vars[kind].gradient = hlo_mul(&s->h, s->vars[kind].gradient, factor);
        }
    }
    if (s->config.what == BT_HLO_TRAIN) {
        s->word_rows = hlo_mul(&s->h, s->word_rows, factor);
    }
    s->word_sum_sq = hlo_mul(&s->h, s->word_sum_sq, hlo_mul(&s->h, factor, factor));
}

/* tf.clip_by_global_norm: clip * min(1 / norm, 1 / clip) */
static hlo_value global_factor(hlo *h, hlo_value norm, double clip) {
    const hlo_value one = hlo_number(h, BT_DTYPE_F32, 1);
    const hlo_value limit = hlo_number(h, BT_DTYPE_F32, clip);
    return hlo_mul(h, limit, hlo_min(h, hlo_div(h, one, norm), hlo_div(h, one, limit)));
}

/* Each token's row of the word table is clipped before rows of equal ids are added together. */
static void clip_values(hlo_step *s, double limit) {
    hlo *const h = &s->h;
    for (int kind = HLO_VAR_WORD + 1; kind < HLO_N_VARS; kind++) {
        if (has_gradient(s, kind)) {
            s->vars[kind].gradient = hlo_clamped(h, s->vars[kind].gradient, -limit, limit);
        }
    }
    s->word_rows = hlo_clamped(h, s->word_rows, -limit, limit);
    s->word_sum_sq = sum_sq(h, s->word_rows);
    s->vars[HLO_VAR_WORD].gradient =
        hlo_scatter(h, "add", hlo_fill(h, s->vars[HLO_VAR_WORD].value, 0),
                    hlo_shape(h, s->args[BT_HLO_IDS], s->T), s->word_rows);
}

hlo_value hlo_parameter_sum_sq(hlo_step *s, const hlo_var *var, hlo_value x) {
    hlo *const     h = &s->h;
    const uint32_t all = (1U << var->rank) - 1;
    const uint32_t lead = (1U << var->n_lead) - 1;
    return hlo_reduce(h, "add", hlo_mul(h, x, x), all & ~lead);
}

hlo_value hlo_over_variable(hlo_step *s, const hlo_var *var, hlo_value x) {
    return x.rank == 0 ? x : hlo_spread(&s->h, x, var->value, 0);
}

/* tf.clip_by_norm, each parameter by itself. */
static void clip_each(hlo_step *s, double clip) {
    hlo *const      h = &s->h;
    const hlo_value limit = hlo_number(h, BT_DTYPE_F32, clip);
    for (int kind = 0; kind < HLO_N_VARS; kind++) {
        hlo_var *const var = &s->vars[kind];
        if (has_gradient(s, kind)) {
            const hlo_value sum =
                kind == HLO_VAR_WORD ? s->word_sum_sq : hlo_parameter_sum_sq(s, var, var->gradient);
            const hlo_value norm = hlo_unary(h, "sqrt", sum);
            const hlo_value factor = hlo_div(h, limit, hlo_max(h, norm, limit));
            var->gradient = hlo_mul(h, var->gradient, hlo_over_variable(s, var, factor));
        }
    }
}

void hlo_clip(hlo_step *s, hlo_value norm) {
    hlo *const                  h = &s->h;
    const bt_optim_facts *const f = &s->facts;
    if (f->gradient_clip_norm > 0) {
        scale_all(s, global_factor(h, norm, f->gradient_clip_norm));
    }
    if (f->clipvalue > 0) {
        clip_values(s, f->clipvalue);
    }
    if (f->global_clipnorm > 0) {
        scale_all(s, global_factor(h, hlo_global_norm(s), f->global_clipnorm));
    }
    if (f->clipnorm > 0) {
        clip_each(s, f->clipnorm);
    }
    for (int kind = 0; kind < HLO_N_VARS; kind++) {
        if (has_gradient(s, kind)) {
            s->vars[kind].gradient = hlo_all_reduce(h, s->vars[kind].gradient);
        }
    }
}
