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

/* Do lines of text begin with the time? AUTO: unless stderr is a terminal. (JSON always says it.)
 */
typedef enum bt_log_times { BT_LOG_TIMES_OFF, BT_LOG_TIMES_ON, BT_LOG_TIMES_AUTO } bt_log_times;

/* The one piece of global state. program is borrowed for the life of the process. Lines have no
 * times until they are asked for. */
void bt_log_setup(const char *program, bt_log_format format, int verbosity);
void bt_log_set_times(bt_log_times times);
bool bt_log_is_json(void);

/* What an event says beside its sentence. Names are none of time, level, program, event, message.
 * Text is borrowed for the call; NULL: the field is left out. Numbers that are not finite are null.
 */
typedef enum bt_log_kind { BT_LOG_KIND_INT, BT_LOG_KIND_NUMBER, BT_LOG_KIND_TEXT } bt_log_kind;
typedef struct bt_log_field {
    const char *name;
    bt_log_kind kind;
    int64_t     integer;
    double      number;
    const char *text;
} bt_log_field;
bt_log_field bt_log_int(const char *name, int64_t value);
bt_log_field bt_log_number(const char *name, double value);
bt_log_field bt_log_text(const char *name, const char *value);

/* One line on stderr: "bt-program: text" (INFO and DEBUG), "...: warning: text", "...: error:
 * text"; with BT_LOG_JSON one object {"time","level","program","event","message"}, whose event is
 * "message", "warning" or "error"; what these two say of a place (bt_log_find_place) are fields. */
void bt_log(bt_log_level level, const char *fmt, ...) BT_PRINTF(2, 3);
/* The same line; in JSON its event and fields stand between. fmt NULL: it is for programs only, and
 * text has no line. docs/guide/logs.md lists the events. */
void bt_log_event(bt_log_level level, const char *event, const bt_log_field *fields, size_t n,
                  const char *fmt, ...) BT_PRINTF(5, 6);
/* A line that is rewritten in place, cut to the width of the terminal at " | ": drawn only when
 * stderr is a terminal that can; NULL ends it. */
void bt_log_progress(const char *text);
/* One line of the parts, one after another, with nothing but write(2): for signal handlers. Shown
 * where warnings are, as information: it is asked for. */
void bt_log_from_handler(const char *event, const char *const *parts, size_t n_parts);

/* Where a message says that something is: parts of it. */
typedef struct bt_log_span {
    const char *text; /* NULL: it does not say */
    size_t      n;
} bt_log_span;
typedef struct bt_log_place {
    bt_log_span file; /* "train.tsv" of "train.tsv:12: ..." */
    bt_log_span key;  /* "task.train_data.input_path" */
    bt_log_span flag; /* "--model_dir" */
    int64_t     line; /* 0: it does not say */
} bt_log_place;
bt_log_place bt_log_find_place(const char *message);

#endif
