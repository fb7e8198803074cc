/* SPDX-License-Identifier: Apache-2.0
 *
 * Prototypes of the portable kernels, for a number type `real` chosen by the includer:
 * BT_KERN_REF_F64 gives the double twins (bt_kern_gelu_f64__ref), which the tests use as their
 * yardstick, else float (bt_kern_gelu_f32__ref). No include guard on purpose: a test includes it
 * once for each type. Meanings: bt/kern.h. */
#include "bt/kern.h"

#undef REAL
#undef REF
#ifdef BT_KERN_REF_F64
#define REAL double
#define REF(name) bt_kern_##name##_f64__ref
#else
#define REAL float
#define REF(name) bt_kern_##name##_f32__ref
#endif

void   REF(add)(REAL *out, const REAL *a, const REAL *b, int64_t n);
void   REF(add3)(REAL *out, const REAL *a, const REAL *b, const REAL *c, int64_t n);
void   REF(mul)(REAL *out, const REAL *a, const REAL *b, int64_t n);
void   REF(scale)(REAL *x, REAL alpha, int64_t n);
void   REF(axpy)(REAL *y, const REAL *x, REAL alpha, int64_t n);
double REF(sum_sq)(const REAL *x, int64_t n);
void REF(dropout_mask)(REAL *mult, int64_t n, bt_rng_key key, uint64_t first_block, uint32_t limit,
                       REAL scale);

void REF(gelu)(REAL *out, const REAL *in, int64_t n);
void REF(gelu_erf)(REAL *out, const REAL *in, int64_t n);
void REF(relu)(REAL *out, const REAL *in, int64_t n);
void REF(relu6)(REAL *out, const REAL *in, int64_t n);
void REF(tanh)(REAL *out, const REAL *in, int64_t n);
void REF(swish)(REAL *out, const REAL *in, int64_t n);
void REF(hard_swish)(REAL *out, const REAL *in, int64_t n);
void REF(mish)(REAL *out, const REAL *in, int64_t n);
void REF(sigmoid)(REAL *out, const REAL *in, int64_t n);
void REF(identity)(REAL *out, const REAL *in, int64_t n);
void REF(gelu_backward)(REAL *d_in, const REAL *d_out, const REAL *in, int64_t n);
void REF(gelu_erf_backward)(REAL *d_in, const REAL *d_out, const REAL *in, int64_t n);
void REF(gelu_slope)(REAL *out, REAL *slope, const REAL *in, int64_t n);
void REF(gelu_erf_slope)(REAL *out, REAL *slope, const REAL *in, int64_t n);
void REF(relu_backward)(REAL *d_in, const REAL *d_out, const REAL *in, int64_t n);
void REF(relu6_backward)(REAL *d_in, const REAL *d_out, const REAL *in, int64_t n);
void REF(tanh_backward)(REAL *d_in, const REAL *d_out, const REAL *in, int64_t n);
void REF(swish_backward)(REAL *d_in, const REAL *d_out, const REAL *in, int64_t n);
void REF(hard_swish_backward)(REAL *d_in, const REAL *d_out, const REAL *in, int64_t n);
void REF(mish_backward)(REAL *d_in, const REAL *d_out, const REAL *in, int64_t n);
void REF(sigmoid_backward)(REAL *d_in, const REAL *d_out, const REAL *in, int64_t n);
void REF(identity_backward)(REAL *d_in, const REAL *d_out, const REAL *in, int64_t n);

void REF(bias_residual)(REAL *out, const REAL *in, const REAL *bias, const REAL *mult,
                        const REAL *residual, int64_t n);
void REF(add_bias)(REAL *x, const REAL *bias, int64_t n_rows, int64_t n_cols);
void REF(column_sums)(REAL *sums, const REAL *x, int64_t n_rows, int64_t n_cols);
void REF(norm_forward)(REAL *out, REAL *mean, REAL *rstd, const REAL *in, const REAL *gain,
                       const REAL *bias, int64_t n_rows, int64_t n_cols, REAL eps);
void REF(norm_backward)(REAL *d_in, REAL *d_gain, REAL *d_bias, const REAL *d_out, const REAL *in,
                        const REAL *gain, const REAL *mean, const REAL *rstd, int64_t n_rows,
                        int64_t n_cols);
void REF(softmax_forward)(REAL *p, REAL *max, REAL *inv_sum, const REAL *s, int64_t n);
void REF(softmax_again)(REAL *p, const REAL *s, REAL max, REAL inv_sum, int64_t n);
void REF(softmax_backward)(REAL *d_s, const REAL *d_p, const REAL *p, int64_t n);
void REF(tile_product)(REAL *c, int64_t ld_c, const REAL *a, int64_t a_row, int64_t a_col,
                       const REAL *b, int64_t ld_b, int64_t M, int64_t N, int64_t K, REAL alpha,
                       bool accumulate);
void REF(transpose)(REAL *out, int64_t ld_out, const REAL *in, int64_t ld_in, int64_t n_rows,
                    int64_t n_cols);

void REF(adamw)(REAL *param, REAL *m, REAL *v, REAL *v_max, const REAL *grad, int64_t n,
                const bt_kern_adamw_args *a);
void REF(adamw_idle)(REAL *param, REAL *m, REAL *v, int64_t n, const bt_kern_adamw_args *a,
                     int64_t n_steps);
void REF(lamb)(REAL *u, REAL *m, REAL *v, const REAL *param, const REAL *grad, int64_t n,
               const bt_kern_lamb_args *a);
void REF(sgd)(REAL *param, REAL *accum, const REAL *grad, int64_t n, REAL lr, REAL momentum,
              bool nesterov, REAL grad_scale);
void REF(ema)(REAL *average, const REAL *param, int64_t n, REAL one_minus_decay);
