/* SPDX-License-Identifier: Apache-2.0
 *
 * The file `checkpoint` of a folder of checkpoints: a CheckpointState as text. */
#ifndef BT_WIRE_STATE_FILE_H
#define BT_WIRE_STATE_FILE_H

#include "bt/base/str.h"

typedef struct bt_ckpt_state {
    char   *latest; /* model_checkpoint_path; NULL: none */
    char  **paths;  /* all_model_checkpoint_paths, oldest first */
    double *times;  /* all_model_checkpoint_timestamps; n_times may differ from n_paths */
    size_t  n_paths;
    size_t  cap_paths; /* private */
    size_t  n_times;
    size_t  cap_times; /* private */
    double  last_preserved;
    bool    has_last_preserved;
} bt_ckpt_state;
void bt_ckpt_state_deinit(bt_ckpt_state *state);
/* Text protobuf; out must be zeroed or deinited. name is for messages. */
BT_MUST_USE bt_status bt_ckpt_state_parse(const char *text, size_t n_bytes, const char *name,
                                          bt_ckpt_state *out, bt_error *err);
BT_MUST_USE bt_status bt_ckpt_state_append(bt_ckpt_state *state, const char *path, double time,
                                           bt_error *err);
BT_MUST_USE bt_status bt_ckpt_state_format(const bt_ckpt_state *state, bt_str *out, bt_error *err);

#endif
