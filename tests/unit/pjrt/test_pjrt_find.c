/* SPDX-License-Identifier: Apache-2.0
 *
 * Where plug-ins are found, in which order, and the sentence where there is none; the devices that
 * one may compile for. Needs no plug-in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "bt/pjrt.h"
#include "test_support.h"

static const char *const variables[] = {
    "PJRT_NAMES_AND_LIBRARY_PATHS", "TPU_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX",
    "BERT_TRAIN_PJRT_DIR",          "XDG_CACHE_HOME"};

/* A world without plug-ins but what the system has for everybody. */
static int forget_everything(void **state) {
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(variables); i++) {
        (void)unsetenv(variables[i]);
    }
    (void)setenv("HOME", test_temp_dir(), 1);
    (void)setenv("PATH", "/nowhere", 1);
    return 0;
}

static void set(const char *name, const char *format, const char *value) {
    char text[TEST_PATH_MAX];
    snprintf(text, sizeof text, format, value);
    assert_int_equal(setenv(name, text, 1), 0);
}

/* FOLDER/RELATIVE, an empty file, with its folders. Static storage. */
static const char *make_file(const char *folder, const char *relative) {
    static char path[TEST_PATH_MAX];
    char       *parent = NULL;
    snprintf(path, sizeof path, "%s/%s", folder, relative);
    assert_ok(bt_fs_parent(path, &parent, err));
    assert_ok(bt_fs_make_folders(parent, err));
    test_write_file(path, "", 0);
    bt_free(parent);
    return path;
}

static void check_found(bt_pjrt_kind kind, const char *want) {
    char *path = NULL;
    assert_ok(bt_pjrt_plugin_find(kind, &path, err));
    assert_string_equal(path, want);
    bt_free(path);
}

static void check_missing(bt_pjrt_kind kind, const char *words) {
    char *path = NULL;
    assert_fails(bt_pjrt_plugin_find(kind, &path, err), BT_E_BACKEND, words);
    assert_null(path);
}

#define CUDA13 "jax_plugins/xla_cuda13/xla_cuda_plugin.so"
#define CUDA12 "jax_plugins/xla_cuda12/xla_cuda_plugin.so"
#define CPU "xla_plugins/xla_cpu_pjrt/xla_cpu_pjrt.so"

static void test_says_what_to_type_where_there_is_none(void **state) {
    (void)state;
    check_missing(BT_PJRT_CUDA, "run tools/get_pjrt.sh cuda13");
    check_missing(BT_PJRT_TPU, "PJRT_NAMES_AND_LIBRARY_PATHS or TPU_LIBRARY_PATH");
    check_missing(BT_PJRT_CPU, "/.cache/bert-train/pjrt has one");
    set("XDG_CACHE_HOME", "%s", "/some/cache");
    check_missing(BT_PJRT_CPU, "nor /some/cache/bert-train/pjrt has one");
    set("BERT_TRAIN_PJRT_DIR", "%s", "/some/plugins");
    check_missing(BT_PJRT_CPU, "nor /some/plugins has one");
}

static void test_takes_what_the_script_has_fetched(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    set("BERT_TRAIN_PJRT_DIR", "%s", folder);
    check_found(BT_PJRT_CPU, make_file(folder, "cpu/" CPU));
    check_found(BT_PJRT_TPU, make_file(folder, "tpu/libtpu/libtpu.so"));
    check_found(BT_PJRT_CUDA, make_file(folder, "cuda12/" CUDA12));
    check_found(BT_PJRT_CUDA, make_file(folder, "cuda13/" CUDA13)); /* the newer one */
}

/* Each place before the one that was made before it. */
static void test_looks_in_python_before(void **state) {
    (void)state;
    const char *const home = test_temp_dir(), *const venv = test_temp_dir();
    set("HOME", "%s", home);
    check_found(BT_PJRT_CPU, make_file(home, ".cache/bert-train/pjrt/cpu/" CPU));
    check_found(BT_PJRT_CPU, make_file(home, ".local/lib/python3.11/site-packages/" CPU));
    const char *const beside = test_temp_dir();
    set("PATH", "/nowhere::%s/bin:/bin", beside);
    const char *const file = make_file(beside, "lib/python3.9/dist-packages/" CPU);
    char             *path = bt_strdup(file);
    (void)make_file(beside, "bin/python3");
    check_found(BT_PJRT_CPU, path);
    bt_free(path);
    set("CONDA_PREFIX", "%s", venv);
    check_found(BT_PJRT_CPU, make_file(venv, "lib/python3.12/site-packages/" CPU));
    const char *const other = test_temp_dir();
    set("VIRTUAL_ENV", "%s", other);
    check_found(BT_PJRT_CPU, make_file(other, "lib/python3.12/site-packages/" CPU));
    const char *const first = test_temp_dir();
    set("PYTHONPATH", ":/nowhere:%s:", first);
    check_found(BT_PJRT_CPU, make_file(first, CPU));
    /* a CUDA 12 one in Python is taken before a CUDA 13 one of the script's */
    set("BERT_TRAIN_PJRT_DIR", "%s", home);
    (void)make_file(home, "cuda13/" CUDA13);
    check_found(BT_PJRT_CUDA, make_file(first, CUDA12));
}

static void test_obeys_the_variables_or_fails(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    char *const       file = bt_strdup(make_file(folder, "mine.so"));
    set("BERT_TRAIN_PJRT_DIR", "%s", folder);
    (void)make_file(folder, "cpu/" CPU);
    (void)make_file(folder, "tpu/libtpu/libtpu.so");
    set("TPU_LIBRARY_PATH", "%s", file);
    check_found(BT_PJRT_TPU, file);
    set("TPU_LIBRARY_PATH", "%s.gone", file);
    check_missing(BT_PJRT_TPU, "the variable TPU_LIBRARY_PATH names no plug-in: ");
    set("TPU_LIBRARY_PATH", "%s", ""); /* as if it were not set */
    check_found(BT_PJRT_TPU, make_file(folder, "tpu/libtpu/libtpu.so"));

    set("PJRT_NAMES_AND_LIBRARY_PATHS", "metal:/nowhere/x.so,gpu:%s,cpu:/nowhere/y.so", file);
    check_found(BT_PJRT_CUDA, file);
    check_missing(BT_PJRT_CPU, "names no plug-in: /nowhere/y.so");
    check_found(BT_PJRT_TPU, make_file(folder, "tpu/libtpu/libtpu.so")); /* it says nothing of it */
    set("PJRT_NAMES_AND_LIBRARY_PATHS", "%s", file);
    check_missing(BT_PJRT_CPU, "which is not NAME:PATH");
    bt_free(file);
}

static void test_knows_devices_to_compile_for(void **state) {
    (void)state;
    static const struct {
        const char  *text;
        bt_pjrt_kind kind;
        int32_t      n_gpus;
        const char  *holds;
    } rows[] = {
        {"h100", BT_PJRT_CUDA, 1, "device_memory_size: 84942979072"},
        {"h100:8", BT_PJRT_CUDA, 8, "name: \"NVIDIA H100 80GB HBM3\""},
        {"a100:2", BT_PJRT_CUDA, 2, "clock_rate_ghz: 1.41\n"},
        {"h200", BT_PJRT_CUDA, 1, "memory_bandwidth: 4800000000000"},
        {"v5e:2x2", BT_PJRT_TPU, 0, "v5e:2x2"},
        {"v5p:2x2x1", BT_PJRT_TPU, 0, "v5p:2x2x1"},
        {"tpu7x:2x2x1", BT_PJRT_TPU, 0, "tpu7x:2x2x1"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_pjrt_target target;
        assert_ok(bt_pjrt_target_parse(rows[i].text, &target, err));
        assert_int_equal(target.kind, rows[i].kind);
        assert_int_equal(target.n_gpus, rows[i].n_gpus);
        assert_non_null(strstr(bt_str_text(&target.description), rows[i].holds));
        bt_pjrt_target_deinit(&target);
    }
}

static void test_refuses_other_devices(void **state) {
    (void)state;
    static const char *const rows[] = {
        "",         "h101",    "H100",         "h100:0", "h100:",
        "h100:x",   "h100:-1", "h100:9999999", ":8",     "v5e",
        "v5e:2x2y", "v5e:",    "v:2x2",        "tpu",    "/nowhere/h100.txtpb",
        "cpu"};
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_pjrt_target target;
        assert_fails(bt_pjrt_target_parse(rows[i], &target, err), BT_E_CONFIG,
                     "is not a device to compile for");
    }
}

static void test_reads_a_description_from_a_file(void **state) {
    (void)state;
    static const char text[] = "gpu_device_info { core_count: 1 }\n";
    char              path[TEST_PATH_MAX], name[TEST_PATH_MAX + 8];
    bt_pjrt_target    target;
    snprintf(path, sizeof path, "%s/card.txtpb", test_temp_dir());
    test_write_file(path, text, strlen(text));
    assert_ok(bt_pjrt_target_parse(path, &target, err));
    assert_string_equal(bt_str_text(&target.description), text);
    assert_int_equal(target.n_gpus, 1);
    bt_pjrt_target_deinit(&target);
    snprintf(name, sizeof name, "%s:4", path);
    assert_ok(bt_pjrt_target_parse(name, &target, err));
    assert_int_equal(target.n_gpus, 4);
    bt_pjrt_target_deinit(&target);
    test_write_file(path, "other: 1\n", 9);
    assert_fails(bt_pjrt_target_parse(path, &target, err), BT_E_CONFIG,
                 "not the description of a GPU");
    assert_fails(bt_pjrt_target_parse(test_temp_dir(), &target, err), BT_E_IO, "");
}

/* Every build has a sentence for what it was built without. */
static void test_says_what_it_was_built_without(void **state) {
    (void)state;
    bt_str          info = BT_STR_INIT;
    bt_pjrt_plugin *plugin = NULL;
    assert_ok(bt_pjrt_append_build_info(&info, err));
    assert_true(bt_str_starts_with(bt_str_text(&info), "plug-ins: "));
    assert_int_equal(strstr(bt_str_text(&info), "PJRT interface 0.") != NULL,
                     bt_pjrt_is_built_in());
    bt_str_deinit(&info);
    if (bt_pjrt_is_built_in()) {
        assert_fails(bt_pjrt_plugin_open("/nowhere/x.so", BT_PJRT_TO_RUN, &plugin, err),
                     BT_E_BACKEND, "there is no plug-in: ");
    } else {
        assert_fails(bt_pjrt_plugin_open("/nowhere/x.so", BT_PJRT_TO_RUN, &plugin, err),
                     BT_E_UNSUPPORTED, "was built without PJRT plug-ins");
    }
    assert_null(plugin);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_says_what_to_type_where_there_is_none, forget_everything),
        cmocka_unit_test_setup(test_takes_what_the_script_has_fetched, forget_everything),
        cmocka_unit_test_setup(test_looks_in_python_before, forget_everything),
        cmocka_unit_test_setup(test_obeys_the_variables_or_fails, forget_everything),
        cmocka_unit_test_setup(test_knows_devices_to_compile_for, forget_everything),
        cmocka_unit_test_setup(test_refuses_other_devices, forget_everything),
        cmocka_unit_test_setup(test_reads_a_description_from_a_file, forget_everything),
        cmocka_unit_test_setup(test_says_what_it_was_built_without, forget_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
