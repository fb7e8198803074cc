/* SPDX-License-Identifier: Apache-2.0
 *
 * What kind of input files are, by their names. */
#include <string.h>

#include "bt/base/str.h"
#include "data_internal.h"

bt_data_table data_table_by_name(const char *path) {
    static const struct {
        const char   *extension;
        bt_data_table table;
    } rows[] = {{".tsv", BT_TABLE_TSV},
                {".csv", BT_TABLE_CSV},
                {".jsonl", BT_TABLE_JSONL},
                {".json", BT_TABLE_JSONL},
                {".ndjson", BT_TABLE_JSONL}};
    const size_t n = strlen(path) - bt_text_packed_suffix(path, strlen(path));
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        if (bt_str_ends_with_nocase(path, n, rows[i].extension)) {
            return rows[i].table;
        }
    }
    return BT_TABLE_NONE;
}
