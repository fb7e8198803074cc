/* SPDX-License-Identifier: Apache-2.0
 *
 * hf://: files of the Hugging Face hub, read only, through the cache that the library
 * huggingface_hub keeps. A revision is asked for once and means one commit as long as the process
 * lives: files of two commits are never mixed. The token goes to the hub's own host only, although
 * the hub redirects to others. */
#include "hf.h"
#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/number.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs_internal.h"
#include "web.h"

enum { MAX_TOKEN_BYTES = 4096, MAX_HOPS = 5 };
static const double ask_seconds = 10.0; /* where the cache has an answer as well */

static const char *hf_endpoint(void) {
    const char *const endpoint = getenv("HF_ENDPOINT");
    return endpoint != NULL && endpoint[0] != '\0' ? endpoint : "https://huggingface.co";
}

/* It becomes a path in the cache: no part may lead elsewhere. */
static bool is_plain(const char *text) {
    for (const char *p = text; *p != '\0';) {
        const size_t n = strcspn(p, "/");
        if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.')) {
            return false;
        }
        p += n;
        if (p[0] == '/' && *++p == '\0') {
            return false;
        }
    }
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f || *p == '\\') {
            return false;
        }
    }
    return true;
}

/* "main", "refs/pr/1", "refs%2Fpr%2F1"; moves *text after it. */
static bt_status take_revision(const char **text, char **out, bt_error *err) {
    const char *const start = *text;
    size_t            n = strcspn(start, "/");
    bt_str            revision = BT_STR_INIT;
    bt_status         rc = BT_OK;
    if (bt_str_starts_with(start, "refs/")) { /* two parts more */
        for (int i = 0; i < 2 && start[n] == '/'; i++) {
            n += 1 + strcspn(start + n + 1, "/");
        }
    }
    for (size_t i = 0; i < n; i++) {
        const bool slash = strncmp(start + i, "%2F", 3) == 0 || strncmp(start + i, "%2f", 3) == 0;
        BT_CHECK(bt_str_append_char(&revision, slash ? '/' : start[i], err));
        i += slash ? 2 : 0;
    }
    *text = start + n;
    *out = bt_strdup(bt_str_text(&revision));
    rc = *out != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
done:
    bt_str_deinit(&revision);
    return rc;
}

static const char *take_kind(const char *text, const char **kind) {
    static const char *const kinds[] = {"datasets", "spaces"};
    for (size_t i = 0; i < BT_ARRAY_LEN(kinds); i++) {
        const size_t n = strlen(kinds[i]);
        if (strncmp(text, kinds[i], n) == 0 && text[n] == '/' &&
            strchr(text + n + 1, '/') != NULL) {
            *kind = kinds[i];
            return text + n + 1;
        }
    }
    *kind = "models";
    return text;
}

static void deinit_name(hf_name *name) {
    bt_free(name->repository);
    bt_free(name->revision);
    bt_free(name->file);
    *name = (hf_name){.kind = "models"};
}

static bt_status parse_name(const char *path, hf_name *out, bt_error *err) {
    bt_status         rc = BT_OK;
    const char *const start = take_kind(path + strlen("hf://"), &out->kind);
    const size_t      n_owner = strcspn(start, "/");
    const char *const name = start[n_owner] == '/' ? start + n_owner + 1 : "";
    const size_t      n_name = strcspn(name, "/@");
    const char       *rest = name + n_name;
    *out = (hf_name){.kind = out->kind};
    if (n_owner == 0 || n_name == 0) {
        goto refused;
    }
    out->repository = bt_strndup(start, n_owner + 1 + n_name);
    if (*rest == '@') {
        rest++;
        BT_CHECK(take_revision(&rest, &out->revision, err));
    } else {
        out->revision = bt_strdup("main");
    }
    out->file = bt_strdup(*rest == '/' ? rest + 1 : rest);
    if (out->repository == NULL || out->revision == NULL || out->file == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
        goto done;
    }
    if (is_plain(out->repository) && out->revision[0] != '\0' && is_plain(out->revision) &&
        is_plain(out->file)) {
        return BT_OK;
    }
refused:
    rc = BT_FAIL(
        err, BT_E_CONFIG,
        "%s: expected hf://OWNER/REPOSITORY[@REVISION][/FILE] (or hf://datasets/OWNER/...)", path);
done:
    deinit_name(out);
    return rc;
}

bool hf_name_is_commit(const hf_name *name) {
    enum { COMMIT_DIGITS = 40 };
    return strlen(name->revision) == COMMIT_DIGITS &&
           strspn(name->revision, "0123456789abcdef") == COMMIT_DIGITS;
}

static bt_status append_name_url(bt_str *url, const hf_name *name, const char *revision,
                                 bt_error *err) {
    const bool is_model = strcmp(name->kind, "models") == 0;
    BT_TRY(bt_str_appendf(url, err, "%s/%s%s", hf_endpoint(), is_model ? "" : name->kind,
                          is_model ? "" : "/"));
    BT_TRY(http_append_encoded(url, name->repository, "/", err));
    BT_TRY(bt_str_append(url, "/resolve/", err));
    BT_TRY(http_append_encoded(url, revision, "", err));
    BT_TRY(bt_str_append_char(url, '/', err));
    return http_append_encoded(url, name->file, "/", err);
}

static bool is_true(const char *variable) {
    static const char *const words[] = {"1", "on", "yes", "true"};
    const char *const        value = getenv(variable);
    for (size_t i = 0; value != NULL && i < BT_ARRAY_LEN(words); i++) {
        if (bt_str_equal_nocase(value, words[i])) {
            return true;
        }
    }
    return false;
}

/* One word of printable characters, whatever is around it; never shown. */
static bt_status append_clean(bt_str *out, const char *text, const char *from, bt_error *err) {
    text += strspn(text, " \t\r\n");
    size_t n = strlen(text);
    while (n > 0 && strchr(" \t\r\n", text[n - 1]) != NULL) {
        n--;
    }
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)text[i] <= ' ' || (unsigned char)text[i] >= 0x7f) {
            return BT_FAIL(err, BT_E_CONFIG, "%s: the token has characters that none has", from);
        }
    }
    return bt_str_append_n(out, text, n, err);
}

static bt_status append_token_file(bt_str *out, bt_error *err) {
    const char *const set = getenv("HF_TOKEN_PATH");
    char             *path = NULL;
    char             *text = NULL;
    size_t            n = 0;
    bt_status         rc = BT_OK;
    if (set != NULL && set[0] != '\0') {
        path = bt_strdup(set);
        rc = path != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
    } else {
        rc = hf_home_file("token", &path, err);
    }
    if (rc == BT_OK && bt_fs_exists(path)) {
        BT_CHECK(bt_fs_read_all(path, MAX_TOKEN_BYTES, &text, &n, err));
        BT_CHECK(append_clean(out, text, path, err));
    }
done:
    bt_free(path);
    bt_free(text);
    return rc;
}

static bt_status append_hf_token(void *context, bool renew, bt_str *out, bt_error *err) {
    static const char *const names[] = {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"};
    (void)context, (void)renew;
    if (is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
        return BT_OK;
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
        const char *const token = getenv(names[i]);
        if (token != NULL && token[strspn(token, " \t\r\n")] != '\0') {
            return append_clean(out, token, names[i], err);
        }
    }
    return append_token_file(out, err);
}

const http_auth hf_auth = {append_hf_token, NULL};

typedef struct answer {
    bool    is_missing; /* the commit has no such file */
    hf_file file;       /* commit "": not told; then nothing can be cached */
} answer;

/* What is told may become the name of a file. */
static bool take_word(const char *text, char *out, size_t n) {
    size_t length = 0;
    out[0] = '\0';
    if (text != NULL) {
        text += strncmp(text, "W/", 2) == 0 ? 2 : 0;
        text += text[0] == '"' ? 1 : 0;
        length = strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-");
    }
    if (length == 0 || length >= n || strspn(text + length, "\"") != strlen(text + length)) {
        return false;
    }
    memcpy(out, text, length);
    out[length] = '\0';
    return true;
}

/* The hub tells on its own answer; a redirect to where the bytes are may know less. */
static void take_facts(const http_response *response, bool is_last, answer *out) {
    const http_headers *const headers = &response->headers;
    const char *const         etag = http_header(headers, "x-linked-etag");
    const char *const         size = http_header(headers, "x-linked-size");
    int64_t                   n = -1;
    if (out->file.commit[0] == '\0') {
        (void)take_word(http_header(headers, "x-repo-commit"), out->file.commit, HF_COMMIT_MAX);
    }
    if (out->file.etag[0] == '\0' && (etag != NULL || is_last)) {
        (void)take_word(etag != NULL ? etag : http_header(headers, "etag"), out->file.etag,
                        HF_ETAG_MAX);
    }
    if (out->file.n_bytes < 0 && size != NULL && bt_parse_i64(size, &n) && n >= 0) {
        out->file.n_bytes = n;
    }
    if (out->file.n_bytes < 0 && is_last && response->status == 200) {
        out->file.n_bytes = response->n_announced;
    }
}

/* The next place of a redirect within the hub; NULL in *next: it leads elsewhere, or nowhere. */
static bt_status next_hop(const char *url, const http_response *response, char **next,
                          bt_error *err) {
    const char *const location = http_header(&response->headers, "location");
    http_url          from;
    http_url          to;
    bool              are_urls = false;
    *next = NULL;
    if (response->status < 300 || response->status >= 400 || location == NULL) {
        return BT_OK;
    }
    BT_TRY(http_resolve(url, location, next, err));
    const bt_status rc = http_read_urls(url, *next, &are_urls, &from, &to, err);
    if (rc != BT_OK || !are_urls || !http_same_origin(&from, &to)) {
        bt_free(*next);
        *next = NULL;
    }
    return rc;
}

static bt_status judge(const http_request *request, const http_response *response, answer *out,
                       bt_error *err) {
    const char *const code = http_header(&response->headers, "x-error-code");
    if (response->status == 404 || response->status == 410) {
        if (bt_str_equal(code, "RepoNotFound") || bt_str_equal(code, "RevisionNotFound")) {
            return BT_FAIL(err, BT_E_IO, "%s: the hub has no such %s, or not for this token",
                           request->what,
                           bt_str_equal(code, "RepoNotFound") ? "repository" : "revision");
        }
        out->is_missing = true;
        return BT_OK;
    }
    if (response->status != 200 && (response->status < 300 || response->status >= 400)) {
        return http_fail(request, response, "look at", BT_E_IO, err);
    }
    return BT_OK;
}

static bt_status ask_hub(const char *path, const hf_name *name, const char *revision,
                         double limit_seconds, answer *out, bt_error *err) {
    bt_status     rc = BT_OK;
    bt_str        url = BT_STR_INIT;
    char         *next = NULL;
    http_response response = {0};
    *out = (answer){.file = {.path = path, .n_bytes = -1}};
    BT_CHECK(append_name_url(&url, name, revision, err));
    BT_CHECK(http_check_private("HF_ENDPOINT", url.data, err));
    for (int hop = 0; hop < MAX_HOPS; hop++) {
        const http_request request = {.what = path,
                                      .method = "HEAD",
                                      .url = url.data,
                                      HTTP_RANGE_NONE,
                                      .max_body = 1 << 16,
                                      .auth = &hf_auth,
                                      .limit_seconds = limit_seconds};
        http_response_deinit(&response);
        BT_CHECK(http_run(&request, &response, err));
        bt_free(next);
        BT_CHECK(next_hop(url.data, &response, &next, err));
        take_facts(&response, next == NULL, out);
        if (next == NULL) {
            BT_CHECK(judge(&request, &response, out, err));
            goto done;
        }
        bt_str_clear(&url);
        BT_CHECK(bt_str_append(&url, next, err));
    }
    rc = BT_FAIL(err, BT_E_RESOURCE, "%s: the hub's redirects form a loop", path);
done:
    bt_free(next);
    bt_str_deinit(&url);
    http_response_deinit(&response);
    return rc;
}

/* What was found, for the life of the process. */

typedef struct known {
    struct known *next;
    char         *path;  /* "hf://..." */
    char         *local; /* in the cache; NULL: there are no such files, or it is not fetched yet */
    hf_name       name;
    hf_file       file; /* commit "": cannot be cached */
    bool          is_missing;
} known;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static known          *all; /* under lock; never freed: the paths of one job are few */

/* The commit that another file of that revision was found at. */
static const char *commit_of(const hf_name *name) {
    for (const known *k = all; k != NULL; k = k->next) {
        if (k->file.commit[0] != '\0' && strcmp(k->name.kind, name->kind) == 0 &&
            strcmp(k->name.repository, name->repository) == 0 &&
            strcmp(k->name.revision, name->revision) == 0) {
            return k->file.commit;
        }
    }
    return NULL;
}

static bool is_offline(void) {
    return is_true("HF_HUB_OFFLINE") || is_true("TRANSFORMERS_OFFLINE");
}

/* *done: the cache knows, and nobody needs to be asked. */
static bt_status look_in_cache(known *k, const char *commit, bool *done, bt_error *err) {
    hf_found found = {0};
    *done = false;
    if (commit[0] == '\0') {
        return BT_OK;
    }
    BT_TRY(hf_cache_find(&k->name, commit, &found, err));
    if (found.path != NULL || found.is_noted_missing) {
        (void)snprintf(k->file.commit, HF_COMMIT_MAX, "%s", commit);
        (void)snprintf(k->file.etag, HF_ETAG_MAX, "%s", found.blob);
        k->file.n_bytes = found.n_bytes;
        k->local = found.path;
        k->is_missing = found.path == NULL;
        *done = true;
    }
    return BT_OK;
}

/* The hub's word about a file: the cache's file when it is that one. */
static bt_status take_answer(known *k, const answer *told, bt_error *err) {
    hf_found found = {0};
    k->file = told->file;
    k->is_missing = told->is_missing;
    if (told->file.commit[0] == '\0') {
        return BT_OK;
    }
    if (!hf_name_is_commit(&k->name)) {
        hf_cache_note_ref(&k->name, told->file.commit);
    }
    if (told->is_missing) {
        hf_cache_note_missing(&k->name, told->file.commit);
        return BT_OK;
    }
    BT_TRY(hf_cache_find(&k->name, told->file.commit, &found, err));
    if (found.path != NULL && (told->file.n_bytes < 0 || found.n_bytes == told->file.n_bytes)) {
        k->local = found.path;
        k->file.n_bytes = found.n_bytes;
        return BT_OK;
    }
    bt_free(found.path);
    return BT_OK;
}

static bt_status ask(known *k, const char *cached_commit, bt_error *err) {
    answer            told;
    bool              is_cached = false;
    bt_error          problem = BT_ERROR_INIT;
    const char *const pinned = commit_of(&k->name);
    BT_TRY(look_in_cache(k, cached_commit, &is_cached, err));
    bt_free(k->local); /* only to know whether there is one */
    k->local = NULL;
    bt_status rc =
        ask_hub(k->path, &k->name, k->name.revision, is_cached ? ask_seconds : 0, &told, &problem);
    if (rc == BT_OK && pinned != NULL && told.file.commit[0] != '\0' &&
        strcmp(pinned, told.file.commit) != 0) { /* it moved since the first file was found */
        rc = ask_hub(k->path, &k->name, pinned, 0, &told, &problem);
    }
    if (rc == BT_OK) {
        return take_answer(k, &told, err);
    }
    if (rc == BT_E_RESOURCE && is_cached) {
        bt_log(BT_LOG_WARNING, "%s; taken from the cache, which has commit %s", problem.msg,
               cached_commit);
        return look_in_cache(k, cached_commit, &is_cached, err);
    }
    return BT_FAIL(err, rc, "%s", problem.msg);
}

static bt_status resolve(known *k, bt_error *err) {
    char commit[HF_COMMIT_MAX];
    bool done = false;
    BT_TRY(hf_cache_read_ref(&k->name, commit, err));
    if (is_offline() || hf_name_is_commit(&k->name)) {
        BT_TRY(look_in_cache(k, commit, &done, err));
        if (done) {
            return BT_OK;
        }
    }
    if (is_offline()) {
        k->is_missing = true;
        bt_log(BT_LOG_INFO,
               "%s: not in the cache of the hub's files, and HF_HUB_OFFLINE (or "
               "TRANSFORMERS_OFFLINE) fetches nothing",
               k->path);
        return BT_OK;
    }
    return ask(k, commit, err);
}

/* With the lock held. */
static bt_status find_known(const char *path, known **out, bt_error *err) {
    for (known *k = all; k != NULL; k = k->next) {
        if (strcmp(k->path, path) == 0) {
            *out = k;
            return BT_OK;
        }
    }
    bt_status rc = BT_OK;
    known    *k = bt_calloc_array(1, sizeof *k);
    if (k == NULL || (k->path = bt_strdup(path)) == NULL) {
        bt_free(k);
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
    }
    BT_CHECK(parse_name(path, &k->name, err));
    BT_CHECK(resolve(k, err));
    k->file.path = k->path;
    k->next = all;
    all = k;
    *out = k;
    return BT_OK;
done:
    deinit_name(&k->name);
    bt_free(k->local);
    bt_free(k->path);
    bt_free(k);
    return rc;
}

/* What the cache can hold: of a commit, with a name and a length. */
static bool can_be_cached(const known *k) {
    return k->local != NULL ||
           (k->file.commit[0] != '\0' && k->file.etag[0] != '\0' && k->file.n_bytes >= 0);
}

static bt_status stat_known(const char *path, remote_info *out, bool *is_plain_file,
                            bt_error *err) {
    known *k = NULL;
    BT_TRY(find_known(path, &k, err));
    *is_plain_file = !k->is_missing && !can_be_cached(k);
    *out = (remote_info){.kind = k->is_missing ? BT_FS_MISSING : BT_FS_FILE,
                         .n_bytes = k->is_missing ? 0 : k->file.n_bytes,
                         .version = BT_FS_ANY_VERSION};
    (void)snprintf(out->etag, sizeof out->etag, "%.63s/%.63s", k->file.commit, k->file.etag);
    return BT_OK;
}

/* A repository is a folder; whether it is there shows when a file of it is asked for. */
static bt_status hf_stat(const char *path, remote_info *out, bt_error *err) {
    hf_name name = {0};
    bool    is_plain_file = false;
    BT_TRY(parse_name(path, &name, err));
    const bool is_folder = name.file[0] == '\0';
    deinit_name(&name);
    if (is_folder) {
        *out = (remote_info){.kind = BT_FS_FOLDER, .version = BT_FS_ANY_VERSION};
        return BT_OK;
    }
    pthread_mutex_lock(&lock);
    const bt_status rc = stat_known(path, out, &is_plain_file, err);
    pthread_mutex_unlock(&lock);
    /* a server that tells no commit is none of the hub: read in blocks, like any other */
    return rc == BT_OK && is_plain_file ? web_stat(path, out, err) : rc;
}

/* The file in the cache, fetched when it is not there; *fd -1: it cannot be cached. */
static bt_status open_known(const char *path, int *fd, bt_error *err) {
    known  *k = NULL;
    int64_t n_bytes = -1;
    *fd = -1;
    BT_TRY(find_known(path, &k, err));
    if (k->is_missing || !can_be_cached(k)) {
        return BT_OK;
    }
    if (k->local == NULL) {
        BT_TRY(hf_cache_add(&k->name, &k->file, web_download, &k->local, err));
    }
    BT_TRY(fs_open_read(k->local, fd, &n_bytes, err));
    if (n_bytes != k->file.n_bytes) {
        (void)close(*fd);
        *fd = -1;
        return BT_FAIL(err, BT_E_IO,
                       "%s: its file in the cache (%s) has %" PRId64 " bytes, %" PRId64
                       " are expected: remove it to fetch it again",
                       path, k->local, n_bytes, k->file.n_bytes);
    }
    return BT_OK;
}

static bt_status hf_open_whole(const char *path, int *fd, bt_error *err) {
    pthread_mutex_lock(&lock);
    const bt_status rc = open_known(path, fd, err);
    pthread_mutex_unlock(&lock);
    return rc;
}

bt_status hf_append_url(bt_str *url, const char *path, bt_error *err) {
    hf_name name = {0};
    BT_TRY(parse_name(path, &name, err));
    bt_status rc = append_name_url(url, &name, name.revision, err);
    if (rc == BT_OK) {
        rc = http_check_private("HF_ENDPOINT", url->data, err);
    }
    deinit_name(&name);
    return rc;
}

const remote_store remote_hf = {.scheme = "hf://",
                                .stat = hf_stat,
                                .read = web_read,
                                .download = web_download,
                                .open_whole = hf_open_whole};
