/* SPDX-License-Identifier: Apache-2.0
 *
 * Paths: what is behind one, schemes, joining and splitting, and the sentences for paths that
 * cannot be read or written. */
#define _XOPEN_SOURCE 700 /* realpath */
#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "fs_internal.h"
#include "remote.h"

const char *fs_reason(int errnum, char buffer[FS_REASON_MAX]) {
    if (strerror_r(errnum, buffer, FS_REASON_MAX) != 0) {
        memcpy(buffer, "unknown error", sizeof "unknown error");
    }
    return buffer;
}

/* Length of "name" in "name://...", else 0. */
static size_t scheme_length(const char *path) {
    size_t n = 0;
    while (isalnum((unsigned char)path[n]) || (n > 0 && strchr("+.-", path[n]) && path[n] != 0)) {
        n++;
    }
    return n > 0 && strncmp(path + n, "://", 3) == 0 ? n : 0;
}

bt_status fs_check_local(const char *path, bt_error *err) {
    if (path == NULL || path[0] == '\0') {
        return BT_FAIL(err, BT_E_IO, "a file name is expected, but it is empty");
    }
    BT_TRY(remote_check(path, err));
    const size_t n = scheme_length(path);
    if (n > 0) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "%s: paths of scheme '%.*s://' are not supported: copy it to a local "
                       "folder and name that",
                       path, (int)n, path);
    }
    return BT_OK;
}

bool fs_is_served(const char *path) {
    return path != NULL && remote_store_of(path) != NULL;
}

bt_status fs_fail_read(const char *path, int errnum, bt_error *err) {
    char buffer[FS_REASON_MAX];
    if (errnum == ENOENT) {
        return BT_FAIL(err, BT_E_IO, "%s: no such file", path);
    }
    if (errnum == EISDIR) {
        return BT_FAIL(err, BT_E_IO, "%s is a folder, but a file is expected", path);
    }
    return BT_FAIL(err, bt_status_of_errno(errnum, BT_E_IO), "cannot read %s: %s", path,
                   fs_reason(errnum, buffer));
}

bt_status fs_fail_write(const char *path, const char *what, int errnum, bt_error *err) {
    char buffer[FS_REASON_MAX];
    return BT_FAIL(err, bt_status_of_errno(errnum, BT_E_RESOURCE), "cannot %s %s: %s", what, path,
                   fs_reason(errnum, buffer));
}

bt_status bt_fs_stat(const char *path, bt_fs_info *out, bt_error *err) {
    if (fs_is_served(path)) {
        return remote_stat(path, out, err);
    }
    BT_TRY(fs_check_local(path, err));
    struct stat st;
    if (stat(path, &st) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) {
            *out = (bt_fs_info){.kind = BT_FS_MISSING, .version = BT_FS_ANY_VERSION};
            return BT_OK;
        }
        return fs_fail_read(path, errno, err);
    }
    *out = (bt_fs_info){
        .kind = S_ISDIR(st.st_mode) ? BT_FS_FOLDER : BT_FS_FILE,
        .n_bytes = S_ISREG(st.st_mode) ? (int64_t)st.st_size : 0,
        .version = BT_FS_ANY_VERSION,
        .modified_unix = (double)st.st_mtim.tv_sec + 1e-9 * (double)st.st_mtim.tv_nsec,
    };
    return BT_OK;
}

bt_status bt_fs_look(const char *path, bool *is_there, bt_error *err) {
    bt_fs_info info = {0};
    *is_there = false;
    BT_TRY(bt_fs_stat(path, &info, err));
    *is_there = info.kind != BT_FS_MISSING;
    return BT_OK;
}

bool bt_fs_exists(const char *path) {
    bt_fs_info info = {0};
    return bt_fs_stat(path, &info, NULL) == BT_OK && info.kind != BT_FS_MISSING;
}

bt_status bt_fs_require_file(const char *path, int64_t *n_bytes, bt_error *err) {
    bt_fs_info info;
    BT_TRY(bt_fs_stat(path, &info, err));
    switch (info.kind) {
    case BT_FS_MISSING:
        return fs_fail_read(path, ENOENT, err);
    case BT_FS_FOLDER:
        return fs_fail_read(path, EISDIR, err);
    case BT_FS_FILE:
        BT_TRY(bt_fs_refuse_special(path, err));
        break;
    }
    if (!fs_is_served(path) && access(path, R_OK) != 0) {
        return fs_fail_read(path, errno, err);
    }
    if (n_bytes != NULL) {
        *n_bytes = info.n_bytes;
    }
    return BT_OK;
}

bt_status bt_fs_require_folder(const char *path, bt_error *err) {
    bt_fs_info info;
    BT_TRY(bt_fs_stat(path, &info, err));
    switch (info.kind) {
    case BT_FS_MISSING:
        return BT_FAIL(err, BT_E_IO, "%s: no such folder", path);
    case BT_FS_FILE:
        return BT_FAIL(err, BT_E_IO, "%s is a file, but a folder is expected", path);
    case BT_FS_FOLDER:
        break;
    }
    if (!fs_is_served(path) && access(path, R_OK | X_OK) != 0) {
        return fs_fail_read(path, errno, err);
    }
    return BT_OK;
}

bt_status bt_fs_join(const char *folder, const char *name, char **out, bt_error *err) {
    bt_str       s = BT_STR_INIT;
    const size_t n = strlen(folder);
    const char  *slash = n > 0 && folder[n - 1] != '/' ? "/" : "";
    bt_status    rc = bt_str_appendf(&s, err, "%s%s%s", folder, slash, name);
    if (rc == BT_OK) {
        *out = bt_str_take(&s);
        if (*out == NULL) { /* both were empty */
            *out = bt_strdup("");
            rc = *out != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
        }
    }
    bt_str_deinit(&s);
    return rc;
}

bt_status bt_fs_parent(const char *path, char **out, bt_error *err) {
    const char *const slash = strrchr(path, '/');
    if (slash == NULL) {
        *out = bt_strdup(".");
    } else {
        *out = bt_strndup(path, slash == path ? 1 : (size_t)(slash - path));
    }
    if (*out == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the folder of %s", path);
    }
    return BT_OK;
}

const char *bt_fs_basename(const char *path) {
    const char *const slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* The home of a user, or of this one (NULL); *home NULL: there is no such user. */
static bt_status find_home(const char *user, char **home, bt_error *err) {
    enum { ENTRY_BYTES = 16384 };
    struct passwd  entry;
    struct passwd *found = NULL;
    const char    *home_of_shell = user == NULL ? getenv("HOME") : NULL;
    if (home_of_shell != NULL) {
        *home = bt_strdup(home_of_shell);
        return *home != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
    }
    char *const buffer = bt_alloc(ENTRY_BYTES);
    if (buffer == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
    }
    const int why = user != NULL ? getpwnam_r(user, &entry, buffer, ENTRY_BYTES, &found)
                                 : getpwuid_r(getuid(), &entry, buffer, ENTRY_BYTES, &found);
    bt_status rc = BT_OK;
    if (found != NULL) {
        *home = bt_strdup(found->pw_dir);
    }
    if (why == ENOMEM || (found != NULL && *home == NULL)) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
    }
    bt_free(buffer);
    return rc;
}

bt_status bt_fs_expand_user(const char *path, char **out, bt_error *err) {
    bt_status rc = BT_OK;
    char     *user = NULL;
    char     *home = NULL;
    bt_str    text = BT_STR_INIT;
    *out = NULL;
    const size_t n_user = path[0] == '~' ? strcspn(path + 1, "/") : 0;
    const char  *rest = path;
    if (n_user > 0) {
        user = bt_strndup(path + 1, n_user);
        rc = user != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
    }
    if (rc == BT_OK && path[0] == '~') {
        BT_CHECK(find_home(user, &home, err));
    }
    BT_CHECK(rc);
    if (home != NULL) {
        rest = path + 1 + n_user;
        BT_CHECK(bt_str_append(&text, home, err));
    }
    BT_CHECK(bt_str_append(&text, rest, err));
    *out = text.len > 0 ? bt_str_take(&text) : bt_strdup("");
    rc = *out != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
done:
    bt_free(user);
    bt_free(home);
    bt_str_deinit(&text);
    return rc;
}

/* realpath() into our own memory; *out NULL: path, or a folder of it, is not there. */
static bt_status resolve(const char *path, char **out, bt_error *err) {
    errno = 0;
    char *const resolved = realpath(path, NULL); /* libc's memory: freed with free() */
    if (resolved == NULL) {
        return errno == ENOMEM ? BT_FAIL(err, BT_E_NOMEM, "out of memory for a path") : BT_OK;
    }
    *out = bt_strdup(resolved);
    free(resolved);
    return *out != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
}

/* Where a link that leads to nothing leads, or NULL: it is none. */
static bt_status read_link(const char *path, char **out, bt_error *err) {
    char          target[4096];
    bt_status     rc = BT_OK;
    char         *folder = NULL;
    const ssize_t n = readlink(path, target, sizeof target - 1);
    if (n < 0) {
        return BT_OK;
    }
    target[n] = '\0';
    BT_TRY(bt_fs_parent(path, &folder, err));
    if (target[0] == '/') {
        *out = bt_strdup(target);
        rc = *out != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
    } else {
        rc = bt_fs_join(folder, target, out, err);
    }
    bt_free(folder);
    return rc;
}

/* What is not there yet: its folder's canonical path, and its name. */
static bt_status resolve_missing(const char *path, int depth, char **out,
                                 bt_error *err) { /* NOLINT */
    enum { DEPTH_MAX = 40 };
    bt_status         rc = BT_OK;
    char             *folder = NULL;
    char             *above = NULL;
    char             *link = NULL;
    const char *const name = bt_fs_basename(path);
    BT_CHECK(resolve(path, out, err));
    if (*out != NULL) {
        goto done;
    }
    BT_CHECK(read_link(path, &link, err));
    if (link != NULL && depth < DEPTH_MAX) {
        BT_CHECK(resolve_missing(link, depth + 1, out, err));
        goto done;
    }
    BT_CHECK(bt_fs_parent(path, &folder, err));
    if (depth >= DEPTH_MAX || bt_str_equal(folder, path)) {
        *out = bt_strdup(path);
        rc = *out != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
        goto done;
    }
    BT_CHECK(resolve_missing(folder, depth + 1, &above, err));
    if (name[0] == '\0' || strcmp(name, ".") == 0) {
        *out = above;
        above = NULL;
    } else if (strcmp(name, "..") == 0) { /* of a folder that will be made, so no link */
        BT_CHECK(bt_fs_parent(above, out, err));
    } else {
        BT_CHECK(bt_fs_join(above, name, out, err));
    }
done:
    bt_free(folder);
    bt_free(above);
    bt_free(link);
    return rc;
}

bt_status bt_fs_canonical(const char *path, char **out, bt_error *err) {
    *out = NULL;
    if (fs_is_served(path) || scheme_length(path) > 0 || path[0] == '\0') {
        *out = bt_strdup(path);
        return *out != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
    }
    return resolve_missing(path, 0, out, err);
}
