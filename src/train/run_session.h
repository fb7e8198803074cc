/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: the run as a session of TensorBoard's HParams tab, with its configuration as
 * text. Both do nothing where it is there already, or trainer.summary_extras is off. */
#ifndef BT_TRAIN_RUN_SESSION_H
#define BT_TRAIN_RUN_SESSION_H

#include "run.h"

BT_MUST_USE bt_status run_session_begin(const train_run *run, bt_error *err);
BT_MUST_USE bt_status run_session_end(const train_run *run, bt_error *err);

#endif
