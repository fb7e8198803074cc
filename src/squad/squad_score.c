/* SPDX-License-Identifier: Apache-2.0
 *
 * Exact match and F1 of answers (squad_evaluate_v1_1; version 2.0 is in squad_score_v2.c). Texts
 * are compared as bags of words after lower case, without ASCII punctuation and articles. */
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/stop.h"
#include "squad_score.h"

static bool is_ascii_punctuation(unsigned char c) {
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~');
}

static bool is_article(const char *word, size_t n) {
    return (n == 1 && word[0] == 'a') || (n == 2 && memcmp(word, "an", 2) == 0) ||
           (n == 3 && memcmp(word, "the", 3) == 0);
}

/* Writes text without what is blank: words with one space between. */
typedef struct joiner {
    bt_str *out;
    size_t  begin;
    bool    is_pending; /* a space is due before the next character */
} joiner;

static bt_status put_run(joiner *j, const char *bytes, size_t n, bt_error *err) {
    if (j->is_pending && j->out->len > j->begin) {
        BT_TRY(bt_str_append_char(j->out, ' ', err));
    }
    j->is_pending = false;
    return bt_str_append_n(j->out, bytes, n, err);
}

/* A run of \w characters that is an article becomes a space, as re.sub(r"\b(a|an|the)\b", " ")
 * does; other characters stay. Afterwards " ".join(text.split()). */
static bt_status drop_articles(const char *text, size_t n_bytes, bt_str *out, bt_error *err) {
    const char       *at = text;
    const char *const end = text + n_bytes;
    const char       *run = text; /* of \w characters, up to `start` */
    joiner            j = {.out = out, .begin = out->len};
    while (at < end) {
        const char *const start = at;
        uint32_t          c = 0;
        const bool        is_valid = bt_text_read_utf8(&at, end, &c);
        if (is_valid && bt_text_is_word(c)) {
            continue;
        }
        if (start > run && is_article(run, (size_t)(start - run))) {
            j.is_pending = true;
        } else if (start > run) {
            BT_TRY(put_run(&j, run, (size_t)(start - run), err));
        }
        if (is_valid && bt_text_is_space(c)) {
            j.is_pending = true;
        } else {
            BT_TRY(put_run(&j, start, (size_t)(at - start), err));
        }
        run = at;
    }
    return end > run && !is_article(run, (size_t)(end - run))
               ? put_run(&j, run, (size_t)(end - run), err)
               : BT_OK;
}

bt_status squad_normalize(bt_text_scratch *scratch, bt_squad_text text, bt_str *out,
                          bt_error *err) {
    const char *lower = NULL;
    size_t      n = 0;
    bt_str      kept = BT_STR_INIT;
    bt_status   rc = BT_OK;
    BT_CHECK(bt_text_lower(scratch, text.bytes, text.n_bytes, &lower, &n, err));
    for (size_t i = 0; i < n; i++) {
        if (!is_ascii_punctuation((unsigned char)lower[i])) {
            BT_CHECK(bt_str_append_char(&kept, lower[i], err));
        }
    }
    rc = drop_articles(bt_str_text(&kept), kept.len, out, err);
done:
    bt_str_deinit(&kept);
    return rc;
}

void squad_scorer_deinit(squad_scorer *s) {
    bt_text_scratch_free(s->scratch);
    for (int i = 0; i < 2; i++) {
        bt_str_deinit(&s->bags[i].text);
        bt_free(s->bags[i].words);
    }
    *s = (squad_scorer){0};
}

bt_status squad_scorer_init(squad_scorer *s, bt_error *err) {
    *s = (squad_scorer){0};
    return bt_text_scratch_create(&s->scratch, err);
}

static int compare_words(const void *a, const void *b) {
    const bt_squad_text *const x = a;
    const bt_squad_text *const y = b;
    const size_t               n = x->n_bytes < y->n_bytes ? x->n_bytes : y->n_bytes;
    const int                  order = memcmp(x->bytes, y->bytes, n);
    return order != 0 ? order : (x->n_bytes > y->n_bytes) - (x->n_bytes < y->n_bytes);
}

bt_status squad_fill_bag(squad_scorer *s, word_bag *bag, bt_squad_text text, bt_error *err) {
    bag->n_words = 0;
    bt_str_clear(&bag->text);
    BT_TRY(squad_normalize(s->scratch, text, &bag->text, err));
    const char       *at = bt_str_text(&bag->text);
    const char *const end = at + bag->text.len;
    while (at < end) {
        const char *const blank = memchr(at, ' ', (size_t)(end - at));
        const size_t      n = (size_t)((blank == NULL ? end : blank) - at);
        BT_TRY(bt_grow(&bag->words, &bag->cap_words, bag->n_words + 1, sizeof *bag->words,
                       SIZE_MAX / 64, err));
        bag->words[bag->n_words++] = (bt_squad_text){at, n};
        at = blank == NULL ? end : blank + 1;
    }
    if (bag->n_words > 1) {
        qsort(bag->words, bag->n_words, sizeof *bag->words, compare_words);
    }
    return BT_OK;
}

static size_t count_common(const word_bag *a, const word_bag *b) {
    size_t n = 0;
    for (size_t i = 0, k = 0; i < a->n_words && k < b->n_words;) {
        const int order = compare_words(&a->words[i], &b->words[k]);
        n += order == 0 ? 1 : 0;
        i += order <= 0 ? 1 : 0;
        k += order >= 0 ? 1 : 0;
    }
    return n;
}

/* The original's order of operations: the result is the same double. */
static double f1_of(const word_bag *predicted, const word_bag *answer, bool version_2) {
    const size_t n_same = count_common(predicted, answer);
    if (version_2 && (predicted->n_words == 0 || answer->n_words == 0)) {
        return predicted->n_words == answer->n_words ? 1.0 : 0.0;
    }
    if (n_same == 0) {
        return 0.0;
    }
    const double precision = 1.0 * (double)n_same / (double)predicted->n_words;
    const double recall = 1.0 * (double)n_same / (double)answer->n_words;
    return (2 * precision * recall) / (precision + recall);
}

bt_status squad_compare_bag(squad_scorer *s, bt_squad_text answer, bool version_2, bool *exact,
                            double *f1, bt_error *err) {
    const word_bag *const predicted = &s->bags[0];
    word_bag *const       other = &s->bags[1];
    BT_TRY(squad_fill_bag(s, other, answer, err));
    *exact = predicted->text.len == other->text.len &&
             memcmp(bt_str_text(&predicted->text), bt_str_text(&other->text), other->text.len) == 0;
    *f1 = f1_of(predicted, other, version_2);
    return BT_OK;
}

static bt_status best_scores(squad_scorer *s, const bt_squad_set *set,
                             const bt_squad_question *question, bt_squad_text predicted,
                             bool *exact, double *f1, bt_error *err) {
    *exact = false;
    *f1 = 0;
    BT_TRY(squad_fill_bag(s, &s->bags[0], predicted, err));
    for (int64_t i = 0; i < question->n_answers; i++) {
        bool   is_exact = false;
        double this_f1 = 0;
        BT_TRY(squad_compare_bag(s, set->answers[question->first_answer + i], false, &is_exact,
                                 &this_f1, err));
        *exact = *exact || is_exact;
        *f1 = this_f1 > *f1 ? this_f1 : *f1;
    }
    return BT_OK;
}

bt_status bt_squad_score_v1(const bt_squad_set *set, const bt_squad_prediction *predictions,
                            bt_squad_scores_v1 *out, bt_error *err) {
    bt_status    rc = BT_OK;
    squad_scorer s = {0};
    double       exact_sum = 0;
    double       f1_sum = 0;
    *out = (bt_squad_scores_v1){0};
    BT_CHECK(squad_scorer_init(&s, err));
    for (int64_t q = 0; q < set->n_questions; q++) {
        const bt_squad_question *const question = &set->questions[q];
        bool                           exact = false;
        double                         f1 = 0;
        BT_CHECK(bt_stop_check(err));
        if (predictions[q].is_missing) {
            out->n_missing++;
            continue;
        }
        if (question->n_answers == 0) {
            (void)BT_FAIL(err, BT_E_FORMAT, "no answer to compare with");
            rc = bt_squad_blame(set, q, err);
            goto done;
        }
        BT_CHECK(best_scores(&s, set, question, predictions[q].text, &exact, &f1, err));
        exact_sum += exact ? 1 : 0;
        f1_sum += f1;
    }
    out->exact_match = exact_sum / (double)set->n_questions;
    out->f1 = f1_sum / (double)set->n_questions;
done:
    squad_scorer_deinit(&s);
    return rc;
}

bt_status bt_squad_score_each(const bt_squad_set *set, const bt_squad_prediction *predictions,
                              double *f1, bt_error *err) {
    bt_status    rc = BT_OK;
    squad_scorer s = {0};
    BT_CHECK(squad_scorer_init(&s, err));
    for (int64_t q = 0; q < set->n_questions; q++) {
        const bt_squad_question *const question = &set->questions[q];
        const bt_squad_text            text = predictions[q].text;
        bool                           exact = false;
        BT_CHECK(bt_stop_check(err));
        f1[q] = question->n_answers == 0 && text.n_bytes == 0 ? 1 : 0;
        if (question->n_answers > 0 && !predictions[q].is_missing) {
            BT_CHECK(best_scores(&s, set, question, text, &exact, &f1[q], err));
        }
    }
done:
    squad_scorer_deinit(&s);
    return rc;
}
