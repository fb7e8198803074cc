/* SPDX-License-Identifier: Apache-2.0
 *
 * The scores of SQuAD 2.0 (squad_evaluate_v2_0): questions may have no answer, and a score of "no
 * answer" is beside each prediction. Sums run in the original's order, so that the results are
 * the same doubles. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/stop.h"
#include "squad_score.h"

/* Above this score "no answer" counts, whatever the text says. */
static const double no_answer_threshold = 1.0;

/* One question that has a prediction. */
typedef struct scored_question {
    double  exact;
    double  f1;
    double  null_odds;
    bool    has_answer; /* the file has one */
    bool    has_text;   /* the prediction is not "" */
    int64_t order;
} scored_question;

/* The largest over the answers that do not normalise to nothing; without any, "" is the answer. */
static bt_status score_question(squad_scorer *s, const bt_squad_set *set,
                                const bt_squad_question *question, scored_question *out,
                                bt_error *err) {
    static const bt_squad_text nothing = {"", 0};
    bool                       has_gold = false;
    for (int64_t i = 0; i <= question->n_answers; i++) {
        const bool is_last = i == question->n_answers;
        bool       exact = false;
        double     f1 = 0;
        if (is_last && has_gold) {
            break;
        }
        BT_TRY(squad_compare_bag(s, is_last ? nothing : set->answers[question->first_answer + i],
                                 true, &exact, &f1, err));
        if (!is_last && s->bags[1].text.len == 0) {
            continue;
        }
        has_gold = true;
        out->exact = exact ? 1.0 : out->exact;
        out->f1 = f1 > out->f1 ? f1 : out->f1;
    }
    return BT_OK;
}

static bt_status score_all(const bt_squad_set *set, const bt_squad_prediction *predictions,
                           scored_question *scored, int64_t *n, bt_error *err) {
    bt_status    rc = BT_OK;
    squad_scorer s = {0};
    *n = 0;
    BT_CHECK(squad_scorer_init(&s, err));
    for (int64_t q = 0; q < set->n_questions; q++) {
        const bt_squad_prediction *const prediction = &predictions[q];
        BT_CHECK(bt_stop_check(err));
        if (prediction->is_missing) {
            continue;
        }
        scored_question *const to = &scored[*n];
        *to = (scored_question){.null_odds = prediction->null_odds,
                                .has_answer = set->questions[q].n_answers > 0,
                                .has_text = prediction->text.n_bytes > 0,
                                .order = *n};
        BT_CHECK(squad_fill_bag(&s, &s.bags[0], prediction->text, err));
        BT_CHECK(score_question(&s, set, &set->questions[q], to, err));
        *n += 1;
    }
done:
    squad_scorer_deinit(&s);
    return rc;
}

typedef enum part { PART_ALL, PART_HAS_ANSWER, PART_NO_ANSWER } part;

static bool is_of(const scored_question *q, part which) {
    return which == PART_ALL || q->has_answer == (which == PART_HAS_ANSWER);
}

static double after_threshold(const scored_question *q, double score) {
    if (q->null_odds > no_answer_threshold) {
        return q->has_answer ? 0.0 : 1.0;
    }
    return score;
}

static void mean_scores(const scored_question *scored, int64_t n, part which, double *exact,
                        double *f1, int64_t *total) {
    double exact_sum = 0;
    double f1_sum = 0;
    *total = 0;
    for (int64_t i = 0; i < n; i++) {
        if (is_of(&scored[i], which)) {
            exact_sum += after_threshold(&scored[i], scored[i].exact);
            f1_sum += after_threshold(&scored[i], scored[i].f1);
            *total += 1;
        }
    }
    *exact = *total > 0 ? 100.0 * exact_sum / (double)*total : (double)NAN;
    *f1 = *total > 0 ? 100.0 * f1_sum / (double)*total : (double)NAN;
}

/* Thresholds and areas, over questions by ascending score of "no answer". */

static int compare_odds(const void *a, const void *b) {
    const scored_question *const x = a;
    const scored_question *const y = b;
    const int order = (x->null_odds > y->null_odds) - (x->null_odds < y->null_odds);
    return order != 0 ? order : (x->order > y->order) - (x->order < y->order);
}

typedef enum score_kind { SCORE_EXACT, SCORE_F1, SCORE_ORACLE } score_kind;

static double score_of(const scored_question *q, score_kind kind) {
    switch (kind) {
    case SCORE_EXACT:
        return q->exact;
    case SCORE_F1:
        return q->f1;
    case SCORE_ORACLE:
        return q->has_answer ? 1.0 : 0.0;
    }
    return 0.0;
}

static void find_best_threshold(const scored_question *sorted, int64_t n, int64_t n_no_answer,
                                score_kind kind, double *best_percent, double *threshold) {
    double score = (double)n_no_answer;
    double best = score;
    *threshold = 0.0;
    for (int64_t i = 0; i < n; i++) {
        const scored_question *const q = &sorted[i];
        score += q->has_answer ? score_of(q, kind) : q->has_text ? -1.0 : 0.0;
        if (score > best) {
            best = score;
            *threshold = q->null_odds;
        }
    }
    *best_percent = n > 0 ? 100.0 * best / (double)n : (double)NAN;
}

static double average_precision(const scored_question *sorted, int64_t n, int64_t n_has_answer,
                                score_kind kind) {
    double true_positives = 0.0;
    double last_recall = 0.0;
    double sum = 0.0;
    if (n_has_answer == 0) {
        return (double)NAN;
    }
    for (int64_t i = 0; i < n; i++) {
        true_positives += sorted[i].has_answer ? score_of(&sorted[i], kind) : 0.0;
        const double precision = true_positives / (double)(i + 1);
        const double recall = true_positives / (double)n_has_answer;
        if (i == n - 1 || sorted[i].null_odds != sorted[i + 1].null_odds) {
            sum += precision * (recall - last_recall); /* a threshold can be here */
            last_recall = recall;
        }
    }
    return 100.0 * sum;
}

bt_status bt_squad_score_v2(const bt_squad_set *set, const bt_squad_prediction *predictions,
                            bt_squad_scores_v2 *out, bt_error *err) {
    bt_status        rc = BT_OK;
    int64_t          n = 0;
    scored_question *scored = bt_alloc_array((size_t)set->n_questions, sizeof *scored);
    *out = (bt_squad_scores_v2){0};
    if (scored == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for scores of %" PRId64 " questions",
                       set->n_questions);
    }
    BT_CHECK(score_all(set, predictions, scored, &n, err));
    mean_scores(scored, n, PART_ALL, &out->exact, &out->f1, &out->total);
    mean_scores(scored, n, PART_HAS_ANSWER, &out->has_answer_exact, &out->has_answer_f1,
                &out->has_answer_total);
    mean_scores(scored, n, PART_NO_ANSWER, &out->no_answer_exact, &out->no_answer_f1,
                &out->no_answer_total);
    if (n > 1) {
        qsort(scored, (size_t)n, sizeof *scored, compare_odds);
    }
    find_best_threshold(scored, n, out->no_answer_total, SCORE_EXACT, &out->best_exact,
                        &out->best_exact_threshold);
    find_best_threshold(scored, n, out->no_answer_total, SCORE_F1, &out->best_f1,
                        &out->best_f1_threshold);
    out->exact_ap = average_precision(scored, n, out->has_answer_total, SCORE_EXACT);
    out->f1_ap = average_precision(scored, n, out->has_answer_total, SCORE_F1);
    out->oracle_ap = average_precision(scored, n, out->has_answer_total, SCORE_ORACLE);
done:
    bt_free(scored);
    return rc;
}
