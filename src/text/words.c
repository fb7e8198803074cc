/* SPDX-License-Identifier: Apache-2.0
 *
 * The basic tokenizer (docs/model_garden/data.md section 2, steps 1 to 6) in one pass over the
 * text.
 *
 * Nearly all text is ASCII, where every step works on one byte alone. A word (what is between
 * white space) with any other byte is done again from its beginning, code point by code point: the
 * final sigma and the canonical order of combining characters depend on neighbours in the word. */
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/size.h"
#include "text_internal.h"
#include "unicode.h"

enum {
    /* No UTF-8 grows more than threefold: a Hangul syllable of 3 bytes becomes 3 letters of 3, a
     * musical note of 4 bytes 3 signs of 4. */
    GROWTH = 3,
    GROWTH_CODEPOINT = 12,
};

typedef struct splitter {
    bt_text_scratch *scratch;
    bool             do_lower_case;
    bool             split_on_punc;
    bool             keeps_accents;  /* lower case without decomposition */
    bool             strips_alone;   /* no lower case, but accents are taken off */
    bool             chinese_joined; /* Chinese characters are letters */
} splitter;

/* Emitting: append to the word, end the word. */

bt_status text_end_word(bt_text_scratch *s, bt_error *err) {
    if (s->word_codepoints == 0) {
        return BT_OK;
    }
    if (s->n_words == s->words_cap) {
        BT_TRY(bt_grow(&s->words, &s->words_cap, s->n_words + 1, sizeof *s->words, SIZE_MAX / 64,
                       err));
    }
    s->words[s->n_words++] = (bt_text_word){.bytes = s->bytes + s->word_start,
                                            .n_bytes = s->n_bytes - s->word_start,
                                            .n_codepoints = s->word_codepoints};
    s->word_start = s->n_bytes;
    s->word_codepoints = 0;
    return BT_OK;
}

bt_status text_put(bt_text_scratch *s, uint32_t c, bool is_alone, bt_error *err) {
    if (is_alone) {
        BT_TRY(text_end_word(s, err));
    }
    s->n_bytes += text_write_utf8(s->bytes + s->n_bytes, c);
    s->word_codepoints++;
    return is_alone ? text_end_word(s, err) : BT_OK;
}

static bt_status emit(const splitter *split, uint32_t c, bool is_punct, bt_error *err) {
    return text_put(split->scratch, c, is_punct && split->split_on_punc, err);
}

/* A word with other than ASCII characters. */

/* The word after lower(), NFD and without Mn, as it is being made. */
typedef struct mapped_word {
    uint32_t *codepoints;
    size_t    n;
    size_t    run_start; /* canonical order does not reach before this place */
} mapped_word;

/* Canonical ordering is a stable sort by combining class within a run of characters that have one.
 * Mn take part in it only to vanish, so the others can be sorted without them. */
static void insert_combining(mapped_word *word, uint32_t c) {
    const unsigned class_of_c = text_combining_class(c);
    size_t         i = word->n++;
    while (i > word->run_start && text_combining_class(word->codepoints[i - 1]) > class_of_c) {
        word->codepoints[i] = word->codepoints[i - 1];
        i--;
    }
    word->codepoints[i] = c;
}

static void append_decomposed(mapped_word *word, uint32_t c) {
    switch ((enum text_kind)(text_class(c) & TEXT_KIND_MASK)) {
    case TEXT_MARK:
        return;
    case TEXT_MARK_STARTER:
        word->run_start = word->n;
        return;
    case TEXT_COMBINING:
        insert_combining(word, c);
        return;
    case TEXT_LETTER:
    case TEXT_REMOVED:
    case TEXT_SPACE:
    case TEXT_CJK:
    case TEXT_PUNCT:
        word->codepoints[word->n++] = c;
        word->run_start = word->n;
        return;
    }
}

/* Decomposes word[n] into scratch->mapped; lower-cases it before, or leaves capitals what they are.
 */
static bt_status map_word(bt_text_scratch *s, const uint32_t *word, size_t n, bool keeps_case,
                          size_t *n_mapped, bt_error *err) {
    BT_TRY(bt_grow(&s->mapped, &s->mapped_cap, n * TEXT_MAP_MAX, sizeof *s->mapped, SIZE_MAX / 64,
                   err));
    mapped_word out = {.codepoints = s->mapped};
    for (size_t i = 0; i < n; i++) {
        const uint32_t c = word[i];
        uint32_t       capital = 0;
        if (keeps_case && text_strip_capital(c, &capital)) {
            append_decomposed(&out, capital);
        } else if (c == TEXT_SIGMA) {
            append_decomposed(&out, text_is_final_sigma(word, n, i) ? TEXT_FINAL_SIGMA
                                                                    : TEXT_SMALL_SIGMA);
        } else if ((text_class(c) & TEXT_IS_MAPPED) == 0) {
            append_decomposed(&out, c);
        } else {
            uint32_t     targets[TEXT_MAP_MAX];
            const size_t n_targets = text_map(c, targets);
            for (size_t k = 0; k < n_targets; k++) {
                append_decomposed(&out, targets[k]);
            }
        }
    }
    *n_mapped = out.n;
    return BT_OK;
}

/* Lower-cases word[n] into scratch->mapped, composed as it is. */
static bt_status lower_word(bt_text_scratch *s, const uint32_t *word, size_t n, size_t *n_mapped,
                            bt_error *err) {
    BT_TRY(bt_grow(&s->mapped, &s->mapped_cap, n * TEXT_MAP_MAX, sizeof *s->mapped, SIZE_MAX / 64,
                   err));
    *n_mapped = 0;
    for (size_t i = 0; i < n; i++) {
        *n_mapped += text_lower_at(word, n, i, s->mapped + *n_mapped);
    }
    return BT_OK;
}

static bt_status emit_word(const splitter *split, const uint32_t *word, size_t n, bt_error *err) {
    if (n == 0) {
        return BT_OK;
    }
    if (split->do_lower_case || split->strips_alone) {
        BT_TRY(split->keeps_accents
                   ? lower_word(split->scratch, word, n, &n, err)
                   : map_word(split->scratch, word, n, split->strips_alone, &n, err));
        word = split->scratch->mapped;
    }
    for (size_t i = 0; i < n; i++) {
        const bool is_punct = (text_class(word[i]) & TEXT_KIND_MASK) == TEXT_PUNCT;
        BT_TRY(emit(split, word[i], is_punct, err));
    }
    return text_end_word(split->scratch, err);
}

/* Adds c to the word that is being gathered; *ended when c ended one. */
static bt_status gather(const splitter *split, uint32_t c, bool *ended, bt_error *err) {
    bt_text_scratch *const s = split->scratch;
    const unsigned         kind = text_class(c) & TEXT_KIND_MASK;
    if (kind == TEXT_REMOVED) {
        return BT_OK;
    }
    if (kind != TEXT_SPACE && (kind != TEXT_CJK || split->chinese_joined)) {
        s->codepoints[s->n_codepoints++] = c;
        return BT_OK;
    }
    *ended = true;
    const size_t n = s->n_codepoints;
    s->n_codepoints = 0;
    BT_TRY(emit_word(split, s->codepoints, n, err));
    return kind == TEXT_CJK ? emit_word(split, &c, 1, err) : BT_OK;
}

/* From the beginning of a word to its end; *at moves after it. */
static bt_status split_word_slowly(const splitter *split, const unsigned char **at,
                                   const unsigned char *end, bt_error *err) {
    bt_text_scratch *const s = split->scratch;
    bool                   ended = false;
    BT_TRY(bt_grow(&s->codepoints, &s->codepoints_cap, (size_t)(end - *at), sizeof *s->codepoints,
                   SIZE_MAX / 64, err));
    s->n_codepoints = 0;
    while (*at < end && !ended) {
        uint32_t c = 0;
        if (text_read_utf8(at, end, &c)) {
            BT_TRY(gather(split, c, &ended, err));
        }
    }
    return ended ? BT_OK : emit_word(split, s->codepoints, s->n_codepoints, err);
}

bt_status text_begin(bt_text_scratch *s, size_t n, size_t growth, bt_error *err) {
    size_t need = 0;
    if (!bt_size_mul(n + 1, growth, &need)) {
        return BT_FAIL(err, BT_E_NOMEM, "a text of %zu characters is too long", n);
    }
    BT_TRY(bt_grow(&s->bytes, &s->bytes_cap, need, 1, SIZE_MAX / 2, err));
    s->n_bytes = 0;
    s->n_words = 0;
    s->word_start = 0;
    s->word_codepoints = 0;
    return BT_OK;
}

/* One ASCII word; *at ends after it, or at the first byte that is not ASCII. */
static bt_status split_ascii(const splitter *split, const unsigned char **at,
                             const unsigned char *end, bt_error *err) {
    bt_text_scratch *const s = split->scratch;
    for (; *at < end && **at < 0x80; (*at)++) {
        const unsigned char c = **at;
        const unsigned      kind = text_class(c) & TEXT_KIND_MASK;
        if (kind == TEXT_LETTER) {
            const bool is_upper = split->do_lower_case && c >= 'A' && c <= 'Z';
            s->bytes[s->n_bytes++] = (char)(is_upper ? c + ('a' - 'A') : c);
            s->word_codepoints++;
        } else if (kind == TEXT_SPACE) {
            (*at)++;
            return text_end_word(s, err);
        } else if (kind == TEXT_PUNCT) {
            BT_TRY(emit(split, c, true, err));
        }
    }
    return *at == end ? text_end_word(s, err) : BT_OK;
}

static bt_status split_text(const splitter *split, const char *text, size_t n_bytes,
                            const bt_text_word **words, size_t *n_words, bt_error *err) {
    bt_text_scratch *const     s = split->scratch;
    const unsigned char       *at = (const unsigned char *)text;
    const unsigned char *const end = at + n_bytes;
    BT_TRY(text_begin(s, n_bytes, GROWTH, err));
    while (at < end) {
        const unsigned char *const word = at;
        const size_t               n_words_before = s->n_words;
        const size_t               n_bytes_before = s->n_bytes;
        BT_TRY(split_ascii(split, &at, end, err));
        if (at < end && *at >= 0x80) {
            at = word; /* take back what was made of this word */
            s->n_words = n_words_before;
            s->n_bytes = n_bytes_before;
            s->word_start = n_bytes_before;
            s->word_codepoints = 0;
            BT_TRY(split_word_slowly(split, &at, end, err));
        }
    }
    *words = s->words;
    *n_words = s->n_words;
    return BT_OK;
}

bt_status bt_text_split_words(bt_text_scratch *scratch, const char *text, size_t n_bytes,
                              bool do_lower_case, bool split_on_punc, const bt_text_word **words,
                              size_t *n_words, bt_error *err) {
    const splitter split = {
        .scratch = scratch, .do_lower_case = do_lower_case, .split_on_punc = split_on_punc};
    return split_text(&split, text, n_bytes, words, n_words, err);
}

bt_status bt_text_split_words_as(bt_text_scratch *scratch, const char *text, size_t n_bytes,
                                 const bt_text_options *options, const bt_text_word **words,
                                 size_t *n_words, bt_error *err) {
    const splitter split = {.scratch = scratch,
                            .do_lower_case = options->do_lower_case,
                            .split_on_punc = true,
                            .keeps_accents = options->accents == BT_TEXT_ACCENTS_KEPT,
                            .strips_alone = !options->do_lower_case &&
                                            options->accents == BT_TEXT_ACCENTS_STRIPPED,
                            .chinese_joined = options->chinese_joined};
    return split_text(&split, text, n_bytes, words, n_words, err);
}

bt_status bt_text_split_words_codepoints(bt_text_scratch *scratch, const uint32_t *text, size_t n,
                                         bool do_lower_case, bool split_on_punc,
                                         const bt_text_word **words, size_t *n_words,
                                         bt_error *err) {
    bt_text_scratch *const s = scratch;
    const splitter         split = {
                .scratch = scratch, .do_lower_case = do_lower_case, .split_on_punc = split_on_punc};
    bool ended = false;
    BT_TRY(text_begin(s, n, GROWTH_CODEPOINT, err));
    BT_TRY(bt_grow(&s->codepoints, &s->codepoints_cap, n + 1, sizeof *s->codepoints, SIZE_MAX / 64,
                   err));
    s->n_codepoints = 0;
    for (size_t i = 0; i < n; i++) {
        BT_ASSERT(text[i] <= TEXT_MAX_CODEPOINT);
        BT_TRY(gather(&split, text[i], &ended, err));
    }
    BT_TRY(emit_word(&split, s->codepoints, s->n_codepoints, err));
    *words = s->words;
    *n_words = s->n_words;
    return BT_OK;
}

bt_status bt_text_scratch_create(bt_text_scratch **out, bt_error *err) {
    bt_text_scratch *const s = bt_calloc_array(1, sizeof *s);
    if (s == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the tokenizer");
    }
    *out = s;
    return BT_OK;
}

void bt_text_scratch_free(bt_text_scratch *scratch) {
    if (scratch != NULL) {
        bt_free(scratch->bytes);
        bt_free(scratch->words);
        bt_free(scratch->codepoints);
        bt_free(scratch->mapped);
        bt_free(scratch->ids);
        bt_free(scratch->segments);
        bt_free(scratch->lengths);
        bt_free(scratch);
    }
}
