/* SPDX-License-Identifier: Apache-2.0
 *
 * The SuperGLUE tasks. With --input_data_dir from the plain .jsonl files, rows in file order; else,
 * like the real tool, from sets that TFDS has prepared, rows in TFDS's order (which is shuffled).
 * AX-g has one file, of test rows; the real tool cannot make it. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "jsonl_reader.h"
#include "tfds_task.h"

enum { MAX_CLASSES = 3 };

struct superglue_config {
    const char *text_a;
    const char *text_b;
    const char *word;                 /* a third text; NULL: none */
    const char *classes[MAX_CLASSES]; /* in TFDS's order, which numbers them */
    bool        has_boolean_labels;   /* true and false are the classes 1 and 0 */
    bool        reads_test_labels;
    int64_t     n_labels;
    int64_t     test_label; /* of test rows, whatever is there */
    const char *files[DATA_N_SPLITS];
    tfds_config tfds;           /* without datasets: none */
    const char *tfds_processor; /* processor_type when read from TFDS; NULL: as the task's */
    const char *tfds_warning;   /* or NULL */
};

#define JSONL_FILES                                                                                \
    { "train.jsonl", "val.jsonl", "test.jsonl" }
#define TFDS_SUPERGLUE(name)                                                                       \
    .datasets = {name}, .splits = {"train", "validation", "test"}, .label = "label"

const superglue_config superglue_rte = {.text_a = "premise",
                                        .text_b = "hypothesis",
                                        .classes = {"entailment", "not_entailment"},
                                        .n_labels = 2,
                                        .files = JSONL_FILES,
                                        .tfds = {TFDS_SUPERGLUE("super_glue/rte"),
                                                 .text_a = "premise", .text_b = "hypothesis",
                                                 .n_labels = 2}};
const superglue_config superglue_cb = {.text_a = "premise",
                                       .text_b = "hypothesis",
                                       .classes = {"entailment", "contradiction", "neutral"},
                                       .n_labels = 3,
                                       .files = JSONL_FILES,
                                       .tfds = {TFDS_SUPERGLUE("super_glue/cb"),
                                                .text_a = "premise", .text_b = "hypothesis",
                                                .n_labels = 3}};
/* The real tool gives test rows its second label, "False", which is number 1 there. */
const superglue_config superglue_boolq = {.text_a = "question",
                                          .text_b = "passage",
                                          .has_boolean_labels = true,
                                          .n_labels = 2,
                                          .test_label = 1,
                                          .files = JSONL_FILES,
                                          .tfds = {TFDS_SUPERGLUE("super_glue/boolq"),
                                                   .text_a = "question", .text_b = "passage",
                                                   .n_labels = 2, .test_label = 1}};
/* The real tool's WiC code is never reached: it makes WNLI's data under this name. */
const superglue_config superglue_wic = {
    .text_a = "sentence1",
    .text_b = "sentence2",
    .word = "word",
    .has_boolean_labels = true,
    .n_labels = 2,
    .files = JSONL_FILES,
    .tfds = {TFDS_SUPERGLUE("glue/wnli"), .text_a = "sentence1", .text_b = "sentence2",
             .sort_key = "idx", .n_labels = 2},
    .tfds_processor = "WNLI",
    .tfds_warning = "--classification_task_name=WIC without --input_data_dir makes WNLI's data, as "
                    "the real tool does; for WiC give the folder with its train.jsonl, val.jsonl"};
const superglue_config superglue_axg = {.text_a = "premise",
                                        .text_b = "hypothesis",
                                        .classes = {"entailment", "not_entailment"},
                                        .n_labels = 2,
                                        .reads_test_labels = true,
                                        .files = {NULL, NULL, "AX-g.jsonl"}};

typedef struct jsonl_source {
    const superglue_config *config;
    jsonl_reader           *reader;
    bool                    is_test;
} jsonl_source;

static bt_status fail_label(const jsonl_source *s, const json_t *label, bt_error *err) {
    const superglue_config *const config = s->config;
    const char *const             where = jsonl_path(s->reader);
    const int64_t                 line = jsonl_line(s->reader);
    if (label == NULL) {
        return BT_FAIL(err, BT_E_FORMAT, "%s:%" PRId64 ": there is no 'label'", where, line);
    }
    if (config->has_boolean_labels) {
        return BT_FAIL(err, BT_E_FORMAT, "%s:%" PRId64 ": label: true or false is expected", where,
                       line);
    }
    return BT_FAIL(err, BT_E_FORMAT, "%s:%" PRId64 ": unknown label '%s'; expected %s, %s%s%s",
                   where, line, json_is_string(label) ? json_string_value(label) : "(no text)",
                   config->classes[0], config->classes[1], config->n_labels > 2 ? ", " : "",
                   config->n_labels > 2 ? config->classes[2] : "");
}

static bt_status read_label(const jsonl_source *s, const json_t *row, int64_t *out, bt_error *err) {
    const json_t *const label = json_object_get(row, "label");
    const char *const   name = json_string_value(label);
    if (s->is_test && !s->config->reads_test_labels) {
        *out = s->config->test_label;
        return BT_OK;
    }
    if (s->config->has_boolean_labels && json_is_boolean(label)) {
        *out = json_is_true(label) ? 1 : 0;
        return BT_OK;
    }
    for (int64_t i = 0; i < MAX_CLASSES && name != NULL; i++) {
        if (s->config->classes[i] != NULL && bt_str_equal(s->config->classes[i], name)) {
            *out = i;
            return BT_OK;
        }
    }
    return fail_label(s, label, err);
}

static bt_status next_row(void *state, example_row *row, bool *end, bt_error *err) {
    jsonl_source *const           s = state;
    const superglue_config *const config = s->config;
    const json_t                 *object = NULL;
    BT_TRY(jsonl_next(s->reader, &object, end, err));
    if (*end) {
        return BT_OK;
    }
    BT_TRY(jsonl_text(s->reader, config->text_a, &row->a, &row->n_a, err));
    BT_TRY(jsonl_text(s->reader, config->text_b, &row->b, &row->n_b, err));
    if (config->word != NULL) {
        BT_TRY(jsonl_text(s->reader, config->word, &row->word, &row->n_word, err));
    }
    return read_label(s, object, &row->label, err);
}

static void close_source(void *state) {
    jsonl_source *const s = state;
    jsonl_close(s->reader);
    bt_free(s);
}

static bt_status open_source(const data_job *job, const data_part *part, const void *context,
                             example_source *out, bt_error *err) {
    jsonl_source *const s = bt_calloc_array(1, sizeof *s);
    (void)job;
    if (s == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the input");
    }
    s->config = context;
    s->is_test = part->split == DATA_TEST;
    const bt_status rc = jsonl_open(&s->reader, part->inputs[0], err);
    if (rc != BT_OK) {
        close_source(s);
        return rc;
    }
    *out = (example_source){.state = s, .next = next_row, .close = close_source};
    return BT_OK;
}

/* What is wanted must be there: at least train or dev; of AX-g the test file. */
static bt_status check_outputs(const data_job *job, const data_task *task, bt_error *err) {
    const superglue_config *const config = task->config;
    for (int split = DATA_TRAIN; split < DATA_N_SPLITS; split++) {
        if (job->paths[split] != NULL && config->files[split] == NULL) {
            return BT_FAIL(err, BT_E_UNSUPPORTED,
                           "%s has test data only: leave out --%s_data_output_path", task->name,
                           data_split_names[split]);
        }
    }
    return data_require_output(
        job,
        config->files[DATA_TRAIN] == NULL ? 1U << DATA_TEST : 1U << DATA_TRAIN | 1U << DATA_EVAL,
        err);
}

static bt_status add_split(data_job *job, const superglue_config *config, int split,
                           bt_error *err) {
    data_part *part = NULL;
    BT_TRY(data_add_part(job, split, NULL, &part, err));
    return data_add_input(part, job->input_dir, config->files[split], NULL, err);
}

static bt_status run_from_tfds(data_job *job, const data_task *task, meta_data *meta,
                               bt_error *err) {
    const superglue_config *const config = task->config;
    data_task                     row = *task;
    if (config->tfds_warning != NULL) {
        bt_log(BT_LOG_WARNING, "%s", config->tfds_warning);
    }
    if (config->tfds_processor != NULL) {
        row.processor = config->tfds_processor;
    }
    return run_tfds(job, &row, &config->tfds, meta, err);
}

bt_status run_superglue(data_job *job, const data_task *task, meta_data *meta, bt_error *err) {
    const superglue_config *const config = task->config;
    const classification          form = {.n_labels = config->n_labels, .label = EXAMPLE_LABEL_INT};
    const bool                    has_tfds = config->tfds.datasets[DATA_TRAIN] != NULL;
    BT_TRY(check_outputs(job, task, err));
    if (job->input_dir == NULL && has_tfds && tfds_has_folder()) {
        return run_from_tfds(job, task, meta, err);
    }
    BT_TRY(data_require_input_dir(job, task,
                                  has_tfds ? "train.jsonl, val.jsonl, test.jsonl, or "
                                             "TFDS_DATA_DIR: the folder in which TFDS has prepared "
                                             "the data set"
                                           : "AX-g.jsonl",
                                  err));
    for (int split = DATA_TRAIN; split < DATA_N_SPLITS; split++) {
        if (job->paths[split] != NULL) {
            BT_TRY(add_split(job, config, split, err));
        }
    }
    return write_classification(job, task, &form, open_source, config, meta, err);
}
