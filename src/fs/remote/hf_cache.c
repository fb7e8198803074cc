/* SPDX-License-Identifier: Apache-2.0
 *
 * The cache of the library huggingface_hub, as it lays it out:
 *
 *     models--OWNER--NAME/blobs/ETAG                 the content, once
 *                        /snapshots/COMMIT/FILE      a relative link to it
 *                        /refs/REVISION              the commit that the revision was
 *                        /.no_exist/COMMIT/FILE      the commit has no such file
 *     .locks/models--OWNER--NAME/ETAG.lock           flock'ed by the fetching process
 *
 * A blob gets its name when it is whole and its digest is the one that the hub reports. */
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"
#include "fs_internal.h"
#include "hf.h"

enum { MAX_REF_BYTES = 4096, SHA256_DIGITS = 64, SHA1_DIGITS = 40, MAX_DAMAGED = 3 };
static const double   poll_seconds = 0.1;
static const double   longest_lock_seconds = 600.0;
static const uint64_t max_file_bytes = (uint64_t)1 << 40;

static const char *value_of(const char *variable) {
    const char *const value = getenv(variable);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* "~/x" as a shell has it. */
static bt_status append_expanded(bt_str *out, const char *path, bt_error *err) {
    const char *const home = value_of("HOME");
    const bool        tilde = path[0] == '~' && (path[1] == '/' || path[1] == '\0');
    if (tilde && home != NULL) {
        BT_TRY(bt_str_append(out, home, err));
        path++;
    }
    return bt_str_append(out, path, err);
}

static bt_status append_home(bt_str *out, bt_error *err) {
    const char *const home = value_of("HF_HOME");
    const char *const xdg = value_of("XDG_CACHE_HOME");
    if (home != NULL) {
        return append_expanded(out, home, err);
    }
    BT_TRY(append_expanded(out, xdg != NULL ? xdg : "~/.cache", err));
    return bt_str_append(out, "/huggingface", err);
}

bt_status hf_home_file(const char *name, char **out, bt_error *err) {
    bt_str    path = BT_STR_INIT;
    bt_status rc = append_home(&path, err);
    if (rc == BT_OK) {
        rc = bt_str_appendf(&path, err, "/%s", name);
    }
    *out = rc == BT_OK ? bt_str_take(&path) : NULL;
    bt_str_deinit(&path);
    return rc;
}

/* HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub,
 * ~/.cache/huggingface/hub. The caller bt_free()s it. */
static bt_status cache_folder(char **out, bt_error *err) {
    static const char *const names[] = {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"};
    bt_str                   path = BT_STR_INIT;
    for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
        const char *const value = value_of(names[i]);
        if (value != NULL) {
            const bt_status rc = append_expanded(&path, value, err);
            *out = rc == BT_OK ? bt_str_take(&path) : NULL;
            bt_str_deinit(&path);
            return rc;
        }
    }
    return hf_home_file("hub", out, err);
}

/* "models--OWNER--NAME" */
static bt_status append_repository(bt_str *out, const hf_name *name, bt_error *err) {
    BT_TRY(bt_str_append(out, name->kind, err));
    for (const char *p = name->repository; *p != '\0';) {
        const size_t n = strcspn(p, "/");
        BT_TRY(bt_str_append(out, "--", err));
        BT_TRY(bt_str_append_n(out, p, n, err));
        p += n + (p[n] == '/' ? 1 : 0);
    }
    return BT_OK;
}

/* CACHE/models--OWNER--NAME/FOLDER/NAME... of up to three parts */
static bt_status place(const hf_name *name, const char *folder, const char *part, const char *rest,
                       char **out, bt_error *err) {
    bt_str    path = BT_STR_INIT;
    bt_status rc = BT_OK;
    char     *cache = NULL;
    BT_CHECK(cache_folder(&cache, err));
    BT_CHECK(bt_str_appendf(&path, err, "%s/", cache));
    BT_CHECK(append_repository(&path, name, err));
    BT_CHECK(bt_str_appendf(&path, err, "/%s/%s%s%s", folder, part, rest != NULL ? "/" : "",
                            rest != NULL ? rest : ""));
    *out = bt_str_take(&path);
done:
    bt_free(cache);
    bt_str_deinit(&path);
    return rc;
}

static bt_status make_parent(const char *path, bt_error *err) {
    char *parent = NULL;
    BT_TRY(bt_fs_parent(path, &parent, err));
    const bt_status rc = bt_fs_make_folders(parent, err);
    bt_free(parent);
    return rc;
}

/* The folder of the cache, which must be its user's; make: it is made where it is missing. */
static bt_status check_cache(bool make, bt_error *err) {
    char *cache = NULL;
    BT_TRY(cache_folder(&cache, err));
    const bt_status rc =
        make ? bt_fs_make_private_folder(cache, err) : bt_fs_check_private_folder(cache, err);
    bt_free(cache);
    return rc;
}

bt_status hf_cache_read_ref(const hf_name *name, char commit[HF_COMMIT_MAX], bt_error *err) {
    char     *path = NULL;
    char     *text = NULL;
    size_t    n = 0;
    bt_status rc = BT_OK;
    commit[0] = '\0';
    if (hf_name_is_commit(name)) {
        (void)snprintf(commit, HF_COMMIT_MAX, "%s", name->revision);
        return BT_OK;
    }
    BT_TRY(check_cache(false, err));
    BT_CHECK(place(name, "refs", name->revision, NULL, &path, err));
    if (bt_fs_exists(path)) {
        BT_CHECK(bt_fs_read_all(path, MAX_REF_BYTES, &text, &n, err));
        const size_t n_commit = strspn(text, "0123456789abcdefghijklmnopqrstuvwxyz_-");
        if (n_commit > 0 && n_commit < HF_COMMIT_MAX &&
            text[n_commit + strspn(text + n_commit, "\r\n ")] == '\0') {
            memcpy(commit, text, n_commit);
            commit[n_commit] = '\0';
        }
    }
done:
    bt_free(path);
    bt_free(text);
    return rc;
}

static bt_status write_note(const hf_name *name, const char *folder, const char *part,
                            const char *rest, const char *text, bt_error *err) {
    char     *path = NULL;
    bt_status rc = check_cache(true, err);
    if (rc == BT_OK) {
        rc = place(name, folder, part, rest, &path, err);
    }
    if (rc == BT_OK) {
        rc = make_parent(path, err);
    }
    if (rc == BT_OK) {
        rc = bt_fs_replace(path, text, strlen(text), err);
    }
    bt_free(path);
    return rc;
}

void hf_cache_note_ref(const hf_name *name, const char *commit) {
    char     before[HF_COMMIT_MAX];
    bt_error problem = BT_ERROR_INIT;
    if (hf_cache_read_ref(name, before, &problem) == BT_OK && strcmp(before, commit) == 0) {
        return;
    }
    if (write_note(name, "refs", name->revision, NULL, commit, &problem) != BT_OK) {
        bt_log(BT_LOG_WARNING, "hf://%s: it cannot be found out which commit '%s' is: %s",
               name->repository, name->revision, problem.msg);
    }
}

void hf_cache_note_missing(const hf_name *name, const char *commit) {
    bt_error problem = BT_ERROR_INIT;
    if (write_note(name, ".no_exist", commit, name->file, "", &problem) != BT_OK) {
        bt_log(BT_LOG_DEBUG, "%s", problem.msg);
    }
}

/* The last part of what the link says; "" where it is none. */
static void read_blob_name(const char *path, char blob[HF_ETAG_MAX]) {
    char          target[1024];
    const ssize_t n = readlink(path, target, sizeof target - 1);
    blob[0] = '\0';
    if (n > 0) {
        target[n] = '\0';
        const char *const last = bt_fs_basename(target);
        if (strlen(last) < HF_ETAG_MAX) {
            memcpy(blob, last, strlen(last) + 1);
        }
    }
}

bt_status hf_cache_find(const hf_name *name, const char *commit, hf_found *out, bt_error *err) {
    bt_status  rc = BT_OK;
    bt_fs_info info = {0};
    char      *noted = NULL;
    *out = (hf_found){0};
    BT_TRY(check_cache(false, err));
    BT_CHECK(place(name, "snapshots", commit, name->file, &out->path, err));
    BT_CHECK(bt_fs_stat(out->path, &info, err));
    if (info.kind == BT_FS_FILE) {
        out->n_bytes = info.n_bytes;
        read_blob_name(out->path, out->blob);
        goto done;
    }
    bt_free(out->path);
    out->path = NULL;
    BT_CHECK(place(name, ".no_exist", commit, name->file, &noted, err));
    out->is_noted_missing = bt_fs_exists(noted);
done:
    bt_free(noted);
    if (rc != BT_OK) {
        bt_free(out->path);
        out->path = NULL;
    }
    return rc;
}

/* *fd: holds the lock until it is closed. *held false: this file system has none,
 * or another process kept it for too long. */
static bt_status lock_blob(const hf_name *name, const hf_file *file, int *fd, bool *held,
                           bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    path = BT_STR_INIT;
    char     *cache = NULL;
    *fd = -1;
    *held = true;
    BT_CHECK(cache_folder(&cache, err));
    BT_CHECK(bt_str_appendf(&path, err, "%s/.locks/", cache));
    BT_CHECK(append_repository(&path, name, err));
    BT_CHECK(bt_fs_make_folders(path.data, err));
    BT_CHECK(bt_str_appendf(&path, err, "/%s.lock", file->etag));
    *fd = open(path.data, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (*fd < 0) {
        rc = fs_fail_write(path.data, "create", errno, err);
        goto done;
    }
    const double began = bt_time_monotonic();
    for (bool told = false; flock(*fd, LOCK_EX | LOCK_NB) != 0;) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            bt_log(BT_LOG_DEBUG, "%s: no lock (%s): fetched without", path.data, strerror(errno));
            *held = false;
            break; /* a file system without locks: the rename at the end is atomic all the same */
        }
        if (bt_time_monotonic() - began > longest_lock_seconds) {
            bt_log(BT_LOG_WARNING, "%s: another process holds %s for %.0f s: fetched beside it",
                   file->path, path.data, longest_lock_seconds);
            *held = false; /* what that process writes is not swept */
            break;
        }
        if (!told) {
            bt_log(BT_LOG_INFO,
                   "%s: another process is fetching it (lslocks says which holds %s): waiting, for "
                   "%.0f s at most",
                   file->path, path.data, longest_lock_seconds);
            told = true;
        }
        BT_CHECK(bt_stop_check_now(err));
        (void)bt_stop_sleep(poll_seconds);
    }
done:
    bt_free(cache);
    bt_str_deinit(&path);
    if (rc != BT_OK && *fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
    return rc;
}

/* What the etag says: the SHA-256 of a large file, or the SHA-1 that git has of a small one. */
typedef struct incoming {
    const hf_file *file;
    const char    *blob;
    bt_fs_writer  *writer;
    bt_fs_hasher  *hasher; /* NULL: the etag is not a digest that we know */
    int64_t        n_bytes;
} incoming;

static void forget(incoming *in) {
    bt_fs_writer_abort(in->writer);
    bt_fs_hasher_free(in->hasher);
    in->writer = NULL;
    in->hasher = NULL;
    in->n_bytes = 0;
}

static bt_status begin_blob(void *context, bt_error *err) {
    incoming *const in = context;
    char            head[48];
    const size_t    n = strspn(in->file->etag, "0123456789abcdef");
    const bool      is_hex = in->file->etag[n] == '\0';
    forget(in);
    if (is_hex && (n == SHA256_DIGITS || n == SHA1_DIGITS)) {
        const bt_fs_hash kind = n == SHA1_DIGITS ? BT_FS_SHA1 : BT_FS_SHA256;
        const bt_status  rc = bt_fs_hasher_create(kind, &in->hasher, err);
        if (rc != BT_OK && rc != BT_E_UNSUPPORTED) { /* without OpenSSL the size must do */
            return rc;
        }
    }
    if (in->hasher != NULL && n == SHA1_DIGITS) { /* "blob 5\0hello" */
        const int n_head = snprintf(head, sizeof head, "blob %" PRId64, in->file->n_bytes);
        BT_TRY(bt_fs_hasher_add(in->hasher, head, (size_t)n_head + 1, err));
    }
    return bt_fs_writer_create(in->blob, &in->writer, err);
}

static bt_status add_to_blob(void *context, const void *bytes, size_t n, bt_error *err) {
    incoming *const in = context;
    in->n_bytes += (int64_t)n;
    if (in->hasher != NULL) {
        BT_TRY(bt_fs_hasher_add(in->hasher, bytes, n, err));
    }
    return bt_fs_writer_write(in->writer, bytes, n, err);
}

/* *whole false: other bytes came than were announced. */
static bt_status check_blob(incoming *in, bool *whole, bt_error *err) {
    char hex[BT_FS_HEX_MAX];
    *whole = in->n_bytes == in->file->n_bytes;
    if (*whole && in->hasher != NULL) {
        BT_TRY(bt_fs_hasher_finish(in->hasher, hex, err));
        *whole = strcmp(hex, in->file->etag) == 0;
    }
    return BT_OK;
}

/* ETAG.tmp-* of processes that were killed: the lock is ours, so nobody else is at work on it. */
static bt_status sweep(const char *blob, bt_error *err) {
    bt_status   rc = BT_OK;
    bt_fs_names names = BT_FS_NAMES_INIT;
    bt_str      start = BT_STR_INIT;
    char       *folder = NULL;
    char       *path = NULL;
    BT_CHECK(bt_fs_parent(blob, &folder, err));
    BT_CHECK(bt_str_appendf(&start, err, "%s.tmp-", bt_fs_basename(blob)));
    BT_CHECK(bt_fs_list_unsorted(folder, &names, err));
    for (size_t i = 0; i < names.n; i++) {
        if (bt_str_starts_with(names.items[i], start.data)) {
            bt_free(path);
            path = NULL;
            BT_CHECK(bt_fs_join(folder, names.items[i], &path, err));
            BT_CHECK(bt_fs_remove(path, err));
        }
    }
done:
    bt_free(folder);
    bt_free(path);
    bt_str_deinit(&start);
    bt_fs_names_deinit(&names);
    return rc;
}

static bt_status fetch_blob(const hf_file *file, const char *blob, hf_fetch fetch, bt_error *err) {
    bt_status       rc = BT_OK;
    incoming        in = {.file = file, .blob = blob};
    const http_sink sink = {begin_blob, add_to_blob, &in};
    bool            whole = false;
    bt_log(BT_LOG_INFO, "%s: fetching %.1f MB into %s", file->path, (double)file->n_bytes / 1e6,
           blob);
    for (int i = 1; !whole; i++) {
        BT_CHECK(fetch(file->path, &sink, (size_t)max_file_bytes, 0, err));
        BT_CHECK(check_blob(&in, &whole, err));
        if (!whole && i == MAX_DAMAGED) {
            rc = BT_FAIL(err, BT_E_IO,
                         "%s: %" PRId64 " bytes came whose digest is not that of the %" PRId64
                         " bytes that the hub reports (%s): damaged on the way, or just replaced",
                         file->path, in.n_bytes, file->n_bytes, file->etag);
            goto done;
        }
        if (!whole) {
            bt_log(BT_LOG_WARNING,
                   "%s: the bytes that came are not those that the hub reports, "
                   "asked for again",
                   file->path);
        }
    }
    BT_CHECK(bt_fs_writer_commit(&in.writer, err));
done:
    forget(&in);
    return rc;
}

/* "../../blobs/ETAG", one more ".." for each folder that the file is in. */
static bt_status make_link(const hf_name *name, const hf_file *file, const char *blob,
                           const char *path, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    target = BT_STR_INIT;
    BT_CHECK(make_parent(path, err));
    BT_CHECK(bt_str_append(&target, "../../", err));
    for (const char *p = name->file; *p != '\0'; p++) {
        BT_CHECK(bt_str_append(&target, *p == '/' ? "../" : "", err));
    }
    BT_CHECK(bt_str_appendf(&target, err, "blobs/%s", file->etag));
    rc = bt_fs_replace_link(path, target.data, err);
    if (rc == BT_E_RESOURCE && fs_sys_link(blob, path) == 0) {
        rc = BT_OK; /* a file system without symbolic links */
    }
done:
    bt_str_deinit(&target);
    return rc;
}

static bool is_whole(const char *blob, const hf_file *file) {
    bt_fs_info info = {0};
    return bt_fs_stat(blob, &info, NULL) == BT_OK && info.kind == BT_FS_FILE &&
           info.n_bytes == file->n_bytes;
}

bt_status hf_cache_add(const hf_name *name, const hf_file *file, hf_fetch fetch, char **local,
                       bt_error *err) {
    bt_status rc = BT_OK;
    char     *blob = NULL;
    char     *path = NULL;
    hf_found  found = {0};
    int       lock = -1;
    bool      held = false;
    BT_TRY(check_cache(true, err));
    BT_CHECK(place(name, "blobs", file->etag, NULL, &blob, err));
    BT_CHECK(make_parent(blob, err));
    BT_CHECK(lock_blob(name, file, &lock, &held, err));
    if (!is_whole(blob, file)) {
        BT_CHECK(held ? sweep(blob, err) : BT_OK);
        BT_CHECK(fetch_blob(file, blob, fetch, err));
    }
    BT_CHECK(hf_cache_find(name, file->commit, &found, err));
    BT_CHECK(place(name, "snapshots", file->commit, name->file, &path, err));
    if (found.path == NULL || found.n_bytes != file->n_bytes) {
        BT_CHECK(make_link(name, file, blob, path, err));
    }
    *local = path;
    path = NULL;
done:
    if (lock >= 0) {
        (void)close(lock);
    }
    bt_free(found.path);
    bt_free(blob);
    bt_free(path);
    return rc;
}
