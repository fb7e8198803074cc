# SPDX-License-Identifier: Apache-2.0
"""bert-train predict: the values of --mode=predict, bit for bit, for each task; what transformers and
sentence-transformers say of their folders; and a filter's manners: answers as soon as nobody writes more, in the
order of the lines, lines that are wrong by their number, readers and writers that leave."""
import glob
import json
import os
import select
import signal
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../reliability/support'))
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402

GOLDENS = os.path.join(e2e.SOURCE, 'tests/goldens')
TASKS = ('sentence', 'squad', 'tagging', 'pairs')
VOCAB = 'task.validation_data.vocab_file=vocab.txt'


def setUpModule():
    """One run of each task, which the tests only read."""
    Predict.models = e2e.tempfile.mkdtemp(prefix='bt-predict-')
    jobs.make(Predict.models)
    for task in TASKS:
        trained = e2e.run(jobs.args(task, task, 'trainer.train_steps=5', 'train'), cwd=Predict.models)
        assert trained.code == 0, str(trained)


def tearDownModule():
    e2e.shutil.rmtree(Predict.models)


class Predict(e2e.Case):
    models = ''

    def ask(self, lines, *args, code=0, told='', more=()):
        data = lines if isinstance(lines, bytes) else ''.join(line + '\n' for line in lines).encode()
        result = subprocess.run([e2e.program(), 'predict', *args, *more], cwd=self.models, input=data, check=False,
                                capture_output=True, timeout=e2e.TIMEOUT)
        self.assertEqual(result.returncode, code, result.stderr.decode())
        self.assertIn(told, result.stderr.decode())
        return result.stdout.decode()

    def objects(self, lines, *args, **how):
        return [json.loads(line) for line in self.ask(lines, '--output_format=jsonl', *args, **how).splitlines()]

    def predict(self, task, override, path):
        """What --mode=predict writes."""
        path = self.path(path)
        done = e2e.run(['--mode=predict', '--model_dir=' + task, '--params_override=' + override,
                        '--output_path=' + path], cwd=self.models)
        self.assertEqual(done.code, 0, str(done))
        return path

    def lines(self, name):
        with open(os.path.join(self.models, name), encoding='utf-8') as text:
            return text.read().splitlines()

    # values

    def test_classes(self):
        with open(self.predict('sentence', 'task.validation_data.input_path=dev.tsv', 'x.jsonl'), encoding='utf-8') as out:
            want = [json.loads(line) for line in out]
        texts = [line.split('\t')[0] for line in self.lines('dev.tsv')[1:]]
        self.assertEqual(len(texts), len(want))
        for batch in ('1', '7', '32'):
            rows = self.objects(texts, '--model_dir=sentence', '--batch_size=' + batch, '--top_k=0')
            self.assertEqual([(row['label'], {c['label']: c['probability'] for c in row['top']}) for row in rows],
                             [(row['label'], row['probabilities']) for row in want], batch)
        table = self.ask(texts, '--model_dir=sentence').splitlines()
        self.assertEqual([line.split('\t') for line in table],
                         [[row['label'], str(row['probabilities'][row['label']])] for row in want])
        for row in rows:
            self.assertEqual(row['top'], sorted(row['top'], key=lambda c: -c['probability']))
            self.assertEqual(row['top'][0], {'label': row['label'], 'probability': row['probability']})

    def test_tags(self):
        words = [line.split() for line in self.lines('left.txt')[:20]]
        words[3] = words[3] * 9  # more than a sequence holds
        self.addCleanup(os.remove, os.path.join(self.models, 'some.conll'))
        with open(os.path.join(self.models, 'some.conll'), 'w', encoding='utf-8') as out:
            out.write('\n'.join(''.join(word + ' O\n' for word in sentence) for sentence in words))
        with open(self.predict('tagging', VOCAB + ',task.validation_data.input_path=some.conll', 'x.tsv'),
                  encoding='utf-8') as out:
            want = [line.split('\t') for line in out.read().splitlines()[1:]]
        model = ('--model_dir=tagging', '--params_override=' + VOCAB)
        table = self.ask([' '.join(sentence) for sentence in words], *model)
        self.assertEqual(table.count('\n\n'), len(words))
        self.assertEqual([line.split('\t')[1:] for line in table.splitlines() if line],
                         [row[-2:] for row in want])
        given = [{'words': words[0], 'id': 7}, {'tokens': []}, {'text': ' '.join(words[3])}, {'text': ''}]
        rows = self.objects([json.dumps(row) for row in given], *model, '--batch_size=2')
        self.assertEqual([row['words'] for row in rows], [words[0], [], words[3], []])
        self.assertEqual([len(row['labels']) for row in rows], [len(row['words']) for row in rows])
        self.assertEqual([row.get('id') for row in rows], [7, None, None, None])

    def test_answers(self):
        self.predict('squad', 'task.validation_data.input_path=dev.json', 'answers')
        with open(self.path('answers/predictions.json'), encoding='utf-8') as out:
            want = json.load(out)
        with open(self.path('answers/nbest_predictions.json'), encoding='utf-8') as out:
            best = json.load(out)
        with open(os.path.join(self.models, 'dev.json'), encoding='utf-8') as data:
            asked = [{'id': q['id'], 'question': q['question'], 'context': p['context']}
                     for article in json.load(data)['data'] for p in article['paragraphs'] for q in p['qas']]
        rows = self.objects([json.dumps(row) for row in asked], '--model_dir=squad', '--top_k=3')
        self.assertEqual({row['id']: row['answer'] for row in rows}, want)
        for row in rows:
            self.assertEqual([(c['answer'], c['probability']) for c in row['top']],
                             [(c['text'], c['probability']) for c in best[row['id']][:3]])
        table = self.ask(['%s\t%s' % (row['question'], row['context']) for row in asked[:5]], '--model_dir=squad')
        self.assertEqual([line.split('\t')[0] for line in table.splitlines()], [row['answer'] for row in rows[:5]])

    def test_vectors(self):
        path = self.predict('pairs', 'task.validation_data.right_input_path=[]', 'x.npy')
        with open(path, 'rb') as out:
            data = out.read()
        n, width = 160, 16
        want = struct.unpack('<%df' % (n * width), data[-4 * n * width:])
        texts = self.lines('left.txt')
        self.assertEqual(len(texts), n)
        rows = self.objects(texts, '--model_dir=pairs')
        found = [struct.unpack('f', struct.pack('f', x))[0] for row in rows for x in row['vector']]
        self.assertEqual(found, list(want))
        self.assertEqual(self.ask(texts[:1], '--model_dir=pairs').count('\t'), width - 1)

    # folders of others

    def near(self, found, want):
        self.assertEqual(len(found), len(want))
        for a, b in zip(found, want):
            self.assertLess(abs(a - b), 2e-5)

    def test_folders_with_heads(self):
        """As transformers computes them: texts, pairs, scores, several labels, tags."""
        n = 0
        for path in sorted(glob.glob(GOLDENS + '/folders/*/expected.json')):
            folder = os.path.dirname(path)
            with open(path, encoding='utf-8') as text:
                rows = json.load(text)['rows']
            # three things are BERT's own here (docs/deviations.md)
            rows = [row for row in rows if not any(x in row.get('text', '') for x in ('\u03a3', '[SEP]', 'x' * 101))]
            if rows and 'probabilities' in rows[0] and 'text' in rows[0]:
                found = self.objects([json.dumps({'text': row['text']}) for row in rows], '--init=' + folder, '--top_k=0')
                for a, b in zip(found, rows):
                    of = a.get('probabilities') or {c['label']: c['probability'] for c in a['top']}
                    with open(folder + '/config.json', encoding='utf-8') as config:
                        names = [name for _, name in sorted(json.load(config)['id2label'].items())]
                    given = [of.get(name, of.get(str(i))) for i, name in enumerate(names)]
                    self.near(given, b['probabilities'])
                n += 1
            elif rows and 'score' in rows[0]:
                found = self.objects([row['text'] for row in rows], '--init=' + folder)
                self.near([row['score'] for row in found], [row['score'] for row in rows])
                n += 1
            elif rows and 'tags' in rows[0]:
                found = self.objects([json.dumps({'words': row['words']}) for row in rows], '--init=' + folder)
                self.assertEqual([row['labels'] for row in found], [row['tags'] for row in rows])
                self.near([p for row in found for p in row['probabilities']],
                          [p for row in rows for p in row['probabilities']])
                n += 1
        self.assertGreater(n, 8)

    def test_sentence_transformers(self):
        with open(GOLDENS + '/hf_sentences/vectors.json', encoding='utf-8') as text:
            vectors = json.load(text)
        with open(GOLDENS + '/hf_sentences/sentences.txt', encoding='utf-8') as text:
            sentences = text.read().splitlines()
        for name, want in vectors.items():
            found = self.objects(sentences, '--init=%s/hf_sentences/%s' % (GOLDENS, name))
            for row, vector in zip(found, want):
                self.near(row['vector'], vector)

    # lines

    def test_fields_of_json(self):
        texts = [line.split('\t')[0] for line in self.lines('dev.tsv')[1:6]]
        want = self.objects(texts, '--model_dir=sentence')
        for key in ('sentence', 'text', 'review'):
            rows = [json.dumps({key: text, 'id': {'n': i}, 'other': 1}) for i, text in enumerate(texts)]
            found = [json.loads(line) for line in self.ask(rows, '--model_dir=sentence').splitlines()]
            self.assertEqual(found, [dict(row, id={'n': i}) for i, row in enumerate(want)])
        self.ask(['{"title": "x"}'], '--model_dir=sentence', code=3, told="line 1: the object has no 'sentence'")
        self.ask(['{"text": 7}'], '--model_dir=sentence', code=3, told="line 1: 'text' is not a text")
        self.ask(['[1]'], '--model_dir=sentence', '--input_format=jsonl', code=3, told='line 1: an object is expected')
        self.assertEqual(self.ask(['{"text": 7'], '--model_dir=sentence').count('\n'), 1)  # a text, then

    def test_two_texts(self):
        folder = '--init=' + GOLDENS + '/folders/uncased'
        one, two = self.objects(['the cat', 'the cat\ta dog'], folder)
        self.assertNotEqual(one, two)
        self.assertEqual(self.objects(['{"sentence1": "the cat", "sentence2": "a dog"}'], folder), [two])
        self.ask(['a\tb\tc'], folder, code=3, told='standard input: line 1: 3 texts apart by tabs, but at most 2 are')
        self.ask(['a'], '--model_dir=squad', code=3, told='1 texts apart by tabs, but 2 are expected (question and')

    def test_ends_of_lines(self):
        want = self.ask(['nan ban', '', 'fan'], '--model_dir=sentence')
        self.assertEqual(want.count('\n'), 3)
        for text in (b'nan ban\r\n\r\nfan\r\n', b'nan ban\n\nfan', b'\xef\xbb\xbfnan ban\n\nfan\n'):
            self.assertEqual(self.ask(text, '--model_dir=sentence'), want)
        self.assertEqual(self.ask(b'', '--model_dir=sentence'), '')

    def test_bad_lines(self):
        """What is before them is answered."""
        first = self.ask(['nan', 'ban'], '--model_dir=sentence')
        for line, why in ((b'f\xffn', 'byte 2 is not UTF-8'), (b'f\0n', 'it holds a NUL byte')):
            self.assertEqual(self.ask(b'nan\nban\n' + line + b'\nfan\n', '--model_dir=sentence', code=3,
                                      told='error: standard input: line 3: ' + why), first)
        self.ask(b'x' * (17 << 20), '--model_dir=sentence', code=3, told='line 1: longer than 16777216 bytes')

    # manners

    def test_answers_at_once(self):
        with subprocess.Popen([e2e.program(), 'predict', '--model_dir=sentence', '-v=-2'], cwd=self.models,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as child:
            for text in (b'nan\n', b'ban fan\n', b'nan\nban fan\n'):
                child.stdin.write(text)
                found = b''
                while found.count(b'\n') < text.count(b'\n'):
                    self.assertTrue(select.select([child.stdout], [], [], e2e.TIMEOUT)[0], 'no answer to %r' % text)
                    found += child.stdout.read(4096)
            child.stdin.write(b'fan')  # begun
            child.stdin.close()
            self.assertEqual(child.stdout.read().count(b'\n'), 1)
            self.assertEqual(child.wait(e2e.TIMEOUT), 0)

    def test_memory_is_bounded(self):
        if e2e.build_option('BT_SANITIZE'):
            self.skipTest('a sanitizer keeps what is freed')
        lines = ['nan ban fan'] * 200
        few = e2e.run(['predict', '--model_dir=sentence', '-v=-2', '--input=' + self.write('few', '\n'.join(lines))],
                      cwd=self.models, watch_memory=True)
        many = e2e.run(['predict', '--model_dir=sentence', '-v=-2',
                        '--input=' + self.write('many', '\n'.join(lines * 40))], cwd=self.models, watch_memory=True)
        self.assertEqual((few.stdout.count('\n'), many.stdout.count('\n')), (200, 8000), str(many)[-500:])
        self.assertLess(many.peak_bytes, few.peak_bytes + (8 << 20))

    def test_reader_that_leaves(self):
        source, sink = os.pipe()
        os.close(source)
        try:
            done = subprocess.run([e2e.program(), 'predict', '--model_dir=sentence', '-v=-1'], cwd=self.models, check=False,
                                  input=b'nan\n' * 99, stdout=sink, stderr=subprocess.PIPE, timeout=e2e.TIMEOUT)
        finally:
            os.close(sink)
        self.assertEqual((done.returncode, done.stderr.count(b'error')), (-signal.SIGPIPE, 0), done.stderr)

    def test_stopped(self):
        with subprocess.Popen([e2e.program(), 'predict', '--model_dir=sentence'], cwd=self.models,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as child:
            child.stdin.write(b'nan\n')
            self.assertTrue(child.stdout.read(1))
            child.send_signal(signal.SIGTERM)
            self.assertEqual(child.wait(e2e.TIMEOUT), 128 + signal.SIGTERM)

    def test_files(self):
        texts = self.write('in.txt', 'nan\nban\n')
        out = self.path('deep/out.jsonl')
        os.mkdir(self.path('deep'))
        self.ask([], '--model_dir=sentence', '--input=' + texts, '--output_path=' + out,
                 told='wrote 2 predictions to ' + out)
        with open(out, encoding='utf-8') as text:
            self.assertEqual([json.loads(line) for line in text], self.objects(['nan', 'ban'], '--model_dir=sentence'))
        bad = self.write('bad.txt', b'nan\n\xff\n')
        self.ask([], '--model_dir=sentence', '--input=' + bad, '--output_path=' + self.path('deep/none'), code=3,
                 told='bad.txt: line 2: byte 1 is not UTF-8')
        self.assertEqual(os.listdir(self.path('deep')), ['out.jsonl'])
        self.ask([], '--model_dir=sentence', '--input=' + texts, '--output_path=' + texts, code=2, told='--output_path')
        for name in ('params.yaml', 'ckpt-5.index', 'metrics.jsonl'):  # what the model is made of stays
            own = os.path.join(self.models, 'sentence', name)
            with open(own, 'rb') as there:
                before = there.read()
            self.ask(['a'], '--model_dir=sentence', '--output_path=' + own, code=2, told='written over')
            with open(own, 'rb') as there:
                self.assertEqual(there.read(), before, name)
        self.ask([], '--model_dir=sentence', '--input=' + self.path('none'), code=3, told='none')
        before = e2e.read_tree(os.path.join(self.models, 'sentence'))
        self.ask(['nan'], '--model_dir=sentence')
        self.assertEqual(e2e.read_tree(os.path.join(self.models, 'sentence')), before)

    def test_flags(self):
        self.ask([], code=2, told='name the model with either --model_dir or --init')
        self.ask([], '--model_dir=sentence', '--init=x', code=2, told='not with both')
        self.ask([], '--init=x', '--checkpoint=best', code=2, told='--checkpoint goes with --model_dir')
        self.ask([], '--model_dir=nowhere', code=2, told='has no params.yaml')
        self.ask([], '--init=nowhere', code=3, told='nowhere')
        self.ask([], '--init=' + GOLDENS + '/folders/hidden_words', code=2, told='names no model that predicts')
        self.ask([], '--model_dir=sentence', '--batch_size=0', code=2, told='--batch_size: expected 1')
        self.ask([], '--model_dir=sentence', '--top_k=-1', code=2, told='--top_k: expected')
        self.ask([], '--model_dir=tagging', code=2, told='name the vocabulary of the model')
        self.ask([], '--model_dir=sentence', 'lines.txt', code=2, told="argument 'lines.txt' is not expected")


if __name__ == '__main__':
    e2e.main()
