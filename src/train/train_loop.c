/* SPDX-License-Identifier: Apache-2.0
 *
 * Training in chunks of steps_per_loop: step, record, recovery, checkpoint
 * (docs/model_garden/config.md 5.2, 6.3). A step is a function of (parameters, batch, step number,
 * seed), nothing else. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "bt/base/log.h"
#include "bt/base/size.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"
#include "run.h"

/* The progress line is redrawn at most this often, in seconds; programs are told less often. */
static const double progress_period = 0.2;
static const double event_period = 10.0;

/* A fixed loss scale that is too large looks the same. */
static const char *nonfinite_hint(const run_config *config) {
    const bool is_scaled = run_config_precision(config) == BT_PRECISION_F16;
    return is_scaled && config->loss_scale > 0 ? "a smaller runtime.loss_scale or learning rate"
                                               : "a smaller learning rate";
}

/* A number that is not finite: says where, and which rows, because the next thing that one wants
 * to do is to look at them. */
static bt_status fail_nonfinite(train_run *run, const bt_batch *batch, const bt_step_result *result,
                                bt_error *err) {
    char     saved[64] = "nothing was saved before it";
    bt_error problem = BT_ERROR_INIT;
    /* one that is refused says where it began */
    const bt_status rc = saver_join(run->saver, &run->saved, &problem);
    if (rc == BT_E_DIVERGED) {
        *err = problem;
        return rc;
    }
    if (rc != BT_OK) {
        bt_log(BT_LOG_WARNING, "%s", problem.msg);
    }
    if (run->saved.last >= 0) {
        (void)snprintf(saved, sizeof saved, "the checkpoint of step %" PRId64 " stays",
                       run->saved.last);
    }
    return BT_FAIL(
        err, BT_E_DIVERGED,
        "step %" PRId64
        ": loss %g, gradient norm %g: not a finite number, in the batch of training rows %" PRId64
        " to %" PRId64 " (counted from the start of the run); it is not saved, and %s; try %s (it "
        "was %g) or look at those rows",
        run->step, result->loss, result->grad_norm, batch->first_record,
        batch->first_record + batch->n_rows - 1, saved, nonfinite_hint(&run->config),
        (double)bt_optim_learning_rate(run->optim, run->step));
}

bt_status fail_data_end(int64_t step, int64_t n_steps, bt_error *err) {
    return BT_FAIL(
        err, BT_E_FORMAT,
        "training data ended at step %" PRId64 " of %" PRId64
        ": task.train_data.is_training is false, so the rows are not repeated; set it to true",
        step, n_steps);
}

/* What may end the training between two steps. */
static bt_status check_before_step(train_run *run, bt_error *err) {
    BT_TRY(bt_stop_check(err));
    return saver_has_failed(run->saver) ? saver_join(run->saver, &run->saved, err) : BT_OK;
}

static bt_status read_batch(bt_data_stream *data, chunk_sums *chunk, const bt_batch **batch,
                            bool *end, bt_error *err) {
    const double waited = bt_data_wait_seconds(data);
    BT_TRY(bt_data_next_batch(data, batch, end, err));
    chunk->input_wait += bt_data_wait_seconds(data) - waited;
    return BT_OK;
}

/* With others, a rank that was asked to stop has told them so before anybody makes the step. A
 * batch that is not used then is given back. */
static bt_status read_together(train_run *run, const bt_batch **batch, bool *end, bt_error *err) {
    const bt_data_cursor cursor = bt_data_get_cursor(run->train_data);
    bt_status            rc = check_before_step(run, err);
    if (rc == BT_OK) {
        rc = read_batch(run->train_data, &run->course.chunk, batch, end, err);
    }
    const bool   is_read = rc == BT_OK;
    const double began = bt_time_monotonic();
    rc = ranks_meet(&run->ranks, rc, err);
    run->course.chunk.exchange += bt_time_monotonic() - began;
    if (is_read && rc == BT_E_INTERRUPTED) {
        BT_TRY(bt_data_seek(run->train_data, cursor, err));
    }
    return rc;
}

static bt_status begin_step(train_run *run, bt_error *err) {
    const bt_batch *batch = NULL;
    bool            end = false;
    const int64_t   step = run->step + run->n_under_way;
    BT_TRY(run->ranks.comm == NULL
               ? read_batch(run->train_data, &run->course.chunk, &batch, &end, err)
               : read_together(run, &batch, &end, err));
    if (end) {
        return fail_data_end(step, run->config.train_steps, err);
    }
    BT_TRY(bt_exec_train_begin(run->exec, batch, step, run->config.seed, err));
    run->n_under_way++;
    return BT_OK;
}

static bt_status end_step(train_run *run, double *loss, bt_error *err) {
    const bt_batch *batch = NULL;
    bt_step_result  result = {0};
    BT_TRY(bt_exec_train_end(run->exec, &result, &batch, err));
    run->n_under_way--;
    if (result.n_nonfinite > 0 && !result.is_skipped && run->config.recovery_max_trials == 0) {
        return fail_nonfinite(run, batch, &result, err);
    }
    BT_TRY(bt_metrics_update(run->train_metrics, batch, result.logits, err));
    chunk_sums *const c = &run->course.chunk;
    c->exchange += result.times.exchange;
    c->loss += result.loss;
    c->grad_norm += result.is_skipped ? 0 : result.grad_norm;
    c->n_skipped += result.is_skipped;
    c->n_steps++;
    c->n_examples += batch->n_rows;
    c->n_tokens += batch->n_tokens;
    c->n_padded += batch->n_seqs * batch->seq_length;
    run->step++;
    *loss = result.loss;
    return BT_OK;
}

static void reset_chunk(train_run *run) {
    run->course.chunk = (chunk_sums){.start_step = run->step};
    bt_metrics_reset(run->train_metrics);
}

static bt_status record_chunk(train_run *run, bt_error *err) {
    const chunk_sums *const c = &run->course.chunk;
    const double            n = c->n_steps > 0 ? (double)c->n_steps : 1.0;
    const double            seconds = c->seconds > 0 ? c->seconds : 1e-9;
    bt_train_values         values;
    bt_train_values         extra = {.n = 0};
    values.n = bt_metrics_compute(run->train_metrics, values.items);
    record_add(&values, "training_loss", c->loss / n);
    /* of the next update, as Model Garden logs it */
    record_add(&values, "learning_rate", (double)bt_optim_learning_rate(run->optim, run->step));
    record_add(&values, "steps_per_second", n / seconds);
    record_add_extra(&extra, EXTRA_EXAMPLES_PER_SECOND, (double)c->n_examples / seconds);
    record_add_extra(&extra, EXTRA_TOKENS_PER_SECOND, (double)c->n_tokens / seconds);
    record_add_extra(&extra, EXTRA_GRAD_NORM,
                     c->grad_norm /
                         (double)(c->n_steps > c->n_skipped ? c->n_steps - c->n_skipped : 1));
    if (run_config_precision(&run->config) == BT_PRECISION_F16) {
        record_add_extra(&extra, EXTRA_LOSS_SCALE, bt_exec_get_loss_scale(run->exec).factor);
        record_add_extra(&extra, EXTRA_SKIPPED_UPDATES, (double)c->n_skipped);
    }
    record_add_extra(&extra, EXTRA_INPUT_WAIT, c->input_wait / seconds);
    if (run->ranks.comm != NULL) {
        record_add_extra(&extra, EXTRA_EXCHANGE_WAIT, c->exchange / seconds);
    }
    record_add_extra(&extra, EXTRA_PADDING_AVOIDED,
                     c->n_padded > 0 ? 1.0 - (double)c->n_tokens / (double)c->n_padded : 0.0);
    if (!bt_conf_mode_evaluates(run->args->mode)) {
        run->summary->values = values;
    }
    if (!run_writes(run)) {
        return BT_OK;
    }
    return run_log_record(run->log, RECORD_TRAIN, run->step, &values, &extra, NULL, err);
}

/* What a recovery is for. */
enum { TROUBLE_MAX = 256 };
typedef struct trouble {
    bool is_there;
    char what[TROUBLE_MAX]; /* of the writing rank */
    char rule[64];          /* after it, where the run ends */
} trouble;

/* To the latest checkpoint, or to the beginning. */
static bt_status go_back(train_run *run, double loss, const trouble *why, bool *went_back,
                         bt_error *err) {
    bool found = false;
    BT_TRY(snapshot_go_back(run, &found, err));
    *went_back = found;
    if (!found && run->course.save_base >= 0) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s, and %s no longer has a checkpoint to go back to: bring its files back "
                       "and start again",
                       why->what, run->args->model_dir);
    }
    if (found) {
        BT_TRY(run_log_rewind(run->log, run->step, err));
    }
    if (!found) {
        BT_TRY(snapshot_start_again(run, err));
    }
    const bt_log_field fields[] = {bt_log_int("step", run->step), bt_log_number("loss", loss),
                                   bt_log_int("trial", run->course.recovery_trials)};
    bt_log_event(BT_LOG_WARNING, "recovery", fields, BT_ARRAY_LEN(fields),
                 "%s: recovered the model from %s at step %" PRId64 " (trial %" PRId64
                 " of %" PRId64 ")",
                 why->what, found ? "the latest checkpoint" : "its initial weights", run->step,
                 run->course.recovery_trials, run->config.recovery_max_trials);
    return BT_OK;
}

/* Model Garden's rule: the first chunk's end is always saved, intervals count from there; what a
 * stop saved in between does not count. */
static bool save_is_due(const train_run *run) {
    return run_config_saves(&run->config) &&
           (run->course.save_base < 0 ||
            run->step >= run->course.save_base + run->config.checkpoint_interval.value);
}

/* Weights that the next save or evaluation would refuse: found here, at the same step whoever
 * writes the checkpoints, and not by the save, beside which the steps go on. */
static bt_status look_at_weights(train_run *run, int64_t target, trouble *out, bt_error *err) {
    saver_odd odd = {0};
    if (out->is_there || run->config.recovery_max_trials <= 0 ||
        (run->step < target && !save_is_due(run))) {
        return BT_OK;
    }
    const bt_status rc =
        run_writes(run) ? snapshot_find_odd(run, &odd, &out->is_there, err) : BT_OK;
    BT_TRY(ranks_meet(&run->ranks, rc, err));
    if (out->is_there) {
        (void)snprintf(out->what, sizeof out->what, "%.150s%s is %g after its update", odd.name,
                       odd.part, odd.value);
    }
    return ranks_tell(&run->ranks, out, sizeof *out, err);
}

/* docs/model_garden/config.md 5.2: NaN at any step, or a loss above the bound from
 * recovery_begin_steps on, is one trial; one too many is the end, else the latest checkpoint is
 * restored. The data goes on: the same batch would give the same loss again. */
static bt_status check_recovery(train_run *run, double loss, int64_t target, bool *went_back,
                                bt_error *err) {
    const run_config *const config = &run->config;
    const bool              is_above =
        loss > config->loss_upper_bound && run->step >= config->recovery_begin_steps;
    trouble seen = {.is_there = config->recovery_max_trials >= 0 && (!isfinite(loss) || is_above)};
    *went_back = false;
    (void)snprintf(seen.what, sizeof seen.what, "training loss %g", loss);
    if (seen.is_there) {
        (void)snprintf(seen.rule, sizeof seen.rule, " (trainer.loss_upper_bound is %g)",
                       config->loss_upper_bound);
    }
    BT_TRY(look_at_weights(run, target, &seen, err));
    if (!seen.is_there) {
        return BT_OK;
    }
    run->course.recovery_trials++;
    if (run->course.recovery_trials > config->recovery_max_trials) {
        return BT_FAIL(err, BT_E_DIVERGED,
                       "step %" PRId64 ": %s%s, time number %" PRId64
                       ", and trainer.recovery_max_trials is %" PRId64
                       ": try a smaller learning rate",
                       run->step, seen.what, seen.rule, run->course.recovery_trials,
                       config->recovery_max_trials);
    }
    BT_TRY(ranks_meet(&run->ranks,
                      run_writes(run) ? go_back(run, loss, &seen, went_back, err) : BT_OK, err));
    BT_TRY(ranks_tell(&run->ranks, went_back, sizeof *went_back, err));
    return ranks_share_state(run, err);
}

static bt_status save_if_due(train_run *run, bt_error *err) {
    if (!save_is_due(run)) {
        return BT_OK;
    }
    run->course.save_base = run->step;
    return snapshot_save(run, err);
}

bt_status save_final(train_run *run, bt_error *err) {
    if (!run_config_saves(&run->config) || run->saved.last == run->step) {
        return BT_OK;
    }
    run->course.save_base = run->step;
    return snapshot_save(run, err);
}

/* Makes one step, and lets the engine have as many more as it takes before their time. */
static bt_status train_step(train_run *run, int64_t last, double *loss, bt_error *err) {
    const int32_t depth = bt_exec_train_depth(run->exec);
    while (run->n_under_way < depth && run->step + run->n_under_way < last) {
        BT_TRY(begin_step(run, err));
    }
    return end_step(run, loss, err);
}

/* A stop takes in the steps that were begun: their updates are made, and saved. So does a failure,
 * as far as they can be had: it came after them. */
static bt_status end_all(train_run *run, bt_status rc, bt_error *err) {
    bt_error  own = BT_ERROR_INIT;
    bt_status ended = BT_OK;
    double    loss = 0;
    while (rc != BT_OK && ended == BT_OK && run->n_under_way > 0) {
        ended = end_step(run, &loss, &own);
    }
    if (rc != BT_E_INTERRUPTED || ended == BT_OK) {
        return rc;
    }
    *err = own; /* nothing is saved of them */
    return ended;
}

static bt_status make_steps(train_run *run, int64_t last, bt_error *err) {
    const double period = bt_log_is_json() ? event_period : progress_period;
    double       drawn = bt_time_monotonic();
    while (run->step < last) {
        BT_TRY(run->ranks.comm == NULL ? check_before_step(run, err) : BT_OK);
        const double start = bt_time_monotonic();
        double       loss = 0;
        BT_TRY(train_step(run, last, &loss, err));
        const double now = bt_time_monotonic();
        run->course.chunk.seconds += now - start;
        stages_tell_first(&run->stages, now - start);
        if (now - drawn > period) {
            run_log_progress(&run->course.chunk, run->step, run->config.train_steps, loss,
                             (double)bt_optim_learning_rate(run->optim, run->step - 1));
            drawn = now;
        }
    }
    bt_log_progress(NULL);
    return BT_OK;
}

static bt_status run_chunk(train_run *run, int64_t last, bt_error *err) {
    stages_end(&run->stages, "folder", "the first step");
    stages_tell_ready(&run->stages, "step");
    (void)bt_stop_say("after this step");
    const bt_status rc = end_all(run, make_steps(run, last, err), err);
    if (rc == BT_E_INTERRUPTED && run->step == last) {
        /* Those under way were the chunk's last: it is over as ever, record and save; the request
         * is heard before the next step. */
        *err = (bt_error)BT_ERROR_INIT;
        return BT_OK;
    }
    return rc;
}

/* One chunk; *went_back: a recovery took the run back to a checkpoint after it. */
static bt_status train_chunk(train_run *run, int64_t target, bool *went_back, bt_error *err) {
    /* A run that was stopped inside a chunk goes on to that chunk's end. */
    const int64_t chunk_end =
        bt_i64_min(target, run->course.chunk.start_step + run->config.steps_per_loop);
    BT_TRY(run_chunk(run, chunk_end, err));
    const double loss = run->course.chunk.loss / (double)run->course.chunk.n_steps;
    BT_TRY(record_chunk(run, err));
    BT_TRY(check_recovery(run, loss, target, went_back, err));
    reset_chunk(run);
    if (*went_back) {
        return BT_OK; /* what the checkpoint says of evaluations and saves is true again */
    }
    /* Goes into the checkpoint: a run that ends here, however it ends, still owes it. */
    run->course.evaluation_due =
        run->args->mode == BT_CONF_MODE_TRAIN_AND_EVAL && run->step == target;
    return save_if_due(run, err);
}

bt_status train_on(train_run *run, bool *is_restored, bt_error *err) {
    *is_restored = false;
    while (run->step < run->config.train_steps && !run->course.evaluation_due) {
        bool went_back = false;
        BT_TRY(train_chunk(run,
                           run_config_next_evaluation(&run->config, run->args->mode, run->step),
                           &went_back, err));
        *is_restored = went_back;
    }
    return BT_OK;
}
