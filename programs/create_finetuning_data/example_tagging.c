/* SPDX-License-Identifier: Apache-2.0
 *
 * A sentence of labelled words -> one record, or several when it does not fit in one
 * (docs/model_garden/data.md section 1, "Tagging"). */
#include "bt/base/bytes.h"
#include "bt/wire/tfrecord.h"
#include "example_writer.h"

enum { PADDING_LABEL = -1 };

typedef struct sentence_output {
    const example_settings *settings;
    example_worker         *worker;
    int64_t                 sentence_id;
    bt_str                 *records;
    int64_t                *n_records;
} sentence_output;

/* The order of the keys is that of the real tool's protobuf: docs/model_garden/data.md section 1.
 */
static bt_status build_example(const sentence_output *out, int64_t sub_sentence_id, bt_error *err) {
    const size_t                length = (size_t)out->settings->max_seq_length;
    const example_worker *const w = out->worker;
    bt_example_builder *const   b = &out->worker->builder;
    bt_example_builder_clear(b);
    BT_TRY(bt_example_add_i32(b, "input_ids", w->ids, length, err));
    BT_TRY(bt_example_add_i32(b, "input_mask", w->mask, length, err));
    BT_TRY(bt_example_add_i64(b, "sentence_id", &out->sentence_id, 1, err));
    BT_TRY(bt_example_add_i64(b, "sub_sentence_id", &sub_sentence_id, 1, err));
    BT_TRY(bt_example_add_i32(b, "segment_ids", w->segments, length, err));
    return bt_example_add_i32(b, "label_ids", w->labels, length, err);
}

/* The worker's ids and labels hold the n tokens of one record. */
static bt_status take_sequence(void *context, size_t n, int64_t number, bt_error *err) {
    sentence_output *const out = context;
    example_worker *const  w = out->worker;
    const size_t           length = (size_t)out->settings->max_seq_length;
    bt_bytes               message = {0};
    for (size_t i = 0; i < length; i++) {
        const bool is_real = i < n;
        w->mask[i] = is_real ? 1 : 0;
        w->segments[i] = 0;
        w->ids[i] = is_real ? w->ids[i] : 0;
        w->labels[i] = is_real ? w->labels[i] : PADDING_LABEL;
    }
    BT_TRY(build_example(out, number, err));
    BT_TRY(bt_example_finish(&w->builder, &message, err));
    *out->n_records += 1;
    return bt_tfrecord_frame(out->records, message.data, message.n_bytes, err);
}

/* row->a: the words, an LF after each; row->b: their labels, an int32_t each. */
bt_status convert_sentence(const example_settings *settings, example_worker *worker,
                           const example_row *row, bt_str *records, int64_t *n_records,
                           bt_error *err) {
    sentence_output         out = {settings, worker, row->id, records, n_records};
    const bt_text_word_room room = {.scratch = worker->scratch,
                                    .ids = worker->ids,
                                    .labels = worker->labels,
                                    .take = take_sequence,
                                    .context = &out};
    return bt_text_pack_words(settings->context, &room, row->a, row->n_a, row->b, err);
}
