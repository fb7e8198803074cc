/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention over packed rows, written out. A token attends to the tokens of its own sequence; a key
 * that is masked gets Model Garden's -1e9, which a row of masked keys alone turns into the uniform
 * softmax. The probabilities are not kept: the backward makes them again from the maximum and the
 * sum of each row (not from one logarithm of both, which -1e9 would swallow). */
#include <math.h>
#include <string.h>

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

static hlo_attention forward(hlo_step *s, hlo_value qkv, hlo_key key) {
    hlo *const      h = &s->h;
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

static hlo_value backward(hlo_step *s, hlo_value d_context, hlo_value qkv, const hlo_attention *a,
                          hlo_key key) {
    hlo *const      h = &s->h;
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

/* In blocks of rows.
 * Of the scores of all rows there need not be more at a time than a device multiplies well. */

static const int64_t block_bytes = INT64_C(1) << 26; /* of scores */

/* The rows of one block: R is a multiple. */
static int64_t block_rows(const hlo_step *s) {
    const int64_t row_bytes = s->NH * s->S * s->S * (int64_t)sizeof(float);
    int64_t       n = s->config.attention_rows > 0 ? s->config.attention_rows
                      : row_bytes < block_bytes    ? block_bytes / row_bytes
                                                   : 1;
    n = n < s->R ? n : s->R;
    while (s->R % n != 0) {
        n--;
    }
    return n;
}

/* What of a step is another one's while a block is written. */
typedef struct whole {
    int64_t   R, T;
    hlo_value args[BT_HLO_N_ROLES];
} whole;

/* [R,...] or [T,...] as the block of that number */
static hlo_value block_of(hlo_step *s, hlo_value x, int64_t n_blocks, hlo_value block) {
    int64_t dims[HLO_MAX_RANK + 1] = {n_blocks, x.dim[0] / n_blocks};
    for (int32_t i = 1; i < x.rank; i++) {
        dims[i + 1] = x.dim[i];
    }
    return hlo_row(&s->h, hlo_reshape(&s->h, x, x.rank + 1, dims), block);
}

static void enter_block(hlo_step *s, whole *w, int64_t n_blocks, hlo_value block) {
    static const bt_hlo_role of_rows[] = {BT_HLO_SEGMENTS, BT_HLO_KEY_MASK, BT_HLO_TOKENS};
    hlo *const               h = &s->h;
    *w = (whole){.R = s->R, .T = s->T};
    memcpy(w->args, s->args, sizeof w->args);
    s->R /= n_blocks;
    s->T /= n_blocks;
    for (size_t i = 0; i < BT_ARRAY_LEN(of_rows); i++) {
        if (s->args[of_rows[i]].rank > 0) {
            s->args[of_rows[i]] = block_of(s, s->args[of_rows[i]], n_blocks, block);
        }
    }
    if (hlo_drops_attention(s)) { /* slots are counted from the block's first one */
        s->args[BT_HLO_FIRST_SLOTS] =
            hlo_sub(h, s->args[BT_HLO_FIRST_SLOTS], hlo_scaled(h, block, (double)s->T));
    }
}

static void leave_block(hlo_step *s, const whole *w) {
    s->R = w->R;
    s->T = w->T;
    memcpy(s->args, w->args, sizeof w->args);
}

hlo_attention hlo_attention_forward(hlo_step *s, hlo_value qkv, hlo_key key) {
    hlo *const    h = &s->h;
    const int64_t n = s->R / block_rows(s);
    whole         w;
    hlo_loop      loop;
    if (s->config.attention == BT_ATTENTION_TRITON) {
        return hlo_attention_gpu_forward(s, qkv, key);
    }
    if (s->config.attention == BT_ATTENTION_CUDNN) {
        return hlo_cudnn_forward(s, qkv);
    }
    if (n == 1) {
        return forward(s, qkv, key);
    }
    hlo_value carry[3] = {hlo_zeros(h, s->ct, HLO_DIMS(n, s->T / n, s->H)),
                          hlo_zeros(h, BT_DTYPE_F32, HLO_DIMS(n, s->R / n, s->NH, s->S)),
                          hlo_zeros(h, BT_DTYPE_F32, HLO_DIMS(n, s->R / n, s->NH, s->S))};
    hlo_loop_begin(h, &loop, hlo_number(h, BT_DTYPE_I32, (double)n), carry, 3);
    const hlo_value part = block_of(s, qkv, n, loop.counter);
    enter_block(s, &w, n, loop.counter);
    const hlo_attention a = forward(s, part, key);
    leave_block(s, &w);
    carry[0] = hlo_with_row(h, loop.carry[0], a.context, loop.counter);
    carry[1] = hlo_with_row(h, loop.carry[1], a.max, loop.counter);
    carry[2] = hlo_with_row(h, loop.carry[2], a.inv_sum, loop.counter);
    hlo_loop_end(h, &loop, carry);
    return (hlo_attention){.context = hlo_shape(h, loop.carry[0], s->T, s->H),
                           .max = hlo_shape(h, loop.carry[1], s->R, s->NH, s->S),
                           .inv_sum = hlo_shape(h, loop.carry[2], s->R, s->NH, s->S)};
}

hlo_value hlo_attention_backward(hlo_step *s, hlo_value d_context, hlo_value qkv,
                                 const hlo_attention *a, hlo_key key) {
    hlo *const    h = &s->h;
    const int64_t n = s->R / block_rows(s);
    whole         w;
    hlo_loop      loop;
    if (s->config.attention == BT_ATTENTION_TRITON) {
        return hlo_attention_gpu_backward(s, d_context, qkv, a);
    }
    if (s->config.attention == BT_ATTENTION_CUDNN) {
        return hlo_cudnn_backward(s, d_context, qkv, a);
    }
    if (n == 1) {
        return backward(s, d_context, qkv, a, key);
    }
    hlo_value d_qkv = hlo_zeros(h, s->ct, HLO_DIMS(n, s->T / n, 3, s->H));
    hlo_loop_begin(h, &loop, hlo_number(h, BT_DTYPE_I32, (double)n), &d_qkv, 1);
    const hlo_attention part = {.max = block_of(s, a->max, n, loop.counter),
                                .inv_sum = block_of(s, a->inv_sum, n, loop.counter)};
    const hlo_value     d = block_of(s, hlo_kept(s, d_context), n, loop.counter);
    const hlo_value     own = block_of(s, qkv, n, loop.counter);
    enter_block(s, &w, n, loop.counter);
    const hlo_value d_own = backward(s, d, own, &part, key);
    leave_block(s, &w);
    d_qkv = hlo_with_row(h, loop.carry[0], d_own, loop.counter);
    hlo_loop_end(h, &loop, &d_qkv);
    return hlo_shape(h, loop.carry[0], s->T, 3, s->H);
}
