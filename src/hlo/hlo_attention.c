/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention over packed rows, written out. A token attends to the tokens of its own sequence; a key
 * that is masked gets Model Garden's -1e9, which a row of masked keys alone turns into the uniform
 * softmax. The probabilities are not kept: the backward makes them again from the maximum and the
 * sum of each row (not from one logarithm of both, which -1e9 would swallow). */
#include <math.h>

#include "hlo_internal.h"

static const double masked_score = -1.0e9;
static const double foreign_score = -3.0e38; /* of another sequence: weight exactly 0 */

/* part 0 query, 1 key, 2 value: [R,S,NH,D] in the compute dtype */
static hlo_value part_of(hlo_step *s, hlo_value qkv, int64_t part) {
    return hlo_kept(
        s, hlo_shape(&s->h, hlo_slice(&s->h, qkv, 1, part, part + 1, 1), s->R, s->S, s->NH, s->D));
}

/* What is added to scores and where they count, [R,NH,S,S]. */
static hlo_value masked_scores(hlo_step *s, hlo_value scores) {
    static const int32_t of_query[] = {0, 2};
    static const int32_t of_key[] = {0, 3};
    hlo *const           h = &s->h;
    const hlo_value      segments = s->args[BT_HLO_SEGMENTS];
    hlo_value            like = scores;
    if (s->config.has_key_mask) {
        const hlo_value mask = hlo_convert(h, s->args[BT_HLO_KEY_MASK], BT_DTYPE_F32);
        const hlo_value added = hlo_scaled(h, hlo_sub(h, hlo_fill(h, mask, 1), mask), masked_score);
        scores = hlo_add(h, scores, hlo_broadcast(h, added, like, of_key));
    }
    const hlo_value same = hlo_compare(h, "EQ", hlo_broadcast(h, segments, like, of_query),
                                       hlo_broadcast(h, segments, like, of_key));
    return hlo_select(h, same, scores, hlo_number(h, BT_DTYPE_F32, foreign_score));
}

/* Scaled before the product, which float16 could not hold. */
static hlo_value scaled_query(hlo_step *s, hlo_value qkv) {
    const hlo_value q = hlo_f32(s, part_of(s, qkv, 0));
    return hlo_kept(s, hlo_scaled(&s->h, q, 1 / sqrt((double)s->D)));
}

static hlo_value scores_of(hlo_step *s, hlo_value q, hlo_value k) {
    return masked_scores(s, hlo_product(s, "rqnd,rknd->rnqk", q, k));
}

static hlo_value with_dropout(hlo_step *s, hlo_value x, hlo_value mask, float rate) {
    return hlo_select(&s->h, mask, hlo_scaled(&s->h, x, (double)(1 / (1 - rate))),
                      hlo_number(&s->h, x.dtype, 0));
}

bool hlo_drops_attention(const hlo_step *s) {
    return s->dropout && s->model->encoder.attention_dropout_rate > 0;
}

hlo_attention hlo_attention_forward(hlo_step *s, hlo_value qkv, hlo_key key) {
    hlo *const h = &s->h;
    if (s->config.attention == BT_ATTENTION_TRITON) {
        return hlo_attention_gpu_forward(s, qkv, key);
    }
    const float     rate = s->model->encoder.attention_dropout_rate;
    hlo_attention   a = {0};
    const hlo_value scores = scores_of(s, scaled_query(s, qkv), part_of(s, qkv, 1));
    a.max = hlo_reduce(h, "maximum", scores, 8);
    const hlo_value e =
        hlo_unary(h, "exponential", hlo_sub(h, scores, hlo_spread(h, a.max, scores, 0)));
    const hlo_value sum = hlo_reduce(h, "add", e, 8);
    a.inv_sum = hlo_div(h, hlo_fill(h, sum, 1), sum);
    hlo_value p = hlo_mul(h, e, hlo_spread(h, a.inv_sum, e, 0));
    if (hlo_drops_attention(s)) {
        p = with_dropout(s, p, hlo_attention_mask(s, key, rate), rate);
    }
    const hlo_value context =
        hlo_einsum(h, "rnqk,rknd->rqnd", hlo_kept(s, p), part_of(s, qkv, 2), s->ct);
    a.context = hlo_shape(h, context, s->T, s->H);
    return a;
}

hlo_value hlo_attention_backward(hlo_step *s, hlo_value d_context, hlo_value qkv,
                                 const hlo_attention *a, hlo_key key) {
    hlo *const h = &s->h;
    if (s->config.attention == BT_ATTENTION_TRITON) {
        return hlo_attention_gpu_backward(s, d_context, qkv, a);
    }
    const float     rate = s->model->encoder.attention_dropout_rate;
    const hlo_value q = scaled_query(s, qkv);
    const hlo_value k = part_of(s, qkv, 1);
    const hlo_value v = part_of(s, qkv, 2);
    const hlo_value d = hlo_kept(s, hlo_shape(h, d_context, s->R, s->S, s->NH, s->D));
    const hlo_value scores = scores_of(s, q, k);
    const hlo_value e =
        hlo_unary(h, "exponential", hlo_sub(h, scores, hlo_spread(h, a->max, scores, 0)));
    const hlo_value p = hlo_mul(h, e, hlo_spread(h, a->inv_sum, e, 0));
    hlo_value       kept = p;
    hlo_value       d_p = hlo_product(s, "rqnd,rknd->rnqk", d, v);
    if (hlo_drops_attention(s)) {
        const hlo_value mask = hlo_attention_mask(s, key, rate);
        kept = with_dropout(s, p, mask, rate);
        d_p = with_dropout(s, d_p, mask, rate);
    }
    const hlo_value along = hlo_reduce(h, "add", hlo_mul(h, p, d_p), 8);
    const hlo_value d_scores =
        hlo_kept(s, hlo_mul(h, p, hlo_sub(h, d_p, hlo_spread(h, along, d_p, 0))));
    const hlo_value d_q = hlo_kept(
        s, hlo_scaled(h, hlo_product(s, "rnqk,rknd->rqnd", d_scores, k), 1 / sqrt((double)s->D)));
    const hlo_value parts[3] = {
        hlo_shape(h, d_q, s->T, 1, s->H),
        hlo_shape(h, hlo_einsum(h, "rnqk,rqnd->rknd", d_scores, q, s->ct), s->T, 1, s->H),
        hlo_shape(h, hlo_einsum(h, "rnqk,rqnd->rknd", hlo_kept(s, kept), d, s->ct), s->T, 1, s->H)};
    return hlo_concatenate(h, parts, 3, 1);
}
