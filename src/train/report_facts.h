/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: what a report says of a run beside its records. */
#ifndef BT_TRAIN_REPORT_FACTS_H
#define BT_TRAIN_REPORT_FACTS_H

#include "bt/train.h"
#include "model_dir.h"
#include "run_checks.h"

typedef struct report_facts {
    const bt_train_args  *args;
    const model_dir      *dir;
    const char           *engine;      /* bt_exec_describe */
    const char           *best_metric; /* NULL: no best checkpoint is kept */
    bool                  best_is_lower;
    const data_side      *train; /* its data NULL: there is none */
    const data_side      *other;
    const bt_task_labels *labels;
} report_facts;

/* run_facts.json of model_dir: command, settings with where they come from, machine, data. */
BT_MUST_USE bt_status report_facts_write(const report_facts *facts, bt_error *err);

/* "KEY": before a value of JSON, with a comma unless it is the first of an object. */
BT_MUST_USE bt_status report_put_key(bt_str *json, const char *key, bt_error *err);
/* A text of any bytes as a string of JSON; NULL: null. */
BT_MUST_USE bt_status report_put_text(bt_str *json, const char *text, bt_error *err);
/* "classes": the texts of the labels. */
BT_MUST_USE bt_status report_put_classes(bt_str *json, const bt_task_labels *labels, bt_error *err);

/* report_data.c: what is known of the data, an object of JSON. */
BT_MUST_USE bt_status report_put_data(bt_str *json, const data_side *train, const data_side *other,
                                      const bt_task_labels *labels, bt_error *err);

#endif
