/* SPDX-License-Identifier: Apache-2.0
 *
 * The batches of Model Garden's own loaders (goldens/data/loaders): order, sizes and every byte of
 * the padded arrays, put together again from our packed rows; and its errors. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "data_fixture.h"
#include "sha256.h"

enum { MAX_FILES = 4, MAX_TEXTS = 4 };

typedef struct parity_case {
    const char   *name;
    const char   *files[MAX_FILES]; /* below goldens/data */
    bt_label_kind kind;
    const char   *label_field; /* NULL: label_ids */
    int64_t       batch;       /* 0: 64 */
    int64_t       seq_length;  /* 0: 128 */
    bool          drop_remainder;
    bool          gzip;
    bool          has_example_id;
    int64_t       cycle_length;
    int64_t       block_length;
    /* TensorFlow took a pattern's files in the order of the folder, test.tf_record first; ours are
     * sorted: the golden's first batch starts at this row of ours, and sizes are of the whole. */
    int64_t first_row;
    bool    is_inside, is_outside; /* only of made-up text; only of text outside the repository */
    const char *texts[MAX_TEXTS];  /* raw text: the string features */
    const char *error;             /* part of our message, where the loader fails */
} parity_case;

#define COLA "finetuning/out/cola/train.tf_record"
#define STSB "finetuning/out/sts-b/train.tf_record"
#define WNLI "finetuning/out/wnli/train.tf_record"
#define WNLI_EVAL "finetuning/out/wnli/eval.tf_record"
#define PANX_EVAL "finetuning/out/tagging_panx/eval.tf_record"
#define SQUAD "finetuning/out/squad_v1/train.tf_record"
#define TEXT "loaders/text_pairs.tf_record"

static const parity_case cases[] = {
    {"sp_eval_keep_remainder", {COLA}, .kind = BT_LABEL_CLASS},
    {"sp_eval_drop_remainder", {COLA}, .kind = BT_LABEL_CLASS, .drop_remainder = true},
    {"sp_include_example_id", {COLA}, .kind = BT_LABEL_CLASS, .has_example_id = true},
    {"sp_label_field_weightless", {COLA}, .kind = BT_LABEL_CLASS, .label_field = "is_real_example"},
    {"sp_float_label_on_int_file",
     {COLA},
     .kind = BT_LABEL_FLOAT,
     .error = "label_ids holds int64 values, but float is expected"},
    {"sp_stsb_float", {STSB}, .kind = BT_LABEL_FLOAT},
    {"sp_int_label_on_float_file",
     {STSB},
     .kind = BT_LABEL_CLASS,
     .error = "label_ids holds float values, but int64 is expected"},
    {"sp_seq_64_on_128_file",
     {COLA},
     .kind = BT_LABEL_CLASS,
     .seq_length = 64,
     .error = "has 128 values, but task.train_data.seq_length is 64"},
    {"sp_seq_256_on_128_file",
     {COLA},
     .kind = BT_LABEL_CLASS,
     .seq_length = 256,
     .error = "has 128 values, but task.train_data.seq_length is 256"},
    {"sp_missing_label_field",
     {COLA},
     .kind = BT_LABEL_CLASS,
     .label_field = "nope",
     .error = "feature nope (int64) is required but missing"},
    {"sp_two_files_comma", {WNLI, WNLI_EVAL}, .kind = BT_LABEL_CLASS},
    {"sp_two_files_list", {WNLI, WNLI_EVAL}, .kind = BT_LABEL_CLASS},
    {"sp_two_files_cycle1", {WNLI, WNLI_EVAL}, .kind = BT_LABEL_CLASS, .cycle_length = 1},
    {"sp_two_files_cycle2_block3",
     {WNLI, WNLI_EVAL},
     .kind = BT_LABEL_CLASS,
     .cycle_length = 2,
     .block_length = 3},
    {"sp_glob",
     {"finetuning/out/wnli/*.tf_record"},
     .kind = BT_LABEL_CLASS,
     .cycle_length = 1,
     .first_row = 71,
     .is_outside = true},
    {"sp_glob_small",
     {"finetuning/out/wnli/*.tf_record"},
     .kind = BT_LABEL_CLASS,
     .batch = 7,
     .cycle_length = 1,
     .first_row = 7,
     .is_inside = true},
    {"sp_glob_no_match",
     {"finetuning/out/wnli/nothing*"},
     .kind = BT_LABEL_CLASS,
     .error = "nothing*' does not match any files"},
    {"sp_no_such_file",
     {"finetuning/out/wnli/nothing.tf_record"},
     .kind = BT_LABEL_CLASS,
     .error = "nothing.tf_record"},
    {"sp_batch_larger_than_file_drop",
     {COLA},
     .kind = BT_LABEL_CLASS,
     .batch = 300,
     .drop_remainder = true},
    {"sp_corrupt",
     {"tfrecord/bad_data_rec2.tfrecord"},
     .kind = BT_LABEL_CLASS,
     .error = "bad_data_rec2.tfrecord: record 0"},
    {"sp_tfrecord_compressed",
     {"loaders/wnli_eval.gz.tf_record"},
     .kind = BT_LABEL_CLASS,
     .gzip = true},
    {"qa_seq_128_on_384",
     {SQUAD},
     .kind = BT_LABEL_SPAN,
     .error = "has 384 values, but task.train_data.seq_length is 128"},
    {"qa_train",
     {SQUAD},
     .kind = BT_LABEL_SPAN,
     .batch = 16,
     .seq_length = 384,
     .drop_remainder = true},
    {"tagging", {PANX_EVAL}, .kind = BT_LABEL_TOKENS, .batch = 32},
    {"sptext_pair",
     {TEXT},
     .kind = BT_LABEL_CLASS,
     .label_field = "label",
     .batch = 16,
     .seq_length = 64,
     .texts = {"sentence1", "sentence2"}},
    {"sptext_pair_seq16",
     {TEXT},
     .kind = BT_LABEL_CLASS,
     .label_field = "label",
     .batch = 16,
     .seq_length = 16,
     .texts = {"sentence1", "sentence2"}},
    {"sptext_single",
     {TEXT},
     .kind = BT_LABEL_CLASS,
     .label_field = "label",
     .batch = 16,
     .seq_length = 24,
     .has_example_id = true,
     .texts = {"sentence1"}},
    {"sptext_three_fields",
     {TEXT},
     .kind = BT_LABEL_CLASS,
     .label_field = "label",
     .batch = 16,
     .seq_length = 64,
     .texts = {"sentence1", "sentence2", "sentence1"}},
};

static json_t *goldens;

static const json_t *find_case(const char *name) {
    size_t  i = 0;
    json_t *entry = NULL;
    json_array_foreach(json_object_get(goldens, "cases"), i, entry) {
        if (strcmp(json_string_value(json_object_get(entry, "name")), name) == 0) {
            return entry;
        }
    }
    fail_msg("no case %s in expected.json", name);
    return NULL;
}

/* Dense [B,S] int32 of what the loader gives; padding filled with `padding`. */
static int32_t *unpack(const bt_batch *batch, const int32_t *values, int32_t padding) {
    const int64_t  S = batch->seq_length;
    int32_t *const dense = bt_alloc_array((size_t)(batch->n_seqs * S), sizeof *dense);
    assert_non_null(dense);
    for (int64_t i = 0; i < batch->n_seqs * S; i++) {
        dense[i] = padding;
    }
    for (int64_t b = 0; b < batch->n_seqs; b++) {
        for (int64_t t = batch->offsets[b]; t < batch->offsets[b + 1]; t++) {
            dense[b * S + batch->positions[t]] = values != NULL ? values[t] : 1;
        }
    }
    return dense;
}

static void check_bytes(const char *name, const char *key, const json_t *fields, const void *bytes,
                        size_t n) {
    char got[17];
    sha256_16(bytes, n, got);
    const json_t *const field = json_object_get(fields, key);
    if (field == NULL) {
        fail_msg("%s: the golden has no %s", name, key);
    }
    const char *const want = json_string_value(json_object_get(field, "sha256_16_le_bytes"));
    if (strcmp(got, want) != 0) {
        fail_msg("%s: %s: sha256 %s, expected %s", name, key, got, want);
    }
}

static void check_dense(const char *name, const char *key, const json_t *fields,
                        const bt_batch *batch, const int32_t *values, int32_t padding) {
    int32_t *const dense = unpack(batch, values, padding);
    check_bytes(name, key, fields, dense,
                (size_t)(batch->n_seqs * batch->seq_length) * sizeof *dense);
    bt_free(dense);
}

static void check_labels(const parity_case *c, const json_t *fields, const json_t *labels,
                         const bt_batch *batch) {
    const size_t B = (size_t)batch->n_seqs;
    const char  *field = c->label_field != NULL ? c->label_field : "label_ids";
    switch (c->kind) {
    case BT_LABEL_NONE:
    case BT_LABEL_MULTI: /* Model Garden has none */
        break;
    case BT_LABEL_CLASS:
        check_bytes(c->name, field, fields, batch->int_labels, B * sizeof(int32_t));
        break;
    case BT_LABEL_FLOAT:
        check_bytes(c->name, field, fields, batch->float_labels, B * sizeof(float));
        break;
    case BT_LABEL_TOKENS: { /* labels of padding are -1 in these files */
        json_t *const holder = json_pack("{s:O}", "label_ids", labels);
        check_dense(c->name, "label_ids", holder, batch, batch->int_labels, -1);
        json_decref(holder);
        break;
    }
    case BT_LABEL_SPAN:
        check_bytes(c->name, "start_positions", labels, batch->int_labels, B * sizeof(int32_t));
        check_bytes(c->name, "end_positions", labels, batch->int_labels + B, B * sizeof(int32_t));
        break;
    }
    if (c->has_example_id) {
        int32_t ids[64];
        for (size_t b = 0; b < B; b++) {
            ids[b] = (int32_t)batch->example_ids[b];
        }
        check_bytes(c->name, "example_id", fields, ids, B * sizeof ids[0]);
    }
}

static void check_batch(const parity_case *c, const json_t *golden, const bt_batch *batch) {
    const json_t *fields = golden;
    const json_t *labels = NULL;
    if (json_is_array(golden)) { /* (x, y) */
        fields = json_array_get(golden, 0);
        labels = json_array_get(golden, 1);
    }
    check_dense(c->name, "input_word_ids", fields, batch, batch->ids, 0);
    check_dense(c->name, "input_mask", fields, batch, NULL, 0);
    check_dense(c->name, "input_type_ids", fields, batch, batch->types, 0);
    check_labels(c, fields, labels, batch);
}

static bt_status open_case(const parity_case *c, bt_data_stream **out, bt_error *err) {
    static char texts[MAX_FILES][TEST_PATH_MAX + 256];
    const char *paths[MAX_FILES];
    size_t      n = 0;
    for (; n < MAX_FILES && c->files[n] != NULL; n++) {
        (void)snprintf(texts[n], sizeof texts[n], "%s/%s", test_shared_path("goldens/data"),
                       c->files[n]);
        paths[n] = texts[n];
    }
    bt_data_config config = fixture_config(paths, n);
    config.is_training = false;
    config.global_batch_size = c->batch > 0 ? c->batch : 64;
    config.drop_remainder = c->drop_remainder;
    config.gzip = c->gzip;
    config.cycle_length = c->cycle_length;
    config.block_length = c->block_length > 0 ? c->block_length : 1;
    size_t n_texts = 0;
    while (n_texts < MAX_TEXTS && c->texts[n_texts] != NULL) {
        n_texts++;
    }
    const bt_data_schema schema = {
        .text = {.fields = c->texts,
                 .n_fields = n_texts,
                 .vocab_file =
                     n_texts > 0 ? test_shared_path("goldens/data/vocab/uncased.txt") : "",
                 .lower_case = true,
                 .rules = BT_TEXT_TF},
        .seq_length = c->seq_length > 0 ? c->seq_length : 128,
        .label_kind = c->kind,
        .label_field = c->label_field != NULL ? c->label_field : "label_ids",
        .vocab_size = 119547, /* of the multilingual vocabulary */
        .type_vocab_size = n_texts > 2 ? (int64_t)n_texts : 2,
        .include_example_id = c->has_example_id,
    };
    return bt_data_open(&config, &schema, out, err);
}

static void check_case(const parity_case *c) {
    const json_t *const golden = find_case(c->name);
    bt_data_stream     *stream = NULL;
    if (c->error != NULL) {
        assert_non_null(json_object_get(golden, "error"));
        bt_error err = BT_ERROR_INIT;
        if (open_case(c, &stream, &err) == BT_OK || strstr(err.msg, c->error) == NULL) {
            fail_msg("%s: expected '%s', got: %s", c->name, c->error, err.msg);
        }
        return;
    }
    assert_ok(open_case(c, &stream, err));
    const json_t *const sizes = json_object_get(golden, "batch_sizes");
    const json_t *const first = json_object_get(golden, "first_batches");
    size_t              n = 0;
    for (;; n++) {
        const bt_batch *batch = NULL;
        bool            end = false;
        assert_ok(bt_data_next_batch(stream, &batch, &end, err));
        if (end) {
            break;
        }
        if (json_is_array(sizes)) {
            assert_int_equal(batch->n_seqs, json_integer_value(json_array_get(sizes, n)));
        }
        if (n < json_array_size(first) && c->first_row == 0) {
            check_batch(c, json_array_get(first, n), batch);
        }
    }
    if (json_is_array(sizes)) {
        assert_int_equal(n, json_array_size(sizes));
    }
    if (c->first_row > 0) {
        const bt_batch      *batch = NULL;
        bool                 end = false;
        const bt_data_cursor cursor = {.index = (uint64_t)c->first_row};
        assert_ok(bt_data_seek(stream, cursor, err));
        assert_ok(bt_data_next_batch(stream, &batch, &end, err));
        check_batch(c, json_array_get(first, 0), batch);
    }
    bt_data_close(stream);
}

static bool is_outside = false; /* the running group reads text outside the repository */

static void test_loader_goldens(void **state) {
    (void)state;
    const char *const path = test_shared_path("goldens/data/loaders/expected.json");
    if (path == NULL) {
        test_skip("the goldens of Model Garden's loaders are not here (BT_SHARED_DIR)");
    }
    goldens = json_load_file(path, 0, NULL);
    assert_non_null(goldens);
    bt_log_setup("test", BT_LOG_TEXT, BT_LOG_ERROR);
    for (size_t i = 0; i < BT_ARRAY_LEN(cases); i++) {
        if (is_outside ? !cases[i].is_inside : !cases[i].is_outside) {
            check_case(&cases[i]);
        }
    }
    json_decref(goldens);
}

/* Tables against the records that the real data tool made of them. */

typedef struct table_case {
    const char *table; /* below goldens/data/finetuning/raw */
    const char *set;   /* out/SET/FILE.tf_record */
    const char *file;
    const char *label_field;
    const char *texts[2];
    const char *names[3]; /* of the classes, where they are not sorted */
    bool        is_float;
    int64_t     n_short; /* rows that lack columns: the tool drops them */
} table_case;

static const table_case table_cases[] = {
    {"CoLA/train.tsv", "cola", "train", "2", .texts = {"4"}},
    {"CoLA/dev.tsv", "cola", "eval", "2", .texts = {"4"}},
    {"SST-2/train.tsv", "sst-2", "train", "label", .texts = {"sentence"}},
    {"RTE/train.tsv", "rte", "train", "label", .texts = {"sentence1", "sentence2"}},
    {"WNLI/dev.tsv", "wnli", "eval", "label", .texts = {"sentence1", "sentence2"}},
    {"QNLI/dev.tsv", "qnli", "eval", "label", .texts = {"question", "sentence"}},
    {"QQP/train.tsv", "qqp", "train", "is_duplicate", .texts = {"question1", "question2"},
     .n_short = 1},
    {"QQP/dev.tsv", "qqp", "eval", "is_duplicate", .texts = {"question1", "question2"},
     .n_short = 1},
    {"STS-B/train.tsv", "sts-b", "train", "score", .texts = {"sentence1", "sentence2"},
     .is_float = true},
    {"MNLI/dev_matched.tsv", "mnli_matched", "eval", "gold_label",
     .texts = {"sentence2", "sentence1"}, .names = {"entailment", "neutral", "contradiction"}},
};

static bt_data_stream *open_table_case(const table_case *c, const char *path, bool is_table) {
    bt_data_stream      *stream = NULL;
    bt_data_config       config = fixture_config(&path, 1);
    const bt_data_schema schema = {
        .seq_length = 128,
        .label_kind = c->is_float ? BT_LABEL_FLOAT : BT_LABEL_CLASS,
        .label_field = is_table ? c->label_field : "label_ids",
        .n_classes = c->names[0] != NULL ? 3 : 2,
        .vocab_size = 30522,
        .type_vocab_size = 2,
        .learns_labels = true,
        .label_names = c->names[0] != NULL ? c->names : NULL,
        .n_label_names = c->names[0] != NULL ? 3 : 0,
        .text = {.fields = c->texts,
                 .n_fields = !is_table             ? 0
                             : c->texts[1] != NULL ? 2
                                                   : 1,
                 .vocab_file = test_shared_path("goldens/data/vocab/uncased.txt"),
                 .lower_case = true},
    };
    config.is_training = false;
    config.global_batch_size = 1000;
    config.skip_bad_records = c->n_short;
    assert_ok(bt_data_open(&config, &schema, &stream, err));
    return stream;
}

static void check_table(const table_case *c) {
    char            paths[2][256];
    bt_data_stream *streams[2];
    const bt_batch *batches[2];
    (void)snprintf(paths[0], sizeof paths[0], "goldens/data/finetuning/raw/%s", c->table);
    (void)snprintf(paths[1], sizeof paths[1], "goldens/data/finetuning/out/%s/%s.tf_record", c->set,
                   c->file);
    for (int i = 0; i < 2; i++) {
        bool end = false;
        streams[i] = open_table_case(c, test_shared_path(paths[i]), i == 0);
        assert_ok(bt_data_next_batch(streams[i], &batches[i], &end, err));
        assert_false(end);
    }
    const bt_batch *const table = batches[0];
    const bt_batch *const records = batches[1];
    const size_t          B = (size_t)records->n_seqs;
    const size_t          T = (size_t)records->n_tokens;
    assert_true(B > 5);
    if (table->n_seqs != records->n_seqs || table->n_tokens != records->n_tokens) {
        fail_msg("%s: %d rows of %d tokens, expected %d of %d", c->table, (int)table->n_seqs,
                 (int)table->n_tokens, (int)B, (int)T);
    }
    assert_memory_equal(table->offsets, records->offsets, (B + 1) * sizeof *records->offsets);
    assert_memory_equal(table->ids, records->ids, T * sizeof *records->ids);
    assert_memory_equal(table->types, records->types, T * sizeof *records->types);
    assert_memory_equal(table->positions, records->positions, T * sizeof *records->positions);
    if (c->is_float) {
        assert_memory_equal(table->float_labels, records->float_labels, B * sizeof(float));
    } else {
        assert_memory_equal(table->int_labels, records->int_labels, B * sizeof(int32_t));
    }
    bt_data_close(streams[0]);
    bt_data_close(streams[1]);
}

static void test_tables_are_like_records(void **state) {
    (void)state;
    if (test_shared_path("goldens/data/finetuning/raw/CoLA/train.tsv") == NULL) {
        test_skip("the goldens of Model Garden's data tool are not here (BT_SHARED_DIR)");
    }
    bt_log_setup("test", BT_LOG_TEXT, BT_LOG_ERROR);
    for (size_t i = 0; i < BT_ARRAY_LEN(table_cases); i++) {
        check_table(&table_cases[i]);
    }
}

static void test_sha256(void **state) {
    (void)state;
    char text[17];
    sha256_16("abc", 3, text); /* FIPS 180-4's example */
    assert_string_equal(text, "ba7816bf8f01cfea");
    sha256_16("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, text);
    assert_string_equal(text, "248d6a61d20638b8");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_loader_goldens),
        cmocka_unit_test(test_tables_are_like_records),
    };
    int rc = cmocka_run_group_tests_name("made-up text", tests, NULL, NULL);
    if (test_outside_path("goldens/data/loaders") != NULL) {
        is_outside = true;
        test_prefer_outside(true);
        rc |= cmocka_run_group_tests_name("text outside the repository", tests, NULL, NULL);
    }
    return rc;
}
