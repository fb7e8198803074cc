/* SPDX-License-Identifier: Apache-2.0
 *
 * What a message says of a place. Messages of all rooms have one form (docs/contributing.md): who
 * and where first, parted by ": "; a file with its line is "NAME:LINE" or "NAME:LINE:COLUMN". */
#include <ctype.h>
#include <string.h>

#include "bt/base/log.h"
#include "bt/base/str.h"

static bool has_any(const char *text, size_t n, const char *marks) {
    bool has = false;
    for (size_t i = 0; i < n; i++) {
        has = has || strchr(marks, text[i]) != NULL;
    }
    return has;
}

/* The colon before the last word of digits of text, or NULL. */
static const char *last_number(const char *text, size_t n) {
    size_t at = n;
    while (at > 0 && isdigit((unsigned char)text[at - 1]) != 0) {
        at--;
    }
    return at > 1 && at < n && text[at - 1] == ':' ? text + at - 1 : NULL;
}

static int64_t read_digits(const char *text) {
    int64_t value = 0;
    for (; isdigit((unsigned char)*text) != 0 && value < INT64_MAX / 100; text++) {
        value = value * 10 + (*text - '0');
    }
    return value;
}

/* "a/b.tsv:12" or "a/b.tsv:12:3" */
static bool read_file_and_line(const char *text, size_t n, bt_log_place *out) {
    const char *colon = last_number(text, n);
    if (colon == NULL) {
        return false;
    }
    const char *const before = last_number(text, (size_t)(colon - text));
    colon = before != NULL ? before : colon;
    const size_t n_name = (size_t)(colon - text);
    if (!has_any(text, n_name, "./") || has_any(text, n_name, "'")) {
        return false; /* a time of day, a quotation */
    }
    out->file = (bt_log_span){text, n_name};
    out->line = read_digits(colon + 1);
    return true;
}

static bool is_word_char(char c) {
    return isalnum((unsigned char)c) != 0 || c == '_' || c == '.';
}

/* One word that looks like a path. */
static bool is_path(const char *text, size_t n) {
    return n > 2 && !has_any(text, n, " '=") && has_any(text + 1, n - 2, "./");
}

static bool begins_key(const char *text) {
    static const char *const roots[] = {"task.", "trainer.", "runtime."};
    for (size_t i = 0; i < BT_ARRAY_LEN(roots); i++) {
        const size_t n = strlen(roots[i]);
        if (strncmp(text, roots[i], n) == 0 && islower((unsigned char)text[n]) != 0) {
            return true;
        }
    }
    return false;
}

static size_t word_length(const char *text) {
    size_t n = 0;
    while (is_word_char(text[n])) {
        n++;
    }
    while (n > 0 && text[n - 1] == '.') {
        n--; /* the end of a sentence */
    }
    return n;
}

static void find_names(const char *message, bt_log_place *out) {
    for (const char *at = message; *at != '\0'; at++) {
        const bool begins =
            at == message || (!is_word_char(at[-1]) && at[-1] != '-' && at[-1] != '/');
        if (begins && out->key.text == NULL && begins_key(at)) {
            out->key = (bt_log_span){at, word_length(at)};
        }
        if (begins && out->flag.text == NULL && at[0] == '-' && at[1] == '-' &&
            islower((unsigned char)at[2]) != 0) {
            out->flag = (bt_log_span){at, 2 + word_length(at + 2)};
        }
    }
}

bt_log_place bt_log_find_place(const char *message) {
    bt_log_place place = {.line = 0};
    find_names(message, &place);
    for (const char *at = message; place.file.text == NULL && at != NULL;) {
        const char *const end = strstr(at, ": ");
        const size_t      n = end != NULL ? (size_t)(end - at) : strlen(at);
        if (!read_file_and_line(at, n, &place) && end != NULL && is_path(at, n) &&
            !begins_key(at)) {
            place.file = (bt_log_span){at, n};
        }
        at = end != NULL ? end + 2 : NULL;
    }
    return place;
}
