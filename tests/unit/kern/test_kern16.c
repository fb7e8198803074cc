/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernels of attention in bfloat16, under every instruction set of this machine and with every
 * kind of product that it has: factors, bits of dropout and roundings are those of the portable
 * code, products are right, and nothing outside of what the header grants is written. */
#include <math.h>
#include <string.h>

#include "bt/base/bf16.h"
#include "bt/base/rng.h"
#include "kern_test_data.h"
#include "test_random.h"

enum { MOST = 96, GUARD16 = 64, ROOM = (MOST + 16) * MOST * 2 };

static const int64_t sizes[] = {1, 2, 3, 13, 15, 16, 17, 31, 32, 33, 47, 64, 65, 80};

static uint16_t x16[ROOM], y16[ROOM];
static uint16_t left[2][ROOM];
static uint32_t right[2][ROOM];
static float    sums[2][ROOM];

static void fill16(uint16_t *x, int64_t n, uint64_t seed, double size) {
    const bt_rng_key key = bt_rng_key_make(seed, 3, 0, BT_SITE_INIT);
    for (int64_t i = 0; i < n; i++) {
        x[i] = bt_bf16_round((float)(test_normal(key, (uint64_t)i) * size));
    }
}

static void fill32(float *x, int64_t n, uint64_t seed, double size) {
    const bt_rng_key key = bt_rng_key_make(seed, 3, 0, BT_SITE_INIT);
    for (int64_t i = 0; i < n; i++) {
        x[i] = (float)(test_normal(key, (uint64_t)i) * size);
    }
}

static bt_kern ref;

static void check_factors(const bt_kern_tiles16 *tiles, int64_t n_rows, int64_t n_cols) {
    const bt_kern_tiles16 *const both[2] = {&ref.tiles16, tiles};
    const int64_t                ld = n_cols + 3;
    fill16(x16, n_rows * ld, 1, 1);
    for (int transposed = 0; transposed < 2; transposed++) {
        for (int i = 0; i < 2; i++) {
            memset(left[i], 0xA5, sizeof left[i]);
            memset(right[i], 0xA5, sizeof right[i]);
            (transposed != 0 ? both[i]->left_transposed : both[i]->left)(left[i], x16, ld, n_rows,
                                                                         n_cols);
            (transposed != 0 ? both[i]->right_transposed : both[i]->right)(right[i], x16, ld,
                                                                           n_rows, n_cols);
        }
        assert_memory_equal(left[0], left[1], sizeof left[0]);
        assert_memory_equal(right[0], right[1], sizeof right[0]);
    }
}

/* x [M,K], y [K,N] */
static double element(const uint16_t *x, const uint16_t *y, int64_t K, int64_t N, int64_t i,
                      int64_t j) {
    double sum = 0;
    for (int64_t k = 0; k < K; k++) {
        sum += (double)bt_bf16_widen(x[i * K + k]) * (double)bt_bf16_widen(y[k * N + j]);
    }
    return sum;
}

static void check_product(const bt_kern_tiles16 *tiles, int64_t M, int64_t N, int64_t K) {
    const int64_t width = bt_kern_tiles16_row(N);
    const int64_t end = (M + 15) / 16 * 16 * width;
    fill16(x16, M * K, 2, 1);
    fill16(y16, K * N, 3, 1);
    tiles->left(left[0], x16, K, M, K);
    tiles->right(right[0], y16, N, K, N);
    fill32(sums[0], end, 4, 1);
    memcpy(sums[1], sums[0], (size_t)end * sizeof sums[0][0]);
    for (int64_t i = 0; i < GUARD16; i++) {
        sums[0][end + i] = 7;
        sums[1][end + i] = 7;
    }
    if (tiles->start != NULL) {
        tiles->start();
    }
    float before[MOST * MOST];
    memcpy(before, sums[0], (size_t)(M * width) * sizeof before[0]);
    tiles->product(sums[0], left[0], right[0], M, N, K, false);
    tiles->product(sums[1], left[0], right[0], M, N, K, true);
    if (tiles->stop != NULL) {
        tiles->stop();
    }
    for (int64_t i = 0; i < M; i++) {
        for (int64_t j = 0; j < N; j++) {
            const double want = element(x16, y16, K, N, i, j);
            const double more = want + (double)before[i * width + j];
            const double got[2] = {(double)sums[0][i * width + j], (double)sums[1][i * width + j]};
            test_close_f64(&got[0], &want, 1, 2e-5, 1e-5, tiles->name);
            test_close_f64(&got[1], &more, 1, 2e-5, 1e-5, tiles->name);
        }
    }
    for (int64_t i = 0; i < GUARD16; i++) {
        assert_true(sums[0][end + i] == 7 && sums[1][end + i] == 7);
    }
}

static void tiles_match(const bt_kern *kern) {
    bt_kern_tiles16 tiles;
    for (int v = 0; bt_kern_tiles16_variant(kern, v, &tiles); v++) {
        print_message("%s: %s\n", kern->isa, tiles.name);
        for (size_t i = 0; i < BT_ARRAY_LEN(sizes); i++) {
            for (size_t j = 0; j < BT_ARRAY_LEN(sizes); j++) {
                check_factors(&tiles, sizes[i], sizes[j]);
                check_product(&tiles, sizes[i], sizes[j], sizes[(i + 2 * j) % 14]);
            }
        }
    }
    assert_string_equal(kern->tiles16.name, tiles.name); /* the last one is what is used */
}

/* Bits are the multipliers of dropout_mask, whatever the rows. */
static void check_bits(const bt_kern *kern, int64_t n_rows, int64_t n, uint64_t block,
                       uint64_t step) {
    const bt_rng_key      key = bt_rng_key_make(4, 2, 1, BT_SITE_ATTENTION_PROBS_DROPOUT);
    const bt_kern_dropout drop = bt_kern_dropout_make(0.3F);
    const int64_t         bits_step = (n + 15) / 16 + 1;
    uint16_t *const       bits = left[0];
    for (int64_t i = 0; i < n_rows * bits_step; i++) {
        bits[i] = 0x5A5A;
    }
    kern->dropout_bits(bits, bits_step, n_rows, n, key, block, step, drop.limit);
    for (int64_t r = 0; r < n_rows; r++) {
        float want[MOST * 4];
        float got[MOST * 4] = {0};
        ref.dropout_mask(want, n, key, block + (uint64_t)r * step, drop.limit, drop.scale);
        got[n] = 7;
        kern->mask_of_bits(got, bits + r * bits_step, n, drop.scale);
        assert_memory_equal(got, want, (size_t)n * sizeof got[0]);
        assert_true(got[n] == 7);
        assert_int_equal(bits[(r + 1) * bits_step - 1], 0x5A5A);
    }
}

static void bits_are_multipliers(const bt_kern *kern) {
    static const int64_t lengths[] = {1, 5, 13, 16, 17, 48, 53, 64, 65, 131, 200};
    for (size_t i = 0; i < BT_ARRAY_LEN(lengths); i++) {
        for (int64_t n_rows = 1; n_rows < 8; n_rows++) {
            check_bits(kern, n_rows, lengths[i], UINT64_C(3) << 18, UINT64_C(12) << 18);
            check_bits(kern, n_rows, lengths[i], 78, 78);
            check_bits(kern, n_rows, lengths[i], (UINT64_C(5) << 32) - 9, 78); /* carry */
            check_bits(kern, n_rows, lengths[i], (UINT64_C(9) << 32) - 2, UINT64_C(1) << 31);
        }
    }
}

static void check_close16(const uint16_t *got, const uint16_t *want, int64_t n, const char *what) {
    for (int64_t i = 0; i < n; i++) {
        const double a = (double)bt_bf16_widen(got[i]);
        const double b = (double)bt_bf16_widen(want[i]);
        test_close_f64(&a, &b, 1, 1e-6, 0x1p-7, what); /* the last of 8 digits */
    }
}

static void check_probs(const bt_kern *kern, int64_t n_rows, int64_t n, bool masked, bool drops) {
    enum { STEP = 3 };
    static float          scores[2][ROOM], d_p[2][ROOM], max[2][ROOM], inv_sum[2][ROOM];
    static uint16_t       p[2][ROOM], d_s[2][ROOM], kept[ROOM];
    static float          mask[MOST * 4];
    const bt_kern *const  kerns[2] = {&ref, kern};
    const int64_t         row = bt_kern_tiles16_row(n);
    const int64_t         all = (n_rows + 15) / 16 * 16 * row;
    const bt_kern_dropout drop = bt_kern_dropout_make(0.3F);
    const bt_rng_key      key = bt_rng_key_make(4, 2, 1, BT_SITE_ATTENTION_PROBS_DROPOUT);
    ref.dropout_bits(kept, row, n_rows, n, key, 0, 1000, drop.limit);
    for (int64_t i = 0; i < n; i++) {
        mask[i] = i % 3 == 1 ? -1.0e9F : 0;
    }
    for (int i = 0; i < 2; i++) {
        const bt_kern_probs16 x = {.scores = scores[i],
                                   .d_p = d_p[i],
                                   .scale = 0.25F,
                                   .mask = masked ? mask : NULL,
                                   .kept = drops ? kept : NULL,
                                   .kept_step = row,
                                   .kept_scale = drop.scale,
                                   .max = max[i],
                                   .inv_sum = inv_sum[i],
                                   .stat_step = STEP,
                                   .p = p[i],
                                   .d_s = d_s[i],
                                   .n_rows = n_rows,
                                   .n = n};
        memset(p[i], 0xA5, sizeof p[i]);
        memset(d_s[i], 0xA5, sizeof d_s[i]);
        fill32(scores[i], n_rows * row, 5, 8);
        kerns[i]->probs16_forward(&x);
        memcpy(left[i], p[i], (size_t)all * sizeof left[i][0]);
        fill32(scores[i], n_rows * row, 5, 8);
        fill32(d_p[i], n_rows * row, 6, 1);
        kerns[i]->probs16_backward(&x);
        assert_memory_equal(left[i], p[i], (size_t)all * sizeof left[i][0]); /* made again */
        assert_int_equal(p[i][all], 0xA5A5);
        assert_int_equal(d_s[i][all], 0xA5A5);
        for (int64_t at = 0; at < all; at++) {
            if (at / row >= n_rows || at % row >= n) {
                assert_int_equal(p[i][at], 0);
                assert_int_equal(d_s[i][at] & 0x7FFF, 0);
            }
        }
    }
    for (int64_t r = 0; r < n_rows; r++) {
        const int64_t at = r * STEP;
        test_close_f32(max[1] + at, max[0] + at, 1, 0, 1e-6, "maximum");
        test_close_f32(inv_sum[1] + at, inv_sum[0] + at, 1, 0, 1e-5, "sum");
    }
    check_close16(p[1], p[0], all, "probabilities");
    check_close16(d_s[1], d_s[0], all, "gradient of scores");
}

static void probabilities_match(const bt_kern *kern) {
    for (size_t i = 0; i < BT_ARRAY_LEN(sizes); i++) {
        for (int variant = 0; variant < 4; variant++) {
            check_probs(kern, 1 + (int64_t)i % 5, sizes[i], (variant & 1) != 0, (variant & 2) != 0);
        }
    }
}

static void stores_match(const bt_kern *kern) {
    for (size_t i = 0; i < BT_ARRAY_LEN(sizes); i++) {
        const int64_t n = sizes[i];
        fill32(sums[0], 3 * (n + 5), 8, 1);
        sums[0][1] = n > 1 ? NAN : 1;
        memset(left, 0x11, sizeof left);
        ref.store16(left[0], n + 2, sums[0], n + 5, 3, n, 0.7F);
        kern->store16(left[1], n + 2, sums[0], n + 5, 3, n, 0.7F);
        assert_memory_equal(left[0], left[1], sizeof left[0]);
    }
}

#define ISA_TEST(name)                                                                             \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        assert_ok(bt_kern_select("ref", &ref, err));                                               \
        for_each_isa(name);                                                                        \
    }
ISA_TEST(tiles_match)
ISA_TEST(bits_are_multipliers)
ISA_TEST(probabilities_match)
ISA_TEST(stores_match)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiles_match),
        cmocka_unit_test(test_bits_are_multipliers),
        cmocka_unit_test(test_probabilities_match),
        cmocka_unit_test(test_stores_match),
    };
    return cmocka_run_group_tests_name("kern16", tests, NULL, NULL);
}
