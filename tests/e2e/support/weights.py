# SPDX-License-Identifier: Apache-2.0
"""A folder as Hugging Face writes it, with weights of random numbers: config.json, vocab.txt and
model.safetensors, by the standard library alone."""

import array
import json
import os
import random
import re
import struct

SPECIAL = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
SIZES = {'hidden_size': 16, 'num_hidden_layers': 2, 'num_attention_heads': 2,
         'intermediate_size': 32, 'max_position_embeddings': 96, 'type_vocab_size': 2}


def words_of(*paths):
    """The words of files in lower case, and every sign that stands alone."""
    found = set()
    for path in paths:
        with open(path, encoding='utf-8') as source:
            found.update(re.findall(r'[a-z0-9]+|[^\sa-z0-9]', source.read().lower()))
    return sorted(found)


def shapes(sizes):
    H, I = sizes['hidden_size'], sizes['intermediate_size']
    yield 'embeddings.word_embeddings.weight', (sizes['vocab_size'], H)
    yield 'embeddings.position_embeddings.weight', (sizes['max_position_embeddings'], H)
    yield 'embeddings.token_type_embeddings.weight', (sizes['type_vocab_size'], H)
    for part in ('weight', 'bias'):
        yield 'embeddings.LayerNorm.' + part, (H,)
    for i in range(sizes['num_hidden_layers']):
        layer = 'encoder.layer.%d.' % i
        for name, rows, columns in (('attention.self.query', H, H), ('attention.self.key', H, H),
                                    ('attention.self.value', H, H),
                                    ('attention.output.dense', H, H),
                                    ('intermediate.dense', I, H), ('output.dense', H, I)):
            yield layer + name + '.weight', (rows, columns)
            yield layer + name + '.bias', (rows,)
        for name in ('attention.output.LayerNorm', 'output.LayerNorm'):
            yield layer + name + '.weight', (H,)
            yield layer + name + '.bias', (H,)
    yield 'pooler.dense.weight', (H, H)
    yield 'pooler.dense.bias', (H,)


def values(name, n, rng):
    if name.endswith('bias'):
        return array.array('f', bytes(4 * n))
    if 'LayerNorm' in name:
        return array.array('f', [1.0]) * n
    some = array.array('f', (rng.gauss(0, 0.05) for _ in range(min(n, 40009))))
    return (some * (n // len(some) + 1))[:n]


def write_folder(path, words, seed=1, special=SPECIAL, **sizes):
    """words: the vocabulary after the special pieces. sizes: keys of config.json."""
    os.makedirs(path, exist_ok=True)
    pieces = list(special) + list(words)
    sizes = dict(SIZES, vocab_size=len(pieces), **sizes)
    rng, header, body = random.Random(seed), {}, []
    at = 0
    for name, shape in shapes(sizes):
        n = 1
        for size in shape:
            n *= size
        header[name] = {'dtype': 'F32', 'shape': list(shape), 'data_offsets': [at, at + 4 * n]}
        body.append(values(name, n, rng))
        at += 4 * n
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    with open(os.path.join(path, 'model.safetensors'), 'wb') as out:
        out.write(struct.pack('<Q', len(text)) + text)
        for part in body:
            part.tofile(out)
    with open(os.path.join(path, 'vocab.txt'), 'w', encoding='utf-8') as out:
        out.write('\n'.join(pieces) + '\n')
    with open(os.path.join(path, 'config.json'), 'w', encoding='utf-8') as out:
        json.dump(dict(sizes, architectures=['BertModel'], model_type='bert', hidden_act='gelu',
                       layer_norm_eps=1e-12, hidden_dropout_prob=0.1,
                       attention_probs_dropout_prob=0.1), out)
