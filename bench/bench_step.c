/* SPDX-License-Identifier: Apache-2.0
 *
 * Measures training steps of the CPU engine: the dims of all-MiniLM-L6-v2 or of BERT-base, batches
 * whose lengths are spread as MRPC's, SST-2's or CoLA's are at max_seq_length 128, dropout on,
 * AdamW with clipping. Beside it the bare products of the same steps (same shapes, no padding, no
 * unread rows) in BLAS: efficiency is their seconds divided by the seconds of the whole step. The
 * two are measured in turns, --rounds of each. Prints one JSON object: medians over the measured
 * steps.
 *
 *     bench_step [--model=minilm|base] [--lengths=mrpc|sst2|cola] [--batch=32] [--steps=20]
 *                [--rounds=3] [--threads=0] [--isa=auto] [--products=auto|blas|bf16]
 *                [--weights=normal|denormal|nan] */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "bt/base/rng.h"
#include "bt/base/str.h"
#include "bt/base/time.h"
#include "bt/exec.h"
#include "bt/kern.h"

enum { MAX_STEPS = 1000, MAX_ROUNDS = 9, WARM_UP = 3, N_BATCHES = 4 };

typedef struct options {
    const char *model;
    const char *lengths;
    const char *isa;
    const char *products;
    const char *weights;
    int64_t     rounds;
    int64_t     batch;
    int64_t     steps;
    int64_t     threads;
} options;

/* Lengths at the deciles of the real training files, special tokens included. */
static const int64_t mrpc_deciles[11] = {19, 36, 41, 45, 50, 53, 57, 61, 64, 70, 103};
static const int64_t sst2_deciles[11] = {3, 4, 6, 7, 8, 10, 13, 16, 20, 27, 66};
static const int64_t cola_deciles[11] = {4, 7, 8, 9, 10, 10, 11, 12, 14, 17, 47};

static const int64_t *deciles_of(const char *lengths) {
    return strcmp(lengths, "sst2") == 0   ? sst2_deciles
           : strcmp(lengths, "cola") == 0 ? cola_deciles
                                          : mrpc_deciles;
}

typedef struct packed {
    bt_batch batch;
    int64_t *offsets;
    int32_t *ids, *types, *positions, *labels;
} packed;

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int64_t n) {
    qsort(values, (size_t)n, sizeof *values, compare_doubles);
    return values[n / 2];
}

static bt_status make_batch(packed *p, const options *o, bt_rng_key key, bt_error *err) {
    const int64_t *const deciles = deciles_of(o->lengths);
    const size_t         B = (size_t)o->batch;
    const size_t         room = B * 128;
    p->offsets = bt_calloc_array(B + 1, sizeof *p->offsets);
    p->ids = bt_calloc_array(room, sizeof *p->ids);
    p->types = bt_calloc_array(room, sizeof *p->types);
    p->positions = bt_calloc_array(room, sizeof *p->positions);
    p->labels = bt_calloc_array(B, sizeof *p->labels);
    if (p->offsets == NULL || p->ids == NULL || p->types == NULL || p->positions == NULL ||
        p->labels == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a batch");
    }
    int64_t n = 0;
    int64_t longest = 0;
    for (size_t b = 0; b < B; b++) {
        const double  u = (double)bt_rng_uniform(key, b) * 10;
        const int64_t d = (int64_t)u;
        const double  span = (double)(deciles[d + 1] - deciles[d]);
        const int64_t length = deciles[d] + (int64_t)(span * (u - (double)d));
        for (int64_t s = 0; s < length; s++, n++) {
            const double x = (double)bt_rng_uniform(key, (uint64_t)(n + 100000));
            p->ids[n] = (int32_t)(x * x * 30521); /* small ids are the frequent ones */
            p->types[n] = s > length / 2;
            p->positions[n] = (int32_t)s;
        }
        p->offsets[b + 1] = n;
        p->labels[b] = (int32_t)(b % 2);
        longest = length > longest ? length : longest;
    }
    p->batch = (bt_batch){.n_seqs = o->batch,
                          .n_tokens = n,
                          .max_tokens = longest,
                          .seq_length = 128,
                          .offsets = p->offsets,
                          .ids = p->ids,
                          .types = p->types,
                          .positions = p->positions,
                          .int_labels = p->labels};
    return BT_OK;
}

static void free_batch(packed *p) {
    bt_free(p->offsets);
    bt_free(p->ids);
    bt_free(p->types);
    bt_free(p->positions);
    bt_free(p->labels);
}

static bt_status make_optim(const bt_model *model, bt_conf **conf, bt_optim **optim,
                            bt_error *err) {
    const bt_conf_args args = {.experiment = "bert/sentence_prediction"};
    bt_conf_errors     errors = BT_CONF_ERRORS_INIT;
    const bt_status    rc = bt_conf_build(&args, conf, &errors, err);
    bt_conf_errors_deinit(&errors);
    BT_TRY(rc);
    const bt_optim_derived derived = {.train_steps = 1000, .warmup_steps = 100};
    return bt_optim_create(*conf, &derived, &model->table, optim, err);
}

typedef struct matrices {
    float *a, *b, *c;
} matrices;

/* out = in W, and backward d_W += in' d_out, d_in = d_out W' */
static void bare_dense(const matrices *m, int64_t rows, int64_t K, int64_t N) {
    bt_kern_gemm(m->c, N, BT_KERN_N, m->a, K, BT_KERN_N, m->b, N, rows, N, K, 1, 0);
    bt_kern_gemm(m->c, N, BT_KERN_T, m->a, K, BT_KERN_N, m->b, N, K, N, rows, 1, 1);
    bt_kern_gemm(m->c, K, BT_KERN_N, m->a, N, BT_KERN_T, m->b, N, rows, K, N, 1, 0);
}

static void bare_step(const matrices *m, const bt_encoder_config *e, const bt_batch *batch) {
    const int64_t H = e->hidden_size;
    const int64_t I = e->intermediate_size;
    const int64_t T = batch->n_tokens;
    for (int64_t l = 0; l < e->num_layers; l++) {
        /* of the last layer only the first token of a sequence is read */
        const int64_t rows = l == e->num_layers - 1 ? batch->n_seqs : T;
        bare_dense(m, rows, H, H);
        bare_dense(m, T, H, H);
        bare_dense(m, T, H, H);
        bare_dense(m, rows, H, H);
        bare_dense(m, rows, H, I);
        bare_dense(m, rows, I, H);
    }
    bare_dense(m, batch->n_seqs, H, H); /* the head's pooler */
}

static bt_status make_matrices(matrices *m, const options *o, const bt_encoder_config *e,
                               bt_error *err) {
    BT_TRY(bt_kern_blas_load(err));
    const size_t rows = (size_t)o->batch * 128;
    const size_t I = (size_t)e->intermediate_size;
    const size_t n = (rows > I ? rows : I) * I;
    m->a = bt_calloc_array(n, sizeof(float));
    m->b = bt_calloc_array(n, sizeof(float));
    m->c = bt_calloc_array(n, sizeof(float));
    if (m->a == NULL || m->b == NULL || m->c == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the bare products");
    }
    for (size_t i = 0; i < n; i++) {
        m->a[i] = 0.5F + 1e-3F * (float)(i % 97);
        m->b[i] = 0.5F - 1e-3F * (float)(i % 89);
    }
    return BT_OK;
}

/* Of every measured step; bare of every bare one. */
typedef struct samples {
    int64_t n, n_bare;
    double  seconds[MAX_STEPS * MAX_ROUNDS], forward[MAX_STEPS * MAX_ROUNDS];
    double  backward[MAX_STEPS * MAX_ROUNDS], update[MAX_STEPS * MAX_ROUNDS];
    double  products[MAX_STEPS * MAX_ROUNDS], rate[MAX_STEPS * MAX_ROUNDS];
    double  bare[MAX_STEPS * MAX_ROUNDS];
} samples;

static bt_status run_steps(bt_exec *exec, const packed *batches, const options *o, samples *s,
                           bt_error *err) {
    bt_step_result result = {.loss = 0};
    for (int64_t i = 0; i < o->steps + WARM_UP; i++) {
        const bt_batch *const batch = &batches[i % N_BATCHES].batch;
        const double          start = bt_time_monotonic();
        BT_TRY(bt_exec_train_step(exec, batch, i, 1, &result, err));
        const double seconds = bt_time_monotonic() - start;
        if (i >= WARM_UP) {
            s->seconds[s->n] = seconds;
            s->forward[s->n] = result.times.forward;
            s->backward[s->n] = result.times.backward;
            s->update[s->n] = result.times.optimizer;
            s->products[s->n] = result.times.products;
            s->rate[s->n] = (double)batch->n_tokens / seconds;
            s->n++;
        }
    }
    return BT_OK;
}

static void run_bare(const matrices *m, const bt_encoder_config *e, const packed *batches,
                     const options *o, samples *s) {
    for (int64_t i = 0; i < o->steps + WARM_UP; i++) {
        const double start = bt_time_monotonic();
        bare_step(m, e, &batches[i % N_BATCHES].batch);
        if (i >= WARM_UP) {
            s->bare[s->n_bare++] = bt_time_monotonic() - start;
        }
    }
    /* BLAS's threads spin on for a while: not into the next round's steps */
    (void)nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
}

static void print_samples(const options *o, const bt_exec *exec, const bt_model *model, samples *s,
                          uint64_t heap_calls) {
    const double seconds = median(s->seconds, s->n);
    const double bare = median(s->bare, s->n_bare);
    const double H = (double)model->encoder.hidden_size;
    const double I = (double)model->encoder.intermediate_size;
    const double weights = (double)model->encoder.num_layers * (4 * H * H + 2 * H * I);
    const double rate = median(s->rate, s->n);
    (void)printf("{\"engine\": \"%s\", \"model\": \"%s\", \"lengths\": \"%s\", \"batch\": "
                 "%" PRId64 ", \"steps\": %" PRId64 ", \"seconds_per_step\": %.5f, \"forward\": "
                 "%.5f, \"backward\": %.5f, \"optimizer\": %.5f, \"products\": %.5f, "
                 "\"bare_products\": %.5f, \"efficiency\": %.4f, \"tokens_per_second\": %.0f, "
                 "\"examples_per_second\": %.1f, \"gflops_all_rows\": %.1f, "
                 "\"heap_calls_after_warm_up\": %" PRIu64 ", \"memory_mib\": %.1f}\n",
                 bt_exec_describe(exec), o->model, o->lengths, o->batch, s->n, seconds,
                 median(s->forward, s->n), median(s->backward, s->n), median(s->update, s->n),
                 median(s->products, s->n), bare, bare / seconds, rate, (double)o->batch / seconds,
                 rate * 6 * weights / 1e9, heap_calls, (double)bt_exec_memory_bytes(exec) / 0x1p20);
}

static bt_status measure(bt_exec *exec, const bt_model *model, const packed *batches,
                         const options *o, bt_error *err) {
    static samples s;
    matrices       m = {NULL, NULL, NULL};
    bt_status      rc = BT_OK;
    uint64_t       heap_warm = 0;
    uint64_t       heap_calls = 0;
    BT_CHECK(make_matrices(&m, o, &model->encoder, err));
    for (int64_t round = 0; round < o->rounds; round++) {
        BT_CHECK(run_steps(exec, batches, o, &s, err));
        heap_calls += round > 0 ? bt_alloc_count() - heap_warm : 0;
        run_bare(&m, &model->encoder, batches, o, &s);
        heap_warm = bt_alloc_count();
    }
    print_samples(o, exec, model, &s, heap_calls);
done:
    bt_free(m.a);
    bt_free(m.b);
    bt_free(m.c);
    return rc;
}

/* What a processor may find hard: nothing but numbers below the normal ones, or none at all.
 * Without a finite loss there is no update. */
static void spoil_weights(const options *o, const bt_model *model, float *flat) {
    for (int64_t i = 0; i < model->table.n_elements; i++) {
        flat[i] = strcmp(o->weights, "nan") == 0        ? NAN
                  : strcmp(o->weights, "denormal") == 0 ? flat[i] * 0x1p-127F
                                                        : flat[i];
    }
}

static bt_status run(const options *o, bt_error *err) {
    bt_status               rc = BT_OK;
    bt_model               *model = NULL;
    bt_conf                *conf = NULL;
    bt_optim               *optim = NULL;
    bt_exec                *exec = NULL;
    packed                  batches[N_BATCHES] = {0};
    const bool              base = strcmp(o->model, "base") == 0;
    const bt_encoder_config encoder = {.type = BT_ENCODER_BERT,
                                       .vocab_size = 30522,
                                       .hidden_size = base ? 768 : 384,
                                       .embedding_size = base ? 768 : 384,
                                       .num_layers = base ? 12 : 6,
                                       .num_attention_heads = 12,
                                       .intermediate_size = base ? 3072 : 1536,
                                       .max_position_embeddings = 512,
                                       .type_vocab_size = 2,
                                       .hidden_activation = BT_ACT_GELU,
                                       .dropout_rate = 0.1F,
                                       .attention_dropout_rate = 0.1F,
                                       .initializer_range = 0.02F};
    const bt_head_config    head = {.kind = BT_HEAD_POOLER_DENSE,
                                    .loss = BT_LOSS_SOFTMAX,
                                    .num_classes = 2,
                                    .dropout_rate = 0.1F,
                                    .initializer_range = 0.02F};
    const bt_exec_config    config = {
           .n_threads = (int32_t)o->threads,
           .isa = o->isa,
           .use_blas = strcmp(o->products, "blas") == 0,
           .precision = strcmp(o->products, "bf16") == 0 ? BT_PRECISION_BF16 : BT_PRECISION_F32};
    BT_CHECK(bt_model_create(&encoder, &head, &model, err));
    BT_CHECK(make_optim(model, &conf, &optim, err));
    BT_CHECK(bt_exec_create_cpu(model, optim, &config, &exec, err));
    bt_model_init_params(model, 1, bt_exec_params(exec));
    spoil_weights(o, model, bt_exec_params(exec));
    for (uint32_t i = 0; i < N_BATCHES; i++) {
        BT_CHECK(make_batch(&batches[i], o, bt_rng_key_make(7, i, 0, BT_SITE_SHUFFLE), err));
    }
    BT_CHECK(measure(exec, model, batches, o, err));
done:
    for (size_t i = 0; i < N_BATCHES; i++) {
        free_batch(&batches[i]);
    }
    bt_exec_free(exec);
    bt_optim_free(optim);
    bt_conf_free(conf);
    bt_model_free(model);
    return rc;
}

static bool read_option(const char *arg, options *o) {
    const char *const value = strchr(arg, '=');
    if (value == NULL) {
        return false;
    }
    if (bt_str_starts_with(arg, "--lengths=")) {
        o->lengths = value + 1;
        return strcmp(o->lengths, "mrpc") == 0 || strcmp(o->lengths, "sst2") == 0 ||
               strcmp(o->lengths, "cola") == 0;
    }
    if (bt_str_starts_with(arg, "--model=")) {
        o->model = value + 1;
        return strcmp(o->model, "minilm") == 0 || strcmp(o->model, "base") == 0;
    }
    if (bt_str_starts_with(arg, "--products=")) {
        o->products = value + 1;
        return strcmp(o->products, "auto") == 0 || strcmp(o->products, "blas") == 0 ||
               strcmp(o->products, "bf16") == 0;
    }
    if (bt_str_starts_with(arg, "--weights=")) {
        o->weights = value + 1;
        return strcmp(o->weights, "normal") == 0 || strcmp(o->weights, "denormal") == 0 ||
               strcmp(o->weights, "nan") == 0;
    }
    if (bt_str_starts_with(arg, "--rounds=")) {
        return bt_parse_i64(value + 1, &o->rounds) && o->rounds > 0 && o->rounds <= MAX_ROUNDS;
    }
    if (bt_str_starts_with(arg, "--isa=")) {
        o->isa = value + 1;
        return true;
    }
    if (bt_str_starts_with(arg, "--batch=")) {
        return bt_parse_i64(value + 1, &o->batch) && o->batch > 0 && o->batch <= 4096;
    }
    if (bt_str_starts_with(arg, "--steps=")) {
        return bt_parse_i64(value + 1, &o->steps) && o->steps > 0 && o->steps <= MAX_STEPS;
    }
    if (bt_str_starts_with(arg, "--threads=")) {
        return bt_parse_i64(value + 1, &o->threads) && o->threads >= 0 && o->threads <= 1024;
    }
    return false;
}

int main(int argc, char **argv) {
    options o = {.model = "minilm",
                 .lengths = "mrpc",
                 .isa = "auto",
                 .products = "auto",
                 .weights = "normal",
                 .rounds = 3,
                 .batch = 32,
                 .steps = 20,
                 .threads = 0};
    for (int i = 1; i < argc; i++) {
        if (!read_option(argv[i], &o)) {
            (void)fprintf(stderr,
                          "bench_step: error: %s: expected --model=minilm|base, "
                          "--lengths=mrpc|sst2|cola, --batch=N, --steps=N, --rounds=N, "
                          "--threads=N, --isa=NAME, --products=auto|blas|bf16 or "
                          "--weights=normal|denormal|nan\n",
                          argv[i]);
            return 2;
        }
    }
    bt_error        err = BT_ERROR_INIT;
    const bt_status rc = run(&o, &err);
    if (rc != BT_OK) {
        (void)fprintf(stderr, "bench_step: error: %s\n", err.msg);
    }
    return bt_status_exit_code(rc);
}
