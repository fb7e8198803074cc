/* SPDX-License-Identifier: Apache-2.0
 *
 * What a measured training step is made of: BERT of any size with fresh weights, AdamW with
 * clipping as bert/sentence_prediction has it, and batches of made-up tokens. */
#ifndef BT_BENCH_STEP_JOB_H
#define BT_BENCH_STEP_JOB_H

#include "bt/model.h"
#include "bt/optim.h"

typedef struct step_dims {
    int64_t layers, hidden, heads, intermediate, vocab, positions;
    bool    has_spans; /* the head: starts and ends for each token, not two classes */
} step_dims;

/* Owned, each made from what is before it. */
typedef struct step_job {
    bt_model *model;
    bt_conf  *conf;
    bt_optim *optim;
} step_job;

/* *job is zero before; step_job_deinit after a failure, too. */
BT_MUST_USE bt_status step_job_init(step_job *job, const step_dims *dims, bt_error *err);
void                  step_job_deinit(step_job *job);

typedef struct step_batch {
    bt_batch batch;
    int64_t *offsets; /* owned, as all that follow */
    int32_t *ids, *types, *positions, *labels;
} step_batch;

/* lengths [n], each at most seq_length. *p is zero before; step_batch_deinit after a failure. */
BT_MUST_USE bt_status step_batch_init(step_batch *p, const int64_t *lengths, int64_t n,
                                      int64_t seq_length, int64_t vocab, uint64_t seed,
                                      bt_error *err);
void                  step_batch_deinit(step_batch *p);

#endif
