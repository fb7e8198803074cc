/* SPDX-License-Identifier: Apache-2.0
 *
 * One evaluation: the whole validation set (or validation_steps batches of it) from its start, with
 * the averaged weights when the optimizer keeps them; its record; the best export. Memory does not
 * grow with the number of examples beyond what the metrics need. */
#include "run.h"

#include <stdio.h>

static bt_status run_batches(train_run *run, double *loss_sum, int64_t *n_batches,
                             int64_t *n_examples, bt_error *err) {
    const int64_t limit = run->config.validation_steps;
    while (limit < 0 || *n_batches < limit) {
        const bt_batch *batch = NULL;
        bool            end = false;
        if (run_must_stop(run)) {
            return BT_FAIL(err, BT_E_INTERRUPTED,
                           "stopped in the evaluation of step %" PRId64
                           " as asked; the same command continues",
                           run->step);
        }
        BT_TRY(bt_data_next_batch(run->validation_data, &batch, &end, err));
        if (end) {
            if (limit > 0) {
                bt_log(BT_LOG_INFO,
                       "the validation data ended after %" PRId64 " of %" PRId64 " batches",
                       *n_batches, limit);
            }
            return BT_OK;
        }
        bt_step_result result = {0};
        BT_TRY(bt_exec_evaluate(run->exec, batch, &result, err));
        BT_TRY(bt_metrics_update(run->validation_metrics, result.logits, batch->int_labels,
                                 batch->float_labels, batch->n_seqs, err));
        *loss_sum +=
            result.loss; /* a short last batch counts as a full one: numerics.md section 2 */
        *n_examples += batch->n_seqs;
        *n_batches += 1;
    }
    return BT_OK;
}

/* A run that predicts one class for everything looks fine by accuracy on unbalanced data. */
static void notice_one_class(const train_run *run) {
    const int64_t n_classes = run->plan.head.num_classes;
    const int64_t n = bt_metrics_n_examples(run->validation_metrics);
    if (n_classes < 2 || n < 2) {
        return;
    }
    const int64_t *const counts = bt_metrics_prediction_counts(run->validation_metrics);
    for (int64_t c = 0; c < n_classes; c++) {
        if (counts[c] == n) {
            bt_log(BT_LOG_WARNING,
                   "step %" PRId64 ": all %" PRId64 " predictions are class %" PRId64
                   ": the model has not learned to tell the classes apart (yet)",
                   run->step, n, c);
        }
    }
}

static bt_status record_evaluation(train_run *run, double loss, int64_t n_batches,
                                   int64_t n_examples, double seconds, bt_error *err) {
    bt_metric_value values[BT_TRAIN_MAX_VALUES];
    bt_metric_value extra[BT_TRAIN_MAX_VALUES];
    size_t          n_values = bt_metrics_compute(run->validation_metrics, values);
    size_t          n_extra = 0;
    if (run->task->reports_validation_loss) {
        value_add(values, &n_values, "validation_loss", loss);
    }
    if (run->config.validation_steps > 0) {
        value_add(values, &n_values, "steps_per_second", (double)n_batches / seconds);
    }
    if (best_is_on(run)) {
        BT_TRY(best_update(run, values, n_values, err));
        char name[BT_METRIC_NAME_MAX];
        (void)snprintf(name, sizeof name, "best_%s", run->config.best_metric);
        value_add(values, &n_values, name, run->best_value);
    }
    value_add(extra, &n_extra, "examples", (double)n_examples);
    value_add(extra, &n_extra, "examples_per_second", (double)n_examples / seconds);
    value_add(extra, &n_extra, "seconds", seconds);
    run->summary->n_values = 0;
    for (size_t i = 0; i < n_values; i++) {
        value_add(run->summary->values, &run->summary->n_values, values[i].name, values[i].value);
    }
    return run_log_record(run->log, "validation", run->step, values, n_values, extra, n_extra, err);
}

static bt_status evaluate_weights(train_run *run, bt_error *err) {
    const double start = bt_time_monotonic();
    double       loss_sum = 0;
    int64_t      n_batches = 0;
    int64_t      n_examples = 0;
    bt_metrics_reset(run->validation_metrics);
    BT_TRY(bt_data_seek(run->validation_data, (bt_data_cursor){0}, err));
    BT_TRY(run_batches(run, &loss_sum, &n_batches, &n_examples, err));
    if (n_batches == 0) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "no validation batch: %" PRId64 " rows are fewer than one batch of %" PRId64
                       " and task.validation_data.drop_remainder is true",
                       bt_data_n_rows(run->validation_data),
                       run->config.validation_data.global_batch_size);
    }
    notice_one_class(run);
    return record_evaluation(run, loss_sum / (double)n_batches, n_batches, n_examples,
                             bt_time_monotonic() - start, err);
}

bt_status evaluate(train_run *run, bt_error *err) {
    if (!bt_optim_has_average(run->optim)) {
        return evaluate_weights(run, err);
    }
    BT_TRY(bt_exec_swap_averages(run->exec, err));
    const bt_status rc = evaluate_weights(run, err);
    /* Weights come back whatever happened: a caller that saves on interruption must save them. */
    const bt_status back = bt_exec_swap_averages(run->exec, rc == BT_OK ? err : NULL);
    return rc == BT_OK ? back : rc;
}
