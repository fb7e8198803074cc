/* SPDX-License-Identifier: Apache-2.0
 *
 * Passes whose instructions step_budget.py counts: a small BERT, one fixed batch, AVX2, dropout and
 * AdamW on where it trains. The counted passes are inside measured_passes, so that a profiler can
 * find them; what comes before (plans, first touches) is not counted. Nor are the large matrix
 * products: a function below stands in front of them and costs next to nothing (a profiler takes
 * minutes for the real ones).
 *
 *     step_program            each of `cases`: WARM_UP passes and the measured ones, then a line
 *                             with its name, the measured passes, and the operations of the
 *                             products of one
 *     step_program --about    the compiler's name and major version
 *
 * Exit status 77 with a reason where the machine has no AVX2. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/exec.h"
#include "bt/kern.h"
#include "bt/nn.h"
#include "step_job.h"

enum { N_SEQS = 32, MAX_LENGTH = 16, VOCABULARY = 2000, WARM_UP = 1 };

#ifdef __clang__
static const char compiler[] = "clang";
enum { COMPILER_MAJOR = __clang_major__ };
#else
static const char compiler[] = "gcc";
enum { COMPILER_MAJOR = __GNUC__ };
#endif

typedef struct budget_case {
    const char  *name;
    bt_precision precision;
    bool         trains;
    bool         is_wide; /* work is cut as for MANY_THREADS, and real products cut it */
    int64_t      n_passes;
} budget_case;

/* bfloat16's products are made by rounding here, since valgrind knows nothing else. */
static const budget_case cases[] = {
    {.name = "float32", .trains = true, .n_passes = 1},
    {.name = "bfloat16", .precision = BT_PRECISION_BF16, .trains = true, .n_passes = 1},
    {.name = "prediction", .n_passes = 1},
    {.name = "prediction-bfloat16", .precision = BT_PRECISION_BF16, .n_passes = 1},
    {.name = "wide", .trains = true, .is_wide = true, .n_passes = 1},
};

bt_status measured_passes(const budget_case *now, bt_exec *exec, const bt_batch *batch,
                          double *flops, bt_error *err);
void      __wrap_bt_nn_product_run(bt_nn *nn, const bt_nn_product *p);
void      __real_bt_nn_product_run(bt_nn *nn, const bt_nn_product *p);
void      __wrap_bt_nn_products_beside(bt_nn *nn, const bt_nn_product *p, int32_t n);
void      __real_bt_nn_products_beside(bt_nn *nn, const bt_nn_product *p, int32_t n);
void      __wrap_bt_nn_products_summed(bt_nn *nn, const bt_nn_product *p, int32_t n);
void      __real_bt_nn_products_summed(bt_nn *nn, const bt_nn_product *p, int32_t n);
void      fill_product(const bt_nn_product *p, float *c, int64_t ld_c, int64_t n_rows);
int32_t   __wrap_bt_pool_n_threads(const bt_pool *pool);
int32_t   __real_bt_pool_n_threads(const bt_pool *pool);

static bool is_wide;

enum { ROWS_A_TASK = 16, MANY_THREADS = 64, SMALL_DEPTH = 8, MAX_COLS = 4096 };

/* The linker leads all calls here: whoever cuts work cuts it for as many, and one thread does it.
 */
int32_t __wrap_bt_pool_n_threads(const bt_pool *pool) {
    return is_wide ? MANY_THREADS : __real_bt_pool_n_threads(pool);
}

/* C becomes (or gets added) numbers of the size that a product would have, so that what follows
 * computes with ordinary ones. */
__attribute__((noinline)) void fill_product(const bt_nn_product *p, float *c, int64_t ld_c,
                                            int64_t n_rows) {
    for (int64_t i = 0; i < n_rows; i++) {
        float *const row = c + i * ld_c;
        for (int64_t j = 0; j < p->N; j++) {
            row[j] = p->alpha * 0.1F * (float)(i % 7 - 3) + (p->accumulate ? row[j] : 0);
        }
    }
}

typedef struct product_job {
    const bt_kern       *kern;
    const bt_nn_product *p;
} product_job;

static void product_task(void *context, int64_t task, int32_t thread) {
    static float               rows[ROWS_A_TASK * MAX_COLS]; /* what is rounded */
    const product_job *const   job = context;
    const bt_nn_product *const p = job->p;
    const int64_t              first = task * ROWS_A_TASK;
    const int64_t              n_rows = first + ROWS_A_TASK < p->M ? ROWS_A_TASK : p->M - first;
    float *const               c = p->c16 != NULL ? rows : p->c + first * p->ld_c;
    const int64_t              ld_c = p->c16 != NULL ? p->N : p->ld_c;
    BT_ASSERT(p->c16 == NULL || p->N <= MAX_COLS);
    fill_product(p, c, ld_c, n_rows);
    if (p->epilogue != NULL) {
        p->epilogue(p->context, thread, c, ld_c, first, n_rows, 0, p->N);
    }
    for (int64_t i = 0; p->c16 != NULL && i < n_rows; i++) {
        job->kern->to_bf16(p->c16 + (first + i) * p->ld_c, c + i * ld_c, p->N);
    }
}

static bt_nn_product with_small_depth(const bt_nn_product *p) {
    bt_nn_product mine = *p;
    mine.K = p->K < SMALL_DEPTH ? p->K : SMALL_DEPTH;
    return mine;
}

/* So do all calls of bt_nn_product_run. The wide ones sum little, and cut as they always do. */
void __wrap_bt_nn_product_run(bt_nn *nn, const bt_nn_product *p) {
    if (is_wide) {
        const bt_nn_product mine = with_small_depth(p);
        __real_bt_nn_product_run(nn, &mine);
        return;
    }
    product_job job = {.kern = nn->kern, .p = p};
    bt_pool_run(nn->pool, (p->M + ROWS_A_TASK - 1) / ROWS_A_TASK, product_task, &job);
    nn->products.flops += 2.0 * (double)p->M * (double)p->N * (double)p->K;
}

void __wrap_bt_nn_products_beside(bt_nn *nn, const bt_nn_product *p, int32_t n) {
    bt_nn_product mine[BT_NN_MOST_PRODUCTS];
    for (int32_t i = 0; i < n && i < BT_NN_MOST_PRODUCTS; i++) {
        mine[i] = with_small_depth(&p[i]);
        if (!is_wide) {
            __wrap_bt_nn_product_run(nn, &p[i]);
        }
    }
    if (is_wide) {
        __real_bt_nn_products_beside(nn, mine, n);
    }
}

void __wrap_bt_nn_products_summed(bt_nn *nn, const bt_nn_product *p, int32_t n) {
    bt_nn_product mine[BT_NN_MOST_PRODUCTS];
    for (int32_t i = 0; i < n && i < BT_NN_MOST_PRODUCTS; i++) {
        mine[i] = is_wide ? with_small_depth(&p[i]) : p[i];
        mine[i].accumulate = p->accumulate || i > 0;
        if (!is_wide) {
            __wrap_bt_nn_product_run(nn, &mine[i]);
        }
    }
    if (is_wide) {
        __real_bt_nn_products_summed(nn, mine, n);
    }
}

typedef struct columns {
    int64_t offsets[N_SEQS + 1];
    int32_t ids[N_SEQS * MAX_LENGTH], types[N_SEQS * MAX_LENGTH], positions[N_SEQS * MAX_LENGTH];
    int32_t labels[N_SEQS];
} columns;

/* Lengths from 4 to 16; small ids are the frequent ones. */
static bt_batch make_batch(columns *c) {
    int64_t n = 0;
    for (int64_t b = 0; b < N_SEQS; b++) {
        const int64_t length = 4 + b * 11 % (MAX_LENGTH - 3);
        for (int64_t s = 0; s < length; s++, n++) {
            const uint32_t word = (uint32_t)n * 2654435761U >> 16;
            c->ids[n] = (int32_t)(word * word >> 16) % VOCABULARY;
            c->types[n] = s > length / 2;
            c->positions[n] = (int32_t)s;
        }
        c->offsets[b + 1] = n;
        c->labels[b] = (int32_t)(b % 2);
    }
    return (bt_batch){.n_seqs = N_SEQS,
                      .n_tokens = n,
                      .max_tokens = MAX_LENGTH,
                      .seq_length = MAX_LENGTH,
                      .offsets = c->offsets,
                      .ids = c->ids,
                      .types = c->types,
                      .positions = c->positions,
                      .int_labels = c->labels};
}

static bt_status run_passes(const budget_case *now, bt_exec *exec, const bt_batch *batch,
                            int64_t first, int64_t n, double *flops, bt_error *err) {
    for (int64_t step = first; step < first + n; step++) {
        bt_step_result result;
        BT_TRY(now->trains ? bt_exec_train_step(exec, batch, step, 1, &result, err)
                           : bt_exec_evaluate(exec, batch, &result, err));
        if (result.n_nonfinite > 0) {
            return BT_FAIL(err, BT_E_INTERNAL, "%s: pass %" PRId64 ": the loss is not finite",
                           now->name, step);
        }
        *flops = result.times.product_flops;
    }
    return BT_OK;
}

__attribute__((noinline)) bt_status measured_passes(const budget_case *now, bt_exec *exec,
                                                    const bt_batch *batch, double *flops,
                                                    bt_error *err) {
    return run_passes(now, exec, batch, WARM_UP, now->n_passes, flops, err);
}

static bt_status run(const budget_case *now, const step_job *job, const bt_batch *batch,
                     bt_error *err) {
    bt_status            rc = BT_OK;
    bt_exec             *exec = NULL;
    double               flops = 0;
    const bt_exec_config config = {
        .n_threads = 1, .isa = "avx2", .precision = now->precision, .only_evaluates = !now->trains};
    is_wide = now->is_wide;
    BT_CHECK(bt_exec_create_cpu(job->model, now->trains ? job->optim : NULL, &config, &exec, err));
    bt_model_init_params(job->model, 1, bt_exec_params(exec));
    BT_CHECK(bt_exec_changed(exec, err));
    BT_CHECK(run_passes(now, exec, batch, 0, WARM_UP, &flops, err));
    BT_CHECK(measured_passes(now, exec, batch, &flops, err));
    (void)printf("%s %" PRId64 " %.0f\n", now->name, now->n_passes, flops);
done:
    bt_exec_free(exec);
    return rc;
}

static bt_status run_all(bt_error *err) {
    static columns         c;
    static const step_dims dims = {.layers = 2,
                                   .hidden = 192,
                                   .heads = 6,
                                   .intermediate = 768,
                                   .vocab = VOCABULARY,
                                   .positions = 64};
    bt_status              rc = BT_OK;
    step_job               job = {NULL, NULL, NULL};
    const bt_batch         batch = make_batch(&c);
    BT_CHECK(step_job_init(&job, &dims, err));
    for (size_t i = 0; i < BT_ARRAY_LEN(cases); i++) {
        BT_CHECK(run(&cases[i], &job, &batch, err));
    }
done:
    step_job_deinit(&job);
    return rc;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--about") == 0) {
        (void)printf("%s-%d\n", compiler, (int)COMPILER_MAJOR);
        return 0;
    }
    if (!bt_kern_has("avx2")) {
        (void)printf("this machine or build has no AVX2 kernels\n");
        return 77;
    }
    bt_error        err = BT_ERROR_INIT;
    const bt_status rc = run_all(&err);
    if (rc != BT_OK) {
        (void)fprintf(stderr, "step_program: error: %s\n", err.msg);
    }
    return bt_status_exit_code(rc);
}
