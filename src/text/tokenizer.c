/* SPDX-License-Identifier: Apache-2.0
 *
 * WordPiece (greedy longest match over the trie) and the sequences that BERT reads. */
#include <string.h>

#include "text_internal.h"

struct bt_text_tokenizer {
    const bt_text_vocab *vocab; /* borrowed */
    const text_trie     *trie;
    int32_t              continuation; /* the node of "##", or -1 */
    int32_t              unk;
    int32_t              cls;
    int32_t              sep;
    int32_t              pad;
    bool                 do_lower_case;
    bt_text_rules        rules;
};

static bt_status find_special(const bt_text_vocab *vocab, const char *piece, int32_t *id,
                              bt_error *err) {
    if (!bt_text_vocab_find(vocab, piece, strlen(piece), id)) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "the vocabulary (%" PRId32 " pieces) has no %s; a BERT vocabulary needs "
                       "[CLS], [SEP] and [UNK] (and [PAD] where raw text is packed)",
                       bt_text_vocab_size(vocab), piece);
    }
    return BT_OK;
}

bt_status bt_text_tokenizer_create(bt_text_tokenizer **out, const bt_text_vocab *vocab,
                                   bool do_lower_case, bt_error *err) {
    bt_text_tokenizer made = {.vocab = vocab,
                              .trie = text_vocab_trie(vocab),
                              .do_lower_case = do_lower_case,
                              .rules = text_vocab_rules(vocab)};
    BT_TRY(find_special(vocab, "[CLS]", &made.cls, err));
    BT_TRY(find_special(vocab, "[SEP]", &made.sep, err));
    BT_TRY(find_special(vocab, "[UNK]", &made.unk, err));
    if (made.rules == BT_TEXT_TF) {
        BT_TRY(find_special(vocab, "[PAD]", &made.pad, err));
    }
    const int32_t hash = text_trie_step(made.trie, TEXT_TRIE_ROOT, '#');
    made.continuation = hash < 0 ? -1 : text_trie_step(made.trie, hash, '#');
    bt_text_tokenizer *const tokenizer = bt_alloc(sizeof *tokenizer);
    if (tokenizer == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the tokenizer");
    }
    *tokenizer = made;
    *out = tokenizer;
    return BT_OK;
}

void bt_text_tokenizer_free(bt_text_tokenizer *tokenizer) {
    bt_free(tokenizer);
}

const bt_text_vocab *bt_text_tokenizer_vocab(const bt_text_tokenizer *tokenizer) {
    return tokenizer->vocab;
}

int32_t bt_text_tokenizer_pad_id(const bt_text_tokenizer *tokenizer) {
    return tokenizer->pad;
}

static bool is_too_long(const bt_text_tokenizer *tokenizer, const bt_text_word *word) {
    return tokenizer->rules == BT_TEXT_TF ? word->n_bytes > TEXT_WORD_MAX_BYTES
                                          : word->n_codepoints > TEXT_WORD_MAX_CODEPOINTS;
}

/* Writes the pieces of one word (at most n_bytes of them); returns how many. A place that no piece
 * fits makes the whole word [UNK]. Matches end between code points because both sides are UTF-8. */
static size_t encode_word(const bt_text_tokenizer *tokenizer, const bt_text_word *word,
                          int32_t *ids) {
    const text_trie *const     trie = tokenizer->trie;
    const unsigned char *const bytes = (const unsigned char *)word->bytes;
    size_t                     n = 0;
    if (is_too_long(tokenizer, word)) {
        ids[0] = tokenizer->unk;
        return 1;
    }
    for (size_t start = 0; start < word->n_bytes;) {
        int32_t node = start == 0 ? TEXT_TRIE_ROOT : tokenizer->continuation;
        int32_t best = -1;
        size_t  best_end = start;
        for (size_t i = start; i < word->n_bytes && node >= 0; i++) {
            node = text_trie_step(trie, node, bytes[i]);
            if (node >= 0 && trie->id[node] >= 0) {
                best = trie->id[node];
                best_end = i + 1;
            }
        }
        if (best < 0) {
            ids[0] = tokenizer->unk;
            return 1;
        }
        ids[n++] = best;
        start = best_end;
    }
    return n;
}

/* Adds the ids of all words behind those that are there. */
static bt_status encode_words(const bt_text_tokenizer *tokenizer, bt_text_scratch *s,
                              const bt_text_word *words, size_t n_words, bt_error *err) {
    for (size_t i = 0; i < n_words; i++) {
        if (s->n_ids + words[i].n_bytes > s->ids_cap) {
            BT_TRY(bt_grow(&s->ids, &s->ids_cap, s->n_ids + words[i].n_bytes, sizeof *s->ids,
                           SIZE_MAX / 64, err));
        }
        s->n_ids += encode_word(tokenizer, &words[i], s->ids + s->n_ids);
    }
    return BT_OK;
}

static bt_status add_text(const bt_text_tokenizer *tokenizer, bt_text_scratch *s, const char *text,
                          size_t n_bytes, bt_error *err) {
    const bt_text_word *words = NULL;
    size_t              n_words = 0;
    if (tokenizer->rules == BT_TEXT_TF) {
        BT_TRY(bt_text_split_words_tf(s, text, n_bytes, tokenizer->do_lower_case, &words, &n_words,
                                      err));
    } else {
        BT_TRY(bt_text_split_words(s, text, n_bytes, tokenizer->do_lower_case, true, &words,
                                   &n_words, err));
    }
    return encode_words(tokenizer, s, words, n_words, err);
}

bt_status bt_text_encode(const bt_text_tokenizer *tokenizer, bt_text_scratch *scratch,
                         const char *text, size_t n_bytes, const int32_t **ids, size_t *n_ids,
                         bt_error *err) {
    scratch->n_ids = 0;
    BT_TRY(add_text(tokenizer, scratch, text, n_bytes, err));
    *ids = scratch->ids;
    *n_ids = scratch->n_ids;
    return BT_OK;
}

bt_status bt_text_encode_codepoints(const bt_text_tokenizer *tokenizer, bt_text_scratch *scratch,
                                    const uint32_t *text, size_t n, const int32_t **ids,
                                    size_t *n_ids, bt_error *err) {
    const bt_text_word *words = NULL;
    size_t              n_words = 0;
    BT_ASSERT(tokenizer->rules == BT_TEXT_PYTHON);
    scratch->n_ids = 0;
    BT_TRY(bt_text_split_words_codepoints(scratch, text, n, tokenizer->do_lower_case, true, &words,
                                          &n_words, err));
    BT_TRY(encode_words(tokenizer, scratch, words, n_words, err));
    *ids = scratch->ids;
    *n_ids = scratch->n_ids;
    return BT_OK;
}

/* The data tool's rule in closed form: pop the last piece of a while it is longer, else of b. */
static void cut_pair(size_t *n_a, size_t *n_b, size_t limit) {
    if (*n_a + *n_b <= limit) {
        return;
    }
    const size_t half = limit / 2;
    if (*n_b <= half) {
        *n_a = limit - *n_b;
    } else if (*n_a <= limit - half) {
        *n_b = limit - *n_a;
    } else {
        *n_a = limit - half; /* a keeps the odd one */
        *n_b = half;
    }
}

static bt_status check_length(int64_t max_seq_length, bool has_b, bt_error *err) {
    const int64_t least = has_b ? 3 : 2;
    if (max_seq_length < least) {
        return BT_FAIL(
            err, BT_E_CONFIG, "max_seq_length %" PRId64 " is too small: %s need at least %" PRId64,
            max_seq_length, has_b ? "two texts with [CLS], [SEP], [SEP]" : "[CLS], [SEP]", least);
    }
    return BT_OK;
}

bt_status bt_text_encode_pair(const bt_text_tokenizer *tokenizer, bt_text_scratch *scratch,
                              const char *a, size_t a_bytes, const char *b, size_t b_bytes,
                              int64_t max_seq_length, bt_text_pair *out, bt_error *err) {
    bt_text_scratch *const s = scratch;
    BT_TRY(bt_grow(&s->ids, &s->ids_cap, 1, sizeof *s->ids, SIZE_MAX / 64, err));
    s->ids[0] = tokenizer->cls;
    s->n_ids = 1;
    BT_TRY(add_text(tokenizer, s, a, a_bytes, err));
    size_t       n_a = s->n_ids - 1;
    const size_t b_start = s->n_ids;
    if (b != NULL) {
        BT_TRY(add_text(tokenizer, s, b, b_bytes, err));
    }
    size_t n_b = s->n_ids - b_start;
    BT_TRY(check_length(max_seq_length, n_b > 0, err));
    if (n_b > 0) {
        cut_pair(&n_a, &n_b, (size_t)max_seq_length - 3);
    } else if (n_a > (size_t)max_seq_length - 2) {
        n_a = (size_t)max_seq_length - 2;
    }
    const size_t n = n_a + 2 + (n_b > 0 ? n_b + 1 : 0);
    BT_TRY(bt_grow(&s->ids, &s->ids_cap, s->n_ids + 2, sizeof *s->ids, SIZE_MAX / 64, err));
    BT_TRY(bt_grow(&s->segments, &s->segments_cap, n, sizeof *s->segments, SIZE_MAX / 64, err));
    memmove(s->ids + n_a + 2, s->ids + b_start, n_b * sizeof *s->ids);
    s->ids[n_a + 1] = tokenizer->sep;
    if (n_b > 0) {
        s->ids[n - 1] = tokenizer->sep;
    }
    for (size_t i = 0; i < n; i++) {
        s->segments[i] = i < n_a + 2 ? 0 : 1;
    }
    *out = (bt_text_pair){.ids = s->ids, .segments = s->segments, .n = n};
    return BT_OK;
}

/* ---- packing as tensorflow-text does -----------------------------------------------------------
 */

/* One more piece for each text in turn, as long as there is room. */
static void keep_in_turn(size_t *kept, const size_t *lengths, size_t n_texts, size_t room) {
    bool more = true;
    memset(kept, 0, n_texts * sizeof *kept);
    while (more && room > 0) {
        more = false;
        for (size_t i = 0; i < n_texts && room > 0; i++) {
            if (kept[i] < lengths[i]) {
                kept[i]++;
                room--;
                more = true;
            }
        }
    }
}

/* [CLS] and the pieces of all texts into s->ids, a gap for [SEP] behind each. */
static bt_status encode_texts(const bt_text_tokenizer *tokenizer, bt_text_scratch *s,
                              const bt_text_span *texts, size_t n_texts, bt_error *err) {
    BT_TRY(bt_grow(&s->ids, &s->ids_cap, 1, sizeof *s->ids, SIZE_MAX / 64, err));
    s->ids[0] = tokenizer->cls;
    s->n_ids = 1;
    for (size_t i = 0; i < n_texts; i++) {
        const size_t start = s->n_ids;
        BT_TRY(add_text(tokenizer, s, texts[i].text, texts[i].n_bytes, err));
        s->lengths[i] = s->n_ids - start;
        BT_TRY(bt_grow(&s->ids, &s->ids_cap, s->n_ids + 1, sizeof *s->ids, SIZE_MAX / 64, err));
        s->n_ids++;
    }
    return BT_OK;
}

bt_status bt_text_pack(const bt_text_tokenizer *tokenizer, bt_text_scratch *scratch,
                       const bt_text_span *texts, size_t n_texts, int64_t max_seq_length,
                       bt_text_pair *out, bt_error *err) {
    bt_text_scratch *const s = scratch;
    if (max_seq_length < (int64_t)n_texts + 1) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "max_seq_length %" PRId64 " is too small: %zu texts with [CLS] and a [SEP] "
                       "each need at least %zu",
                       max_seq_length, n_texts, n_texts + 1);
    }
    BT_TRY(
        bt_grow(&s->lengths, &s->lengths_cap, 2 * n_texts, sizeof *s->lengths, SIZE_MAX / 64, err));
    BT_TRY(encode_texts(tokenizer, s, texts, n_texts, err));
    BT_TRY(
        bt_grow(&s->segments, &s->segments_cap, s->n_ids, sizeof *s->segments, SIZE_MAX / 64, err));
    size_t *const kept = s->lengths + n_texts;
    keep_in_turn(kept, s->lengths, n_texts, (size_t)max_seq_length - n_texts - 1);
    s->segments[0] = 0;
    size_t n = 1;
    size_t from = 1;
    for (size_t i = 0; i < n_texts; i++) {
        memmove(s->ids + n, s->ids + from, kept[i] * sizeof *s->ids);
        s->ids[n + kept[i]] = tokenizer->sep;
        for (size_t k = 0; k <= kept[i]; k++) {
            s->segments[n + k] = (int32_t)i;
        }
        n += kept[i] + 1;
        from += s->lengths[i] + 1;
    }
    *out = (bt_text_pair){.ids = s->ids, .segments = s->segments, .n = n};
    return BT_OK;
}
