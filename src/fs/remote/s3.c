/* SPDX-License-Identifier: Apache-2.0
 *
 * s3://: Amazon's store and those that speak like it: looking, reading, removing. Writing is in
 * s3_upload.c, how a request is made in s3_request.c, with whose credentials in aws_credentials.c.
 */
#include "s3.h"
#include "bt/base/number.h"

#include <stdio.h>
#include <string.h>

#include "s3_xml.h"

static bt_status s3_list_page(const char *prefix, bool one_level, int max_names, bt_fs_names *out,
                              bt_str *token, bt_error *err) {
    bt_status   rc = BT_OK;
    bt_str      query = BT_STR_INIT;
    s3_answer   answer = {0};
    remote_name name;
    BT_CHECK(remote_name_parse(prefix, &name, err));
    if (token->len > 0) {
        BT_CHECK(bt_str_append(&query, "continuation-token=", err));
        BT_CHECK(http_append_encoded(&query, token->data, "", err));
        BT_CHECK(bt_str_append_char(&query, '&', err));
    }
    BT_CHECK(bt_str_append(&query, one_level ? "delimiter=%2F&" : "", err));
    /* encoded: XML cannot hold every name */
    BT_CHECK(bt_str_appendf(&query, err,
                            "encoding-type=url&list-type=2&max-keys=%d&prefix=", max_names));
    BT_CHECK(http_append_encoded(&query, name.name, "", err));
    const s3_call call = {.path = prefix,
                          .method = "GET",
                          .object = "",
                          .query = query.data,
                          HTTP_RANGE_NONE,
                          .verb = "list",
                          .failure = BT_E_IO};
    BT_CHECK(s3_run(&call, &answer, err));
    BT_CHECK(s3_parse_list(name.bucket, bt_str_text(&answer.http.body), answer.http.body.len, out,
                           token, err));
done:
    bt_str_deinit(&query);
    s3_answer_deinit(&answer);
    return rc;
}

static void fill_checksum(const http_headers *headers, remote_info *out) {
    const char *const text = http_header(headers, "x-amz-checksum-crc32c");
    uint8_t           digest[4];
    /* one of parts ("...-3") is none of the whole, and no base64 of four bytes */
    if (text != NULL && http_decode_base64(text, strlen(text), digest, sizeof digest)) {
        out->has_crc32c = true;
        out->crc32c = remote_crc32c_of_digest(digest);
    }
}

static bt_status fill_info(const char *path, const http_headers *headers, remote_info *out,
                           bt_error *err) {
    const char *const length = http_header(headers, "content-length");
    const char *const etag = http_header(headers, "etag");
    int64_t           n = -1;
    if (length == NULL || !bt_parse_i64(length, &n) || n < 0) {
        return BT_FAIL(err, BT_E_FORMAT, "%s: the store does not say how long it is", path);
    }
    *out = (remote_info){.kind = BT_FS_FILE,
                         .n_bytes = n,
                         .modified_unix = remote_parse_time(http_header(headers, "last-modified"))};
    if (etag != NULL && strlen(etag) < sizeof out->etag) {
        memcpy(out->etag, etag, strlen(etag) + 1);
    }
    out->version = s3_version_of(out->etag);
    fill_checksum(headers, out);
    return BT_OK;
}

static bool tells_of_encryption(const http_headers *headers) {
    const char *const kind = http_header(headers, "x-amz-server-side-encryption");
    return (kind != NULL && bt_str_starts_with(kind, "aws:kms")) ||
           http_header(headers, "x-amz-server-side-encryption-customer-algorithm") != NULL;
}

bt_status s3_look(const char *path, remote_info *out, bool *is_encrypted, bt_error *err) {
    static const long allowed[] = {404, 0};
    bt_status         rc = BT_OK;
    s3_answer         answer = {0};
    const s3_call     call = {.path = path,
                              .method = "HEAD",
                              .query = "",
                              .headers = {"X-Amz-Checksum-Mode: ENABLED"},
                              HTTP_RANGE_NONE,
                              .verb = "look at",
                              .failure = BT_E_IO,
                              .allowed = allowed};
    *out = (remote_info){.kind = BT_FS_MISSING};
    BT_TRY(s3_run(&call, &answer, err));
    if (answer.http.status != 404) {
        rc = fill_info(path, &answer.http.headers, out, err);
    }
    if (is_encrypted != NULL) {
        *is_encrypted = tells_of_encryption(&answer.http.headers);
    }
    s3_answer_deinit(&answer);
    return rc;
}

static bt_status s3_stat(const char *path, remote_info *out, bt_error *err) {
    remote_name name;
    bool        any = false;
    BT_TRY(remote_name_parse(path, &name, err));
    *out = (remote_info){.kind = BT_FS_FOLDER, .version = BT_FS_ANY_VERSION};
    if (name.name[0] == '\0') {
        return BT_OK;
    }
    if (!bt_str_ends_with(path, "/")) {
        BT_TRY(s3_look(path, out, NULL, err));
        if (out->kind == BT_FS_FILE) {
            return BT_OK;
        }
    }
    BT_TRY(remote_has_below(&remote_s3, path, &any, err));
    *out = (remote_info){.kind = any ? BT_FS_FOLDER : BT_FS_MISSING,
                         .version = any ? BT_FS_ANY_VERSION : 0};
    return BT_OK;
}

static bt_status s3_read(const char *path, const remote_info *info, int64_t offset, void *dst,
                         size_t n, const atomic_int *cancel, bt_error *err) {
    s3_answer answer = {0};
    char      if_match[REMOTE_ETAG_MAX + 16];
    (void)snprintf(if_match, sizeof if_match, "If-Match: %s", info->etag);
    const s3_call call = {.path = path,
                          .method = "GET",
                          .query = "",
                          .headers = {info->etag[0] != '\0' ? if_match : NULL},
                          .range_begin = offset,
                          .range_last = offset + (int64_t)n - 1,
                          .buffer = dst,
                          .n_buffer = n,
                          .cancel = cancel,
                          .verb = "read",
                          .failure = BT_E_IO};
    BT_TRY(s3_run(&call, &answer, err));
    const size_t got = answer.http.n_body_got;
    s3_answer_deinit(&answer);
    return got == n ? BT_OK
                    : BT_FAIL(err, BT_E_IO, "%s: %zu bytes came, %zu were asked for", path, got, n);
}

static bt_status s3_remove(const char *path, bt_error *err) {
    static const long allowed[] = {404, 0};
    s3_answer         answer = {0};
    const s3_call     call = {.path = path,
                              .method = "DELETE",
                              .query = "",
                              HTTP_RANGE_NONE,
                              .verb = "remove",
                              .failure = BT_E_RESOURCE,
                              .allowed = allowed};
    BT_TRY(s3_run(&call, &answer, err));
    s3_answer_deinit(&answer);
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
