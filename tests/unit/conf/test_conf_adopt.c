/* SPDX-License-Identifier: Apache-2.0
 *
 * Facts in place of defaults: which keys take them, what is then said of where a value came
 * from, and that memory which is refused leaves no half of one. */
#include <string.h>

#include "bt/conf.h"
#include "test_faults.h"
#include "test_support.h"

#define LAYERS "task.model.encoder.bert.num_layers"
#define EPSILON "task.model.encoder.bert.layer_norm_eps"
#define VOCAB "task.train_data.vocab_file"
#define NAMES "task.label_names"
#define LOWER "task.train_data.lower_case"

static bt_conf *build(const char *override) {
    bt_conf           *conf = NULL;
    bt_conf_errors     errors = BT_CONF_ERRORS_INIT;
    const bt_conf_args args = {.experiment = "bert/sentence_prediction",
                               .params_override = override};
    assert_ok(bt_conf_build(&args, &conf, &errors, err));
    return conf;
}

static bt_conf_fact number(int64_t i) {
    return (bt_conf_fact){.kind = BT_CONF_FACT_I64, .u.i = i};
}

static bt_conf_fact text(const char *s) {
    return (bt_conf_fact){.kind = BT_CONF_FACT_STR, .u.s = s};
}

static bool adopt(bt_conf *conf, const char *path, bt_conf_fact fact) {
    bool adopted = false;
    assert_ok(bt_conf_adopt(conf, path, &fact, "w/config.json", &adopted, err));
    return adopted;
}

static void assert_origin(const bt_conf *conf, const char *path, const char *want) {
    char origin[BT_CONF_ORIGIN_MAX];
    assert_string_equal(bt_conf_origin(conf, path, origin), want);
}

static void test_defaults_take_them(void **state) {
    (void)state;
    bt_conf    *conf = build(LOWER "=false");
    int64_t     layers = 0;
    double      eps = 0;
    const char *vocab = NULL;
    bool        lower = true;
    assert_true(adopt(conf, LAYERS, number(3)));
    assert_true(adopt(conf, EPSILON, (bt_conf_fact){.kind = BT_CONF_FACT_F64, .u.f = 1e-5}));
    assert_true(adopt(conf, VOCAB, text("w/vocab.txt")));
    assert_ok(bt_conf_get_i64(conf, LAYERS, &layers, err));
    assert_ok(bt_conf_get_f64(conf, EPSILON, &eps, err));
    assert_ok(bt_conf_get_str(conf, VOCAB, &vocab, err));
    assert_int_equal(layers, 3);
    assert_true(eps == 1e-5);
    assert_string_equal(vocab, "w/vocab.txt");
    assert_origin(conf, LAYERS, "w/config.json");
    assert_false(bt_conf_is_written(conf, LAYERS));
    assert_false(bt_conf_is_written_below(conf, "task.model.encoder"));
    /* a later fact takes the place of one, never that of what was written */
    assert_true(adopt(conf, LAYERS, number(4)));
    assert_false(adopt(conf, LOWER, (bt_conf_fact){.kind = BT_CONF_FACT_BOOL, .u.b = true}));
    assert_ok(bt_conf_get_bool(conf, LOWER, &lower, err));
    assert_false(lower);
    assert_true(bt_conf_is_written(conf, LOWER));
    bt_conf_free(conf);
}

static void test_nothing_happens(void **state) {
    (void)state;
    bt_conf *conf = build(NULL);
    int64_t  layers = 0;
    assert_ok(bt_conf_get_i64(conf, LAYERS, &layers, err));
    assert_false(adopt(conf, LAYERS, number(layers))); /* the same */
    assert_false(adopt(conf, "task.no_such_key", number(1)));
    assert_false(adopt(conf, "task.model.encoder", number(1))); /* a section */
    assert_origin(conf, LAYERS, "default");
    bt_conf_free(conf);
}

static void test_lists(void **state) {
    (void)state;
    static const char *const names[] = {"no", "yes"};
    const bt_conf_fact       fact = {.kind = BT_CONF_FACT_STR_LIST,
                                     .u.list = {.items = names, .n = BT_ARRAY_LEN(names)}};
    bt_conf                 *conf = build(NULL);
    bt_conf                 *other = build(VOCAB "=v.txt," LAYERS "=2");
    bt_conf_str_list         list = {0};
    assert_true(adopt(conf, NAMES, fact));
    assert_false(adopt(conf, NAMES, fact));
    assert_ok(bt_conf_get_str_list(conf, NAMES, &list, err));
    assert_int_equal(list.n, 2);
    assert_string_equal(list.items[1], "yes");
    /* from another configuration, by the origin it has there */
    assert_ok(bt_conf_adopt_from(other, conf, NAMES, err));
    assert_ok(bt_conf_get_str_list(other, NAMES, &list, err));
    assert_string_equal(list.items[0], "no");
    assert_origin(other, NAMES, "w/config.json");
    assert_ok(bt_conf_adopt_from(conf, other, VOCAB, err));
    assert_ok(bt_conf_adopt_from(conf, other, "task.nothing", err));
    bt_conf_free(other); /* what was adopted is a copy */
    const char *vocab = NULL;
    assert_ok(bt_conf_get_str(conf, VOCAB, &vocab, err));
    assert_string_equal(vocab, "v.txt");
    bt_conf_free(conf);
}

/* More than fits into the room that a configuration begins with. */
static const char *names[30000];

static bt_status adopt_all(void *context, bt_error *err) {
    const bt_conf_args args = {.experiment = "bert/sentence_prediction"};
    bt_conf_errors     errors = BT_CONF_ERRORS_INIT;
    bt_conf           *conf = NULL;
    bt_conf           *other = NULL;
    bool               adopted = false;
    const bt_conf_fact list = {.kind = BT_CONF_FACT_STR_LIST,
                               .u.list = {.items = names, .n = BT_ARRAY_LEN(names)}};
    const bt_conf_fact file = text("weights/vocab.txt");
    bt_conf_str_list   list_of_other = {0};
    bt_status          rc = BT_OK;
    (void)context;
    BT_CHECK(bt_conf_build(&args, &conf, &errors, err));
    BT_CHECK(bt_conf_build(&args, &other, &errors, err));
    BT_CHECK(bt_conf_adopt(conf, NAMES, &list, "w/config.json", &adopted, err));
    assert_true(adopted);
    BT_CHECK(bt_conf_adopt(conf, VOCAB, &file, "w", &adopted, err));
    BT_CHECK(bt_conf_adopt_from(other, conf, NAMES, err));
    BT_CHECK(bt_conf_adopt_from(other, conf, VOCAB, err));
    BT_CHECK(bt_conf_get_str_list(other, NAMES, &list_of_other, err));
    assert_int_equal(list_of_other.n, BT_ARRAY_LEN(names));
done:
    bt_conf_free(conf);
    bt_conf_free(other);
    bt_conf_errors_deinit(&errors);
    return rc;
}

static void test_faults(void **state) {
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
        names[i] = "a name of some length";
    }
    assert_true(test_every_fault(&(test_work){.what = "adopting", .work = adopt_all}) > 15);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_take_them),
        cmocka_unit_test(test_nothing_happens),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
