/* SPDX-License-Identifier: Apache-2.0
 *
 * remote, private to the fs room: files that are not local ones. A store is a row of functions
 * (gs://, s3://, https://, hf://); what the public interface promises on top of them (read-ahead,
 * blocks kept on disk, whole-file replace, appending, patterns) is made once for all of them. */
#ifndef BT_FS_REMOTE_H
#define BT_FS_REMOTE_H

#include "bt/fs.h"
#include "http.h"

enum { REMOTE_ETAG_MAX = 128 };

typedef struct remote_info {
    bt_fs_kind kind;
    int64_t    n_bytes;
    double     modified_unix;
    int64_t    version;               /* generation; BT_FS_ANY_VERSION where a store has none */
    char       etag[REMOTE_ETAG_MAX]; /* "" where there is none */
    bool       has_crc32c;
    uint32_t   crc32c;
    bool       no_ranges; /* the server gives whole files only */
} remote_info;

/* path is what the user wrote, scheme included. NULL: the store cannot. */
typedef struct remote_store {
    const char *scheme;
    bt_status (*stat)(const char *path, remote_info *out, bt_error *err);
    /* Exactly n bytes of the version that info tells of; another one: BT_E_IO. */
    bt_status (*read)(const char *path, const remote_info *info, int64_t offset, void *dst,
                      size_t n, const atomic_int *cancel, bt_error *err);
    bt_status (*download)(const char *path, const http_sink *sink, size_t max_bytes,
                          double limit_seconds, bt_error *err);
    /* A store that keeps whole files here: *fd is the file, open for reading; -1: not this one. */
    bt_status (*open_whole)(const char *path, int *fd, bt_error *err);
    /* Appends at most max_names of the paths below "scheme://bucket/prefix" (a path, not a folder);
     * one_level: up to the next slash, folders without it. Unsorted, each once. token: of the page,
     * "" for the first; becomes that of the next one, "" at the end. */
    bt_status (*list_page)(const char *prefix, bool one_level, int max_names, bt_fs_names *out,
                           bt_str *token, bt_error *err);
    /* The whole object at once; if_version as bt_fs_replace_if. *version: of the new one. */
    bt_status (*put)(const char *path, const void *bytes, size_t n, int64_t if_version,
                     int64_t *version, bt_error *err);
    bt_status (*upload_begin)(const char *path, void **upload, bt_error *err);
    /* Chunks of one size (a multiple of 256 KiB), less only with last, which makes the object
     * appear. */
    bt_status (*upload_chunk)(void *upload, const void *bytes, size_t n, bool last, bt_error *err);
    void (*upload_end)(void *upload); /* also gives up what was not finished */
    bt_status (*remove)(const char *path, bt_error *err);
} remote_store;

/* The store of a path; NULL: it is local. */
const remote_store *remote_store_of(const char *path);
/* BT_E_UNSUPPORTED in one sentence for a path whose scheme is not supported, or not built in. */
BT_MUST_USE bt_status remote_check(const char *path, bt_error *err);

/* store->stat; a file of a size that no store keeps is BT_E_FORMAT. */
BT_MUST_USE bt_status remote_look(const remote_store *store, const char *path, remote_info *out,
                                  bt_error *err);
/* The same, content with what a list told of the file while states are held: a checksum may be
 * missing. */
BT_MUST_USE bt_status remote_glance(const remote_store *store, const char *path, remote_info *out,
                                    bt_error *err);

/* What was told of files while states are held (remote_told.c); else nothing is kept. */
void remote_told_put(const char *path, const remote_info *info, bool is_all);
bool remote_told_get(const char *path, bool needs_all, remote_info *info);
void remote_told_forget(const char *path); /* it was written */

/* The crc32c of what is there, by reading all of it. */
BT_MUST_USE bt_status remote_read_back(const remote_store *store, const char *path,
                                       const remote_info *info, uint32_t *crc, bt_error *err);

/* BT_E_UNSUPPORTED for what can be read only. */
BT_MUST_USE bt_status remote_check_writable(const char *path, bt_error *err);

/* "scheme://bucket/name". */

typedef struct remote_name {
    char        bucket[256];
    const char *name; /* borrowed from path; "" for the bucket itself */
} remote_name;
/* BT_E_CONFIG when there is no bucket, or one that no store allows. */
BT_MUST_USE bt_status remote_name_parse(const char *path, remote_name *out, bt_error *err);

/* Reading. */

typedef struct block_file block_file; /* shared by all who have the same version open */

BT_MUST_USE bt_status block_file_open(const char *path, block_file **out, bt_error *err);
void                  block_file_close(block_file *file);
int64_t               block_file_size(const block_file *file);
const remote_info    *block_file_info(const block_file *file); /* of the version that is open */
/* As bt_fs_read_upto; the blocks after what is read are fetched ahead. */
BT_MUST_USE bt_status block_file_read(block_file *file, int64_t offset, void *dst, size_t n,
                                      size_t *got, bt_error *err);
/* A file without a name, for bytes that are only passing through. */
BT_MUST_USE bt_status remote_scratch_open(int *fd, bt_error *err);

/* Writing. */

typedef struct remote_writer remote_writer;

BT_MUST_USE bt_status remote_writer_create(const char *path, bool append, remote_writer **out,
                                           bt_error *err);
BT_MUST_USE bt_status remote_writer_write(remote_writer *writer, const void *bytes, size_t n,
                                          bt_error *err);
int64_t               remote_writer_offset(const remote_writer *writer);
/* An appended file is uploaded anew now and then; at_once: now. */
BT_MUST_USE bt_status remote_writer_flush(remote_writer *writer, bool at_once, bt_error *err);
BT_MUST_USE bt_status remote_writer_commit(remote_writer *writer, bt_error *err);
/* A last upload of an appended file whose uploads went well so far; nobody is told if it fails. */
void remote_writer_close_append(remote_writer *writer);
void remote_writer_free(remote_writer *writer); /* what is not committed is not there */

/* The rest of the public interface. */

BT_MUST_USE bt_status remote_stat(const char *path, bt_fs_info *out, bt_error *err);
BT_MUST_USE bt_status remote_read_all(const char *path, size_t max_bytes, char **out,
                                      size_t *n_bytes, bt_error *err);
/* For stat of a store: is there any name that begins with "path/"? */
BT_MUST_USE bt_status remote_has_below(const remote_store *store, const char *path, bool *any,
                                       bt_error *err);
BT_MUST_USE bt_status remote_list(const char *folder, bt_fs_names *out, bt_error *err);
BT_MUST_USE bt_status remote_glob(const char *pattern, bt_fs_names *out, bt_error *err);
BT_MUST_USE bt_status remote_remove(const char *path, bt_error *err);
BT_MUST_USE bt_status remote_replace_if(const char *path, const void *bytes, size_t n,
                                        int64_t if_version, int64_t *version, bt_error *err);

/* Hashes (remote_hash.c). */

/* crc of A and B one after another, from theirs. */
uint32_t remote_crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t n_b);
/* Big-endian, as x-goog-hash has it. */
uint32_t remote_crc32c_of_digest(const uint8_t digest[4]);
/* The same as base64. */
BT_MUST_USE bt_status remote_append_crc32c(bt_str *out, uint32_t crc, bt_error *err);

/* RFC 3339 or HTTP date -> seconds since 1970; 0 when it is none. */
double remote_parse_time(const char *text);

extern const remote_store remote_gcs;
extern const remote_store remote_s3;
extern const remote_store remote_web; /* https:// */
extern const remote_store remote_hf;

#endif
