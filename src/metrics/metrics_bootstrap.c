/* SPDX-License-Identifier: Apache-2.0
 *
 * Intervals by the bootstrap (Efron, 1979): rows are drawn with replacement as often as there are,
 * again and again, and the middle 95 % of what a metric is then are its interval (percentiles as
 * numpy defines them). Draws come from the counter-based generator: sample and place name them, so
 * that the same rows in the same order give the same interval. A sample in which a metric has no
 * value (an ROC curve of one class) is left out. */
#include "metrics_bootstrap.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/rng.h"
#include "bt/base/stop.h"
#include "metrics_curves.h"

static const uint32_t use_bootstrap = UINT32_C(0x424f4f54); /* "BOOT" */
static const char     low_end[] = "_ci_low";
static const char     high_end[] = "_ci_high";

typedef struct bootstrap {
    bt_metrics       scratch; /* the set whose parts hold a sample */
    const kept_rows *rows;
    int64_t          n_samples;
    int32_t         *weights;     /* [n] owned, and so below: how often a row was drawn */
    int32_t         *predictions; /* [n] */
    certain_row     *certain;     /* [n]; NULL: nothing asks for it */
    metric_curve     curve;       /* of class 1; empty: nothing asks for it */
    double          *values;      /* [n_samples] of one metric after the other: [choices,samples] */
} bootstrap;

static bool is_curve(const metric_row *row) {
    return row->compute == metric_roc_auc || row->compute == metric_average_precision;
}

bool metric_has_interval(const metric_row *row) {
    const uint32_t counted =
        PART_BIT(PART_CLASSES) | PART_BIT(PART_TABLE) | PART_BIT(PART_CERTAINTY);
    return row->unit == BT_METRIC_OF_SEQUENCES && (is_curve(row) || (row->parts & ~counted) == 0);
}

static void deinit(bootstrap *b) {
    metric_part_classes.destroy(b->scratch.states[PART_CLASSES]);
    metric_part_table.destroy(b->scratch.states[PART_TABLE]);
    metric_part_certainty.destroy(b->scratch.states[PART_CERTAINTY]);
    metric_curve_deinit(&b->curve);
    bt_free(b->weights);
    bt_free(b->predictions);
    bt_free(b->certain);
    bt_free(b->values);
}

static bool wants(const bt_metrics *metrics, bool (*does)(const metric_row *row)) {
    for (size_t i = 0; i < metrics->n_choices; i++) {
        if (does(metrics->choices[i].row)) {
            return true;
        }
    }
    return false;
}

static bool is_certain(const metric_row *row) {
    return (row->parts & PART_BIT(PART_CERTAINTY)) != 0;
}

static bt_status create_parts(bootstrap *b, const bt_metrics *metrics, bt_error *err) {
    const bt_metrics_config config = {.n_classes = metrics->n_classes};
    b->scratch.n_classes = metrics->n_classes;
    b->scratch.unit = metrics->unit;
    BT_TRY(metric_part_classes.create(&config, &b->scratch.states[PART_CLASSES], err));
    BT_TRY(metric_part_table.create(&config, &b->scratch.states[PART_TABLE], err));
    class_table *const table = b->scratch.states[PART_TABLE];
    bt_free(table->cells); /* nothing is computed of them, and emptying them costs */
    table->cells = NULL;
    return metric_part_certainty.create(&config, &b->scratch.states[PART_CERTAINTY], err);
}

static bt_status init(bootstrap *b, const bt_metrics *metrics, bt_error *err) {
    const kept_rows *const rows = metrics->states[PART_KEPT];
    const int64_t          C = rows->n_classes;
    const size_t           n = (size_t)rows->n;
    b->rows = rows;
    b->n_samples = metrics->n_bootstrap;
    BT_TRY(create_parts(b, metrics, err));
    b->weights = bt_alloc_array(n, sizeof *b->weights);
    b->predictions = bt_alloc_array(n, sizeof *b->predictions);
    b->values = bt_alloc_array(metrics->n_choices * (size_t)b->n_samples, sizeof *b->values);
    b->certain = wants(metrics, is_certain) ? bt_alloc_array(n, sizeof *b->certain) : NULL;
    if (b->weights == NULL || b->predictions == NULL || b->values == NULL ||
        (b->certain == NULL && wants(metrics, is_certain))) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for samples");
    }
    for (int64_t i = 0; i < rows->n; i++) {
        b->predictions[i] = (int32_t)metric_decide(metrics, rows, i);
        if (b->certain != NULL) {
            metric_certain_row(b->scratch.states[PART_CERTAINTY], rows->logits + i * C,
                               rows->labels[i], 1.0, &b->certain[i]);
        }
    }
    return wants(metrics, is_curve) ? metric_curve_init(&b->curve, rows, 1, 2, err) : BT_OK;
}

static void draw(bootstrap *b, uint64_t seed, int64_t sample) {
    const uint64_t   n = (uint64_t)b->rows->n;
    const bt_rng_key key = bt_rng_key_make(seed, (uint64_t)sample, 0, use_bootstrap);
    memset(b->weights, 0, (size_t)n * sizeof *b->weights);
    for (uint64_t i = 0; i < n; i += 4) {
        uint32_t words[4];
        bt_rng_block(key, i / 4, words);
        for (uint64_t k = 0; k < 4 && i + k < n; k++) {
            b->weights[words[k] * n >> 32]++;
        }
    }
}

static void fill_parts(bootstrap *b) {
    class_table *const table = b->scratch.states[PART_TABLE];
    metric_part_table.reset(table);
    metric_part_certainty.reset(b->scratch.states[PART_CERTAINTY]);
    for (int64_t i = 0; i < b->rows->n; i++) {
        const int32_t weight = b->weights[i];
        if (weight == 0) {
            continue;
        }
        metric_table_count(table, b->rows->labels[i], b->predictions[i], weight);
        if (b->certain != NULL) {
            metric_certain_add(b->scratch.states[PART_CERTAINTY], &b->certain[i], weight);
        }
    }
    metric_classes_take(b->scratch.states[PART_CLASSES], table);
    metric_curve_weigh(&b->curve, b->weights);
}

static double value_of(bootstrap *b, const metric_choice *choice) {
    const metric_row *const row = choice->row;
    return row->compute == metric_roc_auc ? metric_curve_area(&b->curve, CURVE_ROC)
           : row->compute == metric_average_precision
               ? metric_curve_area(&b->curve, CURVE_PRECISION_RECALL)
               : metric_compute(&b->scratch, choice);
}

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of n > 0 sorted values: numpy's "linear". */
static double percentile(const double *sorted, int64_t n, double share) {
    const double  place = share * (double)(n - 1);
    const int64_t low = (int64_t)floor(place);
    const int64_t high = low + 1 < n ? low + 1 : low;
    return sorted[low] + (sorted[high] - sorted[low]) * (place - (double)low);
}

static void put(bt_metric_value *value, const char *name, const char *ending, double number) {
    const int n = snprintf(value->name, sizeof value->name, "%s%s", name, ending);
    BT_ASSERT(n > 0 && n < (int)sizeof value->name);
    (void)n;
    value->value = number;
}

static void put_interval(const char *name, double *values, int64_t n, bt_metric_value out[2]) {
    int64_t n_numbers = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isnan(values[i])) {
            values[n_numbers++] = values[i];
        }
    }
    qsort(values, (size_t)n_numbers, sizeof *values, compare_doubles);
    put(&out[0], name, low_end, n_numbers > 0 ? percentile(values, n_numbers, 0.025) : (double)NAN);
    put(&out[1], name, high_end,
        n_numbers > 0 ? percentile(values, n_numbers, 0.975) : (double)NAN);
}

static bt_status resample(bootstrap *b, const bt_metrics *metrics, bt_error *err) {
    if (b->rows == NULL) {
        BT_TRY(init(b, metrics, err));
    }
    for (int64_t s = 0; s < b->n_samples; s++) {
        BT_TRY(bt_stop_check(err));
        draw(b, metrics->bootstrap_seed, s);
        fill_parts(b);
        for (size_t i = 0; i < metrics->n_choices; i++) {
            if (metric_has_interval(metrics->choices[i].row)) {
                b->values[(int64_t)i * b->n_samples + s] = value_of(b, &metrics->choices[i]);
            }
        }
    }
    return BT_OK;
}

size_t metric_add_intervals(const bt_metrics *metrics, bt_metric_value *values) {
    bootstrap              b = {.n_samples = metrics->n_bootstrap};
    bt_error               error = BT_ERROR_INIT;
    size_t                 n = 0;
    const kept_rows *const rows = metrics->states[PART_KEPT];
    const bool             is_there = rows->n > 0 && rows->n <= UINT32_MAX && !rows->has_nan;
    const bt_status        rc = is_there ? resample(&b, metrics, &error) : BT_OK;
    const bool             is_done = is_there && rc == BT_OK;
    if (rc != BT_OK && rc != BT_E_INTERRUPTED) {
        bt_log(BT_LOG_WARNING, "%s: no intervals of metrics", error.msg);
    }
    for (size_t i = 0; i < metrics->n_choices; i++) {
        const metric_choice *const choice = &metrics->choices[i];
        if (metric_has_interval(choice->row)) {
            double none[1] = {(double)NAN};
            put_interval(choice->name, is_done ? b.values + (int64_t)i * b.n_samples : none,
                         is_done ? b.n_samples : 1, values + n);
            n += 2;
        }
    }
    deinit(&b);
    return n;
}
