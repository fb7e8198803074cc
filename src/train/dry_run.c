/* SPDX-License-Identifier: Apache-2.0
 *
 * --dry_run: the checks of a run (run_check), the same list; then what the run would find on its
 * way: every row that it would read. Nothing is trained and nothing is written. */
#include <inttypes.h>

#include "bt/base/log.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"
#include "bt/fs.h"
#include "run.h"

bt_status dry_read_training(train_run *run, dry_batch_fn fn, void *context, bt_error *err) {
    const int64_t first_step = run->step;
    const int64_t n_rows = bt_data_n_rows(run->train_data);
    const int64_t batch = run->config.train_data.global_batch_size;
    const int64_t n_steps = run->config.train_steps - first_step;
    const int64_t n_epoch = (n_rows + batch - 1) / batch;
    const int64_t n = run->config.train_data.is_training && n_epoch < n_steps ? n_epoch : n_steps;
    for (int64_t i = 0; i < n; i++) {
        const bt_batch *rows = NULL;
        bool            end = false;
        BT_TRY(bt_stop_check(err));
        BT_TRY(bt_data_next_batch(run->train_data, &rows, &end, err));
        if (end) {
            return fail_data_end(first_step + i, run->config.train_steps, err);
        }
        BT_TRY(fn != NULL ? fn(context, rows, err) : BT_OK);
    }
    return BT_OK;
}

bt_status dry_read_other(train_run *run, dry_batch_fn fn, void *context, bt_error *err) {
    const int64_t n_steps =
        run->args->mode == BT_CONF_MODE_PREDICT ? -1 : run->config.validation_steps;
    bool end = false;
    for (int64_t i = 0; !end && (n_steps < 0 || i < n_steps); i++) {
        const bt_batch *rows = NULL;
        BT_TRY(bt_stop_check(err));
        BT_TRY(bt_data_next_batch(run->validation_data, &rows, &end, err));
        BT_TRY(!end && fn != NULL ? fn(context, rows, err) : BT_OK);
    }
    return BT_OK;
}

static bt_status read_all(train_run *run, bt_error *err) {
    if (run->train_data != NULL) {
        BT_TRY(dry_read_training(run, NULL, NULL, err));
    }
    return run->validation_data != NULL ? dry_read_other(run, NULL, NULL, err) : BT_OK;
}

static bt_status check_once(const bt_train_args *args, bt_error *err) {
    bt_train_summary summary = {0};
    train_run        run = run_begin(args, FOR_DRY_RUN, &summary);
    bt_status        rc = run_check(&run, err);
    if (rc == BT_OK) {
        rc = read_all(&run, err);
    }
    run_deinit(&run);
    return rc;
}

bt_status bt_train_check(const bt_train_args *args, bt_error *err) {
    if (args->mode == BT_CONF_MODE_EXPORT) {
        bt_train_summary summary = {0};
        return run_export(args, true, &summary, err);
    }
    if (args->mode != BT_CONF_MODE_CONTINUOUS_TRAIN_AND_EVAL) {
        return check_once(args, err);
    }
    bt_train_args round = *args;
    bool          is_there = false;
    BT_TRY(continuous_check(args, &is_there, err));
    if (!is_there) { /* nothing can be said of what will come */
        return BT_OK;
    }
    round.mode = BT_CONF_MODE_TRAIN_AND_EVAL;
    return check_once(&round, err);
}

bt_status bt_train_find_steps(const bt_train_args *args, int64_t *n_steps, int64_t *n_warmup,
                              bt_error *err) {
    bt_train_summary summary = {0};
    train_run        run = run_begin(args, FOR_DRY_RUN, &summary);
    const bt_status  rc = run_check(&run, err);
    *n_steps = run.config.train_steps;
    *n_warmup = run.config.warmup_steps;
    run_deinit(&run);
    return rc;
}
