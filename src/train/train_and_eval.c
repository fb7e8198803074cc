/* SPDX-License-Identifier: Apache-2.0
 *
 * Training with evaluations in between (spec/config.md 6.1), and early stopping on the metric of
 * the best checkpoint.
 *
 * A checkpoint is saved before the evaluation of its step, so a run that ends in between owes that
 * evaluation; metrics.jsonl knows whether it was made. What early stopping has counted is in the
 * checkpoint, not in info.json: that file may know of evaluations later than the checkpoint. */
#include "run.h"

#include <math.h>

static bool early_stop_is_on(const train_run *run) {
    return run->config.early_stopping_patience > 0 && best_is_on(run);
}

static bool early_stop_is_due(const train_run *run) {
    return early_stop_is_on(run) && run->early_stop.n_worse >= run->config.early_stopping_patience;
}

/* One evaluation more, whose values are in the summary: just made, or recorded before a restart. */
static bt_status early_stop_count(train_run *run, bt_error *err) {
    early_stop *const state = &run->early_stop;
    double            value = 0;
    if (!early_stop_is_on(run)) {
        return BT_OK;
    }
    BT_TRY(best_find_value(run, run->summary->values, run->summary->n_values, &value, err));
    value = isfinite(value) ? value : (double)NAN; /* as metrics.jsonl gives it back */
    if (!state->has_best || best_is_better(run->config.best_comparison, value, state->best)) {
        *state = (early_stop){.has_best = true, .best = value};
    } else {
        state->n_worse++;
    }
    return BT_OK;
}

static bt_status evaluate_and_count(train_run *run, bt_error *err) {
    BT_TRY(evaluate(run, err));
    BT_TRY(early_stop_count(run, err));
    run->evaluation_due = false;
    return BT_OK;
}

static bt_status evaluate_if_owed(train_run *run, bt_error *err) {
    bool is_recorded = false;
    if (!run->evaluation_due) {
        return BT_OK;
    }
    BT_TRY(recall_record(run->args->model_dir, "validation", run->step, run->summary, &is_recorded,
                         err));
    if (!is_recorded) {
        return evaluate_and_count(run, err);
    }
    run->evaluation_due = false;
    return early_stop_count(run, err);
}

/* The step of the next evaluation. Model Garden counts from where the run was restored. Early
 * stopping counts evaluations, which must be the same ones whether a run was stopped or not: its
 * steps are multiples of the interval. */
static int64_t next_evaluation(const train_run *run, int64_t restored_step) {
    const bt_conf_opt_i64 interval = run->config.validation_interval;
    const int64_t         end = run->config.train_steps;
    if (!interval.is_set || interval.value <= 0) {
        return end;
    }
    const int64_t start = early_stop_is_on(run) ? 0 : restored_step;
    const int64_t n_done = (run->step - start) / interval.value;
    return n_done >= (end - start) / interval.value ? end : start + (n_done + 1) * interval.value;
}

static bool training_is_over(const train_run *run) {
    return run->step >= run->config.train_steps || early_stop_is_due(run);
}

bt_status train_and_eval(train_run *run, bt_error *err) {
    const int64_t restored_step = run->step;
    BT_TRY(evaluate_if_owed(run, err));
    if (training_is_over(run)) {
        BT_TRY(recall_result(run, "validation", err));
    }
    while (!training_is_over(run)) {
        BT_TRY(train_to(run, next_evaluation(run, restored_step), err));
        BT_TRY(evaluate_and_count(run, err));
    }
    if (run->step < run->config.train_steps) {
        run->stopped = "early_stopping";
        bt_log(BT_LOG_INFO,
               "stopped early at step %" PRId64 " of %" PRId64 ": %" PRId64
               " evaluations without a better %s than %.6g "
               "(trainer.early_stopping_patience is %" PRId64 ")",
               run->step, run->config.train_steps, run->early_stop.n_worse, run->config.best_metric,
               run->early_stop.best, run->config.early_stopping_patience);
    }
    return save_final(run, err);
}
