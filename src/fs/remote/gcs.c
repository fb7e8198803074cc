/* SPDX-License-Identifier: Apache-2.0
 *
 * Google Cloud Storage: looking, listing, reading, removing. A "folder" is a prefix that some name
 * has; nothing needs to be made for it. Everything that is read is read of one generation, so that
 * a file that is replaced meanwhile is an error and not a mixture. */
#include "gcs.h"
#include "bt/base/number.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs_internal.h"

static bt_status append_trimmed(bt_str *url, const char *host, bt_error *err) {
    static const char *const tails[] = {"/", "/storage/v1"};
    size_t                   n = strlen(host);
    for (size_t i = 0; i < BT_ARRAY_LEN(tails); i++) {
        const size_t n_tail = strlen(tails[i]);
        if (n > n_tail && memcmp(host + n - n_tail, tails[i], n_tail) == 0) {
            n -= n_tail;
        }
    }
    return bt_str_append_n(url, host, n, err);
}

/* "https://storage.googleapis.com" or what STORAGE_EMULATOR_HOST or
 * CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE says; appended without a slash at the end. */
static bt_status append_endpoint(bt_str *url, bt_error *err) {
    const char *const emulator = getenv("STORAGE_EMULATOR_HOST");
    const char *const other = getenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE");
    if (emulator != NULL && emulator[0] != '\0') {
        if (strstr(emulator, "://") == NULL) {
            BT_TRY(bt_str_append(url, "http://", err));
        }
        return append_trimmed(url, emulator, err);
    }
    if (other == NULL || other[0] == '\0') {
        return bt_str_append(url, "https://storage.googleapis.com", err);
    }
    BT_TRY(http_check_private("CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE", other, err));
    return append_trimmed(url, other, err);
}

bt_status gcs_append_bucket(bt_str *url, const char *service, const remote_name *name,
                            bt_error *err) {
    BT_TRY(append_endpoint(url, err));
    return bt_str_appendf(url, err, "%s/b/%s/o", service, name->bucket);
}

/* "{endpoint}{service}/b/BUCKET/o/NAME?query" */
static bt_status object_url(bt_str *url, const char *service, const remote_name *name,
                            const char *query, bt_error *err) {
    BT_TRY(gcs_append_bucket(url, service, name, err));
    BT_TRY(bt_str_append_char(url, '/', err));
    BT_TRY(http_append_encoded(url, name->name, "", err));
    return query[0] == '\0' ? BT_OK : bt_str_appendf(url, err, "?%s", query);
}

static bt_status load_json(const char *path, const char *text, size_t n, json_t **out,
                           bt_error *err) {
    json_error_t problem;
    json_t      *root = NULL;
    BT_TRY(bt_json_load(text, n, 0, &root, &problem, err));
    if (!json_is_object(root)) {
        const bool is_json = root != NULL;
        json_decref(root);
        return BT_FAIL(err, BT_E_FORMAT, "%s: the store's answer is not a JSON object (%s)", path,
                       is_json ? "another value" : problem.text);
    }
    *out = root;
    return BT_OK;
}

/* Numbers that need 64 bits come as strings. */
static bool get_int(const json_t *root, const char *key, int64_t *out) {
    const json_t *const value = json_object_get(root, key);
    if (json_is_integer(value)) {
        *out = json_integer_value(value);
        return true;
    }
    return json_is_string(value) && bt_parse_i64(json_string_value(value), out);
}

/* false: it has no size or generation. */
static bool take_resource(const json_t *root, remote_info *info) {
    uint8_t           digest[4];
    int64_t           n_bytes = -1;
    int64_t           version = -1;
    const char *const crc = json_string_value(json_object_get(root, "crc32c"));
    const bool        ok = get_int(root, "size", &n_bytes) && n_bytes >= 0 &&
                    get_int(root, "generation", &version) && version > 0;
    *info = (remote_info){
        .kind = BT_FS_FILE,
        .n_bytes = n_bytes,
        .version = version,
        .modified_unix = remote_parse_time(json_string_value(json_object_get(root, "updated")))};
    if (crc != NULL && http_decode_base64(crc, strlen(crc), digest, sizeof digest)) {
        info->has_crc32c = true;
        info->crc32c = remote_crc32c_of_digest(digest);
    }
    return ok;
}

bt_status gcs_parse_resource(const char *path, const char *text, size_t n, remote_info *info,
                             bt_error *err) {
    json_t *root = NULL;
    BT_TRY(load_json(path, text, n, &root, err));
    const bool ok = take_resource(root, info);
    json_decref(root);
    return ok ? BT_OK
              : BT_FAIL(err, BT_E_FORMAT, "%s: the store's answer has no size or generation", path);
}

/* Names are only ever sent back to the store; those that cannot be paths here are not ours. */
static bool is_usable_name(const char *name) {
    for (const char *p = name; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ') {
            return false;
        }
    }
    return name[0] != '\0';
}

/* item: what is told of the object; NULL: it is a folder. */
static bt_status add_path(const char *bucket, const char *name, const json_t *item,
                          bt_fs_names *out, bt_error *err) {
    remote_info info = {0};
    bt_str      path = BT_STR_INIT;
    if (name == NULL || !is_usable_name(name)) {
        return BT_OK;
    }
    bt_status rc = bt_str_appendf(&path, err, "gs://%s/%s", bucket, name);
    if (rc == BT_OK) {
        if (path.data[path.len - 1] == '/') {
            path.data[path.len - 1] = '\0';
        }
        rc = fs_names_add(out, path.data, err);
    }
    if (rc == BT_OK && item != NULL && take_resource(item, &info)) {
        remote_told_put(path.data, &info, true);
    }
    bt_str_deinit(&path);
    return rc;
}

bt_status gcs_parse_list(const char *bucket, const char *text, size_t n, bt_fs_names *out,
                         bt_str *next, bt_error *err) {
    bt_status rc = BT_OK;
    char      shown[300];
    (void)snprintf(shown, sizeof shown, "gs://%s/", bucket);
    json_t *root = NULL;
    BT_TRY(load_json(shown, text, n, &root, err));
    size_t        i = 0;
    json_t       *item = NULL;
    const char   *token = json_string_value(json_object_get(root, "nextPageToken"));
    json_t *const items = json_object_get(root, "items");
    json_t *const prefixes = json_object_get(root, "prefixes");
    json_array_foreach(items, i, item) {
        const char *const name = json_string_value(json_object_get(item, "name"));
        if (name != NULL && !bt_str_ends_with(name, "/")) { /* a mark for an empty folder */
            BT_CHECK(add_path(bucket, name, item, out, err));
        }
    }
    json_array_foreach(prefixes, i, item) {
        BT_CHECK(add_path(bucket, json_string_value(item), NULL, out, err));
    }
    bt_str_clear(next);
    BT_CHECK(bt_str_append(next, token != NULL ? token : "", err));
done:
    json_decref(root);
    return rc;
}

static http_request get_json(const char *what, const bt_str *url) {
    return (http_request){.what = what,
                          .method = "GET",
                          .url = url->data,
                          HTTP_RANGE_NONE,
                          .max_body = GCS_MAX_JSON,
                          .auth = gcs_auth()};
}

bt_status gcs_get_resource(const char *path, remote_info *info, bool *found, bt_error *err) {
    bt_status     rc = BT_OK;
    bt_str        url = BT_STR_INIT;
    http_response response = {0};
    remote_name   name;
    *found = false;
    BT_CHECK(remote_name_parse(path, &name, err));
    BT_CHECK(object_url(&url, "/storage/v1", &name, "", err));
    const http_request request = get_json(path, &url);
    BT_CHECK(http_run(&request, &response, err));
    if (response.status == 404) {
        goto done;
    }
    if (response.status != 200) {
        rc = http_fail(&request, &response, "look at", BT_E_IO, err);
        goto done;
    }
    BT_CHECK(gcs_parse_resource(path, bt_str_text(&response.body), response.body.len, info, err));
    *found = true;
done:
    bt_str_deinit(&url);
    http_response_deinit(&response);
    return rc;
}

static bt_status gcs_list_page(const char *prefix, bool one_level, int max_names, bt_fs_names *out,
                               bt_str *token, bt_error *err) {
    bt_status     rc = BT_OK;
    bt_str        url = BT_STR_INIT;
    http_response response = {0};
    remote_name   name;
    BT_CHECK(remote_name_parse(prefix, &name, err));
    BT_CHECK(gcs_append_bucket(&url, "/storage/v1", &name, err));
    BT_CHECK(bt_str_appendf(&url, err, "?maxResults=%d&prefix=", max_names));
    BT_CHECK(http_append_encoded(&url, name.name, "", err));
    BT_CHECK(bt_str_append(&url, one_level ? "&delimiter=%2F" : "", err));
    if (token->len > 0) {
        BT_CHECK(bt_str_append(&url, "&pageToken=", err));
        BT_CHECK(http_append_encoded(&url, token->data, "", err));
    }
    const http_request request = get_json(prefix, &url);
    BT_CHECK(http_run(&request, &response, err));
    if (response.status == 404) {
        rc = BT_FAIL(err, BT_E_IO, "%s: there is no bucket %s", prefix, name.bucket);
        goto done;
    }
    if (response.status != 200) {
        rc = http_fail(&request, &response, "list", BT_E_IO, err);
        goto done;
    }
    BT_CHECK(gcs_parse_list(name.bucket, bt_str_text(&response.body), response.body.len, out, token,
                            err));
done:
    bt_str_deinit(&url);
    http_response_deinit(&response);
    return rc;
}

static bt_status gcs_stat(const char *path, remote_info *out, bt_error *err) {
    remote_name name;
    bool        found = false;
    BT_TRY(remote_name_parse(path, &name, err));
    if (name.name[0] == '\0') {
        *out = (remote_info){.kind = BT_FS_FOLDER, .version = BT_FS_ANY_VERSION};
        return BT_OK;
    }
    if (!bt_str_ends_with(path, "/")) {
        BT_TRY(gcs_get_resource(path, out, &found, err));
    }
    if (!found) {
        bool any = false;
        BT_TRY(remote_has_below(&remote_gcs, path, &any, err));
        *out = (remote_info){.kind = any ? BT_FS_FOLDER : BT_FS_MISSING};
    }
    return BT_OK;
}

static bt_status gcs_read(const char *path, const remote_info *info, int64_t offset, void *dst,
                          size_t n, const atomic_int *cancel, bt_error *err) {
    bt_status     rc = BT_OK;
    bt_str        url = BT_STR_INIT;
    bt_str        query = BT_STR_INIT;
    http_response response = {0};
    remote_name   name;
    BT_CHECK(remote_name_parse(path, &name, err));
    BT_CHECK(bt_str_appendf(&query, err, "alt=media&generation=%" PRId64, info->version));
    BT_CHECK(object_url(&url, "/download/storage/v1", &name, query.data, err));
    const bool         whole = offset == 0 && (int64_t)n == info->n_bytes;
    const http_request request = {.what = path,
                                  .method = "GET",
                                  .url = url.data,
                                  .range_begin = whole ? 0 : offset,
                                  .range_last = whole ? -1 : offset + (int64_t)n - 1,
                                  .auth = gcs_auth(),
                                  .buffer = dst,
                                  .n_buffer = n,
                                  .cancel = cancel};
    BT_CHECK(http_run(&request, &response, err));
    if (response.status == 404 || response.status == 412) {
        rc = BT_FAIL(err, BT_E_IO, "%s: it was replaced or removed while it was read", path);
    } else if (response.status != 200 && response.status != 206) {
        rc = http_fail(&request, &response, "read", BT_E_IO, err);
    } else if (response.n_body_got != n) {
        rc = BT_FAIL(err, BT_E_IO, "%s: %zu bytes came, %zu were asked for", path,
                     response.n_body_got, n);
    }
done:
    bt_str_deinit(&url);
    bt_str_deinit(&query);
    http_response_deinit(&response);
    return rc;
}

static bt_status remove_object(const char *path, const char *query, bt_error *err) {
    bt_status     rc = BT_OK;
    bt_str        url = BT_STR_INIT;
    http_response response = {0};
    remote_name   name;
    BT_CHECK(remote_name_parse(path, &name, err));
    BT_CHECK(object_url(&url, "/storage/v1", &name, query, err));
    const http_request request = {.what = path,
                                  .method = "DELETE",
                                  .url = url.data,
                                  HTTP_RANGE_NONE,
                                  .max_body = GCS_MAX_JSON,
                                  .auth = gcs_auth()};
    BT_CHECK(http_run(&request, &response, err));
    /* 404: it was not there, or an earlier try removed it */
    if (response.status != 404 && (response.status < 200 || response.status >= 300)) {
        rc = http_fail(&request, &response, "remove", BT_E_RESOURCE, err);
    }
done:
    bt_str_deinit(&url);
    http_response_deinit(&response);
    return rc;
}

static bt_status gcs_remove(const char *path, bt_error *err) {
    return remove_object(path, "", err);
}

bt_status gcs_remove_version(const char *path, int64_t version, bt_error *err) {
    bt_str    query = BT_STR_INIT;
    bt_status rc = bt_str_appendf(&query, err, "ifGenerationMatch=%" PRId64, version);
    if (rc == BT_OK) {
        rc = remove_object(path, query.data, err);
    }
    bt_str_deinit(&query);
    return rc;
}

const remote_store remote_gcs = {.scheme = "gs://",
                                 .stat = gcs_stat,
                                 .read = gcs_read,
                                 .list_page = gcs_list_page,
                                 .put = gcs_put,
                                 .upload_begin = gcs_upload_begin,
                                 .upload_chunk = gcs_upload_chunk,
                                 .upload_end = gcs_upload_end,
                                 .remove = gcs_remove};
