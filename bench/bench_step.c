/* SPDX-License-Identifier: Apache-2.0
 *
 * Measures training steps of the CPU engine: the dims of all-MiniLM-L6-v2, batches whose lengths
 * are spread as MRPC's or SST-2's are at max_seq_length 128, dropout on, AdamW with clipping.
 * Prints one JSON object: medians over the measured steps.
 *
 *     bench_step [--lengths=mrpc|sst2] [--batch=32] [--steps=20] [--threads=0] [--isa=auto] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/exec.h"

enum { MAX_STEPS = 1000, WARM_UP = 3, N_BATCHES = 4 };

typedef struct options {
    const char *lengths;
    const char *isa;
    int64_t     batch;
    int64_t     steps;
    int64_t     threads;
} options;

/* Lengths at the deciles of the real training files, special tokens included. */
static const int64_t mrpc_deciles[11] = {19, 36, 41, 45, 50, 53, 57, 61, 64, 70, 103};
static const int64_t sst2_deciles[11] = {3, 4, 6, 7, 8, 10, 13, 16, 20, 27, 66};

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
    const int64_t *const deciles = strcmp(o->lengths, "sst2") == 0 ? sst2_deciles : mrpc_deciles;
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

static bt_status measure(bt_exec *exec, const packed *batches, const options *o, bt_error *err) {
    static double  seconds[MAX_STEPS], forward[MAX_STEPS], backward[MAX_STEPS];
    static double  update[MAX_STEPS], share[MAX_STEPS], tokens_rate[MAX_STEPS];
    bt_step_result result = {.loss = 0};
    const uint64_t heap_before = bt_alloc_count();
    uint64_t       heap_warm = heap_before;
    for (int64_t i = 0; i < o->steps + WARM_UP; i++) {
        const packed *const p = &batches[i % N_BATCHES];
        const double        start = bt_time_monotonic();
        BT_TRY(bt_exec_train_step(exec, &p->batch, i, 1, &result, err));
        const double s = bt_time_monotonic() - start;
        if (i < WARM_UP) {
            heap_warm = bt_alloc_count();
            continue;
        }
        const int64_t k = i - WARM_UP;
        seconds[k] = s;
        forward[k] = result.times.forward;
        backward[k] = result.times.backward;
        update[k] = result.times.optimizer;
        share[k] = result.times.products / s;
        tokens_rate[k] = (double)p->batch.n_tokens / s;
    }
    const double H = 384;
    const double weights = 6 * (4 * H * H + 2 * H * 1536);
    const double rate = median(tokens_rate, o->steps);
    (void)printf("{\"engine\": \"%s\", \"lengths\": \"%s\", \"batch\": %" PRId64
                 ", \"steps\": %" PRId64 ", \"seconds_per_step\": %.5f, \"forward\": %.5f, "
                 "\"backward\": %.5f, \"optimizer\": %.5f, \"share_in_blas\": %.4f, "
                 "\"tokens_per_second\": %.0f, \"gflops\": %.1f, \"heap_calls_after_warm_up\": "
                 "%" PRIu64 ", \"memory_mib\": %.1f, \"loss\": %.6f}\n",
                 bt_exec_describe(exec), o->lengths, o->batch, o->steps, median(seconds, o->steps),
                 median(forward, o->steps), median(backward, o->steps), median(update, o->steps),
                 median(share, o->steps), rate, rate * 6 * weights / 1e9,
                 bt_alloc_count() - heap_warm, (double)bt_exec_memory_bytes(exec) / 0x1p20,
                 result.loss);
    return BT_OK;
}

static bt_status run(const options *o, bt_error *err) {
    bt_status               rc = BT_OK;
    bt_model               *model = NULL;
    bt_conf                *conf = NULL;
    bt_optim               *optim = NULL;
    bt_exec                *exec = NULL;
    packed                  batches[N_BATCHES] = {0};
    const bt_encoder_config encoder = {.type = BT_ENCODER_BERT,
                                       .vocab_size = 30522,
                                       .hidden_size = 384,
                                       .embedding_size = 384,
                                       .num_layers = 6,
                                       .num_attention_heads = 12,
                                       .intermediate_size = 1536,
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
    const bt_exec_config    config = {.n_threads = (int32_t)o->threads,
                                      .isa = o->isa,
                                      .max_seqs = o->batch,
                                      .max_tokens = o->batch * 64};
    BT_CHECK(bt_model_create(&encoder, &head, &model, err));
    BT_CHECK(make_optim(model, &conf, &optim, err));
    BT_CHECK(bt_exec_create_cpu(model, optim, &config, &exec, err));
    bt_model_init_params(model, 1, bt_exec_view(exec, (int32_t)BT_STATE_PARAM));
    for (uint32_t i = 0; i < N_BATCHES; i++) {
        BT_CHECK(make_batch(&batches[i], o, bt_rng_key_make(7, i, 0, BT_SITE_SHUFFLE), err));
    }
    BT_CHECK(measure(exec, batches, o, err));
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
        return strcmp(o->lengths, "mrpc") == 0 || strcmp(o->lengths, "sst2") == 0;
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
    options o = {.lengths = "mrpc", .isa = "auto", .batch = 32, .steps = 20, .threads = 0};
    for (int i = 1; i < argc; i++) {
        if (!read_option(argv[i], &o)) {
            (void)fprintf(stderr,
                          "bench_step: error: %s: expected --lengths=mrpc|sst2, --batch=N, "
                          "--steps=N, --threads=N or --isa=NAME\n",
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
