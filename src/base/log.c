/* SPDX-License-Identifier: Apache-2.0
 *
 * The log: whole lines on stderr, written with one call each, and a progress line that is redrawn
 * in place on a terminal. The only mutable global state of the program. */
#include "bt/base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bt/base/signed_url.h"
#include "bt/base/str.h"
#include "bt/base/terminal.h"
#include "bt/base/time.h"
#include "log_line.h"

static struct {
    pthread_mutex_t lock;
    const char     *program;
    bt_log_format   format;
    int             verbosity;
    bool            has_times;
    bool            progress_drawn;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER, .program = "program"};

void bt_log_setup(const char *program, bt_log_format format, int verbosity) {
    pthread_mutex_lock(&state.lock);
    state.program = program;
    state.format = format;
    state.verbosity = verbosity;
    pthread_mutex_unlock(&state.lock);
}

void bt_log_set_times(bt_log_times times) {
    pthread_mutex_lock(&state.lock);
    state.has_times =
        times == BT_LOG_TIMES_ON || (times == BT_LOG_TIMES_AUTO && isatty(STDERR_FILENO) == 0);
    pthread_mutex_unlock(&state.lock);
}

bool bt_log_is_json(void) {
    return state.format == BT_LOG_JSON;
}

static bool is_on(bt_log_level level) {
    return (int)level <= state.verbosity;
}

bt_log_field bt_log_int(const char *name, int64_t value) {
    return (bt_log_field){.name = name, .kind = BT_LOG_KIND_INT, .integer = value};
}

bt_log_field bt_log_number(const char *name, double value) {
    return (bt_log_field){.name = name, .kind = BT_LOG_KIND_NUMBER, .number = value};
}

bt_log_field bt_log_text(const char *name, const char *value) {
    return (bt_log_field){.name = name, .kind = BT_LOG_KIND_TEXT, .text = value};
}

static void erase_progress(void) {
    if (state.progress_drawn) {
        (void)fputs("\r\033[K", stderr);
        state.progress_drawn = false;
    }
}

/* The message is in line->message already. */
static void say(log_line *line, bt_log_level level, const char *event, const bt_log_field *fields,
                size_t n) {
    char time[BT_TIME_ISO_MAX];
    bt_time_iso(bt_time_unix_ms(), time);
    pthread_mutex_lock(&state.lock);
    const log_frame frame = {.program = state.program, .time = time, .level = level};
    erase_progress();
    if (state.format == BT_LOG_JSON) {
        log_line_json(line, &frame, event, fields, n);
        (void)fputs(line->text, stderr);
    } else if (event == NULL || line->message[0] != '\0') {
        const char *const word = level == BT_LOG_ERROR     ? "error: "
                                 : level == BT_LOG_WARNING ? "warning: "
                                                           : "";
        log_line_make_printable(line->message);
        (void)fprintf(stderr, "%s%s%s: %s%s\n", state.has_times ? time : "",
                      state.has_times ? " " : "", state.program, word, line->message);
    }
    pthread_mutex_unlock(&state.lock);
}

void bt_log(bt_log_level level, const char *fmt, ...) {
    log_line line;
    va_list  args;
    if (!is_on(level)) {
        return;
    }
    va_start(args, fmt);
    (void)vsnprintf(line.message, sizeof line.message, fmt, args);
    va_end(args);
    bt_hide_signatures(line.message);
    say(&line, level, NULL, NULL, 0);
}

void bt_log_event(bt_log_level level, const char *event, const bt_log_field *fields, size_t n,
                  const char *fmt, ...) {
    log_line line = {.message = ""};
    va_list  args;
    if (!is_on(level)) {
        return;
    }
    va_start(args, fmt);
    if (fmt != NULL) {
        (void)vsnprintf(line.message, sizeof line.message, fmt, args);
    }
    va_end(args);
    bt_hide_signatures(line.message);
    say(&line, level, event, fields, n);
}

/* From a signal handler.
 * Only what POSIX allows there: write(2) and clock_gettime(2). The lock is not taken (its owner may
 * be the interrupted thread); program, format and verbosity are set before any handler is. */

static size_t put_text(char *line, size_t n, size_t cap, const char *text) {
    for (; text != NULL && *text != '\0' && n + 1 < cap; text++) {
        line[n++] = *text;
    }
    return n;
}

static size_t put_all(char *line, size_t n, size_t cap, const char *const *parts, size_t n_parts) {
    for (size_t i = 0; i < n_parts; i++) {
        n = put_text(line, n, cap, parts[i]);
    }
    return n;
}

void bt_log_from_handler(const char *event, const char *const *parts, size_t n_parts) {
    char       line[640];
    char       time[BT_TIME_ISO_MAX];
    size_t     n = 0;
    const bool is_json = state.format == BT_LOG_JSON;
    if (!is_on(BT_LOG_WARNING)) {
        return;
    }
    bt_time_iso(bt_time_unix_ms(), time);
    if (is_json) {
        const char *const head[] = {"{\"time\": \"",
                                    time,
                                    "\", \"level\": \"info\", \"program\": \"",
                                    state.program,
                                    "\", \"event\": \"",
                                    event,
                                    "\", \"message\": \""};
        n = put_all(line, n, sizeof line, head, BT_ARRAY_LEN(head));
    } else {
        const char *const head[] = {state.progress_drawn ? "\r\033[K" : "",
                                    state.has_times ? time : "", state.has_times ? " " : "",
                                    state.program, ": "};
        n = put_all(line, n, sizeof line, head, BT_ARRAY_LEN(head));
    }
    n = put_all(line, n, sizeof line - 4, parts, n_parts);
    n = put_text(line, n, sizeof line, is_json ? "\"}\n" : "\n");
    (void)!write(STDERR_FILENO, line, n); /* nobody to tell when it fails */
}

/* A terminal that only prints (TERM=dumb, Emacs's shell) would show each redrawing after another.
 */
static bool can_redraw(void) {
    const char *const kind = getenv("TERM");
    return isatty(STDERR_FILENO) != 0 && kind != NULL && kind[0] != '\0' &&
           !bt_str_equal(kind, "dumb");
}

void bt_log_progress(const char *text) {
    if (state.format == BT_LOG_JSON || state.verbosity < 0 || !can_redraw()) {
        return;
    }
    pthread_mutex_lock(&state.lock);
    erase_progress();
    if (text != NULL) {
        /* one column stays free: a full line would break on some terminals; asked for each time,
         * as windows change */
        const size_t columns = bt_terminal_columns(STDERR_FILENO);
        (void)fprintf(stderr, "%.*s", (int)bt_text_fit(text, columns > 1 ? columns - 1 : 1), text);
        state.progress_drawn = true;
    }
    (void)fflush(stderr);
    pthread_mutex_unlock(&state.lock);
}
