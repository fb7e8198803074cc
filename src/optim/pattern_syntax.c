/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads a pattern as Python's re does (Lib/re/_parser.py of 3.11: its grammar, its refusals, its
 * positions) and writes the same for PCRE2. Refused although Python has them: \N{NAME}, for want
 * of the table of names, and more than 500 groups or 100 inside one another. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "pattern.h"

#define WIDTH_MAX ((uint64_t)UINT32_MAX) /* Python's MAXREPEAT: "no end" */

/* Python counts characters, not bytes. */
static size_t position_of(const pattern_reader *r, const char *at) {
    size_t n = 0;
    for (const char *p = r->pattern; p < at; p++) {
        n += ((unsigned char)*p & 0xC0) != 0x80 ? 1 : 0;
    }
    return n;
}

bt_status pattern_refuse(const pattern_reader *r, const char *at, bt_error *err, const char *fmt,
                         ...) {
    char    what[160];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return BT_FAIL(err, BT_E_CONFIG,
                   "%s: pattern '%s': %s at position %zu (patterns are Python's, of its module re)",
                   r->key, r->pattern, what, position_of(r, at));
}

static uint64_t width_add(uint64_t a, uint64_t b) {
    return a + b < WIDTH_MAX ? a + b : WIDTH_MAX;
}

static uint64_t width_mul(uint64_t a, uint64_t b) {
    uint64_t r = 0;
    return __builtin_mul_overflow(a, b, &r) || r > WIDTH_MAX ? WIDTH_MAX : r;
}

bool pattern_is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_octal(char c) {
    return c >= '0' && c <= '7';
}

bool pattern_is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int hex_value(char c) {
    if (pattern_is_digit(c)) {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bt_status pattern_next(pattern_reader *r, uint32_t *c, bt_error *err) {
    const unsigned char *const s = (const unsigned char *)r->at;
    static const uint32_t      least[] = {0, 0, 0x80, 0x800, 0x10000};
    const int n = s[0] < 0x80 ? 1 : s[0] < 0xC0 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    uint32_t  value = n == 1 ? s[0] : s[0] & (0xFFU >> (n + 1));
    bool      good = n > 0 && s[0] < 0xF8;
    for (int i = 1; good && i < n; i++) {
        good = (s[i] & 0xC0) == 0x80;
        value = value << 6 | (s[i] & 0x3F);
    }
    if (!good || value < least[n] || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) {
        return pattern_refuse(r, r->at, err, "not UTF-8 (byte 0x%02x)", s[0]);
    }
    r->at += n;
    *c = value;
    return BT_OK;
}

bt_status pattern_put_literal(pattern_reader *r, uint32_t c, bt_error *err) {
    if (c < 0x80 && (pattern_is_letter((char)c) || pattern_is_digit((char)c))) {
        return bt_str_append_char(&r->out, (char)c, err);
    }
    return bt_str_appendf(&r->out, err, "\\x{%" PRIx32 "}", c);
}

static bt_status read_hex(pattern_reader *r, const char *from, int n_digits, uint32_t *c,
                          bt_error *err) {
    uint32_t value = 0;
    for (int i = 0; i < n_digits; i++) {
        const int digit = hex_value(*r->at);
        if (digit < 0) {
            return pattern_refuse(r, from, err, "incomplete escape %.*s", (int)(r->at - from),
                                  from);
        }
        value = value << 4 | (uint32_t)digit;
        r->at++;
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) {
        return pattern_refuse(r, from, err, "bad escape %.*s (no character)", (int)(r->at - from),
                              from);
    }
    *c = value;
    return BT_OK;
}

bt_status pattern_read_octal(pattern_reader *r, const char *from, int n_max, uint32_t *c,
                             bt_error *err) {
    uint32_t value = 0;
    for (int i = 0; i < n_max && is_octal(*r->at); i++) {
        value = value << 3 | (uint32_t)(*r->at - '0');
        r->at++;
    }
    if (value > 0377) {
        return pattern_refuse(r, from, err, "octal escape value %.*s outside of range 0-0o377",
                              (int)(r->at - from), from);
    }
    *c = value;
    return BT_OK;
}

bt_status pattern_read_character(pattern_reader *r, bool *is_one, uint32_t *c, bt_error *err) {
    static const char letters[] = "afnrtv\\";
    static const char values[] = "\a\f\n\r\t\v\\";
    const char *const from = r->at - 1;
    const char        letter = *r->at;
    const char *const at = letter != '\0' ? strchr(letters, letter) : NULL;
    *is_one = at != NULL || letter == 'x' || letter == 'u' || letter == 'U';
    if (letter == 'N') {
        return pattern_refuse(r, from, err, "\\N{name} is not supported (write \\uXXXX)");
    }
    if (!*is_one) {
        return BT_OK;
    }
    r->at++;
    if (at != NULL) {
        *c = (uint32_t)values[at - letters];
        return BT_OK;
    }
    return read_hex(r, from, letter == 'x' ? 2 : letter == 'u' ? 4 : 8, c, err);
}

/* \1 to \99, or three octal digits. */
static bt_status read_digits(pattern_reader *r, pattern_width *width, bt_error *err) {
    const char *const from = r->at - 1;
    uint32_t          c = 0;
    if (r->at[0] == '0' || (is_octal(r->at[0]) && is_octal(r->at[1]) && is_octal(r->at[2]))) {
        BT_TRY(pattern_read_octal(r, from, 3, &c, err));
        return pattern_put_literal(r, c, err);
    }
    int group = *r->at++ - '0';
    if (pattern_is_digit(*r->at)) {
        group = group * 10 + (*r->at++ - '0');
    }
    if (group > r->n_groups) {
        return pattern_refuse(r, from + 1, err, "invalid group reference %d", group);
    }
    return pattern_put_reference(r, from, group, width, err);
}

/* After a backslash, outside [ ]. */
static bt_status read_escape(pattern_reader *r, pattern_item *kind, pattern_width *width,
                             bt_error *err) {
    const char *const from = r->at - 1;
    const char        letter = *r->at;
    bool              is_one = false;
    uint32_t          c = 0;
    *kind = PATTERN_ATOM;
    *width = (pattern_width){1, 1};
    if (letter == '\0') {
        return pattern_refuse(r, from, err, "bad escape (end of pattern)");
    }
    if (strchr("AZbB", letter) != NULL) {
        *kind = PATTERN_PLACE;
        *width = (pattern_width){0, 0};
        r->at++;
        return letter == 'A'   ? bt_str_append(&r->out, "\\A", err)
               : letter == 'Z' ? bt_str_append(&r->out, "\\z", err)
                               : pattern_put_class(r, letter, err);
    }
    if (strchr("dDsSwW", letter) != NULL) {
        r->at++;
        return pattern_put_class(r, letter, err);
    }
    if (pattern_is_digit(letter)) {
        return read_digits(r, width, err);
    }
    BT_TRY(pattern_read_character(r, &is_one, &c, err));
    if (!is_one) {
        if (pattern_is_letter(letter)) {
            return pattern_refuse(r, from, err, "bad escape \\%c", letter);
        }
        BT_TRY(pattern_next(r, &c, err));
    }
    return pattern_put_literal(r, c, err);
}

typedef struct repeat {
    uint64_t least;
    uint64_t most;
} repeat;

static bt_status read_count(pattern_reader *r, uint64_t *count, bt_error *err) {
    const char *const from = r->at;
    uint64_t          value = 0;
    while (pattern_is_digit(*r->at)) {
        value = width_add(width_mul(value, 10), (uint64_t)(*r->at++ - '0'));
    }
    if (r->at > from) {
        if (value >= 65536) { /* PCRE2's bound; Python's is 4294967295 */
            return pattern_refuse(r, from, err, "a repetition count above 65535 is not supported");
        }
        *count = value;
    }
    return BT_OK;
}

/* {2} {2,} {,2} {2,3}. *is_one false: no quantifier but a brace, and nothing was passed. */
static bt_status read_braces(pattern_reader *r, repeat *count, bool *is_one, bt_error *err) {
    const char *const from = r->at;
    const char       *p = from + 1;
    const size_t      n_low = strspn(p, "0123456789");
    p += n_low;
    const bool has_comma = *p == ',';
    p += has_comma ? 1 + strspn(p + 1, "0123456789") : 0;
    *is_one = *p == '}' && (n_low > 0 || has_comma);
    if (!*is_one) {
        return BT_OK;
    }
    *count = (repeat){0, WIDTH_MAX};
    r->at++;
    BT_TRY(read_count(r, &count->least, err));
    if (has_comma) {
        r->at++;
        BT_TRY(read_count(r, &count->most, err));
    } else {
        count->most = count->least;
    }
    r->at++;
    if (count->most < count->least) {
        return pattern_refuse(r, from + 1, err, "min repeat greater than max repeat");
    }
    return BT_OK;
}

static bt_status put_repeat(pattern_reader *r, const repeat *count, bt_error *err) {
    BT_TRY(bt_str_appendf(&r->out, err, "{%" PRIu64 ",", count->least));
    if (count->most != WIDTH_MAX) {
        BT_TRY(bt_str_appendf(&r->out, err, "%" PRIu64, count->most));
    }
    BT_TRY(bt_str_append_char(&r->out, '}', err));
    if (*r->at == '?' || *r->at == '+') {
        return bt_str_append_char(&r->out, *r->at++, err);
    }
    return BT_OK;
}

/* * + ? or braces. *is_one false: nothing was passed. */
static bt_status read_quantifier(pattern_reader *r, pattern_item *kind, pattern_width *width,
                                 bool *is_one, bt_error *err) {
    const char *const from = r->at;
    repeat            count = {0, WIDTH_MAX};
    *is_one = *from == '*' || *from == '+' || *from == '?';
    if (*from == '{') {
        BT_TRY(read_braces(r, &count, is_one, err));
    } else if (*is_one) {
        count.least = *from == '+' ? 1 : 0;
        count.most = *from == '?' ? 1 : WIDTH_MAX;
        r->at++;
    }
    if (!*is_one) {
        return BT_OK;
    }
    if (*kind == PATTERN_NONE || *kind == PATTERN_PLACE) {
        return pattern_refuse(r, from, err, "nothing to repeat");
    }
    if (*kind == PATTERN_REPEAT) {
        return pattern_refuse(r, from, err, "multiple repeat");
    }
    *kind = PATTERN_REPEAT;
    *width =
        (pattern_width){width_mul(width->least, count.least), width_mul(width->most, count.most)};
    return put_repeat(r, &count, err);
}

/* Spaces and comments of (?x). */
static bool skip_verbose(pattern_reader *r) {
    if (!r->verbose || *r->at == '\0' || strchr(" \t\n\r\v\f#", *r->at) == NULL) {
        return false;
    }
    if (*r->at == '#') {
        r->at += strcspn(r->at, "\n");
    } else {
        r->at++;
    }
    return true;
}

/* is_first: nothing but flags and comments came before it. */
static bt_status read_item(pattern_reader *r, bool is_first, pattern_item *kind,
                           pattern_width *width, bt_error *err) {
    const char *const from = r->at;
    uint32_t          c = 0;
    switch (*from) {
    case '\\':
        r->at++;
        return read_escape(r, kind, width, err);
    case '(':
        r->at++;
        if (*r->at != '?') {
            *kind = PATTERN_ATOM;
            return pattern_read_capture(r, from, NULL, 0, width, err);
        }
        r->at++;
        return pattern_read_extension(r, from, is_first, kind, width, err);
    case '^':
    case '$':
        r->at++;
        *kind = PATTERN_PLACE;
        return bt_str_append_char(&r->out, *from, err);
    default:
        break;
    }
    *kind = PATTERN_ATOM;
    *width = (pattern_width){1, 1};
    if (*from == '.' || *from == '[') {
        r->at++;
        return *from == '.' ? bt_str_append_char(&r->out, '.', err) : pattern_read_set(r, err);
    }
    BT_TRY(pattern_next(r, &c, err));
    return pattern_put_literal(r, c, err);
}

bt_status pattern_read_branch(pattern_reader *r, bool is_first, pattern_width *width,
                              bt_error *err) {
    pattern_width sum = {0, 0};  /* of the items before the last one */
    pattern_width last = {0, 0}; /* may still be repeated */
    pattern_item  kind = PATTERN_NONE;
    while (*r->at != '\0' && *r->at != '|' && *r->at != ')') {
        bool is_quantifier = false;
        if (skip_verbose(r)) {
            continue;
        }
        BT_TRY(read_quantifier(r, &kind, &last, &is_quantifier, err));
        if (is_quantifier) {
            continue;
        }
        pattern_item  next = PATTERN_NONE;
        pattern_width width_of_next = {0, 0};
        BT_TRY(read_item(r, is_first && kind == PATTERN_NONE, &next, &width_of_next, err));
        if (next != PATTERN_NONE) { /* not a comment */
            sum = (pattern_width){width_add(sum.least, last.least), width_add(sum.most, last.most)};
            last = width_of_next;
            kind = next;
        }
    }
    *width = (pattern_width){width_add(sum.least, last.least), width_add(sum.most, last.most)};
    return BT_OK;
}

bt_status pattern_read_branches(pattern_reader *r, pattern_width *width, bt_error *err) {
    bool is_first = r->depth == 0;
    BT_TRY(pattern_read_branch(r, is_first, width, err));
    while (*r->at == '|') {
        pattern_width more = {0, 0};
        r->at++;
        BT_TRY(bt_str_append_char(&r->out, '|', err));
        BT_TRY(pattern_read_branch(r, false, &more, err));
        width->least = more.least < width->least ? more.least : width->least;
        width->most = more.most > width->most ? more.most : width->most;
    }
    return BT_OK;
}

bt_status pattern_read(pattern_reader *r, bt_error *err) {
    pattern_width width = {0, 0};
    r->at = r->pattern;
    BT_TRY(pattern_read_branches(r, &width, err));
    if (*r->at == ')') {
        return pattern_refuse(r, r->at, err, "unbalanced parenthesis");
    }
    if (r->max_condition > r->n_groups) {
        return pattern_refuse(r, r->condition_at, err, "invalid group reference %d",
                              r->max_condition);
    }
    if (r->unfixed_at != NULL) {
        return pattern_refuse(r, r->unfixed_at, err, "look-behind requires fixed-width pattern");
    }
    return BT_OK;
}
