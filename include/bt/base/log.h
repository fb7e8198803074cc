/* SPDX-License-Identifier: Apache-2.0
 *
 * The log: lines on stderr. The one piece of global state; no other function prints. */
#ifndef BT_BASE_LOG_H
#define BT_BASE_LOG_H

#include "bt/base/compiler.h"

typedef enum bt_log_level {
    BT_LOG_ERROR = -2,
    BT_LOG_WARNING = -1,
    BT_LOG_INFO = 0,
    BT_LOG_DEBUG = 1
} bt_log_level;
typedef enum bt_log_format { BT_LOG_TEXT, BT_LOG_JSON } bt_log_format;

/* The one piece of global state. program is borrowed for the life of the process. */
void bt_log_setup(const char *program, bt_log_format format, int verbosity);
/* One line on stderr: "bt-program: text" (INFO and DEBUG), "...: warning: text", "...: error:
 * text"; with BT_LOG_JSON one object {"time","level","message"}. */
void bt_log(bt_log_level level, const char *fmt, ...) BT_PRINTF(2, 3);
/* A line that is rewritten in place: drawn only when stderr is a terminal; NULL ends it. */
void bt_log_progress(const char *text);
/* One line of the parts, one after another, with nothing but write(2): for signal handlers. Shown
 * where warnings are, as information: it is asked for. */
void bt_log_from_handler(const char *const *parts, size_t n_parts);

#endif
