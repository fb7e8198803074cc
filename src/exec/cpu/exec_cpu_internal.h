/* SPDX-License-Identifier: Apache-2.0
 *
 * The CPU engine's own structures: what it owns, what a step keeps of each layer for the backward,
 * and the parts of a step.
 *
 * Rows: T tokens of the batch; R rows that a layer's queries have. R = T, but for the last layer of
 * a sentence head, which is read at the first token of each sequence only (docs/decisions.md).
 */
#ifndef BT_EXEC_CPU_INTERNAL_H
#define BT_EXEC_CPU_INTERNAL_H

#include "bt/base/pool.h"
#include "bt/base/rng.h"
#include "bt/nn.h"
#include "exec_engine.h"
#include "exec_shared.h"

enum { EXEC_DESCRIPTION_BYTES = 256 };

/* Numbers in float32, or, where products are of bfloat16 and read nothing else, in bfloat16
 * (docs/numerics.md): one pointer is NULL. Both NULL: no such array. */
typedef struct exec_array {
    float    *f;
    uint16_t *h;
} exec_array;

/* What the backward needs of one layer; pointers into the step's block. Whatever a pass over memory
 * makes again from these, is made again: norms' outputs and the feed-forward's activation. */
typedef struct exec_layer {
    exec_array q, k, v;         /* [R,H] [T,H] [T,H] */
    exec_array context;         /* [R,H] */
    float     *max, *inv_sum;   /* [R,NH] of the softmax rows */
    float     *sum_1;           /* [R,H] x + attention */
    float     *mean_1, *rstd_1; /* of the attention norm: [R], [T] when norm_first */
    exec_array pre_act;         /* [R,I] */
    float     *sum_2; /* [R,H] feed-forward + residual; the layer's output when norm_first */
    float     *mean_2, *rstd_2; /* [R] of the output norm */
    /* Bits of dropout, in bfloat16; NULL: drawn twice. */
    uint16_t *kept;            /* [R,NH,acts.kept_step] of the probabilities */
    uint16_t *kept_1, *kept_2; /* [R,bt_nn_kept_step(H)] before the first and the second residual */
} exec_layer;

/* What a pass needs room for. */
typedef struct exec_shape {
    int64_t n_tokens, n_seqs, max_length;
    bool    for_training;
    bool    all_rows; /* no layer is cut down to first tokens */
} exec_shape;

/* The buffers of a pass, laid out for its shape in one block: what a smaller batch does not need is
 * never touched. */
typedef struct exec_acts {
    float      *block; /* owned; everything below points into it, but for layers */
    int64_t     n_floats;
    exec_layer *layers;        /* owned; [L]; without training all share one set of buffers */
    float      *embedding_sum; /* [T,E] */
    float      *embedding_mean, *embedding_rstd;
    float      *embedding_out; /* [T,E]; hidden where nothing is between it and layer 0 */
    float      *embedded;      /* [T,H] the input of layer 0 */
    float      *hidden;        /* [T,H] in turn: the layer's input, the feed-forward's, the output;
                                * norm_first: what a norm put out */
    uint16_t  *hidden16; /* [T,H] what the next product reads of hidden, in bfloat16; or NULL */
    exec_array q_in;     /* [B,H] gathered input of the queries, where not all rows ask */
    float *residual;  /* [B,H] the same of the first residual; in float32 q_in unless norm_first */
    exec_array ffn;   /* [T,I] activation */
    exec_array d_ffn; /* [T,I] gradient of the one before it; in float32 over ffn */
    int64_t    kept_step;
    float     *first_rows;                    /* [B,H] rows read by a sentence head when R = T */
    float     *pooled_pre, *pooled, *dropped; /* [B,H], token heads: dropped [T,H] */
    float     *rounded; /* [T, the widest] what a product reads, in 8 bits; or NULL */
    float     *vectors; /* [B,H] of a ranking loss: what it scores */
    float     *logits, *d_logits;
    float     *grad_a, *grad_b, *grad_c, *grad_d; /* [T,H] */
    uint16_t  *grad_product16; /* [T,H] of a product that a residual follows, in place of grad_c */
    uint16_t  *grad_context16; /* [T,H] in place of grad_b */
    exec_array grad_q, grad_k, grad_v; /* [T,H] */
    float     *grad_embedding;         /* [T,E]; where E = H it ends in grad_a's place */
    float     *lora_mid, *lora_d_mid;  /* [T,rank] between an adapter's factors */
    float     *lora_in;                /* [T,H] or [T,I]; with their dropout */
    int64_t   *first_ids;              /* [B] token number of each first token */
    int64_t   *first_offsets;          /* [B+1] 0, 1, 2, ... */
    int64_t scratch_rows, scratch_seqs, scratch_length; /* what the threads' scratch has room for */
} exec_acts;

/* What one pass over a batch, or over a part of one, is. */
typedef struct exec_pass {
    const bt_batch *batch;
    const bt_batch *whole; /* what batch is a part of, or batch itself: labels are taken from it */
    int64_t         first_seq, first_token; /* of batch in whole */
    int64_t         step;
    uint64_t        seed;
    bool            dropout;
    bool            all_rows;      /* every layer for every token, as bt_exec_encode promises */
    bool            without_pairs; /* of a ranking loss the vectors alone */
    int64_t         n_layers;      /* how many layers to run */
} exec_pass;

/* Which of a model's adapters, and in which pass: what names its dropout mask. */
typedef struct exec_lora {
    const exec_pass *pass;
    int64_t          layer;
    bt_lora_target   target;
    const int64_t   *row_ids; /* of the rows that it works on; NULL: all */
} exec_lora;

/* For training batches that are worked on in parts (exec_cpu_parts.c). */
typedef struct exec_parts {
    int64_t  max_seqs; /* of a part; 0: batches are not cut */
    int64_t *offsets;  /* owned; [n_offsets] of the part */
    int64_t  n_offsets;
    float   *logits; /* owned; [n_logits] of the whole batch */
    int64_t  n_logits;
} exec_parts;

/* Parameters whose gradients are final at the same time. */
typedef struct exec_range {
    int64_t first, end; /* of the table */
} exec_range;

/* Of a process that trains together with others (exec_cpu_ranks.c). */
typedef struct exec_ranks {
    bt_comm      *comm; /* borrowed; NULL: it is alone */
    exec_division division;
    bt_comm_wire  wire;
    int32_t      *words;   /* owned; [n_words] of the whole batch, each once */
    bool         *is_word; /* owned; [vocab_size] */
    int64_t       n_words;
    float        *rows; /* owned; [n_words, E] their gradients on the way */
    int64_t       cap_rows;
    exec_range   *ranges; /* owned; [n_ranges], the word table last */
    bt_comm_op  **ops;    /* owned; [n_ranges] of this step */
    int32_t       n_ranges;
    int32_t       n_begun;      /* ranges whose sums are on their way */
    bool          is_last_part; /* is worked on now */
    bool          sums_early;   /* then ranges are summed as soon as they are final */
    bt_comm_op   *logits_op;
    float         factor;  /* by which this share is clipped */
    bt_error      problem; /* code BT_OK: none yet */
} exec_ranks;

/* Weights kept packed (exec_cpu_packs.c). Rows of a weight that are packed together are a group. */
typedef struct exec_packs {
    bt_nn_weight     *weights;   /* owned; [n] by place */
    int32_t          *of_param;  /* owned; [n_params] index of its weight; -1: none */
    bool             *is_packed; /* owned; [n] as the weight is now */
    int64_t          *groups;    /* owned; [n] the first one of the weight among all */
    _Atomic(int64_t) *n_written; /* owned; of each group: elements that this update wrote so far */
    unsigned char    *block;     /* owned; all panels; NULL: none are kept */
    size_t            n_bytes;
    int32_t           n;
} exec_packs;

/* Weights in panels in place of floats (exec_cpu_panels.c). */
typedef struct exec_panels {
    bt_nn_weight  *weights;  /* owned; [n] by place */
    int64_t       *params;   /* owned; [n] of the table, ascending */
    bool          *is_8_bit; /* owned; [n] taken by exec->int8, without panels */
    bool          *is_taken; /* owned; [n] */
    unsigned char *block;    /* owned; all panels */
    float         *floats;   /* owned; of the weight that is read; NULL: all are taken */
    float         *scratch;  /* owned; of all threads, as long; NULL: none is needed */
    int32_t        placed;   /* 1 + the weight in floats; 0: none */
    size_t         n_bytes;
    int32_t        n;         /* 0: the engine keeps floats */
    bool           is_closed; /* the floats are gone */
} exec_panels;

/* How a parameter's gradient starts in a step (exec_cpu_gradient.c). */
typedef enum exec_grad_kind {
    EXEC_GRAD_SUM = 0,        /* cleared, then added to */
    EXEC_GRAD_KERNEL,         /* of a dense layer: the next product overwrites */
    EXEC_GRAD_KERNEL_WRITTEN, /* the following ones add */
    EXEC_GRAD_WAITING_ROWS,   /* the word table's: 0 but for the rows of the batch */
} exec_grad_kind;

typedef struct exec_lanes exec_lanes;
/* The dense layers in 8 bits (exec_cpu_int8.c). */
typedef struct exec_int8 exec_int8;

typedef struct exec_cpu {
    bt_exec         base;
    const bt_model *model; /* borrowed */
    const bt_optim *optim; /* borrowed; NULL: no updates */
    bt_kern         kern;
    bt_pool        *pool;
    bt_nn           nn;
    size_t          scratch_bytes;
    bt_precision    precision;
    bool            is_16; /* what only products read is bfloat16 */
    bool            recompute;
    bool            rounds_to_8_bits;
    uint64_t        memory_limit;   /* 0: none but the machine's */
    uint64_t        reserved_bytes; /* of what is left, for somebody else */
    exec_grad_kind *grad_kinds;     /* owned; [n_params] */
    int64_t         lowest; /* the layer at which the backward ends; -1: the embeddings, L: none of
                             * the encoder is trained below the pooler */
    bt_optim_rows  *rows;   /* NULL: every row of the word table is updated in every step */
    exec_acts       acts;
    exec_packs      packs;
    exec_panels     panels;
    exec_parts      parts;
    exec_share      share; /* of the batch of this step */
    exec_ranks      ranks;
    exec_scale      scale;
    exec_lanes     *lanes;          /* owned; NULL before the first evaluation of many tokens */
    exec_int8      *int8;           /* owned; NULL: the weights are floats */
    size_t          released_bytes; /* of base.param, which took the place of these */
    const bt_batch *begun;          /* the step that was made and not ended; NULL: none */
    bt_step_result  begun_result;
    bt_pin          pin;
    char            description[EXEC_DESCRIPTION_BYTES];
} exec_cpu;

/* exec_cpu_plan.c: lays the buffers out for a pass of that shape. Where the block is too small, a
 * new one takes its place that has room for `reserve`, too, and never for less than there was. */
BT_MUST_USE bt_status exec_plan(exec_cpu *exec, const exec_shape *shape, const exec_shape *reserve,
                                bt_error *err);
/* Bytes of the buffers of such a pass, and of the threads' scratch; SIZE_MAX: beyond counting. */
size_t exec_acts_bytes(const exec_cpu *exec, const exec_shape *shape);
size_t exec_scratch_bytes(const exec_cpu *exec, const exec_shape *shape);
void   exec_acts_deinit(exec_acts *acts);

/* exec_cpu_packs.c */
BT_MUST_USE bt_status exec_packs_create(exec_cpu *exec, bt_error *err);
void                  exec_packs_deinit(exec_packs *packs);
/* From here on products pack as they go. */
void exec_packs_drop(exec_cpu *exec);
/* Somebody else than the optimizer wrote parameters. */
void exec_packs_forget(exec_cpu *exec);
/* Before a pass: packs what was forgotten. */
void exec_packs_renew(exec_cpu *exec);
/* bt_optim_buffers' written: packs what the optimizer has just made. context: exec_cpu */
void exec_packs_written(void *context, int64_t param, int64_t first, int64_t n);

/* exec_cpu_memory.c: bytes that the engine can still take. */
uint64_t            exec_memory_left(const exec_cpu *exec);
void                exec_cpu_reserve_memory(bt_exec *exec, uint64_t n_bytes);
exec_plan_memory_fn exec_cpu_plan_memory;

/* The engine's rows of exec_engine.h, each in the file of its subject. */
static inline exec_cpu *exec_cpu_of(bt_exec *exec) {
    return (exec_cpu *)(void *)exec; /* base comes first */
}
static inline const exec_cpu *exec_cpu_seen(const bt_exec *exec) {
    return (const exec_cpu *)(const void *)exec;
}
/* exec_cpu_step.c */
exec_train_depth_fn exec_cpu_train_depth;
exec_train_begin_fn exec_cpu_train_begin;
exec_train_end_fn   exec_cpu_train_end;
exec_gradients_fn   exec_cpu_gradients;
exec_encode_fn      exec_cpu_encode;
/* exec_cpu_lanes.c */
exec_evaluate_fn        exec_cpu_evaluate;
exec_window_tokens_fn   exec_cpu_window_tokens;
exec_evaluate_window_fn exec_cpu_evaluate_window;
exec_round_weights_fn   exec_cpu_round_weights; /* exec_cpu_int8.c */
exec_take_fn            exec_cpu_take;          /* exec_cpu_panels.c */
exec_place_fn           exec_cpu_place;
/* exec_cpu.c: what bt_exec_describe says of products. in_encoder: of those in the encoder, where
 * they are others; or NULL. */
void exec_cpu_note_products(exec_cpu *exec, const char *in_encoder);
/* exec_cpu_scale.c */
bt_loss_scale exec_cpu_get_loss_scale(const bt_exec *exec);
void          exec_cpu_set_loss_scale(bt_exec *exec, bt_loss_scale scale);
/* exec_cpu_peak.c */
BT_MUST_USE bt_status exec_cpu_measure_peaks(bt_exec *exec, bt_exec_peak peaks[BT_EXEC_MAX_PEAKS],
                                             size_t *n, bt_error *no_blas, bt_error *err);

/* exec_cpu_step.c */
/* The clocks of nn run for one step: keeps what they show, then takes the difference. */
bt_exec_times exec_times_start(const exec_cpu *exec);
void          exec_times_stop(const exec_cpu *exec, bt_exec_times *times);
exec_pass     exec_pass_of(const exec_cpu *exec, const bt_batch *batch);
/* Before a pass: the rows of the word table that it reads; step < 0: no update follows. */
void exec_read_words(exec_cpu *exec, const bt_batch *batch, int64_t step);
/* All threads work on the same products. */
BT_MUST_USE bt_status exec_evaluate_whole(exec_cpu *exec, const bt_batch *batch,
                                          bt_step_result *result, bt_error *err);

/* exec_cpu_lanes.c */
size_t exec_lanes_bytes(const exec_lanes *lanes); /* NULL: 0 */
void   exec_lanes_free(exec_lanes *lanes);

/* exec_cpu.c */
bt_optim_buffers exec_optim_buffers(exec_cpu *exec);
/* exec_cpu.c: an engine without optimizer gets its gradient buffer when it is first asked for. */
BT_MUST_USE bt_status exec_need_gradients(exec_cpu *exec, bt_error *err);

/* parameter and gradient of an index of model->table */
static inline const float *exec_param(const exec_cpu *exec, int64_t index) {
    return exec->base.param + exec->model->table.params[index].offset;
}
/* NULL: it has none. */
static inline float *exec_grad(const exec_cpu *exec, int64_t index) {
    const bt_param *const param = &exec->model->table.params[index];
    return param->has_gradient ? exec->base.grad + param->offset : NULL;
}

/* A norm of the model; mean and rstd: where the step keeps them. */
static inline bt_nn_norm exec_norm(const exec_cpu *exec, bt_norm_index norm, float *mean,
                                   float *rstd) {
    return (bt_nn_norm){.gain = exec_param(exec, norm.gamma),
                        .bias = exec_param(exec, norm.beta),
                        .mean = mean,
                        .rstd = rstd,
                        .eps = exec->model->encoder.norm_eps};
}
static inline bt_nn_norm_grads exec_norm_grads(const exec_cpu *exec, bt_norm_index norm) {
    return (bt_nn_norm_grads){exec_grad(exec, norm.gamma), exec_grad(exec, norm.beta)};
}

/* exec_cpu_forward.c */
/* The embedding as the step's buffers have it. */
bt_nn_embedding exec_embedding(const exec_cpu *exec, const exec_pass *pass,
                               const bt_nn_dropout *dropout);
bt_nn_dropout   exec_dropout(const exec_pass *pass, uint32_t layer, bt_rng_site site, float rate,
                             const int64_t *row_ids);
/* Does layer l have one row a sequence in this pass? */
bool exec_is_first_only(const exec_cpu *exec, const exec_pass *pass, int64_t layer);
/* The input [T,H] of a layer, which is the output of the one before; and what its keys and values
 * are made of. Both may be acts.hidden, and hold until that is written again. */
const float    *exec_layer_input(const exec_cpu *exec, int64_t layer);
exec_array      exec_layer_keys_input(const exec_cpu *exec, int64_t layer);
bt_activation   exec_act(const exec_cpu *exec);
bt_nn_attention exec_attention(const exec_cpu *exec, const exec_pass *pass, int64_t layer);
/* In bfloat16: the layer's arrays; the backward adds its own. */
bt_nn_attention16 exec_attention16(const exec_cpu *exec, int64_t layer);
/* The norm after the first residual: the attention's, or with norm_first the output's. */
bt_norm_index exec_ffn_norm_index(const exec_cpu *exec, int64_t layer);
bt_nn_norm    exec_ffn_norm(const exec_cpu *exec, int64_t layer);
/* A layer up to its feed-forward's activation, from acts.hidden on: what recomputation repeats. */
void exec_layer_begin(exec_cpu *exec, const exec_pass *pass, int64_t layer);
/* For the backward: into acts.hidden (or hidden16) what keys and values were made of; the
 * feed-forward's input. */
void exec_layer_keys_input_again(exec_cpu *exec, const exec_pass *pass, int64_t layer);
void exec_ffn_input_again(exec_cpu *exec, const exec_pass *pass, int64_t layer);
/* Embedding and the pass's layers; returns the last output: [T,H], or [B,H] when first only. */
const float *exec_encoder_forward(exec_cpu *exec, const exec_pass *pass);

/* The adapter of a layer's kernel in a pass. */
exec_lora exec_lora_of(const exec_cpu *exec, const exec_pass *pass, int64_t layer,
                       bt_lora_target target);

/* exec_cpu_backward.c: from the gradient of the last output in acts.grad_a to all of the encoder's
 * parameters; returns the word rows' sum of squares. */
double exec_encoder_backward(exec_cpu *exec, const exec_pass *pass);

/* exec_cpu_parts.c */
/* Parts of exec->share. */
int64_t               exec_part_seqs(const exec_cpu *exec); /* of each part but the last */
int64_t               exec_part_max_tokens(const exec_cpu *exec, const bt_batch *whole);
BT_MUST_USE bt_status exec_parts_reserve(exec_cpu *exec, const bt_batch *whole, bt_error *err);
/* The part that begins there: a view, valid until the next call. */
bt_batch exec_part(exec_cpu *exec, const bt_batch *whole, int64_t first_seq);
/* A part's logits into those of the whole batch. */
void exec_part_keep_logits(exec_cpu *exec, const exec_pass *pass);
void exec_parts_deinit(exec_parts *parts);

/* exec_cpu_ranks.c */
BT_MUST_USE bt_status exec_ranks_init(exec_cpu *exec, const bt_exec_config *config, bt_error *err);
void                  exec_ranks_deinit(exec_ranks *ranks);
/* All of the batch for a single rank. */
exec_share exec_ranks_share(const exec_cpu *exec, const bt_batch *batch);
/* In place of a pass. */
void exec_ranks_empty_share(exec_cpu *exec);
/* Before the first part of a step. */
BT_MUST_USE bt_status exec_ranks_begin(exec_cpu *exec, const bt_batch *batch, bt_error *err);
/* Before each part. */
void exec_ranks_begin_part(exec_cpu *exec, bool is_last);
/* In the last part: its logits are there; the gradients of the head are final, or of a layer and
 * what comes after it. Alone: nothing. */
void exec_ranks_logits_done(exec_cpu *exec, const bt_batch *batch);
void exec_ranks_head_done(exec_cpu *exec);
void exec_ranks_layer_done(exec_cpu *exec, int64_t layer);
/* After it: the sums of all ranks, of the loss too, and the update with them. grad_norm: of the
 * sum, or where shares are clipped the largest. *applied false: something is not finite. */
BT_MUST_USE bt_status exec_ranks_update(exec_cpu *exec, const bt_batch *batch, int64_t step,
                                        bt_step_result *result, double word_rows_sum_sq,
                                        bool *applied, bt_error *err);

/* exec_cpu_scale.c: into the gradient of the logits; out of all gradients and of the word rows' sum
 * of squares. */
void exec_scale_logits(exec_cpu *exec, const exec_pass *pass);
void exec_unscale_gradients(exec_cpu *exec, int64_t n_tokens, double *word_rows_sum_sq);

/* exec_cpu_head.c */
void   exec_head_forward(exec_cpu *exec, const exec_pass *pass, const float *encoded);
double exec_loss(exec_cpu *exec, const exec_pass *pass, float *d_logits);
/* Leaves the gradient of the encoder's output in acts.grad_a. */
void exec_head_backward(exec_cpu *exec, const exec_pass *pass, const float *encoded);

/* exec_cpu_gradient.c: needs exec->rows. Finds exec->lowest, too. */
BT_MUST_USE bt_status exec_gradients_plan(exec_cpu *exec, bt_error *err);
void                  exec_zero_gradients(exec_cpu *exec);
/* Backward of one dense layer [R,K] -> [R,N]. d_in NULL: not wanted. */
typedef struct exec_dense {
    exec_array d_in;
    exec_array d_out, in; /* both in float32 or both in bfloat16 */
    int64_t    R, K, N;
    bool       add_to_d_in;
    bool       without_bias; /* its gradient is made elsewhere; always in bfloat16 */
    exec_lora  lora;         /* of a layer's */
} exec_dense;
void exec_dense_backward(exec_cpu *exec, bt_dense_index dense, const exec_dense *d);
/* Of layers that read the same rows: d[n] have in, R, K, N in common, and d_in is d[0]'s. */
void exec_denses_backward(exec_cpu *exec, const bt_dense_index *dense, const exec_dense *d,
                          int32_t n);

/* exec_cpu_lora.c: nothing where the dense layer has no adapter. */
typedef struct exec_lora_rows {
    float       *out; /* [R,N] added to */
    const float *in;  /* [R,K] */
    int64_t      R, K, N;
} exec_lora_rows;
void exec_lora_forward(exec_cpu *exec, bt_dense_index dense, const exec_lora *l,
                       const exec_lora_rows *x);
/* Gradients of the two factors; before d->d_in is written, which may be d->in. */
void exec_lora_backward(exec_cpu *exec, bt_dense_index dense, const exec_dense *d);
/* Adds to d->d_in; after that of the layer itself, and right after exec_lora_backward. */
void exec_lora_backward_input(exec_cpu *exec, bt_dense_index dense, const exec_dense *d);

#endif
