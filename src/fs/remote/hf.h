/* SPDX-License-Identifier: Apache-2.0
 *
 * hf, private: files of the Hugging Face hub. hf.c says what a path means, asks the hub and is the
 * store; hf_cache.c keeps what came as the library huggingface_hub does, so that each finds the
 * other's files. */
#ifndef BT_FS_HF_H
#define BT_FS_HF_H

#include "remote.h"

enum { HF_COMMIT_MAX = 64, HF_ETAG_MAX = 128 };

/* hf://[datasets/|spaces/]OWNER/NAME[@REVISION][/FILE] */
typedef struct hf_name {
    const char *kind;       /* "models", "datasets", "spaces" */
    char       *repository; /* "OWNER/NAME" */
    char       *revision;   /* "main", a tag, a commit, "refs/pr/1" */
    char       *file;       /* "" for the repository itself */
} hf_name;

bool                   hf_name_is_commit(const hf_name *name); /* the revision is a whole commit */
BT_MUST_USE bt_status  hf_append_url(bt_str *url, const char *path, bt_error *err);
extern const http_auth hf_auth;

/* The cache (hf_cache.c). */

/* A file in HF_HOME, "token" for one. The caller bt_free()s it. */
BT_MUST_USE bt_status hf_home_file(const char *name, char **out, bt_error *err);
/* The commit that the name's revision was when it was last asked for; "": not known. */
BT_MUST_USE bt_status hf_cache_read_ref(const hf_name *name, char commit[HF_COMMIT_MAX],
                                        bt_error *err);
/* Notes are a help for the next run: where they cannot be written, a warning is all. */
void hf_cache_note_ref(const hf_name *name, const char *commit);
void hf_cache_note_missing(const hf_name *name, const char *commit);

typedef struct hf_found {
    char   *path; /* snapshots/COMMIT/FILE; NULL: not there. Owned */
    int64_t n_bytes;
    char    blob[HF_ETAG_MAX]; /* the name of the blob that it leads to; "": it is not a link */
    bool    is_noted_missing;  /* the hub said that this commit has no such file */
} hf_found;
BT_MUST_USE bt_status hf_cache_find(const hf_name *name, const char *commit, hf_found *out,
                                    bt_error *err);

/* A file as the hub tells of it. */
typedef struct hf_file {
    const char *path; /* for messages and the download */
    char        commit[HF_COMMIT_MAX];
    char        etag[HF_ETAG_MAX]; /* without quotes */
    int64_t     n_bytes;
} hf_file;

/* Puts it into the cache unless another process does so first, whole and checked; *local (owned) is
 * snapshots/COMMIT/FILE. fetch: from the hub into the sink. */
typedef bt_status (*hf_fetch)(const char *path, const http_sink *sink, size_t max_bytes,
                              double limit_seconds, bt_error *err);
BT_MUST_USE bt_status hf_cache_add(const hf_name *name, const hf_file *file, hf_fetch fetch,
                                   char **local, bt_error *err);

#endif
