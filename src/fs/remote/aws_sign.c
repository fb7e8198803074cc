/* SPDX-License-Identifier: Apache-2.0
 *
 * AWS Signature Version 4, as "Authenticating Requests (AWS Signature Version 4)" in the manual of
 * S3 describes it: the payload's own SHA-256 is part of what is signed and is sent beside it, and
 * every field that is signed is sent. (libcurl's CURLOPT_AWS_SIGV4 does neither for S3.) The
 * manual's own examples are the unit test. */
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "aws.h"
#include "bt/base/alloc.h"
#include "secrets.h"

enum { DIGEST = 32, MAX_PAIRS = 64, MAX_FIELD = 16384 };

void aws_fields_clear(aws_fields *fields) {
    for (size_t i = 0; i < fields->n; i++) {
        secrets_wipe(fields->lines[i], strlen(fields->lines[i]));
        bt_free(fields->lines[i]);
    }
    *fields = (aws_fields){0};
}

bt_status aws_fields_add(aws_fields *fields, bt_error *err, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0 || n > MAX_FIELD || fields->n == AWS_MAX_FIELDS) {
        return BT_FAIL(err, BT_E_INTERNAL, "a header field too many, or of %d bytes", n);
    }
    char *const line = bt_alloc((size_t)n + 1);
    if (line == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a header field");
    }
    va_start(args, fmt);
    (void)vsnprintf(line, (size_t)n + 1, fmt, args);
    va_end(args);
    fields->lines[fields->n++] = line;
    fields->lines[fields->n] = NULL;
    return BT_OK;
}

static void append_hex(const uint8_t *bytes, size_t n, char *out) {
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
}

bt_status aws_hash_body(const void *bytes, size_t n, char hash[AWS_SHA256_HEX], bt_error *err) {
    uint8_t digest[DIGEST];
    BT_TRY(secrets_digest(BT_FS_SHA256, bytes, n, digest, err));
    append_hex(digest, sizeof digest, hash);
    return BT_OK;
}

typedef struct slice {
    const char *at;
    size_t      n;
} slice;

/* By name, then by value: '=' must not take part in the order of names. */
static int compare_pairs(const void *a, const void *b) {
    const slice *const x = a;
    const slice *const y = b;
    const char *const  x_equals = memchr(x->at, '=', x->n);
    const char *const  y_equals = memchr(y->at, '=', y->n);
    const size_t       x_name = x_equals != NULL ? (size_t)(x_equals - x->at) : x->n;
    const size_t       y_name = y_equals != NULL ? (size_t)(y_equals - y->at) : y->n;
    const int          order = memcmp(x->at, y->at, x_name < y_name ? x_name : y_name);
    if (order != 0 || x_name != y_name) {
        return order != 0 ? order : x_name < y_name ? -1 : 1;
    }
    const int values = memcmp(x->at, y->at, x->n < y->n ? x->n : y->n);
    return values != 0 ? values : (x->n > y->n) - (x->n < y->n);
}

static bt_status append_query(bt_str *out, const char *query, bt_error *err) {
    slice  pairs[MAX_PAIRS];
    size_t n = 0;
    for (const char *at = query; *at != '\0'; at += at[0] == '&' ? 1 : 0) {
        const size_t length = strcspn(at, "&");
        if (n == MAX_PAIRS) {
            return BT_FAIL(err, BT_E_INTERNAL, "a query of too many parts");
        }
        pairs[n++] = (slice){at, length};
        at += length;
    }
    qsort(pairs, n, sizeof *pairs, compare_pairs);
    for (size_t i = 0; i < n; i++) {
        BT_TRY(bt_str_append(out, i > 0 ? "&" : "", err));
        BT_TRY(bt_str_append_n(out, pairs[i].at, pairs[i].n, err));
        BT_TRY(bt_str_append(out, memchr(pairs[i].at, '=', pairs[i].n) == NULL ? "=" : "", err));
    }
    return BT_OK;
}

/* "Name: value" -> "name", and where its value begins. */
static bool lower_name(const char *line, char name[64], const char **value) {
    const size_t n = strcspn(line, ":");
    if (n == 0 || n >= 64 || line[n] != ':') {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        name[i] = (char)tolower((unsigned char)line[i]);
    }
    name[n] = '\0';
    *value = line + n + 1;
    return true;
}

static int compare_lines(const void *a, const void *b) {
    char        x[64] = "";
    char        y[64] = "";
    const char *value = NULL;
    (void)lower_name(*(char *const *)a, x, &value);
    (void)lower_name(*(char *const *)b, y, &value);
    return strcmp(x, y);
}

/* Spaces at the ends go, several of them become one. */
static bt_status append_value(bt_str *out, const char *value, bt_error *err) {
    const char *p = value + strspn(value, " \t");
    while (*p != '\0') {
        const size_t n = strcspn(p, " \t");
        BT_TRY(bt_str_append_n(out, p, n, err));
        p += n;
        p += strspn(p, " \t");
        BT_TRY(bt_str_append(out, *p != '\0' ? " " : "", err));
    }
    return BT_OK;
}

/* Both lists of a request: "name:value\n" each, and "name;name". */
static bt_status append_fields(bt_str *text, bt_str *names, const aws_fields *fields,
                               bt_error *err) {
    char *sorted[AWS_MAX_FIELDS];
    memcpy(sorted, fields->lines, fields->n * sizeof *sorted);
    qsort(sorted, fields->n, sizeof *sorted, compare_lines);
    for (size_t i = 0; i < fields->n; i++) {
        char        name[64];
        const char *value = NULL;
        if (!lower_name(sorted[i], name, &value)) {
            return BT_FAIL(err, BT_E_INTERNAL, "a header field without a name");
        }
        BT_TRY(bt_str_appendf(text, err, "%s:", name));
        BT_TRY(append_value(text, value, err));
        BT_TRY(bt_str_append_char(text, '\n', err));
        BT_TRY(bt_str_appendf(names, err, "%s%s", i > 0 ? ";" : "", name));
    }
    return BT_OK;
}

static bt_status append_request(bt_str *out, bt_str *names, const aws_request *request,
                                const http_url *url, const aws_fields *fields, bt_error *err) {
    bt_status         rc = BT_OK;
    bt_str            text = BT_STR_INIT;
    const char *const path = request->url + url->path_at;
    const size_t      n_path = strcspn(path, "?#");
    BT_CHECK(append_fields(&text, names, fields, err));
    BT_CHECK(bt_str_appendf(out, err, "%s\n%s", request->method, n_path == 0 ? "/" : ""));
    BT_CHECK(bt_str_append_n(out, path, n_path, err));
    BT_CHECK(bt_str_append_char(out, '\n', err));
    BT_CHECK(append_query(out, path[n_path] == '?' ? path + n_path + 1 : "", err));
    BT_CHECK(bt_str_appendf(out, err, "\n%s\n%s\n%s", text.data, names->data, request->hash));
done:
    if (text.data != NULL) {
        secrets_wipe(text.data, text.len);
    }
    bt_str_deinit(&text);
    return rc;
}

static bt_status make_key(const aws_request *request, const char *secret, const char *day,
                          uint8_t key[DIGEST], bt_error *err) {
    const char *const parts[] = {day, request->region, request->service, "aws4_request"};
    bt_str            first = BT_STR_INIT;
    bt_status         rc = bt_str_appendf(&first, err, "AWS4%s", secret);
    const void       *from = first.data;
    size_t            n_from = first.len;
    for (size_t i = 0; rc == BT_OK && i < BT_ARRAY_LEN(parts); i++) {
        rc = secrets_hmac_sha256(from, n_from, parts[i], strlen(parts[i]), key, err);
        from = key;
        n_from = DIGEST;
    }
    if (first.data != NULL) {
        secrets_wipe(first.data, first.len);
    }
    bt_str_deinit(&first);
    return rc;
}

static bt_status sign_text(const aws_request *request, const aws_credentials *credentials,
                           const char *text, const char *names, const char *stamp,
                           aws_fields *fields, bt_error *err) {
    uint8_t   key[DIGEST];
    uint8_t   digest[DIGEST];
    char      hex[AWS_SHA256_HEX];
    char      day[9];
    bt_str    scope = BT_STR_INIT;
    bt_str    to_sign = BT_STR_INIT;
    bt_status rc = BT_OK;
    (void)snprintf(day, sizeof day, "%.8s", stamp);
    BT_CHECK(aws_hash_body(text, strlen(text), hex, err));
    BT_CHECK(bt_str_appendf(&scope, err, "%s/%s/%s/aws4_request", day, request->region,
                            request->service));
    BT_CHECK(bt_str_appendf(&to_sign, err, "AWS4-HMAC-SHA256\n%s\n%s\n%s", stamp, scope.data, hex));
    BT_CHECK(make_key(request, credentials->secret, day, key, err));
    BT_CHECK(secrets_hmac_sha256(key, sizeof key, to_sign.data, to_sign.len, digest, err));
    append_hex(digest, sizeof digest, hex);
    BT_CHECK(aws_fields_add(fields, err,
                            "Authorization: AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, "
                            "Signature=%s",
                            credentials->id, scope.data, names, hex));
done:
    secrets_wipe(key, sizeof key);
    bt_str_deinit(&scope);
    bt_str_deinit(&to_sign);
    return rc;
}

static bt_status add_fields(const aws_request *request, const aws_credentials *credentials,
                            const http_url *url, const char *stamp, aws_fields *fields,
                            bt_error *err) {
    const bool usual_port = url->port == (strcmp(url->scheme, "https") == 0 ? 443 : 80);
    char       port[16] = "";
    if (!usual_port) {
        (void)snprintf(port, sizeof port, ":%" PRId32, url->port);
    }
    BT_TRY(aws_fields_add(fields, err, "Host: %s%s", url->host, port));
    BT_TRY(aws_fields_add(fields, err, "X-Amz-Date: %s", stamp));
    BT_TRY(aws_fields_add(fields, err, "X-Amz-Content-Sha256: %s", request->hash));
    return credentials->token[0] == '\0'
               ? BT_OK
               : aws_fields_add(fields, err, "X-Amz-Security-Token: %s", credentials->token);
}

bt_status aws_sign(const aws_request *request, const aws_credentials *credentials,
                   aws_fields *fields, bt_error *err) {
    bt_status    rc = BT_OK;
    bt_str       text = BT_STR_INIT;
    bt_str       names = BT_STR_INIT;
    char         stamp[20] = "";
    struct tm    t;
    http_url     url;
    bool         is_url = false;
    const time_t seconds = (time_t)request->now;
    BT_TRY(http_read_url(request->url, &is_url, &url, err));
    if (!is_url || gmtime_r(&seconds, &t) == NULL ||
        strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &t) != 16) {
        return BT_FAIL(err, BT_E_INTERNAL, "a request that cannot be signed");
    }
    BT_CHECK(add_fields(request, credentials, &url, stamp, fields, err));
    BT_CHECK(append_request(&text, &names, request, &url, fields, err));
    BT_CHECK(sign_text(request, credentials, text.data, names.data, stamp, fields, err));
done:
    if (text.data != NULL) {
        secrets_wipe(text.data, text.len);
    }
    bt_str_deinit(&text);
    bt_str_deinit(&names);
    return rc;
}
