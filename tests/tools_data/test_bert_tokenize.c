/* SPDX-License-Identifier: Apache-2.0
 *
 * bert-tokenize through its command line: a line out for each line in, whatever is in it. */
#include <stdio.h>
#include <string.h>

#include "bt/base/str.h"
#include "run_tool.h"

static const char program[] = "bert-tokenize";

static void run_on(tool_run *run, const char *flags, const char *text, size_t n) {
    char args[TEST_PATH_MAX + 128];
    char input[TEST_PATH_MAX];
    (void)snprintf(input, sizeof input, "%s/input", test_temp_dir());
    test_write_file(input, text, n);
    (void)snprintf(args, sizeof args, "--vocab_file='%s' %s",
                   test_source_path("tests/goldens/text/vocab.txt"), flags);
    run_tool(run, program, input, args);
    if (run->exit_status != 0 || run->err[0] != '\0') {
        fail_msg("exit %d: %s", run->exit_status, run->err);
    }
}

static void test_lines(void **state) {
    (void)state;
    static tool_run   run;
    static const char text[] = "The cat\r\n\nun\xff"
                               "affable \xc3\x89t\xc3\xa9\n\xe2\x80\xa8 a\0b";
    run_on(&run, "", text, sizeof text - 1);
    assert_string_equal(run.out, "the cat\n\nun ##aff ##able ete\na ##b\n");
    run_on(&run, "--do_lower_case=false", text, sizeof text - 1);
    assert_string_equal(run.out, "The cat\n\nun ##aff ##able [UNK]\na ##b\n");
    run_on(&run, "--ids", "the [UNK]\n", 10);
    assert_string_equal(run.out, "20 80 1 81\n");
    run_on(&run, "--ids", "", 0);
    assert_string_equal(run.out, "");
}

/* Longer than every buffer on the way. */
static void test_long_line(void **state) {
    (void)state;
    static tool_run run;
    bt_str          text = BT_STR_INIT;
    for (int i = 0; i < 30000; i++) {
        assert_ok(bt_str_append(&text, "cats, ", err));
    }
    assert_ok(bt_str_append(&text, "\na", err));
    run_on(&run, "", text.data, text.len);
    assert_true(bt_str_starts_with(run.out, "cats , cats , cats , "));
    bt_str_deinit(&text);
}

static void test_failures(void **state) {
    (void)state;
    static tool_run run;
    run_tool(&run, program, NULL, "");
    check_tool_error(&run, program, 2, "must be given: --vocab_file");
    run_tool(&run, program, NULL, "--vocab_file=/nonexistent/v");
    check_tool_error(&run, program, 3, "/nonexistent/v: no such file");
    run_tool(&run, program, NULL, "--vocab_fiel=x");
    check_tool_error(&run, program, 2, "did you mean --vocab_file?");
    char args[TEST_PATH_MAX + 64];
    (void)snprintf(args, sizeof args, "--vocab_file='%s' /nonexistent/text",
                   test_source_path("tests/goldens/text/vocab.txt"));
    run_tool(&run, program, NULL, args);
    check_tool_error(&run, program, 3, "/nonexistent/text: cannot open the file");
    (void)snprintf(args, sizeof args, "--vocab_file='%s'",
                   test_source_path("tests/goldens/text/tokens.jsonl"));
    run_tool(&run, program, NULL, args);
    check_tool_error(&run, program, 3, "has no [CLS]");
}

static void test_help(void **state) {
    (void)state;
    static tool_run run;
    run_tool(&run, program, NULL, "--help");
    assert_int_equal(run.exit_status, 0);
    assert_non_null(strstr(run.out, "--vocab_file  (string, required)"));
    assert_string_equal(run.err, "");
    run_tool(&run, program, NULL, "--version");
    assert_int_equal(run.exit_status, 0);
    assert_true(bt_str_starts_with(run.out, "bert-tokenize "));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_long_line),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
