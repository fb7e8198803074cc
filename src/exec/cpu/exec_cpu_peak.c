/* SPDX-License-Identifier: Apache-2.0
 *
 * How fast this machine multiplies: one large matrix product on the engine's threads, with each
 * kind of kernels that there is. The factors are the size of a feed-forward layer of BERT-base over
 * a large batch; fewer rows where even that takes long (portable C, a sanitizer). */
#include <stdio.h>

#include "bt/base/alloc.h"
#include "bt/base/time.h"
#include "exec_cpu_internal.h"

enum { MAX_ROWS = 4096, FIRST_ROWS = 256, DEPTH = 768, COLS = 3072, RUNS = 5 };

/* A run that is longer tells enough with the rows that it has. */
static const double long_enough = 0.05;
/* No more runs once they took so long together. */
static const double patience = 1.0;

typedef struct peak_matrices {
    float *a, *b, *c; /* [MAX_ROWS,DEPTH] [DEPTH,COLS] [MAX_ROWS,COLS] */
} peak_matrices;

static void deinit_matrices(peak_matrices *m) {
    bt_free(m->a);
    bt_free(m->b);
    bt_free(m->c);
}

static bt_status init_matrices(peak_matrices *m, bt_error *err) {
    m->a = bt_alloc_array((size_t)MAX_ROWS * DEPTH, sizeof(float));
    m->b = bt_alloc_array((size_t)DEPTH * COLS, sizeof(float));
    m->c = bt_calloc_array((size_t)MAX_ROWS * COLS, sizeof(float));
    if (m->a == NULL || m->b == NULL || m->c == NULL) {
        return BT_FAIL(err, BT_E_NOMEM,
                       "out of memory for the product of which the machine's peak is measured");
    }
    for (int64_t i = 0; i < (int64_t)MAX_ROWS * DEPTH; i++) {
        m->a[i] = 0.5F - 1e-3F * (float)(i % 997);
    }
    for (int64_t i = 0; i < (int64_t)DEPTH * COLS; i++) {
        m->b[i] = 0.5F - 1e-3F * (float)(i % 991);
    }
    return BT_OK;
}

static double seconds_of(bt_nn *nn, const peak_matrices *m, int64_t rows) {
    const bt_nn_product product = {.c = m->c,
                                   .ld_c = COLS,
                                   .a = m->a,
                                   .ld_a = DEPTH,
                                   .b = m->b,
                                   .ld_b = COLS,
                                   .M = rows,
                                   .N = COLS,
                                   .K = DEPTH,
                                   .alpha = 1};
    const double        start = bt_time_monotonic();
    bt_nn_product_run(nn, &product);
    return bt_time_monotonic() - start;
}

/* The first run of each size warms up. */
static double best_rate(bt_nn *nn, const peak_matrices *m) {
    int64_t rows = FIRST_ROWS;
    double  spent = seconds_of(nn, m, rows);
    while (rows < MAX_ROWS && spent < long_enough) {
        rows *= 2;
        spent = seconds_of(nn, m, rows);
    }
    double best = spent;
    for (int i = 0; i < RUNS && spent < patience; i++) {
        const double seconds = seconds_of(nn, m, rows);
        best = seconds < best ? seconds : best;
        spent += seconds;
    }
    return 2.0 * (double)(rows * DEPTH * COLS) / best;
}

/* product NULL: BLAS. */
static bt_status measure_peak(const exec_cpu *exec, const bt_kern_product *product,
                              const peak_matrices *m, bt_exec_peak *out, bt_error *err) {
    bt_nn        nn = {.kern = &exec->kern, .pool = exec->pool, .product = product};
    const size_t n_threads = (size_t)bt_pool_n_threads(exec->pool);
    nn.panel_bytes = bt_nn_product_scratch_bytes(product);
    nn.panels = bt_alloc_array(n_threads, nn.panel_bytes);
    if (nn.panels == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the panels of %zu threads", n_threads);
    }
    (void)snprintf(out->kernels, sizeof out->kernels, "%s%s%s",
                   product != NULL ? exec->kern.isa : "", product != NULL ? ", " : "",
                   product != NULL ? product->name : bt_kern_blas_describe());
    out->flops_per_second = best_rate(&nn, m);
    bt_free(nn.panels);
    return BT_OK;
}

bt_status exec_cpu_measure_peaks(bt_exec *base, bt_exec_peak peaks[BT_EXEC_MAX_PEAKS], size_t *n,
                                 bt_error *no_blas, bt_error *err) {
    exec_cpu *const              exec = exec_cpu_of(base);
    bt_status                    rc = BT_OK;
    peak_matrices                m = {NULL, NULL, NULL};
    const bt_kern_product *const own = &exec->kern.products[BT_PRECISION_F32];
    *n = 0;
    BT_CHECK(init_matrices(&m, err));
    if (own->rows > 0) {
        peaks[*n] = (bt_exec_peak){.precision = BT_PRECISION_F32};
        BT_CHECK(measure_peak(exec, own, &m, &peaks[(*n)++], err));
    }
    if (exec->precision != BT_PRECISION_F32) {
        peaks[*n] = (bt_exec_peak){.precision = exec->precision};
        BT_CHECK(measure_peak(exec, exec->nn.product, &m, &peaks[(*n)++], err));
    }
    /* last: its threads spin on for a while, and start wherever this one may run */
    bt_pool_unpin(exec->pool);
    if (bt_kern_blas_load(no_blas) != BT_OK) {
        goto done;
    }
    peaks[*n] = (bt_exec_peak){.precision = BT_PRECISION_F32};
    BT_CHECK(measure_peak(exec, NULL, &m, &peaks[(*n)++], err));
done:
    deinit_matrices(&m);
    return rc;
}
