/* SPDX-License-Identifier: Apache-2.0
 *
 * What SQuAD files are, counted when their windows are made: questions whose text is empty or has
 * no words, that are cut, that need several windows, whose answer no window shows or no text holds;
 * and a name of each question with its text. */
#include <stdio.h>

#include "data_census.h"

/* A question and the text that it asks of; questions of one text follow each other. */
static bt_status name_questions(data_census *census, const bt_squad_set *set, bt_error *err) {
    int64_t  paragraph = -1;
    uint64_t context = 0;
    for (int64_t i = 0; i < set->n_questions; i++) {
        const bt_squad_question *const question = &set->questions[i];
        if (question->paragraph != paragraph) {
            paragraph = question->paragraph;
            const bt_squad_text text = set->paragraphs[paragraph].context;
            context = data_name_add(0, text.bytes, text.n_bytes);
        }
        BT_TRY(data_names_put(&census->names,
                              data_name_add(context, question->text.bytes, question->text.n_bytes),
                              err));
    }
    return BT_OK;
}

static void count_text(bt_data_census *facts, const bt_squad_set *set, int64_t i) {
    const bt_squad_question *const question = &set->questions[i];
    if (data_is_blank(question->text.bytes, question->text.n_bytes) &&
        facts->n_without_text++ == 0) {
        (void)snprintf(facts->first_without_text, sizeof facts->first_without_text,
                       "%.160s: question '%.60s'", set->paragraphs[question->paragraph].file,
                       question->id.bytes);
    }
}

static void count_windows(bt_data_census *facts, const bt_squad_windows *windows, int64_t i) {
    const bt_squad_set *const      set = bt_squad_windows_set(windows);
    const bt_squad_question *const question = &set->questions[i];
    int64_t                        first = 0;
    int64_t                        end = 0;
    int64_t                        n_showing = 0;
    bt_squad_windows_of(windows, i, &first, &end);
    facts->n_divided += end - first > 1 ? 1 : 0;
    facts->squad.n_wordless += end == first ? 1 : 0;
    if (question->last_word < question->first_word) { /* no place of an answer is known */
        return;
    }
    for (int64_t k = first; k < end; k++) {
        n_showing += bt_squad_window_at(windows, k)->has_answer ? 1 : 0;
    }
    facts->squad.n_hidden += n_showing == 0 ? 1 : 0;
    facts->squad.n_blind += end - first - n_showing;
}

static void count_answers(bt_data_squad_facts *facts, const bt_squad_set *set, int64_t i) {
    if (set->questions[i].n_answers == 0) {
        facts->n_unanswered++;
    } else if (facts->n_searched < DATA_CENSUS_SAMPLE) {
        facts->n_searched++;
        facts->n_absent += bt_squad_answer_occurs(set, i) ? 0 : 1;
    }
}

bt_status data_census_squad(data_census *census, const bt_squad_windows *windows,
                            const bt_text_vocab *vocab, const bt_data_schema *schema,
                            bt_error *err) {
    const bt_squad_set *const set = bt_squad_windows_set(windows);
    bt_data_census *const     facts = &census->facts;
    BT_TRY(data_census_begin(census, "question", "have an empty text", vocab, schema, err));
    const bt_squad_tokens tokens = bt_squad_windows_count(windows, census->unknown);
    facts->case_key = "do_lower_case";
    facts->lower_case = schema->squad.do_lower_case;
    facts->vocab_file = schema->squad.vocab_file;
    facts->n_rows = set->n_questions;
    facts->n_sampled = set->n_questions;
    facts->n_tokens = tokens.n;
    facts->n_unknown = tokens.n_id;
    facts->squad.n_cut = tokens.n_cut;
    for (int64_t i = 0; i < set->n_questions; i++) {
        count_text(facts, set, i);
        count_windows(facts, windows, i);
        if (schema->squad.use == BT_SQUAD_EVALUATE) {
            count_answers(&facts->squad, set, i);
        }
    }
    return schema->squad.use == BT_SQUAD_PREDICT ? BT_OK : name_questions(census, set, err);
}
