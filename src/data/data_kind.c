/* SPDX-License-Identifier: Apache-2.0
 *
 * What kind of input files are: by their names, and what is known by its first bytes and not read
 * here. */
#include <string.h>

#include "data_internal.h"

static bool ends_with_nocase(const char *text, size_t n, const char *suffix) {
    const size_t n_suffix = strlen(suffix);
    for (size_t i = 0; i < n_suffix && n >= n_suffix; i++) {
        const char c = text[n - n_suffix + i];
        if ((c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c) != suffix[i]) {
            return false;
        }
    }
    return n >= n_suffix;
}

const char *bt_data_packed_ending(const char *path) {
    static const char *const endings[] = {".gz", ".bz2", ".xz", ".zst", ".zip"};
    for (size_t i = 0; i < BT_ARRAY_LEN(endings); i++) {
        if (ends_with_nocase(path, strlen(path), endings[i])) {
            return endings[i];
        }
    }
    return NULL;
}

bt_data_table bt_data_table_by_name(const char *path) {
    static const struct {
        const char   *ending;
        bt_data_table table;
    } rows[] = {{".tsv", BT_TABLE_TSV},
                {".csv", BT_TABLE_CSV},
                {".jsonl", BT_TABLE_JSONL},
                {".json", BT_TABLE_JSONL},
                {".ndjson", BT_TABLE_JSONL}};
    const char *const packed = bt_data_packed_ending(path);
    const size_t      n = strlen(path) - (packed != NULL ? strlen(packed) : 0);
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        if (ends_with_nocase(path, n, rows[i].ending)) {
            return rows[i].table;
        }
    }
    return BT_TABLE_NONE;
}

bt_status bt_data_refuse_columns(const char *path, const char *head, size_t n, bt_error *err) {
    static const struct {
        const char *what;
        const char *ending;
        const char *magic;
        const char *reader; /* of pandas */
    } rows[] = {
        {"a Parquet file", ".parquet", "PAR1", "import pandas; pandas.read_parquet"},
        {"an Arrow file", ".arrow", "ARROW1", "import datasets; datasets.Dataset.from_file"},
        {"a Feather file", ".feather", "FEA1", "import pandas; pandas.read_feather"},
        {"an Excel file", ".xlsx", NULL, "import pandas; pandas.read_excel"},
        {"an Excel file", ".xls", "\xd0\xcf\x11\xe0", "import pandas; pandas.read_excel"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        const size_t n_magic = rows[i].magic != NULL ? strlen(rows[i].magic) : 0;
        const bool   has_magic = head != NULL && n_magic > 0 && n >= n_magic &&
                               memcmp(head, rows[i].magic, n_magic) == 0;
        if (!has_magic && !ends_with_nocase(path, strlen(path), rows[i].ending)) {
            continue;
        }
        const bool is_dataset = strstr(rows[i].reader, "datasets") != NULL;
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s is %s, which is not read here; python3 -c \"%s('%s').to_json("
                       "'data.jsonl'%s)\" makes a table of it",
                       path, rows[i].what, rows[i].reader, path,
                       is_dataset ? "" : ", orient='records', lines=True, force_ascii=False");
    }
    return BT_OK;
}
