/* SPDX-License-Identifier: Apache-2.0
 *
 * A folder of a folder a class, as IMDB and scikit-learn's load_files have it: pos/1.txt,
 * neg/2.txt. It is a table of two columns, text and label: lines of JSON in the file without a
 * name. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/json_text.h"
#include "bt/base/log.h"
#include "bt/base/stop.h"
#include "data_table.h"

static bool is_text_name(const char *name) {
    return name[0] != '.' && bt_str_ends_with(name, ".txt");
}

static bt_status append_row(const char *text, size_t n, const char *label, bt_fs_scratch *out,
                            bt_str *row, bt_error *err) {
    bt_str_clear(row);
    BT_TRY(bt_str_append(row, "{\"text\": ", err));
    BT_TRY(bt_text_append_json_ascii(row, text, n, err));
    BT_TRY(bt_str_append(row, ", \"label\": ", err));
    BT_TRY(bt_str_append_json(row, label, err));
    BT_TRY(bt_str_append(row, "}\n", err));
    return bt_fs_scratch_append(out, bt_str_text(row), row->len, err);
}

static bt_status add_file(const char *path, const char *label, const table_wish *wish,
                          bt_fs_scratch *out, bt_str *row, bt_error *err) {
    char     *text = NULL;
    size_t    n = 0;
    bt_status rc = BT_OK;
    BT_CHECK(bt_stop_check(err));
    BT_CHECK(bt_fs_read_all(path, TABLE_ROW_MAX_BYTES / 8, &text, &n, err));
    const char *const begin = n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? text + 3 : text;
    n -= (size_t)(begin - text);
    const size_t valid = bt_text_utf8_valid_prefix(begin, n);
    if (valid < n || memchr(begin, '\0', n) != NULL) {
        char advice[BT_TEXT_ADVICE_MAX] = "";
        rc = BT_FAIL(
            err, BT_E_FORMAT, "%s: %s%s", path,
            valid < n ? "not valid UTF-8" : "a NUL byte: is this a text file?",
            valid < n ? bt_text_encoding_advice(wish->encoding.key, begin, n, valid, advice) : "");
        goto done;
    }
    rc = append_row(begin, n, label, out, row, err);
done:
    bt_free(text);
    return rc;
}

/* The .txt files of one class. */
static bt_status add_class(const char *folder, const char *label, const table_wish *wish,
                           bt_fs_scratch *out, int64_t *n_others, bt_error *err) {
    bt_status   rc = BT_OK;
    bt_fs_names names = BT_FS_NAMES_INIT;
    bt_str      row = BT_STR_INIT;
    char       *path = NULL;
    BT_CHECK(bt_fs_list(folder, &names, err));
    for (size_t i = 0; i < names.n; i++) {
        if (!is_text_name(names.items[i])) {
            *n_others += names.items[i][0] != '.' ? 1 : 0;
            continue;
        }
        BT_CHECK(bt_fs_join(folder, names.items[i], &path, err));
        BT_CHECK(add_file(path, label, wish, out, &row, err));
        bt_free(path);
        path = NULL;
    }
done:
    bt_free(path);
    bt_str_deinit(&row);
    bt_fs_names_deinit(&names);
    return rc;
}

static bt_status add_classes(const char *folder, const bt_fs_names *names, const table_wish *wish,
                             bt_fs_scratch *out, bt_error *err) {
    int64_t n_classes = 0;
    int64_t n_others = 0;
    for (size_t i = 0; i < names->n; i++) {
        bt_fs_info info = {0};
        char      *path = NULL;
        BT_TRY(bt_fs_join(folder, names->items[i], &path, err));
        bt_status  rc = bt_fs_stat(path, &info, err);
        const bool is_class = info.kind == BT_FS_FOLDER && names->items[i][0] != '.';
        if (rc == BT_OK && is_class) {
            rc = add_class(path, names->items[i], wish, out, &n_others, err);
        }
        n_classes += is_class ? 1 : 0;
        n_others += is_class || names->items[i][0] == '.' ? 0 : 1;
        bt_free(path);
        BT_TRY(rc);
    }
    if (n_classes == 0) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s is a folder without folders in it: expected one a class, with .txt "
                       "files, or name files (%s/*)",
                       folder, folder);
    }
    if (n_others > 0) {
        bt_log(BT_LOG_WARNING,
               "%s: a folder a class is read: left out, as no .txt files in one, are %" PRId64,
               folder, n_others);
    }
    return BT_OK;
}

bt_status table_read_folder(const table_wish *wish, const char *folder, bt_fs_scratch *out,
                            bt_error *err) {
    bt_fs_names names = BT_FS_NAMES_INIT;
    if (wish->encoding.name != NULL) {
        return BT_FAIL(err, BT_E_CONFIG, "%s: the files of a folder a class (%s) are UTF-8",
                       wish->encoding.key, folder);
    }
    BT_TRY(bt_fs_list(folder, &names, err));
    bt_status rc = add_classes(folder, &names, wish, out, err);
    bt_fs_names_deinit(&names);
    return rc == BT_OK ? bt_fs_scratch_flush(out, err) : rc;
}
