/* SPDX-License-Identifier: Apache-2.0
 *
 * The files of a safetensors checkpoint: one, or several that an index names as Hugging Face's
 * libraries write it ({"weight_map": {tensor: file}}). A name in the index is a file of the same
 * folder and nothing else. */
#include <jansson.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/fs.h"
#include "ckpt_internal.h"

enum { INDEX_MAX_BYTES = 1 << 26, MAX_FILES = 10000 };
static const char index_tail[] = ".safetensors.index.json";

bool ckpt_is_safetensors(const char *path) {
    return bt_str_ends_with(path, ".safetensors") || bt_str_ends_with(path, index_tail);
}

void ckpt_close_st_files(bt_ckpt *ckpt) {
    for (size_t i = 0; i < ckpt->n_st_files; i++) {
        bt_safetensors_close(ckpt->st_files[i]);
    }
    bt_free(ckpt->st_files);
    bt_free(ckpt->st_places);
}

static bt_status open_one(bt_ckpt *ckpt, const char *path, size_t *cap, bt_error *err) {
    BT_TRY(bt_grow(&ckpt->st_files, cap, ckpt->n_st_files + 1, sizeof(bt_safetensors *), MAX_FILES,
                   err));
    BT_TRY(bt_safetensors_open(path, &ckpt->st_files[ckpt->n_st_files], err));
    ckpt->n_st_files++;
    return BT_OK;
}

static bool is_plain_name(const char *name) {
    return name[0] != '\0' && name[0] != '.' && strpbrk(name, "/\\") == NULL &&
           bt_str_ends_with(name, ".safetensors");
}

/* One of the files that the index names, unless it is open already: *file is its place. */
static bt_status open_named(bt_ckpt *ckpt, const char *folder, const char *name, bt_map *seen,
                            size_t *cap, int64_t *file, bt_error *err) {
    char *path = NULL;
    if (name == NULL || !is_plain_name(name)) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: names '%.100s', which is not a *.safetensors file beside it",
                       ckpt->path, name != NULL ? name : "?");
    }
    if (bt_map_get(seen, name, strlen(name), file)) {
        return BT_OK;
    }
    *file = (int64_t)ckpt->n_st_files;
    BT_TRY(bt_map_put(seen, name, strlen(name), *file, err));
    BT_TRY(bt_fs_join(folder, name, &path, err));
    const bt_status rc = open_one(ckpt, path, cap, err);
    bt_free(path);
    return rc;
}

static bt_status open_all(bt_ckpt *ckpt, const json_t *map, size_t *cap, bt_error *err) {
    bt_status   rc = BT_OK;
    bt_map     *seen = NULL;
    char       *folder = NULL;
    const char *tensor = NULL;
    json_t     *name = NULL;
    int64_t     file = 0;
    BT_CHECK(bt_map_create(&seen, 16, err));
    BT_CHECK(bt_fs_parent(ckpt->path, &folder, err));
    json_object_foreach((json_t *)(uintptr_t)map, tensor, name) {
        BT_CHECK(open_named(ckpt, folder, json_string_value(name), seen, cap, &file, err));
        /* a file of another set of weights would else be used for what it has */
        if (bt_safetensors_find(ckpt->st_files[file], tensor) == NULL) {
            rc = BT_FAIL(err, BT_E_FORMAT,
                         "%s: %s holds no tensor %.200s, which the index says it holds: the files "
                         "are not those of this index; fetch them again",
                         ckpt->path, json_string_value(name), tensor);
            goto done;
        }
    }
done:
    bt_map_free(seen);
    bt_free(folder);
    return rc;
}

bt_status ckpt_open_st_files(bt_ckpt *ckpt, bt_error *err) {
    size_t cap = 0;
    if (!bt_str_ends_with(ckpt->path, index_tail)) {
        return open_one(ckpt, ckpt->path, &cap, err);
    }
    char        *text = NULL;
    size_t       n = 0;
    json_error_t problem;
    BT_TRY(bt_fs_read_all(ckpt->path, INDEX_MAX_BYTES, &text, &n, err));
    json_t       *root = NULL;
    bt_status     rc = bt_json_load(text, n, 0, &root, &problem, err);
    json_t *const map = json_object_get(root, "weight_map");
    if (rc != BT_OK) {
        rc = bt_error_prefix(err, "%s", ckpt->path);
    } else if (root == NULL || json_object_size(map) == 0) {
        rc = BT_FAIL(err, BT_E_FORMAT, "%s: no index of safetensors files: %s", ckpt->path,
                     root == NULL ? problem.text : "it has no weight_map");
    } else {
        rc = open_all(ckpt, map, &cap, err);
    }
    json_decref(root);
    bt_free(text);
    return rc;
}
