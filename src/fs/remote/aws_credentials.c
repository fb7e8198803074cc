/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose requests these are: the places of boto3's documented chain, in its order. The environment;
 * the profile's role; a web identity; the profile's keys (credentials file, credential_process,
 * config file); the container's; the machine's; then nobody's (public buckets). Found once for the
 * process, renewed five minutes before they run out, and once when they were refused. What is in
 * the profile decides: a place that is configured and fails is an error, not a reason to go on to
 * the next. */
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws.h"
#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "fs_internal.h"
#include "remote.h"
#include "secrets.h"

enum { MAX_ROLES = 8 };
static const double renew_before_seconds = 300.0;
static const double try_again_seconds = 30.0;

const char *aws_env(const char *name) {
    const char *const value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static void forget(char **text) {
    if (*text != NULL) {
        secrets_wipe(*text, strlen(*text));
        bt_free(*text);
        *text = NULL;
    }
}

void aws_credentials_deinit(aws_credentials *credentials) {
    forget(&credentials->id);
    forget(&credentials->secret);
    forget(&credentials->token);
    credentials->expires = 0;
}

static bool is_printable(const char *text) {
    while (*text > ' ' && *text < 0x7f) {
        text++;
    }
    return *text == '\0';
}

bt_status aws_credentials_set(aws_credentials *out, const char *id, const char *secret,
                              const char *token, const char *from, bt_error *err) {
    token = token != NULL ? token : "";
    if (id[0] == '\0' || secret[0] == '\0' || !is_printable(id) || !is_printable(secret) ||
        !is_printable(token) || strpbrk(id, "/,") != NULL) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s: an access key, secret or session token that is empty or holds spaces "
                       "or other characters that are not allowed",
                       from);
    }
    aws_credentials made = {
        .id = bt_strdup(id), .secret = bt_strdup(secret), .token = bt_strdup(token)};
    if (made.id == NULL || made.secret == NULL || made.token == NULL) {
        aws_credentials_deinit(&made);
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for credentials");
    }
    *out = made;
    return BT_OK;
}

/* "...T12:00:00Z", "...T12:00:00.5+02:00" */
double aws_parse_expiration(const char *text) {
    const double      seconds = remote_parse_time(text);
    const char *const time = text != NULL ? strchr(text, 'T') : NULL;
    const char *const offset = time != NULL ? strpbrk(time, "+-") : NULL;
    int               hours = 0;
    int               minutes = 0;
    if (seconds <= 0 || offset == NULL || sscanf(offset + 1, "%2d:%2d", &hours, &minutes) != 2) {
        return seconds;
    }
    return seconds - (offset[0] == '-' ? -60.0 : 60.0) * (60 * hours + minutes);
}

bt_status aws_credentials_from_json(aws_credentials *out, const char *text, size_t n,
                                    const char *key_of_token, const char *from, bt_error *err) {
    json_t *root = NULL;
    BT_TRY(bt_json_load(text, n, 0, &root, NULL, err));
    const char *const id = json_string_value(json_object_get(root, "AccessKeyId"));
    const char *const secret = json_string_value(json_object_get(root, "SecretAccessKey"));
    const char *const token = json_string_value(json_object_get(root, key_of_token));
    const char *const expires = json_string_value(json_object_get(root, "Expiration"));
    bt_status         rc = BT_OK;
    if (id == NULL || secret == NULL) {
        rc = BT_FAIL(err, BT_E_CONFIG, "%s: no JSON with AccessKeyId and SecretAccessKey", from);
    } else {
        rc = aws_credentials_set(out, id, secret, token, from, err);
    }
    if (rc == BT_OK && expires != NULL) {
        out->expires = aws_parse_expiration(expires);
        if (out->expires <= 0) {
            aws_credentials_deinit(out);
            rc = BT_FAIL(err, BT_E_CONFIG, "%s: an Expiration that is not a time", from);
        }
    }
    json_decref(root);
    return rc;
}

static bt_status copy(const aws_credentials *from, aws_credentials *out, bt_error *err) {
    if (from->id == NULL) {
        return BT_OK;
    }
    BT_TRY(aws_credentials_set(out, from->id, from->secret, from->token, "credentials", err));
    out->expires = from->expires;
    return BT_OK;
}

typedef struct finder {
    const aws_profiles *profiles;
    const char         *visited[MAX_ROLES];
    size_t              n_visited;
    const char         *place; /* where they were found */
} finder;

static bt_status find_of_profile(finder *f, const char *profile, bool with_env,
                                 aws_credentials *out, bt_error *err);

static bt_status from_env(aws_credentials *out, bt_error *err) {
    const char *const id = aws_env("AWS_ACCESS_KEY_ID");
    const char *const secret = aws_env("AWS_SECRET_ACCESS_KEY");
    const char *const token = aws_env("AWS_SESSION_TOKEN");
    const char *const expires = aws_env("AWS_CREDENTIAL_EXPIRATION");
    if (id == NULL) {
        return BT_OK;
    }
    if (secret == NULL) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not");
    }
    BT_TRY(aws_credentials_set(out, id, secret,
                               token != NULL ? token : aws_env("AWS_SECURITY_TOKEN"),
                               "AWS_ACCESS_KEY_ID", err));
    out->expires = aws_parse_expiration(expires);
    return BT_OK;
}

typedef const char *(*get_value)(const aws_profiles *profiles, const char *profile,
                                 const char *key);

static bt_status static_keys(const finder *f, get_value get, const char *file, const char *profile,
                             aws_credentials *out, bt_error *err) {
    const char *const id = get(f->profiles, profile, "aws_access_key_id");
    const char *const secret = get(f->profiles, profile, "aws_secret_access_key");
    if (id == NULL) {
        return BT_OK;
    }
    if (secret == NULL) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s: the profile %s has an aws_access_key_id, but no aws_secret_access_key",
                       file, profile);
    }
    return aws_credentials_set(out, id, secret, get(f->profiles, profile, "aws_session_token"),
                               file, err);
}

/* Ways in that need a person, or that are not supported. */
static bt_status refuse_others(const finder *f, const char *profile, bt_error *err) {
    static const struct {
        const char *key;
        const char *what;
    } rows[] = {
        {"sso_session", "AWS IAM Identity Center (SSO)"},
        {"sso_start_url", "AWS IAM Identity Center (SSO)"},
        {"login_session", "`aws login`"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        if (aws_profile_get(f->profiles, profile, rows[i].key) != NULL) {
            return BT_FAIL(
                err, BT_E_UNSUPPORTED,
                "the profile %s uses %s (%s), which is not supported: give another "
                "profile 'credential_process = aws configure export-credentials --profile "
                "%s --format process' and name that in AWS_PROFILE",
                profile, rows[i].what, rows[i].key, profile);
        }
    }
    return BT_OK;
}

static bt_status web_identity(finder *f, const char *profile, bool with_env, aws_credentials *out,
                              bt_error *err) {
    static const char *const keys[] = {"web_identity_token_file", "role_arn", "role_session_name"};
    static const char *const variables[] = {"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN",
                                            "AWS_ROLE_SESSION_NAME"};
    const char              *values[3];
    for (size_t i = 0; i < 3; i++) {
        const char *const said = with_env ? aws_env(variables[i]) : NULL;
        values[i] = said != NULL ? said : aws_profile_get(f->profiles, profile, keys[i]);
    }
    if (values[0] == NULL) {
        return BT_OK;
    }
    if (values[1] == NULL) {
        return BT_FAIL(
            err, BT_E_CONFIG,
            "a web identity token file (%s), but no role: set AWS_ROLE_ARN, or role_arn in "
            "the profile %s",
            values[0], profile);
    }
    const aws_role role = {.arn = values[1], .session = values[2]};
    f->place = "a web identity token file";
    return aws_assume_web_role(&role, values[0], out, err);
}

static bool is_role(const finder *f, const char *profile) {
    return aws_profile_get(f->profiles, profile, "role_arn") != NULL &&
           aws_profile_get(f->profiles, profile, "web_identity_token_file") == NULL;
}

static bool has_keys(const finder *f, const char *profile) {
    return aws_profile_get(f->profiles, profile, "aws_access_key_id") != NULL ||
           aws_profile_get(f->profiles, profile, "aws_secret_access_key") != NULL;
}

static bt_status named_source(const char *profile, const char *source, aws_credentials *out,
                              bt_error *err) {
    if (bt_str_equal_nocase(source, "Environment")) {
        BT_TRY(from_env(out, err));
    } else if (bt_str_equal_nocase(source, "Ec2InstanceMetadata")) {
        BT_TRY(aws_machine_credentials(out, err));
    } else if (bt_str_equal_nocase(source, "EcsContainer")) {
        BT_TRY(aws_container_credentials(out, err));
    } else {
        return BT_FAIL(err, BT_E_CONFIG,
                       "the profile %s: credential_source is '%s', expected Environment, "
                       "Ec2InstanceMetadata or EcsContainer",
                       profile, source);
    }
    return out->id != NULL ? BT_OK
                           : BT_FAIL(err, BT_E_CONFIG,
                                     "the profile %s: credential_source %s has no credentials",
                                     profile, source);
}

static bt_status check_source(const finder *f, const char *profile, const char *source,
                              const char *named, bt_error *err) {
    if ((source == NULL) == (named == NULL)) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "the profile %s has a role_arn: expected either source_profile or "
                       "credential_source beside it",
                       profile);
    }
    if (aws_profile_get(f->profiles, profile, "mfa_serial") != NULL) {
        return BT_FAIL(
            err, BT_E_UNSUPPORTED,
            "the profile %s requires a code from a person (mfa_serial), which is not supported",
            profile);
    }
    if (source != NULL && aws_profile_get(f->profiles, source, NULL) == NULL) {
        return BT_FAIL(err, BT_E_CONFIG, "the profile %s: its source_profile %s does not exist",
                       profile, source);
    }
    return BT_OK;
}

static bt_status assume(finder *f, const char *profile, aws_credentials *out, bt_error *err) {
    const char *const source = aws_profile_get(f->profiles, profile, "source_profile");
    const char *const named = aws_profile_get(f->profiles, profile, "credential_source");
    aws_credentials   own = {0};
    bt_status         rc = BT_OK;
    BT_TRY(check_source(f, profile, source, named, err));
    for (size_t i = 0; source != NULL && i < f->n_visited; i++) {
        if (strcmp(f->visited[i], source) == 0 || f->n_visited == MAX_ROLES) {
            return BT_FAIL(err, BT_E_CONFIG,
                           "the profile %s: its source_profile leads back to itself", profile);
        }
    }
    if (named != NULL) {
        BT_CHECK(named_source(profile, named, &own, err));
    } else if (source != NULL && strcmp(source, profile) != 0) { /* check_source saw one of them */
        f->visited[f->n_visited++] = profile;
        BT_CHECK(find_of_profile(f, source, false, &own, err));
    } else if (has_keys(f, profile)) { /* itself: its own keys */
        BT_CHECK(static_keys(f, aws_profile_get, "~/.aws", profile, &own, err));
    }
    if (own.id == NULL) {
        rc = BT_FAIL(err, BT_E_CONFIG, "the profile %s: its source_profile %s has no credentials",
                     profile, source);
        goto done;
    }
    const aws_role role = {.arn = aws_profile_get(f->profiles, profile, "role_arn"),
                           .session = aws_profile_get(f->profiles, profile, "role_session_name"),
                           .external_id = aws_profile_get(f->profiles, profile, "external_id"),
                           .duration = aws_profile_get(f->profiles, profile, "duration_seconds")};
    f->place = "a role of the profile";
    BT_CHECK(aws_assume_role(&role, &own, out, err));
done:
    aws_credentials_deinit(&own);
    return rc;
}

static bt_status find_of_profile(finder *f, const char *profile, bool with_env,
                                 aws_credentials *out, bt_error *err) {
    const char *const command = aws_profile_get(f->profiles, profile, "credential_process");
    /* as a source, a profile's own keys are stronger than its role */
    if (is_role(f, profile) && (with_env || !has_keys(f, profile))) {
        return assume(f, profile, out, err);
    }
    BT_TRY(web_identity(f, profile, with_env, out, err));
    if (out->id != NULL) {
        return BT_OK;
    }
    BT_TRY(refuse_others(f, profile, err));
    f->place = "the credentials file";
    BT_TRY(
        static_keys(f, aws_credentials_file_get, f->profiles->credentials.path, profile, out, err));
    if (out->id == NULL && command != NULL) {
        f->place = "a credential_process";
        BT_TRY(aws_process_credentials(command, profile, out, err));
    }
    if (out->id == NULL) {
        f->place = "the config file";
        BT_TRY(static_keys(f, aws_config_get, f->profiles->config.path, profile, out, err));
    }
    return BT_OK;
}

static bt_status find(finder *f, aws_credentials *out, bt_error *err) {
    const aws_profiles *const profiles = f->profiles;
    f->place = "the environment";
    BT_TRY(from_env(out, err));
    if (out->id != NULL) {
        return BT_OK;
    }
    if (profiles->is_named && aws_profile_get(profiles, profiles->name, NULL) == NULL) {
        return BT_FAIL(
            err, BT_E_CONFIG,
            "AWS_PROFILE=%s: neither ~/.aws/config nor ~/.aws/credentials has that profile "
            "(AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name others)",
            profiles->name);
    }
    BT_TRY(find_of_profile(f, profiles->name, true, out, err));
    if (out->id == NULL) {
        f->place = "the container";
        BT_TRY(aws_container_credentials(out, err));
    }
    if (out->id == NULL) {
        f->place = "the instance metadata";
        BT_TRY(aws_machine_credentials(out, err));
    }
    return BT_OK;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    bool            is_found; /* or known to be none */
    aws_credentials now;
    double          renew_at;
} the; /* under lock */

static bool is_same(const aws_credentials *a, const aws_credentials *b) {
    return bt_str_equal(a->id, b->id) && bt_str_equal(a->secret, b->secret) &&
           bt_str_equal(a->token, b->token);
}

static bt_status renew(bt_error *err) {
    aws_profiles    profiles;
    aws_credentials made = {0};
    finder          f = {.profiles = &profiles};
    BT_TRY(aws_profiles_load(&profiles, err)); /* anew: another program may have written them */
    const bt_status rc = find(&f, &made, err);
    aws_profiles_deinit(&profiles);
    if (rc != BT_OK) {
        aws_credentials_deinit(&made);
        return bt_error_prefix(err, "s3://");
    }
    if (!the.is_found && made.id == NULL) {
        bt_log(BT_LOG_INFO,
               "s3://: no credentials found (the environment, ~/.aws, the container, the instance "
               "metadata): only public buckets can be read");
    } else if (!the.is_found) {
        bt_log(BT_LOG_DEBUG, "s3://: credentials of %s", f.place);
    }
    aws_credentials_deinit(&the.now);
    the.now = made;
    the.is_found = true;
    if (made.expires > 0) {
        const double left = made.expires - aws_time();
        the.renew_at = made.expires - (left > 2 * renew_before_seconds ? renew_before_seconds
                                       : left > 0                      ? left / 2
                                                                       : 0);
    }
    return BT_OK;
}

/* Those that still hold are good enough while the place that gives new ones is away. */
static bt_status renew_in_time(bt_error *err) {
    bt_error        problem = BT_ERROR_INIT;
    const bt_status rc = renew(&problem);
    if (rc == BT_OK || rc == BT_E_INTERRUPTED || aws_time() >= the.now.expires) {
        return rc == BT_OK ? rc : BT_FAIL(err, rc, "%s", problem.msg);
    }
    bt_log(BT_LOG_WARNING, "%s: the credentials in use are valid for another %.0f s", problem.msg,
           the.now.expires - aws_time());
    the.renew_at = aws_time() + try_again_seconds;
    the.renew_at = the.renew_at < the.now.expires ? the.renew_at : the.now.expires;
    return BT_OK;
}

bt_status aws_credentials_get(const aws_credentials *refused, aws_credentials *out, bt_error *err) {
    bt_status rc = BT_OK;
    *out = (aws_credentials){0};
    pthread_mutex_lock(&lock);
    if (!the.is_found || (refused != NULL && is_same(refused, &the.now))) {
        rc = renew(err);
    } else if (the.now.expires > 0 && aws_time() >= the.renew_at) {
        rc = renew_in_time(err);
    }
    if (rc == BT_OK) {
        rc = copy(&the.now, out, err);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}
