/* SPDX-License-Identifier: Apache-2.0
 *
 * --glue_submission: the file that the GLUE leaderboard wants of a task: "index TAB prediction",
 * rows numbered as the test file is, classes by the leaderboard's own names, STS-B's score cut to
 * 0..5. The files of all tasks, in one folder and zipped, are a submission. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "task_internal.h"

typedef struct glue_row {
    const char *task;      /* also the name of the file */
    const char *processor; /* of create-finetuning-data's meta data */
    const char *classes;   /* by their ids, separated by spaces; "": a score */
    int64_t     n_rows;    /* of the leaderboard's test set */
} glue_row;

static const char nli_classes[] = "entailment neutral contradiction";
static const char two_words[] = "entailment not_entailment";
static const char two_numbers[] = "0 1";

static const glue_row rows[] = {
    {"CoLA", "COLA", two_numbers, 1063},    {"SST-2", "SST-2", two_numbers, 1821},
    {"MRPC", "MRPC", two_numbers, 1725},    {"STS-B", "STS-B", "", 1379},
    {"QQP", "QQP", two_numbers, 390965},    {"MNLI-m", "MNLI", nli_classes, 9796},
    {"MNLI-mm", "MNLI", nli_classes, 9847}, {"QNLI", "QNLI", two_words, 5463},
    {"RTE", "RTE", two_words, 3000},        {"WNLI", "WNLI", two_numbers, 146},
    {"AX", "AX", nli_classes, 1104},
};

enum { MAX_CLASSES = 3, CLASS_MAX_BYTES = 24 };

struct task_glue {
    const glue_row *row;
    char           *path; /* owned */
    task_file       file;
    int64_t         n;
    int64_t         n_classes; /* 0: a score */
    char            names[MAX_CLASSES][CLASS_MAX_BYTES];
};

static bt_status refuse_task(const char *what, bt_error *err) {
    char   known[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "",
                                 rows[i].task);
    }
    return BT_FAIL(err, BT_E_CONFIG, "%s; set --glue_task to one of %s", what, known);
}

static const glue_row *find_task(const char *name) {
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        if (bt_str_equal_nocase(rows[i].task, name)) {
            return &rows[i];
        }
    }
    return NULL;
}

/* MNLI has two test sets, which only their names distinguish. */
static bt_status find_by_meta(const bt_task_labels *labels, const glue_row **out, bt_error *err) {
    char what[256];
    *out = NULL;
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        if (!bt_str_equal(rows[i].processor, labels->processor)) {
            continue;
        }
        if (*out != NULL) {
            (void)snprintf(what, sizeof what,
                           "--glue_submission: the meta data say %s, which is %s or %s",
                           labels->processor, (*out)->task, rows[i].task);
            return refuse_task(what, err);
        }
        *out = &rows[i];
    }
    if (*out == NULL) {
        (void)snprintf(what, sizeof what,
                       "--glue_submission: %s%s%s does not say which task of GLUE this is",
                       labels->processor[0] != '\0' ? "the meta data's processor_type " : "",
                       labels->processor,
                       labels->processor[0] != '\0' ? "" : "nothing (no task.meta_data_path)");
        return refuse_task(what, err);
    }
    return BT_OK;
}

static bt_status choose_row(const bt_output_request *request, const glue_row **out, bt_error *err) {
    const char *const name = request->prediction->glue_task;
    if (name == NULL || name[0] == '\0') {
        return find_by_meta(&request->plan->labels, out, err);
    }
    *out = find_task(name);
    if (*out == NULL) {
        char what[128];
        (void)snprintf(what, sizeof what, "--glue_task=%.80s is not a task of GLUE", name);
        return refuse_task(what, err);
    }
    return BT_OK;
}

static void split_classes(task_glue *glue) {
    for (const char *at = glue->row->classes; *at != '\0' && glue->n_classes < MAX_CLASSES;) {
        const size_t n = strcspn(at, " ");
        (void)snprintf(glue->names[glue->n_classes++], CLASS_MAX_BYTES, "%.*s", (int)n, at);
        at += n + (at[n] == ' ' ? 1 : 0);
    }
}

static bool is_class(const task_glue *glue, const char *name) {
    for (int64_t i = 0; i < glue->n_classes; i++) {
        if (strcmp(glue->names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* Where the leaderboard wants words, the model's own names say which id is which: the order of the
 * table is that of create-finetuning-data. Numbers are ids. */
static bt_status take_names(task_glue *glue, const bt_task_labels *labels, bt_error *err) {
    const bool wants_words = glue->row->classes != two_numbers;
    for (int64_t i = 0; wants_words && labels->names != NULL && i < glue->n_classes; i++) {
        if (!is_class(glue, labels->names[i])) {
            return BT_FAIL(err, BT_E_CONFIG,
                           "--glue_submission: class %" PRId64
                           " is '%s' in %s, but the leaderboard's %s has only %s",
                           i, labels->names[i], labels->source, glue->row->task,
                           glue->row->classes);
        }
    }
    for (int64_t i = 0; wants_words && labels->names != NULL && i < glue->n_classes; i++) {
        (void)snprintf(glue->names[i], CLASS_MAX_BYTES, "%s", labels->names[i]);
    }
    return BT_OK;
}

void task_glue_free(task_glue *glue) {
    if (glue != NULL) {
        task_file_deinit(&glue->file);
        bt_free(glue->path);
        bt_free(glue);
    }
}

static bt_status set_up(task_glue *glue, const bt_output_request *request, bt_error *err) {
    const bt_task_labels *const labels = &request->plan->labels;
    char                        name[32];
    BT_TRY(choose_row(request, &glue->row, err));
    split_classes(glue);
    if (glue->n_classes != labels->n) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--glue_submission: %s has %" PRId64
                       " classes (0: scores), but the model has %" PRId64,
                       glue->row->task, glue->n_classes, labels->n);
    }
    BT_TRY(take_names(glue, labels, err));
    (void)snprintf(name, sizeof name, "%s.tsv", glue->row->task);
    return bt_fs_join(request->prediction->glue_folder, name, &glue->path, err);
}

bt_status task_glue_create(const bt_output_request *request, task_glue **out, bt_error *err) {
    task_glue *const glue = bt_calloc_array(1, sizeof *glue);
    if (glue == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a GLUE submission");
    }
    const bt_status rc = set_up(glue, request, err);
    if (rc != BT_OK) {
        task_glue_free(glue);
        return rc;
    }
    *out = glue;
    return BT_OK;
}

bt_status task_glue_begin(task_glue *glue, bt_error *err) {
    glue->n = 0;
    BT_TRY(task_file_begin(&glue->file, glue->path, err));
    BT_TRY(bt_str_append(&glue->file.line, "index\tprediction", err));
    return task_file_end_line(&glue->file, err);
}

bt_status task_glue_add(task_glue *glue, int64_t id, float score, bt_error *err) {
    bt_str *const line = &glue->file.line;
    BT_TRY(bt_str_appendf(line, err, "%" PRId64 "\t", glue->n++));
    BT_TRY(glue->n_classes > 0
               ? bt_str_append(line, glue->names[id], err)
               : bt_str_appendf(line, err, "%.3f", fmin(5.0, fmax(0.0, (double)score))));
    return task_file_end_line(&glue->file, err);
}

task_file *task_glue_file(task_glue *glue) {
    return &glue->file;
}

const char *task_glue_path(const task_glue *glue) {
    return glue->path;
}

void task_glue_tell(const task_glue *glue) {
    if (glue->n != glue->row->n_rows) {
        bt_log(BT_LOG_WARNING,
               "%s: %" PRId64 " rows, but the leaderboard's test set of %s has %" PRId64
               ": task.validation_data.input_path should be the records of its test.tsv",
               glue->path, glue->n, glue->row->task, glue->row->n_rows);
    }
    bt_log(BT_LOG_INFO, "wrote %s", glue->path);
}
