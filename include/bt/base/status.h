/* SPDX-License-Identifier: Apache-2.0
 *
 * Status and error: every function that can fail returns bt_status and takes a caller-owned
 * bt_error as its last argument, untouched on success. */
#ifndef BT_BASE_STATUS_H
#define BT_BASE_STATUS_H

#include "bt/base/compiler.h"

/* README.md lists the process exit codes that these map to; see bt_status_exit_code. */
typedef enum bt_status {
    BT_OK = 0,
    BT_E_NOMEM,       /* the allocator said no, or a plan is larger than the machine */
    BT_E_IO,          /* a file cannot be opened or read */
    BT_E_FORMAT,      /* a file's bytes are not what they must be */
    BT_E_CONFIG,      /* flags, YAML, overrides: the user's words */
    BT_E_SHAPE,       /* dims that do not fit each other */
    BT_E_UNSUPPORTED, /* understood, and refused on purpose */
    BT_E_RESOURCE,    /* cannot write: disk full, no permission; network */
    BT_E_BACKEND,     /* a device or a back end failed */
    BT_E_INTERRUPTED, /* asked to stop, and stopped in good order */
    BT_E_DIVERGED,    /* numbers that are not finite, or beyond a bound that the user set */
    BT_E_LIMIT,       /* all went well, and a result is not as good as the user asked for */
    BT_E_INTERNAL,    /* a bug of ours */
} bt_status;

enum { BT_ERROR_MSG_MAX = 1024 };

/* Caller-owned, fixed size: never allocates, so it works when memory is gone. */
typedef struct bt_error {
    bt_status   code;
    const char *file; /* static storage: where in our source it was made */
    int         line;
    char        msg[BT_ERROR_MSG_MAX]; /* complete: who, where, expected, got */
} bt_error;

#define BT_ERROR_INIT                                                                              \
    {                                                                                              \
        .code = BT_OK, .file = NULL, .line = 0, .msg = { 0 }                                       \
    }

/* Fills *err (which may be NULL) and returns code. Use through BT_FAIL. */
bt_status bt_error_make(bt_error *err, bt_status code, const char *file, int line, const char *fmt,
                        ...) BT_PRINTF(5, 6);

/* Puts "context: " before the message that is there; returns err->code. A caller adds context once.
 */
bt_status bt_error_prefix(bt_error *err, const char *fmt, ...) BT_PRINTF(2, 3);

/* README.md explains them: 0, 2 config, 3 data, 4 resources, 5 device, 6 diverged, 8 limit, 70 bug,
 * 75 interrupted. */
int         bt_status_exit_code(bt_status status);
const char *bt_status_name(bt_status status);
/* The status of a call of libc that failed with errnum: BT_E_NOMEM where memory was missing,
 * BT_E_RESOURCE where descriptors were, else `otherwise`. */
bt_status bt_status_of_errno(int errnum, bt_status otherwise);

/* BT_FAIL makes an error and is the value to return. BT_TRY returns a failure up: for functions
 * that own nothing. BT_CHECK stores it in `rc` and jumps to `done`: for functions that own
 * something. */
#ifdef __clang_analyzer__ /* it sees one file: that the value is the code must be here */
#define BT_FAIL(err, code, ...)                                                                    \
    ((void)bt_error_make((err), (code), __FILE__, __LINE__, __VA_ARGS__), (code))
#else
#define BT_FAIL(err, code, ...) bt_error_make((err), (code), __FILE__, __LINE__, __VA_ARGS__)
#endif
#define BT_TRY(call)                                                                               \
    do {                                                                                           \
        const bt_status bt_try_status = (call);                                                    \
        if (bt_try_status != BT_OK) {                                                              \
            return bt_try_status;                                                                  \
        }                                                                                          \
    } while (0)
#define BT_CHECK(call)                                                                             \
    do {                                                                                           \
        rc = (call);                                                                               \
        if (rc != BT_OK) {                                                                         \
            goto done;                                                                             \
        }                                                                                          \
    } while (0)

/* For our own mistakes only: nothing that a file, a flag or the machine can cause. */
#ifdef NDEBUG
#define BT_ASSERT(x) ((void)sizeof(x))
#else
void bt_assert_failed(const char *what, const char *file, int line) __attribute__((noreturn));
#define BT_ASSERT(x) ((x) ? (void)0 : bt_assert_failed(#x, __FILE__, __LINE__))
#endif

#endif
