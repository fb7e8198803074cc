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

/* The first bytes of a file that is known by its name alone; none where it cannot be read. */
static size_t peek(const char *path, char *head, size_t n) {
    bt_file *file = NULL;
    size_t   got = 0;
    if (bt_fs_open(path, &file, NULL) != BT_OK ||
        bt_fs_read_upto(file, 0, head, n, &got, NULL) != BT_OK) {
        got = 0;
    }
    bt_fs_close(file);
    return got;
}

bt_status bt_text_refuse_packed(const char *path, bt_error *err) {
    static const struct {
        const char *what;
        const char *extension;
        const char *magic;
    } rows[] = {
        {"bzip2", ".bz2", "BZh"},
        {"xz", ".xz",
         "\xfd"
         "7zXZ"},
        {"zstd", ".zst", "\x28\xb5\x2f\xfd"},
        {"zip", ".zip", "PK\x03\x04"},
    };
    char         head[8] = "";
    const size_t n = peek(path, head, sizeof head);
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        const size_t n_magic = strlen(rows[i].magic);
        if (n >= n_magic && memcmp(head, rows[i].magic, n_magic) == 0) {
            return BT_FAIL(err, BT_E_FORMAT,
                           "%s is packed with %s, and its name does not say what is in it: call "
                           "it .tsv%s, .csv%s or .jsonl%s (a table), or .conll%s (words with tags)",
                           path, rows[i].what, rows[i].extension, rows[i].extension,
                           rows[i].extension, rows[i].extension);
        }
    }
    return BT_OK;
}

bt_status bt_text_refuse_columns(const char *path, const char *head, size_t n, bt_error *err) {
    static const struct {
        const char *what;
        const char *extension; /* NULL: known by its bytes only */
        const char *magic;
        const char *reader; /* of pandas */
    } rows[] = {
        {"a Parquet file", ".parquet", "PAR1", "import pandas; pandas.read_parquet"},
        {"an Arrow file", NULL, "ARROW1",
         "import pandas; pandas.read_feather"}, /* Feather 2, too */
        {"an Arrow file", ".arrow", NULL, "import datasets; datasets.Dataset.from_file"},
        {"a Feather file", ".feather", "FEA1", "import pandas; pandas.read_feather"},
        {"an Excel file", ".xlsx", NULL, "import pandas; pandas.read_excel"},
        {"an Excel file", ".xls", "\xd0\xcf\x11\xe0", "import pandas; pandas.read_excel"},
    };
    char         own[8] = "";
    const size_t n_path = strlen(path);
    if (head == NULL && bt_str_ends_with_nocase(path, n_path, ".arrow")) {
        n = peek(path, own, sizeof own);
        head = own;
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        const size_t n_magic = rows[i].magic != NULL ? strlen(rows[i].magic) : 0;
        const bool   has_magic = head != NULL && n_magic > 0 && n >= n_magic &&
                               memcmp(head, rows[i].magic, n_magic) == 0;
        const bool is_called =
            rows[i].extension != NULL && bt_str_ends_with_nocase(path, n_path, rows[i].extension);
        if (!has_magic && !is_called) {
            continue;
        }
        const bool is_dataset = strstr(rows[i].reader, "datasets") != NULL;
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s is %s, which this program cannot read; python3 -c \"%s('%s').to_json("
                       "'data.jsonl'%s)\" converts it to a table",
                       path, rows[i].what, rows[i].reader, path,
                       is_dataset ? "" : ", orient='records', lines=True, force_ascii=False");
    }
    return BT_OK;
}
