/* SPDX-License-Identifier: Apache-2.0
 *
 * Sets of characters in Python's regular expressions: [ ] and \d \s \w \b with their opposites,
 * spelt out for PCRE2, whose own \s and \w are a little different and change with its version. */
#include <string.h>

#include "pattern.h"

/* Ranges inside [ ]. What Python's str.isspace() takes, then the same in ASCII. */
#define SPACE                                                                                      \
    "\\x{9}-\\x{d}\\x{1c}-\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}"     \
    "\\x{202f}\\x{205f}\\x{3000}"
#define NO_SPACE                                                                                   \
    "\\x{0}-\\x{8}\\x{e}-\\x{1b}\\x{21}-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-"         \
    "\\x{1fff}\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}"        \
    "\\x{3001}-\\x{10ffff}"
#define ASCII_SPACE "\\x{9}-\\x{d}\\x{20}"
#define ASCII_NO_SPACE "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{10ffff}"
#define WORD "\\p{L}\\p{N}_"
#define ASCII_WORD "A-Za-z0-9_"
#define ASCII_NO_WORD "\\x{0}-\\/:-@\\[-\\^`\\{-\\x{10ffff}"

/* What is inside [ ] for a letter. NULL: only as the opposite of a set (\W with Unicode). */
static const char *class_ranges(char letter, bool ascii) {
    switch (letter) {
    case 'd':
        return ascii ? "0-9" : "\\p{Nd}";
    case 'D':
        return ascii ? "\\x{0}-\\/:-\\x{10ffff}" : "\\P{Nd}";
    case 's':
        return ascii ? ASCII_SPACE : SPACE;
    case 'S':
        return ascii ? ASCII_NO_SPACE : NO_SPACE;
    case 'w':
        return ascii ? ASCII_WORD : WORD;
    case 'W':
        return ascii ? ASCII_NO_WORD : NULL;
    default:
        return "";
    }
}

bt_status pattern_put_class(pattern_reader *r, char letter, bt_error *err) {
    const char *const word = r->ascii ? ASCII_WORD : WORD;
    if (letter == 'b') {
        return bt_str_appendf(&r->out, err, "(?:(?<=[%s])(?![%s])|(?<![%s])(?=[%s]))", word, word,
                              word, word);
    }
    if (letter == 'B') { /* as Python's, never in an empty text */
        return bt_str_appendf(&r->out, err, "(?:(?!\\A\\z)(?:(?<=[%s])(?=[%s])|(?<![%s])(?![%s])))",
                              word, word, word, word);
    }
    const char *const ranges = class_ranges(letter, r->ascii);
    return ranges == NULL ? bt_str_append(&r->out, "[^" WORD "]", err)
                          : bt_str_appendf(&r->out, err, "[%s]", ranges);
}

/* One end of a range, or a class of characters. */
typedef struct set_item {
    char     letter; /* of a class; 0: the character c */
    uint32_t c;
} set_item;

static bt_status read_set_escape(pattern_reader *r, set_item *item, bt_error *err) {
    const char *const from = r->at - 1;
    const char        c = *r->at;
    bool              is_one = false;
    if (c != '\0' && strchr("dDsSwW", c) != NULL) {
        r->at++;
        item->letter = c;
        return BT_OK;
    }
    if (c == 'b') {
        r->at++;
        item->c = '\b';
        return BT_OK;
    }
    if (c >= '0' && c <= '7') {
        return pattern_read_octal(r, from, 3, &item->c, err);
    }
    BT_TRY(pattern_read_character(r, &is_one, &item->c, err));
    if (is_one) {
        return BT_OK;
    }
    if (c == '\0') {
        return pattern_refuse(r, from, err, "bad escape (end of pattern)");
    }
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) {
        return pattern_refuse(r, from, err, "bad escape \\%c", c);
    }
    return pattern_next(r, &item->c, err);
}

static bt_status read_set_item(pattern_reader *r, const char *start, set_item *item,
                               bt_error *err) {
    *item = (set_item){0};
    if (*r->at == '\0') {
        return pattern_refuse(r, start, err, "unterminated character set");
    }
    if (*r->at == '\\') {
        r->at++;
        return read_set_escape(r, item, err);
    }
    return pattern_next(r, &item->c, err);
}

static bt_status put_set_item(pattern_reader *r, const set_item *item, bool *no_word,
                              bt_error *err) {
    if (item->letter == 0) {
        return pattern_put_literal(r, item->c, err);
    }
    const char *const ranges = class_ranges(item->letter, r->ascii);
    *no_word = *no_word || ranges == NULL;
    return ranges == NULL ? BT_OK : bt_str_append(&r->out, ranges, err);
}

/* An item, or two with a hyphen between them. */
static bt_status read_range(pattern_reader *r, const char *start, bool *no_word, bt_error *err) {
    const char *const from = r->at;
    set_item          low;
    set_item          high;
    BT_TRY(read_set_item(r, start, &low, err));
    if (*r->at != '-') {
        return put_set_item(r, &low, no_word, err);
    }
    r->at++;
    if (*r->at == ']') { /* a hyphen before the end is one */
        BT_TRY(put_set_item(r, &low, no_word, err));
        return pattern_put_literal(r, '-', err);
    }
    BT_TRY(read_set_item(r, start, &high, err));
    if (low.letter != 0 || high.letter != 0 || high.c < low.c) {
        return pattern_refuse(r, from, err, "bad character range %.*s", (int)(r->at - from), from);
    }
    BT_TRY(pattern_put_literal(r, low.c, err));
    BT_TRY(bt_str_append_char(&r->out, '-', err));
    return pattern_put_literal(r, high.c, err);
}

/* \W is everything but word characters: no list of ranges, so it is beside the set. What was
 * written since `begin` are the ranges of the others. */
static bt_status join_no_word(pattern_reader *r, size_t begin, bool negated, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    ranges = BT_STR_INIT;
    BT_CHECK(bt_str_append(&ranges, bt_str_text(&r->out) + begin, err));
    r->out.len = begin;
    if (ranges.len == 0) {
        BT_CHECK(bt_str_append(&r->out, negated ? "[" WORD "]" : "[^" WORD "]", err));
    } else if (negated) {
        BT_CHECK(bt_str_appendf(&r->out, err, "(?:(?![%s])[" WORD "])", bt_str_text(&ranges)));
    } else {
        BT_CHECK(bt_str_appendf(&r->out, err, "(?:[%s]|[^" WORD "])", bt_str_text(&ranges)));
    }
done:
    bt_str_deinit(&ranges);
    return rc;
}

bt_status pattern_read_set(pattern_reader *r, bt_error *err) {
    const char *const start = r->at - 1;
    const size_t      begin = r->out.len;
    const bool        negated = *r->at == '^';
    bool              no_word = false;
    r->at += negated ? 1 : 0;
    BT_TRY(bt_str_append(&r->out, negated ? "[^" : "[", err));
    const size_t first = r->out.len;
    do { /* a ] in the first place is one */
        BT_TRY(read_range(r, start, &no_word, err));
    } while (*r->at != ']');
    r->at++;
    if (!no_word) {
        return bt_str_append_char(&r->out, ']', err);
    }
    /* without the opening bracket */
    const size_t n_bytes = r->out.len - first;
    memmove(r->out.data + begin, r->out.data + first, n_bytes + 1);
    r->out.len = begin + n_bytes;
    return join_no_word(r, begin, negated, err);
}
