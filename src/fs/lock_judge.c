/* SPDX-License-Identifier: Apache-2.0
 *
 * What is said about the lock of another process: that it is in use, until when it counts, or why
 * it does not count any more. */
#include <math.h>

#include "fs_lock.h"

static bt_status describe(const lock_entry *entry, bt_str *out, bt_error *err) {
    return entry != NULL ? lock_entry_describe(entry, out, err)
                         : bt_str_append(out, "a process whose entry cannot be read", err);
}

bt_status lock_judge_held(const bt_fs_lock *lock, const lock_entry *entry, bt_error *err) {
    bt_str    who = BT_STR_INIT;
    bt_status rc = describe(entry, &who, err);
    if (rc == BT_OK) {
        rc = BT_FAIL(err, BT_E_RESOURCE,
                     "%.300s is in use: %.400s (%.300s): wait for that process or stop it, or name "
                     "another folder here",
                     lock->folder, bt_str_text(&who), bt_fs_basename(lock->path));
    }
    bt_str_deinit(&who);
    return rc;
}

bt_status lock_judge_lease(const bt_fs_lock *lock, const lock_entry *entry, double age,
                           bt_error *err) {
    bt_str       who = BT_STR_INIT;
    const double lease = entry != NULL ? entry->lease : lock->mine.lease;
    if (age > lease) {
        return BT_OK;
    }
    bt_status rc = describe(entry, &who, err);
    if (rc == BT_OK) {
        rc = BT_FAIL(
            err, BT_E_RESOURCE,
            "%.250s is in use: %.350s, heard from %.0f s ago: if that process is gone, start "
            "again in %.0f s (its lock is void %.0f s after its last word), or at once "
            "after removing %.250s",
            lock->folder, bt_str_text(&who), age > 0 ? age : 0.0,
            ceil(lease - (age > 0 ? age : 0.0)), lease, lock->path);
    }
    bt_str_deinit(&who);
    return rc;
}

bt_status lock_note_taken(bt_fs_lock *lock, const lock_entry *entry, const char *why,
                          bt_error *err) {
    bt_str_clear(&lock->taken_from);
    BT_TRY(describe(entry, &lock->taken_from, err));
    return bt_str_appendf(&lock->taken_from, err, ": %s", why);
}

bt_status lock_fail_lost(const bt_fs_lock *lock, bt_error *err) {
    bt_fs_info info;
    bt_error   ignored = BT_ERROR_INIT;
    if (bt_fs_stat(lock->folder, &info, &ignored) == BT_OK && info.kind == BT_FS_MISSING) {
        return BT_FAIL(err, BT_E_RESOURCE,
                       "%s was removed or renamed while this process was at work: nothing more is "
                       "written there",
                       lock->folder);
    }
    return BT_FAIL(err, BT_E_RESOURCE,
                   "%s: another process has taken the lock %s of this one, which was not heard "
                   "from for too long or whose lock was removed: nothing more is written there",
                   lock->folder, bt_fs_basename(lock->path));
}
