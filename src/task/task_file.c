/* SPDX-License-Identifier: Apache-2.0
 *
 * A file of predictions: lines go to a temporary file beside it until the pass is through, then it
 * appears, whole; several of one pass together. What a killed run left behind is finished or
 * removed when the next one begins. */
#include <stdio.h>
#include <string.h>

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

bt_status task_file_end_line(task_file *file, bt_error *err) {
    BT_TRY(bt_str_append_char(&file->line, '\n', err));
    BT_TRY(bt_fs_writer_write(file->writer, file->line.data, file->line.len, err));
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

bt_status task_append_tsv(bt_str *line, const char *text, bt_error *err) {
    return task_append_tsv_n(line, text, strlen(text), err);
}
