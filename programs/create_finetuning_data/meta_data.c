/* SPDX-License-Identifier: Apache-2.0
 *
 * See meta_data.h. */
#include "meta_data.h"

#include <inttypes.h>
#include <string.h>

#include "bt/text.h"

enum { INDENT = 4 };

void meta_deinit(meta_data *meta) {
    bt_str_deinit(&meta->text);
    *meta = (meta_data)META_DATA_INIT;
}

static bt_status put_line_end(meta_data *meta, bt_error *err) {
    return bt_str_appendf(&meta->text, err, "\n%*s", (int)(INDENT * meta->depth), "");
}

static bt_status put_string(bt_str *out, const char *value, bt_error *err) {
    return bt_text_append_json_ascii(out, value, strlen(value), err);
}

/* The comma, the new line and the key. */
static bt_status begin_item(meta_data *meta, const char *key, bt_error *err) {
    if (meta->depth > 0) {
        if (!meta->is_empty) {
            BT_TRY(bt_str_append_char(&meta->text, ',', err));
        }
        BT_TRY(put_line_end(meta, err));
    }
    meta->is_empty = false;
    if (key != NULL) {
        BT_TRY(put_string(&meta->text, key, err));
        BT_TRY(bt_str_append(&meta->text, ": ", err));
    }
    return BT_OK;
}

static bt_status open_item(meta_data *meta, const char *key, char opener, char closer,
                           bt_error *err) {
    BT_ASSERT(meta->depth < META_MAX_DEPTH);
    BT_TRY(begin_item(meta, key, err));
    meta->closers[meta->depth++] = closer;
    meta->is_empty = true;
    return bt_str_append_char(&meta->text, opener, err);
}

bt_status meta_open_map(meta_data *meta, const char *key, bt_error *err) {
    return open_item(meta, key, '{', '}', err);
}

bt_status meta_open_list(meta_data *meta, const char *key, bt_error *err) {
    return open_item(meta, key, '[', ']', err);
}

bt_status meta_close(meta_data *meta, bt_error *err) {
    const char closer = meta->closers[--meta->depth];
    if (!meta->is_empty) {
        BT_TRY(put_line_end(meta, err));
    }
    meta->is_empty = false;
    BT_TRY(bt_str_append_char(&meta->text, closer, err));
    return meta->depth == 0 ? bt_str_append_char(&meta->text, '\n', err) : BT_OK;
}

bt_status meta_put_int(meta_data *meta, const char *key, int64_t value, bt_error *err) {
    BT_TRY(begin_item(meta, key, err));
    return bt_str_appendf(&meta->text, err, "%" PRId64, value);
}

bt_status meta_put_bool(meta_data *meta, const char *key, bool value, bt_error *err) {
    BT_TRY(begin_item(meta, key, err));
    return bt_str_append(&meta->text, value ? "true" : "false", err);
}

bt_status meta_put_text(meta_data *meta, const char *key, const char *value, bt_error *err) {
    BT_TRY(begin_item(meta, key, err));
    return put_string(&meta->text, value, err);
}
