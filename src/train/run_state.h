/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: what a run keeps of its course, and all of our own state in a checkpoint. */
#ifndef BT_TRAIN_RUN_STATE_H
#define BT_TRAIN_RUN_STATE_H

#include "bt/data.h"
#include "bt/exec.h"

/* Sums since the last training record. Part of the checkpoint: a run stopped inside a chunk goes on
 * with the same sums. */
typedef struct chunk_sums {
    int64_t start_step;
    double  loss;
    double  grad_norm;
    int64_t n_steps;
    int64_t n_examples;
    int64_t n_tokens;
    int64_t n_padded;   /* tokens with padding: examples * seq_length */
    double  seconds;    /* training only; not in the checkpoint's promise of equal bits */
    int64_t n_skipped;  /* steps whose update float16's overflow prevented */
    double  input_wait; /* seconds of them that went by waiting for a batch; likewise */
    double  exchange;   /* and for other processes */
} chunk_sums;

/* The evaluations of this run so far, seen by the metric of the best checkpoint; part of the
 * checkpoint. info.json may know of later ones than a run that was killed goes on from. */
typedef struct early_stop {
    bool    has_best;
    double  best;
    int64_t n_worse; /* evaluations since then */
} early_stop;

/* How far a run has come, beside its step; part of the checkpoint. */
typedef struct run_course {
    chunk_sums chunk;
    int64_t    recovery_trials;
    bool       evaluation_due; /* stopped inside an evaluation: it is owed */
    early_stop early_stop;
    int64_t    save_base; /* step that checkpoint_interval counts from; -1: no save was due yet */
} run_course;

/* All of our own state in a checkpoint but the training metrics: the course, and what it is the
 * course of. */
typedef struct run_state {
    run_course     course;
    uint64_t       seed;
    bt_data_cursor cursor;
    uint64_t       precision; /* a bt_precision */
    bt_loss_scale  scale;
    uint64_t       best_rule;  /* run_state_best_rule(); 0: not said */
    uint64_t       vocabulary; /* of the training rows; 0: none, or not said */
    int64_t        n_rows;     /* of the training data; 0: not said */
    uint64_t       content;    /* bt_data_content() of the training data; 0: not said */
} run_state;

/* Appends it. */
BT_MUST_USE bt_status run_state_write(const run_state *state, bt_str *bytes, bt_error *err);
/* false where it is damaged or of another version. The training metrics are what is left in bytes.
 */
BT_MUST_USE bool run_state_read(bt_reader *bytes, run_state *state);
/* Names the metric of the best checkpoint and its direction. Never 0. */
uint64_t run_state_best_rule(const char *metric, const char *comparison);

#endif
