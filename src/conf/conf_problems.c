/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of problems, and the nearest name to one that does not exist. */
#include "bt/base/alloc.h"
#include "conf_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void bt_conf_errors_deinit(bt_conf_errors *errors) {
    for (size_t i = 0; i < errors->n; i++) {
        bt_free(errors->items[i].path);
        bt_free(errors->items[i].text);
    }
    bt_free(errors->items);
    *errors = (bt_conf_errors)BT_CONF_ERRORS_INIT;
}

static bt_status add_text(bt_conf_errors *errors, bt_conf_severity severity, const char *path,
                          const char *text, bt_error *err) {
    if (errors->n >= CONF_MAX_PROBLEMS) { /* a bomb of mistakes is counted, not kept */
        errors->n_errors += severity == BT_CONF_ERROR;
        return BT_OK;
    }
    BT_TRY(bt_grow(&errors->items, &errors->cap, errors->n + 1, sizeof(bt_conf_problem),
                   CONF_MAX_PROBLEMS, err));
    char *path_copy = bt_strdup(path);
    char *text_copy = bt_strdup(text);
    if (path_copy == NULL || text_copy == NULL) {
        bt_free(path_copy);
        bt_free(text_copy);
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a message");
    }
    errors->items[errors->n++] =
        (bt_conf_problem){.severity = severity, .path = path_copy, .text = text_copy};
    errors->n_errors += severity == BT_CONF_ERROR;
    return BT_OK;
}

bt_status bt_conf_errors_add(bt_conf_errors *errors, bt_conf_severity severity, const char *path,
                             bt_error *err, const char *fmt, ...) {
    char    text[BT_ERROR_MSG_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return add_text(errors, severity, path, text, err);
}

bt_status bt_conf_refuse(const bt_conf *conf, bt_conf_errors *errors, const char *path,
                         const char *value, const char *why, bt_error *err) {
    char origin[BT_CONF_ORIGIN_MAX];
    if (errors == NULL) {
        return BT_FAIL(err, BT_E_UNSUPPORTED, "%s: %s: %s", path, value, why);
    }
    if (!bt_conf_is_changed(conf, path)) {
        return bt_conf_errors_add(errors, BT_CONF_FINDING, path, err, "%s: %s: %s", path, value,
                                  why);
    }
    return bt_conf_errors_add(errors, BT_CONF_ERROR, path, err, "%s: %s: %s: %s",
                              bt_conf_origin(conf, path, origin), path, value, why);
}

const char *conf_expand_branch(const bt_conf *conf, const char *path, char out[CONF_MAX_PATH]) {
    char         above[CONF_MAX_PATH];
    const char  *star = strstr(path, ".*.");
    const size_t len = star == NULL ? 0 : (size_t)(star - path);
    if (star == NULL || len >= sizeof(above)) {
        return path;
    }
    memcpy(above, path, len);
    above[len] = '\0';
    const char *type = bt_conf_type_of_oneof(conf, above);
    if (type == NULL) {
        return path;
    }
    char branch[CONF_MAX_PATH];
    (void)conf_join_path(above, type, strlen(type), branch);
    return conf_join_path(branch, star + 3, strlen(star + 3), out);
}

bt_status conf_report(const conf_merge *merge, bt_conf_severity severity, const conf_value *at,
                      const char *path, const char *fmt, ...) {
    char    what[BT_ERROR_MSG_MAX];
    char    text[BT_ERROR_MSG_MAX];
    char    origin[BT_CONF_ORIGIN_MAX];
    char    expanded[CONF_MAX_PATH];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, args);
    va_end(args);
    path = conf_expand_branch(merge->conf, path, expanded);
    if (at == NULL || at->source == 0) {
        (void)snprintf(text, sizeof(text), "%.200s: %.700s", path, what);
    } else {
        (void)snprintf(text, sizeof(text), "%s: %.200s: %.560s",
                       conf_origin_text(merge->conf, at, path, origin), path, what);
    }
    return add_text(merge->errors, severity, path, text, merge->err);
}

enum { NEAREST_MAX = 64 };

/* Insertions, deletions, substitutions, and swaps of neighbours. */
static size_t edit_distance(const char *a, size_t n_a, const char *b, size_t n_b) {
    size_t before[NEAREST_MAX + 1] = {0};
    size_t last[NEAREST_MAX + 1];
    size_t row[NEAREST_MAX + 1];
    for (size_t k = 0; k <= n_b; k++) {
        last[k] = k;
    }
    for (size_t i = 1; i <= n_a; i++) {
        row[0] = i;
        for (size_t k = 1; k <= n_b; k++) {
            size_t best = last[k - 1] + (a[i - 1] != b[k - 1]);
            best = last[k] + 1 < best ? last[k] + 1 : best;
            best = row[k - 1] + 1 < best ? row[k - 1] + 1 : best;
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1] &&
                before[k - 2] + 1 < best) {
                best = before[k - 2] + 1;
            }
            row[k] = best;
        }
        memcpy(before, last, sizeof(before));
        memcpy(last, row, sizeof(last));
    }
    return last[n_b];
}

const char *bt_conf_nearest(const char *word, const char *const *candidates, size_t n) {
    const size_t len = strlen(word);
    const char  *nearest = NULL;
    size_t       best = SIZE_MAX;
    if (len == 0 || len > NEAREST_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        const size_t candidate_len = strlen(candidates[i]);
        if (candidate_len > NEAREST_MAX) {
            continue;
        }
        const size_t distance = edit_distance(word, len, candidates[i], candidate_len);
        /* a third of the longer word may differ; a cut word is near too */
        const bool   is_prefix = len >= 3 && strncmp(candidates[i], word, len) == 0;
        const size_t longer = len > candidate_len ? len : candidate_len;
        const size_t limit = (longer + 2) / 3;
        if ((distance <= limit || is_prefix) && distance < best) {
            best = distance;
            nearest = candidates[i];
        }
    }
    return nearest;
}
