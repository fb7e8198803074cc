/* SPDX-License-Identifier: Apache-2.0
 *
 * A line of the log as JSON. Bytes that are not UTF-8 (a file in another encoding may be quoted)
 * become U+FFFD: a reader of JSON would refuse the whole line. */
#include "log_line.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/json_text.h"
#include "bt/base/number.h"
#include "bt/base/signed_url.h"
#include "bt/base/terminal.h"

/* Fields leave room to the message, and that some to the end of the object. */
enum { FIELDS_MAX = LOG_JSON_MAX - 8192, TAIL = 16 };

typedef struct writer {
    char  *out;
    size_t n, cap;
    bool   is_full; /* something did not fit and is not there */
} writer;

static void put(writer *w, const char *text, size_t n) {
    if (w->n + n >= w->cap) {
        w->is_full = true;
        return;
    }
    memcpy(w->out + w->n, text, n);
    w->n += n;
}

static void put_text(writer *w, const char *text) {
    put(w, text, strlen(text));
}

static void put_string(writer *w, const char *text, size_t n) {
    put_text(w, "\"");
    for (size_t at = 0; at < n && w->n + BT_JSON_CHAR_MAX + 2 < w->cap;) {
        char         piece[BT_JSON_CHAR_MAX];
        uint32_t     c = 0;
        const size_t length = bt_utf8_length(text + at, n - at, &c);
        if (length == 0) {
            put_text(w, "\xEF\xBF\xBD");
        } else if (length > 1) {
            put(w, text + at, length);
        } else {
            put(w, piece, bt_json_char(piece, (unsigned char)text[at], BT_JSON_UTF8));
        }
        at += length > 0 ? length : 1;
    }
    put_text(w, "\"");
}

static void put_number(writer *w, double value) {
    char text[BT_F64_TEXT_MAX];
    put_text(w, isfinite(value) ? bt_f64_repr(value, text) : "null");
}

static void put_name(writer *w, const char *name) {
    put_text(w, ", \"");
    put_text(w, name);
    put_text(w, "\": ");
}

/* Its signatures are hidden as those of messages. */
static void put_text_field(writer *w, const char *value) {
    char text[LOG_MESSAGE_MAX];
    (void)snprintf(text, sizeof text, "%s", value);
    bt_hide_signatures(text);
    put_string(w, text, strlen(text));
}

static void put_value(writer *w, const bt_log_field *field) {
    char text[24];
    switch (field->kind) {
    case BT_LOG_KIND_INT:
        (void)snprintf(text, sizeof text, "%" PRId64, field->integer);
        put_text(w, text);
        return;
    case BT_LOG_KIND_NUMBER:
        put_number(w, field->number);
        return;
    case BT_LOG_KIND_TEXT:
        put_text_field(w, field->text);
        return;
    }
}

/* All of it or nothing. */
static void put_field(writer *w, const bt_log_field *field) {
    const size_t before = w->n;
    if (field->kind == BT_LOG_KIND_TEXT && field->text == NULL) {
        return;
    }
    put_name(w, field->name);
    put_value(w, field);
    if (w->is_full) {
        w->n = before;
        w->is_full = false;
    }
}

static void put_span(writer *w, const char *name, bt_log_span span) {
    char text[1024];
    if (span.text != NULL && span.n < sizeof text) {
        (void)snprintf(text, sizeof text, "%.*s", (int)span.n, span.text);
        const bt_log_field field = bt_log_text(name, text);
        put_field(w, &field);
    }
}

static void put_place(writer *w, const char *message) {
    const bt_log_place place = bt_log_find_place(message);
    const bt_log_field line = bt_log_int("line", place.line);
    put_span(w, "file", place.file);
    if (place.line > 0) {
        put_field(w, &line);
    }
    put_span(w, "key", place.key);
    put_span(w, "flag", place.flag);
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

static const char *event_of(bt_log_level level) {
    return level < BT_LOG_INFO ? level_name(level) : "message";
}

void log_line_json(log_line *line, const log_frame *frame, const char *event,
                   const bt_log_field *fields, size_t n) {
    writer            w = {.out = line->text, .cap = FIELDS_MAX};
    const char *const name = event != NULL ? event : event_of(frame->level);
    put_text(&w, "{\"time\": \"");
    put_text(&w, frame->time);
    put_text(&w, "\", \"level\": \"");
    put_text(&w, level_name(frame->level));
    put_text(&w, "\", \"program\": ");
    put_string(&w, frame->program, strlen(frame->program));
    put_name(&w, "event");
    put_string(&w, name, strlen(name));
    for (size_t i = 0; i < n; i++) {
        put_field(&w, &fields[i]);
    }
    if (frame->level < BT_LOG_INFO) {
        put_place(&w, line->message);
    }
    w.cap = sizeof line->text - TAIL;
    put_name(&w, "message");
    put_string(&w, line->message, strlen(line->message));
    w.cap = sizeof line->text;
    put(&w, "}\n", sizeof "}\n"); /* and the end of the text */
}

void log_line_make_printable(char *text) {
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7F) {
            *text = '?';
        }
    }
}
