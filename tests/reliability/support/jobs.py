# SPDX-License-Identifier: Apache-2.0
"""A tiny job of each task, of made-up words: data files, YAML files, command lines. A run of any of
them takes a fraction of a second and evaluates, exports its best checkpoint and drops old ones, so
that everything which a run writes is written."""
import json
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../e2e/support'))
import e2e  # noqa: E402

TASKS = ('sentence', 'squad', 'tagging', 'pairs')
EXPERIMENTS = {'sentence': 'bert/sentence_prediction', 'squad': 'bert/squad',
               'tagging': 'bert/tagging', 'pairs': 'bert/dual_encoder'}
STEPS = 60

MODEL = """\
runtime: {threads: 1, distribution_strategy: one_device}
task:
  model:
    encoder:
      type: bert
      bert: {vocab_size: 260, hidden_size: 16, num_layers: 2, num_attention_heads: 2,
             intermediate_size: 32, max_position_embeddings: 48, type_vocab_size: 2,
             dropout_rate: 0.1, attention_dropout_rate: 0.1}
trainer:
  train_steps: 60
  steps_per_loop: 5
  summary_interval: 5
  checkpoint_interval: 10
  validation_interval: 20
  validation_steps: -1
  max_to_keep: 2
  best_checkpoint_export_subdir: best_ckpt
  optimizer_config:
    learning_rate: {type: polynomial, polynomial: {initial_learning_rate: 0.002, end_learning_rate: 0.0, decay_steps: 60}}
    warmup: {type: polynomial, polynomial: {warmup_steps: 6}}
"""

SECTIONS = {
    'sentence': ('model: {num_classes: 2}',
                 'text_fields: [sentence], vocab_file: vocab.txt, seq_length: 16',
                 ('train.tsv', 'dev.tsv'), ('cls_accuracy', 'higher')),
    'squad': ('', 'vocab_file: vocab.txt, seq_length: 32',
              ('train.json', 'dev.json'), ('final_f1', 'higher')),
    'tagging': ('class_names: [O, B-X, I-X]', 'seq_length: 16',
                ('train.tf_record', 'dev.tf_record'), ('f1', 'higher')),
    'pairs': ('model: {bidirectional: true, logit_margin: 0.1, logit_scale: 20.0, '
              'max_sequence_length: 16}',
              'file_type: lines, vocab_file: vocab.txt, seq_length: 16',
              ('left.txt', 'left.txt'), ('validation_loss', 'lower')),
}
ONLY_VALIDATION = {'squad': ', query_length: 8, doc_stride: 8, tokenization: WordPiece, '
                            'do_lower_case: true'}
BOTH = {'pairs': ', right_input_path: right.txt'}


def write(folder, name, text):
    with open(os.path.join(folder, name), 'w', encoding='utf-8') as out:
        out.write(text)


def experiment_yaml(task):
    own, keys, (train, dev), best = SECTIONS[task]
    keys += BOTH.get(task, '')
    lines = ['task:', '  ' + own if own else '',
             '  train_data: {input_path: %s, %s, global_batch_size: 12, is_training: true, '
             'drop_remainder: true}' % (train, keys),
             '  validation_data: {input_path: %s, %s%s, global_batch_size: 12, '
             'is_training: false, drop_remainder: false}'
             % (dev, keys, ONLY_VALIDATION.get(task, '')),
             'trainer: {best_checkpoint_eval_metric: %s, best_checkpoint_metric_comp: %s}' % best]
    return '\n'.join(line for line in lines if line) + '\n'


def make(folder):
    """Writes the data and YAML files of all tasks into the folder."""
    rng = random.Random(1)
    words = [c + v + d for c in 'bdfgklmnprst' for v in 'aeiou' for d in 'nrs']
    pieces = [chr(c) for c in range(97, 123)]
    vocab = (['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] + pieces +
             ['##' + p for p in pieces] + ['.', ',', '?'] + words)
    write(folder, 'vocab.txt', '\n'.join(vocab) + '\n')

    def sentence(n):
        return ' '.join(rng.choice(words) for _ in range(n))

    for name, n in (('train.tsv', 203), ('dev.tsv', 61)):
        rows = [sentence(rng.randint(2, 10)) for _ in range(n)]
        write(folder, name, 'sentence\tlabel\n' + ''.join(
            '%s\t%d\n' % (row, row.count('a') > row.count('e')) for row in rows))
    for name, n in (('train.json', 60), ('dev.json', 20)):
        write(folder, name, json.dumps(questions(rng, words, n)))
    for name, n in (('train.tf_record', 150), ('dev.tf_record', 40)):
        e2e.write_records(os.path.join(folder, name), tag_rows(rng, n, len(vocab)))
    left = [sentence(5) for _ in range(160)]
    write(folder, 'left.txt', '\n'.join(left) + '\n')
    write(folder, 'right.txt', ''.join(' '.join(reversed(s.split())) + '\n' for s in left))
    write(folder, 'model.yaml', MODEL)
    for task in TASKS:
        write(folder, task + '.yaml', experiment_yaml(task))
    return folder


def questions(rng, words, n):
    paragraphs = []
    for i in range(n):
        text = [rng.choice(words) for _ in range(14)]
        asked = []
        for j in range(2):
            k = rng.randint(0, 11)
            start = len(' '.join(text[:k])) + (1 if k else 0)
            asked.append({'id': 'q%d_%d' % (i, j), 'question': 'wat %s?' % text[k],
                          'answers': [{'text': ' '.join(text[k:k + 2]), 'answer_start': start}]})
        paragraphs.append({'context': ' '.join(text), 'qas': asked})
    return {'version': '1.1', 'data': [{'title': 't', 'paragraphs': paragraphs}]}


def tag_rows(rng, n, vocab_size):
    rows = []
    for _ in range(n):
        n_words = rng.randint(2, 9)
        ids = [rng.randint(60, vocab_size - 1) for _ in range(n_words)]
        pad = [0] * (16 - n_words - 2)
        rows.append({'input_ids': [2] + ids + [3] + pad, 'input_mask': [1] * (n_words + 2) + pad,
                     'segment_ids': [0] * 16,
                     'label_ids': [-1] + [i % 3 for i in ids] + [-1] + [-1] * len(pad)})
    return rows


def args(task, model_dir, override='', mode='train_and_eval', more=()):
    """Of a run in the folder that make() filled."""
    out = ['--experiment=' + EXPERIMENTS[task], '--mode=' + mode, '--model_dir=' + model_dir,
           '--config_file=model.yaml', '--config_file=%s.yaml' % task]
    return out + (['--params_override=' + override] if override else []) + list(more)
