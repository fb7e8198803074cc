/* SPDX-License-Identifier: Apache-2.0
 *
 * Lower case of whole texts, and the two classes of characters that Python's str.split() and re
 * know. The tokenizer does not use these: it lower-cases word by word and decomposes as it goes
 * (words.c). */
#include "bt/base/alloc.h"
#include "bt/base/json_text.h"
#include "bt/base/size.h"
#include "text_internal.h"
#include "unicode.h"

enum {
    CAPITAL_I_DOT = 0x130, /* the only one that becomes two: i and U+0307 */
    DOT_ABOVE = 0x307,
    REPLACEMENT_CHARACTER = 0xFFFD,
    GROWTH = 2, /* U+0130: 2 bytes become 3; U+023A: 2 become 3 */
};

/* The last row of a sorted table whose first column is not beyond c; -1: none. */
static int32_t last_not_beyond(const uint32_t *table, int32_t n_rows, int32_t n_columns,
                               uint32_t c) {
    int32_t low = -1;
    int32_t high = n_rows;
    while (high - low > 1) {
        const int32_t middle = low + (high - low) / 2;
        if (table[(size_t)middle * (size_t)n_columns] <= c) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

static uint32_t lower_codepoint(uint32_t c) {
    const int32_t i = last_not_beyond(text_lower_runs[0], text_lower_size, 4, c);
    if (i < 0 || c > text_lower_runs[i][1]) {
        return c;
    }
    const uint32_t *const run = text_lower_runs[i];
    return (c - run[0]) % run[2] == 0 ? c - run[0] + run[3] : c;
}

bool text_strip_capital(uint32_t c, uint32_t *base) {
    const int32_t i = last_not_beyond(text_capitals[0], text_capital_size, 2, c);
    const bool    is_known = i >= 0 && text_capitals[i][0] == c;
    *base = is_known ? text_capitals[i][1] : c;
    return is_known || lower_codepoint(c) != c;
}

bool bt_text_is_space(uint32_t c) {
    return text_is_python_space(c);
}

bool bt_text_is_word(uint32_t c) {
    if (c < 0x80) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_';
    }
    const int32_t i = last_not_beyond(text_word_ranges[0], text_word_size, 2, c);
    return i >= 0 && c <= text_word_ranges[i][1];
}

bool bt_text_read_utf8(const char **at, const char *end, uint32_t *c) {
    const unsigned char *byte = (const unsigned char *)*at;
    const bool           ok = text_read_utf8(&byte, (const unsigned char *)end, c);
    *at = (const char *)byte;
    return ok;
}

bt_status bt_text_append_json_ascii(bt_str *out, const char *text, size_t n, bt_error *err) {
    const char *const end = text + n;
    BT_TRY(bt_str_append_char(out, '"', err));
    while (text < end) {
        char     piece[BT_JSON_CHAR_MAX];
        uint32_t c = 0;
        if (!bt_text_read_utf8(&text, end, &c)) {
            c = REPLACEMENT_CHARACTER;
        }
        BT_TRY(bt_str_append_n(out, piece, bt_json_char(piece, c, BT_JSON_ASCII), err));
    }
    return bt_str_append_char(out, '"', err);
}

/* Returns how many bytes were ASCII and are done. */
static size_t lower_ascii(char *to, const char *text, size_t n) {
    size_t i = 0;
    for (; i < n && (unsigned char)text[i] < 0x80; i++) {
        const char c = text[i];
        to[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    return i;
}

size_t text_lower_at(const uint32_t *text, size_t n, size_t i, uint32_t out[2]) {
    if (text[i] == CAPITAL_I_DOT) {
        out[0] = 'i';
        out[1] = DOT_ABOVE;
        return 2;
    }
    out[0] = text[i] == TEXT_SIGMA && text_is_final_sigma(text, n, i) ? TEXT_FINAL_SIGMA
                                                                      : lower_codepoint(text[i]);
    return 1;
}

static size_t lower_codepoints(char *to, const uint32_t *text, size_t n) {
    size_t n_out = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t     lower[2];
        const size_t n_lower = text_lower_at(text, n, i, lower);
        for (size_t k = 0; k < n_lower; k++) {
            n_out += text_write_utf8(to + n_out, lower[k]);
        }
    }
    return n_out;
}

bt_status bt_text_lower(bt_text_scratch *scratch, const char *text, size_t n_bytes,
                        const char **out, size_t *n_out, bt_error *err) {
    bt_text_scratch *const s = scratch;
    size_t                 need = 0;
    if (!bt_size_mul(n_bytes + 4, GROWTH, &need)) {
        return BT_FAIL(err, BT_E_NOMEM, "a text of %zu bytes is too long", n_bytes);
    }
    BT_TRY(bt_grow(&s->bytes, &s->bytes_cap, need, 1, SIZE_MAX / 2, err));
    *out = s->bytes;
    *n_out = lower_ascii(s->bytes, text, n_bytes);
    if (*n_out == n_bytes) {
        return BT_OK;
    }
    /* a sigma looks at its neighbours: the whole text again, as code points */
    BT_TRY(bt_grow(&s->codepoints, &s->codepoints_cap, n_bytes, sizeof *s->codepoints,
                   SIZE_MAX / 64, err));
    const char       *at = text;
    const char *const end = text + n_bytes;
    size_t            n = 0;
    while (at < end) {
        n += bt_text_read_utf8(&at, end, &s->codepoints[n]) ? 1 : 0;
    }
    *n_out = lower_codepoints(s->bytes, s->codepoints, n);
    return BT_OK;
}
