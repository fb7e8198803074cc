/* SPDX-License-Identifier: Apache-2.0
 *
 * Exports of small models: every variable comes back from its tensor, activations have words that
 * are read as the same ones, what transformers has no model for is refused, and of a failing export
 * nothing stays. */
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/ckpt.h"
#include "bt/export.h"
#include "test_faults.h"
#include "test_support.h"

static const char pieces[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\ncat\n##s\n\"\n\\\n";

typedef struct export_case {
    bt_model        *model;
    float           *params;
    bt_text_vocab   *vocab;
    bt_export_source source;
    char             folder[512];
    const char      *format;
} export_case;

static bt_encoder_config small_encoder(bt_encoder_type type, int64_t embedding) {
    return (bt_encoder_config){.type = type,
                               .vocab_size = 10,
                               .hidden_size = 6,
                               .embedding_size = embedding,
                               .num_layers = 2,
                               .num_attention_heads = 2,
                               .intermediate_size = 5,
                               .max_position_embeddings = 7,
                               .type_vocab_size = 2,
                               .hidden_activation = BT_ACT_GELU,
                               .initializer_range = 0.02F};
}

static void begin(export_case *c, const bt_encoder_config *encoder, const bt_head_config *head,
                  bt_export_kind kind) {
    bt_error err = BT_ERROR_INIT;
    *c = (export_case){.format = "hf"};
    assert_int_equal(bt_model_create(encoder, head, &c->model, &err), BT_OK);
    c->params = bt_calloc_array((size_t)c->model->table.n_elements, sizeof *c->params);
    assert_non_null(c->params);
    for (int64_t i = 0; i < c->model->table.n_params; i++) { /* gaps stay 0 */
        const bt_param *const param = &c->model->table.params[i];
        for (int64_t j = 0; j < param->n_elements; j++) {
            c->params[param->offset + j] = (float)(i * 1000 + j);
        }
    }
    assert_int_equal(bt_text_vocab_parse(&c->vocab, pieces, sizeof pieces - 1, "pieces", &err),
                     BT_OK);
    c->source = (bt_export_source){
        .model = c->model,
        .params = c->params,
        .kind = kind,
        .text = {.vocab = c->vocab, .options = {.do_lower_case = true}, .max_length = 7},
        .name = "small",
        .experiment = "test",
        .checkpoint = "run/ckpt-1",
        .step = 1,
        .version = "0"};
    (void)snprintf(c->folder, sizeof c->folder, "%s/a/b", test_temp_dir());
}

static void end(export_case *c) {
    bt_text_vocab_free(c->vocab);
    bt_free(c->params);
    bt_model_free(c->model);
}

static bt_status write_case(void *context, bt_error *err) {
    const export_case *const c = context;
    const bt_export_format  *format = NULL;
    BT_TRY(bt_export_find(c->format, &format, err));
    return bt_export_write(format, &c->source, c->folder, err);
}

/* Every variable that the export holds, from its tensor; how many it lacks. */
static int64_t compare(const export_case *c) {
    bt_error err = BT_ERROR_INIT;
    bt_ckpt *ckpt = NULL;
    int64_t  n_absent = 0;
    assert_int_equal(bt_ckpt_open(c->folder, &ckpt, &err), BT_OK);
    for (int64_t i = 0; i < c->model->table.n_params; i++) {
        const bt_param *const param = &c->model->table.params[i];
        if (bt_ckpt_find_variable(ckpt, param->name, NULL) < 0) {
            n_absent++;
            continue;
        }
        float *const values = bt_calloc_array((size_t)param->n_elements, sizeof *values);
        assert_non_null(values);
        const bt_status rc = bt_ckpt_read_variable(ckpt, param, NULL, values, &err);
        const bool      is_pooler =
            i == c->model->pooler_transform.kernel || i == c->model->pooler_transform.bias;
        const bool is_other = is_pooler && c->model->head_pooler.kernel >= 0;
        assert_int_equal(rc, BT_OK);
        for (int64_t j = 0; j < param->n_elements && !is_other; j++) {
            assert_true(values[j] == c->params[param->offset + j]);
        }
        bt_free(values);
    }
    bt_ckpt_close(ckpt);
    return n_absent;
}

static void test_every_variable_comes_back(void **state) {
    (void)state;
    static const struct {
        bt_encoder_type type;
        int64_t         embedding;
        bt_head_kind    head;
        bt_export_kind  kind;
        int64_t         n_absent; /* poolers that models of tags and answers do not have */
    } rows[] = {
        {BT_ENCODER_BERT, 6, BT_HEAD_POOLER_DENSE, BT_EXPORT_CLASSES, 0},
        {BT_ENCODER_BERT_V2, 6, BT_HEAD_ENCODER_POOLER, BT_EXPORT_CLASSES, 0},
        {BT_ENCODER_BERT, 6, BT_HEAD_TOKENS, BT_EXPORT_TAGS, 2},
        {BT_ENCODER_BERT, 6, BT_HEAD_TOKENS, BT_EXPORT_ANSWERS, 2},
        {BT_ENCODER_BERT, 6, BT_HEAD_POOLED_OUTPUT, BT_EXPORT_VECTORS, 0},
        {BT_ENCODER_ALBERT, 4, BT_HEAD_ENCODER_POOLER, BT_EXPORT_CLASSES, 0},
        {BT_ENCODER_ALBERT, 6, BT_HEAD_TOKENS, BT_EXPORT_ANSWERS, 2},
        {BT_ENCODER_ALBERT, 4, BT_HEAD_POOLED_OUTPUT, BT_EXPORT_VECTORS, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const bt_encoder_config encoder = small_encoder(rows[i].type, rows[i].embedding);
        const bt_head_config    head = {.kind = rows[i].head, .num_classes = 2};
        bt_error                err = BT_ERROR_INIT;
        export_case             c;
        begin(&c, &encoder, &head, rows[i].kind);
        c.format = rows[i].kind == BT_EXPORT_VECTORS ? "sentence_transformers" : "hf";
        assert_int_equal(write_case(&c, &err), BT_OK);
        assert_int_equal(compare(&c), rows[i].n_absent);
        end(&c);
    }
}

/* What the word in config.json computes is what the model computes. */
static void test_activations(void **state) {
    (void)state;
    const bt_head_config head = {.kind = BT_HEAD_ENCODER_POOLER, .num_classes = 2};
    for (int a = 0; a < BT_N_ACTIVATIONS; a++) {
        bt_encoder_config encoder = small_encoder(BT_ENCODER_BERT, 6);
        bt_error          err = BT_ERROR_INIT;
        bt_ckpt          *ckpt = NULL;
        bt_ckpt_facts     facts;
        bt_activation     again = BT_ACT_GELU;
        export_case       c;
        encoder.hidden_activation = (bt_activation)a;
        begin(&c, &encoder, &head, BT_EXPORT_CLASSES);
        const bt_status rc = write_case(&c, &err);
        if (a == BT_ACT_HARD_SWISH) {
            assert_int_equal(rc, BT_E_UNSUPPORTED);
            assert_non_null(strstr(err.msg, "'hard_swish', which transformers does not have"));
        } else {
            assert_int_equal(rc, BT_OK);
            assert_int_equal(bt_ckpt_open(c.folder, &ckpt, &err), BT_OK);
            assert_int_equal(bt_ckpt_read_facts(ckpt, &facts, &err), BT_OK);
            const char *const word = bt_ckpt_activation_word(ckpt, facts.activation);
            assert_non_null(word);
            assert_int_equal(bt_activation_from_name(word, &again, &err), BT_OK);
            assert_int_equal(again, a);
            assert_string_equal(facts.unknown_keys, "");
            bt_ckpt_close(ckpt);
        }
        end(&c);
    }
}

static void test_what_transformers_cannot_compute(void **state) {
    (void)state;
    const bt_head_config head = {.kind = BT_HEAD_ENCODER_POOLER, .num_classes = 2};
    for (int i = 0; i < 2; i++) {
        bt_encoder_config encoder = small_encoder(BT_ENCODER_BERT, i == 0 ? 6 : 4);
        bt_error          err = BT_ERROR_INIT;
        bt_fs_info        info = {0};
        export_case       c;
        encoder.norm_first = i == 0;
        begin(&c, &encoder, &head, BT_EXPORT_CLASSES);
        assert_int_equal(write_case(&c, &err), BT_E_UNSUPPORTED);
        assert_non_null(strstr(err.msg, i == 0 ? "norm_first" : "embedding_size"));
        assert_int_equal(bt_fs_stat(c.folder, &info, &err), BT_OK);
        assert_int_equal(info.kind, BT_FS_MISSING);
        end(&c);
    }
}

static void remove_all(void *context) {
    const export_case *const c = context;
    bt_error                 err = BT_ERROR_INIT;
    char                     outer[512];
    (void)snprintf(outer, sizeof outer, "%.*s", (int)(strlen(c->folder) - 2), c->folder);
    assert_int_equal(bt_fs_remove_tree(outer, &err), BT_OK);
}

/* All files or none of them, and no folder that was made for them. */
static void check_whole(void *context, bt_status rc) {
    const export_case *const c = context;
    bt_error                 err = BT_ERROR_INIT;
    bt_fs_names              names = BT_FS_NAMES_INIT;
    bt_fs_info               info = {0};
    assert_int_equal(bt_fs_stat(c->folder, &info, &err), BT_OK);
    if (info.kind == BT_FS_FOLDER) {
        assert_int_equal(bt_fs_list(c->folder, &names, &err), BT_OK);
        assert_true(rc == BT_OK ? names.n == 12 : names.n == 0 || names.n == 12);
    } else {
        assert_int_not_equal(rc, BT_OK);
    }
    if (names.n > 0) {
        assert_int_equal(compare(c), 0);
    }
    bt_fs_names_deinit(&names);
}

static void test_faults(void **state) {
    (void)state;
    const bt_encoder_config encoder = small_encoder(BT_ENCODER_BERT, 6);
    const bt_head_config    head = {.kind = BT_HEAD_POOLED_OUTPUT, .normalize = true};
    export_case             c;
    begin(&c, &encoder, &head, BT_EXPORT_VECTORS);
    c.format = "sentence_transformers";
    const test_work work = {.what = "an export",
                            .prepare = remove_all,
                            .work = write_case,
                            .check = check_whole,
                            .context = &c,
                            .stride = 7};
    assert_true(test_every_fault(&work) > 100);
    end(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_variable_comes_back),
        cmocka_unit_test(test_activations),
        cmocka_unit_test(test_what_transformers_cannot_compute),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
