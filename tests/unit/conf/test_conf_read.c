/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a conf: values, nulls, lists, one-ofs, origins and binding tables. */
#include <string.h>

#include "test_conf.h"

#define CLASSIFY "bert/sentence_prediction"

bt_conf *build_conf(const char *experiment, const char *override) {
    const bt_conf_args args = {.experiment = experiment, .params_override = override};
    bt_conf           *conf = NULL;
    bt_conf_errors     errors = BT_CONF_ERRORS_INIT;
    assert_ok(bt_conf_build(&args, &conf, &errors, err));
    assert_int_equal(errors.n, 0);
    bt_conf_errors_deinit(&errors);
    return conf;
}

static void test_reading(void **state) {
    (void)state;
    bt_conf *conf =
        build_conf(CLASSIFY, "task.train_data.input_path=[/a, gs://b],trainer.train_steps="
                             "1e2,task.train_data.cache=1,trainer.loss_upper_bound="
                             "100000000000000000000,runtime.threads=3,trainer.validation_"
                             "steps=5");
    int64_t     i = 0;
    double      f = 0;
    bool        b = false;
    bool        is_null = false;
    const char *s = NULL;
    assert_string_equal(bt_conf_experiment_name(conf), CLASSIFY);
    assert_ok(bt_conf_get_i64(conf, "trainer.train_steps", &i, err));
    assert_int_equal(i, 100);
    assert_ok(bt_conf_get_bool(conf, "task.train_data.cache", &b, err));
    assert_true(b);
    assert_ok(bt_conf_get_bool(conf, "task.train_data.sharding", &b, err));
    assert_true(b);
    assert_ok(bt_conf_get_f64(conf, "trainer.loss_upper_bound", &f, err));
    assert_true(f == 1e20);
    assert_ok(bt_conf_get_f64(conf, "trainer.train_steps", &f, err));
    assert_true(f == 100);
    assert_ok(bt_conf_get_f64(conf, "trainer.validation_steps", &f, err));
    assert_true(f == 5);
    assert_ok(bt_conf_get_str(conf, "task.name", &s, err));
    assert_string_equal(s, "");
    assert_ok(bt_conf_get_str(conf, "task.metric_type", &s, err));
    assert_string_equal(s, "accuracy");
    assert_ok(bt_conf_get_i64(conf, "task.model.encoder.*.num_layers", &i, err));
    assert_int_equal(i, 12);
    assert_ok(bt_conf_get_i64_or(conf, "task.train_data.seed", 7, &i, &is_null, err));
    assert_true(i == 7 && is_null);
    assert_ok(bt_conf_get_i64_or(conf, "trainer.max_to_keep", 7, &i, &is_null, err));
    assert_true(i == 5 && !is_null);
    assert_ok(bt_conf_get_f64_or(conf, "trainer.optimizer_config.optimizer.*.clipnorm", 2, &f, NULL,
                                 err));
    assert_true(f == 2);
    assert_ok(bt_conf_get_f64_or(conf, "trainer.optimizer_config.optimizer.adamw.beta_1", 2, &f,
                                 &is_null, err));
    assert_true(f == 0.9 && !is_null);
    assert_fails(bt_conf_get_i64(conf, "trainer.optimizer_config.optimizer.sgd.momentum", &i, err),
                 BT_E_CONFIG, "branch is not selected");
    assert_fails(bt_conf_get_i64(conf, "trainer.no", &i, err), BT_E_CONFIG, "no such key");
    assert_fails(bt_conf_get_i64(conf, "task.metric_type", &i, err), BT_E_CONFIG,
                 "default: task.metric_type: expected an integer, got the text 'accuracy'");
    assert_fails(bt_conf_get_f64(conf, "task.metric_type", &f, err), BT_E_CONFIG, "a number");
    assert_fails(bt_conf_get_bool(conf, "task.metric_type", &b, err), BT_E_CONFIG, "true or false");
    assert_fails(bt_conf_get_str(conf, "trainer.train_steps", &s, err), BT_E_CONFIG, "a string");
    bt_conf_free(conf);
}

static void test_what_keys_are(void **state) {
    (void)state;
    char     origin[BT_CONF_ORIGIN_MAX];
    bt_conf *conf = build_conf(CLASSIFY, "trainer.train_steps=1e2");
    assert_true(bt_conf_has(conf, "task.train_data.seed"));
    assert_false(bt_conf_has(conf, "task.train_data.seed.x"));
    assert_true(bt_conf_is_null(conf, "task.train_data.seed"));
    assert_true(bt_conf_is_null(conf, "task.nothing"));
    assert_true(bt_conf_is_changed(conf, "trainer.train_steps"));
    assert_false(bt_conf_is_changed(conf, "trainer.max_to_keep"));
    assert_string_equal(bt_conf_origin(conf, "trainer.train_steps", origin),
                        "--params_override: 'trainer.train_steps=1e2'");
    assert_string_equal(bt_conf_origin(conf, "trainer.max_to_keep", origin), "default");
    assert_string_equal(bt_conf_origin(conf, "trainer.nothing", origin), "nowhere");
    assert_string_equal(bt_conf_type_of_oneof(conf, "trainer.optimizer_config.warmup"),
                        "polynomial");
    assert_null(bt_conf_type_of_oneof(conf, "trainer.optimizer_config"));
    bt_conf_free(conf);
}

static void test_lists(void **state) {
    (void)state;
    bt_conf *conf = build_conf(
        CLASSIFY, "task.train_data.input_path=[/a, gs://b],task.validation_data.input_path=/c,"
                  "trainer.optimizer_config.learning_rate.type=stepwise,trainer.optimizer_config"
                  ".learning_rate.stepwise.values=[1, 2.5],trainer.optimizer_config."
                  "learning_rate.stepwise.boundaries=[3.0],task.class_weights=[1, 2]");
    bt_conf_str_list texts;
    bt_conf_i64_list ints;
    bt_conf_f64_list floats;
    assert_ok(bt_conf_get_str_list(conf, "task.train_data.input_path", &texts, err));
    assert_int_equal(texts.n, 2);
    assert_string_equal(texts.items[1], "gs://b");
    assert_ok(bt_conf_get_str_list(conf, "task.validation_data.input_path", &texts, err));
    assert_int_equal(texts.n, 1);
    assert_string_equal(texts.items[0], "/c");
    assert_ok(bt_conf_get_str_list(conf, "task.hub_module_url", &texts, err));
    assert_int_equal(texts.n, 0);
    assert_ok(bt_conf_get_str_list(
        conf, "trainer.optimizer_config.optimizer.*.exclude_from_weight_decay", &texts, err));
    assert_int_equal(texts.n, 3);
    assert_string_equal(texts.items[2], "bias");
    assert_ok(bt_conf_get_str_list(
        conf, "trainer.optimizer_config.optimizer.*.include_in_weight_decay", &texts, err));
    assert_int_equal(texts.n, 0);
    assert_ok(bt_conf_get_f64_list(conf, "trainer.optimizer_config.learning_rate.*.values", &floats,
                                   err));
    assert_true(floats.n == 2 && floats.items[0] == 1 && floats.items[1] == 2.5);
    assert_ok(bt_conf_get_i64_list(conf, "trainer.optimizer_config.learning_rate.*.boundaries",
                                   &ints, err));
    assert_true(ints.n == 1 && ints.items[0] == 3);
    assert_fails(bt_conf_get_i64_list(conf, "task.class_weights", &ints, err), BT_E_CONFIG,
                 "a list of integers");
    assert_int_equal(bt_conf_n_items(conf, "task.class_weights"), 2);
    assert_int_equal(bt_conf_n_items(conf, "task.nothing"), 0);
    bt_conf_free(conf);

    conf = build_conf("bert/pretraining", "");
    int64_t n = 0;
    assert_int_equal(bt_conf_n_items(conf, "task.model.cls_heads"), 1);
    assert_ok(bt_conf_get_i64(conf, "task.model.cls_heads.0.inner_dim", &n, err));
    assert_int_equal(n, 768);
    assert_false(bt_conf_has(conf, "task.model.cls_heads.1.inner_dim"));
    assert_false(bt_conf_has(conf, "task.model.cls_heads.x"));
    bt_conf_free(conf);
}

typedef struct bound {
    int64_t          steps;
    int32_t          loop;
    float            beta;
    double           epsilon;
    bool             cache;
    const char      *metric;
    bt_conf_opt_i64  seed;
    bt_conf_opt_i64  keep;
    bt_conf_opt_f64  clip;
    bt_conf_opt_bool deterministic;
    bt_conf_str_list input;
    bt_conf_f64_list weights;
} bound;

static void test_binding(void **state) {
    (void)state;
    static const bt_conf_field fields[] = {
        {"trainer.train_steps", BT_CONF_FIELD_I64, offsetof(bound, steps)},
        {"trainer.steps_per_loop", BT_CONF_FIELD_I32, offsetof(bound, loop)},
        {"trainer.optimizer_config.optimizer.*.beta_1", BT_CONF_FIELD_F32, offsetof(bound, beta)},
        {"trainer.optimizer_config.optimizer.*.epsilon", BT_CONF_FIELD_F64,
         offsetof(bound, epsilon)},
        {"task.train_data.cache", BT_CONF_FIELD_BOOL, offsetof(bound, cache)},
        {"task.metric_type", BT_CONF_FIELD_STR, offsetof(bound, metric)},
        {"task.train_data.seed", BT_CONF_FIELD_OPT_I64, offsetof(bound, seed)},
        {"trainer.max_to_keep", BT_CONF_FIELD_OPT_I64, offsetof(bound, keep)},
        {"trainer.optimizer_config.optimizer.*.clipnorm", BT_CONF_FIELD_OPT_F64,
         offsetof(bound, clip)},
        {"task.train_data.deterministic", BT_CONF_FIELD_OPT_BOOL, offsetof(bound, deterministic)},
        {"task.train_data.input_path", BT_CONF_FIELD_STR_LIST, offsetof(bound, input)},
        {"task.class_weights", BT_CONF_FIELD_F64_LIST, offsetof(bound, weights)},
    };
    static const bt_conf_field narrow[] = {{"train_steps", BT_CONF_FIELD_I32, 0}};
    static const bt_conf_field ints[] = {{"class_weights", BT_CONF_FIELD_I64_LIST, 0}};
    bt_conf                   *conf =
        build_conf(CLASSIFY, "trainer.train_steps=9999999999,trainer.optimizer_config.optimizer"
                             ".adamw.clipnorm=2,task.train_data.deterministic=true");
    bound b;
    assert_ok(bt_conf_bind(conf, "", fields, BT_ARRAY_LEN(fields), &b, err));
    assert_true(b.steps == 9999999999 && b.loop == 1000 && b.beta == 0.9F && b.epsilon == 1e-7);
    assert_true(!b.cache && !b.seed.is_set && b.keep.is_set && b.keep.value == 5);
    assert_true(b.clip.is_set && b.clip.value == 2 && b.deterministic.is_set &&
                b.deterministic.value);
    assert_string_equal(b.metric, "accuracy");
    assert_true(b.input.n == 0 && b.weights.n == 0);
    int32_t          small = 0;
    bt_conf_i64_list list;
    assert_fails(bt_conf_bind(conf, "trainer", narrow, 1, &small, err), BT_E_CONFIG, "too large");
    assert_ok(bt_conf_bind(conf, "task", ints, 1, &list, err));
    bt_conf_free(conf);
}

int run_read_tests(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_what_keys_are),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_binding),
    };
    return cmocka_run_group_tests_name("conf reading", tests, NULL, NULL);
}
