/* SPDX-License-Identifier: Apache-2.0
 *
 * Dense layers between arrays of bfloat16, with what follows a product done while its results are
 * in the cache: bias, activation, the activation's gradient and the bias's. The bias's gradient is
 * summed in float32, by the rows of a tile, then tile by tile: a function of the kernels, not of
 * the threads. */
#include <stdatomic.h>
#include <string.h>

#include "nn_internal.h"

typedef struct dense_job {
    bt_nn               *nn;
    const bt_nn_dense16 *d;
    bt_activation        act;
    uint16_t            *act_out; /* [R,N] */
    const uint16_t      *pre_act; /* [R,N] */
    bool                 sums;    /* partials of the bias's gradient are wanted */
} dense_job;

static bt_nn_product forward_product(const bt_nn_dense16 *d, const uint16_t *in) {
    return (bt_nn_product){.a16 = in,
                           .ld_a = d->K,
                           .b = d->kernel,
                           .ld_b = d->N,
                           .ld_c = d->N,
                           .M = d->R,
                           .N = d->N,
                           .K = d->K,
                           .alpha = 1};
}

static bt_nn_product input_product(const bt_nn_dense16 *d, const uint16_t *d_out) {
    return (bt_nn_product){.a16 = d_out,
                           .ld_a = d->N,
                           .b = d->kernel,
                           .ld_b = d->N,
                           .trans_b = BT_KERN_T,
                           .ld_c = d->K,
                           .M = d->R,
                           .N = d->K,
                           .K = d->N,
                           .alpha = 1};
}

/* The activation is that of the rounded number, which the backward has, too. */
static void bias_act(void *context, int32_t thread, float *c, int64_t ld_c, int64_t row,
                     int64_t n_rows, int64_t col, int64_t n_cols) {
    const dense_job *const job = context;
    const bt_kern *const   kern = job->nn->kern;
    float *const           scratch = nn_thread_scratch(job->nn, thread);
    for (int64_t i = 0; i < n_rows; i++) {
        float *const x = c + i * ld_c;
        kern->bias_round16(x, job->d->bias + col, n_cols);
        if (job->act_out == NULL) { /* nothing keeps x */
            kern->act_forward[job->act](x, x, n_cols);
        } else {
            kern->act_forward[job->act](scratch, x, n_cols);
            kern->to_bf16(job->act_out + (row + i) * job->d->N + col, scratch, n_cols);
        }
    }
}

void bt_nn_dense16_act_forward(bt_nn *nn, uint16_t *out, uint16_t *pre_act, const uint16_t *in,
                               bt_activation act, const bt_nn_dense16 *d) {
    dense_job     job = {.nn = nn, .d = d, .act = act, .act_out = pre_act != NULL ? out : NULL};
    bt_nn_product p = forward_product(d, in);
    p.c16 = pre_act != NULL ? pre_act : out;
    p.epilogue = bias_act;
    p.context = &job;
    bt_nn_product_run(nn, &p);
}

typedef struct residual_rows_job {
    bt_nn                     *nn;
    const bt_nn_residual_norm *r;
    float                     *out;
    atomic_bool                is_done;
} residual_rows_job;

/* A norm needs a row as a whole; where products are cut into narrower parts, it comes later. */
static void residual_rows(void *context, int32_t thread, float *c, int64_t ld_c, int64_t row,
                          int64_t n_rows, int64_t col, int64_t n_cols) {
    residual_rows_job *const job = context;
    (void)c; /* lies in r->sum */
    (void)ld_c;
    (void)col;
    if (n_cols == job->r->H) {
        nn_residual_norm_rows(job->nn, job->r, job->out, thread, row, row + n_rows);
        atomic_store_explicit(&job->is_done, true, memory_order_relaxed);
    }
}

void bt_nn_dense16_residual_forward(bt_nn *nn, const bt_nn_residual_norm *r, float *out,
                                    const uint16_t *in, const bt_nn_dense16 *d) {
    residual_rows_job job = {.nn = nn, .r = r, .out = out};
    bt_nn_product     p = forward_product(d, in);
    BT_ASSERT(d->N == r->H && d->R == r->R && d->bias == NULL);
    atomic_init(&job.is_done, false);
    p.c = r->sum;
    p.epilogue = residual_rows;
    p.context = &job;
    bt_nn_product_run(nn, &p);
    if (!atomic_load(&job.is_done)) {
        bt_nn_residual_norm_forward(nn, r, out);
    }
}

void bt_nn_dense16_backward_input(bt_nn *nn, float *d_in, uint16_t *d_in16, const uint16_t *d_out,
                                  const bt_nn_dense16 *d, bool add_to_d_in) {
    bt_nn_product p = input_product(d, d_out);
    p.c = d_in;
    p.c16 = d_in16;
    p.accumulate = add_to_d_in;
    bt_nn_product_run(nn, &p);
}

void bt_nn_dense16_backward_kernel(bt_nn *nn, float *d_kernel, const uint16_t *d_out,
                                   const uint16_t *in, const bt_nn_dense16 *d, bool add_to_it) {
    const bt_nn_product p = {.c = d_kernel,
                             .ld_c = d->N,
                             .a16 = in,
                             .ld_a = d->K,
                             .trans_a = BT_KERN_T,
                             .b16 = d_out,
                             .ld_b = d->N,
                             .M = d->K,
                             .N = d->N,
                             .K = d->R,
                             .alpha = 1,
                             .accumulate = add_to_it};
    bt_nn_product_run(nn, &p);
}

/* x [n] the input of the activation, y scratch; d becomes the gradient of x. */
static void act_row_backward(const dense_job *job, float *d, float *x, float *y, uint16_t *again,
                             int64_t n) {
    const bt_kern *const kern = job->nn->kern;
    if (again != NULL && kern->act_slope[job->act] != NULL) {
        kern->act_slope[job->act](y, x, x, n);
        kern->to_bf16(again, y, n);
        kern->mul(d, d, x, n);
        return;
    }
    if (again != NULL) {
        kern->act_forward[job->act](y, x, n);
        kern->to_bf16(again, y, n);
    }
    kern->act_backward[job->act](d, d, x, n);
}

/* The rows are those of a tile, so each part of a row of partial sums is written once. */
static void act_backward(void *context, int32_t thread, float *c, int64_t ld_c, int64_t row,
                         int64_t n_rows, int64_t col, int64_t n_cols) {
    const dense_job *const job = context;
    const bt_kern *const   kern = job->nn->kern;
    const int64_t          N = job->d->K; /* c is the gradient of what the layer above read */
    float *const           x = nn_thread_scratch(job->nn, thread);
    float *const           y = x + N;
    for (int64_t i = 0; i < n_rows; i++) {
        const int64_t at = (row + i) * N + col;
        kern->from_bf16(x, job->pre_act + at, n_cols);
        act_row_backward(job, c + i * ld_c, x, y, job->act_out == NULL ? NULL : job->act_out + at,
                         n_cols);
    }
    if (job->sums) {
        float *const sums = nn_partial(job->nn, row / job->nn->product->rows, N) + col;
        memset(sums, 0, (size_t)n_cols * sizeof *sums);
        for (int64_t i = 0; i < n_rows; i++) {
            kern->add(sums, sums, c + i * ld_c, n_cols);
        }
    }
}

void bt_nn_dense16_act_backward(bt_nn *nn, uint16_t *d_pre_act, float *d_bias, uint16_t *act_again,
                                const uint16_t *pre_act, bt_activation act, const uint16_t *d_out,
                                const bt_nn_dense16 *above) {
    dense_job     job = {.nn = nn,
                         .d = above,
                         .act = act,
                         .act_out = act_again,
                         .pre_act = pre_act,
                         .sums = d_bias != NULL};
    bt_nn_product p = input_product(above, d_out);
    p.c16 = d_pre_act;
    p.epilogue = act_backward;
    p.context = &job;
    bt_nn_product_run(nn, &p);
    const int64_t rows = nn->product->rows;
    nn_add_partials(nn, d_bias, (above->R + rows - 1) / rows, above->K, 0, above->K);
}

int64_t bt_nn_dense16_partials_size(const bt_kern_product *kern, int64_t max_rows,
                                    int64_t max_cols) {
    return (max_rows + kern->rows - 1) / kern->rows * max_cols;
}
