/* SPDX-License-Identifier: Apache-2.0
 *
 * ~/.aws/config and ~/.aws/credentials, read as botocore reads them: "[profile NAME]" in the one,
 * "[NAME]" in the other, which wins where both say something; indented lines below "s3 =" are
 * settings of s3. A line that cannot be read is an error that shows nothing of it: it may be a
 * secret. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws.h"
#include "bt/base/alloc.h"
#include "fs_internal.h"
#include "secrets.h"

enum { MAX_INI = 1 << 20, MAX_ENTRIES = 1 << 16, MAX_NAME = 256 };

static void forget(char *text) {
    if (text != NULL) {
        secrets_wipe(text, strlen(text));
        bt_free(text);
    }
}

static void deinit_file(aws_ini *file) {
    for (size_t i = 0; i < file->n; i++) {
        bt_free(file->entries[i].section);
        bt_free(file->entries[i].key);
        forget(file->entries[i].value);
    }
    bt_free(file->entries);
    bt_free(file->path);
    *file = (aws_ini){0};
}

void aws_profiles_deinit(aws_profiles *profiles) {
    deinit_file(&profiles->config);
    deinit_file(&profiles->credentials);
    bt_free(profiles->name);
    *profiles = (aws_profiles){0};
}

/* A copy without spaces at its ends. NULL: no memory. */
static char *trimmed(const char *text, size_t n) {
    while (n > 0 && isspace((unsigned char)text[n - 1])) {
        n--;
    }
    while (n > 0 && isspace((unsigned char)*text)) {
        text++;
        n--;
    }
    return bt_strndup(text, n);
}

static bt_status add_entry(aws_ini *file, const char *section, const char *outer, const char *key,
                           size_t n_key, const char *value, size_t n_value, bt_error *err) {
    bt_str path = BT_STR_INIT;
    BT_TRY(
        bt_grow(&file->entries, &file->cap, file->n + 1, sizeof *file->entries, MAX_ENTRIES, err));
    char *const name = trimmed(key, n_key);
    bt_status   rc = name == NULL ? BT_FAIL(err, BT_E_NOMEM, "out of memory for %s", file->path)
                                  : bt_str_appendf(&path, err, "%s%s%s", outer,
                                                 outer[0] != '\0' ? "." : "", name);
    bt_free(name);
    if (rc == BT_OK) {
        for (char *p = path.data; p != NULL && *p != '\0'; p++) {
            *p = (char)tolower((unsigned char)*p);
        }
        aws_ini_entry *const entry = &file->entries[file->n++];
        *entry = (aws_ini_entry){.section = bt_strdup(section),
                                 .key = bt_str_take(&path),
                                 .value = trimmed(value, n_value)};
        if (entry->section == NULL || entry->value == NULL) {
            rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for %s", file->path);
        }
    }
    bt_str_deinit(&path);
    return rc;
}

/* "[profile "a b"]" -> "profile a b" */
static bool take_section(const char *line, size_t n, char section[MAX_NAME]) {
    const char *const close = memchr(line, ']', n);
    const size_t      length = close != NULL ? (size_t)(close - line) - 1 : 0;
    size_t            made = 0;
    if (close == NULL || length >= MAX_NAME) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        const char c = line[1 + i] == '\t' ? ' ' : line[1 + i];
        const bool is_second_blank = c == ' ' && (made == 0 || section[made - 1] == ' ');
        if (c != '"' && c != '\'' && !is_second_blank) {
            section[made++] = c;
        }
    }
    while (made > 0 && section[made - 1] == ' ') {
        made--;
    }
    section[made] = '\0';
    return true;
}

static bt_status fail_line(const aws_ini *file, int line, bt_error *err) {
    return BT_FAIL(err, BT_E_CONFIG,
                   "%s:%d: expected '[section]' or 'key = value' (what is there is not shown: it "
                   "may be a secret)",
                   file->path, line);
}

typedef struct ini_state {
    char section[MAX_NAME];
    char outer[MAX_NAME]; /* the key that indented lines belong to */
    int  line;
} ini_state;

static bt_status take_line(aws_ini *file, ini_state *state, const char *line, size_t n,
                           bt_error *err) {
    const bool   is_indented = line[0] == ' ' || line[0] == '\t';
    const size_t n_blank = strspn(line, " \t");
    if (n_blank >= n || line[n_blank] == '#' || line[n_blank] == ';') {
        return BT_OK;
    }
    if (line[0] == '[') {
        state->outer[0] = '\0';
        return !take_section(line, n, state->section)
                   ? fail_line(file, state->line, err)
                   : add_entry(file, state->section, "", "", 0, "", 0, err); /* it is there */
    }
    size_t n_key = 0;
    while (n_key < n && line[n_key] != '=' && line[n_key] != ':') {
        n_key++;
    }
    if (n_key == n && is_indented && state->outer[0] != '\0') {
        return BT_OK; /* a value that goes on: of no key that is of use here */
    }
    if (n_key == n || n_key == n_blank || n_key >= MAX_NAME || state->section[0] == '\0') {
        return fail_line(file, state->line, err);
    }
    if (!is_indented) {
        (void)snprintf(state->outer, sizeof state->outer, "%.*s", (int)strcspn(line, " \t=:"),
                       line);
    }
    return add_entry(file, state->section, is_indented ? state->outer : "", line, n_key,
                     line + n_key + 1, n - n_key - 1, err);
}

static bt_status parse_file(aws_ini *file, const char *text, bt_error *err) {
    ini_state state = {.line = 1};
    while (*text != '\0') {
        const size_t n = strcspn(text, "\r\n");
        if (n > 0) {
            BT_TRY(take_line(file, &state, text, n, err));
        }
        text += n;
        text += text[0] == '\r' && text[1] == '\n' ? 2 : text[0] != '\0' ? 1 : 0;
        state.line++;
    }
    return BT_OK;
}

/* The path of an environment variable ("~/" is HOME), else HOME/usual; "" where there is no HOME.
 */
static bt_status append_path(bt_str *out, const char *variable, const char *usual, bt_error *err) {
    const char *const named = aws_env(variable);
    const char *const home = aws_env("HOME");
    if (named != NULL && strncmp(named, "~/", 2) != 0) {
        return bt_str_append(out, named, err);
    }
    return home == NULL
               ? BT_OK
               : bt_str_appendf(out, err, "%s/%s", home, named != NULL ? named + 2 : usual);
}

static bt_status load_file(aws_ini *file, const char *variable, const char *usual, bt_error *err) {
    bt_status  rc = BT_OK;
    bt_str     path = BT_STR_INIT;
    bt_fs_info info = {0};
    char      *text = NULL;
    size_t     n = 0;
    BT_CHECK(append_path(&path, variable, usual, err));
    if (path.len == 0 || bt_fs_is_remote(path.data)) {
        goto done;
    }
    BT_CHECK(bt_fs_stat(path.data, &info, err));
    if (info.kind != BT_FS_FILE) {
        goto done;
    }
    BT_CHECK(bt_fs_read_all(path.data, MAX_INI, &text, &n, err));
    file->path = bt_str_take(&path);
    BT_CHECK(parse_file(file, text, err));
done:
    if (text != NULL) {
        secrets_wipe(text, n);
    }
    bt_free(text);
    bt_str_deinit(&path);
    return rc;
}

bt_status aws_profiles_load(aws_profiles *out, bt_error *err) {
    bt_status         rc = BT_OK;
    const char *const named = aws_env("AWS_DEFAULT_PROFILE") != NULL
                                  ? aws_env("AWS_DEFAULT_PROFILE")
                                  : aws_env("AWS_PROFILE");
    *out = (aws_profiles){.is_named = named != NULL};
    out->name = bt_strdup(named != NULL ? named : "default");
    if (out->name == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a profile");
    }
    BT_CHECK(load_file(&out->config, "AWS_CONFIG_FILE", ".aws/config", err));
    BT_CHECK(load_file(&out->credentials, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", err));
done:
    if (rc != BT_OK) {
        aws_profiles_deinit(out);
    }
    return rc;
}

/* The last one counts. */
static const char *find(const aws_ini *file, const char *section, const char *key) {
    const char *value = NULL;
    for (size_t i = 0; i < file->n; i++) {
        if (strcmp(file->entries[i].section, section) == 0 &&
            (key == NULL || strcmp(file->entries[i].key, key) == 0)) {
            value = file->entries[i].value;
        }
    }
    return value;
}

const char *aws_config_get(const aws_profiles *profiles, const char *profile, const char *key) {
    char section[MAX_NAME + 16];
    (void)snprintf(section, sizeof section, "profile %s", profile);
    const char *const value = find(&profiles->config, section, key);
    return value != NULL || strcmp(profile, "default") != 0 ? value
                                                            : find(&profiles->config, profile, key);
}

const char *aws_credentials_file_get(const aws_profiles *profiles, const char *profile,
                                     const char *key) {
    return find(&profiles->credentials, profile, key);
}

const char *aws_profile_get(const aws_profiles *profiles, const char *profile, const char *key) {
    const char *const value = aws_credentials_file_get(profiles, profile, key);
    return value != NULL ? value : aws_config_get(profiles, profile, key);
}

const char *aws_services_get(const aws_profiles *profiles, const char *key) {
    const char *const services = aws_profile_get(profiles, profiles->name, "services");
    char              section[MAX_NAME + 16];
    if (services == NULL) {
        return NULL;
    }
    (void)snprintf(section, sizeof section, "services %s", services);
    return find(&profiles->config, section, key);
}
