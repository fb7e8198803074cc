/* SPDX-License-Identifier: Apache-2.0
 *
 * See run_tool.h. */
#define _XOPEN_SOURCE 700
#include "run_tool.h"
#include "bt/base/alloc.h"
#include "bt/base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { COMMAND_MAX = 1 << 14 };

static void read_output(const char *path, char *text) {
    size_t      n = 0;
    char *const bytes = test_read_file(path, &n);
    n = n < TOOL_OUTPUT_MAX - 1 ? n : TOOL_OUTPUT_MAX - 1;
    memcpy(text, bytes, n);
    text[n] = '\0';
    bt_free(bytes);
}

void run_tool(tool_run *run, const char *program, const char *stdin_path, const char *args) {
    static const char *folder = NULL;
    char               out_path[TEST_PATH_MAX];
    char               err_path[TEST_PATH_MAX];
    char               command[COMMAND_MAX];
    if (folder == NULL) {
        folder = test_temp_dir();
    }
    (void)snprintf(out_path, sizeof out_path, "%s/out", folder);
    (void)snprintf(err_path, sizeof err_path, "%s/err", folder);
    const int n =
        snprintf(command, sizeof command, "'%s' %s <'%s' >'%s' 2>'%s'", test_build_path(program),
                 args, stdin_path == NULL ? "/dev/null" : stdin_path, out_path, err_path);
    assert_true(n > 0 && (size_t)n < sizeof command);
    const int status = system(command); /* NOLINT: a test, with words of its own */
    assert_true(WIFEXITED(status));
    run->exit_status = WEXITSTATUS(status);
    read_output(out_path, run->out);
    read_output(err_path, run->err);
}

/* The error alone, or after what is said of flags that a case gives a second time. */
static const char *skip_warnings(const char *err, const char *program) {
    char begin[128];
    (void)snprintf(begin, sizeof begin, "%s: warning: flag --", program);
    while (bt_str_starts_with(err, begin) && strchr(err, '\n') != NULL) {
        err = strchr(err, '\n') + 1;
    }
    return err;
}

void check_tool_error(const tool_run *run, const char *program, int exit_status, const char *text) {
    char begin[128];
    (void)snprintf(begin, sizeof begin, "%s: error: ", program);
    const char *const err = skip_warnings(run->err, program);
    const char *const lf = strchr(err, '\n');
    if (run->exit_status != exit_status || !bt_str_starts_with(err, begin) || lf == NULL ||
        lf[1] != '\0' || strstr(err, text) == NULL || run->out[0] != '\0') {
        fail_msg("expected exit %d and one error with '%s'; got exit %d, stderr:\n%s\nstdout:\n%s",
                 exit_status, text, run->exit_status, run->err, run->out);
    }
}
