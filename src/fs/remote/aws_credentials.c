/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose requests these are: AWS_ACCESS_KEY_ID and its fellows, then the file of
 * AWS_SHARED_CREDENTIALS_FILE or ~/.aws/credentials (AWS_PROFILE), then nobody's (public buckets).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws.h"
#include "fs_internal.h"
#include "secrets.h"

enum { MAX_INI = 1 << 20 };

const char *aws_env(const char *name) {
    const char *const value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

const char *aws_region(void) {
    const char *const name =
        aws_env("AWS_REGION") != NULL ? aws_env("AWS_REGION") : aws_env("AWS_DEFAULT_REGION");
    return name != NULL ? name : "us-east-1";
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
        return BT_FAIL(
            err, BT_E_CONFIG,
            "%s: an access key, secret or session token that is empty or holds blanks or "
            "other characters that none has",
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

/* "key = value" lines of "[profile]". */
static bool find_in_ini(const char *text, const char *profile, const char *key, char *value,
                        size_t cap) {
    bool inside = false;
    for (const char *line = text; *line != '\0';) {
        const size_t n = strcspn(line, "\r\n");
        const size_t n_profile = strlen(profile);
        const size_t n_key = strlen(key);
        if (line[0] == '[') {
            inside = n == n_profile + 2 && strncmp(line + 1, profile, n_profile) == 0;
        } else if (inside && strncmp(line, key, n_key) == 0) {
            const char *p = line + n_key;
            p += strspn(p, " \t");
            if (*p == '=') {
                p += 1 + strspn(p + 1, " \t");
                const size_t n_value = strcspn(p, " \t\r\n");
                if (n_value > 0 && n_value < cap) {
                    memcpy(value, p, n_value);
                    value[n_value] = '\0';
                    return true;
                }
            }
        }
        line += n;
        line += strspn(line, "\r\n");
    }
    return false;
}

static bt_status read_file(aws_credentials *out, bt_error *err) {
    const char *const home = aws_env("HOME");
    const char *const file = aws_env("AWS_SHARED_CREDENTIALS_FILE");
    const char *const profile = aws_env("AWS_PROFILE") != NULL ? aws_env("AWS_PROFILE") : "default";
    char              id[256] = "";
    char              secret[256] = "";
    char              token[4096] = "";
    char              path[1024];
    char             *text = NULL;
    size_t            n = 0;
    bt_status         rc = BT_OK;
    (void)snprintf(path, sizeof path, "%s%s",
                   file != NULL   ? file
                   : home != NULL ? home
                                  : "",
                   file != NULL ? "" : "/.aws/credentials");
    if (fs_is_served(path) || !bt_fs_exists(path)) {
        return BT_OK;
    }
    BT_TRY(bt_fs_read_all(path, MAX_INI, &text, &n, err));
    if (find_in_ini(text, profile, "aws_access_key_id", id, sizeof id) &&
        find_in_ini(text, profile, "aws_secret_access_key", secret, sizeof secret)) {
        (void)find_in_ini(text, profile, "aws_session_token", token, sizeof token);
        rc = aws_credentials_set(out, id, secret, token, path, err);
    }
    secrets_wipe(text, n);
    secrets_wipe(secret, sizeof secret);
    bt_free(text);
    return rc;
}

bt_status aws_credentials_get(bool refused, aws_credentials *out, bt_error *err) {
    (void)refused;
    if (aws_env("AWS_ACCESS_KEY_ID") != NULL && aws_env("AWS_SECRET_ACCESS_KEY") != NULL) {
        return aws_credentials_set(out, aws_env("AWS_ACCESS_KEY_ID"),
                                   aws_env("AWS_SECRET_ACCESS_KEY"), aws_env("AWS_SESSION_TOKEN"),
                                   "AWS_ACCESS_KEY_ID", err);
    }
    return read_file(out, err);
}
