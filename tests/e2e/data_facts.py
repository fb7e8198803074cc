# SPDX-License-Identifier: Apache-2.0
"""What is said before the first step: of a vocabulary that is not the one that was meant, and of
rows that are empty, cut, left out, in both sections, or of classes in one section only."""
import gzip
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import e2e  # noqa: E402
import text_input  # noqa: E402
from text_input import CONFIG, DATA, VOCAB  # noqa: E402

SHORT = 'trainer.train_steps=2,trainer.steps_per_loop=1,trainer.validation_interval=2'


class Told(text_input.Text):
    def warnings(self, result):
        return [line.split(': ', 2)[2] for line in result.stderr.splitlines()
                if line.startswith('bert-train: warning: ')]

    def start(self, more='', validation='dev.tsv', **how):
        return self.text(override=self.tables(validation=validation,
                                              more=SHORT + (',' + more if more else '')), **how)

    def tells(self, words, more='', **how):
        result = self.start(more, **how)
        self.assertRegex(result.stderr, words)
        return result

    def vocabulary(self, change):
        with open(VOCAB, encoding='utf-8') as source:
            lines = source.read().splitlines()
        return self.write('v.txt', change(lines))


def n_pieces():
    with open(VOCAB, encoding='utf-8') as source:
        return len(source.read().splitlines())


class Vocabulary(Told):
    BOTH = 'task.train_data.vocab_file=v.txt,task.validation_data.vocab_file=v.txt'

    def permute(self):
        self.vocabulary(lambda v: '\n'.join(v[:30] + v[:29:-1]) + '\n')

    def test_one_in_both_sections(self):
        self.permute()
        result = self.start('task.validation_data.vocab_file=v.txt', expect=CONFIG)
        self.assertRegex(self.one_error(result), r'task.validation_data.vocab_file v\.txt \(\d+ bytes,'
                         r' crc32c [0-9a-f]{8}\) has other words than task.train_data.vocab_file '
                         r'\S+vocab_tf\.txt \(\d+ bytes')
        self.assertFalse(os.path.exists(self.path('out')))
        self.vocabulary(lambda v: '\r\n'.join(v) + '\r\n')  # the same words
        self.start('task.validation_data.vocab_file=v.txt')

    def test_its_hash_is_kept(self):
        self.start()
        with open(self.path('out', 'labels.json'), encoding='utf-8') as source:
            kept = json.load(source)['vocabulary']
        with open(VOCAB, 'rb') as source:
            self.assertEqual(kept['bytes'], len(source.read().rstrip()))
        self.assertRegex(kept['crc32c'], '^[0-9a-f]{8}$')
        self.permute()
        for mode, keys in (('eval', 'task.validation_data.vocab_file=v.txt'),
                           ('predict', 'task.validation_data.vocab_file=v.txt'),
                           ('train', self.BOTH)):
            result = self.start(keys, mode=mode, expect=CONFIG)
            self.assertIn('vocabulary' if mode != 'train' else 'the weights were trained for other '
                          'words', self.one_error(result))

    def test_of_a_checkpoint_that_says_nothing(self):
        """Model Garden's own would not: labels.json beside it does."""
        self.text(override='task.train_data.text_fields=null,task.validation_data.text_fields=null,' +
                  'task.train_data.vocab_file="",task.validation_data.vocab_file="",' +
                  SHORT + ',task.model.num_classes=3')  # records: it knows no words
        path = self.path('out', 'labels.json')
        with open(path, encoding='utf-8') as source:
            labels = json.load(source)
        self.assertNotIn('vocabulary', labels)
        self.start(mode='eval', more='task.model.num_classes=3')
        labels['vocabulary'] = {'bytes': 100, 'crc32c': '0000abcd'}
        self.write('out/labels.json', json.dumps(labels))
        result = self.start(mode='eval', more='task.model.num_classes=3', expect=CONFIG)
        self.assertIn('100 bytes, crc32c 0000abcd', self.one_error(result))

    def test_smaller_than_the_table(self):
        result = self.start()
        self.assertRegex(result.stderr, r'warning: \S+vocab_tf\.txt has \d+ pieces, the model\'s table'
                                        r' 100 rows \(vocab_size\): is it the vocabulary')

    def test_empty_lines(self):
        n = n_pieces()
        self.vocabulary(lambda v: '\n'.join(v) + '\n' * (103 - n))
        result = self.start(self.BOTH)
        self.assertRegex(result.stderr, r'warning: v\.txt: %d empty lines at the end \(from line %d '
                                        r'on\): left out' % (102 - n, n + 1))
        self.same_run_as_plain()
        self.vocabulary(lambda v: '\n'.join(v[:40] + [''] + v[40:]) + '\n')
        self.assertIn('v.txt:41: an empty line, which counts as a piece (there is 1)',
                      self.start(self.BOTH, model_dir='middle').stderr)

    def same_run_as_plain(self):
        self.start(model_dir='plain')
        self.same_values(self.path('out', 'ckpt-2'), self.path('plain', 'ckpt-2'))

    def test_special_pieces_once(self):
        self.vocabulary(lambda v: '\n'.join(v + ['[CLS]']) + '\n')
        n = n_pieces()
        result = self.start(self.BOTH, expect=DATA)
        self.assertIn('v.txt:%d: [CLS] again, which line 3 is already' % (n + 1),
                      self.one_error(result))
        self.vocabulary(lambda v: '\n'.join(v + ['cat']) + '\n')
        self.assertRegex(self.start(self.BOTH).stderr, r"warning: v\.txt:\d+: 'cat' is in a later "
                                                       r'line as well, which counts')

    def test_lines_that_hold_more(self):
        for change in (lambda v: ''.join('%s\t%d\n' % (p, i) for i, p in enumerate(v)),
                       lambda v: json.dumps({p: i for i, p in enumerate(v)}, indent=1)):
            self.vocabulary(change)
            result = self.start(self.BOTH, expect=DATA)
            self.assertRegex(self.one_error(result), r'v\.txt:\d+: .*\[CLS\].*: a vocabulary has a '
                                                     'piece in each line and nothing else')
        self.vocabulary(lambda v: '\r'.join(v))
        result = self.start(self.BOTH, expect=DATA)
        self.assertIn('v.txt: its lines end with CR alone', self.one_error(result))

    def test_case(self):
        self.write_tsv('upper.tsv', [('The Cat', 0), ('the cat', 1)])
        case = 'task.train_data.lower_case=false,task.validation_data.lower_case=false'
        result = self.start(case, validation='upper.tsv')
        self.assertRegex(result.stderr, r'warning: task\.validation_data\.lower_case is false, but 4 of '
                         r'\d+ pieces with letters in \S+vocab_tf\.txt have a capital one: words with '
                         r'one are rarely found; 25\.0 % of the tokens are \[UNK\]')
        self.vocabulary(lambda v: '\n'.join(v[:20] + [p.title() for p in v[20:]]) + '\n')
        result = self.start(self.BOTH, validation='upper.tsv', model_dir='upper')
        self.assertRegex(result.stderr, r'warning: task\.validation_data\.lower_case is true, but (\d+) '
                         r'of \d+ pieces with letters in v\.txt have a capital one: those are never '
                         r'found; 100\.0 % of the tokens are \[UNK\]')
        self.assertNotIn('a capital one', self.start(model_dir='right').stderr)


class Rows(Told):
    def test_without_text(self):
        self.write_tsv('dev.tsv', [('a cat', 1), ('', 0), (' ', 1)])
        self.tells(r'warning: task\.validation_data: 2 of 3 rows have an empty text, the first is '
                   r'dev\.tsv:3\n')
        self.write('pairs.csv', 'a,b,label\nthe cat,,1\n,,0\nx,y,1\n')
        self.start('task.validation_data.text_fields=[a,b]', validation='pairs.csv', model_dir='p')
        result = self.tells(r'warning: .* 2 of 3 rows have an empty text, the first is pairs\.csv:2\n',
                            'task.validation_data.text_fields=[a,b]', validation='pairs.csv',
                            model_dir='p', mode='predict')
        self.assertNotIn('task.train_data: ', ''.join(self.warnings(result)))

    def test_cut(self):
        self.write_tsv('dev.tsv', [('cat ' * 14, 1), ('cat ' * 15, 0), ('cat ' * 21, 1)])
        self.tells(r'task\.validation_data: 2 of 3 rows are longer than seq_length 16 and cut: '
                   r'16\.0 % of all tokens are left out\n')
        self.write_tsv('dev.tsv', [('cat ' * (20 if i < 10 else 1), i % 2) for i in range(1500)])
        self.tells(r'task\.validation_data: 10 of 1000 rows \(the first ones\) are longer than '
                   r'seq_length 16 and cut: 5\.0 % of all', model_dir='long')

    def test_rows_that_are_held_out(self):
        """Counted once, of the whole table; rows of the two parts are compared as they are."""
        rows = [('cat %d' % i, i % 2) for i in range(40)] + [('', 0), ('cat ' * 20, 1)]
        self.write_tsv('train.tsv', rows)
        parts = ','.join('task.%s_data.%s' % (s, k) for s, h in (('train', 'without'), ('validation', 'only'))
                         for k in ('held_out=' + h, 'held_out_share=0.1'))
        said = self.start(parts, validation='train.tsv').stderr
        self.assertIn('warning: task.train_data, with the rows to evaluate on: 1 of 42 rows have an empty '
                      'text', said)
        self.assertEqual(said.count('have an empty text'), 1)
        self.assertEqual(said.count('and cut'), 1)
        self.assertNotIn('was memorized', said)
        said = self.start(parts, validation='train.tsv', mode='eval').stderr
        self.assertIn('task.validation_data, with the rows to train on: 1 of 42 rows are longer', said)

    def test_never_read(self):
        self.tells(r'warning: task\.validation_data\.drop_remainder is true: the last 4 of 20 rows are never read, because they do not fill a batch of 8\n',
                   'task.validation_data.drop_remainder=true')

    def test_classes_of_one_section(self):
        self.write_tsv('train.tsv', [('a', 'x'), ('b', 'y'), ('c', 'z'), ('d', 'z')])
        self.write_tsv('dev.tsv', [('e', 'x'), ('f', 'x')])
        result = self.tells(r"\n.*2 of 3 classes occur in task\.train_data only \(3 rows\) and not in "
                            r"task\.validation_data: 'y', 'z'\n",
                            'task.model.num_classes=3,task.train_data.global_batch_size=2')
        self.assertNotIn('only', ''.join(self.warnings(result)))
        self.write_tsv('train.tsv', [('a', 0), ('b', 1)])
        self.write_tsv('dev.tsv', [('e', 2), ('f', 2)])
        self.tells(r"warning: 1 of 3 classes occurs in task\.validation_data only \(2 rows\) and not "
                   r"in task\.train_data: '2'\n", model_dir='numbers', more=
                   'task.model.num_classes=3,task.train_data.global_batch_size=2')

    def test_rows_of_both_sections(self):
        rows = self.rows['dev'][:8] + self.rows['train'][3:5]
        self.write_tsv('dev.tsv', [(text, 1 - label) for text, label in rows])
        same = [i for i, (text, _) in enumerate(rows)
                if text in [t for t, _ in self.rows['train']]]
        self.tells(r'warning: task\.validation_data: %d of 10 rows \(%d\.0 %%\) have the texts of a row '
                   r'of task\.train_data, the first is row %d: '
                   % (len(same), 10 * len(same), same[0] + 1))

    def test_nothing_to_tell(self):
        n = n_pieces()
        self.write_tsv('train.tsv', [('a cat', 0), ('a dog', 1), ('a ; dog', 1), ('run', 0)])
        self.write_tsv('dev.tsv', [('the cat', 0), ('the dog', 1)])
        result = self.start('task.model.encoder.bert.vocab_size=%d' % n)
        self.assertEqual([w for w in self.warnings(result) if 'init_checkpoint' not in w
                          and 'not learned' not in w and 'warm-up' not in w], [])


class Records(e2e.Case):
    def start(self, train, dev, more='', **how):
        e2e.write_records(self.path('train.rec'), train)
        e2e.write_records(self.path('dev.rec'), dev)
        return self.records(more, **how)

    def records(self, more='', **how):
        return self.train(override='task.train_data.input_path=train.rec,task.validation_data.input_path='
                          'dev.rec,trainer.train_steps=1,trainer.steps_per_loop=1,'
                          'trainer.validation_interval=1' + (',' + more if more else ''), **how)

    def labelled(self, labels, seed):
        return [row for i, label in enumerate(labels)
                for row in e2e.make_rows(1, seed=seed * 10000 + i, label=[label])]

    def test_records_of_both_sections(self):
        train = self.labelled([i % 3 for i in range(40)], 1)
        dev = self.labelled([0, 1, 2] * 5, 2)
        dev[4], dev[9] = train[30], train[7]
        dev[6] = dict(train[8], label_ids=[(train[8]['label_ids'][0] + 1) % 3])  # another label
        wanted = ('warning: task.validation_data: 2 of 15 records (13.3 %) have the length and checksum of '
                  'a record of task.train_data, the first is record 4: ')
        self.assertIn(wanted, self.start(train, dev).stderr)
        more = ''
        for name, section in (('train.rec', 'train'), ('dev.rec', 'validation')):  # one of them, then both
            with open(self.path(name), 'rb') as source:
                packed = gzip.compress(source.read())
            with open(self.path(name), 'wb') as target:
                target.write(packed)
            more += ',task.%s_data.file_type=tfrecord_compressed' % section
            self.assertIn(wanted, self.records(more[1:], model_dir=section).stderr)
        self.assertNotIn('checksum', self.start(train, self.labelled([0, 1, 2], 3), model_dir='no').stderr)

    def test_classes_of_one_section(self):
        said = self.start(self.labelled([0, 0, 1] * 20, 1), self.labelled([0, 2, 0, 2], 2)).stderr
        self.assertIn("1 of 3 classes occurs in task.train_data only (20 rows) and not in "
                      "task.validation_data: '1'\n", said)
        self.assertIn("warning: 1 of 3 classes occurs in task.validation_data only (2 rows) and not in "
                      "task.train_data: '2'\n", said)
        said = self.start(self.labelled([0] * 1000 + [1, 2], 1), self.labelled([0, 1, 2], 2),
                          model_dir='long').stderr
        self.assertIn("bert-train: 2 of 3 classes occur in task.validation_data only (2 rows) and not in "
                      "task.train_data: '1', '2'; of task.train_data the first 1000 rows were looked at\n",
                      said)

    def test_labels_that_no_class_has(self):
        rows = self.labelled([0, 1, 2] * 100, 1)
        for i, label in ((250, 3), (252, 7), (254, 3)):
            rows[i]['label_ids'] = [label]
        said = self.start(rows, rows[:9]).stderr
        self.assertRegex(said, r'warning: task\.train_data: 3 of the first 300 records stop the run when '
                               r'their turn comes: train\.rec: record 250 at byte \d+: label_ids is 3, but '
                               r'there are 3 classes .*; 5 different label_ids occur in them: 0, 1, 2, 3, 7\n')
        result = self.start([dict(row, label_ids=[row['label_ids'][0] + 1]) for row in rows[:30]][2:],
                            rows[:9], model_dir='first', expect=DATA)  # the first one too
        self.assertRegex(result.stderr, r'10 of the first 28 records stop .*; 3 different label_ids occur '
                                        'in them: 1, 2, 3\n')
        with open(self.path('train.rec'), 'r+b') as file:  # damage is another thing
            e2e.write_records(self.path('train.rec'), self.labelled([0, 1, 2] * 9, 1))
            file.seek(-1, os.SEEK_END)
            file.write(b'?')
        self.assertNotIn('their turn', self.records('task.train_data.skip_bad_records=1',
                                                    model_dir='skips').stderr)
        self.assertIn('1 of the first 27 records stop the run', self.records(
            'task.train_data.global_batch_size=2', model_dir='damaged').stderr)


class Labels(Told):
    """Classes that are learned, and perhaps a slip."""

    def learned(self, *labels, **how):
        self.write_tsv('train.tsv', [('a', label) for label in labels])
        self.write_tsv('dev.tsv', [('b', labels[0])])
        return self.start('task.model.num_classes=%d,task.train_data.global_batch_size=2'
                          % len(set(labels)), **how)

    def test_one_but_for_its_form(self):
        for name, labels in (('case', ('Yes', 'no', 'yes')), ('nbsp', ('a b', 'x', 'a\u00a0b')),
                             ('nfd', ('\u00e9t\u00e9', 'x', 'e\u0301te\u0301')), ('number', ('01', 'x', '1.0')),
                             ('blank', ('a  b', 'x', 'a b'))):
            said = self.learned(*labels, labels[2], model_dir=name).stderr
            self.assertIn("warning: task.train_data: labels '%s' (1 rows) and '%s' (2 rows) are two classes "
                          'that differ only in case, accents, spaces or the form of a number\n'
                          % (labels[0], labels[2]), said)
        said = self.learned('a', 'A', 'b', 'B', model_dir='two').stderr
        self.assertIn('the form of a number (there are 2 such pairs)\n', said)
        for i, labels in enumerate((('ab', 'a b'), ('-1', '1'), ('a', 'b'))):
            said = self.learned(*labels, model_dir='differ%d' % i).stderr
            self.assertNotIn('two classes', said)

    def test_a_missing_label_that_is_a_class(self):
        said = self.learned('pos', 'nan', 'neg', 'nan').stderr
        self.assertIn("warning: task.train_data: label 'nan' (2 rows) is a class like the others: is it a "
                      'missing one?\n', said)


if __name__ == '__main__':
    e2e.main()
