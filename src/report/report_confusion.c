/* SPDX-License-Identifier: Apache-2.0
 *
 * Labels against predictions: of few classes every cell, of many the pairs that are confused most;
 * precision, recall and F1 of each class. The numbers stand in the cells; the shade only helps. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "report_page.h"

enum { PAIRS_MOST = 20, CLASSES_MOST = 60 };

int64_t count_at(json_t *list, size_t i) {
    return json_integer_value(json_array_get(list, i));
}

void put_class(page *p, const bt_report_run *run, int64_t id) {
    json_t *const name = json_array_get(json_object_get(run->evaluation, "classes"),
                                        id >= 0 ? (size_t)id : SIZE_MAX);
    if (json_is_string(name)) {
        put(p, "<bdi>");
        put_text_n(p, json_string_value(name), json_string_length(name));
        put(p, "</bdi>");
    } else {
        putf(p, "%" PRId64, id);
    }
}

/* A shade of 0 to 10 for a share. */
static void put_cell(page *p, int64_t n, int64_t of, bool is_right) {
    char         text[NUMBER_MAX];
    const double share = of > 0 ? (double)n / (double)of : 0;
    putf(p, "<td class=\"n %s\" style=\"--share:%.0f%%\">%s", is_right ? "right" : "wrong",
         40 * share, number_text((double)n, text));
    if (of > 0) {
        putf(p, " <small>%.0f&nbsp;%%</small>", 100 * share);
    }
    put(p, "</td>");
}

static void put_matrix(page *p, const bt_report_run *run, json_t *cells, json_t *labelled) {
    const size_t n = json_array_size(labelled);
    put(p, "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"counts by label and "
           "prediction\">\n<table class=\"matrix\">\n<caption>counts by label and "
           "prediction</caption>\n<thead><tr><th scope=\"col\">label \\ prediction</th>");
    for (size_t c = 0; c < n; c++) {
        put(p, "<th scope=\"col\" class=\"n\">");
        put_class(p, run, (int64_t)c);
        put(p, "</th>");
    }
    put(p, "</tr></thead>\n<tbody>\n");
    for (size_t r = 0; r < n; r++) {
        put(p, "<tr><th scope=\"row\">");
        put_class(p, run, (int64_t)r);
        put(p, "</th>");
        for (size_t c = 0; c < n; c++) {
            put_cell(p, count_at(cells, r * n + c), count_at(labelled, r), r == c);
        }
        row_end(p);
    }
    table_end(p);
    put(p, "<p class=\"note\">A row is what the data say, a column what the model said; shares are "
           "of the row.</p>\n");
}

static void put_pairs(page *p, const bt_report_run *run, json_t *pairs) {
    static const char *const heads[] = {"label", "prediction", "rows"};
    const size_t             n = json_array_size(pairs);
    if (n == 0) {
        return;
    }
    put(p, "<h3>Confused most</h3>\n");
    table_begin(p, "pairs of classes that are confused most", heads, BT_ARRAY_LEN(heads), 4);
    for (size_t i = 0; i < n && i < PAIRS_MOST; i++) {
        json_t *const pair = json_array_get(pairs, i);
        put(p, "<tr><th scope=\"row\">");
        put_class(p, run, count_at(pair, 0));
        put(p, "</th><td>");
        put_class(p, run, count_at(pair, 1));
        putf(p, "</td><td class=\"n\">%" PRId64 "</td>", count_at(pair, 2));
        row_end(p);
    }
    table_end(p);
}

static double share_of(int64_t part, int64_t all) {
    return all > 0 ? (double)part / (double)all : 0;
}

static void put_class_row(page *p, const bt_report_run *run, size_t c, json_t *const counts[3]) {
    const int64_t labelled = count_at(counts[0], c);
    const int64_t predicted = count_at(counts[1], c);
    const int64_t correct = count_at(counts[2], c);
    put(p, "<tr><th scope=\"row\">");
    put_class(p, run, (int64_t)c);
    put(p, "</th>");
    cell_rounded(p, share_of(correct, predicted));
    cell_rounded(p, share_of(correct, labelled));
    cell_rounded(p, share_of(2 * correct, labelled + predicted));
    putf(p, "<td class=\"n\">%" PRId64 "</td><td class=\"n\">%" PRId64 "</td>", labelled,
         predicted);
    row_end(p);
}

static void put_classes(page *p, const bt_report_run *run, json_t *const counts[3]) {
    static const char *const heads[] = {"class", "precision", "recall",
                                        "F1",    "labels",    "predictions"};
    const size_t             n = json_array_size(counts[0]);
    put(p, "<h3>Each class</h3>\n");
    if (n > CLASSES_MOST) {
        putf(p, "<p class=\"note\">The first %d of %zu.</p>\n", (int)CLASSES_MOST, n);
    }
    table_begin(p, "precision and recall of each class", heads, BT_ARRAY_LEN(heads), 62);
    for (size_t c = 0; c < n && c < CLASSES_MOST; c++) {
        put_class_row(p, run, c, counts);
    }
    table_end(p);
}

void put_confusion(page *p, const bt_report_run *run) {
    json_t *const counts[] = {json_object_get(run->evaluation, "labelled"),
                              json_object_get(run->evaluation, "predicted"),
                              json_object_get(run->evaluation, "correct")};
    json_t *const cells = json_object_get(run->evaluation, "confusion");
    const size_t  n = json_array_size(counts[0]);
    if (n == 0) {
        return;
    }
    put_section(p, "classes", "Labels against predictions");
    if (json_array_size(cells) == n * n) {
        put_matrix(p, run, cells, counts[0]);
    }
    put_pairs(p, run, json_object_get(run->evaluation, "pairs"));
    put_classes(p, run, counts);
    end_section(p);
}
