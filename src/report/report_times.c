/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the seconds of a run went: a bar of parts with patterns, and the same in a table. */
#include <math.h>

#include "report_page.h"

enum { N_PARTS = 5, BAR_WIDTH = 720, BAR_HEIGHT = 26 };

typedef struct part {
    const char *name;
    double      seconds;
} part;

static void draw_bar(page *p, const part *parts, double all) {
    const int id = ++p->n_ids;
    double    x = 0;
    putf(p,
         "<svg class=\"bar\" viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\" role=\"img\" "
         "aria-labelledby=\"t%d\">\n<title id=\"t%d\">parts of the time, as in the table "
         "below</title>\n",
         BAR_WIDTH, BAR_HEIGHT, id, id);
    for (size_t i = 0; i < N_PARTS; i++) {
        const double width = parts[i].seconds / all * BAR_WIDTH;
        putf(p, "<rect class=\"p%zu\" x=\"%.1f\" width=\"%.1f\" height=\"%d\"/>\n", i, x, width,
             BAR_HEIGHT);
        x += width;
    }
    put(p, "</svg>\n");
}

static void put_part(page *p, const part *row, size_t i, double all) {
    char text[NUMBER_MAX];
    row_begin(p, NULL);
    putf(p,
         "<th scope=\"row\"><svg class=\"key\" viewBox=\"0 0 12 12\" aria-hidden=\"true\"><rect "
         "class=\"p%zu\" "
         "width=\"12\" height=\"12\"/></svg> %s</th>",
         i, row->name);
    putf(p, "<td class=\"n\">%s</td><td class=\"n\">%.1f %%</td>",
         duration_text(row->seconds, text), 100 * row->seconds / all);
    row_end(p);
}

void put_times(page *p, const bt_report_run *run) {
    static const char *const     heads[] = {"part", "time", "share"};
    const bt_report_times *const t = &run->times;
    const double                 waits = t->input_wait + t->exchange_wait;
    const double                 known = t->training + t->evaluation;
    const part                   parts[N_PARTS] = {
                          {"training steps", fmax(t->training - waits, 0)},
                          {"waiting for input", t->input_wait},
                          {"waiting for other processes", t->exchange_wait},
                          {"evaluation", t->evaluation},
                          {"checkpoints and the rest", fmax(t->elapsed - known, 0)},
    };
    double all = 0;
    for (size_t i = 0; i < N_PARTS; i++) {
        all += parts[i].seconds;
    }
    if (!(all > 0)) {
        return;
    }
    put_section(p, "times", "Where time went");
    draw_bar(p, parts, all);
    table_begin(p, "parts of the time", heads, BT_ARRAY_LEN(heads), 6);
    for (size_t i = 0; i < N_PARTS; i++) {
        if (parts[i].seconds > 0) {
            put_part(p, &parts[i], i, all);
        }
    }
    table_end(p);
    end_section(p);
}
