/* SPDX-License-Identifier: Apache-2.0
 *
 * Losses (docs/model_garden/numerics.md section 2) and the gradient of the logits, in float32.
 * Every row has a weight: 0 where there is none, so that what empty places hold never counts. */
#include "hlo_internal.h"

static const double lowest = -3.0e38;

/* 1 / the sum of the weights, 0 where no row weighs anything */
static hlo_value inverse_weight_sum(hlo_step *s) {
    hlo *const      h = &s->h;
    const hlo_value sum = hlo_number_of(s, BT_HLO_WEIGHT_SUM);
    const hlo_value zero = hlo_number(h, BT_DTYPE_F32, 0);
    const hlo_value one = hlo_number(h, BT_DTYPE_F32, 1);
    const hlo_value counts = hlo_compare(h, "GT", sum, zero);
    return hlo_select(h, counts, hlo_div(h, one, hlo_select(h, counts, sum, one)), zero);
}

/* weights [N] / their sum */
static hlo_value shares_of(hlo_step *s, hlo_value weights) {
    return hlo_mul(&s->h, weights, inverse_weight_sum(s));
}

/* true where column c of row r is ids[r] */
static hlo_value is_column(hlo *h, hlo_value like, hlo_value ids) {
    return hlo_compare(h, "EQ", hlo_spread(h, ids, like, 0), hlo_iota(h, BT_DTYPE_I32, like, 1));
}

/* sum(shares * CE) of logits [N,C] against targets [N,C]; adds the gradient to *d */
static hlo_value cross_entropy(hlo *h, hlo_value logits, hlo_value targets, hlo_value shares,
                               hlo_value *d) {
    const hlo_value largest = hlo_reduce(h, "maximum", logits, 2);
    const hlo_value e =
        hlo_unary(h, "exponential", hlo_sub(h, logits, hlo_spread(h, largest, logits, 0)));
    const hlo_value sum = hlo_reduce(h, "add", e, 2);
    const hlo_value log_sum = hlo_add(h, hlo_unary(h, "log", sum), largest);
    const hlo_value wanted = hlo_reduce(h, "add", hlo_mul(h, targets, logits), 2);
    *d = hlo_mul(h, hlo_sub(h, hlo_div(h, e, hlo_spread(h, sum, e, 0)), targets),
                 hlo_spread(h, shares, e, 0));
    return hlo_sum_all(h, hlo_mul(h, shares, hlo_sub(h, log_sum, wanted)));
}

static hlo_value class_loss(hlo_step *s, hlo_value logits, hlo_value *d) {
    hlo *const      h = &s->h;
    const int64_t   N = logits.dim[0];
    const double    smoothing = s->model->class_rule.label_smoothing;
    const hlo_value labels = hlo_shape(h, s->args[BT_HLO_INT_LABELS], N);
    const hlo_value weights = hlo_shape(h, s->args[BT_HLO_WEIGHTS], N);
    const hlo_value onehot = hlo_f32(s, is_column(h, logits, labels));
    const hlo_value targets =
        hlo_plus(h, hlo_scaled(h, onehot, 1 - smoothing), smoothing / (double)s->C);
    return cross_entropy(h, logits, targets, shares_of(s, weights), d);
}

/* Span: softmax over the tokens of a sequence. */

/* x [B] with one more element, for empty slots, by slot: [T] */
static hlo_value by_slot(hlo_step *s, hlo_value x, double for_empty) {
    hlo *const      h = &s->h;
    const hlo_value parts[2] = {x, hlo_fill(h, hlo_new(h, x.dtype, HLO_DIMS(1)), for_empty)};
    return hlo_take(h, hlo_concatenate(h, parts, 2, 0), hlo_slot_sequences(s));
}

/* One side: z [T], labels [B] as slots. */
static hlo_value span_side(hlo_step *s, hlo_value z, hlo_value labels, hlo_value shares,
                           hlo_value *d) {
    hlo *const      h = &s->h;
    const hlo_value is_of = hlo_is_of_sequence(s);
    const hlo_value is_there = hlo_compare(h, "GT", hlo_reduce(h, "add", hlo_f32(s, is_of), 2),
                                           hlo_number(h, BT_DTYPE_F32, 0));
    const hlo_value zero = hlo_fill_as(h, BT_DTYPE_F32, is_there, 0);
    const hlo_value spread = hlo_spread(h, z, is_of, 1);
    const hlo_value largest = hlo_select(
        h, is_there,
        hlo_reduce(h, "maximum", hlo_select(h, is_of, spread, hlo_fill(h, spread, lowest)), 2),
        zero);
    const hlo_value e = hlo_unary(h, "exponential", hlo_sub(h, z, by_slot(s, largest, 0)));
    const hlo_value sums = hlo_reduce(
        h, "add", hlo_select(h, is_of, hlo_spread(h, e, is_of, 1), hlo_fill(h, spread, 0)), 2);
    const hlo_value sum = hlo_select(h, is_there, sums, hlo_fill(h, zero, 1));
    const hlo_value ce =
        hlo_sub(h, hlo_add(h, hlo_unary(h, "log", sum), largest), hlo_take(h, z, labels));
    const hlo_value is_label =
        hlo_f32(s, hlo_compare(h, "EQ", hlo_iota(h, BT_DTYPE_I32, z, 0), by_slot(s, labels, -1)));
    *d = hlo_mul(h, by_slot(s, shares, 0), hlo_sub(h, hlo_div(h, e, by_slot(s, sum, 1)), is_label));
    return hlo_sum_all(h, hlo_mul(h, shares, ce));
}

static hlo_value span_loss(hlo_step *s, hlo_value logits, hlo_value *d) {
    hlo *const      h = &s->h;
    const hlo_value shares = hlo_scaled(h, shares_of(s, s->args[BT_HLO_WEIGHTS]), 0.5);
    hlo_value       losses[2];
    hlo_value       sides[2];
    for (int64_t i = 0; i < 2; i++) {
        const hlo_value z = hlo_shape(h, hlo_slice(h, logits, 1, i, i + 1, 1), s->T);
        const hlo_value places =
            hlo_shape(h, hlo_slice(h, s->args[BT_HLO_INT_LABELS], 0, i, i + 1, 1), s->B);
        const hlo_value labels = hlo_add(h, places, s->args[BT_HLO_FIRST_SLOTS]);
        losses[i] = span_side(s, z, labels, shares, &sides[i]);
        sides[i] = hlo_shape(h, sides[i], s->T, 1);
    }
    *d = hlo_concatenate(h, sides, 2, 1);
    return hlo_add(h, losses[0], losses[1]);
}

/* sum(shares * (x - y)^2) */
static hlo_value square_loss(hlo_step *s, hlo_value x, hlo_value y, hlo_value shares,
                             hlo_value *d) {
    hlo *const      h = &s->h;
    const hlo_value off = hlo_sub(h, x, y);
    *d = hlo_mul(h, hlo_scaled(h, off, 2), shares);
    return hlo_sum_all(h, hlo_mul(h, shares, hlo_mul(h, off, off)));
}

static hlo_value mse_loss(hlo_step *s, hlo_value logits, hlo_value *d) {
    hlo *const      h = &s->h;
    const hlo_value shares = shares_of(s, s->args[BT_HLO_WEIGHTS]);
    const hlo_value x = hlo_shape(h, logits, s->B);
    const hlo_value y = s->args[BT_HLO_FLOAT_LABELS];
    hlo_value       loss;
    if (s->model->head.loss == BT_LOSS_MSE) {
        loss = square_loss(s, x, y, shares, d);
    } else {
        /* over all pairs: from the labels' mean, and how far they are from it */
        hlo_value       unused;
        const hlo_value mean = hlo_broadcast(h, hlo_sum_all(h, hlo_mul(h, shares, y)), y, NULL);
        loss = hlo_add(h, square_loss(s, x, mean, shares, d),
                       square_loss(s, y, mean, shares, &unused));
    }
    *d = hlo_shape(h, *d, s->B, 1);
    return loss;
}

static hlo_value sigmoid_loss(hlo_step *s, hlo_value x, hlo_value *d) {
    hlo *const      h = &s->h;
    const hlo_value y = s->args[BT_HLO_FLOAT_LABELS];
    const hlo_value share =
        hlo_spread(h, hlo_scaled(h, shares_of(s, s->args[BT_HLO_WEIGHTS]), 1 / (double)s->C), x, 0);
    const hlo_value e = hlo_unary(h, "exponential", hlo_unary(h, "negate", hlo_unary(h, "abs", x)));
    const hlo_value above = hlo_max(h, x, hlo_number(h, BT_DTYPE_F32, 0));
    const hlo_value ce =
        hlo_add(h, hlo_sub(h, above, hlo_mul(h, x, y)), hlo_unary(h, "log_plus_one", e));
    *d = hlo_mul(h, share, hlo_sub(h, hlo_unary(h, "logistic", x), y));
    return hlo_sum_all(h, hlo_mul(h, share, ce));
}

static hlo_value ranking_loss(hlo_step *s, hlo_value scores, hlo_value *d) {
    static const int32_t turned[] = {1, 0};
    hlo *const           h = &s->h;
    const hlo_value      weights = hlo_slice(h, s->args[BT_HLO_WEIGHTS], 0, 0, s->B, 2);
    const hlo_value      shares = shares_of(s, weights);
    const hlo_value      is_there = hlo_compare(h, "GT", weights, hlo_number(h, BT_DTYPE_F32, 0));
    const hlo_value      right_is_there = hlo_spread(h, is_there, scores, 1);
    const hlo_value      none = hlo_fill(h, scores, lowest);
    const hlo_value      diagonal =
        hlo_f32(s, is_column(h, scores, hlo_iota(h, BT_DTYPE_I32, weights, 0)));
    hlo_value loss =
        cross_entropy(h, hlo_select(h, right_is_there, scores, none), diagonal, shares, d);
    if (s->model->head.bidirectional) {
        hlo_value       d_turned;
        const hlo_value other = hlo_transpose(h, scores, turned);
        loss = hlo_add(h, loss,
                       cross_entropy(h, hlo_select(h, right_is_there, other, none), diagonal,
                                     shares, &d_turned));
        *d = hlo_add(h, *d, hlo_transpose(h, d_turned, turned));
    }
    return loss;
}

hlo_value hlo_loss(hlo_step *s, hlo_value logits, hlo_value *d_logits) {
    hlo_value        unused;
    hlo_value *const d = d_logits != NULL ? d_logits : &unused;
    switch (s->model->head.loss) {
    case BT_LOSS_NONE:
        break;
    case BT_LOSS_SOFTMAX:
    case BT_LOSS_TOKENS:
        return class_loss(s, logits, d);
    case BT_LOSS_SPAN:
        return span_loss(s, logits, d);
    case BT_LOSS_MSE:
    case BT_LOSS_MSE_ALL_PAIRS:
        return mse_loss(s, logits, d);
    case BT_LOSS_SIGMOID:
        return sigmoid_loss(s, logits, d);
    case BT_LOSS_RANKING:
        return ranking_loss(s, logits, d);
    }
    return hlo_number(&s->h, BT_DTYPE_F32, 0);
}
