/* SPDX-License-Identifier: Apache-2.0
 *
 * What a sweep came to: a line a trial, the best first, as text, Markdown and JSON; and what to do
 * with the best one. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/json_text.h"
#include "bt/base/log.h"
#include "bt/base/number.h"
#include "bt/base/stop.h"
#include "bt/fs.h"
#include "command_sweep.h"

enum { CELL_MAX = 64 };

bool sweep_is_better(const sweep *s, double a, double b) {
    return isfinite(a) && (!isfinite(b) || (s->is_lower_better ? a < b : a > b));
}

sweep_outcome sweep_judge_trial(const sweep *s, size_t trial, int32_t rung) {
    sweep_outcome o = {.trial = trial, .rung = rung, .mean = (double)NAN, .stddev = (double)NAN};
    double        sum = 0;
    double        best = (double)NAN;
    double        squares = 0;
    for (size_t i = 0; i < s->n_runs; i++) {
        const sweep_run *const run = &s->runs[i];
        if (run->trial != trial) {
            continue;
        }
        o.n_failed += run->has_failed || (run->n_done > rung && !isfinite(run->scores[rung]));
        if (run->n_done > rung && isfinite(run->scores[rung])) {
            o.best_run = sweep_is_better(s, run->scores[rung], best) ? i : o.best_run;
            best = s->runs[o.best_run].scores[rung];
            sum += run->scores[rung];
            o.n++;
        }
    }
    o.mean = o.n > 0 ? sum / (double)o.n : o.mean;
    for (size_t i = 0; i < s->n_runs; i++) {
        const sweep_run *const run = &s->runs[i];
        if (run->trial == trial && run->n_done > rung && isfinite(run->scores[rung])) {
            squares += (run->scores[rung] - o.mean) * (run->scores[rung] - o.mean);
        }
    }
    o.stddev = o.n > 1 ? sqrt(squares / (double)(o.n - 1)) : o.stddev;
    o.step = o.n > 0 ? s->runs[o.best_run].step : 0;
    return o;
}

/* Further up, then better, then first; those with a run that failed after the others. */
static bool is_before(const sweep *s, const sweep_outcome *a, const sweep_outcome *b) {
    if ((a->n_failed > 0) != (b->n_failed > 0)) {
        return a->n_failed == 0;
    }
    if (a->rung != b->rung) {
        return a->rung > b->rung;
    }
    return sweep_is_better(s, a->mean, b->mean) ||
           (!sweep_is_better(s, b->mean, a->mean) && a->trial < b->trial);
}

/* One a trial, the best first. */
static void judge_all(const sweep *s, sweep_outcome *out) {
    for (size_t i = 0; i < s->n_trials; i++) {
        sweep_outcome o = {0};
        for (int32_t rung = s->n_rungs - 1; rung >= 0; rung--) {
            o = sweep_judge_trial(s, i, rung);
            if (o.n > 0) {
                break;
            }
        }
        o.rung = o.n > 0 ? o.rung : -1;
        size_t at = i;
        for (; at > 0 && is_before(s, &o, &out[at - 1]); at--) {
            out[at] = out[at - 1];
        }
        out[at] = o;
    }
}

/* The table: cells by row and column, of which row 0 is the head. */

typedef enum table_form { TABLE_TEXT, TABLE_MARKDOWN } table_form;
enum { FIXED_COLUMNS = 5 };

static void write_score(const sweep_outcome *o, const char *sign, char out[CELL_MAX]) {
    if (o->n == 0) {
        (void)snprintf(out, CELL_MAX, "failed");
    } else if (o->n == 1) {
        (void)snprintf(out, CELL_MAX, "%.6g", o->mean);
    } else {
        (void)snprintf(out, CELL_MAX, "%.6g %s %.2g", o->mean, sign, o->stddev);
    }
}

/* The last part of the key's name, if no other key ends so. */
static const char *head_of_key(const sweep *s, size_t k) {
    const char *const dot = strrchr(s->keys[k].name, '.');
    for (size_t i = 0; dot != NULL && i < s->n_keys; i++) {
        if (i != k && bt_str_ends_with(s->keys[i].name, dot)) {
            return s->keys[k].name;
        }
    }
    return dot != NULL ? dot + 1 : s->keys[k].name;
}

/* Borrowed, or in out. o NULL: the head's. */
static const char *cell_of(const sweep *s, const sweep_outcome *o, size_t column, table_form form,
                           char out[CELL_MAX]) {
    static const char *const heads[] = {"trial", NULL, "runs", "steps", "folder"};
    if (column >= 1 && column <= s->n_keys) {
        return o == NULL ? head_of_key(s, column - 1) : s->trials[o->trial].values[column - 1];
    }
    const size_t fixed = column == 0 ? 0 : column - s->n_keys;
    if (o == NULL) {
        return fixed == 1 ? s->metric : heads[fixed];
    }
    if (fixed == 0) {
        (void)snprintf(out, CELL_MAX, "%zu", o->trial + 1);
    } else if (fixed == 1) {
        write_score(o, form == TABLE_TEXT ? "+-" : "\xc2\xb1", out);
    } else if (fixed == 2) {
        (void)snprintf(out, CELL_MAX, "%zu%s", o->n, o->n_failed > 0 ? " (failed)" : "");
    } else if (fixed == 3) {
        (void)snprintf(out, CELL_MAX, "%" PRId64, o->step);
    } else {
        return o->n > 0 ? s->runs[o->best_run].name : "";
    }
    return out;
}

static size_t width_of(const sweep *s, const sweep_outcome *o, size_t column) {
    char   cell[CELL_MAX];
    size_t width = strlen(cell_of(s, NULL, column, TABLE_TEXT, cell));
    for (size_t i = 0; i < s->n_trials; i++) {
        const size_t n = strlen(cell_of(s, &o[i], column, TABLE_TEXT, cell));
        width = n > width ? n : width;
    }
    return width;
}

static bt_status append_row(const sweep *s, const sweep_outcome *all, const sweep_outcome *o,
                            table_form form, bt_str *out, bt_error *err) {
    const size_t n = FIXED_COLUMNS + s->n_keys;
    for (size_t c = 0; c < n; c++) {
        char              cell[CELL_MAX];
        const char *const text = cell_of(s, o, c, form, cell);
        if (form == TABLE_TEXT && c + 1 < n) {
            BT_TRY(bt_str_appendf(out, err, "%-*s  ", (int)width_of(s, all, c), text));
        } else {
            BT_TRY(bt_str_appendf(out, err, form == TABLE_TEXT ? "%s" : "| %s ", text));
        }
    }
    return bt_str_append(out, form == TABLE_TEXT ? "\n" : "|\n", err);
}

static bt_status append_table(const sweep *s, const sweep_outcome *all, table_form form,
                              bt_str *out, bt_error *err) {
    BT_TRY(append_row(s, all, NULL, form, out, err));
    for (size_t c = 0; form == TABLE_MARKDOWN && c < FIXED_COLUMNS + s->n_keys; c++) {
        BT_TRY(bt_str_append(out, c == 0 ? "| ---: |" : " --- |", err));
    }
    BT_TRY(form == TABLE_MARKDOWN ? bt_str_append(out, "\n", err) : BT_OK);
    for (size_t i = 0; i < s->n_trials; i++) {
        BT_TRY(append_row(s, all, &all[i], form, out, err));
    }
    return BT_OK;
}

static bool has_best(const sweep_outcome *all) {
    return all[0].n > 0 && all[0].n_failed == 0;
}

static bt_status append_folder(const sweep *s, const char *run, bt_str *out, bt_error *err) {
    char     *path = NULL;
    bt_status rc = sweep_path(s, run, "", &path, err);
    rc = rc == BT_OK ? bt_cli_append_word(out, path, err) : rc;
    bt_free(path);
    return rc == BT_OK ? bt_str_append_char(out, '\n', err) : rc;
}

static bt_status append_override(const sweep *s, size_t trial, bt_str *out, bt_error *err) {
    bt_str    values = BT_STR_INIT;
    bt_status rc = sweep_append_values(s, trial, &values, err);
    rc = rc == BT_OK && values.len > 0 ? bt_cli_append_word(out, values.data, err) : rc;
    bt_str_deinit(&values);
    return rc;
}

/* "best: trial 3 (KEY=V): cls_accuracy 0.9; to use it: ..." */
static bt_status append_best(const sweep *s, const sweep_outcome *all, bt_str *out, bt_error *err) {
    char score[CELL_MAX];
    if (!has_best(all)) {
        return bt_str_append(out, "no trial has a value in all of its runs\n", err);
    }
    const char *const folder = s->runs[all[0].best_run].name;
    write_score(&all[0], "+-", score);
    BT_TRY(bt_str_appendf(out, err, "best: trial %zu", all[0].trial + 1));
    BT_TRY(s->n_keys > 0 ? bt_str_append(out, " (", err) : BT_OK);
    BT_TRY(sweep_append_values(s, all[0].trial, out, err));
    BT_TRY(bt_str_appendf(out, err, "%s: %s %s\n", s->n_keys > 0 ? ")" : "", s->metric, score));
    BT_TRY(bt_str_append(out, "use it: bert-train predict --model_dir=", err));
    BT_TRY(append_folder(s, folder, out, err));
    if (s->n_folds > 0) {
        BT_TRY(bt_str_append(out,
                             "That model has not seen its fold: train again on all rows, with the "
                             "same command less sweep and its flags",
                             err));
        BT_TRY(s->n_keys > 0 ? bt_str_append(out, ", and --params_override=", err) : BT_OK);
        BT_TRY(append_override(s, all[0].trial, out, err));
        BT_TRY(bt_str_append(out, "\n", err));
    }
    return BT_OK;
}

/* JSON */

static bt_status append_number(bt_str *out, double value, bt_error *err) {
    char number[BT_F64_TEXT_MAX];
    return bt_str_append(out, isfinite(value) ? bt_f64_repr(value, number) : "null", err);
}

static bt_status append_object(const sweep *s, const sweep_outcome *o, bt_str *out, bt_error *err) {
    bool is_first = true;
    BT_TRY(bt_str_appendf(out, err, "{\"trial\": %zu, \"values\": {", o->trial + 1));
    for (size_t k = 0; k < s->n_keys; k++) {
        BT_TRY(bt_str_append(out, k > 0 ? ", " : "", err));
        BT_TRY(bt_str_append_json(out, s->keys[k].name, err));
        BT_TRY(bt_str_append(out, ": ", err));
        BT_TRY(bt_str_append_json(out, s->trials[o->trial].values[k], err));
    }
    BT_TRY(bt_str_append(out, "}, \"mean\": ", err));
    BT_TRY(append_number(out, o->mean, err));
    BT_TRY(bt_str_append(out, ", \"stddev\": ", err));
    BT_TRY(append_number(out, o->stddev, err));
    BT_TRY(bt_str_appendf(out, err,
                          ", \"n\": %zu, \"failed\": %zu, \"steps\": %" PRId64
                          ", \"rung\": %" PRId32 ", \"runs\": [",
                          o->n, o->n_failed, o->step, o->rung + 1));
    for (size_t i = 0; i < s->n_runs; i++) {
        if (s->runs[i].trial == o->trial) {
            BT_TRY(bt_str_appendf(out, err, "%s\"%s\"", is_first ? "" : ", ", s->runs[i].name));
            is_first = false;
        }
    }
    BT_TRY(bt_str_append(out, "], \"best_run\": ", err));
    return o->n > 0 ? bt_str_appendf(out, err, "\"%s\"}", s->runs[o->best_run].name)
                    : bt_str_append(out, "null}", err);
}

static bt_status append_json(const sweep *s, const sweep_outcome *all, bt_str *out, bt_error *err) {
    BT_TRY(bt_str_append(out, "{\"schema_version\": 1, \"metric\": ", err));
    BT_TRY(bt_str_append_json(out, s->metric, err));
    BT_TRY(bt_str_appendf(
        out, err, ", \"goal\": \"%s\", \"model_dir\": ", s->is_lower_better ? "min" : "max"));
    BT_TRY(bt_str_append_json(out, s->model_dir, err));
    BT_TRY(bt_str_append(out, ", \"best_trial\": ", err));
    BT_TRY(has_best(all) ? bt_str_appendf(out, err, "%zu", all[0].trial + 1)
                         : bt_str_append(out, "null", err));
    BT_TRY(bt_str_append(out, ",\n \"trials\": [\n", err));
    for (size_t i = 0; i < s->n_trials; i++) {
        BT_TRY(bt_str_append(out, i > 0 ? ",\n  " : "  ", err));
        BT_TRY(append_object(s, &all[i], out, err));
    }
    return bt_str_append(out, "\n ]}\n", err);
}

/* Files */

static bt_status write_markdown(const sweep *s, const sweep_outcome *all, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    text = BT_STR_INIT;
    char     *path = NULL;
    BT_CHECK(bt_str_append(&text, "# Sweep\n\n", err));
    BT_CHECK(append_table(s, all, TABLE_MARKDOWN, &text, err));
    BT_CHECK(bt_str_append(&text, "\n```text\n", err));
    BT_CHECK(append_best(s, all, &text, err));
    BT_CHECK(bt_str_append(&text, "```\n", err));
    BT_CHECK(sweep_path(s, "sweep", ".md", &path, err));
    rc = bt_fs_replace(path, text.data, text.len, err);
done:
    bt_str_deinit(&text);
    bt_free(path);
    return rc;
}

/* The page of all runs is no reason to lose the table. */
static void write_report(const sweep *s) {
    bt_error problem = BT_ERROR_INIT;
    bt_stop_shield(true);
    if (bt_train_write_report(&s->model_dir, 1, NULL, &problem) != BT_OK) {
        bt_log(BT_LOG_WARNING, "no report.html of the runs: %s", problem.msg);
    }
    bt_stop_shield(false);
}

bt_status sweep_tell(const sweep *s, bt_error *err) {
    bt_status            rc = BT_OK;
    bt_str               text = BT_STR_INIT;
    sweep_outcome *const all = bt_calloc_array(s->n_trials, sizeof *all);
    if (all == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the table");
    }
    judge_all(s, all);
    BT_CHECK(write_markdown(s, all, err));
    if (s->wants_report) {
        write_report(s);
    }
    if (bt_str_equal(bt_flags_string(s->flags, "format"), "json")) {
        BT_CHECK(append_json(s, all, &text, err));
    } else {
        BT_CHECK(append_table(s, all, TABLE_TEXT, &text, err));
        BT_CHECK(append_best(s, all, &text, err));
    }
    rc = bt_cli_print(&text, BT_READER_NEEDS_ALL, err);
done:
    bt_str_deinit(&text);
    bt_free(all);
    return rc;
}
