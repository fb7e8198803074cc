/* SPDX-License-Identifier: Apache-2.0
 *
 * Predictions of a tagger as a file: a tag for every word, which is that of its first piece (the
 * tokens whose label is not below 0). Sentences are the records, the records of one sentence_id, or
 * those of the text that the records were made of (words_path), and then words are written too.
 * TSV: a row a word. JSON lines: an object a sentence. CoNLL: word, true and predicted tag with
 * spaces between and an empty line after each sentence, as CoNLL's evaluation script reads it.
 * Memory does not grow with the data beyond one sentence. */
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/json_text.h"
#include "bt/base/log.h"
#include "task_internal.h"

typedef enum tag_format { TAGS_TSV, TAGS_JSONL, TAGS_CONLL } tag_format;

typedef struct tag_predictions {
    const bt_task_plan *plan;
    char               *path; /* owned */
    tag_format          format;
    task_file           file;
    task_words         *words;         /* or NULL */
    float              *probabilities; /* [C] owned */
    int64_t            *counts;        /* [C] owned */
    int64_t             n;             /* words */
    int64_t             n_records;
    int64_t             n_sentences; /* begun */
    int64_t             sentence_id; /* of the open one: as the records say, else its number */
    int64_t             place;       /* of the next word in its sentence */
    bool                is_open;
    bt_str              texts; /* JSON: lists of the open sentence */
    bt_str              labels;
    bt_str              scores;
} tag_predictions;

/* What is to be written of one word. */
typedef struct tagged_word {
    const char *text; /* NULL: not known */
    const char *label;
    const char *true_label; /* NULL: the word has none */
    float       probability;
} tagged_word;

static void destroy_tags(void *state) {
    tag_predictions *const p = state;
    if (p != NULL) {
        task_file_deinit(&p->file);
        task_words_free(p->words);
        bt_str_deinit(&p->texts);
        bt_str_deinit(&p->labels);
        bt_str_deinit(&p->scores);
        bt_free(p->path);
        bt_free(p->probabilities);
        bt_free(p->counts);
        bt_free(p);
    }
}

static bt_status set_up(tag_predictions *p, const bt_output_request *request, bt_error *err) {
    static const char *const formats[] = {
        [TAGS_TSV] = "tsv", [TAGS_JSONL] = "jsonl", [TAGS_CONLL] = "conll", "csv", NULL};
    const size_t n = (size_t)request->plan->head.num_classes;
    const char  *format = NULL;
    p->plan = request->plan;
    if (request->prediction->glue_folder != NULL) {
        return BT_FAIL(err, BT_E_CONFIG, "--glue_submission: GLUE has no task of tags");
    }
    BT_TRY(task_choose_format(request->prediction, formats, &format, err));
    p->file.is_csv = strcmp(format, "csv") == 0; /* a table like TSV */
    while (!p->file.is_csv && strcmp(formats[p->format], format) != 0) {
        p->format++;
    }
    BT_TRY(task_choose_path(request, format, &p->path, err));
    const bt_fs_named output = {task_output_name(request), p->path};
    BT_TRY(bt_task_check_outputs(request, &output, 1, err));
    BT_TRY(task_words_create(request->conf, &request->plan->labels,
                             &request->plan->prediction_schema.words, &p->words, err));
    p->probabilities = bt_calloc_array(n, sizeof *p->probabilities);
    p->counts = bt_calloc_array(n, sizeof *p->counts);
    if (p->probabilities == NULL || p->counts == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for predictions of %zu classes", n);
    }
    return BT_OK;
}

static bt_status create_tags(const bt_output_request *request, void **state, bt_error *err) {
    tag_predictions *const p = bt_calloc_array(1, sizeof *p);
    if (p == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for predictions");
    }
    const bt_status rc = set_up(p, request, err);
    if (rc != BT_OK) {
        destroy_tags(p);
        return rc;
    }
    *state = p;
    return BT_OK;
}

static bt_status reset_tags(void *state, bt_error *err) {
    tag_predictions *const p = state;
    p->n = 0;
    p->n_records = 0;
    p->n_sentences = 0;
    p->is_open = false;
    memset(p->counts, 0, (size_t)p->plan->head.num_classes * sizeof *p->counts);
    if (p->words != NULL) {
        BT_TRY(task_words_rewind(p->words, err));
    }
    BT_TRY(task_file_begin(&p->file, p->path, err));
    if (p->format != TAGS_TSV) {
        return BT_OK;
    }
    BT_TRY(bt_str_append(&p->file.line, "sentence\tword\t", err));
    BT_TRY(bt_str_append(&p->file.line, p->words != NULL ? "text\t" : "", err));
    BT_TRY(bt_str_append(&p->file.line, "label\tprobability", err));
    return task_file_end_line(&p->file, err);
}

static bt_status write_tsv(tag_predictions *p, const tagged_word *word, bt_error *err) {
    bt_str *const line = &p->file.line;
    BT_TRY(bt_str_appendf(line, err, "%" PRId64 "\t%" PRId64 "\t", p->sentence_id, p->place));
    if (p->words != NULL) {
        BT_TRY(bt_task_append_tsv(line, word->text, err));
        BT_TRY(bt_str_append_char(line, '\t', err));
    }
    BT_TRY(bt_task_append_tsv(line, word->label, err));
    BT_TRY(bt_str_append_char(line, '\t', err));
    BT_TRY(task_append_f32(line, word->probability, err));
    return task_file_end_line(&p->file, err);
}

static bt_status write_json(tag_predictions *p, const tagged_word *word, bt_error *err) {
    const char *const separator = p->place > 0 ? ", " : "";
    if (p->words != NULL) {
        BT_TRY(bt_str_append(&p->texts, separator, err));
        BT_TRY(bt_str_append_json(&p->texts, word->text, err));
    }
    BT_TRY(bt_str_append(&p->labels, separator, err));
    BT_TRY(bt_str_append_json(&p->labels, word->label, err));
    BT_TRY(bt_str_append(&p->scores, separator, err));
    return task_append_f32(&p->scores, word->probability, err);
}

/* Columns are separated by spaces: one inside of a word becomes "_". */
static bt_status append_column(bt_str *line, const char *text, bt_error *err) {
    /* no NULL where p->words is set: NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    for (; *text != '\0'; text++) {
        BT_TRY(bt_str_append_char(line, isspace((unsigned char)*text) ? '_' : *text, err));
    }
    return BT_OK;
}

static bt_status write_conll(tag_predictions *p, const tagged_word *word, bt_error *err) {
    bt_str *const line = &p->file.line;
    if (p->words != NULL) {
        BT_TRY(append_column(line, word->text, err));
        BT_TRY(bt_str_append_char(line, ' ', err));
    }
    if (word->true_label != NULL) {
        BT_TRY(append_column(line, word->true_label, err));
        BT_TRY(bt_str_append_char(line, ' ', err));
    }
    BT_TRY(append_column(line, word->label, err));
    return task_file_end_line(&p->file, err);
}

static bt_status write_word(tag_predictions *p, const tagged_word *word, bt_error *err) {
    switch (p->format) {
    case TAGS_TSV:
        return write_tsv(p, word, err);
    case TAGS_JSONL:
        return write_json(p, word, err);
    case TAGS_CONLL:
        return write_conll(p, word, err);
    }
    return BT_OK;
}

static bt_status append_list(bt_str *line, const char *name, bt_str *items, bt_error *err) {
    BT_TRY(bt_str_appendf(line, err, ", \"%s\": [", name));
    BT_TRY(bt_str_append_n(line, bt_str_text(items), items->len, err));
    bt_str_clear(items);
    return bt_str_append_char(line, ']', err);
}

static bt_status end_sentence(tag_predictions *p, bt_error *err) {
    bt_str *const line = &p->file.line;
    if (!p->is_open || p->format == TAGS_TSV) {
        return BT_OK;
    }
    if (p->format == TAGS_JSONL) {
        BT_TRY(bt_str_appendf(line, err, "{\"sentence\": %" PRId64, p->sentence_id));
        if (p->words != NULL) {
            BT_TRY(append_list(line, "words", &p->texts, err));
        }
        BT_TRY(append_list(line, "labels", &p->labels, err));
        BT_TRY(append_list(line, "probabilities", &p->scores, err));
        BT_TRY(bt_str_append_char(line, '}', err));
    }
    return task_file_end_line(&p->file, err);
}

static bt_status begin_sentence(tag_predictions *p, const bt_batch *batch, int64_t b,
                                bt_error *err) {
    BT_TRY(end_sentence(p, err));
    p->sentence_id = batch->sentence_ids != NULL ? batch->sentence_ids[b] : p->n_sentences;
    p->n_sentences++;
    p->place = 0;
    p->is_open = true;
    return BT_OK;
}

/* By what the records say; without numbers every record is a sentence. */
static bool continues(const tag_predictions *p, const bt_batch *batch, int64_t b) {
    return p->is_open && batch->sentence_ids != NULL && batch->sub_sentence_ids[b] > 0 &&
           batch->sentence_ids[b] == p->sentence_id;
}

/* The text must be that of the records: as many words, and no sentence within a record. */
static bt_status next_text(tag_predictions *p, const bt_batch *batch, int64_t b, bool is_first,
                           const char **text, bt_error *err) {
    char place[TASK_WORDS_PLACE_MAX];
    bool starts = false;
    BT_TRY(task_words_next(p->words, text, &starts, err));
    if (*text == NULL) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: the words end there, but record %" PRId64
                       " of task.validation_data.input_path has more: it was not made of this text",
                       task_words_place(p->words, place), p->n_records);
    }
    const bool is_piece = batch->sentence_ids != NULL && batch->sub_sentence_ids[b] > 0;
    if ((starts && (!is_first || is_piece)) ||
        (!starts && is_first && batch->sentence_ids != NULL && !is_piece)) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: a sentence %s here, but record %" PRId64
                       " of task.validation_data.input_path says otherwise: it was not made of "
                       "this text",
                       task_words_place(p->words, place), starts ? "begins" : "does not begin",
                       p->n_records);
    }
    return starts ? begin_sentence(p, batch, b, err) : BT_OK;
}

static bt_status add_word(tag_predictions *p, const bt_batch *batch, int64_t b, int64_t t,
                          bool is_first, const float *logits, bt_error *err) {
    const bt_task_labels *const labels = &p->plan->labels;
    tagged_word                 word = {0};
    char                        label_text[BT_TASK_LABEL_TEXT_MAX];
    char                        true_text[BT_TASK_LABEL_TEXT_MAX];
    BT_TRY(bt_task_check_finite(logits, labels->n, p->n_records, err));
    if (p->words != NULL) {
        BT_TRY(next_text(p, batch, b, is_first, &word.text, err));
    } else if (is_first && !continues(p, batch, b)) {
        BT_TRY(begin_sentence(p, batch, b, err));
    }
    const int64_t best = bt_task_probabilities(p->plan, logits, p->probabilities);
    word.label = bt_task_label_text(labels, best, label_text);
    if (p->words == NULL || task_words_has_label(p->words)) {
        word.true_label = bt_task_label_text(labels, batch->int_labels[t], true_text);
    }
    word.probability = p->probabilities[best];
    BT_TRY(write_word(p, &word, err));
    p->counts[best]++;
    p->n++;
    p->place++;
    return BT_OK;
}

static bt_status add_tags(void *state, const bt_batch *batch, const float *logits, bt_error *err) {
    tag_predictions *const p = state;
    for (int64_t b = 0; b < batch->n_seqs; b++) {
        bool is_first = true;
        for (int64_t t = batch->offsets[b]; t < batch->offsets[b + 1]; t++) {
            if (batch->int_labels[t] >= 0) {
                BT_TRY(add_word(p, batch, b, t, is_first, logits + t * p->plan->labels.n, err));
                is_first = false;
            }
        }
        p->n_records++;
    }
    return BT_OK;
}

static bt_status check_words_end(tag_predictions *p, bt_error *err) {
    char        place[TASK_WORDS_PLACE_MAX];
    const char *text = NULL;
    bool        starts = false;
    if (p->words == NULL) {
        return BT_OK;
    }
    BT_TRY(task_words_next(p->words, &text, &starts, err));
    if (text != NULL) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: the %" PRId64 " records of task.validation_data.input_path end before "
                       "this word: they were not made of this text",
                       task_words_place(p->words, place), p->n_records);
    }
    return BT_OK;
}

static bt_status write_tags(void *state, bt_error *err) {
    tag_predictions *const p = state;
    BT_TRY(check_words_end(p, err));
    BT_TRY(end_sentence(p, err));
    bt_task_notice_one_class("", &p->plan->labels, p->counts, p->plan->labels.n, p->n);
    BT_TRY(task_file_publish(&p->file, err));
    bt_log(BT_LOG_INFO, "wrote the tags of %" PRId64 " words in %" PRId64 " sentences to %s", p->n,
           p->n_sentences, p->path);
    return BT_OK;
}

const bt_task_output task_output_tags = {
    .create = create_tags,
    .destroy = destroy_tags,
    .reset = reset_tags,
    .add = add_tags,
    .write = write_tags,
};
