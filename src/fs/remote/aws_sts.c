/* SPDX-License-Identifier: Apache-2.0
 *
 * Roles: STS's AssumeRole (signed with other credentials) and AssumeRoleWithWebIdentity (with a
 * token that the platform puts into a file, read again each time: it is replaced there). Tokens go
 * in the body of a request over TLS, and into no message. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "aws.h"
#include "bt/base/alloc.h"
#include "bt/base/time.h"
#include "fs_internal.h"
#include "remote.h"
#include "s3_xml.h"
#include "secrets.h"

enum { MAX_ANSWER = 1 << 20, MAX_TOKEN = 1 << 16 };
static const double far_seconds = 240.0;

typedef struct sts_call {
    const char            *what; /* for messages */
    const bt_str          *form;
    const aws_credentials *source; /* NULL: not signed */
    const char            *secret; /* what a server may not be quoted with */
    char                   hash[AWS_SHA256_HEX];
    aws_fields             fields;
} sts_call;

static bt_status make_headers(void *context, const http_request *request,
                              const char *const **headers, bt_error *err) {
    sts_call *const call = context;
    aws_request     to_sign = {.method = request->method,
                               .url = request->url,
                               .region = aws_region(),
                               .service = "sts",
                               .now = aws_time()};
    aws_fields_clear(&call->fields);
    BT_TRY(aws_fields_add(&call->fields, err,
                          "Content-Type: application/x-www-form-urlencoded; charset=utf-8"));
    if (call->source != NULL) {
        memcpy(to_sign.hash, call->hash, sizeof to_sign.hash);
        BT_TRY(aws_sign(&to_sign, call->source, &call->fields, err));
    }
    *headers = (const char *const *)call->fields.lines;
    return BT_OK;
}

static bt_status append_url(bt_str *url, bt_error *err) {
    const char *const endpoint = aws_endpoint("sts");
    const char *const region = aws_region();
    if (endpoint != NULL) {
        BT_TRY(aws_check_endpoint(endpoint, err));
        return bt_str_appendf(url, err, "%s%s", endpoint,
                              bt_str_ends_with(endpoint, "/") ? "" : "/");
    }
    return bt_str_appendf(url, err, "https://sts.%s.amazonaws.com%s/", region,
                          bt_str_starts_with(region, "cn-") ? ".cn" : "");
}

/* The signature holds the time: once by the server's clock. */
static bool other_time(const http_response *response) {
    const double now = remote_parse_time(http_header(&response->headers, "date"));
    if ((response->status != 403 && response->status != 400) || now <= 0 ||
        fabs(now - aws_time()) < far_seconds) {
        return false;
    }
    aws_set_time(now);
    return true;
}

static bt_status fail(const sts_call *call, const http_response *response, bt_error *err) {
    bt_str          code = BT_STR_INIT;
    bt_str          message = BT_STR_INIT;
    s3_xml_field    fields[] = {{"ErrorResponse/Error/Code", &code, false},
                                {"ErrorResponse/Error/Message", &message, false}};
    const bt_status rc = s3_xml_read(bt_str_text(&response->body), response->body.len, fields,
                                     BT_ARRAY_LEN(fields), NULL);
    if (call->secret[0] != '\0' && strstr(bt_str_text(&message), call->secret) != NULL) {
        bt_str_clear(&message); /* a server that shows what was sent to it */
    }
    (void)BT_FAIL(err, BT_E_CONFIG, "%s: the token service answers %ld%s%s%s%.300s", call->what,
                  response->status, rc == BT_OK && code.len > 0 ? ": " : "", bt_str_text(&code),
                  message.len > 0 ? ": " : "", bt_str_text(&message));
    bt_str_deinit(&code);
    bt_str_deinit(&message);
    return BT_E_CONFIG;
}

/* <ACTIONResponse><ACTIONResult><Credentials>... */
static bt_status take_answer(const char *what, const char *action, const bt_str *body,
                             aws_credentials *out, bt_error *err) {
    static const char *const names[] = {"AccessKeyId", "SecretAccessKey", "SessionToken",
                                        "Expiration"};
    bt_status                rc = BT_OK;
    bt_str                   texts[4] = {{0}};
    char                     paths[4][160];
    s3_xml_field             fields[4];
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(paths[i], sizeof paths[i], "%sResponse/%sResult/Credentials/%s", action,
                       action, names[i]);
        fields[i] = (s3_xml_field){paths[i], &texts[i], false};
    }
    BT_CHECK(s3_xml_read(bt_str_text(body), body->len, fields, 4, err));
    BT_CHECK(aws_credentials_set(out, bt_str_text(&texts[0]), bt_str_text(&texts[1]),
                                 bt_str_text(&texts[2]), what, err));
    out->expires = aws_parse_expiration(bt_str_text(&texts[3]));
    if (out->expires <= 0) {
        aws_credentials_deinit(out);
        rc = BT_FAIL(err, BT_E_FORMAT, "%s: the answer does not say when they run out", what);
    }
done:
    for (size_t i = 0; i < 4; i++) {
        secrets_wipe_text(&texts[i]);
    }
    return rc;
}

static bt_status run(sts_call *call, const char *action, aws_credentials *out, bt_error *err) {
    bt_status     rc = BT_OK;
    bt_str        url = BT_STR_INIT;
    http_response response = {0};
    bool          again = true;
    BT_CHECK(append_url(&url, err));
    if (call->source != NULL) {
        BT_CHECK(aws_hash_body(call->form->data, call->form->len, call->hash, err));
    }
    const http_sign    sign = {make_headers, call};
    const http_request request = {.what = call->what,
                                  .method = "POST",
                                  .url = url.data,
                                  .body = call->form->data,
                                  .n_body = call->form->len,
                                  HTTP_RANGE_NONE,
                                  .max_body = MAX_ANSWER,
                                  .sign = &sign};
    for (int i = 0; again; i++) {
        http_response_deinit(&response);
        BT_CHECK(http_run(&request, &response, err));
        again = i == 0 && other_time(&response);
    }
    rc = response.status == 200 ? take_answer(call->what, action, &response.body, out, err)
                                : fail(call, &response, err);
done:
    if (response.body.data != NULL) {
        secrets_wipe(response.body.data, response.body.len);
    }
    http_response_deinit(&response);
    aws_fields_clear(&call->fields);
    bt_str_deinit(&url);
    return rc;
}

static bt_status append_parameter(bt_str *form, const char *name, const char *value,
                                  bt_error *err) {
    BT_TRY(bt_str_appendf(form, err, "&%s=", name));
    return http_append_encoded(form, value, "", err);
}

static bt_status append_role(bt_str *form, const char *action, const aws_role *role,
                             bt_error *err) {
    char session[64];
    (void)snprintf(session, sizeof session, "bert-train-%" PRId64, (int64_t)bt_time_unix());
    BT_TRY(bt_str_appendf(form, err, "Action=%s&Version=2011-06-15", action));
    BT_TRY(append_parameter(form, "RoleArn", role->arn, err));
    BT_TRY(append_parameter(form, "RoleSessionName",
                            role->session != NULL ? role->session : session, err));
    if (role->external_id != NULL) {
        BT_TRY(append_parameter(form, "ExternalId", role->external_id, err));
    }
    return role->duration == NULL ? BT_OK
                                  : append_parameter(form, "DurationSeconds", role->duration, err);
}

bt_status aws_assume_role(const aws_role *role, const aws_credentials *source, aws_credentials *out,
                          bt_error *err) {
    bt_str    form = BT_STR_INIT;
    bt_str    what = BT_STR_INIT;
    bt_status rc = BT_OK;
    BT_CHECK(bt_str_appendf(&what, err, "credentials of the role %.200s", role->arn));
    BT_CHECK(append_role(&form, "AssumeRole", role, err));
    sts_call call = {.what = what.data, .form = &form, .source = source, .secret = source->token};
    BT_CHECK(run(&call, "AssumeRole", out, err));
done:
    bt_str_deinit(&form);
    bt_str_deinit(&what);
    return rc;
}

bt_status aws_assume_web_role(const aws_role *role, const char *token_file, aws_credentials *out,
                              bt_error *err) {
    bt_str    form = BT_STR_INIT;
    bt_str    what = BT_STR_INIT;
    char     *token = NULL;
    size_t    n = 0;
    bt_status rc = BT_OK;
    BT_CHECK(
        bt_str_appendf(&what, err, "credentials of the role %.200s by web identity", role->arn));
    BT_CHECK(bt_fs_read_all(token_file, MAX_TOKEN, &token, &n, err));
    while (n > 0 && (unsigned char)token[n - 1] <= ' ') {
        token[--n] = '\0';
    }
    if (n == 0) {
        rc = BT_FAIL(err, BT_E_CONFIG, "%s: the web identity token file is empty", token_file);
        goto done;
    }
    BT_CHECK(append_role(&form, "AssumeRoleWithWebIdentity", role, err));
    BT_CHECK(append_parameter(&form, "WebIdentityToken", token, err));
    sts_call call = {.what = what.data, .form = &form, .secret = token};
    BT_CHECK(run(&call, "AssumeRoleWithWebIdentity", out, err));
done:
    if (token != NULL) {
        secrets_wipe(token, n);
    }
    bt_free(token);
    secrets_wipe_text(&form);
    bt_str_deinit(&what);
    return rc;
}
