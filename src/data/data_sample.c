/* SPDX-License-Identifier: Apache-2.0
 *
 * The first records of an input, read once before they are wanted: which classes they have, and
 * whether the model can take them. Of tables and words all labels are known already. */
#include "data_sample.h"
#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/stop.h"

#include <inttypes.h>
#include <stdio.h>

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

static void add_beyond(data_sample *sample, int32_t label) {
    size_t i = 0;
    while (i < sample->n_beyond && sample->beyond[i] != label) {
        i++;
    }
    if (i == sample->n_beyond && i < DATA_SAMPLE_BEYOND) {
        sample->beyond[sample->n_beyond++] = label;
    }
}

/* A row that a run cannot take stops it when it is reached, which may be never. Is it its label,
 * which no class has? Then it can be taken where the number of classes is not known. */
static void note_wrong(data_sample *sample, data_rows *rows, bt_data_schema *schema, int64_t row,
                       data_slot *slot, const bt_error *problem) {
    bool is_damaged = false;
    if (sample->n_wrong++ == 0) {
        sample->first_wrong = *problem;
    }
    data_slot_clear(slot);
    schema->n_classes = 0;
    if (rows->ops->append(rows, row, slot, &is_damaged, NULL) == BT_OK) {
        const int64_t n = schema->label_kind == BT_LABEL_TOKENS ? slot->offsets[1] : 1;
        for (int64_t i = 0; i < n; i++) {
            if (slot->int_labels[i] >= sample->n_classes) {
                add_beyond(sample, slot->int_labels[i]);
            }
        }
        count_row(sample, schema, slot);
    }
    schema->n_classes = sample->n_classes;
}

/* Counted, or wrong; damaged records that may be skipped are neither. */
static bt_status read_row(data_sample *sample, data_rows *rows, bt_data_schema *schema, int64_t i,
                          data_slot *slot, int64_t *n_may_skip, bt_error *err) {
    bool     is_damaged = false;
    bt_error problem = BT_ERROR_INIT;
    data_slot_clear(slot);
    const bt_status rc = rows->ops->append(rows, i, slot, &is_damaged, &problem);
    if (rc == BT_OK) {
        count_row(sample, schema, slot);
    } else if (rc != BT_E_FORMAT) {
        if (err != NULL) {
            *err = problem;
        }
        return rc;
    } else if (!is_damaged || (*n_may_skip)-- <= 0) {
        note_wrong(sample, rows, schema, i, slot, &problem);
    }
    sample->n_rows++;
    return BT_OK;
}

/* "; there are 3 different label_ids in them: 0, 1, 2" */
static void list_labels(const data_sample *sample, const char *key, char text[256]) {
    char    list[160] = "";
    size_t  length = 0;
    int64_t n = 0;
    text[0] = '\0';
    for (int64_t i = 0; i < sample->n_classes + (int64_t)sample->n_beyond; i++) {
        const bool    is_class = i < sample->n_classes;
        const int64_t label = is_class ? i : sample->beyond[i - sample->n_classes];
        if (is_class && sample->counts[i] == 0) {
            continue;
        }
        const bool is_shown = length + 32 < sizeof list;
        if (is_shown) {
            length += (size_t)snprintf(list + length, sizeof list - length, "%s%" PRId64,
                                       n > 0 ? ", " : "", label);
        }
        n++;
    }
    if (sample->n_beyond > 0) {
        (void)snprintf(text, 256, "; %s%" PRId64 " different %s occur in them: %s%s",
                       sample->n_beyond == DATA_SAMPLE_BEYOND ? "at least " : "", n, key, list,
                       length + 32 < sizeof list ? "" : ", ...");
    }
}

static void tell_wrong(const data_sample *sample, const char *section, const char *key) {
    char labels[256];
    if (sample->n_wrong > 0) {
        list_labels(sample, key, labels);
        bt_log(BT_LOG_WARNING,
               "%s: %" PRId64 " of the first %" PRId64
               " records stop the run when their turn comes: %s%s",
               section, sample->n_wrong, sample->n_rows, sample->first_wrong.msg, labels);
    }
}

bt_status data_sample_read(data_sample *sample, data_rows *rows, bt_data_schema *schema,
                           const bt_data_config *config, data_slot *slot, bt_error *err) {
    const bool has_classes =
        schema->label_kind == BT_LABEL_CLASS || schema->label_kind == BT_LABEL_TOKENS;
    int64_t n_may_skip = config->skip_bad_records;
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
    data_slot_clear(slot);
    tell_wrong(sample, config->section != NULL ? config->section : "the data", schema->label_field);
    return BT_OK;
}
