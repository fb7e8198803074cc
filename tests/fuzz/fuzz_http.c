/* SPDX-License-Identifier: Apache-2.0
 *
 * What a server says before the body: header fields line by line, and the values that are read:
 * ranges, hashes, redirects. What parses must be consistent. */
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "fuzz_targets.h"
#include "http.h"

static void check_values(const http_headers *headers) {
    uint8_t digest[16];
    int64_t begin = 0;
    int64_t last = 0;
    int64_t total = 0;
    for (size_t i = 0; i < headers->n; i++) {
        const char *const value = headers->fields[i].value;
        if (http_parse_content_range(value, &begin, &last, &total) &&
            (begin < 0 || last < begin || (total >= 0 && total <= last))) {
            abort();
        }
    }
    (void)http_parse_goog_hash(headers, "crc32c", digest, 4);
    (void)http_parse_goog_hash(headers, "md5", digest, 16);
}

static void check_redirect(const char *location) {
    char    *url = NULL;
    http_url parsed;
    bt_str   shown = BT_STR_INIT;
    if (http_resolve("https://host/a/b?q", location, &url, NULL) == BT_OK) {
        if (http_parse_url(url, &parsed) &&
            (parsed.host[0] == '\0' || parsed.port < 1 || strpbrk(parsed.host, "@/\\ ") != NULL)) {
            abort();
        }
        (void)(http_append_shown(&shown, url, NULL) == BT_OK);
    }
    bt_str_deinit(&shown);
    bt_free(url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    http_headers headers = {0};
    const char  *at = (const char *)data;
    size_t       left = size;
    while (left > 0) { /* as libcurl would have parted names and values */
        const char *const lf = memchr(at, '\n', left);
        const size_t      n = lf != NULL ? (size_t)(lf - at) + 1 : left;
        char *const       line = bt_strndup(at, n);
        char *const       colon = line != NULL ? strchr(line, ':') : NULL;
        bt_status         rc = BT_OK;
        if (colon != NULL) {
            *colon = '\0';
            colon[1 + strcspn(colon + 1, "\r\n")] = '\0';
            rc = http_headers_add(&headers, line, colon + 1 + strspn(colon + 1, " "), NULL);
        }
        bt_free(line);
        if (rc != BT_OK) {
            break;
        }
        at += n;
        left -= n;
    }
    check_values(&headers);
    if (http_header(&headers, "location") != NULL) {
        check_redirect(http_header(&headers, "location"));
    }
    http_headers_deinit(&headers);
    return 0;
}
