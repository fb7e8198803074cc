/* SPDX-License-Identifier: Apache-2.0
 *
 * Strings as JSON writes them: the one place that escapes. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/json_text.h"
#include "bt/base/str.h"

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
