/* SPDX-License-Identifier: Apache-2.0
 *
 * From a batch of packed tokens to R rows of S slots. Programs have fixed shapes and each shape is
 * compiled, so shapes are rounded to few: buckets. A bucket depends on the batch alone, never on
 * what came before: a run that goes on has the numbers of one that was not interrupted. */
#ifndef BT_EXEC_PJRT_BUCKET_H
#define BT_EXEC_PJRT_BUCKET_H

#include "exec_shared.h"

typedef struct exec_bucket {
    int64_t n_rows, n_slots; /* R, S */
    int64_t n_seqs;          /* B: places for sequences, even */
    int64_t n_longest;       /* no sequence is longer */
} exec_bucket;

/* Where the sequences of a share of a batch stand. */
typedef struct exec_rows {
    int64_t  first_seq, n_seqs; /* the share, in the batch; there may be none */
    int64_t  cap;
    int32_t *first; /* owned; [n_seqs] row * S + slot of the first token */
    int64_t *order; /* owned; [n_seqs] longest first */
    int64_t *room;  /* owned; [R] slots left */
    int64_t  room_cap;
} exec_rows;

/* Divides a batch into shares of neighbouring sequences; there may be more shares than those. */
void exec_rows_divide(exec_rows *rows, int32_t n_shares, const bt_batch *batch,
                      exec_division division);
/* Lays each share of a checked batch into rows, all in one bucket. */
BT_MUST_USE bt_status exec_rows_lay(exec_rows *rows, int32_t n_shares, const bt_batch *batch,
                                    exec_bucket *bucket, bt_error *err);
void                  exec_rows_deinit(exec_rows *rows);
/* The bucket of a batch, divided. */
BT_MUST_USE bt_status exec_bucket_of(const bt_batch *batch, int32_t n_shares,
                                     exec_division division, exec_bucket *out, bt_error *err);
/* That of n sequences, each as long as records can be. */
BT_MUST_USE bt_status exec_bucket_of_full(int64_t n_seqs, int64_t length, int32_t n_shares,
                                          exec_division division, exec_bucket *out, bt_error *err);

#endif
