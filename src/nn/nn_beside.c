/* SPDX-License-Identifier: Apache-2.0
 *
 * Dense layers that read the same rows. Forward they are one product, whose result falls into
 * several arrays; backward the gradient of what they read is one sum over the columns of all of
 * them, and those of their kernels are one product, for which the rows are packed once. */
#include <string.h>

#include "nn_internal.h"

void bt_nn_beside_forward(bt_nn *nn, const bt_nn_beside *d, int32_t n, const bt_nn_beside_in *x) {
    nn_bias       biases[BT_NN_MOST_PRODUCTS];
    bt_nn_product p[BT_NN_MOST_PRODUCTS];
    const float  *in = x->in;
    BT_ASSERT(n <= BT_NN_MOST_PRODUCTS);
    if (nn->rounded != NULL) {
        bt_nn_round_8_bits(nn->rounded, in, x->R * x->K);
        in = nn->rounded;
    }
    for (int32_t i = 0; i < n; i++) {
        biases[i] = (nn_bias){.kern = nn->kern, .bias = d[i].bias};
        p[i] = (bt_nn_product){.c = d[i].out,
                               .c16 = d[i].out16,
                               .ld_c = x->N,
                               .a = in,
                               .a16 = x->in16,
                               .ld_a = x->K,
                               .b = d[i].kernel,
                               .ld_b = x->N,
                               .M = x->R,
                               .N = x->N,
                               .K = x->K,
                               .alpha = 1,
                               .epilogue = d[i].bias != NULL ? nn_add_bias : NULL,
                               .context = &biases[i]};
    }
    bt_nn_products_beside(nn, p, n);
}

typedef struct biases_job {
    bt_nn              *nn;
    nn_chunks           chunks;
    const bt_nn_beside *d;
    int64_t             N, cols; /* cols: of a chunk's partial sums, those of all layers */
} biases_job;

static void biases_task(void *context, int64_t task, int32_t thread) {
    const biases_job *const job = context;
    const int64_t           first = nn_chunk_first(&job->chunks, task);
    float *const            sums = nn_partial(job->nn, task, job->cols);
    (void)thread;
    memset(sums, 0, (size_t)job->cols * sizeof *sums);
    for (int64_t i = 0; i * job->N < job->cols; i++) {
        if (job->d[i].d_bias != NULL) {
            job->nn->kern->column_sums(sums + i * job->N, job->d[i].d_out + first * job->N,
                                       nn_chunk_end(&job->chunks, task) - first, job->N);
        }
    }
}

static void biases_backward(bt_nn *nn, const bt_nn_beside *d, int32_t n, int64_t R, int64_t N) {
    biases_job job = {.nn = nn, .chunks = nn_chunks_of(R), .d = d, .N = N, .cols = n * N};
    bool       is_wanted = false;
    for (int32_t i = 0; i < n; i++) {
        is_wanted = is_wanted || d[i].d_bias != NULL;
    }
    if (!is_wanted) {
        return;
    }
    bt_pool_run(nn->pool, job.chunks.n_chunks, biases_task, &job);
    for (int32_t i = 0; i < n; i++) {
        nn_add_partials(nn, d[i].d_bias, job.chunks.n_chunks, job.cols, i * N, N);
    }
}

static void kernels_backward(bt_nn *nn, const bt_nn_beside *d, int32_t n,
                             const bt_nn_beside_in *x) {
    bt_nn_product p[BT_NN_MOST_PRODUCTS];
    int32_t       n_wanted = 0;
    for (int32_t i = 0; i < n; i++) {
        if (d[i].d_kernel != NULL) {
            p[n_wanted++] = (bt_nn_product){.c = d[i].d_kernel,
                                            .ld_c = x->N,
                                            .a = x->in,
                                            .a16 = x->in16,
                                            .ld_a = x->K,
                                            .trans_a = BT_KERN_T,
                                            .b = d[i].d_out,
                                            .b16 = d[i].d_out16,
                                            .ld_b = x->N,
                                            .M = x->K,
                                            .N = x->N,
                                            .K = x->R,
                                            .alpha = 1,
                                            .accumulate = d[i].add_to_d_kernel};
        }
    }
    bt_nn_products_beside(nn, p, n_wanted);
}

static void input_backward(bt_nn *nn, const bt_nn_beside *d, int32_t n, const bt_nn_beside_in *x,
                           float *d_in, bool add_to_d_in) {
    bt_nn_product p[BT_NN_MOST_PRODUCTS];
    for (int32_t i = 0; i < n; i++) {
        p[i] = (bt_nn_product){.c = d_in,
                               .ld_c = x->K,
                               .a = d[i].d_out,
                               .a16 = d[i].d_out16,
                               .ld_a = x->N,
                               .b = d[i].kernel,
                               .ld_b = x->N,
                               .trans_b = BT_KERN_T,
                               .M = x->R,
                               .N = x->K,
                               .K = x->N,
                               .alpha = 1,
                               .accumulate = add_to_d_in};
    }
    bt_nn_products_summed(nn, p, n);
}

void bt_nn_beside_backward(bt_nn *nn, const bt_nn_beside *d, int32_t n, const bt_nn_beside_in *x,
                           float *d_in, bool add_to_d_in) {
    BT_ASSERT(n <= BT_NN_MOST_PRODUCTS);
    biases_backward(nn, d, n, x->R, x->N);
    kernels_backward(nn, d, n, x);
    if (d_in != NULL) {
        input_backward(nn, d, n, x, d_in, add_to_d_in);
    }
}
