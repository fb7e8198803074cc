/* SPDX-License-Identifier: Apache-2.0
 *
 * Words as tensorflow-text's BasicTokenizer makes them (docs/model_garden/data.md section 2, second
 * part), in one pass.
 *
 * lower case: bytes that are not UTF-8 become U+FFFD; NFKC case folding, NFD, and marks (Mn) are
 * dropped. Canonical order needs no more memory than the combining characters since the last
 * starter, because folding then decomposing a text is folding and decomposing each character, then
 * ordering. cased: bytes stay as they are, also those that are not UTF-8.
 *
 * Then controls (Cc, Cf) and ASCII white space separate words; punctuation and CJK stand alone. */
#include "fold.h"
#include "bt/base/alloc.h"

#include "text_internal.h"

/* NFD of the folded code point, of class TEXT_IS_FOLDED; returns how many. */
static size_t fold(uint32_t c, uint32_t out[TEXT_FOLD_MAX]) {
    size_t n = text_map_hangul(c, out);
    if (n > 0) {
        return n;
    }
    const int32_t     low = text_find(text_fold_from, text_fold_size, c);
    const char *const lengths = text_fold_length[low / TEXT_FOLD_STRIDE];
    size_t            start = text_fold_start[low / TEXT_FOLD_STRIDE];
    for (int32_t i = 0; i < low % TEXT_FOLD_STRIDE; i++) {
        start += (size_t)(lengths[i] - 64);
    }
    n = (size_t)(lengths[low % TEXT_FOLD_STRIDE] - 64);
    for (size_t i = 0; i < n; i++) {
        out[i] = text_fold_to[start + i];
    }
    return n;
}

/* Canonical combining class of a code point of kind TEXT_COMBINING. */
static unsigned combining_class(uint32_t c) {
    for (int32_t i = 0; i < text_fold_combining_size; i++) {
        if (text_fold_combining[i].codepoint == c) {
            return text_fold_combining[i].combining_class;
        }
    }
    return 0;
}

/* A code point with its order among those before it decided. */
static bt_status put(bt_text_scratch *s, uint32_t c, enum text_kind kind, bt_error *err) {
    switch (kind) {
    case TEXT_SPACE:
        return text_end_word(s, err);
    case TEXT_CJK:
    case TEXT_PUNCT:
        return text_put(s, c, true, err);
    case TEXT_LETTER:
    case TEXT_COMBINING:
    case TEXT_MARK: /* of a cased text */
    case TEXT_MARK_STARTER:
    case TEXT_REMOVED:
        return text_put(s, c, false, err);
    }
    return BT_OK;
}

/* Emits the combining characters that wait in scratch->mapped. */
static bt_status flush(bt_text_scratch *s, size_t *n_waiting, bt_error *err) {
    for (size_t i = 0; i < *n_waiting; i++) {
        BT_TRY(text_put(s, s->mapped[i], false, err));
    }
    *n_waiting = 0;
    return BT_OK;
}

/* A stable sort by combining class. */
static bt_status wait_combining(bt_text_scratch *s, size_t *n_waiting, uint32_t c, bt_error *err) {
    const unsigned class_of_c = combining_class(c);
    size_t         i = *n_waiting;
    BT_TRY(bt_grow(&s->mapped, &s->mapped_cap, i + 1, sizeof *s->mapped, SIZE_MAX / 64, err));
    while (i > 0 && combining_class(s->mapped[i - 1]) > class_of_c) {
        s->mapped[i] = s->mapped[i - 1];
        i--;
    }
    s->mapped[i] = c;
    (*n_waiting)++;
    return BT_OK;
}

static bt_status put_decomposed(bt_text_scratch *s, uint32_t c, size_t *n_waiting, bt_error *err) {
    const enum text_kind kind = (enum text_kind)(text_fold_class(c) & TEXT_KIND_MASK);
    if (kind == TEXT_MARK) {
        return BT_OK;
    }
    if (kind == TEXT_COMBINING) {
        return wait_combining(s, n_waiting, c, err);
    }
    BT_TRY(flush(s, n_waiting, err));
    return kind == TEXT_MARK_STARTER ? BT_OK : put(s, c, kind, err);
}

static bt_status put_folded(bt_text_scratch *s, uint32_t c, size_t *n_waiting, bt_error *err) {
    const unsigned class_of_c = text_fold_class(c);
    if ((class_of_c & TEXT_IS_FOLDED_AWAY) != 0) {
        return BT_OK;
    }
    if ((class_of_c & TEXT_IS_FOLDED) == 0) {
        return put_decomposed(s, c, n_waiting, err);
    }
    uint32_t     targets[TEXT_FOLD_MAX];
    const size_t n = fold(c, targets);
    for (size_t i = 0; i < n; i++) {
        BT_TRY(put_decomposed(s, targets[i], n_waiting, err));
    }
    return BT_OK;
}

static bt_status put_ascii(bt_text_scratch *s, unsigned char c, bool do_lower_case, bt_error *err) {
    const bool is_upper = do_lower_case && c >= 'A' && c <= 'Z';
    return put(s, is_upper ? c + (uint32_t)('a' - 'A') : c,
               (enum text_kind)(text_fold_class(c) & TEXT_KIND_MASK), err);
}

/* What is not UTF-8: one U+FFFD for the longest beginning of a sequence, or the byte itself. */
static bt_status put_invalid(bt_text_scratch *s, const unsigned char **at, const unsigned char *end,
                             bool do_lower_case, size_t *n_waiting, bt_error *err) {
    if (do_lower_case) {
        text_skip_invalid(at, end);
        return put_decomposed(s, 0xFFFD, n_waiting, err);
    }
    s->bytes[s->n_bytes++] = (char)**at;
    s->word_codepoints++;
    (*at)++;
    return BT_OK;
}

bt_status bt_text_split_words_tf(bt_text_scratch *scratch, const char *text, size_t n_bytes,
                                 bool do_lower_case, const bt_text_word **words, size_t *n_words,
                                 bt_error *err) {
    bt_text_scratch *const     s = scratch;
    const unsigned char       *at = (const unsigned char *)text;
    const unsigned char *const end = at + n_bytes;
    size_t                     n_waiting = 0;
    BT_TRY(text_begin(s, n_bytes, do_lower_case ? TEXT_FOLD_GROWTH : 1, err));
    while (at < end) {
        const unsigned char *const start = at;
        uint32_t                   c = *at;
        if (c < 0x80) {
            BT_TRY(flush(s, &n_waiting, err));
            BT_TRY(put_ascii(s, *at++, do_lower_case, err));
        } else if (!text_read_utf8(&at, end, &c)) {
            at = start;
            BT_TRY(put_invalid(s, &at, end, do_lower_case, &n_waiting, err));
        } else if (do_lower_case) {
            BT_TRY(put_folded(s, c, &n_waiting, err));
        } else {
            BT_TRY(put(s, c, (enum text_kind)(text_fold_class(c) & TEXT_KIND_MASK), err));
        }
    }
    BT_TRY(flush(s, &n_waiting, err));
    BT_TRY(text_end_word(s, err));
    *words = s->words;
    *n_words = s->n_words;
    return BT_OK;
}
