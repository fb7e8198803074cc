# SPDX-License-Identifier: Apache-2.0
"""ONNX files as the real onnx.checker, ONNX Runtime and Optimum read them. (The cheap twins: tests/unit/export/onnx_files.py,
tests/e2e/export_onnx.py.)"""
import json
import math
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, 'support'))
sys.path.insert(0, os.path.join(HERE, '../e2e'))
import ecosystem  # noqa: E402
import e2e  # noqa: E402
from export import Export  # noqa: E402

PROGRAM = os.path.join(e2e.BUILD, 'tests/unit/export/write_onnx_cases')
TEXTS = ['The cat sat .', 'a DOG ran , very good !', 'Café cats', 'bad dogs sat 12', 'the', 'uncat ' * 30]


@ecosystem.needs('hf')
class Cases(e2e.Case):
    """Models of every kind, in one file and in two."""

    def golden(self, name):
        with open(e2e.golden('onnx/' + name), encoding='utf-8') as source:
            return json.load(source)

    def judge(self, *options):
        os.makedirs(self.path('cases'), exist_ok=True)
        answer = ecosystem.ask('hf', 'onnx_judge.py', dict(what='cases', program=PROGRAM, folder=self.path('cases'),
                                                           options=options))
        self.assertEqual(answer['faults'], [])
        print({key: '%.1e' % value for key, value in answer['largest'].items()})
        return answer['digests']

    def test_one_file(self):
        self.assertEqual(self.judge(), self.golden('judged.json')['digests'])

    def test_two_files(self):
        self.assertEqual(set(self.judge('1')), set(self.golden('judged.json')['digests']))

    def test_fields(self):
        theirs = ecosystem.ask('hf', 'onnx_judge.py', dict(what='fields'))['messages']
        for message, fields in self.golden('fields.json')['messages'].items():
            for name, field in fields.items():
                self.assertEqual(theirs[message].get(name), field, (message, name))


@ecosystem.needs('hf')
class Folders(Export):
    def setUp(self):
        super().setUp()
        self.write('rows.tsv', 'sentence\tlabel\n' + ''.join(
            '%s\t%s\n' % (text, 'good' if i % 2 else 'bad') for i, text in enumerate(TEXTS * 3)))

    def near(self, got, wanted, tolerance):
        self.assertEqual(len(got), len(wanted))
        for a, b in zip(got, wanted):
            self.assertLess(abs(float(a) - float(b)), tolerance)

    def probabilities(self):
        rows = [line.split('\t') for line in self.predict('run').decode().splitlines()]
        return [[float(x) for x in row[2:]] for row in rows[1:]][:len(TEXTS)]

    def compare(self, logits, tolerance):
        self.assertEqual(len(logits), len(TEXTS))
        for row, wanted in zip(logits, self.probabilities()):
            exps = [math.exp(x) for x in row]
            self.near([x / sum(exps) for x in exps], wanted, tolerance)

    def test_as_the_card_says(self):
        self.train()
        for precision, tolerance in (('float32', 1e-5), ('float16', 1e-3), ('int8', 0.02)):
            self.export('onnx', precision, '--export_precision=' + precision)
            answer = ecosystem.ask('hf', 'onnx_judge.py', dict(what='card', folder=self.path(precision), texts=TEXTS))
            self.compare(answer['outputs']['logits'], tolerance)

    @ecosystem.needs('optimum')
    def test_optimum(self):
        self.train()
        self.export('onnx')
        answer = ecosystem.ask('optimum', 'onnx_judge.py', {'what': 'optimum', 'folder': self.path('out'), 'texts': TEXTS,
                                                            'class': 'ORTModelForSequenceClassification'})
        self.assertEqual(answer['labels'], ['bad', 'good'])
        self.compare(answer['outputs']['logits'], 1e-5)


if __name__ == '__main__':
    e2e.main()
