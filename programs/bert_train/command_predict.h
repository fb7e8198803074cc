/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of bert-train predict: lines that come in (predict_lines.c), what is made of one
 * (predict_rows.c), and what is said of it (predict_answers.c). */
#ifndef BT_CLI_COMMAND_PREDICT_H
#define BT_CLI_COMMAND_PREDICT_H

#include "bert_train.h"
#include "bt/squad.h"

/* Lines. */

typedef struct predict_lines predict_lines;
typedef enum predict_wait {
    PREDICT_LINE, /* there is one */
    PREDICT_NONE, /* not yet: whoever writes them may wait for answers */
    PREDICT_END,
} predict_wait;
/* path "-": standard input. */
BT_MUST_USE bt_status predict_lines_open(const char *path, predict_lines **out, bt_error *err);
void                  predict_lines_close(predict_lines *lines); /* accepts NULL */
/* The next line without its end, borrowed until the next call; valid UTF-8 without NULs. */
BT_MUST_USE bt_status predict_lines_next(predict_lines *lines, const char **line, size_t *n,
                                         predict_wait *what, bt_error *err);
/* Until there may be one. */
BT_MUST_USE bt_status predict_lines_wait(const predict_lines *lines, bt_error *err);
/* Puts "NAME: line N" of the last one before the message. Returns rc. */
bt_status predict_lines_blame(const predict_lines *lines, bt_status rc, bt_error *err);

/* Rows. */

/* In the order of the tables of fit_to_lines. */
typedef enum predict_kind {
    PREDICT_TEXTS,     /* a class, several or a score */
    PREDICT_VECTORS,   /* of a text */
    PREDICT_WORDS,     /* a tag each */
    PREDICT_QUESTIONS, /* an answer in their context */
} predict_kind;

/* What was read and is not answered yet. */
typedef struct predict_pending {
    bt_str id;    /* JSON, or empty: none was given */
    bt_str words; /* of PREDICT_WORDS, an LF after each */
    size_t n_words;
    size_t at;                    /* in words: of the next one without a tag */
    size_t n_done;                /* with tags */
    bt_str texts, labels, scores; /* JSON: lists of what is done; TSV: lines, in texts */
} predict_pending;

typedef struct predict_run {
    const bt_conf      *conf;
    const bt_task_plan *plan;
    bt_train_filter    *filter;
    bt_data_feed       *feed;
    predict_kind        kind;
    bt_conf_str_list    fields; /* keys of JSON for the texts; n 0: the usual ones */
    bool                is_json_in;
    bool                is_json_out;
    int64_t             top_k;   /* 0: all */
    predict_pending    *pending; /* [cap] owned; a ring */
    size_t              cap, first, n;
    float              *probabilities; /* [C] owned */
    int32_t            *order;         /* [C] owned */
    bt_squad_answers   *answers;       /* of the question in work; or NULL */
    bt_str              out;           /* answers that are not written yet */
    bt_str              json;          /* of a question */
    int64_t             n_answers;
} predict_run;

/* A line into rows; their answers may be made meanwhile. */
BT_MUST_USE bt_status predict_take_line(predict_run *run, const char *line, size_t n,
                                        bt_error *err);

/* Answers. */

/* A bt_data_feed_config.take: what the model says of the rows, appended to run->out. */
BT_MUST_USE bt_status predict_answer(void *run, const bt_batch *batch, bt_error *err);
/* One more that waits; the caller has made room (run->n < run->cap). */
predict_pending *predict_push(predict_run *run);
/* The answers of sentences without words that wait before all others. */
BT_MUST_USE bt_status predict_answer_wordless(predict_run *run, bt_error *err);
/* Of one question, which was asked with the id of JSON, or "". */
BT_MUST_USE bt_status predict_answer_question(predict_run *run, const char *id, bt_error *err);

#endif
