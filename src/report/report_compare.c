/* SPDX-License-Identifier: Apache-2.0
 *
 * Several runs side by side: their results with mean and deviation, what they differ in, and their
 * curves, each with the letter that its run has in the table. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report_page.h"

enum { LETTERS_MAX = 8, COLUMNS_MOST = 12, COMPARED_MOST = 100 };

/* A, B, ... Z, AA, AB: what a run is called in charts. */
static const char *letter_of(size_t i, char text[LETTERS_MAX]) {
    size_t n = 1;
    for (size_t rest = i / 26; rest > 0; rest = (rest - 1) / 26) {
        n++;
    }
    text[n] = '\0';
    for (size_t rest = i + 1; n > 0; rest = (rest - 1) / 26) {
        text[--n] = (char)('A' + (rest - 1) % 26);
    }
    return text;
}

/* The names of results that some run has; of evaluations where there are any. */
static size_t find_names(const bt_report_run *runs, size_t n, const char **names) {
    size_t n_names = 0;
    for (int pass = 0; pass < 2 && n_names == 0; pass++) {
        for (size_t r = 0; r < n; r++) {
            for (size_t i = 0; i < runs[r].n_tracks; i++) {
                const bt_report_track *const t = &runs[r].tracks[i];
                bool                         is_there = t->is_validation != (pass == 0) ||
                                !(is_metric(t->name) || strstr(t->name, "_loss") != NULL);
                for (size_t k = 0; k < n_names; k++) {
                    is_there = is_there || bt_str_equal(names[k], t->name);
                }
                if (!is_there && n_names < COLUMNS_MOST) {
                    names[n_names++] = t->name;
                }
            }
        }
    }
    return n_names;
}

static const bt_report_track *result_of(const bt_report_run *run, const char *name) {
    const bt_report_track *const t = find_track_named(run, name, true);
    return t != NULL ? t : find_track_named(run, name, false);
}

static void put_mean(page *p, const bt_report_run *runs, size_t n, const char *name,
                     bool deviates) {
    double sum = 0;
    double squares = 0;
    double count = 0;
    for (size_t r = 0; r < n; r++) {
        const bt_report_track *const t = result_of(&runs[r], name);
        const double                 value = t != NULL ? last_value(t) : (double)NAN;
        if (isfinite(value)) {
            sum += value;
            count += 1;
        }
    }
    const double mean = count > 0 ? sum / count : (double)NAN;
    for (size_t r = 0; r < n; r++) {
        const bt_report_track *const t = result_of(&runs[r], name);
        const double                 value = t != NULL ? last_value(t) : (double)NAN;
        squares += isfinite(value) ? (value - mean) * (value - mean) : 0;
    }
    cell_rounded(p, !deviates ? mean : count > 1 ? sqrt(squares / (count - 1)) : (double)NAN);
}

static void put_run_row(page *p, const bt_report_run *run, size_t i, const char *const *names,
                        size_t n_names) {
    char letter[LETTERS_MAX];
    row_begin(p, letter_of(i, letter));
    cell(p, run->name);
    cell(p, run->status);
    for (size_t k = 0; k < n_names; k++) {
        const bt_report_track *const t = result_of(run, names[k]);
        cell_rounded(p, t != NULL ? last_value(t) : (double)NAN);
    }
    row_end(p);
}

static void put_run_table(page *p, const bt_report_run *runs, size_t n, const char *const *names,
                          size_t n_names) {
    const char *heads[3 + COLUMNS_MOST] = {"", "run", "state"};
    heads[0] = "letter";
    memcpy(heads + 3, names, n_names * sizeof *names);
    put_section(p, "results", "Results");
    table_begin(p, "the last value of each run", heads, 3 + n_names, UINT32_MAX << 3);
    for (size_t i = 0; i < n; i++) {
        put_run_row(p, &runs[i], i, names, n_names);
    }
    put(p, "</tbody>\n<tbody class=\"sums\">\n");
    for (int deviates = 0; deviates < 2; deviates++) {
        putf(p, "<tr><th scope=\"row\" colspan=\"3\">%s</th>",
             deviates ? "standard deviation" : "mean");
        for (size_t k = 0; k < n_names; k++) {
            put_mean(p, runs, n, names[k], deviates);
        }
        row_end(p);
    }
    table_end(p);
    end_section(p);
}

static const bt_report_setting *find_setting(const bt_report_run *run, const char *key) {
    for (size_t i = 0; i < run->n_settings; i++) {
        if (bt_str_equal(run->settings[i].key, key)) {
            return &run->settings[i];
        }
    }
    return NULL;
}

/* What the key says in a run: where it is not listed there, it is the default. */
static const char *value_in(const bt_report_run *run, const bt_report_setting *as) {
    const bt_report_setting *const s = find_setting(run, as->key);
    return s != NULL ? s->value : as->usual != NULL ? as->usual : "default";
}

static bool differs(const bt_report_run *runs, size_t n, const bt_report_setting *s) {
    for (size_t r = 1; r < n; r++) {
        if (!bt_str_equal(value_in(&runs[r], s), value_in(&runs[0], s))) {
            return true;
        }
    }
    return false;
}

/* Was the key seen in a run before? */
static bool is_old(const bt_report_run *runs, size_t r, const char *key) {
    for (size_t i = 0; i < r; i++) {
        if (find_setting(&runs[i], key) != NULL) {
            return true;
        }
    }
    return false;
}

/* A column for each run. */
static void begin_differences(page *p, size_t n) {
    char        letters[COMPARED_MOST][LETTERS_MAX];
    const char *heads[COMPARED_MOST + 1] = {"key"};
    for (size_t k = 0; k < n && k < COMPARED_MOST; k++) {
        heads[k + 1] = letter_of(k, letters[k]);
    }
    table_begin(p, "keys that differ between the runs", heads,
                1 + (n < COMPARED_MOST ? n : COMPARED_MOST), 0);
}

static void put_differences(page *p, const bt_report_run *runs, size_t n) {
    bool is_begun = false;
    put_section(p, "differences", "What differs");
    for (size_t r = 0; r < n; r++) {
        for (size_t i = 0; i < runs[r].n_settings; i++) {
            const bt_report_setting *const s = &runs[r].settings[i];
            if (is_old(runs, r, s->key) || !differs(runs, n, s)) {
                continue;
            }
            if (!is_begun) {
                is_begun = true;
                begin_differences(p, n);
            }
            put(p, "<tr><th scope=\"row\"><code>");
            put_breakable(p, s->key);
            put(p, "</code></th>");
            for (size_t k = 0; k < n && k < COMPARED_MOST; k++) {
                put(p, "<td><code>");
                put_breakable(p, value_in(&runs[k], s));
                put(p, "</code></td>");
            }
            row_end(p);
        }
    }
    if (is_begun) {
        table_end(p);
    } else {
        put(p, "<p>The settings of all of them are the same.</p>\n");
    }
    end_section(p);
}

/* One value of all runs. */
static void put_overlay(page *p, const bt_report_run *runs, size_t n, const char *name,
                        bool is_validation) {
    char       letters[CHART_LINES_MAX][LETTERS_MAX];
    chart_line lines[CHART_LINES_MAX];
    char       title[96];
    chart      c = {.title = title,
                    .lines = lines,
                    .may_be_log = !is_metric(name),
                    .best_step = (double)NAN,
                    .names_are_short = true};
    for (size_t r = 0; r < n && c.n_lines < CHART_LINES_MAX; r++) {
        const bt_report_track *const t = find_track_named(&runs[r], name, is_validation);
        if (t != NULL) {
            letter_of(r, letters[c.n_lines]);
            lines[c.n_lines] = (chart_line){letters[c.n_lines], letters[c.n_lines], t,
                                            (unsigned)(r % CHART_STYLES)};
            c.n_lines++;
        }
    }
    if (c.n_lines == 0) {
        return;
    }
    const bool is_said = strstr(name, "training") != NULL || strstr(name, "validation") != NULL;
    (void)snprintf(title, sizeof title, "%s%s", name,
                   is_said         ? ""
                   : is_validation ? ", validation"
                                   : ", training");
    for (char *at = title; *at != '\0'; at++) {
        *at = *at == '_' ? ' ' : *at;
    }
    put_chart(p, &c);
}

static void put_overlays(page *p, const bt_report_run *runs, size_t n, const char *const *names,
                         size_t n_names) {
    put_section(p, "curves", "Curves");
    if (n > CHART_LINES_MAX) {
        putf(p, "<p>The first %d runs; the others are in the table.</p>\n", (int)CHART_LINES_MAX);
    }
    put(p, "<div class=\"charts\">\n");
    put_overlay(p, runs, n, "training_loss", false);
    for (size_t k = 0; k < n_names; k++) {
        if (!bt_str_equal(names[k], "training_loss")) {
            put_overlay(p, runs, n, names[k], true);
        }
    }
    put_overlay(p, runs, n, "learning_rate", false);
    put_overlay(p, runs, n, "grad_norm", false);
    put(p, "</div>\n");
    end_section(p);
}

void put_comparison(page *p, const bt_report_run *runs, size_t n) {
    const char  *names[COLUMNS_MOST];
    const size_t n_names = find_names(runs, n, names);
    putf(p, "<header>\n<h1>%zu runs side by side</h1>\n<p>", n);
    put_isolated(p, runs[0].experiment);
    put(p, "</p>\n</header>\n");
    put_run_table(p, runs, n, names, n_names);
    put_differences(p, runs, n);
    put_overlays(p, runs, n, names, n_names);
}
