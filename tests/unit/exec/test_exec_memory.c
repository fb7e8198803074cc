/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine's memory: what it plans is what it takes, what does not fit is refused before it is
 * taken, and a refusal leaves the engine as it was. */
#include <string.h>

#include "bt/base/alloc.h"
#include "exec_fixture.h"

enum { N_SEQS = 4, LENGTH = 10, N_WORDS = 50 };

typedef struct job {
    bt_model     *model;
    bt_conf      *conf;
    bt_optim     *optim;
    bt_exec      *exec;
    fixture_batch rows;
    bt_batch      batch;
} job;

static void open_optim(job *j) {
    const bt_conf_args     args = {.experiment = "bert/sentence_prediction"};
    const bt_optim_derived derived = {.train_steps = 10, .warmup_steps = 1};
    bt_conf_errors         errors = BT_CONF_ERRORS_INIT;
    assert_ok(bt_conf_build(&args, &j->conf, &errors, err));
    bt_conf_errors_deinit(&errors);
    assert_ok(bt_optim_create(j->conf, &derived, &j->model->table, &j->optim, err));
}

static void open_deep_job(job *j, bool norm_first, bt_head_kind kind, int64_t n_layers) {
    bt_encoder_config    e = fixture_encoder();
    const bt_head_config head = {.kind = kind,
                                 .loss = BT_LOSS_SOFTMAX,
                                 .num_classes = 2,
                                 .dropout_rate = 0.1F,
                                 .initializer_range = 0.02F};
    memset(j, 0, sizeof *j);
    e.vocab_size = N_WORDS;
    e.norm_first = norm_first;
    e.num_layers = n_layers;
    e.max_position_embeddings = LENGTH;
    assert_ok(bt_model_create(&e, &head, &j->model, err));
    open_optim(j);
    fixture_rows(&j->rows, N_SEQS, (fixture_lengths){LENGTH, 0, 1}, N_WORDS);
    j->batch = j->rows.batch;
}

static void open_job(job *j, bool norm_first, bt_head_kind kind) {
    open_deep_job(j, norm_first, kind, fixture_encoder().num_layers);
}

static void open_exec(job *j, const bt_exec_config *config) {
    bt_exec_free(j->exec);
    j->exec = NULL;
    assert_ok(bt_exec_create_cpu(j->model, j->optim, config, &j->exec, err));
    bt_model_init_params(j->model, 1, settled(j->exec, bt_exec_params(j->exec)));
}

static void close_job(job *j) {
    bt_exec_free(j->exec);
    bt_optim_free(j->optim);
    bt_conf_free(j->conf);
    bt_model_free(j->model);
}

static uint64_t sum_of(const bt_exec_memory *m) {
    return m->variables + m->gradients + m->slots + m->activations + m->scratch;
}

static void test_plan_is_what_is_taken(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        job            j;
        bt_step_result r;
        open_job(&j, i >= 2, i % 2 == 0 ? BT_HEAD_POOLER_DENSE : BT_HEAD_ENCODER_POOLER);
        open_exec(&j, &(bt_exec_config){.n_threads = 2, .memory_limit = 1 << 28});
        const bt_exec_memory plan = bt_exec_plan_memory(j.exec, N_SEQS, LENGTH);
        assert_int_equal(plan.variables, (uint64_t)j.model->table.n_elements * sizeof(float));
        assert_int_equal(plan.gradients, /* without the pooler, where the head reads none */
                         (uint64_t)bt_param_table_n_trained(&j.model->table) * sizeof(float));
        assert_int_equal(plan.slots, 2 * plan.gradients);
        assert_int_equal(plan.available, 1 << 28);
        assert_ok(bt_exec_train_step(j.exec, &j.batch, 0, 1, &r, err));
        assert_int_equal(bt_exec_memory_bytes(j.exec), sum_of(&plan));
        const bt_exec_memory again = bt_exec_plan_memory(j.exec, N_SEQS, LENGTH);
        assert_int_equal(again.largest_seqs, plan.largest_seqs);
        close_job(&j);
    }
}

/* The largest that fits does, and one more does not. */
static void test_largest_is_the_largest(void **state) {
    (void)state;
    job            j;
    bt_step_result r;
    open_job(&j, false, BT_HEAD_POOLER_DENSE);
    open_exec(&j, &(bt_exec_config){.n_threads = 1, .memory_limit = 1 << 28});
    bt_exec_memory  plan = bt_exec_plan_memory(j.exec, N_SEQS, LENGTH);
    const uint64_t  just = sum_of(&plan);
    const bt_status expected[] = {BT_OK, BT_E_NOMEM};
    for (int i = 0; i < 2; i++) {
        open_exec(&j, &(bt_exec_config){.n_threads = 1, .memory_limit = just - (uint64_t)i});
        plan = bt_exec_plan_memory(j.exec, N_SEQS, LENGTH);
        assert_int_equal(plan.largest_seqs, N_SEQS - i);
        assert_int_equal(plan.largest_tokens < N_SEQS * LENGTH, i == 1);
        /* scratch comes after the block: what is short of it by one byte is not refused */
        open_exec(&j, &(bt_exec_config){.n_threads = 1,
                                        .memory_limit = just - plan.scratch - (uint64_t)i});
        bt_error unused = BT_ERROR_INIT;
        assert_int_equal(bt_exec_train_step(j.exec, &j.batch, 0, 1, &r, &unused), expected[i]);
    }
    close_job(&j);
}

static void test_too_large_is_refused(void **state) {
    (void)state;
    job            j;
    bt_step_result r;
    bt_exec       *none = NULL;
    open_job(&j, false, BT_HEAD_POOLER_DENSE);
    open_exec(&j, &(bt_exec_config){.n_threads = 1, .memory_limit = 1 << 28});
    const bt_exec_memory plan = bt_exec_plan_memory(j.exec, N_SEQS, LENGTH);
    const uint64_t       flat = plan.variables + plan.gradients + plan.slots;
    bt_exec_config       config = {.n_threads = 1, .memory_limit = flat - 1};
    assert_fails(bt_exec_create_cpu(j.model, j.optim, &config, &none, err), BT_E_NOMEM,
                 "their gradients and the optimizer's slots");
    config.memory_limit = plan.variables - 1;
    assert_fails(bt_exec_create_cpu(j.model, NULL, &config, &none, err), BT_E_NOMEM, "parameters");
    config.memory_limit = flat + plan.activations / 2;
    open_exec(&j, &config);
    assert_fails(bt_exec_train_step(j.exec, &j.batch, 0, 1, &r, err), BT_E_NOMEM,
                 "4 sequences of 40 tokens together");
    j.batch.n_seqs = 1; /* what fits, still does */
    j.batch.n_tokens = LENGTH;
    assert_ok(bt_exec_train_step(j.exec, &j.batch, 0, 1, &r, err));
    assert_int_equal(bt_exec_plan_memory(j.exec, INT64_MAX / 2, LENGTH).activations, SIZE_MAX);
    open_exec(&j, &(bt_exec_config){.n_threads = 1, .memory_limit = 1 << 28});
    bt_alloc_fail_at(1, false); /* there is room, and the system gives none all the same */
    assert_fails(bt_exec_train_step(j.exec, &j.batch, 0, 1, &r, err), BT_E_NOMEM,
                 "the system does not give them");
    bt_alloc_fail_at(0, false);
    close_job(&j);
}

/* Recomputation and parts take less. */
static void test_what_saves_memory_does(void **state) {
    (void)state;
    job j;
    open_job(&j, false, BT_HEAD_POOLER_DENSE);
    open_exec(&j, &(bt_exec_config){.n_threads = 1});
    const bt_exec_memory plan = bt_exec_plan_memory(j.exec, N_SEQS, LENGTH);
    open_exec(&j, &(bt_exec_config){.n_threads = 1, .recompute = true});
    assert_true(bt_exec_plan_memory(j.exec, N_SEQS, LENGTH).activations < plan.activations);
    open_exec(&j, &(bt_exec_config){.n_threads = 1, .part_seqs = 2});
    const bt_exec_memory parts = bt_exec_plan_memory(j.exec, N_SEQS, LENGTH);
    assert_int_equal(parts.n_seqs, 2);
    assert_true(parts.activations < plan.activations * 6 / 10);
    close_job(&j);
}

/* What is not trained takes no gradient and no slots, and below it nothing is kept of a step. */
static void test_what_is_frozen_takes_less(void **state) {
    (void)state;
    static const char *const words[] = {"layers.0-3", "embeddings"};
    job                      j;
    bt_step_result           r;
    open_deep_job(&j, false, BT_HEAD_POOLER_DENSE, 6);
    open_exec(&j, &(bt_exec_config){.n_threads = 1});
    const bt_exec_memory all = bt_exec_plan_memory(j.exec, N_SEQS, LENGTH);
    assert_ok(bt_model_freeze(j.model, words, BT_ARRAY_LEN(words), err));
    open_exec(&j, &(bt_exec_config){.n_threads = 1});
    const bt_exec_memory some = bt_exec_plan_memory(j.exec, N_SEQS, LENGTH);
    assert_int_equal(some.variables, all.variables);
    assert_true(some.gradients < all.gradients / 2);
    assert_int_equal(some.slots, 2 * some.gradients);
    assert_true(some.activations < all.activations * 6 / 10);
    assert_ok(bt_exec_train_step(j.exec, &j.batch, 0, 1, &r, err));
    assert_int_equal(bt_exec_memory_bytes(j.exec), sum_of(&some));
    close_job(&j);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan_is_what_is_taken),
        cmocka_unit_test(test_largest_is_the_largest),
        cmocka_unit_test(test_too_large_is_refused),
        cmocka_unit_test(test_what_saves_memory_does),
        cmocka_unit_test(test_what_is_frozen_takes_less),
    };
    return cmocka_run_group_tests_name("exec_memory", tests, NULL, NULL);
}
