/* SPDX-License-Identifier: Apache-2.0
 *
 * What stores said of files, believed by one thread between bt_fs_hold_states and bt_fs_let_states:
 * an input of a thousand files is looked at by several who open it, and each look is a round trip.
 * A list tells most of it for a thousand files at once. Whoever reads a file of which this is no
 * longer true is told so by the store: it is asked for that version. */
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/map.h"
#include "remote.h"

typedef struct told {
    remote_info info;
    bool        is_all; /* the file itself was looked at, or a list says as much */
} told;

typedef struct told_files {
    bt_map *places; /* path -> place in items */
    told   *items;
    size_t  n;
    size_t  cap;
    int     n_holds;
} told_files;

/* Of the thread: locks and logs, which others keep at the same time, are looked at as ever. */
static _Thread_local told_files files;

void bt_fs_hold_states(void) {
    files.n_holds++;
}

void bt_fs_let_states(void) {
    if (--files.n_holds == 0) {
        bt_map_free(files.places);
        bt_free(files.items);
        files = (told_files){0};
    }
}

static bt_status put(const char *path, const told *item, bt_error *err) {
    int64_t place = 0;
    if (files.places == NULL) {
        BT_TRY(bt_map_create(&files.places, 0, err));
    }
    if (bt_map_get(files.places, path, strlen(path), &place)) {
        files.items[place] = *item;
        return BT_OK;
    }
    BT_TRY(
        bt_grow(&files.items, &files.cap, files.n + 1, sizeof *files.items, SIZE_MAX / 1024, err));
    files.items[files.n] = *item;
    return bt_map_put(files.places, path, strlen(path), (int64_t)files.n++, err);
}

void remote_told_put(const char *path, const remote_info *info, bool is_all) {
    const told item = {.info = *info, .is_all = is_all};
    bt_error   ignored = BT_ERROR_INIT;
    if (files.n_holds > 0 && info->kind == BT_FS_FILE) {
        (void)(put(path, &item, &ignored) == BT_OK); /* a help only: it is looked at again */
    }
}

bool remote_told_get(const char *path, bool needs_all, remote_info *info) {
    int64_t place = 0;
    if (files.places == NULL || !bt_map_get(files.places, path, strlen(path), &place) ||
        files.items[place].info.kind != BT_FS_FILE || (needs_all && !files.items[place].is_all)) {
        return false;
    }
    *info = files.items[place].info;
    return true;
}

void remote_told_forget(const char *path) {
    int64_t place = 0;
    if (files.places != NULL && bt_map_get(files.places, path, strlen(path), &place)) {
        files.items[place] = (told){.info = {.kind = BT_FS_MISSING}};
    }
}
