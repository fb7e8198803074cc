/* SPDX-License-Identifier: Apache-2.0
 *
 * https://, which is read only, and how what comes from the Hugging Face hub is transferred. */
#include "web.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "hf.h"

/* What a user writes is sent as it is written, but for what no URL may hold. */
static bt_status append_url(bt_str *url, const char *path, bt_error *err) {
    if (bt_str_starts_with(path, "hf://")) {
        return hf_append_url(url, path, err);
    }
    BT_TRY(http_append_encoded(url, path, ":/?#[]@!$&'()*+,;=%", err));
    return http_check_private("https://", url->data, err);
}

static const http_auth *auth_of(const char *path) {
    return bt_str_starts_with(path, "hf://") ? &hf_auth : NULL;
}

static bt_status fill_info(const char *path, const http_response *response, int64_t n_bytes,
                           remote_info *out, bt_error *err) {
    uint8_t           digest[4];
    const char       *etag = http_header(&response->headers, "etag");
    const char *const linked = http_header(&response->headers, "x-linked-etag");
    const char *const ranges = http_header(&response->headers, "accept-ranges");
    if (n_bytes < 0) {
        return BT_FAIL(err, BT_E_FORMAT, "%s: the server does not say how long it is", path);
    }
    etag = linked != NULL ? linked : etag;
    *out = (remote_info){.kind = BT_FS_FILE,
                         .n_bytes = n_bytes,
                         .version = BT_FS_ANY_VERSION,
                         .modified_unix =
                             remote_parse_time(http_header(&response->headers, "last-modified")),
                         .no_ranges = ranges == NULL || strcmp(ranges, "bytes") != 0};
    if (etag != NULL && strlen(etag) < sizeof out->etag) {
        memcpy(out->etag, etag, strlen(etag) + 1);
    }
    if (http_parse_goog_hash(&response->headers, "crc32c", digest, sizeof digest)) {
        out->has_crc32c = true;
        out->crc32c = remote_crc32c_of_digest(digest);
    }
    return BT_OK;
}

static bool is_missing(long status) {
    return status == 404 || status == 410;
}

bt_status web_stat(const char *path, remote_info *out, bt_error *err) {
    bt_status     rc = BT_OK;
    bt_str        url = BT_STR_INIT;
    http_response response = {0};
    BT_CHECK(append_url(&url, path, err));
    const http_request request = {.what = path,
                                  .method = "HEAD",
                                  .url = url.data,
                                  HTTP_RANGE_NONE,
                                  .max_body = 1 << 16,
                                  .auth = auth_of(path),
                                  .follow = true};
    BT_CHECK(http_run(&request, &response, err));
    if (is_missing(response.status)) {
        *out = (remote_info){.kind = BT_FS_MISSING, .version = BT_FS_ANY_VERSION};
    } else if (response.status != 200) {
        rc = http_fail(&request, &response, "look at", BT_E_IO, err);
    } else {
        rc = fill_info(path, &response, response.n_announced, out, err);
    }
done:
    bt_str_deinit(&url);
    http_response_deinit(&response);
    return rc;
}

static bt_status check_range(const char *path, const remote_info *info,
                             const http_response *response, int64_t offset, size_t n,
                             bt_error *err) {
    const char *const range = http_header(&response->headers, "content-range");
    int64_t           begin = 0;
    int64_t           last = 0;
    int64_t           total = -1;
    const bool        whole = offset == 0 && (int64_t)n == info->n_bytes;
    if (response->status == 200 && whole && response->n_body_got == n) {
        return BT_OK;
    }
    if (response->status != 206 || range == NULL ||
        !http_parse_content_range(range, &begin, &last, &total) || begin != offset ||
        last - begin + 1 != (int64_t)n || (total >= 0 && total != info->n_bytes) ||
        response->n_body_got != n) {
        return BT_FAIL(err, BT_E_IO,
                       "%s: bytes %" PRId64 " to %" PRId64 " were asked for, others came (was it "
                       "replaced meanwhile?)",
                       path, offset, offset + (int64_t)n);
    }
    return BT_OK;
}

bt_status web_read(const char *path, const remote_info *info, int64_t offset, void *dst, size_t n,
                   const atomic_int *cancel, bt_error *err) {
    bt_status     rc = BT_OK;
    bt_str        url = BT_STR_INIT;
    bt_str        if_match = BT_STR_INIT;
    http_response response = {0};
    BT_CHECK(append_url(&url, path, err));
    BT_CHECK(bt_str_appendf(&if_match, err, "If-Match: %s", info->etag));
    /* a weak tag, or the tag of what a redirect leads to, is not a condition */
    const bool         strong = info->etag[0] == '"' && bt_str_starts_with(path, "https://");
    const char *const  headers[] = {strong ? if_match.data : NULL, NULL};
    const http_request request = {.what = path,
                                  .method = "GET",
                                  .url = url.data,
                                  .headers = headers,
                                  .range_begin = offset,
                                  .range_last = offset + (int64_t)n - 1,
                                  .auth = auth_of(path),
                                  .buffer = dst,
                                  .n_buffer = n,
                                  .follow = true,
                                  .cancel = cancel};
    BT_CHECK(http_run(&request, &response, err));
    if (is_missing(response.status) || response.status == 412) {
        rc = BT_FAIL(err, BT_E_IO, "%s: it was replaced or removed while it was read", path);
    } else if (response.status != 200 && response.status != 206) {
        rc = http_fail(&request, &response, "read", BT_E_IO, err);
    } else {
        rc = check_range(path, info, &response, offset, n, err);
    }
done:
    bt_str_deinit(&url);
    bt_str_deinit(&if_match);
    http_response_deinit(&response);
    return rc;
}

bt_status web_download(const char *path, const http_sink *sink, size_t max_bytes,
                       double limit_seconds, bt_error *err) {
    bt_status     rc = BT_OK;
    bt_str        url = BT_STR_INIT;
    http_response response = {0};
    BT_CHECK(append_url(&url, path, err));
    const http_request request = {.what = path,
                                  .method = "GET",
                                  .url = url.data,
                                  HTTP_RANGE_NONE,
                                  .max_body = max_bytes,
                                  .auth = auth_of(path),
                                  .sink = sink,
                                  .limit_seconds = limit_seconds,
                                  .follow = true};
    BT_CHECK(http_run(&request, &response, err));
    if (response.status != 200) {
        rc = http_fail(&request, &response, "read",
                       is_missing(response.status) ? BT_E_IO : BT_E_RESOURCE, err);
    }
done:
    bt_str_deinit(&url);
    http_response_deinit(&response);
    return rc;
}

const remote_store remote_web = {
    .scheme = "https://", .stat = web_stat, .read = web_read, .download = web_download};
