/* SPDX-License-Identifier: Apache-2.0
 *
 * What is chosen on the rows of an evaluation: the temperature under which probabilities fit best
 * (Guo, Pleiss, Sun, Weinberger: "On Calibration of Modern Neural Networks", ICML 2017), and the
 * threshold from which on a class applies. Both are float32, as info.json has them, and
 * probabilities are float32 as predictions are written, so that whoever applies them decides every
 * row alike. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "metrics_bootstrap.h"
#include "metrics_curves.h"

/* Outside of them probabilities are 0 and 1, or all alike. */
static const double lowest_inverse = 0.01;
static const double highest_inverse = 100.0;
enum { HALVINGS = 64 };

/* By how much the log loss of a row grows with the inverse of the temperature. */
static double slope_of_row(const float *x, int64_t n, int32_t label, double inverse) {
    const double largest = (double)x[metric_argmax(x, n)];
    double       sum = 0;
    double       mean = 0;
    for (int64_t c = 0; c < n; c++) {
        const double gap = (double)x[c] - largest;
        const double e = exp(gap * inverse);
        sum += e;
        mean += e * gap;
    }
    return mean / sum - ((double)x[label] - largest);
}

static double slope_at(const kept_rows *k, double inverse) {
    double sum = 0;
    for (int64_t i = 0; i < k->n; i++) {
        sum += slope_of_row(k->logits + i * k->n_classes, k->n_classes, k->labels[i], inverse);
    }
    return sum;
}

/* The loss is convex in the inverse, so that its slope has one root. */
double bt_metrics_fit_temperature(const bt_metrics *metrics) {
    const kept_rows *const k = metrics->states[PART_KEPT];
    double                 low = lowest_inverse;
    double                 high = highest_inverse;
    BT_ASSERT(k != NULL);
    if (k->n == 0 || !isfinite(slope_at(k, 1.0))) {
        return (double)NAN;
    }
    for (int i = 0; i < HALVINGS; i++) {
        const double middle = sqrt(low * high);
        if (slope_at(k, middle) < 0) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return (double)(float)(1.0 / sqrt(low * high));
}

float bt_metrics_sigmoid(float logit) {
    const double e = exp(-fabs((double)logit));
    return (float)((logit >= 0 ? 1 : e) / (1 + e));
}

void bt_metrics_softmax(double *p, const float *logits, int64_t n, double temperature) {
    const double largest = (double)logits[metric_argmax(logits, n)];
    double       sum = 0;
    for (int64_t i = 0; i < n; i++) {
        p[i] = exp(((double)logits[i] - largest) / temperature);
        sum += p[i];
    }
    for (int64_t i = 0; i < n; i++) {
        p[i] /= sum;
    }
}

/* Of class c, as predictions have it. */
static float probability_of(const kept_rows *k, int64_t i, int64_t c, double temperature) {
    double p[2];
    if (k->applies != NULL) {
        return bt_metrics_sigmoid(k->logits[i * k->n_classes + c]);
    }
    bt_metrics_softmax(p, k->logits + 2 * i, 2, temperature);
    return (float)p[c];
}

/* A set that counts under a threshold. */
typedef struct decision {
    bt_metrics       scratch;
    const kept_rows *rows;
    int64_t          first, end; /* classes that are decided: 1 of two, or all */
} decision;

static bt_status begin(decision *d, const bt_metrics *metrics, bt_error *err) {
    const bool              are_sets = metrics->unit == BT_METRIC_OF_LABEL_SETS;
    const bt_metrics_config config = {.n_classes = metrics->n_classes, .threshold = 0.5};
    d->rows = metrics->states[are_sets ? PART_KEPT_SETS : PART_KEPT];
    BT_ASSERT(d->rows != NULL);
    d->first = are_sets ? 0 : 1;
    d->end = metrics->n_classes;
    d->scratch = (bt_metrics){.n_classes = metrics->n_classes, .unit = metrics->unit};
    if (are_sets) {
        return metric_part_multi.create(&config, &d->scratch.states[PART_MULTI], err);
    }
    BT_TRY(metric_part_classes.create(&config, &d->scratch.states[PART_CLASSES], err));
    return metric_part_table.create(&config, &d->scratch.states[PART_TABLE], err);
}

static void end(decision *d) {
    metric_part_classes.destroy(d->scratch.states[PART_CLASSES]);
    metric_part_table.destroy(d->scratch.states[PART_TABLE]);
    metric_part_multi.destroy(d->scratch.states[PART_MULTI]);
}

/* weight -1 takes back. */
static void count(decision *d, int64_t i, int64_t c, bool found, int64_t weight) {
    if (d->rows->applies != NULL) {
        metric_multi_count(d->scratch.states[PART_MULTI], c,
                           d->rows->applies[i * d->rows->n_classes + c] != 0, found, weight);
    } else {
        metric_table_count(d->scratch.states[PART_TABLE], d->rows->labels[i], found ? 1 : 0,
                           weight);
    }
}

static double decided_value(decision *d, const metric_choice *choice) {
    if (d->rows->applies == NULL) {
        metric_classes_take(d->scratch.states[PART_CLASSES], d->scratch.states[PART_TABLE]);
    }
    return metric_compute(&d->scratch, choice);
}

/* Between the lowest score that is in and the highest that is out: the middle, or the first where
 * float32 has none between. */
static double between(double in, double out) {
    const float middle = (float)((in + out) / 2.0);
    return (double)middle > out ? (double)middle : in;
}

static bool is_nearer(double a, double b) {
    return fabs(a - 0.5) < fabs(b - 0.5);
}

/* Rows come in, the highest score first, until all are in. Among thresholds that are as good the
 * one nearest to 0.5 is taken. */
static double search(decision *d, const metric_curve *curve, const metric_choice *choice) {
    double best = decided_value(d, choice); /* nothing is found */
    double threshold = curve->n > 0 && curve->rows[0].score < 1.0
                           ? between(1.0, curve->rows[0].score)
                           : (double)NAN;
    best = isnan(threshold) ? -(double)INFINITY : best;
    for (int64_t i = 0; i < curve->n;) {
        const double  score = curve->rows[i].score;
        const int64_t width = d->end - d->first;
        for (; i < curve->n && curve->rows[i].score == score; i++) {
            const int64_t row = curve->rows[i].row / width;
            const int64_t c = d->first + curve->rows[i].row % width;
            count(d, row, c, false, -1);
            count(d, row, c, true, 1);
        }
        const double candidate = between(score, i < curve->n ? curve->rows[i].score : 0.0);
        const double value = decided_value(d, choice);
        if (value > best || (value == best && is_nearer(candidate, threshold))) {
            best = value;
            threshold = candidate;
        }
    }
    return threshold;
}

static bt_status make_curve(decision *d, double temperature, metric_curve *curve, bt_error *err) {
    const int64_t width = d->end - d->first;
    const int64_t n = d->rows->n * width;
    curve->rows = bt_alloc_array((size_t)n + 1, sizeof *curve->rows);
    if (curve->rows == NULL) {
        return BT_FAIL(err, BT_E_NOMEM,
                       "out of memory to choose a threshold among %" PRId64 " scores", n);
    }
    curve->n = n;
    for (int64_t i = 0; i < n; i++) {
        const int64_t c = d->first + i % width;
        curve->rows[i] = (scored_row){
            .score = (double)probability_of(d->rows, i / width, c, temperature), .row = i};
        count(d, i / width, c, false, 1);
    }
    metric_curve_sort(curve);
    return BT_OK;
}

bt_status bt_metrics_choose_threshold(const bt_metrics *metrics, const char *metric,
                                      double temperature, double *threshold, bt_error *err) {
    bt_status     rc = BT_OK;
    decision      d = {.first = 0};
    metric_curve  curve = {.n = 0};
    metric_choice choice = {.row = metric_find_row(metric, metrics->unit, metrics->n_classes)};
    *threshold = (double)NAN;
    BT_ASSERT(choice.row != NULL);
    BT_CHECK(begin(&d, metrics, err));
    if (!d.rows->has_nan) {
        BT_CHECK(make_curve(&d, temperature, &curve, err));
        *threshold = search(&d, &curve, &choice);
    }
done:
    metric_curve_deinit(&curve);
    end(&d);
    return rc;
}

bt_status bt_metrics_calibrated(const bt_metrics *metrics, double temperature, double *log_loss,
                                double *calibration_error, bt_error *err) {
    const kept_rows *const  k = metrics->states[PART_KEPT];
    const bt_metrics_config config = {.n_classes = metrics->n_classes};
    bt_metrics              scratch = {.n_classes = metrics->n_classes};
    BT_ASSERT(k != NULL);
    BT_TRY(metric_part_certainty.create(&config, &scratch.states[PART_CERTAINTY], err));
    for (int64_t i = 0; i < k->n; i++) {
        certain_row row;
        metric_certain_row(scratch.states[PART_CERTAINTY], k->logits + i * k->n_classes,
                           k->labels[i], temperature, &row);
        metric_certain_add(scratch.states[PART_CERTAINTY], &row, 1);
    }
    *log_loss = metric_log_loss(&scratch);
    *calibration_error = metric_calibration_error(&scratch);
    metric_part_certainty.destroy(scratch.states[PART_CERTAINTY]);
    return BT_OK;
}

bool bt_metrics_can_choose(bt_metric_unit unit, int64_t n_classes, const char *name) {
    const metric_row *const row = metric_find_row(name, unit, n_classes);
    const uint32_t          counted = PART_BIT(PART_CLASSES) | PART_BIT(PART_TABLE);
    /* alone they are best where everything or nothing is found */
    const bool is_one_sided = strncmp(name, "precision", 9) == 0 || strncmp(name, "recall", 6) == 0;
    if (row == NULL || is_one_sided || (row->compute == NULL && row->compute_row == NULL)) {
        return false;
    }
    return unit == BT_METRIC_OF_LABEL_SETS
               ? row->parts == PART_BIT(PART_MULTI) && row->compute != metric_multi_exact
               : n_classes == 2 && (row->parts & ~counted) == 0;
}

void bt_metrics_apply_threshold(bt_metrics *metrics, double threshold, double temperature) {
    const bool             are_sets = metrics->unit == BT_METRIC_OF_LABEL_SETS;
    const kept_rows *const k = metrics->states[are_sets ? PART_KEPT_SETS : PART_KEPT];
    class_table *const     table = metrics->states[PART_TABLE];
    metrics->threshold = threshold;
    metrics->temperature = temperature;
    if (are_sets) {
        metric_multi_recount(metrics->states[PART_MULTI], k, threshold);
        metric_sets_recount(metrics->states[PART_SETS], k, threshold);
        return;
    }
    metric_part_table.reset(table);
    for (int64_t i = 0; i < k->n; i++) {
        metric_table_count(table, k->labels[i], metric_decide(metrics, k, i), 1);
    }
    metric_classes_take(metrics->states[PART_CLASSES], table);
}

int64_t metric_decide(const bt_metrics *metrics, const kept_rows *k, int64_t i) {
    return isnan(metrics->threshold)
               ? metric_argmax(k->logits + i * k->n_classes, k->n_classes)
               : (double)probability_of(k, i, 1, metrics->temperature) >= metrics->threshold;
}
