/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of a run for people: the last and the best values, where the checkpoints are, and the
 * commands that go on from there. Lines of the log: results for scripts are on standard output. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/terminal.h"
#include "results.h"

/* More values than fit a window are in metrics.jsonl. */
enum { MAX_ROWS = 20 };

static const bt_metric_value *find(const bt_train_values *values, const char *name) {
    for (size_t i = 0; i < values->n; i++) {
        if (bt_str_equal(values->items[i].name, name)) {
            return &values->items[i];
        }
    }
    return NULL;
}

/* Text and so many spaces that the columns stand below each other. */
static void pad(char *out, size_t cap, const char *text, size_t width) {
    const size_t used = bt_text_columns(text);
    (void)snprintf(out, cap, "%s%*s", text, used < width ? (int)(width - used) : 0, "");
}

static size_t widest(const bt_train_values *values) {
    size_t width = strlen("value");
    for (size_t i = 0; i < values->n && i < MAX_ROWS; i++) {
        const size_t n = bt_text_columns(values->items[i].name);
        width = n > width ? n : width;
    }
    return width;
}

static void tell_row(const char *name, size_t width, const char *last, const char *best) {
    char cell[BT_METRIC_NAME_MAX + 80];
    pad(cell, sizeof cell, name, width);
    if (best[0] == '\0') {
        bt_log_event(BT_LOG_INFO, "result", NULL, 0, "  %s  %s", cell, last);
    } else {
        bt_log_event(BT_LOG_INFO, "result", NULL, 0, "  %s  %-12s  %s", cell, last, best);
    }
}

static void tell_values(const bt_train_summary *s) {
    const size_t width = widest(&s->values);
    char         last[40];
    char         best[48] = "";
    (void)snprintf(last, sizeof last, "step %" PRId64, s->step);
    if (s->has_best) {
        (void)snprintf(best, sizeof best, "best, step %" PRId64, s->best_step);
    }
    tell_row("value", width, last, best);
    for (size_t i = 0; i < s->values.n && i < MAX_ROWS; i++) {
        const bt_metric_value *const v = &s->values.items[i];
        const bt_metric_value *const b = s->has_best ? find(&s->best, v->name) : NULL;
        (void)snprintf(last, sizeof last, "%.6g", v->value);
        best[0] = '\0';
        if (b != NULL) {
            (void)snprintf(best, sizeof best, "%.6g", b->value);
        }
        tell_row(v->name, width, last, best);
    }
    if (s->values.n > MAX_ROWS) {
        bt_log_event(BT_LOG_INFO, "result", NULL, 0, "  and %zu more, in metrics.jsonl",
                     s->values.n - MAX_ROWS);
    }
}

static bool has_best(const run_result *r) {
    return r->summary.has_best && r->summary.best_checkpoint[0] != '\0';
}

static bt_status tell_next(const run_result *r, const char *mode, const char *what, const char *why,
                           bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    line = BT_STR_INIT;
    BT_CHECK(bt_str_appendf(&line, err, "  bert-train --mode=%s --model_dir=", mode));
    BT_CHECK(bt_cli_append_word(&line, r->model_dir, err));
    BT_CHECK(bt_str_appendf(&line, err, "%s %s", has_best(r) ? " --checkpoint=best" : "", what));
    bt_log_event(BT_LOG_INFO, "next", NULL, 0, "%s   (%s)", bt_str_text(&line), why);
done:
    bt_str_deinit(&line);
    return rc;
}

/* A model of text takes lines of it. */
static bt_status tell_filter(const run_result *r, const bt_conf *conf, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    line = BT_STR_INIT;
    if (bt_conf_peek_is_empty(conf, "task.train_data.vocab_file")) {
        return BT_OK;
    }
    BT_CHECK(bt_str_append(&line, "  bert-train predict --model_dir=", err));
    BT_CHECK(bt_cli_append_word(&line, r->model_dir, err));
    BT_CHECK(bt_str_append(&line, has_best(r) ? " --checkpoint=best" : "", err));
    bt_log_event(BT_LOG_INFO, "next", NULL, 0, "%s   (type lines of text)", bt_str_text(&line));
done:
    bt_str_deinit(&line);
    return rc;
}

static bt_status tell_report(const run_result *r, bt_error *err) {
    char *path = NULL;
    BT_TRY(bt_fs_join(r->model_dir, "report.html", &path, err));
    if (r->summary.report == BT_OK && bt_fs_exists(path)) {
        bt_log_event(BT_LOG_INFO, "result", NULL, 0, "  report      %s", path);
    }
    bt_free(path);
    return BT_OK;
}

static void tell_checkpoints(const bt_train_summary *s) {
    if (s->checkpoint[0] != '\0') {
        bt_log_event(BT_LOG_INFO, "result", NULL, 0, "  checkpoint  %s", s->checkpoint);
    }
    if (s->has_best && s->best_checkpoint[0] != '\0') {
        bt_log_event(BT_LOG_INFO, "result", NULL, 0, "  best        %s", s->best_checkpoint);
    }
}

bt_status result_tell(const run_result *r, const bt_train_args *args, bt_error *err) {
    const bt_train_summary *const s = &r->summary;
    const bt_log_field            fields[] = {bt_log_int("step", s->step),
                                              bt_log_number("seconds", s->seconds)};
    const bool has_export = bt_str_equal(r->experiment, "bert/sentence_prediction");
    const bool has_folder = bt_str_equal(r->experiment, "bert/squad");
    if (!bt_conf_mode_trains(args->mode) || r->model_dir == NULL || s->values.n == 0) {
        return BT_OK; /* a line of the evaluation says it all */
    }
    bt_log_event(BT_LOG_INFO, "finished", fields, BT_ARRAY_LEN(fields),
                 "finished at step %" PRId64 " after %.1f s", s->step, s->seconds);
    tell_values(s);
    tell_checkpoints(s);
    BT_TRY(tell_report(r, err));
    bt_log_event(BT_LOG_INFO, "next", NULL, 0, "what can be done next:");
    BT_TRY(tell_next(r, "predict",
                     has_folder ? "--predict=FILE --output_path=FOLDER"
                                : "--predict=FILE --output_path=predictions.tsv",
                     "predict other rows", err));
    BT_TRY(tell_next(r, "eval", "--eval=FILE", "evaluate on other rows", err));
    BT_TRY(tell_filter(r, args->conf, err));
    return has_export ? tell_next(r, "export", "--export_format=hf --output_path=FOLDER",
                                  "write it for transformers", err)
                      : BT_OK;
}
