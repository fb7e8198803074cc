/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading checkpoints of every layout under canonical names: the same weights from TF1, TF2 (both
 * encoder types), a pre-trainer, a hub SavedModel and Hugging Face's names, bit for bit; every way
 * to name a checkpoint; damage; faults of memory and disk. */
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "bt/tensor.h"
#include "bt/wire/bundle.h"
#include "bt/wire/safetensors.h"
#include "ckpt_test_support.h"
#include "test_faults.h"
#include "test_support.h"

#define GOLDENS "goldens/numerics/checkpoints/"

#define NEED_GOLDENS()                                                                             \
    do {                                                                                           \
        if (test_shared_path(GOLDENS) == NULL) {                                                   \
            test_skip("no goldens of Model Garden here");                                          \
        }                                                                                          \
    } while (0)

/* Every parameter of the encoder by canonical name into a flat buffer. */
static float *read_encoder(const char *path, const bt_model *model, bt_ckpt_layout layout) {
    bt_ckpt *ckpt = NULL;
    float   *flat = bt_calloc_array((size_t)model->table.n_elements, sizeof *flat);
    assert_non_null(flat);
    assert_ok(bt_ckpt_open(path, &ckpt, err));
    assert_int_equal(bt_ckpt_get_layout(ckpt), layout);
    assert_int_equal(bt_ckpt_n_layers(ckpt), model->encoder.num_layers);
    for (int64_t i = 0; i < model->table.n_params; i++) {
        const bt_param *const param = &model->table.params[i];
        if (param->is_encoder) {
            assert_true(bt_ckpt_find_variable(ckpt, param->name, NULL) >= 0);
            assert_ok(bt_ckpt_check_variable(ckpt, param, err));
            assert_ok(bt_ckpt_read_variable(ckpt, param, NULL, flat + param->offset, err));
        }
    }
    bt_ckpt_close(ckpt);
    return flat;
}

/* The values that Model Garden's own reader found, by the keys that the conversion table gives. */
static void check_against_values(const float *flat, const bt_model *model, const char *values,
                                 const char *const (*names)[2], size_t n_names) {
    bt_safetensors *st = NULL;
    assert_ok(bt_safetensors_open(test_shared_path(values), &st, err));
    for (size_t i = 0; i < n_names; i++) {
        const int64_t p = bt_param_table_find(&model->table, names[i][0]);
        assert_true(p >= 0);
        const bt_param *const    param = &model->table.params[p];
        const bt_st_entry *const entry = bt_safetensors_find(st, names[i][1]);
        assert_non_null(entry);
        assert_int_equal(entry->n_elements, param->n_elements);
        void *const want = bt_alloc((size_t)entry->n_bytes);
        assert_ok(bt_safetensors_read(st, entry, want, (size_t)entry->n_bytes, err));
        assert_memory_equal(flat + param->offset, want, (size_t)entry->n_bytes);
        bt_free(want);
    }
    bt_safetensors_close(st);
}

static void test_same_weights(void **state) {
    (void)state;
    static const char *const tf1_names[][2] = {
        {"word_embeddings/embeddings", "bert/embeddings/word_embeddings"},
        {"embeddings/layer_norm/beta", "bert/embeddings/LayerNorm/beta"},
        {"transformer/layer_1/self_attention/query/kernel",
         "bert/encoder/layer_1/attention/self/query/kernel"},
        {"transformer/layer_0/self_attention/attention_output/kernel",
         "bert/encoder/layer_0/attention/output/dense/kernel"},
        {"transformer/layer_1/output/bias", "bert/encoder/layer_1/output/dense/bias"},
        {"transformer/layer_1/output_layer_norm/gamma",
         "bert/encoder/layer_1/output/LayerNorm/gamma"},
        {"pooler_transform/kernel", "bert/pooler/dense/kernel"},
    };
    NEED_GOLDENS();
    bt_model *const model = test_make_model(&test_golden_spec);
    const size_t    n_bytes = (size_t)model->table.n_elements * sizeof(float);
    float *const    tf1 =
        read_encoder(test_shared_path(GOLDENS "tf1_bert/bert_model.ckpt"), model, BT_CKPT_TF1);
    float *const tf2 = read_encoder(test_shared_path(GOLDENS "tf2_encoder"), model, BT_CKPT_TF2);
    float *const pretrainer =
        read_encoder(test_shared_path(GOLDENS "tf2_pretrainer"), model, BT_CKPT_TF2);
    float *const shards =
        read_encoder(test_shared_path(GOLDENS "multishard/bert_model.ckpt"), model, BT_CKPT_TF1);
    check_against_values(tf1, model, GOLDENS "tf1_bert/values.safetensors", tf1_names,
                         BT_ARRAY_LEN(tf1_names));
    /* converted by the real tools from the same file */
    assert_memory_equal(tf1, tf2, n_bytes);
    assert_memory_equal(tf1, pretrainer, n_bytes);
    assert_memory_equal(tf1, shards, n_bytes);
    bt_free(tf1);
    bt_free(tf2);
    bt_free(pretrainer);
    bt_free(shards);
    bt_model_free(model);
}

static void test_v2_and_train(void **state) {
    (void)state;
    static const char *const v2_names[][2] = {
        {"word_embeddings/embeddings",
         "encoder/_embedding_layer/embeddings/.ATTRIBUTES/VARIABLE_VALUE"},
        {"transformer/layer_1/intermediate/kernel",
         "encoder/_transformer_layers/1/_intermediate_dense/kernel/.ATTRIBUTES/VARIABLE_VALUE"},
        {"transformer/layer_0/self_attention/key/bias",
         "encoder/_transformer_layers/0/_attention_layer/_key_dense/bias/.ATTRIBUTES/"
         "VARIABLE_VALUE"},
        {"pooler_transform/bias", "encoder/_pooler_layer/bias/.ATTRIBUTES/VARIABLE_VALUE"},
    };
    static const char *const v1_names[][2] = {
        {"position_embedding/embeddings",
         "encoder/layer_with_weights-1/embeddings/.ATTRIBUTES/VARIABLE_VALUE"},
        {"transformer/layer_1/output/kernel",
         "encoder/layer_with_weights-5/_output_dense/kernel/.ATTRIBUTES/VARIABLE_VALUE"},
    };
    NEED_GOLDENS();
    bt_model *const model = test_make_model(&test_golden_spec); /* V1 model reads V2 files too */
    float *flat = read_encoder(test_shared_path(GOLDENS "tf2_bert_v2"), model, BT_CKPT_TF2);
    check_against_values(flat, model, GOLDENS "tf2_bert_v2/values.safetensors", v2_names,
                         BT_ARRAY_LEN(v2_names));
    bt_free(flat);
    flat = read_encoder(test_shared_path(GOLDENS "train/adamw"), model, BT_CKPT_TF2);
    check_against_values(flat, model, GOLDENS "train/adamw/values_ckpt-4.safetensors", v1_names,
                         BT_ARRAY_LEN(v1_names));
    bt_free(flat);
    bt_model_free(model);
}

/* Heads, slots and scalars of a training checkpoint. */
static void test_train_parts(void **state) {
    (void)state;
    static const char *const folders[] = {GOLDENS "train/adamw", GOLDENS "train/ema"};
    static const char *const names[] = {"global_step", "save_counter", "iterations"};
    NEED_GOLDENS();
    bt_model *const model = test_make_model(&test_golden_spec);
    float *const    values = bt_alloc((size_t)model->table.n_elements * sizeof *values);
    for (size_t f = 0; f < 2; f++) {
        bt_ckpt *ckpt = NULL;
        assert_ok(bt_ckpt_open(test_shared_path(folders[f]), &ckpt, err));
        for (int64_t i = 0; i < model->table.n_params; i++) {
            const bt_param *const param = &model->table.params[i];
            assert_ok(bt_ckpt_read_variable(ckpt, param, NULL, values, err));
            assert_int_equal(bt_ckpt_find_variable(ckpt, param->name, "m") >= 0,
                             param->has_gradient);
            assert_int_equal(bt_ckpt_find_variable(ckpt, param->name, "v") >= 0,
                             param->has_gradient);
            assert_int_equal(bt_ckpt_find_variable(ckpt, param->name, "average") >= 0, f == 1);
            if (param->has_gradient) {
                assert_ok(bt_ckpt_read_variable(ckpt, param, "v", values, err));
            }
        }
        for (size_t k = 0; k < BT_ARRAY_LEN(names); k++) {
            int64_t value = -1;
            bool    found = false;
            assert_ok(bt_ckpt_read_scalar(ckpt, names[k], &value, &found, err));
            assert_true(found);
            assert_int_equal(value, k == 1 ? value : 4);
        }
        bool   found = true;
        bt_str bytes = BT_STR_INIT;
        assert_ok(bt_ckpt_read_state(ckpt, &bytes, &found, err));
        assert_false(found); /* Model Garden wrote it, not we */
        bt_str_deinit(&bytes);
        bt_ckpt_close(ckpt);
    }
    bt_free(values);
    bt_model_free(model);
}

/* A hub SavedModel: variables/N, recognized by their full names. */
static void test_hub(void **state) {
    (void)state;
    bt_safetensors *st = NULL;
    bt_ckpt        *ckpt = NULL;
    NEED_GOLDENS();
    assert_ok(
        bt_safetensors_open(test_shared_path(GOLDENS "hub/io_bert_tiny.safetensors"), &st, err));
    assert_ok(
        bt_ckpt_open(test_shared_path(GOLDENS "hub/bert_tiny/variables/variables"), &ckpt, err));
    size_t n_checked = 0;
    for (size_t i = 0; i < bt_safetensors_n_entries(st); i++) {
        const bt_st_entry *const entry = bt_safetensors_entry_at(st, i);
        if (!bt_str_starts_with(entry->name, "trainable/")) {
            continue;
        }
        char name[TEST_PATH_MAX];
        (void)snprintf(name, sizeof name, "%s", entry->name + strlen("trainable/"));
        char *const colon = strrchr(name, ':');
        if (colon != NULL) {
            *colon = '\0';
        }
        const int64_t tensor = bt_ckpt_find_variable(ckpt, name, NULL);
        if (tensor < 0) {
            fail_msg("no %s in the SavedModel", name);
        }
        const size_t n = (size_t)entry->n_bytes;
        void *const  got = bt_alloc(n);
        void *const  want = bt_alloc(n);
        assert_ok(bt_ckpt_read_tensor(ckpt, (size_t)tensor, got, n, err));
        assert_ok(bt_safetensors_read(st, entry, want, n, err));
        assert_memory_equal(got, want, n);
        bt_free(got);
        bt_free(want);
        n_checked++;
    }
    assert_int_equal(n_checked, 39);
    assert_int_equal(bt_ckpt_n_layers(ckpt), 2);
    bt_ckpt_close(ckpt);
    bt_safetensors_close(st);
}

typedef struct hf_row {
    const char *canonical;
    const char *name;
    int         is_kernel;
} hf_row;

static const hf_row hf_rows[] = {
    {"word_embeddings/embeddings", "embeddings.word_embeddings.weight", 0},
    {"position_embedding/embeddings", "embeddings.position_embeddings.weight", 0},
    {"type_embeddings/embeddings", "embeddings.token_type_embeddings.weight", 0},
    {"embeddings/layer_norm/gamma", "embeddings.LayerNorm.weight", 0},
    {"embeddings/layer_norm/beta", "embeddings.LayerNorm.bias", 0},
    {"pooler_transform/kernel", "pooler.dense.weight", 1},
    {"pooler_transform/bias", "pooler.dense.bias", 0},
};
static const hf_row hf_layer_rows[] = {
    {"self_attention/query/kernel", "attention.self.query.weight", 1},
    {"self_attention/query/bias", "attention.self.query.bias", 0},
    {"self_attention/key/kernel", "attention.self.key.weight", 1},
    {"self_attention/key/bias", "attention.self.key.bias", 0},
    {"self_attention/value/kernel", "attention.self.value.weight", 1},
    {"self_attention/value/bias", "attention.self.value.bias", 0},
    {"self_attention/attention_output/kernel", "attention.output.dense.weight", 1},
    {"self_attention/attention_output/bias", "attention.output.dense.bias", 0},
    {"self_attention_layer_norm/gamma", "attention.output.LayerNorm.weight", 0},
    {"self_attention_layer_norm/beta", "attention.output.LayerNorm.bias", 0},
    {"intermediate/kernel", "intermediate.dense.weight", 1},
    {"intermediate/bias", "intermediate.dense.bias", 0},
    {"output/kernel", "output.dense.weight", 1},
    {"output/bias", "output.dense.bias", 0},
    {"output_layer_norm/gamma", "output.LayerNorm.weight", 0},
    {"output_layer_norm/beta", "output.LayerNorm.bias", 0},
};

enum { HF_MAX = 64, HF_NAME = 128 };

typedef struct hf_file {
    char         names[HF_MAX][HF_NAME];
    int64_t      dims[HF_MAX][2];
    bt_st_tensor tensors[HF_MAX];
    float       *data[HF_MAX];
    size_t       n;
} hf_file;

/* Adds a parameter as Hugging Face keeps it: kernels [out,in], old files with gamma and beta. */
static void hf_add(hf_file *file, const bt_model *model, const float *flat, const char *canonical,
                   const char *prefix, const char *name, bool is_kernel, bool old_names) {
    const int64_t p = bt_param_table_find(&model->table, canonical);
    assert_true(p >= 0 && file->n < HF_MAX);
    const bt_param *const param = &model->table.params[p];
    const size_t          k = file->n++;
    (void)snprintf(file->names[k], HF_NAME, "%s%s", prefix, name);
    char *const norm = strstr(file->names[k], "LayerNorm.");
    if (old_names && norm != NULL) {
        const bool is_weight = bt_str_ends_with(norm, "weight");
        (void)snprintf(norm + 10, 8, "%s", is_weight ? "gamma" : "beta");
    }
    /* [H,NH,D] and [NH,D,H] are matrices of H columns or rows */
    int64_t n_in = param->dim[0];
    if (strstr(canonical, "attention_output/kernel") != NULL) {
        n_in = param->dim[0] * param->dim[1];
    }
    const int64_t n_out = param->n_elements / n_in;
    const bool    is_matrix = is_kernel || strstr(canonical, "embeddings/embeddings") != NULL ||
                           strstr(canonical, "position_embedding") != NULL;
    file->data[k] = bt_alloc((size_t)param->n_elements * sizeof(float));
    for (int64_t i = 0; i < param->n_elements; i++) {
        file->data[k][is_kernel ? i % n_out * n_in + i / n_out : i] = flat[param->offset + i];
    }
    file->dims[k][0] = is_kernel ? n_out : is_matrix ? n_in : param->n_elements;
    file->dims[k][1] = is_kernel ? n_in : n_out;
    file->tensors[k] =
        (bt_st_tensor){file->names[k], BT_DTYPE_F32, is_matrix ? 2 : 1, file->dims[k]};
}

static void write_hugging_face(const char *path, const bt_model *model, const float *flat,
                               const char *prefix, bool old_names) {
    static hf_file file;
    file.n = 0;
    for (size_t i = 0; i < BT_ARRAY_LEN(hf_rows); i++) {
        hf_add(&file, model, flat, hf_rows[i].canonical, prefix, hf_rows[i].name,
               hf_rows[i].is_kernel != 0, old_names);
    }
    for (int64_t layer = 0; layer < model->encoder.num_layers; layer++) {
        for (size_t i = 0; i < BT_ARRAY_LEN(hf_layer_rows); i++) {
            char canonical[HF_NAME];
            char name[HF_NAME];
            (void)snprintf(canonical, sizeof canonical, "transformer/layer_%lld/%s",
                           (long long)layer, hf_layer_rows[i].canonical);
            (void)snprintf(name, sizeof name, "encoder.layer.%lld.%s", (long long)layer,
                           hf_layer_rows[i].name);
            hf_add(&file, model, flat, canonical, prefix, name, hf_layer_rows[i].is_kernel != 0,
                   old_names);
        }
    }
    bt_safetensors_writer *writer = NULL;
    assert_ok(bt_safetensors_writer_create(path, file.tensors, file.n, NULL, 0, &writer, err));
    for (size_t i = 0; i < file.n; i++) {
        size_t n_bytes = sizeof(float);
        for (int32_t d = 0; d < file.tensors[i].rank; d++) {
            n_bytes *= (size_t)file.dims[i][d];
        }
        assert_ok(bt_safetensors_put(writer, file.data[i], n_bytes, err));
        bt_free(file.data[i]);
    }
    assert_ok(bt_safetensors_writer_commit(&writer, err));
}

static void test_hugging_face(void **state) {
    (void)state;
    static const char *const prefixes[] = {"", "bert."};
    const char *const        folder = test_temp_dir();
    char                     path[TEST_PATH_MAX];
    bt_model *const          model = test_make_model(&test_small_spec);
    float *const             flat = test_fill_flat(model, 3);
    (void)snprintf(path, sizeof path, "%s/model.safetensors", folder);
    for (int round = 0; round < 4; round++) {
        write_hugging_face(path, model, flat, prefixes[round % 2], round / 2 != 0);
        float *const got = read_encoder(round == 0 ? folder : path, model, BT_CKPT_SAFETENSORS);
        for (int64_t i = 0; i < model->table.n_params; i++) {
            const bt_param *const param = &model->table.params[i];
            if (param->is_encoder) {
                assert_memory_equal(got + param->offset, flat + param->offset,
                                    (size_t)param->n_elements * sizeof(float));
            }
        }
        bt_free(got);
    }
    bt_ckpt *ckpt = NULL;
    assert_ok(bt_ckpt_open(path, &ckpt, err));
    assert_ok(bt_ckpt_verify(ckpt, err));
    bt_ckpt_close(ckpt);
    bt_free(flat);
    bt_model_free(model);
}

/* Half precision and doubles become float32. */
static void test_other_floats(void **state) {
    (void)state;
    static const uint16_t half[4] = {0x3c00, 0xc000, 0x0001, 0x7c00}; /* 1 -2 2^-24 inf */
    static const uint16_t brain[4] = {0x3f80, 0xc000, 0x3380, 0x7f80};
    static const double   doubles[4] = {1, -2, 5.9604644775390625e-08, 1e300};
    static const int64_t  four = 4;
    static const bt_dtype dtypes[] = {BT_DTYPE_F16, BT_DTYPE_BF16, BT_DTYPE_F64, BT_DTYPE_I32};
    const void *const     data[] = {half, brain, doubles, doubles};
    char                  prefix[TEST_PATH_MAX];
    (void)snprintf(prefix, sizeof prefix, "%s/ckpt", test_temp_dir());
    const bt_param param = {
        .name = "pooler_transform/bias", .rank = 1, .dim = {4}, .n_elements = 4};
    for (size_t i = 0; i < BT_ARRAY_LEN(dtypes); i++) {
        bt_bundle_writer *writer = NULL;
        bt_ckpt          *ckpt = NULL;
        float             got[4];
        assert_ok(bt_bundle_writer_create(prefix, &writer, err));
        assert_ok(
            bt_bundle_add(writer, "bert/pooler/dense/bias", dtypes[i], 1, &four, data[i], err));
        assert_ok(bt_bundle_writer_commit(&writer, err));
        assert_ok(bt_ckpt_open(prefix, &ckpt, err));
        if (dtypes[i] == BT_DTYPE_I32) {
            assert_fails(bt_ckpt_read_variable(ckpt, &param, NULL, got, err), BT_E_FORMAT, "int32");
        } else {
            assert_ok(bt_ckpt_read_variable(ckpt, &param, NULL, got, err));
            assert_true(got[0] == 1.0F && got[1] == -2.0F && got[3] > 3e38F);
            assert_true(got[2] == 5.9604644775390625e-08F);
        }
        bt_ckpt_close(ckpt);
    }
}

static void check_opens(const char *path, const char *chosen) {
    bt_ckpt *ckpt = NULL;
    assert_ok(bt_ckpt_open(path, &ckpt, err));
    assert_true(bt_str_ends_with(bt_ckpt_path(ckpt), chosen));
    bt_ckpt_close(ckpt);
}

static void test_every_path(void **state) {
    (void)state;
    static const char *const paths[][2] = {
        {"train/adamw", "ckpt-4"},
        {"train/adamw/", "ckpt-4"},
        {"train/adamw/checkpoint", "ckpt-4"},
        {"train/adamw/ckpt-2", "ckpt-2"},
        {"train/adamw/ckpt-2.index", "ckpt-2"},
        {"train/adamw/ckpt-2.data-00000-of-00001", "ckpt-2"},
        {"multishard/bert_model.ckpt.data-00002-of-00003", "bert_model.ckpt"},
        {"tf1_bert", "bert_model.ckpt"}, /* no `checkpoint` file, one index */
        {"tf1_bert/values.safetensors", "values.safetensors"},
        {"tf2_encoder", "bert_model.ckpt-1"},
    };
    bt_ckpt *ckpt = NULL;
    NEED_GOLDENS();
    for (size_t i = 0; i < BT_ARRAY_LEN(paths); i++) {
        char path[TEST_PATH_MAX];
        (void)snprintf(path, sizeof path, GOLDENS "%s", paths[i][0]);
        check_opens(test_shared_path(path), paths[i][1]);
    }
    assert_fails(bt_ckpt_open("/no/such/thing", &ckpt, err), BT_E_IO, "/no/such/thing");
    assert_fails(bt_ckpt_open(test_shared_path(GOLDENS), &ckpt, err), BT_E_IO, "0 *.index");
    char missing[TEST_PATH_MAX];
    (void)snprintf(missing, sizeof missing, "%.4000s/missing.safetensors",
                   test_shared_path(GOLDENS "train/adamw"));
    assert_fails(bt_ckpt_open(missing, &ckpt, err), BT_E_IO, "missing.safetensors");
    assert_fails(bt_ckpt_open("hdfs://host/ckpt", &ckpt, err), BT_E_UNSUPPORTED, "'hdfs://'");
}

static void test_shapes(void **state) {
    (void)state;
    bt_ckpt *ckpt = NULL;
    float    values[1];
    NEED_GOLDENS();
    assert_ok(bt_ckpt_open(test_shared_path(GOLDENS "tf2_encoder"), &ckpt, err));
    bt_param param = {.name = "word_embeddings/embeddings",
                      .rank = 2,
                      .dim = {300, 32},
                      .n_elements = 9600,
                      .is_word_embedding = true};
    assert_fails(bt_ckpt_check_variable(ckpt, &param, err), BT_E_SHAPE, "[200, 32]");
    assert_fails(bt_ckpt_read_variable(ckpt, &param, NULL, values, err), BT_E_SHAPE, "[300, 32]");
    param = (bt_param){.name = "transformer/layer_0/self_attention/query/kernel",
                       .rank = 3,
                       .dim = {32, 8, 4},
                       .n_elements = 1024};
    assert_fails(bt_ckpt_check_variable(ckpt, &param, err), BT_E_SHAPE, "[32, 4, 8]");
    param.name = "transformer/layer_2/self_attention/query/kernel";
    assert_fails(bt_ckpt_check_variable(ckpt, &param, err), BT_E_FORMAT, "layer_2");
    assert_fails(bt_ckpt_read_variable(ckpt, &param, "m", values, err), BT_E_FORMAT, "slot m");
    assert_int_equal(bt_ckpt_n_layers(ckpt), 2);
    bt_ckpt_close(ckpt);
    /* a TF1 file keeps heads together: any split of 32 fits */
    assert_ok(bt_ckpt_open(test_shared_path(GOLDENS "tf1_bert"), &ckpt, err));
    param.name = "transformer/layer_1/self_attention/query/kernel";
    assert_ok(bt_ckpt_check_variable(ckpt, &param, err));
    param.dim[2] = 5;
    assert_fails(bt_ckpt_check_variable(ckpt, &param, err), BT_E_SHAPE, "[32, 32]");
    bt_ckpt_close(ckpt);
}

static bt_status open_and_verify(const char *path, bt_error *err) {
    bt_ckpt *ckpt = NULL;
    BT_TRY(bt_ckpt_open(path, &ckpt, err));
    const bt_status rc = bt_ckpt_verify(ckpt, err);
    bt_ckpt_close(ckpt);
    return rc;
}

static void test_damaged(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"data_truncated", "is truncated"}, {"data_empty", "is truncated"},
        {"data_flip", "is damaged"},        {"data_bitflip", "is damaged"},
        {"index_flip", "crc of the block"}, {"index_footer_magic", "not a table"},
        {"index_truncated", "not a table"}, {"index_empty", "0 bytes"},
        {"data_missing", "no such file"},   {"index_missing", "no such checkpoint"},
        {"shard_missing", "no such file"},  {"shard_truncated", "is truncated"},
    };
    NEED_GOLDENS();
    for (size_t i = 0; i < BT_ARRAY_LEN(cases); i++) {
        char     path[TEST_PATH_MAX];
        bt_error fault = BT_ERROR_INIT;
        (void)snprintf(path, sizeof path, GOLDENS "damaged/%s/bert_model.ckpt", cases[i][0]);
        const bt_status rc = open_and_verify(test_shared_path(path), &fault);
        assert_int_equal(bt_status_exit_code(rc), 3);
        if (strstr(fault.msg, cases[i][1]) == NULL || strstr(fault.msg, cases[i][0]) == NULL) {
            fail_msg("%s: %s", cases[i][0], fault.msg);
        }
    }
}

static bt_status open_as_work(void *path, bt_error *err) {
    return open_and_verify(path, err);
}

static void test_faults(void **state) {
    (void)state;
    static const char *const paths[] = {GOLDENS "tf1_bert", GOLDENS "train/ema",
                                        GOLDENS "tf1_bert/values.safetensors"};
    NEED_GOLDENS();
    for (size_t p = 0; p < BT_ARRAY_LEN(paths); p++) {
        char path[TEST_PATH_MAX];
        (void)snprintf(path, sizeof path, "%s", test_shared_path(paths[p]));
        const test_work work = {
            .what = paths[p], .work = open_as_work, .context = path, .stride = 37};
        assert_true(test_every_fault(&work) > 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_weights), cmocka_unit_test(test_v2_and_train),
        cmocka_unit_test(test_train_parts),  cmocka_unit_test(test_hub),
        cmocka_unit_test(test_hugging_face), cmocka_unit_test(test_other_floats),
        cmocka_unit_test(test_every_path),   cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_damaged),      cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
