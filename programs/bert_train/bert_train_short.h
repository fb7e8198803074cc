/* SPDX-License-Identifier: Apache-2.0
 *
 * The short flags of bert-train among themselves: keys of the configuration, and columns of tables.
 */
#ifndef BT_CLI_BERT_TRAIN_SHORT_H
#define BT_CLI_BERT_TRAIN_SHORT_H

#include "bert_train.h"
#include "bt/base/str.h"
#include "bt/data.h"

#define TRAIN BT_CONF_TRAIN_DATA
#define VALIDATION BT_CONF_VALIDATION_DATA

enum { MAX_FIELDS = 16, MAX_WANTED = 3 * MAX_FIELDS, PATH_MAX_BYTES = 128 };

typedef struct short_run {
    const bt_flags *flags;
    const char     *params; /* the recalled run's: what is there is nothing that was typed */
    bt_conf        *conf;
    bt_conf_errors *errors;
    bt_str          told; /* "epochs 3, ...": what was decided */
} short_run;

/* bert_train_short_keys.c */

/* NULL: not given, or empty. */
const char *short_flag(const short_run *run, const char *name);
bool        short_is_written(const short_run *run, const char *path);
/* path: value, a text of YAML. */
BT_MUST_USE bt_status short_set(const short_run *run, const char *path, const char *value,
                                const char *origin, bt_error *err);
/* Unless the user wrote the key, or the experiment has none of that name. */
BT_MUST_USE bt_status short_decide(short_run *run, const char *path, const char *value,
                                   const char *origin, bt_error *err);
/* The same in both data sections. */
BT_MUST_USE bt_status short_decide_both(short_run *run, const char *key, const char *value,
                                        const char *origin, bt_error *err);
BT_MUST_USE bt_status short_decide_text(short_run *run, const char *path, const char *text,
                                        const char *origin, bt_error *err);
/* What the flag says into the key; what the user wrote there must be the same. */
BT_MUST_USE bt_status short_put(const short_run *run, const char *flag, const char *path,
                                const char *const *items, size_t n, bool is_list, bt_error *err);
BT_MUST_USE bt_status short_put_path(const short_run *run, const char *flag, const char *path,
                                     bt_error *err);

/* bert_train_short_table.c */

typedef struct column_list {
    char        text[1024];
    const char *items[MAX_FIELDS];
    size_t      n;
} column_list;

/* Names of columns that are taken for what they say; pairs first, of one text the second is NULL.
 */
enum { SHORT_N_KNOWN_TEXTS = 8 };
extern const char *const short_known_texts[SHORT_N_KNOWN_TEXTS][2];

/* What --text and --label say. */
BT_MUST_USE bt_status short_read_columns(const short_run *run, column_list *texts,
                                         column_list *labels, bt_error *err);
/* The table that --train names: its columns and classes, of sentences; of pairs its columns. */
BT_MUST_USE bt_status short_use_table(short_run *run, const char *input, column_list *texts,
                                      column_list *labels, bt_error *err);
BT_MUST_USE bt_status short_use_pairs(short_run *run, const char *input, column_list *texts,
                                      bt_error *err);
/* Words with tags and SQuAD's questions: bert_train_short_tasks.c. */
BT_MUST_USE bt_status short_use_words(short_run *run, const char *input, const column_list *texts,
                                      const column_list *labels, bt_error *err);
BT_MUST_USE bt_status short_use_questions(short_run *run, const char *input, bt_error *err);
/* Epochs and learning rate. */
BT_MUST_USE bt_status short_decide_steps(short_run *run, bt_error *err);

/* bert_train_short_checks.c */

/* --train that is missing, --init that is one too many. */
BT_MUST_USE bt_status short_check_flags(const short_run *run, bt_error *err);
/* Training data that are text: weights must be named; without --eval a tenth is held out. */
BT_MUST_USE bt_status short_use_text(short_run *run, const char *input, bt_error *err);
/* What a section would take for records is refused where it is text (advice: what to do). */
BT_MUST_USE bt_status short_refuse_text(const short_run *run, const char *section,
                                        const char *advice, bt_error *err);
/* Training data that are not text: refused likewise, or where nothing is there to evaluate with. */
BT_MUST_USE bt_status short_use_records(const short_run *run, const char *input, const char *advice,
                                        bt_error *err);
/* A run that goes on has its words in params.yaml, and needs no weights. */
BT_MUST_USE bt_status short_goes_on(const short_run *run, bool *out, bt_error *err);
bool                  short_has_column(const bt_data_survey *survey, const char *name);
/* The columns of the table that the flag (train, eval, predict) names against those that are
 * wanted. */
BT_MUST_USE bt_status short_check_columns(const short_run *run, const char *flag, bt_error *err);

/* bert_train_short_table.c, bert_train_short_tasks.c */

/* The columns that a flag names into both sections, without a look at a table. */
BT_MUST_USE bt_status short_put_columns(const short_run *run, const char *flag, const char *key,
                                        const column_list *columns, bool is_list, bt_error *err);

#endif
