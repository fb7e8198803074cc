#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Folders as Hugging Face's libraries write them, with tokenizers that treat text in different ways, and
what they compute of a few texts: tests/goldens/folders/NAME/{config.json, model.safetensors,
tokenizer.json | vocab.txt, tokenizer_config.json, expected.json}.

Needs torch, transformers 5 and tokenizers. usage: make_folder_goldens.py [FOLDER]
"""
import json
import pathlib
import shutil
import sys

import torch
import transformers

PIECES = ('[PAD] [UNK] [CLS] [SEP] [MASK] the The cat Cat caf cafe café Éclair éclair eclair ##s ##é ##e '
          '中 文 中文 ##文 a A dog İ i ΣΑΣ σας σασ user < > [ ] x X . , ! don t \'').split()
TEXTS = ['The cat', 'the Cats .', 'Éclair café', 'a 中文 dog', 'the <user> dog [X] cat', 'Cafés, don\'t!',
         'ΣΑΣ the', 'x' * 130 + ' cat', 'A [SEP] dog']
FOLDERS = {
    'cased': dict(tokenizer=dict(do_lower_case=False), config=dict(hidden_act='gelu_new')),
    'uncased': dict(tokenizer=dict(do_lower_case=True), config=dict(id2label={0: 'bad', 1: 'so', 2: 'good'},
                    label2id={'bad': 0, 'so': 1, 'good': 2})),
    'accents_kept': dict(tokenizer=dict(do_lower_case=True, strip_accents=False, tokenize_chinese_chars=False),
                         config=dict(layer_norm_eps=1e-3, hidden_act='relu'), added=['<user>', '[X]']),
    'lines': dict(tokenizer=dict(do_lower_case=False), config={}, as_lines=True),
}


def make(folder, name, spec, seed):
    torch.manual_seed(seed)
    tokenizer = transformers.BertTokenizer(vocab={p: i for i, p in enumerate(PIECES)},
                                           model_max_length=24, **spec['tokenizer'])
    tokenizer.add_tokens(spec.get('added', []))
    config = transformers.BertConfig(vocab_size=len(tokenizer), hidden_size=8, num_hidden_layers=2,
                                     num_attention_heads=2, intermediate_size=12,
                                     max_position_embeddings=24, **dict(dict(num_labels=3), **spec['config']))
    model = transformers.BertForSequenceClassification(config).eval()
    for key, value in model.named_parameters():
        noise = torch.randn(value.shape)
        value.data = 1 + 0.2 * noise if 'LayerNorm.weight' in key else 0.5 * noise
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if spec.get('as_lines'):  # as transformers 4 left it
        (folder / 'tokenizer.json').unlink()
        (folder / 'vocab.txt').write_text('\n'.join(PIECES) + '\n', encoding='utf-8')
    rows = []
    for text in TEXTS:
        inputs = tokenizer(text, truncation=True, return_tensors='pt')
        with torch.no_grad():
            logits = model(**inputs).logits
        rows.append(dict(text=text, ids=inputs['input_ids'][0].tolist(),
                         probabilities=torch.softmax(logits.double(), -1)[0].tolist()))
    with open(folder / 'expected.json', 'w', encoding='utf-8') as out:
        json.dump(dict(transformers=transformers.__version__, rows=rows), out, indent=1)
        out.write('\n')
    print(name, [row['ids'] for row in rows])


def main():
    default = pathlib.Path(__file__).resolve().parent.parent / 'goldens' / 'folders'
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    for seed, (name, spec) in enumerate(FOLDERS.items()):
        make(folder / name, name, spec, seed)


if __name__ == '__main__':
    main()
