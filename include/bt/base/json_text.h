/* SPDX-License-Identifier: Apache-2.0
 *
 * Strings as JSON writes them. */
#ifndef BT_BASE_JSON_TEXT_H
#define BT_BASE_JSON_TEXT_H

#include "bt/base/str.h"

/* One character of a JSON string, escaped where it must be; returns how many bytes (no NUL). The
 * one place that escapes. BT_JSON_UTF8: c is a byte of UTF-8, which stays it; control characters
 * are \u00XX. BT_JSON_ASCII: c is a code point; what Python's json.dumps writes. */
enum { BT_JSON_CHAR_MAX = 16 };
typedef enum bt_json_form { BT_JSON_UTF8, BT_JSON_ASCII } bt_json_form;
size_t bt_json_char(char out[BT_JSON_CHAR_MAX], uint32_t c, bt_json_form form);
/* A JSON string with its quotes; text is UTF-8 and stays it. (ASCII: bt_text_append_json_ascii.) */
BT_MUST_USE bt_status bt_str_append_json(bt_str *s, const char *text, bt_error *err);

#endif
