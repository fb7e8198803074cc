/* SPDX-License-Identifier: Apache-2.0
 *
 * task: what one experiment trains. One file per task gives config -> model description, record
 * schema, metrics, and what is made of the logits beside metrics (outputs). The registry is a
 * compile-time table (task_list.def). */
#ifndef BT_TASK_H
#define BT_TASK_H

#include "bt/conf.h"
#include "bt/data.h"
#include "bt/fs.h"
#include "bt/metrics.h"
#include "bt/model.h"
#include "bt/text.h"

/* The classes of a task: how many, and their names as far as they are known. */
enum { BT_TASK_SOURCE_MAX = 256 };
typedef struct bt_task_labels {
    int64_t n;             /* classes; 0: the task has none (scores, spans, vectors) */
    char  **names;         /* [n] owned; NULL: not known, and a class is called by its number */
    char    processor[64]; /* of create-finetuning-data's meta data, or "" */
    char    source[BT_TASK_SOURCE_MAX]; /* who says so, for messages: "task.class_names" */
    bool    only_by_name; /* the training rows call the classes so: numbers are not labels */
} bt_task_labels;

/* Where a key's value comes from (bt_conf_origin) that the head's file gave, not the user. */
#define BT_TASK_LABELS_OF_FILE "id2label of task.init_checkpoint"

/* Replaces the names: copies n of them. BT_E_CONFIG when two are equal, one is empty, or n is not
 * labels->n. */
BT_MUST_USE bt_status bt_task_labels_set(bt_task_labels *labels, const char *const *names, size_t n,
                                         const char *source, bt_error *err);
/* BT_E_CONFIG unless n names of source are as many as labels->n and, where labels has names, the
 * same ones; the message tells the first that differs. */
BT_MUST_USE bt_status bt_task_labels_agree(const bt_task_labels *labels, const char *const *names,
                                           size_t n, const char *source, bt_error *err);
void                  bt_task_labels_deinit(bt_task_labels *labels);
/* The name of a class, or its number in buffer. */
enum { BT_TASK_LABEL_TEXT_MAX = 24 };
const char *bt_task_label_text(const bt_task_labels *labels, int64_t id,
                               char buffer[BT_TASK_LABEL_TEXT_MAX]);

/* A model that predicts one class for everything looks fine by accuracy on unbalanced data: says so
 * when one of counts [n_classes], which sum up to n, is all of them. when: "step 20: " or "". */
void bt_task_notice_one_class(const char *when, const bt_task_labels *labels, const int64_t *counts,
                              int64_t n_classes, int64_t n);

/* Everything that a run needs to know of its task, made from the configuration. Zero-initialise;
 * deinit also after a failure. */
typedef struct bt_task_plan {
    bt_encoder_config encoder;
    bt_head_config    head;
    bt_data_schema    train_schema;
    bt_data_schema    validation_schema;
    bt_data_schema    prediction_schema; /* of the same section, for --mode=predict */
    bt_task_labels    labels;
    const char       *metric_names[BT_METRIC_MAX]; /* of training and validation */
    char             *metric_text;     /* owned: the names that are made; the others are static */
    size_t            n_train_metrics; /* the first ones are also kept in training */
    size_t            n_validation_metrics;
    size_t            n_garden_metrics; /* of them, the first, which Model Garden has too */
    bt_metric_unit    metric_unit;
    int64_t           n_bootstrap; /* bt_metrics_config: of validation */
    int64_t           bootstrap_seed;
    double            label_smoothing;
    bt_conf_f64_list  class_weights;    /* n 0: all 1; borrowed from conf */
    bool              balanced_weights; /* from the counts of the training data */
    bool   init_cls_pooler; /* pooler of the checkpoint's next_sentence head -> head_pooler */
    bool   init_head;
    bool   is_multi_label; /* several classes may apply to a row */
    double threshold;      /* ... from this probability on; of two classes class 1 applies, 0: the
                            * more probable one does */
    double temperature;    /* logits are divided by it before that; 1, or what a run has fitted */
    /* Both are taken from the evaluations of a run: */
    bool        calibrates;
    const char *threshold_metric; /* NULL: the threshold is not chosen; borrowed from conf */
} bt_task_plan;

void bt_task_plan_deinit(bt_task_plan *plan);

/* What the command line says about predictions. */
typedef struct bt_prediction_args {
    const char *output_path; /* NULL: the task's own name in model_dir */
    const char *format;      /* NULL: inferred from the extension of output_path */
    const char *glue_folder; /* --glue_submission, or NULL */
    const char *glue_task;   /* NULL: inferred from the meta data */
} bt_prediction_args;

/* What an output is made for; strings and pointers are borrowed for its life. */
typedef struct bt_output_request {
    const bt_conf            *conf;
    const bt_task_plan       *plan;
    bt_data_stream           *data;       /* the stream whose batches will come */
    const char               *model_dir;  /* made before the first pass */
    const char               *checkpoint; /* of --checkpoint, or NULL: it is read */
    const bt_prediction_args *prediction; /* NULL in an evaluation */
    /* What a run keeps in its folder, patterns of the shell, NULL-terminated; or NULL. For create
     * alone: no output may have such a name there. */
    const char *const *own_names;
} bt_output_request;

/* What a task makes of the logits of one evaluation or prediction beside streaming metrics: values
 * that need everything at once (the answers of SQuAD), or files. The trainer drives it:
 *
 *     create, then for every pass: reset, add for each batch in the stream's order, finish, write;
 *     at the end destroy.
 *
 * state is what create made; create touches no file. A pass that failed or was stopped is followed
 * by reset or destroy, which leave no file behind. */
enum { BT_TASK_VALUES_MAX = 24 };
typedef struct bt_task_output {
    bt_status (*create)(const bt_output_request *request, void **state, bt_error *err);
    void (*destroy)(void *state); /* accepts NULL */
    bt_status (*reset)(void *state, bt_error *err);
    /* logits as bt_exec_evaluate gives them; both are borrowed for the call */
    bt_status (*add)(void *state, const bt_batch *batch, const float *logits, bt_error *err);
    /* Appends to values[0..*n), which have room for BT_TASK_VALUES_MAX more. NULL: makes no values.
     */
    bt_status (*finish)(void *state, bt_metric_value *values, size_t *n, bt_error *err);
    /* For the report, after finish: at most n_most rows with mistakes and their texts, as members
     * of an object of JSON, each with a comma before it. NULL: nothing is said. */
    bt_status (*explain)(const void *state, int64_t n_most, bt_str *json, bt_error *err);
    /* Publishes the files of this pass, whole or not at all. NULL: makes no files. */
    bt_status (*write)(void *state, bt_error *err);
} bt_task_output;

/* task_outputs.c: the files of a prediction or evaluation before it begins. BT_E_CONFIG where two
 * of them are one file, or one is read by the run (data, vocabulary, configuration, checkpoint). */
BT_MUST_USE bt_status bt_task_check_outputs(const bt_output_request *request,
                                            const bt_fs_named *outputs, size_t n, bt_error *err);

typedef struct bt_task {
    const char *name; /* "sentence_prediction" */
    /* Reads task.* (and runtime.*) of conf; strings live in conf. Cross-key checks: seq_length
     * against positions ... */
    bt_status (*plan)(const bt_conf *conf, bt_task_plan *plan, bt_error *err);
    /* Only the names of the metrics, into a plan of zeros, from keys alone. NULL: it has none. */
    bt_status (*name_metrics)(const bt_conf *conf, bt_task_plan *plan, bt_error *err);
    /* What the trainer shows and logs for one evaluation: from metrics and the mean loss. */
    bool reports_validation_loss;
    /* The names of the values that evaluation's finish appends, NULL-terminated: the metric of the
     * best checkpoint may be one of them. NULL: none. */
    const char *const    *output_names;
    const bt_task_output *evaluation; /* NULL: metrics are all there is */
    const bt_task_output *prediction; /* --mode=predict; NULL: it is refused */
} bt_task;

/* The task of an experiment: BT_E_UNSUPPORTED with one sentence for those whose training is not
 * built in. */
BT_MUST_USE bt_status bt_task_find(const char *experiment, const bt_task **out, bt_error *err);

/* A model is evaluated on the tokens that it was trained on: BT_E_CONFIG where both sections of the
 * plan read raw text and only one lowers its case, strips accents or parts Chinese characters. For
 * who changes the plan: plan() checks it too.
 */
BT_MUST_USE bt_status bt_task_check_same_case(const bt_conf *conf, const bt_task_plan *plan,
                                              bt_error *err);

/* What is wrong or missing in the encoder's sizes, in classes and their weights, and in texts,
 * vocabularies and lengths of the data sections that the mode reads. plan() takes it for granted,
 * but may be called before: then what it makes is not to be used. */
BT_MUST_USE bt_status bt_task_check(const bt_conf_check *check);

/* What logits say, one row of them at a time. */

/* Of each class [C] its probability: of several labels a row each by itself, else by softmax, in
 * double and rounded once. Returns the first of the largest. */
int64_t bt_task_probabilities(const bt_task_plan *plan, const float *logits, float *probabilities);
/* BT_E_FORMAT naming the row when one of n numbers is NaN or infinite. */
BT_MUST_USE bt_status bt_task_check_finite(const float *logits, int64_t n, int64_t row,
                                           bt_error *err);
/* A field of a table: TAB, LF, CR and the backslash as \t, \n, \r, \\. */
BT_MUST_USE bt_status bt_task_append_tsv(bt_str *line, const char *text, bt_error *err);
/* How answers to questions are chosen. */
BT_MUST_USE bt_status bt_task_squad_options(const bt_conf *conf, const bt_data_squad *source,
                                            bt_squad_answer_options *out, bt_error *err);

/* What training files say before anything is decided. */

/* bert/tagging: whether task.train_data.input_path is words with tags, and, where tags is not NULL,
 * which there are: O first, the others by their bytes. The caller deinits tags, also after a
 * failure. */
BT_MUST_USE bt_status bt_task_read_tags(const bt_conf *conf, bool *are_words, bt_text_labels *tags,
                                        bt_error *err);
/* bert/tagging: whether the files of a section are words with tags. */
BT_MUST_USE bt_status bt_task_are_words(const bt_conf *conf, const char *section, bool *out,
                                        bt_error *err);
/* bert/squad: whether it is SQuAD files, and whether one of their questions has no answer. */
BT_MUST_USE bt_status bt_task_find_unanswered(const bt_conf *conf, bool *are_questions,
                                              bool *any_unanswered, bt_error *err);

#endif
