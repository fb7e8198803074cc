/* SPDX-License-Identifier: Apache-2.0
 *
 * Pairs from raw text: tokens of both sides against Model Garden's loader, from records, tables and
 * lines alike; chains of sides for predictions with their texts; refusals. */
#include "bt/base/alloc.h"
#include "data_fixture.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { N_ROWS = 11, MAX_FIELDS = 2 };

static const char *goldens(const char *name) {
    static char paths[8][TEST_PATH_MAX];
    static int  next = 0;
    char *const path = paths[next++ % 8];
    char        relative[128];
    (void)snprintf(relative, sizeof relative, "tests/goldens/data/%s", name);
    (void)snprintf(path, TEST_PATH_MAX, "%s", test_source_path(relative));
    return path;
}

static const char *vocab_path(void) {
    static char path[TEST_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s", test_source_path("tests/goldens/text/vocab_tf.txt"));
    return path;
}

static bt_data_schema text_schema(bt_pairing pairing, const char *const *left, size_t n_left,
                                  const char *const *right, size_t n_right) {
    return (bt_data_schema){.seq_length = 12,
                            .pairing = pairing,
                            .vocab_size = 200,
                            .type_vocab_size = 2,
                            .include_example_id = pairing == BT_PAIRING_CHAIN,
                            .text = {.fields = left,
                                     .n_fields = n_left,
                                     .key = "left_text_fields",
                                     .right_fields = right,
                                     .n_right_fields = n_right,
                                     .right_key = "right_text_fields",
                                     .vocab_file = vocab_path(),
                                     .lower_case = true,
                                     .rules = BT_TEXT_TF}};
}

static bt_data_config file_config(const char *const *paths) {
    bt_data_config config = fixture_config(paths, 1);
    config.is_training = false;
    return config;
}

/* Sequence b of the batch, padded to S, against row r of a list of lists. */
static void check_side(const bt_batch *batch, int64_t b, const json_t *expected, const char *side,
                       int64_t r, const char *what) {
    static const char *const kinds[] = {"word_ids", "mask", "type_ids"};
    for (size_t k = 0; k < BT_ARRAY_LEN(kinds); k++) {
        char key[32];
        (void)snprintf(key, sizeof key, "%s_%s", side, kinds[k]);
        const json_t *const want = json_array_get(json_object_get(expected, key), (size_t)r);
        assert_int_equal(json_array_size(want), batch->seq_length);
        int64_t t = batch->offsets[b];
        for (int64_t s = 0; s < batch->seq_length; s++) {
            const bool is_there = t < batch->offsets[b + 1] && batch->positions[t] == s;
            int64_t    got = 0;
            if (is_there) {
                got = k == 0 ? batch->ids[t] : k == 1 ? 1 : batch->types[t];
                t++;
            }
            const int64_t number = json_integer_value(json_array_get(want, (size_t)s));
            if (got != number) {
                fail_msg("%s: row %" PRId64 ": %s[%" PRId64 "] is %" PRId64 ", expected %" PRId64,
                         what, r, key, s, got, number);
            }
        }
    }
}

static void check_pairs(const bt_data_config *config, const bt_data_schema *schema,
                        const json_t *expected, const char *what) {
    bt_data_stream *stream = NULL;
    int64_t         r = 0;
    assert_ok(bt_data_open(config, schema, &stream, err));
    for (;;) {
        const bt_batch *batch = NULL;
        bool            end = false;
        assert_ok(bt_data_next_batch(stream, &batch, &end, err));
        if (end) {
            break;
        }
        assert_int_equal(batch->n_rows * 2, batch->n_seqs);
        for (int64_t i = 0; i < batch->n_rows; i++, r++) {
            check_side(batch, 2 * i, expected, "left", r, what);
            check_side(batch, 2 * i + 1, expected, "right", r, what);
        }
    }
    assert_int_equal(r, N_ROWS);
    bt_data_close(stream);
}

static size_t read_fields(const json_t *c, const char *key, const char *fields[MAX_FIELDS]) {
    const json_t *const list = json_object_get(c, key);
    for (size_t i = 0; i < json_array_size(list); i++) {
        assert_true(i < MAX_FIELDS);
        fields[i] = json_string_value(json_array_get(list, i));
    }
    return json_array_size(list);
}

static bt_data_schema case_schema(const json_t *c, const char *left[MAX_FIELDS],
                                  const char *right[MAX_FIELDS]) {
    const size_t   n_left = read_fields(c, "left", left);
    const size_t   n_right = read_fields(c, "right", right);
    bt_data_schema schema = text_schema(BT_PAIRING_ROWS, left, n_left, right, n_right);
    schema.seq_length = json_integer_value(json_object_get(c, "seq_length"));
    schema.text.lower_case = json_is_true(json_object_get(c, "lower_case"));
    return schema;
}

static json_t *read_cases(void) {
    json_t *const cases = json_load_file(goldens("pairs.json"), 0, NULL);
    assert_int_equal(json_array_size(cases), 3);
    return cases;
}

static void test_sides_have_model_gardens_tokens(void **state) {
    (void)state;
    static const char *const files[] = {"rows.tfrecord", "rows.tsv", "rows.csv", "rows.jsonl"};
    json_t *const            cases = read_cases();
    size_t                   i = 0;
    json_t                  *c = NULL;
    json_array_foreach(cases, i, c) {
        const char          *left[MAX_FIELDS];
        const char          *right[MAX_FIELDS];
        const bt_data_schema schema = case_schema(c, left, right);
        for (size_t f = 0; f < BT_ARRAY_LEN(files); f++) {
            char                 what[128];
            const char *const    path = goldens(files[f]);
            const bt_data_config config = file_config(&path);
            (void)snprintf(what, sizeof what, "%s of %s",
                           json_string_value(json_object_get(c, "name")), files[f]);
            check_pairs(&config, &schema, json_object_get(c, "expected"), what);
        }
    }
    json_decref(cases);
}

/* A file with the values of one key of rows.jsonl, a line each; one of them is empty. */
static void write_lines(const char *path, const char *key, const char *line_end, int64_t n_rows) {
    size_t      n = 0;
    char *const text = test_read_file(goldens("rows.jsonl"), &n);
    bt_str      lines = BT_STR_INIT;
    int64_t     r = 0;
    for (const char *at = text; *at != '\0' && r < n_rows; r++) {
        const size_t  n_line = strcspn(at, "\n");
        json_t *const row = json_loadb(at, n_line, 0, NULL);
        assert_ok(bt_str_appendf(&lines, err, "%s%s", json_string_value(json_object_get(row, key)),
                                 line_end));
        json_decref(row);
        at += n_line + 1;
    }
    test_write_file(path, lines.data, lines.len);
    bt_str_deinit(&lines);
    bt_free(text);
}

static bt_data_config lines_config(char left[TEST_PATH_MAX], char right[TEST_PATH_MAX],
                                   const char **paths) {
    (void)snprintf(left, TEST_PATH_MAX, "%s/de-en.de", test_temp_dir());
    (void)snprintf(right, TEST_PATH_MAX, "%s/de-en.en", test_temp_dir());
    paths[0] = left;
    paths[1] = right;
    bt_data_config config = file_config(&paths[0]);
    config.right_paths = &paths[1];
    config.n_right_paths = 1;
    config.table = BT_TABLE_LINES;
    return config;
}

static void test_lines_are_rows_empty_ones_too(void **state) {
    (void)state;
    static const char *const ends[] = {"\n", "\r\n"};
    char                     left[TEST_PATH_MAX];
    char                     right[TEST_PATH_MAX];
    const char              *paths[2];
    const bt_data_config     config = lines_config(left, right, paths);
    json_t *const            cases = read_cases();
    const json_t *const      sides = json_array_get(cases, 0);
    const char              *left_fields[MAX_FIELDS];
    const char              *right_fields[MAX_FIELDS];
    const bt_data_schema     schema = case_schema(sides, left_fields, right_fields);
    for (size_t i = 0; i < BT_ARRAY_LEN(ends); i++) {
        write_lines(left, "text_a", ends[i], N_ROWS);
        write_lines(right, "text_b", ends[i], N_ROWS);
        check_pairs(&config, &schema, json_object_get(sides, "expected"), "lines");
    }
    json_decref(cases);
}

static void check_texts(bt_data_stream *stream, int64_t row, const char *want) {
    const bt_text_span *texts = NULL;
    size_t              n = 9;
    assert_ok(bt_data_row_texts(stream, row, &texts, &n, err));
    if (want == NULL) {
        assert_int_equal(n, 0);
        return;
    }
    assert_int_equal(n, 1);
    assert_int_equal(texts[0].n_bytes, strlen(want));
    assert_memory_equal(texts[0].text, want, texts[0].n_bytes);
}

/* All rows in order, by their ids; then texts, and all rows again. */
static void check_chain(bt_data_stream *stream, int64_t n_left, int64_t n_right) {
    int64_t r = 0;
    assert_int_equal(bt_data_n_rows(stream), n_left + n_right);
    assert_int_equal(bt_data_n_left_rows(stream), n_left);
    for (;;) {
        const bt_batch *batch = NULL;
        bool            end = false;
        assert_ok(bt_data_next_batch(stream, &batch, &end, err));
        if (end) {
            break;
        }
        for (int64_t i = 0; i < batch->n_seqs; i++, r++) {
            assert_int_equal(batch->example_ids[i], r < n_left ? r : r - n_left);
        }
    }
    assert_int_equal(r, n_left + n_right);
}

static void test_chains_know_their_texts(void **state) {
    (void)state;
    static const char *const a[] = {"text_a"};
    static const char *const b[] = {"text_b"};
    const bt_data_schema     schema = text_schema(BT_PAIRING_CHAIN, a, 1, b, 1);
    static const char *const files[] = {"rows.tsv", "rows.csv", "rows.jsonl", "rows.tfrecord"};
    for (size_t f = 0; f < BT_ARRAY_LEN(files); f++) {
        const char *const    path = goldens(files[f]);
        const bt_data_config config = file_config(&path);
        const bool           is_table = f < 3;
        bt_data_stream      *stream = NULL;
        assert_ok(bt_data_open(&config, &schema, &stream, err));
        check_chain(stream, N_ROWS, N_ROWS);
        check_texts(stream, 1, is_table ? "cats running, unaffable!" : NULL);
        check_texts(stream, N_ROWS + 1, is_table ? "un \"a\" b" : NULL);
        check_texts(stream, 2, is_table ? "" : NULL);
        assert_ok(bt_data_seek(stream, (bt_data_cursor){0}, err));
        check_chain(stream, N_ROWS, N_ROWS);
        bt_data_close(stream);
    }
}

static void test_chains_may_have_a_left_side_only(void **state) {
    (void)state;
    static const char *const a[] = {"text_a"};
    static const char *const missing[] = {"nobody"};
    const char *const        table = goldens("rows.tsv");
    const char *const        records = goldens("rows.tfrecord");
    bt_data_config           config = file_config(&table);
    bt_data_schema           schema = text_schema(BT_PAIRING_CHAIN, a, 1, NULL, 0);
    bt_data_stream          *stream = NULL;
    assert_ok(bt_data_open(&config, &schema, &stream, err));
    check_chain(stream, N_ROWS, 0);
    bt_data_close(stream);
    config.paths = &records;
    assert_ok(bt_data_open(&config, &schema, &stream, err));
    check_chain(stream, N_ROWS, 0);
    bt_data_close(stream);
    schema = text_schema(BT_PAIRING_CHAIN, a, 1, missing, 1); /* of records: the features say */
    assert_ok(bt_data_open(&config, &schema, &stream, err));
    check_chain(stream, N_ROWS, 0);
    bt_data_close(stream);
    config.paths = &table; /* of tables: a column that is missing is a mistake */
    assert_fails(bt_data_open(&config, &schema, &stream, err), BT_E_FORMAT,
                 "no column is called 'nobody'");
}

/* Sides of different lengths, one of which is lines. */
static void test_chains_of_lines(void **state) {
    (void)state;
    static const char *const a[] = {"x"};
    char                     left[TEST_PATH_MAX];
    char                     right[TEST_PATH_MAX];
    const char              *paths[2];
    bt_data_config           config = lines_config(left, right, paths);
    const bt_data_schema     schema = text_schema(BT_PAIRING_CHAIN, a, 1, a, 1);
    bt_data_stream          *stream = NULL;
    write_lines(left, "text_a", "\n", 4);
    write_lines(right, "text_b", "\n", N_ROWS);
    assert_ok(bt_data_open(&config, &schema, &stream, err));
    check_chain(stream, 4, N_ROWS);
    check_texts(stream, 3, "a b c");
    check_texts(stream, 4 + 10, "un");
    bt_data_close(stream);
    config.n_right_paths = 0;
    assert_ok(bt_data_open(&config, &schema, &stream, err));
    check_chain(stream, 4, 0);
    bt_data_close(stream);
}

static void test_refusals(void **state) {
    (void)state;
    static const char *const a[] = {"text_a"};
    static const char *const b[] = {"text_b"};
    char                     left[TEST_PATH_MAX];
    char                     right[TEST_PATH_MAX];
    const char              *paths[2];
    bt_data_config           config = lines_config(left, right, paths);
    bt_data_schema           schema = text_schema(BT_PAIRING_ROWS, a, 1, b, 1);
    bt_data_stream          *stream = NULL;
    write_lines(left, "text_a", "\n", 4);
    write_lines(right, "text_b", "\n", 5);
    assert_fails(bt_data_open(&config, &schema, &stream, err), BT_E_FORMAT,
                 "de-en.de has 4 rows, ");
    config.table = BT_TABLE_NONE;
    assert_fails(bt_data_open(&config, &schema, &stream, err), BT_E_FORMAT,
                 "file_type is that of records (lines of text: lines): ");
    config.table = BT_TABLE_LINES;
    config.n_right_paths = 0;
    assert_fails(bt_data_open(&config, &schema, &stream, err), BT_E_CONFIG,
                 "a left side only: name the files of the right sides in right_input_path");
    const char *const table = goldens("rows.tsv");
    config = file_config(&table);
    schema.text.n_right_fields = 0;
    assert_fails(bt_data_open(&config, &schema, &stream, err), BT_E_CONFIG, "or their columns");
    schema = text_schema(BT_PAIRING_ROWS, NULL, 0, NULL, 0);
    assert_fails(bt_data_open(&config, &schema, &stream, err), BT_E_CONFIG,
                 "vocab_file is empty, and raw text needs the vocabulary");
    static const char *const three[] = {"text_a", "text_b", "text_a"};
    schema = text_schema(BT_PAIRING_ROWS, a, 1, three, 3);
    assert_fails(bt_data_open(&config, &schema, &stream, err), BT_E_CONFIG,
                 "right_text_fields has 3 fields, but the model's type_vocab_size is 2");
    const char *const records = goldens("rows.tfrecord");
    config.paths = &records;
    schema = text_schema(BT_PAIRING_ROWS, b, 1, (const char *const[]){"text_c"}, 1);
    assert_fails(bt_data_open(&config, &schema, &stream, err), BT_E_FORMAT,
                 "feature text_c (string) is required but missing: were these records made");
    assert_null(stream);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sides_have_model_gardens_tokens),
        cmocka_unit_test(test_lines_are_rows_empty_ones_too),
        cmocka_unit_test(test_chains_know_their_texts),
        cmocka_unit_test(test_chains_may_have_a_left_side_only),
        cmocka_unit_test(test_chains_of_lines),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
