/* SPDX-License-Identifier: Apache-2.0
 *
 * How wide text is on a terminal, and how wide a terminal is. libc's wcwidth() depends on the
 * locale, which no program here sets. */
#include "bt/base/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "bt/base/number.h"

size_t bt_utf8_length(const char *text, size_t n_bytes, uint32_t *c) {
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    const unsigned char   first = (unsigned char)text[0];
    const size_t          more = first < 0x80                    ? 0
                                 : first >= 0xC2 && first < 0xE0 ? 1
                                 : first >= 0xE0 && first < 0xF0 ? 2
                                 : first >= 0xF0 && first < 0xF5 ? 3
                                                                 : n_bytes;
    if (more >= n_bytes) {
        return 0;
    }
    uint32_t value = more == 0 ? first : first & (0x3FU >> more);
    for (size_t i = 1; i <= more; i++) {
        const unsigned char next = (unsigned char)text[i];
        if ((next & 0xC0) != 0x80) {
            return 0;
        }
        value = value << 6 | (next & 0x3FU);
    }
    if (value < least[more] || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) {
        return 0;
    }
    *c = value;
    return more + 1;
}

typedef struct range {
    uint32_t first, last;
} range;

/* East_Asian_Width W and F in blocks. */
static const range wide[] = {
    {0x1100, 0x115F},   {0x231A, 0x231B},   {0x2E80, 0x303E},   {0x3041, 0x33FF},
    {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xA000, 0xA4CF},   {0xA960, 0xA97F},
    {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},
    {0xFFE0, 0xFFE6},   {0x16FE0, 0x18DFF}, {0x1AFF0, 0x1B2FF}, {0x1F300, 0x1F64F},
    {0x1F680, 0x1F6FF}, {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD},
};

/* Combining marks, joiners and selectors in blocks. */
static const range narrow[] = {
    {0x0300, 0x036F}, {0x0483, 0x0489}, {0x0591, 0x05BD}, {0x064B, 0x065F},   {0x200B, 0x200F},
    {0x202A, 0x202E}, {0x2060, 0x2064}, {0x20D0, 0x20F0}, {0xFE00, 0xFE0F},   {0xFE20, 0xFE2F},
    {0xFEFF, 0xFEFF}, {0x0900, 0x0902}, {0x0E31, 0x0E31}, {0x0E34, 0x0E3A},   {0x0E47, 0x0E4E},
    {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF}, {0x3099, 0x309A}, {0xE0100, 0xE01EF},
};

static bool is_in(const range *ranges, size_t n, uint32_t c) {
    for (size_t i = 0; i < n; i++) {
        if (c >= ranges[i].first && c <= ranges[i].last) {
            return true;
        }
    }
    return false;
}

static size_t columns_of(uint32_t c) {
    if (is_in(narrow, BT_ARRAY_LEN(narrow), c)) {
        return 0;
    }
    return is_in(wide, BT_ARRAY_LEN(wide), c) ? 2 : 1;
}

/* The first n_bytes of text in at most n_columns: how many bytes, and *used columns. */
static size_t take(const char *text, size_t n_bytes, size_t n_columns, size_t *used) {
    size_t at = 0;
    *used = 0;
    while (at < n_bytes) {
        uint32_t     c = '?';
        const size_t length = bt_utf8_length(text + at, n_bytes - at, &c);
        const size_t width = columns_of(c);
        if (*used + width > n_columns) {
            break;
        }
        *used += width;
        at += length > 0 ? length : 1;
    }
    return at;
}

size_t bt_text_columns(const char *text) {
    size_t used = 0;
    (void)take(text, strlen(text), SIZE_MAX / 2, &used);
    return used;
}

size_t bt_text_fit(const char *text, size_t n_columns) {
    const size_t n = strlen(text);
    size_t       used = 0;
    const size_t fits = take(text, n, n_columns, &used);
    size_t       best = 0;
    for (const char *bar = strstr(text, " | "); bar != NULL && (size_t)(bar - text) <= fits;
         bar = strstr(bar + 3, " | ")) {
        best = (size_t)(bar - text);
    }
    return fits == n || best == 0 ? fits : best;
}

size_t bt_terminal_columns(int fd) {
    struct winsize size = {0};
    int64_t        said = 0;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        return size.ws_col;
    }
    const char *const words = getenv("COLUMNS");
    return words != NULL && bt_parse_i64(words, &said) && said > 0 && said < 10000 ? (size_t)said
                                                                                   : 80;
}
