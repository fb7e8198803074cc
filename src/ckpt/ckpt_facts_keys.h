/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt, private: which keys a configuration beside weights may have. */
#ifndef BT_CKPT_FACTS_KEYS_H
#define BT_CKPT_FACTS_KEYS_H

#include <jansson.h>

#include "bt/base/status.h"

/* unknown: the names of keys that nothing here knows, as far as there is room; "": none.
 * BT_E_FORMAT: a known one holds another kind of value. */
BT_MUST_USE bt_status ckpt_facts_check_keys(const json_t *root, const char *path, char *unknown,
                                            size_t n_unknown, bt_error *err);

#endif
