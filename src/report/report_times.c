/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the seconds of a run went: a table with a bar in each row. */
#include <math.h>

#include "report_page.h"

enum { N_PARTS = 5 };

typedef struct part {
    const char *name;
    double      seconds;
} part;

static void put_part(page *p, const part *row, double all) {
    char         text[NUMBER_MAX];
    const double share = 100 * row->seconds / all;
    row_begin(p, row->name);
    putf(p, "<td class=\"n\">%s</td><td class=\"n times\">%.1f&nbsp;%%",
         duration_text(row->seconds, text), share);
    put_bar(p, share);
    put(p, "</td>");
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
    table_begin(p, "parts of the time", heads, BT_ARRAY_LEN(heads), 6);
    for (size_t i = 0; i < N_PARTS; i++) {
        if (parts[i].seconds > 0) {
            put_part(p, &parts[i], all);
        }
    }
    table_end(p);
    end_section(p);
}
