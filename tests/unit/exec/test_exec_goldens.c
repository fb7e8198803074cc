/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine against the real Model Garden (goldens/numerics): encoder outputs, logits, loss, every
 * gradient, and 20 updates with every variable and slot, through the code that training runs, under
 * every instruction set of this machine. Tolerances: goldens/numerics/MANIFEST.md. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "exec_fixture.h"

/* ---- encoder ------------------------------------------------------------------------------------
 */

typedef struct encoder_row {
    const char     *name;
    bt_encoder_type type;
    int64_t         V, H, L, N, I, P, types, E, B, S;
    bt_activation   act;
    bool            norm_first;
} encoder_row;

static const encoder_row encoder_rows[] = {
    {"tiny", BT_ENCODER_BERT, 200, 32, 2, 4, 64, 64, 2, 32, 4, 16, BT_ACT_GELU, false},
    {"tiny_v2", BT_ENCODER_BERT_V2, 200, 32, 2, 4, 64, 64, 2, 32, 4, 16, BT_ACT_GELU, false},
    {"tiny_relu", BT_ENCODER_BERT, 200, 32, 2, 4, 64, 64, 2, 32, 3, 10, BT_ACT_RELU, false},
    {"tiny_norm_first", BT_ENCODER_BERT, 200, 32, 2, 4, 64, 64, 2, 32, 3, 10, BT_ACT_GELU, true},
    {"tiny_factorized", BT_ENCODER_BERT, 200, 32, 2, 4, 64, 64, 16, 16, 3, 10, BT_ACT_GELU, false},
    {"tiny_mask_hole", BT_ENCODER_BERT, 200, 32, 2, 4, 64, 64, 2, 32, 3, 10, BT_ACT_GELU, false},
    {"tiny_uneven_h48", BT_ENCODER_BERT, 120, 48, 3, 4, 96, 40, 2, 48, 8, 24, BT_ACT_GELU, false},
    {"base_1layer", BT_ENCODER_BERT, 200, 768, 1, 12, 1024, 128, 2, 768, 2, 128, BT_ACT_GELU,
     false},
};

/* The rows of `want` [B*S,H] that were kept, against got [T,H]. */
static void compare_rows(const fixture_batch *batch, const float *got, const float *want, int64_t H,
                         const char *what) {
    for (int64_t t = 0; t < batch->batch.n_tokens; t++) {
        char text[256];
        (void)snprintf(text, sizeof text, "%s, token %" PRId64, what, t);
        test_close_f32(got + t * H, want + batch->places[t] * H, (size_t)H, 1e-5, 0, text);
    }
}

static void compare_encoder(fixture *f, const test_tensors *golden, const encoder_row *row,
                            const char *isa, bool drop) {
    static fixture_batch batch;
    fixture_pack(&batch, test_tensors_i32(golden, "in/input_word_ids", NULL),
                 test_tensors_i32(golden, "in/input_mask", NULL),
                 test_tensors_i32(golden, "in/input_type_ids", NULL), row->B, row->S, drop);
    float *const hidden = bt_alloc_array((size_t)(batch.batch.n_tokens * row->H), sizeof *hidden);
    float *const pooled = bt_alloc_array((size_t)(row->B * row->H), sizeof *pooled);
    assert_non_null(hidden);
    assert_non_null(pooled);
    for (int64_t layer = -1; layer < row->L; layer++) {
        char name[64];
        char what[256];
        (void)snprintf(name, sizeof name, "out/layer_%" PRId64, layer);
        const bool        last = layer == row->L - 1;
        const char *const key = layer < 0 ? "out/embedding_output" : name;
        assert_ok(bt_exec_encode(f->exec, &batch.batch, layer, hidden, last ? pooled : NULL, err));
        (void)snprintf(what, sizeof what, "%s %s %s %s", row->name, isa, drop ? "packed" : "padded",
                       key);
        if (test_tensors_has(golden, key)) {
            compare_rows(&batch, hidden, test_tensors_f32(golden, key, NULL), row->H, what);
        }
    }
    compare_rows(&batch, hidden, test_tensors_f32(golden, "out/sequence_output", NULL), row->H,
                 "sequence_output");
    test_close_f32(pooled, test_tensors_f32(golden, "out/pooled_output", NULL),
                   (size_t)(row->B * row->H), 1e-5, 0, "pooled_output");
    bt_free(hidden);
    bt_free(pooled);
}

static void run_encoder(const encoder_row *row, const char *isa) {
    char path[256];
    (void)snprintf(path, sizeof path, "goldens/numerics/encoder/%s.safetensors", row->name);
    test_tensors *const     golden = test_tensors_open(test_shared_path(path));
    const bt_encoder_config encoder = {.type = row->type,
                                       .vocab_size = row->V,
                                       .hidden_size = row->H,
                                       .embedding_size = row->E,
                                       .num_layers = row->L,
                                       .num_attention_heads = row->N,
                                       .intermediate_size = row->I,
                                       .max_position_embeddings = row->P,
                                       .type_vocab_size = row->types,
                                       .hidden_activation = row->act,
                                       .norm_first = row->norm_first};
    const bt_head_config    head = {.kind = BT_HEAD_POOLED_OUTPUT, .loss = BT_LOSS_NONE};
    fixture                 f;
    fixture_open(&f, &encoder, &head, NULL, isa, 2);
    fixture_load(&f, golden, "w/");
    compare_encoder(&f, golden, row, isa, false);
    compare_encoder(&f, golden, row, isa, true);
    fixture_close(&f);
    test_tensors_close(golden);
}

static void encoder_outputs_match(void **state) {
    (void)state;
    if (test_shared_path("goldens/numerics") == NULL) {
        test_skip("the folder of Model Garden's goldens is absent");
    }
    for (const char *const *isa = fixture_isas(); *isa != NULL; isa++) {
        for (size_t i = 0; i < BT_ARRAY_LEN(encoder_rows); i++) {
            run_encoder(&encoder_rows[i], *isa);
        }
    }
}

/* ---- tasks
 * ---------------------------------------------------------------------------------------- */

typedef struct task_row {
    const char    *name;
    bt_head_config head;
    bool           own;
    bool           drop; /* padding dropped; squad's and tagging's losses read padded positions */
} task_row;

/* Without dropout: its masks cannot be TensorFlow's. */
#define HEAD(which, what, n)                                                                       \
    { .kind = (which), .loss = (what), .num_classes = (n) }
static const task_row task_rows[] = {
    {"sentence_prediction_3class", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3), false, true},
    {"sentence_prediction_ema", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3), false, true},
    {"sentence_prediction_factorized", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3), false, true},
    {"sentence_prediction_lamb", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3), false, true},
    {"sentence_prediction_norm_first", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3), false, true},
    {"sentence_prediction_pooler_v2", HEAD(BT_HEAD_ENCODER_POOLER, BT_LOSS_SOFTMAX, 3), false,
     true},
    {"sentence_prediction_uneven_h48", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 2), false, true},
    {"regression", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_MSE_ALL_PAIRS, 1), false, true},
    {"squad", HEAD(BT_HEAD_TOKENS, BT_LOSS_SPAN, 2), false, false},
    {"tagging", HEAD(BT_HEAD_TOKENS, BT_LOSS_TOKENS, 5), false, false},
    {"dual_encoder",
     {.kind = BT_HEAD_POOLED_OUTPUT, .loss = BT_LOSS_RANKING, .normalize = true, .logit_scale = 1},
     false,
     true},
    {"dual_encoder_bidirectional",
     {.kind = BT_HEAD_POOLED_OUTPUT,
      .loss = BT_LOSS_RANKING,
      .normalize = true,
      .bidirectional = true,
      .logit_scale = 20,
      .logit_margin = 0.3F},
     false,
     true},
};

/* The project's own small ones (make_goldens/make_engine_steps.py). */
static const task_row own_rows[] = {
    {"classes", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3), true, true},
    {"norm_first_factorised", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3), true, true},
    {"tagging", HEAD(BT_HEAD_TOKENS, BT_LOSS_TOKENS, 3), true, false},
    {"pairs",
     {.kind = BT_HEAD_POOLED_OUTPUT,
      .loss = BT_LOSS_RANKING,
      .normalize = true,
      .bidirectional = true,
      .logit_scale = 3,
      .logit_margin = 0.2F},
     true,
     true},
    {"pairs_as_they_are",
     {.kind = BT_HEAD_POOLED_OUTPUT, .loss = BT_LOSS_RANKING, .logit_scale = 1},
     true,
     true},
    {"classes_weighted", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3), true, true},
    {"tagging_weighted", HEAD(BT_HEAD_TOKENS, BT_LOSS_TOKENS, 3), true, false},
    {"albert", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3), true, true},
    {"albert_tagging", HEAD(BT_HEAD_TOKENS, BT_LOSS_TOKENS, 3), true, false},
};

static int64_t read_int(json_t *object, const char *key, int64_t otherwise) {
    json_t *const value = json_object_get(object, key);
    return value == NULL ? otherwise : json_integer_value(value);
}

static bt_encoder_config read_encoder(json_t *config) {
    json_t *const     e = json_object_get(config, "encoder");
    const char *const type = json_string_value(json_object_get(config, "encoder_type"));
    assert_string_equal(json_string_value(json_object_get(e, "hidden_activation")), "gelu");
    bt_encoder_config c = {
        .type = strcmp(type, "albert") == 0    ? BT_ENCODER_ALBERT
                : strcmp(type, "bert_v2") == 0 ? BT_ENCODER_BERT_V2
                                               : BT_ENCODER_BERT,
        .vocab_size = read_int(e, "vocab_size", 0),
        .hidden_size = read_int(e, "hidden_size", 0),
        .num_layers = read_int(e, "num_layers", 0),
        .num_attention_heads = read_int(e, "num_attention_heads", 0),
        .intermediate_size = read_int(e, "intermediate_size", 0),
        .max_position_embeddings = read_int(e, "max_position_embeddings", 0),
        .type_vocab_size = read_int(e, "type_vocab_size", 0),
        .hidden_activation = BT_ACT_GELU,
        .norm_first = json_is_true(json_object_get(e, "norm_first")),
    };
    c.embedding_size = read_int(e, "embedding_size", c.hidden_size);
    c.embedding_size = read_int(e, "embedding_width", c.embedding_size); /* as ALBERT calls it */
    return c;
}

static const void *batch_column(const test_tensors *golden, int64_t k, const char *name,
                                bool is_float) {
    char key[128];
    (void)snprintf(key, sizeof key, "batch%" PRId64 "/%s", k, name);
    return is_float ? (const void *)test_tensors_f32(golden, key, NULL)
                    : (const void *)test_tensors_i32(golden, key, NULL);
}

/* Left and right side take turns: [2B,S]. */
static void interleave(int32_t *out, const int32_t *left, const int32_t *right, int64_t B,
                       int64_t S) {
    const size_t n_bytes = (size_t)S * sizeof *out;
    assert_true(2 * B * S <= FIXTURE_MAX_TOKENS);
    for (int64_t b = 0; b < B; b++) {
        memcpy(out + 2 * b * S, left + b * S, n_bytes);
        memcpy(out + (2 * b + 1) * S, right + b * S, n_bytes);
    }
}

static void pack_pairs(fixture_batch *out, const test_tensors *golden, int64_t k, int64_t B,
                       int64_t S, bool drop) {
    static const char *const columns[3][2] = {{"left_word_ids", "right_word_ids"},
                                              {"left_mask", "right_mask"},
                                              {"left_type_ids", "right_type_ids"}};
    static int32_t           both[3][FIXTURE_MAX_TOKENS];
    for (size_t i = 0; i < 3; i++) {
        interleave(both[i], batch_column(golden, k, columns[i][0], false),
                   batch_column(golden, k, columns[i][1], false), B, S);
    }
    fixture_pack(out, both[0], both[1], both[2], 2 * B, S, drop);
}

static void pack_task_batch(fixture_batch *out, const test_tensors *golden, const task_row *row,
                            int64_t k, int64_t B, int64_t S) {
    if (row->head.loss == BT_LOSS_RANKING) {
        pack_pairs(out, golden, k, B, S, row->drop);
        return;
    }
    fixture_pack(out, batch_column(golden, k, "input_word_ids", false),
                 batch_column(golden, k, "input_mask", false),
                 batch_column(golden, k, "input_type_ids", false), B, S, row->drop);
    const size_t n_labels = (size_t)(row->head.loss == BT_LOSS_TOKENS ? B * S : B);
    if (row->head.loss == BT_LOSS_MSE_ALL_PAIRS) {
        memcpy(out->float_labels, batch_column(golden, k, "label_ids", true),
               n_labels * sizeof(float));
        out->batch.float_labels = out->float_labels;
        return;
    }
    if (row->head.loss == BT_LOSS_SPAN) {
        memcpy(out->int_labels, batch_column(golden, k, "start_positions", false),
               n_labels * sizeof(int32_t));
        memcpy(out->int_labels + B, batch_column(golden, k, "end_positions", false),
               n_labels * sizeof(int32_t));
    } else {
        memcpy(out->int_labels, batch_column(golden, k, "label_ids", false),
               n_labels * sizeof(int32_t));
    }
    out->batch.int_labels = out->int_labels;
}

static void compare_scores(const float *scores, const test_tensors *golden, int64_t n_pairs) {
    const size_t       n = (size_t)(n_pairs * n_pairs);
    const float *const right = test_tensors_f32(golden, "out/right_logits", NULL);
    test_close_f32(scores, test_tensors_f32(golden, "out/left_logits", NULL), n, 1e-5, 1e-5,
                   "left_logits");
    for (int64_t i = 0; i < n_pairs; i++) {
        for (int64_t j = 0; j < n_pairs; j++) {
            test_close_f32(scores + i * n_pairs + j, right + j * n_pairs + i, 1, 1e-5, 1e-5,
                           "right_logits");
        }
    }
}

static void compare_logits(const bt_step_result *result, const test_tensors *golden,
                           const task_row *row, const fixture_batch *batch) {
    const int64_t T = batch->batch.n_tokens;
    const int64_t B = batch->batch.n_seqs;
    const int64_t C = row->head.num_classes;
    if (row->head.loss == BT_LOSS_RANKING) {
        compare_scores(result->logits, golden, B / 2);
        return;
    }
    if (row->head.loss != BT_LOSS_SPAN) {
        const int64_t n = row->head.kind == BT_HEAD_TOKENS ? T * C : B * C;
        test_close_f32(result->logits, test_tensors_f32(golden, "out/logits", NULL), (size_t)n,
                       1e-5, 1e-5, row->name);
        return;
    }
    const float *const starts = test_tensors_f32(golden, "out/start_logits", NULL);
    const float *const ends = test_tensors_f32(golden, "out/end_logits", NULL);
    for (int64_t t = 0; t < T; t++) {
        test_close_f32(result->logits + 2 * t, starts + t, 1, 1e-5, 1e-5, "start logits");
        test_close_f32(result->logits + 2 * t + 1, ends + t, 1, 1e-5, 1e-5, "end logits");
    }
}

/* One scalar or element of a golden vector. */
static double golden_value(const test_tensors *golden, const char *name, int64_t i) {
    size_t             n = 0;
    const float *const values = test_tensors_f32(golden, name, &n);
    assert_true(i < (int64_t)n);
    return (double)values[i];
}

static void check_close(double got, double want, double abs_tol, double rel_tol, const char *what,
                        const char *case_name) {
    char text[256];
    (void)snprintf(text, sizeof text, "%s: %s", case_name, what);
    test_close_f64(&got, &want, 1, abs_tol, rel_tol, text);
}

static void compare_gradients(fixture *f, const test_tensors *golden, const task_row *row,
                              const char *isa, const fixture_batch *batch) {
    bt_step_result result;
    assert_ok(bt_exec_gradients(f->exec, &batch->batch, 0, 1, &result, err));
    compare_logits(&result, golden, row, batch);
    const double norm = golden_value(golden, "global_norm", 0);
    check_close(result.loss, golden_value(golden, "loss", 0), 1e-5, 1e-5, "loss", row->name);
    check_close(result.grad_norm, norm, 0, 5e-6, "global_norm", row->name);
    const float *const flat = settled(f->exec, bt_exec_gradient(f->exec));
    for (int64_t i = 0; i < f->model->table.n_params; i++) {
        const bt_param *const param = &f->model->table.params[i];
        char                  name[512];
        char                  what[1024];
        (void)snprintf(name, sizeof name, "grad/%s", param->tf_name);
        (void)snprintf(what, sizeof what, "%s %s %s", row->name, isa, name);
        if (!param->has_gradient) {
            assert_false(test_tensors_has(golden, name));
            assert_true(f->exec != NULL);
            continue;
        }
        test_close_f32(flat + param->offset, test_tensors_f32(golden, name, NULL),
                       (size_t)param->n_elements, 1e-6 * fmax(1, norm), 0, what);
    }
}

/* Their true gradient is 0; what is stored is rounding noise (MANIFEST.md). */
static bool is_noise(const char *name, const task_row *row) {
    if (strstr(name, "self_attention/key/bias") != NULL) {
        return true;
    }
    return row->head.loss == BT_LOSS_SPAN &&
           (strcmp(name, "predictions/transform/logits/bias") == 0 ||
            strcmp(name, "transformer/layer_1/output_layer_norm/beta") == 0);
}

/* NULL: the golden has none. */
static const float *first_gradient(const test_tensors *golden, const bt_param *param) {
    char name[512];
    (void)snprintf(name, sizeof name, "grad/%s", param->tf_name);
    return test_tensors_has(golden, name) ? test_tensors_f32(golden, name, NULL) : NULL;
}

/* Every layer of the encoder for the first batch, where the golden has them. */
static void compare_layers(fixture *f, const test_tensors *golden, const task_row *row,
                           const char *isa, const fixture_batch *batch) {
    const int64_t H = f->model->encoder.hidden_size;
    const int64_t L = f->model->encoder.num_layers;
    const int64_t B = batch->batch.n_seqs;
    if (!test_tensors_has(golden, "encoder/pooled_output")) {
        return;
    }
    float *const hidden = bt_alloc_array((size_t)(batch->batch.n_tokens * H), sizeof *hidden);
    float *const pooled = bt_alloc_array((size_t)(B * H), sizeof *pooled);
    assert_non_null(hidden);
    assert_non_null(pooled);
    for (int64_t layer = -1; layer < L; layer++) {
        char key[64];
        char what[256];
        (void)snprintf(key, sizeof key, "encoder/layer_%" PRId64, layer);
        (void)snprintf(what, sizeof what, "%s %s layer %" PRId64, row->name, isa, layer);
        assert_ok(bt_exec_encode(f->exec, &batch->batch, layer, hidden,
                                 layer == L - 1 ? pooled : NULL, err));
        compare_rows(batch, hidden,
                     test_tensors_f32(golden, layer < 0 ? "encoder/embedding_output" : key, NULL),
                     H, what);
    }
    test_close_f32(pooled, test_tensors_f32(golden, "encoder/pooled_output", NULL), (size_t)(B * H),
                   1e-5, 0, "pooled_output");
    bt_free(hidden);
    bt_free(pooled);
}

static void compare_state(fixture *f, const test_tensors *golden, const task_row *row,
                          const char *isa, int64_t n_steps, const float *flat, const char *kind,
                          double abs_tol, double rel_tol) {
    assert_non_null(flat);
    const bool is_lamb = strcmp(bt_optim_name(f->optim), "lamb") == 0;
    const bool is_var = strcmp(kind, "var") == 0;
    size_t     n_compared = 0;
    size_t     n_expected = 0;
    for (int64_t i = 0; i < f->model->table.n_params; i++) {
        const bt_param *const param = &f->model->table.params[i];
        char                  name[512];
        char                  what[1024];
        (void)snprintf(name, sizeof name, "step%" PRId64 "/%s/%s", n_steps, kind, param->tf_name);
        (void)snprintf(what, sizeof what, "%s %s %s", row->name, isa, name);
        const bool noise = is_noise(param->name, row);
        const bool is_there = is_var || strcmp(kind, "average") == 0 || param->has_gradient;
        if (!is_there || (noise && !is_var)) {
            continue;
        }
        n_expected++;
        if (!test_tensors_has(golden, name)) {
            continue;
        }
        const float *const want = test_tensors_f32(golden, name, NULL);
        if (is_lamb && !noise && is_var) {
            test_close_lamb(flat + param->offset, want, first_gradient(golden, param),
                            (size_t)param->n_elements, abs_tol, 5e-6, what);
        } else {
            test_close_f32(flat + param->offset, want, (size_t)param->n_elements,
                           noise ? (is_lamb ? 5e-4 : 2e-4) : abs_tol, rel_tol, what);
        }
        n_compared++;
    }
    /* the project's own goldens leave m out, as v and the variables follow from it */
    const bool may_lack = row->own && strcmp(kind, "m") == 0;
    assert_true(n_compared == n_expected || (may_lack && n_compared == 0));
}

static bool has_snapshot(const test_tensors *golden, int64_t n_steps) {
    char name[64];
    (void)snprintf(name, sizeof name, "step%" PRId64 "/iterations", n_steps);
    return test_tensors_has(golden, name);
}

static void compare_trajectory(fixture *f, const test_tensors *golden, const task_row *row,
                               const char *isa, json_t *config) {
    const int64_t        B = read_int(config, "batch", 0);
    const int64_t        S = read_int(config, "seq", 0);
    const int64_t        n_steps = read_int(config, "steps", 0);
    const int64_t        n_batches = read_int(config, "batches", 1);
    static fixture_batch batch;
    for (int64_t step = 0; step < n_steps; step++) {
        bt_step_result result;
        pack_task_batch(&batch, golden, row, step % n_batches, B, S);
        check_close((double)bt_optim_learning_rate(f->optim, step),
                    golden_value(golden, "lrs", step), 0, 3e-7, "learning rate", row->name);
        assert_ok(bt_exec_train_step(f->exec, &batch.batch, step, 1, &result, err));
        assert_int_equal(result.n_nonfinite, 0);
        check_close(result.loss, golden_value(golden, "losses", step), 1e-5, 1e-5, "losses",
                    row->name);
        check_close(result.grad_norm, golden_value(golden, "global_norms", step), 0,
                    step == 0 ? 5e-6 : 2e-5, "global_norms", row->name);
        if (!has_snapshot(golden, step + 1)) {
            continue;
        }
        const double var_tol = step + 1 >= 20 ? 5e-6 : 2e-6;
        compare_state(f, golden, row, isa, step + 1, settled(f->exec, bt_exec_params(f->exec)),
                      "var", var_tol, 0);
        compare_state(f, golden, row, isa, step + 1, settled(f->exec, bt_exec_slot(f->exec, 0)),
                      "m", 1e-6, 0);
        compare_state(f, golden, row, isa, step + 1, settled(f->exec, bt_exec_slot(f->exec, 1)),
                      "v", 1e-8, 2e-5);
        if (bt_optim_has_average(f->optim)) {
            compare_state(f, golden, row, isa, step + 1, settled(f->exec, bt_exec_average(f->exec)),
                          "average", 5e-6, 0);
        }
    }
}

/* task.class_weights and task.label_smoothing of the cases that have them. */
static void set_class_rule(bt_model *model, json_t *config) {
    json_t *const weights = json_object_get(config, "class_weights");
    double        values[8];
    if (weights == NULL) {
        return;
    }
    assert_true(json_array_size(weights) <= BT_ARRAY_LEN(values));
    for (size_t c = 0; c < json_array_size(weights); c++) {
        values[c] = json_number_value(json_array_get(weights, c));
    }
    const double smoothing = json_number_value(json_object_get(config, "label_smoothing"));
    assert_ok(bt_model_set_class_rule(model, smoothing, values, err));
}

/* prefix: path of the case without its ending. */
static void run_task(const task_row *row, const char *prefix, const char *isa, bool trajectory,
                     int64_t part_seqs) {
    char path[TEST_PATH_MAX + 16];
    (void)snprintf(path, sizeof path, "%s.safetensors", prefix);
    test_tensors *const golden = test_tensors_open(path);
    (void)snprintf(path, sizeof path, "%s.json", prefix);
    json_t *const           config = test_read_json(path);
    const bt_encoder_config encoder = read_encoder(config);
    static fixture_batch    batch;
    fixture                 f;
    fixture_open(&f, &encoder, &row->head, trajectory ? json_object_get(config, "optimizer") : NULL,
                 isa, 2);
    if (part_seqs > 0) {
        fixture_in_parts(&f, isa, 2, part_seqs);
    }
    fixture_load(&f, golden, "w/");
    set_class_rule(f.model, config);
    if (trajectory) {
        compare_trajectory(&f, golden, row, isa, config);
    } else {
        pack_task_batch(&batch, golden, row, 0, read_int(config, "batch", 0),
                        read_int(config, "seq", 0));
        compare_layers(&f, golden, row, isa, &batch);
        compare_gradients(&f, golden, row, isa, &batch);
    }
    fixture_close(&f);
    json_decref(config);
    test_tensors_close(golden);
}

/* May the batch be worked on in parts? Then Model Garden's numbers for the whole batch come out. */
static bool adds_up(const task_row *row) {
    return row->head.loss != BT_LOSS_RANKING;
}

static void run_shared_tasks(bool trajectory) {
    if (test_shared_path("goldens/numerics") == NULL) {
        test_skip("the folder of Model Garden's goldens is absent");
    }
    for (const char *const *isa = fixture_isas(); *isa != NULL; isa++) {
        for (size_t i = 0; i < BT_ARRAY_LEN(task_rows); i++) {
            char path[256];
            (void)snprintf(path, sizeof path, "goldens/numerics/tasks/%s", task_rows[i].name);
            run_task(&task_rows[i], test_shared_path(path), *isa, trajectory, 0);
            if (adds_up(&task_rows[i])) {
                run_task(&task_rows[i], test_shared_path(path), *isa, trajectory, 2);
            }
        }
    }
}

static void gradients_match(void **state) {
    (void)state;
    run_shared_tasks(false);
}

static void trajectories_match(void **state) {
    (void)state;
    run_shared_tasks(true);
}

static void own_goldens_match(void **state) {
    (void)state;
    for (const char *const *isa = fixture_isas(); *isa != NULL; isa++) {
        for (size_t i = 0; i < BT_ARRAY_LEN(own_rows); i++) {
            char path[256];
            (void)snprintf(path, sizeof path, "tests/goldens/engine/%s", own_rows[i].name);
            for (int64_t part_seqs = 0; part_seqs < (adds_up(&own_rows[i]) ? 3 : 1); part_seqs++) {
                run_task(&own_rows[i], test_source_path(path), *isa, false, part_seqs);
                run_task(&own_rows[i], test_source_path(path), *isa, true, part_seqs);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_goldens_match),
        cmocka_unit_test(encoder_outputs_match),
        cmocka_unit_test(gradients_match),
        cmocka_unit_test(trajectories_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
