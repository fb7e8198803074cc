/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: labels.json, and what the classes are called. */
#ifndef BT_TRAIN_LABELS_H
#define BT_TRAIN_LABELS_H

#include "bt/data.h"
#include "bt/task.h"
#include "bt/train.h"

/* The names of the classes from model_dir/labels.json into the plan, or the refusal when they do
 * not agree; *vocabulary: that of labels.json, 0: not said. folder NULL: there is none. */
BT_MUST_USE bt_status labels_settle(const char *folder, bt_task_plan *plan, uint64_t *vocabulary,
                                    bt_error *err);
/* Of an evaluation or prediction of tags: those of labels.json into task.class_names, where nobody
 * wrote it; before the configuration is checked. */
BT_MUST_USE bt_status labels_recall(const bt_train_args *args, bt_error *err);
/* To a data section that is about to be opened: tables may call classes by these names. */
void labels_give(const bt_task_labels *labels, bt_data_schema *schema);
/* From the training data, which are open: what a table called its classes, when nobody said so. */
BT_MUST_USE bt_status labels_learn(bt_task_labels *labels, const bt_data_stream *train_data,
                                   bt_error *err);
BT_MUST_USE bt_status labels_write(const char *folder, const bt_task_plan *plan,
                                   uint64_t vocabulary, bt_error *err);

#endif
