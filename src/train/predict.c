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

/* A pass under way. */
typedef struct predict_pass {
    train_run *run;
    int64_t    n_rows; /* that were given to the output */
    double     start, shown;
} predict_pass;

static void show_progress(void *context, int64_t n_seqs) {
    predict_pass *const pass = context;
    const int64_t       n_rows = pass->n_rows + n_seqs;
    const double        now = bt_time_monotonic();
    char                line[128];
    if (now - pass->shown < progress_period) {
        return;
    }
    pass->shown = now;
    (void)snprintf(line, sizeof line, "predict %" PRId64 "/%" PRId64 " rows | %.0f examples/s",
                   n_rows, bt_data_n_rows(pass->run->validation_data),
                   (double)n_rows / (now - pass->start));
    bt_log_progress(line);
}

static bt_status take_batch(void *context, const bt_batch *batch, const bt_step_result *result,
                            bt_error *err) {
    predict_pass *const pass = context;
    train_run *const    run = pass->run;
    BT_TRY(outputs_check(run, batch, result->logits, err));
    BT_TRY(run->task->prediction->add(run->output, batch, result->logits, err));
    pass->n_rows += batch->n_rows;
    show_progress(pass, 0);
    return BT_OK;
}

static bt_status predict_rows(const predict_pass *pass, bt_exec_window *window, bt_error *err) {
    for (;;) {
        const bt_batch *batch = NULL;
        bool            end = false;
        BT_TRY(bt_stop_check(err));
        BT_TRY(bt_data_next_batch(pass->run->validation_data, &batch, &end, err));
        if (end) {
            return bt_exec_window_flush(window, err);
        }
        BT_TRY(bt_exec_window_add(window, batch, err));
    }
}

static bt_status predict_all(predict_pass *pass, bt_error *err) {
    bt_exec_window *window = NULL;
    BT_TRY(bt_exec_window_create(pass->run->exec, take_batch, show_progress, pass, &window, err));
    const bt_status rc = predict_rows(pass, window, err);
    bt_exec_window_free(window);
    bt_log_progress(NULL);
    return rc != BT_E_INTERRUPTED ? rc
                                  : BT_FAIL(err, BT_E_INTERRUPTED,
                                            "stopped by %s after %" PRId64
                                            " predictions; the same command starts again",
                                            bt_stop_signal_name(), pass->n_rows);
}

static bt_status predict_weights(train_run *run, bt_error *err) {
    const bt_task_output *const output = run->task->prediction;
    predict_pass                pass = {.run = run, .start = bt_time_monotonic()};
    stages_end(&run->stages, "folder", "predicting");
    stages_tell_ready(&run->stages, "batch");
    BT_TRY(decision_recall(run, err));
    BT_TRY(output->reset(run->output, err));
    pass.shown = pass.start;
    BT_TRY(predict_all(&pass, err));
    if (output->finish != NULL) {
        BT_TRY(
            output->finish(run->output, run->summary->values.items, &run->summary->values.n, err));
    }
    BT_TRY(output->write(run->output, err));
    const double seconds = bt_time_monotonic() - pass.start;
    bt_log(BT_LOG_INFO, "%" PRId64 " rows in %.1f s, %.0f examples/s", pass.n_rows, seconds,
           (double)pass.n_rows / seconds);
    return BT_OK;
}

bt_status predict(train_run *run, bt_error *err) {
    return with_averages(run, predict_weights, err);
}
