/* SPDX-License-Identifier: Apache-2.0
 *
 * Chunks of rows, their partial sums, the scratch of threads, and row-wise layers: bias with
 * activation, layernorm, residual, dropout, gather. Each pass reads and writes a row once while it
 * is in the first-level cache. */
#include <string.h>

#include "nn_internal.h"

nn_chunks nn_chunks_of(int64_t n_rows) {
    int64_t rows = (n_rows + NN_MAX_CHUNKS - 1) / NN_MAX_CHUNKS;
    rows = rows < NN_MIN_CHUNK_ROWS ? NN_MIN_CHUNK_ROWS : rows;
    return (nn_chunks){
        .n_rows = n_rows, .rows_a_chunk = rows, .n_chunks = (n_rows + rows - 1) / rows};
}

/* Fewer rows may have more chunks: 2049 rows have 121, 2048 have 128. */
int64_t bt_nn_partials_size(int64_t max_rows, int64_t max_cols) {
    const int64_t small = (max_rows + NN_MIN_CHUNK_ROWS - 1) / NN_MIN_CHUNK_ROWS;
    const int64_t most_chunks = small < NN_MAX_CHUNKS ? small : NN_MAX_CHUNKS;
    /* residual_norm_backward keeps three rows of sums a chunk; the sums of squares one double. */
    return (most_chunks + 1) * 3 * (max_cols + 16);
}

float *nn_partial(const bt_nn *nn, int64_t chunk, int64_t n_cols) {
    BT_ASSERT((chunk + 1) * n_cols <= nn->n_partials);
    return nn->partials + chunk * n_cols;
}

float *nn_thread_scratch(const bt_nn *nn, int32_t thread) {
    return nn->thread_scratch + thread * nn->n_thread_scratch;
}

enum { PARTIAL_COLS = 256 };

typedef struct partials_job {
    bt_nn  *nn;
    float  *sums;
    int64_t n_chunks, n_partial_cols, first, n_cols;
} partials_job;

static void add_partials_task(void *context, int64_t task, int32_t thread) {
    (void)thread;
    const partials_job *const job = context;
    const bt_pool_piece       cols = bt_pool_piece_of(job->n_cols, PARTIAL_COLS, task);
    float *const              sums = job->sums + cols.first;
    for (int64_t chunk = 0; chunk < job->n_chunks; chunk++) {
        const float *const part = nn_partial(job->nn, chunk, job->n_partial_cols);
        job->nn->kern->add(sums, sums, part + job->first + cols.first, cols.n);
    }
}

void nn_add_partials(bt_nn *nn, float *sums, int64_t n_chunks, int64_t n_partial_cols,
                     int64_t first, int64_t n_cols) {
    if (sums == NULL) {
        return;
    }
    partials_job job = {nn, sums, n_chunks, n_partial_cols, first, n_cols};
    bt_pool_run(nn->pool, bt_pool_n_pieces(n_cols, PARTIAL_COLS), add_partials_task, &job);
}

const float *nn_row_mask(const bt_nn *nn, float *mult, const bt_nn_dropout *dropout, int64_t r,
                         int64_t n_cols) {
    if (dropout == NULL || !dropout->rate.on) {
        return NULL;
    }
    const int64_t  row = dropout->first_row + (dropout->row_ids != NULL ? dropout->row_ids[r] : r);
    const uint64_t first_block = (uint64_t)row * (uint64_t)((n_cols + 3) / 4);
    nn->kern->dropout_mask(mult, n_cols, dropout->key, first_block, dropout->rate.limit,
                           dropout->rate.scale);
    return mult;
}

typedef struct bias_act_job {
    bt_nn        *nn;
    nn_chunks     chunks;
    float        *in_out;
    float        *out;
    const float  *bias;
    const float  *in;
    bt_activation act;
    int64_t       N;
    bool          has_slopes; /* in is what act_backward would multiply by */
} bias_act_job;

static void bias_act_forward_task(void *context, int64_t task, int32_t thread) {
    (void)thread;
    const bias_act_job *const job = context;
    const bt_kern *const      kern = job->nn->kern;
    const int64_t             end = nn_chunk_end(&job->chunks, task);
    for (int64_t r = nn_chunk_first(&job->chunks, task); r < end; r++) {
        float *const row = job->in_out + r * job->N;
        kern->add(row, row, job->bias, job->N);
        kern->act_forward[job->act](job->out + r * job->N, row, job->N);
    }
}

void bt_nn_bias_act_forward(bt_nn *nn, float *in_out, float *out, const float *bias,
                            bt_activation act, int64_t R, int64_t N) {
    bias_act_job job = {nn, nn_chunks_of(R), in_out, out, bias, NULL, act, N, false};
    bt_pool_run(nn->pool, job.chunks.n_chunks, bias_act_forward_task, &job);
}

static void bias_act_backward_task(void *context, int64_t task, int32_t thread) {
    (void)thread;
    const bias_act_job *const job = context;
    const bt_kern *const      kern = job->nn->kern;
    const int64_t             end = nn_chunk_end(&job->chunks, task);
    float *const              sums = nn_partial(job->nn, task, job->N);
    memset(sums, 0, (size_t)job->N * sizeof *sums);
    for (int64_t r = nn_chunk_first(&job->chunks, task); r < end; r++) {
        float *const row = job->in_out + r * job->N;
        if (job->has_slopes) {
            kern->mul(row, row, job->in + r * job->N, job->N);
        } else {
            kern->act_backward[job->act](row, row, job->in + r * job->N, job->N);
        }
        kern->add(sums, sums, row, job->N);
    }
}

void bt_nn_bias_act_backward(bt_nn *nn, float *d_out, float *d_bias, const float *in_out,
                             bool has_slopes, bt_activation act, int64_t R, int64_t N) {
    bias_act_job job = {nn, nn_chunks_of(R), d_out, NULL, NULL, in_out, act, N, has_slopes};
    bt_pool_run(nn->pool, job.chunks.n_chunks, bias_act_backward_task, &job);
    nn_add_partials(nn, d_bias, job.chunks.n_chunks, N, 0, N);
}

typedef struct norm_job {
    bt_nn            *nn;
    nn_chunks         chunks;
    const bt_nn_norm *norm;
    float            *out; /* d_in in the backward */
    uint16_t         *out16;
    float            *d_out;
    const float      *in;
    int64_t           H;
} norm_job;

static void norm_forward_task(void *context, int64_t task, int32_t thread) {
    (void)thread;
    const norm_job *const   job = context;
    const bt_nn_norm *const norm = job->norm;
    const int64_t           first = nn_chunk_first(&job->chunks, task);
    const int64_t           n_rows = nn_chunk_end(&job->chunks, task) - first;
    job->nn->kern->norm_forward(job->out + first * job->H, norm->mean + first, norm->rstd + first,
                                job->in + first * job->H, norm->gain, norm->bias, n_rows, job->H,
                                norm->eps);
}

void bt_nn_norm_forward(bt_nn *nn, const bt_nn_norm *norm, float *out, const float *in, int64_t R,
                        int64_t H) {
    norm_job job = {
        .nn = nn, .chunks = nn_chunks_of(R), .norm = norm, .out = out, .in = in, .H = H};
    bt_pool_run(nn->pool, job.chunks.n_chunks, norm_forward_task, &job);
}

/* A row at a time, which is rounded while it is in the cache. */
static void norm_forward16_task(void *context, int64_t task, int32_t thread) {
    const norm_job *const   job = context;
    const bt_nn_norm *const norm = job->norm;
    const bt_kern *const    kern = job->nn->kern;
    const int64_t           H = job->H;
    const int64_t           end = nn_chunk_end(&job->chunks, task);
    float *const            scratch = nn_thread_scratch(job->nn, thread);
    for (int64_t i = nn_chunk_first(&job->chunks, task); i < end; i++) {
        float *const row = job->out != NULL ? job->out + i * H : scratch;
        kern->norm_forward(row, norm->mean + i, norm->rstd + i, job->in + i * H, norm->gain,
                           norm->bias, 1, H, norm->eps);
        kern->to_bf16(job->out16 + i * H, row, H);
    }
}

void bt_nn_norm_forward16(bt_nn *nn, const bt_nn_norm *norm, float *out, uint16_t *out16,
                          const float *in, int64_t R, int64_t H) {
    norm_job job = {.nn = nn,
                    .chunks = nn_chunks_of(R),
                    .norm = norm,
                    .out = out,
                    .out16 = out16,
                    .in = in,
                    .H = H};
    bt_pool_run(nn->pool, job.chunks.n_chunks, norm_forward16_task, &job);
}

static void norm_backward_task(void *context, int64_t task, int32_t thread) {
    (void)thread;
    const norm_job *const   job = context;
    const bt_nn_norm *const norm = job->norm;
    const bt_kern *const    kern = job->nn->kern;
    const int64_t           H = job->H;
    const int64_t           first = nn_chunk_first(&job->chunks, task);
    const int64_t           n_rows = nn_chunk_end(&job->chunks, task) - first;
    float *const            sums = nn_partial(job->nn, task, 2 * H);
    float *const            d_out = job->d_out + first * H;
    float *const            d_in = job->out + first * H;
    memset(sums, 0, 2 * (size_t)H * sizeof *sums);
    kern->norm_backward(d_out, sums, sums + H, d_out, job->in + first * H, norm->gain,
                        norm->mean + first, norm->rstd + first, n_rows, H);
    kern->add(d_in, d_in, d_out, n_rows * H);
}

void bt_nn_norm_backward(bt_nn *nn, const bt_nn_norm *norm, const bt_nn_norm_grads *grads,
                         float *d_in, float *d_out, const float *in, int64_t R, int64_t H) {
    norm_job job = {.nn = nn,
                    .chunks = nn_chunks_of(R),
                    .norm = norm,
                    .out = d_in,
                    .d_out = d_out,
                    .in = in,
                    .H = H};
    bt_pool_run(nn->pool, job.chunks.n_chunks, norm_backward_task, &job);
    nn_add_partials(nn, grads->gain, job.chunks.n_chunks, 2 * H, 0, H);
    nn_add_partials(nn, grads->bias, job.chunks.n_chunks, 2 * H, H, H);
}

typedef struct residual_job {
    bt_nn                           *nn;
    nn_chunks                        chunks;
    const bt_nn_residual_norm       *r;
    const bt_nn_residual_norm_grads *grads;
    float                           *out;
    const float                     *d_out, *d_sum_more;
} residual_job;

/* The multipliers of row i: drawn by the forward into r->kept, where the backward finds them. */
static const float *residual_mask(const residual_job *job, float *mult, int64_t i, bool is_drawn) {
    const bt_nn_residual_norm *const r = job->r;
    const bt_nn_dropout *const       dropout = r->dropout;
    if (r->kept == NULL || dropout == NULL || !dropout->rate.on) {
        return nn_row_mask(job->nn, mult, dropout, i, r->H);
    }
    uint16_t *const kept = r->kept + i * bt_nn_kept_step(r->H);
    if (!is_drawn) {
        const int64_t row =
            dropout->first_row + (dropout->row_ids != NULL ? dropout->row_ids[i] : i);
        job->nn->kern->dropout_bits(kept, 0, 1, r->H, dropout->key,
                                    (uint64_t)row * (uint64_t)((r->H + 3) / 4), 0,
                                    dropout->rate.limit);
    }
    job->nn->kern->mask_of_bits(mult, kept, r->H, dropout->rate.scale);
    return mult;
}

void nn_residual_norm_rows(bt_nn *nn, const bt_nn_residual_norm *r, float *out, int32_t thread,
                           int64_t first, int64_t end) {
    const residual_job      job = {.nn = nn, .r = r, .out = out};
    const bt_nn_norm *const norm = r->norm;
    const bt_kern *const    kern = nn->kern;
    const int64_t           H = r->H;
    float *const            scratch = nn_thread_scratch(nn, thread);
    for (int64_t i = first; i < end; i++) {
        const float *const mult = residual_mask(&job, scratch, i, false);
        float *const       row = r->sum + i * H;
        float *const       normed = out != NULL ? out + i * H : scratch;
        kern->bias_residual(row, row, r->bias, mult, r->residual + i * H, H);
        if (norm != NULL) {
            kern->norm_forward(normed, norm->mean + i, norm->rstd + i, row, norm->gain, norm->bias,
                               1, H, norm->eps);
        }
        if (r->out16 != NULL) {
            kern->to_bf16(r->out16 + i * H, normed, H);
        }
    }
}

static void residual_norm_forward_task(void *context, int64_t task, int32_t thread) {
    const residual_job *const job = context;
    nn_residual_norm_rows(job->nn, job->r, job->out, thread, nn_chunk_first(&job->chunks, task),
                          nn_chunk_end(&job->chunks, task));
}

void bt_nn_residual_norm_forward(bt_nn *nn, const bt_nn_residual_norm *r, float *out) {
    residual_job job = {.nn = nn, .chunks = nn_chunks_of(r->R), .r = r, .out = out};
    bt_pool_run(nn->pool, job.chunks.n_chunks, residual_norm_forward_task, &job);
}

/* d_product = d_sum * mask, in float32 or in bfloat16, and its sums. row: room for one. */
static void product_backward(const residual_job *job, float *sums, float *mult_row, float *row,
                             const float *d_sum, int64_t i) {
    const bt_kern *const kern = job->nn->kern;
    const int64_t        H = job->r->H;
    const float *const   mult = residual_mask(job, mult_row, i, true);
    const bool           is_16 = job->grads->d_product16 != NULL;
    float *const         d_product = is_16 ? row : job->grads->d_product + i * H;
    const float         *d = d_product;
    if (mult != NULL) {
        kern->mul(d_product, d_sum, mult, H);
    } else if (is_16) {
        d = d_sum;
    } else {
        memcpy(d_product, d_sum, (size_t)H * sizeof *d_sum);
    }
    kern->add(sums, sums, d, H);
    if (is_16) {
        kern->to_bf16(job->grads->d_product16 + i * H, d, H);
    }
}

static void residual_norm_backward_task(void *context, int64_t task, int32_t thread) {
    const residual_job *const        job = context;
    const bt_nn_residual_norm *const r = job->r;
    const bt_nn_norm *const          norm = r->norm;
    const bt_kern *const             kern = job->nn->kern;
    const int64_t                    H = r->H;
    const int64_t                    end = nn_chunk_end(&job->chunks, task);
    float *const                     scratch = nn_thread_scratch(job->nn, thread);
    float *const                     d_row = scratch + H;
    float *const                     sums = nn_partial(job->nn, task, 3 * H);
    memset(sums, 0, 3 * (size_t)H * sizeof *sums);
    for (int64_t i = nn_chunk_first(&job->chunks, task); i < end; i++) {
        const float *d = job->d_out + i * H;
        if (norm != NULL) {
            kern->norm_backward(d_row, sums + H, sums + 2 * H, d, r->sum + i * H, norm->gain,
                                norm->mean + i, norm->rstd + i, 1, H);
            d = d_row;
        }
        float *const d_sum = job->grads->d_sum + i * H;
        if (job->d_sum_more != NULL) {
            kern->add(d_sum, d, job->d_sum_more + i * H, H);
        } else if (d_sum != d) {
            /* d_row is in memory of the plan:
             * NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
            memcpy(d_sum, d, (size_t)H * sizeof *d);
        }
        product_backward(job, sums, scratch, d_row, d_sum, i);
    }
}

void bt_nn_residual_norm_backward(bt_nn *nn, const bt_nn_residual_norm *r,
                                  const bt_nn_residual_norm_grads *grads, const float *d_out,
                                  const float *d_sum_more) {
    const int64_t H = r->H;
    residual_job  job = {.nn = nn,
                         .chunks = nn_chunks_of(r->R),
                         .r = r,
                         .grads = grads,
                         .d_out = d_out,
                         .d_sum_more = d_sum_more};
    bt_pool_run(nn->pool, job.chunks.n_chunks, residual_norm_backward_task, &job);
    nn_add_partials(nn, grads->bias, job.chunks.n_chunks, 3 * H, 0, H);
    if (r->norm != NULL) {
        nn_add_partials(nn, grads->norm.gain, job.chunks.n_chunks, 3 * H, H, H);
        nn_add_partials(nn, grads->norm.bias, job.chunks.n_chunks, 3 * H, 2 * H, H);
    }
}

typedef struct rows_job {
    bt_nn               *nn;
    nn_chunks            chunks;
    float               *out;
    const float         *in;
    const float         *saved;
    const bt_nn_dropout *dropout;
    const int64_t       *row_ids;
    bt_activation        act;
    int64_t              H;
} rows_job;

static void dropout_task(void *context, int64_t task, int32_t thread) {
    const rows_job *const job = context;
    const int64_t         H = job->H;
    const int64_t         end = nn_chunk_end(&job->chunks, task);
    float *const          scratch = nn_thread_scratch(job->nn, thread);
    for (int64_t r = nn_chunk_first(&job->chunks, task); r < end; r++) {
        const float *const mult = nn_row_mask(job->nn, scratch, job->dropout, r, H);
        job->nn->kern->mul(job->out + r * H, job->in + r * H, mult, H);
    }
}

void bt_nn_dropout_apply(bt_nn *nn, float *out, const float *in, const bt_nn_dropout *dropout,
                         int64_t R, int64_t H) {
    if (dropout == NULL || !dropout->rate.on) {
        if (out != in) {
            memcpy(out, in, (size_t)(R * H) * sizeof *out);
        }
        return;
    }
    rows_job job = {
        .nn = nn, .chunks = nn_chunks_of(R), .out = out, .in = in, .dropout = dropout, .H = H};
    bt_pool_run(nn->pool, job.chunks.n_chunks, dropout_task, &job);
}

enum { ACT_CHUNK = 4096 };

typedef struct round_job {
    bt_nn       *nn;
    uint16_t    *out;
    const float *in;
    int64_t      n;
} round_job;

static void round_task(void *context, int64_t task, int32_t thread) {
    (void)thread;
    const round_job *const job = context;
    const bt_pool_piece    piece = bt_pool_piece_of(job->n, ACT_CHUNK, task);
    job->nn->kern->to_bf16(job->out + piece.first, job->in + piece.first, piece.n);
}

void bt_nn_to_bf16(bt_nn *nn, uint16_t *out, const float *in, int64_t n) {
    round_job job = {.nn = nn, .out = out, .in = in, .n = n};
    bt_pool_run(nn->pool, bt_pool_n_pieces(n, ACT_CHUNK), round_task, &job);
}

static void act_task(void *context, int64_t task, int32_t thread) {
    (void)thread;
    const rows_job *const job = context;
    const bt_pool_piece   piece = bt_pool_piece_of(job->H, ACT_CHUNK, task);
    float *const          out = job->out + piece.first;
    const float *const    in = job->in + piece.first;
    if (job->saved == NULL) {
        job->nn->kern->act_forward[job->act](out, in, piece.n);
    } else {
        job->nn->kern->act_backward[job->act](out, in, job->saved + piece.first, piece.n);
    }
}

void bt_nn_act_forward(bt_nn *nn, float *out, const float *in, bt_activation act, int64_t n) {
    rows_job job = {.nn = nn, .out = out, .in = in, .act = act, .H = n};
    bt_pool_run(nn->pool, bt_pool_n_pieces(n, ACT_CHUNK), act_task, &job);
}

void bt_nn_act_backward(bt_nn *nn, float *d_in, const float *d_out, const float *in,
                        bt_activation act, int64_t n) {
    rows_job job = {.nn = nn, .out = d_in, .in = d_out, .saved = in, .act = act, .H = n};
    bt_pool_run(nn->pool, bt_pool_n_pieces(n, ACT_CHUNK), act_task, &job);
}

typedef struct slope_job {
    const bt_kern *kern;
    float         *out;
    float         *in_out;
    bt_activation  act;
    int64_t        n;
} slope_job;

static void slope_task(void *context, int64_t task, int32_t thread) {
    (void)thread;
    const slope_job *const job = context;
    const bt_pool_piece    piece = bt_pool_piece_of(job->n, ACT_CHUNK, task);
    float *const           in_out = job->in_out + piece.first;
    job->kern->act_slope[job->act](job->out + piece.first, in_out, in_out, piece.n);
}

bool bt_nn_act_again(bt_nn *nn, float *out, float *in_out, bt_activation act, int64_t n) {
    slope_job job = {.kern = nn->kern, .out = out, .in_out = in_out, .act = act, .n = n};
    if (nn->kern->act_slope[act] == NULL) {
        bt_nn_act_forward(nn, out, in_out, act, n);
        return false;
    }
    bt_pool_run(nn->pool, bt_pool_n_pieces(n, ACT_CHUNK), slope_task, &job);
    return true;
}

typedef struct gather_job {
    nn_chunks      chunks;
    unsigned char *out;
    const void    *in;
    const int64_t *row_ids;
    size_t         row_bytes;
} gather_job;

static void gather_task(void *context, int64_t task, int32_t thread) {
    (void)thread;
    const gather_job *const    job = context;
    const unsigned char *const in = job->in;
    const int64_t              end = nn_chunk_end(&job->chunks, task);
    for (int64_t r = nn_chunk_first(&job->chunks, task); r < end; r++) {
        memcpy(job->out + (size_t)r * job->row_bytes, in + (size_t)job->row_ids[r] * job->row_bytes,
               job->row_bytes);
    }
}

static void gather(bt_nn *nn, void *out, const void *in, const int64_t *row_ids, int64_t R,
                   size_t row_bytes) {
    gather_job job = {.chunks = nn_chunks_of(R),
                      .out = out,
                      .in = in,
                      .row_ids = row_ids,
                      .row_bytes = row_bytes};
    bt_pool_run(nn->pool, job.chunks.n_chunks, gather_task, &job);
}

void bt_nn_rows_gather(bt_nn *nn, float *out, const float *in, const int64_t *row_ids, int64_t R,
                       int64_t H) {
    gather(nn, out, in, row_ids, R, (size_t)H * sizeof *out);
}

void bt_nn_rows_gather16(bt_nn *nn, uint16_t *out, const uint16_t *in, const int64_t *row_ids,
                         int64_t R, int64_t H) {
    gather(nn, out, in, row_ids, R, (size_t)H * sizeof *out);
}

static void scatter_task(void *context, int64_t task, int32_t thread) {
    (void)thread;
    const rows_job *const job = context;
    const int64_t         H = job->H;
    const int64_t         end = nn_chunk_end(&job->chunks, task);
    for (int64_t r = nn_chunk_first(&job->chunks, task); r < end; r++) {
        float *const row = job->out + job->row_ids[r] * H;
        job->nn->kern->add(row, row, job->in + r * H, H);
    }
}

void bt_nn_rows_scatter_add(bt_nn *nn, float *d_in, const float *d_out, const int64_t *row_ids,
                            int64_t R, int64_t H) {
    rows_job job = {
        .nn = nn, .chunks = nn_chunks_of(R), .out = d_in, .in = d_out, .row_ids = row_ids, .H = H};
    bt_pool_run(nn->pool, job.chunks.n_chunks, scatter_task, &job);
}
