/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: one writer of model_dir. */
#ifndef BT_TRAIN_RUN_LOCK_H
#define BT_TRAIN_RUN_LOCK_H

#include "bt/fs.h"
#include "bt/train.h"

/* model_dir is written by one process; NULL: not needed by the mode, or not yet taken. */
typedef struct run_locks {
    struct bt_fs_lock *train;
    struct bt_fs_lock *eval;
} run_locks;

/* The locks of model_dir that the mode needs, where the folder is there (early) or must
 * be; a second process is BT_E_RESOURCE. Whoever saves asks before whether they are still held.
 * Early, a folder that may not be written is refused as well; locks NULL: only looked at. */
/* What an evaluation says that holds the training's lock while it adds a record: a training
 * waits for it. */
#define RUN_LOCK_RECORD "bert-train, adding a record of an evaluation"
BT_MUST_USE bt_status run_lock_take_early(const bt_train_args *args, run_locks *locks,
                                          bt_error *err);
BT_MUST_USE bt_status run_lock_take(const bt_train_args *args, run_locks *locks, bt_error *err);
BT_MUST_USE bt_status run_lock_check(const run_locks *locks, bt_error *err);
void                  run_lock_release(run_locks *locks);

#endif
