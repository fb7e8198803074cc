/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: the state of one run and the functions that its files share. */
#ifndef BT_TRAIN_RUN_H
#define BT_TRAIN_RUN_H

#include "bt/base/arena.h"
#include "bt/base/bytes.h"
#include "bt/base/str.h"
#include "bt/ckpt.h"
#include "bt/comm.h"
#include "bt/data.h"
#include "bt/exec.h"
#include "bt/fs.h"
#include "bt/model.h"
#include "bt/optim.h"
#include "bt/pjrt.h"
#include "bt/task.h"
#include "bt/train.h"

/* trainer.* and what is derived from it; strings live in the conf. */
typedef struct run_config {
    int64_t         train_steps; /* total; derived from epochs when the file leaves it open */
    bt_conf_opt_i64 train_steps_key;
    int64_t         steps_per_loop;
    bt_conf_opt_i64 checkpoint_interval;
    bt_conf_opt_i64 max_to_keep;
    bt_conf_opt_i64 validation_interval;
    int64_t         validation_steps; /* -1: the whole set */
    const char     *validation_summary_subdir;
    const char     *best_subdir;
    const char     *best_metric;
    const char     *best_comparison;         /* "higher" or "lower" */
    bt_conf_opt_f64 continuous_eval_timeout; /* seconds; unset: for ever */
    int64_t         early_stopping_patience; /* 0: never */
    int64_t         accumulation_steps;      /* parts of a training batch; 1: it is not cut */
    double          loss_upper_bound;
    int64_t         checkpoint_retry; /* more tries of a save that found no room */
    int64_t         recovery_begin_steps;
    int64_t         recovery_max_trials; /* < 0: no check at all */
    const char     *init_checkpoint;     /* or the folder of the module, once it is there */
    const char     *hub_module_url;
    const char     *hub_module_sha256;
    int64_t         warmup_steps; /* derived when null */
    double          warmup_fraction;
    int32_t         threads;
    const char     *isa;
    const char     *products;        /* "auto", "blas" */
    const char     *blas_library;    /* "": one of the usual ones */
    const char     *gradient_wire;   /* "float32", "bfloat16": how processes exchange gradients */
    const char     *mixed_precision; /* "", "float32", "bfloat16", "float16" */
    double          loss_scale;      /* of float16; 0: dynamic */
    const char     *attention;
    bool            recompute;
    bool            bug_compatible;
    uint64_t        seed; /* of everything: init, order, dropout */
    /* its batches are those of an update: accumulation_steps times the key's global_batch_size */
    bt_data_config train_data;
    bt_data_config validation_data;
} run_config;

/* What runtime.distribution_strategy and the keys beside it come to. */
typedef struct run_strategy {
    const char  *name;       /* as Model Garden writes it */
    bool         on_devices; /* of a plug-in; false: the processors */
    const char  *plugin;     /* its path; NULL: one of the kind is looked for */
    bt_pjrt_kind kind;
    int32_t      n_replicas; /* devices that train; 0, until they are counted: all there are */
    int32_t      n_gpus;     /* runtime.num_gpus */
    const char  *shares;     /* runtime.batch_shares */
} run_strategy;

/* Devices to compile for. */
typedef struct compile_target {
    const char    *name; /* as the user wrote it */
    bt_pjrt_target parsed;
} compile_target;

/* Sums since the last training record. Part of the checkpoint: a run stopped inside a chunk goes on
 * with the same sums. */
typedef struct chunk_sums {
    int64_t start_step;
    double  loss;
    double  grad_norm;
    int64_t n_steps;
    int64_t n_examples;
    int64_t n_tokens;
    int64_t n_padded;   /* tokens with padding: examples * seq_length */
    double  seconds;    /* training only; not in the checkpoint's promise of equal bits */
    int64_t n_skipped;  /* steps whose update float16's overflow prevented */
    double  input_wait; /* seconds of them that went by waiting for a batch; likewise */
    double  exchange;   /* and for other processes */
} chunk_sums;

/* The evaluations of this run so far, seen by the metric of the best checkpoint; part of the
 * checkpoint. info.json may know of later ones than a run that was killed goes on from. */
typedef struct early_stop {
    bool    has_best;
    double  best;
    int64_t n_worse; /* evaluations since then */
} early_stop;

/* What run_state_read() gives: applied by whoever restores. */
typedef struct run_state {
    uint64_t       seed;
    bt_data_cursor cursor;
    bool           evaluation_due;
    chunk_sums     chunk;
    uint64_t       precision; /* a bt_precision */
    bt_loss_scale  scale;
    early_stop     early_stop;
    int64_t        save_base;  /* -1: none was due yet, or not said */
    uint64_t       best_rule;  /* run_best_rule() of then; 0: not said */
    uint64_t       vocabulary; /* train_run.vocabulary of then; 0: none, or not said */
    int64_t        n_rows;     /* of the training data; 0: not said */
    int64_t        recovery_trials;
    uint64_t       content; /* bt_data_content() of the training data; 0: not said */
} run_state;

typedef struct run_log run_log;
typedef struct saver   saver;

/* A checkpoint to be written. */
typedef struct save_order {
    bt_ckpt_manager *manager; /* nobody else's until the save is over */
    const char      *folder;  /* for messages; lives as long as the run */
    char             name[48];
    bt_ckpt_train    view;  /* of the engine's buffers, and of state */
    bt_str           state; /* owned */
} save_order;

/* model_dir is written by one process; NULL: not needed by the mode, or not yet taken. */
typedef struct run_locks {
    struct bt_fs_lock *train;
    struct bt_fs_lock *eval;
} run_locks;

typedef struct train_run {
    const bt_train_args  *args;
    const bt_conf        *conf;
    bt_comm              *comm; /* the others that train with this process; NULL: it is alone */
    bool                  has_parted; /* in ranks_meet: all stop, or one cannot go on */
    run_locks            *locks;      /* borrowed */
    bt_fs_names           made;       /* folders that this run made, from the inside out */
    run_config            config;
    run_strategy          strategy;
    bt_pjrt_plugin       *plugin; /* of strategy.on_devices, once they are open */
    bt_pjrt_client       *client;
    const compile_target *target; /* --compile_only: devices that need not be here; else NULL */
    bt_exec_ahead        *ahead;  /* of the target, in the place of plugin and client */
    bt_arena              arena;
    bool                  is_dry;        /* a check only: fetches nothing */
    const char           *module_folder; /* of task.hub_module_url; NULL: not looked for yet */
    bt_ckpt_module        module;        /* what it says */
    const bt_task        *task;
    bt_task_plan          plan;
    bt_model             *model;
    bt_optim             *optim;
    bt_exec              *exec;
    bt_data_stream       *train_data;
    bt_data_stream       *validation_data;
    bt_metrics           *train_metrics;
    bt_metrics           *validation_metrics;
    void                 *output; /* state of output_ops(run); NULL when that is */
    run_log              *log;
    bt_ckpt_choice        start;      /* the checkpoint that the run went on from */
    bt_ckpt_manager      *saves;      /* of model_dir; opened when first needed */
    bt_ckpt_manager      *best_saves; /* of the best checkpoint's folder, likewise */
    saver                *saver;      /* NULL: saves are written between the steps */
    int64_t               round;      /* see run_log_config */
    int64_t               step;       /* updates made */
    int64_t           n_under_way;  /* updates begun after them, whose numbers are not there yet */
    int64_t           save_counter; /* checkpoints saved, both kinds */
    int64_t           last_saved;   /* step, or -1 */
    int64_t           save_base;    /* step that checkpoint_interval counts from, or -1 */
    bool              was_stopped;  /* what was restored is no save that was due */
    uint64_t          vocabulary;   /* names the bytes of the training rows' vocabulary; 0: none */
    uint64_t          recorded_vocabulary; /* that of labels.json; 0: not said */
    chunk_sums        chunk;
    int64_t           recovery_trials;
    bool              evaluation_due; /* stopped inside an evaluation: it is owed */
    early_stop        early_stop;
    bool              knows_best; /* early_stop holds all evaluations before run->step */
    const char       *stopped;    /* why training ended: "train_steps"; NULL: nothing was trained */
    bool              has_best;
    double            best_value;
    double            started;  /* bt_time_monotonic */
    bool              is_ready; /* the first step was begun */
    bt_train_summary *summary;
} train_run;

/* ranks.c: several processes that train together. Of them, one restores, writes model_dir and
 * tells; so does who is alone. */
static inline bool run_writes(const train_run *run) {
    return bt_comm_rank(run->comm) == 0;
}
/* BT_E_CONFIG where several processes were started and the run is no training together. */
BT_MUST_USE bt_status ranks_check_job(const bt_train_args *args, bt_error *err);
/* The same of something that is made by one process. what: for the sentence, "--seeds". */
BT_MUST_USE bt_status ranks_check_alone(const bt_train_args *args, const char *what, bt_error *err);
/* *out NULL: alone. */
BT_MUST_USE bt_status ranks_open(const bt_train_args *args, bt_comm **out, bt_error *err);
int32_t               ranks_on_this_host(const bt_comm *comm); /* this one among them */
/* Rows, words, kernels are the same on all, or BT_E_CONFIG. */
BT_MUST_USE bt_status ranks_check_facts(train_run *run, bt_error *err);
/* Everybody comes here with what came of its part, before each step and behind whatever only one
 * did: BT_OK, or BT_E_INTERRUPTED, which then is everybody's. Who failed gets its failure back, the
 * others its sentence (which ranks_fail sends). Alone: rc. */
BT_MUST_USE bt_status ranks_meet(train_run *run, bt_status rc, bt_error *err);
/* From who writes to the others. */
BT_MUST_USE bt_status ranks_tell(train_run *run, void *bytes, size_t n_bytes, bt_error *err);
/* The same of all that a run goes on from: weights, slots, place in the data, sums. */
BT_MUST_USE bt_status ranks_share_state(train_run *run, bt_error *err);
/* This process ends with rc: the others hear of it, unless they do the same. */
void ranks_fail(train_run *run, bt_status rc, const bt_error *err);
/* Waits until all have come to it; returns rc, or what became of the others. */
BT_MUST_USE bt_status ranks_close(train_run *run, bt_status rc, bt_error *err);

/* run_config.c: reads conf; needs no data. Then the derivation, when the number of rows is known.
 */
BT_MUST_USE bt_status run_config_read(const bt_conf *conf, bt_conf_mode mode, bt_arena *arena,
                                      run_config *out, bt_error *err);
BT_MUST_USE bt_status run_config_derive(const bt_conf *conf, run_config *config, int64_t n_rows,
                                        bt_error *err);
/* run_config.c: intervals that nobody wrote, once an epoch (bt_train_args.once_an_epoch); and a
 * warning where more is evaluated than trained on. */
BT_MUST_USE bt_status run_config_fit_epoch(train_run *run, int64_t n_rows, bt_error *err);

/* run_config.c: of runtime.mixed_precision_dtype */
bt_precision run_config_precision(const run_config *config);
bt_attention run_config_attention(const run_config *config);

/* strategy.c: what the keys ask for, refused or told where they do not go together. */
BT_MUST_USE bt_status strategy_read(const bt_conf *conf, run_strategy *out, bt_error *err);
/* The devices, where there are to be any: found, opened and counted; BT_E_BACKEND: there are none.
 * run->config is read. strategy_close after the engine is freed. With run->target those to compile
 * for: it says of which kind they are and how many. */
BT_MUST_USE bt_status strategy_open(train_run *run, bt_error *err);
void                  strategy_close(train_run *run);
bt_exec_shares        strategy_shares(const run_strategy *strategy);
int32_t               strategy_n_evaluating(const train_run *run); /* devices, of n_replicas */
BT_MUST_USE bt_status strategy_create_exec(train_run *run, const bt_optim *optim,
                                           const bt_exec_config *config, bt_error *err);

/* train_run.c */
/* Of a run whose args, conf, summary and last_saved are set: reads, checks and opens, makes nothing
 * on disk. Then the engine. run_deinit frees whatever is there, also after a failure. */
BT_MUST_USE bt_status run_prepare(train_run *run, bt_error *err);
/* All that a run is refused for before it makes or changes a file: run_prepare, the engine, what it
 * starts from, memory. A dry run makes the same checks. */
BT_MUST_USE bt_status run_check(train_run *run, bt_error *err);
BT_MUST_USE bt_status run_create_exec(train_run *run, bt_error *err);
/* What the engine is told of the configuration. */
bt_exec_config run_exec_config(const train_run *run);
void           run_deinit(train_run *run);

/* run_lock.c: the locks of model_dir that the mode needs, where the folder is there (early) or must
 * be; a second process is BT_E_RESOURCE. Whoever saves asks before whether they are still held.
 * Early, a folder that may not be written is refused as well; locks NULL: only looked at. */
/* What an evaluation says that holds the lock of who trains while it adds a record: a training
 * waits for it. */
#define RUN_LOCK_RECORD "bert-train, adding a record of an evaluation"
BT_MUST_USE bt_status run_lock_take_early(const bt_train_args *args, run_locks *locks,
                                          bt_error *err);
BT_MUST_USE bt_status run_lock_take(const bt_train_args *args, run_locks *locks, bt_error *err);
BT_MUST_USE bt_status run_lock_check(const train_run *run, bt_error *err);
void                  run_lock_release(run_locks *locks);

/* space_check.c: BT_E_RESOURCE where the disk of model_dir has no room for one checkpoint (and the
 * best one); for all that are kept together: a warning. step: that it goes on from; -1: none. */
BT_MUST_USE bt_status space_check(const train_run *run, int64_t step, bt_error *err);

/* memory_plan.c: what training will take, told and checked before the first step; and whether there
 * is room to save beside it. */
BT_MUST_USE bt_status memory_plan(train_run *run, bt_error *err);
/* On devices: does the longest batch of the evaluation or prediction fit? */
BT_MUST_USE bt_status memory_check_evaluation(train_run *run, bt_error *err);
/* "417.7 MiB"; returns out. */
enum { RUN_SIZE_TEXT = 32 };
const char *run_size_text(char out[RUN_SIZE_TEXT], uint64_t n_bytes);

/* saver.c: saves, one at a time, on a thread of their own where run->saver is there. wanted_bytes:
 * of the copy of the state that this takes; 0: it is not asked for. */
uint64_t saver_wanted_bytes(const train_run *run);
/* What a checkpoint holds: variables, slots, averages. */
size_t                saver_state_bytes(const train_run *run);
BT_MUST_USE bt_status saver_create(train_run *run, bt_error *err);
/* Waits for the save before, then writes this one: whole on the disk on return, unless goes_on (the
 * run has something to do meanwhile): then only its state is copied on return. The order is moved
 * or freed in any case. */
BT_MUST_USE bt_status saver_save(train_run *run, save_order *order, bool goes_on, bt_error *err);
/* Waits for the save that is under way and gives its error (run->last_saved is then what it was
 * before it); BT_OK when there is none. One that found no room while the process was asked to stop
 * is BT_E_INTERRUPTED: what is saved then is another try. */
BT_MUST_USE bt_status saver_join(train_run *run, bt_error *err);
/* Is saver_join going to give an error at once? */
bool saver_has_failed(const train_run *run);
void saver_free(train_run *run); /* waits */

/* rate_check.c: a learning rate that is 0, negative or grows is told; one that is no number is
 * BT_E_CONFIG. */
BT_MUST_USE bt_status rate_check(const train_run *run, bt_error *err);

/* own_files.c: what stands in model_dir under the names that the run uses there is what it keeps
 * under them, or BT_E_IO; and may be written, or BT_E_RESOURCE. */
BT_MUST_USE bt_status own_files_check(const train_run *run, bt_error *err);

/* made_folders.c: makes path and the folders above it, and appends those that were missing to made;
 * undo removes them again, as far as they are empty. */
BT_MUST_USE bt_status made_folders_make(const char *path, bt_fs_names *made, bt_error *err);
void                  made_folders_undo(const bt_fs_names *made);

/* train_loop.c: trains until an evaluation is due or train_steps are made, with records and
 * checkpoints on the way. *is_restored: a recovery went back to a checkpoint last, so that what is
 * due may have been made before. */
BT_MUST_USE bt_status train_on(train_run *run, bool *is_restored, bt_error *err);
/* The rows ended although there are steps left. */
bt_status fail_data_end(const train_run *run, int64_t step, bt_error *err);
/* Saves unless this very step is saved already or checkpoints are switched off. */
bool                  checkpoints_are_on(const train_run *run);
BT_MUST_USE bt_status save_final(train_run *run, bt_error *err);

/* train_and_eval.c: the mode of that name. */
BT_MUST_USE bt_status train_and_eval(train_run *run, bt_error *err);
/* All steps are made, or early stopping is due. */
bool training_is_over(const train_run *run);
/* Says so of a run that was restored, and why nothing is trained. */
void tell_finished(const train_run *run);
/* The evaluation of this step; is_restored: unless it was made before the run was restored. */
BT_MUST_USE bt_status evaluate_once(train_run *run, bool is_restored, bt_error *err);
/* The step of the next evaluation of train_and_eval; of other modes the last step. */
int64_t next_evaluation(const train_run *run);

/* evaluate.c: one evaluation, its record, and the best export. */
BT_MUST_USE bt_status evaluate(train_run *run, bt_error *err);
/* Runs pass with the averaged weights, when there are any, in place of the trained ones. */
BT_MUST_USE bt_status with_averages(train_run *run, bt_status (*pass)(train_run *, bt_error *),
                                    bt_error  *err);

/* predict.c: --mode=predict */
BT_MUST_USE bt_status predict(train_run *run, bt_error *err);

/* labels.c: the names of the classes from model_dir/labels.json into the plan, or the refusal when
 * they do not agree; and the file. */
BT_MUST_USE bt_status labels_settle(train_run *run, bt_error *err);
/* Of an evaluation or prediction of tags: those of labels.json into task.class_names, where nobody
 * wrote it; before the configuration is checked. */
BT_MUST_USE bt_status labels_recall(const bt_train_args *args, bt_error *err);
/* To a data section that is about to be opened: tables may call classes by these names. */
void labels_give(const train_run *run, bt_data_schema *schema);
/* From the training data, which are open: what a table called its classes, when nobody said so. */
BT_MUST_USE bt_status labels_learn(train_run *run, bt_error *err);
BT_MUST_USE bt_status labels_write(const train_run *run, bt_error *err);

/* dry_run.c: the batches that the steps would read, in their order (rows that are repeated once, as
 * more epochs have no others), and those of an evaluation or a prediction. fn sees each; NULL: they
 * are only read. */
typedef bt_status (*dry_batch_fn)(void *context, const bt_batch *batch, bt_error *err);
BT_MUST_USE bt_status dry_read_training(train_run *run, int64_t first_step, dry_batch_fn fn,
                                        void *context, bt_error *err);
BT_MUST_USE bt_status dry_read_other(train_run *run, dry_batch_fn fn, void *context, bt_error *err);

/* data_facts.c: what is told of the data, which are open, before the first step. */
BT_MUST_USE bt_status data_facts_tell(const train_run *run, bt_error *err);

/* start.c: what a run starts from. Checks it before model_dir is made; then restores it or makes
 * fresh weights. Values are verified before anything of the run changes. */
BT_MUST_USE bt_status start_check(train_run *run, bt_error *err);
BT_MUST_USE bt_status start_restore(train_run *run, bt_error *err);
/* Of a dry run: looks for the checkpoint as start_restore does, and says what it would restore;
 * *step: its step, or 0. */
BT_MUST_USE bt_status start_tell(train_run *run, int64_t *step, bt_error *err);

/* run_state.c: our own state in a checkpoint. run_state_read is false where it is damaged or of
 * another version; the training metrics are what is left in bytes. */
BT_MUST_USE bt_status run_state_write(const train_run *run, bt_str *bytes, bt_error *err);
BT_MUST_USE bool      run_state_read(bt_reader *bytes, run_state *state);
/* Names the metric of the best checkpoint and its direction. Never 0. */
uint64_t run_best_rule(const train_run *run);

/* snapshot.c: the checkpoint PREFIX (model_dir/ckpt-STEP) with everything needed to continue, and
 * back. */
BT_MUST_USE bt_status snapshot_save(train_run *run, bt_error *err);
/* info: the text of its info.json, which it holds too. */
BT_MUST_USE bt_status snapshot_save_best(train_run *run, const char *folder, const bt_str *info,
                                         bt_error *err);
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
/* Of a recovery: restores the newest whole checkpoint of model_dir that was due, or any; *found
 * false: there is none. The data go on where they are. */
BT_MUST_USE bt_status snapshot_go_back(train_run *run, bool *found, bt_error *err);
/* From who restored it: what run_state_write wrote there. */
BT_MUST_USE bt_status snapshot_take_state(train_run *run, const uint8_t *bytes, size_t n_bytes,
                                          bt_error *err);
/* keep_data: go on with the data where it is instead of where it was. */
BT_MUST_USE bt_status snapshot_restore(train_run *run, const char *prefix, bool keep_data,
                                       bt_error *err);
/* Path of the checkpoint that the state file of a folder names (owned by the caller), or NULL. */
BT_MUST_USE bt_status snapshot_latest(const char *model_dir, char **prefix, bt_error *err);
/* global_step of any checkpoint. */
BT_MUST_USE bt_status snapshot_read_global_step(const char *prefix, int64_t *step, bt_error *err);

/* init_weights.c: fresh weights, then init_checkpoint into the encoder (and head where asked). */
BT_MUST_USE bt_status init_weights(train_run *run, bt_error *err);
/* Weights to start from; what cannot be opened is named with its key, unless it is a module's. */
BT_MUST_USE bt_status init_open(const char *path, bool is_of_module, bt_ckpt **out, bt_error *err);
/* Opens init_checkpoint and compares shapes without reading values: for preflight and --dry_run. */
BT_MUST_USE bt_status check_init_checkpoint(const train_run *run, bt_error *err);

/* module.c: task.hub_module_url, which is set, to run->module_folder and run->module, whose encoder
 * is the model's. Once a run. */
BT_MUST_USE bt_status module_find(train_run *run, bt_error *err);
/* The module, when there is one, to the folder in config.init_checkpoint. */
BT_MUST_USE bt_status module_prepare(train_run *run, bt_error *err);

/* module_assets.c: a section that reads text. Pointers into its schema. */
typedef struct text_section {
    const char  *name;     /* "task.train_data"; NULL: the section reads no text */
    const char  *case_key; /* of the section */
    const char **vocab_file;
    bool        *lower_case;
} text_section;
BT_MUST_USE bt_status text_section_find(const bt_data_config *config, bt_data_schema *schema,
                                        text_section *out, bt_error *err);
/* The module's vocabulary and do_lower_case into the schemas of data sections that
 * read text and name no vocabulary. Looks for the module only where there is such a section. */
BT_MUST_USE bt_status module_give_assets(train_run *run, bt_error *err);
/* Says where a section's own vocabulary or case differ from those of the module, which is found. */
BT_MUST_USE bt_status module_compare_assets(train_run *run, bt_error *err);

/* class_rule.c: label smoothing and class weights of the plan into the model; balanced weights are
 * counted in the training data, which is open. */
BT_MUST_USE bt_status set_class_rule(train_run *run, bt_error *err);

/* head_facts.c: the names of a head are names: two or more, none twice. twice: the places of two
 * that are one. */
BT_MUST_USE bt_status head_facts_have_names(const bt_ckpt_head *head, bool *have, size_t twice[2],
                                            bt_error *err);
/* The names of a head that is taken, into the key that names the classes, where that is empty. */
BT_MUST_USE bt_status head_facts_take_names(bt_conf *conf, const bt_ckpt_head *head, bt_error *err);

/* sentence_facts.c: what sentence-transformers says beside the weights, into the keys of a dual
 * encoder that nobody wrote; BT_E_CONFIG where another pooling was written. */
BT_MUST_USE bt_status sentence_facts_adopt(bt_conf *conf, const bt_ckpt *ckpt,
                                           bt_conf_errors *errors, bt_error *err);

/* run_changes.c: what differs from params.yaml and the words of the checkpoint prefix is told, and
 * refused where it cannot be meant. prefix NULL: there is none; --allow_changed alone is checked.
 */
BT_MUST_USE bt_status changes_check(train_run *run, const char *prefix, bt_error *err);

/* vocabulary.c: of rows that are text; NULL: they are none. */
const char *vocabulary_file(const bt_data_schema *schema);
/* Names the lines of a vocabulary: n_bytes << 32 | their crc32c; 0: there is no such file. */
BT_MUST_USE bt_status vocabulary_read(const char *path, uint64_t *out, bt_error *err);
/* run->vocabulary, when the training rows are text; BT_E_CONFIG where the other section of the run
 * has other words. */
BT_MUST_USE bt_status vocabulary_fingerprint(train_run *run, bt_error *err);
/* Copies the training's vocabulary into model_dir: vocab.txt, or tokenizer.json. */
BT_MUST_USE bt_status vocabulary_keep(const train_run *run, bt_error *err);

/* best_info.c: info.json as text. */
typedef struct best_info {
    double  value; /* of the metric that decides */
    int64_t step;  /* -1: not said */
} best_info;
BT_MUST_USE bt_status best_info_format(const bt_metric_value *values, size_t n, int64_t step,
                                       bt_str *out, bt_error *err);
/* BT_E_FORMAT: it is no JSON; BT_E_CONFIG: it has no such metric. path is for messages. */
BT_MUST_USE bt_status best_info_parse(const char *text, size_t n_bytes, const char *metric,
                                      const char *path, best_info *out, bt_error *err);

/* best_export.c: the best checkpoint and info.json of an earlier run, made to agree; of a run that
 * does not know its evaluations so far that is what is known of them. */
BT_MUST_USE bt_status best_load(train_run *run, bt_error *err);
bool                  best_is_on(const train_run *run);
/* comparison: "higher" or "lower" */
bool best_is_better(const char *comparison, double value, double best);
/* The value that decides, as float32 like Model Garden's. */
BT_MUST_USE bt_status best_find_value(const train_run *run, const bt_metric_value *values, size_t n,
                                      double *value, bt_error *err);
/* The best value of this run with an evaluation of that value. */
double best_so_far(const train_run *run, double value);
/* Decides, writes the checkpoint and info.json; values are those of the evaluation. */
BT_MUST_USE bt_status best_update(train_run *run, const bt_metric_value *values, size_t n,
                                  bt_error *err);

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

/* run_log.c: metrics.jsonl, TensorBoard events, lines and progress on stderr. */
typedef struct run_log_config {
    const char *model_dir;
    const char *validation_subdir;
    const char *mode;      /* of a run that does not train; NULL: it trains, and nobody else */
    int64_t     last_step; /* of one that trains: what lies behind is taken out */
    int64_t     round;     /* of continuous_train_and_eval: step of the checkpoint that it starts
                              from, and there are no event files; else -1 */
} run_log_config;
/* The strings of config are kept, not copied, where they are no paths. */
BT_MUST_USE bt_status run_log_open(const run_log_config *config, run_log **out, bt_error *err);
BT_MUST_USE bt_status run_log_close(run_log *log, bt_error *err); /* NULL is BT_OK; frees always */
/* The run goes on from an earlier step: what was said of later ones is taken out. */
BT_MUST_USE bt_status run_log_rewind(run_log *log, int64_t last_step, bt_error *err);
/* kind: "train", "validation". extra values go to metrics.jsonl only, after the values. An
 * evaluation by a run that does not train is left out where the same one is there. */
BT_MUST_USE bt_status run_log_record(run_log *log, const char *kind, int64_t step,
                                     const bt_metric_value *values, size_t n_values,
                                     const bt_metric_value *extra, size_t n_extra, bt_error *err);
/* The evaluation of the restored step will be made again: its events go. */
BT_MUST_USE bt_status run_log_void_evaluation(run_log *log, int64_t step, bt_error *err);
/* It is in metrics.jsonl: it is in the events too, or put there. */
BT_MUST_USE bt_status run_log_mend_evaluation(run_log *log, int64_t step,
                                              const bt_train_summary *recorded, bt_error *err);
/* The last record of a run, unless it is there and nothing was added; stopped: see train_run. */
BT_MUST_USE bt_status run_log_final(run_log *log, const bt_train_summary *summary,
                                    const char *stopped, bt_error *err);
/* Waits until disk or store have what was said so far: before a checkpoint, so that a run that goes
 * on from it misses no record. */
BT_MUST_USE bt_status run_log_sync(run_log *log, bt_error *err);
void run_log_progress(const train_run *run, double loss, double learning_rate, int64_t target);
/* name = value, appended; cut off silently never: the arrays are large enough by construction */
void value_add(bt_metric_value *values, size_t *n, const char *name, double value);

/* run_history.c: the values of the newest record of that kind and step that training made (of this
 * round) into out; *found false: there is none, and out is as it was. */
BT_MUST_USE bt_status recall_record(const train_run *run, const char *kind, int64_t step,
                                    bt_train_summary *out, bool *found, bt_error *err);
/* A run that found nothing left to do: its result is that of the last record of the kind. */
BT_MUST_USE bt_status recall_result(train_run *run, const char *kind, bt_error *err);

#endif
