/* SPDX-License-Identifier: Apache-2.0
 *
 * See jsonl_reader.h. */
#include "jsonl_reader.h"

#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/fs.h"

enum { LINE_MAX_BYTES = 1 << 28 };

struct jsonl_reader {
    bt_fs_stream *stream;
    int64_t       line;
    json_t       *row;
};

bt_status jsonl_open(jsonl_reader **out, const char *path, bt_error *err) {
    jsonl_reader *const r = bt_calloc_array(1, sizeof *r);
    if (r == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "%s: out of memory", path);
    }
    const bt_status rc = bt_fs_stream_open(path, &r->stream, err);
    if (rc != BT_OK) {
        jsonl_close(r);
        return rc;
    }
    *out = r;
    return BT_OK;
}

void jsonl_close(jsonl_reader *reader) {
    if (reader != NULL) {
        bt_fs_stream_close(reader->stream);
        json_decref(reader->row);
        bt_free(reader);
    }
}

const char *jsonl_path(const jsonl_reader *reader) {
    return bt_fs_stream_path(reader->stream);
}

int64_t jsonl_line(const jsonl_reader *reader) {
    return reader->line;
}

static bool is_blank(const char *text, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (strchr(" \t\r", text[i]) == NULL) {
            return false;
        }
    }
    return true;
}

bt_status jsonl_next(jsonl_reader *reader, const json_t **row, bool *end, bt_error *err) {
    jsonl_reader *const r = reader;
    const char         *text = NULL;
    size_t              n = 0;
    json_error_t        problem;
    json_decref(r->row);
    r->row = NULL;
    do {
        BT_TRY(bt_fs_stream_line(r->stream, LINE_MAX_BYTES, &text, &n, end, err));
        if (*end) {
            return BT_OK;
        }
        r->line++;
    } while (is_blank(text, n));
    BT_TRY(bt_json_load(text, n, JSON_ALLOW_NUL, &r->row, &problem, err));
    if (r->row == NULL) {
        return BT_FAIL(err, BT_E_FORMAT, "%s:%" PRId64 ":%d: not JSON: %s", jsonl_path(r), r->line,
                       problem.column, problem.text);
    }
    if (!json_is_object(r->row)) {
        return BT_FAIL(err, BT_E_FORMAT, "%s:%" PRId64 ": a JSON object {...} is expected",
                       jsonl_path(r), r->line);
    }
    *row = r->row;
    return BT_OK;
}

bt_status jsonl_text(const jsonl_reader *reader, const char *key, const char **text, size_t *n,
                     bt_error *err) {
    const json_t *const value = json_object_get(reader->row, key);
    if (!json_is_string(value)) {
        return BT_FAIL(err, BT_E_FORMAT, "%s:%" PRId64 ": %s '%s'", jsonl_path(reader),
                       reader->line, value == NULL ? "there is no" : "a text is expected under",
                       key);
    }
    *text = json_string_value(value);
    *n = json_string_length(value);
    return BT_OK;
}
