/* SPDX-License-Identifier: Apache-2.0
 *
 * Classification and regression from data sets that TFDS has prepared: which features of which set
 * are texts, label and weight. The tasks of GLUE and SuperGLUE have such a description; the generic
 * processor (--tfds_params) makes one of its parameters. */
#ifndef BT_TFDS_TASK_H
#define BT_TFDS_TASK_H

#include "data_task.h"

typedef struct tfds_config {
    const char *data_dir;                /* NULL: $TFDS_DATA_DIR or ~/tensorflow_datasets */
    const char *datasets[DATA_N_SPLITS]; /* NULL: as that of DATA_TRAIN */
    const char *splits[DATA_N_SPLITS];   /* NULL: the data have none */
    const char *mismatched_splits[DATA_N_SPLITS]; /* --mnli_type=mismatched; NULL: as splits */
    const char *text_a;
    const char *text_b; /* NULL: one text */
    const char *label;
    const char *weight;   /* NULL: none */
    const char *sort_key; /* rows in ascending order of it; NULL: as TFDS gives them */
    int64_t     n_labels; /* of a classification; 0: of features.json */
    bool        is_regression;
    bool        is_float;          /* the label of a regression */
    bool        reads_test_labels; /* test rows are read like others; -1 is the last label */
    int64_t     test_label;        /* else: of every test row */
    bool        has_skip;
    double      skip_label; /* rows of train and dev with this label are left out */
} tfds_config;

/* Makes the data of the wanted splits. */
bt_status run_tfds(data_job *job, const data_task *task, const tfds_config *config, meta_data *meta,
                   bt_error *err);
/* Does the folder in which TFDS keeps its sets exist, or did the user name one? */
bool tfds_has_folder(void);

/* tfds_params.c: --tfds_params, whatever the task's name. */
bt_status run_tfds_params(data_job *job, const data_task *task, meta_data *meta, bt_error *err);

#endif
