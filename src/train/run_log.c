/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run says: metrics.jsonl (run_record.h; a line a record, handed over at once), TensorBoard
 * events in train/ and the validation folder with Model Garden's tags
 * (docs/model_garden/config.md 6.6), one line on stderr a record, and a progress line on a
 * terminal. Event files appear with their first record; an evaluation's events are written before
 * its line, which says that it was made.
 *
 * A run that trains first takes out what lies behind the step that it goes on from. Others open
 * metrics.jsonl for each record, and hold the lock of who trains for that moment; while a training
 * has it they write to metrics-eval.jsonl. So a line is neither cut nor torn by another process,
 * and a store never sees two that write one object. */
#include "run_log.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/fs.h"
#include "bt/wire/events.h"
#include "run_lock.h"
#include "run_record.h"

/* One of the two folders of events. */
typedef struct event_folder {
    char             *path;
    bt_events_writer *writer; /* NULL: nothing was written yet */
    bool              has_files;
    int64_t           n_last;  /* scalars of the last step that stayed */
    int64_t           restart; /* first step that is void; -1: none is */
} event_folder;

struct run_log {
    char         *model_dir;
    char         *jsonl_path;
    char         *beside_path; /* metrics-eval.jsonl */
    bool          is_beside;   /* it was said that a training is at work */
    event_folder  train;
    event_folder  validation;
    bool          event_files;
    bool          trains;
    const char   *mode;  /* of a run that does not train; else NULL */
    int64_t       round; /* see run_log_config */
    bt_fs_writer *jsonl;
    bool          is_dirty; /* something may not be on the disk */
    int64_t       n_records;
};

void value_add(bt_metric_value *values, size_t *n, const char *name, double value) {
    bt_metric_value *const slot = &values[(*n)++];
    (void)snprintf(slot->name, sizeof slot->name, "%s", name);
    slot->value = value;
}

/* Events behind last_step go. */
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

/* What was written goes to the file, which may then be replaced. */
static bt_status close_jsonl(run_log *log, bt_error *err) {
    bt_fs_writer *const jsonl = log->jsonl;
    log->jsonl = NULL;
    if (jsonl == NULL) {
        return BT_OK;
    }
    const bt_status rc = bt_fs_writer_flush(jsonl, true, err);
    bt_fs_writer_abort(jsonl); /* append: only closes */
    return rc;
}

static bt_status take_out(run_log *log, int64_t last_step, bt_error *err) {
    const record_cut cut = {.last_step = last_step, .round = log->round};
    int64_t          n_records = 0;
    int64_t          n_events = 0;
    BT_TRY(history_cut(log->jsonl_path, &cut, &n_records, err));
    BT_TRY(rewind_events(log, &log->train, last_step, &n_events, err));
    BT_TRY(rewind_events(log, &log->validation, last_step, &n_events, err));
    if (n_records > 0 || n_events > 0) {
        bt_log(BT_LOG_INFO,
               "%" PRId64 " records and %" PRId64 " events behind step %" PRId64
               " taken out: this run makes those steps again",
               n_records, n_events, last_step);
    }
    return BT_OK;
}

static bt_status open_jsonl(run_log *log, const char *path, bt_error *err) {
    bool torn = false;
    if (!log->trains) {
        BT_TRY(history_is_torn(path, &torn, err));
    }
    BT_TRY(bt_fs_writer_append(path, &log->jsonl, err));
    return torn ? bt_fs_writer_write(log->jsonl, "\n", 1, err) : BT_OK;
}

bt_status run_log_rewind(run_log *log, int64_t last_step, bt_error *err) {
    BT_TRY(close_jsonl(log, err));
    BT_TRY(take_out(log, last_step, err));
    return open_jsonl(log, log->jsonl_path, err);
}

bt_status run_log_open(const run_log_config *config, run_log **out, bt_error *err) {
    bt_status         rc = BT_OK;
    const char *const subdir = config->validation_subdir;
    run_log          *log = bt_calloc_array(1, sizeof *log);
    if (log == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the run log");
    }
    log->event_files = config->round < 0;
    log->trains = config->mode == NULL;
    log->mode = config->mode;
    log->round = config->round;
    log->train.restart = log->validation.restart = -1;
    log->is_dirty = true;
    BT_CHECK(bt_fs_join(config->model_dir, "", &log->model_dir, err));
    BT_CHECK(bt_fs_join(config->model_dir, "train", &log->train.path, err));
    BT_CHECK(bt_fs_join(config->model_dir, subdir[0] != '\0' ? subdir : "validation",
                        &log->validation.path, err));
    BT_CHECK(bt_fs_join(config->model_dir, "metrics.jsonl", &log->jsonl_path, err));
    BT_CHECK(bt_fs_join(config->model_dir, "metrics-eval.jsonl", &log->beside_path, err));
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
    if (log->jsonl != NULL) {
        BT_TRY(bt_fs_writer_flush(log->jsonl, true, err));
    }
    BT_TRY(bt_fs_sync_folder(log->model_dir, err));
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
        const bt_status flushed = close_jsonl(log, rc == BT_OK ? err : NULL);
        rc = rc == BT_OK ? flushed : rc;
    }
    bt_free(log->model_dir);
    bt_free(log->jsonl_path);
    bt_free(log->beside_path);
    bt_free(log->train.path);
    bt_free(log->validation.path);
    bt_free(log);
    return rc;
}

static bt_status append_line(run_log *log, const bt_str *line, bt_error *err) {
    BT_TRY(bt_fs_writer_write(log->jsonl, line->data, line->len, err));
    return bt_fs_writer_flush(log->jsonl, false, err);
}

/* An evaluation that no training makes. */
static bt_status append_beside(run_log *log, const bt_str *line, bt_error *err) {
    bt_fs_lock *lock = NULL;
    bt_error    busy = BT_ERROR_INIT;
    bt_status rc = bt_fs_lock_take(log->model_dir, BT_FS_LOCK_NAME, RUN_LOCK_RECORD, &lock, &busy);
    if (rc != BT_OK && rc != BT_E_RESOURCE) {
        return BT_FAIL(err, rc, "%s", busy.msg);
    }
    if (lock == NULL && !log->is_beside) {
        log->is_beside = true;
        bt_log(BT_LOG_INFO, "%s: metrics.jsonl belongs to another process: records go to %s",
               busy.msg, log->beside_path);
    }
    rc = open_jsonl(log, lock != NULL ? log->jsonl_path : log->beside_path, err);
    if (rc == BT_OK) {
        rc = append_line(log, line, err);
        const bt_status closed = close_jsonl(log, rc == BT_OK ? err : NULL);
        rc = rc == BT_OK ? closed : rc;
    }
    bt_fs_lock_release(lock);
    return rc;
}

/* Somebody removed what was being written. Never a folder in place of a model_dir that is gone. */
static bt_status tell_removed(const run_log *log, const char *path, int64_t step, bt_error *err) {
    if (!bt_fs_exists(log->model_dir)) {
        return BT_FAIL(err, BT_E_RESOURCE,
                       "%s was removed during the run, and %s with it: nothing more is "
                       "written there; the same command starts over",
                       log->model_dir, bt_fs_basename(path));
    }
    bt_log(BT_LOG_WARNING,
           "%s was removed during the run: what it held is lost; it starts again with step "
           "%" PRId64,
           path, step);
    return BT_OK;
}

static bt_status replace_orphaned_jsonl(run_log *log, int64_t step, bt_error *err) {
    if (log->jsonl != NULL && !bt_fs_writer_is_orphan(log->jsonl)) {
        return BT_OK;
    }
    if (log->jsonl != NULL) {
        BT_TRY(tell_removed(log, log->jsonl_path, step, err));
    }
    BT_TRY(close_jsonl(log, err));
    return open_jsonl(log, log->jsonl_path, err);
}

/* The next record makes a new file. */
static bt_status drop_orphaned_events(const run_log *log, event_folder *folder, int64_t step,
                                      bt_error *err) {
    bt_events_writer *const writer = folder->writer;
    if (writer == NULL || !bt_events_is_orphan(writer)) {
        return BT_OK;
    }
    BT_TRY(tell_removed(log, bt_events_path(writer), step, err));
    folder->writer = NULL;
    return bt_events_close(writer, err);
}

static bt_status write_jsonl(run_log *log, const run_record *r, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    line = BT_STR_INIT;
    log->is_dirty = true;
    log->n_records++;
    if (log->trains) {
        BT_CHECK(replace_orphaned_jsonl(log, r->step, err));
    }
    BT_CHECK(record_format(r, &line, err));
    BT_CHECK(log->trains ? append_line(log, &line, err) : append_beside(log, &line, err));
done:
    bt_str_deinit(&line);
    return rc;
}

static bt_status write_events(run_log *log, event_folder *folder, int64_t step,
                              const bt_metric_value *values, size_t n_values, bt_error *err) {
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
    for (size_t i = 0; i < n_values; i++) {
        BT_TRY(bt_events_scalar(folder->writer, step, values[i].name, (float)values[i].value, err));
    }
    return bt_events_flush(folder->writer, err);
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

/* An evaluation that no training made: is it in the file already? */
typedef struct repetition {
    const run_record *record;
    bool              found;
} repetition;

static bool find_repetition(void *context, const record_line *line) {
    repetition *const r = context;
    r->found = record_is_repeated(line, r->record);
    return r->found;
}

static bt_status is_repeated(const run_log *log, const run_record *r, bool *found, bt_error *err) {
    repetition search = {.record = r};
    *found = false;
    if (!log->trains) {
        BT_TRY(history_visit(log->jsonl_path, find_repetition, &search, err));
        if (!search.found) {
            BT_TRY(history_visit(log->beside_path, find_repetition, &search, err));
        }
        *found = search.found;
    }
    return BT_OK;
}

bt_status run_log_record(run_log *log, const char *kind, int64_t step,
                         const bt_metric_value *values, size_t n_values,
                         const bt_metric_value *extra, size_t n_extra, bt_error *err) {
    const bool       is_train = bt_str_equal(kind, "train");
    bool             found = false;
    const run_record line = {.kind = kind,
                             .step = step,
                             .round = log->round,
                             .mode = log->mode,
                             .values = values,
                             .n_values = n_values,
                             .extra = extra,
                             .n_extra = n_extra};
    log_line(is_train ? "train" : "eval", step, values, n_values, extra, n_extra);
    BT_TRY(is_repeated(log, &line, &found, err));
    if (found) {
        return BT_OK;
    }
    BT_TRY(
        write_events(log, is_train ? &log->train : &log->validation, step, values, n_values, err));
    return write_jsonl(log, &line, err);
}

bt_status run_log_void_evaluation(run_log *log, int64_t step, bt_error *err) {
    int64_t n_cut = 0;
    return rewind_events(log, &log->validation, step - 1, &n_cut, err);
}

bt_status run_log_mend_evaluation(run_log *log, int64_t step, const bt_train_summary *recorded,
                                  bt_error *err) {
    if (!log->event_files || log->validation.n_last >= (int64_t)recorded->n_values) {
        return BT_OK;
    }
    BT_TRY(run_log_void_evaluation(log, step, err));
    return write_events(log, &log->validation, step, recorded->values, recorded->n_values, err);
}

static bool find_final(void *context, const record_line *line) {
    repetition *const r = context;
    r->found = bt_str_equal(line->kind, "final") && line->step == r->record->step &&
               line->round == r->record->round;
    return r->found;
}

/* A run that added nothing has said its end already, unless it was killed before. */
static bt_status make_way(run_log *log, const run_record *final, bool *is_said, bt_error *err) {
    repetition search = {.record = final};
    BT_TRY(history_visit(log->jsonl_path, find_final, &search, err));
    *is_said = search.found && log->n_records == 0;
    if (!search.found || *is_said || !log->trains) {
        return BT_OK;
    }
    const record_cut cut = {.last_step = final->step, .round = log->round, .without_final = true};
    int64_t          n_cut = 0;
    BT_TRY(close_jsonl(log, err));
    BT_TRY(history_cut(log->jsonl_path, &cut, &n_cut, err));
    return open_jsonl(log, log->jsonl_path, err);
}

bt_status run_log_final(run_log *log, const bt_train_summary *summary, const char *stopped,
                        bt_error *err) {
    const bt_metric_value seconds = {.name = "seconds", .value = summary->seconds};
    const run_record      final = {.kind = "final",
                                   .step = summary->step,
                                   .round = log->round,
                                   .mode = log->mode,
                                   .values = summary->values,
                                   .n_values = summary->n_values,
                                   .extra = &seconds,
                                   .n_extra = 1,
                                   .stopped = stopped};
    bool                  is_said = false;
    if (!log->trains && log->n_records == 0) {
        return BT_OK;
    }
    BT_TRY(make_way(log, &final, &is_said, err));
    return is_said ? BT_OK : write_jsonl(log, &final, err);
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

void run_log_progress(const chunk_sums *c, int64_t step, int64_t n_steps, double loss,
                      double learning_rate) {
    const double seconds = c->seconds > 0 ? c->seconds : 1e-9;
    const double steps_per_second = (double)c->n_steps / seconds;
    const double avoided = c->n_padded > 0 ? 1.0 - (double)c->n_tokens / (double)c->n_padded : 0.0;
    char         left[32];
    format_duration((double)(n_steps - step) / steps_per_second, left, sizeof left);
    char line[256];
    (void)snprintf(line, sizeof line,
                   "step %" PRId64 "/%" PRId64
                   " | loss %.4f | lr %.2e | %.1f examples/s | %.0f tokens/s | "
                   "padding avoided %.0f%% | %s left",
                   step, n_steps, loss, learning_rate, (double)c->n_examples / seconds,
                   (double)c->n_tokens / seconds, 100.0 * avoided, left);
    bt_log_progress(line);
}
