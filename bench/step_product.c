/* SPDX-License-Identifier: Apache-2.0
 *
 * How fast a device multiplies: the yardstick beside which its steps are looked at. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench_step.h"
#include "bt/base/alloc.h"
#include "bt/base/rng.h"
#include "bt/base/str.h"
#include "bt/base/time.h"

enum { CHAIN = 16, MAX_PRODUCTS = 4096 };

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
                               bt_pjrt_buffer *const factors[2], const step_options *o,
                               double *flops, bt_error *err) {
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

bt_status measure_product(const step_options *o, bt_pjrt_client *client, bt_str *out,
                          bt_error *err) {
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
    BT_CHECK(bt_str_appendf(out, err,
                            "{\"device\": \"%s\", \"platform\": \"%s\", \"limit_bytes\": %" PRId64
                            ", \"product\": %" PRId64 ", \"flops\": %.6g}\n",
                            device.kind, bt_pjrt_client_platform(client), device.limit_bytes,
                            o->product, flops));
done:
    bt_pjrt_buffer_free(client, factors[0]);
    bt_pjrt_buffer_free(client, factors[1]);
    bt_pjrt_program_free(program);
    bt_str_deinit(&text);
    return rc;
}
