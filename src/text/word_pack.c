/* SPDX-License-Identifier: Apache-2.0
 *
 * A sentence of labelled words -> the sequences that hold it: a word is never divided, and the
 * first piece of a word carries its label (docs/model_garden/data.md section 1, "Tagging"). */
#include <inttypes.h>
#include <string.h>

#include "bt/text.h"

enum { PADDING_LABEL = -1 };

bt_status bt_text_word_packer_init(bt_text_word_packer *packer, const bt_text_tokenizer *tokenizer,
                                   int64_t max_seq_length, bt_error *err) {
    const bt_text_vocab *const vocab = bt_text_tokenizer_vocab(tokenizer);
    *packer = (bt_text_word_packer){.tokenizer = tokenizer, .max_seq_length = max_seq_length};
    if (max_seq_length < BT_TEXT_MIN_WORD_SEQ_LENGTH) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "a sequence of %" PRId64
                       " is too short: a word with [CLS] and [SEP] needs at least %d",
                       max_seq_length, BT_TEXT_MIN_WORD_SEQ_LENGTH);
    }
    if (!bt_text_vocab_find(vocab, "[CLS]", 5, &packer->cls) ||
        !bt_text_vocab_find(vocab, "[SEP]", 5, &packer->sep) ||
        !bt_text_vocab_find(vocab, "[UNK]", 5, &packer->unk)) {
        return BT_FAIL(err, BT_E_INTERNAL, "a tokenizer without [CLS], [SEP] or [UNK]");
    }
    return BT_OK;
}

/* The sequence being filled: [CLS] and n pieces. */
typedef struct word_sequence {
    const bt_text_word_packer *packer;
    const bt_text_word_room   *room;
    int64_t                    number; /* in the sentence */
    size_t                     n;
    size_t                     limit; /* of n */
} word_sequence;

static void begin_sequence(word_sequence *s) {
    s->n = 0;
    s->room->ids[0] = s->packer->cls;
    s->room->labels[0] = PADDING_LABEL;
}

static bt_status end_sequence(word_sequence *s, bt_error *err) {
    s->room->ids[s->n + 1] = s->packer->sep;
    s->room->labels[s->n + 1] = PADDING_LABEL;
    return s->room->take(s->room->context, s->n + 2, s->number++, err);
}

static bt_status add_word(word_sequence *s, const char *text, size_t n_text, int32_t label,
                          bt_error *err) {
    const int32_t *ids = NULL;
    size_t         n_ids = 0;
    BT_TRY(bt_text_encode(s->packer->tokenizer, s->room->scratch, text, n_text, &ids, &n_ids, err));
    if (n_text > 0 && (n_ids == 0 || n_ids > s->limit)) {
        ids = &s->packer->unk;
        n_ids = 1;
    }
    if (s->n + n_ids > s->limit) {
        BT_TRY(end_sequence(s, err));
        begin_sequence(s);
    }
    for (size_t i = 0; i < n_ids; i++) {
        s->n++;
        s->room->ids[s->n] = ids[i];
        s->room->labels[s->n] = i == 0 ? label : PADDING_LABEL;
    }
    return BT_OK;
}

bt_status bt_text_pack_words(const bt_text_word_packer *packer, const bt_text_word_room *room,
                             const char *words, size_t n_bytes, const void *labels, bt_error *err) {
    const char       *at = words;
    const char *const end = words + n_bytes;
    word_sequence s = {.packer = packer, .room = room, .limit = (size_t)packer->max_seq_length - 2};
    begin_sequence(&s);
    for (size_t i = 0; at < end; i++) {
        const char *const lf = memchr(at, '\n', (size_t)(end - at));
        int32_t           label = 0;
        memcpy(&label, (const char *)labels + i * sizeof label, sizeof label);
        BT_TRY(add_word(&s, at, (size_t)(lf - at), label, err));
        at = lf + 1;
    }
    return s.n == 0 ? BT_OK : end_sequence(&s, err);
}
