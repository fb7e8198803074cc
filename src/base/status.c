/* SPDX-License-Identifier: Apache-2.0
 *
 * Status codes and the fixed-size error record. Works without memory: nothing here allocates. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/status.h"

bt_status bt_error_make(bt_error *err, bt_status code, const char *file, int line, const char *fmt,
                        ...) {
    if (err == NULL) {
        return code;
    }
    err->code = code;
    err->file = file;
    err->line = line;
    va_list args;
    va_start(args, fmt);
    /* A cut message is better than none, and there is nobody to tell. */
    const int n = vsnprintf(err->msg, sizeof err->msg, fmt, args);
    va_end(args);
    if (n < 0) {
        err->msg[0] = '\0';
    }
    return code;
}

bt_status bt_status_of_errno(int errnum, bt_status otherwise) {
    return errnum == ENOMEM                       ? BT_E_NOMEM
           : errnum == EMFILE || errnum == ENFILE ? BT_E_RESOURCE
                                                  : otherwise;
}

bt_status bt_error_prefix(bt_error *err, const char *fmt, ...) {
    if (err == NULL) {
        return BT_E_INTERNAL;
    }
    char old[BT_ERROR_MSG_MAX];
    memcpy(old, err->msg, sizeof old);
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(err->msg, sizeof err->msg, fmt, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof err->msg) {
        const size_t left = sizeof err->msg - (size_t)n;
        const int    m = snprintf(err->msg + n, left, ": %s", old);
        if (m < 0) {
            err->msg[n] = '\0';
        }
    }
    return err->code;
}

int bt_status_exit_code(bt_status status) {
    switch (status) {
    case BT_OK:
        return 0;
    case BT_E_CONFIG:
    case BT_E_SHAPE:
    case BT_E_UNSUPPORTED:
        return 2;
    case BT_E_IO:
    case BT_E_FORMAT:
        return 3;
    case BT_E_NOMEM:
    case BT_E_RESOURCE:
        return 4;
    case BT_E_BACKEND:
        return 5;
    case BT_E_DIVERGED:
        return 6;
    case BT_E_LIMIT:
        return 8;
    case BT_E_INTERRUPTED:
        return 75;
    case BT_E_INTERNAL:
        return 70;
    }
    return 70;
}

const char *bt_status_name(bt_status status) {
    switch (status) {
    case BT_OK:
        return "ok";
    case BT_E_NOMEM:
        return "out of memory";
    case BT_E_IO:
        return "input/output error";
    case BT_E_FORMAT:
        return "damaged or unknown format";
    case BT_E_CONFIG:
        return "configuration error";
    case BT_E_SHAPE:
        return "shape mismatch";
    case BT_E_UNSUPPORTED:
        return "unsupported";
    case BT_E_RESOURCE:
        return "resource exhausted";
    case BT_E_BACKEND:
        return "back end error";
    case BT_E_INTERRUPTED:
        return "interrupted";
    case BT_E_DIVERGED:
        return "diverged";
    case BT_E_LIMIT:
        return "beyond a limit";
    case BT_E_INTERNAL:
        return "internal error";
    }
    return "unknown status";
}

#ifndef NDEBUG
void bt_assert_failed(const char *what, const char *file, int line) {
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, what);
    abort();
}
#endif
