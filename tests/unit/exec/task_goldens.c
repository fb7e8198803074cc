/* SPDX-License-Identifier: Apache-2.0
 *
 * See task_goldens.h. */
#include "task_goldens.h"
#include "bt/base/alloc.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Without dropout: its masks cannot be TensorFlow's. */
#define HEAD(which, what, n)                                                                       \
    { .kind = (which), .loss = (what), .num_classes = (n) }
const task_row task_rows[] = {
    {"sentence_prediction_3class", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3), TASK_GARDEN,
     true},
    {"sentence_prediction_ema", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3), TASK_GARDEN, true},
    {"sentence_prediction_factorized", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3), TASK_GARDEN,
     true},
    {"sentence_prediction_lamb", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3), TASK_GARDEN, true},
    {"sentence_prediction_norm_first", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3), TASK_GARDEN,
     true},
    {"sentence_prediction_pooler_v2", HEAD(BT_HEAD_ENCODER_POOLER, BT_LOSS_SOFTMAX, 3), TASK_GARDEN,
     true},
    {"sentence_prediction_uneven_h48", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 2), TASK_GARDEN,
     true},
    {"regression", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_MSE_ALL_PAIRS, 1), TASK_GARDEN, true},
    {"squad", HEAD(BT_HEAD_TOKENS, BT_LOSS_SPAN, 2), TASK_GARDEN, false},
    {"tagging", HEAD(BT_HEAD_TOKENS, BT_LOSS_TOKENS, 5), TASK_GARDEN, false},
    {"dual_encoder",
     {.kind = BT_HEAD_POOLED_OUTPUT, .loss = BT_LOSS_RANKING, .normalize = true, .logit_scale = 1},
     TASK_GARDEN,
     true},
    {"dual_encoder_bidirectional",
     {.kind = BT_HEAD_POOLED_OUTPUT,
      .loss = BT_LOSS_RANKING,
      .normalize = true,
      .bidirectional = true,
      .logit_scale = 20,
      .logit_margin = 0.3F},
     TASK_GARDEN,
     true},
};

const size_t n_task_rows = BT_ARRAY_LEN(task_rows);

/* The project's own small ones (make_goldens/make_engine_steps.py). */
const task_row own_rows[] = {
    {"classes", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3), TASK_OWN, true},
    {"norm_first_factorised", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3), TASK_OWN, true},
    {"tagging", HEAD(BT_HEAD_TOKENS, BT_LOSS_TOKENS, 3), TASK_OWN, false},
    {"pairs",
     {.kind = BT_HEAD_POOLED_OUTPUT,
      .loss = BT_LOSS_RANKING,
      .normalize = true,
      .bidirectional = true,
      .logit_scale = 3,
      .logit_margin = 0.2F},
     TASK_OWN,
     true},
    {"pairs_as_they_are",
     {.kind = BT_HEAD_POOLED_OUTPUT, .loss = BT_LOSS_RANKING, .logit_scale = 1},
     TASK_OWN,
     true},
    {"classes_weighted", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3), TASK_OWN, true},
    {"tagging_weighted", HEAD(BT_HEAD_TOKENS, BT_LOSS_TOKENS, 3), TASK_OWN, false},
    {"albert", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3), TASK_OWN, true},
    {"albert_tagging", HEAD(BT_HEAD_TOKENS, BT_LOSS_TOKENS, 3), TASK_OWN, false},
    {"classes_frozen_between", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3), TASK_OWN, true},
    {"lora_all", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3), TASK_OWN, true},
    {"lora_query_value", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3), TASK_OWN, true},
    {"classes_layered", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3), TASK_OWN, true},
};
const size_t n_own_rows = BT_ARRAY_LEN(own_rows);

/* More of what is frozen, or has a rate of its own. */
const task_row tuned_rows[] = {
    {"classes_frozen", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3), TASK_OWN, true},
    {"norm_first_frozen", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3), TASK_OWN, true},
    {"norm_first_frozen_below", HEAD(BT_HEAD_TOKENS, BT_LOSS_TOKENS, 3), TASK_OWN, false},
    {"tagging_frozen", HEAD(BT_HEAD_TOKENS, BT_LOSS_TOKENS, 3), TASK_OWN, false},
    {"pairs_frozen",
     {.kind = BT_HEAD_POOLED_OUTPUT,
      .loss = BT_LOSS_RANKING,
      .normalize = true,
      .bidirectional = true,
      .logit_scale = 3,
      .logit_margin = 0.2F},
     TASK_OWN,
     true},
    {"albert_frozen", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3), TASK_OWN, true},
    {"classes_layered_lamb", HEAD(BT_HEAD_POOLER_DENSE, BT_LOSS_SOFTMAX, 3), TASK_OWN, true},
    {"albert_tagging_frozen", HEAD(BT_HEAD_TOKENS, BT_LOSS_TOKENS, 3), TASK_OWN, false},
};
const size_t n_tuned_rows = BT_ARRAY_LEN(tuned_rows);

task_row task_outside(const task_row *row) {
    task_row other = *row;
    assert_int_equal(row->place, TASK_GARDEN);
    other.place = TASK_OUTSIDE;
    return other;
}

const task_row *task_find(const char *name) {
    const bool own = strncmp(name, "own_", 4) == 0;
    for (size_t i = 0; i < (own ? n_own_rows : n_task_rows); i++) {
        const task_row *const row = own ? &own_rows[i] : &task_rows[i];
        if (strcmp(row->name, own ? name + 4 : name) == 0) {
            return row;
        }
    }
    return NULL;
}

static int64_t read_int(json_t *object, const char *key, int64_t otherwise) {
    json_t *const value = json_object_get(object, key);
    return value == NULL ? otherwise : json_integer_value(value);
}

static void read_lora(json_t *object, bt_lora_config *lora) {
    json_t *const targets = json_object_get(object, "targets");
    const double  alpha = json_number_value(json_object_get(object, "alpha"));
    lora->rank = read_int(object, "rank", 0);
    for (size_t i = 0; i < json_array_size(targets); i++) {
        bt_lora_target target = BT_LORA_QUERY;
        assert_ok(
            bt_lora_target_from_name(json_string_value(json_array_get(targets, i)), &target, err));
        lora->has[target] = true;
    }
    if (lora->rank > 0) {
        const double rank = (double)lora->rank;
        const bool   by_root = json_is_true(json_object_get(object, "rslora"));
        lora->scale = (float)(alpha / (by_root ? sqrt(rank) : rank));
    }
}

bt_encoder_config task_read_encoder(json_t *config) {
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
    read_lora(json_object_get(config, "lora"), &c.lora);
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

void task_compare_logits(const task_case *c, const float *logits) {
    const test_tensors *const golden = c->golden;
    const task_row *const     row = c->row;
    const int64_t             T = c->batch.batch.n_tokens;
    const int64_t             B = c->batch.batch.n_seqs;
    const int64_t             C = row->head.num_classes;
    if (row->head.loss == BT_LOSS_RANKING) {
        compare_scores(logits, golden, B / 2);
        return;
    }
    if (row->head.loss != BT_LOSS_SPAN) {
        const int64_t n = row->head.kind == BT_HEAD_TOKENS ? T * C : B * C;
        test_close_f32(logits, test_tensors_f32(golden, "out/logits", NULL), (size_t)n, 1e-5, 1e-5,
                       row->name);
        return;
    }
    const float *const starts = test_tensors_f32(golden, "out/start_logits", NULL);
    const float *const ends = test_tensors_f32(golden, "out/end_logits", NULL);
    for (int64_t t = 0; t < T; t++) {
        test_close_f32(logits + 2 * t, starts + t, 1, 1e-5, 1e-5, "start logits");
        test_close_f32(logits + 2 * t + 1, ends + t, 1, 1e-5, 1e-5, "end logits");
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

void task_compare_gradients(const task_case *c, double loss, double norm, const float *flat) {
    const bt_param_table *const table = &c->f.model->table;
    const double                want = golden_value(c->golden, "global_norm", 0);
    check_close(loss, golden_value(c->golden, "loss", 0), 1e-5, 1e-5, "loss", c->row->name);
    check_close(norm, want, 0, 5e-6, "global_norm", c->row->name);
    for (int64_t i = 0; i < table->n_params; i++) {
        const bt_param *const param = &table->params[i];
        char                  name[512];
        char                  what[1024];
        (void)snprintf(name, sizeof name, "grad/%s", param->tf_name);
        (void)snprintf(what, sizeof what, "%s %s %s", c->row->name, c->engine, name);
        if (!param->has_gradient) {
            assert_false(test_tensors_has(c->golden, name));
            for (int64_t k = 0; k < param->n_elements; k++) { /* nobody wrote there */
                assert_true(flat[param->offset + k] == 0);
            }
            continue;
        }
        test_close_f32(flat + param->offset, test_tensors_f32(c->golden, name, NULL),
                       (size_t)param->n_elements, 1e-6 * fmax(1, want), 0, what);
    }
}

/* Their true gradient is 0; what is stored is rounding noise
 * (tests/goldens/model_garden/numerics/MANIFEST.md). */
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

typedef struct tolerance {
    const char *kind;
    double      abs, rel;
} tolerance;

/* Under "ref" a BLAS multiplies, in an order that its version and the processor decide. Adam
 * divides by the size of the gradient, so that of an element whose gradient nearly cancels it shows
 * the rounding of the whole sum: measured over nine kernels of OpenBLAS at most 1.5 times what our
 * our own products on x86 stay within, and those of NEON 1.1 times (a v of lora_all). A rule that
 * is wrong is off by a hundred times as much. */
static double order_factor(const task_case *c) {
    return strcmp(c->engine, "ref") == 0 ? 4 : strcmp(c->engine, "neon") == 0 ? 2 : 1;
}

static tolerance tolerance_of(const task_case *c, const char *kind, int64_t n_steps) {
    const tolerance rows[] = {{"var", n_steps >= 20 ? 5e-6 : 2e-6, 0},
                              {"m", 1e-6, 0},
                              {"v", 1e-8, 2e-5},
                              {"average", 5e-6, 0}};
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].kind, kind) == 0) {
            const double factor = order_factor(c);
            return (tolerance){kind, rows[i].abs * factor, rows[i].rel * factor};
        }
    }
    fail_msg("no tolerance for %s", kind);
    return rows[0];
}

void task_compare_state(const task_case *c, const float *flat, int64_t n_steps, const char *kind) {
    assert_non_null(flat);
    const bt_param_table *const table = &c->f.model->table;
    const tolerance             t = tolerance_of(c, kind, n_steps);
    const bool                  is_lamb = strcmp(bt_optim_name(c->f.optim), "lamb") == 0;
    const bool                  is_var = strcmp(kind, "var") == 0;
    size_t                      n_compared = 0;
    size_t                      n_expected = 0;
    for (int64_t i = 0; i < table->n_params; i++) {
        const bt_param *const param = &table->params[i];
        char                  name[512];
        char                  what[1024];
        (void)snprintf(name, sizeof name, "step%" PRId64 "/%s/%s", n_steps, kind, param->tf_name);
        (void)snprintf(what, sizeof what, "%s %s %s", c->row->name, c->engine, name);
        const bool noise = is_noise(param->name, c->row);
        const bool is_there = is_var || strcmp(kind, "average") == 0 || param->has_gradient;
        if (!is_there || (noise && !is_var)) {
            continue;
        }
        n_expected++;
        if (!test_tensors_has(c->golden, name)) {
            continue;
        }
        const float *const want = test_tensors_f32(c->golden, name, NULL);
        if (is_lamb && !noise && is_var) {
            test_close_lamb(flat + param->offset, want, first_gradient(c->golden, param),
                            (size_t)param->n_elements, t.abs, 5e-6, what);
        } else {
            test_close_f32(flat + param->offset, want, (size_t)param->n_elements,
                           noise ? (is_lamb ? 5e-4 : 2e-4) : t.abs, t.rel, what);
        }
        n_compared++;
    }
    /* the project's own goldens leave m out, as v and the variables follow from it */
    const bool may_lack = c->row->place == TASK_OWN && strcmp(kind, "m") == 0;
    assert_true(n_compared == n_expected || (may_lack && n_compared == 0));
}

bool task_has_snapshot(const task_case *c, int64_t n_steps) {
    char name[64];
    (void)snprintf(name, sizeof name, "step%" PRId64 "/iterations", n_steps);
    return test_tensors_has(c->golden, name);
}

void task_compare_update(const task_case *c, int64_t step, double loss, double norm) {
    check_close((double)bt_optim_learning_rate(c->f.optim, step),
                golden_value(c->golden, "lrs", step), 0, 3e-7, "learning rate", c->row->name);
    check_close(loss, golden_value(c->golden, "losses", step), 1e-5, 1e-5, "losses", c->row->name);
    check_close(norm, golden_value(c->golden, "global_norms", step), 0, step == 0 ? 5e-6 : 2e-5,
                "global_norms", c->row->name);
}

int64_t task_fact(const task_case *c, const char *key, int64_t otherwise) {
    return read_int(c->config, key, otherwise);
}

void task_case_pack(task_case *c, int64_t step) {
    pack_task_batch(&c->batch, c->golden, c->row, step % task_fact(c, "batches", 1),
                    task_fact(c, "batch", 0), task_fact(c, "seq", 0));
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

bool task_is_here(const task_row *row) {
    return row->place != TASK_OUTSIDE || test_outside_path("goldens/numerics/tasks") != NULL;
}

void task_case_open(task_case *c, const task_row *row, const char *isa, bool has_optimizer,
                    int64_t part_seqs) {
    char relative[256];
    char path[TEST_PATH_MAX + 16];
    (void)snprintf(relative, sizeof relative, "%s/%s",
                   row->place == TASK_OWN ? "tests/goldens/engine" : "goldens/numerics/tasks",
                   row->name);
    const char *const prefix = row->place == TASK_OWN       ? test_source_path(relative)
                               : row->place == TASK_OUTSIDE ? test_outside_path(relative)
                                                            : test_shared_path(relative);
    memset(c, 0, sizeof *c);
    c->row = row;
    c->engine = isa;
    (void)snprintf(path, sizeof path, "%s.safetensors", prefix);
    c->golden = test_tensors_open(path);
    (void)snprintf(path, sizeof path, "%s.json", prefix);
    c->config = test_read_json(path);
    const bt_encoder_config encoder = task_read_encoder(c->config);
    fixture_open(&c->f, &encoder, &row->head,
                 has_optimizer ? json_object_get(c->config, "optimizer") : NULL, isa, 2);
    if (json_object_get(c->config, "freeze") != NULL) {
        fixture_freeze(&c->f, has_optimizer ? json_object_get(c->config, "optimizer") : NULL,
                       json_string_value(json_object_get(c->config, "freeze")), isa, 2);
    }
    if (part_seqs > 0) {
        fixture_in_parts(&c->f, isa, 2, part_seqs);
    }
    fixture_load(&c->f, c->golden, "w/");
    set_class_rule(c->f.model, c->config);
    task_case_pack(c, 0);
}

void task_case_close(task_case *c) {
    fixture_close(&c->f);
    json_decref(c->config);
    test_tensors_close(c->golden);
}

void task_compare_rows(const fixture_batch *batch, const float *got, const test_tensors *golden,
                       const char *name, int64_t H, const char *what) {
    size_t             n = 0;
    const float *const want = test_tensors_f32(golden, name, &n);
    const int64_t      one_in = batch->n_places * H / (int64_t)n;
    for (int64_t t = 0; t < batch->batch.n_tokens; t++) {
        char text[256];
        if (batch->places[t] % one_in != 0) {
            continue;
        }
        (void)snprintf(text, sizeof text, "%s, token %" PRId64, what, t);
        test_close_f32(got + t * H, want + batch->places[t] / one_in * H, (size_t)H, 1e-5, 0, text);
    }
}

void task_run_layers(task_case *c) {
    const fixture *const       f = &c->f;
    const test_tensors *const  golden = c->golden;
    const fixture_batch *const batch = &c->batch;
    const int64_t              H = f->model->encoder.hidden_size;
    const int64_t              L = f->model->encoder.num_layers;
    const int64_t              B = batch->batch.n_seqs;
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
        (void)snprintf(what, sizeof what, "%s %s layer %" PRId64, c->row->name, c->engine, layer);
        assert_ok(bt_exec_encode(f->exec, &batch->batch, layer, hidden,
                                 layer == L - 1 ? pooled : NULL, err));
        task_compare_rows(batch, hidden, golden, layer < 0 ? "encoder/embedding_output" : key, H,
                          what);
    }
    test_close_f32(pooled, test_tensors_f32(golden, "encoder/pooled_output", NULL), (size_t)(B * H),
                   1e-5, 0, "pooled_output");
    bt_free(hidden);
    bt_free(pooled);
}

void task_run_gradients(task_case *c) {
    bt_step_result result;
    assert_ok(bt_exec_gradients(c->f.exec, &c->batch.batch, 0, 1, &result, err));
    task_compare_logits(c, result.logits);
    task_compare_gradients(c, result.loss, result.grad_norm,
                           settled(c->f.exec, bt_exec_gradient(c->f.exec)));
}

void task_compare_replicas(const task_case *c, const test_tensors *golden, int64_t n_steps) {
    bt_exec *const              exec = c->f.exec;
    const bt_param_table *const table = &c->f.model->table;
    assert_ok(bt_exec_settle(exec, err));
    for (int kind = 0; kind < 2; kind++) {
        const float *const flat = kind == 0 ? bt_exec_params(exec) : bt_exec_slot(exec, 0);
        for (int64_t i = 0; i < table->n_params; i++) {
            const bt_param *const p = &table->params[i];
            const bool            is_noise = strstr(p->tf_name, "key/bias") != NULL;
            char                  name[256];
            (void)snprintf(name, sizeof name, "step%" PRId64 "/%s/%s", n_steps,
                           kind == 0 ? "var" : "m", p->tf_name);
            if (p->has_gradient && !(is_noise && kind == 1)) {
                test_close_f32(flat + p->offset, test_tensors_f32(golden, name, NULL),
                               (size_t)p->n_elements, is_noise ? 2e-4 : 2e-6, 0, name);
            }
        }
    }
}

void task_run_trajectory(task_case *c) {
    for (int64_t step = 0; step < task_fact(c, "steps", 0); step++) {
        bt_step_result result;
        task_case_pack(c, step);
        assert_ok(bt_exec_train_step(c->f.exec, &c->batch.batch, step, 1, &result, err));
        assert_int_equal(result.n_nonfinite, 0);
        task_compare_update(c, step, result.loss, result.grad_norm);
        if (!task_has_snapshot(c, step + 1)) {
            continue;
        }
        bt_exec *const exec = c->f.exec;
        task_compare_state(c, settled(exec, bt_exec_params(exec)), step + 1, "var");
        task_compare_state(c, settled(exec, bt_exec_slot(exec, 0)), step + 1, "m");
        task_compare_state(c, settled(exec, bt_exec_slot(exec, 1)), step + 1, "v");
        if (bt_optim_has_average(c->f.optim)) {
            task_compare_state(c, settled(exec, bt_exec_average(exec)), step + 1, "average");
        }
    }
}

const encoder_row encoder_rows[] = {
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
const size_t n_encoder_rows = BT_ARRAY_LEN(encoder_rows);

static void open_encoder(encoder_case *c, const encoder_row *row, const char *isa,
                         const char *path) {
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
    *c = (encoder_case){.row = row, .engine = isa, .golden = test_tensors_open(path)};
    fixture_open(&c->f, &encoder, &head, NULL, isa, 2);
    fixture_load(&c->f, c->golden, "w/");
}

void encoder_case_open(encoder_case *c, const encoder_row *row, const char *isa) {
    char path[256];
    (void)snprintf(path, sizeof path, "goldens/numerics/encoder/%s.safetensors", row->name);
    open_encoder(c, row, isa, test_shared_path(path));
}

bool encoder_case_open_outside(encoder_case *c, const encoder_row *row, const char *isa) {
    char relative[256];
    (void)snprintf(relative, sizeof relative, "goldens/numerics/encoder/%s.safetensors", row->name);
    const char *const path = test_outside_path(relative);
    if (path != NULL) {
        open_encoder(c, row, isa, path);
    }
    return path != NULL;
}

void encoder_case_close(encoder_case *c) {
    fixture_close(&c->f);
    test_tensors_close(c->golden);
}

void encoder_case_run(encoder_case *c, bool drop) {
    static fixture_batch      batch;
    const encoder_row *const  row = c->row;
    const test_tensors *const golden = c->golden;
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
        assert_ok(
            bt_exec_encode(c->f.exec, &batch.batch, layer, hidden, last ? pooled : NULL, err));
        (void)snprintf(what, sizeof what, "%s %s %s %s", row->name, c->engine,
                       drop ? "packed" : "padded", key);
        if (test_tensors_has(golden, key)) {
            task_compare_rows(&batch, hidden, golden, key, row->H, what);
        }
    }
    task_compare_rows(&batch, hidden, golden, "out/sequence_output", row->H, "sequence_output");
    test_close_f32(pooled, test_tensors_f32(golden, "out/pooled_output", NULL),
                   (size_t)(row->B * row->H), 1e-5, 0, "pooled_output");
    bt_free(hidden);
    bt_free(pooled);
}
