/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: what evaluations keep for the report, eval_details.json. */
#ifndef BT_TRAIN_EVAL_DETAILS_H
#define BT_TRAIN_EVAL_DETAILS_H

#include "bt/metrics.h"
#include "bt/report.h"
#include "bt/task.h"
#include "bt/train.h"

typedef struct eval_details eval_details;

/* All borrowed for as long as the details live. */
typedef struct eval_details_config {
    const char           *folder; /* model_dir */
    const bt_task_plan   *plan;
    bt_data_stream       *data;
    const bt_task_output *output; /* of the evaluation, with its state; or NULL */
    void                 *output_state;
    const char           *mode;   /* of a run that does not train; NULL: it trains */
    int64_t               n_most; /* rows whose texts are kept */
} eval_details_config;

BT_MUST_USE bt_status eval_details_create(const eval_details_config *config, eval_details **out,
                                          bt_error *err);
void eval_details_free(eval_details *details); /* NULL, as for the next two: none */
void eval_details_reset(eval_details *details);
void eval_details_add(eval_details *details, const bt_batch *batch, const float *logits);
/* Of the evaluation that is over. The data have to be sought before they are read again. */
BT_MUST_USE bt_status eval_details_write(eval_details *details, int64_t step,
                                         const bt_metrics *metrics, const bt_train_values *values,
                                         bt_error *err);
/* The run goes on from last_step: what is kept of a later evaluation goes. */
BT_MUST_USE bt_status eval_details_rewind(const char *folder, int64_t last_step, bt_error *err);

#endif
