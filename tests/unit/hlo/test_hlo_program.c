/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs as lists and text, without any plug-in: what goes in and comes out, which argument's
 * place a result takes, what is refused, and that no memory is an error like another. */
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/rng.h"
#include "bt/hlo.h"
#include "exec_fixture.h"
#include "test_faults.h"

static const char adamw[] =
    "{\"optimizer\": {\"type\": \"adamw\", \"adamw\": {\"weight_decay_rate\": 0.01}}, \"ema\": "
    "{\"average_decay\": 0.9}}";
static const char clipvalue[] =
    "{\"optimizer\": {\"type\": \"adam\", \"adam\": {\"clipvalue\": 0.5}}}";

static fixture f;

static void open_model(const char *optimizer, const bt_head_config *head, int64_t n_layers) {
    bt_encoder_config encoder = fixture_encoder();
    json_t *const     json = json_loads(optimizer, 0, NULL);
    assert_non_null(json);
    encoder.num_layers = n_layers;
    encoder.dropout_rate = 0.1F;
    encoder.attention_dropout_rate = 0.1F;
    fixture_open(&f, &encoder, head, json, "ref", 1);
    json_decref(json);
}

static const bt_head_config classes = {
    .kind = BT_HEAD_POOLER_DENSE, .loss = BT_LOSS_SOFTMAX, .num_classes = 3, .dropout_rate = 0.1F};
static const bt_head_config pairs = {
    .kind = BT_HEAD_POOLED_OUTPUT, .loss = BT_LOSS_RANKING, .logit_scale = 1};
static const bt_head_config numbers = {
    .kind = BT_HEAD_POOLER_DENSE, .loss = BT_LOSS_MSE_ALL_PAIRS, .num_classes = 1};
static const bt_head_config tokens = {
    .kind = BT_HEAD_TOKENS, .loss = BT_LOSS_TOKENS, .num_classes = 3};
static const bt_head_config vectors = {.kind = BT_HEAD_POOLED_OUTPUT, .loss = BT_LOSS_NONE};

static bt_hlo_config config_of(bt_hlo_what what) {
    return (bt_hlo_config){
        .what = what, .n_rows = 3, .n_slots = 16, .n_seqs = 6, .has_labels = true, .n_replicas = 1};
}

static bt_hlo_program *make(bt_hlo_what what) {
    const bt_hlo_config config = config_of(what);
    bt_hlo_program     *program = NULL;
    assert_ok(bt_hlo_program_create(f.model, f.optim, &config, &program, err));
    return program;
}

static size_t count(const bt_hlo_tensor *tensors, size_t n, bt_hlo_role role) {
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        found += tensors[i].role == role;
    }
    return found;
}

/* 19 variables of a classifier whose layers are stacked: 5 of embeddings, 12 of layers, the head's
 * 4; and 2 of the encoder's pooler, which no loss reads but averages do. */
static void test_arguments_and_results_are_listed(void **state) {
    (void)state;
    static const struct {
        bt_hlo_what what;
        size_t      params, slots, averages, gradients_in, gradients_out, seeds, labels;
    } rows[] = {
        {BT_HLO_TRAIN, 23, 42, 23, 0, 0, 1, 1},      {BT_HLO_GRADIENTS, 21, 0, 0, 0, 21, 1, 1},
        {BT_HLO_ACCUMULATE, 21, 0, 0, 21, 21, 1, 1}, {BT_HLO_UPDATE, 23, 42, 23, 21, 21, 0, 0},
        {BT_HLO_EVALUATE, 21, 0, 0, 0, 0, 0, 1},     {BT_HLO_ENCODE, 19, 0, 0, 0, 0, 0, 0},
    };
    open_model(adamw, &classes, 3);
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_hlo_program *const p = make(rows[i].what);
        assert_int_equal(count(p->args, p->n_args, BT_HLO_PARAM), rows[i].params);
        assert_int_equal(p->n_variables, rows[i].params);
        assert_int_equal(count(p->args, p->n_args, BT_HLO_SLOT), rows[i].slots);
        assert_int_equal(count(p->args, p->n_args, BT_HLO_AVERAGE), rows[i].averages);
        assert_int_equal(count(p->args, p->n_args, BT_HLO_GRADIENT), rows[i].gradients_in);
        assert_int_equal(count(p->results, p->n_results, BT_HLO_GRADIENT), rows[i].gradients_out);
        assert_int_equal(count(p->args, p->n_args, BT_HLO_SEED), rows[i].seeds);
        assert_int_equal(count(p->args, p->n_args, BT_HLO_INT_LABELS), rows[i].labels);
        assert_int_equal(strlen(p->text), p->n_bytes);
        bt_hlo_program_free(p);
    }
    fixture_close(&f);
}

/* A result that takes an argument's place is of its kind, and the text says so at that argument. */
static void check_places(const bt_hlo_program *p) {
    size_t n_donated = 0;
    for (size_t r = 0; r < p->n_results; r++) {
        const bt_hlo_tensor *const result = &p->results[r];
        char                       donated[64];
        if (result->takes_place < 0) {
            continue;
        }
        const bt_hlo_tensor *const arg = &p->args[result->takes_place];
        assert_true(arg->role == result->role && arg->variable == result->variable);
        assert_true(arg->slot == result->slot && arg->rank == result->rank);
        assert_memory_equal(arg->dim, result->dim, sizeof arg->dim);
        (void)snprintf(donated, sizeof donated, "{tf.aliasing_output = %zu : i32}", r);
        const char *at = strstr(p->text, donated);
        size_t      n_before = 0;
        assert_non_null(at);
        for (const char *c = strstr(p->text, "@main("); c < at; c++) {
            n_before += *c == ':' && c[1] == ' ' && c[2] == 't';
        }
        assert_int_equal(n_before, result->takes_place + 1);
        n_donated++;
    }
    size_t n_in_text = 0;
    for (const char *c = p->text; (c = strstr(c, "tf.aliasing_output")) != NULL; c++) {
        n_in_text++;
    }
    assert_int_equal(n_donated, n_in_text);
}

static void test_places_are_given_away_once(void **state) {
    (void)state;
    open_model(adamw, &classes, 2);
    for (int what = BT_HLO_TRAIN; what <= BT_HLO_ENCODE; what++) {
        bt_hlo_program *const p = make((bt_hlo_what)what);
        check_places(p);
        bt_hlo_program_free(p);
    }
    fixture_close(&f);
}

/* Every parameter that has a gradient is in one variable, once; an array comes back as it went. */
static void test_variables_hold_every_parameter_once(void **state) {
    (void)state;
    open_model(adamw, &classes, 3);
    bt_hlo_program *const       p = make(BT_HLO_TRAIN);
    const bt_param_table *const table = &f.model->table;
    float *const                flat = bt_calloc_array((size_t)table->n_elements, 3 * sizeof *flat);
    assert_non_null(flat);
    float *const back = flat + table->n_elements;
    float *const array = back + table->n_elements;
    int64_t      n_params = 0;
    for (int64_t i = 0; i < table->n_params; i++) {
        for (int64_t k = 0; k < table->params[i].n_elements; k++) {
            flat[table->params[i].offset + k] = (float)(table->params[i].offset + k + 1);
        }
    }
    for (size_t v = 0; v < p->n_variables; v++) {
        bt_hlo_stack(&p->variables[v], table, flat, array);
        bt_hlo_unstack(&p->variables[v], table, array, back);
        n_params += p->variables[v].n_params;
    }
    assert_int_equal(n_params, table->n_params);
    assert_memory_equal(flat, back, (size_t)table->n_elements * sizeof *flat);
    bt_free(flat);
    bt_hlo_program_free(p);
    fixture_close(&f);
}

/* The same each time, as a cache of compiled programs wants it; and not longer for more layers. */
static void test_text_depends_on_what_it_says(void **state) {
    (void)state;
    size_t n_bytes[2];
    for (int i = 0; i < 2; i++) {
        open_model(adamw, &classes, i == 0 ? 2 : 24);
        bt_hlo_program *const a = make(BT_HLO_TRAIN);
        bt_hlo_program *const b = make(BT_HLO_TRAIN);
        assert_string_equal(a->text, b->text);
        n_bytes[i] = a->n_bytes;
        bt_hlo_program_free(a);
        bt_hlo_program_free(b);
        fixture_close(&f);
    }
    assert_true(n_bytes[1] < n_bytes[0] + n_bytes[0] / 20);
}

/* Two sequences, three places, two rows of four slots: what each array is to be. */
static void test_arrays_follow_from_the_batch(void **state) {
    (void)state;
    static const int64_t offsets[] = {0, 3, 5};
    static const int32_t ids[] = {11, 12, 13, 21, 22};
    static const uint8_t mask[] = {1, 0, 1, 1, 1};
    static const int32_t labels[] = {2, -1, 0, 1, 1};
    static const float   row_weights[] = {1, 0.5F, 2, 1, 4};
    static const int32_t first_slots[] = {5, 0};
    const double         class_weights[] = {1, 10, 3};
    open_model(adamw, &tokens, 1);
    assert_ok(bt_model_set_class_rule(f.model, 0, class_weights, err));
    const bt_batch     batch = {.n_seqs = 2,
                                .n_tokens = 5,
                                .offsets = offsets,
                                .ids = ids,
                                .key_mask = mask,
                                .int_labels = labels,
                                .row_weights = row_weights};
    const bt_hlo_input in = {.model = f.model,
                             .batch = &batch,
                             .first_slots = first_slots,
                             .n_rows = 2,
                             .n_slots = 4,
                             .n_seqs = 3,
                             .first_token = 100,
                             .first_seq = 7,
                             .is_training = true};
    const struct {
        bt_hlo_role role;
        int32_t     want[8];
    } rows[] = {{BT_HLO_IDS, {21, 22, 0, 0, 0, 11, 12, 13}},
                {BT_HLO_TOKENS, {103, 104, 0, 0, 0, 100, 101, 102}},
                {BT_HLO_SEGMENTS, {1, 1, -1, -1, -1, 0, 0, 0}},
                {BT_HLO_INT_LABELS, {1, 1, 0, 0, 0, 2, -1, 0}},
                {BT_HLO_FIRST_SLOTS, {5, 0, 8}},
                {BT_HLO_SEQUENCES, {7, 8, 9}}};
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        int32_t got[8] = {0};
        assert_true(bt_hlo_fill(&in, rows[i].role, got));
        assert_memory_equal(got, rows[i].want, sizeof got);
    }
    static const uint8_t want_mask[8] = {1, 1, 0, 0, 0, 1, 0, 1};
    static const float   want_weights[8] = {10, 40, 0, 0, 0, 3, 0, 2};
    uint8_t              got_mask[8];
    float                got_weights[8];
    assert_true(bt_hlo_fill(&in, BT_HLO_KEY_MASK, got_mask));
    assert_memory_equal(got_mask, want_mask, sizeof got_mask);
    assert_true(bt_hlo_fill(&in, BT_HLO_WEIGHTS, got_weights));
    test_close_f32(got_weights, want_weights, 8, 0, 0, "weights");
    assert_true(bt_hlo_weight_sum(&in) == 55);
    assert_false(bt_hlo_fill(&in, BT_HLO_NUMBERS, got_weights));
    fixture_close(&f);
}

/* What there is no program for. */

/* The published figure of BERT-base at 128 tokens: 0.524 GFLOP a token in training. A head that
 * reads first tokens leaves three quarters of the last layer's products to one token in 128. */
static void test_operations_are_counted(void **state) {
    (void)state;
    const bt_encoder_config encoder = {.vocab_size = 100,
                                       .hidden_size = 768,
                                       .embedding_size = 768,
                                       .num_layers = 12,
                                       .num_attention_heads = 12,
                                       .intermediate_size = 3072,
                                       .max_position_embeddings = 128,
                                       .type_vocab_size = 2,
                                       .initializer_range = 0.02F};
    const struct {
        const bt_head_config *head;
        bt_hlo_what           what;
        double                gflop_per_token;
    } rows[] = {{&tokens, BT_HLO_TRAIN, 0.524},
                {&classes, BT_HLO_TRAIN, 0.524 - 3 * 127.0 / 128 * 18 * 768 * 768 / 1e9},
                {&classes, BT_HLO_EVALUATE, 0.524 / 3 - 127.0 / 128 * 18 * 768 * 768 / 1e9},
                {&classes, BT_HLO_UPDATE, 0}};
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        json_t *const       optimizer = json_loads(adamw, 0, NULL);
        const bt_hlo_config config = {
            .what = rows[i].what, .n_rows = 32, .n_slots = 128, .n_seqs = 32, .n_replicas = 1};
        bt_hlo_program *p = NULL;
        fixture_open(&f, &encoder, rows[i].head, optimizer, "ref", 1);
        json_decref(optimizer);
        assert_ok(bt_hlo_program_create(f.model, f.optim, &config, &p, err));
        const double got = p->product_flops / (32 * 128) / 1e9;
        test_close_f64(&got, &rows[i].gflop_per_token, 1, 0, 2e-3, "GFLOP a token");
        bt_hlo_program_free(p);
        fixture_close(&f);
    }
}

static void test_what_cannot_be_is_refused_by_name(void **state) {
    (void)state;
    const struct {
        const char           *optimizer;
        const bt_head_config *head;
        bt_hlo_config         config;
        bt_status             status;
        const char           *message;
    } rows[] = {
        {adamw,
         &classes,
         {.what = BT_HLO_TRAIN, .n_rows = 0, .n_slots = 8, .n_seqs = 1, .n_replicas = 1},
         BT_E_CONFIG,
         "0 rows of 8 slots"},
        {adamw,
         &classes,
         {.what = BT_HLO_TRAIN, .n_rows = 1, .n_slots = 8, .n_seqs = 9, .n_replicas = 1},
         BT_E_CONFIG,
         "9 sequences"},
        {adamw,
         &classes,
         {.what = BT_HLO_TRAIN, .n_rows = 65536, .n_slots = 65536, .n_seqs = 9, .n_replicas = 1},
         BT_E_CONFIG,
         "65536 slots"},
        {adamw,
         &pairs,
         {.what = BT_HLO_EVALUATE, .n_rows = 2, .n_slots = 8, .n_seqs = 3, .n_replicas = 1},
         BT_E_CONFIG,
         "a dual encoder reads pairs"},
        {adamw, &vectors, config_of(BT_HLO_GRADIENTS), BT_E_CONFIG, "without a loss"},
        {clipvalue, &classes, config_of(BT_HLO_UPDATE), BT_E_UNSUPPORTED, "clipvalue"},
        {adamw, &pairs, config_of(BT_HLO_ACCUMULATE), BT_E_UNSUPPORTED, "a dual encoder's loss"},
        {adamw, &numbers, config_of(BT_HLO_ACCUMULATE), BT_E_UNSUPPORTED, "regression loss"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_hlo_program *p = NULL;
        open_model(rows[i].optimizer, rows[i].head, 2);
        assert_fails(bt_hlo_program_create(f.model, f.optim, &rows[i].config, &p, err),
                     rows[i].status, rows[i].message);
        assert_null(p);
        fixture_close(&f);
    }
}

enum { MANY_ROWS = 65536 }; /* more than kernels count */

/* Kernels where there are GPUs; the bits of dropout are as many as the longest sequence needs. */
static void test_attention_is_chosen_by_platform(void **state) {
    (void)state;
    const struct {
        bt_attention  asked;
        const char   *platform;
        bt_attention  chosen;
        bt_hlo_config config; /* n_longest: afterwards */
    } rows[] = {
        {BT_ATTENTION_AUTO,
         "cuda",
         BT_ATTENTION_TRITON,
         {.what = BT_HLO_TRAIN, .n_rows = 3, .n_longest = 64, .precision = BT_PRECISION_BF16}},
        {BT_ATTENTION_AUTO,
         "cuda",
         BT_ATTENTION_TRITON,
         {.what = BT_HLO_EVALUATE, .n_rows = 3, .precision = BT_PRECISION_F16}},
        {BT_ATTENTION_AUTO, "cuda", BT_ATTENTION_XLA, {.what = BT_HLO_TRAIN, .n_rows = 3}},
        {BT_ATTENTION_AUTO,
         "cuda",
         BT_ATTENTION_XLA,
         {.what = BT_HLO_TRAIN, .n_rows = MANY_ROWS, .precision = BT_PRECISION_BF16}},
        {BT_ATTENTION_AUTO, "cpu", BT_ATTENTION_XLA, {.what = BT_HLO_TRAIN, .n_rows = 3}},
        {BT_ATTENTION_AUTO, "tpu", BT_ATTENTION_XLA, {.what = BT_HLO_TRAIN, .n_rows = 3}},
        {BT_ATTENTION_XLA, "cuda", BT_ATTENTION_XLA, {.what = BT_HLO_TRAIN, .n_rows = 3}},
        {BT_ATTENTION_TRITON,
         "cuda",
         BT_ATTENTION_TRITON,
         {.what = BT_HLO_TRAIN, .n_rows = 3, .n_longest = 64}},
        {BT_ATTENTION_CUDNN,
         "cuda",
         BT_ATTENTION_CUDNN,
         {.what = BT_HLO_EVALUATE, .n_rows = 3, .precision = BT_PRECISION_BF16}},
        {BT_ATTENTION_CUDNN,
         "cuda",
         BT_ATTENTION_TRITON,
         {.what = BT_HLO_EVALUATE,
          .n_rows = 3,
          .precision = BT_PRECISION_F16,
          .has_key_mask = true}},
    };
    open_model(adamw, &classes, 2);
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_hlo_config config = rows[i].config;
        config.n_slots = 100;
        config.n_longest = 40;
        assert_ok(bt_hlo_attention_choose(f.model, rows[i].asked, rows[i].platform, &config, err));
        assert_int_equal(config.attention, rows[i].chosen);
        assert_int_equal(config.n_longest, rows[i].config.n_longest);
    }
    fixture_close(&f);
}

static void test_attention_that_is_not_there_is_refused(void **state) {
    (void)state;
    const struct {
        bt_attention  asked;
        const char   *platform;
        bt_hlo_config config;
        bt_status     status;
        const char   *message;
    } rows[] = {
        {BT_ATTENTION_TRITON,
         "tpu",
         {.n_rows = 3},
         BT_E_CONFIG,
         "triton: its kernels are for GPUs"},
        {BT_ATTENTION_CUDNN, "cpu", {.n_rows = 3}, BT_E_CONFIG, "and this is cpu"},
        {BT_ATTENTION_TRITON,
         "cuda",
         {.n_rows = MANY_ROWS},
         BT_E_UNSUPPORTED,
         "65536 rows of 100 slots"},
        {BT_ATTENTION_CUDNN,
         "cuda",
         {.what = BT_HLO_EVALUATE, .n_rows = 3},
         BT_E_CONFIG,
         "mixed_precision_dtype"},
        {BT_ATTENTION_CUDNN,
         "cuda",
         {.what = BT_HLO_TRAIN, .n_rows = 3, .precision = BT_PRECISION_BF16},
         BT_E_CONFIG,
         "attention_dropout_rate to 0"},
    };
    open_model(adamw, &classes, 2);
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_hlo_config config = rows[i].config;
        config.n_slots = 100;
        assert_fails(
            bt_hlo_attention_choose(f.model, rows[i].asked, rows[i].platform, &config, err),
            rows[i].status, rows[i].message);
    }
    fixture_close(&f);
}

static bt_status make_and_free(void *context, bt_error *err) {
    bt_hlo_config   config = config_of(BT_HLO_TRAIN);
    bt_hlo_program *program = NULL;
    (void)context;
    config.attention = BT_ATTENTION_TRITON;
    BT_TRY(bt_hlo_program_create(f.model, f.optim, &config, &program, err));
    bt_hlo_program_free(program);
    return BT_OK;
}

static void test_no_memory_is_told(void **state) {
    (void)state;
    open_model(adamw, &classes, test_is_slow() ? 1 : 2);
    const test_work work = {.what = "writing a program", .work = make_and_free};
    assert_true(test_every_fault(&work) > 40);
    fixture_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments_and_results_are_listed),
        cmocka_unit_test(test_places_are_given_away_once),
        cmocka_unit_test(test_variables_hold_every_parameter_once),
        cmocka_unit_test(test_text_depends_on_what_it_says),
        cmocka_unit_test(test_operations_are_counted),
        cmocka_unit_test(test_arrays_follow_from_the_batch),
        cmocka_unit_test(test_what_cannot_be_is_refused_by_name),
        cmocka_unit_test(test_attention_is_chosen_by_platform),
        cmocka_unit_test(test_attention_that_is_not_there_is_refused),
        cmocka_unit_test(test_no_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
