/* SPDX-License-Identifier: Apache-2.0
 *
 * What kind of file one is by its name, and what is known by its first bytes and not read here. */
#include <string.h>

#include "bt/text.h"

static const char *const packings[] = {".gz", ".bz2", ".xz", ".zst", ".zip"};

size_t bt_text_packed_suffix(const char *path, size_t n) {
    for (size_t i = 0; i < BT_ARRAY_LEN(packings); i++) {
        if (bt_str_ends_with_nocase(path, n, packings[i])) {
            return strlen(packings[i]);
        }
    }
    return 0;
}

bt_status bt_text_refuse_columns(const char *path, const char *head, size_t n, bt_error *err) {
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
        if (!has_magic && !bt_str_ends_with_nocase(path, strlen(path), rows[i].ending)) {
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
