/* SPDX-License-Identifier: Apache-2.0
 *
 * What tensorflow-text says of a code point: ICU's NFKC case folding (Unicode 12.1 in the builds
 * that Model Garden 2.19 runs on) and RE2's classes (Unicode 15.0). The tables come from
 * tools/gen_unicode/gen_fold.py. */
#ifndef BT_TEXT_FOLD_H
#define BT_TEXT_FOLD_H

#include "unicode.h"

enum {
    TEXT_FOLD_STRIDE = 16, /* rows of the map in a row of text_fold_length */
    TEXT_FOLD_MAX = 18,    /* code points that one can become: U+FDFA */
    TEXT_FOLD_GROWTH = 11, /* times the bytes: U+FDFA again */
};

/* A class is one of enum text_kind (none is TEXT_REMOVED), and one of these. */
enum text_fold_flag {
    TEXT_IS_FOLDED = 8,       /* fold.c changes it */
    TEXT_IS_FOLDED_AWAY = 16, /* default ignorable: folding leaves nothing of it */
};

extern const uint8_t               text_fold_class_index[0x1100];
extern const char                  text_fold_class_blocks[][257];
extern const int32_t               text_fold_size;
extern const uint32_t              text_fold_from[];
extern const char                  text_fold_length[][TEXT_FOLD_STRIDE + 1];
extern const uint16_t              text_fold_start[];
extern const uint32_t              text_fold_to[];
extern const int32_t               text_fold_combining_size;
extern const struct text_combining text_fold_combining[];

/* c <= TEXT_MAX_CODEPOINT */
static inline unsigned text_fold_class(uint32_t c) {
    return (unsigned char)text_fold_class_blocks[text_fold_class_index[c >> 8]][c & 255] - 64u;
}

#endif
