/* SPDX-License-Identifier: Apache-2.0
 *
 * Scores of windows -> answers (squad_lib's postprocess_output). Sums and comparisons are those of
 * float32, as the original's NumPy makes them; equal scores keep their order. */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/size.h"
#include "bt/base/stop.h"
#include "squad_answers.h"

enum { MAX_PAIRS = 1 << 28 };

static bt_status reserve(bt_squad_answers *a, bt_error *err) {
    const size_t n_windows = (size_t)bt_squad_n_windows(a->windows);
    const size_t n_questions = (size_t)bt_squad_windows_set(a->windows)->n_questions;
    size_t       n_places = 0;
    if (bt_size_mul(n_windows, 2 * (size_t)a->n_keep, &n_places)) {
        a->places = bt_alloc_array(n_places, sizeof *a->places);
        a->scores = bt_alloc_array(n_windows, sizeof *a->scores);
        a->predictions = bt_calloc_array(n_questions, sizeof *a->predictions);
        a->nbest_first = bt_calloc_array(n_questions + 1, sizeof *a->nbest_first);
        a->n_places = n_places;
    }
    if (a->places == NULL || a->scores == NULL || a->predictions == NULL ||
        a->nbest_first == NULL) {
        return BT_FAIL(err, BT_E_NOMEM,
                       "out of memory for the %" PRId64 " best places of %zu windows: lower "
                       "n_best_size",
                       a->n_keep, n_windows);
    }
    return bt_text_scratch_create(&a->scratch, err);
}

bt_status bt_squad_answers_create(bt_squad_answers **out, const bt_squad_windows *windows,
                                  const bt_squad_answer_options *options, bt_error *err) {
    bt_status         rc = BT_OK;
    const int64_t     length = bt_squad_windows_options(windows)->max_seq_length;
    bt_squad_answers *a = bt_calloc_array(1, sizeof *a);
    if (a == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for answers");
    }
    BT_ASSERT(options->n_best_size >= 1 && !bt_squad_windows_options(windows)->xlnet_format);
    a->windows = windows;
    a->options = *options;
    a->n_keep = options->n_best_size < length ? options->n_best_size : length;
    BT_CHECK(reserve(a, err));
    bt_squad_answers_reset(a);
    *out = a;
    a = NULL;
done:
    bt_squad_answers_free(a);
    return rc;
}

void bt_squad_answers_free(bt_squad_answers *answers) {
    if (answers != NULL) {
        bt_text_scratch_free(answers->scratch);
        bt_free(answers->places);
        bt_free(answers->scores);
        bt_free(answers->pairs);
        bt_free(answers->predictions);
        bt_free(answers->nbest_first);
        bt_free(answers->nbest);
        bt_str_deinit(&answers->texts);
        bt_str_deinit(&answers->pieces);
        bt_str_deinit(&answers->original);
        bt_free(answers);
    }
}

void bt_squad_answers_reset(bt_squad_answers *answers) {
    const int64_t n = bt_squad_n_windows(answers->windows);
    for (int64_t i = 0; i < n; i++) {
        answers->scores[i] = (window_scores){.n_starts = 0, .n_ends = 0};
    }
    answers->n_with_scores = 0;
}

int64_t bt_squad_answers_n_windows(const bt_squad_answers *answers) {
    return answers->n_with_scores;
}

size_t bt_squad_answers_memory_bytes(const bt_squad_answers *answers) {
    return answers->n_places * sizeof *answers->places +
           (size_t)bt_squad_n_windows(answers->windows) * sizeof *answers->scores +
           answers->cap_pairs * sizeof *answers->pairs +
           answers->cap_nbest * sizeof *answers->nbest + answers->texts.cap;
}

/* What is not a number must not decide an order: it counts as the lowest score. */
static float orderly(float logit) {
    return logit > -FLT_MAX ? logit : -FLT_MAX;
}

/* The n_keep largest, the first of equals first. Returns how many. */
static int32_t choose_best(scored_place *best, int64_t n_keep, const float *logits, int64_t stride,
                           int64_t n) {
    int64_t n_best = 0;
    for (int64_t t = 0; t < n; t++) {
        const float logit = orderly(logits[t * stride]);
        if (n_best == n_keep && !(logit > best[n_best - 1].logit)) {
            continue;
        }
        int64_t at = n_best < n_keep ? n_best++ : n_best - 1;
        for (; at > 0 && logit > best[at - 1].logit; at--) {
            best[at] = best[at - 1];
        }
        best[at] = (scored_place){.place = (int32_t)t, .logit = logit};
    }
    return (int32_t)n_best;
}

void bt_squad_answers_add(bt_squad_answers *answers, int64_t i, const float *starts,
                          const float *ends, int64_t stride, int64_t n) {
    window_scores *const scores = &answers->scores[i];
    scored_place *const  places = answers->places + 2 * i * answers->n_keep;
    BT_ASSERT(n >= 1);
    answers->n_with_scores += scores->n_starts == 0 ? 1 : 0;
    scores->n_starts = choose_best(places, answers->n_keep, starts, stride, n);
    scores->n_ends = choose_best(places + answers->n_keep, answers->n_keep, ends, stride, n);
    scores->null_start = orderly(starts[0]);
    scores->null_end = orderly(ends[0]);
}

static bt_status add_pair(bt_squad_answers *a, scored_pair pair, bt_error *err) {
    BT_TRY(bt_grow(&a->pairs, &a->cap_pairs, a->n_pairs + 1, sizeof *a->pairs, MAX_PAIRS, err));
    pair.order = (uint32_t)a->n_pairs;
    pair.score = pair.start_logit + pair.end_logit;
    a->pairs[a->n_pairs++] = pair;
    return BT_OK;
}

/* Both ends in the document, in order, not too long, and no window shows the start better. */
static bt_status add_pairs_of_window(bt_squad_answers *a, int64_t window, bt_error *err) {
    const window_scores *const scores = &a->scores[window];
    const scored_place *const  starts = a->places + 2 * window * a->n_keep;
    const scored_place *const  ends = starts + a->n_keep;
    for (int32_t i = 0; i < scores->n_starts; i++) {
        const int32_t start = starts[i].place;
        if (bt_squad_window_word(a->windows, window, start) < 0 ||
            !bt_squad_window_is_max_context(a->windows, window, start)) {
            continue;
        }
        for (int32_t k = 0; k < scores->n_ends; k++) {
            const int32_t end = ends[k].place;
            if (end < start || end - start + 1 > a->options.max_answer_length ||
                bt_squad_window_word(a->windows, window, end) < 0) {
                continue;
            }
            BT_TRY(add_pair(a,
                            (scored_pair){.window = window,
                                          .start = start,
                                          .end = end,
                                          .start_logit = starts[i].logit,
                                          .end_logit = ends[k].logit},
                            err));
        }
    }
    return BT_OK;
}

static int compare_pairs(const void *x, const void *y) {
    const scored_pair *const a = x;
    const scored_pair *const b = y;
    const int                order = (a->score < b->score) - (a->score > b->score);
    return order != 0 ? order : (a->order > b->order) - (a->order < b->order);
}

/* Model Garden starts its search for the smallest score from this number. */
static const float no_null_score = 1000000.0F;

/* All pairs of the question, best first; null: the window that is surest of "no answer". */
static bt_status gather_pairs(bt_squad_answers *a, int64_t question, null_answer *null,
                              bt_error *err) {
    int64_t first = 0;
    int64_t end = 0;
    *null = (null_answer){.score = no_null_score};
    a->n_pairs = 0;
    bt_squad_windows_of(a->windows, question, &first, &end);
    for (int64_t i = first; i < end; i++) {
        const window_scores *const scores = &a->scores[i];
        const float                score = scores->null_start + scores->null_end;
        if (scores->n_starts == 0) {
            continue; /* no scores came for it */
        }
        if (score < null->score) {
            *null = (null_answer){score, scores->null_start, scores->null_end};
        }
        BT_TRY(add_pairs_of_window(a, i, err));
    }
    if (a->options.version_2) {
        BT_TRY(add_pair(a,
                        (scored_pair){.window = NULL_WINDOW,
                                      .start_logit = null->start_logit,
                                      .end_logit = null->end_logit},
                        err));
    }
    if (a->n_pairs > 1) {
        qsort(a->pairs, a->n_pairs, sizeof *a->pairs, compare_pairs);
    }
    return BT_OK;
}

/* The pieces of a span as a text: "##" joins to what is before. */
static bt_status join_pieces(bt_squad_answers *a, const scored_pair *pair, const int32_t *ids,
                             bt_error *err) {
    const bt_text_vocab *const vocab = squad_vocab(a->windows);
    bt_str_clear(&a->pieces);
    for (int32_t t = pair->start; t <= pair->end; t++) {
        size_t            n = 0;
        const char *const piece = bt_text_vocab_piece(vocab, ids[t - pair->start], &n);
        BT_TRY(bt_str_append(&a->pieces, t > pair->start ? " " : "", err));
        BT_TRY(bt_str_append_n(&a->pieces, piece, n, err));
    }
    return BT_OK;
}

/* replace(" ##", ""), replace("##", ""), and spaces collapsed; in place. */
static void clean_pieces(bt_str *pieces) {
    size_t n = 0;
    for (size_t i = 0; i < pieces->len;) {
        const size_t left = pieces->len - i;
        const char  *at = pieces->data + i;
        if (left >= 3 && memcmp(at, " ##", 3) == 0) {
            i += 3;
        } else {
            pieces->data[n++] = *at;
            i++;
        }
    }
    size_t m = 0;
    for (size_t i = 0; i < n;) {
        if (n - i >= 2 && memcmp(pieces->data + i, "##", 2) == 0) {
            i += 2;
        } else if (pieces->data[i] == ' ' && (m == 0 || pieces->data[m - 1] == ' ')) {
            i++;
        } else {
            pieces->data[m++] = pieces->data[i++];
        }
    }
    pieces->len = m > 0 && pieces->data[m - 1] == ' ' ? m - 1 : m;
}

/* Appends the answer's text to a->texts. */
static bt_status make_text(bt_squad_answers *a, const scored_pair *pair, bt_error *err) {
    const bt_squad_set *const    set = bt_squad_windows_set(a->windows);
    const bt_squad_window *const window = bt_squad_window_at(a->windows, pair->window);
    const int64_t                question = window->question;
    const int32_t               *ids = NULL;
    const int32_t               *words = NULL;
    int64_t                      n = 0;
    squad_document(a->windows, question, &ids, &words, &n);
    const int64_t first = window->doc_start + pair->start - (window->n_query + 2);
    const int64_t last = first + pair->end - pair->start;
    BT_TRY(join_pieces(a, pair, ids + first, err));
    clean_pieces(&a->pieces);
    bt_str_clear(&a->original);
    BT_TRY(squad_join_words(set, &set->paragraphs[set->questions[question].paragraph], words[first],
                            words[last], &a->original, err));
    return bt_squad_final_text(a->scratch, (bt_squad_text){a->pieces.data, a->pieces.len},
                               (bt_squad_text){a->original.data, a->original.len},
                               a->options.do_lower_case, &a->texts, err);
}

static bt_squad_text text_of(const bt_squad_answers *a, const nbest_entry *entry) {
    return (bt_squad_text){bt_str_text(&a->texts) + entry->text, entry->n_text};
}

static bool is_text_seen(const bt_squad_answers *a, size_t first, size_t text, size_t n_text) {
    for (size_t i = first; i < a->n_nbest; i++) {
        if (a->nbest[i].n_text == n_text && memcmp(bt_str_text(&a->texts) + a->nbest[i].text,
                                                   bt_str_text(&a->texts) + text, n_text) == 0) {
            return true;
        }
    }
    return false;
}

static bt_status add_entry(bt_squad_answers *a, nbest_entry entry, bt_error *err) {
    BT_TRY(bt_grow(&a->nbest, &a->cap_nbest, a->n_nbest + 1, sizeof *a->nbest, MAX_PAIRS, err));
    a->nbest[a->n_nbest++] = entry;
    return BT_OK;
}

/* One pair, unless its text is there already. */
static bt_status add_pair_as_entry(bt_squad_answers *a, size_t first, const scored_pair *pair,
                                   bt_error *err) {
    const size_t text = a->texts.len;
    if (pair->window != NULL_WINDOW) {
        BT_TRY(make_text(a, pair, err));
        if (is_text_seen(a, first, text, a->texts.len - text)) {
            a->texts.len = text;
            return BT_OK;
        }
    }
    return add_entry(a,
                     (nbest_entry){.text = text,
                                   .n_text = a->texts.len - text,
                                   .start_logit = pair->start_logit,
                                   .end_logit = pair->end_logit},
                     err);
}

static bt_status fill_nbest(bt_squad_answers *a, size_t first, const null_answer *null,
                            bt_error *err) {
    static const char nothing[] = "empty"; /* what the original says when there is no candidate */
    const size_t      limit = first + (size_t)a->options.n_best_size;
    for (size_t i = 0; i < a->n_pairs && a->n_nbest < limit; i++) {
        BT_TRY(add_pair_as_entry(a, first, &a->pairs[i], err));
    }
    if (a->options.version_2 && !is_text_seen(a, first, a->texts.len, 0)) {
        BT_TRY(add_entry(a,
                         (nbest_entry){.text = a->texts.len,
                                       .start_logit = null->start_logit,
                                       .end_logit = null->end_logit},
                         err));
    }
    if (a->n_nbest == first) {
        const nbest_entry entry = {.text = a->texts.len, .n_text = sizeof nothing - 1};
        BT_TRY(bt_str_append(&a->texts, nothing, err));
        BT_TRY(add_entry(a, entry, err));
    }
    return BT_OK;
}

void squad_softmax(nbest_entry *entries, size_t n) {
    float  largest = -INFINITY;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        const float score = entries[i].start_logit + entries[i].end_logit;
        largest = score > largest ? score : largest;
    }
    for (size_t i = 0; i < n; i++) {
        const float difference = entries[i].start_logit + entries[i].end_logit - largest;
        entries[i].probability = exp((double)difference);
        sum += entries[i].probability;
    }
    for (size_t i = 0; i < n; i++) {
        entries[i].probability /= sum;
    }
}

static const nbest_entry *best_with_text(const bt_squad_answers *a, size_t first) {
    for (size_t i = first; i < a->n_nbest; i++) {
        if (a->nbest[i].n_text > 0) {
            return &a->nbest[i];
        }
    }
    return NULL;
}

/* Which of the n best is the answer, as an index; version 2: "" when the score of no answer
 * is better by more than the threshold. */
static void decide(bt_squad_answers *a, int64_t question, size_t first, const null_answer *null) {
    const nbest_entry *const best = best_with_text(a, first);
    answer_choice *const     choice = &a->predictions[question];
    *choice = (answer_choice){.entry = first, .has_text = true, .null_odds = null->score};
    if (!a->options.version_2) {
        return;
    }
    choice->has_text = false;
    if (best != NULL) {
        const float odds = null->score - best->start_logit - best->end_logit;
        choice->entry = (size_t)(best - a->nbest);
        choice->null_odds = odds;
        choice->has_text = !(odds > (float)a->options.null_score_diff_threshold);
    }
}

bt_status bt_squad_answers_finish(bt_squad_answers *answers, bt_error *err) {
    bt_squad_answers *const a = answers;
    const int64_t           n = bt_squad_windows_set(a->windows)->n_questions;
    a->n_nbest = 0;
    bt_str_clear(&a->texts);
    for (int64_t q = 0; q < n; q++) {
        const size_t first = a->n_nbest;
        null_answer  null = {0};
        BT_TRY(bt_stop_check(err));
        BT_TRY(gather_pairs(a, q, &null, err));
        BT_TRY(fill_nbest(a, first, &null, err));
        squad_softmax(a->nbest + first, a->n_nbest - first);
        decide(a, q, first, &null);
        a->nbest_first[q + 1] = a->n_nbest;
    }
    return BT_OK;
}

bt_squad_prediction bt_squad_answers_prediction(const bt_squad_answers *answers, int64_t question) {
    const answer_choice *const choice = &answers->predictions[question];
    const bt_squad_text        text = text_of(answers, &answers->nbest[choice->entry]);
    return (bt_squad_prediction){.text = choice->has_text ? text : (bt_squad_text){"", 0},
                                 .null_odds = (double)choice->null_odds};
}

int64_t bt_squad_answers_n_candidates(const bt_squad_answers *answers, int64_t question) {
    return (int64_t)(answers->nbest_first[question + 1] - answers->nbest_first[question]);
}

bt_squad_candidate bt_squad_answers_candidate(const bt_squad_answers *answers, int64_t question,
                                              int64_t k) {
    const nbest_entry *const entry = &answers->nbest[answers->nbest_first[question] + (size_t)k];
    return (bt_squad_candidate){.text = text_of(answers, entry),
                                .start_logit = entry->start_logit,
                                .end_logit = entry->end_logit,
                                .probability = entry->probability};
}
