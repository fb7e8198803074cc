/* SPDX-License-Identifier: Apache-2.0
 *
 * The trajectory of the real Model Garden, reproduced through the program itself: the golden's
 * batches are written as TFRecords, its initial weights as the ckpt-0 of a model_dir, bert-train
 * trains, and what it saved and logged is compared with what Model Garden had after the same
 * updates. Tolerances: tests/goldens/model_garden/numerics/MANIFEST.md. */
#include "test_tensors.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "bt/base/str.h"
#include "bt/ckpt.h"
#include "bt/fs.h"
#include "bt/task.h"
#include "bt/wire/example.h"
#include "bt/wire/tfrecord.h"

static const int64_t snapshots[] = {1, 2, 5, 20};

typedef struct trajectory {
    const char        *name;
    const char        *folder; /* everything of this case is written here */
    json_t            *facts;  /* the golden's .json */
    test_tensors      *golden;
    bt_conf           *conf;
    bt_model          *model;
    bt_task_plan       plan;
    bt_example_builder example;
    char               records[TEST_PATH_MAX];
    char               config[TEST_PATH_MAX];
    char               model_dir[TEST_PATH_MAX];
} trajectory;

static int64_t fact(const trajectory *t, const char *key) {
    const json_t *const value = json_object_get(t->facts, key);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static bool is_task(const trajectory *t, const char *task) {
    return bt_str_equal(json_string_value(json_object_get(t->facts, "task")), task);
}

static const char *experiment_of(const trajectory *t) {
    return is_task(t, "tagging")        ? "bert/tagging"
           : is_task(t, "dual_encoder") ? "bert/dual_encoder"
                                        : "bert/sentence_prediction";
}

typedef char key_text[512];

static const char *key_of(key_text out, const char *format, ...) BT_PRINTF(2, 3);
static const char *key_of(key_text out, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)vsnprintf(out, sizeof(key_text), format, args);
    va_end(args);
    return out;
}

static const int32_t *batch_ints(const trajectory *t, int64_t k, const char *name) {
    key_text key;
    return test_tensors_i32(t->golden, key_of(key, "batch%d/%s", (int)k, name), NULL);
}

static void add_int_row(trajectory *t, const char *key, const int32_t *values, int64_t n) {
    assert_ok(bt_example_add_i32(&t->example, key, values, (size_t)n, err));
}

static void write_batch(trajectory *t, int64_t k, bt_tfrecord_writer *writer) {
    const int64_t        B = fact(t, "batch");
    const int64_t        S = fact(t, "seq");
    key_text             key;
    const int32_t *const ids = batch_ints(t, k, "input_word_ids");
    const int32_t *const mask = batch_ints(t, k, "input_mask");
    const int32_t *const types = batch_ints(t, k, "input_type_ids");
    const int64_t        n_labels = is_task(t, "tagging") ? S : 1; /* of a row */
    for (int64_t b = 0; b < B; b++) {
        bt_bytes message = {0};
        bt_example_builder_clear(&t->example);
        add_int_row(t, "input_ids", ids + b * S, S);
        add_int_row(t, "input_mask", mask + b * S, S);
        add_int_row(t, "segment_ids", types + b * S, S);
        if (is_task(t, "regression")) {
            const float *const scores =
                test_tensors_f32(t->golden, key_of(key, "batch%d/label_ids", (int)k), NULL);
            assert_ok(bt_example_add_f32(&t->example, "label_ids", scores + b, 1, err));
        } else {
            add_int_row(t, "label_ids", batch_ints(t, k, "label_ids") + b * n_labels, n_labels);
        }
        assert_ok(bt_example_finish(&t->example, &message, err));
        assert_ok(bt_tfrecord_write(writer, message.data, message.n_bytes, err));
    }
}

/* A dual encoder's features bear the names of the golden's tensors. */
static void write_pairs(trajectory *t, int64_t k, bt_tfrecord_writer *writer) {
    static const char *const keys[] = {"left_word_ids",  "left_mask",  "left_type_ids",
                                       "right_word_ids", "right_mask", "right_type_ids"};
    const int64_t            S = fact(t, "seq");
    for (int64_t b = 0; b < fact(t, "batch"); b++) {
        bt_bytes message = {0};
        bt_example_builder_clear(&t->example);
        for (size_t i = 0; i < BT_ARRAY_LEN(keys); i++) {
            add_int_row(t, keys[i], batch_ints(t, k, keys[i]) + b * S, S);
        }
        assert_ok(bt_example_finish(&t->example, &message, err));
        assert_ok(bt_tfrecord_write(writer, message.data, message.n_bytes, err));
    }
}

static void write_records(trajectory *t) {
    bt_tfrecord_writer *writer = NULL;
    (void)snprintf(t->records, sizeof t->records, "%s/train.tf_record", t->folder);
    assert_ok(bt_tfrecord_writer_create(t->records, BT_COMPRESSION_NONE, &writer, err));
    for (int64_t k = 0; k < fact(t, "batches"); k++) {
        is_task(t, "dual_encoder") ? write_pairs(t, k, writer) : write_batch(t, k, writer);
    }
    assert_ok(bt_tfrecord_writer_commit(&writer, err));
}

static json_t *data_config(const trajectory *t, bool is_training) {
    json_t *const data =
        json_pack("{s:s, s:I, s:I, s:i, s:b, s:b}", "input_path", t->records, "global_batch_size",
                  (json_int_t)fact(t, "batch"), "seq_length", (json_int_t)fact(t, "seq"),
                  "shuffle_buffer_size", 1, "is_training", is_training, "drop_remainder", 1);
    if (!is_task(t, "tagging") && !is_task(t, "dual_encoder")) {
        json_object_set_new(data, "label_type",
                            json_string(is_task(t, "regression") ? "float" : "int"));
    }
    return data;
}

/* Options are keys of the model, but for the tags of a tagger. */
static json_t *task_config(const trajectory *t) {
    const char *const encoder_type = json_string_value(json_object_get(t->facts, "encoder_type"));
    json_t *const     options = json_object_get(t->facts, "options");
    json_t *const     encoder = json_pack("{s:s, s:O}", "type", encoder_type, encoder_type,
                                          json_object_get(t->facts, "encoder"));
    json_t *const     task = is_task(t, "tagging") ? json_deep_copy(options) : json_object();
    json_t *const     model = is_task(t, "tagging") ? json_object() : json_deep_copy(options);
    if (is_task(t, "dual_encoder")) {
        json_object_set_new(model, "max_sequence_length", json_integer(fact(t, "seq")));
    } else {
        json_object_set_new(model, "head_dropout", json_real(0.0));
    }
    json_object_set_new(model, "encoder", encoder);
    json_object_set_new(task, "model", model);
    json_object_set_new(task, "train_data", data_config(t, true));
    json_object_set_new(task, "validation_data", data_config(t, false));
    return task;
}

/* The golden's facts as a configuration. JSON is YAML. */
static void write_config(trajectory *t) {
    (void)snprintf(t->config, sizeof t->config, "%s/config.yaml", t->folder);
    json_t *const root = json_pack(
        "{s:o, s:{s:I, s:i, s:i, s:i, s:i, s:O}, s:{s:b, s:s}}", "task", task_config(t), "trainer",
        "train_steps", (json_int_t)fact(t, "steps"), "steps_per_loop", 1, "summary_interval", 1,
        "checkpoint_interval", 1, "max_to_keep", 100, "optimizer_config",
        json_object_get(t->facts, "optimizer"), "runtime", "bug_compatible",
        is_task(t, "regression"), "distribution_strategy", "one_device");
    assert_non_null(root);
    assert_int_equal(json_dump_file(root, t->config, JSON_INDENT(1)), 0);
    json_decref(root);
}

static void build_model(trajectory *t) {
    bt_conf_errors    errors = BT_CONF_ERRORS_INIT;
    const bt_task    *task = NULL;
    const char *const files[] = {t->config};
    bt_conf_args      args = {
             .experiment = experiment_of(t), .config_files = files, .n_config_files = 1};
    assert_ok(bt_conf_build(&args, &t->conf, &errors, err));
    assert_ok(bt_task_find(experiment_of(t), &task, err));
    assert_ok(task->plan(t->conf, &t->plan, err));
    assert_ok(bt_model_create(&t->plan.encoder, &t->plan.head, &t->model, err));
    bt_conf_errors_deinit(&errors);
}

/* NULL: the golden has none. bert_v2's goldens carry the encoder's own prefix, like tf_name. */
static const float *find_value(const trajectory *t, const char *what, const bt_param *param) {
    key_text key;
    size_t   n = 0;
    (void)key_of(key, "%s/%s", what, param->name);
    if (!test_tensors_has(t->golden, key) &&
        !test_tensors_has(t->golden, key_of(key, "%s/%s", what, param->tf_name))) {
        return NULL;
    }
    const float *const values = test_tensors_f32(t->golden, key, &n);
    assert_int_equal(n, param->n_elements);
    return values;
}

/* A model_dir in which nothing but the initial weights stands: it resumes from step 0. */
static void write_initial_checkpoint(trajectory *t) {
    const bt_param_table *const table = &t->model->table;
    float *const                flat = bt_calloc_array((size_t)table->n_elements, sizeof *flat);
    assert_non_null(flat);
    for (int64_t i = 0; i < table->n_params; i++) {
        const bt_param *const param = &table->params[i];
        const float *const    values = find_value(t, "w", param);
        if (values == NULL) {
            fail_msg("%s: the golden has no w/%s", t->name, param->name);
            return;
        }
        memcpy(flat + param->offset, values, (size_t)param->n_elements * sizeof *flat);
    }
    bt_ckpt_manager    *manager = NULL;
    const bt_ckpt_train start = {.table = table, .params = flat, .without_optimizer = true};
    (void)snprintf(t->model_dir, sizeof t->model_dir, "%s/out", t->folder);
    assert_ok(bt_fs_make_folders(t->model_dir, err));
    assert_ok(bt_ckpt_manager_open(t->model_dir, 0, &manager, err));
    assert_ok(bt_ckpt_manager_save(manager, "ckpt-0", &start, err));
    bt_ckpt_manager_close(manager);
    bt_free(flat);
}

static void run_program(const trajectory *t, const char *mode_name, const char *override_text) {
    char log_path[TEST_PATH_MAX + 16];
    char config[TEST_PATH_MAX + 32];
    char model_dir[TEST_PATH_MAX + 32];
    char program[TEST_PATH_MAX];
    (void)snprintf(log_path, sizeof log_path, "%s/stderr.txt", t->folder);
    (void)snprintf(config, sizeof config, "--config_file=%s", t->config);
    (void)snprintf(model_dir, sizeof model_dir, "--model_dir=%s", t->model_dir);
    (void)snprintf(program, sizeof program, "%s", test_build_path("bert-train"));
    char experiment[64];
    char mode[64];
    char override[256]; /* the way in which users change a key */
    (void)snprintf(experiment, sizeof experiment, "--experiment=%s", experiment_of(t));
    (void)snprintf(mode, sizeof mode, "--mode=%s", mode_name);
    (void)snprintf(override, sizeof override, "--params_override=%s", override_text);
    char *const argv[] = {program, experiment, mode, model_dir, config, override, NULL};
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const int fd = open(log_path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        (void)dup2(fd, STDERR_FILENO);
        (void)dup2(fd, STDOUT_FILENO);
        (void)execv(program, argv);
        _exit(127);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        char *const text = test_read_file(log_path, NULL);
        print_error("%s\n", text);
        bt_free(text);
        fail_msg("%s: bert-train ended with status %d", t->name, status);
    }
}

/* The true gradient of these is 0: what is stored is rounding noise
 * (tests/goldens/model_garden/numerics/MANIFEST.md). */
static bool is_noise(const bt_param *param) {
    return bt_str_ends_with(param->name, "self_attention/key/bias");
}

static void compare_value(trajectory *t, bt_ckpt *ckpt, int64_t step, const bt_param *param,
                          const char *golden_slot, double abs_tol, double rel_tol,
                          int64_t *n_compared) {
    char what[64];
    (void)snprintf(what, sizeof what, "step%d/%s", (int)step, golden_slot);
    const float *const want = find_value(t, what, param);
    if (want == NULL) {
        return;
    }
    char label[512];
    (void)snprintf(label, sizeof label, "%s: %s/%s", t->name, what, param->name);
    float *const got = bt_calloc_array((size_t)param->n_elements, sizeof *got);
    assert_non_null(got);
    const char *const slot = bt_str_equal(golden_slot, "var") ? NULL : golden_slot;
    assert_ok(bt_ckpt_read_variable(ckpt, param, slot, got, err));
    const float *const grad = find_value(t, "grad", param);
    if (slot == NULL && strstr(t->name, "lamb") != NULL && grad != NULL && !is_noise(param)) {
        test_close_lamb(got, want, grad, (size_t)param->n_elements, abs_tol, 5e-6, label);
    } else {
        test_close_f32(got, want, (size_t)param->n_elements, abs_tol, rel_tol, label);
    }
    (*n_compared)++;
    bt_free(got);
}

static void compare_param(trajectory *t, bt_ckpt *ckpt, int64_t step, const bt_param *param,
                          int64_t *n_compared) {
    const bool   is_lamb = strstr(t->name, "lamb") != NULL;
    const double noise = is_lamb ? 5e-4 : 2e-4;
    const double var_tol = is_noise(param) ? noise : (step >= 20 ? 5e-6 : 2e-6);
    compare_value(t, ckpt, step, param, "var", var_tol, 0, n_compared);
    compare_value(t, ckpt, step, param, "average", is_noise(param) ? noise : 5e-6, 0, n_compared);
    if (!is_noise(param)) {
        compare_value(t, ckpt, step, param, "m", 1e-6, 0, n_compared);
        compare_value(t, ckpt, step, param, "v", 1e-8, 2e-5, n_compared);
    }
}

static void compare_snapshot(trajectory *t, int64_t step, int64_t *n_compared) {
    key_text key;
    if (!test_tensors_has(t->golden, key_of(key, "step%d/iterations", (int)step))) {
        return;
    }
    char     prefix[TEST_PATH_MAX + 32];
    bt_ckpt *ckpt = NULL;
    int64_t  saved_step = 0;
    int64_t  iterations = 0;
    bool     found = false;
    (void)snprintf(prefix, sizeof prefix, "%s/ckpt-%d", t->model_dir, (int)step);
    assert_ok(bt_ckpt_open(prefix, &ckpt, err));
    assert_ok(bt_ckpt_read_scalar(ckpt, "global_step", &saved_step, &found, err));
    assert_true(found);
    assert_int_equal(saved_step, step);
    assert_ok(bt_ckpt_read_scalar(ckpt, "iterations", &iterations, &found, err));
    assert_true(found);
    assert_int_equal(iterations, step);
    for (int64_t i = 0; i < t->model->table.n_params; i++) {
        compare_param(t, ckpt, step, &t->model->table.params[i], n_compared);
    }
    bt_ckpt_close(ckpt);
}

static void check_near(const trajectory *t, const char *what, int64_t step, double got, double want,
                       double abs_tol, double rel_tol) {
    char label[256];
    (void)snprintf(label, sizeof label, "%s: %s at step %d", t->name, what, (int)step);
    test_close_f64(&got, &want, 1, abs_tol, rel_tol, label);
}

/* metrics.jsonl, a train record a step: losses, rates and norms of every update. */
static void compare_log(trajectory *t) {
    const int64_t      n_steps = fact(t, "steps");
    char               path[TEST_PATH_MAX + 32];
    const float *const losses = test_tensors_f32(t->golden, "losses", NULL);
    const float *const norms = test_tensors_f32(t->golden, "global_norms", NULL);
    const float *const rates = test_tensors_f32(t->golden, "lrs", NULL);
    (void)snprintf(path, sizeof path, "%s/metrics.jsonl", t->model_dir);
    char *const text = test_read_file(path, NULL);
    int64_t     n_seen = 0;
    for (const char *line = text; *line != '\0';) {
        const size_t      n_line = strcspn(line, "\n");
        json_t *const     record = json_loadb(line, n_line, 0, NULL);
        const char *const kind = json_string_value(json_object_get(record, "kind"));
        const int64_t     step = json_integer_value(json_object_get(record, "step"));
        if (bt_str_equal(kind, "train")) {
            assert_int_equal(step, n_seen + 1);
            assert_true(step <= n_steps);
            check_near(t, "training_loss", step,
                       json_number_value(json_object_get(record, "training_loss")),
                       (double)losses[step - 1], 1e-5, 1e-5);
            check_near(t, "grad_norm", step,
                       json_number_value(json_object_get(record, "grad_norm")),
                       (double)norms[step - 1], 0, 5e-6);
            if (step < n_steps) { /* the record shows the next update's rate */
                check_near(t, "learning_rate", step,
                           json_number_value(json_object_get(record, "learning_rate")),
                           (double)rates[step], 0, 3e-7);
            }
            n_seen++;
        }
        json_decref(record);
        line += n_line + (line[n_line] == '\n' ? 1 : 0);
    }
    assert_int_equal(n_seen, n_steps);
    bt_free(text);
}

/* The last validation record of metrics.jsonl; json_decref it. */
static json_t *last_evaluation(const trajectory *t) {
    char path[TEST_PATH_MAX + 32];
    (void)snprintf(path, sizeof path, "%s/metrics.jsonl", t->model_dir);
    char *const text = test_read_file(path, NULL);
    json_t     *last = NULL;
    for (const char *line = text; *line != '\0';) {
        const size_t  n_line = strcspn(line, "\n");
        json_t *const record = json_loadb(line, n_line, 0, NULL);
        if (bt_str_equal(json_string_value(json_object_get(record, "kind")), "validation")) {
            json_decref(last);
            last = json_incref(record);
        }
        json_decref(record);
        line += n_line + (line[n_line] == '\n' ? 1 : 0);
    }
    bt_free(text);
    assert_non_null(last);
    return last;
}

/* Each key of the evaluation, and where it is in the golden. */
static void check_evaluation(const trajectory *t, const char *override,
                             const char *const keys[][2]) {
    const json_t *const want = json_object_get(t->facts, "validation");
    run_program(t, "eval", override);
    json_t *const got = last_evaluation(t);
    for (size_t i = 0; keys[i][0] != NULL; i++) {
        assert_true(json_is_number(json_object_get(got, keys[i][0])));
        check_near(t, keys[i][0], fact(t, "steps"),
                   json_number_value(json_object_get(got, keys[i][0])),
                   json_number_value(json_object_get(want, keys[i][1])), 1e-5, 1e-5);
    }
    json_decref(got);
}

/* Of the last weights over the same batches: as Model Garden reports it, and as it should be. All
 * batches are of one size, so the mean of their losses is the mean over all rows. */
static void compare_evaluations(const trajectory *t) {
    static const char *const scores[][2] = {{"validation_loss", "validation_loss"},
                                            {"mean_squared_error", "mean_squared_error"},
                                            {NULL, NULL}};
    static const char *const true_scores[][2] = {{"validation_loss", "true_mean_squared_error"},
                                                 {"mean_squared_error", "true_mean_squared_error"},
                                                 {NULL, NULL}};
    static const char *const tags[][2] = {{"validation_loss", "validation_loss"},
                                          {"f1", "f1"},
                                          {"precision", "precision"},
                                          {"recall", "recall"},
                                          {"accuracy", "accuracy"},
                                          {NULL, NULL}};
    static const char *const plain_tags[][2] = {
        {"validation_loss", "validation_loss"}, {"accuracy", "accuracy"}, {NULL, NULL}};
    static const char *const pairs[][2] = {{"validation_loss", "validation_loss"},
                                           {"batch_size_per_core", "batch_size_per_core"},
                                           {"left_recall_at_1", "left_recall_at_1"},
                                           {"left_recall_at_2", "left_recall_at_2"},
                                           {"right_recall_at_1", "right_recall_at_1"},
                                           {"right_recall_at_2", "right_recall_at_2"},
                                           {NULL, NULL}};
    if (json_object_get(t->facts, "validation") == NULL) {
        return;
    }
    if (is_task(t, "dual_encoder")) {
        check_evaluation(t, "task.validation_data.cycle_length=1", pairs);
        return;
    }
    const bool is_tagging = is_task(t, "tagging");
    check_evaluation(t, "runtime.bug_compatible=true", is_tagging ? tags : scores);
    check_evaluation(t, "runtime.bug_compatible=false", is_tagging ? plain_tags : true_scores);
}

/* stem: path of the golden without ".json" and ".safetensors" */
static void run_trajectory(const char *name, const char *stem) {
    trajectory t = {.name = name, .folder = test_temp_dir(), .example = BT_EXAMPLE_BUILDER_INIT};
    char       path[TEST_PATH_MAX + 16];
    int64_t    n_compared = 0;
    (void)snprintf(path, sizeof path, "%s.json", stem);
    t.facts = json_load_file(path, 0, NULL);
    assert_non_null(t.facts);
    (void)snprintf(path, sizeof path, "%s.safetensors", stem);
    t.golden = test_tensors_open(path);
    write_records(&t);
    write_config(&t);
    build_model(&t);
    write_initial_checkpoint(&t);
    run_program(&t, "train", "task.train_data.cycle_length=1");
    for (size_t i = 0; i < BT_ARRAY_LEN(snapshots); i++) {
        compare_snapshot(&t, snapshots[i], &n_compared);
    }
    compare_log(&t);
    compare_evaluations(&t);
    print_message("%s: %d tensors compared\n", name, (int)n_compared);
    assert_true(n_compared > t.model->table.n_params); /* slots too: nothing was left out */
    bt_example_builder_deinit(&t.example);
    test_tensors_close(t.golden);
    bt_model_free(t.model);
    bt_task_plan_deinit(&t.plan);
    bt_conf_free(t.conf);
    json_decref(t.facts);
}

static void run_shared(const char *name) {
    char relative[256];
    (void)snprintf(relative, sizeof relative, "goldens/numerics/tasks/%s", name);
    run_trajectory(name, test_shared_path(relative));
    if (test_outside_path(relative) != NULL) { /* the same of a larger model */
        run_trajectory(name, test_outside_path(relative));
    }
}

#define SHARED_TEST(name)                                                                          \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        run_shared(#name);                                                                         \
    }
SHARED_TEST(sentence_prediction_3class)
SHARED_TEST(sentence_prediction_pooler_v2)
SHARED_TEST(sentence_prediction_norm_first)
SHARED_TEST(sentence_prediction_factorized)
SHARED_TEST(sentence_prediction_lamb)
SHARED_TEST(sentence_prediction_ema)
SHARED_TEST(sentence_prediction_uneven_h48)
SHARED_TEST(regression)
SHARED_TEST(tagging)
SHARED_TEST(dual_encoder)
SHARED_TEST(dual_encoder_bidirectional)

static void test_own_golden(void **state) {
    (void)state;
    run_trajectory("own_small", test_source_path("tests/goldens/e2e/small"));
}

static void test_own_golden_ema(void **state) {
    (void)state;
    run_trajectory("own_small_ema", test_source_path("tests/goldens/e2e/small_ema"));
}

static void test_own_golden_regression(void **state) {
    (void)state;
    run_trajectory("own_small_regression", test_source_path("tests/goldens/e2e/small_regression"));
}

static void test_own_golden_albert(void **state) {
    (void)state;
    run_trajectory("own_albert", test_source_path("tests/goldens/engine/albert"));
}

static void test_own_golden_tagging(void **state) {
    (void)state;
    run_trajectory("own_small_tagging", test_source_path("tests/goldens/e2e/small_tagging"));
}

static void test_own_golden_pairs(void **state) {
    (void)state;
    run_trajectory("own_small_pairs", test_source_path("tests/goldens/e2e/small_pairs"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_golden),
        cmocka_unit_test(test_own_golden_ema),
        cmocka_unit_test(test_own_golden_regression),
        cmocka_unit_test(test_own_golden_albert),
        cmocka_unit_test(test_own_golden_tagging),
        cmocka_unit_test(test_own_golden_pairs),
        cmocka_unit_test(test_sentence_prediction_3class),
        cmocka_unit_test(test_sentence_prediction_pooler_v2),
        cmocka_unit_test(test_sentence_prediction_norm_first),
        cmocka_unit_test(test_sentence_prediction_factorized),
        cmocka_unit_test(test_sentence_prediction_lamb),
        cmocka_unit_test(test_sentence_prediction_ema),
        cmocka_unit_test(test_sentence_prediction_uneven_h48),
        cmocka_unit_test(test_regression),
        cmocka_unit_test(test_tagging),
        cmocka_unit_test(test_dual_encoder),
        cmocka_unit_test(test_dual_encoder_bidirectional),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
