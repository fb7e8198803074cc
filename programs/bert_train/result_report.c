/* SPDX-License-Identifier: Apache-2.0
 *
 * --result_junit (a test case for the run and one for each limit) and --result_markdown (a table
 * for the summary of a CI job). */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/signed_url.h"
#include "bt/base/terminal.h"
#include "bt/base/time.h"
#include "results.h"

/* In an attribute or element. XML 1.0 has no control characters, and only UTF-8 is UTF-8. */
static bt_status append_xml(bt_str *out, const char *text, bt_error *err) {
    for (size_t at = 0, n_all = strlen(text); at < n_all;) {
        uint32_t     c = 0;
        const size_t n = bt_utf8_length(text + at, n_all - at, &c);
        const char  *entity = n == 0 || (c < 0x20 && c != '\t') || c == 0xFFFE || c == 0xFFFF ? "?"
                              : c == '&' ? "&amp;"
                              : c == '<' ? "&lt;"
                              : c == '>' ? "&gt;"
                              : c == '"' ? "&quot;"
                                         : NULL;
        BT_TRY(entity != NULL ? bt_str_append(out, entity, err)
                              : bt_str_append_n(out, text + at, n, err));
        at += n > 0 ? n : 1;
    }
    return BT_OK;
}

static bt_status append_attribute(bt_str *out, const char *name, const char *text, bt_error *err) {
    BT_TRY(bt_str_appendf(out, err, " %s=\"", name));
    BT_TRY(append_xml(out, text, err));
    return bt_str_append(out, "\"", err);
}

static bool has_failed(const run_result *r) {
    return r->status != BT_OK && r->status != BT_E_LIMIT;
}

static size_t count_failed(const run_result *r) {
    size_t n = 0;
    for (size_t i = 0; i < r->n_limits; i++) {
        n += !has_failed(r) && !r->limits[i].is_met ? 1 : 0;
    }
    return n;
}

static const char *experiment_of(const run_result *r) {
    return r->experiment[0] != '\0' ? r->experiment : "bert-train";
}

/* What went wrong, or how the run ended when lines of the log say what. */
static const char *problem_of(const run_result *r) {
    return r->error.msg[0] != '\0' ? r->error.msg : bt_status_name(r->status);
}

static bt_status append_properties(const run_result *r, bt_str *out, bt_error *err) {
    BT_TRY(bt_str_append(out, "    <properties>\n      <property name=\"version\"", err));
    BT_TRY(append_attribute(out, "value", bt_cli_version(), err));
    BT_TRY(bt_str_append(out, "/>\n", err));
    for (size_t i = 0; r->has_summary && i < r->summary.values.n; i++) {
        char number[BT_F64_TEXT_MAX];
        BT_TRY(bt_str_append(out, "      <property", err));
        BT_TRY(append_attribute(out, "name", r->summary.values.items[i].name, err));
        BT_TRY(append_attribute(out, "value",
                                result_number(r->summary.values.items[i].value, number), err));
        BT_TRY(bt_str_append(out, "/>\n", err));
    }
    return bt_str_append(out, "    </properties>\n", err);
}

static bt_status append_case(const run_result *r, const char *name, double seconds, bt_str *out,
                             bt_error *err) {
    BT_TRY(bt_str_append(out, "    <testcase", err));
    BT_TRY(append_attribute(out, "name", name, err));
    BT_TRY(append_attribute(out, "classname", experiment_of(r), err));
    return bt_str_appendf(out, err, " time=\"%.3f\"", seconds);
}

static bt_status append_run_case(const run_result *r, double seconds, bt_str *out, bt_error *err) {
    BT_TRY(append_case(r, r->mode != NULL ? r->mode : "run", seconds, out, err));
    if (!has_failed(r)) {
        return bt_str_append(out, "/>\n", err);
    }
    BT_TRY(bt_str_append(out, ">\n      <error", err));
    BT_TRY(append_attribute(out, "message", problem_of(r), err));
    BT_TRY(append_attribute(out, "type", bt_status_name(r->status), err));
    return bt_str_appendf(out, err, ">exit code %d</error>\n    </testcase>\n", r->exit_code);
}

static bt_status append_limit_case(const run_result *r, const result_limit *limit, bt_str *out,
                                   bt_error *err) {
    char name[BT_METRIC_NAME_MAX + 64];
    char text[256];
    char bound[BT_F64_TEXT_MAX];
    (void)snprintf(name, sizeof name, "%s %s %s", limit->name,
                   limit->is_upper ? "at most" : "at least", result_number(limit->bound, bound));
    BT_TRY(append_case(r, name, 0, out, err));
    if (has_failed(r)) {
        return bt_str_append(out,
                             ">\n      <skipped message=\"the run has no result\"/>\n"
                             "    </testcase>\n",
                             err);
    }
    if (limit->is_met) {
        return bt_str_append(out, "/>\n", err);
    }
    result_limit_text(limit, text, sizeof text);
    BT_TRY(bt_str_append(out, ">\n      <failure", err));
    BT_TRY(append_attribute(out, "message", text, err));
    return bt_str_append(out, " type=\"limit\"/>\n    </testcase>\n", err);
}

bt_status result_append_junit(const run_result *r, bt_str *out, bt_error *err) {
    const double seconds = bt_time_monotonic() - r->began;
    char         time[BT_TIME_ISO_MAX];
    bt_time_iso(r->began_ms, time);
    time[strlen("2026-11-29T19:31:32")] = '\0'; /* the schema of Jenkins and Ant has no more */
    BT_TRY(bt_str_append(out,
                         "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n"
                         "  <testsuite name=\"bert-train\"",
                         err));
    BT_TRY(bt_str_appendf(out, err,
                          " tests=\"%zu\" failures=\"%zu\" errors=\"%d\" skipped=\"%zu\" "
                          "time=\"%.3f\" timestamp=\"%s\">\n",
                          r->n_limits + 1, count_failed(r), has_failed(r) ? 1 : 0,
                          has_failed(r) ? r->n_limits : 0, seconds, time));
    BT_TRY(append_properties(r, out, err));
    BT_TRY(append_run_case(r, seconds, out, err));
    for (size_t i = 0; i < r->n_limits; i++) {
        BT_TRY(append_limit_case(r, &r->limits[i], out, err));
    }
    return bt_str_append(out, "  </testsuite>\n</testsuites>\n", err);
}

/* A cell, or a word of a line: what Markdown or HTML would read is escaped. */
static bt_status append_cell(bt_str *out, const char *text, bt_error *err) {
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c != 0 && c < 0x80 && strchr("\\`*{}[]<>|#_~&", c) != NULL) {
            BT_TRY(bt_str_append_char(out, '\\', err));
        }
        BT_TRY(bt_str_append_char(out, c < 0x20 ? ' ' : *text, err));
    }
    return BT_OK;
}

static const result_limit *limit_of(const run_result *r, const char *name) {
    for (size_t i = 0; i < r->n_limits; i++) {
        if (bt_str_equal(r->limits[i].name, name)) {
            return &r->limits[i];
        }
    }
    return NULL;
}

static bt_status append_limit_cell(const run_result *r, const char *name, bt_str *out,
                                   bt_error *err) {
    char                      bound[BT_F64_TEXT_MAX];
    const result_limit *const limit = limit_of(r, name);
    return limit == NULL ? bt_str_append(out, " |\n", err)
                         : bt_str_appendf(out, err, " %s %s: %s |\n",
                                          limit->is_upper ? "at most" : "at least",
                                          result_number(limit->bound, bound),
                                          limit->is_met ? "kept" : "**not kept**");
}

static const bt_metric_value *find(const bt_train_values *values, const char *name) {
    for (size_t i = 0; i < values->n; i++) {
        if (bt_str_equal(values->items[i].name, name)) {
            return &values->items[i];
        }
    }
    return NULL;
}

static bt_status append_run_table(const run_result *r, bt_str *out, bt_error *err) {
    const bt_train_summary *const s = &r->summary;
    BT_TRY(bt_str_appendf(out, err, "| value | step %" PRId64, s->step));
    BT_TRY(s->has_best ? bt_str_appendf(out, err, " | best (step %" PRId64 ")", s->best_step)
                       : BT_OK);
    BT_TRY(bt_str_append(out, " | limit |\n", err));
    BT_TRY(bt_str_append(out, s->has_best ? "| --- | --- | --- | --- |\n" : "| --- | --- | --- |\n",
                         err));
    for (size_t i = 0; i < s->values.n; i++) {
        char                         number[BT_F64_TEXT_MAX];
        const bt_metric_value *const v = &s->values.items[i];
        const bt_metric_value *const best = s->has_best ? find(&s->best, v->name) : NULL;
        BT_TRY(bt_str_append(out, "| ", err));
        BT_TRY(append_cell(out, v->name, err));
        BT_TRY(bt_str_appendf(out, err, " | %s |", result_number(v->value, number)));
        if (s->has_best) {
            BT_TRY(bt_str_appendf(out, err, " %s |",
                                  best != NULL ? result_number(best->value, number) : ""));
        }
        BT_TRY(append_limit_cell(r, v->name, out, err));
    }
    return BT_OK;
}

static bt_status append_seeds_table(const run_result *r, bt_str *out, bt_error *err) {
    BT_TRY(bt_str_appendf(out, err,
                          "| value | mean of %zu seeds | standard deviation | limit |\n"
                          "| --- | --- | --- | --- |\n",
                          r->n_seeds));
    for (size_t i = 0; i < r->seeds.n_values; i++) {
        char                         mean[BT_F64_TEXT_MAX];
        char                         stddev[BT_F64_TEXT_MAX];
        const bt_train_spread *const v = &r->seeds.values[i];
        BT_TRY(bt_str_append(out, "| ", err));
        BT_TRY(append_cell(out, v->name, err));
        BT_TRY(bt_str_appendf(out, err, " | %s | %s |", result_number(v->mean, mean),
                              result_number(v->stddev, stddev)));
        BT_TRY(append_limit_cell(r, v->name, out, err));
    }
    return BT_OK;
}

bt_status result_append_markdown(const run_result *r, bt_str *out, bt_error *err) {
    BT_TRY(bt_str_append(out, "# bert-train: ", err));
    BT_TRY(append_cell(out, experiment_of(r), err));
    BT_TRY(bt_str_append(out, ", ", err));
    BT_TRY(append_cell(out, r->mode != NULL ? r->mode : "run", err));
    BT_TRY(bt_str_appendf(out, err, "\n\n%s, exit code %d, after %.1f s.",
                          bt_status_name(r->status), r->exit_code, bt_time_monotonic() - r->began));
    if (r->status != BT_OK) {
        char *const problem = bt_strdup(problem_of(r));
        if (problem == NULL) {
            return BT_FAIL(err, BT_E_NOMEM, "out of memory for the result");
        }
        bt_hide_signatures(problem);
        bt_status rc = bt_str_append(out, " ", err);
        rc = rc == BT_OK ? append_cell(out, problem, err) : rc;
        bt_free(problem);
        BT_TRY(rc);
    }
    BT_TRY(bt_str_append(out, "\n", err));
    if (r->has_seeds || r->has_summary) {
        BT_TRY(bt_str_append(out, "\n", err));
        BT_TRY(r->has_seeds ? append_seeds_table(r, out, err) : append_run_table(r, out, err));
    }
    if (r->has_summary && r->summary.checkpoint[0] != '\0') {
        BT_TRY(bt_str_append(out, "\nCheckpoint: ", err));
        BT_TRY(append_cell(out, r->summary.checkpoint, err));
        BT_TRY(bt_str_append(out, r->summary.has_best ? "; best: " : "\n", err));
        BT_TRY(append_cell(out, r->summary.has_best ? r->summary.best_checkpoint : "", err));
        BT_TRY(bt_str_append(out, r->summary.has_best ? "\n" : "", err));
    }
    return BT_OK;
}
