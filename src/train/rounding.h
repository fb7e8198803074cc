/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: runtime.precision, evaluations and predictions in 8 bits. */
#ifndef BT_TRAIN_ROUNDING_H
#define BT_TRAIN_ROUNDING_H

#include "run.h"

bool rounding_is_on(const train_run *run);
/* And the result in floats is made beside. */
bool rounding_compares(const train_run *run);
/* Before the pass of an evaluation or prediction, once the engine has its weights: what they give
 * as they are (an evaluation's metrics, the logits of some rows), then they are rounded, and what
 * that changes is told. A filter has no rows yet: rounding_first_logits does it with the first. */
BT_MUST_USE bt_status rounding_begin(train_run *run, bt_error *err);
BT_MUST_USE bt_status rounding_of_rows(train_run *run, const bt_batch *batch, bt_error *err);
/* The metrics of an evaluation in 8 bits are values: tells those as they were beside them, and adds
 * them: "float32/cls_accuracy". */
void rounding_add(const train_run *run, bt_train_values *values);

#endif
