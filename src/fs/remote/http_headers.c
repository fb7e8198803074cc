/* SPDX-License-Identifier: Apache-2.0
 *
 * Header fields of a server that may say anything, as libcurl parsed them: bounded in number and
 * size, names in lower case. And the values that it has no words for. */
#include <ctype.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "http.h"

static void clear_fields(http_headers *headers) {
    for (size_t i = 0; i < headers->n; i++) {
        bt_free(headers->fields[i].name);
        bt_free(headers->fields[i].value);
    }
    headers->n = 0;
    headers->n_bytes = 0;
}

void http_headers_deinit(http_headers *headers) {
    clear_fields(headers);
    bt_free(headers->fields);
    *headers = (http_headers){0};
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bt_status http_headers_add(http_headers *headers, const char *name, const char *value,
                           bt_error *err) {
    const size_t n = strlen(name) + strlen(value);
    headers->n_bytes += n;
    if (headers->n >= HTTP_MAX_FIELDS || n > HTTP_MAX_FIELD_BYTES ||
        headers->n_bytes > HTTP_MAX_HEADER_BYTES) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "the server's answer has more or longer header fields "
                       "than any honest one");
    }
    BT_TRY(bt_grow(&headers->fields, &headers->cap, headers->n + 1, sizeof *headers->fields,
                   HTTP_MAX_FIELDS, err));
    http_field field = {.name = bt_strdup(name), .value = bt_strdup(value)};
    if (field.name == NULL || field.value == NULL) {
        bt_free(field.name);
        bt_free(field.value);
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a header field");
    }
    for (char *p = field.name; *p != '\0'; p++) {
        *p = (char)tolower((unsigned char)*p);
    }
    headers->fields[headers->n++] = field;
    return BT_OK;
}

const char *http_header(const http_headers *headers, const char *name) {
    for (size_t i = 0; i < headers->n; i++) {
        if (strcmp(headers->fields[i].name, name) == 0) {
            return headers->fields[i].value;
        }
    }
    return NULL;
}

/* A decimal number that ends at stop; moves *text after stop. */
static bool take_number(const char **text, char stop, int64_t *out) {
    char              digits[24];
    const char *const end = strchr(*text, stop);
    const size_t      n = end != NULL ? (size_t)(end - *text) : sizeof digits;
    if (n == 0 || n >= sizeof digits || strspn(*text, "0123456789") < n) {
        return false;
    }
    memcpy(digits, *text, n);
    digits[n] = '\0';
    *text = end + (stop != '\0' ? 1 : 0);
    return bt_parse_i64(digits, out);
}

bool http_parse_content_range(const char *text, int64_t *begin, int64_t *last, int64_t *total) {
    if (strncmp(text, "bytes ", 6) != 0) {
        return false;
    }
    text += 6;
    if (!take_number(&text, '-', begin) || !take_number(&text, '/', last) || *last < *begin) {
        return false;
    }
    if (strcmp(text, "*") == 0) {
        *total = -1;
        return true;
    }
    return take_number(&text, '\0', total) && *total > *last;
}

/* "name=value" somewhere in a list with commas. */
static bool find_in_list(const char *list, const char *name, const char **value, size_t *n) {
    const size_t n_name = strlen(name);
    while (*list != '\0') {
        list += strspn(list, ", \t");
        const size_t length = strcspn(list, ",");
        if (length > n_name && strncmp(list, name, n_name) == 0 && list[n_name] == '=') {
            *value = list + n_name + 1;
            *n = length - n_name - 1;
            while (*n > 0 && is_space((*value)[*n - 1])) {
                (*n)--;
            }
            return true;
        }
        list += length;
    }
    return false;
}

bool http_parse_goog_hash(const http_headers *headers, const char *which, uint8_t *digest,
                          size_t n_bytes) {
    for (size_t i = 0; i < headers->n; i++) {
        const char *value = NULL;
        size_t      n = 0;
        if (strcmp(headers->fields[i].name, "x-goog-hash") == 0 &&
            find_in_list(headers->fields[i].value, which, &value, &n)) {
            return http_decode_base64(value, n, digest, n_bytes);
        }
    }
    return false;
}
