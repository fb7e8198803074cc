/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing to Google Cloud Storage. Every upload names the generation that it replaces (0: none), so
 * a request that is sent twice, or arrives late, changes nothing twice. An object appears whole or
 * not at all; the store checks the crc32c of small ones before they appear, that of large ones is
 * held against ours afterwards. */
#include "bt/base/alloc.h"
#include "bt/base/crc32c.h"
#include "bt/base/log.h"
#include "bt/base/number.h"
#include "gcs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RACES = 3, MAX_CHUNK_TRIES = 1000 };

/* The generation that is there now; 0: none. */
static bt_status current_version(const char *path, int64_t *version, bt_error *err) {
    remote_info info = {0};
    bool        found = false;
    BT_TRY(gcs_get_resource(path, &info, &found, err));
    *version = found ? info.version : 0;
    return BT_OK;
}

/* Google's store always tells the crc32c; of one that does not, that is said once. */
static bool is_ours(const char *path, const remote_info *info, size_t n, uint32_t crc) {
    static atomic_flag told = ATOMIC_FLAG_INIT;
    if (!info->has_crc32c && !atomic_flag_test_and_set(&told)) {
        bt_log(BT_LOG_WARNING,
               "%s: the store reports no crc32c of what it kept: only sizes are compared", path);
    }
    return info->n_bytes == (int64_t)n && (!info->has_crc32c || info->crc32c == crc);
}

/* A condition that failed, or an upload that is not known any more: perhaps an earlier try arrived,
 * ours or one that libcurl made by itself on a connection that had died, and only its answer was
 * lost. What is there says so; equal sizes alone do not. */
static bt_status look_whose(const char *path, size_t n, uint32_t crc, remote_info *info, bool *ours,
                            bt_error *err) {
    bool     found = false;
    uint32_t kept = 0;
    *ours = false;
    BT_TRY(gcs_get_resource(path, info, &found, err));
    if (!found || info->n_bytes != (int64_t)n) {
        return BT_OK;
    }
    kept = info->crc32c;
    if (!info->has_crc32c) {
        BT_TRY(remote_read_back(&remote_gcs, path, info, &kept, err));
    }
    *ours = kept == crc;
    return BT_OK;
}

/* One request: small objects. */

static bt_status append_multipart(bt_str *body, const char *boundary, const void *bytes, size_t n,
                                  uint32_t crc, bt_error *err) {
    BT_TRY(bt_str_appendf(body, err,
                          "--%s\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n"
                          "{\"crc32c\": \"",
                          boundary));
    BT_TRY(remote_append_crc32c(body, crc, err));
    BT_TRY(bt_str_appendf(
        body, err, "\"}\r\n--%s\r\nContent-Type: application/octet-stream\r\n\r\n", boundary));
    BT_TRY(bt_str_append_n(body, bytes, n, err));
    return bt_str_appendf(body, err, "\r\n--%s--\r\n", boundary);
}

static bool contains(const void *bytes, size_t n, const char *text) {
    const size_t      n_text = strlen(text);
    const char *const p = bytes;
    for (size_t i = 0; i + n_text <= n; i++) {
        const char *const at = memchr(p + i, text[0], n - n_text - i + 1);
        if (at == NULL) {
            return false;
        }
        i = (size_t)(at - p);
        if (memcmp(at, text, n_text) == 0) {
            return true;
        }
    }
    return false;
}

/* A line that the content does not have. */
static void choose_boundary(const void *bytes, size_t n, uint32_t crc, char boundary[64]) {
    for (uint32_t i = 0;; i++) {
        (void)snprintf(boundary, 64, "bert-train-part-%08" PRIx32 "-%" PRIu32, crc, i);
        if (!contains(bytes, n, boundary)) {
            return;
        }
    }
}

typedef enum put_end {
    PUT_DONE,
    PUT_LOST,   /* somebody else changed the object since */
    PUT_DAMAGED /* the store kept other bytes */
} put_end;

/* One upload under a condition. */
static bt_status put_once(const char *path, const void *bytes, size_t n, int64_t if_version,
                          int64_t *version, put_end *end, bt_error *err) {
    bt_status      rc = BT_OK;
    bt_str         url = BT_STR_INIT;
    bt_str         body = BT_STR_INIT;
    http_response  response = {0};
    remote_name    name;
    remote_info    info = {0};
    bool           is_there = false;
    char           boundary[64];
    char           type[128];
    const uint32_t crc = bt_crc32c(0, bytes, n);
    *end = PUT_DONE;
    choose_boundary(bytes, n, crc, boundary);
    (void)snprintf(type, sizeof type, "Content-Type: multipart/related; boundary=%s", boundary);
    const char *const headers[] = {type, NULL};
    BT_CHECK(remote_name_parse(path, &name, err));
    BT_CHECK(gcs_append_bucket(&url, "/upload/storage/v1", &name, err));
    BT_CHECK(bt_str_appendf(
        &url, err, "?uploadType=multipart&ifGenerationMatch=%" PRId64 "&name=", if_version));
    BT_CHECK(http_append_encoded(&url, name.name, "", err));
    BT_CHECK(append_multipart(&body, boundary, bytes, n, crc, err));
    const http_request request = {.what = path,
                                  .method = "POST",
                                  .url = url.data,
                                  .headers = headers,
                                  .body = body.data,
                                  .n_body = body.len,
                                  HTTP_RANGE_NONE,
                                  .max_body = GCS_MAX_JSON,
                                  .auth = gcs_auth()};
    BT_CHECK(http_run(&request, &response, err));
    if (response.status == 412 || response.status == 409) {
        BT_CHECK(look_whose(path, n, crc, &info, &is_there, err));
        *end = is_there ? PUT_DONE : PUT_LOST;
        *version = info.version;
        goto done;
    }
    if (response.status < 200 || response.status >= 300) {
        rc = http_fail(&request, &response, "write", BT_E_RESOURCE, err);
        goto done;
    }
    BT_CHECK(gcs_parse_resource(path, bt_str_text(&response.body), response.body.len, &info, err));
    *version = info.version;
    *end = is_ours(path, &info, n, crc) ? PUT_DONE : PUT_DAMAGED;
done:
    bt_str_deinit(&url);
    bt_str_deinit(&body);
    http_response_deinit(&response);
    return rc;
}

static bt_status fail_lost(const char *path, bt_error *err) {
    return BT_FAIL(err, BT_E_RESOURCE,
                   "%s was changed by another process since this one read or wrote it: do two jobs "
                   "write to the same folder?",
                   path);
}

/* For ever damaged: it must not stay. */
static bt_status fail_damaged(const char *path, int64_t version, bt_error *err) {
    const bool removed = gcs_remove_version(path, version, NULL) == BT_OK;
    return BT_FAIL(err, BT_E_RESOURCE,
                   "%s: the store kept other bytes than were sent, again and "
                   "again: %s",
                   path, removed ? "removed" : "remove it");
}

bt_status gcs_put(const char *path, const void *bytes, size_t n, int64_t if_version,
                  int64_t *version, bt_error *err) {
    int64_t before = if_version;
    put_end end = PUT_LOST;
    for (int tries = 0; tries <= MAX_RACES; tries++) {
        if (if_version == BT_FS_ANY_VERSION && end == PUT_LOST) {
            BT_TRY(current_version(path, &before, err));
        }
        BT_TRY(put_once(path, bytes, n, before, version, &end, err));
        if (end == PUT_DONE) {
            return BT_OK;
        }
        if (end == PUT_LOST && if_version != BT_FS_ANY_VERSION) {
            return fail_lost(path, err);
        }
        if (end == PUT_DAMAGED) { /* what is replaced is the damaged one */
            bt_log(BT_LOG_WARNING, "%s: the store kept other bytes than were sent: sent again",
                   path);
            before = *version;
        }
    }
    return end == PUT_LOST ? fail_lost(path, err) : fail_damaged(path, *version, err);
}

/* Chunks: large objects. */

typedef struct gcs_upload {
    char    *path;
    char    *session; /* the URL that the store gave: it is a credential, never shown */
    int64_t  offset;  /* bytes that the store has */
    uint32_t crc;
    bool     is_done;
} gcs_upload;

static bt_status begin_session(gcs_upload *upload, bt_error *err) {
    bt_status                rc = BT_OK;
    bt_str                   url = BT_STR_INIT;
    http_response            response = {0};
    remote_name              name;
    int64_t                  version = 0;
    static const char *const headers[] = {"Content-Type: application/json; charset=UTF-8",
                                          "X-Upload-Content-Type: application/octet-stream", NULL};
    BT_CHECK(remote_name_parse(upload->path, &name, err));
    BT_CHECK(current_version(upload->path, &version, err));
    BT_CHECK(gcs_append_bucket(&url, "/upload/storage/v1", &name, err));
    BT_CHECK(bt_str_appendf(&url, err,
                            "?uploadType=resumable&ifGenerationMatch=%" PRId64 "&name=", version));
    BT_CHECK(http_append_encoded(&url, name.name, "", err));
    const http_request request = {.what = upload->path,
                                  .method = "POST",
                                  .url = url.data,
                                  .headers = headers,
                                  .body = "{}",
                                  .n_body = 2,
                                  HTTP_RANGE_NONE,
                                  .max_body = GCS_MAX_JSON,
                                  .auth = gcs_auth()};
    BT_CHECK(http_run(&request, &response, err));
    const char *const location = http_header(&response.headers, "location");
    http_url          here;
    http_url          there;
    bool              are_urls = false;
    if (response.status < 200 || response.status >= 300 || location == NULL) {
        rc = http_fail(&request, &response, "begin to write", BT_E_RESOURCE, err);
        goto done;
    }
    BT_CHECK(http_resolve(url.data, location, &upload->session, err));
    BT_CHECK(http_read_urls(url.data, upload->session, &are_urls, &here, &there, err));
    if (!are_urls || !http_same_origin(&here, &there)) {
        rc = BT_FAIL(err, BT_E_RESOURCE, "%s: the store sends the upload to another host: refused",
                     upload->path);
    }
done:
    bt_str_deinit(&url);
    http_response_deinit(&response);
    return rc;
}

bt_status gcs_upload_begin(const char *path, void **out, bt_error *err) {
    gcs_upload *const upload = bt_calloc_array(1, sizeof *upload);
    if (upload == NULL || (upload->path = bt_strdup(path)) == NULL) {
        bt_free(upload);
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot write %s", path);
    }
    const bt_status rc = begin_session(upload, err);
    if (rc != BT_OK) {
        gcs_upload_end(upload);
        return rc;
    }
    *out = upload;
    return BT_OK;
}

/* 308 with "Range: bytes=0-LAST": how much the store has; no Range: nothing. */
static bool parse_persisted(const http_response *response, int64_t *n) {
    const char *const range = http_header(&response->headers, "range");
    int64_t           last = 0;
    if (range == NULL) {
        *n = 0;
        return true;
    }
    if (strncmp(range, "bytes=0-", 8) != 0 || !bt_parse_i64(range + 8, &last) || last < 0 ||
        last == INT64_MAX) {
        return false;
    }
    *n = last + 1;
    return true;
}

/* The object is there: are its bytes ours? If not it must not stay. */
static bt_status finish(gcs_upload *upload, const http_response *response, int64_t total,
                        bt_error *err) {
    remote_info info = {0};
    BT_TRY(gcs_parse_resource(upload->path, bt_str_text(&response->body), response->body.len, &info,
                              err));
    if (!is_ours(upload->path, &info, (size_t)total, upload->crc)) {
        const bool removed = gcs_remove_version(upload->path, info.version, NULL) == BT_OK;
        return BT_FAIL(err, BT_E_RESOURCE,
                       "%s: the store kept other bytes than were sent (crc32c 0x%08" PRIx32
                       ", sent 0x%08" PRIx32 "): %s",
                       upload->path, info.crc32c, upload->crc,
                       removed ? "removed again" : "remove it");
    }
    upload->is_done = true;
    return BT_OK;
}

/* The answer to what should have been the last part: is the object there all the same? */
static bt_status finish_lost(gcs_upload *upload, long status, int64_t total, bt_error *err) {
    remote_info info = {0};
    const bool  may_be_there =
        total >= 0 && (status == 404 || status == 409 || status == 410 || status == 412);
    return may_be_there
               ? look_whose(upload->path, (size_t)total, upload->crc, &info, &upload->is_done, err)
               : BT_OK;
}

/* One PUT to the session. n 0: only asks how much is there. */
static bt_status send_part(const gcs_upload *upload, const uint8_t *bytes, size_t n, int64_t total,
                           http_response *response, http_request *request, bt_error *err) {
    char range[96];
    char whole[24] = "*";
    if (total >= 0) {
        (void)snprintf(whole, sizeof whole, "%" PRId64, total);
    }
    if (n > 0) {
        (void)snprintf(range, sizeof range, "Content-Range: bytes %" PRId64 "-%" PRId64 "/%s",
                       upload->offset, upload->offset + (int64_t)n - 1, whole);
    } else {
        (void)snprintf(range, sizeof range, "Content-Range: bytes */%s", whole);
    }
    const char *const headers[] = {range, "Content-Type: application/octet-stream", NULL};
    *request = (http_request){.what = upload->path,
                              .method = "PUT",
                              .url = upload->session,
                              .headers = headers,
                              .body = n > 0 ? (const void *)bytes : "",
                              .n_body = n,
                              HTTP_RANGE_NONE,
                              .max_body = GCS_MAX_JSON,
                              .auth = gcs_auth(),
                              .once = true};
    const bt_status rc = http_run(request, response, err);
    request->headers = NULL; /* of this frame */
    return rc;
}

/* Bytes [begin, end) of the object, on their way. */
typedef struct sending {
    int64_t begin, end;
    bool    must_ask; /* a connection broke: where does the store stand? */
    int32_t n_failed;
} sending;

/* The store has the object's first bytes, and says how many. */
static bt_status take_progress(gcs_upload *upload, sending *s, int64_t persisted, bt_error *err) {
    s->must_ask = false;
    s->n_failed += persisted <= upload->offset;
    if (persisted < s->begin || persisted > s->end) {
        return BT_FAIL(err, BT_E_RESOURCE,
                       "%s: the store has %" PRId64 " bytes, but %" PRId64 " were sent",
                       upload->path, persisted, s->end);
    }
    upload->offset = persisted;
    return BT_OK;
}

/* Neither progress nor the end nor anything that is worth another try. */
static bt_status take_refusal(gcs_upload *upload, const http_request *request,
                              const http_response *response, int64_t total, bt_error *err) {
    BT_TRY(finish_lost(upload, response->status, total, err));
    if (upload->is_done) {
        return BT_OK;
    }
    return response->status != 0 ? http_fail(request, response, "write", BT_E_RESOURCE, err)
                                 : BT_FAIL(err, BT_E_RESOURCE,
                                           "%s: the connection to the store has been broken for "
                                           "%.0f s (BERT_TRAIN_RETRY_SECONDS)",
                                           upload->path, http_retry_seconds());
}

static bt_status take_answer(gcs_upload *upload, sending *s, const http_request *request,
                             const http_response *response, int64_t total, bt_error *err) {
    const long status = response->status;
    int64_t    persisted = 0;
    if (status == 308 && parse_persisted(response, &persisted)) {
        return take_progress(upload, s, persisted, err);
    }
    if ((status == 200 || status == 201) && total >= 0) {
        return finish(upload, response, total, err);
    }
    if ((status == 0 || http_is_retryable(status)) && http_window_left(upload->session) > 0) {
        s->n_failed++;
        s->must_ask = true;
        http_window_tell(upload->session, upload->path, "the connection broke", 0);
        http_backoff(s->n_failed, http_window_left(upload->session), NULL);
        return BT_OK;
    }
    return take_refusal(upload, request, response, total, err);
}

/* Sends what the store does not have yet of [offset at entry, + n), asking where it stands when a
 * connection broke. */
static bt_status send_until_there(gcs_upload *upload, const uint8_t *bytes, size_t n, int64_t total,
                                  bt_error *err) {
    sending s = {.begin = upload->offset, .end = upload->offset + (int64_t)n};
    while (s.n_failed < MAX_CHUNK_TRIES && !upload->is_done) {
        http_response response = {0};
        http_request  request;
        const size_t  done = (size_t)(upload->offset - s.begin);
        bt_status rc = send_part(upload, bytes + done, s.must_ask ? 0 : n - done, total, &response,
                                 &request, err);
        if (rc == BT_OK) {
            rc = take_answer(upload, &s, &request, &response, total, err);
        }
        http_response_deinit(&response);
        BT_TRY(rc);
        if (upload->offset == s.end && total < 0) {
            return BT_OK;
        }
    }
    return upload->is_done
               ? BT_OK
               : BT_FAIL(err, BT_E_RESOURCE, "%s: the upload makes no progress", upload->path);
}

bt_status gcs_upload_chunk(void *context, const void *bytes, size_t n, bool last, bt_error *err) {
    gcs_upload *const upload = context;
    upload->crc = bt_crc32c(upload->crc, bytes, n);
    return send_until_there(upload, bytes, n, last ? upload->offset + (int64_t)n : -1, err);
}

/* A session that was begun and not finished: the store forgets it by itself after a week; telling
 * it is a courtesy that must not take time. */
void gcs_upload_end(void *context) {
    gcs_upload *const upload = context;
    if (upload == NULL) {
        return;
    }
    if (upload->session != NULL && !upload->is_done) {
        http_response      response = {0};
        const http_request request = {.what = upload->path,
                                      .method = "DELETE",
                                      .url = upload->session,
                                      HTTP_RANGE_NONE,
                                      .max_body = GCS_MAX_JSON,
                                      .auth = gcs_auth(),
                                      .limit_seconds = 1.0,
                                      .connect_seconds = 1.0};
        if (http_run(&request, &response, NULL) == BT_OK) {
            http_response_deinit(&response);
        }
    }
    bt_free(upload->session);
    bt_free(upload->path);
    bt_free(upload);
}
