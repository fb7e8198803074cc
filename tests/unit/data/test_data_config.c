/* SPDX-License-Identifier: Apache-2.0
 *
 * The keys of a data section, read from a configuration built as a user would; and what they may
 * not be beside the files and the model. */
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

static void expect_refused(const bt_data_config *config, const bt_data_schema *schema,
                           bt_status status, const char *text) {
    bt_data_stream *stream = NULL;
    assert_fails(bt_data_open(config, schema, &stream, err), status, text);
}

static void test_kinds_do_not_mix(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    const char       *paths[2];
    bt_str            a = BT_STR_INIT;
    bt_str            b = BT_STR_INIT;
    assert_ok(bt_str_append(&a, "a\tlabel\na\t0\n", err));
    assert_ok(bt_str_append(&b, "a,label\na,0\n", err));
    paths[0] = fixture_write(folder, "mixed.tsv", &a);
    paths[1] = fixture_write(folder, "mixed.csv", &b);
    static const char *const fields[BT_DATA_MAX_TEXTS + 4] = {"a", "b", "c"};
    bt_data_config           config = fixture_config(paths, 2);
    bt_data_schema           schema = fixture_schema();
    expect_refused(&config, &schema, BT_E_CONFIG, "mixed.csv are files of different kinds");
    config.n_paths = 1;
    expect_refused(&config, &schema, BT_E_CONFIG,
                   "task.train_data.text_fields is empty: a table of text needs it");
    schema.text = (bt_data_text){.fields = fields, .n_fields = 1};
    expect_refused(&config, &schema, BT_E_CONFIG, "task.train_data.vocab_file is empty");
    schema.text.vocab_file = "/nonexistent";
    expect_refused(&config, &schema, BT_E_IO,
                   "task.train_data.vocab_file: /nonexistent: no such file");
    schema.text.vocab_file = test_source_path("tests/goldens/text/vocab_tf.txt");
    schema.vocab_size = 10;
    expect_refused(&config, &schema, BT_E_CONFIG, "but the model's vocab_size is 10");
    schema.vocab_size = 100;
    static const char few[] = "[PAD]\n[CLS]\n[SEP]\na\n";
    char              words[TEST_PATH_MAX];
    (void)snprintf(words, sizeof words, "%.4000s/few.txt", test_temp_dir());
    test_write_file(words, few, sizeof few - 1);
    schema.text.vocab_file = words;
    expect_refused(&config, &schema, BT_E_FORMAT,
                   "few.txt: the vocabulary (4 pieces) has no [UNK]");
    schema.text.vocab_file = test_source_path("tests/goldens/text/vocab_tf.txt");
    schema.text.n_fields = 3;
    expect_refused(&config, &schema, BT_E_CONFIG, "text_fields: expected at most 2 fields, got 3");
    schema.text.rules = BT_TEXT_TF;
    expect_refused(&config, &schema, BT_E_CONFIG,
                   "has 3 fields, but the model's type_vocab_size is 2");
    schema.type_vocab_size = 100;
    schema.text.n_fields = BT_DATA_MAX_TEXTS + 4;
    expect_refused(&config, &schema, BT_E_CONFIG,
                   "text_fields: expected at most 16 fields, got 20");
    schema.text.n_fields = 1;
    schema.seq_length = 1;
    expect_refused(&config, &schema, BT_E_CONFIG, "[CLS] and a [SEP] for each text need 2");
    schema.seq_length = 8;
    schema.label_kind = BT_LABEL_TOKENS;
    expect_refused(&config, &schema, BT_E_UNSUPPORTED, "tables hold sentences with one label each");
    /* file_type wins over the extension; a record file is not a table */
    schema.label_kind = BT_LABEL_CLASS;
    schema.label_field = "label";
    config.table = BT_TABLE_JSONL;
    expect_refused(&config, &schema, BT_E_FORMAT, "mixed.tsv:1:1: not JSON");
    /* keys that would say nothing */
    config.quote = '"';
    expect_refused(&config, &schema, BT_E_CONFIG,
                   "quote is for .tsv and .csv, which this input is not");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_kinds_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
