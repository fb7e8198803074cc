/* SPDX-License-Identifier: Apache-2.0
 *
 * A sentence of labelled words -> one record, or several when it does not fit in one: a word is
 * never divided, and the first piece of a word carries its label (spec/data.md (a), "Tagging"). */
#include <string.h>

#include "example_writer.h"

enum { PADDING_LABEL = -1 };

/* The record being filled: [CLS] and n pieces. */
typedef struct sentence_part {
    const example_settings *settings;
    example_worker         *worker;
    int64_t                 sentence_id;
    int64_t                 sub_sentence_id;
    size_t                  n;
    size_t                  limit; /* of n */
    const sentence_pieces  *special;
} sentence_part;

bt_status find_sentence_pieces(const bt_text_vocab *vocab, sentence_pieces *out, bt_error *err) {
    if (!bt_text_vocab_find(vocab, "[CLS]", 5, &out->cls) ||
        !bt_text_vocab_find(vocab, "[SEP]", 5, &out->sep) ||
        !bt_text_vocab_find(vocab, "[UNK]", 5, &out->unk)) {
        return BT_FAIL(err, BT_E_INTERNAL, "a tokenizer without [CLS], [SEP] or [UNK]");
    }
    return BT_OK;
}

static void begin_part(sentence_part *p) {
    p->n = 0;
    p->worker->ids[0] = p->special->cls;
    p->worker->labels[0] = PADDING_LABEL;
}

/* The order of the keys is that of the real tool's protobuf: spec/data.md (a). */
static bt_status build_example(const sentence_part *p, bt_error *err) {
    const size_t                length = (size_t)p->settings->max_seq_length;
    const example_worker *const w = p->worker;
    bt_example_builder *const   b = &p->worker->builder;
    bt_example_builder_clear(b);
    BT_TRY(bt_example_add_i32(b, "input_ids", w->ids, length, err));
    BT_TRY(bt_example_add_i32(b, "input_mask", w->mask, length, err));
    BT_TRY(bt_example_add_i64(b, "sentence_id", &p->sentence_id, 1, err));
    BT_TRY(bt_example_add_i64(b, "sub_sentence_id", &p->sub_sentence_id, 1, err));
    BT_TRY(bt_example_add_i32(b, "segment_ids", w->segments, length, err));
    return bt_example_add_i32(b, "label_ids", w->labels, length, err);
}

static bt_status end_part(sentence_part *p, bt_str *records, int64_t *n_records, bt_error *err) {
    example_worker *const w = p->worker;
    const size_t          length = (size_t)p->settings->max_seq_length;
    bt_bytes              message = {0};
    w->ids[p->n + 1] = p->special->sep;
    w->labels[p->n + 1] = PADDING_LABEL;
    for (size_t i = 0; i < length; i++) {
        const bool is_real = i < p->n + 2;
        w->mask[i] = is_real ? 1 : 0;
        w->segments[i] = 0;
        w->ids[i] = is_real ? w->ids[i] : 0;
        w->labels[i] = is_real ? w->labels[i] : PADDING_LABEL;
    }
    BT_TRY(build_example(p, err));
    BT_TRY(bt_example_finish(&w->builder, &message, err));
    p->sub_sentence_id++;
    *n_records += 1;
    return bt_tfrecord_frame(records, message.data, message.n_bytes, err);
}

static bt_status add_word(sentence_part *p, const char *text, size_t n_text, int32_t label,
                          bt_str *records, int64_t *n_records, bt_error *err) {
    const int32_t *ids = NULL;
    size_t         n_ids = 0;
    BT_TRY(bt_text_encode(p->settings->tokenizer, p->worker->scratch, text, n_text, &ids, &n_ids,
                          err));
    if (n_text > 0 && (n_ids == 0 || n_ids > p->limit)) {
        ids = &p->special->unk;
        n_ids = 1;
    }
    if (p->n + n_ids > p->limit) {
        BT_TRY(end_part(p, records, n_records, err));
        begin_part(p);
    }
    for (size_t i = 0; i < n_ids; i++) {
        p->n++;
        p->worker->ids[p->n] = ids[i];
        p->worker->labels[p->n] = i == 0 ? label : PADDING_LABEL;
    }
    return BT_OK;
}

/* row->a: the words, an LF behind each; row->b: their labels, an int32_t each. */
bt_status convert_sentence(const example_settings *settings, example_worker *worker,
                           const example_row *row, bt_str *records, int64_t *n_records,
                           bt_error *err) {
    const char       *at = row->a;
    const char *const end = row->a + row->n_a;
    sentence_part     part = {.settings = settings,
                              .worker = worker,
                              .sentence_id = row->id,
                              .limit = (size_t)settings->max_seq_length - 2,
                              .special = settings->context};
    begin_part(&part);
    for (size_t i = 0; at < end; i++) {
        const char *const lf = memchr(at, '\n', (size_t)(end - at));
        int32_t           label = 0;
        memcpy(&label, row->b + i * sizeof label, sizeof label);
        BT_TRY(add_word(&part, at, (size_t)(lf - at), label, records, n_records, err));
        at = lf + 1;
    }
    return part.n == 0 ? BT_OK : end_part(&part, records, n_records, err);
}
