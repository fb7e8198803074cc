/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions that are held out of training, so that nothing of what is asked about in the evaluation
 * was read in training: those of whole articles (by their titles), where there are 10 or more; else
 * of whole paragraphs, and paragraphs of the same text are one. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/map.h"
#include "data_internal.h"

enum { FEWEST_ARTICLES = 10, KEY_MAX = 512 };

/* Articles without a title are told apart by their places; an item of the flat form is none. */
static bt_squad_text key_of(const bt_squad_paragraph *paragraph, bool by_article,
                            char buffer[KEY_MAX]) {
    if (!by_article || (paragraph->title[0] == '\0' && paragraph->number == 0)) {
        return paragraph->context;
    }
    if (paragraph->title[0] != '\0') {
        return (bt_squad_text){paragraph->title, strlen(paragraph->title)};
    }
    const int n =
        snprintf(buffer, KEY_MAX, "%" PRId64 " of %.400s", paragraph->article, paragraph->file);
    return (bt_squad_text){buffer, (size_t)n};
}

/* unit_of [n_paragraphs] */
static bt_status number_units(const bt_squad_set *set, bool by_article, int64_t *unit_of,
                              int64_t *n, bt_error *err) {
    bt_map   *units = NULL;
    bt_status rc = bt_map_create(&units, 64, err);
    *n = 0;
    for (int64_t p = 0; rc == BT_OK && p < set->n_paragraphs; p++) {
        char                buffer[KEY_MAX];
        const bt_squad_text key = key_of(&set->paragraphs[p], by_article, buffer);
        if (!bt_map_get(units, key.bytes, key.n_bytes, &unit_of[p])) {
            unit_of[p] = (*n)++;
            rc = bt_map_put(units, key.bytes, key.n_bytes, unit_of[p], err);
        }
    }
    bt_map_free(units);
    return rc;
}

static void keep_questions(bt_squad_set *set, const int64_t *unit_of, const bool *is_used) {
    const int64_t n_before = set->n_questions;
    set->n_questions = 0;
    for (int64_t q = 0; q < n_before; q++) {
        if (is_used[unit_of[set->questions[q].paragraph]]) {
            set->questions[set->n_questions++] = set->questions[q];
        }
    }
}

static bt_status split(bt_squad_set *set, const bt_data_config *config, int64_t *unit_of,
                       bool *is_used, bt_error *err) {
    bool    by_article = true;
    int64_t n = 0;
    BT_TRY(number_units(set, true, unit_of, &n, err));
    if (n < FEWEST_ARTICLES) {
        by_article = false;
        BT_TRY(number_units(set, false, unit_of, &n, err));
    }
    BT_TRY(data_split_units(n, by_article ? "articles" : "paragraphs", config, is_used, err));
    const int64_t n_before = set->n_questions;
    keep_questions(set, unit_of, is_used);
    bt_log(BT_LOG_INFO, "%s: these have %" PRId64 " of %" PRId64 " questions",
           config->section != NULL ? config->section : "the data", set->n_questions, n_before);
    return BT_OK;
}

bt_status data_squad_split(bt_squad_set *set, const bt_data_config *config, bt_error *err) {
    if (config->held_out == BT_HELD_OUT_ALL || set->n_paragraphs == 0) {
        return BT_OK;
    }
    const size_t    n = (size_t)set->n_paragraphs;
    int64_t *const  unit_of = bt_alloc_array(n, sizeof *unit_of);
    bool *const     is_used = bt_calloc_array(n, sizeof *is_used);
    const bt_status rc =
        unit_of != NULL && is_used != NULL
            ? split(set, config, unit_of, is_used, err)
            : BT_FAIL(err, BT_E_NOMEM, "out of memory for the questions that are held out");
    bt_free(unit_of);
    bt_free(is_used);
    return rc;
}
