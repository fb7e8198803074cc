/* SPDX-License-Identifier: Apache-2.0
 *
 * The task objects of this room, one file each, listed in task_list.def. */
#ifndef BT_TASK_INTERNAL_H
#define BT_TASK_INTERNAL_H

#include "bt/task.h"

extern const bt_task bt_task_sentence_prediction;

/* task_class_rule.c: task.class_weights and task.label_smoothing into the plan; head is done. */
BT_MUST_USE bt_status task_read_class_rule(const bt_conf *conf, bt_task_plan *plan, bt_error *err);

#endif
