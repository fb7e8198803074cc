/* SPDX-License-Identifier: Apache-2.0
 *
 * Dense layers: one product forward, two backward; the bias's gradient by chunks. */
#include <math.h>
#include <string.h>

#include "nn_internal.h"

typedef struct bias_job {
    bt_nn       *nn;
    nn_chunks    chunks;
    const float *d_out;
    int64_t      N;
} bias_job;

void nn_add_bias(void *context, int32_t thread, float *c, int64_t ld_c, int64_t row, int64_t n_rows,
                 int64_t col, int64_t n_cols) {
    (void)thread;
    (void)row;
    const nn_bias *const job = context;
    for (int64_t i = 0; i < n_rows; i++) {
        job->kern->add_bias(c + i * ld_c, job->bias + col, 1, n_cols);
    }
}

/* Its sums are in float32, in its order. */
void bt_nn_round_8_bits(float *out, const float *in, int64_t n) {
    static const float most = 255;
    float              low = 0;
    float              high = 0;
    for (int64_t i = 0; i < n; i++) {
        low = in[i] < low ? in[i] : low;
        high = in[i] > high ? in[i] : high;
    }
    const float step = high > low ? (high - low) / most : 1;
    const float zero = rintf(-low / step);
    for (int64_t i = 0; i < n; i++) {
        const float steps = rintf(in[i] / step) + zero;
        out[i] = ((steps < 0 ? 0 : steps > most ? most : steps) - zero) * step;
    }
}

static bt_nn_product forward_product(const bt_nn *nn, float *out, const float *in,
                                     const float *kernel, int64_t R, int64_t K, int64_t N) {
    if (nn->rounded != NULL) {
        bt_nn_round_8_bits(nn->rounded, in, R * K);
        in = nn->rounded;
    }
    return (bt_nn_product){.c = out,
                           .ld_c = N,
                           .a = in,
                           .ld_a = K,
                           .b = kernel,
                           .ld_b = N,
                           .M = R,
                           .N = N,
                           .K = K,
                           .alpha = 1};
}

void bt_nn_dense_forward(bt_nn *nn, float *out, const float *in, const float *kernel,
                         const float *bias, int64_t R, int64_t K, int64_t N) {
    nn_bias       job = {.kern = nn->kern, .bias = bias};
    bt_nn_product product = forward_product(nn, out, in, kernel, R, K, N);
    product.epilogue = bias != NULL ? nn_add_bias : NULL;
    product.context = &job;
    bt_nn_product_run(nn, &product);
}

typedef struct act_job {
    const bt_kern *kern;
    const float   *bias; /* [N] */
    bt_activation  act;
} act_job;

static void bias_act(void *context, int32_t thread, float *c, int64_t ld_c, int64_t row,
                     int64_t n_rows, int64_t col, int64_t n_cols) {
    const act_job *const job = context;
    (void)thread;
    (void)row;
    for (int64_t i = 0; i < n_rows; i++) {
        float *const x = c + i * ld_c;
        job->kern->add(x, x, job->bias + col, n_cols);
        job->kern->act_forward[job->act](x, x, n_cols);
    }
}

void bt_nn_dense_act_forward(bt_nn *nn, float *out, const float *in, const float *kernel,
                             const float *bias, bt_activation act, int64_t R, int64_t K,
                             int64_t N) {
    act_job       job = {.kern = nn->kern, .bias = bias, .act = act};
    bt_nn_product product = forward_product(nn, out, in, kernel, R, K, N);
    product.epilogue = bias_act;
    product.context = &job;
    bt_nn_product_run(nn, &product);
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
                          int64_t K, int64_t N, bool add_to_d_in, bool add_to_d_kernel) {
    if (d_bias != NULL) {
        bias_job job = {.nn = nn, .chunks = nn_chunks_of(R), .d_out = d_out, .N = N};
        bt_pool_run(nn->pool, job.chunks.n_chunks, bias_sums_task, &job);
        nn_add_partials(nn, d_bias, job.chunks.n_chunks, N, 0, N);
    }
    if (d_kernel != NULL) {
        const bt_nn_product to_kernel = {.c = d_kernel,
                                         .ld_c = N,
                                         .a = in,
                                         .ld_a = K,
                                         .trans_a = BT_KERN_T,
                                         .b = d_out,
                                         .ld_b = N,
                                         .M = K,
                                         .N = N,
                                         .K = R,
                                         .alpha = 1,
                                         .accumulate = add_to_d_kernel};
        bt_nn_product_run(nn, &to_kernel);
    }
    if (d_in != NULL) {
        const bt_nn_product to_input = {.c = d_in,
                                        .ld_c = K,
                                        .a = d_out,
                                        .ld_a = N,
                                        .b = kernel,
                                        .ld_b = N,
                                        .trans_b = BT_KERN_T,
                                        .M = R,
                                        .N = K,
                                        .K = N,
                                        .alpha = 1,
                                        .accumulate = add_to_d_in};
        bt_nn_product_run(nn, &to_input);
    }
}
