/* SPDX-License-Identifier: Apache-2.0
 *
 * The part that looks at probabilities: log loss, Brier score, calibration of the prediction, and
 * the place of the label among all classes. Probabilities are the softmax of the logits in double.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "metrics_bootstrap.h"

typedef struct certainty_bin {
    int64_t n;
    int64_t n_correct;
    double  sum; /* of probabilities */
} certainty_bin;

typedef struct certainty {
    int64_t       n_classes;
    int64_t       n;
    bool          is_lost; /* there was a NaN among the logits: every value here is one */
    double        log_loss;
    double        brier;
    certainty_bin bins[BT_METRIC_BINS];
    int64_t      *places; /* [n_classes] owned: rows whose label is at that place */
    double       *p;      /* [n_classes] owned: of the row at hand */
} certainty;

static void free_certainty(void *state) {
    certainty *const c = state;
    if (c != NULL) {
        bt_free(c->places);
        bt_free(c->p);
        bt_free(c);
    }
}

static bt_status create_certainty(const bt_metrics_config *config, void **state, bt_error *err) {
    const size_t     n = (size_t)config->n_classes;
    certainty *const c = bt_calloc_array(1, sizeof *c);
    if (c != NULL) {
        c->n_classes = config->n_classes;
        c->places = bt_calloc_array(n, sizeof *c->places);
        c->p = bt_calloc_array(n, sizeof *c->p);
    }
    if (c == NULL || c->places == NULL || c->p == NULL) {
        free_certainty(c);
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for probabilities of %zu classes", n);
    }
    *state = c;
    return BT_OK;
}

static void reset_certainty(void *state) {
    certainty *const c = state;
    const certainty  empty = {.n_classes = c->n_classes, .places = c->places, .p = c->p};
    memset(c->places, 0, (size_t)c->n_classes * sizeof *c->places);
    *c = empty;
}

/* The bounds are i/BT_METRIC_BINS as doubles; the product may be rounded over one. */
static int bin_of(double p) {
    int i = (int)ceil(p * BT_METRIC_BINS) - 1;
    i = i < 0 ? 0 : i;
    i = i >= BT_METRIC_BINS ? BT_METRIC_BINS - 1 : i;
    if (i > 0 && p <= (double)i / BT_METRIC_BINS) {
        i--;
    } else if (i + 1 < BT_METRIC_BINS && p > (double)(i + 1) / BT_METRIC_BINS) {
        i++;
    }
    return i;
}

/* Among equal scores the class of the higher number comes first, as scikit-learn sorts them. */
static int64_t place_of(const float *logits, int64_t n, int64_t label) {
    int64_t place = 0;
    for (int64_t i = 0; i < n; i++) {
        place += logits[i] > logits[label] || (logits[i] == logits[label] && i > label) ? 1 : 0;
    }
    return place;
}

/* Of two classes it is that of the second alone; of more the sum over all, as in scikit-learn. */
static double brier_of(const double *p, int64_t n, int64_t label) {
    double sum = 0;
    for (int64_t i = n == 2 ? 1 : 0; i < n; i++) {
        const double gap = p[i] - (i == label ? 1.0 : 0.0);
        sum += gap * gap;
    }
    return sum;
}

void metric_certain_row(void *state, const float *logits, int32_t label, double temperature,
                        certain_row *out) {
    certainty *const c = state;
    const int64_t    n = c->n_classes;
    const int64_t    best = metric_argmax(logits, n);
    bt_metrics_softmax(c->p, logits, n, temperature);
    *out = (certain_row){
        .probability = c->p[best],
        .log_loss = -log(fmin(fmax(c->p[label], DBL_EPSILON), 1.0 - DBL_EPSILON)),
        .brier = brier_of(c->p, n, label),
        .place = place_of(logits, n, label),
        .is_correct = best == label,
    };
    for (int64_t i = 0; i < n; i++) {
        out->probability = isnan(c->p[i]) ? (double)NAN : out->probability;
    }
}

void metric_certain_add(void *state, const certain_row *row, int64_t weight) {
    certainty *const c = state;
    const double     times = (double)weight;
    c->n += weight;
    if (isnan(row->probability)) {
        c->is_lost = true;
        return;
    }
    certainty_bin *const bin = &c->bins[bin_of(row->probability)];
    bin->n += weight;
    bin->n_correct += row->is_correct ? weight : 0;
    bin->sum += times * row->probability;
    c->log_loss += times * row->log_loss;
    c->brier += times * row->brier;
    c->places[row->place] += weight;
}

static bt_status update_certainty(void *state, const bt_batch *batch, const float *logits,
                                  bt_error *err) {
    certainty *const c = state;
    for (int64_t i = 0; i < batch->n_seqs; i++) {
        certain_row row;
        BT_TRY(metric_check_label(batch->int_labels[i], c->n_classes, c->n, err));
        metric_certain_row(c, logits + i * c->n_classes, batch->int_labels[i], 1.0, &row);
        metric_certain_add(c, &row, 1);
    }
    return BT_OK;
}

enum { N_SUMS = 2 + BT_METRIC_BINS };

static bt_status save_certainty(const void *state, bt_str *bytes, bt_error *err) {
    const certainty *const c = state;
    const int64_t          head[] = {c->n, c->is_lost ? 1 : 0};
    double                 sums[N_SUMS] = {c->log_loss, c->brier};
    uint64_t               words[N_SUMS];
    BT_TRY(metric_put_counts(bytes, head, (int64_t)BT_ARRAY_LEN(head), err));
    for (int i = 0; i < BT_METRIC_BINS; i++) {
        BT_TRY(metric_put_counts(bytes, &c->bins[i].n, 1, err));
        BT_TRY(metric_put_counts(bytes, &c->bins[i].n_correct, 1, err));
        sums[2 + i] = c->bins[i].sum;
    }
    memcpy(words, sums, sizeof words);
    BT_TRY(metric_put_words(bytes, words, N_SUMS, err));
    return metric_put_counts(bytes, c->places, c->n_classes, err);
}

static bt_status load_certainty(void *state, bt_reader *bytes, bt_error *err) {
    certainty *const c = state;
    int64_t          head[2] = {0};
    double           sums[N_SUMS];
    uint64_t         words[N_SUMS];
    BT_TRY(metric_get_counts(bytes, head, (int64_t)BT_ARRAY_LEN(head), err));
    c->n = head[0];
    c->is_lost = head[1] != 0;
    for (int i = 0; i < BT_METRIC_BINS; i++) {
        BT_TRY(metric_get_counts(bytes, &c->bins[i].n, 1, err));
        BT_TRY(metric_get_counts(bytes, &c->bins[i].n_correct, 1, err));
    }
    BT_TRY(metric_get_words(bytes, words, N_SUMS, err));
    memcpy(sums, words, sizeof sums);
    c->log_loss = sums[0];
    c->brier = sums[1];
    for (int i = 0; i < BT_METRIC_BINS; i++) {
        c->bins[i].sum = sums[2 + i];
    }
    return metric_get_counts(bytes, c->places, c->n_classes, err);
}

const metric_part metric_part_certainty = {
    .wants_labels = "class",
    .create = create_certainty,
    .destroy = free_certainty,
    .reset = reset_certainty,
    .update = update_certainty,
    .save = save_certainty,
    .load = load_certainty,
};

static double mean_of(const certainty *c, double sum) {
    return c->n > 0 && !c->is_lost ? sum / (double)c->n : (double)NAN;
}

double metric_log_loss(const bt_metrics *metrics) {
    const certainty *const c = metrics->states[PART_CERTAINTY];
    return mean_of(c, c->log_loss);
}

double metric_brier(const bt_metrics *metrics) {
    const certainty *const c = metrics->states[PART_CERTAINTY];
    return mean_of(c, c->brier);
}

/* Guo, Pleiss, Sun, Weinberger: "On Calibration of Modern Neural Networks", ICML 2017. */
double metric_calibration_error(const bt_metrics *metrics) {
    const certainty *const c = metrics->states[PART_CERTAINTY];
    double                 sum = 0;
    for (int i = 0; i < BT_METRIC_BINS; i++) {
        sum += fabs((double)c->bins[i].n_correct - c->bins[i].sum);
    }
    return mean_of(c, sum);
}

double metric_top_k(const bt_metrics *metrics, int64_t k) {
    const certainty *const c = metrics->states[PART_CERTAINTY];
    int64_t                n = 0;
    for (int64_t i = 0; i < c->n_classes && i < k; i++) {
        n += c->places[i];
    }
    return mean_of(c, (double)n);
}

double metric_top_two(const bt_metrics *metrics) {
    return metric_top_k(metrics, 2);
}

bool bt_metrics_get_calibration(const bt_metrics *metrics, bt_metrics_calibration *out) {
    const certainty *const c = metrics->states[PART_CERTAINTY];
    if (c == NULL) {
        return false;
    }
    *out = (bt_metrics_calibration){.n = c->n, .expected_error = metric_calibration_error(metrics)};
    for (int i = 0; i < BT_METRIC_BINS; i++) {
        const certainty_bin *const bin = &c->bins[i];
        out->counts[i] = bin->n;
        out->correct[i] = bin->n_correct;
        out->probabilities[i] = bin->n > 0 ? bin->sum / (double)bin->n : (double)NAN;
    }
    return true;
}
