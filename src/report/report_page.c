/* SPDX-License-Identifier: Apache-2.0
 *
 * Markup, texts and numbers of the page. */
#include "report_page.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/number.h"
#include "bt/text.h"

void put(page *p, const char *markup) {
    if (p->rc == BT_OK) {
        p->rc = bt_str_append(p->out, markup, p->err);
    }
}

static void put_n(page *p, const char *bytes, size_t n) {
    if (p->rc == BT_OK) {
        p->rc = bt_str_append_n(p->out, bytes, n, p->err);
    }
}

void putf(page *p, const char *format, ...) {
    char    text[1024];
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    BT_ASSERT(n >= 0 && (size_t)n < sizeof text); /* formats have numbers, no texts of others */
    put(p, text);
}

/* C1 controls, and the code points that Unicode never gives to a character. */
static bool is_void(uint32_t c) {
    return (c >= 0x7F && c <= 0x9F) || (c & 0xFFFE) == 0xFFFE || (c >= 0xFDD0 && c <= 0xFDEF);
}

static const char *escape_of(uint32_t c) {
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

/* Pictures of the controls, U+2400 on; tabs and line ends are themselves. */
static void put_special(page *p, uint32_t c) {
    if (c < ' ' && c != '\t' && c != '\n') {
        const char picture[] = {(char)0xE2, (char)0x90, (char)(0x80 + c), '\0'};
        put(p, picture);
    } else {
        put(p, "\xEF\xBF\xBD");
    }
}

static bool is_special(uint32_t c) {
    return (c < ' ' && c != '\t' && c != '\n') || is_void(c);
}

void put_text_n(page *p, const char *text, size_t n) {
    const char *const end = text + n;
    const char       *plain = text; /* where what needs nothing began */
    for (const char *at = text; at < end;) {
        const char *const begin = at;
        uint32_t          c = 0;
        const bool        is_valid = bt_text_read_utf8(&at, end, &c);
        const char *const escape = is_valid ? escape_of(c) : NULL;
        if (is_valid && escape == NULL && !is_special(c)) {
            continue;
        }
        put_n(p, plain, (size_t)(begin - plain));
        if (escape != NULL) {
            put(p, escape);
        } else {
            put_special(p, is_valid ? c : 0xFFFD);
        }
        plain = at;
    }
    put_n(p, plain, (size_t)(end - plain));
}

void put_text(page *p, const char *text) {
    put_text_n(p, text, strlen(text));
}

void put_isolated(page *p, const char *text) {
    put(p, "<bdi>");
    put_text(p, text);
    put(p, "</bdi>");
}

void put_section(page *p, const char *id, const char *title) {
    putf(p, "<section aria-labelledby=\"%s\">\n<h2 id=\"%s\">", id, id);
    put_text(p, title);
    put(p, "</h2>\n");
}

void end_section(page *p) {
    put(p, "</section>\n");
}

/* Commas between thousands. */
static const char *whole_text(double value, char text[NUMBER_MAX]) {
    char      digits[NUMBER_MAX];
    const int n = snprintf(digits, sizeof digits, "%.0f", fabs(value));
    size_t    used = 0;
    if (value < 0) {
        text[used++] = '-';
    }
    for (int i = 0; i < n && used + 2 < NUMBER_MAX; i++) {
        if (i > 0 && (n - i) % 3 == 0) {
            text[used++] = ',';
        }
        text[used++] = digits[i];
    }
    text[used] = '\0';
    return text;
}

const char *number_text(double value, char text[NUMBER_MAX]) {
    const double size = fabs(value);
    if (!isfinite(value)) {
        (void)snprintf(text, NUMBER_MAX, "–");
    } else if (size >= 1e15) {
        (void)snprintf(text, NUMBER_MAX, "%.3g", value);
    } else if (size >= 1000 || (value == floor(value) && size >= 1)) {
        return whole_text(value, text);
    } else if (size >= 1 || size == 0) {
        (void)snprintf(text, NUMBER_MAX, "%.4g", value);
    } else {
        (void)snprintf(text, NUMBER_MAX, size >= 1e-3 ? "%.4f" : "%.3g", value);
    }
    return text;
}

void put_exact(page *p, double value) {
    char text[BT_F64_TEXT_MAX];
    put(p, isfinite(value) ? bt_f64_repr(value, text) : "–");
}

void put_rounded(page *p, double value) {
    char exact[BT_F64_TEXT_MAX];
    if (!isfinite(value)) {
        put(p, "–");
        return;
    }
    putf(p, "<data value=\"%s\">", bt_f64_repr(value, exact));
    putf(p, "%.6g</data>", value);
}

void put_breakable(page *p, const char *text) {
    put(p, "<bdi>");
    for (const char *at = text; *at != '\0';) {
        const size_t n = strcspn(at, "./,_=");
        const size_t n_all = n + (at[n] != '\0' ? 1 : 0);
        put_text_n(p, at, n_all);
        put(p, at[n] != '\0' ? "<wbr>" : "");
        at += n_all;
    }
    put(p, "</bdi>");
}

const char *duration_text(double seconds, char text[NUMBER_MAX]) {
    if (seconds < 60) {
        (void)snprintf(text, NUMBER_MAX, seconds < 10 ? "%.2g s" : "%.0f s", seconds);
        return text;
    }
    const int64_t minutes = seconds < 1e12 ? (int64_t)(seconds / 60) : 0;
    if (minutes < 60) {
        (void)snprintf(text, NUMBER_MAX, "%" PRId64 " min %.0f s", minutes,
                       floor(seconds - 60.0 * (double)minutes));
    } else if (minutes < 60 * 48) {
        (void)snprintf(text, NUMBER_MAX, "%" PRId64 " h %" PRId64 " min", minutes / 60,
                       minutes % 60);
    } else {
        (void)snprintf(text, NUMBER_MAX, "%" PRId64 " days %" PRId64 " h", minutes / 1440,
                       minutes / 60 % 24);
    }
    return text;
}

void put_name(page *p, const char *name) {
    for (const char *at = name; *at != '\0';) {
        const size_t n = strcspn(at, "_");
        put_text_n(p, at, n);
        at += n;
        if (*at == '_') {
            put(p, " ");
            at++;
        }
    }
}
