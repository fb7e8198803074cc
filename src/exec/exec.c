/* SPDX-License-Identifier: Apache-2.0
 *
 * bt/exec.h, whatever the engine is. */
#include "exec_engine.h"

void bt_exec_free(bt_exec *exec) {
    if (exec != NULL) {
        exec->engine->destroy(exec);
    }
}

int32_t bt_exec_train_depth(const bt_exec *exec) {
    return exec->engine->train_depth(exec);
}

bt_status bt_exec_train_begin(bt_exec *exec, const bt_batch *batch, int64_t step, uint64_t seed,
                              bt_error *err) {
    return exec->engine->train_begin(exec, batch, step, seed, err);
}

bt_status bt_exec_train_end(bt_exec *exec, bt_step_result *result, const bt_batch **batch,
                            bt_error *err) {
    return exec->engine->train_end(exec, result, batch, err);
}

bt_status bt_exec_train_step(bt_exec *exec, const bt_batch *batch, int64_t step, uint64_t seed,
                             bt_step_result *result, bt_error *err) {
    const bt_batch *its_own = NULL;
    BT_TRY(bt_exec_train_begin(exec, batch, step, seed, err));
    return bt_exec_train_end(exec, result, &its_own, err);
}

bt_status bt_exec_gradients(bt_exec *exec, const bt_batch *batch, int64_t step, uint64_t seed,
                            bt_step_result *result, bt_error *err) {
    return exec->engine->gradients(exec, batch, step, seed, result, err);
}

bt_status bt_exec_evaluate(bt_exec *exec, const bt_batch *batch, bt_step_result *result,
                           bt_error *err) {
    return exec->engine->evaluate(exec, batch, result, err);
}

bt_status bt_exec_encode(bt_exec *exec, const bt_batch *batch, int64_t layer, float *hidden,
                         float *pooled, bt_error *err) {
    return exec->engine->encode(exec, batch, layer, hidden, pooled, err);
}

float *bt_exec_params(bt_exec *exec) {
    return exec->param;
}

float *bt_exec_gradient(bt_exec *exec) {
    return exec->grad;
}

float *bt_exec_average(bt_exec *exec) {
    return exec->average;
}

float *bt_exec_slot(bt_exec *exec, int32_t slot) {
    return slot >= 0 && slot < BT_OPTIM_MAX_SLOTS ? exec->slots[slot] : NULL;
}

bt_status bt_exec_settle(bt_exec *exec, bt_error *err) {
    return exec->engine->settle(exec, err);
}

bt_status bt_exec_changed(bt_exec *exec, bt_error *err) {
    return exec->engine->changed(exec, err);
}

float *bt_exec_place(bt_exec *exec, int64_t param) {
    return exec->engine->place != NULL ? exec->engine->place(exec, param)
                                       : exec->param + exec->model->table.params[param].offset;
}

bt_status bt_exec_take(bt_exec *exec, int64_t param, bt_error *err) {
    return exec->engine->take != NULL ? exec->engine->take(exec, param, err) : BT_OK;
}

void bt_exec_copy(bt_exec *exec, float *to, const float *from) {
    exec->engine->copy(exec, to, from);
}

bt_status bt_exec_swap_averages(bt_exec *exec, bt_error *err) {
    return exec->engine->swap_averages(exec, err);
}

bt_status bt_exec_round_weights(bt_exec *exec, bt_exec_rounded *out, bt_error *err) {
    return exec->engine->round_weights != NULL
               ? exec->engine->round_weights(exec, out, err)
               : BT_FAIL(err, BT_E_UNSUPPORTED, "devices do not compute in 8 bits");
}

bt_loss_scale bt_exec_get_loss_scale(const bt_exec *exec) {
    return exec->engine->get_loss_scale(exec);
}

void bt_exec_set_loss_scale(bt_exec *exec, bt_loss_scale scale) {
    exec->engine->set_loss_scale(exec, scale);
}

void bt_exec_reserve_memory(bt_exec *exec, uint64_t n_bytes) {
    exec->engine->reserve_memory(exec, n_bytes);
}

size_t bt_exec_memory_bytes(const bt_exec *exec) {
    return exec->engine->memory_bytes(exec);
}

bt_status bt_exec_measure_peaks(bt_exec *exec, bt_exec_peak peaks[BT_EXEC_MAX_PEAKS], size_t *n,
                                bt_error *no_blas, bt_error *err) {
    return exec->engine->measure_peaks(exec, peaks, n, no_blas, err);
}

bt_exec_memory bt_exec_plan_memory(bt_exec *exec, int64_t n_seqs, int64_t length) {
    return exec->engine->plan_memory(exec, n_seqs, length);
}

bt_status bt_exec_measure_memory(bt_exec *exec, bt_exec_memory *plan, bt_error *err) {
    return exec->engine->measure_memory != NULL ? exec->engine->measure_memory(exec, plan, err)
                                                : BT_OK;
}

const char *bt_exec_isa(const bt_exec *exec) {
    return exec->isa != NULL ? exec->isa : "";
}

bt_status bt_exec_measure_evaluation(bt_exec *exec, int64_t n_seqs, int64_t length,
                                     bt_exec_memory *plan, bt_error *err) {
    *plan = (bt_exec_memory){.is_measured = false};
    return exec->engine->measure_evaluation != NULL
               ? exec->engine->measure_evaluation(exec, n_seqs, length, plan, err)
               : BT_OK;
}

const char *bt_exec_describe(const bt_exec *exec) {
    return exec->engine->describe(exec);
}
