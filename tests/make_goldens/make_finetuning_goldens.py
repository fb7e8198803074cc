#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/goldens/finetuning/: a few hand-made GLUE-like files, and the records and meta data
that create-finetuning-data must make of them, by the rules of docs/model_garden/data.md section 1 written down here
once more. The vocabulary is tests/goldens/text/vocab.txt.

usage: make_finetuning_goldens.py OUT_DIR   (OUT_DIR = tests/goldens/finetuning)
"""
import json
import os
import struct
import sys

from make_text_goldens import PIECES, basic, wordpiece

LENGTH = 16
VOCAB = {piece: i for i, piece in enumerate(PIECES)}

# name -> files; expected rows are (text_a, text_b, label) in order
COLA = {
    'train.tsv': 'src\t1\t\tThe cat jumped.\nsrc\t0\t*\tcats the run "over\\ \r\nsrc\t1\t\t\n',
    'dev.tsv': 'src\t0\t*\ta \u00c9t\u00e9\rsrc\t1\t\t\u4e2d\u56fd dog',
    'test.tsv': 'index\tsentence\n0\tthe lazy dog\n\n1\tunaffable!',
}
COLA_ROWS = {
    'train': [('The cat jumped.', None, 1), ('cats the run "over\\ ', None, 0), ('', None, 1)],
    'eval': [('a \u00c9t\u00e9', None, 0), ('\u4e2d\u56fd dog', None, 1)],
    'test': [('the lazy dog', None, 0), ('unaffable!', None, 0)],
}
HEAD = '\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n'
MRPC = {
    'extra/msr_paraphrase_train.txt': HEAD + '1\t7\t8\ta b c d e a b c d e\ta b c d e a b\r\n'
                                      '0\t9\t10\tthe cat\tthe dog ;\n1\t11\t12\tNew York\t\n',
    'extra/dev_ids.tsv': '9\t10\n',
    'test.tsv': 'index\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t1\t2\tcat\tcats\n',
}
MRPC_ROWS = {
    'train': [('a b c d e a b c d e', 'a b c d e a b', 1), ('New York', '', 1)],
    'eval': [('the cat', 'the dog ;', 0)],
    'test': [('cat', 'cats', 0)],
}
STSB = {
    'train.tsv': 'index\tsentence1\tsentence2\tscore\n0\tthe cat\tcats\t3.400\n'
                 '1\ta short row\n2\ta dog\tthe dog\t0\n',
    'dev.tsv': 'index\tsentence1\tsentence2\tscore\n0\ta\tb\t5.000\n',
}
STSB_ROWS = {'train': [('the cat', 'cats', 3.4), ('a dog', 'the dog', 0.0)],
             'eval': [('a', 'b', 5.0)]}


def crc32c_table():
    table = []
    for i in range(256):
        for _ in range(8):
            i = (i >> 1) ^ (0x82F63B78 if i & 1 else 0)
        table.append(i)
    return table


TABLE = crc32c_table()


def masked_crc(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ TABLE[(crc ^ byte) & 255]
    crc ^= 0xFFFFFFFF
    return struct.pack('<I', ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def frame(data):
    length = struct.pack('<Q', len(data))
    return length + masked_crc(length) + data + masked_crc(data)


def varint(value):
    out = b''
    while value >= 128:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def message(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


def ints(values):
    return message(3, message(1, b''.join(varint(v) for v in values)))


def floats(values):
    return message(2, message(1, struct.pack('<%df' % len(values), *values)))


def tokenize(text):
    return [i for word in basic(text, True) for i in wordpiece(word, VOCAB)]


def example(number, text_a, text_b, label):
    a, b = tokenize(text_a), tokenize(text_b) if text_b else []
    if b:
        while len(a) + len(b) > LENGTH - 3:
            (a if len(a) > len(b) else b).pop()
    a = a[:LENGTH - 2]
    cls, sep = VOCAB['[CLS]'], VOCAB['[SEP]']
    ids = [cls] + a + [sep] + (b + [sep] if b else [])
    segments = [0] * (len(a) + 2) + [1] * (len(ids) - len(a) - 2)
    fill = [0] * (LENGTH - len(ids))
    features = [('is_real_example', ints([1])), ('example_id', ints([number])),
                ('input_mask', ints([1] * len(ids) + fill)), ('input_ids', ints(ids + fill)),
                ('segment_ids', ints(segments + fill)),
                ('label_ids', floats([label]) if isinstance(label, float) else ints([label]))]
    return message(1, b''.join(message(1, message(1, key.encode()) + message(2, value))
                               for key, value in features))


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as f:
        f.write(data)


def make(out, folder, name, files, rows, extra):
    for path, text in files.items():
        write(os.path.join(out, folder, path), text.encode())
    for split, examples in rows.items():
        records = b''.join(frame(example(i, *row)) for i, row in enumerate(examples))
        write(os.path.join(out, folder, 'expected', split + '.tf_record'), records)
    meta = {'processor_type': name, 'train_data_size': len(rows['train']),
            'max_seq_length': LENGTH}
    if 'test' in rows:
        meta['test_data_size'] = len(rows['test'])
    meta.update(extra)
    meta['eval_data_size'] = len(rows['eval'])
    write(os.path.join(out, folder, 'expected', 'meta_data'),
          (json.dumps(meta, indent=4) + '\n').encode())


def main():
    out = sys.argv[1]
    two = {'task_type': 'bert_classification', 'num_labels': 2}
    make(out, 'CoLA', 'COLA', COLA, COLA_ROWS, two)
    make(out, 'MRPC', 'MRPC', MRPC, MRPC_ROWS, two)
    make(out, 'STS-B', 'STS-B', STSB, STSB_ROWS,
         {'task_type': 'bert_regression', 'label_type': 'float'})


if __name__ == '__main__':
    main()
