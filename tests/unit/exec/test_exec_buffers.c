/* SPDX-License-Identifier: Apache-2.0
 *
 * The buffers of a pass are laid out anew for each shape and shared within it. Nothing of that may
 * show: an engine whose buffers are full of NaN, and that has just seen other shapes, other threads
 * and recomputation give the bits of an engine that never did anything else; and a pass for
 * evaluation, whose layers share one set of buffers, gives the logits of one for training. */
#include <math.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "exec_cpu_internal.h"
#include "exec_fixture.h"

enum { VOCAB = 37, MAX_LENGTH = 13, MAX_SEQS = 6, MAX_LOGITS = 1 << 10 };

/* Lengths of the sequences of a batch, 0: no more. */
static const int64_t lengths[][MAX_SEQS] = {
    {1}, {1, 1}, {1, 13, 1, 2, 7, 5}, {5, 3, 4, 6}, {13, 13, 13, 13, 13, 13}, {3, 2},
};

typedef struct shape {
    const char       *name;
    bt_encoder_config encoder;
    bt_head_config    head;
} shape;

static bt_encoder_config encoder_of(int64_t H, int64_t E, int64_t I, int64_t L, int64_t NH) {
    bt_encoder_config e = fixture_encoder();
    e.vocab_size = VOCAB;
    e.max_position_embeddings = MAX_LENGTH;
    e.hidden_size = H;
    e.embedding_size = E;
    e.intermediate_size = I;
    e.num_layers = L;
    e.num_attention_heads = NH;
    e.initializer_range = 0.3F;
    return e;
}

static bt_batch make_batch(fixture_batch *b, const int64_t *of, bool pairs) {
    int64_t n_seqs = 0;
    while (n_seqs < MAX_SEQS && of[n_seqs] > 0) {
        n_seqs++;
    }
    fixture_rows_of(b, of, pairs ? n_seqs - n_seqs % 2 : n_seqs, VOCAB);
    for (int i = 0; i < FIXTURE_MAX_TOKENS; i++) { /* of a sequence, or of a token */
        b->int_labels[i] = i % 2;
    }
    b->batch.seq_length = MAX_LENGTH;
    return b->batch;
}

static void poison(bt_exec *exec) {
    const exec_acts *const acts = &exec_cpu_of(exec)->acts;
    if (acts->block != NULL) {
        memset(acts->block, 0xff, (size_t)acts->n_floats * sizeof(float));
    }
}

static bt_exec *make_engine(const bt_model *model, const bt_exec_config *config) {
    bt_exec *exec = NULL;
    assert_ok(bt_exec_create_cpu(model, NULL, config, &exec, err));
    bt_model_init_params(model, 3, settled(exec, bt_exec_params(exec)));
    return exec;
}

typedef struct outcome {
    double loss;
    float  logits[MAX_LOGITS];
    float *gradient;
} outcome;

static void take(bt_exec *exec, const bt_model *model, const bt_batch *batch, outcome *out) {
    bt_step_result result;
    poison(exec);
    assert_ok(bt_exec_gradients(exec, batch, 5, 6, &result, err));
    assert_true(bt_model_n_logits(model, batch) <= MAX_LOGITS);
    out->loss = result.loss;
    memcpy(out->logits, result.logits,
           (size_t)bt_model_n_logits(model, batch) * sizeof *out->logits);
    bt_exec_copy(exec, out->gradient, settled(exec, bt_exec_gradient(exec)));
}

/* Passes of other kinds and shapes in between. */
static void disturb(bt_exec *exec, const bt_model *model, const bt_batch *other) {
    static float   hidden[MAX_LENGTH * MAX_SEQS * 64];
    bt_step_result result;
    for (int64_t layer = -1; layer < model->encoder.num_layers; layer++) {
        poison(exec);
        assert_ok(bt_exec_encode(exec, other, layer, hidden, NULL, err));
        for (int64_t i = 0; i < other->n_tokens * model->encoder.hidden_size; i++) {
            assert_true(isfinite(hidden[i]));
        }
    }
    poison(exec);
    assert_ok(bt_exec_gradients(exec, other, 1, 2, &result, err));
}

static void compare(const char *name, size_t at, const bt_model *model, const bt_batch *batch,
                    const outcome *got, const outcome *want) {
    const size_t n_logits = (size_t)bt_model_n_logits(model, batch);
    for (size_t i = 0; i < n_logits; i++) {
        assert_true(isfinite(want->logits[i]));
    }
    if (memcmp(got->logits, want->logits, n_logits * sizeof *got->logits) != 0 ||
        got->loss != want->loss) {
        fail_msg("%s, batch %zu: logits or loss differ (%.9g, %.9g)", name, at, got->loss,
                 want->loss);
    }
    for (int64_t i = 0; i < model->table.n_params; i++) {
        const bt_param *const p = &model->table.params[i];
        for (int64_t k = p->offset; k < p->offset + p->n_elements; k++) {
            if (!isfinite(want->gradient[k]) || got->gradient[k] != want->gradient[k]) {
                fail_msg("%s, batch %zu: gradient of %s differs: %g, %g", name, at, p->name,
                         (double)got->gradient[k], (double)want->gradient[k]);
            }
        }
    }
}

static void check_shape(const shape *s) {
    static const bt_exec_config configs[] = {
        {.n_threads = 1}, {.n_threads = 2, .recompute = true}, {.n_threads = 3}};
    bt_model      *model = NULL;
    bt_exec       *engines[BT_ARRAY_LEN(configs)];
    fixture_batch  batch_of;
    fixture_batch  other_of;
    outcome        want;
    outcome        got;
    bt_step_result result;
    const bool     pairs = s->head.loss == BT_LOSS_RANKING;
    assert_ok(bt_model_create(&s->encoder, &s->head, &model, err));
    want.gradient = bt_alloc_array((size_t)model->table.n_elements, sizeof(float));
    got.gradient = bt_alloc_array((size_t)model->table.n_elements, sizeof(float));
    assert_true(want.gradient != NULL && got.gradient != NULL);
    for (size_t e = 0; e < BT_ARRAY_LEN(configs); e++) {
        engines[e] = make_engine(model, &configs[e]);
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(lengths); i++) {
        const bt_batch batch = make_batch(&batch_of, lengths[i], pairs);
        const bt_batch other =
            make_batch(&other_of, lengths[(i + 3) % BT_ARRAY_LEN(lengths)], pairs);
        if (batch.n_seqs == 0 || other.n_seqs == 0) {
            continue;
        }
        bt_exec *const fresh = make_engine(model, &configs[0]);
        take(fresh, model, &batch, &want);
        for (size_t e = 0; e < BT_ARRAY_LEN(configs); e++) {
            disturb(engines[e], model, &other);
            take(engines[e], model, &batch, &got);
            compare(s->name, i, model, &batch, &got, &want);
            poison(engines[e]);
            assert_ok(bt_exec_evaluate(engines[e], &batch, &result, err));
            if (s->encoder.dropout_rate == 0 && s->head.dropout_rate == 0) {
                assert_memory_equal(result.logits, want.logits,
                                    (size_t)bt_model_n_logits(model, &batch) * sizeof(float));
            }
        }
        bt_exec_free(fresh);
    }
    for (size_t e = 0; e < BT_ARRAY_LEN(configs); e++) {
        bt_exec_free(engines[e]);
    }
    bt_free(want.gradient);
    bt_free(got.gradient);
    bt_model_free(model);
}

/* Each order of norm, with and without dropout; or one of these four, another for each model. */
static void check_orders(const char *name, bt_encoder_config e, bt_head_config head, bool all) {
    static int n_models;
    const int  one = n_models++ % 4;
    for (int i = 0; i < 4; i++) {
        if (!all && i != one) {
            continue;
        }
        e.norm_first = i % 2 == 1;
        e.dropout_rate = i / 2 == 1 ? 0.2F : 0;
        e.attention_dropout_rate = i / 2 == 1 ? 0.3F : 0;
        head.dropout_rate = i / 2 == 1 ? 0.1F : 0;
        head.initializer_range = 0.3F;
        check_shape(&(shape){.name = name, .encoder = e, .head = head});
    }
}

static void test_buffers_do_not_show(void **state) {
    (void)state;
    static const bt_head_config heads[] = {
        {.kind = BT_HEAD_POOLER_DENSE, .loss = BT_LOSS_SOFTMAX, .num_classes = 3},
        {.kind = BT_HEAD_ENCODER_POOLER, .loss = BT_LOSS_SOFTMAX, .num_classes = 2},
        {.kind = BT_HEAD_TOKENS, .loss = BT_LOSS_TOKENS, .num_classes = 4},
        {.kind = BT_HEAD_POOLED_OUTPUT,
         .loss = BT_LOSS_RANKING,
         .normalize = true,
         .logit_scale = 2},
        {.kind = BT_HEAD_POOLED_OUTPUT,
         .loss = BT_LOSS_RANKING,
         .pooling = BT_POOLING_MEAN,
         .logit_scale = 2},
        {.kind = BT_HEAD_POOLED_OUTPUT,
         .loss = BT_LOSS_RANKING,
         .pooling = BT_POOLING_MAX,
         .normalize = true,
         .logit_scale = 2},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(heads); i++) {
        bt_encoder_config albert = encoder_of(12, 5, 20, 3, 3);
        albert.type = BT_ENCODER_ALBERT;
        /* of classes and of tokens: what a head reads of the layers is one or the other */
        const bool all = i % 2 == 0 && i < 4 && !test_is_slow();
        check_orders("as usual", encoder_of(12, 12, 48, 3, 3), heads[i], all);
        check_orders("one layer", encoder_of(12, 12, 20, 1, 3), heads[i], all);
        check_orders("one layer, projected", encoder_of(12, 7, 20, 1, 2), heads[i], all);
        check_orders("a wider embedding", encoder_of(8, 24, 11, 2, 2), heads[i], all);
        check_orders("a narrow feed-forward", encoder_of(16, 16, 3, 2, 4), heads[i], all);
        check_orders("one of each", encoder_of(1, 1, 1, 2, 1), heads[i], all);
        check_orders("shared layers", albert, heads[i], all);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buffers_do_not_show),
    };
    return cmocka_run_group_tests_name("exec_buffers", tests, NULL, NULL);
}
