/* SPDX-License-Identifier: Apache-2.0
 *
 * A training step that JAX wrote as StableHLO (BERT with two layers, AdamWeightDecay), with the
 * arguments of a golden's first step: what the room does with it must be what TensorFlow got. 63
 * donated arguments go round for three steps; the second start takes it from the cache. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "read_gz.h"
#include "test_pjrt_run.h"

enum { MAX_ARRAYS = 128, N_STATE = 63, LOSS = 63, NORM = 64 };

/* "2x32xf32>": the shape after ": tensor<". */
static bt_pjrt_shape parse_shape(const char *text) {
    bt_pjrt_shape shape = {.rank = 0};
    while (*text >= '0' && *text <= '9') {
        char *end = NULL;
        shape.dim[shape.rank++] = strtoll(text, &end, 10);
        text = end + 1;
    }
    static const struct {
        const char *name;
        bt_dtype    dtype;
    } types[] = {{"f32>", BT_DTYPE_F32}, {"i32>", BT_DTYPE_I32}, {"ui32>", BT_DTYPE_U32}};
    size_t i = 0;
    while (i < BT_ARRAY_LEN(types) && strncmp(text, types[i].name, strlen(types[i].name)) != 0) {
        i++;
    }
    assert_true(i < BT_ARRAY_LEN(types));
    shape.dtype = types[i].dtype;
    return shape;
}

/* The arguments, from main's line. */
static size_t parse_arguments(const char *text, bt_pjrt_shape shapes[MAX_ARRAYS]) {
    const char *at = strstr(text, "@main(");
    assert_non_null(at);
    const char *const end = strstr(at, ") -> ");
    size_t            n = 0;
    for (at = strstr(at, ": tensor<"); at != NULL && at < end; at = strstr(at + 1, ": tensor<")) {
        assert_true(n < MAX_ARRAYS);
        shapes[n++] = parse_shape(at + strlen(": tensor<"));
    }
    return n;
}

static size_t upload_all(const bt_pjrt_shape *shapes, size_t n, const char *bytes, size_t n_bytes,
                         bt_pjrt_buffer **out) {
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        size_t size = 0;
        assert_true(bt_pjrt_shape_bytes(&shapes[i], &size));
        assert_true(at + size <= n_bytes);
        assert_ok(bt_pjrt_upload(test_pjrt_client(), 0, &shapes[i], bytes + at, &out[i], err));
        at += size;
    }
    return at;
}

static float scalar_of(bt_pjrt_buffer *buffer) {
    float value = 0;
    assert_ok(bt_pjrt_download(test_pjrt_client(), buffer, &value, sizeof value, err));
    return value;
}

/* Three steps on the same batch; the loss before each, and the first norm. */
static void train(bt_pjrt_program *program, const bt_pjrt_shape *shapes, size_t n_args,
                  const char *bytes, size_t n_bytes, float loss[3], float *norm) {
    bt_pjrt_client *const client = test_pjrt_client();
    bt_pjrt_buffer       *args[MAX_ARRAYS], *results[MAX_ARRAYS];
    const size_t          n_results = (size_t)bt_pjrt_program_n_results(program);
    assert_true(n_results > NORM && n_results < MAX_ARRAYS);
    assert_int_equal(upload_all(shapes, n_args, bytes, n_bytes, args), n_bytes);
    for (int step = 0; step < 3; step++) {
        bt_pjrt_buffer *const *const lists[] = {args};
        bt_pjrt_buffer **const       result_lists[] = {results};
        const bt_pjrt_run            run = {lists, n_args, result_lists, .wait = false};
        assert_ok(bt_pjrt_execute(program, &run, err));
        loss[step] = scalar_of(results[LOSS]);
        *norm = step == 0 ? scalar_of(results[NORM]) : *norm;
        for (size_t i = 0; i < n_results; i++) {
            if (i < N_STATE) {
                bt_pjrt_buffer_free(client, args[i]);
                args[i] = results[i];
            } else {
                bt_pjrt_buffer_free(client, results[i]);
            }
        }
    }
    for (size_t i = 0; i < n_args; i++) {
        bt_pjrt_buffer_free(client, args[i]);
    }
}

static void test_trains_as_the_golden_says(void **state) {
    (void)state;
    size_t n_text = 0, n_bytes = 0;
    if (test_pjrt_client() == NULL) {
        skip();
    }
    char *const text =
        read_gz(test_source_path("tests/goldens/pjrt/tiny_cls_f32.mlir.gz"), &n_text);
    char *const bytes = read_gz(
        test_source_path("tests/goldens/pjrt/sentence_prediction_3class.args.gz"), &n_bytes);
    bt_pjrt_shape     shapes[MAX_ARRAYS];
    const size_t      n_args = parse_arguments(text, shapes);
    const char *const folder = test_temp_dir();
    float             loss[2][3], norm[2];
    for (int start = 0; start < 2; start++) {
        const bt_pjrt_compile_options options = {.n_replicas = 1, .cache_folder = folder};
        bt_pjrt_program              *program = NULL;
        assert_ok(bt_pjrt_compile(test_pjrt_client(), text, n_text, &options, &program, err));
        print_message("%s in %.2f s\n", start == 0 ? "compiled" : "loaded",
                      bt_pjrt_program_seconds(program));
        assert_int_equal(bt_pjrt_program_is_from_cache(program), start == 1);
        train(program, shapes, n_args, bytes, n_bytes, loss[start], &norm[start]);
        bt_pjrt_program_free(program);
    }
    /* goldens/numerics/tasks/sentence_prediction_3class: losses[0] and global_norms[0] */
    const float want_loss = 0.9295998F, want_norm = 2.901575F;
    test_close_f32(&loss[0][0], &want_loss, 1, 1e-5, 1e-5, "loss");
    test_close_f32(&norm[0], &want_norm, 1, 0, 5e-6, "norm");
    assert_true(loss[0][1] != loss[0][0] && loss[0][2] != loss[0][1]);
    assert_memory_equal(loss[0], loss[1], sizeof loss[0]);
    bt_free(text);
    bt_free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_trains_as_the_golden_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
