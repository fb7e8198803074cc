/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: where each parameter of a run that starts comes from, and whether
 * task.init_checkpoint fits. */
#ifndef BT_TRAIN_INIT_WEIGHTS_H
#define BT_TRAIN_INIT_WEIGHTS_H

#include "bt/ckpt.h"
#include "run.h"

typedef enum init_source_kind { INIT_FRESH, INIT_ZERO, INIT_FILE } init_source_kind;

typedef struct init_source {
    init_source_kind kind;
    const char      *name; /* INIT_FILE: under which name the checkpoint holds it */
} init_source;

/* ckpt NULL: there is no checkpoint. INIT_FILE also for what is missing there. */
init_source init_source_of(const train_run *run, const bt_ckpt *ckpt, int64_t index);

/* init_check.c: kind of encoder, layers, heads, names and shapes, before anything is read. */
BT_MUST_USE bt_status init_check(const train_run *run, bt_ckpt *ckpt, bt_error *err);
/* init_remark.c: what fits but is worth a word: fewer layers, parts that begin from random numbers,
 * heads of the file that are not used (used: a flag a tensor). Once, when it is loaded. */
BT_MUST_USE bt_status init_remark(const train_run *run, const bt_ckpt *ckpt, const bool *used,
                                  bt_error *err);

#endif
