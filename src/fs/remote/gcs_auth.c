/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens for Google Cloud Storage, from the usual places in the usual order:
 * GOOGLE_APPLICATION_CREDENTIALS, gcloud's application default credentials, the metadata server of
 * a machine in the cloud, and none at all (public buckets). One token for the process, renewed five
 * minutes before it runs out, or when it was refused. No credential is ever put into a message. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fs_internal.h"
#include "gcs.h"
#include "secrets.h"

enum { MAX_CREDENTIALS_BYTES = 1 << 20, MAX_TOKEN_ANSWER = 1 << 20 };
static const char *const scope = "https://www.googleapis.com/auth/devstorage.read_write";
static const char *const google_token_url = "https://oauth2.googleapis.com/token";
static const double      renew_before_seconds = 300.0;

typedef enum account_kind {
    ACCOUNT_NONE,
    ACCOUNT_SERVICE,
    ACCOUNT_USER,
    ACCOUNT_MACHINE
} account_kind;

typedef struct account {
    bool         is_looked_for;
    account_kind kind;
    char        *file; /* where it came from */
    char        *token_url;
    char        *identity; /* client_email, or client_id */
    char        *secret;   /* private_key, or client_secret */
    char        *more;     /* private_key_id, or refresh_token */
    bt_str       token;
    double       expires; /* bt_time_unix() */
} account;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static account         the; /* under lock */

/* ---- the file ---------------------------------------------------------------------------------
 */

static bt_status copy_field(const json_t *root, const char *key, const char *fallback,
                            const char *path, char **out, bt_error *err) {
    const char *const value = json_string_value(json_object_get(root, key));
    if (value == NULL && fallback == NULL) {
        return BT_FAIL(err, BT_E_CONFIG, "%s: no %s in these credentials", path, key);
    }
    *out = bt_strdup(value != NULL ? value : fallback);
    return *out != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for credentials");
}

static bt_status read_account(const json_t *root, const char *path, bt_error *err) {
    const char *const type = json_string_value(json_object_get(root, "type"));
    BT_TRY(copy_field(root, "token_uri", google_token_url, path, &the.token_url, err));
    if (http_check_private("token_uri", the.token_url, err) != BT_OK) {
        return bt_error_prefix(err, "%s", path);
    }
    if (bt_str_equal(type, "service_account")) {
        BT_TRY(copy_field(root, "client_email", NULL, path, &the.identity, err));
        BT_TRY(copy_field(root, "private_key", NULL, path, &the.secret, err));
        BT_TRY(copy_field(root, "private_key_id", "", path, &the.more, err));
        the.kind = ACCOUNT_SERVICE;
        return BT_OK;
    }
    if (bt_str_equal(type, "authorized_user")) {
        BT_TRY(copy_field(root, "client_id", NULL, path, &the.identity, err));
        BT_TRY(copy_field(root, "client_secret", NULL, path, &the.secret, err));
        BT_TRY(copy_field(root, "refresh_token", NULL, path, &the.more, err));
        the.kind = ACCOUNT_USER;
        return BT_OK;
    }
    return BT_FAIL(err, BT_E_UNSUPPORTED,
                   "%s: credentials of type '%s' are not served: expected service_account or "
                   "authorized_user",
                   path, type != NULL ? type : "none");
}

static bt_status load_file(const char *path, bt_error *err) {
    bt_status    rc = BT_OK;
    char        *text = NULL;
    size_t       n = 0;
    json_error_t problem;
    json_t      *root = NULL;
    BT_CHECK(bt_fs_read_all(path, MAX_CREDENTIALS_BYTES, &text, &n, err));
    root = json_loadb(text, n, 0, &problem);
    if (root == NULL) {
        rc = BT_FAIL(err, BT_E_CONFIG, "%s:%d: credentials that are no JSON", path, problem.line);
        goto done;
    }
    BT_CHECK(read_account(root, path, err));
    the.file = bt_strdup(path);
    bt_log(BT_LOG_DEBUG, "gs://: credentials of %s (%s)", the.identity, path);
done:
    if (text != NULL) {
        secrets_wipe(text, n);
    }
    bt_free(text);
    json_decref(root);
    return rc;
}

/* gcloud auth application-default login */
static bt_status gcloud_file(char **path, bt_error *err) {
    const char *const config = getenv("CLOUDSDK_CONFIG");
    const char *const home = getenv("HOME");
    bt_str            s = BT_STR_INIT;
    bt_status         rc = BT_OK;
    *path = NULL;
    if (config != NULL && config[0] != '\0') {
        rc = bt_str_appendf(&s, err, "%s/application_default_credentials.json", config);
    } else if (home != NULL && home[0] != '\0') {
        rc =
            bt_str_appendf(&s, err, "%s/.config/gcloud/application_default_credentials.json", home);
    }
    if (rc == BT_OK) {
        *path = bt_str_take(&s);
    }
    bt_str_deinit(&s);
    return rc;
}

/* ---- asking for a token -----------------------------------------------------------------------
 */

static bt_status take_token(const char *text, size_t n, const char *from, bt_error *err) {
    bt_status         rc = BT_OK;
    json_t *const     root = json_loadb(text, n, 0, NULL);
    const char *const token = json_string_value(json_object_get(root, "access_token"));
    const double      seconds = json_number_value(json_object_get(root, "expires_in"));
    bool              ok = token != NULL && token[0] != '\0' && strlen(token) < 8192;
    for (const char *p = token; ok && *p != '\0'; p++) {
        ok = (unsigned char)*p > ' ' && (unsigned char)*p < 0x7f;
    }
    if (!ok) {
        rc = BT_FAIL(err, BT_E_FORMAT, "%s: the answer holds no access token", from);
    } else {
        bt_str_clear(&the.token);
        rc = bt_str_append(&the.token, token, err);
        const double early =
            seconds > 2 * renew_before_seconds ? renew_before_seconds : seconds / 2;
        the.expires = bt_time_unix() + seconds - early;
    }
    json_decref(root);
    return rc;
}

static bt_status ask(const http_request *request, bt_error *err) {
    http_response response = {0};
    BT_TRY(http_run(request, &response, err));
    bt_status rc = BT_OK;
    if (response.status != 200) {
        rc = http_fail(request, &response, "get a token from", BT_E_RESOURCE, err);
    } else {
        rc = take_token(bt_str_text(&response.body), response.body.len, request->what, err);
    }
    if (response.body.len > 0) {
        secrets_wipe(response.body.data, response.body.len);
    }
    http_response_deinit(&response);
    return rc;
}

static bt_status post_form(const bt_str *form, bt_error *err) {
    static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded", NULL};
    const http_request       request = {.what = the.token_url,
                                        .method = "POST",
                                        .url = the.token_url,
                                        .headers = headers,
                                        .body = form->data,
                                        .n_body = form->len,
                                        HTTP_RANGE_NONE,
                                        .max_body = MAX_TOKEN_ANSWER};
    return ask(&request, err);
}

static bt_status append_claims(bt_str *out, bt_error *err) {
    const int64_t now = (int64_t)bt_time_unix();
    json_t *const claims =
        json_pack("{s:s, s:s, s:s, s:I, s:I}", "iss", the.identity, "scope", scope, "aud",
                  the.token_url, "iat", (json_int_t)now, "exp", (json_int_t)now + 3600);
    char *const     text = claims != NULL ? json_dumps(claims, JSON_COMPACT) : NULL;
    const bt_status rc = text != NULL ? bt_str_append(out, text, err)
                                      : BT_FAIL(err, BT_E_NOMEM, "out of memory for a token");
    free(text); /* jansson's own memory */
    json_decref(claims);
    return rc;
}

/* RFC 7523: the account signs for itself. */
static bt_status service_token(bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    claims = BT_STR_INIT;
    bt_str    form = BT_STR_INIT;
    BT_CHECK(append_claims(&claims, err));
    BT_CHECK(bt_str_append(&form,
                           "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"
                           "&assertion=",
                           err));
    BT_CHECK(secrets_append_jwt(&form, the.more, claims.data, the.secret, err));
    BT_CHECK(post_form(&form, err));
done:
    bt_str_deinit(&claims);
    bt_str_deinit(&form);
    return rc == BT_OK ? rc : bt_error_prefix(err, "credentials %s", the.file);
}

static bt_status user_token(bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    form = BT_STR_INIT;
    BT_CHECK(bt_str_append(&form, "grant_type=refresh_token&client_id=", err));
    BT_CHECK(http_append_encoded(&form, the.identity, "", err));
    BT_CHECK(bt_str_append(&form, "&client_secret=", err));
    BT_CHECK(http_append_encoded(&form, the.secret, "", err));
    BT_CHECK(bt_str_append(&form, "&refresh_token=", err));
    BT_CHECK(http_append_encoded(&form, the.more, "", err));
    BT_CHECK(post_form(&form, err));
done:
    if (form.data != NULL) {
        secrets_wipe(form.data, form.len);
    }
    bt_str_deinit(&form);
    return rc == BT_OK ? rc : bt_error_prefix(err, "credentials %s", the.file);
}

static bt_status machine_token(double limit_seconds, bt_error *err) {
    static const char *const headers[] = {"Metadata-Flavor: Google", NULL};
    const char *const        host = getenv("GCE_METADATA_HOST");
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
                                  .max_body = MAX_TOKEN_ANSWER,
                                  .no_proxy = true,
                                  .limit_seconds = limit_seconds,
                                  .connect_seconds = 1.0};
    BT_CHECK(ask(&request, err));
done:
    bt_str_deinit(&url);
    return rc;
}

/* ---- which ------------------------------------------------------------------------------------
 */

static bt_status look_for_account(bt_error *err) {
    const char *const named = getenv("GOOGLE_APPLICATION_CREDENTIALS");
    const char *const skip = getenv("NO_GCE_CHECK");
    char             *path = NULL;
    bt_status         rc = BT_OK;
    bt_error          problem = BT_ERROR_INIT;
    if (named != NULL && named[0] != '\0') {
        rc = load_file(named, err);
        return rc == BT_OK ? rc : bt_error_prefix(err, "GOOGLE_APPLICATION_CREDENTIALS");
    }
    BT_TRY(gcloud_file(&path, err));
    if (path != NULL && bt_fs_exists(path)) {
        rc = load_file(path, err);
    } else if (!bt_str_equal_nocase(skip, "true") && machine_token(0.001, &problem) == BT_OK) {
        the.kind = ACCOUNT_MACHINE;
        bt_log(BT_LOG_DEBUG, "gs://: credentials of this machine's account");
    } else {
        bt_log(BT_LOG_INFO,
               "gs://: no credentials found (GOOGLE_APPLICATION_CREDENTIALS, gcloud's file, the "
               "metadata server): only public buckets can be read");
    }
    bt_free(path);
    return rc;
}

static bt_status renew(bt_error *err) {
    switch (the.kind) {
    case ACCOUNT_NONE:
        return BT_OK;
    case ACCOUNT_SERVICE:
        return service_token(err);
    case ACCOUNT_USER:
        return user_token(err);
    case ACCOUNT_MACHINE:
        return machine_token(0, err);
    }
    return BT_OK;
}

static void forget_account(void) {
    char **const texts[] = {&the.file, &the.token_url, &the.identity, &the.secret, &the.more};
    for (size_t i = 0; i < BT_ARRAY_LEN(texts); i++) {
        bt_free(*texts[i]);
        *texts[i] = NULL;
    }
    the.kind = ACCOUNT_NONE;
}

static bt_status append_token(void *context, bool refused, bt_str *out, bt_error *err) {
    bt_status rc = BT_OK;
    (void)context;
    pthread_mutex_lock(&lock);
    if (!the.is_looked_for) {
        rc = look_for_account(err);
        the.is_looked_for = rc == BT_OK;
        if (rc != BT_OK) {
            forget_account();
        }
    }
    if (rc == BT_OK && (refused || the.token.len == 0 || bt_time_unix() >= the.expires)) {
        rc = renew(err);
    }
    if (rc == BT_OK) {
        rc = bt_str_append(out, bt_str_text(&the.token), err);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

const http_auth *gcs_auth(void) {
    static const http_auth auth = {append_token, NULL};
    const char *const      emulator = getenv("STORAGE_EMULATOR_HOST");
    return emulator != NULL && emulator[0] != '\0' ? NULL : &auth;
}
