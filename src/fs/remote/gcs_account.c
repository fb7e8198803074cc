/* SPDX-License-Identifier: Apache-2.0
 *
 * Credentials as files, and asking for tokens with them. What a server says when it refuses is
 * shown, but for words that may be secret: it may have repeated what it was sent. */
#include "gcs_account.h"
#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/time.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "fs_internal.h"
#include "secrets.h"

enum { MAX_CREDENTIALS_BYTES = 1 << 20, LONG_WORD = 20, SHORTEST_SECRET = 6 };
static const char *const google_token_url = "https://oauth2.googleapis.com/token";
static const char *const exchange_url = "https://sts.googleapis.com/v1/token";
static const char *const iam_scope = "https://www.googleapis.com/auth/iam";
static const double      renew_before_seconds = 300.0;

static void free_secret(char *text) {
    if (text != NULL) {
        secrets_wipe(text, strlen(text));
        bt_free(text);
    }
}

static void free_list(char **list) {
    for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
        free_secret(list[i]);
    }
    bt_free(list);
}

/* wipes; accepts NULL */
static void free_account(gcs_account *account) {
    if (account == NULL) {
        return;
    }
    char *const texts[] = {account->file,         account->token_url,    account->identity,
                           account->secret,       account->more,         account->subject_type,
                           account->user_project, account->subject_file, account->subject_url,
                           account->subject_key,  account->acts_as};
    for (size_t i = 0; i < BT_ARRAY_LEN(texts); i++) {
        free_secret(texts[i]);
    }
    free_list(account->subject_fields);
    free_list(account->delegates);
    free_account(account->source);
    bt_free(account);
}

void gcs_wipe(bt_str *text) {
    if (text->data != NULL) {
        secrets_wipe(text->data, text->len);
    }
}

bt_status gcs_copy_field(const json_t *root, const char *key, const char *fallback,
                         const char *path, char **out, bt_error *err) {
    const char *const value = json_string_value(json_object_get(root, key));
    if (value == NULL && fallback == NULL) {
        return BT_FAIL(err, BT_E_CONFIG, "%s: no %s in these credentials", path, key);
    }
    *out = bt_strdup(value != NULL ? value : fallback);
    return *out != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for credentials");
}

bt_status gcs_append_form(bt_str *form, const char *name, const char *value, bt_error *err) {
    BT_TRY(bt_str_appendf(form, err, "%s%s=", form->len > 0 ? "&" : "", name));
    return http_append_encoded(form, value, "", err);
}

static bt_status read_account(const json_t *root, const char *path, bool is_source,
                              gcs_account **out, bt_error *err);

static bt_status read_proxy(const json_t *root, const char *path, gcs_account *out, bt_error *err) {
    const json_t *const source = json_object_get(root, "source_credentials");
    out->kind = GCS_ACCOUNT_PROXY;
    if (!json_is_object(source)) {
        return BT_FAIL(err, BT_E_CONFIG, "%s: no source_credentials in these credentials", path);
    }
    BT_TRY(gcs_read_impersonation(root, path, out, err));
    return read_account(source, path, true, &out->source, err);
}

static bt_status read_user(const json_t *root, const char *path, bool has_basic, gcs_account *out,
                           bt_error *err) {
    out->kind = GCS_ACCOUNT_USER;
    out->has_basic = has_basic;
    BT_TRY(gcs_copy_field(root, "client_id", NULL, path, &out->identity, err));
    BT_TRY(gcs_copy_field(root, "client_secret", NULL, path, &out->secret, err));
    return gcs_copy_field(root, "refresh_token", NULL, path, &out->more, err);
}

static bt_status read_service(const json_t *root, const char *path, gcs_account *out,
                              bt_error *err) {
    out->kind = GCS_ACCOUNT_SERVICE;
    BT_TRY(gcs_copy_field(root, "client_email", NULL, path, &out->identity, err));
    BT_TRY(gcs_copy_field(root, "private_key", NULL, path, &out->secret, err));
    return gcs_copy_field(root, "private_key_id", "", path, &out->more, err);
}

static bt_status read_token_url(const json_t *root, const char *key, const char *fallback,
                                const char *path, gcs_account *out, bt_error *err) {
    BT_TRY(gcs_copy_field(root, key, fallback, path, &out->token_url, err));
    return http_check_private(key, out->token_url, err) == BT_OK ? BT_OK
                                                                 : bt_error_prefix(err, "%s", path);
}

/* NOLINTNEXTLINE(misc-no-recursion): a source has none */
static bt_status read_kind(const json_t *root, const char *path, bool is_source, gcs_account *out,
                           bt_error *err) {
    const char *const type = json_string_value(json_object_get(root, "type"));
    const bool        is_external = bt_str_equal(type, "external_account");
    const bool        is_external_user = bt_str_equal(type, "external_account_authorized_user");
    BT_TRY(read_token_url(root, is_external || is_external_user ? "token_url" : "token_uri",
                          is_external || is_external_user ? exchange_url : google_token_url, path,
                          out, err));
    if (bt_str_equal(type, "service_account")) {
        return read_service(root, path, out, err);
    }
    if (bt_str_equal(type, "authorized_user") || is_external_user) {
        return read_user(root, path, is_external_user, out, err);
    }
    if (is_external) {
        return gcs_read_external(root, path, out, err);
    }
    if (bt_str_equal(type, "impersonated_service_account") && !is_source) {
        return read_proxy(root, path, out, err);
    }
    return BT_FAIL(err, BT_E_UNSUPPORTED,
                   "%s: %scredentials of type '%.60s' are not supported: expected service_account, "
                   "authorized_user, external_account%s",
                   path, is_source ? "source " : "", type != NULL ? type : "none",
                   is_source
                       ? " or external_account_authorized_user"
                       : ", external_account_authorized_user or impersonated_service_account");
}

/* NOLINTNEXTLINE(misc-no-recursion): a source has none */
static bt_status read_account(const json_t *root, const char *path, bool is_source,
                              gcs_account **out, bt_error *err) {
    gcs_account *account = bt_calloc_array(1, sizeof *account);
    if (account == NULL || (account->file = bt_strdup(path)) == NULL) {
        bt_free(account);
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for credentials");
    }
    const bt_status rc = read_kind(root, path, is_source, account, err);
    if (rc != BT_OK) {
        free_account(account);
        return rc;
    }
    *out = account;
    return BT_OK;
}

bt_status gcs_account_load(const char *path, gcs_account **out, bt_error *err) {
    bt_status    rc = BT_OK;
    char        *text = NULL;
    size_t       n = 0;
    json_error_t problem;
    json_t      *root = NULL;
    BT_CHECK(bt_fs_read_all(path, MAX_CREDENTIALS_BYTES, &text, &n, err));
    BT_CHECK(bt_json_load(text, n, 0, &root, &problem, err));
    if (root == NULL) {
        rc = BT_FAIL(err, BT_E_CONFIG, "%s:%d: credentials that are not JSON", path, problem.line);
        goto done;
    }
    BT_CHECK(read_account(root, path, false, out, err));
    const gcs_account *const who = (*out)->source != NULL ? (*out)->source : *out;
    bt_log(BT_LOG_DEBUG, "gs://: credentials of %s (%s)", who->identity, path);
done:
    if (text != NULL) {
        secrets_wipe(text, n);
    }
    bt_free(text);
    json_decref(root);
    return rc;
}

static double seconds_left(const json_t *root) {
    const json_t *const seconds = json_object_get(root, "expires_in");
    const char *const   when = json_string_value(json_object_get(root, "expireTime"));
    return when != NULL ? remote_parse_time(when) - bt_time_unix() : json_number_value(seconds);
}

static bt_status take_token(const char *text, size_t n, const char *from, gcs_token *out,
                            bt_error *err) {
    bt_status rc = BT_OK;
    json_t   *root = NULL;
    BT_TRY(bt_json_load(text, n, 0, &root, NULL, err));
    const char *token = json_string_value(json_object_get(root, "access_token"));
    token = token != NULL ? token : json_string_value(json_object_get(root, "accessToken"));
    bool ok = token != NULL && token[0] != '\0' && strlen(token) < 16384;
    for (const char *p = token; ok && *p != '\0'; p++) {
        ok = (unsigned char)*p > ' ' && (unsigned char)*p < 0x7f;
    }
    if (!ok) {
        rc = BT_FAIL(err, BT_E_FORMAT, "%s: the answer holds no access token", from);
    } else {
        const double seconds = seconds_left(root);
        const double early =
            seconds > 2 * renew_before_seconds ? renew_before_seconds : seconds / 2;
        gcs_wipe(&out->text);
        bt_str_clear(&out->text);
        rc = bt_str_append(&out->text, token, err);
        out->expires = bt_time_unix() + seconds - early;
    }
    json_decref(root);
    return rc;
}

static bool is_in_request(const http_request *request, const char *word) {
    bt_str encoded = BT_STR_INIT;
    bool   found = http_append_encoded(&encoded, word, "", NULL) != BT_OK ||
                 (request->body != NULL && strstr(request->body, encoded.data) != NULL);
    for (size_t i = 0; request->headers != NULL && request->headers[i] != NULL; i++) {
        found = found || strstr(request->headers[i], word) != NULL;
    }
    bt_str_deinit(&encoded);
    return found;
}

/* A word that is long, or looks like no word and was sent: perhaps a token. */
static bool may_be_secret(const http_request *request, const char *text, size_t n) {
    bool odd = false;
    char word[LONG_WORD];
    if (n >= LONG_WORD) {
        return true;
    }
    for (size_t i = 0; i < n; i++) {
        odd = odd || isdigit((unsigned char)text[i]) || (i > 0 && isupper((unsigned char)text[i]));
    }
    memcpy(word, text, n);
    word[n] = '\0';
    return odd && n >= SHORTEST_SECRET && is_in_request(request, word);
}

/* What the server says after "answers NNN: " may repeat what it was sent. */
static void hide_secrets(const http_request *request, bt_error *err) {
    char *const told = err != NULL ? strstr(err->msg, "the server answers ") : NULL;
    for (char *p = told; p != NULL && *p != '\0';) {
        const size_t n = strcspn(p, " ,;\"'()");
        if (may_be_secret(request, p, n)) {
            memcpy(p, "...", 3);
            memmove(p + 3, p + n, strlen(p + n) + 1);
            p += 3;
        } else {
            p += n + (p[n] != '\0' ? 1 : 0);
        }
    }
}

bt_status gcs_ask_token(const http_request *request, gcs_token *out, bt_error *err) {
    http_response response = {0};
    BT_TRY(http_run(request, &response, err));
    bt_status rc = BT_OK;
    if (response.status != 200) {
        rc = http_fail(request, &response, "get a token from", BT_E_RESOURCE, err);
        hide_secrets(request, err);
    } else {
        rc = take_token(bt_str_text(&response.body), response.body.len, request->what, out, err);
    }
    gcs_wipe(&response.body);
    http_response_deinit(&response);
    return rc;
}

/* RFC 6749, 2.3.1 */
static bt_status append_basic(bt_str *line, const char *id, const char *secret, bt_error *err) {
    bt_str    pair = BT_STR_INIT;
    bt_status rc = bt_str_appendf(&pair, err, "%s:%s", id, secret);
    if (rc == BT_OK) {
        rc = bt_str_append(line, "Authorization: Basic ", err);
    }
    if (rc == BT_OK) {
        rc = http_append_base64(line, pair.data, pair.len, false, err);
    }
    gcs_wipe(&pair);
    bt_str_deinit(&pair);
    return rc;
}

bt_status gcs_post_form(const gcs_account *account, const bt_str *form, gcs_token *out,
                        bt_error *err) {
    const char *headers[3] = {"Content-Type: application/x-www-form-urlencoded"};
    bt_status   rc = BT_OK;
    bt_str      basic = BT_STR_INIT;
    if (account->has_basic) {
        const bool is_user = account->kind == GCS_ACCOUNT_USER;
        BT_CHECK(append_basic(&basic, is_user ? account->identity : account->more, account->secret,
                              err));
        headers[1] = basic.data;
    }
    const http_request request = {.what = account->token_url,
                                  .method = "POST",
                                  .url = account->token_url,
                                  .headers = headers,
                                  .body = form->data,
                                  .n_body = form->len,
                                  HTTP_RANGE_NONE,
                                  .max_body = GCS_MAX_TOKEN_ANSWER};
    BT_CHECK(gcs_ask_token(&request, out, err));
done:
    gcs_wipe(&basic);
    bt_str_deinit(&basic);
    return rc;
}

static bt_status append_claims(bt_str *out, const gcs_account *account, const char *scope,
                               bt_error *err) {
    const int64_t now = (int64_t)bt_time_unix();
    json_t *const claims =
        json_pack("{s:s, s:s, s:s, s:I, s:I}", "iss", account->identity, "scope", scope, "aud",
                  account->token_url, "iat", (json_int_t)now, "exp", (json_int_t)now + 3600);
    const bt_status rc = bt_json_append(out, claims, JSON_COMPACT, err);
    json_decref(claims);
    return rc;
}

/* RFC 7523: the account signs for itself. */
static bt_status service_ask(const gcs_account *account, const char *scope, gcs_token *out,
                             bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    claims = BT_STR_INIT;
    bt_str    form = BT_STR_INIT;
    BT_CHECK(append_claims(&claims, account, scope, err));
    BT_CHECK(
        gcs_append_form(&form, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer", err));
    BT_CHECK(bt_str_append(&form, "&assertion=", err));
    BT_CHECK(secrets_append_jwt(&form, account->more, claims.data, account->secret, err));
    BT_CHECK(gcs_post_form(account, &form, out, err));
done:
    gcs_wipe(&form);
    bt_str_deinit(&claims);
    bt_str_deinit(&form);
    return rc;
}

static bt_status user_ask(const gcs_account *account, gcs_token *out, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    form = BT_STR_INIT;
    BT_CHECK(gcs_append_form(&form, "grant_type", "refresh_token", err));
    if (!account->has_basic) {
        BT_CHECK(gcs_append_form(&form, "client_id", account->identity, err));
        BT_CHECK(gcs_append_form(&form, "client_secret", account->secret, err));
    }
    BT_CHECK(gcs_append_form(&form, "refresh_token", account->more, err));
    BT_CHECK(gcs_post_form(account, &form, out, err));
done:
    gcs_wipe(&form);
    bt_str_deinit(&form);
    return rc;
}

static bt_status ask_once(const gcs_account *account, const char *scope, gcs_token *out,
                          bt_error *err) {
    switch (account->kind) {
    case GCS_ACCOUNT_SERVICE:
        return service_ask(account, scope, out, err);
    case GCS_ACCOUNT_USER:
        return user_ask(account, out, err);
    case GCS_ACCOUNT_EXTERNAL:
        return gcs_external_ask(account, scope, out, err);
    case GCS_ACCOUNT_PROXY:
        break;
    }
    return BT_FAIL(err, BT_E_INTERNAL, "credentials that only act for others");
}

/* As who acts first, then as whom it acts. */
bt_status gcs_account_ask(const gcs_account *account, const char *scope, gcs_token *out,
                          bt_error *err) {
    const gcs_account *const who = account->source != NULL ? account->source : account;
    gcs_token                own = {0};
    bt_status                rc = BT_OK;
    if (account->acts_as == NULL) {
        BT_CHECK(ask_once(who, scope, out, err));
        goto done;
    }
    if (who != account && who->acts_as != NULL) {
        BT_CHECK(gcs_account_ask(who, iam_scope, &own, err));
    } else {
        BT_CHECK(ask_once(who, iam_scope, &own, err));
    }
    BT_CHECK(gcs_impersonate(account, &own.text, scope, out, err));
done:
    gcs_wipe(&own.text);
    bt_str_deinit(&own.text);
    return rc == BT_OK ? rc : bt_error_prefix(err, "credentials %s", account->file);
}

bt_status gcs_machine_ask(double limit_seconds, gcs_token *out, bt_error *err) {
    static const char *const headers[] = {"Metadata-Flavor: Google", NULL};
    const char *const        host = getenv("GCE_METADATA_HOST");
    http_response            response = {0};
    bt_str                   url = BT_STR_INIT;
    bt_status                rc = BT_OK;
    BT_CHECK(bt_str_appendf(&url, err,
                            "http://%s/computeMetadata/v1/instance/service-accounts/default/token",
                            host != NULL && host[0] != '\0' ? host : "metadata.google.internal"));
    const http_request request = {.what = "the metadata server",
                                  .method = "GET",
                                  .url = url.data,
                                  .headers = headers,
                                  HTTP_RANGE_NONE,
                                  .max_body = GCS_MAX_TOKEN_ANSWER,
                                  .no_proxy = true,
                                  .limit_seconds = limit_seconds,
                                  .connect_seconds = 1.0};
    BT_CHECK(http_run(&request, &response, err));
    const char *const flavor = http_header(&response.headers, "metadata-flavor");
    if (flavor == NULL || strcmp(flavor, "Google") != 0) {
        rc = BT_FAIL(err, BT_E_RESOURCE,
                     "%s: an answer without 'Metadata-Flavor: Google' is none of the metadata "
                     "server",
                     request.what);
    } else if (response.status != 200) {
        rc = http_fail(&request, &response, "get a token from", BT_E_RESOURCE, err);
        hide_secrets(&request, err);
    } else {
        rc = take_token(bt_str_text(&response.body), response.body.len, request.what, out, err);
    }
done:
    gcs_wipe(&response.body);
    http_response_deinit(&response);
    bt_str_deinit(&url);
    return rc;
}
