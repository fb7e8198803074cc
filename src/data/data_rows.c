/* SPDX-License-Identifier: Apache-2.0
 *
 * What all kinds of input share: the choice of the kind, the files that input_path names, and
 * which of them holds a row. */
#include <string.h>

#include "data_internal.h"

enum { MAX_PARTS = 1 << 20 };

bt_status bt_data_rows_open(const bt_data_config *config, const bt_data_schema *schema,
                            data_rows **out, bt_error *err) {
    if (schema->pairing != BT_PAIRING_NONE) {
        return bt_data_pairs_open(config, schema, out, err);
    }
    return schema->squad.vocab_file != NULL ? bt_data_squad_open(config, schema, out, err)
                                            : bt_data_records_open(config, schema, out, err);
}

void bt_data_rows_close(data_rows *rows) {
    if (rows != NULL) {
        rows->ops->close(rows);
    }
}

void bt_data_rows_deinit(data_rows *rows) {
    for (size_t i = 0; i < rows->n_parts; i++) {
        bt_free(rows->parts[i].path);
    }
    bt_free(rows->parts);
    *rows = (data_rows){0};
}

bt_status bt_data_rows_add_path(data_rows *rows, const char *path, bt_error *err) {
    BT_TRY(bt_grow(&rows->parts, &rows->cap_parts, rows->n_parts + 1, sizeof *rows->parts,
                   MAX_PARTS, err));
    char *const copy = bt_strdup(path);
    if (copy == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the path %s", path);
    }
    rows->parts[rows->n_parts] = (data_part){.path = copy};
    rows->n_parts++;
    return BT_OK;
}

/* As Model Garden: only * and ? make a pattern, so that "[0-9]" alone is a file's name. */
static bool is_pattern(const char *path) {
    return strpbrk(path, "*?") != NULL;
}

static bt_status add_matches(data_rows *rows, const char *pattern, bt_error *err) {
    bt_status   rc = BT_OK;
    bt_fs_names names = BT_FS_NAMES_INIT;
    BT_CHECK(bt_fs_glob(pattern, &names, err));
    if (names.n == 0) {
        rc = BT_FAIL(err, BT_E_IO, "input_path '%s' does not match any files", pattern);
        goto done;
    }
    for (size_t i = 0; i < names.n; i++) {
        BT_CHECK(bt_data_rows_add_path(rows, names.items[i], err));
    }
done:
    bt_fs_names_deinit(&names);
    return rc;
}

bt_status bt_data_rows_expand(data_rows *rows, const bt_data_config *config, bt_error *err) {
    for (size_t i = 0; i < config->n_paths; i++) {
        if (is_pattern(config->paths[i])) {
            BT_TRY(add_matches(rows, config->paths[i], err));
        } else {
            BT_TRY(bt_data_rows_add_path(rows, config->paths[i], err));
        }
    }
    if (rows->n_parts == 0) {
        return BT_FAIL(err, BT_E_CONFIG, "input_path is empty: no file to read records from");
    }
    return BT_OK;
}

size_t bt_data_rows_part_of(const data_rows *rows, int64_t row) {
    size_t low = 0; /* the last part whose first row is not beyond; empty parts come before it */
    size_t high = rows->n_parts;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (rows->parts[middle].first <= row) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}
