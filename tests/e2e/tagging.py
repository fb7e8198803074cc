# SPDX-License-Identifier: Apache-2.0
"""bert/tagging from words to scores: create-finetuning-data makes the records, bert-train trains,
evaluates and predicts; what it predicted is scored here once more, by rules written from the
description of CoNLL's evaluation, and must give what the evaluation said."""

import json
import os
import random
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402

PIECES = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', 'a', 'b', 'c', 'd', 'e', 'p', 'q', 'r', 'x', 'y',
          '##a', '##b', '##c', '##p', '##q', '##x', '.', ',']

MODEL = """\
task:
  model:
    encoder:
      type: bert
      bert:
        hidden_size: 32
        intermediate_size: 64
        max_position_embeddings: 16
        num_attention_heads: 2
        num_layers: 2
        type_vocab_size: 2
        vocab_size: %d
""" % len(PIECES)

RUN = """\
runtime:
  distribution_strategy: one_device
task:
  meta_data_path: meta
  train_data: {input_path: train.rec, global_batch_size: 8, seq_length: 10}
  validation_data:
    {input_path: dev.rec, global_batch_size: 8, seq_length: 10, include_sentence_id: true}
trainer:
  train_steps: 120
  steps_per_loop: 20
  summary_interval: 20
  checkpoint_interval: 20
  validation_interval: 120
  max_to_keep: 10
  optimizer_config:
    learning_rate: {type: polynomial, polynomial: {initial_learning_rate: 0.004, decay_steps: 120}}
    warmup: {type: polynomial, polynomial: {warmup_steps: 10}}
"""


def make_sentences(n, seed):
    """Words and tags: what begins with p is a person, with q goes on with it, x is a place; now and
    then another tag, so that nothing can be memorized."""
    rng = random.Random(seed)
    sentences = []
    for _ in range(n):
        words, tags = [], []
        for _ in range(rng.randint(1, 12)):
            word = rng.choice('abcpppqqqxy.,') + ''.join(rng.choice(['', 'a', 'b', 'c'])
                                                        for _ in range(rng.randint(0, 3)))
            word = word[0] if word[0] in '.,' else word
            tag = {'p': 'B-PER', 'x': 'B-LOC'}.get(word[0], 'O')
            if word[0] == 'q':
                # also at the start: what is before it in another sentence is none of its own
                tag = 'I-PER' if not tags else 'O' if tags[-1] == 'O' else 'I-' + tags[-1][2:]
            if rng.random() < 0.1:
                tag = rng.choice(['O', 'B-PER', 'I-PER', 'B-LOC', 'I-LOC'])
            words.append(word)
            tags.append(tag)
        sentences.append((words, tags))
    return sentences


def text_of(sentences):
    return ''.join(''.join('%s NN %s\n' % pair for pair in zip(words, tags)) + '\n'
                   for words, tags in sentences)


def entities(tags):
    """(type, first, last) of each: B or a type that is new begins one, O ends it."""
    found, start = [], None
    for i, tag in enumerate(tags + ['O']):
        goes_on = start is not None and tag == 'I-' + tags[start][2:]
        if start is not None and not goes_on:
            found.append((tags[start][2:], start, i - 1))
            start = None
        if tag != 'O' and start is None:
            start = i
    return set(found)


def score(sentences):
    """sentences: [(true tags, predicted tags)]"""
    n_true = n_found = n_both = n_right = n = 0
    for true, found in sentences:
        a, b = entities(true), entities(found)
        n_true, n_found, n_both = n_true + len(a), n_found + len(b), n_both + len(a & b)
        n_right += sum(x == y for x, y in zip(true, found))
        n += len(true)
    precision = n_both / n_found if n_found else 0.0
    recall = n_both / n_true if n_true else 0.0
    both = precision + recall
    return {'precision': precision, 'recall': recall, 'accuracy': n_right / n,
            'f1': 2 * precision * recall / both if both else 0.0}


class Tagging(e2e.Case):
    def setUp(self):
        super().setUp()
        self.write('vocab.txt', '\n'.join(PIECES) + '\n')
        self.write('model.yaml', MODEL)
        self.write('run.yaml', RUN)
        os.mkdir(self.path('in'))
        os.mkdir(self.path('w'))
        self.dev = make_sentences(90, seed=2)
        self.write('in/train.txt', text_of(make_sentences(300, seed=1)))
        self.write('in/dev.txt', text_of(self.dev))
        done = e2e.run(['--fine_tuning_task_type=tagging', '--tagging_task_name=conll',
                        '--input_data_dir=in', '--vocab_file=vocab.txt', '--max_seq_length=10',
                        '--train_data_output_path=train.rec', '--eval_data_output_path=dev.rec',
                        '--meta_data_file_path=meta', '--tagging_labels=O,B-PER,I-PER,B-LOC,I-LOC'],
                       name='create-finetuning-data', cwd=self.folder)
        self.assertEqual(done.code, 0, str(done))
        with open(self.path('meta'), encoding='utf-8') as source:
            self.meta = json.load(source)
        self.assertGreater(self.meta['eval_data_size'], len(self.dev), 'some need two records')

    def args(self, **how):
        args = super().args(**how)
        return ['--experiment=bert/tagging' if a.startswith('--experiment=') else a for a in args]

    def values(self):
        return [r for r in e2e.read_jsonl(self.path('out')) if r['kind'] == 'validation'][-1]

    def predict(self, more, override='', expect=0):
        words = 'task.validation_data.words_path=in/dev.txt'
        return self.train(mode='predict', more=more, expect=expect,
                          override=words + (',' + override if override else ''))

    def read_conll(self, name):
        with open(self.path(name), encoding='utf-8') as source:
            blocks = source.read().split('\n\n')
        self.assertEqual(blocks[-1], '')
        return [list(zip(*(line.split(' ') for line in b.split('\n')))) for b in blocks[:-1]]

    def check_score(self, values, score_of):
        for name, value in score_of.items():
            self.assertAlmostEqual(values[name], value, delta=1e-12, msg=name)

    def test_words_come_back_with_tags_that_score_the_same(self):
        self.train()
        self.predict(['--output_path=p.conll'])
        found = self.read_conll('p.conll')
        self.assertEqual([list(s[0]) for s in found], [words for words, _tags in self.dev])
        self.assertEqual([list(s[1]) for s in found], [tags for _words, tags in self.dev])
        scores = score([(list(s[1]), list(s[2])) for s in found])
        self.check_score(self.values(), scores)
        self.assertGreater(scores['f1'], 0.5, 'nothing was learned: the test says little')
        self.assertLess(scores['f1'], 0.98, 'nothing is wrong: the test says little')
        self.predict(['--output_path=p.jsonl'])
        with open(self.path('p.jsonl'), encoding='utf-8') as source:
            objects = [json.loads(line) for line in source]
        self.assertEqual([(o['words'], o['labels']) for o in objects],
                         [(list(s[0]), list(s[2])) for s in found])
        self.assertEqual([o['sentence'] for o in objects], list(range(len(objects))))
        self.predict([])
        with open(self.path('out/predictions.tsv'), encoding='utf-8') as source:
            rows = [line.rstrip('\n').split('\t') for line in source][1:]
        flat = [(str(i), str(k), w, t) for i, s in enumerate(found)
                for k, (w, t) in enumerate(zip(s[0], s[2]))]
        self.assertEqual([tuple(row[:4]) for row in rows], flat)

    def test_whole_batches_as_model_garden(self):
        """With bug_compatible the tags of a batch are one sentence."""
        self.train()
        self.predict(['--output_path=p.jsonl', '--output_format=conll'])
        found = self.read_conll('p.jsonl')
        plain = self.values()
        self.train(mode='eval', override='runtime.bug_compatible=true')
        values = self.values()
        # records of 8 a batch; their words are those of the sentences, in pieces
        n_words = [sum(1 for label in row['label_ids'] if label >= 0)
                   for row in self.read_rows('dev.rec')]
        true = [t for s in found for t in s[1]]
        tags = [t for s in found for t in s[2]]
        batches, at = [], 0
        for first in range(0, len(n_words), 8):
            n = sum(n_words[first:first + 8])
            batches.append((true[at:at + n], tags[at:at + n]))
            at += n
        self.assertEqual(at, len(true))
        self.check_score(values, score(batches))
        self.assertNotEqual(values['f1'], plain['f1'])
        self.train(mode='eval', override='task.validation_data.global_batch_size=5')
        for name in ('f1', 'precision', 'recall', 'accuracy'):
            self.assertEqual(self.values()[name], plain[name], 'does not depend on the batch size')

    def read_rows(self, name):
        rows = []
        for record in e2e.read_records(self.path(name)):
            row = {}
            for _number, entry in e2e.fields(dict(e2e.fields(record))[1]):
                parts = dict(e2e.fields(entry))
                packed = dict(e2e.fields(dict(e2e.fields(parts[2]))[3]))[1]
                values, at = [], 0
                while at < len(packed):
                    value, at = e2e.read_varint(packed, at)
                    values.append(value - (1 << 64) if value >= 1 << 63 else value)
                row[parts[1].decode()] = values
            rows.append(row)
        return rows

    def test_names_are_kept_and_checked(self):
        self.train(override='trainer.train_steps=20')
        with open(self.path('out/labels.json'), encoding='utf-8') as source:
            self.assertEqual(json.load(source), {
                'num_labels': 5, 'label_names': ['O', 'B-PER', 'I-PER', 'B-LOC', 'I-LOC'],
                'labels_are': 'numbers', 'processor_type': 'conll'})
        result = self.train(mode='eval', expect=2,
                            override='task.class_names=[O,B-PER,I-PER,B-LOC,I-ORG],'
                            'task.meta_data_path=""')
        self.assertIn("class 4 is 'I-LOC' in out/labels.json, but 'I-ORG' in task.class_names",
                      self.one_error(result))
        result = self.train(mode='eval', expect=2,
                            override='task.class_names=[O,B-PER],task.meta_data_path=""')
        self.assertIn('out/labels.json: the model there was trained on 5 classes',
                      self.one_error(result))
        result = self.train(mode='train', expect=2, override='task.class_names=[O,B-PER]')
        self.assertIn('meta has 5 classes, but the model has 2', self.one_error(result))
        result = self.train(mode='train', expect=2, override='task.meta_data_path=""')
        self.assertIn('task.class_names', self.one_error(result))

    def test_other_text_is_refused(self):
        self.train(override='trainer.train_steps=20')
        self.write('in/dev.txt', text_of(self.dev[:-1]))
        result = self.predict([], expect=3)
        self.assertRegex(self.one_error(result), r'in/dev.txt:\d+: the words end there, but record')
        self.assertFalse(os.path.exists(self.path('out/predictions.tsv')))
        os.remove(self.path('in/dev.txt'))
        result = self.predict([], expect=3, override='trainer.train_steps=20')
        self.assertIn('in/dev.txt', self.one_error(result))

    def straight(self, train, dev, more=''):
        return (','.join('task.%s_data.%s=%s' % (section, key, value)
                         for section, path in (('train', train), ('validation', dev))
                         for key, value in (('input_path', path), ('vocab_file', 'vocab.txt')))
                + ',trainer.train_steps=40,trainer.validation_interval=40' + (',' + more if more else ''))

    def test_straight_from_words_gives_the_same_bits(self):
        """No records: CoNLL files with comments and lines of JSON train, evaluate and predict alike."""
        self.train(override='trainer.train_steps=40,trainer.validation_interval=40')
        want = self.values()
        train = make_sentences(300, seed=1)
        self.write('w/train.conll', ''.join('# sent_id = %d\n# text = # %s\n%s' % (i, ' '.join(s[0]), text_of([s]))
                                            for i, s in enumerate(train)))
        for name, sentences in (('train', train), ('dev', self.dev)):
            self.write('w/%s.jsonl' % name, ''.join(json.dumps({'tokens': w, 'ner_tags': t}) + '\n'
                                                    for w, t in sentences))
        for name, files in (('columns', ('w/train.conll', 'in/dev.txt')),
                            ('json', ('w/train.jsonl', 'w/dev.jsonl'))):
            self.train(model_dir=name, override=self.straight(*files))
            self.same_values(self.path('out/ckpt-40'), self.path(name + '/ckpt-40'))
            got = [r for r in e2e.read_jsonl(self.path(name)) if r['kind'] == 'validation'][-1]
            for key in ('f1', 'precision', 'recall', 'accuracy', 'validation_loss'):
                self.assertEqual(got[key], want[key], key)
            self.train(mode='predict', model_dir=name, more=['--output_path=%s.conll' % name],
                       override=self.straight(*files))
        self.predict(['--output_path=p.conll'], 'trainer.train_steps=40')
        for name in ('columns', 'json'):
            self.assertEqual(self.read_conll(name + '.conll'), self.read_conll('p.conll'))

    def test_case_of_both_sections(self):
        for key, train in (('lower_case', 'true'), ('strip_accents', 'true'), ('tokenize_chinese_chars', 'true')):
            result = self.train(expect=2, override=self.straight(
                'in/train.txt', 'in/dev.txt', 'task.train_data.lower_case=true,'
                'task.validation_data.lower_case=true,task.validation_data.%s=false' % key))
            self.assertIn('task.train_data.%s is %s, task.validation_data.%s is false: the model would be '
                          'evaluated on other tokens' % (key, train, key), self.one_error(result))

    def test_tags_of_the_training_words(self):
        """Named nowhere, they are those of the training file, as the data tool sorts them."""
        result = self.train(override=self.straight('in/train.txt', 'in/dev.txt', 'task.meta_data_path=""'))
        with open(self.path('out/labels.json'), encoding='utf-8') as source:
            self.assertEqual(json.load(source)['label_names'], ['O', 'B-LOC', 'B-PER', 'I-LOC', 'I-PER'])
        self.assertIn('entities that begin with I- instead of B-: ', result.stderr)
        self.write('w/dev.txt', 'a O\nb B-ORG\n')
        result = self.train(mode='eval', expect=3,
                            override=self.straight('in/train.txt', 'w/dev.txt', 'task.meta_data_path=""'))
        self.assertIn("w/dev.txt:2: unknown label 'B-ORG'; expected O, B-LOC, B-PER", self.one_error(result))
        self.write('w/dev.jsonl', '{"tokens": ["a", "x"], "tags": [0, 5]}\n')
        result = self.train(mode='eval', expect=3,
                            override=self.straight('in/train.txt', 'w/dev.jsonl', 'task.meta_data_path=""'))
        self.assertIn("w/dev.jsonl:1: unknown label '5'", self.one_error(result))
        self.write('w/dev.txt', 'a\nxx\n\npa\n')
        result = self.train(mode='eval', expect=3,
                            override=self.straight('in/train.txt', 'w/dev.txt', 'task.meta_data_path=""'))
        self.assertIn('w/dev.txt:1: the word has no label', self.one_error(result))
        self.train(mode='predict', more=['--output_path=q.jsonl'],
                   override=self.straight('in/train.txt', 'w/dev.txt', 'task.meta_data_path=""'))
        with open(self.path('q.jsonl'), encoding='utf-8') as source:
            self.assertEqual([json.loads(line)['words'] for line in source], [['a', 'xx'], ['pa']])
        result = self.train(expect=2, model_dir='other', override=self.straight('in/train.txt', 'in/dev.txt')
                            .replace('task.train_data.vocab_file=vocab.txt,', ''))
        self.assertIn('task.train_data.vocab_file is empty', self.one_error(result))

    def test_one_tag_for_everything_is_noticed(self):
        self.train(override='trainer.train_steps=1')
        rows = [dict(row, label_ids=[0 if label >= 0 else -1 for label in row['label_ids']])
                for row in self.read_rows('train.rec')]
        e2e.write_records(self.path('train.rec'), rows)
        e2e.write_records(self.path('dev.rec'), rows[:30])
        result = self.train(model_dir='one')
        self.assertRegex(result.stderr, r'warning: step 120: all \d+ predictions are class O: ')
        self.assertEqual([r for r in e2e.read_jsonl(self.path('one'))
                          if r['kind'] == 'validation'][-1]['accuracy'], 1.0)
        result = self.train(model_dir='one', mode='predict')
        self.assertRegex(result.stderr, r'warning: all \d+ predictions are class O: ')

    def test_a_stopped_run_continues_to_the_same_bits(self):
        self.train()
        self.train(model_dir='stopped', expect=75, run_how={
            'stop_when': (lambda: os.path.exists(self.path('stopped/ckpt-40.index')),
                          signal.SIGTERM)})
        self.train(model_dir='stopped')
        self.same_values(self.path('out/ckpt-120'), self.path('stopped/ckpt-120'))

    def test_wrong_records(self):
        rows = self.read_rows('dev.rec')
        for change, words in (
                (lambda r: r.update(label_ids=[9] * 10), 'label_ids[0] is 9, but there are 5'),
                (lambda r: r.update(label_ids=[0] * 9), 'feature label_ids has 9 values'),
                (lambda r: r.pop('label_ids'), 'feature label_ids (int64) is required but missing'),
                (lambda r: r.pop('sentence_id'), 'feature sentence_id (int64) is required')):
            bad = dict(rows[0])
            change(bad)
            e2e.write_records(self.path('dev.rec'), [bad])
            result = self.train(expect=3)
            self.assertIn('dev.rec', self.one_error(result))
            self.assertIn(words, self.one_error(result))

    # what is said of sentences and tags before the first step

    def start(self, train, dev, more='', **how):
        return self.train(override=self.straight(train, dev, 'task.meta_data_path="",trainer.train_steps=1,'
                                                 'trainer.steps_per_loop=1,trainer.validation_interval=1'
                                                 + (',' + more if more else '')), **how).stderr

    def rows_of(self, sentences):
        """Sequences of 10 tokens, as the converter makes them; every piece here is a letter or sign."""
        return [self.greedy([len(word) for word in words]) for words, _ in sentences]

    def greedy(self, sizes):
        n, rows = 0, 1
        for size in sizes:
            if n + size > 8:
                n, rows = 0, rows + 1
            n += size
        return rows

    def test_long_and_unknown(self):
        n_rows = self.rows_of(self.dev)
        said = self.start('in/train.txt', 'in/dev.txt')
        self.assertIn('task.validation_data: %d of 90 sentences are longer than seq_length 10 and divided '
                      'between words: %d rows in all\n' % (sum(n > 1 for n in n_rows), sum(n_rows)), said)
        self.assertNotRegex(said, 'UNK|no words|no text')
        upper = [([w.upper() for w in words] + ['a'], tags + ['O']) for words, tags in self.dev[:20]]
        self.write('w/upper.txt', text_of(upper))
        n_pieces = [(len(words), sum(1 if w.isupper() else len(w) for w in words)) for words, _ in upper]
        said = self.start('in/train.txt', 'w/upper.txt', 'task.train_data.lower_case=false,'
                          'task.validation_data.lower_case=false', model_dir='upper')
        n_unknown = sum(w.isupper() for words, _ in upper for w in words)
        self.assertRegex(said, r'warning: task\.validation_data\.lower_case is false, but 0 of \d+ pieces .*'
                               r'; %.1f %% of the tokens are \[UNK\]'
                         % (100.0 * n_unknown / sum(n for _, n in n_pieces)))

    def test_sentences_without_words(self):
        self.write('w/dev.jsonl', '{"tokens": ["a"], "tags": ["O"]}\n\n{"tokens": [], "tags": []}\n'
                   '{"tokens": ["x", ""], "tags": ["B-LOC", "O"]}\n{"words": [], "ner": []}\n')
        said = self.start('in/train.txt', 'w/dev.jsonl')
        self.assertIn('warning: task.validation_data: 2 of 4 sentences have no words, the first is '
                      'w/dev.jsonl:3\n', said)
        self.assertIn('warning: task.validation_data: words without text, which are left out with their '
                      'tags: 1\n', said)
        self.write('w/dev.txt', '\n\na O\n\n\n\nb O\n\n')
        self.assertNotIn('no words', self.start('in/train.txt', 'w/dev.txt', model_dir='columns'))

    def test_tags_and_sentences_of_both_sections(self):
        self.write('w/train.txt', 'a O\np B-PER\n\nb O\nq I-LOC\nb O\n\nx B-LOC\ny O\n')
        self.write('w/dev.txt', 'c O\nq I-LOC\n\nx O\ny O\n\nb O\n\nab O\n')
        said = self.start('w/train.txt', 'w/dev.txt')
        self.assertIn("2 of 4 tags occur in task.train_data only (2 words) and not in task.validation_data: "
                      "'B-LOC', 'B-PER'\n", said)
        self.assertIn('warning: task.validation_data: 1 of 4 sentences (25.0 %) have the texts of a sentence '
                      'of task.train_data, the first is sentence 2: ', said)
        said = self.start('w/dev.txt', 'w/train.txt', 'task.class_names=[O,B-PER,B-LOC,I-LOC]', model_dir='b')
        self.assertIn("warning: 2 of 4 tags occur in task.validation_data only (2 words) and not in "
                      "task.train_data: 'B-PER', 'B-LOC'\n", said)

    def test_other_words_are_another_training_set(self):
        self.start('in/train.txt', 'in/dev.txt', 'trainer.checkpoint_interval=1')
        with open(self.path('in/train.txt'), encoding='utf-8') as source:
            text = source.read()
        self.write('in/train.txt', text.replace('\n', '\r\n'))  # the same words
        self.start('in/train.txt', 'in/dev.txt', 'trainer.checkpoint_interval=1,trainer.train_steps=2')
        for changed in (text.replace('B-LOC', 'I-LOC', 1), text.replace('pa', 'pb', 1)):
            self.write('in/train.txt', changed)
            result = self.train(expect=2, override=self.straight(
                'in/train.txt', 'in/dev.txt', 'task.meta_data_path="",trainer.train_steps=3'))
            self.assertIn('input_path', self.one_error(result))


if __name__ == '__main__':
    e2e.main()
