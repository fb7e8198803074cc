/* SPDX-License-Identifier: Apache-2.0
 *
 * A file that holds one JSON value. */
#include <jansson.h>

#include "bt/fs.h"

bt_status bt_fs_read_json(const char *path, size_t max_bytes, size_t flags, json_t **root,
                          bt_error *err) {
    char        *text = NULL;
    size_t       n_bytes = 0;
    json_error_t problem;
    *root = NULL;
    BT_TRY(bt_fs_read_all(path, max_bytes, &text, &n_bytes, err));
    *root = json_loadb(text, n_bytes, flags, &problem);
    bt_free(text);
    if (*root != NULL) {
        return BT_OK;
    }
    return json_error_code(&problem) == json_error_out_of_memory
               ? BT_FAIL(err, BT_E_NOMEM, "%s: out of memory for its JSON", path)
               : BT_FAIL(err, BT_E_FORMAT, "%s:%d:%d: not JSON (%s)", path, problem.line,
                         problem.column, problem.text);
}
