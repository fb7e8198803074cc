/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run came to: its head with the main figures, and the table of all results. */
#include <math.h>
#include <stdio.h>

#include "report_page.h"

enum { FIGURES_MOST = 4 };

/* The bounds of a value, where the evaluation computed them (task.bootstrap_samples). */
static bool find_interval(const bt_report_run *run, const char *name, double *low, double *high) {
    double *const            bounds[] = {low, high};
    static const char *const ends[] = {"_ci_low", "_ci_high"};
    for (size_t i = 0; i < BT_ARRAY_LEN(ends); i++) {
        char bound[96];
        (void)snprintf(bound, sizeof bound, "%s%s", name, ends[i]);
        const bt_report_track *const t = find_track_named(run, bound, true);
        if (t == NULL || !isfinite(last_value(t))) {
            return false;
        }
        *bounds[i] = last_value(t);
    }
    return true;
}

static bool any_interval(const bt_report_run *run) {
    double low = 0;
    double high = 0;
    for (size_t i = 0; i < run->n_tracks; i++) {
        if (find_interval(run, run->tracks[i].name, &low, &high)) {
            return true;
        }
    }
    return false;
}

/* Of the validation, or of the training where nothing was evaluated. */
static bool evaluates(const bt_report_run *run) {
    for (size_t i = 0; i < run->n_tracks; i++) {
        if (run->tracks[i].is_validation) {
            return true;
        }
    }
    return false;
}

static void put_figure(page *p, const bt_report_run *run, const bt_report_track *t) {
    char   text[NUMBER_MAX];
    double low = 0;
    double high = 0;
    put(p, "<div><dt>");
    put_name(p, t->name);
    putf(p, "</dt><dd>%s", number_text(last_value(t), text));
    if (find_interval(run, t->name, &low, &high)) {
        putf(p, "<small>%s", number_text(low, text));
        putf(p, " to %s</small>", number_text(high, text));
    }
    put(p, "</dd></div>\n");
}

static void put_figures(page *p, const bt_report_run *run) {
    const bool is_evaluated = evaluates(run);
    size_t     n = 0;
    put(p, "<dl class=\"figures\">\n");
    for (int pass = 0; pass < 2; pass++) { /* results first, then the loss */
        for (size_t i = 0; i < run->n_tracks && n < FIGURES_MOST; i++) {
            const bt_report_track *const t = &run->tracks[i];
            const char *const            loss = is_evaluated ? "validation_loss" : "training_loss";
            const bool is_wanted = pass == 0 ? is_metric(t->name) : bt_str_equal(t->name, loss);
            if (t->is_validation == is_evaluated && is_wanted && isfinite(last_value(t))) {
                put_figure(p, run, t);
                n++;
            }
        }
    }
    put(p, "</dl>\n");
}

void put_summary(page *p, const bt_report_run *run) {
    put(p, "<header>\n<h1>");
    put_breakable(p, run->experiment[0] != '\0' ? run->experiment : run->name);
    put(p, "</h1>\n<p class=\"where\"><bdi>");
    put_text(p, run->name);
    put(p, "</bdi></p>\n<p>");
    put_text(p, run->status);
    put(p, ".</p>\n");
    if (run->n_tracks > 0) {
        put_figures(p, run);
    }
    put(p, "</header>\n");
}

static void put_value(page *p, const bt_report_track *t) {
    if (t != NULL && isfinite(last_value(t))) {
        cell_rounded(p, last_value(t));
    } else {
        put(p, "<td></td>");
    }
}

static void put_result(page *p, const bt_report_run *run, const bt_report_track *t,
                       bool is_evaluated, bool has_intervals) {
    const bool   is_chosen = run->best_metric != NULL && bt_str_equal(run->best_metric, t->name);
    const size_t best = best_place(t, is_chosen ? run->best_is_lower : is_lower_better(t->name));
    double       low = 0;
    double       high = 0;
    row_begin(p, NULL);
    put(p, "<th scope=\"row\">");
    put_name(p, t->name);
    put(p, is_chosen ? " <small>chose the best checkpoint</small></th>" : "</th>");
    put_value(p, t);
    if (has_intervals && find_interval(run, t->name, &low, &high)) {
        put(p, "<td class=\"n\">");
        put_rounded(p, low);
        put(p, " to ");
        put_rounded(p, high);
        put(p, "</td>");
    } else if (has_intervals) {
        put(p, "<td></td>");
    }
    if (is_evaluated) {
        if (best < t->n) {
            cell_rounded(p, t->values[best]);
            putf(p, "<td class=\"n\">%.0f</td>", t->steps[best]);
        } else {
            put(p, "<td></td><td></td>");
        }
        const bool is_loss = bt_str_equal(t->name, "validation_loss");
        put_value(p, find_track_named(run, is_loss ? "training_loss" : t->name, false));
    }
    row_end(p);
}

void put_results(page *p, const bt_report_run *run) {
    const bool  is_evaluated = evaluates(run);
    const bool  has_intervals = any_interval(run);
    const char *heads[6] = {"value", "at the end"};
    size_t      n = 2;
    if (run->n_tracks == 0) {
        return;
    }
    if (has_intervals) {
        heads[n++] = "95 % interval";
    }
    if (is_evaluated) {
        heads[n++] = "best";
        heads[n++] = "at step";
        heads[n++] = "training";
    }
    put_section(p, "results", "Results");
    table_begin(p, is_evaluated ? "results of the evaluations" : "results of the training", heads,
                n, UINT32_MAX << 1);
    for (size_t i = 0; i < run->n_tracks; i++) {
        const bt_report_track *const t = &run->tracks[i];
        const bool                   is_loss = bt_str_equal(t->name, "validation_loss") ||
                             (!is_evaluated && bt_str_equal(t->name, "training_loss"));
        if (t->is_validation == is_evaluated && (is_metric(t->name) || is_loss)) {
            put_result(p, run, t, is_evaluated, has_intervals);
        }
    }
    table_end(p);
    if (has_intervals) {
        put(p, "<p class=\"note\">Intervals are those of resampled rows: they say how much another "
               "sample of the same data would move the value, not what another training would "
               "do.</p>\n");
    }
    end_section(p);
}
