/* SPDX-License-Identifier: Apache-2.0
 *
 * Growable strings, comparisons, strict number parsing and shortest number printing. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base.h"

void bt_str_deinit(bt_str *s) {
    if (s != NULL) {
        bt_free(s->data);
        *s = (bt_str)BT_STR_INIT;
    }
}

void bt_str_clear(bt_str *s) {
    s->len = 0;
    if (s->data != NULL) {
        s->data[0] = '\0';
    }
}

const char *bt_str_text(const bt_str *s) {
    return s->data != NULL ? s->data : "";
}

static void copy_behind(bt_str *s, const void *bytes, size_t n) {
    if (n > 0) {
        memcpy(s->data + s->len, bytes, n);
    }
    s->len += n;
    s->data[s->len] = '\0';
}

bt_status bt_str_append_n(bt_str *s, const void *bytes, size_t n, bt_error *err) {
    size_t need = 0;
    if (s->cap > s->len && n < s->cap - s->len) { /* the usual case: there is room */
        copy_behind(s, bytes, n);
        return BT_OK;
    }
    if (!bt_size_add(s->len, n, &need) || !bt_size_add(need, 1, &need)) {
        return BT_FAIL(err, BT_E_NOMEM, "string of %zu + %zu bytes is too long", s->len, n);
    }
    BT_TRY(bt_grow(&s->data, &s->cap, need, 1, BT_STR_MAX_BYTES, err));
    copy_behind(s, bytes, n);
    return BT_OK;
}

bt_status bt_str_append(bt_str *s, const char *text, bt_error *err) {
    return bt_str_append_n(s, text, strlen(text), err);
}

bt_status bt_str_append_char(bt_str *s, char c, bt_error *err) {
    return bt_str_append_n(s, &c, 1, err);
}

bt_status bt_str_appendf(bt_str *s, bt_error *err, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    const int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0) {
        va_end(again);
        return BT_FAIL(err, BT_E_INTERNAL, "cannot format '%s'", fmt);
    }
    const bt_status rc =
        bt_grow(&s->data, &s->cap, s->len + (size_t)n + 1, 1, BT_STR_MAX_BYTES, err);
    if (rc == BT_OK) {
        (void)vsnprintf(s->data + s->len, (size_t)n + 1, fmt, again);
        s->len += (size_t)n;
    }
    va_end(again);
    return rc;
}

/* \uXXXX; above 16 bits two of them, surrogates. */
static size_t json_number(char out[BT_JSON_CHAR_MAX], uint32_t c) {
    if (c < 0x10000) {
        return (size_t)snprintf(out, BT_JSON_CHAR_MAX, "\\u%04" PRIx32, c);
    }
    c -= 0x10000;
    return (size_t)snprintf(out, BT_JSON_CHAR_MAX, "\\u%04" PRIx32 "\\u%04" PRIx32,
                            0xD800 + (c >> 10 & 0x3FF), 0xDC00 + (c & 0x3FF));
}

size_t bt_json_char(char out[BT_JSON_CHAR_MAX], uint32_t c, bt_json_form form) {
    static const char special[] = "\"\\\n\r\t\b\f";
    static const char letters[] = "\"\\nrtbf";
    const char *const at = c != 0 && c < 0x80 ? strchr(special, (char)c) : NULL;
    if (at != NULL && (c >= ' ' || form == BT_JSON_ASCII)) {
        out[0] = '\\';
        out[1] = letters[at - special];
        return 2;
    }
    if (c < ' ' || (c > '~' && form == BT_JSON_ASCII)) {
        return json_number(out, c);
    }
    out[0] = (char)c;
    return 1;
}

bt_status bt_str_append_json(bt_str *s, const char *text, bt_error *err) {
    BT_TRY(bt_str_append_char(s, '"', err));
    for (; *text != '\0'; text++) {
        char         piece[BT_JSON_CHAR_MAX];
        const size_t n = bt_json_char(piece, (unsigned char)*text, BT_JSON_UTF8);
        BT_TRY(bt_str_append_n(s, piece, n, err));
    }
    return bt_str_append_char(s, '"', err);
}

char *bt_str_take(bt_str *s) {
    char *const text = s->data;
    *s = (bt_str)BT_STR_INIT;
    return text;
}

bool bt_list_add(char *out, size_t cap, const char *word) {
    const size_t at = strlen(out);
    if (bt_str_ends_with(out, ", ...")) {
        return false;
    }
    if (at + strlen(word) + 12 > cap) {
        if (at + 6 <= cap) {
            memcpy(out + at, ", ...", 6);
        }
        return false;
    }
    (void)snprintf(out + at, cap - at, "%s'%s'", at > 0 ? ", " : "", word);
    return true;
}

void bt_list_all(char *out, size_t cap, const char *const *words, size_t n) {
    out[0] = '\0';
    for (size_t i = 0; i < n && bt_list_add(out, cap, words[i]); i++) {
    }
}

bool bt_str_equal(const char *a, const char *b) {
    if (a == NULL || b == NULL) {
        return a == b;
    }
    return strcmp(a, b) == 0;
}

bool bt_str_equal_nocase(const char *a, const char *b) {
    if (a == NULL || b == NULL) {
        return a == b;
    }
    for (; *a != '\0' && *b != '\0'; a++, b++) {
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b)) {
            return false;
        }
    }
    return *a == *b;
}

bool bt_str_starts_with(const char *s, const char *prefix) {
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool bt_str_ends_with(const char *s, const char *suffix) {
    const size_t n = strlen(s);
    const size_t m = strlen(suffix);
    return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

bool bt_str_ends_with_nocase(const char *s, size_t n, const char *suffix) {
    const size_t m = strlen(suffix);
    for (size_t i = 0; i < m && n >= m; i++) {
        if (tolower((unsigned char)s[n - m + i]) != tolower((unsigned char)suffix[i])) {
            return false;
        }
    }
    return n >= m;
}

bool bt_parse_i64(const char *text, int64_t *out) {
    if (text[0] == '\0' || isspace((unsigned char)text[0])) {
        return false;
    }
    errno = 0;
    char           *end = NULL;
    const long long value = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || end == text) {
        return false;
    }
    *out = value;
    return true;
}

bool bt_parse_f64(const char *text, double *out) {
    if (text[0] == '\0' || isspace((unsigned char)text[0])) {
        return false;
    }
    char        *end = NULL;
    const double value = strtod(text, &end); /* the program never leaves the C locale */
    if (*end != '\0' || end == text) {
        return false;
    }
    *out = value;
    return true;
}

static char *copy_word(char *buffer, const char *word) {
    (void)snprintf(buffer, BT_F64_TEXT_MAX, "%s", word);
    return buffer;
}

static bool reads_back_f64(const char *text, double value) {
    return strtod(text, NULL) == value;
}

static bool reads_back_f32(const char *text, double value) {
    return strtof(text, NULL) == (float)value;
}

/* Python's repr chooses the exponent form when the decimal exponent is < -4 or >= 16. */
static char *format_repr(double value, bool (*reads_back)(const char *, double), int max_digits,
                         char *buffer) {
    if (isnan(value)) {
        return copy_word(buffer, "nan");
    }
    if (isinf(value)) {
        return copy_word(buffer, value > 0 ? "inf" : "-inf");
    }
    char scientific[BT_F64_TEXT_MAX];
    for (int digits = 1; digits <= max_digits; digits++) {
        (void)snprintf(scientific, sizeof scientific, "%.*e", digits - 1, value);
        if (reads_back(scientific, value)) {
            break;
        }
    }
    const char *const e = strchr(scientific, 'e');
    const int         exponent = (int)strtol(e + 1, NULL, 10);
    const int         n_digits =
        (int)(e - scientific) - (strchr(scientific, '.') != NULL) - (scientific[0] == '-');
    if (exponent < -4 || exponent >= 16) {
        (void)snprintf(buffer, BT_F64_TEXT_MAX, "%.*se%c%02d", (int)(e - scientific), scientific,
                       exponent < 0 ? '-' : '+', abs(exponent));
        return buffer;
    }
    const int decimals = n_digits - 1 - exponent;
    (void)snprintf(buffer, BT_F64_TEXT_MAX, "%.*f", decimals < 1 ? 1 : decimals, value);
    return buffer;
}

char *bt_f64_repr(double value, char buffer[BT_F64_TEXT_MAX]) {
    return format_repr(value, reads_back_f64, 17, buffer);
}

char *bt_f32_repr(float value, char buffer[BT_F64_TEXT_MAX]) {
    return format_repr((double)value, reads_back_f32, 9, buffer);
}
