/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs on the CPU plug-in against the CPU engine, with dropout: what no golden of Model Garden
 * has. The same masks must fall on the same tokens, or nothing here is equal. One case a run:
 * test_hlo_engines CASE... */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/rng.h"
#include "bt/base/str.h"
#include "hlo_fixture.h"
#include "hlo_stand_in.h"

enum { N_SEQS = 6, MAX_LENGTH = 11, SEED = 77, STEP = 5 };

typedef struct engine_case {
    const char    *name;
    bt_head_config head;
    bt_activation  act;
    int64_t        E; /* 0: as hidden */
    float          dropout;
    int64_t        attention_rows;
    bool           norm_first, is_albert, key_mask, row_weights, class_rule, recompute;
    bt_attention   attention;
} engine_case;

#define HEAD(which, what, n)                                                                       \
    { .kind = (which), .loss = (what), .num_classes = (n), .dropout_rate = 0.1F }
#define PAIRS(how, unit)                                                                           \
    {                                                                                              \
        .kind = BT_HEAD_POOLED_OUTPUT, .loss = BT_LOSS_RANKING, .pooling = (how),                  \
        .normalize = (unit), .logit_scale = 2, .logit_margin = 0.1F, .bidirectional = (unit)       \
    }
static const engine_case cases[] = {
    {.name = "classes",
     .head = HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3),
     .dropout = 0.1F,
     .key_mask = true,
     .row_weights = true,
     .class_rule = true},
    {.name = "pooler",
     .head = HEAD(BT_HEAD_ENCODER_POOLER, BT_LOSS_SOFTMAX, 2),
     .act = BT_ACT_GELU_ERF,
     .E = 20,
     .dropout = 0.25F},
    {.name = "blocks", /* two, of two rows */
     .head = HEAD(BT_HEAD_TOKENS, BT_LOSS_TOKENS, 5),
     .dropout = 0.1F,
     .key_mask = true,
     .attention_rows = 3},
    {.name = "kernels",
     .head = HEAD(BT_HEAD_TOKENS, BT_LOSS_TOKENS, 5),
     .dropout = 0.1F,
     .key_mask = true,
     .attention = BT_ATTENTION_TRITON},
    {.name = "kernels_recomputed",
     .head = HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3),
     .dropout = 0.25F,
     .recompute = true,
     .attention = BT_ATTENTION_TRITON},
    {.name = "cudnn",
     .head = HEAD(BT_HEAD_TOKENS, BT_LOSS_TOKENS, 5),
     .attention = BT_ATTENTION_CUDNN},
    {.name = "cudnn_recomputed",
     .head = HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3),
     .recompute = true,
     .attention = BT_ATTENTION_CUDNN},
    {.name = "recomputed",
     .head = HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_MSE, 1),
     .act = BT_ACT_SWISH,
     .dropout = 0.1F,
     .row_weights = true,
     .recompute = true},
    {.name = "norm_first",
     .head = HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_MSE_ALL_PAIRS, 1),
     .act = BT_ACT_HARD_SWISH,
     .dropout = 0.1F,
     .norm_first = true,
     .recompute = true},
    {.name = "many_labels",
     .head = HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SIGMOID, 4),
     .act = BT_ACT_MISH,
     .row_weights = true},
    {.name = "tokens",
     .head = HEAD(BT_HEAD_TOKENS, BT_LOSS_TOKENS, 5),
     .act = BT_ACT_RELU,
     .dropout = 0.1F,
     .class_rule = true,
     .is_albert = true},
    {.name = "span",
     .head = {.kind = BT_HEAD_TOKENS, .loss = BT_LOSS_SPAN, .num_classes = 2},
     .act = BT_ACT_RELU6,
     .dropout = 0.1F},
    {.name = "pairs_first", .head = PAIRS(BT_POOLING_CLS, true), .act = BT_ACT_TANH},
    {.name = "pairs_mean", .head = PAIRS(BT_POOLING_MEAN, false), .act = BT_ACT_SIGMOID},
    {.name = "pairs_max", .head = PAIRS(BT_POOLING_MAX, true), .act = BT_ACT_IDENTITY},
};

/* A model and a batch of numbers drawn by place. */

static float drawn(uint32_t what, uint64_t i) {
    return bt_rng_uniform(bt_rng_key_make(SEED, what, 0, BT_SITE_INIT), i);
}

static fixture       f;
static fixture_batch batch;
static float         row_weights[N_SEQS];
static float         many_labels[N_SEQS * 8];
static hlo_layout    layout;

static void open_model(const engine_case *c) {
    bt_encoder_config encoder = fixture_encoder();
    encoder.type = c->is_albert ? BT_ENCODER_ALBERT : BT_ENCODER_BERT;
    encoder.hidden_activation = c->act;
    encoder.norm_first = c->norm_first;
    encoder.embedding_size = c->E > 0 ? c->E : encoder.hidden_size;
    encoder.dropout_rate = c->dropout;
    encoder.attention_dropout_rate = c->dropout;
    encoder.initializer_range = 0.2F;
    bt_head_config head = c->head;
    head.dropout_rate = c->dropout > 0 ? head.dropout_rate : 0;
    fixture_open(&f, &encoder, &head, NULL, "ref", 1);
    float *const flat = settled(f.exec, bt_exec_params(f.exec));
    for (int64_t i = 0; i < f.model->table.n_params; i++) {
        const bt_param *const p = &f.model->table.params[i];
        const bool            is_gamma = bt_str_ends_with(p->name, "gamma");
        for (int64_t k = 0; k < p->n_elements; k++) {
            flat[p->offset + k] = (drawn(1, (uint64_t)(p->offset + k)) - 0.5F) * 0.4F + is_gamma;
        }
    }
    if (c->head.pooling == BT_POOLING_MAX) { /* a column where all tokens are equal */
        const bt_layer_index *const last = &f.model->layers[encoder.num_layers - 1];
        flat[f.model->table.params[last->output_norm.gamma].offset + 3] = 0;
    }
    assert_ok(bt_exec_changed(f.exec, err));
    if (c->class_rule) {
        const double weights[5] = {0.5, 2, 1, 0.25, 3};
        assert_ok(bt_model_set_class_rule(f.model, 0.1, weights, err));
    }
}

static void draw_labels(const engine_case *c) {
    const int64_t n = c->head.kind == BT_HEAD_TOKENS ? batch.batch.n_tokens : N_SEQS;
    for (int64_t i = 0; i < n; i++) {
        batch.int_labels[i] = (int32_t)(drawn(2, (uint64_t)i) * (float)c->head.num_classes) -
                              (c->head.loss == BT_LOSS_TOKENS && i % 4 == 0 ? 7 : 0);
    }
    for (int64_t b = 0; b < N_SEQS; b++) {
        const float length = (float)(batch.offsets[b + 1] - batch.offsets[b]);
        batch.float_labels[b] = drawn(3, (uint64_t)b) * 4;
        row_weights[b] = b == 2 ? 0 : drawn(4, (uint64_t)b) + 0.5F;
        if (c->head.loss == BT_LOSS_SPAN) {
            batch.int_labels[b] = (int32_t)(drawn(5, (uint64_t)b) * length);
            batch.int_labels[N_SEQS + b] = (int32_t)(drawn(6, (uint64_t)b) * length);
        }
    }
    for (int64_t i = 0; i < N_SEQS * 8; i++) {
        many_labels[i] = drawn(7, (uint64_t)i) > 0.5F;
    }
    batch.batch.int_labels = batch.int_labels;
    batch.batch.float_labels = c->head.loss == BT_LOSS_SIGMOID ? many_labels : batch.float_labels;
    batch.batch.row_weights = c->row_weights ? row_weights : NULL;
}

static void draw_batch(const engine_case *c) {
    static const int64_t lengths[N_SEQS] = {MAX_LENGTH, 4, 1, 7, MAX_LENGTH, 3};
    static int32_t ids[N_SEQS * MAX_LENGTH], mask[N_SEQS * MAX_LENGTH], types[N_SEQS * MAX_LENGTH];
    for (int64_t i = 0; i < N_SEQS * MAX_LENGTH; i++) {
        ids[i] = (int32_t)(drawn(8, (uint64_t)i) * 200);
        types[i] = drawn(9, (uint64_t)i) > 0.5F;
        mask[i] = i % MAX_LENGTH < lengths[i / MAX_LENGTH];
    }
    if (c->key_mask) {
        mask[3 * MAX_LENGTH] = 0; /* keeps all of its tokens, masked or not */
        memset(mask + 5 * MAX_LENGTH, 0, MAX_LENGTH * sizeof *mask); /* nobody to attend to */
    }
    fixture_pack(&batch, ids, mask, types, N_SEQS, MAX_LENGTH, true);
    draw_labels(c);
}

static bt_hlo_config config_for(const engine_case *c, bt_hlo_what what) {
    return (bt_hlo_config){.what = what,
                           .n_rows = layout.R,
                           .n_slots = layout.S,
                           .n_seqs = layout.B,
                           .has_key_mask = c->key_mask,
                           .has_labels = true,
                           .recompute = c->recompute,
                           .attention = c->attention,
                           .n_longest = MAX_LENGTH,
                           .attention_rows = c->attention_rows,
                           .n_replicas = 1};
}

static void open_run(hlo_run *run, const engine_case *c, bt_hlo_what what) {
    hlo_lay_out(&layout, f.model, &batch.batch, what != BT_HLO_EVALUATE);
    layout.seed[0] = SEED;
    layout.seed[2] = STEP;
    const bt_hlo_config config = config_for(c, what);
    hlo_run_open(run, f.model, NULL, &config);
    hlo_run_set_state(run, f.model, BT_HLO_PARAM, 0, settled(f.exec, bt_exec_params(f.exec)));
    hlo_run_set_layout(run, 0, &layout);
}

static const engine_case *the_case;

static void compare_logits(const hlo_run *run, const bt_step_result *want) {
    static float       own[HLO_TEST_MAX_SLOTS * 8];
    const float *const logits = hlo_run_result(run, 0, BT_HLO_LOGITS, NULL);
    hlo_own_logits(own, logits, &layout, f.model, &batch.batch);
    test_close_f32(own, want->logits, (size_t)bt_model_n_logits(f.model, &batch.batch), 2e-5, 2e-5,
                   "logits");
}

static void check_number(double got, double want, const char *what) {
    test_close_f64(&got, &want, 1, 1e-6, 1e-5, what);
}

static void test_gradients_are_the_engines(void **state) {
    (void)state;
    hlo_run        run;
    bt_step_result want;
    assert_ok(bt_exec_gradients(f.exec, &batch.batch, STEP, SEED, &want, err));
    open_run(&run, the_case, BT_HLO_GRADIENTS);
    hlo_run_step(&run);
    const float *const          outcome = hlo_run_result(&run, 0, BT_HLO_OUTCOME, NULL);
    const bt_param_table *const table = &f.model->table;
    float *const                flat = bt_calloc_array((size_t)table->n_elements, sizeof *flat);
    assert_non_null(flat);
    hlo_run_get_state(&run, f.model, BT_HLO_GRADIENT, 0, flat);
    check_number((double)outcome[0], want.loss, "loss");
    compare_logits(&run, &want);
    check_number((double)outcome[1], want.grad_norm, "norm");
    const float *const gradient = settled(f.exec, bt_exec_gradient(f.exec));
    for (int64_t i = 0; i < table->n_params; i++) {
        const bt_param *const p = &table->params[i];
        if (p->has_gradient) {
            test_close_f32(flat + p->offset, gradient + p->offset, (size_t)p->n_elements,
                           2e-6 * fmax(1, want.grad_norm), 1e-5, p->name);
        }
    }
    bt_free(flat);
    hlo_run_close(&run);
}

static void test_evaluations_are_the_engines(void **state) {
    (void)state;
    hlo_run        run;
    bt_step_result want;
    assert_ok(bt_exec_evaluate(f.exec, &batch.batch, &want, err));
    open_run(&run, the_case, BT_HLO_EVALUATE);
    hlo_run_step(&run);
    check_number((double)hlo_run_result(&run, 0, BT_HLO_OUTCOME, NULL)[0], want.loss, "loss");
    compare_logits(&run, &want);
    hlo_run_close(&run);
}

/* Every layer by one program. */
static void test_encodings_are_the_engines(void **state) {
    (void)state;
    const int64_t H = f.model->encoder.hidden_size;
    const int64_t L = f.model->encoder.num_layers;
    static float  hidden[HLO_TEST_MAX_SLOTS * 32];
    static float  pooled[N_SEQS * 32];
    hlo_run       run;
    open_run(&run, the_case, BT_HLO_ENCODE);
    for (int64_t layer = -1; layer < L; layer++) {
        assert_ok(bt_exec_encode(f.exec, &batch.batch, layer, hidden,
                                 layer == L - 1 ? pooled : NULL, err));
        layout.n_layers = (int32_t)layer + 1;
        hlo_run_set_layout(&run, 0, &layout);
        hlo_run_step(&run);
        const float *const got = hlo_run_result(&run, 0, BT_HLO_HIDDEN, NULL);
        for (int64_t t = 0; t < batch.batch.n_tokens; t++) {
            test_close_f32(got + layout.slots[t] * H, hidden + t * H, (size_t)H, 2e-5, 2e-5,
                           "hidden");
        }
    }
    test_close_f32(hlo_run_result(&run, 0, BT_HLO_POOLED, NULL), pooled, (size_t)(N_SEQS * H), 2e-5,
                   2e-5, "pooled");
    hlo_run_close(&run);
}

static int run_case(const char *name) {
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_gradients_are_the_engines),
        cmocka_unit_test(test_evaluations_are_the_engines),
        cmocka_unit_test(test_encodings_are_the_engines),
    };
    const struct CMUnitTest first[] = {cmocka_unit_test(test_gradients_are_the_engines)};
    for (size_t i = 0; i < BT_ARRAY_LEN(cases); i++) {
        if (strcmp(cases[i].name, name) == 0) {
            the_case = &cases[i];
            hlo_run_change = the_case->attention != BT_ATTENTION_XLA ? hlo_stand_in : NULL;
            open_model(the_case);
            draw_batch(the_case);
            /* forward alone is the same formulas: once is enough */
            const int rc = the_case->key_mask
                               ? cmocka_run_group_tests_name(name, all, NULL, NULL)
                               : cmocka_run_group_tests_name(name, first, NULL, NULL);
            fixture_close(&f);
            return rc;
        }
    }
    (void)fprintf(stderr, "no case %s\n", name);
    return 1;
}

int main(int argc, char **argv) {
    return test_pjrt_cases(argc, argv, run_case);
}
