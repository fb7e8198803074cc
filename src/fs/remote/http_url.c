/* SPDX-License-Identifier: Apache-2.0
 *
 * URLs and the encodings that they and their headers need. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"

/* ---- taking apart -----------------------------------------------------------------------------
 */

static bool parse_port(const char *text, size_t n, int32_t *port) {
    char    digits[8];
    int64_t value = 0;
    if (n == 0 || n >= sizeof digits) {
        return false;
    }
    memcpy(digits, text, n);
    digits[n] = '\0';
    if (strspn(digits, "0123456789") != n || !bt_parse_i64(digits, &value) || value < 1 ||
        value > 65535) {
        return false;
    }
    *port = (int32_t)value;
    return true;
}

/* "host", "host:80", "[::1]:80" */
static bool parse_authority(const char *text, size_t n, http_url *out) {
    size_t n_host = n;
    if (n > 0 && text[0] == '[') {
        const char *const close = memchr(text, ']', n);
        if (close == NULL) {
            return false;
        }
        n_host = (size_t)(close - text) + 1;
    } else {
        const char *const colon = memchr(text, ':', n);
        n_host = colon != NULL ? (size_t)(colon - text) : n;
    }
    if (n_host == 0 || n_host >= sizeof out->host) {
        return false;
    }
    if (n_host < n &&
        (text[n_host] != ':' || !parse_port(text + n_host + 1, n - n_host - 1, &out->port))) {
        return false;
    }
    for (size_t i = 0; i < n_host; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (!isalnum(c) && strchr(".-_[]:", c) == NULL) {
            return false;
        }
        out->host[i] = (char)tolower(c);
    }
    out->host[n_host] = '\0';
    return true;
}

bool http_parse_url(const char *text, http_url *out) {
    static const struct {
        const char *start;
        const char *scheme;
        int32_t     port;
    } schemes[] = {{"https://", "https", 443}, {"http://", "http", 80}};
    *out = (http_url){0};
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p <= ' ' || *p == 0x7f) {
            return false;
        }
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(schemes); i++) {
        const size_t n = strlen(schemes[i].start);
        if (strncmp(text, schemes[i].start, n) == 0) {
            const size_t n_authority = strcspn(text + n, "/?#");
            memcpy(out->scheme, schemes[i].scheme, strlen(schemes[i].scheme) + 1);
            out->port = schemes[i].port;
            out->path_at = n + n_authority;
            return parse_authority(text + n, n_authority, out);
        }
    }
    return false;
}

bool http_same_origin(const http_url *a, const http_url *b) {
    return strcmp(a->scheme, b->scheme) == 0 && strcmp(a->host, b->host) == 0 && a->port == b->port;
}

bool http_is_loopback(const http_url *url) {
    return strcmp(url->host, "localhost") == 0 || strcmp(url->host, "[::1]") == 0 ||
           (strncmp(url->host, "127.", 4) == 0 &&
            strspn(url->host, "0123456789.") == strlen(url->host));
}

bt_status http_resolve(const char *base, const char *location, char **out, bt_error *err) {
    http_url  at;
    bt_str    url = BT_STR_INIT;
    bt_status rc = BT_OK;
    if (!http_parse_url(base, &at)) {
        return BT_FAIL(err, BT_E_FORMAT, "a redirect from something that is no URL");
    }
    if (strstr(location, "://") != NULL && isalpha((unsigned char)location[0])) {
        BT_CHECK(bt_str_append(&url, location, err));
    } else if (strncmp(location, "//", 2) == 0) {
        BT_CHECK(bt_str_appendf(&url, err, "%s:%s", at.scheme, location));
    } else if (location[0] == '/') {
        BT_CHECK(bt_str_append_n(&url, base, at.path_at, err));
        BT_CHECK(bt_str_append(&url, location, err));
    } else { /* beside the last part of the path */
        size_t end = strcspn(base, "?#");
        while (end > at.path_at && base[end - 1] != '/') {
            end--;
        }
        BT_CHECK(bt_str_append_n(&url, base, end, err));
        BT_CHECK(bt_str_appendf(&url, err, "%s%s", end == at.path_at ? "/" : "", location));
    }
    *out = bt_str_take(&url);
done:
    bt_str_deinit(&url);
    return rc;
}

/* ---- encodings --------------------------------------------------------------------------------
 */

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

bt_status http_append_shown(bt_str *out, const char *url, bt_error *err) {
    const size_t n = strcspn(url, "?#");
    BT_TRY(bt_str_append_n(out, url, n, err));
    return url[n] == '\0' ? BT_OK : bt_str_append(out, "?...", err);
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

/* ---- settings ---------------------------------------------------------------------------------
 */

double http_env_seconds(const char *name, double fallback) {
    const char *const text = getenv(name);
    double            value = 0;
    return text != NULL && bt_parse_f64(text, &value) && value >= 0 && value < 1e6 ? value
                                                                                   : fallback;
}
