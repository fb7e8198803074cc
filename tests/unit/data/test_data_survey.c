/* SPDX-License-Identifier: Apache-2.0
 *
 * What is counted before step 0 with every allocation and file operation failing in turn: the
 * survey of a table (short commands decide by it), the census of its rows and the comparison of two
 * sections. A count that comes is right, and one that does not says why. */
#include <stdio.h>
#include <string.h>

#include "bt/base/log.h"
#include "data_fixture.h"
#include "test_faults.h"

static const char *const names[] = {"train.tsv", "train.csv", "train.jsonl"};
static const char *const texts[] = {
    "a\tlabel\nx y\tno\nz\tyes\n \tno\nx\tmaybe\n", "a,label\n\"x y\",no\nz,yes\n ,no\nx,maybe\n",
    ("{\"a\": \"x y\", \"label\": \"no\"}\n{\"a\": \"z\", \"label\": \"yes\"}\n"
     "{\"a\": \" \", \"label\": \"no\"}\n{\"a\": \"x\", \"label\": \"maybe\"}\n")};

static const char *train;
static const char *other;
static const char *vocabulary;

static bt_status survey(void *context, bt_error *err) {
    static const char *const fields[] = {"a"};
    static const char *const labels[] = {"labels", "label", "class"};
    const bt_data_config     config = fixture_config(&train, 1);
    bt_data_survey           seen = {0};
    (void)context;
    BT_TRY(bt_data_survey_read(&config, fields, 1, labels, BT_ARRAY_LEN(labels), &seen, err));
    assert_string_equal(seen.label, "label");
    assert_int_equal(seen.n_rows, 4);
    assert_int_equal(seen.n_labels, 3);
    assert_int_equal(seen.n_columns, 2);
    assert_false(seen.are_scores);
    bt_data_survey_deinit(&seen);
    return BT_OK;
}

static bt_status open_one(const char **path, bool learns, bt_data_stream **out, bt_error *err) {
    static const char *const fields[] = {"a"};
    static const char *const classes[] = {"maybe", "no", "yes"};
    const bt_data_config     config = fixture_config(path, 1);
    bt_data_schema           schema = fixture_schema();
    schema.label_field = "label";
    schema.learns_labels = learns;
    schema.is_compared = true;
    if (!learns) {
        schema.label_names = classes;
        schema.n_label_names = BT_ARRAY_LEN(classes);
    }
    schema.text = (bt_data_text){
        .fields = fields, .n_fields = 1, .vocab_file = vocabulary, .lower_case = true};
    return bt_data_open(&config, &schema, out, err);
}

static bt_status compare(void *context, bt_error *err) {
    bt_status       rc = BT_OK;
    bt_data_stream *a = NULL;
    bt_data_stream *b = NULL;
    bt_data_shared  shared = {0};
    int64_t         counts[3] = {0};
    (void)context;
    BT_CHECK(open_one(&train, true, &a, err));
    BT_CHECK(open_one(&other, false, &b, err));
    BT_CHECK(bt_data_count_shared(b, a, &shared, err));
    assert_int_equal(shared.n, 2);
    assert_int_equal(shared.n_of, 3);
    assert_int_equal(bt_data_class_counts(a, counts, 3), 4);
    assert_int_equal(counts[1], 2);
    assert_int_equal(bt_data_get_census(a, 0)->n_without_text, 1);
    assert_int_equal(bt_data_get_census(a, 0)->n_rows, 4);
done:
    bt_data_close(a);
    bt_data_close(b);
    return rc;
}

static void test_tables(void **state) {
    (void)state;
    static const char rows[] = "a\tlabel\nx y\tno\nx z\tyes\nz\tno\n";
    for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
        const char *const folder = test_temp_dir();
        static char       paths[2][TEST_PATH_MAX];
        (void)snprintf(paths[0], TEST_PATH_MAX, "%.4000s/%s", folder, names[i]);
        (void)snprintf(paths[1], TEST_PATH_MAX, "%.4000s/dev.tsv", folder);
        test_write_file(paths[0], texts[i], strlen(texts[i]));
        test_write_file(paths[1], rows, sizeof rows - 1);
        vocabulary = test_source_path("tests/goldens/text/vocab_tf.txt");
        train = paths[0];
        other = paths[1];
        assert_true(test_every_fault(&(test_work){.what = names[i], .work = survey}) > 10);
        assert_true(test_every_fault(&(test_work){.what = names[i], .work = compare}) > 40);
    }
}

int main(void) {
    bt_log_setup("test", BT_LOG_TEXT, BT_LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
