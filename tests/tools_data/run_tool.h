/* SPDX-License-Identifier: Apache-2.0
 *
 * Running a program of the build folder and looking at what it said and wrote. */
#ifndef BT_TEST_RUN_TOOL_H
#define BT_TEST_RUN_TOOL_H

#include "test_support.h"

enum { TOOL_OUTPUT_MAX = 1 << 16 };

typedef struct tool_run {
    int  exit_status;
    char out[TOOL_OUTPUT_MAX]; /* stdout, cut */
    char err[TOOL_OUTPUT_MAX]; /* stderr, cut */
} tool_run;

/* args is a shell text; standard input comes from stdin_path (NULL: empty). */
void run_tool(tool_run *run, const char *program, const char *stdin_path, const char *args);

/* Fails unless the status is that and stderr is one line that begins with "PROGRAM: error: " and
 * contains text. */
void check_tool_error(const tool_run *run, const char *program, int exit_status, const char *text);

#endif
