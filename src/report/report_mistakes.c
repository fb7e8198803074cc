/* SPDX-License-Identifier: Apache-2.0
 *
 * The rows whose prediction is wrong with the most confidence, with their texts; of tags the words
 * with both tags below those that differ. */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>

#include "report_page.h"

static void put_json_text(page *p, json_t *text) {
    put(p, "<bdi>");
    if (json_is_string(text)) {
        put_text_n(p, json_string_value(text), json_string_length(text));
    }
    put(p, "</bdi>");
}

static double number_at(json_t *list, size_t i) {
    json_t *const value = json_array_get(list, i);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static void put_texts(page *p, json_t *texts) {
    for (size_t i = 0; i < json_array_size(texts); i++) {
        put(p, "<p class=\"text\">");
        put_json_text(p, json_array_get(texts, i));
        put(p, "</p>\n");
    }
}

static void put_percent(page *p, double share) {
    putf(p, share > 0.9995 || share < 0.0005 ? "%.2f&nbsp;%%" : "%.1f&nbsp;%%", 100 * share);
}

static void put_verdict_class(page *p, const bt_report_run *run, json_t *row) {
    json_t *const chances = json_object_get(row, "probabilities");
    put(p, "<p>Predicted <strong>");
    put_class(p, run, json_integer_value(json_object_get(row, "prediction")));
    put(p, "</strong> (");
    put_percent(p, number_at(chances, 0));
    put(p, "), the label is <strong>");
    put_class(p, run, json_integer_value(json_object_get(row, "label")));
    put(p, "</strong> (");
    put_percent(p, number_at(chances, 1));
    put(p, ").</p>\n");
}

static void put_verdict_score(page *p, json_t *scores) {
    put(p, "<p>Predicted <strong>");
    put_rounded(p, number_at(scores, 0));
    put(p, "</strong>, the label is <strong>");
    put_rounded(p, number_at(scores, 1));
    put(p, "</strong>.</p>\n");
}

/* A class a line: right ones, and those that are missing or too many. */
static void put_verdict_sets(page *p, const bt_report_run *run, json_t *sets) {
    put(p, "<ul>\n");
    for (size_t i = 0; i < json_array_size(sets); i++) {
        json_t *const row = json_array_get(sets, i);
        const bool    applies = json_is_true(json_array_get(row, 1));
        const bool    is_found = json_is_true(json_array_get(row, 2));
        put(p, "<li><strong>");
        put_class(p, run, json_integer_value(json_array_get(row, 0)));
        put(p, "</strong> (");
        put_percent(p, number_at(row, 3));
        put(p, applies && is_found ? "): right</li>\n"
               : applies           ? "): missed</li>\n"
                                   : "): too much</li>\n");
    }
    put(p, "</ul>\n");
}

/* A word whose tag is right and none of note stands alone. */
static void put_word(page *p, const bt_report_run *run, json_t *word) {
    const int64_t label = json_integer_value(json_array_get(word, 1));
    const int64_t found = json_integer_value(json_array_get(word, 2));
    put(p, label == found ? "<span class=\"word\">" : "<span class=\"word off\">");
    put_json_text(p, json_array_get(word, 0));
    if (label == found && label != 0) {
        put(p, " <small>");
        put_class(p, run, label);
        put(p, "</small>");
    } else if (label != found) {
        put(p, " <small>label <b>");
        put_class(p, run, label);
        put(p, "</b></small> <small>predicted <b>");
        put_class(p, run, found);
        put(p, "</b> ");
        put_percent(p, number_at(word, 3));
        put(p, "</small>");
    }
    put(p, "</span>\n");
}

static void put_words(page *p, const bt_report_run *run, json_t *words) {
    put(p, "<p class=\"words\">\n");
    for (size_t i = 0; i < json_array_size(words); i++) {
        put_word(p, run, json_array_get(words, i));
    }
    put(p, "</p>\n");
}

static void put_row(page *p, const bt_report_run *run, json_t *row) {
    json_t *const words = json_object_get(row, "words");
    json_t *const sets = json_object_get(row, "sets");
    json_t *const scores = json_object_get(row, "scores");
    put(p, "<li>\n");
    putf(p, "<p class=\"where\">Row %" JSON_INTEGER_FORMAT "</p>\n",
         json_integer_value(json_object_get(row, "row")));
    put_texts(p, json_object_get(row, "texts"));
    if (words != NULL) {
        put_words(p, run, words);
    } else if (sets != NULL) {
        put_verdict_sets(p, run, sets);
    } else if (scores != NULL) {
        put_verdict_score(p, scores);
    } else {
        put_verdict_class(p, run, row);
    }
    put(p, "</li>\n");
}

/* How many rows are shown at once; the others open. */
enum { SHOWN_AT_ONCE = 5 };

void put_mistakes(page *p, const bt_report_run *run) {
    json_t *const rows = json_object_get(run->evaluation, "mistakes");
    json_t *const wrong = json_object_get(run->evaluation, "wrong_rows");
    const size_t  n = json_array_size(rows);
    if (n == 0) {
        return;
    }
    put_section(p, "mistakes", "The worst mistakes");
    if (json_is_integer(wrong)) {
        putf(p,
             "<p>%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
             " rows are wrong; these are the ones about which the model was surest.</p>\n",
             json_integer_value(wrong),
             json_integer_value(json_object_get(run->evaluation, "rows")));
    } else {
        put(p, "<p>The rows whose prediction is farthest from the label.</p>\n");
    }
    put(p, "<ol class=\"rows\">\n");
    for (size_t i = 0; i < n; i++) {
        if (i == SHOWN_AT_ONCE) {
            putf(p,
                 "</ol>\n<details><summary>%zu more</summary>\n<ol class=\"rows\" "
                 "start=\"%zu\">\n",
                 n - i, i + 1);
        }
        put_row(p, run, json_array_get(rows, i));
    }
    put(p, n > SHOWN_AT_ONCE ? "</ol>\n</details>\n" : "</ol>\n");
    end_section(p);
}
