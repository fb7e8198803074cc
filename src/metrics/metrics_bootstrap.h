/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics, private: intervals of values. */
#ifndef BT_METRICS_BOOTSTRAP_H
#define BT_METRICS_BOOTSTRAP_H

#include "metrics_kept.h"

bool metric_has_interval(const metric_row *row);
/* The lower and upper end of each value of the set that has an interval; returns how many. Memory
 * that is not there is a warning, and ends that are NaN. */
size_t metric_add_intervals(const bt_metrics *metrics, bt_metric_value *values);

/* metrics_certainty.c: what is added up of a row. */
typedef struct certain_row {
    double  probability; /* of the prediction; NaN: of the row there is nothing */
    double  log_loss;
    double  brier;
    int64_t place;
    bool    is_correct;
} certain_row;
/* state: of PART_CERTAINTY. The label is one of its classes. */
void metric_certain_row(void *state, const float *logits, int32_t label, double temperature,
                        certain_row *out);
void metric_certain_add(void *state, const certain_row *row, int64_t weight);

#endif
