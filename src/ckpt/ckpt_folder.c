/* SPDX-License-Identifier: Apache-2.0
 *
 * A folder of checkpoints as files: names, listings, removal, and the `checkpoint` file however it
 * was left. */
#include "ckpt_folder.h"
#include "bt/base/alloc.h"
#include "bt/base/number.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const size_t state_max_bytes = (size_t)1 << 26;

bool ckpt_parse_name(const char *name, const char *family, int64_t *number) {
    const char *const dash = strrchr(name, '-');
    int64_t           value = 0;
    if (dash == NULL || dash == name || name[0] == '.' || strpbrk(name, "/\\") != NULL) {
        return false;
    }
    const char *const digits = dash + 1;
    const size_t      n = strspn(digits, "0123456789");
    if (n == 0 || digits[n] != '\0' || (digits[0] == '0' && n > 1) ||
        !bt_parse_i64(digits, &value)) {
        return false;
    }
    if (family != NULL && (strlen(family) != (size_t)(dash - name) ||
                           strncmp(name, family, (size_t)(dash - name)) != 0)) {
        return false;
    }
    if (number != NULL) {
        *number = value;
    }
    return true;
}

bt_status ckpt_list(const char *folder, bt_fs_names *listing, bt_error *err) {
    bt_fs_info info = {0};
    BT_TRY(bt_fs_stat(folder, &info, err));
    *listing = (bt_fs_names)BT_FS_NAMES_INIT;
    return info.kind == BT_FS_FOLDER ? bt_fs_list(folder, listing, err) : BT_OK;
}

/* The first name that is not before text. */
static size_t lower_bound(const bt_fs_names *listing, const char *text) {
    size_t low = 0;
    size_t high = listing->n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (strcmp(listing->items[middle], text) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool has(const bt_fs_names *listing, const char *name) {
    const size_t i = lower_bound(listing, name);
    return i < listing->n && strcmp(listing->items[i], name) == 0;
}

bool ckpt_has_index(const bt_fs_names *listing, const char *name) {
    char      file[BT_CKPT_PATH_MAX];
    const int n = snprintf(file, sizeof file, "%s.index", name);
    return n > 0 && (size_t)n < sizeof file && has(listing, file);
}

/* "ckpt-12.data-00000-of-00001" -> 7, the length of the name; 0: no shard. */
static size_t shard_stem(const char *file) {
    int         end = 0;
    int         shard = 0;
    int         count = 0;
    const char *found = strstr(file, ".data-");
    if (found == NULL || sscanf(found, ".data-%5d-of-%5d%n", &shard, &count, &end) != 2 ||
        found[end] != '\0') {
        return 0;
    }
    return (size_t)(found - file);
}

/* Its shards are listing->items[*first .. *first + n). */
static size_t find_shards(const bt_fs_names *listing, const char *name, size_t *first) {
    char      start[BT_CKPT_PATH_MAX];
    const int length = snprintf(start, sizeof start, "%s.data-", name);
    size_t    n = 0;
    *first = 0;
    if (length <= 0 || (size_t)length >= sizeof start) {
        return 0;
    }
    *first = lower_bound(listing, start);
    while (*first + n < listing->n && bt_str_starts_with(listing->items[*first + n], start)) {
        n++;
    }
    return n;
}

bool ckpt_has_files(const bt_fs_names *listing, const char *name) {
    size_t first = 0;
    if (ckpt_has_index(listing, name)) {
        return true;
    }
    for (size_t i = find_shards(listing, name, &first); i > 0; i--) {
        if (shard_stem(listing->items[first + i - 1]) == strlen(name)) {
            return true;
        }
    }
    return false;
}

static int compare_descending(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a;
    const int64_t y = *(const int64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* Is that file the index of a checkpoint of the family, or, where indexes are not what is looked
 * for, a first shard that has none? */
static bool has_number(const bt_fs_names *listing, const char *file, const char *family,
                       bool with_index, int64_t *number) {
    char         name[BT_CKPT_PATH_MAX];
    const size_t n_file = strlen(file);
    size_t       n = shard_stem(file);
    if (with_index) {
        n = bt_str_ends_with(file, ".index") ? n_file - strlen(".index") : 0;
    }
    if (n == 0 || n >= sizeof name) {
        return false;
    }
    (void)snprintf(name, sizeof name, "%.*s", (int)n, file);
    return ckpt_parse_name(name, family, number) && (with_index || !ckpt_has_index(listing, name));
}

bt_status ckpt_list_numbers(const bt_fs_names *listing, const char *family, bool with_index,
                            int64_t **numbers, size_t *n, bt_error *err) {
    int64_t *list = bt_alloc_array(listing->n + 1, sizeof *list);
    size_t   n_list = 0;
    size_t   n_different = 0;
    if (list == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for %zu names of checkpoints", listing->n);
    }
    for (size_t i = 0; i < listing->n; i++) {
        n_list += has_number(listing, listing->items[i], family, with_index, &list[n_list]);
    }
    if (n_list > 1) {
        qsort(list, n_list, sizeof *list, compare_descending);
    }
    for (size_t i = 0; i < n_list; i++) { /* several shards have one number */
        if (n_different == 0 || list[n_different - 1] != list[i]) {
            list[n_different++] = list[i];
        }
    }
    *numbers = list;
    *n = n_different;
    return BT_OK;
}

static bt_status remove_file(const char *folder, const char *file, bt_error *err) {
    char *path = NULL;
    BT_TRY(bt_fs_join(folder, file, &path, err));
    const bt_status rc = bt_fs_remove(path, err);
    bt_free(path);
    return rc;
}

bt_status ckpt_remove_files(const char *folder, const bt_fs_names *listing, const char *name,
                            bt_error *err) {
    char   index[BT_CKPT_PATH_MAX];
    size_t first = 0;
    if (ckpt_has_index(listing, name)) {
        (void)snprintf(index, sizeof index, "%s.index", name);
        BT_TRY(remove_file(folder, index, err));
    }
    const size_t n = find_shards(listing, name, &first);
    for (size_t i = first; i < first + n; i++) {
        if (shard_stem(listing->items[i]) == strlen(name)) {
            BT_TRY(remove_file(folder, listing->items[i], err));
        }
    }
    return BT_OK;
}

static bool is_kept_number_free(const bt_fs_names *listing, const char *name, int k) {
    char         suffix[32];
    char         start[BT_CKPT_PATH_MAX];
    const size_t n = (size_t)snprintf(start, sizeof start, "%s.", name);
    (void)snprintf(suffix, sizeof suffix, ".kept-%d", k);
    for (size_t i = lower_bound(listing, start);
         i < listing->n && strncmp(listing->items[i], start, n) == 0; i++) {
        if (bt_str_ends_with(listing->items[i], suffix)) {
            return false;
        }
    }
    return true;
}

static bt_status keep_file(const char *folder, const char *file, int k, bt_error *err) {
    bt_status rc = BT_OK;
    char     *path = NULL;
    bt_str    kept = BT_STR_INIT;
    BT_CHECK(bt_fs_join(folder, file, &path, err));
    BT_CHECK(bt_str_appendf(&kept, err, "%s.kept-%d", path, k));
    BT_CHECK(bt_fs_move(path, bt_str_text(&kept), err));
done:
    bt_free(path);
    bt_str_deinit(&kept);
    return rc;
}

bt_status ckpt_keep_aside(const char *folder, const bt_fs_names *listing, const char *name,
                          bt_error *err) {
    char   index[BT_CKPT_PATH_MAX];
    size_t first = 0;
    int    k = 1;
    while (!is_kept_number_free(listing, name, k)) {
        k++;
    }
    if (ckpt_has_index(listing, name)) {
        (void)snprintf(index, sizeof index, "%s.index", name);
        BT_TRY(keep_file(folder, index, k, err));
    }
    const size_t n = find_shards(listing, name, &first);
    for (size_t i = first; i < first + n; i++) {
        if (shard_stem(listing->items[i]) == strlen(name)) {
            BT_TRY(keep_file(folder, listing->items[i], k, err));
        }
    }
    return BT_OK;
}

bt_status ckpt_absolute(const char *folder, const char *path, char **out, bt_error *err) {
    if (path[0] != '/' && !bt_fs_is_remote(path)) {
        return bt_fs_join(folder, path, out, err);
    }
    *out = bt_strdup(path);
    return *out != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
}

void ckpt_state_file_deinit(ckpt_state_file *file) {
    bt_ckpt_state_deinit(&file->state);
    bt_free(file->text);
    *file = (ckpt_state_file){0};
}

static bt_status read_text(const char *path, ckpt_state_file *out, bt_error *err) {
    bt_fs_info info = {0};
    BT_TRY(bt_fs_stat(path, &info, err));
    out->version = info.version;
    if (info.kind == BT_FS_MISSING) {
        return BT_OK;
    }
    BT_TRY(bt_fs_read_all(path, state_max_bytes, &out->text, &out->n_bytes, err));
    BT_TRY(bt_ckpt_state_parse(out->text, out->n_bytes, path, &out->state, err));
    out->kind = out->state.latest != NULL && out->state.latest[0] != '\0' ? CKPT_STATE_NAMES
                                                                          : CKPT_STATE_EMPTY;
    return BT_OK;
}

bt_status ckpt_read_state_file(const char *folder, ckpt_state_file *out, bt_error *err) {
    char *path = NULL;
    *out = (ckpt_state_file){.problem = BT_ERROR_INIT};
    BT_TRY(bt_fs_join(folder, BT_CKPT_STATE_NAME, &path, err));
    const bt_status rc = read_text(path, out, &out->problem);
    bt_free(path);
    if (rc == BT_OK) {
        return BT_OK;
    }
    bt_free(out->text);
    out->text = NULL;
    out->n_bytes = 0;
    if (rc == BT_E_FORMAT || rc == BT_E_IO) {
        out->kind = CKPT_STATE_UNREADABLE;
        return BT_OK;
    }
    if (err != NULL) {
        *err = out->problem;
    }
    return rc;
}
