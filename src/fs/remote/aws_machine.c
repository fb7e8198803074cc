/* SPDX-License-Identifier: Apache-2.0
 *
 * Credentials that the place gives where the program runs: a container's (ECS, EKS pod identities),
 * a machine's (EC2 instance metadata, version 2 only: a token first, so that nothing that merely
 * forwards a request gets at them). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws.h"
#include "bt/base/alloc.h"
#include "fs_internal.h"
#include "secrets.h"

enum { MAX_ANSWER = 1 << 16, MAX_TOKEN = 1 << 16, MAX_FIELD = 16384 };

static bool is_true(const char *text) {
    return bt_str_equal_nocase(text, "true");
}

/* Own network: no proxy. *status: of the answer, whose body is in *body; other failures are told.
 */
static bt_status ask(const char *what, const char *method, const char *url,
                     const char *const *headers, double limit_seconds, long *status, bt_str *body,
                     bt_error *err) {
    http_response      response = {0};
    const http_request request = {.what = what,
                                  .method = method,
                                  .url = url,
                                  .headers = headers,
                                  HTTP_RANGE_NONE,
                                  .max_body = MAX_ANSWER,
                                  .no_proxy = true,
                                  .limit_seconds = limit_seconds,
                                  .connect_seconds = 1.0};
    BT_TRY(http_run(&request, &response, err));
    *status = response.status;
    bt_str_deinit(body);
    *body = response.body;
    response.body = (bt_str)BT_STR_INIT;
    http_response_deinit(&response);
    return BT_OK;
}

static bt_status fail_status(const char *what, long status, bt_error *err) {
    return BT_FAIL(err, BT_E_CONFIG, "%s: the server answers %ld to the request for credentials",
                   what, status);
}

static bt_status take_answer(aws_credentials *out, long status, const bt_str *body,
                             const char *what, bt_error *err) {
    return status == 200
               ? aws_credentials_from_json(out, bt_str_text(body), body->len, "Token", what, err)
               : fail_status(what, status, err);
}

/* What SDKs ask: https, this machine, and the addresses that ECS and EKS answer at. */
static bool is_allowed(const http_url *url) {
    static const char *const hosts[] = {"169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};
    for (size_t i = 0; i < BT_ARRAY_LEN(hosts); i++) {
        if (strcmp(url->host, hosts[i]) == 0) {
            return true;
        }
    }
    return strcmp(url->scheme, "https") == 0 || http_is_loopback(url);
}

bt_status aws_container_url(bt_str *out, bt_error *err) {
    const char *const relative = aws_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *const full = aws_env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    http_url          url;
    bool              is_url = false;
    if (relative != NULL) {
        BT_TRY(bt_str_appendf(out, err, "http://169.254.170.2%s%s", relative[0] == '/' ? "" : "/",
                              relative));
    } else {
        BT_TRY(bt_str_append(out, full, err));
    }
    BT_TRY(http_read_url(out->data, &is_url, &url, err));
    if (!is_url || !is_allowed(&url)) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "AWS_CONTAINER_CREDENTIALS_%s: expected an https:// URL, or one of this "
                       "machine, of 169.254.170.2, 169.254.170.23 or [fd00:ec2::23]",
                       relative != NULL ? "RELATIVE_URI" : "FULL_URI");
    }
    return BT_OK;
}

/* "Authorization: TOKEN"; nothing where none is said. */
static bt_status append_authorization(bt_str *out, bt_error *err) {
    const char *const file = aws_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *const said = aws_env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    char             *text = NULL;
    size_t            n = 0;
    bt_status         rc = BT_OK;
    if (file == NULL && said == NULL) {
        return BT_OK;
    }
    if (file != NULL) {
        BT_TRY(bt_fs_read_all(file, MAX_TOKEN, &text, &n, err));
        while (n > 0 && (unsigned char)text[n - 1] <= ' ') {
            text[--n] = '\0';
        }
    }
    const char *const token = file != NULL ? text : said;
    if (strpbrk(token, "\r\n") != NULL || strlen(token) > MAX_FIELD) {
        rc = BT_FAIL(err, BT_E_CONFIG, "AWS_CONTAINER_AUTHORIZATION_TOKEN%s: not one line of text",
                     file != NULL ? "_FILE" : "");
    } else {
        rc = bt_str_appendf(out, err, "Authorization: %s", token);
    }
    if (text != NULL) {
        secrets_wipe(text, n);
    }
    bt_free(text);
    return rc;
}

bt_status aws_container_credentials(aws_credentials *out, bt_error *err) {
    static const char what[] = "the container's credentials";
    bt_status         rc = BT_OK;
    bt_str            url = BT_STR_INIT;
    bt_str            token = BT_STR_INIT;
    bt_str            body = BT_STR_INIT;
    long              status = 0;
    if (aws_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") == NULL &&
        aws_env("AWS_CONTAINER_CREDENTIALS_FULL_URI") == NULL) {
        return BT_OK;
    }
    BT_CHECK(aws_container_url(&url, err));
    BT_CHECK(append_authorization(&token, err));
    const char *const headers[] = {"Accept: application/json", token.data, NULL};
    BT_CHECK(ask(what, "GET", url.data, headers, 0, &status, &body, err));
    rc = take_answer(out, status, &body, what, err);
done:
    secrets_wipe_text(&token);
    secrets_wipe_text(&body);
    bt_str_deinit(&url);
    return rc;
}

static bt_status append_metadata(bt_str *url, const char *path, bt_error *err) {
    const char *const named = aws_env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    const bool        is_v6 =
        bt_str_equal_nocase(aws_env("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"), "ipv6");
    const char *const start = named != NULL ? named
                              : is_v6       ? "http://[fd00:ec2::254]"
                                            : "http://169.254.169.254";
    http_url          parsed;
    bool              is_url = false;
    BT_TRY(http_read_url(start, &is_url, &parsed, err));
    if (!is_url) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "AWS_EC2_METADATA_SERVICE_ENDPOINT=%s: expected an http:// URL", start);
    }
    return bt_str_appendf(url, err, "%.*s%s", (int)(strlen(start) - bt_str_ends_with(start, "/")),
                          start, path);
}

/* Nobody there, or one who gives no token: no credentials, and no failure. */
static bt_status metadata_token(bt_str *header, bool *found, bt_error *err) {
    static const char *const headers[] = {"X-aws-ec2-metadata-token-ttl-seconds: 21600", NULL};
    bt_str                   url = BT_STR_INIT;
    bt_str                   body = BT_STR_INIT;
    bt_error                 problem = BT_ERROR_INIT;
    long                     status = 0;
    bt_status                rc = append_metadata(&url, "/latest/api/token", err);
    *found = false;
    if (rc == BT_OK) {
        rc = ask("the metadata server", "PUT", url.data, headers, 0.001, &status, &body, &problem);
        if (rc == BT_OK && status == 200 && body.len > 0 && body.len < MAX_FIELD &&
            strpbrk(body.data, "\r\n") == NULL) {
            *found = true;
            rc = bt_str_appendf(header, err, "X-aws-ec2-metadata-token: %s", body.data);
        } else if (rc == BT_E_NOMEM || rc == BT_E_INTERRUPTED) {
            rc = BT_FAIL(err, rc, "%s", problem.msg);
        } else {
            rc = BT_OK;
        }
    }
    secrets_wipe_text(&body);
    bt_str_deinit(&url);
    return rc;
}

static bt_status metadata_get(const char *path, const char *token, long *status, bt_str *body,
                              bt_error *err) {
    const char *const headers[] = {token, NULL};
    bt_str            url = BT_STR_INIT;
    bt_status         rc = append_metadata(&url, path, err);
    if (rc == BT_OK) {
        rc = ask("the metadata server", "GET", url.data, headers, 0, status, body, err);
    }
    bt_str_deinit(&url);
    return rc;
}

bt_status aws_machine_credentials(aws_credentials *out, bt_error *err) {
    static const char roles[] = "/latest/meta-data/iam/security-credentials/";
    static const char what[] = "the machine's credentials";
    bt_status         rc = BT_OK;
    bt_str            token = BT_STR_INIT;
    bt_str            body = BT_STR_INIT;
    bt_str            path = BT_STR_INIT;
    long              status = 0;
    bool              found = false;
    if (is_true(aws_env("AWS_EC2_METADATA_DISABLED"))) {
        return BT_OK;
    }
    BT_CHECK(metadata_token(&token, &found, err));
    if (!found) {
        goto done;
    }
    BT_CHECK(metadata_get(roles, token.data, &status, &body, err));
    if (status != 200) {
        goto done; /* a machine without a role */
    }
    BT_CHECK(bt_str_append(&path, roles, err));
    body.len = strcspn(bt_str_text(&body), "\r\n");
    if (body.data != NULL) {
        body.data[body.len] = '\0';
    }
    BT_CHECK(http_append_encoded(&path, bt_str_text(&body), "", err));
    BT_CHECK(metadata_get(path.data, token.data, &status, &body, err));
    rc = take_answer(out, status, &body, what, err);
done:
    secrets_wipe_text(&token);
    secrets_wipe_text(&body);
    bt_str_deinit(&path);
    return rc;
}
