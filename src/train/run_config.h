/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: the keys of trainer, task and runtime that a run reads, as a typed struct. */
#ifndef BT_TRAIN_RUN_CONFIG_H
#define BT_TRAIN_RUN_CONFIG_H

#include "bt/conf.h"
#include "bt/data.h"
#include "bt/exec.h"
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
    int64_t         warmup_steps;        /* derived when null */
    double          warmup_fraction;
    bool            summary_extras; /* events that Model Garden does not write */
    int32_t         threads;
    const char     *pin; /* "none", "cores", "nodes" */
    const char     *isa;
    const char     *matmul;          /* "auto", "blas" */
    const char     *blas_library;    /* "": one of the usual ones */
    const char     *gradient_wire;   /* "float32", "bfloat16": how processes exchange gradients */
    const char     *mixed_precision; /* "", "float32", "bfloat16", "float16" */
    const char     *precision;       /* of evaluations and predictions: "int8"; "": as above */
    bool            precision_compared; /* with the result in floats */
    double          loss_scale;         /* of float16; 0: dynamic */
    const char     *attention;
    bool            recompute;
    bool            bug_compatible;
    bool            report;
    int64_t         report_examples; /* texts of rows in it */
    uint64_t        seed;            /* of everything: init, order, dropout */
    /* its batches are those of an update: accumulation_steps times the key's global_batch_size */
    bt_data_config train_data;
    bt_data_config validation_data;
} run_config;

/* Reads conf; needs no data. Then the derivation, when the number of rows is known. */
BT_MUST_USE bt_status run_config_read(const bt_conf *conf, bt_conf_mode mode, bt_arena *arena,
                                      run_config *out, bt_error *err);
BT_MUST_USE bt_status run_config_derive(const bt_conf *conf, run_config *config, int64_t n_rows,
                                        bt_error *err);
/* Intervals that nobody wrote, once an epoch (bt_train_args.once_an_epoch); and a warning where
 * more is evaluated (n_evaluated rows; 0: nothing) than trained on (n_rows). */
BT_MUST_USE bt_status run_config_fit_epoch(const bt_train_args *args, run_config *config,
                                           int64_t n_rows, int64_t n_evaluated, bt_error *err);

/* Of runtime.mixed_precision_dtype. */
bt_precision run_config_precision(const run_config *config);
bt_attention run_config_attention(const run_config *config);
/* Is trainer.checkpoint_interval set? */
bool run_config_saves(const run_config *config);
/* The step of the next evaluation of train_and_eval; of other modes the last step. */
int64_t run_config_next_evaluation(const run_config *config, bt_conf_mode mode, int64_t step);

#endif
