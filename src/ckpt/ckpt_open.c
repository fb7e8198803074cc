/* SPDX-License-Identifier: Apache-2.0
 *
 * Opens a checkpoint by whatever the user names: a prefix, a folder, or any of the files; finds out
 * its layout and lists its tensors. */
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "bt/fs.h"
#include "ckpt_internal.h"

const char *bt_ckpt_layout_name(bt_ckpt_layout layout) {
    switch (layout) {
    case BT_CKPT_TF1:
        return "TF1 name-based";
    case BT_CKPT_TF2:
        return "TF2 object-based";
    case BT_CKPT_SAFETENSORS:
        return "safetensors";
    }
    return "unknown";
}

/* "X.data-00000-of-00001" -> "X"; NULL when path is no such name. The caller frees. */
static char *strip_data_suffix(const char *path) {
    const char *found = NULL;
    for (const char *at = strstr(path, ".data-"); at != NULL; at = strstr(at + 1, ".data-")) {
        found = at;
    }
    int end = 0;
    int shard = 0;
    int count = 0;
    if (found == NULL || sscanf(found, ".data-%5d-of-%5d%n", &shard, &count, &end) != 2 ||
        found[end] != '\0') {
        return NULL;
    }
    return bt_strndup(path, (size_t)(found - path));
}

static bt_status has_index(const char *prefix, bool *out, bt_error *err) {
    char      path[4096];
    const int n = snprintf(path, sizeof path, "%s.index", prefix);
    *out = false;
    return n > 0 && (size_t)n < sizeof path ? bt_fs_look(path, out, err) : BT_OK;
}

/* What a folder may hold, and what is then opened in it. */
static const struct {
    const char *holds;
    const char *opens;
} folder_rows[] = {
    {"model.safetensors", "model.safetensors"},
    {"model.safetensors.index.json", "model.safetensors.index.json"},
    {"saved_model.pb", "variables/variables"},
};

/* *out stays NULL when none of the rows is there. */
static bt_status look_for_rows(const char *folder, char **out, bt_error *err) {
    for (size_t i = 0; i < BT_ARRAY_LEN(folder_rows) && *out == NULL; i++) {
        char *path = NULL;
        BT_TRY(bt_fs_join(folder, folder_rows[i].holds, &path, err));
        bool            there = false;
        const bt_status rc = bt_fs_look(path, &there, err);
        bt_free(path);
        BT_TRY(rc);
        if (there) {
            return bt_fs_join(folder, folder_rows[i].opens, out, err);
        }
    }
    return BT_OK;
}

/* A folder: its `checkpoint` file says which; else one of the rows; else the one *.index. */
static bt_status resolve_folder(const char *folder, char **out, bt_error *err) {
    bt_status   rc = BT_OK;
    char       *path = NULL;
    bt_fs_names names = BT_FS_NAMES_INIT;
    BT_CHECK(bt_ckpt_latest(folder, out, err));
    if (*out == NULL) {
        BT_CHECK(look_for_rows(folder, out, err));
    }
    if (*out != NULL) {
        goto done;
    }
    BT_CHECK(bt_fs_join(folder, "*.index", &path, err));
    BT_CHECK(bt_fs_glob(path, &names, err));
    if (names.n == 0) {
        BT_CHECK(ckpt_refuse_folder(folder, err));
    }
    if (names.n != 1) {
        rc =
            BT_FAIL(err, BT_E_IO,
                    "%s: a folder with no `checkpoint` file, no model.safetensors, no "
                    "saved_model.pb and %zu *.index files: name the checkpoint itself (its prefix)",
                    folder, names.n);
        goto done;
    }
    *out = bt_strndup(names.items[0], strlen(names.items[0]) - strlen(".index"));
    if (*out == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
    }
done:
    bt_free(path);
    bt_fs_names_deinit(&names);
    return rc;
}

/* path (X.index, X.data-..., X or another file) means the checkpoint prefix, which has no index. */
static bt_status refuse_missing(const char *path, const char *prefix, bt_fs_kind kind,
                                bt_error *err) {
    return kind == BT_FS_FILE && strcmp(path, prefix) == 0
               ? ckpt_refuse_file(path, err)
               : BT_FAIL(err, BT_E_IO,
                         "%s: no such checkpoint: there is neither a file or folder of that name "
                         "nor %s.index",
                         path, prefix);
}

/* The prefix or safetensors file that path means. */
static bt_status resolve(const char *path, char **out, bt_error *err) {
    bt_fs_info info = {0};
    bool       is_indexed = false;
    BT_TRY(bt_fs_stat(path, &info, err));
    if (info.kind == BT_FS_FOLDER) {
        return resolve_folder(path, out, err);
    }
    const bool is_state =
        info.kind == BT_FS_FILE && bt_str_equal(bt_fs_basename(path), BT_CKPT_STATE_NAME);
    if (is_state) {
        BT_TRY(has_index(path, &is_indexed, err));
    }
    if (is_state && !is_indexed) {
        char *folder = NULL;
        BT_TRY(bt_fs_parent(path, &folder, err));
        const bt_status rc = resolve_folder(folder, out, err);
        bt_free(folder);
        return rc;
    }
    if (bt_str_ends_with(path, ".index")) {
        *out = bt_strndup(path, strlen(path) - strlen(".index"));
    } else {
        *out = strip_data_suffix(path);
        if (*out == NULL) {
            *out = bt_strdup(path);
        }
    }
    if (*out == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
    }
    if (ckpt_is_safetensors(path)) {
        return BT_OK;
    }
    bt_status rc = has_index(*out, &is_indexed, err);
    if (rc == BT_OK && !is_indexed) {
        rc = refuse_missing(path, *out, info.kind, err);
    }
    if (rc != BT_OK) {
        bt_free(*out);
        *out = NULL;
    }
    return rc;
}

static bt_status index_tensors(bt_ckpt *ckpt, bt_error *err) {
    BT_TRY(bt_map_create(&ckpt->tensor_index, ckpt->n_tensors, err));
    BT_TRY(bt_map_create(&ckpt->place_index, ckpt->n_tensors, err));
    for (size_t i = 0; i < ckpt->n_tensors; i++) {
        const char *const name = ckpt->tensors[i].name;
        int64_t           other = 0;
        if (bt_map_get(ckpt->tensor_index, name, strlen(name), &other)) {
            return BT_FAIL(
                err, BT_E_FORMAT,
                "%s: tensor %.200s is in two of its files: which one counts is not known",
                ckpt->path, name);
        }
        BT_TRY(bt_map_put(ckpt->tensor_index, name, strlen(name), (int64_t)i, err));
    }
    return BT_OK;
}

static bt_status allocate_tensors(bt_ckpt *ckpt, size_t n, bt_error *err) {
    ckpt->tensors = bt_calloc_array(n, sizeof *ckpt->tensors);
    if (ckpt->tensors == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "%s: out of memory for a list of %zu tensors", ckpt->path,
                       n);
    }
    ckpt->n_tensors = n;
    return BT_OK;
}

static bt_status list_bundle(bt_ckpt *ckpt, bt_error *err) {
    BT_TRY(allocate_tensors(ckpt, bt_bundle_n_entries(ckpt->bundle), err));
    for (size_t i = 0; i < ckpt->n_tensors; i++) {
        const bt_bundle_entry *const e = bt_bundle_entry_at(ckpt->bundle, i);
        ckpt->tensors[i] = (bt_ckpt_tensor){.name = e->name,
                                            .dtype = (bt_dtype)e->dtype,
                                            .rank = e->rank,
                                            .dim = e->dim,
                                            .n_elements = e->n_elements};
    }
    return index_tensors(ckpt, err);
}

static bt_status list_safetensors(bt_ckpt *ckpt, bt_error *err) {
    size_t n = 0;
    for (size_t f = 0; f < ckpt->n_st_files; f++) {
        n += bt_safetensors_n_entries(ckpt->st_files[f]);
    }
    BT_TRY(allocate_tensors(ckpt, n, err));
    ckpt->st_places = bt_calloc_array(n + 1, sizeof *ckpt->st_places);
    if (ckpt->st_places == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "%s: out of memory for a list of tensors", ckpt->path);
    }
    size_t at = 0;
    for (size_t f = 0; f < ckpt->n_st_files; f++) {
        for (size_t i = 0; i < bt_safetensors_n_entries(ckpt->st_files[f]); i++) {
            const bt_st_entry *const e = bt_safetensors_entry_at(ckpt->st_files[f], i);
            ckpt->st_places[at] = (ckpt_st_place){ckpt->st_files[f], e};
            ckpt->tensors[at++] = (bt_ckpt_tensor){.name = e->name,
                                                   .dtype = (bt_dtype)e->dtype,
                                                   .rank = e->rank,
                                                   .dim = e->dim,
                                                   .n_elements = e->n_elements};
        }
    }
    return index_tensors(ckpt, err);
}

static bt_status read_graph(bt_ckpt *ckpt, const bt_bundle_entry *entry, bt_error *err) {
    bt_bytes *values = NULL;
    if (entry->dtype != BT_DTYPE_STRING || entry->n_elements != 1) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: %s is not a scalar string: the object graph is damaged", ckpt->path,
                       BT_BUNDLE_GRAPH_KEY);
    }
    BT_TRY(bt_bundle_read_strings(ckpt->bundle, entry, &values, err));
    const bt_status rc = bt_graph_parse(values[0], &ckpt->graph, err);
    bt_free(values);
    ckpt->has_graph = rc == BT_OK;
    return rc == BT_OK ? rc : bt_error_prefix(err, "%s: object graph", ckpt->path);
}

static bt_status open_bundle(bt_ckpt *ckpt, bt_error *err) {
    BT_TRY(bt_bundle_open(ckpt->path, &ckpt->bundle, err));
    BT_TRY(list_bundle(ckpt, err));
    const bt_bundle_entry *const entry = bt_bundle_find(ckpt->bundle, BT_BUNDLE_GRAPH_KEY);
    if (entry == NULL) {
        ckpt->layout = BT_CKPT_TF1;
        return ckpt_map_names(ckpt, err);
    }
    ckpt->layout = BT_CKPT_TF2;
    BT_TRY(read_graph(ckpt, entry, err));
    return ckpt_map_graph(ckpt, err);
}

static bt_status open_safetensors(bt_ckpt *ckpt, bt_error *err) {
    ckpt->layout = BT_CKPT_SAFETENSORS;
    BT_TRY(ckpt_open_st_files(ckpt, err));
    BT_TRY(list_safetensors(ckpt, err));
    return ckpt_map_names(ckpt, err);
}

bt_status bt_ckpt_open(const char *path, bt_ckpt **out, bt_error *err) {
    bt_status rc = BT_OK;
    bt_ckpt  *ckpt = bt_calloc_array(1, sizeof *ckpt);
    if (ckpt == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory to open %s", path);
    }
    ckpt->foreign = -1;
    BT_CHECK(resolve(path, &ckpt->path, err));
    if (ckpt_is_safetensors(ckpt->path)) {
        BT_CHECK(open_safetensors(ckpt, err));
    } else {
        BT_CHECK(open_bundle(ckpt, err));
    }
    ckpt_find_encoder(ckpt);
    *out = ckpt;
    ckpt = NULL;
done:
    bt_ckpt_close(ckpt);
    return rc;
}

void bt_ckpt_close(bt_ckpt *ckpt) {
    if (ckpt == NULL) {
        return;
    }
    if (ckpt->has_graph) {
        bt_graph_deinit(&ckpt->graph);
    }
    bt_bundle_close(ckpt->bundle);
    ckpt_close_st_files(ckpt);
    bt_map_free(ckpt->tensor_index);
    bt_map_free(ckpt->place_index);
    bt_free(ckpt->tensors);
    bt_free(ckpt->places);
    bt_free(ckpt->wrapper);
    bt_free(ckpt->other_wrapper);
    bt_free(ckpt->path);
    bt_free(ckpt);
}

const char *bt_ckpt_path(const bt_ckpt *ckpt) {
    return ckpt->path;
}

bt_ckpt_layout bt_ckpt_get_layout(const bt_ckpt *ckpt) {
    return ckpt->layout;
}

size_t bt_ckpt_n_tensors(const bt_ckpt *ckpt) {
    return ckpt->n_tensors;
}

bt_ckpt_tensor bt_ckpt_tensor_at(const bt_ckpt *ckpt, size_t i) {
    BT_ASSERT(i < ckpt->n_tensors);
    return ckpt->tensors[i];
}

int64_t bt_ckpt_find_tensor(const bt_ckpt *ckpt, const char *name) {
    int64_t i = -1;
    return bt_map_get(ckpt->tensor_index, name, strlen(name), &i) ? i : -1;
}
