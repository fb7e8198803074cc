/* SPDX-License-Identifier: Apache-2.0
 *
 * The log: whole lines on stderr, written with one call each, and a progress line that is redrawn
 * in place on a terminal. The only mutable global state of the program. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bt/base/json_text.h"
#include "bt/base/log.h"
#include "bt/base/signed_url.h"
#include "bt/base/time.h"

enum { LINE_MAX_BYTES = 4096 };

static struct {
    pthread_mutex_t lock;
    const char     *program;
    bt_log_format   format;
    int             verbosity;
    bool            progress_drawn;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER, .program = "program"};

void bt_log_setup(const char *program, bt_log_format format, int verbosity) {
    pthread_mutex_lock(&state.lock);
    state.program = program;
    state.format = format;
    state.verbosity = verbosity;
    pthread_mutex_unlock(&state.lock);
}

static bool is_on(bt_log_level level) {
    return (int)level <= state.verbosity;
}

static const char *level_name(bt_log_level level) {
    switch (level) {
    case BT_LOG_ERROR:
        return "error";
    case BT_LOG_WARNING:
        return "warning";
    case BT_LOG_INFO:
        return "info";
    case BT_LOG_DEBUG:
        return "debug";
    }
    return "info";
}

/* Cut, never overflowing, when the line is full; allocates nothing. */
static void escape_json(char *dst, size_t cap, const char *src) {
    size_t n = 0;
    for (; *src != '\0' && n + BT_JSON_CHAR_MAX < cap; src++) {
        n += bt_json_char(dst + n, (unsigned char)*src, BT_JSON_UTF8);
    }
    dst[n] = '\0';
}

/* A message is one line, whatever control characters the data that it quotes brought in. */
static void make_printable(char *text) {
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7F) {
            *text = '?';
        }
    }
}

static void erase_progress(void) {
    if (state.progress_drawn) {
        (void)fputs("\r\033[K", stderr);
        state.progress_drawn = false;
    }
}

void bt_log(bt_log_level level, const char *fmt, ...) {
    if (!is_on(level)) {
        return;
    }
    char    text[LINE_MAX_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    bt_hide_signatures(text);
    if (state.format == BT_LOG_TEXT) {
        make_printable(text);
    }
    pthread_mutex_lock(&state.lock);
    erase_progress();
    if (state.format == BT_LOG_JSON) {
        char escaped[LINE_MAX_BYTES + 64];
        escape_json(escaped, sizeof escaped, text);
        (void)fprintf(
            stderr,
            "{\"time\": %.3f, \"level\": \"%s\", \"program\": \"%s\", \"message\": \"%s\"}\n",
            bt_time_unix(), level_name(level), state.program, escaped);
    } else if (level < BT_LOG_INFO) {
        (void)fprintf(stderr, "%s: %s: %s\n", state.program, level_name(level), text);
    } else {
        (void)fprintf(stderr, "%s: %s\n", state.program, text);
    }
    pthread_mutex_unlock(&state.lock);
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

/* Seconds with three decimals. */
static size_t put_time(char *line, size_t n, size_t cap) {
    struct timespec t;
    char            digits[24];
    size_t          i = sizeof digits;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    uint64_t milli = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
    digits[--i] = '\0';
    for (int place = 0; milli > 0 || place < 5; place++) {
        if (place == 3) {
            digits[--i] = '.';
            continue;
        }
        digits[--i] = (char)('0' + milli % 10);
        milli /= 10;
    }
    return put_text(line, n, cap, digits + i);
}

void bt_log_from_handler(const char *const *parts, size_t n_parts) {
    char       line[512];
    size_t     n = 0;
    const bool is_json = state.format == BT_LOG_JSON;
    if (!is_on(BT_LOG_WARNING)) {
        return;
    }
    if (is_json) {
        n = put_text(line, n, sizeof line, "{\"time\": ");
        n = put_time(line, n, sizeof line);
        n = put_text(line, n, sizeof line, ", \"level\": \"info\", \"program\": \"");
        n = put_text(line, n, sizeof line, state.program);
        n = put_text(line, n, sizeof line, "\", \"message\": \"");
    } else {
        n = put_text(line, n, sizeof line, state.progress_drawn ? "\r\033[K" : "");
        n = put_text(line, n, sizeof line, state.program);
        n = put_text(line, n, sizeof line, ": ");
    }
    for (size_t i = 0; i < n_parts; i++) {
        n = put_text(line, n, sizeof line, parts[i]);
    }
    n = put_text(line, n, sizeof line, is_json ? "\"}\n" : "\n");
    (void)!write(STDERR_FILENO, line, n); /* nobody to tell when it fails */
}

void bt_log_progress(const char *text) {
    if (isatty(STDERR_FILENO) == 0 || state.format == BT_LOG_JSON || state.verbosity < 0) {
        return;
    }
    pthread_mutex_lock(&state.lock);
    erase_progress();
    if (text != NULL) {
        (void)fputs(text, stderr);
        state.progress_drawn = true;
    }
    (void)fflush(stderr);
    pthread_mutex_unlock(&state.lock);
}
