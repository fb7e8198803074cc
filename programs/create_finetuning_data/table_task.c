/* SPDX-License-Identifier: Apache-2.0
 *
 * A data set of one's own: tables (TSV, CSV, JSON in every form, packed or not) or a folder a class
 * for each split, read as bert-train's sections read them. The classes are those of the training
 * table; their names go into the meta data. */
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/map.h"
#include "bt/base/stop.h"
#include "bt/data.h"
#include "data_task.h"

enum { SEQ_LENGTH = 8 };

static const char *const stems[DATA_N_SPLITS][4] = {
    {"train"}, {"dev", "eval", "valid", "validation"}, {"test"}};
static const char *const extensions[] = {".tsv", ".csv", ".jsonl", ".json", ".ndjson"};

typedef struct table_run {
    bt_data_config  config; /* what the flags say of all files */
    bool            is_regression;
    int64_t         vocab_size;
    const char     *fields[BT_DATA_MAX_TEXTS];
    size_t          n_fields;
    char           *field_list; /* owned: what fields point into */
    const char     *label_field;
    const char     *vocab_file;
    char           *train_path; /* owned */
    bt_data_stream *train;
    int64_t         n_labels;
} table_run;

/* The first of a split's names that is there, a folder of that name last. */
static bt_status find_file(const data_job *job, int split, char found[DATA_NAME_BYTES],
                           bool *is_folder, bt_error *err) {
    const size_t n_files = BT_ARRAY_LEN(extensions);
    for (size_t s = 0; s < BT_ARRAY_LEN(stems[split]) && stems[split][s] != NULL; s++) {
        for (size_t i = 0; i <= n_files; i++) {
            char name[DATA_NAME_BYTES] = "";
            bool is_there = false;
            *is_folder = i == n_files;
            (void)snprintf(name, sizeof name, "%s%s", stems[split][s],
                           *is_folder ? "" : extensions[i]);
            BT_TRY(data_find_file(job->input_dir, name, found, &is_there, err));
            if (is_there) {
                return BT_OK;
            }
        }
    }
    return BT_FAIL(err, BT_E_IO,
                   "%s: no %s table there; looked for %s.tsv, .csv, .jsonl, .json (also .gz, .bz2, "
                   ".xz, .zst, .zip) and a folder %s",
                   job->input_dir, data_split_names[split], stems[split][0], stems[split][0]);
}

/* classes: of training, or NULL: they are learned. */
static bt_status open_table(const table_run *run, const char *path, const bt_data_stream *classes,
                            bool has_label, bt_data_stream **out, bt_error *err) {
    size_t                   n_names = 0;
    const char *const *const names =
        classes != NULL ? bt_data_label_names(classes, &n_names) : NULL;
    bt_data_config config = run->config;
    config.paths = &path;
    config.n_paths = 1;
    const bt_data_schema schema = {.seq_length = SEQ_LENGTH,
                                   .label_kind = !has_label           ? BT_LABEL_NONE
                                                 : run->is_regression ? BT_LABEL_FLOAT
                                                                      : BT_LABEL_CLASS,
                                   .label_field = run->label_field,
                                   .n_classes = run->n_labels,
                                   .vocab_size = run->vocab_size,
                                   .type_vocab_size = 2,
                                   .max_positions = SEQ_LENGTH,
                                   .learns_labels = classes == NULL && !run->is_regression,
                                   .label_names = n_names > 0 ? names : NULL,
                                   .n_label_names = n_names,
                                   .only_by_name = n_names > 0,
                                   .label_source = n_names > 0 ? "the training table" : NULL,
                                   .text = {.fields = run->fields,
                                            .n_fields = run->n_fields,
                                            .vocab_file = run->vocab_file,
                                            .rules = BT_TEXT_PYTHON}};
    return bt_data_open(&config, &schema, out, err);
}

typedef struct table_source {
    bt_data_stream *stream; /* owned unless it is the run's */
    bool            is_own;
    bool            has_label;
    bool            is_regression;
    int64_t         next;
} table_source;

static bt_status next_row(void *state, example_row *row, bool *end, bt_error *err) {
    table_source *const s = state;
    const bt_text_span *texts = NULL;
    size_t              n = 0;
    *end = s->next == bt_data_n_rows(s->stream);
    if (*end) {
        return BT_OK;
    }
    row->label = 0;
    if (s->has_label && s->is_regression) {
        BT_TRY(bt_data_row_score(s->stream, s->next, &row->value, err));
    } else if (s->has_label) {
        BT_TRY(bt_data_row_label(s->stream, s->next, &row->label, err));
    }
    BT_TRY(bt_data_row_texts(s->stream, s->next++, &texts, &n, err));
    row->a = texts[0].text;
    row->n_a = texts[0].n_bytes;
    row->b = n > 1 ? texts[1].text : NULL;
    row->n_b = n > 1 ? texts[1].n_bytes : 0;
    return BT_OK;
}

static void close_source(void *state) {
    table_source *const s = state;
    if (s->is_own) {
        bt_data_close(s->stream);
    }
    bt_free(s);
}

static bt_status open_source(const data_job *job, const data_part *part, const void *context,
                             example_source *out, bt_error *err) {
    const table_run *const run = context;
    table_source *const    s = bt_calloc_array(1, sizeof *s);
    (void)job;
    if (s == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the input");
    }
    s->has_label = part->split != DATA_TEST;
    s->is_regression = run->is_regression;
    s->is_own = part->split != DATA_TRAIN;
    s->stream = run->train;
    const bt_status rc =
        s->is_own ? open_table(run, part->inputs[0], run->train, s->has_label, &s->stream, err)
                  : BT_OK;
    if (rc != BT_OK) {
        bt_free(s);
        return rc;
    }
    *out = (example_source){.state = s, .next = next_row, .close = close_source};
    return BT_OK;
}

static bt_status read_flags(const data_job *job, table_run *run, bt_error *err) {
    const char *const list = data_path_flag(job->flags, "text_fields");
    if (list == NULL) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "table needs --text_fields: the columns that hold the text, one or two, by "
                       "name or by number from 1");
    }
    run->label_field = bt_flags_string(job->flags, "label_field");
    run->vocab_file = bt_flags_string(job->flags, "vocab_file");
    run->vocab_size = bt_text_vocab_size(bt_text_tokenizer_vocab(job->tokenizer));
    run->config = (bt_data_config){.global_batch_size = 1,
                                   .shuffle_buffer_size = 1,
                                   .section = "the flags",
                                   .encoding = job->encoding.name,
                                   .encoding_key = job->encoding.key};
    const char       *key = NULL;
    const char *const problem =
        bt_data_set_separators(&run->config, data_path_flag(job->flags, "delimiter"),
                               data_path_flag(job->flags, "quote"), &key);
    if (problem != NULL) {
        return BT_FAIL(err, BT_E_CONFIG, "--%s=%s: %s", key, data_path_flag(job->flags, key),
                       problem);
    }
    run->field_list = bt_strdup(list);
    if (run->field_list == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for --text_fields");
    }
    for (char *at = run->field_list; *at != '\0';) {
        char *const comma = strchr(at, ',');
        if (run->n_fields == 2) {
            return BT_FAIL(err, BT_E_CONFIG, "--text_fields=%s: expected one or two columns", list);
        }
        run->fields[run->n_fields++] = at;
        at = comma != NULL ? comma + 1 : at + strlen(at);
        if (comma != NULL) {
            *comma = '\0';
        }
    }
    return BT_OK;
}

/* Of names as many as there are. Of numbers from 0 on without a gap, they are classes as they
 * stand; others are names too, of as many classes as there are different ones. */
static bt_status count_labels(table_run *run, bt_error *err) {
    bt_map   *seen = NULL;
    size_t    n_names = 0;
    int64_t   most = -1;
    bt_status rc = BT_OK;
    (void)bt_data_label_names(run->train, &n_names);
    run->n_labels = (int64_t)n_names;
    if (n_names > 0) {
        return BT_OK;
    }
    BT_CHECK(bt_map_create(&seen, 64, err));
    for (int64_t i = 0; i < bt_data_n_rows(run->train); i++) {
        int64_t label = 0;
        BT_CHECK(bt_stop_check(err));
        BT_CHECK(bt_data_row_label(run->train, i, &label, err));
        BT_CHECK(bt_map_put(seen, (const char *)&label, sizeof label, 1, err));
        most = label > most ? label : most;
    }
    run->n_labels = (int64_t)bt_map_size(seen);
    if (most + 1 != run->n_labels) {
        bt_data_close(run->train);
        run->train = NULL;
        BT_CHECK(open_table(run, run->train_path, NULL, true, &run->train, err));
    }
done:
    bt_map_free(seen);
    return rc;
}

static bt_status add_split(data_job *job, int split, bt_error *err) {
    data_part *part = NULL;
    char       name[DATA_NAME_BYTES] = "";
    bool       is_folder = false;
    BT_TRY(find_file(job, split, name, &is_folder, err));
    BT_TRY(data_add_part(job, split, NULL, &part, err));
    return is_folder ? data_add_input_folder(part, job->input_dir, name, err)
                     : data_add_input(part, job->input_dir, name, NULL, err);
}

static bt_status add_splits(data_job *job, table_run *run, bt_error *err) {
    char name[DATA_NAME_BYTES] = "";
    bool is_folder = false;
    BT_TRY(find_file(job, DATA_TRAIN, name, &is_folder, err));
    BT_TRY(bt_fs_join(job->input_dir, name, &run->train_path, err));
    BT_TRY(open_table(run, run->train_path, NULL, true, &run->train, err));
    BT_TRY(run->is_regression ? BT_OK : count_labels(run, err));
    for (int split = DATA_TRAIN; split < DATA_N_SPLITS; split++) {
        if (job->paths[split] != NULL) {
            BT_TRY(add_split(job, split, err));
        }
    }
    return BT_OK;
}

bt_status run_table(data_job *job, const data_task *task, meta_data *meta, bt_error *err) {
    table_run      run = {.is_regression = bt_str_equal(task->task_type, "regression")};
    classification form = {.label = run.is_regression ? EXAMPLE_LABEL_FLOAT : EXAMPLE_LABEL_INT,
                           .is_regression = run.is_regression};
    bt_status      rc = BT_OK;
    BT_CHECK(data_require_output(job, 1U << DATA_TRAIN | 1U << DATA_EVAL | 1U << DATA_TEST, err));
    BT_CHECK(
        data_require_input_dir(job, task, "train.csv, dev.csv, test.csv (or .tsv, .jsonl)", err));
    BT_CHECK(read_flags(job, &run, err));
    BT_CHECK(add_splits(job, &run, err));
    form.n_labels = run.n_labels;
    form.label_names = bt_data_label_names(run.train, &form.n_label_names);
    rc = write_classification(job, task, &form, open_source, &run, meta, err);
done:
    bt_data_close(run.train);
    bt_free(run.field_list);
    bt_free(run.train_path);
    return rc;
}
