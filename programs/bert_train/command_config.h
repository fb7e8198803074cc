/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of bert-train config. */
#ifndef BT_CLI_COMMAND_CONFIG_H
#define BT_CLI_COMMAND_CONFIG_H

#include "bert_train.h"

typedef enum config_format { CONFIG_TEXT, CONFIG_YAML, CONFIG_JSON } config_format;

/* Where two configurations differ, a key a line (or an object of a list), appended to out. */
BT_MUST_USE bt_status config_diff(const bt_conf *a, const bt_conf *b, config_format format,
                                  bt_str *out, bool *differ, bt_error *err);

/* What is known of the keys of that name, or of its last parts; experiment NULL: of all. */
BT_MUST_USE bt_status config_help(const char *key, const char *experiment, config_format format,
                                  bt_str *out, bt_error *err);

/* A list of objects in JSON, or the same in YAML: text is the object, n its number. */
BT_MUST_USE bt_status config_append_item(const char *text, size_t n, config_format format,
                                         bt_str *out, bt_error *err);
BT_MUST_USE bt_status config_end_list(size_t n, config_format format, bt_str *out, bt_error *err);
/* "name": text, as JSON has it; after a comma unless it is the first. */
BT_MUST_USE bt_status config_append_member(bt_str *object, const char *name, const char *text,
                                           bt_error *err);

#endif
