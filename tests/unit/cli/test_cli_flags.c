/* SPDX-License-Identifier: Apache-2.0
 *
 * The flag parser: every spelling that absl takes, every way to be wrong, flag files, and what
 * happens when memory runs out at each allocation. */
#include <stdio.h>
#include <string.h>

#include "test_support.h"

#include "bt/base/alloc.h"
#include "bt/base/str.h"
#include "bt/cli.h"

static const char *const mode_choices[] = {"train", "eval", NULL};
static const char *const task_choices[] = {"COLA", "SST-2", NULL};

static const bt_flag_def defs[] = {
    {.name = "mode",
     .kind = BT_FLAG_ENUM,
     .choices = mode_choices,
     .is_required = true,
     .help = "what to do"},
    {.name = "model_dir", .kind = BT_FLAG_STRING, .is_required = true, .help = "where"},
    {.name = "task",
     .kind = BT_FLAG_ENUM,
     .choices = task_choices,
     .choices_ignore_case = true,
     .default_text = "COLA",
     .help = "which"},
    {.name = "config_file", .kind = BT_FLAG_LIST, .help = "stacked"},
    {.name = "max_seq_length", .kind = BT_FLAG_INT, .default_text = "128", .help = "length"},
    {.name = "rate", .kind = BT_FLAG_FLOAT, .default_text = "0.5", .help = "rate"},
    {.name = "do_lower_case", .kind = BT_FLAG_BOOL, .default_text = "true", .help = "lower"},
    {.name = "notes", .kind = BT_FLAG_STRING, .help = "begins with no"},
    {.name = "verbosity", .kind = BT_FLAG_INT, .alias = "v", .help = "how loud"},
    {.name = "hidden", .kind = BT_FLAG_BOOL},
};
static const bt_flag_table table = {
    .program = "prog", .summary = "prog: does it", .defs = defs, .n_defs = BT_ARRAY_LEN(defs)};

enum { ARGS_MAX = 24, LINE_MAX_BYTES = 4096 };

/* "a b c" -> argv; words are split at single spaces, the first one is the program. */
typedef struct command_line {
    char  text[LINE_MAX_BYTES];
    char *argv[ARGS_MAX];
    int   argc;
} command_line;

static void split(command_line *line, const char *text) {
    (void)snprintf(line->text, sizeof line->text, "prog %s", text);
    line->argc = 0;
    char *at = line->text;
    while (at != NULL && line->argc < ARGS_MAX) {
        line->argv[line->argc++] = at;
        at = strchr(at, ' ');
        if (at != NULL) {
            *at++ = '\0';
        }
    }
}

static bt_flags *parse(command_line *line, const char *text) {
    bt_flags *flags = NULL;
    split(line, text);
    assert_ok(bt_flags_parse(&flags, &table, line->argc, line->argv, err));
    return flags;
}

static void check_failure(const char *text, bt_status status, const char *message) {
    command_line line;
    bt_flags    *flags = NULL;
    split(&line, text);
    assert_fails(bt_flags_parse(&flags, &table, line.argc, line.argv, err), status, message);
    assert_null(flags);
}

static void test_spellings(void **state) {
    (void)state;
    static const struct {
        const char *args;
        const char *mode;
        int64_t     length;
        bool        lower;
        const char *why;
    } rows[] = {
        {"--mode=train --model_dir=d", "train", 128, true, "defaults"},
        {"-mode=eval -model_dir=d", "eval", 128, true, "one dash"},
        {"--mode train --model_dir d", "train", 128, true, "value in the next argument"},
        {"--mode=train --model_dir=d --mode=eval", "eval", 128, true, "the later one counts"},
        {"--mode=train --model_dir=d --nodo_lower_case", "train", 128, false, "no-form"},
        {"--mode=train --model_dir=d --do_lower_case=FALSE", "train", 128, false, "=false"},
        {"--mode=train --model_dir=d --do_lower_case=0", "train", 128, false, "=0"},
        {"--mode=train --model_dir=d --nodo_lower_case --do_lower_case", "train", 128, true, "x"},
        {"--mode=train --model_dir=d --max_seq_length=0x10", "train", 16, true, "hexadecimal"},
        {"--mode=train --model_dir=d --max_seq_length=0o17", "train", 15, true, "octal"},
        {"--mode=train --model_dir=d --max_seq_length=-5", "train", -5, true, "negative"},
        {"--mode=train --model_dir=d --max_seq_length +5", "train", 5, true, "plus sign"},
        {"--mode=train --model_dir=d --max_seq_length 1_000", "train", 1000, true, "underscore"},
        {"--mode=train --model_dir=d --max_seq_length=-9223372036854775808", "train", INT64_MIN,
         true, "smallest"},
        {"--mode=train --model_dir=d --bogus --undefok=bogus", "train", 128, true, "undefok"},
        {"--mode=train --model_dir=d --nobogus --other=4 --undefok bogus,other", "train", 128, true,
         "undefok list"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        command_line line;
        bt_flags    *flags = parse(&line, rows[i].args);
        if (!bt_str_equal(bt_flags_string(flags, "mode"), rows[i].mode) ||
            bt_flags_int(flags, "max_seq_length") != rows[i].length ||
            bt_flags_bool(flags, "do_lower_case") != rows[i].lower) {
            fail_msg("%s: %s", rows[i].why, rows[i].args);
        }
        bt_flags_free(flags);
    }
}

static void test_values(void **state) {
    (void)state;
    command_line       line;
    const char *const *list = NULL;
    bt_flags          *flags =
        parse(&line, "--mode=train a --model_dir= --config_file=x -config_file y --notes=n "
                     "--task=sst-2 -v 1 --rate=1e-5 -- --mode=eval -");
    assert_string_equal(bt_flags_string(flags, "mode"), "train");
    assert_string_equal(bt_flags_string(flags, "model_dir"), "");
    assert_string_equal(bt_flags_string(flags, "task"), "SST-2");
    assert_string_equal(bt_flags_string(flags, "notes"), "n");
    assert_int_equal(bt_flags_int(flags, "verbosity"), 1);
    assert_true(bt_flags_float(flags, "rate") == 1e-5);
    assert_int_equal(bt_flags_list(flags, "config_file", &list), 2);
    assert_string_equal(list[0], "x");
    assert_string_equal(list[1], "y");
    assert_int_equal(bt_flags_args(flags, &list), 3);
    assert_string_equal(list[0], "a");
    assert_string_equal(list[1], "--mode=eval");
    assert_string_equal(list[2], "-");
    assert_true(bt_flags_is_set(flags, "max_seq_length"));
    assert_false(bt_flags_is_set(flags, "hidden"));
    assert_int_equal(bt_flags_asked(flags), BT_ASK_RUN);
    bt_flags_free(flags);
    bt_flags_free(NULL);
}

static void test_failures(void **state) {
    (void)state;
    static const struct {
        const char *args;
        const char *message;
    } rows[] = {
        {"", "these flags must be given: --mode, --model_dir"},
        {"--mode=train", "this flag must be given: --model_dir"},
        {"--mode=Train --model_dir=d", "flag --mode=Train: the value should be one of train, eval"},
        {"--mode=train --model_dir=d --task=x", "one of COLA, SST-2"},
        {"--mode=train --model_dir", "flag --model_dir needs a value"},
        {"--mode=train --model_dir=d --max_seq_length=abc", "=abc: an integer is expected"},
        {"--mode=train --model_dir=d --max_seq_length=", "an integer is expected"},
        {"--mode=train --model_dir=d --max_seq_length=1__0", "an integer is expected"},
        {"--mode=train --model_dir=d --max_seq_length=_1", "an integer is expected"},
        {"--mode=train --model_dir=d --max_seq_length=9223372036854775808", "an integer"},
        {"--mode=train --model_dir=d --max_seq_length=99999999999999999999", "an integer"},
        {"--mode=train --model_dir=d --max_seq_length=1.5", "an integer is expected"},
        {"--mode=train --model_dir=d --rate=fast", "flag --rate=fast: a number is expected"},
        {"--mode=train --model_dir=d --do_lower_case=maybe", "true or false is expected"},
        {"--mode=train --model_dir=d --nodo_lower_case=true", "takes no value"},
        {"--mode=train --model_dir=d --config=x", "'config'; did you mean --config_file?"},
        {"--mode=train --model_dir=d --max_seq_lenght=x", "did you mean --max_seq_length?"},
        {"--mode=train --model_dir=d --nodo_lowercase", "did you mean --do_lower_case?"},
        {"--mode=train --model_dir=d --zzz=1", "unknown command line flag 'zzz'; --help"},
        {"--mode=train --model_dir=d --noverbosity", "unknown command line flag 'noverbosity'"},
        {"--mode=train --model_dir=d --undefok", "--undefok needs a value"},
        {"--mode=train --model_dir=d --flagfile", "--flagfile needs a value"},
        {"--mode=train --model_dir=d --flagfiles=a", "did you mean --flagfile?"},
        {"--mode=train --model_dir=d --=a", "unknown command line flag ''"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        check_failure(rows[i].args, BT_E_CONFIG, rows[i].message);
    }
}

static void test_asks(void **state) {
    (void)state;
    static const struct {
        const char  *args;
        bt_flags_ask ask;
    } rows[] = {
        {"--help", BT_ASK_HELP},
        {"-help --nonsense", BT_ASK_HELP},
        {"--mode=train --helpshort", BT_ASK_HELP},
        {"--helpfull", BT_ASK_HELPFULL},
        {"--version", BT_ASK_VERSION},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        command_line line;
        bt_flags    *flags = parse(&line, rows[i].args);
        assert_int_equal(bt_flags_asked(flags), rows[i].ask);
        bt_flags_free(flags);
    }
}

static void test_flagfile(void **state) {
    (void)state;
    char              inner[TEST_PATH_MAX];
    char              outer[TEST_PATH_MAX];
    char              text[3 * TEST_PATH_MAX];
    const char *const folder = test_temp_dir();
    (void)snprintf(inner, sizeof inner, "%s/inner", folder);
    (void)snprintf(outer, sizeof outer, "%s/outer", folder);
    const char inner_text[] = "--model_dir=a b c \r\n// comment\n#--mode=eval\n\n-v\n3";
    test_write_file(inner, inner_text, strlen(inner_text));
    (void)snprintf(text, sizeof text, "  --mode=train\n--flagfile=%s\n--mode\neval\n", inner);
    test_write_file(outer, text, strlen(text));

    command_line line;
    (void)snprintf(text, sizeof text, "--flagfile=%s --max_seq_length=9", outer);
    bt_flags *flags = parse(&line, text);
    assert_string_equal(bt_flags_string(flags, "model_dir"), "a b c");
    assert_string_equal(bt_flags_string(flags, "mode"), "eval");
    assert_int_equal(bt_flags_int(flags, "verbosity"), 3);
    assert_int_equal(bt_flags_int(flags, "max_seq_length"), 9);
    bt_flags_free(flags);

    (void)snprintf(text, sizeof text, "-flagfile %s -- --flagfile=none", inner);
    split(&line, text);
    assert_fails(bt_flags_parse(&flags, &table, line.argc, line.argv, err), BT_E_CONFIG,
                 "must be given: --mode");
    (void)snprintf(text, sizeof text, "--flagfile=%s\n", outer);
    test_write_file(outer, text, strlen(text));
    check_failure(text + 0, BT_E_IO, "cannot open"); /* the line feed belongs to the name */
    (void)snprintf(text, sizeof text, "--flagfile=%s", outer);
    check_failure(text, BT_E_CONFIG, "includes itself");
    (void)snprintf(text, sizeof text, "--flagfile=%s", folder);
    check_failure(text, BT_E_IO, "not a regular file");
    check_failure("--flagfile=/nonexistent/file", BT_E_IO, "cannot open the file");
}

static void test_help(void **state) {
    (void)state;
    bt_str text = BT_STR_INIT;
    assert_ok(bt_flags_help(&table, false, &text, err));
    assert_non_null(strstr(text.data, "prog: does it"));
    assert_non_null(strstr(text.data, "--mode  (choice, required)"));
    assert_non_null(strstr(text.data, "one of: train eval"));
    assert_non_null(strstr(text.data, "--[no]do_lower_case  (boolean, default true)"));
    assert_non_null(strstr(text.data, "--verbosity, -v"));
    assert_null(strstr(text.data, "hidden"));
    bt_str_clear(&text);
    assert_ok(bt_flags_help(&table, true, &text, err));
    assert_non_null(strstr(text.data, "--[no]hidden"));
    bt_str_deinit(&text);
}

/* Every allocation in turn says no: a clean error each time, and no leak (under ASan). */
static void test_out_of_memory(void **state) {
    (void)state;
    command_line line;
    split(&line, "--mode=train --model_dir=d --config_file=a --config_file=b x --undefok=q --q");
    for (uint64_t k = 1; k < 200; k++) {
        bt_flags *flags = NULL;
        bt_error  err = BT_ERROR_INIT;
        bt_alloc_fail_at(k, false);
        const bt_status rc = bt_flags_parse(&flags, &table, line.argc, line.argv, &err);
        bt_alloc_fail_at(0, false);
        if (rc == BT_OK) {
            bt_flags_free(flags);
            return;
        }
        assert_int_equal(rc, BT_E_NOMEM);
        assert_null(flags);
    }
    fail_msg("%s", "still failing after 200 allocations");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spellings),     cmocka_unit_test(test_values),
        cmocka_unit_test(test_failures),      cmocka_unit_test(test_asks),
        cmocka_unit_test(test_flagfile),      cmocka_unit_test(test_help),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
