/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of stores, and what the public interface asks of remote paths beside reading and
 * writing: looking, listing, patterns, removing. */
#define _XOPEN_SOURCE 700
#include <ctype.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bt/base/alloc.h"
#include "bt/base/crc32c.h"
#include "bt/base/signed_url.h"
#include "fs_internal.h"
#include "remote.h"

enum {
    LIST_MAX_PAGES = 100000,
    LIST_PAGE_NAMES = 1000,
    READ_BACK_BYTES = 8 << 20,
    MOST_READ_TRIES = 10, /* of a file that is replaced while it is read */
};
static const int64_t max_file_bytes = (int64_t)1 << 50; /* twenty times what a store takes */

typedef struct scheme_row {
    const char         *start;
    const remote_store *store; /* NULL: not built in, see needs */
} scheme_row;

#ifdef BT_HAVE_CURL
#define BT_STORE(store) (&(store))
#else
#define BT_STORE(store) NULL
#endif
#if defined(BT_HAVE_CURL) && defined(BT_HAVE_EXPAT)
#define BT_STORE_S3 (&remote_s3)
#else
#define BT_STORE_S3 NULL
#endif

static const scheme_row schemes[] = {
    {"gs://", BT_STORE(remote_gcs)},
    {"s3://", BT_STORE_S3},
    {"https://", BT_STORE(remote_web)},
    {"hf://", BT_STORE(remote_hf)},
};

static const scheme_row *find_scheme(const char *path) {
    for (size_t i = 0; i < BT_ARRAY_LEN(schemes); i++) {
        if (bt_str_starts_with(path, schemes[i].start)) {
            return &schemes[i];
        }
    }
    return NULL;
}

const remote_store *remote_store_of(const char *path) {
    const scheme_row *const row = find_scheme(path);
    return row != NULL ? row->store : NULL;
}

bool bt_fs_is_remote(const char *path) {
    return find_scheme(path) != NULL;
}

/* It would be in params.yaml and in every message about the path. */
static bt_status fail_user(const char *path, bt_error *err) {
    bt_str    shown = BT_STR_INIT;
    bt_status rc = http_append_shown(&shown, path, err);
    if (rc == BT_OK) {
        rc = BT_FAIL(
            err, BT_E_CONFIG,
            "%s: a user name or password in a URL is not supported: it would be written into "
            "logs and params.yaml",
            bt_str_text(&shown));
    }
    bt_str_deinit(&shown);
    return rc;
}

/* Copied from where it is not written. */
static bt_status fail_hidden(const char *path, bt_error *err) {
    return BT_FAIL(err, BT_E_CONFIG,
                   "%s: the signature of this URL is left out of params.yaml and of messages: give "
                   "the URL itself again",
                   path);
}

bt_status remote_check(const char *path, bt_error *err) {
    const scheme_row *const row = find_scheme(path);
    if (row != NULL && row->store == NULL) {
        const scheme_row *const web = find_scheme("https://");
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "%s: this build has no %s and does not read such paths (--version says what "
                       "is built in): copy it to a local folder and name that",
                       path, web == NULL || web->store == NULL ? "libcurl" : "expat");
    }
    if (bt_str_starts_with(path, "http://")) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "%s: http:// is neither private nor safe from change on its way: use "
                       "https://",
                       path);
    }
    if (row == NULL || !bt_str_starts_with(path, "https://")) {
        return BT_OK;
    }
    bool is_hidden = false;
    (void)bt_has_signature(path, &is_hidden);
    return http_has_user(path) ? fail_user(path, err) : is_hidden ? fail_hidden(path, err) : BT_OK;
}

bt_status remote_check_writable(const char *path, bt_error *err) {
    BT_TRY(remote_check(path, err));
    if (remote_store_of(path)->put == NULL) {
        return BT_FAIL(err, BT_E_UNSUPPORTED, "%s: can be read only, not written", path);
    }
    remote_name name;
    return remote_name_parse(path, &name, err);
}

bt_status remote_name_parse(const char *path, remote_name *out, bt_error *err) {
    const char *const start = strstr(path, "://") + 3;
    const size_t      n = strcspn(start, "/");
    bool              ok = n >= 3 && n < sizeof out->bucket;
    for (size_t i = 0; ok && i < n; i++) {
        ok = isalnum((unsigned char)start[i]) || strchr("-_.", start[i]) != NULL;
    }
    if (!ok) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s: expected the name of a bucket behind ://, of letters, digits, '-', '_' "
                       "and '.'",
                       path);
    }
    memcpy(out->bucket, start, n);
    out->bucket[n] = '\0';
    out->name = start[n] == '/' ? start + n + 1 : start + n;
    if (strcmp(out->name, ".") == 0 || strcmp(out->name, "..") == 0) {
        /* a URL that ends so would be one of the bucket, or of all of them */
        return BT_FAIL(err, BT_E_CONFIG, "%s: no object can have the name '%s'", path, out->name);
    }
    return BT_OK;
}

double remote_parse_time(const char *text) {
    static const char *const formats[] = {"%Y-%m-%dT%H:%M:%S", "%a, %d %b %Y %H:%M:%S"};
    for (size_t i = 0; text != NULL && i < BT_ARRAY_LEN(formats); i++) {
        struct tm         t = {0};
        const char *const rest = strptime(text, formats[i], &t);
        if (rest != NULL) {
            /* days since 1970 by the civil calendar: mktime would ask for the time zone */
            const int64_t y = t.tm_year + 1900 - (t.tm_mon < 2);
            const int64_t era = y / 400;
            const int64_t month = (t.tm_mon + 10) % 12;
            const int64_t day = (y - era * 400) * 365 + (y - era * 400) / 4 -
                                (y - era * 400) / 100 + (153 * month + 2) / 5 + t.tm_mday - 1;
            double fraction = 0;
            if (rest[0] == '.') {
                fraction = strtod(rest, NULL);
            }
            return (double)((era * 146097 + day - 719468) * 86400 + (int64_t)t.tm_hour * 3600 +
                            (int64_t)t.tm_min * 60 + t.tm_sec) +
                   fraction;
        }
    }
    return 0;
}

/* A server may say anything; sizes are added and multiplied. */
static bt_status look(const remote_store *store, const char *path, bool needs_all, remote_info *out,
                      bt_error *err) {
    if (!remote_told_get(path, needs_all, out)) {
        BT_TRY(store->stat(path, out, err));
        remote_told_put(path, out, true);
    }
    if (out->kind == BT_FS_FILE && out->n_bytes > max_file_bytes) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: the server says that it has %" PRId64
                       " bytes; no file of a store has more than %" PRId64
                       ": the server, or what is between, is wrong",
                       path, out->n_bytes, max_file_bytes);
    }
    return BT_OK;
}

bt_status remote_look(const remote_store *store, const char *path, remote_info *out,
                      bt_error *err) {
    return look(store, path, true, out, err);
}

bt_status remote_glance(const remote_store *store, const char *path, remote_info *out,
                        bt_error *err) {
    return look(store, path, false, out, err);
}

bt_status remote_read_back(const remote_store *store, const char *path, const remote_info *info,
                           uint32_t *crc, bt_error *err) {
    bt_status      rc = BT_OK;
    uint8_t *const buffer = bt_alloc(READ_BACK_BYTES);
    *crc = 0;
    if (buffer == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot read %s back", path);
    }
    for (int64_t at = 0; at < info->n_bytes;) {
        const int64_t left = info->n_bytes - at;
        const size_t  n = left < READ_BACK_BYTES ? (size_t)left : (size_t)READ_BACK_BYTES;
        BT_CHECK(store->read(path, info, at, buffer, n, NULL, err));
        *crc = bt_crc32c(*crc, buffer, n);
        at += (int64_t)n;
    }
done:
    bt_free(buffer);
    return rc;
}

bt_status remote_stat(const char *path, bt_fs_info *out, bt_error *err) {
    remote_info info = {0};
    BT_TRY(remote_check(path, err));
    BT_TRY(remote_glance(remote_store_of(path), path, &info, err));
    *out = (bt_fs_info){.kind = info.kind,
                        .n_bytes = info.kind == BT_FS_FILE ? info.n_bytes : 0,
                        .modified_unix = info.modified_unix,
                        .version = info.kind == BT_FS_MISSING && info.version != BT_FS_ANY_VERSION
                                       ? 0
                                       : info.version};
    return BT_OK;
}

/* seen: the version that was to be read, once that is known. */
static bt_status read_version(const char *path, size_t max_bytes, char **out, size_t *n_bytes,
                              remote_info *seen, bt_error *err) {
    block_file *file = NULL;
    bt_status   rc = BT_OK;
    char       *bytes = NULL;
    BT_TRY(block_file_open(path, &file, err));
    *seen = *block_file_info(file);
    const int64_t size = block_file_size(file);
    if ((uint64_t)size > max_bytes) {
        rc = BT_FAIL(err, BT_E_FORMAT, "%s: larger than the %zu bytes that such a file may have",
                     path, max_bytes);
        goto done;
    }
    bytes = bt_alloc((size_t)size + 1);
    if (bytes == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot hold %s (%" PRId64 " bytes)", path,
                     size);
        goto done;
    }
    BT_CHECK(block_file_read(file, 0, bytes, (size_t)size, n_bytes, err));
    bytes[*n_bytes] = '\0';
    *out = bytes;
    bytes = NULL;
done:
    bt_free(bytes);
    block_file_close(file);
    return rc;
}

/* Is another version there by now? */
static bool was_replaced(const char *path, const remote_info *seen) {
    remote_info now = {0};
    bt_error    ignored = BT_ERROR_INIT;
    remote_told_forget(path);
    return seen->kind == BT_FS_FILE &&
           remote_look(remote_store_of(path), path, &now, &ignored) == BT_OK &&
           now.kind == BT_FS_FILE &&
           (now.version != seen->version || strcmp(now.etag, seen->etag) != 0);
}

/* What is read as a whole may be replaced meanwhile by another process (the records of a training,
 * beside an evaluation): then it is read as it is now. */
bt_status remote_read_all(const char *path, size_t max_bytes, char **out, size_t *n_bytes,
                          bt_error *err) {
    bt_error own = BT_ERROR_INIT; /* err stays as it is where a later try succeeds */
    for (int tries = 0; tries < MOST_READ_TRIES; tries++) {
        remote_info     seen = {.kind = BT_FS_MISSING};
        const bt_status rc = read_version(path, max_bytes, out, n_bytes, &seen, &own);
        if (rc == BT_OK) {
            return rc;
        }
        if (rc != BT_E_IO || !was_replaced(path, &seen)) {
            break;
        }
    }
    if (err != NULL) {
        *err = own;
    }
    return own.code;
}

static bt_status fail_no_list(const char *path, bt_error *err) {
    return BT_FAIL(err, BT_E_UNSUPPORTED,
                   "%s: a web server has no list of its files: name the file itself", path);
}

/* Page after page into *out. */
static bt_status list_pages(const remote_store *store, const char *prefix, bool one_level,
                            bt_fs_names *out, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    token = BT_STR_INIT;
    for (int page = 0; page == 0 || token.len > 0; page++) {
        if (page == LIST_MAX_PAGES) {
            rc = BT_FAIL(err, BT_E_FORMAT, "%s: the list of objects does not end", prefix);
            goto done;
        }
        BT_CHECK(store->list_page(prefix, one_level, LIST_PAGE_NAMES, out, &token, err));
    }
done:
    bt_str_deinit(&token);
    return rc;
}

bt_status remote_has_below(const remote_store *store, const char *path, bool *any, bt_error *err) {
    bt_status   rc = BT_OK;
    char       *folder = NULL;
    bt_str      token = BT_STR_INIT;
    bt_fs_names names = BT_FS_NAMES_INIT;
    BT_CHECK(bt_fs_join(path, "", &folder, err));
    BT_CHECK(store->list_page(folder, false, 1, &names, &token, err));
    *any = names.n > 0 || token.len > 0;
done:
    bt_free(folder);
    bt_str_deinit(&token);
    bt_fs_names_deinit(&names);
    return rc;
}

bt_status remote_list(const char *folder, bt_fs_names *out, bt_error *err) {
    bt_status   rc = BT_OK;
    char       *prefix = NULL;
    bt_fs_names paths = BT_FS_NAMES_INIT;
    bt_fs_names names = BT_FS_NAMES_INIT;
    BT_TRY(remote_check(folder, err));
    if (remote_store_of(folder)->list_page == NULL) {
        return fail_no_list(folder, err);
    }
    BT_CHECK(bt_fs_require_folder(folder, err));
    BT_CHECK(bt_fs_join(folder, "", &prefix, err));
    BT_CHECK(list_pages(remote_store_of(folder), prefix, true, &paths, err));
    for (size_t i = 0; i < paths.n; i++) {
        const char *const name = paths.items[i] + strlen(prefix);
        if (name[0] != '\0') { /* an object that stands for the folder itself */
            BT_CHECK(fs_names_add(&names, name, err));
        }
    }
    fs_names_sort(&names);
    *out = names;
    names = (bt_fs_names)BT_FS_NAMES_INIT;
done:
    bt_free(prefix);
    bt_fs_names_deinit(&paths);
    bt_fs_names_deinit(&names);
    return rc;
}

static bt_status glob_literally(const char *path, bt_fs_names *out, bt_error *err) {
    bt_fs_info  info = {0};
    bt_fs_names names = BT_FS_NAMES_INIT;
    BT_TRY(remote_stat(path, &info, err));
    if (info.kind != BT_FS_MISSING) {
        BT_TRY(fs_names_add(&names, path, err));
    }
    *out = names;
    return BT_OK;
}

bt_status remote_glob(const char *pattern, bt_fs_names *out, bt_error *err) {
    bt_status    rc = BT_OK;
    bt_fs_names  paths = BT_FS_NAMES_INIT;
    bt_fs_names  names = BT_FS_NAMES_INIT;
    const size_t n_literal = strcspn(pattern, "*?[");
    BT_TRY(remote_check(pattern, err));
    const bool has_list = remote_store_of(pattern)->list_page != NULL;
    /* where there is no list, what follows a '?' is the query of a URL */
    if (pattern[n_literal] == '\0' || (!has_list && pattern[n_literal] == '?')) {
        return glob_literally(pattern, out, err);
    }
    if (!has_list) {
        return fail_no_list(pattern, err);
    }
    if (remote_store_of(pattern)->put != NULL) { /* one with buckets; not the prefix is refused */
        remote_name name;
        BT_TRY(remote_name_parse(pattern, &name, err));
    }
    char *const prefix = bt_strndup(pattern, n_literal);
    if (prefix == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot expand %s", pattern);
    }
    const bool one_level = strchr(pattern + n_literal, '/') == NULL;
    BT_CHECK(list_pages(remote_store_of(pattern), prefix, one_level, &paths, err));
    for (size_t i = 0; i < paths.n; i++) {
        const int result = fnmatch(pattern, paths.items[i], FNM_PATHNAME | FNM_PERIOD);
        if (result == 0) {
            BT_CHECK(fs_names_add(&names, paths.items[i], err));
        } else if (result != FNM_NOMATCH) { /* glibc: out of memory */
            rc = BT_FAIL(err, BT_E_NOMEM, "cannot compare %s with the pattern %s", paths.items[i],
                         pattern);
            goto done;
        }
    }
    fs_names_sort(&names);
    *out = names;
    names = (bt_fs_names)BT_FS_NAMES_INIT;
done:
    bt_free(prefix);
    bt_fs_names_deinit(&paths);
    bt_fs_names_deinit(&names);
    return rc;
}

bt_status remote_remove(const char *path, bt_error *err) {
    BT_TRY(remote_check_writable(path, err));
    remote_told_forget(path);
    return remote_store_of(path)->remove(path, err);
}

bt_status remote_replace_if(const char *path, const void *bytes, size_t n, int64_t if_version,
                            int64_t *version, bt_error *err) {
    BT_TRY(remote_check_writable(path, err));
    remote_told_forget(path);
    return remote_store_of(path)->put(path, bytes, n, if_version, version, err);
}
