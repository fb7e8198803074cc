/* SPDX-License-Identifier: Apache-2.0
 *
 * Batches in rows of slots: every sequence in one place, few shapes, little waste. */
#include "bt/base/alloc.h"
#include "exec_pjrt_bucket.h"

#include <string.h>

#include "test_support.h"

enum { MAX_SEQS = 512, MAX_SLOTS = 1 << 18 };

static int64_t  offsets[MAX_SEQS + 1];
static uint64_t random_state;

static uint32_t next_random(void) {
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33);
}

/* Lengths around half of most, as sentence pairs have them, or any. */
static bt_batch make_batch(int64_t n_seqs, int64_t most, bool is_text) {
    for (int64_t b = 0; b < n_seqs; b++) {
        int64_t n = 1 + next_random() % (uint32_t)most;
        if (is_text) {
            n = 3;
            for (int i = 0; i < 8; i++) {
                n += next_random() % (uint32_t)(most / 12);
            }
        }
        offsets[b + 1] = offsets[b] + n;
    }
    return (bt_batch){
        .n_seqs = n_seqs, .n_tokens = offsets[n_seqs], .seq_length = most, .offsets = offsets};
}

static void check_share(const exec_rows *rows, const bt_batch *batch, const exec_bucket *bucket) {
    static bool   is_taken[MAX_SLOTS];
    const int64_t n_slots = bucket->n_rows * bucket->n_slots;
    assert_true(n_slots <= MAX_SLOTS);
    memset(is_taken, 0, sizeof is_taken);
    for (int64_t b = 0; b < rows->n_seqs; b++) {
        const int64_t first = rows->first[b];
        const int64_t n =
            batch->offsets[rows->first_seq + b + 1] - batch->offsets[rows->first_seq + b];
        assert_true(first >= 0 && first + n <= n_slots);
        assert_int_equal(first / bucket->n_slots, (first + n - 1) / bucket->n_slots);
        for (int64_t i = first; i < first + n; i++) {
            assert_false(is_taken[i]);
            is_taken[i] = true;
        }
    }
}

static void test_every_sequence_has_its_place(void **state) {
    (void)state;
    exec_rows rows[4] = {{0}};
    random_state = 1;
    for (int i = 0; i < 300; i++) {
        const int32_t  n_shares = 1 << (i % 3);
        const int64_t  n_seqs = 1 + next_random() % 200; /* fewer than shares, too */
        const int64_t  most = 1 + next_random() % 512;
        const bt_batch batch = make_batch(n_seqs, most, false);
        exec_bucket    bucket;
        int64_t        n_placed = 0;
        exec_rows_divide(rows, n_shares, &batch, i % 2 == 0 ? EXEC_BY_TOKENS : EXEC_BY_SEQUENCES);
        assert_ok(exec_rows_lay(rows, n_shares, &batch, &bucket, err));
        for (int32_t r = 0; r < n_shares; r++) {
            assert_int_equal(rows[r].first_seq, n_placed);
            n_placed += rows[r].n_seqs;
            assert_true(rows[r].n_seqs <= bucket.n_seqs);
            check_share(&rows[r], &batch, &bucket);
        }
        assert_int_equal(n_placed, n_seqs);
        assert_int_equal(bucket.n_seqs % 2, 0);
        assert_true(bucket.n_seqs <= bucket.n_rows * bucket.n_slots);
    }
    for (int r = 0; r < 4; r++) {
        exec_rows_deinit(&rows[r]);
    }
}

static void test_few_shapes_waste_little(void **state) {
    (void)state;
    enum { N_BATCHES = 200, MAX_SHAPES = 20 };
    exec_rows   rows = {0};
    exec_bucket seen[MAX_SHAPES];
    size_t      n_shapes = 0;
    double      n_tokens = 0;
    double      n_slots = 0;
    random_state = 7;
    for (int i = 0; i < N_BATCHES; i++) {
        const bt_batch batch = make_batch(32, 128, true);
        exec_bucket    bucket;
        size_t         k = 0;
        exec_rows_divide(&rows, 1, &batch, EXEC_BY_TOKENS);
        assert_ok(exec_rows_lay(&rows, 1, &batch, &bucket, err));
        n_tokens += (double)batch.n_tokens;
        n_slots += (double)(bucket.n_rows * bucket.n_slots);
        while (k < n_shapes && memcmp(&seen[k], &bucket, sizeof bucket) != 0) {
            k++;
        }
        if (k == n_shapes) {
            assert_true(n_shapes < MAX_SHAPES);
            seen[n_shapes++] = bucket;
        }
    }
    print_message("%.1f %% of slots empty, %zu shapes\n", 100 * (1 - n_tokens / n_slots), n_shapes);
    assert_true(n_tokens / n_slots > 0.95);
    assert_true(n_shapes <= 10);
    exec_rows_deinit(&rows);
}

static int64_t most_tokens(const exec_rows *rows, int32_t n_shares) {
    int64_t most = 0;
    for (int32_t r = 0; r < n_shares; r++) {
        const int64_t n = offsets[rows[r].first_seq + rows[r].n_seqs] - offsets[rows[r].first_seq];
        most = n > most ? n : most;
    }
    return most;
}

/* No other cuts would make the largest share smaller: all of them are tried. */
static void test_shares_have_equal_work(void **state) {
    (void)state;
    enum { N_SHARES = 4, N_BATCHES = 100 };
    exec_rows rows[N_SHARES] = {{0}};
    double    by_tokens = 0;
    double    by_sequences = 0;
    random_state = 11;
    for (int i = 0; i < N_BATCHES; i++) {
        const bt_batch batch = make_batch(32, 128, true);
        const int64_t  n = batch.n_seqs;
        int64_t        best = batch.n_tokens;
        exec_rows_divide(rows, N_SHARES, &batch, EXEC_BY_SEQUENCES);
        assert_true(rows[0].n_seqs >= n / N_SHARES && rows[0].n_seqs <= n / N_SHARES + 1);
        by_sequences += (double)(most_tokens(rows, N_SHARES) * N_SHARES) / (double)batch.n_tokens;
        exec_rows_divide(rows, N_SHARES, &batch, EXEC_BY_TOKENS);
        by_tokens += (double)(most_tokens(rows, N_SHARES) * N_SHARES) / (double)batch.n_tokens;
        for (int64_t a = 0; a <= n; a++) {
            for (int64_t b = a; b <= n; b++) {
                for (int64_t c = b; c <= n; c++) {
                    const exec_rows cut[N_SHARES] = {{.n_seqs = a},
                                                     {.first_seq = a, .n_seqs = b - a},
                                                     {.first_seq = b, .n_seqs = c - b},
                                                     {.first_seq = c, .n_seqs = n - c}};
                    const int64_t   most = most_tokens(cut, N_SHARES);
                    best = most < best ? most : best;
                }
            }
        }
        assert_int_equal(most_tokens(rows, N_SHARES), best);
        assert_int_equal(rows[N_SHARES - 1].first_seq + rows[N_SHARES - 1].n_seqs, n);
    }
    print_message("largest of %d shares beside their mean: by sequences %+.1f %%, by tokens "
                  "%+.1f %%\n",
                  (int)N_SHARES, 100 * (by_sequences / (double)N_BATCHES - 1),
                  100 * (by_tokens / (double)N_BATCHES - 1));
    assert_true(by_tokens < by_sequences);
}

static void test_no_pair_is_parted(void **state) {
    (void)state;
    exec_rows      rows[3] = {{0}};
    const bt_batch batch = make_batch(14, 20, false);
    const int64_t  firsts[] = {0, 4, 8};
    exec_rows_divide(rows, 3, &batch, EXEC_BY_PAIRS);
    for (int r = 0; r < 3; r++) {
        assert_int_equal(rows[r].first_seq, firsts[r]);
        assert_int_equal(rows[r].n_seqs, r < 2 ? 4 : 6);
    }
}

/* What came before must not matter, nor may one token or none of headroom. */
static void test_small_ones(void **state) {
    (void)state;
    static const struct {
        int64_t n_seqs, n_tokens_each, seq_length, R, S, B;
    } cases[] = {
        {1, 1, 0, 1, 8, 2},          {1, 1, 1, 1, 8, 2},          {1, 512, 512, 1, 512, 2},
        {32, 128, 128, 16, 256, 32}, {33, 128, 128, 16, 384, 64}, {8, 1, 1, 4, 8, 8},
        {32, 384, 384, 16, 768, 32}, {12, 384, 384, 6, 768, 16},  {7, 13, 128, 1, 128, 8},
    };
    exec_rows rows = {0};
    for (size_t i = 0; i < BT_ARRAY_LEN(cases); i++) {
        exec_bucket bucket;
        for (int64_t b = 0; b < cases[i].n_seqs; b++) {
            offsets[b + 1] = offsets[b] + cases[i].n_tokens_each;
        }
        const bt_batch batch = {.n_seqs = cases[i].n_seqs,
                                .n_tokens = offsets[cases[i].n_seqs],
                                .seq_length = cases[i].seq_length,
                                .offsets = offsets};
        exec_rows_divide(&rows, 1, &batch, EXEC_BY_TOKENS);
        assert_ok(exec_rows_lay(&rows, 1, &batch, &bucket, err));
        check_share(&rows, &batch, &bucket);
        assert_int_equal(bucket.n_rows, cases[i].R);
        assert_int_equal(bucket.n_slots, cases[i].S);
        assert_int_equal(bucket.n_seqs, cases[i].B);
    }
    exec_rows_deinit(&rows);
}

static void test_memory_is_refused(void **state) {
    (void)state;
    random_state = 3;
    const bt_batch batch = make_batch(20, 64, false);
    for (uint64_t k = 1; k <= 4; k++) {
        exec_rows   rows = {0};
        exec_bucket bucket;
        exec_rows_divide(&rows, 1, &batch, EXEC_BY_TOKENS);
        bt_alloc_fail_at(k, false);
        assert_fails(exec_rows_lay(&rows, 1, &batch, &bucket, err), BT_E_NOMEM, "20 sequences");
        bt_alloc_fail_at(0, false);
        exec_rows_deinit(&rows);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_sequence_has_its_place),
        cmocka_unit_test(test_few_shapes_waste_little),
        cmocka_unit_test(test_shares_have_equal_work),
        cmocka_unit_test(test_no_pair_is_parted),
        cmocka_unit_test(test_small_ones),
        cmocka_unit_test(test_memory_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
