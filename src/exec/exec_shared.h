/* SPDX-License-Identifier: Apache-2.0
 *
 * What engines share: checks of models and batches, flat buffers, the loss scale. */
#ifndef BT_EXEC_SHARED_H
#define BT_EXEC_SHARED_H

#include "bt/exec.h"

/* exec_batch.c */
bool exec_is_of_all_pairs(const bt_model *model); /* a loss that holds each row against all? */
BT_MUST_USE bt_status exec_check_model(const bt_model *model, bt_error *err);
/* Can batches be worked on in parts, where they are to be? */
BT_MUST_USE bt_status exec_check_parts(const bt_model *model, const bt_optim *optim,
                                       const bt_exec_config *config, bt_error *err);
/* max_length: of its longest sequence */
BT_MUST_USE bt_status exec_check_batch(const bt_model *model, const bt_batch *batch,
                                       int64_t *max_length, bt_error *err);
/* Is there such a layer for bt_exec_encode? */
BT_MUST_USE bt_status exec_check_layer(const bt_model *model, int64_t layer, bool wants_pooled,
                                       bt_error *err);
/* Points the columns of *b at copies in memory; NULL: only counts. The bytes that it takes. */
size_t exec_batch_keep(const bt_head_config *head, bt_batch *b, uint8_t *memory);
bool   exec_has_labels(const bt_model *model, const bt_batch *batch);

/* exec_shares.c: the sequences of a batch that a device or a process works on. */
typedef struct exec_share {
    int64_t first, end;
} exec_share;
typedef enum exec_division {
    EXEC_BY_TOKENS,    /* the largest share has as few tokens as can be */
    EXEC_BY_SEQUENCES, /* as many sequences in each, or one less */
    EXEC_BY_PAIRS,     /* the same, and no pair is parted */
} exec_division;
/* The shares of all are the batch; there may be more of them than sequences. */
exec_share exec_share_of(const bt_batch *batch, int32_t share, int32_t n_shares,
                         exec_division division);

/* exec_flat.c */
/* A buffer of table->n_elements floats: that value where a parameter is trained, else 0; first
 * touched by the threads of the pool (NULL: by this one). */
BT_MUST_USE bt_status exec_flat_create(bt_pool *pool, const bt_param_table *table, float start,
                                       float **out, bt_error *err);
/* The parameters alone, which take memory when they are written. */
BT_MUST_USE bt_status exec_flat_reserve(const bt_param_table *table, float **out, bt_error *err);
void                  exec_swap(float *a, float *b, int64_t n);

/* exec_scale.c */
typedef struct exec_scale {
    bool          is_on, is_dynamic;
    bt_loss_scale now;
} exec_scale;
void exec_scale_init(exec_scale *scale, bt_precision precision, double fixed);
/* The scale of the next step; true: it is lower because this one overflowed. */
bool exec_scale_update(exec_scale *scale, bool is_finite);

#endif
