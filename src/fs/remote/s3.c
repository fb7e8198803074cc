/* SPDX-License-Identifier: Apache-2.0
 *
 * s3://: Amazon's store and those that speak like it. Requests are signed (SigV4) by libcurl.
 * Credentials: AWS_ACCESS_KEY_ID and its fellows, then the file of AWS_SHARED_CREDENTIALS_FILE or
 * ~/.aws/credentials (AWS_PROFILE); without any, requests are not signed (public buckets). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs_internal.h"
#include "remote.h"
#include "s3_xml.h"

enum { MAX_XML = 16 << 20, MAX_PARTS = 10000, MAX_INI = 1 << 20 };

/* ---- credentials and URLs ---------------------------------------------------------------------
 */

typedef struct s3_account {
    char      provider[64];
    char      key[512];
    char      token_header[4096];
    bool      signs;
    http_sign sign;
} s3_account;

static const char *env(const char *name) {
    const char *const value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static const char *region(void) {
    const char *const name =
        env("AWS_REGION") != NULL ? env("AWS_REGION") : env("AWS_DEFAULT_REGION");
    return name != NULL ? name : "us-east-1";
}

/* "key = value" lines of "[profile]". */
static bool find_in_ini(const char *text, const char *profile, const char *key, char *value,
                        size_t cap) {
    bool inside = false;
    for (const char *line = text; *line != '\0';) {
        const size_t n = strcspn(line, "\r\n");
        const size_t n_profile = strlen(profile);
        const size_t n_key = strlen(key);
        if (line[0] == '[') {
            inside = n == n_profile + 2 && strncmp(line + 1, profile, n_profile) == 0;
        } else if (inside && strncmp(line, key, n_key) == 0) {
            const char *p = line + n_key;
            p += strspn(p, " \t");
            if (*p == '=') {
                p += 1 + strspn(p + 1, " \t");
                const size_t n_value = strcspn(p, " \t\r\n");
                if (n_value > 0 && n_value < cap) {
                    memcpy(value, p, n_value);
                    value[n_value] = '\0';
                    return true;
                }
            }
        }
        line += n;
        line += strspn(line, "\r\n");
    }
    return false;
}

static bool read_ini(char id[256], char secret[256], char token[2048]) {
    const char *const home = env("HOME");
    const char *const file = env("AWS_SHARED_CREDENTIALS_FILE");
    const char *const profile = env("AWS_PROFILE") != NULL ? env("AWS_PROFILE") : "default";
    char              path[1024];
    char             *text = NULL;
    size_t            n = 0;
    (void)snprintf(path, sizeof path, "%s%s",
                   file != NULL   ? file
                   : home != NULL ? home
                                  : "",
                   file != NULL ? "" : "/.aws/credentials");
    if (fs_is_served(path) || !bt_fs_exists(path) ||
        bt_fs_read_all(path, MAX_INI, &text, &n, NULL) != BT_OK) {
        return false;
    }
    const bool found = find_in_ini(text, profile, "aws_access_key_id", id, 256) &&
                       find_in_ini(text, profile, "aws_secret_access_key", secret, 256);
    if (!find_in_ini(text, profile, "aws_session_token", token, 2048)) {
        token[0] = '\0';
    }
    bt_free(text);
    return found;
}

static void find_account(s3_account *account) {
    char id[256] = "";
    char secret[256] = "";
    char token[2048] = "";
    *account = (s3_account){0};
    if (env("AWS_ACCESS_KEY_ID") != NULL && env("AWS_SECRET_ACCESS_KEY") != NULL) {
        (void)snprintf(id, sizeof id, "%s", env("AWS_ACCESS_KEY_ID"));
        (void)snprintf(secret, sizeof secret, "%s", env("AWS_SECRET_ACCESS_KEY"));
        (void)snprintf(token, sizeof token, "%s",
                       env("AWS_SESSION_TOKEN") != NULL ? env("AWS_SESSION_TOKEN") : "");
        account->signs = true;
    } else {
        account->signs = read_ini(id, secret, token);
    }
    (void)snprintf(account->provider, sizeof account->provider, "aws:amz:%s:s3", region());
    (void)snprintf(account->key, sizeof account->key, "%s:%s", id, secret);
    if (token[0] != '\0') {
        (void)snprintf(account->token_header, sizeof account->token_header,
                       "X-Amz-Security-Token: %s", token);
    }
    account->sign = (http_sign){account->provider, account->key};
}

/* https://BUCKET.s3.REGION.amazonaws.com/NAME, or ENDPOINT/BUCKET/NAME. */
static bt_status append_url(bt_str *url, const remote_name *name, const char *object,
                            bt_error *err) {
    const char *const own = env("AWS_ENDPOINT_URL_S3");
    const char *const endpoint = own != NULL ? own : env("AWS_ENDPOINT_URL");
    http_url          parsed;
    if (endpoint == NULL && strchr(name->bucket, '.') == NULL) {
        BT_TRY(bt_str_appendf(url, err, "https://%s.s3.%s.amazonaws.com/", name->bucket, region()));
    } else if (endpoint == NULL) { /* a dot in the name has no certificate */
        BT_TRY(bt_str_appendf(url, err, "https://s3.%s.amazonaws.com/%s/", region(), name->bucket));
    } else {
        const size_t n = strlen(endpoint);
        if (!http_parse_url(endpoint, &parsed) ||
            (strcmp(parsed.scheme, "https") != 0 && !http_is_loopback(&parsed))) {
            return BT_FAIL(err, BT_E_CONFIG, "AWS_ENDPOINT_URL=%s: expected an https:// URL",
                           endpoint);
        }
        BT_TRY(bt_str_append_n(url, endpoint, n - (endpoint[n - 1] == '/' ? 1 : 0), err));
        BT_TRY(bt_str_appendf(url, err, "/%s/", name->bucket));
    }
    return http_append_encoded(url, object, "/", err);
}

/* ---- one request ------------------------------------------------------------------------------
 */

typedef struct s3_call {
    const char       *path;
    const char       *method;
    const char       *object; /* NULL: that of the path; "": the bucket */
    const char       *query;  /* encoded and sorted, "" for none */
    const char       *header; /* or NULL */
    const void       *body;
    size_t            n_body;
    int64_t           range_begin;
    int64_t           range_last;
    uint8_t          *buffer;
    size_t            n_buffer;
    const atomic_int *cancel;
    const char       *verb;
    bt_status         failure;  /* code of an answer that is no success */
    bool              may_miss; /* 404 is the caller's */
} s3_call;

/* An error's answer is XML: only its message is for people. */
static void keep_message(http_response *response) {
    bt_str words = BT_STR_INIT;
    if (s3_xml_text(bt_str_text(&response->body), "Message", &words)) {
        bt_str_deinit(&response->body);
        response->body = words;
    } else {
        bt_str_deinit(&words);
    }
}

static bt_status run_call(const s3_call *call, http_response *response, bt_error *err) {
    bt_status   rc = BT_OK;
    bt_str      url = BT_STR_INIT;
    s3_account  account;
    remote_name name;
    const char *headers[4] = {NULL};
    size_t      n_headers = 0;
    find_account(&account);
    BT_CHECK(remote_name_parse(call->path, &name, err));
    BT_CHECK(append_url(&url, &name, call->object != NULL ? call->object : name.name, err));
    BT_CHECK(bt_str_appendf(&url, err, "%s%s", call->query[0] != '\0' ? "?" : "", call->query));
    if (account.token_header[0] != '\0') {
        headers[n_headers++] = account.token_header;
    }
    if (call->header != NULL) {
        headers[n_headers++] = call->header;
    }
    const http_request request = {.what = call->path,
                                  .method = call->method,
                                  .url = url.data,
                                  .headers = headers,
                                  .body = call->body,
                                  .n_body = call->n_body,
                                  .range_begin = call->range_begin,
                                  .range_last = call->range_last,
                                  .max_body = MAX_XML,
                                  .sign = account.signs ? &account.sign : NULL,
                                  .buffer = call->buffer,
                                  .n_buffer = call->n_buffer,
                                  .cancel = call->cancel};
    BT_CHECK(http_run(&request, response, err));
    if ((response->status < 200 || response->status >= 300) &&
        !(call->may_miss && response->status == 404)) {
        keep_message(response);
        rc = http_fail(&request, response, call->verb, call->failure, err);
        http_response_deinit(response);
    }
done:
    bt_str_deinit(&url);
    return rc;
}

/* ---- looking ----------------------------------------------------------------------------------
 */

static bt_status s3_list_page(const char *prefix, bool one_level, int max_names, bt_fs_names *out,
                              bt_str *token, bt_error *err) {
    bt_status     rc = BT_OK;
    bt_str        query = BT_STR_INIT;
    http_response response = {0};
    remote_name   name;
    BT_CHECK(remote_name_parse(prefix, &name, err));
    if (token->len > 0) { /* in the order that the signature wants */
        BT_CHECK(bt_str_append(&query, "continuation-token=", err));
        BT_CHECK(http_append_encoded(&query, token->data, "", err));
        BT_CHECK(bt_str_append_char(&query, '&', err));
    }
    BT_CHECK(bt_str_append(&query, one_level ? "delimiter=%2F&" : "", err));
    BT_CHECK(bt_str_appendf(&query, err, "list-type=2&max-keys=%d&prefix=", max_names));
    BT_CHECK(http_append_encoded(&query, name.name, "", err));
    const s3_call call = {.path = prefix,
                          .method = "GET",
                          .object = "",
                          .query = query.data,
                          HTTP_RANGE_NONE,
                          .verb = "list",
                          .failure = BT_E_IO};
    BT_CHECK(run_call(&call, &response, err));
    BT_CHECK(s3_parse_list(name.bucket, bt_str_text(&response.body), out, token, err));
done:
    bt_str_deinit(&query);
    http_response_deinit(&response);
    return rc;
}

static bt_status fill_info(const char *path, const http_response *response, remote_info *out,
                           bt_error *err) {
    const char *const length = http_header(&response->headers, "content-length");
    const char *const etag = http_header(&response->headers, "etag");
    int64_t           n = -1;
    if (length == NULL || !bt_parse_i64(length, &n) || n < 0) {
        return BT_FAIL(err, BT_E_FORMAT, "%s: the store does not say how long it is", path);
    }
    *out = (remote_info){.kind = BT_FS_FILE,
                         .n_bytes = n,
                         .version = BT_FS_ANY_VERSION,
                         .modified_unix =
                             remote_parse_time(http_header(&response->headers, "last-modified"))};
    if (etag != NULL && strlen(etag) < sizeof out->etag) {
        memcpy(out->etag, etag, strlen(etag) + 1);
    }
    return BT_OK;
}

static bt_status s3_stat(const char *path, remote_info *out, bt_error *err) {
    bt_status     rc = BT_OK;
    http_response response = {0};
    remote_name   name;
    BT_TRY(remote_name_parse(path, &name, err));
    *out = (remote_info){.kind = BT_FS_FOLDER, .version = BT_FS_ANY_VERSION};
    if (name.name[0] == '\0') {
        return BT_OK;
    }
    const s3_call call = {.path = path,
                          .method = "HEAD",
                          .query = "",
                          HTTP_RANGE_NONE,
                          .verb = "look at",
                          .failure = BT_E_IO,
                          .may_miss = true};
    BT_CHECK(run_call(&call, &response, err));
    if (response.status != 404 && !bt_str_ends_with(path, "/")) {
        BT_CHECK(fill_info(path, &response, out, err));
    } else {
        bool any = false;
        BT_CHECK(remote_has_below(&remote_s3, path, &any, err));
        out->kind = any ? BT_FS_FOLDER : BT_FS_MISSING;
    }
done:
    http_response_deinit(&response);
    return rc;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static bt_status s3_read(const char *path, const remote_info *info, int64_t offset, void *dst,
                         size_t n, const atomic_int *cancel, bt_error *err) {
    http_response response = {0};
    char          if_match[REMOTE_ETAG_MAX + 16];
    (void)snprintf(if_match, sizeof if_match, "If-Match: %s", info->etag);
    const s3_call call = {.path = path,
                          .method = "GET",
                          .query = "",
                          .header = info->etag[0] != '\0' ? if_match : NULL,
                          .range_begin = offset,
                          .range_last = offset + (int64_t)n - 1,
                          .buffer = dst,
                          .n_buffer = n,
                          .cancel = cancel,
                          .verb = "read",
                          .failure = BT_E_IO};
    BT_TRY(run_call(&call, &response, err));
    const size_t got = response.n_body_got;
    http_response_deinit(&response);
    return got == n ? BT_OK
                    : BT_FAIL(err, BT_E_IO, "%s: %zu bytes came, %zu were asked for", path, got, n);
}

/* ---- writing ----------------------------------------------------------------------------------
 */

static bt_status s3_put(const char *path, const void *bytes, size_t n, int64_t if_version,
                        int64_t *version, bt_error *err) {
    http_response response = {0};
    (void)if_version; /* none: see remote_info.version */
    const s3_call call = {.path = path,
                          .method = "PUT",
                          .query = "",
                          .body = n > 0 ? bytes : "",
                          .n_body = n,
                          HTTP_RANGE_NONE,
                          .verb = "write",
                          .failure = BT_E_RESOURCE};
    BT_TRY(run_call(&call, &response, err)); /* the signature covers the body's SHA-256 */
    http_response_deinit(&response);
    *version = BT_FS_ANY_VERSION;
    return BT_OK;
}

typedef struct s3_upload {
    char  *path;
    bt_str id;    /* encoded */
    bt_str parts; /* XML of what was sent */
    int    n_parts;
    bool   is_done;
} s3_upload;

static void s3_upload_end(void *context) {
    s3_upload *const upload = context;
    if (upload->id.len > 0 && !upload->is_done) {
        bt_str        query = BT_STR_INIT;
        http_response response = {0};
        if (bt_str_appendf(&query, NULL, "uploadId=%s", upload->id.data) == BT_OK) {
            const s3_call call = {.path = upload->path,
                                  .method = "DELETE",
                                  .query = query.data,
                                  HTTP_RANGE_NONE,
                                  .verb = "give up writing",
                                  .failure = BT_E_RESOURCE};
            if (run_call(&call, &response, NULL) == BT_OK) {
                http_response_deinit(&response);
            }
        }
        bt_str_deinit(&query);
    }
    bt_str_deinit(&upload->id);
    bt_str_deinit(&upload->parts);
    bt_free(upload->path);
    bt_free(upload);
}

static bt_status s3_upload_begin(const char *path, void **out, bt_error *err) {
    bt_status     rc = BT_OK;
    bt_str        id = BT_STR_INIT;
    http_response response = {0};
    s3_upload    *upload = bt_calloc_array(1, sizeof *upload);
    if (upload == NULL || (upload->path = bt_strdup(path)) == NULL) {
        bt_free(upload);
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot write %s", path);
    }
    const s3_call call = {.path = path,
                          .method = "POST",
                          .query = "uploads=",
                          .body = "",
                          HTTP_RANGE_NONE,
                          .verb = "begin to write",
                          .failure = BT_E_RESOURCE};
    BT_CHECK(run_call(&call, &response, err));
    if (!s3_xml_text(bt_str_text(&response.body), "UploadId", &id)) {
        rc = BT_FAIL(err, BT_E_FORMAT, "%s: the store gives no UploadId", path);
        goto done;
    }
    BT_CHECK(http_append_encoded(&upload->id, bt_str_text(&id), "", err));
    BT_CHECK(bt_str_append(&upload->parts, "<CompleteMultipartUpload>", err));
    *out = upload;
    upload = NULL;
done:
    if (upload != NULL) {
        s3_upload_end(upload);
    }
    bt_str_deinit(&id);
    http_response_deinit(&response);
    return rc;
}

static bt_status send_part(s3_upload *upload, const void *bytes, size_t n, bt_error *err) {
    bt_status     rc = BT_OK;
    bt_str        query = BT_STR_INIT;
    http_response response = {0};
    upload->n_parts++;
    BT_CHECK(
        bt_str_appendf(&query, err, "partNumber=%d&uploadId=%s", upload->n_parts, upload->id.data));
    const s3_call call = {.path = upload->path,
                          .method = "PUT",
                          .query = query.data,
                          .body = bytes,
                          .n_body = n,
                          HTTP_RANGE_NONE,
                          .verb = "write",
                          .failure = BT_E_RESOURCE};
    BT_CHECK(run_call(&call, &response, err));
    const char *const etag = http_header(&response.headers, "etag");
    if (etag == NULL || strpbrk(etag, "<>&") != NULL || upload->n_parts > MAX_PARTS) {
        rc =
            BT_FAIL(err, BT_E_RESOURCE, "%s: part %d was not taken", upload->path, upload->n_parts);
        goto done;
    }
    BT_CHECK(bt_str_appendf(&upload->parts, err,
                            "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>",
                            upload->n_parts, etag));
done:
    bt_str_deinit(&query);
    http_response_deinit(&response);
    return rc;
}

/* An answer of 200 may still be an error: the store begins to answer before it is done. */
static bt_status complete(s3_upload *upload, bt_error *err) {
    bt_status     rc = BT_OK;
    bt_str        query = BT_STR_INIT;
    bt_str        etag = BT_STR_INIT;
    http_response response = {0};
    BT_CHECK(bt_str_appendf(&query, err, "uploadId=%s", upload->id.data));
    BT_CHECK(bt_str_append(&upload->parts, "</CompleteMultipartUpload>", err));
    const s3_call call = {.path = upload->path,
                          .method = "POST",
                          .query = query.data,
                          .body = upload->parts.data,
                          .n_body = upload->parts.len,
                          HTTP_RANGE_NONE,
                          .verb = "finish writing",
                          .failure = BT_E_RESOURCE};
    BT_CHECK(run_call(&call, &response, err));
    upload->is_done = s3_xml_text(bt_str_text(&response.body), "ETag", &etag);
    if (!upload->is_done) {
        rc = BT_FAIL(err, BT_E_RESOURCE, "%s: the store could not put the parts together",
                     upload->path);
    }
done:
    bt_str_deinit(&query);
    bt_str_deinit(&etag);
    http_response_deinit(&response);
    return rc;
}

static bt_status s3_upload_chunk(void *context, const void *bytes, size_t n, bool last,
                                 bt_error *err) {
    BT_TRY(send_part(context, bytes, n, err));
    return last ? complete(context, err) : BT_OK;
}

static bt_status s3_remove(const char *path, bt_error *err) {
    http_response response = {0};
    const s3_call call = {.path = path,
                          .method = "DELETE",
                          .query = "",
                          HTTP_RANGE_NONE,
                          .verb = "remove",
                          .failure = BT_E_RESOURCE,
                          .may_miss = true};
    BT_TRY(run_call(&call, &response, err));
    http_response_deinit(&response);
    return BT_OK;
}

const remote_store remote_s3 = {.scheme = "s3://",
                                .stat = s3_stat,
                                .read = s3_read,
                                .list_page = s3_list_page,
                                .put = s3_put,
                                .upload_begin = s3_upload_begin,
                                .upload_chunk = s3_upload_chunk,
                                .upload_end = s3_upload_end,
                                .remove = s3_remove};
