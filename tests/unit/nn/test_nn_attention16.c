/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention with bfloat16 factors beside attention in float32 of the same numbers: forward and
 * backward, sequences of one token and of several blocks, with masks, dropout and first tokens
 * only; under every instruction set and with every kind of product; and equal bits for one and
 * three threads. */
#include <math.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/bf16.h"
#include "bt/base/pool.h"
#include "bt/nn.h"
#include "test_random.h"
#include "test_support.h"

#ifdef BT_KERN_AMX_MODEL
#include "../../../src/kern/kern_internal.h"
#endif

enum { B = 6, T = 1 + 13 + 16 + 53 + 130 + 33, MAX_D = 40, NH = 5, MAX_H = NH * MAX_D, GUARD = 64 };
static const int64_t offsets[B + 1] = {0, 1, 14, 30, 83, 213, T};
static const int64_t first_offsets[B + 1] = {0, 1, 2, 3, 4, 5, 6};
enum { LONGEST = 130, N = T * MAX_H, STATS = T * NH };

typedef struct arrays {
    float    q[N], k[N], v[N], d_context[N];
    float    context[N], d_q[N], d_k[N], d_v[N];
    float    max[STATS], inv_sum[STATS];
    uint16_t q16[N], k16[N], v16[N], d_context16[N];
    uint16_t context16[N], d_q16[N], d_k16[N], d_v16[N];
    uint16_t kept[STATS * 10];
} arrays;

static arrays  x, y;
static uint8_t key_mask[T];
static bt_kern kern;
static int64_t D;

static void fill(float *wide, uint16_t *out, uint64_t seed) {
    const bt_rng_key key = bt_rng_key_make(seed, 5, 0, BT_SITE_INIT);
    for (int64_t i = 0; i < (int64_t)T * NH * D; i++) {
        out[i] = bt_bf16_round((float)test_normal(key, (uint64_t)i));
        wide[i] = bt_bf16_widen(out[i]);
    }
}

static void fill_all(void) {
    memset(&x, 0, sizeof x);
    fill(x.q, x.q16, 1);
    fill(x.k, x.k16, 2);
    fill(x.v, x.v16, 3);
    fill(x.d_context, x.d_context16, 4);
}

enum { MASKED = 1, DROPS = 2, FIRST_ONLY = 4, N_VARIANTS = 8 };

static bt_nn_attention attention(int variant) {
    const bool first_only = (variant & FIRST_ONLY) != 0;
    return (bt_nn_attention){
        .offsets = offsets,
        .q_offsets = first_only ? first_offsets : offsets,
        .key_mask = (variant & MASKED) != 0 ? key_mask : NULL,
        .dropout = {.key = bt_rng_key_make(9, 1, 2, BT_SITE_ATTENTION_PROBS_DROPOUT),
                    .rate = bt_kern_dropout_make((variant & DROPS) != 0 ? 0.25F : 0),
                    .row_ids = first_only ? offsets : NULL,
                    .first_row = 11},
        .B = B,
        .NH = NH,
        .D = D,
    };
}

static void run16(arrays *a, const bt_nn_attention *att, bt_pool *pool) {
    const int64_t H = NH * D;
    const int64_t n = bt_nn_attention16_scratch_size(LONGEST, D);
    const int32_t n_threads = bt_pool_n_threads(pool);
    float *const  scratch = bt_calloc_array((size_t)(n * n_threads + GUARD), sizeof *scratch);
    assert_non_null(scratch);
    for (int64_t i = 0; i < GUARD; i++) {
        scratch[n * n_threads + i] = 7;
    }
    bt_nn nn = {.kern = &kern, .pool = pool, .thread_scratch = scratch, .n_thread_scratch = n};
    const bt_nn_attention16 x16 = {.q = a->q16,
                                   .k = a->k16,
                                   .v = a->v16,
                                   .context = a->context16,
                                   .max = a->max,
                                   .inv_sum = a->inv_sum,
                                   .kept = att->dropout.rate.on ? a->kept : NULL,
                                   .kept_step = bt_nn_kept_step(LONGEST),
                                   .d_context = a->d_context16,
                                   .d_q = a->d_q16,
                                   .d_k = a->d_k16,
                                   .d_v = a->d_v16,
                                   .ld_q = H,
                                   .ld_kv = H,
                                   .ld_context = H,
                                   .ld_d_q = H,
                                   .ld_d_kv = H};
    bt_nn_attention16_forward(&nn, att, &x16);
    bt_nn_attention16_backward(&nn, att, &x16);
    for (int64_t i = 0; i < GUARD; i++) {
        assert_true(scratch[n * n_threads + i] == 7);
    }
    bt_free(scratch);
}

static void run32(arrays *a, const bt_nn_attention *att) {
    const int64_t n = bt_nn_thread_scratch_size(LONGEST, D, 1);
    float *const  scratch = bt_calloc_array((size_t)n, sizeof *scratch);
    assert_non_null(scratch);
    bt_nn nn = {.kern = &kern, .thread_scratch = scratch, .n_thread_scratch = n};
    bt_nn_attention_forward(&nn, a->context, a->max, a->inv_sum, a->q, a->k, a->v, att);
    bt_nn_attention_backward(&nn, a->d_q, a->d_k, a->d_v, a->d_context, a->q, a->k, a->v, a->max,
                             a->inv_sum, att);
    bt_free(scratch);
}

/* Distance of the whole, as part of the norm; each row near enough by itself. */
static void check_near(const uint16_t *got, const float *want, int64_t n, const char *what) {
    double square = 0;
    double all = 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = (double)bt_bf16_widen(got[i]) - (double)want[i];
        assert_true(fabs(d) < 0.04 * (1 + fabs((double)want[i])));
        square += d * d;
        all += (double)want[i] * (double)want[i];
    }
    if (!(sqrt(square) <= 4e-3 * sqrt(all) + 1e-9)) {
        fail_msg("%s under %s, %s, D %d: %g of %g", what, kern.isa, kern.tiles16.name, (int)D,
                 sqrt(square), sqrt(all));
    }
}

static void check_variant(int variant) {
    const bt_nn_attention att = attention(variant);
    const int64_t         n = T * NH * D;
    const int64_t         n_q = (variant & FIRST_ONLY) != 0 ? B * NH * D : n;
    fill_all();
    run16(&x, &att, NULL);
    run32(&x, &att);
    check_near(x.context16, x.context, n_q, "context");
    check_near(x.d_q16, x.d_q, n_q, "gradient of queries");
    check_near(x.d_k16, x.d_k, n, "gradient of keys");
    check_near(x.d_v16, x.d_v, n, "gradient of values");
}

/* On an emulated processor a variant has one of the four widths. */
static bool is_left_out(size_t d, int variant) {
    return test_is_emulated() && (size_t)variant % 4 != d;
}

static void check_dims(void) {
    static const int64_t dims[] = {3, 8, 32, MAX_D};
    print_message("%s: %s\n", kern.isa, kern.tiles16.name);
    for (size_t d = 0; d < BT_ARRAY_LEN(dims); d++) {
        D = dims[d];
        for (int variant = 0; variant < N_VARIANTS; variant++) {
            if (!is_left_out(d, variant)) {
                check_variant(variant);
            }
        }
    }
}

#ifdef BT_KERN_AMX_MODEL
/* AVX-512's kernels around products of AMX's model. */
static void select_best(void) {
    bt_kern_tiles16 tiles;
    if (!bt_kern_has("avx512")) {
        test_skip("the rest of AMX's kernels needs AVX-512, which this machine lacks");
    }
    assert_ok(bt_kern_select("avx512", &kern, err));
    if (!bt_kern_tiles16_variant(&kern, 1, &tiles)) {
        test_skip("the rest of AMX's kernels needs AVX512_BF16, which this machine lacks");
    }
    kern_override_amx_model(&kern);
}

static void test_is_attention(void **state) {
    (void)state;
    select_best();
    check_dims();
}
#else
static void select_best(void) {
    assert_ok(bt_kern_select("auto", &kern, err));
}

static void test_is_attention(void **state) {
    (void)state;
    for (int i = 0; bt_kern_isa(i) != NULL; i++) {
        if (!bt_kern_has(bt_kern_isa(i))) {
            print_message("not on this machine: %s\n", bt_kern_isa(i));
            continue;
        }
        assert_ok(bt_kern_select(bt_kern_isa(i), &kern, err));
        for (int v = 0; bt_kern_tiles16_variant(&kern, v, &kern.tiles16); v++) {
            check_dims();
        }
    }
}
#endif

static void test_bits_do_not_depend_on_threads(void **state) {
    (void)state;
    select_best();
    D = 32;
    for (int variant = 0; variant < N_VARIANTS; variant++) {
        const bt_nn_attention att = attention(variant);
        bt_pool              *pool = NULL;
        assert_ok(bt_pool_create(&pool, 3, err));
        fill_all();
        run16(&x, &att, pool);
        y = x;
        fill_all();
        run16(&x, &att, NULL);
        assert_memory_equal(&x, &y, sizeof x);
        bt_pool_free(pool);
    }
}

static int setup(void **state) {
    (void)state;
    for (int t = 0; t < T; t++) {
        key_mask[t] = t % 4 != 1;
    }
    key_mask[0] = 0; /* all of a sequence */
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_is_attention),
        cmocka_unit_test(test_bits_do_not_depend_on_threads),
    };
    return cmocka_run_group_tests_name("nn attention16", tests, setup, NULL);
}
