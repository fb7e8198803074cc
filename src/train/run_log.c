/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run says: records (records.c), TensorBoard events in train/ and the validation folder with
 * Model Garden's tags (docs/model_garden/config.md 6.6), one line on stderr a record, and a
 * progress line on a terminal. Event files appear with their first record; an evaluation's events
 * are written before its line, which says that it was made. A run that trains first takes out what
 * lies after the step that it goes on from. */
#include "run_log.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/fs.h"
#include "bt/wire/events.h"
#include "eval_details.h"
#include "records.h"

/* One of the two folders of events. */
typedef struct event_folder {
    char             *path;
    bt_events_writer *writer; /* NULL: nothing was written yet */
    bool              has_files;
    int64_t           n_last;  /* scalars of the last step that stayed */
    int64_t           restart; /* first step that is void; -1: none is */
} event_folder;

struct run_log {
    char        *folder;
    event_folder train;
    event_folder validation;
    bool         event_files;
    bool         event_extras;
    bool         trains;
    run_records *records;
    gauges      *gauges;
    bool         is_dirty; /* something may not be on the disk */
};

/* Events after last_step go. */
static bt_status rewind_events(run_log *log, event_folder *folder, int64_t last_step,
                               int64_t *n_cut, bt_error *err) {
    bt_events_found   found = {0};
    bt_events_writer *writer = folder->writer;
    folder->writer = NULL;
    BT_TRY(bt_events_close(writer, err));
    if (!log->event_files) {
        return BT_OK;
    }
    BT_TRY(bt_events_cut(folder->path, last_step, &found, err));
    folder->has_files = found.n_files > 0;
    folder->n_last = found.n_last;
    folder->restart = folder->has_files ? last_step + 1 : -1;
    *n_cut += found.n_cut;
    if (found.n_damaged_bytes > 0) {
        bt_log(BT_LOG_WARNING, "%s: %" PRId64 " torn or damaged bytes of event files removed",
               folder->path, found.n_damaged_bytes);
    }
    return BT_OK;
}

bt_status run_log_rewind(run_log *log, int64_t last_step, bt_error *err) {
    int64_t n_records = 0;
    int64_t n_events = 0;
    BT_TRY(records_rewind(log->records, last_step, &n_records, err));
    BT_TRY(eval_details_rewind(log->folder, last_step, err));
    BT_TRY(rewind_events(log, &log->train, last_step, &n_events, err));
    BT_TRY(rewind_events(log, &log->validation, last_step, &n_events, err));
    if (n_records > 0 || n_events > 0) {
        bt_log(BT_LOG_INFO,
               "%" PRId64 " records and %" PRId64 " events after step %" PRId64
               " taken out: this run repeats those steps",
               n_records, n_events, last_step);
    }
    return BT_OK;
}

bt_status run_log_open(const run_log_config *config, run_log **out, bt_error *err) {
    bt_status              rc = BT_OK;
    const model_dir *const dir = config->dir;
    run_log               *log = bt_calloc_array(1, sizeof *log);
    if (log == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the run log");
    }
    log->event_files = config->round < 0;
    log->event_extras = config->event_extras;
    log->trains = config->mode == NULL;
    log->gauges = config->gauges;
    log->train.restart = log->validation.restart = -1;
    log->is_dirty = true;
    BT_CHECK(bt_fs_join(dir->path, "", &log->folder, err));
    BT_CHECK(model_dir_join(dir, MODEL_TRAIN_EVENTS, &log->train.path, err));
    BT_CHECK(model_dir_join(dir, MODEL_EVENTS, &log->validation.path, err));
    BT_CHECK(records_create(dir->path, config->mode, config->round, &log->records, err));
    records_note_precision(log->records, config->precision);
    BT_CHECK(log->trains ? run_log_rewind(log, config->last_step, err) : BT_OK);
    *out = log;
    log = NULL;
done:
    if (log != NULL) {
        const bt_status closed = run_log_close(log, NULL);
        rc = rc == BT_OK ? closed : rc; /* the first failure is the one to tell */
    }
    return rc;
}

bt_status run_log_sync(run_log *log, bt_error *err) {
    if (log == NULL || !log->is_dirty) {
        return BT_OK;
    }
    event_folder *const folders[] = {&log->train, &log->validation};
    for (size_t i = 0; i < BT_ARRAY_LEN(folders); i++) {
        if (folders[i]->writer != NULL) {
            BT_TRY(bt_events_sync(folders[i]->writer, err));
            BT_TRY(bt_fs_sync_folder(folders[i]->path, err));
        }
    }
    BT_TRY(records_sync(log->records, err));
    BT_TRY(bt_fs_sync_folder(log->folder, err));
    log->is_dirty = false;
    return BT_OK;
}

bt_status run_log_close(run_log *log, bt_error *err) {
    if (log == NULL) {
        return BT_OK;
    }
    bt_status rc = bt_events_close(log->train.writer, err);
    {
        const bt_status closed = bt_events_close(log->validation.writer, rc == BT_OK ? err : NULL);
        rc = rc == BT_OK ? closed : rc;
    }
    {
        const bt_status flushed = records_close(log->records, rc == BT_OK ? err : NULL);
        rc = rc == BT_OK ? flushed : rc;
    }
    bt_free(log->folder);
    bt_free(log->train.path);
    bt_free(log->validation.path);
    bt_free(log);
    return rc;
}

/* The next record makes a new file. */
static bt_status drop_orphaned_events(const run_log *log, event_folder *folder, int64_t step,
                                      bt_error *err) {
    bt_events_writer *const writer = folder->writer;
    if (writer == NULL || !bt_events_is_orphan(writer)) {
        return BT_OK;
    }
    BT_TRY(model_dir_tell_removed(log->folder, bt_events_path(writer), step, err));
    folder->writer = NULL;
    return bt_events_close(writer, err);
}

/* Figures come first: where all scalars of an evaluation are, its figures are too. */
static bt_status write_events(run_log *log, event_folder *folder, int64_t step,
                              const bt_train_values *values, const run_figures *seen,
                              bt_error *err) {
    if (!log->event_files) {
        return BT_OK;
    }
    log->is_dirty = true;
    BT_TRY(drop_orphaned_events(log, folder, step, err));
    if (folder->writer == NULL) {
        BT_TRY(bt_events_create(folder->path, &folder->writer, err));
        if (folder->restart >= 0) {
            BT_TRY(bt_events_restart(folder->writer, folder->restart, err));
        }
    }
    if (seen != NULL && log->event_extras) {
        BT_TRY(run_figures_write(seen, folder->writer, step, err));
    }
    for (size_t i = 0; i < values->n; i++) {
        const bt_metric_value *const v = &values->items[i];
        BT_TRY(bt_events_scalar(folder->writer, step, v->name, (float)v->value, err));
    }
    return bt_events_flush(folder->writer, err);
}

/* Throughput, where the time went, and the gradient: beside the curves they are compared with. */
static bt_status write_extras(const event_folder *folder, int64_t step,
                              const bt_train_values *extra, bt_error *err) {
    for (size_t i = 0; i < extra->n; i++) {
        const bt_metric_value *const v = &extra->items[i];
        if (record_is_curve(v->name)) {
            BT_TRY(bt_events_scalar(folder->writer, step, v->name, (float)v->value, err));
        }
    }
    return bt_events_flush(folder->writer, err);
}

/* A reader of lines has enough of this many; what is left out is said. */
static void log_line(const run_log *log, bool is_train, int64_t step, const bt_train_values *values,
                     const bt_train_values *extra) {
    enum { TAIL = 64, MAX = 3072 };
    char         line[MAX];
    bt_log_field fields[1 + 2 * BT_TRAIN_MAX_VALUES];
    size_t       n_fields = 0;
    size_t       n_left = 0;
    size_t       n = (size_t)snprintf(line, sizeof line, "%-5s | step %6" PRId64,
                                is_train ? "train" : "eval", step);
    fields[n_fields++] = bt_log_int("step", step);
    for (size_t i = 0; i < values->n + extra->n; i++) {
        const bt_metric_value *const v =
            i < values->n ? &values->items[i] : &extra->items[i - values->n];
        char      text[BT_METRIC_NAME_MAX + 32];
        const int wrote = snprintf(text, sizeof text, " | %s %.*g", v->name,
                                   fabs(v->value) >= 1000 ? 6 : 4, v->value);
        if (n_left == 0 && wrote > 0 && n + (size_t)wrote + TAIL < sizeof line) {
            memcpy(line + n, text, (size_t)wrote + 1);
            n += (size_t)wrote;
        } else {
            n_left++;
        }
        fields[n_fields++] = bt_log_number(v->name, v->value);
    }
    if (n_left > 0) {
        (void)snprintf(line + n, sizeof line - n, " | ... (%zu more: all are in %s)", n_left,
                       log->trains ? "metrics.jsonl" : "the records of model_dir");
    }
    bt_log_event(BT_LOG_INFO, is_train ? "train" : "evaluation", fields, n_fields, "%s", line);
}

bt_status run_log_record(run_log *log, record_kind kind, int64_t step,
                         const bt_train_values *values, const bt_train_values *extra,
                         const run_figures *seen, bt_error *err) {
    const bool is_train = kind == RECORD_TRAIN;
    bool       is_there = false;
    log_line(log, is_train, step, values, extra);
    gauges_record(log->gauges, is_train, step, values, extra);
    BT_TRY(records_have(log->records, kind, step, values, &is_there, err));
    if (is_there) {
        return BT_OK;
    }
    BT_TRY(write_events(log, is_train ? &log->train : &log->validation, step, values, seen, err));
    if (is_train && log->event_files && log->event_extras) {
        BT_TRY(write_extras(&log->train, step, extra, err));
    }
    log->is_dirty = true;
    return records_add(log->records, kind, step, values, extra, err);
}

bt_status run_log_void_evaluation(run_log *log, int64_t step, bt_error *err) {
    int64_t n_cut = 0;
    return rewind_events(log, &log->validation, step - 1, &n_cut, err);
}

bt_status run_log_mend_evaluation(run_log *log, int64_t step, const bt_train_values *recorded,
                                  bool *is_whole, bt_error *err) {
    *is_whole = true;
    if (!log->event_files || log->validation.n_last >= (int64_t)recorded->n) {
        return BT_OK;
    }
    BT_TRY(run_log_void_evaluation(log, step, err));
    if (!log->event_extras) {
        return write_events(log, &log->validation, step, recorded, NULL, err);
    }
    bt_log(BT_LOG_INFO,
           "the events of step %" PRId64 "'s evaluation are not whole: it is made again", step);
    *is_whole = false;
    log->is_dirty = true;
    return records_void_evaluation(log->records, step, err);
}

bt_status run_log_final(run_log *log, const bt_train_summary *summary, const char *stopped,
                        bt_error *err) {
    log->is_dirty = true;
    return records_end(log->records, summary, stopped, err);
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

/* For programs. */
static void tell_progress(int64_t step, int64_t n_steps, double loss, double learning_rate,
                          double examples_per_second, double seconds_left) {
    const bt_log_field fields[] = {bt_log_int("step", step),
                                   bt_log_int("train_steps", n_steps),
                                   bt_log_number("loss", loss),
                                   bt_log_number("learning_rate", learning_rate),
                                   bt_log_number("examples_per_second", examples_per_second),
                                   bt_log_number("seconds_left", seconds_left)};
    bt_log_event(BT_LOG_INFO, "progress", fields, BT_ARRAY_LEN(fields), NULL);
}

/* What matters most comes first: a narrow terminal shows no more than that. */
void run_log_progress(const chunk_sums *c, int64_t step, int64_t n_steps, double loss,
                      double learning_rate) {
    const double seconds = c->seconds > 0 ? c->seconds : 1e-9;
    const double seconds_left = (double)(n_steps - step) * seconds / (double)c->n_steps;
    const double avoided = c->n_padded > 0 ? 1.0 - (double)c->n_tokens / (double)c->n_padded : 0.0;
    if (bt_log_is_json()) {
        tell_progress(step, n_steps, loss, learning_rate, (double)c->n_examples / seconds,
                      seconds_left);
        return;
    }
    char left[32];
    char line[256];
    format_duration(seconds_left, left, sizeof left);
    (void)snprintf(line, sizeof line,
                   "step %" PRId64 "/%" PRId64
                   " | %s left | loss %.4f | %.1f examples/s | lr %.2e | %.0f tokens/s | "
                   "padding avoided %.0f%%",
                   step, n_steps, left, loss, (double)c->n_examples / seconds, learning_rate,
                   (double)c->n_tokens / seconds, 100.0 * avoided);
    bt_log_progress(line);
}
