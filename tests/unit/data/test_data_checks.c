/* SPDX-License-Identifier: Apache-2.0
 *
 * What a row becomes (packing, masks, labels), and that every wrong file or record is one sentence
 * that says where, what was expected and what was found. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/log.h"
#include "data_fixture.h"

/* A row of FIXTURE_S values that is right in every way; tests spoil one thing. */
static const int64_t ids_ok[FIXTURE_S] = {101, 7, 8, 102, 0, 0, 0, 0};
static const int64_t mask_ok[FIXTURE_S] = {1, 1, 1, 1, 0, 0, 0, 0};
static const int64_t types_ok[FIXTURE_S] = {0, 0, 1, 1, 0, 0, 0, 0};
static const int64_t one = 1;

static fixture_row good_row(void) {
    return (fixture_row){.ids = ids_ok,
                         .mask = mask_ok,
                         .types = types_ok,
                         .s = FIXTURE_S,
                         .label = &one,
                         .n_labels = 1,
                         .example_id = &one,
                         .start = &one,
                         .end = &one};
}

static bt_status open_rows(const fixture_row *rows, size_t n, const bt_data_schema *schema,
                           bt_data_stream **out, bt_error *err) {
    static const char *folder = NULL; /* one for all: each file replaces the one before */
    folder = folder == NULL ? test_temp_dir() : folder;
    bt_str frames = BT_STR_INIT;
    for (size_t i = 0; i < n; i++) {
        fixture_add(&frames, &rows[i]);
    }
    const char *const path = fixture_write(folder, "rows.tfrecord", &frames);
    bt_data_config    config = fixture_config(&path, 1);
    config.is_training = false;
    config.global_batch_size = 8;
    return bt_data_open(&config, schema, out, err);
}

static const bt_batch *first_batch(bt_data_stream *stream) {
    const bt_batch *batch = NULL;
    bool            end = true;
    assert_ok(bt_data_next_batch(stream, &batch, &end, err));
    assert_false(end);
    return batch;
}

static void test_packing(void **state) {
    (void)state;
    static const int64_t hole[FIXTURE_S] = {1, 0, 1, 1, 0, 1, 0, 0};
    static const int64_t first_masked[FIXTURE_S] = {0, 1, 1, 0, 0, 0, 0, 0};
    static const int64_t none[FIXTURE_S] = {0};
    fixture_row          rows[4];
    for (int i = 0; i < 4; i++) {
        rows[i] = good_row();
    }
    rows[1].mask = hole;
    rows[2].mask = first_masked;
    rows[3].mask = none;
    const bt_data_schema schema = fixture_schema();
    bt_data_stream      *stream = NULL;
    assert_ok(open_rows(rows, 4, &schema, &stream, err));
    const bt_batch *const batch = first_batch(stream);
    static const int64_t  offsets[] = {0, 4, 8, 16, 24};
    assert_int_equal(batch->n_seqs, 4);
    assert_int_equal(batch->max_tokens, 8);
    assert_int_equal(batch->seq_length, FIXTURE_S);
    assert_memory_equal(batch->offsets, offsets, sizeof offsets);
    static const int32_t positions[] = {0, 1, 2, 3, 0, 2, 3, 5, 0, 1, 2, 3, 4, 5, 6, 7};
    assert_memory_equal(batch->positions, positions, sizeof positions);
    static const int32_t ids[] = {101, 7, 8, 102, 101, 8, 102, 0, 101, 7, 8, 102, 0, 0, 0, 0};
    assert_memory_equal(batch->ids, ids, sizeof ids);
    static const uint8_t mask[] = {1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0,
                                   0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    assert_non_null(batch->key_mask);
    assert_memory_equal(batch->key_mask, mask, sizeof mask);
    bt_data_close(stream);
}

static void test_keep_padding(void **state) {
    (void)state;
    const fixture_row row = good_row();
    bt_data_schema    schema = fixture_schema();
    schema.keep_padding = true;
    bt_data_stream *stream = NULL;
    assert_ok(open_rows(&row, 1, &schema, &stream, err));
    const bt_batch *batch = first_batch(stream);
    assert_int_equal(batch->n_tokens, FIXTURE_S);
    assert_non_null(batch->key_mask);
    for (int t = 0; t < FIXTURE_S; t++) {
        assert_int_equal(batch->ids[t], ids_ok[t]);
        assert_int_equal(batch->types[t], types_ok[t]);
        assert_int_equal(batch->key_mask[t], mask_ok[t]);
        assert_int_equal(batch->positions[t], t);
    }
    bt_data_close(stream);

    static const int64_t full[FIXTURE_S] = {1, 1, 1, 1, 1, 1, 1, 1};
    fixture_row          whole = good_row();
    whole.mask = full; /* nothing masked: no mask needed */
    assert_ok(open_rows(&whole, 1, &schema, &stream, err));
    batch = first_batch(stream);
    assert_null(batch->key_mask);
    bt_data_close(stream);
}

static void test_label_kinds(void **state) {
    (void)state;
    static const int64_t hole[FIXTURE_S] = {1, 0, 1, 1, 0, 0, 0, 0};
    static const int64_t tags[FIXTURE_S] = {-1, 2, 1, -1, -1, -1, -1, -1};
    static const int64_t hole_tags[FIXTURE_S] = {-1, -1, 1, -1, -1, -1, -1, -1};
    static const int64_t three = 3;
    static const int64_t two = 2;
    bt_data_schema       schema = fixture_schema();
    bt_data_stream      *stream = NULL;

    const float score = 3.25f;
    fixture_row row = good_row();
    row.label = NULL;
    row.float_label = &score;
    schema.label_kind = BT_LABEL_FLOAT;
    schema.include_example_id = false;
    assert_ok(open_rows(&row, 1, &schema, &stream, err));
    const bt_batch *batch = first_batch(stream);
    assert_true(batch->float_labels[0] == 3.25f);
    assert_null(batch->int_labels);
    assert_null(batch->example_ids);
    bt_data_close(stream);

    fixture_row rows[2] = {good_row(), good_row()};
    rows[1].mask = hole;
    for (int i = 0; i < 2; i++) {
        rows[i].label = i == 0 ? tags : hole_tags;
        rows[i].n_labels = FIXTURE_S;
        rows[i].start = &two;
        rows[i].end = &three;
    }
    schema.label_kind = BT_LABEL_TOKENS;
    assert_ok(open_rows(rows, 2, &schema, &stream, err));
    batch = first_batch(stream);
    static const int32_t packed_tags[] = {-1, 2, 1, -1, -1, 1, -1};
    assert_int_equal(batch->n_tokens, 7);
    assert_memory_equal(batch->int_labels, packed_tags, sizeof packed_tags);
    bt_data_close(stream);

    schema.label_kind = BT_LABEL_SPAN;
    assert_ok(open_rows(rows, 2, &schema, &stream, err));
    batch = first_batch(stream);
    static const int32_t spans[] = {2, 1, 3, 2}; /* starts, then ends; the hole moves them */
    assert_memory_equal(batch->int_labels, spans, sizeof spans);
    bt_data_close(stream);

    schema.label_kind = BT_LABEL_NONE;
    assert_ok(open_rows(rows, 2, &schema, &stream, err));
    batch = first_batch(stream);
    assert_null(batch->int_labels);
    assert_null(batch->float_labels);
    bt_data_close(stream);
}

/* Model Garden's tagging loss looks at labels only: one on padding makes its token count. */
static void test_labelled_padding_is_kept(void **state) {
    (void)state;
    static const int64_t tags[FIXTURE_S] = {-1, 2, 1, -1, -1, 0, -1, -1};
    static const int32_t packed[FIXTURE_S] = {-1, 2, 1, -1, -1, 0, -1, -1};
    static const uint8_t mask[FIXTURE_S] = {1, 1, 1, 1, 0, 0, 0, 0};
    fixture_row          row = good_row();
    bt_data_schema       schema = fixture_schema();
    bt_data_stream      *stream = NULL;
    schema.label_kind = BT_LABEL_TOKENS;
    row.label = tags;
    row.n_labels = FIXTURE_S;
    assert_ok(open_rows(&row, 1, &schema, &stream, err));
    const bt_batch *const batch = first_batch(stream);
    assert_int_equal(batch->n_tokens, FIXTURE_S);
    assert_memory_equal(batch->int_labels, packed, sizeof packed);
    assert_memory_equal(batch->key_mask, mask, sizeof mask);
    bt_data_close(stream);
}

static void test_sentence_ids(void **state) {
    (void)state;
    static const int64_t sentences[] = {4, 4, INT64_MAX};
    static const int64_t pieces[] = {0, 1, 0};
    fixture_row          rows[3] = {good_row(), good_row(), good_row()};
    bt_data_schema       schema = fixture_schema();
    bt_data_stream      *stream = NULL;
    for (int i = 0; i < 3; i++) {
        rows[i].sentence = &sentences[i];
        rows[i].piece = &pieces[i];
    }
    assert_ok(open_rows(rows, 3, &schema, &stream, err));
    assert_null(first_batch(stream)->sentence_ids); /* not asked for */
    bt_data_close(stream);
    schema.include_sentence_id = true;
    assert_ok(open_rows(rows, 3, &schema, &stream, err));
    const bt_batch *const batch = first_batch(stream);
    assert_int_equal(batch->n_seqs, 3);
    assert_memory_equal(batch->sentence_ids, sentences, sizeof sentences);
    assert_memory_equal(batch->sub_sentence_ids, pieces, sizeof pieces);
    bt_data_close(stream);
    rows[0].piece = NULL;
    assert_fails(open_rows(rows, 3, &schema, &stream, err), BT_E_FORMAT,
                 "feature sub_sentence_id (int64) is required but missing");
}

/* A pass over the labels moves nothing: what would have come next comes next. */
static void test_labels_are_counted(void **state) {
    (void)state;
    const char          *paths[] = {fixture_file(test_temp_dir(), "counted", 0, 11)};
    bt_data_config       config = fixture_config(paths, 1);
    const bt_data_schema schema = fixture_schema();
    bt_data_stream      *stream = NULL;
    int64_t              counts[3] = {7, 7, 7};
    assert_ok(bt_data_open(&config, &schema, &stream, err));
    fixture_check_row(first_batch(stream), 0, 0);
    assert_ok(bt_data_count_labels(stream, 3, counts, err));
    assert_true(counts[0] == 4 && counts[1] == 4 && counts[2] == 3); /* class r % 3 */
    fixture_check_row(first_batch(stream), 0, 4);
    bt_data_close(stream);

    static const int64_t hole[FIXTURE_S] = {1, 0, 1, 1, 0, 0, 0, 0};
    static const int64_t tags[FIXTURE_S] = {-1, 2, 1, -1, -1, -1, -1, -1};
    static const int64_t hole_tags[FIXTURE_S] = {-1, -1, 1, -1, -1, -1, -1, -1};
    fixture_row          rows[2] = {good_row(), good_row()};
    bt_data_schema       tokens = fixture_schema();
    tokens.label_kind = BT_LABEL_TOKENS;
    rows[1].mask = hole;
    for (int i = 0; i < 2; i++) {
        rows[i].label = i == 0 ? tags : hole_tags;
        rows[i].n_labels = FIXTURE_S;
    }
    assert_ok(open_rows(rows, 2, &tokens, &stream, err));
    assert_ok(bt_data_count_labels(stream, 3, counts, err));
    assert_true(counts[0] == 0 && counts[1] == 2 && counts[2] == 1);
    bt_data_close(stream);
}

static void check_row_refused(const fixture_row *row, const bt_data_schema *schema,
                              const char *text) {
    bt_data_stream *stream = NULL;
    assert_fails(open_rows(row, 1, schema, &stream, err), BT_E_FORMAT, text);
    assert_fails(open_rows(row, 1, schema, &stream, err), BT_E_FORMAT,
                 "rows.tfrecord: record 0 at byte 0: ");
    /* the same as the second record: found when it is read, after nothing (one batch) */
    const fixture_row rows[2] = {good_row(), *row};
    bt_data_schema    lax = *schema;
    const bool        first_fits = schema->seq_length == FIXTURE_S;
    if (!first_fits || schema->label_kind == BT_LABEL_FLOAT) {
        return;
    }
    assert_ok(open_rows(rows, 2, &lax, &stream, err));
    const bt_batch *batch = NULL;
    bool            end = false;
    assert_fails(bt_data_next_batch(stream, &batch, &end, err), BT_E_FORMAT, text);
    assert_fails(bt_data_next_batch(stream, &batch, &end, err), BT_E_FORMAT, "record 1 at byte ");
    assert_null(batch);
    bt_data_close(stream);
}

static void test_wrong_inputs(void **state) {
    (void)state;
    const bt_data_schema schema = fixture_schema();
    static const int64_t high[FIXTURE_S] = {101, FIXTURE_VOCAB};
    static const int64_t negative[FIXTURE_S] = {101, 5, -1};
    static const int64_t twos[FIXTURE_S] = {1, 2};
    fixture_row          row = good_row();
    row.ids = NULL;
    check_row_refused(&row, &schema, "feature input_ids (int64) is required but missing");
    row = good_row();
    row.mask = NULL;
    check_row_refused(&row, &schema, "feature input_mask (int64) is required but missing");
    row = good_row();
    row.types = NULL;
    check_row_refused(&row, &schema, "feature segment_ids (int64) is required but missing");
    row = good_row();
    row.ids = high;
    check_row_refused(&row, &schema, "input_ids[1] is 2000, but the model's vocab_size is 2000");
    row.ids = negative;
    check_row_refused(&row, &schema, "input_ids[2] is -1");
    row = good_row();
    row.mask = twos;
    check_row_refused(&row, &schema, "input_mask[1] is 2, expected 0 or 1");
    row = good_row();
    row.types = twos;
    check_row_refused(&row, &schema,
                      "segment_ids[1] is 2, but the model's type_vocab_size is 2: expected 0 to 1");
    row = good_row();
    row.s = 5; /* shorter lists than the first record's */
    check_row_refused(&row, &schema,
                      "feature input_ids has 5 values, but task.train_data.seq_length is 8: set "
                      "seq_length to 5, or make the records again with --max_seq_length=8");
}

static void test_seq_length_of_the_config(void **state) {
    (void)state;
    const fixture_row row = good_row();
    bt_data_schema    schema = fixture_schema();
    schema.seq_length = 16;
    check_row_refused(&row, &schema, "has 8 values, but task.train_data.seq_length is 16");
    schema.seq_length = 4;
    check_row_refused(&row, &schema, "has 8 values, but task.train_data.seq_length is 4");
}

static void test_wrong_labels(void **state) {
    (void)state;
    static const int64_t three = 3;
    static const int64_t minus = -1;
    static const int64_t two[2] = {1, 1};
    static const float   half = 0.5f;
    bt_data_schema       schema = fixture_schema();
    fixture_row          row = good_row();
    row.label = NULL;
    check_row_refused(&row, &schema, "feature label_ids (int64) is required but missing");
    row.float_label = &half;
    check_row_refused(
        &row, &schema,
        "feature label_ids holds float values, but int64 is expected: see label_type");
    row = good_row();
    row.label = &three;
    check_row_refused(&row, &schema, "label_ids is 3, but there are 3 classes");
    row.label = &minus;
    check_row_refused(&row, &schema, "label_ids is -1");
    row.label = two;
    row.n_labels = 2;
    check_row_refused(&row, &schema, "label_ids");
    row = good_row();
    row.example_id = NULL;
    check_row_refused(&row, &schema, "feature example_id (int64) is required but missing");

    schema.label_kind = BT_LABEL_FLOAT;
    row = good_row();
    check_row_refused(&row, &schema, "feature label_ids holds int64 values, but float is expected");
    const float nan_label = NAN;
    row.label = NULL;
    row.float_label = &nan_label;
    check_row_refused(&row, &schema, "label_ids is nan, expected a finite number");

    schema = fixture_schema();
    schema.label_field = "nope";
    row = good_row();
    bt_data_stream *stream = NULL;
    assert_fails(open_rows(&row, 1, &schema, &stream, err), BT_E_FORMAT,
                 "feature nope (int64) is required but missing");
}

static void test_wrong_spans_and_tags(void **state) {
    (void)state;
    bt_data_stream *stream = NULL;
    bt_data_schema  schema = fixture_schema();
    schema.label_kind = BT_LABEL_SPAN;
    static const int64_t five = 5;
    static const int64_t eight = 8;
    fixture_row          row = good_row();
    row.start = &eight;
    check_row_refused(&row, &schema, "start_positions is 8, expected 0 to 7");
    row = good_row();
    row.end = &five;
    check_row_refused(&row, &schema, "end_positions is 5, where input_mask is 0");

    schema.label_kind = BT_LABEL_TOKENS;
    static const int64_t tags[FIXTURE_S] = {0, 3};
    static const int64_t good_tags[FIXTURE_S] = {0};
    row = good_row();
    row.label = tags;
    row.n_labels = FIXTURE_S;
    assert_fails(open_rows(&row, 1, &schema, &stream, err), BT_E_FORMAT,
                 "label_ids[1] is 3, but there are 3 classes");
    row.label = good_tags;
    assert_ok(open_rows(&row, 1, &schema, &stream, err));
    bt_data_close(stream);
}

static void check_open(const char *path, bt_status status, const char *text) {
    const bt_data_config config = fixture_config(&path, 1);
    const bt_data_schema schema = fixture_schema();
    bt_data_stream      *stream = NULL;
    assert_fails(bt_data_open(&config, &schema, &stream, err), status, text);
    assert_null(stream);
}

static void test_wrong_files(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    char              path[TEST_PATH_MAX];
    (void)snprintf(path, sizeof path, "%.4000s/missing.tfrecord", folder);
    check_open(path, BT_E_IO, "missing.tfrecord");
    check_open(folder, BT_E_IO, folder);
    (void)snprintf(path, sizeof path, "%.4000s/no*match", folder);
    check_open(path, BT_E_IO, "task.train_data: the pattern '");
    check_open(path, BT_E_IO, "no*match' does not match any files");
    bt_str empty = BT_STR_INIT;
    check_open(fixture_write(folder, "empty", &empty), BT_E_FORMAT, "empty: no records");
    bt_str            part = BT_STR_INIT;
    const char *const whole = fixture_file(folder, "whole", 0, 5);
    assert_ok(bt_str_append_n(&part, "\x10\0\0\0\0", 5, err));
    const char *const    both[] = {whole, fixture_write(folder, "short", &part)};
    const bt_data_config two = fixture_config(both, 2);
    const bt_data_schema rows = fixture_schema();
    bt_data_stream      *none = NULL;
    assert_fails(
        bt_data_open(&two, &rows, &none, err), BT_E_FORMAT,
        "short: record 0 at byte 0 is truncated: its header has 12 bytes, only 5 are there");
    static const char text[] = "sentence\tlabel\nthis is not a record file at all\t1\n";
    (void)snprintf(path, sizeof path, "%.4000s/train.txt", folder);
    test_write_file(path, text, sizeof text - 1);
    check_open(path, BT_E_FORMAT,
               "train.txt is text, not a record file: call it .tsv, .csv or .jsonl, or say so in "
               "task.train_data.file_type");
    static const char zip[] = "PK\003\004, and so on for more bytes than a header has";
    (void)snprintf(path, sizeof path, "%.4000s/train.zip", folder);
    test_write_file(path, zip, sizeof zip - 1);
    check_open(
        path, BT_E_FORMAT,
        "train.zip is packed with zip, and its name does not say what is in it: call it .tsv.zip, "
        ".csv.zip or .jsonl.zip (a table)");
}

static void test_wrong_config(void **state) {
    (void)state;
    const char *const path = fixture_file(test_temp_dir(), "a", 0, 3);
    bt_data_config    config = fixture_config(&path, 1);
    bt_data_schema    schema = fixture_schema();
    bt_data_stream   *stream = NULL;
    config.global_batch_size = INT64_MAX / 2;
    assert_fails(bt_data_open(&config, &schema, &stream, err), BT_E_NOMEM,
                 "lower global_batch_size");
    config.global_batch_size = INT64_C(1) << 50;
    assert_fails(bt_data_open(&config, &schema, &stream, err), BT_E_NOMEM,
                 "lower global_batch_size");
    config.global_batch_size = 4;
    schema.max_positions = 0;
    schema.seq_length = INT64_C(1) << 31;
    assert_fails(bt_data_open(&config, &schema, &stream, err), BT_E_CONFIG, "got 2147483648");
    schema = fixture_schema();
    schema.vocab_size = 0;
    assert_fails(bt_data_open(&config, &schema, &stream, err), BT_E_CONFIG, "vocab_size 0");
    config.n_paths = 0;
    schema = fixture_schema();
    assert_fails(bt_data_open(&config, &schema, &stream, err), BT_E_CONFIG, "input_path is empty");
}

/* Numbered rows 0..n-1; of the records with a bit set in `bad` one byte of data is flipped. */
static const char *damaged_file(int64_t n, uint64_t bad) {
    bt_str frames = BT_STR_INIT;
    for (int64_t r = 0; r < n; r++) {
        const size_t begin = frames.len;
        fixture_add_numbered(&frames, r);
        if ((bad >> r & 1) != 0) {
            frames.data[begin + 20] ^= 0x40;
        }
    }
    return fixture_write(test_temp_dir(), "damaged.tfrecord", &frames);
}

static void test_damage_is_an_error(void **state) {
    (void)state;
    check_open(damaged_file(5, 1), BT_E_FORMAT, "damaged.tfrecord");
    const char *const    path = damaged_file(5, 1 << 4);
    bt_data_config       config = fixture_config(&path, 1);
    const bt_data_schema schema = fixture_schema();
    bt_data_stream      *stream = NULL;
    config.global_batch_size = 2;
    assert_ok(bt_data_open(&config, &schema, &stream, err));
    const bt_batch *batch = NULL;
    bool            end = false;
    for (int64_t i = 0; i < 2; i++) { /* what comes before the damage is delivered */
        assert_ok(bt_data_next_batch(stream, &batch, &end, err));
        fixture_check_row(batch, 1, 2 * i + 1);
    }
    assert_fails(bt_data_next_batch(stream, &batch, &end, err), BT_E_FORMAT, "record 4 at byte");
    assert_fails(bt_data_next_batch(stream, &batch, &end, err), BT_E_FORMAT, "record 4 at byte");
    int64_t counts[3];
    assert_fails(bt_data_count_labels(stream, 3, counts, err), BT_E_FORMAT, "record 4 at byte");
    assert_ok(bt_data_seek(stream, (bt_data_cursor){0}, err)); /* and a seek starts afresh */
    assert_ok(bt_data_next_batch(stream, &batch, &end, err));
    bt_data_close(stream);
}

static void test_skip_bad_records(void **state) {
    (void)state;
    bt_log_setup("test", BT_LOG_TEXT, BT_LOG_ERROR);
    const char *const    path = damaged_file(6, 1 << 0 | 1 << 3);
    bt_data_config       config = fixture_config(&path, 1);
    const bt_data_schema schema = fixture_schema();
    bt_data_stream      *stream = NULL;
    config.skip_bad_records = 2;
    assert_ok(bt_data_open(&config, &schema, &stream, err));
    static const int64_t want[] = {1, 2, 4, 5};
    int64_t              counts[3];
    assert_ok(bt_data_count_labels(stream, 3, counts, err));
    assert_true(counts[0] == 0 && counts[1] == 2 && counts[2] == 2);
    for (uint64_t i = 0; i < 5; i++) { /* the same two in each epoch: no more than two */
        const bt_batch *batch = NULL;
        bool            end = false;
        assert_ok(bt_data_next_batch(stream, &batch, &end, err));
        for (int64_t b = 0; b < 4; b++) {
            fixture_check_row(batch, b, want[b]);
        }
        assert_int_equal(bt_data_get_cursor(stream).n_skipped, 2);
        assert_int_equal(bt_data_get_cursor(stream).epoch, i);
    }
    bt_data_close(stream);

    config.skip_bad_records = 1;
    config.global_batch_size = 2;
    assert_ok(bt_data_open(&config, &schema, &stream, err));
    const bt_batch *batch = NULL;
    bool            end = false;
    assert_ok(bt_data_next_batch(stream, &batch, &end, err));
    fixture_check_row(batch, 0, 1);
    const bt_data_cursor cursor = bt_data_get_cursor(stream);
    assert_int_equal(cursor.n_skipped, 1);
    assert_fails(bt_data_next_batch(stream, &batch, &end, err), BT_E_FORMAT,
                 "1 damaged records were skipped, as many as skip_bad_records allows; one more");
    assert_ok(bt_data_seek(stream, cursor, err)); /* the count goes on after a resume */
    assert_fails(bt_data_next_batch(stream, &batch, &end, err), BT_E_FORMAT, "record 3");
    bt_data_close(stream);

    const char *const all_bad = damaged_file(3, 7);
    config = fixture_config(&all_bad, 1);
    config.skip_bad_records = 100;
    assert_ok(bt_data_open(&config, &schema, &stream, err));
    assert_fails(bt_data_next_batch(stream, &batch, &end, err), BT_E_FORMAT,
                 "all records are damaged");
    bt_data_close(stream);
    bt_log_setup("test", BT_LOG_TEXT, BT_LOG_INFO);
}

static void test_gzip(void **state) {
    (void)state;
    const char *const    folder = test_temp_dir();
    const char *const    plain = fixture_file(folder, "plain", 0, 30);
    const char *const    path = fixture_gzip(plain);
    const char *const    paths[] = {path};
    bt_data_config       config = fixture_config(paths, 1);
    const bt_data_schema schema = fixture_schema();
    bt_data_stream      *stream = NULL;
    assert_fails(bt_data_open(&config, &schema, &stream, err), BT_E_FORMAT,
                 "plain.gz is compressed with gzip: set "
                 "task.train_data.file_type=tfrecord_compressed");
    config.gzip = true;
    config.paths = &plain;
    assert_fails(bt_data_open(&config, &schema, &stream, err), BT_E_FORMAT,
                 "plain is not compressed with gzip: set task.train_data.file_type=tfrecord");
    config.paths = paths;
    config.shuffle_buffer_size = 100;
    config.global_batch_size = 30;
    assert_ok(bt_data_open(&config, &schema, &stream, err));
    assert_int_equal(bt_data_n_rows(stream), 30);
    const bt_batch *batch = NULL;
    bool            end = false;
    assert_ok(bt_data_next_batch(stream, &batch, &end, err));
    bool seen[30] = {false};
    for (int64_t b = 0; b < 30; b++) {
        fixture_check_row(batch, b, batch->example_ids[b]);
        seen[batch->example_ids[b]] = true;
    }
    for (int64_t b = 0; b < 30; b++) {
        assert_true(seen[b]);
    }
    bt_data_close(stream);
    size_t      n_bytes = 0;
    char *const whole = test_read_file(path, &n_bytes);
    for (size_t k = 1; k < n_bytes; k += n_bytes / 20 + 1) {
        test_write_file(path, whole, k);
        assert_fails(bt_data_open(&config, &schema, &stream, err), BT_E_FORMAT, "plain.gz");
    }
    free(whole);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packing),
        cmocka_unit_test(test_keep_padding),
        cmocka_unit_test(test_label_kinds),
        cmocka_unit_test(test_labels_are_counted),
        cmocka_unit_test(test_labelled_padding_is_kept),
        cmocka_unit_test(test_sentence_ids),
        cmocka_unit_test(test_wrong_inputs),
        cmocka_unit_test(test_seq_length_of_the_config),
        cmocka_unit_test(test_wrong_labels),
        cmocka_unit_test(test_wrong_spans_and_tags),
        cmocka_unit_test(test_wrong_files),
        cmocka_unit_test(test_wrong_config),
        cmocka_unit_test(test_damage_is_an_error),
        cmocka_unit_test(test_skip_bad_records),
        cmocka_unit_test(test_gzip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
