/* SPDX-License-Identifier: Apache-2.0
 *
 * A file of predictions: lines go to a temporary file beside it until the pass is through, then it
 * appears, whole; several of one pass together. What a killed run left behind is finished or
 * removed when the next one begins. */
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "task_internal.h"

bt_status task_file_begin(task_file *file, const char *path, bt_error *err) {
    char *folder = NULL;
    task_file_abort(file);
    BT_TRY(bt_fs_parent(path, &folder, err));
    bt_status rc = bt_fs_make_folders(folder, err);
    if (rc == BT_OK) {
        rc = bt_fs_finish_commits(folder, err); /* before a sweep: it names temporary files */
    }
    if (rc == BT_OK) {
        rc = bt_fs_sweep(folder, bt_fs_basename(path), err);
    }
    if (rc == BT_OK) {
        rc = bt_fs_writer_create(path, &file->writer, err);
    }
    bt_free(folder);
    return rc;
}

/* A column of TSV, whose escapes say what it holds, as one of CSV. */
static bt_status append_csv(bt_str *out, const char *column, size_t n, bt_error *err) {
    bool is_quoted = memchr(column, ',', n) != NULL || memchr(column, '"', n) != NULL;
    for (size_t i = 0; i + 1 < n && !is_quoted; i++) {
        is_quoted = column[i] == '\\' && (column[i + 1] == 'n' || column[i + 1] == 'r');
        i += column[i] == '\\' ? 1 : 0;
    }
    BT_TRY(bt_str_append(out, is_quoted ? "\"" : "", err));
    for (size_t i = 0; i < n; i++) {
        const bool is_escape = column[i] == '\\' && i + 1 < n;
        const char c = is_escape ? column[++i] : column[i];
        const char meant = !is_escape ? c : c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c;
        BT_TRY(bt_str_append(out, meant == '"' ? "\"" : "", err));
        BT_TRY(bt_str_append_char(out, meant, err));
    }
    return bt_str_append(out, is_quoted ? "\"" : "", err);
}

static bt_status convert_line(task_file *file, bt_error *err) {
    const char *at = bt_str_text(&file->line);
    for (;; at++) {
        const size_t n = strcspn(at, "\t");
        BT_TRY(append_csv(&file->csv, at, n, err));
        at += n;
        if (*at == '\0') {
            return BT_OK;
        }
        BT_TRY(bt_str_append_char(&file->csv, ',', err));
    }
}

bt_status task_file_end_line(task_file *file, bt_error *err) {
    bt_str *const line = file->is_csv ? &file->csv : &file->line;
    if (file->is_csv) {
        bt_str_clear(&file->csv);
        BT_TRY(convert_line(file, err));
    }
    BT_TRY(bt_str_append_char(line, '\n', err));
    BT_TRY(bt_fs_writer_write(file->writer, line->data, line->len, err));
    bt_str_clear(&file->line);
    return BT_OK;
}

bt_status task_file_publish(task_file *file, bt_error *err) {
    return bt_fs_writer_commit(&file->writer, err);
}

bt_status task_files_publish(task_file *const *files, size_t n, bt_error *err) {
    bt_fs_writer *writers[TASK_FILES_MAX];
    BT_ASSERT(n <= TASK_FILES_MAX);
    for (size_t i = 0; i < n; i++) {
        writers[i] = files[i]->writer;
    }
    const bt_status rc = bt_fs_writers_commit(writers, n, err);
    for (size_t i = 0; i < n; i++) {
        files[i]->writer = writers[i];
    }
    return rc;
}

void task_file_abort(task_file *file) {
    bt_fs_writer_abort(file->writer);
    file->writer = NULL;
    bt_str_clear(&file->line);
}

void task_file_deinit(task_file *file) {
    task_file_abort(file);
    bt_str_deinit(&file->line);
    bt_str_deinit(&file->csv);
}

bt_status task_append_tsv_n(bt_str *line, const char *text, size_t n, bt_error *err) {
    for (size_t i = 0; i < n; i++) {
        const char        c = text[i];
        const char *const escape = c == '\t'   ? "\\t"
                                   : c == '\n' ? "\\n"
                                   : c == '\r' ? "\\r"
                                   : c == '\\' ? "\\\\"
                                               : NULL;
        BT_TRY(escape != NULL ? bt_str_append(line, escape, err)
                              : bt_str_append_char(line, c, err));
    }
    return BT_OK;
}

bt_status task_append_f32(bt_str *line, float value, bt_error *err) {
    char text[BT_F64_TEXT_MAX];
    return bt_str_append(line, bt_f32_repr(value, text), err);
}

bt_status bt_task_append_tsv(bt_str *line, const char *text, bt_error *err) {
    return task_append_tsv_n(line, text, strlen(text), err);
}
