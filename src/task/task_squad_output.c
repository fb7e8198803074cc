/* SPDX-License-Identifier: Apache-2.0
 *
 * What squad makes of the logits of a pass: answers, official scores, and predictions.json,
 * nbest_predictions.json and null_odds.json. Memory is that of the n best places of each window
 * and of the answers, never of all logits. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "task_internal.h"

/* The first two are there always, the others with version_2_with_negative. */
const char *const task_squad_value_names[] = {"exact_match",
                                              "final_f1",
                                              "exact_match_threshold",
                                              "f1_threshold",
                                              "has_answer_exact_match",
                                              "has_answer_f1",
                                              "no_answer_exact_match",
                                              "no_answer_f1",
                                              NULL};

typedef struct squad_output {
    const bt_squad_windows *windows; /* borrowed from the stream */
    bt_squad_answer_options options;
    bt_squad_answers       *answers;
    bt_squad_prediction    *predictions;    /* [n_questions]; NULL: nobody scores them */
    char                   *folder;         /* for the files */
    const char             *records_folder; /* for eval.tf_record; "" or written already: no */
    int64_t                 batch_size;
} squad_output;

static void destroy_output(void *state) {
    squad_output *const o = state;
    if (o != NULL) {
        bt_squad_answers_free(o->answers);
        bt_free(o->predictions);
        bt_free(o->folder);
        bt_free(o);
    }
}

static const bt_conf_field option_fields[] = {
    {"n_best_size", BT_CONF_FIELD_I64, offsetof(bt_squad_answer_options, n_best_size)},
    {"max_answer_length", BT_CONF_FIELD_I64, offsetof(bt_squad_answer_options, max_answer_length)},
    {"null_score_diff_threshold", BT_CONF_FIELD_F64,
     offsetof(bt_squad_answer_options, null_score_diff_threshold)},
};

bt_status bt_task_squad_options(const bt_conf *conf, const bt_data_squad *source,
                                bt_squad_answer_options *out, bt_error *err) {
    BT_TRY(bt_conf_bind(conf, "task", option_fields, BT_ARRAY_LEN(option_fields), out, err));
    out->version_2 = source->version_2;
    out->do_lower_case = source->do_lower_case;
    return BT_OK;
}

/* An evaluation's files stand in model_dir; those of --mode=predict where --output_path says. */
static bt_status choose_folder(const bt_output_request *request, squad_output *o, bt_error *err) {
    static const char *const        formats[] = {"json", NULL};
    const bt_prediction_args *const args = request->prediction;
    const char                     *format = NULL;
    const char                     *folder = request->model_dir != NULL ? request->model_dir : "";
    if (args != NULL) {
        BT_TRY(task_choose_format(args, formats, &format, err));
        if (args->glue_folder != NULL) {
            return BT_FAIL(err, BT_E_CONFIG, "--glue_submission: SQuAD is not a task of GLUE");
        }
        folder = args->output_path != NULL ? args->output_path : folder;
    }
    if (args != NULL && bt_str_ends_with(folder, ".json")) {
        return BT_FAIL(
            err, BT_E_CONFIG,
            "--output_path=%s: the predictions of SQuAD are several files; name a folder", folder);
    }
    o->folder = bt_strdup(folder);
    return o->folder != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
}

/* Its questions may lie in the very folder, under the name of an answer's file. */
static const char records_key[] = "task.validation_data.input_preprocessed_data_path";

static bt_status check_file(const bt_output_request *request, const char *what, const char *folder,
                            const char *name, bt_error *err) {
    char *path = NULL;
    BT_TRY(bt_fs_join(folder, name, &path, err));
    const bt_fs_named output = {what, path};
    const bt_status   rc = bt_task_check_outputs(request, &output, 1, err);
    bt_free(path);
    return rc;
}

static bt_status check_files(const bt_output_request *request, const squad_output *o,
                             bt_error *err) {
    static const char *const names[] = {"predictions.json", "nbest_predictions.json",
                                        "null_odds.json"};
    for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
        BT_TRY(check_file(request, task_output_name(request), o->folder, names[i], err));
    }
    return BT_OK;
}

static bt_status init_output(const bt_output_request *request, squad_output *o, bt_error *err) {
    const bool is_evaluation = request->prediction == NULL;
    o->windows = bt_data_squad_windows(request->data);
    BT_ASSERT(o->windows != NULL);
    BT_TRY(bt_task_squad_options(request->conf, &request->plan->validation_schema.squad,
                                 &o->options, err));
    BT_TRY(bt_conf_get_i64(request->conf, "task.validation_data.global_batch_size", &o->batch_size,
                           err));
    BT_TRY(choose_folder(request, o, err));
    BT_TRY(check_files(request, o, err));
    o->records_folder = "";
    if (is_evaluation) {
        const int64_t n = bt_squad_windows_set(o->windows)->n_questions;
        BT_TRY(bt_conf_get_str(request->conf, records_key, &o->records_folder, err));
        if (o->records_folder[0] != '\0') {
            BT_TRY(check_file(request, records_key, o->records_folder, "eval.tf_record", err));
        }
        o->predictions = bt_alloc_array((size_t)n, sizeof *o->predictions);
        if (o->predictions == NULL) {
            return BT_FAIL(err, BT_E_NOMEM, "out of memory for %" PRId64 " answers", n);
        }
    }
    return bt_squad_answers_create(&o->answers, o->windows, &o->options, err);
}

static bt_status create_output(const bt_output_request *request, void **state, bt_error *err) {
    squad_output *const o = bt_calloc_array(1, sizeof *o);
    if (o == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for answers");
    }
    const bt_status rc = init_output(request, o, err);
    if (rc != BT_OK) {
        destroy_output(o);
        return rc;
    }
    *state = o;
    return BT_OK;
}

/* Model Garden cannot do without eval.tf_record; here it is written on request, once. */
static bt_status reset_output(void *state, bt_error *err) {
    squad_output *const o = state;
    bt_squad_answers_reset(o->answers);
    if (o->records_folder[0] != '\0') {
        BT_TRY(bt_squad_write_eval_records(o->windows, o->batch_size, o->records_folder, err));
        bt_log(BT_LOG_INFO, "%s/eval.tf_record: %" PRId64 " windows", o->records_folder,
               bt_squad_n_windows(o->windows));
        o->records_folder = "";
    }
    return BT_OK;
}

static bt_status add_output(void *state, const bt_batch *batch, const float *logits,
                            bt_error *err) {
    squad_output *const o = state;
    (void)err;
    for (int64_t b = 0; b < batch->n_seqs; b++) {
        const float *const scores = logits + 2 * batch->offsets[b];
        const int64_t      n = batch->offsets[b + 1] - batch->offsets[b];
        bt_squad_answers_add(o->answers, batch->example_ids[b], scores, scores + 1, 2, n);
    }
    return BT_OK;
}

static void add_values(const double *numbers, size_t n_numbers, bt_metric_value *values,
                       size_t *n) {
    for (size_t i = 0; i < n_numbers; i++) {
        bt_metric_value *const value = &values[(*n)++];
        memcpy(value->name, task_squad_value_names[i], strlen(task_squad_value_names[i]) + 1);
        value->value = numbers[i];
    }
}

static bt_status score_v1(const squad_output *o, bt_metric_value *values, size_t *n,
                          bt_error *err) {
    bt_squad_scores_v1 scores;
    BT_TRY(bt_squad_score_v1(bt_squad_windows_set(o->windows), o->predictions, &scores, err));
    const double numbers[] = {scores.exact_match, scores.f1};
    add_values(numbers, BT_ARRAY_LEN(numbers), values, n);
    return BT_OK;
}

/* In Model Garden's units: percent, but final_f1 a fraction. */
static bt_status score_v2(const squad_output *o, bt_metric_value *values, size_t *n,
                          bt_error *err) {
    bt_squad_scores_v2 scores;
    BT_TRY(bt_squad_score_v2(bt_squad_windows_set(o->windows), o->predictions, &scores, err));
    const double numbers[] = {scores.best_exact,           scores.best_f1 / 100.0,
                              scores.best_exact_threshold, scores.best_f1_threshold,
                              scores.has_answer_exact,     scores.has_answer_f1,
                              scores.no_answer_exact,      scores.no_answer_f1};
    add_values(numbers, BT_ARRAY_LEN(numbers), values, n);
    return BT_OK;
}

static bt_status finish_output(void *state, bt_metric_value *values, size_t *n, bt_error *err) {
    squad_output *const o = state;
    const int64_t       n_windows = bt_squad_n_windows(o->windows);
    const int64_t       n_scored = bt_squad_answers_n_windows(o->answers);
    const int64_t       n_questions = bt_squad_windows_set(o->windows)->n_questions;
    if (n_scored < n_windows) {
        bt_log(BT_LOG_WARNING,
               "only %" PRId64 " of %" PRId64 " windows were evaluated (trainer.validation_steps); "
               "answers in the others count as not found",
               n_scored, n_windows);
    }
    BT_TRY(bt_squad_answers_finish(o->answers, err));
    for (int64_t q = 0; q < n_questions; q++) {
        o->predictions[q] = bt_squad_answers_prediction(o->answers, q);
    }
    return o->options.version_2 ? score_v2(o, values, n, err) : score_v1(o, values, n, err);
}

static bt_status explain_output(const void *state, int64_t n_most, bt_str *json, bt_error *err) {
    const squad_output *const o = state;
    const task_squad_result   result = {
          .windows = o->windows, .answers = o->answers, .predictions = o->predictions};
    return task_squad_explain(&result, n_most, json, err);
}

static bt_status write_output(void *state, bt_error *err) {
    squad_output *const o = state;
    BT_TRY(bt_fs_make_folders(o->folder, err));
    return bt_squad_answers_write(o->answers, o->folder, err);
}

static bt_status write_predictions(void *state, bt_error *err) {
    squad_output *const o = state;
    BT_TRY(bt_squad_answers_finish(o->answers, err));
    BT_TRY(write_output(state, err));
    bt_log(BT_LOG_INFO, "%s: predictions.json, nbest_predictions.json%s: %" PRId64 " questions",
           o->folder, o->options.version_2 ? ", null_odds.json" : "",
           bt_squad_windows_set(o->windows)->n_questions);
    return BT_OK;
}

const bt_task_output task_output_squad = {
    .create = create_output,
    .destroy = destroy_output,
    .reset = reset_output,
    .add = add_output,
    .finish = finish_output,
    .explain = explain_output,
    .write = write_output,
};

const bt_task_output task_output_squad_predictions = {
    .create = create_output,
    .destroy = destroy_output,
    .reset = reset_output,
    .add = add_output,
    .write = write_predictions,
};
