/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of tasks, and what all classification tasks share: the order of work and the meta
 * data (spec/data.md (a): keys, order and blanks as Python's json writes them). */
#include "data_task.h"

const char *const data_split_names[DATA_N_SPLITS] = {"train", "eval", "test"};

static const data_task data_tasks[] = {
    {"classification", "AX", run_glue, &glue_ax},
    {"classification", "COLA", run_glue, &glue_cola},
    {"classification", "MNLI", run_glue, &glue_mnli},
    {"classification", "MRPC", run_glue, &glue_mrpc},
    {"classification", "QNLI", run_glue, &glue_qnli},
    {"classification", "QQP", run_glue, &glue_qqp},
    {"classification", "RTE", run_glue, &glue_rte},
    {"classification", "SST-2", run_glue, &glue_sst2},
    {"classification", "STS-B", run_glue, &glue_stsb},
    {"classification", "WNLI", run_glue, &glue_wnli},
};

const data_task *find_data_task(const char *task_type, const char *name) {
    for (size_t i = 0; i < BT_ARRAY_LEN(data_tasks); i++) {
        if (bt_str_equal(data_tasks[i].task_type, task_type) &&
            bt_str_equal(data_tasks[i].name, name)) {
            return &data_tasks[i];
        }
    }
    return NULL;
}

bt_status list_data_tasks(const char *task_type, bt_str *out, bt_error *err) {
    for (size_t i = 0; i < BT_ARRAY_LEN(data_tasks); i++) {
        if (bt_str_equal(data_tasks[i].task_type, task_type)) {
            BT_TRY(bt_str_appendf(out, err, "%s%s", out->len == 0 ? "" : ", ", data_tasks[i].name));
        }
    }
    return BT_OK;
}

static bt_status write_meta(const data_job *job, const data_task *task, int64_t n_labels,
                            bt_error *err) {
    bt_str *const meta = job->meta;
    BT_TRY(bt_str_appendf(meta, err,
                          "{\n    \"processor_type\": \"%s\",\n"
                          "    \"train_data_size\": %" PRId64 ",\n"
                          "    \"max_seq_length\": %" PRId64,
                          task->name, job->n_rows[DATA_TRAIN], job->max_seq_length));
    if (job->paths[DATA_TEST] != NULL) {
        BT_TRY(bt_str_appendf(meta, err, ",\n    \"test_data_size\": %" PRId64,
                              job->n_rows[DATA_TEST]));
    }
    if (n_labels == 0) {
        BT_TRY(bt_str_append(
            meta, ",\n    \"task_type\": \"bert_regression\",\n    \"label_type\": \"float\"",
            err));
    } else {
        BT_TRY(bt_str_appendf(
            meta, err,
            ",\n    \"task_type\": \"bert_classification\",\n    \"num_labels\": %" PRId64,
            n_labels));
    }
    if (job->paths[DATA_EVAL] != NULL) {
        BT_TRY(bt_str_appendf(meta, err, ",\n    \"eval_data_size\": %" PRId64,
                              job->n_rows[DATA_EVAL]));
    }
    return bt_str_append(meta, "\n}\n", err);
}

bt_status write_classification(data_job *job, const data_task *task,
                               const example_source sources[DATA_N_SPLITS], int64_t n_labels,
                               bt_error *err) {
    bt_fs_writer *writers[DATA_N_SPLITS] = {NULL};
    for (int split = 0; split < DATA_N_SPLITS; split++) {
        if (sources[split].next != NULL) {
            BT_TRY(output_set_add(job->outputs, job->paths[split], &writers[split], err));
        }
    }
    for (int split = 0; split < DATA_N_SPLITS; split++) {
        if (sources[split].next == NULL) {
            continue;
        }
        const example_settings settings = {.tokenizer = job->tokenizer,
                                           .pool = job->pool,
                                           .max_seq_length = job->max_seq_length,
                                           .is_regression = n_labels == 0,
                                           .what = data_split_names[split],
                                           .is_interrupted = job->is_interrupted};
        BT_TRY(
            write_examples(&settings, &sources[split], writers[split], &job->n_rows[split], err));
    }
    return write_meta(job, task, n_labels, err);
}
