/* SPDX-License-Identifier: Apache-2.0
 *
 * Measures one thing on a device of a PJRT plug-in and prints it as one JSON object. bench/gpu
 * calls it, a process for each, so that one that has no room does not end the others.
 *
 *     bench_devices --plugin=PATH --product=8192
 *         how fast the device multiplies [N,N] by [N,N] in bfloat16: the yardstick
 *     bench_devices --plugin=PATH --lengths=12,30,... --length=128 [--head=classes|spans]
 *                   [--layers=12] [--hidden=768] [--heads=12] [--intermediate=3072] [--vocab=30522]
 *                   [--precision=bf16|f32] [--recompute=0|1] [--attention=auto|xla|triton]
 *         training steps of one batch that has these lengths, again and again: dropout, AdamW,
 *         clipping; only real tokens count
 *     both: [--seconds=5] [--cache=FOLDER for compiled programs] */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "bt/base/rng.h"
#include "bt/base/str.h"
#include "bt/base/time.h"
#include "bt/exec.h"

enum { WARM_UP = 3, LEAST_STEPS = 3, CHAIN = 16, MAX_PRODUCTS = 4096 };

typedef struct options {
    const char *plugin, *lengths, *head, *precision, *attention, *cache, *seconds_text;
    int64_t     product, length, layers, hidden, heads, intermediate, vocab, recompute;
    double      seconds;
} options;

typedef struct option_row {
    const char *name;
    size_t      at;
    bool        is_number;
} option_row;

static const option_row rows[] = {
    {"plugin", offsetof(options, plugin), false},
    {"lengths", offsetof(options, lengths), false},
    {"head", offsetof(options, head), false},
    {"precision", offsetof(options, precision), false},
    {"attention", offsetof(options, attention), false},
    {"cache", offsetof(options, cache), false},
    {"seconds", offsetof(options, seconds_text), false},
    {"product", offsetof(options, product), true},
    {"length", offsetof(options, length), true},
    {"layers", offsetof(options, layers), true},
    {"hidden", offsetof(options, hidden), true},
    {"heads", offsetof(options, heads), true},
    {"intermediate", offsetof(options, intermediate), true},
    {"vocab", offsetof(options, vocab), true},
    {"recompute", offsetof(options, recompute), true},
};

static bool read_option(const char *arg, options *o) {
    const char *const value = strchr(arg, '=');
    for (size_t i = 0; i < BT_ARRAY_LEN(rows) && value != NULL; i++) {
        const size_t n = strlen(rows[i].name);
        void *const  at = (char *)o + rows[i].at;
        if (strncmp(arg, "--", 2) != 0 || (size_t)(value - arg) != n + 2 ||
            strncmp(arg + 2, rows[i].name, n) != 0) {
            continue;
        }
        if (rows[i].is_number) {
            return bt_parse_i64(value + 1, at) && *(int64_t *)at >= 0;
        }
        *(const char **)at = value + 1;
        return true;
    }
    return false;
}

static bool are_whole(options *o) {
    char *end = NULL;
    o->seconds = strtod(o->seconds_text, &end);
    return *end == '\0' && o->seconds >= 0 && o->plugin != NULL &&
           (o->product > 0 || (o->lengths != NULL && o->length > 0 && o->layers > 0 &&
                               o->hidden > 0 && o->heads > 0 && o->intermediate > 0));
}

/* CHAIN products after one another, so that starting them costs nothing. */
static bt_status write_product(int64_t n, bt_str *text, bt_error *err) {
    char type[64];
    (void)snprintf(type, sizeof type, "tensor<%" PRId64 "x%" PRId64 "xbf16>", n, n);
    BT_TRY(bt_str_appendf(
        text, err, "module @product {\n  func.func public @main(%%v0: %s, %%b: %s) -> %s {\n", type,
        type, type));
    for (int i = 0; i < CHAIN; i++) {
        BT_TRY(
            bt_str_appendf(text, err,
                           "    %%v%d = stablehlo.dot_general %%v%d, %%b, contracting_dims = [1] "
                           "x [0] : (%s, %s) -> %s\n",
                           i + 1, i, type, type, type));
    }
    return bt_str_appendf(text, err, "    return %%v%d : %s\n  }\n}\n", CHAIN, type);
}

/* Random, as zeros take less power and are faster; a product keeps the size of its numbers. */
static bt_status upload_random(bt_pjrt_client *client, int64_t n, double size, uint32_t seed,
                               bt_pjrt_buffer **out, bt_error *err) {
    const bt_pjrt_shape shape = {.dtype = BT_DTYPE_BF16, .rank = 2, .dim = {n, n}};
    const bt_rng_key    key = bt_rng_key_make(seed, 0, 0, BT_SITE_SHUFFLE);
    uint16_t *const     values = bt_alloc_array((size_t)(n * n), sizeof *values);
    if (values == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a matrix");
    }
    for (int64_t i = 0; i < n * n; i++) {
        const float x = (float)(size * (2 * (double)bt_rng_uniform(key, (uint64_t)i) - 1));
        uint32_t    bits = 0;
        memcpy(&bits, &x, sizeof bits);
        values[i] = (uint16_t)(bits >> 16);
    }
    const bt_status rc = bt_pjrt_upload(client, 0, &shape, values, out, err);
    bt_free(values);
    return rc;
}

/* The last of `times` runs is waited for. */
static bt_status multiply(bt_pjrt_client *client, bt_pjrt_program *program,
                          bt_pjrt_buffer *const factors[2], int64_t times, bt_error *err) {
    bt_pjrt_buffer *const *const args[] = {factors};
    for (int64_t i = 0; i < times; i++) {
        bt_pjrt_buffer   *result = NULL;
        bt_pjrt_buffer  **results[] = {&result};
        const bt_pjrt_run run = {
            .args = args, .n_args = 2, .results = results, .wait = i == times - 1};
        const bt_status rc = bt_pjrt_execute(program, &run, err);
        bt_pjrt_buffer_free(client, result);
        BT_TRY(rc);
    }
    return BT_OK;
}

static bt_status time_products(bt_pjrt_client *client, bt_pjrt_program *program,
                               bt_pjrt_buffer *const factors[2], const options *o, double *flops,
                               bt_error *err) {
    const double each =
        2.0 * (double)o->product * (double)o->product * (double)o->product * (double)CHAIN;
    double spent = 0;
    *flops = 0;
    BT_TRY(multiply(client, program, factors, 1, err));
    for (int64_t times = 1; times <= MAX_PRODUCTS && spent < o->seconds; times *= 2) {
        const double start = bt_time_monotonic();
        BT_TRY(multiply(client, program, factors, times, err));
        const double seconds = bt_time_monotonic() - start;
        *flops = fmax(*flops, each * (double)times / seconds);
        spent += seconds;
    }
    return BT_OK;
}

static bt_status measure_product(bt_pjrt_client *client, const options *o, bt_error *err) {
    bt_status                     rc = BT_OK;
    bt_str                        text = BT_STR_INIT;
    bt_pjrt_program              *program = NULL;
    bt_pjrt_buffer               *factors[2] = {NULL, NULL};
    bt_pjrt_device                device;
    double                        flops = 0;
    const double                  size = sqrt(3.0 / (double)o->product);
    const bt_pjrt_compile_options how = {.n_replicas = 1, .cache_folder = o->cache};
    BT_CHECK(bt_pjrt_client_device(client, 0, &device, err));
    BT_CHECK(write_product(o->product, &text, err));
    BT_CHECK(bt_pjrt_compile(client, bt_str_text(&text), text.len, &how, &program, err));
    BT_CHECK(upload_random(client, o->product, 1, 1, &factors[0], err));
    BT_CHECK(upload_random(client, o->product, size, 2, &factors[1], err));
    BT_CHECK(time_products(client, program, factors, o, &flops, err));
    (void)printf("{\"device\": \"%s\", \"platform\": \"%s\", \"limit_bytes\": %" PRId64
                 ", \"product\": %" PRId64 ", \"flops\": %.6g}\n",
                 device.kind, bt_pjrt_client_platform(client), device.limit_bytes, o->product,
                 flops);
done:
    bt_pjrt_buffer_free(client, factors[0]);
    bt_pjrt_buffer_free(client, factors[1]);
    bt_pjrt_program_free(program);
    bt_str_deinit(&text);
    return rc;
}

typedef struct packed {
    bt_batch batch;
    int64_t *offsets; /* owned, as all that follow */
    int32_t *ids, *types, *positions, *labels;
} packed;

static int64_t count_lengths(const char *text) {
    int64_t n = 1;
    for (const char *at = text; *at != '\0'; at++) {
        n += *at == ',';
    }
    return n;
}

static bt_status read_lengths(packed *p, const options *o, bt_error *err) {
    const char *at = o->lengths;
    for (int64_t b = 0; b < p->batch.n_seqs; b++) {
        char           *end = NULL;
        const long long n = strtoll(at, &end, 10);
        if (end == at || n < 2 || n > o->length || (*end != ',' && *end != '\0')) {
            return BT_FAIL(err, BT_E_CONFIG,
                           "--lengths: '%.20s': expected numbers from 2 to --length=%" PRId64, at,
                           o->length);
        }
        p->offsets[b + 1] = p->offsets[b] + n;
        p->batch.max_tokens = n > p->batch.max_tokens ? n : p->batch.max_tokens;
        at = *end == ',' ? end + 1 : end;
    }
    p->batch.n_tokens = p->offsets[p->batch.n_seqs];
    return BT_OK;
}

static void fill_tokens(packed *p, const options *o) {
    const bt_rng_key key = bt_rng_key_make(7, 0, 0, BT_SITE_SHUFFLE);
    for (int64_t b = 0; b < p->batch.n_seqs; b++) {
        const int64_t length = p->offsets[b + 1] - p->offsets[b];
        for (int64_t s = 0; s < length; s++) {
            const int64_t t = p->offsets[b] + s;
            const double  x = (double)bt_rng_uniform(key, (uint64_t)t);
            p->ids[t] = (int32_t)(x * x * (double)(o->vocab - 1)); /* small ones are frequent */
            p->types[t] = s > length / 2;
            p->positions[t] = (int32_t)s;
        }
        p->labels[b] = (int32_t)(b % 2);
        p->labels[p->batch.n_seqs + b] = (int32_t)(length - 1); /* a span's end */
    }
}

static bt_status make_batch(packed *p, const options *o, bt_error *err) {
    const int64_t B = count_lengths(o->lengths);
    const size_t  room = (size_t)(B * o->length);
    p->batch = (bt_batch){.n_seqs = B, .n_rows = B, .seq_length = o->length};
    p->offsets = bt_calloc_array((size_t)B + 1, sizeof *p->offsets);
    p->ids = bt_calloc_array(room, sizeof *p->ids);
    p->types = bt_calloc_array(room, sizeof *p->types);
    p->positions = bt_calloc_array(room, sizeof *p->positions);
    p->labels = bt_calloc_array((size_t)B * 2, sizeof *p->labels);
    if (p->offsets == NULL || p->ids == NULL || p->types == NULL || p->positions == NULL ||
        p->labels == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a batch");
    }
    BT_TRY(read_lengths(p, o, err));
    fill_tokens(p, o);
    p->batch.offsets = p->offsets;
    p->batch.ids = p->ids;
    p->batch.types = p->types;
    p->batch.positions = p->positions;
    p->batch.int_labels = p->labels;
    return BT_OK;
}

static void free_batch(packed *p) {
    bt_free(p->offsets);
    bt_free(p->ids);
    bt_free(p->types);
    bt_free(p->positions);
    bt_free(p->labels);
}

/* Of the large products of a step on real tokens alone: three times the forward pass; attention by
 * the length of each sequence. */
static double count_flops(const packed *p, const options *o) {
    const double H = (double)o->hidden;
    double       squares = 0;
    for (int64_t b = 0; b < p->batch.n_seqs; b++) {
        const double n = (double)(p->offsets[b + 1] - p->offsets[b]);
        squares += n * n;
    }
    return 3 * (double)o->layers *
           ((double)p->batch.n_tokens * 2 * (4 * H * H + 2 * H * (double)o->intermediate) +
            4 * H * squares);
}

typedef struct measured {
    double  compile_seconds, seconds, loss;
    int64_t n_steps;
} measured;

/* As many steps are under way as the engine takes, as in training. seconds 0: `least` steps. */
static bt_status run_steps(bt_exec *exec, const packed *p, int64_t least, double seconds,
                           int64_t *step, measured *m, bt_error *err) {
    const int32_t   depth = bt_exec_train_depth(exec);
    const double    start = bt_time_monotonic();
    const bt_batch *batch = NULL;
    bt_step_result  result = {.loss = 0};
    int32_t         n_under_way = 0;
    m->n_steps = 0;
    for (;;) {
        const bool is_more = m->n_steps + n_under_way < least ||
                             (seconds > 0 && bt_time_monotonic() - start < seconds);
        if (is_more && n_under_way < depth) {
            BT_TRY(bt_exec_train_begin(exec, &p->batch, (*step)++, 1, err));
            n_under_way++;
        } else if (n_under_way > 0) {
            BT_TRY(bt_exec_train_end(exec, &result, &batch, err));
            n_under_way--;
            m->n_steps++;
        } else {
            break;
        }
    }
    m->seconds = bt_time_monotonic() - start;
    m->loss = result.loss;
    return BT_OK;
}

static bt_status measure_steps(bt_exec *exec, const packed *p, const options *o, measured *m,
                               bt_error *err) {
    int64_t      step = 0;
    const double start = bt_time_monotonic();
    BT_TRY(run_steps(exec, p, 1, 0, &step, m, err));
    m->compile_seconds = bt_time_monotonic() - start;
    BT_TRY(run_steps(exec, p, WARM_UP, 0, &step, m, err));
    return run_steps(exec, p, LEAST_STEPS, o->seconds, &step, m, err);
}

static bt_status print_steps(bt_pjrt_client *client, const packed *p, const options *o,
                             const measured *m, bt_error *err) {
    bt_pjrt_device device;
    const double   step = m->seconds / (double)m->n_steps;
    BT_TRY(bt_pjrt_client_device(client, 0, &device, err));
    (void)printf("{\"batch\": %" PRId64 ", \"tokens\": %" PRId64 ", \"steps\": %" PRId64
                 ", \"step_seconds\": %.6g, \"first_step_seconds\": %.4g, "
                 "\"tokens_per_second\": %.6g, \"flops\": %.6g, \"peak_bytes\": %" PRId64
                 ", \"loss\": %.6g}\n",
                 p->batch.n_seqs, p->batch.n_tokens, m->n_steps, step, m->compile_seconds,
                 (double)p->batch.n_tokens / step, count_flops(p, o) / step, device.peak_bytes,
                 isfinite(m->loss) ? m->loss : -1);
    return BT_OK;
}

static bt_status make_model(const options *o, bt_model **out, bt_error *err) {
    const bool              spans = strcmp(o->head, "spans") == 0;
    const bt_encoder_config encoder = {.type = BT_ENCODER_BERT,
                                       .vocab_size = o->vocab,
                                       .hidden_size = o->hidden,
                                       .embedding_size = o->hidden,
                                       .num_layers = o->layers,
                                       .num_attention_heads = o->heads,
                                       .intermediate_size = o->intermediate,
                                       .max_position_embeddings = o->length > 512 ? o->length : 512,
                                       .type_vocab_size = 2,
                                       .hidden_activation = BT_ACT_GELU,
                                       .dropout_rate = 0.1F,
                                       .attention_dropout_rate = 0.1F,
                                       .initializer_range = 0.02F};
    const bt_head_config    head = {.kind = spans ? BT_HEAD_TOKENS : BT_HEAD_POOLER_DENSE,
                                    .loss = spans ? BT_LOSS_SPAN : BT_LOSS_SOFTMAX,
                                    .num_classes = 2,
                                    .dropout_rate = spans ? 0 : 0.1F,
                                    .initializer_range = 0.02F};
    return bt_model_create(&encoder, &head, out, err);
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

static bt_attention attention_of(const options *o) {
    return strcmp(o->attention, "xla") == 0      ? BT_ATTENTION_XLA
           : strcmp(o->attention, "triton") == 0 ? BT_ATTENTION_TRITON
                                                 : BT_ATTENTION_AUTO;
}

static bt_status measure_training(bt_pjrt_client *client, const options *o, bt_error *err) {
    bt_status             rc = BT_OK;
    bt_model             *model = NULL;
    bt_conf              *conf = NULL;
    bt_optim             *optim = NULL;
    bt_exec              *exec = NULL;
    packed                p = {.offsets = NULL};
    measured              m = {.seconds = 0};
    const bool            is_f32 = strcmp(o->precision, "f32") == 0;
    const bt_exec_config  config = {.precision = is_f32 ? BT_PRECISION_F32 : BT_PRECISION_BF16,
                                    .attention = attention_of(o),
                                    .recompute = o->recompute != 0};
    const bt_exec_devices devices = {.client = client, .n_replicas = 1, .cache_folder = o->cache};
    BT_CHECK(make_model(o, &model, err));
    BT_CHECK(make_optim(model, &conf, &optim, err));
    BT_CHECK(make_batch(&p, o, err));
    BT_CHECK(bt_exec_create_pjrt(model, optim, &config, &devices, &exec, err));
    bt_model_init_params(model, 1, bt_exec_params(exec));
    BT_CHECK(bt_exec_changed(exec, err));
    BT_CHECK(measure_steps(exec, &p, o, &m, err));
    BT_CHECK(print_steps(client, &p, o, &m, err));
done:
    bt_exec_free(exec);
    free_batch(&p);
    bt_optim_free(optim);
    bt_conf_free(conf);
    bt_model_free(model);
    return rc;
}

static bt_status run(const options *o, bt_error *err) {
    bt_status       rc = BT_OK;
    bt_pjrt_plugin *plugin = NULL;
    bt_pjrt_client *client = NULL;
    BT_CHECK(bt_pjrt_plugin_open(o->plugin, BT_PJRT_TO_RUN, &plugin, err));
    BT_CHECK(bt_pjrt_client_create(plugin, NULL, 0, &client, err));
    BT_CHECK(o->product > 0 ? measure_product(client, o, err) : measure_training(client, o, err));
done:
    bt_pjrt_client_free(client);
    bt_pjrt_plugin_close(plugin);
    return rc;
}

int main(int argc, char **argv) {
    options o = {.head = "classes",
                 .precision = "bf16",
                 .attention = "auto",
                 .seconds_text = "5",
                 .layers = 12,
                 .hidden = 768,
                 .heads = 12,
                 .intermediate = 3072,
                 .vocab = 30522};
    bool    is_good = true;
    for (int i = 1; i < argc; i++) {
        is_good = is_good && read_option(argv[i], &o);
    }
    if (!is_good || !are_whole(&o)) {
        (void)fprintf(stderr, "bench_devices: error: expected --plugin=PATH with --product=N or "
                              "--lengths=N,N,... and --length=N; bench/bench_devices.c has all\n");
        return 2;
    }
    bt_error        err = BT_ERROR_INIT;
    const bt_status rc = run(&o, &err);
    if (rc != BT_OK) {
        (void)fprintf(stderr, "bench_devices: error: %s\n", err.msg);
    }
    return bt_status_exit_code(rc);
}
