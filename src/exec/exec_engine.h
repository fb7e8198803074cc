/* SPDX-License-Identifier: Apache-2.0
 *
 * What an engine is to bt/exec.h: a row of functions, which say there what they do. An engine's own
 * structure begins with a bt_exec. */
#ifndef BT_EXEC_ENGINE_H
#define BT_EXEC_ENGINE_H

#include "bt/exec.h"

typedef struct exec_engine {
    void (*destroy)(bt_exec *exec);
    bt_status (*train_step)(bt_exec *exec, const bt_batch *batch, int64_t step, uint64_t seed,
                            bt_step_result *result, bt_error *err);
    bt_status (*gradients)(bt_exec *exec, const bt_batch *batch, int64_t step, uint64_t seed,
                           bt_step_result *result, bt_error *err);
    bt_status (*evaluate)(bt_exec *exec, const bt_batch *batch, bt_step_result *result,
                          bt_error *err);
    bt_status (*encode)(bt_exec *exec, const bt_batch *batch, int64_t layer, float *hidden,
                        float *pooled, bt_error *err);
    bt_status (*settle)(bt_exec *exec, bt_error *err);
    bt_status (*changed)(bt_exec *exec, bt_error *err);
    void (*copy)(bt_exec *exec, float *to, const float *from);
    bt_status (*swap_averages)(bt_exec *exec, bt_error *err);
    bt_loss_scale (*get_loss_scale)(const bt_exec *exec);
    void (*set_loss_scale)(bt_exec *exec, bt_loss_scale scale);
    void (*reserve_memory)(bt_exec *exec, uint64_t n_bytes);
    size_t (*memory_bytes)(const bt_exec *exec);
    bt_status (*measure_peaks)(bt_exec *exec, bt_exec_peak peaks[BT_EXEC_MAX_PEAKS], size_t *n,
                               bt_error *no_blas, bt_error *err);
    bt_exec_memory (*plan_memory)(bt_exec *exec, int64_t n_seqs, int64_t length);
    const char *(*describe)(const bt_exec *exec);
} exec_engine;

struct bt_exec {
    const exec_engine *engine;
    /* the flat buffers of bt/exec.h, owned by the engine; NULL: there is none */
    float *param, *grad, *average;
    float *slots[BT_OPTIM_MAX_SLOTS];
};

#endif
