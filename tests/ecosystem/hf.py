# SPDX-License-Identifier: Apache-2.0
"""Exports as the real transformers and sentence-transformers read them: every tensor known, the same
tokens, the same numbers to 1e-5. (The cheap twins: tests/e2e/export.py.)"""
import json
import math
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, 'support'))
sys.path.insert(0, os.path.join(HERE, '../e2e'))
import ecosystem  # noqa: E402
import e2e  # noqa: E402
from export import Export, TaskData, TEXTS  # noqa: E402
from pairs import read_vectors  # noqa: E402


def cells(text):
    rows = [line.split('\t') for line in text.decode().splitlines()]
    return rows[0], rows[1:]


@ecosystem.needs('hf')
class Hf(Export):
    def ask(self, what, folder='out', **more):
        answer = ecosystem.ask('hf', 'hf_judge.py', dict(what=what, folder=self.path(folder), **more))
        self.assertEqual(answer.get('odd', {}), {}, answer)
        self.assertEqual(answer['warnings'], [])
        self.assertNotIn('newly initialized', answer['stderr'])
        return answer

    def near(self, got, wanted, *where):
        self.assertEqual(len(got), len(wanted), where)
        for a, b in zip(got, wanted):
            self.assertLess(abs(float(a) - float(b)), 1e-5, where)


# accents, scripts, emoji, controls, words of many characters; no capital sigma: the library has no final one
NASTY = [
    'The cat sat.', '', ' ', 'Café CAFÉ café na\u00efve', 'cafe\u0301 e\u0301\u0300', '中文 cat中文dog', '\u3400\U00020000x',
    'cat\u00a0dog\u2003sat\u3000ran', 'cat\u200bdog', 'cat\ufeffdog', '\ufffd cat', 'a\x00b\x07c\x7fd', 'cat\tdog\ndog\r\ncat',
    '\U0001f600 cat \U0001f468\u200d\U0001f469\u200d\U0001f467', 'x' * 99, 'x' * 101, 'x' * 250, 'cat' * 60, 'cat ' * 300,
    '[SEP] the [CLS] cat [MASK] [UNK] [PAD]', '[sep]', '[ SEP ]', '##s ## # cats', "don't (cat), dog! -- ran; 1,2.3",
    '\u0130stanbul I\u0307', '\u00df \u1e9e stra\u00dfe', '\ufb01 \uff21\uff22', '\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd',
    '\u0e01\u0e33 \u0915\u094d\u0937', '\u4e00\u4e8c\uf900', 'a\u00adb', '$100 ^ ` ~ \u00a7 \u20ac', '\u00bf\u2014\u2026\u3002\uff01',
    '\ud55c\uad6d\uc5b4 \u3072\u3089\u304c\u306a \u30ab\u30bf', 'A\u030a \u212b \u00c5', '\u01c5 \u01f0 \u0149', '\u2028cat\u2029']

LINES = [text for text in NASTY if not set('\n\r') & set(text)]


def softmax(logits):
    exps = [math.exp(x - max(logits)) for x in logits]
    return [x / sum(exps) for x in exps]


class Sentences(Hf):
    def predictions(self, **how):
        head, rows = cells(self.predict('run', **how))
        return head, rows

    def test_classes(self):
        self.train()
        self.export()
        head, rows = self.predictions()
        texts = [line.split('\t') for line in self.text('rows.tsv').splitlines()[1:]]
        texts = [[t[0], t[2]] for t in texts]
        pairs = [(t, row) for t, row in zip(texts, rows) if len(t[0]) < 100]  # others are cut: docs/guide/export.md
        answer = self.ask('classify', texts=[t for t, _ in pairs])
        self.assertEqual(answer['class'], 'BertForSequenceClassification')
        self.assertEqual(answer['problem_type'], 'single_label_classification')
        self.assertEqual(answer['labels'], [name[len('probability_'):] for name in head[2:]])
        for (text, row), logits in zip(pairs, answer['logits']):
            self.near(row[2:], softmax(logits), text)
        self.assertGreater(len(pairs), len(TEXTS))

    def sentences(self, rows, init='weights'):
        """Trains, exports and predicts texts of one column; the logits of transformers and the cells."""
        self.write('rows.jsonl', ''.join(json.dumps(row) + '\n' for row in rows))
        for name in ('run', 'out'):
            shutil.rmtree(self.path(name), ignore_errors=True)
        self.train(rows='rows.jsonl', init=init)
        self.export()
        _, got = self.predictions(rows='rows.jsonl')
        answer = self.ask('classify', texts=[[row['text']] for row in rows])
        self.assertEqual(len(got), len(rows))
        return answer, got

    def test_several_labels_scores_and_what_is_cut(self):
        texts = TEXTS * 2
        answer, got = self.sentences([dict(text=t, label=[[], ['a', 'b'], ['b']][i % 3]) for i, t in enumerate(texts)])
        self.assertEqual(answer['problem_type'], 'multi_label_classification')
        for row, logits in zip(got, answer['logits']):
            self.near(row[-2:], [1 / (1 + math.exp(-x)) for x in logits], row)
        answer, got = self.sentences([dict(text=t, label=i / 4) for i, t in enumerate(texts)])
        self.assertEqual(answer['problem_type'], 'regression')
        for row, logits in zip(got, answer['logits']):
            self.near(row[-1:], logits, row)

    def test_an_albert(self):
        shutil.copytree(e2e.golden('folders/answers_albert'), self.path('albert'))
        answer, got = self.sentences([dict(text=t, label='ab'[i % 2]) for i, t in enumerate(TEXTS * 2)], 'albert')
        self.assertEqual(answer['class'], 'AlbertForSequenceClassification')
        for row, logits in zip(got, answer['logits']):
            self.near(row[-2:], softmax(logits), row)

    def test_tokens(self):
        """Theirs are the ones that ours are cut from: the same ids for every text, special names included."""
        for more in ('', ',lower_case=false', ',lower_case=false,strip_accents=true', ',tokenize_chinese_chars=false'):
            keys = ''.join(',task.%s.%s' % (s, key) for key in more.split(',')[1:]
                           for s in ('train_data', 'validation_data'))
            for name in ('run', 'out'):
                shutil.rmtree(self.path(name), ignore_errors=True)
            self.train(override=keys)
            self.export()
            answer = self.ask('ids', texts=LINES)
            self.assertEqual(answer['ids'], answer['alone'])
            self.assertEqual(answer['types'], [0, 0, 0, 1, 1])
            if 'strip' not in more and 'chinese' not in more:  # which bert-tokenize has no flags for
                for text, got, want in zip(LINES, answer['ids'], self.ids('lower' not in more)):
                    self.assertEqual(got, want, ascii(text))
        # through the model: what cuts and treats them is the same
        rows = [dict(text=t, label='ab'[i % 2]) for i, t in enumerate(NASTY)]
        answer, got = self.sentences(rows)
        for row, logits in zip(got, answer['logits']):
            self.near(row[-2:], softmax(logits), ascii(rows[int(row[0])]['text']))

    def ids(self, lowers):
        """By bert-tokenize, between [CLS] and [SEP]: of texts of one line."""
        result = e2e.run(['--vocab_file=weights/vocab.txt', '--ids', '--do_lower_case=%s' % lowers], 'bert-tokenize',
                         cwd=self.folder, stdin=''.join(text + '\n' for text in LINES).encode())
        self.assertEqual(result.code, 0, str(result))
        lines = result.stdout.split('\n')[:-1]
        self.assertEqual(len(lines), len(LINES))
        return [[2] + [int(word) for word in line.split()] + [3] for line in lines]

    def test_the_card(self):
        self.train()
        self.export()
        answer = self.ask('card')
        self.assertEqual(answer['data']['library_name'], 'transformers')
        self.assertEqual(answer['data']['pipeline_tag'], 'text-classification')
        self.assertIn('cls_accuracy', [name for name, _ in answer['results']])


class Tasks(Hf, TaskData):
    def test_tags(self):
        for init in ('tags', 'tags_distilbert'):
            for name in ('run', 'out'):
                shutil.rmtree(self.path(name), ignore_errors=True)
            self.train(experiment='bert/tagging', rows='words.conll', init=e2e.golden('folders/' + init))
            self.export()
            head, rows = cells(self.predict('run', rows='words.conll'))
            sentences = [[line.split()[0] for line in block.split('\n')]
                         for block in self.text('words.conll').strip().split('\n\n')]
            answer = self.ask('tag', sentences=sentences)
            self.assertEqual(answer['class'], 'BertForTokenClassification')
            self.assertEqual(len(answer['logits']), len(rows))
            for row, logits in zip(rows, answer['logits']):
                best = logits.index(max(logits))
                self.assertEqual(row[head.index('label')], answer['labels'][best])
                self.near([row[head.index('probability')]], [max(softmax(logits))], row)

    def test_answers(self):
        for init, what in (('answers', 'BertForQuestionAnswering'), ('answers_albert', 'AlbertForQuestionAnswering')):
            for name in ('run', 'out', 'made'):
                shutil.rmtree(self.path(name), ignore_errors=True)
            self.train(experiment='bert/squad', rows='q.json', init=e2e.golden('folders/' + init),
                       override=self.MORE['bert/squad'])
            self.export()
            os.mkdir(self.path('made'))
            self.go('--mode=predict', '--model_dir=run', '--predict=q.json', '--output_path=made')
            best = json.loads(self.text('made/nbest_predictions.json'))
            question = ['the dog ?', 'The cat sat . a dog ran , very good !']
            answer = self.ask('answer_questions', questions=[question])
            self.assertEqual(answer['class'], what)
            tokens = answer['rows'][0]
            for entry in best['0']:
                spans = [(a, b) for k, a in enumerate(tokens) for b in tokens[k:]
                         if question[1][a['start']:b['end']] == entry['text']]
                self.assertLess(min(max(abs(a['start_logit'] - entry['start_logit']),
                                        abs(b['end_logit'] - entry['end_logit'])) for a, b in spans), 1e-5, entry)
            self.assertGreater(len(best['0']), 5)

    def test_vectors(self):
        """sentence-transformers' own, of all poolings; AutoModel's pooler where that is the pooling."""
        texts = TEXTS[:4] + TEXTS[1:5]  # left sides, then right ones
        for pooling, unit in (('mean', 'true'), ('cls', 'false'), ('max', 'true'), ('pooler', 'true')):
            for name in ('run', 'out', 'hf'):
                shutil.rmtree(self.path(name), ignore_errors=True)
            self.train(experiment='bert/dual_encoder', rows='pairs.tsv', override=(
                ',task.model.pooling=%s,task.model.normalize=%s,task.train_data.text_rules=bert,'
                'task.validation_data.text_rules=bert' % (pooling, unit)))
            self.export('sentence_transformers')
            self.go('--mode=predict', '--model_dir=run', '--output_path=v.tsv', '--predict=pairs.tsv')
            wanted = read_vectors(self.path('v.left.npy')) + read_vectors(self.path('v.right.npy'))
            answer = self.ask('vectors', texts=texts)
            self.assertEqual(answer['modules'], ['Transformer', 'Pooling'] + ['Dense'] * (pooling == 'pooler')
                             + ['Normalize'] * (unit == 'true'))
            self.assertEqual(answer['max_seq_length'], 64)
            self.assertEqual(len(answer['vectors']), len(wanted))
            for text, got, want in zip(texts, answer['vectors'], wanted):
                self.near(got, want, pooling, text)
        self.export('hf', 'hf')
        answer = self.ask('encode', 'hf', texts=texts)
        for text, got, want in zip(texts, answer['pooled'], wanted):
            length = math.sqrt(sum(x * x for x in got))
            self.near([x / length for x in got], want, text)


if __name__ == '__main__':
    e2e.main()
