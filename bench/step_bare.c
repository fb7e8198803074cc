/* SPDX-License-Identifier: Apache-2.0
 *
 * The products of a step in BLAS, without the step. */
#include "bench_step.h"
#include "bt/base/alloc.h"
#include "bt/kern.h"

/* out = in W, and backward d_W += in' d_out, d_in = d_out W' */
static void bare_dense(const bare_products *m, int64_t rows, int64_t K, int64_t N) {
    bt_kern_gemm(m->c, N, BT_KERN_N, m->a, K, BT_KERN_N, m->b, N, rows, N, K, 1, 0);
    bt_kern_gemm(m->c, N, BT_KERN_T, m->a, K, BT_KERN_N, m->b, N, K, N, rows, 1, 1);
    bt_kern_gemm(m->c, K, BT_KERN_N, m->a, N, BT_KERN_T, m->b, N, rows, K, N, 1, 0);
}

void bare_step(const bare_products *m, const step_dims *dims, const bt_batch *batch) {
    const int64_t H = dims->hidden;
    const int64_t I = dims->intermediate;
    const int64_t T = batch->n_tokens;
    for (int64_t l = 0; l < dims->layers; l++) {
        /* of the last layer only the first token of a sequence is read */
        const int64_t rows = l == dims->layers - 1 && !dims->has_spans ? batch->n_seqs : T;
        bare_dense(m, rows, H, H);
        bare_dense(m, T, H, H);
        bare_dense(m, T, H, H);
        bare_dense(m, rows, H, H);
        bare_dense(m, rows, H, I);
        bare_dense(m, rows, I, H);
    }
    if (!dims->has_spans) {
        bare_dense(m, batch->n_seqs, H, H); /* the head's pooler */
    }
}

bt_status bare_init(bare_products *m, const step_dims *dims, int64_t n_tokens, bt_error *err) {
    BT_TRY(bt_kern_blas_load(err));
    const size_t rows = (size_t)n_tokens;
    const size_t I = (size_t)dims->intermediate;
    const size_t n = (rows > I ? rows : I) * I;
    m->a = bt_calloc_array(n, sizeof(float));
    m->b = bt_calloc_array(n, sizeof(float));
    m->c = bt_calloc_array(n, sizeof(float));
    if (m->a == NULL || m->b == NULL || m->c == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the bare matrix products");
    }
    for (size_t i = 0; i < n; i++) {
        m->a[i] = 0.5F + 1e-3F * (float)(i % 97);
        m->b[i] = 0.5F - 1e-3F * (float)(i % 89);
    }
    return BT_OK;
}

void bare_deinit(bare_products *m) {
    bt_free(m->a);
    bt_free(m->b);
    bt_free(m->c);
}
