/* SPDX-License-Identifier: Apache-2.0
 *
 * fs, private: what the files of the lock share. A lock is a file whose entry says who has it; what
 * holds it is the kernel (flock) where all who could come share one kernel, and else the entry and
 * the time of its last renewal. */
#ifndef BT_FS_LOCK_H
#define BT_FS_LOCK_H

#include <pthread.h>

#include "bt/fs.h"

enum { LOCK_TEXT_MAX = 256, LOCK_TOKEN_MAX = 33, LOCK_ENTRY_MAX_BYTES = 4096 };

typedef struct lock_entry {
    char    host[LOCK_TEXT_MAX];
    char    boot[LOCK_TEXT_MAX]; /* of the kernel, anew at each start of it; "": not known */
    char    what[LOCK_TEXT_MAX]; /* the work: "bert-train --mode=train" */
    char    token[LOCK_TOKEN_MAX];
    int64_t pid;
    int64_t pid_space;       /* the namespace in which pid counts; 0: not known */
    int64_t process_started; /* ticks since the start of the kernel; 0: not known */
    double  since;           /* seconds since 1970 */
    double  lease;           /* renewed more often than that, in seconds, where it must be */
} lock_entry;

typedef enum lock_owner {
    LOCK_OWNER_LIVES,
    LOCK_OWNER_GONE,   /* proven */
    LOCK_OWNER_UNKNOWN /* of another host, or of a part of this one that cannot be looked into */
} lock_owner;

struct bt_fs_lock {
    char           *folder;
    char           *path;
    lock_entry      mine;
    bt_str          text; /* mine, as it is in the file */
    bool            is_remote;
    bool            is_shared;  /* other kernels may come: renewed by a thread */
    bt_str          taken_from; /* whose void lock was found; said when it was taken over */
    int             fd;         /* local */
    double          now;        /* local: by the clock of the file server */
    int64_t         version;    /* remote: of what we wrote last */
    bool            has_thread;
    pthread_t       thread;
    pthread_mutex_t mutex; /* of the rest */
    pthread_cond_t  wake;
    bool            must_end;
    bool            is_lost; /* another one has it */
};

/* lock_entry.c: this process; the file's text and back (false: none of ours; *out_of_memory). */
BT_MUST_USE bt_status lock_entry_fill(lock_entry *entry, const char *what, bt_error *err);
BT_MUST_USE bt_status lock_entry_format(const lock_entry *entry, bt_str *out, bt_error *err);
bool lock_entry_parse(const char *text, size_t n, lock_entry *out, bool *out_of_memory);
/* Does the process that wrote the entry still run? */
lock_owner lock_entry_owner(const lock_entry *entry);
bool       lock_entry_same_kernel(const lock_entry *entry);
/* "bert-train --mode=train, process 12 on host a, since 2026-01-31 12:00:00 UTC" */
BT_MUST_USE bt_status lock_entry_describe(const lock_entry *entry, bt_str *out, bt_error *err);

/* lock_judge.c: entry NULL: the file is not one of ours, or torn. age: seconds since the last
 * renewal. The refusal, or (BT_OK) the note of why the lock may be taken over. */
BT_MUST_USE bt_status lock_judge_held(const bt_fs_lock *lock, const lock_entry *entry,
                                      bt_error *err);
BT_MUST_USE bt_status lock_judge_lease(const bt_fs_lock *lock, const lock_entry *entry, double age,
                                       bt_error *err);
BT_MUST_USE bt_status lock_note_taken(bt_fs_lock *lock, const lock_entry *entry, const char *why,
                                      bt_error *err);
bt_status             lock_fail_lost(const bt_fs_lock *lock, bt_error *err);

/* lock_store.c */
BT_MUST_USE bt_status lock_store_take(bt_fs_lock *lock, bt_error *err);
/* Would it be refused now? Writes nothing. */
BT_MUST_USE bt_status lock_store_look(bt_fs_lock *lock, bt_error *err);
/* false: it is another's now. What only did not work is tried again the next time. */
bool lock_store_renew(bt_fs_lock *lock);
void lock_store_release(bt_fs_lock *lock);

/* Tests: how the world looks to this process. boot NULL: as it is. */
typedef struct lock_world {
    const char *boot;
    bool        is_shared;       /* as if the folder were one of a file server */
    bool        no_kernel_locks; /* as if flock were not there */
} lock_world;
extern lock_world lock_test_world;

#endif
