/* SPDX-License-Identifier: Apache-2.0
 *
 * The first records of an input, read once before they are wanted: which classes they have, and
 * whether the model can take them. Of tables and words all labels are known already. */
#include "data_sample.h"

void data_sample_deinit(data_sample *sample) {
    bt_free(sample->counts);
    *sample = (data_sample){0};
}

static void count_row(data_sample *sample, const bt_data_schema *schema, const data_slot *slot) {
    const int64_t n = schema->label_kind == BT_LABEL_TOKENS ? slot->offsets[1] : 1;
    for (int64_t i = 0; i < n; i++) {
        const int32_t label = slot->int_labels[i];
        if (label >= 0 && label < sample->n_classes) {
            sample->counts[label]++;
        }
    }
}

/* A row that a run cannot take stops it when it is reached, which may be never. */
static void note_wrong(data_sample *sample, const bt_error *problem) {
    if (sample->n_wrong++ == 0) {
        sample->first_wrong = *problem;
    }
}

/* Counted, or wrong; damaged records that may be skipped are neither. */
static bt_status read_row(data_sample *sample, data_rows *rows, const bt_data_schema *schema,
                          int64_t i, data_slot *slot, int64_t *n_may_skip, bt_error *err) {
    bool     is_damaged = false;
    bt_error problem = BT_ERROR_INIT;
    bt_data_slot_clear(slot);
    const bt_status rc = rows->ops->append(rows, i, slot, &is_damaged, &problem);
    if (rc == BT_OK) {
        count_row(sample, schema, slot);
    } else if (rc != BT_E_FORMAT) {
        if (err != NULL) {
            *err = problem;
        }
        return rc;
    } else if (!is_damaged || (*n_may_skip)-- <= 0) {
        note_wrong(sample, &problem);
    }
    sample->n_rows++;
    return BT_OK;
}

bt_status data_sample_read(data_sample *sample, data_rows *rows, const bt_data_schema *schema,
                           int64_t n_may_skip, data_slot *slot, bt_error *err) {
    const bool has_classes =
        schema->label_kind == BT_LABEL_CLASS || schema->label_kind == BT_LABEL_TOKENS;
    if (!has_classes || schema->n_classes < 1 || rows->labels != NULL || rows->tag_counts != NULL) {
        return BT_OK;
    }
    const int64_t n_by_length = DATA_SAMPLE_TOKENS / schema->seq_length;
    const int64_t n_most = n_by_length < DATA_SAMPLE_ROWS ? n_by_length : DATA_SAMPLE_ROWS;
    sample->n_classes = schema->n_classes;
    sample->counts = bt_calloc_array((size_t)schema->n_classes, sizeof *sample->counts);
    if (sample->counts == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for counts of %" PRId64 " classes",
                       schema->n_classes);
    }
    for (int64_t i = 0; i < rows->n_rows && i < n_most; i++) {
        BT_TRY(bt_stop_check(err));
        BT_TRY(read_row(sample, rows, schema, i, slot, &n_may_skip, err));
    }
    bt_data_slot_clear(slot);
    return BT_OK;
}
