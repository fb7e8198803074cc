/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights as Hugging Face Transformers writes them compute here what they compute there: every
 * layer and the logits of tiny models (tests/goldens/hf, made by make_hugging_face.py), read
 * through ckpt, run by the engine under every instruction set. */
#include <stdio.h>
#include <string.h>

#include "bt/ckpt.h"
#include "exec_fixture.h"

typedef struct hf_row {
    const char     *name;
    bt_encoder_type type;
    int64_t         embedding_size;
    bt_activation   activation;
    bt_head_config  head;
    bt_ckpt_encoder holds;
} hf_row;

static const hf_row hf_rows[] = {
    {"bert_classifier",
     BT_ENCODER_BERT,
     8,
     BT_ACT_GELU_ERF,
     {.kind = BT_HEAD_POOLER_DENSE, .loss = BT_LOSS_SOFTMAX, .num_classes = 3},
     BT_CKPT_BERT},
    {"bert_classifier",
     BT_ENCODER_BERT_V2,
     8,
     BT_ACT_GELU_ERF,
     {.kind = BT_HEAD_ENCODER_POOLER, .loss = BT_LOSS_SOFTMAX, .num_classes = 3},
     BT_CKPT_BERT},
    {"bert_span",
     BT_ENCODER_BERT,
     8,
     BT_ACT_GELU_ERF,
     {.kind = BT_HEAD_TOKENS, .loss = BT_LOSS_SPAN, .num_classes = 2},
     BT_CKPT_BERT},
    {"albert_classifier",
     BT_ENCODER_ALBERT,
     4,
     BT_ACT_GELU,
     {.kind = BT_HEAD_ENCODER_POOLER, .loss = BT_LOSS_SOFTMAX, .num_classes = 3},
     BT_CKPT_ALBERT},
    {"distilbert_tagger",
     BT_ENCODER_BERT,
     8,
     BT_ACT_GELU_ERF,
     {.kind = BT_HEAD_TOKENS, .loss = BT_LOSS_TOKENS, .num_classes = 3},
     BT_CKPT_DISTILBERT},
};

enum { B = 3, S = 7, H = 8 };

/* Every parameter, the head's too; what the file does not hold stays 0. */
static void load(fixture *f, const hf_row *row, const char *folder) {
    bt_ckpt      *ckpt = NULL;
    bt_ckpt_facts facts;
    float *const  flat = settled(f->exec, bt_exec_params(f->exec));
    assert_ok(bt_ckpt_open(folder, &ckpt, err));
    assert_int_equal(bt_ckpt_get_encoder(ckpt), row->holds);
    assert_int_equal(bt_ckpt_n_layers(ckpt), row->holds == BT_CKPT_ALBERT ? 1 : 2);
    assert_ok(bt_ckpt_read_facts(ckpt, &facts, err));
    assert_ok(bt_ckpt_check_kind(ckpt, &facts, err));
    assert_int_equal(facts.n_heads, 2);
    assert_int_equal(facts.n_layers, 2);
    assert_string_equal(facts.activation, row->holds == BT_CKPT_ALBERT ? "gelu_new" : "gelu");
    for (int64_t i = 0; i < f->model->table.n_params; i++) {
        const bt_param *const param = &f->model->table.params[i];
        if (bt_ckpt_find_variable(ckpt, param->name, NULL) >= 0) {
            assert_ok(bt_ckpt_read_variable(ckpt, param, NULL, flat + param->offset, err));
        } else {
            assert_int_not_equal(bt_ckpt_why_absent(ckpt, param->name), BT_CKPT_NEEDED);
        }
    }
    bt_ckpt_close(ckpt);
}

/* The rows of `want` [B*S,n] that were kept, against got [T,n]. */
static void compare_kept(const fixture_batch *batch, const float *got, const float *want, size_t n,
                         const char *what) {
    for (int64_t t = 0; t < batch->batch.n_tokens; t++) {
        test_close_f32(got + t * (int64_t)n, want + batch->places[t] * (int64_t)n, n, 1e-5, 1e-5,
                       what);
    }
}

static void compare(fixture *f, const hf_row *row, const test_tensors *expected,
                    const fixture_batch *batch) {
    static float   hidden[B * S * H];
    const size_t   n_classes = (size_t)row->head.num_classes;
    const float   *logits = test_tensors_f32(expected, "logits", NULL);
    bt_step_result result;
    for (int64_t layer = -1; layer < f->model->encoder.num_layers; layer++) {
        char name[32];
        (void)snprintf(name, sizeof name, "hidden_%d", (int)layer + 1);
        assert_ok(bt_exec_encode(f->exec, &batch->batch, layer, hidden, NULL, err));
        compare_kept(batch, hidden, test_tensors_f32(expected, name, NULL), H, name);
    }
    assert_ok(bt_exec_evaluate(f->exec, &batch->batch, &result, err));
    if (row->head.kind == BT_HEAD_TOKENS) {
        compare_kept(batch, result.logits, logits, n_classes, "logits");
    } else {
        test_close_f32(result.logits, logits, B * n_classes, 1e-5, 1e-5, "logits");
    }
}

static void check_row(const hf_row *row, const char *isa) {
    char                    path[512];
    static fixture_batch    batch;
    fixture                 f;
    const bt_encoder_config encoder = {.type = row->type,
                                       .vocab_size = 20,
                                       .hidden_size = H,
                                       .embedding_size = row->embedding_size,
                                       .num_layers = 2,
                                       .num_attention_heads = 2,
                                       .intermediate_size = 12,
                                       .max_position_embeddings = 10,
                                       .type_vocab_size = 2,
                                       .hidden_activation = row->activation};
    (void)snprintf(path, sizeof path, "tests/goldens/hf/%s/expected.safetensors", row->name);
    test_tensors *const expected = test_tensors_open(test_source_path(path));
    (void)snprintf(path, sizeof path, "tests/goldens/hf/%s", row->name);
    fixture_open(&f, &encoder, &row->head, NULL, isa, 2);
    load(&f, row, test_source_path(path));
    fixture_pack(&batch, test_tensors_i32(expected, "input_word_ids", NULL),
                 test_tensors_i32(expected, "input_mask", NULL),
                 test_tensors_i32(expected, "input_type_ids", NULL), B, S, true);
    compare(&f, row, expected, &batch);
    fixture_close(&f);
    test_tensors_close(expected);
}

static void test_weights_compute_the_same(void **state) {
    (void)state;
    for (const char *const *isa = fixture_isas(); *isa != NULL; isa++) {
        for (size_t i = 0; i < BT_ARRAY_LEN(hf_rows); i++) {
            check_row(&hf_rows[i], *isa);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_weights_compute_the_same)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
