/* SPDX-License-Identifier: Apache-2.0
 *
 * Raw text as records, TSV, CSV and JSON lines: the same rows give the same batches, which are
 * those of Model Garden's raw-text loader and of its data tool (tests/goldens/data, made by
 * tests/make_goldens/make_data_text_goldens.py); order, cursor and gzip as for records of tokens.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "data_fixture.h"

enum { N_ROWS = 11, BATCH = 4 };

static const char *const both[] = {"text_a", "text_b"};
static const char *const names[] = {"contradiction", "entailment", "neutral"};

static bt_data_schema text_schema(void) {
    return (bt_data_schema){
        .seq_length = 24,
        .label_kind = BT_LABEL_CLASS,
        .label_field = "label",
        .n_classes = 3,
        .vocab_size = 100,
        .type_vocab_size = 2,
        .learns_labels = true,
        .text = {.fields = both,
                 .n_fields = 2,
                 .vocab_file = test_source_path("tests/goldens/text/vocab_tf.txt"),
                 .lower_case = true}};
}

static const char *golden(const char *name) {
    static char paths[8][TEST_PATH_MAX];
    static int  next = 0;
    char *const path = paths[next++ % 8];
    (void)snprintf(path, TEST_PATH_MAX, "%.4000s/%.64s", test_source_path("tests/goldens/data"),
                   name);
    return path;
}

static int64_t number_at(const json_t *rows, const char *key, size_t r, size_t t) {
    const json_t *const row = json_array_get(json_object_get(rows, key), r);
    return json_integer_value(json_array_get(row, t));
}

static void check_row(const char *name, const json_t *want, const bt_batch *batch, int64_t b,
                      size_t r) {
    const int64_t at = batch->offsets[b];
    const int64_t n = batch->offsets[b + 1] - at;
    for (int64_t t = 0; t < batch->seq_length; t++) {
        const bool    is_real = t < n;
        const int64_t id = is_real ? batch->ids[at + t] : 0;
        const int64_t type = is_real ? batch->types[at + t] : 0;
        if (number_at(want, "mask", r, (size_t)t) != (is_real ? 1 : 0) ||
            number_at(want, "ids", r, (size_t)t) != id ||
            number_at(want, "types", r, (size_t)t) != type) {
            fail_msg("%s: row %zu: token %d is %d of type %d", name, r, (int)t, (int)id, (int)type);
        }
    }
    assert_int_equal(json_integer_value(json_array_get(json_object_get(want, "labels"), r)),
                     batch->int_labels[b]);
}

static void check_file(const json_t *want, const char *file) {
    const json_t *const list = json_object_get(want, "fields");
    const char         *fields[2];
    char                name[128];
    bt_data_schema      schema = text_schema();
    bt_data_stream     *stream = NULL;
    size_t              r = 0;
    const char *const   path = golden(file);
    bt_data_config      config = fixture_config(&path, 1);
    const bool is_tf = bt_str_equal(json_string_value(json_object_get(want, "rules")), "tf");
    for (size_t i = 0; i < json_array_size(list); i++) {
        fields[i] = json_string_value(json_array_get(list, i));
    }
    (void)snprintf(name, sizeof name, "%s by %s, %s", file,
                   json_string_value(json_object_get(want, "rules")),
                   json_string_value(json_object_get(want, "name")));
    config.is_training = false;
    config.global_batch_size = BATCH;
    schema.seq_length = json_integer_value(json_object_get(want, "seq_length"));
    schema.text.fields = fields;
    schema.text.n_fields = json_array_size(list);
    schema.text.lower_case = json_is_true(json_object_get(want, "lower_case"));
    schema.text.rules = is_tf ? BT_TEXT_TF : BT_TEXT_PYTHON;
    assert_ok(bt_data_open(&config, &schema, &stream, err));
    assert_int_equal(bt_data_n_rows(stream), N_ROWS);
    while (r < N_ROWS) {
        const bt_batch *batch = NULL;
        bool            end = false;
        assert_ok(bt_data_next_batch(stream, &batch, &end, err));
        assert_false(end);
        for (int64_t b = 0; b < batch->n_seqs; b++) {
            check_row(name, want, batch, b, r++);
        }
    }
    bt_data_close(stream);
}

static void test_goldens(void **state) {
    (void)state;
    static const char *const files[] = {"rows.tfrecord", "rows.tsv", "rows.csv", "rows.jsonl"};
    json_t *const            cases = json_load_file(golden("expected.json"), 0, NULL);
    assert_int_equal(json_array_size(cases), 8);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        for (size_t k = 0; k < BT_ARRAY_LEN(files); k++) {
            check_file(json_array_get(cases, i), files[k]);
        }
    }
    json_decref(cases);
}

static void test_padding_is_kept(void **state) {
    (void)state;
    static const char vocab[] = "[UNK]\n[CLS]\n[SEP]\na\n[PAD]\n";
    const char *const folder = test_temp_dir();
    bt_str            table = BT_STR_INIT;
    bt_str            pieces = BT_STR_INIT;
    bt_data_stream   *stream = NULL;
    const bt_batch   *batch = NULL;
    bool              end = false;
    bt_data_schema    schema = text_schema();
    assert_ok(bt_str_append(&table, "text_a\tlabel\na\t0\na a\t1\n", err));
    assert_ok(bt_str_append(&pieces, vocab, err));
    const char *const path = fixture_write(folder, "t.tsv", &table);
    bt_data_config    config = fixture_config(&path, 1);
    schema.text.vocab_file = fixture_write(folder, "v.txt", &pieces);
    schema.text.rules = BT_TEXT_TF;
    schema.text.n_fields = 1;
    schema.seq_length = 5;
    schema.keep_padding = true;
    config.global_batch_size = 2;
    assert_ok(bt_data_open(&config, &schema, &stream, err));
    assert_ok(bt_data_next_batch(stream, &batch, &end, err));
    static const int32_t ids[] = {1, 3, 2, 4, 4, 1, 3, 3, 2, 4};
    static const uint8_t mask[] = {1, 1, 1, 0, 0, 1, 1, 1, 1, 0};
    assert_int_equal(batch->n_tokens, 10);
    assert_memory_equal(batch->ids, ids, sizeof ids);
    assert_memory_equal(batch->key_mask, mask, sizeof mask);
    bt_data_close(stream);
}

static const char *numbered(const char *folder, const char *name, bool is_gzip, int first, int n) {
    bt_str      text = BT_STR_INIT;
    static char paths[16][TEST_PATH_MAX];
    static int  next = 0;
    char *const path = paths[next++ % 16];
    assert_ok(bt_str_append(&text, "text_a\tlabel\texample_id\n", err));
    for (int r = first; r < first + n; r++) {
        assert_ok(bt_str_appendf(&text, err, "%.*s\t%s\t%d\n", 1 + 2 * (r % 6),
                                 "a b c d e 1 2 3", /* */
                                 names[r % 3], 1000 + r));
    }
    (void)snprintf(path, TEST_PATH_MAX, "%s/%s", folder, name);
    if (is_gzip) {
        gzFile file = gzopen(path, "wb");
        assert_int_equal(gzwrite(file, bt_str_text(&text), (unsigned)text.len), (int)text.len);
        assert_int_equal(gzclose(file), Z_OK);
    } else {
        test_write_file(path, bt_str_text(&text), text.len);
    }
    bt_str_deinit(&text);
    return path;
}

static void check_numbered(const bt_batch *batch, int64_t b, int64_t r) {
    assert_int_equal(batch->example_ids[b], 1000 + r);
    assert_int_equal(batch->int_labels[b], r % 3);
    assert_int_equal(batch->offsets[b + 1] - batch->offsets[b], 3 + r % 6);
}

static bt_data_stream *open_numbered(const char *const *paths, size_t n, const char *section,
                                     int64_t shuffle_buffer, int64_t cycle) {
    bt_data_schema  schema = text_schema();
    bt_data_config  config = fixture_config(paths, n);
    bt_data_stream *stream = NULL;
    schema.text.n_fields = 1;
    schema.include_example_id = true;
    config.shuffle_buffer_size = shuffle_buffer;
    config.cycle_length = cycle;
    config.section = section;
    config.seed = 5;
    assert_ok(bt_data_open(&config, &schema, &stream, err));
    return stream;
}

enum { MAX_IDS = 512 };

/* example_ids of the next batches, and where the cursor stood before each. */
static size_t read_ids(bt_data_stream *stream, size_t n_batches, int64_t ids[MAX_IDS],
                       bt_data_cursor *cursors) {
    size_t n = 0;
    for (size_t i = 0; i < n_batches; i++) {
        const bt_batch *batch = NULL;
        bool            end = false;
        if (cursors != NULL) {
            cursors[i] = bt_data_get_cursor(stream);
        }
        assert_ok(bt_data_next_batch(stream, &batch, &end, err));
        for (int64_t b = 0; b < batch->n_seqs; b++) {
            check_numbered(batch, b, batch->example_ids[b] - 1000);
            assert_true(n < MAX_IDS);
            ids[n++] = batch->example_ids[b];
        }
    }
    return n;
}

/* The rows of three files, read as one: in every order, and again from every place. */
static void check_resume(bool is_gzip, int64_t shuffle_buffer, int64_t cycle) {
    enum { N_BATCHES = 25 };
    const char *const folder = test_temp_dir();
    const char *const paths[] = {numbered(folder, is_gzip ? "a.tsv.gz" : "a.tsv", is_gzip, 0, 7),
                                 numbered(folder, is_gzip ? "b.tsv.gz" : "b.tsv", is_gzip, 7, 11),
                                 numbered(folder, is_gzip ? "c.tsv.gz" : "c.tsv", is_gzip, 18, 5)};
    bt_data_stream   *stream = open_numbered(paths, 3, "first", shuffle_buffer, cycle);
    bt_data_stream   *other = open_numbered(paths, 3, "second", shuffle_buffer, cycle);
    int64_t           ids[MAX_IDS];
    int64_t           again[MAX_IDS];
    bt_data_cursor    cursors[N_BATCHES];
    bool              seen[23] = {false};
    const size_t      n = read_ids(stream, N_BATCHES, ids, cursors);
    assert_int_equal(bt_data_n_rows(stream), 23);
    for (size_t i = 0; i < 23; i++) { /* one epoch: every row once */
        assert_false(seen[ids[i] - 1000]);
        seen[ids[i] - 1000] = true;
        if (shuffle_buffer == 1 && cycle == 1) {
            assert_int_equal(ids[i], 1000 + (int64_t)i);
        }
    }
    for (size_t i = 0; i < N_BATCHES; i++) {
        assert_ok(bt_data_seek(other, cursors[i], err));
        const size_t n_again = read_ids(other, N_BATCHES - i, again, NULL);
        assert_int_equal(n_again, n - 4 * i);
        assert_memory_equal(again, ids + 4 * i, n_again * sizeof *ids);
    }
    bt_data_close(stream);
    bt_data_close(other);
}

static void test_order_and_resume(void **state) {
    (void)state;
    for (int is_gzip = 0; is_gzip < 2; is_gzip++) {
        check_resume(is_gzip == 1, 1, 1);
        check_resume(is_gzip == 1, 100, 1);
        check_resume(is_gzip == 1, 1, 2);
    }
}

static void test_row_numbers_stand_in_for_ids(void **state) {
    (void)state;
    const char *const path = golden("rows.tsv");
    bt_data_config    config = fixture_config(&path, 1);
    bt_data_schema    schema = text_schema();
    bt_data_stream   *stream = NULL;
    const bt_batch   *batch = NULL;
    bool              end = false;
    schema.include_example_id = true;
    assert_ok(bt_data_open(&config, &schema, &stream, err));
    for (int64_t r = 0; r < 8; r += BATCH) {
        assert_ok(bt_data_next_batch(stream, &batch, &end, err));
        for (int64_t b = 0; b < BATCH; b++) {
            assert_int_equal(batch->example_ids[b], r + b);
        }
    }
    bt_data_close(stream);
}

static void test_no_heap_once_warm(void **state) {
    (void)state;
    bt_str several = BT_STR_INIT; /* rows of several lines */
    assert_ok(bt_str_append(&several,
                            "text_a,text_b,label\n\"a\nb\",c,0\n\"c\n\n\",\"\n\",1\n,,2\n", err));
    const char *const paths[] = {golden("rows.tfrecord"), golden("rows.tsv"), golden("rows.csv"),
                                 fixture_write(test_temp_dir(), "several.csv", &several)};
    for (size_t k = 0; k < BT_ARRAY_LEN(paths); k++) {
        const char *const    path = paths[k];
        const bt_data_config config = fixture_config(&path, 1);
        const bt_data_schema schema = text_schema();
        bt_data_stream      *stream = NULL;
        const bt_batch      *batch = NULL;
        bool                 end = false;
        uint64_t             before = 0;
        assert_ok(bt_data_open(&config, &schema, &stream, err));
        for (int i = 0; i < 40; i++) {
            before = i == 10 ? bt_alloc_count() : before;
            assert_ok(bt_data_next_batch(stream, &batch, &end, err));
        }
        bt_data_close(stream); /* the thread is still: nothing is counted behind our back */
        assert_int_equal(bt_alloc_count(), before);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_padding_is_kept),
        cmocka_unit_test(test_order_and_resume),
        cmocka_unit_test(test_row_numbers_stand_in_for_ids),
        cmocka_unit_test(test_no_heap_once_warm),
    };
    bt_log_setup("test", BT_LOG_TEXT, BT_LOG_WARNING);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
