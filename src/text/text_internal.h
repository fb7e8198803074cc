/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the text room share: the trie of all pieces, and a thread's scratch memory. */
#ifndef BT_TEXT_INTERNAL_H
#define BT_TEXT_INTERNAL_H

#include "bt/text.h"

enum {
    TEXT_WORD_MAX_CODEPOINTS = 400, /* a longer word is [UNK] */
    TEXT_WORD_MAX_BYTES = 100,      /* the same by the rules of tensorflow-text */
    TEXT_PIECE_MAX_BYTES = 4 * TEXT_WORD_MAX_CODEPOINTS + 2, /* a longer piece can never match */
};

/* Trie: bytes -> id, as a double array. */

typedef struct text_piece {
    const char *bytes;
    uint32_t    n_bytes;
    int32_t     id;
} text_piece;

/* From node s, byte c leads to t = base[s] + c if check[t] == s. */
typedef struct text_trie {
    int32_t *base;
    int32_t *check; /* TEXT_TRIE_FREE, or the parent */
    int32_t *id;    /* of the piece that ends here, or -1 */
    size_t   n;     /* 256 more than the largest base: look-ups need no bounds check */
} text_trie;
enum { TEXT_TRIE_ROOT = 0, TEXT_TRIE_FREE = -1 };

/* pieces: sorted by bytes, all different; those longer than TEXT_PIECE_MAX_BYTES are left out. */
bt_status text_trie_build(text_trie *trie, const text_piece *pieces, size_t n, bt_error *err);
void      text_trie_deinit(text_trie *trie);

/* -1: no such child */
static inline int32_t text_trie_step(const text_trie *trie, int32_t node, unsigned char c) {
    const int32_t next = trie->base[node] + c;
    return trie->check[next] == node ? next : -1;
}

/* A token that was added to a vocabulary: found in the text as it stands, before words are. */
typedef struct text_added {
    char   *text; /* owned */
    size_t  n;
    int32_t id;
    bool    is_raw;      /* else what is lower-cased is compared in lower case */
    bool    single_word; /* only between characters that are not part of a word */
} text_added;

/* Borrowed from the vocabulary. */
const text_added *text_vocab_added(const bt_text_vocab *vocab, size_t *n);
uint32_t          text_vocab_longest_word(const bt_text_vocab *vocab); /* in code points */
const text_trie  *text_vocab_trie(const bt_text_vocab *vocab);
bt_text_rules     text_vocab_rules(const bt_text_vocab *vocab);

/* Scratch. */

struct bt_text_scratch {
    char         *bytes; /* of the words; reserved before a text is read, so it never moves */
    size_t        bytes_cap;
    size_t        n_bytes;
    bt_text_word *words;
    size_t        words_cap;
    size_t        n_words;
    size_t        word_start; /* in bytes: where the word being built begins */
    size_t        word_codepoints;
    uint32_t     *codepoints; /* of one word, as it is in the text */
    size_t        codepoints_cap;
    size_t        n_codepoints;
    uint32_t     *mapped; /* the same, lower-cased and decomposed */
    size_t        mapped_cap;
    int32_t      *ids; /* [n_ids]; after encode_pair: ids, then segments */
    size_t        ids_cap;
    size_t        n_ids;
    int32_t      *segments;
    size_t        segments_cap;
    size_t       *lengths; /* of the texts that are packed */
    size_t        lengths_cap;
};

/* str.lower() of text[i], one or two code points; a capital sigma looks at its neighbours. */
size_t text_lower_at(const uint32_t *text, size_t n, size_t i, uint32_t out[2]);

/* A letter that str.lower() changes: true, and what stays of it without marks, still a capital. */
bool text_strip_capital(uint32_t c, uint32_t *base);

/* Words being built in scratch. */

/* Room for a text of n characters or bytes that grow at most so many times. */
bt_status text_begin(bt_text_scratch *s, size_t n, size_t growth, bt_error *err);
/* Appends to the word; is_alone: as a word of its own. */
bt_status text_put(bt_text_scratch *s, uint32_t c, bool is_alone, bt_error *err);
bt_status text_end_word(bt_text_scratch *s, bt_error *err);

#endif
