/* SPDX-License-Identifier: Apache-2.0
 *
 * squad: questions about a text, as SQuAD has them. Reading the files of versions 1.1 and 2.0,
 * cutting documents into windows that a model can read, from a score a token to answers, the
 * official scores, and the three files of predictions. What Model Garden's squad_lib and
 * squad_evaluate_* do (docs/model_garden/data.md section 4); no model, no configuration.
 *
 * Texts are UTF-8, not NUL-terminated where a length is beside them; offsets into a context
 * count code points, as in the files.
 */
#ifndef BT_SQUAD_H
#define BT_SQUAD_H

#include "bt/base/str.h"
#include "bt/text.h"
#include "bt/wire/example.h"

/* Questions. */

typedef struct bt_squad_text {
    const char *bytes;
    size_t      n_bytes;
} bt_squad_text;

/* A piece of a context between spaces: space, tab, CR, LF and U+202F, and nothing else. */
typedef struct bt_squad_word {
    uint32_t begin; /* byte in the context */
    uint32_t end;
    uint32_t first; /* code point in the context */
} bt_squad_word;

typedef struct bt_squad_paragraph {
    const char   *file;
    const char   *title;   /* of the article; NUL-terminated, "" where it has none */
    int64_t       article; /* in the file, from 1 */
    int64_t       number;  /* in the article, from 1; 0: of the flat form, where an item is all */
    bt_squad_text context;
    int64_t       n_codepoints;
    int64_t       first_word; /* in the set's words */
    int64_t       n_words;
} bt_squad_paragraph;

typedef struct bt_squad_question {
    bt_squad_text id; /* NUL-terminated */
    bt_squad_text text;
    int64_t       paragraph;
    int64_t       first_answer; /* in the set's answers */
    int64_t       n_answers;
    int64_t       first_word; /* training: the answer's words, numbers in the paragraph */
    int64_t       last_word;  /* training; below first_word: it has no answer (is_impossible) */
} bt_squad_question;

/* In the order of the files. Everything is owned by the set. */
typedef struct bt_squad_set {
    bt_squad_paragraph *paragraphs;
    int64_t             n_paragraphs;
    bt_squad_question  *questions;
    int64_t             n_questions;
    bt_squad_text      *answers;
    int64_t             n_answers;
    bt_squad_word      *words;
    int64_t             n_words;
    int64_t  n_skipped;          /* training: answers that are not where the file says; left out */
    uint32_t content;            /* crc32c of the files, one after the other */
    struct squad_memory *memory; /* file names, texts, and the room that there is */
} bt_squad_set;

typedef enum bt_squad_use {
    BT_SQUAD_TRAIN,    /* exactly one answer with its place, or is_impossible (version 2) */
    BT_SQUAD_EVALUATE, /* answers' texts; ids must differ */
    BT_SQUAD_PREDICT   /* answers need not be there; ids must differ */
} bt_squad_use;

/* Adds the questions of a file: SQuAD's articles and paragraphs, or flat as Hugging Face's datasets
 * have it, a list (alone, or "data" of an object) or lines of objects with id, context, question
 * and answers, where no answers are is_impossible. An id may be a number. set is zero-initialised
 * before the first; bt_squad_set_deinit also after a failure. version_2: training reads
 * is_impossible, and evaluation takes questions without answers. Errors name file, article,
 * paragraph and question: BT_E_IO, BT_E_FORMAT. */
BT_MUST_USE bt_status bt_squad_read(bt_squad_set *set, const char *path,
                                    const bt_text_encoding *encoding, bt_squad_use use,
                                    bool version_2, bt_error *err);
/* The same from memory; name is for messages. */
BT_MUST_USE bt_status bt_squad_parse(bt_squad_set *set, const char *json, size_t n_bytes,
                                     const char *name, bt_squad_use use, bool version_2,
                                     bt_error *err);
void                  bt_squad_set_deinit(bt_squad_set *set);
/* Does one of its answers occur in its context, to the byte? */
bool bt_squad_answer_occurs(const bt_squad_set *set, int64_t question);
/* Does some question of the file have no answer, as SQuAD 2's? A quick look for callers that have
 * not decided yet how to read it; what is wrong with the file is left to bt_squad_read. */
BT_MUST_USE bt_status bt_squad_find_unanswered(const char *path, const bt_text_encoding *encoding,
                                               bool *any, bt_error *err);
/* Puts "FILE: article N ('TITLE'), paragraph N, question 'ID'" before the message. */
BT_MUST_USE bt_status bt_squad_blame(const bt_squad_set *set, int64_t question, bt_error *err);

/* Windows. */

typedef struct bt_squad_window_options {
    int64_t max_seq_length;
    int64_t doc_stride;
    int64_t max_query_length;
    bool    xlnet_format; /* document [SEP] question [SEP] [CLS]; padding is of segment 3 */
} bt_squad_window_options;

/* One sequence: [CLS] question [SEP] part of the document [SEP]. */
typedef struct bt_squad_window {
    int64_t question;
    int32_t number; /* among the windows of its question, from 0 */
    int32_t n_query;
    int32_t doc_start; /* first document token in it */
    int32_t n_doc;
    int32_t answer_start; /* places in the sequence; 0 without answer */
    int32_t answer_end;
    bool    has_answer; /* training: the whole answer lies in it */
} bt_squad_window;

/* Unique ids of windows count from here. */
#define BT_SQUAD_FIRST_ID INT64_C(1000000000)

typedef struct bt_squad_windows bt_squad_windows;
/* Tokenises each context and each question once. set and tokenizer are borrowed and must outlive
 * the windows. A document without tokens has no window. BT_E_CONFIG: no room for the document, or a
 * stride of 0 where several windows are needed (the original never ends there). */
BT_MUST_USE bt_status  bt_squad_windows_create(bt_squad_windows **out, const bt_squad_set *set,
                                               const bt_text_tokenizer       *tokenizer,
                                               const bt_squad_window_options *options,
                                               bt_error                      *err);
void                   bt_squad_windows_free(bt_squad_windows *windows);
int64_t                bt_squad_n_windows(const bt_squad_windows *windows);
const bt_squad_window *bt_squad_window_at(const bt_squad_windows *windows, int64_t i);
const bt_squad_set    *bt_squad_windows_set(const bt_squad_windows *windows);
const bt_squad_window_options *bt_squad_windows_options(const bt_squad_windows *windows);
/* What the texts became: tokens of all documents and questions, each text once, how many of them
 * are `id`, and how many questions were cut to max_query_length. */
typedef struct bt_squad_tokens {
    int64_t n;
    int64_t n_id;
    int64_t n_cut;
} bt_squad_tokens;
bt_squad_tokens bt_squad_windows_count(const bt_squad_windows *windows, int32_t id);
/* First and one past the last window of a question. */
void bt_squad_windows_of(const bt_squad_windows *windows, int64_t question, int64_t *first,
                         int64_t *end);
/* Tokens of the sequence, padding not counted. */
int64_t bt_squad_window_length(const bt_squad_windows *windows, int64_t i);
/* ids and segments have room for max_seq_length; padding is not written. Returns the length. */
int64_t bt_squad_window_tokens(const bt_squad_windows *windows, int64_t i, int32_t *ids,
                               int32_t *segments);
/* Word of the paragraph at a place of the sequence, or -1: no document token is there. */
int64_t bt_squad_window_word(const bt_squad_windows *windows, int64_t i, int64_t place);
/* Does no other window show the document token at this place with more around it? */
bool bt_squad_window_is_max_context(const bt_squad_windows *windows, int64_t i, int64_t place);

/* Records: a window as the tf.Example that Model Garden writes, byte for byte. */

/* Memory of the caller, [max_seq_length] each; one a thread. */
typedef struct bt_squad_columns {
    int32_t *ids;
    int32_t *mask;
    int32_t *segments;
    int32_t *paragraph_mask;
} bt_squad_columns;

/* Appends one framed TFRecord to out. is_training: with the places of the answer and
 * is_impossible. */
BT_MUST_USE bt_status bt_squad_record_append(const bt_squad_windows *windows, int64_t i,
                                             bool is_training, bt_example_builder *builder,
                                             const bt_squad_columns *columns, bt_str *out,
                                             bt_error *err);
/* FOLDER/eval.tf_record as Model Garden's task writes it before an evaluation, made with the folder
 * when needed: all windows, then copies of the last one by its padding rule. */
BT_MUST_USE bt_status bt_squad_write_eval_records(const bt_squad_windows *windows,
                                                  int64_t batch_size, const char *folder,
                                                  bt_error *err);

/* Answers. */

typedef struct bt_squad_answer_options {
    int64_t n_best_size;
    int64_t max_answer_length; /* tokens */
    double  null_score_diff_threshold;
    bool    version_2; /* "" is an answer */
    bool    do_lower_case;
} bt_squad_answer_options;

typedef struct bt_squad_candidate {
    bt_squad_text text;
    float         start_logit;
    float         end_logit;
    double        probability; /* among the candidates of its question */
} bt_squad_candidate;

typedef struct bt_squad_prediction {
    bt_squad_text text;
    bool          is_missing; /* for scores: no prediction was made */
    double        null_odds;  /* version 2: score of no answer less that of the best answer */
} bt_squad_prediction;

/* Gathers scores of windows, in any order; keeps of each window the n_best_size best starts and
 * ends and the score of "no answer", never all logits. windows are borrowed. */
typedef struct bt_squad_answers bt_squad_answers;
BT_MUST_USE bt_status           bt_squad_answers_create(bt_squad_answers             **out,
                                                        const bt_squad_windows        *windows,
                                                        const bt_squad_answer_options *options,
                                                        bt_error                      *err);
void                            bt_squad_answers_free(bt_squad_answers *answers);
void bt_squad_answers_reset(bt_squad_answers *answers); /* forgets all scores */
/* Scores of the first n places of window i; logits stand `stride` apart. Scores beyond the window's
 * tokens take part in the choice of the best and are dropped then, as in Model Garden, which
 * computes padding. */
void    bt_squad_answers_add(bt_squad_answers *answers, int64_t i, const float *starts,
                             const float *ends, int64_t stride, int64_t n);
int64_t bt_squad_answers_n_windows(const bt_squad_answers *answers); /* that have scores */
/* Makes the answers from what was added. A question without any window in it gets the prediction
 * "empty" (version 2: "") . */
BT_MUST_USE bt_status bt_squad_answers_finish(bt_squad_answers *answers, bt_error *err);
/* After finish. Texts are borrowed until finish or free. */
bt_squad_prediction bt_squad_answers_prediction(const bt_squad_answers *answers, int64_t question);
int64_t            bt_squad_answers_n_candidates(const bt_squad_answers *answers, int64_t question);
bt_squad_candidate bt_squad_answers_candidate(const bt_squad_answers *answers, int64_t question,
                                              int64_t k); /* best first */
size_t             bt_squad_answers_memory_bytes(const bt_squad_answers *answers);

/* predictions.json, nbest_predictions.json and, for version 2, null_odds.json in folder, in the
 * bytes of Python's json.dumps(..., indent=4) and a newline. */
BT_MUST_USE bt_status bt_squad_answers_write(const bt_squad_answers *answers, const char *folder,
                                             bt_error *err);

/* The part of `original` that `predicted` (words of the basic tokenizer) stands for: the original
 * itself where they cannot be matched. Appended to out. */
BT_MUST_USE bt_status bt_squad_final_text(bt_text_scratch *scratch, bt_squad_text predicted,
                                          bt_squad_text original, bool do_lower_case, bt_str *out,
                                          bt_error *err);

/* Scores. */

/* squad_evaluate_v1_1: fractions of 1 over all questions. */
typedef struct bt_squad_scores_v1 {
    double  exact_match;
    double  f1;
    int64_t n_missing; /* questions without a prediction: 0 points */
} bt_squad_scores_v1;
/* predictions [n_questions of set]. A question without answers: BT_E_FORMAT. */
BT_MUST_USE bt_status bt_squad_score_v1(const bt_squad_set        *set,
                                        const bt_squad_prediction *predictions,
                                        bt_squad_scores_v1 *out, bt_error *err);

/* The F1 of each question, [n_questions]: 0 without a prediction; without answers 1 where the
 * prediction is "". For who shows them: the official scores are those above and below. */
BT_MUST_USE bt_status bt_squad_score_each(const bt_squad_set        *set,
                                          const bt_squad_prediction *predictions, double *f1,
                                          bt_error *err);

/* squad_evaluate_v2_0: percent, over the questions that have a prediction; null_odds are its
 * na_probs. NaN where there is nothing to divide by. */
typedef struct bt_squad_scores_v2 {
    double  exact, f1;
    int64_t total;
    double  has_answer_exact, has_answer_f1;
    int64_t has_answer_total;
    double  no_answer_exact, no_answer_f1;
    int64_t no_answer_total;
    double  best_exact, best_exact_threshold; /* of null_odds, chosen on these very predictions */
    double  best_f1, best_f1_threshold;
    double  exact_ap, f1_ap, oracle_ap; /* areas below precision and recall */
} bt_squad_scores_v2;
BT_MUST_USE bt_status bt_squad_score_v2(const bt_squad_set        *set,
                                        const bt_squad_prediction *predictions,
                                        bt_squad_scores_v2 *out, bt_error *err);

#endif
