/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: what event files show of an evaluation beside its scalars: curves of precision
 * and recall, and labels against predictions as a picture. */
#ifndef BT_TRAIN_RUN_FIGURES_H
#define BT_TRAIN_RUN_FIGURES_H

#include "bt/metrics.h"
#include "bt/task.h"
#include "bt/wire/events.h"

/* Of more classes there is no picture: an evaluation adds at most BT_METRIC_CURVES_MAX curves
 * of 2.5 KB and one picture of a few KB. */
enum { RUN_FIGURES_MAX_CELLS = 20 };

/* Borrowed. */
typedef struct run_figures {
    const bt_metrics     *metrics; /* of the evaluation that is over */
    const bt_task_labels *labels;
} run_figures;
/* Those that the metrics know enough for. */
BT_MUST_USE bt_status run_figures_write(const run_figures *seen, bt_events_writer *writer,
                                        int64_t step, bt_error *err);

#endif
