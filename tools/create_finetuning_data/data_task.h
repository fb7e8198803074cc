/* SPDX-License-Identifier: Apache-2.0
 *
 * The kinds of data that create-finetuning-data makes: one row of data_tasks[] each, and one file
 * a kind of input. A row's function opens all inputs, adds the outputs, writes the records and the
 * meta data's text; the program does the rest. */
#ifndef BT_DATA_TASK_H
#define BT_DATA_TASK_H

#include "bt/cli.h"

#include "example_writer.h"
#include "output_set.h"

enum { DATA_TRAIN, DATA_EVAL, DATA_TEST, DATA_N_SPLITS };
extern const char *const data_split_names[DATA_N_SPLITS]; /* "train", "eval", "test" */

typedef struct data_job {
    const bt_flags          *flags;
    const bt_text_tokenizer *tokenizer;
    bt_pool                 *pool;
    int64_t                  max_seq_length;
    const char              *input_dir;            /* NULL: not given */
    const char              *paths[DATA_N_SPLITS]; /* NULL: not wanted */
    bool (*is_interrupted)(void);
    output_set *outputs;
    bt_str     *meta; /* JSON, to be filled */
    int64_t     n_rows[DATA_N_SPLITS];
} data_job;

typedef struct data_task data_task;
struct data_task {
    const char *task_type; /* --fine_tuning_task_type */
    const char *name;      /* its task name, and processor_type in the meta data */
    bt_status (*run)(data_job *job, const data_task *task, bt_error *err);
    const void *config; /* for run only */
};

/* NULL: none of that name. */
const data_task *find_data_task(const char *task_type, const char *name);
/* "AX, COLA, ...": the names of a task type. */
bt_status list_data_tasks(const char *task_type, bt_str *out, bt_error *err);

/* Classification or regression on sources (next == NULL: split not wanted): writes every wanted
 * split and the meta data. n_labels 0: regression. Closes nothing. */
bt_status write_classification(data_job *job, const data_task *task,
                               const example_source sources[DATA_N_SPLITS], int64_t n_labels,
                               bt_error *err);

/* glue_task.c: config is a glue_config of that file's table. */
bt_status                  run_glue(data_job *job, const data_task *task, bt_error *err);
typedef struct glue_config glue_config;
extern const glue_config   glue_ax, glue_cola, glue_mnli, glue_mrpc, glue_qnli, glue_qqp, glue_rte,
    glue_sst2, glue_stsb, glue_wnli;

#endif
