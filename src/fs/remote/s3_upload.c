/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing to S3. What the store kept is compared with what was sent after every upload: by the ETag
 * where it is an MD5 (of parts: the MD5 of their MD5s), else by length and checksum, else by
 * reading it back. A difference is an error. Where a state is to be replaced (if_version) the store
 * is asked to check it (If-Match, If-None-Match), and is looked at first, since some ignore that.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/crc32c.h"
#include "bt/base/log.h"
#include "s3.h"
#include "s3_xml.h"
#include "secrets.h"

enum { MAX_PARTS = 10000, MAX_SENDS = 3, MAX_FINISHES = 5, MD5_BYTES = 16 };
static const double give_up_seconds = 10.0;

typedef struct s3_sent {
    int64_t  n_bytes;
    uint32_t crc32c;
    uint8_t  md5[MD5_BYTES];
    char     etag[64]; /* without quotes; what an honest store tells that does not encrypt */
} s3_sent;

static void append_hex_md5(const uint8_t md5[MD5_BYTES], char *out) {
    for (size_t i = 0; i < MD5_BYTES; i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", md5[i]);
    }
}

static bt_status measure(const void *bytes, size_t n, s3_sent *sent, bt_error *err) {
    sent->n_bytes = (int64_t)n;
    sent->crc32c = bt_crc32c(0, bytes, n);
    BT_TRY(secrets_digest(BT_FS_MD5, bytes, n, sent->md5, err));
    append_hex_md5(sent->md5, sent->etag);
    return BT_OK;
}

/* The tag without quotes, in lower case. */
static void plain_etag(const char *etag, char out[REMOTE_ETAG_MAX]) {
    size_t n = 0;
    for (; etag != NULL && *etag != '\0' && n + 1 < REMOTE_ETAG_MAX; etag++) {
        if (*etag != '"') {
            out[n++] = (char)tolower((unsigned char)*etag);
        }
    }
    out[n] = '\0';
}

static bool is_etag_of(const char *etag, const s3_sent *sent) {
    char plain[REMOTE_ETAG_MAX];
    plain_etag(etag, plain);
    return strcmp(plain, sent->etag) == 0;
}

static bool looks_like_md5(const char *etag) {
    char plain[REMOTE_ETAG_MAX] = "";
    plain_etag(etag, plain);
    const size_t n = strspn(plain, "0123456789abcdef");
    return n == 2 * (size_t)MD5_BYTES && (plain[n] == '\0' || plain[n] == '-');
}

/* info: of what is there (etag: of the answer to the upload). look: an equal tag is not enough. */
static bt_status compare(const char *path, const s3_sent *sent, bool look, remote_info *info,
                         bool *same, bt_error *err) {
    bool is_encrypted = false;
    *same = true;
    if (!look && is_etag_of(info->etag, sent)) {
        return BT_OK;
    }
    BT_TRY(s3_look(path, info, &is_encrypted, err));
    *same = info->kind == BT_FS_FILE && info->n_bytes == sent->n_bytes;
    if (!*same || is_etag_of(info->etag, sent)) {
        return BT_OK;
    }
    uint32_t crc = info->crc32c;
    /* A checksum may be only what we said ourselves: a tag that seems an MD5 and differs is
     * stronger. */
    if (!info->has_crc32c || (!is_encrypted && looks_like_md5(info->etag))) {
        bt_log(BT_LOG_DEBUG, "%s: the store gives no checksum: it is read back", path);
        BT_TRY(remote_read_back(&remote_s3, path, info, &crc, err));
    }
    *same = crc == sent->crc32c;
    return BT_OK;
}

/* Damage must not be found by a later run: it goes, if it is still what was looked at. */
static bt_status fail_damaged(const char *path, const s3_sent *sent, const remote_info *damaged,
                              bt_error *err) {
    remote_info info = {0};
    const bool  is_removed = s3_look(path, &info, NULL, NULL) == BT_OK && info.kind == BT_FS_FILE &&
                            strcmp(info.etag, damaged->etag) == 0 &&
                            remote_s3.remove(path, NULL) == BT_OK;
    return BT_FAIL(err, BT_E_RESOURCE,
                   "%s: the store kept other bytes than were sent (%" PRId64
                   " bytes, MD5 %.32s); %s: write it again, and find out what is between this "
                   "machine and the store",
                   path, sent->n_bytes, sent->etag,
                   is_removed ? "they were removed again" : "do not use them");
}

/* One request: small objects. */

typedef struct s3_put_state {
    const char *path;
    const void *bytes;
    s3_sent     sent;
    char        condition[REMOTE_ETAG_MAX + 32]; /* a header field; "" for none */
    remote_info info;                            /* of what is there now */
    long        status;
} s3_put_state;

static bt_status fail_changed(const char *path, bt_error *err) {
    return BT_FAIL(err, BT_E_RESOURCE,
                   "%s was changed by another process since this one read or wrote it: do two runs "
                   "write into one folder?",
                   path);
}

/* Stores may ignore conditions, so that what is there is looked at as well. */
static bt_status set_condition(s3_put_state *put, int64_t if_version, bt_error *err) {
    remote_info info = {0};
    if (if_version == BT_FS_ANY_VERSION) {
        return BT_OK;
    }
    BT_TRY(s3_look(put->path, &info, NULL, err));
    if ((info.kind == BT_FS_MISSING ? 0 : info.version) != if_version) {
        return fail_changed(put->path, err);
    }
    if (info.kind == BT_FS_MISSING) {
        (void)snprintf(put->condition, sizeof put->condition, "If-None-Match: *");
    } else if (info.etag[0] == '"') { /* a weak one matches nothing */
        (void)snprintf(put->condition, sizeof put->condition, "If-Match: %s", info.etag);
    }
    return BT_OK;
}

static void keep_etag(const http_headers *headers, char etag[REMOTE_ETAG_MAX]) {
    const char *const text = http_header(headers, "etag");
    (void)snprintf(etag, REMOTE_ETAG_MAX, "%s",
                   text != NULL && strlen(text) < REMOTE_ETAG_MAX ? text : "");
}

static bt_status put_once(s3_put_state *put, bt_error *err) {
    static const long conditional[] = {404, 409, 412, 501, 0};
    bt_status         rc = BT_OK;
    bt_str            md5 = BT_STR_INIT;
    bt_str            crc = BT_STR_INIT;
    s3_answer         answer = {0};
    const bool        has_condition = put->condition[0] != '\0';
    BT_CHECK(bt_str_append(&md5, "Content-MD5: ", err));
    BT_CHECK(http_append_base64(&md5, put->sent.md5, MD5_BYTES, false, err));
    BT_CHECK(bt_str_append(&crc, "X-Amz-Checksum-Crc32c: ", err));
    BT_CHECK(remote_append_crc32c(&crc, put->sent.crc32c, err));
    const s3_call call = {.path = put->path,
                          .method = "PUT",
                          .query = "",
                          .headers = {md5.data, crc.data, has_condition ? put->condition : NULL},
                          .content_type = "application/octet-stream",
                          .body = put->sent.n_bytes > 0 ? put->bytes : "",
                          .n_body = (size_t)put->sent.n_bytes,
                          HTTP_RANGE_NONE,
                          .verb = "write",
                          .failure = BT_E_RESOURCE,
                          .allowed = has_condition ? conditional : NULL};
    BT_CHECK(s3_run(&call, &answer, err));
    if (answer.http.status == 404 && strcmp(answer.code, "NoSuchKey") != 0) {
        const http_request request = {.what = put->path};
        rc = http_fail(&request, &answer.http, "write", BT_E_RESOURCE, err);
        goto done;
    }
    put->status = answer.http.status;
    keep_etag(&answer.http.headers, put->info.etag);
done:
    bt_str_deinit(&md5);
    bt_str_deinit(&crc);
    s3_answer_deinit(&answer);
    return rc;
}

/* The condition does not hold: perhaps because an earlier try of ours did arrive (libcurl, too,
 * repeats what was sent over a connection that just broke). */
static bt_status judge_refusal(s3_put_state *put, bt_error *err) {
    BT_TRY(s3_look(put->path, &put->info, NULL, err));
    return put->info.kind == BT_FS_FILE && is_etag_of(put->info.etag, &put->sent)
               ? BT_OK
               : fail_changed(put->path, err);
}

bt_status s3_put(const char *path, const void *bytes, size_t n, int64_t if_version,
                 int64_t *version, bt_error *err) {
    s3_put_state put = {.path = path, .bytes = bytes};
    bool         same = false;
    BT_TRY(measure(bytes, n, &put.sent, err));
    BT_TRY(set_condition(&put, if_version, err));
    for (int i = 0; i < MAX_SENDS && !same; i++) {
        BT_TRY(put_once(&put, err));
        if (put.status == 501) { /* the store knows no conditions */
            put.condition[0] = '\0';
            BT_TRY(put_once(&put, err));
        } else if (put.status >= 300) {
            BT_TRY(judge_refusal(&put, err));
        }
        BT_TRY(compare(path, &put.sent, false, &put.info, &same, err));
        if (!same) {
            bt_log(BT_LOG_WARNING, "%s: the store kept other bytes than were sent", path);
            put.condition[0] = '\0'; /* what is there now is ours, and wrong */
        }
    }
    *version = s3_version_of(put.info.etag);
    return same ? BT_OK : fail_damaged(path, &put.sent, &put.info, err);
}

/* In parts: large objects. */

typedef struct s3_upload {
    char   *path;
    bt_str  id;    /* encoded */
    bt_str  parts; /* XML of what was sent */
    bt_str  md5s;  /* of the parts, one after another */
    s3_sent sent;
    int     n_parts;
    bool    is_over;    /* finished, or known to be none any more */
    bool    is_unknown; /* says the store */
} s3_upload;

void s3_upload_end(void *context) {
    s3_upload *const upload = context;
    bt_str           query = BT_STR_INIT;
    s3_answer        answer = {0};
    if (upload->id.len > 0 && !upload->is_over &&
        bt_str_appendf(&query, NULL, "uploadId=%s", upload->id.data) == BT_OK) {
        const s3_call call = {.path = upload->path,
                              .method = "DELETE",
                              .query = query.data,
                              HTTP_RANGE_NONE,
                              .verb = "give up writing",
                              .failure = BT_E_RESOURCE,
                              .limit_seconds = give_up_seconds};
        if (s3_run(&call, &answer, NULL) != BT_OK) {
            bt_log(BT_LOG_WARNING,
                   "%s: the unfinished upload could not be given up: its parts stay in the store "
                   "until they are removed there",
                   upload->path);
        }
    }
    s3_answer_deinit(&answer);
    bt_str_deinit(&query);
    bt_str_deinit(&upload->id);
    bt_str_deinit(&upload->parts);
    bt_str_deinit(&upload->md5s);
    bt_free(upload->path);
    bt_free(upload);
}

static bt_status read_id(const char *path, const bt_str *xml, bt_str *id, bt_error *err) {
    s3_xml_field field = {"InitiateMultipartUploadResult/UploadId", id, false};
    BT_TRY(s3_xml_read(bt_str_text(xml), xml->len, &field, 1, err));
    return id->len > 0 ? BT_OK
                       : BT_FAIL(err, BT_E_FORMAT, "%s: the store returned no UploadId", path);
}

bt_status s3_upload_begin(const char *path, void **out, bt_error *err) {
    bt_status  rc = BT_OK;
    bt_str     id = BT_STR_INIT;
    s3_answer  answer = {0};
    s3_upload *upload = bt_calloc_array(1, sizeof *upload);
    if (upload == NULL || (upload->path = bt_strdup(path)) == NULL) {
        bt_free(upload);
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot write %s", path);
    }
    const s3_call call = {.path = path,
                          .method = "POST",
                          .query = "uploads=",
                          .content_type = "application/octet-stream",
                          .body = "",
                          HTTP_RANGE_NONE,
                          .verb = "begin to write",
                          .failure = BT_E_RESOURCE};
    BT_CHECK(s3_run(&call, &answer, err));
    BT_CHECK(read_id(path, &answer.http.body, &id, err));
    BT_CHECK(http_append_encoded(&upload->id, id.data, "", err));
    BT_CHECK(bt_str_append(&upload->parts,
                           "<CompleteMultipartUpload "
                           "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
                           err));
    *out = upload;
    upload = NULL;
done:
    if (upload != NULL) {
        s3_upload_end(upload);
    }
    bt_str_deinit(&id);
    s3_answer_deinit(&answer);
    return rc;
}

/* etag: of the answer. */
static bt_status send_part(s3_upload *upload, const void *bytes, const s3_sent *sent,
                           char etag[REMOTE_ETAG_MAX], bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    query = BT_STR_INIT;
    bt_str    md5 = BT_STR_INIT;
    s3_answer answer = {0};
    BT_CHECK(
        bt_str_appendf(&query, err, "partNumber=%d&uploadId=%s", upload->n_parts, upload->id.data));
    BT_CHECK(bt_str_append(&md5, "Content-MD5: ", err));
    BT_CHECK(http_append_base64(&md5, sent->md5, MD5_BYTES, false, err));
    const s3_call call = {.path = upload->path,
                          .method = "PUT",
                          .query = query.data,
                          .headers = {md5.data},
                          .content_type = "application/octet-stream",
                          .body = sent->n_bytes > 0 ? bytes : "",
                          .n_body = (size_t)sent->n_bytes,
                          HTTP_RANGE_NONE,
                          .verb = "write",
                          .failure = BT_E_RESOURCE};
    BT_CHECK(s3_run(&call, &answer, err));
    keep_etag(&answer.http.headers, etag);
    if (etag[0] == '\0' || strpbrk(etag, "<>&") != NULL) {
        rc = BT_FAIL(err, BT_E_RESOURCE, "%s: part %d was not accepted: the store returned no ETag",
                     upload->path, upload->n_parts);
    }
done:
    bt_str_deinit(&query);
    bt_str_deinit(&md5);
    s3_answer_deinit(&answer);
    return rc;
}

/* A part whose tag is not its MD5 is sent again; a store with tags of another kind is judged by the
 * whole object. */
static bt_status add_part(s3_upload *upload, const void *bytes, size_t n, bt_error *err) {
    s3_sent sent = {0};
    char    etag[REMOTE_ETAG_MAX] = "";
    if (++upload->n_parts > MAX_PARTS) {
        return BT_FAIL(err, BT_E_RESOURCE,
                       "%s: more than %d parts of %zu bytes: set BERT_TRAIN_CHUNK_BYTES to more",
                       upload->path, MAX_PARTS, n);
    }
    BT_TRY(measure(bytes, n, &sent, err));
    for (int i = 0; i < MAX_SENDS && (i == 0 || (looks_like_md5(etag) && !is_etag_of(etag, &sent)));
         i++) {
        BT_TRY(send_part(upload, bytes, &sent, etag, err));
    }
    upload->sent.crc32c = bt_crc32c(upload->sent.crc32c, bytes, n);
    upload->sent.n_bytes += (int64_t)n;
    BT_TRY(bt_str_append_n(&upload->md5s, sent.md5, MD5_BYTES, err));
    return bt_str_appendf(&upload->parts, err,
                          "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>",
                          upload->n_parts, etag);
}

/* An answer of 200 may still be an error: the store begins to answer before it is done. */
static bt_status judge_finish(s3_upload *upload, const s3_answer *answer, int n_before, bool *again,
                              bt_error *err) {
    bt_status    rc = BT_OK;
    bt_str       code = BT_STR_INIT;
    bt_str       message = BT_STR_INIT;
    s3_xml_field fields[] = {{"Error/Code", &code, false}, {"Error/Message", &message, false}};
    *again = false;
    if (answer->http.status == 404) {
        upload->is_unknown = true; /* an earlier try may have finished it: compare() knows */
        return BT_OK;
    }
    BT_CHECK(s3_xml_read(bt_str_text(&answer->http.body), answer->http.body.len, fields,
                         BT_ARRAY_LEN(fields), err));
    if (code.len == 0) {
        goto done;
    }
    *again = n_before + 1 < MAX_FINISHES &&
             (bt_str_equal(code.data, "InternalError") || bt_str_equal(code.data, "SlowDown") ||
              bt_str_equal(code.data, "ServiceUnavailable"));
    if (!*again) {
        rc = BT_FAIL(err, BT_E_RESOURCE, "cannot finish writing %s: %s: %.200s", upload->path,
                     code.data, bt_str_text(&message));
    }
done:
    bt_str_deinit(&code);
    bt_str_deinit(&message);
    return rc;
}

static bt_status finish(s3_upload *upload, const char *query, bt_error *err) {
    static const long allowed[] = {404, 0};
    bool              again = true;
    const s3_call     call = {.path = upload->path,
                              .method = "POST",
                              .query = query,
                              .content_type = "application/xml",
                              .body = upload->parts.data,
                              .n_body = upload->parts.len,
                              HTTP_RANGE_NONE,
                              .verb = "finish writing",
                              .failure = BT_E_RESOURCE,
                              .allowed = allowed};
    for (int n = 0; again; n++) {
        s3_answer answer = {0};
        if (n > 0) {
            http_backoff(n, 30.0, NULL);
        }
        BT_TRY(s3_run(&call, &answer, err));
        const bt_status rc = judge_finish(upload, &answer, n, &again, err);
        s3_answer_deinit(&answer);
        BT_TRY(rc);
    }
    return BT_OK;
}

/* "MD5 of the parts' MD5s - how many": what the tag of the whole is. */
static bt_status set_etag(s3_upload *upload, bt_error *err) {
    BT_TRY(secrets_digest(BT_FS_MD5, upload->md5s.data, upload->md5s.len, upload->sent.md5, err));
    append_hex_md5(upload->sent.md5, upload->sent.etag);
    const size_t n = strlen(upload->sent.etag);
    (void)snprintf(upload->sent.etag + n, sizeof upload->sent.etag - n, "-%d", upload->n_parts);
    return BT_OK;
}

static bt_status complete(s3_upload *upload, bt_error *err) {
    bt_status   rc = BT_OK;
    bt_str      query = BT_STR_INIT;
    remote_info info = {0};
    bool        same = false;
    BT_CHECK(set_etag(upload, err));
    BT_CHECK(bt_str_appendf(&query, err, "uploadId=%s", upload->id.data));
    BT_CHECK(bt_str_append(&upload->parts, "</CompleteMultipartUpload>", err));
    BT_CHECK(finish(upload, query.data, err));
    upload->is_over = true;
    BT_CHECK(compare(upload->path, &upload->sent, true, &info, &same, err));
    if (!same && upload->is_unknown) {
        rc = BT_FAIL(
            err, BT_E_RESOURCE,
            "cannot finish writing %s: the store no longer knows of the upload (does a rule "
            "of the bucket end uploads that soon?)",
            upload->path);
    } else if (!same) {
        rc = fail_damaged(upload->path, &upload->sent, &info, err);
    }
done:
    bt_str_deinit(&query);
    return rc;
}

bt_status s3_upload_chunk(void *context, const void *bytes, size_t n, bool last, bt_error *err) {
    BT_TRY(add_part(context, bytes, n, err));
    return last ? complete(context, err) : BT_OK;
}
