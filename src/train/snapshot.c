/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints of a run: everything needed to continue bit-identically goes in
 * (docs/decisions.md): variables, slots, averages, step, and, under a key that TensorFlow ignores,
 * our own state: data cursor, seed, the sums and metrics of an unfinished chunk. A checkpoint that
 * Model Garden wrote has no such state: the data then starts where that many steps would have taken
 * it. */
#include "run.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/stop.h"
#include "bt/ckpt.h"
#include "bt/fs.h"

static const char average_slot[] = "average";

/* The engine's buffers as they are, settled before: no copy of the weights. exec NULL: none. */
static void fill_view(bt_exec *exec, const bt_param_table *table, const bt_optim *optim,
                      bt_ckpt_train *out) {
    out->table = table;
    out->params = exec != NULL ? bt_exec_params(exec) : NULL;
    out->n_slots = bt_optim_n_slots(optim);
    for (int32_t i = 0; i < out->n_slots; i++) {
        out->slot_names[i] = bt_optim_slot_name(optim, i);
        out->slots[i] = exec != NULL ? bt_exec_slot(exec, i) : NULL;
    }
    out->average = exec != NULL ? bt_exec_average(exec) : NULL;
    out->has_average = bt_optim_has_average(optim);
    out->n_hypers = bt_optim_n_hypers(optim);
    for (int32_t i = 0; i < out->n_hypers; i++) {
        out->hyper_names[i] = bt_optim_hyper(optim, i, &out->hypers[i]);
    }
}

bt_status snapshot_find_odd(train_run *run, saver_odd *out, bool *found, bt_error *err) {
    bt_ckpt_train view = {0};
    BT_TRY(bt_exec_settle(run->exec, err));
    fill_view(run->exec, &run->model->table, run->optim, &view);
    *found = saver_find_odd(&view, out);
    return BT_OK;
}

/* info: NULL, or what a best checkpoint says of itself. goes_on: see saver_save. */
static bt_status save_into(train_run *run, bt_ckpt_manager *manager, const char *folder,
                           const char *name, const bt_str *info, bool goes_on, bt_error *err) {
    save_order order = {
        .manager = manager, .folder = folder, .last = run->saved.last, .state = BT_STR_INIT};
    bt_status rc = BT_OK;
    BT_TRY(run_lock_check(run->locks, err));
    (void)snprintf(order.name, sizeof order.name, "%s", name);
    BT_TRY(run->exec != NULL ? bt_exec_settle(run->exec, err) : BT_OK);
    fill_view(run->exec, &run->model->table, run->optim, &order.view);
    if (run->exec == NULL) { /* run_leave_weights */
        order.view.values = start_read_value;
        order.view.values_context = run;
    }
    order.view.iterations = order.view.global_step = run->step;
    order.view.save_counter = run->saved.n + 1;
    /* Before the first update there is no optimizer to speak of: Model Garden makes it then. */
    order.view.without_optimizer = run->step == 0;
    if (run->train_data != NULL) {
        rc = course_write(run, &order.state, err);
        order.view.state = order.state.data;
        order.view.n_state_bytes = order.state.len;
    }
    if (rc != BT_OK) {
        bt_str_deinit(&order.state);
        return rc;
    }
    if (info != NULL) {
        order.view.info = info->data;
        order.view.n_info_bytes = info->len;
    }
    BT_TRY(saver_save(run->saver, &order, goes_on, run->config.checkpoint_retry, &run->saved, err));
    run->saved.n++;
    return BT_OK;
}

static bt_status open_saves(train_run *run, bt_error *err) {
    const bt_conf_opt_i64 keep = run->config.max_to_keep;
    return run->saves != NULL
               ? BT_OK
               : bt_ckpt_manager_open(run->args->model_dir, keep.is_set ? keep.value : 0,
                                      &run->saves, err);
}

bt_status snapshot_settle(train_run *run, const bt_ckpt_choice *from, bt_error *err) {
    BT_TRY(open_saves(run, err));
    BT_TRY(bt_ckpt_manager_settle(run->saves, from->prefix, from->step, err));
    return bt_ckpt_manager_mark_passing(run->saves, run->was_stopped ? from->prefix : NULL, err);
}

/* The log's lines are on the disk before the checkpoint that follows them, and no save is under way
 * that needs the manager. Who stops, or is at the last step, has nothing to do meanwhile. */
static bt_status save(train_run *run, bt_error *err) {
    const bool goes_on = run->step < run->config.train_steps && !bt_stop_requested();
    BT_TRY(saver_join(run->saver, &run->saved, err));
    BT_TRY(run_log_sync(run->log, err));
    char name[MODEL_NAME_MAX];
    (void)model_series_name(SERIES_CKPT, run->step, name);
    BT_TRY(open_saves(run, err));
    BT_TRY(save_into(run, run->saves, run->args->model_dir, name, NULL, goes_on, err));
    run->saved.last = run->step;
    return BT_OK;
}

bt_status snapshot_save(train_run *run, bt_error *err) {
    if (!run_writes(run)) {
        run->saved.last = run->step; /* by the writing rank */
        return BT_OK;
    }
    const char *const before = bt_stop_say("after this save");
    bt_stop_shield(true);
    const bt_status rc = save(run, err);
    bt_stop_shield(false);
    (void)bt_stop_say(before);
    return rc;
}

static bt_status open_best_saves(bt_ckpt_manager **saves, const char *folder, bt_error *err) {
    return *saves != NULL ? BT_OK : bt_ckpt_manager_open(folder, 1, saves, err);
}

bt_status snapshot_settle_best(train_run *run, const char *folder, const char *prefix,
                               bt_error *err) {
    BT_TRY(open_best_saves(&run->best_saves, folder, err));
    return bt_ckpt_manager_settle(run->best_saves, prefix, INT64_MAX, err);
}

bt_status snapshot_save_best(train_run *run, const char *folder, const bt_str *info,
                             bt_error *err) {
    BT_TRY(open_best_saves(&run->best_saves, folder, err));
    /* numbered by the count of saves, not by the step: docs/model_garden/config.md 6.4 */
    char              name[MODEL_NAME_MAX];
    const char *const latest = bt_ckpt_manager_latest(run->best_saves);
    (void)model_series_name(SERIES_BEST_CKPT, run->saved.n + 1, name);
    if (latest != NULL && bt_str_equal(bt_fs_basename(latest), name)) {
        /* After a kill the count may come to a number again: the best so far stays whole until the
         * new one is. The count itself is that of a run that was not killed. */
        (void)model_series_name(SERIES_BEST_CKPT, run->saved.n + 2, name);
    }
    return save_into(run, run->best_saves, folder, name, info, false, err);
}

static bool is_there(const bt_ckpt *ckpt, const bt_param *param, const char *slot,
                     int64_t *n_missing) {
    if (bt_ckpt_find_variable(ckpt, param->name, slot) >= 0) {
        return true;
    }
    if (slot == NULL || param->has_gradient) {
        (*n_missing)++;
        bt_log(BT_LOG_DEBUG, "%s: no %s%s%s", bt_ckpt_path(ckpt), param->name,
               slot != NULL ? " slot " : "", slot != NULL ? slot : "");
    }
    return false;
}

/* What the file does not hold stays. NULL: slots that the engine does not keep are not read. What a
 * model computes with are its variables and averages; a slot of an optimizer may well be infinite.
 */
static bt_status read_flat(const bt_param_table *table, bt_ckpt *ckpt, const char *slot,
                           float *flat, int64_t *n_missing, bt_error *err) {
    const bool computes = slot == NULL || bt_str_equal(slot, average_slot);
    for (int64_t i = 0; flat != NULL && i < table->n_params; i++) {
        const bt_param *const param = &table->params[i];
        if (is_there(ckpt, param, slot, n_missing)) {
            float *const place = flat + param->offset;
            BT_TRY(computes ? bt_ckpt_read_weight(ckpt, param, slot, place, err)
                            : bt_ckpt_read_variable(ckpt, param, slot, place, err));
        }
    }
    return BT_OK;
}

/* The variables, one by one into the engine. averages: in place of those that have one. */
static bt_status read_into(bt_exec *exec, const bt_param_table *table, bool averages, bt_ckpt *ckpt,
                           int64_t *n_missing, bt_error *err) {
    for (int64_t i = 0; i < table->n_params; i++) {
        const bt_param *const param = &table->params[i];
        const char           *slot = NULL;
        if (!is_there(ckpt, param, NULL, n_missing)) {
            continue;
        }
        if (averages && bt_ckpt_find_variable(ckpt, param->name, average_slot) >= 0) {
            slot = average_slot;
        }
        BT_TRY(bt_ckpt_read_weight(ckpt, param, slot, bt_exec_place(exec, i), err));
        BT_TRY(bt_exec_take(exec, i, err));
    }
    return BT_OK;
}

/* Missing layers are missing variables; layers too many would go unnoticed, and give other numbers.
 * Shared layers are one set, whose number no checkpoint holds. */
static bt_status check_layers(int64_t n, const bt_ckpt *ckpt, bt_error *err) {
    const int64_t n_file = bt_ckpt_n_layers(ckpt);
    if (bt_ckpt_get_encoder(ckpt) == BT_CKPT_ALBERT || n_file <= n) {
        return BT_OK;
    }
    return BT_FAIL(err, BT_E_FORMAT,
                   "%s: it holds %" PRId64 " transformer layers, the configuration says %" PRId64
                   " (num_layers of the encoder): it belongs to another model; give the run its "
                   "own params.yaml as --config_file, or use another --model_dir",
                   bt_ckpt_path(ckpt), n_file, n);
}

static void start_averages(bt_exec *exec, const bt_param_table *table) {
    float *const average = bt_exec_average(exec);
    if (average != NULL) {
        memcpy(average, bt_exec_params(exec), (size_t)table->n_elements * sizeof *average);
    }
}

static bt_status check_missing(const bt_param_table *table, const bt_ckpt *ckpt, int64_t n_missing,
                               bt_error *err) {
    return n_missing == 0
               ? BT_OK
               : BT_FAIL(err, BT_E_FORMAT,
                         "%s: %" PRId64 " of the model's %" PRId64
                         " variables are not in it (--verbosity=1 names them): it belongs to "
                         "another model; use another "
                         "--model_dir, or give it as task.init_checkpoint to take its encoder only",
                         bt_ckpt_path(ckpt), n_missing, table->n_params);
}

bt_status snapshot_read_weights(const bt_model *model, bool averages, bt_ckpt *ckpt, float *flat,
                                bt_error *err) {
    const bt_param_table *const table = &model->table;
    int64_t                     n_missing = 0;
    BT_TRY(check_layers(model->encoder.num_layers, ckpt, err));
    BT_TRY(bt_ckpt_check_adapters(ckpt, table, err));
    BT_TRY(read_flat(table, ckpt, NULL, flat, &n_missing, err));
    BT_TRY(check_missing(table, ckpt, n_missing, err));
    return averages ? read_flat(table, ckpt, average_slot, flat, &n_missing, err) : BT_OK;
}

/* An engine without averages that evaluates what a run with averages trained has them as its
 * weights. */
static bt_status restore_variables(bt_exec *exec, const bt_model *model, const bt_optim *optim,
                                   bt_ckpt *ckpt, bt_error *err) {
    const bt_param_table *const table = &model->table;
    const bool averages = bt_optim_has_average(optim) && bt_exec_average(exec) == NULL;
    int64_t    n_missing = 0;
    BT_TRY(check_layers(model->encoder.num_layers, ckpt, err));
    BT_TRY(bt_ckpt_check_adapters(ckpt, table, err));
    BT_TRY(bt_exec_settle(exec, err));
    BT_TRY(read_into(exec, table, averages, ckpt, &n_missing, err));
    return check_missing(table, ckpt, n_missing, err);
}

/* trains: slots that the file does not hold are told. */
static bt_status restore_buffers(bt_exec *exec, const bt_model *model, const bt_optim *optim,
                                 bool trains, bt_ckpt *ckpt, bt_error *err) {
    const bt_param_table *const table = &model->table;
    int64_t                     n_missing_slots = 0;
    BT_TRY(restore_variables(exec, model, optim, ckpt, err));
    for (int32_t i = 0; i < bt_optim_n_slots(optim); i++) {
        BT_TRY(read_flat(table, ckpt, bt_optim_slot_name(optim, i), bt_exec_slot(exec, i),
                         &n_missing_slots, err));
    }
    start_averages(exec, table); /* of what the file does not hold: averages begin now */
    BT_TRY(read_flat(table, ckpt, average_slot, bt_exec_average(exec), &n_missing_slots, err));
    if (n_missing_slots > 0 && trains) {
        bt_log(BT_LOG_WARNING,
               "%s: %" PRId64 " slots of the optimizer (%s) are not in it and start fresh",
               bt_ckpt_path(ckpt), n_missing_slots, bt_optim_name(optim));
    }
    return bt_exec_changed(exec, err);
}

static bt_status fail_no_step(const char *prefix, bt_error *err) {
    return BT_FAIL(err, BT_E_FORMAT,
                   "%s: no global_step in it, so it is not a checkpoint of a training run", prefix);
}

bt_status snapshot_restore(train_run *run, const char *prefix, bool keep_data, bt_error *err) {
    bt_status rc = BT_OK;
    bt_ckpt  *ckpt = NULL;
    bool      found = false;
    int64_t   step = 0;
    int64_t   save_counter = 0;
    BT_CHECK(bt_ckpt_open(prefix, &ckpt, err));
    BT_CHECK(
        restore_buffers(run->exec, run->model, run->optim, run->train_data != NULL, ckpt, err));
    BT_CHECK(bt_ckpt_read_scalar(ckpt, "global_step", &step, &found, err));
    if (!found || step < 0) {
        rc = fail_no_step(prefix, err);
        goto done;
    }
    BT_CHECK(bt_ckpt_read_scalar(ckpt, "save_counter", &save_counter, &found, err));
    run->step = step;
    run->saved.last = step;
    if (!keep_data && save_counter > run->saved.n) {
        run->saved.n = save_counter;
    }
    if (run->train_data != NULL) {
        BT_CHECK(course_restore(run, ckpt, keep_data, err));
    }
    const bt_log_field fields[] = {bt_log_int("step", step), bt_log_text("path", prefix)};
    bt_log_event(BT_LOG_INFO, "restored", fields, BT_ARRAY_LEN(fields),
                 "restored step %" PRId64 " from %s", step, prefix);
    if (run->is_partial) { /* open, so its one data file is not gone if it is removed; of several,
                            * which ours never have, each is opened when it is first read */
        BT_ASSERT(run->start_ckpt == NULL);
        run->start_ckpt = ckpt;
        ckpt = NULL;
    }
done:
    bt_ckpt_close(ckpt);
    return rc;
}

bt_status snapshot_latest(const char *folder, char **prefix, bt_error *err) {
    return bt_ckpt_latest(folder, prefix, err);
}

bt_status snapshot_check(void *context, const char *prefix, int64_t *step, bt_error *err) {
    train_run *const run = context;
    bt_status        rc = BT_OK;
    bt_ckpt         *ckpt = NULL;
    bt_str           bytes = BT_STR_INIT;
    bool             found = false;
    BT_CHECK(bt_ckpt_check_values(NULL, prefix, step, err));
    if (*step < 0) {
        rc = fail_no_step(prefix, err);
        goto done;
    }
    if (run->train_data == NULL) {
        goto done;
    }
    BT_CHECK(bt_ckpt_open(prefix, &ckpt, err));
    BT_CHECK(bt_ckpt_read_state(ckpt, &bytes, &found, err));
    if (found) {
        BT_CHECK(course_check(run, prefix, &bytes, err));
    }
done:
    bt_ckpt_close(ckpt);
    bt_str_deinit(&bytes);
    return rc;
}

/* The last save that was due, where a stop saved a later step: a run that was not stopped would go
 * back to it. prefix stays NULL where it is not there any more, or damaged. */
static bt_status choose_due(train_run *run, bt_ckpt_choice *out, bt_error *err) {
    char      name[MODEL_NAME_MAX];
    char     *prefix = NULL;
    bt_error  problem = BT_ERROR_INIT;
    bt_status rc = BT_OK;
    BT_TRY(bt_fs_join(run->dir.path, model_series_name(SERIES_CKPT, run->course.save_base, name),
                      &prefix, err));
    rc = snapshot_check(run, prefix, &out->step, &problem);
    if (rc == BT_OK && out->step == run->course.save_base) {
        out->prefix = prefix;
        return BT_OK;
    }
    bt_free(prefix);
    return rc == BT_E_NOMEM ? BT_FAIL(err, rc, "%s", problem.msg) : BT_OK;
}

bt_status snapshot_start_again(train_run *run, bt_error *err) {
    const bt_param_table *const table = &run->model->table;
    BT_TRY(start_fresh(run, err));
    for (int32_t s = 0; s < bt_optim_n_slots(run->optim); s++) {
        float *const slot = bt_exec_slot(run->exec, s);
        const float  value = bt_optim_slot_init(run->optim, s);
        for (int64_t i = 0; slot != NULL && i < table->n_params; i++) {
            const bt_param *const param = &table->params[i];
            for (int64_t k = 0; param->has_gradient && k < param->n_elements; k++) {
                slot[param->offset + k] = value;
            }
        }
    }
    start_averages(run->exec, table);
    return bt_exec_changed(run->exec, err);
}

bt_status snapshot_go_back(train_run *run, bool *found, bt_error *err) {
    bt_status      rc = BT_OK;
    bt_ckpt_choice from = {.step = -1};
    *found = false;
    BT_CHECK(saver_join(run->saver, &run->saved, err));
    if (run->course.save_base < 0) {
        goto done; /* but for what a stop saved there is none yet */
    }
    if (run->saved.last != run->course.save_base) {
        BT_CHECK(choose_due(run, &from, err));
    }
    if (from.prefix == NULL) {
        BT_CHECK(bt_ckpt_choose(run->dir.path, model_series_stem(SERIES_CKPT), true, snapshot_check,
                                run, &from, err));
    }
    *found = from.prefix != NULL;
    if (from.prefix == NULL) {
        goto done;
    }
    if (from.is_fallback) {
        bt_log(BT_LOG_WARNING, "%s", bt_str_text(&from.why));
    }
    BT_CHECK(snapshot_restore(run, from.prefix, true, err));
    BT_CHECK(open_saves(run, err));
    BT_CHECK(from.is_fallback ? bt_ckpt_manager_settle(run->saves, from.prefix, from.step, err)
                              : bt_ckpt_manager_go_back(run->saves, from.prefix, from.step, err));
    BT_CHECK(bt_ckpt_manager_mark_passing(run->saves, NULL, err));
done:
    bt_ckpt_choice_deinit(&from);
    return rc;
}

bt_status snapshot_read_global_step(const char *prefix, int64_t *step, bt_error *err) {
    bt_status rc = BT_OK;
    bt_ckpt  *ckpt = NULL;
    bool      found = false;
    BT_CHECK(bt_ckpt_open(prefix, &ckpt, err));
    BT_CHECK(bt_ckpt_read_scalar(ckpt, "global_step", step, &found, err));
    if (!found) {
        rc = BT_FAIL(
            err, BT_E_FORMAT,
            "%s: no global_step in it: a pre-training job must write one for its checkpoints "
            "to be followed",
            prefix);
    }
done:
    bt_ckpt_close(ckpt);
    return rc;
}
