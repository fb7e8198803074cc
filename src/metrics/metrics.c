/* SPDX-License-Identifier: Apache-2.0
 *
 * A set of streaming metrics over one stream of logits and labels. Memory does not grow with the
 * number of examples, but for the 8 bytes an example that rank correlation needs. */
#include "bt/metrics.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "metrics_internal.h"

static const size_t max_pairs = (size_t)1 << 40;

/* ---- life ---------------------------------------------------------------------------------- */

static const metric_row *find_row(const char *name) {
    for (size_t i = 0; i < n_metric_rows; i++) {
        if (strcmp(metric_rows[i].name, name) == 0) {
            return &metric_rows[i];
        }
    }
    return NULL;
}

static bt_status refuse_name(const char *name, bt_error *err) {
    char   known[BT_ERROR_MSG_MAX / 2] = "";
    size_t used = 0;
    for (size_t i = 0; i < n_metric_rows; i++) {
        const int n = snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "",
                               metric_rows[i].name);
        used += n > 0 ? (size_t)n : 0;
        BT_ASSERT(used < sizeof known);
    }
    return BT_FAIL(err, BT_E_CONFIG, "no metric has the name '%s'; known are %s", name, known);
}

static bt_status select_rows(bt_metrics *metrics, const char *const *names, size_t n_names,
                             bt_error *err) {
    if (n_names > BT_METRIC_MAX) {
        return BT_FAIL(err, BT_E_CONFIG, "at most %d metrics at once, got %zu", BT_METRIC_MAX,
                       n_names);
    }
    for (size_t i = 0; i < n_names; i++) {
        const metric_row *const row = find_row(names[i]);
        if (row == NULL) {
            return refuse_name(names[i], err);
        }
        if (metrics->n_classes < row->min_classes || metrics->n_classes > row->max_classes) {
            return BT_FAIL(err, BT_E_CONFIG, "metric %s needs %s, but the model has %" PRId64,
                           row->name, row->wants, metrics->n_classes);
        }
        metrics->rows[metrics->n_rows++] = row;
        metrics->needs |= row->needs;
    }
    return BT_OK;
}

bt_status bt_metrics_create(const char *const *names, size_t n_names, int64_t n_classes,
                            bt_metrics **out, bt_error *err) {
    bt_status   rc = BT_OK;
    bt_metrics *metrics = NULL;
    if (n_classes < 1) {
        return BT_FAIL(err, BT_E_CONFIG, "metrics need num_classes >= 1, got %" PRId64, n_classes);
    }
    metrics = bt_calloc_array(1, sizeof *metrics);
    if (metrics == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for metrics");
    }
    metrics->n_classes = n_classes;
    BT_CHECK(select_rows(metrics, names, n_names, err));
    metrics->predicted = bt_calloc_array((size_t)n_classes, sizeof *metrics->predicted);
    metrics->labelled = bt_calloc_array((size_t)n_classes, sizeof *metrics->labelled);
    if (metrics->predicted == NULL || metrics->labelled == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for counts of %" PRId64 " classes", n_classes);
        goto done;
    }
    *out = metrics;
    metrics = NULL;
done:
    bt_metrics_free(metrics);
    return rc;
}

void bt_metrics_free(bt_metrics *metrics) {
    if (metrics != NULL) {
        bt_free(metrics->predicted);
        bt_free(metrics->labelled);
        bt_free(metrics->pairs);
        bt_free(metrics);
    }
}

void bt_metrics_reset(bt_metrics *metrics) {
    const size_t n_count_bytes = (size_t)metrics->n_classes * sizeof(int64_t);
    metrics->n_examples = 0;
    metrics->n_correct = 0;
    metrics->n_true_positive = 0;
    memset(metrics->predicted, 0, n_count_bytes);
    memset(metrics->labelled, 0, n_count_bytes);
    memset(metrics->auc_positive, 0, sizeof metrics->auc_positive);
    memset(metrics->auc_negative, 0, sizeof metrics->auc_negative);
    metrics->moments = (metric_moments){0};
}

/* ---- update ---------------------------------------------------------------------------------- */

/* The first of the largest, as TensorFlow's argmax. */
static int64_t argmax(const float *x, int64_t n) {
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++) {
        if (x[i] > x[best]) {
            best = i;
        }
    }
    return best;
}

/* Softmax probability of the second of two logits, in float32 as TensorFlow's. */
static float probability_of_second(const float *logits) {
    const float largest = fmaxf(logits[0], logits[1]);
    const float first = expf(logits[0] - largest);
    const float second = expf(logits[1] - largest);
    return second / (first + second);
}

/* Keras: a prediction counts as positive below its bucket; the thresholds are i/199. */
static int auc_bucket(float probability) {
    const float place = ceilf(probability * (float)(AUC_THRESHOLDS - 1)) - 1.0F;
    return place > 0.0F ? (int)fminf(place, (float)(AUC_THRESHOLDS - 1)) : 0;
}

static void add_class(bt_metrics *m, const float *logits, int64_t label) {
    const int64_t prediction = argmax(logits, m->n_classes);
    m->predicted[prediction]++;
    m->labelled[label]++;
    m->n_correct += prediction == label ? 1 : 0;
    m->n_true_positive += prediction == 1 && label == 1 ? 1 : 0;
    if ((m->needs & NEED_AUC) != 0) {
        const int bucket = auc_bucket(probability_of_second(logits));
        if (label == 1) {
            m->auc_positive[bucket]++;
        } else {
            m->auc_negative[bucket]++;
        }
    }
}

static void add_score(bt_metrics *m, double x, double y, int64_t n) {
    metric_moments *const s = &m->moments;
    const double          dx = x - s->mean_x;
    const double          dy = y - s->mean_y;
    s->mean_x += dx / (double)n;
    s->mean_y += dy / (double)n;
    s->sum_xx += dx * (x - s->mean_x);
    s->sum_yy += dy * (y - s->mean_y);
    s->sum_xy += dx * (y - s->mean_y);
    s->sum_error_sq += (x - y) * (x - y);
}

static bt_status check_labels(const bt_metrics *m, const int32_t *labels, int64_t n,
                              bt_error *err) {
    for (int64_t i = 0; i < n; i++) {
        if (labels[i] < 0 || labels[i] >= m->n_classes) {
            return BT_FAIL(err, BT_E_FORMAT,
                           "metrics: label %" PRId32 " of example %" PRId64
                           " is not in [0, %" PRId64 ")",
                           labels[i], m->n_examples + i, m->n_classes);
        }
    }
    return BT_OK;
}

static bt_status add_scores(bt_metrics *m, const float *predictions, const float *labels, int64_t n,
                            bt_error *err) {
    if ((m->needs & NEED_PAIRS) != 0) {
        const size_t n_floats = 2 * (size_t)(m->n_examples + n);
        BT_TRY(bt_grow(&m->pairs, &m->cap_pairs, n_floats, sizeof *m->pairs, max_pairs, err));
    }
    for (int64_t i = 0; i < n; i++) {
        const int64_t place = m->n_examples + i;
        add_score(m, (double)predictions[i], (double)labels[i], place + 1);
        if ((m->needs & NEED_PAIRS) != 0) {
            m->pairs[2 * place] = predictions[i];
            m->pairs[2 * place + 1] = labels[i];
        }
    }
    m->predicted[0] += n;
    m->n_examples += n;
    return BT_OK;
}

bt_status bt_metrics_update(bt_metrics *metrics, const float *logits, const int32_t *int_labels,
                            const float *float_labels, int64_t n, bt_error *err) {
    const bool  is_regression = metrics->n_classes == 1;
    const void *labels = is_regression ? (const void *)float_labels : (const void *)int_labels;
    if (labels == NULL && n > 0) {
        return BT_FAIL(err, BT_E_CONFIG, "metrics: num_classes %" PRId64 " needs %s labels",
                       metrics->n_classes, is_regression ? "float" : "class");
    }
    if (is_regression) {
        return add_scores(metrics, logits, float_labels, n, err);
    }
    BT_TRY(check_labels(metrics, int_labels, n, err));
    for (int64_t i = 0; i < n; i++) {
        add_class(metrics, logits + i * metrics->n_classes, int_labels[i]);
    }
    metrics->n_examples += n;
    return BT_OK;
}

/* ---- answers --------------------------------------------------------------------------------- */

size_t bt_metrics_compute(const bt_metrics *metrics, bt_metric_value values[BT_METRIC_MAX]) {
    for (size_t i = 0; i < metrics->n_rows; i++) {
        const metric_row *const row = metrics->rows[i];
        BT_ASSERT(strlen(row->name) < BT_METRIC_NAME_MAX);
        memcpy(values[i].name, row->name, strlen(row->name) + 1);
        values[i].value = row->compute(metrics);
    }
    return metrics->n_rows;
}

const int64_t *bt_metrics_prediction_counts(const bt_metrics *metrics) {
    return metrics->predicted;
}

int64_t bt_metrics_n_examples(const bt_metrics *metrics) {
    return metrics->n_examples;
}
