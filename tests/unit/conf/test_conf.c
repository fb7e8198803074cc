/* SPDX-License-Identifier: Apache-2.0
 *
 * The conf room as others use it: merging, problems with their places, reading,
 * binding, help, and every allocation failing in turn. */
#include "test_conf.h"

#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/str.h"
#include "bt/conf.h"
#include "conf_schema.h"

#define CLASSIFY "bert/sentence_prediction"
#define PAIRS "bert/dual_encoder"

static const struct {
    const char *override;
    const char *want; /* part of the only problem */
} refused_rows[] = {
    {"trainer.train_steps=-1", "'trainer.train_steps=-1': trainer.train_steps: expected an integer "
                               "at least 0, got -1"},
    {"trainer.steps_per_loop=0", "at least 1, got 0"},
    {"trainer.max_to_keep=0", "at least 1, got 0"},
    {"trainer.validation_steps=0", "-1 or at least 1, got 0"},
    {"trainer.validation_steps=-2", "-1 or at least 1, got -2"},
    {"trainer.best_checkpoint_metric_comp=highest", "higher|lower"},
    {"trainer.train_steps=1.5", "expected an integer, got 1.5"},
    {"trainer.train_steps=true", "expected an integer, got true"},
    {"task.name=5", "put it in quotes"},
    {"runtime.distribution_strategy=off", "put it in quotes"},
    {"runtime.distribution_strategy=everywhere", "one of off|one_device"},
    {"task.train_data.cache=2", "true or false, got 2"},
    {"task.train_data.cache=null", "true or false, got null"},
    {"task.train_data.label_name=[a]", "a list of two"},
    {"task.model.num_classes=0,task.model.num_classes=-3", "at least 1, got -3"},
    {"task.model.encoder.bert.dropout_rate=1.0", "less than 1, got 1.0"},
    {"task.model.encoder.bert.dropout_rate=nope", "a number, got the text 'nope'"},
    {"task.model.encoder.type=brt", "did you mean 'bert'?"},
    {"task.model.encoder.type=roberta",
     "'roberta': RoBERTa's vocabulary, byte-level BPE, cannot be read; the encoders that train are "
     "bert, bert_v2 and albert"},
    {"task.model.encoder.type=DistilBERT", "DistilBERT's layers are those of bert"},
    {"task.model.encoder=5", "a section (a mapping), got 5"},
    {"task.model.encoder=null", "cannot be null"},
    {"task.modle.num_classes=3", "task.modle: unknown key; official.nlp.tasks.sentence_prediction."
                                 "SentencePredictionConfig has none of this name; did you mean "
                                 "'task.model'?"},
    {"train_steps=3", "did you mean 'trainer.train_steps'?"},
    {"trainer.optimizer_config.optimizer.adamw.exclude_from_weight_decay=bias", "write [a, b]"},
    {"trainer.loss_upper_bound=1.5e3", "write 1500.0"},
    {"trainer.loss_upper_bound=.nan", "got nan"},
    {"trainer.train_steps=99999999999999999999", "too large"},
    {"runtime.threads=-1", "from 0 to 1024"},
    {"runtime.threads=1025", "from 0 to 1024"},
    {"runtime.loss_scale=static", "expected a number or 'dynamic', got the text 'static'"},
    {"task.class_weights=balancd", "expected a list of numbers or 'balanced', got the text"},
    {"task.class_weights=2", "expected a list of numbers or 'balanced', got 2"},
    {"task.class_weights=[1, x]", "a list of numbers or 'balanced'"},
    {"task.label_smoothing=1", "less than 1, got 1"},
    {"task.label_smoothing=-0.1", "got -0.1"},
    {"runtime.loss_scale=[1]", "a number or a word"},
    {"task.train_data.epochs=0", "at least 1"},
    {"runtime.padding=never", "auto|keep|drop"},
    {"{task: {name: \"a\\0b\"}}", "NUL"},
    {"{task: {1: 2}}", "a key must be a name, got 1"},
    {"{task: {train_data: {input_path: [a, [b]]}}}", "a list may hold"},
    {"{trainer: {_locked: 1}}", "reserved"},
    {"task.train_data.input_path=[a, 5]", "a path or a list of paths"},
    {"task.train_data.input_path={a: 2020-01-01}", "a mapping"},
    {"task.name=2020-01-01", "a date"},
    {"a.yaml", "'a.yaml': No such file"},
    {"trainer.train_steps=1,x", "neither name=value (expected name=value at 'x') nor a file"},
    {"task.name='x", "not YAML"},
    {"x: y: z", "nor YAML"},
    {"/", "folder"},
};

static void test_problems(void **state) {
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(refused_rows); i++) {
        const bt_conf_args args = {.experiment = CLASSIFY,
                                   .params_override = refused_rows[i].override};
        bt_conf           *conf = NULL;
        bt_conf_errors     errors = BT_CONF_ERRORS_INIT;
        assert_fails(bt_conf_build(&args, &conf, &errors, err), BT_E_CONFIG, refused_rows[i].want);
        assert_null(conf);
        assert_int_equal(errors.n_errors, 1);
        assert_non_null(strstr(errors.items[0].text, refused_rows[i].want));
        bt_conf_errors_deinit(&errors);
    }
}

/* All sources are read to the end, and every place is right. */
static void test_all_problems_at_once(void **state) {
    (void)state;
    char              path[TEST_PATH_MAX];
    char              want[TEST_PATH_MAX + 64];
    static const char yaml[] = "task:\n  model:\n    num_classes: -2\ntrainer:\n  foo: 1\n"
                               "  max_to_keep: many\n";
    (void)snprintf(path, sizeof(path), "%s/bad.yaml", test_temp_dir());
    test_write_file(path, yaml, strlen(yaml));
    const char              *files[] = {path, "trainer.bar=1"};
    const bt_conf_args       args = {.experiment = CLASSIFY,
                                     .config_files = files,
                                     .n_config_files = 2,
                                     .params_override = "trainer.baz=1,runtime.isa=avx3"};
    static const char *const rows[] = {
        ":5:3: trainer.foo: unknown",         "--config_file: 'trainer.bar=1'",
        "--params_override: 'trainer.baz=1'", "'runtime.isa=avx3': runtime.isa: expected one of",
        ":3:18: task.model.num_classes",      ":6:16: trainer.max_to_keep"};
    bt_conf       *conf = NULL;
    bt_conf_errors errors = BT_CONF_ERRORS_INIT;
    (void)snprintf(want, sizeof(want), "6 problems, the first: %s:5:3", path);
    assert_fails(bt_conf_build(&args, &conf, &errors, err), BT_E_CONFIG, want);
    assert_int_equal(errors.n, BT_ARRAY_LEN(rows));
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        if (strstr(errors.items[i].text, rows[i]) == NULL) {
            fail_msg("problem %zu: '%s' lacks '%s'", i, errors.items[i].text, rows[i]);
        }
    }
    bt_conf_errors_deinit(&errors);
}

static void test_experiments(void **state) {
    (void)state;
    static const struct {
        const char *name;
        const char *want;
    } rows[] = {
        {"bert/sqad", "did you mean 'bert/squad'?"},
        {"zzz", "--list_experiments"},
        {"", "no such experiment"},
        {"retinanet", "object detection"},
        {"vit_imagenet_finetune", "image classification"},
        {"video_classification", "video"},
        {"seg_resnetfpn_pascal", "segmentation"},
        {"wmt_transformer/large", "translation"},
        {"mock", "test of Model Garden"},
        {"imagenet", "no such experiment"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        const bt_conf_args args = {.experiment = rows[i].name};
        bt_conf           *conf = NULL;
        bt_conf_errors     errors = BT_CONF_ERRORS_INIT;
        assert_fails(bt_conf_build(&args, &conf, &errors, err), BT_E_CONFIG, rows[i].want);
        bt_conf_errors_deinit(&errors);
    }
    assert_true(bt_conf_n_experiments() >= 8);
    for (size_t i = 0; i < bt_conf_n_experiments(); i++) {
        const bt_conf_experiment *experiment = bt_conf_experiment_at(i);
        bt_str                    help = BT_STR_INIT;
        assert_true(strlen(experiment->doc) > 10);
        assert_ok(bt_conf_help(experiment->name, &help, err));
        assert_non_null(strstr(bt_str_text(&help), "trainer.train_steps\n"));
        assert_non_null(strstr(bt_str_text(&help), "bert-train only"));
        bt_str_deinit(&help);
    }
    assert_null(bt_conf_experiment_at(bt_conf_n_experiments()));
}

static void test_many_problems_are_counted(void **state) {
    (void)state;
    bt_str text = BT_STR_INIT;
    for (int i = 0; i < 300; i++) {
        assert_ok(bt_str_appendf(&text, err, "trainer.unknown_key_%d=1,", i));
    }
    const bt_conf_args args = {.experiment = CLASSIFY, .params_override = bt_str_text(&text)};
    bt_conf           *conf = NULL;
    bt_conf_errors     errors = BT_CONF_ERRORS_INIT;
    assert_fails(bt_conf_build(&args, &conf, &errors, err), BT_E_CONFIG, "300 problems");
    assert_true(errors.n < 300);
    assert_int_equal(errors.n_errors, 300);
    bt_conf_errors_deinit(&errors);
    bt_str_deinit(&text);
}

static void test_mode_names(void **state) {
    (void)state;
    for (int i = BT_CONF_MODE_TRAIN; i < BT_CONF_N_MODES; i++) {
        bt_conf_mode mode = BT_CONF_MODE_EVAL;
        const char  *name = bt_conf_mode_name((bt_conf_mode)i);
        assert_true(bt_conf_mode_parse(name, &mode));
        assert_int_equal(mode, i);
        assert_non_null(strstr(bt_conf_mode_names(), name));
        assert_true(bt_conf_mode_trains(mode) || bt_conf_mode_evaluates(mode) ||
                    mode == BT_CONF_MODE_EXPORT);
    }
    bt_conf_mode mode;
    assert_false(bt_conf_mode_parse("Train", &mode));
}

static void test_set(void **state) {
    (void)state;
    bt_conf       *conf = build_conf("bert/pretraining", "");
    bt_conf_errors errors = BT_CONF_ERRORS_INIT;
    char           origin[BT_CONF_ORIGIN_MAX];
    int64_t        n = 0;
    assert_ok(bt_conf_set(conf, "runtime.threads=4", "--threads", &errors, err));
    assert_string_equal(bt_conf_origin(conf, "runtime.threads", origin),
                        "--threads: 'runtime.threads=4'");
    assert_fails(bt_conf_set(conf,
                             "{runtime: {threads: 5}, task: {model: {cls_heads: [{inner_dim: "
                             "1, x: 2}]}}}",
                             "--x", &errors, err),
                 BT_E_CONFIG, "unknown key");
    assert_ok(bt_conf_get_i64(conf, "runtime.threads", &n, err));
    assert_int_equal(n, 4);
    assert_ok(bt_conf_get_i64(conf, "task.model.cls_heads.0.inner_dim", &n, err));
    assert_int_equal(n, 768);
    bt_conf_errors_deinit(&errors);
    bt_conf_free(conf);
}

static void test_extension_keys(void **state) {
    (void)state;
    bt_conf *conf =
        build_conf(CLASSIFY, "runtime.threads=0,trainer.warmup_fraction=0.2,task.train_data."
                             "epochs=3,runtime.padding=auto");
    bt_str yaml = BT_STR_INIT;
    double f = 0;
    assert_ok(bt_conf_dump_yaml(conf, &yaml, err));
    assert_null(strstr(bt_str_text(&yaml), "threads: 0"));
    assert_null(strstr(bt_str_text(&yaml), "padding"));
    assert_non_null(strstr(bt_str_text(&yaml), "\n  warmup_fraction: 0.2\n"));
    assert_non_null(strstr(bt_str_text(&yaml), "\n    epochs: 3\n"));
    assert_ok(bt_conf_get_f64(conf, "task.model.head_dropout", &f, err));
    assert_true(f == 0.1);
    bt_str_deinit(&yaml);
    bt_conf_free(conf);
}

/* A file of an earlier version has a key's old name; it is written with today's. */
static void test_an_old_name(void **state) {
    (void)state;
    const char        *files[] = {"runtime: {products: blas}"};
    const bt_conf_args args = {.experiment = CLASSIFY, .config_files = files, .n_config_files = 1};
    bt_conf           *conf = NULL;
    bt_conf_errors     errors = BT_CONF_ERRORS_INIT;
    bt_str             yaml = BT_STR_INIT;
    const char        *section = NULL;
    const char        *old = NULL;
    const char        *name = NULL;
    assert_ok(bt_conf_build(&args, &conf, &errors, err));
    assert_true(bt_conf_old_key(conf, &section, &old, &name));
    assert_string_equal(section, "runtime");
    assert_string_equal(old, "products");
    assert_string_equal(name, "matmul");
    assert_ok(bt_conf_dump_yaml(conf, &yaml, err));
    assert_non_null(strstr(yaml.data, "  matmul: blas\n"));
    assert_null(strstr(yaml.data, "products"));
    bt_str_deinit(&yaml);
    bt_conf_free(conf);
    files[0] = "runtime: {matmul: blas}";
    assert_ok(bt_conf_build(&args, &conf, &errors, err));
    assert_false(bt_conf_old_key(conf, &section, &old, &name));
    bt_conf_free(conf);
    files[0] = "runtime: {products: blas, matmul: auto}";
    assert_fails(bt_conf_build(&args, &conf, &errors, err), BT_E_CONFIG,
                 "runtime.products: this is the old name of matmul, which is given as well");
    bt_conf_errors_deinit(&errors);
    files[0] = "runtime: {products: mkl}";
    assert_fails(bt_conf_build(&args, &conf, &errors, err), BT_E_CONFIG,
                 "runtime.matmul: expected");
    bt_conf_errors_deinit(&errors);
}

/* What bert-train prints, bert-train reads: the same tree comes out. */
static void test_round_trip(void **state) {
    (void)state;
    for (size_t i = 0; i < bt_conf_n_experiments(); i++) {
        const char *name = bt_conf_experiment_at(i)->name;
        bt_conf    *conf = build_conf(name, "task.name='a: b',trainer.early_stopping_patience=2");
        bt_str      first = BT_STR_INIT;
        bt_str      second = BT_STR_INIT;
        assert_ok(bt_conf_dump_yaml(conf, &first, err));
        bt_conf *again = build_conf(name, bt_str_text(&first));
        assert_ok(bt_conf_dump_yaml(again, &second, err));
        assert_string_equal(bt_str_text(&first), bt_str_text(&second));
        bt_str_deinit(&first);
        bt_str_deinit(&second);
        bt_conf_free(conf);
        bt_conf_free(again);
    }
}

static void test_flags(void **state) {
    (void)state;
    const char        *files[] = {"runtime.tpu=gone", ""};
    const bt_conf_args args = {.experiment = CLASSIFY,
                               .config_files = files,
                               .n_config_files = 2,
                               .tpu = "here",
                               .tf_data_service = "there"};
    bt_conf           *conf = NULL;
    bt_conf_errors     errors = BT_CONF_ERRORS_INIT;
    const char        *s = NULL;
    char               origin[BT_CONF_ORIGIN_MAX];
    assert_ok(bt_conf_build(&args, &conf, &errors, err));
    assert_ok(bt_conf_get_str(conf, "runtime.tpu", &s, err));
    assert_string_equal(s, "here");
    assert_string_equal(bt_conf_origin(conf, "runtime.tpu", origin), "--tpu");
    assert_ok(bt_conf_get_str(conf, "task.validation_data.tf_data_service_address", &s, err));
    assert_string_equal(s, "there");
    bt_conf_free(conf);
    bt_conf_errors_deinit(&errors);
}

/* A section that was null and is made again must be of the class that the task reads. */
static void test_sections_made_anew(void **state) {
    (void)state;
    const char        *files[] = {"task.train_data=null", "task.model=null"};
    const bt_conf_args bad = {.experiment = CLASSIFY,
                              .config_files = files,
                              .n_config_files = 1,
                              .params_override = "task.train_data.cache=true"};
    const bt_conf_args good = {.experiment = CLASSIFY,
                               .config_files = files + 1,
                               .n_config_files = 1,
                               .params_override = "task.model.num_classes=3"};
    bt_conf           *conf = NULL;
    bt_conf_errors     errors = BT_CONF_ERRORS_INIT;
    int64_t            n = 0;
    assert_fails(bt_conf_build(&bad, &conf, &errors, err), BT_E_CONFIG, "set to null before");
    assert_ok(bt_conf_build(&good, &conf, &errors, err));
    assert_ok(bt_conf_get_i64(conf, "task.model.num_classes", &n, err));
    assert_int_equal(n, 3);
    bt_conf_free(conf);
    bt_conf_errors_deinit(&errors);
}

static void test_nearest(void **state) {
    (void)state;
    static const char *const names[] = {"train_steps", "max_to_keep", "model_dir"};
    assert_string_equal(bt_conf_nearest("trian_steps", names, 3), "train_steps");
    assert_string_equal(bt_conf_nearest("model", names, 3), "model_dir");
    assert_null(bt_conf_nearest("zzz", names, 3));
    assert_null(bt_conf_nearest("", names, 3));
    char long_word[200];
    memset(long_word, 'a', sizeof(long_word) - 1);
    long_word[sizeof(long_word) - 1] = '\0';
    assert_null(bt_conf_nearest(long_word, names, 3));
}

static void check_class(const conf_class *cls, int depth) {
    assert_true(depth < 8);
    for (; cls != NULL; cls = cls->base) {
        for (size_t i = 0; i < cls->n_keys; i++) {
            const conf_key *key = &cls->keys[i];
            assert_true(strlen(key->doc) > 2);
            if (i > 0 && strcmp(cls->keys[i - 1].name, key->name) >= 0) {
                fail_msg("%s: '%s' is out of order", cls->qualified, key->name);
            }
            assert_true((key->type == T_SECTION || key->type == T_SECTIONS) == (key->sub != NULL));
            if (key->sub != NULL) {
                check_class(key->sub, depth + 1);
            }
        }
    }
}

static void test_schema(void **state) {
    (void)state;
    check_class(&conf_class_experiment, 0);
    for (size_t i = 0; i < conf_n_experiments; i++) {
        check_class(conf_experiments[i].task, 0);
        check_class(conf_experiments[i].train_data, 0);
        check_class(conf_experiments[i].validation_data, 0);
    }
    for (int type = T_BOOL; type <= T_SECTIONS; type++) {
        assert_true(strlen(conf_type_words((conf_type)type)) > 3);
    }
}

static bool try_everything(uint64_t fail_at, bool persistent) {
    const char *files[] = {"{task: {model: {num_classes: 3}, train_data: {input_path: [a, b]}}}"};
    const bt_conf_args args = {.experiment = "bert/tagging",
                               .config_files = files + 1,
                               .n_config_files = 0,
                               .params_override = "trainer.optimizer_config.learning_rate.type="
                                                  "stepwise,trainer.optimizer_config.learning_rate."
                                                  "stepwise.values[0]=1,trainer.nope=1"};
    const bt_conf_args good = {.experiment = "bert/tagging",
                               .config_files = files,
                               .n_config_files = 0,
                               .tpu = "x",
                               .params_override = "task.class_names=[a, b],trainer.train_steps=3"};
    bt_conf           *conf = NULL;
    bt_conf_errors     errors = BT_CONF_ERRORS_INIT;
    bt_error           why = BT_ERROR_INIT;
    bt_str             yaml = BT_STR_INIT;
    bt_alloc_fail_at(fail_at, persistent);
    bt_status rc = bt_conf_build(&args, &conf, &errors, &why);
    assert_null(conf);
    if (rc == BT_E_CONFIG) {
        rc = bt_conf_build(&good, &conf, &errors, &why);
    }
    if (rc == BT_OK) {
        rc = bt_conf_set(conf, "task.name=x", "--x", &errors, &why);
    }
    if (rc == BT_OK) {
        rc = bt_conf_dump_yaml(conf, &yaml, &why);
    }
    bt_alloc_fail_at(0, false);
    assert_true(rc == BT_OK || rc == BT_E_NOMEM);
    bt_str_deinit(&yaml);
    bt_conf_free(conf);
    bt_conf_errors_deinit(&errors);
    return rc == BT_OK;
}

static void test_out_of_memory(void **state) {
    (void)state;
    uint64_t k = 1;
    while (!try_everything(k, true)) {
        k++;
        assert_true(k < 2000);
    }
    assert_true(k > 20);
    for (uint64_t i = 1; i < k; i++) {
        assert_false(try_everything(i, false));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_problems),
        cmocka_unit_test(test_all_problems_at_once),
        cmocka_unit_test(test_experiments),
        cmocka_unit_test(test_many_problems_are_counted),
        cmocka_unit_test(test_mode_names),
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_extension_keys),
        cmocka_unit_test(test_an_old_name),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_sections_made_anew),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_schema),
        cmocka_unit_test(test_out_of_memory),
    };
    const int failed = run_value_tests() + run_read_tests() + run_diff_tests();
    return cmocka_run_group_tests_name("conf", tests, NULL, NULL) + failed;
}
