/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights kept packed in bfloat16 between steps change no bit: training, evaluation, swapped
 * averages, weights that the caller wrote and a frozen part, each beside an engine whose products
 * pack as they go. */
#include <string.h>

#include "exec_cpu_internal.h"
#include "exec_fixture.h"

enum { S = 11, N_SEQS = 6, STEPS = 4 };

static const char adam[] =
    "{\"optimizer\": {\"type\": \"adamw\"}, \"ema\": {\"average_decay\": 0.9}, "
    "\"learning_rate\": {\"type\": \"constant\", \"constant\": {\"learning_rate\": 0.01}}}";

static void make_batch(fixture_batch *batch) {
    int32_t ids[N_SEQS * S], types[N_SEQS * S], mask[N_SEQS * S];
    for (int i = 0; i < N_SEQS * S; i++) {
        ids[i] = (i * 5 + 1) % 200;
        types[i] = i % S > 3;
        mask[i] = i % S < S - i / S % 3;
    }
    fixture_pack(batch, ids, mask, types, N_SEQS, S, true);
    for (int i = 0; i < N_SEQS; i++) {
        batch->int_labels[i] = i % 2;
    }
    batch->batch.int_labels = batch->int_labels;
}

static void open_engine(fixture *f, bool norm_first, bool keeps) {
    json_error_t         error;
    json_t *const        config = json_loads(adam, 0, &error);
    bt_encoder_config    encoder = fixture_encoder();
    const bt_head_config head = {.kind = BT_HEAD_ENCODER_POOLER,
                                 .loss = BT_LOSS_SOFTMAX,
                                 .num_classes = 2,
                                 .dropout_rate = 0.1F};
    const bt_exec_config how = {.n_threads = 2, .precision = BT_PRECISION_BF16};
    assert_non_null(config);
    encoder.norm_first = norm_first;
    encoder.dropout_rate = 0.1F;
    fixture_open(f, &encoder, &head, config, "auto", 1);
    json_decref(config);
    bt_exec_free(f->exec);
    assert_ok(bt_exec_create_cpu(f->model, f->optim, &how, &f->exec, err));
    bt_model_init_params(f->model, 3, settled(f->exec, bt_exec_params(f->exec)));
    if (!keeps) {
        exec_cpu_of(f->exec)->nn.n_weights = 0;
    }
}

static void compare(fixture *f, fixture *other, const bt_batch *batch) {
    const size_t   n_bytes = (size_t)f->model->table.n_elements * sizeof(float);
    bt_step_result got, want;
    assert_ok(bt_exec_evaluate(f->exec, batch, &got, err));
    assert_ok(bt_exec_evaluate(other->exec, batch, &want, err));
    assert_memory_equal(got.logits, want.logits, N_SEQS * 2 * sizeof(float));
    assert_memory_equal(settled(f->exec, bt_exec_params(f->exec)),
                        settled(other->exec, bt_exec_params(other->exec)), n_bytes);
}

static void run_both(fixture both[2], fixture_batch *batch) {
    bt_step_result result;
    for (int64_t step = 0; step < STEPS; step++) {
        for (int i = 0; i < 2; i++) {
            assert_ok(bt_exec_train_step(both[i].exec, &batch->batch, step, 11, &result, err));
        }
        compare(&both[0], &both[1], &batch->batch);
    }
    for (int i = 0; i < 2; i++) {
        assert_ok(bt_exec_swap_averages(both[i].exec, err));
    }
    compare(&both[0], &both[1], &batch->batch);
    for (int i = 0; i < 2; i++) {
        float *const flat = settled(both[i].exec, bt_exec_params(both[i].exec));
        for (int64_t n = 0; n < both[i].model->table.n_elements; n++) {
            flat[n] *= 0.5F;
        }
        assert_ok(bt_exec_changed(both[i].exec, err));
    }
    compare(&both[0], &both[1], &batch->batch);
    for (int i = 0; i < 2; i++) {
        bt_exec_copy(both[i].exec, bt_exec_params(both[i].exec), bt_exec_average(both[i].exec));
    }
    compare(&both[0], &both[1], &batch->batch);
}

static void test_no_bit_changes(void **state) {
    (void)state;
    static fixture_batch batch;
    bt_kern              kern;
    assert_ok(bt_kern_select("auto", &kern, err));
    if (kern.products[BT_PRECISION_BF16].element_bytes != sizeof(uint16_t)) {
        test_skip("this processor has no products of bfloat16, for which weights are kept packed");
    }
    make_batch(&batch);
    for (int norm_first = 0; norm_first < 2; norm_first++) {
        fixture both[2];
        for (int i = 0; i < 2; i++) {
            open_engine(&both[i], norm_first == 1, i == 0);
        }
        const exec_packs *const packs = &exec_cpu_of(both[0].exec)->packs;
        const bt_exec_memory    plan = bt_exec_plan_memory(both[0].exec, N_SEQS, S);
        assert_true(packs->n == 2 * 6 + 1 && packs->n_bytes > 0);
        assert_true(plan.variables ==
                    (uint64_t)both[0].model->table.n_elements * sizeof(float) + packs->n_bytes);
        run_both(both, &batch);
        fixture_close(&both[0]);
        fixture_close(&both[1]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_bit_changes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
