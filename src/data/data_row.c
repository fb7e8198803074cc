/* SPDX-License-Identifier: Apache-2.0
 *
 * One row -> one more sequence of a batch of packed tokens. Everything that the model will index
 * with (word ids, segment ids, classes, spans) is checked here, once, so that no later room has
 * to. */
#include <inttypes.h>
#include <math.h>

#include "data_internal.h"

/* Every value in [0,limit). */
static bt_status check_range(const char *key, const int64_t *values, int64_t n, int64_t limit,
                             const char *limit_name, bt_error *err) {
    for (int64_t i = 0; i < n; i++) {
        if (values[i] < 0 || values[i] >= limit) {
            return BT_FAIL(err, BT_E_FORMAT,
                           "%s[%" PRId64 "] is %" PRId64 ", but %s is %" PRId64
                           ": expected 0 to %" PRId64,
                           key, i, values[i], limit_name, limit, limit - 1);
        }
    }
    return BT_OK;
}

static bt_status check_tokens(const bt_data_schema *schema, const data_row *row, bt_error *err) {
    BT_TRY(check_range("input_ids", row->ids, row->n, schema->vocab_size, "the model's vocab_size",
                       err));
    BT_TRY(check_range("segment_ids", row->types, row->n, schema->type_vocab_size,
                       "the model's type_vocab_size", err));
    for (int64_t i = 0; row->mask != NULL && i < row->n; i++) {
        if (row->mask[i] != 0 && row->mask[i] != 1) {
            return BT_FAIL(err, BT_E_FORMAT,
                           "input_mask[%" PRId64 "] is %" PRId64 ", expected 0 or 1", i,
                           row->mask[i]);
        }
    }
    return BT_OK;
}

static void put_token(data_slot *slot, int64_t at, int64_t place, int64_t id, int64_t type,
                      bool is_real) {
    slot->ids[at] = (int32_t)id;
    slot->types[at] = (int32_t)type;
    slot->positions[at] = (int32_t)place;
    slot->key_mask[at] = is_real ? 1 : 0;
    slot->is_masked = slot->is_masked || !is_real;
}

/* A label on padding counts in the loss of a tagger, so that token is computed too. */
static bool has_labelled_padding(const bt_data_schema *schema, const data_row *row) {
    if (schema->label_kind != BT_LABEL_TOKENS || row->mask == NULL) {
        return false;
    }
    for (int64_t t = 0; t < row->n; t++) {
        if (row->mask[t] == 0 && row->token_labels[t] >= 0) {
            return true;
        }
    }
    return false;
}

/* Packs the tokens after those that are there; returns how many. */
static int64_t pack_tokens(data_slot *slot, const bt_data_schema *schema, const data_row *row) {
    const bool keep_all = schema->keep_padding || (row->mask != NULL && row->mask[0] == 0) ||
                          has_labelled_padding(schema, row);
    const int64_t begin = slot->offsets[slot->n_rows];
    int64_t       at = begin;
    for (int64_t t = 0; t < row->n; t++) {
        const bool is_real = row->mask == NULL || row->mask[t] == 1;
        if (keep_all || is_real) {
            put_token(slot, at++, t, row->ids[t], row->types[t], is_real);
        }
    }
    for (int64_t t = row->n; schema->keep_padding && t < schema->seq_length; t++) {
        put_token(slot, at++, t, row->pad_id, 0, false);
    }
    return at - begin;
}

static bt_status append_class(data_slot *slot, const bt_data_schema *schema, const data_row *row,
                              bt_error *err) {
    const int64_t limit = schema->n_classes > 0 ? schema->n_classes : INT32_MAX;
    if (row->label < 0 || row->label >= limit) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s is %" PRId64 ", but there are %" PRId64
                       " classes (task.model.num_classes): expected 0 to %" PRId64,
                       schema->label_field, row->label, limit, limit - 1);
    }
    slot->int_labels[slot->n_rows] = (int32_t)row->label;
    return BT_OK;
}

static bt_status append_float(data_slot *slot, const bt_data_schema *schema, const data_row *row,
                              bt_error *err) {
    if (!isfinite(row->score)) {
        return BT_FAIL(err, BT_E_FORMAT, "%s is %g, expected a finite number", schema->label_field,
                       (double)row->score);
    }
    slot->float_labels[slot->n_rows] = row->score;
    return BT_OK;
}

static bt_status append_targets(data_slot *slot, const bt_data_schema *schema, const data_row *row,
                                bt_error *err) {
    const int64_t C = schema->n_classes;
    for (int64_t c = 0; c < C; c++) {
        if (!(row->targets[c] >= 0 && row->targets[c] <= 1)) {
            return BT_FAIL(err, BT_E_FORMAT,
                           "%s[%" PRId64 "] is %g: expected a number from 0 to 1 (does the class "
                           "apply?)",
                           schema->label_field, c, (double)row->targets[c]);
        }
        slot->float_labels[slot->n_rows * C + c] = row->targets[c];
    }
    return BT_OK;
}

/* One label a kept token; negative ones are ignored by loss and metrics. */
static bt_status append_token_labels(data_slot *slot, const bt_data_schema *schema,
                                     const data_row *row, int64_t n_packed, bt_error *err) {
    const int64_t  limit = schema->n_classes > 0 ? schema->n_classes : INT32_MAX;
    const int64_t  begin = slot->offsets[slot->n_rows];
    int32_t *const dst = slot->int_labels + begin;
    for (int64_t t = 0; t < row->n; t++) {
        if (row->token_labels[t] >= limit || row->token_labels[t] < INT32_MIN) {
            return BT_FAIL(err, BT_E_FORMAT,
                           "%s[%" PRId64 "] is %" PRId64 ", but there are %" PRId64
                           " classes (task.class_names): expected at most %" PRId64,
                           schema->label_field, t, row->token_labels[t], limit, limit - 1);
        }
    }
    for (int64_t i = 0; i < n_packed; i++) {
        const int64_t place = slot->positions[begin + i];
        dst[i] = place < row->n ? (int32_t)row->token_labels[place] : -1;
    }
    return BT_OK;
}

static bt_status append_place(data_slot *slot, const bt_data_schema *schema, const char *name,
                              int64_t place, int64_t n_packed, int32_t *dst, bt_error *err) {
    if (place < 0 || place >= schema->seq_length) {
        return BT_FAIL(err, BT_E_FORMAT, "%s is %" PRId64 ", expected 0 to %" PRId64, name, place,
                       schema->seq_length - 1);
    }
    const int32_t *const positions = slot->positions + slot->offsets[slot->n_rows];
    for (int64_t i = 0; i < n_packed; i++) {
        if (positions[i] == place) {
            *dst = (int32_t)i;
            return BT_OK;
        }
    }
    return BT_FAIL(err, BT_E_FORMAT,
                   "%s is %" PRId64 ", where input_mask is 0: an answer cannot lie in padding",
                   name, place);
}

static bt_status append_weight(data_slot *slot, const bt_data_schema *schema, const data_row *row,
                               bt_error *err) {
    if (!(row->weight >= 0 && isfinite(row->weight))) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s is %g: the weight of a row is a finite number, 0 or more",
                       schema->weight_field, (double)row->weight);
    }
    slot->row_weights[slot->n_rows] = row->weight;
    return BT_OK;
}

static bt_status append_label(data_slot *slot, const bt_data_schema *schema, const data_row *row,
                              int64_t n_packed, bt_error *err) {
    switch (schema->label_kind) {
    case BT_LABEL_NONE:
        return BT_OK;
    case BT_LABEL_CLASS:
        return append_class(slot, schema, row, err);
    case BT_LABEL_FLOAT:
        return append_float(slot, schema, row, err);
    case BT_LABEL_MULTI:
        return append_targets(slot, schema, row, err);
    case BT_LABEL_TOKENS:
        return append_token_labels(slot, schema, row, n_packed, err);
    case BT_LABEL_SPAN:
        BT_TRY(append_place(slot, schema, "start_positions", row->start, n_packed,
                            &slot->int_labels[slot->n_rows], err));
        return append_place(slot, schema, "end_positions", row->end, n_packed,
                            &slot->int_labels[slot->cap_rows + slot->n_rows], err);
    }
    return BT_OK;
}

bt_status data_slot_append(data_slot *slot, const bt_data_schema *schema, const data_row *row,
                           bt_error *err) {
    BT_ASSERT(slot->n_rows < slot->cap_rows);
    BT_ASSERT(row->n >= 1 && row->n <= schema->seq_length);
    BT_TRY(check_tokens(schema, row, err));
    const bool    was_masked = slot->is_masked;
    const int64_t n = pack_tokens(slot, schema, row);
    bt_status     rc = append_label(slot, schema, row, n, err);
    if (rc == BT_OK && schema->weight_field != NULL) {
        rc = append_weight(slot, schema, row, err);
    }
    if (rc != BT_OK) {
        slot->is_masked = was_masked;
        return rc;
    }
    if (schema->include_example_id) {
        slot->example_ids[slot->n_rows] = row->example_id;
    }
    if (schema->include_sentence_id) {
        slot->sentence_ids[slot->n_rows] = row->sentence_id;
        slot->sentence_ids[slot->cap_rows + slot->n_rows] = row->sub_sentence_id;
    }
    slot->offsets[slot->n_rows + 1] = slot->offsets[slot->n_rows] + n;
    slot->n_rows++;
    return BT_OK;
}

void data_slot_take_back(data_slot *slot, bool was_masked) {
    BT_ASSERT(slot->n_rows > 0);
    slot->n_rows--;
    slot->is_masked = was_masked;
}
