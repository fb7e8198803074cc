/* SPDX-License-Identifier: Apache-2.0
 *
 * What an engine is to bt/exec.h: a row of functions, which say there what they do. An engine's own
 * structure begins with a bt_exec. */
#ifndef BT_EXEC_ENGINE_H
#define BT_EXEC_ENGINE_H

#include "bt/exec.h"

/* Kinds of functions, by which the engines declare their own. */
typedef int32_t               exec_train_depth_fn(const bt_exec *exec);
typedef BT_MUST_USE bt_status exec_train_begin_fn(bt_exec *exec, const bt_batch *batch,
                                                  int64_t step, uint64_t seed, bt_error *err);
typedef BT_MUST_USE bt_status exec_train_end_fn(bt_exec *exec, bt_step_result *result,
                                                const bt_batch **batch, bt_error *err);
typedef BT_MUST_USE bt_status exec_gradients_fn(bt_exec *exec, const bt_batch *batch, int64_t step,
                                                uint64_t seed, bt_step_result *result,
                                                bt_error *err);
typedef BT_MUST_USE bt_status exec_evaluate_fn(bt_exec *exec, const bt_batch *batch,
                                               bt_step_result *result, bt_error *err);
/* Batches that are evaluated together. */
typedef struct exec_window {
    const bt_batch *const *batches; /* [n] */
    size_t                 n;
    bt_exec_take_fn       *take;
    bt_exec_tick_fn       *tick; /* or NULL */
    void                  *context;
} exec_window;
/* Tokens that are worth to be evaluated together; 0: no more than a batch. */
typedef int64_t               exec_window_tokens_fn(const bt_exec *exec);
typedef BT_MUST_USE bt_status exec_evaluate_window_fn(bt_exec *exec, const exec_window *window,
                                                      bt_error *err);
typedef BT_MUST_USE bt_status exec_encode_fn(bt_exec *exec, const bt_batch *batch, int64_t layer,
                                             float *hidden, float *pooled, bt_error *err);
typedef BT_MUST_USE bt_status exec_round_weights_fn(bt_exec *exec, bt_exec_rounded *out,
                                                    bt_error *err);
typedef float                *exec_place_fn(bt_exec *exec, int64_t param);
typedef BT_MUST_USE bt_status exec_take_fn(bt_exec *exec, int64_t param, bt_error *err);
typedef BT_MUST_USE bt_status exec_state_fn(bt_exec *exec, bt_error *err);
typedef bt_exec_memory        exec_plan_memory_fn(bt_exec *exec, int64_t n_seqs, int64_t length);
typedef BT_MUST_USE bt_status exec_measure_memory_fn(bt_exec *exec, bt_exec_memory *plan,
                                                     bt_error *err);
typedef BT_MUST_USE bt_status exec_measure_evaluation_fn(bt_exec *exec, int64_t n_seqs,
                                                         int64_t length, bt_exec_memory *plan,
                                                         bt_error *err);

typedef struct exec_engine {
    void (*destroy)(bt_exec *exec);
    exec_train_depth_fn     *train_depth;
    exec_train_begin_fn     *train_begin;
    exec_train_end_fn       *train_end;
    exec_gradients_fn       *gradients;
    exec_evaluate_fn        *evaluate;
    exec_window_tokens_fn   *window_tokens;   /* NULL: always 0 */
    exec_evaluate_window_fn *evaluate_window; /* NULL likewise */
    exec_encode_fn          *encode;
    exec_state_fn           *settle, *changed, *swap_averages;
    exec_place_fn           *place; /* NULL: the flat buffer */
    exec_take_fn            *take;  /* NULL likewise */
    void (*copy)(bt_exec *exec, float *to, const float *from);
    bt_loss_scale (*get_loss_scale)(const bt_exec *exec);
    void (*set_loss_scale)(bt_exec *exec, bt_loss_scale scale);
    void (*reserve_memory)(bt_exec *exec, uint64_t n_bytes);
    size_t (*memory_bytes)(const bt_exec *exec);
    bt_status (*measure_peaks)(bt_exec *exec, bt_exec_peak peaks[BT_EXEC_MAX_PEAKS], size_t *n,
                               bt_error *no_blas, bt_error *err);
    exec_round_weights_fn      *round_weights; /* NULL: devices compute in floats only */
    exec_plan_memory_fn        *plan_memory;
    exec_measure_memory_fn     *measure_memory;     /* NULL: the plan is all there is */
    exec_measure_evaluation_fn *measure_evaluation; /* NULL: it is refused when it comes */
    const char *(*describe)(const bt_exec *exec);
} exec_engine;

struct bt_exec {
    const exec_engine *engine;
    const bt_model    *model; /* borrowed */
    const char        *isa;   /* of the kernels; NULL: no processor's */
    /* the flat buffers of bt/exec.h, owned by the engine; NULL: there is none */
    float *param, *grad, *average;
    float *slots[BT_OPTIM_MAX_SLOTS];
};

#endif
