/* SPDX-License-Identifier: Apache-2.0
 *
 * One tf.Example -> one row of a batch of packed tokens. Everything that the model will index with
 * (word ids, segment ids, classes, spans) is checked here, once, so that no later room has to.
 * Model Garden's decoder asks for the same features, kinds and lengths (spec/data.md (c)). */
#include <math.h>
#include <string.h>

#include "data_internal.h"

/* ---- decoder ----------------------------------------------------------------------------------
 */

bt_status bt_data_decoder_init(data_decoder *decoder, const bt_data_schema *schema,
                               const char *section, bt_error *err) {
    *decoder = (data_decoder){.schema = schema, .section = section};
    size_t n = 0;
    if (!bt_size_mul((size_t)schema->seq_length, 4, &n) ||
        (decoder->ids = bt_alloc_array(n, sizeof *decoder->ids)) == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a record of seq_length %" PRId64,
                       schema->seq_length);
    }
    decoder->mask = decoder->ids + schema->seq_length;
    decoder->types = decoder->mask + schema->seq_length;
    decoder->labels = decoder->types + schema->seq_length;
    return BT_OK;
}

void bt_data_decoder_deinit(data_decoder *decoder) {
    bt_free(decoder->ids);
    bt_example_deinit(&decoder->example);
    bt_str_deinit(&decoder->buffer);
    *decoder = (data_decoder){0};
}

bt_status bt_data_decoder_parse(data_decoder *decoder, bt_bytes bytes, bt_error *err) {
    return bt_example_parse(&decoder->example, bytes, err);
}

/* ---- features ---------------------------------------------------------------------------------
 */

static bt_status explain_kind(const data_decoder *decoder, const char *key, bt_feature_kind want,
                              bt_error *err) {
    const bt_feature *const feature = bt_example_find(&decoder->example, key);
    if (feature == NULL) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "feature %s (%s) is required but missing: were these "
                       "records made for another task?",
                       key, bt_feature_kind_name(want));
    }
    if (feature->kind != want) {
        const bool is_label = bt_str_equal(key, decoder->schema->label_field);
        return BT_FAIL(err, BT_E_FORMAT, "feature %s holds %s values, but %s is expected%s", key,
                       bt_feature_kind_name(feature->kind), bt_feature_kind_name(want),
                       is_label ? ": see label_type and num_classes of the configuration" : "");
    }
    return BT_OK;
}

/* n int64 values. The slow path finds the sentence that helps. */
static bt_status read_i64(const data_decoder *decoder, const char *key, int64_t *dst, int64_t n,
                          bt_error *err) {
    if (bt_example_get_i64(&decoder->example, key, dst, (size_t)n, NULL) == BT_OK) {
        return BT_OK;
    }
    BT_TRY(explain_kind(decoder, key, BT_FEATURE_I64, err));
    size_t got = 0;
    BT_TRY(bt_feature_read_i64(bt_example_find(&decoder->example, key), NULL, 0, &got, err));
    if (got != (size_t)n && n == decoder->schema->seq_length && n > 1) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "feature %s has %zu values, but %s.seq_length is %" PRId64
                       ": set seq_length to %zu, or make the records again with "
                       "--max_seq_length=%" PRId64,
                       key, got, decoder->section, n, got, n);
    }
    return bt_example_get_i64(&decoder->example, key, dst, (size_t)n, err);
}

static bt_status read_f32(const data_decoder *decoder, const char *key, float *dst, bt_error *err) {
    if (bt_example_get_f32(&decoder->example, key, dst, 1, NULL) == BT_OK) {
        return BT_OK;
    }
    BT_TRY(explain_kind(decoder, key, BT_FEATURE_F32, err));
    return bt_example_get_f32(&decoder->example, key, dst, 1, err);
}

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

static bt_status read_inputs(const data_decoder *decoder, bt_error *err) {
    const bt_data_schema *const schema = decoder->schema;
    const int64_t               S = schema->seq_length;
    BT_TRY(read_i64(decoder, "input_ids", decoder->ids, S, err));
    BT_TRY(read_i64(decoder, "input_mask", decoder->mask, S, err));
    BT_TRY(read_i64(decoder, "segment_ids", decoder->types, S, err));
    BT_TRY(check_range("input_ids", decoder->ids, S, schema->vocab_size, "the model's vocab_size",
                       err));
    BT_TRY(check_range("segment_ids", decoder->types, S, schema->type_vocab_size,
                       "the model's type_vocab_size", err));
    for (int64_t i = 0; i < S; i++) {
        if (decoder->mask[i] != 0 && decoder->mask[i] != 1) {
            return BT_FAIL(err, BT_E_FORMAT,
                           "input_mask[%" PRId64 "] is %" PRId64 ", expected 0 or 1", i,
                           decoder->mask[i]);
        }
    }
    return BT_OK;
}

/* ---- rows -------------------------------------------------------------------------------------
 */

/* Appends the tokens after those that are there; *n = how many. */
static void pack_tokens(data_slot *slot, const data_decoder *decoder, int64_t *n) {
    const int64_t S = decoder->schema->seq_length;
    const bool    keep_all = decoder->schema->keep_padding || decoder->mask[0] == 0;
    int64_t       at = slot->offsets[slot->n_rows];
    for (int64_t t = 0; t < S; t++) {
        if (!keep_all && decoder->mask[t] == 0) {
            continue;
        }
        slot->ids[at] = (int32_t)decoder->ids[t];
        slot->types[at] = (int32_t)decoder->types[t];
        slot->positions[at] = (int32_t)t;
        slot->key_mask[at] = (uint8_t)decoder->mask[t];
        slot->is_masked = slot->is_masked || decoder->mask[t] == 0;
        at++;
    }
    *n = at - slot->offsets[slot->n_rows];
}

static bt_status append_class(data_slot *slot, const data_decoder *decoder, bt_error *err) {
    const bt_data_schema *const schema = decoder->schema;
    int64_t                     label = 0;
    BT_TRY(read_i64(decoder, schema->label_field, &label, 1, err));
    const int64_t limit = schema->n_classes > 0 ? schema->n_classes : INT32_MAX;
    if (label < 0 || label >= limit) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s is %" PRId64 ", but there are %" PRId64
                       " classes (task.model.num_classes): expected 0 to %" PRId64,
                       schema->label_field, label, limit, limit - 1);
    }
    slot->int_labels[slot->n_rows] = (int32_t)label;
    return BT_OK;
}

static bt_status append_float(data_slot *slot, const data_decoder *decoder, bt_error *err) {
    const char *const key = decoder->schema->label_field;
    float             label = 0;
    BT_TRY(read_f32(decoder, key, &label, err));
    if (!isfinite(label)) {
        return BT_FAIL(err, BT_E_FORMAT, "%s is %g, expected a finite number", key, (double)label);
    }
    slot->float_labels[slot->n_rows] = label;
    return BT_OK;
}

/* One label a kept token; negative ones are ignored by loss and metrics. */
static bt_status append_token_labels(data_slot *slot, const data_decoder *decoder, int64_t n,
                                     bt_error *err) {
    const bt_data_schema *const schema = decoder->schema;
    BT_TRY(read_i64(decoder, schema->label_field, decoder->labels, schema->seq_length, err));
    const int64_t  limit = schema->n_classes > 0 ? schema->n_classes : INT32_MAX;
    const int64_t  begin = slot->offsets[slot->n_rows];
    int32_t *const dst = slot->int_labels + begin;
    for (int64_t t = 0; t < schema->seq_length; t++) {
        if (decoder->labels[t] >= limit || decoder->labels[t] < INT32_MIN) {
            return BT_FAIL(err, BT_E_FORMAT,
                           "%s[%" PRId64 "] is %" PRId64 ", but there are %" PRId64
                           " classes (task.class_names): expected at most %" PRId64,
                           schema->label_field, t, decoder->labels[t], limit, limit - 1);
        }
    }
    for (int64_t i = 0; i < n; i++) {
        dst[i] = (int32_t)decoder->labels[slot->positions[begin + i]];
    }
    return BT_OK;
}

static bt_status append_place(data_slot *slot, const data_decoder *decoder, const char *key,
                              int64_t n, int32_t *dst, bt_error *err) {
    int64_t place = 0;
    BT_TRY(read_i64(decoder, key, &place, 1, err));
    if (place < 0 || place >= decoder->schema->seq_length) {
        return BT_FAIL(err, BT_E_FORMAT, "%s is %" PRId64 ", expected 0 to %" PRId64, key, place,
                       decoder->schema->seq_length - 1);
    }
    const int32_t *const positions = slot->positions + slot->offsets[slot->n_rows];
    for (int64_t i = 0; i < n; i++) {
        if (positions[i] == place) {
            *dst = (int32_t)i;
            return BT_OK;
        }
    }
    return BT_FAIL(err, BT_E_FORMAT,
                   "%s is %" PRId64 ", where input_mask is 0: an answer cannot lie in padding", key,
                   place);
}

static bt_status append_label(data_slot *slot, const data_decoder *decoder, int64_t n,
                              bt_error *err) {
    switch (decoder->schema->label_kind) {
    case BT_LABEL_NONE:
        return BT_OK;
    case BT_LABEL_CLASS:
        return append_class(slot, decoder, err);
    case BT_LABEL_FLOAT:
        return append_float(slot, decoder, err);
    case BT_LABEL_TOKENS:
        return append_token_labels(slot, decoder, n, err);
    case BT_LABEL_SPAN:
        BT_TRY(append_place(slot, decoder, "start_positions", n, &slot->int_labels[slot->n_rows],
                            err));
        return append_place(slot, decoder, "end_positions", n,
                            &slot->int_labels[slot->cap_rows + slot->n_rows], err);
    }
    return BT_OK;
}

bt_status bt_data_slot_append(data_slot *slot, data_decoder *decoder, bt_error *err) {
    BT_ASSERT(slot->n_rows < slot->cap_rows);
    const bool was_masked = slot->is_masked;
    int64_t    n = 0;
    bt_status  rc = BT_OK;
    BT_CHECK(read_inputs(decoder, err));
    pack_tokens(slot, decoder, &n);
    BT_CHECK(append_label(slot, decoder, n, err));
    if (decoder->schema->include_example_id) {
        BT_CHECK(read_i64(decoder, "example_id", &slot->example_ids[slot->n_rows], 1, err));
    }
    slot->offsets[slot->n_rows + 1] = slot->offsets[slot->n_rows] + n;
    slot->n_rows++;
done:
    if (rc != BT_OK) {
        slot->is_masked = was_masked;
    }
    return rc;
}
