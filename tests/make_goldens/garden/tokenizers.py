# SPDX-License-Identifier: Apache-2.0
"""Tokenizer goldens.

usage: tokenizers.py TEXTS.jsonl OUT_DIR SEED VOCAB_DIR name=vocab.txt ...
Writes OUT_DIR/inputs.jsonl and for every vocab and case the outputs.
"""

import os, sys, json, base64, hashlib

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '2'
os.environ['CUDA_VISIBLE_DEVICES'] = '-1'
import tensorflow as tf
from official.nlp.tools import tokenization
from official.nlp.modeling import layers

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import nasty

texts, out, seed, vdir = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
vocabs = [a.split('=') for a in sys.argv[5:]]
os.makedirs(out, exist_ok=True)
rows = []
for l in open(texts):
    x = json.loads(l)
    rows.append({'src': x['src'], 'text': x['text']})
main = seed == 1
for t in nasty.lines(seed, 160, fixed=main):
    rows.append({'src': 'nasty', 'text': t})
for b in nasty.byte_lines(seed, 30, fixed=main):
    rows.append({'src': 'nasty_bytes', 'b64': base64.b64encode(b).decode()})
with open(os.path.join(out, 'inputs.jsonl'), 'w') as f:
    for i, x in enumerate(rows):
        f.write(json.dumps({'i': i, **x}) + '\n')


def py_input(x):
    return base64.b64decode(x['b64']) if 'b64' in x else x['text']


def tf_input(x):
    if 'b64' in x:
        return base64.b64decode(x['b64'])
    try:
        return x['text'].encode('utf-8')
    except UnicodeEncodeError:
        return None  # lone surrogates can not reach tensorflow-text


for lower in (True, False):
    lc = 'lower' if lower else 'cased'
    bt = tokenization.BasicTokenizer(do_lower_case=lower)
    btn = tokenization.BasicTokenizer(do_lower_case=lower, split_on_punc=False)
    with open(os.path.join(out, 'basic_py.%s.jsonl' % lc), 'w') as f:
        for i, x in enumerate(rows):
            o = {'i': i, 'tokens': bt.tokenize(py_input(x))}
            if x['src'].startswith('nasty'):
                o['tokens_no_punc_split'] = btn.tokenize(py_input(x))
            f.write(json.dumps(o) + '\n')
meta = {'n': len(rows), 'vocabs': {}}
for name, vf in vocabs:
    path = os.path.join(vdir, vf)
    meta['vocabs'][name] = {
        'file': 'vocab/' + os.path.basename(vf),
        'sha256': hashlib.sha256(open(path, 'rb').read()).hexdigest(),
    }
    for lower in (True, False):
        lc = 'lower' if lower else 'cased'
        ft = tokenization.FullTokenizer(path, do_lower_case=lower)
        with open(os.path.join(out, 'full_py.%s.%s.jsonl' % (name, lc)), 'w') as f:
            for i, x in enumerate(rows):
                t = ft.tokenize(tokenization.convert_to_unicode(py_input(x)))
                f.write(json.dumps({'i': i, 'tokens': t, 'ids': ft.convert_tokens_to_ids(t)}) + '\n')
        bt = layers.BertTokenizer(vocab_file=path, lower_case=lower, tokenize_with_offsets=True)
        fw = layers.FastWordpieceBertTokenizer(vocab_file=path, lower_case=lower)
        idx = [i for i, x in enumerate(rows) if tf_input(x) is not None]
        ins = [tf_input(rows[i]) for i in idx]
        got, st, en, fast = [], [], [], []
        for k in range(0, len(ins), 256):
            c = tf.constant(ins[k : k + 256])
            a, s, e = bt(c)
            got += a.to_list()
            st += s.to_list()
            en += e.to_list()
            fast += fw(c).to_list()
        ndiff = 0
        with open(os.path.join(out, 'tftext.%s.%s.jsonl' % (name, lc)), 'w') as f:
            for i, g, s, e, fa in zip(idx, got, st, en, fast):
                o = {'i': i, 'ids': [y for w in g for y in w], 'words': [len(w) for w in g]}
                if rows[i]['src'].startswith('nasty'):
                    o['start'] = [y for w in s for y in w]
                    o['limit'] = [y for w in e for y in w]
                ff = [y for w in fa for y in w]
                if ff != o['ids']:
                    o['fast_ids'] = ff  # FastWordpieceBertTokenizer differs
                    ndiff += 1
                f.write(json.dumps(o) + '\n')
        meta['vocabs'][name]['fast_differs_%s' % lc] = ndiff
        print(name, lc, len(rows), 'fast differs', ndiff, flush=True)
json.dump(meta, open(os.path.join(out, 'meta.json'), 'w'), indent=1)
