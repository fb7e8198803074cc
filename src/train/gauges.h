/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: the state of a run as a file for Prometheus' textfile collector. */
#ifndef BT_TRAIN_GAUGES_H
#define BT_TRAIN_GAUGES_H

#include "bt/train.h"

typedef struct gauges gauges;

/* path NULL: *out is NULL, which all functions accept. train_steps: the run's last; 0: it does not
 * train. Strings of args are kept. */
BT_MUST_USE bt_status gauges_open(const bt_train_args *args, const char *path, int64_t train_steps,
                                  gauges **out, bt_error *err);
/* A record: the file is written again, of training at most once a second. What cannot be written is
 * told once: it is no reason to end a training. */
void gauges_record(gauges *g, bool is_train, int64_t step, const bt_train_values *values,
                   const bt_train_values *extra);
/* The run is over; frees. */
void gauges_close(gauges *g, int exit_code);

#endif
