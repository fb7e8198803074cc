/* SPDX-License-Identifier: Apache-2.0
 *
 * A chart of lines over steps as SVG. Lines are told apart by dashes, by the shape of their marks
 * and by their names, which stand beside their ends; colour only helps. The numbers stand below, in
 * a table. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report_page.h"

/* In units of the drawing, which is about as wide as a telephone. */
enum { WIDTH = 360, HEIGHT = 222, LEFT = 50, TOP = 20, BOTTOM = 30, NAMES = 84, LETTERS = 30 };
enum { MARKS_MOST = 24, POINTS_MOST = 600, ROWS_MOST = 200, NAME_HEIGHT = 13 };

typedef struct drawing {
    page        *p;
    const chart *c;
    axis         x, y;
    double       right; /* where the lines end */
} drawing;

static double x_of(const drawing *d, double step) {
    return LEFT + axis_place(&d->x, step) * (d->right - LEFT);
}

static double y_of(const drawing *d, double value) {
    return HEIGHT - BOTTOM - axis_place(&d->y, value) * (HEIGHT - BOTTOM - TOP);
}

typedef struct range {
    double low, high;
} range;

static void widen(range *r, double value) {
    if (isfinite(value)) {
        r->low = fmin(r->low, value);
        r->high = fmax(r->high, value);
    }
}

static bool find_axes(const chart *c, drawing *d) {
    range x = {INFINITY, -INFINITY};
    range y = x;
    for (size_t i = 0; i < c->n_lines; i++) {
        const bt_report_track *const t = c->lines[i].track;
        for (size_t k = 0; k < t->n; k++) {
            widen(&x, t->steps[k]);
            widen(&y, t->values[k]);
        }
    }
    if (!(y.low <= y.high)) {
        return false;
    }
    if (c->from_zero) {
        widen(&y, 0);
    }
    d->y = axis_make(y.low, y.high, c->may_be_log, 4);
    d->x = axis_make(x.low > 0 ? 0 : x.low, x.high, false, 4);
    d->x.high = fmax(x.high, 1); /* a round end would leave room where nothing is */
    d->right = WIDTH - (c->names_are_short ? LETTERS : NAMES);
    return true;
}

static void draw_axes(const drawing *d) {
    page *const p = d->p;
    char        text[NUMBER_MAX];
    put(p, "<g class=\"grid\">");
    for (size_t i = 0; i < d->y.n_marks; i++) {
        const double y = y_of(d, d->y.marks[i]);
        putf(p,
             "<path d=\"M%d %.1fH%.1f\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>",
             LEFT, y, d->right, LEFT - 6, y + 4, axis_text(&d->y, d->y.marks[i], text));
    }
    for (size_t i = 0; i < d->x.n_marks; i++) {
        if (d->x.marks[i] <= d->x.high * 1.0001) {
            putf(p, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>",
                 x_of(d, d->x.marks[i]), HEIGHT - BOTTOM + 17,
                 axis_text(&d->x, d->x.marks[i], text));
        }
    }
    putf(p, "<text x=\"%d\" y=\"%d\">step</text></g>\n", (int)d->right + 16, HEIGHT - BOTTOM + 17);
}

static void draw_pauses(const drawing *d) {
    char text[NUMBER_MAX];
    for (size_t i = 0; i < d->c->n_pauses; i++) {
        const bt_report_pause *const pause = &d->c->pauses[i];
        const double                 x = x_of(d, pause->step);
        putf(d->p,
             "<g class=\"pause\"><title>continued here after %s</title><path d=\"M%.1f %dV%d\"/>"
             "<path class=\"dot\" d=\"M%.1f %dl-4 -7h8z\"/></g>\n",
             duration_text(pause->seconds, text), x, TOP, HEIGHT - BOTTOM, x, TOP);
    }
}

/* Shapes tell lines apart where they have marks. */
static void draw_mark(page *p, unsigned style, double x, double y) {
    static const char *const shapes[CHART_STYLES] = {
        "M-2.6 0a2.6 2.6 0 1 0 5.2 0a2.6 2.6 0 1 0 -5.2 0z",
        "M-2.4 -2.4h4.8v4.8h-4.8z",
        "M0 -3.4l3.2 5.6h-6.4z",
        "M0 -3.5l3.5 3.5l-3.5 3.5l-3.5 -3.5z",
        "M0 3.4l3.2 -5.6h-6.4z",
        "M-3.2 -1h2.2v-2.2h2v2.2h2.2v2h-2.2v2.2h-2v-2.2h-2.2z"};
    putf(p, "<path transform=\"translate(%.1f %.1f)\" d=\"%s\"/>", x, y,
         shapes[style % CHART_STYLES]);
}

/* M: a line begins, after a gap too; L: it goes on. */
static void draw_point(const drawing *d, const bt_report_track *t, size_t i, bool *is_open) {
    if (!isfinite(t->values[i])) {
        *is_open = false;
        return;
    }
    putf(d->p, "%c%.1f %.1f", *is_open ? 'L' : 'M', x_of(d, t->steps[i]), y_of(d, t->values[i]));
    *is_open = true;
}

/* Of very many points the lowest and the highest of each few, which look the same. */
static void draw_path(const drawing *d, const chart_line *line) {
    const bt_report_track *const t = line->track;
    const size_t                 few = 1 + t->n / (POINTS_MOST / 2);
    bool                         is_open = false;
    putf(d->p, "<path class=\"line\" d=\"");
    for (size_t at = 0; at < t->n; at += few) {
        const size_t end = at + few < t->n ? at + few : t->n;
        size_t       low = at;
        size_t       high = at;
        for (size_t i = at + 1; i < end; i++) {
            low = !(t->values[i] >= t->values[low]) ? i : low;
            high = !(t->values[i] <= t->values[high]) ? i : high;
        }
        draw_point(d, t, low < high ? low : high, &is_open);
        if (low != high) {
            draw_point(d, t, low < high ? high : low, &is_open);
        }
    }
    put(d->p, "\"/>");
}

static void draw_marks(const drawing *d, const chart_line *line) {
    const bt_report_track *const t = line->track;
    put(d->p, "<g class=\"marks\">");
    for (size_t i = 0; i < t->n; i++) {
        const bool is_last = i + 1 == t->n || d->c->n_lines < 3;
        if (isfinite(t->values[i]) && is_last && (t->n <= MARKS_MOST || i + 1 == t->n)) {
            char number[NUMBER_MAX];
            put(d->p, "<g><title>");
            put_text(d->p, line->about);
            putf(d->p, " %s at step %.0f</title>", number_text(t->values[i], number), t->steps[i]);
            draw_mark(d->p, line->style, x_of(d, t->steps[i]), y_of(d, t->values[i]));
            put(d->p, "</g>");
        }
    }
    put(d->p, "</g>");
}

static void draw_best(const drawing *d) {
    const bt_report_track *const t = d->c->lines[d->c->best_line].track;
    for (size_t i = 0; i < t->n; i++) {
        if (t->steps[i] == d->c->best_step && isfinite(t->values[i])) {
            putf(d->p,
                 "<g class=\"best\"><circle cx=\"%.1f\" cy=\"%.1f\" r=\"6\"/>"
                 "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">best</text></g>\n",
                 x_of(d, t->steps[i]), y_of(d, t->values[i]), x_of(d, t->steps[i]),
                 y_of(d, t->values[i]) - 10);
        }
    }
}

/* A name beside the end of its line. */
typedef struct end_name {
    size_t line;
    double x, y; /* of the end */
    double at;   /* where the name goes */
} end_name;

static int by_height(const void *a, const void *b) {
    const end_name *const x = a;
    const end_name *const y = b;
    return x->y != y->y ? (x->y > y->y) - (x->y < y->y) : (x->line > y->line) - (x->line < y->line);
}

/* Names keep apart: first downwards, then back up from the lower edge. */
static void spread_names(end_name *names, size_t n, double apart) {
    double least = TOP;
    for (size_t i = 0; i < n; i++) {
        names[i].at = fmax(names[i].y, least);
        least = names[i].at + apart;
    }
    double most = HEIGHT - BOTTOM;
    for (size_t i = n; i-- > 0;) {
        names[i].at = fmin(names[i].at, most);
        most = names[i].at - apart;
    }
}

static void draw_names(const drawing *d) {
    end_name names[CHART_LINES_MAX];
    size_t   n = 0;
    for (size_t i = 0; i < d->c->n_lines; i++) {
        const bt_report_track *const t = d->c->lines[i].track;
        size_t                       last = t->n;
        while (last > 0 && !isfinite(t->values[last - 1])) {
            last--;
        }
        if (last > 0) {
            names[n++] = (end_name){
                .line = i, .x = x_of(d, t->steps[last - 1]), .y = y_of(d, t->values[last - 1])};
        }
    }
    qsort(names, n, sizeof *names, by_height);
    const size_t n_columns = n * NAME_HEIGHT > HEIGHT - BOTTOM - TOP ? 2 : 1;
    spread_names(names, n, (double)NAME_HEIGHT / (double)n_columns);
    for (size_t i = 0; i < n; i++) {
        const chart_line *const line = &d->c->lines[names[i].line];
        const double            x = d->right + 10 + (double)(i % n_columns) * 11;
        putf(d->p, "<g class=\"s%u\"><path class=\"lead\" d=\"M%.1f %.1fL%.1f %.1f\"/>",
             line->style % CHART_STYLES, names[i].x + 4, names[i].y, x - 2, names[i].at);
        putf(d->p, "<text class=\"name\" x=\"%.1f\" y=\"%.1f\">", x, names[i].at + 4);
        put_text(d->p, line->name);
        put(d->p, "</text></g>\n");
    }
}

static void describe(const drawing *d) {
    char low[NUMBER_MAX];
    char high[NUMBER_MAX];
    for (size_t i = 0; i < d->c->n_lines; i++) {
        const bt_report_track *const t = d->c->lines[i].track;
        range                        r = {INFINITY, -INFINITY};
        for (size_t k = 0; k < t->n; k++) {
            widen(&r, t->values[k]);
        }
        put_text(d->p, d->c->lines[i].about);
        if (r.low <= r.high) {
            putf(d->p, ": from %s to %s, at the end ", number_text(r.low, low),
                 number_text(r.high, high));
            put(d->p, number_text(last_value(t), low));
        }
        put(d->p, ". ");
    }
}

static void draw(const drawing *d) {
    page *const p = d->p;
    const int   id = ++p->n_ids;
    putf(p,
         "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-labelledby=\"t%d d%d\">\n<title id=\"t%d\">",
         WIDTH, HEIGHT, id, id, id);
    put_text(p, d->c->title);
    putf(p, "</title><desc id=\"d%d\">", id);
    describe(d);
    put(p, "</desc>\n");
    draw_axes(d);
    draw_pauses(d);
    for (size_t i = 0; i < d->c->n_lines; i++) {
        putf(p, "<g class=\"s%u\">", d->c->lines[i].style % CHART_STYLES);
        draw_path(d, &d->c->lines[i]);
        draw_marks(d, &d->c->lines[i]);
        put(p, "</g>\n");
    }
    if (isfinite(d->c->best_step)) {
        draw_best(d);
    }
    draw_names(d);
    put(p, "</svg>\n");
}

/* The row of a step: each line's value there, if it has one. */
static void put_step(page *p, const chart *c, double step, const size_t *at) {
    putf(p, "<tr><th scope=\"row\" class=\"n\">%.0f</th>", step);
    for (size_t i = 0; i < c->n_lines; i++) {
        const bt_report_track *const t = c->lines[i].track;
        if (at[i] < t->n && t->steps[at[i]] == step) {
            cell_number(p, t->values[at[i]]);
        } else {
            put(p, "<td></td>");
        }
    }
    row_end(p);
}

static bool next_step(const chart *c, const size_t *at, double *step) {
    *step = INFINITY;
    for (size_t i = 0; i < c->n_lines; i++) {
        const bt_report_track *const t = c->lines[i].track;
        *step = at[i] < t->n ? fmin(*step, t->steps[at[i]]) : *step;
    }
    return isfinite(*step);
}

/* All numbers, or so many that one finds what the drawing shows. */
static void put_numbers(page *p, const chart *c) {
    const char *heads[CHART_LINES_MAX + 1] = {"step"};
    size_t      at[CHART_LINES_MAX] = {0};
    size_t      most = 0;
    double      step = 0;
    for (size_t i = 0; i < c->n_lines; i++) {
        heads[i + 1] = c->lines[i].about;
        most = c->lines[i].track->n > most ? c->lines[i].track->n : most;
    }
    const size_t each = 1 + most / ROWS_MOST;
    put(p, "<details><summary>Numbers</summary>\n");
    if (each > 1) {
        putf(p, "<p>Every %zu records; all of them are in metrics.jsonl.</p>\n", each);
    }
    table_begin(p, c->title, heads, c->n_lines + 1, UINT32_MAX);
    for (size_t row = 0; next_step(c, at, &step); row++) {
        size_t n_left = 0;
        for (size_t i = 0; i < c->n_lines; i++) {
            n_left += c->lines[i].track->n - at[i];
        }
        if (row % each == 0 || n_left <= c->n_lines) {
            put_step(p, c, step, at);
        }
        for (size_t i = 0; i < c->n_lines; i++) {
            const bt_report_track *const t = c->lines[i].track;
            at[i] += at[i] < t->n && t->steps[at[i]] == step ? 1 : 0;
        }
    }
    table_end(p);
    put(p, "</details>\n");
}

void put_chart(page *p, const chart *c) {
    drawing d = {.p = p, .c = c};
    char    text[NUMBER_MAX];
    BT_ASSERT(c->n_lines <= CHART_LINES_MAX);
    if (!find_axes(c, &d)) {
        return;
    }
    put(p, "<figure>\n<figcaption><h3>");
    put_text(p, c->title);
    put(p, "</h3>");
    for (size_t i = 0; i < c->n_lines && !c->names_are_short; i++) {
        put(p, i > 0 ? ", " : "<p>");
        if (c->n_lines > 1) {
            put_text(p, c->lines[i].about);
            put(p, " ");
        }
        put(p, number_text(last_value(c->lines[i].track), text));
    }
    put(p, c->names_are_short ? "<p>" : " ");
    put_text(p, c->unit != NULL ? c->unit : "");
    put(p, d.y.is_log ? " (logarithmic scale)</p></figcaption>\n" : "</p></figcaption>\n");
    draw(&d);
    put_numbers(p, c);
    put(p, "</figure>\n");
}
