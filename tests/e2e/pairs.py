# SPDX-License-Identifier: Apache-2.0
"""bert/dual_encoder: a small language of its own is learned from pairs of lines, tables and records
alike; vectors and pairs that are predicted, in which order, under which names; bad input."""

import math
import os
import random
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402

N_WORDS = 48
VOCAB = ['[PAD]', '[UNK]', '[CLS]', '[SEP]'] + ['l%d' % i for i in range(N_WORDS)] + \
    ['r%d' % i for i in range(N_WORDS)]
MODEL = """\
task:
  model:
    bidirectional: true
    logit_scale: 10.0
    max_sequence_length: 16
    encoder:
      type: bert
      bert: {hidden_size: 32, intermediate_size: 64, max_position_embeddings: 16,
             num_attention_heads: 2, num_layers: 2, vocab_size: 100, dropout_rate: 0.0,
             attention_dropout_rate: 0.0}
"""
RUN = """\
task:
  train_data: {input_path: train.left, right_input_path: train.right, file_type: lines,
               vocab_file: vocab.txt, seq_length: 16, global_batch_size: 16}
  validation_data: {input_path: eval.left, right_input_path: eval.right, file_type: lines,
                    vocab_file: vocab.txt, seq_length: 16, global_batch_size: 16}
trainer:
  train_steps: 20
  steps_per_loop: 10
  checkpoint_interval: 10
  optimizer_config:
    learning_rate: {type: polynomial, polynomial: {initial_learning_rate: 0.01, decay_steps: null}}
    warmup: {polynomial: {warmup_steps: 4}}
"""


def make_pairs(n, seed):
    """A right sentence has the words of the left one, translated, in another order."""
    rng = random.Random(seed)
    pairs = []
    for _ in range(n):
        words = [rng.randrange(N_WORDS) for _ in range(rng.randint(2, 6))]
        left = ' '.join('l%d' % w for w in words)
        pairs.append((left, ' '.join('r%d' % w for w in reversed(words))))
    return pairs


def read_vectors(path):
    """Rows of a .npy file of format 1.0 that holds float32."""
    with open(path, 'rb') as source:
        data = source.read()
    assert data[:8] == b'\x93NUMPY\x01\x00', data[:8]
    (n_header,) = struct.unpack_from('<H', data, 8)
    assert (10 + n_header) % 64 == 0
    header = eval(data[10:10 + n_header].decode(), {})  # a Python dict: that is the format
    assert header['descr'] == '<f4' and not header['fortran_order']
    n, width = header['shape']
    assert len(data) == 10 + n_header + 4 * n * width
    values = struct.unpack_from('<%df' % (n * width), data, 10 + n_header)
    return [values[i * width:(i + 1) * width] for i in range(n)]


def read_pairs(path):
    with open(path, encoding='utf-8') as source:
        lines = source.read().split('\n')
    assert lines.pop() == '', 'a torn last line'
    return lines[0].split('\t'), [line.split('\t') for line in lines[1:]]


class Pairs(e2e.Case):
    def setUp(self):
        super().setUp()
        self.write('model.yaml', MODEL)
        self.write('run.yaml', RUN)
        self.write('vocab.txt', '\n'.join(VOCAB) + '\n')
        self.eval_pairs = make_pairs(40, seed=2)
        self.write_sides('train', make_pairs(160, seed=1))
        self.write_sides('eval', self.eval_pairs)

    def write_sides(self, name, pairs):
        for side, column in (('left', 0), ('right', 1)):
            self.write('%s.%s' % (name, side), ''.join(p[column] + '\n' for p in pairs))

    def args(self, **how):
        args = super().args(**how)
        args[0] = '--experiment=bert/dual_encoder'
        return args

    def predict(self, **how):
        return self.train(mode='predict', **how)

    def values(self, result):
        return {line.split()[0]: float(line.split()[1])
                for line in result.stdout.splitlines()[1:]}


class Learning(Pairs):
    def test_translations_are_learned(self):
        self.train(override='trainer.train_steps=400')
        values = [r for r in e2e.read_jsonl(self.path('out')) if r['kind'] == 'validation'][-1]
        self.assertEqual(values['batch_size_per_core'], 40 / 3)
        self.assertEqual(values['examples'], 40)
        for side in ('left', 'right'):
            self.assertGreater(values[side + '_recall_at_1'], 0.6)
            self.assertGreaterEqual(values[side + '_recall_at_3'], values[side + '_recall_at_1'])
            self.assertGreaterEqual(values[side + '_mrr'], values[side + '_recall_at_1'])
        accuracy = self.values(self.predict(override='task.gold_pairs=rows'))
        self.assertGreater(accuracy['left_accuracy'], 0.5)  # among 40, not among 16
        self.assertLessEqual(accuracy['left_accuracy'], values['left_recall_at_1'] + 0.2)

    def test_every_kind_of_input_gives_the_same_bits(self):
        pairs = make_pairs(160, seed=1)
        self.write('train.tsv', 'other\tleft_input\tright_input\n' +
                   ''.join('x\t%s\t%s\n' % p for p in pairs))
        self.write('bare.tsv', ''.join('%s\t%s\n' % p for p in pairs))
        e2e.write_records(self.path('text.tfrecord'), [
            {'left_input': [a.encode()], 'right_input': [b.encode()]} for a, b in pairs])
        ids = [self.ids_of(p) for p in pairs]
        e2e.write_records(self.path('ids.tfrecord'), [
            dict(self.features('left', a), **self.features('right', b)) for a, b in ids])
        for side in (0, 1):
            e2e.write_records(self.path('side%d.tfrecord' % side), [
                {'input_ids': p[side], 'input_mask': [int(i > 0) for i in p[side]],
                 'segment_ids': [0] * 16} for p in ids])
        inputs = {
            'lines': '',
            'table': 'input_path=train.tsv,right_input_path=null,file_type=tfrecord',
            'columns': 'input_path=bare.tsv,right_input_path=null,file_type=tsv,'
                       "left_text_fields=['1'],right_text_fields=['2']",
            'text': 'input_path=text.tfrecord,right_input_path=null,file_type=tfrecord',
            'ids': 'input_path=ids.tfrecord,right_input_path=null,file_type=tfrecord,vocab_file=null',
            'sides': 'input_path=side0.tfrecord,right_input_path=side1.tfrecord,'
                     'file_type=tfrecord,vocab_file=null',
        }
        for name, keys in inputs.items():
            override = ','.join('task.train_data.' + key if '=' in key else key
                                for key in keys.split(',') if key)
            self.train(mode='train', model_dir=name, override=override)
            self.same_values(self.path(name, 'ckpt-20'), self.path('lines', 'ckpt-20'))

    def ids_of(self, pair):
        sides = []
        for text in pair:
            ids = [2] + [VOCAB.index(word) for word in text.split()] + [3]
            sides.append(ids + [0] * (16 - len(ids)))
        return sides

    def features(self, side, ids):
        return {side + '_word_ids': ids, side + '_mask': [int(i > 0) for i in ids],
                side + '_type_ids': [0] * 16}

    def test_a_resumed_run_is_the_same(self):
        self.train(mode='train', model_dir='straight')
        self.train(mode='train', model_dir='halves', override='trainer.train_steps=10')
        # the rate knows how many steps there are in all
        self.train(mode='train', model_dir='again', override='trainer.train_steps=20')
        self.same_values(self.path('straight', 'ckpt-20'), self.path('again', 'ckpt-20'))
        for name in os.listdir(self.path('again')):
            if name.startswith('ckpt-20'):
                os.remove(self.path('again', name))
        state = self.path('again', 'checkpoint')
        with open(state, encoding='utf-8') as source:
            text = source.read().replace('"ckpt-20"', '"ckpt-10"', 1)
        with open(state, 'w', encoding='utf-8') as out:
            out.write('\n'.join(line for line in text.split('\n') if 'ckpt-20' not in line))
        self.train(mode='train', model_dir='again')
        self.same_values(self.path('straight', 'ckpt-20'), self.path('again', 'ckpt-20'))


class Predictions(Pairs):
    def setUp(self):
        super().setUp()
        self.train(mode='train')

    def test_vectors_are_in_the_order_of_the_lines(self):
        self.predict(more=['--output_path=all.tsv'])
        left = read_vectors(self.path('all.left.npy'))
        right = read_vectors(self.path('all.right.npy'))
        self.assertEqual((len(left), len(left[0]), len(right)), (40, 32, 40))
        for row in left + right:
            self.assertAlmostEqual(math.fsum(x * x for x in row), 1.0, delta=1e-5)
        # one line alone, and another batch size: the same vectors but for rounding
        self.write('one', self.eval_pairs[17][0] + '\n')
        self.predict(override='task.validation_data.input_path=one,'
                              'task.validation_data.right_input_path=null',
                     more=['--output_path=one.npy'])
        (alone,) = read_vectors(self.path('one.npy'))
        for a, b in zip(alone, left[17]):
            self.assertAlmostEqual(a, b, delta=2e-6)
        self.predict(override='task.validation_data.global_batch_size=7',
                     more=['--output_path=sevens.tsv'])
        for a, b in zip(read_vectors(self.path('sevens.right.npy')), right):
            self.assertLess(max(abs(x - y) for x, y in zip(a, b)), 2e-6)
        self.assertEqual(sorted(n for n in os.listdir(self.folder) if '.tmp' in n), [])

    def test_pairs_are_those_of_the_vectors(self):
        result = self.predict(override='task.mining_score=cosine,task.gold_pairs=rows')
        header, rows = read_pairs(self.path('out', 'pairs.tsv'))
        self.assertEqual(header, ['score', 'left_id', 'right_id', 'left_text', 'right_text'])
        left = read_vectors(self.path('out', 'left_vectors.npy'))
        right = read_vectors(self.path('out', 'right_vectors.npy'))
        cosines = [[math.fsum(x * y for x, y in zip(a, b)) for b in right] for a in left]
        best = [max(range(40), key=lambda j, row=row: row[j]) for row in cosines]
        accuracy = sum(j == i for i, j in enumerate(best)) / 40
        self.assertAlmostEqual(self.values(result)['left_accuracy'], accuracy, delta=1e-6)
        scores = [float(row[0]) for row in rows]
        self.assertEqual(scores, sorted(scores, reverse=True))
        for column in (1, 2):
            self.assertEqual(len({row[column] for row in rows}), len(rows))
        for score, i, j, left_text, right_text in rows:
            self.assertAlmostEqual(float(score), cosines[int(i)][int(j)], delta=2e-6)
            self.assertEqual(left_text, self.eval_pairs[int(i)][0])
            self.assertEqual(right_text, self.eval_pairs[int(j)][1])

    def test_gold_pairs_and_their_threshold(self):
        self.write('gold', ''.join('l-%d\tr-%d\n' % (i, i) for i in range(40)))
        result = self.predict(override='task.gold_pairs=gold')
        values = self.values(result)
        _header, rows = read_pairs(self.path('out', 'pairs.tsv'))
        kept = [row for row in rows if float(row[0]) >= values['score_threshold']]
        n_right = sum(row[1] == row[2] for row in kept)
        self.assertAlmostEqual(values['precision'], n_right / len(kept), delta=1e-6)
        self.assertAlmostEqual(values['recall'], n_right / 40, delta=1e-6)
        self.assertAlmostEqual(values['f1'], 2 * n_right / (len(kept) + 40), delta=1e-6)

    def test_a_table_may_be_the_output(self):
        result = self.predict(override='task.gold_pairs=rows', more=['--output_path=/dev/stdout'])
        lines = result.stdout.split('\n')
        self.assertTrue(lines[0].startswith('score\tleft_id'))
        self.assertNotIn('accuracy', result.stdout)

    def test_bad_input_is_told_with_its_place(self):
        def fails(code, words, override='', **files):
            for name, text in files.items():
                self.write('eval.' + name, text)
            error = self.one_error(self.predict(override=override, expect=code))
            for word in words:
                self.assertIn(word, error)
        fails(3, ['eval.left:3:2', 'UTF-8'], left=b'l1\nl2\nl\xff\n')
        fails(3, ['eval.left', 'no rows'], left=b'')
        self.write_sides('eval', self.eval_pairs)
        self.write('gold', '1\t1\n2 2\n')
        fails(3, ['gold:2', 'two ids'], override='task.gold_pairs=gold')
        fails(2, ['left side has 40 rows and the right side 2'], right=b'r1\nr2\n',
              override='task.gold_pairs=rows')
        error = self.one_error(self.train(expect=3, model_dir='new'))
        self.assertIn('row i of one side belongs to row i of the other', error)
        self.write_sides('eval', self.eval_pairs)
        fails(3, ['file_type is that of records'],
              override='task.validation_data.file_type=tfrecord')
        fails(2, ['vocab_file'], override='task.validation_data.vocab_file=null')


class Told(Pairs):
    """What is said of the rows before the first step."""

    def start(self, more='', **how):
        return self.train(override='trainer.train_steps=1,trainer.steps_per_loop=1' + more, **how)

    def test_each_side(self):
        pairs = make_pairs(40, seed=2)
        pairs[3], pairs[7] = ('', 'r1'), (' ', 'r2')
        pairs[5] = ('l1', 'r1 ' * 14 + 'r2')  # 15 pieces, room for 14
        self.write_sides('eval', pairs)
        said = self.start().stderr
        self.assertRegex(said, r'warning: task\.validation_data, left side: 2 of 40 rows have an empty '
                               r'text, the first is eval\.left:4\n')
        n = sum(len(right.split()) for _, right in pairs)
        self.assertRegex(said, r'task\.validation_data, right side: 1 of 40 rows are longer than '
                               r'seq_length 16 and cut: %.1f %% of all tokens' % (100.0 / n))
        self.assertNotRegex(said, 'right side: .* empty|left side: .* cut|train_data, ')
        told = self.predict(override='trainer.train_steps=1').stderr
        self.assertRegex(told, r'left side: 2 of 40 rows have an empty text')
        self.assertRegex(told, r'right side: 1 of 40 rows are longer')

    def test_pairs_of_both_sections(self):
        train = make_pairs(160, seed=1)
        pairs = make_pairs(40, seed=2)
        pairs[4], pairs[9] = train[100], train[3]
        pairs[6] = (train[1][0], train[2][1])  # each side alone is not a pair
        self.write_sides('eval', pairs)
        wanted = (r'warning: task\.validation_data: 2 of 40 rows \(5\.0 %\) have the texts of a row of '
                  r'task\.train_data, the first is row 5: ')
        self.assertRegex(self.start().stderr, wanted)
        for name, rows in (('train', train), ('eval', pairs)):  # both sides in a row
            self.write(name + '.tsv', 'a\tb\n' + ''.join('%s\t%s\n' % row for row in rows))
        tables = ''.join(',task.%s_data.%s' % (section, key) for section in ('train', 'validation')
                         for key in ('right_input_path=""', 'file_type=tsv',
                                     'left_text_fields=[a]', 'right_text_fields=[b]'))
        said = self.start(',task.train_data.input_path=train.tsv,task.validation_data.input_path='
                          'eval.tsv' + tables, model_dir='tables').stderr
        self.assertRegex(said, wanted)

    def test_case_of_the_vocabulary(self):
        self.write_sides('eval', [(l, r.upper()) for l, r in self.eval_pairs])
        lower = ',task.train_data.lower_case=false,task.validation_data.lower_case=false'
        n_left, n_right = (sum(len(p[i].split()) for p in self.eval_pairs) for i in (0, 1))
        said = self.start(lower).stderr
        self.assertRegex(said, r'warning: task\.validation_data\.lower_case is false, but 0 of 96 '
                               r'pieces .*; %.1f %% of the tokens are \[UNK\]'
                         % (100.0 * n_right / (n_left + n_right)))
        self.assertEqual(said.count('validation_data.lower_case is false'), 1)


if __name__ == '__main__':
    e2e.main()
