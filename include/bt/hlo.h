/* SPDX-License-Identifier: Apache-2.0
 *
 * hlo: from a model description to a program for accelerators, as StableHLO text that any PJRT
 * plug-in compiles: a training step, its gradients, an evaluation, the encoder alone. No device
 * here, no arithmetic: text, and the list of what goes in and comes out.
 *
 * Tokens of a batch stand packed in R rows of S slots. A sequence's tokens stand in neighbouring
 * slots of one row, several sequences may share a row, and slots may stay empty. The formulas are
 * those of docs/numerics.md; dropout masks are those of bt_rng, bit for bit, named by the token's
 * number in the batch, so that every engine has the same. */
#ifndef BT_HLO_H
#define BT_HLO_H

#include "bt/model.h"
#include "bt/optim.h"
#include "bt/tensor.h"

typedef enum bt_hlo_what {
    BT_HLO_TRAIN,      /* forward, backward, clipping, update, moving average */
    BT_HLO_GRADIENTS,  /* forward and backward; the gradients, not clipped, are results */
    BT_HLO_ACCUMULATE, /* the same for a part of a batch, added to those that came in */
    BT_HLO_UPDATE,     /* clipping and update with what was accumulated, which is 0 afterwards */
    BT_HLO_EVALUATE,   /* forward without dropout: logits and loss */
    BT_HLO_ENCODE,     /* the encoder alone: every slot of one layer's output; pooled output */
} bt_hlo_what;

typedef struct bt_hlo_config {
    bt_hlo_what  what;
    int64_t      n_rows, n_slots; /* R, S */
    int64_t      n_seqs;          /* B: places for sequences; what is not used has weight 0 */
    int64_t      n_longest;       /* no sequence has more slots; 0: S */
    bt_precision precision;       /* of the factors of products */
    bt_attention attention;       /* never AUTO: bt_hlo_attention_choose */
    int64_t      attention_rows;  /* XLA: of at most so many rows at a time; 0: of as many as do not
                                   * take much memory */
    bool    has_key_mask;         /* some tokens may not be attended to */
    bool    has_labels;           /* EVALUATE: compute the loss, too (where there is one) */
    bool    recompute;            /* keep of each layer its input only: a third more work */
    int32_t n_replicas; /* each with a share of the batch; gradients are clipped, then added */
} bt_hlo_config;

/* What an argument or a result is. */
typedef enum bt_hlo_role {
    /* of a variable: bt_hlo_tensor.variable says which */
    BT_HLO_PARAM,
    BT_HLO_SLOT, /* bt_hlo_tensor.slot of the optimizer */
    BT_HLO_AVERAGE,
    BT_HLO_GRADIENT,
    /* of each slot, [R,S] */
    BT_HLO_IDS,       /* int32; 0 where empty, likewise the next three */
    BT_HLO_TYPES,     /* int32 */
    BT_HLO_POSITIONS, /* int32 */
    BT_HLO_TOKENS,    /* int32: the token's number in the whole batch, which names its masks; times
                       * heads, or a quarter of hidden, below 2^32 */
    BT_HLO_SEGMENTS,  /* int32: number of its sequence, 0 to B-1; -1: empty */
    BT_HLO_KEY_MASK,  /* uint8, 0: gets Model Garden's -1e9 as a key */
    /* of each sequence, [B] */
    BT_HLO_FIRST_SLOTS, /* int32: row * S + slot of its first token; R * S: no sequence here */
    BT_HLO_SEQUENCES,   /* int32: the sequence's number in the whole batch, which names masks */
    BT_HLO_INT_LABELS,  /* int32: class [B]; of tagging [R,S] (any where the weight is 0); start and
                         * end of the answer as place in the sequence [2,B] */
    BT_HLO_FLOAT_LABELS, /* float32 [B], of several labels [B,C] */
    /* float32 [B], of tagging [R,S]: how much each row is of the loss: 0 for what is not there or
     * has no label, else 1, or in training its weight times its class's */
    BT_HLO_WEIGHTS,
    /* scalars in lists */
    BT_HLO_NUMBERS,  /* float32 [BT_HLO_N_NUMBERS] */
    BT_HLO_SEED,     /* uint32 [4]: seed and step, each low half first; only with dropout */
    BT_HLO_N_LAYERS, /* int32 []: ENCODE: how many layers to run */
    BT_HLO_SUMS,     /* float32 [2]: ACCUMULATE and UPDATE: the loss, word rows' sum of squares */
    /* results only */
    BT_HLO_OUTCOME, /* float32 [3]: loss, norm of the gradient as clipping sees it, and 1 where one
                     * of them is not finite: then nothing was updated. EVALUATE: the loss alone */
    BT_HLO_LOGITS,  /* float32 [B,C]; token heads [R*S,C]; pooled output [B,H]; ranking [B/2,B/2] */
    BT_HLO_HIDDEN,  /* float32 [R*S,H] */
    BT_HLO_POOLED,  /* float32 [B,H] */
} bt_hlo_role;
enum { BT_HLO_N_ROLES = BT_HLO_POOLED + 1 };

/* Places in BT_HLO_NUMBERS. */
enum {
    BT_HLO_WEIGHT_SUM, /* of all weights of the batch, or of this replica's share; pairs: their
                        * number */
    BT_HLO_LOSS_SCALE, /* float16's; else 1 */
    BT_HLO_LR,         /* and the following: bt_optim_get_numbers */
    BT_HLO_ALPHA,
    BT_HLO_CORRECTION_1,
    BT_HLO_CORRECTION_2,
    BT_HLO_ONE_MINUS_AVERAGE_DECAY,
    BT_HLO_N_NUMBERS
};

enum { BT_HLO_MAX_RANK = 4 };

/* A parameter of the table, or several of one kind (of all layers; query, key and value) one after
 * another: an array of theirs is the concatenation of those parameters in this order. */
typedef struct bt_hlo_variable {
    int64_t *params; /* owned; indices of the model's table */
    int64_t  n_params;
    int32_t  rank;
    int64_t  dim[BT_HLO_MAX_RANK];
    int64_t  n_elements;
} bt_hlo_variable;

typedef struct bt_hlo_tensor {
    bt_hlo_role role;
    int64_t     variable; /* -1: of none */
    int32_t     slot;
    bt_dtype    dtype;
    int32_t     rank;
    int64_t     dim[BT_HLO_MAX_RANK];
    int64_t     takes_place; /* a result: of that argument, which is donated; -1: of none */
} bt_hlo_tensor;

typedef struct bt_hlo_program {
    char            *text; /* owned, like all below */
    size_t           n_bytes;
    bt_hlo_tensor   *args;
    size_t           n_args;
    bt_hlo_tensor   *results;
    size_t           n_results;
    bt_hlo_variable *variables; /* those that the program has as arguments */
    size_t           n_variables;
    /* operations of the products of one run on one replica, all slots counted, by the model's
     * formulas: what is computed again for the backward pass is not in it */
    double product_flops;
} bt_hlo_program;

/* optim: for TRAIN and UPDATE; else NULL. BT_E_CONFIG: sizes that are not sizes; BT_E_UNSUPPORTED:
 * what no program is written for, by name. */
BT_MUST_USE bt_status bt_hlo_program_create(const bt_model *model, const bt_optim *optim,
                                            const bt_hlo_config *config, bt_hlo_program **out,
                                            bt_error *err);
void                  bt_hlo_program_free(bt_hlo_program *program);

/* Into config->attention: how a program of this config computes attention on a device of a platform
 * ("cuda", ...), where `asked` is what the user wants. BT_E_CONFIG: what is asked for by name is
 * not for that platform. BT_E_UNSUPPORTED: there is no kernel for these sizes. */
BT_MUST_USE bt_status bt_hlo_attention_choose(const bt_model *model, bt_attention asked,
                                              const char *platform, bt_hlo_config *config,
                                              bt_error *err);

/* A variable's array from a flat buffer of the table, and back. */
void bt_hlo_stack(const bt_hlo_variable *variable, const bt_param_table *table, const float *flat,
                  float *array);
void bt_hlo_unstack(const bt_hlo_variable *variable, const bt_param_table *table,
                    const float *array, float *flat);

/* Batches. */

/* A batch, or one replica's share or one part of it, on its way into a program. Ids and labels were
 * checked. */
typedef struct bt_hlo_input {
    const bt_model *model;
    const bt_batch *batch;
    const int32_t  *first_slots;             /* [batch->n_seqs] row * n_slots + slot */
    int64_t         n_rows, n_slots, n_seqs; /* of the program */
    int64_t         first_token, first_seq;  /* of the share in the whole batch */
    bool            is_training;             /* weights of rows and of classes count */
} bt_hlo_input;
/* Fills the array of a role that depends on the batch; false: the role does not. */
bool bt_hlo_fill(const bt_hlo_input *input, bt_hlo_role role, void *array);
/* For BT_HLO_WEIGHT_SUM: of this share (its own mean, as Model Garden's replicas have it), or the
 * sum over all parts of a batch that is accumulated. */
double bt_hlo_weight_sum(const bt_hlo_input *input);

#endif
