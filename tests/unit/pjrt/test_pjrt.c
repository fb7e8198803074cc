/* SPDX-License-Identifier: Apache-2.0
 *
 * The room pjrt on the CPU plug-in: hand-written programs, donated state over several steps, two
 * replicas, compiled programs kept on the disk, what is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bt/base/alloc.h"
#include "bt/fs.h"
#include "test_pjrt_run.h"

/* Set for the second process of a test: the folder of the first one's cache. */
#define SECOND_START "BT_TEST_PJRT_SECOND_START"

#define NEED_PLUGIN()                                                                              \
    do {                                                                                           \
        if (test_pjrt_client() == NULL) {                                                          \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

static void test_shows_its_devices(void **state) {
    (void)state;
    NEED_PLUGIN();
    bt_pjrt_client *const client = test_pjrt_client();
    assert_string_equal(bt_pjrt_client_platform(client), "cpu");
    assert_int_equal(bt_pjrt_client_n_devices(client), TEST_PJRT_N_DEVICES);
    for (int32_t i = 0; i < TEST_PJRT_N_DEVICES; i++) {
        bt_pjrt_device device;
        assert_ok(bt_pjrt_client_device(client, i, &device, err));
        assert_string_equal(device.kind, "cpu");
    }
}

/* a product, a sum of integers, and unsigned ones that wrap */
static const char three_types[] =
    "module @three { func.func public @main(%a: tensor<2x3xf32>, %b: tensor<3x2xf32>,\n"
    "    %i: tensor<4xi32>, %u: tensor<ui32>) -> (tensor<2x2xf32>, tensor<4xi32>, tensor<ui32>) {\n"
    "  %0 = stablehlo.dot_general %a, %b, contracting_dims = [1] x [0]\n"
    "      : (tensor<2x3xf32>, tensor<3x2xf32>) -> tensor<2x2xf32>\n"
    "  %1 = stablehlo.add %i, %i : tensor<4xi32>\n"
    "  %2 = stablehlo.multiply %u, %u : tensor<ui32>\n"
    "  return %0, %1, %2 : tensor<2x2xf32>, tensor<4xi32>, tensor<ui32> } }\n";

/* State that goes round: s <- s + x in place of s, and a sum to look at. */
static const char step_text[] =
    "module @step { func.func public @main(%s: tensor<3xf32> {tf.aliasing_output = 0 : i32},\n"
    "    %x: tensor<3xf32>) -> (tensor<3xf32>, tensor<f32>) {\n"
    "  %0 = stablehlo.add %s, %x : tensor<3xf32>\n"
    "  %zero = stablehlo.constant dense<0.0> : tensor<f32>\n"
    "  %1 = stablehlo.reduce(%0 init: %zero) applies stablehlo.add across dimensions = [0]\n"
    "      : (tensor<3xf32>, tensor<f32>) -> tensor<f32>\n"
    "  return %0, %1 : tensor<3xf32>, tensor<f32> } }\n";

static const bt_pjrt_shape three = {BT_DTYPE_F32, 1, {3}};

static bool is_gone(bt_pjrt_buffer *buffer) {
    bool gone = false;
    assert_ok(bt_pjrt_is_gone(test_pjrt_client(), buffer, &gone, err));
    return gone;
}

static void test_donates_state_from_step_to_step(void **state) {
    (void)state;
    NEED_PLUGIN();
    bt_pjrt_client *const  client = test_pjrt_client();
    bt_pjrt_program *const program = test_pjrt_compile(step_text, 1);
    const float            start[] = {1, 2, 3}, x[] = {10, 20, 30};
    bt_pjrt_buffer        *args[2], *results[2];
    bt_pjrt_memory         memory;
    float                  sum = 0;
    assert_ok(bt_pjrt_program_memory(program, &memory, err));
    assert_int_equal(memory.argument_bytes, 24);
    assert_int_equal(memory.donated_bytes, 12);
    assert_ok(bt_pjrt_upload(client, 0, &three, start, &args[0], err));
    assert_ok(bt_pjrt_upload(client, 0, &three, x, &args[1], err));
    bt_pjrt_buffer *const *const lists[] = {args};
    bt_pjrt_buffer **const       result_lists[] = {results};
    for (int step = 0; step < 3; step++) {
        const bt_pjrt_run run = {lists, 2, result_lists, .wait = step == 1};
        assert_ok(bt_pjrt_execute(program, &run, err));
        assert_true(is_gone(args[0]));
        assert_false(is_gone(args[1]));
        bt_pjrt_buffer_free(client, args[0]);
        args[0] = results[0];
        assert_ok(bt_pjrt_download(client, results[1], &sum, sizeof sum, err));
        assert_true(sum == 6 + 60 * (float)(step + 1));
        bt_pjrt_buffer_free(client, results[1]);
    }
    float       got[3];
    const float want[] = {31, 62, 93};
    assert_ok(bt_pjrt_download(client, args[0], got, sizeof got, err));
    test_close_f32(got, want, 3, 0, 0, "state");
    bt_pjrt_buffer_free(client, args[0]);
    bt_pjrt_buffer_free(client, args[1]);
    bt_pjrt_program_free(program);
}

static void test_tells_of_a_donated_array_that_is_used_again(void **state) {
    (void)state;
    NEED_PLUGIN();
    bt_pjrt_client *const  client = test_pjrt_client();
    bt_pjrt_program *const program = test_pjrt_compile(step_text, 1);
    const float            x[] = {1, 2, 3};
    float                  got[4];
    bt_pjrt_buffer        *args[2], *results[2];
    assert_ok(bt_pjrt_upload(client, 0, &three, x, &args[0], err));
    assert_ok(bt_pjrt_upload(client, 0, &three, x, &args[1], err));
    bt_pjrt_buffer *const *const lists[] = {args};
    bt_pjrt_buffer **const       result_lists[] = {results};
    const bt_pjrt_run            run = {lists, 2, result_lists, .wait = true};
    assert_ok(bt_pjrt_execute(program, &run, err));
    assert_fails(bt_pjrt_download(client, args[0], got, 12, err), BT_E_BACKEND, "donated");
    assert_fails(bt_pjrt_download(client, results[0], got, 16, err), BT_E_SHAPE,
                 "has 12 bytes, 16 are expected");
    assert_fails(bt_pjrt_download(client, results[0], got, 8, err), BT_E_SHAPE,
                 "has 12 bytes, 8 are expected");
    bt_pjrt_buffer_free(client, results[0]);
    bt_pjrt_buffer_free(client, results[1]);
    assert_fails(bt_pjrt_execute(program, &run, err), BT_E_BACKEND, "a program failed");
    assert_null(results[0]);
    bt_pjrt_buffer_free(client, args[0]);
    bt_pjrt_buffer_free(client, args[1]);
    bt_pjrt_program_free(program);
}

/* Each replica's own square, and the sum of all. */
static const char two_replicas_text[] =
    "module @two attributes {mhlo.num_replicas = 2 : i32} {\n"
    "  func.func public @main(%x: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>) {\n"
    "  %0 = stablehlo.multiply %x, %x : tensor<3xf32>\n"
    "  %1 = \"stablehlo.all_reduce\"(%0) ({ ^bb0(%a: tensor<f32>, %b: tensor<f32>):\n"
    "      %s = stablehlo.add %a, %b : tensor<f32>\n"
    "      stablehlo.return %s : tensor<f32> })\n"
    "    {replica_groups = dense<[[0, 1]]> : tensor<1x2xi64>} : (tensor<3xf32>) -> tensor<3xf32>\n"
    "  return %0, %1 : tensor<3xf32>, tensor<3xf32> } }\n";

static void check_two_replicas(bt_pjrt_program *program) {
    bt_pjrt_client *const client = test_pjrt_client();
    const float           x[2][3] = {{1, 2, 3}, {10, 20, 30}};
    const float           square[2][3] = {{1, 4, 9}, {100, 400, 900}}, sum[] = {101, 404, 909};
    bt_pjrt_buffer       *args[2], *results[2][2];
    for (int r = 0; r < 2; r++) {
        assert_ok(bt_pjrt_upload(client, r, &three, x[r], &args[r], err));
    }
    bt_pjrt_buffer *const *const lists[] = {&args[0], &args[1]};
    bt_pjrt_buffer **const       result_lists[] = {results[0], results[1]};
    const bt_pjrt_run            run = {lists, 1, result_lists, .wait = true};
    assert_ok(bt_pjrt_execute(program, &run, err));
    for (int r = 0; r < 2; r++) {
        float got[3];
        assert_ok(bt_pjrt_download(client, results[r][0], got, sizeof got, err));
        test_close_f32(got, square[r], 3, 0, 0, "a replica's own");
        assert_ok(bt_pjrt_download(client, results[r][1], got, sizeof got, err));
        test_close_f32(got, sum, 3, 0, 0, "sum of replicas");
        bt_pjrt_buffer_free(client, results[r][0]);
        bt_pjrt_buffer_free(client, results[r][1]);
        bt_pjrt_buffer_free(client, args[r]);
    }
}

static void test_adds_up_what_two_devices_have(void **state) {
    (void)state;
    NEED_PLUGIN();
    const char *const folder = test_temp_dir();
    for (int start = 0; start < 2; start++) { /* compiled, and from the cache */
        const bt_pjrt_compile_options options = {.n_replicas = 2, .cache_folder = folder};
        bt_pjrt_program              *program = NULL;
        assert_ok(bt_pjrt_compile(test_pjrt_client(), two_replicas_text, strlen(two_replicas_text),
                                  &options, &program, err));
        assert_int_equal(bt_pjrt_program_is_from_cache(program), start == 1);
        check_two_replicas(program);
        bt_pjrt_program_free(program);
    }
}

static bt_pjrt_program *compile_cached(const char *text, const char *folder, bool want_cached) {
    const bt_pjrt_compile_options options = {.n_replicas = 1, .cache_folder = folder};
    bt_pjrt_program              *program = NULL;
    assert_ok(bt_pjrt_compile(test_pjrt_client(), text, strlen(text), &options, &program, err));
    assert_int_equal(bt_pjrt_program_is_from_cache(program), want_cached);
    return program;
}

/* It must be the same program, not only some program. */
static void check_three_types(bt_pjrt_program *program) {
    float                 a[] = {1, 2, 3, 4, 5, 6}, b[] = {1, 0, 0, 1, 2, 3}, product[4] = {0};
    int32_t               i[] = {-3, 0, 7, 1 << 20}, twice[4] = {0};
    uint32_t              u = 0xCD9E8D57u, square = 0;
    const test_pjrt_array args[] = {TEST_PJRT_F32(a, 2, 2, 3), TEST_PJRT_F32(b, 2, 3, 2),
                                    TEST_PJRT_I32(i, 1, 4), TEST_PJRT_U32(&u, 0, 0)};
    const test_pjrt_array results[] = {TEST_PJRT_F32(product, 2, 2, 2), TEST_PJRT_I32(twice, 1, 4),
                                       TEST_PJRT_U32(&square, 0, 0)};
    test_pjrt_run_program(program, args, 4, results, 3);
    const float   want[] = {7, 11, 16, 23};
    const int32_t want_twice[] = {-6, 0, 14, 1 << 21};
    test_close_f32(product, want, 4, 0, 0, "product");
    assert_memory_equal(twice, want_twice, sizeof twice);
    assert_int_equal(square, 0xCD9E8D57u * 0xCD9E8D57u);
}

static void test_runs_floats_and_integers(void **state) {
    (void)state;
    NEED_PLUGIN();
    bt_pjrt_program *const program = test_pjrt_compile(three_types, 1);
    check_three_types(program);
    bt_pjrt_program_free(program);
}

static void use_cached(const char *text, const char *folder, bool want_cached) {
    bt_pjrt_program *const program = compile_cached(text, folder, want_cached);
    check_three_types(program);
    bt_pjrt_program_free(program);
}

/* The one file of the cache. */
static char *only_file(const char *folder) {
    bt_fs_names names = BT_FS_NAMES_INIT;
    char       *path = NULL;
    assert_ok(bt_fs_list(folder, &names, err));
    assert_int_equal(names.n, 1);
    assert_ok(bt_fs_join(folder, names.items[0], &path, err));
    bt_fs_names_deinit(&names);
    return path;
}

static void test_compiles_nothing_the_second_time(void **state) {
    (void)state;
    NEED_PLUGIN();
    char folder[TEST_PATH_MAX];
    snprintf(folder, sizeof folder, "%s/new/cache", test_temp_dir());
    use_cached(three_types, folder, false);
    use_cached(three_types, folder, true);
    char *const path = only_file(folder);

    /* damaged in the middle, cut, empty: compiled again, and kept anew */
    size_t      n = 0;
    char *const whole = test_read_file(path, &n);
    whole[n / 2] ^= 1;
    test_write_file(path, whole, n);
    use_cached(three_types, folder, false);
    use_cached(three_types, folder, true);
    test_write_file(path, whole, n / 2);
    use_cached(three_types, folder, false);
    test_write_file(path, "", 0);
    use_cached(three_types, folder, false);
    use_cached(three_types, folder, true);

    /* another option and another text, be it in its last byte, are other programs */
    char longer[sizeof three_types + 1];
    snprintf(longer, sizeof longer, "%s\n", three_types);
    use_cached(longer, folder, false);
    const bt_pjrt_option flag = {
        .name = "xla_cpu_enable_fast_math", .type = BT_PJRT_OPTION_BOOL, .number = 0};
    const bt_pjrt_compile_options options = {
        .n_replicas = 1, .flags = &flag, .n_flags = 1, .cache_folder = folder};
    bt_pjrt_program *program = NULL;
    assert_ok(bt_pjrt_compile(test_pjrt_client(), three_types, strlen(three_types), &options,
                              &program, err));
    assert_false(bt_pjrt_program_is_from_cache(program));
    bt_pjrt_program_free(program);
    bt_pjrt_program_free(compile_cached(step_text, folder, false));
    bt_pjrt_program_free(compile_cached(step_text, folder, true));

    bt_free(whole);
    bt_free(path);
}

static void test_a_cache_that_others_may_write_is_not_used(void **state) {
    (void)state;
    NEED_PLUGIN();
    const char *const folder = test_temp_dir();
    use_cached(three_types, folder, false);
    use_cached(three_types, folder, true);
    assert_int_equal(chmod(folder, 0777), 0);
    use_cached(three_types, folder, false);
}

/* A start of the program: another process, which must find what this one has kept. */
static void test_the_next_process_compiles_nothing(void **state) {
    (void)state;
    NEED_PLUGIN();
    const char *const folder = test_temp_dir();
    use_cached(three_types, folder, false);
    assert_int_equal(setenv(SECOND_START, folder, 1), 0);
    const int rc = system("exec /proc/$PPID/exe");
    assert_int_equal(unsetenv(SECOND_START), 0);
    assert_int_equal(rc, 0);
}

static bt_status compile_only(const char *text, const bt_pjrt_compile_options *options,
                              bt_error *err) {
    bt_pjrt_program *program = NULL;
    const bt_status  rc =
        bt_pjrt_compile(test_pjrt_client(), text, strlen(text), options, &program, err);
    bt_pjrt_program_free(program);
    return rc;
}

static void test_tells_what_the_compiler_refuses(void **state) {
    (void)state;
    NEED_PLUGIN();
    const bt_pjrt_option flag = {
        .name = "xla_no_such_flag", .type = BT_PJRT_OPTION_TEXT, .text = "x"};
    const bt_pjrt_compile_options one = {.n_replicas = 1}, many = {.n_replicas = 5},
                                  flags = {.n_replicas = 1, .flags = &flag, .n_flags = 1};
    assert_fails(compile_only("module { nonsense }", &one, err), BT_E_BACKEND,
                 "the program cannot be compiled");
    assert_fails(compile_only(step_text, &many, err), BT_E_BACKEND,
                 "5 devices are wanted, and there are 4");
    assert_fails(compile_only(step_text, &flags, err), BT_E_BACKEND, "xla_no_such_flag");
}

/* Arguments that do not fit the program: our own mistake, which must not end in other numbers. */
static void test_tells_of_arguments_that_do_not_fit(void **state) {
    (void)state;
    NEED_PLUGIN();
    bt_pjrt_client *const  client = test_pjrt_client();
    bt_pjrt_program *const program = test_pjrt_compile(step_text, 1);
    static const struct {
        const char   *what;
        bt_pjrt_shape shape;
        size_t        n_args;
        int32_t       device;
    } rows[] = {
        {"one too few", {BT_DTYPE_F32, 1, {3}}, 1, 0},
        {"another size", {BT_DTYPE_F32, 1, {4}}, 2, 0},
        {"another type", {BT_DTYPE_I64, 1, {3}}, 2, 0},
        {"another device", {BT_DTYPE_F32, 1, {3}}, 2, 1},
    };
    const int64_t zeros[4] = {0};
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_pjrt_buffer *args[2], *results[2];
        for (int k = 0; k < 2; k++) {
            assert_ok(bt_pjrt_upload(client, rows[i].device, &rows[i].shape, zeros, &args[k], err));
        }
        bt_pjrt_buffer *const *const lists[] = {args};
        bt_pjrt_buffer **const       result_lists[] = {results};
        const bt_pjrt_run            run = {lists, rows[i].n_args, result_lists, .wait = true};
        bt_error                     why = BT_ERROR_INIT;
        const bt_status              rc = bt_pjrt_execute(program, &run, &why);
        print_message("%s: %s\n", rows[i].what, why.msg);
        assert_int_equal(rc, BT_E_BACKEND);
        assert_null(results[0]);
        assert_null(results[1]);
        bt_pjrt_buffer_free(client, args[0]);
        bt_pjrt_buffer_free(client, args[1]);
    }
    bt_pjrt_program_free(program);
}

static void test_knows_the_size_of_arrays(void **state) {
    (void)state;
    size_t n = 0;
    assert_true(bt_pjrt_shape_bytes(&(bt_pjrt_shape){BT_DTYPE_BF16, 3, {4, 5, 6}}, &n));
    assert_int_equal(n, 240);
    assert_true(bt_pjrt_shape_bytes(&(bt_pjrt_shape){BT_DTYPE_F32, 0, {0}}, &n));
    assert_int_equal(n, 4);
    assert_true(bt_pjrt_shape_bytes(&(bt_pjrt_shape){BT_DTYPE_U32, 2, {0, 7}}, &n));
    assert_int_equal(n, 0);
    assert_false(bt_pjrt_shape_bytes(&(bt_pjrt_shape){BT_DTYPE_F32, 9, {0}}, &n));
    assert_false(bt_pjrt_shape_bytes(&(bt_pjrt_shape){BT_DTYPE_STRING, 1, {1}}, &n));
    assert_false(bt_pjrt_shape_bytes(&(bt_pjrt_shape){BT_DTYPE_F32, 1, {-1}}, &n));
    assert_false(
        bt_pjrt_shape_bytes(&(bt_pjrt_shape){BT_DTYPE_F32, 2, {INT64_MAX, INT64_MAX}}, &n));
}

static void test_uses_the_cache_of_the_first(void **state) {
    (void)state;
    use_cached(three_types, getenv(SECOND_START), true);
}

int main(void) {
    const struct CMUnitTest second[] = {cmocka_unit_test(test_uses_the_cache_of_the_first)};
    if (getenv(SECOND_START) != NULL) {
        return cmocka_run_group_tests(second, NULL, NULL);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shows_its_devices),
        cmocka_unit_test(test_runs_floats_and_integers),
        cmocka_unit_test(test_donates_state_from_step_to_step),
        cmocka_unit_test(test_tells_of_a_donated_array_that_is_used_again),
        cmocka_unit_test(test_adds_up_what_two_devices_have),
        cmocka_unit_test(test_compiles_nothing_the_second_time),
        cmocka_unit_test(test_the_next_process_compiles_nothing),
        cmocka_unit_test(test_a_cache_that_others_may_write_is_not_used),
        cmocka_unit_test(test_tells_what_the_compiler_refuses),
        cmocka_unit_test(test_tells_of_arguments_that_do_not_fit),
        cmocka_unit_test(test_knows_the_size_of_arrays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
