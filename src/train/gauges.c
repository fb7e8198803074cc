/* SPDX-License-Identifier: Apache-2.0
 *
 * --prometheus_file: Prometheus' text format 0.0.4, replaced at once, so that node_exporter's
 * textfile collector (which reads *.prom) never sees half of it. It must not have time stamps. */
#include "gauges.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/number.h"
#include "bt/base/terminal.h"
#include "bt/base/time.h"
#include "bt/fs.h"

/* Records of training that follow each other faster are not worth a write each; seconds. */
static const double period = 1.0;

struct gauges {
    const bt_train_args *args;
    const char          *path;
    int64_t              train_steps;
    double               started; /* unix */
    double               written; /* monotonic; 0: not yet */
    bool                 is_told; /* that it cannot be written */
    bool                 has_evaluation;
    int64_t              step, evaluation_step;
    bt_train_values      training, training_extra, evaluation, evaluation_extra;
    int                  exit_code; /* -1: it runs */
};

/* A label's value, without its quotes. */
static bt_status append_label(bt_str *out, const char *text, bt_error *err) {
    for (size_t at = 0, n_all = strlen(text); at < n_all;) {
        uint32_t          c = 0;
        const size_t      n = bt_utf8_length(text + at, n_all - at, &c);
        const char *const escaped = n == 0      ? "\xEF\xBF\xBD"
                                    : c == '\\' ? "\\\\"
                                    : c == '"'  ? "\\\""
                                    : c == '\n' ? "\\n"
                                                : NULL;
        BT_TRY(escaped != NULL ? bt_str_append(out, escaped, err)
                               : bt_str_append_n(out, text + at, n, err));
        at += n > 0 ? n : 1;
    }
    return BT_OK;
}

static bt_status append_pair(bt_str *out, const char *name, const char *value, const char *after,
                             bt_error *err) {
    BT_TRY(bt_str_appendf(out, err, "%s=\"", name));
    BT_TRY(append_label(out, value, err));
    return bt_str_appendf(out, err, "\"%s", after);
}

static bt_status append_number(bt_str *out, double value, bt_error *err) {
    char text[BT_F64_TEXT_MAX];
    return bt_str_appendf(out, err, " %s\n",
                          isnan(value)   ? "NaN"
                          : isinf(value) ? (value > 0 ? "+Inf" : "-Inf")
                                         : bt_f64_repr(value, text));
}

/* label NULL: without the label "name". */
static bt_status append_sample(const gauges *g, const char *metric, const char *label, double value,
                               bt_str *out, bt_error *err) {
    BT_TRY(bt_str_appendf(out, err, "bert_train_%s{", metric));
    BT_TRY(append_pair(out, "experiment", bt_conf_experiment_name(g->args->conf), ",", err));
    BT_TRY(append_pair(out, "mode", bt_conf_mode_name(g->args->mode), ",", err));
    BT_TRY(append_pair(out, "model_dir", g->args->model_dir, "", err));
    BT_TRY(label != NULL ? bt_str_append(out, ",", err) : BT_OK);
    BT_TRY(label != NULL ? append_pair(out, "name", label, "", err) : BT_OK);
    BT_TRY(bt_str_append(out, "}", err));
    return append_number(out, value, err);
}

static bt_status append_head(const char *metric, const char *help, bt_str *out, bt_error *err) {
    return bt_str_appendf(out, err, "# HELP bert_train_%s %s\n# TYPE bert_train_%s gauge\n", metric,
                          help, metric);
}

static bt_status append_one(const gauges *g, const char *metric, const char *help, double value,
                            bt_str *out, bt_error *err) {
    BT_TRY(append_head(metric, help, out, err));
    return append_sample(g, metric, NULL, value, out, err);
}

static bool has_name(const bt_train_values *values, const char *name) {
    for (size_t i = 0; i < values->n; i++) {
        if (bt_str_equal(values->items[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* A series may be there once only: the first of one name counts. */
static bt_status append_values(const gauges *g, const char *metric, const char *help,
                               const bt_train_values *values, const bt_train_values *extra,
                               bt_str *out, bt_error *err) {
    if (values->n + extra->n == 0) {
        return BT_OK;
    }
    BT_TRY(append_head(metric, help, out, err));
    for (size_t i = 0; i < values->n; i++) {
        BT_TRY(append_sample(g, metric, values->items[i].name, values->items[i].value, out, err));
    }
    for (size_t i = 0; i < extra->n; i++) {
        if (!has_name(values, extra->items[i].name)) {
            BT_TRY(append_sample(g, metric, extra->items[i].name, extra->items[i].value, out, err));
        }
    }
    return BT_OK;
}

static bt_status append_all(const gauges *g, bt_str *out, bt_error *err) {
    BT_TRY(append_one(g, "running", "1 while the run is at work, 0 after its end.",
                      g->exit_code < 0, out, err));
    if (g->exit_code >= 0) {
        BT_TRY(append_one(g, "exit_code", "How the run ended; README.md has the table.",
                          g->exit_code, out, err));
    }
    BT_TRY(append_one(g, "start_time_seconds", "When the run began, since 1970.", g->started, out,
                      err));
    BT_TRY(append_one(g, "update_time_seconds", "When this was written, since 1970.",
                      bt_time_unix(), out, err));
    BT_TRY(append_one(g, "step", "Updates made.", (double)g->step, out, err));
    if (g->train_steps > 0) {
        BT_TRY(append_one(g, "train_steps", "Updates that the run is to make.",
                          (double)g->train_steps, out, err));
    }
    BT_TRY(append_values(g, "training", "Values of the last record of training, by name.",
                         &g->training, &g->training_extra, out, err));
    if (g->has_evaluation) {
        BT_TRY(append_one(g, "evaluation_step", "Step of the last evaluation.",
                          (double)g->evaluation_step, out, err));
    }
    return append_values(g, "evaluation", "Values of the last evaluation, by name.", &g->evaluation,
                         &g->evaluation_extra, out, err);
}

static void write_file(gauges *g) {
    bt_error  problem = BT_ERROR_INIT;
    bt_str    text = BT_STR_INIT;
    bt_status rc = append_all(g, &text, &problem);
    if (rc == BT_OK) {
        rc = bt_fs_replace(g->path, text.data, text.len, &problem);
    }
    if (rc != BT_OK && !g->is_told) {
        bt_log(BT_LOG_WARNING, "--prometheus_file: %s; the run goes on", problem.msg);
        g->is_told = true;
    }
    g->written = bt_time_monotonic();
    bt_str_deinit(&text);
}

static bt_status make_folder(const char *path, bt_error *err) {
    char *folder = NULL;
    BT_TRY(bt_fs_parent(path, &folder, err));
    const bt_status rc = bt_fs_make_folders(folder, err);
    bt_free(folder);
    return rc;
}

bt_status gauges_open(const bt_train_args *args, const char *path, int64_t train_steps,
                      gauges **out, bt_error *err) {
    if (path == NULL) {
        return BT_OK;
    }
    BT_TRY(make_folder(path, err));
    gauges *const g = bt_calloc_array(1, sizeof *g);
    if (g == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for --prometheus_file");
    }
    g->args = args;
    g->path = path;
    g->train_steps = train_steps;
    g->started = bt_time_unix();
    g->exit_code = -1;
    write_file(g);
    *out = g;
    return BT_OK;
}

void gauges_record(gauges *g, bool is_train, int64_t step, const bt_train_values *values,
                   const bt_train_values *extra) {
    if (g == NULL) {
        return;
    }
    g->step = step;
    if (is_train) {
        g->training = *values;
        g->training_extra = *extra;
    } else {
        g->has_evaluation = true;
        g->evaluation_step = step;
        g->evaluation = *values;
        g->evaluation_extra = *extra;
    }
    if (!is_train || bt_time_monotonic() - g->written >= period) {
        write_file(g);
    }
}

void gauges_close(gauges *g, int exit_code) {
    if (g != NULL) {
        g->exit_code = exit_code;
        write_file(g);
        bt_free(g);
    }
}
