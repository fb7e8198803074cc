#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/goldens/text/*_tf.*: what tensorflow-text's BertTokenizer and BertPackInputs make of
the hard texts of make_text_goldens.py. With --random N SEED the tokens are of N random texts (for
a longer comparison by hand: BT_TEXT_TF_RANDOM=FILE test_text_tf).

usage: make_text_tf_goldens.py OUT_DIR [--random N SEED]   (tensorflow-text and tf-models-official
                                                 2.19; OUT_DIR = tests/goldens/text)
"""
import json
import os
import random
import sys

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
os.environ['CUDA_VISIBLE_DEVICES'] = '-1'
# pylint: disable=wrong-import-position
import tensorflow as tf
from tensorflow_text.python.ops import bert_tokenizer
from official.nlp.modeling import layers

import make_text_goldens

TEXTS = make_text_goldens.TEXTS + [
    'a' * 100, 'a' * 101, '\u00e9' * 50, '\u00e9' * 51, 'e' * 60 + '\u0301' * 60, 'Stra\u00dfe',
    '\ufb01x \u00bd', '\uff34\uff48\uff45', 'a\u2026b', 'a\u1680b', 'a\u202fb', 'a\u3000b', 'a\u00adb',
    'ma\u0301\u0323n\u0303', '\u1e9e\u017f', '\ufdfa', 'a\u302f\u0301\u302eb', '\U0001d15f\U0001d16d\U0001d165z',
    'a\U00016ff0\u302eb', '\ua7c7\ua7f2', '\u0ece', '\u13a0\uab70', '\u212b\u00c5A\u030a']
BYTES = make_text_goldens.BYTES + [b'a\xe2\x82', b'\xf0\x9f\x98z', b'A\xccB', b'x\xe3\x80\xaeB\xff\xcc\xa3']
PACKS = [(['the cat', 'un a b c'], 16), (['the cat jumped over the lazy dog', 'a b'], 8),
         (['a', 'the cat jumped over the lazy dog'], 8), (['the a b c d', 'a b c d e'], 9),
         (['the a b c d', 'a b c d e'], 10), (['', 'a b'], 8), (['a b', ''], 8), (['', ''], 5),
         (['a b c', 'd e a', 'b c d'], 10), (['a b c', 'd', 'b c d e'], 10), (['a b c d e'], 4),
         (['a b c d e'], 2), (['a', 'b', 'c'], 4)]


def words_of(tokenizer, raw):
    return [word.hex() for word in tokenizer.tokenize(tf.constant([raw])).to_list()[0]]


def main():
    out = sys.argv[1]
    path = os.path.join(out, 'vocab_tf.txt')
    with open(path, 'w', encoding='utf-8') as f:
        f.write('\n'.join(dict.fromkeys(make_text_goldens.PIECES)) + '\n')
    if sys.argv[2:3] == ['--random']:
        rng = random.Random(int(sys.argv[4]))
        raws = [make_text_goldens.random_bytes(rng) for _ in range(int(sys.argv[3]))]
    else:
        raws = [text.encode('utf-8') for text in TEXTS] + BYTES
    ids = {case: layers.BertTokenizer(vocab_file=path, lower_case=case == 'lower')
           for case in ('lower', 'cased')}
    words = {case: bert_tokenizer.BasicTokenizer(lower_case=case == 'lower')
             for case in ('lower', 'cased')}
    with open(os.path.join(out, 'tokens_tf.jsonl'), 'w', encoding='ascii') as f:
        for raw in raws:
            row = {'hex': raw.hex()}
            for case in ('lower', 'cased'):
                pieces = ids[case](tf.constant([raw])).merge_dims(1, 2).to_list()[0]
                row[case] = {'words': words_of(words[case], raw), 'ids': pieces}
            f.write(json.dumps(row) + '\n')
    with open(os.path.join(out, 'packs_tf.jsonl'), 'w', encoding='ascii') as f:
        for texts, seq_length in PACKS:
            pack = layers.BertPackInputs(seq_length=seq_length,
                                         special_tokens_dict=ids['lower'].get_special_tokens_dict())
            packed = pack([ids['lower'](tf.constant([text])) for text in texts])
            row = {'texts': texts, 'seq_length': seq_length}
            row.update({key: packed[name].numpy()[0].tolist() for key, name in (
                ('ids', 'input_word_ids'), ('mask', 'input_mask'), ('types', 'input_type_ids'))})
            f.write(json.dumps(row) + '\n')


if __name__ == '__main__':
    main()
