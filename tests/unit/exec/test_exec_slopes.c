/* SPDX-License-Identifier: Apache-2.0
 *
 * A training step makes an activation and its gradient from one exponential where its backward
 * makes both: how many elements each kernel has, and equal bits beside an engine without that
 * kernel. */
#include <stdatomic.h>
#include <string.h>

#include "exec_cpu_internal.h"
#include "exec_fixture.h"

enum { S = 11, N_SEQS = 6, STEPS = 2, LAYERS = 3 };

static const bt_activation acts[] = {BT_ACT_GELU, BT_ACT_GELU_ERF, BT_ACT_RELU};

/* Elements of the activation under test; the head's are another's. */
static _Atomic(int64_t) n_forward, n_backward, n_slope;
static bt_kern          real;
static bt_activation    act;

static void count_forward(float *out, const float *in, int64_t n) {
    atomic_fetch_add(&n_forward, n);
    real.act_forward[act](out, in, n);
}

static void count_backward(float *d_in, const float *d_out, const float *in, int64_t n) {
    atomic_fetch_add(&n_backward, n);
    real.act_backward[act](d_in, d_out, in, n);
}

static void count_slope(float *out, float *slope, const float *in, int64_t n) {
    atomic_fetch_add(&n_slope, n);
    real.act_slope[act](out, slope, in, n);
}

static void make_batch(fixture_batch *batch) {
    fixture_rows(batch, N_SEQS, (fixture_lengths){S, 1, 3}, 200);
    for (int i = 0; i < N_SEQS; i++) {
        batch->int_labels[i] = i % 2;
    }
}

static void open_engine(fixture *f, bt_precision precision) {
    json_error_t         error;
    json_t *const        config = json_loads("{\"optimizer\": {\"type\": \"adamw\"}}", 0, &error);
    bt_encoder_config    encoder = fixture_encoder();
    const bt_head_config head = {
        .kind = BT_HEAD_ENCODER_POOLER, .loss = BT_LOSS_SOFTMAX, .num_classes = 2};
    const bt_exec_config how = {.n_threads = 2, .precision = precision};
    assert_non_null(config);
    encoder.num_layers = LAYERS;
    encoder.hidden_activation = act;
    fixture_open(f, &encoder, &head, config, "auto", 1);
    json_decref(config);
    fixture_with(f, &how);
    bt_model_init_params(f->model, 3, settled(f->exec, bt_exec_params(f->exec)));
}

/* The last layer is read at first tokens, and its activation is there in the backward. */
static void check_counts(const bt_encoder_config *encoder, const bt_batch *batch) {
    const int64_t one = encoder->intermediate_size * batch->n_tokens;
    const int64_t last = encoder->intermediate_size * batch->n_seqs;
    const bool    shares = real.act_slope[act] != NULL;
    const int64_t again = (LAYERS - 1) * one;
    assert_int_equal(atomic_load(&n_slope), shares ? again : 0);
    assert_int_equal(atomic_load(&n_forward), again + last + (shares ? 0 : again));
    assert_int_equal(atomic_load(&n_backward), last + (shares ? 0 : again));
}

static void check(bt_precision precision, const bt_batch *batch) {
    fixture        both[2];
    bt_step_result result;
    open_engine(&both[0], precision);
    open_engine(&both[1], precision);
    real = exec_cpu_of(both[0].exec)->kern;
    bt_kern *const counts = &exec_cpu_of(both[0].exec)->kern;
    counts->act_forward[act] = count_forward;
    counts->act_backward[act] = count_backward;
    counts->act_slope[act] = real.act_slope[act] == NULL ? NULL : count_slope;
    exec_cpu_of(both[1].exec)->kern.act_slope[act] = NULL;
    for (int64_t step = 0; step < STEPS; step++) {
        atomic_store(&n_forward, 0);
        atomic_store(&n_backward, 0);
        atomic_store(&n_slope, 0);
        for (int i = 0; i < 2; i++) {
            assert_ok(bt_exec_train_step(both[i].exec, batch, step, 11, &result, err));
        }
        check_counts(&both[0].model->encoder, batch);
        assert_memory_equal(settled(both[0].exec, bt_exec_params(both[0].exec)),
                            settled(both[1].exec, bt_exec_params(both[1].exec)),
                            (size_t)both[0].model->table.n_elements * sizeof(float));
    }
    fixture_close(&both[0]);
    fixture_close(&both[1]);
}

static void test_one_exponential_makes_both(void **state) {
    static fixture_batch batch;
    (void)state;
    make_batch(&batch);
    for (size_t i = 0; i < BT_ARRAY_LEN(acts); i++) {
        act = acts[i];
        check(BT_PRECISION_F32, &batch.batch);
        check(BT_PRECISION_BF16, &batch.batch);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_exponential_makes_both)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
