/* SPDX-License-Identifier: Apache-2.0
 *
 * URLs whose query lets in whoever has it (X-Amz-Signature, X-Goog-Signature, sig, token, ...).
 * Such a value is a key with an end: it is used, and shown or written nowhere. Names decide; what
 * looks like one and is none only costs that it is not shown. */
#include <ctype.h>
#include <string.h>

#include "bt/base/signed_url.h"

/* What cannot be in a URL as programs write them; a message goes on after it. */
#define ENDS " \t\r\n\"'<>"

enum { NAME_MAX_BYTES = 64 };
static const char hidden[] = "...";

typedef struct finder {
    const char *at;
    bool        is_in_query;
} finder;

static bool is_secret(const char *name, size_t n) {
    static const char *const parts[] = {"signature",  "token",     "secret",     "passw",
                                        "credential", "accesskey", "access_key", "access-key",
                                        "apikey",     "api_key",   "api-key",    "authoriz"};
    static const char *const whole[] = {"sig", "key", "pwd", "auth", "hdnts", "hdnea"};
    char                     lower[NAME_MAX_BYTES];
    n = n < sizeof lower - 1 ? n : sizeof lower - 1;
    for (size_t i = 0; i < n; i++) {
        lower[i] = (char)tolower((unsigned char)name[i]);
    }
    lower[n] = '\0';
    for (size_t i = 0; i < BT_ARRAY_LEN(parts); i++) {
        if (strstr(lower, parts[i]) != NULL) {
            return true;
        }
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(whole); i++) {
        if (strcmp(lower, whole[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Of a value; what ends a sentence after the URL is none of it. */
static size_t value_length(const char *value) {
    size_t n = strcspn(value, "&;#" ENDS);
    if (strncmp(value, hidden, sizeof hidden - 1) == 0) {
        return sizeof hidden - 1;
    }
    const bool is_last = value[n] == '\0' || strchr("&;#", value[n]) == NULL;
    while (n > 0 && is_last && strchr(".,:)]}", value[n - 1]) != NULL) {
        n--;
    }
    return n;
}

/* The next secret value, *n > 0 bytes; NULL: there is none. */
static const char *find_next(finder *f, size_t *n) {
    for (;;) {
        if (!f->is_in_query) {
            const char *const url = strstr(f->at, "://");
            if (url == NULL) {
                return NULL;
            }
            f->at = url + 3;
            f->at += strcspn(f->at, "?#" ENDS);
        }
        f->is_in_query = f->at[0] != '\0' && strchr("?#&;", f->at[0]) != NULL;
        if (!f->is_in_query) {
            continue;
        }
        const char *const name = f->at + 1;
        const size_t      n_name = strcspn(name, "=?#&;" ENDS);
        f->at += 1 + n_name;
        if (f->at[0] != '=') {
            continue;
        }
        const char *const value = f->at + 1;
        *n = value_length(value);
        f->at = value + *n;
        if (*n > 0 && is_secret(name, n_name)) {
            return value;
        }
    }
}

void bt_hide_signatures(char *text) {
    finder f = {.at = text};
    size_t n = 0;
    for (const char *found = find_next(&f, &n); found != NULL; found = find_next(&f, &n)) {
        char *const  value = text + (found - text);
        const size_t n_shown = n < sizeof hidden - 1 ? n : sizeof hidden - 1;
        memcpy(value, n_shown == n && n < sizeof hidden - 1 ? "**" : hidden, n_shown);
        memmove(value + n_shown, value + n, strlen(value + n) + 1);
        f.at = value + n_shown;
    }
}

bool bt_has_signature(const char *text, bool *is_hidden) {
    finder      f = {.at = text};
    size_t      n = 0;
    const char *value = find_next(&f, &n);
    const bool  has = value != NULL;
    *is_hidden = false;
    for (; value != NULL; value = find_next(&f, &n)) {
        *is_hidden = *is_hidden || (n == sizeof hidden - 1 && memcmp(value, hidden, n) == 0);
    }
    return has;
}

bool bt_equal_but_signatures(const char *a, const char *b) {
    finder in_a = {.at = a};
    finder in_b = {.at = b};
    for (;;) {
        size_t            n_a = 0;
        size_t            n_b = 0;
        const char *const value_a = find_next(&in_a, &n_a);
        const char *const value_b = find_next(&in_b, &n_b);
        if (value_a == NULL || value_b == NULL) {
            return value_a == value_b && strcmp(a, b) == 0;
        }
        if (value_a - a != value_b - b || memcmp(a, b, (size_t)(value_a - a)) != 0) {
            return false;
        }
        a = value_a + n_a;
        b = value_b + n_b;
    }
}
