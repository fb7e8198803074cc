/* SPDX-License-Identifier: Apache-2.0
 *
 * TF Hub modules against the real TensorFlow Hub and Model Garden: the encoder's configuration
 * comes from the module, its outputs are those of hub.KerasLayer, and one update of fine-tuning
 * through task.hub_module_url gives the same loss, gradients and variables. Tolerances:
 * tests/goldens/model_garden/numerics/MANIFEST.md. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/ckpt.h"
#include "bt/fs.h"
#include "exec_fixture.h"

typedef struct module {
    bt_ckpt       *ckpt;
    bt_ckpt_module info;
} module;

static void module_open(module *m, const char *folder) {
    assert_ok(bt_ckpt_open(folder, &m->ckpt, err));
    assert_ok(bt_ckpt_module_read(folder, m->ckpt, &m->info, err));
}

static void module_close(module *m) {
    bt_ckpt_module_deinit(&m->info);
    bt_ckpt_close(m->ckpt);
}

static bt_encoder_config encoder_of(const bt_ckpt_module *info) {
    bt_activation activation = BT_ACT_GELU; /* what is not said is BERT's own */
    if (info->has_config) {
        assert_ok(bt_activation_from_name(info->activation, &activation, err));
    }
    return (bt_encoder_config){.type = BT_ENCODER_BERT,
                               .vocab_size = info->sizes.vocab_size,
                               .hidden_size = info->sizes.hidden_size,
                               .embedding_size = info->sizes.embedding_size,
                               .num_layers = info->sizes.num_layers,
                               .num_attention_heads = info->sizes.num_attention_heads,
                               .intermediate_size = info->sizes.intermediate_size,
                               .max_position_embeddings = info->sizes.max_position_embeddings,
                               .type_vocab_size = info->sizes.type_vocab_size,
                               .hidden_activation = activation,
                               .norm_first = info->norm_first == 1};
}

/* The encoder from the module, the head (if any) from the golden. */
static void load(fixture *f, const module *m, const test_tensors *golden) {
    float *const flat = settled(f->exec, bt_exec_params(f->exec));
    fixture_load(f, golden, "w/");
    for (int64_t i = 0; i < f->model->table.n_params; i++) {
        const bt_param *const param = &f->model->table.params[i];
        if (param->is_encoder) {
            memset(flat + param->offset, 0xff, (size_t)param->n_elements * sizeof *flat);
            assert_ok(bt_ckpt_read_variable(m->ckpt, param, NULL, flat + param->offset, err));
        }
    }
}

static void compare_outputs(const module *m, const char *golden_path, const char *isa) {
    static fixture_batch    batch;
    test_tensors *const     golden = test_tensors_open(golden_path);
    const bt_encoder_config encoder = encoder_of(&m->info);
    const bt_head_config    head = {.kind = BT_HEAD_POOLED_OUTPUT, .loss = BT_LOSS_NONE};
    const int64_t           H = encoder.hidden_size;
    fixture                 f;
    size_t                  n_pooled = 0;
    size_t                  n_ids = 0;
    const float *const      want = test_tensors_f32(golden, "out/sequence_output", NULL);
    const float *const      pooled_want = test_tensors_f32(golden, "out/pooled_output", &n_pooled);
    const int32_t *const    ids = test_tensors_i32(golden, "in/input_word_ids", &n_ids);
    const int64_t           B = (int64_t)n_pooled / H;
    fixture_open(&f, &encoder, &head, NULL, isa, 2);
    load(&f, m, golden);
    fixture_pack(&batch, ids, test_tensors_i32(golden, "in/input_mask", NULL),
                 test_tensors_i32(golden, "in/input_type_ids", NULL), B, (int64_t)n_ids / B, true);
    float *const hidden = bt_alloc_array((size_t)(batch.batch.n_tokens * H), sizeof *hidden);
    float *const pooled = bt_alloc_array(n_pooled, sizeof *pooled);
    assert_non_null(hidden);
    assert_non_null(pooled);
    assert_ok(bt_exec_encode(f.exec, &batch.batch, encoder.num_layers - 1, hidden, pooled, err));
    for (int64_t t = 0; t < batch.batch.n_tokens; t++) {
        test_close_f32(hidden + t * H, want + batch.places[t] * H, (size_t)H, 1e-5, 0, golden_path);
    }
    test_close_f32(pooled, pooled_want, n_pooled, 1e-5, 0, "pooled_output");
    bt_free(hidden);
    bt_free(pooled);
    fixture_close(&f);
    test_tensors_close(golden);
}

static void compare_params(const fixture *f, const test_tensors *golden, const float *flat,
                           const char *prefix, double tolerance) {
    size_t n_compared = 0;
    for (int64_t i = 0; i < f->model->table.n_params; i++) {
        const bt_param *const param = &f->model->table.params[i];
        char                  name[512];
        (void)snprintf(name, sizeof name, "%s%s", prefix, param->tf_name);
        if (test_tensors_has(golden, name)) {
            /* keys' biases have a true gradient of 0: what is stored is noise */
            const bool noise = strstr(name, "key/bias") != NULL && flat == bt_exec_params(f->exec);
            test_close_f32(flat + param->offset, test_tensors_f32(golden, name, NULL),
                           (size_t)param->n_elements, noise ? 2e-4 : tolerance, 0, name);
            n_compared++;
        }
    }
    assert_true(n_compared > 20);
}

static void compare_update(const module *m, const char *golden_path, const char *json_path,
                           const char *isa) {
    static fixture_batch    batch;
    test_tensors *const     golden = test_tensors_open(golden_path);
    json_t *const           config = test_read_json(json_path);
    const bt_encoder_config encoder = encoder_of(&m->info);
    const bt_head_config    head = {
           .kind = BT_HEAD_POOLER_DENSE, .loss = BT_LOSS_SOFTMAX, .num_classes = 3};
    fixture              f;
    bt_step_result       result;
    size_t               n_ids = 0;
    size_t               B = 0;
    const int32_t *const ids = test_tensors_i32(golden, "batch0/input_word_ids", &n_ids);
    const int32_t *const labels = test_tensors_i32(golden, "batch0/label_ids", &B);
    fixture_open(&f, &encoder, &head, json_object_get(config, "optimizer"), isa, 2);
    load(&f, m, golden);
    compare_params(&f, golden, settled(f.exec, bt_exec_params(f.exec)), "w/",
                   0); /* the module's own bits */
    fixture_pack(&batch, ids, test_tensors_i32(golden, "batch0/input_mask", NULL),
                 test_tensors_i32(golden, "batch0/input_type_ids", NULL), (int64_t)B,
                 (int64_t)(n_ids / B), true);
    memcpy(batch.int_labels, labels, B * sizeof *labels);
    batch.batch.int_labels = batch.int_labels;
    assert_ok(bt_exec_gradients(f.exec, &batch.batch, 0, 1, &result, err));
    const double norm = (double)test_tensors_f32(golden, "global_norm", NULL)[0];
    const double loss = (double)test_tensors_f32(golden, "loss", NULL)[0];
    test_close_f64(&result.loss, &loss, 1, 1e-5, 1e-5, "loss");
    test_close_f64(&result.grad_norm, &norm, 1, 0, 5e-6, "global_norm");
    compare_params(&f, golden, settled(f.exec, bt_exec_gradient(f.exec)), "grad/",
                   1e-6 * fmax(1, norm));
    assert_ok(bt_exec_train_step(f.exec, &batch.batch, 0, 1, &result, err));
    compare_params(&f, golden, settled(f.exec, bt_exec_params(f.exec)), "step1/var/", 2e-6);
    fixture_close(&f);
    json_decref(config);
    test_tensors_close(golden);
}

/* The module of the full goldens. */

#define SHARED "goldens/numerics/checkpoints/hub/"

static void test_shared_module_matches(void **state) {
    char io[TEST_PATH_MAX];
    char update[TEST_PATH_MAX];
    char json[TEST_PATH_MAX];
    (void)state;
    if (test_shared_path(SHARED "bert_tiny") == NULL) {
        test_skip("the folder of Model Garden's goldens is absent");
    }
    module m;
    module_open(&m, test_shared_path(SHARED "bert_tiny"));
    assert_int_equal(m.info.do_lower_case, 1);
    assert_non_null(m.info.vocab_file);
    (void)snprintf(io, sizeof io, "%s", test_shared_path(SHARED "io_bert_tiny.safetensors"));
    (void)snprintf(update, sizeof update, "%s",
                   test_shared_path(SHARED "finetune_one_step.safetensors"));
    (void)snprintf(json, sizeof json, "%s", test_shared_path(SHARED "finetune_one_step.json"));
    for (const char *const *isa = fixture_isas(); *isa != NULL; isa++) {
        compare_outputs(&m, io, *isa);
        compare_update(&m, update, json, *isa);
    }
    module_close(&m);
}

/* The project's own (make_goldens/make_hub_goldens.py). */

/* golden_name: of the outputs, which several modules may share. */
static void own_module_matches(const char *name, const char *golden_name, bool has_update) {
    char     folder[] = "/tmp/bt-hub-XXXXXX";
    char     archive[TEST_PATH_MAX];
    char     golden[TEST_PATH_MAX];
    char     json[TEST_PATH_MAX];
    char     relative[64];
    bt_error problem = BT_ERROR_INIT;
    (void)snprintf(relative, sizeof relative, "tests/goldens/hub/%s", name);
    (void)snprintf(archive, sizeof archive, "%s.tar.gz", test_source_path(relative));
    (void)snprintf(relative, sizeof relative, "tests/goldens/hub/%s", golden_name);
    (void)snprintf(golden, sizeof golden, "%s.safetensors", test_source_path(relative));
    (void)snprintf(json, sizeof json, "%s.json", test_source_path(relative));
    assert_non_null(mkdtemp(folder));
    if (bt_fs_unpack(archive, folder, 100, 1 << 24, &problem) == BT_E_UNSUPPORTED) {
        assert_ok(bt_fs_remove_tree(folder, err));
        test_skip("built without libarchive");
    }
    assert_string_equal(problem.msg, "");
    module m;
    module_open(&m, folder);
    if (m.info.has_config) {
        assert_int_equal(m.info.do_lower_case, 1);
        assert_string_equal(bt_fs_basename(m.info.vocab_file), "vocab.txt");
    }
    assert_int_equal(m.info.sizes.num_layers, 2);
    assert_int_equal(m.info.sizes.vocab_size, 24);
    for (const char *const *isa = fixture_isas(); *isa != NULL; isa++) {
        compare_outputs(&m, golden, *isa);
        if (has_update) {
            compare_update(&m, golden, json, *isa);
        }
    }
    module_close(&m);
    assert_ok(bt_fs_remove_tree(folder, err));
}

static void test_own_bert_matches(void **state) {
    (void)state;
    own_module_matches("small", "small", true);
}

static void test_own_bert_v2_matches(void **state) {
    (void)state;
    own_module_matches("small_v2", "small_v2", false);
}

static void test_own_old_export_matches(void **state) {
    (void)state;
    own_module_matches("small_old", "small", false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_bert_matches),
        cmocka_unit_test(test_own_bert_v2_matches),
        cmocka_unit_test(test_own_old_export_matches),
        cmocka_unit_test(test_shared_module_matches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
