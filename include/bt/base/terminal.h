/* SPDX-License-Identifier: Apache-2.0
 *
 * How wide text and terminals are. */
#ifndef BT_BASE_TERMINAL_H
#define BT_BASE_TERMINAL_H

#include "bt/base/compiler.h"

/* The length of the code point at text, of which n_bytes >= 1 are there, and which it is; 0: that
 * is not UTF-8. */
size_t bt_utf8_length(const char *text, size_t n_bytes, uint32_t *c);
/* Width of UTF-8 text in columns of a terminal. */
size_t bt_text_columns(const char *text);
/* How many bytes of text a line of so many columns shows: all; or up to a " | "; or, where not even
 * the first piece fits, what fits of it. */
size_t bt_text_fit(const char *text, size_t n_columns);
/* Columns of the terminal that fd is: as the system says, else COLUMNS, else 80. */
size_t bt_terminal_columns(int fd);

#endif
