/* SPDX-License-Identifier: Apache-2.0
 *
 * The lock of a folder in a store: an object that is made only where none is (a condition of the
 * store), and written again all the time. Whose last word is older than its lease is gone. Where a
 * store has no conditions, or may ignore them (not all that speak S3 know If-None-Match), what was
 * written is read again after a pause. */
#include <string.h>
#include <time.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/time.h"
#include "fs_lock.h"

enum { MAX_ROUNDS = 5 };
static const double settle_seconds = 1.0;

static void pause_for(double seconds) {
    const struct timespec t = {.tv_sec = (time_t)seconds,
                               .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    (void)nanosleep(&t, NULL);
}

/* *is_entry false: the object is none of ours. */
static bt_status read_entry(const bt_fs_lock *lock, lock_entry *entry, bool *is_entry,
                            bt_error *err) {
    char  *text = NULL;
    size_t n = 0;
    bool   no_memory = false;
    BT_TRY(bt_fs_read_all(lock->path, LOCK_ENTRY_MAX_BYTES, &text, &n, err));
    *is_entry = lock_entry_parse(text, n, entry, &no_memory);
    bt_free(text);
    return no_memory ? BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot read %s", lock->path)
                     : BT_OK;
}

/* What time it is by the store's clock, which says when a lock was renewed: that of an object which
 * was just written. A clock of this host that goes wrong must not make void what is in use. */
static double store_now(const bt_fs_lock *lock) {
    double     now = bt_time_unix();
    bt_error   ignored = BT_ERROR_INIT; /* a store that refuses it will refuse the lock as well */
    bt_str     path = BT_STR_INIT;
    bt_fs_info info = {0};
    if (bt_str_appendf(&path, NULL, "%s.now-%s", lock->path, lock->mine.token) == BT_OK &&
        bt_fs_replace(path.data, "\n", 1, &ignored) == BT_OK) {
        if (bt_fs_stat(path.data, &info, &ignored) == BT_OK && info.modified_unix > 0) {
            now = info.modified_unix;
        }
        if (bt_fs_remove(path.data, &ignored) != BT_OK) {
            bt_log(BT_LOG_WARNING, "%s", ignored.msg);
        }
    }
    bt_str_deinit(&path);
    return now;
}

/* BT_OK: it may be taken over. now: what asks the store for its time. */
static bt_status judge(bt_fs_lock *lock, const bt_fs_info              *info,
                       double (*now)(const bt_fs_lock *lock), bt_error *err) {
    lock_entry entry = {0};
    bool       is_entry = false;
    BT_TRY(read_entry(lock, &entry, &is_entry, err));
    const lock_owner owner = is_entry ? lock_entry_owner(&entry) : LOCK_OWNER_UNKNOWN;
    if (owner == LOCK_OWNER_LIVES) {
        return lock_judge_held(lock, &entry, err);
    }
    if (owner == LOCK_OWNER_GONE) {
        return lock_note_taken(lock, &entry, "its process has ended", err);
    }
    const double age = now(lock) - info->modified_unix;
    BT_TRY(lock_judge_lease(lock, is_entry ? &entry : NULL, age, err));
    return lock_note_taken(lock, is_entry ? &entry : NULL, "it was not heard from for too long",
                           err);
}

/* Without conditions: whoever wrote last has it, and the others see that. */
static bt_status settle(const bt_fs_lock *lock, bt_error *err) {
    lock_entry entry = {0};
    bool       is_entry = false;
    pause_for(settle_seconds);
    BT_TRY(read_entry(lock, &entry, &is_entry, err));
    return is_entry && bt_str_equal(entry.token, lock->mine.token)
               ? BT_OK
               : lock_judge_held(lock, is_entry ? &entry : NULL, err);
}

bt_status lock_store_take(bt_fs_lock *lock, bt_error *err) {
    bt_error problem = BT_ERROR_INIT;
    for (int round = 0; round < MAX_ROUNDS; round++) {
        bt_fs_info info = {0};
        BT_TRY(bt_fs_stat(lock->path, &info, err));
        if (info.kind == BT_FS_FILE) {
            BT_TRY(judge(lock, &info, store_now, err));
        }
        const int64_t   before = info.kind == BT_FS_FILE ? info.version : 0;
        const bt_status rc = bt_fs_replace_if(lock->path, lock->text.data, lock->text.len, before,
                                              &lock->version, &problem);
        if (rc == BT_OK) {
            return lock->version == BT_FS_ANY_VERSION || bt_str_starts_with(lock->path, "s3://")
                       ? settle(lock, err)
                       : BT_OK;
        }
        if (rc != BT_E_RESOURCE) {
            break;
        }
        /* another came first, or the store does not take it: the next look tells */
    }
    if (err != NULL) {
        *err = problem;
    }
    return problem.code;
}

/* Without an object that would have to be written for it. */
static double own_now(const bt_fs_lock *lock) {
    (void)lock;
    return bt_time_unix();
}

bt_status lock_store_look(bt_fs_lock *lock, bt_error *err) {
    bt_fs_info info = {0};
    BT_TRY(bt_fs_stat(lock->path, &info, err));
    return info.kind == BT_FS_FILE ? judge(lock, &info, own_now, err) : BT_OK;
}

/* The object is gone: somebody removed it by hand. */
static bool make_again(bt_fs_lock *lock) {
    bt_error ignored = BT_ERROR_INIT;
    return bt_fs_replace_if(lock->path, lock->text.data, lock->text.len, 0, &lock->version,
                            &ignored) == BT_OK;
}

bool lock_store_renew(bt_fs_lock *lock) {
    bt_error   ignored = BT_ERROR_INIT;
    lock_entry entry = {0};
    bt_fs_info info = {0};
    bool       is_entry = false;
    if (lock->version != BT_FS_ANY_VERSION &&
        bt_fs_replace_if(lock->path, lock->text.data, lock->text.len, lock->version, &lock->version,
                         &ignored) == BT_OK) {
        return true;
    }
    if (bt_fs_stat(lock->path, &info, &ignored) != BT_OK) {
        return true; /* not reached: perhaps the next time */
    }
    if (info.kind == BT_FS_MISSING) {
        return make_again(lock);
    }
    if (read_entry(lock, &entry, &is_entry, &ignored) != BT_OK) {
        return true;
    }
    if (!is_entry || !bt_str_equal(entry.token, lock->mine.token)) {
        return false;
    }
    lock->version = info.version;
    if (info.version == BT_FS_ANY_VERSION &&
        bt_fs_replace_if(lock->path, lock->text.data, lock->text.len, BT_FS_ANY_VERSION,
                         &lock->version, &ignored) != BT_OK) {
        lock->version = BT_FS_ANY_VERSION; /* not reached */
    }
    return true;
}

void lock_store_release(bt_fs_lock *lock) {
    bt_error   ignored = BT_ERROR_INIT;
    lock_entry entry = {0};
    bool       is_entry = false;
    if (read_entry(lock, &entry, &is_entry, &ignored) == BT_OK && is_entry &&
        bt_str_equal(entry.token, lock->mine.token) &&
        bt_fs_remove(lock->path, &ignored) != BT_OK) {
        bt_log(BT_LOG_WARNING, "%s", ignored.msg);
    }
}
