/* SPDX-License-Identifier: Apache-2.0
 *
 * What checks look at values with, and how they say what they found. Looking is not reading: a key
 * that is checked and nothing else does not act. */
#include "conf_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool is_list(const conf_value *value) {
    return value->kind == K_LIST || value->kind == K_TUPLE;
}

const char *bt_conf_join(const char *section, const char *key, char path[BT_CONF_PATH_MAX]) {
    const int n = snprintf(path, BT_CONF_PATH_MAX, "%s.%s", section, key);
    BT_ASSERT(n > 0 && n < BT_CONF_PATH_MAX);
    return path;
}

bool bt_conf_peek_is_empty(const bt_conf *conf, const char *path) {
    const conf_value *const value = conf_find(conf->root, path);
    return value == NULL || !conf_is_truthy(value);
}

bool bt_conf_peek_is_null(const bt_conf *conf, const char *path) {
    const conf_value *const value = conf_find(conf->root, path);
    return value == NULL || value->kind == K_NULL;
}

bool bt_conf_peek_i64(const bt_conf *conf, const char *path, int64_t *out) {
    const conf_value *const value = conf_find(conf->root, path);
    return value != NULL && conf_to_i64(value, out);
}

bool bt_conf_peek_f64(const bt_conf *conf, const char *path, double *out) {
    const conf_value *const value = conf_find(conf->root, path);
    return value != NULL && conf_to_f64(value, out);
}

const char *bt_conf_peek_str(const bt_conf *conf, const char *path) {
    const conf_value *const value = conf_find(conf->root, path);
    return value != NULL && value->kind == K_STR ? value->u.s.text : "";
}

bt_conf_str_list bt_conf_peek_str_list(const bt_conf *conf, const char *path) {
    const conf_value *const value = conf_find(conf->root, path);
    if (value == NULL || (value->kind != K_STR && !is_list(value))) {
        return (bt_conf_str_list){.n = 0};
    }
    return is_list(value)
               ? (bt_conf_str_list){.items = value->u.list.flat, .n = value->u.list.n}
               : (bt_conf_str_list){.items = &value->u.s.text, .n = value->u.s.len > 0 ? 1 : 0};
}

bool bt_conf_peek_f64_list(const bt_conf *conf, const char *path, bt_conf_f64_list *out) {
    const conf_value *const value = conf_find(conf->root, path);
    if (value == NULL || !is_list(value)) {
        return false;
    }
    *out = (bt_conf_f64_list){.items = value->u.list.flat, .n = value->u.list.n};
    return true;
}

bool bt_conf_peek_i64_list(const bt_conf *conf, const char *path, bt_conf_i64_list *out) {
    const conf_value *const value = conf_find(conf->root, path);
    if (value == NULL || !is_list(value)) {
        return false;
    }
    *out = (bt_conf_i64_list){.items = value->u.list.flat, .n = value->u.list.n};
    return true;
}

size_t bt_conf_peek_n_items(const bt_conf *conf, const char *path) {
    const conf_value *const value = conf_find(conf->root, path);
    return value != NULL && is_list(value) ? value->u.list.n : 0;
}

const char *bt_conf_peek_type(const bt_conf *conf, const char *path) {
    return conf_type_of_oneof(conf_find(conf->root, path));
}

/* What was found. */

/* The user wrote it, and not just the default again. path may be NULL. */
static bool is_own(const bt_conf *conf, const char *path) {
    const conf_value *const value = path == NULL ? NULL : conf_find(conf->root, path);
    return value != NULL && value->source != 0 && bt_conf_is_changed(conf, path);
}

static bt_status report(const bt_conf_check *check, bt_conf_severity severity, const char *path,
                        const char *fmt, va_list args) {
    char text[BT_ERROR_MSG_MAX];
    /* it reads only; the context is shared with code that writes */
    const conf_merge merge = {
        .conf = (bt_conf *)(uintptr_t)check->conf, .errors = check->errors, .err = check->err};
    (void)vsnprintf(text, sizeof text, fmt, args);
    return conf_report(&merge, severity, conf_find(check->conf->root, path), path, "%s", text);
}

bt_status bt_conf_check_fail(const bt_conf_check *check, const char *a, const char *b,
                             const char *fmt, ...) {
    const bool  is_of_a = is_own(check->conf, a);
    const bool  is_of_b = is_own(check->conf, b);
    const char *blamed = !is_of_a && is_of_b ? b : a;
    va_list     args;
    va_start(args, fmt);
    const bt_status rc =
        report(check, is_of_a || is_of_b ? BT_CONF_ERROR : BT_CONF_FINDING, blamed, fmt, args);
    va_end(args);
    return rc;
}

bt_status bt_conf_check_missing(const bt_conf_check *check, const char *path, const char *fmt,
                                ...) {
    va_list args;
    va_start(args, fmt);
    const bt_status rc = report(check, BT_CONF_FINDING, path, fmt, args);
    va_end(args);
    return rc;
}
