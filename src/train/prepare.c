/* SPDX-License-Identifier: Apache-2.0
 *
 * A run made ready: everything that is read, checked and opened before it makes or changes a file,
 * as one list (run_check), which a run, a dry run, a compilation and a benchmark go through
 * alike. */
#include "run.h"

#include <inttypes.h>
#include <stdio.h>

#include "bt/base/cores.h"
#include "bt/base/log.h"
#include "bt/base/memory.h"
#include "bt/export.h"
#include "class_rule.h"
#include "decision.h"
#include "labels.h"
#include "rounding.h"
#include "run_checks.h"
#include "vocabulary.h"

/* The output of the pass that the mode makes, or NULL. */
static const bt_task_output *output_ops(const train_run *run) {
    if (run->task == NULL) {
        return NULL;
    }
    return run->args->mode == BT_CONF_MODE_PREDICT ? run->task->prediction : run->task->evaluation;
}

train_run run_begin(const bt_train_args *args, run_purpose purpose, bt_train_summary *summary) {
    return (train_run){
        .args = args,
        .conf = args->conf,
        .purpose = purpose,
        .made = BT_FS_NAMES_INIT,
        .saved = {.last = -1},
        .course = {.save_base = -1},
        .round = -1,
        .stages = stages_begin(purpose == FOR_RUN ? args->process_began : 0, purpose == FOR_RUN),
        .summary = summary};
}

void run_deinit(train_run *run) {
    saver_free(run->saver); /* it may still read what is freed below */
    if (output_ops(run) != NULL) {
        output_ops(run)->destroy(run->output);
    }
    bt_task_plan_deinit(&run->plan);
    bt_data_close(run->train_data);
    bt_data_close(run->validation_data);
    eval_details_free(run->details);
    bt_metrics_free(run->train_metrics);
    bt_metrics_free(run->validation_metrics);
    bt_exec_free(run->exec);
    strategy_close(&run->devices);
    bt_optim_free(run->optim);
    bt_model_free(run->model);
    bt_weights_free(run->weights);
    bt_ckpt_choice_deinit(&run->start);
    bt_ckpt_close(run->start_ckpt);
    bt_ckpt_manager_close(run->saves);
    bt_ckpt_manager_close(run->best_saves);
    bt_arena_deinit(&run->arena);
}

/* Model Garden finds no batch after the training that came before. */
static bt_status check_one_batch(const bt_data_config *config, const bt_data_stream *data,
                                 bt_error *err) {
    const int64_t n_rows = bt_data_n_rows(data);
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

static bt_metrics_config metrics_config(const train_run *run, bool is_validation) {
    const bt_task_plan *const plan = &run->plan;
    const size_t n = is_validation ? plan->n_validation_metrics : plan->n_train_metrics;
    return (bt_metrics_config){.names = plan->metric_names,
                               .n_names = n,
                               .n_classes = plan->head.num_classes,
                               .unit = plan->metric_unit,
                               .decides = is_validation && decision_is_on(plan),
                               .draws_curves = is_validation && run->config.summary_extras,
                               .n_bootstrap = is_validation ? plan->n_bootstrap : 0,
                               .bootstrap_seed = (uint64_t)plan->bootstrap_seed,
                               .threshold = plan->threshold,
                               .class_names = (const char *const *)plan->labels.names,
                               .bug_compatible = run->config.bug_compatible};
}

static bt_status create_train_metrics(train_run *run, bt_error *err) {
    const bt_metrics_config config = metrics_config(run, false);
    return bt_metrics_create(&config, &run->train_metrics, err);
}

static bt_status create_validation_metrics(train_run *run, bt_error *err) {
    const bt_metrics_config config = metrics_config(run, true);
    BT_TRY(bt_metrics_create(&config, &run->validation_metrics, err));
    const names_known known = {run->validation_metrics, &config};
    return result_names_settle(&known, run->args, best_is_on(run) ? &run->config.best_metric : NULL,
                               &run->arena, err);
}

static bt_status create_output(train_run *run, bt_error *err) {
    const bool  predicts = run->args->mode == BT_CONF_MODE_PREDICT;
    const char *own_names[MODEL_OWN_NAMES_MAX];
    model_dir_own_names(own_names);
    const bt_output_request     request = {.conf = run->conf,
                                           .own_names = own_names,
                                           .plan = &run->plan,
                                           .data = run->validation_data,
                                           .model_dir = run->args->model_dir,
                                           .checkpoint = run->args->checkpoint,
                                           .prediction = predicts ? &run->args->prediction : NULL};
    const bt_task_output *const output = output_ops(run);
    return output != NULL ? output->create(&request, &run->output, err) : BT_OK;
}

static bt_status create_details(train_run *run, bt_error *err) {
    const bt_conf_mode        mode = run->args->mode;
    const eval_details_config config = {.folder = run->args->model_dir,
                                        .plan = &run->plan,
                                        .data = run->validation_data,
                                        .output = run->task->evaluation,
                                        .output_state = run->output,
                                        .mode = bt_conf_mode_trains(mode) ? NULL
                                                                          : bt_conf_mode_name(mode),
                                        .n_most = run->config.report_examples};
    const bool is_wanted = run->config.report && run->purpose == FOR_RUN && run_writes(run);
    return is_wanted ? eval_details_create(&config, &run->details, err) : BT_OK;
}

static bt_status open_train_data(train_run *run, bt_error *err) {
    labels_give(&run->plan.labels, &run->plan.train_schema);
    BT_TRY(bt_data_open(&run->config.train_data, &run->plan.train_schema, &run->train_data, err));
    BT_TRY(labels_learn(&run->plan.labels, run->train_data, err));
    return create_train_metrics(run, err);
}

static bt_status open_validation_data(train_run *run, bt_error *err) {
    bt_data_config_fit(&run->config.validation_data, &run->plan.validation_schema);
    labels_give(&run->plan.labels, &run->plan.validation_schema);
    BT_TRY(bt_data_open(&run->config.validation_data, &run->plan.validation_schema,
                        &run->validation_data, err));
    BT_TRY(check_one_batch(&run->config.validation_data, run->validation_data, err));
    BT_TRY(create_validation_metrics(run, err));
    BT_TRY(create_output(run, err));
    return create_details(run, err);
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
    if (run->purpose == FOR_FILTER) {
        return BT_OK;
    }
    BT_TRY(bt_data_open(config, &run->plan.prediction_schema, &run->validation_data, err));
    return create_output(run, err);
}

static bt_status open_data(train_run *run, bt_error *err) {
    const bt_conf_mode mode = run->args->mode;
    run->config.train_data.index_is_fixed = run_is_dry(run) || !run_writes(run);
    run->config.validation_data.index_is_fixed = run->config.train_data.index_is_fixed;
    if (mode == BT_CONF_MODE_PREDICT) {
        return open_prediction_data(run, err);
    }
    if (bt_conf_mode_trains(mode)) {
        BT_TRY(open_train_data(run, err));
    }
    return bt_conf_mode_evaluates(mode) ? open_validation_data(run, err) : BT_OK;
}

/* The processes of one host share its cores, unless each was bound to some of its own. */
static int32_t n_threads(const bt_comm *comm, int32_t wanted) {
    const int32_t own = bt_n_physical_cores();
    const int32_t share = bt_n_machine_cores() / ranks_on_this_host(comm);
    if (comm == NULL || wanted > 0) {
        return wanted;
    }
    return share < 1 ? 1 : share < own ? share : own;
}

static bt_pin pin_of(const char *word) {
    return bt_str_equal(word, "cores")   ? BT_PIN_CORES
           : bt_str_equal(word, "nodes") ? BT_PIN_NODES
                                         : BT_PIN_NONE;
}

/* Processes of one host that may all use the same cores take a part of them each. */
static bt_pin_how pin_how(const train_run *run) {
    const bt_comm *const comm = run->ranks.comm;
    const int32_t        n = ranks_on_this_host(comm);
    const bool           is_bound = bt_n_physical_cores() <= bt_n_machine_cores() / n;
    return (bt_pin_how){.pin = pin_of(run->config.pin),
                        .part = is_bound ? 0 : ranks_before_on_this_host(comm),
                        .n_parts = is_bound ? 1 : n};
}

/* And its memory. */
static uint64_t memory_limit(const bt_comm *comm) {
    const int32_t  n = ranks_on_this_host(comm);
    const uint64_t available = bt_memory_available("");
    return n > 1 && available != UINT64_MAX ? available / (uint64_t)n : 0;
}

static bool saves_best(const train_run *run) {
    return best_is_on(run) && run->args->mode != BT_CONF_MODE_PREDICT;
}

/* An evaluation by itself, or one after the other: what else a checkpoint holds stays in it. */
static bool evaluates_here(const train_run *run) {
    return (run->args->mode == BT_CONF_MODE_EVAL ||
            run->args->mode == BT_CONF_MODE_CONTINUOUS_EVAL) &&
           !run->devices.strategy.on_devices && run->ranks.comm == NULL;
}

/* A process that does not train holds only the weights in memory that it computes with (of averages
 * those: snapshot.c): a quarter. */
static bool needs_optimizer(const train_run *run) {
    return bt_conf_mode_trains(run->args->mode) || (saves_best(run) && !evaluates_here(run));
}

bt_exec_config run_exec_config(const train_run *run) {
    const int64_t n_parts = run->train_data != NULL ? run->config.accumulation_steps : 1;
    const int64_t n_works = n_parts * bt_comm_size(run->ranks.comm);
    return (bt_exec_config){
        .n_threads = n_threads(run->ranks.comm, run->config.threads),
        .pin = pin_how(run),
        .memory_limit = memory_limit(run->ranks.comm),
        .comm = run->ranks.comm,
        .shares = strategy_shares(&run->devices.strategy),
        .wire = bt_str_equal(run->config.gradient_wire, "bfloat16") ? BT_COMM_BF16 : BT_COMM_F32,
        .isa = run->config.isa,
        .use_blas = bt_str_equal(run->config.matmul, "blas"),
        .precision = run_config_precision(&run->config),
        .loss_scale = run->config.loss_scale,
        .attention = run_config_attention(&run->config),
        .recompute = run->config.recompute,
        .part_seqs =
            n_parts > 1 ? (run->config.train_data.global_batch_size + n_works - 1) / n_works : 0};
}

/* Before the data, which may take minutes to look at. */
static bt_status check_processors(const train_run *run, bt_error *err) {
    const unsigned without = FOR_EXPORT | FOR_COMPILING;
    if (run->devices.strategy.on_devices || ((unsigned)run->purpose & without) != 0) {
        return BT_OK;
    }
    const bt_exec_config config = run_exec_config(run);
    return bt_exec_check_processors(&config, err);
}

bt_status bt_train_check_processors(const bt_train_args *args, bt_error *err) {
    const bt_conf *const conf = args->conf;
    const bool           is_alone = args->job == NULL || args->job->size <= 1;
    bool                 on_devices = false;
    int64_t              n_threads = 0;
    bt_export_precision  exported = BT_EXPORT_FLOAT32;
    BT_TRY(strategy_wants_devices(conf, &on_devices, err));
    BT_TRY(bt_export_find_precision(args->export_precision, &exported, err));
    const bool only_copies =
        args->mode == BT_CONF_MODE_EXPORT && exported == BT_EXPORT_FLOAT32; /* without an engine */
    if (on_devices || only_copies) {
        return BT_OK;
    }
    bt_exec_config config = {.isa = bt_conf_peek_str(conf, "runtime.isa")};
    if (is_alone && bt_conf_peek_i64(conf, "runtime.threads", &n_threads)) {
        config.n_threads = (int32_t)n_threads;
        config.pin =
            (bt_pin_how){.pin = pin_of(bt_conf_peek_str(conf, "runtime.pin")), .n_parts = 1};
        config.use_blas = bt_str_equal(bt_conf_peek_str(conf, "runtime.matmul"), "blas");
    }
    return bt_exec_check_processors(&config, err);
}

static void say_unused_blas(const run_config *config) {
    if (config->blas_library[0] != '\0' && !bt_exec_has_blas()) {
        bt_log(BT_LOG_WARNING,
               "runtime.blas_library is %s, and nothing in this run multiplies with a BLAS: it is "
               "not loaded (runtime.matmul=blas asks for it)",
               config->blas_library);
    }
}

/* Those in 8 bits begin in floats, unless nobody compares. */
static bool only_evaluates(const train_run *run) {
    const bool predicts = run->args->mode == BT_CONF_MODE_PREDICT && run->ranks.comm == NULL;
    return (predicts || evaluates_here(run)) && !rounding_compares(run);
}

static bt_status make_exec(train_run *run, bt_error *err) {
    bt_exec_config        config = run_exec_config(run);
    const bt_optim *const optim = needs_optimizer(run) ? run->optim : NULL;
    config.only_evaluates = only_evaluates(run);
    config.in_8_bits = config.only_evaluates && rounding_is_on(run);
    run->is_partial = saves_best(run) && evaluates_here(run);
    return strategy_create_exec(&run->devices, run->model, optim, &config, &run->exec, err);
}

static bt_status create_exec(train_run *run, bt_error *err) {
    stages_end(&run->stages, "data", "preparing the engine");
    BT_TRY(make_exec(run, err));
    say_unused_blas(&run->config);
    return BT_OK;
}

/* Who tells of it later has its name. */
static void free_exec(train_run *run) {
    if (run->exec != NULL) {
        (void)snprintf(run->summary->engine, sizeof run->summary->engine, "%s",
                       bt_exec_describe(run->exec));
    }
    bt_exec_free(run->exec);
    run->exec = NULL;
}

/* A best checkpoint of step 0 holds variables alone. */
bt_status run_leave_weights(train_run *run, bt_error *err) {
    if (!run->is_partial) {
        return BT_OK;
    }
    free_exec(run);
    if (run->start_ckpt != NULL) {
        return BT_OK;
    }
    const bt_exec_config config = run_exec_config(run);
    BT_TRY(bt_exec_create_cpu(run->model, NULL, &config, &run->exec, err));
    return start_fresh(run, err);
}

void run_rest(train_run *run) {
    if (evaluates_here(run)) {
        free_exec(run);
        bt_ckpt_close(run->start_ckpt);
        run->start_ckpt = NULL;
    }
}

bt_status run_wake(train_run *run, bt_error *err) {
    return run->exec == NULL ? make_exec(run, err) : BT_OK;
}

static bt_status check_shares(int64_t n, int32_t n_ranks, bt_error *err) {
    return n >= n_ranks ? BT_OK
                        : BT_FAIL(err, BT_E_CONFIG,
                                  "task.train_data.global_batch_size: %" PRId64
                                  " examples for %" PRId32 " processes: each needs one at least",
                                  n, n_ranks);
}

static bt_status open_devices(train_run *run, bt_error *err) {
    if (run->purpose == FOR_EXPORT) {
        return BT_OK;
    }
    const bool          trains = bt_conf_mode_trains(run->args->mode);
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
    const bool           offline = run->args->offline || run_is_dry(run);
    BT_TRY(bt_weights_create(run->conf, offline, &run->weights, err));
    return bt_weights_give_assets(run->weights, &use, err);
}

#define FREEZE "task.model.freeze"

/* What of it is trained is part of the model. */
static bt_status create_model(train_run *run, bt_error *err) {
    const bool       has_adapters = run->plan.encoder.lora.rank > 0;
    const bool       is_frozen = !bt_conf_peek_is_empty(run->conf, FREEZE);
    bt_conf_str_list words = {0};
    if (has_adapters && is_frozen) {
        return BT_FAIL(err, BT_E_CONFIG,
                       FREEZE ": with task.model.lora all of the encoder is frozen, and adapters "
                              "and head are trained: leave it out");
    }
    BT_TRY(bt_model_create(&run->plan.encoder, &run->plan.head, &run->model, err));
    BT_TRY(bt_conf_get_str_list(run->conf, FREEZE, &words, err));
    BT_TRY(bt_model_freeze(run->model, words.items, words.n, err));
    if ((is_frozen || has_adapters) && bt_conf_mode_trains(run->args->mode)) {
        const bt_param_table *const table = &run->model->table;
        bt_log(BT_LOG_INFO,
               "trained are %" PRId64 " of %" PRId64 " parameters: the others are frozen (%s)",
               bt_param_table_n_trained(table), table->n_elements,
               has_adapters ? "task.model.lora" : FREEZE);
    }
    return BT_OK;
}

static bt_status tell_rates(const train_run *run, bt_error *err) {
    bt_str    text = BT_STR_INIT;
    bt_status rc = bt_optim_append_multipliers(run->optim, &text, err);
    if (rc == BT_OK && text.len > 0) {
        bt_log(BT_LOG_INFO, "learning rates of their own, as multiples of the schedule's: %s",
               bt_str_text(&text));
    }
    bt_str_deinit(&text);
    return rc;
}

static bt_status prepare(train_run *run, bt_error *err) {
    const bt_train_args *const args = run->args;
    BT_TRY(bt_arena_init(&run->arena, 4096, err));
    BT_TRY(config_check(args->conf, args->mode, err));
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
    BT_TRY(check_processors(run, err));
    BT_TRY(labels_settle(args->model_dir, &run->plan, &run->recorded_vocabulary, err));
    bt_exec_choose_blas(run->config.blas_library, run->config.threads);
    BT_TRY(create_model(run, err));
    BT_TRY(give_assets(run, err));
    stages_end(&run->stages, "model", "reading the data");
    BT_TRY(open_data(run, err));
    BT_TRY(set_class_rule(&run->plan, run->train_data, run->model, err));
    BT_TRY(find_vocabulary(run, err));
    BT_TRY(tell_data(run, err));
    const int64_t n_rows = run->train_data != NULL ? bt_data_n_rows(run->train_data) : 0;
    const int64_t n_evaluated =
        run->validation_data != NULL ? bt_data_n_rows(run->validation_data) : 0;
    BT_TRY(run_config_fit_epoch(args, &run->config, n_rows, n_evaluated, err));
    if (bt_conf_mode_trains(args->mode) || run->config.train_steps_key.is_set) {
        BT_TRY(run_config_derive(args->conf, &run->config, n_rows, err));
    }
    const bt_optim_derived derived = {.train_steps =
                                          run->config.train_steps > 0 ? run->config.train_steps : 1,
                                      .warmup_steps = run->config.warmup_steps};
    BT_TRY(bt_optim_create(args->conf, &derived, &run->model->table, &run->optim, err));
    if (run->train_data != NULL) {
        BT_TRY(check_shares(run->config.train_data.global_batch_size, bt_comm_size(run->ranks.comm),
                            err));
    }
    if (!bt_conf_mode_trains(args->mode)) {
        return BT_OK;
    }
    BT_TRY(tell_rates(run, err));
    return rate_check(run->conf, &run->config, run->optim, err);
}

/* Is there going to be a save that is not the run's last act? */
static bool saves_before_the_end(const run_config *config, bt_conf_mode mode) {
    const int64_t end = config->train_steps;
    return run_config_saves(config) &&
           (config->steps_per_loop < end || run_config_next_evaluation(config, mode, 0) < end);
}

static bt_status plan_memory(train_run *run, bt_error *err) {
    if (!bt_conf_mode_trains(run->args->mode)) {
        return BT_OK;
    }
    const size_t n_bytes = saver_state_bytes(&run->model->table, run->optim);
    const bool   saves_beside = run->args->saves_beside && run_writes(run) &&
                              saves_before_the_end(&run->config, run->args->mode);
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

/* The folder is its own, or would be: it may be written, and nobody else has it. */
static bt_status check_lock(train_run *run, bt_error *err) {
    return run_writes(run) ? run_lock_take_early(run->args, run->locks, err) : BT_OK;
}

static bt_status refuse_devices(train_run *run, bt_error *err) {
    return run->devices.strategy.on_devices
               ? BT_FAIL(err, BT_E_UNSUPPORTED,
                         "--benchmark measures processors: leave runtime.pjrt_plugin and "
                         "runtime.num_gpus out, and take the strategy 'one_device'")
               : BT_OK;
}

static bt_status tell_engine(train_run *run, bt_error *err) {
    (void)err;
    const bool is_rounded = rounding_is_on(run); /* once it is, a line says so */
    bt_log(BT_LOG_INFO, "%s%s%s; seed %" PRIu64, bt_exec_describe(run->exec),
           !is_rounded              ? ""
           : rounding_compares(run) ? ", then in the encoder "
                                    : ", in the encoder ",
           is_rounded ? run->config.precision : "", run->config.seed);
    return BT_OK;
}

static bt_status check_start(train_run *run, bt_error *err) {
    stages_end(&run->stages, "engine", "looking at the weights");
    return run_writes(run) ? start_check(run, err) : BT_OK;
}

static bt_status tell_model(train_run *run, bt_error *err) {
    (void)err;
    bt_log(BT_LOG_INFO, "model: %" PRId64 " parameters in %" PRId64 " variables",
           run->model->table.n_elements, run->model->table.n_params);
    return BT_OK;
}

typedef struct check_row {
    bt_status (*check)(train_run *run, bt_error *err);
    unsigned purposes; /* for which it is made */
} check_row;

/* In this order. A row for a run is one for a dry run, unless it says why not. */
static const check_row checks[] = {
    {check_lock, FOR_RUN | FOR_DRY_RUN | FOR_COMPILING},
    {prepare, FOR_ALL},
    {refuse_devices, FOR_BENCHMARK},
    {create_exec,
     FOR_RUN | FOR_DRY_RUN | FOR_BENCHMARK | FOR_FILTER}, /* compiled for devices not here */
    {tell_engine, FOR_RUN | FOR_DRY_RUN | FOR_BENCHMARK | FOR_FILTER},
    {check_start, FOR_RUN | FOR_DRY_RUN | FOR_COMPILING | FOR_FILTER},
    {plan_memory, FOR_RUN | FOR_DRY_RUN | FOR_BENCHMARK}, /* compiling measures it */
    {check_evaluation_memory, FOR_RUN | FOR_DRY_RUN},
    {start_tell, FOR_DRY_RUN | FOR_COMPILING}, /* a run restores it */
    {tell_model, FOR_DRY_RUN},
};

bt_status run_check(train_run *run, bt_error *err) {
    for (size_t i = 0; i < BT_ARRAY_LEN(checks); i++) {
        if ((checks[i].purposes & (unsigned)run->purpose) != 0) {
            BT_TRY(checks[i].check(run, err));
        }
    }
    return BT_OK;
}
