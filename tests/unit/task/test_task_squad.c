/* SPDX-License-Identifier: Apache-2.0
 *
 * squad: configuration -> plan, what is refused; and its output: logits of a pass -> values and
 * files, against the project's own goldens. */
#include "test_tensors.h"

#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/fs.h"
#include "bt/task.h"

enum { TEXT_MAX = 3 * TEST_PATH_MAX };

static const char *own(const char *name, char path[TEST_PATH_MAX]) {
    char relative[256];
    (void)snprintf(relative, sizeof relative, "tests/goldens/squad/%s", name);
    (void)snprintf(path, TEST_PATH_MAX, "%s", test_source_path(relative));
    return path;
}

static bt_conf *build(const char *text) {
    const char *const  files[] = {text};
    const bt_conf_args args = {
        .experiment = "bert/squad", .config_files = files, .n_config_files = 1};
    bt_conf_errors errors = BT_CONF_ERRORS_INIT;
    bt_conf       *conf = NULL;
    assert_ok(bt_conf_build(&args, &conf, &errors, err));
    bt_conf_errors_deinit(&errors);
    return conf;
}

static const bt_task *squad(void) {
    const bt_task *task = NULL;
    assert_ok(bt_task_find("bert/squad", &task, err));
    return task;
}

static void test_plan(void **state) {
    (void)state;
    bt_task_plan   plan;
    bt_conf *const conf =
        build("{task: {init_head: true, model: {encoder: {bert: {initializer_range: 0.03}}}, "
              "train_data: {input_path: 'a.tf_record', seq_length: 320}, validation_data: "
              "{input_path: d.json, vocab_file: v.txt, doc_stride: 64, query_length: 32, "
              "version_2_with_negative: true, do_lower_case: false, global_batch_size: 8}}}");
    assert_ok(squad()->plan(conf, &plan, err));
    assert_int_equal(plan.head.kind, BT_HEAD_TOKENS);
    assert_int_equal(plan.head.loss, BT_LOSS_SPAN);
    assert_int_equal(plan.head.num_classes, 2);
    assert_true(plan.head.dropout_rate == 0.0F);
    assert_true(plan.head.initializer_range == 0.03F);
    assert_true(plan.init_head);
    assert_int_equal(plan.train_schema.seq_length, 320);
    assert_int_equal(plan.train_schema.label_kind, BT_LABEL_SPAN);
    assert_null(plan.train_schema.squad.vocab_file);
    assert_int_equal(plan.validation_schema.seq_length, 384);
    assert_int_equal(plan.validation_schema.label_kind, BT_LABEL_NONE);
    assert_true(plan.validation_schema.include_example_id);
    const bt_data_squad *const source = &plan.validation_schema.squad;
    assert_string_equal(source->vocab_file, "v.txt");
    assert_int_equal(source->doc_stride, 64);
    assert_int_equal(source->max_query_length, 32);
    assert_int_equal(source->use, BT_SQUAD_EVALUATE);
    assert_int_equal(source->max_rows, 0);
    assert_true(source->version_2);
    assert_false(source->do_lower_case);
    assert_int_equal(plan.prediction_schema.squad.use, BT_SQUAD_PREDICT);
    assert_int_equal(plan.n_train_metrics, 2);
    assert_string_equal(plan.metric_names[0], "start_position_accuracy");
    assert_string_equal(plan.metric_names[1], "end_position_accuracy");
    assert_int_equal(plan.n_validation_metrics, 0);
    assert_false(squad()->reports_validation_loss);
    bt_task_plan_deinit(&plan);
    bt_conf_free(conf);
}

/* docs/decisions.md, "Packed tokens": the softmax of the loss reads padding, an evaluation does
 * not. */
static void test_padding(void **state) {
    (void)state;
    static const struct {
        const char *padding;
        bool        in_training;
        bool        in_evaluation;
    } rows[] = {{"auto", true, false}, {"keep", true, true}, {"drop", false, false}};
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        char         text[256];
        bt_task_plan plan;
        (void)snprintf(text, sizeof text, "{runtime: {padding: %s}}", rows[i].padding);
        bt_conf *const conf = build(text);
        assert_ok(squad()->plan(conf, &plan, err));
        assert_int_equal(plan.train_schema.keep_padding, rows[i].in_training);
        assert_int_equal(plan.validation_schema.keep_padding, rows[i].in_evaluation);
        assert_int_equal(plan.prediction_schema.keep_padding, rows[i].in_evaluation);
        bt_task_plan_deinit(&plan);
        bt_conf_free(conf);
    }
}

static void test_training_from_json(void **state) {
    (void)state;
    static const struct {
        const char *path;
        bool        is_json;
    } rows[] = {{"a.json", true},
                {"' , a.json , b.json'", true},
                {"[x.json, y.json]", true},
                {"a.json.tf_record", false},
                {"'a.tf_record,b.json'", false},
                {"json", false},
                {"/data/train-*.json", true}};
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        char         text[256];
        bt_task_plan plan;
        (void)snprintf(text, sizeof text,
                       "{task: {train_data: {input_path: %s, vocab_file: v.txt}}}", rows[i].path);
        bt_conf *const conf = build(text);
        assert_ok(squad()->plan(conf, &plan, err));
        assert_int_equal(plan.train_schema.squad.vocab_file != NULL, rows[i].is_json);
        assert_int_equal(plan.train_schema.squad.use, BT_SQUAD_TRAIN);
        bt_task_plan_deinit(&plan);
        bt_conf_free(conf);
    }
}

static void test_part_of_an_evaluation(void **state) {
    (void)state;
    bt_task_plan   plan;
    bt_conf *const conf = build(
        "{trainer: {validation_steps: 226}, task: {validation_data: {global_batch_size: 48}}}");
    assert_ok(squad()->plan(conf, &plan, err));
    assert_int_equal(plan.validation_schema.squad.max_rows, 226 * 48);
    assert_int_equal(plan.prediction_schema.squad.max_rows, 0);
    bt_task_plan_deinit(&plan);
    bt_conf_free(conf);
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bt_status   status;
        const char *message;
    } rows[] = {
        {"{task: {validation_data: {input_path: d.json}}}", BT_E_CONFIG,
         "task.validation_data.vocab_file is empty"},
        {"{task: {train_data: {input_path: t.json}}}", BT_E_CONFIG,
         "task.train_data.vocab_file is empty"},
        {"{task: {model: {encoder: {bert: {output_range: 1}}}}}", BT_E_UNSUPPORTED,
         "output_range: 1"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_task_plan   plan;
        bt_conf *const conf = build(rows[i].text);
        assert_fails(squad()->plan(conf, &plan, err), rows[i].status, rows[i].message);
        bt_task_plan_deinit(&plan);
        bt_conf_free(conf);
    }
}

typedef struct pass {
    bt_conf              *conf;
    bt_task_plan          plan;
    bt_data_stream       *data;
    const bt_task_output *output;
    void                 *state;
    json_t               *logits; /* [windows][start, end][tokens] */
    json_t               *want;
    const char           *folder;
} pass;

/* k: which of the goldens' two choices of options */
static void pass_init(pass *p, bool version_2, int k, bool predicts, const char *more) {
    char              text[TEXT_MAX];
    char              name[64];
    char              dev[TEST_PATH_MAX];
    char              path[TEST_PATH_MAX];
    const char *const paths[] = {dev};
    *p = (pass){.folder = test_temp_dir()};
    (void)own(version_2 ? "dev_v2.json" : "dev.json", dev);
    (void)snprintf(name, sizeof name, "expected/%s.%d.scores.json", version_2 ? "dev_v2" : "dev",
                   k);
    p->want = test_read_json(own(name, path));
    (void)snprintf(name, sizeof name, "expected/%s.logits.json", version_2 ? "dev_v2" : "dev");
    p->logits = test_read_json(own(name, path));
    (void)snprintf(text, sizeof text,
                   "{task: {n_best_size: %d, max_answer_length: %d, null_score_diff_threshold: "
                   "%.1f, model: {encoder: {bert: {vocab_size: 100}}}, validation_data: "
                   "{input_path: '%s', vocab_file: '%s', seq_length: 24, doc_stride: 7, "
                   "query_length: 5, global_batch_size: 3, version_2_with_negative: %s%s}}}",
                   (int)json_integer_value(json_object_get(p->want, "n_best_size")),
                   (int)json_integer_value(json_object_get(p->want, "max_answer_length")),
                   json_number_value(json_object_get(p->want, "threshold")), dev,
                   test_source_path("tests/goldens/text/vocab.txt"), version_2 ? "true" : "false",
                   more);
    p->conf = build(text);
    assert_ok(squad()->plan(p->conf, &p->plan, err));
    const bt_data_config config = {
        .paths = paths, .n_paths = 1, .global_batch_size = 3, .section = "task.validation_data"};
    const bt_prediction_args args = {.output_path = NULL};
    assert_ok(bt_data_open(&config,
                           predicts ? &p->plan.prediction_schema : &p->plan.validation_schema,
                           &p->data, err));
    p->output = predicts ? squad()->prediction : squad()->evaluation;
    const bt_output_request request = {.conf = p->conf,
                                       .plan = &p->plan,
                                       .data = p->data,
                                       .model_dir = p->folder,
                                       .prediction = predicts ? &args : NULL};
    assert_ok(p->output->create(&request, &p->state, err));
}

static void pass_deinit(pass *p) {
    p->output->destroy(p->state);
    bt_data_close(p->data);
    bt_task_plan_deinit(&p->plan);
    bt_conf_free(p->conf);
    json_decref(p->logits);
    json_decref(p->want);
}

/* The golden's logits for the windows of a batch, packed as a head gives them. */
static void pack_logits(const pass *p, const bt_batch *batch, float *logits) {
    for (int64_t b = 0; b < batch->n_seqs; b++) {
        const json_t *const row = json_array_get(p->logits, (size_t)batch->example_ids[b]);
        const int64_t       n = batch->offsets[b + 1] - batch->offsets[b];
        assert_int_equal(n, json_array_size(json_array_get(row, 0)));
        for (int64_t t = 0; t < n; t++) {
            for (int64_t side = 0; side < 2; side++) {
                logits[2 * (batch->offsets[b] + t) + side] = (float)json_real_value(
                    json_array_get(json_array_get(row, (size_t)side), (size_t)t));
            }
        }
    }
}

static void run_pass(pass *p) {
    float logits[2 * 3 * 24];
    assert_ok(p->output->reset(p->state, err));
    assert_ok(bt_data_seek(p->data, (bt_data_cursor){0}, err));
    for (;;) {
        const bt_batch *batch = NULL;
        bool            end = false;
        assert_ok(bt_data_next_batch(p->data, &batch, &end, err));
        if (end) {
            return;
        }
        pack_logits(p, batch, logits);
        assert_ok(p->output->add(p->state, batch, logits, err));
    }
}

static void check_files(const pass *p, bool version_2, int k) {
    static const char *const files[] = {"predictions.json", "nbest_predictions.json",
                                        "null_odds.json"};
    for (size_t i = 0; i < BT_ARRAY_LEN(files); i++) {
        char   name[128];
        char   path[TEST_PATH_MAX];
        size_t n_got = 0;
        size_t n_want = 0;
        (void)snprintf(path, sizeof path, "%s/%s", p->folder, files[i]);
        if (i == 2 && !version_2) {
            assert_false(bt_fs_exists(path));
            continue;
        }
        char *const got = test_read_file(path, &n_got);
        (void)snprintf(name, sizeof name, "expected/%s.%d.%s", version_2 ? "dev_v2" : "dev", k,
                       files[i]);
        char *const want = test_read_file(own(name, path), &n_want);
        assert_int_equal(n_got, n_want);
        assert_memory_equal(got, want, n_want);
        bt_free(got);
        bt_free(want);
    }
}

static void check_values(pass *p, size_t n_want) {
    bt_metric_value values[2 * BT_METRIC_MAX] = {{.name = "before", .value = 1}};
    size_t          n = 1;
    assert_ok(p->output->finish(p->state, values, &n, err));
    assert_int_equal(n, 1 + n_want);
    assert_string_equal(values[0].name, "before");
    for (size_t i = 1; i < n; i++) {
        assert_string_equal(values[i].name, squad()->output_names[i - 1]);
        const json_t *const value = json_object_get(p->want, values[i].name);
        if (strncmp(values[i].name, "no_answer_", 10) == 0) { /* test_squad_goldens has them */
            assert_null(value);
            assert_true(values[i].value >= 0 && values[i].value <= 100);
            continue;
        }
        assert_non_null(value);
        const double number = json_number_value(value);
        test_close_f64(&values[i].value, &number, 1, 0, 1e-12, values[i].name);
    }
}

static void test_evaluation(void **state) {
    (void)state;
    for (int k = 0; k < 4; k++) {
        const bool version_2 = k % 2 == 1;
        pass       p;
        pass_init(&p, version_2, k / 2, false, "");
        for (int again = 0; again < 2; again++) {
            run_pass(&p);
            check_values(&p, version_2 ? 8 : 2);
            assert_ok(p.output->write(p.state, err));
            check_files(&p, version_2, k / 2);
        }
        pass_deinit(&p);
    }
}

static void test_prediction(void **state) {
    (void)state;
    for (int version = 1; version <= 2; version++) {
        pass p;
        pass_init(&p, version == 2, 0, true, "");
        assert_null(p.output->finish);
        run_pass(&p);
        assert_ok(p.output->write(p.state, err));
        check_files(&p, version == 2, 0);
        pass_deinit(&p);
    }
}

/* Batches that do not come: the answers that stand in them are not found. */
static void test_part_of_a_pass(void **state) {
    (void)state;
    pass            p;
    bt_metric_value values[BT_METRIC_MAX];
    size_t          n = 0;
    pass_init(&p, false, 0, false, "");
    assert_ok(p.output->reset(p.state, err));
    assert_ok(p.output->finish(p.state, values, &n, err));
    assert_int_equal(n, 2);
    assert_true(values[0].value == 0.0 && values[1].value == 0.0);
    pass_deinit(&p);
}

static void test_eval_records(void **state) {
    (void)state;
    char              more[TEST_PATH_MAX + 64];
    char              path[TEST_PATH_MAX];
    const char *const folder = test_temp_dir();
    pass              p;
    (void)snprintf(more, sizeof more, ", input_preprocessed_data_path: '%s/new'", folder);
    (void)snprintf(path, sizeof path, "%s/new/eval.tf_record", folder);
    pass_init(&p, false, 0, false, more);
    assert_false(bt_fs_exists(path));
    assert_ok(p.output->reset(p.state, err));
    assert_true(bt_fs_exists(path));
    assert_ok(bt_fs_remove(path, err));
    assert_ok(p.output->reset(p.state, err));
    assert_false(bt_fs_exists(path)); /* once a run is enough */
    pass_deinit(&p);
}

static void test_refused_outputs(void **state) {
    (void)state;
    static const struct {
        bt_prediction_args args;
        const char        *message;
    } rows[] = {
        {{.format = "tsv"}, "--output_format=tsv: predictions of this task are written as json"},
        {{.glue_folder = "g"}, "--glue_submission: SQuAD is not a task of GLUE"},
        {{.output_path = "a/p.json"},
         "--output_path=a/p.json: the predictions of SQuAD are several"},
    };
    pass p;
    pass_init(&p, false, 0, true, "");
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        void                   *other = NULL;
        const bt_output_request request = {.conf = p.conf,
                                           .plan = &p.plan,
                                           .data = p.data,
                                           .model_dir = p.folder,
                                           .prediction = &rows[i].args};
        assert_fails(p.output->create(&request, &other, err), BT_E_CONFIG, rows[i].message);
        assert_null(other);
    }
    pass_deinit(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_padding),
        cmocka_unit_test(test_training_from_json),
        cmocka_unit_test(test_part_of_an_evaluation),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_evaluation),
        cmocka_unit_test(test_prediction),
        cmocka_unit_test(test_part_of_a_pass),
        cmocka_unit_test(test_eval_records),
        cmocka_unit_test(test_refused_outputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
