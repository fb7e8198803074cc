/* SPDX-License-Identifier: Apache-2.0
 *
 * The state of bt_squad_answers: what is kept of each window, and what is made of it. */
#ifndef BT_SQUAD_ANSWERS_H
#define BT_SQUAD_ANSWERS_H

#include "squad_internal.h"

enum { NULL_WINDOW = -1 }; /* of a pair: "no answer" */

typedef struct scored_place {
    int32_t place; /* in the sequence */
    float   logit;
} scored_place;

/* n_starts 0: no scores came for this window. */
typedef struct window_scores {
    int32_t n_starts;
    int32_t n_ends;
    float   null_start; /* of place 0 */
    float   null_end;
} window_scores;

/* A start and an end in one window. */
typedef struct scored_pair {
    int64_t  window;
    int32_t  start;
    int32_t  end;
    float    start_logit;
    float    end_logit;
    float    score;
    uint32_t order; /* in which it was found: decides between equal scores */
} scored_pair;

typedef struct null_answer {
    float score; /* the smallest of the question's windows */
    float start_logit;
    float end_logit;
} null_answer;

typedef struct nbest_entry {
    size_t text; /* where it begins in texts */
    size_t n_text;
    float  start_logit;
    float  end_logit;
    double probability;
} nbest_entry;

typedef struct answer_choice {
    size_t entry;    /* in nbest */
    bool   has_text; /* false: the answer is "" */
    float  null_odds;
} answer_choice;

struct bt_squad_answers {
    const bt_squad_windows *windows; /* borrowed */
    bt_squad_answer_options options;
    int64_t                 n_keep; /* places a side of a window */
    scored_place           *places; /* [n_windows][2][n_keep]: starts, then ends */
    size_t                  n_places;
    window_scores          *scores; /* [n_windows] */
    int64_t                 n_with_scores;
    scored_pair            *pairs; /* of the question at hand */
    size_t                  n_pairs;
    size_t                  cap_pairs;
    answer_choice          *predictions; /* [n_questions] */
    size_t                 *nbest_first; /* [n_questions+1] */
    nbest_entry            *nbest;
    size_t                  n_nbest;
    size_t                  cap_nbest;
    bt_str                  texts; /* of all entries of nbest */
    bt_str                  pieces;
    bt_str                  original;
    bt_text_scratch        *scratch;
};

/* Fills in probability: softmax of start + end, differences in float32, exponentials and their sum
 * in double. */
void squad_softmax(nbest_entry *entries, size_t n);

#endif
