/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: the folder of a run: what stands there under its names. */
#ifndef BT_TRAIN_MODEL_DIR_H
#define BT_TRAIN_MODEL_DIR_H

#include "bt/fs.h"
#include "run_config.h"

/* own_files.c: what stands in model_dir under the names that the run uses there is what it keeps
 * under them, or BT_E_IO; and may be written, or BT_E_RESOURCE. */
BT_MUST_USE bt_status own_files_check(const char *model_dir, bt_conf_mode mode,
                                      const run_config *config, bt_error *err);

/* made_folders.c: makes path and the folders above it, and appends those that were missing to made;
 * undo removes them again, as far as they are empty. */
BT_MUST_USE bt_status made_folders_make(const char *path, bt_fs_names *made, bt_error *err);
void                  made_folders_undo(const bt_fs_names *made);

#endif
