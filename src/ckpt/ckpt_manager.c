/* SPDX-License-Identifier: Apache-2.0
 *
 * Saving into a folder of checkpoints, as tf.train.CheckpointManager keeps them
 * (docs/model_garden/config.md 6.5), and what a start makes of what the run before left (bt/ckpt.h
 * says the rules). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/time.h"
#include "ckpt_folder.h"
#include "ckpt_internal.h"

struct bt_ckpt_manager {
    char           *folder;
    char           *latest;  /* prefix, or NULL */
    char           *passing; /* a name that goes before older ones; or NULL */
    int64_t         max_to_keep;
    bool            is_settled;
    bool            is_stale; /* a store's state file was changed by another process */
    ckpt_state_file file;     /* as we read or wrote it */
    ckpt_journal    journal;  /* of a save that has begun and is not over */
};

bt_status bt_ckpt_manager_open(const char *folder, int64_t max_to_keep, bt_ckpt_manager **out,
                               bt_error *err) {
    bt_status        rc = BT_OK;
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
    BT_CHECK(ckpt_read_state_file(folder, &manager->file, err));
    if (manager->file.kind == CKPT_STATE_NAMES) {
        BT_CHECK(ckpt_absolute(folder, manager->file.state.latest, &manager->latest, err));
    }
    *out = manager;
    manager = NULL;
done:
    bt_ckpt_manager_close(manager);
    return rc;
}

void bt_ckpt_manager_close(bt_ckpt_manager *manager) {
    if (manager != NULL) {
        ckpt_state_file_deinit(&manager->file);
        ckpt_journal_deinit(&manager->journal);
        bt_free(manager->folder);
        bt_free(manager->latest);
        bt_free(manager->passing);
        bt_free(manager);
    }
}

const char *bt_ckpt_manager_latest(const bt_ckpt_manager *manager) {
    return manager->latest;
}

static bool is_listed(const bt_ckpt_state *state, const char *name) {
    for (size_t i = 0; i < state->n_paths; i++) {
        if (bt_str_equal(state->paths[i], name)) {
            return true;
        }
    }
    return false;
}

/* The names of the list; the caller frees the map. */
static bt_status map_names(const bt_ckpt_state *state, bt_map **out, bt_error *err) {
    bt_map   *map = NULL;
    bt_status rc = BT_OK;
    BT_CHECK(bt_map_create(&map, state->n_paths, err));
    for (size_t i = 0; i < state->n_paths; i++) {
        BT_CHECK(bt_map_put(map, state->paths[i], strlen(state->paths[i]), 1, err));
    }
    *out = map;
    map = NULL;
done:
    bt_map_free(map);
    return rc;
}

static bool is_in(const bt_map *map, const char *name) {
    int64_t known = 0;
    return bt_map_get(map, name, strlen(name), &known);
}

/* Entry i with its time; a list that has too few of them is filled up. */
static bt_status copy_entry(const bt_ckpt_state *from, size_t i, bt_ckpt_state *to, bt_error *err) {
    const double time = i < from->n_times ? from->times[i] : from->last_preserved;
    return bt_ckpt_state_append(to, from->paths[i], time, err);
}

/* keep[i]: entry i is the last of its name, and not name. */
static bt_status mark_different(const bt_ckpt_state *state, const char *name, bool *keep,
                                size_t *n_kept, bt_error *err) {
    bt_map   *seen = NULL;
    bt_status rc = BT_OK;
    int64_t   known = 0;
    *n_kept = 0;
    BT_CHECK(bt_map_create(&seen, state->n_paths, err));
    BT_CHECK(bt_map_put(seen, name, strlen(name), 1, err));
    for (size_t i = state->n_paths; i > 0; i--) {
        const char *const path = state->paths[i - 1];
        keep[i - 1] = !bt_map_get(seen, path, strlen(path), &known);
        if (keep[i - 1]) {
            BT_CHECK(bt_map_put(seen, path, strlen(path), 1, err));
            (*n_kept)++;
        }
    }
done:
    bt_map_free(seen);
    return rc;
}

/* Begins the state that follows old: latest is name, the rest empty but for what stays as it was.
 */
static bt_status begin_state(const bt_ckpt_state *old, const char *name, bt_ckpt_state *next,
                             bt_error *err) {
    *next = (bt_ckpt_state){.latest = bt_strdup(name),
                            .last_preserved = old->has_last_preserved ? old->last_preserved
                                                                      : bt_time_unix() - 1.0,
                            .has_last_preserved = true};
    return next->latest != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for a name");
}

/* How many entries are too many; first goes the one that is passing. */
static size_t drop_passing(const bt_ckpt_manager *manager, bool *keep, size_t n_kept) {
    const bt_ckpt_state *const state = &manager->file.state;
    const size_t               max = (size_t)manager->max_to_keep;
    if (max == 0 || n_kept < max) {
        return 0;
    }
    const size_t n_drop = n_kept - max + 1;
    for (size_t i = 0; i < state->n_paths; i++) {
        if (keep[i] && bt_str_equal(state->paths[i], manager->passing)) {
            keep[i] = false;
            return n_drop - 1;
        }
    }
    return n_drop;
}

/* The state after a save of name: the newest max_to_keep entries; dropped: the names of the others.
 */
static bt_status plan_state(const bt_ckpt_manager *manager, const char *name, bt_ckpt_state *next,
                            bt_fs_names *dropped, bt_error *err) {
    const bt_ckpt_state *const old = &manager->file.state;
    bt_status                  rc = BT_OK;
    size_t                     n_kept = 0;
    bool *const                keep = bt_calloc_array(old->n_paths + 1, sizeof *keep);
    if (keep == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the list of checkpoints");
    }
    BT_CHECK(mark_different(old, name, keep, &n_kept, err));
    BT_CHECK(begin_state(old, name, next, err));
    const size_t n_before = n_kept;
    size_t       n_drop = drop_passing(manager, keep, n_before);
    for (size_t i = 0; i < old->n_paths; i++) {
        if (!keep[i] && bt_str_equal(old->paths[i], manager->passing) &&
            !bt_str_equal(old->paths[i], name)) { /* a save that was passing may be made again */
            BT_CHECK(ckpt_add_name(dropped, old->paths[i], err));
        }
        if (!keep[i]) {
            continue;
        }
        if (n_drop > 0) {
            n_drop--;
            BT_CHECK(ckpt_add_name(dropped, old->paths[i], err));
        } else {
            BT_CHECK(copy_entry(old, i, next, err));
        }
    }
    BT_CHECK(bt_ckpt_state_append(next, name, bt_time_unix(), err));
done:
    bt_free(keep);
    return rc;
}

/* Writes state, which is taken over on success and freed otherwise. */
static bt_status write_state(bt_ckpt_manager *manager, bt_ckpt_state *state, bt_error *err) {
    bt_status        rc = BT_OK;
    ckpt_state_file *file = &manager->file;
    char            *path = NULL;
    char            *latest = NULL;
    bt_str           text = BT_STR_INIT;
    BT_CHECK(bt_ckpt_state_format(state, &text, err));
    BT_CHECK(ckpt_absolute(manager->folder, state->latest, &latest, err));
    BT_CHECK(bt_fs_join(manager->folder, BT_CKPT_STATE_NAME, &path, err));
    rc = bt_fs_replace_if(path, bt_str_text(&text), text.len, file->version, &file->version, err);
    if (rc != BT_OK) {
        manager->is_stale = true;
        goto done;
    }
    bt_ckpt_state_deinit(&file->state);
    bt_free(file->text);
    bt_free(manager->latest);
    file->state = *state;
    file->n_bytes = text.len;
    file->text = bt_str_take(&text);
    file->kind = CKPT_STATE_NAMES;
    manager->latest = latest;
    *state = (bt_ckpt_state){0};
    latest = NULL;
done:
    bt_ckpt_state_deinit(state);
    bt_free(path);
    bt_free(latest);
    bt_str_deinit(&text);
    return rc;
}

static bool is_same_text(const ckpt_state_file *a, const ckpt_state_file *b) {
    return a->text != NULL && b->text != NULL && a->n_bytes == b->n_bytes &&
           memcmp(a->text, b->text, a->n_bytes) == 0;
}

/* The state file as it is now: somebody may have changed it by hand; one that was lost during the
 * run is written again from what the run knows. A store tells by its versions. */
static bt_status refresh(bt_ckpt_manager *manager, bt_error *err) {
    ckpt_state_file now = {0};
    if (bt_fs_is_remote(manager->folder) && !manager->is_stale) {
        return BT_OK;
    }
    BT_TRY(ckpt_read_state_file(manager->folder, &now, err));
    manager->is_stale = false;
    manager->file.version = now.version;
    if (now.kind != CKPT_STATE_NAMES && manager->file.kind == CKPT_STATE_NAMES) {
        bt_log(BT_LOG_WARNING, "%s/checkpoint was %s during the run: it is written again",
               manager->folder, now.kind == CKPT_STATE_MISSING ? "removed" : "damaged");
    } else if (!is_same_text(&manager->file, &now)) {
        const ckpt_state_file old = manager->file;
        manager->file = now;
        now = old;
    }
    ckpt_state_file_deinit(&now);
    return BT_OK;
}

/* The journal of a killed save. */

/* What it had written was never published when the state file is still the one of before. What it
 * was about to remove was published as gone. */
static bt_status end_save(bt_ckpt_manager *manager, const ckpt_journal *journal,
                          const bt_fs_names *listing, const char *restored, bt_error *err) {
    bt_map   *listed = NULL;
    bt_status rc = BT_OK;
    BT_CHECK(map_names(&manager->file.state, &listed, err));
    if (journal->state == ckpt_state_checksum(&manager->file) &&
        !bt_str_equal(journal->writes, restored) && !is_in(listed, journal->writes)) {
        BT_CHECK(ckpt_remove_files(manager->folder, listing, journal->writes, err));
    }
    for (size_t i = 0; i < journal->removes.n; i++) {
        const char *const name = journal->removes.items[i];
        if (!is_in(listed, name) && !bt_str_equal(name, restored)) {
            BT_CHECK(ckpt_remove_files(manager->folder, listing, name, err));
        }
    }
    BT_CHECK(ckpt_journal_remove(manager->folder, err));
done:
    bt_map_free(listed);
    return rc;
}

static bt_status settle_journal(bt_ckpt_manager *manager, const char *restored, bt_error *err) {
    ckpt_journal journal = {0};
    bt_fs_names  listing = BT_FS_NAMES_INIT;
    bt_status    rc = BT_OK;
    if (manager->is_settled) {
        return BT_OK;
    }
    BT_CHECK(ckpt_journal_read(manager->folder, &journal, err));
    if (journal.found) {
        BT_CHECK(ckpt_list(manager->folder, &listing, err));
        BT_CHECK(end_save(manager, &journal, &listing, restored, err));
    }
    manager->is_settled = true;
done:
    ckpt_journal_deinit(&journal);
    bt_fs_names_deinit(&listing);
    return rc;
}

/* One that the list does not name is a copy that somebody made, unless its name says its step. */
static bool is_real(const char *folder, const char *name, int64_t number) {
    char   *prefix = NULL;
    int64_t step = -1;
    if (bt_fs_join(folder, name, &prefix, NULL) != BT_OK) {
        return false;
    }
    const bool is_whole = bt_ckpt_check_files(NULL, prefix, &step, NULL) == BT_OK;
    bt_free(prefix);
    return is_whole && step == number;
}

/* The family's checkpoints above newest: those of the list, and real ones that it does not name. */
static bt_status find_newer(const bt_ckpt_manager *manager, const bt_fs_names *listing,
                            const char *restored, int64_t newest, bt_fs_names *newer,
                            bt_error *err) {
    bt_status   rc = BT_OK;
    int64_t    *numbers = NULL;
    size_t      n = 0;
    bt_str      name = BT_STR_INIT;
    bt_map     *listed = NULL;
    char *const family = bt_strndup(restored, (size_t)(strrchr(restored, '-') - restored));
    if (family == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a name");
    }
    BT_CHECK(map_names(&manager->file.state, &listed, err));
    BT_CHECK(ckpt_list_numbers(listing, family, true, &numbers, &n, err));
    while (n > 0 && numbers[n - 1] <= newest) {
        n--;
    }
    for (size_t i = n; i > 0; i--) { /* oldest first */
        bt_str_clear(&name);
        BT_CHECK(bt_str_appendf(&name, err, "%s-%" PRId64, family, numbers[i - 1]));
        const char *const text = bt_str_text(&name);
        if (!bt_str_equal(text, restored) &&
            (is_in(listed, text) || is_real(manager->folder, text, numbers[i - 1]))) {
            BT_CHECK(ckpt_add_name(newer, text, err));
        }
    }
done:
    bt_free(numbers);
    bt_free(family);
    bt_map_free(listed);
    bt_str_deinit(&name);
    return rc;
}

static bool says_the_same(const bt_ckpt_state *a, const bt_ckpt_state *b) {
    if (!bt_str_equal(a->latest, b->latest) || a->n_paths != b->n_paths) {
        return false;
    }
    for (size_t i = 0; i < a->n_paths; i++) {
        if (!bt_str_equal(a->paths[i], b->paths[i])) {
            return false;
        }
    }
    return true;
}

/* The list without what is newer, and without what is no longer there; with what was restored. */
static bt_status settle_state(bt_ckpt_manager *manager, const bt_fs_names *listing,
                              const char *restored, int64_t newest, bt_error *err) {
    const bt_ckpt_state *const old = &manager->file.state;
    bt_ckpt_state              next = {0};
    bt_status                  rc = BT_OK;
    bool                       is_named = false;
    int64_t                    number = 0;
    BT_CHECK(begin_state(old, restored, &next, err));
    for (size_t i = 0; i < old->n_paths; i++) {
        const char *const path = old->paths[i];
        const bool        is_plain = ckpt_parse_name(path, NULL, &number);
        const bool        is_restored = bt_str_equal(path, restored);
        if (is_restored || (is_plain ? number <= newest && ckpt_has_index(listing, path) : true)) {
            BT_CHECK(copy_entry(old, i, &next, err));
            is_named = is_named || is_restored;
        }
    }
    (void)ckpt_parse_name(restored, NULL, &number);
    if (!is_named && number <= newest) {
        BT_CHECK(bt_ckpt_state_append(&next, restored, bt_time_unix(), err));
    }
    if (!says_the_same(old, &next)) {
        BT_CHECK(write_state(manager, &next, err));
    }
done:
    bt_ckpt_state_deinit(&next);
    return rc;
}

static bt_status keep_newer(const bt_ckpt_manager *manager, const bt_fs_names *listing,
                            const bt_fs_names *newer, const char *restored, bt_error *err) {
    bt_str    all = BT_STR_INIT;
    bt_status rc = BT_OK;
    if (newer->n == 0) {
        return BT_OK;
    }
    for (size_t i = 0; i < newer->n; i++) {
        BT_CHECK(bt_str_appendf(&all, err, "%s%s", i > 0 ? ", " : "", newer->items[i]));
    }
    bt_log(
        BT_LOG_WARNING,
        "%s: going on from %s; what is newer (%s) is kept under other names, *.kept-1 and so on: "
        "without that suffix its files are a checkpoint again",
        manager->folder, restored, bt_str_text(&all));
    for (size_t i = 0; i < newer->n; i++) {
        BT_CHECK(ckpt_keep_aside(manager->folder, listing, newer->items[i], err));
    }
done:
    bt_str_deinit(&all);
    return rc;
}

/* The plain name of a checkpoint of this very folder, or NULL; the caller frees it: prefix may be
 * the manager's own, which changes. */
static bt_status own_name(const bt_ckpt_manager *manager, const char *prefix, char **name,
                          bt_error *err) {
    char     *path = NULL;
    bt_status rc = BT_OK;
    *name = NULL;
    if (prefix == NULL) {
        return BT_OK;
    }
    const char *const base = bt_fs_basename(prefix);
    BT_TRY(bt_fs_join(manager->folder, base, &path, err));
    if (bt_str_equal(path, prefix) && ckpt_parse_name(base, NULL, NULL)) {
        *name = bt_strdup(base);
        rc = *name != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for a name");
    }
    bt_free(path);
    return rc;
}

/* Takes those out of newer that the list names, and removes their files. */
static bt_status remove_listed(const bt_ckpt_manager *manager, const bt_fs_names *listing,
                               const bt_map *listed, bt_fs_names *newer, bt_error *err) {
    size_t n = 0;
    for (size_t i = 0; i < newer->n; i++) {
        char *const name = newer->items[i];
        if (!is_in(listed, name)) {
            newer->items[n++] = name;
            continue;
        }
        newer->items[i] = NULL;
        const bt_status rc = ckpt_remove_files(manager->folder, listing, name, err);
        bt_free(name);
        BT_TRY(rc);
    }
    newer->n = n;
    return BT_OK;
}

/* removes: what is newer is a run's own, and it goes on from before it by itself. */
static bt_status settle_to(bt_ckpt_manager *manager, const char *restored, int64_t newest,
                           bool removes, bt_error *err) {
    bt_status   rc = BT_OK;
    bt_fs_names listing = BT_FS_NAMES_INIT;
    bt_fs_names newer = BT_FS_NAMES_INIT;
    bt_map     *listed = NULL;
    char       *name = NULL;
    BT_CHECK(own_name(manager, restored, &name, err));
    BT_CHECK(settle_journal(manager, name, err));
    if (name == NULL) {
        goto done;
    }
    BT_CHECK(ckpt_list(manager->folder, &listing, err));
    BT_CHECK(find_newer(manager, &listing, name, newest, &newer, err));
    BT_CHECK(map_names(&manager->file.state, &listed, err));
    BT_CHECK(settle_state(manager, &listing, name, newest, err));
    if (removes) {
        BT_CHECK(remove_listed(manager, &listing, listed, &newer, err));
    }
    BT_CHECK(keep_newer(manager, &listing, &newer, name, err));
done:
    bt_free(name);
    bt_map_free(listed);
    bt_fs_names_deinit(&listing);
    bt_fs_names_deinit(&newer);
    return rc;
}

bt_status bt_ckpt_manager_settle(bt_ckpt_manager *manager, const char *restored, int64_t newest,
                                 bt_error *err) {
    return settle_to(manager, restored, newest, false, err);
}

bt_status bt_ckpt_manager_go_back(bt_ckpt_manager *manager, const char *restored, int64_t newest,
                                  bt_error *err) {
    return settle_to(manager, restored, newest, true, err);
}

bt_status bt_ckpt_manager_mark_passing(bt_ckpt_manager *manager, const char *prefix,
                                       bt_error *err) {
    bt_free(manager->passing);
    manager->passing = NULL;
    return own_name(manager, prefix, &manager->passing, err);
}

/* Of the family's checkpoints on the disk those that the list names go; others are kept aside. */
static bt_status clear_numbers(const bt_ckpt_manager *manager, const bt_fs_names *listing,
                               const char *family, bool with_index, bt_error *err) {
    bt_status rc = BT_OK;
    int64_t  *numbers = NULL;
    size_t    n = 0;
    bt_map   *listed = NULL;
    bt_str    name = BT_STR_INIT;
    BT_CHECK(map_names(&manager->file.state, &listed, err));
    BT_CHECK(ckpt_list_numbers(listing, family, with_index, &numbers, &n, err));
    for (size_t i = 0; i < n; i++) {
        bt_str_clear(&name);
        BT_CHECK(bt_str_appendf(&name, err, "%s-%" PRId64, family, numbers[i]));
        if (is_in(listed, bt_str_text(&name))) {
            BT_CHECK(ckpt_remove_files(manager->folder, listing, bt_str_text(&name), err));
            continue;
        }
        bt_log(
            BT_LOG_WARNING,
            "%s/%s is not a checkpoint that a run recorded: its files are kept under other names, "
            "*.kept-1 and so on",
            manager->folder, bt_str_text(&name));
        BT_CHECK(ckpt_keep_aside(manager->folder, listing, bt_str_text(&name), err));
    }
done:
    bt_free(numbers);
    bt_map_free(listed);
    bt_str_deinit(&name);
    return rc;
}

bt_status bt_ckpt_clear(const char *folder, const char *family, bt_error *err) {
    bt_status        rc = BT_OK;
    bt_ckpt_manager *manager = NULL;
    bt_fs_names      listing = BT_FS_NAMES_INIT;
    char            *path = NULL;
    BT_CHECK(bt_ckpt_manager_open(folder, 0, &manager, err));
    BT_CHECK(settle_journal(manager, NULL, err));
    BT_CHECK(ckpt_list(folder, &listing, err));
    BT_CHECK(clear_numbers(manager, &listing, family, true, err));
    BT_CHECK(clear_numbers(manager, &listing, family, false, err));
    BT_CHECK(bt_fs_join(folder, BT_CKPT_STATE_NAME, &path, err));
    BT_CHECK(bt_fs_remove(path, err));
done:
    bt_free(path);
    bt_fs_names_deinit(&listing);
    bt_ckpt_manager_close(manager);
    return rc;
}

/* Files of that name that no run of this folder recorded are not ours to write over. */
static bt_status make_room(const bt_ckpt_manager *manager, const bt_fs_names *listing,
                           const char *name, bt_error *err) {
    if (!ckpt_has_files(listing, name) || is_listed(&manager->file.state, name)) {
        return BT_OK;
    }
    bt_log(BT_LOG_WARNING,
           "%s/%s is there and is not a checkpoint that this run wrote: its files are kept under "
           "other "
           "names, *.kept-1 and so on",
           manager->folder, name);
    return ckpt_keep_aside(manager->folder, listing, name, err);
}

/* What of dropped is here and of the family of name: nothing else is ever removed. */
static bt_status begin_journal(bt_ckpt_manager *manager, const bt_fs_names *listing,
                               const char *name, const bt_fs_names *dropped, bt_error *err) {
    ckpt_journal journal = {.found = true, .state = ckpt_state_checksum(&manager->file)};
    bt_status    rc = BT_OK;
    char *const  family = bt_strdup(name);
    journal.writes = bt_strdup(name);
    if (family == NULL || journal.writes == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for a name");
        goto done;
    }
    BT_ASSERT(ckpt_parse_name(name, NULL, NULL));
    *strrchr(family, '-') = '\0';
    for (size_t i = 0; i < dropped->n; i++) {
        if (ckpt_parse_name(dropped->items[i], family, NULL) &&
            ckpt_has_files(listing, dropped->items[i])) {
            BT_CHECK(ckpt_add_name(&journal.removes, dropped->items[i], err));
        }
    }
    BT_CHECK(ckpt_journal_write(manager->folder, &journal, err));
    ckpt_journal_deinit(&manager->journal);
    manager->journal = journal;
    journal = (ckpt_journal){0};
done:
    bt_free(family);
    ckpt_journal_deinit(&journal);
    return rc;
}

static bt_status end_journal(bt_ckpt_manager *manager, const bt_fs_names *listing, bt_error *err) {
    for (size_t i = 0; i < manager->journal.removes.n; i++) {
        BT_TRY(ckpt_remove_files(manager->folder, listing, manager->journal.removes.items[i], err));
    }
    BT_TRY(ckpt_journal_remove(manager->folder, err));
    ckpt_journal_deinit(&manager->journal);
    return BT_OK;
}

bt_status bt_ckpt_manager_save(bt_ckpt_manager *manager, const char *name,
                               const bt_ckpt_train *train, bt_error *err) {
    bt_status     rc = BT_OK;
    char         *prefix = NULL;
    bt_ckpt_state next = {0};
    bt_fs_names   dropped = BT_FS_NAMES_INIT;
    bt_fs_names   listing = BT_FS_NAMES_INIT;
    BT_CHECK(refresh(manager, err));
    BT_CHECK(settle_journal(manager, NULL, err));
    BT_CHECK(plan_state(manager, name, &next, &dropped, err));
    BT_CHECK(ckpt_list(manager->folder, &listing, err));
    BT_CHECK(make_room(manager, &listing, name, err));
    manager->is_settled = false; /* until it is over: another try begins by clearing up */
    BT_CHECK(begin_journal(manager, &listing, name, &dropped, err));
    BT_CHECK(bt_fs_join(manager->folder, name, &prefix, err));
    BT_CHECK(bt_ckpt_write_train(prefix, train, err));
    BT_CHECK(write_state(manager, &next, err));
    BT_CHECK(end_journal(manager, &listing, err));
    manager->is_settled = true;
done:
    bt_free(prefix);
    bt_ckpt_state_deinit(&next);
    bt_fs_names_deinit(&dropped);
    bt_fs_names_deinit(&listing);
    return rc;
}
