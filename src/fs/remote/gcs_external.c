/* SPDX-License-Identifier: Apache-2.0
 *
 * Workload identity: the token of another provider (a file that Kubernetes writes, a URL of the
 * cloud or of a CI job) is changed for one of Google's (RFC 8693), which may then be changed for
 * one of a service account. The subject token is read again each time: its provider renews it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/json_text.h"
#include "fs_internal.h"
#include "gcs_account.h"
#include "secrets.h"

enum { MAX_SUBJECT_BYTES = 1 << 20, MAX_FIELDS = 32, MAX_DELEGATES = 32 };

/* Where a URL gives a token to this machine: also on its own link (metadata servers are there). */
static bt_status check_subject_url(const char *path, const char *url, bt_error *err) {
    http_url parsed;
    bool     ok = false;
    BT_TRY(http_read_url(url, &ok, &parsed, err));
    if (ok && strcmp(parsed.scheme, "http") == 0 && strncmp(parsed.host, "169.254.", 8) == 0 &&
        strspn(parsed.host, "0123456789.") == strlen(parsed.host)) {
        return BT_OK;
    }
    const bt_status rc = http_check_private("credential_source.url", url, err);
    return rc == BT_OK ? rc : bt_error_prefix(err, "%s", path);
}

/* "Name: value" of each pair of an object. */
static bt_status read_fields(const json_t *object, const char *path, char ***out, bt_error *err) {
    const char   *name = NULL;
    const json_t *value = NULL;
    size_t        n = 0;
    *out = bt_calloc_array(MAX_FIELDS + 1, sizeof **out);
    if (*out == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for credentials");
    }
    json_object_foreach((json_t *)object, name, value) {
        const char *const text = json_string_value(value);
        bt_str            line = BT_STR_INIT;
        if (text == NULL || n == MAX_FIELDS || strpbrk(name, ":\r\n") != NULL ||
            strpbrk(text, "\r\n") != NULL) {
            return BT_FAIL(err, BT_E_CONFIG,
                           "%s: credential_source.headers: expected at most %d texts of one line",
                           path, MAX_FIELDS);
        }
        BT_TRY(bt_str_appendf(&line, err, "%s: %s", name, text));
        (*out)[n++] = bt_str_take(&line);
    }
    return BT_OK;
}

static bt_status read_format(const json_t *source, const char *path, gcs_account *out,
                             bt_error *err) {
    const json_t *const format = json_object_get(source, "format");
    const char         *type = json_string_value(json_object_get(format, "type"));
    if (format == NULL || type == NULL || strcmp(type, "text") == 0) {
        return BT_OK;
    }
    if (strcmp(type, "json") != 0) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s: credential_source.format.type '%.40s': expected text or json", path,
                       type);
    }
    return gcs_copy_field(format, "subject_token_field_name", NULL, path, &out->subject_key, err);
}

static bt_status fail_source(const char *path, const char *what, const char *instead,
                             bt_error *err) {
    return BT_FAIL(err, BT_E_UNSUPPORTED,
                   "%s: %s are not supported: expected credential_source with file or url%s", path,
                   what, instead);
}

static bt_status read_source(const json_t *source, const char *path, gcs_account *out,
                             bt_error *err) {
    const char *const environment = json_string_value(json_object_get(source, "environment_id"));
    if (environment != NULL) {
        return fail_source(path, "external accounts of AWS (environment_id)",
                           "; or give the job a service account's file", err);
    }
    if (json_object_get(source, "executable") != NULL) {
        return fail_source(path,
                           "external accounts whose token a program makes (executable: no program "
                           "is run for credentials)",
                           "; let that program write a file", err);
    }
    if (json_object_get(source, "certificate") != NULL) {
        return fail_source(path, "external accounts with a client certificate", "", err);
    }
    BT_TRY(read_format(source, path, out, err));
    if (json_object_get(source, "file") != NULL) {
        return gcs_copy_field(source, "file", NULL, path, &out->subject_file, err);
    }
    BT_TRY(gcs_copy_field(source, "url", NULL, path, &out->subject_url, err));
    BT_TRY(check_subject_url(path, out->subject_url, err));
    return read_fields(json_object_get(source, "headers"), path, &out->subject_fields, err);
}

bt_status gcs_read_external(const json_t *root, const char *path, gcs_account *out, bt_error *err) {
    out->kind = GCS_ACCOUNT_EXTERNAL;
    BT_TRY(gcs_copy_field(root, "audience", NULL, path, &out->identity, err));
    BT_TRY(gcs_copy_field(root, "subject_token_type", NULL, path, &out->subject_type, err));
    if (json_string_value(json_object_get(root, "client_id")) != NULL) {
        out->has_basic = true;
        BT_TRY(gcs_copy_field(root, "client_id", NULL, path, &out->more, err));
        BT_TRY(gcs_copy_field(root, "client_secret", "", path, &out->secret, err));
    }
    if (json_string_value(json_object_get(root, "workforce_pool_user_project")) != NULL) {
        BT_TRY(gcs_copy_field(root, "workforce_pool_user_project", NULL, path, &out->user_project,
                              err));
    }
    BT_TRY(read_source(json_object_get(root, "credential_source"), path, out, err));
    return json_object_get(root, "service_account_impersonation_url") != NULL
               ? gcs_read_impersonation(root, path, out, err)
               : BT_OK;
}

static bt_status read_delegates(const json_t *list, const char *path, char ***out, bt_error *err) {
    *out = bt_calloc_array(MAX_DELEGATES + 1, sizeof **out);
    if (*out == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for credentials");
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *const name = json_string_value(json_array_get(list, i));
        if (name == NULL || i == MAX_DELEGATES) {
            return BT_FAIL(err, BT_E_CONFIG, "%s: delegates: expected at most %d names", path,
                           MAX_DELEGATES);
        }
        (*out)[i] = bt_strdup(name);
        if ((*out)[i] == NULL) {
            return BT_FAIL(err, BT_E_NOMEM, "out of memory for credentials");
        }
    }
    return BT_OK;
}

bt_status gcs_read_impersonation(const json_t *root, const char *path, gcs_account *out,
                                 bt_error *err) {
    enum { USUAL_LIFETIME = 3600, SHORTEST = 600, LONGEST = 43200 };
    const json_t *const how = json_object_get(root, "service_account_impersonation");
    const json_t *const lifetime = json_object_get(how, "token_lifetime_seconds");
    BT_TRY(
        gcs_copy_field(root, "service_account_impersonation_url", NULL, path, &out->acts_as, err));
    if (http_check_private("service_account_impersonation_url", out->acts_as, err) != BT_OK) {
        return bt_error_prefix(err, "%s", path);
    }
    out->lifetime = lifetime != NULL ? json_integer_value(lifetime) : USUAL_LIFETIME;
    if (out->lifetime < SHORTEST || out->lifetime > LONGEST) {
        return BT_FAIL(err, BT_E_CONFIG, "%s: token_lifetime_seconds: expected %d to %d", path,
                       SHORTEST, LONGEST);
    }
    return read_delegates(json_object_get(root, "delegates"), path, &out->delegates, err);
}

static bt_status take_subject(const gcs_account *account, const char *text, size_t n,
                              const char *from, bt_str *out, bt_error *err) {
    json_t     *root = NULL;
    const char *token = text;
    if (account->subject_key != NULL) {
        BT_TRY(bt_json_load(text, n, 0, &root, NULL, err));
        token = json_string_value(json_object_get(root, account->subject_key));
    }
    size_t n_token = token != NULL ? strlen(token) : 0;
    while (n_token > 0 && strchr(" \t\r\n", token[n_token - 1]) != NULL) {
        n_token--;
    }
    bt_status rc = BT_OK;
    if (n_token == 0 && account->subject_key != NULL) {
        rc = BT_FAIL(err, BT_E_FORMAT, "%s: expected a JSON object with the text '%.60s'", from,
                     account->subject_key);
    } else if (n_token == 0) {
        rc = BT_FAIL(err, BT_E_FORMAT, "%s: there is no token in it", from);
    } else {
        rc = bt_str_append_n(out, token, n_token, err);
    }
    json_decref(root);
    return rc;
}

static bt_status subject_of_file(const gcs_account *account, bt_str *out, bt_error *err) {
    char  *text = NULL;
    size_t n = 0;
    BT_TRY(bt_fs_read_all(account->subject_file, MAX_SUBJECT_BYTES, &text, &n, err));
    const bt_status rc = take_subject(account, text, n, account->subject_file, out, err);
    secrets_wipe(text, n);
    bt_free(text);
    return rc;
}

static bt_status subject_of_url(const gcs_account *account, bt_str *out, bt_error *err) {
    bt_status     rc = BT_OK;
    http_response response = {0};
    bt_str        shown = BT_STR_INIT;
    http_url      parsed;
    bool          is_url = false;
    BT_TRY(http_read_url(account->subject_url, &is_url, &parsed, err));
    const bool plain = is_url && strcmp(parsed.scheme, "http") == 0; /* never through a proxy */
    BT_CHECK(http_append_shown(&shown, account->subject_url, err));
    const http_request request = {.what = bt_str_text(&shown),
                                  .method = "GET",
                                  .url = account->subject_url,
                                  .headers = (const char *const *)account->subject_fields,
                                  HTTP_RANGE_NONE,
                                  .max_body = MAX_SUBJECT_BYTES,
                                  .no_proxy = plain};
    BT_CHECK(http_run(&request, &response, err));
    if (response.status != 200) {
        rc = BT_FAIL(err, BT_E_RESOURCE, "cannot get a token from %s: the server answers %ld",
                     request.what, response.status);
        goto done;
    }
    BT_CHECK(take_subject(account, bt_str_text(&response.body), response.body.len, request.what,
                          out, err));
done:
    gcs_wipe(&response.body);
    http_response_deinit(&response);
    bt_str_deinit(&shown);
    return rc;
}

static bt_status append_options(bt_str *form, const gcs_account *account, bt_error *err) {
    bt_str    json = BT_STR_INIT;
    bt_str    quoted = BT_STR_INIT;
    bt_status rc = BT_OK;
    if (account->user_project == NULL || account->has_basic) {
        return BT_OK;
    }
    BT_CHECK(bt_str_append(&json, "{\"userProject\": ", err));
    BT_CHECK(bt_str_append_json(&json, account->user_project, err));
    BT_CHECK(bt_str_append(&json, "}", err));
    BT_CHECK(http_append_encoded(&quoted, json.data, "/", err)); /* encoded inside the form, too */
    BT_CHECK(gcs_append_form(form, "options", quoted.data, err));
done:
    bt_str_deinit(&json);
    bt_str_deinit(&quoted);
    return rc;
}

bt_status gcs_external_ask(const gcs_account *account, const char *scope, gcs_token *out,
                           bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    form = BT_STR_INIT;
    bt_str    subject = BT_STR_INIT;
    BT_CHECK(account->subject_file != NULL ? subject_of_file(account, &subject, err)
                                           : subject_of_url(account, &subject, err));
    BT_CHECK(gcs_append_form(&form, "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange",
                             err));
    BT_CHECK(gcs_append_form(&form, "audience", account->identity, err));
    BT_CHECK(gcs_append_form(&form, "scope", scope, err));
    BT_CHECK(gcs_append_form(&form, "requested_token_type",
                             "urn:ietf:params:oauth:token-type:access_token", err));
    BT_CHECK(gcs_append_form(&form, "subject_token", subject.data, err));
    BT_CHECK(gcs_append_form(&form, "subject_token_type", account->subject_type, err));
    BT_CHECK(append_options(&form, account, err));
    BT_CHECK(gcs_post_form(account, &form, out, err));
done:
    gcs_wipe(&form);
    gcs_wipe(&subject);
    bt_str_deinit(&form);
    bt_str_deinit(&subject);
    return rc;
}

static json_t *impersonation_body(const gcs_account *account, const char *scope) {
    json_t *const list = json_array();
    for (size_t i = 0; account->delegates != NULL && account->delegates[i] != NULL; i++) {
        (void)json_array_append_new(list, json_string(account->delegates[i]));
    }
    return json_pack("{s:o, s:[s], s:o}", "delegates", list, "scope", scope, "lifetime",
                     json_sprintf("%" PRId64 "s", account->lifetime));
}

bt_status gcs_impersonate(const gcs_account *account, const bt_str *token, const char *scope,
                          gcs_token *out, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    bearer = BT_STR_INIT;
    bt_str    text = BT_STR_INIT;
    bt_json_watch();
    json_t *const body = impersonation_body(account, scope);
    if (bt_json_was_refused()) { /* a delegate may be missing from it */
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for a token");
        goto done;
    }
    BT_CHECK(bt_json_append(&text, body, 0, err));
    BT_CHECK(bt_str_appendf(&bearer, err, "Authorization: Bearer %s", bt_str_text(token)));
    const char *const  headers[] = {bearer.data, "Content-Type: application/json", NULL};
    const http_request request = {.what = account->acts_as,
                                  .method = "POST",
                                  .url = account->acts_as,
                                  .headers = headers,
                                  .body = bt_str_text(&text),
                                  .n_body = text.len,
                                  HTTP_RANGE_NONE,
                                  .max_body = GCS_MAX_TOKEN_ANSWER};
    BT_CHECK(gcs_ask_token(&request, out, err));
done:
    gcs_wipe(&bearer);
    bt_str_deinit(&bearer);
    bt_str_deinit(&text);
    json_decref(body);
    return rc;
}
