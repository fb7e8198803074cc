/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run recorded before it was started again: metrics.jsonl read back. A line that is not
 * ours, or that a kill tore, is no record. */
#include "run.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/fs.h"

/* Longer lines of metrics.jsonl are not ours. */
enum { RECORD_MAX_BYTES = 1 << 16 };

/* The values of a record without what run_log_record calls extra, whose first name starts like
 * this. */
static const char extra_start[] = "examples";

/* null is what is not a finite number (run_log.c). */
static bool read_values(const char *line, size_t n_bytes, bt_train_summary *out) {
    json_t *const root = json_loadb(line, n_bytes, 0, NULL);
    const char   *name = NULL;
    json_t       *value = NULL;
    if (root == NULL) {
        return false;
    }
    out->n_values = 0;
    json_object_foreach(root, name, value) {
        if (strncmp(name, extra_start, sizeof extra_start - 1) == 0) {
            break;
        }
        if ((json_is_number(value) || json_is_null(value)) && !bt_str_equal(name, "step") &&
            out->n_values < BT_TRAIN_MAX_VALUES && strlen(name) < BT_METRIC_NAME_MAX) {
            value_add(out->values, &out->n_values, name,
                      json_is_null(value) ? (double)NAN : json_number_value(value));
        }
    }
    json_decref(root);
    return true;
}

bt_status recall_record(const char *model_dir, const char *kind, int64_t step,
                        bt_train_summary *out, bool *found, bt_error *err) {
    bt_status     rc = BT_OK;
    char         *path = NULL;
    bt_fs_stream *stream = NULL;
    char          start[64]; /* as run_log.c writes it */
    *found = false;
    (void)snprintf(start, sizeof start, "{\"kind\": \"%s\", \"step\": %" PRId64 ",", kind, step);
    BT_CHECK(bt_fs_join(model_dir, "metrics.jsonl", &path, err));
    if (!bt_fs_exists(path)) {
        goto done;
    }
    BT_CHECK(bt_fs_stream_open(path, &stream, err));
    for (bool end = false; !end;) {
        const char *line = NULL;
        size_t      n_bytes = 0;
        BT_CHECK(bt_fs_stream_line(stream, RECORD_MAX_BYTES, &line, &n_bytes, &end, err));
        if (!end && n_bytes > strlen(start) && memcmp(line, start, strlen(start)) == 0) {
            *found = read_values(line, n_bytes, out) || *found;
        }
    }
done:
    bt_fs_stream_close(stream);
    bt_free(path);
    return rc;
}

bt_status recall_result(train_run *run, const char *kind, bt_error *err) {
    bool found = false;
    if (run->summary->n_values > 0) {
        return BT_OK;
    }
    return recall_record(run->args->model_dir, kind, run->step, run->summary, &found, err);
}
