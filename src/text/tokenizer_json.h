/* SPDX-License-Identifier: Apache-2.0
 *
 * text, private: what a tokenizer.json says. */
#ifndef BT_TEXT_TOKENIZER_JSON_H
#define BT_TEXT_TOKENIZER_JSON_H

#include "text_internal.h"

typedef struct text_tokenizer_json {
    bt_str      lines; /* the vocabulary, a piece a line; added tokens after it */
    text_added *added; /* owned, also their texts */
    size_t      n_added;
    size_t      cap_added;
    uint32_t    max_word_codepoints;
    int8_t      lower_case, strip_accents, chinese_chars; /* -1: null, or not said */
} text_tokenizer_json;

bool text_is_tokenizer_json(const char *path, const char *bytes, size_t n_bytes);
/* BT_E_UNSUPPORTED: a tokenizer of another kind, by its name. BT_E_FORMAT: it is damaged. */
BT_MUST_USE bt_status text_tokenizer_json_read(const char *bytes, size_t n_bytes, const char *name,
                                               text_tokenizer_json *out, bt_error *err);
void                  text_tokenizer_json_deinit(text_tokenizer_json *json);

#endif
