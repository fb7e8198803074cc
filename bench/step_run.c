/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps, measured. On the processor whole steps and the bare matrix products of the same steps take
 * turns, o->rounds of each, and medians count. On a device as many steps are under way as the
 * engine takes, as in training, and their mean counts. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "bench_step.h"
#include "bt/base/alloc.h"
#include "bt/base/json_text.h"
#include "bt/base/rng.h"
#include "bt/base/str.h"
#include "bt/base/time.h"
#include "bt/exec.h"

enum { WARM_UP = 3, LEAST_STEPS = 3 };

/* Lengths at the deciles of the real training files, special tokens included. */
static const struct {
    const char *name;
    int64_t     deciles[11];
} spreads[] = {{"mrpc", {19, 36, 41, 45, 50, 53, 57, 61, 64, 70, 103}},
               {"sst2", {3, 4, 6, 7, 8, 10, 13, 16, 20, 27, 66}},
               {"cola", {4, 7, 8, 9, 10, 10, 11, 12, 14, 17, 47}}};

/* Of every measured step; bare of every bare one. */
typedef struct samples {
    int64_t n, n_bare;
    double  seconds[MAX_STEPS * MAX_ROUNDS], forward[MAX_STEPS * MAX_ROUNDS];
    double  backward[MAX_STEPS * MAX_ROUNDS], update[MAX_STEPS * MAX_ROUNDS];
    double  products[MAX_STEPS * MAX_ROUNDS], bare[MAX_STEPS * MAX_ROUNDS];
    double  attention[MAX_STEPS * MAX_ROUNDS], serial[MAX_STEPS * MAX_ROUNDS];
    double  flops[MAX_STEPS * MAX_ROUNDS]; /* of products */
    int64_t n_jobs;                        /* of the last step */
    int64_t n_tokens;                      /* of all steps */
    double  all_seconds, first_seconds, loss;
} samples;

typedef struct bench {
    const step_options *o;
    step_job            job;
    step_batch          batches[N_BATCHES];
    int64_t             n_batches;
    bt_exec            *exec;
    int64_t             step;
} bench;

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int64_t n) {
    qsort(values, (size_t)n, sizeof *values, compare_doubles);
    return values[n / 2];
}

static const int64_t *find_deciles(const char *name) {
    for (size_t i = 0; i < BT_ARRAY_LEN(spreads); i++) {
        if (bt_str_equal(spreads[i].name, name)) {
            return spreads[i].deciles;
        }
    }
    return NULL;
}

static void draw_lengths(const int64_t *deciles, uint32_t seed, int64_t *lengths, int64_t n) {
    const bt_rng_key key = bt_rng_key_make(7, seed, 0, BT_SITE_SHUFFLE);
    for (int64_t b = 0; b < n; b++) {
        const double  u = (double)bt_rng_uniform(key, (uint64_t)b) * 10;
        const int64_t d = (int64_t)u;
        lengths[b] =
            deciles[d] + (int64_t)((double)(deciles[d + 1] - deciles[d]) * (u - (double)d));
    }
}

/* "12,30,8": one batch of these, again and again. */
static bt_status read_lengths(const step_options *o, int64_t *lengths, int64_t *n, bt_error *err) {
    const char *at = o->lengths;
    for (*n = 0; *n < MAX_BATCH; at++) {
        char           *end = NULL;
        const long long length = strtoll(at, &end, 10);
        if (end == at || length < 2 || length > o->length || (*end != ',' && *end != '\0')) {
            return BT_FAIL(err, BT_E_CONFIG,
                           "--lengths: '%.20s': expected mrpc, sst2, cola or numbers from 2 to "
                           "--length=%" PRId64,
                           at, o->length);
        }
        lengths[(*n)++] = length;
        at = end;
        if (*end == '\0') {
            return BT_OK;
        }
    }
    return BT_FAIL(err, BT_E_CONFIG, "--lengths: more than %d numbers", (int)MAX_BATCH);
}

static bt_status make_batches(bench *b, bt_error *err) {
    static int64_t            lengths[MAX_BATCH];
    const step_options *const o = b->o;
    const int64_t *const      deciles = find_deciles(o->lengths);
    int64_t                   n = o->batch;
    if (deciles == NULL) {
        BT_TRY(read_lengths(o, lengths, &n, err));
    } else if (deciles[10] > o->length) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--lengths=%s: sequences have up to %" PRId64 " tokens, --length=%" PRId64,
                       o->lengths, deciles[10], o->length);
    }
    b->n_batches = deciles != NULL ? N_BATCHES : 1;
    for (int64_t i = 0; i < b->n_batches; i++) {
        if (deciles != NULL) {
            draw_lengths(deciles, (uint32_t)i, lengths, n);
        }
        BT_TRY(step_batch_init(&b->batches[i], lengths, n, o->length, o->dims.vocab, (uint64_t)i,
                               err));
    }
    return BT_OK;
}

/* What a processor may find hard: nothing but numbers below the normal ones, or none at all.
 * Without a finite loss there is no update. */
static void spoil_weights(const step_options *o, int64_t n, float *flat) {
    for (int64_t i = 0; i < n; i++) {
        flat[i] = bt_str_equal(o->weights, "nan")        ? NAN
                  : bt_str_equal(o->weights, "denormal") ? flat[i] * 0x1p-127F
                                                         : flat[i];
    }
}

static bt_status make_engine(bench *b, bt_pjrt_client *client, bt_error *err) {
    const step_options *const o = b->o;
    const bool                is_auto = bt_str_equal(o->products, "auto");
    const bool           is_bf16 = bt_str_equal(o->products, "bf16") || (is_auto && client != NULL);
    const bt_exec_config config = {.n_threads = (int32_t)o->threads,
                                   .isa = o->isa,
                                   .use_blas = bt_str_equal(o->products, "blas"),
                                   .precision = is_bf16 ? BT_PRECISION_BF16 : BT_PRECISION_F32,
                                   .attention = bt_str_equal(o->attention, "xla") ? BT_ATTENTION_XLA
                                                : bt_str_equal(o->attention, "triton")
                                                    ? BT_ATTENTION_TRITON
                                                    : BT_ATTENTION_AUTO,
                                   .recompute = o->recompute};
    const bt_exec_devices devices = {.client = client, .n_replicas = 1, .cache_folder = o->cache};
    const bt_model *const model = b->job.model;
    BT_TRY(client != NULL
               ? bt_exec_create_pjrt(model, b->job.optim, &config, &devices, &b->exec, err)
               : bt_exec_create_cpu(model, b->job.optim, &config, &b->exec, err));
    bt_model_init_params(model, 1, bt_exec_params(b->exec));
    spoil_weights(o, model->table.n_elements, bt_exec_params(b->exec));
    return bt_exec_changed(b->exec, err);
}

static void keep(samples *s, double seconds, const bt_step_result *result, int64_t n_tokens) {
    if (s->n < MAX_STEPS * MAX_ROUNDS) {
        s->seconds[s->n] = seconds;
        s->forward[s->n] = result->times.forward;
        s->backward[s->n] = result->times.backward;
        s->update[s->n] = result->times.optimizer;
        s->products[s->n] = result->times.products;
        s->attention[s->n] = result->times.attention;
        s->serial[s->n] = result->times.serial;
        s->flops[s->n] = result->times.product_flops;
    }
    s->n++;
    s->n_tokens += n_tokens;
    s->all_seconds += seconds;
    s->loss = result->loss;
    s->n_jobs = result->times.n_jobs;
}

/* At least that many steps, and as many as end in so many seconds. s NULL: they are not measured.
 */
static bt_status run_steps(bench *b, int64_t least, double seconds, samples *s, bt_error *err) {
    const int32_t   depth = bt_exec_train_depth(b->exec);
    const double    start = bt_time_monotonic();
    const bt_batch *done = NULL;
    bt_step_result  result = {.loss = 0};
    int64_t         n_begun = 0;
    int64_t         n_ended = 0;
    double          last = start;
    for (;;) {
        const bool is_more = n_begun < least || bt_time_monotonic() - start < seconds;
        if (is_more && n_begun - n_ended < depth) {
            const bt_batch *const batch = &b->batches[n_begun++ % b->n_batches].batch;
            BT_TRY(bt_exec_train_begin(b->exec, batch, b->step++, 1, err));
        } else if (n_begun > n_ended) {
            BT_TRY(bt_exec_train_end(b->exec, &result, &done, err));
            const double now = bt_time_monotonic();
            if (s != NULL) {
                keep(s, now - last, &result, done->n_tokens);
            }
            last = now;
            n_ended++;
        } else {
            return BT_OK;
        }
    }
}

static void run_bare(const bench *b, const bare_products *m, samples *s) {
    for (int64_t i = 0; i < b->o->steps + WARM_UP; i++) {
        const double start = bt_time_monotonic();
        bare_step(m, &b->o->dims, &b->batches[i % b->n_batches].batch);
        if (i >= WARM_UP) {
            s->bare[s->n_bare++] = bt_time_monotonic() - start;
        }
    }
    /* BLAS's threads spin on for a while: not into the next round's steps */
    (void)nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
}

/* Of the large matrix products of a mean step on real tokens alone: three times the forward pass;
 * attention by the length of each sequence. */
static double count_flops(const bench *b) {
    const double H = (double)b->o->dims.hidden;
    double       squares = 0;
    double       n_tokens = 0;
    for (int64_t i = 0; i < b->n_batches; i++) {
        const bt_batch *const batch = &b->batches[i].batch;
        for (int64_t s = 0; s < batch->n_seqs; s++) {
            const double n = (double)(batch->offsets[s + 1] - batch->offsets[s]);
            squares += n * n;
            n_tokens += n;
        }
    }
    return 3 * (double)b->o->dims.layers *
           (n_tokens * 2 * (4 * H * H + 2 * H * (double)b->o->dims.intermediate) +
            4 * H * squares) /
           (double)b->n_batches;
}

/* What processors and devices both have. */
static bt_status append_step(const bench *b, const samples *s, double seconds, bt_str *out,
                             bt_error *err) {
    const int64_t n_seqs = b->batches[0].batch.n_seqs;
    const double  n_tokens = (double)s->n_tokens / (double)s->n;
    BT_TRY(bt_str_append(out, "{\"engine\": ", err));
    BT_TRY(bt_str_append_json(out, bt_exec_describe(b->exec), err));
    return bt_str_appendf(
        out, err,
        ", \"model\": \"%s\", \"batch\": %" PRId64 ", \"tokens\": %.6g, \"steps\": %" PRId64
        ", \"seconds_per_step\": %.6g, \"first_step_seconds\": %.4g, \"tokens_per_second\": %.6g, "
        "\"examples_per_second\": %.6g, \"flops\": %.6g, \"memory_mib\": %.1f, \"loss\": %.6g",
        b->o->model, n_seqs, n_tokens, s->n, seconds, s->first_seconds, n_tokens / seconds,
        (double)n_seqs / seconds, count_flops(b) / seconds,
        (double)bt_exec_memory_bytes(b->exec) / 0x1p20, isfinite(s->loss) ? s->loss : -1);
}

static bt_status measure_cpu(bench *b, samples *s, bt_str *out, bt_error *err) {
    bare_products m = {NULL, NULL, NULL};
    bt_status     rc = BT_OK;
    uint64_t      heap_warm = 0;
    uint64_t      heap_calls = 0;
    BT_CHECK(bare_init(&m, &b->o->dims, b->batches[0].batch.n_seqs * b->o->length, err));
    for (int64_t round = 0; round < b->o->rounds; round++) {
        BT_CHECK(run_steps(b, WARM_UP, 0, NULL, err));
        BT_CHECK(run_steps(b, b->o->steps, 0, s, err));
        heap_calls += round > 0 ? bt_alloc_count() - heap_warm : 0;
        run_bare(b, &m, s);
        heap_warm = bt_alloc_count();
    }
    const double seconds = median(s->seconds, s->n);
    const double bare = median(s->bare, s->n_bare);
    const double serial = median(s->serial, s->n);
    BT_CHECK(append_step(b, s, seconds, out, err));
    BT_CHECK(bt_str_appendf(
        out, err,
        ", \"forward\": %.5f, \"backward\": %.5f, \"optimizer\": %.5f, "
        "\"products\": %.5f, \"attention\": %.5f, \"bare_products\": %.5f, "
        "\"efficiency\": %.4f, \"product_flops\": %.6g, \"jobs\": %" PRId64
        ", \"serial\": %.6f, \"serial_share\": %.5f, "
        "\"fastest_step\": %.6f, \"heap_calls_after_warm_up\": %" PRIu64 "}\n",
        median(s->forward, s->n), median(s->backward, s->n), median(s->update, s->n),
        median(s->products, s->n), median(s->attention, s->n), bare, bare / seconds,
        median(s->flops, s->n), s->n_jobs, serial, serial / seconds, s->seconds[0], heap_calls));
done:
    bare_deinit(&m);
    return rc;
}

static bt_status measure_device(bench *b, bt_pjrt_client *client, samples *s, bt_str *out,
                                bt_error *err) {
    bt_pjrt_device device;
    BT_TRY(run_steps(b, WARM_UP, 0, NULL, err));
    BT_TRY(run_steps(b, LEAST_STEPS, b->o->seconds, s, err));
    BT_TRY(bt_pjrt_client_device(client, 0, &device, err));
    BT_TRY(append_step(b, s, s->all_seconds / (double)s->n, out, err));
    return bt_str_appendf(out, err, ", \"peak_bytes\": %" PRId64 "}\n", device.peak_bytes);
}

bt_status measure_steps(const step_options *o, bt_pjrt_client *client, bt_str *out, bt_error *err) {
    static samples s;
    bt_status      rc = BT_OK;
    bench          b = {.o = o};
    BT_CHECK(step_job_init(&b.job, &o->dims, err));
    BT_CHECK(make_batches(&b, err));
    BT_CHECK(make_engine(&b, client, err));
    const double start = bt_time_monotonic();
    BT_CHECK(run_steps(&b, 1, 0, NULL, err));
    s.first_seconds = bt_time_monotonic() - start;
    rc = client != NULL ? measure_device(&b, client, &s, out, err) : measure_cpu(&b, &s, out, err);
done:
    for (size_t i = 0; i < N_BATCHES; i++) {
        step_batch_deinit(&b.batches[i]);
    }
    bt_exec_free(b.exec);
    step_job_deinit(&b.job);
    return rc;
}
