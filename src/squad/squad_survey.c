/* SPDX-License-Identifier: Apache-2.0
 *
 * A look at SQuAD's JSON without its tree: is there a question without an answer? Keys are found as
 * strings before a colon, so that the words of a text are none. */
#include <string.h>

#include "squad_internal.h"

typedef struct json_scan {
    const char *at;
    const char *end;
} json_scan;

static void skip_blanks(json_scan *scan) {
    while (scan->at < scan->end && strchr(" \t\r\n", *scan->at) != NULL && *scan->at != '\0') {
        scan->at++;
    }
}

static bool take(json_scan *scan, const char *word) {
    const size_t n = strlen(word);
    skip_blanks(scan);
    if ((size_t)(scan->end - scan->at) < n || memcmp(scan->at, word, n) != 0) {
        return false;
    }
    scan->at += n;
    return true;
}

/* The string that begins at the scan's place, a quote; the scan is after it then. */
static bt_squad_text take_string(json_scan *scan) {
    const char *const from = ++scan->at;
    while (scan->at < scan->end && *scan->at != '"') {
        scan->at += *scan->at == '\\' && scan->at + 1 < scan->end ? 2 : 1;
    }
    const bt_squad_text text = {from, (size_t)(scan->at - from)};
    scan->at += scan->at < scan->end ? 1 : 0;
    return text;
}

static bool is_called(bt_squad_text key, const char *name) {
    return key.n_bytes == strlen(name) && memcmp(key.bytes, name, key.n_bytes) == 0;
}

/* *is_flat: the key is one of the lists of Hugging Face's answers. scan: after the colon. */
static bool says_none(bt_squad_text key, json_scan scan, bool *is_flat) {
    if (is_called(key, "is_impossible")) {
        return take(&scan, "true");
    }
    if (is_called(key, "answers")) {
        *is_flat = take(&scan, "{");
        return !*is_flat && (take(&scan, "null") || (take(&scan, "[") && take(&scan, "]")));
    }
    if (*is_flat && is_called(key, "text")) {
        *is_flat = false;
        return take(&scan, "[") && take(&scan, "]");
    }
    return false;
}

bool squad_has_unanswered(const char *json, size_t n_bytes) {
    json_scan scan = {json, json + n_bytes};
    bool      is_flat = false;
    while (scan.at < scan.end) {
        scan.at = memchr(scan.at, '"', (size_t)(scan.end - scan.at));
        if (scan.at == NULL) {
            return false;
        }
        const bt_squad_text key = take_string(&scan);
        if (take(&scan, ":") && says_none(key, scan, &is_flat)) {
            return true;
        }
    }
    return false;
}

bt_status bt_squad_find_unanswered(const char *path, const bt_text_encoding *encoding, bool *any,
                                   bt_error *err) {
    squad_bytes     file;
    const bt_status rc = squad_bytes_open(&file, path, encoding, err);
    *any = rc == BT_OK && squad_has_unanswered(file.bytes, file.n);
    squad_bytes_close(&file);
    return rc;
}
