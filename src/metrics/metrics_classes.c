/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts that count labels and predictions, of sentences and of tokens: accuracy, F1 of class 1,
 * Matthews correlation. Only the margins of the confusion matrix and its diagonal are needed. */
#include <math.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "metrics_internal.h"

typedef struct class_counts {
    int64_t  n_classes;
    int64_t  n; /* examples */
    int64_t  n_correct;
    int64_t  n_true_positive; /* predicted 1, label 1 */
    int64_t *predicted;       /* [n_classes] owned */
    int64_t *labelled;        /* [n_classes] owned */
} class_counts;

static void free_counts(void *state) {
    class_counts *const c = state;
    if (c != NULL) {
        bt_free(c->predicted);
        bt_free(c->labelled);
        bt_free(c);
    }
}

static bt_status create_counts(const bt_metrics_config *config, void **state, bt_error *err) {
    const size_t        n = (size_t)config->n_classes;
    class_counts *const c = bt_calloc_array(1, sizeof *c);
    if (c != NULL) {
        c->n_classes = config->n_classes;
        c->predicted = bt_calloc_array(n, sizeof *c->predicted);
        c->labelled = bt_calloc_array(n, sizeof *c->labelled);
    }
    if (c == NULL || c->predicted == NULL || c->labelled == NULL) {
        free_counts(c);
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for counts of %zu classes", n);
    }
    *state = c;
    return BT_OK;
}

static void reset_counts(void *state) {
    class_counts *const c = state;
    const size_t        n_bytes = (size_t)c->n_classes * sizeof(int64_t);
    c->n = 0;
    c->n_correct = 0;
    c->n_true_positive = 0;
    memset(c->predicted, 0, n_bytes);
    memset(c->labelled, 0, n_bytes);
}

static bt_status count_one(class_counts *c, const float *logits, int32_t label, bt_error *err) {
    BT_TRY(metric_check_label(label, c->n_classes, c->n, err));
    const int64_t prediction = metric_argmax(logits, c->n_classes);
    c->predicted[prediction]++;
    c->labelled[label]++;
    c->n_correct += prediction == label ? 1 : 0;
    c->n_true_positive += prediction == 1 && label == 1 ? 1 : 0;
    c->n++;
    return BT_OK;
}

static bt_status update_sentences(void *state, const bt_batch *batch, const float *logits,
                                  bt_error *err) {
    class_counts *const c = state;
    for (int64_t i = 0; i < batch->n_seqs; i++) {
        BT_TRY(count_one(c, logits + i * c->n_classes, batch->int_labels[i], err));
    }
    return BT_OK;
}

/* A label below 0 marks padding and what is not the first piece of a word. */
static bt_status update_tokens(void *state, const bt_batch *batch, const float *logits,
                               bt_error *err) {
    class_counts *const c = state;
    for (int64_t t = 0; t < batch->n_tokens; t++) {
        if (batch->int_labels[t] >= 0) {
            BT_TRY(count_one(c, logits + t * c->n_classes, batch->int_labels[t], err));
        }
    }
    return BT_OK;
}

static bt_status save_counts(const void *state, bt_str *bytes, bt_error *err) {
    const class_counts *const c = state;
    const int64_t             head[] = {c->n, c->n_correct, c->n_true_positive};
    BT_TRY(metric_put_counts(bytes, head, (int64_t)BT_ARRAY_LEN(head), err));
    BT_TRY(metric_put_counts(bytes, c->predicted, c->n_classes, err));
    return metric_put_counts(bytes, c->labelled, c->n_classes, err);
}

static bt_status load_counts(void *state, bt_reader *bytes, bt_error *err) {
    class_counts *const c = state;
    int64_t             head[3] = {0};
    BT_TRY(metric_get_counts(bytes, head, (int64_t)BT_ARRAY_LEN(head), err));
    c->n = head[0];
    c->n_correct = head[1];
    c->n_true_positive = head[2];
    BT_TRY(metric_get_counts(bytes, c->predicted, c->n_classes, err));
    return metric_get_counts(bytes, c->labelled, c->n_classes, err);
}

const metric_part metric_part_classes = {
    .wants_labels = "class",
    .create = create_counts,
    .destroy = free_counts,
    .reset = reset_counts,
    .update = update_sentences,
    .save = save_counts,
    .load = load_counts,
};

const metric_part metric_part_tokens = {
    .wants_labels = "class",
    .create = create_counts,
    .destroy = free_counts,
    .reset = reset_counts,
    .update = update_tokens,
    .save = save_counts,
    .load = load_counts,
};

void metric_classes_take(void *state, const class_table *table) {
    class_counts *const c = state;
    const size_t        n_bytes = (size_t)c->n_classes * sizeof(int64_t);
    c->n = table->n;
    c->n_true_positive = c->n_classes > 1 ? table->correct[1] : 0;
    c->n_correct = 0;
    for (int64_t i = 0; i < c->n_classes; i++) {
        c->n_correct += table->correct[i];
    }
    memcpy(c->predicted, table->predicted, n_bytes);
    memcpy(c->labelled, table->labelled, n_bytes);
}

const int64_t *metric_classes_predicted(const void *state, int64_t *n) {
    const class_counts *const c = state;
    *n = c->n;
    return c->predicted;
}

static double ratio_or_zero(double a, double b) {
    return b > 0.0 ? a / b : 0.0;
}

double metric_accuracy(const bt_metrics *metrics) {
    const class_counts *const c = metrics->states[PART_CLASSES];
    return ratio_or_zero((double)c->n_correct, (double)c->n);
}

double metric_token_accuracy(const bt_metrics *metrics) {
    const class_counts *const c = metrics->states[PART_TOKENS];
    return ratio_or_zero((double)c->n_correct, (double)c->n);
}

/* Of class 1; 0 when it is neither predicted nor there, as scikit-learn. */
double metric_f1(const bt_metrics *metrics) {
    const class_counts *const c = metrics->states[PART_CLASSES];
    return ratio_or_zero(2.0 * (double)c->n_true_positive,
                         (double)c->predicted[1] + (double)c->labelled[1]);
}

/* The multi-class form of scikit-learn, which needs only the margins of the confusion matrix. */
double metric_matthews(const bt_metrics *metrics) {
    const class_counts *const c = metrics->states[PART_CLASSES];
    const double              n = (double)c->n;
    double                    cross = (double)c->n_correct * n;
    double                    predicted = n * n;
    double                    labelled = n * n;
    for (int64_t i = 0; i < c->n_classes; i++) {
        const double p = (double)c->predicted[i];
        const double l = (double)c->labelled[i];
        cross -= p * l;
        predicted -= p * p;
        labelled -= l * l;
    }
    const double product = predicted * labelled;
    return product > 0.0 ? cross / sqrt(product) : 0.0;
}
