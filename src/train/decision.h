/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: threshold and temperature of a run (task.decision_threshold, task.calibrate). */
#ifndef BT_TRAIN_DECISION_H
#define BT_TRAIN_DECISION_H

#include "run.h"

/* Does anything of an evaluation depend on them? */
bool decision_is_on(const bt_task_plan *plan);
/* All rows of an evaluation are in run->validation_metrics: they are chosen on them, or taken from
 * the training's evaluation of the same step where this run does not train; then what the set gives
 * is by them. Adds to own values what was chosen. */
BT_MUST_USE bt_status decision_settle(train_run *run, bt_train_values *values, bt_error *err);
/* Before predictions: those of the evaluation of the checkpoint. BT_E_CONFIG: there is none. */
BT_MUST_USE bt_status decision_recall(train_run *run, bt_error *err);
/* The one that an evaluation chose and recorded among its values, else the plan's. */
double decision_threshold_of(const bt_task_plan *plan, const bt_train_values *values);
/* ... 1: probabilities are not calibrated */
double decision_temperature_of(const bt_task_plan *plan, const bt_train_values *values);
/* A warning where a run has them, of which an export has neither. */
void decision_tell_left_out(const bt_task_plan *plan);

#endif
