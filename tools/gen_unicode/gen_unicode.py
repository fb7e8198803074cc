#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes src/text/unicode_{class,map,lower}.c from Python's own Unicode tables.

Model Garden's data tool runs on Python 3.11, whose tables are Unicode 14.0; a system library of
another version would call other code points punctuation or marks. The tables are therefore made
here, once, by the oracle's own str.lower(), str.isspace() and unicodedata.

usage: gen_unicode.py [REPOSITORY]    (needs Python 3.11: unicodedata 14.0.0)
"""
import os
import sys
import unicodedata

BLOCK = 256
N = 0x110000
# Values of enum text_kind in src/text/unicode.h.
LETTER, REMOVED, SPACE, CJK, PUNCT, MARK, MARK_STARTER, COMBINING = range(8)
IS_MAPPED, IS_CASED, IS_IGNORABLE = 8, 16, 32
CJK_RANGES = [(0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
              (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)]
HANGUL = range(0xAC00, 0xD7A4)  # decomposed by arithmetic, not by table
HEAD = """/* SPDX-License-Identifier: Apache-2.0
 *
 * %s
 * Unicode %s. Made by tools/gen_unicode/gen_unicode.py; do not edit. */
#include "unicode.h"

/* clang-format off */
"""


def kind(c):
    ch = chr(c)
    category = unicodedata.category(ch)
    if ch in '\t\n\r' or category == 'Zs':
        return SPACE
    if c in (0, 0xFFFD) or category in ('Cc', 'Cf'):
        return REMOVED
    if ch.isspace():  # U+2028, U+2029: not cleaned away, but split at
        return SPACE
    if any(a <= c <= b for a, b in CJK_RANGES):
        return CJK
    if category[0] == 'P' or (c < 128 and 33 <= c <= 126 and not ch.isalnum()):
        return PUNCT
    if category == 'Mn':
        return MARK_STARTER if unicodedata.combining(ch) == 0 else MARK
    return COMBINING if unicodedata.combining(ch) != 0 else LETTER


def is_cased(c):
    """Cased and not case-ignorable: what str.lower() looks for before a final sigma."""
    return (chr(c) + '\u03a3').lower()[-1] == '\u03c2'


def is_ignorable(c):
    return not is_cased(c) and ('A' + chr(c) + '\u03a3').lower()[-1] == '\u03c2'


def mapping(c):
    """NFD of the lower-cased character; None when that is the character itself."""
    text = unicodedata.normalize('NFD', chr(c).lower())
    return None if text == chr(c) else [ord(x) for x in text]


def rows(values, fmt):
    lines, line = [], ''
    for value in values:
        item = fmt % value + ','
        if len(line) + len(item) > 99:
            lines.append(line)
            line = ''
        line += item
    return '\n'.join(lines + [line])


def write_class(path, classes):
    blocks, index = {}, []
    for start in range(0, N, BLOCK):
        index.append(blocks.setdefault(bytes(classes[start:start + BLOCK]), len(blocks)))
    assert len(blocks) < 256
    with open(path, 'w', encoding='ascii') as f:
        f.write(HEAD % ('The class of each code point: a two-stage table.',
                        unicodedata.unidata_version))
        f.write('const uint8_t text_class_index[%d] = {\n%s\n};\n\n' % (len(index),
                                                                   rows(index, '%d')))
        f.write('/* class + 64, as text; the last byte of a row is the NUL of its string */\n')
        f.write('const char text_class_blocks[][%d] = {\n' % (BLOCK + 1))
        for block in blocks:
            text = ''.join(chr(value + 64) for value in block)
            assert '\\' not in text and '"' not in text and '\x7f' not in text
            parts = [text[i:i + 95] for i in range(0, BLOCK, 95)]
            f.write('\n'.join('"%s"' % part for part in parts) + ',\n')
        f.write('};\n')
    return len(blocks)


def write_map(path, maps, combining):
    pool = [c for _, targets in maps for c in targets]
    with open(path, 'w', encoding='ascii') as f:
        f.write(HEAD % ('Lower case followed by canonical decomposition, marks (Mn) kept.',
                        unicodedata.unidata_version))
        f.write('const int32_t text_map_size = %d;\n\n' % len(maps))
        f.write('/* sorted */\nconst uint32_t text_map_from[] = {\n%s\n};\n\n' %
                rows([c for c, _ in maps], '%d'))
        f.write('const uint8_t text_map_length[] = {\n%s\n};\n\n' %
                rows([len(t) for _, t in maps], '%d'))
        f.write('/* the first of every 16th row in text_map_to */\n')
        starts, at = [], 0
        for i, (_, targets) in enumerate(maps):
            if i % 16 == 0:
                starts.append(at)
            at += len(targets)
        f.write('const uint16_t text_map_start[] = {\n%s\n};\n\n' % rows(starts, '%d'))
        f.write('const uint32_t text_map_to[] = {\n%s\n};\n\n' % rows(pool, '%d'))
        f.write('/* characters of kind COMBINING (reordered, yet no Mn) and their class */\n')
        f.write('const int32_t text_combining_size = %d;\n' % len(combining))
        f.write('const struct text_combining text_combining[] = {\n%s\n};\n' %
                rows(combining, '{%d, %d}'))
    return len(pool)


def lower_runs():
    """Runs (first, last, step, lower case of the first) of characters whose lower case is one other
    character, at the same distance; step 2: upper and lower case alternate."""
    runs = []
    for c in range(N):
        text = chr(c).lower()
        if text == chr(c) or len(text) != 1:
            assert len(text) == 1 or c == 0x130  # the one that becomes two, by rule in unicode.c
            continue
        if runs:
            first, last, step, to = runs[-1]
            gap = c - last
            if ord(text) - c == to - first and (gap == step or (first == last and gap == 2)):
                runs[-1] = (first, c, gap, to)
                continue
        runs.append((c, c, 1, ord(text)))
    return runs


def word_ranges():
    """What \\w of Python's re matches: str.isalnum() and the underscore."""
    ranges = []
    for c in range(N):
        if chr(c).isalnum() or chr(c) == '_':
            if ranges and ranges[-1][1] == c - 1:
                ranges[-1] = (ranges[-1][0], c)
            else:
                ranges.append((c, c))
    return ranges


def capitals():
    """(capital, what stays of it without marks) where that is another character."""
    rows = []
    for c in range(N):
        text = chr(c)
        parts = unicodedata.normalize('NFD', text)
        if text.lower() != text and parts != text:
            base = [ord(x) for x in parts if unicodedata.category(x) != 'Mn']
            assert len(base) == 1
            rows.append((c, base[0]))
    return rows


def write_lower(path, runs, ranges, accented):
    with open(path, 'w', encoding='ascii') as f:
        f.write(HEAD % ('Lower case of single characters, and which characters make words.',
                        unicodedata.unidata_version))
        f.write('const int32_t text_lower_size = %d;\n' % len(runs))
        f.write('const uint32_t text_lower_runs[][4] = {\n%s\n};\n\n' %
                rows(runs, '{%d, %d, %d, %d}'))
        f.write('/* {capital with marks, the same without them}, sorted */\n')
        f.write('const int32_t text_capital_size = %d;\n' % len(accented))
        f.write('const uint32_t text_capitals[][2] = {\n%s\n};\n\n' % rows(accented, '{%d, %d}'))
        f.write('const int32_t text_word_size = %d;\n' % len(ranges))
        f.write('const uint32_t text_word_ranges[][2] = {\n%s\n};\n' %
                rows(ranges, '{%d, %d}'))


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..', '..')
    if unicodedata.unidata_version != '14.0.0':
        sys.exit('needs a Python whose unicodedata is 14.0.0 (3.11), this one has '
                 + unicodedata.unidata_version)
    classes, maps, combining = bytearray(N), [], []
    for c in range(N):
        targets = mapping(c)
        k = kind(c)
        flags = IS_CASED if is_cased(c) else IS_IGNORABLE if is_ignorable(c) else 0
        if k in (REMOVED, SPACE):  # never inside a word; str.lower() of a text looks across them
            flags &= ~IS_CASED
        elif targets is not None:
            flags |= IS_MAPPED
            # split at white space once, before mapping: mapping must not make new white space
            assert not any(chr(t).isspace() for t in targets)
            if c not in HANGUL:
                maps.append((c, targets))
        if k == COMBINING:
            combining.append((c, unicodedata.combining(chr(c))))
        classes[c] = k | flags
    out = os.path.join(root, 'src', 'text')
    n_blocks = write_class(os.path.join(out, 'unicode_class.c'), classes)
    n_pool = write_map(os.path.join(out, 'unicode_map.c'), maps, combining)
    runs, ranges = lower_runs(), word_ranges()
    write_lower(os.path.join(out, 'unicode_lower.c'), runs, ranges, capitals())
    print('%d blocks, %d maps, %d targets, %d combining, %d lower-case runs, %d word ranges' %
          (n_blocks, len(maps), n_pool, len(combining), len(runs), len(ranges)))


if __name__ == '__main__':
    main()
