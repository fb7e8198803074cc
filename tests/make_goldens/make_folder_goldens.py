#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Folders as Hugging Face's libraries write them, with tokenizers that treat text in different ways, heads
of several kinds and weights in several forms, and what they compute of a few texts:
tests/goldens/folders/NAME/{config.json, model.safetensors, tokenizer.json | vocab.txt,
tokenizer_config.json, expected.json}. expected.json has rows of text and probabilities (or score, or
vector: the mean of all tokens), or of words with tags and their probabilities, or of questions with the
scores of each token as start and end of the answer.

Needs torch, transformers 5, tokenizers and safetensors. usage: make_folder_goldens.py [FOLDER]
"""
import json
import pathlib
import shutil
import sys

import torch
import transformers
from safetensors.torch import load_file, save_file

PIECES = ('[PAD] [UNK] [CLS] [SEP] [MASK] the The cat Cat caf cafe café Éclair éclair eclair ##s ##é ##e '
          '中 文 中文 ##文 a A dog İ i ΣΑΣ σας σασ user < > [ ] x X . , ! don t \'').split()
TEXTS = ['The cat', 'the Cats .', 'Éclair café', 'a 中文 dog', 'the <user> dog [X] cat', 'Cafés, don\'t!',
         'ΣΑΣ the', 'x' * 130 + ' cat', 'A [SEP] dog']
SENTENCES = [['The', 'cat', 'don', '.'], ['a', '中文', 'dog'], ["Cafés", 'the', 'cats', '!', 'Éclair']]
QUESTIONS = [('the cat ?', 'a dog x the cat don t the dog'), ('A dog', 'the cat , the dog . a cat ! i x')]
TAG_NAMES = ['O', 'B-PER', 'I-PER', 'B-LOC']
TAGS = dict(id2label=dict(enumerate(TAG_NAMES)), label2id={t: i for i, t in enumerate(TAG_NAMES)})
FOLDERS = {
    'cased': dict(tokenizer=dict(do_lower_case=False), config=dict(hidden_act='gelu_new')),
    'uncased': dict(tokenizer=dict(do_lower_case=True), config=dict(id2label={0: 'bad', 1: 'so', 2: 'good'},
                    label2id={'bad': 0, 'so': 1, 'good': 2})),
    'accents_kept': dict(tokenizer=dict(do_lower_case=True, strip_accents=False, tokenize_chinese_chars=False),
                         config=dict(layer_norm_eps=1e-3, hidden_act='relu'), added=['<user>', '[X]']),
    'lines': dict(tokenizer=dict(do_lower_case=False), config={}, as_lines=True),
    'half': dict(dtype=torch.float16),
    'brain': dict(dtype=torch.bfloat16),
    'shards': dict(save=dict(max_shard_size='5KB')),
    'score': dict(config=dict(num_labels=1)),
    'several': dict(config=dict(problem_type='multi_label_classification')),
    'old_names': dict(model='BertForPreTraining', old_names=True),
    'hidden_words': dict(model='BertForMaskedLM'),
    'tags': dict(model='BertForTokenClassification', config=TAGS, tokenizer=dict(do_lower_case=False)),
    'tags_distilbert': dict(model='DistilBertForTokenClassification', config=TAGS),
    'answers': dict(model='BertForQuestionAnswering', config=dict(num_labels=2)),
    'answers_albert': dict(model='AlbertForQuestionAnswering', config=dict(num_labels=2, embedding_size=4)),
    'accents_off': dict(tokenizer=dict(do_lower_case=False, strip_accents=True),
                        pieces=['Eclair', 'Cafe', 'Ω', 'K', 'й', 'И', 'и'],
                        texts=['ÉCLAIR Ω K Й й ё', 'İ Caf\u0301e Ǆ']),
}


def make_model(spec, n_pieces):
    kind = spec.get('model', 'BertForSequenceClassification')
    sizes = dict(vocab_size=n_pieces, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
                 intermediate_size=12, max_position_embeddings=24)
    if kind.startswith('Distil'):
        sizes = dict(vocab_size=n_pieces, dim=8, n_layers=2, n_heads=2, hidden_dim=12, max_position_embeddings=24)
    model_class = getattr(transformers, kind)
    labels = spec.get('config', {})
    config = model_class.config_class(**sizes, **({} if 'id2label' in labels else {'num_labels': 3}) | labels)
    model = model_class(config).eval()
    for key, value in model.named_parameters():
        noise = torch.randn(value.shape)
        value.data = 1 + 0.2 * noise if is_norm(key) else 0.5 * noise
    return model


def is_norm(key):
    return 'norm' in key.lower() and key.endswith('weight')


def save(model, folder, spec):
    shutil.rmtree(folder, ignore_errors=True)
    model.to(spec.get('dtype', torch.float32)).save_pretrained(folder, **spec.get('save', {}))
    model.to(torch.float32)  # what was saved, rounded
    if spec.get('old_names'):  # as the first converters wrote them
        path = folder / 'model.safetensors'
        tensors = {k.replace('LayerNorm.weight', 'LayerNorm.gamma').replace('LayerNorm.bias', 'LayerNorm.beta'): v
                   for k, v in load_file(path).items()}
        save_file(tensors, path, metadata={'format': 'pt'})


def make_texts(model, tokenizer, texts):
    rows = []
    for text in TEXTS + texts:
        inputs = tokenizer(text, truncation=True, return_tensors='pt')
        row = dict(text=text, ids=inputs['input_ids'][0].tolist())
        logits = model(**inputs, output_hidden_states=True)
        if 'logits' not in logits or logits.logits.dim() == 3:
            row['vector'] = logits.hidden_states[-1][0].mean(0).tolist()
        elif model.config.problem_type == 'multi_label_classification':
            row['probabilities'] = torch.sigmoid(logits.logits.double())[0].tolist()
        elif model.config.num_labels == 1:
            row['score'] = logits.logits[0, 0].item()
        else:
            row['probabilities'] = torch.softmax(logits.logits.double(), -1)[0].tolist()
        rows.append(row)
    return rows


def make_tags(model, tokenizer, _):
    rows = []
    for words in SENTENCES:
        inputs = tokenizer(words, is_split_into_words=True, return_tensors='pt')
        probabilities = torch.softmax(model(**inputs).logits[0].double(), -1)
        firsts = [inputs.word_ids().index(i) for i in range(len(words))]
        best = [probabilities[i].argmax().item() for i in firsts]
        rows.append(dict(words=words, tags=[model.config.id2label[b] for b in best],
                         probabilities=[probabilities[i, b].item() for i, b in zip(firsts, best)]))
    return rows


def make_answers(model, tokenizer, _):
    rows = []
    for question, context in QUESTIONS:
        inputs = tokenizer(question, context, return_offsets_mapping=True, return_tensors='pt')
        offsets = inputs.pop('offset_mapping')[0].tolist()
        out = model(**inputs)
        rows.append(dict(question=question, context=context, tokens=[
            dict(first=offsets[i][0], end=offsets[i][1], start_logit=out.start_logits[0, i].item(),
                 end_logit=out.end_logits[0, i].item())
            for i, part in enumerate(inputs.sequence_ids(0)) if part == 1]))
    return rows


def make(folder, name, spec, seed):
    torch.manual_seed(seed)
    pieces = PIECES + spec.get('pieces', [])
    tokenizer = transformers.BertTokenizer(vocab={p: i for i, p in enumerate(pieces)}, model_max_length=24,
                                           **spec.get('tokenizer', dict(do_lower_case=True)))
    tokenizer.add_tokens(spec.get('added', []))
    model = make_model(spec, len(tokenizer))
    if spec.get('model', '').endswith('TokenClassification'):  # not one tag for all
        inputs = tokenizer(sum(SENTENCES, []), is_split_into_words=True, return_tensors='pt')
        model.classifier.bias.data -= model(**inputs).logits[0].mean(0)
    save(model, folder, spec)
    tokenizer.save_pretrained(folder)
    if spec.get('as_lines'):  # as transformers 4 left it
        (folder / 'tokenizer.json').unlink()
        (folder / 'vocab.txt').write_text('\n'.join(PIECES) + '\n', encoding='utf-8')
    kind = spec.get('model', '')
    rows_of = (make_tags if kind.endswith('TokenClassification') else
               make_answers if kind.endswith('QuestionAnswering') else make_texts)
    with torch.no_grad():
        rows = rows_of(model, tokenizer, spec.get('texts', []))
    with open(folder / 'expected.json', 'w', encoding='utf-8') as out:
        json.dump(dict(transformers=transformers.__version__, rows=rows), out, indent=1)
        out.write('\n')
    print(name)


def main():
    default = pathlib.Path(__file__).resolve().parent.parent / 'goldens' / 'folders'
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    for seed, (name, spec) in enumerate(FOLDERS.items()):
        make(folder / name, name, spec, seed)


if __name__ == '__main__':
    main()
