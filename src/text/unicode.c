/* SPDX-License-Identifier: Apache-2.0
 *
 * Look-ups in the generated tables, and strict UTF-8 (Unicode 14.0, table 3-7). */
#include "unicode.h"

#include <string.h>

#include "bt/text.h"

enum {
    HANGUL_FIRST = 0xAC00,
    HANGUL_LAST = 0xD7A3,
    HANGUL_L = 0x1100,
    HANGUL_V = 0x1161,
    HANGUL_T = 0x11A7,
    HANGUL_N_V = 21,
    HANGUL_N_T = 28,
    START_STRIDE = 16, /* rows of the map between two entries of text_map_start */
};

/* Unicode 14.0, section 3.12: a syllable is two or three letters by arithmetic. */
size_t text_map_hangul(uint32_t c, uint32_t out[TEXT_MAP_MAX]) {
    if (c < HANGUL_FIRST || c > HANGUL_LAST) {
        return 0;
    }
    const uint32_t index = c - HANGUL_FIRST;
    const uint32_t tail = index % HANGUL_N_T;
    out[0] = HANGUL_L + index / (HANGUL_N_V * HANGUL_N_T);
    out[1] = HANGUL_V + index / HANGUL_N_T % HANGUL_N_V;
    out[2] = HANGUL_T + tail;
    return tail == 0 ? 2 : 3;
}

int32_t text_find(const uint32_t *from, int32_t n, uint32_t c) {
    int32_t low = 0;
    int32_t high = n - 1;
    while (low < high) {
        const int32_t middle = low + (high - low) / 2;
        if (from[middle] < c) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    BT_ASSERT(from[low] == c);
    return low;
}

size_t text_map(uint32_t c, uint32_t out[TEXT_MAP_MAX]) {
    size_t n = text_map_hangul(c, out);
    if (n > 0) {
        return n;
    }
    const int32_t low = text_find(text_map_from, text_map_size, c);
    size_t        start = text_map_start[low / START_STRIDE];
    for (int32_t i = low / START_STRIDE * START_STRIDE; i < low; i++) {
        start += text_map_length[i];
    }
    n = text_map_length[low];
    for (size_t i = 0; i < n; i++) {
        out[i] = text_map_to[start + i];
    }
    return n;
}

unsigned text_combining_class(uint32_t c) {
    for (int32_t i = 0; i < text_combining_size; i++) {
        if (text_combining[i].codepoint == c) {
            return text_combining[i].combining_class;
        }
    }
    return 0;
}

bool text_is_final_sigma(const uint32_t *word, size_t n, size_t i) {
    size_t before = i;
    while (before > 0 && (text_class(word[before - 1]) & TEXT_IS_IGNORABLE) != 0) {
        before--;
    }
    if (before == 0 || (text_class(word[before - 1]) & TEXT_IS_CASED) == 0) {
        return false;
    }
    size_t after = i + 1;
    while (after < n && (text_class(word[after]) & TEXT_IS_IGNORABLE) != 0) {
        after++;
    }
    return after == n || (text_class(word[after]) & TEXT_IS_CASED) == 0;
}

bool text_is_python_space(uint32_t c) {
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
}

/* Bytes of a sequence that begins so (0: none does), and the allowed range of its second byte. */
static size_t sequence_length(unsigned first, unsigned *low, unsigned *high) {
    *low = 0x80;
    *high = 0xBF;
    if (first >= 0xC2 && first <= 0xDF) {
        return 2;
    }
    if (first >= 0xE0 && first <= 0xEF) {
        *low = first == 0xE0 ? 0xA0 : *low;
        *high = first == 0xED ? 0x9F : *high; /* no surrogates */
        return 3;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        *low = first == 0xF0 ? 0x90 : *low;
        *high = first == 0xF4 ? 0x8F : *high; /* not beyond U+10FFFF */
        return 4;
    }
    return 0;
}

bool text_read_utf8(const unsigned char **at, const unsigned char *end, uint32_t *c) {
    const unsigned char *const s = *at;
    const unsigned             first = s[0];
    const size_t               left = (size_t)(end - s);
    unsigned                   low = 0;
    unsigned                   high = 0;
    *at = s + 1;
    if (first < 0x80) {
        *c = first;
        return true;
    }
    const size_t n = sequence_length(first, &low, &high);
    if (n == 0 || left < n || s[1] < low || s[1] > high) {
        return false;
    }
    uint32_t value = first & (0x7Fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xC0) != 0x80) {
            return false;
        }
        value = value << 6 | (s[i] & 0x3Fu);
    }
    *c = value;
    *at = s + n;
    return true;
}

void text_skip_invalid(const unsigned char **at, const unsigned char *end) {
    unsigned             low = 0;
    unsigned             high = 0;
    const size_t         n = sequence_length(**at, &low, &high);
    const unsigned char *s = *at + 1;
    for (size_t i = 1; i < n && s < end && *s >= low && *s <= high; i++) {
        s++;
        low = 0x80; /* of the bytes after the second */
        high = 0xBF;
    }
    *at = s;
}

size_t text_write_utf8(char out[4], uint32_t c) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    const size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (c & 0x3F));
        c >>= 6;
    }
    out[0] = (char)((0xF00u >> n & 0xFFu) | c);
    return n;
}

/* Eight bytes at a time; what is left is for the caller. */
static const unsigned char *skip_ascii(const unsigned char *at, const unsigned char *end) {
    uint64_t word = 0;
    while ((size_t)(end - at) >= sizeof word) {
        memcpy(&word, at, sizeof word);
        if ((word & UINT64_C(0x8080808080808080)) != 0) {
            break;
        }
        at += sizeof word;
    }
    return at;
}

size_t bt_text_utf8_valid_prefix(const char *text, size_t n) {
    const unsigned char       *at = (const unsigned char *)text;
    const unsigned char *const begin = at;
    const unsigned char *const end = at + n;
    while (at < end) {
        const unsigned char *const start = skip_ascii(at, end);
        uint32_t                   c = 0;
        at = start;
        if (at < end && !text_read_utf8(&at, end, &c)) {
            return (size_t)(start - begin);
        }
    }
    return n;
}
