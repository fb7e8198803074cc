/* SPDX-License-Identifier: Apache-2.0
 *
 * fs: one interface for files. Today every path is local; a path with a scheme ("gs://...",
 * "https://...") is refused in one sentence that names the scheme. Sizes and offsets are 64-bit.
 *
 * Promises: read failures are BT_E_IO, write failures BT_E_RESOURCE, and the message names the
 * path; what the replace writer publishes is either the old file or the whole new one, also after
 * a power cut. Not thread safe per object, but bt_fs_read_at on one bt_file may run in parallel.
 */
#ifndef BT_FS_H
#define BT_FS_H

#include "bt/base.h"

/* ---- what is there ----------------------------------------------------------------------------
 */

typedef enum bt_fs_kind {
    BT_FS_MISSING, /* nothing there */
    BT_FS_FILE,    /* a regular file, or something that reads like one (a pipe, a device) */
    BT_FS_FOLDER
} bt_fs_kind;

typedef struct bt_fs_info {
    bt_fs_kind kind;
    int64_t    n_bytes;       /* of a regular file, else 0 */
    double     modified_unix; /* seconds since 1970 */
} bt_fs_info;

/* Missing is not an error here; no permission to look is BT_E_IO. */
BT_MUST_USE bt_status bt_fs_stat(const char *path, bt_fs_info *out, bt_error *err);
/* BT_E_IO with a full sentence unless path is a readable file. n_bytes may be NULL. */
BT_MUST_USE bt_status bt_fs_require_file(const char *path, int64_t *n_bytes, bt_error *err);
BT_MUST_USE bt_status bt_fs_require_folder(const char *path, bt_error *err);
bool                  bt_fs_exists(const char *path); /* false also when it cannot be looked at */

/* ---- reading ----------------------------------------------------------------------------------
 */

typedef struct bt_file bt_file; /* open for reading at any place */

BT_MUST_USE bt_status bt_fs_open(const char *path, bt_file **out, bt_error *err);
void                  bt_fs_close(bt_file *file); /* accepts NULL */
int64_t               bt_fs_size(const bt_file *file);
const char           *bt_fs_path(const bt_file *file); /* borrowed until bt_fs_close */
/* Exactly n_bytes from offset, or BT_E_IO ("... ends at byte N, but bytes A..B are needed"). */
BT_MUST_USE bt_status bt_fs_read_at(const bt_file *file, int64_t offset, void *dst, size_t n_bytes,
                                    bt_error *err);
/* As many as there are: *got < n_bytes only at the end of the file. */
BT_MUST_USE bt_status bt_fs_read_upto(const bt_file *file, int64_t offset, void *dst,
                                      size_t n_bytes, size_t *got, bt_error *err);

/* A whole file in memory, NUL-terminated one byte behind n_bytes. Refuses more than max_bytes
 * (BT_E_FORMAT). The caller bt_free()s *out. */
BT_MUST_USE bt_status bt_fs_read_all(const char *path, size_t max_bytes, char **out,
                                     size_t *n_bytes, bt_error *err);

/* A whole file as bytes that need not be copied: mapped where that is possible, else read. */
typedef struct bt_fs_view {
    const uint8_t *data; /* never NULL after success, also for an empty file */
    size_t         n_bytes;
    void          *owned;  /* private */
    bool           mapped; /* private */
} bt_fs_view;
BT_MUST_USE bt_status bt_fs_view_open(const char *path, bt_fs_view *out, bt_error *err);
void                  bt_fs_view_close(bt_fs_view *view);

/* Front to back through a large buffer, with a hint to the system to read ahead. */
typedef struct bt_fs_stream bt_fs_stream;
BT_MUST_USE bt_status       bt_fs_stream_open(const char *path, bt_fs_stream **out, bt_error *err);
void                        bt_fs_stream_close(bt_fs_stream *stream);
int64_t                     bt_fs_stream_offset(const bt_fs_stream *stream); /* of the next byte */
int64_t     bt_fs_stream_size(const bt_fs_stream *stream); /* of the file when opened */
const char *bt_fs_stream_path(const bt_fs_stream *stream);
/* *got < n_bytes only at the end of the file. */
BT_MUST_USE bt_status bt_fs_stream_read(bt_fs_stream *stream, void *dst, size_t n_bytes,
                                        size_t *got, bt_error *err);
/* Moves on without reading; beyond the end the next read gets 0 bytes. */
BT_MUST_USE bt_status bt_fs_stream_seek(bt_fs_stream *stream, int64_t offset, bt_error *err);
/* One line without its LF (a CR stays), any length up to max_bytes (else BT_E_FORMAT). *line is
 * NUL-terminated and borrowed until the next call; *end is true (and *line NULL) after the last;
 * a last line without LF counts. */
BT_MUST_USE bt_status bt_fs_stream_line(bt_fs_stream *stream, size_t max_bytes, const char **line,
                                        size_t *n_bytes, bool *end, bt_error *err);

/* ---- writing ----------------------------------------------------------------------------------
 */

typedef struct bt_fs_writer bt_fs_writer;

/* Atomic replace: bytes go to a temporary file in path's own folder (which must exist) until
 * bt_fs_writer_commit. path must not be a folder. */
BT_MUST_USE bt_status bt_fs_writer_create(const char *path, bt_fs_writer **out, bt_error *err);
/* Appends to path, which is created when it is missing; commit and abort both only close it. */
BT_MUST_USE bt_status bt_fs_writer_append(const char *path, bt_fs_writer **out, bt_error *err);
BT_MUST_USE bt_status bt_fs_writer_write(bt_fs_writer *writer, const void *bytes, size_t n_bytes,
                                         bt_error *err);
int64_t     bt_fs_writer_offset(const bt_fs_writer *writer); /* bytes in the file so far */
const char *bt_fs_writer_path(const bt_fs_writer *writer);   /* the final path */
/* Hands what is buffered to the system; to_disk: also waits until the disk has it. */
BT_MUST_USE bt_status bt_fs_writer_flush(bt_fs_writer *writer, bool to_disk, bt_error *err);
/* Flush, fsync, rename over path, fsync the folder; then frees *writer and sets it to NULL. On
 * failure *writer stays and the caller aborts it: path is as it was. */
BT_MUST_USE bt_status bt_fs_writer_commit(bt_fs_writer **writer, bt_error *err);
/* The same for several files, which get their names in order once all are on the disk; the waiting
 * is shared. Those that have their name are freed and NULL, also on failure. */
BT_MUST_USE bt_status bt_fs_writers_commit(bt_fs_writer **writers, size_t n, bt_error *err);
void                  bt_fs_writer_abort(bt_fs_writer *writer); /* removes the temporary; NULL ok */

/* create + write + commit */
BT_MUST_USE bt_status bt_fs_replace(const char *path, const void *bytes, size_t n_bytes,
                                    bt_error *err);

/* ---- folders, names ---------------------------------------------------------------------------
 */

BT_MUST_USE bt_status bt_fs_make_folders(const char *path, bt_error *err); /* mkdir -p */
/* A file or an empty folder. Missing: BT_OK. */
BT_MUST_USE bt_status bt_fs_remove(const char *path, bt_error *err);

/* Makes path a symbolic link that says target (relative to path's folder), at once in place of a
 * link that is there. What is no link stays, and is BT_E_RESOURCE. */
BT_MUST_USE bt_status bt_fs_replace_link(const char *path, const char *target, bt_error *err);

typedef struct bt_fs_names {
    char **items; /* owned; sorted bytewise */
    size_t n;
    size_t cap;
} bt_fs_names;
#define BT_FS_NAMES_INIT                                                                           \
    { .items = NULL, .n = 0, .cap = 0 }
void bt_fs_names_deinit(bt_fs_names *names);
/* Names (not paths) of what is in a folder, "." and ".." left out. */
BT_MUST_USE bt_status bt_fs_list(const char *folder, bt_fs_names *out, bt_error *err);
/* The same in the file system's own order. */
BT_MUST_USE bt_status bt_fs_list_unsorted(const char *folder, bt_fs_names *out, bt_error *err);
/* Paths that match a shell pattern (* ? [..], not across '/'). No match: BT_OK and n = 0. */
BT_MUST_USE bt_status bt_fs_glob(const char *pattern, bt_fs_names *out, bt_error *err);

/* "folder/name" (no second slash after one that is there). The caller bt_free()s it. */
BT_MUST_USE bt_status bt_fs_join(const char *folder, const char *name, char **out, bt_error *err);
/* "a/b" of "a/b/c", "." of "c", "/" of "/c". The caller bt_free()s it. */
BT_MUST_USE bt_status bt_fs_parent(const char *path, char **out, bt_error *err);
const char           *bt_fs_basename(const char *path); /* borrowed part of path */

/* ---- tests: make the k-th operation from now fail (1 = next), once or from then on; 0 = never -
 */

typedef enum bt_fs_op {
    BT_FS_OP_OPEN,
    BT_FS_OP_READ,
    BT_FS_OP_WRITE,
    BT_FS_OP_FSYNC,
    BT_FS_OP_RENAME,
} bt_fs_op;
enum { BT_FS_N_OPS = 5 };
void     bt_fs_fail_at(bt_fs_op op, uint64_t k, bool persistent);
uint64_t bt_fs_op_count(bt_fs_op op); /* calls so far */

#endif
