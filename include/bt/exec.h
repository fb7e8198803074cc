/* SPDX-License-Identifier: Apache-2.0
 *
 * exec: runs one step of a model description. The seam between the trainer and an engine is the
 * whole step, so that an engine is free to fuse. exec/cpu/ holds the native engine, exec/pjrt/ the
 * one on accelerators. */
#ifndef BT_EXEC_H
#define BT_EXEC_H

#include "bt/comm.h"
#include "bt/model.h"
#include "bt/optim.h"
#include "bt/pjrt.h"
#include "bt/tensor.h"

typedef struct bt_exec bt_exec;

/* What float16 multiplies the gradient of the loss by; 1 in the other precisions. */
typedef struct bt_loss_scale {
    double  factor;
    int64_t n_good; /* updates in a row since it changed; 0 where it is fixed */
} bt_loss_scale;

/* How a batch is divided over devices or processes. Each clips the gradient of its share before all
 * are added, so this changes numbers. On devices a loss over all pairs of a batch (a dual
 * encoder's, or bug_compatible's of a regression) always has equal shares, whose pairs count alone,
 * as in Model Garden. */
typedef enum bt_exec_shares {
    BT_EXEC_SHARES_TOKENS,    /* equal work; the loss is the mean of the whole batch */
    BT_EXEC_SHARES_SEQUENCES, /* Model Garden's: equal numbers of sequences, a mean of each share;
                               * of a batch that has no such shares, and of processes, the mean of
                               * all of it */
} bt_exec_shares;

typedef struct bt_exec_config {
    int32_t     n_threads; /* 0: one a physical core */
    bt_pin_how  pin;       /* of the threads; they work on memory that they touched first anyhow */
    const char *isa;       /* "auto", "ref", "avx2", "avx512", "neon" */
    bool        use_blas;  /* large matrix products in BLAS even where the isa has its own */
    /* Of the factors of large matrix products; with use_blas only float32. */
    bt_precision precision;
    /* What the encoder's products with weights read is rounded to 8 bits, a batch at a time, as the
     * models do that --export_precision=int8 writes; the weights are the caller's to round.
     * Evaluation on processors only. */
    bool         rounds_to_8_bits;
    double       loss_scale; /* float16: a fixed one; 0: dynamic */
    bt_attention attention;  /* on devices; processors have one of their own */
    /* Nothing but evaluations (and encoding) comes once the parameters are there; no optimizer.
     * Then the processor keeps the weights of large products as these read them, in bfloat16 in
     * half of the bytes, and not as floats: in bt_exec_params they read as 0. The same bits. */
    bool only_evaluates;
    /* And in 8 bits, with only_evaluates: each weight of the encoder is rounded when it is taken
     * (bt_exec_round_weights), so that its floats are never there. No evaluation in floats comes
     * before, and none before bt_exec_changed. On processors. */
    bool     in_8_bits;
    bool     recompute;    /* keep of each layer its output only: less memory, a third more work */
    uint64_t memory_limit; /* bytes that the engine may take in all; 0: what the machine has */
    int64_t  part_seqs;    /* training works on that many sequences of a batch at a time, in less
                            * memory and with the same result but for rounding; 0: on all */
    /* One of several processes that train together: a training step works on this one's share of
     * the batch, which all of them have, and makes the update of all. They make the same calls.
     * NULL: alone. Borrowed. */
    bt_comm       *comm;
    bt_comm_wire   wire; /* how gradients travel */
    bt_exec_shares shares;
} bt_exec_config;

/* Seconds of one step, for the benchmark and metrics. forward + backward + optimizer is all of it;
 * products (the large ones) and attention are shares of forward + backward. exchange, beside
 * them: waiting for other processes. serial: what of all of it no number of threads makes shorter
 * (of training steps on the processor; 0 where a BLAS has threads of its own). */
typedef struct bt_exec_times {
    double  forward, backward, optimizer, products, attention, exchange, serial;
    double  product_flops; /* a multiplication and an addition are two */
    int64_t n_jobs;        /* how often threads were started together, where serial is known */
} bt_exec_times;

typedef struct bt_step_result {
    double loss;
    double grad_norm;    /* as Model Garden's clipping sees it: word rows un-aggregated; where
                          * replicas clip by themselves, the largest of theirs */
    int64_t n_nonfinite; /* > 0: loss or norm is not finite; the update was NOT applied */
    bool    is_skipped;  /* that was float16's overflow: the loss scale was lowered for the
                          * next step */
    int64_t       n_tokens;
    const float  *logits; /* borrowed until the next call; bt_model_n_logits values */
    bt_exec_times times;
} bt_step_result;

/* Which BLAS is loaded when something in this process multiplies with one (runtime.blas_library;
 * "": a usual one) and on how many threads it works (0: one a physical core). Loads nothing. */
void bt_exec_choose_blas(const char *library, int32_t n_threads);
/* Can an engine on processors have the instruction set and the cores that are asked for, and do
 * they go with the rest? For who has long to read before the engine is made. BT_E_BACKEND,
 * BT_E_CONFIG, BT_E_RESOURCE. */
BT_MUST_USE bt_status bt_exec_check_processors(const bt_exec_config *config, bt_error *err);
/* Is there anything in this process that made it be loaded? */
bool bt_exec_has_blas(void);

/* The engine owns parameters, gradients and slots. model and optim are borrowed for its life. optim
 * NULL: for evaluation; there are no slots, and gradients only when bt_exec_gradients asks for
 * them. */
BT_MUST_USE bt_status bt_exec_create_cpu(const bt_model *model, const bt_optim *optim,
                                         const bt_exec_config *config, bt_exec **out,
                                         bt_error *err);

/* Devices of a PJRT plug-in. */
typedef struct bt_exec_devices {
    const char  *plugin;     /* path of a plug-in; NULL: one of the kind is looked for */
    bt_pjrt_kind kind;       /* without plugin */
    int32_t      n_replicas; /* devices, each with a share of every batch; 0: all */
    const char
        *cache_folder; /* of compiled programs; NULL: none; "": programs in bt_pjrt_append_folder */
    const bt_pjrt_option *flags; /* of the compiler; borrowed for the engine's life */
    size_t                n_flags;
    bt_pjrt_client       *client; /* not NULL: these devices, and no plug-in is opened; borrowed */
} bt_exec_devices;
/* The engine on such devices. Steps are programs (bt/hlo.h), one for each bucket of batch shapes,
 * compiled when a batch first needs it. Training and evaluations use all devices (but the
 * evaluation of a loss over all pairs, gradients alone, and vectors: the first). Of config counts:
 * precision, loss_scale, attention, recompute, shares, part_seqs (for the number of parts of each
 * share).
 * BT_E_BACKEND: no plug-in, no device, or what one of them says; where that came once a step had
 * begun, the state is lost. */
BT_MUST_USE bt_status bt_exec_create_pjrt(const bt_model *model, const bt_optim *optim,
                                          const bt_exec_config  *config,
                                          const bt_exec_devices *devices, bt_exec **out,
                                          bt_error *err);
void                  bt_exec_free(bt_exec *exec);

/* These flush denormal numbers (bt/base/fp.h) while they run, as TensorFlow's threads do, and leave
 * the calling thread's floating-point control as it was.
 *
 * One update: forward, backward, clip, optimizer, moving average. `step` is the number of updates
 * made so far (the iteration t of the schedule: the rate is bt_optim_learning_rate(optim, step));
 * seed and step name the dropout masks. dropout=false switches all dropout off (parity tests use
 * rates of 0 instead). */
BT_MUST_USE bt_status bt_exec_train_step(bt_exec *exec, const bt_batch *batch, int64_t step,
                                         uint64_t seed, bt_step_result *result, bt_error *err);
/* The same in two halves, so that the next batch is made and sent while a device still works: steps
 * end in the order in which they were begun. At most bt_exec_train_depth may be under way: 1 where
 * a step is made when begin returns (CPU), or where a step needs to know how the last one went
 * (a dynamic loss scale). All other functions want none to be under way. Where the depth is 1 the
 * batch stays the caller's until the end, else it is free for other use when begin returns: *batch
 * is the step's own, or a copy, and borrowed until the next call, as result->logits is. What goes
 * wrong on a device may show at the end of an earlier step or of a later one. */
int32_t               bt_exec_train_depth(const bt_exec *exec);
BT_MUST_USE bt_status bt_exec_train_begin(bt_exec *exec, const bt_batch *batch, int64_t step,
                                          uint64_t seed, bt_error *err);
BT_MUST_USE bt_status bt_exec_train_end(bt_exec *exec, bt_step_result *result,
                                        const bt_batch **batch, bt_error *err);
/* Forward and backward only: the gradients stay readable in bt_exec_gradient (before clipping). */
BT_MUST_USE bt_status bt_exec_gradients(bt_exec *exec, const bt_batch *batch, int64_t step,
                                        uint64_t seed, bt_step_result *result, bt_error *err);
/* Forward without dropout; loss 0 when the batch has no labels. */
BT_MUST_USE bt_status bt_exec_evaluate(bt_exec *exec, const bt_batch *batch, bt_step_result *result,
                                       bt_error *err);
/* The same of many batches, whose rows are worked on together, by their lengths, a large window at
 * a time: faster, and each batch has the very result that bt_exec_evaluate gives. */
typedef struct bt_exec_window bt_exec_window;
/* batch is the one that was added, or a copy; both are borrowed for the call. */
typedef bt_status bt_exec_take_fn(void *context, const bt_batch *batch,
                                  const bt_step_result *result, bt_error *err);
/* n_seqs: sequences of the window that are done. */
typedef void bt_exec_tick_fn(void *context, int64_t n_seqs);
/* take gets the results, in the order of the batches, within calls of add or flush; tick, which may
 * be NULL, is called now and then before. */
BT_MUST_USE bt_status bt_exec_window_create(bt_exec *exec, bt_exec_take_fn *take,
                                            bt_exec_tick_fn *tick, void *context,
                                            bt_exec_window **out, bt_error *err);
void                  bt_exec_window_free(bt_exec_window *window); /* accepts NULL */
/* Evaluates the window when it is full. BT_E_INTERRUPTED: the process was asked to stop meanwhile.
 * After a failure the window is empty. */
BT_MUST_USE bt_status bt_exec_window_add(bt_exec_window *window, const bt_batch *batch,
                                         bt_error *err);
/* Evaluates what is there, if anything. */
BT_MUST_USE bt_status bt_exec_window_flush(bt_exec_window *window, bt_error *err);
/* Tests and retrieval: the encoder alone, no dropout. layer 0..L-1: output of that layer, -1:
 * embedding output (what layer 0 reads), for every token: [T,H]. pooled [B,H] may be NULL. */
BT_MUST_USE bt_status bt_exec_encode(bt_exec *exec, const bt_batch *batch, int64_t layer,
                                     float *hidden, float *pooled, bt_error *err);

/* Flat buffers of model->table.n_elements floats in this process's memory: the engine's own (CPU),
 * or the host's copy of what a device holds; owned by the engine, at the same place for its life.
 * NULL: it has none (slots and average without an optimizer that keeps them; the gradient before it
 * was asked for). What the steps made is in them after bt_exec_settle, and what is written into
 * them counts after bt_exec_changed. The gradient is there after bt_exec_gradients, before
 * clipping. */
float *bt_exec_params(bt_exec *exec);
float *bt_exec_gradient(bt_exec *exec);
float *bt_exec_average(bt_exec *exec);
float *bt_exec_slot(bt_exec *exec, int32_t slot); /* of the optimizer's bt_optim_n_slots */
/* BT_E_BACKEND: the device was lost, and with it what the steps made. The CPU engine cannot fail.
 */
BT_MUST_USE bt_status bt_exec_settle(bt_exec *exec, bt_error *err);
BT_MUST_USE bt_status bt_exec_changed(bt_exec *exec, bt_error *err);
/* Parameters one by one: the values of one are written, all of them, to its place (in
 * bt_exec_params, or where an engine that only evaluates has room for one), then it is taken,
 * before the next one has a place. So what is read one by one is never there as a whole.
 * bt_exec_changed (or the first evaluation) takes what was written into bt_exec_params itself, and
 * ends it: of such an engine no parameter changes afterwards (BT_E_INTERNAL). */
float                *bt_exec_place(bt_exec *exec, int64_t param);
BT_MUST_USE bt_status bt_exec_take(bt_exec *exec, int64_t param, bt_error *err);
/* One such buffer into another place, on the engine's threads. */
void bt_exec_copy(bt_exec *exec, float *to, const float *from);
/* EMA: weights <-> averages for evaluation, and back. Exact: two swaps change no bit (Model
 * Garden's a=a+b; b=a-b; a=a-b leaves a rounding of 1e-7 behind). */
BT_MUST_USE bt_status bt_exec_swap_averages(bt_exec *exec, bt_error *err);

/* What became of the weights of the encoder's dense layers. */
typedef struct bt_exec_rounded {
    const char *kernels; /* "int8 (AVX512_VNNI)" */
    size_t      n_bytes, n_bytes_before;
} bt_exec_rounded;
/* From here on the encoder's dense layers compute in 8 bits (bt/kern/int8.h, docs/numerics.md), of
 * the weights as they are now; what a sequence gives depends neither on the others of its batch nor
 * on the threads. Their floats are given back: in bt_exec_params they read as 0, and of all other
 * functions only evaluations (and encoding) may follow. Adapters are merged first. Of an engine
 * that was made in_8_bits it tells what became of them when they were taken. Once, and on
 * processors only: BT_E_UNSUPPORTED for devices, BT_E_FORMAT for weights that 8 bits cannot hold,
 * with the parameter's name; after a failure midway evaluations are refused, too
 * (BT_E_INTERNAL). */
BT_MUST_USE bt_status bt_exec_round_weights(bt_exec *exec, bt_exec_rounded *out, bt_error *err);

/* Part of the state of a float16 run. Setting it has no effect where it is fixed. */
bt_loss_scale bt_exec_get_loss_scale(const bt_exec *exec);
void          bt_exec_set_loss_scale(bt_exec *exec, bt_loss_scale scale);

/* Bytes that somebody else is going to take of what is left: no step is given them. */
void bt_exec_reserve_memory(bt_exec *exec, uint64_t n_bytes);

size_t bt_exec_memory_bytes(const bt_exec *exec); /* reserved now, arenas and buffers */

/* The yardstick of a step: how fast this machine makes a large matrix product, [M,768] x [768,3072]
 * with M up to 4096, on the engine's threads; the best of a few. */
typedef struct bt_exec_peak {
    char         kernels[128]; /* which made it: "avx512, bfloat16 (AMX)", "OpenBLAS 0.3.21 ..." */
    bt_precision precision;
    double       flops_per_second;
} bt_exec_peak;
enum { BT_EXEC_MAX_PEAKS = 3 };
/* Of the ways there are: float32 with kernels of our own (where the instruction set has them),
 * float32 in BLAS, and the engine's own precision when that is another. n of them; takes seconds
 * and, for that time, some 70 MB. Loads a BLAS for it; where there is none, or no room for one,
 * that peak is left out and *no_blas says why (BT_OK: it is there). */
BT_MUST_USE bt_status bt_exec_measure_peaks(bt_exec *exec, bt_exec_peak peaks[BT_EXEC_MAX_PEAKS],
                                            size_t *n, bt_error *no_blas, bt_error *err);

/* What training takes, in bytes. A step whose memory is not there is refused (BT_E_NOMEM) before it
 * takes any: what Linux promises and does not have, it takes back by killing. */
typedef struct bt_exec_memory {
    uint64_t variables, gradients, slots; /* flat buffers; moving averages count as slots, weights
                                           * kept packed in bfloat16 as variables */
    uint64_t activations, scratch; /* of a step with n_seqs sequences of length tokens each; less
                                    * where sequences are shorter */
    uint64_t available;            /* for all of them together: held now, and what is left */
    /* Of this process's memory: what such a step leaves. */
    uint64_t left_here;
    bool     is_of_device; /* of each device, which has memory of its own; else of this process */
    bool     is_measured;  /* a compiled program said so: steps that are larger than it will fail */
    int64_t  n_seqs, length;
    int64_t  largest_seqs;  /* the most sequences of that length that a step, or a part of one, has
                             * room for */
    int64_t largest_tokens; /* the same in tokens, n_seqs sequences of any lengths */
} bt_exec_memory;
/* n_seqs: of a batch; where the engine works on parts of it, a part's take its place. */
bt_exec_memory bt_exec_plan_memory(bt_exec *exec, int64_t n_seqs, int64_t length);
/* On devices, unless the plan is clearly below what they have: compiles the program of the longest
 * step (or takes it from the cache) and puts what that takes into *plan.
 * Where that does not fit, smaller ones are compiled, until one fits. largest_seqs is then what a
 * program was compiled for, though larger ones may fit. On processors *plan stays. */
BT_MUST_USE bt_status bt_exec_measure_memory(bt_exec *exec, bt_exec_memory *plan, bt_error *err);
/* The same of an evaluation of n_seqs sequences, slots and averages staying where they are. Where
 * plan->is_measured is false nothing is to be said. */
BT_MUST_USE bt_status bt_exec_measure_evaluation(bt_exec *exec, int64_t n_seqs, int64_t length,
                                                 bt_exec_memory *plan, bt_error *err);

/* The instruction set of the kernels, which decides how they round: "avx512"; "": not this
 * process's. */
const char *bt_exec_isa(const bt_exec *exec);

/* Devices that are not here.
 * What the engine on devices would compile there: nothing can be run. */

/* A device's share of a batch: its tokens stand in rows of slots, among places for sequences. */
typedef struct bt_exec_shape {
    int64_t n_rows, n_slots; /* R, S */
    int64_t n_seqs;          /* B */
    int64_t n_longest;       /* slots that a sequence may have */
    bool    has_key_mask, has_labels;
} bt_exec_shape;
/* The shape of the program that runs this batch of the model's in n_pieces (devices, times parts on
 * each); its tokens are not read. */
BT_MUST_USE bt_status bt_exec_find_shape(const bt_model *model, const bt_batch *batch,
                                         int32_t n_pieces, bt_exec_shares shares,
                                         bt_exec_shape *out, bt_error *err);

/* Sizes into *shape, of n_seqs sequences that are all as long as records can be. */
BT_MUST_USE bt_status bt_exec_find_full_shape(const bt_model *model, int64_t n_seqs, int64_t length,
                                              int32_t n_pieces, bt_exec_shares shares,
                                              bt_exec_shape *shape, bt_error *err);

typedef struct bt_exec_ahead bt_exec_ahead;

/* plugin: its path; NULL: one of the target's kind is looked for. BT_E_BACKEND: there is none that
 * can be used; BT_E_CONFIG: it knows no such devices. */
BT_MUST_USE bt_status bt_exec_ahead_open(const bt_pjrt_target *target, const char *plugin,
                                         bt_exec_ahead **out, bt_error *err);
void                  bt_exec_ahead_close(bt_exec_ahead *ahead); /* accepts NULL */

/* Texts are borrowed from the object. */
typedef struct bt_exec_chips {
    const char *kind, *plugin, *version; /* "NVIDIA H100 80GB HBM3"; a path; of the platform */
    int         api_minor;
    int32_t     n_devices;
    int64_t     memory_bytes; /* that a device has; -1: not known */
    int64_t     usable_bytes; /* of it, that the plug-in gives to programs; -1: not known */
} bt_exec_chips;
bt_exec_chips bt_exec_ahead_chips(const bt_exec_ahead *ahead);

/* A program of the engine; of config count precision, attention, recompute and part_seqs. */
typedef struct bt_exec_wish {
    const bt_model       *model;
    const bt_optim       *optim; /* of a training step */
    const bt_exec_config *config;
    bool trains; /* else it evaluates; where batches are in parts it is that of a part, without the
                  * update */
    bt_exec_shape shape;
    int32_t       n_replicas;
} bt_exec_wish;
/* What its temporary arrays may take, estimated before it is compiled: to compare shapes. */
double bt_exec_ahead_estimate(const bt_exec_wish *wish);

typedef struct bt_exec_compiled {
    bool is_too_large; /* the compiler saw that a device has not the memory; all else is 0, but
                        * product_flops */
    bt_pjrt_memory memory;
    double         seconds;
    size_t         n_bytes;       /* of the program written down */
    double         product_flops; /* of one device's products in one run */
} bt_exec_compiled;
BT_MUST_USE bt_status bt_exec_ahead_compile(bt_exec_ahead *ahead, const bt_exec_wish *wish,
                                            bt_exec_compiled *out, bt_error *err);

const char *
bt_exec_describe(const bt_exec *exec); /* "cpu, 2 threads, avx512, OpenBLAS 0.3.21 ..." */
/* For --version: the BLAS, the instruction sets built in and those of this machine. Static storage.
 */
const char *bt_exec_build_info(void);

#endif
