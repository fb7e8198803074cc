# SPDX-License-Identifier: Apache-2.0
"""task.decision_threshold and task.calibrate: chosen on the evaluation's rows, obeyed by later
evaluations and by predictions, whose labels and probabilities follow them."""
import json
import math
import os
import random
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import e2e  # noqa: E402
import text_input  # noqa: E402
from text_input import WORDS  # noqa: E402

TWO = 'task.model.num_classes=2,trainer.best_checkpoint_eval_metric=f1'
AUTO = 'task.decision_threshold=auto,task.calibrate=true'


def f1_of(labels, found):
    both = sum(a and b for a, b in zip(labels, found))
    total = sum(labels) + sum(found)
    return 2 * both / total if total else 0


class Decision(text_input.Text):
    def setUp(self):
        super().setUp()
        rng = random.Random(7)
        for name, n in (('train', 48), ('dev', 24), ('other', 24)):
            rows = []
            for _ in range(n):
                words = [rng.choice(WORDS) for _ in range(rng.randint(1, 9))]
                rows.append({'sentence': ' '.join(words),
                             'label': 'yes' if 'cat' in words or rng.random() < 0.1 else 'no'})
            self.write(name + '.jsonl', ''.join(json.dumps(row) + '\n' for row in rows))
            setattr(self, name, [int(row['label'] == 'yes') for row in rows])

    def start(self, validation='dev.jsonl', keys=AUTO, **how):
        return self.text(override=self.tables('train.jsonl', validation, TWO + ',' + keys), **how)

    def records(self, folder='out'):
        return [r for r in e2e.read_jsonl(self.path(folder)) if r['kind'] == 'validation']

    def predictions(self, name):
        """[(label, probability of yes)]"""
        with open(self.path('out', name), encoding='utf-8') as source:
            header, *rows = [line.split('\t') for line in source.read().splitlines()]
        at = header.index('probability_yes')
        return [(row[1], float(row[at])) for row in rows]

    def test_chosen_kept_and_obeyed(self):
        self.start()
        last = self.records()[-1]
        threshold = last['decision_threshold']
        self.assertLessEqual(last['log_loss_calibrated'], last['log_loss'])
        with open(self.path('out', 'best_ckpt/info.json'), encoding='utf-8') as source:
            self.assertIn('temperature', json.load(source))

        result = self.start(mode='predict', keys=AUTO)
        self.assertIn('threshold %.6g, as the evaluation' % threshold, result.stderr)
        rows = self.predictions('predictions.tsv')
        for label, probability in rows:
            self.assertEqual(label, 'yes' if probability >= threshold else 'no')
        scores = [p for _label, p in rows]
        self.assertAlmostEqual(f1_of(self.dev, [p >= threshold for p in scores]), last['f1'],
                               places=12)
        for other in scores:  # no other does better
            self.assertLessEqual(f1_of(self.dev, [p >= other for p in scores]), last['f1'] + 1e-12)
        loss = -sum(math.log(p if y else 1 - p) for y, p in zip(self.dev, scores)) / len(scores)
        self.assertAlmostEqual(loss, last['log_loss_calibrated'], places=5)

        result = self.start(mode='export', more=['--export_format=safetensors', '--output_path=out/export'])
        self.assertIn('warning: the export holds the weights alone', result.stderr)
        self.start(mode='export', more=['--export_format=hf', '--output_path=out/hf'])
        with open(self.path('out/hf/README.md'), encoding='utf-8') as card:
            text = card.read()
        self.assertIn('take class 1 from a probability of %g on' % threshold, text)
        self.assertIn('divide the logits by %g before the softmax' % last['temperature'], text)

        # without calibration: other probabilities, the same most probable class
        self.start(mode='predict', keys='task.calibrate=false', more=['--output_path=out/plain.tsv'])
        plain = self.predictions('plain.tsv')
        self.assertNotEqual([p for _l, p in plain], scores)
        temperature = last['temperature']
        for (label, raw), calibrated in zip(plain, scores):
            self.assertEqual(label, 'yes' if raw > 0.5 else 'no')
            logit = math.log(raw / (1 - raw)) / temperature
            self.assertAlmostEqual(1 / (1 + math.exp(-logit)), calibrated, places=5)

        # other rows are judged by what the development rows gave
        self.start(mode='eval', validation='other.jsonl')
        other = self.records()[-1]
        self.assertEqual(other['mode'], 'eval')
        for name in ('decision_threshold', 'temperature'):
            self.assertEqual(other[name], last[name])
        self.start(mode='predict', validation='other.jsonl', more=['--output_path=out/other.tsv'])
        found = [p >= threshold for _label, p in self.predictions('other.tsv')]
        self.assertAlmostEqual(f1_of(self.other, found), other['f1'], places=12)

    def test_a_number(self):
        self.start(keys='task.decision_threshold=0.3')
        last = self.records()[-1]
        self.assertNotIn('decision_threshold', last)
        self.start(mode='predict', keys='task.decision_threshold=0.3')
        rows = self.predictions('predictions.tsv')
        for label, probability in rows:
            self.assertEqual(label, 'yes' if probability >= 0.3 else 'no')
        self.assertAlmostEqual(f1_of(self.dev, [p >= 0.3 for _l, p in rows]), last['f1'], places=12)

    def test_an_export_names_the_one_of_several_labels(self):
        rows = [{'sentence': word, 'label': ['a'] if i % 3 else ['a', 'b']} for i, word in enumerate(WORDS)]
        self.write('sets.jsonl', ''.join(json.dumps(row) + '\n' for row in rows))
        keys = TWO.replace('=f1', '=f1_micro') + ',task.problem_type=multi_label_classification,' \
            'task.label_names=[a, b],task.decision_threshold=auto'
        override = self.tables('sets.jsonl', 'sets.jsonl', keys)
        self.text(override=override)
        self.text(override=override, mode='export', more=['--export_format=hf', '--output_path=card'])
        with open(self.path('card/README.md'), encoding='utf-8') as card:
            self.assertIn('from a probability of %g on' % self.records()[-1]['decision_threshold'], card.read())

    def test_nothing_was_chosen(self):
        self.start(keys='task.calibrate=false')
        line = self.one_error(self.start(mode='predict', keys='task.decision_threshold=auto', expect=2))
        self.assertIn('has no evaluation of step', line)
        result = self.start(mode='eval', keys='task.decision_threshold=auto')
        self.assertIn('they are chosen on these rows', result.stderr)
        self.start(mode='predict', keys='task.decision_threshold=auto')
        shutil.rmtree(self.path('out'))
        for wrong, message in (('task.decision_threshold=1.5', 'between 0 and 1, got 1.5'),
                               ('task.decision_threshold=later', 'auto')):
            self.assertIn(message, self.one_error(self.start(keys=wrong, expect=2)))


if __name__ == '__main__':
    e2e.main()
