/* SPDX-License-Identifier: Apache-2.0
 *
 * An engine that only evaluates has the weights of its products in panels, and no floats: the same
 * bits, less memory, also while they are read, and nothing that would read the floats. */
#define _DEFAULT_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "exec_fixture.h"

enum {
    FEW_SEQS = 4,  /* one pass of all threads */
    MAX_SEQS = 24, /* a pack for each of two threads */
    A_PACK = 256,  /* tokens, at least */
    LENGTH = 24,
    MAX_TOKENS = MAX_SEQS * LENGTH,
    MAX_LOGITS = 3 * MAX_TOKENS,
    MAX_WIDTH = 64,
};

typedef struct job {
    bt_model     *model;
    float        *params; /* owned */
    fixture_batch rows;
    bt_batch      batch;
} job;

static job shared;

static void make_batch(job *j, int64_t n_seqs) {
    fixture_rows(&j->rows, n_seqs, (fixture_lengths){LENGTH, 1, 5}, 200);
    j->batch = j->rows.batch;
    assert_true(n_seqs < MAX_SEQS || j->batch.n_tokens >= 2 * A_PACK);
}

static void open_job(const bt_encoder_config *encoder, bt_head_kind kind) {
    const bt_head_config head = {.kind = kind,
                                 .loss = kind == BT_HEAD_TOKENS ? BT_LOSS_TOKENS : BT_LOSS_SOFTMAX,
                                 .num_classes = 3,
                                 .initializer_range = 0.3F};
    memset(&shared, 0, sizeof shared);
    assert_ok(bt_model_create(encoder, &head, &shared.model, err));
    shared.params = fixture_params(shared.model);
    make_batch(&shared, FEW_SEQS);
}

static void close_job(void) {
    bt_model_free(shared.model);
    bt_free(shared.params);
}

static bt_exec *open_exec(bt_exec_config config, bool only_evaluates) {
    bt_exec *exec = NULL;
    config.only_evaluates = only_evaluates;
    assert_ok(bt_exec_create_cpu(shared.model, NULL, &config, &exec, err));
    return exec;
}

static void give_params(bt_exec *exec) {
    memcpy(bt_exec_params(exec), shared.params,
           (size_t)shared.model->table.n_elements * sizeof *shared.params);
}

/* As a checkpoint is read. */
static void give_one_by_one(bt_exec *exec) {
    for (int64_t i = 0; i < shared.model->table.n_params; i++) {
        const bt_param *const p = &shared.model->table.params[i];
        memcpy(bt_exec_place(exec, i), shared.params + p->offset,
               (size_t)p->n_elements * sizeof *shared.params);
        assert_ok(bt_exec_take(exec, i, err));
    }
}

/* What an engine makes of few sequences, of many, and of the few without a head. */
typedef struct outcome {
    double loss[2];
    float  logits[2][MAX_LOGITS];
    float  hidden[FEW_SEQS * LENGTH * MAX_WIDTH];
} outcome;

static void evaluate(bt_exec *exec, int64_t n_seqs, outcome *out) {
    const bool     is_many = n_seqs > FEW_SEQS;
    bt_step_result result;
    make_batch(&shared, n_seqs);
    const size_t n = (size_t)bt_model_n_logits(shared.model, &shared.batch);
    assert_true(n <= MAX_LOGITS);
    assert_ok(bt_exec_evaluate(exec, &shared.batch, &result, err));
    assert_int_equal(result.n_nonfinite, 0);
    out->loss[is_many] = result.loss;
    memcpy(out->logits[is_many], result.logits, n * sizeof(float));
}

static void encode(bt_exec *exec, outcome *out) {
    make_batch(&shared, FEW_SEQS);
    assert_true(shared.model->encoder.hidden_size <= MAX_WIDTH);
    assert_ok(bt_exec_encode(exec, &shared.batch, 1, out->hidden, NULL, err));
}

/* How the weights come: one by one; all at once; so, and the first evaluation, which may be of few
 * or of many, takes them. */
typedef enum arrival { ONE_BY_ONE, AT_ONCE, TAKEN_BY_FEW, TAKEN_BY_MANY, N_ARRIVALS } arrival;

static void check_arrival(const bt_exec_config *config, arrival how, const outcome *want) {
    static outcome got;
    bt_exec *const exec = open_exec(*config, true);
    if (how == ONE_BY_ONE) {
        give_one_by_one(exec);
    } else {
        give_params(exec);
    }
    if (how < TAKEN_BY_FEW) {
        assert_ok(bt_exec_changed(exec, err));
    }
    got = *want;
    if (how == TAKEN_BY_MANY) {
        evaluate(exec, MAX_SEQS, &got);
    }
    evaluate(exec, FEW_SEQS, &got);
    if (how == ONE_BY_ONE) {
        encode(exec, &got);
        evaluate(exec, MAX_SEQS, &got);
        assert_memory_equal(&got, want, sizeof got);
        evaluate(exec, FEW_SEQS, &got); /* what was read is still there */
    }
    assert_memory_equal(&got, want, sizeof got);
    bt_exec_free(exec);
}

static void check_bits(const bt_encoder_config *encoder, bt_head_kind kind,
                       const bt_exec_config *config) {
    static outcome want; /* the rest of its arrays is 0 */
    memset(&want, 0, sizeof want);
    open_job(encoder, kind);
    bt_exec *const plain = open_exec(*config, false);
    give_params(plain);
    assert_ok(bt_exec_changed(plain, err));
    evaluate(plain, FEW_SEQS, &want);
    evaluate(plain, MAX_SEQS, &want);
    encode(plain, &want);
    for (int how = 0; how < N_ARRIVALS; how++) {
        check_arrival(config, (arrival)how, &want);
    }
    bt_exec_free(plain);
    close_job();
}

/* On an emulated processor the portable kernels are left to others, and the rest have two of the
 * four forms, each precision others. */
static bool is_left_out(int isa, int precision, int form) {
    return test_is_emulated() && (isa == 0 || (isa + precision + form) % 2 == 1);
}

/* Widths that end inside a panel, both orders of norm, shared layers, adapters; where a BLAS makes
 * the products, floats stay. */
static void check_form(const char *isa, bt_precision precision, int form) {
    bt_encoder_config e = fixture_encoder();
    e.hidden_size = 40;
    e.embedding_size = form == 2 ? 24 : 40;
    e.intermediate_size = 84;
    e.norm_first = form == 1;
    e.type = form == 2 ? BT_ENCODER_ALBERT : e.type;
    e.lora.rank = form == 3 ? 2 : 0;
    e.lora.scale = 2;
    e.lora.has[BT_LORA_QUERY] = e.lora.has[BT_LORA_INTERMEDIATE] = form == 3;
    check_bits(&e, form == 1 ? BT_HEAD_TOKENS : BT_HEAD_ENCODER_POOLER,
               &(bt_exec_config){.n_threads = 1 + form % 2, .isa = isa, .precision = precision});
}

static void test_no_bit_changes(void **state) {
    (void)state;
    const char *const *const isas = fixture_isas();
    for (int i = 0; isas[i] != NULL; i++) {
        for (int precision = 0; precision < BT_N_PRECISIONS; precision++) {
            for (int form = 0; form < 4; form++) {
                if (!is_left_out(i, precision, form)) {
                    check_form(isas[i], (bt_precision)precision, form);
                }
            }
        }
    }
}

static size_t resident_bytes(const float *from, int64_t n_floats) {
    static unsigned char is_there[1 << 16];
    const size_t         page = (size_t)sysconf(_SC_PAGESIZE);
    const uintptr_t      first = (uintptr_t)from / page * page;
    const size_t         n_bytes = (uintptr_t)(from + n_floats) - first;
    size_t               n = 0;
    assert_true(n_bytes / page < sizeof is_there);
    assert_int_equal(mincore((unsigned char *)(uintptr_t)from - ((uintptr_t)from - first), n_bytes,
                             (void *)is_there),
                     0);
    for (size_t i = 0; i * page < n_bytes; i++) {
        n += (is_there[i] & 1) * page;
    }
    return n;
}

/* What only products read, of the encoder below. */
enum { WIDTH = 256, N_KERNELS = 2 * (4 * WIDTH * WIDTH + 2 * WIDTH * 4 * WIDTH) + WIDTH * WIDTH };

static bt_encoder_config wide_encoder(void) {
    bt_encoder_config e = fixture_encoder();
    e.hidden_size = e.embedding_size = WIDTH;
    e.intermediate_size = 4 * WIDTH;
    return e;
}

/* While they are read one by one, too. */
static void test_floats_are_given_back(void **state) {
    (void)state;
    const bt_encoder_config e = wide_encoder();
    open_job(&e, BT_HEAD_ENCODER_POOLER);
    const int64_t n_params = shared.model->table.n_elements;
    const size_t  others = (size_t)(n_params - N_KERNELS) * sizeof(float);
    const size_t  slack = others + 80 * (size_t)sysconf(_SC_PAGESIZE); /* pages that are shared */
    for (int how = 0; how < 4; how++) {
        const int            precision = how % 2;
        const bt_exec_config config = {.n_threads = 1, .precision = (bt_precision)precision};
        const size_t   kept = N_KERNELS * (precision == BT_PRECISION_BF16 ? 2 : sizeof(float));
        bt_exec *const exec = open_exec(config, true);
        const float   *flat = bt_exec_params(exec);
        if (flat[0] != 0 || resident_bytes(flat, n_params) > slack) {
            fail_msg("%zu bytes of floats are there before any was read",
                     resident_bytes(flat, n_params));
        }
        if (how < 2) {
            give_one_by_one(exec);
            assert_true(resident_bytes(flat, n_params) <= slack);
        } else {
            give_params(exec);
            assert_true(resident_bytes(flat, n_params) > slack + kept / 2);
        }
        assert_ok(bt_exec_changed(exec, err));
        assert_true(resident_bytes(flat, n_params) <= slack);
        const bt_param *const kernel =
            &shared.model->table.params[shared.model->layers[1].output.kernel];
        assert_true(flat[kernel->offset + kernel->n_elements / 2] == 0);
        const size_t held = bt_exec_memory_bytes(exec); /* panels end with whole blocks */
        assert_true(held >= others + kept && held < others + kept + kept / 8);
        bt_exec_free(exec);
    }
    close_job();
}

/* A machine with too little memory for the floats, and enough for the panels. */
static void test_memory_is_asked_for_what_is_kept(void **state) {
    (void)state;
    bt_exec                *exec = NULL;
    bt_error                why = BT_ERROR_INIT;
    const bt_encoder_config e = wide_encoder();
    open_job(&e, BT_HEAD_ENCODER_POOLER);
    const uint64_t all = (uint64_t)shared.model->table.n_elements * sizeof(float);
    bt_exec_config config = {
        .n_threads = 1, .precision = BT_PRECISION_BF16, .memory_limit = all * 7 / 10};
    assert_int_equal(bt_exec_create_cpu(shared.model, NULL, &config, &exec, &why), BT_E_NOMEM);
    config.only_evaluates = true;
    assert_ok(bt_exec_create_cpu(shared.model, NULL, &config, &exec, err));
    bt_exec_free(exec);
    config.memory_limit = all * 5 / 10;
    assert_int_equal(bt_exec_create_cpu(shared.model, NULL, &config, &exec, &why), BT_E_NOMEM);
    /* panels of float32 are as large as the floats, of which those of one weight are there too */
    config.precision = BT_PRECISION_F32;
    config.memory_limit = all;
    assert_int_equal(bt_exec_create_cpu(shared.model, NULL, &config, &exec, &why), BT_E_NOMEM);
    config.memory_limit = all * 15 / 10;
    assert_ok(bt_exec_create_cpu(shared.model, NULL, &config, &exec, err));
    bt_exec_free(exec);
    close_job();
}

/* Whatever would read floats that are gone, or write ones that nobody reads. */
static void test_nothing_reads_floats(void **state) {
    (void)state;
    const bt_encoder_config e = fixture_encoder();
    bt_error                why = BT_ERROR_INIT;
    bt_step_result          result;
    bt_exec_rounded         rounded;
    open_job(&e, BT_HEAD_ENCODER_POOLER);
    bt_exec *const exec = open_exec((bt_exec_config){.n_threads = 1}, true);
    give_params(exec);
    assert_ok(bt_exec_changed(exec, err));
    assert_int_equal(bt_exec_changed(exec, &why), BT_E_INTERNAL);
    assert_int_equal(bt_exec_take(exec, 0, &why), BT_E_INTERNAL);
    assert_int_equal(bt_exec_gradients(exec, &shared.batch, 0, 1, &result, &why), BT_E_INTERNAL);
    assert_int_equal(bt_exec_round_weights(exec, &rounded, &why), BT_E_INTERNAL);
    assert_ok(bt_exec_evaluate(exec, &shared.batch, &result, err));
    bt_exec_free(exec);
    close_job();
}

static void test_out_of_memory(void **state) {
    (void)state;
    const bt_encoder_config e = fixture_encoder();
    bool                    is_done = false;
    open_job(&e, BT_HEAD_ENCODER_POOLER);
    for (uint64_t k = 1; !is_done; k++) {
        const bt_exec_config config = {
            .n_threads = 1, .precision = BT_PRECISION_BF16, .only_evaluates = true};
        bt_error why = BT_ERROR_INIT;
        bt_exec *exec = NULL;
        bt_alloc_fail_at(k, false);
        const bt_status rc = bt_exec_create_cpu(shared.model, NULL, &config, &exec, &why);
        bt_alloc_fail_at(0, false);
        is_done = rc == BT_OK;
        assert_true(is_done || rc == BT_E_NOMEM);
        assert_true(k < 100);
        bt_exec_free(exec);
    }
    close_job();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_bit_changes),
        cmocka_unit_test(test_floats_are_given_back),
        cmocka_unit_test(test_memory_is_asked_for_what_is_kept),
        cmocka_unit_test(test_nothing_reads_floats),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
