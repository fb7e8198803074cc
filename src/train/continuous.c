/* SPDX-License-Identifier: Apache-2.0
 *
 * The two modes that wait for checkpoints (docs/model_garden/config.md 1.3, 1.4): continuous_eval
 * evaluates each new latest checkpoint of model_dir; continuous_train_and_eval fine-tunes from each
 * new checkpoint that a pre-training job writes into the folder task.init_checkpoint. */
#include "run.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/number.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"
#include "bt/fs.h"
#include "bt/wire/events.h"

static const double poll_seconds = 1.0;
static const double folder_poll_seconds = 60.0;
enum { FOLDER_POLLS = 60 };

/* Once a wait: what for, and how long. */
static void say_waiting(const char *folder, bt_conf_opt_f64 timeout) {
    if (timeout.is_set) {
        bt_log(BT_LOG_INFO,
               "waiting for a new checkpoint in %s, at most %g s (trainer.continuous_eval_timeout)",
               folder, timeout.value);
    } else {
        bt_log(
            BT_LOG_INFO,
            "waiting for a new checkpoint in %s (trainer.continuous_eval_timeout is not set: for "
            "ever)",
            folder);
    }
    (void)bt_stop_say(NULL);
}

/* Whoever writes there may remove a checkpoint between the two looks at it, and writes the next one
 * in any case: what cannot be used is told once, and is the *problem while nothing better comes. */
static bt_status find_latest(const char *folder, char **latest, bt_error *problem, bt_error *err) {
    bt_error        found = BT_ERROR_INIT;
    const bt_status rc = snapshot_latest(folder, latest, &found);
    if (rc != BT_OK && rc != BT_E_FORMAT && rc != BT_E_IO) {
        if (err != NULL) {
            *err = found;
        }
        return rc;
    }
    if (rc != BT_OK && !bt_str_equal(problem->msg, found.msg)) {
        bt_log(BT_LOG_WARNING, "%s; waiting for the next one", found.msg);
    }
    *problem = found;
    return BT_OK;
}

/* Waits for a latest checkpoint of folder other than *seen (owned by the caller, NULL at first) and
 * replaces it. *timed_out: none came within timeout (unset: for ever; 0: not waited at all). */
static bt_status wait_for_new(const char *folder, bt_conf_opt_f64 timeout, char **seen,
                              bool *timed_out, bt_error *err) {
    const double start = bt_time_monotonic();
    bool         is_told = false;
    bt_error     problem = BT_ERROR_INIT;
    *timed_out = false;
    for (;;) {
        char *latest = NULL;
        if (bt_stop_requested()) {
            return BT_FAIL(err, BT_E_INTERRUPTED,
                           "stopped by %s while waiting for a new checkpoint in %s",
                           bt_stop_signal_name(), folder);
        }
        BT_TRY(find_latest(folder, &latest, &problem, err));
        if (latest != NULL && !bt_str_equal(latest, *seen)) {
            bt_free(*seen);
            *seen = latest;
            return BT_OK;
        }
        bt_free(latest);
        if (timeout.is_set && bt_time_monotonic() - start >= timeout.value) {
            *timed_out = true;
            return problem.code == BT_OK ? BT_OK : BT_FAIL(err, problem.code, "%s", problem.msg);
        }
        if (!is_told) {
            say_waiting(folder, timeout);
            is_told = true;
        }
        (void)bt_stop_sleep(poll_seconds);
    }
}

/* Nothing of the run changes for one that is damaged, or is being removed. */
static bt_status restore_whole(train_run *run, const char *prefix, bool *is_whole, bt_error *err) {
    bt_error        problem = BT_ERROR_INIT;
    int64_t         step = -1;
    const bt_status rc = snapshot_check(run, prefix, &step, &problem);
    *is_whole = rc == BT_OK;
    if (rc == BT_OK) {
        BT_TRY(start_check_changes(run, prefix, err));
        BT_TRY(run_wake(run, err));
        return snapshot_restore(run, prefix, false, err);
    }
    if (rc == BT_E_FORMAT || rc == BT_E_IO) {
        bt_log(BT_LOG_WARNING, "%s; waiting for the next one", problem.msg);
        return BT_OK;
    }
    if (err != NULL) {
        *err = problem;
    }
    return rc;
}

bt_status run_continuous_eval(train_run *run, bt_error *err) {
    bt_status rc = BT_OK;
    char     *seen = NULL;
    if (run->saved.last >= 0) { /* the one that was there at the start is evaluated as well */
        seen = bt_strdup(run->start.prefix);
        BT_CHECK(seen != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for a path"));
        BT_CHECK(evaluate(run, err));
    }
    for (;;) {
        bool timed_out = false;
        bool is_whole = false;
        run_rest(run);
        BT_CHECK(wait_for_new(run->args->model_dir, run->config.continuous_eval_timeout, &seen,
                              &timed_out, err));
        if (timed_out) {
            if (run->step >= run->config.train_steps) {
                goto done;
            }
            if (run->config.continuous_eval_timeout.value <= 0) {
                (void)bt_stop_sleep(poll_seconds); /* a timeout of 0 must not spin */
            }
            continue;
        }
        BT_CHECK(restore_whole(run, seen, &is_whole, err));
        if (is_whole) {
            BT_CHECK(evaluate(run, err));
        }
    }
done:
    bt_free(seen);
    return rc;
}

static bt_status fail_no_folder(const char *folder, bt_error *err) {
    return BT_FAIL(
        err, BT_E_CONFIG,
        "task.init_checkpoint is '%s': --mode=continuous_train_and_eval needs a folder there, into "
        "which the pre-training job writes its checkpoints",
        folder);
}

bt_status continuous_check(const bt_train_args *args, bool *is_there, bt_error *err) {
    const char *folder = NULL;
    char       *prefix = NULL;
    bt_fs_info  info = {0};
    BT_TRY(run_lock_take_early(args, NULL, err));
    BT_TRY(bt_conf_get_str(args->conf, "task.init_checkpoint", &folder, err));
    if (folder[0] != '\0') {
        BT_TRY(bt_fs_stat(folder, &info, err));
    }
    if (folder[0] == '\0' || info.kind == BT_FS_FILE) {
        return fail_no_folder(folder, err);
    }
    if (info.kind == BT_FS_FOLDER) {
        BT_TRY(snapshot_latest(folder, &prefix, err));
    }
    *is_there = prefix != NULL;
    bt_free(prefix);
    if (!*is_there) {
        bt_log(BT_LOG_INFO, "the run would wait for a checkpoint in %s", folder);
    }
    return BT_OK;
}

static bt_status wait_for_folder(const char *folder, bt_error *err) {
    for (int i = 0; i < FOLDER_POLLS; i++) {
        bt_fs_info info = {0};
        if (folder[0] != '\0') {
            BT_TRY(bt_fs_stat(folder, &info, err));
        }
        if (info.kind == BT_FS_FOLDER) {
            return BT_OK;
        }
        if (folder[0] == '\0' || info.kind == BT_FS_FILE) {
            break; /* waiting does not make a folder of it */
        }
        bt_log(BT_LOG_INFO, "waiting for the folder %s", folder);
        for (double slept = 0; slept < folder_poll_seconds; slept += poll_seconds) {
            if (bt_stop_requested()) {
                return BT_FAIL(err, BT_E_INTERRUPTED,
                               "stopped by %s while waiting for the folder %s",
                               bt_stop_signal_name(), folder);
            }
            (void)bt_stop_sleep(poll_seconds);
        }
    }
    return fail_no_folder(folder, err);
}

/* Every value as a string, 4 spaces: what Model Garden writes. */
static bt_status write_metrics_json(const char *folder, int64_t global_step,
                                    const bt_train_summary *summary, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    text = BT_STR_INIT;
    char      name[MODEL_NAME_MAX];
    char     *path = NULL;
    BT_CHECK(bt_str_append(&text, "{", err));
    for (size_t i = 0; i < summary->values.n; i++) {
        char number[BT_F64_TEXT_MAX];
        BT_CHECK(bt_str_appendf(&text, err, "%s\n    \"%s\": \"%s\"", i > 0 ? "," : "",
                                summary->values.items[i].name,
                                bt_f32_repr((float)summary->values.items[i].value, number)));
    }
    BT_CHECK(bt_str_append(&text, "\n}\n", err));
    BT_CHECK(
        bt_fs_join(folder, model_series_name(SERIES_ROUND_METRICS, global_step, name), &path, err));
    BT_CHECK(bt_fs_replace(path, text.data, text.len, err));
done:
    bt_str_deinit(&text);
    bt_free(path);
    return rc;
}

/* The first round of a process may be one that an earlier process was stopped in. */
static bt_status open_eval_events(const bt_train_args *args, int64_t global_step,
                                  bt_events_writer **events, bt_error *err) {
    bt_status       rc = BT_OK;
    char           *folder = NULL;
    bt_events_found found = {0};
    if (*events != NULL) {
        return BT_OK;
    }
    BT_CHECK(model_dir_file(args->model_dir, MODEL_ROUND_EVENTS, &folder, err));
    BT_CHECK(bt_events_cut(folder, global_step - 1, &found, err));
    BT_CHECK(bt_events_create(folder, events, err));
    if (found.n_files > 0) {
        BT_CHECK(bt_events_restart(*events, global_step, err));
    }
done:
    bt_free(folder);
    return rc;
}

static bt_status write_eval_events(bt_events_writer *events, const bt_train_args *args,
                                   int64_t global_step, const bt_train_summary *summary,
                                   bt_error *err) {
    const char *task_name = "";
    BT_TRY(bt_conf_get_str(args->conf, "task.name", &task_name, err));
    if (task_name[0] == '\0') {
        task_name = "sentence_prediction";
    }
    for (size_t i = 0; i < summary->values.n; i++) {
        char tag[512];
        (void)snprintf(tag, sizeof tag, "%s_%s/%s", bt_fs_basename(args->model_dir), task_name,
                       summary->values.items[i].name);
        BT_TRY(
            bt_events_scalar(events, global_step, tag, (float)summary->values.items[i].value, err));
    }
    return bt_events_flush(events, err);
}

/* Points the configuration at one checkpoint of the pre-training job. */
static bt_status aim_at(const bt_train_args *args, const char *prefix, const char *best_subdir,
                        int64_t global_step, bt_error *err) {
    bt_status      rc = BT_OK;
    bt_conf_errors errors = BT_CONF_ERRORS_INIT;
    bt_str         override = BT_STR_INIT;
    BT_CHECK(bt_str_appendf(&override, err, "task.init_checkpoint='%s'", prefix));
    if (best_subdir[0] != '\0') {
        BT_CHECK(bt_str_appendf(&override, err,
                                ",trainer.best_checkpoint_export_subdir='%s_%" PRId64 "'",
                                best_subdir, global_step));
    }
    BT_CHECK(bt_conf_set(args->conf, bt_str_text(&override), "--mode=continuous_train_and_eval",
                         &errors, err));
done:
    bt_conf_errors_deinit(&errors);
    bt_str_deinit(&override);
    return rc;
}

/* What a round came to, and the end of its checkpoints. */
static bt_status end_round(const bt_train_args *args, int64_t global_step,
                           bt_events_writer **events, const bt_train_summary *summary,
                           bt_error *err) {
    BT_TRY(write_metrics_json(args->model_dir, global_step, summary, err));
    BT_TRY(open_eval_events(args, global_step, events, err));
    BT_TRY(write_eval_events(*events, args, global_step, summary, err));
    return bt_ckpt_clear(args->model_dir, model_series_stem(SERIES_CKPT), err);
}

static bt_status train_from(const bt_train_args *args, run_locks *locks, const char *prefix,
                            const char *best_subdir, bt_events_writer **events,
                            int64_t *global_step, bt_train_summary *summary, bt_error *err) {
    BT_TRY(snapshot_read_global_step(prefix, global_step, err));
    BT_TRY(bt_ckpt_clear(args->model_dir, model_series_stem(SERIES_CKPT), err));
    BT_TRY(aim_at(args, prefix, best_subdir, *global_step, err));
    bt_train_args once = *args;
    once.mode = BT_CONF_MODE_TRAIN_AND_EVAL;
    BT_TRY(run_once(&once, *global_step, locks, NULL, summary, err));
    bt_stop_shield(true); /* what was trained is kept */
    const bt_status rc = end_round(args, *global_step, events, summary, err);
    bt_stop_shield(false);
    return rc;
}

bt_status run_continuous_train_and_eval(const bt_train_args *args, bt_train_summary *summary,
                                        bt_error *err) {
    bt_status         rc = BT_OK;
    char             *folder = NULL;
    char             *best_subdir = NULL;
    char             *seen = NULL;
    bt_events_writer *events = NULL;
    run_locks         locks = {0};
    const char       *text = NULL;
    double            timeout = 0;
    bool              for_ever = true;
    BT_CHECK(bt_conf_get_str(args->conf, "task.init_checkpoint", &text, err));
    folder = bt_strdup(text);
    BT_CHECK(bt_conf_get_str(args->conf, "trainer.best_checkpoint_export_subdir", &text, err));
    best_subdir = bt_strdup(text);
    if (folder == NULL || best_subdir == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for two names");
        goto done;
    }
    BT_CHECK(bt_conf_get_f64_or(args->conf, "trainer.continuous_eval_timeout", 0, &timeout,
                                &for_ever, err));
    BT_CHECK(run_lock_take_early(args, &locks, err)); /* before an hour of waiting */
    BT_CHECK(wait_for_folder(folder, err));
    BT_CHECK(bt_fs_make_folders(args->model_dir, err));
    BT_CHECK(run_lock_take(args, &locks, err));
    int64_t global_step = -1;
    for (;;) {
        bool timed_out = false;
        BT_CHECK(
            wait_for_new(folder, (bt_conf_opt_f64){!for_ever, timeout}, &seen, &timed_out, err));
        if (!timed_out) {
            BT_CHECK(
                train_from(args, &locks, seen, best_subdir, &events, &global_step, summary, err));
        } else if (args->pretrain_steps < 0 || global_step >= args->pretrain_steps) {
            break;
        } else {
            bt_log(BT_LOG_INFO,
                   "the last pre-training step seen is %" PRId64 " of %" PRId64 ": still waiting",
                   global_step, args->pretrain_steps);
        }
    }
done : {
    const bt_status closed = bt_events_close(events, rc == BT_OK ? err : NULL);
    rc = rc == BT_OK ? closed : rc; /* the first failure is the one to tell */
}
    run_lock_release(&locks);
    bt_free(folder);
    bt_free(best_subdir);
    bt_free(seen);
    return rc;
}
