/* SPDX-License-Identifier: Apache-2.0
 *
 * One writer of a folder. The lock is a file in it that is made, with its entry, by link(): at once
 * and by one process only, on file servers too. Its owner keeps it locked (flock), so the kernel
 * knows when the process is gone, however it went; the path is the lock, so it is always looked
 * whether the file that was locked is still the one of that name. Where other kernels may come (a
 * folder of a file server) their owners cannot be looked at: such a lock is touched all the time,
 * and void when nothing was heard of it for its lease. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/cores.h"
#include "bt/base/log.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"
#include "fs_internal.h"
#include "fs_lock.h"

enum { MAX_ROUNDS = 200, RENEWALS_PER_LEASE = 6 };
static const long round_nanoseconds = 10 * 1000 * 1000;

typedef enum kernel_lock { KERNEL_LOCK_GOT, KERNEL_LOCK_BUSY, KERNEL_LOCK_NONE } kernel_lock;

static kernel_lock lock_kernel(int fd) {
    int result = -1;
    if (lock_test_world.no_kernel_locks) {
        return KERNEL_LOCK_NONE;
    }
    do {
        result = flock(fd, LOCK_EX | LOCK_NB);
    } while (result != 0 && errno == EINTR);
    if (result == 0) {
        return KERNEL_LOCK_GOT;
    }
    return errno == EWOULDBLOCK ? KERNEL_LOCK_BUSY : KERNEL_LOCK_NONE;
}

/* File systems that only one kernel at a time can have mounted: its word on locks is the last. */
bool fs_is_shared_folder(const char *folder) {
    /* ext2 to ext4, XFS, Btrfs, tmpfs, ramfs, overlay, F2FS, ZFS, FAT: of <linux/magic.h> */
    static const long alone[] = {0xef53,     0x58465342, 0x9123683e, 0x01021994, 0x858458f6,
                                 0x794c7630, 0xf2f52010, 0x2fc12fc1, 0x4d44};
    struct statfs     st;
    const char *const set = getenv("BERT_TRAIN_LOCK_SHARED");
    if (lock_test_world.is_shared || bt_str_equal(set, "1") || statfs(folder, &st) != 0) {
        return true;
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(alone); i++) {
        if ((long)st.f_type == alone[i]) {
            return false;
        }
    }
    return true;
}

static double modified(const struct stat *st) {
    return (double)st->st_mtim.tv_sec + 1e-9 * (double)st->st_mtim.tv_nsec;
}

static bool is_same_file(const struct stat *a, const struct stat *b) {
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

/* Is path still the name of the open file? */
static bool is_name_of(const char *path, int fd) {
    struct stat named;
    struct stat opened;
    return lstat(path, &named) == 0 && fstat(fd, &opened) == 0 && is_same_file(&named, &opened);
}

static bt_status write_entry(const bt_fs_lock *lock, int fd, bt_error *err) {
    size_t done = 0;
    while (done < lock->text.len) {
        const ssize_t n = fs_sys_write(fd, lock->text.data + done, lock->text.len - done);
        if (n < 0) {
            return fs_fail_write(lock->path, "write", errno, err);
        }
        done += (size_t)n;
    }
    return BT_OK;
}

/* Where a file system has no hard links: made by name, and then written. */
static int make_by_name(const bt_fs_lock *lock) {
    const int fd = fs_sys_open(lock->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW);
    if (fd < 0) {
        return -1;
    }
    (void)lock_kernel(fd);
    if (write_entry(lock, fd, NULL) != BT_OK) {
        const int why = errno;
        fs_discard(lock->path);
        (void)close(fd);
        errno = why;
        return -1;
    }
    return fd;
}

static bool has_no_links(int errnum) {
    return errnum == EPERM || errnum == ENOSYS || errnum == EOPNOTSUPP || errnum == EMLINK;
}

/* lock->fd is set when this process made the lock; it stays -1 where one is there. */
static bt_status make_lock(bt_fs_lock *lock, bt_error *err) {
    bt_status   rc = BT_OK;
    char       *temporary = NULL;
    int         fd = -1;
    struct stat st = {0};
    BT_CHECK(fs_temporary_open(lock->path, 0666, &temporary, &fd, err));
    BT_CHECK(write_entry(lock, fd, err));
    lock->is_shared = lock_kernel(fd) == KERNEL_LOCK_NONE || lock->is_shared;
    if (lock->is_shared) {
        (void)fsync(fd); /* only so that the server, and not this host, says what time it is */
    }
    lock->now = fstat(fd, &st) == 0 ? modified(&st) : bt_time_unix();
    const int linked = fs_sys_link(temporary, lock->path);
    const int why = linked == 0 ? 0 : errno;
    /* a file server's answer may be lost: two names say that the link was made */
    if (linked == 0 || (fstat(fd, &st) == 0 && st.st_nlink == 2)) {
        lock->fd = fd;
        fd = -1;
    } else if (has_no_links(why)) {
        lock->fd = make_by_name(lock);
        if (lock->fd < 0 && errno != EEXIST) {
            rc = fs_fail_write(lock->path, "create", errno, err);
        }
    } else if (why != EEXIST) {
        rc = fs_fail_write(lock->path, "create", why, err);
    }
done:
    if (temporary != NULL) {
        fs_discard(temporary);
        bt_free(temporary);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return rc;
}

typedef struct met_lock {
    int         fd;
    struct stat st;
    kernel_lock kernel;
    bool        has_entry;
    lock_entry  entry;
    const char *why; /* nobody holds it; NULL: to be looked at again */
    bool        is_guess;
} met_lock;

/* met->fd is -1 when there is none (any more). */
static bt_status open_met(const bt_fs_lock *lock, met_lock *met, bt_error *err) {
    const int flags = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    *met = (met_lock){.fd = fs_sys_open(lock->path, O_RDWR | flags)};
    if (met->fd < 0 && (errno == EACCES || errno == EPERM || errno == EROFS)) {
        met->fd = fs_sys_open(lock->path, O_RDONLY | flags); /* another user's */
    }
    if (met->fd < 0 && errno == ENOENT) {
        return BT_OK;
    }
    const int why = met->fd < 0 ? errno : 0;
    if (met->fd < 0 && why != ELOOP && why != ENXIO && why != EISDIR) {
        return fs_fail_write(lock->path, "open", why, err);
    }
    if (met->fd < 0 || fstat(met->fd, &met->st) != 0 || !S_ISREG(met->st.st_mode)) {
        return BT_FAIL(
            err, BT_E_RESOURCE,
            "%s is not a regular file, so it cannot be the lock of that folder: remove it",
            lock->path);
    }
    return BT_OK;
}

static bt_status read_met(const bt_fs_lock *lock, met_lock *met, bt_error *err) {
    char          text[LOCK_ENTRY_MAX_BYTES];
    bool          no_memory = false;
    const ssize_t n = fs_sys_pread(met->fd, text, sizeof text, 0);
    if (n < 0) {
        return fs_fail_read(lock->path, errno, err);
    }
    met->has_entry = lock_entry_parse(text, (size_t)n, &met->entry, &no_memory);
    return no_memory ? BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot read %s", lock->path)
                     : BT_OK;
}

/* Gives the file another name and removes it if it is still the one that was looked at. Another
 * that came into its place meanwhile gets its name back. */
static bt_status put_aside(const char *path, const struct stat *looked_at, bt_error *err) {
    bt_str      aside = BT_STR_INIT;
    struct stat st;
    bt_status   rc = BT_OK;
    BT_CHECK(fs_temporary_name(path, &aside, err));
    if (fs_sys_rename(path, bt_str_text(&aside)) != 0) {
        rc = errno == ENOENT ? BT_OK : fs_fail_write(path, "take over", errno, err);
        goto done;
    }
    if (lstat(bt_str_text(&aside), &st) == 0 && !is_same_file(&st, looked_at) &&
        fs_sys_link(bt_str_text(&aside), path) != 0 && errno != EEXIST) {
        rc = fs_fail_write(path, "give its name back to", errno, err);
    }
    fs_discard(bt_str_text(&aside));
done:
    bt_str_deinit(&aside);
    return rc;
}

/* Without the kernel's word, of all who find the same lock void only one may remove it: who makes
 * the file that is named after it, and then still finds that lock. */
static bt_status put_void_aside(const bt_fs_lock *lock, const met_lock *met, bt_error *err) {
    bt_str      guard = BT_STR_INIT;
    bt_status   rc = BT_OK;
    struct stat st;
    BT_CHECK(met->has_entry
                 ? bt_str_appendf(&guard, err, "%s.void-%s", lock->path, met->entry.token)
                 : bt_str_appendf(&guard, err, "%s.void-%" PRIu64, lock->path,
                                  (uint64_t)met->st.st_ino));
    const int fd = fs_sys_open(bt_str_text(&guard), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW);
    if (fd < 0 && errno != EEXIST) {
        rc = fs_fail_write(lock->path, "take over", errno, err);
        goto done;
    }
    if (fd >= 0) {
        (void)close(fd);
        rc = is_name_of(lock->path, met->fd) ? put_aside(lock->path, &met->st, err) : BT_OK;
        fs_discard(bt_str_text(&guard));
    } else if (lstat(bt_str_text(&guard), &st) == 0 &&
               lock->now - modified(&st) > lock->mine.lease) {
        rc = put_aside(bt_str_text(&guard), &st, err); /* of one that died in the middle of it */
    }
done:
    bt_str_deinit(&guard);
    return rc;
}

/* Why nobody holds it, or the refusal. */
static bt_status judge(const bt_fs_lock *lock, met_lock *met, bt_error *err) {
    const lock_entry *const entry = met->has_entry ? &met->entry : NULL;
    const bool              is_ours = entry != NULL && lock_entry_same_kernel(entry);
    const lock_owner        owner = entry != NULL ? lock_entry_owner(entry) : LOCK_OWNER_UNKNOWN;
    if (met->kernel == KERNEL_LOCK_BUSY) {
        return lock_judge_held(lock, entry, err);
    }
    if (met->kernel == KERNEL_LOCK_GOT && (is_ours || !lock->is_shared)) {
        met->why = is_ours ? "its process has ended" : "nobody holds it, as after a power cut";
        return BT_OK;
    }
    if (met->kernel == KERNEL_LOCK_NONE && owner == LOCK_OWNER_LIVES) {
        return lock_judge_held(lock, entry, err);
    }
    if (owner == LOCK_OWNER_GONE) {
        met->why = "its process has ended";
        return BT_OK;
    }
    met->why = "it was not heard from for too long";
    met->is_guess = true;
    return lock_judge_lease(lock, entry, lock->now - modified(&met->st), err);
}

/* Its owner may be about to write its entry, to take over or to end: that is not yet the answer. */
static bool may_change(const met_lock *met, int round) {
    return met->kernel == KERNEL_LOCK_BUSY && round < MAX_ROUNDS - 1 &&
           (!met->has_entry || lock_entry_owner(&met->entry) == LOCK_OWNER_GONE);
}

/* What is there of it is void, or goes, or is refused; met->fd stays open where there is one. */
static bt_status look_at(const bt_fs_lock *lock, int round, met_lock *met, bt_error *err) {
    BT_TRY(open_met(lock, met, err));
    if (met->fd < 0) {
        return BT_OK;
    }
    met->kernel = lock_kernel(met->fd);
    if (!is_name_of(lock->path, met->fd)) {
        return BT_OK; /* it was given back, or taken over, since it was opened */
    }
    BT_TRY(read_met(lock, met, err));
    return may_change(met, round) ? BT_OK : judge(lock, met, err);
}

/* Refuses, or makes place for the next try. */
static bt_status meet_lock(bt_fs_lock *lock, int round, bt_error *err) {
    bt_status rc = BT_OK;
    met_lock  met = {.fd = -1};
    BT_CHECK(look_at(lock, round, &met, err));
    if (met.why != NULL) {
        BT_CHECK(lock_note_taken(lock, met.has_entry ? &met.entry : NULL, met.why, err));
        BT_CHECK(met.kernel == KERNEL_LOCK_GOT && !met.is_guess
                     ? put_aside(lock->path, &met.st, err)
                     : put_void_aside(lock, &met, err));
    }
done:
    if (met.fd >= 0) {
        (void)close(met.fd);
    }
    return rc;
}

static bt_status look_local(bt_fs_lock *lock, bt_error *err) {
    const struct timespec pause = {.tv_nsec = round_nanoseconds};
    lock->is_shared = fs_is_shared_folder(lock->folder);
    lock->now = bt_time_unix(); /* a file server's own time would take a file there to tell */
    if (access(lock->folder, R_OK) != 0 && errno == EACCES) { /* whoever takes it sweeps there */
        return fs_fail_read(lock->folder, EACCES, err);
    }
    for (int round = 0; round < MAX_ROUNDS; round++) {
        met_lock        met = {.fd = -1};
        const bt_status rc = look_at(lock, round, &met, err);
        const bool      is_there = met.fd >= 0;
        if (is_there) {
            (void)close(met.fd);
        }
        if (rc != BT_OK || !is_there || met.why != NULL) {
            return rc;
        }
        (void)nanosleep(&pause, NULL);
    }
    return BT_OK; /* it comes and goes: its next owner will see */
}

static bt_status take_local(bt_fs_lock *lock, bt_error *err) {
    const struct timespec pause = {.tv_nsec = round_nanoseconds};
    lock->is_shared = fs_is_shared_folder(lock->folder);
    BT_TRY(bt_fs_sweep(lock->folder, bt_fs_basename(lock->path), err)); /* of killed takers */
    for (int round = 0; round < MAX_ROUNDS; round++) {
        BT_TRY(make_lock(lock, err));
        if (lock->fd >= 0) {
            break;
        }
        BT_TRY(meet_lock(lock, round, err));
        if (round > 0) {
            (void)nanosleep(&pause, NULL);
        }
    }
    if (lock->fd < 0) {
        return BT_FAIL(err, BT_E_RESOURCE, "%s: cannot be made: it comes and goes", lock->path);
    }
    return BT_OK;
}

/* The lock was removed by hand: made again, if nobody else has done so. */
static bool make_again(bt_fs_lock *lock) {
    const int old = lock->fd;
    bt_error  ignored = BT_ERROR_INIT;
    lock->fd = -1;
    if (make_lock(lock, &ignored) != BT_OK || lock->fd < 0) {
        lock->fd = old;
        return false;
    }
    (void)close(old);
    bt_log(BT_LOG_WARNING, "%s was removed while this process was at work: it is made again",
           lock->path);
    return true;
}

static bool still_have(bt_fs_lock *lock) {
    struct stat st;
    if (is_name_of(lock->path, lock->fd)) {
        return true;
    }
    return lstat(lock->path, &st) != 0 && errno == ENOENT && make_again(lock);
}

static void *renew_thread(void *context) {
    bt_fs_lock *const lock = context;
    struct timespec   until;
    const double      wait = lock->mine.lease / (double)RENEWALS_PER_LEASE;
    bt_cpus_unbind();
    bt_stop_shield(
        true); /* a program that was asked to stop still saves, and needs the lock for that */
    (void)pthread_mutex_lock(&lock->mutex);
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    while (!lock->must_end && !lock->is_lost) {
        until.tv_sec += (time_t)wait;
        until.tv_nsec += (long)((wait - (double)(time_t)wait) * 1e9);
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        int woken = 0;
        while (!lock->must_end && woken == 0) {
            woken = pthread_cond_timedwait(&lock->wake, &lock->mutex, &until);
        }
        if (lock->must_end) {
            break;
        }
        if (lock->is_remote) {
            /* only this thread writes the object, and the asking thread must not wait for a store
             */
            (void)pthread_mutex_unlock(&lock->mutex);
            const bool is_lost = !lock_store_renew(lock);
            (void)pthread_mutex_lock(&lock->mutex);
            lock->is_lost = is_lost;
        } else {
            lock->is_lost = !still_have(lock);
            (void)futimens(lock->fd, NULL);
        }
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
    }
    (void)pthread_mutex_unlock(&lock->mutex);
    bt_stop_shield(false);
    return NULL;
}

/* All signals stay with the other threads: a handler must wake the one that waits. */
static bt_status start_thread(bt_fs_lock *lock, bt_error *err) {
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failure = pthread_create(&lock->thread, NULL, renew_thread, lock);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    lock->has_thread = failure == 0;
    return failure == 0 ? BT_OK
                        : BT_FAIL(err, BT_E_RESOURCE, "no thread for the lock of %s: %s",
                                  lock->folder, strerror(failure));
}

static void lock_free(bt_fs_lock *lock) {
    if (lock->fd >= 0) {
        (void)close(lock->fd);
    }
    (void)pthread_mutex_destroy(&lock->mutex);
    (void)pthread_cond_destroy(&lock->wake);
    bt_str_deinit(&lock->text);
    bt_str_deinit(&lock->taken_from);
    bt_free(lock->folder);
    bt_free(lock->path);
    bt_free(lock);
}

static bt_status lock_create(const char *folder, const char *name, const char *what,
                             bt_fs_lock **out, bt_error *err) {
    pthread_condattr_t attributes;
    bt_fs_lock *const  lock = bt_calloc_array(1, sizeof *lock);
    if (lock == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the lock of %s", folder);
    }
    lock->fd = -1;
    lock->version = BT_FS_ANY_VERSION;
    lock->is_remote = fs_is_served(folder);
    (void)pthread_mutex_init(&lock->mutex, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&lock->wake, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    bt_status rc = BT_OK;
    lock->folder = bt_strdup(folder);
    if (lock->folder == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for the lock of %s", folder);
        goto done;
    }
    BT_CHECK(bt_fs_join(folder, name, &lock->path, err));
    BT_CHECK(lock_entry_fill(&lock->mine, what, err));
    BT_CHECK(lock_entry_format(&lock->mine, &lock->text, err));
    *out = lock;
    return BT_OK;
done:
    lock_free(lock);
    return rc;
}

bt_status bt_fs_lock_take(const char *folder, const char *name, const char *what, bt_fs_lock **out,
                          bt_error *err) {
    bt_fs_lock *lock = NULL;
    if (!fs_is_served(folder)) {
        BT_TRY(bt_fs_require_folder(folder, err));
    }
    BT_TRY(lock_create(folder, name, what, &lock, err));
    bt_status rc = lock->is_remote ? lock_store_take(lock, err) : take_local(lock, err);
    if (rc == BT_OK && (lock->is_remote || lock->is_shared)) {
        rc = start_thread(lock, err);
        if (rc != BT_OK) {
            bt_fs_lock_release(lock);
            return rc;
        }
    }
    if (rc != BT_OK) {
        lock_free(lock);
        return rc;
    }
    if (lock->taken_from.len > 0) {
        bt_log(BT_LOG_INFO, "%s: its lock was left from %s; it is taken over", folder,
               lock->taken_from.data);
    }
    *out = lock;
    return BT_OK;
}

bt_status bt_fs_lock_look(const char *folder, const char *name, bt_error *err) {
    bt_fs_lock *lock = NULL;
    BT_TRY(lock_create(folder, name, "", &lock, err));
    const bt_status rc = lock->is_remote ? lock_store_look(lock, err) : look_local(lock, err);
    lock_free(lock);
    return rc;
}

bt_status bt_fs_lock_check(bt_fs_lock *lock, bt_error *err) {
    if (lock == NULL) {
        return BT_OK;
    }
    (void)pthread_mutex_lock(&lock->mutex);
    if (!lock->is_remote && !lock->is_lost) {
        lock->is_lost = !still_have(lock);
    }
    const bool is_lost = lock->is_lost;
    (void)pthread_mutex_unlock(&lock->mutex);
    return is_lost ? lock_fail_lost(lock, err) : BT_OK;
}

void bt_fs_lock_release(bt_fs_lock *lock) {
    if (lock == NULL) {
        return;
    }
    if (lock->has_thread) {
        (void)pthread_mutex_lock(&lock->mutex);
        lock->must_end = true;
        (void)pthread_cond_signal(&lock->wake);
        (void)pthread_mutex_unlock(&lock->mutex);
        (void)pthread_join(lock->thread, NULL);
    }
    if (lock->is_remote && !lock->is_lost) {
        lock_store_release(lock);
    } else if (!lock->is_remote && is_name_of(lock->path, lock->fd)) {
        fs_discard(lock->path); /* while it is still held: who waits for it sees that it is gone */
    }
    lock_free(lock);
}
