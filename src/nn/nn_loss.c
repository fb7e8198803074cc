/* SPDX-License-Identifier: Apache-2.0
 *
 * Losses (spec/numerics.md section 2): a few numbers a sequence, so plain C in double. A logit that
 * is not finite gives a loss that is not finite. */
#include <math.h>

#include "bt/nn.h"

/* Cross entropy of n logits `stride` apart against `label`; d_logits = weight * (softmax - onehot),
 * or += when `add`. */
static double cross_entropy(float *d_logits, const float *logits, int64_t n, int64_t stride,
                            int64_t label, double weight, bool add) {
    double largest = -INFINITY;
    for (int64_t c = 0; c < n; c++) {
        largest = fmax(largest, (double)logits[c * stride]);
    }
    double sum = 0;
    for (int64_t c = 0; c < n; c++) {
        sum += exp((double)logits[c * stride] - largest);
    }
    for (int64_t c = 0; d_logits != NULL && c < n; c++) {
        const double p = exp((double)logits[c * stride] - largest) / sum;
        const double d = weight * (c == label ? p - 1 : p);
        d_logits[c * stride] = (float)(add ? (double)d_logits[c * stride] + d : d);
    }
    return log(sum) + largest - (double)logits[label * stride];
}

double bt_nn_softmax_loss(float *d_logits, const float *logits, const int32_t *labels, int64_t B,
                          int64_t C) {
    double total = 0;
    for (int64_t b = 0; b < B; b++) {
        total += cross_entropy(d_logits == NULL ? NULL : d_logits + b * C, logits + b * C, C, 1,
                               labels[b], 1 / (double)B, false);
    }
    return B > 0 ? total / (double)B : 0;
}

double bt_nn_token_loss(float *d_logits, const float *logits, const int32_t *labels, int64_t T,
                        int64_t C) {
    int64_t n_labelled = 0;
    for (int64_t t = 0; t < T; t++) {
        n_labelled += labels[t] >= 0;
    }
    double total = 0;
    for (int64_t t = 0; t < T; t++) {
        float *const d = d_logits == NULL ? NULL : d_logits + t * C;
        if (labels[t] >= 0) {
            total +=
                cross_entropy(d, logits + t * C, C, 1, labels[t], 1 / (double)n_labelled, false);
            continue;
        }
        for (int64_t c = 0; d != NULL && c < C; c++) {
            d[c] = 0;
        }
    }
    return n_labelled > 0 ? total / (double)n_labelled : 0;
}

double bt_nn_span_loss(float *d_logits, const float *logits, const int32_t *labels,
                       const int64_t *offsets, int64_t B) {
    double total = 0;
    for (int64_t side = 0; side < 2; side++) {
        for (int64_t b = 0; b < B; b++) {
            const int64_t at = offsets[b] * 2 + side;
            total += cross_entropy(d_logits == NULL ? NULL : d_logits + at, logits + at,
                                   offsets[b + 1] - offsets[b], 2, labels[side * B + b],
                                   0.5 / (double)B, false);
        }
    }
    return B > 0 ? total / (double)B / 2 : 0;
}

double bt_nn_mse_loss(float *d_logits, const float *logits, const float *labels, int64_t B) {
    double total = 0;
    for (int64_t b = 0; b < B; b++) {
        const double d = (double)logits[b] - (double)labels[b];
        total += d * d;
        if (d_logits != NULL) {
            d_logits[b] = (float)(2 * d / (double)B);
        }
    }
    return B > 0 ? total / (double)B : 0;
}

double bt_nn_mse_all_pairs_loss(float *d_logits, const float *logits, const float *labels,
                                int64_t B) {
    double mean_label = 0;
    for (int64_t b = 0; b < B; b++) {
        mean_label += (double)labels[b] / (double)B;
    }
    double total = 0;
    for (int64_t i = 0; i < B; i++) {
        for (int64_t j = 0; j < B; j++) {
            const double d = (double)logits[i] - (double)labels[j];
            total += d * d;
        }
        if (d_logits != NULL) {
            d_logits[i] = (float)(2 * ((double)logits[i] - mean_label) / (double)B);
        }
    }
    return B > 0 ? total / (double)B / (double)B : 0;
}

double bt_nn_ranking_loss(float *d_scores, const float *scores, int64_t B, bool both_ways) {
    double total = 0;
    for (int64_t side = 0; side < (both_ways ? 2 : 1); side++) {
        const int64_t stride = side == 0 ? 1 : B; /* along a row, then down a column */
        const int64_t next = side == 0 ? B : 1;
        for (int64_t i = 0; i < B; i++) {
            total += cross_entropy(d_scores == NULL ? NULL : d_scores + i * next, scores + i * next,
                                   B, stride, i, 1 / (double)B, side > 0);
        }
    }
    return B > 0 ? total / (double)B : 0;
}
