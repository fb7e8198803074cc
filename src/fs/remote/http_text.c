/* SPDX-License-Identifier: Apache-2.0
 *
 * The encodings that URLs and header fields need, and what of a URL may be shown. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/number.h"
#include "http.h"

bt_status http_append_encoded(bt_str *out, const char *text, const char *keep, bt_error *err) {
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;
        if (isalnum(c) || strchr("-._~", c) != NULL || strchr(keep, c) != NULL) {
            BT_TRY(bt_str_append_char(out, (char)c, err));
        } else {
            BT_TRY(bt_str_appendf(out, err, "%%%02X", c));
        }
    }
    return BT_OK;
}

/* How much of the text is "scheme://", and how much after it may be names before a host. For
 * messages only: where a request goes is decided in http_url.c. */
static size_t find_authority(const char *url, size_t *n) {
    const char *const start = strstr(url, "://");
    const size_t      at = start != NULL ? (size_t)(start - url) + 3 : 0;
    *n = start != NULL ? strcspn(url + at, "/?#") : 0;
    return at;
}

bool http_has_user(const char *url) {
    size_t       n = 0;
    const size_t at = find_authority(url, &n);
    return memchr(url + at, '@', n) != NULL;
}

bt_status http_append_shown(bt_str *out, const char *url, bt_error *err) {
    size_t       n = 0;
    const size_t at = find_authority(url, &n);
    size_t       i = 0;
    const size_t end = strcspn(url, "?#");
    if (http_has_user(url)) {
        BT_TRY(bt_str_append_n(out, url, at, err));
        BT_TRY(bt_str_append(out, "...@", err));
        for (i = at + n; url[i - 1] != '@'; i--) {
        }
    }
    for (; i < end; i++) {
        const unsigned char c = (unsigned char)url[i];
        BT_TRY(bt_str_append_char(out, c < ' ' || c == 0x7f ? '?' : (char)c, err));
    }
    return url[end] == '\0' ? BT_OK : bt_str_append(out, "?...", err);
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bt_status http_append_base64(bt_str *out, const void *bytes, size_t n, bool url_safe,
                             bt_error *err) {
    const uint8_t *const p = bytes;
    for (size_t i = 0; i < n; i += 3) {
        const size_t   left = n - i < 3 ? n - i : 3;
        const uint32_t word = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
                              (left > 2 ? (uint32_t)p[i + 2] : 0);
        for (size_t k = 0; k < 4; k++) {
            char c = '=';
            if (k <= left) {
                c = base64_digits[word >> (18 - 6 * k) & 63];
                c = url_safe && c == '+' ? '-' : url_safe && c == '/' ? '_' : c;
            } else if (url_safe) {
                break; /* JWT leaves padding out */
            }
            BT_TRY(bt_str_append_char(out, c, err));
        }
    }
    return BT_OK;
}

bool http_decode_base64(const char *text, size_t n_text, uint8_t *bytes, size_t n) {
    if (n_text != (n + 2) / 3 * 4) {
        return false;
    }
    size_t   made = 0;
    uint32_t word = 0;
    for (size_t i = 0; i < n_text; i++) {
        const bool        is_pad = text[i] == '=' && i + 2 >= n_text;
        const char *const digit =
            is_pad || text[i] == '\0' ? base64_digits : strchr(base64_digits, text[i]);
        if (digit == NULL || text[i] == '\0') {
            return false;
        }
        word = word << 6 | (uint32_t)(digit - base64_digits);
        if (i % 4 == 3) {
            for (int shift = 16; shift >= 0 && made < n; shift -= 8) {
                bytes[made++] = (uint8_t)(word >> shift);
            }
            word = 0;
        }
    }
    return made == n;
}

double http_env_seconds(const char *name, double fallback) {
    const char *const text = getenv(name);
    double            value = 0;
    return text != NULL && bt_parse_f64(text, &value) && value >= 0 && value < 1e6 ? value
                                                                                   : fallback;
}
