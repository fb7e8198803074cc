/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the tokenizer's expected values: JSON lines, and comparison of words and ids. */
#ifndef BT_TEST_TEXT_JSON_H
#define BT_TEST_TEXT_JSON_H

#include <jansson.h>

#include "test_support.h"

#include "bt/text.h"

/* Calls use(context, line) for each line of a JSON lines file (test fails when a line is not
 * JSON); returns how many. */
size_t json_each_line(const char *path, void (*use)(void *context, json_t *line), void *context);

/* Fail the test, naming the case, unless they are equal. */
void check_words(const bt_text_word *words, size_t n, const json_t *want, const char *name);
void check_ids(const int32_t *ids, size_t n, const json_t *want, const char *name);

/* The bytes of hex digits, cap at most; returns how many. */
size_t read_hex(const char *hex, char *bytes, size_t cap);

bt_text_vocab     *load_vocab(const char *path);
bt_text_vocab     *load_vocab_as(const char *path, bt_text_rules rules);
bt_text_tokenizer *make_tokenizer(const bt_text_vocab *vocab, bool do_lower_case);
bt_text_scratch   *make_scratch(void);

#endif
