/* SPDX-License-Identifier: Apache-2.0
 *
 * The kinds of data that create-finetuning-data makes: one row of data_tasks[] each, and one file
 * a kind of input. A row's function says of which parts the data consist (data_parts.h), has them
 * written and fills the meta data; the program does the rest. */
#ifndef BT_DATA_TASK_H
#define BT_DATA_TASK_H

#include "data_parts.h"
#include "meta_data.h"

typedef struct data_task data_task;
struct data_task {
    const char *task_type; /* --fine_tuning_task_type */
    const char *name;      /* of that type's task name flag; "squad" and the like have no flag */
    const char *processor; /* processor_type in the meta data */
    bt_status (*run)(data_job *job, const data_task *task, meta_data *meta, bt_error *err);
    const void        *config;    /* for run only */
    const char *const *languages; /* that --languages may name; NULL-terminated; NULL: none */
};

/* The row that the flags ask for; BT_E_CONFIG or BT_E_UNSUPPORTED tells what there is. */
bt_status data_find_task(const bt_flags *flags, const data_task **task, bt_error *err);

/* The common end of classification and regression: writes all parts of the job with the texts'
 * records, and the meta data. n_labels: of a classification, else 0. */
typedef struct classification {
    int64_t       n_labels;
    example_label label;
    bool          is_regression;
    bool          has_weight;
    /* By id, where they are not the task's own; NULL: the meta data have none. */
    const char *const *label_names;
    size_t             n_label_names;
} classification;
bt_status write_classification(data_job *job, const data_task *task, const classification *form,
                               data_part_open open, const void *context, meta_data *meta,
                               bt_error *err);

/* BT_E_CONFIG unless one of these outputs is wanted: a mask of 1 << DATA_TRAIN and the like. */
bt_status data_require_output(const data_job *job, unsigned splits, bt_error *err);
/* BT_E_CONFIG without --input_data_dir; files says what is in it. */
bt_status data_require_input_dir(const data_job *job, const data_task *task, const char *files,
                                 bt_error *err);

/* glue_task.c: config is a glue_config of that file's table. */
bt_status run_glue(data_job *job, const data_task *task, meta_data *meta, bt_error *err);
typedef struct glue_config glue_config;
extern const glue_config   glue_ax, glue_cola, glue_mnli, glue_mrpc, glue_qnli, glue_qqp, glue_rte,
    glue_sst2, glue_stsb, glue_wnli;
/* superglue_task.c */
bt_status run_superglue(data_job *job, const data_task *task, meta_data *meta, bt_error *err);
typedef struct superglue_config superglue_config;
extern const superglue_config   superglue_axg, superglue_boolq, superglue_cb, superglue_rte,
    superglue_wic;
/* xlang_task.c */
bt_status run_xlang(data_job *job, const data_task *task, meta_data *meta, bt_error *err);
typedef struct xlang_config xlang_config;
extern const xlang_config   xlang_pawsx, xlang_xnli, xlang_xtreme_pawsx, xlang_xtreme_xnli;
extern const char *const xlang_pawsx_languages[], *const xlang_xnli_languages[];
/* table_task.c: no config */
bt_status run_table(data_job *job, const data_task *task, meta_data *meta, bt_error *err);
/* imdb_task.c: no config */
bt_status run_imdb(data_job *job, const data_task *task, meta_data *meta, bt_error *err);
/* retrieval_task.c */
bt_status run_retrieval(data_job *job, const data_task *task, meta_data *meta, bt_error *err);
typedef struct retrieval_config retrieval_config;
extern const retrieval_config   retrieval_bucc, retrieval_tatoeba;
extern const char *const retrieval_bucc_languages[], *const retrieval_tatoeba_languages[];
/* squad_task.c: no config */
bt_status run_squad(data_job *job, const data_task *task, meta_data *meta, bt_error *err);
/* tagging_task.c */
bt_status run_tagging(data_job *job, const data_task *task, meta_data *meta, bt_error *err);
typedef struct tagging_config tagging_config;
extern const tagging_config   tagging_conll, tagging_panx, tagging_udpos;
extern const char *const tagging_panx_languages[], *const tagging_udpos_languages[];

#endif
