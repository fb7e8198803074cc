/* SPDX-License-Identifier: Apache-2.0
 *
 * What Python 3.11 (Unicode 14.0) says of a code point, as far as the tokenizer asks: its kind in
 * the basic tokenizer, whether lower-casing plus canonical decomposition changes it, and what the
 * rule for a final sigma needs. The tables come from tools/gen_unicode/gen_unicode.py. */
#ifndef BT_TEXT_UNICODE_H
#define BT_TEXT_UNICODE_H

#include "bt/base/compiler.h"

enum {
    TEXT_MAX_CODEPOINT = 0x10FFFF,
    TEXT_MAP_MAX = 4, /* code points that one can become */
    TEXT_SIGMA = 0x3A3,
    TEXT_SMALL_SIGMA = 0x3C3,
    TEXT_FINAL_SIGMA = 0x3C2,
};

/* The low three bits of a class. */
enum text_kind {
    TEXT_LETTER,       /* anything that is none of the others */
    TEXT_REMOVED,      /* NUL, U+FFFD, Cc, Cf: dropped before anything else */
    TEXT_SPACE,        /* separates words */
    TEXT_CJK,          /* a word of its own */
    TEXT_PUNCT,        /* a token of its own */
    TEXT_MARK,         /* Mn with a combining class: dropped when lower-casing */
    TEXT_MARK_STARTER, /* Mn with class 0: dropped too, but nothing is reordered across it */
    TEXT_COMBINING,    /* has a combining class, yet stays: may have to be reordered */
};
enum {
    TEXT_KIND_MASK = 7,
    TEXT_IS_MAPPED = 8,     /* text_map changes it */
    TEXT_IS_CASED = 16,     /* Cased and not Case_Ignorable */
    TEXT_IS_IGNORABLE = 32, /* Case_Ignorable */
};

extern const uint8_t  text_class_index[0x1100];
extern const char     text_class_blocks[][257];
extern const int32_t  text_map_size;
extern const uint32_t text_map_from[];
extern const uint8_t  text_map_length[];
extern const uint16_t text_map_start[];
extern const uint32_t text_map_to[];

struct text_combining {
    uint32_t codepoint;
    uint8_t  combining_class;
};
extern const int32_t               text_combining_size;
extern const struct text_combining text_combining[];

/* {first, last, step, to}: first, first + step ... last; the first becomes `to`, each other the one
 * that lies as far from it. Sorted. */
extern const int32_t  text_lower_size;
extern const uint32_t text_lower_runs[][4];
/* {capital with marks, the same without them}, sorted; other capitals have none. */
extern const int32_t  text_capital_size;
extern const uint32_t text_capitals[][2];
/* {first, last}, sorted */
extern const int32_t  text_word_size;
extern const uint32_t text_word_ranges[][2];

/* c <= TEXT_MAX_CODEPOINT */
static inline unsigned text_class(uint32_t c) {
    return (unsigned char)text_class_blocks[text_class_index[c >> 8]][c & 255] - 64u;
}

/* NFD of the lower-cased code point, of class TEXT_IS_MAPPED; returns how many. */
size_t text_map(uint32_t c, uint32_t out[TEXT_MAP_MAX]);

/* The two or three letters of a Hangul syllable; 0: c is none. */
size_t text_map_hangul(uint32_t c, uint32_t out[TEXT_MAP_MAX]);
/* Where c, which must be there, is among from[n], which ascend. */
int32_t text_find(const uint32_t *from, int32_t n, uint32_t c);

/* Canonical combining class of a code point of kind TEXT_COMBINING. */
unsigned text_combining_class(uint32_t c);

/* str.lower()'s rule for a capital sigma at word[i]: a cased letter before (case-ignorable ones
 * skipped), and none after. */
bool text_is_final_sigma(const uint32_t *word, size_t n, size_t i);

/* str.isspace(): what str.strip() takes away. */
bool text_is_python_space(uint32_t c);

/* Reads one code point from *at (before end) if the bytes are valid UTF-8: true, *at moved after
 * it. Else false and *at is moved one byte on: doing so until a code point comes drops exactly what
 * Python's 'ignore' handler drops, because what follows the first bad byte of a sequence cannot
 * begin another. */
bool text_read_utf8(const unsigned char **at, const unsigned char *end, uint32_t *c);

/* *at is where no valid sequence begins: moves it after what one U+FFFD stands for, the longest
 * beginning of a sequence or one byte (Unicode 14.0, table 3-8). */
void text_skip_invalid(const unsigned char **at, const unsigned char *end);

/* UTF-8 of c (surrogates as three bytes); returns how many bytes. */
size_t text_write_utf8(char out[4], uint32_t c);

#endif
