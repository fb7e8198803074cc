/* SPDX-License-Identifier: Apache-2.0
 *
 * Every allocation and every file operation fails, in turn, while several files are replaced
 * together, a folder is locked, read whole, swept, moved in and unpacked: a sentence, and what was
 * there before or what was to come, never something between. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/fs.h"
#include "test_faults.h"
#include "test_support.h"

enum { N_FILES = 3 };

static const char *folder;

static const char *at(const char *name) {
    static char paths[8][TEST_PATH_MAX];
    static int  next;
    char *const path = paths[next++ % 8];
    (void)snprintf(path, TEST_PATH_MAX, "%s/%s", folder, name);
    return path;
}

static const char *const names[N_FILES] = {"a.txt", "b.txt", "c.txt"};

static void start_anew(void *context) {
    (void)context;
    assert_ok(bt_fs_remove_tree(folder, err));
    assert_ok(bt_fs_make_folders(folder, err));
    assert_ok(bt_fs_replace(at("a.txt"), "old", 3, err));
    assert_ok(bt_fs_replace(at("b.txt"), "old", 3, err));
}

static bt_status replace_together(void *context, bt_error *err) {
    bt_fs_writer *writers[N_FILES] = {NULL};
    bt_status     rc = BT_OK;
    (void)context;
    BT_CHECK(bt_fs_finish_commits(folder, err));
    for (size_t i = 0; i < N_FILES; i++) {
        BT_CHECK(bt_fs_writer_create(at(names[i]), &writers[i], err));
        BT_CHECK(bt_fs_writer_write(writers[i], "new", 3, err));
    }
    BT_CHECK(bt_fs_writers_commit(writers, N_FILES, err));
    BT_CHECK(bt_fs_settle_commits(folder, err));
done:
    for (size_t i = 0; i < N_FILES; i++) {
        bt_fs_writer_abort(writers[i]);
    }
    return rc;
}

/* All old or all new, once what was begun is finished. */
static void check_together(void *context, bt_status rc) {
    char text[N_FILES][8] = {{0}};
    (void)context;
    assert_ok(bt_fs_finish_commits(folder, err));
    for (size_t i = 0; i < N_FILES; i++) {
        char  *bytes = NULL;
        size_t n = 0;
        if (bt_fs_exists(at(names[i]))) {
            assert_ok(bt_fs_read_all(at(names[i]), 7, &bytes, &n, err));
            memcpy(text[i], bytes, n);
            bt_free(bytes);
        }
    }
    const bool is_new = strcmp(text[0], "new") == 0;
    if (strcmp(text[0], text[1]) != 0 || strcmp(text[2], is_new ? "new" : "") != 0 ||
        (rc == BT_OK && !is_new)) {
        fail_msg("mixed: '%s' '%s' '%s' after %s", text[0], text[1], text[2], bt_status_name(rc));
    }
    bt_fs_names left = BT_FS_NAMES_INIT;
    assert_ok(bt_fs_sweep(folder, NULL, err));
    assert_ok(bt_fs_list(folder, &left, err));
    assert_int_equal(left.n, is_new ? 3 : 2);
    bt_fs_names_deinit(&left);
}

static void test_together(void **state) {
    (void)state;
    assert_true(test_every_fault(&(test_work){.what = "files together",
                                              .prepare = start_anew,
                                              .work = replace_together,
                                              .check = check_together}) > 60);
}

static bt_status lock(void *context, bt_error *err) {
    bt_fs_lock *held = NULL;
    (void)context;
    BT_TRY(bt_fs_lock_take(folder, BT_FS_LOCK_NAME, "trying faults", &held, err));
    const bt_status rc = bt_fs_lock_check(held, err);
    bt_fs_lock_release(held);
    return rc;
}

/* Whatever failed before: the next one gets it. */
static void check_lock(void *context, bt_status rc) {
    (void)rc;
    assert_ok(lock(context, err));
}

static void leave_a_lock(void *context) {
    static const char text[] = "host: elsewhere\npid: 1\n";
    start_anew(context);
    assert_ok(bt_fs_replace(at(BT_FS_LOCK_NAME), text, strlen(text), err));
}

static void test_locks(void **state) {
    (void)state;
    assert_true(test_every_fault(&(test_work){
                    .what = "a lock", .prepare = start_anew, .work = lock, .check = check_lock}) >
                10);
    assert_true(test_every_fault(&(test_work){.what = "a lock that a dead one left",
                                              .prepare = leave_a_lock,
                                              .work = lock,
                                              .check = check_lock}) > 10);
}

static bt_status use_folder(void *context, bt_error *err) {
    bt_fs_names content = BT_FS_NAMES_INIT;
    char        sha256[BT_FS_HEX_MAX];
    char       *parent = NULL;
    bt_status   rc = BT_OK;
    (void)context;
    BT_CHECK(bt_fs_make_private_folder(at("private/deep"), err));
    BT_CHECK(bt_fs_check_private_folder(at("private/deep"), err));
    BT_CHECK(bt_fs_move(at("a.txt"), at("private/moved"), err));
    BT_CHECK(bt_fs_replace_link(at("link"), "b.txt", err));
    BT_CHECK(bt_fs_replace_link(at("link"), "private/moved", err));
    BT_CHECK(bt_fs_cut(at("private/moved"), 2, err));
    BT_CHECK(bt_fs_folder_content(at("private"), 10, &content, err));
    assert_int_equal(content.n, 1);
    BT_CHECK(bt_fs_content_digest(&content, sha256, err));
    BT_CHECK(bt_fs_hash_file(at("b.txt"), sha256, err));
    BT_CHECK(bt_fs_sweep(folder, NULL, err));
    BT_CHECK(bt_fs_parent(at("b.txt"), &parent, err));
    BT_CHECK(bt_fs_sync_folder(parent, err));
done:
    bt_free(parent);
    bt_fs_names_deinit(&content);
    return rc;
}

/* What is moved is in one place, whole. */
static void check_folder(void *context, bt_status rc) {
    (void)context;
    (void)rc;
    assert_true(bt_fs_exists(at("a.txt")) != bt_fs_exists(at("private/moved")));
}

static void test_folder(void **state) {
    bt_error      problem = BT_ERROR_INIT;
    bt_fs_hasher *hasher = NULL;
    (void)state;
    if (bt_fs_hasher_create(BT_FS_SHA256, &hasher, &problem) == BT_E_UNSUPPORTED) {
        test_skip("built without OpenSSL");
    }
    bt_fs_hasher_free(hasher);
    assert_true(
        test_every_fault(&(test_work){
            .what = "a folder", .prepare = start_anew, .work = use_folder, .check = check_folder}) >
        60);
}

static bt_status use_scratch(void *context, bt_error *err) {
    bt_fs_scratch *scratch = NULL;
    bt_status      rc = BT_OK;
    static char    bytes[100000];
    char           last = 'x';
    (void)context;
    BT_CHECK(bt_fs_scratch_create("a file that is unpacked", &scratch, err));
    BT_CHECK(bt_fs_scratch_append(scratch, bytes, sizeof bytes, err));
    BT_CHECK(bt_fs_scratch_append(scratch, "z", 1, err));
    BT_CHECK(bt_fs_scratch_flush(scratch, err));
    assert_int_equal(bt_fs_scratch_size(scratch), sizeof bytes + 1);
    BT_CHECK(bt_fs_scratch_read(scratch, sizeof bytes, &last, 1, err));
    assert_int_equal(last, 'z');
done:
    bt_fs_scratch_close(scratch);
    return rc;
}

static void test_scratch(void **state) {
    (void)state;
    assert_true(test_every_fault(&(test_work){.what = "scratch", .work = use_scratch}) > 5);
}

/* Nobody asks for what was not written: the program has lost count. */
static void test_scratch_beyond_its_end(void **state) {
    (void)state;
    bt_fs_scratch *scratch = NULL;
    int            status = 0;
    assert_ok(bt_fs_scratch_create("a file", &scratch, err));
    assert_ok(bt_fs_scratch_append(scratch, "abc", 3, err));
    assert_ok(bt_fs_scratch_flush(scratch, err));
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char byte = 0;
        (void)signal(SIGABRT, SIG_DFL);
        _exit(bt_fs_scratch_read(scratch, 4, &byte, 1, NULL) == BT_OK ? 1 : 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
#ifdef NDEBUG /* the file knows */
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 2);
#else
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
#endif
    bt_fs_scratch_close(scratch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_together),
        cmocka_unit_test(test_locks),
        cmocka_unit_test(test_folder),
        cmocka_unit_test(test_scratch),
        cmocka_unit_test(test_scratch_beyond_its_end),
    };
    static char path[TEST_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/world", test_temp_dir());
    folder = path;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
