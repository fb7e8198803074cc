/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine and numbers below the normal ones (2^-126): a pass counts them as 0 wherever it meets
 * or makes them, and its caller's floating-point control is what it was. */
#include <math.h>

#include "bt/base/fp.h"
#include "exec_fixture.h"
#include "test_random.h"

enum { B = 3, S = 9 };

static const int32_t mask[B * S] = {1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1,
                                    1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1};

static json_t *adamw_config(void) {
    json_error_t  error;
    json_t *const config = json_loads(
        "{\"optimizer\": {\"type\": \"adamw\", \"adamw\": {\"weight_decay_rate\": 0.01}}, "
        "\"learning_rate\": {\"type\": \"constant\", \"constant\": {\"learning_rate\": 0.01}}}",
        0, &error);
    assert_non_null(config);
    return config;
}

static void open_job(fixture *f, fixture_batch *batch, const char *isa, int32_t n_threads) {
    const bt_head_config    head = {.kind = BT_HEAD_POOLER_DENSE,
                                    .loss = BT_LOSS_SOFTMAX,
                                    .num_classes = 2,
                                    .initializer_range = 0.02F};
    const bt_encoder_config encoder = fixture_encoder();
    json_t *const           config = adamw_config();
    int32_t                 ids[B * S];
    int32_t                 types[B * S];
    for (int i = 0; i < B * S; i++) {
        ids[i] = (i * 7 + 1) % 190;
        types[i] = i % S > 4;
    }
    fixture_open(f, &encoder, &head, config, isa, n_threads);
    json_decref(config);
    bt_model_init_params(f->model, 3, settled(f->exec, bt_exec_params(f->exec)));
    fixture_pack(batch, ids, mask, types, B, S, true);
    for (int b = 0; b < B; b++) {
        batch->int_labels[b] = b % 2;
    }
    batch->batch.int_labels = batch->int_labels;
}

/* The exceptions that have happened are not control. */
static uint64_t control(void) {
    return bt_fp_get().word & ~(uint64_t)0x3f;
}

static void test_the_callers_control_stays(void **state) {
    (void)state;
    const bt_fp_state plain = bt_fp_get();
    (void)bt_fp_flush();
    const bt_fp_state states[] = {plain, bt_fp_get()};
    bt_fp_set(plain);
    for (size_t i = 0; i < BT_ARRAY_LEN(states); i++) {
        for (int32_t n_threads = 1; n_threads <= 2; n_threads++) {
            fixture        f;
            fixture_batch  batch;
            bt_step_result result;
            float          hidden[B * S * 32];
            open_job(&f, &batch, "auto", n_threads);
            bt_fp_set(states[i]);
            const uint64_t before = control();
            assert_ok(bt_exec_train_step(f.exec, &batch.batch, 0, 1, &result, err));
            assert_true(control() == before);
            assert_ok(bt_exec_gradients(f.exec, &batch.batch, 1, 1, &result, err));
            assert_true(control() == before);
            assert_ok(bt_exec_evaluate(f.exec, &batch.batch, &result, err));
            assert_true(control() == before);
            assert_ok(bt_exec_encode(f.exec, &batch.batch, 1, hidden, NULL, err));
            assert_true(control() == before);
            assert_non_null(settled(f.exec, bt_exec_slot(f.exec, 0)));
            assert_true(control() == before);
            batch.ids[0] = -1; /* a refusal gives it back as well */
            assert_fails(bt_exec_train_step(f.exec, &batch.batch, 2, 1, &result, err), BT_E_SHAPE,
                         "outside");
            assert_true(control() == before);
            bt_fp_set(plain);
            fixture_close(&f);
        }
    }
}

static bool flushes_here(void) {
    if (test_is_flushing(bt_fp_get())) {
        print_message("SKIPPED: this processor's control word is not known\n");
        return false;
    }
    return true;
}

/* A head whose kernel is all denormal says what its bias says, and not a bit more. */
static void test_denormal_weights_are_zero(void **state) {
    (void)state;
    const char *const *const isas = fixture_isas();
    for (size_t i = 0; flushes_here() && isas[i] != NULL; i++) {
        for (int32_t n_threads = 1; n_threads <= 2; n_threads++) {
            fixture        f;
            fixture_batch  batch;
            bt_step_result result;
            open_job(&f, &batch, isas[i], n_threads);
            float *const          flat = settled(f.exec, bt_exec_params(f.exec));
            const bt_param *const kernel = &f.model->table.params[f.model->head_logits.kernel];
            for (int64_t k = 0; k < kernel->n_elements; k++) {
                flat[kernel->offset + k] = 0x1p-127F;
            }
            assert_ok(bt_exec_evaluate(f.exec, &batch.batch, &result, err));
            for (int k = 0; k < 2 * B; k++) {
                assert_true(result.logits[k] == 0);
            }
            fixture_close(&f);
        }
    }
}

static int64_t count_denormals(const fixture *f, const float *flat) {
    int64_t n = 0;
    for (int64_t i = 0; i < f->model->table.n_params; i++) {
        const bt_param *const p = &f->model->table.params[i];
        for (int64_t k = 0; p->has_gradient && k < p->n_elements; k++) {
            n += fpclassify(flat[p->offset + k]) == FP_SUBNORMAL;
        }
    }
    return n;
}

/* Moments of what no batch touches fade by a tenth each step: they go to 0, also in the rows of the
 * word table that make their steps late. */
static void test_moments_fade_to_zero(void **state) {
    (void)state;
    const char *const *const isas = fixture_isas();
    for (size_t i = 0; flushes_here() && isas[i] != NULL; i++) {
        fixture        f;
        fixture_batch  batch;
        bt_step_result result;
        open_job(&f, &batch, isas[i], 2);
        for (int32_t slot = 0; slot < 2; slot++) {
            float *const flat = settled(f.exec, bt_exec_slot(f.exec, slot));
            for (int64_t k = 0; k < f.model->table.n_elements; k++) {
                flat[k] = 0x1p-125F;
            }
        }
        for (int64_t step = 0; step < 20; step++) { /* 0.9^7 < 1/2 */
            assert_ok(bt_exec_train_step(f.exec, &batch.batch, step, 1, &result, err));
        }
        assert_true(count_denormals(&f, settled(f.exec, bt_exec_slot(f.exec, 0))) == 0);
        assert_true(count_denormals(&f, settled(f.exec, bt_exec_slot(f.exec, 1))) == 0);
        assert_true(count_denormals(&f, settled(f.exec, bt_exec_params(f.exec))) == 0);
        fixture_close(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_callers_control_stays),
        cmocka_unit_test(test_denormal_weights_are_zero),
        cmocka_unit_test(test_moments_fade_to_zero),
    };
    return cmocka_run_group_tests_name("exec_fp", tests, NULL, NULL);
}
