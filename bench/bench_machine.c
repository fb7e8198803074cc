/* SPDX-License-Identifier: Apache-2.0
 *
 * What a step is made of, each part alone, on so many threads: the products of all layers, forward
 * and backward; a pass that waits for memory; one that computes in the caches; a job with nothing
 * to do. Prints one JSON object, the best of the rounds; step_model.py predicts steps from it. */
#include <inttypes.h>
#include <math.h>
#include <time.h>

#include "bt/base/alloc.h"
#include "bt/base/pool.h"
#include "bt/base/str.h"
#include "bt/cli.h"
#include "bt/nn.h"
#include "bt/nn/dense_int8.h"

enum {
    MAX_ROUNDS = 99,
    PASS_FLOATS = 1 << 24, /* 64 MiB an array: more than caches hold */
    PASS_CHUNK = 1 << 16,
    N_GELU_TASKS = 256,
    GELU_FLOATS = 1 << 12,
    N_EMPTY_JOBS = 2000,
    N_DENSE = 6, /* of a layer */
    MAX_LAYERS = 99,
};

typedef struct machine {
    bt_kern             kern;
    const bt_kern_int8 *int8; /* NULL: not in 8 bits */
    bt_pool            *pool;
    bt_nn               nn;
    int64_t             layers, tokens, hidden, intermediate, rounds;
    bool                counts_cpu_time;
    float              *a, *b, *c;           /* owned; large enough for products and passes */
    float              *weights, *gradients; /* owned; of all layers */
    float              *inputs;              /* owned; of all dense layers, and the last output */
    bt_nn_int8_dense   *dense;               /* owned; that of the product that is measured */
    unsigned char      *rows;                /* owned; [threads][row_bytes] */
    size_t              row_bytes;
} machine;

typedef void (*part_fn)(machine *m);

static double read_clock(const machine *m) {
    struct timespec now;
    (void)clock_gettime(m->counts_cpu_time ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The fastest of the rounds. */
static double time_part(machine *m, part_fn part) {
    double best = INFINITY;
    part(m);
    for (int64_t i = 0; i < m->rounds; i++) {
        const double start = read_clock(m);
        part(m);
        best = fmin(best, read_clock(m) - start);
    }
    return best;
}

/* c = alpha a b; alpha keeps the size of the numbers through all layers. */
static void multiply(machine *m, bt_nn_product p) {
    p.ld_c = p.N;
    p.ld_a = p.trans_a == BT_KERN_T ? p.M : p.K;
    p.ld_b = p.trans_b == BT_KERN_T ? p.K : p.N;
    p.alpha = sqrtf(12.0F / (float)p.K);
    bt_nn_product_run(&m->nn, &p);
}

static int64_t layer_weights(const machine *m) {
    return 4 * m->hidden * m->hidden + 2 * m->hidden * m->intermediate;
}

/* Of a token: what goes into its dense layers. */
static int64_t layer_inputs(const machine *m) {
    return (N_DENSE - 1) * m->hidden + m->intermediate;
}

/* Dense layer i of a layer: four [H][H], [H][I], [I][H]. Offsets of its weights and of its input;
 * its output follows its input. */
typedef struct dense_place {
    int64_t K, N, weights, in, out;
} dense_place;

static dense_place place_of(const machine *m, int64_t layer, int64_t i) {
    const int64_t H = m->hidden;
    const int64_t I = m->intermediate;
    const bool    is_last = i == N_DENSE - 1;
    const int64_t K = is_last ? I : H;
    const int64_t in = m->tokens * (layer * layer_inputs(m) + i * H);
    return (dense_place){.K = K,
                         .N = i == N_DENSE - 2 ? I : H,
                         .weights =
                             layer * layer_weights(m) + i * H * H + (is_last ? H * (I - H) : 0),
                         .in = in,
                         .out = in + m->tokens * K};
}

/* out = in W */
static void dense_forward(machine *m, const dense_place *d) {
    multiply(m, (bt_nn_product){.c = m->inputs + d->out,
                                .a = m->inputs + d->in,
                                .b = m->weights + d->weights,
                                .M = m->tokens,
                                .N = d->N,
                                .K = d->K});
}

/* d_W = in' d_out, d_in = d_out W' */
static void dense_backward(machine *m, const dense_place *d, float *d_in, const float *d_out) {
    multiply(m, (bt_nn_product){.c = m->gradients + d->weights,
                                .a = m->inputs + d->in,
                                .trans_a = BT_KERN_T,
                                .b = d_out,
                                .M = d->K,
                                .N = d->N,
                                .K = m->tokens});
    multiply(m, (bt_nn_product){.c = d_in,
                                .a = d_out,
                                .b = m->weights + d->weights,
                                .trans_b = BT_KERN_T,
                                .M = m->tokens,
                                .N = d->K,
                                .K = d->N});
}

/* As in a step: each layer has weights, gradients and inputs of its own, and what one layer reads
 * is no longer in the caches when all others have passed. */
static void layers_part(machine *m) {
    const int64_t n = m->layers * N_DENSE;
    for (int64_t i = 0; i < n; i++) {
        const dense_place d = place_of(m, i / N_DENSE, i % N_DENSE);
        dense_forward(m, &d);
    }
    for (int64_t i = n - 1; i >= 0; i--) {
        const dense_place d = place_of(m, i / N_DENSE, i % N_DENSE);
        dense_backward(m, &d, i % 2 == 0 ? m->a : m->b, i % 2 == 0 ? m->b : m->a);
    }
}

static double layers_flops(const machine *m) {
    return 3 * 2 * (double)m->tokens * (double)(m->layers * layer_weights(m));
}

static void int8_task(void *context, int64_t task, int32_t thread) {
    machine *const        m = context;
    const int64_t         n = bt_nn_int8_max_rows(m->int8);
    const int64_t         first = task * n;
    const int64_t         left = m->tokens - first;
    const bt_nn_int8_rows rows =
        bt_nn_int8_round(m->int8, m->rows + (size_t)thread * m->row_bytes, m->a + first * m->hidden,
                         left < n ? left : n, m->hidden);
    bt_nn_int8_dense_forward(m->int8, m->c + first * m->intermediate, &rows, m->dense, false);
}

static void int8_part(machine *m) {
    const int64_t n = bt_nn_int8_max_rows(m->int8);
    bt_pool_run_cut(m->pool, (m->tokens + n - 1) / n, int8_task, m);
}

static void pass_task(void *context, int64_t task, int32_t thread) {
    const machine *const m = context;
    const int64_t        first = task * PASS_CHUNK;
    (void)thread;
    for (int64_t i = first; i < first + PASS_CHUNK; i++) {
        m->c[i] = m->a[i] + 0.5F * m->b[i];
    }
}

static void pass_part(machine *m) {
    bt_pool_run(m->pool, PASS_FLOATS / PASS_CHUNK, pass_task, m);
}

static void gelu_task(void *context, int64_t task, int32_t thread) {
    const machine *const m = context;
    (void)task;
    m->kern.act_forward[BT_ACT_GELU](m->c + (int64_t)thread * GELU_FLOATS,
                                     m->a + (int64_t)thread * GELU_FLOATS, GELU_FLOATS);
}

static void gelu_part(machine *m) {
    bt_pool_run(m->pool, N_GELU_TASKS, gelu_task, m);
}

static void empty_task(void *context, int64_t task, int32_t thread) {
    (void)context;
    (void)task;
    (void)thread;
}

static void jobs_part(machine *m) {
    const int32_t n = bt_pool_n_threads(m->pool);
    for (int i = 0; i < N_EMPTY_JOBS; i++) {
        bt_pool_run(m->pool, n > 1 ? n : 2, empty_task, NULL);
    }
}

static float *make_numbers(size_t n, float step) {
    float *const x = bt_alloc_array(n, sizeof *x);
    for (size_t i = 0; x != NULL && i < n; i++) {
        x[i] = 0.5F - step * (float)(i % 997);
    }
    return x;
}

static bt_status make_int8(machine *m, int32_t n_threads, bt_error *err) {
    m->int8 = bt_kern_int8_choose(m->kern.isa);
    m->row_bytes = bt_nn_int8_rows_bytes(m->int8, m->hidden);
    m->rows = bt_calloc_array((size_t)n_threads, m->row_bytes);
    return m->rows == NULL
               ? BT_FAIL(err, BT_E_NOMEM, "out of memory")
               : bt_nn_int8_dense_create(m->pool, m->b, NULL, m->hidden, m->intermediate,
                                         "the weights", &m->dense, err);
}

static bt_status make_layers(machine *m, bt_error *err) {
    const int64_t n_inputs = m->tokens * (m->layers * layer_inputs(m) + m->hidden);
    m->weights = make_numbers((size_t)(m->layers * layer_weights(m)), 1e-3F);
    m->gradients = make_numbers((size_t)(m->layers * layer_weights(m)), 1e-3F);
    m->inputs = make_numbers((size_t)n_inputs, 9e-4F);
    return m->weights == NULL || m->gradients == NULL || m->inputs == NULL
               ? BT_FAIL(err, BT_E_NOMEM, "out of memory for %" PRId64 " layers", m->layers)
               : BT_OK;
}

static bt_status init(machine *m, const bt_flags *flags, bt_error *err) {
    const int32_t     n_threads = (int32_t)bt_flags_int(flags, "threads");
    const char *const precision = bt_flags_string(flags, "precision");
    *m = (machine){.layers = bt_flags_int(flags, "layers"),
                   .tokens = bt_flags_int(flags, "tokens"),
                   .hidden = bt_flags_int(flags, "hidden"),
                   .intermediate = bt_flags_int(flags, "intermediate"),
                   .rounds = bt_flags_int(flags, "rounds")};
    if (m->tokens < 1 || m->tokens > 1 << 16 || m->hidden < 1 || m->hidden > 1 << 13 ||
        m->intermediate < 1 || m->intermediate > 1 << 15 || m->rounds < 1 ||
        m->rounds > MAX_ROUNDS || m->layers < 1 || m->layers > MAX_LAYERS) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--tokens, --hidden, --intermediate, --rounds or --layers: expected at most "
                       "65536, 8192, 32768, %d and %d, and 1 at least",
                       (int)MAX_ROUNDS, (int)MAX_LAYERS);
    }
    BT_TRY(bt_kern_select(bt_flags_string(flags, "isa"), &m->kern, err));
    BT_TRY(bt_pool_create(&m->pool, n_threads, err));
    const bool is_bf16 = bt_str_equal(precision, "bf16");
    m->nn = (bt_nn){.kern = &m->kern,
                    .pool = m->pool,
                    .product = &m->kern.products[is_bf16 ? BT_PRECISION_BF16 : BT_PRECISION_F32]};
    if (m->nn.product->rows == 0) {
        return BT_FAIL(err, BT_E_BACKEND, "these kernels leave products to BLAS");
    }
    m->nn.panel_bytes = bt_nn_product_scratch_bytes(m->nn.product);
    m->nn.panels = bt_alloc_array((size_t)n_threads, m->nn.panel_bytes);
    const int64_t widest = m->hidden > m->intermediate ? m->hidden : m->intermediate;
    const int64_t longest = m->tokens > widest ? m->tokens : widest;
    const size_t  n = longest * widest > PASS_FLOATS ? (size_t)(longest * widest) : PASS_FLOATS;
    m->a = make_numbers(n, 1e-3F);
    m->b = make_numbers(n, 9e-4F);
    m->c = make_numbers(n, 8e-4F);
    if (m->nn.panels == NULL || m->a == NULL || m->b == NULL || m->c == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory");
    }
    return bt_str_equal(precision, "int8") ? make_int8(m, n_threads, err) : make_layers(m, err);
}

static void deinit(machine *m) {
    bt_nn_int8_dense_free(m->dense);
    bt_free(m->rows);
    bt_free(m->nn.panels);
    bt_free(m->weights);
    bt_free(m->gradients);
    bt_free(m->inputs);
    bt_free(m->a);
    bt_free(m->b);
    bt_free(m->c);
    bt_pool_free(m->pool);
}

static bt_status measure(machine *m, bt_str *out, bt_error *err) {
    const bool   is_int8 = m->int8 != NULL;
    const double flops = is_int8
                             ? 2.0 * (double)m->tokens * (double)m->hidden * (double)m->intermediate
                             : layers_flops(m);
    const double products = time_part(m, is_int8 ? int8_part : layers_part);
    const double pass = time_part(m, pass_part);
    const double gelu = time_part(m, gelu_part);
    const double jobs = time_part(m, jobs_part);
    return bt_str_appendf(
        out, err,
        "{\"kernels\": \"%s, %s\", \"threads\": %" PRId32 ", \"tokens\": %" PRId64
        ", \"gflops\": %.2f, \"memory_gb_per_second\": %.3f, \"gelu_per_second\": %.5g, "
        "\"job_seconds\": %.4g}\n",
        m->kern.isa, is_int8 ? m->int8->name : m->nn.product->name, bt_pool_n_threads(m->pool),
        m->tokens, flops / products * 1e-9, 3.0 * sizeof(float) * (double)PASS_FLOATS / pass * 1e-9,
        (double)N_GELU_TASKS * GELU_FLOATS / gelu, jobs / N_EMPTY_JOBS);
}

static bt_status run(const bt_flags *flags, int *status, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    out = BT_STR_INIT;
    machine   m = {.rounds = 0};
    (void)status;
    BT_CHECK(init(&m, flags, err));
    m.counts_cpu_time = bt_flags_bool(flags, "cpu_time");
    BT_CHECK(measure(&m, &out, err));
    rc = bt_cli_print(&out, BT_READER_NEEDS_ALL, err);
done:
    bt_str_deinit(&out);
    deinit(&m);
    return rc;
}

static const char *const precisions[] = {"f32", "bf16", "int8", NULL};

static const bt_flag_def flag_defs[] = {
    {.name = "threads", .kind = BT_FLAG_INT, .default_text = "2", .help = "of all parts"},
    {.name = "layers",
     .kind = BT_FLAG_INT,
     .default_text = "6",
     .help = "whose products are made, one after the other, each with weights of its own"},
    {.name = "tokens", .kind = BT_FLAG_INT, .default_text = "1678", .help = "rows of a batch"},
    {.name = "hidden", .kind = BT_FLAG_INT, .default_text = "384", .help = "of a layer"},
    {.name = "intermediate", .kind = BT_FLAG_INT, .default_text = "1536", .help = "of a layer"},
    {.name = "precision",
     .kind = BT_FLAG_ENUM,
     .choices = precisions,
     .default_text = "f32",
     .help = "of the products; int8: one product of a prediction in place of the layers'"},
    {.name = "rounds",
     .kind = BT_FLAG_INT,
     .default_text = "5",
     .help = "of which the best counts"},
    {.name = "isa", .kind = BT_FLAG_STRING, .default_text = "auto", .help = "instruction set"},
    {.name = "cpu_time",
     .kind = BT_FLAG_BOOL,
     .help = "not the clock's: for --threads=1 on a machine that has other work"},
};

int main(int argc, char **argv) {
    static const bt_flag_table flag_table = {
        .program = "bench_machine",
        .summary = "bench_machine: how fast this machine does the parts of a step, each alone.\n"
                   "\n"
                   "bench_machine --threads=2 --precision=bf16",
        .defs = flag_defs,
        .n_defs = BT_ARRAY_LEN(flag_defs)};
    static const bt_cli_program program = {.flags = &flag_table, .run = run};
    return bt_cli_run(&program, argc, argv);
}
