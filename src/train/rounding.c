/* SPDX-License-Identifier: Apache-2.0
 *
 * runtime.precision: the weights of the encoder's products, and what they are multiplied with, in 8
 * bits. Nobody should have to guess what that costs: an evaluation is made in floats first, on the
 * same rows, and a prediction tells how far the first rows' results move; unless
 * runtime.precision_compared is false: then weights are rounded as they are read, where
 * only_evaluates (prepare.c) and the engine can have it so. */
#include "rounding.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "decision.h"

/* Rows that a prediction computes in floats as well. */
enum { SAMPLE_ROWS = 32 };

bool rounding_is_on(const train_run *run) {
    return run->config.precision[0] != '\0';
}

bool rounding_compares(const train_run *run) {
    return rounding_is_on(run) && run->config.precision_compared;
}

/* What the weights are before. */
static const char *exact_name(const train_run *run) {
    return run_config_precision(&run->config) == BT_PRECISION_BF16 ? "bfloat16" : "float32";
}

static bt_status round_weights(train_run *run, bt_error *err) {
    bt_exec_rounded rounded = {0};
    BT_TRY(bt_exec_round_weights(run->exec, &rounded, err));
    run->is_rounded = true;
    bt_log(BT_LOG_INFO, "%s: the encoder's weights take %.1f MB instead of %.1f MB",
           rounded.kernels, (double)rounded.n_bytes / 1e6, (double)rounded.n_bytes_before / 1e6);
    return BT_OK;
}

/* The first rows of a batch. */
static bt_batch first_rows(const bt_batch *batch) {
    bt_batch part = *batch;
    if (part.n_seqs > SAMPLE_ROWS) {
        part.n_seqs = SAMPLE_ROWS;
        part.n_tokens = batch->offsets[SAMPLE_ROWS];
    }
    return part;
}

/* What is seen of the difference between two results. */
typedef struct difference {
    double  largest;   /* of a number */
    int64_t n, n_same; /* of what is decided: the class of a row or a token */
} difference;

static int64_t best_of(const float *x, int64_t n) {
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++) {
        best = x[i] > x[best] ? i : best;
    }
    return best;
}

static double softmax_of(const float *x, int64_t n, int64_t at) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += exp((double)x[i] - (double)x[at]);
    }
    return 1 / sum;
}

static double sigmoid_of(float x) {
    return 1 / (1 + exp(-(double)x));
}

/* NaN stays the largest. */
static void add_difference(difference *d, double a, double b) {
    const double off = fabs(a - b);
    d->largest = off > d->largest || isnan(off) ? off : d->largest;
}

static void compare_classes(difference *d, const bt_task_plan *plan, const float *a,
                            const float *b) {
    const int64_t C = plan->head.num_classes;
    bool          same = best_of(a, C) == best_of(b, C);
    for (int64_t c = 0; c < C; c++) {
        const double p = plan->is_multi_label ? sigmoid_of(a[c]) : softmax_of(a, C, c);
        const double q = plan->is_multi_label ? sigmoid_of(b[c]) : softmax_of(b, C, c);
        add_difference(d, p, q);
        if (plan->is_multi_label) {
            same = (c == 0 || same) && (p >= plan->threshold) == (q >= plan->threshold);
        }
    }
    d->n++;
    d->n_same += same;
}

static void compare_vectors(difference *d, const float *a, const float *b, int64_t H) {
    double ab = 0;
    double aa = 0;
    double bb = 0;
    for (int64_t i = 0; i < H; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    add_difference(d, 1, ab / sqrt(aa * bb));
}

static void tell(const train_run *run, const difference *d, int64_t n_rows, const char *what) {
    char same[96] = "";
    if (d->n > 0) {
        (void)snprintf(same, sizeof same, ", and %" PRId64 " of %" PRId64 " have the same class",
                       d->n_same, d->n);
    }
    bt_log(BT_LOG_INFO,
           "int8 beside %s, on the first %" PRId64 " row%s: the largest difference of %s is %.2g%s",
           exact_name(run), n_rows, n_rows == 1 ? "" : "s", what, d->largest, same);
}

/* Of the rows' results in floats, a, and in 8 bits, b. */
static void tell_difference(const train_run *run, const bt_batch *rows, const float *a,
                            const float *b) {
    const bt_task_plan *const plan = &run->plan;
    const bool                has_classes = plan->labels.n > 0;
    const int64_t             n = bt_model_n_logits(run->model, rows);
    const int64_t             C = plan->head.num_classes;
    const int64_t             H = run->model->encoder.hidden_size;
    difference                d = {0};
    if (plan->head.kind == BT_HEAD_POOLED_OUTPUT) {
        for (int64_t i = 0; i < n; i += H) {
            compare_vectors(&d, a + i, b + i, H);
        }
        tell(run, &d, rows->n_seqs, "the cosine of two vectors of a text from 1");
    } else if (has_classes) {
        for (int64_t i = 0; i < n; i += C) {
            compare_classes(&d, plan, a + i, b + i);
        }
        tell(run, &d, rows->n_seqs, "a probability");
    } else {
        for (int64_t i = 0; i < n; i++) {
            add_difference(&d, (double)a[i], (double)b[i]);
        }
        tell(run, &d, rows->n_seqs, "a score");
    }
}

bt_status rounding_of_rows(train_run *run, const bt_batch *batch, bt_error *err) {
    bt_status      rc = BT_OK;
    bt_step_result result = {0};
    const bt_batch rows = first_rows(batch);
    const size_t   n = (size_t)bt_model_n_logits(run->model, &rows);
    float *const   exact = bt_alloc_array(n, sizeof *exact);
    if (exact == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for %zu logits", n);
    }
    BT_CHECK(bt_exec_evaluate(run->exec, &rows, &result, err));
    memcpy(exact, result.logits, n * sizeof *exact);
    BT_CHECK(round_weights(run, err));
    BT_CHECK(bt_exec_evaluate(run->exec, &rows, &result, err));
    tell_difference(run, &rows, exact, result.logits);
done:
    bt_free(exact);
    return rc;
}

static bt_status begin_prediction(train_run *run, bt_error *err) {
    const bt_batch *batch = NULL;
    bool            end = false;
    if (run->validation_data == NULL) { /* its caller has the rows */
        return BT_OK;
    }
    BT_TRY(bt_data_next_batch(run->validation_data, &batch, &end, err));
    BT_TRY(end ? round_weights(run, err) : rounding_of_rows(run, batch, err));
    return bt_data_seek(run->validation_data, (bt_data_cursor){0}, err);
}

bt_status rounding_begin(train_run *run, bt_error *err) {
    if (!rounding_compares(run)) {
        return round_weights(run, err);
    }
    if (run->args->mode == BT_CONF_MODE_PREDICT) {
        return begin_prediction(run, err);
    }
    bt_log(BT_LOG_INFO, "evaluating in %s first, which tells what int8 costs", exact_name(run));
    run->exact.n = 0;
    BT_TRY(evaluate_values(run, &run->exact, err));
    return round_weights(run, err);
}

static const bt_metric_value *find(const bt_train_values *values, const char *name) {
    for (size_t i = 0; i < values->n; i++) {
        if (strcmp(values->items[i].name, name) == 0) {
            return &values->items[i];
        }
    }
    return NULL;
}

void rounding_add(const train_run *run, bt_train_values *values) {
    const size_t n = values->n;
    for (size_t i = 0; i < run->exact.n; i++) {
        const bt_metric_value *const exact = &run->exact.items[i];
        const bt_metric_value *const rounded = find(values, exact->name);
        char                         name[BT_METRIC_NAME_MAX];
        if (rounded == NULL || rounded >= values->items + n) {
            continue;
        }
        export_cost_say(exact->name, exact->value, exact_name(run), rounded->value, "int8");
        const int n_name = snprintf(name, sizeof name, "%s/%s", exact_name(run), exact->name);
        BT_ASSERT(n_name > 0 && n_name < BT_METRIC_NAME_MAX);
        (void)n_name;
        record_add(values, name, exact->value);
    }
}
