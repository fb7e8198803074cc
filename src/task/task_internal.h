/* SPDX-License-Identifier: Apache-2.0
 *
 * The task objects of this room, one file each, listed in task_list.def; and what they share. */
#ifndef BT_TASK_INTERNAL_H
#define BT_TASK_INTERNAL_H

#include "bt/base/str.h"
#include "bt/fs.h"
#include "bt/task.h"

extern const bt_task bt_task_dual_encoder;
extern const bt_task bt_task_sentence_prediction;
extern const bt_task bt_task_squad;
extern const bt_task bt_task_tagging;

/* Configuration. */

#define TASK_ENCODER "task.model.encoder"
/* task_encoder.c: task.model.encoder, which bt_task_check has looked at. */
BT_MUST_USE bt_status task_read_encoder(const bt_conf *conf, bt_encoder_config *encoder,
                                        bt_error *err);
/* task_data.c: what the data sections of all tasks say: length, sizes of the encoder, and padding,
 * which is kept only when asked for. *is_used: it names an input; else it is not in use, and not
 * checked.
 */
BT_MUST_USE bt_status task_begin_schema(const bt_conf *conf, const char *section,
                                        const bt_task_plan *plan, bt_data_schema *schema,
                                        bool *is_used, bt_error *err);
/* vocab_file and lower_case of a section that may be raw text. */
BT_MUST_USE bt_status task_read_vocab_keys(const bt_conf *conf, const char *section,
                                           bt_data_text *text, bt_error *err);
/* strip_accents and tokenize_chinese_chars of a section. */
BT_MUST_USE bt_status task_read_treatment(const bt_conf *conf, const char *section,
                                          bt_text_accents *accents, bool *chinese_joined,
                                          bt_error *err);
/* text_rules of a section that has the key. */
BT_MUST_USE bt_status task_read_rules(const bt_conf *conf, const char *section, bt_text_rules *out,
                                      bt_error *err);
/* task.hub_module_url or task.init_checkpoint is set: a vocab_file that is empty may be theirs. */
bool task_may_have_vocab(const bt_conf *conf);
/* task_class_rule.c: task.class_weights and task.label_smoothing into the plan; head is done. */
BT_MUST_USE bt_status task_read_class_rule(const bt_conf *conf, bt_task_plan *plan, bt_error *err);
/* task_labels.c: names and meta data into labels, whose n is set, unless the names count the
 * classes. names_key: "task.class_names"; it need not exist. */
BT_MUST_USE bt_status task_read_labels(const bt_conf *conf, const char *names_key, bool names_count,
                                       bt_task_labels *labels, bt_error *err);

/* task_metrics.c: appends to Model Garden's metrics, which are in the plan, those that are ours.
 * n_classes: 1 where it is not known yet. */
BT_MUST_USE bt_status task_plan_own_metrics(const bt_conf *conf, int64_t n_classes,
                                            bt_task_plan *plan, bt_error *err);
/* task_decision.c: task.decision_threshold and task.calibrate; head and metric_unit are done. */
BT_MUST_USE bt_status task_read_decision(const bt_conf *conf, bt_task_plan *plan, bt_error *err);
/* task_check.c: how many values of task.model.eval_top_k there is room for among the metrics. */
size_t task_top_k_most(bool is_bidirectional);

/* Outputs. */

extern const bt_task_output task_output_sentences; /* task_predictions.c */
extern const bt_task_output task_output_squad;     /* task_squad_output.c */
extern const bt_task_output task_output_squad_predictions;
/* Values of an evaluation of squad, NULL-terminated: the first ones of version 1.1, all of 2.0. */
extern const char *const task_squad_value_names[];
enum { TASK_SQUAD_N_VALUES_V1 = 2 };
/* task_squad_examples.c: what the pass of an evaluation came to, and its part of the report
 * (bt_task_output.explain). Borrowed. */
typedef struct task_squad_result {
    const bt_squad_windows    *windows;
    const bt_squad_answers    *answers;
    const bt_squad_prediction *predictions; /* [n_questions] */
} task_squad_result;
BT_MUST_USE bt_status       task_squad_explain(const task_squad_result *result, int64_t n_most,
                                               bt_str *json, bt_error *err);
extern const bt_task_output task_output_vectors; /* task_vectors.c */
extern const bt_task_output task_output_tags;    /* task_tag_predictions.c */

/* The format of a prediction file: asked for, or inferred from the extension of its path.
 * BT_E_CONFIG unless it is one of formats (NULL-terminated; the first is for other extensions). */
BT_MUST_USE bt_status task_choose_format(const bt_prediction_args *args, const char *const *formats,
                                         const char **out, bt_error *err);
/* args->output_path, or the task's own name in model_dir. The caller bt_free()s *out. */
BT_MUST_USE bt_status task_choose_path(const bt_output_request *request, const char *format,
                                       char **out, bt_error *err);
/* Zero-initialise. A line is put together in `line`, then ended. */
typedef struct task_file {
    bt_fs_writer *writer; /* NULL between passes */
    bool          is_csv; /* lines are put together as TSV, and written as CSV (RFC 4180) */
    bt_str        line;
    bt_str        csv; /* the line as it is written then */
} task_file;
/* Makes the folder; what was begun before is dropped. Of files that are published together the
 * last one is begun first: what a killed pass left undone is noted beside that one. */
BT_MUST_USE bt_status task_file_begin(task_file *file, const char *path, bt_error *err);
BT_MUST_USE bt_status task_file_end_line(task_file *file, bt_error *err);
BT_MUST_USE bt_status task_file_publish(task_file *file, bt_error *err);
/* All or none. */
enum { TASK_FILES_MAX = 3 };
BT_MUST_USE bt_status task_files_publish(task_file *const *files, size_t n, bt_error *err);
void                  task_file_abort(task_file *file);
void                  task_file_deinit(task_file *file);
/* The shortest text that reads as the same number. */
BT_MUST_USE bt_status task_append_f32(bt_str *line, float value, bt_error *err);
/* bt_task_append_tsv of n bytes. */
BT_MUST_USE bt_status task_append_tsv_n(bt_str *line, const char *text, size_t n, bt_error *err);

/* What the main output is called in messages. */
const char *task_output_name(const bt_output_request *request);

/* The words that tagged records were made of, one for each word that has a prediction
 * (task_words.c). */
typedef struct task_words task_words;
/* task.validation_data.words_path and its form; *out stays NULL where it is empty. */
/* words_format, words_column and, of words with tags, label_column and repair_bio of a section
 * whose input they are; words_format is conll where it is empty. */
BT_MUST_USE bt_status task_read_word_form(const bt_conf *conf, const char *section,
                                          bt_text_word_form *form, bt_error *err);
/* input: of the records' schema. */
BT_MUST_USE bt_status task_words_create(const bt_conf *conf, const bt_task_labels *labels,
                                        const bt_data_words *input, task_words **out,
                                        bt_error *err);
void                  task_words_free(task_words *words); /* accepts NULL */
BT_MUST_USE bt_status task_words_rewind(task_words *words, bt_error *err);
/* The next word, NUL-terminated, borrowed until the next call; *starts: a sentence begins with it.
 * *word NULL: there is none. */
BT_MUST_USE bt_status task_words_next(task_words *words, const char **word, bool *starts,
                                      bt_error *err);
/* "FILE:LINE" of the word read last into buffer, for messages; returns it. */
enum { TASK_WORDS_PLACE_MAX = 512 };
/* Is the last word's label known? Not, where the input is words and this one has no tag. */
bool        task_words_has_label(const task_words *words);
const char *task_words_place(const task_words *words, char buffer[TASK_WORDS_PLACE_MAX]);

/* task_gold.c: pairs of ids that are known to belong together, sorted, each once. */
typedef struct task_gold_pair {
    int64_t left;
    int64_t right;
} task_gold_pair;
typedef struct task_gold {
    task_gold_pair *pairs; /* owned */
    int64_t         n;
    size_t          cap;
} task_gold;
BT_MUST_USE bt_status task_gold_read(task_gold *gold, const char *path, bt_error *err);
bool                  task_gold_has(const task_gold *gold, int64_t left, int64_t right);
void                  task_gold_deinit(task_gold *gold);

/* The leaderboard's file of one GLUE task (task_glue.c). */
typedef struct task_glue task_glue;
BT_MUST_USE bt_status    task_glue_create(const bt_output_request *request, task_glue **out,
                                          bt_error *err);
void                     task_glue_free(task_glue *glue); /* accepts NULL */
BT_MUST_USE bt_status    task_glue_begin(task_glue *glue, bt_error *err);
/* id: the predicted class; score: the prediction of a regression */
BT_MUST_USE bt_status task_glue_add(task_glue *glue, int64_t id, float score, bt_error *err);
/* To be published with the predictions themselves; what is to be said of it, after that. */
task_file  *task_glue_file(task_glue *glue);
void        task_glue_tell(const task_glue *glue);
const char *task_glue_path(const task_glue *glue);

#endif
