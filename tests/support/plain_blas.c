/* SPDX-License-Identifier: Apache-2.0
 *
 * A BLAS for tests where the system has none (musl): cblas_sgemm of matrices in rows, as the
 * definition has it. Called libcblas.so.3, and found by LD_LIBRARY_PATH. */
#include <stddef.h>

enum { TRANSPOSED = 112 };

void cblas_sgemm(int order, int trans_a, int trans_b, int M, int N, int K, float alpha,
                 const float *a, int ld_a, const float *b, int ld_b, float beta, float *c,
                 int ld_c);

void cblas_sgemm(int order, int trans_a, int trans_b, int M, int N, int K, float alpha,
                 const float *a, int ld_a, const float *b, int ld_b, float beta, float *c,
                 int ld_c) {
    const ptrdiff_t a_row = trans_a == TRANSPOSED ? 1 : ld_a;
    const ptrdiff_t a_col = trans_a == TRANSPOSED ? ld_a : 1;
    const ptrdiff_t b_row = trans_b == TRANSPOSED ? 1 : ld_b;
    const ptrdiff_t b_col = trans_b == TRANSPOSED ? ld_b : 1;
    (void)order;
    for (ptrdiff_t i = 0; i < M; i++) {
        for (ptrdiff_t j = 0; j < N; j++) {
            double sum = 0;
            for (ptrdiff_t k = 0; k < K; k++) {
                sum += (double)a[i * a_row + k * a_col] * (double)b[k * b_row + j * b_col];
            }
            float *const at = c + i * (ptrdiff_t)ld_c + j;
            *at = alpha * (float)sum + (beta == 0 ? 0 : beta * *at);
        }
    }
}
