/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights kept packed in bfloat16 between steps change no bit: training by several optimizers,
 * evaluation, swapped averages, weights that the caller wrote, steps that are not applied and a
 * frozen part, each beside an engine whose products pack as they go. And who packs them: the
 * update, once. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "exec_cpu_internal.h"
#include "exec_fixture.h"

enum { S = 11, N_SEQS = 6, STEPS = 4 };

#define RATE "\"learning_rate\": {\"type\": \"constant\", \"constant\": {\"learning_rate\": 0.01}}"

/* What is trained, by what, and which of the packs the update writes. */
typedef struct packs_case {
    const char *optimizer;
    bool        norm_first, has_average;
    int64_t     width; /* of the encoder */
    const char *freeze;
} packs_case;

static const packs_case cases[] = {
    {"{\"optimizer\": {\"type\": \"adamw\"}, \"ema\": {\"average_decay\": 0.9}, " RATE "}", false,
     true, 32, NULL},
    {"{\"optimizer\": {\"type\": \"adamw\"}, \"ema\": {\"average_decay\": 0.9}, " RATE "}", true,
     true, 32, NULL},
    /* chunks of an optimizer that end within rows, and within what is packed together */
    {"{\"optimizer\": {\"type\": \"adamw\"}, \"layer_decay\": 0.9, " RATE "}", false, false, 132,
     NULL},
    {"{\"optimizer\": {\"type\": \"lamb\"}, " RATE "}", false, false, 132, NULL},
    {"{\"optimizer\": {\"type\": \"sgd\"}, " RATE "}", false, false, 32, NULL},
    {"{\"optimizer\": {\"type\": \"adamw\"}, " RATE "}", false, false, 32, "layers.0"},
};

static void make_batch(fixture_batch *batch) {
    fixture_rows(batch, N_SEQS, (fixture_lengths){S, 1, 3}, 200);
    for (int i = 0; i < N_SEQS; i++) {
        batch->int_labels[i] = i % 2;
    }
}

/* A kernel that counts what it packs of the weights that one engine keeps. */
static bt_kern_product   counted, real;
static const exec_packs *kept;
static _Atomic(int64_t)  n_packed;

static void count_pack_b(void *panels, const float *x, int64_t wide_step, int64_t deep_step,
                         int64_t n_wide, int64_t n_there, int64_t depth) {
    for (int32_t i = 0; i < kept->n; i++) {
        const bt_nn_weight *const weight = &kept->weights[i];
        if (x >= weight->b && x < weight->b + weight->as_is.K * weight->as_is.N) {
            atomic_fetch_add(&n_packed, n_wide * depth);
        }
    }
    real.pack_b(panels, x, wide_step, deep_step, n_wide, n_there, depth);
}

/* Where the processor has no products of bfloat16, weights are kept as its rounding ones read
 * them: what is packed when is the same. */
static void open_engine(fixture *f, const packs_case *k, bool keeps) {
    json_error_t         error;
    json_t *const        config = json_loads(k->optimizer, 0, &error);
    bt_encoder_config    encoder = fixture_encoder();
    const bt_head_config head = {.kind = BT_HEAD_ENCODER_POOLER,
                                 .loss = BT_LOSS_SOFTMAX,
                                 .num_classes = 2,
                                 .dropout_rate = 0.1F};
    const bt_exec_config how = {.n_threads = 2, .precision = BT_PRECISION_BF16};
    assert_non_null(config);
    encoder.norm_first = k->norm_first;
    encoder.dropout_rate = 0.1F;
    encoder.hidden_size = encoder.embedding_size = k->width;
    encoder.intermediate_size = 2 * k->width;
    fixture_open(f, &encoder, &head, config, "auto", 1);
    if (k->freeze != NULL) {
        fixture_freeze(f, config, k->freeze, "auto", 1);
    }
    json_decref(config);
    fixture_with(f, &how);
    bt_model_init_params(f->model, 3, settled(f->exec, bt_exec_params(f->exec)));
    exec_cpu *const exec = exec_cpu_of(f->exec);
    exec_packs_drop(exec);
    if (keeps) {
        real = counted = *exec->nn.product;
        counted.pack_b = count_pack_b;
        exec->nn.product = &counted;
        kept = &exec->packs;
        assert_ok(exec_packs_create(exec, err));
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

/* Elements that an update packs: each trained weight as it is, and as its backward reads it. */
static int64_t n_trained(const fixture *f) {
    const exec_packs *const packs = &exec_cpu_of(f->exec)->packs;
    int64_t                 n = 0;
    for (int64_t p = 0; p < f->model->table.n_params; p++) {
        const bt_param *const param = &f->model->table.params[p];
        const int32_t         i = packs->of_param[p];
        if (i >= 0 && param->has_gradient) {
            n += param->n_elements * (packs->weights[i].transposed.panels != NULL ? 2 : 1);
        }
    }
    return n;
}

/* The last parameter of all is a bias of the head, which is not packed. */
static void train_both(fixture both[2], const bt_batch *batch, int64_t step, bool is_broken) {
    for (int i = 0; i < 2; i++) {
        const bt_param_table *const table = &both[i].model->table;
        const bt_param *const       last = &table->params[table->n_params - 1];
        float *const                bias = exec_cpu_of(both[i].exec)->base.param + last->offset;
        const float                 before = *bias;
        bt_step_result              result;
        *bias = is_broken ? NAN : before;
        assert_ok(bt_exec_train_step(both[i].exec, batch, step, 11, &result, err));
        assert_int_equal(result.n_nonfinite, is_broken);
        *bias = is_broken ? before : *bias;
    }
}

/* After the first step nothing packs weights but the optimizer, which packs what it writes, once:
 * the next pass, of training or not, finds them. A step that is not applied packs none. */
static void run_steps(fixture both[2], const bt_batch *batch) {
    for (int64_t step = 0; step < STEPS; step++) {
        const bool is_broken = step == 2;
        atomic_store(&n_packed, 0);
        train_both(both, batch, step, is_broken);
        const int64_t by_step = atomic_load(&n_packed);
        compare(&both[0], &both[1], batch);
        assert_int_equal(atomic_load(&n_packed), by_step);
        if (step > 0) {
            assert_int_equal(by_step, is_broken ? 0 : n_trained(&both[0]));
        }
    }
}

/* What others write is packed before the next pass. */
static void write_both(fixture both[2], const bt_batch *batch) {
    for (int i = 0; i < 2; i++) {
        float *const flat = settled(both[i].exec, bt_exec_params(both[i].exec));
        for (int64_t n = 0; n < both[i].model->table.n_elements; n++) {
            flat[n] *= 0.5F;
        }
        assert_ok(bt_exec_changed(both[i].exec, err));
    }
    compare(&both[0], &both[1], batch);
}

static void swap_both(fixture both[2], const bt_batch *batch) {
    for (int i = 0; i < 2; i++) {
        assert_ok(bt_exec_swap_averages(both[i].exec, err));
    }
    compare(&both[0], &both[1], batch);
}

static void copy_both(fixture both[2], const bt_batch *batch) {
    for (int i = 0; i < 2; i++) {
        bt_exec_copy(both[i].exec, bt_exec_params(both[i].exec), bt_exec_average(both[i].exec));
    }
    compare(&both[0], &both[1], batch);
}

static void test_no_bit_changes(void **state) {
    static fixture_batch batch;
    (void)state;
    make_batch(&batch);
    for (size_t c = 0; c < BT_ARRAY_LEN(cases); c++) {
        fixture both[2];
        for (int i = 0; i < 2; i++) {
            open_engine(&both[i], &cases[c], i == 0);
        }
        const exec_packs *const packs = &exec_cpu_of(both[0].exec)->packs;
        const bt_exec_memory    plan = bt_exec_plan_memory(both[0].exec, N_SEQS, S);
        assert_true(packs->n == 2 * 6 + 1 && packs->n_bytes > 0);
        assert_true(plan.variables ==
                    (uint64_t)both[0].model->table.n_elements * sizeof(float) + packs->n_bytes);
        run_steps(both, &batch.batch);
        if (cases[c].has_average) {
            swap_both(both, &batch.batch);
        }
        write_both(both, &batch.batch);
        if (cases[c].has_average) {
            copy_both(both, &batch.batch);
        }
        train_both(both, &batch.batch, STEPS, false);
        compare(&both[0], &both[1], &batch.batch);
        fixture_close(&both[0]);
        fixture_close(&both[1]);
    }
}

/* Layers that share their weights keep them once, and have the gradients of all as their own. */
static void test_shared_layers_are_kept_once(void **state) {
    fixture           f;
    bt_encoder_config encoder = fixture_encoder();
    (void)state;
    encoder.type = BT_ENCODER_ALBERT;
    encoder.embedding_size = 16;
    const bt_head_config head = {
        .kind = BT_HEAD_ENCODER_POOLER, .loss = BT_LOSS_SOFTMAX, .num_classes = 2};
    fixture_open(&f, &encoder, &head, NULL, "auto", 1);
    exec_packs_drop(exec_cpu_of(f.exec));
    assert_ok(exec_packs_create(exec_cpu_of(f.exec), err));
    assert_int_equal(exec_cpu_of(f.exec)->packs.n, 6 + 1 + 1);
    fixture_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_bit_changes),
                                       cmocka_unit_test(test_shared_layers_are_kept_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
