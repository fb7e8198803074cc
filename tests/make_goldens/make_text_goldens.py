#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/goldens/text/: a small vocabulary and what the tokenizer must make of hard texts.

The expected values come from the rules of the data tool's tokenizer (docs/model_garden/data.md section 2) written down
here once more, in Python, on Python's own Unicode functions. With --random N SEED it prints N lines
of the same form made of random code points instead (for a longer comparison by hand).

usage: make_text_goldens.py OUT_DIR   (Python 3.11: Unicode 14.0; OUT_DIR = tests/goldens/text)
"""
import json
import os
import random
import sys
import unicodedata

PIECES = """[PAD] [UNK] [CLS] [SEP] [MASK] . , ! ? ' - ; ( ) # ##s ##ing ##ed ##er ##ly the a an cat cats
dog run ##n jump over lazy un ##aff ##able ##aff un ##a ##b ##c a b c d e ##d ##e 1 2 ##1 ##2 ##0
\u4e2d \u56fd ##\u56fd \u03c3 ##\u03c2 \u03bf ##\u03b4 ##\u03bf ##\u03c3 \u00e9t\u00e9 ete ##\u0301 \u1112 ##\u1161
##\u11ab New York new york The CAT \ufb01 ##x a\u0300 ##\u3000 \U0001f600 i ##i ##\u0307 [ ] cls sep""".split()

TEXTS = [
    '', ' ', '\t\n\r ', 'a', 'The cat jumped over the lazy dog.', 'cats running, unaffable!',
    'unaffablex', 'New York new york', '[CLS] the [SEP]', "dog's", 'a-b', '(a)#b;c', '1200 21 3',
    'a\u00a0b', 'a\u3000b\u2003c', 'a\u2028b\u2029c', 'a\u0085b', 'a\u200bb\u200dc\ufeffd',
    'a\x00b\x07c\x7fd', 'a\ufffdb', '\u00c9t\u00e9 \u00e9t\u00e9', 'e\u0301te\u0301',
    '\u4e2d\u56fd', 'a\u4e2db\u56fdc', '\uf900\u4e2d', '\U00020000a',
    '\u03a3\u039f\u0394\u039f\u03a3', '\u039f\u0394\u039f\u03a3. \u039f\u03a3!', '\u03a3', 'a\u03a3b',
    "\u039f\u03a3'", "\u039f\u03a3'\u039f", '\u039f\u0301\u03a3\u0301', '\u0130', '\u0130i', 'I\u0307',
    '\ud55c', 'a\ud55cb', '\u1e9b\u0323', '\ufb01x', '\u037e', 'a\u1fefb', '\u0340\u0341',
    'a\u0f76b', 'a\u302e\u16ff0b', 'a\u302f\u302eb', '\U0001d15e\U0001d160', 'a\u0f39\u302eb',
    'a\U00016ff0\u0301\u302eb', 'a\u302e\u0301\U00016ff0b', 'a\u302e\u034f\U00016ff0b',
    '\U0001f600', 'a\U0001f600b', 'a' * 400, 'a' * 401, 'a' * 400 + '.', '\u0301', 'a \u0301 b',
    '\u2014a\u2014', 'a\u00b7b', '$5+3=8^~`|<>', '\ue000', '\U0010ffff', '\u0378',
    '\u0345\u03a3', 'A\u0345\u03a3', '\u1fbc\u03a3\u1fbc', '\u00ad', 'a\u00adb', '\U000e0001a',
]
BYTES = [b'\xff', b'a\xffb', b'\xe2\x82a', b'\xe2\x82', b'\xf0\x9f\x98', b'\xf0\x9f\x98\xe2\x82\xac',
         b'\xc0\x80', b'\xc1\xbfa', b'\xed\xa0\x80a', b'\xed\xbf\xbf', b'\xf4\x90\x80\x80a',
         b'\xf5\x80\x80\x80', b'\xe0\x80\x80', b'\xe0\x9f\xbfb', b'\xf0\x8f\xbf\xbfc', b'\x80\x80a',
         b'th\xe9 cat', b'a\xe4\xb8\xad\xe5\x9bb', b'\xef\xbb\xbfthe', b'\xf8\x88\x80\x80\x80a',
         b'\xc3\x28', b'\xe4\xb8\xc3\xa9', b'the\xcc', b'\xcc\x81\xcc']
CJK = [(0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
       (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)]


def clean(text):
    out = []
    for ch in text:
        category = unicodedata.category(ch)
        if ch in '\t\n\r' or category == 'Zs':
            out.append(' ')
        elif ord(ch) not in (0, 0xFFFD) and category not in ('Cc', 'Cf'):
            out.append(' %s ' % ch if any(a <= ord(ch) <= b for a, b in CJK) else ch)
    return ''.join(out)


def is_punct(ch):
    c = ord(ch)
    return (33 <= c <= 47 or 58 <= c <= 64 or 91 <= c <= 96 or 123 <= c <= 126
            or unicodedata.category(ch).startswith('P'))


def basic(text, lower, split=True):
    words = []
    for word in clean(text).split():
        if lower:
            word = unicodedata.normalize('NFD', word.lower())
            word = ''.join(ch for ch in word if unicodedata.category(ch) != 'Mn')
        words.append(''.join(' %s ' % ch if split and is_punct(ch) else ch for ch in word))
    return ' '.join(words).split()


def wordpiece(word, vocab):
    pieces, start = [], 0
    if len(word) > 400:
        return [vocab['[UNK]']]
    while start < len(word):
        for end in range(len(word), start, -1):
            piece = ('##' if start else '') + word[start:end]
            if piece in vocab:
                break
        else:
            return [vocab['[UNK]']]
        pieces.append(vocab[piece])
        start = end
    return pieces


def row(raw, vocab):
    text = raw.decode('utf-8', 'ignore')
    result = {'hex': raw.hex()}
    for case, lower in (('lower', True), ('cased', False)):
        words = basic(text, lower)
        result[case] = {'words': words, 'whole': basic(text, lower, split=False),
                        'ids': [i for word in words for i in wordpiece(word, vocab)]}
    return json.dumps(result)


def random_bytes(rng):
    """Text made to hurt: marks, sigmas, Hangul, compatibility forms, broken bytes."""
    pools = [range(0x20, 0x7F), range(0x300, 0x370), range(0x370, 0x400), range(0xA0, 0x250),
             range(0xAC00, 0xD7A4), range(0x1D100, 0x1D200), range(0x900, 0x1100),
             range(0x2000, 0x2070), range(0x3000, 0x3100), range(0xF900, 0xFB50),
             range(0x1E00, 0x2000), range(0x16FE0, 0x17000), [0x3A3, 0x27, 0x2E, 0x345, 0x20, 0x302E]]
    out = b''
    for _ in range(rng.randrange(1, 30)):
        pool = pools[rng.randrange(len(pools))]
        if rng.random() < 0.05:
            out += bytes([rng.randrange(0x80, 0x100)])
        elif rng.random() < 0.05:
            c = rng.randrange(0x110000)
            out += chr(c).encode('utf-8', 'ignore')
        else:
            out += chr(pool[rng.randrange(len(pool))]).encode('utf-8')
    return out


def crc32c(data):
    """bt_crc32c: a checksum over every code point keeps the golden small."""
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
        table.append(i)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def write_characters(path):
    """str.lower(), str.isspace() and \\w of all code points that UTF-8 has, as three checksums."""
    everything = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    sums = {'lower': ''.join(ch.lower() for ch in everything).encode('utf-8'),
            'space': bytes(ch.isspace() for ch in everything),
            'word': bytes(ch.isalnum() or ch == '_' for ch in everything)}
    with open(path, 'w', encoding='ascii') as f:
        f.write(json.dumps({key: crc32c(data) for key, data in sums.items()}) + '\n')


def write_lower(path):
    """Whole texts: a sigma is final by its neighbours, soft hyphens and spaces between or not."""
    sigmas = ['\u03a3', 'A\u03a3', 'A\u03a3B', 'A\u00ad\u03a3', 'A\u03a3\u00adB', 'A \u03a3', 'A\u03a3 B',
              '\u00ad\u03a3', "A'\u03a3'", 'A\u03a3\u03a3', '1\u03a3', '\U0001d41a\u03a3',
              'A\u200b\u03a3\ufffdB', 'A\u0345\u03a3\u0345']
    rng = random.Random(11)
    texts = TEXTS + sigmas + [random_bytes(rng).decode('utf-8', 'ignore') for _ in range(40)]
    with open(path, 'w', encoding='ascii') as f:
        for text in texts:
            f.write(json.dumps([text, text.lower()]) + '\n')


def main():
    if unicodedata.unidata_version != '14.0.0':
        sys.exit('needs Python 3.11 (unicodedata 14.0.0)')
    vocab = {piece: i for i, piece in enumerate(PIECES)}
    if sys.argv[1] == '--random':
        rng = random.Random(int(sys.argv[3]))
        for _ in range(int(sys.argv[2])):
            print(row(random_bytes(rng), vocab))
        return
    out = sys.argv[1]
    with open(os.path.join(out, 'vocab.txt'), 'w', encoding='utf-8') as f:
        f.write('\n'.join(PIECES) + '\n')
    with open(os.path.join(out, 'tokens.jsonl'), 'w', encoding='ascii') as f:
        for raw in [text.encode('utf-8') for text in TEXTS] + BYTES:
            f.write(row(raw, vocab) + '\n')
    write_characters(os.path.join(out, 'characters.json'))
    write_lower(os.path.join(out, 'lower.jsonl'))


if __name__ == '__main__':
    main()
