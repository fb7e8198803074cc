/* SPDX-License-Identifier: Apache-2.0
 *
 * A file of the configuration, of this machine, of a store or built in: read and merged. */
#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/fs.h"
#include "conf_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* The end of what could be a secret in a URL: values do not hold these unquoted. */
static size_t secret_length(const char *text) {
    return strcspn(text, ", \t\r\n'\"");
}

/* A text of the command line as it may be shown, cut to its first bytes: what is before '@' in
 * a URL, and behind '?', may be a password or a signature. */
static void show_source(char *shown, size_t n_room, const char *text) {
    static const size_t max_shown = 100;
    size_t              n = 0;
    const char         *at = text;
    while (*at != '\0' && n < max_shown && n + 8 < n_room) {
        const bool   is_url = bt_str_starts_with(at, "://");
        const size_t n_host = is_url ? strcspn(at + 3, "/?, \t\r\n'\"") : 0;
        const char  *sign = is_url ? memchr(at + 3, '@', n_host) : NULL;
        if (sign != NULL) {
            n += (size_t)snprintf(shown + n, n_room - n, "://...");
            at = sign;
        } else if (*at == '?') {
            n += (size_t)snprintf(shown + n, n_room - n, "?...");
            at += secret_length(at);
        } else {
            shown[n++] = *at++;
        }
    }
    (void)snprintf(shown + n, n_room - n, "%s", *at != '\0' ? "..." : "");
}

bt_status conf_report_source(const conf_merge *merge, const char *flag, const char *text,
                             const char *what) {
    char shown[128];
    show_source(shown, sizeof shown, text);
    return bt_conf_errors_add(merge->errors, BT_CONF_ERROR, "", merge->err, "%s='%s': %s", flag,
                              shown, what);
}

/* In a store, or a pipe of this process (/dev/stdin): whoever waits for it can be stopped. */
static bt_status read_other_file(const char *path, bt_str *out, bt_error *err) {
    char  *text = NULL;
    size_t n = 0;
    BT_TRY(bt_fs_read_all(path, CONF_MAX_FILE_BYTES, &text, &n, err));
    const bt_status rc = bt_str_append_n(out, text, n, err);
    bt_free(text);
    return rc;
}

/* BT_E_CONFIG with the reason when it cannot be read. */
static bt_status read_file(const char *path, bt_str *out, bt_error *err) {
    struct stat st;
    if (bt_fs_is_remote(path)) {
        return read_other_file(path, out, err);
    }
    if (bt_fs_refuse_special(path, err) != BT_OK) {
        return BT_FAIL(err, BT_E_CONFIG, "%s",
                       "this is not a file, but a pipe, a socket or a device");
    }
    if (stat(path, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))) {
        return read_other_file(path, out, err);
    }
    FILE     *file = fopen(path, "rb");
    bt_status rc = BT_OK;
    char      block[4096];
    if (file == NULL) {
        return BT_FAIL(err, bt_status_of_errno(errno, BT_E_CONFIG), "%s", strerror(errno));
    }
    if (fstat(fileno(file), &st) != 0 || S_ISDIR(st.st_mode)) {
        rc = BT_FAIL(err, BT_E_CONFIG, "this is a folder; a YAML file is expected");
        goto done;
    }
    for (size_t n = fread(block, 1, sizeof(block), file); n > 0;
         n = fread(block, 1, sizeof(block), file)) {
        if (out->len + n > CONF_MAX_FILE_BYTES) {
            rc = BT_FAIL(err, BT_E_CONFIG, "larger than %d bytes: this is not a configuration",
                         CONF_MAX_FILE_BYTES);
            goto done;
        }
        BT_CHECK(bt_str_append_n(out, block, n, err));
    }
    if (ferror(file) != 0) {
        rc = BT_FAIL(err, BT_E_CONFIG, "%s", strerror(errno));
    }
done:
    (void)fclose(file);
    return rc;
}

/* Is there something that can be read? A folder of the name of a built-in one is not. */
static bool is_real(const char *path) {
    struct stat st;
    return bt_fs_is_remote(path) || (stat(path, &st) == 0 && !S_ISDIR(st.st_mode));
}

/* What there is under that name, and what an origin calls it. */
typedef struct file_text {
    conf_source_kind kind;
    const char      *label; /* of a file its path */
    char             name[CONF_MAX_PATH];
    bt_str           text;
    bool             is_stranger; /* something else that is known, not YAML */
} file_text;

/* A file wins over what is built in under its name: who wrote no .yaml may have meant the other. */
static bt_status find_text(const char *flag, const char *path, file_text *out, bt_error *err) {
    size_t                index = 0;
    const bool            is_builtin = bt_conf_builtin_find(path, &index);
    const bt_conf_builtin builtin = bt_conf_builtin_at(index);
    if (is_builtin && !is_real(out->label)) {
        bt_log(BT_LOG_INFO, "%s=%s: there is no such file; what is built in as %s is taken", flag,
               path, builtin.name);
        (void)snprintf(out->name, sizeof out->name, "built-in:%s", builtin.name);
        out->kind = SOURCE_BUILTIN;
        out->label = out->name;
        return bt_str_append(&out->text, builtin.text, err);
    }
    if (is_builtin && strstr(path, ".yaml") == NULL) {
        bt_log(BT_LOG_INFO, "%s=%s: the file of that name is taken, not %s, which is built in",
               flag, path, builtin.name);
    }
    BT_TRY(read_file(out->label, &out->text, err));
    out->is_stranger =
        bt_fs_refuse_stranger(out->label, bt_str_text(&out->text), out->text.len, err) != BT_OK;
    return out->is_stranger ? BT_E_FORMAT : BT_OK;
}

static bt_status report_unread(const conf_merge *merge, const char *flag, const char *path,
                               const char *why_not, const char *why) {
    char              what[BT_ERROR_MSG_MAX];
    struct stat       st;
    const char *const near =
        strchr(path, '=') == NULL && stat(path, &st) != 0 ? conf_builtin_nearest(path) : NULL;
    if (strchr(path, '=') != NULL) {
        (void)snprintf(what, sizeof what, "this is neither name=value (%.300s) nor a file (%.300s)",
                       why_not, why);
    } else if (near != NULL) {
        (void)snprintf(what, sizeof what,
                       "%.300s; built in is %s, did you mean that? (--list_configs)", why, near);
    } else {
        (void)snprintf(what, sizeof what, "%.600s", why);
    }
    return conf_report_source(merge, flag, path, what);
}

static bt_status merge_yaml(const conf_merge *merge, const char *path, const file_text *file) {
    bt_error   why = BT_ERROR_INIT;
    conf_value value;
    int32_t    source = 0;
    BT_TRY(conf_add_source(merge->conf, file->kind, file->label, &source, merge->err));
    const bt_status rc =
        conf_yaml_load(merge->conf, bt_str_text(&file->text), file->text.len, source, &value, &why);
    if (rc == BT_E_CONFIG) {
        return bt_conf_errors_add(merge->errors, BT_CONF_ERROR, "", merge->err, "%.300s: %.600s",
                                  path, why.msg);
    }
    if (rc != BT_OK) {
        return BT_FAIL(merge->err, rc, "%s", why.msg);
    }
    if (value.kind == K_NULL && bt_str_equal(bt_fs_basename(path), BT_CONF_OURS_NAME)) {
        return BT_OK; /* no key of ours */
    }
    if (value.kind != K_MAP) {
        char got[BT_CONF_ORIGIN_MAX];
        return bt_conf_errors_add(merge->errors, BT_CONF_ERROR, "", merge->err,
                                  "%.300s: expected a mapping of keys, got %s", path,
                                  value.kind == K_NULL ? "an empty file"
                                                       : conf_describe(&value, got));
    }
    return conf_merge_map(merge, merge->conf->root, &value, "");
}

static bool is_params(const char *path) {
    return bt_str_equal(bt_fs_basename(path), BT_CONF_PARAMS_NAME);
}

/* params.yaml and the file beside it are written together: they are read together. */
static bt_status settle_params(const char *path, bt_error *err) {
    char *folder = NULL;
    if (!is_params(path)) {
        return BT_OK;
    }
    BT_TRY(bt_fs_parent(path, &folder, err));
    const bt_status rc = bt_fs_settle_commits(folder, err);
    bt_free(folder);
    return rc;
}

/* The file with our own keys beside a params.yaml that holds text. */
static bt_status merge_ours(const conf_merge *merge, const char *flag, const char *path,
                            const bt_str *text) {
    bt_status rc = BT_OK;
    char     *folder = NULL;
    char     *ours = NULL;
    bool      is_there = false;
    BT_CHECK(bt_fs_parent(path, &folder, merge->err));
    BT_CHECK(bt_fs_join(folder, BT_CONF_OURS_NAME, &ours, merge->err));
    BT_CHECK(bt_fs_look(ours, &is_there, merge->err));
    if (is_there) {
        rc = conf_merge_file(merge, flag, ours, "");
    } else if (bt_str_starts_with(bt_str_text(text), CONF_OURS_MARK)) {
        rc = bt_conf_errors_add(merge->errors, BT_CONF_ERROR, "", merge->err,
                                "%.300s: some of its keys are in %s, says its first line, but "
                                "there is no such file beside it: copy it too, or remove that line "
                                "to take the defaults for them",
                                path, BT_CONF_OURS_NAME);
    }
done:
    bt_free(folder);
    bt_free(ours);
    return rc;
}

bt_status conf_merge_file(const conf_merge *merge, const char *flag, const char *path,
                          const char *why_not) {
    bt_error  why = BT_ERROR_INIT;
    char     *expanded = NULL;
    file_text file = {.kind = SOURCE_FILE, .text = BT_STR_INIT};
    bt_status rc = BT_OK;
    BT_CHECK(bt_fs_expand_user(path, &expanded, merge->err));
    BT_CHECK(settle_params(expanded, merge->err));
    file.label = expanded;
    rc = find_text(flag, path, &file, &why);
    if (rc == BT_E_CONFIG) {
        rc = report_unread(merge, flag, path, why_not, why.msg);
    } else if (file.is_stranger) {
        rc = bt_conf_errors_add(merge->errors, BT_CONF_ERROR, "", merge->err, "%s", why.msg);
    } else if (rc != BT_OK) {
        rc = BT_FAIL(merge->err, rc, "%s", why.msg);
    } else {
        BT_CHECK(merge_yaml(merge, path, &file));
        rc = file.kind == SOURCE_FILE && is_params(expanded)
                 ? merge_ours(merge, flag, expanded, &file.text)
                 : BT_OK;
    }
done:
    bt_str_deinit(&file.text);
    bt_free(expanded);
    return rc;
}
