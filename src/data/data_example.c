/* SPDX-License-Identifier: Apache-2.0
 *
 * tf.Example -> one row. Model Garden's decoder asks for the same features, kinds and lengths
 * (docs/model_garden/data.md section 3); what the values may be is checked where the row is packed
 * (data_row.c). */

#include <inttypes.h>

#include "bt/base/alloc.h"
#include "bt/base/size.h"
#include "bt/base/str.h"
#include "data_internal.h"

bt_status data_decoder_init(data_decoder *decoder, const bt_data_schema *schema,
                            const char *section, bt_error *err) {
    *decoder = (data_decoder){.schema = schema, .section = section};
    size_t n = 0;
    if (!bt_size_mul((size_t)schema->seq_length, 4, &n) ||
        (decoder->ids = bt_alloc_array(n, sizeof *decoder->ids)) == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a record of seq_length %" PRId64,
                       schema->seq_length);
    }
    if (schema->label_kind == BT_LABEL_MULTI) {
        decoder->targets = bt_alloc_array((size_t)schema->n_classes, sizeof *decoder->targets);
        if (decoder->targets == NULL) {
            return BT_FAIL(err, BT_E_NOMEM, "out of memory for %" PRId64 " labels",
                           schema->n_classes);
        }
    }
    decoder->mask = decoder->ids + schema->seq_length;
    decoder->types = decoder->mask + schema->seq_length;
    decoder->labels = decoder->types + schema->seq_length;
    return schema->text.n_fields == 0 ? BT_OK
                                      : data_encoder_init(&decoder->encoder, schema, section, err);
}

void data_decoder_deinit(data_decoder *decoder) {
    bt_free(decoder->ids);
    bt_free(decoder->targets);
    data_encoder_deinit(&decoder->encoder);
    bt_example_deinit(&decoder->example);
    *decoder = (data_decoder){0};
}

bt_status data_decoder_parse(data_decoder *decoder, bt_bytes bytes, bt_error *err) {
    return bt_example_parse(&decoder->example, bytes, err);
}

static bt_status explain_kind(const data_decoder *decoder, const char *key, bt_feature_kind want,
                              bt_error *err) {
    const bt_feature *const feature = bt_example_find(&decoder->example, key);
    if (feature == NULL) {
        return BT_FAIL(err, BT_E_FORMAT, "feature %s (%s) is required but missing: %s", key,
                       bt_feature_kind_name(want),
                       decoder->schema->side == BT_SIDE_NONE || decoder->schema->text.n_fields > 0
                           ? "were these records made for another task?"
                           : "for text name a vocab_file; for sides in two files name the right "
                             "one's in right_input_path");
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

/* A float for each class, or a 0 or 1. */
static bt_status read_targets(data_decoder *decoder, data_row *row, bt_error *err) {
    const char *const key = decoder->schema->label_field;
    const int64_t     C = decoder->schema->n_classes;
    bt_feature const *feature = bt_example_find(&decoder->example, key);
    row->targets = decoder->targets;
    if (feature == NULL || feature->kind != BT_FEATURE_I64) {
        if (bt_example_get_f32(&decoder->example, key, decoder->targets, (size_t)C, NULL) !=
            BT_OK) {
            BT_TRY(explain_kind(decoder, key, BT_FEATURE_F32, err));
            return bt_example_get_f32(&decoder->example, key, decoder->targets, (size_t)C, err);
        }
        return BT_OK;
    }
    int64_t *const numbers = bt_alloc_array((size_t)C, sizeof *numbers);
    if (numbers == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for %" PRId64 " labels", C);
    }
    const bt_status rc = bt_example_get_i64(&decoder->example, key, numbers, (size_t)C, err);
    for (int64_t c = 0; rc == BT_OK && c < C; c++) {
        decoder->targets[c] = (float)numbers[c];
    }
    bt_free(numbers);
    return rc;
}

static bt_status read_f32(const data_decoder *decoder, const char *key, float *dst, bt_error *err) {
    if (bt_example_get_f32(&decoder->example, key, dst, 1, NULL) == BT_OK) {
        return BT_OK;
    }
    BT_TRY(explain_kind(decoder, key, BT_FEATURE_F32, err));
    return bt_example_get_f32(&decoder->example, key, dst, 1, err);
}

static bt_status read_label(data_decoder *decoder, data_row *row, bt_error *err) {
    const bt_data_schema *const schema = decoder->schema;
    if (schema->weight_field != NULL) {
        BT_TRY(read_f32(decoder, schema->weight_field, &row->weight, err));
    }
    switch (schema->label_kind) {
    case BT_LABEL_NONE:
        return BT_OK;
    case BT_LABEL_CLASS:
        return read_i64(decoder, schema->label_field, &row->label, 1, err);
    case BT_LABEL_FLOAT:
        return read_f32(decoder, schema->label_field, &row->score, err);
    case BT_LABEL_MULTI:
        return read_targets(decoder, row, err);
    case BT_LABEL_TOKENS:
        row->token_labels = decoder->labels;
        return read_i64(decoder, schema->label_field, decoder->labels, schema->seq_length, err);
    case BT_LABEL_SPAN:
        BT_TRY(read_i64(decoder, "start_positions", &row->start, 1, err));
        return read_i64(decoder, "end_positions", &row->end, 1, err);
    }
    return BT_OK;
}

static bt_status read_text(const data_decoder *decoder, const char *key, bt_text_span *out,
                           bt_error *err) {
    bt_bytes bytes = {0};
    if (bt_example_get_bytes(&decoder->example, key, &bytes, 1, NULL) != BT_OK) {
        BT_TRY(explain_kind(decoder, key, BT_FEATURE_BYTES, err));
        BT_TRY(bt_example_get_bytes(&decoder->example, key, &bytes, 1, err));
    }
    *out = (bt_text_span){(const char *)bytes.data, bytes.n_bytes};
    return BT_OK;
}

static bt_status read_texts(data_decoder *decoder, data_row *row, bt_error *err) {
    const bt_data_text *const text = &decoder->schema->text;
    bt_text_span              spans[BT_DATA_MAX_TEXTS];
    for (size_t i = 0; i < text->n_fields; i++) {
        BT_TRY(read_text(decoder, text->fields[i], &spans[i], err));
    }
    return data_encode(&decoder->encoder, spans, row, err);
}

static bt_status read_tokens(data_decoder *decoder, data_row *row, bt_error *err) {
    static const char *const names[][3] = {
        [BT_SIDE_NONE] = {"input_ids", "input_mask", "segment_ids"},
        [BT_SIDE_LEFT] = {"left_word_ids", "left_mask", "left_type_ids"},
        [BT_SIDE_RIGHT] = {"right_word_ids", "right_mask", "right_type_ids"},
    };
    const char *const *const keys = names[decoder->schema->side];
    const int64_t            S = decoder->schema->seq_length;
    row->n = S;
    row->ids = decoder->ids;
    row->mask = decoder->mask;
    row->types = decoder->types;
    BT_TRY(read_i64(decoder, keys[0], decoder->ids, S, err));
    BT_TRY(read_i64(decoder, keys[1], decoder->mask, S, err));
    return read_i64(decoder, keys[2], decoder->types, S, err);
}

bt_status data_decoder_read(data_decoder *decoder, data_row *row, bt_error *err) {
    *row = (data_row){0};
    if (decoder->schema->text.n_fields > 0) {
        BT_TRY(read_texts(decoder, row, err));
    } else {
        BT_TRY(read_tokens(decoder, row, err));
    }
    BT_TRY(read_label(decoder, row, err));
    if (decoder->schema->include_example_id) {
        BT_TRY(read_i64(decoder, "example_id", &row->example_id, 1, err));
    }
    if (decoder->schema->include_sentence_id) {
        BT_TRY(read_i64(decoder, "sentence_id", &row->sentence_id, 1, err));
        BT_TRY(read_i64(decoder, "sub_sentence_id", &row->sub_sentence_id, 1, err));
    }
    return BT_OK;
}
