/* SPDX-License-Identifier: Apache-2.0
 *
 * Area under the precision-recall curve as Keras computes it: 200 thresholds, interpolated between
 * them in true positives (Davis and Goadrich, ICML 2006). Keras works in float32 on counts; here
 * the counts are exact and the arithmetic double. */
#include <math.h>

#include "bt/base/alloc.h"
#include "metrics_internal.h"

enum { AUC_THRESHOLDS = 200 };

/* Examples by the bucket of their probability of class 1. */
typedef struct auc_buckets {
    int64_t n;
    int64_t positive[AUC_THRESHOLDS];
    int64_t negative[AUC_THRESHOLDS];
} auc_buckets;

static bt_status create_buckets(const bt_metrics_config *config, void **state, bt_error *err) {
    (void)config;
    *state = bt_calloc_array(1, sizeof(auc_buckets));
    return *state != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for metric auc");
}

static void reset_buckets(void *state) {
    *(auc_buckets *)state = (auc_buckets){0};
}

/* Softmax probability of the second of two logits, in float32 as TensorFlow's. */
static float probability_of_second(const float *logits) {
    const float largest = fmaxf(logits[0], logits[1]);
    const float first = expf(logits[0] - largest);
    const float second = expf(logits[1] - largest);
    return second / (first + second);
}

/* Keras: a prediction counts as positive below its bucket; the thresholds are i/199. */
static int bucket_of(float probability) {
    const float place = ceilf(probability * (float)(AUC_THRESHOLDS - 1)) - 1.0F;
    return place > 0.0F ? (int)fminf(place, (float)(AUC_THRESHOLDS - 1)) : 0;
}

static bt_status update_buckets(void *state, const bt_batch *batch, const float *logits,
                                bt_error *err) {
    auc_buckets *const b = state;
    for (int64_t i = 0; i < batch->n_seqs; i++) {
        const int bucket = bucket_of(probability_of_second(logits + 2 * i));
        BT_TRY(metric_check_label(batch->int_labels[i], 2, b->n, err));
        if (batch->int_labels[i] == 1) {
            b->positive[bucket]++;
        } else {
            b->negative[bucket]++;
        }
        b->n++;
    }
    return BT_OK;
}

static bt_status save_buckets(const void *state, bt_str *bytes, bt_error *err) {
    const auc_buckets *const b = state;
    BT_TRY(metric_put_counts(bytes, &b->n, 1, err));
    BT_TRY(metric_put_counts(bytes, b->positive, AUC_THRESHOLDS, err));
    return metric_put_counts(bytes, b->negative, AUC_THRESHOLDS, err);
}

static bt_status load_buckets(void *state, bt_reader *bytes, bt_error *err) {
    auc_buckets *const b = state;
    BT_TRY(metric_get_counts(bytes, &b->n, 1, err));
    BT_TRY(metric_get_counts(bytes, b->positive, AUC_THRESHOLDS, err));
    return metric_get_counts(bytes, b->negative, AUC_THRESHOLDS, err);
}

const metric_part metric_part_auc = {
    .wants_labels = "class",
    .create = create_buckets,
    .destroy = bt_free,
    .reset = reset_buckets,
    .update = update_buckets,
    .save = save_buckets,
    .load = load_buckets,
};

static double divide_no_nan(double a, double b) {
    return b == 0.0 ? 0.0 : a / b;
}

double metric_auc(const bt_metrics *metrics) {
    const auc_buckets *const b = metrics->states[PART_AUC];
    double                   n_positive = 0.0;
    for (int i = 0; i < AUC_THRESHOLDS; i++) {
        n_positive += (double)b->positive[i];
    }
    double area = 0.0;
    double true_above = (double)b->positive[AUC_THRESHOLDS - 1]; /* at the higher threshold */
    double all_above = true_above + (double)b->negative[AUC_THRESHOLDS - 1];
    for (int i = AUC_THRESHOLDS - 2; i >= 0; i--) {
        const double d_true = (double)b->positive[i];
        const double d_all = d_true + (double)b->negative[i];
        const double slope = divide_no_nan(d_true, d_all);
        const double intercept = true_above - slope * all_above;
        const double all_below = all_above + d_all;
        const double ratio = all_below > 0.0 && all_above > 0.0 ? all_below / all_above : 1.0;
        area += divide_no_nan(slope * (d_true + intercept * log(ratio)), n_positive);
        true_above += d_true;
        all_above = all_below;
    }
    return area;
}
