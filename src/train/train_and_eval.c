/* SPDX-License-Identifier: Apache-2.0
 *
 * Training with evaluations in between (docs/model_garden/config.md 6.1), and early stopping on the
 * metric of the best checkpoint.
 *
 * Evaluations stand at multiples of validation_interval and at the end, wherever the run was
 * stopped and continued. A checkpoint is saved before the evaluation of its step, so a run that
 * ends in between owes that evaluation; metrics.jsonl knows whether it was made. What the
 * evaluations were is in the checkpoint, not in info.json: that file may know of evaluations later
 * than the checkpoint. */
#include <inttypes.h>
#include <math.h>

#include "best_info.h"
#include "bt/base/log.h"
#include "records.h"
#include "run.h"

static bool early_stop_is_on(const train_run *run) {
    return run->args->mode == BT_CONF_MODE_TRAIN_AND_EVAL &&
           run->config.early_stopping_patience > 0 && best_is_on(run);
}

static bool early_stop_is_due(const train_run *run) {
    return early_stop_is_on(run) &&
           run->course.early_stop.n_worse >= run->config.early_stopping_patience;
}

/* One evaluation more, whose values are in the summary: just made, or recorded before a restart. */
static bt_status count_evaluation(train_run *run, bt_error *err) {
    early_stop *const state = &run->course.early_stop;
    double            value = 0;
    run->course.evaluation_due = false;
    if (!best_is_on(run)) {
        return BT_OK;
    }
    BT_TRY(best_find_value(run->config.best_metric, &run->summary->values, &value, err));
    value = isfinite(value) ? value : (double)NAN; /* as metrics.jsonl gives it back */
    if (!state->has_best || best_is_better(run->config.best_comparison, value, state->best)) {
        *state = (early_stop){.has_best = true, .best = value};
    } else {
        state->n_worse++;
    }
    return BT_OK;
}

static bt_status recall_evaluation(train_run *run, bool *is_recorded, bt_error *err) {
    BT_TRY(records_recall(run->dir.path, run->round, RECORD_VALIDATION, run->step,
                          &run->summary->values, is_recorded, err));
    return *is_recorded ? run_log_mend_evaluation(run->log, run->step, &run->summary->values,
                                                  is_recorded, err)
                        : run_log_void_evaluation(run->log, run->step, err);
}

/* What follows from the values follows from those of the writing rank, on all ranks. */
bt_status evaluate_once(train_run *run, bool is_restored, bt_error *err) {
    bool is_recorded = false;
    if (is_restored) {
        const bool      recalls = run_writes(run);
        const bt_status rc = recalls ? recall_evaluation(run, &is_recorded, err) : BT_OK;
        BT_TRY(ranks_meet(&run->ranks, rc, err));
        BT_TRY(ranks_tell(&run->ranks, &is_recorded, sizeof is_recorded, err));
    }
    BT_TRY(ranks_meet(&run->ranks, is_recorded ? BT_OK : evaluate(run, err), err));
    return ranks_tell(&run->ranks, run->summary, sizeof *run->summary, err);
}

static bt_status evaluate_if_owed(train_run *run, bool is_restored, bt_error *err) {
    if (!run->course.evaluation_due) {
        return BT_OK;
    }
    BT_TRY(evaluate_once(run, is_restored, err));
    return count_evaluation(run, err);
}

bool training_is_over(const train_run *run) {
    return run->step >= run->config.train_steps || early_stop_is_due(run);
}

void tell_finished(const train_run *run) {
    const run_config *const config = &run->config;
    if (run->saved.last < 0 || !training_is_over(run)) {
        return;
    }
    if (run->step >= config->train_steps) {
        bt_log(BT_LOG_INFO,
               "already finished at step %" PRId64 ": trainer.train_steps is %" PRId64
               ", so nothing is trained",
               run->step, config->train_steps);
        return;
    }
    bt_log(BT_LOG_INFO,
           "already finished at step %" PRId64 " of %" PRId64 ": %" PRId64
           " evaluations without a better %s than %.6g (trainer.early_stopping_patience is %" PRId64
           "), so nothing is trained",
           run->step, config->train_steps, run->course.early_stop.n_worse, config->best_metric,
           run->course.early_stop.best, config->early_stopping_patience);
}

static void tell_stopped_early(const run_config *config, const early_stop *seen, int64_t step) {
    bt_log(BT_LOG_INFO,
           "stopped early at step %" PRId64 " of %" PRId64 ": %" PRId64
           " evaluations without a better %s than %.6g (trainer.early_stopping_patience is %" PRId64
           ")",
           step, config->train_steps, seen->n_worse, config->best_metric, seen->best,
           config->early_stopping_patience);
}

bt_status recall_result(train_run *run, record_kind kind, bt_error *err) {
    bool found = false;
    return run->summary->values.n > 0 ? BT_OK
                                      : records_recall(run->dir.path, run->round, kind, run->step,
                                                       &run->summary->values, &found, err);
}

bt_status train_and_eval(train_run *run, bt_error *err) {
    bool is_restored = run->step > 0;
    BT_TRY(evaluate_if_owed(run, is_restored, err));
    const bool was_over = training_is_over(run);
    if (was_over) {
        tell_finished(run);
        BT_TRY(run_writes(run) ? recall_result(run, RECORD_VALIDATION, err) : BT_OK);
    }
    while (!training_is_over(run)) {
        BT_TRY(train_on(run, &is_restored, err));
        BT_TRY(evaluate_if_owed(run, is_restored, err));
    }
    if (run->step < run->config.train_steps) {
        run->stopped = RECORD_STOPPED_EARLY;
        if (!was_over) {
            tell_stopped_early(&run->config, &run->course.early_stop, run->step);
        }
    }
    return save_final(run, err);
}
