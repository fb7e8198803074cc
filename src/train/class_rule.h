/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: class weights of the plan, into the model. */
#ifndef BT_TRAIN_CLASS_RULE_H
#define BT_TRAIN_CLASS_RULE_H

#include "bt/data.h"
#include "bt/model.h"
#include "bt/task.h"

/* Label smoothing and class weights; balanced weights are counted in the training data, which are
 * open (NULL: the mode does not train, and there are none). */
BT_MUST_USE bt_status set_class_rule(const bt_task_plan *plan, bt_data_stream *train_data,
                                     bt_model *model, bt_error *err);

#endif
