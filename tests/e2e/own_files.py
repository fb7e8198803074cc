# SPDX-License-Identifier: Apache-2.0
"""Files of one's own, whatever their bytes: words with tags, SQuAD and tables, packed and in any
encoding, make the records of the plain file and train to its bits; damaged ones are refused in one
sentence."""
import csv
import gzip
import json
import lzma
import os
import random
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402
import variants  # noqa: E402

CONFIG, DATA = 2, 3
RUN = '''\
task:
  model:
    encoder:
      type: bert
      bert: {hidden_size: 16, intermediate_size: 32, max_position_embeddings: 24, num_attention_heads: 2,
             num_layers: 1, vocab_size: 1000}
trainer:
  train_steps: 20
  steps_per_loop: 20
  summary_interval: 20
  checkpoint_interval: 20
  validation_interval: 20
  optimizer_config:
    learning_rate: {type: polynomial, polynomial: {initial_learning_rate: 0.001, decay_steps: 20}}
    warmup: {type: polynomial, polynomial: {warmup_steps: 4}}
'''
VOCAB = os.path.join(e2e.SOURCE, 'tests/goldens/text/vocab_tf.txt')
TOOL = 'create-finetuning-data'
WORDS = 'the cat dog run jump over lazy un new york a b c d e 1 2 caf\u00e9 \u00fcber'.split()


def make_sentences(n, seed):
    rng = random.Random(seed)
    sentences = []
    for _ in range(n):
        words = [rng.choice(WORDS) for _ in range(rng.randint(1, 9))]
        sentences.append((words, ['B-X' if 'u' in word else 'O' for word in words]))
    return sentences


def columns_of(sentences):
    return ''.join(''.join('%s NN %s\n' % pair for pair in zip(*s)) + '\n' for s in sentences)


def objects_of(sentences, key='ner_tags'):
    return [{'tokens': words, key: tags} for words, tags in sentences]


def make_squad(n, seed):
    rng = random.Random(seed)
    items = []
    for i in range(n):
        words = [rng.choice(WORDS) for _ in range(rng.randint(4, 20))]
        at = rng.randrange(len(words))
        items.append({'id': 'q%d' % i, 'context': ' '.join(words), 'question': 'the cat ?',
                      'answers': {'text': [words[at]], 'answer_start': [len(' '.join(words[:at] + ['']))]}})
    return items


def articles_of(items):
    return {'version': '1.1', 'data': [{'title': 't', 'paragraphs': [
        {'context': i['context'], 'qas': [{'id': i['id'], 'question': i['question'], 'answers': [
            {'text': t, 'answer_start': s} for t, s in zip(i['answers']['text'], i['answers']['answer_start'])]}]}
        for i in items]}]}


def dump(value):
    return json.dumps(value, ensure_ascii=False)


class Tool(e2e.Case):
    def setUp(self):
        super().setUp()
        self.write('run.yaml', RUN)

    def bytes(self, name):
        with open(self.path(name), 'rb') as source:
            return source.read()

    def make(self, args, outputs=('t.rec',), expect=0):
        flags = {'t.rec': 'train', 'e.rec': 'eval'}
        made = e2e.run(list(args) + ['--vocab_file=' + VOCAB, '--max_seq_length=24', '--meta_data_file_path=m'] +
                       ['--%s_data_output_path=%s' % (flags[name], name) for name in outputs],
                       name=TOOL, cwd=self.folder)
        self.assertEqual(made.code, expect, str(made))
        return made if expect else [self.bytes(name) for name in outputs + ('m',)]

    def refused(self, args, what, code=DATA):
        message = self.one_error(self.make(args, expect=code), name=TOOL)
        self.assertRegex(message, what)
        return message


class Words(Tool):
    ARGS = ['--fine_tuning_task_type=tagging', '--tagging_task_name=conll', '--input_data_dir=in',
            '--tagging_labels=O,B-X']

    def setUp(self):
        super().setUp()
        os.mkdir(self.path('in'))
        self.sentences = make_sentences(30, 1)

    def one(self, name, data, *more):
        """The records of a folder with this file alone."""
        for old in os.listdir(self.path('in')):
            os.remove(self.path('in', old))
        self.write('in/' + name, data)
        return self.make(self.ARGS + list(more))

    def test_the_same_records_of_all_bytes(self):
        text = columns_of(self.sentences)
        want = self.one('train.txt', text)
        for ending, data in variants.packed(text.encode()).items():
            self.assertEqual(self.one('train.txt' + ending, data), want, ending)
            self.assertEqual(self.one('train.txt', data), want, 'packed, and not called so')
        for key, data in variants.encoded(text):
            more = ['--encoding=' + key] if key else []
            self.assertEqual(self.one('train.conll', data, *more), want, key)
        for other in variants.line_ends(text):
            self.assertEqual(self.one('train.bio', other), want)

    def test_the_same_records_of_all_json(self):
        want = self.one('train.txt', columns_of(self.sentences))
        objects = objects_of(self.sentences)
        lines = ''.join(dump(o) + '\n' for o in objects)
        forms = {'lines': lines, 'list': dump(objects), 'pretty': json.dumps(objects, indent=1),
                 'member': dump({'version': 1, 'data': objects, 'size': 30}),
                 'pretty member': json.dumps({'data': objects}, indent=2), 'numbers': None}
        ids = [dict(o, ner_tags=[int(t != 'O') for t in o['ner_tags']]) for o in objects]
        forms['numbers'] = dump(ids)
        forms['others'] = ''.join('{"n": NaN, "tokens": %s, "i": 1%s, "tags": %s, "s": "\\ud800\\u0000"}\n' %
                                  (dump(o['tokens']), '0' * 400, dump(o['ner_tags'])) for o in objects)
        for what, text in forms.items():
            self.assertEqual(self.one('train.json', text), want, what)
        for ending, data in variants.packed(lines.encode()).items():
            self.assertEqual(self.one('train.jsonl' + ending, data), want, ending)
        for key, data in variants.encoded(forms['list']):
            self.assertEqual(self.one('train.json', data, *(['--encoding=' + key] if key else [])), want, key)

    def test_train_evaluate_predict(self):
        """Packed and converted files give bert-train the bits of the plain ones."""
        for name, seed in (('train', 1), ('dev', 2)):
            text = columns_of(make_sentences(24, seed))
            self.write(name + '.conll', text)
            self.write(name + '.conll.xz', lzma.compress(text.encode('utf-16')))
            self.write(name + '.latin.conll', text.encode('latin-1'))
        both = ('task.%s_data.input_path=%s,task.%s_data.vocab_file=' + VOCAB + ',task.%s_data.seq_length=16,'
                'task.%s_data.global_batch_size=8')

        def run(out, ending, mode='train_and_eval', more='', **how):
            override = ','.join(both % (s, name + ending, s, s, s) for s, name in (('train', 'train'),
                                                                                  ('validation', 'dev')))
            args = self.args(model_dir=out, mode=mode, override=override + more, files=['run.yaml'], **how)
            args[0] = '--experiment=bert/tagging'
            done = e2e.run(args, cwd=self.folder)
            self.assertEqual(done.code, 0, str(done))
            return done
        latin = ',task.train_data.encoding=latin-1,task.validation_data.encoding=latin-1'
        for out, ending, more in (('plain', '.conll', ''), ('packed', '.conll.xz', ''), ('latin', '.latin.conll', latin)):
            run(out, ending, more=more)
            run(out, ending, 'predict', more, extra=['--output_path=%s.jsonl' % out])
        for out in ('packed', 'latin'):
            self.same_values(self.path('plain', 'ckpt-20'), self.path(out, 'ckpt-20'))
            self.assertEqual(self.bytes(out + '.jsonl'), self.bytes('plain.jsonl'))
        self.assertIn('caf\u00e9', self.bytes('plain.jsonl').decode())

    def args(self, extra=(), **how):
        return super().args(more=list(extra), **how)

    def test_refused(self):
        text = columns_of(self.sentences)
        data = text.encode()
        for ending, whole in variants.packed(data).items():
            for n in (6, 9, len(whole) // 2, len(whole) - 3):
                self.one_refused('train.txt' + ending, whole[:n], r'in/train\.txt%s' % ending)
            self.one_refused('train.txt' + ending, data, 'has that name, but is not compressed|cannot decompress as GZIP')
        self.one_refused('train.txt.zip', variants.zipped(('a.txt', data), ('b.txt', data)), 'holds 2 files: a.txt, b.txt')
        self.one_refused('train.txt', text.encode('utf-16')[:-1], 'ends within a character of the encoding UTF-16')
        self.one_refused('train.txt', text.encode('utf-16-le'), 'looks like UTF-16LE without a byte order mark.*--encoding=UTF-16LE')
        self.one_refused('train.txt', text.encode('latin-1'), r'train\.txt:\d+: .*is not valid UTF-8; in Windows-1252.*set --encoding=windows-1252')
        self.one_refused('train.txt', text.encode('utf-16'), 'byte order mark says UTF-16LE, but --encoding is latin-1',
                         '--encoding=latin-1')
        self.one_refused('train.txt', text.encode('utf-16'), 'byte order mark says UTF-16LE, but --encoding is utf_16_be',
                         '--encoding=utf_16_be')
        self.one_refused('train.txt', b'a O\n\0 O\n', r'train\.txt:2: a NUL byte')
        self.one_refused('train.txt', data, "--encoding: the encoding 'klingon' is not known", '--encoding=klingon', code=CONFIG)
        self.one_refused('train.txt', b'PAR1' + b'\0' * 20, 'is a Parquet file')
        self.refused(['--classification_task_name=COLA', '--input_data_dir=in', '--encoding=latin-1'],
                     '--encoding is for table, conll and squad', code=CONFIG)

    def one_refused(self, name, data, what, *more, code=DATA):
        for old in os.listdir(self.path('in')):
            os.remove(self.path('in', old))
        self.write('in/' + name, data)
        return self.refused(self.ARGS + list(more), what, code)


class Squad(Tool):
    ARGS = ['--fine_tuning_task_type=squad', '--doc_stride=8', '--max_query_length=8']

    def one(self, name, data, *more):
        self.write(name, data)
        return self.make(self.ARGS + ['--squad_data_file=' + name] + list(more))

    def test_the_same_records_of_all_bytes(self):
        items = make_squad(20, 1)
        text = dump(articles_of(items))
        want = self.one('train.json', text)
        lines = ''.join(dump(item) + '\n' for item in items)
        for what, other in (('pretty', json.dumps(articles_of(items), indent=1)), ('flat', dump(items)),
                            ('lines', lines), ('data', dump({'data': items}))):
            self.assertEqual(self.one('train.json', other), want, what)
        for ending, data in variants.packed(text.encode()).items():
            self.assertEqual(self.one('train.json' + ending, data), want, ending)
            self.assertEqual(self.one('packed.json', data), want, 'packed, and not called so')
        for key, data in variants.encoded(text) + variants.encoded(lines):
            self.assertEqual(self.one('train.json', data, *(['--encoding=' + key] if key else [])), want, key)
        others = [dict(item, x='\0', y=float('nan'), z=10 ** 400) for item in items]
        self.assertEqual(self.one('train.json', dump(others)), want, 'what nobody reads')
        half = dump([dict(item, s='@') for item in items]).replace('@', '\\udc00')
        self.assertEqual(self.one('train.json', half), want, 'half a pair')

    def test_a_pipe_is_read_once(self):
        """As it is; what is packed in one is refused with what to do."""
        text = dump(articles_of(make_squad(20, 1))).encode()
        want = self.one('train.json', text)
        os.remove(self.path('train.json'))
        for data, code in ((text, 0), (gzip.compress(text), DATA)):
            self.write('bytes', data)
            words = [e2e.program(TOOL)] + self.ARGS + [
                '--squad_data_file=/dev/stdin', '--vocab_file=' + VOCAB, '--max_seq_length=24',
                '--meta_data_file_path=m', '--train_data_output_path=t.rec']
            with open(self.path('bytes'), 'rb') as source, \
                    subprocess.Popen(['cat'], stdin=source, stdout=subprocess.PIPE) as cat:
                made = subprocess.run(words, stdin=cat.stdout, cwd=self.folder, capture_output=True,
                                      text=True, timeout=e2e.TIMEOUT, check=False)
            self.assertEqual(made.returncode, code, made.stderr)
            if code:
                self.assertRegex(made.stderr, r'/dev/stdin is a pipe with something packed \(\.gz\).*gzip -dc')
            else:
                self.assertEqual([self.bytes('t.rec'), self.bytes('m')], want)

    def test_train_evaluate_predict(self):
        for name, seed in (('train', 1), ('dev', 2)):
            text = dump(articles_of(make_squad(16, seed)))
            self.write(name + '.json', text)
            self.write(name + '.json.xz', lzma.compress(text.encode('utf-16')))
        keys = 'task.%s_data.input_path=%s,task.%s_data.vocab_file=' + VOCAB + ',task.%s_data.seq_length=16,' \
               'task.%s_data.doc_stride=8,task.%s_data.query_length=4,task.%s_data.global_batch_size=8'
        for out, ending in (('plain', '.json'), ('packed', '.json.xz')):
            override = ','.join(keys % (s, name + ending, s, s, s, s, s)
                                for s, name in (('train', 'train'), ('validation', 'dev')))
            args = self.args(model_dir=out, files=['run.yaml'],
                             override=override + ',task.validation_data.is_training=false')
            args[0] = '--experiment=bert/squad'
            done = e2e.run(args, cwd=self.folder)
            self.assertEqual(done.code, 0, str(done))
        self.same_values(self.path('plain', 'ckpt-20'), self.path('packed', 'ckpt-20'))
        self.assertEqual(self.bytes('packed/predictions.json'), self.bytes('plain/predictions.json'))

    def test_refused(self):
        text = dump(articles_of(make_squad(20, 1)))
        args = self.ARGS + ['--squad_data_file=x.json']
        for ending, whole in variants.packed(text.encode()).items():
            for n in (len(whole) // 2, len(whole) - 3):
                self.write('x.json', whole[:n])
                self.refused(args, r'x\.json', DATA)
        for data, what in ((text.encode('latin-1'), r'x\.json: byte \d+ \(0x..\) is not valid UTF-8; in Windows-1252.*--encoding='),
                           (text.encode('utf-16')[:-1], 'ends within a character'),
                           (text.encode('utf-16-be'), 'looks like UTF-16BE without a byte order mark'),
                           (b'', 'x.json'), (text[:-20].encode(), r'x\.json:1:\d+: not JSON'),
                           (('[' * 100000).encode(), 'x.json'),
                           (text.replace('"title": "t"', '"title": "t", "title": "u"').encode(), 'duplicate object key'),
                           (text.replace('"answer_start": ', '"answer_start": NaN, "x": ').encode(), 'not JSON')):
            self.write('x.json', data)
            self.refused(args, what)


class Tables(Tool):
    ARGS = ['--classification_task_name=table', '--input_data_dir=in']

    def setUp(self):
        super().setUp()
        os.mkdir(self.path('in'))
        rng = random.Random(5)
        self.rows = [(' '.join(rng.choice(WORDS) for _ in range(5)), ' '.join(rng.choice(WORDS) for _ in range(3)),
                      rng.choice(['bad', 'good', 'soso']), '%.3f' % rng.uniform(0, 5)) for _ in range(40)]

    def csv_text(self, **how):
        with open(self.path('made.csv'), 'w', encoding='utf-8', newline='') as out:
            writer = csv.writer(out, lineterminator='\n', **how)
            writer.writerow(['one', 'two', 'what', 'score'])
            writer.writerows(self.rows)
        return self.bytes('made.csv').decode()

    def one(self, name, data, *more, expect=0):
        for old in os.listdir(self.path('in')):
            os.remove(self.path('in', old))
        self.write('in/' + name, data)
        return self.make(self.ARGS + list(more), expect=expect)

    def test_the_same_records_of_all_bytes(self):
        fields = ['--text_fields=one,two', '--label_field=what']
        text = self.csv_text()
        want = self.one('train.csv', text, *fields)
        made = self.make(self.ARGS + fields[:1] + ['--label_field=x'], expect=DATA)
        self.assertNotIn('warning', made.stderr)
        meta = json.loads(want[-1])
        self.assertEqual((meta['label_list'], meta['num_labels'], meta['task_type']),
                         (['bad', 'good', 'soso'], 3, 'bert_classification'))
        objects = [dict(zip(('one', 'two', 'what', 'score'), row)) for row in self.rows]
        forms = {'train.tsv': text.replace(',', '\t'), 'train.json': dump(objects),
                 'train.jsonl': ''.join(dump(o) + '\n' for o in objects)}
        for name, other in forms.items():
            self.assertEqual(self.one(name, other, *fields), want, name)
        for ending, data in variants.packed(text.encode()).items():
            self.assertEqual(self.one('train.csv' + ending, data, *fields), want, ending)
        for key, data in variants.encoded(text):
            self.assertEqual(self.one('train.csv', data, *fields, *(['--encoding=' + key] if key else [])), want, key)
        for delimiter, quote, flags in (('|', '"', ['--delimiter=|']), ('\t', "'", ['--delimiter=tab', "--quote='"]),
                                        ('@', '"', ['--delimiter=@']), (';', '~', ['--delimiter=;', '--quote=~'])):
            other = self.csv_text(delimiter=delimiter, quotechar=quote, quoting=csv.QUOTE_ALL)
            self.assertEqual(self.one('train.csv', other, *fields, *flags), want, flags)
        self.assertEqual(self.one('train.csv', text, *fields, '--quote=none'), want)
        for flag, what in (('--delimiter=ab', '--delimiter=ab: expected one ASCII character'),
                           ('--quote=xy', '--quote=xy: expected one ASCII character or none'),
                           ('--quote=,', None)):
            made = self.one('train.csv', text, *fields, flag, *([] if what else ['--delimiter=,']), expect=CONFIG)
            self.assertIn(what or '--quote=,: the same character as delimiter', self.one_error(made, name=TOOL))
        made = self.one('train.csv', text, '--classification_task_name=SST-2', '--delimiter=;', expect=CONFIG)
        self.assertIn('--delimiter is for --classification_task_name=table', self.one_error(made, name=TOOL))

    def test_scores(self):
        """Regression: what the task for STS-B makes of the same pairs and scores."""
        os.mkdir(self.path('sts'))
        lines = ['index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore']
        lines += ['%d\tg\tf\ty\t0\ta\tb\t%s\t%s\t%s' % (i, row[0], row[1], row[3]) for i, row in enumerate(self.rows)]
        self.write('sts/train.tsv', '\n'.join(lines) + '\n')
        want = self.make(['--classification_task_name=STS-B', '--input_data_dir=sts'])
        flags = ['--fine_tuning_task_type=regression', '--text_fields=one,two', '--label_field=score']
        made = self.one('train.csv', self.csv_text(), *flags)
        self.assertEqual(made[0], want[0])
        ours, theirs = json.loads(made[-1]), json.loads(want[-1])
        self.assertEqual(dict(ours, processor_type=''), dict(theirs, processor_type=''))
        for bad, what in (('nan', 'is not a score'), ('x', 'is not a number'), ('', 'is not a number')):
            made = self.one('train.csv', 'one,two,what,score\na,b,c,1\na,b,c,%s\n' % bad, *flags, expect=DATA)
            self.assertRegex(self.one_error(made, name=TOOL), r'train\.csv:3.*' + what)
        made = self.one('train.csv', self.csv_text(), '--fine_tuning_task_type=regression', expect=CONFIG)
        self.assertIn('with --text_fields and --label_field', self.one_error(made, name=TOOL))


class Judge(Tool):
    """Python's csv and json write random tables in every dialect; they are read as what was written."""
    ALPHABETS = {'utf-8': '\u00e9\u4e2d\U0001f600\u0430', 'utf-8-sig': '\u00e9\u4e2d', 'utf-16': '\u00e9\U0001f600',
                 'utf-32': '\u4e2d\U0001f600', 'latin-1': '\u00e9\u00fc\u00df', 'cp1252': '\u20ac\u201c\u00e9',
                 'cp1251': '\u0430\u0431\u0416', 'koi8-r': '\u0430\u0431', 'cp932': '\u30bd\u8868\u80fd',
                 'gb18030': '\u4e2d\u6587\U0001f600', 'big5': '\u529f\u8a31\u84cb', 'euc-kr': '\ud55c\uae00',
                 'utf-16-le': '\u00e9\u4e2d', 'iso8859-15': '\u20ac\u0153'}
    N_CASES = 300 if os.environ.get('BT_LONG_TESTS') else 28
    ARGS = ['--classification_task_name=table', '--text_fields=a,b', '--label_field=label']

    def make_rows(self, rng, signs):
        rows = []
        for _ in range(rng.randint(1, 6)):
            texts = [''.join(rng.choice(['the', 'cat', ' ', '!', '"', "'", '\\', '\n', ',', ';', '\t', '|'] + list(signs))
                             for _ in range(rng.randint(1, 7))) for _ in range(2)]
            rows.append(['x' + texts[0], texts[1] + 'x', rng.choice('01')])
        return rows

    def read(self, folder, name, data, *more):
        shutil.rmtree(self.path(folder), ignore_errors=True)
        os.mkdir(self.path(folder))
        self.write(folder + '/' + name, data)
        return self.make(self.ARGS + ['--input_data_dir=' + folder] + list(more))

    def test_csv_of_all_dialects(self):
        rng = random.Random(6)
        for i in range(self.N_CASES):
            encoding = sorted(self.ALPHABETS)[i % len(self.ALPHABETS)]
            rows = self.make_rows(rng, self.ALPHABETS[encoding])
            how = {'delimiter': rng.choice([',', ';', '\t', '|', ':', '^']), 'quotechar': rng.choice(['"', "'"]),
                   'quoting': rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
                   'lineterminator': rng.choice(['\n', '\r\n'])}
            with open(self.path('made'), 'w', encoding=encoding, newline='') as out:
                writer = csv.writer(out, **how)
                writer.writerow(['a', 'b', 'label'])
                writer.writerows(rows)
            with open(self.path('made'), encoding=encoding, newline='') as source:
                again = list(csv.reader(source, delimiter=how['delimiter'], quotechar=how['quotechar']))[1:]
            self.assertEqual(again, rows, 'Python itself')
            flags = ['--delimiter=' + how['delimiter'], '--quote=' + how['quotechar']]
            if encoding not in ('utf-8', 'utf-8-sig', 'utf-16', 'utf-32'):
                flags.append('--encoding=' + encoding)
            got = self.read('x', 'train.csv', self.bytes('made'), *flags)
            want = self.read('y', 'train.jsonl', ''.join(json.dumps(dict(zip(('a', 'b', 'label'), row))) + '\n'
                                                         for row in rows))
            self.assertEqual(got, want, '%s %s\n%s' % (encoding, how, self.bytes('made')))

    def test_json_of_all_forms(self):
        rng = random.Random(7)
        for _ in range(self.N_CASES // 2):
            rows = [dict(zip(('a', 'b', 'label'), row)) for row in self.make_rows(rng, '\u00e9\u4e2d\U0001f600\0\x1f/')]
            want = self.read('y', 'train.jsonl', ''.join(json.dumps(row) + '\n' for row in rows))
            for row in rows:
                row['label'] = int(row['label'])
                row['x'] = rng.choice([None, float('nan'), 10 ** 30, '\udfff', {'a': [1, {'b': '}]'}]}, [[]], 1.5e300])
                row['\u00e9"\\'] = '{['
            how = {'ensure_ascii': True, 'indent': rng.choice([None, None, 1, '\t']),
                   'separators': rng.choice([None, (',', ':'), (' ,\t', ' : ')])}
            lines = ''.join(json.dumps(row, separators=how['separators']) + '\n' for row in rows)
            forms = [lines, json.dumps(rows, **how), json.dumps({'v': 1, 'data': rows, 'n': [1, {}]}, **how), '\n\n'.join(json.dumps(row, **how) for row in rows)]
            for text in forms:
                self.assertEqual(self.read('x', 'train.json', text), want, text)


class Damaged(Tool):
    """One sentence and exit 3, whatever it is."""

    def tables(self):
        rows = 'one,two,what\n' + 'a,b,c\n' * 3
        packed = variants.packed(rows.encode())
        wrong_crc = bytearray(packed['.xz'])
        wrong_crc[len(wrong_crc) // 2] ^= 0x10
        deep = '[' * 100000 + ']' * 100000
        return {
            'zip of two': ('x.csv.zip', variants.zipped(('a', rows), ('b', rows)), 'holds 2 files: a, b'),
            'zip of none': ('x.csv.zip', variants.zipped(), 'x.csv.zip'),
            'zip of a folder': ('x.csv.zip', variants.zipped(('a/', '')), 'holds 0 files'),
            'cut zip': ('x.csv.zip', packed['.zip'][:-1], 'cannot be unpacked'),
            'xz with a wrong sum': ('x.csv.xz', bytes(wrong_crc), 'cannot be unpacked'),
            'bzip2 with more after': ('x.csv.bz2', packed['.bz2'] + b'BZx91', '5 bytes after the end'),
            'packed twice': ('x.csv.gz', gzip.compress(gzip.compress(rows.encode())), r'x\.csv\.gz:1:'),
            'zstd cut': ('x.csv.zst', packed.get('.zst', b'\x28\xb5\x2f\xfd')[:-5], 'x.csv.zst'),
            'UTF-16 and an odd byte': ('x.csv', rows.encode('utf-16') + b'\n', 'ends within a character'),
            'UTF-16 with half a pair': ('x.csv', (rows + '@').encode('utf-16').replace(b'@\0', b'\x3d\xd8\x20\0'),
                                        r'byte \d+ \(3d d8 20 00\) is not text'),
            'UTF-32 beyond Unicode': ('x.csv', rows.encode('utf-32') + b'\xff\xff\xff\x7f', 'is not text'),
            'an open quote, 1 MB': ('x.csv', rows + '"' + 'a,b\n' * 262144, 'x.csv:5: a quote that is opened'),
            'an open quote, 17 MB': ('x.csv', rows + '"' + 'a,b\n' * (17 << 18), 'x.csv:5: .*is a quote not closed'),
            'nested lines': ('x.jsonl', '{"one": ' + deep + '}\n', r'x\.jsonl:1:\d+: not JSON'),
            'nested list': ('x.json', '[{"one": "a", "x": ' + deep + '}]', r'x\.json:1:\d+: not JSON'),
            'open brackets': ('x.json', '[' * 100000, r'x\.json:1:2: expected an object'),
            'a ragged row': ('x.csv', rows + 'a,b\n', r'x\.csv:5:1: the row has 2 columns'),
            '70,000 columns': ('x.csv', 'one,two,what' + ',y' * 69997 + '\n', 'more than 65536 columns'),
            '60,000 columns, and one less': ('x.csv', 'one,two,what' + ',y' * 59997 + '\n' + 'a,b,c' + ',d' * 59996 + '\n',
                                             'the row has 59999 columns, the header has 60000'),
            'a NUL': ('x.tsv', 'one\ttwo\twhat\na\tb\0\tc\n', r'x\.tsv:2:4: a NUL byte'),
            'CR, then LF': ('x.csv', rows.replace('\n', '\r') + 'a,b,c\r' * 20000 + 'a,b,c\n', 'but there is an LF at byte'),
            'only a mark': ('x.csv', b'\xff\xfe', 'no rows'),
            'a page': ('x.csv', '<!DOCTYPE html>\n<html>\n', 'HTML'),
            'a pointer': ('x.csv', 'version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 9\n' % ('0' * 64), 'LFS'),
            'Arrow': ('x.csv', b'ARROW1\0\0' + b'x' * 20, 'is an Arrow file'),
            'an unknown column': ('x.csv', 'a,b\n1,2\n', "no column is called 'one'; the columns are: a, b"),
            'a column twice': ('x.csv', 'one,one,two,what\na,b,c,d\n', "two columns are called 'one'"),
            **{'empty ' + e: ('x' + e, b'', r'x\%s: no rows' % e) for e in ('.csv', '.tsv', '.json', '.jsonl')},
            **{'empty in ' + e: ('x.csv' + e, data, 'no rows') for e, data in variants.packed(b'').items()}}

    def test_tables(self):
        args = ['--classification_task_name=table', '--input_data_dir=in', '--text_fields=one,two', '--label_field=what']
        for why, (name, data, what) in self.tables().items():
            with self.subTest(why):
                shutil.rmtree(self.path('in'), ignore_errors=True)
                os.mkdir(self.path('in'))
                self.write('in/' + name.replace('x', 'train', 1), data)
                self.refused(args, what.replace('x', 'train', 1) if what.startswith('x') else what)

    def test_words_and_questions(self):
        deep = '[' * 100000 + ']' * 100000
        words = {
            'empty': ('x.txt', b'', 'there are no rows'), 'empty JSON': ('x.json', b'', 'there are no rows'),
            'comments only': ('x.conllu', '# a\n\n# b\n', 'there are no rows'),
            'nested': ('x.jsonl', '{"tokens": %s}' % deep, r'x\.jsonl:1: '),
            'nested, unread': ('x.json', '[{"tokens": ["a"], "x": %s}]' % deep, r'x\.json:1:2: not JSON'),
            'brackets': ('x.json', '[' * 100000, r'x\.json:1:2: expected an object'),
            'ragged': ('x.txt', 'a O\nNew York O\n', r'x\.txt:2: 3 columns'),
            'a number for a name': ('x.jsonl', '{"tokens": ["a"], "ner_tags": [3]}', 'the labels are numbers: name them'),
            'more tags': ('x.json', '[{"tokens": ["a"], "ner_tags": ["O", "O"]}]', '1 in tokens, but 2 in ner_tags'),
            'two sets': ('x.json', '{"a": [{"tokens": ["a"]}], "b": [{"tokens": ["a"]}]}', 'a second list of objects|no label'),
            'zip of two': ('x.txt.zip', variants.zipped(('a', 'a O'), ('b', 'b O')), 'holds 2 files'),
            'a NUL': ('x.txt', b'a O\nb\0 O\n', r'x\.txt:2: a NUL byte'),
            'a pointer': ('x.txt', 'version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 9\n' % ('0' * 64), 'LFS')}
        for why, (name, data, what) in words.items():
            with self.subTest(why):
                shutil.rmtree(self.path('in'), ignore_errors=True)
                os.mkdir(self.path('in'))
                self.write('in/' + name.replace('x', 'train', 1), data)
                self.refused(['--fine_tuning_task_type=tagging', '--tagging_task_name=conll', '--input_data_dir=in'],
                             what.replace('x', 'train', 1) if what.startswith('x') else what)
        item = dump(make_squad(1, 1)[0])
        questions = {'a number for a text': item.replace('"the cat ?"', '7'), 'nested': '{"data": %s}' % deep,
                     'a cut line': item + '\n' + item[:-9], 'data that is none': '{"data": {}}', 'a word': 'null',
                     'no context': item.replace('context', 'text'), 'a list of lists': '[[]]',
                     'two starts': item.replace('"answer_start": [', '"answer_start": [1, ')}
        for why, text in questions.items():
            with self.subTest(why):
                self.write('x.json', text)
                self.refused(Squad.ARGS + ['--squad_data_file=x.json'], r'x\.json')
        os.mkdir(self.path('folder.json'))
        self.refused(Squad.ARGS + ['--squad_data_file=folder.json'], 'folder.json')


if __name__ == '__main__':
    e2e.main()
