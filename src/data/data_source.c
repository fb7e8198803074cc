/* SPDX-License-Identifier: Apache-2.0
 *
 * Files -> numbered records. A plain TFRecord file is indexed by its headers (length checksums
 * verified) and read at the place of the record, data checksum verified then; a gzip stream cannot
 * be entered in the middle, so its records are unpacked into memory at open. */
#include <string.h>

#include "data_internal.h"

enum { MAX_OPEN_FILES = 256, MAX_FILES = 1 << 20 };

static void file_deinit(data_file *file) {
    bt_free(file->path);
    bt_fs_close(file->file);
    bt_tfrecord_index_deinit(&file->index);
    bt_str_deinit(&file->unpacked);
}

void bt_data_source_deinit(data_source *source) {
    for (size_t i = 0; i < source->n_files; i++) {
        file_deinit(&source->files[i]);
    }
    bt_free(source->files);
    *source = (data_source){0};
}

static bt_status add_path(data_source *source, const char *path, bt_error *err) {
    BT_TRY(bt_grow(&source->files, &source->cap_files, source->n_files + 1, sizeof(data_file),
                   MAX_FILES, err));
    char *const copy = bt_strdup(path);
    if (copy == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the path %s", path);
    }
    source->files[source->n_files] = (data_file){.path = copy};
    source->n_files++;
    return BT_OK;
}

/* As Model Garden: only * and ? make a pattern, so that "[0-9]" alone is a file's name. */
static bool is_pattern(const char *path) {
    return strpbrk(path, "*?") != NULL;
}

static bt_status add_matches(data_source *source, const char *pattern, bt_error *err) {
    bt_status   rc = BT_OK;
    bt_fs_names names = BT_FS_NAMES_INIT;
    BT_CHECK(bt_fs_glob(pattern, &names, err));
    if (names.n == 0) {
        rc = BT_FAIL(err, BT_E_IO, "input_path '%s' does not match any files", pattern);
        goto done;
    }
    for (size_t i = 0; i < names.n; i++) {
        BT_CHECK(add_path(source, names.items[i], err));
    }
done:
    bt_fs_names_deinit(&names);
    return rc;
}

/* ---- gzip -------------------------------------------------------------------------------------
 */

static bt_status keep_record(data_file *file, size_t *cap, const bt_record *record, bt_error *err) {
    bt_tfrecord_index *const index = &file->index;
    const size_t             n = (size_t)index->n_records;
    BT_TRY(bt_grow(&index->offsets, cap, n + 2, sizeof *index->offsets, SIZE_MAX / 16, err));
    BT_TRY(bt_str_append_n(&file->unpacked, record->data.data, record->data.n_bytes, err));
    index->n_records++;
    index->offsets[n + 1] = (int64_t)file->unpacked.len;
    return BT_OK;
}

static bt_status unpack_file(data_file *file, bt_error *err) {
    bt_status           rc = BT_OK;
    bt_tfrecord_reader *reader = NULL;
    size_t              cap = 0;
    BT_CHECK(bt_grow(&file->index.offsets, &cap, 1, sizeof *file->index.offsets, 8, err));
    file->index.offsets[0] = 0;
    BT_CHECK(bt_tfrecord_open(file->path, BT_COMPRESSION_GZIP, &reader, err));
    for (;;) {
        bt_record record;
        bool      end = false;
        BT_CHECK(bt_tfrecord_next(reader, &record, &end, err));
        if (end) {
            break;
        }
        BT_CHECK(keep_record(file, &cap, &record, err));
    }
    file->index.n_trailing_bytes = bt_tfrecord_trailing_bytes(reader);
done:
    bt_tfrecord_close(reader);
    return rc;
}

/* ---- open -------------------------------------------------------------------------------------
 */

static bt_status index_file(data_source *source, data_file *file, bt_error *err) {
    BT_TRY(bt_fs_require_file(file->path, NULL, err));
    if (source->gzip) {
        BT_TRY(unpack_file(file, err));
    } else {
        BT_TRY(bt_tfrecord_index_build(file->path, &file->index, err));
    }
    if (file->index.n_trailing_bytes > 0) {
        bt_log(BT_LOG_WARNING,
               "%s: %" PRId64 " bytes after record %" PRId64
               " are no record and were ignored: is the file complete?",
               file->path, file->index.n_trailing_bytes, file->index.n_records);
    }
    file->first = source->n_records;
    source->n_records += file->index.n_records;
    return BT_OK;
}

bt_status bt_data_source_open(data_source *source, const bt_data_config *config, bt_error *err) {
    *source = (data_source){.gzip = config->gzip};
    for (size_t i = 0; i < config->n_paths; i++) {
        if (is_pattern(config->paths[i])) {
            BT_TRY(add_matches(source, config->paths[i], err));
        } else {
            BT_TRY(add_path(source, config->paths[i], err));
        }
    }
    for (size_t i = 0; i < source->n_files; i++) {
        BT_TRY(index_file(source, &source->files[i], err));
    }
    if (source->n_files == 0) {
        return BT_FAIL(err, BT_E_CONFIG, "input_path is empty: no file to read records from");
    }
    if (source->n_records == 0) {
        return BT_FAIL(err, BT_E_FORMAT, "%s: no records%s", source->files[0].path,
                       source->n_files > 1 ? ", nor in the other files of input_path" : "");
    }
    return BT_OK;
}

/* ---- read -------------------------------------------------------------------------------------
 */

static data_file *file_of(const data_source *source, int64_t record) {
    size_t low = 0; /* the last file whose first record is not beyond; empty files come before it */
    size_t high = source->n_files;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (source->files[middle].first <= record) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return &source->files[low];
}

const data_file *bt_data_source_file(const data_source *source, int64_t record) {
    return file_of(source, record);
}

/* Thousands of shards must not exhaust the process's descriptors. */
static void close_another(data_source *source) {
    while (source->n_open >= MAX_OPEN_FILES) {
        data_file *const file = &source->files[source->next_to_close];
        source->next_to_close = (source->next_to_close + 1) % source->n_files;
        if (file->file != NULL) {
            bt_fs_close(file->file);
            file->file = NULL;
            source->n_open--;
        }
    }
}

bt_status bt_data_source_read(data_source *source, int64_t record, bt_str *buffer, bt_record *out,
                              bt_error *err) {
    data_file *const file = file_of(source, record);
    const int64_t    i = record - file->first;
    if (source->gzip) {
        const int64_t begin = file->index.offsets[i];
        const int64_t end = file->index.offsets[i + 1];
        *out = (bt_record){
            .data = {(const uint8_t *)bt_str_text(&file->unpacked) + begin, (size_t)(end - begin)},
            .index = i,
            .offset = begin + 16 * i}; /* 16 bytes of framing a record */
        return BT_OK;
    }
    if (file->file == NULL) {
        close_another(source);
        BT_TRY(bt_fs_open(file->path, &file->file, err));
        source->n_open++;
    }
    return bt_tfrecord_read_at(file->file, &file->index, i, buffer, out, err);
}
