/* SPDX-License-Identifier: Apache-2.0
 *
 * The GLUE tasks. With --input_data_dir from the plain folders that people download, else, like the
 * real tool, from sets that TFDS has prepared of the same files (docs/model_garden/data.md section
 * 1, "TFDS-based processors"). Both have the same outcome: the rows in the order of the files, rows
 * with a missing value dropped, ids as TFDS numbers the classes. Test rows have label 0, but MNLI's
 * the last one: the real tool looks up label -1 in a Python list. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/map.h"
#include "bt/base/number.h"
#include "bt/fs.h"

#include "tfds_task.h"
#include "tsv_reader.h"

enum { MAX_FILES = 8, MAX_CLASSES = 3, LABEL_MAX_BYTES = 64 };

struct glue_config {
    const char *text_a;
    const char *text_b; /* NULL: one text */
    const char *label;
    const char *classes[MAX_CLASSES]; /* in TFDS's order, which numbers them */
    int64_t     n_labels;             /* 0: a regression */
    bool        is_headerless;        /* train and dev: label in column 1, text in column 3 */
    bool        has_mismatched;       /* --mnli_type chooses the second names below */
    bool        reads_test_labels;    /* where the test file has them; else the last label */
    /* Where a split's file may be, relative to --input_data_dir; the first that exists counts. */
    const char *files[DATA_N_SPLITS][MAX_FILES];
    const char *mismatched_files[DATA_N_SPLITS][MAX_FILES];
    tfds_config tfds;
};

#define TRAIN_TSV                                                                                  \
    { "train.tsv", "extra/train.tsv" }
#define DEV_TSV                                                                                    \
    { "dev.tsv", "extra/dev.tsv" }
#define TEST_TSV                                                                                   \
    { "test.tsv", "extra/test.tsv" }

#define TFDS_GLUE(name)                                                                            \
    .datasets = {name}, .splits = {"train", "validation", "test"}, .label = "label",               \
    .sort_key = "idx"

const glue_config glue_cola = {
    .text_a = "sentence",
    .label = "is_acceptable",
    .classes = {"unacceptable", "acceptable"},
    .n_labels = 2,
    .is_headerless = true,
    .files = {TRAIN_TSV, DEV_TSV, TEST_TSV},
    .tfds = {TFDS_GLUE("glue/cola"), .text_a = "sentence", .n_labels = 2}};
const glue_config glue_sst2 = {
    .text_a = "sentence",
    .label = "label",
    .classes = {"negative", "positive"},
    .n_labels = 2,
    .files = {TRAIN_TSV, DEV_TSV, TEST_TSV},
    .tfds = {TFDS_GLUE("glue/sst2"), .text_a = "sentence", .n_labels = 2}};
const glue_config glue_mrpc = {
    .text_a = "#1 String",
    .text_b = "#2 String",
    .label = "Quality",
    .classes = {"not_equivalent", "equivalent"},
    .n_labels = 2,
    .files = {{"train.tsv", "msr_paraphrase_train.txt", "extra/msr_paraphrase_train.txt",
               "extra/train.tsv"},
              {"dev.tsv", "msr_paraphrase_train.txt", "extra/msr_paraphrase_train.txt",
               "extra/dev.tsv"},
              {"test.tsv", "msr_paraphrase_test.txt", "extra/msr_paraphrase_test.txt",
               "extra/test.tsv"}},
    .tfds = {TFDS_GLUE("glue/mrpc"), .text_a = "sentence1", .text_b = "sentence2", .n_labels = 2}};
const glue_config glue_qqp = {
    .text_a = "question1",
    .text_b = "question2",
    .label = "is_duplicate",
    .classes = {"not_duplicate", "duplicate"},
    .n_labels = 2,
    .files = {TRAIN_TSV, DEV_TSV, TEST_TSV},
    .tfds = {TFDS_GLUE("glue/qqp"), .text_a = "question1", .text_b = "question2", .n_labels = 2}};
const glue_config glue_stsb = {.text_a = "sentence1",
                               .text_b = "sentence2",
                               .label = "score",
                               .n_labels = 0,
                               .files = {TRAIN_TSV, DEV_TSV, TEST_TSV},
                               .tfds = {TFDS_GLUE("glue/stsb"), .text_a = "sentence1",
                                        .text_b = "sentence2", .is_regression = true,
                                        .is_float = true}};
const glue_config glue_qnli = {
    .text_a = "question",
    .text_b = "sentence",
    .label = "label",
    .classes = {"entailment", "not_entailment"},
    .n_labels = 2,
    .files = {TRAIN_TSV, DEV_TSV, TEST_TSV},
    .tfds = {TFDS_GLUE("glue/qnli"), .text_a = "question", .text_b = "sentence", .n_labels = 2}};
const glue_config glue_rte = {
    .text_a = "sentence1",
    .text_b = "sentence2",
    .label = "label",
    .classes = {"entailment", "not_entailment"},
    .n_labels = 2,
    .files = {TRAIN_TSV, DEV_TSV, TEST_TSV},
    .tfds = {TFDS_GLUE("glue/rte"), .text_a = "sentence1", .text_b = "sentence2", .n_labels = 2}};
const glue_config glue_wnli = {
    .text_a = "sentence1",
    .text_b = "sentence2",
    .label = "label",
    .classes = {"not_entailment", "entailment"},
    .n_labels = 2,
    .files = {TRAIN_TSV, DEV_TSV, TEST_TSV},
    .tfds = {TFDS_GLUE("glue/wnli"), .text_a = "sentence1", .text_b = "sentence2", .n_labels = 2}};
/* MNLI's hypothesis (sentence2) is the first text and its premise the second. */
const glue_config glue_mnli = {
    .text_a = "sentence2",
    .text_b = "sentence1",
    .label = "gold_label",
    .classes = {"entailment", "neutral", "contradiction"},
    .n_labels = 3,
    .has_mismatched = true,
    .reads_test_labels = true,
    .files = {TRAIN_TSV,
              {"dev_matched.tsv", "extra/dev_matched.tsv"},
              {"test_matched.tsv", "extra/test_matched.tsv"}},
    .mismatched_files = {TRAIN_TSV,
                         {"dev_mismatched.tsv", "extra/dev_mismatched.tsv"},
                         {"test_mismatched.tsv", "extra/test_mismatched.tsv"}},
    .tfds = {.datasets = {"glue/mnli"},
             .splits = {"train", "validation_matched", "test_matched"},
             .mismatched_splits = {NULL, "validation_mismatched", "test_mismatched"},
             .label = "label",
             .sort_key = "idx",
             .text_a = "hypothesis",
             .text_b = "premise",
             .n_labels = 3,
             .reads_test_labels = true}};
/* AX has test rows only; the real tool trains and evaluates it on MNLI. */
const glue_config glue_ax = {
    .text_a = "sentence2",
    .text_b = "sentence1",
    .label = "gold_label",
    .classes = {"entailment", "neutral", "contradiction"},
    .n_labels = 3,
    .files = {{"train.tsv", "MNLI/train.tsv", "../MNLI/train.tsv"},
              {"dev_matched.tsv", "MNLI/dev_matched.tsv", "../MNLI/dev_matched.tsv"},
              {"AX.tsv", "diagnostic.tsv", "diagnostic/diagnostic.tsv", "AX/diagnostic.tsv",
               "AX/AX.tsv", "../AX/diagnostic.tsv", "../diagnostic/diagnostic.tsv"}},
    .tfds = {.datasets = {"glue/mnli", NULL, "glue/ax"},
             .splits = {"train", "validation_matched", "test"},
             .label = "label",
             .sort_key = "idx",
             .text_a = "hypothesis",
             .text_b = "premise",
             .n_labels = 3}};

typedef struct glue_source {
    const glue_config *config;
    tsv_reader        *reader;
    bool               is_test;
    bool               is_headerless;
    bool               has_label; /* in the file */
    bool               drops_short_rows;
    size_t             column_a;
    size_t             column_b;
    size_t             column_label;
    size_t             n_needed; /* columns */
    bt_map            *dev_ids;  /* MRPC from its original files: which rows are dev */
    size_t             column_ids[2];
    bool               wants_dev;
    int64_t            n_rows;
    int64_t            n_dropped;
    int64_t            first_dropped_line;
} glue_source;

static size_t max_size(size_t a, size_t b) {
    return a > b ? a : b;
}

/* ids of two rows as one key; a tab cannot be in either */
static bt_status pair_key(bt_str *key, const tsv_field *first, const tsv_field *second,
                          bt_error *err) {
    bt_str_clear(key);
    BT_TRY(bt_str_append_n(key, first->text, first->n, err));
    BT_TRY(bt_str_append_char(key, '\t', err));
    return bt_str_append_n(key, second->text, second->n, err);
}

/* Is this row of the wanted split? Only MRPC's original files mix two. */
static bt_status is_wanted(const glue_source *s, const tsv_field *fields, bool *wanted,
                           bt_error *err) {
    *wanted = true;
    if (s->dev_ids == NULL) {
        return BT_OK;
    }
    bt_str    key = BT_STR_INIT;
    int64_t   ignored = 0;
    bt_status rc = pair_key(&key, &fields[s->column_ids[0]], &fields[s->column_ids[1]], err);
    if (rc == BT_OK) {
        *wanted = bt_map_get(s->dev_ids, key.data, key.len, &ignored) == s->wants_dev;
    }
    bt_str_deinit(&key);
    return rc;
}

/* Python's int() and float() take spaces around a number. Too long for a number: "". */
static const char *number_text(const tsv_field *field, char text[LABEL_MAX_BYTES]) {
    size_t first = 0;
    size_t last = field->n;
    while (first < last && strchr(" \f\v", field->text[first]) != NULL) {
        first++;
    }
    while (first < last && strchr(" \f\v", field->text[last - 1]) != NULL) {
        last--;
    }
    const size_t n = last - first < LABEL_MAX_BYTES ? last - first : 0;
    memcpy(text, field->text + first, n);
    text[n] = '\0';
    return text;
}

static bt_status fail_label(const glue_source *s, const tsv_field *field, bt_error *err) {
    const glue_config *const config = s->config;
    const int                n = (int)(field->n < LABEL_MAX_BYTES ? field->n : LABEL_MAX_BYTES);
    if (config->n_labels == 0) {
        return BT_FAIL(err, BT_E_FORMAT, "%s:%" PRId64 ": label '%.*s' is not a finite number",
                       tsv_path(s->reader), tsv_line(s->reader), n, field->text);
    }
    return BT_FAIL(err, BT_E_FORMAT,
                   "%s:%" PRId64 ": unknown label '%.*s'; expected %s, %s%s%s or 0 to %" PRId64,
                   tsv_path(s->reader), tsv_line(s->reader), n, field->text, config->classes[0],
                   config->classes[1], config->n_labels > 2 ? ", " : "",
                   config->n_labels > 2 ? config->classes[2] : "", config->n_labels - 1);
}

static bt_status read_label(const glue_source *s, const tsv_field *field, example_row *row,
                            bt_error *err) {
    char                     text[LABEL_MAX_BYTES];
    const glue_config *const config = s->config;
    for (int64_t i = 0; i < config->n_labels; i++) {
        if (strlen(config->classes[i]) == field->n &&
            memcmp(config->classes[i], field->text, field->n) == 0) {
            row->label = i;
            return BT_OK;
        }
    }
    double value = 0.0;
    (void)number_text(field, text);
    if (config->n_labels == 0 && bt_parse_f64(text, &value) && isfinite((float)value)) {
        row->value = (float)value;
        return BT_OK;
    }
    if (config->n_labels > 0 && bt_parse_i64(text, &row->label) && row->label >= 0 &&
        row->label < config->n_labels) {
        return BT_OK;
    }
    return fail_label(s, field, err);
}

static bt_status fail_short_row(const glue_source *s, size_t n_fields, bt_error *err) {
    return BT_FAIL(err, BT_E_FORMAT,
                   "%s:%" PRId64 ": expected at least %zu tab separated columns, got %zu",
                   tsv_path(s->reader), tsv_line(s->reader), s->n_needed, n_fields);
}

/* A row that TFDS leaves out: a column is missing, or the label of a class is the empty text. */
static bool has_missing_value(const glue_source *s, const tsv_field *fields, size_t n_fields) {
    return n_fields < s->n_needed ||
           (s->has_label && s->config->n_labels > 0 && fields[s->column_label].n == 0);
}

static bt_status finish_split(const glue_source *s, bt_error *err) {
    const char *const path = tsv_path(s->reader);
    if (s->n_rows == 0 && s->n_dropped > 0) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: no row has all values; %" PRId64
                       " lack one, the first at line %" PRId64,
                       path, s->n_dropped, s->first_dropped_line);
    }
    if (s->n_rows == 0) {
        return BT_FAIL(err, BT_E_FORMAT, "%s: the file has no rows of data", path);
    }
    if (s->n_dropped > 0) {
        bt_log(BT_LOG_WARNING,
               "%s: rows left out because a value is missing: %" PRId64
               ", the first at line %" PRId64,
               path, s->n_dropped, s->first_dropped_line);
    }
    return BT_OK;
}

static bt_status next_row(void *state, example_row *row, bool *end, bt_error *err) {
    glue_source *const s = state;
    for (;;) {
        const tsv_field *fields = NULL;
        size_t           n_fields = 0;
        bool             wanted = false;
        BT_TRY(tsv_next(s->reader, &fields, &n_fields, end, err));
        if (*end) {
            return finish_split(s, err);
        }
        if (n_fields < s->n_needed && !s->drops_short_rows) {
            return fail_short_row(s, n_fields, err);
        }
        if (s->drops_short_rows && has_missing_value(s, fields, n_fields)) {
            s->first_dropped_line = s->n_dropped == 0 ? tsv_line(s->reader) : s->first_dropped_line;
            s->n_dropped++;
            continue;
        }
        BT_TRY(is_wanted(s, fields, &wanted, err));
        if (!wanted) {
            continue;
        }
        s->n_rows++;
        row->a = fields[s->column_a].text;
        row->n_a = fields[s->column_a].n;
        if (s->config->text_b != NULL) {
            row->b = fields[s->column_b].text;
            row->n_b = fields[s->column_b].n;
        }
        if (!s->is_test || (s->config->reads_test_labels && s->has_label)) {
            return read_label(s, &fields[s->column_label], row, err);
        }
        row->label = s->config->reads_test_labels ? s->config->n_labels - 1 : 0;
        return BT_OK;
    }
}

static void close_source(void *state) {
    glue_source *const s = state;
    if (s != NULL) {
        tsv_close(s->reader);
        bt_map_free(s->dev_ids);
        bt_free(s);
    }
}

static bt_status fail_missing(const char *folder, const char *const *files, const char *split,
                              bt_error *err) {
    bt_str    list = BT_STR_INIT;
    bt_status rc = BT_OK;
    for (int i = 0; i < MAX_FILES && files[i] != NULL; i++) {
        BT_CHECK(bt_str_appendf(&list, err, "%s%s", i == 0 ? "" : ", ", files[i]));
    }
    rc = BT_FAIL(err, BT_E_IO,
                 "%s: no file for %s found there; --input_data_dir must be the folder with the "
                 "task's files, here one of: %s",
                 folder, split, bt_str_text(&list));
done:
    bt_str_deinit(&list);
    return rc;
}

/* The first of the files that exists. */
static bt_status find_file(const char *folder, const char *const *files, const char *split,
                           const char **name, bt_error *err) {
    for (int i = 0; i < MAX_FILES && files[i] != NULL; i++) {
        char *candidate = NULL;
        BT_TRY(bt_fs_join(folder, files[i], &candidate, err));
        const bool exists = bt_fs_exists(candidate);
        bt_free(candidate);
        if (exists) {
            *name = files[i];
            return BT_OK;
        }
    }
    return fail_missing(folder, files, split, err);
}

static bt_status read_dev_ids(bt_map *ids, const char *path, bt_error *err) {
    bt_status   rc = BT_OK;
    tsv_reader *reader = NULL;
    bt_str      key = BT_STR_INIT;
    BT_CHECK(tsv_open(&reader, path, TSV_NO_HEADER, err));
    for (;;) {
        const tsv_field *fields = NULL;
        size_t           n_fields = 0;
        bool             end = false;
        BT_CHECK(tsv_next(reader, &fields, &n_fields, &end, err));
        if (end) {
            break;
        }
        if (n_fields == 1) {
            rc = BT_FAIL(err, BT_E_FORMAT,
                         "%s:%" PRId64 ": expected two tab separated ids, got one column", path,
                         tsv_line(reader));
            goto done;
        }
        if (n_fields >= 2) {
            BT_CHECK(pair_key(&key, &fields[0], &fields[1], err));
            BT_CHECK(bt_map_put(ids, key.data, key.len, 1, err));
        }
    }
    if (bt_map_size(ids) == 0) {
        rc = BT_FAIL(err, BT_E_FORMAT, "%s: no ids in the file", path);
    }
done:
    bt_str_deinit(&key);
    tsv_close(reader);
    return rc;
}

/* msr_paraphrase_train.txt holds train and dev; the ids of the dev rows stand in another file. */
static bt_status open_dev_ids(glue_source *s, const char *folder, bt_error *err) {
    static const char *const files[MAX_FILES] = {"mrpc_dev_ids.tsv", "dev_ids.tsv",
                                                 "extra/mrpc_dev_ids.tsv", "extra/dev_ids.tsv"};
    const char              *name = NULL;
    char                    *path = NULL;
    BT_TRY(find_file(folder, files, "the ids of MRPC's dev rows", &name, err));
    BT_TRY(bt_fs_join(folder, name, &path, err));
    bt_status rc = bt_map_create(&s->dev_ids, 512, err);
    if (rc == BT_OK) {
        rc = read_dev_ids(s->dev_ids, path, err);
    }
    bt_free(path);
    BT_TRY(rc);
    BT_TRY(tsv_require_column(s->reader, "#1 ID", &s->column_ids[0], err));
    BT_TRY(tsv_require_column(s->reader, "#2 ID", &s->column_ids[1], err));
    s->n_needed = max_size(s->n_needed, max_size(s->column_ids[0], s->column_ids[1]) + 1);
    return BT_OK;
}

static bt_status find_columns(glue_source *s, bt_error *err) {
    const glue_config *const config = s->config;
    if (s->is_headerless) {
        s->column_a = 3;
        s->column_label = 1;
        s->has_label = true;
        s->n_needed = 4;
        return BT_OK;
    }
    BT_TRY(tsv_require_column(s->reader, config->text_a, &s->column_a, err));
    s->n_needed = s->column_a + 1;
    if (config->text_b != NULL) {
        BT_TRY(tsv_require_column(s->reader, config->text_b, &s->column_b, err));
        s->n_needed = max_size(s->n_needed, s->column_b + 1);
    }
    s->has_label = tsv_find_column(s->reader, config->label, &s->column_label);
    if (!s->has_label && !s->is_test) {
        return tsv_require_column(s->reader, config->label, &s->column_label, err);
    }
    if (s->has_label) {
        s->n_needed = max_size(s->n_needed, s->column_label + 1);
    }
    return BT_OK;
}

static bt_status open_source(const data_job *job, const data_part *part, const void *context,
                             example_source *out, bt_error *err) {
    bt_status                rc = BT_OK;
    const glue_config *const config = context;
    const char *const        path = part->inputs[0];
    glue_source             *s = bt_calloc_array(1, sizeof *s);
    if (s == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the input");
    }
    s->config = config;
    s->is_test = part->split == DATA_TEST;
    s->wants_dev = part->split == DATA_EVAL;
    s->is_headerless = config->is_headerless && !s->is_test;
    s->drops_short_rows = !s->is_headerless && config != &glue_mrpc;
    BT_CHECK(tsv_open(&s->reader, path, s->is_headerless ? TSV_NO_HEADER : TSV_HEADER, err));
    BT_CHECK(find_columns(s, err));
    if (!s->is_test && bt_str_starts_with(bt_fs_basename(path), "msr_")) {
        BT_CHECK(open_dev_ids(s, job->input_dir, err));
    }
    *out = (example_source){.state = s, .next = next_row, .close = close_source};
    s = NULL;
done:
    close_source(s);
    return rc;
}

static bt_status add_split(data_job *job, const glue_config *config, int split, bt_error *err) {
    data_part  *part = NULL;
    const char *name = NULL;
    const bool  is_mismatched = config->has_mismatched &&
                               bt_str_equal(bt_flags_string(job->flags, "mnli_type"), "mismatched");
    BT_TRY(find_file(job->input_dir,
                     is_mismatched ? config->mismatched_files[split] : config->files[split],
                     data_split_names[split], &name, err));
    BT_TRY(data_add_part(job, split, NULL, &part, err));
    return data_add_input(part, job->input_dir, name, NULL, err);
}

bt_status run_glue(data_job *job, const data_task *task, meta_data *meta, bt_error *err) {
    const glue_config *const config = task->config;
    const classification     form = {.n_labels = config->n_labels,
                                     .is_regression = config->n_labels == 0,
                                     .label = config->n_labels == 0 ? EXAMPLE_LABEL_FLOAT
                                                                    : EXAMPLE_LABEL_INT};
    BT_TRY(data_require_output(job, 1U << DATA_TRAIN | 1U << DATA_EVAL, err));
    if (job->input_dir == NULL && tfds_has_folder()) {
        return run_tfds(job, task, &config->tfds, meta, err);
    }
    BT_TRY(data_require_input_dir(job, task,
                                  "train.tsv, dev.tsv, ... of the data set, or TFDS_DATA_DIR: the "
                                  "folder in which TFDS has prepared it",
                                  err));
    for (int split = DATA_TRAIN; split < DATA_N_SPLITS; split++) {
        if (job->paths[split] != NULL) {
            BT_TRY(add_split(job, config, split, err));
        }
    }
    return write_classification(job, task, &form, open_source, config, meta, err);
}
