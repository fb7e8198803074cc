#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/goldens/data/: the same rows of text as TFRecords, TSV, CSV and JSON lines, and what
Model Garden makes of them: its raw-text loader (rules tf), and its data tool's conversion (rules
python) of every row.

usage: make_data_text_goldens.py OUT_DIR   (tensorflow-text and tf-models-official 2.19;
                                            OUT_DIR = tests/goldens/data)
"""
import csv
import json
import os
import sys

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
os.environ['CUDA_VISIBLE_DEVICES'] = '-1'
# pylint: disable=wrong-import-position
import tensorflow as tf
from official.nlp.data import classifier_data_lib, sentence_prediction_dataloader
from official.nlp.tools import tokenization

VOCAB = os.path.join(os.path.dirname(__file__), '..', 'goldens', 'text', 'vocab_tf.txt')
NAMES = ['contradiction', 'entailment', 'neutral']
# text a, text b, label: no tabs and no line ends, which TSV cannot hold
ROWS = [
    ('The cat jumped over the lazy dog.', 'a cat run', 1),
    ('cats running, unaffable!', 'un "a" b', 0),
    ('', 'a b c', 2),
    ('a b c', '', 1),
    ('\u00c9t\u00e9 \u4e2d\u56fd \u03a3\u039f\u0394\u039f\u03a3', 'New York; new york', 0),
    ('a\u00adb a\u200bb a\u3000b \ufb01x', '"quoted, twice"', 2),
    ('the a b c d e the a b c d e the a b c d e', 'the cat the cat the cat the cat', 1),
    ('a', 'the a b c d e the a b c d e the a b c d e', 0),
    ('1200 21 3', 'dog\'s (a)#b;c', 2),
    ("a\\tb \\n 'c'", 'i\u0307 \u0130', 1),
    ('un', 'un', 0),
]
CASES = [
    {'name': 'pair', 'fields': ['text_a', 'text_b'], 'seq_length': 24, 'lower_case': True},
    {'name': 'pair_cased', 'fields': ['text_a', 'text_b'], 'seq_length': 24, 'lower_case': False},
    {'name': 'short', 'fields': ['text_a', 'text_b'], 'seq_length': 8, 'lower_case': True},
    {'name': 'single', 'fields': ['text_b'], 'seq_length': 12, 'lower_case': True},
]


def feature(value):
    if isinstance(value, int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode('utf-8')]))


def write_inputs(out):
    with tf.io.TFRecordWriter(os.path.join(out, 'rows.tfrecord')) as writer:
        for i, (a, b, label) in enumerate(ROWS):
            example = tf.train.Example(features=tf.train.Features(feature={
                'text_a': feature(a), 'text_b': feature(b), 'label': feature(label),
                'example_id': feature(i)}))
            writer.write(example.SerializeToString(deterministic=True))
    with open(os.path.join(out, 'rows.tsv'), 'w', encoding='utf-8', newline='') as f:
        f.write('text_b\tid\ttext_a\tlabel\n')
        f.writelines('%s\t%d\t%s\t%s\n' % (b, i, a, NAMES[n]) for i, (a, b, n) in enumerate(ROWS))
    with open(os.path.join(out, 'rows.csv'), 'w', encoding='utf-8', newline='') as f:
        writer = csv.writer(f, lineterminator='\r\n')
        writer.writerow(['text_a', 'text_b', 'label'])
        writer.writerows(ROWS)
    with open(os.path.join(out, 'rows.jsonl'), 'w', encoding='utf-8') as f:
        for i, (a, b, n) in enumerate(ROWS):
            row = {'label': NAMES[n], 'text_a': a, 'extra': [i], 'text_b': b}
            f.write(json.dumps(row, ensure_ascii=i % 2 == 0) + '\n')


def by_loader(out, case):
    config = sentence_prediction_dataloader.SentencePredictionTextDataConfig(
        input_path=os.path.join(out, 'rows.tfrecord'), text_fields=case['fields'],
        vocab_file=VOCAB, lower_case=case['lower_case'], seq_length=case['seq_length'],
        is_training=False, drop_remainder=False, global_batch_size=4)
    batches = list(sentence_prediction_dataloader.SentencePredictionTextDataLoader(config).load())
    keys = {'ids': 'input_word_ids', 'mask': 'input_mask', 'types': 'input_type_ids',
            'labels': 'label'}
    return {key: [row for batch in batches for row in batch[name].numpy().tolist()]
            for key, name in keys.items()}


def by_tool(case):
    tokenizer = tokenization.FullTokenizer(vocab_file=VOCAB, do_lower_case=case['lower_case'])
    result = {'ids': [], 'mask': [], 'types': [], 'labels': []}
    for i, (a, b, label) in enumerate(ROWS):
        texts = [{'text_a': a, 'text_b': b}[field] for field in case['fields']] + [None]
        example = classifier_data_lib.InputExample(guid=str(i), text_a=texts[0], text_b=texts[1],
                                                   label=label)
        row = classifier_data_lib.convert_single_example(
            i, example, list(range(len(NAMES))), case['seq_length'], tokenizer)
        result['ids'].append(row.input_ids)
        result['mask'].append(row.input_mask)
        result['types'].append(row.segment_ids)
        result['labels'].append(row.label_id)
    return result


def main():
    out = sys.argv[1]
    write_inputs(out)
    expected = [dict(case, rules=rules, **result) for case in CASES
                for rules, result in (('tf', by_loader(out, case)), ('python', by_tool(case)))]
    with open(os.path.join(out, 'expected.json'), 'w', encoding='ascii') as f:
        f.write('[\n' + ',\n'.join(json.dumps(row) for row in expected) + '\n]\n')


if __name__ == '__main__':
    main()
