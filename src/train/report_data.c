/* SPDX-License-Identifier: Apache-2.0
 *
 * What is known of the data when a run begins, for its report: rows, what is cut or empty, classes,
 * rows of both sections. Nothing is read for it: all of it was counted when the data were opened.
 */
#include <inttypes.h>

#include "bt/base/alloc.h"
#include "report_facts.h"

static bt_status put_count(bt_str *json, const char *key, int64_t n, bt_error *err) {
    BT_TRY(report_put_key(json, key, err));
    return bt_str_appendf(json, err, "%" PRId64, n);
}

static bt_status put_census(bt_str *json, const bt_data_census *census, bt_error *err) {
    BT_TRY(report_put_key(json, "unit", err));
    BT_TRY(report_put_text(json, census->unit, err));
    BT_TRY(put_count(json, "units", census->n_rows, err));
    BT_TRY(put_count(json, "sampled", census->n_sampled, err));
    BT_TRY(put_count(json, "tokens", census->n_tokens, err));
    BT_TRY(put_count(json, "unknown", census->n_unknown, err));
    BT_TRY(put_count(json, "cut", census->n_cut, err));
    BT_TRY(put_count(json, "lost", census->n_lost, err));
    BT_TRY(put_count(json, "divided", census->n_divided, err));
    return put_count(json, "without_text", census->n_without_text, err);
}

static bt_status put_counts(bt_str *json, const bt_data_stream *data, int64_t *counts, int64_t n,
                            bt_error *err) {
    const int64_t n_counted = bt_data_class_counts(data, counts, n);
    if (n_counted == 0) {
        return BT_OK;
    }
    BT_TRY(put_count(json, "counted", n_counted, err));
    BT_TRY(report_put_key(json, "classes", err));
    for (int64_t c = 0; c < n; c++) {
        BT_TRY(bt_str_appendf(json, err, "%s%" PRId64, c > 0 ? ", " : "[", counts[c]));
    }
    return bt_str_append(json, "]", err);
}

static bt_status put_section(bt_str *json, const data_side *side, int64_t n_classes,
                             bt_error *err) {
    const bt_data_census *const census = bt_data_get_census(side->data, 0);
    BT_TRY(bt_str_append(json, "{", err));
    BT_TRY(report_put_key(json, "name", err));
    BT_TRY(report_put_text(json, side->config->section, err));
    BT_TRY(put_count(json, "rows", bt_data_n_rows(side->data), err));
    BT_TRY(put_count(json, "seq_length", side->schema->seq_length, err));
    if (census != NULL) {
        BT_TRY(put_census(json, census, err));
    }
    if (n_classes > 0) {
        int64_t *const counts = bt_calloc_array((size_t)n_classes, sizeof *counts);
        if (counts == NULL) {
            return BT_FAIL(err, BT_E_NOMEM, "out of memory for counts of %" PRId64 " classes",
                           n_classes);
        }
        const bt_status rc = put_counts(json, side->data, counts, n_classes, err);
        bt_free(counts);
        BT_TRY(rc);
    }
    return bt_str_append(json, "}", err);
}

static bt_status put_shared(bt_str *json, const data_side *train, const data_side *other,
                            bt_error *err) {
    bt_data_shared shared = {0};
    BT_TRY(bt_data_count_shared(other->data, train->data, &shared, err));
    BT_TRY(put_count(json, "shared", shared.n, err));
    return put_count(json, "shared_of", shared.n_of, err);
}

bt_status report_put_data(bt_str *json, const data_side *train, const data_side *other,
                          const bt_task_labels *labels, bt_error *err) {
    const data_side *const sides[] = {train, other};
    bool                   is_first = true;
    BT_TRY(bt_str_append(json, "{", err));
    BT_TRY(report_put_classes(json, labels, err));
    if (train->data != NULL && other->data != NULL) {
        BT_TRY(put_shared(json, train, other, err));
    }
    BT_TRY(report_put_key(json, "sections", err));
    BT_TRY(bt_str_append(json, "[", err));
    for (size_t i = 0; i < BT_ARRAY_LEN(sides); i++) {
        if (sides[i]->data != NULL) {
            BT_TRY(bt_str_append(json, is_first ? "" : ",\n  ", err));
            BT_TRY(put_section(json, sides[i], labels->n, err));
            is_first = false;
        }
    }
    return bt_str_append(json, "]}", err);
}
