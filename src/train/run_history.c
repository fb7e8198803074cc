/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics.jsonl as earlier runs left it: read back, and cut to what a run that continues has behind
 * it. Where the rest of the file goes it is cut off in place, so that whoever follows it or appends
 * to it goes on; where something behind it stays, the file is replaced by a whole one. */
#include "run_record.h"

#include <string.h>

#include "bt/base/alloc.h"
#include "bt/fs.h"

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
        (cut->without_final && r.step == cut->last_step && bt_str_equal(r.kind, "final"));
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
static bt_status open_history(const char *path, bt_fs_view *file, bool *is_there, bt_error *err) {
    BT_TRY(bt_fs_look(path, is_there, err));
    return *is_there ? bt_fs_view_open(path, file, err) : BT_OK;
}

bt_status history_cut(const char *path, const record_cut *cut, int64_t *n_cut, bt_error *err) {
    bt_status  rc = BT_OK;
    bt_fs_view file = {0};
    remains    out = {.kept = BT_STR_INIT};
    bool       is_there = false;
    *n_cut = 0;
    BT_TRY(open_history(path, &file, &is_there, err));
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

bt_status history_visit(const char *path, bool (*visit)(void *context, const record_line *line),
                        void *context, bt_error *err) {
    bt_fs_view  file = {0};
    bool        is_there = false;
    record_line found;
    BT_TRY(open_history(path, &file, &is_there, err));
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

bt_status history_is_torn(const char *path, bool *torn, bt_error *err) {
    bt_fs_view file = {0};
    bool       is_there = false;
    *torn = false;
    BT_TRY(open_history(path, &file, &is_there, err));
    if (is_there) {
        *torn = file.n_bytes > 0 && file.data[file.n_bytes - 1] != '\n';
        bt_fs_view_close(&file);
    }
    return BT_OK;
}

/* The newest record of a kind and step. */
typedef struct recall {
    const char       *kind;
    int64_t           step;
    int64_t           round;
    bt_train_summary *out;
    bool              found;
} recall;

static bool take_newest(void *context, const record_line *line) {
    recall *const r = context;
    if (bt_str_equal(line->kind, r->kind) && line->step == r->step && line->round == r->round &&
        line->from_training) {
        r->found = true;
        r->out->n_values = line->n_values;
        memcpy(r->out->values, line->values, line->n_values * sizeof line->values[0]);
    }
    return false;
}

bt_status recall_record(const char *model_dir, int64_t round, const char *kind, int64_t step,
                        bt_train_summary *out, bool *found, bt_error *err) {
    char  *path = NULL;
    recall r = {.kind = kind, .step = step, .round = round, .out = out};
    *found = false;
    BT_TRY(bt_fs_join(model_dir, "metrics.jsonl", &path, err));
    const bt_status rc = history_visit(path, take_newest, &r, err);
    *found = r.found;
    bt_free(path);
    return rc;
}
