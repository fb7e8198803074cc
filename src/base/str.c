/* SPDX-License-Identifier: Apache-2.0
 *
 * Growable strings, comparisons, lists for messages. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/str.h"

void bt_str_deinit(bt_str *s) {
    if (s != NULL) {
        bt_free(s->data);
        *s = (bt_str)BT_STR_INIT_MAX(s->max_bytes);
    }
}

void bt_str_clear(bt_str *s) {
    s->len = 0;
    if (s->data != NULL) {
        s->data[0] = '\0';
    }
}

const char *bt_str_text(const bt_str *s) {
    return s->data != NULL ? s->data : "";
}

static void copy_behind(bt_str *s, const void *bytes, size_t n) {
    if (n > 0) {
        memcpy(s->data + s->len, bytes, n);
    }
    s->len += n;
    s->data[s->len] = '\0';
}

/* The capacity that n more bytes and the NUL need. */
static bt_status need_of(const bt_str *s, size_t n, size_t *need, bt_error *err) {
    const size_t max = s->max_bytes > 0 ? s->max_bytes : BT_STR_MAX_BYTES;
    if (s->len <= max && n <= max - s->len) {
        *need = s->len + n + 1;
        return BT_OK;
    }
    return s->max_bytes > 0
               ? BT_FAIL(err, BT_E_FORMAT, "a text of more than %zu bytes", max)
               : BT_FAIL(err, BT_E_NOMEM, "string of %zu + %zu bytes is too long", s->len, n);
}

bt_status bt_str_append_n(bt_str *s, const void *bytes, size_t n, bt_error *err) {
    size_t need = 0;
    BT_TRY(need_of(s, n, &need, err));
    if (need <= s->cap) { /* the usual case: there is room */
        copy_behind(s, bytes, n);
        return BT_OK;
    }
    BT_TRY(bt_grow(&s->data, &s->cap, need, 1, BT_STR_MAX_BYTES + 1, err));
    copy_behind(s, bytes, n);
    return BT_OK;
}

bt_status bt_str_append(bt_str *s, const char *text, bt_error *err) {
    return bt_str_append_n(s, text, strlen(text), err);
}

bt_status bt_str_append_char(bt_str *s, char c, bt_error *err) {
    return bt_str_append_n(s, &c, 1, err);
}

bt_status bt_str_appendf(bt_str *s, bt_error *err, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    const int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0) {
        va_end(again);
        return BT_FAIL(err, BT_E_INTERNAL, "cannot format '%s'", fmt);
    }
    size_t    need = 0;
    bt_status rc = need_of(s, (size_t)n, &need, err);
    if (rc == BT_OK) {
        rc = bt_grow(&s->data, &s->cap, need, 1, BT_STR_MAX_BYTES + 1, err);
    }
    if (rc == BT_OK) {
        (void)vsnprintf(s->data + s->len, (size_t)n + 1, fmt, again);
        s->len += (size_t)n;
    }
    va_end(again);
    return rc;
}

char *bt_str_take(bt_str *s) {
    char *const text = s->data;
    *s = (bt_str)BT_STR_INIT_MAX(s->max_bytes);
    return text;
}

bool bt_list_add(char *out, size_t cap, const char *word) {
    const size_t at = strlen(out);
    if (bt_str_ends_with(out, ", ...")) {
        return false;
    }
    if (at + strlen(word) + 12 > cap) {
        if (at + 6 <= cap) {
            memcpy(out + at, ", ...", 6);
        }
        return false;
    }
    (void)snprintf(out + at, cap - at, "%s'%s'", at > 0 ? ", " : "", word);
    return true;
}

void bt_list_all(char *out, size_t cap, const char *const *words, size_t n) {
    out[0] = '\0';
    for (size_t i = 0; i < n && bt_list_add(out, cap, words[i]); i++) {
    }
}

bool bt_str_equal(const char *a, const char *b) {
    if (a == NULL || b == NULL) {
        return a == b;
    }
    return strcmp(a, b) == 0;
}

bool bt_str_equal_nocase(const char *a, const char *b) {
    if (a == NULL || b == NULL) {
        return a == b;
    }
    for (; *a != '\0' && *b != '\0'; a++, b++) {
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b)) {
            return false;
        }
    }
    return *a == *b;
}

bool bt_str_starts_with(const char *s, const char *prefix) {
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool bt_str_ends_with(const char *s, const char *suffix) {
    const size_t n = strlen(s);
    const size_t m = strlen(suffix);
    return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

bool bt_str_ends_with_nocase(const char *s, size_t n, const char *suffix) {
    const size_t m = strlen(suffix);
    for (size_t i = 0; i < m && n >= m; i++) {
        if (tolower((unsigned char)s[n - m + i]) != tolower((unsigned char)suffix[i])) {
            return false;
        }
    }
    return n >= m;
}
