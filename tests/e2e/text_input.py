# SPDX-License-Identifier: Apache-2.0
"""Training straight from tables of text: the same bits as from records that create-finetuning-data
made of them, whatever the table's form; resume; names of classes; bad tables; flat memory."""
import bz2
import csv
import gzip
import io
import json
import lzma
import os
import random
import shutil
import signal
import subprocess
import sys
import unittest
import zipfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402

CONFIG, DATA = 2, 3
VOCAB = os.path.join(e2e.SOURCE, 'tests/goldens/text/vocab_tf.txt')
WORDS = 'the cat dog run jump over lazy un new york a b c d e 1 2'.split()
TEXT = '''\
task:
  model:
    num_classes: 2
  train_data:
    text_fields: [sentence]
    vocab_file: %s
  validation_data:
    text_fields: [sentence]
    vocab_file: %s
''' % (VOCAB, VOCAB)


def make_rows(n, seed):
    rng = random.Random(seed)
    rows = []
    for _ in range(n):
        words = [rng.choice(WORDS) for _ in range(rng.randint(1, 12))]
        text = ' '.join(words) + rng.choice(['', '.', ' "x"', ', \u00e9!'])
        rows.append((text, len(words[0]) % 2))
    return rows


class Text(e2e.Case):
    def setUp(self):
        super().setUp()
        self.write('text.yaml', TEXT)
        self.rows = {'train': make_rows(64, 3), 'dev': make_rows(20, 4)}
        for name, rows in self.rows.items():
            self.write_tsv(name + '.tsv', rows)

    def write_tsv(self, name, rows):
        lines = ['sentence\tlabel'] + ['%s\t%s' % row for row in rows]
        return self.write(name, '\n'.join(lines) + '\n')

    def tables(self, train='train.tsv', validation='dev.tsv', more=''):
        """Overrides that name the inputs."""
        text = 'task.train_data.input_path="%s",task.validation_data.input_path="%s"'
        return text % (train, validation) + (',' + more if more else '')

    def text(self, override='', experiment='bert/sentence_prediction', **how):
        files = how.pop('files', ('model.yaml', 'run.yaml', 'text.yaml'))
        args = self.args(override=override, files=files, **{
            key: how.pop(key) for key in list(how) if key in ('mode', 'model_dir', 'more')})
        args[0] = '--experiment=' + experiment
        expect = how.pop('expect', 0)
        result = e2e.run(args, cwd=self.folder, **how)
        self.assertEqual(result.code, expect, str(result))
        return result

    def same_run(self, a, b):
        self.same_values(self.path(a, 'ckpt-20'), self.path(b, 'ckpt-20'))

        def values(folder):
            skip = ('per_second', 'seconds', 'input_wait')
            return [{k: v for k, v in record.items() if not k.endswith(skip)}
                    for record in e2e.read_jsonl(self.path(folder))]
        self.assertEqual(values(a), values(b))


class Forms(Text):
    def test_the_same_bits_as_from_records(self):
        made = e2e.run(['--fine_tuning_task_type=classification', '--classification_task_name=SST-2',
                        '--input_data_dir=.', '--vocab_file=' + VOCAB, '--max_seq_length=16',
                        '--train_data_output_path=made.tf_record',
                        '--eval_data_output_path=made_eval.tf_record',
                        '--meta_data_file_path=meta'], name='create-finetuning-data',
                       cwd=self.folder)
        self.assertEqual(made.code, 0, str(made))
        self.text(override=self.tables('made.tf_record', 'made_eval.tf_record'),
                  files=('model.yaml', 'run.yaml', 'text.yaml', self.write('plain.yaml', '''\
task: {train_data: {text_fields: null}, validation_data: {text_fields: null}}
''')), model_dir='records')
        self.text(override=self.tables(), model_dir='table')
        self.same_run('records', 'table')

    def make_table(self, folder, *more, expect=0):
        made = e2e.run(['--fine_tuning_task_type=classification', '--classification_task_name=table',
                        '--input_data_dir=' + folder, '--vocab_file=' + VOCAB, '--max_seq_length=16',
                        '--train_data_output_path=t.rec', '--eval_data_output_path=e.rec',
                        '--meta_data_file_path=m'] + list(more), name='create-finetuning-data', cwd=self.folder)
        self.assertEqual(made.code, expect, str(made))
        return made

    def test_records_of_a_set_of_ones_own(self):
        """--classification_task_name=table: the records that SST-2 makes of the same rows, and names."""
        made = e2e.run(['--fine_tuning_task_type=classification', '--classification_task_name=SST-2',
                        '--input_data_dir=.', '--vocab_file=' + VOCAB, '--max_seq_length=16',
                        '--train_data_output_path=made.rec', '--eval_data_output_path=made_eval.rec',
                        '--meta_data_file_path=meta'], name='create-finetuning-data', cwd=self.folder)
        self.assertEqual(made.code, 0, str(made))
        want = [self.bytes('made.rec'), self.bytes('made_eval.rec')]
        self.make_table('.', '--text_fields=sentence')
        self.assertEqual([self.bytes('t.rec'), self.bytes('e.rec')], want)
        os.mkdir(self.path('own'))
        names = {0: 'bad', 1: 'good'}
        with open(self.path('own/train.csv'), 'w', encoding='utf-16', newline='') as out:
            writer = csv.writer(out, delimiter=';')
            writer.writerow(['what', 'text'])
            writer.writerows((names[label], text) for text, label in self.rows['train'])
        self.write('own/valid.jsonl.bz2', bz2.compress(json.dumps(
            [{'text': text, 'what': names[label]} for text, label in self.rows['dev']]).encode()))
        self.make_table('own', '--text_fields=text', '--label_field=what')
        self.assertEqual([self.bytes('t.rec'), self.bytes('e.rec')], want)
        meta = json.loads(self.bytes('m'))
        self.assertEqual((meta['processor_type'], meta['num_labels'], meta['label_list'], meta['train_data_size']),
                         ('table', 2, ['bad', 'good'], 64))
        self.write('own/train.csv', 'what,text\n5,a\n10,b\n2,c\n')
        self.write('own/valid.jsonl.bz2', bz2.compress(b'{"text": "a", "what": 10}'))
        self.make_table('own', '--text_fields=text', '--label_field=what')
        self.assertEqual(json.loads(self.bytes('m'))['label_list'], ['2', '5', '10'])
        self.write('own/valid.jsonl.bz2', bz2.compress(b'{"text": "a", "what": 3}'))
        result = self.make_table('own', '--text_fields=text', '--label_field=what', expect=DATA)
        self.assertIn('valid.jsonl.bz2', result.stderr)
        result = self.make_table('own', expect=CONFIG)
        self.assertIn('table needs --text_fields', result.stderr)
        result = self.make_table('own', '--text_fields=a,b,c', expect=CONFIG)
        self.assertIn('expected one or two columns', result.stderr)
        self.make_table('none', '--text_fields=a', expect=DATA)
        result = self.make_table('own', '--text_fields=a', '--classification_task_name=COLA', expect=CONFIG)
        self.assertIn('--text_fields is for --classification_task_name=table', result.stderr)

    def test_csv_as_python_reads_it(self):
        """What Python's csv makes of random quotes, separators and line ends, written as JSON, gives the
        same records; or it is refused: text after a closing quote, and rows of other lengths."""
        rng = random.Random(11)
        same = 0
        os.mkdir(self.path('x'))
        os.mkdir(self.path('y'))
        for _ in range(60):
            delimiter = rng.choice(',;\t')
            lines = [delimiter.join(('a', 'b', 'label'))]
            for i in range(5):
                fields = [''.join(rng.choice(['a', '"', ' ', '!', delimiter, '""', '\n', 'the'])
                                  for _ in range(rng.randint(0, 6))) for _ in range(2)]
                fields = ['"%s"' % f.replace('"', '""') if rng.random() < 0.4
                          else f.replace(delimiter, '').replace('\n', '') for f in fields]
                lines.append(delimiter.join([f if f.strip() else 'a' + f for f in fields] + [str(i % 2)]))
            text = '\n'.join(lines) + '\n'
            rows = [row for row in csv.reader(io.StringIO(text, newline=''), delimiter=delimiter) if row]
            self.write('x/train.csv', text.encode())
            args = ['--text_fields=a,b', '--eval_data_output_path=']
            if any(len(row) != 3 or row[2] not in '01' for row in rows[1:]):
                self.make_table('x', *args, expect=DATA)
                continue
            made = e2e.run(['--classification_task_name=table', '--input_data_dir=x', '--vocab_file=' + VOCAB,
                            '--max_seq_length=32', '--train_data_output_path=x.rec', '--meta_data_file_path=m'] + args,
                           name='create-finetuning-data', cwd=self.folder)
            if made.code != 0:
                self.assertRegex(made.stderr, 'text after a closing quote|is never closed', text)
                continue
            self.write('y/train.jsonl', ''.join(json.dumps(dict(zip(('a', 'b', 'label'), row))) + '\n' for row in rows[1:]))
            made = e2e.run(['--classification_task_name=table', '--input_data_dir=y', '--vocab_file=' + VOCAB,
                            '--max_seq_length=32', '--train_data_output_path=y.rec', '--meta_data_file_path=m'] + args,
                           name='create-finetuning-data', cwd=self.folder)
            self.assertEqual(made.code, 0, str(made))
            self.assertEqual(self.bytes('x.rec'), self.bytes('y.rec'), text)
            same += 1
        self.assertGreater(same, 10)

    def bytes(self, name):
        with open(self.path(name), 'rb') as source:
            return source.read()

    def test_every_form_gives_the_same_bits(self):
        self.text(override=self.tables(), model_dir='tsv')
        with open(self.path('train.csv'), 'w', encoding='utf-8', newline='') as out:
            writer = csv.writer(out)
            writer.writerow(['label', 'sentence'])
            writer.writerows((label, text) for text, label in self.rows['train'])
        with open(self.path('train.jsonl'), 'w', encoding='utf-8') as out:
            for text, label in self.rows['train']:
                out.write(json.dumps({'sentence': text, 'label': label}) + '\n')
        with open(self.path('train.tsv'), 'rb') as source:
            plain = source.read()
        self.write('train.tsv.gz', gzip.compress(plain))
        self.write('table', plain)
        self.write_tsv('part-1.tsv', self.rows['train'][:30])
        self.write_tsv('part-2.tsv', self.rows['train'][30:])
        forms = {'csv': 'train.csv', 'jsonl': 'train.jsonl', 'gz': 'train.tsv.gz',
                 'parts': 'part-*.tsv', 'list': 'part-1.tsv, part-2.tsv', 'named': 'table'}
        for name, path in forms.items():
            more = 'task.train_data.file_type=tsv' if name == 'named' else ''
            self.text(override=self.tables(path, more=more), model_dir=name)
            self.same_run('tsv', name)

    def test_packed_files_give_the_same_bits(self):
        """Five files, each packed in another way, one of them without saying so."""
        plain = []
        for i in range(5):
            self.write_tsv('part-%d.tsv' % i, self.rows['train'][13 * i:13 * (i + 1)])
            with open(self.path('part-%d.tsv' % i), 'rb') as source:
                plain.append(source.read())
        self.write('packed-0.tsv.bz2', bz2.compress(plain[0][:90]) + bz2.compress(plain[0][90:]))
        self.write('packed-1.tsv.xz', lzma.compress(plain[1]))
        with zipfile.ZipFile(self.path('packed-2.tsv.zip'), 'w', zipfile.ZIP_DEFLATED) as out:
            out.writestr('folder/train.tsv', plain[2])
            out.writestr('__MACOSX/folder/._train.tsv', b'x')
        self.write('packed-3.tsv', lzma.compress(plain[3]))
        if shutil.which('zstd'):
            subprocess.run(['zstd', '-q', self.path('part-4.tsv'), '-o', self.path('packed-4.tsv.zst')], check=True)
        else:
            print('no zstd here: its files are not tried')
            self.write('packed-4.tsv', plain[4])
        self.text(override=self.tables('part-*.tsv'), model_dir='plain')
        self.text(override=self.tables('packed-*'), model_dir='packed')
        self.same_run('plain', 'packed')

    def test_a_folder_a_class(self):
        rows = sorted((str(label), '%04d.txt' % i, text) for i, (text, label) in enumerate(self.rows['train']))
        for label, name, text in rows:
            os.makedirs(self.path('classes', label), exist_ok=True)
            self.write('classes/%s/%s' % (label, name), text)
        self.write('classes/README', 'no class')
        self.write_tsv('sorted.tsv', [(text, label) for label, _name, text in rows])
        self.text(override=self.tables('sorted.tsv'), model_dir='sorted')
        result = self.text(override=self.tables('classes', more='task.train_data.text_fields=[text]'), model_dir='classes')
        self.assertIn('left out, as no .txt files in one, are 1', result.stderr)
        self.same_run('sorted', 'classes')

    def test_files_that_cannot_be_unpacked(self):
        with open(self.path('train.tsv'), 'rb') as source:
            plain = source.read()
        packed = {'bz2': bz2.compress(plain), 'xz': lzma.compress(plain)}
        with zipfile.ZipFile(self.path('whole.zip'), 'w', zipfile.ZIP_DEFLATED) as out:
            out.writestr('train.tsv', plain)
        with open(self.path('whole.zip'), 'rb') as source:
            packed['zip'] = source.read()
        for kind, data in packed.items():
            self.write('cut.tsv.' + kind, data[:len(data) // 2])
            result = self.text(override=self.tables('cut.tsv.' + kind), expect=DATA)
            self.assertIn('cut.tsv.%s' % kind, self.one_error(result))
            self.write('none.tsv.' + kind, plain)
            result = self.text(override=self.tables('none.tsv.' + kind), expect=DATA)
            self.assertIn('none.tsv.%s has that name, but is not compressed' % kind, self.one_error(result))
        with zipfile.ZipFile(self.path('two.tsv.zip'), 'w') as out:
            out.writestr('a.tsv', plain)
            out.writestr('b.tsv', plain)
        result = self.text(override=self.tables('two.tsv.zip'), expect=DATA)
        self.assertIn('two.tsv.zip holds 2 files: a.tsv, b.tsv: unpack it', self.one_error(result))
        with zipfile.ZipFile(self.path('empty.tsv.zip'), 'w'):
            pass
        result = self.text(override=self.tables('empty.tsv.zip'), expect=DATA)
        self.assertIn('empty.tsv.zip', self.one_error(result))

    def test_files_of_columns(self):
        for name, data, what in (('x.parquet', b'PAR1', 'Parquet'), ('x.csv', b'PAR1\0\0', 'Parquet'),
                                 ('x.bin', b'ARROW1\0\0', 'Arrow'), ('x.feather', b'FEA1', 'Feather'),
                                 ('x.arrow', b'ARROW1\0\0', 'Arrow'), ('y.arrow', b'\xff\xff\xff\xff', 'Arrow'),
                                 ('x.xlsx', b'PK\3\4', 'Excel')):
            self.write(name, data + b'x' * 40)
            result = self.text(override=self.tables(name), expect=DATA)
            error = self.one_error(result)
            self.assertRegex(error, '%s is an? %s file, which this program cannot read; python3 -c ' % (name, what))
            self.assertIn(".to_json('data.jsonl'", error)
            # pandas 3 and datasets 5 ran each of these commands; only streams are datasets' own
            self.assertIn('datasets' if name == 'y.arrow' else 'pandas', error)

    def test_wrong_folders(self):
        fields = 'task.train_data.text_fields=[text]'
        os.makedirs(self.path('empty'))
        result = self.text(override=self.tables('empty', more=fields), expect=DATA)
        self.assertIn('empty is a folder without folders in it', self.one_error(result))
        os.makedirs(self.path('bad/pos'))
        self.write('bad/pos/1.txt', b'caf\xe9')
        result = self.text(override=self.tables('bad', more=fields), expect=DATA)
        self.assertIn("bad/pos/1.txt: not valid UTF-8; in Windows-1252 (Latin-1) it would read 'caf\u00e9'",
                      self.one_error(result))
        os.remove(self.path('bad/pos/1.txt'))
        result = self.text(override=self.tables('bad', more=fields), expect=DATA)
        self.assertIn('bad: no rows', self.one_error(result))

    def test_without_a_header(self):
        self.text(override=self.tables(), model_dir='names')
        for name, rows in self.rows.items():
            self.write(name + '.tsv', ''.join('x\t%d\t*\t%s\n' % (label, text)
                                              for text, label in rows))
        keys = 'task.%s.text_fields=["4"],task.%s.label_field="2"'
        more = ','.join(keys % (s, s) for s in ('train_data', 'validation_data'))
        self.text(override=self.tables(more=more), model_dir='numbers')
        self.same_run('names', 'numbers')

    def test_the_experiment_of_model_garden(self):
        """Its tokenizer is another one: the words with an accent differ, so the bits do."""
        self.text(override=self.tables(), model_dir='python')
        result = self.text(override=self.tables(), model_dir='tf',
                           experiment='bert/sentence_prediction_text')
        self.assertRegex(result.stdout, 'cls_accuracy')
        features = [{'sentence': [text.encode()], 'label': [label]}
                    for text, label in self.rows['train']]
        e2e.write_records(self.path('text.tf_record'), features)
        self.text(override=self.tables('text.tf_record'), model_dir='records',
                  experiment='bert/sentence_prediction_text')
        self.same_run('tf', 'records')

    def test_the_wait_is_recorded(self):
        result = self.text(override=self.tables())
        records = [r for r in e2e.read_jsonl(self.path('out')) if r['kind'] == 'train']
        self.assertEqual(len(records), 4)
        for record in records:
            self.assertGreaterEqual(record['input_wait'], 0)
            self.assertLessEqual(record['input_wait'], 1)
        self.assertRegex(result.stderr, r'\| input_wait [0-9]')


class Resume(Text):
    def check(self, train, override='', sent=signal.SIGTERM, expect=75):
        """Stopped at the first checkpoint, then continued: the same bits as the straight run."""
        override = self.tables(train, more='trainer.train_steps=200,trainer.checkpoint_interval=5,'
                                           'trainer.validation_interval=200' + override)
        self.text(override=override, model_dir='straight')

        def saved():
            return os.path.exists(self.path('out', 'ckpt-5.index'))
        self.text(override=override, expect=expect, stop_when=(saved, sent))
        self.text(override=override)
        self.same_values(self.path('straight', 'ckpt-200'), self.path('out', 'ckpt-200'))

    def split(self, is_gzip):
        for i in range(3):
            name = 'part-%d.tsv' % i
            self.write_tsv(name, self.rows['train'][i * 20:i * 20 + 20 + i])
            if is_gzip:
                with open(self.path(name), 'rb') as source:
                    self.write(name + '.gz', gzip.compress(source.read()))
        return 'part-*.tsv.gz' if is_gzip else 'part-*.tsv'

    def test_shuffled_files(self):
        self.check(self.split(False))

    def test_interleaved_files_in_order(self):
        self.check(self.split(False), ',task.train_data.shuffle_buffer_size=1,'
                                      'task.train_data.cycle_length=2')

    def test_gzip_and_kill_9(self):
        self.check(self.split(True), sent=signal.SIGKILL, expect=-signal.SIGKILL)


class Names(Text):
    def setUp(self):
        super().setUp()
        for name, rows in self.rows.items():
            self.write_tsv(name + '.tsv', [(text, ('bad', 'good')[label]) for text, label in rows])

    def test_names_are_learned_and_kept(self):
        result = self.text(override=self.tables())
        self.assertRegex(result.stderr,
                         "task.train_data: 2 classes by name, numbered from 0: 'bad', 'good'")
        with open(self.path('out', 'labels.json'), encoding='utf-8') as source:
            self.assertEqual(json.load(source)['label_names'], ['bad', 'good'])
        self.text(override=self.tables(), mode='eval')
        self.write('dev.tsv', 'sentence\nthe cat\nun a\n')
        self.text(override=self.tables(), mode='predict')
        with open(self.path('out', 'predictions.tsv'), encoding='utf-8') as source:
            lines = source.read().splitlines()
        self.assertEqual(lines[0].split('\t'), ['id', 'label', 'probability_bad',
                                                'probability_good'])
        self.assertEqual(len(lines), 3)
        self.assertIn(lines[1].split('\t')[1], ('bad', 'good'))

    def test_names_by_number_are_the_same_model(self):
        self.text(override=self.tables(), model_dir='names')
        for name, rows in self.rows.items():
            self.write_tsv(name + '.tsv', rows)
        self.text(override=self.tables(), model_dir='numbers')
        self.same_run('names', 'numbers')

    def test_given_names_keep_their_order(self):
        override = self.tables(more='task.label_names=[good,bad]')
        result = self.text(override=override)
        self.assertNotIn('by name', result.stderr)
        with open(self.path('out', 'labels.json'), encoding='utf-8') as source:
            self.assertEqual(json.load(source)['label_names'], ['good', 'bad'])

    def test_unknown_name_in_the_evaluation(self):
        self.write_tsv('dev.tsv', [('a', 'good'), ('b', 'fair')])
        result = self.text(override=self.tables(), expect=DATA)
        self.assertRegex(self.one_error(result),
                         r"dev\.tsv:3:1: label 'fair' is none of the classes 'bad', 'good'")
        self.assertFalse(os.path.exists(self.path('out')))

    def test_what_was_learned_by_name_is_never_a_number(self):
        """Case facts/01: one file counts from 1, the other from 0."""
        for name, rows in self.rows.items():
            self.write_tsv(name + '.tsv', [(text, label + 1) for text, label in rows])
        zeros = [('the cat', 1), ('un a', 0)]
        for rows in (zeros, zeros[::-1]):
            self.write_tsv('zeros.tsv', rows)
            result = self.text(override=self.tables(validation='zeros.tsv'), expect=DATA)
            self.assertRegex(self.one_error(result), r"zeros\.tsv:[23]:1: label '0' is none of the "
                                                     "classes '1', '2' of task.train_data")
            self.assertFalse(os.path.exists(self.path('out')))
        self.text(override=self.tables())
        with open(self.path('out', 'labels.json'), encoding='utf-8') as source:
            labels = json.load(source)
        del labels['vocabulary']
        self.assertEqual(labels, {'num_labels': 2, 'label_names': ['1', '2'],
                                  'labels_are': 'names', 'processor_type': None})
        self.write_tsv('zeros.tsv', [('the cat', 0)])
        result = self.text(override=self.tables(validation='zeros.tsv'), mode='eval', expect=DATA)
        self.assertRegex(self.one_error(result), r"zeros\.tsv:2:1: label '0' is none of the "
                                                 "classes '1', '2' of out/labels.json")
        self.write_tsv('floats.tsv', [('the cat', '2.0'), ('un a', '1.0')])
        self.text(override=self.tables(validation='floats.tsv'), mode='eval')
        self.write_tsv('words.tsv', [('the cat', 'bad'), ('un a', 'good')])
        self.text(override=self.tables('words.tsv', 'words.tsv'), mode='train', model_dir='words')
        result = self.text(override=self.tables(validation='zeros.tsv'), mode='eval',
                           model_dir='words', expect=DATA)
        self.assertRegex(self.one_error(result), "label '0' is none of the classes 'bad', 'good'")

    def test_a_model_that_knows_numbers_only(self):
        override = self.tables('numbers.tsv')
        self.write_tsv('numbers.tsv', self.rows['train'])
        result = self.text(override=override, mode='train')
        result = self.text(override=override, mode='eval', expect=DATA)
        self.assertRegex(self.one_error(result), r"dev\.tsv:2:1: label '(bad|good)' is not a class "
                                                 'number.*task.label_names')
        result = self.text(override=self.tables(), mode='train', expect=DATA)
        self.assertRegex(self.one_error(result), r'train\.tsv:2:1: label .*task.label_names')
        self.text(override=override + ',task.label_names=[bad,good]', mode='eval')


class Weights(Text):
    """task.train_data.weight_field: sum(w loss) / sum(w) over the rows of a batch."""
    def table(self, weights):
        rows = [(text, label) for text, label in self.rows['train']]
        self.write('w.tsv', 'sentence\tlabel\tw\n' + ''.join(
            '%s\t%d\t%s\n' % (text, label, weights(i, label)) for i, (text, label) in
            enumerate(rows)))
        return self.tables('w.tsv', more='task.train_data.weight_field=w')

    def test_how_much_a_row_counts(self):
        self.text(override=self.tables(), model_dir='plain')
        for name, weight in (('ones', '1'), ('twos', '2.0'), ('halves', '5e-1')):
            self.text(override=self.table(lambda i, label, w=weight: w), model_dir=name)
            self.same_values(self.path('plain', 'ckpt-20'), self.path(name, 'ckpt-20'))
        learn = (',trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate=0.01,'
                 'trainer.validation_interval=20')
        for wanted in (0, 1):
            self.text(override=self.table(lambda i, label, wanted=wanted: int(label == wanted)) + learn,
                      model_dir='only-%d' % wanted)
            last = [r for r in e2e.read_jsonl(self.path('only-%d' % wanted))
                    if r['kind'] == 'validation'][-1]
            share = sum(label == wanted for _, label in self.rows['dev']) / 20
            self.assertAlmostEqual(last['cls_accuracy'], share, delta=1e-6)

    def test_what_is_no_weight(self):
        for weight, text in (('-1', r'w\.tsv:2:1: field w is -1: the weight of a row is 0 or more'),
                             ('nan', r"w\.tsv:2:1: field w: 'nan' is not a score: is it missing\?"),
                             ('x', r"w\.tsv:2:1: field w: 'x' is not a number")):
            result = self.text(override=self.table(lambda i, label, w=weight: w), expect=DATA)
            self.assertRegex(self.one_error(result), text)
        result = self.text(override=self.tables(more='task.train_data.weight_field=w'), expect=DATA)
        self.assertIn("no column is called 'w'", self.one_error(result))
        result = self.text(override=self.tables(more='task.validation_data.weight_field=w'),
                           expect=CONFIG)
        self.assertIn('rows weigh in training only', self.one_error(result))

    def test_records(self):
        rows = e2e.make_rows(16)
        for row in rows:
            row['w'] = [2.0]
        e2e.write_records(self.path('train.tf_record'), rows)
        self.train(model_dir='plain')
        self.train(model_dir='weighted', override='task.train_data.weight_field=w')
        self.same_values(self.path('plain', 'ckpt-20'), self.path('weighted', 'ckpt-20'))


class Refusals(Text):
    def refused(self, code, *words, override=''):
        result = self.text(override=self.tables(more=override), expect=code)
        error = self.one_error(result)
        for word in words:
            self.assertRegex(error, word)
        self.assertFalse(os.path.exists(self.path('out')), 'model_dir was made before the refusal')

    def test_bad_utf8(self):
        with open(self.path('train.tsv'), 'ab') as out:
            out.write(b'ab\xe9c\t1\n')
        self.refused(DATA, r'train\.tsv:66:3: byte 0xe9 is not valid UTF-8')

    def test_short_row(self):
        with open(self.path('dev.tsv'), 'ab') as out:
            out.write(b'no label\n')
        self.refused(DATA, r'dev\.tsv:22:1: the row has 1 column, the header has 2')

    def test_the_row_of_names_again(self):
        """cat a.csv b.csv: it would be a row with a class of its own."""
        for name, text, line in (('cat.csv', 'sentence,label\na,0\nb,1\nsentence,label\nc,0\n', 4),
                                 ('mark.tsv', '\ufeffsentence\tlabel\na\t0\n\ufeffsentence\tlabel\nb\t1\n', 3)):
            self.write(name, text)
            self.refused(DATA, r'%s:%d:1: the row of names again: were tables put together' % (name, line),
                         override='task.train_data.input_path=' + name)
        self.write('near.csv', 'sentence,label\nsentence,0\nlabel,1\nsentence,1\n')
        self.text(override=self.tables(more='task.train_data.input_path=near.csv,trainer.train_steps=1'))

    def test_open_quote(self):
        self.write('train.csv', 'sentence,label\na,0\n"b,1\nc,0\n')
        self.refused(DATA, r'train\.csv:3: a quote that is opened in this row is never closed',
                     override='task.train_data.input_path=train.csv')

    def test_broken_json(self):
        self.write('train.jsonl', '{"sentence": "a", "label": 0}\n{"sentence": "a" "label": 0}\n')
        self.refused(DATA, r'train\.jsonl:2:\d+: not JSON: ',
                     override='task.train_data.input_path=train.jsonl')

    def test_cut_gzip(self):
        with open(self.path('train.tsv'), 'rb') as source:
            packed = gzip.compress(source.read())
        self.write('train.tsv.gz', packed[:-20])
        self.refused(DATA, r'train\.tsv\.gz ends within its gzip stream',
                     override='task.train_data.input_path=train.tsv.gz')

    def test_no_gzip(self):
        self.write('train.tsv.gz', 'sentence\tlabel\na\t0\n')
        self.refused(DATA, r'train\.tsv\.gz: cannot decompress as GZIP',
                     override='task.train_data.input_path=train.tsv.gz')

    def test_empty(self):
        self.write('train.tsv', '')
        self.refused(DATA, r'train\.tsv: no rows')

    def test_no_such_column(self):
        self.refused(DATA, r"train\.tsv:1:1: no column is called 'text'; the columns are: "
                           'sentence, label', override='task.train_data.text_fields=[text]')

    def test_no_text_fields(self):
        self.refused(CONFIG, r'task\.train_data\.text_fields is empty',
                     override='task.train_data.text_fields=null')

    def test_no_vocabulary(self):
        self.refused(CONFIG, r'task\.train_data\.vocab_file', 'vocabulary',
                     override='task.train_data.vocab_file=""')

    def test_other_vocabulary(self):
        self.write('big.txt', ''.join('%d\n' % i for i in range(200)))
        self.refused(CONFIG, r'big\.txt has 200 pieces, but the model\'s vocab_size is 100',
                     override='task.train_data.vocab_file=big.txt')

    def test_lower_case_in_one_section(self):
        self.refused(CONFIG, 'lower_case is false.*lower_case is true',
                     override='task.train_data.lower_case=false')
        for key in ('strip_accents', 'tokenize_chinese_chars'):
            self.refused(CONFIG, 'train_data.%s is false, .*validation_data.%s is true' % (key, key),
                         override='task.train_data.%s=false' % key)
        said = 'task.train_data.strip_accents=true'  # what lower-case text has by itself
        self.text(override=self.tables(more=said + ',trainer.train_steps=1'))

    def test_sentencepiece(self):
        result = self.text(override=self.tables(more='task.train_data.tokenization=SentencePiece'),
                           expect=CONFIG, experiment='bert/sentence_prediction_text')
        self.assertRegex(self.one_error(result), 'SentencePiece is not supported')


@unittest.skipIf(e2e.SANITIZED, 'a sanitizer keeps freed memory: nothing could be learned here')
class Memory(Text):
    def test_text_is_not_kept(self):
        def peak(n):
            self.write_tsv('many.tsv', make_rows(500, 5) * (n // 500))
            return min(self.text(override=self.tables('many.tsv'), mode='train',
                                 model_dir='out-%d-%d' % (n, i), watch_memory=True).peak_bytes
                       for i in range(2))
        few, many = peak(500), peak(50000)
        size = os.path.getsize(self.path('many.tsv'))
        print('peak %.1f MiB with 500 rows, %.1f with 50,000 (%.1f MB of text)' %
              (few / 2**20, many / 2**20, size / 1e6))
        self.assertGreater(size, 1 << 20)
        # where each row begins and what names its texts, and what growing them takes
        self.assertLess(many - few, 50000 * (8 + 8 + 8) + 2**18)


if __name__ == '__main__':
    unittest.main()
