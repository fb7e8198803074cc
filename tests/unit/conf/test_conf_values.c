/* SPDX-License-Identifier: Apache-2.0
 *
 * What single texts mean and how they are written: resolver rows, CSV rows, dumper rows, and YAML
 * that is not a configuration (deep nesting, alias bombs). */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "bt/base/str.h"
#include "conf_internal.h"
#include "test_conf.h"

static const struct {
    const char *text;
    conf_scalar want;
    const char *why;
} resolver_rows[] = {
    {"", SCALAR_NULL, "empty"},
    {"~", SCALAR_NULL, "tilde"},
    {"NULL", SCALAR_NULL, "upper case"},
    {"nUll", SCALAR_STR, "mixed case is text"},
    {"None", SCALAR_STR, "Python's word is text"},
    {"yes", SCALAR_BOOL, "YAML 1.1"},
    {"Off", SCALAR_BOOL, "YAML 1.1"},
    {"y", SCALAR_STR, "not in PyYAML"},
    {"tRue", SCALAR_STR, "mixed case"},
    {"0", SCALAR_INT, "zero"},
    {"-0", SCALAR_INT, "minus zero"},
    {"+7", SCALAR_INT, "sign"},
    {"010", SCALAR_INT, "octal"},
    {"08", SCALAR_STR, "no octal digit"},
    {"089", SCALAR_STR, "no octal digit"},
    {"0o17", SCALAR_STR, "YAML 1.2 octal"},
    {"0x1F", SCALAR_INT, "hexadecimal"},
    {"0x", SCALAR_STR, "no digits"},
    {"0b101", SCALAR_INT, "binary"},
    {"0b2", SCALAR_STR, "no binary digit"},
    {"1_000", SCALAR_INT, "underscores"},
    {"_1", SCALAR_STR, "leading underscore"},
    {"1:30", SCALAR_INT, "base 60"},
    {"1:75", SCALAR_STR, "75 is not a base 60 digit"},
    {"0:30", SCALAR_STR, "base 60 starts with 1 to 9"},
    {"1.", SCALAR_FLOAT, "no digits after the point"},
    {".5", SCALAR_FLOAT, "no digits before"},
    {"-.5", SCALAR_STR, "a sign needs digits before the point"},
    {"+.5", SCALAR_STR, "a sign needs digits before the point"},
    {"1.5e3", SCALAR_STR, "the exponent needs a sign"},
    {"1.5e+3", SCALAR_FLOAT, "signed exponent"},
    {".5e-3", SCALAR_FLOAT, "signed exponent"},
    {".5e3", SCALAR_STR, "the exponent needs a sign"},
    {"1.e6", SCALAR_STR, "the exponent needs a sign"},
    {"1e6", SCALAR_ADDED_FLOAT, "Model Garden's own form"},
    {"-2E+3", SCALAR_ADDED_FLOAT, "Model Garden's own form"},
    {"1e", SCALAR_STR, "no exponent"},
    {"1:30.5", SCALAR_FLOAT, "base 60 float"},
    {"1:30.5e+1", SCALAR_STR, "base 60 has no exponent"},
    {".inf", SCALAR_FLOAT, "infinity"},
    {"-.INF", SCALAR_FLOAT, "infinity"},
    {"inf", SCALAR_STR, "no point"},
    {".NaN", SCALAR_FLOAT, "not a number"},
    {"+.nan", SCALAR_STR, "nan has no sign"},
    {"NaN", SCALAR_STR, "no point"},
    {"2020-01-01", SCALAR_TIMESTAMP, "date"},
    {"2020-1-1", SCALAR_STR, "a date has two digits"},
    {"2020-1-1 10:20:30", SCALAR_TIMESTAMP, "with a time one is enough"},
    {"2020-01-01T10:20:30.5Z", SCALAR_TIMESTAMP, "time zone"},
    {"2020-01-01T10:20:30 +01:30", SCALAR_TIMESTAMP, "time zone"},
    {"2020-01-01T10:20:30 +1", SCALAR_TIMESTAMP, "time zone"},
    {"2020-01-01T10:20", SCALAR_STR, "no seconds"},
    {"<<", SCALAR_MERGE, "merge key"},
    {"=", SCALAR_VALUE, "value key"},
    {"1\\.5", SCALAR_BROKEN, "the misspelt pattern"},
    {"-\\xinf", SCALAR_BROKEN, "the misspelt pattern"},
    {"1:30\\.5", SCALAR_BROKEN, "the misspelt pattern"},
    {"-\\5", SCALAR_STR, "no digits before the backslash"},
    {"a\\.5", SCALAR_STR, "starts with a letter"},
    {"bert", SCALAR_STR, "a word"},
};

static void test_resolver(void **state) {
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(resolver_rows); i++) {
        const char       *text = resolver_rows[i].text;
        const conf_scalar got = conf_scalar_resolve(text, strlen(text));
        if (got != resolver_rows[i].want) {
            fail_msg("'%s' (%s): got %d, want %d", text, resolver_rows[i].why, (int)got,
                     (int)resolver_rows[i].want);
        }
    }
}

/* Numbers: what a plain scalar becomes. */

static bt_conf *new_conf(void) {
    bt_conf *conf = bt_calloc_array(1, sizeof(*conf));
    assert_non_null(conf);
    assert_ok(bt_arena_init(&conf->arena, 1 << 16, err));
    return conf;
}

static const struct {
    const char *yaml;
    const char *want; /* kind and value */
} number_rows[] = {
    {"0x1F", "int 31"},
    {"-0x1F", "int -31"},
    {"010", "int 8"},
    {"0_7", "int 7"},
    {"0b1_01", "int 5"},
    {"1_000", "int 1000"},
    {"1:30", "int 90"},
    {"-1:00:00", "int -3600"},
    {"-0", "int 0"},
    {"9223372036854775807", "int 9223372036854775807"},
    {"-9223372036854775808", "int -9223372036854775808"},
    {"9223372036854775808", "big 9223372036854775808"},
    {"0xFFFFFFFFFFFFFFFFFFFFFFFF", "big 79228162514264337593543950335"},
    {"-123456789012345678901234567890", "big -123456789012345678901234567890"},
    {"1e6", "float 1000000.0"},
    {"1_0.5", "float 10.5"},
    {"1:30.5", "float 90.5"},
    {"-1:30.5", "float -90.5"},
    {"-.INF", "float -inf"},
    {".nan", "float nan"},
    {"-0.0", "float -0.0"},
    {"!!int '12'", "int 12"},
    {"!!float 3", "float 3.0"},
    {"!!str 3", "text 3"},
    {"!!bool 'yes'", "bool true"},
    {"!!null ''", "null"},
    {"!!python/none x", "null"},
    {"! 5", "int 5"},
    {"'5'", "text 5"},
    {"TRUE", "bool true"},
    {"off", "bool false"},
    {"2020-01-01", "alien a date"},
    {"!!binary aGk=", "alien binary"},
    {"", "null"},
};

static void describe(const conf_value *value, char *out, size_t n) {
    char repr[BT_F64_TEXT_MAX];
    switch (value->kind) {
    case K_NULL:
        (void)snprintf(out, n, "null");
        break;
    case K_BOOL:
        (void)snprintf(out, n, "bool %s", value->u.b ? "true" : "false");
        break;
    case K_INT:
        (void)snprintf(out, n, "int %" PRId64, value->u.i);
        break;
    case K_BIGINT:
        (void)snprintf(out, n, "big %s", value->u.s.text);
        break;
    case K_FLOAT:
        (void)snprintf(out, n, "float %s", bt_f64_repr(value->u.f, repr));
        break;
    case K_STR:
        (void)snprintf(out, n, "text %s", value->u.s.text);
        break;
    case K_ALIEN:
        (void)snprintf(out, n, "alien %s", value->u.s.text);
        break;
    case K_LIST:
    case K_TUPLE:
    case K_MAP:
    case K_OBJECT:
        (void)snprintf(out, n, "collection");
        break;
    }
}

static void test_numbers(void **state) {
    (void)state;
    bt_conf *conf = new_conf();
    for (size_t i = 0; i < BT_ARRAY_LEN(number_rows); i++) {
        const char *yaml = number_rows[i].yaml;
        char        got[128];
        conf_value  value;
        assert_ok(conf_yaml_load(conf, yaml, strlen(yaml), 0, &value, err));
        describe(&value, got, sizeof(got));
        assert_string_equal(got, number_rows[i].want);
    }
    bt_conf_free(conf);
}

static const struct {
    const char *yaml;
    const char *want; /* part of the message */
} refused_rows[] = {
    {"a: 1\n---\nb: 2\n", "second document"},
    {"a: =\n", "'=' stands for no value"},
    {"a: <<\n", "'<<' stands for no value"},
    {"a: 1\\.5\n", "backslash"},
    {"a: *b\n", "anchor"},
    {"a: &a [*a]\n", "anchor"},
    {"a: &a 1\nb: &a 2\n", "defined already"},
    {"<<: 5\n", "'<<' wants"},
    {"<<: [5]\n", "'<<' wants"},
    {"a: !!set {b}\n", "not supported on a mapping"},
    {"a: !!omap []\n", "not supported on a list"},
    {"a: !!python/object:os.x 1\n", "not supported"},
    {"a: !mine 1\n", "not supported"},
    {"a: !!int x\n", "not an integer"},
    {"a: !!float x\n", "not a number"},
    {"a: !!bool x\n", "!!bool"},
    {"{a: b?c}\n", "quoted"},
    {"a: [1\n", "line 2"},
    {"a: \x01\n", "byte"},
    {"a: \xff\n", "byte"},
    {"a:\n\t- b\n", "line 2"},
    {"a:\tb\n", "tab"},
    {"a: \xC3\xA9 \"\t\"\tb\n", "line 1"},
    {"a: 'x'\t# tab before a comment\n", "tab"},
    {"a: b\tc\n", "tab"},
    {"a: b\n\t\n", "tab"},
};

static void test_refused_yaml(void **state) {
    (void)state;
    bt_conf *conf = new_conf();
    for (size_t i = 0; i < BT_ARRAY_LEN(refused_rows); i++) {
        const char *yaml = refused_rows[i].yaml;
        conf_value  value;
        assert_fails(conf_yaml_load(conf, yaml, strlen(yaml), 0, &value, err), BT_E_CONFIG,
                     refused_rows[i].want);
    }
    bt_conf_free(conf);
}

/* Tabs inside texts and comments are nobody's business. */
static void test_tabs(void **state) {
    (void)state;
    static const char yaml[] =
        "# \xC3\xA9\tcomment\na: '\xC3\xA9\t' # \tx\nb: \"\t\"\nc: |\n  x\ty\n"
        "d: [\"\xE4\xB8\xAD\t\", 'a\t'] #\t\n";
    bt_conf   *conf = new_conf();
    conf_value value;
    assert_ok(conf_yaml_load(conf, yaml, strlen(yaml), 0, &value, err));
    assert_int_equal(value.u.map.n, 4);
    bt_conf_free(conf);
}

static void check_bomb(const char *text, size_t len, const char *want) {
    bt_conf   *conf = new_conf();
    conf_value value;
    assert_fails(conf_yaml_load(conf, text, len, 0, &value, err), BT_E_CONFIG, want);
    bt_conf_free(conf);
}

static void test_deep_yaml(void **state) {
    (void)state;
    enum { DEPTH = 100000 };
    static const char *const pieces[] = {"[", "{a: ", "- ", "? "};
    for (size_t i = 0; i < BT_ARRAY_LEN(pieces); i++) {
        const size_t n = strlen(pieces[i]);
        char        *text = bt_alloc(n * DEPTH);
        assert_non_null(text);
        for (size_t k = 0; k < DEPTH; k++) {
            memcpy(text + k * n, pieces[i], n);
        }
        check_bomb(text, n * DEPTH, "levels deep");
        bt_free(text);
    }
}

static void test_alias_bomb(void **state) {
    (void)state;
    bt_str text = BT_STR_INIT;
    assert_ok(bt_str_append(&text, "a0: &a0 [x, x, x, x, x, x, x, x, x]\n", err));
    for (int i = 1; i < 12; i++) {
        assert_ok(bt_str_appendf(&text, err, "a%d: &a%d [", i, i));
        for (int k = 0; k < 9; k++) {
            assert_ok(bt_str_appendf(&text, err, "*a%d%s", i - 1, k < 8 ? ", " : "]\n"));
        }
    }
    check_bomb(bt_str_text(&text), text.len, "values");
    bt_str_clear(&text);
    assert_ok(bt_str_append(&text, "m0: &m0 {a: 1, b: 2}\n", err));
    for (int i = 1; i < 10; i++) { /* merge keys double the pairs each time */
        assert_ok(bt_str_appendf(&text, err, "m%d: &m%d {<<: [*m%d, *m%d]}\n", i, i, i - 1, i - 1));
    }
    bt_conf   *conf = new_conf();
    conf_value value;
    assert_ok(conf_yaml_load(conf, bt_str_text(&text), text.len, 0, &value, err));
    assert_int_equal(value.u.map.n, 10);
    bt_conf_free(conf);
    bt_str_deinit(&text);
}

static const struct {
    const char *csv;
    const char *want; /* NULL: no CSV */
    const char *why;
} csv_rows[] = {
    {"a=1", "{a : 1}", "plain"},
    {"a=1,", "{a : 1}", "trailing comma"},
    {"a = 1 , b=  2", "{a : 1 , b : 2}", "spaces"},
    {"a.b=1,c=2,a.d=3", "{c : 2, a : {b : 1, d : 3}}", "groups come after plain keys"},
    {"a={x: 1},a.b=2", "{a : {x: 1}, a : {b : 2}}", "both stay; YAML takes the last"},
    {"a=", "{a : }", "empty value"},
    {"a='x,y',b=\"p,q\"", "{a : 'x,y', b : \"p,q\"}", "quotes keep commas"},
    {"a='x'y'", "{a : 'x'y'}", "a quote before the end does not end it"},
    {"a=\"x\"y", "{a : \"x\"y}", "an unquoted run may start with a quote"},
    {"a=gs://b/c,d=/e,f=sgd", "{a : 'gs://b/c', d : '/e', f : 'sgd'}", "paths are quoted"},
    {"a=:x", "{a : ':x'}", "a colon too"},
    {"a.b=/x", "{a : {b : '/x'}}", "quoted once"},
    {"a=[/x, y]", "{a : [/x, y]}", "lists are not"},
    {"a=b=c", "{a : b=c}", "equals in a value"},
    {"a[1]=2,a[0]=1.5", "{a : [1.5, 2]}", "indexed"},
    {"a[0]=1,a[0]=2", "{a : [2]}", "again"},
    {"a.b[0]=1_0,a.b[1]=-07,a.c=3", "{a : {c : 3, b : [10, -7]}}", "indexed below"},
    {"a[0]=1e3", NULL, "no int"},
    {"a[0]=x", NULL, "no number"},
    {"a[0]=1.x", NULL, "no float"},
    {"a[0]=", NULL, "no number"},
    {"a[1]=1", NULL, "hole"},
    {"a[]=1", NULL, "no index"},
    {"a[999999999]=1", NULL, "no memory for that"},
    {"a[0=1", NULL, "no closing bracket"},
    {" a=1", NULL, "leading space"},
    {"a=1,,b=2", NULL, "doubled comma"},
    {"a", NULL, "no equals"},
    {"1a=2", NULL, "digit first"},
    {"_a=2", NULL, "underscore first"},
    {"a-b=2", NULL, "dash"},
    {"a.=2", NULL, "empty part"},
    {"a..b=2", NULL, "empty part"},
    {"a=[[1],[2]]", NULL, "nested list"},
    {"a=x[0]", NULL, "bracket in a value"},
    {"a=[1]x", NULL, "text after the bracket"},
    {"a=1,b", NULL, "unquoted comma"},
};

static void test_csv(void **state) {
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(csv_rows); i++) {
        bt_conf        *conf = new_conf();
        conf_source     source = {.kind = SOURCE_CSV, .label = "test"};
        bt_str          yaml = BT_STR_INIT;
        bt_error        why = BT_ERROR_INIT;
        const bt_status rc = conf_csv_convert(conf, csv_rows[i].csv, &yaml, &source, &why);
        if (csv_rows[i].want == NULL) {
            if (rc != BT_E_CONFIG) {
                fail_msg("'%s' (%s) was accepted", csv_rows[i].csv, csv_rows[i].why);
            }
        } else {
            if (rc != BT_OK) {
                fail_msg("'%s' (%s): %s", csv_rows[i].csv, csv_rows[i].why, why.msg);
            }
            assert_string_equal(bt_str_text(&yaml), csv_rows[i].want);
        }
        bt_str_deinit(&yaml);
        bt_conf_free(conf);
    }
}

static void test_csv_depth(void **state) {
    (void)state;
    bt_str      text = BT_STR_INIT;
    bt_str      yaml = BT_STR_INIT;
    bt_conf    *conf = new_conf();
    conf_source source = {.kind = SOURCE_CSV, .label = "test"};
    for (int i = 0; i < 10000; i++) {
        assert_ok(bt_str_append(&text, "a.", err));
    }
    assert_ok(bt_str_append(&text, "a=1", err));
    assert_fails(conf_csv_convert(conf, bt_str_text(&text), &yaml, &source, err), BT_E_CONFIG,
                 "parts");
    bt_conf_free(conf);
    bt_str_deinit(&yaml);
    bt_str_deinit(&text);
}

/* Dumper: one string under task.name, in the real layout. */

static const struct {
    const char *yaml; /* a double-quoted YAML scalar */
    const char *want; /* what is after "  name: " */
} dump_rows[] = {
    {"plain", "plain"},
    {"", "''"},
    {"1e3", "'1e3'"}, /* Model Garden writes it plain and reads a number */
    {"123", "'123'"},
    {"null", "'null'"},
    {"=", "'='"},
    {"- x", "'- x'"},
    {"-x", "-x"},
    {"-", "'-'"},
    {"?x", "?x"},
    {"? x", "'? x'"},
    {":x", ":x"},
    {"x:", "'x:'"},
    {"a: b", "'a: b'"},
    {"a:b", "a:b"},
    {"a #b", "'a #b'"},
    {"a#b", "a#b"},
    {"---", "'---'"},
    {"...x", "'...x'"},
    {" x", "' x'"},
    {"x ", "'x '"},
    {"it's", "it's"},
    {"it's: x", "'it''s: x'"},
    {"*x", "'*x'"},
    {"%x", "'%x'"},
    {"a,b", "a,b"},
    {"tab\\there", "\"tab\\there\""},
    {"caf\\u00e9 \\\\ \\\"", "\"caf\\xE9 \\\\ \\\"\""},
    {"\\u4e2d\\U0001F600\\u00a0\\u2028", "\"\\u4E2D\\U0001F600\\_\\L\""},
    {"\\a\\b\\v\\f\\r\\e\\x85\\u2029\\x7f", "\"\\a\\b\\v\\f\\r\\e\\N\\P\\x7F\""},
    {"a\\nb", "'a\n\n    b'"},
    {"a \\nb", "\"a \\nb\""},
    {"a\\n b", "\"a\\n b\""},
};

static void test_dump_strings(void **state) {
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(dump_rows); i++) {
        char           override[512];
        char           want[512];
        bt_conf       *conf = NULL;
        bt_conf_errors errors = BT_CONF_ERRORS_INIT;
        bt_str         yaml = BT_STR_INIT;
        (void)snprintf(override, sizeof(override), "{task: {name: \"%s\"}}", dump_rows[i].yaml);
        (void)snprintf(want, sizeof(want), "\n  name: %s\n", dump_rows[i].want);
        const bt_conf_args args = {.experiment = "bert/tagging", .params_override = override};
        assert_ok(bt_conf_build(&args, &conf, &errors, err));
        assert_ok(bt_conf_dump_yaml(conf, &yaml, err));
        if (strstr(bt_str_text(&yaml), want) == NULL) {
            const char *got = strstr(bt_str_text(&yaml), "\n  name: ");
            fail_msg("\"%s\": want%sgot%.60s", dump_rows[i].yaml, want, got);
        }
        bt_str_deinit(&yaml);
        bt_conf_free(conf);
        bt_conf_errors_deinit(&errors);
    }
}

int run_value_tests(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resolver),     cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_refused_yaml), cmocka_unit_test(test_deep_yaml),
        cmocka_unit_test(test_alias_bomb),   cmocka_unit_test(test_tabs),
        cmocka_unit_test(test_csv),          cmocka_unit_test(test_csv_depth),
        cmocka_unit_test(test_dump_strings),
    };
    return cmocka_run_group_tests_name("conf values", tests, NULL, NULL);
}
