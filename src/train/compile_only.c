/* SPDX-License-Identifier: Apache-2.0
 *
 * --compile_only: the checks of a dry run, then the programs that the run would need, compiled for
 * devices that are not here. Nothing is trained and nothing is written. */
#include "compile_only.h"

#include <inttypes.h>
#include <stdio.h>

#include "bt/base/log.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"
#include "run.h"
#include "run_checks.h"

bool compile_fits(const compile_job *job, const bt_train_program *program) {
    return !program->is_too_large &&
           (job->usable_bytes < 0 || program->total_bytes <= job->usable_bytes);
}

static const char *job_name(const compile_job *job) {
    return job->trains ? "training" : "evaluation";
}

bt_status compile_program(const compile_job *job, int64_t batch, const bt_exec_shape *shape,
                          bt_train_program *out, bt_error *err) {
    const bt_exec_wish wish = compile_wish(job, shape);
    bt_exec_compiled   c;
    bt_log(BT_LOG_INFO,
           "compiling the %s of a batch of %" PRId64 ": %" PRId64 " x %" PRId64 " slots a device",
           job_name(job), batch, shape->n_rows, shape->n_slots);
    BT_TRY(bt_stop_check(err));
    BT_TRY(bt_exec_ahead_compile(job->ahead, &wish, &c, err));
    *out = (bt_train_program){.batch = batch,
                              .n_devices = job->rows.n_devices,
                              .n_parts = job->rows.n_parts,
                              .n_batches = job->rows.n_batches,
                              .n_shapes = (int64_t)job->rows.n_shapes,
                              .n_rows = shape->n_rows,
                              .n_slots = shape->n_slots,
                              .n_seqs = shape->n_seqs,
                              .product_gflop = c.product_flops * 1e-9 * job->rows.n_parts,
                              .is_too_large = c.is_too_large,
                              .argument_bytes = c.memory.argument_bytes,
                              .result_bytes = c.memory.result_bytes,
                              .donated_bytes = c.memory.donated_bytes,
                              .temporary_bytes = c.memory.temporary_bytes,
                              .code_bytes = c.memory.code_bytes,
                              .beside_bytes = job->beside_bytes,
                              .serialized_bytes = (int64_t)c.n_bytes,
                              .seconds = c.seconds};
    out->total_bytes = out->argument_bytes + out->result_bytes - out->donated_bytes +
                       out->temporary_bytes + out->code_bytes + out->beside_bytes;
    return BT_OK;
}

static bt_status estimate_full(const compile_job *job, const bt_exec_shape *shape,
                               bt_train_part *part, bt_error *err) {
    bt_exec_wish wish = compile_wish(job, shape);
    const double cost = bt_exec_ahead_estimate(&wish);
    BT_TRY(compile_full_shape(job, job->batch, &wish.shape, err));
    const double ratio = bt_exec_ahead_estimate(&wish) / cost;
    part->full_rows = wish.shape.n_rows;
    part->full_slots = wish.shape.n_slots;
    part->full_bytes =
        part->program.total_bytes + (int64_t)((double)part->program.temporary_bytes * (ratio - 1));
    return BT_OK;
}

/* Below the half of what there is an estimate is believed, as before a run's first step. */
static bool is_in_doubt(const compile_job *job, const bt_train_part *part) {
    return part->program.is_too_large ||
           (job->usable_bytes >= 0 && part->full_bytes > job->usable_bytes / 2);
}

static bt_status compile_part(const compile_job *job, bool finds_largest, bt_train_part *part,
                              bt_error *err) {
    if (job->rows.n_shapes == 0) { /* nothing is left to do */
        bt_log(BT_LOG_WARNING, "no batch of %s is left, so nothing is compiled", job_name(job));
        return BT_OK;
    }
    const bt_exec_shape *const shape = compile_largest_shape(job);
    BT_TRY(compile_program(job, job->batch, shape, &part->program, err));
    BT_TRY(estimate_full(job, shape, part, err));
    part->is_there = true;
    return finds_largest || is_in_doubt(job, part)
               ? compile_find_largest(job, shape, finds_largest, part, err)
               : BT_OK;
}

/* A plug-in's text on one line. */
static void copy_line(char *out, size_t cap, const char *text) {
    (void)snprintf(out, cap, "%s", text);
    for (char *c = out; *c != '\0'; c++) {
        *c = *c < ' ' && *c > 0 ? ' ' : *c;
    }
}

static void describe(const bt_exec_ahead *ahead, bt_train_compiled *out) {
    const bt_exec_chips chips = bt_exec_ahead_chips(ahead);
    copy_line(out->chip, sizeof out->chip, chips.kind);
    copy_line(out->plugin, sizeof out->plugin, chips.plugin);
    copy_line(out->version, sizeof out->version, chips.version);
    out->api_minor = chips.api_minor;
    out->n_devices = chips.n_devices;
    out->memory_bytes = chips.memory_bytes;
    out->usable_bytes = chips.usable_bytes;
}

/* A device that trains keeps slots and averages while it evaluates, and works on parts; and the
 * gradients that parts are added to. */
static void stay_beside(compile_job *training, compile_job *evaluation) {
    const bt_param_table *const table = &training->model->table;
    const int64_t               one = table->n_elements * (int64_t)sizeof(float);
    const int64_t               slots = (int64_t)saver_state_bytes(table, training->optim) - one;
    const bool                  in_parts = training->rows.n_parts > 1;
    training->beside_bytes = in_parts ? slots : 0;
    evaluation->beside_bytes = slots + (in_parts ? one : 0);
}

static bt_status compile_parts(train_run *run, compile_job *training, compile_job *evaluation,
                               bool finds_largest, bt_train_compiled *out, bt_error *err) {
    const bool trains = run->train_data != NULL;
    if (trains) {
        training->batch = run->config.train_data.global_batch_size / run->config.accumulation_steps;
        BT_TRY(dry_read_training(run, seen_rows_add, &training->rows, err));
    }
    if (run->validation_data != NULL) {
        evaluation->batch = run->config.validation_data.global_batch_size;
        BT_TRY(dry_read_other(run, seen_rows_add, &evaluation->rows, err));
    }
    if (trains) {
        stay_beside(training, evaluation);
        BT_TRY(compile_part(training, finds_largest, &out->training, err));
    }
    return run->validation_data != NULL
               ? compile_part(evaluation, finds_largest && !trains, &out->evaluation, err)
               : BT_OK;
}

static bt_status compile_run(train_run *run, bool finds_largest, bt_train_compiled *out,
                             bt_error *err) {
    bt_status   rc = BT_OK;
    compile_job training = {.trains = true};
    compile_job evaluation = {.rows = {.n_parts = 1}};
    BT_TRY(run_check(run, err));
    describe(run->devices.ahead, out);
    training.rows.n_devices = run->devices.strategy.n_replicas;
    evaluation.rows.n_devices = strategy_n_evaluating(&run->devices.strategy, run->plan.head.loss);
    training.rows.shares = evaluation.rows.shares = strategy_shares(&run->devices.strategy);
    training.rows.n_parts = (int32_t)run->config.accumulation_steps;
    training.rows.model = evaluation.rows.model = run->model;
    training.rows.repeats = run->config.train_data.is_training;
    evaluation.rows.repeats = run->config.validation_data.is_training;
    training.model = evaluation.model = run->model;
    training.optim = evaluation.optim = run->optim;
    training.ahead = evaluation.ahead = run->devices.ahead;
    training.config = evaluation.config = run_exec_config(run);
    training.usable_bytes = evaluation.usable_bytes = out->usable_bytes;
    BT_CHECK(compile_parts(run, &training, &evaluation, finds_largest, out, err));
done:
    seen_rows_deinit(&training.rows);
    seen_rows_deinit(&evaluation.rows);
    return rc;
}

/* One sentence of a batch that does not fit, with the one that does. */
static bt_status judge(const train_run *run, const bt_train_part *part, bool trains,
                       const bt_train_compiled *out, bt_error *err) {
    const bt_train_program *const p = &part->full;
    char                          size[RUN_SIZE_TEXT] = "more than that";
    char                          there[RUN_SIZE_TEXT];
    char                          most[96] = "not even one such example does";
    if (!part->is_there || !part->has_full || out->usable_bytes < 0 ||
        (!p->is_too_large && p->total_bytes <= out->usable_bytes)) {
        return BT_OK;
    }
    if (!p->is_too_large) {
        (void)run_size_text(size, (uint64_t)p->total_bytes);
    }
    if (part->largest.is_known) {
        (void)snprintf(most, sizeof most, "%" PRId64 " do", part->largest.batch);
    }
    return BT_FAIL(err, BT_E_NOMEM,
                   "%s.global_batch_size: %" PRId64 " examples of %" PRId64
                   " tokens do not fit into the %s that programs may take of each %s, they take "
                   "%s: %s%s",
                   trains ? "task.train_data" : "task.validation_data", p->batch,
                   trains ? run->plan.train_schema.seq_length
                          : run->plan.validation_schema.seq_length,
                   run_size_text(there, (uint64_t)out->usable_bytes), out->chip, size, most,
                   !trains || run->config.recompute
                       ? ""
                       : " (runtime.recompute=true takes less; trainer.gradient_accumulation_steps "
                         "makes one update of several batches)");
}

bt_status bt_train_compile_only(const bt_train_args *args, const char *target, bool finds_largest,
                                bt_train_compiled *out, bool *is_whole, bt_error *err) {
    bt_train_summary summary = {0};
    compile_target   aim = {.name = target};
    train_run        run = run_begin(args, FOR_COMPILING, &summary);
    run.devices.target = &aim;
    *is_whole = false;
    *out = (bt_train_compiled){.usable_bytes = -1};
    if (args->mode == BT_CONF_MODE_CONTINUOUS_TRAIN_AND_EVAL) {
        return BT_FAIL(
            err, BT_E_UNSUPPORTED,
            "--compile_only compiles one run: use --mode=train_and_eval instead of --mode=%s",
            bt_conf_mode_name(args->mode));
    }
    if (!bt_conf_peek_is_empty(args->conf, "runtime.precision")) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--compile_only is for devices, which compute in what "
                       "runtime.mixed_precision_dtype says: leave runtime.precision out");
    }
    BT_TRY(bt_pjrt_target_parse(target, &aim.parsed, err));
    bt_status rc = compile_run(&run, finds_largest, out, err);
    if (rc == BT_OK) {
        *is_whole = true;
        rc = judge(&run, &out->training, true, out, err);
    }
    if (rc == BT_OK) {
        rc = judge(&run, &out->evaluation, false, out, err);
    }
    run_deinit(&run);
    bt_pjrt_target_deinit(&aim.parsed);
    return rc;
}
