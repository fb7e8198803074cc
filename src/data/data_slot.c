/* SPDX-License-Identifier: Apache-2.0
 *
 * The buffers of one batch: sized once for the largest batch that the stream can make, so that no
 * batch calls the heap. Pages that no batch reaches are never touched. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/size.h"
#include "data_internal.h"

/* Element counts of the arrays of a slot. At most 17 bytes a token and 36 a row. */
typedef struct slot_sizes {
    size_t n_rows;
    size_t n_tokens;
    size_t n_int_labels;
    size_t n_float_labels;
    size_t n_example_ids;
    size_t n_sentence_ids;
} slot_sizes;

/* A plan larger than the machine is refused here: the system might promise it and kill us later. */
static bool fits_memory(size_t bytes) {
    const long pages = sysconf(_SC_PHYS_PAGES);
    const long page_bytes = sysconf(_SC_PAGESIZE);
    return pages <= 0 || page_bytes <= 0 || bytes / (size_t)page_bytes <= (size_t)pages;
}

static bool plan_slot(const bt_data_schema *schema, int64_t cap_rows, slot_sizes *out) {
    const size_t rows = (size_t)cap_rows;
    *out = (slot_sizes){.n_rows = rows,
                        .n_example_ids = schema->include_example_id ? rows : 0,
                        .n_sentence_ids = schema->include_sentence_id ? 2 * rows : 0};
    size_t bytes = 0;
    /* the largest thing in bytes: what fits here fits everywhere below */
    if (!bt_size_mul(rows, (size_t)schema->seq_length, &out->n_tokens) ||
        !bt_size_mul(out->n_tokens, 2 * sizeof(int64_t), &bytes) || !fits_memory(bytes)) {
        return false;
    }
    switch (schema->label_kind) {
    case BT_LABEL_NONE:
        break;
    case BT_LABEL_CLASS:
        out->n_int_labels = rows;
        break;
    case BT_LABEL_FLOAT:
        out->n_float_labels = rows;
        break;
    case BT_LABEL_TOKENS:
        out->n_int_labels = out->n_tokens;
        break;
    case BT_LABEL_SPAN:
        out->n_int_labels = 2 * rows;
        break;
    case BT_LABEL_MULTI:
        return bt_size_mul(rows, (size_t)schema->n_classes, &out->n_float_labels) &&
               fits_memory(out->n_float_labels * sizeof(float));
    }
    return true;
}

bt_status data_slot_init(data_slot *slot, const bt_data_schema *schema, int64_t cap_rows,
                         bt_error *err) {
    *slot = (data_slot){.cap_rows = cap_rows};
    slot_sizes sizes;
    bool       ok = plan_slot(schema, cap_rows, &sizes);
    if (ok) {
        slot->offsets = bt_alloc_array(sizes.n_rows + 1, sizeof *slot->offsets);
        slot->ids = bt_alloc_array(sizes.n_tokens, sizeof *slot->ids);
        slot->types = bt_alloc_array(sizes.n_tokens, sizeof *slot->types);
        slot->positions = bt_alloc_array(sizes.n_tokens, sizeof *slot->positions);
        slot->key_mask = bt_alloc_array(sizes.n_tokens, sizeof *slot->key_mask);
        slot->int_labels = bt_alloc_array(sizes.n_int_labels, sizeof *slot->int_labels);
        slot->float_labels = bt_alloc_array(sizes.n_float_labels, sizeof *slot->float_labels);
        slot->row_weights = bt_alloc_array(schema->weight_field != NULL ? sizes.n_rows : 0,
                                           sizeof *slot->row_weights);
        slot->example_ids = bt_alloc_array(sizes.n_example_ids, sizeof *slot->example_ids);
        slot->sentence_ids = bt_alloc_array(sizes.n_sentence_ids, sizeof *slot->sentence_ids);
        ok = slot->offsets != NULL && slot->ids != NULL && slot->types != NULL &&
             slot->positions != NULL && slot->key_mask != NULL && slot->int_labels != NULL &&
             slot->float_labels != NULL && slot->row_weights != NULL && slot->example_ids != NULL &&
             slot->sentence_ids != NULL;
    }
    if (!ok) {
        return BT_FAIL(err, BT_E_NOMEM,
                       "out of memory for a batch of %" PRId64 " rows of seq_length %" PRId64
                       ": lower global_batch_size",
                       cap_rows, schema->seq_length);
    }
    data_slot_clear(slot);
    return BT_OK;
}

void data_slot_deinit(data_slot *slot) {
    bt_free(slot->offsets);
    bt_free(slot->ids);
    bt_free(slot->types);
    bt_free(slot->positions);
    bt_free(slot->key_mask);
    bt_free(slot->int_labels);
    bt_free(slot->float_labels);
    bt_free(slot->row_weights);
    bt_free(slot->example_ids);
    bt_free(slot->sentence_ids);
    *slot = (data_slot){0};
}

void data_slot_clear(data_slot *slot) {
    slot->n_rows = 0;
    slot->offsets[0] = 0;
    slot->is_masked = false;
}

static int64_t longest(const data_slot *slot) {
    int64_t max = 0;
    for (int64_t b = 0; b < slot->n_rows; b++) {
        const int64_t n = slot->offsets[b + 1] - slot->offsets[b];
        max = n > max ? n : max;
    }
    return max;
}

void data_slot_finish(data_slot *slot, const bt_data_schema *schema) {
    const int64_t B = slot->n_rows;
    const bool    has_ints = schema->label_kind == BT_LABEL_CLASS ||
                          schema->label_kind == BT_LABEL_TOKENS ||
                          schema->label_kind == BT_LABEL_SPAN;
    if (schema->label_kind == BT_LABEL_SPAN && B < slot->cap_rows) {
        /* the ends stand after cap_rows starts; the batch has [2,B] */
        memmove(slot->int_labels + B, slot->int_labels + slot->cap_rows,
                (size_t)B * sizeof *slot->int_labels);
    }
    slot->batch = (bt_batch){
        .n_seqs = B,
        .n_rows = schema->pairing == BT_PAIRING_ROWS ? B / 2 : B,
        .n_tokens = slot->offsets[B],
        .max_tokens = longest(slot),
        .seq_length = schema->seq_length,
        .offsets = slot->offsets,
        .ids = slot->ids,
        .types = slot->types,
        .positions = slot->positions,
        .key_mask = slot->is_masked ? slot->key_mask : NULL,
        .int_labels = has_ints ? slot->int_labels : NULL,
        .float_labels = schema->label_kind == BT_LABEL_FLOAT || schema->label_kind == BT_LABEL_MULTI
                            ? slot->float_labels
                            : NULL,
        .row_weights = schema->weight_field != NULL ? slot->row_weights : NULL,
        .example_ids = schema->include_example_id ? slot->example_ids : NULL,
        .sentence_ids = schema->include_sentence_id ? slot->sentence_ids : NULL,
        .sub_sentence_ids =
            schema->include_sentence_id ? slot->sentence_ids + slot->cap_rows : NULL,
        .first_record = slot->batch.first_record,
    };
}
