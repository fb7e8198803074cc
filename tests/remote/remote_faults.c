/* SPDX-License-Identifier: Apache-2.0
 *
 * Every allocation and every local file operation fails, in turn, while files of a store are looked
 * at, read, written, moved and locked: a sentence with the right status, nothing half written in
 * the store, nothing asked again for want of memory. faults.py starts the stores and says in
 * BT_FAULTS_AT where they are ("gs://bucket/..."); without it there is nothing to do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "test_faults.h"
#include "test_support.h"

enum { BIG = 700000 }; /* several blocks to read, several parts to upload */

static const char *root; /* without a slash at its end */
static char        big[BIG];
static int         n_tries;

/* What was fetched from the hub is remembered: there each try has files of its own. */
static const char *at(const char *name) {
    static char paths[4][TEST_PATH_MAX];
    static int  next;
    char *const path = paths[next++ % 4];
    if (bt_str_starts_with(root, "hf://")) {
        (void)snprintf(path, TEST_PATH_MAX, "%s/%d/%s", root, n_tries, name);
    } else {
        (void)snprintf(path, TEST_PATH_MAX, "%s/%s", root, name);
    }
    return path;
}

static void next_try(void *context) {
    (void)context;
    n_tries++;
}

static bool is_writable(void) {
    return bt_str_starts_with(root, "gs://") || bt_str_starts_with(root, "s3://");
}

static bt_status look(void *context, bt_error *err) {
    bt_fs_info  info = {0};
    bt_fs_names names = BT_FS_NAMES_INIT;
    bt_status   rc = BT_OK;
    (void)context;
    BT_CHECK(bt_fs_stat(at("lines.txt"), &info, err));
    assert_true(info.kind == BT_FS_FILE && info.n_bytes == 12);
    BT_CHECK(bt_fs_stat(at("nothing"), &info, err));
    assert_int_equal(info.kind, BT_FS_MISSING);
    BT_CHECK(bt_fs_list(root, &names, err));
    assert_true(names.n >= 3);
    bt_fs_names_deinit(&names);
    BT_CHECK(bt_fs_glob(at("*.txt"), &names, err));
    assert_int_equal(names.n, 1);
    bt_fs_names_deinit(&names);
    BT_CHECK(bt_fs_folder_content(at("folder"), 10, &names, err));
    assert_int_equal(names.n, 2);
done:
    bt_fs_names_deinit(&names);
    return rc;
}

static bt_status read_stream(bt_error *err) {
    bt_fs_stream *stream = NULL;
    bt_status     rc = BT_OK;
    const char   *line = NULL;
    char          byte = 0;
    size_t        n = 0;
    bool          end = false;
    BT_CHECK(bt_fs_stream_open(at("lines.txt"), &stream, err));
    BT_CHECK(bt_fs_stream_line(stream, 100, &line, &n, &end, err));
    assert_string_equal(line, "first");
    BT_CHECK(bt_fs_stream_seek(stream, 6, err));
    BT_CHECK(bt_fs_stream_read(stream, &byte, 1, &n, err));
    assert_int_equal(byte, 's');
done:
    bt_fs_stream_close(stream);
    return rc;
}

static bt_status read_small(void *context, bt_error *err) {
    char  *text = NULL;
    size_t n = 0;
    (void)context;
    BT_TRY(bt_fs_read_all(at("lines.txt"), 100, &text, &n, err));
    assert_string_equal(text, "first\nsecond");
    bt_free(text);
    return BT_OK;
}

static bt_status read_all(void *context, bt_error *err) {
    bt_file   *file = NULL;
    bt_fs_view view = {0};
    char       bytes[16];
    bt_status  rc = BT_OK;
    BT_CHECK(read_small(context, err));
    BT_CHECK(read_stream(err));
    BT_CHECK(bt_fs_open(at("big"), &file, err));
    BT_CHECK(bt_fs_read_at(file, BIG - 16, bytes, 16, err));
    assert_memory_equal(bytes, big + BIG - 16, 16);
    BT_CHECK(bt_fs_read_at(file, 5, bytes, 16, err));
    assert_memory_equal(bytes, big + 5, 16);
    BT_CHECK(bt_fs_view_open(at("big"), &view, err));
    assert_memory_equal(view.data, big, BIG);
done:
    bt_fs_view_close(&view);
    bt_fs_close(file);
    return rc;
}

static bt_status download(void *context, bt_error *err) {
    const bt_fs_download_limits limits = {.max_bytes = 1 << 20};
    char                        sha256[BT_FS_HEX_MAX];
    return bt_fs_download(at("big"), context, &limits, sha256, err);
}

static void remove_made(void *context) {
    (void)context;
    assert_ok(bt_fs_remove(at("made"), err));
    assert_ok(bt_fs_remove(at("moved"), err));
    assert_ok(bt_fs_remove(at("grown"), err));
}

/* What is there is whole. */
static void check_made(void *context, bt_status rc) {
    bt_fs_info info = {0};
    (void)context;
    assert_ok(bt_fs_stat(at("made"), &info, err));
    assert_true(info.kind == BT_FS_MISSING || info.n_bytes == BIG);
    if (rc == BT_OK) {
        char  *bytes = NULL;
        size_t n = 0;
        assert_ok(bt_fs_read_all(at("made"), BIG, &bytes, &n, err));
        assert_int_equal(n, BIG);
        assert_memory_equal(bytes, big, BIG);
        bt_free(bytes);
    }
}

static bt_status write_big(void *context, bt_error *err) {
    bt_fs_writer *writer = NULL;
    bt_status     rc = BT_OK;
    (void)context;
    BT_CHECK(bt_fs_writer_create(at("made"), &writer, err));
    BT_CHECK(bt_fs_writer_write(writer, big, BIG / 2, err));
    BT_CHECK(bt_fs_writer_write(writer, big + BIG / 2, BIG - BIG / 2, err));
    BT_CHECK(bt_fs_writer_commit(&writer, err));
done:
    bt_fs_writer_abort(writer);
    return rc;
}

static bt_status change_small(void *context, bt_error *err) {
    bt_fs_writer *writer = NULL;
    bt_status     rc = BT_OK;
    bt_fs_info    info = {0};
    int64_t       version = 0;
    (void)context;
    BT_CHECK(bt_fs_replace(at("grown"), "0123456789", 10, err));
    BT_CHECK(bt_fs_stat(at("grown"), &info, err));
    BT_CHECK(bt_fs_replace_if(at("grown"), "01234567", 8, info.version, &version, err));
    BT_CHECK(bt_fs_writer_append(at("grown"), &writer, err));
    BT_CHECK(bt_fs_writer_write(writer, "89", 2, err));
    BT_CHECK(bt_fs_writer_flush(writer, true, err));
    BT_CHECK(bt_fs_writer_commit(&writer, err));
    BT_CHECK(bt_fs_cut(at("grown"), 4, err));
    BT_CHECK(bt_fs_move(at("grown"), at("moved"), err));
    BT_CHECK(bt_fs_stat(at("moved"), &info, err));
    assert_int_equal(info.n_bytes, 4);
    BT_CHECK(bt_fs_remove(at("moved"), err));
done:
    bt_fs_writer_abort(writer);
    return rc;
}

static bt_status lock(void *context, bt_error *err) {
    bt_fs_lock *held = NULL;
    (void)context;
    BT_TRY(bt_fs_lock_take(root, BT_FS_LOCK_NAME, "trying faults", &held, err));
    const bt_status rc = bt_fs_lock_check(held, err);
    bt_fs_lock_release(held);
    return rc;
}

static void unlock(void *context) {
    (void)context;
    assert_ok(bt_fs_remove(at(BT_FS_LOCK_NAME), err));
}

static void test_reading(void **state) {
    (void)state;
    char local[TEST_PATH_MAX];
    (void)snprintf(local, sizeof local, "%s/downloaded", test_temp_dir());
    assert_true(test_every_fault(&(test_work){
                    .what = "reading", .prepare = next_try, .work = read_all, .stride = 13}) > 20);
    assert_true(test_every_fault(&(test_work){.what = "download",
                                              .prepare = next_try,
                                              .work = download,
                                              .context = local,
                                              .stride = 13}) > 5);
    if (is_writable()) {
        assert_true(test_every_fault(&(test_work){.what = "looking", .work = look, .stride = 31}) >
                    20);
    }
}

/* Credentials are found with the first request that needs some, and then kept: each try before that
 * fails at another place of finding them. */
static void test_credentials(void **state) {
    (void)state;
    assert_true(test_every_fault(&(test_work){.what = "credentials", .work = read_small}) > 20);
}

static void test_writing(void **state) {
    (void)state;
    if (!is_writable()) {
        return;
    }
    assert_true(test_every_fault(&(test_work){.what = "a large file",
                                              .prepare = remove_made,
                                              .work = write_big,
                                              .check = check_made,
                                              .stride = 13}) > 20);
    assert_true(
        test_every_fault(&(test_work){
            .what = "small changes", .prepare = remove_made, .work = change_small, .stride = 13}) >
        20);
    assert_true(test_every_fault(&(test_work){
                    .what = "a lock", .prepare = unlock, .work = lock, .stride = 13}) > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_writing),
    };
    const struct CMUnitTest brief[] = {cmocka_unit_test(test_credentials)};
    root = getenv("BT_FAULTS_AT");
    if (root == NULL) {
        printf("SKIPPED: run by faults.py, which starts the stores\n");
        return TEST_SKIP_EXIT;
    }
    for (size_t i = 0; i < BIG; i++) {
        big[i] = (char)(i * 7 + i / 251);
    }
    if (getenv("BT_FAULTS_OF_CREDENTIALS") != NULL) {
        return cmocka_run_group_tests(brief, NULL, NULL);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
