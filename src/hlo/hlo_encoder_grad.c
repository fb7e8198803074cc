/* SPDX-License-Identifier: Apache-2.0
 *
 * The encoder's backward pass: a loop from the last layer to the first that carries the gradient of
 * a layer's output, and the layers' gradients. Whatever a pass over memory makes again from what
 * was kept is made again: norms' outputs, activations, probabilities, dropout masks. */
#include <string.h>

#include "hlo_internal.h"

typedef struct layer_gradients {
    hlo_value of[HLO_N_LAYER_VARS];
} layer_gradients;

static void set(layer_gradients *g, hlo_var_kind kind, hlo_value value) {
    g->of[kind - HLO_FIRST_LAYER_VAR] = value;
}

/* What a layer read: the output of the one before, made again from that one's last sum. */
static hlo_value layer_input(hlo_step *s, const hlo_layer *l, const hlo_encoder_keep *keep) {
    hlo *const      h = &s->h;
    const hlo_value layer = l->number;
    if (l->first_only) {
        return hlo_f32(s, keep->last_in);
    }
    if (s->config.recompute) {
        return hlo_f32(s, hlo_row(h, keep->layers[0], layer));
    }
    const hlo_value zero = hlo_number(h, BT_DTYPE_I32, 0);
    const hlo_value before = hlo_max(h, hlo_plus(h, layer, -1), zero);
    hlo_value       out = hlo_row(h, keep->layers[0], before);
    if (!s->model->encoder.norm_first) {
        out = hlo_norm_forward(s, out, hlo_layer_norm(s, HLO_VAR_OUTPUT_GAMMA, before));
    }
    const hlo_value x = hlo_select(h, hlo_compare(h, "EQ", layer, zero), keep->embedded, out);
    return hlo_f32(s, hlo_kept(s, x));
}

static hlo_layer_keep kept_of(hlo_step *s, const hlo_layer *l, hlo_value x,
                              const hlo_encoder_keep *keep) {
    hlo *const      h = &s->h;
    const hlo_value layer = l->number;
    hlo_layer_keep  k = {0};
    if (l->first_only) {
        return keep->last; /* of one layer: there is nothing to gain by making it again */
    }
    if (s->config.recompute) {
        (void)hlo_layer_forward(s, l, x, &k);
        return k;
    }
    hlo_value *const places[HLO_N_KEPT] = {
        &k.sum_2,   &k.qkv,           &k.attention.context, &k.sum_1,
        &k.pre_act, &k.attention.max, &k.attention.inv_sum, &k.attention.bits};
    for (int32_t i = 0; i < hlo_n_kept(s); i++) {
        *places[i] = hlo_row(h, keep->layers[i], layer);
    }
    return k;
}

/* From the gradient of the feed-forward's output to that of its input. */
static hlo_value ffn_backward(hlo_step *s, const hlo_layer *l, hlo_value d_sum,
                              const hlo_layer_keep *k, layer_gradients *g) {
    const bt_encoder_config *const e = &s->model->encoder;
    const hlo_value                layer = l->number;
    const hlo_value                d =
        hlo_dropout(s, d_sum, hlo_layer_key(s, layer, HLO_LAYER_FFN), l->tokens, e->dropout_rate);
    const hlo_value pre = hlo_f32(s, k->pre_act);
    const hlo_value act = hlo_act_forward(s, e->hidden_activation, pre);
    const hlo_value in = hlo_norm_forward(s, k->sum_1, hlo_ffn_norm(s, layer));
    set(g, HLO_VAR_OUTPUT_BIAS, hlo_bias_gradient(s, d));
    set(g, HLO_VAR_OUTPUT_KERNEL, hlo_product(s, "ti,th->ih", act, d));
    const hlo_value d_act =
        hlo_product(s, "th,ih->ti", d, hlo_layer_value(s, HLO_VAR_OUTPUT_KERNEL, layer));
    const hlo_value d_pre = hlo_act_backward(s, e->hidden_activation, d_act, pre);
    set(g, HLO_VAR_INTERMEDIATE_BIAS, hlo_bias_gradient(s, d_pre));
    set(g, HLO_VAR_INTERMEDIATE_KERNEL, hlo_product(s, "th,ti->hi", in, d_pre));
    return hlo_product(s, "ti,hi->th", d_pre,
                       hlo_layer_value(s, HLO_VAR_INTERMEDIATE_KERNEL, layer));
}

/* From the gradient of the attention's output to that of what query, key and value are made of. */
static hlo_value attention_backward(hlo_step *s, const hlo_layer *l, hlo_value d_sum, hlo_value x,
                                    const hlo_layer_keep *k, layer_gradients *g) {
    const hlo_value layer = l->number;
    const hlo_value d = hlo_dropout(s, d_sum, hlo_layer_key(s, layer, HLO_LAYER_ATTENTION),
                                    l->tokens, s->model->encoder.attention_dropout_rate);
    set(g, HLO_VAR_ATTENTION_BIAS, hlo_bias_gradient(s, d));
    set(g, HLO_VAR_ATTENTION_KERNEL,
        hlo_product(s, "th,to->ho", hlo_layer_rows(s, l, k->attention.context), d));
    const hlo_value d_context = hlo_layer_rows_backward(
        s, l, hlo_product(s, "to,ho->th", d, hlo_layer_value(s, HLO_VAR_ATTENTION_KERNEL, layer)));
    const hlo_value d_qkv = hlo_attention_backward(s, d_context, k->qkv, &k->attention,
                                                   hlo_layer_key(s, layer, HLO_LAYER_PROBS));
    set(g, HLO_VAR_QKV_BIAS, hlo_bias_gradient(s, hlo_f32(s, d_qkv)));
    set(g, HLO_VAR_QKV_KERNEL,
        hlo_product(s, "th,tco->cho", hlo_layer_qkv_input(s, layer, x), d_qkv));
    return hlo_product(s, "tco,cho->th", d_qkv, hlo_layer_value(s, HLO_VAR_QKV_KERNEL, layer));
}

/* d: gradient of the layer's output -> of its input */
static hlo_value layer_backward(hlo_step *s, const hlo_layer *l, hlo_value d,
                                const hlo_encoder_keep *keep, layer_gradients *g) {
    hlo *const           h = &s->h;
    const bool           norm_first = s->model->encoder.norm_first;
    const hlo_value      layer = l->number;
    const hlo_value      x = layer_input(s, l, keep);
    const hlo_layer_keep k = kept_of(s, l, x, keep);
    hlo_norm_gradient    n = {.d_in = d};
    if (!norm_first) {
        n = hlo_norm_backward(s, d, k.sum_2, hlo_layer_norm(s, HLO_VAR_OUTPUT_GAMMA, layer));
        set(g, HLO_VAR_OUTPUT_GAMMA, n.d_gamma);
        set(g, HLO_VAR_OUTPUT_BETA, n.d_beta);
    }
    const hlo_value d_sum_2 = n.d_in;
    hlo_value       d_ffn_in = ffn_backward(s, l, d_sum_2, &k, g);
    if (!norm_first) {
        d_ffn_in = hlo_add(h, d_ffn_in, d_sum_2);
    }
    n = hlo_norm_backward(s, d_ffn_in, k.sum_1, hlo_ffn_norm(s, layer));
    set(g, norm_first ? HLO_VAR_OUTPUT_GAMMA : HLO_VAR_ATTENTION_GAMMA, n.d_gamma);
    set(g, norm_first ? HLO_VAR_OUTPUT_BETA : HLO_VAR_ATTENTION_BETA, n.d_beta);
    const hlo_value d_sum_1 = norm_first ? hlo_add(h, n.d_in, d_sum_2) : n.d_in;
    hlo_value       d_in = attention_backward(s, l, d_sum_1, x, &k, g);
    if (norm_first) {
        n = hlo_norm_backward(s, d_in, x, hlo_layer_norm(s, HLO_VAR_ATTENTION_GAMMA, layer));
        set(g, HLO_VAR_ATTENTION_GAMMA, n.d_gamma);
        set(g, HLO_VAR_ATTENTION_BETA, n.d_beta);
        d_in = n.d_in;
    }
    return hlo_add(h, hlo_layer_rows_backward(s, l, d_sum_1), d_in);
}

static void embedding_backward(hlo_step *s, hlo_value d_out, const hlo_encoder_keep *keep) {
    hlo *const     h = &s->h;
    hlo_var *const vars = s->vars;
    hlo_value      d = d_out;
    if (vars[HLO_VAR_PROJECTION_KERNEL].is_used) {
        vars[HLO_VAR_PROJECTION_KERNEL].gradient =
            hlo_product(s, "te,th->eh", keep->embedding_out, d_out);
        vars[HLO_VAR_PROJECTION_BIAS].gradient = hlo_bias_gradient(s, d_out);
        d = hlo_product(s, "th,eh->te", d_out, vars[HLO_VAR_PROJECTION_KERNEL].value);
    }
    d = hlo_dropout(s, d, hlo_key_at(s, HLO_PLACE_EMBEDDING), hlo_slot_tokens(s),
                    s->model->encoder.dropout_rate);
    const hlo_norm norm = {vars[HLO_VAR_EMBEDDING_GAMMA].value, vars[HLO_VAR_EMBEDDING_BETA].value};
    const hlo_norm_gradient n = hlo_norm_backward(s, d, keep->embedding_sum, norm);
    vars[HLO_VAR_EMBEDDING_GAMMA].gradient = n.d_gamma;
    vars[HLO_VAR_EMBEDDING_BETA].gradient = n.d_beta;
    s->word_rows = n.d_in;
    vars[HLO_VAR_WORD].gradient = hlo_scatter(h, "add", hlo_fill(h, vars[HLO_VAR_WORD].value, 0),
                                              hlo_shape(h, s->args[BT_HLO_IDS], s->T), n.d_in);
    vars[HLO_VAR_POSITION].gradient =
        hlo_scatter(h, "add", hlo_fill(h, vars[HLO_VAR_POSITION].value, 0),
                    hlo_shape(h, s->args[BT_HLO_POSITIONS], s->T), n.d_in);
    /* few types, many tokens: a product with their table of 0 and 1, not a scatter of collisions */
    const hlo_value like =
        hlo_new(h, BT_DTYPE_I32, 2, (int64_t[]){s->T, vars[HLO_VAR_TYPE].dim[0]});
    const hlo_value is_type =
        hlo_compare(h, "EQ", hlo_spread(h, hlo_shape(h, s->args[BT_HLO_TYPES], s->T), like, 0),
                    hlo_iota(h, BT_DTYPE_I32, like, 1));
    vars[HLO_VAR_TYPE].gradient =
        hlo_einsum(h, "tc,te->ce", hlo_f32(s, is_type), n.d_in, BT_DTYPE_F32);
}

/* The layers' gradients of one layer into those of all. */
static void place_gradients(hlo_step *s, hlo_value layer, const layer_gradients *g,
                            const hlo_value *before, hlo_value *after) {
    hlo *const h = &s->h;
    for (int i = 0; i < HLO_N_LAYER_VARS; i++) {
        /* shared by all layers: they add up */
        after[i] = s->vars[HLO_FIRST_LAYER_VAR + i].is_stacked
                       ? hlo_with_row(h, before[i], g->of[i], layer)
                       : hlo_add(h, before[i], g->of[i]);
    }
}

/* carry: the gradient of the output of L layers, then the layers' gradients */
static void loop_backward(hlo_step *s, int64_t L, hlo_value carry[1 + HLO_N_LAYER_VARS],
                          const hlo_encoder_keep *keep) {
    hlo *const      h = &s->h;
    hlo_loop        loop;
    layer_gradients g = {0};
    hlo_loop_begin(h, &loop, hlo_number(h, BT_DTYPE_I32, (double)L), carry, 1 + HLO_N_LAYER_VARS);
    const hlo_value last = hlo_number(h, BT_DTYPE_I32, (double)(L - 1));
    const hlo_layer layer = hlo_layer_at(s, hlo_sub(h, last, loop.counter), false);
    carry[0] = layer_backward(s, &layer, loop.carry[0], keep, &g);
    place_gradients(s, layer.number, &g, loop.carry + 1, carry + 1);
    hlo_loop_end(h, &loop, carry);
    memcpy(carry, loop.carry, (1 + HLO_N_LAYER_VARS) * sizeof carry[0]);
}

void hlo_encoder_backward(hlo_step *s, hlo_value d_out, const hlo_encoder_keep *keep) {
    hlo *const      h = &s->h;
    hlo_value       carry[1 + HLO_N_LAYER_VARS] = {d_out};
    layer_gradients g = {0};
    for (int i = 0; i < HLO_N_LAYER_VARS; i++) {
        carry[1 + i] = hlo_fill(h, s->vars[HLO_FIRST_LAYER_VAR + i].value, 0);
    }
    if (s->first_only) {
        const hlo_value number = hlo_number(h, BT_DTYPE_I32, (double)(s->L - 1));
        const hlo_layer last = hlo_layer_at(s, number, true);
        carry[0] = layer_backward(s, &last, d_out, keep, &g);
        place_gradients(s, number, &g, carry + 1, carry + 1);
    }
    const int64_t n_looped = s->first_only ? s->L - 1 : s->L;
    if (n_looped > 0) {
        loop_backward(s, n_looped, carry, keep);
    }
    for (int i = 0; i < HLO_N_LAYER_VARS; i++) {
        s->vars[HLO_FIRST_LAYER_VAR + i].gradient = carry[1 + i];
    }
    embedding_backward(s, carry[0], keep);
}
