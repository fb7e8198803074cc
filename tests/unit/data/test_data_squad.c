/* SPDX-License-Identifier: Apache-2.0
 *
 * SQuAD files as rows: the same batches as their TFRecords give, padding kept or not, the order of
 * an evaluation, what is read how often, and files and vocabularies that do not fit. */
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/data.h"
#include "test_support.h"

enum { S = 24, STRIDE = 7, QUERY = 5, VOCAB_SIZE = 100 };

static const char *copy_path(const char *relative, char path[TEST_PATH_MAX]) {
    (void)snprintf(path, TEST_PATH_MAX, "%s", test_source_path(relative));
    return path;
}

static char vocab_path[TEST_PATH_MAX];

static bt_data_schema schema_of(bt_squad_use use, bool version_2) {
    return (bt_data_schema){
        .seq_length = S,
        .squad = {.vocab_file = copy_path("tests/goldens/text/vocab.txt", vocab_path),
                  .do_lower_case = true,
                  .doc_stride = STRIDE,
                  .max_query_length = QUERY,
                  .version_2 = version_2,
                  .use = use},
        .label_kind = use == BT_SQUAD_TRAIN ? BT_LABEL_SPAN : BT_LABEL_NONE,
        .vocab_size = VOCAB_SIZE,
        .type_vocab_size = 2,
        .max_positions = 64,
        .include_example_id = use != BT_SQUAD_TRAIN};
}

static bt_status try_open(const char *relative, const bt_data_config *config,
                          const bt_data_schema *schema, bt_data_stream **out, bt_error *err) {
    char              path[TEST_PATH_MAX];
    const char *const paths[] = {copy_path(relative, path)};
    bt_data_config    with_path = *config;
    with_path.paths = paths;
    with_path.n_paths = 1;
    return bt_data_open(&with_path, schema, out, err);
}

static bt_data_config config_of(bool is_training) {
    return (bt_data_config){.global_batch_size = 4,
                            .shuffle_buffer_size = 1,
                            .block_length = 1,
                            .is_training = is_training,
                            .section = "task.train_data"};
}

static const bt_batch *next(bt_data_stream *stream) {
    const bt_batch *batch = NULL;
    bool            end = false;
    assert_ok(bt_data_next_batch(stream, &batch, &end, err));
    assert_int_equal(end, batch == NULL);
    return batch;
}

static void check_same_batch(const bt_batch *got, const bt_batch *want) {
    const size_t n = (size_t)want->n_tokens;
    assert_int_equal(got->n_seqs, want->n_seqs);
    assert_int_equal(got->n_tokens, want->n_tokens);
    assert_memory_equal(got->offsets, want->offsets,
                        ((size_t)want->n_seqs + 1) * sizeof *want->offsets);
    assert_memory_equal(got->ids, want->ids, n * sizeof *want->ids);
    assert_memory_equal(got->types, want->types, n * sizeof *want->types);
    assert_memory_equal(got->positions, want->positions, n * sizeof *want->positions);
    assert_memory_equal(got->int_labels, want->int_labels,
                        2 * (size_t)want->n_seqs * sizeof *want->int_labels);
    assert_int_equal(got->key_mask == NULL, want->key_mask == NULL);
    if (want->key_mask != NULL) {
        assert_memory_equal(got->key_mask, want->key_mask, n);
    }
}

static void test_same_as_records(void **state) {
    (void)state;
    for (int k = 0; k < 4; k++) {
        const bool      version_2 = k % 2 == 1;
        bt_data_schema  schema = schema_of(BT_SQUAD_TRAIN, version_2);
        bt_data_schema  of_records = schema;
        bt_data_config  config = config_of(true);
        bt_data_stream *json = NULL;
        bt_data_stream *records = NULL;
        schema.keep_padding = k >= 2;
        of_records.keep_padding = k >= 2;
        of_records.squad = (bt_data_squad){0};
        config.shuffle_buffer_size = k == 1 ? 100 : 1;
        assert_ok(try_open(version_2 ? "tests/goldens/squad/train_v2.json"
                                     : "tests/goldens/squad/train.json",
                           &config, &schema, &json, err));
        assert_ok(try_open(version_2 ? "tests/goldens/squad/expected/train_v2.tf_record"
                                     : "tests/goldens/squad/expected/train.tf_record",
                           &config, &of_records, &records, err));
        assert_int_equal(bt_data_n_rows(json), bt_data_n_rows(records));
        assert_non_null(bt_data_squad_windows(json));
        assert_null(bt_data_squad_windows(records));
        for (int i = 0; i < 20; i++) { /* more than one epoch */
            check_same_batch(next(json), next(records));
        }
        bt_data_close(json);
        bt_data_close(records);
    }
}

/* Every window once, long ones first, whatever is_training and drop_remainder say. */
static void test_evaluation_order(void **state) {
    (void)state;
    const bt_data_schema schema = schema_of(BT_SQUAD_EVALUATE, true);
    bt_data_config       config = config_of(true);
    bt_data_stream      *stream = NULL;
    bool                 seen[256] = {false};
    int64_t              n = 0;
    int64_t              last = S + 1;
    int32_t              ids[S];
    int32_t              segments[S];
    config.drop_remainder = true;
    config.global_batch_size = 7;
    assert_ok(try_open("tests/goldens/squad/dev_v2.json", &config, &schema, &stream, err));
    const bt_squad_windows *const windows = bt_data_squad_windows(stream);
    for (const bt_batch *batch = next(stream); batch != NULL; batch = next(stream)) {
        for (int64_t b = 0; b < batch->n_seqs; b++) {
            const int64_t i = batch->example_ids[b];
            const int64_t length = batch->offsets[b + 1] - batch->offsets[b];
            assert_int_equal(bt_squad_window_tokens(windows, i, ids, segments), length);
            assert_memory_equal(batch->ids + batch->offsets[b], ids, (size_t)length * sizeof *ids);
            assert_true(length <= last);
            assert_false(seen[i]);
            seen[i] = true;
            last = length;
            n++;
        }
    }
    assert_int_equal(n, bt_data_n_rows(stream));
    assert_int_equal(n, bt_squad_n_windows(windows));
    assert_int_not_equal(n % config.global_batch_size, 0); /* the remainder was not dropped */
    bt_data_close(stream);
}

/* An evaluation of some windows only takes the first ones of the file. */
static void test_part_of_an_evaluation(void **state) {
    (void)state;
    bt_data_schema       schema = schema_of(BT_SQUAD_EVALUATE, true);
    const bt_data_config config = config_of(false);
    bt_data_stream      *stream = NULL;
    schema.squad.max_rows = 8;
    assert_ok(try_open("tests/goldens/squad/dev_v2.json", &config, &schema, &stream, err));
    for (int64_t i = 0; i < 8; i += 4) {
        const bt_batch *const batch = next(stream);
        for (int64_t b = 0; b < 4; b++) {
            assert_int_equal(batch->example_ids[b], i + b);
        }
    }
    bt_data_close(stream);
}

static void test_fit(void **state) {
    (void)state;
    const bt_data_schema evaluation = schema_of(BT_SQUAD_EVALUATE, true);
    const bt_data_schema training = schema_of(BT_SQUAD_TRAIN, true);
    const bt_data_schema records = {.seq_length = S};
    bt_data_config       config = {.is_training = true, .drop_remainder = true};
    bt_data_config_fit(&config, &training);
    bt_data_config_fit(&config, &records);
    assert_true(config.is_training && config.drop_remainder);
    bt_data_config_fit(&config, &evaluation);
    assert_false(config.is_training || config.drop_remainder);
}

static void test_refused(void **state) {
    (void)state;
    static const char    dev[] = "tests/goldens/squad/dev_v2.json";
    const bt_data_config config = config_of(false);
    bt_data_stream      *stream = NULL;
    bt_data_schema       schema = schema_of(BT_SQUAD_EVALUATE, true);
    assert_fails(try_open("tests/goldens/squad/none.json", &config, &schema, &stream, err), BT_E_IO,
                 "none.json");
    assert_fails(try_open("tests/goldens/text/vocab.txt", &config, &schema, &stream, err),
                 BT_E_FORMAT, "vocab.txt:1:4: not JSON");
    assert_fails(
        try_open("tests/goldens/squad/expected/train.tf_record", &config, &schema, &stream, err),
        BT_E_FORMAT, "train.tf_record: questions are read from their JSON file");
    schema.squad.version_2 = false;
    assert_fails(try_open(dev, &config, &schema, &stream, err), BT_E_FORMAT,
                 "dev_v2.json: article 1 ('Dev \u00e9'), paragraph 1, question 'q6': answers: "
                 "expected at least 1");
    schema = schema_of(BT_SQUAD_EVALUATE, true);
    schema.squad.vocab_file = "no/vocab.txt";
    assert_fails(try_open(dev, &config, &schema, &stream, err), BT_E_IO, "no/vocab.txt");
    schema = schema_of(BT_SQUAD_EVALUATE, true);
    schema.vocab_size = 20;
    assert_fails(try_open(dev, &config, &schema, &stream, err), BT_E_CONFIG,
                 "pieces, but the model's vocab_size is 20");
    schema = schema_of(BT_SQUAD_EVALUATE, true);
    schema.type_vocab_size = 1;
    assert_fails(try_open(dev, &config, &schema, &stream, err), BT_E_FORMAT,
                 "question 'q0': segment_ids");
    schema = schema_of(BT_SQUAD_EVALUATE, true);
    schema.squad.doc_stride = 0;
    assert_fails(try_open(dev, &config, &schema, &stream, err), BT_E_CONFIG, "doc_stride is 0");
    schema = schema_of(BT_SQUAD_EVALUATE, true);
    char path[TEST_PATH_MAX];
    schema.squad.vocab_file = copy_path(dev, path); /* no vocabulary, but a file */
    assert_fails(try_open(dev, &config, &schema, &stream, err), BT_E_FORMAT,
                 "dev_v2.json: the vocabulary");
}

static void test_no_question(void **state) {
    (void)state;
    static const char    json[] = "{\"data\": []}";
    char                 path[TEST_PATH_MAX];
    const char *const    paths[] = {path};
    bt_data_config       config = config_of(false);
    const bt_data_schema schema = schema_of(BT_SQUAD_EVALUATE, true);
    bt_data_stream      *stream = NULL;
    (void)snprintf(path, sizeof path, "%s/empty.json", test_temp_dir());
    test_write_file(path, json, sizeof json - 1);
    config.paths = paths;
    config.n_paths = 1;
    assert_fails(bt_data_open(&config, &schema, &stream, err), BT_E_FORMAT,
                 "empty.json: no question");
}

static void test_out_of_memory(void **state) {
    (void)state;
    const bt_data_config config = config_of(false);
    const bt_data_schema schema = schema_of(BT_SQUAD_EVALUATE, true);
    uint64_t             k = 1;
    for (; k < 1000; k++) {
        bt_data_stream *stream = NULL;
        bt_error        err = BT_ERROR_INIT;
        bt_alloc_fail_at(k, false);
        const bt_status rc =
            try_open("tests/goldens/squad/dev_v2.json", &config, &schema, &stream, &err);
        bt_alloc_fail_at(0, false);
        bt_data_close(stream);
        if (rc == BT_OK) {
            break;
        }
        assert_int_equal(rc, BT_E_NOMEM);
    }
    assert_true(k > 20 && k < 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_as_records),
        cmocka_unit_test(test_evaluation_order),
        cmocka_unit_test(test_part_of_an_evaluation),
        cmocka_unit_test(test_fit),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_question),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
