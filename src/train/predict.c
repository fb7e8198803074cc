/* SPDX-License-Identifier: Apache-2.0
 *
 * --mode=predict: one pass over all rows of task.validation_data in the order of the files, with
 * the averaged weights when the optimizer keeps them; the task's output writes what it makes of the
 * logits. A pass that was stopped leaves no file: the same command makes it again. */
#include <inttypes.h>
#include <stdio.h>

#include "bt/base/log.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"
#include "decision.h"
#include "run.h"

/* The progress line is redrawn at most this often, in seconds. */
static const double progress_period = 0.2;

static void show_progress(int64_t n_rows, int64_t n_all, double start, double *shown) {
    const double now = bt_time_monotonic();
    char         line[128];
    if (now - *shown < progress_period) {
        return;
    }
    *shown = now;
    (void)snprintf(line, sizeof line, "predict %" PRId64 "/%" PRId64 " rows | %.0f examples/s",
                   n_rows, n_all, (double)n_rows / (now - start));
    bt_log_progress(line);
}

static bt_status predict_rows(train_run *run, int64_t *n_rows, bt_error *err) {
    const bt_task_output *const output = run->task->prediction;
    const double                start = bt_time_monotonic();
    double                      shown = start;
    for (;;) {
        const bt_batch *batch = NULL;
        bool            end = false;
        bt_step_result  result = {0};
        if (bt_stop_requested()) {
            return BT_FAIL(err, BT_E_INTERRUPTED,
                           "stopped by %s after %" PRId64
                           " predictions; the same command starts again",
                           bt_stop_signal_name(), *n_rows);
        }
        BT_TRY(bt_data_next_batch(run->validation_data, &batch, &end, err));
        if (end) {
            return BT_OK;
        }
        BT_TRY(bt_exec_evaluate(run->exec, batch, &result, err));
        BT_TRY(output->add(run->output, batch, result.logits, err));
        *n_rows += batch->n_rows;
        show_progress(*n_rows, bt_data_n_rows(run->validation_data), start, &shown);
    }
}

static bt_status predict_weights(train_run *run, bt_error *err) {
    const bt_task_output *const output = run->task->prediction;
    const double                start = bt_time_monotonic();
    int64_t                     n_rows = 0;
    stages_end(&run->stages, "folder", "predicting");
    stages_tell_ready(&run->stages, "batch");
    BT_TRY(decision_recall(run, err));
    BT_TRY(output->reset(run->output, err));
    const bt_status rc = predict_rows(run, &n_rows, err);
    bt_log_progress(NULL);
    BT_TRY(rc);
    if (output->finish != NULL) {
        BT_TRY(
            output->finish(run->output, run->summary->values.items, &run->summary->values.n, err));
    }
    BT_TRY(output->write(run->output, err));
    const double seconds = bt_time_monotonic() - start;
    bt_log(BT_LOG_INFO, "%" PRId64 " rows in %.1f s, %.0f examples/s", n_rows, seconds,
           (double)n_rows / seconds);
    return BT_OK;
}

bt_status predict(train_run *run, bt_error *err) {
    return with_averages(run, predict_weights, err);
}
