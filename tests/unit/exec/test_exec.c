/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine without goldens: gradients of a whole toy BERT against finite differences with dropout
 * on, packed against padded, equal bits, no heap calls, refusals, non-finite numbers, failing
 * allocations. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/str.h"
#include "test_random.h"
#include "toy.h"

enum { B = TOY_SEQS, S = TOY_LENGTH };

static double difference_step = 0.004;

static double loss_at(toy *t, float *flat, const bt_param *p, const float *direction, double h,
                      const float *centre) {
    for (int64_t i = 0; i < p->n_elements; i++) {
        flat[p->offset + i] = centre[i] + (float)h * direction[i];
    }
    bt_step_result result;
    assert_ok(bt_exec_gradients(t->f.exec, &t->batch.batch, 17, 4, &result, err));
    return result.loss;
}

static void check_differences(const char *name, const bt_encoder_config *encoder,
                              const bt_head_config *head, bool padded) {
    static float centre[512], direction[512], gradient[1 << 14];
    toy          t;
    toy_open(&t, encoder, head, false, 2);
    if (padded) {
        toy_pack(&t.batch, head, false);
    }
    bt_step_result result;
    assert_ok(bt_exec_gradients(t.f.exec, &t.batch.batch, 17, 4, &result, err));
    assert_true(t.f.model->table.n_elements <= (int64_t)BT_ARRAY_LEN(gradient));
    bt_exec_copy(t.f.exec, gradient, settled(t.f.exec, bt_exec_gradient(t.f.exec)));
    fixture_in_parts(&t.f, "auto", 1, 0); /* for thousands of passes that wait for nobody */
    toy_fill(&t);
    float *const flat = settled(t.f.exec, bt_exec_params(t.f.exec));
    for (int64_t i = 0; i < t.f.model->table.n_params; i++) {
        const bt_param *const p = &t.f.model->table.params[i];
        const bt_rng_key      key = bt_rng_key_make(6, (uint64_t)i, 0, BT_SITE_INIT);
        double                got = 0;
        assert_true(p->n_elements <= (int64_t)BT_ARRAY_LEN(centre));
        for (int64_t k = 0; k < p->n_elements; k++) {
            centre[k] = flat[p->offset + k];
            direction[k] = (float)test_normal(key, (uint64_t)k);
            got += (double)gradient[p->offset + k] * (double)direction[k];
        }
        const double h = difference_step;
        const double want = (8 * (loss_at(&t, flat, p, direction, h, centre) -
                                  loss_at(&t, flat, p, direction, -h, centre)) -
                             loss_at(&t, flat, p, direction, 2 * h, centre) +
                             loss_at(&t, flat, p, direction, -2 * h, centre)) /
                            (12 * h);
        memcpy(flat + p->offset, centre, (size_t)p->n_elements * sizeof *flat);
        if (!(fabs(got - want) <= 5e-4 + 4e-3 * fabs(want))) {
            fail_msg("%s: %s: the gradient along a direction is %.7g, differences give %.7g", name,
                     p->name, got, want);
        }
    }
    fixture_close(&t.f);
}

static void test_toy_bert_matches_differences(void **state) {
    (void)state;
    const bt_head_config classes = toy_head(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 2);
    bt_encoder_config    e = toy_encoder();
    check_differences("post-norm", &e, &classes, false);
    check_differences("post-norm, padded", &e, &classes, true);
    e.norm_first = true;
    check_differences("norm_first", &e, &classes, false);
    e.embedding_size = 8;
    e.hidden_activation = BT_ACT_SWISH;
    check_differences("norm_first, factorised, swish", &e, &classes, true);
    e = toy_encoder();
    e.num_layers = 1;
    e.hidden_activation = BT_ACT_TANH;
    const bt_head_config pooler = toy_head(BT_HEAD_ENCODER_POOLER, BT_LOSS_MSE, 1);
    check_differences("encoder pooler, mse", &e, &pooler, false);
    const bt_head_config pairs = toy_head(BT_HEAD_POOLER_DENSE, BT_LOSS_MSE_ALL_PAIRS, 1);
    check_differences("all pairs", &e, &pairs, false);
    const bt_head_config span = toy_head(BT_HEAD_TOKENS, BT_LOSS_SPAN, 2);
    e = toy_encoder();
    check_differences("span", &e, &span, true);
    const bt_head_config tokens = toy_head(BT_HEAD_TOKENS, BT_LOSS_TOKENS, 3);
    e.norm_first = true;
    check_differences("tokens, norm_first", &e, &tokens, false);
    e = toy_encoder();
    e.type = BT_ENCODER_ALBERT;
    e.num_layers = 3;
    check_differences("shared layers", &e, &classes, false);
    e.embedding_size = 8;
    e.initializer_range = 0.2F; /* steeper ones curve too much for differences of this step */
    check_differences("shared layers, factorised, tokens", &e, &tokens, true);
    bt_head_config ranking = toy_head(BT_HEAD_POOLED_OUTPUT, BT_LOSS_RANKING, 0);
    ranking.logit_scale = 2;
    e = toy_encoder();
    check_differences("ranking", &e, &ranking, false);
    ranking.normalize = true;
    ranking.bidirectional = true;
    ranking.logit_margin = 0.25F;
    check_differences("ranking of unit vectors, both ways", &e, &ranking, true);
    ranking.pooling = BT_POOLING_CLS;
    check_differences("ranking by [CLS]", &e, &ranking, false);
    ranking.pooling = BT_POOLING_MEAN;
    check_differences("ranking by the mean, padded", &e, &ranking, true);
    check_differences("ranking by the mean", &e, &ranking, false);
    ranking.pooling = BT_POOLING_MAX;
    difference_step = 0.0005; /* a longer one meets a change of the largest token */
    e.num_layers = 1;
    e.dropout_rate = 0;
    e.attention_dropout_rate = 0;
    check_differences("ranking by the maximum", &e, &ranking, false);
    e.norm_first = true;
    check_differences("ranking by the maximum, norm_first", &e, &ranking, false);
    difference_step = 0.004;
}

/* Weights belong to training; a smoothed target is the loss everywhere. With equal weights both
 * are the plain loss again. */
static void test_class_rule_in_training_and_evaluation(void **state) {
    (void)state;
    static const double     weights[3] = {4, 1, 0.25};
    const bt_head_config    head = toy_head(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3);
    const bt_encoder_config e = toy_encoder();
    toy                     t;
    toy_open(&t, &e, &head, false, 2);
    bt_step_result plain;
    bt_step_result result;
    assert_ok(bt_exec_evaluate(t.f.exec, &t.batch.batch, &plain, err));
    assert_ok(bt_model_set_class_rule(t.f.model, 0, weights, err));
    assert_ok(bt_exec_evaluate(t.f.exec, &t.batch.batch, &result, err));
    assert_true(result.loss == plain.loss);
    assert_ok(bt_exec_gradients(t.f.exec, &t.batch.batch, 1, 1, &result, err));
    const double weighted = result.loss;
    assert_ok(bt_model_set_class_rule(t.f.model, 0, NULL, err));
    assert_ok(bt_exec_gradients(t.f.exec, &t.batch.batch, 1, 1, &result, err));
    assert_true(fabs(weighted - result.loss) > 1e-4);
    assert_ok(bt_model_set_class_rule(t.f.model, 0.5, NULL, err));
    assert_ok(bt_exec_evaluate(t.f.exec, &t.batch.batch, &result, err));
    assert_true(fabs(plain.loss - result.loss) > 1e-4);
    fixture_close(&t.f);
}

/* Gradients, loss, norm and logits of the whole batch, however it is cut, with dropout on. */
static void check_parts(const char *name, const bt_head_config *head, bool weighted) {
    static const double     weights[3] = {3, 0.5, 1};
    static float            whole[1 << 14], parts[1 << 14], logits[B * S * 3];
    const bt_encoder_config e = toy_encoder();
    for (int64_t part_seqs = 1; part_seqs < B; part_seqs++) {
        toy            t;
        bt_step_result want;
        bt_step_result got;
        toy_open(&t, &e, head, false, 2);
        if (weighted) {
            assert_ok(bt_model_set_class_rule(t.f.model, 0.1, weights, err));
        }
        const size_t n = (size_t)t.f.model->table.n_elements;
        const size_t n_logits = (size_t)bt_model_n_logits(t.f.model, &t.batch.batch);
        assert_true(n <= BT_ARRAY_LEN(whole) && n_logits <= BT_ARRAY_LEN(logits));
        assert_ok(bt_exec_gradients(t.f.exec, &t.batch.batch, 17, 4, &want, err));
        bt_exec_copy(t.f.exec, whole, settled(t.f.exec, bt_exec_gradient(t.f.exec)));
        memcpy(logits, want.logits, n_logits * sizeof *logits);
        bt_exec_copy(t.f.exec, parts, settled(t.f.exec, bt_exec_params(t.f.exec)));
        fixture_in_parts(&t.f, "auto", 2, part_seqs);
        bt_exec_copy(t.f.exec, bt_exec_params(t.f.exec), parts);
        assert_ok(bt_exec_gradients(t.f.exec, &t.batch.batch, 17, 4, &got, err));
        bt_exec_copy(t.f.exec, parts, settled(t.f.exec, bt_exec_gradient(t.f.exec)));
        test_close_f32(got.logits, logits, n_logits, 1e-6, 1e-6, name);
        test_close_f64(&got.loss, &want.loss, 1, 1e-6, 1e-6, name);
        test_close_f64(&got.grad_norm, &want.grad_norm, 1, 1e-6, 1e-6, name);
        test_close_f32(parts, whole, n, 1e-6 * fmax(1, want.grad_norm), 1e-5, name);
        assert_int_equal(got.n_tokens, want.n_tokens);
        fixture_close(&t.f);
    }
}

static void test_parts_add_up(void **state) {
    (void)state;
    const bt_head_config classes = toy_head(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3);
    const bt_head_config pooler = toy_head(BT_HEAD_ENCODER_POOLER, BT_LOSS_MSE, 1);
    const bt_head_config pairs = toy_head(BT_HEAD_POOLER_DENSE, BT_LOSS_MSE_ALL_PAIRS, 1);
    const bt_head_config span = toy_head(BT_HEAD_TOKENS, BT_LOSS_SPAN, 2);
    const bt_head_config tokens = toy_head(BT_HEAD_TOKENS, BT_LOSS_TOKENS, 3);
    check_parts("classes", &classes, false);
    check_parts("weighted classes", &classes, true);
    check_parts("encoder pooler, mse", &pooler, false);
    check_parts("all pairs", &pairs, false);
    check_parts("span", &span, false);
    check_parts("tokens", &tokens, false);
    check_parts("weighted tokens", &tokens, true);
}

/* A step is a function of its batch here too, needs the memory of a part, and calls no heap. */
static void test_steps_in_parts(void **state) {
    (void)state;
    static float            first[1 << 14], second[1 << 14];
    const bt_head_config    head = toy_head(BT_HEAD_TOKENS, BT_LOSS_TOKENS, 3);
    const bt_encoder_config e = toy_encoder();
    toy                     t;
    bt_step_result          result;
    toy_open(&t, &e, &head, true, 2);
    bt_exec_copy(t.f.exec, first, settled(t.f.exec, bt_exec_params(t.f.exec)));
    assert_ok(bt_exec_train_step(t.f.exec, &t.batch.batch, 0, 11, &result, err));
    const size_t whole_bytes = bt_exec_memory_bytes(t.f.exec);
    for (int run = 0; run < 2; run++) {
        fixture_in_parts(&t.f, "auto", run + 1, 1);
        bt_exec_copy(t.f.exec, bt_exec_params(t.f.exec), first);
        uint64_t n_calls = 0;
        for (int64_t step = 0; step < 5; step++) {
            assert_ok(bt_exec_train_step(t.f.exec, &t.batch.batch, step, 11, &result, err));
            n_calls = step == 1 ? bt_alloc_count() : n_calls;
        }
        assert_true(bt_alloc_count() == n_calls);
        float *const out = run == 0 ? second : first;
        bt_exec_copy(t.f.exec, out, settled(t.f.exec, bt_exec_params(t.f.exec)));
    }
    assert_memory_equal(first, second, (size_t)t.f.model->table.n_elements * sizeof *first);
    assert_true(bt_exec_memory_bytes(t.f.exec) < whole_bytes);
    fixture_close(&t.f);
}

/* docs/decisions.md, "Packed tokens": leaving padding out changes nothing but rounding. */
static void test_packed_equals_padded(void **state) {
    (void)state;
    static float         packed[1 << 14];
    const bt_head_config head = toy_head(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 2);
    bt_encoder_config    e = toy_encoder();
    e.dropout_rate = 0;
    e.attention_dropout_rate = 0;
    bt_head_config no_dropout = head;
    no_dropout.dropout_rate = 0;
    toy t;
    toy_open(&t, &e, &no_dropout, false, 2);
    bt_step_result one;
    bt_step_result two;
    assert_ok(bt_exec_gradients(t.f.exec, &t.batch.batch, 0, 1, &one, err));
    bt_exec_copy(t.f.exec, packed, settled(t.f.exec, bt_exec_gradient(t.f.exec)));
    toy_pack(&t.batch, &head, false);
    assert_non_null(t.batch.batch.key_mask);
    assert_ok(bt_exec_gradients(t.f.exec, &t.batch.batch, 0, 1, &two, err));
    assert_int_equal(two.n_tokens, B * S);
    test_close_f64(&one.loss, &two.loss, 1, 1e-6, 0, "loss");
    test_close_f64(&one.grad_norm, &two.grad_norm, 1, 0, 3e-6, "norm");
    test_close_f32(settled(t.f.exec, bt_exec_gradient(t.f.exec)), packed,
                   (size_t)t.f.model->table.n_elements, 2e-6, 0, "gradients");
    fixture_close(&t.f);
}

/* Decision 2: the last layer for first tokens only, against every layer for every token. */
static void test_first_rows_equal_all_rows(void **state) {
    (void)state;
    for (int norm_first = 0; norm_first < 2; norm_first++) {
        const bt_head_config head = toy_head(BT_HEAD_POOLED_OUTPUT, BT_LOSS_NONE, 1);
        bt_encoder_config    e = toy_encoder();
        e.norm_first = norm_first == 1;
        toy t;
        toy_open(&t, &e, &head, false, 1);
        float          pooled[B * 12];
        bt_step_result result;
        assert_ok(bt_exec_encode(t.f.exec, &t.batch.batch, 1, NULL, pooled, err));
        assert_ok(bt_exec_evaluate(t.f.exec, &t.batch.batch, &result, err));
        assert_true(result.loss == 0);
        test_close_f32(result.logits, pooled, B * 12, 1e-6, 1e-6, "pooled output");
        fixture_close(&t.f);
    }
}

static void test_bits_repeat(void **state) {
    (void)state;
    static float            param[3][1 << 14];
    const bt_head_config    head = toy_head(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 2);
    const bt_encoder_config e = toy_encoder();
    for (int i = 0; i < 3; i++) { /* twice the same, then on three threads */
        toy t;
        memset(param[i], 0, sizeof param[i]);
        toy_open(&t, &e, &head, true, i == 2 ? 3 : 1);
        toy_run_steps(&t, 4, param[i]);
        fixture_close(&t.f);
    }
    assert_memory_equal(param[0], param[1], sizeof param[0]);
    assert_memory_equal(param[0], param[2], sizeof param[0]);
}

/* Activations that are made again are the same: equal bits, in less memory. */
static void test_recomputation_changes_no_bit(void **state) {
    (void)state;
    static float         kept[1 << 14], again[1 << 14];
    const bt_head_config heads[] = {toy_head(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 2),
                                    toy_head(BT_HEAD_TOKENS, BT_LOSS_TOKENS, 3)};
    for (int i = 0; i < 4; i++) {
        bt_encoder_config e = toy_encoder();
        toy               t;
        e.num_layers = 3;
        e.norm_first = i >= 2;
        memset(kept, 0, sizeof kept);
        memset(again, 0, sizeof again);
        toy_open(&t, &e, &heads[i % 2], true, 2);
        toy_run_steps(&t, 3, kept);
        const size_t n_bytes = bt_exec_memory_bytes(t.f.exec);
        fixture_close(&t.f);
        toy_open(&t, &e, &heads[i % 2], true, 2);
        const bt_exec_config config = {.n_threads = 2, .recompute = true};
        fixture_with(&t.f, &config);
        toy_fill(&t);
        toy_run_steps(&t, 3, again);
        assert_memory_equal(kept, again, sizeof kept);
        assert_true(bt_exec_memory_bytes(t.f.exec) < n_bytes);
        fixture_close(&t.f);
    }
}

/* A step is a function of parameters, batch, seed and step: an evaluation between changes nothing.
 */
static void test_steps_keep_no_state(void **state) {
    (void)state;
    static float            straight[1 << 14];
    static float            mixed[1 << 14];
    const bt_head_config    head = toy_head(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 2);
    const bt_encoder_config e = toy_encoder();
    toy                     t;
    memset(straight, 0, sizeof straight);
    memset(mixed, 0, sizeof mixed);
    toy_open(&t, &e, &head, true, 2);
    toy_run_steps(&t, 3, straight);
    fixture_close(&t.f);
    toy_open(&t, &e, &head, true, 2);
    bt_step_result result;
    for (int64_t step = 0; step < 3; step++) {
        float pooled[B * 12];
        assert_ok(bt_exec_evaluate(t.f.exec, &t.batch.batch, &result, err));
        assert_ok(bt_exec_encode(t.f.exec, &t.batch.batch, 1, NULL, pooled, err));
        assert_ok(bt_exec_train_step(t.f.exec, &t.batch.batch, step, 11, &result, err));
    }
    bt_exec_copy(t.f.exec, mixed, settled(t.f.exec, bt_exec_params(t.f.exec)));
    assert_memory_equal(straight, mixed, sizeof straight);
    fixture_close(&t.f);
}

static void test_no_heap_calls_after_two_steps(void **state) {
    (void)state;
    const bt_head_config    head = toy_head(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 2);
    const bt_encoder_config e = toy_encoder();
    toy                     t;
    bt_step_result          result;
    toy_open(&t, &e, &head, true, 2);
    for (int64_t step = 0; step < 2; step++) {
        assert_ok(bt_exec_train_step(t.f.exec, &t.batch.batch, step, 11, &result, err));
    }
    const uint64_t before = bt_alloc_count();
    for (int64_t step = 2; step < 5; step++) {
        assert_ok(bt_exec_train_step(t.f.exec, &t.batch.batch, step, 11, &result, err));
        assert_ok(bt_exec_evaluate(t.f.exec, &t.batch.batch, &result, err));
    }
    assert_true(bt_alloc_count() == before);
    assert_true(bt_exec_memory_bytes(t.f.exec) > 0);
    assert_true(bt_str_starts_with(bt_exec_describe(t.f.exec), "cpu, 2 threads, "));
    toy_pack(&t.batch, &head, false); /* larger than the plan: one new plan, then none */
    t.batch.batch.seq_length = 0;     /* a caller that does not say is served too */
    assert_ok(bt_exec_train_step(t.f.exec, &t.batch.batch, 5, 11, &result, err));
    const uint64_t grown = bt_alloc_count();
    assert_true(grown > before);
    assert_ok(bt_exec_train_step(t.f.exec, &t.batch.batch, 6, 11, &result, err));
    assert_true(bt_alloc_count() == grown);
    fixture_close(&t.f);
}

/* Every allocation fails once: a clean refusal, no leak (the sanitizer looks), then it works. */
static void fail_allocations(int64_t part_seqs) {
    const bt_head_config    head = toy_head(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 2);
    const bt_encoder_config e = toy_encoder();
    toy                     t;
    toy_open(&t, &e, &head, true, 1);
    const bt_exec_config config = {.n_threads = 2, .isa = "auto", .part_seqs = part_seqs};
    bool                 passed = false;
    for (uint64_t k = 1; k < 64 && !passed; k++) {
        bt_error       err = BT_ERROR_INIT;
        bt_exec       *exec = NULL;
        bt_step_result result;
        bt_alloc_fail_at(k, false);
        bt_status rc = bt_exec_create_cpu(t.f.model, t.f.optim, &config, &exec, &err);
        if (rc == BT_OK) {
            bt_model_init_params(t.f.model, 3, settled(exec, bt_exec_params(exec)));
            rc = bt_exec_train_step(exec, &t.batch.batch, 0, 1, &result, &err);
        }
        bt_alloc_fail_at(0, false);
        passed = rc == BT_OK;
        assert_true(passed || rc == BT_E_NOMEM);
        if (!passed && exec != NULL) { /* the engine is still good once memory is back */
            assert_int_equal(bt_exec_train_step(exec, &t.batch.batch, 0, 1, &result, &err), BT_OK);
        }
        bt_exec_free(exec);
    }
    assert_true(passed);
    fixture_close(&t.f);
}

static void test_failing_allocations(void **state) {
    (void)state;
    fail_allocations(0);
    fail_allocations(2);
}

/* What cannot be added up from parts says so before anything is made. */
static void test_refusals_of_parts(void **state) {
    (void)state;
    const bt_exec_config    config = {.n_threads = 1, .isa = "auto", .part_seqs = 2};
    const bt_encoder_config e = toy_encoder();
    const bt_head_config    ranking = toy_head(BT_HEAD_POOLED_OUTPUT, BT_LOSS_RANKING, 0);
    const bt_head_config    classes = toy_head(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 2);
    bt_model               *model = NULL;
    bt_exec                *exec = NULL;
    fixture                 f;
    assert_ok(bt_model_create(&e, &ranking, &model, err));
    assert_fails(bt_exec_create_cpu(model, NULL, &config, &exec, err), BT_E_UNSUPPORTED,
                 "cannot be added up from parts");
    bt_model_free(model);
    json_t *const optimizer = toy_optimizer();
    json_t *const adamw = json_object_get(json_object_get(optimizer, "optimizer"), "adamw");
    assert_int_equal(json_object_set_new(adamw, "clipvalue", json_real(0.5)), 0);
    fixture_open(&f, &e, &classes, optimizer, "auto", 1);
    assert_fails(bt_exec_create_cpu(f.model, f.optim, &config, &exec, err), BT_E_UNSUPPORTED,
                 "clipvalue clips the gradient of each word");
    assert_null(exec);
    fixture_close(&f);
    json_decref(optimizer);
}

static void test_refusals(void **state) {
    (void)state;
    const bt_head_config    head = toy_head(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 2);
    const bt_encoder_config e = toy_encoder();
    toy                     t;
    bt_step_result          r;
    toy_open(&t, &e, &head, true, 1);
    bt_exec *const  x = t.f.exec;
    bt_batch *const batch = &t.batch.batch;
    t.batch.ids[4] = 23;
    assert_fails(bt_exec_train_step(x, batch, 0, 1, &r, err), BT_E_SHAPE, "word id 23");
    t.batch.ids[4] = -1;
    assert_fails(bt_exec_evaluate(x, batch, &r, err), BT_E_SHAPE, "word id -1");
    t.batch.ids[4] = 4;
    t.batch.types[1] = 2;
    assert_fails(bt_exec_evaluate(x, batch, &r, err), BT_E_SHAPE, "type id 2");
    t.batch.types[1] = 0;
    t.batch.positions[0] = 11;
    assert_fails(bt_exec_evaluate(x, batch, &r, err), BT_E_SHAPE, "position 11");
    t.batch.positions[0] = 0;
    t.batch.int_labels[1] = 2;
    assert_fails(bt_exec_train_step(x, batch, 0, 1, &r, err), BT_E_FORMAT, "label 2");
    t.batch.int_labels[1] = 0;
    batch->int_labels = NULL;
    assert_fails(bt_exec_train_step(x, batch, 0, 1, &r, err), BT_E_FORMAT, "no labels");
    assert_ok(bt_exec_evaluate(x, batch, &r, err));
    assert_true(r.loss == 0);
    t.batch.offsets[1] = 0;
    assert_fails(bt_exec_evaluate(x, batch, &r, err), BT_E_SHAPE, "no token");
    assert_fails(bt_exec_encode(x, batch, 2, NULL, NULL, err), BT_E_SHAPE, "layer 2");
    assert_fails(bt_exec_swap_averages(x, err), BT_E_INTERNAL, "no moving average");
    assert_null(bt_exec_slot(x, 99));
    bt_exec       *other = NULL;
    bt_exec_config config = {.n_threads = 1, .isa = "mmx"};
    assert_fails(bt_exec_create_cpu(t.f.model, NULL, &config, &other, err), BT_E_CONFIG, "mmx");
    config.isa = NULL;
    fixture_close(&t.f);
    bt_encoder_config ranged = e;
    ranged.output_range = 1;
    const bt_head_config tokens = toy_head(BT_HEAD_TOKENS, BT_LOSS_TOKENS, 3);
    bt_model            *model = NULL;
    assert_ok(bt_model_create(&ranged, &tokens, &model, err));
    assert_fails(bt_exec_create_cpu(model, NULL, &config, &other, err), BT_E_UNSUPPORTED,
                 "output_range");
    bt_model_free(model);
}

static void test_pairs_are_refused_by_halves(void **state) {
    (void)state;
    const bt_encoder_config e = toy_encoder();
    bt_head_config          head = toy_head(BT_HEAD_POOLED_OUTPUT, BT_LOSS_RANKING, 0);
    const bt_exec_config    config = {.n_threads = 1};
    bt_model               *model = NULL;
    bt_exec                *other = NULL;
    toy                     t;
    bt_step_result          r;
    toy_open(&t, &e, &head, false, 1);
    assert_int_equal(bt_model_n_logits(t.f.model, &t.batch.batch), B * B);
    t.batch.batch.n_seqs = 5;
    t.batch.batch.n_tokens = t.batch.offsets[5];
    assert_fails(bt_exec_evaluate(t.f.exec, &t.batch.batch, &r, err), BT_E_SHAPE, "in pairs");
    fixture_close(&t.f);
    head.kind = BT_HEAD_POOLER_DENSE;
    head.num_classes = 2;
    assert_ok(bt_model_create(&e, &head, &model, err));
    assert_fails(bt_exec_create_cpu(model, NULL, &config, &other, err), BT_E_INTERNAL,
                 "pooled output");
    bt_model_free(model);
    head.logit_scale = INFINITY;
    assert_fails(bt_model_create(&e, &head, &model, err), BT_E_CONFIG, "logit_scale");
}

/* NaN is reported, and the update is not made. */
static void test_nonfinite_is_reported(void **state) {
    (void)state;
    static float            before[1 << 14];
    const bt_head_config    head = toy_head(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 2);
    const bt_encoder_config e = toy_encoder();
    toy                     t;
    bt_step_result          r;
    toy_open(&t, &e, &head, true, 2);
    const size_t bytes = (size_t)t.f.model->table.n_elements * sizeof(float);
    float *const flat = settled(t.f.exec, bt_exec_params(t.f.exec));
    flat[t.f.model->table.params[t.f.model->layers[0].intermediate.kernel].offset + 3] = NAN;
    memcpy(before, flat, bytes);
    assert_ok(bt_exec_train_step(t.f.exec, &t.batch.batch, 0, 1, &r, err));
    assert_true(r.n_nonfinite > 0);
    assert_memory_equal(before, flat, bytes);
    assert_ok(bt_exec_gradients(t.f.exec, &t.batch.batch, 0, 1, &r, err));
    assert_true(r.n_nonfinite > 0);
    assert_ok(bt_exec_evaluate(t.f.exec, &t.batch.batch, &r, err));
    assert_true(r.n_nonfinite > 0);
    fixture_close(&t.f);
}

static void test_averages_swap_exactly(void **state) {
    (void)state;
    static float            weights[1 << 14];
    const bt_head_config    head = toy_head(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 2);
    const bt_encoder_config e = toy_encoder();
    json_t *const           config = toy_optimizer();
    json_t *const           ema = json_pack("{s:f}", "average_decay", 0.9);
    assert_int_equal(json_object_set_new(config, "ema", ema), 0);
    toy t;
    fixture_open(&t.f, &e, &head, config, "auto", 1);
    json_decref(config);
    toy_pack(&t.batch, &head, true);
    float *const flat = settled(t.f.exec, bt_exec_params(t.f.exec));
    bt_model_init_params(t.f.model, 3, flat);
    bt_step_result r;
    assert_ok(bt_exec_train_step(t.f.exec, &t.batch.batch, 0, 1, &r, err));
    const size_t bytes = (size_t)t.f.model->table.n_elements * sizeof *flat;
    memcpy(weights, flat, bytes);
    assert_ok(bt_exec_swap_averages(t.f.exec, err));
    assert_memory_not_equal(weights, flat, bytes);
    assert_ok(bt_exec_swap_averages(t.f.exec, err));
    assert_memory_equal(weights, flat, bytes);
    fixture_close(&t.f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_toy_bert_matches_differences),
        cmocka_unit_test(test_class_rule_in_training_and_evaluation),
        cmocka_unit_test(test_parts_add_up),
        cmocka_unit_test(test_steps_in_parts),
        cmocka_unit_test(test_packed_equals_padded),
        cmocka_unit_test(test_first_rows_equal_all_rows),
        cmocka_unit_test(test_bits_repeat),
        cmocka_unit_test(test_recomputation_changes_no_bit),
        cmocka_unit_test(test_steps_keep_no_state),
        cmocka_unit_test(test_no_heap_calls_after_two_steps),
        cmocka_unit_test(test_failing_allocations),
        cmocka_unit_test(test_refusals_of_parts),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_pairs_are_refused_by_halves),
        cmocka_unit_test(test_nonfinite_is_reported),
        cmocka_unit_test(test_averages_swap_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
