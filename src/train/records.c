/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics.jsonl: a line a record, handed over at once. As earlier runs left it, it is read back,
 * and cut to what a run that continues has behind it. Where the rest of the file goes it is cut off
 * in place, so that whoever follows it or appends to it goes on; where something after it stays,
 * the file is replaced by a whole one.
 *
 * Runs that do not train open it for each record, and hold the training's lock for that moment;
 * while a training has it they write to metrics-eval.jsonl. So a line is neither cut nor torn by
 * another process, and a store never sees two that write one object. */
#include "records.h"

#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/fs.h"
#include "model_dir.h"
#include "run_lock.h"

/* A line of the file: n_bytes without its end, n_all with it. */
typedef struct line_span {
    const char *text;
    size_t      n_bytes;
    size_t      n_all;
} line_span;

static line_span next_line(const bt_fs_view *file, size_t at) {
    const char *const text = (const char *)file->data + at;
    const size_t      n_left = file->n_bytes - at;
    const char *const end = memchr(text, '\n', n_left);
    const size_t      n = end != NULL ? (size_t)(end - text) : n_left;
    return (line_span){text, n, end != NULL ? n + 1 : n};
}

static bt_status goes(const record_cut *cut, const line_span *line, int64_t *n_cut, bool *does,
                      bt_error *err) {
    record_line r;
    bool        is_record = false;
    BT_TRY(record_parse(line->text, line->n_bytes, &r, &is_record, err));
    if (!is_record) {
        *does = record_is_torn(line->text, line->n_bytes);
        return BT_OK;
    }
    const bool is_behind =
        r.step > cut->last_step ||
        (r.step == cut->last_step &&
         ((cut->without_final && r.kind == RECORD_FINAL) ||
          (cut->without_evaluation && r.kind == RECORD_VALIDATION && r.from_training)));
    *does = is_behind && (cut->round < 0 || r.round == cut->round);
    *n_cut += *does ? 1 : 0;
    return BT_OK;
}

/* What stays of a file: its first n_first bytes, when there is no more of it; else all of kept. */
typedef struct remains {
    size_t n_first;
    bool   has_gap;
    bool   is_rewritten;
    bt_str kept;
} remains;

static bt_status keep_line(remains *out, const bt_fs_view *file, size_t at, const line_span *line,
                           bt_error *err) {
    const bool has_end = line->n_all > line->n_bytes;
    if (!out->has_gap && has_end) {
        out->n_first = at + line->n_all;
        return BT_OK;
    }
    if (!out->is_rewritten) {
        out->is_rewritten = true;
        BT_TRY(bt_str_append_n(&out->kept, file->data, out->n_first, err));
    }
    BT_TRY(bt_str_append_n(&out->kept, line->text, line->n_bytes, err));
    return bt_str_append_char(&out->kept, '\n', err);
}

static bt_status find_remains(const bt_fs_view *file, const record_cut *cut, remains *out,
                              int64_t *n_cut, bt_error *err) {
    for (size_t at = 0; at < file->n_bytes;) {
        const line_span line = next_line(file, at);
        bool            does = false;
        BT_TRY(goes(cut, &line, n_cut, &does, err));
        if (does) {
            out->has_gap = true;
        } else {
            BT_TRY(keep_line(out, file, at, &line, err));
        }
        at += line.n_all;
    }
    return BT_OK;
}

/* *is_there false: there is no file. */
static bt_status open_file(const char *path, bt_fs_view *file, bool *is_there, bt_error *err) {
    BT_TRY(bt_fs_look(path, is_there, err));
    return *is_there ? bt_fs_view_open(path, file, err) : BT_OK;
}

bt_status records_cut(const char *path, const record_cut *cut, int64_t *n_cut, bt_error *err) {
    bt_status  rc = BT_OK;
    bt_fs_view file = {0};
    remains    out = {.kept = BT_STR_INIT};
    bool       is_there = false;
    *n_cut = 0;
    BT_TRY(open_file(path, &file, &is_there, err));
    if (!is_there) {
        return BT_OK;
    }
    BT_CHECK(find_remains(&file, cut, &out, n_cut, err));
    const bool is_cut = out.has_gap && !out.is_rewritten;
    bt_fs_view_close(&file); /* before the file changes below it */
    if (out.is_rewritten) {
        BT_CHECK(bt_fs_replace(path, out.kept.data, out.kept.len, err));
    } else if (is_cut) {
        BT_CHECK(bt_fs_cut(path, (int64_t)out.n_first, err));
    }
done:
    bt_fs_view_close(&file);
    bt_str_deinit(&out.kept);
    return rc;
}

bt_status records_visit(const char *path, bool (*visit)(void *context, const record_line *line),
                        void *context, bt_error *err) {
    bt_fs_view  file = {0};
    bool        is_there = false;
    record_line found;
    BT_TRY(open_file(path, &file, &is_there, err));
    bt_status rc = BT_OK;
    bool      is_done = !is_there;
    for (size_t at = 0; !is_done && at < file.n_bytes;) {
        const line_span line = next_line(&file, at);
        bool            is_record = false;
        BT_CHECK(record_parse(line.text, line.n_bytes, &found, &is_record, err));
        is_done = is_record && visit(context, &found);
        at += line.n_all;
    }
done:
    bt_fs_view_close(&file);
    return rc;
}

bt_status records_are_torn(const char *path, bool *torn, bt_error *err) {
    bt_fs_view file = {0};
    bool       is_there = false;
    *torn = false;
    BT_TRY(open_file(path, &file, &is_there, err));
    if (is_there) {
        *torn = file.n_bytes > 0 && file.data[file.n_bytes - 1] != '\n';
        bt_fs_view_close(&file);
    }
    return BT_OK;
}

struct run_records {
    char         *folder;
    char         *path;
    char         *beside_path; /* metrics-eval.jsonl */
    bool          is_beside;   /* it was said that a training is at work */
    bool          trains;
    const char   *mode;  /* of a run that does not train; else NULL */
    int64_t       round; /* see records_create */
    const char   *precision;
    bt_fs_writer *writer;
    int64_t       n; /* added */
};

bt_status records_create(const char *folder, const char *mode, int64_t round, run_records **out,
                         bt_error *err) {
    bt_status    rc = BT_OK;
    run_records *r = bt_calloc_array(1, sizeof *r);
    if (r == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the run log");
    }
    r->trains = mode == NULL;
    r->mode = mode;
    r->round = round;
    BT_CHECK(bt_fs_join(folder, "", &r->folder, err));
    BT_CHECK(model_dir_file(folder, MODEL_RECORDS, &r->path, err));
    BT_CHECK(model_dir_file(folder, MODEL_RECORDS_BESIDE, &r->beside_path, err));
    *out = r;
    r = NULL;
done:
    if (r != NULL) {
        const bt_status closed = records_close(r, NULL);
        rc = rc == BT_OK ? closed : rc;
    }
    return rc;
}

void records_note_precision(run_records *r, const char *precision) {
    r->precision = precision;
}

/* What was written goes to the file, which may then be replaced. */
static bt_status close_file(run_records *r, bt_error *err) {
    bt_fs_writer *const writer = r->writer;
    r->writer = NULL;
    if (writer == NULL) {
        return BT_OK;
    }
    const bt_status rc = bt_fs_writer_flush(writer, true, err);
    bt_fs_writer_abort(writer); /* append: only closes */
    return rc;
}

static bt_status open_to_append(run_records *r, const char *path, bt_error *err) {
    bool torn = false;
    if (!r->trains) {
        BT_TRY(records_are_torn(path, &torn, err));
    }
    BT_TRY(bt_fs_writer_append(path, &r->writer, err));
    return torn ? bt_fs_writer_write(r->writer, "\n", 1, err) : BT_OK;
}

static bt_status cut_and_open(run_records *r, const record_cut *cut, int64_t *n_cut,
                              bt_error *err) {
    BT_TRY(close_file(r, err));
    BT_TRY(records_cut(r->path, cut, n_cut, err));
    return open_to_append(r, r->path, err);
}

bt_status records_rewind(run_records *r, int64_t last_step, int64_t *n_cut, bt_error *err) {
    const record_cut cut = {.last_step = last_step, .round = r->round};
    return cut_and_open(r, &cut, n_cut, err);
}

bt_status records_void_evaluation(run_records *r, int64_t step, bt_error *err) {
    const record_cut cut = {
        .last_step = step, .round = r->round, .without_final = true, .without_evaluation = true};
    int64_t n_cut = 0;
    return cut_and_open(r, &cut, &n_cut, err);
}

static bt_status append_line(run_records *r, const bt_str *line, bt_error *err) {
    BT_TRY(bt_fs_writer_write(r->writer, line->data, line->len, err));
    return bt_fs_writer_flush(r->writer, false, err);
}

/* An evaluation that no training makes. */
static bt_status append_beside(run_records *r, const bt_str *line, bt_error *err) {
    bt_fs_lock *lock = NULL;
    bt_error    busy = BT_ERROR_INIT;
    bt_status   rc = bt_fs_lock_take(r->folder, BT_FS_LOCK_NAME, RUN_LOCK_RECORD, &lock, &busy);
    if (rc != BT_OK && rc != BT_E_RESOURCE) {
        return BT_FAIL(err, rc, "%s", busy.msg);
    }
    if (lock == NULL && !r->is_beside) {
        r->is_beside = true;
        bt_log(BT_LOG_INFO, "%s: metrics.jsonl belongs to another process: records go to %s",
               busy.msg, r->beside_path);
    }
    rc = open_to_append(r, lock != NULL ? r->path : r->beside_path, err);
    if (rc == BT_OK) {
        rc = append_line(r, line, err);
        const bt_status closed = close_file(r, rc == BT_OK ? err : NULL);
        rc = rc == BT_OK ? closed : rc;
    }
    bt_fs_lock_release(lock);
    return rc;
}

static bt_status replace_orphan(run_records *r, int64_t step, bt_error *err) {
    if (r->writer != NULL && !bt_fs_writer_is_orphan(r->writer)) {
        return BT_OK;
    }
    if (r->writer != NULL) {
        BT_TRY(model_dir_tell_removed(r->folder, r->path, step, err));
    }
    BT_TRY(close_file(r, err));
    return open_to_append(r, r->path, err);
}

static bt_status write_record(run_records *r, const run_record *record, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    line = BT_STR_INIT;
    r->n++;
    if (r->trains) {
        BT_CHECK(replace_orphan(r, record->step, err));
    }
    BT_CHECK(record_format(record, &line, err));
    BT_CHECK(r->trains ? append_line(r, &line, err) : append_beside(r, &line, err));
done:
    bt_str_deinit(&line);
    return rc;
}

static run_record make_record(const run_records *r, record_kind kind, int64_t step,
                              const bt_train_values *values, const bt_train_values *extra) {
    return (run_record){.kind = kind,
                        .step = step,
                        .round = r->round,
                        .mode = r->mode,
                        .precision = r->precision,
                        .values = values,
                        .extra = extra};
}

bt_status records_add(run_records *r, record_kind kind, int64_t step, const bt_train_values *values,
                      const bt_train_values *extra, bt_error *err) {
    const run_record record = make_record(r, kind, step, values, extra);
    return write_record(r, &record, err);
}

/* Is there one like it? */
typedef struct repetition {
    const run_record *record;
    bool              found;
} repetition;

static bool find_repetition(void *context, const record_line *line) {
    repetition *const r = context;
    r->found = record_is_repeated(line, r->record);
    return r->found;
}

bt_status records_have(const run_records *r, record_kind kind, int64_t step,
                       const bt_train_values *values, bool *have, bt_error *err) {
    const run_record record = make_record(r, kind, step, values, NULL);
    repetition       search = {.record = &record};
    *have = false;
    if (r->trains) {
        return BT_OK;
    }
    BT_TRY(records_visit(r->path, find_repetition, &search, err));
    if (!search.found) {
        BT_TRY(records_visit(r->beside_path, find_repetition, &search, err));
    }
    *have = search.found;
    return BT_OK;
}

static bool find_final(void *context, const record_line *line) {
    repetition *const r = context;
    r->found = line->kind == RECORD_FINAL && line->step == r->record->step &&
               line->round == r->record->round;
    return r->found;
}

/* A run that added nothing has said its end already, unless it was killed before. */
static bt_status make_way(run_records *r, const run_record *final, bool *is_said, bt_error *err) {
    repetition search = {.record = final};
    int64_t    n_cut = 0;
    BT_TRY(records_visit(r->path, find_final, &search, err));
    *is_said = search.found && r->n == 0;
    if (!search.found || *is_said || !r->trains) {
        return BT_OK;
    }
    const record_cut cut = {.last_step = final->step, .round = r->round, .without_final = true};
    return cut_and_open(r, &cut, &n_cut, err);
}

bt_status records_end(run_records *r, const bt_train_summary *summary, const char *stopped,
                      bt_error *err) {
    bt_train_values extra = {.n = 0};
    bool            is_said = false;
    if (!r->trains && r->n == 0) {
        return BT_OK;
    }
    record_add_extra(&extra, EXTRA_SECONDS, summary->seconds);
    run_record final = make_record(r, RECORD_FINAL, summary->step, &summary->values, &extra);
    final.stopped = stopped;
    BT_TRY(make_way(r, &final, &is_said, err));
    return is_said ? BT_OK : write_record(r, &final, err);
}

bt_status records_sync(run_records *r, bt_error *err) {
    return r->writer != NULL ? bt_fs_writer_flush(r->writer, true, err) : BT_OK;
}

bt_status records_close(run_records *r, bt_error *err) {
    if (r == NULL) {
        return BT_OK;
    }
    const bt_status rc = close_file(r, err);
    bt_free(r->folder);
    bt_free(r->path);
    bt_free(r->beside_path);
    bt_free(r);
    return rc;
}

/* The newest record of a kind and step. */
typedef struct recall {
    record_kind      kind;
    int64_t          step;
    int64_t          round;
    bt_train_values *out;
    bool             found;
} recall;

static bool take_newest(void *context, const record_line *line) {
    recall *const r = context;
    if (line->kind == r->kind && line->step == r->step && line->round == r->round &&
        line->from_training) {
        r->found = true;
        *r->out = line->values;
    }
    return false;
}

bt_status records_recall(const char *folder, int64_t round, record_kind kind, int64_t step,
                         bt_train_values *out, bool *found, bt_error *err) {
    char  *path = NULL;
    recall r = {.kind = kind, .step = step, .round = round, .out = out};
    *found = false;
    BT_TRY(model_dir_file(folder, MODEL_RECORDS, &path, err));
    const bt_status rc = records_visit(path, take_newest, &r, err);
    *found = r.found;
    bt_free(path);
    return rc;
}
