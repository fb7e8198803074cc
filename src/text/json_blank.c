/* SPDX-License-Identifier: Apache-2.0
 *
 * What Python writes and the JSON library does not take (NaN, Infinity, integers of any length,
 * half a surrogate pair) must not matter in a field that is not read: the values of such fields are
 * blanked. What is not JSON in either's eyes stays an error. */
#include <string.h>

#include "bt/text.h"

enum { MAX_DEPTH = 512 };

typedef struct skipper {
    const char *at;
    const char *end;
    int         depth;
} skipper;

static void skip_blanks(skipper *s) {
    while (s->at < s->end && memchr(" \t\r\n", *s->at, 4) != NULL) {
        s->at++;
    }
}

static bool skip_char(skipper *s, char c) {
    skip_blanks(s);
    const bool is_there = s->at < s->end && *s->at == c;
    s->at += is_there ? 1 : 0;
    return is_there;
}

static bool skip_word(skipper *s, const char *word) {
    const size_t n = strlen(word);
    const bool   is_there = (size_t)(s->end - s->at) >= n && memcmp(s->at, word, n) == 0;
    s->at += is_there ? n : 0;
    return is_there;
}

static bool is_hex(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool skip_escape(skipper *s) {
    if (s->at == s->end) {
        return false;
    }
    const char c = *s->at++;
    if (c != 'u') {
        return memchr("\"\\/bfnrt", c, 8) != NULL;
    }
    for (int i = 0; i < 4; i++) {
        if (s->at == s->end || !is_hex(*s->at++)) {
            return false;
        }
    }
    return true;
}

static bool skip_string(skipper *s) {
    if (!skip_char(s, '"')) {
        return false;
    }
    while (s->at < s->end) {
        const char c = *s->at++;
        if (c == '"') {
            return true;
        }
        if ((unsigned char)c < 0x20 || (c == '\\' && !skip_escape(s))) {
            return false;
        }
    }
    return false;
}

static bool skip_digits(skipper *s) {
    const char *const from = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9') {
        s->at++;
    }
    return s->at > from;
}

static bool skip_number(skipper *s) {
    (void)skip_word(s, "-");
    if (skip_word(s, "Infinity")) {
        return true;
    }
    if (!skip_word(s, "0") && !skip_digits(s)) {
        return false;
    }
    if (skip_word(s, ".") && !skip_digits(s)) {
        return false;
    }
    if (skip_word(s, "e") || skip_word(s, "E")) {
        (void)(skip_word(s, "+") || skip_word(s, "-"));
        return skip_digits(s);
    }
    return true;
}

static bool skip_value(skipper *s);

/* Items between brackets; an object's have a key each. */
static bool skip_items(skipper *s, char close, bool has_keys) {
    if (skip_char(s, close)) {
        return true;
    }
    do {
        if (has_keys && (!skip_string(s) || !skip_char(s, ':'))) {
            return false;
        }
        if (!skip_value(s)) {
            return false;
        }
    } while (skip_char(s, ','));
    return skip_char(s, close);
}

/* Recursion that MAX_DEPTH ends. */
// NOLINTNEXTLINE(misc-no-recursion)
static bool skip_value(skipper *s) {
    skip_blanks(s);
    if (s->at == s->end || s->depth == MAX_DEPTH) {
        return false;
    }
    bool ok = false;
    s->depth++;
    if (*s->at == '"') {
        ok = skip_string(s);
    } else if (*s->at == '{' || *s->at == '[') {
        const bool is_object = *s->at++ == '{';
        ok = skip_items(s, is_object ? '}' : ']', is_object);
    } else {
        ok = skip_word(s, "true") || skip_word(s, "false") || skip_word(s, "null") ||
             skip_word(s, "NaN") || skip_number(s);
    }
    s->depth--;
    return ok;
}

/* text: with its quotes. One with escapes may be any of the keys. */
static bool may_be_key(const char *text, size_t n, const char *const *keys, size_t n_keys) {
    bool found = memchr(text, '\\', n) != NULL;
    for (size_t k = 0; k < n_keys && !found; k++) {
        found = strlen(keys[k]) == n - 2 && memcmp(text + 1, keys[k], n - 2) == 0;
    }
    return found;
}

static bt_status copy_value(skipper *s, const char *const *keys, size_t n_keys, bt_str *out,
                            bool *ok, bt_error *err);

/* "key": value, and what is between it and the one before. */
// NOLINTNEXTLINE(misc-no-recursion)
static bt_status copy_member(skipper *s, const char *const *keys, size_t n_keys, bt_str *out,
                             bool *ok, bt_error *err) {
    skip_blanks(s);
    const char *const key = s->at;
    *ok = skip_string(s);
    const size_t n_key = (size_t)(s->at - key);
    *ok = *ok && skip_char(s, ':');
    if (!*ok) {
        return BT_OK;
    }
    BT_TRY(bt_str_append_n(out, key, n_key, err));
    BT_TRY(bt_str_append_char(out, ':', err));
    if (may_be_key(key, n_key, keys, n_keys)) {
        return copy_value(s, keys, n_keys, out, ok, err);
    }
    *ok = skip_value(s);
    return bt_str_append(out, "null", err);
}

/* What is between the brackets, and the closing one. */
// NOLINTNEXTLINE(misc-no-recursion)
static bt_status copy_items(skipper *s, bool is_object, const char *const *keys, size_t n_keys,
                            bt_str *out, bool *ok, bt_error *err) {
    const char close = is_object ? '}' : ']';
    bool       more = !skip_char(s, close);
    const bool is_empty = !more;
    for (size_t i = 0; *ok && more; i++) {
        BT_TRY(bt_str_append(out, i > 0 ? "," : "", err));
        BT_TRY(is_object ? copy_member(s, keys, n_keys, out, ok, err)
                         : copy_value(s, keys, n_keys, out, ok, err));
        more = *ok && skip_char(s, ',');
    }
    *ok = *ok && (is_empty || skip_char(s, close));
    return bt_str_append_char(out, close, err);
}

/* Recursion that MAX_DEPTH ends. */
// NOLINTNEXTLINE(misc-no-recursion)
static bt_status copy_value(skipper *s, const char *const *keys, size_t n_keys, bt_str *out,
                            bool *ok, bt_error *err) {
    skip_blanks(s);
    const char *const value = s->at;
    if (s->at == s->end || (*s->at != '{' && *s->at != '[')) {
        *ok = skip_value(s);
        return bt_str_append_n(out, value, (size_t)(s->at - value), err);
    }
    if (s->depth == MAX_DEPTH) {
        *ok = false;
        return BT_OK;
    }
    s->depth++;
    s->at++;
    BT_TRY(bt_str_append_char(out, *value, err));
    BT_TRY(copy_items(s, *value == '{', keys, n_keys, out, ok, err));
    s->depth--;
    return BT_OK;
}

bt_status bt_text_json_blank_others(const char *text, size_t n, const char *const *keys,
                                    size_t n_keys, bt_str *out, bool *ok, bt_error *err) {
    skipper s = {.at = text, .end = text + n};
    bt_str_clear(out);
    *ok = true;
    BT_TRY(copy_value(&s, keys, n_keys, out, ok, err));
    skip_blanks(&s);
    *ok = *ok && s.at == s.end;
    return BT_OK;
}
