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

/* Steps under way at once: one that the device works on, and enough after it that it does not wait
 * while the host is late. */
enum { EXEC_PJRT_DEPTH = 8 };

/* An array that stays on every replica's device from run to run: a variable's, or the sums of a
 * batch in parts. */
typedef struct exec_array {
    bt_hlo_role            role;
    int32_t                slot;
    const bt_hlo_variable *variable; /* of the program that first asked for it; NULL: sums */
    bt_pjrt_buffer        *buffers[EXEC_PJRT_MAX_REPLICAS]; /* owned */
} exec_array;

typedef struct exec_program {
    bt_hlo_config    config;
    bt_hlo_program  *hlo;
    bt_pjrt_program *compiled;
} exec_program;

/* The results of a run, in the order of the program's; what took a donated argument's place has
 * left that argument's handle. */
typedef struct exec_results {
    const exec_program *program;
    bt_pjrt_buffer    **buffers[EXEC_PJRT_MAX_REPLICAS]; /* owned; [n_results] */
} exec_results;

/* What one replica works on in one run. */
typedef struct exec_piece {
    bt_batch view; /* of these sequences alone */
    int64_t *offsets;
    size_t   offsets_cap;
    int32_t *labels; /* both sides of the view's spans */
    size_t   labels_cap;
    double   weight_sum; /* BT_HLO_WEIGHT_SUM */
} exec_piece;

/* What a step is, beside its batch. */
typedef struct exec_step {
    bt_hlo_what what;
    int64_t     step, n_layers;
    uint64_t    seed;
    bool        has_labels;
} exec_step;

/* A step on its way: its batch in pieces, and what its runs gave. Its memory is used again. */
typedef struct exec_flight {
    exec_step     what;
    bt_batch      batch; /* borrowed, or the copy */
    uint8_t      *copy;  /* owned: its columns */
    size_t        copy_cap;
    exec_bucket   bucket;
    int32_t       n_replicas, n_parts; /* each replica's share in so many pieces */
    exec_rows    *rows;                /* owned; [n_replicas * n_parts], replica by replica */
    exec_piece   *pieces;              /* owned; the same */
    size_t        rows_cap, pieces_cap;
    exec_results *runs; /* owned; of each part, then of their update, if there are parts */
    size_t        n_runs, runs_cap;
    double        began;
} exec_flight;

typedef struct exec_pjrt {
    bt_exec               base;
    const bt_model       *model;  /* borrowed */
    const bt_optim       *optim;  /* borrowed; NULL: no updates */
    bt_pjrt_plugin       *plugin; /* owned; NULL where the client is borrowed */
    bt_pjrt_client       *client;
    bool                  is_client_borrowed;
    int32_t               n_replicas;
    bt_exec_shares        shares;
    int64_t               part_seqs; /* 0: whole batches */
    bt_precision          precision;
    bt_attention          attention; /* as asked for */
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
    exec_flight    flight;                 /* of what is not training */
    exec_flight    steps[EXEC_PJRT_DEPTH]; /* that were begun, in a ring */
    int32_t        first_step, n_steps;    /* of those that did not end */
    float         *logits;                 /* owned: in the batch's order */
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

/* exec_pjrt_feed.c */
exec_division exec_division_of(const bt_model *model, bt_exec_shares shares);
/* Divides the flight's batch into n_replicas shares of n_parts pieces, each laid in rows. */
BT_MUST_USE bt_status exec_feed_lay(exec_pjrt *exec, exec_flight *flight, bt_error *err);
/* The array of a role that is not a variable's, for a replica's piece in a part. */
void exec_feed_fill(const exec_pjrt *exec, const exec_flight *flight, int32_t replica, int32_t part,
                    bt_hlo_role role, void *array);
void exec_piece_deinit(exec_piece *piece);
static inline int32_t exec_piece_of(const exec_flight *flight, int32_t replica, int32_t part) {
    return replica * flight->n_parts + part;
}

/* exec_pjrt_state.c */

/* The array that a program's argument or result is, uploaded where it is not there. */
BT_MUST_USE bt_status exec_array_need(exec_pjrt *exec, const bt_hlo_program *hlo,
                                      const bt_hlo_tensor *tensor, exec_array **out, bt_error *err);
void                  exec_arrays_drop(exec_pjrt *exec); /* the flat buffers count again */
void                  exec_parts_drop(exec_pjrt *exec);  /* what was added up of parts: 0 again */
/* Into a flat buffer, from one device. */
BT_MUST_USE bt_status exec_array_download(exec_pjrt *exec, const bt_hlo_variable *variable,
                                          bt_pjrt_buffer *buffer, float *flat, bt_error *err);
bt_pjrt_shape         exec_shape_of(const bt_hlo_tensor *tensor);
exec_state_fn         exec_pjrt_settle, exec_pjrt_changed, exec_pjrt_swap_averages;
BT_MUST_USE bt_status exec_need_state(const exec_pjrt *exec, bt_error *err); /* not lost? */

/* exec_pjrt_run.c */

/* What the engine and a batch's bucket say of a program, beside what, has_key_mask, has_labels and
 * n_replicas, which are set. */
BT_MUST_USE bt_status exec_program_config(const exec_pjrt *exec, const exec_bucket *bucket,
                                          bt_hlo_config *config, bt_error *err);
BT_MUST_USE bt_status exec_program_need(exec_pjrt *exec, const bt_hlo_config *config,
                                        exec_program **out, bt_error *err);
void                  exec_program_free(exec_program *program); /* accepts NULL */
/* Runs it on the flight's pieces of a part; donated arrays are those that came out. */
BT_MUST_USE bt_status exec_program_run(exec_pjrt *exec, exec_program *program,
                                       const exec_flight *flight, int32_t part,
                                       exec_results *results, bt_error *err);
void                  exec_results_deinit(exec_pjrt *exec, exec_results *results);
/* The result of a role of a replica, into exec->scratch. A failure of the program shows here. */
BT_MUST_USE bt_status exec_result_download(exec_pjrt *exec, const exec_results *results,
                                           int32_t replica, bt_hlo_role role, bt_error *err);

/* exec_pjrt_flight.c */

/* From here on the flight has a batch of its own. */
BT_MUST_USE bt_status exec_flight_keep(exec_pjrt *exec, exec_flight *flight, const bt_batch *batch,
                                       bt_error *err);
/* Checks the batch, lays it out and sends it: of training with an update all parts and the update.
 * The batch is borrowed until the end. */
BT_MUST_USE bt_status exec_flight_start(exec_pjrt *exec, exec_flight *flight, const bt_batch *batch,
                                        const exec_step *what, int32_t n_replicas, bt_error *err);
/* Loss, norm and whether they are finite; logits in the order of the batch, into exec->logits. */
BT_MUST_USE bt_status exec_flight_outcome(exec_pjrt *exec, const exec_flight *flight,
                                          bt_step_result *result, bt_error *err);
BT_MUST_USE bt_status exec_flight_logits(exec_pjrt *exec, const exec_flight *flight,
                                         bt_step_result *result, bt_error *err);
/* One row of n numbers a token of a piece, from one a slot. */
void exec_flight_tokens(const exec_flight *flight, int32_t piece, const float *slots, float *tokens,
                        int64_t n);
void exec_flight_end(exec_pjrt *exec, exec_flight *flight); /* frees what its runs gave */
void exec_flight_deinit(exec_pjrt *exec, exec_flight *flight);

/* exec_pjrt_memory.c */
exec_plan_memory_fn exec_pjrt_plan_memory;
bt_exec_memory      exec_pjrt_plan_evaluation(exec_pjrt *exec, int64_t n_seqs, int64_t length);

/* exec_pjrt_fits.c */
exec_measure_memory_fn     exec_pjrt_measure_memory;
exec_measure_evaluation_fn exec_pjrt_measure_evaluation;
/* What a step of that shape may take beside the state: to compare shapes. */
double exec_pjrt_step_bytes(const bt_model *model, const bt_exec_config *config, bool trains,
                            int64_t n_rows, int64_t n_slots);

/* exec_pjrt.c */

/* What devices are refused for by name. */
BT_MUST_USE bt_status exec_pjrt_check_config(const bt_model *model, const bt_optim *optim,
                                             const bt_exec_config *config, int32_t n_replicas,
                                             bt_error *err);

/* exec_pjrt_step.c */
exec_train_depth_fn exec_pjrt_train_depth;
exec_train_begin_fn exec_pjrt_train_begin;
exec_train_end_fn   exec_pjrt_train_end;
exec_gradients_fn   exec_pjrt_gradients;
exec_evaluate_fn    exec_pjrt_evaluate;
exec_encode_fn      exec_pjrt_encode;

#endif
