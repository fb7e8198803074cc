/* SPDX-License-Identifier: Apache-2.0
 *
 * URLs, parsed by libcurl alone. What is asked here (which host is this, may a token go there,
 * is it https) and where libcurl connects are answers of one parser: http_try gives it the same
 * parsed URL. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "http.h"

bool http_same_origin(const http_url *a, const http_url *b) {
    return strcmp(a->scheme, b->scheme) == 0 && strcmp(a->host, b->host) == 0 && a->port == b->port;
}

bool http_is_loopback(const http_url *url) {
    struct in_addr address;
    return strcmp(url->host, "localhost") == 0 || strcmp(url->host, "[::1]") == 0 ||
           (strncmp(url->host, "127.", 4) == 0 && inet_pton(AF_INET, url->host, &address) == 1);
}

bt_status http_read_url(const char *text, bool *is_url, http_url *out, bt_error *err) {
    *is_url = http_parse_url(text, out);
    return out->no_memory ? BT_FAIL(err, BT_E_NOMEM, "out of memory for a URL") : BT_OK;
}

bt_status http_read_urls(const char *base, const char *next, bool *are_urls, http_url *from,
                         http_url *to, bt_error *err) {
    bool is_next = false;
    BT_TRY(http_read_url(base, are_urls, from, err));
    BT_TRY(http_read_url(next, &is_next, to, err));
    *are_urls = *are_urls && is_next;
    return BT_OK;
}

#ifdef BT_HAVE_CURL

#include <curl/curl.h>

/* Only what a request may be made to; nothing before the host ("user@"). The path stays as it is
 * written. */
static CURLUcode parse(CURLU *parts, const char *text) {
    const char *const slashes = strstr(text, "://");
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p <= ' ' || *p == 0x7f) {
            return CURLUE_MALFORMED_INPUT;
        }
    }
    if (slashes == NULL || slashes[3] == '/') {
        return CURLUE_MALFORMED_INPUT; /* libcurl would take "https:/host" and "https:///host" */
    }
    return curl_url_set(parts, CURLUPART_URL, text, CURLU_PATH_AS_IS | CURLU_DISALLOW_USER);
}

/* Copies a part in lower case. false: it is not there, longer than n - 1, or not ASCII: what a name
 * of other letters is asked for as depends on the locale. */
static bool copy_part(CURLU *parts, CURLUPart which, unsigned int flags, char *out, size_t n,
                      bool *no_memory) {
    char           *text = NULL;
    const CURLUcode code = curl_url_get(parts, which, &text, flags);
    bool            ok = code == CURLUE_OK && text[0] != '\0' && strlen(text) < n;
    *no_memory = *no_memory || code == CURLUE_OUT_OF_MEMORY;
    for (size_t i = 0; ok && i <= strlen(text); i++) {
        ok = (unsigned char)text[i] < 0x80;
        out[i] = (char)tolower((unsigned char)text[i]);
    }
    curl_free(text);
    return ok;
}

/* true also where nobody can say: without memory. */
static bool may_have_zone(CURLU *parts, bool *no_memory) {
    char           *zone = NULL;
    const CURLUcode code = curl_url_get(parts, CURLUPART_ZONEID, &zone, 0);
    *no_memory = *no_memory || code == CURLUE_OUT_OF_MEMORY;
    curl_free(zone);
    return code == CURLUE_OK || code == CURLUE_OUT_OF_MEMORY;
}

static bool take_apart(CURLU *parts, http_url *out) {
    char        port[8];
    int64_t     number = 0;
    bool *const no_memory = &out->no_memory;
    if (!copy_part(parts, CURLUPART_SCHEME, 0, out->scheme, sizeof out->scheme, no_memory) ||
        !copy_part(parts, CURLUPART_HOST, 0, out->host, sizeof out->host, no_memory) ||
        !copy_part(parts, CURLUPART_PORT, CURLU_DEFAULT_PORT, port, sizeof port, no_memory)) {
        return false;
    }
    if (strcmp(out->scheme, "https") != 0 && strcmp(out->scheme, "http") != 0) {
        return false;
    }
    if (!bt_parse_i64(port, &number) || number < 1 || number > 65535 ||
        may_have_zone(parts, no_memory)) {
        return false;
    }
    out->port = (int32_t)number;
    return true;
}

struct Curl_URL *http_open_url(const char *text, http_url *out) {
    CURLU *const parts = curl_url();
    *out = (http_url){.no_memory = parts == NULL};
    if (parts == NULL) {
        return NULL;
    }
    const CURLUcode code = parse(parts, text);
    out->no_memory = code == CURLUE_OUT_OF_MEMORY;
    if (code != CURLUE_OK || !take_apart(parts, out)) {
        curl_url_cleanup(parts);
        return NULL;
    }
    const char *const start = strstr(text, "://") + 3; /* parse() saw it */
    out->path_at = (size_t)(start - text) + strcspn(start, "/?#");
    return parts;
}

bool http_parse_url(const char *text, http_url *out) {
    CURLU *const parts = http_open_url(text, out);
    curl_url_cleanup(parts);
    return parts != NULL;
}

bt_status http_check_private(const char *what, const char *url, bt_error *err) {
    http_url parsed;
    bt_str   shown = BT_STR_INIT;
    bool     ok = false;
    BT_TRY(http_read_url(url, &ok, &parsed, err));
    if (ok && (strcmp(parsed.scheme, "https") == 0 || http_is_loopback(&parsed))) {
        return BT_OK;
    }
    bt_status rc = http_append_shown(&shown, url, err);
    if (rc == BT_OK) {
        rc = BT_FAIL(err, BT_E_CONFIG,
                     "%s: '%.200s' is not a URL that can be used: expected https://, or http:// to "
                     "this machine itself, no user name, and the host's name in ASCII (xn--...)",
                     what, bt_str_text(&shown));
    }
    bt_str_deinit(&shown);
    return rc;
}

bt_status http_resolve(const char *base, const char *location, char **out, bt_error *err) {
    bt_status    rc = BT_OK;
    bt_str       shown = BT_STR_INIT;
    char        *text = NULL;
    CURLU *const parts = curl_url();
    CURLUcode    code = parts != NULL ? parse(parts, base) : CURLUE_OUT_OF_MEMORY;
    if (code == CURLUE_OK) { /* as libcurl follows one */
        code = curl_url_set(parts, CURLUPART_URL, location, CURLU_URLENCODE | CURLU_DISALLOW_USER);
    }
    if (code == CURLUE_OK) {
        code = curl_url_get(parts, CURLUPART_URL, &text, 0);
    }
    if (code == CURLUE_OK) {
        *out = bt_strdup(text);
        code = *out != NULL ? CURLUE_OK : CURLUE_OUT_OF_MEMORY;
    }
    if (code == CURLUE_OUT_OF_MEMORY) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for a URL");
    } else if (code != CURLUE_OK) {
        BT_CHECK(http_append_shown(&shown, location, err));
        rc = BT_FAIL(err, BT_E_RESOURCE, "it redirects to '%.200s', which is not a URL (%s)",
                     bt_str_text(&shown), curl_url_strerror(code));
    }
done:
    bt_str_deinit(&shown);
    curl_free(text);
    curl_url_cleanup(parts);
    return rc;
}

#else

bool http_parse_url(const char *text, http_url *out) {
    (void)text;
    *out = (http_url){0};
    return false;
}

bt_status http_resolve(const char *base, const char *location, char **out, bt_error *err) {
    (void)base, (void)location, (void)out;
    return BT_FAIL(err, BT_E_UNSUPPORTED, "this build has no libcurl and follows no redirects");
}

#endif
