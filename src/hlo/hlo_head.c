/* SPDX-License-Identifier: Apache-2.0
 *
 * Heads (docs/model_garden/numerics.md section 2): from the encoder's output [T,H] to logits, and
 * back. */
#include "hlo_internal.h"

/* kernel of the tanh layer over first tokens; its bias is the next variable */
static hlo_var_kind pooler_of(const hlo_step *s) {
    return s->model->head.kind == BT_HEAD_POOLER_DENSE ? HLO_VAR_HEAD_POOLER_KERNEL
                                                       : HLO_VAR_POOLER_KERNEL;
}

hlo_value hlo_slot_sequences(hlo_step *s) {
    hlo *const      h = &s->h;
    const hlo_value segments = hlo_shape(h, s->args[BT_HLO_SEGMENTS], s->T);
    const hlo_value is_empty = hlo_compare(h, "LT", segments, hlo_number(h, BT_DTYPE_I32, 0));
    return hlo_select(h, is_empty, hlo_fill(h, segments, (double)s->B), segments);
}

hlo_value hlo_is_of_sequence(hlo_step *s) {
    hlo *const      h = &s->h;
    const hlo_value like = hlo_new(h, BT_DTYPE_I32, 2, (int64_t[]){s->B, s->T});
    const hlo_value segments = hlo_shape(h, s->args[BT_HLO_SEGMENTS], s->T);
    return hlo_compare(h, "EQ", hlo_spread(h, segments, like, 1),
                       hlo_iota(h, BT_DTYPE_I32, like, 0));
}

hlo_value hlo_first_rows(hlo_step *s, hlo_value x) {
    return hlo_take(&s->h, x, s->args[BT_HLO_FIRST_SLOTS]);
}

/* Into the slots of first tokens; places without a sequence lie outside and are left out. */
hlo_value hlo_first_rows_backward(hlo_step *s, hlo_value d_rows) {
    hlo *const h = &s->h;
    return hlo_scatter(h, "add", hlo_zeros(h, d_rows.dtype, HLO_DIMS(s->T, d_rows.dim[1])),
                       s->args[BT_HLO_FIRST_SLOTS], d_rows);
}

/* The encoder may have computed no others. */
static hlo_value encoded_rows(hlo_step *s, hlo_value encoded) {
    return s->first_only ? encoded : hlo_first_rows(s, encoded);
}

static hlo_value encoded_rows_backward(hlo_step *s, hlo_value d_rows) {
    return s->first_only ? d_rows : hlo_first_rows_backward(s, d_rows);
}

static hlo_value pooler_forward(hlo_step *s, hlo_var_kind kernel, hlo_value rows,
                                hlo_value *before) {
    const hlo_value product = hlo_product(s, "bh,ho->bo", rows, s->vars[kernel].value);
    *before = hlo_plus_bias(s, product, s->vars[kernel + 1].value);
    return hlo_unary(&s->h, "tanh", *before);
}

hlo_value hlo_pooled_output(hlo_step *s, hlo_value encoded) {
    hlo_value before;
    return pooler_forward(s, HLO_VAR_POOLER_KERNEL, hlo_first_rows(s, encoded), &before);
}

/* d [B,H] of the tanh's output -> of the first rows */
static hlo_value pooler_backward(hlo_step *s, hlo_value d, const hlo_head_keep *keep) {
    const hlo_var_kind kernel = pooler_of(s);
    const hlo_value    d_pre = hlo_act_backward(s, BT_ACT_TANH, d, keep->pooled_pre);
    s->vars[kernel].gradient = hlo_product(s, "bh,bo->ho", keep->rows, d_pre);
    s->vars[kernel + 1].gradient = hlo_bias_gradient(s, d_pre);
    return hlo_product(s, "bo,ho->bh", d_pre, s->vars[kernel].value);
}

static hlo_value logits_forward(hlo_step *s, hlo_value in) {
    return hlo_f32(
        s, hlo_kept(s, hlo_plus_bias(
                           s, hlo_product(s, "nh,hc->nc", in, s->vars[HLO_VAR_LOGITS_KERNEL].value),
                           s->vars[HLO_VAR_LOGITS_BIAS].value)));
}

static hlo_value logits_backward(hlo_step *s, hlo_value d, hlo_value in) {
    s->vars[HLO_VAR_LOGITS_KERNEL].gradient = hlo_product(s, "nh,nc->hc", in, d);
    s->vars[HLO_VAR_LOGITS_BIAS].gradient = hlo_bias_gradient(s, d);
    return hlo_product(s, "nc,hc->nh", d, s->vars[HLO_VAR_LOGITS_KERNEL].value);
}

/* Rows of token heads are tokens, of others sequences. The dropout in front of the logits, and the
 * one before that where the head reads the encoder's pooler; each its own backward. */
static hlo_value head_dropout(hlo_step *s, hlo_value x, hlo_place place) {
    hlo *const  h = &s->h;
    const float rate = s->model->head.dropout_rate;
    if (!s->dropout || rate <= 0) {
        return x;
    }
    const bool      tokens = s->model->head.kind == BT_HEAD_TOKENS;
    const hlo_value rows =
        tokens ? hlo_shape(h, s->args[BT_HLO_TOKENS], s->T) : s->args[BT_HLO_SEQUENCES];
    return hlo_dropout(s, x, hlo_key_at(s, place), rows, rate);
}

static hlo_value all_dropout(hlo_step *s, hlo_value x) {
    x = head_dropout(s, x, HLO_PLACE_HEAD);
    return s->model->head.kind == BT_HEAD_ENCODER_POOLER ? head_dropout(s, x, HLO_PLACE_HEAD_INPUT)
                                                         : x;
}

/* 1 / number of tokens of each sequence, spread over [B,H]; where there is no sequence, 1 */
static hlo_value inverse_counts(hlo_step *s, hlo_value like) {
    hlo *const      h = &s->h;
    const hlo_value counts = hlo_reduce(h, "add", hlo_f32(s, hlo_is_of_sequence(s)), 2);
    const hlo_value one = hlo_fill(h, counts, 1);
    return hlo_spread(h, hlo_div(h, one, hlo_max(h, counts, one)), like, 0);
}

static hlo_value mean_forward(hlo_step *s, hlo_value encoded) {
    hlo *const      h = &s->h;
    const hlo_value sums =
        hlo_einsum(h, "bt,th->bh", hlo_f32(s, hlo_is_of_sequence(s)), encoded, BT_DTYPE_F32);
    return hlo_mul(h, sums, inverse_counts(s, sums));
}

static hlo_value mean_backward(hlo_step *s, hlo_value d) {
    hlo *const h = &s->h;
    return hlo_einsum(h, "bt,bh->th", hlo_f32(s, hlo_is_of_sequence(s)),
                      hlo_mul(h, d, inverse_counts(s, d)), BT_DTYPE_F32);
}

/* [B+1,H] of -3.4e38, what no sequence has is left there; row B takes what empty slots hold */
static hlo_value max_forward(hlo_step *s, hlo_value encoded) {
    hlo *const      h = &s->h;
    const hlo_value start =
        hlo_fill(h, hlo_new(h, BT_DTYPE_F32, HLO_DIMS(s->B + 1, s->H)), -3.4e38);
    return hlo_scatter(h, "maximum", start, hlo_slot_sequences(s), encoded);
}

/* To the largest, the first of equal ones. */
static hlo_value max_backward(hlo_step *s, hlo_value d, const hlo_head_keep *keep) {
    hlo *const      h = &s->h;
    const hlo_value sequences = hlo_slot_sequences(s);
    const hlo_value x = keep->encoded;
    const hlo_value largest = hlo_take(h, max_forward(s, x), sequences);
    const hlo_value slots = hlo_iota(h, BT_DTYPE_I32, x, 0);
    const hlo_value none = hlo_fill(h, slots, (double)s->T);
    const hlo_value places = hlo_select(h, hlo_compare(h, "EQ", x, largest), slots, none);
    const hlo_value start =
        hlo_fill(h, hlo_new(h, BT_DTYPE_I32, HLO_DIMS(s->B + 1, s->H)), (double)s->T);
    const hlo_value first =
        hlo_take(h, hlo_scatter(h, "minimum", start, sequences, places), sequences);
    const hlo_value rows[2] = {d, hlo_zeros(h, BT_DTYPE_F32, HLO_DIMS(1, s->H))};
    const hlo_value spread = hlo_take(h, hlo_concatenate(h, rows, 2, 0), sequences);
    return hlo_select(h, hlo_compare(h, "EQ", slots, first), spread, hlo_fill(h, spread, 0));
}

static hlo_value pooling_forward(hlo_step *s, hlo_value encoded, hlo_head_keep *keep) {
    switch (s->model->head.pooling) {
    case BT_POOLING_POOLER:
        return pooler_forward(s, HLO_VAR_POOLER_KERNEL, keep->rows, &keep->pooled_pre);
    case BT_POOLING_CLS:
        return keep->rows;
    case BT_POOLING_MEAN:
        return mean_forward(s, encoded);
    case BT_POOLING_MAX:
        return hlo_slice(&s->h, max_forward(s, encoded), 0, 0, s->B, 1);
    }
    return keep->rows;
}

static hlo_value pooling_backward(hlo_step *s, hlo_value d, const hlo_head_keep *keep) {
    switch (s->model->head.pooling) {
    case BT_POOLING_POOLER:
        return encoded_rows_backward(s, pooler_backward(s, d, keep));
    case BT_POOLING_CLS:
        return encoded_rows_backward(s, d);
    case BT_POOLING_MEAN:
        return mean_backward(s, d);
    case BT_POOLING_MAX:
        return max_backward(s, d, keep);
    }
    return d;
}

/* Pairs: rows 2i and 2i+1 are the two sides of pair i. */

/* x * rsqrt(max(sum x^2, 1e-12)); *inverse [B,H] is that factor */
static const double smallest_sum_sq = 1e-12;

static hlo_value unit_rows(hlo_step *s, hlo_value x, hlo_value *inverse, hlo_value *sum_sq) {
    hlo *const h = &s->h;
    *sum_sq = hlo_reduce(h, "add", hlo_mul(h, x, x), 2);
    const hlo_value least = hlo_number(h, BT_DTYPE_F32, smallest_sum_sq);
    *inverse = hlo_spread(h, hlo_unary(h, "rsqrt", hlo_max(h, *sum_sq, least)), x, 0);
    return hlo_mul(h, x, *inverse);
}

static hlo_value unit_rows_backward(hlo_step *s, hlo_value d, hlo_value x) {
    hlo *const      h = &s->h;
    hlo_value       inverse;
    hlo_value       sum_sq;
    const hlo_value unit = unit_rows(s, x, &inverse, &sum_sq);
    const hlo_value along = hlo_reduce(h, "add", hlo_mul(h, d, unit), 2);
    /* below the epsilon the factor is a constant */
    const hlo_value counts =
        hlo_f32(s, hlo_compare(h, "GE", sum_sq, hlo_number(h, BT_DTYPE_F32, smallest_sum_sq)));
    const hlo_value part = hlo_mul(h, unit, hlo_spread(h, hlo_mul(h, along, counts), d, 0));
    return hlo_mul(h, inverse, hlo_sub(h, d, part));
}

static hlo_value side_of(hlo_step *s, hlo_value vectors, int64_t side) {
    return hlo_slice(&s->h, vectors, 0, side, s->B, 2);
}

/* scale * (left_i . right_j - margin where i = j) */
static hlo_value pair_scores(hlo_step *s, hlo_value vectors) {
    const bt_head_config *const head = &s->model->head;
    hlo *const                  h = &s->h;
    const hlo_value             products =
        hlo_einsum(h, "ih,jh->ij", side_of(s, vectors, 0), side_of(s, vectors, 1), BT_DTYPE_F32);
    const hlo_value diagonal =
        hlo_f32(s, hlo_compare(h, "EQ", hlo_iota(h, BT_DTYPE_I32, products, 0),
                               hlo_iota(h, BT_DTYPE_I32, products, 1)));
    const hlo_value margin = hlo_scaled(h, diagonal, (double)head->logit_margin);
    return hlo_scaled(h, hlo_sub(h, products, margin), (double)head->logit_scale);
}

static hlo_value pair_scores_backward(hlo_step *s, hlo_value d_scores, hlo_value vectors) {
    hlo *const      h = &s->h;
    const int64_t   n_pairs = s->B / 2;
    const hlo_value d = hlo_scaled(h, d_scores, (double)s->model->head.logit_scale);
    const hlo_value sides[2] = {
        hlo_shape(h, hlo_einsum(h, "ij,jh->ih", d, side_of(s, vectors, 1), BT_DTYPE_F32), n_pairs,
                  1, s->H),
        hlo_shape(h, hlo_einsum(h, "ij,ih->jh", d, side_of(s, vectors, 0), BT_DTYPE_F32), n_pairs,
                  1, s->H)};
    return hlo_shape(h, hlo_concatenate(h, sides, 2, 1), s->B, s->H);
}

static hlo_value pooled_output_forward(hlo_step *s, hlo_value encoded, hlo_head_keep *keep) {
    const bt_head_config *const head = &s->model->head;
    hlo_value                   inverse;
    hlo_value                   sum_sq;
    keep->pooled = pooling_forward(s, encoded, keep);
    keep->vectors = head->normalize ? unit_rows(s, keep->pooled, &inverse, &sum_sq) : keep->pooled;
    return head->loss == BT_LOSS_RANKING ? pair_scores(s, keep->vectors) : keep->vectors;
}

hlo_value hlo_head_forward(hlo_step *s, hlo_value encoded, hlo_head_keep *keep) {
    keep->encoded = encoded;
    if (bt_model_reads_first_rows(&s->model->head)) {
        keep->rows = encoded_rows(s, encoded);
    }
    switch (s->model->head.kind) {
    case BT_HEAD_TOKENS:
        keep->dropped = all_dropout(s, encoded);
        return logits_forward(s, keep->dropped);
    case BT_HEAD_POOLED_OUTPUT:
        return pooled_output_forward(s, encoded, keep);
    case BT_HEAD_POOLER_DENSE:
    case BT_HEAD_ENCODER_POOLER:
        break;
    }
    keep->pooled = pooler_forward(s, pooler_of(s), keep->rows, &keep->pooled_pre);
    keep->dropped = all_dropout(s, keep->pooled);
    return logits_forward(s, keep->dropped);
}

hlo_value hlo_head_backward(hlo_step *s, hlo_value d_logits, const hlo_head_keep *keep) {
    switch (s->model->head.kind) {
    case BT_HEAD_TOKENS:
        return all_dropout(s, logits_backward(s, d_logits, keep->dropped));
    case BT_HEAD_POOLED_OUTPUT: {
        hlo_value d = pair_scores_backward(s, d_logits, keep->vectors);
        if (s->model->head.normalize) {
            d = unit_rows_backward(s, d, keep->pooled);
        }
        return pooling_backward(s, d, keep);
    }
    case BT_HEAD_POOLER_DENSE:
    case BT_HEAD_ENCODER_POOLER:
        break;
    }
    const hlo_value d = all_dropout(s, logits_backward(s, d_logits, keep->dropped));
    return encoded_rows_backward(s, pooler_backward(s, d, keep));
}
