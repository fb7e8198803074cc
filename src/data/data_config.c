/* SPDX-License-Identifier: Apache-2.0
 *
 * The keys of task.train_data and task.validation_data that a stream obeys
 * (docs/model_garden/config.md 5.5). Checks what can be said without looking at a file. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/str.h"
#include "data_internal.h"

enum { LIST_ARENA_BYTES = 4096 };

/* Where a key of the section comes from, for messages. */
typedef struct key_reader {
    const bt_conf *conf;
    const char    *section;
    bt_error      *err;
    char           path[256];
} key_reader;

static const char *path_of(key_reader *reader, const char *key) {
    const size_t n_section = strlen(reader->section);
    const size_t n_key = strlen(key);
    BT_ASSERT(n_section + n_key + 2 <= sizeof reader->path);
    memcpy(reader->path, reader->section, n_section);
    reader->path[n_section] = '.';
    memcpy(reader->path + n_section + 1, key, n_key + 1);
    return reader->path;
}

static bt_status refuse(key_reader *reader, const char *key, bt_status status, const char *text) {
    char              origin[BT_CONF_ORIGIN_MAX];
    const char *const path = path_of(reader, key);
    return BT_FAIL(reader->err, status, "%s (%s): %s", path,
                   bt_conf_origin(reader->conf, path, origin), text);
}

static bt_status read_i64(key_reader *reader, const char *key, int64_t fallback, int64_t *out) {
    const char *const path = path_of(reader, key);
    *out = fallback;
    return bt_conf_has(reader->conf, path) /* extension keys exist in some sections only */
               ? bt_conf_get_i64_or(reader->conf, path, fallback, out, NULL, reader->err)
               : BT_OK;
}

static bt_status read_bool(key_reader *reader, const char *key, bool *out) {
    const char *const path = path_of(reader, key);
    *out = false;
    if (bt_conf_is_null(reader->conf, path)) {
        return BT_OK; /* is_training: null is false, as in Model Garden */
    }
    return bt_conf_get_bool(reader->conf, path, out, reader->err);
}

static bt_status read_file_type(key_reader *reader, bt_data_config *out) {
    static const struct {
        const char   *type;
        bool          gzip;
        bt_data_table table;
    } rows[] = {
        {"tfrecord", false, BT_TABLE_NONE}, {"tfrecord_compressed", true, BT_TABLE_NONE},
        {"tsv", false, BT_TABLE_TSV},       {"csv", false, BT_TABLE_CSV},
        {"jsonl", false, BT_TABLE_JSONL},   {"lines", false, BT_TABLE_LINES},
    };
    const char *const path = path_of(reader, "file_type");
    const char       *type = "";
    if (bt_conf_is_null(reader->conf, path)) {
        return BT_OK;
    }
    BT_TRY(bt_conf_get_str(reader->conf, path, &type, reader->err));
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        if (bt_str_equal(type, rows[i].type)) {
            out->gzip = rows[i].gzip;
            out->table = rows[i].table;
            return BT_OK;
        }
    }
    return BT_OK; /* conll: words with tags, which the task knows */
}

/* A key that only sections of tables have. *out: NULL where it is empty. */
static bt_status read_table_key(key_reader *reader, const char *key, const char **out) {
    const char *const path = path_of(reader, key);
    *out = NULL;
    if (!bt_conf_has(reader->conf, path) || bt_conf_is_null(reader->conf, path)) {
        return BT_OK;
    }
    BT_TRY(bt_conf_get_str(reader->conf, path, out, reader->err));
    *out = (*out)[0] != '\0' ? *out : NULL;
    return BT_OK;
}

/* "tab" and \t as people write it; else the one character that it is. false: neither. */
static bool read_character(const char *text, char *out) {
    const bool is_tab = bt_str_equal_nocase(text, "tab") || bt_str_equal(text, "\\t");
    *out = is_tab ? '\t' : text[0];
    return is_tab ||
           (text[1] == '\0' && (text[0] & 0x80) == 0 && text[0] != '\r' && text[0] != '\n');
}

const char *bt_data_set_separators(bt_data_config *config, const char *delimiter, const char *quote,
                                   const char **key) {
    *key = "delimiter";
    if (delimiter != NULL && !read_character(delimiter, &config->delimiter)) {
        return "expected one ASCII character (',', ';', '|', ...) or tab";
    }
    *key = "quote";
    if (bt_str_equal(quote, "none")) {
        config->quote = BT_DATA_NO_QUOTE;
    } else if (quote != NULL && !read_character(quote, &config->quote)) {
        return "expected one ASCII character or none";
    }
    return config->quote != 0 && config->quote == config->delimiter
               ? "the same character as delimiter"
               : NULL;
}

bt_text_encoding data_encoding(const bt_data_config *config) {
    bt_text_encoding  out = {.name = config->encoding};
    const char *const section = config->section != NULL ? config->section : "the data";
    if (config->encoding_key != NULL) {
        (void)snprintf(out.key, sizeof out.key, "%s", config->encoding_key);
    } else {
        (void)snprintf(out.key, sizeof out.key, "%s.encoding", section);
    }
    return out;
}

/* Which rows; both sections say the same share, seed and fold. */
static bt_status read_held_out(key_reader *reader, bt_data_config *out) {
    const char *word = NULL;
    int64_t     seed = 0;
    BT_TRY(read_table_key(reader, "held_out", &word));
    if (word == NULL) {
        return BT_OK;
    }
    out->held_out = bt_str_equal(word, "only") ? BT_HELD_OUT_ONLY : BT_HELD_OUT_WITHOUT;
    BT_TRY(read_i64(reader, "held_out_seed", 0, &seed));
    out->held_out_seed = (uint64_t)seed;
    BT_TRY(read_i64(reader, "held_out_fold", 0, &out->held_out_fold));
    return bt_conf_get_f64(reader->conf, path_of(reader, "held_out_share"), &out->held_out_share,
                           reader->err);
}

static bt_status read_table_keys(key_reader *reader, bt_data_config *out) {
    const char *delimiter = NULL;
    const char *quote = NULL;
    BT_TRY(read_held_out(reader, out));
    BT_TRY(read_table_key(reader, "encoding", &out->encoding));
    BT_TRY(read_table_key(reader, "delimiter", &delimiter));
    BT_TRY(read_table_key(reader, "quote", &quote));
    const char       *key = NULL;
    const char *const problem = bt_data_set_separators(out, delimiter, quote, &key);
    return problem == NULL ? BT_OK : refuse(reader, key, BT_E_CONFIG, problem);
}

/* "a, b ,,c" -> "a" "b" "c" */
static bt_status split_paths(const bt_conf_str_list *list, bt_arena *arena, const char *const **out,
                             size_t *n_out, bt_error *err) {
    size_t most = 0;
    for (size_t i = 0; i < list->n; i++) {
        most++;
        for (const char *p = list->items[i]; *p != '\0'; p++) {
            most += *p == ',' ? 1 : 0;
        }
    }
    const char **const paths = bt_arena_alloc_array(arena, most, sizeof *paths);
    size_t             n = 0;
    bool               ok = paths != NULL;
    for (size_t i = 0; ok && i < list->n; i++) {
        const char *p = list->items[i];
        while (ok && *p != '\0') {
            p += strspn(p, ", \t\r\n");
            size_t            length = strcspn(p, ",");
            const char *const next = p + length;
            while (length > 0 && strchr(" \t\r\n", p[length - 1]) != NULL) {
                length--;
            }
            if (length > 0) {
                paths[n] = bt_arena_strndup(arena, p, length);
                ok = paths[n++] != NULL;
            }
            p = next;
        }
    }
    if (!ok) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for input_path");
    }
    *out = paths;
    *n_out = n;
    return BT_OK;
}

static bt_status read_paths(key_reader *reader, bt_arena *arena, bt_data_config *out) {
    bt_conf_str_list list = {0};
    BT_TRY(bt_conf_get_str_list(reader->conf, path_of(reader, "input_path"), &list, reader->err));
    BT_TRY(split_paths(&list, arena, &out->paths, &out->n_paths, reader->err));
    if (out->n_paths == 0) {
        return refuse(reader, "input_path", BT_E_CONFIG,
                      "names no file; expected record files: a path, a list, or a pattern");
    }
    return BT_OK;
}

static bt_status read_right_paths(key_reader *reader, bt_arena *arena, bt_data_config *out) {
    const char *const path = path_of(reader, "right_input_path");
    bt_conf_str_list  list = {0};
    if (bt_conf_is_null(reader->conf, path)) {
        return BT_OK; /* most sections have no such key */
    }
    BT_TRY(bt_conf_get_str_list(reader->conf, path, &list, reader->err));
    return split_paths(&list, arena, &out->right_paths, &out->n_right_paths, reader->err);
}

bt_status bt_data_config_read(const bt_conf *conf, const char *section, uint64_t default_seed,
                              bt_arena *arena, bt_data_config *out, bt_error *err) {
    key_reader reader = {.conf = conf, .section = section, .err = err};
    int64_t    seed = 0;
    bool       no_seed = true;
    *out = (bt_data_config){.section = section};
    BT_TRY(read_paths(&reader, arena, out));
    BT_TRY(read_right_paths(&reader, arena, out));
    BT_TRY(read_i64(&reader, "global_batch_size", 0, &out->global_batch_size));
    BT_TRY(read_bool(&reader, "is_training", &out->is_training));
    BT_TRY(read_bool(&reader, "drop_remainder", &out->drop_remainder));
    BT_TRY(read_i64(&reader, "shuffle_buffer_size", 1, &out->shuffle_buffer_size));
    BT_TRY(read_i64(&reader, "cycle_length", 0, &out->cycle_length));
    BT_TRY(read_i64(&reader, "block_length", 1, &out->block_length));
    BT_TRY(read_i64(&reader, "skip_bad_records", 0, &out->skip_bad_records));
    BT_TRY(read_i64(&reader, "epochs", 0, &out->epochs));
    BT_TRY(read_file_type(&reader, out));
    BT_TRY(read_table_keys(&reader, out));
    BT_TRY(bt_conf_get_str(conf, "runtime.data_index", &out->index, err));
    if (out->index[0] == '\0') {
        return BT_FAIL(err, BT_E_CONFIG,
                       "runtime.data_index is empty, expected auto, none or a folder: none keeps "
                       "no index");
    }
    BT_TRY(bt_conf_get_i64_or(conf, path_of(&reader, "seed"), 0, &seed, &no_seed, err));
    out->seed = no_seed ? default_seed : (uint64_t)seed;
    return BT_OK;
}

void bt_data_config_fit(bt_data_config *config, const bt_data_schema *schema) {
    if (schema->squad.vocab_file != NULL && schema->squad.use != BT_SQUAD_TRAIN) {
        config->is_training = false;
        config->drop_remainder = false;
    }
}

bt_status bt_data_list_files(const bt_conf *conf, const char *section, bt_fs_names *out,
                             bt_error *err) {
    key_reader     reader = {.conf = conf, .section = section, .err = err};
    bt_data_config config = {.section = section};
    data_rows      rows = {0};
    bt_arena       arena = {0};
    bt_fs_names    names = BT_FS_NAMES_INIT;
    bt_status      rc = BT_OK;
    BT_TRY(bt_arena_init(&arena, LIST_ARENA_BYTES, err));
    BT_CHECK(read_paths(&reader, &arena, &config));
    BT_CHECK(data_rows_expand(&rows, &config, err));
    for (size_t i = 0; i < rows.n_parts; i++) {
        BT_CHECK(bt_grow(&names.items, &names.cap, i + 1, sizeof *names.items, SIZE_MAX / 16, err));
        names.items[i] = rows.parts[i].path;
        rows.parts[i].path = NULL;
        names.n++;
    }
    *out = names;
    names = (bt_fs_names)BT_FS_NAMES_INIT;
done:
    bt_fs_names_deinit(&names);
    data_rows_deinit(&rows);
    bt_arena_deinit(&arena);
    return rc;
}
