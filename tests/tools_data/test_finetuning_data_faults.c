/* SPDX-License-Identifier: Apache-2.0
 *
 * The data tool's parts when memory, disk or a rename fails, at every place in turn: a clean error,
 * no leak, and either all outputs or none. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/stop.h"
#include "test_support.h"

#include "example_writer.h"
#include "output_set.h"
#include "tsv_reader.h"

static const char vocab_text[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\n";

enum { N_ROWS = 10, LENGTH = 8 };

static bt_status next_row(void *state, example_row *row, bool *end, bt_error *err) {
    int *const n = state;
    (void)err;
    *end = *n == N_ROWS;
    *n += 1;
    *row = (example_row){.a = "a b", .n_a = 3, .b = "b", .n_b = 1, .label = 1};
    return BT_OK;
}

/* Two record files in a folder that has to be made. */
static bt_status write_all(const char *folder, bt_error *err) {
    bt_status          rc = BT_OK;
    char               paths[2][TEST_PATH_MAX];
    output_set         outputs = {.made_folders = BT_FS_NAMES_INIT};
    bt_text_vocab     *vocab = NULL;
    bt_text_tokenizer *tokenizer = NULL;
    bt_fs_writer      *writers[2] = {NULL};
    BT_CHECK(bt_text_vocab_parse(&vocab, vocab_text, strlen(vocab_text), "vocab", err));
    BT_CHECK(bt_text_tokenizer_create(&tokenizer, vocab, true, err));
    for (int i = 0; i < 2; i++) {
        (void)snprintf(paths[i], TEST_PATH_MAX, "%s/made/deep/%d", folder, i);
        BT_CHECK(output_set_add(&outputs, paths[i], &writers[i], err));
    }
    for (int i = 0; i < 2; i++) {
        int                    n = 0;
        int64_t                n_written = 0;
        const example_source   source = {.state = &n, .next = next_row};
        const example_settings settings = {.tokenizer = tokenizer,
                                           .max_seq_length = LENGTH,
                                           .convert = convert_text,
                                           .what = "test"};
        BT_CHECK(write_examples(&settings, &source, writers[i], &n_written, err));
        assert_int_equal(n_written, N_ROWS);
    }
    rc = output_set_commit(&outputs, err);
done:
    output_set_deinit(&outputs, rc != BT_OK);
    bt_text_tokenizer_free(tokenizer);
    bt_text_vocab_free(vocab);
    return rc;
}

/* After a failure the folder is as empty as before; after success both files are whole. */
static void check_folder(const char *folder, bt_status rc) {
    bt_fs_names names = BT_FS_NAMES_INIT;
    char        made[TEST_PATH_MAX];
    (void)snprintf(made, sizeof made, "%s/made/deep", folder);
    assert_ok(bt_fs_list(rc == BT_OK ? made : folder, &names, err));
    assert_int_equal(names.n, rc == BT_OK ? 2 : 0);
    bt_fs_names_deinit(&names);
}

static void test_io_faults(void **state) {
    (void)state;
    static const bt_fs_op ops[] = {BT_FS_OP_OPEN, BT_FS_OP_WRITE, BT_FS_OP_FSYNC, BT_FS_OP_RENAME};
    for (size_t i = 0; i < BT_ARRAY_LEN(ops); i++) {
        bt_status rc = BT_E_RESOURCE;
        int       n_failed = 0;
        /* a folder that cannot be opened to be synced is not a failure, so k = 1 may pass */
        for (uint64_t k = 1; k < 12; k++) {
            const char *const folder = test_temp_dir();
            bt_error          err = BT_ERROR_INIT;
            bt_fs_fail_at(ops[i], k, false);
            rc = write_all(folder, &err);
            bt_fs_fail_at(ops[i], 0, false);
            assert_true(rc == BT_OK || rc == BT_E_RESOURCE);
            check_folder(folder, rc);
            n_failed += rc != BT_OK;
        }
        assert_true(n_failed >= 2 && rc == BT_OK);
    }
}

static void test_out_of_memory(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    for (uint64_t k = 1; k < 400; k++) {
        bt_error err = BT_ERROR_INIT;
        bt_alloc_fail_at(k, false);
        const bt_status rc = write_all(folder, &err);
        bt_alloc_fail_at(0, false);
        if (rc == BT_OK) {
            check_folder(folder, rc);
            return;
        }
        assert_int_equal(rc, BT_E_NOMEM);
        check_folder(folder, rc);
    }
    fail_msg("%s", "still failing after 400 allocations");
}

static void test_interrupted(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    bt_stop_set(SIGTERM);
    assert_fails(write_all(folder, err), BT_E_INTERRUPTED, "stopped by SIGTERM");
    bt_stop_set(0);
    check_folder(folder, BT_E_INTERRUPTED);
}

/* What others have put into a folder made for the outputs stays. */
static void test_output_names(void **state) {
    (void)state;
    char              path[TEST_PATH_MAX];
    char              other[TEST_PATH_MAX];
    const char *const folder = test_temp_dir();
    output_set        outputs = {.made_folders = BT_FS_NAMES_INIT};
    bt_fs_writer     *writer = NULL;
    (void)snprintf(path, sizeof path, "%s/made/x", folder);
    (void)snprintf(other, sizeof other, "%s/made/other", folder);
    assert_fails(output_set_add(&outputs, "", &writer, err), BT_E_CONFIG, "names no file");
    assert_ok(output_set_add(&outputs, path, &writer, err));
    assert_fails(output_set_add(&outputs, path, &writer, err), BT_E_CONFIG, "two outputs");
    test_write_file(other, "x", 1);
    output_set_deinit(&outputs, true);
    assert_true(bt_fs_exists(other));
    assert_false(bt_fs_exists(path));
}

static void test_tsv_out_of_memory(void **state) {
    (void)state;
    static const char text[] = "a\tb\n1\t2\n";
    char              path[TEST_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/x.tsv", test_temp_dir());
    test_write_file(path, text, sizeof text - 1);
    for (uint64_t k = 1; k < 100; k++) {
        tsv_reader      *reader = NULL;
        const tsv_field *fields = NULL;
        size_t           n = 0;
        bool             end = false;
        bt_error         err = BT_ERROR_INIT;
        bt_alloc_fail_at(k, false);
        bt_status rc = tsv_open(&reader, path, TSV_HEADER, &err);
        if (rc == BT_OK) {
            rc = tsv_next(reader, &fields, &n, &end, &err);
        }
        bt_alloc_fail_at(0, false);
        tsv_close(reader);
        if (rc == BT_OK) {
            assert_int_equal(n, 2);
            return;
        }
        assert_int_equal(rc, BT_E_NOMEM);
    }
    fail_msg("%s", "still failing after 100 allocations");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_io_faults),         cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_interrupted),       cmocka_unit_test(test_output_names),
        cmocka_unit_test(test_tsv_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
