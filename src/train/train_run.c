/* SPDX-License-Identifier: Apache-2.0
 *
 * One run from configuration to last checkpoint. Everything that can be refused is refused in
 * run_prepare(), which writes nothing; then the model is restored or initialised and the mode's
 * loop runs. */
#include "run.h"

#include <inttypes.h>
#include <stdio.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/memory.h"
#include "bt/base/pool.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"
#include "bt/fs.h"
#include "class_rule.h"
#include "labels.h"
#include "model_dir.h"
#include "run_checks.h"
#include "vocabulary.h"

static bool mode_trains(bt_conf_mode mode) {
    return bt_conf_mode_trains(mode);
}

static bool mode_evaluates(bt_conf_mode mode) {
    return bt_conf_mode_evaluates(mode) || mode == BT_CONF_MODE_TRAIN_AND_POST_EVAL;
}

/* The output of the pass that the mode makes, or NULL. */
static const bt_task_output *output_ops(const train_run *run) {
    if (run->task == NULL) {
        return NULL;
    }
    return run->args->mode == BT_CONF_MODE_PREDICT ? run->task->prediction : run->task->evaluation;
}

void run_deinit(train_run *run) {
    saver_free(run->saver); /* it may still read what is freed below */
    if (output_ops(run) != NULL) {
        output_ops(run)->destroy(run->output);
    }
    bt_task_plan_deinit(&run->plan);
    bt_data_close(run->train_data);
    bt_data_close(run->validation_data);
    bt_metrics_free(run->train_metrics);
    bt_metrics_free(run->validation_metrics);
    bt_exec_free(run->exec);
    strategy_close(&run->devices);
    bt_optim_free(run->optim);
    bt_model_free(run->model);
    bt_weights_free(run->weights);
    bt_ckpt_choice_deinit(&run->start);
    bt_ckpt_manager_close(run->saves);
    bt_ckpt_manager_close(run->best_saves);
    bt_arena_deinit(&run->arena);
}

/* The i-th value that an evaluation reports, or NULL after the last: metrics, values of the task's
 * output, the loss. */
static const char *reported_name(const train_run *run, size_t i) {
    if (i < run->plan.n_validation_metrics) {
        return run->plan.metric_names[i];
    }
    i -= run->plan.n_validation_metrics;
    const char *const *const names = run->task->output_names;
    size_t                   n_names = 0;
    while (names != NULL && names[n_names] != NULL) {
        if (n_names == i) {
            return names[i];
        }
        n_names++;
    }
    return i == n_names && run->task->reports_validation_loss ? "validation_loss" : NULL;
}

/* The metric of the best checkpoint is known before any work: Model Garden finds out after the
 * first evaluation that there is none of that name. */
static bt_status check_best_metric(const train_run *run, bt_error *err) {
    const run_config *const config = &run->config;
    if (config->best_subdir[0] == '\0' || config->best_metric[0] == '\0' ||
        !mode_evaluates(run->args->mode)) {
        return BT_OK;
    }
    bt_str    known = BT_STR_INIT;
    bt_status rc = BT_OK;
    for (size_t i = 0;; i++) {
        const char *const name = reported_name(run, i);
        if (name == NULL) {
            break;
        }
        if (bt_str_equal(name, config->best_metric)) {
            goto done;
        }
        BT_CHECK(bt_str_appendf(&known, err, "%s%s", i > 0 ? ", " : "", name));
    }
    rc = BT_FAIL(err, BT_E_CONFIG,
                 "trainer.best_checkpoint_eval_metric is '%s', but the evaluation of this task has "
                 "only %s",
                 config->best_metric, bt_str_text(&known));
done:
    bt_str_deinit(&known);
    return rc;
}

static bt_status check_endless_evaluation(const train_run *run, bt_error *err) {
    if (run->config.validation_data.is_training && run->config.validation_steps < 0) {
        return BT_FAIL(
            err, BT_E_CONFIG,
            "task.validation_data.is_training is true and trainer.validation_steps is -1: the "
            "evaluation would never end; set task.validation_data.is_training=false");
    }
    return BT_OK;
}

/* Model Garden finds no batch after the training that came before. */
static bt_status check_one_batch(const train_run *run, bt_error *err) {
    const bt_data_config *const config = &run->config.validation_data;
    const int64_t               n_rows = bt_data_n_rows(run->validation_data);
    if (config->drop_remainder && !config->is_training && n_rows < config->global_batch_size) {
        return BT_FAIL(
            err, BT_E_CONFIG,
            "task.validation_data: its %" PRId64 " records are fewer than one batch of %" PRId64
            " and drop_remainder is true, so there is no batch at all: lower global_batch_size "
            "or set drop_remainder to false",
            n_rows, config->global_batch_size);
    }
    return BT_OK;
}

static bt_status create_metrics(const train_run *run, size_t n, bt_metrics **out, bt_error *err) {
    const bt_task_plan *const plan = &run->plan;
    const bt_metrics_config   config = {.names = plan->metric_names,
                                        .n_names = n,
                                        .n_classes = plan->head.num_classes,
                                        .unit = plan->metric_unit,
                                        .threshold = plan->threshold,
                                        .class_names = (const char *const *)plan->labels.names,
                                        .bug_compatible = run->config.bug_compatible};
    return bt_metrics_create(&config, out, err);
}

static bt_status create_output(train_run *run, bt_error *err) {
    const bool                  predicts = run->args->mode == BT_CONF_MODE_PREDICT;
    const bt_output_request     request = {.conf = run->conf,
                                           .plan = &run->plan,
                                           .data = run->validation_data,
                                           .model_dir = run->args->model_dir,
                                           .checkpoint = run->args->checkpoint,
                                           .prediction = predicts ? &run->args->prediction : NULL};
    const bt_task_output *const output = output_ops(run);
    return output != NULL ? output->create(&request, &run->output, err) : BT_OK;
}

static bt_status open_train_data(train_run *run, bt_error *err) {
    labels_give(&run->plan.labels, &run->plan.train_schema);
    BT_TRY(bt_data_open(&run->config.train_data, &run->plan.train_schema, &run->train_data, err));
    BT_TRY(labels_learn(&run->plan.labels, run->train_data, err));
    return create_metrics(run, run->plan.n_train_metrics, &run->train_metrics, err);
}

static bt_status open_validation_data(train_run *run, bt_error *err) {
    bt_data_config_fit(&run->config.validation_data, &run->plan.validation_schema);
    BT_TRY(check_endless_evaluation(run, err));
    labels_give(&run->plan.labels, &run->plan.validation_schema);
    BT_TRY(bt_data_open(&run->config.validation_data, &run->plan.validation_schema,
                        &run->validation_data, err));
    BT_TRY(check_one_batch(run, err));
    BT_TRY(create_metrics(run, run->plan.n_validation_metrics, &run->validation_metrics, err));
    return create_output(run, err);
}

/* Every row once, in the order of the files, whatever the section says for an evaluation. */
static bt_status open_prediction_data(train_run *run, bt_error *err) {
    bt_data_config *const config = &run->config.validation_data;
    if (run->task->prediction == NULL) {
        return BT_FAIL(err, BT_E_UNSUPPORTED, "--mode=predict: experiment %s has no predictions",
                       bt_conf_experiment_name(run->conf));
    }
    config->is_training = false;
    config->drop_remainder = false;
    config->cycle_length = 1;
    config->skip_bad_records = 0; /* a row that is left out would move the others */
    BT_TRY(bt_data_open(config, &run->plan.prediction_schema, &run->validation_data, err));
    return create_output(run, err);
}

static bt_status open_data(train_run *run, bt_error *err) {
    const bt_conf_mode mode = run->args->mode;
    if (mode == BT_CONF_MODE_PREDICT) {
        return open_prediction_data(run, err);
    }
    if (mode_trains(mode)) {
        BT_TRY(open_train_data(run, err));
    }
    return mode_evaluates(mode) ? open_validation_data(run, err) : BT_OK;
}

/* The processes of one host share its cores, unless each was bound to some of its own. */
static int32_t n_threads(const train_run *run) {
    const int32_t own = bt_n_physical_cores();
    const int32_t share = bt_n_machine_cores() / ranks_on_this_host(run->ranks.comm);
    if (run->ranks.comm == NULL || run->config.threads > 0) {
        return run->config.threads;
    }
    return share < 1 ? 1 : share < own ? share : own;
}

/* And its memory. */
static uint64_t memory_limit(const train_run *run) {
    const int32_t  n = ranks_on_this_host(run->ranks.comm);
    const uint64_t available = bt_memory_available("");
    return n > 1 && available != UINT64_MAX ? available / (uint64_t)n : 0;
}

/* Who neither trains nor saves has the weights alone in memory: a quarter of it. */
static bool needs_optimizer(const train_run *run) {
    const bool saves = best_is_on(run) && run->args->mode != BT_CONF_MODE_PREDICT;
    return mode_trains(run->args->mode) || saves || bt_optim_has_average(run->optim);
}

bt_exec_config run_exec_config(const train_run *run) {
    const int64_t n_parts = run->train_data != NULL ? run->config.accumulation_steps : 1;
    const int64_t n_works = n_parts * bt_comm_size(run->ranks.comm);
    return (bt_exec_config){
        .n_threads = n_threads(run),
        .memory_limit = memory_limit(run),
        .comm = run->ranks.comm,
        .shares = strategy_shares(&run->devices.strategy),
        .wire = bt_str_equal(run->config.gradient_wire, "bfloat16") ? BT_COMM_BF16 : BT_COMM_F32,
        .isa = run->config.isa,
        .use_blas = bt_str_equal(run->config.products, "blas"),
        .precision = run_config_precision(&run->config),
        .loss_scale = run->config.loss_scale,
        .attention = run_config_attention(&run->config),
        .recompute = run->config.recompute,
        .part_seqs =
            n_parts > 1 ? (run->config.train_data.global_batch_size + n_works - 1) / n_works : 0};
}

static void say_unused_blas(const train_run *run) {
    if (run->config.blas_library[0] != '\0' && !bt_exec_has_blas()) {
        bt_log(BT_LOG_WARNING,
               "runtime.blas_library is %s, and nothing in this run multiplies with a BLAS: it is "
               "not loaded (runtime.products=blas asks for it)",
               run->config.blas_library);
    }
}

bt_status run_create_exec(train_run *run, bt_error *err) {
    const bt_exec_config  config = run_exec_config(run);
    const bt_optim *const optim = needs_optimizer(run) ? run->optim : NULL;
    BT_TRY(strategy_create_exec(&run->devices, run->model, optim, &config, &run->exec, err));
    say_unused_blas(run);
    return BT_OK;
}

static bt_status check_shares(const train_run *run, bt_error *err) {
    const int64_t n = run->config.train_data.global_batch_size;
    if (n >= bt_comm_size(run->ranks.comm)) {
        return BT_OK;
    }
    return run->train_data == NULL
               ? BT_OK
               : BT_FAIL(err, BT_E_CONFIG,
                         "task.train_data.global_batch_size: %" PRId64 " examples for %" PRId32
                         " processes: each needs one at least",
                         n, bt_comm_size(run->ranks.comm));
}

static bt_status open_devices(train_run *run, bt_error *err) {
    const bool          trains = mode_trains(run->args->mode);
    const strategy_work work = {.train_data = trains ? &run->config.train_data : NULL,
                                .loss = run->plan.head.loss};
    return strategy_open(&run->devices, run->conf, &work, err);
}

/* The rows that are evaluated or predicted. */
static const bt_data_schema *other_schema(const train_run *run) {
    return run->args->mode == BT_CONF_MODE_PREDICT ? &run->plan.prediction_schema
                                                   : &run->plan.validation_schema;
}

static bt_status find_vocabulary(train_run *run, bt_error *err) {
    return run->train_data == NULL
               ? BT_OK
               : vocabulary_fingerprint(&run->plan, run->validation_data != NULL, &run->vocabulary,
                                        err);
}

static bt_status tell_data(const train_run *run, bt_error *err) {
    const data_side train = {run->train_data, &run->config.train_data, &run->plan.train_schema};
    const data_side other = {run->validation_data, &run->config.validation_data, other_schema(run)};
    return data_facts_tell(&train, &other, &run->plan.labels, err);
}

bt_weights_use run_weights_use(train_run *run) {
    return (bt_weights_use){.conf = run->conf,
                            .mode = run->args->mode,
                            .train_data = &run->config.train_data,
                            .validation_data = &run->config.validation_data,
                            .plan = &run->plan,
                            .model = run->model};
}

static bt_status give_assets(train_run *run, bt_error *err) {
    const bt_weights_use use = run_weights_use(run);
    const bool           offline = run->args->offline || run->is_dry;
    BT_TRY(bt_weights_create(run->conf, offline, &run->weights, err));
    return bt_weights_give_assets(run->weights, &use, err);
}

bt_status run_prepare(train_run *run, bt_error *err) {
    const bt_train_args *const args = run->args;
    BT_TRY(bt_arena_init(&run->arena, 4096, err));
    BT_TRY(bt_task_check_supported(args->conf, NULL, err));
    BT_TRY(strategy_read(args->conf, &run->devices.strategy, err));
    BT_TRY(bt_task_find(bt_conf_experiment_name(args->conf), &run->task, err));
    BT_TRY(run->task->plan(args->conf, &run->plan, err));
    if (args->mode == BT_CONF_MODE_PREDICT) {
        run->plan.head.loss = BT_LOSS_NONE; /* and a head that ranks gives its vectors */
    }
    BT_TRY(run_config_read(args->conf, args->mode, &run->arena, &run->config, err));
    run->dir = (model_dir){.path = args->model_dir,
                           .best_subdir = run->config.best_subdir,
                           .events_subdir = run->config.validation_summary_subdir};
    BT_TRY(run_writes(run) ? model_dir_check(&run->dir, args->mode, err) : BT_OK);
    BT_TRY(open_devices(run, err)); /* before the data, which may take minutes to look at */
    BT_TRY(labels_settle(args->model_dir, &run->plan, &run->recorded_vocabulary, err));
    bt_exec_choose_blas(run->config.blas_library, run->config.threads);
    BT_TRY(check_best_metric(run, err));
    BT_TRY(bt_model_create(&run->plan.encoder, &run->plan.head, &run->model, err));
    BT_TRY(give_assets(run, err));
    BT_TRY(open_data(run, err));
    BT_TRY(set_class_rule(&run->plan, run->train_data, run->model, err));
    BT_TRY(find_vocabulary(run, err));
    BT_TRY(tell_data(run, err));
    const int64_t n_rows = run->train_data != NULL ? bt_data_n_rows(run->train_data) : 0;
    const int64_t n_evaluated =
        run->validation_data != NULL ? bt_data_n_rows(run->validation_data) : 0;
    BT_TRY(run_config_fit_epoch(args, &run->config, n_rows, n_evaluated, err));
    if (mode_trains(args->mode) || run->config.train_steps_key.is_set) {
        BT_TRY(run_config_derive(args->conf, &run->config, n_rows, err));
    }
    const bt_optim_derived derived = {.train_steps =
                                          run->config.train_steps > 0 ? run->config.train_steps : 1,
                                      .warmup_steps = run->config.warmup_steps};
    BT_TRY(bt_optim_create(args->conf, &derived, &run->model->table, &run->optim, err));
    BT_TRY(check_shares(run, err));
    return mode_trains(args->mode) ? rate_check(run->conf, &run->config, run->optim, err) : BT_OK;
}

static bt_status write_params_yaml(const train_run *run, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    yaml = BT_STR_INIT;
    char     *path = NULL;
    BT_CHECK(bt_conf_dump_yaml(run->conf, &yaml, err));
    BT_CHECK(model_dir_join(&run->dir, MODEL_PARAMS, &path, err));
    BT_CHECK(bt_fs_replace(path, bt_str_text(&yaml), yaml.len, err));
done:
    bt_str_deinit(&yaml);
    bt_free(path);
    return rc;
}

/* A run that was killed while it wrote leaves temporary files behind. */
static bt_status remove_leftovers(const train_run *run, bt_error *err) {
    char *folder = NULL;
    BT_TRY(bt_fs_finish_commits(run->args->model_dir, err)); /* their files are temporary ones */
    BT_TRY(bt_fs_sweep(run->args->model_dir, NULL, err));
    if (run->config.best_subdir[0] == '\0') {
        return BT_OK;
    }
    BT_TRY(model_dir_join(&run->dir, MODEL_BEST, &folder, err));
    const bt_status rc = bt_fs_sweep(folder, NULL, err);
    bt_free(folder);
    return rc;
}

static bt_status open_log(train_run *run, bt_error *err) {
    const bt_conf_mode   mode = run->args->mode;
    const run_log_config config = {.dir = &run->dir,
                                   .mode = mode_trains(mode) ? NULL : bt_conf_mode_name(mode),
                                   .last_step = run->step,
                                   .round = run->round};
    return run_log_open(&config, &run->log, err);
}

/* Of who writes: model_dir as this run needs it. */
static bt_status begin_writing(train_run *run, bt_error *err) {
    BT_TRY(snapshot_settle(run, &run->start, err));
    if (run->saved.last < 0 || !training_is_over(run)) { /* else they are those of what was done */
        BT_TRY(write_params_yaml(run, err));
        BT_TRY(
            vocabulary_keep(run->args->model_dir, &run->plan.train_schema, run->vocabulary, err));
        BT_TRY(labels_write(run->args->model_dir, &run->plan, run->vocabulary, err));
    }
    BT_TRY(best_load(run, err));
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
    char       from[64] = "begins anew";
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

/* Is there going to be a save that is not the run's last act? */
static bool saves_before_the_end(const train_run *run) {
    const run_config *const config = &run->config;
    const int64_t           end = config->train_steps;
    return run_config_saves(config) &&
           (config->steps_per_loop < end ||
            run_config_next_evaluation(config, run->args->mode, run->step) < end);
}

bt_status run_plan_memory(train_run *run, bt_error *err) {
    const size_t n_bytes = saver_state_bytes(&run->model->table, run->optim);
    const bool   saves_beside =
        run->args->saves_beside && run_writes(run) && saves_before_the_end(run);
    bool has_room = false;
    BT_TRY(memory_plan(run->exec, &run->config, &run->plan, bt_comm_size(run->ranks.comm),
                       saves_beside ? n_bytes : 0, &has_room, err));
    return has_room ? saver_create(run->exec, &run->model->table, n_bytes, &run->saver, err)
                    : BT_OK;
}

static bt_status check_evaluation_memory(train_run *run, bt_error *err) {
    return run->validation_data == NULL
               ? BT_OK
               : memory_check_evaluation(run->exec, &run->config, &run->plan, other_schema(run),
                                         err);
}

bt_status run_check(train_run *run, bt_error *err) {
    BT_TRY(run_prepare(run, err));
    BT_TRY(run_create_exec(run, err));
    bt_log(BT_LOG_INFO, "%s; seed %" PRIu64, bt_exec_describe(run->exec), run->config.seed);
    BT_TRY(run_writes(run) ? start_check(run, err) : BT_OK);
    if (mode_trains(run->args->mode)) {
        BT_TRY(run_plan_memory(run, err));
    }
    return check_evaluation_memory(run, err);
}

/* What only who writes does: the folder is its own, and what the run starts from is restored. */
static bt_status take_folder(train_run *run, bt_error *err) {
    BT_TRY(made_folders_make(run->args->model_dir, &run->made, err));
    BT_TRY(run_lock_take(run->args, run->locks, err));
    if (run->args->mode != BT_CONF_MODE_PREDICT) {
        BT_TRY(remove_leftovers(run, err));
    }
    BT_TRY(start_restore(run, err));
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
    if (mode_trains(run->args->mode)) {
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

static bt_status finish(train_run *run, bt_error *err) {
    run->summary->step = run->step;
    run->summary->seconds = bt_time_monotonic() - run->started;
    if (run->log == NULL) { /* a prediction leaves no trace but its files */
        return BT_OK;
    }
    return run_log_final(run->log, run->summary, run->stopped, err);
}

/* Everything that can be refused, on all ranks, before one of them makes a file. */
static bt_status check_all(train_run *run, bt_error *err) {
    bt_status rc = run_writes(run) ? run_lock_take_early(run->args, run->locks, err) : BT_OK;
    if (rc == BT_OK) {
        rc = run_check(run, err);
    }
    BT_TRY(ranks_meet(&run->ranks, rc, err));
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
    train_run run = {.args = args,
                     .conf = args->conf,
                     .made = BT_FS_NAMES_INIT,
                     .ranks = {.comm = comm},
                     .locks = held != NULL ? held : &own,
                     .saved = {.last = -1},
                     .course = {.save_base = -1},
                     .round = round,
                     .started = bt_time_monotonic(),
                     .summary = summary};
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
    run_deinit(&run); /* waits for a save beside, which needs the lock */
    run_lock_release(&own);
    bt_stop_shield(false);
    if (rc != BT_OK) {
        made_folders_undo(&run.made);
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
    BT_TRY(ranks_open(args, &comm, err));
    return run_once(args, -1, NULL, comm, summary, err);
}
