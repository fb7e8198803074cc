/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions whose answers are wrong, in their contexts: the answers of the data underlined, the
 * prediction in a box. */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "report_page.h"

enum { GOLD = 1, FOUND = 2 };

typedef struct text_span {
    const char *bytes;
    size_t      n;
} text_span;

static text_span span_of(json_t *text) {
    return json_is_string(text) ? (text_span){json_string_value(text), json_string_length(text)}
                                : (text_span){"", 0};
}

/* Marks the first place of the part. */
static void mark(unsigned char *marks, text_span text, text_span part, unsigned char bit) {
    size_t at = 0;
    while (at + part.n <= text.n && memcmp(text.bytes + at, part.bytes, part.n) != 0) {
        at++;
    }
    for (size_t i = 0; at + part.n <= text.n && i < part.n; i++) {
        marks[at + i] |= bit;
    }
}

static void put_run(page *p, const char *bytes, size_t n, unsigned char marks) {
    static const char *const begins[] = {"", "<mark class=\"gold\">", "<mark class=\"found\">",
                                         "<mark class=\"gold found\">"};
    put(p, begins[marks]);
    put_text_n(p, bytes, n);
    put(p, marks != 0 ? "</mark>" : "");
}

static void put_context(page *p, json_t *row) {
    const text_span text = span_of(json_object_get(row, "context"));
    json_t *const   answers = json_object_get(row, "answers");
    unsigned char  *marks = bt_calloc_array(text.n, 1);
    if (marks == NULL) {
        p->rc = p->rc == BT_OK ? BT_FAIL(p->err, BT_E_NOMEM, "out of memory for a context") : p->rc;
        return;
    }
    for (size_t i = 0; i < json_array_size(answers); i++) {
        mark(marks, text, span_of(json_array_get(answers, i)), GOLD);
    }
    mark(marks, text, span_of(json_object_get(row, "prediction")), FOUND);
    put(p, "<p class=\"text\"><bdi>");
    for (size_t at = 0; at < text.n;) {
        size_t end = at + 1;
        while (end < text.n && marks[end] == marks[at]) {
            end++;
        }
        put_run(p, text.bytes + at, end - at, marks[at]);
        at = end;
    }
    put(p, "</bdi></p>\n");
    bt_free(marks);
}

static void put_span(page *p, json_t *text) {
    const text_span span = span_of(text);
    put(p, span.n > 0 ? "<strong><bdi>" : "<em>none");
    put_text_n(p, span.bytes, span.n);
    put(p, span.n > 0 ? "</bdi></strong>" : "</em>");
}

static void put_question(page *p, json_t *row) {
    json_t *const   answers = json_object_get(row, "answers");
    json_t *const   probability = json_object_get(row, "probability");
    const text_span question = span_of(json_object_get(row, "question"));
    put(p, "<li>\n<h3><bdi>");
    put_text_n(p, question.bytes, question.n);
    put(p, "</bdi></h3>\n<p>Predicted ");
    put_span(p, json_object_get(row, "prediction"));
    if (json_is_number(probability)) {
        putf(p, " (%.1f&nbsp;%%)", 100 * json_number_value(probability));
    }
    put(p, json_array_size(answers) > 0 ? "; the data say " : "; the data say there is no answer");
    for (size_t i = 0; i < json_array_size(answers); i++) {
        put(p, i > 0 ? ", " : "");
        put_span(p, json_array_get(answers, i));
    }
    put(p, ". F1 ");
    put_rounded(p, json_number_value(json_object_get(row, "f1")));
    put(p, ".</p>\n");
    put_context(p, row);
    put(p, "</li>\n");
}

void put_answers(page *p, const bt_report_run *run) {
    enum { SHOWN_AT_ONCE = 3 };
    json_t *const rows = json_object_get(run->evaluation, "spans");
    const size_t  n = json_array_size(rows);
    if (n == 0) {
        return;
    }
    put_section(p, "answers", "Wrong answers");
    putf(p,
         "<p>%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
         " questions have another answer than the data; these are the ones about which the model "
         "was surest. <mark class=\"gold\">Underlined</mark>: the data; <mark "
         "class=\"found\">in a box</mark>: the model.</p>\n<ol class=\"rows\">\n",
         json_integer_value(json_object_get(run->evaluation, "wrong_questions")),
         json_integer_value(json_object_get(run->evaluation, "questions")));
    for (size_t i = 0; i < n; i++) {
        if (i == SHOWN_AT_ONCE) {
            putf(p,
                 "</ol>\n<details><summary>%zu more</summary>\n<ol class=\"rows\" "
                 "start=\"%zu\">\n",
                 n - i, i + 1);
        }
        put_question(p, json_array_get(rows, i));
    }
    put(p, n > SHOWN_AT_ONCE ? "</ol>\n</details>\n" : "</ol>\n");
    end_section(p);
}
