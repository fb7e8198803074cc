/* SPDX-License-Identifier: Apache-2.0
 *
 * Many batches evaluated together give, batch by batch and bit for bit, what each gives alone: a
 * row's logits do not depend on the rows beside it, nor on the threads. */
#include <string.h>

#include "bt/base/stop.h"
#include "exec_fixture.h"
#include "test_faults.h"

enum {
    N_BATCHES = 24,
    MAX_SEQS = 16,
    LONGEST = 61,
    MAX_TOKENS = MAX_SEQS * LONGEST,
    N_WORDS = 200,
    C = FIXTURE_MAX_CLASSES,
    MAX_LOGITS = MAX_TOKENS * C > MAX_SEQS * 32 ? MAX_TOKENS *C : MAX_SEQS * 32,
};

typedef struct rows {
    fixture_batch in;
    double        loss;
    float         logits[MAX_LOGITS];
    int64_t       n_logits;
} rows;

typedef struct job {
    bt_model *model;
    bt_exec  *exec;
    rows      all[N_BATCHES];
    int       n_batches;
    int       n_taken;
    int64_t   n_ticked;
    bool      stops_at_tick;
} job;

static job shared;

static const bt_head_config heads[] = {
    {.kind = BT_HEAD_POOLER_DENSE, .loss = BT_LOSS_SOFTMAX, .num_classes = C},
    {.kind = BT_HEAD_POOLER_DENSE, .loss = BT_LOSS_MSE_ALL_PAIRS, .num_classes = 1},
    {.kind = BT_HEAD_ENCODER_POOLER, .loss = BT_LOSS_SIGMOID, .num_classes = C},
    {.kind = BT_HEAD_TOKENS, .loss = BT_LOSS_TOKENS, .num_classes = C},
    {.kind = BT_HEAD_TOKENS, .loss = BT_LOSS_SPAN, .num_classes = 2},
    {.kind = BT_HEAD_TOKENS, .loss = BT_LOSS_NONE, .num_classes = C}, /* a prediction */
    {.kind = BT_HEAD_POOLED_OUTPUT, .loss = BT_LOSS_NONE, .pooling = BT_POOLING_MEAN},
    {.kind = BT_HEAD_POOLED_OUTPUT, .loss = BT_LOSS_RANKING, .normalize = true, .logit_scale = 7},
};

static uint32_t next(uint64_t *random) {
    *random = *random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(*random >> 33);
}

/* Lengths of all kinds, one token among them, and words drawn for each batch; each fourth batch is
 * masked. */
static void make_rows(rows *r, int number, const bt_head_config *head) {
    const bool           spans = head->loss == BT_LOSS_SPAN;
    const bool           by_token = head->kind == BT_HEAD_TOKENS && !spans;
    const bool           has_ints = head->loss == BT_LOSS_SOFTMAX || by_token || spans;
    const int            n_seqs = number % 5 == 3 ? 2 : MAX_SEQS;
    fixture_batch *const in = &r->in;
    uint64_t             random = (uint64_t)number * 77 + 5;
    int64_t              lengths[MAX_SEQS];
    memset(r, 0, sizeof *r);
    for (int b = 0; b < n_seqs; b++) {
        lengths[b] = 1 + next(&random) % LONGEST;
    }
    fixture_rows_of(in, lengths, n_seqs, N_WORDS);
    for (int64_t t = 0; t < in->batch.n_tokens; t++) {
        in->ids[t] = (int32_t)(next(&random) % N_WORDS);
        in->int_labels[t] = (int32_t)(next(&random) % 4) - 1;
    }
    for (int i = 0; !by_token && i < 2 * n_seqs; i++) {
        in->int_labels[i] = (int32_t)(i % (spans ? lengths[i % n_seqs] : C));
    }
    for (int i = 0; i < n_seqs * C; i++) {
        in->float_labels[i] = (float)(next(&random) % 2);
    }
    for (int b = 0; b < n_seqs; b++) {
        in->example_ids[b] = 100 * number + b;
    }
    in->batch.n_rows = head->loss == BT_LOSS_RANKING ? n_seqs / 2 : n_seqs;
    in->batch.seq_length = 64;
    in->batch.key_mask = number % 4 == 1 ? in->key_mask : NULL;
    in->batch.int_labels = has_ints ? in->int_labels : NULL;
    in->batch.float_labels = has_ints ? NULL : in->float_labels;
    in->batch.example_ids = in->example_ids;
}

static void open_job(const bt_head_config *head, const bt_exec_config *config, int n_batches) {
    const bt_encoder_config encoder = fixture_encoder();
    memset(&shared, 0, sizeof shared);
    shared.n_batches = n_batches;
    assert_ok(bt_model_create(&encoder, head, &shared.model, err));
    assert_ok(bt_exec_create_cpu(shared.model, NULL, config, &shared.exec, err));
    bt_model_init_params(shared.model, 3, bt_exec_params(shared.exec));
    for (int i = 0; i < n_batches; i++) {
        rows *const r = &shared.all[i];
        make_rows(r, i, head);
        r->n_logits = bt_model_n_logits(shared.model, &r->in.batch);
        assert_true(r->n_logits <= MAX_LOGITS);
    }
}

static void close_job(void) {
    bt_exec_free(shared.exec);
    bt_model_free(shared.model);
}

/* Each alone, by an engine with one thread, row by row where the loss allows: too few tokens for
 * anything else than the plain pass. */
static void evaluate_alone(const bt_exec_config *config, bool in_8_bits) {
    bt_exec_config plain = *config;
    bt_exec       *exec = NULL;
    plain.n_threads = 1;
    assert_ok(bt_exec_create_cpu(shared.model, NULL, &plain, &exec, err));
    memcpy(bt_exec_params(exec), bt_exec_params(shared.exec),
           (size_t)shared.model->table.n_elements * sizeof(float));
    if (in_8_bits) {
        bt_exec_rounded rounded;
        assert_ok(bt_exec_round_weights(exec, &rounded, err));
    }
    for (int i = 0; i < shared.n_batches; i++) {
        rows *const                r = &shared.all[i];
        const fixture_batch *const in = &r->in;
        bt_step_result             result;
        assert_ok(bt_exec_evaluate(exec, &in->batch, &result, err));
        r->loss = result.loss;
        memcpy(r->logits, result.logits, (size_t)r->n_logits * sizeof(float));
        if (shared.model->head.loss == BT_LOSS_RANKING) {
            continue;
        }
        const int64_t per_seq = r->n_logits / in->batch.n_seqs;
        for (int64_t b = 0; b < in->batch.n_seqs; b++) {
            const int64_t  first = in->offsets[b];
            const int64_t  offsets[] = {0, in->offsets[b + 1] - first};
            const bt_batch row = {.n_seqs = 1,
                                  .n_rows = 1,
                                  .n_tokens = offsets[1],
                                  .max_tokens = offsets[1],
                                  .seq_length = 64,
                                  .offsets = offsets,
                                  .ids = in->ids + first,
                                  .types = in->types + first,
                                  .positions = in->positions + first,
                                  .key_mask =
                                      in->batch.key_mask != NULL ? in->key_mask + first : NULL};
            const bool     tokens = shared.model->head.kind == BT_HEAD_TOKENS;
            const int64_t  at = tokens ? first * shared.model->head.num_classes : b * per_seq;
            const int64_t  n = bt_model_n_logits(shared.model, &row);
            assert_ok(bt_exec_evaluate(exec, &row, &result, err));
            assert_memory_equal(result.logits, r->logits + at, (size_t)n * sizeof(float));
        }
    }
    bt_exec_free(exec);
}

static bt_status take(void *context, const bt_batch *batch, const bt_step_result *result,
                      bt_error *problem) {
    job *const        j = context;
    const rows *const r = &j->all[j->n_taken];
    (void)problem;
    assert_in_range(j->n_taken, 0, j->n_batches - 1);
    assert_int_equal(batch->n_seqs, r->in.batch.n_seqs);
    assert_int_equal(batch->example_ids[1], r->in.example_ids[1]);
    assert_int_equal(result->n_tokens, r->in.batch.n_tokens);
    if (j->model->head.kind == BT_HEAD_TOKENS && j->model->head.loss != BT_LOSS_SPAN) {
        assert_memory_equal(batch->int_labels, r->in.int_labels,
                            (size_t)r->in.batch.n_tokens * sizeof *r->in.int_labels);
    }
    assert_true(result->loss == r->loss);
    assert_int_equal(result->n_nonfinite, 0);
    assert_memory_equal(result->logits, r->logits, (size_t)r->n_logits * sizeof(float));
    j->n_taken++;
    return BT_OK;
}

static void tick(void *context, int64_t n_seqs) {
    job *const j = context;
    assert_true(n_seqs > 0);
    j->n_ticked++;
    if (j->stops_at_tick) {
        bt_stop_set(15);
    }
}

/* The caller's memory is free for other use once a batch was added. */
static bt_status add_all(bt_error *problem) {
    static rows     passing;
    bt_exec_window *window = NULL;
    bt_status       rc = BT_OK;
    shared.n_taken = 0;
    shared.n_ticked = 0;
    BT_TRY(bt_exec_window_create(shared.exec, take, tick, &shared, &window, problem));
    for (int i = 0; rc == BT_OK && i < shared.n_batches; i++) {
        make_rows(&passing, i, &shared.model->head);
        rc = bt_exec_window_add(window, &passing.in.batch, problem);
        memset(&passing, 0xff, sizeof passing);
    }
    rc = rc == BT_OK ? bt_exec_window_flush(window, problem) : rc;
    rc = rc == BT_OK ? bt_exec_window_flush(window, problem) : rc; /* nothing is left */
    bt_exec_window_free(window);
    return rc;
}

/* Where all is slow: enough for a pack a thread. */
static int many(void) {
    return test_is_slow() ? N_BATCHES / 4 : N_BATCHES;
}

static void check(const bt_head_config *head, const bt_exec_config *config, int n_batches) {
    open_job(head, config, n_batches);
    evaluate_alone(config, false);
    assert_ok(add_all(err));
    assert_int_equal(shared.n_taken, n_batches);
    assert_ok(add_all(err)); /* in the memory that is there now */
    assert_int_equal(shared.n_taken, n_batches);
    close_job();
}

static void test_every_head_gives_what_batches_give(void **state) {
    (void)state;
    for (size_t h = 0; h < BT_ARRAY_LEN(heads); h++) {
        for (int32_t n_threads = 1; n_threads <= 3; n_threads++) {
            const bt_exec_config config = {.n_threads = n_threads, .isa = "auto"};
            if (!test_is_slow() || h % 3 + 1 == (size_t)n_threads) {
                check(&heads[h], &config, many());
            }
        }
    }
}

static void test_every_kernel_gives_what_batches_give(void **state) {
    (void)state;
    static const bt_precision precisions[] = {BT_PRECISION_F32, BT_PRECISION_BF16};
    const char *const *const  isas = fixture_isas();
    for (size_t i = test_is_slow() ? 1 : 0; isas[i] != NULL; i++) { /* without the portable */
        for (size_t p = 0; p < BT_ARRAY_LEN(precisions); p++) {
            const bt_exec_config config = {
                .n_threads = 2, .isa = isas[i], .precision = precisions[p]};
            check(&heads[0], &config, many());
            check(&heads[3], &config, many());
        }
    }
}

/* Weights that are rounded between two evaluations: the threads' scratch is another one then. */
static void test_rounded_weights(void **state) {
    (void)state;
    static const bt_precision precisions[] = {BT_PRECISION_F32, BT_PRECISION_BF16};
    for (size_t p = 0; p < BT_ARRAY_LEN(precisions); p++) {
        const bt_exec_config config = {.n_threads = 2, .isa = "auto", .precision = precisions[p]};
        bt_exec_rounded      rounded;
        open_job(&heads[0], &config, many());
        evaluate_alone(&config, false);
        assert_ok(add_all(err));
        evaluate_alone(&config, true);
        assert_ok(bt_exec_round_weights(shared.exec, &rounded, err));
        assert_ok(add_all(err));
        assert_int_equal(shared.n_taken, many());
        close_job();
    }
}

/* One batch and few tokens: there is nothing to put together. */
static void test_few_rows(void **state) {
    (void)state;
    const bt_exec_config config = {.n_threads = 2, .isa = "auto"};
    check(&heads[0], &config, 1);
    check(&heads[0], &config, 2);
}

/* Where there is no room for large packs there are smaller ones, and at last plain passes. */
static void test_little_memory(void **state) {
    (void)state;
    bt_exec_config config = {.n_threads = 2, .isa = "auto"};
    for (uint64_t mib = 24; mib >= 1; mib = test_is_slow() ? mib / 3 : mib * 2 / 3) {
        config.memory_limit = mib << 20;
        open_job(&heads[0], &config, many());
        evaluate_alone(&(bt_exec_config){.isa = "auto"}, false);
        bt_error        why = BT_ERROR_INIT;
        const bt_status rc = add_all(&why);
        if (rc != BT_OK) {
            assert_int_equal(rc, BT_E_NOMEM);
            assert_non_null(strstr(why.msg, "out of memory"));
        } else {
            assert_int_equal(shared.n_taken, many());
        }
        close_job();
    }
}

/* Bytes of an engine that evaluated n sequences of 25 tokens. */
static int64_t bytes_with(int64_t n) {
    const bt_exec_config config = {.n_threads = 1, .isa = "auto"};
    bt_step_result       result;
    fixture_batch *const in = &shared.all[0].in;
    open_job(&heads[0], &config, 1);
    fixture_rows(in, n, (fixture_lengths){25, 0, 1}, N_WORDS);
    in->batch.n_rows = n;
    assert_ok(bt_exec_evaluate(shared.exec, &in->batch, &result, err));
    const int64_t n_bytes = (int64_t)bt_exec_memory_bytes(shared.exec);
    close_job();
    return n_bytes;
}

/* Of a token there are the hidden state, query, key, value and the feed-forward's activation: 192
 * numbers in this model; what else there is, is small. What only a backward pass reads would be
 * that much again. */
static void test_nothing_is_kept_for_a_backward_pass(void **state) {
    (void)state;
    const int64_t a_token = (bytes_with(8) - bytes_with(4)) / 100;
    assert_in_range(a_token, 192 * sizeof(float), 290 * sizeof(float));
}

static void test_a_stop_ends_it(void **state) {
    (void)state;
    const bt_exec_config config = {.n_threads = 1, .isa = "auto"};
    open_job(&heads[0], &config, many());
    evaluate_alone(&config, false);
    shared.stops_at_tick = true;
    assert_fails(add_all(err), BT_E_INTERRUPTED, "stopped by");
    assert_int_equal(shared.n_ticked, 1);
    assert_int_equal(shared.n_taken, 0);
    bt_stop_set(0);
    shared.stops_at_tick = false;
    assert_ok(add_all(err));
    close_job();
}

static void test_a_bad_batch_is_refused(void **state) {
    (void)state;
    const bt_exec_config config = {.n_threads = 2, .isa = "auto"};
    bt_exec_window      *window = NULL;
    open_job(&heads[0], &config, many());
    assert_ok(bt_exec_window_create(shared.exec, take, NULL, &shared, &window, err));
    shared.all[1].in.ids[0] = N_WORDS;
    assert_ok(bt_exec_window_add(window, &shared.all[0].in.batch, err));
    assert_ok(bt_exec_window_add(window, &shared.all[1].in.batch, err));
    assert_fails(bt_exec_window_flush(window, err), BT_E_SHAPE, "outside");
    assert_int_equal(shared.n_taken, 0);
    bt_exec_window_free(window);
    close_job();
}

static bt_status try_all_afresh(void *context, bt_error *problem) {
    (void)context;
    const bt_exec_config config = {.n_threads = 2, .isa = "auto"};
    bt_exec *const       kept = shared.exec;
    BT_TRY(bt_exec_create_cpu(shared.model, NULL, &config, &shared.exec, problem));
    memcpy(bt_exec_params(shared.exec), bt_exec_params(kept),
           (size_t)shared.model->table.n_elements * sizeof(float));
    const bt_status rc = add_all(problem);
    bt_exec_free(shared.exec);
    shared.exec = kept;
    return rc;
}

static void test_every_fault_is_told(void **state) {
    (void)state;
    const bt_exec_config config = {.n_threads = 2, .isa = "auto"};
    const test_work      work = {.what = "a window", .work = try_all_afresh};
    open_job(&heads[0], &config, test_is_slow() ? 3 : 6);
    evaluate_alone(&config, false);
    assert_true(test_every_fault(&work) > 10);
    close_job();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_head_gives_what_batches_give),
        cmocka_unit_test(test_every_kernel_gives_what_batches_give),
        cmocka_unit_test(test_rounded_weights),
        cmocka_unit_test(test_few_rows),
        cmocka_unit_test(test_little_memory),
        cmocka_unit_test(test_nothing_is_kept_for_a_backward_pass),
        cmocka_unit_test(test_a_stop_ends_it),
        cmocka_unit_test(test_a_bad_batch_is_refused),
        cmocka_unit_test(test_every_fault_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
