/* SPDX-License-Identifier: Apache-2.0
 *
 * What bert-train predict says of each line, in the order of the lines: a line of TSV, or an object
 * of JSON. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/json_text.h"
#include "bt/base/number.h"
#include "bt/base/str.h"
#include "command_predict.h"

static bt_status put_number(bt_str *out, float value, bt_error *err) {
    char text[BT_F64_TEXT_MAX];
    return bt_str_append(out, bt_f32_repr(value, text), err);
}

/* A line's end, or a tab, inside of a field. */
static bt_status put_field(bt_str *out, const char *text, bt_error *err) {
    return bt_task_append_tsv(out, text, err);
}

static bt_status begin_object(const char *id, bt_str *out, bt_error *err) {
    return id[0] == '\0' ? bt_str_append_char(out, '{', err)
                         : bt_str_appendf(out, err, "{\"id\": %s, ", id);
}

static bt_status end_answer(predict_run *run, bt_error *err) {
    run->n_answers++;
    return bt_str_append(&run->out, run->is_json_out ? "}\n" : "\n", err);
}

/* Waiting lines. */

predict_pending *predict_push(predict_run *run) {
    predict_pending *const pending = &run->pending[(run->first + run->n) % run->cap];
    BT_ASSERT(run->n < run->cap);
    run->n++;
    bt_str_clear(&pending->words);
    bt_str_clear(&pending->texts);
    bt_str_clear(&pending->labels);
    bt_str_clear(&pending->scores);
    pending->n_words = 0;
    pending->n_done = 0;
    pending->at = 0;
    return pending;
}

static predict_pending *front(predict_run *run) {
    return &run->pending[run->first];
}

static void pop(predict_run *run) {
    run->first = (run->first + 1) % run->cap;
    run->n--;
}

/* Classes. */

/* Is class a to be named before class b? */
static bool goes_first(const predict_run *run, int32_t a, int32_t b) {
    const float *const p = run->probabilities;
    return p[a] > p[b] || (p[a] == p[b] && a < b);
}

/* The most probable first; returns how many are asked for. */
static int64_t order_classes(predict_run *run, int64_t best) {
    const int64_t  n = run->plan->labels.n;
    const int64_t  k = run->top_k == 0 || run->top_k > n ? n : run->top_k;
    int32_t *const order = run->order;
    order[0] = (int32_t)best;
    if (run->top_k == 1) {
        return 1;
    }
    for (int64_t c = 0; c < n; c++) {
        order[c] = (int32_t)c;
    }
    for (int64_t i = 0; i < k; i++) {
        int64_t first = i;
        for (int64_t j = i + 1; j < n; j++) {
            first = goes_first(run, order[j], order[first]) ? j : first;
        }
        const int32_t chosen = order[first];
        order[first] = order[i];
        order[i] = chosen;
    }
    return k;
}

static const char *name_of(const predict_run *run, int64_t c, char buffer[BT_TASK_LABEL_TEXT_MAX]) {
    return bt_task_label_text(&run->plan->labels, c, buffer);
}

static bt_status put_class_tsv(predict_run *run, int64_t n, bt_error *err) {
    char text[BT_TASK_LABEL_TEXT_MAX];
    for (int64_t i = 0; i < n; i++) {
        BT_TRY(bt_str_append(&run->out, i > 0 ? "\t" : "", err));
        BT_TRY(put_field(&run->out, name_of(run, run->order[i], text), err));
        BT_TRY(bt_str_append_char(&run->out, '\t', err));
        BT_TRY(put_number(&run->out, run->probabilities[run->order[i]], err));
    }
    return BT_OK;
}

static bt_status put_class_object(predict_run *run, int64_t c, bt_error *err) {
    char text[BT_TASK_LABEL_TEXT_MAX];
    BT_TRY(bt_str_append(&run->out, "\"label\": ", err));
    BT_TRY(bt_str_append_json(&run->out, name_of(run, c, text), err));
    BT_TRY(bt_str_append(&run->out, ", \"probability\": ", err));
    return put_number(&run->out, run->probabilities[c], err);
}

static bt_status put_class_json(predict_run *run, int64_t n, bt_error *err) {
    BT_TRY(put_class_object(run, run->order[0], err));
    if (run->top_k == 1) {
        return BT_OK;
    }
    BT_TRY(bt_str_append(&run->out, ", \"top\": [", err));
    for (int64_t i = 0; i < n; i++) {
        BT_TRY(bt_str_append(&run->out, i > 0 ? ", {" : "{", err));
        BT_TRY(put_class_object(run, run->order[i], err));
        BT_TRY(bt_str_append_char(&run->out, '}', err));
    }
    return bt_str_append_char(&run->out, ']', err);
}

/* Several labels a row: those that apply, and what each class has. */
static bt_status put_labels(predict_run *run, bt_error *err) {
    const int64_t n = run->plan->labels.n;
    char          text[BT_TASK_LABEL_TEXT_MAX];
    bool          is_first = true;
    BT_TRY(bt_str_append(&run->out, run->is_json_out ? "\"labels\": [" : "", err));
    for (int64_t c = 0; c < n; c++) {
        if ((double)run->probabilities[c] < run->plan->threshold) {
            continue;
        }
        BT_TRY(bt_str_append(&run->out, is_first ? "" : run->is_json_out ? ", " : ",", err));
        BT_TRY(run->is_json_out ? bt_str_append_json(&run->out, name_of(run, c, text), err)
                                : put_field(&run->out, name_of(run, c, text), err));
        is_first = false;
    }
    BT_TRY(bt_str_append(&run->out, run->is_json_out ? "], \"probabilities\": {" : "", err));
    for (int64_t c = 0; c < n; c++) {
        BT_TRY(bt_str_append(&run->out, !run->is_json_out ? "\t" : c > 0 ? ", " : "", err));
        if (run->is_json_out) {
            BT_TRY(bt_str_append_json(&run->out, name_of(run, c, text), err));
            BT_TRY(bt_str_append(&run->out, ": ", err));
        }
        BT_TRY(put_number(&run->out, run->probabilities[c], err));
    }
    return bt_str_append(&run->out, run->is_json_out ? "}" : "", err);
}

static bt_status put_text_answer(predict_run *run, const float *logits, bt_error *err) {
    const int64_t C = run->plan->head.num_classes;
    BT_TRY(bt_task_check_finite(logits, C, run->n_answers, err));
    if (run->plan->labels.n == 0) {
        BT_TRY(bt_str_append(&run->out, run->is_json_out ? "\"score\": " : "", err));
        return put_number(&run->out, logits[0], err);
    }
    const int64_t best = bt_task_probabilities(run->plan, logits, run->probabilities);
    if (run->plan->is_multi_label) {
        return put_labels(run, err);
    }
    const int64_t n = order_classes(run, best);
    return run->is_json_out ? put_class_json(run, n, err) : put_class_tsv(run, n, err);
}

static bt_status put_vector(predict_run *run, const float *vector, bt_error *err) {
    const int64_t H = run->plan->encoder.hidden_size;
    BT_TRY(bt_task_check_finite(vector, H, run->n_answers, err));
    BT_TRY(bt_str_append(&run->out, run->is_json_out ? "\"vector\": [" : "", err));
    for (int64_t i = 0; i < H; i++) {
        BT_TRY(bt_str_append(&run->out, i == 0 ? "" : run->is_json_out ? ", " : "\t", err));
        BT_TRY(put_number(&run->out, vector[i], err));
    }
    return bt_str_append(&run->out, run->is_json_out ? "]" : "", err);
}

static bt_status answer_texts(predict_run *run, const bt_batch *batch, const float *logits,
                              bt_error *err) {
    const bool    is_vector = run->kind == PREDICT_VECTORS;
    const int64_t n = is_vector ? run->plan->encoder.hidden_size : run->plan->head.num_classes;
    for (int64_t i = 0; i < batch->n_seqs; i++) {
        if (run->is_json_out) {
            BT_TRY(begin_object(bt_str_text(&front(run)->id), &run->out, err));
        }
        BT_TRY(is_vector ? put_vector(run, logits + i * n, err)
                         : put_text_answer(run, logits + i * n, err));
        BT_TRY(end_answer(run, err));
        pop(run);
    }
    return BT_OK;
}

/* Words. */

static bt_status end_sentence(predict_run *run, bt_error *err) {
    predict_pending *const p = front(run);
    if (run->is_json_out) {
        BT_TRY(begin_object(bt_str_text(&p->id), &run->out, err));
        BT_TRY(bt_str_appendf(&run->out, err, "\"words\": [%s], \"labels\": [%s], ",
                              bt_str_text(&p->texts), bt_str_text(&p->labels)));
        BT_TRY(bt_str_appendf(&run->out, err, "\"probabilities\": [%s]", bt_str_text(&p->scores)));
    } else {
        BT_TRY(bt_str_append_n(&run->out, bt_str_text(&p->texts), p->texts.len, err));
    }
    pop(run);
    return end_answer(run, err);
}

bt_status predict_answer_wordless(predict_run *run, bt_error *err) {
    while (run->n > 0 && front(run)->n_words == 0) {
        BT_TRY(end_sentence(run, err));
    }
    return BT_OK;
}

static bt_status put_word(predict_run *run, const float *logits, bt_error *err) {
    predict_pending *const p = front(run);
    char                   text[BT_TASK_LABEL_TEXT_MAX];
    char *const            word = p->words.data + p->at;
    BT_TRY(bt_task_check_finite(logits, run->plan->labels.n, run->n_answers, err));
    const int64_t     best = bt_task_probabilities(run->plan, logits, run->probabilities);
    const char *const label = name_of(run, best, text);
    p->at += strcspn(word, "\n") + 1;
    p->words.data[p->at - 1] = '\0';
    if (run->is_json_out) {
        const char *const comma = p->n_done > 0 ? ", " : "";
        BT_TRY(bt_str_append(&p->texts, comma, err));
        BT_TRY(bt_str_append_json(&p->texts, word, err));
        BT_TRY(bt_str_append(&p->labels, comma, err));
        BT_TRY(bt_str_append_json(&p->labels, label, err));
        BT_TRY(bt_str_append(&p->scores, comma, err));
        BT_TRY(put_number(&p->scores, run->probabilities[best], err));
    } else { /* a line a word, and an empty one after the sentence */
        BT_TRY(put_field(&p->texts, word, err));
        BT_TRY(bt_str_append_char(&p->texts, '\t', err));
        BT_TRY(put_field(&p->texts, label, err));
        BT_TRY(bt_str_append_char(&p->texts, '\t', err));
        BT_TRY(put_number(&p->texts, run->probabilities[best], err));
        BT_TRY(bt_str_append_char(&p->texts, '\n', err));
    }
    p->n_done++;
    return BT_OK;
}

static bt_status answer_words(predict_run *run, const bt_batch *batch, const float *logits,
                              bt_error *err) {
    for (int64_t t = 0; t < batch->n_tokens; t++) {
        if (batch->int_labels[t] < 0) {
            continue;
        }
        BT_TRY(predict_answer_wordless(run, err));
        BT_TRY(put_word(run, logits + t * run->plan->labels.n, err));
        if (front(run)->n_done == front(run)->n_words) {
            BT_TRY(end_sentence(run, err));
        }
    }
    return predict_answer_wordless(run, err);
}

/* Questions. */

static bt_status put_span(bt_str *out, bt_squad_text text, bool is_json, bt_error *err) {
    bt_str    copy = BT_STR_INIT;
    bt_status rc = bt_str_append_n(&copy, text.bytes, text.n_bytes, err);
    if (rc == BT_OK) {
        rc = is_json ? bt_str_append_json(out, bt_str_text(&copy), err)
                     : put_field(out, bt_str_text(&copy), err);
    }
    bt_str_deinit(&copy);
    return rc;
}

static bool is_same(bt_squad_text a, bt_squad_text b) {
    return a.n_bytes == b.n_bytes && (a.n_bytes == 0 || memcmp(a.bytes, b.bytes, a.n_bytes) == 0);
}

/* Of the candidate that is the answer; 0: it is none of them. */
static double probability_of(const bt_squad_answers *answers, bt_squad_text text) {
    for (int64_t k = 0; k < bt_squad_answers_n_candidates(answers, 0); k++) {
        const bt_squad_candidate c = bt_squad_answers_candidate(answers, 0, k);
        if (is_same(c.text, text)) {
            return c.probability;
        }
    }
    return 0;
}

static bt_status put_answer(predict_run *run, bt_squad_text text, double probability,
                            bt_error *err) {
    char number[BT_F64_TEXT_MAX];
    BT_TRY(bt_str_append(&run->out, run->is_json_out ? "\"answer\": " : "", err));
    BT_TRY(put_span(&run->out, text, run->is_json_out, err));
    return bt_str_appendf(&run->out, err, "%s%s", run->is_json_out ? ", \"probability\": " : "\t",
                          bt_f64_repr(probability, number));
}

static bt_status put_candidates(predict_run *run, bt_error *err) {
    const int64_t most = bt_squad_answers_n_candidates(run->answers, 0);
    const int64_t n = run->top_k == 0 || run->top_k > most ? most : run->top_k;
    if (run->is_json_out) {
        BT_TRY(bt_str_append(&run->out, ", \"top\": [", err));
    }
    for (int64_t k = 0; k < n; k++) {
        const bt_squad_candidate c = bt_squad_answers_candidate(run->answers, 0, k);
        if (run->is_json_out) {
            BT_TRY(bt_str_append(&run->out, k > 0 ? ", {" : "{", err));
        } else {
            BT_TRY(bt_str_append(&run->out, "\t", err));
        }
        BT_TRY(put_answer(run, c.text, c.probability, err));
        BT_TRY(bt_str_append(&run->out, run->is_json_out ? "}" : "", err));
    }
    return bt_str_append(&run->out, run->is_json_out ? "]" : "", err);
}

bt_status predict_answer_question(predict_run *run, const char *id, bt_error *err) {
    const bt_squad_prediction prediction = bt_squad_answers_prediction(run->answers, 0);
    if (run->is_json_out) {
        BT_TRY(begin_object(id, &run->out, err));
    }
    BT_TRY(put_answer(run, prediction.text, probability_of(run->answers, prediction.text), err));
    if (run->top_k != 1) {
        BT_TRY(put_candidates(run, err));
    }
    return end_answer(run, err);
}

static bt_status answer_windows(predict_run *run, const bt_batch *batch, const float *logits,
                                bt_error *err) {
    for (int64_t b = 0; b < batch->n_seqs; b++) {
        const float *const scores = logits + 2 * batch->offsets[b];
        const int64_t      n = batch->offsets[b + 1] - batch->offsets[b];
        BT_TRY(bt_task_check_finite(scores, 2 * n, run->n_answers, err));
        bt_squad_answers_add(run->answers, batch->example_ids[b], scores, scores + 1, 2, n);
    }
    return BT_OK;
}

bt_status predict_answer(void *context, const bt_batch *batch, bt_error *err) {
    predict_run *const run = context;
    const float       *logits = NULL;
    BT_TRY(bt_train_filter_logits(run->filter, batch, &logits, err));
    switch (run->kind) {
    case PREDICT_TEXTS:
    case PREDICT_VECTORS:
        return answer_texts(run, batch, logits, err);
    case PREDICT_WORDS:
        return answer_words(run, batch, logits, err);
    case PREDICT_QUESTIONS:
        return answer_windows(run, batch, logits, err);
    }
    return BT_OK;
}
