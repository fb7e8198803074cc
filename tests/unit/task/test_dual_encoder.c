/* SPDX-License-Identifier: Apache-2.0
 *
 * dual_encoder: its plan; the vectors and pairs that are written of predictions, byte for byte,
 * over real streams of records; what is known of gold pairs; every allocation and file operation
 * may fail, and then nothing half-written is there. */
#include "test_support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "bt/task.h"
#include "bt/tensor.h"
#include "bt/wire/example.h"
#include "bt/wire/npy.h"
#include "bt/wire/tfrecord.h"

#define PAIRS "bert/dual_encoder"
#define TINY                                                                                       \
    "max_sequence_length: 4, encoder: {type: bert, bert: {vocab_size: 30, hidden_size: 2, "        \
    "num_attention_heads: 1}}"

static bt_conf *build(const char *text) {
    const char *const  files[] = {text};
    const bt_conf_args args = {.experiment = PAIRS, .config_files = files, .n_config_files = 1};
    bt_conf_errors     errors = BT_CONF_ERRORS_INIT;
    bt_conf           *conf = NULL;
    assert_ok(bt_conf_build(&args, &conf, &errors, err));
    bt_conf_errors_deinit(&errors);
    return conf;
}

static const bt_task *dual_encoder(void) {
    const bt_task *task = NULL;
    assert_ok(bt_task_find(PAIRS, &task, err));
    return task;
}

static void check_names(const bt_task_plan *plan, const char *want) {
    bt_str names = BT_STR_INIT;
    for (size_t i = 0; i < plan->n_validation_metrics; i++) {
        assert_ok(bt_str_appendf(&names, err, "%s%s ", i == plan->n_train_metrics ? "| " : "",
                                 plan->metric_names[i]));
    }
    assert_string_equal(bt_str_text(&names), want);
    bt_str_deinit(&names);
}

static void test_defaults_are_model_gardens(void **state) {
    (void)state;
    bt_conf *const conf = build("{}");
    bt_task_plan   plan = {0};
    assert_ok(dual_encoder()->plan(conf, &plan, err));
    assert_true(dual_encoder()->reports_validation_loss);
    assert_int_equal(plan.head.kind, BT_HEAD_POOLED_OUTPUT);
    assert_int_equal(plan.head.loss, BT_LOSS_RANKING);
    assert_true(plan.head.normalize && !plan.head.bidirectional);
    assert_int_equal(plan.head.pooling, BT_POOLING_POOLER);
    assert_true(plan.head.logit_scale == 1 && plan.head.logit_margin == 0);
    assert_int_equal(plan.train_schema.seq_length, 64);
    assert_int_equal(plan.validation_schema.seq_length, 64);
    assert_int_equal(plan.train_schema.pairing, BT_PAIRING_ROWS);
    assert_int_equal(plan.train_schema.label_kind, BT_LABEL_NONE);
    assert_int_equal(plan.prediction_schema.pairing, BT_PAIRING_CHAIN);
    assert_true(plan.prediction_schema.include_example_id);
    check_names(&plan, "batch_size_per_core left_recall_at_1 left_recall_at_3 left_recall_at_10 "
                       "| left_mrr ");
    bt_task_plan_deinit(&plan);
    bt_conf_free(conf);
}

static void test_every_key_reaches_the_plan(void **state) {
    (void)state;
    bt_conf *const conf = build("{runtime: {padding: keep}, task: {model: {bidirectional: true, "
                                "normalize: false, pooling: max, "
                                "logit_scale: 20, logit_margin: 0.3, eval_top_k: [2, 7], " TINY
                                "}, train_data: {seq_length: 4, input_path: a}}}");
    bt_task_plan   plan = {0};
    assert_ok(dual_encoder()->plan(conf, &plan, err));
    assert_true(plan.head.bidirectional && !plan.head.normalize);
    assert_int_equal(plan.head.pooling, BT_POOLING_MAX);
    assert_true(plan.head.logit_scale == 20 && plan.head.logit_margin == 0.3F);
    assert_true(plan.train_schema.keep_padding);
    assert_int_equal(plan.train_schema.vocab_size, 30);
    check_names(&plan, "batch_size_per_core left_recall_at_2 right_recall_at_2 left_recall_at_7 "
                       "right_recall_at_7 | left_mrr right_mrr ");
    bt_task_plan_deinit(&plan);
    bt_conf_free(conf);
}

/* A vocabulary makes text of the rows. */
static void test_texts_reach_the_plan(void **state) {
    (void)state;
    bt_conf *const conf = build("{task: {validation_data: {input_path: a, vocab_file: v, "
                                "left_text_fields: [de, more], right_text_fields: ['2'], "
                                "lower_case: false}}}");
    bt_task_plan   plan = {0};
    assert_ok(dual_encoder()->plan(conf, &plan, err));
    const bt_data_text *const text = &plan.prediction_schema.text;
    assert_int_equal(plan.train_schema.text.n_fields, 0);
    assert_int_equal(text->n_fields, 2);
    assert_string_equal(text->fields[1], "more");
    assert_int_equal(text->n_right_fields, 1);
    assert_string_equal(text->right_fields[0], "2");
    assert_string_equal(text->vocab_file, "v");
    assert_false(text->lower_case);
    assert_int_equal(text->rules, BT_TEXT_TF);
    bt_task_plan_deinit(&plan);
    bt_conf_free(conf);
}

static void test_what_cannot_be_is_a_sentence(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bt_status   status;
        const char *message;
    } rows[] = {
        {"{task: {train_data: {input_path: a, vocab_file: v}, validation_data: {input_path: a, "
         "vocab_file: v, lower_case: false}}}",
         BT_E_CONFIG, "other tokens than it was trained on"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_conf *const conf = build(rows[i].text);
        bt_task_plan   plan = {0};
        assert_fails(dual_encoder()->plan(conf, &plan, err), rows[i].status, rows[i].message);
        bt_task_plan_deinit(&plan);
        bt_conf_free(conf);
    }
}

/* Predictions.
 * Two record files; the vectors are ours: the rows of `left_vectors` and `right_vectors`. */

enum { N_LEFT = 3, N_RIGHT = 4 };

static const float left_vectors[N_LEFT][2] = {{1, 0}, {0.6F, 0.8F}, {0, -1}};
static const float right_vectors[N_RIGHT][2] = {{0.8F, 0.6F}, {-1, 0}, {0, -1}, {0.6F, 0.8F}};

typedef struct fixture {
    bt_conf           *conf;
    bt_task_plan       plan;
    const char        *folder;
    char               left[TEST_PATH_MAX], right[TEST_PATH_MAX];
    bool               has_right;
    bt_data_table      table;
    bt_prediction_args args;
    bt_metric_value    values[BT_METRIC_MAX]; /* of the last pass */
    size_t             n_values;
} fixture;

/* Rows whose ids count up from first_id; below 0: they have none. */
static void write_records(const char *path, int64_t n, int64_t first_id) {
    bt_example_builder builder = BT_EXAMPLE_BUILDER_INIT;
    bt_str             frames = BT_STR_INIT;
    const int64_t      ids[4] = {7, 8};
    const int64_t      mask[4] = {1, 1};
    const int64_t      zeros[4] = {0};
    for (int64_t i = 0; i < n; i++) {
        const int64_t id = first_id + i;
        bt_bytes      bytes;
        bt_example_builder_clear(&builder);
        assert_ok(bt_example_add_i64(&builder, "input_ids", ids, 4, err));
        assert_ok(bt_example_add_i64(&builder, "input_mask", mask, 4, err));
        assert_ok(bt_example_add_i64(&builder, "segment_ids", zeros, 4, err));
        if (first_id >= 0) {
            assert_ok(bt_example_add_i64(&builder, "example_id", &id, 1, err));
        }
        assert_ok(bt_example_finish(&builder, &bytes, err));
        assert_ok(bt_tfrecord_frame(&frames, bytes.data, bytes.n_bytes, err));
    }
    test_write_file(path, bt_str_text(&frames), frames.len);
    bt_str_deinit(&frames);
    bt_example_builder_deinit(&builder);
}

/* more: keys of the task beside its model. */
static void open_fixture(fixture *f, bool has_right, const char *more) {
    char text[1024];
    *f = (fixture){.folder = test_temp_dir(), .has_right = has_right};
    (void)snprintf(f->left, sizeof f->left, "%s/left", test_temp_dir());
    (void)snprintf(f->right, sizeof f->right, "%s/right", test_temp_dir());
    (void)snprintf(text, sizeof text,
                   "{task: {%s model: {" TINY "}, validation_data: {seq_length: 4}}}", more);
    write_records(f->left, N_LEFT, 10);
    write_records(f->right, N_RIGHT, -1);
    f->conf = build(text);
    assert_ok(dual_encoder()->plan(f->conf, &f->plan, err));
}

static void close_fixture(fixture *f) {
    bt_task_plan_deinit(&f->plan);
    bt_conf_free(f->conf);
}

static const char *path_in(const fixture *f, const char *name) {
    static char path[2 * TEST_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", f->folder, name);
    return path;
}

static bt_status open_stream(const fixture *f, bt_data_stream **out, bt_error *err) {
    const char *const    left = f->left;
    const char *const    right = f->right;
    const bt_data_config config = {.paths = &left,
                                   .n_paths = 1,
                                   .right_paths = &right,
                                   .n_right_paths = f->has_right ? 1 : 0,
                                   .global_batch_size = 2,
                                   .shuffle_buffer_size = 1,
                                   .table = f->table,
                                   .block_length = 1,
                                   .section = "task.validation_data"};
    return bt_data_open(&config, &f->plan.prediction_schema, out, err);
}

static const float *vector_of(int64_t row) {
    return row < N_LEFT ? left_vectors[row] : right_vectors[row - N_LEFT];
}

static bt_status run_pass(fixture *f, bt_data_stream *stream, void *state, bt_error *err) {
    const bt_task_output *const output = dual_encoder()->prediction;
    int64_t                     row = 0;
    BT_TRY(output->reset(state, err));
    for (;;) {
        const bt_batch *batch = NULL;
        bool            end = false;
        float           logits[4];
        BT_TRY(bt_data_next_batch(stream, &batch, &end, err));
        if (end) {
            break;
        }
        for (int64_t i = 0; i < batch->n_seqs; i++) {
            memcpy(logits + 2 * i, vector_of(row++), sizeof left_vectors[0]);
        }
        BT_TRY(output->add(state, batch, logits, err));
    }
    f->n_values = 0;
    BT_TRY(output->finish(state, f->values, &f->n_values, err));
    return output->write(state, err);
}

static bt_status predict_stream(fixture *f, bt_data_stream *stream, bt_error *err) {
    const bt_output_request request = {.conf = f->conf,
                                       .plan = &f->plan,
                                       .data = stream,
                                       .model_dir = f->folder,
                                       .prediction = &f->args};
    void                   *state = NULL;
    BT_TRY(dual_encoder()->prediction->create(&request, &state, err));
    const bt_status rc = run_pass(f, stream, state, err);
    dual_encoder()->prediction->destroy(state);
    return rc;
}

static bt_status predict(fixture *f, bt_error *err) {
    bt_data_stream *stream = NULL;
    BT_TRY(open_stream(f, &stream, err));
    const bt_status rc = predict_stream(f, stream, err);
    bt_data_close(stream);
    return rc;
}

static void check_vectors(const char *path, const void *rows, int64_t n) {
    char         header[BT_NPY_HEADER_BYTES];
    size_t       n_bytes = 0;
    char *const  got = test_read_file(path, &n_bytes);
    const size_t n_data = (size_t)n * 2 * sizeof(float);
    bt_npy_header_f32(header, n, 2);
    assert_int_equal(n_bytes, sizeof header + n_data);
    assert_memory_equal(got, header, sizeof header);
    assert_memory_equal(got + sizeof header, rows, n_data);
    bt_free(got);
}

static void check_text(const char *path, const char *want) {
    char *const got = test_read_file(path, NULL);
    assert_string_equal(got, want);
    bt_free(got);
}

static double value_of(const fixture *f, const char *name) {
    for (size_t i = 0; i < f->n_values; i++) {
        if (strcmp(f->values[i].name, name) == 0) {
            return f->values[i].value;
        }
    }
    fail_msg("no value %s", name);
    return NAN;
}

/* Left ids are those of the records, right ids the numbers of their rows. */
#define COSINE_PAIRS "score\tleft_id\tright_id\n1.0\t11\t3\n1.0\t12\t2\n0.8\t10\t0\n"

static void test_vectors_and_pairs(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f, true, "mining_score: cosine,");
    assert_ok(predict(&f, err));
    check_vectors(path_in(&f, "left_vectors.npy"), left_vectors, N_LEFT);
    check_vectors(path_in(&f, "right_vectors.npy"), right_vectors, N_RIGHT);
    check_text(path_in(&f, "pairs.tsv"), COSINE_PAIRS);
    assert_int_equal(f.n_values, 0);
    char table[TEST_PATH_MAX + 32];
    (void)snprintf(table, sizeof table, "%s/new/de-en.tsv", f.folder);
    f.args.output_path = table;
    assert_ok(predict(&f, err));
    check_vectors(path_in(&f, "new/de-en.left.npy"), left_vectors, N_LEFT);
    check_vectors(path_in(&f, "new/de-en.right.npy"), right_vectors, N_RIGHT);
    check_text(table, COSINE_PAIRS);
    close_fixture(&f);
}

static void test_one_side_is_vectors_only(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f, false, "");
    assert_ok(predict(&f, err));
    check_vectors(path_in(&f, "vectors.npy"), left_vectors, N_LEFT);
    assert_false(bt_fs_exists(path_in(&f, "pairs.tsv")));
    f.args.format = "tsv";
    assert_fails(predict(&f, err), BT_E_CONFIG, "are written as npy");
    close_fixture(&f);
}

/* Of raw text the texts stand beside the ids; a tab in one does not break the table. */
static void test_texts_stand_beside_their_pairs(void **state) {
    (void)state;
    static const char *const field[] = {"x"};
    static const char        left[] = "a cat\nthe\tdog\nun\n";
    static const char        right[] = "dog\n\nthe end\na \\ b\n";
    fixture                  f;
    open_fixture(&f, true, "mining_score: cosine,");
    test_write_file(f.left, left, sizeof left - 1);
    test_write_file(f.right, right, sizeof right - 1);
    f.table = BT_TABLE_LINES;
    f.plan.prediction_schema.vocab_size = 200;
    f.plan.prediction_schema.text =
        (bt_data_text){.fields = field,
                       .n_fields = 1,
                       .vocab_file = test_source_path("tests/goldens/text/vocab_tf.txt"),
                       .rules = BT_TEXT_TF};
    assert_ok(predict(&f, err));
    check_text(path_in(&f, "pairs.tsv"), "score\tleft_id\tright_id\tleft_text\tright_text\n"
                                         "1.0\t1\t3\tthe\\tdog\ta \\\\ b\n"
                                         "1.0\t2\t2\tun\tthe end\n"
                                         "0.8\t0\t0\ta cat\tdog\n");
    close_fixture(&f);
}

/* Raw vectors are written as they are, and compared by their directions. */
static void test_raw_vectors_pair_by_direction(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f, true, "mining_score: cosine,");
    f.plan.head.normalize = false;
    assert_ok(predict(&f, err));
    check_vectors(path_in(&f, "left_vectors.npy"), left_vectors, N_LEFT);
    check_text(path_in(&f, "pairs.tsv"), COSINE_PAIRS);
    close_fixture(&f);
}

static void test_gold_pairs_give_f1(void **state) {
    (void)state;
    static const char gold[] = "de-00000011\ten-3\n\n10\t0\r\n10\t0\nde-12\ten-1";
    char              path[TEST_PATH_MAX + 16];
    char              more[TEST_PATH_MAX + 64];
    fixture           f;
    (void)snprintf(path, sizeof path, "%s/gold", test_temp_dir());
    (void)snprintf(more, sizeof more, "mining_score: cosine, gold_pairs: '%s',", path);
    test_write_file(path, gold, sizeof gold - 1);
    open_fixture(&f, true, more);
    assert_ok(predict(&f, err));
    /* three gold pairs; two are among three that were found, the best and the worst of them */
    assert_true(value_of(&f, "f1") == 2.0 / 3);
    assert_true(value_of(&f, "precision") == 2.0 / 3);
    assert_true(value_of(&f, "recall") == 2.0 / 3);
    assert_true(value_of(&f, "score_threshold") == (double)0.8F);
    close_fixture(&f);
}

static void test_same_rows_give_accuracy(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f, true, "mining_score: cosine, gold_pairs: rows,");
    assert_fails(predict(&f, err), BT_E_CONFIG, "left side has 3 rows and the right side 4");
    write_records(f.right, N_LEFT, -1);
    assert_ok(predict(&f, err));
    assert_true(value_of(&f, "left_accuracy") == 2.0 / 3); /* rows 0 and 2 */
    assert_true(value_of(&f, "right_accuracy") == 1.0 / 3);
    close_fixture(&f);
    open_fixture(&f, false, "gold_pairs: rows,");
    assert_fails(predict(&f, err), BT_E_CONFIG, "no right side");
    close_fixture(&f);
}

static void test_bad_gold_is_told_with_its_line(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } rows[] = {
        {"1\t2\nde-1 en-2\n", ":2: expected two ids with a TAB between them"},
        {"1\t\n", ":1: expected"},
        {"-\t2\n", ":1: expected"},
        {"1\ten-\n", ":1: expected"},
        {"1\t2\t3\n", ":1: expected"},
        {"\n\n", ": no pair in it"},
    };
    char    path[TEST_PATH_MAX + 16];
    char    more[TEST_PATH_MAX + 64];
    fixture f;
    (void)snprintf(path, sizeof path, "%s/gold", test_temp_dir());
    (void)snprintf(more, sizeof more, "gold_pairs: '%s',", path);
    open_fixture(&f, true, more);
    assert_fails(predict(&f, err), BT_E_IO, "gold");
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        test_write_file(path, rows[i].text, strlen(rows[i].text));
        assert_fails(predict(&f, err), BT_E_FORMAT, rows[i].message);
    }
    close_fixture(&f);
    open_fixture(&f, true, "");
    f.args.glue_folder = "x";
    assert_fails(predict(&f, err), BT_E_CONFIG, "--glue_submission");
    close_fixture(&f);
}

static const char *const outputs[] = {"left_vectors.npy", "right_vectors.npy", "pairs.tsv"};

/* What is there is whole, and nothing else is there; then removes it. */
static void check_whole(const fixture *f) {
    bt_fs_names names = BT_FS_NAMES_INIT;
    assert_ok(bt_fs_list(f->folder, &names, err));
    size_t n = 0;
    for (size_t i = 0; i < BT_ARRAY_LEN(outputs); i++) {
        if (!bt_fs_exists(path_in(f, outputs[i]))) {
            continue;
        }
        if (i == 0) {
            check_vectors(path_in(f, outputs[i]), left_vectors, N_LEFT);
        } else if (i == 1) {
            check_vectors(path_in(f, outputs[i]), right_vectors, N_RIGHT);
        } else {
            check_text(path_in(f, outputs[i]), COSINE_PAIRS);
        }
        assert_ok(bt_fs_remove(path_in(f, outputs[i]), err));
        n++;
    }
    assert_int_equal(names.n, n);
    bt_fs_names_deinit(&names);
}

static void test_memory_may_run_out(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f, true, "mining_score: cosine,");
    bool done = false;
    for (uint64_t k = 1; !done; k++) {
        bt_error error = BT_ERROR_INIT;
        assert_true(k < 300);
        bt_alloc_fail_at(k, true);
        const bt_status rc = predict(&f, &error);
        bt_alloc_fail_at(0, false);
        done = rc == BT_OK;
        assert_true(done || rc == BT_E_NOMEM);
        check_whole(&f);
    }
    close_fixture(&f);
}

static void test_disks_may_fail(void **state) {
    (void)state;
    static const bt_fs_op ops[] = {BT_FS_OP_WRITE, BT_FS_OP_FSYNC, BT_FS_OP_RENAME};
    fixture               f;
    open_fixture(&f, true, "mining_score: cosine,");
    for (size_t i = 0; i < BT_ARRAY_LEN(ops); i++) {
        bool done = false;
        for (uint64_t k = 1; !done; k++) {
            bt_error error = BT_ERROR_INIT;
            assert_true(k < 50);
            bt_fs_fail_at(ops[i], k, true);
            const bt_status rc = predict(&f, &error);
            bt_fs_fail_at(ops[i], 0, false);
            done = rc == BT_OK;
            assert_true(done || rc == BT_E_RESOURCE);
            check_whole(&f);
        }
    }
    close_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_are_model_gardens),
        cmocka_unit_test(test_every_key_reaches_the_plan),
        cmocka_unit_test(test_texts_reach_the_plan),
        cmocka_unit_test(test_what_cannot_be_is_a_sentence),
        cmocka_unit_test(test_vectors_and_pairs),
        cmocka_unit_test(test_one_side_is_vectors_only),
        cmocka_unit_test(test_texts_stand_beside_their_pairs),
        cmocka_unit_test(test_raw_vectors_pair_by_direction),
        cmocka_unit_test(test_gold_pairs_give_f1),
        cmocka_unit_test(test_same_rows_give_accuracy),
        cmocka_unit_test(test_bad_gold_is_told_with_its_line),
        cmocka_unit_test(test_memory_may_run_out),
        cmocka_unit_test(test_disks_may_fail),
    };
    return cmocka_run_group_tests_name("dual encoder", tests, NULL, NULL);
}
