/* SPDX-License-Identifier: Apache-2.0
 *
 * Strings: one that grows, comparisons, lists for messages. */
#ifndef BT_BASE_STR_H
#define BT_BASE_STR_H

#include "bt/base/status.h"

/* A growable byte string, always NUL-terminated once something was appended. Refuses to grow
 * beyond max_bytes, and then stays as it was. Zero-initialise with BT_STR_INIT, or, where the bytes
 * come from outside, with BT_STR_INIT_MAX; free with bt_str_deinit. */
typedef struct bt_str {
    char  *data; /* owned; NULL while empty: use bt_str_text */
    size_t len;
    size_t cap;
    size_t max_bytes; /* without the NUL; 0: BT_STR_MAX_BYTES */
} bt_str;
#define BT_STR_INIT BT_STR_INIT_MAX(0)
#define BT_STR_INIT_MAX(max)                                                                       \
    { .data = NULL, .len = 0, .cap = 0, .max_bytes = (max) }
#define BT_STR_MAX_BYTES ((size_t)1 << 40)

void        bt_str_deinit(bt_str *s);
void        bt_str_clear(bt_str *s);      /* keeps the memory */
const char *bt_str_text(const bt_str *s); /* never NULL; borrowed until the next change */
/* BT_E_FORMAT: more than the maximum that it was given; BT_E_NOMEM: no memory, or more than
 * BT_STR_MAX_BYTES. */
BT_MUST_USE bt_status bt_str_append(bt_str *s, const char *text, bt_error *err);
BT_MUST_USE bt_status bt_str_append_n(bt_str *s, const void *bytes, size_t n, bt_error *err);
BT_MUST_USE bt_status bt_str_append_char(bt_str *s, char c, bt_error *err);
BT_MUST_USE bt_status bt_str_appendf(bt_str *s, bt_error *err, const char *fmt, ...)
    BT_PRINTF(3, 4);
char *bt_str_take(bt_str *s); /* moves the text out (NULL while empty); caller bt_free()s */

bool bt_str_equal(const char *a, const char *b);        /* NULL equals NULL only */
bool bt_str_equal_nocase(const char *a, const char *b); /* ASCII */
bool bt_str_starts_with(const char *s, const char *prefix);
bool bt_str_ends_with(const char *s, const char *suffix);
bool bt_str_ends_with_nocase(const char *s, size_t n, const char *suffix); /* ASCII; s [n] */

/* A list for a message: appends "'word'" to out (cap bytes, "" at first), with a comma before it
 * unless it is the first; false: there was no room, and ", ..." is there. */
enum { BT_LIST_MAX = 256 };
bool bt_list_add(char *out, size_t cap, const char *word);
void bt_list_all(char *out, size_t cap, const char *const *words, size_t n); /* from the start */

#endif
