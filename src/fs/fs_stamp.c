/* SPDX-License-Identifier: Apache-2.0
 *
 * Which state of a file this is, to tell at another time whether it is still the same. A local
 * file's is device, number, size, and the times of its last change of content and of anything: the
 * last one the kernel sets alone, so that whoever puts content and time back changes it all the
 * same. A store's is generation or ETag. */
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "bt/base/alloc.h"
#include "fs_internal.h"
#include "remote.h"

/* The kernel's times move in ticks: a change within the tick of the one before has no other time.
 * Those of a file server may move in whole seconds, and its clock is another one. */
static const long   tick_ns = 20 * 1000 * 1000;
static const double tick_seconds = 0.02;
static const double shared_tick_seconds = 2;

/* In double: a clock may say any year. */
static bool is_settled(const struct stat *st, double needed_seconds) {
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    const double seconds = (double)now.tv_sec - (double)st->st_ctim.tv_sec;
    const double beside = (double)(now.tv_nsec - st->st_ctim.tv_nsec) * 1e-9;
    return seconds + beside >= needed_seconds;
}

static bt_status is_shared(const char *path, bool *shared, bt_error *err) {
    char *folder = NULL;
    BT_TRY(bt_fs_parent(path, &folder, err));
    *shared = fs_is_shared_folder(folder);
    bt_free(folder);
    return BT_OK;
}

static bt_status stamp_local(const char *path, bt_fs_stamp *out, bt_error *err) {
    enum { TRIES = 3 };
    const struct timespec a_tick = {.tv_nsec = tick_ns};
    struct stat           st = {0};
    bool                  shared = false;
    BT_TRY(is_shared(path, &shared, err));
    for (int i = 0; i < TRIES && !out->is_settled; i++) {
        if (i > 0) {
            (void)nanosleep(&a_tick, NULL);
        }
        if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
            return BT_OK; /* whoever reads it says why */
        }
        out->is_settled = is_settled(&st, shared ? shared_tick_seconds : tick_seconds);
        if (shared) {
            break;
        }
    }
    (void)snprintf(out->text, sizeof out->text,
                   "file %" PRIu64 " %" PRIu64 " %" PRId64 " %" PRId64 ".%09ld %" PRId64 ".%09ld",
                   (uint64_t)st.st_dev, (uint64_t)st.st_ino, (int64_t)st.st_size,
                   (int64_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (int64_t)st.st_ctim.tv_sec,
                   st.st_ctim.tv_nsec);
    out->n_bytes = st.st_size;
    return BT_OK;
}

bt_status bt_fs_stamp_take(const char *path, bt_fs_stamp *out, bt_error *err) {
    remote_info info = {0};
    *out = (bt_fs_stamp){0};
    if (!fs_is_served(path)) {
        return bt_fs_is_remote(path) ? BT_OK : stamp_local(path, out, err);
    }
    BT_TRY(remote_check(path, err));
    BT_TRY(remote_glance(remote_store_of(path), path, &info, err));
    const bool is_told = info.version != BT_FS_ANY_VERSION || info.etag[0] != '\0';
    out->n_bytes = info.n_bytes;
    if (info.kind == BT_FS_FILE && is_told && !bt_str_starts_with(info.etag, "W/")) {
        (void)snprintf(out->text, sizeof out->text, "store %" PRId64 " %" PRId64 " %s",
                       info.n_bytes, info.version, info.etag);
        out->is_settled = true;
    }
    return BT_OK;
}
