/* SPDX-License-Identifier: Apache-2.0
 *
 * fs: one interface for files, local ones and those of stores: "gs://bucket/name" (Google Cloud
 * Storage) and "s3://bucket/name" are read and written, "https://..." and
 * "hf://owner/repository/..." (Hugging Face) are read. Sizes and offsets are 64-bit. Where a store
 * needs a library that is not built in, or a path has another scheme, one sentence says so
 * (BT_E_UNSUPPORTED).
 *
 * A store has no folders: one is there when some name begins with it, and needs not be made. Remote
 * files are read in blocks, several at a time and ahead of the reader; blocks are kept in a
 * nameless file in TMPDIR, so that reading again or in any order costs one transfer. Requests are
 * repeated on faults that pass, within BERT_TRAIN_RETRY_SECONDS (300).
 *
 * Promises: read failures are BT_E_IO, write failures BT_E_RESOURCE, and the message names the
 * path; what the replace writer publishes is either the old file or the whole new one, also after
 * a power cut. Not thread safe per object, but bt_fs_read_at on one bt_file may run in parallel.
 */
#ifndef BT_FS_H
#define BT_FS_H

#include "bt/base/str.h"

/* What is there. */

typedef enum bt_fs_kind {
    BT_FS_MISSING, /* nothing there */
    BT_FS_FILE,    /* a regular file, or what is not a folder: see bt_fs_refuse_special */
    BT_FS_FOLDER
} bt_fs_kind;

typedef struct bt_fs_info {
    bt_fs_kind kind;
    int64_t    n_bytes;       /* of a regular file, else 0 */
    double     modified_unix; /* seconds since 1970 */
    int64_t    version;       /* which state of the file: for bt_fs_replace_if */
} bt_fs_info;

/* The version of what has none: a local file, a store without conditions. */
enum { BT_FS_ANY_VERSION = -1 };

bool bt_fs_is_remote(const char *path); /* by its scheme */

/* Which state of a file this is. Two stamps of one path are equal as long as nobody wrote to it:
 * also whoever puts its size and times back changes it. */
enum { BT_FS_STAMP_MAX = 224 };
typedef struct bt_fs_stamp {
    char    text[BT_FS_STAMP_MAX]; /* "": cannot be told */
    int64_t n_bytes;
    bool    is_settled; /* whoever writes to it from now on gives it another one */
} bt_fs_stamp;
/* Waits some 20 ms where the file was written just now. Missing: as what cannot be told. */
BT_MUST_USE bt_status bt_fs_stamp_take(const char *path, bt_fs_stamp *out, bt_error *err);

/* Between the two, what a store said of a file is believed by this thread: for files that are read
 * and not waited for, so that each is looked at once, or not at all where a pattern's list told of
 * it. A file that is replaced meanwhile is an error when it is read. They may be nested. */
void bt_fs_hold_states(void);
void bt_fs_let_states(void);

/* Missing is not an error here; no permission to look is BT_E_IO. */
BT_MUST_USE bt_status bt_fs_stat(const char *path, bt_fs_info *out, bt_error *err);
/* BT_E_IO with a full sentence unless path is a readable file. n_bytes may be NULL. */
BT_MUST_USE bt_status bt_fs_require_file(const char *path, int64_t *n_bytes, bt_error *err);
/* BT_E_IO when path is there and is a pipe, a socket or a device: whoever opens it may wait for
 * ever. Not /dev/null, and not the descriptors of this process (/dev/stdin, /dev/fd/N), which are
 * read as they are. All functions here that read refuse the same. */
BT_MUST_USE bt_status bt_fs_refuse_special(const char *path, bt_error *err);
/* Is it one of those descriptors, and no file: can it be read but once, from its begin to its end?
 */
bool bt_fs_is_pipe(const char *path);
/* Before work whose result goes to path: BT_E_IO when something is there that is not a regular file
 * (or no folder, as wanted says), links followed, or a link that leads nowhere. Nothing there, and
 * paths of stores, are BT_OK. */
BT_MUST_USE bt_status bt_fs_check_place(const char *path, bt_fs_kind wanted, bt_error *err);
BT_MUST_USE bt_status bt_fs_require_folder(const char *path, bt_error *err);
/* Is something there? One that cannot be looked at (a store that fails) is an error, not false. */
BT_MUST_USE bt_status bt_fs_look(const char *path, bool *is_there, bt_error *err);
bool                  bt_fs_exists(const char *path); /* false also when it cannot be looked at */

/* Reading. */

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

/* A whole file in memory, NUL-terminated one byte after n_bytes. Refuses more than max_bytes
 * (BT_E_FORMAT). The caller bt_free()s *out. */
BT_MUST_USE bt_status bt_fs_read_all(const char *path, size_t max_bytes, char **out,
                                     size_t *n_bytes, bt_error *err);
struct json_t;
struct json_error_t;
/* json_loadb, the one way to read JSON. BT_OK with *root NULL: not JSON, *problem (may be NULL)
 * says why and where. BT_E_NOMEM: memory was refused, so nothing is known. The caller
 * json_decref()s. */
BT_MUST_USE bt_status bt_json_load(const char *text, size_t n_bytes, size_t flags,
                                   struct json_t **root, struct json_error_t *problem,
                                   bt_error *err);
/* json_dumps; a value of NULL (a json_pack that failed) is out of memory as well. */
BT_MUST_USE bt_status bt_json_append(bt_str *out, const struct json_t *value, size_t flags,
                                     bt_error *err);
/* Before other calls of jansson that make something: was memory refused since then, on this thread?
 */
void bt_json_watch(void);
bool bt_json_was_refused(void);

/* BT_E_FORMAT, by name and with the command that helps, when a file of these first bytes (512 are
 * enough) is something else in place of what was meant: a Git LFS pointer (whoever opens a
 * local one is told so by itself), an HTML page, a file of PyTorch or Keras. */
BT_MUST_USE bt_status bt_fs_refuse_stranger(const char *path, const void *bytes, size_t n_bytes,
                                            bt_error *err);
/* The same of a local file; BT_OK when it cannot be read, and for remote ones. */
BT_MUST_USE bt_status bt_fs_refuse_stranger_file(const char *path, bt_error *err);
/* The sentences alone, for a file that is known by its name: always BT_E_FORMAT. */
BT_MUST_USE bt_status bt_fs_refuse_torch(const char *path, bt_error *err);
BT_MUST_USE bt_status bt_fs_refuse_keras(const char *path, bt_error *err);

/* A whole file of JSON; flags: jansson's (0, JSON_ALLOW_NUL...). BT_E_FORMAT with line and column
 * where it is none. The caller json_decref()s *root. */
BT_MUST_USE bt_status bt_fs_read_json(const char *path, size_t max_bytes, size_t flags,
                                      struct json_t **root, bt_error *err);

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
/* A file without a name in TMPDIR (else /tmp), which goes with the process: what is unpacked and
 * too large for memory. what: of which file, for messages. Written from front to back; flushed
 * once, and read afterwards. BT_E_RESOURCE: no room there. */
typedef struct bt_fs_scratch bt_fs_scratch;
BT_MUST_USE bt_status bt_fs_scratch_create(const char *what, bt_fs_scratch **out, bt_error *err);
void                  bt_fs_scratch_close(bt_fs_scratch *scratch); /* accepts NULL */
int64_t               bt_fs_scratch_size(const bt_fs_scratch *scratch);
BT_MUST_USE bt_status bt_fs_scratch_append(bt_fs_scratch *scratch, const void *bytes,
                                           size_t n_bytes, bt_error *err);
BT_MUST_USE bt_status bt_fs_scratch_flush(bt_fs_scratch *scratch, bt_error *err);
BT_MUST_USE bt_status bt_fs_scratch_read(const bt_fs_scratch *scratch, int64_t offset, void *dst,
                                         size_t n_bytes, bt_error *err);

BT_MUST_USE bt_status bt_fs_stream_open(const char *path, bt_fs_stream **out, bt_error *err);
/* The bytes [begin, end) of what was flushed to scratch, which stays the caller's and outlives the
 * stream. Places count from 0; path: of which file they are, for messages. */
BT_MUST_USE bt_status bt_fs_stream_open_scratch(const bt_fs_scratch *scratch, int64_t begin,
                                                int64_t end, const char *path, bt_fs_stream **out,
                                                bt_error *err);
void                  bt_fs_stream_close(bt_fs_stream *stream);
int64_t               bt_fs_stream_offset(const bt_fs_stream *stream); /* of the next byte */
int64_t               bt_fs_stream_size(const bt_fs_stream *stream);   /* of the file when opened */
const char           *bt_fs_stream_path(const bt_fs_stream *stream);
/* From before the first read on: the crc32c of all bytes of the file. false at the end: it was not
 * read from its first byte to its last. */
void bt_fs_stream_sum(bt_fs_stream *stream);
bool bt_fs_stream_crc(const bt_fs_stream *stream, uint32_t *crc);
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

/* Writing. */

typedef struct bt_fs_writer bt_fs_writer;

/* Atomic replace: bytes go to a temporary file in path's own folder (which must exist) until
 * bt_fs_writer_commit: a new one, of a name that nobody can know before (NAME.tmp- and 16
 * hexadecimal digits). A file that is replaced hands on its permissions. path must not be a folder.
 * What is there and is not a regular file (a pipe, /dev/stdout) is written as it is. */
BT_MUST_USE bt_status bt_fs_writer_create(const char *path, bt_fs_writer **out, bt_error *err);
/* Appends to path, a regular file, which is created when it is missing; commit and abort both only
 * close it. In a store, which cannot append, the whole file is uploaded anew: by a flush when the
 * last upload was more than BERT_TRAIN_UPLOAD_SECONDS (30) ago, by a flush to_disk, and by commit
 * and abort. */
BT_MUST_USE bt_status bt_fs_writer_append(const char *path, bt_fs_writer **out, bt_error *err);
/* For a long local file that nobody reads soon: it goes to the disk while it is written, and what
 * is there leaves the page cache. Before the first write; without effect where there is no disk. */
void                  bt_fs_writer_pace(bt_fs_writer *writer);
BT_MUST_USE bt_status bt_fs_writer_write(bt_fs_writer *writer, const void *bytes, size_t n_bytes,
                                         bt_error *err);
int64_t     bt_fs_writer_offset(const bt_fs_writer *writer); /* bytes in the file so far */
const char *bt_fs_writer_path(const bt_fs_writer *writer);   /* the final path */
/* Hands what is buffered to the system; to_disk: also waits until the disk has it. */
BT_MUST_USE bt_status bt_fs_writer_flush(bt_fs_writer *writer, bool to_disk, bt_error *err);
/* The file has lost its name since it was opened: what is written goes nowhere. Local files only.
 */
bool bt_fs_writer_is_orphan(const bt_fs_writer *writer);
/* Flush, fsync, rename over path, fsync the folder; then frees *writer and sets it to NULL. On
 * failure *writer stays and the caller aborts it: path is as it was. */
BT_MUST_USE bt_status bt_fs_writer_commit(bt_fs_writer **writer, bt_error *err);
/* The same for several files, which get their names in order once all are on the disk; the waiting
 * is shared. All or none, as far as POSIX has it: a failure puts back what was there, and a kill
 * leaves a journal in each of their folders, from which bt_fs_finish_commits gives the rest their
 * names. (In a store each object appears by itself.) On success all writers are freed and NULL; on
 * failure the caller aborts them. */
BT_MUST_USE bt_status bt_fs_writers_commit(bt_fs_writer **writers, size_t n, bt_error *err);
void                  bt_fs_writer_abort(bt_fs_writer *writer); /* removes the temporary; NULL ok */

/* Finishes what a killed process had begun in the folder: to be called before several files are
 * written there again. A folder that is missing or remote, or may not be written, is none. */
BT_MUST_USE bt_status bt_fs_finish_commits(const char *folder, bt_error *err);
/* The same before files of the folder are read: BT_E_RESOURCE where some are of one run and some of
 * another and it cannot be finished, because the folder may not be written or a file is of another
 * user; a process at work is waited for, some seconds. */
BT_MUST_USE bt_status bt_fs_settle_commits(const char *folder, bt_error *err);

/* As bt_fs_replace, but only when the file is still in the state that if_version (of bt_fs_info;
 * BT_FS_ANY_VERSION: whatever it is) says; otherwise BT_E_RESOURCE: another process wrote it.
 * *version: of what was written. */
BT_MUST_USE bt_status bt_fs_replace_if(const char *path, const void *bytes, size_t n_bytes,
                                       int64_t if_version, int64_t *version, bt_error *err);
/* create + write + commit; not of a pipe, which would be waited for */
BT_MUST_USE bt_status bt_fs_replace(const char *path, const void *bytes, size_t n_bytes,
                                    bt_error *err);

/* Cuts a file off after its first n_bytes, in place, and waits until the disk has it. In a store
 * the first n_bytes are uploaded anew. */
BT_MUST_USE bt_status bt_fs_cut(const char *path, int64_t n_bytes, bt_error *err);

/* Folders, names. */

BT_MUST_USE bt_status bt_fs_make_folders(const char *path, bt_error *err); /* mkdir -p */
/* Could it be made, or, where it is there, files in it? BT_E_RESOURCE with the sentence that
 * trying would give; changes nothing. */
BT_MUST_USE bt_status bt_fs_check_writable(const char *folder, bt_error *err);
/* Could a file of that name be written: is there no folder of that name, and may its own folder be
 * written to (made, where it is missing)? appends: what is there must be writable itself. What is
 * not a regular file (a pipe, a descriptor) and paths of stores are left to who opens them. */
BT_MUST_USE bt_status bt_fs_check_output(const char *path, bool appends, bt_error *err);
/* Free for this user on the disk of path, or of the first folder above it that is there. *n_bytes
 * UINT64_MAX: a store, or it cannot be told. */
BT_MUST_USE bt_status bt_fs_free_bytes(const char *path, uint64_t *n_bytes, bt_error *err);
/* A folder for what is used without being looked at again: a cache. Made with mode 0700 where it is
 * missing. BT_E_RESOURCE, with what to do, where one is there that belongs to somebody else (or to
 * a link of somebody else) or that others may write to, unless BERT_TRAIN_SHARED_CACHE=1. */
BT_MUST_USE bt_status bt_fs_make_private_folder(const char *path, bt_error *err);
/* The same check without making it; missing: BT_OK. */
BT_MUST_USE bt_status bt_fs_check_private_folder(const char *path, bt_error *err);
/* Waits until the disk has the names in a folder. In a store, and where there is none, nothing. */
BT_MUST_USE bt_status bt_fs_sync_folder(const char *folder, bt_error *err);
/* A file or an empty folder. Missing: BT_OK. */
BT_MUST_USE bt_status bt_fs_remove(const char *path, bt_error *err);
/* Does a name end as those of the temporary files of writers do? */
bool bt_fs_is_temporary(const char *name);
/* Removes the temporary files of writers that were killed: of all files in the folder, or (start)
 * of the file of that name. What another process is writing at this moment stays, and so does
 * whatever is not named as ours are. A folder that is missing, or in a store, has none. */
BT_MUST_USE bt_status bt_fs_sweep(const char *folder, const char *start, bt_error *err);

/* Gives a file another name, in the same folder or bucket; never over something that is there
 * (BT_E_RESOURCE). In a store: a copy, then the old name is removed. */
BT_MUST_USE bt_status bt_fs_move(const char *from, const char *to, bt_error *err);

/* Makes path a symbolic link that says target (relative to path's folder), at once in place of a
 * link that is there. What is not a link stays, and is BT_E_RESOURCE. */
BT_MUST_USE bt_status bt_fs_replace_link(const char *path, const char *target, bt_error *err);

typedef struct bt_fs_names {
    char **items; /* owned; sorted bytewise */
    size_t n;
    size_t cap;
} bt_fs_names;
#define BT_FS_NAMES_INIT                                                                           \
    { .items = NULL, .n = 0, .cap = 0 }
void bt_fs_names_deinit(bt_fs_names *names);
/* bt_fs_make_folders; those that were missing are appended to made, from the inside out. Undo
 * removes them again, as far as they are empty. */
BT_MUST_USE bt_status bt_fs_make_folders_noting(const char *path, bt_fs_names *made, bt_error *err);
void                  bt_fs_undo_folders(const bt_fs_names *made);
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
/* "~", "~/x" and "~user/x" as a shell expands them, by HOME (else by the list of users); an unknown
 * user's, and everything else, as it is. The caller bt_free()s it. */
BT_MUST_USE bt_status bt_fs_expand_user(const char *path, char **out, bt_error *err);
/* The file that a writer of path writes: links resolved, its folder too, which need not be there.
 * Two paths of one file give one text. The caller bt_free()s it. */
BT_MUST_USE bt_status bt_fs_canonical(const char *path, char **out, bt_error *err);

/* A file and what it is, for messages: {"--output_path", "x.tsv"}. */
typedef struct bt_fs_named {
    const char *what;
    const char *path;
} bt_fs_named;
/* BT_E_CONFIG where two of them (at most 8) are the same file, by any spelling or link. */
BT_MUST_USE bt_status bt_fs_check_distinct(const bt_fs_named *files, size_t n, bt_error *err);
/* BT_E_CONFIG where output is the input; or a file of a checkpoint whose prefix that is; or lies in
 * that folder under a name that one of the shell's patterns fits (names: NULL-terminated, or NULL).
 */
BT_MUST_USE bt_status bt_fs_check_not_read(const bt_fs_named *output, const bt_fs_named *input,
                                           const char *const *names, bt_error *err);

/* One writer of a folder.
 * A file of that name in the folder says who has it: host, process, start, what is done. A second
 * one is refused at once (BT_E_RESOURCE) in a sentence with these facts, in every process and on
 * every host; one whose owner is gone is taken over, and a line says so. On a local file system the
 * kernel knows whether the owner is gone, however it ended. On a file server and in a store the
 * owner says every half a minute that it lives, and is gone when nothing was heard of it for
 * BERT_TRAIN_LOCK_SECONDS (180) of its own, unless it was a process of this host that can be looked
 * at. BERT_TRAIN_LOCK_SHARED=1 makes every folder one that other hosts may reach. */

typedef struct bt_fs_lock bt_fs_lock;

/* The names of the locks of a model_dir: of the training and of the evaluation. */
#define BT_FS_LOCK_NAME ".bert-train.lock"
#define BT_FS_LOCK_EVAL_NAME ".bert-train-eval.lock"

/* folder must be there (or remote). what: the work, in words. Not from a thread that others wait
 * for: some seconds may pass. */
BT_MUST_USE bt_status bt_fs_lock_take(const char *folder, const char *name, const char *what,
                                      bt_fs_lock **out, bt_error *err);
/* Would it be refused at this moment? The same sentence; nothing is written or taken over. What
 * time it is on a file server or in a store is judged by this host's clock: theirs takes a file to
 * ask. */
BT_MUST_USE bt_status bt_fs_lock_look(const char *folder, const char *name, bt_error *err);
/* Is it still ours? To be asked before what must not be written by two: BT_E_RESOURCE where it was
 * taken over, after this process slept too long. NULL is BT_OK. */
BT_MUST_USE bt_status bt_fs_lock_check(bt_fs_lock *lock, bt_error *err);
void                  bt_fs_lock_release(bt_fs_lock *lock); /* accepts NULL */

/* Digests. */

typedef enum bt_fs_hash { BT_FS_SHA1, BT_FS_SHA256, BT_FS_MD5 } bt_fs_hash;
enum { BT_FS_HEX_MAX = 65 };

typedef struct bt_fs_hasher bt_fs_hasher;
/* BT_E_UNSUPPORTED when built without OpenSSL. */
BT_MUST_USE bt_status bt_fs_hasher_create(bt_fs_hash kind, bt_fs_hasher **out, bt_error *err);
BT_MUST_USE bt_status bt_fs_hasher_add(bt_fs_hasher *hasher, const void *bytes, size_t n,
                                       bt_error *err);
BT_MUST_USE bt_status bt_fs_hasher_finish(bt_fs_hasher *hasher, char hex[BT_FS_HEX_MAX],
                                          bt_error *err);
void                  bt_fs_hasher_free(bt_fs_hasher *hasher); /* accepts NULL */
/* SHA-256 of a whole file. */
BT_MUST_USE bt_status bt_fs_hash_file(const char *path, char sha256[BT_FS_HEX_MAX], bt_error *err);

/* The content of a folder (also in a store): for each file in it and below "NAME\nSHA256", NAME
 * relative ("variables/variables.index"), sorted. BT_E_FORMAT: more than max_files, folders in
 * folders too deep, or names with control characters or a backslash. */
BT_MUST_USE bt_status bt_fs_folder_content(const char *folder, int64_t max_files, bt_fs_names *out,
                                           bt_error *err);
/* The content of a local archive, as bt_fs_unpack would unpack (or refuse) it. */
BT_MUST_USE bt_status bt_fs_archive_content(const char *archive, int64_t max_entries,
                                            int64_t max_bytes, bt_fs_names *out, bt_error *err);
/* One digest of a content, that of its lines "SHA256  NAME": what
 *     find . -type f -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' sha256sum | sha256sum
 * prints in the folder. */
BT_MUST_USE bt_status bt_fs_content_digest(const bt_fs_names *content, char sha256[BT_FS_HEX_MAX],
                                           bt_error *err);

/* Whole files and archives from elsewhere. */

typedef struct bt_fs_download_limits {
    size_t max_bytes;
    double limit_seconds; /* for faults that pass; 0: the usual */
} bt_fs_download_limits;

/* A remote file to a local one (which is replaced), with its SHA-256 in sha256. An https:// server
 * is asked once, without ranges: for files that are made on demand. */
BT_MUST_USE bt_status bt_fs_download(const char *path, const char *local,
                                     const bt_fs_download_limits *limits,
                                     char sha256[BT_FS_HEX_MAX], bt_error *err);

/* Unpacks a local archive (tar, compressed or not) into the folder, which must be there and empty.
 * Refuses (BT_E_FORMAT) what has no place in one: absolute paths, "..", links, devices, names
 * twice, more than max_entries or max_bytes. What was unpacked before stays for the caller to
 * remove. */
BT_MUST_USE bt_status bt_fs_unpack(const char *archive, const char *folder, int64_t max_entries,
                                   int64_t max_bytes, bt_error *err);
/* What a file packed with bzip2, xz or zstd holds, or the one file of a zip or tar archive (more,
 * or none, is BT_E_FORMAT with their names), appended to out and flushed. */
BT_MUST_USE bt_status bt_fs_unpack_one(const char *path, bt_fs_scratch *out, bt_error *err);
/* A local folder and all in it; links are removed, not followed. Missing: BT_OK. */
BT_MUST_USE bt_status bt_fs_remove_tree(const char *folder, bt_error *err);

/* "libcurl/7.88.1 ..., libarchive 3.6.2": what is built in, for --version. */
BT_MUST_USE bt_status bt_fs_append_build_info(bt_str *out, bt_error *err);

/* Tests: make the k-th operation from now fail (1 = next), once or from then on; 0 = never. */

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
