# SPDX-License-Identifier: Apache-2.0
"""What an evaluation keeps for the report (eval_details.json) and what the page shows of it: labels
against predictions, calibration, the worst mistakes of each task with their texts, the data. Held
against the files that the run reads and against its own predictions."""
import json
import os
import shutil
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../reliability/support'))
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import page  # noqa: E402

FEW = 'trainer.train_steps=20'
HOSTILE = ['</script><script>alert(1)</script> ban', '"><img src=x onerror=alert(1)> dan',
           '\u202e turned \u05e9\u05dc\u05d5\u05dd ban', 'a & b &lt; <b>ban</b>',
           '\U0001F600 \u4e2d\u6587 \u0301\u0302 dan', '</td></tr></table></bdi>', "it's `ban` \\u0041 ${x}"]


class Examples(e2e.Case):
    def setUp(self):
        super().setUp()
        jobs.make(self.folder)

    def run_job(self, task, override=FEW, **how):
        result = e2e.run(jobs.args(task, how.pop('model_dir', 'out'), override, **how), cwd=self.folder)
        self.assertEqual(result.code, 0, str(result))
        found = page.read(self.path('out', 'report.html'))
        self.assertEqual(found.problems, [])
        with open(self.path('out', 'eval_details.json'), encoding='utf-8') as source:
            return found, json.load(source)

    def texts(self, name='dev.tsv'):
        with open(self.path(name), encoding='utf-8') as source:
            return [line.rstrip('\n').split('\t') for line in source][1:]

    def test_sentences(self):
        found, details = self.run_job('sentence')
        rows = self.texts()
        record = [r for r in e2e.read_jsonl(self.path('out')) if r['kind'] == 'validation'][-1]
        correct, n = sum(details['correct']), len(rows)
        self.assertEqual(sum(details['labelled']), n)
        self.assertAlmostEqual(correct / n, record['cls_accuracy'], places=6)
        self.assertEqual(details['wrong_rows'], n - correct)
        self.assertEqual(sum(details['lengths']), n)
        self.assertEqual(sum(b[0] for b in details['calibration']), n)
        self.assertEqual({k: v for k, v in record.items() if k in details['values']}, details['values'])
        self.assertEqual(len(details['mistakes']), min(20, n - correct))
        # held against predictions of the same checkpoint
        result = e2e.run(jobs.args('sentence', 'out', mode='predict'), cwd=self.folder)
        self.assertEqual(result.code, 0, str(result))
        predicted = [{'label': line[1], 'probability': [float(x) for x in line[2:]]}
                     for line in self.texts('out/predictions.tsv')]
        wrong = sorted((-max(p['probability']), i) for i, p in enumerate(predicted)
                       if p['label'] != rows[i][1])
        for kept, (probability, i) in zip(details['mistakes'], wrong):
            self.assertAlmostEqual(kept['probabilities'][0], -probability, places=5)
            self.assertEqual(kept['texts'], [rows[kept['row'] - 1][0]])
            self.assertEqual(str(kept['label']), rows[kept['row'] - 1][1])
            self.assertNotEqual(kept['label'], kept['prediction'])
        matrix = found.table('counts by label and prediction')
        cells = [[int(re.match(r'[\d,]+', c).group()) for c in row[1:]] for row in matrix[1:]]
        self.assertEqual(sum(cells, []), details['confusion'])
        shown = [node.text() for node in found.root.all('p', class_='text')]
        self.assertEqual(shown, [m['texts'][0] for m in details['mistakes']])

    def test_texts_are_only_texts(self):
        with open(self.path('dev.tsv'), 'w', encoding='utf-8') as out:
            out.write('sentence\tlabel\n' + ''.join('%s\t%d\n' % (t, i)
                                                   for t in HOSTILE for i in range(2)))
        found, details = self.run_job('sentence')
        self.assertEqual(len(details['mistakes']), len(HOSTILE))  # one of the two is wrong
        shown = [node.text() for node in found.root.all('p', class_='text')]
        self.assertEqual(sorted(shown), sorted(HOSTILE))

    def test_no_examples(self):
        found, details = self.run_job('sentence', FEW + ',trainer.report_examples=0')
        self.assertEqual(details['mistakes'], [])
        self.assertNotIn('mistakes', found.sections())
        with open(self.path('out', 'report.html'), encoding='utf-8') as source:
            html = source.read()
        for text, _label in self.texts():
            self.assertNotIn(text, html)

    def test_names_of_classes(self):
        found, details = self.run_job('sentence', FEW + ',task.label_names=[<b>,"a&b"]')
        self.assertEqual(details['classes'], ['<b>', 'a&b'])
        self.assertEqual(found.table('counts by label and prediction')[0][1:], ['<b>', 'a&b'])

    def test_scores(self):
        found, details = self.run_job(
            'sentence', FEW + ',task.model.num_classes=1,task.train_data.label_type=float,'
            'task.validation_data.label_type=float,trainer.best_checkpoint_eval_metric=mean_squared_error,'
            'trainer.best_checkpoint_metric_comp=lower')
        far = [abs(m['scores'][0] - m['scores'][1]) for m in details['mistakes']]
        self.assertEqual(far, sorted(far, reverse=True))
        self.assertNotIn('classes', found.sections())
        self.assertIn('mistakes', found.sections())

    def test_tags_of_words(self):
        with open(self.path('words.conll'), 'w', encoding='utf-8') as out:
            for text, _label in self.texts():
                out.write(''.join('%s\t%s\n' % (w, 'B-X' if 'a' in w else 'O') for w in text.split()) + '\n')
        override = ','.join('task.%s.%s' % (s, k) for s in ('train_data', 'validation_data')
                            for k in ('input_path=words.conll', 'vocab_file=vocab.txt'))
        found, details = self.run_job('tagging', FEW + ',' + override)
        sentences = [text.split() for text, _label in self.texts()]
        for row in details['mistakes']:
            words = sentences[row['row'] - 1]
            self.assertEqual([w[0] for w in row['words']], words)
            self.assertEqual([w[1] for w in row['words']], [1 if 'a' in w else 0 for w in words])
            self.assertAlmostEqual(row['wrong'], max(w[3] for w in row['words'] if w[1] != w[2]))
        off = found.root.all('span', class_='word off')
        self.assertEqual(len(off), sum(w[1] != w[2] for r in details['mistakes'] for w in r['words']))

    def test_tags_of_records_without_a_vocabulary(self):
        _found, details = self.run_job('tagging')
        self.assertTrue(all(re.fullmatch(r'\d+', w[0]) for r in details['mistakes'] for w in r['words']))

    def test_answers(self):
        found, details = self.run_job('squad')
        with open(self.path('out', 'predictions.json'), encoding='utf-8') as source:
            predictions = json.load(source)
        with open(self.path('dev.json'), encoding='utf-8') as source:
            asked = {q['id']: (q, p['context']) for p in json.load(source)['data'][0]['paragraphs']
                     for q in p['qas']}
        self.assertEqual(details['questions'], len(asked))
        self.assertGreater(len(details['spans']), 0)
        for row in details['spans']:
            question, context = asked[row['id']]
            self.assertEqual(row['prediction'], predictions[row['id']])
            self.assertEqual(row['answers'], [a['text'] for a in question['answers']])
            self.assertEqual((row['question'], row['context']), (question['question'], context))
            self.assertLess(row['f1'], 1)
        marked = [n.text() for n in found.root.all('mark') if 'gold' in n.attributes['class']]
        self.assertEqual(marked[0], 'Underlined')
        first = details['spans'][0]
        self.assertIn(first['answers'][0], ''.join(marked[1:]))

    def test_pairs_and_data(self):
        found, details = self.run_job('pairs')
        self.assertNotIn('mistakes', details)
        self.assertIn('data', found.sections())

    def test_data(self):
        os.rename(self.path('dev.tsv'), self.path('other.tsv'))
        os.link(self.path('train.tsv'), self.path('dev.tsv'))
        found, _details = self.run_job('sentence')
        rows = self.texts('train.tsv')
        counts = {row[0]: row[1:] for row in found.table('counts of the data')}
        self.assertEqual(counts['rows'], [str(len(rows))] * 2)
        self.assertIn('was memorized', found.root.text())
        balance = {row[0]: row[1] for row in found.table('rows of each class')[1:]}
        for label in ('0', '1'):
            self.assertTrue(balance[label].startswith('%d ' % sum(r[1] == label for r in rows)), balance)

    def test_an_evaluation_alone(self):
        """The training's own evaluation made again changes nothing; one of other rows is shown as what it is."""
        _found, trained = self.run_job('sentence')
        _found, details = self.run_job('sentence', FEW, mode='eval')
        self.assertEqual(details, trained)
        shutil.copy(self.path('train.tsv'), self.path('dev.tsv'))
        found, details = self.run_job('sentence', FEW, mode='eval')
        self.assertEqual((details['mode'], details['step']), ('eval', 20))
        self.assertIn('mistakes', found.sections())


if __name__ == '__main__':
    e2e.main()
