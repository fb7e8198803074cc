/* SPDX-License-Identifier: Apache-2.0
 *
 * Which encoder and which heads a file holds by its names; models that are refused; what the
 * configuration beside a file says. */
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/str.h"
#include "bt/tensor.h"
#include "bt/wire/bundle.h"
#include "bt/wire/safetensors.h"
#include "ckpt_test_support.h"
#include "test_faults.h"
#include "test_support.h"

/* google-research's ALBERT and what Model Garden's converter makes of it: the same bits. */
static void test_albert_weights(void **state) {
    (void)state;
    test_model_spec spec = test_small_spec;
    spec.type = BT_ENCODER_ALBERT;
    spec.embedding_size = 4;
    bt_model *const model = test_make_model(&spec);
    bt_ckpt        *files[2] = {NULL, NULL};
    bt_ckpt_facts   facts;
    float           values[2][512];
    assert_ok(bt_ckpt_open(test_source_path("tests/goldens/ckpt/albert_tf1"), &files[0], err));
    assert_ok(
        bt_ckpt_open(test_source_path("tests/goldens/ckpt/albert_converted"), &files[1], err));
    assert_int_equal(bt_ckpt_get_layout(files[0]), BT_CKPT_TF1);
    assert_int_equal(bt_ckpt_get_layout(files[1]), BT_CKPT_TF2);
    for (size_t f = 0; f < 2; f++) {
        assert_int_equal(bt_ckpt_get_encoder(files[f]), BT_CKPT_ALBERT);
        assert_int_equal(bt_ckpt_n_layers(files[f]), 1);
        assert_ok(bt_ckpt_read_facts(files[f], &facts, err));
        assert_ok(bt_ckpt_check_kind(files[f], &facts, err));
        assert_int_equal(facts.n_layers, f == 0 ? 2 : 0);
        assert_int_equal(facts.n_heads, f == 0 ? 2 : 0);
    }
    int64_t n_different = 0;
    for (int64_t i = 0; i < model->table.n_params; i++) {
        const bt_param *const param = &model->table.params[i];
        if (!param->is_encoder) {
            continue;
        }
        for (size_t f = 0; f < 2; f++) {
            assert_ok(bt_ckpt_read_variable(files[f], param, NULL, values[f], err));
        }
        assert_memory_equal(values[0], values[1], (size_t)param->n_elements * sizeof(float));
        n_different += values[0][0] != 0;
    }
    assert_int_equal(n_different, 25); /* none was left at 0 */
    bt_ckpt_close(files[0]);
    bt_ckpt_close(files[1]);
    bt_model_free(model);
}

/* The heads of run_classifier.py and run_squad.py, which keep [C,H]. */
static void test_tf1_heads(void **state) {
    (void)state;
    static const float       values[6] = {0, 1, 2, 3, 4, 5}; /* [2,3] */
    static const int64_t     dims[2] = {2, 3};
    static const char *const names[] = {"bert/encoder/layer_0/attention/self/query/kernel",
                                        "cls/squad/output_weights", "output_weights"};
    char                     prefix[TEST_PATH_MAX];
    bt_bundle_writer        *writer = NULL;
    bt_ckpt                 *ckpt = NULL;
    (void)snprintf(prefix, sizeof prefix, "%s/model.ckpt", test_temp_dir());
    assert_ok(bt_bundle_writer_create(prefix, &writer, err));
    for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
        assert_ok(bt_bundle_add(writer, names[i], BT_DTYPE_F32, 2, dims, values, err));
    }
    assert_ok(bt_bundle_writer_commit(&writer, err));
    assert_ok(bt_ckpt_open(prefix, &ckpt, err));
    static const char *const heads[] = {"sentence_prediction/logits/kernel",
                                        "predictions/transform/logits/kernel"};
    for (size_t i = 0; i < BT_ARRAY_LEN(heads); i++) {
        const bt_param param = {.name = heads[i], .rank = 2, .dim = {3, 2}, .n_elements = 6};
        float          got[6];
        assert_ok(bt_ckpt_read_variable(ckpt, &param, NULL, got, err));
        assert_true(got[0] == 0 && got[1] == 3 && got[2] == 1 && got[5] == 5);
    }
    bt_ckpt_close(ckpt);
}

/* A safetensors file of those names, each a [2,2] of zeros, and beside it a config.json or none. */
static void write_kind(const char *folder, const char *const *names, size_t n, const char *json) {
    static const float     zeros[4] = {0};
    static const int64_t   dims[2] = {2, 2};
    bt_st_tensor           tensors[4];
    bt_safetensors_writer *writer = NULL;
    char                   path[TEST_PATH_MAX];
    for (size_t i = 0; i < n; i++) {
        tensors[i] = (bt_st_tensor){names[i], BT_DTYPE_F32, 2, dims};
    }
    (void)snprintf(path, sizeof path, "%s/model.safetensors", folder);
    assert_ok(bt_safetensors_writer_create(path, tensors, n, NULL, 0, &writer, err));
    for (size_t i = 0; i < n; i++) {
        assert_ok(bt_safetensors_put(writer, zeros, sizeof zeros, err));
    }
    assert_ok(bt_safetensors_writer_commit(&writer, err));
    (void)snprintf(path, sizeof path, "%s/config.json", folder);
    if (json != NULL) {
        test_write_file(path, json, strlen(json));
    } else {
        (void)remove(path);
    }
}

#define QUERY "encoder.layer.0.attention.self.query.weight"

static void test_kinds(void **state) {
    (void)state;
    static const struct {
        const char *names[2];
        const char *json;
        bt_status   status;
        const char *message; /* or NULL: it is good */
    } rows[] = {
        {{"bert.encoder.layer.0.attention.self.query.weight"}, NULL, BT_OK, NULL},
        {{"encoder.layer.0.attention.self.query.weight"},
         "{\"model_type\": \"bert\"}",
         BT_OK,
         NULL},
        {{"encoder.layer.0.attention.self.query.weight"}, "[1]", BT_OK, NULL},
        {{"roberta.encoder.layer.0.attention.self.query.weight"},
         NULL,
         BT_E_UNSUPPORTED,
         "holds RoBERTa: its vocabulary is byte-level BPE"},
        {{"encoder.layer.0.attention.self.query.weight"},
         "{\"model_type\": \"roberta\"}",
         BT_E_UNSUPPORTED,
         "holds RoBERTa: "},
        {{"encoder.layer.0.attention.self.query.weight"},
         "{\"model_type\": \"big_bird\"}",
         BT_E_UNSUPPORTED,
         "holds BigBird: "},
        {{"x"},
         "{\"model_type\": \"nomic_bert\"}",
         BT_E_UNSUPPORTED,
         "holds a model of type 'nomic_bert'"},
        {{"electra.embeddings.LayerNorm.bias"}, NULL, BT_E_UNSUPPORTED, "holds ELECTRA: "},
        {{"mobilebert.x"}, NULL, BT_E_UNSUPPORTED, "holds MobileBERT: "},
        {{"transformer.layer.0.rel_attn.q"}, NULL, BT_E_UNSUPPORTED, "holds XLNet: "},
        {{"albert.encoder.albert_layer_groups.0.albert_layers.1.ffn.weight",
          "albert.encoder.albert_layer_groups.2.albert_layers.0.ffn.weight"},
         NULL,
         BT_E_UNSUPPORTED,
         "holds an ALBERT with 3 groups of 2 layers; an encoder here shares 1"},
        {{QUERY}, "{\"position_embedding_type\": \"absolute\"}", BT_OK, NULL},
        {{QUERY},
         "{\"position_embedding_type\": \"relative_key\"}",
         BT_E_UNSUPPORTED,
         "position_embedding_type is 'relative_key' ("},
        {{QUERY}, "{\"is_decoder\": false, \"pruned_heads\": {}}", BT_OK, NULL},
        {{QUERY}, "{\"is_decoder\": true}", BT_E_UNSUPPORTED, "is_decoder is true ("},
        {{QUERY},
         "{\"add_cross_attention\": true}",
         BT_E_UNSUPPORTED,
         "add_cross_attention is true"},
        {{QUERY}, "{\"pruned_heads\": {\"0\": [1]}}", BT_E_UNSUPPORTED, "pruned_heads ("},
        {{QUERY}, "{\"auto_map\": {\"AutoConfig\": \"a.B\"}}", BT_OK, NULL},
        {{QUERY},
         "{\"auto_map\": {\"AutoModelForMaskedLM\": \"a.B\"}}",
         BT_E_UNSUPPORTED,
         "auto_map ("},
        {{QUERY}, "{\"hidden_act\": \"gelu_python_tanh\"}", BT_OK, NULL},
        {{QUERY},
         "{\"hidden_act\": \"quick_gelu\"}",
         BT_E_UNSUPPORTED,
         "the activation 'quick_gelu'"},
        {{QUERY},
         "{\"model_type\": \"albert\", \"num_hidden_groups\": 4}",
         BT_E_UNSUPPORTED,
         "holds an ALBERT with 4 groups of 1 layers"},
        {{QUERY, "encoder.layer.0.attention.self.distance_embedding.weight"},
         NULL,
         BT_E_UNSUPPORTED,
         "tensor 'encoder.layer.0.attention.self.distance_embedding.weight' is part of its "
         "encoder"},
        {{QUERY, "encoder.layer.0.crossattention.self.query.weight"},
         NULL,
         BT_E_UNSUPPORTED,
         "crossattention.self.query.weight' is part of its encoder"},
        {{QUERY, "embeddings.task_type_embeddings.weight"},
         NULL,
         BT_E_UNSUPPORTED,
         "task_type_embeddings.weight' is part of its encoder"},
        {{QUERY, "embeddings.position_ids"}, NULL, BT_OK, NULL},
        {{"module." QUERY}, NULL, BT_OK, NULL},
        {{"module.bert." QUERY, "module.classifier.weight"}, NULL, BT_OK, NULL},
        {{"0.auto_model._orig_mod." QUERY}, NULL, BT_OK, NULL},
        {{"ernie." QUERY}, NULL, BT_E_UNSUPPORTED, "its names begin with 'ernie.', which may be"},
        {{"ernie." QUERY}, "{\"model_type\": \"bert\"}", BT_OK, NULL},
        {{"module.roberta." QUERY}, NULL, BT_E_UNSUPPORTED, "holds RoBERTa: "},
        {{"encoder." QUERY, "decoder.bert." QUERY},
         "{\"model_type\": \"bert\"}",
         BT_E_UNSUPPORTED,
         "holds two encoders, one below 'decoder.' and one below 'encoder.'"},
    };
    const char *const folder = test_temp_dir();
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_ckpt      *ckpt = NULL;
        bt_ckpt_facts facts;
        write_kind(folder, rows[i].names, rows[i].names[1] == NULL ? 1 : 2, rows[i].json);
        assert_ok(bt_ckpt_open(folder, &ckpt, err));
        assert_ok(bt_ckpt_read_facts(ckpt, &facts, err));
        if (rows[i].message == NULL) {
            assert_ok(bt_ckpt_check_kind(ckpt, &facts, err));
        } else {
            assert_fails(bt_ckpt_check_kind(ckpt, &facts, err), rows[i].status, rows[i].message);
        }
        bt_ckpt_close(ckpt);
    }
}

/* What a program put before all names does not change what the tensors are. */
static void test_wrappers(void **state) {
    (void)state;
    static const struct {
        const char *names[2];
        const char *wrapper;
        size_t      n_without;
        const char *finds;
    } rows[] = {
        {{"bert." QUERY, "classifier.weight"}, "", 0, "sentence_prediction/logits/kernel"},
        {{"model.bert." QUERY, "model.classifier.weight"},
         "model.",
         0,
         "sentence_prediction/logits/kernel"},
        {{"_orig_mod.module." QUERY, "loss.weight"},
         "_orig_mod.module.",
         1,
         "transformer/layer_0/self_attention/query/kernel"},
        {{"model.distilbert.transformer.layer.0.attention.q_lin.weight", "model.qa_outputs.weight"},
         "model.",
         0,
         "predictions/transform/logits/kernel"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_ckpt          *ckpt = NULL;
        size_t            n_without = 9;
        const char *const folder = test_temp_dir();
        write_kind(folder, rows[i].names, 2, NULL);
        assert_ok(bt_ckpt_open(folder, &ckpt, err));
        assert_string_equal(bt_ckpt_wrapper(ckpt, &n_without), rows[i].wrapper);
        assert_int_equal(n_without, rows[i].n_without);
        assert_true(bt_ckpt_find_variable(ckpt, rows[i].finds, NULL) >= 0);
        bt_ckpt_close(ckpt);
    }
}

/* Weights of other libraries, and what git and web servers leave in their place. */
static void test_strangers(void **state) {
    (void)state;
    static const struct {
        const char *name, *bytes;
        bool        by_folder; /* the folder is named, not the file */
        const char *message;
    } rows[] = {
        {"pytorch_model.bin", "PK\003\004archive/data.pkl", true, "torch.load('"},
        {"model.pt", "\200\002}q", false, "this is a PyTorch file"},
        {"weights", "PK\003\004xxxx/archive/data.pkl", false, "this is a PyTorch file"},
        {"tf_model.h5", "\211HDF\r\n\032\n", true, "from_tf=True"},
        {"x", "\211HDF\r\n\032\n", false, "this is a file of Keras"},
        {"flax_model.msgpack", "x", true, "from_flax=True"},
        {"model.onnx", "x", true, "a model in the format of another program (.onnx)"},
        {"adapter_model.safetensors", "x", true, "this is an adapter of PEFT"},
        {"config.json", "{}", false, "is beside weights, but holds none: name its folder"},
        {"notes", "x", false, "is not a checkpoint: expected a folder of weights"},
        {"model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
         true, "this is a Git LFS pointer"},
        {"model.safetensors", "\n<!DOCTYPE HTML><html>", true, "this is an HTML page"},
        {"a.index", "<html lang=\"en\">", true, "this is an HTML page"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        const char *const folder = test_temp_dir();
        bt_ckpt          *ckpt = NULL;
        char              path[TEST_PATH_MAX];
        (void)snprintf(path, sizeof path, "%s/%s", folder, rows[i].name);
        test_write_file(path, rows[i].bytes, strlen(rows[i].bytes));
        assert_fails(bt_ckpt_open(rows[i].by_folder ? folder : path, &ckpt, err), BT_E_FORMAT,
                     rows[i].message);
    }
}

static void test_facts(void **state) {
    (void)state;
    static const char *const names[] = {"x"};
    static const struct {
        const char *json;
        int64_t     n_layers, n_heads;
        double      norm_eps;
        const char *activation;
    } rows[] = {
        {"{\"num_hidden_layers\": 6, \"num_attention_heads\": 12, \"layer_norm_eps\": 1e-5,"
         "\"hidden_act\": \"gelu\"}",
         6, 12, 1e-5, "gelu"},
        {"{\"n_layers\": 3, \"n_heads\": 4, \"activation\": \"relu\"}", 3, 4, 0, "relu"},
        {"{\"num_hidden_layers\": null, \"hidden_act\": null}", 0, 0, 0, ""},
        {"{}", 0, 0, 0, ""},
    };
    const char *const folder = test_temp_dir();
    bt_ckpt          *ckpt = NULL;
    bt_ckpt_facts     facts;
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        write_kind(folder, names, 1, rows[i].json);
        assert_ok(bt_ckpt_open(folder, &ckpt, err));
        assert_ok(bt_ckpt_read_facts(ckpt, &facts, err));
        assert_int_equal(facts.n_layers, rows[i].n_layers);
        assert_int_equal(facts.n_heads, rows[i].n_heads);
        assert_true(facts.norm_eps == rows[i].norm_eps);
        assert_string_equal(facts.activation, rows[i].activation);
        assert_true(bt_str_ends_with(facts.path, "/config.json"));
        bt_ckpt_close(ckpt);
    }
    static const struct {
        const char *json;
        const char *message;
    } wrong[] = {
        {"{\"num_hidden_layers\": \"6\"}", "num_hidden_layers is not a whole number"},
        {"{\"n_layers\": -1}", "n_layers is not a whole number"},
        {"{\"n_heads\": 2.5}", "n_heads is not a whole number"},
        {"{\"hidden_act\": 7}", "hidden_act is not text"},
        {"{\"layer_norm_eps\": \"1e-5\"}", "layer_norm_eps is not a number"},
        {"{\"is_decoder\": 1}", "is_decoder is not a flag (true or false)"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(wrong); i++) {
        write_kind(folder, names, 1, wrong[i].json);
        assert_ok(bt_ckpt_open(folder, &ckpt, err));
        assert_fails(bt_ckpt_read_facts(ckpt, &facts, err), BT_E_FORMAT, wrong[i].message);
        bt_ckpt_close(ckpt);
    }
    write_kind(folder, names, 1, "{\"n_heads\": 2, \"share_layers\": true, \"x\": 1}");
    assert_ok(bt_ckpt_open(folder, &ckpt, err));
    assert_ok(bt_ckpt_read_facts(ckpt, &facts, err));
    assert_string_equal(facts.unknown_keys, "'share_layers', 'x'");
    bt_ckpt_close(ckpt);
    write_kind(folder, names, 1, "{\"n_heads\": 2,\n oops}");
    assert_ok(bt_ckpt_open(folder, &ckpt, err)); /* which the tools go on to read */
    assert_fails(bt_ckpt_read_facts(ckpt, &facts, err), BT_E_FORMAT, "config.json:2:");
    for (uint64_t k = 1; k < 20; k++) {
        write_kind(folder, names, 1, rows[0].json);
        bt_error fault = BT_ERROR_INIT;
        bt_alloc_fail_at(k, false);
        const bt_status rc = bt_ckpt_read_facts(ckpt, &facts, &fault);
        bt_alloc_fail_at(0, false);
        assert_true(rc == BT_OK || rc == BT_E_NOMEM);
    }
    bt_ckpt_close(ckpt);
}

static bt_status read_sentence(void *context, bt_error *fault) {
    bt_ckpt_sentence got;
    BT_TRY(bt_ckpt_read_sentence(context, &got, fault));
    assert_string_equal(got.pooling, "mean"); /* no fault is taken for a missing file */
    assert_int_equal(got.normalize, 1);
    assert_int_equal(got.max_seq_length, 12);
    return BT_OK;
}

static void test_sentence(void **state) {
    (void)state;
    static const char *const names[1] = {"bert.pooler.dense.bias"};
    const char *const        folder = test_temp_dir();
    bt_ckpt                 *ckpt = NULL;
    bt_ckpt_sentence         got;
    char                     path[TEST_PATH_MAX];
    assert_ok(bt_ckpt_open(test_source_path("tests/goldens/hf_sentences/mean"), &ckpt, err));
    const test_work work = {.what = "sentence", .work = read_sentence, .context = ckpt};
    assert_true(test_every_fault(&work) > 20);
    bt_ckpt_close(ckpt);
    write_kind(folder, names, 1, "{}");
    assert_ok(bt_ckpt_open(folder, &ckpt, err));
    assert_ok(bt_ckpt_read_sentence(ckpt, &got, err));
    assert_string_equal(got.pooling, "");
    assert_int_equal(got.normalize, -1);
    static const struct {
        const char *modules;
        bt_status   rc;
        const char *part;
    } rows[] = {
        {"[", BT_E_FORMAT, "modules.json"},
        {"{}", BT_E_FORMAT, "expected a list of modules"},
        {"[]", BT_E_FORMAT, "how tokens become a vector"},
        {"[{\"type\": \"a.Transformer\"}]", BT_E_FORMAT, "how tokens become a vector"},
        {"[{\"type\": \"a.Transformer\"}, {\"type\": \"a.Pooling\", \"path\": \"1\"}]", BT_E_FORMAT,
         "how tokens become a vector"},
        {"[{\"type\": \"a.Pooling\"}]", BT_E_UNSUPPORTED, "module 0 is 'Pooling'"},
        {"[{\"type\": \"WordEmbeddings\"}]", BT_E_UNSUPPORTED, "'WordEmbeddings'"},
        {"[7]", BT_E_UNSUPPORTED, "module 0 is ''"},
    };
    (void)snprintf(path, sizeof path, "%s/modules.json", folder);
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        test_write_file(path, rows[i].modules, strlen(rows[i].modules));
        assert_fails(bt_ckpt_read_sentence(ckpt, &got, err), rows[i].rc, rows[i].part);
    }
    bt_ckpt_close(ckpt);
}

/* NAME.safetensors in the folder: n tensors [2,2], all of that value. */
static void write_shard(const char *folder, const char *name, const char *const *tensors, size_t n,
                        float value) {
    const float            values[4] = {value, value, value, value};
    static const int64_t   dims[2] = {2, 2};
    bt_st_tensor           list[2];
    bt_safetensors_writer *writer = NULL;
    char                   path[TEST_PATH_MAX];
    for (size_t i = 0; i < n; i++) {
        list[i] = (bt_st_tensor){tensors[i], BT_DTYPE_F32, 2, dims};
    }
    (void)snprintf(path, sizeof path, "%s/%s.safetensors", folder, name);
    assert_ok(bt_safetensors_writer_create(path, list, n, NULL, 0, &writer, err));
    for (size_t i = 0; i < n; i++) {
        assert_ok(bt_safetensors_put(writer, values, sizeof values, err));
    }
    assert_ok(bt_safetensors_writer_commit(&writer, err));
}

static bt_status open_index(void *context, bt_error *err) {
    bt_ckpt *ckpt = NULL;
    BT_TRY(bt_ckpt_open(context, &ckpt, err));
    const bt_status rc = bt_ckpt_verify(ckpt, err);
    bt_ckpt_close(ckpt);
    return rc;
}

/* Shards "a" {x, y} and "b" {z} beside an index that says so, or something else. */
static const struct {
    const char *json;
    const char *message; /* NULL: good */
} index_rows[] = {
    {"{\"weight_map\": {\"x\": \"a.safetensors\", \"y\": \"a.safetensors\","
     " \"z\": \"b.safetensors\"}}",
     NULL},
    {"{\"weight_map\": {\"x\": \"a.safetensors\"}}", NULL}, /* y is there all the same */
    {"{\"weight_map\": {}}", "it has no weight_map"},
    {"{\"weights\": {\"x\": \"a.safetensors\"}}", "it has no weight_map"},
    {"{\"weight_map\": [\"a.safetensors\"]}", "it has no weight_map"},
    {"[]", "it has no weight_map"},
    {"{\"weight_map\": {\"x\": ", "no index of safetensors files"},
    {"", "no index of safetensors files"},
    {"{\"weight_map\": {\"x\": 7}}", "names '?', which is not a *.safetensors file beside it"},
    {"{\"weight_map\": {\"x\": \"\"}}", "names '', which is no"},
    {"{\"weight_map\": {\"x\": \"../a.safetensors\"}}", "names '../a.safetensors', which is no"},
    {"{\"weight_map\": {\"x\": \"/etc/a.safetensors\"}}", "which is no"},
    {"{\"weight_map\": {\"x\": \"d\\\\a.safetensors\"}}", "which is no"},
    {"{\"weight_map\": {\"x\": \".a.safetensors\"}}", "which is no"},
    {"{\"weight_map\": {\"x\": \"a.bin\"}}", "which is no"},
    {"{\"weight_map\": {\"x\": \"none.safetensors\"}}", "none.safetensors"},
    {"{\"weight_map\": {\"x\": \"b.safetensors\"}}", "b.safetensors holds no tensor x"},
    {"{\"weight_map\": {\"x\": \"a.safetensors\", \"w\": \"b.safetensors\"}}",
     "b.safetensors holds no tensor w"},
    {"{\"weight_map\": {\"x\": \"a.safetensors\", \"z\": \"twice.safetensors\"}}",
     "is in two of its files"},
};

static void test_several_files(void **state) {
    (void)state;
    static const char *const xy[] = {"x", "y"};
    static const char *const zx[] = {"z", "x"};
    const char *const        folder = test_temp_dir();
    char                     path[TEST_PATH_MAX];
    write_shard(folder, "a", xy, 2, 1);
    write_shard(folder, "b", zx, 1, 2);
    write_shard(folder, "twice", zx, 2, 3);
    (void)snprintf(path, sizeof path, "%s/model.safetensors.index.json", folder);
    for (size_t i = 0; i < BT_ARRAY_LEN(index_rows); i++) {
        test_write_file(path, index_rows[i].json, strlen(index_rows[i].json));
        bt_error        fault = BT_ERROR_INIT;
        const bt_status rc = open_index((void *)(uintptr_t)folder, &fault);
        if (index_rows[i].message == NULL ? rc != BT_OK
                                          : bt_status_exit_code(rc) != 3 ||
                                                strstr(fault.msg, index_rows[i].message) == NULL) {
            fail_msg("%s: %s: %s", index_rows[i].json, bt_status_name(rc), fault.msg);
        }
    }
    test_write_file(path, index_rows[0].json, strlen(index_rows[0].json));
    assert_true(test_every_fault(&(test_work){
                    .what = "weights in several files", .work = open_index, .context = path}) > 30);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_albert_weights), cmocka_unit_test(test_tf1_heads),
        cmocka_unit_test(test_kinds),          cmocka_unit_test(test_facts),
        cmocka_unit_test(test_several_files),  cmocka_unit_test(test_sentence),
        cmocka_unit_test(test_wrappers),       cmocka_unit_test(test_strangers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
