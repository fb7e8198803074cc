/* SPDX-License-Identifier: Apache-2.0
 *
 * Temporary files: names that nobody can know, permissions, what a killed writer leaves and what a
 * sweep must not touch; and what is not a regular file where one is expected. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/time.h"
#include "bt/fs.h"
#include "fs_internal.h"
#include "test_support.h"

static void make_path(const char *folder, const char *name, char path[TEST_PATH_MAX]) {
    (void)snprintf(path, TEST_PATH_MAX, "%s/%s", folder, name);
}

static size_t count(const char *folder) {
    bt_fs_names names = BT_FS_NAMES_INIT;
    assert_ok(bt_fs_list(folder, &names, err));
    const size_t n = names.n;
    bt_fs_names_deinit(&names);
    return n;
}

/* The path of the one temporary file in the folder. */
static void find_temporary(const char *folder, char path[TEST_PATH_MAX]) {
    bt_fs_names names = BT_FS_NAMES_INIT;
    path[0] = '\0';
    assert_ok(bt_fs_list(folder, &names, err));
    for (size_t i = 0; i < names.n; i++) {
        if (bt_fs_is_temporary(names.items[i])) {
            assert_string_equal(path, "");
            make_path(folder, names.items[i], path);
        }
    }
    bt_fs_names_deinit(&names);
    assert_string_not_equal(path, "");
}

static mode_t mode_of(const char *path) {
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISREG(st.st_mode));
    return st.st_mode & 07777;
}

static void test_names(void **state) {
    (void)state;
    enum { N = 64 };
    const char *const folder = test_temp_dir();
    bt_fs_writer     *writers[N];
    char              path[TEST_PATH_MAX];
    make_path(folder, "f", path);
    for (int i = 0; i < N; i++) {
        assert_ok(bt_fs_writer_create(path, &writers[i], err));
    }
    assert_int_equal(count(folder), N);
    for (int i = 0; i < N; i++) {
        bt_fs_writer_abort(writers[i]);
    }
    assert_int_equal(count(folder), 0);
    char name[256];
    memset(name, 'n', sizeof name - 1); /* the longest name that a file may have */
    name[sizeof name - 1] = '\0';
    make_path(folder, name, path);
    assert_ok(bt_fs_replace(path, "abc", 3, err));
    assert_ok(bt_fs_require_file(path, NULL, err));
    assert_int_equal(count(folder), 1);
    static const struct {
        const char *name;
        bool        is_ours;
    } rows[] = {{"a.tmp-0123456789abcdef", true},
                {".tmp-0123456789abcdef", true},
                {"a.tmp-0123456789abcdeg", false},
                {"a.tmp-0123456789abcde", false},
                {"a.tmp-0123456789abcdef0", false},
                {"a.tmp-0123456789ABCDEF", false},
                {"a.tmp-12-0", false},
                {"a.tmp", false},
                {"", false},
                {"a_tmp-0123456789abcdef", false}};
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        assert_int_equal(bt_fs_is_temporary(rows[i].name), rows[i].is_ours);
    }
}

/* Nobody reads more of a file than of the one that it replaces, at no time. */
static void test_modes(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    char              path[TEST_PATH_MAX];
    char              temporary[TEST_PATH_MAX];
    bt_fs_writer     *writer = NULL;
    const mode_t      before = umask(027);
    make_path(folder, "f", path);
    assert_ok(bt_fs_replace(path, "abc", 3, err));
    assert_int_equal(mode_of(path), 0640);
    static const mode_t modes[] = {0600, 0644, 0400, 0666};
    for (size_t i = 0; i < BT_ARRAY_LEN(modes); i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_ok(bt_fs_writer_create(path, &writer, err));
        find_temporary(folder, temporary);
        assert_int_equal(mode_of(temporary), 0600);
        assert_ok(bt_fs_writer_write(writer, "abcd", 4, err));
        assert_ok(bt_fs_writer_commit(&writer, err));
        assert_int_equal(mode_of(path), modes[i]);
    }
    (void)umask(before);
}

/* A child that is killed while it writes. */
static void leave_temporary(const char *path) {
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* when an assertion fails here */
        bt_fs_writer *writer = NULL;
        bt_error      err = BT_ERROR_INIT;
        const bool    ok = bt_fs_writer_create(path, &writer, &err) == BT_OK;
        (void)!write(ready[1], ok ? "y" : "n", 1);
        (void)pause();
        _exit(0);
    }
    char byte = 0;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    char *folder = NULL;
    assert_ok(bt_fs_parent(path, &folder, err));
    const size_t n = count(folder);
    assert_ok(bt_fs_sweep(folder, bt_fs_basename(path), err)); /* it lives */
    assert_int_equal(count(folder), n);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    (void)close(ready[0]);
    (void)close(ready[1]);
    bt_free(folder);
}

static void test_sweep(void **state) {
    (void)state;
    static const char *const others[] = {"a.tmp-12-0", "notes.tmp", "a.tmp-0123456789abcdeg"};
    const char *const        folder = test_temp_dir();
    char                     a[TEST_PATH_MAX];
    char                     b[TEST_PATH_MAX];
    char                     path[TEST_PATH_MAX];
    make_path(folder, "a", a);
    make_path(folder, "b", b);
    for (size_t i = 0; i < BT_ARRAY_LEN(others); i++) {
        make_path(folder, others[i], path);
        test_write_file(path, "precious", 8);
    }
    make_path(folder, "folder.tmp-0123456789abcdef", path);
    assert_int_equal(mkdir(path, 0700), 0);
    make_path(folder, "link.tmp-0123456789abcdef", path);
    assert_int_equal(symlink("notes.tmp", path), 0); /* just being made */
    leave_temporary(a);
    leave_temporary(b);
    assert_int_equal(count(folder), 7);
    assert_ok(bt_fs_sweep(folder, "a", err));
    assert_int_equal(count(folder), 6);
    assert_ok(bt_fs_sweep(folder, "c", err));
    assert_int_equal(count(folder), 6);
    assert_ok(bt_fs_sweep(folder, NULL, err));
    assert_int_equal(count(folder), 5);
    const struct timespec old[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
    assert_int_equal(utimensat(AT_FDCWD, path, old, AT_SYMLINK_NOFOLLOW), 0);
    assert_ok(bt_fs_sweep(folder, NULL, err));
    assert_int_equal(count(folder), 4);
    make_path(folder, "none", path);
    assert_ok(bt_fs_sweep(path, NULL, err));
}

static void test_stores_are_not_swept(void **state) {
    bt_error        problem = BT_ERROR_INIT;
    const bt_status rc = bt_fs_sweep("gs://bucket/none", NULL, &problem);
    (void)state;
    if (rc == BT_E_UNSUPPORTED) {
        test_skip("built without libcurl");
    }
    assert_int_equal(rc, BT_OK);
}

/* A sweep that comes between the end of the writing and the name finds it locked still. */
static void test_sweep_before_the_name(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    char              a[TEST_PATH_MAX];
    bt_fs_writer     *writer = NULL;
    make_path(folder, "a", a);
    assert_ok(bt_fs_writer_create(a, &writer, err));
    assert_ok(bt_fs_writer_write(writer, "x", 1, err));
    bt_fs_fail_at(BT_FS_OP_RENAME, 1, false);
    assert_fails(bt_fs_writer_commit(&writer, err), BT_E_RESOURCE, "a");
    bt_fs_fail_at(BT_FS_OP_RENAME, 0, false);
    assert_ok(bt_fs_sweep(folder, NULL, err));
    assert_int_equal(count(folder), 1);
    bt_fs_writer_abort(writer);
    assert_int_equal(count(folder), 0);
}

static void assert_refused(const char *path, const char *kind) {
    bt_file      *file = NULL;
    bt_fs_stream *stream = NULL;
    bt_fs_writer *writer = NULL;
    bt_fs_view    view;
    char         *all = NULL;
    size_t        n = 0;
    assert_fails(bt_fs_open(path, &file, err), BT_E_IO, kind);
    assert_fails(bt_fs_stream_open(path, &stream, err), BT_E_IO, kind);
    assert_fails(bt_fs_read_all(path, 100, &all, &n, err), BT_E_IO, kind);
    assert_fails(bt_fs_view_open(path, &view, err), BT_E_IO, kind);
    assert_fails(bt_fs_require_file(path, NULL, err), BT_E_IO, kind);
    assert_fails(bt_fs_refuse_special(path, err), BT_E_IO, kind);
    assert_fails(bt_fs_writer_append(path, &writer, err), BT_E_RESOURCE, "not a regular file");
}

static void test_special(void **state) {
    (void)state;
    const char *const  folder = test_temp_dir();
    char               path[TEST_PATH_MAX];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char              *all = NULL;
    size_t             n = 0;
    const double       start = bt_time_monotonic();
    make_path(folder, "pipe", path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_refused(path, "is a named pipe, but a file is expected");
    char link_path[TEST_PATH_MAX];
    make_path(folder, "link", link_path);
    assert_int_equal(symlink("pipe", link_path), 0);
    assert_refused(link_path, "is a named pipe");
    make_path(folder, "socket", path);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%.100s", path);
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    (void)close(fd);
    assert_refused(path, "is a socket");
    assert_refused("/dev/zero", "is a character device");
    assert_ok(bt_fs_read_all("/dev/null", 10, &all, &n, err));
    assert_int_equal(n, 0);
    bt_free(all);
    assert_true(bt_time_monotonic() - start <
                60); /* not waited for: a pipe's other end never comes */
}

/* What was handed over as a descriptor is read and written, be it a pipe or a socket. */
static void test_descriptors(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        int           ends[2];
        char          path[64];
        char         *all = NULL;
        size_t        n = 0;
        bt_fs_writer *writer = NULL;
        assert_int_equal(kind == 0 ? pipe(ends) : socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        (void)snprintf(path, sizeof path, "/dev/fd/%d", ends[1]);
        assert_ok(bt_fs_writer_create(path, &writer, err));
        assert_ok(bt_fs_writer_write(writer, "some text", 9, err));
        assert_ok(bt_fs_writer_commit(&writer, err));
        (void)close(ends[1]);
        (void)snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
        assert_ok(bt_fs_read_all(path, 100, &all, &n, err));
        assert_string_equal(all, "some text");
        bt_free(all);
        (void)close(ends[0]);
    }
}

/* A pipe that the user made for an output: its reader may come a little later. */
static void test_pipe_as_output(void **state) {
    (void)state;
    char          path[TEST_PATH_MAX];
    bt_fs_writer *writer = NULL;
    make_path(test_temp_dir(), "pipe", path);
    assert_int_equal(mkfifo(path, 0600), 0);
    const pid_t child = fork();
    if (child == 0) {
        char                  text[16] = "";
        const struct timespec pause = {.tv_nsec = 300 * 1000 * 1000};
        (void)nanosleep(&pause, NULL);
        const int fd = open(path, O_RDONLY);
        size_t    n = 0;
        for (ssize_t got = 1; got > 0; n += (size_t)(got > 0 ? got : 0)) {
            got = read(fd, text + n, sizeof text - 1 - n);
        }
        _exit(strcmp(text, "some text") == 0 ? 0 : 1);
    }
    assert_ok(bt_fs_writer_create(path, &writer, err));
    assert_ok(bt_fs_writer_write(writer, "some text", 9, err));
    assert_ok(bt_fs_writer_commit(&writer, err));
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* Locks every temporary file for a moment, until the pipe ends: a sweep that leaves what is young.
 */
static void look_at_all(const char *folder, int end) {
    char byte = 0;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    assert_int_equal(fcntl(end, F_SETFL, O_NONBLOCK), 0);
    while (read(end, &byte, 1) != 0) {
        DIR *const dir = opendir(folder);
        for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
            const int fd =
                bt_fs_is_temporary(e->d_name) ? openat(dirfd(dir), e->d_name, O_RDWR) : -1;
            if (fd >= 0) {
                (void)flock(fd, LOCK_EX | LOCK_NB);
                (void)close(fd);
            }
        }
        (void)closedir(dir);
    }
    _exit(0);
}

/* Whoever finds its new file locked takes another name, and leaves nothing under the first. */
static void test_looked_at_at_once(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    char              path[TEST_PATH_MAX];
    int               end[2];
    make_path(folder, "a", path);
    assert_int_equal(pipe(end), 0);
    const pid_t child = fork();
    if (child == 0) {
        (void)close(end[1]);
        look_at_all(folder, end[0]);
    }
    const int n_tries = test_is_emulated() ? 1000 : 10000;
    for (int i = 0; i < n_tries; i++) {
        char *temporary = NULL;
        int   fd = -1;
        assert_ok(fs_temporary_open(path, 0666, &temporary, &fd, err));
        assert_int_equal(unlink(temporary), 0);
        (void)close(fd);
        bt_free(temporary);
    }
    (void)close(end[1]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    (void)close(end[0]);
    assert_int_equal(count(folder), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_looked_at_at_once),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_sweep),
        cmocka_unit_test(test_stores_are_not_swept),
        cmocka_unit_test(test_sweep_before_the_name),
        cmocka_unit_test(test_special),
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_pipe_as_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
