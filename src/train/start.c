/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run starts from: the latest checkpoint of model_dir, the best one or a named one (eval and
 * predict only), or fresh weights and task.init_checkpoint. */
#include <inttypes.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/ckpt.h"
#include "bt/fs.h"
#include "run.h"
#include "run_checks.h"

static bool is_latest(const char *checkpoint) {
    return checkpoint == NULL || checkpoint[0] == '\0' || bt_str_equal(checkpoint, "latest");
}

bt_status start_find(train_run *run, bt_ckpt_check_fn check, bt_ckpt_choice *out, bt_error *err) {
    const char *const checkpoint = run->args->checkpoint;
    char             *folder = NULL;
    *out = (bt_ckpt_choice){.step = -1};
    if (run->dir.path == NULL) { /* a filter of weights alone */
        return BT_OK;
    }
    if (is_latest(checkpoint)) {
        return bt_ckpt_choose(run->dir.path, model_series_stem(SERIES_CKPT), true, check, run, out,
                              err);
    }
    if (!bt_str_equal(checkpoint, "best")) {
        out->prefix = bt_strdup(checkpoint);
        return out->prefix != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
    }
    BT_TRY(model_dir_join(&run->dir, MODEL_BEST, &folder, err));
    bt_status rc =
        bt_ckpt_choose(folder, model_series_stem(SERIES_BEST_CKPT), false, check, run, out, err);
    if (rc == BT_OK && out->prefix == NULL) {
        rc = BT_FAIL(err, BT_E_CONFIG,
                     "--checkpoint=best: no checkpoint in %s (trainer.best_checkpoint_export_subdir"
                     ")",
                     folder);
    }
    bt_free(folder);
    return rc;
}

/* Predictions of a head that nobody trained mean nothing. */
static bt_status check_head(const bt_task_plan *plan, const bt_model *model, bool has_weights,
                            const char *folder, bt_error *err) {
    const bool has_head = has_weights && (plan->init_head || model->head_logits.kernel < 0);
    if (!has_head && folder == NULL) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "the weights have no head for this task, and predictions of one that "
                       "nobody trained mean nothing: name a folder that was trained for it");
    }
    if (!has_head) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "no checkpoint in --model_dir %s: train first, or name a checkpoint that "
                       "holds the head too (task.init_checkpoint with task.init_head=true)",
                       folder);
    }
    return BT_OK;
}

static bt_status check_fresh(train_run *run, bt_error *err) {
    const bt_weights_use use = run_weights_use(run);
    BT_TRY(bt_weights_prepare(run->weights, &use, err));
    const char *const path = bt_weights_path(run->weights);
    if (run->args->mode == BT_CONF_MODE_PREDICT) {
        BT_TRY(check_head(&run->plan, run->model, path[0] != '\0', run->dir.path, err));
    }
    BT_TRY(bt_weights_check(run->weights, &use, err));
    if (run_is_dry(run) && path[0] != '\0') {
        bt_log(BT_LOG_INFO, "init_checkpoint %s: fits the model", path);
    }
    return BT_OK;
}

bt_status start_check_changes(const train_run *run, const char *prefix, bt_error *err) {
    const changes_now now = {.args = run->args,
                             .config = &run->config,
                             .plan = &run->plan,
                             .table = &run->model->table,
                             .optim = run->optim,
                             .train_data = run->train_data,
                             .validation_data = run->validation_data,
                             .vocabulary = run->vocabulary,
                             .recorded_vocabulary = run->recorded_vocabulary};
    return changes_check(&now, prefix, err);
}

bt_status start_check(train_run *run, bt_error *err) {
    bt_ckpt_choice from = {0};
    BT_TRY(start_find(run, bt_ckpt_check_files, &from, err));
    const int64_t   step = from.prefix != NULL ? from.step : -1;
    const bool      is_fresh = from.prefix == NULL;
    const bt_status rc = start_check_changes(run, from.prefix, err);
    bt_ckpt_choice_deinit(&from);
    BT_TRY(rc);
    if (is_fresh) {
        BT_TRY(check_fresh(run, err));
    }
    return bt_conf_mode_trains(run->args->mode)
               ? space_check(run->args->model_dir, &run->config,
                             saver_state_bytes(&run->model->table, run->optim), best_is_on(run),
                             step, err)
               : BT_OK;
}

bt_status start_tell(train_run *run, bt_error *err) {
    bt_ckpt_choice         from = {0};
    bt_status              rc = BT_OK;
    const bt_ckpt_check_fn check = run->train_data == NULL ? bt_ckpt_check_values : snapshot_check;
    BT_CHECK(start_find(run, check, &from, err));
    if (from.prefix != NULL && from.step < 0) { /* named on the command line */
        BT_CHECK(check(run, from.prefix, &from.step, err));
    }
    run->step = from.prefix != NULL ? from.step : 0;
    if (from.why.len > 0) {
        bt_log(BT_LOG_WARNING, "%s", bt_str_text(&from.why));
    }
    if (from.prefix != NULL) {
        bt_log(BT_LOG_INFO, "the run would %s step %" PRId64 ": %s",
               bt_conf_mode_trains(run->args->mode) ? "go on from" : "take", from.step,
               from.prefix);
    }
done:
    bt_ckpt_choice_deinit(&from);
    return rc;
}

static float *place(void *context, int64_t param) {
    return bt_exec_place(context, param);
}

static bt_status take(void *context, int64_t param, bt_error *err) {
    return bt_exec_take(context, param, err);
}

bt_status start_fresh(train_run *run, bt_error *err) {
    const bt_weights_use   use = run_weights_use(run);
    const bt_weights_taker taker = {.place = place, .take = take, .context = run->exec};
    BT_TRY(bt_weights_prepare(run->weights, &use, err)); /* a recovery may come here first */
    BT_TRY(bt_exec_settle(run->exec, err));
    BT_TRY(bt_weights_load(run->weights, &use, run->config.seed, &taker, err));
    return bt_exec_changed(run->exec, err);
}

bt_status start_restore(train_run *run, bt_error *err) {
    bt_ckpt_choice *const from = &run->start;
    BT_TRY(start_find(run, snapshot_check, from, err));
    if (from->why.len > 0) {
        bt_log(BT_LOG_WARNING, "%s", bt_str_text(&from->why));
    }
    if (from->prefix != NULL) {
        return snapshot_restore(run, from->prefix, false, err);
    }
    BT_TRY(start_fresh(run, err));
    if (run->args->mode == BT_CONF_MODE_EVAL || run->args->mode == BT_CONF_MODE_CONTINUOUS_EVAL) {
        const bool has_head = run->model->head_logits.kernel >= 0 && !run->plan.init_head;
        bt_log(BT_LOG_WARNING, "no checkpoint in --model_dir %s: what is evaluated is %s",
               run->args->model_dir,
               has_head ? "a head that was never trained" : "what this run starts from");
    }
    run->course.chunk.start_step = run->step;
    run->knows_best = bt_conf_mode_trains(run->args->mode);
    return BT_OK;
}
