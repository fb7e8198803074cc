/* SPDX-License-Identifier: Apache-2.0
 *
 * WordPiece (greedy longest match over the trie) and the sequences that BERT reads. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "text_internal.h"

struct bt_text_tokenizer {
    const bt_text_vocab *vocab; /* borrowed */
    const text_trie     *trie;
    int32_t              continuation; /* the node of "##", or -1 */
    int32_t              unk;
    int32_t              cls;
    int32_t              sep;
    int32_t              pad;
    bt_text_options      options;
    bt_text_rules        rules;
    uint32_t             longest_word;
    const text_added    *added; /* [n_added] of the vocabulary; by Python's rules only */
    size_t               n_added;
    bool                 begins_added[256]; /* first bytes of these, in either case */
};

static unsigned char ascii_lower(unsigned char c) {
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
}

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

static bt_status check_options(const bt_text_options *options, bt_text_rules rules, bt_error *err) {
    if (rules == BT_TEXT_TF &&
        (options->accents != BT_TEXT_ACCENTS_BY_CASE || options->chinese_joined)) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "strip_accents and tokenize_chinese_chars cannot be set where "
                       "tensorflow-text's rules make the tokens");
    }
    return BT_OK;
}

static void find_added(bt_text_tokenizer *made) {
    if (made->rules == BT_TEXT_TF) {
        return;
    }
    made->added = text_vocab_added(made->vocab, &made->n_added);
    for (size_t i = 0; i < made->n_added; i++) {
        const unsigned char c = (unsigned char)made->added[i].text[0];
        made->begins_added[c] = true;
        made->begins_added[ascii_lower(c)] = true;
        made->begins_added[c >= 'a' && c <= 'z' ? c - ('a' - 'A') : c] = true;
    }
}

bt_status bt_text_tokenizer_create(bt_text_tokenizer **out, const bt_text_vocab *vocab,
                                   bool do_lower_case, bt_error *err) {
    const bt_text_options options = {.do_lower_case = do_lower_case};
    return bt_text_tokenizer_create_as(out, vocab, &options, err);
}

bt_status bt_text_tokenizer_create_as(bt_text_tokenizer **out, const bt_text_vocab *vocab,
                                      const bt_text_options *options, bt_error *err) {
    bt_text_tokenizer made = {.vocab = vocab,
                              .trie = text_vocab_trie(vocab),
                              .options = *options,
                              .rules = text_vocab_rules(vocab),
                              .longest_word = text_vocab_longest_word(vocab)};
    BT_TRY(check_options(options, made.rules, err));
    find_added(&made);
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
                                          : word->n_codepoints > tokenizer->longest_word;
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

/* Adds the ids of all words after those that are there. */
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

static bt_status add_words(const bt_text_tokenizer *tokenizer, bt_text_scratch *s, const char *text,
                           size_t n_bytes, bt_error *err) {
    const bt_text_word *words = NULL;
    size_t              n_words = 0;
    if (tokenizer->rules == BT_TEXT_TF) {
        BT_TRY(bt_text_split_words_tf(s, text, n_bytes, tokenizer->options.do_lower_case, &words,
                                      &n_words, err));
    } else {
        BT_TRY(
            bt_text_split_words_as(s, text, n_bytes, &tokenizer->options, &words, &n_words, err));
    }
    return encode_words(tokenizer, s, words, n_words, err);
}

/* Tokens that were added to the vocabulary. */

static bool is_word_byte(char byte) {
    const unsigned char c = (unsigned char)byte;
    return c >= 0x80 || c == '_' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
           (c >= 'a' && c <= 'z');
}

static bool matches(const bt_text_tokenizer *tokenizer, const text_added *added, const char *text,
                    const char *at, const char *end) {
    const bool any_case = !added->is_raw && tokenizer->options.do_lower_case;
    if ((size_t)(end - at) < added->n) {
        return false;
    }
    for (size_t i = 0; i < added->n; i++) {
        const unsigned char a = (unsigned char)added->text[i];
        const unsigned char b = (unsigned char)at[i];
        if (any_case ? ascii_lower(a) != ascii_lower(b) : a != b) {
            return false;
        }
    }
    return !added->single_word || ((at == text || !is_word_byte(at[-1])) &&
                                   (at + added->n == end || !is_word_byte(at[added->n])));
}

/* The longest one that is at this place, or NULL. */
static const text_added *added_at(const bt_text_tokenizer *tokenizer, const char *text,
                                  const char *at, const char *end) {
    const text_added *best = NULL;
    for (size_t i = 0; i < tokenizer->n_added; i++) {
        const text_added *const added = &tokenizer->added[i];
        if ((best == NULL || added->n > best->n) && matches(tokenizer, added, text, at, end)) {
            best = added;
        }
    }
    return best;
}

static bt_status add_id(bt_text_scratch *s, int32_t id, bt_error *err) {
    BT_TRY(bt_grow(&s->ids, &s->ids_cap, s->n_ids + 1, sizeof *s->ids, SIZE_MAX / 64, err));
    s->ids[s->n_ids++] = id;
    return BT_OK;
}

static bt_status add_text(const bt_text_tokenizer *tokenizer, bt_text_scratch *s, const char *text,
                          size_t n_bytes, bt_error *err) {
    const char *const end = text + n_bytes;
    const char       *from = text; /* of what is not encoded yet */
    for (const char *at = text; tokenizer->n_added > 0 && at < end;) {
        const text_added *const added =
            tokenizer->begins_added[(unsigned char)*at] ? added_at(tokenizer, text, at, end) : NULL;
        if (added == NULL) {
            at++;
            continue;
        }
        BT_TRY(add_words(tokenizer, s, from, (size_t)(at - from), err));
        BT_TRY(add_id(s, added->id, err));
        at += added->n;
        from = at;
    }
    return add_words(tokenizer, s, from, (size_t)(end - from), err);
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
    BT_TRY(bt_text_split_words_codepoints(scratch, text, n, tokenizer->options.do_lower_case, true,
                                          &words, &n_words, err));
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

/* [CLS] and the pieces of all texts into s->ids, a gap for [SEP] after each. */
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
