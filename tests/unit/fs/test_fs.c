/* SPDX-License-Identifier: Apache-2.0
 *
 * Files: reading at any place, whole, as a stream and by lines; atomic replacement; folders; bad
 * names; failing disks and heaps. */
#define _XOPEN_SOURCE 700 /* symlink, mkfifo */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "test_support.h"

static void make_path(const char *folder, const char *name, char path[TEST_PATH_MAX]) {
    (void)snprintf(path, TEST_PATH_MAX, "%s/%s", folder, name);
}

static void test_bad_names(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    char              path[TEST_PATH_MAX];
    bt_file          *file = NULL;
    bt_fs_info        info;
    bt_fs_writer     *writer = NULL;
    bt_fs_names       names = BT_FS_NAMES_INIT;
    make_path(folder, "missing", path);
    assert_fails(bt_fs_open(path, &file, err), BT_E_IO, "missing: no such file");
    assert_fails(bt_fs_open(folder, &file, err), BT_E_IO, "is a folder, but a file is expected");
    assert_fails(bt_fs_open("", &file, err), BT_E_IO, "empty");
    assert_fails(bt_fs_open("hdfs://b/f", &file, err), BT_E_UNSUPPORTED, "'hdfs://'");
    assert_fails(bt_fs_stat("ftp://h/f", &info, err), BT_E_UNSUPPORTED, "'ftp://'");
    assert_fails(bt_fs_require_file(path, NULL, err), BT_E_IO, "no such file");
    assert_fails(bt_fs_require_file(folder, NULL, err), BT_E_IO, "is a folder");
    assert_fails(bt_fs_require_folder(path, err), BT_E_IO, "no such folder");
    assert_fails(bt_fs_list(path, &names, err), BT_E_IO, "no such folder");
    assert_fails(bt_fs_writer_create(folder, &writer, err), BT_E_RESOURCE, "it is a folder");
    assert_fails(bt_fs_writer_create("/no/such/folder/x", &writer, err), BT_E_RESOURCE,
                 "cannot create /no/such/folder/x");
    assert_fails(bt_fs_writer_append("/no/such/folder/x", &writer, err), BT_E_RESOURCE,
                 "/no/such/folder/x");
    assert_fails(bt_fs_make_folders("/proc/none/such", err), BT_E_RESOURCE, "/proc/none");
    assert_false(bt_fs_exists(path));
    assert_true(bt_fs_exists(folder));
    test_write_file(path, "x", 1);
    assert_fails(bt_fs_require_folder(path, err), BT_E_IO, "is a file");
    assert_fails(bt_fs_make_folders(path, err), BT_E_RESOURCE, "in the way");
    assert_ok(bt_fs_require_folder(folder, err));
    int64_t n_bytes = 0;
    assert_ok(bt_fs_require_file(path, &n_bytes, err));
    assert_int_equal(n_bytes, 1);
    assert_ok(bt_fs_stat(path, &info, err));
    assert_int_equal(info.kind, BT_FS_FILE);
    assert_true(info.modified_unix > 1e9);
    char below[TEST_PATH_MAX];
    make_path(path, "below", below); /* a file where a folder is needed */
    assert_ok(bt_fs_stat(below, &info, err));
    assert_int_equal(info.kind, BT_FS_MISSING);
}

static void test_read(void **state) {
    (void)state;
    char     path[TEST_PATH_MAX];
    char     bytes[8];
    char    *all = NULL;
    bt_file *file = NULL;
    size_t   n = 0;
    make_path(test_temp_dir(), "f", path);
    test_write_file(path, "0123456789", 10);
    assert_ok(bt_fs_open(path, &file, err));
    assert_int_equal(bt_fs_size(file), 10);
    assert_string_equal(bt_fs_path(file), path);
    assert_ok(bt_fs_read_at(file, 3, bytes, 4, err));
    assert_memory_equal(bytes, "3456", 4);
    assert_fails(bt_fs_read_at(file, 8, bytes, 4, err), BT_E_IO, "bytes 8 to 12 are needed");
    assert_fails(bt_fs_read_at(file, -1, bytes, 4, err), BT_E_IO, "beyond any file");
    assert_ok(bt_fs_read_upto(file, 8, bytes, 4, &n, err));
    assert_int_equal(n, 2);
    bt_fs_close(file);
    bt_fs_close(NULL);
    assert_ok(bt_fs_read_all(path, 10, &all, &n, err));
    assert_int_equal(n, 10);
    assert_string_equal(all, "0123456789");
    bt_free(all);
    assert_fails(bt_fs_read_all(path, 9, &all, &n, err), BT_E_FORMAT, "larger than the 9 bytes");
    assert_ok(bt_fs_read_all("/proc/self/status", 1 << 20, &all, &n, err)); /* its size says 0 */
    assert_true(n > 100);
    bt_free(all);
    assert_fails(bt_fs_read_all("/proc/self/status", 5, &all, &n, err), BT_E_FORMAT, "larger");
}

static void test_view(void **state) {
    (void)state;
    enum { N = 300000 };
    static char bytes[N];
    char        path[TEST_PATH_MAX];
    bt_fs_view  view;
    make_path(test_temp_dir(), "f", path);
    for (size_t n = 0; n <= N; n += N / 2) { /* empty, read, mapped */
        memset(bytes, (int)(n & 0x7f) + 1, N);
        test_write_file(path, bytes, n);
        assert_ok(bt_fs_view_open(path, &view, err));
        assert_int_equal(view.n_bytes, n);
        assert_non_null(view.data);
        assert_memory_equal(view.data, bytes, n);
        bt_fs_view_close(&view);
    }
    bt_fs_fail_at(BT_FS_OP_READ, 1, false); /* no mapping: then it is read */
    assert_ok(bt_fs_view_open(path, &view, err));
    bt_fs_fail_at(BT_FS_OP_READ, 0, false);
    assert_false(view.mapped);
    assert_memory_equal(view.data, bytes, N);
    bt_fs_view_close(&view);
}

static void test_stream(void **state) {
    (void)state;
    enum { N = 1000003 };
    static uint8_t bytes[N];
    static uint8_t got[N];
    char           path[TEST_PATH_MAX];
    bt_fs_stream  *stream = NULL;
    size_t         n = 0;
    for (size_t i = 0; i < N; i++) {
        bytes[i] = (uint8_t)(i * 7 + (i >> 9));
    }
    make_path(test_temp_dir(), "f", path);
    test_write_file(path, bytes, N);
    static const size_t steps[] = {1, 4095, 65536, 300000, N};
    for (size_t s = 0; s < BT_ARRAY_LEN(steps); s++) {
        assert_ok(bt_fs_stream_open(path, &stream, err));
        assert_int_equal(bt_fs_stream_size(stream), N);
        const size_t first = s == 0 ? 1000 : N; /* byte by byte only the beginning */
        size_t       at = 0;
        while (at < first) {
            assert_ok(bt_fs_stream_read(stream, got + at, N - at < steps[s] ? N - at : steps[s], &n,
                                        err));
            assert_true(n > 0);
            at += n;
            assert_int_equal(bt_fs_stream_offset(stream), at);
        }
        assert_memory_equal(got, bytes, at);
        assert_ok(bt_fs_stream_seek(stream, 500000, err)); /* back or on */
        assert_ok(bt_fs_stream_read(stream, got, 10, &n, err));
        assert_memory_equal(got, bytes + 500000, 10);
        assert_ok(bt_fs_stream_seek(stream, 500020, err)); /* within the buffer */
        assert_ok(bt_fs_stream_read(stream, got, 10, &n, err));
        assert_memory_equal(got, bytes + 500020, 10);
        assert_ok(bt_fs_stream_seek(stream, N + 5, err));
        assert_ok(bt_fs_stream_read(stream, got, 10, &n, err));
        assert_int_equal(n, 0);
        assert_fails(bt_fs_stream_seek(stream, -1, err), BT_E_IO, "cannot move");
        bt_fs_stream_close(stream);
    }
    bt_fs_stream_close(NULL);
}

static void test_lines(void **state) {
    (void)state;
    char                     path[TEST_PATH_MAX];
    bt_fs_stream            *stream = NULL;
    const char              *line = NULL;
    size_t                   n = 0;
    bool                     end = false;
    bt_str                   text = BT_STR_INIT;
    static const char *const want[] = {"first", "", "with\r", "last"};
    make_path(test_temp_dir(), "f", path);
    assert_ok(bt_str_append(&text, "first\n\nwith\r\nlast", err));
    test_write_file(path, text.data, text.len);
    assert_ok(bt_fs_stream_open(path, &stream, err));
    for (size_t i = 0; i < BT_ARRAY_LEN(want); i++) {
        assert_ok(bt_fs_stream_line(stream, 100, &line, &n, &end, err));
        assert_false(end);
        assert_string_equal(line, want[i]);
        assert_int_equal(n, strlen(want[i]));
    }
    assert_ok(bt_fs_stream_line(stream, 100, &line, &n, &end, err));
    assert_true(end);
    assert_null(line);
    bt_fs_stream_close(stream);
    for (int i = 0; i < 100000; i++) { /* longer than the buffer */
        assert_ok(bt_str_append(&text, "abcdefgh", err));
    }
    test_write_file(path, text.data, text.len);
    assert_ok(bt_fs_stream_open(path, &stream, err));
    for (int i = 0; i < 4; i++) {
        assert_ok(bt_fs_stream_line(stream, 1 << 20, &line, &n, &end, err));
    }
    assert_int_equal(n, 800004);
    bt_fs_stream_close(stream);
    assert_ok(bt_fs_stream_open(path, &stream, err));
    assert_fails(bt_fs_stream_line(stream, 4, &line, &n, &end, err), BT_E_FORMAT,
                 "the line at byte 0 has more than 4 bytes");
    bt_fs_stream_close(stream);
    bt_str_deinit(&text);
}

static void check_content(const char *path, const char *want) {
    char *const text = test_read_file(path, NULL);
    assert_string_equal(text, want);
    bt_free(text);
}

/* Of an open file that has lost its name, as a standard output may be: after what is there. */
static void check_descriptor(const char *folder) {
    char path[TEST_PATH_MAX];
    char name[64];
    char got[16] = "";
    make_path(folder, "unnamed", path);
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(write(fd, "one ", 4), 4);
    (void)snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    assert_ok(bt_fs_replace(name, "two", 3, err));
    assert_int_equal(pread(fd, got, sizeof got, 0), 7);
    assert_string_equal(got, "one two");
    assert_int_equal(close(fd), 0);
}

static void test_replace(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    char              path[TEST_PATH_MAX];
    char              link_path[TEST_PATH_MAX];
    bt_fs_writer     *writer = NULL;
    struct stat       st;
    make_path(folder, "f", path);
    make_path(folder, "link", link_path);
    assert_ok(bt_fs_replace(path, "one", 3, err));
    check_content(path, "one");
    assert_ok(bt_fs_writer_create(path, &writer, err));
    assert_ok(bt_fs_writer_write(writer, "two", 3, err));
    assert_int_equal(bt_fs_writer_offset(writer), 3);
    assert_string_equal(bt_fs_writer_path(writer), path);
    assert_ok(bt_fs_writer_flush(writer, true, err));
    check_content(path, "one"); /* not before the commit */
    bt_fs_writer_abort(writer);
    check_content(path, "one");
    /* a link stays a link */
    assert_int_equal(symlink(path, link_path), 0);
    assert_ok(bt_fs_replace(link_path, "three", 5, err));
    check_content(path, "three");
    assert_int_equal(lstat(link_path, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    /* what cannot be replaced is written directly */
    assert_ok(bt_fs_replace("/dev/null", "gone", 4, err));
    check_descriptor(folder);
    /* larger than the buffer, in one piece and in many */
    enum { N = 700000 };
    static char bytes[N];
    memset(bytes, 'x', N);
    assert_ok(bt_fs_writer_create(path, &writer, err));
    for (int i = 0; i < 100; i++) {
        assert_ok(bt_fs_writer_write(writer, bytes, 7000, err));
    }
    assert_ok(bt_fs_writer_write(writer, bytes, N, err));
    assert_ok(bt_fs_writer_commit(&writer, err));
    assert_null(writer);
    int64_t n_bytes = 0;
    assert_ok(bt_fs_require_file(path, &n_bytes, err));
    assert_int_equal(n_bytes, 2 * N);
    bt_fs_names names = BT_FS_NAMES_INIT;
    assert_ok(bt_fs_list(folder, &names, err));
    assert_int_equal(names.n, 2); /* f and link, no temporary */
    bt_fs_names_deinit(&names);
}

static void test_append(void **state) {
    (void)state;
    char          path[TEST_PATH_MAX];
    bt_fs_writer *writer = NULL;
    make_path(test_temp_dir(), "f", path);
    for (int64_t i = 0; i < 3; i++) {
        assert_ok(bt_fs_writer_append(path, &writer, err));
        assert_int_equal(bt_fs_writer_offset(writer), i * 2);
        assert_ok(bt_fs_writer_write(writer, "ab", 2, err));
        if (i == 2) {
            assert_ok(bt_fs_writer_flush(writer, false, err));
            check_content(path, "ababab");
        }
        if (i == 1) {
            bt_fs_writer_abort(writer); /* keeps what it was given */
        } else {
            assert_ok(bt_fs_writer_commit(&writer, err));
        }
    }
    check_content(path, "ababab");
    assert_fails(bt_fs_writer_append("/dev/full", &writer, err), BT_E_RESOURCE,
                 "not a regular file");
    assert_ok(bt_fs_writer_create("/dev/full", &writer, err));
    assert_ok(bt_fs_writer_write(writer, "ab", 2, err));
    assert_fails(bt_fs_writer_flush(writer, false, err), BT_E_RESOURCE, "No space left");
    bt_fs_writer_abort(writer);
}

static void test_folders(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    char              path[TEST_PATH_MAX];
    bt_fs_names       names = BT_FS_NAMES_INIT;
    make_path(folder, "a//b/c", path);
    /* each new one is in a folder that was synced */
    const uint64_t n_syncs = bt_fs_op_count(BT_FS_OP_FSYNC);
    assert_ok(bt_fs_make_folders(path, err));
    assert_int_equal(bt_fs_op_count(BT_FS_OP_FSYNC) - n_syncs, 3);
    assert_ok(bt_fs_make_folders(path, err));
    assert_int_equal(bt_fs_op_count(BT_FS_OP_FSYNC) - n_syncs, 3);
    make_path(folder, "d", path);
    bt_fs_fail_at(BT_FS_OP_FSYNC, 1, false);
    assert_fails(bt_fs_make_folders(path, err), BT_E_RESOURCE, "/d");
    bt_fs_fail_at(BT_FS_OP_FSYNC, 0, false);
    assert_ok(bt_fs_remove(path, err));
    make_path(folder, "a//b/c", path);
    assert_ok(bt_fs_require_folder(path, err));
    static const char *const files[] = {"z", "B", "a1", "a0"};
    for (size_t i = 0; i < BT_ARRAY_LEN(files); i++) {
        make_path(folder, files[i], path);
        test_write_file(path, "", 0);
    }
    assert_ok(bt_fs_list(folder, &names, err));
    assert_int_equal(names.n, 5);
    static const char *const sorted[] = {"B", "a", "a0", "a1", "z"};
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(names.items[i], sorted[i]);
    }
    bt_fs_names_deinit(&names);
    make_path(folder, "a?", path);
    assert_ok(bt_fs_glob(path, &names, err));
    assert_int_equal(names.n, 2);
    assert_true(bt_str_ends_with(names.items[0], "/a0"));
    bt_fs_names_deinit(&names);
    make_path(folder, "nothing*", path);
    assert_ok(bt_fs_glob(path, &names, err));
    assert_int_equal(names.n, 0);
    bt_fs_names_deinit(&names);
    make_path(folder, "z", path);
    assert_ok(bt_fs_remove(path, err));
    assert_ok(bt_fs_remove(path, err)); /* missing is fine */
    make_path(folder, "a", path);
    assert_fails(bt_fs_remove(path, err), BT_E_RESOURCE, "cannot remove"); /* not empty */
}

static void test_parts_of_paths(void **state) {
    (void)state;
    char                    *text = NULL;
    static const char *const parents[][2] = {{"a/b/c", "a/b"}, {"c", "."}, {"/c", "/"}};
    for (size_t i = 0; i < BT_ARRAY_LEN(parents); i++) {
        assert_ok(bt_fs_parent(parents[i][0], &text, err));
        assert_string_equal(text, parents[i][1]);
        bt_free(text);
    }
    assert_ok(bt_fs_join("a/", "b", &text, err));
    assert_string_equal(text, "a/b");
    bt_free(text);
    assert_ok(bt_fs_join("", "", &text, err));
    assert_string_equal(text, "");
    bt_free(text);
    assert_string_equal(bt_fs_basename("a/b"), "b");
    assert_string_equal(bt_fs_basename("b"), "b");
}

static void check_link(const char *path, const char *want) {
    char          said[64] = "";
    const ssize_t n = readlink(path, said, sizeof said - 1);
    assert_int_equal(n, (ssize_t)strlen(want));
    assert_string_equal(said, want);
}

static void test_links(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    char              path[TEST_PATH_MAX];
    char              other[TEST_PATH_MAX];
    bt_fs_names       names = BT_FS_NAMES_INIT;
    make_path(folder, "link", path);
    make_path(folder, "file", other);
    assert_ok(bt_fs_replace_link(path, "nothing_yet", err));
    check_link(path, "nothing_yet");
    assert_false(bt_fs_exists(path));
    assert_ok(bt_fs_replace_link(path, "file", err));
    test_write_file(other, "x", 1);
    check_link(path, "file");
    assert_true(bt_fs_exists(path));
    bt_fs_fail_at(BT_FS_OP_RENAME, 1, false);
    assert_fails(bt_fs_replace_link(path, "other", err), BT_E_RESOURCE, "cannot replace");
    bt_fs_fail_at(BT_FS_OP_RENAME, 0, false);
    check_link(path, "file");
    bt_alloc_fail_at(1, true);
    assert_fails(bt_fs_replace_link(path, "other", err), BT_E_NOMEM, "out of memory");
    bt_alloc_fail_at(0, false);
    assert_fails(bt_fs_replace_link(other, "link", err), BT_E_RESOURCE, "in the way");
    make_path(folder, "none/link", other);
    assert_fails(bt_fs_replace_link(other, "x", err), BT_E_RESOURCE, "cannot make the link");
    assert_ok(bt_fs_list(folder, &names, err));
    assert_int_equal(names.n, 2); /* nothing temporary is left */
    bt_fs_names_deinit(&names);
}

enum { N_TOGETHER = 20 };

/* Writes N_TOGETHER files in two folders and commits them at once; *n_named have their name then.
 */
static bt_status commit_together(const char *folder, size_t *n_named, bt_error *err) {
    bt_status     rc = BT_OK;
    bt_fs_writer *writers[N_TOGETHER] = {NULL};
    *n_named = 0;
    for (size_t i = 0; i < N_TOGETHER; i++) {
        char path[TEST_PATH_MAX];
        (void)snprintf(path, sizeof path, "%s/%s/%zu", folder, i < N_TOGETHER / 2 ? "a" : "b", i);
        BT_CHECK(bt_fs_writer_create(path, &writers[i], err));
        BT_CHECK(bt_fs_writer_write(writers[i], path, strlen(path), err));
    }
    rc = bt_fs_writers_commit(writers, N_TOGETHER, err);
    for (size_t i = 0; i < N_TOGETHER; i++) {
        *n_named += writers[i] == NULL ? 1 : 0;
    }
done:
    for (size_t i = 0; i < N_TOGETHER; i++) {
        bt_fs_writer_abort(writers[i]);
    }
    return rc;
}

static size_t count_files(const char *folder, const char *name) {
    char        path[TEST_PATH_MAX];
    bt_fs_names names = BT_FS_NAMES_INIT;
    make_path(folder, name, path);
    assert_ok(bt_fs_list_unsorted(path, &names, err));
    const size_t n = names.n;
    bt_fs_names_deinit(&names);
    return n;
}

/* Files that get their names together: all or none; no temporaries.
 */
static void test_together(void **state) {
    (void)state;
    static const bt_fs_op ops[] = {BT_FS_OP_FSYNC, BT_FS_OP_RENAME, BT_FS_OP_OPEN};
    const char *const     root = test_temp_dir();
    for (size_t i = 0; i < BT_ARRAY_LEN(ops); i++) {
        bt_status rc = BT_E_RESOURCE;
        for (uint64_t k = 1; rc != BT_OK && k < 100; k++) {
            char     folder[TEST_PATH_MAX];
            char     path[TEST_PATH_MAX];
            bt_error fault = BT_ERROR_INIT;
            size_t   n_named = 0;
            (void)snprintf(folder, sizeof folder, "%s/%zu-%d", root, i, (int)k);
            make_path(folder, "a", path);
            assert_ok(bt_fs_make_folders(path, err));
            make_path(folder, "b", path);
            assert_ok(bt_fs_make_folders(path, err));
            bt_fs_fail_at(ops[i], k, false);
            rc = commit_together(folder, &n_named, &fault);
            bt_fs_fail_at(ops[i], 0, false);
            assert_true(rc == BT_OK || rc == BT_E_RESOURCE);
            assert_int_equal(n_named, rc == BT_OK ? N_TOGETHER : 0);
            assert_int_equal(count_files(folder, "a") + count_files(folder, "b"), n_named);
            if (rc == BT_OK) { /* over what is there: all of it comes back */
                bt_fs_fail_at(ops[i], k, false);
                (void)!commit_together(folder, &n_named, NULL);
                bt_fs_fail_at(ops[i], 0, false);
                assert_int_equal(count_files(folder, "a") + count_files(folder, "b"), N_TOGETHER);
            }
        }
        assert_int_equal(rc, BT_OK);
    }
}

static bt_status work(const char *path, bt_error *err) {
    bt_file      *file = NULL;
    bt_fs_stream *stream = NULL;
    bt_fs_names   names = BT_FS_NAMES_INIT;
    char         *parent = NULL;
    char         *all = NULL;
    size_t        n = 0;
    char          byte = 0;
    bt_status     rc = BT_OK;
    BT_CHECK(bt_fs_replace(path, "abc", 3, err));
    BT_CHECK(bt_fs_parent(path, &parent, err));
    BT_CHECK(bt_fs_list(parent, &names, err));
    BT_CHECK(bt_fs_open(path, &file, err));
    BT_CHECK(bt_fs_read_at(file, 1, &byte, 1, err));
    BT_CHECK(bt_fs_stream_open(path, &stream, err));
    BT_CHECK(bt_fs_stream_read(stream, &byte, 1, &n, err));
    BT_CHECK(bt_fs_read_all(path, 10, &all, &n, err));
done:
    bt_fs_close(file);
    bt_fs_stream_close(stream);
    bt_fs_names_deinit(&names);
    bt_free(parent);
    bt_free(all);
    return rc;
}

static void test_faults(void **state) {
    (void)state;
    char path[TEST_PATH_MAX];
    make_path(test_temp_dir(), "f", path);
    for (int op = 0; op <= BT_FS_N_OPS; op++) {
        uint64_t k = 1;
        for (; k < 100; k++) {
            bt_error fault = BT_ERROR_INIT;
            if (op < BT_FS_N_OPS) {
                bt_fs_fail_at((bt_fs_op)op, k, false);
            } else {
                bt_alloc_fail_at(k, false);
            }
            const bt_status rc = work(path, &fault);
            for (int o = 0; o < BT_FS_N_OPS; o++) {
                bt_fs_fail_at((bt_fs_op)o, 0, false);
            }
            bt_alloc_fail_at(0, false);
            if (rc == BT_OK) {
                break;
            }
            assert_true(rc == (op == BT_FS_N_OPS ? BT_E_NOMEM : BT_E_IO) || rc == BT_E_RESOURCE);
            assert_true(op == BT_FS_N_OPS || strstr(fault.msg, "bt_test_") != NULL);
        }
        assert_true(k < 100);
        assert_true(op == BT_FS_N_OPS || bt_fs_op_count((bt_fs_op)op) > 0);
    }
}

/* What may be written, before it is (who may not: cli_dry_run_resources, as root may everything).
 */
static void test_outputs(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    char              path[TEST_PATH_MAX];
    uint64_t          n_free = 0;
    (void)snprintf(path, sizeof path, "%s/new/x.tsv", folder);
    assert_ok(bt_fs_check_output(path, false, err));
    assert_ok(bt_fs_free_bytes(path, &n_free, err));
    assert_true(n_free > 0 && n_free < UINT64_MAX);
    assert_fails(bt_fs_check_output(folder, false, err), BT_E_RESOURCE, "it is a folder");
    (void)snprintf(path, sizeof path, "%s/x.tsv", folder);
    test_write_file(path, "x", 1);
    assert_ok(bt_fs_check_output(path, false, err));
    assert_ok(bt_fs_check_output(path, true, err));
    (void)snprintf(path, sizeof path, "%s/x.tsv/y", folder);
    assert_fails(bt_fs_check_output(path, false, err), BT_E_RESOURCE, "in the way");
    (void)snprintf(path, sizeof path, "%s/link", folder);
    assert_int_equal(symlink("nowhere", path), 0);
    assert_fails(bt_fs_check_writable(path, err), BT_E_RESOURCE, "leads nowhere");
    assert_ok(bt_fs_check_output("/dev/null", false, err));
}

static void test_outputs_of_stores(void **state) {
    bt_error problem = BT_ERROR_INIT;
    uint64_t n_free = 0;
    (void)state;
    if (bt_fs_check_output("gs://bucket/x", false, &problem) == BT_E_UNSUPPORTED) {
        test_skip("built without libcurl");
    }
    assert_string_equal(problem.msg, "");
    assert_ok(bt_fs_free_bytes("gs://bucket/x", &n_free, err));
    assert_true(n_free == UINT64_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outputs),        cmocka_unit_test(test_outputs_of_stores),
        cmocka_unit_test(test_bad_names),      cmocka_unit_test(test_read),
        cmocka_unit_test(test_view),           cmocka_unit_test(test_stream),
        cmocka_unit_test(test_lines),          cmocka_unit_test(test_replace),
        cmocka_unit_test(test_append),         cmocka_unit_test(test_folders),
        cmocka_unit_test(test_parts_of_paths), cmocka_unit_test(test_links),
        cmocka_unit_test(test_faults),         cmocka_unit_test(test_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
