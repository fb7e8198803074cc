/* SPDX-License-Identifier: Apache-2.0
 *
 * bert-train config diff: two configurations, of one experiment or of two. */
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/str.h"
#include "command_config.h"

typedef struct diff_entry {
    char *path;
    char *json;
    char *origin;
} diff_entry;

typedef struct entry_list {
    diff_entry *items;
    size_t      n;
    size_t      cap;
} entry_list;

static void entries_deinit(entry_list *list) {
    for (size_t i = 0; i < list->n; i++) {
        bt_free(list->items[i].path);
        bt_free(list->items[i].json);
        bt_free(list->items[i].origin);
    }
    bt_free(list->items);
}

static bt_status add_entry(void *context, const bt_conf_entry *entry, bt_error *err) {
    entry_list *const list = context;
    BT_TRY(bt_grow(&list->items, &list->cap, list->n + 1, sizeof *list->items, SIZE_MAX / 64, err));
    diff_entry *const item = &list->items[list->n++];
    *item = (diff_entry){.path = bt_strdup(entry->path),
                         .json = bt_strdup(entry->json),
                         .origin = bt_strdup(entry->origin)};
    return item->path != NULL && item->json != NULL && item->origin != NULL
               ? BT_OK
               : BT_FAIL(err, BT_E_NOMEM, "out of memory for a configuration");
}

static const diff_entry *find_entry(const entry_list *list, const char *path) {
    for (size_t i = 0; i < list->n; i++) {
        if (bt_str_equal(list->items[i].path, path)) {
            return &list->items[i];
        }
    }
    return NULL;
}

typedef struct config_diff_run {
    const bt_conf_changes *changes;
    config_format          format;
    bt_str                *out;
    size_t                 n;
} config_diff_run;

static bt_status put_side(bt_str *object, const char *value_name, const char *origin_name,
                          const char *json, const char *origin, bt_error *err) {
    if (json == NULL) {
        return BT_OK;
    }
    BT_TRY(bt_str_appendf(object, err, ", \"%s\": %s", value_name, json));
    return config_append_member(object, origin_name, origin, err);
}

/* then or now NULL: only the other has that key. */
static bt_status put_difference(config_diff_run *run, const char *path, const diff_entry *then,
                                const diff_entry *now, bt_error *err) {
    const diff_entry none = {.json = NULL, .origin = NULL};
    bt_str           object = BT_STR_INIT;
    bt_status        rc = BT_OK;
    then = then != NULL ? then : &none;
    now = now != NULL ? now : &none;
    if (run->format == CONFIG_TEXT) {
        BT_CHECK(bt_str_appendf(run->out, err, "%s: %s -> %s  # %s -> %s\n", path,
                                then->json != NULL ? then->json : "(no such key)",
                                now->json != NULL ? now->json : "(no such key)",
                                then->origin != NULL ? then->origin : "",
                                now->origin != NULL ? now->origin : ""));
        run->n++;
        goto done;
    }
    BT_CHECK(bt_str_append_char(&object, '{', err));
    BT_CHECK(config_append_member(&object, "key", path, err));
    BT_CHECK(put_side(&object, "a", "a_origin", then->json, then->origin, err));
    BT_CHECK(put_side(&object, "b", "b_origin", now->json, now->origin, err));
    BT_CHECK(bt_str_append_char(&object, '}', err));
    BT_CHECK(config_append_item(bt_str_text(&object), run->n, run->format, run->out, err));
    run->n++;
done:
    bt_str_deinit(&object);
    return rc;
}

/* Below a section whose type differs everything else does, and says nothing. */
static bool is_below_other_type(const bt_conf_changes *changes, const char *path) {
    static const char type[] = ".type";
    for (size_t i = 0; i < changes->n; i++) {
        const char *const changed = changes->items[i].path;
        const size_t      n = strlen(changed) - strlen(type);
        if (bt_str_ends_with(changed, type) && strncmp(changed, path, n) == 0 && path[n] == '.') {
            return true;
        }
    }
    return false;
}

static bt_status put_only(config_diff_run *run, const entry_list *list, const bt_conf *other,
                          bool is_first, bt_error *err) {
    for (size_t i = 0; i < list->n; i++) {
        const diff_entry *const entry = &list->items[i];
        if (!bt_conf_has(other, entry->path) && !is_below_other_type(run->changes, entry->path)) {
            BT_TRY(put_difference(run, entry->path, is_first ? entry : NULL,
                                  is_first ? NULL : entry, err));
        }
    }
    return BT_OK;
}

static bt_status put_experiments(config_diff_run *run, const bt_conf *a, const bt_conf *b,
                                 bt_error *err) {
    const char *const names[] = {bt_conf_experiment_name(a), bt_conf_experiment_name(b)};
    char              json[2][BT_CONF_PATH_MAX];
    if (bt_str_equal(names[0], names[1])) {
        return BT_OK;
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) { /* letters, digits, / and _ */
        (void)snprintf(json[i], sizeof json[i], "\"%s\"", names[i]);
    }
    char             flag[] = "--experiment";
    const diff_entry then = {.json = json[0], .origin = flag};
    const diff_entry now = {.json = json[1], .origin = flag};
    return put_difference(run, "--experiment", &then, &now, err);
}

/* A value that is in both lists, or that only diff itself can tell (a section against none). */
static bt_status put_change(config_diff_run *run, const bt_conf_change *change,
                            const entry_list lists[2], bt_error *err) {
    const diff_entry *const then = find_entry(&lists[0], change->path);
    const diff_entry *const now = find_entry(&lists[1], change->path);
    const diff_entry        old = {.json = change->then, .origin = (char[]){""}};
    const diff_entry new = {.json = change->now, .origin = (char[]){""}};
    return put_difference(run, change->path, then != NULL ? then : &old, now != NULL ? now : &new,
                          err);
}

bt_status config_diff(const bt_conf *a, const bt_conf *b, config_format format, bt_str *out,
                      bool *differ, bt_error *err) {
    bt_status       rc = BT_OK;
    bt_conf_changes changes = BT_CONF_CHANGES_INIT;
    entry_list      lists[2] = {{0}, {0}};
    config_diff_run run = {.changes = &changes, .format = format, .out = out};
    BT_CHECK(bt_conf_diff(a, b, &changes, err));
    BT_CHECK(bt_conf_visit_values(a, add_entry, &lists[0], err));
    BT_CHECK(bt_conf_visit_values(b, add_entry, &lists[1], err));
    BT_CHECK(put_experiments(&run, a, b, err));
    for (size_t i = 0; i < changes.n; i++) {
        BT_CHECK(put_change(&run, &changes.items[i], lists, err));
    }
    BT_CHECK(put_only(&run, &lists[0], b, true, err));
    BT_CHECK(put_only(&run, &lists[1], a, false, err));
    BT_CHECK(config_end_list(run.n, format, out, err));
    *differ = run.n > 0;
done:
    bt_conf_changes_deinit(&changes);
    entries_deinit(&lists[0]);
    entries_deinit(&lists[1]);
    return rc;
}
