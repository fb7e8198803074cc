/* SPDX-License-Identifier: Apache-2.0
 *
 * How many operations the products of a program are by the model's own formulas: plug-ins count a
 * loop's body once. */
#include "hlo_internal.h"

/* One layer's forward pass: dense products, those after the attention over N tokens, and the two
 * of attention. */
static double layer_flops(const hlo_step *s, double N) {
    const double T = (double)s->T;
    const double H = (double)s->H;
    const double dense = 2 * T * 3 * H * H + 2 * N * (H * H + 2 * H * (double)s->I);
    const double attention = 2 * 2 * T * (double)s->S * H;
    return dense + attention;
}

static double layers_flops(const hlo_step *s) {
    const double T = (double)s->T;
    return (double)(s->L - 1) * layer_flops(s, T) +
           layer_flops(s, s->first_only ? (double)s->B : T);
}

static double pooler_flops(const hlo_step *s) {
    return 2 * (double)s->B * (double)s->H * (double)s->H;
}

static double head_flops(const hlo_step *s) {
    const bt_head_config *const head = &s->model->head;
    const double                H = (double)s->H;
    const double                logits = 2 * H * (double)s->C;
    switch (head->kind) {
    case BT_HEAD_POOLER_DENSE:
    case BT_HEAD_ENCODER_POOLER:
        return pooler_flops(s) + (double)s->B * logits;
    case BT_HEAD_TOKENS:
        return (double)s->T * logits;
    case BT_HEAD_POOLED_OUTPUT:
        break;
    }
    const double n_pairs = (double)s->B / 2;
    return (head->pooling == BT_POOLING_POOLER ? pooler_flops(s) : 0) +
           (head->loss == BT_LOSS_RANKING ? 2 * n_pairs * n_pairs * H : 0);
}

double hlo_product_flops(const hlo_step *s) {
    const double projection = s->E != s->H ? 2 * (double)s->T * (double)s->E * (double)s->H : 0;
    const double encoder = projection + layers_flops(s);
    switch (s->config.what) {
    case BT_HLO_TRAIN:
    case BT_HLO_GRADIENTS:
    case BT_HLO_ACCUMULATE:
        return 3 * (encoder + head_flops(s));
    case BT_HLO_EVALUATE:
        return encoder + head_flops(s);
    case BT_HLO_ENCODE:
        return encoder + pooler_flops(s);
    case BT_HLO_UPDATE:
        return 0;
    }
    return 0;
}
