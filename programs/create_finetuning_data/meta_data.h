/* SPDX-License-Identifier: Apache-2.0
 *
 * The text of a meta data file, byte for byte as Python's json.dumps(..., indent=4) makes it. */
#ifndef BT_META_DATA_H
#define BT_META_DATA_H

#include "bt/base/str.h"

enum { META_MAX_DEPTH = 8 };

typedef struct meta_data {
    bt_str text;
    char   closers[META_MAX_DEPTH]; /* of the mappings and lists that are open */
    size_t depth;
    bool   is_empty; /* nothing in the innermost one yet */
} meta_data;
#define META_DATA_INIT                                                                             \
    { .text = BT_STR_INIT, .depth = 0 }

void meta_deinit(meta_data *meta);

/* key: NULL for an element of a list, and for the outermost mapping. */
bt_status meta_open_map(meta_data *meta, const char *key, bt_error *err);
bt_status meta_open_list(meta_data *meta, const char *key, bt_error *err);
bt_status meta_close(meta_data *meta, bt_error *err); /* the innermost; the outermost adds an LF */
bt_status meta_put_int(meta_data *meta, const char *key, int64_t value, bt_error *err);
bt_status meta_put_bool(meta_data *meta, const char *key, bool value, bt_error *err);
bt_status meta_put_text(meta_data *meta, const char *key, const char *value, bt_error *err);

#endif
