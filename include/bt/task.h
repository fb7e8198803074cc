/* SPDX-License-Identifier: Apache-2.0
 *
 * task: what one experiment trains. One file per task gives config -> model description, record
 * schema, metrics, and what is made of the logits beside metrics (outputs). The registry is a
 * compile-time table (task_list.def). */
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
    double            label_smoothing;
    bt_conf_f64_list  class_weights;    /* n 0: all 1; borrowed from conf */
    bool              balanced_weights; /* from the counts of the training data */
    bool init_cls_pooler; /* pooler of the checkpoint's next_sentence head -> head_pooler */
    bool init_head;
} bt_task_plan;

/* What an output is made for; strings and pointers are borrowed for its life. */
typedef struct bt_output_request {
    const bt_conf        *conf;
    const bt_task_plan   *plan;
    const bt_data_stream *data;      /* the stream whose batches will come */
    const char           *model_dir; /* made before the first pass */
} bt_output_request;

/* What a task makes of the logits of one evaluation or prediction beside streaming metrics: values
 * that need everything at once (the answers of SQuAD), or files. The trainer drives it:
 *
 *     create, then for every pass: reset, add for each batch in the stream's order, finish, write;
 *     at the end destroy.
 *
 * state is what create made; create touches no file. A pass that failed or was stopped is followed
 * by reset or destroy, which leave no file behind. */
typedef struct bt_task_output {
    bt_status (*create)(const bt_output_request *request, void **state, bt_error *err);
    void (*destroy)(void *state); /* accepts NULL */
    bt_status (*reset)(void *state, bt_error *err);
    /* logits as bt_exec_evaluate gives them; both are borrowed for the call */
    bt_status (*add)(void *state, const bt_batch *batch, const float *logits, bt_error *err);
    /* Appends to values[0..*n), which have room for BT_METRIC_MAX more. NULL: makes no values. */
    bt_status (*finish)(void *state, bt_metric_value *values, size_t *n, bt_error *err);
    /* Publishes the files of this pass, whole or not at all. NULL: makes no files. */
    bt_status (*write)(void *state, bt_error *err);
} bt_task_output;

typedef struct bt_task {
    const char *name; /* "sentence_prediction" */
    /* Reads task.* (and runtime.*) of conf; strings live in conf. Cross-key checks: seq_length
     * against positions ... */
    bt_status (*plan)(const bt_conf *conf, bt_task_plan *plan, bt_error *err);
    /* What the trainer shows and logs for one evaluation: from metrics and the mean loss. */
    bool reports_validation_loss;
    /* The names of the values that evaluation's finish appends, NULL-terminated: the metric of the
     * best checkpoint may be one of them. NULL: none. */
    const char *const    *output_names;
    const bt_task_output *evaluation; /* NULL: metrics are all there is */
} bt_task;

/* The task of an experiment: BT_E_UNSUPPORTED with one sentence for those whose training is not
 * built in. */
BT_MUST_USE bt_status bt_task_find(const char *experiment, const bt_task **out, bt_error *err);

/* Refuses each key whose value would change the training and that this version does not build
 * (BT_E_UNSUPPORTED, one sentence with key, value and what to set instead), so that nothing is
 * silently ignored. Keys that are execution mechanics of TensorFlow only are accepted. */
BT_MUST_USE bt_status bt_task_check_supported(const bt_conf *conf, bt_error *err);

#endif
