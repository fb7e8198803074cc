/* SPDX-License-Identifier: Apache-2.0
 *
 * One row of all the rows of a sequence: their mean, or the largest of each column. A sequence is a
 * task: the bits do not depend on the threads. */
#include <string.h>

#include "nn_internal.h"

typedef struct pool_job {
    bt_nn         *nn;
    float         *out; /* d_in in the backward */
    const float   *in, *d_out;
    const int64_t *offsets;
    int64_t        H;
} pool_job;

static void mean_forward_task(void *context, int64_t b, int32_t thread) {
    (void)thread;
    const pool_job *const job = context;
    const bt_kern *const  kern = job->nn->kern;
    const int64_t         H = job->H;
    const int64_t         first = job->offsets[b];
    const int64_t         end = job->offsets[b + 1];
    float *const          row = job->out + b * H;
    memcpy(row, job->in + first * H, (size_t)H * sizeof *row);
    for (int64_t t = first + 1; t < end; t++) {
        kern->add(row, row, job->in + t * H, H);
    }
    kern->scale(row, 1 / (float)(end - first), H);
}

void bt_nn_mean_rows_forward(bt_nn *nn, float *out, const float *in, const int64_t *offsets,
                             int64_t B, int64_t H) {
    pool_job job = {.nn = nn, .out = out, .in = in, .offsets = offsets, .H = H};
    bt_pool_run(nn->pool, B, mean_forward_task, &job);
}

static void mean_backward_task(void *context, int64_t b, int32_t thread) {
    (void)thread;
    const pool_job *const job = context;
    const int64_t         H = job->H;
    const int64_t         first = job->offsets[b];
    const int64_t         end = job->offsets[b + 1];
    float *const          row = job->out + first * H;
    memcpy(row, job->d_out + b * H, (size_t)H * sizeof *row);
    job->nn->kern->scale(row, 1 / (float)(end - first), H);
    for (int64_t t = first + 1; t < end; t++) {
        memcpy(job->out + t * H, row, (size_t)H * sizeof *row);
    }
}

void bt_nn_mean_rows_backward(bt_nn *nn, float *d_in, const float *d_out, const int64_t *offsets,
                              int64_t B, int64_t H) {
    pool_job job = {.nn = nn, .out = d_in, .d_out = d_out, .offsets = offsets, .H = H};
    bt_pool_run(nn->pool, B, mean_backward_task, &job);
}

/* NaN stays, as in PyTorch: a maximum that looks sound would hide it. */
static bool is_larger(float value, float than) {
    return value > than || (value != value && than == than);
}

static void max_forward_task(void *context, int64_t b, int32_t thread) {
    (void)thread;
    const pool_job *const job = context;
    const int64_t         H = job->H;
    const int64_t         first = job->offsets[b];
    const int64_t         end = job->offsets[b + 1];
    float *const          row = job->out + b * H;
    memcpy(row, job->in + first * H, (size_t)H * sizeof *row);
    for (int64_t t = first + 1; t < end; t++) {
        const float *const x = job->in + t * H;
        for (int64_t i = 0; i < H; i++) {
            row[i] = is_larger(x[i], row[i]) ? x[i] : row[i];
        }
    }
}

void bt_nn_max_rows_forward(bt_nn *nn, float *out, const float *in, const int64_t *offsets,
                            int64_t B, int64_t H) {
    pool_job job = {.nn = nn, .out = out, .in = in, .offsets = offsets, .H = H};
    bt_pool_run(nn->pool, B, max_forward_task, &job);
}

static void max_backward_task(void *context, int64_t b, int32_t thread) {
    (void)thread;
    const pool_job *const job = context;
    const int64_t         H = job->H;
    const int64_t         first = job->offsets[b];
    const int64_t         end = job->offsets[b + 1];
    memset(job->out + first * H, 0, (size_t)((end - first) * H) * sizeof *job->out);
    for (int64_t i = 0; i < H; i++) {
        int64_t best = first;
        for (int64_t t = first + 1; t < end; t++) {
            best = is_larger(job->in[t * H + i], job->in[best * H + i]) ? t : best;
        }
        job->out[best * H + i] = job->d_out[b * H + i];
    }
}

void bt_nn_max_rows_backward(bt_nn *nn, float *d_in, const float *d_out, const float *in,
                             const int64_t *offsets, int64_t B, int64_t H) {
    pool_job job = {.nn = nn, .out = d_in, .in = in, .d_out = d_out, .offsets = offsets, .H = H};
    bt_pool_run(nn->pool, B, max_backward_task, &job);
}
