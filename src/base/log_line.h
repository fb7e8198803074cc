/* SPDX-License-Identifier: Apache-2.0
 *
 * base, private: a line of the log as text or JSON, made without the heap. */
#ifndef BT_BASE_LOG_LINE_H
#define BT_BASE_LOG_LINE_H

#include "bt/base/log.h"

enum { LOG_MESSAGE_MAX = 4096, LOG_JSON_MAX = 49152 };

typedef struct log_line {
    char message[LOG_MESSAGE_MAX];
    char text[LOG_JSON_MAX];
} log_line;

typedef struct log_frame {
    const char  *program, *time;
    bt_log_level level;
} log_frame;

/* The object of line->message into line->text, with its end. event NULL: that of the level. What
 * does not fit is left out (fields) or cut (text): it is JSON whatever happens. */
void log_line_json(log_line *line, const log_frame *frame, const char *event,
                   const bt_log_field *fields, size_t n);
/* A message is one line, whatever control characters the data that it quotes brought in. */
void log_line_make_printable(char *text);

#endif
