#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes fold_class.c, fold_from.c and fold_to.c of src/text: Unicode as tensorflow-text 2.19 knows it.

Its BertTokenizer folds case with ICU's NFKC_Casefold, whose tables there are Unicode 12.1, and
splits with RE2's classes, which are Unicode 15.0. Neither version is Python 3.11's, so two Pythons
are asked: one of version 3.8 (unicodedata 12.1.0) for folding, decomposition and combining
classes, one of 3.12 (15.0.0) for categories. Every code point was compared with the answer of the
real layer (tests/unit/text/test_text_fold.c does it again).

usage: python3.8 gen_fold.py --folding FILE          then
       python3.12 gen_fold.py FILE [REPOSITORY]
"""
import json
import os
import sys
import unicodedata

import gen_unicode

N = 0x110000
STRIDE = 16  # rows of the map between two entries of text_fold_start
# Values of enum text_kind in src/text/unicode.h.
LETTER, REMOVED, SPACE, CJK, PUNCT, MARK, MARK_STARTER, COMBINING = range(8)
IS_MAPPED, IS_FOLDED_AWAY = 8, 16  # of enum text_fold_flag in src/text/fold.h
# Default_Ignorable_Code_Point of Unicode 12.1 (DerivedCoreProperties.txt): folded to nothing.
IGNORABLE = [(0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5),
             (0x180B, 0x180E), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F),
             (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0),
             (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)]
HANGUL = range(0xAC00, 0xD7A4)  # decomposed by arithmetic, not by table


def within(c, ranges):
    return any(a <= c <= b for a, b in ranges)


def fold_once(text):
    """NFKC(toCasefold(NFKC(toCasefold(NFD(X))))) without default ignorables: NFKC_CF of UAX 31."""
    text = unicodedata.normalize('NFD', text)
    for _ in range(2):
        text = unicodedata.normalize('NFKC', text.casefold())
    return ''.join(c for c in text if not within(ord(c), IGNORABLE))


def fold(c):
    """What c becomes: folded until nothing changes, then decomposed. None: c itself."""
    before, text = None, chr(c)
    while text != before:
        before, text = text, fold_once(text)
    text = unicodedata.normalize('NFD', text)
    return None if text == chr(c) else [ord(x) for x in text]


def write_folding(path):
    """[c, combining class, targets or null] for every c where one of them says something."""
    if unicodedata.unidata_version != '12.1.0':
        sys.exit('the folding needs Python 3.8 (unicodedata 12.1.0), this one has '
                 + unicodedata.unidata_version)
    rows = []
    for c in range(N):
        if 0xD800 <= c < 0xE000 or c in HANGUL:
            continue
        targets, combining = fold(c), unicodedata.combining(chr(c))
        if targets is not None or combining != 0:
            rows.append([c, combining, targets])
    with open(path, 'w', encoding='ascii') as f:
        json.dump(rows, f)


def kind(c, combining):
    category = unicodedata.category(chr(c))
    if category in ('Cc', 'Cf') or c == 0x20:  # other white space is none to RE2's \\s
        return SPACE
    if within(c, gen_unicode.CJK_RANGES):
        return CJK
    if category[0] == 'P' or (c < 128 and 33 <= c <= 126 and not chr(c).isalnum()):
        return PUNCT
    if category == 'Mn':
        return MARK if combining != 0 else MARK_STARTER
    return COMBINING if combining != 0 else LETTER


HEAD = """/* SPDX-License-Identifier: Apache-2.0
 *
 * %s
 * Unicode 12.1 and 15.0. Made by tools/gen_unicode/gen_fold.py; do not edit. */
#include "fold.h"

/* clang-format off */
"""


def write_class(path, classes):
    blocks, index = {}, []
    for start in range(0, N, gen_unicode.BLOCK):
        block = bytes(classes[start:start + gen_unicode.BLOCK])
        index.append(blocks.setdefault(block, len(blocks)))
    assert len(blocks) < 256
    with open(path, 'w', encoding='ascii') as f:
        f.write(HEAD % 'The class of each code point: a two-stage table.')
        f.write('const uint8_t text_fold_class_index[%d] = {\n%s\n};\n\n' %
                (len(index), gen_unicode.rows(index, '%d')))
        f.write('/* class + 64, as text; the last byte of a row is the NUL of its string */\n')
        f.write('const char text_fold_class_blocks[][%d] = {\n' % (gen_unicode.BLOCK + 1))
        for block in blocks:
            text = ''.join(chr(value + 64) for value in block)
            assert '\\' not in text and '"' not in text
            f.write('\n'.join('"%s"' % text[i:i + 95] for i in range(0, len(text), 95)) + ',\n')
        f.write('};\n')
    return len(blocks)


def write_from(path, maps):
    starts, at = [], 0
    for i, (_, targets) in enumerate(maps):
        if i % STRIDE == 0:
            starts.append(at)
        at += len(targets)
    lengths = ''.join(chr(len(targets) + 64) for _, targets in maps)
    with open(path, 'w', encoding='ascii') as f:
        f.write(HEAD % 'NFKC case folding and canonical decomposition, marks (Mn) kept: what changes.')
        f.write('const int32_t text_fold_size = %d;\n\n' % len(maps))
        f.write('/* sorted */\nconst uint32_t text_fold_from[] = {\n%s\n};\n\n' %
                gen_unicode.rows([c for c, _ in maps], '%d'))
        f.write('/* how many targets + 64, as text; %d rows of the map in each */\n' % STRIDE)
        f.write('const char text_fold_length[][%d] = {\n%s\n};\n\n' %
                (STRIDE + 1, gen_unicode.rows([lengths[i:i + STRIDE]
                                               for i in range(0, len(lengths), STRIDE)], '"%s"')))
        f.write('/* the first of every %dth row in text_fold_to */\n' % STRIDE)
        f.write('const uint16_t text_fold_start[] = {\n%s\n};\n' %
                gen_unicode.rows(starts, '%d'))


def write_to(path, maps, combinings):
    pool = [c for _, targets in maps for c in targets]
    with open(path, 'w', encoding='ascii') as f:
        f.write(HEAD % 'NFKC case folding and canonical decomposition, marks (Mn) kept: the targets.')
        f.write('const uint32_t text_fold_to[] = {\n%s\n};\n\n' % gen_unicode.rows(pool, '%d'))
        f.write('/* characters of kind COMBINING (reordered, yet no Mn) and their class */\n')
        f.write('const int32_t text_fold_combining_size = %d;\n' % len(combinings))
        f.write('const struct text_combining text_fold_combining[] = {\n%s\n};\n' %
                gen_unicode.rows(combinings, '{%d, %d}'))
    return len(pool)


def main():
    if sys.argv[1:2] == ['--folding']:
        write_folding(sys.argv[2])
        return
    root = sys.argv[2] if len(sys.argv) > 2 else os.path.join(os.path.dirname(__file__), '..', '..')
    if unicodedata.unidata_version != '15.0.0':
        sys.exit('the classes need Python 3.12 (unicodedata 15.0.0), this one has '
                 + unicodedata.unidata_version)
    with open(sys.argv[1], encoding='ascii') as f:
        folding = {c: (combining, targets) for c, combining, targets in json.load(f)}
    classes, maps, combinings = bytearray(N), [], []
    for c in range(N):
        combining, targets = folding.get(c, (0, None))
        k = kind(c, combining)
        if k == COMBINING:
            combinings.append((c, combining))
        if targets == []:
            k |= IS_FOLDED_AWAY
        elif targets is not None:
            maps.append((c, targets))
            k |= IS_MAPPED
        elif c in HANGUL:
            k |= IS_MAPPED
        classes[c] = k
    growth = max(len(''.join(map(chr, t)).encode()) / len(chr(c).encode()) for c, t in maps)
    out = os.path.join(root, 'src', 'text')
    n_blocks = write_class(os.path.join(out, 'fold_class.c'), classes)
    write_from(os.path.join(out, 'fold_from.c'), maps)
    n_pool = write_to(os.path.join(out, 'fold_to.c'), maps, combinings)
    print('%d blocks, %d maps, %d targets, %d combining; at most %d targets, %.2f times the bytes' %
          (n_blocks, len(maps), n_pool, len(combinings), max(len(t) for _, t in maps), growth))


if __name__ == '__main__':
    main()
