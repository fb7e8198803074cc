/* SPDX-License-Identifier: Apache-2.0
 *
 * The BLAS adapter: the only file that includes cblas.h and the only place that sets BLAS's
 * threads. OpenBLAS, MKL and BLIS name that call differently; it is looked up in the running
 * process, so any CBLAS can be linked or preloaded. */
#define _GNU_SOURCE
#include <cblas.h>
#include <dlfcn.h>
#include <string.h>

#include "bt/kern.h"

/* A function pointer out of dlsym, without a cast that ISO C forbids. */
static bool find_symbol(const char *name, void *function_pointer, size_t size) {
    void *const symbol = dlsym(RTLD_DEFAULT, name);
    if (symbol == NULL || size != sizeof symbol) {
        return false;
    }
    memcpy(function_pointer, &symbol, size);
    return true;
}

void bt_kern_blas_set_threads(int32_t n_threads) {
    static const char *const names[] = {"openblas_set_num_threads", "MKL_Set_Num_Threads"};
    for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
        void (*set_threads)(int) = NULL;
        if (find_symbol(names[i], &set_threads, sizeof set_threads)) {
            set_threads(n_threads);
            return;
        }
    }
    void (*set_threads_blis)(long) = NULL;
    if (find_symbol("bli_thread_set_num_threads", &set_threads_blis, sizeof set_threads_blis)) {
        set_threads_blis(n_threads);
    }
}

const char *bt_kern_blas_describe(void) {
    char *(*get_config)(void) = NULL;
    if (find_symbol("openblas_get_config", &get_config, sizeof get_config)) {
        const char *const config = get_config();
        if (config != NULL) {
            return config;
        }
    }
    return "CBLAS";
}

/* CBLAS counts in int (blasint in some builds): a dim beyond that is our own mistake, the model's
 * checks keep dims far below. */
static int as_blas_int(int64_t n) {
    BT_ASSERT(n >= 0 && n <= INT32_MAX);
    return (int)n;
}

void bt_kern_gemm(float *c, int64_t ld_c, bt_kern_trans trans_a, const float *a, int64_t ld_a,
                  bt_kern_trans trans_b, const float *b, int64_t ld_b, int64_t M, int64_t N,
                  int64_t K, float alpha, float beta) {
    if (M == 0 || N == 0) {
        return;
    }
    cblas_sgemm(CblasRowMajor, trans_a == BT_KERN_T ? CblasTrans : CblasNoTrans,
                trans_b == BT_KERN_T ? CblasTrans : CblasNoTrans, as_blas_int(M), as_blas_int(N),
                as_blas_int(K), alpha, a, as_blas_int(ld_a), b, as_blas_int(ld_b), beta, c,
                as_blas_int(ld_c));
}

void bt_kern_gemm__ref(float *c, int64_t ld_c, bt_kern_trans trans_a, const float *a, int64_t ld_a,
                       bt_kern_trans trans_b, const float *b, int64_t ld_b, int64_t M, int64_t N,
                       int64_t K, float alpha, float beta) {
    for (int64_t i = 0; i < M; i++) {
        for (int64_t j = 0; j < N; j++) {
            double sum = 0;
            for (int64_t k = 0; k < K; k++) {
                const float a_ik = trans_a == BT_KERN_T ? a[k * ld_a + i] : a[i * ld_a + k];
                const float b_kj = trans_b == BT_KERN_T ? b[j * ld_b + k] : b[k * ld_b + j];
                sum += (double)a_ik * (double)b_kj;
            }
            float *const c_ij = c + i * ld_c + j;
            *c_ij = alpha * (float)sum + (beta == 0 ? 0 : beta * *c_ij);
        }
    }
}
