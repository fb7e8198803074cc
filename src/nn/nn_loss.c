/* SPDX-License-Identifier: Apache-2.0
 *
 * Losses (docs/model_garden/numerics.md section 2): a few numbers a sequence, so plain C in double.
 * A logit that is not finite gives a loss that is not finite. */
#include <math.h>

#include "bt/nn.h"

/* Cross entropy of n logits `stride` apart against (1 - smoothing) at `label` and smoothing / n
 * everywhere; d_logits = weight * (softmax - target), or += when `add`. */
static double cross_entropy(float *d_logits, const float *logits, int64_t n, int64_t stride,
                            int64_t label, double smoothing, double weight, bool add) {
    double largest = -INFINITY;
    double logits_sum = 0;
    for (int64_t c = 0; c < n; c++) {
        largest = fmax(largest, (double)logits[c * stride]);
        logits_sum += (double)logits[c * stride];
    }
    double sum = 0;
    for (int64_t c = 0; c < n; c++) {
        sum += exp((double)logits[c * stride] - largest);
    }
    const double everywhere = smoothing / (double)n;
    for (int64_t c = 0; d_logits != NULL && c < n; c++) {
        const double p = exp((double)logits[c * stride] - largest) / sum;
        const double target = c == label ? 1 - smoothing + everywhere : everywhere;
        const double d = weight * (p - target);
        d_logits[c * stride] = (float)(add ? (double)d_logits[c * stride] + d : d);
    }
    return log(sum) + largest - (1 - smoothing) * (double)logits[label * stride] -
           everywhere * logits_sum;
}

static double row_weight(const bt_nn_class_rule *rule, int32_t label, int64_t r) {
    if (label < 0) {
        return 0;
    }
    const double row = rule != NULL && rule->rows != NULL ? (double)rule->rows[r] : 1;
    return rule != NULL && rule->weights != NULL ? row * rule->weights[label] : row;
}

double bt_nn_class_weight(const int32_t *labels, const bt_nn_class_rule *rule, int64_t R) {
    double sum = 0;
    for (int64_t r = 0; r < R; r++) {
        sum += row_weight(rule, labels[r], r);
    }
    return sum;
}

double bt_nn_class_loss(float *d_logits, const float *logits, const int32_t *labels,
                        const bt_nn_class_rule *rule, int64_t R, int64_t C) {
    const double smoothing = rule != NULL ? rule->smoothing : 0;
    const double all =
        rule != NULL && rule->all > 0 ? rule->all : bt_nn_class_weight(labels, rule, R);
    double total = 0;
    for (int64_t r = 0; r < R; r++) {
        const double weight = row_weight(rule, labels[r], r);
        float *const d = d_logits == NULL ? NULL : d_logits + r * C;
        if (weight > 0) {
            total += weight * cross_entropy(d, logits + r * C, C, 1, labels[r], smoothing,
                                            weight / all, false);
            continue;
        }
        for (int64_t c = 0; d != NULL && c < C; c++) {
            d[c] = 0;
        }
    }
    return all > 0 ? total / all : 0;
}

double bt_nn_span_loss(float *d_logits, const float *logits, const int32_t *starts,
                       const int32_t *ends, const int64_t *offsets, int64_t B, int64_t B_all) {
    double total = 0;
    for (int64_t side = 0; side < 2; side++) {
        const int32_t *const labels = side == 0 ? starts : ends;
        for (int64_t b = 0; b < B; b++) {
            const int64_t at = offsets[b] * 2 + side;
            total += cross_entropy(d_logits == NULL ? NULL : d_logits + at, logits + at,
                                   offsets[b + 1] - offsets[b], 2, labels[b], 0,
                                   0.5 / (double)B_all, false);
        }
    }
    return B_all > 0 ? total / (double)B_all / 2 : 0;
}

double bt_nn_rows_weight(const float *rows, int64_t B) {
    double sum = 0;
    for (int64_t b = 0; rows != NULL && b < B; b++) {
        sum += (double)rows[b];
    }
    return rows != NULL ? sum : (double)B;
}

static double weight_of(const bt_nn_row_rule *rule, int64_t b) {
    return rule->rows != NULL ? (double)rule->rows[b] : 1;
}

double bt_nn_mse_loss(float *d_logits, const float *logits, const float *labels, int64_t B,
                      const bt_nn_row_rule *rule) {
    double total = 0;
    for (int64_t b = 0; b < B; b++) {
        const double d = (double)logits[b] - (double)labels[b];
        const double weight = weight_of(rule, b);
        total += weight * d * d;
        if (d_logits != NULL) {
            d_logits[b] = rule->all > 0 ? (float)(weight * 2 * d / rule->all) : 0;
        }
    }
    return rule->all > 0 ? total / rule->all : 0;
}

double bt_nn_sigmoid_loss(float *d_logits, const float *logits, const float *targets, int64_t B,
                          int64_t C, const bt_nn_row_rule *rule) {
    const double n = rule->all * (double)C;
    double       total = 0;
    for (int64_t i = 0; i < B * C; i++) {
        const double x = (double)logits[i];
        const double y = (double)targets[i];
        const double e = exp(-fabs(x)); /* never overflows */
        const double weight = weight_of(rule, i / C);
        total += weight * (fmax(x, 0) - x * y + log1p(e));
        if (d_logits != NULL) {
            d_logits[i] = n > 0 ? (float)(weight * ((x >= 0 ? 1 : e) / (1 + e) - y) / n) : 0;
        }
    }
    return n > 0 ? total / n : 0;
}

double bt_nn_mse_all_pairs_loss(float *d_logits, const float *logits, const float *all_labels,
                                int64_t B, int64_t B_all) {
    double mean_label = 0;
    for (int64_t b = 0; b < B_all; b++) {
        mean_label += (double)all_labels[b] / (double)B_all;
    }
    double total = 0;
    for (int64_t i = 0; i < B; i++) {
        for (int64_t j = 0; j < B_all; j++) {
            const double d = (double)logits[i] - (double)all_labels[j];
            total += d * d;
        }
        if (d_logits != NULL) {
            d_logits[i] = (float)(2 * ((double)logits[i] - mean_label) / (double)B_all);
        }
    }
    return B_all > 0 ? total / (double)B_all / (double)B_all : 0;
}

double bt_nn_ranking_loss(float *d_scores, const float *scores, int64_t B, bool both_ways) {
    double total = 0;
    for (int64_t side = 0; side < (both_ways ? 2 : 1); side++) {
        const int64_t stride = side == 0 ? 1 : B; /* along a row, then down a column */
        const int64_t next = side == 0 ? B : 1;
        for (int64_t i = 0; i < B; i++) {
            total += cross_entropy(d_scores == NULL ? NULL : d_scores + i * next, scores + i * next,
                                   B, stride, i, 0, 1 / (double)B, side > 0);
        }
    }
    return B > 0 ? total / (double)B : 0;
}
