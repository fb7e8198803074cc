#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tiny random models as sentence-transformers writes them, and the vectors that it makes of a few
sentences: tests/goldens/hf_sentences/{NAME/..., sentences.txt, vectors.json}.

Needs torch, transformers 5, safetensors and sentence-transformers 6. usage:
make_sentence_vectors.py [FOLDER]
"""
import json
import pathlib
import shutil
import sys
import tempfile

import torch
import transformers
from sentence_transformers import SentenceTransformer, models

WORDS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'man', 'is', 'playing', 'the', 'guitar',
         'some', '##one', 'play', '##s', 'an', 'instrument', 'market', 'fell', 'today', '.', ',']
SENTENCES = ['A man is playing a guitar.', 'Someone plays an instrument.', 'the', '?',
             'The market fell today, the market fell today, the market fell today, the man is '
             'playing some guitar.', 'Man, a man.']
# name: pooling, normalised, max_seq_length
MODELS = {
    'mean': ('mean', True, 12),
    'mean_raw': ('mean', False, 24),
    'cls': ('cls', True, 24),
    'max': ('max', False, 9),
    'lowered': ('mean', True, 24),  # do_lower_case before a tokenizer that keeps the case
}


def randomise(model, generator):
    for name, value in model.named_parameters():
        noise = torch.randn(value.shape, generator=generator)
        is_norm_weight = 'norm' in name.lower() and name.endswith('weight')
        value.data = 1 + 0.2 * noise if is_norm_weight else 0.4 * noise


def save_bert(folder, seed, lowers):
    vocab = folder / 'words.txt'
    vocab.write_text('\n'.join(WORDS) + '\n')
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=12, max_position_embeddings=24, type_vocab_size=2)
    model = transformers.BertModel(config).eval()
    randomise(model, torch.Generator().manual_seed(seed))
    model.save_pretrained(folder / 'bert')
    transformers.BertTokenizer(str(vocab), do_lower_case=lowers).save_pretrained(folder / 'bert')


def make(folder, name, seed):
    pooling, is_unit, length = MODELS[name]
    with tempfile.TemporaryDirectory() as work:
        is_lowered = name == 'lowered'
        save_bert(pathlib.Path(work), seed, not is_lowered)
        words = models.Transformer(str(pathlib.Path(work) / 'bert'), max_seq_length=length,
                                   do_lower_case=is_lowered)
    modules = [words, models.Pooling(words.get_word_embedding_dimension(), pooling_mode=pooling)]
    if is_unit:
        modules.append(models.Normalize())
    model = SentenceTransformer(modules=modules, device='cpu')
    model.save(str(folder / name), create_model_card=False)
    if is_lowered:  # which versions up to 5 write, and 6 reads
        path = folder / name / 'sentence_bert_config.json'
        path.write_text(json.dumps(dict(json.loads(path.read_text()), do_lower_case=True), indent=4))
    (folder / name / 'vocab.txt').write_text('\n'.join(WORDS) + '\n')
    return model.encode(SENTENCES, batch_size=2, convert_to_numpy=True).astype('float64').tolist()


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else 'tests/goldens/hf_sentences')
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    vectors = {name: make(folder, name, 11 + i) for i, name in enumerate(MODELS)}
    (folder / 'sentences.txt').write_text('\n'.join(SENTENCES) + '\n')
    (folder / 'vectors.json').write_text(json.dumps(vectors, indent=0) + '\n')


main()
