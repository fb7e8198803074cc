/* SPDX-License-Identifier: Apache-2.0
 *
 * Training steps whose instructions step_budget.py counts: a small BERT, one fixed batch, one
 * thread, AVX2, dropout and AdamW on. The counted steps are inside measured_steps, so that a
 * profiler can find them; what comes before (plans, first touches) is not counted. Nor are the
 * large matrix products: they go to a BLAS, and that is the function below, which costs next to
 * nothing (a profiler takes minutes for the real ones).
 *
 *     step_program            WARM_UP steps and the measured ones
 *     step_program --about    the compiler's name and major version, and how many steps are
 * measured
 *
 * Exit status 77 with a reason where the machine has no AVX2. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/exec.h"
#include "bt/kern.h"
#include "step_job.h"

enum { N_SEQS = 16, MAX_LENGTH = 32, VOCABULARY = 2000, WARM_UP = 2, MEASURED = 2 };

#ifdef __clang__
static const char compiler[] = "clang";
enum { COMPILER_MAJOR = __clang_major__ };
#else
static const char compiler[] = "gcc";
enum { COMPILER_MAJOR = __GNUC__ };
#endif

bt_status measured_steps(bt_exec *exec, const bt_batch *batch, bt_error *err);

/* Stands in front of the BLAS's own. C becomes (or gets added) numbers of the size that a product
 * would have, so that what follows computes with ordinary ones. */
void cblas_sgemm(int order, int trans_a, int trans_b, int M, int N, int K, float alpha,
                 const float *a, int ld_a, const float *b, int ld_b, float beta, float *c,
                 int ld_c);

void cblas_sgemm(int order, int trans_a, int trans_b, int M, int N, int K, float alpha,
                 const float *a, int ld_a, const float *b, int ld_b, float beta, float *c,
                 int ld_c) {
    (void)order;
    (void)trans_a;
    (void)trans_b;
    (void)K;
    (void)ld_a;
    (void)ld_b;
    for (int i = 0; i < M; i++) {
        const float x = alpha * (a[0] + (float)(i % 7) * 0.1F);
        for (int j = 0; j < N; j++) {
            float *const at = c + (ptrdiff_t)i * ld_c + j;
            *at = x * (b[0] + (float)(j % 5) * 0.1F) + (beta == 0 ? 0 : beta * *at);
        }
    }
}

typedef struct columns {
    int64_t offsets[N_SEQS + 1];
    int32_t ids[N_SEQS * MAX_LENGTH], types[N_SEQS * MAX_LENGTH], positions[N_SEQS * MAX_LENGTH];
    int32_t labels[N_SEQS];
} columns;

/* Lengths from 8 to 32; small ids are the frequent ones. */
static bt_batch make_batch(columns *c) {
    int64_t n = 0;
    for (int64_t b = 0; b < N_SEQS; b++) {
        const int64_t length = 8 + b * 11 % (MAX_LENGTH - 7);
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

static bt_status run_steps(bt_exec *exec, const bt_batch *batch, int64_t first, int64_t n,
                           bt_error *err) {
    for (int64_t step = first; step < first + n; step++) {
        bt_step_result result;
        BT_TRY(bt_exec_train_step(exec, batch, step, 1, &result, err));
        if (result.n_nonfinite > 0) {
            return BT_FAIL(err, BT_E_INTERNAL, "step %" PRId64 ": the loss is not finite", step);
        }
    }
    return BT_OK;
}

__attribute__((noinline)) bt_status measured_steps(bt_exec *exec, const bt_batch *batch,
                                                   bt_error *err) {
    return run_steps(exec, batch, WARM_UP, MEASURED, err);
}

static bt_status run(bt_error *err) {
    static columns         c;
    static const step_dims dims = {.layers = 3,
                                   .hidden = 128,
                                   .heads = 4,
                                   .intermediate = 512,
                                   .vocab = VOCABULARY,
                                   .positions = 64};
    bt_status              rc = BT_OK;
    bt_exec               *exec = NULL;
    step_job               job = {NULL, NULL, NULL};
    const bt_batch         batch = make_batch(&c);
    const bt_exec_config   config = {.n_threads = 1, .isa = "avx2", .use_blas = true};
    BT_CHECK(step_job_init(&job, &dims, err));
    BT_CHECK(bt_exec_create_cpu(job.model, job.optim, &config, &exec, err));
    bt_model_init_params(job.model, 1, bt_exec_params(exec));
    BT_CHECK(run_steps(exec, &batch, 0, WARM_UP, err));
    BT_CHECK(measured_steps(exec, &batch, err));
done:
    bt_exec_free(exec);
    step_job_deinit(&job);
    return rc;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--about") == 0) {
        (void)printf("%s-%d %d\n", compiler, (int)COMPILER_MAJOR, (int)MEASURED);
        return 0;
    }
    if (!bt_kern_has("avx2")) {
        (void)printf("this machine or build has no AVX2 kernels\n");
        return 77;
    }
    bt_error        err = BT_ERROR_INIT;
    const bt_status rc = run(&err);
    if (rc != BT_OK) {
        (void)fprintf(stderr, "step_program: error: %s\n", err.msg);
    }
    return bt_status_exit_code(rc);
}
