/* SPDX-License-Identifier: Apache-2.0
 *
 * One writer of model_dir: a training has its lock, an evaluation has another (best_ckpt/ and the
 * validation events), and who does both has both. So an evaluation runs beside a training that does
 * not evaluate, and two of a kind do not run. A prediction needs none: it only reads. */
#include <stdio.h>
#include <string.h>

#include "bt/base/stop.h"
#include "run_lock.h"

/* out NULL: only looks. An evaluation has this lock while it adds a record to metrics.jsonl: that
 * is not refused but waited for. */
static bt_status take_train_lock(const char *folder, const char *what, bt_fs_lock **out,
                                 bt_error *err) {
    enum { MAX_WAITS = 300 };
    for (int i = 0;; i++) {
        bt_error        busy = BT_ERROR_INIT;
        const bt_status rc = out != NULL
                                 ? bt_fs_lock_take(folder, BT_FS_LOCK_NAME, what, out, &busy)
                                 : bt_fs_lock_look(folder, BT_FS_LOCK_NAME, &busy);
        if (rc == BT_OK) {
            return BT_OK;
        }
        if (rc != BT_E_RESOURCE || strstr(busy.msg, RUN_LOCK_RECORD) == NULL || i == MAX_WAITS) {
            return BT_FAIL(err, rc, "%s", busy.msg);
        }
        (void)bt_stop_sleep(0.1);
        BT_TRY(bt_stop_check(err));
    }
}

static bool needs_eval_lock(bt_conf_mode mode) {
    return mode != BT_CONF_MODE_PREDICT && bt_conf_mode_evaluates(mode);
}

bt_status run_lock_take(const bt_train_args *args, run_locks *locks, bt_error *err) {
    const bt_conf_mode mode = args->mode;
    char               what[128];
    bt_status          rc = BT_OK;
    (void)snprintf(what, sizeof what, "bert-train --mode=%s", bt_conf_mode_name(mode));
    if (bt_conf_mode_trains(mode) && locks->train == NULL) {
        BT_CHECK(take_train_lock(args->model_dir, what, &locks->train, err));
    }
    if (needs_eval_lock(mode) && locks->eval == NULL) {
        BT_CHECK(bt_fs_lock_take(args->model_dir, BT_FS_LOCK_EVAL_NAME, what, &locks->eval, err));
    }
done:
    if (rc != BT_OK) {
        run_lock_release(locks);
    }
    return rc;
}

static bt_status look(const bt_train_args *args, bt_error *err) {
    if (bt_conf_mode_trains(args->mode)) {
        BT_TRY(take_train_lock(args->model_dir, "", NULL, err));
    }
    return needs_eval_lock(args->mode) ? bt_fs_lock_look(args->model_dir, BT_FS_LOCK_EVAL_NAME, err)
                                       : BT_OK;
}

bt_status run_lock_take_early(const bt_train_args *args, run_locks *locks, bt_error *err) {
    bt_fs_info info = {0};
    if (bt_conf_mode_trains(args->mode) || needs_eval_lock(args->mode)) {
        BT_TRY(bt_fs_check_writable(args->model_dir, err));
    }
    BT_TRY(bt_fs_stat(args->model_dir, &info, err));
    if (info.kind != BT_FS_FOLDER) {
        return BT_OK;
    }
    return locks != NULL ? run_lock_take(args, locks, err) : look(args, err);
}

bt_status run_lock_check(const run_locks *locks, bt_error *err) {
    BT_TRY(bt_fs_lock_check(locks->train, err));
    return bt_fs_lock_check(locks->eval, err);
}

void run_lock_release(run_locks *locks) {
    bt_fs_lock_release(locks->eval);
    bt_fs_lock_release(locks->train);
    *locks = (run_locks){0};
}
