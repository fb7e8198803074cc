/* SPDX-License-Identifier: Apache-2.0
 *
 * The encoder's forward pass (docs/model_garden/numerics.md section 1), both orders of norm: a loop
 * over layers whose parameters are stacked. */
#include "hlo_internal.h"

static hlo_value embedding_forward(hlo_step *s, hlo_encoder_keep *keep) {
    hlo *const      h = &s->h;
    const hlo_value word =
        hlo_take(h, s->vars[HLO_VAR_WORD].value, hlo_shape(h, s->args[BT_HLO_IDS], s->T));
    const hlo_value position =
        hlo_take(h, s->vars[HLO_VAR_POSITION].value, hlo_shape(h, s->args[BT_HLO_POSITIONS], s->T));
    const hlo_value type =
        hlo_take(h, s->vars[HLO_VAR_TYPE].value, hlo_shape(h, s->args[BT_HLO_TYPES], s->T));
    const hlo_norm norm = {s->vars[HLO_VAR_EMBEDDING_GAMMA].value,
                           s->vars[HLO_VAR_EMBEDDING_BETA].value};
    keep->embedding_sum = hlo_add(h, hlo_add(h, word, position), type);
    keep->embedding_out = hlo_dropout(s, hlo_norm_forward(s, keep->embedding_sum, norm),
                                      hlo_key_at(s, HLO_PLACE_EMBEDDING), hlo_slot_tokens(s),
                                      s->model->encoder.dropout_rate);
    keep->embedded = keep->embedding_out;
    if (s->vars[HLO_VAR_PROJECTION_KERNEL].is_used) {
        keep->embedded = hlo_plus_bias(s,
                                       hlo_product(s, "te,eh->th", keep->embedding_out,
                                                   s->vars[HLO_VAR_PROJECTION_KERNEL].value),
                                       s->vars[HLO_VAR_PROJECTION_BIAS].value);
    }
    return keep->embedded;
}

hlo_norm hlo_layer_norm(hlo_step *s, hlo_var_kind gamma, hlo_value layer) {
    return (hlo_norm){hlo_layer_value(s, gamma, layer),
                      hlo_layer_value(s, (hlo_var_kind)(gamma + 1), layer)};
}

/* The norm in front of the feed-forward. */
hlo_norm hlo_ffn_norm(hlo_step *s, hlo_value layer) {
    return hlo_layer_norm(
        s, s->model->encoder.norm_first ? HLO_VAR_OUTPUT_GAMMA : HLO_VAR_ATTENTION_GAMMA, layer);
}

hlo_value hlo_layer_qkv_input(hlo_step *s, hlo_value layer, hlo_value x) {
    return s->model->encoder.norm_first
               ? hlo_norm_forward(s, x, hlo_layer_norm(s, HLO_VAR_ATTENTION_GAMMA, layer))
               : x;
}

static hlo_value qkv_forward(hlo_step *s, hlo_value layer, hlo_value in) {
    const hlo_value product =
        hlo_product(s, "th,cho->tco", in, hlo_layer_value(s, HLO_VAR_QKV_KERNEL, layer));
    return hlo_kept(s, hlo_plus_bias(s, product, hlo_layer_value(s, HLO_VAR_QKV_BIAS, layer)));
}

hlo_layer hlo_layer_at(hlo_step *s, hlo_value number, bool first_only) {
    hlo_layer layer = {.number = number, .first_only = first_only, .tokens = hlo_slot_tokens(s)};
    if (s->dropout) {
        layer.tokens = hlo_layer_rows(s, &layer, layer.tokens);
    }
    return layer;
}

hlo_value hlo_layer_rows(hlo_step *s, const hlo_layer *layer, hlo_value x) {
    return layer->first_only ? hlo_first_rows(s, x) : x;
}

hlo_value hlo_layer_rows_backward(hlo_step *s, const hlo_layer *layer, hlo_value d) {
    return layer->first_only ? hlo_first_rows_backward(s, d) : d;
}

/* x + attention, of the tokens that count; its output's dropout comes before */
static hlo_value attention_sum(hlo_step *s, const hlo_layer *layer, hlo_value x,
                               hlo_value context) {
    hlo *const      h = &s->h;
    const hlo_value product =
        hlo_product(s, "th,ho->to", hlo_layer_rows(s, layer, context),
                    hlo_layer_value(s, HLO_VAR_ATTENTION_KERNEL, layer->number));
    const hlo_value attention = hlo_dropout(
        s, hlo_plus_bias(s, product, hlo_layer_value(s, HLO_VAR_ATTENTION_BIAS, layer->number)),
        hlo_layer_key(s, layer->number, HLO_LAYER_ATTENTION), layer->tokens,
        s->model->encoder.attention_dropout_rate);
    return hlo_add(h, hlo_layer_rows(s, layer, x), attention);
}

hlo_value hlo_layer_forward(hlo_step *s, const hlo_layer *layer, hlo_value in,
                            hlo_layer_keep *keep) {
    hlo *const                     h = &s->h;
    const bt_encoder_config *const e = &s->model->encoder;
    const hlo_value                l = layer->number;
    const hlo_value                x = hlo_f32(s, hlo_kept(s, in)); /* the policy casts it */
    keep->qkv = qkv_forward(s, l, hlo_layer_qkv_input(s, l, x));
    keep->attention = hlo_attention_forward(s, keep->qkv, hlo_layer_key(s, l, HLO_LAYER_PROBS));
    keep->sum_1 = hlo_kept(s, attention_sum(s, layer, x, keep->attention.context));
    const hlo_value ffn_in = hlo_norm_forward(s, keep->sum_1, hlo_ffn_norm(s, l));
    const hlo_value pre =
        hlo_product(s, "th,hi->ti", ffn_in, hlo_layer_value(s, HLO_VAR_INTERMEDIATE_KERNEL, l));
    keep->pre_act =
        hlo_kept(s, hlo_plus_bias(s, pre, hlo_layer_value(s, HLO_VAR_INTERMEDIATE_BIAS, l)));
    const hlo_value act = hlo_act_forward(s, e->hidden_activation, hlo_f32(s, keep->pre_act));
    hlo_value ffn = hlo_product(s, "ti,ih->th", act, hlo_layer_value(s, HLO_VAR_OUTPUT_KERNEL, l));
    ffn = hlo_dropout(s, hlo_plus_bias(s, ffn, hlo_layer_value(s, HLO_VAR_OUTPUT_BIAS, l)),
                      hlo_layer_key(s, l, HLO_LAYER_FFN), layer->tokens, e->dropout_rate);
    keep->sum_2 = hlo_add(h, ffn, e->norm_first ? hlo_f32(s, keep->sum_1) : ffn_in);
    return e->norm_first
               ? keep->sum_2
               : hlo_norm_forward(s, keep->sum_2, hlo_layer_norm(s, HLO_VAR_OUTPUT_GAMMA, l));
}

/* In the order of hlo_encoder_keep.layers: those that not every attention has come last. */
static void list_kept(const hlo_layer_keep *keep, hlo_value list[HLO_N_KEPT]) {
    list[0] = keep->sum_2;
    list[1] = keep->qkv;
    list[2] = keep->attention.context;
    list[3] = keep->sum_1;
    list[4] = keep->pre_act;
    list[5] = keep->attention.max;
    list[6] = keep->attention.inv_sum;
    list[7] = keep->attention.bits;
}

int32_t hlo_n_kept(const hlo_step *s) {
    return s->config.recompute                         ? 1
           : s->config.attention == BT_ATTENTION_CUDNN ? HLO_N_KEPT - 2
           : hlo_attention_has_bits(s)                 ? HLO_N_KEPT
                                                       : HLO_N_KEPT - 1;
}

/* Empty stacks [L,...] of what a layer keeps; with recomputation its input only. */
static void empty_stacks(hlo_step *s, int64_t L, hlo_value stacks[HLO_N_KEPT]) {
    hlo *const    h = &s->h;
    const bool    cudnn = s->config.attention == BT_ATTENTION_CUDNN;
    const int32_t n = hlo_n_kept(s);
    stacks[0] = hlo_zeros(h, s->config.recompute ? s->ct : BT_DTYPE_F32, HLO_DIMS(L, s->T, s->H));
    if (n > 1) {
        stacks[1] = hlo_zeros(h, s->ct, HLO_DIMS(L, s->T, 3, s->H));
        stacks[2] = hlo_zeros(h, s->ct, HLO_DIMS(L, s->T, s->H));
        stacks[3] = hlo_zeros(h, s->ct, HLO_DIMS(L, s->T, s->H));
        stacks[4] = hlo_zeros(h, s->ct, HLO_DIMS(L, s->T, s->I));
        stacks[5] = hlo_zeros(h, BT_DTYPE_F32,
                              HLO_DIMS(L, cudnn ? hlo_cudnn_sequences(s) : s->R, s->NH, s->S));
    }
    if (n > 6) {
        stacks[6] = hlo_zeros(h, BT_DTYPE_F32, HLO_DIMS(L, s->R, s->NH, s->S));
    }
    if (n > 7) {
        stacks[7] =
            hlo_zeros(h, BT_DTYPE_U32, HLO_DIMS(L, s->T, s->NH, hlo_attention_words(&s->config)));
    }
}

/* The layers of one loop: n_layers (int32) of them, for L of which there is room. */
static hlo_value loop_forward(hlo_step *s, hlo_value n_layers, int64_t L, hlo_value x,
                              hlo_encoder_keep *keep) {
    hlo *const     h = &s->h;
    hlo_value      carry[HLO_N_KEPT + 1] = {x};
    hlo_value      kept[HLO_N_KEPT];
    hlo_layer_keep layer_keep = {0};
    hlo_loop       loop;
    const int32_t  n_kept = keep != NULL ? hlo_n_kept(s) : 0;
    if (keep != NULL) {
        empty_stacks(s, L, carry + 1);
    }
    hlo_loop_begin(h, &loop, n_layers, carry, 1 + n_kept);
    const hlo_layer layer = hlo_layer_at(s, loop.counter, false);
    carry[0] = hlo_layer_forward(s, &layer, loop.carry[0], &layer_keep);
    list_kept(&layer_keep, kept);
    if (s->config.recompute) {
        kept[0] = hlo_kept(s, loop.carry[0]);
    }
    for (int32_t i = 0; i < n_kept; i++) {
        carry[i + 1] = hlo_with_row(h, loop.carry[i + 1], kept[i], loop.counter);
    }
    hlo_loop_end(h, &loop, carry);
    for (int32_t i = 0; i < n_kept; i++) {
        keep->layers[i] = loop.carry[i + 1];
    }
    return loop.carry[0];
}

hlo_value hlo_encoder_forward(hlo_step *s, hlo_value n_layers, hlo_encoder_keep *keep) {
    hlo *const       h = &s->h;
    hlo_encoder_keep own = {0};
    hlo_layer_keep   last = {0};
    hlo_value        x = embedding_forward(s, keep != NULL ? keep : &own);
    if (!s->first_only) {
        return loop_forward(s, n_layers, s->L, x, keep);
    }
    const hlo_value number = hlo_number(h, BT_DTYPE_I32, (double)(s->L - 1));
    if (s->L > 1) {
        x = loop_forward(s, number, s->L - 1, x, keep);
    }
    const hlo_layer layer = hlo_layer_at(s, number, true);
    const hlo_value out = hlo_layer_forward(s, &layer, x, &last);
    if (keep != NULL) {
        keep->last_in = hlo_kept(s, x);
        keep->last = last;
    }
    return out;
}
