/* SPDX-License-Identifier: Apache-2.0
 *
 * task: what one experiment trains. One file per task gives config -> model description, record
 * schema, metrics. The registry is a compile-time table (task_list.def). */
#ifndef BT_TASK_H
#define BT_TASK_H

#include "bt/conf.h"
#include "bt/data.h"
#include "bt/metrics.h"
#include "bt/model.h"

/* Everything that a run needs to know of its task, made from the configuration. */
typedef struct bt_task_plan {
    bt_encoder_config encoder;
    bt_head_config    head;
    bt_data_schema    train_schema;
    bt_data_schema    validation_schema;
    const char       *metric_names[BT_METRIC_MAX]; /* static storage; of training and validation */
    size_t            n_train_metrics;             /* the first ones are also kept in training */
    size_t            n_validation_metrics;
    bool init_cls_pooler; /* pooler of the checkpoint's next_sentence head -> head_pooler */
    bool init_head;
} bt_task_plan;

typedef struct bt_task {
    const char *name; /* "sentence_prediction" */
    /* Reads task.* (and runtime.*) of conf; strings live in conf. Cross-key checks: seq_length
     * against positions ... */
    bt_status (*plan)(const bt_conf *conf, bt_task_plan *plan, bt_error *err);
    /* What the trainer shows and logs for one evaluation: from metrics and the mean loss. */
    bool reports_validation_loss;
} bt_task;

/* The task of an experiment: BT_E_UNSUPPORTED with one sentence for those whose training is not
 * built in. */
BT_MUST_USE bt_status bt_task_find(const char *experiment, const bt_task **out, bt_error *err);

/* Refuses each key whose value would change the training and that this version does not build
 * (BT_E_UNSUPPORTED, one sentence with key, value and what to set instead), so that nothing is
 * silently ignored. Keys that are execution mechanics of TensorFlow only are accepted. */
BT_MUST_USE bt_status bt_task_check_supported(const bt_conf *conf, bt_error *err);

#endif
