/* SPDX-License-Identifier: Apache-2.0
 *
 * The BLAS adapter: the only place that knows of a BLAS. No program is linked with one, because
 * OpenBLAS starts its threads when it is loaded, which a run whose products are our own has no use
 * for; it is loaded when something is about to multiply with it. The one function that is called
 * has the same form in every CBLAS whose integers are int, so no header is needed, and what names
 * its call for the number of threads differently (OpenBLAS, MKL, BLIS) is looked up by name. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/cores.h"
#include "bt/base/memory.h"
#include "bt/base/str.h"
#include "bt/kern.h"

/* CBLAS's enumerations, fixed since 1998. */
enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 };

typedef void sgemm_function(int order, int trans_a, int trans_b, int M, int N, int K, float alpha,
                            const float *a, int ld_a, const float *b, int ld_b, float beta,
                            float *c, int ld_c);

/* In this order; documented in docs/performance.md. */
static const char *const usual_libraries[] = {"libopenblas.so.0", "libopenblas.so", "libblis.so.4",
                                              "libblis.so",       "libmkl_rt.so.2", "libmkl_rt.so",
                                              "libblas.so.3",     "libcblas.so.3"};

/* What a thread of OpenBLAS takes of the address space: a buffer of 128 MiB and its stack; what its
 * code takes, once. */
static const uint64_t thread_bytes = UINT64_C(144) << 20;
static const uint64_t code_bytes = UINT64_C(64) << 20;

/* Of the process, like the BLAS's own state. */
static struct {
    char            wanted[4096]; /* runtime.blas_library; "": one of the usual ones */
    int32_t         n_threads;    /* 0: one a physical core */
    void           *handle;
    sgemm_function *sgemm; /* NULL: not loaded */
    char            description[256];
} blas;

/* A function pointer out of dlsym, without a cast that ISO C forbids. */
static bool find_symbol(void *handle, const char *name, void *function_pointer, size_t size) {
    void *const symbol = dlsym(handle, name);
    if (symbol == NULL || size != sizeof symbol) {
        return false;
    }
    memcpy(function_pointer, &symbol, size);
    return true;
}

static int32_t wanted_threads(void) {
    return blas.n_threads > 0 ? blas.n_threads : bt_n_physical_cores();
}

static void set_threads(void) {
    static const char *const names[] = {"openblas_set_num_threads", "MKL_Set_Num_Threads"};
    for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
        void (*set)(int) = NULL;
        if (find_symbol(blas.handle, names[i], &set, sizeof set)) {
            set(wanted_threads());
            return;
        }
    }
    void (*set_blis)(long) = NULL;
    if (find_symbol(blas.handle, "bli_thread_set_num_threads", &set_blis, sizeof set_blis)) {
        set_blis(wanted_threads());
    }
}

void bt_kern_blas_choose(const char *library, int32_t n_threads) {
    if (library != NULL && !bt_str_equal(library, blas.wanted)) {
        blas.sgemm = NULL; /* the old one stays in memory: its threads may be in it */
        (void)snprintf(blas.wanted, sizeof blas.wanted, "%s", library);
    }
    blas.n_threads = n_threads;
}

bool bt_kern_blas_is_loaded(void) {
    return blas.sgemm != NULL;
}

const char *bt_kern_blas_describe(void) {
    return blas.sgemm != NULL ? blas.description : "BLAS, not loaded";
}

/* OpenBLAS's own words begin with its name; another library has none, and its file must do. */
static void describe(const char *library) {
    char *(*get_config)(void) = NULL;
    const char *config = NULL;
    if (find_symbol(blas.handle, "openblas_get_config", &get_config, sizeof get_config)) {
        config = get_config();
    }
    (void)snprintf(blas.description, sizeof blas.description, "%s (%s)",
                   config != NULL ? config : "CBLAS", library);
}

/* A build whose integers have 64 bits has functions of the same names. OpenBLAS says so; others
 * are found out by what they multiply: small whole numbers, so the answer is exact. */
static bool multiplies_rightly(sgemm_function *sgemm) {
    static const float a[] = {1, 2, 3, 4, 5, 6};    /* [2,3] */
    static const float b[] = {7, 8, 9, 10, 11, 12}; /* [3,2] */
    static const float want[] = {58 + 1, 64 + 1, 139 + 1, 154 + 1};
    float              c[] = {1, 1, 1, 1};
    sgemm(ROW_MAJOR, NO_TRANS, NO_TRANS, 2, 2, 3, 1, a, 3, b, 2, 1, c, 2);
    for (size_t i = 0; i < BT_ARRAY_LEN(want); i++) {
        if (c[i] < want[i] || c[i] > want[i]) {
            return false;
        }
    }
    return true;
}

/* OpenBLAS starts as many threads as there are cores unless its environment says another number. */
static void *open_library(const char *library) {
    char number[16];
    (void)snprintf(number, sizeof number, "%" PRId32, wanted_threads());
    (void)setenv("OPENBLAS_NUM_THREADS", number, 0); /* without it there are only more threads */
    return dlopen(library, RTLD_NOW | RTLD_LOCAL);
}

static bt_status check_library(const char *library, sgemm_function *sgemm, bt_error *err) {
    char *(*get_config)(void) = NULL;
    if (find_symbol(blas.handle, "openblas_get_config", &get_config, sizeof get_config) &&
        get_config() != NULL && strstr(get_config(), "USE64BITINT") != NULL) {
        return BT_FAIL(err, BT_E_BACKEND,
                       "BLAS %s counts in integers of 64 bits, expected a build with 32 bits (an "
                       "LP64 one): name another in runtime.blas_library",
                       library);
    }
    if (!multiplies_rightly(sgemm)) {
        return BT_FAIL(err, BT_E_BACKEND,
                       "BLAS %s multiplies a matrix of 2 by 3 wrongly, as one with integers of 64 "
                       "bits would: name another in runtime.blas_library",
                       library);
    }
    return BT_OK;
}

/* A limit that the library meets while it starts or multiplies makes it wait for ever. */
static bt_status check_room(bt_error *err) {
    const uint64_t left = bt_memory_within_limits("");
    const uint64_t wanted = code_bytes + (uint64_t)wanted_threads() * thread_bytes;
    if (left >= wanted) {
        return BT_OK;
    }
    return BT_FAIL(err, BT_E_NOMEM,
                   "no room for a BLAS: with %" PRId32 " thread%s it takes %.0f MiB of address "
                   "space, but the limits of this shell (ulimit -v, -d) leave %.0f MiB: raise "
                   "them, set runtime.threads lower, or runtime.matmul to auto",
                   wanted_threads(), wanted_threads() == 1 ? "" : "s", (double)wanted / 0x1p20,
                   (double)left / 0x1p20);
}

static bt_status load_named(bt_error *err) {
    sgemm_function *sgemm = NULL;
    blas.handle = open_library(blas.wanted);
    if (blas.handle == NULL) {
        const char *const why = dlerror();
        return BT_FAIL(err, BT_E_BACKEND,
                       "runtime.blas_library: %s cannot be loaded (%s): expected the path or the "
                       "name of a CBLAS, such as libopenblas.so.0, or nothing for the usual ones",
                       blas.wanted, why != NULL ? why : "no reason is given");
    }
    if (!find_symbol(blas.handle, "cblas_sgemm", &sgemm, sizeof sgemm)) {
        return BT_FAIL(err, BT_E_BACKEND,
                       "runtime.blas_library: %s is a library without cblas_sgemm: expected a "
                       "CBLAS, such as libopenblas.so.0, or nothing for the usual ones",
                       blas.wanted);
    }
    BT_TRY(check_library(blas.wanted, sgemm, err));
    describe(blas.wanted);
    blas.sgemm = sgemm;
    return BT_OK;
}

static bt_status fail_none(bt_error *err) {
    char   list[256] = "";
    size_t n = 0;
    for (size_t i = 0; i < BT_ARRAY_LEN(usual_libraries) && n < sizeof list; i++) {
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", i > 0 ? ", " : "",
                              usual_libraries[i]);
    }
    return BT_FAIL(err, BT_E_BACKEND,
                   "no BLAS is installed: none of %s can be loaded; install one (Debian: "
                   "libopenblas0) or name one in runtime.blas_library",
                   list);
}

/* One that was preloaded comes first: who did that wants it. */
static bt_status load_usual(bt_error *err) {
    sgemm_function *sgemm = NULL;
    blas.handle = RTLD_DEFAULT;
    if (find_symbol(blas.handle, "cblas_sgemm", &sgemm, sizeof sgemm)) {
        describe("preloaded");
        blas.sgemm = sgemm;
        return BT_OK;
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(usual_libraries); i++) {
        blas.handle = open_library(usual_libraries[i]);
        if (blas.handle != NULL && find_symbol(blas.handle, "cblas_sgemm", &sgemm, sizeof sgemm)) {
            BT_TRY(check_library(usual_libraries[i], sgemm, err));
            describe(usual_libraries[i]);
            blas.sgemm = sgemm;
            return BT_OK;
        }
    }
    return fail_none(err);
}

bt_status bt_kern_blas_load(bt_error *err) {
    if (blas.sgemm == NULL) {
        BT_TRY(check_room(err));
        BT_TRY(blas.wanted[0] != '\0' ? load_named(err) : load_usual(err));
    }
    set_threads();
    return BT_OK;
}

/* CBLAS counts in int: a dim beyond that is our own mistake, the model's checks keep dims far
 * below. */
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
    BT_ASSERT(blas.sgemm != NULL);
    blas.sgemm(ROW_MAJOR, trans_a == BT_KERN_T ? TRANS : NO_TRANS,
               trans_b == BT_KERN_T ? TRANS : NO_TRANS, as_blas_int(M), as_blas_int(N),
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
