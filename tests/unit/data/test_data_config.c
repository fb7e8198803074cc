/* SPDX-License-Identifier: Apache-2.0
 *
 * The keys of a data section, read from a configuration built as a user would. */
#include <stdio.h>
#include <string.h>

#include "bt/base/arena.h"
#include "data_fixture.h"

typedef struct config_fixture {
    bt_conf  *conf;
    bt_arena  arena;
    bt_status status;
    bt_error  err;
} config_fixture;

/* Builds bert/sentence_prediction with an override and reads task.train_data. */
static bt_data_config read_with(config_fixture *fixture, const char *override) {
    bt_conf_errors     errors = BT_CONF_ERRORS_INIT;
    const bt_conf_args args = {.experiment = "bert/sentence_prediction",
                               .params_override = override};
    bt_data_config     config = {0};
    *fixture = (config_fixture){.err = BT_ERROR_INIT};
    assert_ok(bt_arena_init(&fixture->arena, 1024, err));
    assert_ok(bt_conf_build(&args, &fixture->conf, &errors, err));
    bt_conf_errors_deinit(&errors);
    fixture->status = bt_data_config_read(fixture->conf, "task.train_data", 99, &fixture->arena,
                                          &config, &fixture->err);
    return config;
}

static void done_with(config_fixture *fixture) {
    bt_conf_free(fixture->conf);
    bt_arena_deinit(&fixture->arena);
}

static void test_defaults(void **state) {
    (void)state;
    config_fixture       fixture;
    const bt_data_config config = read_with(&fixture, "task.train_data.input_path='a.tfrecord'");
    if (fixture.status != BT_OK) {
        fail_msg("%s", fixture.err.msg);
    }
    assert_int_equal(config.n_paths, 1);
    assert_string_equal(config.paths[0], "a.tfrecord");
    assert_int_equal(config.global_batch_size, 32);
    assert_int_equal(config.shuffle_buffer_size, 100);
    assert_int_equal(config.cycle_length, 0);
    assert_int_equal(config.block_length, 1);
    assert_int_equal(config.skip_bad_records, 0);
    assert_int_equal(config.epochs, 0);
    assert_int_equal(config.seed, 99);
    assert_true(config.is_training);
    assert_true(config.drop_remainder);
    assert_false(config.gzip);
    assert_string_equal(config.section, "task.train_data");
    done_with(&fixture);
}

static void test_values(void **state) {
    (void)state;
    config_fixture       fixture;
    const bt_data_config config =
        read_with(&fixture, "task.train_data.input_path='  a , b*,, c ',"
                            "task.train_data.global_batch_size=7,task.train_data.seed=5,"
                            "task.train_data.cycle_length=3,task.train_data.block_length=2,"
                            "task.train_data.cache=true,task.train_data.epochs=4,"
                            "task.train_data.skip_bad_records=9,"
                            "task.train_data.file_type='tfrecord_compressed'");
    if (fixture.status != BT_OK) {
        fail_msg("%s", fixture.err.msg);
    }
    static const char *const want[] = {"a", "b*", "c"};
    assert_int_equal(config.n_paths, 3);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(config.paths[i], want[i]);
    }
    assert_int_equal(config.global_batch_size, 7);
    assert_int_equal(config.seed, 5);
    assert_int_equal(config.cycle_length, 3);
    assert_int_equal(config.block_length, 2);
    assert_int_equal(config.epochs, 4);
    assert_int_equal(config.skip_bad_records, 9);
    assert_true(config.gzip);
    done_with(&fixture);
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *override;
        bt_status   status;
        const char *text;
    } rows[] = {
        {"task.train_data.seed=1", BT_E_CONFIG, "task.train_data.input_path"},
        {"task.train_data.input_path=' , '", BT_E_CONFIG, "names no file"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        config_fixture fixture;
        (void)read_with(&fixture, rows[i].override);
        test_check_failure(fixture.status, rows[i].status, &fixture.err, rows[i].text,
                           rows[i].override, __FILE__, __LINE__);
        done_with(&fixture);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
