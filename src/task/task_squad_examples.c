/* SPDX-License-Identifier: Apache-2.0
 *
 * The questions of an evaluation whose answers are wrong with the most confidence, for the report:
 * probability of the answer times what its F1 lacks. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "task_internal.h"

typedef struct wrong_answer {
    int64_t question;
    double  wrong;
} wrong_answer;

static int by_wrong(const void *a, const void *b) {
    const wrong_answer *const x = a;
    const wrong_answer *const y = b;
    if (x->wrong != y->wrong) {
        return x->wrong > y->wrong ? -1 : 1;
    }
    return (x->question > y->question) - (x->question < y->question);
}

static double probability_of(const bt_squad_answers *answers, int64_t question) {
    return bt_squad_answers_n_candidates(answers, question) > 0
               ? bt_squad_answers_candidate(answers, question, 0).probability
               : 0;
}

static bt_status put_text(bt_str *json, const char *key, bt_squad_text text, bt_error *err) {
    BT_TRY(bt_str_appendf(json, err, ", \"%s\": ", key));
    return bt_text_append_json_ascii(json, text.bytes, text.n_bytes, err);
}

static bt_status put_answer(bt_str *json, const task_squad_result *result, int64_t q, double f1,
                            bt_error *err) {
    const bt_squad_set *const      set = bt_squad_windows_set(result->windows);
    const bt_squad_question *const question = &set->questions[q];
    char                           number[BT_F64_TEXT_MAX];
    const double                   probability = probability_of(result->answers, q);
    BT_TRY(bt_str_appendf(json, err, "{\"f1\": %s", bt_f64_repr(f1, number)));
    BT_TRY(bt_str_appendf(json, err, ", \"probability\": %s",
                          isfinite(probability) ? bt_f64_repr(probability, number) : "null"));
    BT_TRY(put_text(json, "id", question->id, err));
    BT_TRY(put_text(json, "question", question->text, err));
    BT_TRY(put_text(json, "context", set->paragraphs[question->paragraph].context, err));
    BT_TRY(put_text(json, "prediction", result->predictions[q].text, err));
    BT_TRY(bt_str_append(json, ", \"answers\": [", err));
    for (int64_t i = 0; i < question->n_answers; i++) {
        const bt_squad_text answer = set->answers[question->first_answer + i];
        BT_TRY(bt_str_append(json, i > 0 ? ", " : "", err));
        BT_TRY(bt_text_append_json_ascii(json, answer.bytes, answer.n_bytes, err));
    }
    return bt_str_append(json, "]}", err);
}

/* wrong: room for all questions. */
static bt_status put_answers(bt_str *json, const task_squad_result *result, int64_t n_most,
                             const double *f1, wrong_answer *wrong, bt_error *err) {
    const int64_t n_questions = bt_squad_windows_set(result->windows)->n_questions;
    int64_t       n = 0;
    for (int64_t q = 0; q < n_questions; q++) {
        if (f1[q] < 1) {
            wrong[n++] = (wrong_answer){q, (1 - f1[q]) * probability_of(result->answers, q)};
        }
    }
    qsort(wrong, (size_t)n, sizeof *wrong, by_wrong);
    BT_TRY(bt_str_appendf(
        json, err, ", \"questions\": %" PRId64 ", \"wrong_questions\": %" PRId64 ", \"spans\": [",
        n_questions, n));
    for (int64_t i = 0; i < n && i < n_most; i++) {
        BT_TRY(bt_str_append(json, i > 0 ? ",\n  " : "\n  ", err));
        BT_TRY(put_answer(json, result, wrong[i].question, f1[wrong[i].question], err));
    }
    return bt_str_append(json, "]", err);
}

bt_status task_squad_explain(const task_squad_result *result, int64_t n_most, bt_str *json,
                             bt_error *err) {
    bt_status                 rc = BT_OK;
    const bt_squad_set *const set = bt_squad_windows_set(result->windows);
    double *const             f1 = bt_alloc_array((size_t)set->n_questions, sizeof *f1);
    wrong_answer *const       wrong = bt_alloc_array((size_t)set->n_questions, sizeof *wrong);
    if (f1 == NULL || wrong == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for the answers of the report");
        goto done;
    }
    BT_CHECK(bt_squad_score_each(set, result->predictions, f1, err));
    BT_CHECK(put_answers(json, result, n_most, f1, wrong, err));
done:
    bt_free(f1);
    bt_free(wrong);
    return rc;
}
