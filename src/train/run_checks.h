/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: what is looked at before the first step; nothing of it changes a run. */
#ifndef BT_TRAIN_RUN_CHECKS_H
#define BT_TRAIN_RUN_CHECKS_H

#include "bt/data.h"
#include "bt/model.h"
#include "bt/optim.h"
#include "bt/task.h"
#include "run_config.h"

/* config_check.c: bt_train_check_conf, whose first problem is the failure. */
BT_MUST_USE bt_status config_check(const bt_conf *conf, bt_conf_mode mode, bt_error *err);
/* The i-th value that an evaluation reports, or NULL after the last. */
const char *config_reported_name(const bt_task *task, const bt_task_plan *plan, size_t i);
/* result_names.c: where the metrics of the evaluation know their classes. *best_metric (NULL: no
 * best checkpoint is kept) and what args->asked asks for become the names that values are written
 * under;
 * BT_E_CONFIG for a class that has none. */
typedef struct names_known {
    const bt_metrics        *metrics;
    const bt_metrics_config *config; /* of the metrics */
} names_known;
BT_MUST_USE bt_status result_names_settle(const names_known *known, const bt_train_args *args,
                                          const char **best_metric, bt_arena *arena, bt_error *err);
/* subfolder_check.c: keys that name a folder in model_dir. */
BT_MUST_USE bt_status subfolder_check(const bt_conf_check *check);

/* rate_check.c: a learning rate that is 0, negative or grows is told; one that is not a number is
 * BT_E_CONFIG. */
BT_MUST_USE bt_status rate_check(const bt_conf *conf, const run_config *config,
                                 const bt_optim *optim, bt_error *err);

/* data_facts.c: what is told of the data, which are open. A section that is not read has no data,
 * but a schema. */
typedef struct data_side {
    const bt_data_stream *data;
    const bt_data_config *config;
    const bt_data_schema *schema;
} data_side;
BT_MUST_USE bt_status data_facts_tell(const data_side *train, const data_side *other,
                                      const bt_task_labels *labels, bt_error *err);

/* space_check.c: BT_E_RESOURCE where the disk of the folder has no room for one checkpoint of
 * n_bytes (and the best one, where has_best); for all that are kept together: a warning. step: that
 * the run goes on from; -1: none. */
BT_MUST_USE bt_status space_check(const char *folder, const run_config *config, uint64_t n_bytes,
                                  bool has_best, int64_t step, bt_error *err);

/* memory_plan.c: what training with n_ranks processes will take, told and checked. wanted: bytes of
 * a copy of the state that saves beside the steps would take; 0: none is asked for. *has_room: the
 * engine leaves it. */
BT_MUST_USE bt_status memory_plan(bt_exec *exec, const run_config *config, const bt_task_plan *plan,
                                  int32_t n_ranks, uint64_t wanted, bool *has_room, bt_error *err);
/* On devices: does the longest batch of the evaluation or prediction (rows of schema) fit? */
BT_MUST_USE bt_status memory_check_evaluation(bt_exec *exec, const run_config *config,
                                              const bt_task_plan   *plan,
                                              const bt_data_schema *schema, bt_error *err);
/* "417.7 MiB"; returns out. */
enum { RUN_SIZE_TEXT = 32 };
const char *run_size_text(char out[RUN_SIZE_TEXT], uint64_t n_bytes);

/* run_changes.c: what a run that goes on is held against. */
typedef struct changes_now {
    const bt_train_args  *args;
    const run_config     *config;
    const bt_task_plan   *plan;
    const bt_param_table *table;
    const bt_optim       *optim;
    const bt_data_stream *train_data;          /* NULL: the mode does not train */
    const bt_data_stream *validation_data;     /* NULL: there is none */
    uint64_t              vocabulary;          /* of the training rows; 0: none */
    uint64_t              recorded_vocabulary; /* that of labels.json; 0: not said */
} changes_now;
/* What differs from params.yaml and the words of the checkpoint prefix is told, and refused where
 * it cannot be meant. prefix NULL: there is none; --allow_changed alone is checked. */
BT_MUST_USE bt_status changes_check(const changes_now *now, const char *prefix, bt_error *err);

#endif
