/* SPDX-License-Identifier: Apache-2.0
 *
 * What a dual encoder does with its sentence vectors (docs/model_garden/numerics.md section 2):
 * unit length, and the scores of every left side with every right side of the batch. Two vectors a
 * pair against the encoder's thousands of products, so plain loops and three calls of BLAS. */
#include <math.h>

#include "nn_internal.h"

static const double smallest_sum_sq = 1e-12; /* tf.math.l2_normalize's epsilon */

static double inverse_norm(double sum_sq) {
    return 1 / sqrt(sum_sq < smallest_sum_sq ? smallest_sum_sq : sum_sq); /* NaN stays NaN */
}

void bt_nn_unit_rows_forward(bt_nn *nn, float *out, const float *in, int64_t R, int64_t H) {
    for (int64_t r = 0; r < R; r++) {
        const float *const x = in + r * H;
        const double       factor = inverse_norm(nn->kern->sum_sq(x, H));
        for (int64_t i = 0; i < H; i++) {
            out[r * H + i] = (float)((double)x[i] * factor);
        }
    }
}

void bt_nn_unit_rows_backward(bt_nn *nn, float *d_in, const float *d_out, const float *in,
                              int64_t R, int64_t H) {
    for (int64_t r = 0; r < R; r++) {
        const float *const x = in + r * H;
        const float *const d = d_out + r * H;
        const double       sum_sq = nn->kern->sum_sq(x, H);
        const double       factor = inverse_norm(sum_sq);
        double             along = 0; /* of d, in the direction of x */
        for (int64_t i = 0; i < H; i++) {
            along += (double)d[i] * (double)x[i];
        }
        /* below the epsilon the factor is a constant */
        along = sum_sq >= smallest_sum_sq ? along * factor * factor : 0;
        for (int64_t i = 0; i < H; i++) {
            d_in[r * H + i] = (float)(factor * ((double)d[i] - along * (double)x[i]));
        }
    }
}

void bt_nn_pair_scores_forward(bt_nn *nn, float *scores, const float *vectors, int64_t B, int64_t H,
                               float scale, float margin) {
    const bt_nn_product product = {.c = scores,
                                   .ld_c = B,
                                   .a = vectors,
                                   .ld_a = 2 * H,
                                   .b = vectors + H,
                                   .ld_b = 2 * H,
                                   .trans_b = BT_KERN_T,
                                   .M = B,
                                   .N = B,
                                   .K = H,
                                   .alpha = 1};
    bt_nn_product_run(nn, &product);
    for (int64_t i = 0; i < B; i++) {
        scores[i * B + i] -= margin;
    }
    nn->kern->scale(scores, scale, B * B);
}

void bt_nn_pair_scores_backward(bt_nn *nn, float *d_vectors, const float *d_scores,
                                const float *vectors, int64_t B, int64_t H, float scale) {
    bt_nn_product product = {.c = d_vectors,
                             .ld_c = 2 * H,
                             .a = d_scores,
                             .ld_a = B,
                             .b = vectors + H,
                             .ld_b = 2 * H,
                             .M = B,
                             .N = H,
                             .K = B,
                             .alpha = scale};
    bt_nn_product_run(nn, &product);
    product.c = d_vectors + H;
    product.trans_a = BT_KERN_T;
    product.b = vectors;
    bt_nn_product_run(nn, &product);
}
