/* SPDX-License-Identifier: Apache-2.0
 *
 * nn: dense layers in 8 bits (bt/kern/int8.h), for passes that nothing is learned from. A thread
 * takes some rows through as many layers as it likes: rows know nothing of each other, so neither
 * the split nor the number of threads nor the other rows of a batch change a bit. */
#ifndef BT_NN_DENSE_INT8_H
#define BT_NN_DENSE_INT8_H

#include "bt/base/pool.h"
#include "bt/kern/int8.h"

/* The weights of a dense layer [K,N] in panels, with their bias. */
typedef struct bt_nn_int8_dense bt_nn_int8_dense;

/* From kernel [K,N] and bias [N] (NULL: 0), which are not needed afterwards. BT_E_UNSUPPORTED: a
 * weight is not finite, or K is more than sums of 32 bits hold; the sentence begins with name. */
BT_MUST_USE bt_status bt_nn_int8_dense_create(bt_pool *pool, const float *kernel, const float *bias,
                                              int64_t K, int64_t N, const char *name,
                                              bt_nn_int8_dense **out, bt_error *err);
void                  bt_nn_int8_dense_free(bt_nn_int8_dense *dense);
/* The bias [N], where it comes later. */
void   bt_nn_int8_dense_set_bias(bt_nn_int8_dense *dense, const float *bias);
size_t bt_nn_int8_dense_bytes(const bt_nn_int8_dense *dense);
/* Of a layer [K,N], before there is one. */
size_t bt_nn_int8_bytes(int64_t K, int64_t N);

/* Rows in 8 bits, in memory of the caller. */
typedef struct bt_nn_int8_rows {
    uint8_t          *q; /* [n_rows filled up to whole tiles, ld] */
    bt_kern_int8_row *rows;
    int64_t           ld, K, n_rows;
} bt_nn_int8_rows;

/* The most rows that one thread takes at a time: as many as stay in its caches. */
int64_t bt_nn_int8_max_rows(const bt_kern_int8 *kern);
/* Bytes for so many rows of K numbers, a multiple of 64. */
size_t bt_nn_int8_rows_bytes(const bt_kern_int8 *kern, int64_t K);
/* in [n_rows, K] rounded into such memory, whose bytes have values (whichever). */
bt_nn_int8_rows bt_nn_int8_round(const bt_kern_int8 *kern, void *memory, const float *in,
                                 int64_t n_rows, int64_t K);
/* out [n_rows, N] = rows kernel + bias, or added to what is there. */
void bt_nn_int8_dense_forward(const bt_kern_int8 *kern, float *out, const bt_nn_int8_rows *in,
                              const bt_nn_int8_dense *dense, bool accumulate);

#endif
