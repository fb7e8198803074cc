/* SPDX-License-Identifier: Apache-2.0
 *
 * Dense layers: products in BLAS, called by this thread alone; the bias's gradient by chunks. */
#include <string.h>

#include "nn_internal.h"

typedef struct bias_job {
    bt_nn       *nn;
    nn_chunks    chunks;
    float       *x;
    const float *bias;
    const float *d_out;
    int64_t      N;
} bias_job;

static void add_bias_task(void *context, int64_t task, int32_t thread) {
    (void)thread;
    const bias_job *const job = context;
    const int64_t         first = nn_chunk_first(&job->chunks, task);
    job->nn->kern->add_bias(job->x + first * job->N, job->bias,
                            nn_chunk_end(&job->chunks, task) - first, job->N);
}

void bt_nn_dense_forward(bt_nn *nn, float *out, const float *in, const float *kernel,
                         const float *bias, int64_t R, int64_t K, int64_t N) {
    bt_kern_gemm(out, N, BT_KERN_N, in, K, BT_KERN_N, kernel, N, R, N, K, 1, 0, &nn->products);
    if (bias != NULL) {
        bias_job job = {.nn = nn, .chunks = nn_chunks_of(R), .x = out, .bias = bias, .N = N};
        bt_pool_run(nn->pool, job.chunks.n_chunks, add_bias_task, &job);
    }
}

static void bias_sums_task(void *context, int64_t task, int32_t thread) {
    (void)thread;
    const bias_job *const job = context;
    const int64_t         first = nn_chunk_first(&job->chunks, task);
    float *const          sums = nn_partial(job->nn, task, job->N);
    memset(sums, 0, (size_t)job->N * sizeof *sums);
    job->nn->kern->column_sums(sums, job->d_out + first * job->N,
                               nn_chunk_end(&job->chunks, task) - first, job->N);
}

void bt_nn_dense_backward(bt_nn *nn, float *d_in, float *d_kernel, float *d_bias,
                          const float *d_out, const float *in, const float *kernel, int64_t R,
                          int64_t K, int64_t N, bool add_to_d_in) {
    if (d_bias != NULL) {
        bias_job job = {.nn = nn, .chunks = nn_chunks_of(R), .d_out = d_out, .N = N};
        bt_pool_run(nn->pool, job.chunks.n_chunks, bias_sums_task, &job);
        nn_add_partials(nn, d_bias, job.chunks.n_chunks, N, 0, N);
    }
    bt_kern_gemm(d_kernel, N, BT_KERN_T, in, K, BT_KERN_N, d_out, N, K, N, R, 1, 1, &nn->products);
    if (d_in != NULL) {
        bt_kern_gemm(d_in, K, BT_KERN_N, d_out, N, BT_KERN_T, kernel, N, R, K, N, 1,
                     add_to_d_in ? 1 : 0, &nn->products);
    }
}
