/* SPDX-License-Identifier: Apache-2.0
 *
 * What layers are made of: dense products in the compute dtype, layer normalisation in float32,
 * activations (kern_ref.c has the same formulas). */
#include "hlo_internal.h"

hlo_value hlo_f32(hlo_step *s, hlo_value x) {
    return hlo_convert(&s->h, x, BT_DTYPE_F32);
}

hlo_value hlo_kept(hlo_step *s, hlo_value x) {
    return hlo_convert(&s->h, x, s->ct);
}

hlo_value hlo_product(hlo_step *s, const char *letters, hlo_value a, hlo_value b) {
    return hlo_f32(s, hlo_einsum(&s->h, letters, hlo_kept(s, a), hlo_kept(s, b), s->ct));
}

/* Model Garden's float16 gradients of biases are infinite beyond its range: that makes the same
 * updates overflow. */
hlo_value hlo_bias_gradient(hlo_step *s, hlo_value d) {
    const hlo_value sum = hlo_reduce(&s->h, "add", d, 1);
    return s->ct == BT_DTYPE_F16 ? hlo_f32(s, hlo_kept(s, sum)) : sum;
}

hlo_value hlo_plus_bias(hlo_step *s, hlo_value x, hlo_value bias) {
    return hlo_add(&s->h, x, hlo_spread(&s->h, bias, x, 1));
}

/* Layer normalisation: x [N,H]. */

/* mean over the columns, spread over them again */
static hlo_value column_mean(hlo *h, hlo_value x) {
    const hlo_value mean = hlo_scaled(h, hlo_reduce(h, "add", x, 2), 1 / (double)x.dim[1]);
    return hlo_spread(h, mean, x, 0);
}

/* (x - mean) and 1 / deviation, both [N,H] */
static hlo_value centered(hlo_step *s, hlo_value x, hlo_value *inverse) {
    hlo *const      h = &s->h;
    const hlo_value from_mean = hlo_sub(h, x, column_mean(h, x));
    const hlo_value variance = hlo_scaled(
        h, hlo_reduce(h, "add", hlo_mul(h, from_mean, from_mean), 2), 1 / (double)x.dim[1]);
    const hlo_value root =
        hlo_unary(h, "rsqrt", hlo_plus(h, variance, (double)s->model->encoder.norm_eps));
    *inverse = hlo_spread(h, root, x, 0);
    return from_mean;
}

hlo_value hlo_norm_forward(hlo_step *s, hlo_value in, hlo_norm norm) {
    hlo *const      h = &s->h;
    hlo_value       inverse;
    const hlo_value x = hlo_f32(s, in);
    const hlo_value from_mean = centered(s, x, &inverse);
    const hlo_value scale = hlo_mul(h, inverse, hlo_spread(h, norm.gamma, x, 1));
    return hlo_plus_bias(s, hlo_mul(h, from_mean, scale), norm.beta);
}

hlo_norm_gradient hlo_norm_backward(hlo_step *s, hlo_value d_out, hlo_value in, hlo_norm norm) {
    hlo *const      h = &s->h;
    hlo_value       inverse;
    const hlo_value from_mean = centered(s, hlo_f32(s, in), &inverse);
    const hlo_value unit = hlo_mul(h, from_mean, inverse);
    const hlo_value d_unit = hlo_mul(h, d_out, hlo_spread(h, norm.gamma, d_out, 1));
    const hlo_value along = hlo_mul(h, unit, column_mean(h, hlo_mul(h, d_unit, unit)));
    const hlo_value rest = hlo_sub(h, hlo_sub(h, d_unit, column_mean(h, d_unit)), along);
    return (hlo_norm_gradient){.d_in = hlo_mul(h, inverse, rest),
                               .d_gamma = hlo_reduce(h, "add", hlo_mul(h, d_out, unit), 1),
                               .d_beta = hlo_reduce(h, "add", d_out, 1)};
}

/* Activations: float32. */

static const double gelu_2c = 2 * 0.7978845608028654;
static const double gelu_k = 0.044715;
static const double sqrt_half = 0.70710678118654752;
static const double inv_sqrt_2pi = 0.39894228040143268;

static hlo_value sigmoid(hlo *h, hlo_value x) {
    return hlo_unary(h, "logistic", x);
}

/* log(1 + e^x) without overflow */
static hlo_value softplus(hlo *h, hlo_value x) {
    const hlo_value e = hlo_unary(h, "exponential", hlo_unary(h, "negate", hlo_unary(h, "abs", x)));
    return hlo_add(h, hlo_max(h, x, hlo_number(h, x.dtype, 0)), hlo_unary(h, "log_plus_one", e));
}

/* The sum of c[i] x^(n-1-i). */
static hlo_value polynomial(hlo *h, hlo_value x, const double *c, int n) {
    hlo_value sum = hlo_fill(h, x, c[0]);
    for (int i = 1; i < n; i++) {
        sum = hlo_plus(h, hlo_mul(h, sum, x), c[i]);
    }
    return sum;
}

/* A rational function good to float32's last digits (Eigen's); beyond 4 it is +-1. */
static hlo_value erf_of(hlo *h, hlo_value in) {
    static const double above[] = {
        -2.72614225801306e-10, 2.77068142495902e-08,  -2.10102402082508e-06, -5.69250639462346e-05,
        -7.34990630326855e-04, -2.95459980854025e-03, -1.60960333262415e-02};
    static const double below[] = {-1.45660718464996e-05, -2.13374055278905e-04,
                                   -1.68282697438203e-03, -7.37332916720468e-03,
                                   -1.42647390514189e-02};
    const hlo_value     x =
        hlo_max(h, hlo_min(h, in, hlo_number(h, in.dtype, 4)), hlo_number(h, in.dtype, -4));
    const hlo_value x2 = hlo_mul(h, x, x);
    return hlo_div(h, hlo_mul(h, x, polynomial(h, x2, above, BT_ARRAY_LEN(above))),
                   polynomial(h, x2, below, BT_ARRAY_LEN(below)));
}

/* the distribution function of the normal distribution */
static hlo_value normal_share(hlo *h, hlo_value x) {
    return hlo_plus(h, hlo_scaled(h, erf_of(h, hlo_scaled(h, x, sqrt_half)), 0.5), 0.5);
}

/* gelu's tanh form as x sigmoid(z) */
static hlo_value gelu_z(hlo *h, hlo_value x) {
    const hlo_value x2 = hlo_mul(h, x, x);
    return hlo_mul(h, x, hlo_plus(h, hlo_scaled(h, x2, gelu_2c * gelu_k), gelu_2c));
}

hlo_value hlo_act_forward(hlo_step *s, bt_activation act, hlo_value x) {
    hlo *const h = &s->h;
    switch (act) {
    case BT_ACT_GELU:
        return hlo_mul(h, x, sigmoid(h, gelu_z(h, x)));
    case BT_ACT_GELU_ERF:
        return hlo_mul(h, x, normal_share(h, x));
    case BT_ACT_RELU:
        return hlo_max(h, x, hlo_number(h, x.dtype, 0));
    case BT_ACT_RELU6:
        return hlo_clamped(h, x, 0, 6);
    case BT_ACT_TANH:
        return hlo_unary(h, "tanh", x);
    case BT_ACT_SWISH:
        return hlo_mul(h, x, sigmoid(h, x));
    case BT_ACT_HARD_SWISH:
        return hlo_mul(h, x, hlo_scaled(h, hlo_clamped(h, hlo_plus(h, x, 3), 0, 6), 1.0 / 6));
    case BT_ACT_MISH:
        return hlo_mul(h, x, hlo_unary(h, "tanh", softplus(h, x)));
    case BT_ACT_SIGMOID:
        return sigmoid(h, x);
    case BT_ACT_IDENTITY:
        return x;
    }
    return x;
}

/* 1 - y^2 */
static hlo_value one_minus_square(hlo *h, hlo_value y) {
    return hlo_sub(h, hlo_fill(h, y, 1), hlo_mul(h, y, y));
}

/* sigmoid(x) sigmoid(-x) */
static hlo_value sigmoid_slope(hlo *h, hlo_value x) {
    return hlo_mul(h, sigmoid(h, x), sigmoid(h, hlo_unary(h, "negate", x)));
}

static hlo_value gelu_slope(hlo *h, hlo_value x) {
    const hlo_value z = gelu_z(h, x);
    const hlo_value z_slope =
        hlo_plus(h, hlo_scaled(h, hlo_mul(h, x, x), 3 * gelu_2c * gelu_k), gelu_2c);
    return hlo_add(h, sigmoid(h, z), hlo_mul(h, hlo_mul(h, x, sigmoid_slope(h, z)), z_slope));
}

static hlo_value gelu_erf_slope(hlo *h, hlo_value x) {
    const hlo_value density = hlo_scaled(
        h, hlo_unary(h, "exponential", hlo_scaled(h, hlo_mul(h, x, x), -0.5)), inv_sqrt_2pi);
    return hlo_add(h, normal_share(h, x), hlo_mul(h, x, density));
}

static hlo_value hard_swish_slope(hlo *h, hlo_value x) {
    const hlo_value slope = hlo_plus(h, hlo_scaled(h, x, 1.0 / 3), 0.5);
    const hlo_value above = hlo_compare(h, "GE", x, hlo_number(h, x.dtype, 3));
    const hlo_value below = hlo_compare(h, "LE", x, hlo_number(h, x.dtype, -3));
    return hlo_select(h, below, hlo_fill(h, x, 0), hlo_select(h, above, hlo_fill(h, x, 1), slope));
}

static hlo_value mish_slope(hlo *h, hlo_value x) {
    const hlo_value t = hlo_unary(h, "tanh", softplus(h, x));
    return hlo_add(h, t, hlo_mul(h, x, hlo_mul(h, one_minus_square(h, t), sigmoid(h, x))));
}

static hlo_value slope_of(hlo *h, bt_activation act, hlo_value x) {
    const hlo_value zero = hlo_number(h, x.dtype, 0);
    switch (act) {
    case BT_ACT_GELU:
        return gelu_slope(h, x);
    case BT_ACT_GELU_ERF:
        return gelu_erf_slope(h, x);
    case BT_ACT_RELU:
        return hlo_convert(h, hlo_compare(h, "GT", x, zero), x.dtype);
    case BT_ACT_RELU6:
        return hlo_convert(h,
                           hlo_binary(h, "and", hlo_compare(h, "GT", x, zero),
                                      hlo_compare(h, "LT", x, hlo_number(h, x.dtype, 6))),
                           x.dtype);
    case BT_ACT_TANH:
        return one_minus_square(h, hlo_unary(h, "tanh", x));
    case BT_ACT_SWISH:
        return hlo_add(h, sigmoid(h, x), hlo_mul(h, x, sigmoid_slope(h, x)));
    case BT_ACT_HARD_SWISH:
        return hard_swish_slope(h, x);
    case BT_ACT_MISH:
        return mish_slope(h, x);
    case BT_ACT_SIGMOID:
        return sigmoid_slope(h, x);
    case BT_ACT_IDENTITY:
        return hlo_fill(h, x, 1);
    }
    return x;
}

hlo_value hlo_act_backward(hlo_step *s, bt_activation act, hlo_value d_out, hlo_value x) {
    return act == BT_ACT_IDENTITY ? d_out : hlo_mul(&s->h, d_out, slope_of(&s->h, act, x));
}
