/* SPDX-License-Identifier: Apache-2.0
 *
 * The k-th allocation, open or read fails, once or for good: a clean error, nothing leaked, and the
 * batches before it are right. And closing or seeking at any moment of the read-ahead. */
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "data_fixture.h"

static const bt_data_schema *text_schema(void) {
    static const char *const fields[] = {"a"};
    static bt_data_schema    schema;
    schema = fixture_schema();
    schema.label_field = "label";
    schema.learns_labels = true;
    schema.text = (bt_data_text){.fields = fields,
                                 .n_fields = 1,
                                 .vocab_file = test_source_path("tests/goldens/text/vocab_tf.txt"),
                                 .lower_case = true};
    return &schema;
}

/* Opens, reads three batches, seeks back, reads one. schema NULL: numbered records. */
static bt_status use_stream(const bt_data_config *config, const bt_data_schema *text_rows,
                            bt_error *err) {
    const bt_data_schema schema = text_rows != NULL ? *text_rows : fixture_schema();
    bt_data_stream      *stream = NULL;
    bt_status            rc = bt_data_open(config, &schema, &stream, err);
    for (int i = 0; i < 4 && rc == BT_OK; i++) {
        const bt_batch *batch = NULL;
        bool            end = false;
        rc = bt_data_next_batch(stream, &batch, &end, err);
        if (rc == BT_OK) {
            assert_false(end);
            for (int64_t b = 0; b < batch->n_seqs && text_rows == NULL; b++) {
                fixture_check_row(batch, b, batch->example_ids[b]);
            }
        }
        if (i == 2 && rc == BT_OK) {
            rc = bt_data_seek(stream, (bt_data_cursor){.index = 1}, err);
        }
    }
    bt_data_close(stream);
    return rc;
}

static bt_data_config two_files(const char **paths) {
    const char *const folder = test_temp_dir();
    (void)fixture_file(folder, "f-1", 0, 9);
    (void)fixture_file(folder, "f-2", 9, 5);
    static char pattern[TEST_PATH_MAX];
    (void)snprintf(pattern, sizeof pattern, "%.4000s/f-*", folder);
    paths[0] = pattern;
    bt_data_config config = fixture_config(paths, 1);
    config.cycle_length = 2;
    return config;
}

/* Two files of f-*.ENDING; of CSV one row goes over several lines. */
static bt_data_config two_tables(const char **paths, const char *ending) {
    static const char *const tsv[] = {"a\tlabel\nx y\tno\nz\tyes\n\nx\tmaybe\n",
                                      "label\ta\nno\tx y\nyes\tz\n"};
    static const char *const csv[] = {"a,label\n\"x,\ny\",no\nz,yes\n\nx,maybe\n",
                                      "label,a\nno,\"\"\"\"\nyes,z\n"};
    static const char *const jsonl[] = {
        "{\"a\": \"x\", \"label\": \"no\"}\n{\"a\": \"x\", \"label\": \"yes\"}\n",
        "{\"a\": \"x\", \"label\": \"maybe\"}\n{\"a\": \"x\", \"label\": \"no\"}"};
    const char *const *const texts = strcmp(ending, "tsv") == 0   ? tsv
                                     : strcmp(ending, "csv") == 0 ? csv
                                                                  : jsonl;
    const char *const        folder = test_temp_dir();
    static char              pattern[TEST_PATH_MAX];
    for (int i = 0; i < 2; i++) {
        char   name[16];
        bt_str bytes = BT_STR_INIT;
        (void)snprintf(name, sizeof name, "f-%d.%s", i, ending);
        assert_ok(bt_str_append(&bytes, texts[i], err));
        (void)fixture_write(folder, name, &bytes);
    }
    (void)snprintf(pattern, sizeof pattern, "%.4000s/f-*", folder);
    paths[0] = pattern;
    bt_data_config config = fixture_config(paths, 1);
    config.cycle_length = 2;
    return config;
}

static const char *const endings[] = {"tsv", "csv", "jsonl"};

static void check_allocations(const bt_data_config *config, const bt_data_schema *schema,
                              bool persistent) {
    for (uint64_t k = 1; k < 2000; k++) {
        bt_error err = BT_ERROR_INIT;
        bt_alloc_fail_at(k, persistent);
        const bt_status rc = use_stream(config, schema, &err);
        bt_alloc_fail_at(0, false);
        if (rc == BT_OK) {
            assert_true(k > 20); /* the loop did its work */
            return;
        }
        if (rc != BT_E_NOMEM || err.msg[0] == '\0') {
            fail_msg("allocation %d: %s: %s", (int)k, bt_status_name(rc), err.msg);
        }
    }
    fail_msg("still failing after 2000 allocations");
}

static void test_allocations_fail(void **state) {
    (void)state;
    const char    *paths[1];
    bt_data_config config = two_files(paths);
    check_allocations(&config, NULL, false);
    check_allocations(&config, NULL, true);
    for (size_t i = 0; i < BT_ARRAY_LEN(endings); i++) {
        config = two_tables(paths, endings[i]);
        check_allocations(&config, text_schema(), false);
        check_allocations(&config, text_schema(), true);
    }
}

static void check_io(const bt_data_config *config, const bt_data_schema *schema, bt_fs_op op,
                     bool persistent) {
    for (uint64_t k = 1; k < 500; k++) {
        bt_error err = BT_ERROR_INIT;
        bt_fs_fail_at(op, k, persistent);
        const bt_status rc = use_stream(config, schema, &err);
        bt_fs_fail_at(op, 0, false);
        if (rc == BT_OK) {
            assert_true(k > 2);
            return;
        }
        if (rc != BT_E_IO ||
            (strstr(err.msg, "f-") == NULL && strstr(err.msg, "vocab_file") == NULL)) {
            fail_msg("operation %d: %s: %s", (int)k, bt_status_name(rc), err.msg);
        }
    }
    fail_msg("still failing after 500 operations");
}

static void test_files_fail(void **state) {
    (void)state;
    const char    *paths[1];
    bt_data_config config = two_files(paths);
    for (int persistent = 0; persistent < 2; persistent++) {
        config = two_files(paths);
        check_io(&config, NULL, BT_FS_OP_OPEN, persistent == 1);
        check_io(&config, NULL, BT_FS_OP_READ, persistent == 1);
        for (size_t i = 0; i < BT_ARRAY_LEN(endings); i++) {
            config = two_tables(paths, endings[i]);
            check_io(&config, text_schema(), BT_FS_OP_OPEN, persistent == 1);
            check_io(&config, text_schema(), BT_FS_OP_READ, persistent == 1);
        }
    }
}

/* I/O failures are not damage: skip_bad_records does not hide them. */
static void test_io_errors_are_not_skipped(void **state) {
    (void)state;
    const char    *paths[1];
    bt_data_config config = two_files(paths);
    config.skip_bad_records = 1000;
    check_io(&config, NULL, BT_FS_OP_READ, false);
    config = two_tables(paths, "csv");
    config.skip_bad_records = 1000;
    check_io(&config, text_schema(), BT_FS_OP_READ, false);
}

static void test_close_and_seek_at_any_moment(void **state) {
    (void)state;
    const char          *paths[1];
    bt_data_config       config = two_files(paths);
    const bt_data_schema schema = fixture_schema();
    for (int n = 0; n < 60; n++) {
        bt_data_stream *stream = NULL;
        const bt_batch *batch = NULL;
        bool            end = false;
        assert_ok(bt_data_open(&config, &schema, &stream, err));
        for (int i = 0; i < n % 6; i++) {
            assert_ok(bt_data_next_batch(stream, &batch, &end, err));
        }
        if (n % 2 == 0) {
            assert_ok(bt_data_seek(stream, (bt_data_cursor){.epoch = 3, .index = 13}, err));
            if (n % 4 == 0) {
                assert_ok(bt_data_next_batch(stream, &batch, &end, err));
            }
        }
        bt_data_close(stream);
    }
    bt_data_close(NULL);
}

/* A message about a row has its number, if not its place in a file that is gone. */
static void test_a_row_whose_file_is_gone(void **state) {
    (void)state;
    const char          *paths[1];
    const bt_data_config config = two_files(paths);
    const bt_data_schema schema = fixture_schema();
    for (int is_gone = 0; is_gone < 2; is_gone++) {
        bt_data_stream *stream = NULL;
        bt_str          got = BT_STR_INIT;
        assert_ok(bt_data_open(&config, &schema, &stream, err));
        bt_fs_fail_at(BT_FS_OP_READ, (uint64_t)is_gone, true);
        assert_ok(bt_data_say_row(stream, 13, &got, err));
        bt_fs_fail_at(BT_FS_OP_READ, 0, false);
        assert_true(bt_str_starts_with(bt_str_text(&got), "row "));
        assert_int_equal(strstr(bt_str_text(&got), " (") == NULL, is_gone);
        bt_str_deinit(&got);
        bt_data_close(stream);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allocations_fail),
        cmocka_unit_test(test_files_fail),
        cmocka_unit_test(test_io_errors_are_not_skipped),
        cmocka_unit_test(test_close_and_seek_at_any_moment),
        cmocka_unit_test(test_a_row_whose_file_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
