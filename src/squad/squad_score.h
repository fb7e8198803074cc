/* SPDX-License-Identifier: Apache-2.0
 *
 * Comparing a prediction with several answers: the prediction is normalised once. */
#ifndef BT_SQUAD_SCORE_H
#define BT_SQUAD_SCORE_H

#include "squad_internal.h"

/* Lower case, without ASCII punctuation, articles and superfluous white space; appended to out. */
bt_status squad_normalize(bt_text_scratch *scratch, bt_squad_text text, bt_str *out, bt_error *err);

/* A normalised text and its words, sorted. */
typedef struct word_bag {
    bt_str         text;
    bt_squad_text *words;
    size_t         n_words;
    size_t         cap_words;
} word_bag;

typedef struct squad_scorer {
    bt_text_scratch *scratch;
    word_bag         bags[2]; /* the prediction, and the answer at hand */
} squad_scorer;

bt_status squad_scorer_init(squad_scorer *s, bt_error *err);
void      squad_scorer_deinit(squad_scorer *s);
bt_status squad_fill_bag(squad_scorer *s, word_bag *bag, bt_squad_text text, bt_error *err);
/* Of the prediction in bags[0] against an answer. */
bt_status squad_compare_bag(squad_scorer *s, bt_squad_text answer, bool version_2, bool *exact,
                            double *f1, bt_error *err);

#endif
