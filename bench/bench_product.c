/* SPDX-License-Identifier: Apache-2.0
 *
 * The large matrix products of a step beside oneDNN's, where this was built with it: the same
 * shapes, numbers and threads, in turns, the best of the rounds. Weights are packed before, on both
 * sides. OpenMP's threads spin on for some milliseconds when oneDNN's turn is over; ours begins
 * when they sleep. Prints one JSON object. */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "bench_product.h"
#include "bt/base/alloc.h"
#include "bt/base/bf16.h"
#include "bt/base/pool.h"
#include "bt/cli.h"
#include "bt/nn.h"

enum { MAX_ROUNDS = 99, PAUSE_NS = 50000000 };

static const product_shape shapes[] = {
    {1678, 384, 1536, false}, {1678, 1536, 384, false}, {1678, 384, 384, false},
    {1678, 768, 768, false},  {1678, 768, 3072, false}, {1678, 3072, 768, false},
    {4096, 768, 3072, false}, {4096, 3072, 768, false}, {384, 1678, 1536, true},
    {1536, 1678, 384, true},  {384, 1678, 384, true},   {768, 1678, 3072, true},
    {3072, 1678, 768, true},  {768, 4096, 3072, true},
};

static bool   counts_cpu_time;
static double most_spun; /* seconds of the processor in a pause */

static double read_clock(clockid_t id) {
    struct timespec now;
    (void)clock_gettime(id, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double product_clock(void) {
    return read_clock(counts_cpu_time ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC);
}

/* Until threads of the other side sleep. */
static void pause_for_others(void) {
    const double start = read_clock(CLOCK_PROCESS_CPUTIME_ID);
    (void)nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    most_spun = fmax(most_spun, read_clock(CLOCK_PROCESS_CPUTIME_ID) - start);
}

/* Owned. */
typedef struct side {
    bt_kern        kern;
    bt_pool       *pool;
    bt_nn          nn;
    unsigned char *packed;
} side;

static bt_status side_init(side *s, const bt_flags *flags, int32_t n_threads,
                           bt_precision precision, bt_error *err) {
    BT_TRY(bt_kern_select(bt_flags_string(flags, "isa"), &s->kern, err));
    BT_TRY(bt_pool_create(&s->pool, n_threads, err));
    s->nn = (bt_nn){.kern = &s->kern, .pool = s->pool, .product = &s->kern.products[precision]};
    if (s->nn.product->rows == 0) {
        return BT_FAIL(err, BT_E_BACKEND, "these kernels leave products to BLAS");
    }
    s->nn.panel_bytes = bt_nn_product_scratch_bytes(s->nn.product);
    s->nn.panels = bt_alloc_array((size_t)n_threads, s->nn.panel_bytes);
    return s->nn.panels == NULL ? BT_FAIL(err, BT_E_NOMEM, "out of memory") : BT_OK;
}

static void side_deinit(side *s) {
    bt_free(s->nn.panels);
    bt_free(s->packed);
    bt_pool_free(s->pool);
}

static void numbers_deinit(product_numbers *x) {
    bt_free(x->a);
    bt_free(x->b);
    bt_free(x->c);
    bt_free(x->a16);
    bt_free(x->b16);
    bt_free(x->c16);
}

static bt_status numbers_init(product_numbers *x, const product_shape *s, bt_error *err) {
    const size_t n_a = (size_t)(s->M * s->K);
    const size_t n_b = (size_t)(s->K * s->N);
    const size_t n_c = (size_t)(s->M * s->N);
    x->a = bt_alloc_array(n_a, sizeof *x->a);
    x->b = bt_alloc_array(n_b, sizeof *x->b);
    x->c = bt_calloc_array(n_c, sizeof *x->c);
    x->a16 = bt_alloc_array(n_a, sizeof *x->a16);
    x->b16 = bt_alloc_array(n_b, sizeof *x->b16);
    x->c16 = bt_calloc_array(n_c, sizeof *x->c16);
    if (x->a == NULL || x->b == NULL || x->c == NULL || x->a16 == NULL || x->b16 == NULL ||
        x->c16 == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a product");
    }
    for (size_t i = 0; i < n_a; i++) {
        x->a[i] = 0.5F - 1e-3F * (float)(i % 997);
        x->a16[i] = bt_bf16_round(x->a[i]);
    }
    for (size_t i = 0; i < n_b; i++) {
        x->b[i] = 0.5F - 1e-3F * (float)(i % 991);
        x->b16[i] = bt_bf16_round(x->b[i]);
    }
    return BT_OK;
}

/* What a step does: of weights the packed ones, gradients of them from two activations. */
static bt_status make_product(side *s, const product_shape *shape, product_numbers *x,
                              bt_precision precision, bt_nn_packed *packed, bt_nn_product *p,
                              bt_error *err) {
    const bool is_16 = precision == BT_PRECISION_BF16;
    *p = (bt_nn_product){.c = x->c,
                         .a = x->a,
                         .b = x->b,
                         .ld_c = shape->N,
                         .ld_a = shape->is_gradient ? shape->M : shape->K,
                         .ld_b = shape->N,
                         .trans_a = shape->is_gradient ? BT_KERN_T : BT_KERN_N,
                         .M = shape->M,
                         .N = shape->N,
                         .K = shape->K,
                         .alpha = 1};
    if (is_16) {
        p->a16 = x->a16;
        p->a = NULL;
    }
    if (is_16 && shape->is_gradient) {
        p->b16 = x->b16;
        p->b = NULL;
    }
    if (shape->is_gradient) {
        return BT_OK;
    }
    *packed = (bt_nn_packed){.kern = s->nn.product, .K = shape->K, .N = shape->N};
    bt_free(s->packed);
    s->packed = bt_alloc_array(bt_nn_packed_bytes(s->nn.product, shape->K, shape->N), 1);
    if (s->packed == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a packed matrix");
    }
    packed->panels = s->packed;
    bt_nn_pack(packed, x->b, shape->N, BT_KERN_N, 0, bt_nn_packed_n_panels(packed));
    p->b_packed = packed;
    if (is_16) {
        p->c16 = x->c16;
        p->c = NULL;
    }
    return BT_OK;
}

static double seconds_of(side *s, const bt_nn_product *p, int64_t times) {
    pause_for_others();
    bt_nn_product_run(&s->nn, p); /* our own threads are awake then, as oneDNN's are */
    const double start = product_clock();
    for (int64_t i = 0; i < times; i++) {
        bt_nn_product_run(&s->nn, p);
    }
    return (product_clock() - start) / (double)times;
}

static bt_status measure(side *s, onednn *other, const product_shape *shape, bt_precision precision,
                         int64_t rounds, double *worst, bt_str *out, bt_error *err) {
    bt_status       rc = BT_OK;
    product_numbers x = {.a = NULL};
    bt_nn_packed    packed;
    bt_nn_product   p;
    double          own = INFINITY;
    double          theirs = INFINITY;
    const double    flops = 2.0 * (double)shape->M * (double)shape->N * (double)shape->K;
    BT_CHECK(numbers_init(&x, shape, err));
    BT_CHECK(make_product(s, shape, &x, precision, &packed, &p, err));
    BT_CHECK(onednn_prepare(other, shape, &x, precision == BT_PRECISION_BF16, err));
    const int64_t times = 1 + (int64_t)(0.02 / seconds_of(s, &p, 1));
    for (int64_t i = 0; i < rounds; i++) {
        own = fmin(own, seconds_of(s, &p, times));
        theirs = fmin(theirs, onednn_seconds(other, times));
    }
    const double ratio = theirs / own;
    *worst = isfinite(theirs) ? fmin(*worst, ratio) : *worst;
    BT_CHECK(bt_str_appendf(
        out, err,
        "%s{\"shape\": \"[%" PRId64 ",%" PRId64 "] x [%" PRId64 ",%" PRId64
        "]%s\", \"gflops\": %.1f, \"onednn_gflops\": %.1f, \"ratio\": %.3f}",
        out->len > 0 && bt_str_text(out)[out->len - 1] == '}' ? ", " : "", shape->M, shape->K,
        shape->K, shape->N, shape->is_gradient ? ", of weights" : "", flops / own * 1e-9,
        isfinite(theirs) ? flops / theirs * 1e-9 : 0, isfinite(theirs) ? ratio : 0));
done:
    numbers_deinit(&x);
    return rc;
}

static bt_status run(const bt_flags *flags, int *status, bt_error *err) {
    bt_status          rc = BT_OK;
    bt_str             out = BT_STR_INIT;
    side               s = {.pool = NULL};
    onednn            *other = NULL;
    double             worst = INFINITY;
    const bt_precision precision =
        bt_flags_bool(flags, "float32") ? BT_PRECISION_F32 : BT_PRECISION_BF16;
    const int64_t rounds = bt_flags_int(flags, "rounds");
    const int32_t n_threads = (int32_t)bt_flags_int(flags, "threads");
    (void)status;
    counts_cpu_time = bt_flags_bool(flags, "cpu_time");
    if (rounds < 1 || rounds > MAX_ROUNDS || n_threads < 1) {
        return BT_FAIL(err, BT_E_CONFIG, "--rounds: expected 1 to %d, --threads: at least 1",
                       MAX_ROUNDS);
    }
    BT_CHECK(side_init(&s, flags, n_threads, precision, err));
    BT_CHECK(onednn_create(n_threads, &other, err));
    BT_CHECK(bt_str_appendf(&out, err,
                            "{\"kernels\": \"%s, %s\", \"onednn\": \"%s\", \"threads\": %" PRId32
                            ", \"products\": [",
                            s.kern.isa, s.nn.product->name, onednn_version(), n_threads));
    for (size_t i = 0; i < BT_ARRAY_LEN(shapes); i++) {
        BT_CHECK(measure(&s, other, &shapes[i], precision, rounds, &worst, &out, err));
    }
    BT_CHECK(bt_str_appendf(&out, err, "], \"spun_in_pauses\": %.4f, \"ratio\": %.3f}\n", most_spun,
                            isfinite(worst) ? worst : 0));
    rc = bt_cli_print(&out, BT_READER_NEEDS_ALL, err);
done:
    onednn_free(other);
    side_deinit(&s);
    bt_str_deinit(&out);
    return rc;
}

static const bt_flag_def flag_defs[] = {
    {.name = "threads", .kind = BT_FLAG_INT, .default_text = "2", .help = "of both"},
    {.name = "rounds", .kind = BT_FLAG_INT, .default_text = "7", .help = "in turns"},
    {.name = "isa", .kind = BT_FLAG_STRING, .default_text = "auto", .help = "instruction set"},
    {.name = "cpu_time",
     .kind = BT_FLAG_BOOL,
     .help = "not the clock's: for --threads=1 on a machine that has other work"},
    {.name = "float32", .kind = BT_FLAG_BOOL, .help = "in place of bfloat16"},
};

int main(int argc, char **argv) {
    static const bt_flag_table flag_table = {
        .program = "bench_product",
        .summary = "bench_product: the matrix products of a step beside oneDNN's.",
        .defs = flag_defs,
        .n_defs = BT_ARRAY_LEN(flag_defs)};
    static const bt_cli_program program = {.flags = &flag_table, .run = run};
    return bt_cli_run(&program, argc, argv);
}
