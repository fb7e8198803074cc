/* SPDX-License-Identifier: Apache-2.0
 *
 * Dropout masks that programs make, on the CPU plug-in, against bt_rng: bit for bit, at every place
 * of every site. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/rng.h"
#include "bt/kern.h"
#include "hlo_internal.h"
#include "test_pjrt_run.h"

enum { R = 2, S = 21, T = R * S, NH = 3, L = 2, B = 4, COLUMNS = 10 };

static const float rate = 0.3F;

/* Sequences of 5, 9 and 7 slots in the first row, one of 13 in the second, and empty slots; their
 * tokens have large numbers, as after a long batch. */
static const int32_t lengths[B] = {5, 9, 7, 13};
static int32_t       tokens[T], segments[T], first_slots[B] = {0, 5, 14, S};

static const uint64_t seed = UINT64_C(0x123456789abcdef0);
static const uint64_t step = UINT64_C(0x100000007);

static void place_tokens(void) {
    int32_t token = 1000000;
    memset(segments, -1, sizeof segments);
    for (int32_t b = 0; b < B; b++) {
        for (int32_t i = 0; i < lengths[b]; i++) {
            tokens[first_slots[b] + i] = token++;
            segments[first_slots[b] + i] = b;
        }
    }
}

static bool is_kept(bt_rng_key key, uint64_t block, int64_t column) {
    float                 mult[16] = {0};
    bt_kern               kern;
    const bt_kern_dropout dropout = bt_kern_dropout_make(rate);
    assert_ok(bt_kern_select("ref", &kern, err));
    kern.dropout_mask(mult, 4, key, block + (uint64_t)column / 4, dropout.limit, dropout.scale);
    return mult[column % 4] != 0;
}

/* What hlo_dropout and hlo_attention_mask read of a step. */
static void begin(hlo_step *s) {
    const int64_t rows[2] = {R, S};
    const int64_t four = 4;
    const int64_t n_seqs = B;
    memset(s, 0, sizeof *s);
    hlo_init(&s->h, 1);
    s->dropout = true;
    s->R = R;
    s->S = S;
    s->T = T;
    s->NH = NH;
    s->L = L;
    s->args[BT_HLO_TOKENS] = hlo_argument(&s->h, BT_DTYPE_I32, 2, rows, -1);
    s->args[BT_HLO_SEGMENTS] = hlo_argument(&s->h, BT_DTYPE_I32, 2, rows, -1);
    s->args[BT_HLO_FIRST_SLOTS] = hlo_argument(&s->h, BT_DTYPE_I32, 1, &n_seqs, -1);
    s->args[BT_HLO_SEED] = hlo_argument(&s->h, BT_DTYPE_U32, 1, &four, -1);
    hlo_make_keys(s);
}

static void run(hlo_step *s, hlo_value mask, float *out) {
    static uint32_t words[4];
    static int32_t  tokens_in[T], segments_in[T], first_in[B];
    bt_str          text = BT_STR_INIT;
    words[0] = (uint32_t)seed;
    words[1] = (uint32_t)(seed >> 32);
    words[2] = (uint32_t)step;
    words[3] = (uint32_t)(step >> 32);
    memcpy(tokens_in, tokens, sizeof tokens);
    memcpy(segments_in, segments, sizeof segments);
    memcpy(first_in, first_slots, sizeof first_slots);
    const hlo_value       result = hlo_convert(&s->h, mask, BT_DTYPE_F32);
    const test_pjrt_array args[] = {TEST_PJRT_I32(tokens_in, 2, R, S),
                                    TEST_PJRT_I32(segments_in, 2, R, S),
                                    TEST_PJRT_I32(first_in, 1, B), TEST_PJRT_U32(words, 1, 4)};
    test_pjrt_array       results[] = {{{BT_DTYPE_F32, result.rank, {0}}, out}};
    memcpy(results[0].shape.dim, result.dim, (size_t)result.rank * sizeof result.dim[0]);
    assert_ok(hlo_finish(&s->h, &result, 1, &text, err));
    test_pjrt_run(bt_str_text(&text), args, BT_ARRAY_LEN(args), results, 1);
    bt_str_deinit(&text);
    hlo_deinit(&s->h);
}

/* Columns that are not a whole number of blocks; layers' keys are looked up by a number that only
 * the program knows. */
static void test_rows_are_dropped_as_bt_rng_says(void **state) {
    (void)state;
    static const bt_rng_site sites[] = {
        BT_SITE_EMBEDDING_DROPOUT, BT_SITE_HEAD_DROPOUT, BT_SITE_HEAD_INPUT_DROPOUT,
        BT_SITE_ATTENTION_OUTPUT_DROPOUT, BT_SITE_FFN_OUTPUT_DROPOUT};
    static hlo_step s;
    static float    got[5][T][COLUMNS];
    hlo_value       masks[5];
    begin(&s);
    const hlo_value ones = hlo_fill(&s.h, hlo_new(&s.h, BT_DTYPE_F32, HLO_DIMS(T, COLUMNS)), 1);
    const hlo_value layer = hlo_number(&s.h, BT_DTYPE_I32, 1);
    const hlo_key   keys[5] = {hlo_key_at(&s, HLO_PLACE_EMBEDDING), hlo_key_at(&s, HLO_PLACE_HEAD),
                               hlo_key_at(&s, HLO_PLACE_HEAD_INPUT),
                               hlo_layer_key(&s, layer, HLO_LAYER_ATTENTION),
                               hlo_layer_key(&s, layer, HLO_LAYER_FFN)};
    for (int i = 0; i < 5; i++) {
        masks[i] = hlo_shape(&s.h, hlo_dropout(&s, ones, keys[i], hlo_slot_tokens(&s), rate), 1, T,
                             COLUMNS);
    }
    run(&s, hlo_concatenate(&s.h, masks, 5, 0), &got[0][0][0]);
    int64_t n_dropped = 0;
    for (int i = 0; i < 5; i++) {
        const bt_rng_key key = bt_rng_key_make(seed, step, i < 3 ? 0 : 1, sites[i]);
        for (int64_t t = 0; t < T; t++) {
            for (int64_t c = 0; segments[t] >= 0 && c < COLUMNS; c++) {
                const uint64_t block = (uint64_t)tokens[t] * ((COLUMNS + 3) / 4);
                const float    want = is_kept(key, block, c) ? 1 / (1 - rate) : 0;
                assert_true(got[i][t][c] == want);
                n_dropped += want == 0;
            }
        }
    }
    const double share = (double)n_dropped / (double)(5 * 34 * COLUMNS);
    assert_true(share > 0.25 && share < 0.35);
}

static void test_probabilities_are_dropped_as_bt_rng_says(void **state) {
    (void)state;
    static hlo_step s;
    static float    got[R][NH][S][S];
    begin(&s);
    const hlo_value layer = hlo_number(&s.h, BT_DTYPE_I32, 1);
    run(&s, hlo_attention_mask(&s, hlo_layer_key(&s, layer, HLO_LAYER_PROBS), rate),
        &got[0][0][0][0]);
    const bt_rng_key key = bt_rng_key_make(seed, step, 1, BT_SITE_ATTENTION_PROBS_DROPOUT);
    int64_t          n = 0;
    for (int64_t b = 0; b < B; b++) {
        const int64_t r = first_slots[b] / S;
        const int64_t start = first_slots[b] % S;
        for (int64_t i = 0; i < NH * lengths[b] * lengths[b]; i++) {
            const int64_t  head = i / (lengths[b] * lengths[b]);
            const int64_t  q = i / lengths[b] % lengths[b];
            const int64_t  k = i % lengths[b];
            const uint64_t row = (uint64_t)tokens[first_slots[b] + q] * NH + (uint64_t)head;
            const bool     want = is_kept(key, row << 18, k); /* as in nn_attention.c */
            assert_int_equal(got[r][head][start + q][start + k] != 0, want);
            n++;
        }
    }
    assert_int_equal(n, NH * (25 + 81 + 49 + 169));
}

/* As bits of a sequence, which may not be longer than n_longest. */
static void test_bits_are_dropped_as_bt_rng_says(void **state) {
    (void)state;
    enum { LONGEST = 40, WORDS = 2, BITS = 32 };
    static hlo_step s;
    static float    got[T][NH][WORDS][BITS];
    begin(&s);
    s.config.n_slots = 64; /* words are those of the longest sequence, not of a row */
    s.config.n_longest = LONGEST;
    const hlo_value layer = hlo_number(&s.h, BT_DTYPE_I32, 1);
    const hlo_value words = hlo_attention_bits(&s, hlo_layer_key(&s, layer, HLO_LAYER_PROBS), rate);
    const hlo_value like = hlo_new(&s.h, BT_DTYPE_U32, HLO_DIMS(T, NH, WORDS, BITS));
    const hlo_value moved =
        hlo_binary(&s.h, "shift_right_logical", hlo_spread(&s.h, words, like, 0),
                   hlo_iota(&s.h, BT_DTYPE_U32, like, 3));
    run(&s, hlo_binary(&s.h, "and", moved, hlo_number(&s.h, BT_DTYPE_U32, 1)), &got[0][0][0][0]);
    const bt_rng_key key = bt_rng_key_make(seed, step, 1, BT_SITE_ATTENTION_PROBS_DROPOUT);
    for (int64_t t = 0; t < T; t++) {
        for (int64_t i = 0; segments[t] >= 0 && i < NH * WORDS * BITS; i++) {
            const int64_t  head = i / (WORDS * BITS);
            const int64_t  k = i % (WORDS * BITS);
            const uint64_t row = (uint64_t)tokens[t] * NH + (uint64_t)head;
            assert_int_equal(got[t][head][k / BITS][k % BITS] != 0, is_kept(key, row << 18, k));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_dropped_as_bt_rng_says),
        cmocka_unit_test(test_probabilities_are_dropped_as_bt_rng_says),
        cmocka_unit_test(test_bits_are_dropped_as_bt_rng_says),
    };
    if (test_pjrt_client() == NULL) { /* which has said why */
        return TEST_SKIP_EXIT;
    }
    place_tokens();
    const int rc = cmocka_run_group_tests(tests, NULL, NULL);
    test_pjrt_exit(rc);
}
