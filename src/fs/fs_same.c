/* SPDX-License-Identifier: Apache-2.0
 *
 * Is it the same file, by whatever spelling or link? Before a run writes over what it reads, or
 * over its other output. */
#include <fnmatch.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "fs_internal.h"

bt_status bt_fs_check_distinct(const bt_fs_named *files, size_t n, bt_error *err) {
    enum { MAX_FILES = 8 };
    char     *canonical[MAX_FILES] = {NULL};
    bt_status rc = BT_OK;
    BT_ASSERT(n <= MAX_FILES);
    for (size_t i = 0; i < n; i++) {
        BT_CHECK(bt_fs_canonical(files[i].path, &canonical[i], err));
        for (size_t k = 0; k < i; k++) {
            if (bt_str_equal(canonical[k], canonical[i])) {
                rc = BT_FAIL(err, BT_E_CONFIG,
                             "%s %s and %s %s are the same file: give each a path of its own",
                             files[k].what, files[k].path, files[i].what, files[i].path);
                goto done;
            }
        }
    }
done:
    for (size_t i = 0; i < n; i++) {
        bt_free(canonical[i]);
    }
    return rc;
}

static bool is_one_of(const char *name, const char *const *patterns) {
    for (size_t i = 0; patterns != NULL && patterns[i] != NULL; i++) {
        if (fnmatch(patterns[i], name, 0) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_file(const char *path) {
    bt_fs_info info = {0};
    return bt_fs_stat(path, &info, NULL) == BT_OK && info.kind == BT_FS_FILE;
}

/* output and input are canonical. */
static bool is_read(const char *output, const char *input, const char *const *names) {
    const size_t n = strlen(input);
    if (strncmp(output, input, n) != 0) {
        return false;
    }
    const char *const rest = output + n;
    const bool        is_of_prefix =
        bt_str_starts_with(rest, ".index") || bt_str_starts_with(rest, ".data-");
    return is_of_prefix || (rest[0] == '\0' && is_file(input)) ||
           (rest[0] == '/' && is_one_of(bt_fs_basename(rest), names));
}

bt_status bt_fs_check_not_read(const bt_fs_named *output, const bt_fs_named *input,
                               const char *const *names, bt_error *err) {
    bt_status rc = BT_OK;
    char     *from = NULL;
    char     *to = NULL;
    BT_CHECK(bt_fs_canonical(output->path, &to, err));
    BT_CHECK(bt_fs_canonical(input->path, &from, err));
    if (is_read(to, from, names)) {
        rc = BT_FAIL(err, BT_E_CONFIG,
                     "%s %s would be written over what this run reads (%s %s): name another file",
                     output->what, output->path, input->what, input->path);
    }
done:
    bt_free(from);
    bt_free(to);
    return rc;
}
