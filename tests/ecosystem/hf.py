# SPDX-License-Identifier: Apache-2.0
"""Exports as the real transformers and sentence-transformers read them: every tensor known, the same
tokens, the same numbers to 1e-5. (The cheap twins: tests/e2e/export.py.)"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, 'support'))
sys.path.insert(0, os.path.join(HERE, '../e2e'))
import ecosystem  # noqa: E402
import e2e  # noqa: E402
from export import Export, TEXTS  # noqa: E402


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


class Sentences(Hf):
    def test_classes(self):
        self.train()
        self.export()
        head, rows = cells(self.predict('run'))
        texts = [line.split('\t') for line in self.text('rows.tsv').splitlines()[1:]]
        answer = self.ask('classify', texts=[[t[0], t[2]] for t in texts if len(t[0]) < 100])
        rows = [row for row, t in zip(rows, texts) if len(t[0]) < 100]
        self.assertEqual(answer['class'], 'BertForSequenceClassification')
        self.assertEqual(answer['labels'], [name[len('probability_'):] for name in head[2:]])
        import math
        for row, logits in zip(rows, answer['logits']):
            exps = [math.exp(x) for x in logits]
            self.near(row[2:], [x / sum(exps) for x in exps], row)
        self.assertEqual(len(rows), len(answer['logits']))
        self.assertGreater(len(rows), len(TEXTS))


if __name__ == '__main__':
    e2e.main()
