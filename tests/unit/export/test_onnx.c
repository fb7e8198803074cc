/* SPDX-License-Identifier: Apache-2.0
 *
 * ONNX files: what is refused, sizes beyond 2 GiB, rounding to 8 bits, and every fault on the way.
 * That ONNX Runtime computes what the engine here does: tests/ecosystem/onnx_models.py; that the
 * files are those which it was shown: onnx_files.py. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/proto.h"
#include "onnx_cases.h"
#include "onnx_internal.h"
#include "test_faults.h"
#include "test_support.h"

/* A model of n_layers like BERT's large one, of which nothing but the sizes is looked at. */
static bt_model *large_model(int64_t n_layers) {
    const bt_encoder_config encoder = {.type = BT_ENCODER_BERT,
                                       .vocab_size = 30522,
                                       .hidden_size = 1024,
                                       .embedding_size = 1024,
                                       .num_layers = n_layers,
                                       .num_attention_heads = 16,
                                       .intermediate_size = 4096,
                                       .max_position_embeddings = 512,
                                       .type_vocab_size = 2,
                                       .hidden_activation = BT_ACT_GELU};
    const bt_head_config    head = {.kind = BT_HEAD_POOLER_DENSE, .num_classes = 2};
    bt_model               *model = NULL;
    assert_ok(bt_model_create(&encoder, &head, &model, err));
    return model;
}

/* The values of all tensors are more than 2 GiB from 40 layers on; offsets are counted in 64 bits
 * beyond 4 GiB. */
static void test_large_models_have_a_second_file(void **state) {
    (void)state;
    static const struct {
        int64_t n_layers;
        bool    is_split;
    } cases[] = {{24, false}, {48, true}, {200, true}};
    for (size_t i = 0; i < BT_ARRAY_LEN(cases); i++) {
        bt_model *const   model = large_model(cases[i].n_layers);
        const onnx_source source = {.model = model, .precision = BT_EXPORT_FLOAT32};
        const int64_t     n_bytes = 4 * (model->table.n_elements - 1024 * 1024 - 1024); /* pooler */
        onnx_sizes        sizes;
        assert_ok(onnx_measure(&source, &sizes, err));
        if (cases[i].is_split) {
            assert_true(sizes.graph < 4 << 20);
            assert_true(sizes.data > n_bytes - (4 << 20) && sizes.data < n_bytes + (16 << 20));
        } else {
            assert_int_equal(sizes.data, 0);
            assert_true(sizes.graph > n_bytes && sizes.graph < n_bytes + (1 << 20));
        }
        bt_model_free(model);
    }
}

typedef struct written {
    bt_model *model;
    float    *params;
    char      folder[TEST_PATH_MAX];
    char      path[TEST_PATH_MAX + 32], data_path[TEST_PATH_MAX + 32];
    int64_t   max_bytes;
} written;

static void set_up(written *w, const char *name, int64_t max_bytes) {
    for (size_t i = 0; i < onnx_n_cases; i++) {
        if (strcmp(onnx_cases[i].name, name) == 0) {
            w->model = onnx_case_model(&onnx_cases[i]);
        }
    }
    w->params = onnx_case_params(w->model);
    (void)snprintf(w->folder, sizeof w->folder, "%s", test_temp_dir());
    (void)snprintf(w->path, sizeof w->path, "%s/model.onnx", w->folder);
    (void)snprintf(w->data_path, sizeof w->data_path, "%s/model.onnx_data", w->folder);
    w->max_bytes = max_bytes;
}

static void tear_down(written *w) {
    bt_free(w->params);
    bt_model_free(w->model);
}

/* x [K,N] became y: each number the nearest of 127 steps to the largest of its column (by_row: of
 * its row), which stays. */
static void look_at_steps(const float *x, const float *y, int64_t K, int64_t N, bool by_row) {
    for (int64_t j = 0; j < (by_row ? K : N); j++) {
        const int64_t n = by_row ? N : K;
        float         largest = 0;
        float         kept = 0;
        for (int64_t i = 0; i < n; i++) {
            const int64_t at = by_row ? j * N + i : i * N + j;
            largest = fmaxf(largest, fabsf(x[at]));
            kept = fmaxf(kept, fabsf(y[at]));
        }
        for (int64_t i = 0; i < n; i++) {
            const int64_t at = by_row ? j * N + i : i * N + j;
            assert_true(fabsf(y[at] - x[at]) <= largest / 127 * 0.50001F);
        }
        assert_true(fabsf(kept - largest) <= 1e-6F * largest);
    }
}

static void test_eight_bits(void **state) {
    (void)state;
    written w = {.model = NULL};
    set_up(&w, "sentence", 0);
    const bt_model *const m = w.model;
    const bt_param *const words = &m->table.params[m->word_embeddings];
    const bt_param *const kernel = &m->table.params[m->layers[1].intermediate.kernel];
    const bt_param *const logits = &m->table.params[m->head_logits.kernel];
    const bt_param *const types = &m->table.params[m->type_embeddings];
    float *const          before = onnx_case_params(m);
    assert_ok(bt_export_round(m, BT_EXPORT_FLOAT32, w.params, err));
    assert_memory_equal(w.params, before, (size_t)m->table.n_elements * sizeof *before);
    assert_ok(bt_export_round(m, BT_EXPORT_INT8, w.params, err));
    look_at_steps(before + words->offset, w.params + words->offset, words->dim[0], words->dim[1],
                  true);
    look_at_steps(before + kernel->offset, w.params + kernel->offset, kernel->dim[0],
                  kernel->dim[1], false);
    const size_t n_logits = (size_t)logits->n_elements * sizeof *before;
    const size_t n_types = (size_t)types->n_elements * sizeof *before;
    assert_memory_equal(before + logits->offset, w.params + logits->offset, n_logits);
    assert_memory_equal(before + types->offset, w.params + types->offset, n_types);
    bt_free(before);
    tear_down(&w);
}

static bt_status write_int8(void *context, bt_error *err) {
    const written *const     w = context;
    static const char *const facts[] = {"labels", "[\"no\"]"};
    const onnx_source        source = {.model = w->model,
                                       .values = w->params,
                                       .precision = BT_EXPORT_INT8,
                                       .facts = facts,
                                       .n_facts = 1,
                                       .max_bytes = w->max_bytes};
    onnx_files               files;
    BT_TRY(onnx_write(&source, w->path, w->data_path, &files, err));
    bt_fs_writer   *writers[] = {files.data, files.graph};
    const bt_status rc = bt_fs_writers_commit(writers, 2, err);
    if (rc != BT_OK) {
        bt_fs_writer_abort(writers[0]);
        bt_fs_writer_abort(writers[1]);
    }
    return rc;
}

static void start_over(void *context) {
    const written *const w = context;
    bt_error             ignored = BT_ERROR_INIT;
    (void)(bt_fs_remove(w->path, &ignored) == BT_OK);
    (void)(bt_fs_remove(w->data_path, &ignored) == BT_OK);
}

/* Both or none, and nothing else in the folder. */
static void look(void *context, bt_status rc) {
    const written *const w = context;
    bt_fs_names          names = BT_FS_NAMES_INIT;
    assert_ok(bt_fs_list(w->folder, &names, err));
    assert_int_equal(names.n, rc == BT_OK ? 2 : 0);
    bt_fs_names_deinit(&names);
}

static void test_faults(void **state) {
    (void)state;
    written         w = {.model = NULL};
    const test_work work = {.what = "an ONNX file",
                            .prepare = start_over,
                            .work = write_int8,
                            .check = look,
                            .context = &w,
                            .stride = 37};
    set_up(&w, "albert", 20000);
    assert_true(test_every_fault(&work) > 50);
    tear_down(&w);
}

/* A number that float16 or steps of 8 bits cannot hold is refused by the parameter's name; where
 * nothing is multiplied with it, it stays as it is. */
static void test_numbers_that_do_not_fit(void **state) {
    (void)state;
    static const struct {
        bt_export_precision precision;
        float               value;
        bool                fits;
        const char         *who;
    } cases[] = {
        {BT_EXPORT_FLOAT32, 70000, true, ""},       {BT_EXPORT_FLOAT32, INFINITY, true, ""},
        {BT_EXPORT_FLOAT16, 65504, true, ""},       {BT_EXPORT_FLOAT16, 70000, false, "float16"},
        {BT_EXPORT_FLOAT16, NAN, false, "float16"}, {BT_EXPORT_INT8, 70000, true, ""},
        {BT_EXPORT_INT8, NAN, false, "8 bits"},     {BT_EXPORT_INT8, INFINITY, false, "8 bits"}};
    written w = {.model = NULL};
    set_up(&w, "sentence", 0);
    for (size_t i = 0; i < BT_ARRAY_LEN(cases); i++) {
        const onnx_source source = {
            .model = w.model, .values = w.params, .precision = cases[i].precision};
        onnx_sizes            sizes;
        const bt_param *const param = &w.model->table.params[w.model->layers[1].value.kernel];
        w.params[param->offset + 5] = cases[i].value;
        if (cases[i].fits) {
            assert_ok(onnx_measure(&source, &sizes, err));
        } else {
            assert_fails(onnx_measure(&source, &sizes, err), BT_E_UNSUPPORTED, cases[i].who);
            assert_fails(onnx_measure(&source, &sizes, err), BT_E_UNSUPPORTED, param->name);
        }
    }
    tear_down(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_models_have_a_second_file),
        cmocka_unit_test(test_eight_bits),
        cmocka_unit_test(test_numbers_that_do_not_fit),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
