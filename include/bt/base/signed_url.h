/* SPDX-License-Identifier: Apache-2.0
 *
 * URLs whose query is a key: "https://host/file?X-Amz-Signature=...". What lets in whoever has it
 * is used, and shown or written nowhere. bt_log hides it by itself. */
#ifndef BT_BASE_SIGNED_URL_H
#define BT_BASE_SIGNED_URL_H

#include "bt/base/compiler.h"

/* Puts "..." in place of each such value, in all URLs of the text. */
void bt_hide_signatures(char *text);
/* Has the text one? *is_hidden: one that was hidden, with which nobody is let in. */
bool bt_has_signature(const char *text, bool *is_hidden);
/* Is that all in which they differ? The same file is signed anew each hour. */
bool bt_equal_but_signatures(const char *a, const char *b);

#endif
