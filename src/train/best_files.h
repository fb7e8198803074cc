/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: what an earlier run left of a best checkpoint. */
#ifndef BT_TRAIN_BEST_FILES_H
#define BT_TRAIN_BEST_FILES_H

#include "bt/ckpt.h"
#include "model_dir.h"

/* What is in the folder of the best checkpoint. */
typedef struct best_files {
    char          *folder;
    char          *path; /* of info.json */
    bt_str         text; /* of info.json; empty: there is none */
    bt_str         told; /* what the checkpoint says of itself; empty: it does not */
    bt_ckpt_choice ckpt;
} best_files;

/* Whose records know of the evaluation, and which metric decides. */
typedef struct best_origin {
    const model_dir *dir;
    int64_t          round; /* see run_log_config */
    const char      *metric;
} best_origin;

BT_MUST_USE bt_status best_files_find(best_files *files, const model_dir *dir, bt_error *err);
/* The two are made to agree; *usable false: nothing is known of a best one. */
BT_MUST_USE bt_status best_files_mend(best_files *files, const best_origin *from, bool *usable,
                                      bt_error *err);
void                  best_files_deinit(best_files *files);

#endif
