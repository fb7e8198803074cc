# SPDX-License-Identifier: Apache-2.0
"""--result_junit as junitparser reads it, --prometheus_file as Prometheus' own client for Python does.
(The cheap twins: tests/e2e/results.py.)"""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, 'support'))
import ecosystem  # noqa: E402
import e2e  # noqa: E402


@ecosystem.needs('ci')
class Ci(e2e.Case):
    def ask(self, what, path):
        return ecosystem.ask('ci', 'ci_judge.py', {'what': what, 'path': self.path(path)})

    def test_junit(self):
        self.train(expect=8, model_dir='a<b>&"c"', more=[
            '--result_junit=r.xml', '--fail_below=cls_accuracy=1.5', '--fail_above=validation_loss=100'])
        answer = self.ask('junit', 'r.xml')
        self.assertEqual((answer['tests'], answer['failures'], answer['errors'], answer['skipped']), (3, 1, 0, 0))
        self.assertEqual([kinds for _name, kinds, _text in answer['cases']], [[], ['Failure'], []])
        self.assertIn('cls_accuracy', answer['properties'])
        self.train(expect=3, override='task.train_data.input_path="n<o>&]]>"', more=[
            '--result_junit=r.xml', '--fail_below=cls_accuracy=1'])
        answer = self.ask('junit', 'r.xml')
        self.assertEqual([kinds for _name, kinds, _text in answer['cases']], [['Error'], ['Skipped']])
        self.assertIn('n<o>&]]>', answer['cases'][0][2])

    def test_prometheus(self):
        self.train(model_dir='a "b"\\c', more=['--prometheus_file=r.prom', '--result_json=r.json'])
        answer = self.ask('prometheus', 'r.prom')
        with open(self.path('r.json'), encoding='utf-8') as source:
            result = json.load(source)
        values = {}
        for metric, labels, value in answer['samples']:
            self.assertEqual((labels['experiment'], labels['mode'], labels['model_dir']),
                             ('bert/sentence_prediction', 'train_and_eval', 'a "b"\\c'))
            values[metric, labels.get('name')] = value
        self.assertEqual(values['bert_train_step', None], result['step'])
        for name, value in result['values'].items():
            self.assertAlmostEqual(values['bert_train_evaluation', name], value, places=6)
        self.assertEqual(set(answer['types'].values()), {'gauge'})


if __name__ == '__main__':
    e2e.main()
