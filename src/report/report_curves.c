/* SPDX-License-Identifier: Apache-2.0
 *
 * A chart for each value that a run keeps, training and validation in one. */
#include <math.h>
#include <string.h>

#include "report_page.h"

const bt_report_track *find_track_named(const bt_report_run *run, const char *name,
                                        bool is_validation) {
    for (size_t i = 0; i < run->n_tracks; i++) {
        const bt_report_track *const t = &run->tracks[i];
        if (t->is_validation == is_validation && bt_str_equal(t->name, name)) {
            return t;
        }
    }
    return NULL;
}

bool is_metric(const char *name) {
    static const char *const others[] = {
        "training_loss", "validation_loss",     "learning_rate",     "steps_per_second",
        "examples",      "examples_per_second", "tokens_per_second", "seconds",
        "grad_norm",     "loss_scale",          "skipped_updates",   "input_wait",
        "exchange_wait", "padding_avoided",     "predicted_classes", "batch_size_per_core"};
    for (size_t i = 0; i < BT_ARRAY_LEN(others); i++) {
        if (bt_str_equal(name, others[i])) {
            return false;
        }
    }
    return !bt_str_starts_with(name, "best_") && !bt_str_ends_with(name, "_ci_low") &&
           !bt_str_ends_with(name, "_ci_high");
}

double last_value(const bt_report_track *track) {
    size_t n = track->n;
    while (n > 0 && !isfinite(track->values[n - 1])) {
        n--;
    }
    return n > 0 ? track->values[n - 1] : (double)NAN;
}

bool is_lower_better(const char *name) {
    return strstr(name, "loss") != NULL || strstr(name, "error") != NULL ||
           bt_str_starts_with(name, "brier") || bt_str_equal(name, "ece");
}

size_t best_place(const bt_report_track *track, bool is_lower) {
    size_t best = track->n;
    for (size_t i = 0; i < track->n; i++) {
        const double value = track->values[i];
        if (isfinite(value) && (best == track->n || (is_lower ? value < track->values[best]
                                                              : value > track->values[best]))) {
            best = i;
        }
    }
    return best;
}

typedef struct curve {
    const char *title;
    const char *training; /* names of values; NULL: there is none */
    const char *validation;
    const char *unit;
    bool        may_be_log;
    bool        from_zero;
} curve;

static void put_curve(page *p, const bt_report_run *run, const curve *row) {
    chart_line                   lines[2];
    chart                        c = {.title = row->title,
                                      .unit = row->unit,
                                      .lines = lines,
                                      .pauses = run->pauses,
                                      .n_pauses = run->n_pauses,
                                      .may_be_log = row->may_be_log,
                                      .from_zero = row->from_zero,
                                      .best_step = (double)NAN};
    const bt_report_track *const train =
        row->training != NULL ? find_track_named(run, row->training, false) : NULL;
    const bt_report_track *const other =
        row->validation != NULL ? find_track_named(run, row->validation, true) : NULL;
    if (train != NULL) {
        lines[c.n_lines++] = (chart_line){"training", "training", train, 1};
    }
    if (other != NULL) {
        if (run->best_metric != NULL && bt_str_equal(run->best_metric, row->validation)) {
            const size_t best = best_place(other, run->best_is_lower);
            c.best_step = best < other->n && other->n > 1 ? other->steps[best] : (double)NAN;
            c.best_line = c.n_lines;
        }
        lines[c.n_lines++] = (chart_line){"validation", "validation", other, 0};
    }
    if (c.n_lines > 0) {
        put_chart(p, &c);
    }
}

/* "cls_accuracy" -> "cls accuracy" */
static void copy_title(const char *name, char title[64]) {
    size_t n = 0;
    for (; name[n] != '\0' && n + 1 < 64; n++) {
        title[n] = name[n] == '_' ? ' ' : name[n];
    }
    title[n] = '\0';
}

static void put_metrics(page *p, const bt_report_run *run) {
    for (size_t i = 0; i < run->n_tracks; i++) {
        const bt_report_track *const t = &run->tracks[i];
        char                         title[64];
        const bool is_again = t->is_validation && find_track_named(run, t->name, false) != NULL;
        const bool is_of_class = strchr(t->name, '/') != NULL; /* those are in the table */
        if (!is_metric(t->name) || is_again || is_of_class) {
            continue;
        }
        copy_title(t->name, title);
        const curve row = {.title = title, .training = t->name, .validation = t->name};
        put_curve(p, run, &row);
    }
}

void put_curves(page *p, const bt_report_run *run) {
    static const curve loss = {.title = "loss",
                               .training = "training_loss",
                               .validation = "validation_loss",
                               .may_be_log = true};
    static const curve others[] = {
        {.title = "learning rate", .training = "learning_rate", .from_zero = true},
        {.title = "gradient norm", .training = "grad_norm", .may_be_log = true},
        {.title = "throughput",
         .training = "examples_per_second",
         .unit = "examples a second",
         .from_zero = true},
        {.title = "loss scale", .training = "loss_scale", .may_be_log = true},
        {.title = "skipped updates", .training = "skipped_updates", .from_zero = true},
    };
    if (run->n_tracks == 0) {
        return;
    }
    put_section(p, "curves", "Curves");
    put(p, "<div class=\"charts\">\n");
    put_curve(p, run, &loss);
    put_metrics(p, run);
    for (size_t i = 0; i < BT_ARRAY_LEN(others); i++) {
        put_curve(p, run, &others[i]);
    }
    put(p, "</div>\n");
    end_section(p);
}
