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

/* What run_state_read() gives: applied by whoever restores. */
typedef struct run_state {
    uint64_t       seed;
    bt_data_cursor cursor;
    bool           evaluation_due;
    chunk_sums     chunk;
    uint64_t       precision; /* a bt_precision */
    bt_loss_scale  scale;
    early_stop     early_stop;
    int64_t        save_base;  /* -1: none was due yet, or not said */
    uint64_t       best_rule;  /* run_best_rule() of then; 0: not said */
    uint64_t       vocabulary; /* train_run.vocabulary of then; 0: none, or not said */
    int64_t        n_rows;     /* of the training data; 0: not said */
    int64_t        recovery_trials;
    uint64_t       content; /* bt_data_content() of the training data; 0: not said */
} run_state;

/* Our own state in a checkpoint; false where it is damaged or of another version. The training
 * metrics are what is left in bytes. */
BT_MUST_USE bool run_state_read(bt_reader *bytes, run_state *state);

#endif
