/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: one run, for the files that conduct it: those that take its parts in their order.
 * A function that needs less takes less, and its file does not include this header
 * (docs/decisions.md, "The trainer in pieces"). */
#ifndef BT_TRAIN_RUN_H
#define BT_TRAIN_RUN_H

#include "bt/base/arena.h"
#include "bt/base/bytes.h"
#include "bt/base/str.h"
#include "bt/ckpt.h"
#include "bt/export.h"
#include "bt/model.h"
#include "bt/optim.h"
#include "bt/weights.h"
#include "eval_details.h"
#include "gauges.h"
#include "model_dir.h"
#include "ranks.h"
#include "run_config.h"
#include "run_lock.h"
#include "run_log.h"
#include "run_state.h"
#include "saver.h"
#include "stages.h"
#include "strategy.h"

/* What a run is made for; as bits, of the list of checks. */
typedef enum run_purpose {
    FOR_RUN = 1,
    FOR_DRY_RUN = 2,   /* a check only: fetches nothing */
    FOR_COMPILING = 4, /* likewise, for devices that are not here */
    FOR_BENCHMARK = 8,
    FOR_FILTER = 16, /* a prediction whose rows its caller has: no data is opened */
    FOR_EXPORT = 32, /* an evaluation on processors, of weights that the caller has: data and model
                      * only, no lock, no engine, nothing to start from */
    FOR_ALL = 63,
} run_purpose;

typedef struct train_run {
    const bt_train_args *args;
    const bt_conf       *conf;
    ranks                ranks;
    run_locks           *locks; /* borrowed */
    bt_fs_names          made;  /* folders that this run made, from the inside out */
    run_config           config;
    model_dir            dir; /* as args and config name it */
    run_devices          devices;
    bt_arena             arena;
    run_purpose          purpose;
    bt_weights          *weights; /* to start from */
    const bt_task       *task;
    bt_task_plan         plan;
    bt_model            *model;
    bt_optim            *optim;
    bt_exec             *exec;
    bt_data_stream      *train_data;
    bt_data_stream      *validation_data;
    bt_metrics          *train_metrics;
    bt_metrics          *validation_metrics;
    eval_details        *details; /* NULL: nobody asks for them */
    void                *output;  /* state of output_ops(run); NULL when that is */
    run_log             *log;
    gauges              *gauges;     /* of --prometheus_file; or NULL */
    bool                 is_partial; /* the engine has weights alone, a best checkpoint has more */
    bt_ckpt_choice       start;      /* the checkpoint that the run went on from */
    bt_ckpt             *start_ckpt; /* of a partial engine, and all that it lacks; kept open */
    bt_ckpt_manager     *saves;      /* of model_dir; opened when first needed */
    bt_ckpt_manager     *best_saves; /* of the best checkpoint's folder, likewise */
    saver               *saver;      /* NULL: saves are written between the steps */
    int64_t              round;      /* see run_log_config */
    int64_t              step;       /* updates made */
    int64_t           n_under_way;   /* updates begun after them, whose numbers are not there yet */
    save_counts       saved;
    bool              was_stopped; /* what was restored is not a save that was due */
    uint64_t          vocabulary;  /* names the bytes of the training rows' vocabulary; 0: none */
    uint64_t          recorded_vocabulary; /* that of labels.json; 0: not said */
    run_course        course;
    bool              knows_best; /* early_stop holds all evaluations before run->step */
    const char       *stopped;    /* why training ended: "train_steps"; NULL: nothing was trained */
    bool              has_best;
    double            best_value;
    bool              is_rounded; /* the engine's weights are in 8 bits (rounding.c) */
    bt_train_values   exact;      /* of an evaluation before they were */
    run_stages        stages;     /* before the first step */
    bt_train_summary *summary;
} train_run;

/* Of several processes one restores, writes model_dir and tells; so does a single process. */
static inline bool run_writes(const train_run *run) {
    return ranks_writes(&run->ranks);
}

/* Makes nothing, fetches nothing. */
static inline bool run_is_dry(const train_run *run) {
    return run->purpose == FOR_DRY_RUN || run->purpose == FOR_COMPILING;
}

/* rank_state.c: from the writing rank to the others, all that a run goes on from: weights, slots,
 * place in the data, sums. */
BT_MUST_USE bt_status ranks_share_state(train_run *run, bt_error *err);

/* prepare.c: a run that is nothing yet. run_deinit frees whatever it came to, also after a failure.
 */
train_run run_begin(const bt_train_args *args, run_purpose purpose, bt_train_summary *summary);
void      run_deinit(train_run *run);
/* All that a run is refused for before it makes or changes a file, as one list: its lock (only
 * looked at without run->locks), configuration, data, model, the engine, what it starts from,
 * memory. A row is made for the purposes that it names. Afterwards all of it is open, and run->step
 * of a dry run is the step that it would go on from. */
BT_MUST_USE bt_status run_check(train_run *run, bt_error *err);
/* What the weights to start from are for. */
bt_weights_use run_weights_use(train_run *run);
/* What the engine is told of the configuration. */
bt_exec_config run_exec_config(const train_run *run);
/* Before a best checkpoint is saved: an engine that has weights alone is freed, as nothing is
 * evaluated with it any more. What is saved is then read by start_read_value (run->exec is NULL),
 * or in the engine that was made of the fresh weights. */
BT_MUST_USE bt_status run_leave_weights(train_run *run, bt_error *err);
/* Of who waits for checkpoints: nothing of a model is kept meanwhile, but what devices have. */
void run_rest(train_run *run);
/* Before the next one is restored: an engine for it. */
BT_MUST_USE bt_status run_wake(train_run *run, bt_error *err);

/* train_loop.c: trains until an evaluation is due or train_steps are made, with records and
 * checkpoints on the way. *is_restored: a recovery went back to a checkpoint last, so that what is
 * due may have been made before. */
BT_MUST_USE bt_status train_on(train_run *run, bool *is_restored, bt_error *err);
/* The rows ended although there are steps left. */
bt_status fail_data_end(int64_t step, int64_t n_steps, bt_error *err);
/* Saves unless this very step is saved already or checkpoints are switched off. */
BT_MUST_USE bt_status save_final(train_run *run, bt_error *err);

/* train_and_eval.c: the mode of that name. */
BT_MUST_USE bt_status train_and_eval(train_run *run, bt_error *err);
/* All steps are made, or early stopping is due. */
bool training_is_over(const train_run *run);
/* Says so of a run that was restored, and why nothing is trained. */
void tell_finished(const train_run *run);
/* The evaluation of this step; is_restored: unless it was made before the run was restored. */
BT_MUST_USE bt_status evaluate_once(train_run *run, bool is_restored, bt_error *err);

/* evaluate.c: one evaluation, its record, and the best export. */
BT_MUST_USE bt_status evaluate(train_run *run, bt_error *err);
/* The values alone, of the weights that the engine has: nothing is recorded or written. */
BT_MUST_USE bt_status evaluate_values(train_run *run, bt_train_values *values, bt_error *err);
/* Runs pass with the averaged weights, when there are any, in place of the trained ones. */
BT_MUST_USE bt_status with_averages(train_run *run, bt_status (*pass)(train_run *, bt_error *),
                                    bt_error  *err);

/* outputs.c: are the logits of a batch that is evaluated or predicted finite? The sentence names
 * the row: BT_E_DIVERGED in a training, else BT_E_FORMAT. */
BT_MUST_USE bt_status outputs_check(const train_run *run, const bt_batch *batch,
                                    const float *logits, bt_error *err);

/* predict.c: --mode=predict */
BT_MUST_USE bt_status predict(train_run *run, bt_error *err);

/* dry_run.c: the batches that the steps would read, in their order (rows that are repeated once, as
 * more epochs have no others), and those of an evaluation or a prediction. fn sees each; NULL: they
 * are only read. */
typedef bt_status (*dry_batch_fn)(void *context, const bt_batch *batch, bt_error *err);
BT_MUST_USE bt_status dry_read_training(train_run *run, dry_batch_fn fn, void *context,
                                        bt_error *err);
BT_MUST_USE bt_status dry_read_other(train_run *run, dry_batch_fn fn, void *context, bt_error *err);

/* export_run.c: --mode=export; is_dry: only what can be refused. */
BT_MUST_USE bt_status run_export(const bt_train_args *args, bool is_dry, bt_train_summary *summary,
                                 bt_error *err);

/* export_cost.c: the metrics of the validation data, in float32 and in a precision. Where there are
 * no such data a line says so, and n is 0. */
typedef struct export_costs {
    bt_train_values exact, rounded;
    bt_export_cost  list[BT_TRAIN_MAX_VALUES];
    size_t          n;
} export_costs;
BT_MUST_USE bt_status export_cost_measure(const bt_train_args *args, bt_export_precision precision,
                                          const float *params, export_costs *out, bt_error *err);

/* A line of it: "cls_accuracy on the validation data: 0.86 in float32, 0.85 in int8 (-0.01)". */
void export_cost_say(const char *metric, double exact, const char *as_it_was, double rounded,
                     const char *precision);

/* start.c: what a run starts from. Checks it before model_dir is made; then restores it or makes
 * fresh weights. Values are verified before anything of the run changes. */
BT_MUST_USE bt_status start_check(train_run *run, bt_error *err);
BT_MUST_USE bt_status start_restore(train_run *run, bt_error *err);
/* The checkpoint that --checkpoint names, or the latest whole one of model_dir when there is any.
 */
BT_MUST_USE bt_status start_find(train_run *run, bt_ckpt_check_fn check, bt_ckpt_choice *out,
                                 bt_error *err);
/* What changed since the checkpoint prefix, if any (run_changes.c). */
BT_MUST_USE bt_status start_check_changes(const train_run *run, const char *prefix, bt_error *err);
/* Fresh weights, and those of a checkpoint or module into them. */
BT_MUST_USE bt_status start_fresh(train_run *run, bt_error *err);
/* Of a dry run: looks for the checkpoint as start_restore does, and says what it would restore;
 * run->step: its step, or 0. */
BT_MUST_USE bt_status start_tell(train_run *run, bt_error *err);

/* start_values.c: a bt_ckpt_values_fn of what an evaluation by itself saves, of run->start_ckpt. */
BT_MUST_USE bt_status start_read_value(void *context, int64_t param, const char *slot, float *to,
                                       bt_error *err);

/* course.c: between the run and its state in a checkpoint. course_write appends that. */
BT_MUST_USE bt_status course_write(const train_run *run, bt_str *bytes, bt_error *err);
/* Of the state in prefix: is it whole? The training metrics are then those in it. */
BT_MUST_USE bt_status course_check(train_run *run, const char *prefix, const bt_str *bytes,
                                   bt_error *err);
/* Goes on where the state in ckpt was; without one, where so many steps lead. keep_data: see
 * snapshot_restore. */
BT_MUST_USE bt_status course_restore(train_run *run, bt_ckpt *ckpt, bool keep_data, bt_error *err);
/* From who restored it: what course_write wrote there. */
BT_MUST_USE bt_status course_take(train_run *run, const uint8_t *bytes, size_t n_bytes,
                                  bt_error *err);

/* snapshot.c: the checkpoint PREFIX (model_dir/ckpt-STEP) with everything needed to continue, and
 * back. */
BT_MUST_USE bt_status snapshot_save(train_run *run, bt_error *err);
/* info: the text of its info.json, which it holds too. */
BT_MUST_USE bt_status snapshot_save_best(train_run *run, const char *folder, const bt_str *info,
                                         bt_error *err);
/* All variables, or their averages where those are there, into flat, by the model's table. */
BT_MUST_USE bt_status snapshot_read_weights(const bt_model *model, bool averages, bt_ckpt *ckpt,
                                            float *flat, bt_error *err);
/* Before the first of them: what a killed save left in the folder is ended. */
BT_MUST_USE bt_status snapshot_settle_best(train_run *run, const char *folder, const char *prefix,
                                           bt_error *err);
/* A bt_ckpt_check_fn whose context is the train_run: every byte of it can be read and is right, our
 * own state too. */
BT_MUST_USE bt_status snapshot_check(void *context, const char *prefix, int64_t *step,
                                     bt_error *err);
/* Before a run that trains saves for the first time: model_dir is made to agree with what it went
 * on from (bt_ckpt_manager_settle). */
BT_MUST_USE bt_status snapshot_settle(train_run *run, const bt_ckpt_choice *from, bt_error *err);
/* Is there a variable or average that no checkpoint takes? */
BT_MUST_USE bt_status snapshot_find_odd(train_run *run, saver_odd *out, bool *found, bt_error *err);
/* Of a recovery before the first checkpoint: the weights that the run began with, and an optimizer
 * that has seen no gradient. */
BT_MUST_USE bt_status snapshot_start_again(train_run *run, bt_error *err);
/* Of a recovery: restores the newest whole checkpoint of model_dir that was due, or any; *found
 * false: there is none. The data go on where they are. */
BT_MUST_USE bt_status snapshot_go_back(train_run *run, bool *found, bt_error *err);
/* keep_data: go on with the data where it is instead of where it was. */
BT_MUST_USE bt_status snapshot_restore(train_run *run, const char *prefix, bool keep_data,
                                       bt_error *err);
/* Path of the checkpoint that the state file of a folder names (owned by the caller), or NULL. */
BT_MUST_USE bt_status snapshot_latest(const char *folder, char **prefix, bt_error *err);
/* global_step of any checkpoint. */
BT_MUST_USE bt_status snapshot_read_global_step(const char *prefix, int64_t *step, bt_error *err);

/* best_export.c: the best checkpoint and info.json of an earlier run, made to agree; of a run that
 * does not know its evaluations so far that is what is known of them. */
BT_MUST_USE bt_status best_load(train_run *run, bt_error *err);
bool                  best_is_on(const train_run *run);
/* The value that decides, as float32 like Model Garden's. */
BT_MUST_USE bt_status best_find_value(const char *metric, const bt_train_values *values,
                                      double *value, bt_error *err);
/* The best value of this run with an evaluation of that value. */
double best_so_far(const char *comparison, const early_stop *seen, double value);
/* Decides, writes the checkpoint and info.json; values are those of the evaluation. */
BT_MUST_USE bt_status best_update(train_run *run, const bt_train_values *values, bt_error *err);

/* What is known of the best evaluation, and where its checkpoint is, into out. */
BT_MUST_USE bt_status best_recall(const train_run *run, bt_train_summary *out, bt_error *err);

/* continuous.c */
BT_MUST_USE bt_status run_continuous_eval(train_run *run, bt_error *err);
/* Of a dry run of continuous_train_and_eval: *is_there: the pre-training job has a checkpoint. */
BT_MUST_USE bt_status continuous_check(const bt_train_args *args, bool *is_there, bt_error *err);
BT_MUST_USE bt_status run_continuous_train_and_eval(const bt_train_args *args,
                                                    bt_train_summary *summary, bt_error *err);
/* train_run.c: one run without the continuous modes; round: see run_log_config. held: locks that
 * the caller has already, or NULL. comm: closed in any case; NULL: alone. */
BT_MUST_USE bt_status run_once(const bt_train_args *args, int64_t round, run_locks *held,
                               bt_comm *comm, bt_train_summary *summary, bt_error *err);

/* report_write.c: what the report will say of the run beside its records, before the first of them;
 * and the report at its end. What fails there is in the summary: the run itself is over. */
BT_MUST_USE bt_status report_begin(const train_run *run, bt_error *err);
/* What the evaluation keeps for it. */
BT_MUST_USE bt_status report_evaluation(const train_run *run, const bt_train_values *values,
                                        bt_error *err);
void                  report_end(const train_run *run);

/* A run that found nothing left to do: its result is that of the last record of the kind. */
BT_MUST_USE bt_status recall_result(train_run *run, record_kind kind, bt_error *err);

#endif
