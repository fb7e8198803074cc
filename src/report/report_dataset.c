/* SPDX-License-Identifier: Apache-2.0
 *
 * What the data are: rows, what is cut, empty or in both sections, classes, lengths. */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>

#include "report_page.h"

enum { BARS_WIDTH = 360, BARS_HEIGHT = 150, BARS_LEFT = 50, BARS_BOTTOM = 34, BARS_TOP = 10 };
enum { CLASSES_MOST = 60 };

static int64_t count_of(json_t *section, const char *key) {
    json_t *const value = json_object_get(section, key);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

static double share_of(int64_t part, int64_t all) {
    return all > 0 ? 100 * (double)part / (double)all : 0;
}

/* A count of the section, with its share of another where it has one. */
static void put_count(page *p, json_t *section, const char *key, const char *of) {
    const int64_t n = count_of(section, key);
    const int64_t all = of != NULL ? count_of(section, of) : -1;
    char          text[NUMBER_MAX];
    put(p, "<td class=\"n\">");
    if (n >= 0) {
        put(p, number_text((double)n, text));
    }
    if (n > 0 && all > 0) {
        putf(p, " <small>%.1f&nbsp;%%</small>", share_of(n, all));
    }
    put(p, "</td>");
}

typedef struct count_row {
    const char *name;
    const char *key;
    const char *of;
} count_row;

static void put_counts(page *p, json_t *sections) {
    static const count_row rows[] = {
        {"rows", "rows", NULL},
        {"looked at for the next ones", "sampled", NULL},
        {"longer than seq_length, and cut", "cut", "sampled"},
        {"longer than seq_length, and divided", "divided", "units"},
        {"tokens", "tokens", NULL},
        {"tokens that are cut off", "lost", "tokens"},
        {"tokens that are [UNK]", "unknown", "tokens"},
        {"without text", "without_text", "units"},
    };
    const size_t n = json_array_size(sections);
    put(p, "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"counts of the "
           "data\">\n<table>\n<caption>counts of the data</caption>\n<thead><tr><th "
           "scope=\"col\">count</th>");
    for (size_t s = 0; s < n; s++) {
        const char *const name =
            json_string_value(json_object_get(json_array_get(sections, s), "name"));
        put(p, "<th scope=\"col\" class=\"n\">");
        put_isolated(p, name != NULL ? name : "");
        put(p, "</th>");
    }
    put(p, "</tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bool is_there = false;
        for (size_t s = 0; s < n; s++) {
            is_there = is_there || count_of(json_array_get(sections, s), rows[i].key) > 0;
        }
        if (!is_there) {
            continue;
        }
        row_begin(p, rows[i].name);
        for (size_t s = 0; s < n; s++) {
            put_count(p, json_array_get(sections, s), rows[i].key, rows[i].of);
        }
        row_end(p);
    }
    table_end(p);
}

static void put_shared(page *p, json_t *data) {
    const int64_t n = count_of(data, "shared");
    const int64_t of = count_of(data, "shared_of");
    char          text[NUMBER_MAX];
    if (n > 0) {
        putf(p, "<p><strong>%s of", number_text((double)n, text));
        putf(p,
             " %s</strong> units of the validation have the text of one of the training: what is "
             "measured on them was memorized.</p>\n",
             number_text((double)of, text));
    } else if (of > 0) {
        put(p, "<p>No row of the validation is one of the training.</p>\n");
    }
}

/* Rows of each class, of all that were counted, with a bar. */
static void put_class_cell(page *p, json_t *section, size_t c) {
    json_t *const counts = json_object_get(section, "classes");
    const int64_t n = json_integer_value(json_array_get(counts, c));
    int64_t       all = 0;
    char          text[NUMBER_MAX];
    for (size_t i = 0; i < json_array_size(counts); i++) {
        all += json_integer_value(json_array_get(counts, i));
    }
    if (counts == NULL) {
        put(p, "<td></td>");
        return;
    }
    putf(p, "<td class=\"n\">%s <small>%.1f&nbsp;%%</small>", number_text((double)n, text),
         share_of(n, all));
    put_bar(p, share_of(n, all));
    put(p, "</td>");
}

static void put_balance(page *p, json_t *data, json_t *sections) {
    json_t *const names = json_object_get(data, "classes");
    const char   *heads[4] = {"class"};
    size_t        n_heads = 1;
    bool          is_there = false;
    for (size_t s = 0; s < json_array_size(sections) && n_heads < BT_ARRAY_LEN(heads); s++) {
        json_t *const     section = json_array_get(sections, s);
        const char *const name = json_string_value(json_object_get(section, "name"));
        heads[n_heads++] = name != NULL ? name : "";
        is_there = is_there || json_object_get(section, "classes") != NULL;
    }
    if (!is_there) {
        return;
    }
    put(p, "<h3>Balance of the classes</h3>\n");
    table_begin(p, "rows of each class", heads, n_heads, UINT32_MAX << 1);
    for (size_t c = 0; c < json_array_size(names) && c < CLASSES_MOST; c++) {
        json_t *const name = json_array_get(names, c);
        put(p, "<tr><th scope=\"row\"><bdi>");
        put_text_n(p, json_string_value(name), json_string_length(name));
        put(p, "</bdi></th>");
        for (size_t s = 0; s + 1 < n_heads; s++) {
            put_class_cell(p, json_array_get(sections, s), c);
        }
        row_end(p);
    }
    table_end(p);
}

/* Up to the last one that has rows. */
static size_t count_bars(json_t *counts) {
    size_t n = json_array_size(counts);
    while (n > 1 && json_integer_value(json_array_get(counts, n - 1)) == 0) {
        n--;
    }
    return n;
}

static void draw_bars(page *p, json_t *counts, int64_t step) {
    const size_t n = count_bars(counts);
    const int    id = ++p->n_ids;
    int64_t      most = 0;
    for (size_t i = 0; i < n; i++) {
        const int64_t count = json_integer_value(json_array_get(counts, i));
        most = count > most ? count : most;
    }
    const axis   y = axis_make(0, (double)most, false, 3);
    const double width = (double)(BARS_WIDTH - BARS_LEFT) / (double)n;
    const double height = BARS_HEIGHT - BARS_TOP - BARS_BOTTOM;
    putf(p,
         "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-labelledby=\"t%d\">\n<title "
         "id=\"t%d\">rows by their number of tokens, as in the table below</title>\n<g "
         "class=\"grid\">",
         BARS_WIDTH, BARS_HEIGHT, id, id);
    for (size_t i = 0; i < y.n_marks; i++) {
        char         text[NUMBER_MAX];
        const double at = BARS_TOP + (1 - axis_place(&y, y.marks[i])) * height;
        putf(p, "<path d=\"M%d %.1fH%d\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>",
             BARS_LEFT, at, BARS_WIDTH, BARS_LEFT - 6, at + 4, axis_text(&y, y.marks[i], text));
    }
    for (size_t i = 0; i <= n; i += n > 8 ? n / 4 : 2) {
        putf(p, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%" PRId64 "</text>",
             BARS_LEFT + (double)i * width, BARS_HEIGHT - BARS_BOTTOM + 15, (int64_t)i * step);
    }
    putf(p,
         "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">tokens of a row</text></g>\n<g "
         "class=\"bars\">",
         (BARS_LEFT + BARS_WIDTH) / 2, BARS_HEIGHT - 4);
    for (size_t i = 0; i < n; i++) {
        const double share = axis_place(&y, (double)json_integer_value(json_array_get(counts, i)));
        putf(p, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>",
             BARS_LEFT + (double)i * width + 1, BARS_TOP + (1 - share) * height, width - 2,
             share * height);
    }
    put(p, "</g>\n</svg>\n");
}

static void put_lengths(page *p, const bt_report_run *run) {
    static const char *const heads[] = {"tokens", "rows"};
    json_t *const            counts = json_object_get(run->evaluation, "lengths");
    const int64_t            step = count_of(run->evaluation, "length_step");
    const size_t             n = json_array_size(counts);
    if (n == 0 || step < 1 || count_of(run->evaluation, "rows") < 1) {
        return;
    }
    put(p, "<figure class=\"chart\">\n<figcaption><h3>Lengths</h3><p>of the rows that were "
           "evaluated, cut to seq_length</p></figcaption>\n");
    draw_bars(p, counts, step);
    put(p, "<details><summary>Numbers</summary>\n");
    table_begin(p, "rows by their number of tokens", heads, BT_ARRAY_LEN(heads), 3);
    for (size_t i = 0; i < count_bars(counts); i++) {
        putf(p, "<tr><th scope=\"row\" class=\"n\">%" PRId64 " to %" PRId64 "</th>",
             (int64_t)i * step + 1, ((int64_t)i + 1) * step);
        putf(p, "<td class=\"n\">%" JSON_INTEGER_FORMAT "</td>",
             json_integer_value(json_array_get(counts, i)));
        row_end(p);
    }
    table_end(p);
    put(p, "</details>\n</figure>\n");
}

void put_dataset(page *p, const bt_report_run *run) {
    json_t *const sections = json_object_get(run->data, "sections");
    if (json_array_size(sections) == 0 && json_object_get(run->evaluation, "lengths") == NULL) {
        return;
    }
    put_section(p, "data", "Data");
    if (json_array_size(sections) > 0) {
        put_counts(p, sections);
        put_shared(p, run->data);
        put_balance(p, run->data, sections);
    }
    put_lengths(p, run);
    end_section(p);
}
