/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of handles: hosts retire, modules move. */
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "hub_internal.h"

enum { TABLE_MAX_BYTES = 1 << 20 };

static const char built_in[] =
#include "hub_handles.inc"
    ;

bt_status hub_load_table(char **table, bt_error *err) {
    const char *const path = getenv("BERT_TRAIN_HUB_HANDLES");
    size_t            n = 0;
    if (path != NULL && path[0] != '\0') {
        return bt_fs_read_all(path, TABLE_MAX_BYTES, table, &n, err);
    }
    *table = bt_strdup(built_in);
    return *table != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for the handle table");
}

/* place with the rest of the handle (without a query) for its *. */
static bt_status fill_in(const char *place, size_t n_place, const char *rest, char **url,
                         bt_error *err) {
    bt_str       text = BT_STR_INIT;
    bt_status    rc = BT_OK;
    const size_t n_rest = strcspn(rest, "?#");
    for (size_t i = 0; i < n_place; i++) {
        if (place[i] == '*') {
            BT_CHECK(bt_str_append_n(&text, rest, n_rest, err));
        } else {
            BT_CHECK(bt_str_append_char(&text, place[i], err));
        }
    }
    *url = bt_str_take(&text);
done:
    bt_str_deinit(&text);
    return rc;
}

bt_status bt_hub_other_place(const char *table, const char *handle, size_t n, char **url,
                             bt_error *err) {
    *url = NULL;
    for (const char *line = table; *line != '\0';) {
        const size_t      n_line = strcspn(line, "\n");
        const size_t      n_start = strcspn(line, " \t\r\n");
        const char *const place = line + n_start + strspn(line + n_start, " \t");
        const size_t      n_place = strcspn(place, " \t\r\n");
        if (line[0] != '#' && n_start > 0 && n_place > 0 && place < line + n_line &&
            strncmp(handle, line, n_start) == 0 && n-- == 0) {
            return fill_in(place, n_place, handle + n_start, url, err);
        }
        line += n_line + (line[n_line] == '\n' ? 1 : 0);
    }
    return BT_OK;
}
