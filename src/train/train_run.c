/* SPDX-License-Identifier: Apache-2.0
 *
 * One run from configuration to last checkpoint. Everything that can be refused is refused in
 * run_check() (prepare.c), which writes nothing; then the model is restored or initialised and the
 * mode's loop runs. */
#include "run.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"
#include "bt/fs.h"
#include "labels.h"
#include "model_dir.h"
#include "rounding.h"
#include "run_session.h"
#include "vocabulary.h"

/* A run that was killed while it wrote leaves temporary files behind. */
static bt_status remove_leftovers(const model_dir *dir, bt_error *err) {
    char *folder = NULL;
    BT_TRY(bt_fs_finish_commits(dir->path, err)); /* their files are temporary ones */
    BT_TRY(bt_fs_sweep(dir->path, NULL, err));
    if (dir->best_subdir[0] == '\0') {
        return BT_OK;
    }
    BT_TRY(model_dir_join(dir, MODEL_BEST, &folder, err));
    const bt_status rc = bt_fs_sweep(folder, NULL, err);
    bt_free(folder);
    return rc;
}

static bt_status open_log(train_run *run, bt_error *err) {
    const bt_conf_mode mode = run->args->mode;
    const int64_t      n_steps = bt_conf_mode_trains(mode) ? run->config.train_steps : 0;
    BT_TRY(gauges_open(run->args, run->args->prometheus_file, n_steps, &run->gauges, err));
    const run_log_config config = {.dir = &run->dir,
                                   .mode =
                                       bt_conf_mode_trains(mode) ? NULL : bt_conf_mode_name(mode),
                                   .precision = rounding_is_on(run) ? run->config.precision : NULL,
                                   .last_step = run->step,
                                   .gauges = run->gauges,
                                   .round = run->round,
                                   .event_extras = run->config.summary_extras};
    return run_log_open(&config, &run->log, err);
}

/* For the writing rank: model_dir as this run needs it. */
static bt_status begin_writing(train_run *run, bt_error *err) {
    BT_TRY(snapshot_settle(run, &run->start, err));
    if (run->saved.last < 0 || !training_is_over(run)) { /* else they are those of what was done */
        BT_TRY(report_begin(run, err)); /* the first: later ones take settings from params.yaml */
        BT_TRY(params_write(&run->dir, run->conf, err));
        BT_TRY(
            vocabulary_keep(run->args->model_dir, &run->plan.train_schema, run->vocabulary, err));
        BT_TRY(labels_write(run->args->model_dir, &run->plan, run->vocabulary, err));
    }
    BT_TRY(best_load(run, err));
    BT_TRY(run_session_begin(run, err));
    return open_log(run, err);
}

static bt_status train_to_end(train_run *run, bt_error *err) {
    bool is_restored = false;
    tell_finished(run);
    BT_TRY(train_on(run, &is_restored, err));
    return save_final(run, err);
}

static bt_status run_mode(train_run *run, bt_error *err) {
    bool is_restored = false;
    switch (run->args->mode) {
    case BT_CONF_MODE_TRAIN:
        BT_TRY(train_to_end(run, err));
        return run_writes(run) ? recall_result(run, RECORD_TRAIN, err) : BT_OK;
    case BT_CONF_MODE_TRAIN_AND_EVAL:
        return train_and_eval(run, err);
    case BT_CONF_MODE_TRAIN_AND_POST_EVAL:
        is_restored = run->step >= run->config.train_steps;
        BT_TRY(train_to_end(run, err));
        return evaluate_once(run, is_restored, err);
    case BT_CONF_MODE_EVAL:
        return evaluate(run, err);
    case BT_CONF_MODE_CONTINUOUS_EVAL:
        return run_continuous_eval(run, err);
    case BT_CONF_MODE_CONTINUOUS_TRAIN_AND_EVAL:
    case BT_CONF_MODE_TRAIN_AND_VALIDATE:
    case BT_CONF_MODE_PREDICT:
    case BT_CONF_MODE_EXPORT:
        break; /* not made by this function */
    }
    return BT_FAIL(err, BT_E_UNSUPPORTED, "--mode=%s cannot be run in this version",
                   bt_conf_mode_name(run->args->mode));
}

/* An evaluation that was stopped is owed (evaluation_due): the run that continues makes it first.
 */
static bt_status save_interrupted(train_run *run, bt_error *err) {
    const bt_status joined = saver_join(run->saver, &run->saved, err);
    if (joined != BT_OK && joined != BT_E_INTERRUPTED) {
        return joined;
    }
    if (run->saved.last != run->step) {
        BT_TRY(snapshot_save(run, err));
    }
    BT_TRY(bt_comm_barrier(run->ranks.comm, "the save after a stop", 0, err));
    bt_stop_mark_saved();
    return BT_FAIL(err, BT_E_INTERRUPTED,
                   "stopped by %s at step %" PRId64 " of %" PRId64
                   ", everything saved in %s; the same command continues",
                   bt_stop_signal_name(), run->step, run->config.train_steps, run->args->model_dir);
}

/* What a device held and nobody saved may be gone with it. */
static bt_status say_where_from(const train_run *run, bt_status rc, bt_error *err) {
    char       from[64] = "begins again";
    bt_error   why = *err;
    const bool is_full = rc == BT_E_NOMEM;
    if (run->saved.last >= 0) {
        (void)snprintf(from, sizeof from, "goes on from step %" PRId64, run->saved.last);
    }
    return BT_FAIL(err, rc, "%s; stopped after step %" PRId64 ": the same command %s%s", why.msg,
                   run->step, from,
                   is_full ? ", with a smaller task.train_data.global_batch_size" : "");
}

/* From here on there is something to save: waits for a store are not cut short any more, the loops
 * end at the next step or batch. */
static bt_status train_and_save(train_run *run, bt_error *err) {
    run->stopped = "train_steps";
    BT_TRY(ranks_meet(&run->ranks, run_writes(run) ? begin_writing(run, err) : BT_OK, err));
    BT_TRY(ranks_share_state(run, err));
    bt_status rc = run_mode(run, err);
    bt_log_progress(NULL);
    if (rc == BT_OK) {
        rc = saver_join(run->saver, &run->saved, err);
    }
    if (run->devices.strategy.on_devices && (rc == BT_E_BACKEND || rc == BT_E_NOMEM) &&
        err != NULL) {
        return say_where_from(run, rc, err);
    }
    rc = ranks_meet(&run->ranks, rc, err);
    return rc == BT_E_INTERRUPTED ? save_interrupted(run, err) : rc;
}

/* What only the writing rank does: the folder is its own, and what the run starts from is restored.
 */
static bt_status take_folder(train_run *run, bt_error *err) {
    BT_TRY(bt_fs_make_folders_noting(run->args->model_dir, &run->made, err));
    BT_TRY(run_lock_take(run->args, run->locks, err));
    if (run->args->mode != BT_CONF_MODE_PREDICT) {
        BT_TRY(remove_leftovers(&run->dir, err));
    }
    stages_end(&run->stages, "checks", "reading the weights");
    BT_TRY(start_restore(run, err));
    stages_end(&run->stages, "weights", "making the folder ready");
    return bt_stop_check(err);
}

static bt_status execute(train_run *run, bt_error *err) {
    BT_TRY(ranks_meet(&run->ranks, run_writes(run) ? take_folder(run, err) : BT_OK, err));
    if (run->ranks.comm != NULL) { /* who waited for the others may have been asked to stop */
        BT_TRY(ranks_meet(&run->ranks, bt_stop_check(err), err));
    }
    if (run->args->mode == BT_CONF_MODE_PREDICT) {
        return predict(run, err);
    }
    if (bt_conf_mode_trains(run->args->mode)) {
        bt_stop_shield(true);
        const bt_status rc = train_and_save(run, err);
        bt_stop_shield(false);
        return rc;
    }
    BT_TRY(best_load(run, err));
    BT_TRY(open_log(run, err));
    const bt_status rc = run_mode(run, err);
    bt_log_progress(NULL);
    return rc;
}

/* Where the weights are that the result speaks of. */
static bt_status find_checkpoint(const train_run *run, bt_train_summary *out, bt_error *err) {
    char  name[MODEL_NAME_MAX];
    char *path = NULL;
    if (!bt_conf_mode_trains(run->args->mode)) {
        path = bt_strdup(run->start.prefix != NULL ? run->start.prefix : "");
    } else if (run->saved.last >= 0) {
        (void)model_series_name(SERIES_CKPT, run->saved.last, name);
        BT_TRY(bt_fs_join(run->args->model_dir, name, &path, err));
    }
    if (path != NULL && strlen(path) < sizeof out->checkpoint) {
        (void)snprintf(out->checkpoint, sizeof out->checkpoint, "%s", path);
    }
    bt_free(path);
    return BT_OK;
}

static bt_status finish(train_run *run, bt_error *err) {
    bt_train_summary *const out = run->summary;
    out->step = run->step;
    out->seconds = bt_time_monotonic() - run->stages.began;
    if (run->exec != NULL) { /* else it was told when that was freed */
        (void)snprintf(out->engine, sizeof out->engine, "%s", bt_exec_describe(run->exec));
    }
    if (run_writes(run)) {
        BT_TRY(find_checkpoint(run, out, err));
        BT_TRY(best_recall(run, out, err));
    }
    if (run->log == NULL) { /* a prediction leaves no trace but its files */
        return BT_OK;
    }
    BT_TRY(run_log_final(run->log, run->summary, run->stopped, err));
    BT_TRY(run_session_end(run, err));
    report_end(run);
    return BT_OK;
}

/* Everything that can be refused, on all ranks, before one of them makes a file. */
static bt_status check_all(train_run *run, bt_error *err) {
    BT_TRY(ranks_meet(&run->ranks, run_check(run, err), err));
    if (run->ranks.comm == NULL) {
        return BT_OK;
    }
    const ranks_facts facts = {.train_data = run->train_data,
                               .validation_data = run->validation_data,
                               .labels = &run->plan.labels,
                               .vocabulary = run->vocabulary,
                               .train_steps = run->config.train_steps,
                               .isa = bt_exec_isa(run->exec)};
    return ranks_check_facts(&run->ranks, &facts, err);
}

bt_status run_once(const bt_train_args *args, int64_t round, run_locks *held, bt_comm *comm,
                   bt_train_summary *summary, bt_error *err) {
    run_locks own = {0};
    train_run run = run_begin(args, FOR_RUN, summary);
    run.ranks.comm = comm;
    run.locks = held != NULL ? held : &own;
    run.round = round;
    *summary = (bt_train_summary){0};
    bt_status rc = check_all(&run, err);
    if (rc == BT_OK) {
        rc = execute(&run, err);
    }
    bt_stop_shield(true); /* the last lines of the log are kept, too */
    if (rc == BT_OK) {
        rc = finish(&run, err);
    }
    ranks_fail(&run.ranks, rc, err);
    const bt_status closed = run_log_close(run.log, rc == BT_OK ? err : NULL);
    gauges_close(run.gauges,
                 rc == BT_E_INTERRUPTED ? bt_stop_exit_code() : bt_status_exit_code(rc));
    run_deinit(&run); /* waits for a save beside, which needs the lock */
    run_lock_release(&own);
    bt_stop_shield(false);
    if (rc != BT_OK) {
        bt_fs_undo_folders(&run.made);
    }
    bt_fs_names_deinit(&run.made);
    return ranks_close(&run.ranks, rc == BT_OK ? closed : rc, err);
}

bt_status bt_train_run(const bt_train_args *args, bt_train_summary *summary, bt_error *err) {
    bt_comm *comm = NULL;
    BT_TRY(ranks_check_job(args, err));
    if (args->mode == BT_CONF_MODE_CONTINUOUS_TRAIN_AND_EVAL) {
        return run_continuous_train_and_eval(args, summary, err);
    }
    if (args->mode == BT_CONF_MODE_EXPORT) {
        *summary = (bt_train_summary){0};
        return run_export(args, false, summary, err);
    }
    BT_TRY(ranks_open(args, &comm, err));
    return run_once(args, -1, NULL, comm, summary, err);
}
