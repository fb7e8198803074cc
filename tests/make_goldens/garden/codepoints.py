# SPDX-License-Identifier: Apache-2.0
"""Sweeps every code point (without surrogates) through the two basic tokenizers.

For each code point C the string "a" + C + "b" is tokenized; the outcome is
  removed   -> ["ab"]
  space     -> ["a","b"]
  alone     -> ["a", C, "b"]
  keep      -> ["a"+C+"b"]
  else      -> the list of tokens itself ("map")
usage: codepoints.py OUT_DIR
"""

import os, sys, json

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '2'
os.environ['CUDA_VISIBLE_DEVICES'] = '-1'
import tensorflow as tf
from official.nlp.tools import tokenization
from tensorflow_text.python.ops import bert_tokenizer

out = sys.argv[1]
CPS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def kind(c, toks):
    ch = chr(c)
    if toks == ['ab']:
        return 'removed'
    if toks == ['a', 'b']:
        return 'space'
    if toks == ['a', ch, 'b']:
        return 'alone'
    if toks == ['a' + ch + 'b']:
        return 'keep'
    return toks


def pack(it):
    ranges, maps = [], {}
    for c, k in it:
        if isinstance(k, list):
            maps['%X' % c] = k
            k = 'map'
        if ranges and ranges[-1][2] == k and ranges[-1][1] == c - 1:
            ranges[-1][1] = c
        else:
            ranges.append([c, c, k])
    return {'ranges': [['%X' % a, '%X' % b, k] for a, b, k in ranges], 'map': maps}


def dump(name, d):
    with open(os.path.join(out, name), 'w') as f:
        f.write(
            '{"ranges": [\n'
            + ',\n'.join(json.dumps(r) for r in d['ranges'])
            + '\n],\n"map": {\n'
            + ',\n'.join('%s: %s' % (json.dumps(k), json.dumps(v)) for k, v in d['map'].items())
            + '\n}}\n'
        )
    print(name, len(d['ranges']), len(d['map']), flush=True)


for lower in (True, False):
    t = tokenization.BasicTokenizer(do_lower_case=lower)
    dump(
        'codepoints_py_%s.json' % ('lower' if lower else 'cased'),
        pack((c, kind(c, t.tokenize('a' + chr(c) + 'b'))) for c in CPS),
    )
for lower in (True, False):
    t = bert_tokenizer.BasicTokenizer(lower_case=lower)

    def run():
        for i in range(0, len(CPS), 20000):
            cs = CPS[i : i + 20000]
            for c, r in zip(cs, t.tokenize(tf.constant(['a' + chr(c) + 'b' for c in cs])).to_list()):
                yield c, kind(c, [x.decode('utf-8', 'backslashreplace') for x in r])

    dump('codepoints_tftext_%s.json' % ('lower' if lower else 'cased'), pack(run()))
