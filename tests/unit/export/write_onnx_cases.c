/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes what onnx_models.py runs in ONNX Runtime: for each case and precision
 * FOLDER/CASE/PRECISION/model.onnx, and beside it what the engine here computes for the batch
 * (expected.json). usage: write_onnx_cases FOLDER [MAX_BYTES] */
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "bt/base/str.h"
#include "bt/exec.h"
#include "onnx_cases.h"
#include "serving_internal.h"
#include "test_support.h"

static void put_ints(bt_str *out, const char *name, const int32_t *values, int64_t n) {
    assert_ok(bt_str_appendf(out, err, "\"%s\":[", name));
    for (int64_t i = 0; i < n; i++) {
        assert_ok(bt_str_appendf(out, err, "%s%d", i == 0 ? "" : ",", values[i]));
    }
    assert_ok(bt_str_append(out, "],\n", err));
}

static void put_logits(bt_str *out, const char *name, const bt_model *model, const float *params,
                       const bt_batch *batch, const bt_exec_config *config) {
    bt_exec       *exec = NULL;
    bt_step_result result = {0};
    assert_ok(bt_exec_create_cpu(model, NULL, config, &exec, err));
    bt_exec_copy(exec, bt_exec_params(exec), params);
    assert_ok(bt_exec_changed(exec, err));
    assert_ok(bt_exec_evaluate(exec, batch, &result, err));
    assert_ok(bt_str_appendf(out, err, "\"%s\":[", name));
    for (int64_t i = 0; i < bt_model_n_logits(model, batch); i++) {
        assert_ok(bt_str_appendf(out, err, "%s%.9g", i == 0 ? "" : ",", (double)result.logits[i]));
    }
    assert_ok(bt_str_append(out, "],\n", err));
    bt_exec_free(exec);
}

/* "logits" of the batch in float32; "alone": of its third sequence, as an evaluation computes it
 * that shows what the precision costs. */
static void write_expected(const char *folder, const bt_model *model, const float *params,
                           bt_export_precision precision) {
    static const int64_t  offsets[] = {0, 12};
    const bt_batch *const batch = &onnx_case_batch;
    const bt_batch        alone = {.n_seqs = 1,
                                   .n_rows = 1,
                                   .n_tokens = offsets[1],
                                   .max_tokens = offsets[1],
                                   .seq_length = batch->seq_length,
                                   .offsets = offsets,
                                   .ids = batch->ids + batch->offsets[2],
                                   .types = batch->types + batch->offsets[2],
                                   .positions = batch->positions + batch->offsets[2]};
    const bt_exec_config  exact = {.n_threads = 1, .isa = "auto"};
    const bt_exec_config  rounded = {
         .n_threads = 1, .isa = "auto", .rounds_to_8_bits = precision == BT_EXPORT_INT8};
    float *const copy = bt_alloc_array((size_t)model->table.n_elements, sizeof *copy);
    char         path[TEST_PATH_MAX];
    bt_str       text = BT_STR_INIT;
    assert_non_null(copy);
    memcpy(copy, params, (size_t)model->table.n_elements * sizeof *copy);
    assert_ok(bt_export_round(model, precision, copy, err));
    assert_ok(bt_str_append(&text, "{", err));
    put_ints(&text, "ids", batch->ids, batch->n_tokens);
    put_ints(&text, "types", batch->types, batch->n_tokens);
    put_logits(&text, "logits", model, params, batch, &exact);
    put_logits(&text, "alone", model, copy, &alone, &rounded);
    assert_ok(bt_str_append(&text, "\"offsets\":[", err));
    for (int64_t b = 0; b <= batch->n_seqs; b++) {
        assert_ok(bt_str_appendf(&text, err, "%s%d", b == 0 ? "" : ",", (int)batch->offsets[b]));
    }
    assert_ok(bt_str_appendf(&text, err, "],\n\"of_tokens\":%s}\n",
                             model->head.kind == BT_HEAD_TOKENS ? "true" : "false"));
    (void)snprintf(path, sizeof path, "%s/expected.json", folder);
    test_write_file(path, bt_str_text(&text), text.len);
    bt_str_deinit(&text);
    bt_free(copy);
}

static void write_model(const char *folder, const bt_model *model, const float *params,
                        bt_export_precision precision, int64_t max_bytes) {
    static const char *const facts[] = {"task", "a test", "labels", "[\"no\",\"yes\"]"};
    const onnx_source        source = {.model = model,
                                       .values = params,
                                       .precision = precision,
                                       .facts = facts,
                                       .n_facts = 2,
                                       .max_bytes = max_bytes};
    char                     path[TEST_PATH_MAX];
    char                     data[TEST_PATH_MAX];
    onnx_files               files;
    assert_ok(bt_fs_make_folders(folder, err));
    (void)snprintf(path, sizeof path, "%s/model.onnx", folder);
    (void)snprintf(data, sizeof data, "%s/model.onnx_data", folder);
    assert_ok(onnx_write(&source, path, data, &files, err));
    bt_fs_writer *writers[] = {files.graph, files.data};
    assert_ok(bt_fs_writers_commit(writers, files.data != NULL ? 2 : 1, err));
}

static void write_serving(const char *folder, const bt_model *model, const float *params) {
    const onnx_source source = {.model = model, .values = params};
    char              path[TEST_PATH_MAX];
    bt_fs_writer     *file = NULL;
    (void)snprintf(path, sizeof path, "%s/1", folder);
    assert_ok(bt_fs_make_folders(path, err));
    (void)snprintf(path, sizeof path, "%s/1/saved_model.pb", folder);
    assert_ok(serving_write(&source, path, &file, err));
    assert_ok(bt_fs_writer_commit(&file, err));
}

static void write_case(const char *folder, const onnx_case *c, int64_t max_bytes) {
    static const char *const precisions[] = {"float32", "float16", "int8"};
    bt_model *const          model = onnx_case_model(c);
    float *const             params = onnx_case_params(model);
    char                     path[TEST_PATH_MAX];
    for (int p = 0; p < 3; p++) {
        (void)snprintf(path, sizeof path, "%s/%s/%s", folder, c->name, precisions[p]);
        write_model(path, model, params, (bt_export_precision)p, max_bytes);
        write_expected(path, model, params, (bt_export_precision)p);
        if (p == BT_EXPORT_FLOAT32) {
            write_serving(path, model, params);
        }
    }
    bt_free(params);
    bt_model_free(model);
}

static const char *folder_to_fill;
static int64_t     largest_file;

static void test_cases_are_written(void **state) {
    (void)state;
    for (size_t i = 0; i < onnx_n_cases; i++) {
        write_case(folder_to_fill, &onnx_cases[i], largest_file);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases_are_written)};
    if (argc < 2) {
        (void)fprintf(stderr, "usage: write_onnx_cases FOLDER [MAX_BYTES]\n");
        return 2;
    }
    folder_to_fill = argv[1];
    if (argc > 2 && !bt_parse_i64(argv[2], &largest_file)) {
        (void)fprintf(stderr, "write_onnx_cases: %s: expected a number of bytes\n", argv[2]);
        return 2;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
