/* SPDX-License-Identifier: Apache-2.0
 *
 * A step after the second one calls no heap, whatever the engine is set to: rows of the word table
 * that wait or do not, batches in parts, 16-bit products, recomputing, moving averages; nor does an
 * evaluation between steps, or a reader of the state. */
#include <inttypes.h>

#include "bt/base/alloc.h"
#include "exec_fixture.h"

enum { MAX_SEQS = 6, S = 9, N_BATCHES = 3, WARM_UP = 2, STEPS = 8 };

typedef struct heap_case {
    const char    *name;
    const char    *optimizer; /* trainer.optimizer_config but for the rate */
    bt_head_config head;
    bt_exec_config config;
    bool           has_average;
} heap_case;

#define ADAMW "\"optimizer\": {\"type\": \"adamw\", \"adamw\": {\"weight_decay_rate\": 0.01}}"
#define EMA ", \"ema\": {\"average_decay\": 0.9}"
#define LAMB "\"optimizer\": {\"type\": \"lamb\", \"lamb\": {}}"
#define CLIPVALUE                                                                                  \
    "\"optimizer\": {\"type\": \"adamw\", \"adamw\": {\"gradient_clip_norm\": 0.0, "               \
    "\"clipvalue\": 0.1}}"
#define CLASSES                                                                                    \
    {                                                                                              \
        .kind = BT_HEAD_POOLER_DENSE, .loss = BT_LOSS_SOFTMAX, .num_classes = 2,                   \
        .dropout_rate = 0.1F                                                                       \
    }
#define TOKENS                                                                                     \
    { .kind = BT_HEAD_TOKENS, .loss = BT_LOSS_TOKENS, .num_classes = 3, .dropout_rate = 0.1F }
#define SPAN                                                                                       \
    { .kind = BT_HEAD_TOKENS, .loss = BT_LOSS_SPAN, .num_classes = 2 }
#define PAIRS                                                                                      \
    { .kind = BT_HEAD_POOLED_OUTPUT, .loss = BT_LOSS_RANKING }

static const heap_case cases[] = {
    {"rows that wait", ADAMW, CLASSES, {.n_threads = 2}, false},
    {"moving average, no row waits", ADAMW EMA, CLASSES, {.n_threads = 2}, true},
    {"another rule", LAMB, CLASSES, {.n_threads = 2}, false},
    {"clipped by value", CLIPVALUE, CLASSES, {.n_threads = 2}, false},
    {"in parts", ADAMW, CLASSES, {.n_threads = 2, .part_seqs = 2}, false},
    {"tokens in parts", ADAMW, TOKENS, {.n_threads = 2, .part_seqs = 4}, false},
    {"spans", ADAMW, SPAN, {.n_threads = 1}, false},
    {"pairs", ADAMW, PAIRS, {.n_threads = 2}, false},
    {"recomputing", ADAMW, CLASSES, {.n_threads = 2, .recompute = true}, false},
    {"bfloat16", ADAMW, CLASSES, {.n_threads = 2, .precision = BT_PRECISION_BF16}, false},
    {"float16", ADAMW, CLASSES, {.n_threads = 2, .precision = BT_PRECISION_F16}, false},
    {"bfloat16 in parts, recomputing",
     ADAMW,
     TOKENS,
     {.n_threads = 2, .precision = BT_PRECISION_BF16, .part_seqs = 3, .recompute = true},
     false},
    {"BLAS", ADAMW, CLASSES, {.n_threads = 1, .use_blas = true}, false},
};

/* The first one is the largest, and the first one to be evaluated; each has words of its own, and
 * fewer tokens or sequences. */
static void make_batch(fixture_batch *batch, int number, const bt_head_config *head) {
    const int n_seqs = MAX_SEQS - number % 2 * 2;
    int32_t   ids[MAX_SEQS * S];
    int32_t   types[MAX_SEQS * S];
    int32_t   mask[MAX_SEQS * S];
    for (int i = 0; i < n_seqs * S; i++) {
        ids[i] = (i * 5 + number * 37 + 1) % 200;
        types[i] = i % S > 3;
        mask[i] = i % S < S - number - i / S % 3;
    }
    fixture_pack(batch, ids, mask, types, n_seqs, S, true);
    for (int i = 0; i < n_seqs * S; i++) {
        batch->int_labels[i] = i % 2;
    }
    batch->batch.int_labels = head->loss == BT_LOSS_RANKING ? NULL : batch->int_labels;
}

static void open_case(fixture *f, const heap_case *c) {
    char text[512];
    (void)snprintf(text, sizeof text,
                   "{%s, \"learning_rate\": {\"type\": \"constant\", \"constant\": "
                   "{\"learning_rate\": 0.001}}}",
                   c->optimizer);
    json_error_t      error;
    json_t *const     config = json_loads(text, 0, &error);
    bt_encoder_config encoder = fixture_encoder();
    assert_non_null(config);
    encoder.dropout_rate = 0.1F;
    encoder.attention_dropout_rate = 0.1F;
    fixture_open(f, &encoder, &c->head, config, "auto", 1);
    json_decref(config);
    fixture_with(f, &c->config);
    bt_model_init_params(f->model, 3, settled(f->exec, bt_exec_params(f->exec)));
}

static void check_case(const heap_case *c) {
    fixture              f;
    static fixture_batch batches[N_BATCHES];
    bt_step_result       result;
    uint64_t             calls = 0;
    open_case(&f, c);
    for (int i = 0; i < N_BATCHES; i++) {
        make_batch(&batches[i], i, &c->head);
    }
    for (int64_t step = 0; step < STEPS; step++) {
        const bt_batch *const batch = &batches[step % N_BATCHES].batch;
        assert_ok(bt_exec_train_step(f.exec, batch, step, 11, &result, err));
        if (step >= WARM_UP - 1) {
            assert_ok(
                bt_exec_evaluate(f.exec, &batches[(step + 2) % N_BATCHES].batch, &result, err));
        }
        if (step >= WARM_UP && c->has_average) {
            assert_ok(bt_exec_swap_averages(f.exec, err));
            assert_ok(bt_exec_swap_averages(f.exec, err));
        }
        if (step == STEPS / 2) {
            assert_non_null(settled(f.exec, bt_exec_params(f.exec)));
        }
        calls = step == WARM_UP - 1 ? bt_alloc_count() : calls;
    }
    if (bt_alloc_count() != calls) {
        print_error("%s: %" PRIu64 " heap calls after the second step\n", c->name,
                    bt_alloc_count() - calls);
        fail();
    }
    fixture_close(&f);
}

static void test_no_heap_calls_after_two_steps(void **state) {
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(cases); i++) {
        check_case(&cases[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_heap_calls_after_two_steps),
    };
    return cmocka_run_group_tests_name("exec_heap", tests, NULL, NULL);
}
