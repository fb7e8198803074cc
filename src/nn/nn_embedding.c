/* SPDX-License-Identifier: Apache-2.0
 *
 * The embedding: three tables, layernorm, dropout. Its backward adds rows into the tables in token
 * order, a block of columns a task, so equal ids are summed in the same order on any number of
 * threads. */
#include <string.h>

#include "nn_internal.h"

enum { SCATTER_COLS = 64 };

typedef struct embedding_job {
    bt_nn                       *nn;
    const bt_nn_embedding       *e;
    const bt_nn_embedding_grads *grads;
    nn_chunks                    chunks;
    float                       *out; /* its gradient in the backward */
} embedding_job;

static void embedding_forward_task(void *context, int64_t task, int32_t thread) {
    const embedding_job *const   job = context;
    const bt_nn_embedding *const e = job->e;
    const bt_kern *const         kern = job->nn->kern;
    const int64_t                E = e->E;
    const int64_t                end = nn_chunk_end(&job->chunks, task);
    float *const                 scratch = nn_thread_scratch(job->nn, thread);
    for (int64_t t = nn_chunk_first(&job->chunks, task); t < end; t++) {
        float *const sum = e->sum + t * E;
        float *const out = job->out + t * E;
        kern->add3(sum, e->word + e->ids[t] * E, e->position + e->positions[t] * E,
                   e->type + e->types[t] * E, E);
        kern->norm_forward(out, e->norm.mean + t, e->norm.rstd + t, sum, e->norm.gain, e->norm.bias,
                           1, E, e->norm.eps);
        const float *const mult = nn_row_mask(job->nn, scratch, e->dropout, t, E);
        if (mult != NULL) {
            kern->mul(out, out, mult, E);
        }
    }
}

void bt_nn_embedding_forward(bt_nn *nn, const bt_nn_embedding *e, float *out) {
    embedding_job job = {.nn = nn, .e = e, .chunks = nn_chunks_of(e->T), .out = out};
    bt_pool_run(nn->pool, job.chunks.n_chunks, embedding_forward_task, &job);
}

/* A chunk's partial row: gain [E], bias [E], then its sum of squares as a double. */
static int64_t partial_cols(int64_t E) {
    return (2 * E + 3) / 2 * 2 + 2;
}

static void embedding_norm_task(void *context, int64_t task, int32_t thread) {
    const embedding_job *const   job = context;
    const bt_nn_embedding *const e = job->e;
    const bt_kern *const         kern = job->nn->kern;
    const int64_t                E = e->E;
    const int64_t                first = nn_chunk_first(&job->chunks, task);
    const int64_t                n_rows = nn_chunk_end(&job->chunks, task) - first;
    float *const                 scratch = nn_thread_scratch(job->nn, thread);
    float *const                 sums = nn_partial(job->nn, task, partial_cols(E));
    float *const                 d_out = job->out + first * E;
    memset(sums, 0, 2 * (size_t)E * sizeof *sums);
    for (int64_t r = 0; r < n_rows; r++) {
        const float *const mult = nn_row_mask(job->nn, scratch, e->dropout, first + r, E);
        if (mult != NULL) {
            kern->mul(d_out + r * E, d_out + r * E, mult, E);
        }
    }
    kern->norm_backward(d_out, sums, sums + E, d_out, e->sum + first * E, e->norm.gain,
                        e->norm.mean + first, e->norm.rstd + first, n_rows, E);
    const double squares = kern->sum_sq(d_out, n_rows * E);
    memcpy(sums + partial_cols(E) - 2, &squares, sizeof squares);
}

static void embedding_scatter_task(void *context, int64_t task, int32_t thread) {
    (void)thread;
    const embedding_job *const   job = context;
    const bt_nn_embedding *const e = job->e;
    const bt_kern *const         kern = job->nn->kern;
    const int64_t                E = e->E;
    const bt_pool_piece          cols = bt_pool_piece_of(E, SCATTER_COLS, task);
    for (int64_t t = 0; t < e->T; t++) {
        const float *const d = job->out + t * E + cols.first;
        float *const       word = job->grads->word + e->ids[t] * E + cols.first;
        float *const       position = job->grads->position + e->positions[t] * E + cols.first;
        float *const       type = job->grads->type + e->types[t] * E + cols.first;
        kern->add(word, word, d, cols.n);
        kern->add(position, position, d, cols.n);
        kern->add(type, type, d, cols.n);
    }
}

double bt_nn_embedding_backward(bt_nn *nn, const bt_nn_embedding *e,
                                const bt_nn_embedding_grads *grads, float *d_out) {
    const int64_t E = e->E;
    embedding_job job = {
        .nn = nn, .e = e, .grads = grads, .chunks = nn_chunks_of(e->T), .out = d_out};
    bt_pool_run(nn->pool, job.chunks.n_chunks, embedding_norm_task, &job);
    nn_add_partials(nn, grads->norm.gain, job.chunks.n_chunks, partial_cols(E), 0, E);
    nn_add_partials(nn, grads->norm.bias, job.chunks.n_chunks, partial_cols(E), E, E);
    double total = 0;
    for (int64_t chunk = 0; chunk < job.chunks.n_chunks; chunk++) {
        double squares = 0;
        memcpy(&squares, nn_partial(nn, chunk, partial_cols(E)) + partial_cols(E) - 2,
               sizeof squares);
        total += squares;
    }
    bt_pool_run(nn->pool, bt_pool_n_pieces(E, SCATTER_COLS), embedding_scatter_task, &job);
    return total;
}
