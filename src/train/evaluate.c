/* SPDX-License-Identifier: Apache-2.0
 *
 * One evaluation: the whole validation set (or validation_steps batches of it) from its start, with
 * the averaged weights when the optimizer keeps them; its record; the best export. Memory does not
 * grow with the number of examples beyond what the metrics need. */
#include <inttypes.h>
#include <stdio.h>

#include "bt/base/log.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"
#include "decision.h"
#include "rounding.h"

/* What one pass over the validation data sums up. */
typedef struct pass_sums {
    double  loss;
    int64_t n_batches;
    int64_t n_examples;
} pass_sums;

/* A pass under way. */
typedef struct eval_pass {
    train_run *run;
    pass_sums *sums;
} eval_pass;

static bt_status take_batch(void *context, const bt_batch *batch, const bt_step_result *result,
                            bt_error *err) {
    const eval_pass *const      pass = context;
    train_run *const            run = pass->run;
    pass_sums *const            sums = pass->sums;
    const bt_task_output *const output = run->task->evaluation;
    BT_TRY(outputs_check(run, batch, result->logits, err));
    BT_TRY(bt_metrics_update(run->validation_metrics, batch, result->logits, err));
    eval_details_add(run->details, batch, result->logits);
    if (output != NULL) {
        BT_TRY(output->add(run->output, batch, result->logits, err));
    }
    /* a short last batch counts as a full one: docs/model_garden/numerics.md section 2 */
    sums->loss += result->loss;
    sums->n_examples += batch->n_rows;
    sums->n_batches += 1;
    return BT_OK;
}

/* Batches from the data to their end, or the first validation_steps of them; and what of them is
 * not evaluated when it is full. */
static bt_status read_batches(train_run *run, bt_exec_window *window, bt_error *err) {
    const int64_t limit = run->config.validation_steps;
    for (int64_t n = 0; limit < 0 || n < limit; n++) {
        const bt_batch *batch = NULL;
        bool            end = false;
        bt_status       rc = bt_stop_check(err);
        if (rc == BT_OK) {
            rc = bt_data_next_batch(run->validation_data, &batch, &end, err);
        }
        BT_TRY(ranks_meet(&run->ranks, rc, err));
        if (end) {
            if (limit > 0) {
                bt_log(BT_LOG_INFO,
                       "the validation data ended after %" PRId64 " of %" PRId64 " batches", n,
                       limit);
            }
            break;
        }
        BT_TRY(ranks_meet(&run->ranks, bt_exec_window_add(window, batch, err), err));
    }
    return ranks_meet(&run->ranks, bt_exec_window_flush(window, err), err);
}

static bt_status run_batches(train_run *run, pass_sums *sums, bt_error *err) {
    bt_exec_window *window = NULL;
    eval_pass       pass = {.run = run, .sums = sums};
    BT_TRY(bt_exec_window_create(run->exec, take_batch, NULL, &pass, &window, err));
    const bt_status rc = read_batches(run, window, err);
    bt_exec_window_free(window);
    return rc;
}

/* How many classes were predicted at all, or 0 where nothing is classified. A run that predicts one
 * class for everything looks fine by accuracy on unbalanced data, so that is said. */
static int64_t count_predicted_classes(const bt_metrics *metrics, const bt_task_plan *plan,
                                       int64_t step, bool tells) {
    char                 when[40];
    int64_t              n = 0;
    int64_t              n_predicted = 0;
    const int64_t *const counts = bt_metrics_prediction_counts(metrics, &n);
    if (counts == NULL) {
        return 0;
    }
    (void)snprintf(when, sizeof when, "step %" PRId64 ": ", step);
    if (tells) { /* all have the same predictions */
        bt_task_notice_one_class(when, &plan->labels, counts, plan->head.num_classes, n);
    }
    for (int64_t c = 0; c < plan->head.num_classes; c++) {
        n_predicted += counts[c] > 0;
    }
    return n_predicted;
}

/* Model Garden's metrics, what the task's output adds, and the loss, in this order; then what is
 * ours alone. seconds 0: the values alone, and nothing is written. */
static bt_status collect_values(train_run *run, const pass_sums *sums, double seconds,
                                bt_train_values *values, bt_error *err) {
    const bt_task_output *const output = run->task->evaluation;
    bt_metric_value             own[BT_METRIC_MAX];
    bt_train_values             chosen = {.n = 0};
    BT_TRY(decision_settle(run, &chosen, err));
    const size_t n = bt_metrics_compute(run->validation_metrics, own);
    if (run->plan.n_bootstrap > 0) { /* a stop cuts them short */
        BT_TRY(ranks_meet(&run->ranks, bt_stop_check(err), err));
    }
    const size_t n_garden = run->plan.n_garden_metrics;
    for (size_t i = 0; i < n && i < n_garden; i++) {
        record_add(values, own[i].name, own[i].value);
    }
    if (output != NULL && output->finish != NULL) {
        BT_TRY(output->finish(run->output, values->items, &values->n, err));
    }
    if (output != NULL && output->write != NULL && seconds > 0 && run_writes(run)) {
        BT_TRY(output->write(run->output, err));
    }
    if (run->task->reports_validation_loss) {
        record_add(values, "validation_loss", sums->loss / (double)sums->n_batches);
    }
    if (run->config.validation_steps > 0 && seconds > 0) {
        record_add(values, "steps_per_second", (double)sums->n_batches / seconds);
    }
    for (size_t i = n_garden; i < n; i++) {
        record_add(values, own[i].name, own[i].value);
    }
    for (size_t i = 0; i < chosen.n; i++) {
        record_add(values, chosen.items[i].name, chosen.items[i].value);
    }
    return BT_OK;
}

static bt_status write_evaluation(train_run *run, const bt_train_values *values,
                                  const bt_train_values *extra, bt_error *err) {
    const run_figures seen = {.metrics = run->validation_metrics, .labels = &run->plan.labels};
    BT_TRY(report_evaluation(run, values, err));
    return run_log_record(run->log, RECORD_VALIDATION, run->step, values, extra, &seen, err);
}

static bt_status record_evaluation(train_run *run, const pass_sums *sums, double seconds,
                                   bt_error *err) {
    bt_train_values values = {.n = 0};
    bt_train_values extra = {.n = 0};
    bt_status       best = BT_OK;
    /* the record of an evaluation, and the best checkpoint, come after the step's own checkpoint
     */
    BT_TRY(saver_join(run->saver, &run->saved, err));
    BT_TRY(collect_values(run, sums, seconds, &values, err));
    rounding_add(run, &values);
    if (best_is_on(run)) {
        if (run_writes(run)) {
            best = best_update(run, &values, err);
        }
        if (best != BT_OK && run->args->mode != BT_CONF_MODE_EVAL) {
            return best; /* the evaluation is owed: it has no record, and is made again */
        }
        char   name[BT_METRIC_NAME_MAX];
        double value = 0;
        BT_TRY(best_find_value(run->config.best_metric, &values, &value, err));
        (void)snprintf(name, sizeof name, "best_%s", run->config.best_metric);
        record_add(&values, name,
                   best_so_far(run->config.best_comparison, &run->course.early_stop, value));
    }
    record_add_extra(&extra, EXTRA_EXAMPLES, (double)sums->n_examples);
    record_add_extra(&extra, EXTRA_EXAMPLES_PER_SECOND, (double)sums->n_examples / seconds);
    record_add_extra(&extra, EXTRA_SECONDS, seconds);
    const int64_t n_predicted =
        count_predicted_classes(run->validation_metrics, &run->plan, run->step, run_writes(run));
    if (n_predicted > 0) {
        record_add_extra(&extra, EXTRA_PREDICTED_CLASSES, (double)n_predicted);
    }
    run->summary->values = values;
    if (!run_writes(run)) {
        return BT_OK;
    }
    /* one by itself has its numbers, if there is no room for the checkpoint */
    const bt_status rc = write_evaluation(run, &values, &extra, best == BT_OK ? err : NULL);
    return best == BT_OK ? rc : best;
}

static bt_status sum_up(train_run *run, pass_sums *sums, bt_error *err) {
    *sums = (pass_sums){0};
    (void)bt_stop_say("after this batch of the evaluation");
    bt_metrics_reset(run->validation_metrics);
    eval_details_reset(run->details);
    if (run->task->evaluation != NULL) {
        BT_TRY(run->task->evaluation->reset(run->output, err));
    }
    BT_TRY(bt_data_seek(run->validation_data, (bt_data_cursor){0}, err));
    BT_TRY(run_batches(run, sums, err));
    if (sums->n_batches == 0) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "no validation batch: %" PRId64 " rows are fewer than one batch of %" PRId64
                       " and task.validation_data.drop_remainder is true",
                       bt_data_n_rows(run->validation_data),
                       run->config.validation_data.global_batch_size);
    }
    return BT_OK;
}

static bt_status evaluate_weights(train_run *run, bt_error *err) {
    const double start = bt_time_monotonic();
    pass_sums    sums;
    stages_end(&run->stages, "folder", "evaluating");
    stages_tell_ready(&run->stages, "batch");
    BT_TRY(sum_up(run, &sums, err));
    return record_evaluation(run, &sums, bt_time_monotonic() - start, err);
}

bt_status evaluate_values(train_run *run, bt_train_values *values, bt_error *err) {
    pass_sums sums;
    BT_TRY(sum_up(run, &sums, err));
    return collect_values(run, &sums, 0, values, err);
}

/* Weights that were rounded are not swapped back: nothing goes on with them. */
static bt_status with_rounded(train_run *run, bt_status (*pass)(train_run *, bt_error *),
                              bt_error  *err) {
    if (bt_exec_average(run->exec) != NULL) {
        BT_TRY(bt_exec_swap_averages(run->exec, err));
    }
    BT_TRY(rounding_begin(run, err));
    return pass(run, err);
}

/* Without averages the engine of an evaluation by itself has them as its weights. */
bt_status with_averages(train_run *run, bt_status (*pass)(train_run *, bt_error *), bt_error *err) {
    if (rounding_is_on(run)) {
        return with_rounded(run, pass, err);
    }
    if (bt_exec_average(run->exec) == NULL) {
        return pass(run, err);
    }
    BT_TRY(bt_exec_swap_averages(run->exec, err));
    const bt_status rc = pass(run, err);
    /* Weights come back whatever happened: a caller that saves on interruption must save them. */
    const bt_status back = bt_exec_swap_averages(run->exec, rc == BT_OK ? err : NULL);
    return rc == BT_OK ? back : rc;
}

bt_status evaluate(train_run *run, bt_error *err) {
    return with_averages(run, evaluate_weights, err);
}
