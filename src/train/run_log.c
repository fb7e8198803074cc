/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run says: metrics.jsonl (one JSON object a line, flushed at once), TensorBoard events in
 * train/ and the validation folder with Model Garden's tags (spec/config.md 6.6), one line on
 * stderr a record, and a progress line on a terminal. Event files appear with their first record.
 */
#include "run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/fs.h"
#include "bt/wire.h"

/* One line of metrics.jsonl. */
typedef struct record {
    const char            *kind;
    int64_t                step;
    const bt_metric_value *values;
    size_t                 n_values;
    const bt_metric_value *extra;
    size_t                 n_extra;
    const char            *stopped; /* NULL: not said */
} record;

struct run_log {
    char             *train_folder;
    char             *validation_folder;
    bool              event_files;
    bt_fs_writer     *jsonl;
    bt_events_writer *train_events;
    bt_events_writer *validation_events;
};

void value_add(bt_metric_value *values, size_t *n, const char *name, double value) {
    bt_metric_value *const slot = &values[(*n)++];
    (void)snprintf(slot->name, sizeof slot->name, "%s", name);
    slot->value = value;
}

bt_status run_log_open(const char *model_dir, const char *validation_subdir, bool event_files,
                       run_log **out, bt_error *err) {
    bt_status rc = BT_OK;
    char     *jsonl_path = NULL;
    run_log  *log = bt_calloc_array(1, sizeof *log);
    if (log == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the run log");
    }
    log->event_files = event_files;
    BT_CHECK(bt_fs_join(model_dir, "train", &log->train_folder, err));
    BT_CHECK(bt_fs_join(model_dir, validation_subdir[0] != '\0' ? validation_subdir : "validation",
                        &log->validation_folder, err));
    BT_CHECK(bt_fs_join(model_dir, "metrics.jsonl", &jsonl_path, err));
    BT_CHECK(bt_fs_writer_append(jsonl_path, &log->jsonl, err));
    *out = log;
    log = NULL;
done:
    bt_free(jsonl_path);
    if (log != NULL) {
        const bt_status closed = run_log_close(log, NULL);
        rc = rc == BT_OK ? closed : rc; /* the first failure is the one to tell */
    }
    return rc;
}

bt_status run_log_sync(run_log *log, const char *model_dir, bt_error *err) {
    if (log == NULL || !bt_fs_is_remote(model_dir)) {
        return BT_OK;
    }
    bt_events_writer *const events[] = {log->train_events, log->validation_events};
    for (size_t i = 0; i < BT_ARRAY_LEN(events); i++) {
        if (events[i] != NULL) {
            BT_TRY(bt_events_sync(events[i], err));
        }
    }
    return bt_fs_writer_flush(log->jsonl, true, err);
}

bt_status run_log_close(run_log *log, bt_error *err) {
    if (log == NULL) {
        return BT_OK;
    }
    bt_status rc = bt_events_close(log->train_events, err);
    {
        const bt_status closed = bt_events_close(log->validation_events, rc == BT_OK ? err : NULL);
        rc = rc == BT_OK ? closed : rc;
    }
    if (log->jsonl != NULL) {
        const bt_status flushed = bt_fs_writer_flush(log->jsonl, true, rc == BT_OK ? err : NULL);
        rc = rc == BT_OK ? flushed : rc;
        bt_fs_writer_abort(log->jsonl); /* append: only closes */
    }
    bt_free(log->train_folder);
    bt_free(log->validation_folder);
    bt_free(log);
    return rc;
}

/* JSON knows no NaN and no infinity: null says that there is no number. */
static bt_status append_number(bt_str *line, double value, bt_error *err) {
    char text[BT_F64_TEXT_MAX];
    if (!isfinite(value)) {
        return bt_str_append(line, "null", err);
    }
    return bt_str_append(line, bt_f64_repr(value, text), err);
}

static bt_status append_values(bt_str *line, const bt_metric_value *values, size_t n,
                               bt_error *err) {
    for (size_t i = 0; i < n; i++) {
        BT_TRY(bt_str_appendf(line, err, ", \"%s\": ", values[i].name));
        BT_TRY(append_number(line, values[i].value, err));
    }
    return BT_OK;
}

static bt_status write_jsonl(run_log *log, const record *r, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    line = BT_STR_INIT;
    BT_CHECK(bt_str_appendf(&line, err, "{\"kind\": \"%s\", \"step\": %" PRId64, r->kind, r->step));
    if (r->stopped != NULL) {
        BT_CHECK(bt_str_appendf(&line, err, ", \"stopped\": \"%s\"", r->stopped));
    }
    BT_CHECK(append_values(&line, r->values, r->n_values, err));
    BT_CHECK(append_values(&line, r->extra, r->n_extra, err));
    BT_CHECK(bt_str_append(&line, "}\n", err));
    BT_CHECK(bt_fs_writer_write(log->jsonl, line.data, line.len, err));
    BT_CHECK(bt_fs_writer_flush(log->jsonl, false, err));
done:
    bt_str_deinit(&line);
    return rc;
}

static bt_status write_events(bt_events_writer **events, const char *folder, int64_t step,
                              const bt_metric_value *values, size_t n_values, bt_error *err) {
    if (*events == NULL) {
        BT_TRY(bt_events_create(folder, events, err));
    }
    for (size_t i = 0; i < n_values; i++) {
        BT_TRY(bt_events_scalar(*events, step, values[i].name, (float)values[i].value, err));
    }
    return bt_events_flush(*events, err);
}

static void log_line(const char *kind, int64_t step, const bt_metric_value *values, size_t n_values,
                     const bt_metric_value *extra, size_t n_extra) {
    char   line[1536];
    size_t n = (size_t)snprintf(line, sizeof line, "%-5s | step %6" PRId64, kind, step);
    for (size_t i = 0; i < n_values + n_extra && n < sizeof line; i++) {
        const bt_metric_value *const v = i < n_values ? &values[i] : &extra[i - n_values];
        const int wrote = snprintf(line + n, sizeof line - n, " | %s %.*g", v->name,
                                   fabs(v->value) >= 1000 ? 6 : 4, v->value);
        n += wrote > 0 ? (size_t)wrote : 0;
    }
    bt_log(BT_LOG_INFO, "%s", line);
}

bt_status run_log_record(run_log *log, const char *kind, int64_t step,
                         const bt_metric_value *values, size_t n_values,
                         const bt_metric_value *extra, size_t n_extra, bt_error *err) {
    const bool is_train = bt_str_equal(kind, "train");
    const bool is_validation = bt_str_equal(kind, "validation");
    if (is_train || is_validation) {
        log_line(is_train ? "train" : "eval", step, values, n_values, extra, n_extra);
    }
    const record line = {.kind = kind,
                         .step = step,
                         .values = values,
                         .n_values = n_values,
                         .extra = extra,
                         .n_extra = n_extra};
    BT_TRY(write_jsonl(log, &line, err));
    if (log->event_files && is_train) {
        BT_TRY(write_events(&log->train_events, log->train_folder, step, values, n_values, err));
    }
    if (log->event_files && is_validation) {
        BT_TRY(write_events(&log->validation_events, log->validation_folder, step, values, n_values,
                            err));
    }
    return BT_OK;
}

bt_status run_log_final(run_log *log, const bt_train_summary *summary, const char *stopped,
                        bt_error *err) {
    const bt_metric_value seconds = {.name = "seconds", .value = summary->seconds};
    const record          final = {.kind = "final",
                                   .step = summary->step,
                                   .values = summary->values,
                                   .n_values = summary->n_values,
                                   .extra = &seconds,
                                   .n_extra = 1,
                                   .stopped = stopped};
    return write_jsonl(log, &final, err);
}

/* "1:02:03" or "2:03" */
static void format_duration(double seconds, char *text, size_t cap) {
    const int64_t s = seconds > 0 && seconds < 1e9 ? (int64_t)seconds : 0;
    if (s >= 3600) {
        (void)snprintf(text, cap, "%" PRId64 ":%02d:%02d", s / 3600, (int)(s / 60 % 60),
                       (int)(s % 60));
    } else {
        (void)snprintf(text, cap, "%d:%02d", (int)(s / 60), (int)(s % 60));
    }
}

void run_log_progress(const train_run *run, double loss, double learning_rate, int64_t target) {
    const chunk_sums *const c = &run->chunk;
    const double            seconds = c->seconds > 0 ? c->seconds : 1e-9;
    const double            steps_per_second = (double)c->n_steps / seconds;
    const double avoided = c->n_padded > 0 ? 1.0 - (double)c->n_tokens / (double)c->n_padded : 0.0;
    char         left[32];
    format_duration((double)(run->config.train_steps - run->step) / steps_per_second, left,
                    sizeof left);
    char line[256];
    (void)snprintf(
        line, sizeof line,
        "step %" PRId64 "/%" PRId64 " | loss %.4f | lr %.2e | %.1f examples/s | %.0f tokens/s | "
        "padding avoided %.0f%% | %s left",
        run->step, target > 0 ? run->config.train_steps : run->step, loss, learning_rate,
        (double)c->n_examples / seconds, (double)c->n_tokens / seconds, 100.0 * avoided, left);
    bt_log_progress(line);
}
