/* SPDX-License-Identifier: Apache-2.0
 *
 * One writer of a folder: real second processes, kills, entries that are torn or of another host,
 * numbers of processes that come again, and many that start at the same instant. Hosts are played:
 * another start of the kernel, no locks of the kernel, as on a file server without any. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "fs_lock.h"
#include "test_support.h"

#define NAME BT_FS_LOCK_NAME

static void lock_path(const char *folder, char path[TEST_PATH_MAX]) {
    (void)snprintf(path, TEST_PATH_MAX, "%s/%s", folder, NAME);
}

static int reset_world(void **state) {
    (void)state;
    lock_test_world = (lock_world){0};
    (void)unsetenv("BERT_TRAIN_LOCK_SECONDS");
    return 0;
}

static void assert_only_in(const char *folder, size_t n) {
    bt_fs_names names = BT_FS_NAMES_INIT;
    assert_ok(bt_fs_list(folder, &names, err));
    assert_int_equal(names.n, n);
    bt_fs_names_deinit(&names);
}

static void make_old(const char *path, double seconds) {
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
    const struct timespec then[2] = {{.tv_sec = now.tv_sec - (time_t)seconds},
                                     {.tv_sec = now.tv_sec - (time_t)seconds}};
    assert_int_equal(utimensat(AT_FDCWD, path, then, 0), 0);
}

/* An entry as this process would write it, changed by the caller. */
static void write_entry(const char *path, const lock_entry *entry) {
    bt_str text = BT_STR_INIT;
    assert_ok(lock_entry_format(entry, &text, err));
    test_write_file(path, text.data, text.len);
    bt_str_deinit(&text);
}

static void assert_takes(const char *folder) {
    bt_fs_lock *lock = NULL;
    bt_fs_names before = BT_FS_NAMES_INIT;
    assert_ok(bt_fs_list(folder, &before, err));
    assert_ok(bt_fs_lock_look(folder, NAME, err)); /* which leaves what is left there */
    assert_only_in(folder, before.n);
    bt_fs_names_deinit(&before);
    assert_ok(bt_fs_lock_take(folder, NAME, "a test", &lock, err));
    assert_ok(bt_fs_lock_check(lock, err));
    bt_fs_lock_release(lock);
    assert_only_in(folder, 0);
}

/* The folder is in use; the message holds the words, also for a process that only looks. */
static void assert_refused(const char *folder, const char *words) {
    bt_fs_lock *lock = NULL;
    assert_fails(bt_fs_lock_look(folder, NAME, err), BT_E_RESOURCE, words);
    assert_fails(bt_fs_lock_take(folder, NAME, "b", &lock, err), BT_E_RESOURCE, words);
    assert_null(lock);
}

static void test_second_is_refused(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    bt_fs_lock       *lock = NULL;
    bt_fs_lock       *other = NULL;
    char              facts[128];
    assert_ok(bt_fs_lock_take(folder, NAME, "bert-train --mode=train", &lock, err));
    (void)snprintf(facts, sizeof facts, "is in use: bert-train --mode=train, process %ld on host ",
                   (long)getpid());
    assert_refused(folder, facts);
    assert_refused(folder, ", since 2");
    assert_null(other);
    assert_ok(bt_fs_lock_take(folder, BT_FS_LOCK_EVAL_NAME, "b", &other, err));
    bt_fs_lock_release(other);
    assert_ok(bt_fs_lock_check(lock, err));
    assert_only_in(folder, 1);
    bt_fs_lock_release(lock);
    bt_fs_lock_release(NULL);
    assert_ok(bt_fs_lock_check(NULL, err));
    assert_takes(folder);
    assert_fails(bt_fs_lock_take("/no/such/folder", NAME, "b", &other, err), BT_E_IO, "no such");
}

/* A child that takes the lock and is killed with it. */
static void leave_stale(const char *folder) {
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* when an assertion fails here */
        bt_fs_lock *lock = NULL;
        bt_error    err = BT_ERROR_INIT;
        const char  ok = bt_fs_lock_take(folder, NAME, "a child", &lock, &err) == BT_OK ? '1' : '0';
        (void)!write(ready[1], &ok, 1);
        (void)pause();
        _exit(0);
    }
    char ok = '?';
    assert_int_equal(read(ready[0], &ok, 1), 1);
    assert_int_equal(ok, '1');
    char facts[64];
    (void)snprintf(facts, sizeof facts, "a child, process %ld on", (long)child);
    assert_refused(folder, facts);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    (void)close(ready[0]);
    (void)close(ready[1]);
    assert_only_in(folder, 1);
}

static void test_killed_owner(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    leave_stale(folder);
    assert_takes(folder);
    lock_test_world.is_shared = true;
    leave_stale(folder);
    assert_takes(folder);
    lock_test_world.no_kernel_locks = true;
    leave_stale(folder);
    assert_takes(folder);
}

static void test_torn_entries(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        "{",
        "\n\n\n",
        "[1, 2]",
        "{\"lock\": \"bert-train\"}",
        "{\"host\": 3, \"boot\": \"\", \"what\": \"\", \"token\": \"\", \"pid\": -1}"};
    const char *const folder = test_temp_dir();
    char              path[TEST_PATH_MAX];
    lock_path(folder, path);
    for (size_t i = 0; i < BT_ARRAY_LEN(texts); i++) {
        test_write_file(path, texts[i], strlen(texts[i]));
        assert_takes(folder);
    }
    /* where others may come, a torn entry may be of one that begins to write */
    lock_test_world.is_shared = true;
    for (size_t i = 0; i < BT_ARRAY_LEN(texts); i++) {
        test_write_file(path, texts[i], strlen(texts[i]));
        assert_refused(folder, "a process whose entry cannot be read");
        make_old(path, 181);
        assert_takes(folder);
    }
}

static void test_processes(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    char              path[TEST_PATH_MAX];
    lock_entry        entry;
    lock_path(folder, path);
    assert_ok(lock_entry_fill(&entry, "an entry", err));
    assert_true(entry.process_started > 0 && entry.pid_space > 0 && entry.boot[0] != '\0');
    assert_int_equal(lock_entry_owner(&entry), LOCK_OWNER_LIVES);
    /* the kernel knows that nobody holds it, whatever the entry says */
    write_entry(path, &entry);
    assert_takes(folder);
    lock_test_world.no_kernel_locks = true;
    write_entry(path, &entry);
    assert_refused(folder, "is in use");
    make_old(path, 1e6); /* the owner is seen to live: its age is nothing */
    assert_refused(folder, "is in use");
    entry.process_started--; /* the number came again */
    assert_int_equal(lock_entry_owner(&entry), LOCK_OWNER_GONE);
    write_entry(path, &entry);
    assert_takes(folder);
    entry.process_started++;
    entry.pid_space++; /* another container: not to be looked at */
    assert_int_equal(lock_entry_owner(&entry), LOCK_OWNER_UNKNOWN);
    write_entry(path, &entry);
    assert_refused(folder, "heard from 0 s ago");
}

static void test_other_hosts(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    char              path[TEST_PATH_MAX];
    lock_entry        entry;
    lock_path(folder, path);
    lock_test_world.boot = "another start";
    assert_ok(lock_entry_fill(&entry, "an entry", err));
    lock_test_world.boot = NULL;
    (void)snprintf(entry.host, sizeof entry.host, "far");
    write_entry(path, &entry); /* a disk that was moved here: only this kernel can have it */
    assert_takes(folder);
    lock_test_world.is_shared = true;
    for (int kernel = 0; kernel < 2; kernel++) {
        lock_test_world.no_kernel_locks = kernel == 1;
        write_entry(path, &entry);
        assert_refused(folder, "on host far, since ");
        make_old(path, 100);
        assert_refused(
            folder, " s (its lock is void 180 s after its last word), or at once after removing ");
        make_old(path, 181);
        assert_takes(folder);
    }
}

static void test_what_is_no_lock(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    char              path[TEST_PATH_MAX];
    char              victim[TEST_PATH_MAX];
    char             *text = NULL;
    size_t            n = 0;
    lock_path(folder, path);
    (void)snprintf(victim, sizeof victim, "%s/victim", folder);
    test_write_file(victim, "precious", 8);
    assert_int_equal(symlink(victim, path), 0);
    assert_refused(folder, "not a regular file");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("nowhere", path), 0);
    assert_refused(folder, "not a regular file");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_refused(folder, "not a regular file");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_refused(folder, "not a regular file");
    assert_int_equal(rmdir(path), 0);
    assert_ok(bt_fs_read_all(victim, 100, &text, &n, err));
    assert_string_equal(text, "precious");
    bt_free(text);
    assert_only_in(folder, 1);
}

static void test_removed_or_replaced(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    bt_fs_lock       *lock = NULL;
    bt_fs_lock       *other = NULL;
    char              path[TEST_PATH_MAX];
    lock_path(folder, path);
    assert_ok(bt_fs_lock_take(folder, NAME, "a", &lock, err));
    assert_int_equal(unlink(path), 0); /* by a user who was in a hurry */
    assert_ok(bt_fs_lock_check(lock, err));
    assert_refused(folder, "is in use");
    assert_int_equal(unlink(path), 0);
    assert_ok(bt_fs_lock_take(folder, NAME, "b", &other, err));
    assert_fails(bt_fs_lock_check(lock, err), BT_E_RESOURCE, "another process has taken the lock");
    bt_fs_lock_release(lock); /* not the other's */
    assert_ok(bt_fs_lock_check(other, err));
    assert_only_in(folder, 1);
    bt_fs_lock_release(other);
    assert_only_in(folder, 0);
}

/* On a file server an owner that lives renews its lock, so that other hosts never find it void. */
static void test_renewal(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    bt_fs_lock       *lock = NULL;
    assert_int_equal(setenv("BERT_TRAIN_LOCK_SECONDS", "3", 1), 0);
    lock_test_world = (lock_world){.is_shared = true, .no_kernel_locks = true};
    assert_ok(bt_fs_lock_take(folder, NAME, "a", &lock, err));
    lock_test_world.boot = "another host";
    for (int i = 0; i < 6; i++) {
        const struct timespec pause = {.tv_nsec = 700 * 1000 * 1000};
        (void)nanosleep(&pause, NULL);
        assert_refused(folder, "heard from");
    }
    assert_ok(bt_fs_lock_check(lock, err));
    bt_fs_lock_release(lock);
    assert_only_in(folder, 0);
}

enum { N_RACERS = 8 };

static void race(const char *folder, int number, int go, int result, int end, bool own_host) {
    char        boot[32];
    bt_fs_lock *lock = NULL;
    bt_error    err = BT_ERROR_INIT;
    char        byte = 0;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)snprintf(boot, sizeof boot, "host %d", number);
    lock_test_world.boot = own_host ? boot : NULL;
    (void)!read(go, &byte, 1); /* the end of the pipe: all are there */
    const bt_status rc = bt_fs_lock_take(folder, NAME, "a racer", &lock, &err);
    byte = rc == BT_OK ? 'y' : rc == BT_E_RESOURCE ? 'n' : '?';
    (void)!write(result, &byte, 1);
    (void)!read(end, &byte, 1); /* held until all have tried */
    bt_fs_lock_release(lock);
    _exit(0);
}

/* How many got it. */
static int run_race(const char *folder, bool own_host) {
    int   go[2];
    int   result[2];
    int   end[2];
    pid_t children[N_RACERS];
    int   n_won = 0;
    assert_int_equal(pipe(go) + pipe(result) + pipe(end), 0);
    for (int i = 0; i < N_RACERS; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            (void)close(go[1]);
            (void)close(end[1]);
            race(folder, i, go[0], result[1], end[0], own_host);
        }
    }
    (void)close(go[1]);
    for (int i = 0; i < N_RACERS; i++) {
        char byte = 0;
        assert_int_equal(read(result[0], &byte, 1), 1);
        assert_true(byte == 'y' || byte == 'n');
        n_won += byte == 'y' ? 1 : 0;
    }
    (void)close(end[1]);
    for (int i = 0; i < N_RACERS; i++) {
        assert_int_equal(waitpid(children[i], NULL, 0), children[i]);
    }
    (void)close(go[0]);
    (void)close(end[0]);
    (void)close(result[0]);
    (void)close(result[1]);
    return n_won;
}

static void test_same_instant(void **state) {
    (void)state;
    static const struct {
        lock_world  world;
        bool        own_host;
        bool        stale;
        int         n_rounds;
        const char *what;
    } rows[] = {
        {{0}, false, false, 20, "a local disk"},
        {{0}, false, true, 20, "a local disk, a lock that is left"},
        {{.is_shared = true}, true, false, 20, "hosts on a file server"},
        {{.is_shared = true, .no_kernel_locks = true}, true, false, 20, "one without locks"},
        {{.is_shared = true, .no_kernel_locks = true}, true, true, 20, "one with a void lock"},
    };
    for (size_t r = 0; r < BT_ARRAY_LEN(rows); r++) {
        const char *const folder = test_temp_dir();
        char              path[TEST_PATH_MAX];
        lock_entry        entry;
        lock_path(folder, path);
        const int n_rounds = test_is_emulated() ? 3 : rows[r].n_rounds;
        for (int round = 0; round < n_rounds; round++) {
            if (rows[r].stale) {
                lock_test_world.boot = "a host that is gone";
                assert_ok(lock_entry_fill(&entry, "gone", err));
                write_entry(path, &entry);
                make_old(path, 1000);
            }
            lock_test_world = rows[r].world;
            const int n_won = run_race(folder, rows[r].own_host);
            lock_test_world = (lock_world){0};
            if (n_won != 1) {
                fail_msg("%s, round %d: %d of %d got the lock", rows[r].what, round, n_won,
                         N_RACERS);
            }
            assert_only_in(folder, 0);
        }
    }
}

static void test_faults(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    char              path[TEST_PATH_MAX];
    lock_path(folder, path);
    for (int op = 0; op <= BT_FS_N_OPS; op++) { /* one more: the heap */
        for (uint64_t k = 1; k < 100; k++) {
            bt_fs_lock *lock = NULL;
            bt_error    err = BT_ERROR_INIT;
            test_write_file(path, "torn", 4);
            if (op < BT_FS_N_OPS) {
                bt_fs_fail_at((bt_fs_op)op, k, false);
            } else {
                bt_alloc_fail_at(k, false);
            }
            const uint64_t before =
                op < BT_FS_N_OPS ? bt_fs_op_count((bt_fs_op)op) : bt_alloc_count();
            const bt_status rc = bt_fs_lock_take(folder, NAME, "a", &lock, &err);
            const uint64_t  after =
                op < BT_FS_N_OPS ? bt_fs_op_count((bt_fs_op)op) : bt_alloc_count();
            if (op < BT_FS_N_OPS) {
                bt_fs_fail_at((bt_fs_op)op, 0, false);
            } else {
                bt_alloc_fail_at(0, false);
            }
            if (rc != BT_OK) {
                assert_true(err.msg[0] != '\0');
                (void)unlink(path); /* if the torn one is still there */
                assert_only_in(folder, 0);
                continue;
            }
            bt_fs_lock_release(lock);
            assert_only_in(folder, 0);
            if (after - before < k) {
                break;
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_second_is_refused, reset_world),
        cmocka_unit_test_teardown(test_killed_owner, reset_world),
        cmocka_unit_test_teardown(test_torn_entries, reset_world),
        cmocka_unit_test_teardown(test_processes, reset_world),
        cmocka_unit_test_teardown(test_other_hosts, reset_world),
        cmocka_unit_test_teardown(test_what_is_no_lock, reset_world),
        cmocka_unit_test_teardown(test_removed_or_replaced, reset_world),
        cmocka_unit_test_teardown(test_renewal, reset_world),
        cmocka_unit_test_teardown(test_same_instant, reset_world),
        cmocka_unit_test_teardown(test_faults, reset_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
