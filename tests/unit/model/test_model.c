/* SPDX-License-Identifier: Apache-2.0
 *
 * model: the parameter table against the real program's list of variables, init rules, and the
 * sentences for dims that cannot be. */
#include "test_support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/str.h"
#include "bt/model.h"

static bt_encoder_config small_encoder(void) {
    return (bt_encoder_config){
        .vocab_size = 200,
        .hidden_size = 32,
        .embedding_size = 32,
        .num_layers = 2,
        .num_attention_heads = 4,
        .intermediate_size = 64,
        .max_position_embeddings = 64,
        .type_vocab_size = 2,
        .dropout_rate = 0.1F,
        .attention_dropout_rate = 0.1F,
        .initializer_range = 0.02F,
    };
}

static bt_head_config small_head(void) {
    return (bt_head_config){
        .kind = BT_HEAD_POOLER_DENSE,
        .loss = BT_LOSS_SOFTMAX,
        .num_classes = 3,
        .dropout_rate = 0.1F,
        .initializer_range = 0.02F,
    };
}

static bt_model *create(const bt_encoder_config *encoder, const bt_head_config *head) {
    bt_model *model = NULL;
    assert_ok(bt_model_create(encoder, head, &model, err));
    return model;
}

/* One line a variable, as the maker script writes it: name [dims] gradient|none */
static void table_text(const bt_model *model, bt_str *out) {
    bt_error err = BT_ERROR_INIT;
    for (int64_t i = 0; i < model->table.n_params; i++) {
        const bt_param *const p = &model->table.params[i];
        char                  dims[BT_DIMS_TEXT_MAX];
        assert_int_equal(bt_str_appendf(out, &err, "%s %s %s\n", p->tf_name,
                                        bt_dims_text(p->dim, p->rank, dims),
                                        p->has_gradient ? "gradient" : "none"),
                         BT_OK);
    }
}

static void test_table_is_model_gardens(void **state) {
    (void)state;
    static const struct {
        const char     *golden;
        bt_encoder_type type;
        int64_t         embedding_size;
        bt_head_kind    kind;
    } rows[] = {
        {"bert", BT_ENCODER_BERT, 32, BT_HEAD_POOLER_DENSE},
        {"bert_factorized", BT_ENCODER_BERT, 16, BT_HEAD_POOLER_DENSE},
        {"bert_v2_encoder_pooler", BT_ENCODER_BERT_V2, 32, BT_HEAD_ENCODER_POOLER},
        {"bert_tagging", BT_ENCODER_BERT, 32, BT_HEAD_TOKENS},
        {"albert", BT_ENCODER_ALBERT, 16, BT_HEAD_POOLER_DENSE},
        {"albert_encoder_pooler", BT_ENCODER_ALBERT, 32, BT_HEAD_ENCODER_POOLER},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_encoder_config encoder = small_encoder();
        bt_head_config    head = small_head();
        encoder.type = rows[i].type;
        encoder.embedding_size = rows[i].embedding_size;
        head.kind = rows[i].kind;
        bt_model *const model = create(&encoder, &head);
        char            path[128];
        (void)snprintf(path, sizeof path, "tests/goldens/model/variables_%s.txt", rows[i].golden);
        char *const want = test_read_file(test_source_path(path), NULL);
        bt_str      got = BT_STR_INIT;
        table_text(model, &got);
        assert_string_equal(bt_str_text(&got), want);
        bt_str_deinit(&got);
        bt_free(want);
        bt_model_free(model);
    }
}

/* However many layers ALBERT has, there is one set of parameters, and each layer reads it. */
static void test_shared_layers_are_one_set(void **state) {
    (void)state;
    bt_encoder_config encoder = small_encoder();
    bt_head_config    head = small_head();
    encoder.type = BT_ENCODER_ALBERT;
    encoder.num_layers = 1;
    bt_model *const shallow = create(&encoder, &head);
    encoder.num_layers = 24;
    bt_model *const deep = create(&encoder, &head);
    assert_int_equal(deep->table.n_params, shallow->table.n_params);
    assert_int_equal(deep->table.n_elements, shallow->table.n_elements);
    for (int64_t i = 1; i < encoder.num_layers; i++) {
        assert_memory_equal(&deep->layers[i], &deep->layers[0], sizeof deep->layers[0]);
    }
    bt_model_free(shallow);
    bt_model_free(deep);
}

static void test_indices_point_at_their_names(void **state) {
    (void)state;
    bt_encoder_config encoder = small_encoder();
    bt_head_config    head = small_head();
    encoder.type = BT_ENCODER_BERT_V2;
    bt_model *const model = create(&encoder, &head);
    const struct {
        int64_t     index;
        const char *name;
    } rows[] = {
        {model->word_embeddings, "word_embeddings/embeddings"},
        {model->position_embedding, "position_embedding/embeddings"},
        {model->type_embeddings, "type_embeddings/embeddings"},
        {model->embedding_norm.beta, "embeddings/layer_norm/beta"},
        {model->layers[1].query.kernel, "transformer/layer_1/self_attention/query/kernel"},
        {model->layers[1].value.bias, "transformer/layer_1/self_attention/value/bias"},
        {model->layers[0].attention_output.kernel,
         "transformer/layer_0/self_attention/attention_output/kernel"},
        {model->layers[0].attention_norm.gamma,
         "transformer/layer_0/self_attention_layer_norm/gamma"},
        {model->layers[1].intermediate.bias, "transformer/layer_1/intermediate/bias"},
        {model->layers[1].output.kernel, "transformer/layer_1/output/kernel"},
        {model->layers[1].output_norm.beta, "transformer/layer_1/output_layer_norm/beta"},
        {model->pooler_transform.kernel, "pooler_transform/kernel"},
        {model->head_pooler.kernel, "sentence_prediction/pooler_dense/kernel"},
        {model->head_logits.bias, "sentence_prediction/logits/bias"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        const bt_param *const p = &model->table.params[rows[i].index];
        assert_string_equal(p->name, rows[i].name);
        assert_int_equal(p->offset % 16, 0);
        assert_int_equal(bt_param_table_find(&model->table, rows[i].name), rows[i].index);
        const bool is_head = strncmp(p->name, "sentence_prediction", 19) == 0;
        assert_int_equal(p->is_encoder, !is_head);
        assert_int_equal(strncmp(p->tf_name, "bert_encoder_v2/", 16) == 0, !is_head);
        assert_int_equal(p->is_word_embedding, i == 0);
    }
    assert_int_equal(model->embedding_projection.kernel, -1);
    bt_model_free(model);
}

static void test_logits_are_counted(void **state) {
    (void)state;
    static const struct {
        bt_head_kind kind;
        int64_t      want;
    } rows[] = {{BT_HEAD_POOLER_DENSE, 15},
                {BT_HEAD_ENCODER_POOLER, 15},
                {BT_HEAD_TOKENS, 3 * 41},
                {BT_HEAD_POOLED_OUTPUT, 32 * 5}};
    const bt_batch          batch = {.n_seqs = 5, .n_tokens = 41};
    const bt_encoder_config encoder = small_encoder();
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_head_config head = small_head();
        head.kind = rows[i].kind;
        bt_model *const model = create(&encoder, &head);
        assert_int_equal(bt_model_n_logits(model, &batch), rows[i].want);
        bt_model_free(model);
    }
}

/* Phi restricted to +-2: the distribution function of what init draws, in units of stddev. */
static double truncated_cdf(double z) {
    const double whole = erf(2.0 / sqrt(2.0));
    return 0.5 + 0.5 * erf(z / sqrt(2.0)) / whole;
}

static void test_weights_follow_their_rules(void **state) {
    (void)state;
    bt_encoder_config encoder = small_encoder();
    encoder.vocab_size = 4001;
    const bt_head_config head = small_head();
    bt_model *const      model = create(&encoder, &head);
    const size_t         n = (size_t)model->table.n_elements;
    float *const         flat = bt_alloc_array(n, sizeof(float));
    float *const         again = bt_alloc_array(n, sizeof(float));
    assert_non_null(flat);
    assert_non_null(again);
    bt_model_init_params(model, 11, flat);
    bt_model_init_params(model, 11, again);
    assert_memory_equal(flat, again, n * sizeof(float));
    bt_model_init_params(model, 12, again);

    const bt_param *const word = &model->table.params[model->word_embeddings];
    const float *const    w = flat + word->offset;
    const double          N = (double)word->n_elements;
    double                sum = 0;
    double                sum_sq = 0;
    int64_t               n_below[4] = {0};
    static const double   cuts[4] = {-1.5, -0.5, 0.25, 1.9};
    for (int64_t i = 0; i < word->n_elements; i++) {
        const double z = (double)w[i] / 0.02;
        assert_true(fabs(z) <= 2.0 + 1e-6);
        sum += z;
        sum_sq += z * z;
        for (int c = 0; c < 4; c++) {
            n_below[c] += z < cuts[c] ? 1 : 0;
        }
    }
    assert_true(fabs(sum / N) < 5.0 / sqrt(N));
    assert_true(fabs(sqrt(sum_sq / N) - 0.8796) < 0.005);
    for (int c = 0; c < 4; c++) {
        assert_true(fabs((double)n_below[c] / N - truncated_cdf(cuts[c])) < 2.5 / sqrt(N));
    }
    assert_true(again[word->offset] != w[0]);

    const bt_param *const gamma = &model->table.params[model->layers[1].output_norm.gamma];
    const bt_param *const bias = &model->table.params[model->layers[1].query.bias];
    assert_true(flat[gamma->offset + 31] == 1.0F);
    assert_true(flat[bias->offset + 31] == 0.0F);
    /* gaps: logits/bias has 3 elements, the rest of its line is 0 */
    const bt_param *const last = &model->table.params[model->head_logits.bias];
    for (int64_t i = last->offset; i < model->table.n_elements; i++) {
        assert_true(flat[i] == 0.0F);
    }
    bt_free(flat);
    bt_free(again);
    bt_model_free(model);
}

static void test_impossible_dims_are_sentences(void **state) {
    (void)state;
    const bt_encoder_config good = small_encoder();
    const bt_head_config    good_head = small_head();
    bt_model               *model = NULL;
    bt_encoder_config       e = good;
    e.num_layers = 0;
    assert_fails(bt_model_create(&e, &good_head, &model, err), BT_E_CONFIG, "num_layers");
    e = good;
    e.vocab_size = -3;
    assert_fails(bt_model_create(&e, &good_head, &model, err), BT_E_CONFIG, "got -3");
    e = good;
    e.dropout_rate = 1.5F;
    assert_fails(bt_model_create(&e, &good_head, &model, err), BT_E_CONFIG, "1.5");
    e = good;
    e.attention_dropout_rate = NAN;
    assert_fails(bt_model_create(&e, &good_head, &model, err), BT_E_CONFIG,
                 "attention_dropout_rate");
    e = good;
    e.initializer_range = -1.0F;
    assert_fails(bt_model_create(&e, &good_head, &model, err), BT_E_CONFIG, "initializer_range");
    e = good;
    e.hidden_size = INT32_MAX - 7;
    e.num_attention_heads = 8;
    e.vocab_size = INT32_MAX;
    e.embedding_size = INT32_MAX;
    assert_fails(bt_model_create(&e, &good_head, &model, err), BT_E_SHAPE, "larger than memory");
    bt_head_config h = good_head;
    h.num_classes = 0;
    assert_fails(bt_model_create(&good, &h, &model, err), BT_E_CONFIG, "num_classes");
    assert_null(model);

    bt_activation act = BT_ACT_GELU;
    assert_ok(bt_activation_from_name("simple_swish", &act, err));
    assert_int_equal(act, BT_ACT_SWISH);
    assert_fails(bt_activation_from_name("gellu", &act, err), BT_E_UNSUPPORTED, "got 'gellu'");
}

/* "embeddings|transformer/layer_1/...": the layers that are still trained, in order, each once. */
static void trained_parts(const bt_model *model, char text[256]) {
    size_t n = 0;
    text[0] = '\0';
    for (int64_t d = 0; d <= model->encoder.num_layers + 1; d++) {
        bool trains[2] = {false, false};
        for (int64_t i = 0; i < model->table.n_params; i++) {
            const bt_param *const p = &model->table.params[i];
            trains[p->is_encoder] = trains[p->is_encoder] || (p->depth == d && p->has_gradient);
        }
        n += (size_t)snprintf(text + n, 256 - n, "%s%s", trains[1] ? "e" : ".",
                              trains[0] ? "h" : "");
    }
}

typedef struct frozen_row {
    const char *words, *trained; /* of depths 0, 1, ...; NULL: refused */
    const char *refusal;
} frozen_row;

static void check_frozen(const frozen_row *row, const bt_encoder_config *e,
                         const bt_head_config *h) {
    bt_model *model = NULL;
    char      text[256];
    assert_ok(bt_model_create(e, h, &model, err));
    if (row->trained == NULL) {
        assert_fails(bt_model_freeze(model, &row->words, 1, err), BT_E_CONFIG, row->refusal);
    } else {
        assert_ok(bt_model_freeze(model, &row->words, 1, err));
        trained_parts(model, text);
        assert_string_equal(text, row->trained);
    }
    bt_model_free(model);
}

/* Three layers; the head has a pooler of its own. */
static void test_frozen_words(void **state) {
    (void)state;
    static const frozen_row rows[] = {
        {"", "eeee.h", NULL},
        {"embeddings", ".eee.h", NULL},
        {"embeddings,layers.0", "..ee.h", NULL},
        {" layers.1-2 ,\tembeddings", ".e...h", NULL},
        {"layers", "e....h", NULL},
        {"layers.2-2,head", "eee..", NULL},
        {"encoder", ".....h", NULL},
        {"encoder,head", NULL, "nothing is left to be trained"},
        {"layers.3", NULL, "'layers.3': the model has 3 layers, 0 to 2"},
        {"layers.2-1", NULL, "a range goes from the lower to the higher"},
        {"layers.-1", NULL, "'layers.-1' is nothing of this model"},
        {"layers.0-", NULL, "'layers.0-' is nothing of this model"},
        {"layers.x", NULL, "layers.N, layers.A-B (0 to 2), encoder, head"},
        {"pooler", NULL, "'pooler' is nothing of this model: name some of embeddings, layers, "},
        {"embedding", NULL, "'embedding' is nothing of this model"},
        {"embeddings,,head", NULL, "'' is nothing of this model"},
    };
    bt_encoder_config e = small_encoder();
    bt_head_config    h = small_head();
    e.num_layers = 3;
    h.kind = BT_HEAD_POOLER_DENSE;
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        check_frozen(&rows[i], &e, &h);
    }
    h.kind = BT_HEAD_ENCODER_POOLER;
    check_frozen(&(frozen_row){"embeddings,pooler", ".eee.h", NULL}, &e, &h);
    check_frozen(&(frozen_row){"encoder", ".....h", NULL}, &e, &h);
    h = (bt_head_config){.kind = BT_HEAD_POOLED_OUTPUT, .loss = BT_LOSS_RANKING, .logit_scale = 1};
    check_frozen(&(frozen_row){"layers", "e...e", NULL}, &e, &h);
    check_frozen(&(frozen_row){"head", NULL, "(0 to 2), pooler, encoder"}, &e, &h);
    e.type = BT_ENCODER_ALBERT;
    check_frozen(&(frozen_row){"layers.0", NULL, "share one set of parameters"}, &e, &h);
    check_frozen(&(frozen_row){"layers", "e...e", NULL}, &e, &h);
}

static void test_class_rules_are_copied(void **state) {
    (void)state;
    const bt_encoder_config e = small_encoder();
    const bt_head_config    h = small_head();
    bt_model               *model = NULL;
    double                  weights[16] = {0};
    assert_ok(bt_model_create(&e, &h, &model, err));
    assert_true(h.num_classes <= (int64_t)BT_ARRAY_LEN(weights));
    assert_null(model->class_rule.weights);
    weights[1] = 2;
    assert_ok(bt_model_set_class_rule(model, 0.25, weights, err));
    assert_true(model->class_rule.weights[0] == 0 && model->class_rule.weights[1] == 2);
    assert_true(model->class_rule.label_smoothing == 0.25);
    weights[0] = 1;
    bt_alloc_fail_at(1, true);
    assert_fails(bt_model_set_class_rule(model, 0, weights, err), BT_E_NOMEM, "out of memory");
    bt_alloc_fail_at(0, false);
    assert_true(model->class_rule.weights[1] == 2);
    assert_ok(bt_model_set_class_rule(model, 0, NULL, err));
    assert_null(model->class_rule.weights);
    bt_model_free(model);
}

static void test_running_out_of_memory_is_clean(void **state) {
    (void)state;
    const bt_encoder_config e = small_encoder();
    const bt_head_config    h = small_head();
    bool                    done = false;
    for (uint64_t k = 1; !done; k++) {
        assert_true(k < 100);
        bt_model *model = NULL;
        bt_error  error = BT_ERROR_INIT;
        bt_alloc_fail_at(k, true);
        const bt_status status = bt_model_create(&e, &h, &model, &error);
        bt_alloc_fail_at(0, false);
        done = status == BT_OK;
        assert_true(done || status == BT_E_NOMEM);
        assert_true(done == (model != NULL));
        bt_model_free(model);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_model_gardens),
        cmocka_unit_test(test_shared_layers_are_one_set),
        cmocka_unit_test(test_indices_point_at_their_names),
        cmocka_unit_test(test_logits_are_counted),
        cmocka_unit_test(test_weights_follow_their_rules),
        cmocka_unit_test(test_impossible_dims_are_sentences),
        cmocka_unit_test(test_frozen_words),
        cmocka_unit_test(test_class_rules_are_copied),
        cmocka_unit_test(test_running_out_of_memory_is_clean),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
