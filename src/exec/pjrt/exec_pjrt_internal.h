/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine on PJRT devices: what it owns. Parameters, slots and averages live on the devices as
 * programs have them (bt_hlo_variable), with a copy in flat buffers of the host, which is behind
 * once a step was made and until it is settled. */
#ifndef BT_EXEC_PJRT_INTERNAL_H
#define BT_EXEC_PJRT_INTERNAL_H

#include "bt/hlo.h"
#include "bt/pjrt.h"
#include "exec_engine.h"
#include "exec_pjrt_bucket.h"
#include "exec_shared.h"

enum { EXEC_PJRT_DESCRIPTION_BYTES = 512, EXEC_PJRT_MAX_REPLICAS = 64, EXEC_PJRT_MAX_ARRAYS = 256 };

/* One variable's array of one kind: the same on every replica's device. */
typedef struct exec_array {
    bt_hlo_role            role;
    int32_t                slot;
    const bt_hlo_variable *variable; /* of the program that first asked for it */
    bt_pjrt_buffer        *buffers[EXEC_PJRT_MAX_REPLICAS]; /* owned */
} exec_array;

typedef struct exec_program {
    bt_hlo_config    config;
    bt_hlo_program  *hlo;
    bt_pjrt_program *compiled;
} exec_program;

/* A replica's share of a batch, as programs have it: an array for each role that is no variable's.
 */
typedef struct exec_feed {
    void    *data[BT_HLO_N_ROLES]; /* owned */
    bt_dtype dtype[BT_HLO_N_ROLES];
    int64_t  n[BT_HLO_N_ROLES]; /* elements; 0: there is none */
    size_t   cap_bytes[BT_HLO_N_ROLES];
} exec_feed;

typedef struct exec_pjrt {
    bt_exec               base;
    const bt_model       *model;  /* borrowed */
    const bt_optim       *optim;  /* borrowed; NULL: no updates */
    bt_pjrt_plugin       *plugin; /* owned; NULL where the client is borrowed */
    bt_pjrt_client       *client;
    bool                  is_client_borrowed;
    int32_t               n_replicas;
    bt_precision          precision;
    bool                  recompute;
    char                 *cache_folder; /* owned or NULL */
    const bt_pjrt_option *flags;        /* borrowed */
    size_t                n_flags;
    bool                  is_ahead; /* the devices are, of the flat buffers */
    bool           is_lost; /* what was on a device is gone, and the flat buffers are behind */
    exec_array     arrays[EXEC_PJRT_MAX_ARRAYS];
    size_t         n_arrays;
    exec_program **programs; /* owned; compiled when first asked for */
    size_t         n_programs, programs_cap;
    exec_rows      rows[EXEC_PJRT_MAX_REPLICAS];
    exec_feed      feeds[EXEC_PJRT_MAX_REPLICAS];
    float         *logits; /* owned: in the batch's order */
    size_t         logits_cap;
    float         *scratch; /* owned: an array on its way */
    size_t         scratch_cap;
    exec_scale     scale;
    uint64_t       reserved_bytes, memory_limit;
    char           description[EXEC_PJRT_DESCRIPTION_BYTES];
} exec_pjrt;

static inline exec_pjrt *exec_pjrt_of(bt_exec *exec) {
    return (exec_pjrt *)(void *)exec; /* base comes first */
}
static inline const exec_pjrt *exec_pjrt_seen(const bt_exec *exec) {
    return (const exec_pjrt *)(const void *)exec;
}

/* *array has room for n elements afterwards; what was in it is gone. */
BT_MUST_USE bt_status exec_need_floats(float **array, size_t *cap, int64_t n, bt_error *err);

/* ---- exec_pjrt_feed.c ---------------------------------------------------------------------------
 */
/* What a step is, beside its batch. */
typedef struct exec_step {
    bt_hlo_what what;
    int64_t     step, n_layers;
    uint64_t    seed;
    bool        has_labels;
} exec_step;
/* Lays the batch in n_replicas shares and fills their arrays; config: the program to run it. */
BT_MUST_USE bt_status exec_feed_batch(exec_pjrt *exec, const bt_batch *batch, const exec_step *step,
                                      int32_t n_replicas, bt_hlo_config *config, bt_error *err);
void                  exec_feed_deinit(exec_feed *feed);

/* ---- exec_pjrt_state.c --------------------------------------------------------------------------
 */
/* The array of a variable that a program's argument or result is, uploaded where it is not there.
 */
BT_MUST_USE bt_status exec_array_need(exec_pjrt *exec, const bt_hlo_program *hlo,
                                      const bt_hlo_tensor *tensor, exec_array **out, bt_error *err);
void                  exec_arrays_drop(exec_pjrt *exec); /* the flat buffers count again */
/* Into a flat buffer, from one device. */
BT_MUST_USE bt_status exec_array_download(exec_pjrt *exec, const bt_hlo_variable *variable,
                                          bt_pjrt_buffer *buffer, float *flat, bt_error *err);
bt_pjrt_shape         exec_shape_of(const bt_hlo_tensor *tensor);
BT_MUST_USE bt_status exec_pjrt_settle(bt_exec *exec, bt_error *err);
BT_MUST_USE bt_status exec_pjrt_changed(bt_exec *exec, bt_error *err);
BT_MUST_USE bt_status exec_pjrt_swap_averages(bt_exec *exec, bt_error *err);
BT_MUST_USE bt_status exec_need_state(const exec_pjrt *exec, bt_error *err); /* not lost? */

/* ---- exec_pjrt_run.c ----------------------------------------------------------------------------
 */
BT_MUST_USE bt_status exec_program_need(exec_pjrt *exec, const bt_hlo_config *config,
                                        exec_program **out, bt_error *err);
void                  exec_program_free(exec_program *program); /* accepts NULL */
/* The results that take no argument's place, in the order of the program's: the caller frees. */
typedef struct exec_results {
    const exec_program *program;
    bt_pjrt_buffer    **buffers[EXEC_PJRT_MAX_REPLICAS]; /* owned; [n_results] */
} exec_results;
/* Runs it with what was fed; donated arrays are those that came out. */
BT_MUST_USE bt_status exec_program_run(exec_pjrt *exec, exec_program *program,
                                       exec_results *results, bt_error *err);
void                  exec_results_deinit(exec_pjrt *exec, exec_results *results);
/* The result of a role of a replica, into exec->scratch. A failure of the program shows here. */
BT_MUST_USE bt_status exec_result_download(exec_pjrt *exec, const exec_results *results,
                                           int32_t replica, bt_hlo_role role, bt_error *err);

/* ---- exec_pjrt_memory.c -------------------------------------------------------------------------
 */
bt_exec_memory exec_pjrt_plan_memory(bt_exec *exec, int64_t n_seqs, int64_t length);

/* ---- exec_pjrt_step.c ---------------------------------------------------------------------------
 */
BT_MUST_USE bt_status exec_pjrt_train_step(bt_exec *exec, const bt_batch *batch, int64_t step,
                                           uint64_t seed, bt_step_result *result, bt_error *err);
BT_MUST_USE bt_status exec_pjrt_gradients(bt_exec *exec, const bt_batch *batch, int64_t step,
                                          uint64_t seed, bt_step_result *result, bt_error *err);
BT_MUST_USE bt_status exec_pjrt_evaluate(bt_exec *exec, const bt_batch *batch,
                                         bt_step_result *result, bt_error *err);
BT_MUST_USE bt_status exec_pjrt_encode(bt_exec *exec, const bt_batch *batch, int64_t layer,
                                       float *hidden, float *pooled, bt_error *err);

#endif
