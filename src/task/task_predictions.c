/* SPDX-License-Identifier: Apache-2.0
 *
 * Predictions of sentence_prediction as a file, a row an example in the order of the data: id, the
 * class by name and the probability of each, or id and score. TSV with a header, or a JSON object a
 * line. With --glue_submission the leaderboard's file as well. Memory does not grow with the rows.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/json_text.h"
#include "bt/base/log.h"
#include "task_internal.h"

typedef struct predictions {
    const bt_task_plan *plan;
    char               *path; /* owned */
    bool                is_json;
    task_file           file;
    task_glue          *glue;          /* or NULL */
    float              *probabilities; /* [C] owned */
    int64_t            *counts;        /* [C] owned: how often each class was predicted */
    int64_t             n;
} predictions;

bt_status task_choose_format(const bt_prediction_args *args, const char *const *formats,
                             const char **out, bt_error *err) {
    char   known[64] = "";
    size_t used = 0;
    *out = formats[0];
    for (size_t i = 0; formats[i] != NULL; i++) {
        char extension[16];
        (void)snprintf(extension, sizeof extension, ".%s", formats[i]);
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "",
                                 formats[i]);
        if (args->format != NULL
                ? bt_str_equal(formats[i], args->format)
                : args->output_path != NULL && bt_str_ends_with(args->output_path, extension)) {
            *out = formats[i];
            return BT_OK;
        }
    }
    if (args->format != NULL) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--output_format=%s: predictions of this task are written as %s",
                       args->format, known);
    }
    return BT_OK;
}

bt_status task_choose_path(const bt_output_request *request, const char *format, char **out,
                           bt_error *err) {
    const char *const path = request->prediction->output_path;
    if (path == NULL || path[0] == '\0') {
        char name[32];
        (void)snprintf(name, sizeof name, "predictions.%s", format);
        return bt_fs_join(request->model_dir != NULL ? request->model_dir : "", name, out, err);
    }
    *out = bt_strdup(path);
    return *out != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for %s", path);
}

static void destroy_predictions(void *state) {
    predictions *const p = state;
    if (p != NULL) {
        task_file_deinit(&p->file);
        task_glue_free(p->glue);
        bt_free(p->path);
        bt_free(p->probabilities);
        bt_free(p->counts);
        bt_free(p);
    }
}

static bt_status set_up(predictions *p, const bt_output_request *request, bt_error *err) {
    static const char *const        formats[] = {"tsv", "jsonl", "csv", NULL};
    const bt_prediction_args *const args = request->prediction;
    const size_t                    n = (size_t)request->plan->head.num_classes;
    const char                     *format = NULL;
    p->plan = request->plan;
    BT_TRY(task_choose_format(args, formats, &format, err));
    p->is_json = strcmp(format, "jsonl") == 0;
    p->file.is_csv = strcmp(format, "csv") == 0;
    BT_TRY(task_choose_path(request, format, &p->path, err));
    if (args->glue_folder != NULL && p->plan->is_multi_label) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--glue_submission: no task of GLUE has several labels a row "
                       "(task.problem_type)");
    }
    if (args->glue_folder != NULL) {
        BT_TRY(task_glue_create(request, &p->glue, err));
    }
    const bt_fs_named outputs[] = {
        {task_output_name(request), p->path},
        {"--glue_submission", p->glue != NULL ? task_glue_path(p->glue) : ""}};
    BT_TRY(bt_task_check_outputs(request, outputs, p->glue != NULL ? 2 : 1, err));
    p->probabilities = bt_calloc_array(n, sizeof *p->probabilities);
    p->counts = bt_calloc_array(n, sizeof *p->counts);
    if (p->probabilities == NULL || p->counts == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for predictions of %zu classes", n);
    }
    return BT_OK;
}

static bt_status create_predictions(const bt_output_request *request, void **state, bt_error *err) {
    predictions *const p = bt_calloc_array(1, sizeof *p);
    if (p == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for predictions");
    }
    const bt_status rc = set_up(p, request, err);
    if (rc != BT_OK) {
        destroy_predictions(p);
        return rc;
    }
    *state = p;
    return BT_OK;
}

static bt_status write_header(predictions *p, bt_error *err) {
    const bt_task_labels *const labels = &p->plan->labels;
    bt_str *const               line = &p->file.line;
    BT_TRY(bt_str_append(line,
                         p->plan->is_multi_label ? "id\tlabels"
                         : labels->n > 0         ? "id\tlabel"
                                                 : "id\tscore",
                         err));
    for (int64_t c = 0; c < labels->n; c++) {
        char text[BT_TASK_LABEL_TEXT_MAX];
        BT_TRY(bt_str_append(line, "\tprobability_", err));
        BT_TRY(bt_task_append_tsv(line, bt_task_label_text(labels, c, text), err));
    }
    return task_file_end_line(&p->file, err);
}

static bool applies(const predictions *p, int64_t c) {
    return (double)p->probabilities[c] >= p->plan->threshold;
}

/* The classes that apply, in their order: names apart by commas, or a list of JSON. */
static bt_status append_labels(predictions *p, bt_error *err) {
    const bt_task_labels *const labels = &p->plan->labels;
    bt_str *const               line = &p->file.line;
    bool                        is_first = true;
    for (int64_t c = 0; c < labels->n; c++) {
        char              text[BT_TASK_LABEL_TEXT_MAX];
        const char *const name = bt_task_label_text(labels, c, text);
        if (!applies(p, c)) {
            continue;
        }
        BT_TRY(bt_str_append(line, is_first ? "" : p->is_json ? ", " : ",", err));
        BT_TRY(p->is_json ? bt_str_append_json(line, name, err)
                          : bt_task_append_tsv(line, name, err));
        is_first = false;
    }
    return BT_OK;
}

static bt_status write_tsv(predictions *p, int64_t id, int64_t best, float score, bt_error *err) {
    const bt_task_labels *const labels = &p->plan->labels;
    bt_str *const               line = &p->file.line;
    char                        text[BT_TASK_LABEL_TEXT_MAX];
    BT_TRY(bt_str_appendf(line, err, "%" PRId64 "\t", id));
    if (labels->n == 0) {
        BT_TRY(task_append_f32(line, score, err));
        return task_file_end_line(&p->file, err);
    }
    BT_TRY(p->plan->is_multi_label
               ? append_labels(p, err)
               : bt_task_append_tsv(line, bt_task_label_text(labels, best, text), err));
    for (int64_t c = 0; c < labels->n; c++) {
        BT_TRY(bt_str_append_char(line, '\t', err));
        BT_TRY(task_append_f32(line, p->probabilities[c], err));
    }
    return task_file_end_line(&p->file, err);
}

static bt_status write_json(predictions *p, int64_t id, int64_t best, float score, bt_error *err) {
    const bt_task_labels *const labels = &p->plan->labels;
    bt_str *const               line = &p->file.line;
    char                        text[BT_TASK_LABEL_TEXT_MAX];
    BT_TRY(bt_str_appendf(line, err, "{\"id\": %" PRId64, id));
    if (labels->n == 0) {
        BT_TRY(bt_str_append(line, ", \"score\": ", err));
        BT_TRY(task_append_f32(line, score, err));
    } else {
        if (p->plan->is_multi_label) {
            BT_TRY(bt_str_append(line, ", \"labels\": [", err));
            BT_TRY(append_labels(p, err));
            BT_TRY(bt_str_append_char(line, ']', err));
        } else {
            BT_TRY(bt_str_append(line, ", \"label\": ", err));
            BT_TRY(bt_str_append_json(line, bt_task_label_text(labels, best, text), err));
        }
        BT_TRY(bt_str_append(line, ", \"probabilities\": {", err));
        for (int64_t c = 0; c < labels->n; c++) {
            BT_TRY(bt_str_append(line, c > 0 ? ", " : "", err));
            BT_TRY(bt_str_append_json(line, bt_task_label_text(labels, c, text), err));
            BT_TRY(bt_str_append(line, ": ", err));
            BT_TRY(task_append_f32(line, p->probabilities[c], err));
        }
        BT_TRY(bt_str_append_char(line, '}', err));
    }
    BT_TRY(bt_str_append_char(line, '}', err));
    return task_file_end_line(&p->file, err);
}

static bt_status reset_predictions(void *state, bt_error *err) {
    predictions *const p = state;
    p->n = 0;
    memset(p->counts, 0, (size_t)p->plan->head.num_classes * sizeof *p->counts);
    BT_TRY(task_file_begin(&p->file, p->path, err));
    if (!p->is_json) {
        BT_TRY(write_header(p, err));
    }
    return p->glue != NULL ? task_glue_begin(p->glue, err) : BT_OK;
}

/* Over the temperature of the plan. */
static int64_t softmax(float *probabilities, const float *logits, int64_t n, double temperature) {
    int64_t best = 0;
    double  sum = 0.0;
    for (int64_t c = 1; c < n; c++) {
        best = logits[c] > logits[best] ? c : best;
    }
    for (int64_t c = 0; c < n; c++) {
        sum += exp(((double)logits[c] - (double)logits[best]) / temperature);
    }
    for (int64_t c = 0; c < n; c++) {
        probabilities[c] =
            (float)(exp(((double)logits[c] - (double)logits[best]) / temperature) / sum);
    }
    return best;
}

/* Of several labels each by itself; returns the first of the largest. */
static int64_t sigmoid(float *probabilities, const float *logits, int64_t n) {
    int64_t best = 0;
    for (int64_t c = 0; c < n; c++) {
        probabilities[c] = bt_metrics_sigmoid(logits[c]);
        best = logits[c] > logits[best] ? c : best;
    }
    return best;
}

int64_t bt_task_probabilities(const bt_task_plan *plan, const float *logits, float *probabilities) {
    const int64_t C = plan->head.num_classes;
    if (plan->is_multi_label) {
        return sigmoid(probabilities, logits, C);
    }
    const double  temperature = plan->temperature > 0 ? plan->temperature : 1;
    const int64_t best = softmax(probabilities, logits, C, temperature);
    if (C != 2 || !(plan->threshold > 0) || plan->metric_unit != BT_METRIC_OF_SEQUENCES) {
        return best;
    }
    return (double)probabilities[1] >= plan->threshold ? 1 : 0;
}

bt_status bt_task_check_finite(const float *logits, int64_t n, int64_t row, bt_error *err) {
    for (int64_t c = 0; c < n; c++) {
        if (!isfinite(logits[c])) {
            return BT_FAIL(err, BT_E_FORMAT,
                           "row %" PRId64 ": the model's output is %g, not a finite number: the "
                           "weights of the checkpoint are damaged",
                           row, (double)logits[c]);
        }
    }
    return BT_OK;
}

static bt_status add_predictions(void *state, const bt_batch *batch, const float *logits,
                                 bt_error *err) {
    predictions *const p = state;
    const int64_t      C = p->plan->head.num_classes;
    for (int64_t i = 0; i < batch->n_seqs; i++) {
        const float *const row = logits + i * C;
        const int64_t      id = batch->example_ids != NULL ? batch->example_ids[i] : p->n;
        BT_TRY(bt_task_check_finite(row, C, p->n, err));
        const int64_t best = bt_task_probabilities(p->plan, row, p->probabilities);
        p->counts[best]++;
        p->n++;
        BT_TRY(p->is_json ? write_json(p, id, best, row[0], err)
                          : write_tsv(p, id, best, row[0], err));
        if (p->glue != NULL) {
            BT_TRY(task_glue_add(p->glue, best, row[0], err));
        }
    }
    return BT_OK;
}

static bt_status write_predictions(void *state, bt_error *err) {
    predictions *const p = state;
    if (!p->plan->is_multi_label) {
        bt_task_notice_one_class("", &p->plan->labels, p->counts, p->plan->labels.n, p->n);
    }
    task_file *const files[] = {p->glue != NULL ? task_glue_file(p->glue) : NULL, &p->file};
    const size_t     first = p->glue != NULL ? 0 : 1;
    BT_TRY(task_files_publish(files + first, BT_ARRAY_LEN(files) - first, err));
    bt_log(BT_LOG_INFO, "wrote %" PRId64 " predictions to %s", p->n, p->path);
    if (p->glue != NULL) {
        task_glue_tell(p->glue);
    }
    return BT_OK;
}

const bt_task_output task_output_sentences = {
    .create = create_predictions,
    .destroy = destroy_predictions,
    .reset = reset_predictions,
    .add = add_predictions,
    .write = write_predictions,
};
