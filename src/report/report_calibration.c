/* SPDX-License-Identifier: Apache-2.0
 *
 * How often predictions of each probability are right: a diagram with the diagonal on which a
 * calibrated model lies, and the same in a table. */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>

#include "report_page.h"

enum { SIDE = 260, EDGE_LEFT = 46, EDGE_BOTTOM = 40, EDGE_TOP = 8, BINS_MOST = 64 };

typedef struct bin {
    int64_t n, correct;
    double  probability;
} bin;

static double across(double value) {
    return EDGE_LEFT + value * SIDE;
}

static double up(double value) {
    return EDGE_TOP + (1 - value) * SIDE;
}

static void draw_frame(page *p) {
    put(p, "<g class=\"grid\">");
    for (int i = 0; i <= 4; i++) {
        const double v = i / 4.0;
        putf(p,
             "<path d=\"M%.1f %.1fh%d\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.2f</text>",
             across(0), up(v), (int)SIDE, EDGE_LEFT - 6, up(v) + 4, v);
        putf(p, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.2f</text>", across(v),
             up(0) + 16, v);
    }
    putf(p, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">probability</text></g>\n",
         across(0.5), up(0) + 32);
    putf(p, "<g class=\"best\"><path class=\"ideal\" d=\"M%.1f %.1fL%.1f %.1f\"/>", across(0),
         up(0), across(1), up(1));
    putf(p, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">calibrated</text></g>\n", across(0.34),
         up(0.40));
}

static void draw(page *p, const bin *bins, size_t n, int64_t n_rows) {
    const int id = ++p->n_ids;
    putf(
        p,
        "<svg class=\"square\" viewBox=\"0 0 %d %d\" role=\"img\" aria-labelledby=\"t%d\">\n<title "
        "id=\"t%d\">share of right predictions by their probability, as in the table</title>\n",
        SIDE + EDGE_LEFT + 14, SIDE + EDGE_TOP + EDGE_BOTTOM, id, id);
    draw_frame(p);
    put(p, "<g class=\"s0\"><path class=\"line\" d=\"");
    for (size_t i = 0, k = 0; i < n; i++) {
        if (bins[i].n > 0) {
            putf(p, "%c%.1f %.1f", k++ > 0 ? 'L' : 'M', across(bins[i].probability),
                 up((double)bins[i].correct / (double)bins[i].n));
        }
    }
    put(p, "\"/>");
    for (size_t i = 0; i < n; i++) { /* as large as there are rows */
        if (bins[i].n > 0) {
            putf(p, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>",
                 across(bins[i].probability), up((double)bins[i].correct / (double)bins[i].n),
                 2 + 7 * sqrt((double)bins[i].n / (double)n_rows));
        }
    }
    put(p, "</g>\n</svg>\n");
}

static size_t read_bins(json_t *list, bin bins[BINS_MOST], int64_t *n_rows) {
    size_t n = 0;
    *n_rows = 0;
    for (size_t i = 0; i < json_array_size(list) && n < BINS_MOST; i++) {
        json_t *const row = json_array_get(list, i);
        bins[n++] =
            (bin){count_at(row, 0), count_at(row, 1), json_number_value(json_array_get(row, 2))};
        *n_rows += bins[n - 1].n;
    }
    return n;
}

void put_calibration(page *p, const bt_report_run *run) {
    static const char *const heads[] = {"mean probability", "share right", "predictions"};
    json_t *const            error = json_object_get(run->evaluation, "calibration_error");
    bin                      bins[BINS_MOST];
    int64_t                  n_rows = 0;
    const size_t n = read_bins(json_object_get(run->evaluation, "calibration"), bins, &n_rows);
    if (n_rows == 0) {
        return;
    }
    put_section(p, "calibration", "Calibration");
    put(p, "<p>Below the diagonal the model is surer than it is right. ");
    if (json_is_number(error)) {
        put(p, "Expected calibration error: ");
        put_rounded(p, json_number_value(error));
        put(p, ".");
    }
    put(p, "</p>\n<figure class=\"beside\">\n");
    draw(p, bins, n, n_rows);
    table_begin(p, "predictions by their probability", heads, BT_ARRAY_LEN(heads), 7);
    for (size_t i = 0; i < n; i++) {
        if (bins[i].n > 0) {
            putf(p, "<tr><th scope=\"row\" class=\"n\">");
            put_rounded(p, bins[i].probability);
            put(p, "</th>");
            cell_rounded(p, (double)bins[i].correct / (double)bins[i].n);
            putf(p, "<td class=\"n\">%" PRId64 "</td>", bins[i].n);
            row_end(p);
        }
    }
    table_end(p);
    put(p, "</figure>\n");
    end_section(p);
}
