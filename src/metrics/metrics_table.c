/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts that count labels against predictions, of sentences and of tokens: each class by
 * itself, and which was taken for which where the classes are not too many for such a matrix. */
#include <string.h>

#include "bt/base/alloc.h"
#include "metrics_internal.h"

static void free_table(void *state) {
    class_table *const t = state;
    if (t != NULL) {
        bt_free(t->labelled);
        bt_free(t->predicted);
        bt_free(t->correct);
        bt_free(t->cells);
        bt_free(t);
    }
}

static int64_t n_cells(const class_table *t) {
    return t->n_classes <= BT_METRIC_CONFUSION_MAX ? t->n_classes * t->n_classes : 0;
}

static bt_status create_table(const bt_metrics_config *config, void **state, bt_error *err) {
    const size_t       n = (size_t)config->n_classes;
    class_table *const t = bt_calloc_array(1, sizeof *t);
    bool               is_whole = t != NULL;
    if (t != NULL) {
        t->n_classes = config->n_classes;
        t->labelled = bt_calloc_array(n, sizeof *t->labelled);
        t->predicted = bt_calloc_array(n, sizeof *t->predicted);
        t->correct = bt_calloc_array(n, sizeof *t->correct);
        t->cells = n_cells(t) > 0 ? bt_calloc_array((size_t)n_cells(t), sizeof *t->cells) : NULL;
        is_whole = t->labelled != NULL && t->predicted != NULL && t->correct != NULL &&
                   (t->cells != NULL || n_cells(t) == 0);
    }
    if (!is_whole) {
        free_table(t);
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the confusion matrix of %zu classes", n);
    }
    *state = t;
    return BT_OK;
}

static void reset_table(void *state) {
    class_table *const t = state;
    const size_t       n_bytes = (size_t)t->n_classes * sizeof(int64_t);
    t->n = 0;
    t->gap_sq = 0;
    memset(t->labelled, 0, n_bytes);
    memset(t->predicted, 0, n_bytes);
    memset(t->correct, 0, n_bytes);
    if (t->cells != NULL) {
        memset(t->cells, 0, (size_t)n_cells(t) * sizeof *t->cells);
    }
}

void metric_table_count(class_table *t, int64_t label, int64_t prediction, int64_t weight) {
    const double gap = (double)(prediction - label);
    t->labelled[label] += weight;
    t->predicted[prediction] += weight;
    t->correct[label] += prediction == label ? weight : 0;
    t->gap_sq += gap * gap * (double)weight;
    if (t->cells != NULL) {
        t->cells[label * t->n_classes + prediction] += weight;
    }
    t->n += weight;
}

static bt_status count_one(class_table *t, const float *logits, int32_t label, bt_error *err) {
    BT_TRY(metric_check_label(label, t->n_classes, t->n, err));
    metric_table_count(t, label, metric_argmax(logits, t->n_classes), 1);
    return BT_OK;
}

static bt_status update_sentences(void *state, const bt_batch *batch, const float *logits,
                                  bt_error *err) {
    class_table *const t = state;
    for (int64_t i = 0; i < batch->n_seqs; i++) {
        BT_TRY(count_one(t, logits + i * t->n_classes, batch->int_labels[i], err));
    }
    return BT_OK;
}

static bt_status update_tokens(void *state, const bt_batch *batch, const float *logits,
                               bt_error *err) {
    class_table *const t = state;
    for (int64_t i = 0; i < batch->n_tokens; i++) {
        if (batch->int_labels[i] >= 0) {
            BT_TRY(count_one(t, logits + i * t->n_classes, batch->int_labels[i], err));
        }
    }
    return BT_OK;
}

static bt_status save_table(const void *state, bt_str *bytes, bt_error *err) {
    const class_table *const t = state;
    uint64_t                 gap = 0;
    memcpy(&gap, &t->gap_sq, sizeof gap);
    BT_TRY(metric_put_counts(bytes, &t->n, 1, err));
    BT_TRY(metric_put_words(bytes, &gap, 1, err));
    BT_TRY(metric_put_counts(bytes, t->labelled, t->n_classes, err));
    BT_TRY(metric_put_counts(bytes, t->predicted, t->n_classes, err));
    BT_TRY(metric_put_counts(bytes, t->correct, t->n_classes, err));
    return metric_put_counts(bytes, t->cells, n_cells(t), err);
}

static bt_status load_table(void *state, bt_reader *bytes, bt_error *err) {
    class_table *const t = state;
    uint64_t           gap = 0;
    BT_TRY(metric_get_counts(bytes, &t->n, 1, err));
    BT_TRY(metric_get_words(bytes, &gap, 1, err));
    memcpy(&t->gap_sq, &gap, sizeof gap);
    BT_TRY(metric_get_counts(bytes, t->labelled, t->n_classes, err));
    BT_TRY(metric_get_counts(bytes, t->predicted, t->n_classes, err));
    BT_TRY(metric_get_counts(bytes, t->correct, t->n_classes, err));
    return metric_get_counts(bytes, t->cells, n_cells(t), err);
}

const metric_part metric_part_table = {
    .wants_labels = "class",
    .create = create_table,
    .destroy = free_table,
    .reset = reset_table,
    .update = update_sentences,
    .save = save_table,
    .load = load_table,
};

const metric_part metric_part_token_table = {
    .wants_labels = "class",
    .create = create_table,
    .destroy = free_table,
    .reset = reset_table,
    .update = update_tokens,
    .save = save_table,
    .load = load_table,
};

bool bt_metrics_get_confusion(const bt_metrics *metrics, bt_metrics_confusion *out) {
    const class_table *const t = metrics->states[PART_TABLE] != NULL
                                     ? metrics->states[PART_TABLE]
                                     : metrics->states[PART_TOKEN_TABLE];
    if (t == NULL) {
        return false;
    }
    *out = (bt_metrics_confusion){.n_classes = t->n_classes,
                                  .n = t->n,
                                  .labelled = t->labelled,
                                  .predicted = t->predicted,
                                  .correct = t->correct,
                                  .cells = t->cells};
    return true;
}
