/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: what the files of --compile_only share. */
#ifndef BT_TRAIN_COMPILE_ONLY_H
#define BT_TRAIN_COMPILE_ONLY_H

#include "bt/exec.h"
#include "bt/model.h"
#include "bt/optim.h"
#include "bt/train.h"

/* The batches of a section that were read, and what shapes their programs have. */
typedef struct seen_rows {
    const bt_model *model; /* borrowed */
    bt_exec_shares  shares;
    int32_t         n_devices;
    int32_t         n_parts; /* on each device: of an update that is accumulated */
    bool            repeats; /* its rows come again, so that a batch may be larger than they are */
    int64_t         n_batches;
    int64_t         n_seqs;       /* of all of them */
    int64_t         seqs_per_row; /* 2 where a row is a pair */
    int64_t         seq_length;
    bt_exec_shape  *shapes; /* owned; distinct */
    size_t          n_shapes, shapes_cap;
} seen_rows;

/* compile_rows.c */
/* A dry_batch_fn whose context is the seen_rows. */
BT_MUST_USE bt_status seen_rows_add(void *context, const bt_batch *batch, bt_error *err);
void                  seen_rows_deinit(seen_rows *rows);

/* What is compiled: training steps or evaluations of a run. */
typedef struct compile_job {
    const bt_model *model;
    const bt_optim *optim;
    bt_exec_ahead  *ahead;
    bt_exec_config  config;
    bool            trains;
    seen_rows       rows;
    int64_t         batch;        /* examples of a step, or of a part of it */
    int64_t         beside_bytes; /* that a device holds while it runs, beside it */
    int64_t         usable_bytes; /* of a device; -1: not known */
} compile_job;

bt_exec_wish compile_wish(const compile_job *job, const bt_exec_shape *shape);
/* The largest of the shapes that were read. */
const bt_exec_shape *compile_largest_shape(const compile_job *job);
/* That of a batch of so many examples, each as long as may be. */
BT_MUST_USE bt_status compile_full_shape(const compile_job *job, int64_t batch, bt_exec_shape *out,
                                         bt_error *err);
bool compile_is_same(const bt_exec_shape *a, const bt_exec_shape *b); /* one program? */

/* compile_only.c */
BT_MUST_USE bt_status compile_program(const compile_job *job, int64_t batch,
                                      const bt_exec_shape *shape, bt_train_program *out,
                                      bt_error *err);
bool                  compile_fits(const compile_job *job, const bt_train_program *program);

/* compile_search.c: the job's batch in full length to part->full, and, where that does not fit or
 * if_it_fits, the largest batch that does. part->program, which is there, is that of shape. */
BT_MUST_USE bt_status compile_find_largest(const compile_job *job, const bt_exec_shape *shape,
                                           bool if_it_fits, bt_train_part *part, bt_error *err);

#endif
