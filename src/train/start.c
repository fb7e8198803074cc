/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run starts from: the latest checkpoint of model_dir, the best one or a named one (eval and
 * predict only), or fresh weights and task.init_checkpoint. */
#include "run.h"

#include "bt/ckpt.h"
#include "bt/fs.h"

static bool is_latest(const char *checkpoint) {
    return checkpoint == NULL || checkpoint[0] == '\0' || bt_str_equal(checkpoint, "latest");
}

/* The prefix that --checkpoint names (owned by the caller), or NULL for the latest of model_dir
 * when there is none. */
static bt_status find_checkpoint(const train_run *run, char **prefix, bt_error *err) {
    const char *const checkpoint = run->args->checkpoint;
    char             *folder = NULL;
    if (is_latest(checkpoint)) {
        return snapshot_latest(run->args->model_dir, prefix, err);
    }
    if (!bt_str_equal(checkpoint, "best")) {
        *prefix = bt_strdup(checkpoint);
        return *prefix != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
    }
    const char *const name = run->config.best_subdir;
    BT_TRY(bt_fs_join(run->args->model_dir, name[0] != '\0' ? name : "best_ckpt", &folder, err));
    bt_status rc = snapshot_latest(folder, prefix, err);
    if (rc == BT_OK && *prefix == NULL) {
        rc = BT_FAIL(err, BT_E_CONFIG,
                     "--checkpoint=best: no checkpoint in %s (trainer.best_checkpoint_export_subdir"
                     ")",
                     folder);
    }
    bt_free(folder);
    return rc;
}

/* Predictions of a head that nobody trained mean nothing. */
static bt_status check_head(const train_run *run, bt_error *err) {
    const run_config *const config = &run->config;
    const bool              has_head = config->init_checkpoint[0] != '\0' &&
                          (run->plan.init_head || run->model->head_logits.kernel < 0);
    if (run->args->mode == BT_CONF_MODE_PREDICT && !has_head) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "no checkpoint in --model_dir %s: train first, or name a checkpoint that "
                       "holds the head too (task.init_checkpoint with task.init_head=true)",
                       run->args->model_dir);
    }
    return BT_OK;
}

bt_status start_check(train_run *run, bt_error *err) {
    char *prefix = NULL;
    BT_TRY(find_checkpoint(run, &prefix, err));
    if (prefix == NULL) {
        BT_TRY(module_prepare(run, err));
        BT_TRY(check_head(run, err));
        return check_init_checkpoint(run, err);
    }
    bt_free(prefix);
    return BT_OK;
}

bt_status start_restore(train_run *run, bt_error *err) {
    char *prefix = NULL;
    BT_TRY(find_checkpoint(run, &prefix, err));
    if (prefix == NULL) {
        BT_TRY(init_weights(run, err));
        if (!bt_conf_mode_trains(run->args->mode) && run->model->head_logits.kernel >= 0 &&
            !run->plan.init_head) {
            bt_log(BT_LOG_WARNING,
                   "no checkpoint in --model_dir %s: what is evaluated is a head that was never "
                   "trained",
                   run->args->model_dir);
        }
        run->chunk.start_step = run->step;
        run->knows_best = bt_conf_mode_trains(run->args->mode);
        return BT_OK;
    }
    const bt_status rc = snapshot_restore(run, prefix, false, err);
    bt_free(prefix);
    return rc;
}
