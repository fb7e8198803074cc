/* SPDX-License-Identifier: Apache-2.0
 *
 * A row of one or two texts -> one record, for classification, regression and retrieval. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/bytes.h"
#include "bt/wire/tfrecord.h"
#include "example_writer.h"

enum { SEGMENT_B = 1 }; /* BERT's second and last segment type */

static void pad(int32_t *dst, const int32_t *src, size_t n, size_t length) {
    memcpy(dst, src, n * sizeof *dst);
    memset(dst + n, 0, (length - n) * sizeof *dst);
}

/* The order of the keys is that of the real tool's protobuf: docs/model_garden/data.md section 1.
 */
static bt_status build_example(const example_settings *s, example_worker *w, const example_row *row,
                               bt_error *err) {
    const size_t              length = (size_t)s->max_seq_length;
    bt_example_builder *const b = &w->builder;
    const int64_t             one = 1;
    bt_example_builder_clear(b);
    if (s->has_weight) {
        BT_TRY(bt_example_add_f32(b, "weight", &row->weight, 1, err));
        BT_TRY(bt_example_add_i64(b, "example_id", &row->id, 1, err));
        BT_TRY(bt_example_add_i32(b, "input_ids", w->ids, length, err));
        BT_TRY(bt_example_add_i64(b, "is_real_example", &one, 1, err));
        BT_TRY(bt_example_add_i32(b, "input_mask", w->mask, length, err));
    } else {
        BT_TRY(bt_example_add_i64(b, "is_real_example", &one, 1, err));
        BT_TRY(bt_example_add_i64(b, "example_id", &row->id, 1, err));
        BT_TRY(bt_example_add_i32(b, "input_mask", w->mask, length, err));
        BT_TRY(bt_example_add_i32(b, "input_ids", w->ids, length, err));
    }
    BT_TRY(bt_example_add_i32(b, "segment_ids", w->segments, length, err));
    switch (s->label) {
    case EXAMPLE_LABEL_INT:
        return bt_example_add_i64(b, "label_ids", &row->label, 1, err);
    case EXAMPLE_LABEL_FLOAT:
        return bt_example_add_f32(b, "label_ids", &row->value, 1, err);
    case EXAMPLE_LABEL_NONE:
        break;
    }
    return BT_OK;
}

/* Puts the word's pieces and a [SEP] at the end of the worker's ids, where the texts leave them
 * room; *n_word is their number. */
static bt_status encode_word(const example_settings *s, example_worker *w, const example_row *row,
                             size_t *n_word, bt_error *err) {
    const size_t length = (size_t)s->max_seq_length;
    bt_text_pair word = {0};
    *n_word = 0;
    if (row->word == NULL) {
        return BT_OK;
    }
    /* [CLS] word [SEP]: what follows the first id is wanted */
    BT_TRY(bt_text_encode_pair(s->tokenizer, w->scratch, row->word, row->n_word, NULL, 0,
                               s->max_seq_length, &word, err));
    if (word.n - 1 + 3 > length) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "max_seq_length %" PRId64 " is too small: the word '%.*s' leaves no room "
                       "for two texts with [CLS], [SEP], [SEP]",
                       s->max_seq_length, (int)row->n_word, row->word);
    }
    *n_word = word.n - 1;
    memcpy(w->labels, word.ids + 1, *n_word * sizeof *w->labels);
    return BT_OK;
}

bt_status convert_text(const example_settings *settings, example_worker *worker,
                       const example_row *row, bt_str *records, int64_t *n_records, bt_error *err) {
    const example_settings *const s = settings;
    example_worker *const         w = worker;
    const size_t                  length = (size_t)s->max_seq_length;
    size_t                        n_word = 0;
    bt_text_pair                  pair = {0};
    bt_bytes                      message = {0};
    BT_TRY(encode_word(s, w, row, &n_word, err));
    BT_TRY(bt_text_encode_pair(s->tokenizer, w->scratch, row->a, row->n_a, row->b, row->n_b,
                               s->max_seq_length - (int64_t)n_word, &pair, err));
    pad(w->ids, pair.ids, pair.n, length);
    pad(w->segments, pair.segments, pair.n, length);
    for (size_t i = 0; i < n_word; i++) {
        w->ids[pair.n + i] = w->labels[i];
        w->segments[pair.n + i] = SEGMENT_B;
    }
    for (size_t i = 0; i < length; i++) {
        w->mask[i] = i < pair.n + n_word ? 1 : 0;
    }
    BT_TRY(build_example(s, w, row, err));
    BT_TRY(bt_example_finish(&w->builder, &message, err));
    *n_records += 1;
    return bt_tfrecord_frame(records, message.data, message.n_bytes, err);
}
