/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files of nn/: the split of rows into chunks, the masks of one row, and which rows a
 * head of attention has. */
#ifndef BT_NN_INTERNAL_H
#define BT_NN_INTERNAL_H

#include "bt/nn.h"

enum { NN_MIN_CHUNK_ROWS = 16, NN_MAX_CHUNKS = 128 };
enum { NN_QUERY_ROWS = 64 };            /* of a block of attention */
enum { NN_ATTENTION_BLOCKS_LOG2 = 18 }; /* of four random words, that a row of probabilities owns */

typedef struct nn_chunks {
    int64_t n_rows;
    int64_t rows_a_chunk;
    int64_t n_chunks;
} nn_chunks;

/* A function of the number of rows only. */
nn_chunks nn_chunks_of(int64_t n_rows);

static inline int64_t nn_chunk_first(const nn_chunks *chunks, int64_t chunk) {
    return chunk * chunks->rows_a_chunk;
}
static inline int64_t nn_chunk_end(const nn_chunks *chunks, int64_t chunk) {
    const int64_t end = (chunk + 1) * chunks->rows_a_chunk;
    return end < chunks->n_rows ? end : chunks->n_rows;
}

/* Partial sums of a chunk: [n_chunks][n_cols], zeroed by the chunk's own task. */
float *nn_partial(const bt_nn *nn, int64_t chunk, int64_t n_cols);
/* sums[c] += the chunks' partials [first, first + n_cols) of rows of n_partial_cols, in chunk
 * order; sums NULL: nobody wants them */
void nn_add_partials(bt_nn *nn, float *sums, int64_t n_chunks, int64_t n_partial_cols,
                     int64_t first, int64_t n_cols);

/* nn_packed.c: bytes of panels of n rows or columns; how deep the blocks of a summed dimension are;
 * where in packed the panels of a block begin at a column. */
size_t         nn_panels_bytes(const bt_kern_product *kern, int64_t n, int64_t depth);
int64_t        nn_block_depth(const bt_kern_product *kern, int64_t K);
unsigned char *nn_packed_at(const bt_nn_packed *packed, int64_t d, int64_t depth, int64_t col);
/* The panels of the weight that a product reads; NULL: it has none. */
const bt_nn_packed *nn_find_packed(const bt_nn *nn, const bt_nn_product *p);

/* nn_dense.c: a bt_nn_product's epilogue that adds a bias; its context is an nn_bias. */
typedef struct nn_bias {
    const bt_kern *kern;
    const float   *bias; /* [N] */
} nn_bias;
void nn_add_bias(void *context, int32_t thread, float *c, int64_t ld_c, int64_t row, int64_t n_rows,
                 int64_t col, int64_t n_cols);

float *nn_thread_scratch(const bt_nn *nn, int32_t thread);

/* nn_attention.c: head h of sequence b, and the tokens' rows that it has. */
typedef struct nn_head {
    int64_t b, h;
    int64_t key, n;   /* first row of the keys and values, how many */
    int64_t row, end; /* of the queries */
    float   scale;    /* of the scores */
} nn_head;
nn_head nn_head_of(const bt_nn_attention *a, int64_t b, int64_t h);
/* The queries are taken in blocks: how many are in the one that begins at row. */
static inline int64_t nn_head_block(const nn_head *head, int64_t row) {
    return head->end - row < NN_QUERY_ROWS ? head->end - row : NN_QUERY_ROWS;
}
/* What is added to each row of the head's scores, into mask [n]. false: nothing is, and mask is as
 * it was or 0. */
bool nn_mask_keys(float *mask, const bt_nn_attention *a, const nn_head *head);

/* bt_nn_residual_norm_forward of the rows [first, end), on one thread. */
void nn_residual_norm_rows(bt_nn *nn, const bt_nn_residual_norm *r, float *out, int32_t thread,
                           int64_t first, int64_t end);

/* The multipliers of row r into mult [n_cols]; NULL when this dropout is off. */
const float *nn_row_mask(const bt_nn *nn, float *mult, const bt_nn_dropout *dropout, int64_t r,
                         int64_t n_cols);

#endif
