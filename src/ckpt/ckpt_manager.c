/* SPDX-License-Identifier: Apache-2.0
 *
 * A folder of checkpoints and its `checkpoint` state file, as tf.train.CheckpointManager keeps them
 * (spec/config.md 6.5). The order of a save: data file, index, state file without what is too old,
 * removal; so the state file only ever names whole checkpoints, whenever the process dies. */
#include <string.h>

#include "bt/fs.h"
#include "ckpt_internal.h"

enum { STATE_MAX_BYTES = 1 << 24 };

struct bt_ckpt_manager {
    char         *folder;
    int64_t       version; /* of the state file that we read or wrote: nobody else may change it */
    char         *latest;  /* prefix, or NULL */
    int64_t       max_to_keep;
    bt_ckpt_state state;
};

static bt_status read_state_file(const char *folder, bt_ckpt_state *state, bool *found,
                                 int64_t *version, bt_error *err) {
    bt_status rc = BT_OK;
    char     *path = NULL;
    char     *text = NULL;
    size_t    n_bytes = 0;
    *found = false;
    BT_CHECK(bt_fs_join(folder, "checkpoint", &path, err));
    bt_fs_info info = {0};
    BT_CHECK(bt_fs_stat(path, &info, err));
    *version = info.version;
    if (info.kind != BT_FS_FILE) {
        goto done;
    }
    BT_CHECK(bt_fs_read_all(path, STATE_MAX_BYTES, &text, &n_bytes, err));
    BT_CHECK(bt_ckpt_state_parse(text, n_bytes, path, state, err));
    *found = state->latest != NULL;
done:
    bt_free(path);
    bt_free(text);
    return rc;
}

/* Paths in the state file are relative to its folder unless they begin with a slash or a scheme. */
static bt_status absolute(const char *folder, const char *path, char **out, bt_error *err) {
    if (path[0] != '/' && !bt_fs_is_remote(path)) {
        return bt_fs_join(folder, path, out, err);
    }
    *out = bt_strdup(path);
    return *out != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
}

/* The shard's file must be as long as the index says; the values' checksums are for whoever reads
 * them. */
static bt_status check_shard(const bt_bundle *bundle, int32_t shard, bt_error *err) {
    int64_t n_needed = 0;
    for (size_t i = 0; i < bt_bundle_n_entries(bundle); i++) {
        const bt_bundle_entry *const e = bt_bundle_entry_at(bundle, i);
        if (e->shard == shard && e->n_slices == 0 && e->offset + e->n_bytes > n_needed) {
            n_needed = e->offset + e->n_bytes;
        }
    }
    bt_status rc = BT_OK;
    bt_str    path = BT_STR_INIT;
    int64_t   n_bytes = 0;
    BT_CHECK(bt_str_appendf(&path, err, "%s.data-%05" PRId32 "-of-%05" PRId32,
                            bt_bundle_prefix(bundle), shard, bt_bundle_n_shards(bundle)));
    BT_CHECK(bt_fs_require_file(bt_str_text(&path), &n_bytes, err));
    if (n_bytes < n_needed) {
        rc = BT_FAIL(err, BT_E_FORMAT, "%s: cut short: %" PRId64 " bytes, the index needs %" PRId64,
                     bt_str_text(&path), n_bytes, n_needed);
    }
done:
    bt_str_deinit(&path);
    return rc;
}

/* The checkpoint that a state file names must be there, and whole. */
static bt_status check_named(const char *folder, const char *prefix, bt_error *err) {
    bt_bundle *bundle = NULL;
    bt_status  rc = bt_bundle_open(prefix, &bundle, err);
    for (int32_t shard = 0; rc == BT_OK && shard < bt_bundle_n_shards(bundle); shard++) {
        rc = check_shard(bundle, shard, err);
    }
    bt_bundle_close(bundle);
    if (rc == BT_OK) {
        return BT_OK;
    }
    return bt_error_prefix(
        err,
        "%s/checkpoint names %s, which cannot be used: bring its files back, or name another "
        "checkpoint in that file",
        folder, bt_fs_basename(prefix));
}

bt_status bt_ckpt_latest(const char *folder, char **prefix, bt_error *err) {
    bt_status     rc = BT_OK;
    bt_ckpt_state state = {0};
    bool          found = false;
    char         *path = NULL;
    int64_t       version = 0;
    *prefix = NULL;
    BT_CHECK(read_state_file(folder, &state, &found, &version, err));
    if (!found) {
        goto done;
    }
    BT_CHECK(absolute(folder, state.latest, &path, err));
    BT_CHECK(check_named(folder, path, err));
    *prefix = path;
    path = NULL;
done:
    bt_free(path);
    bt_ckpt_state_deinit(&state);
    return rc;
}

bt_status bt_ckpt_manager_open(const char *folder, int64_t max_to_keep, bt_ckpt_manager **out,
                               bt_error *err) {
    bt_status        rc = BT_OK;
    bool             found = false;
    bt_ckpt_manager *manager = bt_calloc_array(1, sizeof *manager);
    if (manager == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the checkpoints of %s", folder);
    }
    manager->max_to_keep = max_to_keep;
    manager->folder = bt_strdup(folder);
    if (manager->folder == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
        goto done;
    }
    BT_CHECK(read_state_file(folder, &manager->state, &found, &manager->version, err));
    if (found) {
        BT_CHECK(absolute(folder, manager->state.latest, &manager->latest, err));
    }
    *out = manager;
    manager = NULL;
done:
    bt_ckpt_manager_close(manager);
    return rc;
}

void bt_ckpt_manager_close(bt_ckpt_manager *manager) {
    if (manager != NULL) {
        bt_ckpt_state_deinit(&manager->state);
        bt_free(manager->folder);
        bt_free(manager->latest);
        bt_free(manager);
    }
}

const char *bt_ckpt_manager_latest(const bt_ckpt_manager *manager) {
    return manager->latest;
}

static bt_status remove_checkpoint(const char *folder, const char *path, bt_error *err) {
    bt_status   rc = BT_OK;
    char       *prefix = NULL;
    bt_str      pattern = BT_STR_INIT;
    bt_fs_names names = BT_FS_NAMES_INIT;
    BT_CHECK(absolute(folder, path, &prefix, err));
    /* the index first: a checkpoint without one is none */
    BT_CHECK(bt_str_appendf(&pattern, err, "%s.index", prefix));
    BT_CHECK(bt_fs_remove(bt_str_text(&pattern), err));
    bt_str_clear(&pattern);
    BT_CHECK(bt_str_appendf(&pattern, err, "%s.data-*-of-*", prefix));
    BT_CHECK(bt_fs_glob(bt_str_text(&pattern), &names, err));
    for (size_t i = 0; i < names.n; i++) {
        BT_CHECK(bt_fs_remove(names.items[i], err));
    }
done:
    bt_free(prefix);
    bt_str_deinit(&pattern);
    bt_fs_names_deinit(&names);
    return rc;
}

/* Drops entry i of the state (not its files). */
static void drop_entry(bt_ckpt_state *state, size_t i) {
    bt_free(state->paths[i]);
    memmove(&state->paths[i], &state->paths[i + 1],
            (state->n_paths - i - 1) * sizeof *state->paths);
    state->n_paths--;
    if (i < state->n_times) {
        memmove(&state->times[i], &state->times[i + 1],
                (state->n_times - i - 1) * sizeof *state->times);
        state->n_times--;
    }
}

/* Adds name as the newest entry; the same name saved again counts once. */
static bt_status add_entry(bt_ckpt_state *state, const char *name, bt_error *err) {
    for (size_t i = state->n_paths; i > 0; i--) {
        if (bt_str_equal(state->paths[i - 1], name)) {
            drop_entry(state, i - 1);
        }
    }
    if (!state->has_last_preserved) {
        state->last_preserved = bt_time_unix() - 1.0;
        state->has_last_preserved = true;
    }
    BT_TRY(bt_ckpt_state_append(state, name, bt_time_unix(), err));
    char *const latest = bt_strdup(name);
    if (latest == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a name");
    }
    bt_free(state->latest);
    state->latest = latest;
    return BT_OK;
}

/* Takes what is too many off the list, oldest first; their files are removed later. Entries older
 * than last_preserved are not managed and stay. */
static bt_status drop_old(bt_ckpt_manager *manager, bt_fs_names *dropped, bt_error *err) {
    bt_ckpt_state *const state = &manager->state;
    size_t               first = 0;
    while (first < state->n_paths && first < state->n_times &&
           state->times[first] < state->last_preserved) {
        first++;
    }
    while (manager->max_to_keep > 0 && state->n_paths - first > (size_t)manager->max_to_keep) {
        BT_TRY(bt_grow(&dropped->items, &dropped->cap, dropped->n + 1, sizeof *dropped->items,
                       SIZE_MAX / 64, err));
        char *const path = bt_strdup(state->paths[first]);
        if (path == NULL) {
            return BT_FAIL(err, BT_E_NOMEM, "out of memory for a name");
        }
        dropped->items[dropped->n++] = path;
        drop_entry(state, first);
    }
    return BT_OK;
}

static bt_status write_state_file(bt_ckpt_manager *manager, bt_error *err) {
    bt_status rc = BT_OK;
    char     *path = NULL;
    bt_str    text = BT_STR_INIT;
    BT_CHECK(bt_ckpt_state_format(&manager->state, &text, err));
    BT_CHECK(bt_fs_join(manager->folder, "checkpoint", &path, err));
    BT_CHECK(bt_fs_replace_if(path, bt_str_text(&text), text.len, manager->version,
                              &manager->version, err));
done:
    bt_free(path);
    bt_str_deinit(&text);
    return rc;
}

static bool is_listed(const bt_ckpt_state *state, const char *name) {
    for (size_t i = 0; i < state->n_paths; i++) {
        if (bt_str_equal(bt_fs_basename(state->paths[i]), name)) {
            return true;
        }
    }
    return false;
}

/* "ckpt-12" and "ckpt-7" are of one family. */
static bool same_family(const char *a, const char *b) {
    const char *const end_a = strrchr(a, '-');
    const char *const end_b = strrchr(b, '-');
    return end_a != NULL && end_b != NULL && end_a - a == end_b - b &&
           strncmp(a, b, (size_t)(end_a - a)) == 0 &&
           end_a[1 + strspn(end_a + 1, "0123456789")] == '\0';
}

/* Checkpoints of this family that were written since the first save and that the state file does
 * not name: a kill came between the state file and their removal, or before they were published. */
static bt_status remove_orphans(const bt_ckpt_manager *manager, const char *name, bt_error *err) {
    bt_status   rc = BT_OK;
    char       *pattern = NULL;
    bt_fs_names names = BT_FS_NAMES_INIT;
    BT_CHECK(bt_fs_join(manager->folder, "*.index", &pattern, err));
    BT_CHECK(bt_fs_glob(pattern, &names, err));
    for (size_t i = 0; i < names.n; i++) {
        bt_fs_info info = {0};
        BT_CHECK(bt_fs_stat(names.items[i], &info, err));
        names.items[i][strlen(names.items[i]) - strlen(".index")] = '\0';
        const char *const found = bt_fs_basename(names.items[i]);
        if (same_family(found, name) && !is_listed(&manager->state, found) &&
            info.modified_unix >= manager->state.last_preserved) {
            BT_CHECK(remove_checkpoint(manager->folder, found, err));
        }
    }
done:
    bt_free(pattern);
    bt_fs_names_deinit(&names);
    return rc;
}

bt_status bt_ckpt_manager_save(bt_ckpt_manager *manager, const char *name,
                               const bt_ckpt_train *train, bt_error *err) {
    bt_status   rc = BT_OK;
    char       *prefix = NULL;
    bt_fs_names dropped = BT_FS_NAMES_INIT;
    BT_CHECK(bt_fs_join(manager->folder, name, &prefix, err));
    BT_CHECK(bt_ckpt_write_train(prefix, train, err));
    BT_CHECK(add_entry(&manager->state, name, err));
    BT_CHECK(drop_old(manager, &dropped, err));
    BT_CHECK(write_state_file(manager, err));
    bt_free(manager->latest);
    manager->latest = prefix;
    prefix = NULL;
    for (size_t i = 0; i < dropped.n; i++) {
        BT_CHECK(remove_checkpoint(manager->folder, dropped.items[i], err));
    }
    if (manager->max_to_keep > 0) {
        BT_CHECK(remove_orphans(manager, name, err));
    }
done:
    bt_free(prefix);
    bt_fs_names_deinit(&dropped);
    return rc;
}
