/* SPDX-License-Identifier: Apache-2.0
 *
 * What all kinds of input share: the choice of the kind, the files that input_path names, and
 * which of them holds a row. */
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/crc32c.h"
#include "data_internal.h"

enum { MAX_PARTS = 1 << 20, MAX_OPEN_FILES = 256 };

static bool is_folder(const char *path) {
    bt_fs_info info = {0};
    return !bt_fs_is_remote(path) && bt_fs_stat(path, &info, NULL) == BT_OK &&
           info.kind == BT_FS_FOLDER;
}

/* Before anything is made of its bytes. A folder is one of a folder a class. */
static bt_status find_one(const char *path, bt_data_table *out, bt_error *err) {
    BT_TRY(bt_text_refuse_columns(path, NULL, 0, err));
    *out = data_table_by_name(path);
    *out = *out == BT_TABLE_NONE && is_folder(path) ? BT_TABLE_JSONL : *out;
    return BT_OK;
}

/* All files must be of one kind: a stream has one order, one schema, one meaning of a row. */
bt_status bt_data_find_table(const bt_data_config *config, bt_data_table *out, bt_error *err) {
    data_rows rows = {0};
    bt_status rc = BT_OK;
    *out = config->table;
    if (config->table != BT_TABLE_NONE || config->gzip) {
        return BT_OK;
    }
    BT_CHECK(data_rows_expand(&rows, config, err));
    BT_CHECK(find_one(rows.parts[0].path, out, err));
    for (size_t i = 1; i < rows.n_parts; i++) {
        bt_data_table other = BT_TABLE_NONE;
        BT_CHECK(find_one(rows.parts[i].path, &other, err));
        if (other != *out) {
            rc = BT_FAIL(err, BT_E_CONFIG,
                         "%s and %s are files of different kinds (by their extensions): one input "
                         "is all .tsv, .csv, .jsonl or records; %s.file_type says what they are",
                         rows.parts[0].path, rows.parts[i].path, config->section);
            goto done;
        }
    }
done:
    data_rows_deinit(&rows);
    return rc;
}

/* Keys that would say nothing. */
bt_status data_check_table_keys(const bt_data_config *config, bt_data_table table, bt_error *err) {
    const bool        has_columns = table == BT_TABLE_TSV || table == BT_TABLE_CSV;
    const char *const section = config->section != NULL ? config->section : "the data";
    if (!has_columns && (config->delimiter != 0 || config->quote != 0)) {
        return BT_FAIL(err, BT_E_CONFIG, "%s.%s is for .tsv and .csv, which this input is not",
                       section, config->delimiter != 0 ? "delimiter" : "quote");
    }
    if (table == BT_TABLE_NONE && config->held_out != BT_HELD_OUT_ALL) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s.held_out is for tables of text, but this input is records: name other "
                       "records to evaluate on (--eval)",
                       section);
    }
    if (table == BT_TABLE_NONE && config->encoding != NULL) {
        return BT_FAIL(err, BT_E_CONFIG, "%s.encoding is for texts, but this input is records",
                       section);
    }
    return BT_OK;
}

bt_status data_rows_open(const bt_data_config *config, const bt_data_schema *schema,
                         data_rows **out, bt_error *err) {
    bt_data_table table = BT_TABLE_NONE;
    if (schema->pairing != BT_PAIRING_NONE) {
        return data_pairs_open(config, schema, out, err);
    }
    if (schema->squad.vocab_file != NULL) {
        return data_squad_open(config, schema, out, err);
    }
    if (schema->words.is_used) {
        return data_words_open(config, schema, out, err);
    }
    BT_TRY(bt_data_find_table(config, &table, err));
    if (schema->text.n_fields == 0 && is_folder(config->paths[0])) {
        table = BT_TABLE_NONE; /* no text is wanted */
    }
    BT_TRY(data_check_table_keys(config, table, err));
    return table == BT_TABLE_NONE ? data_records_open(config, schema, out, err)
                                  : data_table_open(config, schema, table, out, err);
}

void data_rows_close(data_rows *rows) {
    if (rows != NULL) {
        rows->ops->close(rows);
    }
}

bt_status data_rows_texts(data_rows *rows, int64_t row, const bt_text_span **texts, size_t *n,
                          bt_error *err) {
    *n = 0;
    return rows->ops->texts != NULL ? rows->ops->texts(rows, row, texts, n, err) : BT_OK;
}

void data_rows_deinit(data_rows *rows) {
    for (size_t i = 0; i < rows->n_parts; i++) {
        bt_free(rows->parts[i].path);
    }
    bt_free(rows->parts);
    *rows = (data_rows){0};
}

bt_status data_rows_add_path(data_rows *rows, const char *path, bt_error *err) {
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

/* What create-finetuning-data was killed in is finished, or the data are refused: never some files
 * of one run and some of another. */
static bt_status settle_folders(const char *path, bt_error *err) {
    bt_status   rc = BT_OK;
    bt_fs_names folders = BT_FS_NAMES_INIT;
    char       *folder = NULL;
    if (bt_fs_is_remote(path)) {
        return BT_OK;
    }
    BT_CHECK(bt_fs_parent(path, &folder, err));
    if (!is_pattern(folder)) {
        BT_CHECK(bt_fs_settle_commits(folder, err));
        goto done;
    }
    BT_CHECK(bt_fs_glob(folder, &folders, err));
    for (size_t i = 0; i < folders.n; i++) {
        BT_CHECK(bt_fs_settle_commits(folders.items[i], err));
    }
done:
    bt_fs_names_deinit(&folders);
    bt_free(folder);
    return rc;
}

static bt_status add_matches(data_rows *rows, const char *section, const char *pattern,
                             bt_error *err) {
    bt_status   rc = BT_OK;
    bt_fs_names names = BT_FS_NAMES_INIT;
    BT_CHECK(bt_fs_glob(pattern, &names, err));
    if (names.n == 0) {
        rc = BT_FAIL(err, BT_E_IO, "%s: the pattern '%s' does not match any files", section,
                     pattern);
        goto done;
    }
    for (size_t i = 0; i < names.n; i++) {
        BT_CHECK(data_rows_add_path(rows, names.items[i], err));
    }
done:
    bt_fs_names_deinit(&names);
    return rc;
}

bt_status data_rows_expand(data_rows *rows, const bt_data_config *config, bt_error *err) {
    const char *const section = config->section != NULL ? config->section : "the data";
    for (size_t i = 0; i < config->n_paths; i++) {
        BT_TRY(settle_folders(config->paths[i], err));
        if (is_pattern(config->paths[i])) {
            BT_TRY(add_matches(rows, section, config->paths[i], err));
        } else {
            BT_TRY(data_rows_add_path(rows, config->paths[i], err));
        }
    }
    if (rows->n_parts == 0) {
        return BT_FAIL(err, BT_E_CONFIG, "%s: input_path is empty: no file to read records from",
                       section);
    }
    return BT_OK;
}

void data_rows_add_content(data_rows *rows, const void *bytes, size_t n) {
    rows->has_content = true;
    rows->content = bt_crc32c(bt_crc32c(rows->content, &n, sizeof n), bytes, n);
}

size_t data_rows_part_of(const data_rows *rows, int64_t row) {
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

bt_status data_open_files_init(data_open_files *open, size_t n, bt_error *err) {
    *open = (data_open_files){.files = bt_calloc_array(n, sizeof *open->files), .n = n};
    return open->files != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for %zu files", n);
}

void data_open_files_deinit(data_open_files *open) {
    for (size_t i = 0; open->files != NULL && i < open->n; i++) {
        bt_fs_close(open->files[i]);
    }
    bt_free(open->files);
    *open = (data_open_files){0};
}

static void close_another(data_open_files *open) {
    while (open->n_open >= MAX_OPEN_FILES) {
        bt_file **const file = &open->files[open->next_to_close];
        open->next_to_close = (open->next_to_close + 1) % open->n;
        if (*file != NULL) {
            bt_fs_close(*file);
            *file = NULL;
            open->n_open--;
        }
    }
}

bt_status data_open_files_get(data_open_files *open, const data_rows *rows, size_t part,
                              bt_file **file, bt_error *err) {
    if (open->files[part] == NULL) {
        close_another(open);
        BT_TRY(bt_fs_open(rows->parts[part].path, &open->files[part], err));
        open->n_open++;
    }
    *file = open->files[part];
    return BT_OK;
}
